//! The graph between the front end and the schedule: built canonical, verified, printed, and evaluated in f64.

pub mod build;
pub mod eval;
pub mod expr;
pub mod field;
pub mod graph;
pub mod origins;
pub mod philox;
pub mod print;
mod print_expr;
pub mod region;
mod reuse;
pub mod simplify;
pub mod verify;
mod view;
