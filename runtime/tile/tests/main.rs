//! All tests of tile programs' texts, in one program; one file is `cargo test -p vsr-tile --test it errors::`.

#![allow(clippy::unwrap_used)]

mod errors;
mod random;
mod text;
