//! Which calls made an entry's graph: the blocks and ops of the source, nested as they ran. For reports and pictures.
//!
//! A call is noted when it starts and closed when it ends; the nodes that appear in between are its own. Nothing is
//! decided here, and the graph does not depend on it.

use super::module::{Def, DefKind};
use super::settings::literal;
use super::value::Value;
use crate::diag::Span;
use crate::ir::graph::NodeId;
use crate::syntax::ast;
use rustc_hash::FxHashMap as HashMap;
use std::ops::Range;

/// One application of a block, or one call of an op.
#[derive(Clone, Debug)]
pub struct Call {
    /// `Conv2d`, `softmax`
    pub name: String,
    /// Dotted label path, its parent's where it has no label.
    pub path: String,
    /// Has weights of its own, or may have: a block or a model.
    pub is_block: bool,
    pub is_standard: bool,
    /// The call that it is part of; always before it.
    pub parent: Option<usize>,
    /// Where it stands in the text; none for the compiler's own call of the model.
    pub place: Option<Span>,
    /// Numbers of the nodes that the graph got during the call.
    pub nodes: Range<usize>,
    /// Compile-time parameters that have no default, or another value than it: (name, value).
    pub parameters: Vec<(String, String)>,
    /// Tensors it got: (name, node).
    pub inputs: Vec<(String, NodeId)>,
}

#[derive(Default)]
pub struct Calls {
    pub list: Vec<Call>,
    open: Vec<usize>,
}

impl Calls {
    pub fn open(&mut self, d: &Def<'_>, path: &str, place: Option<Span>, n_nodes: usize) {
        self.list.push(Call {
            name: d.name.text.clone(),
            path: path.to_string(),
            is_block: d.kind != DefKind::Op,
            is_standard: d.standard,
            parent: self.open.last().copied(),
            place,
            nodes: n_nodes..n_nodes,
            parameters: vec![],
            inputs: vec![],
        });
        self.open.push(self.list.len() - 1);
    }

    pub fn close(&mut self, n_nodes: usize) {
        if let Some(at) = self.open.pop() {
            self.list[at].nodes.end = n_nodes;
        }
    }

    /// What the call at hand got, when its names are bound.
    pub fn bound<'t>(
        &mut self,
        d: &Def<'_>,
        vars: &HashMap<&str, Value>,
        text: impl Fn(Span) -> &'t str,
    ) {
        let Some(call) = self.open.last().map(|at| &mut self.list[*at]) else {
            return;
        };
        for p in d.parameters {
            let Some(value) = vars.get(p.name.text.as_str()) else {
                continue;
            };
            let value = literal(value);
            let shown = p
                .default
                .as_ref()
                .is_none_or(|e| is_literal(e) && !same(text(e.span), &value));
            if shown {
                call.parameters.push((p.name.text.clone(), value));
            }
        }
        for input in d.inputs {
            if let Some(Value::Tensor(node)) = vars.get(input.name.text.as_str()) {
                call.inputs.push((input.name.text.clone(), *node));
            }
        }
    }
}

/// `1` and `1.0` are one number.
fn same(a: &str, b: &str) -> bool {
    match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(a), Ok(b)) => a == b,
        _ => a == b,
    }
}

fn is_literal(e: &ast::Expr) -> bool {
    use ast::ExprKind as E;
    match &e.kind {
        E::Int(_) | E::Float(_) | E::Str(_) | E::Bool(_) => true,
        E::Unary { operand, .. } => is_literal(operand),
        E::List(items) => items.iter().all(is_literal),
        _ => false,
    }
}
