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
use std::mem::MaybeUninit;

/// The layout of `vsr_artifact::abi::ContractCall`, which says what the fields mean. The runtime asserts that both
/// agree.
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
/// All elements that the formula names are there, and no other thread writes them or reads those of c; `level` is
/// available on this machine.
pub unsafe fn contract(level: Level, call: &ContractCall) {
    // SAFETY: the caller vouches for the addresses, and for the level, whose instructions these blocks use.
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
    /// B of this part, step after step; null: B as the call says.
    packed: *const f32,
    b_step: isize,
}

impl Part<'_> {
    #[inline(always)]
    unsafe fn c(&self, row: usize, col: usize) -> *mut f32 {
        // SAFETY: the part's rows and columns are among the m×n elements of c. What a vector has past the last column
        // is masked, and never accessed.
        unsafe {
            self.call
                .c
                .offset((self.row + row) as isize * self.call.ldc as isize)
                .add(self.col + col)
        }
    }

    unsafe fn bias(&self, col: usize) -> *const f32 {
        // SAFETY: the bias has n elements; columns of a vector past the last one are masked.
        unsafe { self.call.bias.add(self.col + col) }
    }

    /// Address of A for each of R rows at tap t, step `steps.0`. Rows past the end repeat the last one.
    #[inline(always)]
    unsafe fn a<const R: usize>(&self, t: i64) -> [*const f32; R] {
        // SAFETY: `rows` has m entries, R of them from this part's first on; t's pair is one of the n_taps in `taps`.
        unsafe {
            let at = *self.call.taps.offset(2 * t as isize) + self.steps.0 * self.call.a_step;
            let rows = self.call.rows.add(self.row);
            std::array::from_fn(|i| self.call.a.offset((*rows.add(i) + at) as isize))
        }
    }

    /// Address of B's first column of panel `self.col/32 + panel` at tap t, step `steps.0`.
    #[inline(always)]
    unsafe fn b(&self, t: i64, panel: usize) -> *const f32 {
        if !self.packed.is_null() {
            let step = (t - self.taps.0) * (self.steps.1 - self.steps.0);
            return self.packed.wrapping_add(step as usize * PANEL);
        }
        // SAFETY: t's pair is one of the n_taps in `taps`; the panel is one of those that hold the n columns of B.
        unsafe {
            let tap = *self.call.taps.offset(2 * t as isize + 1);
            let panel = (self.col / PANEL + panel) as i64 * self.call.b_panel;
            self.call
                .b
                .offset((tap + panel + self.steps.0 * self.call.b_step) as isize)
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
    let wide = B::panels(m) * PANEL;
    let runs = blocks * n.div_ceil(wide);
    let chunks = Chunks::of(call, blocks);
    let mut panel = Packed(MaybeUninit::uninit());
    for i in 0..chunks.count {
        let (taps, steps) = chunks.get(i);
        let start = if i == 0 { first } else { Start::Keep };
        for (col, run) in (0..n).step_by(wide).zip((0..runs).step_by(blocks)) {
            let cols = wide.min(n - col);
            let mut part = Part {
                call,
                start,
                row: 0,
                rows: 0,
                col,
                cols,
                taps,
                steps,
                packed: std::ptr::null(),
                b_step: call.b_step as isize,
            };
            if chunks.is_worth_packing && wide == PANEL {
                // SAFETY: a part that is one panel wide has `cols` floats of B at each step; `panel` outlives the parts
                // that read it.
                unsafe { part.pack(&mut panel) };
            }
            for b in 0..blocks {
                part.rows = (m - part.row).div_ceil(blocks - b);
                // SAFETY: blocks share the m rows, at most ROWS each, and take at most as many columns as `panels`
                // allows. The caller vouches for the addresses, and for the instructions of B.
                unsafe { B::run(&part) };
                part.row += part.rows;
                // SAFETY: m is not 0, so `rows` has a first entry; the chunks are those of this call.
                unsafe { chunks.prefetch(call, i + 1, run + b, runs) };
            }
        }
    }
}

/// Steps of B that the packed panel holds: a pass takes at most this many.
const PACKED: usize = 2 * CHUNK as usize;

/// One panel of B, on cache lines. Only what `pack` has written is read.
#[repr(align(64))]
struct Packed(MaybeUninit<[f32; PACKED * PANEL]>);

impl Part<'_> {
    /// Copies this part's B together: its lines lie a power of two apart and would fight for few places in the cache.
    unsafe fn pack(&mut self, to: &mut Packed) {
        let (from, last) = self.steps;
        if (self.taps.1 - self.taps.0) * (last - from) > PACKED as i64 {
            return;
        }
        let start: *mut f32 = to.0.as_mut_ptr().cast();
        let mut at = start;
        for t in self.taps.0..self.taps.1 {
            // SAFETY: these are at most PACKED steps, and each fills PANEL floats of `to`. At each of them B holds
            // `cols` floats, which lie within one panel.
            unsafe {
                let mut b = self.b(t, 0);
                for _ in from..last {
                    if self.cols == PANEL {
                        at.cast::<[f32; PANEL]>()
                            .write(b.cast::<[f32; PANEL]>().read_unaligned());
                    } else {
                        std::ptr::copy_nonoverlapping(b, at, self.cols);
                    }
                    at = at.add(PANEL);
                    b = b.wrapping_offset(self.b_step);
                }
            }
        }
        (self.packed, self.b_step) = (start, PANEL as isize);
    }
}

