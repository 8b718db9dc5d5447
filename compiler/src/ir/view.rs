//! Reading through views: a node that only shows another one (a transpose, a slice, a broadcast) is never read itself.

use crate::equation::index::Ix;
use crate::equation::{Equation, Expr, Pos, Read, Reducer};
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
