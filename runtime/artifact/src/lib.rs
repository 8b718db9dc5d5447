//! The format that compiler and runtime share: a folder with `manifest.json` and what it names: `code.bin`,
//! `consts.bin` and `source/`, in a folder of their own.
//!
//! [`write`] replaces an artifact in one step; [`read`] hands one out only after every byte of it was checked.
//! [`replace`] does the same for single files. Hashes detect damage, not malice: loading native code is running a
//! program.

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
mod links;
pub mod machine;
pub mod manifest;
mod manifest_file;
pub mod place;
mod publish;
mod regular_file;
pub mod replace;
pub mod roofs;
pub mod text;

pub use code::CODE_OFFSET;
pub use error::{EXIT_CODES, Error, is_users, reason};
pub use folder::{Artifact, FORMAT, code_file, files, read, source_hash};
pub use links::link_weights;
pub use publish::write;
pub use regular_file::open_file;
pub use text::{shown, shown_path};

#[cfg(test)]
mod tests;
