//! The tile programs of a network: what they are is `vsr_tile`; here is what rewrites them, and what back ends see of them.
//!
//! The builder writes extents as constants; `lift` turns constants above 16 into arguments, so that kernels of one
//! shape share one body. The passes follow, and `dag` has a statement's common parts once, for code.

pub(crate) mod coalesce;
pub(crate) mod dag;
mod interchange;
mod lift;
mod passes;
pub(crate) mod software_pipeline;
pub(crate) mod sum;

pub use lift::lift;
pub use passes::{LaunchedKernel, PASSES};
pub use vsr_tile::{
    ArgFact, Bound, Buffer, BufferId, BufferKind, Compute, Contract, ContractInit, Digit, Int,
    Kernel, Leaf, MAX_NESTING, MathOp, Mode, ParseError, Reduce, ReduceOp, Report, Stmt, TaskAxis,
    Tile, TileId, TileKind, To, Val, Var, Wide, identity, interpret, parse, parse_kernel, print,
    verify, walk,
};
