//! Calls of the standard library, found by their signatures.
//!
//! Enters the library's text; leaves templates of calls with the shapes of their tensors. No op is known by name here:
//! dims get random extents, axes follow from them, parameters get their default or a value of their type.

use std::collections::BTreeMap;

use super::rng::Rng;
use vsr_compiler::diag::Problems;
use vsr_compiler::sema::STANDARD_LIBRARY;
use vsr_compiler::syntax::ast::{
    Axis, BinaryOp, Expr, ExprKind, Input, ItemKind, TypeKind, UnaryOp,
};
use vsr_compiler::syntax::parse;

pub struct Library {
    callables: Vec<Callable>,
}

/// An op or a block.
struct Callable {
    name: String,
    is_block: bool,
    params: Vec<Input>,
    tensors: Vec<Input>,
    conditions: Vec<Expr>,
    /// Strings that its text names: what a word may be.
    words: Vec<String>,
}

/// A call with holes for its tensors.
pub struct Call {
    pub template: String,
    pub shapes: Vec<Vec<i64>>,
}

impl Default for Library {
    fn default() -> Library {
        Library::new()
    }
}

impl Library {
    /// # Panics
    /// If the standard library does not parse.
    pub fn new() -> Library {
        let mut callables = vec![];
        for (at, (_, text)) in STANDARD_LIBRARY.iter().enumerate() {
            let mut problems = Problems::new();
            let file = parse(at as u32, text, &mut problems);
            assert!(problems.is_empty(), "the library parses");
            for item in file.items {
                let source = &text[item.span.start as usize..item.span.end as usize];
                let words = words(source);
                callables.extend(callable(item.kind, words));
            }
        }
        Library { callables }
    }

    /// A random call; None: this draw does not fit together.
    pub fn call(&self, rng: &mut Rng, extents: &[i64]) -> Option<Call> {
        let callable = rng.pick(&self.callables);
        callable.call(rng, extents)
    }
}

fn callable(kind: ItemKind, words: Vec<String>) -> Option<Callable> {
    let is_tensor = |i: &Input| matches!(i.ty.kind, TypeKind::Tensor { .. });
    match kind {
        ItemKind::Op(op) => {
            let (tensors, params): (Vec<Input>, Vec<Input>) =
                op.inputs.into_iter().partition(is_tensor);
            Some(Callable {
                name: op.name.text,
                is_block: false,
                params,
                tensors,
                conditions: op.conditions,
                words,
            })
        }
        // An optimiser's step is no layer of a network.
        ItemKind::Block(b) if !b.is_model && b.inputs.len() == 1 => Some(Callable {
            name: b.name.text,
            is_block: true,
            params: b.params,
            tensors: b.inputs,
            conditions: b.conditions,
            words,
        }),
        _ => None,
    }
}

fn words(source: &str) -> Vec<String> {
    let mut found: Vec<String> = source
        .split('"')
        .skip(1)
        .step_by(2)
        .map(str::to_string)
        .collect();
    found.sort();
    found.dedup();
    found
}

type Known = BTreeMap<String, i64>;

impl Callable {
    fn call(&self, rng: &mut Rng, extents: &[i64]) -> Option<Call> {
        let mut known = Known::new();
        let mut given: Vec<String> = vec![];
        for param in &self.params {
            let text = self.parameter(param, rng, &mut known)?;
            given.extend(text.map(|t| format!("{}={t}", param.name.text)));
        }
        self.dims(rng, extents, &mut known);
        let pack: Vec<i64> = (0..rng.int(0, 3)).map(|_| *rng.pick(extents)).collect();
        let shapes: Option<Vec<Vec<i64>>> = self
            .tensors
            .iter()
            .map(|t| shape(t, &known, &pack))
            .collect();
        let shapes = shapes?;
        if shapes.iter().flatten().any(|n| *n < 1) {
            return None;
        }
        let holes: Vec<String> = (0..shapes.len()).map(|i| format!("{{{i}}}")).collect();
        let template = match self.is_block {
            true => format!(
                "{} |> {}({}) @{{label}}",
                holes[0],
                self.name,
                given.join(", ")
            ),
            false => {
                let named = self
                    .tensors
                    .iter()
                    .zip(&holes)
                    .map(|(t, h)| format!("{}={h}", t.name.text));
                let all: Vec<String> = named.chain(given).collect();
                format!("{}({})", self.name, all.join(", "))
            }
        };
        Some(Call { template, shapes })
    }

