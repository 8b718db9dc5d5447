//! AVX2+FMA blocks: 6×16 or 4×16; a panel of 32 columns is walked as two halves. The same chains as AVX-512.

#![allow(
    clippy::needless_range_loop,
    reason = "blocks of registers read best by index"
)]

use super::{Blocks, Part, Start};
use std::arch::x86_64::*;

pub struct Avx2;

impl Blocks for Avx2 {
    const ROWS: usize = 6;

    fn panels(_rows: usize) -> usize {
        1
    }

    unsafe fn run(part: &Part) {
        let mut from = 0;
        while from < part.cols {
            let cols = (part.cols - from).min(16);
            // SAFETY: the columns end with the part's; whoever runs AVX2 blocks has found AVX2 and FMA.
            unsafe {
                match cols {
                    16 => by_rows::<2, false>(part, from, cols),
                    9..=15 => by_rows::<2, true>(part, from, cols),
                    8 => by_rows::<1, false>(part, from, cols),
                    _ => by_rows::<1, true>(part, from, cols),
                }
            }
            from += cols;
        }
    }
}

#[target_feature(enable = "avx2,fma")]
unsafe fn by_rows<const V: usize, const MASKED: bool>(p: &Part, from: usize, cols: usize) {
    // SAFETY: the part has R rows: 1 to ROWS. AVX2 and FMA are there, as they are for this function.
    unsafe {
        match p.rows {
            6 => block::<6, V, MASKED>(p, from, cols),
            5 => block::<5, V, MASKED>(p, from, cols),
            4 => block::<4, V, MASKED>(p, from, cols),
            3 => block::<3, V, MASKED>(p, from, cols),
            2 => block::<2, V, MASKED>(p, from, cols),
            _ => block::<1, V, MASKED>(p, from, cols),
        }
    }
}

#[target_feature(enable = "avx2")]
fn masks<const V: usize>(cols: usize) -> [__m256i; V] {
    let lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    std::array::from_fn(|v| {
        _mm256_cmpgt_epi32(_mm256_set1_epi32(cols as i32 - 8 * v as i32), lanes)
    })
}

#[inline(always)]
unsafe fn load<const MASKED: bool>(from: *const f32, mask: __m256i) -> __m256 {
    // SAFETY: the caller has AVX2, and the floats are there: those of the mask, or all eight.
    unsafe {
        if MASKED {
            _mm256_maskload_ps(from, mask)
        } else {
            _mm256_loadu_ps(from)
        }
    }
}

#[target_feature(enable = "avx2,fma")]
unsafe fn block<const R: usize, const V: usize, const MASKED: bool>(
    p: &Part,
    from: usize,
    cols: usize,
) {
    // SAFETY: the part has R rows and, from `from` on, `cols` columns, which fill V vectors or are masked. The formula
    // names what is read and written for them.
    unsafe {
        let mask: [__m256i; V] = masks(cols);
        let mut c = [[_mm256_setzero_ps(); V]; R];
        for i in 0..R {
            for v in 0..V {
                c[i][v] = match p.start {
                    Start::Zero => _mm256_setzero_ps(),
                    Start::Keep => load::<MASKED>(p.c(i, from + 8 * v), mask[v]),
                    Start::Bias => load::<MASKED>(p.bias(from + 8 * v), mask[v]),
                };
            }
        }
        let (a_step, b_step) = (p.call.a_step as isize, p.b_step);
        for t in p.taps.0..p.taps.1 {
            let a = p.a::<R>(t);
            let mut b = p.b(t, 0).add(from);
            let mut at = 0isize;
            for _ in p.steps.0..p.steps.1 {
                let mut row = [_mm256_setzero_ps(); V];
                for v in 0..V {
                    row[v] = load::<MASKED>(b.add(8 * v), mask[v]);
                }
                for i in 0..R {
                    let s = _mm256_set1_ps(*a[i].offset(at));
                    for v in 0..V {
                        c[i][v] = _mm256_fmadd_ps(s, row[v], c[i][v]);
                    }
                }
                at += a_step;
                b = b.offset(b_step);
            }
        }
        for i in 0..R {
            for v in 0..V {
                if MASKED {
                    _mm256_maskstore_ps(p.c(i, from + 8 * v), mask[v], c[i][v]);
                } else {
                    _mm256_storeu_ps(p.c(i, from + 8 * v), c[i][v]);
                }
            }
        }
        _mm256_zeroupper();
    }
}
