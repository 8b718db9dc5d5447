//! Bicubic resizing as MATLAB's `imresize` does it: a = -0.5, the kernel widened when shrinking, pixel centres at
//! halves, borders mirrored with their edge pixel repeated. Enters and leaves: planes of unrounded values.

use super::Plane;

/// Resizes to `width` x `height`; each scale is the quotient of the sizes.
/// cost: 4 (enlarging) or 4/scale (shrinking) multiplications a value and direction
pub fn imresize(plane: &Plane, width: usize, height: usize) -> Plane {
    // As MATLAB: the direction that shrinks most goes first, rows on a tie.
    let rows_first = height * plane.width <= width * plane.height;
    if rows_first {
        resize_rows(&resize_columns(plane, height), width)
    } else {
        resize_columns(&resize_rows(plane, width), height)
    }
}

/// RGB to RGB, rounded to 8 bits.
pub fn imresize_rgb(rgb: &[u8], from: (usize, usize), to: (usize, usize)) -> Vec<u8> {
    let mut out = vec![0; to.0 * to.1 * 3];
    for (c, plane) in super::channels(rgb, from.0, from.1).iter().enumerate() {
        let resized = imresize(plane, to.0, to.1);
        for (out, value) in out[c..].iter_mut().step_by(3).zip(&resized.data) {
            *out = value.round().clamp(0.0, 255.0) as u8;
        }
    }
    out
}

/// Source positions and weights of one output position; equal in number for all of them.
struct Taps {
    n_taps: usize,
    positions: Vec<u32>,
    weights: Vec<f32>,
}

impl Taps {
    fn new(from: usize, to: usize) -> Taps {
        let scale = to as f64 / from as f64;
        let shrink = scale.min(1.0);
        let reach = 4.0 / shrink;
        let n_taps = reach.ceil() as usize + 2;
        let mut taps = Taps {
            n_taps,
            positions: Vec::new(),
            weights: Vec::new(),
        };
        for out in 0..to {
            // Output centre in source pixels, counted from 0.
            let centre = (out as f64 + 0.5) / scale - 0.5;
            let first = (centre - reach / 2.0).floor() as i64;
            let raw: Vec<f64> = (0..n_taps as i64)
                .map(|t| shrink * cubic(shrink * (centre - (first + t) as f64)))
                .collect();
            let sum: f64 = raw.iter().sum();
            taps.weights.extend(raw.iter().map(|w| (w / sum) as f32));
            taps.positions
                .extend((0..n_taps as i64).map(|t| mirror(first + t, from)));
        }
        taps
    }

    fn of(&self, out: usize) -> impl Iterator<Item = (usize, f32)> {
        let range = out * self.n_taps..(out + 1) * self.n_taps;
        self.positions[range.clone()]
            .iter()
            .zip(&self.weights[range])
            .map(|(&p, &w)| (p as usize, w))
            .filter(|t| t.1 != 0.0)
    }
}

/// Keys' kernel with a = -0.5.
fn cubic(x: f64) -> f64 {
    let x = x.abs();
    if x <= 1.0 {
        1.5 * x.powi(3) - 2.5 * x.powi(2) + 1.0
    } else if x <= 2.0 {
        -0.5 * x.powi(3) + 2.5 * x.powi(2) - 4.0 * x + 2.0
    } else {
        0.0
    }
}

/// … 1 0 | 0 1 2 … n-1 | n-1 n-2 …
fn mirror(position: i64, n: usize) -> u32 {
    let n = n as i64;
    let folded = position.rem_euclid(2 * n);
    folded.min(2 * n - 1 - folded) as u32
}

fn resize_columns(plane: &Plane, height: usize) -> Plane {
    let taps = Taps::new(plane.height, height);
    let width = plane.width;
    let mut data = vec![0.0; width * height];
    for (y, out) in data.chunks_exact_mut(width).enumerate() {
        for (row, weight) in taps.of(y) {
            let source = &plane.data[row * width..][..width];
            out.iter_mut()
                .zip(source)
                .for_each(|(o, s)| *o += weight * s);
        }
    }
    Plane {
        width,
        height,
        data,
    }
}

fn resize_rows(plane: &Plane, width: usize) -> Plane {
    let taps = Taps::new(plane.width, width);
    let mut data = Vec::with_capacity(width * plane.height);
    for row in plane.data.chunks_exact(plane.width) {
        data.extend(
            (0..width).map(|x| taps.of(x).map(|(at, weight)| weight * row[at]).sum::<f32>()),
        );
    }
    Plane {
        width,
        height: plane.height,
        data,
    }
}
