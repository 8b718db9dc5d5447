//! vsr-tile: the tile IR, a sequential program over tiles, run once per task. Enters kernels, or their text; leaves text, kernels,
//! proofs, and what a run writes.
//!
//! A kernel's address arithmetic is integer (`Int`), its values are f32 (`Val`). Every loop over data is one form,
//! `Compute`: a box of indices, an optional reduction, a value, a destination. Contractions call the runtime's
//! microkernel on row offsets; there are no guards inside a contraction, because tensors that are read outside their
//! bounds are stored with a border of zeros.
//!
//! A kernel's text ([`print()`]) parses back to it ([`parse()`]): tests are written so, and kernels can be kept. [`verify()`] proves
//! that a kernel stays inside of its memory, [`interpret`] runs it; [`scalar`] says what each function of numbers gives. Who
//! makes kernels, rewrites them or turns them into machine code is elsewhere: the compiler.

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)
)]

pub mod interpret;
mod parse;
mod print;
mod range;
pub mod scalar;
mod verify;
pub mod walk;
mod wide;

pub use parse::{MAX_NESTING, ParseError, parse, parse_kernel};
pub use print::{identity, print};
pub use scalar::{Binary, EXACT, Lit, Map, Map2, NOWHERE, Relation, Unary, whole};
pub use verify::{Report, verify};
pub use wide::{Leaf, Wide};

pub type Var = u32;
pub type BufferId = u32;
pub type TileId = u32;

#[derive(Clone, Debug, PartialEq)]
pub struct Kernel {
    pub name: String,
    pub buffers: Vec<Buffer>,
    /// Filled by `lift`: what is known of each i64 argument.
    pub args: Vec<ArgFact>,
    /// The task box, last axis fastest; task t sets every `var` to `index * step`.
    pub tasks: Vec<TaskAxis>,
    pub tiles: Vec<Tile>,
    pub body: Vec<Stmt>,
}

/// A base address passed at launch. Addresses are in elements (f32, or i64 for a table) from that base.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Buffer {
    pub name: String,
    pub kind: BufferKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BufferKind {
    In,
    Out,
    InOut,
    /// Read-only i64 data.
    Table,
}

/// The argument is a multiple of `multiple_of` (a power of two, at most 64).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArgFact {
    pub multiple_of: i64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct TaskAxis {
    pub var: Var,
    /// Number of indices is ceil(extent / step).
    pub extent: Int,
    pub step: i64,
}

/// Scratch of one task. Lengths are constants: tile sizes are part of a kernel's identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tile {
    pub name: String,
    pub kind: TileKind,
    pub len: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TileKind {
    F32,
    /// Row offsets.
    I64,
}

/// Integer expressions: addresses, extents, conditions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Int {
    Const(i64),
    Var(Var),
    Arg(u32),
    Add(Box<Int>, Box<Int>),
    Sub(Box<Int>, Box<Int>),
    Mul(Box<Int>, Box<Int>),
    /// Floor division, remainder with the divisor's sign; divisor positive.
    Div(Box<Int>, Box<Int>),
    Rem(Box<Int>, Box<Int>),
    Min(Box<Int>, Box<Int>),
    Max(Box<Int>, Box<Int>),
    /// floor of a value; i32::MIN of what is no number, or beyond 32 bits: far outside of every tensor.
    Floor(Box<Val>),
    /// The whole number that a wide expression comes to; [`NOWHERE`] for what is no number, or too large to be exact.
    Whole(Box<Wide<Val, Int>>),
    /// Element of a table buffer.
    Table(BufferId, Box<Int>),
    /// Element of an I64 tile (a row's offset, filled by `Rows`).
    Tile(TileId, Box<Int>),
}

impl Int {
    /// Both operands, if it is computed from two integers.
    pub fn operands(&self) -> Option<[&Int; 2]> {
        match self {
            Int::Add(a, b)
            | Int::Sub(a, b)
            | Int::Mul(a, b)
            | Int::Div(a, b)
            | Int::Rem(a, b)
            | Int::Min(a, b)
            | Int::Max(a, b) => Some([a, b]),
            Int::Const(_)
            | Int::Var(_)
            | Int::Arg(_)
            | Int::Floor(_)
            | Int::Whole(_)
            | Int::Table(..)
            | Int::Tile(..) => None,
        }
    }

