//! Any bytes to the parser, guided by the code that they reach.
//!
//! `cargo fuzz run --sanitizer none parse CORPUS seeds ../../stdlib ../../models` in this folder (`.ci/full` does it;
//! with a stable compiler under `RUSTC_BOOTSTRAP=1`). What it finds goes to `seeds/`, which an ordinary test reads.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../parse_any.rs"]
mod parse_any;

fuzz_target!(|bytes: &[u8]| parse_any::check(bytes));
