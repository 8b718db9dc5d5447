//! From a graph to kernels and a launch list: fusion, layouts, contractions, memory.
//!
//! Enters the optimised graph of one entry; leaves tile kernels with their launches and the byte of every buffer.
//! Decisions are made by the shape of equations; no operator's name is known here.

mod chunks;
mod compute_at;
pub mod contraction;
mod draft;
mod fill;
mod fuse;
mod gathers;
mod group;
mod hoist;
mod inline;
pub mod interpret;
mod join;
mod layout;
mod lower;
mod matmul;
pub mod memory;
mod moments;
mod nest;
pub mod net;
mod numerics;
mod order;
mod place;
mod plan;
mod positions;
mod preferences;
mod print;
mod reach;
mod refusal;
mod scatter;
mod softmax;
mod split;
mod unroll;
mod updates;
mod winograd;

pub use net::{WeightDecl, WeightKind, WeightTable};
pub use numerics::Numerics;
pub use plan::{EntryPlan, LaunchPlan, PlannedBuffer, Rules, Slot, passes, plan};
pub use print::print;
pub use refusal::Refusal;
