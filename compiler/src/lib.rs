//! vsr-compiler: text in, artifact out. The library does no IO.

#![cfg_attr(not(test), deny(clippy::unwrap_used))]

pub mod assemble;
pub mod autodiff;
pub mod backend;
pub mod diag;
pub mod equation;
pub mod ir;
pub mod pass;
pub mod pipeline;
pub mod schedule;
pub mod sema;
pub mod syntax;
pub mod tile;
