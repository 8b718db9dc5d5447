//! A still picture of occluding shapes ("dead leaves"), at twice the resolution of the video that will look at it.
//! Enters: a random stream. Leaves: a canvas of premultiplied RGBA. Radii follow a power law, so that the statistics
//! are those of photographs: sharp edges at every size, textures, flat and soft regions, thin lines, print.

use super::rng::Rng;
use super::texture::{Bank, SIZE};

pub type Pixel = [f32; 4];

/// Canvas pixels for each pixel of the video.
pub const DENSITY: f32 = 2.0;

pub struct Canvas {
    pub width: usize,
    pub height: usize,
    pub pixels: Vec<Pixel>,
}

/// Outline of a leaf: spans of rows.
enum Outline {
    Ellipse {
        centre: [f32; 2],
        axes: [f32; 2],
        angle: f32,
    },
    /// Convex.
    Polygon(Vec<[f32; 2]>),
}

/// How a leaf is coloured: `base + slope·(x - centre) + texture * contrast`.
struct Paint<'a> {
    base: Pixel,
    slope: [Pixel; 2],
    centre: [f32; 2],
    texture: Option<&'a [f32]>,
    contrast: Pixel,
    /// Steps in the texture for one step in x and in y, and its origin; 16.16.
    steps: [[i32; 2]; 2],
    origin: [i32; 2],
}

/// What the leaves of one canvas have in common.
#[derive(Clone, Copy)]
pub struct Style {
    brightness: f32,
    spread: f32,
    tint: [f32; 2],
    smallest: f32,
    largest: f32,
    flat: f32,
    patterned: f32,
    roughness: f32,
    polygons: f32,
    n_lines: usize,
    extra_blur: usize,
}

impl Style {
    pub fn random(rng: &mut Rng) -> Style {
        let smallest = DENSITY * 1.8 * 14f32.powf(rng.unit());
        Style {
            brightness: rng.range(0.25, 0.7),
            spread: rng.range(0.08, 0.3),
            tint: [rng.range(-0.05, 0.05), rng.range(-0.05, 0.05)],
            smallest,
            largest: DENSITY * rng.range(40.0, 160.0),
            flat: rng.range(0.1, 0.4),
            patterned: if rng.chance(0.4) {
                rng.range(0.05, 0.4)
            } else {
                0.03
            },
            roughness: 0.02 * 8f32.powf(rng.unit()),
            polygons: rng.unit(),
            n_lines: if rng.chance(0.4) { rng.below(25) } else { 0 },
            extra_blur: if rng.chance(0.15) {
                1 + rng.below(3)
            } else {
                0
            },
        }
    }

    fn colour(&self, rng: &mut Rng) -> Pixel {
        let y = self.brightness + self.spread * rng.bell();
        let u = self.tint[0] + 0.035 * rng.bell();
        let v = self.tint[1] + 0.035 * rng.bell();
        let c = |value: f32| value.clamp(0.02, 0.98);
        [
            c(y + 1.4 * v),
            c(y - 0.34 * u - 0.71 * v),
            c(y + 1.77 * u),
            1.0,
        ]
    }

    /// Power law with exponent 3, so that every scale covers the same area.
    fn radius(&self, rng: &mut Rng) -> f32 {
        let (low, high) = (self.smallest.powi(-2), self.largest.powi(-2));
        (high + (low - high) * rng.unit()).powf(-0.5)
    }
}

impl Canvas {
    fn blank(width: usize, height: usize) -> Canvas {
        Canvas {
            width,
            height,
            pixels: vec![[0.0; 4]; width * height],
        }
    }

    /// A canvas covered all over.
    /// cost: about 12 ns a canvas pixel
    pub fn covered(
        width: usize,
        height: usize,
        style: &Style,
        bank: &Bank,
        rng: &mut Rng,
    ) -> Canvas {
        let mut canvas = Canvas::blank(width, height);
        let mut left = width * height;
        for _ in 0..style.n_lines {
            let paint = Paint {
                texture: None,
                ..Paint::random(style, bank, rng)
            };
            let line = Outline::line(width, height, rng);
            left -= canvas.fill(&line, &paint);
        }
        let goal = width * height / 50;
        // The front comes first; what is covered stays.
        for _ in 0..6000 {
            if left <= goal {
                break;
            }
            let at = [rng.range(0.0, width as f32), rng.range(0.0, height as f32)];
            let outline = Outline::random(at, style.radius(rng), style.polygons, rng);
            left -= canvas.fill(&outline, &Paint::random(style, bank, rng).around(at));
        }
        let everything = Outline::Polygon(vec![
            [-1.0, -1.0],
            [width as f32, -1.0],
            [width as f32, height as f32],
            [-1.0, height as f32],
        ]);
        canvas.fill(
            &everything,
            &Paint::random(style, bank, rng).around([width as f32 / 2.0, height as f32 / 2.0]),
        );
        (0..=style.extra_blur).for_each(|_| canvas.soften());
        canvas
    }

