//! Back ends: they know scalars, loops and vectors, never an operator's name.

pub mod clif;
pub mod wide;
