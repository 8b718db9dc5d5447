//! Random programs, and everything that must hold of each of them.
//!
//! `grow` makes a program from a seed, `check` holds all stages of the house against each other and against the equations
//! as they are written, `shrink` cuts a program that fails down to what is needed for it.

pub mod check;
pub mod grow;
pub mod library;
pub mod machine;
pub mod mutate;
mod native;
pub mod numerics;
pub mod program;
pub mod rng;
pub mod shrink;
pub mod sizes;
pub mod source;
