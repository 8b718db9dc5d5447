//! The stage `differentiate`: from a loss to what a training step stores. Gradients are derived, clipped together, given to the
//! optimiser, and its new weights averaged.
//!
//! Enters an entry whose loss is computed, with the optimiser's equations for gradients that are not known yet; leaves its graph
//! with all of them appended, and an update for each weight and state. A weight that no derivative reaches stays as it is.

use crate::autodiff::{gradients, instantiate};
use crate::equation::{Binary, Equation, Expr, Reducer, Relation, Unary};
use crate::ir::build::{Builder, map, straight};
use crate::ir::graph::{Graph, NodeId, Origin};
use crate::sema::{EntryGraph, TrainStep, TrainedWeight};

/// What keeps a norm of zero from dividing (PyTorch's `clip_grad_norm_`).
const SMALLEST_NORM: f64 = 1e-6;
/// So many squares are added in one equation; more are added in turn.
const TERMS: usize = 24;

pub fn differentiate(entry: &mut EntryGraph) {
    if let Some(step) = entry.step.take() {
        Stage::new(&mut entry.graph, &step).run();
    }
}

struct Stage<'a> {
    b: Builder<'a>,
    step: &'a TrainStep,
}

impl<'a> Stage<'a> {
    fn new(graph: &'a mut Graph, step: &'a TrainStep) -> Stage<'a> {
        Stage {
            b: Builder::resume(graph),
            step,
        }
    }

    fn run(mut self) {
        let step = self.step;
        let wrt: Vec<NodeId> = step.weights.iter().map(|w| w.weight).collect();
        let derived = gradients(&mut self.b, step.loss, &wrt);
        let reached = step.weights.iter().zip(derived);
        let reached: Vec<_> = reached.filter_map(|(w, g)| Some((w, g?))).collect();
        let scale = step.clip.filter(|_| !reached.is_empty()).map(|largest| {
            let gradients: Vec<NodeId> = reached.iter().map(|(_, g)| *g).collect();
            self.clip_scale(&gradients, largest)
        });
        let (mut states, mut weights) = (step.states.clone(), vec![]);
        for (trained, gradient) in reached {
            let gradient = scale.map_or(gradient, |scale| self.scaled(gradient, scale));
            let (new, new_states) = self.optimised(trained, gradient);
            states.extend(new_states);
            if let (Some(decay), Some(mean)) = (step.ema, trained.mean) {
                weights.push((mean, self.running_mean(mean, new, decay)));
            }
            weights.push((trained.weight, new));
        }
        for (old, new) in states.into_iter().chain(weights) {
            let origin = self.origin("", "update");
            self.b.update(old, new, origin);
        }
    }

    /// The optimiser's equations for a weight with its gradient: the new weight, and states with their new values.
    fn optimised(
        &mut self,
        trained: &TrainedWeight,
        gradient: NodeId,
    ) -> (NodeId, Vec<(NodeId, NodeId)>) {
        let states = trained.states.iter();
        let template: Vec<NodeId> = states.map(|s| s.1).chain([trained.new]).collect();
        let mut made = instantiate(&mut self.b, &template, trained.gradient, gradient);
        let new = made.pop().unwrap_or(trained.weight);
        let states = trained.states.iter().map(|s| s.0);
        (new, states.zip(made).collect())
    }

    /// `min(1, largest / (norm + 1e-6))`, the norm over all gradients together.
    fn clip_scale(&mut self, gradients: &[NodeId], largest: f64) -> NodeId {
        let squares: Vec<NodeId> = gradients.iter().map(|g| self.squares(*g)).collect();
        let mut total = squares[0];
        for more in squares[1..].chunks(TERMS) {
            let terms: Vec<NodeId> = [total].iter().chain(more).copied().collect();
            let origin = self.origin("", "norm");
            total = self.b.sum(&terms, origin);
        }
        let norm = Expr::unary(Unary::Sqrt, whole_read(0, &[]));
        let norm = Expr::binary(Binary::Add, norm, Expr::lit(SMALLEST_NORM));
        let scale = Expr::binary(Binary::Div, Expr::lit(largest), norm);
        let scale = Expr::binary(Binary::Min, Expr::lit(1.0), scale);
        self.map(scale, vec![total], &[], ("", "clip"))
    }

    /// The sum of a tensor's squares.
    fn squares(&mut self, tensor: NodeId) -> NodeId {
        let shape = self.b.shape(tensor).to_vec();
        let square = Expr::binary(Binary::Mul, whole_read(0, &shape), whole_read(0, &shape));
        let reducer = match shape.is_empty() {
            true => Reducer::Map,
            false => Reducer::Sum,
        };
        let equation = Equation {
            free: vec![],
            reduced: shape,
            reducer,
            body: square,
            guards: vec![],
            write: vec![],
        };
        let origin = self.origin("", "norm");
        self.b.equation(equation, vec![tensor], vec![], origin)
    }

    fn scaled(&mut self, gradient: NodeId, scale: NodeId) -> NodeId {
        let shape = self.b.shape(gradient).to_vec();
        let product = Expr::binary(Binary::Mul, whole_read(0, &shape), whole_read(1, &[]));
        self.map(product, vec![gradient, scale], &shape, ("", "clip"))
    }

    /// `mean = decay*mean + (1 - decay)*new`, which starts at the first new value.
    fn running_mean(&mut self, mean: NodeId, new: NodeId, decay: f64) -> NodeId {
        let shape = self.b.shape(mean).to_vec();
        let of = |factor, operand| {
            Expr::binary(Binary::Mul, Expr::lit(factor), whole_read(operand, &shape))
        };
        let mixed = Expr::binary(Binary::Add, of(decay, 0), of(1.0 - decay, 1));
        let first = whole_read(1, &shape);
        let parts = [whole_read(2, &[]), Expr::lit(1.0), first, mixed];
        let body = Expr::select(Relation::Lt, parts);
        let operands = vec![mean, new, self.step.step];
        self.map(body, operands, &shape, ("ema", "mean"))
    }

    fn map(
        &mut self,
        body: Expr,
        operands: Vec<NodeId>,
        shape: &[i64],
        (path, name): (&str, &str),
    ) -> NodeId {
        let origin = self.origin(path, name);
        let equation = map(shape, body);
        self.b.equation(equation, operands, shape.to_vec(), origin)
    }

    fn origin(&self, path: &str, name: &str) -> Origin {
        Origin {
            path: path.into(),
            name: name.into(),
            span: Some(self.step.span),
        }
    }
}

/// A read of a whole operand, axis by axis; of a single number, wherever it stands.
fn whole_read(operand: usize, shape: &[i64]) -> Expr {
    Expr::read(operand, straight(shape))
}
