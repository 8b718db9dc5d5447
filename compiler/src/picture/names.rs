//! What a single equation of the graph is called: the op or operator at its place in the text.
//!
//! Enters sources; leaves words. The graph's own form decides where the text only has a variable.

use crate::diag::{Problems, Sources, Span};
use crate::equation::{Binary, Equation, Expr, Reducer, Unary};
use crate::ir::graph::{Node, Op};
use crate::sema::walk;
use crate::syntax::ast::{self, ExprKind as E, ItemKind};
use std::collections::HashMap;

/// Names of expressions by their place.
pub struct Names(HashMap<Span, String>);

impl Names {
    /// Reads the files again, the standard library's not: its insides are never named.
    pub fn of(sources: &Sources) -> Names {
        let mut names = HashMap::new();
        for (id, (path, text)) in sources.iter().enumerate() {
            if path.starts_with("stdlib/") {
                continue;
            }
            let file = crate::syntax::parse(id as u32, text, &mut Problems::new());
            for item in &file.items {
                let (name, body) = match &item.kind {
                    ItemKind::Op(op) => (&op.name, &op.body),
                    ItemKind::Block(block) => (&block.name, &block.body),
                    _ => continue,
                };
                // A block's value becomes a tensor at the block's name.
                if let Some(last) = body.value.as_deref().and_then(called) {
                    names.insert(name.span, last.to_string());
                }
                walk::each_in_body(body, &mut |e| collect(e, &mut names));
            }
        }
        Names(names)
    }

    pub fn name(&self, node: &Node) -> String {
        let said = node.origin.span.and_then(|s| self.0.get(&s)).cloned();
        said.or_else(|| symbol(&node.op))
            .unwrap_or_else(|| match node.origin.name.as_str() {
                "" => "map".to_string(),
                name => name.to_string(),
            })
    }
}

fn collect(e: &ast::Expr, names: &mut HashMap<Span, String>) {
    if let Some(name) = called(e) {
        names.entry(e.span).or_insert(name.to_string());
    }
    // Inside of a pipeline, a value stands where its stage does.
    if let E::Pipe {
        stage: ast::Stage::Apply { name, span, .. },
        ..
    } = &e.kind
    {
        names.entry(*span).or_insert(name.text.clone());
    }
    walk::each_child(e, &mut |child| collect(child, names));
}

fn called(e: &ast::Expr) -> Option<&str> {
    match &e.kind {
        E::Call { name, .. } => Some(&name.text),
        E::Pipe {
            stage: ast::Stage::Apply { name, .. },
            ..
        } => Some(&name.text),
        // The elements of a list become tensors at the list's place.
        E::Each { body, .. } => called(body),
        _ => None,
    }
}

/// The outermost operation of an equation.
pub fn symbol(op: &Op) -> Option<String> {
    let equation = match op {
        Op::Equation(pieces) if pieces.len() == 1 => &pieces[0],
        Op::Scatter(_) => return Some("scatter".to_string()),
        Op::Random { normal, .. } => {
            return Some(if *normal { "randn" } else { "rand" }.to_string());
        }
        _ => return None,
    };
    reduced(equation)
        .or_else(|| operation(&equation.body))
        .map(str::to_string)
}

fn reduced(equation: &Equation) -> Option<&'static str> {
    Some(match equation.reducer {
        Reducer::Map => return None,
        Reducer::Sum => "\u{3a3}",
        Reducer::Max => "max",
        Reducer::Min => "min",
        Reducer::Lse => "lse",
        Reducer::Var => "var",
    })
}

fn operation(e: &Expr) -> Option<&'static str> {
    Some(match e {
        Expr::Binary(op, ..) => match op {
            Binary::Sub => "\u{2212}",
            Binary::Mul => "\u{d7}",
            Binary::Div => "\u{f7}",
            op => op.name(),
        },
        Expr::Unary(Unary::Neg, _) => "\u{2212}",
        Expr::Unary(op, _) => op.name(),
        Expr::Select(..) => "select",
        _ => return None,
    })
}

/// Whether the name is drawn as an operator in a circle.
pub fn is_operator(name: &str) -> bool {
    matches!(name, "+" | "\u{2212}" | "\u{d7}" | "\u{f7}" | "\u{3a3}")
}