/// The passes over (t, k): some whole taps each, or a part of one tap. One block of rows reads B once anyway.
struct Chunks {
    n_taps: i64,
    k: i64,
    count: i64,
    /// Parts of a tap; 0 where a pass takes whole taps.
    parts: i64,
    /// Both operands are walked line by line, in memory that no earlier pass has touched.
    cold: bool,
    /// B's lines are so far apart, and read so often, that copying them together first pays.
    is_worth_packing: bool,
}

impl Chunks {
    fn of(call: &ContractCall, blocks: usize) -> Chunks {
        let (n_taps, k) = (call.n_taps.max(0), call.k.max(0));
        let (count, parts) = if blocks <= 1 || n_taps * k <= CHUNK + CHUNK / 4 {
            (1, 0)
        } else if k > CHUNK {
            let parts = (k + CHUNK - 1) / CHUNK;
            (n_taps * parts, parts)
        } else {
            (((n_taps * k + CHUNK - 1) / CHUNK).min(n_taps), 0)
        };
        let cold = call.a_step != 1 && call.b_step > PANEL as i64;
        let is_worth_packing = cold && blocks >= 4 && call.b_step >= 256;
        Chunks {
            n_taps,
            k,
            count,
            parts,
            cold,
            is_worth_packing,
        }
    }

    /// (taps, steps) of pass i.
    fn get(&self, i: i64) -> ((i64, i64), (i64, i64)) {
        if self.parts == 0 {
            return (
                (
                    self.n_taps * i / self.count,
                    self.n_taps * (i + 1) / self.count,
                ),
                (0, self.k),
            );
        }
        let (t, p) = (i / self.parts, i % self.parts);
        (
            (t, t + 1),
            (self.k * p / self.parts, self.k * (p + 1) / self.parts),
        )
    }

    /// Fetches share `run` of `runs` of what pass i will read. Between lines the hardware sees no pattern, and a
    /// weight gradient would wait for memory half of the time.
    unsafe fn prefetch(&self, call: &ContractCall, i: i64, run: usize, runs: usize) {
        if !self.cold || i >= self.count {
            return;
        }
        let ((from, to), (first, last)) = self.get(i);
        let per_tap = last - first;
        let total = (to - from) * per_tap;
        let (at, end) = (
            total * run as i64 / runs as i64,
            total * (run as i64 + 1) / runs as i64,
        );
        let (mut t, mut step) = (from + at / per_tap.max(1), first + at % per_tap.max(1));
        for _ in at..end {
            // SAFETY: while a step is left, t is one of the n_taps pairs. Addresses of A and B are prefetched, and no
            // more.
            unsafe {
                let tap = call.taps.offset(2 * t as isize);
                let a = *call.rows + *tap + step * call.a_step;
                fetch(call.a.wrapping_offset(a as isize), call.m);
                let b = *tap.add(1) + step * call.b_step;
                fetch(call.b.wrapping_offset(b as isize), call.n);
            }
            step += 1;
            if step == last {
                (t, step) = (t + 1, first);
            }
        }
    }
}

/// Asks for the lines of n floats.
#[inline(always)]
fn fetch(at: *const f32, n: i64) {
    #[cfg(target_arch = "x86_64")]
    for i in (0..n as usize).step_by(16) {
        use std::arch::x86_64::*;
        // SAFETY: prefetching what is not there is allowed.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.wrapping_add(i).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (at, n);
}

#[cfg(test)]
mod tests;
