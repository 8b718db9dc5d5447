//! Compiled kernels against the interpreter, on both targets.

mod cases;
mod coalesce;
mod harness;
mod random;
mod rows;
mod snapshots;
mod software_pipeline;
mod transpose;