    /// A canvas covered inside one shape of about `radius`, and clear outside.
    pub fn object(radius: f32, style: &Style, bank: &Bank, rng: &mut Rng) -> Canvas {
        let size = (radius * 2.2) as usize + 8;
        let mut canvas = Canvas::covered(
            size,
            size,
            &Style {
                extra_blur: 0,
                ..*style
            },
            bank,
            rng,
        );
        let middle = [size as f32 / 2.0; 2];
        let outline = Outline::random(middle, radius, style.polygons, rng);
        for y in 0..size {
            let (from, to) = outline.span(y, size);
            let row = &mut canvas.pixels[y * size..][..size];
            row[..from].fill([0.0; 4]);
            row[to..].fill([0.0; 4]);
        }
        canvas.soften();
        canvas
    }

    /// Colours what is still clear inside the outline; returns the number of pixels.
    fn fill(&mut self, outline: &Outline, paint: &Paint) -> usize {
        let mut n_filled = 0;
        let (top, bottom) = outline.rows(self.height);
        for y in top..bottom {
            let (from, to) = outline.span(y, self.width);
            if from < to {
                let row = &mut self.pixels[y * self.width + from..y * self.width + to];
                n_filled += paint.row(row, from, y);
            }
        }
        n_filled
    }

    /// Mean of 2x2 neighbours: with bilinear reading afterwards, a pixel of the video sees one pixel's area.
    fn soften(&mut self) {
        let width = self.width;
        for y in 0..self.height {
            let below = if y + 1 < self.height {
                (y + 1) * width
            } else {
                y * width
            };
            for x in 0..width {
                let right = if x + 1 < width { x + 1 } else { x };
                let (a, b) = (self.pixels[y * width + x], self.pixels[y * width + right]);
                let (c, d) = (self.pixels[below + x], self.pixels[below + right]);
                self.pixels[y * width + x] =
                    std::array::from_fn(|i| 0.25 * (a[i] + b[i] + c[i] + d[i]));
            }
        }
    }
}

impl Outline {
    fn random(centre: [f32; 2], radius: f32, polygons: f32, rng: &mut Rng) -> Outline {
        let angle = rng.range(0.0, std::f32::consts::TAU);
        let aspect = if rng.chance(0.5) {
            1.0
        } else {
            rng.range(0.25, 1.0)
        };
        if !rng.chance(polygons) {
            return Outline::Ellipse {
                centre,
                axes: [radius, radius * aspect],
                angle,
            };
        }
        let corners = [3, 4, 4, 4, 5, 6][rng.below(6)];
        let turned = |i: usize| {
            let a = std::f32::consts::TAU * (i as f32 + 0.5) / corners as f32;
            let (x, y) = (a.cos() * radius, a.sin() * radius * aspect);
            [
                centre[0] + x * angle.cos() - y * angle.sin(),
                centre[1] + x * angle.sin() + y * angle.cos(),
            ]
        };
        Outline::Polygon((0..corners).map(turned).collect())
    }

    /// A long thin bar, from half a video pixel to three.
    fn line(width: usize, height: usize, rng: &mut Rng) -> Outline {
        let centre = [rng.range(0.0, width as f32), rng.range(0.0, height as f32)];
        let (half, length) = (
            DENSITY * rng.range(0.25, 1.5),
            rng.range(30.0, width as f32),
        );
        let angle = rng.range(0.0, std::f32::consts::TAU);
        let (along, across) = (
            [angle.cos() * length, angle.sin() * length],
            [-angle.sin() * half, angle.cos() * half],
        );
        let corner = |a: f32, b: f32| {
            [
                centre[0] + a * along[0] + b * across[0],
                centre[1] + a * along[1] + b * across[1],
            ]
        };
        Outline::Polygon(vec![
            corner(-1.0, -1.0),
            corner(1.0, -1.0),
            corner(1.0, 1.0),
            corner(-1.0, 1.0),
        ])
    }

    fn rows(&self, height: usize) -> (usize, usize) {
        let (low, high) = match self {
            Outline::Ellipse {
                centre,
                axes,
                angle,
            } => {
                let reach = (axes[0] * angle.sin()).hypot(axes[1] * angle.cos());
                (centre[1] - reach, centre[1] + reach)
            }
            Outline::Polygon(points) => {
                let ys = points.iter().map(|p| p[1]);
                (
                    ys.clone().fold(f32::INFINITY, f32::min),
                    ys.fold(f32::NEG_INFINITY, f32::max),
                )
            }
        };
        (
            low.floor().max(0.0) as usize,
            (high.ceil() + 1.0).clamp(0.0, height as f32) as usize,
        )
    }

