//! Moving scenes without any footage. Enters: a key. Leaves: clips of RGB in 0 to 1: a background of dead leaves under
//! a camera that pans, turns and zooms, and objects that move over it and hide each other. The same key gives the same
//! clip.

use super::leaves::{Canvas, DENSITY, Style};
use super::rng::Rng;
use super::texture::Bank;

/// Where a canvas lies in frame 0, and how it moves: position = start + t·velocity, likewise angle and zoom.
struct Motion {
    start: [f32; 2],
    velocity: [f32; 2],
    angle: f32,
    spin: f32,
    growth: f32,
    /// Canvas pixels for each video pixel: less than `DENSITY` is out of focus.
    density: f32,
}

struct Layer {
    canvas: Canvas,
    motion: Motion,
}

#[derive(Default)]
pub struct Scenes {
    bank: Bank,
}

impl Scenes {
    /// Writes one clip [3, T, H, W].
    /// cost: about 20 ns a pixel and frame
    pub fn clip(&self, rng: &mut Rng, [n_frames, height, width]: [usize; 3], out: &mut [f32]) {
        let layers = self.layers(rng, n_frames, height, width);
        let mut frame = vec![[0.0f32; 4]; width * height];
        let plane = width * height;
        for t in 0..n_frames {
            let time = t as f32 - (n_frames as f32 - 1.0) / 2.0;
            for (i, layer) in layers.iter().enumerate() {
                layer.draw(time, width, height, i == 0, &mut frame);
            }
            for c in 0..3 {
                let target = &mut out[(c * n_frames + t) * plane..][..plane];
                // Whole steps of 1/255, as footage has them.
                target
                    .iter_mut()
                    .zip(&frame)
                    .for_each(|(o, p)| *o = (p[c].clamp(0.0, 1.0) * 255.0 + 0.5).floor() / 255.0);
            }
        }
    }

    fn layers(&self, rng: &mut Rng, n_frames: usize, height: usize, width: usize) -> Vec<Layer> {
        let style = Style::random(rng);
        let camera = Motion::camera(rng, width, height, n_frames);
        let reach = camera.reach(width, height, n_frames);
        let size = |extent: usize| ((extent as f32 + 2.0 * reach) * camera.density) as usize + 4;
        let canvas = Canvas::covered(size(width), size(height), &style, &self.bank, rng);
        let mut layers = vec![Layer {
            canvas,
            motion: camera,
        }];
        for _ in 0..[0, 1, 1, 2, 3][rng.below(5)] {
            let own = if rng.chance(0.5) {
                Style::random(rng)
            } else {
                style
            };
            let largest = width.min(height) as f32 * 0.3;
            let radius = rng.range(0.25, 1.0) * largest;
            let canvas = Canvas::object(radius * DENSITY, &own, &self.bank, rng);
            let motion = Motion::object(rng, width, height, &layers[0].motion);
            layers.push(Layer { canvas, motion });
        }
        layers
    }
}

/// Mostly slow, now and then fast: pixels a frame.
fn speed(rng: &mut Rng, fastest: f32) -> [f32; 2] {
    let length = fastest * rng.unit().powi(2);
    let angle = rng.range(0.0, std::f32::consts::TAU);
    [length * angle.cos(), length * angle.sin()]
}

impl Motion {
    fn camera(rng: &mut Rng, width: usize, height: usize, n_frames: usize) -> Motion {
        let still = rng.chance(0.15);
        let calm = if still {
            0.0
        } else {
            (7.0 / n_frames as f32).min(1.0)
        };
        let turn = if rng.chance(0.4) { calm } else { 0.0 };
        Motion {
            start: [
                width as f32 / 2.0 + rng.unit(),
                height as f32 / 2.0 + rng.unit(),
            ],
            velocity: speed(rng, 5.0 * calm),
            angle: rng.range(-0.04, 0.04),
            spin: turn * 0.012 * rng.bell(),
            growth: turn * 0.012 * rng.bell(),
            density: if rng.chance(0.12) {
                rng.range(0.6, 1.2)
            } else {
                DENSITY
            },
        }
    }

    fn object(rng: &mut Rng, width: usize, height: usize, camera: &Motion) -> Motion {
        let own = speed(rng, 4.0);
        Motion {
            start: [rng.range(0.0, width as f32), rng.range(0.0, height as f32)],
            velocity: [camera.velocity[0] + own[0], camera.velocity[1] + own[1]],
            angle: 0.0,
            spin: if rng.chance(0.5) {
                0.03 * rng.bell()
            } else {
                0.0
            },
            growth: if rng.chance(0.3) {
                0.01 * rng.bell()
            } else {
                0.0
            },
            density: DENSITY,
        }
    }

    /// Pixels beyond each border of the picture that the camera can see at any time.
    fn reach(&self, width: usize, height: usize, n_frames: usize) -> f32 {
        let half = n_frames as f32 / 2.0;
        let (w, h) = (width as f32, height as f32);
        let angle = self.angle.abs() + self.spin.abs() * half;
        let turned = 0.5 * (w.max(h) * (angle.cos() - 1.0) + w.max(h) * angle.sin());
        let zoomed = 0.5 * w.max(h) * ((1.0 + self.growth.abs()).powf(half) - 1.0) * 1.5;
        turned.max(0.0) + zoomed + half * self.velocity[0].hypot(self.velocity[1]) + 4.0
    }
}

