//! What a check puts in the place of differentiation: which weights a loss depends on, through what has a derivative. The
//! gradients themselves are placeholders; one weight's stands for all, since an optimiser is the same text for each.

use super::elab::Elab;
use crate::diag::Span;
use crate::equation::{Equation, Expr, Unary};
use crate::ir::graph::{NodeId, Op};
use rustc_hash::FxHashSet as HashSet;

impl Elab<'_, '_> {
    pub fn sketched_gradients(
        &mut self,
        loss: NodeId,
        weights: &[NodeId],
        span: Span,
    ) -> Vec<Option<NodeId>> {
        let reached = self.reached(loss);
        let first = weights.iter().position(|weight| reached.contains(weight));
        let placeholder = first.map(|at| {
            let shape = self.b.shape(weights[at]).to_vec();
            let origin = self.origin("", "$gradient", span);
            self.b.input("$gradient", shape, origin)
        });
        let at = |n: usize| placeholder.filter(|_| Some(n) == first);
        (0..weights.len()).map(at).collect()
    }

    /// All nodes that the derivative of `loss` passes.
    fn reached(&self, loss: NodeId) -> HashSet<NodeId> {
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
        Expr::Unary(Unary::Stop | Unary::Floor, _) => {}
        Expr::Unary(_, inner) => each_derived(inner, read),
        Expr::Binary(_, left, right) => {
            each_derived(left, read);
            each_derived(right, read);
        }
        // The condition has none.
        Expr::Select(_, parts) => parts[2..].iter().for_each(|part| each_derived(part, read)),
    }
}
