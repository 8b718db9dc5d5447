//! The reverse pass: from a loss to the gradients of tensors, as new equations of the same graph.
//!
//! Enters a canonical graph; leaves it with nodes appended. Only nodes between `wrt` and the loss are touched. What a
//! single equation's gradients are is the calculus' matter (`equation::adjoint`); here they are collected and summed.

mod collect;
mod instantiate;

use std::collections::HashMap;
use std::sync::Arc;

use crate::equation::Equation;
use crate::equation::adjoint::{Adjoint, PartialAdjoint, Source, adjoint};
use crate::ir::build::Builder;
use crate::ir::graph::{NodeId, Op, Origin};
use collect::{Contribution, collect};
pub use instantiate::instantiate;

/// The gradient of `loss`, a scalar, with respect to each of `wrt`; None: the loss does not depend on it.
pub fn gradients(b: &mut Builder<'_>, loss: NodeId, wrt: &[NodeId]) -> Vec<Option<NodeId>> {
    let mut pass = Reverse::new(b, loss, wrt);
    let start = pass
        .b
        .full(1.0, pass.b.shape(loss).to_vec(), pass.origin(loss));
    pass.pending[loss.index()].push(Contribution::Node(start));
    for at in (0..=loss.index()).rev() {
        pass.visit(NodeId::from(at as u32));
    }
    wrt.iter()
        .map(|id| pass.done.get(id.index()).copied().flatten())
        .collect()
}

/// What makes two adjoints the same: the piece, its operands' shapes, its tensor's shape.
type AdjointKey = (Equation, Vec<Vec<i64>>, Vec<i64>);

struct Reverse<'a, 'g> {
    b: &'a mut Builder<'g>,
    /// Nodes that depend on one of `wrt`.
    wanted: Vec<bool>,
    pending: Vec<Vec<Contribution>>,
    done: Vec<Option<NodeId>>,
    adjoints: HashMap<AdjointKey, Arc<Adjoint>>,
}

impl<'a, 'g> Reverse<'a, 'g> {
    fn new(b: &'a mut Builder<'g>, loss: NodeId, wrt: &[NodeId]) -> Reverse<'a, 'g> {
        let n = loss.index() + 1;
        let mut wanted = vec![false; n];
        for at in 0..n {
            let id = NodeId::from(at as u32);
            wanted[at] = wrt.contains(&id) || flows_from(b, id).iter().any(|o| wanted[o.index()]);
        }
        let pending = (0..n).map(|_| vec![]).collect();
        Reverse {
            b,
            wanted,
            pending,
            done: vec![None; n],
            adjoints: HashMap::new(),
        }
    }

    /// Sums what arrived at a node and passes it on to its operands.
    fn visit(&mut self, id: NodeId) {
        let arrived = std::mem::take(&mut self.pending[id.index()]);
        if !self.wanted[id.index()] || arrived.is_empty() {
            return;
        }
        let shape = self.b.shape(id).to_vec();
        let dy = collect(self.b, arrived, &shape, self.origin(id));
        self.done[id.index()] = Some(dy);
        if self.b.uniform(dy) == Some(0.0) {
            return;
        }
        let node = self.b.graph().node(id).clone();
        match &node.op {
            Op::Equation(pieces) => {
                for piece in pieces {
                    self.equation(piece, id, &node.operands, dy);
                }
            }
            Op::Scatter(equation) => self.scatter(equation, id, &node.operands, dy),
            Op::Custom {
                dy: placeholder,
                grads,
            } => {
                let inputs = &node.operands[1..];
                for (input, grad) in inputs.iter().zip(grads) {
                    if self.wanted[input.index()] {
                        let real = instantiate(self.b, &[*grad], *placeholder, dy)[0];
                        self.pending[input.index()].push(Contribution::Node(real));
                    }
                }
            }
            Op::Update => self.push(node.operands[1], Contribution::Node(dy)),
            Op::Input { .. }
            | Op::Param { .. }
            | Op::State { .. }
            | Op::Const(_)
            | Op::Random { .. } => {}
        }
    }

    fn push(&mut self, to: NodeId, contribution: Contribution) {
        if self.wanted[to.index()] {
            self.pending[to.index()].push(contribution);
        }
    }

    fn equation(&mut self, piece: &Equation, id: NodeId, operands: &[NodeId], dy: NodeId) {
        let shape = self.b.shape(id).to_vec();
        let adjoint = self.adjoint(piece, operands, &shape);
        self.emit(&adjoint, id, operands, Some(id), dy);
    }

