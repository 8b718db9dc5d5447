//! AVX-512 blocks: R rows by V vectors of 16 columns, all sums in registers.

#![allow(
    clippy::needless_range_loop,
    reason = "blocks of registers read best by index"
)]

use super::{Blocks, PANEL, Part, Start};
use std::arch::x86_64::*;

pub struct Avx512;

impl Blocks for Avx512 {
    const ROWS: usize = 8;

    fn panels(rows: usize) -> usize {
        match rows {
            1..=2 => 4,
            3..=4 => 2,
            _ => 1,
        }
    }

    unsafe fn run(part: &Part) {
        let full = part.cols.is_multiple_of(16);
        // SAFETY: V vectors hold the columns, with masks unless they are full, and `panels` allows more than two of
        // them for few rows only. Whoever runs AVX-512 blocks has found the level.
        unsafe {
            match (part.cols.div_ceil(16), full) {
                (1, true) => by_rows::<1, false>(part),
                (1, false) => by_rows::<1, true>(part),
                (2, true) => by_rows::<2, false>(part),
                (2, false) => by_rows::<2, true>(part),
                (3..=4, _) => few_rows::<4>(part),
                (_, _) => fewest_rows::<8>(part),
            }
        }
    }
}

#[target_feature(enable = "avx512f")]
unsafe fn by_rows<const V: usize, const MASKED: bool>(p: &Part) {
    // SAFETY: the part has R rows: 1 to ROWS. AVX-512 is there, as it is for this function.
    unsafe {
        match p.rows {
            8 => block::<8, V, MASKED>(p),
            7 => block::<7, V, MASKED>(p),
            6 => block::<6, V, MASKED>(p),
            5 => block::<5, V, MASKED>(p),
            4 => block::<4, V, MASKED>(p),
            3 => block::<3, V, MASKED>(p),
            2 => block::<2, V, MASKED>(p),
            _ => block::<1, V, MASKED>(p),
        }
    }
}

#[target_feature(enable = "avx512f")]
unsafe fn few_rows<const V: usize>(p: &Part) {
    // SAFETY: the part has R rows, since `panels` gives three and four vectors to at most four.
    unsafe {
        match p.rows {
            4 => block::<4, V, true>(p),
            3 => block::<3, V, true>(p),
            2 => block::<2, V, true>(p),
            _ => block::<1, V, true>(p),
        }
    }
}

#[target_feature(enable = "avx512f")]
unsafe fn fewest_rows<const V: usize>(p: &Part) {
    // SAFETY: the part has R rows, since `panels` gives more than four vectors to at most two.
    unsafe {
        match p.rows {
            2 => block::<2, V, true>(p),
            _ => block::<1, V, true>(p),
        }
    }
}

#[target_feature(enable = "avx512f")]
fn masks<const V: usize>(cols: usize) -> [__mmask16; V] {
    std::array::from_fn(|v| ((1u32 << cols.saturating_sub(16 * v).min(16)) - 1) as __mmask16)
}

#[inline(always)]
unsafe fn load<const MASKED: bool>(from: *const f32, mask: __mmask16) -> __m512 {
    // SAFETY: the caller has AVX-512, and the floats are there: those of the mask, or all sixteen.
    unsafe {
        if MASKED {
            _mm512_maskz_loadu_ps(mask, from)
        } else {
            _mm512_loadu_ps(from)
        }
    }
}

#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn begin<const R: usize, const V: usize, const MASKED: bool>(
    p: &Part,
    mask: &[__mmask16; V],
) -> [[__m512; V]; R] {
    let mut c = [[_mm512_setzero_ps(); V]; R];
    // SAFETY: the R rows and the columns of `mask`, which are all of them where it is not used, lie in the part.
    unsafe {
        for i in 0..R {
            for v in 0..V {
                c[i][v] = match p.start {
                    Start::Zero => _mm512_setzero_ps(),
                    Start::Keep => load::<MASKED>(p.c(i, 16 * v), mask[v]),
                    Start::Bias => load::<MASKED>(p.bias(16 * v), mask[v]),
                };
            }
        }
    }
    c
}

#[target_feature(enable = "avx512f")]
unsafe fn block<const R: usize, const V: usize, const MASKED: bool>(p: &Part) {
    // SAFETY: the part has R rows, and its columns fill V vectors or are masked. The formula names what is read and
    // written for them.
    unsafe {
        let mask: [__mmask16; V] = masks(p.cols);
        let mut c = begin::<R, V, MASKED>(p, &mask);
        let (a_step, b_step) = (p.call.a_step as isize, p.b_step);
        let panel = p.call.b_panel as isize;
        for t in p.taps.0..p.taps.1 {
            let a = p.a::<R>(t);
            let mut b = p.b(t, 0);
            let mut at = 0isize;
            for _ in p.steps.0..p.steps.1 {
                let mut row = [_mm512_setzero_ps(); V];
                for v in 0..V {
                    let from = b
                        .offset((16 * v / PANEL) as isize * panel)
                        .add(16 * v % PANEL);
                    row[v] = load::<MASKED>(from, mask[v]);
                }
                for i in 0..R {
                    let s = _mm512_set1_ps(*a[i].offset(at));
                    for v in 0..V {
                        c[i][v] = _mm512_fmadd_ps(s, row[v], c[i][v]);
                    }
                }
                at += a_step;
                b = b.offset(b_step);
            }
        }
        for i in 0..R {
            for v in 0..V {
                if MASKED {
                    _mm512_mask_storeu_ps(p.c(i, 16 * v), mask[v], c[i][v]);
                } else {
                    _mm512_storeu_ps(p.c(i, 16 * v), c[i][v]);
                }
            }
        }
        _mm256_zeroupper();
    }
}
