//! Rows in the widest vectors of a machine: 256 bits with AVX2, 512 with AVX-512. Cranelift's vectors have 128.
//!
//! A kernel's loops, addresses and guards stay with Cranelift. What it does along a row without branches is a `Program`:
//! adjacent elements enter, are computed one operation after another as written, and leave. Enters a program; leaves a
//! function for each level, of which the runtime takes the one for its machine. Every level computes the same bits.

mod asm;
mod emit;
mod maths;
mod program;

#[cfg(test)]
mod tests;

pub use asm::Level;
pub use emit::{emit, fits};
pub use maths::Ops;
pub use program::{Op, Program, Reduction, Store, ValueId};
