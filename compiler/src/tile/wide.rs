//! f64 expressions: the arithmetic of positions that are computed from values, where the 24 bits of an f32 do not hold them.

use crate::equation::{Binary, Lit, Relation};

/// Over values `V` and integers `I`: a kernel's, or what a back end makes of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Wide<V, I> {
    Lit(Lit),
    Val(V),
    Int(I),
    Floor(Box<Wide<V, I>>),
    /// All but Pow.
    Binary(Binary, Box<Wide<V, I>>, Box<Wide<V, I>>),
    Select(Relation, Box<[Wide<V, I>; 4]>),
}

impl<V, I> Wide<V, I> {
    /// Calls `f` with every part, operands first.
    pub fn each<'a>(&'a self, f: &mut dyn FnMut(&'a Wide<V, I>)) {
        match self {
            Wide::Lit(_) | Wide::Val(_) | Wide::Int(_) => {}
            Wide::Floor(a) => a.each(f),
            Wide::Binary(_, a, b) => {
                a.each(f);
                b.each(f);
            }
            Wide::Select(_, args) => args.iter().for_each(|a| a.each(f)),
        }
        f(self);
    }

    /// As `each`, to change the values and integers inside.
    pub fn each_mut(&mut self, f: &mut dyn FnMut(&mut Wide<V, I>)) {
        match self {
            Wide::Lit(_) | Wide::Val(_) | Wide::Int(_) => {}
            Wide::Floor(a) => a.each_mut(f),
            Wide::Binary(_, a, b) => {
                a.each_mut(f);
                b.each_mut(f);
            }
            Wide::Select(_, args) => args.iter_mut().for_each(|a| a.each_mut(f)),
        }
        f(self);
    }

    /// The same arithmetic over others: `leaf` makes a leaf of each leaf.
    pub fn map<W, J>(&self, leaf: &mut dyn FnMut(&Wide<V, I>) -> Wide<W, J>) -> Wide<W, J> {
        match self {
            Wide::Lit(_) | Wide::Val(_) | Wide::Int(_) => leaf(self),
            Wide::Floor(a) => Wide::Floor(Box::new(a.map(leaf))),
            Wide::Binary(op, a, b) => {
                let a = a.map(leaf);
                Wide::Binary(*op, Box::new(a), Box::new(b.map(leaf)))
            }
            Wide::Select(relation, args) => {
                let args = [&args[0], &args[1], &args[2], &args[3]].map(|a| a.map(leaf));
                Wide::Select(*relation, Box::new(args))
            }
        }
    }
}
