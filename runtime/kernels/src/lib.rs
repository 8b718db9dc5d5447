//! The microkernels that compiled code calls: contraction, maths over a tile, random numbers, non-temporal
//! copies, interleaving, transposition.
//!
//! What enters is raw addresses that the caller has checked; what leaves is numbers in memory. Nothing here allocates,
//! fails, or knows what network it works for. Three levels are chosen once, when an artifact is loaded:
//!
//! | level | contraction | maths |
//! |---|---|---|
//! | `Avx512` | 8×32 blocks, one FMA chain an element | one source for all, vectorised per level, **the same bits** |
//! | `Avx2` | 6×16 and 4×16 blocks, **the same bits** as `Avx512` | the same bits |
//! | `Portable` | multiply, then add: another kind of device, other bits | the same bits (by `fma` in software) |

#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod affine;
pub mod contract;
pub mod interleave;
pub mod level;
pub mod maths;
pub mod measure;
pub mod non_temporal;
pub mod philox;
pub mod transpose;

pub use affine::Affine;
pub use contract::{ContractCall, contract};
pub use level::Level;
