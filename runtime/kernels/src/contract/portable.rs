//! The form that any machine runs: multiply, then add, in the same order as the others.

use super::{Blocks, Part, Start};

pub struct Portable;

/// Columns whose sums are kept together.
const LANES: usize = 8;

impl Blocks for Portable {
    const ROWS: usize = 4;

    fn panels(_rows: usize) -> usize {
        1
    }

    unsafe fn run(part: &Part) {
        let mut from = 0;
        while from < part.cols {
            let cols = (part.cols - from).min(LANES);
            for row in 0..part.rows {
                // SAFETY: the block ends with the part's rows and columns, whose addresses the caller vouches for.
                unsafe {
                    if cols == LANES {
                        full(part, row, from)
                    } else {
                        tail(part, row, from, cols)
                    }
                }
            }
            from += cols;
        }
    }
}

unsafe fn begin(p: &Part, row: usize, col: usize) -> f32 {
    // SAFETY: row and column lie in the part, so the element of c, and that of a bias that the call begins with, is
    // there.
    unsafe {
        match p.start {
            Start::Zero => 0.0,
            Start::Keep => *p.c(row, col),
            Start::Bias => *p.bias(col),
        }
    }
}

unsafe fn full(p: &Part, row: usize, from: usize) {
    // SAFETY: the row and LANES columns from `from` lie in the part; the formula names what is read and written for
    // them.
    unsafe {
        let mut sums: [f32; LANES] = std::array::from_fn(|l| begin(p, row, from + l));
        for t in p.taps.0..p.taps.1 {
            let (mut a, mut b) = (a_of(p, row, t), p.b(t, 0).add(from));
            for _ in p.steps.0..p.steps.1 {
                for (l, sum) in sums.iter_mut().enumerate() {
                    *sum += *a * *b.add(l);
                }
                a = a.wrapping_offset(p.call.a_step as isize);
                b = b.wrapping_offset(p.b_step);
            }
        }
        for (l, sum) in sums.iter().enumerate() {
            *p.c(row, from + l) = *sum;
        }
    }
}

unsafe fn tail(p: &Part, row: usize, from: usize, cols: usize) {
    for col in from..from + cols {
        // SAFETY: row and column lie in the part; the formula names what is read and written for them.
        unsafe {
            let mut sum = begin(p, row, col);
            for t in p.taps.0..p.taps.1 {
                let (mut a, mut b) = (a_of(p, row, t), p.b(t, 0).add(col));
                for _ in p.steps.0..p.steps.1 {
                    sum += *a * *b;
                    a = a.wrapping_offset(p.call.a_step as isize);
                    b = b.wrapping_offset(p.b_step);
                }
            }
            *p.c(row, col) = sum;
        }
    }
}

unsafe fn a_of(p: &Part, row: usize, t: i64) -> *const f32 {
    // SAFETY: t's pair is one of the n_taps in `taps`, and the row is one of the m in `rows`.
    unsafe {
        let tap = *p.call.taps.offset(2 * t as isize) + p.steps.0 * p.call.a_step;
        p.call
            .a
            .offset((*p.call.rows.add(p.row + row) + tap) as isize)
    }
}
