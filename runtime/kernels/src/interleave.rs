//! Rows interleaved into one: element i of row k goes to place `n_rows·i + k` (a pixel shuffle's lines). Rows enter, one row
//! leaves; nothing is computed.

use crate::Level;

/// Sources and destination of one call.
#[derive(Clone, Copy)]
pub struct Interleave {
    pub dst: *mut f32,
    /// The first row; each other one starts `step` floats after the one before.
    pub src: *const f32,
    pub step: i64,
    /// Elements of each row.
    pub n: i64,
    /// Stores bypass the caches: nobody reads the result soon.
    pub non_temporal: bool,
}

/// # Safety
/// Rows hold n floats, `dst` holds n_rows·n and overlaps none of them; `level` is available on this machine.
pub unsafe fn interleave(level: Level, n_rows: i64, w: Interleave) {
    // SAFETY: the caller vouches for the level, whose instructions each of these needs, and for the rows and dst.
    unsafe {
        let done = match (level, n_rows) {
            #[cfg(target_arch = "x86_64")]
            (Level::Avx512, 2) => wide::<2>(w),
            #[cfg(target_arch = "x86_64")]
            (Level::Avx512, 4) => wide::<4>(w),
            #[cfg(target_arch = "x86_64")]
            (Level::Avx2, 2) => narrow::<2>(w),
            #[cfg(target_arch = "x86_64")]
            (Level::Avx2, 4) => narrow::<4>(w),
            _ => 0,
        };
        plain(n_rows, w, done);
    }
}

unsafe fn plain(n_rows: i64, w: Interleave, first: i64) {
    for i in first..w.n {
        for k in 0..n_rows {
            // SAFETY: i is below n and k below n_rows, for which the caller vouches.
            unsafe { *w.dst.offset((n_rows * i + k) as isize) = *w.row(k).offset(i as isize) };
        }
    }
}

impl Interleave {
    fn row(&self, k: i64) -> *const f32 {
        self.src.wrapping_offset((k * self.step) as isize)
    }

    /// Whether whole vectors of so many bytes may be stored non-temporally.
    fn stores_non_temporal(&self, bytes: usize) -> bool {
        self.non_temporal && (self.dst as usize).is_multiple_of(bytes)
    }
}

/// For each width: `wide::<N_ROWS>(w)` interleaves whole vectors and returns how many elements of each row are done.
macro_rules! widths {
    ($(
        $name:ident $features:literal $lanes:literal $zero:ident $load:ident $store:ident $stream:ident $pair:expr;
    )*) => { $(
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = $features)]
        unsafe fn $name<const N_ROWS: usize>(w: Interleave) -> i64 {
            use std::arch::x86_64::*;
            let pair = $pair;
            let non_temporal = w.stores_non_temporal(4 * $lanes);
            let whole = w.n.max(0) / $lanes * $lanes;
            for i in (0..whole as usize).step_by($lanes) {
                // SAFETY: i ends at n or before, so each row has a vector there, and dst one for each row; dst is
                // aligned where it is streamed (`stores_non_temporal`).
                unsafe {
                    let row = |k: usize| $load(w.row(k as i64).add(i));
                    let mut out = [$zero(); N_ROWS];
                    if N_ROWS == 2 {
                        (out[0], out[1]) = pair(row(0), row(1));
                    } else {
                        let (even, odd) = (pair(row(0), row(2)), pair(row(1), row(3)));
                        (out[0], out[1]) = pair(even.0, odd.0);
                        (out[2], out[3]) = pair(even.1, odd.1);
                    }
                    for (k, v) in out.into_iter().enumerate() {
                        let to = w.dst.add(N_ROWS * i + $lanes * k);
                        match non_temporal {
                            true => $stream(to, v),
                            false => $store(to, v),
                        }
                    }
                }
            }
            _mm256_zeroupper();
            whole
        }
    )* };
}

widths! {
    wide "avx512f" 16 _mm512_setzero_ps _mm512_loadu_ps _mm512_storeu_ps _mm512_stream_ps {
        let low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
        let high = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
        move |a, b| (_mm512_permutex2var_ps(a, low, b), _mm512_permutex2var_ps(a, high, b))
    };
    narrow "avx2" 8 _mm256_setzero_ps _mm256_loadu_ps _mm256_storeu_ps _mm256_stream_ps {
        |a, b| {
            let (low, high) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
            (_mm256_permute2f128_ps::<0x20>(low, high), _mm256_permute2f128_ps::<0x31>(low, high))
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_interleaves_exactly_n() {
        let step = 130;
        let src: Vec<f32> = (0..4 * step).map(|i| i as f32).collect();
        for level in Level::available() {
            for (n_rows, n, first, non_temporal) in [
                (2, 100, 0, true),
                (2, 33, 3, true),
                (4, 64, 0, true),
                (4, 47, 1, false),
                (3, 20, 0, true),
                (2, 0, 0, false),
                (4, 7, 0, true),
            ] {
                let mut dst = vec![-1.0; 600];
                let aligned = dst.as_ptr().align_offset(64) + first;
                // SAFETY: rows lie in `src`, `dst` has room for n_rows·n floats behind the first, and the level is
                // available.
                unsafe {
                    let w = Interleave {
                        dst: dst.as_mut_ptr().add(aligned),
                        src: src.as_ptr(),
                        step: step as i64,
                        n,
                        non_temporal,
                    };
                    interleave(level, n_rows, w);
                }
                let end = aligned + (n_rows * n) as usize;
                for (i, y) in dst[aligned..end].iter().enumerate() {
                    let (k, i) = (i % n_rows as usize, i / n_rows as usize);
                    assert_eq!(*y, src[k * step + i]);
                }
                let rest = dst[..aligned].iter().chain(&dst[end..]);
                assert!(rest.into_iter().all(|y| *y == -1.0));
            }
        }
    }
}
