//! Transposition: a strided source becomes a contiguous destination. Elements enter and leave; nothing is
//! computed.
//!
//! A square of one cache line each way is transposed in registers, so that lines are read and written whole. Squares follow
//! each other along the lines that are read, which stay open.

use crate::Level;

/// Sources and destination of one call: `dst[r·dst_step + i] = src[i·src_step + r]` for r below `rows`, i below `n`.
#[derive(Clone, Copy)]
pub struct Transpose {
    pub dst: *mut f32,
    pub dst_step: i64,
    pub src: *const f32,
    pub src_step: i64,
    pub rows: i64,
    pub n: i64,
    /// Prefetched meanwhile: what is read next, `next[i·next_step + r]`.
    pub next: *const f32,
    pub next_step: i64,
    /// Stores bypass the caches: nobody reads the result soon.
    pub non_temporal: bool,
}

/// # Safety
/// Both places hold these elements and do not overlap; `level` is available on this machine.
pub unsafe fn transpose(level: Level, t: Transpose) {
    // SAFETY: the caller vouches for the level, whose instructions each of these needs, and for both places.
    unsafe {
        match level {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => wide(t),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => narrow(t),
            _ => squares(t, PORTABLE, |t, r, i| t.part(r, i, PORTABLE, PORTABLE)),
        }
    }
}

/// Side of a square that is transposed element by element.
const PORTABLE: i64 = 8;

impl Transpose {
    fn from(&self, r: i64, i: i64) -> *const f32 {
        self.src.wrapping_offset((i * self.src_step + r) as isize)
    }

    fn to(&self, r: i64, i: i64) -> *mut f32 {
        self.dst.wrapping_offset((r * self.dst_step + i) as isize)
    }

    /// Prefetches what will be read where this square is.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    fn prefetch(&self, r: i64, i: i64, side: i64) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        for i in i..i + side {
            let line = self.next.wrapping_offset((i * self.next_step + r) as isize);
            // SAFETY: prefetching what is not there is allowed.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(line.cast()) };
        }
    }

    /// Some rows of some elements, one by one.
    unsafe fn part(&self, r: i64, i: i64, rows: i64, n: i64) {
        for i in i..i + n {
            for r in r..r + rows {
                // SAFETY: r and i lie below `rows` and `n` of the call, which the caller vouches for.
                unsafe { *self.to(r, i) = *self.from(r, i) };
            }
        }
    }

    /// Whether whole lines of so many floats may be stored non-temporally.
    fn stores_non_temporal(&self, floats: i64) -> bool {
        let aligned = (self.dst as usize).is_multiple_of(4 * floats as usize);
        self.non_temporal && aligned && self.dst_step % floats == 0
    }
}

/// Transposes whole squares by `square`, and what is left one by one.
#[inline(always)]
unsafe fn squares(t: Transpose, side: i64, square: impl Fn(Transpose, i64, i64)) {
    let (rows, n) = (t.rows / side * side, t.n / side * side);
    for i in (0..n).step_by(side as usize) {
        for r in (0..rows).step_by(side as usize) {
            square(t, r, i);
        }
        // SAFETY: these are the rows that no whole square covers, within the call.
        unsafe { t.part(rows, i, t.rows - rows, side) };
    }
    // SAFETY: these are the elements that no whole square covers, within the call.
    unsafe { t.part(0, n, t.rows, t.n - n) };
}

/// For each width: transposes squares of that side, whose rows become its columns in registers.
macro_rules! widths {
    ($(
        $name:ident $features:literal $side:literal $zero:ident $load:ident $store:ident $stream:ident $transposed:expr;
    )*) => { $(
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = $features)]
        unsafe fn $name(t: Transpose) {
            use std::arch::x86_64::*;
            let transposed = $transposed;
            let non_temporal = t.stores_non_temporal($side);
            let square = |t: Transpose, r: i64, i: i64| {
                t.prefetch(r, i, $side);
                let mut x = [$zero(); $side];
                for (k, x) in x.iter_mut().enumerate() {
                    // SAFETY: squares are whole, so src has so many rows from r on at each of these elements.
                    *x = unsafe { $load(t.from(r, i + k as i64)) };
                }
                for (k, y) in transposed(x).into_iter().enumerate() {
                    let to = t.to(r + k as i64, i);
                    // SAFETY: the square's side lies in dst, and is aligned where it is streamed
                    // (`stores_non_temporal`).
                    unsafe {
                        match non_temporal {
                            true => $stream(to, y),
                            false => $store(to, y),
                        }
                    }
                }
            };
            // SAFETY: the caller vouches for both places, and `square` reads and writes one square of them.
            unsafe { squares(t, $side, square) };
            _mm256_zeroupper();
        }
    )* };
}

