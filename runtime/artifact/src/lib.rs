//! The format that compiler and runtime share: a folder with `manifest.json`, `code.bin`, `consts.bin` and `source/`.

pub mod abi;
pub mod manifest;
