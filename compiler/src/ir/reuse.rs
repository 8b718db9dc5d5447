//! Costly functions that are nodes already: read where a pointwise equation would compute them again.

use std::collections::HashMap;

use crate::equation::{Equation, Expr, Read, Reducer};
use crate::ir::build::drop_unread;
use crate::ir::expr;
use crate::ir::graph::NodeId;
use crate::ir::region::whole;

/// By body, over nodes instead of operands, and shape.
#[derive(Default)]
pub struct Functions(HashMap<(Expr, Vec<i64>), NodeId>);

impl Functions {
    /// Remembers what `function_of` found.
    pub fn note(&mut self, body: Option<Expr>, shape: Vec<i64>, id: NodeId) {
        if let Some(body) = body {
            self.0.entry((body, shape)).or_insert(id);
        }
    }

    /// A part of a whole map that is a node already is read, not computed again.
    pub fn reuse(
        &self,
        pieces: Vec<Equation>,
        operands: Vec<NodeId>,
        shape: &[i64],
    ) -> (Vec<Equation>, Vec<NodeId>) {
        let [piece] = pieces.as_slice() else {
            return (pieces, operands);
        };
        let is_map = piece.reducer == Reducer::Map && is_straight(piece, shape);
        if self.0.is_empty() || !is_map {
            return (pieces, operands);
        }
        let over_nodes = over_nodes(&piece.body, &operands);
        let mut found = vec![];
        let body = expr::rewrite(&over_nodes, &mut |e| {
            if !is_costly(&e) {
                return e;
            }
            match self.0.get(&(e.clone(), shape.to_vec())) {
                Some(id) => {
                    found.push(*id);
                    let at = piece.write.clone();
                    Expr::Read(Read {
                        operand: id.index(),
                        at,
                        outside: None,
                    })
                }
                None => e,
            }
        });
        if found.is_empty() {
            return (pieces, operands);
        }
        let mut all = operands.clone();
        all.extend(found);
        let body = expr::rewrite(&body, &mut |e| match e {
            Expr::Read(mut read) => {
                let node = read.operand;
                read.operand = all
                    .iter()
                    .position(|o| o.index() == node)
                    .expect("a node that is read is an operand");
                Expr::Read(read)
            }
            e => e,
        });
        let piece = Equation {
            body,
            ..piece.clone()
        };
        drop_unread(&[piece], &all)
    }
}

/// A whole map that writes axis by axis in order, so that equal bodies mean equal cells.
fn is_straight(piece: &Equation, shape: &[i64]) -> bool {
    let Some(axes) = whole(piece, shape) else {
        return false;
    };
    axes.iter().flatten().enumerate().all(|(n, v)| *v == n)
}

/// Functions that cost a call.
fn is_costly(e: &Expr) -> bool {
    matches!(e, Expr::Unary(op, _) if !op.facts().is_inline())
}

/// The body over nodes, if the pieces are one costly function.
pub fn function_of(pieces: &[Equation], operands: &[NodeId], shape: &[i64]) -> Option<Expr> {
    let [piece] = pieces else { return None };
    let whole_map =
        piece.reducer == Reducer::Map && is_straight(piece, shape) && is_costly(&piece.body);
    whole_map.then(|| over_nodes(&piece.body, operands))
}

fn over_nodes(body: &Expr, operands: &[NodeId]) -> Expr {
    expr::rewrite(body, &mut |e| match e {
        Expr::Read(mut read) => {
            read.operand = operands[read.operand].index();
            Expr::Read(read)
        }
        e => e,
    })
}
