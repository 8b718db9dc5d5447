//! The index equation: the one node that carries all computation.
//!
//! An equation is a box of integer indices (free, then reduced) and maps from that box to tensors. It enters from
//! `sema` with quasi-affine index expressions and at most one reduction, at the root; `canon` turns it into affine
//! pieces. Names of operators never occur here.

pub mod adjoint;
mod band;
pub mod canon;
pub mod classify;
pub mod cost;
mod derive;
pub mod eval;
mod expr;
pub mod field;
mod fold;
mod guard;
pub mod index;
pub mod matrix;
pub mod rewrite;
pub mod softmax;
pub(crate) mod solve;
pub mod whole;
mod work;

use index::Ix;
pub use vsr_tile::{Binary, EXACT, Lit, NOWHERE, Relation, Unary};

/// `out[write] = reducer[reduced] body`, over the box `free × reduced`, where every guard holds.
///
/// Variable `v` is a free index if `v < free.len()`, else reduced index `v - free.len()`. Every index runs from 0.
/// A point of the box where a guard fails contributes nothing. Cells of the output that no piece writes are 0.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Equation {
    pub free: Vec<i64>,
    pub reduced: Vec<i64>,
    pub reducer: Reducer,
    pub body: Expr,
    pub guards: Vec<Guard>,
    /// One position for each axis of the output. Affine and injective after `canon`, except in a scatter.
    pub write: Vec<Pos>,
}

impl Equation {
    /// Whether each position that is written is 0 or an index.
    pub fn has_bare_writes(&self) -> bool {
        let is_bare = |ix: &index::Ix| ix.as_var().is_some() || ix.as_constant() == Some(0);
        let mut positions = self.write.iter();
        positions.all(|p| matches!(p, Pos::Ix(ix) if is_bare(ix)))
    }
}

/// `0 <= index < extent`
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Guard {
    pub index: Ix,
    pub extent: i64,
}

/// How the points of the reduced box become one number. A mean is a sum of `body / n`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reducer {
    /// No reduction; `reduced` is empty.
    Map,
    Sum,
    Max,
    Min,
    /// log(sum(exp(body)))
    Lse,
    /// variance over all n points, dividing by n
    Var,
}

/// A scalar expression: no reduction inside. Trees are small; the back end finds common parts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Expr {
    Lit(Lit),
    /// The value of an index expression, as a number.
    Index(Ix),
    Read(Read),
    Unary(Unary, Box<Expr>),
    Binary(Binary, Box<Expr>, Box<Expr>),
    /// `relation(args[0], args[1]) ? args[2] : args[3]`; both sides are computed, one is chosen.
    Select(Relation, Box<[Expr; 4]>),
    /// Philox at a flat position, keyed by (run seed, step, key); uniform in [0,1) or standard normal.
    Random {
        key: u64,
        normal: bool,
        at: Ix,
    },
}

/// Element `at` of the node's operand number `operand`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Read {
    pub operand: usize,
    pub at: Vec<Pos>,
    /// The value outside the tensor; None: proven to be inside.
    pub outside: Option<Lit>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Pos {
    Ix(Ix),
    /// Integer-valued expression that is not quasi-affine: `floor` of tensor values, `min`/`max` of indices.
    Computed(Box<Expr>),
}
