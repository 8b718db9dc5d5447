//! Where the tiles of a frame lie and which part of each result counts. Enters: sizes, the network's field. Leaves: for
//! each axis, starts of tiles and weights. Exact tiling only copies; blending gives weights that sum to 1 after
//! division.

use crate::video::{MediaError, Result};

/// How results of neighbouring tiles meet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Seam {
    /// Finite field: tiles begin at multiples of `stride`, `halo` pixels at inner edges are thrown away. Equal to the
    /// whole frame, bit for bit.
    Exact { halo: usize, stride: usize },
    /// No finite field: `overlap` pixels are blended.
    Blended { overlap: usize },
}

/// Tiles along one axis. All numbers in input pixels.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// Length after padding up to the tile or the stride.
    pub padded: usize,
    pub tile: usize,
    pub starts: Vec<usize>,
    pub seam: Seam,
}

impl Axis {
    pub fn plan(length: usize, tile: usize, seam: Seam) -> Result<Axis> {
        let (stride, step) = match seam {
            Seam::Exact { halo, stride } => (
                stride.max(1),
                tile.saturating_sub(2 * halo) / stride.max(1) * stride.max(1),
            ),
            Seam::Blended { overlap } => (1, tile.saturating_sub(overlap)),
        };
        let padded = length.next_multiple_of(stride).max(tile);
        let last = padded - tile;
        if last > 0 && step == 0 {
            let margin = match seam {
                Seam::Exact { halo, .. } => format!("a halo of {halo} on each side"),
                Seam::Blended { overlap } => format!("an overlap of {overlap}"),
            };
            return Err(MediaError::user(format!(
                "a tile of {tile} pixels leaves nothing after {margin}: compile a larger profile or give a \
                    smaller --overlap"
            )));
        }
        let n_more = if last == 0 { 0 } else { last.div_ceil(step) };
        let starts = match seam {
            Seam::Exact { .. } => (0..=n_more).map(|k| (k * step).min(last)).collect(),
            // Spread evenly: no tile is blended more than it must.
            Seam::Blended { .. } => (0..=n_more)
                .map(|k| (k * last).checked_div(n_more).unwrap_or(0))
                .collect(),
        };
        Ok(Axis {
            padded,
            tile,
            starts,
            seam,
        })
    }

    /// The pixels of the frame that tile `k` answers for, when tiles are exact.
    pub fn owned(&self, k: usize) -> std::ops::Range<usize> {
        let Seam::Exact { halo, .. } = self.seam else {
            return self.starts[k]..self.starts[k] + self.tile;
        };
        let from = if k == 0 { 0 } else { self.starts[k] + halo };
        let to = if k + 1 == self.starts.len() {
            self.padded
        } else {
            self.starts[k + 1] + halo
        };
        from..to
    }

    /// Weight of each of the `tile * scale` results of tile `k` when tiles are blended. Edges of the frame count fully;
    /// the outermost pixels of inner edges saw a false border and count nothing.
    pub fn weights(&self, k: usize, scale: usize) -> Vec<f32> {
        let Seam::Blended { overlap } = self.seam else {
            return vec![1.0; self.tile * scale];
        };
        let n = self.tile * scale;
        let (margin, ramp) = (
            (overlap * scale) as f32 / 4.0,
            (overlap * scale) as f32 / 2.0,
        );
        let rise = |distance: f32| {
            let t = ((distance - margin) / ramp.max(1e-6)).clamp(0.0, 1.0);
            // Never quite 0, so that what no other tile covers is kept.
            (t * t * (3.0 - 2.0 * t)).max(1e-6)
        };
        let (first, last) = (k == 0, k + 1 == self.starts.len());
        let weight = |i: usize| {
            let before = if first { 1.0 } else { rise(i as f32 + 0.5) };
            let after = if last {
                1.0
            } else {
                rise((n - i) as f32 - 0.5)
            };
            before * after
        };
        (0..n).map(weight).collect()
    }
}

/// Position within `0..n` after mirroring at both ends, without repeating the edge.
pub fn mirror(i: i64, n: usize) -> usize {
    let n = n as i64;
    if n == 1 {
        return 0;
    }
    let folded = i.rem_euclid(2 * n - 2);
    folded.min(2 * n - 2 - folded) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_tiles_own_every_pixel_once() {
        for (length, tile, halo, stride) in [
            (100, 32, 5, 1),
            (64, 64, 20, 4),
            (65, 64, 20, 4),
            (7, 16, 3, 2),
            (333, 48, 8, 4),
        ] {
            let axis = Axis::plan(length, tile, Seam::Exact { halo, stride }).unwrap();
            assert!(
                axis.padded >= length
                    && (axis.padded.is_multiple_of(stride) || axis.padded == tile)
            );
            let mut next = 0;
            for k in 0..axis.starts.len() {
                let owned = axis.owned(k);
                assert_eq!(owned.start, next, "no gap, no overlap");
                next = owned.end;
                assert_eq!(axis.starts[k] % stride, 0);
                let (start, end) = (axis.starts[k], axis.starts[k] + tile);
                assert!(owned.start >= if k == 0 { 0 } else { start + halo });
                assert!(
                    owned.end
                        <= if k + 1 == axis.starts.len() {
                            end
                        } else {
                            end - halo
                        }
                );
            }
            assert_eq!(next, axis.padded);
        }
    }

    #[test]
    fn blended_tiles_cover_every_pixel() {
        for (length, tile, overlap) in [
            (100, 32, 8),
            (64, 64, 16),
            (200, 64, 16),
            (10, 64, 16),
            (65, 64, 16),
        ] {
            let axis = Axis::plan(length, tile, Seam::Blended { overlap }).unwrap();
            let mut sums = vec![0.0; axis.padded * 2];
            for (k, &start) in axis.starts.iter().enumerate() {
                axis.weights(k, 2)
                    .iter()
                    .enumerate()
                    .for_each(|(i, w)| sums[start * 2 + i] += w);
            }
            assert!(sums.iter().all(|&s| s > 0.2), "{length} {tile} {overlap}");
        }
    }

    #[test]
    fn tiles_without_a_middle_are_refused() {
        let refused = Axis::plan(
            100,
            32,
            Seam::Exact {
                halo: 16,
                stride: 1,
            },
        )
        .unwrap_err()
        .to_string();
        assert!(
            refused.contains("tile of 32") && refused.contains("halo of 16"),
            "{refused}"
        );
    }

    #[test]
    fn mirrors() {
        assert_eq!(
            [-2, -1, 0, 3, 4, 5, 9].map(|i| mirror(i, 4)),
            [2, 1, 0, 3, 2, 1, 3]
        );
        assert_eq!(mirror(5, 1), 0);
    }
}
