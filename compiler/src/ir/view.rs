//! Reading through views: a node that only shows another one (a transpose, a slice, a broadcast) is never read itself.

use crate::equation::index::{Atom, Ix};
use crate::equation::{Equation, Expr, Pos, Read, Reducer};
use crate::ir::expr;
use crate::ir::graph::{Graph, NodeId, Op};
use crate::ir::region::whole;

/// The same read, of what `id` shows; None if `id` is no view or the read does not carry over.
pub fn through(graph: &Graph, id: NodeId, read: &Read, extents: &[i64]) -> Option<(Read, NodeId)> {
    let node = graph.node(id);
    let Op::Equation(pieces) = &node.op else {
        return None;
    };
    let [piece] = pieces.as_slice() else {
        return None;
    };
    let (shown, axes) = shown(piece, &node.shape)?;
    let source = node.operands[shown.operand];
    let bounds = Bounds {
        piece,
        shown,
        axes: &axes,
        source: graph.shape(source),
    };
    if read.outside.is_some() && !bounds.carry_over(read, &node.shape, extents) {
        return None;
    }
    let at: Option<Vec<Pos>> = shown
        .at
        .iter()
        .map(|p| position(p, &axes, &read.at))
        .collect();
    Some((
        Read {
            operand: 0,
            at: at?,
            outside: read.outside,
        },
        source,
    ))
}

/// A pointwise equation over a view whose write splits axes into digits (a pixel shuffle), as one over what is shown:
/// positions get `//` and `%`, which canonicalising takes away again by splitting indices. Only if it reads nothing else,
/// so that no other operand's box is cut.
pub fn over_digits(graph: &Graph, equation: &Equation, id: NodeId) -> Option<(Equation, NodeId)> {
    let node = graph.node(id);
    if equation.reducer != Reducer::Map
        || equation.free != node.shape
        || !reads_straight(equation, &node.shape)
    {
        return None;
    }
    let Op::Equation(pieces) = &node.op else {
        return None;
    };
    let [piece] = pieces.as_slice() else {
        return None;
    };
    let Expr::Read(shown) = &piece.body else {
        return None;
    };
    let plain = piece.reducer == Reducer::Map && piece.guards.is_empty() && shown.outside.is_none();
    let digits = plain.then(|| digits(piece, &node.shape)).flatten()?;
    let source = node.operands[shown.operand];
    let at: Option<Vec<Pos>> = (shown.at.iter())
        .map(|p| match p {
            Pos::Ix(ix) => Some(Pos::Ix(ix.substitute(&|v| digits[v].clone()))),
            Pos::Computed(_) => None,
        })
        .collect();
    let read = Read {
        operand: 0,
        at: at?,
        outside: None,
    };
    let replaced = expr::rewrite_equation(equation, &mut |e| match e {
        Expr::Read(_) => Expr::Read(read.clone()),
        e => e,
    });
    Some((replaced, source))
}

/// Every read is at the indices of the cell that is written.
fn reads_straight(equation: &Equation, shape: &[i64]) -> bool {
    let Some(axes) = whole(equation, shape) else {
        return false;
    };
    let mut straight = axes
        .iter()
        .enumerate()
        .all(|(axis, v)| v.is_none_or(|v| v == axis));
    expr::for_each_read(&equation.body, &mut |read| {
        straight &= read.outside.is_none()
            && read.at.len() == shape.len()
            && read
                .at
                .iter()
                .zip(shape)
                .enumerate()
                .all(|(axis, (p, extent))| match p {
                    Pos::Ix(ix) => {
                        ix.as_var() == Some(axis) || (*extent == 1 && ix.as_constant() == Some(0))
                    }
                    Pos::Computed(_) => false,
                });
    });
    straight
}

/// The piece's variables in terms of its output's axes, if every axis is written in a mixed radix without gaps, and at
/// least one has several digits.
fn digits(piece: &Equation, shape: &[i64]) -> Option<Vec<Ix>> {
    let mut found: Vec<Option<Ix>> = vec![None; piece.free.len()];
    let mut any = false;
    for (axis, (p, extent)) in piece.write.iter().zip(shape).enumerate() {
        let Pos::Ix(at) = p else { return None };
        let mut terms: Vec<(i64, usize)> = vec![];
        for (atom, c) in &at.terms {
            let Atom::Var(v) = atom else { return None };
            terms.push((*c, *v));
        }
        terms.sort();
        any |= terms.len() > 1;
        let mut radix = 1;
        for (c, v) in terms {
            if c != radix || found[v].is_some() {
                return None;
            }
            found[v] = Some(Ix::var(axis).div(radix).rem(piece.free[v]));
            radix *= piece.free[v];
        }
        if radix != *extent || at.constant != 0 {
            return None;
        }
    }
    any.then(|| found.into_iter().collect()).flatten()
}

/// The one read of a piece that copies affinely, and the variable of each axis of its output.
fn shown<'a>(piece: &'a Equation, shape: &[i64]) -> Option<(&'a Read, Vec<Option<usize>>)> {
    let axes = whole(piece, shape)?;
    match &piece.body {
        Expr::Read(read) if piece.reducer == Reducer::Map && read.outside.is_none() => {
            let affine = read
                .at
                .iter()
                .all(|p| matches!(p, Pos::Ix(ix) if ix.is_affine()));
            affine.then_some((read, axes))
        }
        _ => None,
    }
}

struct Bounds<'a> {
    piece: &'a Equation,
    shown: &'a Read,
    axes: &'a [Option<usize>],
    source: &'a [i64],
}

impl Bounds<'_> {
    /// True if the read is outside the view exactly where it is outside the source.
    fn carry_over(&self, read: &Read, shape: &[i64], extents: &[i64]) -> bool {
        read.at
            .iter()
            .zip(shape)
            .zip(self.axes)
            .all(|((p, extent), axis)| {
                let inside = matches!(p, Pos::Ix(ix) if {
                    let (lo, hi) = ix.range(extents);
                    0 <= lo && hi < *extent
                });
                inside || axis.is_some_and(|v| self.is_whole_axis(v))
            })
    }

    /// Variable v of the view is one whole axis of the source, and occurs nowhere else.
    fn is_whole_axis(&self, v: usize) -> bool {
        let mut n_uses = 0;
        let mut whole = false;
        for (p, extent) in self.shown.at.iter().zip(self.source) {
            let Pos::Ix(ix) = p else { return false };
            if ix.coefficient(v) != 0 {
                n_uses += 1;
                whole = ix.as_var() == Some(v) && self.piece.free[v] == *extent;
            }
        }
        n_uses == 1 && whole
    }
}

/// The source's position where the view is read at `at`.
fn position(p: &Pos, axes: &[Option<usize>], at: &[Pos]) -> Option<Pos> {
    let Pos::Ix(ix) = p else { return None };
    let given = |v: usize| {
        axes.iter()
            .position(|a| *a == Some(v))
            .map(|axis| &at[axis])
    };
    if let Some(v) = ix.as_var() {
        return given(v).cloned().or(Some(Pos::Ix(Ix::constant(0))));
    }
    let mut used = vec![];
    ix.for_each_var(&mut |v| used.push(v));
    let all_affine = used
        .iter()
        .all(|v| matches!(given(*v), None | Some(Pos::Ix(_))));
    all_affine.then(|| {
        Pos::Ix(ix.substitute(&|v| match given(v) {
            Some(Pos::Ix(at)) => at.clone(),
            _ => Ix::constant(0),
        }))
    })
}
