//! The exponential in AVX-512, with one instruction for its power of two: the same bits as the scalar text.

use super::scalar::{EXP, LN_2, MAGIC};
use super::{Call, Lanes};
use std::arch::x86_64::*;

/// Vectors of an iteration.
const UNROLL: usize = 4;

/// # Safety
/// As `super::map`; the machine has AVX-512.
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
pub unsafe fn exp(call: Call) {
    unsafe {
        match call.lanes.is_null() {
            true => row::<false>(call, &mut [0.0; 32]),
            false => row::<true>(call, &mut *(call.lanes as *mut Lanes)),
        }
        _mm256_zeroupper();
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
unsafe fn row<const SUMS: bool>(call: Call, lanes: &mut Lanes) {
    let n = call.n.max(0) as usize;
    let (scale, shift) = (
        _mm512_set1_ps(call.argument.scale),
        _mm512_set1_ps(call.argument.shift),
    );
    let mut at = 0;
    unsafe {
        let mut sums = [
            _mm512_loadu_ps(lanes.as_ptr()),
            _mm512_loadu_ps(lanes.as_ptr().add(16)),
        ];
        let value = |x| vector(_mm512_fmadd_ps(x, scale, shift));
        while at + 16 * UNROLL <= n {
            for u in 0..UNROLL {
                let y = value(_mm512_loadu_ps(call.src.add(at + 16 * u)));
                _mm512_storeu_ps(call.dst.add(at + 16 * u), y);
                if SUMS {
                    sums[u % 2] = _mm512_add_ps(sums[u % 2], y);
                }
            }
            at += 16 * UNROLL;
        }
        while at < n {
            let some = ((1u32 << (n - at).min(16)) - 1) as __mmask16;
            let y = value(_mm512_maskz_loadu_ps(some, call.src.add(at)));
            _mm512_mask_storeu_ps(call.dst.add(at), some, y);
            if SUMS {
                let sum = &mut sums[at / 16 % 2];
                *sum = _mm512_mask_add_ps(*sum, some, *sum, y);
            }
            at += 16;
        }
        if SUMS {
            _mm512_storeu_ps(lanes.as_mut_ptr(), sums[0]);
            _mm512_storeu_ps(lanes.as_mut_ptr().add(16), sums[1]);
        }
    }
}

/// `scalar::exp`, sixteen times.
#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
fn vector(x: __m512) -> __m512 {
    // The second operand is what comes of not-a-number.
    let x = _mm512_min_ps(_mm512_set1_ps(89.0), x);
    let x = _mm512_max_ps(_mm512_set1_ps(-104.0), x);
    let magic = _mm512_set1_ps(MAGIC);
    let n = _mm512_fmadd_ps(x, _mm512_set1_ps(std::f32::consts::LOG2_E), magic);
    let n = _mm512_sub_ps(n, magic);
    let f = _mm512_fmadd_ps(n, _mm512_set1_ps(-LN_2[0]), x);
    let f = _mm512_fmadd_ps(n, _mm512_set1_ps(-LN_2[1]), f);
    let mut q = _mm512_set1_ps(EXP[0]);
    for c in &EXP[1..] {
        q = _mm512_fmadd_ps(q, f, _mm512_set1_ps(*c));
    }
    let y = _mm512_fmadd_ps(_mm512_mul_ps(f, f), q, f);
    _mm512_scalef_ps(_mm512_add_ps(y, _mm512_set1_ps(1.0)), n)
}
