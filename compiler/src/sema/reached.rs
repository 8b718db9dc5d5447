//! Which weights a loss depends on, through what has a derivative: by what is written, and before anything is derived.

use super::elab::Elab;
use crate::equation::{Equation, Expr};
use crate::ir::graph::{NodeId, Op};
use rustc_hash::FxHashSet as HashSet;

impl Elab<'_, '_> {
    /// All nodes that the derivative of `loss` passes.
    pub fn reached(&self, loss: NodeId) -> HashSet<NodeId> {
        let graph = self.b.graph();
        let mut reached = HashSet::default();
        let mut todo = vec![loss];
        while let Some(id) = todo.pop() {
            if !reached.insert(id) {
                continue;
            }
            let node = graph.node(id);
            match &node.op {
                Op::Equation(pieces) => {
                    let mut read = HashSet::default();
                    pieces.iter().for_each(|piece| derived(piece, &mut read));
                    todo.extend(read.into_iter().map(|operand| node.operands[operand]));
                }
                _ => todo.extend(&node.operands),
            }
        }
        reached
    }
}

fn derived(equation: &Equation, read: &mut HashSet<usize>) {
    each_derived(&equation.body, read);
}

/// The operands that an expression reads where it has a derivative.
fn each_derived(expr: &Expr, read: &mut HashSet<usize>) {
    match expr {
        Expr::Lit(_) | Expr::Index(_) | Expr::Random { .. } => {}
        Expr::Read(one) => {
            read.insert(one.operand);
        }
        Expr::Unary(op, _) if op.facts().is_flat() => {}
        Expr::Unary(_, inner) => each_derived(inner, read),
        Expr::Binary(_, left, right) => {
            each_derived(left, read);
            each_derived(right, read);
        }
        // The condition has none.
        Expr::Select(_, parts) => parts[2..].iter().for_each(|part| each_derived(part, read)),
    }
}
