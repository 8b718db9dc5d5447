//! An artifact in, numbers out: loads what `vsrc` compiled, binds weights, runs entries, trains, upscales, measures.
//! The compiler's world (syntax trees, graphs, code generation) never appears here.

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)
)]

pub mod bench;
pub mod bench_roofs;
pub mod data;
pub mod device;
pub mod error;
pub mod eval;
pub mod exec;
pub mod files;
pub mod frozen;
pub mod info;
pub mod interrupt;
pub mod memory;
pub mod metrics;
pub mod picture;
pub mod progress;
pub mod session;
pub mod system;
pub mod tensors;
pub mod train;
pub mod upscale;
pub mod video;
pub mod weights;
pub mod yardstick;

pub use error::{Error, Result};

#[cfg(test)]
mod full_disk;
