//! f64 expressions: the arithmetic of positions that are computed from values, where the 24 bits of an f32 do not hold
//! them.
//!
//! Data and the walks over it, for whoever reads a kernel; nothing is evaluated here. No call, and no rounding to f32.

use crate::{Binary, Lit, Relation, Unary};

/// Over values `V` and integers `I`: a kernel's, or what a back end makes of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Wide<V, I> {
    Lit(Lit),
    Val(V),
    Int(I),
    /// One that makes whole numbers: `floor` or `round`.
    Step(Unary, Box<Wide<V, I>>),
    /// One that is no call.
    Binary(Binary, Box<Wide<V, I>>, Box<Wide<V, I>>),
    Select(Relation, Box<[Wide<V, I>; 4]>),
}

/// What a wide expression is made of, beside numbers.
pub enum Leaf<V, I> {
    Val(V),
    Int(I),
}

impl<V, I> Wide<V, I> {
    /// Calls `f` with every leaf.
    pub fn each_leaf<'a>(&'a self, f: &mut dyn FnMut(Leaf<&'a V, &'a I>)) {
        match self {
            Wide::Lit(_) => {}
            Wide::Val(v) => f(Leaf::Val(v)),
            Wide::Int(i) => f(Leaf::Int(i)),
            Wide::Step(_, a) => a.each_leaf(f),
            Wide::Binary(_, a, b) => {
                a.each_leaf(f);
                b.each_leaf(f);
            }
            Wide::Select(_, args) => args.iter().for_each(|a| a.each_leaf(f)),
        }
    }

    /// As `each_leaf`, to change them.
    pub fn each_leaf_mut(&mut self, f: &mut dyn FnMut(Leaf<&mut V, &mut I>)) {
        match self {
            Wide::Lit(_) => {}
            Wide::Val(v) => f(Leaf::Val(v)),
            Wide::Int(i) => f(Leaf::Int(i)),
            Wide::Step(_, a) => a.each_leaf_mut(f),
            Wide::Binary(_, a, b) => {
                a.each_leaf_mut(f);
                b.each_leaf_mut(f);
            }
            Wide::Select(_, args) => args.iter_mut().for_each(|a| a.each_leaf_mut(f)),
        }
    }

    /// The same arithmetic over other leaves.
    pub fn map<W, J>(&self, f: &mut dyn FnMut(Leaf<&V, &I>) -> Leaf<W, J>) -> Wide<W, J> {
        let of = |leaf| match leaf {
            Leaf::Val(v) => Wide::Val(v),
            Leaf::Int(i) => Wide::Int(i),
        };
        match self {
            Wide::Lit(lit) => Wide::Lit(*lit),
            Wide::Val(v) => of(f(Leaf::Val(v))),
            Wide::Int(i) => of(f(Leaf::Int(i))),
            Wide::Step(op, a) => Wide::Step(*op, Box::new(a.map(f))),
            Wide::Binary(op, a, b) => {
                let a = a.map(f);
                Wide::Binary(*op, Box::new(a), Box::new(b.map(f)))
            }
            Wide::Select(relation, args) => {
                let args = [&args[0], &args[1], &args[2], &args[3]].map(|a| a.map(f));
                Wide::Select(*relation, Box::new(args))
            }
        }
    }
}
