//! The contraction: every convolution, its two gradients and every matrix product end here.
//!
//! `c[m][n] = init + Σ_t Σ_k A[rows[m] + taps[t].a + k·a_step] · B[taps[t].b + (n/32)·b_panel + k·b_step + n%32]`
//!
//! One chain an element, t then k ascending, from init: so how rows, columns and k are blocked changes no bit.
//! Outside the m×n elements of c nothing is written, and outside the addressed elements of A and B nothing is read.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;

use crate::Level;

/// The layout of `vsr_artifact::abi::ContractCall`, which says what the fields mean. The runtime asserts that both agree.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ContractCall {
    pub c: *mut f32,
    pub ldc: i64,
    pub m: i64,
    pub n: i64,
    pub init: i64,
    pub bias: *const f32,
    pub a: *const f32,
    pub rows: *const i64,
    pub a_step: i64,
    pub taps: *const i64,
    pub n_taps: i64,
    pub k: i64,
    pub b: *const f32,
    pub b_step: i64,
    pub b_panel: i64,
}

/// Columns of a panel of B.
pub const PANEL: usize = 32;
/// Steps of (t, k) that one pass over the rows takes: 256 × 32 columns of B stay in the first-level cache.
const CHUNK: i64 = 256;

/// Runs one contraction with the instructions of `level`.
///
/// # Safety
/// All addresses that the formula names are valid; `level` is available on this machine.
pub unsafe fn contract(level: Level, call: &ContractCall) {
    unsafe {
        match level {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => drive::<avx512::Avx512>(call),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => drive::<avx2::Avx2>(call),
            _ => drive::<portable::Portable>(call),
        }
    }
}

/// How the chain of an element starts in this pass.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Start {
    Zero,
    Keep,
    Bias,
}

/// A block of rows and columns, and the part of the chain that is added to it.
struct Part<'a> {
    call: &'a ContractCall,
    start: Start,
    row: usize,
    rows: usize,
    /// First column, a multiple of 32, and how many.
    col: usize,
    cols: usize,
    taps: (i64, i64),
    steps: (i64, i64),
}

impl Part<'_> {
    unsafe fn c(&self, row: usize, col: usize) -> *mut f32 {
        unsafe { self.call.c.offset((self.row + row) as isize * self.call.ldc as isize).add(self.col + col) }
    }

    unsafe fn bias(&self, col: usize) -> *const f32 {
        unsafe { self.call.bias.add(self.col + col) }
    }

    /// Address of A for each of R rows at tap t, step `steps.0`. Rows past the end repeat the last one.
    #[inline(always)]
    unsafe fn a<const R: usize>(&self, t: i64) -> [*const f32; R] {
        unsafe {
            let at = *self.call.taps.offset(2 * t as isize) + self.steps.0 * self.call.a_step;
            let rows = self.call.rows.add(self.row);
            std::array::from_fn(|i| self.call.a.offset((*rows.add(i) + at) as isize))
        }
    }

    /// Address of B's first column of panel `self.col/32 + panel` at tap t, step `steps.0`.
    #[inline(always)]
    unsafe fn b(&self, t: i64, panel: usize) -> *const f32 {
        unsafe {
            let tap = *self.call.taps.offset(2 * t as isize + 1);
            let panel = (self.col / PANEL + panel) as i64 * self.call.b_panel;
            self.call.b.offset((tap + panel + self.steps.0 * self.call.b_step) as isize)
        }
    }
}

/// An instruction set's blocks.
trait Blocks {
    /// Rows of the full block.
    const ROWS: usize;
    /// Computes a part of at most `ROWS` rows and at most `wide(rows)` panels.
    unsafe fn run(part: &Part);
    /// Panels that a block of so few rows should take to have enough chains in flight.
    fn panels(rows: usize) -> usize;
}

unsafe fn drive<B: Blocks>(call: &ContractCall) {
    let (m, n) = (call.m.max(0) as usize, call.n.max(0) as usize);
    if m == 0 || n == 0 {
        return;
    }
    let first = match call.init {
        0 => Start::Zero,
        1 => Start::Keep,
        _ => Start::Bias,
    };
    let blocks = m.div_ceil(B::ROWS);
    let mut start = first;
    for_each_chunk(call, blocks, |taps, steps| {
        let wide = B::panels(m) * PANEL;
        let mut col = 0;
        while col < n {
            let cols = wide.min(n - col);
            let mut row = 0;
            for b in 0..blocks {
                let rows = (m - row).div_ceil(blocks - b);
                unsafe { B::run(&Part { call, start, row, rows, col, cols, taps, steps }) };
                row += rows;
            }
            col += cols;
        }
        start = Start::Keep;
    });
}

/// Cuts (t, k) into passes: some whole taps, or a part of one tap. One block of rows reads B once anyway.
fn for_each_chunk(call: &ContractCall, blocks: usize, mut pass: impl FnMut((i64, i64), (i64, i64))) {
    let (n_taps, k) = (call.n_taps.max(0), call.k.max(0));
    if blocks <= 1 || n_taps * k <= CHUNK + CHUNK / 4 {
        return pass((0, n_taps), (0, k));
    }
    if k > CHUNK {
        let parts = (k + CHUNK - 1) / CHUNK;
        for t in 0..n_taps {
            for p in 0..parts {
                pass((t, t + 1), (k * p / parts, k * (p + 1) / parts));
            }
        }
        return;
    }
    let passes = ((n_taps * k + CHUNK - 1) / CHUNK).min(n_taps);
    for p in 0..passes {
        pass((n_taps * p / passes, n_taps * (p + 1) / passes), (0, k));
    }
}

#[cfg(test)]
mod tests;
