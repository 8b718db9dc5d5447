//! Passes over a whole graph, after differentiation: each takes a graph and gives one, deterministically.

mod optimise;

pub use optimise::{PASSES, optimise};