impl Layer {
    /// Draws the layer at `time`; the first one replaces what is there, the others go over it.
    fn draw(&self, time: f32, width: usize, height: usize, replace: bool, frame: &mut [[f32; 4]]) {
        let m = &self.motion;
        let centre = [
            m.start[0] + time * m.velocity[0],
            m.start[1] + time * m.velocity[1],
        ];
        let (angle, zoom) = (
            m.angle + time * m.spin,
            m.density / (1.0 + m.growth).powf(time),
        );
        let (c, s) = (angle.cos() * zoom, angle.sin() * zoom);
        let (w, h) = (self.canvas.width as f32, self.canvas.height as f32);
        let reach = 0.5 * w.hypot(h) / zoom + 1.0;
        let inside = |low: f32, extent: usize| low.clamp(0.0, extent as f32) as usize;
        let (left, right, top, bottom) = match replace {
            true => (0, width, 0, height),
            false => (
                inside(centre[0] - reach, width),
                inside(centre[0] + reach, width),
                inside(centre[1] - reach, height),
                inside(centre[1] + reach, height),
            ),
        };
        for y in top..bottom {
            let dy = y as f32 - centre[1];
            let dx = left as f32 - centre[0];
            let start = [w / 2.0 + c * dx - s * dy, h / 2.0 + s * dx + c * dy];
            let row = &mut frame[y * width + left..y * width + right];
            if replace {
                self.read_row(row, start, [c, s])
            } else {
                self.lay_row(row, start, [c, s])
            }
        }
    }

    fn read_row(&self, row: &mut [[f32; 4]], [mut u, mut v]: [f32; 2], [c, s]: [f32; 2]) {
        let (most_u, most_v) = (
            self.canvas.width as f32 - 1.001,
            self.canvas.height as f32 - 1.001,
        );
        for pixel in row {
            *pixel = self.sample(u.clamp(0.0, most_u), v.clamp(0.0, most_v));
            u += c;
            v += s;
        }
    }

    fn lay_row(&self, row: &mut [[f32; 4]], [mut u, mut v]: [f32; 2], [c, s]: [f32; 2]) {
        let (most_u, most_v) = (
            self.canvas.width as f32 - 1.001,
            self.canvas.height as f32 - 1.001,
        );
        for pixel in row {
            if u >= 0.0 && v >= 0.0 && u < most_u && v < most_v {
                let over = self.sample(u, v);
                let through = 1.0 - over[3];
                *pixel = std::array::from_fn(|i| over[i] + through * pixel[i]);
            }
            u += c;
            v += s;
        }
    }

    /// Bilinear.
    #[inline]
    fn sample(&self, u: f32, v: f32) -> [f32; 4] {
        let (x, y) = (u as usize, v as usize);
        let (fx, fy) = (u - x as f32, v - y as f32);
        let at = y * self.canvas.width + x;
        let upper = &self.canvas.pixels[at..at + 2];
        let lower = &self.canvas.pixels[at + self.canvas.width..][..2];
        std::array::from_fn(|i| {
            let top = upper[0][i] + fx * (upper[1][i] - upper[0][i]);
            let bottom = lower[0][i] + fx * (lower[1][i] - lower[0][i]);
            top + fy * (bottom - top)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clip(seed: u64) -> Vec<f32> {
        let mut out = vec![0.0; 3 * 3 * 64 * 96];
        Scenes::default().clip(&mut Rng::keyed(&[seed]), [3, 64, 96], &mut out);
        out
    }

    #[test]
    fn the_key_alone_decides() {
        assert_eq!(clip(4), clip(4));
        assert_ne!(clip(4), clip(5));
    }

    /// Photographs keep most of their energy in low frequencies and have heavy-tailed differences; white noise and flat
    /// fields have neither.
    #[test]
    fn statistics_resemble_photographs() {
        let scenes = Scenes::default();
        let (mut near, mut far, mut fourth, mut n) = (0.0f64, 0.0f64, 0.0f64, 0.0f64);
        for seed in 0..12 {
            let mut out = vec![0.0; 3 * 128 * 128];
            scenes.clip(&mut Rng::keyed(&[seed]), [1, 128, 128], &mut out);
            for y in 0..128 {
                for x in 0..112 {
                    let at = |dx: usize| f64::from(out[y * 128 + x + dx]);
                    let d = at(1) - at(0);
                    near += d * d;
                    fourth += d.powi(4);
                    far += (at(16) - at(0)).powi(2);
                    n += 1.0;
                }
            }
        }
        let ratio = far / near;
        assert!((4.0..60.0).contains(&ratio), "structure function {ratio}");
        let kurtosis = fourth / n / (near / n).powi(2);
        assert!(
            kurtosis > 8.0,
            "differences have no heavy tails: {kurtosis}"
        );
    }

    #[test]
    fn frames_move() {
        let moved = (0..10).filter(|&seed| {
            let clip = clip(seed);
            let (a, b) = (&clip[..64 * 96], &clip[64 * 96..2 * 64 * 96]);
            a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum::<f32>() / a.len() as f32 > 1e-3
        });
        assert!(moved.count() >= 7);
    }
}
