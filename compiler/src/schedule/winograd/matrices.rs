//! The three matrices of Winograd's transforms, by Toom and Cook's construction over fixed points.
//!
//! Enters how many results a tile has; leaves numbers, rounded to f32 once. No net is seen here.

use super::TAPS;

/// Values at which the polynomials are taken; infinity comes after the last one that is used. Small and reciprocal ones
/// keep errors within a few times those of the direct sum, which a test below measures.
const POINTS: [f64; 7] = [0.0, 1.0, -1.0, 2.0, -0.5, 0.5, -2.0];

/// Most results of a tile.
pub const MAX_TILE_RESULTS: i64 = POINTS.len() as i64 + 2 - TAPS;

/// `Aᵀ((G k) ⊙ (Bᵀ x))` is the tile of `m` sums over three taps. Rows are points.
pub struct Matrices {
    /// [points, points]: Bᵀ
    pub b: Vec<f32>,
    /// [points, taps]
    pub g: Vec<f32>,
    /// [points, m]
    pub a: Vec<f32>,
}

pub fn matrices(m: i64) -> Matrices {
    let n = (m + TAPS - 1) as usize;
    let points = &POINTS[..n - 1];
    let power = |x: f64, i: usize| x.powi(i as i32);
    let at_infinity = |i: usize, len: usize| f64::from(u8::from(i + 1 == len));
    let (mut b, mut g, mut a) = (vec![], vec![], vec![]);
    for k in 0..n {
        let others: Vec<f64> = (0..n - 1).filter(|l| *l != k).map(|l| points[l]).collect();
        let mut row = from_roots(&others);
        row.resize(n, 0.0);
        b.extend(row);
        let at = points.get(k);
        let norm: f64 = at.map_or(1.0, |x| others.iter().map(|y| x - y).product());
        let taps = TAPS as usize;
        g.extend((0..taps).map(|j| at.map_or(at_infinity(j, taps), |x| power(*x, j) / norm)));
        let m = m as usize;
        a.extend((0..m).map(|i| at.map_or(at_infinity(i, m), |x| power(*x, i))));
    }
    let f32s = |v: Vec<f64>| v.into_iter().map(|x| x as f32).collect();
    Matrices {
        b: f32s(b),
        g: f32s(g),
        a: f32s(a),
    }
}

/// Coefficients of `Π (x - root)`, the constant first.
fn from_roots(roots: &[f64]) -> Vec<f64> {
    let mut poly = vec![1.0];
    for root in roots {
        let shifted = [0.0].into_iter().chain(poly.iter().copied());
        let scaled = poly.iter().map(|c| -root * c).chain([0.0]);
        poly = shifted.zip(scaled).map(|(s, c)| s + c).collect();
    }
    poly
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_sums_over_three_taps() {
        for m in 2..=MAX_TILE_RESULTS {
            let (n, f) = ((m + TAPS - 1) as usize, matrices(m));
            let x: Vec<f64> = (0..n).map(|i| (i * i % 7) as f64 - 2.5).collect();
            let k = [0.75, -1.5, 0.25];
            let dot = |row: &[f32], v: &[f64]| -> f64 {
                row.iter().zip(v).map(|(a, b)| f64::from(*a) * b).sum()
            };
            let product: Vec<f64> = (0..n)
                .map(|p| dot(&f.b[p * n..][..n], &x) * dot(&f.g[p * 3..][..3], &k))
                .collect();
            for i in 0..m as usize {
                let column: Vec<f32> = (0..n).map(|p| f.a[p * m as usize + i]).collect();
                let direct: f64 = (0..3).map(|q| k[q] * x[i + q]).sum();
                assert!(
                    (dot(&column, &product) - direct).abs() < 1e-5,
                    "tile of {m}, result {i}"
                );
            }
        }
    }

    /// In f32, over 64 channels: the root mean square error beside that of the direct sum.
    #[test]
    fn errors_stay_near_those_of_the_direct_sum() {
        const CHANNELS: usize = 64;
        let mut state = 1u64;
        let mut noise = || {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        };
        let dot = |row: &[f32], v: &[f32]| row.iter().zip(v).fold(0f32, |s, (a, b)| s + a * b);
        for m in 2..=MAX_TILE_RESULTS {
            let (n, n_tiles, f) = ((m + TAPS - 1) as usize, 500, matrices(m));
            let (mut winograd, mut direct) = (0.0, 0.0);
            for _ in 0..n_tiles {
                let x: Vec<f32> = (0..CHANNELS * n).map(|_| noise()).collect();
                let k: Vec<f32> = (0..CHANNELS * 3).map(|_| noise()).collect();
                let of = |c: usize, p: usize| {
                    dot(&f.b[p * n..][..n], &x[c * n..][..n])
                        * dot(&f.g[p * 3..][..3], &k[c * 3..][..3])
                };
                let sums: Vec<f32> = (0..n)
                    .map(|p| (0..CHANNELS).fold(0f32, |s, c| s + of(c, p)))
                    .collect();
                for i in 0..m as usize {
                    let column: Vec<f32> = (0..n).map(|p| f.a[p * m as usize + i]).collect();
                    let terms = || (0..CHANNELS * 3).map(|t| (k[t], x[t / 3 * n + i + t % 3]));
                    let exact: f64 = terms().map(|(k, x)| f64::from(k) * f64::from(x)).sum();
                    let plain = terms().fold(0f32, |s, (k, x)| s + k * x);
                    winograd += (f64::from(dot(&column, &sums)) - exact).powi(2);
                    direct += (f64::from(plain) - exact).powi(2);
                }
            }
            let ratio = (winograd / direct).sqrt();
            assert!(
                ratio < 4.0,
                "tile of {m}: {ratio:.2} times the error of the direct sum"
            );
        }
    }
}
