//! Exponential, sigmoid and SiLU in AVX-512, with one instruction for the power of two: the same bits as the scalar texts.
//!
//! Enters a call; leaves its row, and its sums. Stores past the caches stand between the computations, so that memory and
//! arithmetic are busy at once. What a function means is said in `scalar.rs`, never here.

use super::scalar::{EXP, EXP_NEAR, LN_2, MAGIC};
use super::{Call, Function, Lanes, To};
use std::arch::x86_64::*;

/// Vectors of an iteration.
const UNROLL: usize = 4;
/// Floats from what is computed to what is fetched: a page.
const AHEAD: usize = 1024;

/// Where results go, as in `To`.
const MEMORY: u8 = 0;
const SUMS: u8 = 1;
const PAST: u8 = 2;

const EXPONENTIAL: u8 = 0;
const SIGMOID: u8 = 1;
const SILU: u8 = 2;

/// Computes the row, unless the function has no text here.
///
/// # Safety
/// As `super::map`; the machine has AVX-512.
pub unsafe fn map(function: Function, call: Call) -> bool {
    unsafe {
        match function {
            Function::Exp => row::<EXPONENTIAL>(call),
            Function::Sigmoid => row::<SIGMOID>(call),
            Function::Silu => row::<SILU>(call),
            _ => return false,
        }
    }
    true
}

#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
unsafe fn row<const F: u8>(call: Call) {
    unsafe {
        match call.argument.scale == 1.0 {
            true => to::<F, true>(call),
            false => to::<F, false>(call),
        }
        _mm256_zeroupper();
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
unsafe fn to<const F: u8, const SHIFT: bool>(call: Call) {
    let mut none = [0.0; 32];
    // A store past the caches needs a whole line.
    let whole = (call.dst as usize).is_multiple_of(64);
    unsafe {
        match call.to {
            To::Sums(lanes) => run::<F, SHIFT, SUMS>(call, &mut *lanes),
            To::PastCaches if whole => run::<F, SHIFT, PAST>(call, &mut none),
            To::Memory | To::PastCaches => run::<F, SHIFT, MEMORY>(call, &mut none),
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
    unsafe fn run<const F: u8, const SHIFT: bool, const TO: u8>(call: Call, lanes: &mut Lanes) {
        let n = call.n.max(0) as usize;
        let scale = _mm512_set1_ps(call.argument.scale);
        let shift = _mm512_set1_ps(call.argument.shift);
        // Additions have units of their own.
        let value = |x| match SHIFT {
            true => vector::<F>(_mm512_add_ps(x, shift)),
            false => vector::<F>(_mm512_fmadd_ps(x, scale, shift)),
        };
        let mut at = 0;
        unsafe {
            let mut sums = [0, 16].map(|at| _mm512_loadu_ps(lanes.as_ptr().add(at)));
            while at + 16 * UNROLL <= n {
                for u in 0..UNROLL {
                    let to = call.dst.add(at + 16 * u);
                    // Rows follow each other: later ones arrive while this one is computed. Results in memory are read
                    // at once, together with other rows that want the cache.
                    if TO != MEMORY {
                        let next = call.src.wrapping_add(AHEAD + at + 16 * u);
                        _mm_prefetch::<_MM_HINT_T0>(next.cast());
                    }
                    let y = value(_mm512_loadu_ps(call.src.add(at + 16 * u)));
                    match TO {
                        PAST => _mm512_stream_ps(to, y),
                        _ => _mm512_storeu_ps(to, y),
                    }
                    if TO == SUMS {
                        sums[u % 2] = _mm512_add_ps(sums[u % 2], y);
                    }
                }
                at += 16 * UNROLL;
            }
            while at < n {
                let some = ((1u32 << (n - at).min(16)) - 1) as __mmask16;
                let y = value(_mm512_maskz_loadu_ps(some, call.src.add(at)));
                _mm512_mask_storeu_ps(call.dst.add(at), some, y);
                if TO == SUMS {
                    let sum = &mut sums[at / 16 % 2];
                    *sum = _mm512_mask_add_ps(*sum, some, *sum, y);
                }
                at += 16;
            }
            if TO == SUMS {
                _mm512_storeu_ps(lanes.as_mut_ptr(), sums[0]);
                _mm512_storeu_ps(lanes.as_mut_ptr().add(16), sums[1]);
            }
        }
    }
}

/// The function of sixteen numbers. Of minimum and maximum, the second operand is what comes of not-a-number.
#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
fn vector<const F: u8>(x: __m512) -> __m512 {
    let one = _mm512_set1_ps(1.0);
    if F == EXPONENTIAL {
        let x = _mm512_min_ps(_mm512_set1_ps(89.0), x);
        return exp(_mm512_max_ps(_mm512_set1_ps(-104.0), x), EXP);
    }
    let x = _mm512_max_ps(_mm512_set1_ps(-88.0), x);
    let capped = _mm512_min_ps(_mm512_set1_ps(87.0), x);
    let minus = _mm512_sub_ps(_mm512_set1_ps(-0.0), capped);
    let gate = _mm512_add_ps(one, exp(minus, EXP_NEAR));
    _mm512_div_ps(if F == SILU { x } else { one }, gate)
}

/// e^x where 2^n is a number, by the polynomial `c`: see `scalar::exp`.
#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
fn exp<const N: usize>(x: __m512, c: [f32; N]) -> __m512 {
    let magic = _mm512_set1_ps(MAGIC);
    let n = _mm512_fmadd_ps(x, _mm512_set1_ps(std::f32::consts::LOG2_E), magic);
    let n = _mm512_sub_ps(n, magic);
    let f = _mm512_fmadd_ps(n, _mm512_set1_ps(-LN_2[0]), x);
    let f = _mm512_fmadd_ps(n, _mm512_set1_ps(-LN_2[1]), f);
    let mut q = _mm512_set1_ps(c[0]);
    for c in &c[1..] {
        q = _mm512_fmadd_ps(q, f, _mm512_set1_ps(*c));
    }
    let y = _mm512_fmadd_ps(_mm512_mul_ps(f, f), q, f);
    _mm512_scalef_ps(_mm512_add_ps(y, _mm512_set1_ps(1.0)), n)
}
