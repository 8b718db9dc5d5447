//! Straight-line code along a row: its operations, stores and reduction. Nothing is executed or encoded here.

use super::asm::Level;
use crate::equation::{Binary, Relation};

/// Index of an operation, whose result it is.
pub type ValueId = usize;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Adjacent f32, from a pointer plus bytes.
    Load {
        pointer: usize,
        bytes: i32,
    },
    /// The same for the whole row, from the arguments.
    Number(usize),
    /// Bits of an f32.
    Lit(u32),
    And(ValueId, ValueId),
    Xor(ValueId, ValueId),
    Sqrt(ValueId),
    Floor(ValueId),
    /// Add, Sub, Mul, Div, Min or Max; of the last two, the second operand is what comes of not-a-number.
    Binary(Binary, ValueId, ValueId),
    /// `a·b + c`, rounded once.
    Fma(ValueId, ValueId, ValueId),
    /// `y·2^n`: n as a number, and in the low bits of `shifted`, which `magic` has put there. `bias`: the whole number 127.
    /// Where 2^n is a number of its own, `near`, one multiplication is enough.
    Scale {
        y: ValueId,
        n: ValueId,
        shifted: ValueId,
        bias: ValueId,
        magic: ValueId,
        near: bool,
    },
    /// The third where the first two are so related, else the fourth.
    Select(Relation, [ValueId; 4]),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Store {
    pub value: ValueId,
    pub pointer: usize,
    pub bytes: i32,
}

/// Element e is added to (or compared with) lane e % lanes, elements ascending.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reduction {
    /// Add, Min or Max.
    pub op: Binary,
    pub value: ValueId,
    /// Of the lanes, where each goes on; or of the row's one number.
    pub pointer: usize,
    /// 16 or 32.
    pub lanes: usize,
    /// The row is all: lanes begin with this number (its bits), and what they come to is stored. Lanes l and l + half of them
    /// are joined first.
    pub total_from: Option<u32>,
}

/// `extern "C" fn(arguments, elements)`; the arguments are pointers (8 bytes each), then numbers (4 bytes each).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Program {
    pub n_pointers: usize,
    pub n_numbers: usize,
    /// Operands before results.
    pub ops: Vec<Op>,
    pub stores: Vec<Store>,
    pub reduction: Option<Reduction>,
    /// Stores bypass the caches: nobody reads what is stored soon. Without a reduction.
    pub non_temporal: bool,
    /// Rows follow each other: later ones are prefetched while this one is computed.
    pub prefetches: bool,
}

impl Program {
    /// What an operation is computed from, at some level.
    pub fn operands(op: &Op, level: Level) -> Vec<ValueId> {
        match op {
            Op::Load { .. } | Op::Number(_) | Op::Lit(_) => vec![],
            Op::Sqrt(a) | Op::Floor(a) => vec![*a],
            Op::And(a, b) | Op::Xor(a, b) | Op::Binary(_, a, b) => vec![*a, *b],
            Op::Select(_, args) => args.to_vec(),
            Op::Fma(a, b, c) => vec![*a, *b, *c],
            Op::Scale { y, n, .. } if level == Level::Avx512 => vec![*y, *n],
            Op::Scale {
                y,
                n,
                shifted,
                bias,
                magic,
                ..
            } => vec![*y, *n, *shifted, *bias, *magic],
        }
    }

    /// Bytes of the arguments.
    pub fn argument_bytes(&self) -> usize {
        8 * self.n_pointers + 4 * self.n_numbers
    }
}

impl std::fmt::Display for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, op) in self.ops.iter().enumerate() {
            writeln!(f, ";   {i} = {op:?}")?;
        }
        for s in &self.stores {
            let hint = if self.non_temporal {
                " non-temporal"
            } else {
                ""
            };
            writeln!(
                f,
                ";   pointer {} + {} = {}{hint}",
                s.pointer, s.bytes, s.value
            )?;
        }
        if let Some(r) = &self.reduction {
            let (op, value, lanes) = (r.op, r.value, r.lanes);
            let one = match r.total_from {
                Some(_) => "one number, ",
                None => "",
            };
            writeln!(
                f,
                ";   pointer {} = {op:?} of {value} in {one}{lanes} lanes",
                r.pointer
            )?;
        }
        Ok(())
    }
}
