//! Compiled kernels against the interpreter, on both targets.

mod cases;
mod collapse;
mod harness;
mod random;
mod rotate;
mod rows;
mod snapshots;
mod turn;
