//! Compiled kernels against the interpreter, on both targets.

mod cases;
mod harness;
mod random;
mod rows;
mod snapshots;
