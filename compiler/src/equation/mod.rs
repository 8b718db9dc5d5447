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
mod ops;
pub mod rewrite;
pub mod softmax;
pub(crate) mod solve;
pub mod whole;
mod work;

use index::Ix;

/// A number in an expression, compared by its bits so that equations can be interned.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lit(u64);

impl Lit {
    pub fn new(value: f64) -> Lit {
        Lit(value.to_bits())
    }
    pub fn get(self) -> f64 {
        f64::from_bits(self.0)
    }
}

impl std::fmt::Debug for Lit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.get())
    }
}

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

/// The position that is none: no bound holds for it, whatever is added to it.
pub const NOWHERE: i64 = -(1 << 60);
/// Whole numbers below this are exact in f64.
pub const EXACT: f64 = (1u64 << 53) as f64;

/// A computed position, which is a whole number, as an integer: what is no number or not exact is nowhere.
pub fn whole(x: f64) -> i64 {
    if x.abs() < EXACT { x as i64 } else { NOWHERE }
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unary {
    Neg,
    Exp,
    Log,
    Sqrt,
    Sin,
    Cos,
    Tanh,
    Erf,
    Abs,
    Floor,
    /// Identity whose gradient is zero; removed after differentiation.
    Stop,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    Pow,
    Min,
    Max,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Relation {
    Lt,
    Le,
    Gt,
    Ge,
    Eq,
    Ne,
}