widths! {
    wide "avx512f" 16 _mm512_setzero_ps _mm512_loadu_ps _mm512_storeu_ps _mm512_stream_ps {
        let quarters = |a: __m512, b: __m512| {
            (_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0xdd>(a, b))
        };
        move |mut x: [__m512; 16]| {
            // Elements of two rows alternate, then pairs of those; then quarters of four rows are sorted.
            let mut y = x;
            for k in (0..16).step_by(2) {
                y[k] = _mm512_unpacklo_ps(x[k], x[k + 1]);
                y[k + 1] = _mm512_unpackhi_ps(x[k], x[k + 1]);
            }
            for k in (0..16).step_by(4) {
                x[k] = _mm512_shuffle_ps::<0x44>(y[k], y[k + 2]);
                x[k + 1] = _mm512_shuffle_ps::<0xee>(y[k], y[k + 2]);
                x[k + 2] = _mm512_shuffle_ps::<0x44>(y[k + 1], y[k + 3]);
                x[k + 3] = _mm512_shuffle_ps::<0xee>(y[k + 1], y[k + 3]);
            }
            for k in 0..4 {
                (y[k], y[k + 4]) = quarters(x[k], x[k + 4]);
                (y[k + 8], y[k + 12]) = quarters(x[k + 8], x[k + 12]);
            }
            for k in 0..8 {
                (x[k], x[k + 8]) = quarters(y[k], y[k + 8]);
            }
            x
        }
    };
    narrow "avx2" 8 _mm256_setzero_ps _mm256_loadu_ps _mm256_storeu_ps _mm256_stream_ps {
        |mut x: [__m256; 8]| {
            let mut y = x;
            for k in (0..8).step_by(2) {
                y[k] = _mm256_unpacklo_ps(x[k], x[k + 1]);
                y[k + 1] = _mm256_unpackhi_ps(x[k], x[k + 1]);
            }
            for k in [0, 4] {
                x[k] = _mm256_shuffle_ps::<0x44>(y[k], y[k + 2]);
                x[k + 1] = _mm256_shuffle_ps::<0xee>(y[k], y[k + 2]);
                x[k + 2] = _mm256_shuffle_ps::<0x44>(y[k + 1], y[k + 3]);
                x[k + 3] = _mm256_shuffle_ps::<0xee>(y[k + 1], y[k + 3]);
            }
            for k in 0..4 {
                y[k] = _mm256_permute2f128_ps::<0x20>(x[k], x[k + 4]);
                y[k + 4] = _mm256_permute2f128_ps::<0x31>(x[k], x[k + 4]);
            }
            y
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_transposes_just_that() {
        for level in Level::available() {
            for (rows, n, first, non_temporal) in [
                (16i64, 32i64, 0, true),
                (16, 16, 0, true),
                (64, 48, 0, true),
                (33, 50, 0, true),
                (33, 50, 1, true),
                (7, 100, 0, false),
                (100, 7, 3, true),
                (0, 5, 0, true),
                (5, 0, 0, true),
            ] {
                let (dst_step, src_step) = ((n + 18) / 16 * 16, rows + 5);
                let src: Vec<f32> = (0..n * src_step + rows).map(|i| i as f32).collect();
                let mut dst = vec![-1.0; (rows * dst_step + 64) as usize];
                let aligned = dst.as_ptr().align_offset(64) + first;
                let t = Transpose {
                    // SAFETY: fewer than 64 floats are before the aligned one, and `dst` has as many to spare.
                    dst: unsafe { dst.as_mut_ptr().add(aligned) },
                    dst_step,
                    src: src.as_ptr(),
                    src_step,
                    rows,
                    n,
                    next: src.as_ptr(),
                    next_step: src_step,
                    non_temporal,
                };
                // SAFETY: both vectors are as long as rows and steps want, and apart; the level is available.
                unsafe { transpose(level, t) };
                crate::non_temporal::fence();
                for (at, have) in dst.iter().enumerate() {
                    let at = at as i64 - aligned as i64;
                    let (r, i) = (at.div_euclid(dst_step), at.rem_euclid(dst_step));
                    let want = match (0..rows).contains(&r) && i < n {
                        true => src[(i * src_step + r) as usize],
                        false => -1.0,
                    };
                    assert_eq!(*have, want, "{level:?} {rows} {n}: row {r}, element {i}");
                }
            }
        }
    }
}
