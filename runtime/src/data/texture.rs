//! The bank of textures that leaves are filled with: 256x256, tileable, mean 0, deviation 1. Enters: nothing but fixed
//! seeds. Leaves: noise whose amplitude falls about as 1/f, as in photographs, and repeated patterns with sharp edges.

use super::rng::Rng;

pub const SIZE: usize = 256;
pub const N_NOISES: usize = 10;
const N_PATTERNS: usize = 9;

pub struct Bank {
    textures: Vec<Vec<f32>>,
}

impl Bank {
    /// cost: about 60 ms, once
    pub fn new() -> Bank {
        let mut textures: Vec<Vec<f32>> = (0..N_NOISES).map(noise).collect();
        textures.extend((0..N_PATTERNS).map(pattern));
        textures.iter_mut().for_each(|t| normalise(t));
        Bank { textures }
    }

    pub fn noise(&self, rng: &mut Rng) -> &[f32] {
        &self.textures[rng.below(N_NOISES)]
    }

    pub fn pattern(&self, rng: &mut Rng) -> &[f32] {
        &self.textures[N_NOISES + rng.below(N_PATTERNS)]
    }
}

impl Default for Bank {
    fn default() -> Bank {
        Bank::new()
    }
}

fn normalise(texture: &mut [f32]) {
    let n = texture.len() as f32;
    let mean = texture.iter().sum::<f32>() / n;
    let variance = texture.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / n;
    let scale = 1.0 / variance.sqrt().max(1e-6);
    texture.iter_mut().for_each(|v| *v = (*v - mean) * scale);
}

/// Octaves of smooth lattice noise. Equal weights give amplitudes of 1/f; `number` tilts them and folds every third
/// texture into ridges, which look like bark, water or hair.
fn noise(number: usize) -> Vec<f32> {
    let mut rng = Rng::keyed(&[0x7e47, number as u64]);
    let tilt = [1.0, 0.85, 1.15, 0.7, 1.35, 1.0, 0.8, 1.25, 0.95, 1.1][number % 10];
    // Stretched lattices give grain with a direction.
    let stretch = [1, 1, 1, 2, 1, 4, 1, 1, 2, 1][number % 10];
    let mut out = vec![0.0; SIZE * SIZE];
    let mut weight = 1.0;
    for period in [128, 64, 32, 16, 8, 4, 2] {
        add_octave(
            &mut out,
            &mut rng,
            (period * stretch).min(128),
            period,
            weight,
            number % 3 == 2,
        );
        weight *= tilt;
    }
    out
}

fn add_octave(
    out: &mut [f32],
    rng: &mut Rng,
    period_x: usize,
    period_y: usize,
    weight: f32,
    ridged: bool,
) {
    let (nx, ny) = (SIZE / period_x, SIZE / period_y);
    let lattice: Vec<f32> = (0..nx * ny).map(|_| rng.range(-1.0, 1.0)).collect();
    let ease = |t: f32| t * t * (3.0 - 2.0 * t);
    for y in 0..SIZE {
        let (cell_y, ty) = (y / period_y, ease((y % period_y) as f32 / period_y as f32));
        let (row0, row1) = (cell_y * nx, (cell_y + 1) % ny * nx);
        for x in 0..SIZE {
            let (cell_x, tx) = (x / period_x, ease((x % period_x) as f32 / period_x as f32));
            let next = (cell_x + 1) % nx;
            let upper = lattice[row0 + cell_x] * (1.0 - tx) + lattice[row0 + next] * tx;
            let lower = lattice[row1 + cell_x] * (1.0 - tx) + lattice[row1 + next] * tx;
            let value = upper * (1.0 - ty) + lower * ty;
            out[y * SIZE + x] += weight
                * if ridged {
                    0.6 - 2.0 * value.abs()
                } else {
                    value
                };
        }
    }
}

/// Stripes, checks, bricks, dots and lines of glyph-like strokes.
fn pattern(number: usize) -> Vec<f32> {
    if number >= 7 {
        return glyphs(number);
    }
    let value = |x: usize, y: usize| match number {
        0 => x % 8 < 3,
        1 => x % 16 < 8,
        2 => (x / 8 + y / 8).is_multiple_of(2),
        3 => x % 32 < 2 || y % 32 < 2,
        4 => y % 16 < 2 || (x + y / 16 % 2 * 16) % 32 < 2,
        5 => {
            (x % 16) as i32 * (x % 16) as i32 - 15 * (x % 16) as i32
                + (y % 16) as i32 * (y % 16) as i32
                - 15 * (y % 16) as i32
                + 85
                < 0
        }
        _ => x % 64 < 32,
    };
    (0..SIZE * SIZE)
        .map(|i| if value(i % SIZE, i / SIZE) { 1.0 } else { 0.0 })
        .collect()
}

/// Rows of random strokes in cells, like print.
fn glyphs(number: usize) -> Vec<f32> {
    let mut rng = Rng::keyed(&[0x91f5, number as u64]);
    let stroke = if number == 7 { 2 } else { 4 };
    let (cell_w, cell_h) = (stroke * 4, stroke * 8);
    let mut out = vec![0.0; SIZE * SIZE];
    for (cell_y, cell_x) in (0..SIZE / cell_h).flat_map(|y| (0..SIZE / cell_w).map(move |x| (y, x)))
    {
        // Words end now and then.
        if rng.chance(0.15) {
            continue;
        }
        let bits = rng.next_u64() | 0b010_010_010_010;
        for (gy, gx) in (0..5)
            .flat_map(|y| (0..3).map(move |x| (y, x)))
            .filter(|&(y, x)| bits >> (y * 3 + x) & 1 == 1)
        {
            for i in 0..stroke * stroke {
                let (x, y) = (
                    cell_x * cell_w + gx * stroke + i % stroke,
                    cell_y * cell_h + (gy + 1) * stroke + i / stroke,
                );
                out[y * SIZE + x] = 1.0;
            }
        }
    }
    out
}