    /// The text of a parameter's value; an inner None: its default.
    fn parameter(&self, p: &Input, rng: &mut Rng, known: &mut Known) -> Option<Option<String>> {
        if p.default.is_some() && rng.chance(60) {
            if let Some(n) = p.default.as_ref().and_then(|d| value(d, known)) {
                known.insert(p.name.text.clone(), n);
            }
            return Some(None);
        }
        Some(Some(match p.ty.kind {
            TypeKind::Int => {
                let n = *rng.pick(&[1, 2, 2, 3, 4, 5, 8]);
                known.insert(p.name.text.clone(), n);
                n.to_string()
            }
            TypeKind::Float => ["0.1", "0.5", "1.5", "2.0"][rng.below(4)].to_string(),
            TypeKind::Bool => ["true", "false"][rng.below(2)].to_string(),
            TypeKind::Str if !self.words.is_empty() => format!("\"{}\"", rng.pick(&self.words)),
            TypeKind::List => {
                let n = rng.int(1, 3);
                let all: Vec<String> = (0..n).map(|_| rng.int(1, 5).to_string()).collect();
                format!("[{}]", all.join(", "))
            }
            _ => return None,
        }))
    }

    /// Extents for the dims that are not parameters; an equation among the conditions decides one.
    fn dims(&self, rng: &mut Rng, extents: &[i64], known: &mut Known) {
        let mut names = vec![];
        for tensor in &self.tensors {
            if let TypeKind::Tensor { axes, .. } = &tensor.ty.kind {
                axes.iter().for_each(|a| {
                    if let Axis::Dim(e) = a {
                        dim_names(e, &mut names);
                    }
                });
            }
        }
        for name in names {
            let n = match rng.chance(75) {
                true => *rng.pick(extents),
                false => rng.int(1, 6),
            };
            known.entry(name).or_insert(n);
        }
        for condition in &self.conditions {
            let ExprKind::Binary {
                op: BinaryOp::Eq,
                left,
                right,
                ..
            } = &condition.kind
            else {
                continue;
            };
            match (&left.kind, &right.kind) {
                (ExprKind::Dim(name), _) => {
                    value(right, known).map(|n| known.insert(name.clone(), n))
                }
                (_, ExprKind::Dim(name)) => {
                    value(left, known).map(|n| known.insert(name.clone(), n))
                }
                _ => None,
            };
        }
    }
}

fn dim_names(e: &Expr, names: &mut Vec<String>) {
    match &e.kind {
        ExprKind::Dim(name) | ExprKind::Name(name) if !names.contains(name) => {
            names.push(name.clone())
        }
        ExprKind::Binary { left, right, .. } => {
            dim_names(left, names);
            dim_names(right, names);
        }
        _ => {}
    }
}

fn shape(tensor: &Input, known: &Known, pack: &[i64]) -> Option<Vec<i64>> {
    let TypeKind::Tensor { axes, .. } = &tensor.ty.kind else {
        return None;
    };
    let mut shape = vec![];
    for axis in axes {
        match axis {
            Axis::Dim(e) => shape.push(value(e, known)?),
            Axis::Pack(_) => shape.extend(pack),
        }
    }
    Some(shape)
}

/// A dim expression in numbers.
fn value(e: &Expr, known: &Known) -> Option<i64> {
    match &e.kind {
        ExprKind::Int(i) => Some(*i),
        ExprKind::Dim(name) | ExprKind::Name(name) => known.get(name).copied(),
        ExprKind::Unary {
            op: UnaryOp::Neg,
            operand,
        } => Some(-value(operand, known)?),
        ExprKind::Binary {
            op, left, right, ..
        } => {
            let (a, b) = (value(left, known)?, value(right, known)?);
            match op {
                BinaryOp::Add => Some(a + b),
                BinaryOp::Sub => Some(a - b),
                BinaryOp::Mul => Some(a * b),
                BinaryOp::Div => (b != 0 && a % b == 0).then(|| a / b),
                BinaryOp::FloorDiv => (b > 0).then(|| a.div_euclid(b)),
                BinaryOp::Mod => (b > 0).then(|| a.rem_euclid(b)),
                _ => None,
            }
        }
        _ => None,
    }
}
