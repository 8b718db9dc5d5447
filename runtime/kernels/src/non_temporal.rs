//! A copy by non-temporal stores, or a multiple: for results that nobody reads soon, twice as fast as stores that first
//! fetch each line (write-allocate).

use crate::{Affine, Level};

/// Below this many floats a plain copy is as good.
const MIN_FLOATS: usize = 16;

/// # Safety
/// `src` and `dst` hold n floats and do not overlap; `level` is available on this machine.
pub unsafe fn copy(level: Level, dst: *mut f32, src: *const f32, n: i64, value: Affine) {
    let n = n.max(0) as usize;
    // SAFETY: the caller vouches for the level and for n floats each; MIN_FLOATS are enough to reach an aligned one.
    unsafe {
        match level {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 if n >= 2 * MIN_FLOATS => avx512(dst, src, n, value),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 if n >= MIN_FLOATS => avx2(dst, src, n, value),
            _ => plain(dst, src, n, value),
        }
    }
}

/// Makes non-temporal stores visible to other threads: once, after all tasks of a thread.
pub fn fence() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 machine has SSE, and a fence touches no memory.
    unsafe {
        std::arch::x86_64::_mm_sfence()
    };
}

unsafe fn plain(dst: *mut f32, src: *const f32, n: usize, value: Affine) {
    for i in 0..n {
        // SAFETY: i is below n, and the caller vouches for n floats each.
        unsafe { *dst.add(i) = value.of(*src.add(i)) };
    }
}

/// Floats before `dst` is aligned to `bytes`.
fn head(dst: *mut f32, bytes: usize) -> usize {
    (dst as usize).wrapping_neg() % bytes / 4
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn avx512(dst: *mut f32, src: *const f32, n: usize, value: Affine) {
    use std::arch::x86_64::*;
    // SAFETY: there are n floats each, and fewer than n before dst is aligned, as streaming wants it. From there on
    // each vector ends at n or before.
    unsafe {
        let scale = _mm512_set1_ps(value.scale);
        let shift = _mm512_set1_ps(value.shift);
        let mut at = head(dst, 64);
        plain(dst, src, at, value);
        while at + 16 <= n {
            let x = _mm512_loadu_ps(src.add(at));
            let y = _mm512_add_ps(_mm512_mul_ps(x, scale), shift);
            _mm512_stream_ps(dst.add(at), y);
            at += 16;
        }
        plain(dst.add(at), src.add(at), n - at, value);
        _mm256_zeroupper();
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn avx2(dst: *mut f32, src: *const f32, n: usize, value: Affine) {
    use std::arch::x86_64::*;
    // SAFETY: there are n floats each, and fewer than n before dst is aligned, as streaming wants it. From there on
    // each vector ends at n or before.
    unsafe {
        let scale = _mm256_set1_ps(value.scale);
        let shift = _mm256_set1_ps(value.shift);
        let mut at = head(dst, 32);
        plain(dst, src, at, value);
        while at + 8 <= n {
            let x = _mm256_loadu_ps(src.add(at));
            let y = _mm256_add_ps(_mm256_mul_ps(x, scale), shift);
            _mm256_stream_ps(dst.add(at), y);
            at += 8;
        }
        plain(dst.add(at), src.add(at), n - at, value);
        _mm256_zeroupper();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_exactly_n() {
        let scale = Affine {
            scale: 0.3,
            ..Affine::IDENTITY
        };
        let src: Vec<f32> = (0..200).map(|i| i as f32).collect();
        let levels = Level::available();
        for (level, value) in levels
            .iter()
            .flat_map(|l| [(*l, Affine::IDENTITY), (*l, scale)])
        {
            for (from, to, n) in [
                (0, 0, 200),
                (1, 3, 150),
                (5, 2, 33),
                (0, 7, 31),
                (3, 3, 0),
                (2, 1, 16),
            ] {
                let mut dst = vec![-1.0; 220];
                // SAFETY: from and to leave room for n floats in both vectors, which are apart; the level is available.
                unsafe {
                    let (to, from) = (dst.as_mut_ptr().add(to), src.as_ptr().add(from));
                    copy(level, to, from, n as i64, value)
                };
                let want: Vec<f32> = src[from..from + n].iter().map(|x| value.of(*x)).collect();
                assert_eq!(dst[to..to + n], want);
                assert!(dst[..to].iter().chain(&dst[to + n..]).all(|v| *v == -1.0));
            }
        }
    }
}