    /// First and last + 1 column of a row.
    fn span(&self, y: usize, width: usize) -> (usize, usize) {
        let y = y as f32;
        let (low, high) = match self {
            Outline::Ellipse {
                centre,
                axes,
                angle,
            } => {
                let dy = y - centre[1];
                let (c, s) = (angle.cos(), angle.sin());
                let (ia, ib) = (axes[0].powi(-2), axes[1].max(0.5).powi(-2));
                // a x² + 2 b x + k <= 0 for x relative to the centre.
                let a = c * c * ia + s * s * ib;
                let b = c * s * (ia - ib) * dy;
                let k = dy * dy * (s * s * ia + c * c * ib) - 1.0;
                let root = b * b - a * k;
                if root <= 0.0 {
                    return (0, 0);
                }
                (
                    centre[0] + (-b - root.sqrt()) / a,
                    centre[0] + (-b + root.sqrt()) / a,
                )
            }
            Outline::Polygon(points) => {
                let (mut low, mut high) = (f32::INFINITY, f32::NEG_INFINITY);
                for (i, p) in points.iter().enumerate() {
                    let q = points[(i + 1) % points.len()];
                    if (p[1] <= y) != (q[1] <= y) {
                        let x = p[0] + (y - p[1]) / (q[1] - p[1]) * (q[0] - p[0]);
                        low = low.min(x);
                        high = high.max(x);
                    }
                }
                (low, high)
            }
        };
        if low >= high {
            return (0, 0);
        }
        let column = |x: f32| x.ceil().clamp(0.0, width as f32) as usize;
        (column(low), column(high))
    }
}

impl<'a> Paint<'a> {
    fn random(style: &Style, bank: &'a Bank, rng: &mut Rng) -> Paint<'a> {
        let kind = rng.unit();
        let (texture, strength) = if kind < style.flat {
            (None, 0.0)
        } else if kind < style.flat + style.patterned {
            (Some(bank.pattern(rng)), rng.range(0.03, 0.25))
        } else {
            (Some(bank.noise(rng)), style.roughness * rng.range(0.3, 1.7))
        };
        let grey = rng.range(0.6, 1.0);
        let contrast = std::array::from_fn(|c| {
            if c < 3 {
                strength * (grey + (1.0 - grey) * rng.range(-1.0, 1.0))
            } else {
                0.0
            }
        });
        let slope = [0, 1].map(|_| {
            let steep = if rng.chance(0.5) {
                0.002 * rng.bell()
            } else {
                0.0
            };
            [steep, steep * 0.95, steep * 0.9, 0.0]
        });
        let (angle, zoom) = (
            rng.range(0.0, std::f32::consts::TAU),
            rng.range(0.6, 1.6) * 65536.0,
        );
        let (c, s) = ((angle.cos() * zoom) as i32, (angle.sin() * zoom) as i32);
        let origin = [0, 1].map(|_| (rng.next_u64() & 0xff_ffff) as i32);
        Paint {
            base: style.colour(rng),
            slope,
            centre: [0.0; 2],
            texture,
            contrast,
            steps: [[c, s], [-s, c]],
            origin,
        }
    }

    fn around(self, centre: [f32; 2]) -> Paint<'a> {
        Paint { centre, ..self }
    }

    /// Colours the clear pixels of a row that begins at column `x0`.
    fn row(&self, row: &mut [Pixel], x0: usize, y: usize) -> usize {
        let (dx, dy) = (x0 as f32 - self.centre[0], y as f32 - self.centre[1]);
        let mut colour: Pixel =
            std::array::from_fn(|c| self.base[c] + self.slope[0][c] * dx + self.slope[1][c] * dy);
        let at = |axis: usize| {
            let (x, y) = (x0 as i32, y as i32);
            self.origin[axis]
                .wrapping_add(self.steps[0][axis].wrapping_mul(x))
                .wrapping_add(self.steps[1][axis].wrapping_mul(y))
        };
        let (mut u, mut v) = (at(0), at(1));
        let mut n_filled = 0;
        let flat = [0.0; 1];
        let (texture, mask) = match self.texture {
            Some(texture) => (texture, SIZE - 1),
            None => (&flat[..], 0),
        };
        for pixel in row {
            if pixel[3] == 0.0 {
                let cell = (v >> 16) as usize & mask;
                let value =
                    texture[(cell * SIZE * usize::from(mask > 0)) + ((u >> 16) as usize & mask)];
                *pixel = std::array::from_fn(|c| colour[c] + value * self.contrast[c]);
                n_filled += 1;
            }
            colour = std::array::from_fn(|c| colour[c] + self.slope[0][c]);
            u = u.wrapping_add(self.steps[0][0]);
            v = v.wrapping_add(self.steps[0][1]);
        }
        n_filled
    }
}
