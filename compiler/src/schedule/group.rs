//! Groups: what one kernel computes. A group has a space of shared indices; each member's equation begins with them.

use super::contraction::Contraction;
use super::layout::Layout;
use super::lower::BufferSource;
use super::net::{Def, Net, ValueId, for_each_read};
use crate::equation::{Equation, Pos, Read};
use crate::tile::Mode;
use std::collections::BTreeSet;
use vsr_artifact::machine::Machine;

pub struct Group {
    /// Extents of the indices that all members share.
    pub space: Vec<i64>,
    pub members: Vec<Member>,
    pub anchor: Anchor,
}

impl Group {
    /// All values that members read, their own among them. A piece of a value reads some of the value's operands.
    pub fn reads(&self) -> BTreeSet<ValueId> {
        let mut read = BTreeSet::new();
        for m in &self.members {
            let mut see = |r: &Read| {
                read.insert(m.operands[r.operand]);
            };
            for_each_read(&m.equation.body, &mut see);
            for at in &m.equation.write {
                if let Pos::Computed(e) = at {
                    for_each_read(e, &mut see);
                }
            }
        }
        read
    }
}

pub struct Member {
    pub value: ValueId,
    /// Variables: the space, then indices of this member alone, then reduced ones.
    pub equation: Equation,
    pub operands: Vec<ValueId>,
    /// Whether anyone outside of the group reads it.
    pub stored: bool,
}

pub enum Anchor {
    /// Loops: pointwise maps, reductions, gathers.
    Nest,
    Contraction(Box<Contraction>),
    Scatter,
}

impl Anchor {
    pub fn name(&self) -> &'static str {
        match self {
            Anchor::Nest => "nest",
            Anchor::Contraction(_) => "contraction",
            Anchor::Scatter => "scatter",
        }
    }
}

impl Member {
    /// Extents of all variables.
    pub fn extents(&self) -> Vec<i64> {
        self.equation.extents()
    }
}

/// What kernels are built from.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    pub net: &'a Net,
    pub layouts: &'a [Option<Layout>],
    pub machine: Machine,
    /// Elements from which a result is stored non-temporally.
    pub min_non_temporal_elements: i64,
}

impl Context<'_> {
    pub fn layout(&self, value: ValueId) -> &Layout {
        self.layouts[value]
            .as_ref()
            .expect("every value in order has a layout")
    }

    /// How a value is stored: non-temporally, if it is so large that its reader would not find it there anyway.
    pub fn store_mode(&self, value: ValueId) -> Mode {
        match self.layout(value).len >= self.min_non_temporal_elements {
            true => Mode::NonTemporal,
            false => Mode::Store,
        }
    }

    pub fn source(&self, value: ValueId) -> BufferSource {
        let value_ref = &self.net.values[value];
        match (&value_ref.def, value_ref.stored_as) {
            (Def::Weight(weight), _) => BufferSource::Weight(*weight),
            (_, Some(weight)) => BufferSource::Weight(weight),
            _ => BufferSource::Value(value),
        }
    }
}