    /// As [`Int::operands`], to be changed.
    pub fn operands_mut(&mut self) -> Option<[&mut Int; 2]> {
        match self {
            Int::Add(a, b)
            | Int::Sub(a, b)
            | Int::Mul(a, b)
            | Int::Div(a, b)
            | Int::Rem(a, b)
            | Int::Min(a, b)
            | Int::Max(a, b) => Some([a, b]),
            Int::Const(_)
            | Int::Var(_)
            | Int::Arg(_)
            | Int::Floor(_)
            | Int::Whole(_)
            | Int::Table(..)
            | Int::Tile(..) => None,
        }
    }
}

/// f32 expressions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Val {
    Lit(Lit),
    Buf(BufferId, Int),
    Tile(TileId, Int),
    /// An integer as a number.
    FromInt(Int),
    Unary(MathOp, Box<Val>),
    Binary(Binary, Box<Val>, Box<Val>),
    Select(Relation, Box<[Val; 4]>),
    /// The value where all `0 <= index < extent` hold, else the literal; nothing is read outside.
    Guarded(Vec<Bound>, Box<Val>, Lit),
    /// Philox: (key, flat counter), with the run's seed and step from the environment.
    Random {
        key: u64,
        normal: bool,
        at: Int,
    },
}

/// Scalar functions; `Stop` does not reach this far.
pub type MathOp = Unary;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Bound {
    pub index: Int,
    pub extent: Int,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Stmt {
    /// for var in 0..extent step `step`; a statement after another sees its writes.
    For {
        var: Var,
        extent: Int,
        step: i64,
        body: Vec<Stmt>,
    },
    Let {
        var: Var,
        value: Int,
    },
    If {
        bounds: Vec<Bound>,
        body: Vec<Stmt>,
    },
    Compute(Compute),
    /// Fills an i64 tile: `tile[i] = value` for i in 0..extent, with the digits of `first + i` bound.
    Rows {
        tile: TileId,
        first: Int,
        extent: Int,
        digits: Vec<Digit>,
        value: Int,
    },
    Contract(Box<Contract>),
}

/// `unflatten`: `var` is a mixed-radix digit of `first + i`. Digits are listed fastest first; each has its extent.
/// Past the end of the whole range the last valid position repeats, so rows of a tail are readable.
#[derive(Clone, Debug, PartialEq)]
pub struct Digit {
    pub var: Var,
    pub extent: Int,
}

/// `dst[…] (+)= reduce(value)` over the box `dims`, innermost last. Without `reduce`: a map.
#[derive(Clone, Debug, PartialEq)]
pub struct Compute {
    pub dims: Vec<(Var, Int)>,
    pub reduce: Option<Reduce>,
    pub value: Val,
    pub to: To,
    pub at: Int,
    /// Points where a bound fails are skipped (not stored; in a reduction, left out).
    pub bounds: Vec<Bound>,
    /// What is stored: the value, or the old element combined with it (running reductions, owned scatters).
    pub mode: Mode,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    Buf(BufferId),
    Tile(TileId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Store,
    /// By stores that bypass the caches: not read again soon.
    NonTemporal,
    /// old + value, in index order
    Add,
    /// max(old, value), min(old, value)
    Max,
    Min,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Reduce {
    pub dims: Vec<(Var, Int)>,
    pub op: ReduceOp,
    /// 1: one ascending chain. n = 16 or 32: element e of the last dim in lane e % n, then lanes l and l+n/2, down to l+1.
    pub lanes: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReduceOp {
    Sum,
    Max,
    Min,
}

/// `c[m][n] = init + Σ_t Σ_k A[rows[m] + taps[t].a + k·a_step] · B[b_at + taps[t].b + panel(n) + k·b_step + n%32]`
///
/// One FMA chain an element, t then k ascending, from init. `c` is a part of a tile or a buffer: `m` rows, `ldc` apart.
#[derive(Clone, Debug, PartialEq)]
pub struct Contract {
    pub c: To,
    pub c_at: Int,
    pub ldc: Int,
    pub m: Int,
    pub n: Int,
    pub init: ContractInit,
    pub a: To,
    /// An I64 tile with one offset (elements of `a`) for each row, and the first one to use.
    pub rows: TileId,
    pub rows_at: Int,
    pub a_at: Int,
    pub a_step: Int,
    /// A table of pairs (offset in a, offset in b), the first pair to use, and how many.
    pub taps: BufferId,
    pub taps_at: Int,
    pub n_taps: Int,
    pub k: Int,
    pub b: To,
    pub b_at: Int,
    pub b_step: Int,
    /// Distance of two panels of 32 columns; 32 where B lies in place.
    pub b_panel: Int,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ContractInit {
    Zero,
    /// Goes on with what `c` holds.
    Keep,
    /// Row vector, one element a column: `buffer[at + n]`.
    Bias(BufferId, Int),
}