    /// `out[write] += body`: against the constant dy, the sum of `dy[write]·body` has the same gradients.
    fn scatter(&mut self, equation: &Equation, id: NodeId, operands: &[NodeId], dy: NodeId) {
        let (sum, operands) = collect::against(equation, operands, dy);
        let adjoint = self.adjoint(&sum, &operands, &[]);
        let one = self.b.full(1.0, vec![], self.origin(id));
        let wanted = operands.len() - 1;
        // The last operand is dy itself, to which nothing flows.
        let parts = adjoint.parts.iter().filter(|p| p.operand < wanted);
        let sources = Sources {
            operands: &operands,
            value: None,
            dy: one,
            before: &[],
        };
        for part in parts {
            self.part(part, id, &sources);
        }
    }

    fn adjoint(&mut self, piece: &Equation, operands: &[NodeId], shape: &[i64]) -> Arc<Adjoint> {
        let shapes: Vec<Vec<i64>> = operands.iter().map(|o| self.b.shape(*o).to_vec()).collect();
        let key = (piece.clone(), shapes, shape.to_vec());
        if let Some(known) = self.adjoints.get(&key) {
            return known.clone();
        }
        let shapes: Vec<&[i64]> = key.1.iter().map(Vec::as_slice).collect();
        let new = Arc::new(adjoint(piece, &shapes, shape));
        self.adjoints.insert(key, new.clone());
        new
    }

    fn emit(
        &mut self,
        adjoint: &Adjoint,
        id: NodeId,
        operands: &[NodeId],
        value: Option<NodeId>,
        dy: NodeId,
    ) {
        let needed = adjoint
            .parts
            .iter()
            .any(|p| self.wanted[operands[p.operand].index()]);
        if !needed {
            return;
        }
        let mut before = vec![];
        for helper in &adjoint.before {
            let sources = Sources {
                operands,
                value,
                dy,
                before: &before,
            };
            let reads = sources.all(&helper.operands);
            let origin = self.origin(id);
            before.push(
                self.b
                    .pieces(helper.pieces.clone(), reads, helper.shape.clone(), origin),
            );
        }
        let sources = Sources {
            operands,
            value,
            dy,
            before: &before,
        };
        for part in &adjoint.parts {
            self.part(part, id, &sources);
        }
    }

    fn part(&mut self, part: &PartialAdjoint, id: NodeId, sources: &Sources) {
        let target = sources.operands[part.operand];
        if !self.wanted[target.index()] {
            return;
        }
        let operands = sources.all(&part.operands);
        let contribution = if part.scatter {
            let shape = self.b.shape(target).to_vec();
            let origin = self.origin(id);
            Contribution::Node(
                self.b
                    .scatter(part.pieces[0].clone(), operands, shape, origin),
            )
        } else {
            Contribution::Pieces {
                pieces: part.pieces.clone(),
                operands,
                origin: self.origin(id),
            }
        };
        self.pending[target.index()].push(contribution);
    }

    /// Gradients belong to the lines that they are gradients of.
    fn origin(&self, id: NodeId) -> Origin {
        let origin = &self.b.graph().node(id).origin;
        let name = match origin.name.strip_prefix("d ") {
            Some(_) => origin.name.clone(),
            None => format!("d {}", origin.name),
        };
        Origin {
            name,
            ..origin.clone()
        }
    }
}

/// The nodes that stand for an adjoint's sources.
struct Sources<'a> {
    operands: &'a [NodeId],
    value: Option<NodeId>,
    dy: NodeId,
    before: &'a [NodeId],
}

impl Sources<'_> {
    fn all(&self, sources: &[Source]) -> Vec<NodeId> {
        let one = |s: &Source| match s {
            Source::Operand(i) => self.operands[*i],
            Source::Value => self
                .value
                .expect("only a reduction's adjoint reads its value"),
            Source::Cotangent => self.dy,
            Source::Before(i) => self.before[*i],
        };
        sources.iter().map(one).collect()
    }
}

/// The operands that a node's gradient may flow to.
fn flows_from<'b>(b: &'b Builder<'_>, id: NodeId) -> &'b [NodeId] {
    let node = b.graph().node(id);
    match node.op {
        Op::Equation(_) | Op::Scatter(_) => &node.operands,
        Op::Custom { .. } | Op::Update => &node.operands[1..],
        _ => &[],
    }
}
