//! The format that compiler and runtime share: a folder with `manifest.json`, `code.bin`, `consts.bin` and `source/`.
//!
//! [`write`] replaces a folder in one step; [`read`] hands out an artifact only after every byte of it was checked.
//! Hashes detect damage, not malice: loading native code is running a program.

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)
)]

pub mod abi;
mod code;
pub mod console;
mod error;
mod folder;
pub mod folding;
pub mod host;
pub mod manifest;
mod plain;
pub mod roofs;
pub mod text;

pub use code::CODE_OFFSET;
pub use error::{Error, reason};
pub use folder::{Artifact, FORMAT, read, source_hash, write};
pub use plain::open_file;
pub use text::{shown, shown_path};

#[cfg(test)]
mod tests;
