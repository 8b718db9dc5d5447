//! `kernel NAME` on an op of the user's own: a promise that the classifier finds that shape in the op's equations.
//!
//! Nothing depends on a promise that is kept.

use super::elab::Elab;
use super::error::{Fallible, fault};
use super::module::Def;
use crate::diag::Class;
use crate::equation::canon::canonicalise;
use crate::equation::classify::{self, Piece};
use crate::equation::{Equation, Pos};
use crate::ir::graph::NodeId;

/// An equation as written, with the names of its indices, free ones first.
pub struct Promised {
    pub equation: Equation,
    pub operands: Vec<NodeId>,
    /// The node that it became.
    pub result: NodeId,
    pub shapes: Vec<Vec<i64>>,
    pub out: Vec<i64>,
    pub names: Vec<String>,
}

impl<'a> Elab<'a, '_> {
    /// Runs the body of an op; if it promises a kernel, its equations must keep the promise.
    pub fn with_promise<T>(
        &mut self,
        d: &Def<'a>,
        f: impl FnOnce(&mut Self) -> Fallible<T>,
    ) -> Fallible<T> {
        let Some(kernel) = d.kernel.filter(|_| !d.standard) else {
            return f(self);
        };
        let outer = self.promised.replace(vec![]);
        let result = f(self);
        let promised = std::mem::replace(&mut self.promised, outer).unwrap_or_default();
        let value = result?;
        let equations: Vec<Piece> = promised.iter().flat_map(canonical).collect();
        let kept = classify::promise(&kernel.text, &equations);
        // They are part of the op around this one, too.
        if let Some(outer) = &mut self.promised {
            outer.extend(promised);
        }
        match kept {
            Ok(()) => Ok(value),
            Err(why) => {
                let text = format!(
                    "{} does not keep its promise `kernel {}`",
                    d.name.text, kernel.text
                );
                let help = "the equation stays the definition: without the promise it compiles";
                self.fail(
                    kernel.span,
                    fault(Class::Kernel, text).label(why).help(help),
                )
            }
        }
    }
}

/// The pieces, each index named by the axis of the result that it writes, or by its place among the reduced ones.
///
/// A promise is about the text: with one channel, say, an index would vanish, so every extent is at least 2 here.
fn canonical(promised: &Promised) -> Vec<Piece> {
    let wide = |extents: &[i64]| -> Vec<i64> { extents.iter().map(|e| (*e).max(2)).collect() };
    let equation = Equation {
        free: wide(&promised.equation.free),
        reduced: wide(&promised.equation.reduced),
        ..promised.equation.clone()
    };
    let shapes: Vec<Vec<i64>> = promised.shapes.iter().map(|s| wide(s)).collect();
    let shapes: Vec<&[i64]> = shapes.iter().map(Vec::as_slice).collect();
    let pieces = canonicalise(&equation, &shapes, &wide(&promised.out)).pieces;
    let piece = |equation: Equation| Piece {
        names: named(&equation, promised),
        equation,
        operands: promised.operands.iter().map(|o| o.index()).collect(),
        result: promised.result.index(),
    };
    pieces.into_iter().map(piece).collect()
}

fn named(piece: &Equation, promised: &Promised) -> Vec<String> {
    let n_free = promised.equation.free.len();
    let mut names: Vec<String> = (0..piece.free.len() + piece.reduced.len())
        .map(|v| format!("#{v}"))
        .collect();
    for (axis, pos) in piece.write.iter().enumerate() {
        if let (Pos::Ix(ix), Some(name)) = (pos, promised.names.get(axis)) {
            ix.for_each_var(&mut |v| names[v] = name.clone());
        }
    }
    if piece.reduced.len() == promised.equation.reduced.len() {
        for at in 0..piece.reduced.len() {
            names[piece.free.len() + at] = promised.names[n_free + at].clone();
        }
    }
    names
}
