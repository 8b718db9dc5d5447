//! What elaboration finds out about places in the text, for editors: shapes, values, costs. One place may be reached many
//! times; the first time counts. Nothing here changes what is elaborated.

use super::elab::Elab;
use super::module::Def;
use super::scope::Env;
use super::value::Value;
use super::walk;
use crate::diag::Span;
use crate::ir::graph::{Graph, NodeId, Op};
use crate::syntax::ast;
use rustc_hash::FxHashMap as HashMap;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fact {
    /// `[B, C, H, W] = [1, 64, 32, 32]`, `C = 64`, `"bicubic"`.
    pub value: Option<String>,
    /// Of a call: weights that it declares, and operations of its equations (a multiply-add is two).
    pub parameters: i64,
    pub flops: u64,
    /// The profile under which this was seen.
    pub profile: String,
}

/// By place; only places of the user's files are kept.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    pub at: HashMap<Span, Fact>,
}

impl<'a> Elab<'a, '_> {
    /// The value at a place.
    pub fn note(&mut self, span: Span, value: &Value) {
        if !self.is_wanted(span) {
            return;
        }
        let text = match value {
            Value::Tensor(node) => self.shape_of(*node).describe(),
            Value::Num(num) => match &num.shape {
                Some(shape) => shape.describe(),
                None => return,
            },
            Value::List(items) if items.iter().all(|v| v.as_number().is_some()) => {
                super::settings::literal(value)
            }
            Value::Failed => return,
            value => value.describe(),
        };
        self.fact(span).value = Some(text);
    }

    /// The names that a statement has bound.
    pub fn note_bound(&mut self, statement: &'a ast::Stmt, env: &Env<'a>) {
        if self.facts.is_none() {
            return;
        }
        walk::each_bound_here(statement, &mut |name| {
            if let Some(value) = env.vars.get(name.text.as_str()) {
                self.note(name.span, value);
            }
        });
    }

    /// What a call has added to the network, at the call and at the name of the definition.
    pub fn note_cost(&mut self, d: &Def<'a>, span: Span, n_nodes: usize, n_weights: usize) {
        if self.facts.is_none() {
            return;
        }
        let shape = |weight: &super::Weight| weight.shape.iter().product::<i64>();
        let parameters = self.weights[n_weights..].iter().map(shape).sum();
        let graph = self.b.graph();
        let flops = (n_nodes..graph.len())
            .map(|n| flops(graph, NodeId::from(n as u32)))
            .sum();
        for place in [span, d.name.span] {
            let is_new = |fact: &Fact| fact.flops == 0 && fact.parameters == 0;
            if !self.program.is_standard(place) && is_new(self.fact(place)) {
                let fact = self.fact(place);
                (fact.parameters, fact.flops) = (parameters, flops);
            }
        }
    }

    fn is_wanted(&self, span: Span) -> bool {
        let Some(facts) = &self.facts else {
            return false;
        };
        let is_known = facts.at.get(&span).is_some_and(|fact| fact.value.is_some());
        !is_known && !self.program.is_standard(span)
    }

    fn fact(&mut self, span: Span) -> &mut Fact {
        let profile = self.profile;
        let facts = self
            .facts
            .as_mut()
            .expect("facts are noted only where they are wanted");
        facts.at.entry(span).or_insert_with(|| Fact {
            profile: profile.to_string(),
            ..Fact::default()
        })
    }
}

fn flops(graph: &Graph, node: NodeId) -> u64 {
    match &graph.node(node).op {
        Op::Equation(pieces) => pieces.iter().map(|p| p.flops()).sum(),
        Op::Scatter(equation) => equation.flops(),
        _ => 0,
    }
}
