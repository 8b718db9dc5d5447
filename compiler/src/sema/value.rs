//! What a name can stand for while a network is elaborated.
//!
//! Compile-time numbers remember the text they came from, for messages only. A `Num` is an expression that is not a
//! node yet: a number inside an index equation, or an elementwise expression over whole tensors.

use crate::equation::index::Ix;
use crate::equation::{Expr, Lit, Relation};
use crate::ir::graph::NodeId;
use std::ops::Deref;
use std::rc::Rc;

/// The dim expression a number came from (`H/2`), in terms of the profile's dims.
pub type Note = Option<Rc<str>>;

/// A shape: the numbers, and where each came from.
#[derive(Clone, Debug, Default)]
pub struct Dims {
    pub sizes: Vec<i64>,
    pub notes: Vec<Note>,
}

impl Dims {
    pub fn plain(sizes: Vec<i64>) -> Dims {
        let notes = vec![None; sizes.len()];
        Dims { sizes, notes }
    }

    pub fn from_pairs(pairs: &[(i64, Note)]) -> Dims {
        pairs.iter().cloned().unzip::<_, _, Vec<_>, Vec<_>>().into()
    }

    pub fn axis(&self, axis: usize) -> Value {
        Value::Int(self.sizes[axis], self.notes[axis].clone())
    }

    /// `[B, 64, H/2] = [8, 64, 32]`, or only the numbers where nothing else is known.
    pub fn describe(&self) -> String {
        let numbers = super::scalar::shape_text(&self.sizes);
        if self.notes.iter().all(Option::is_none) {
            return numbers;
        }
        let axes = self.sizes.iter().zip(&self.notes);
        let words: Vec<String> = axes
            .map(|(s, n)| n.as_ref().map_or_else(|| s.to_string(), |n| n.to_string()))
            .collect();
        format!("[{}] = {numbers}", words.join(", "))
    }
}

impl From<(Vec<i64>, Vec<Note>)> for Dims {
    fn from((sizes, notes): (Vec<i64>, Vec<Note>)) -> Dims {
        Dims { sizes, notes }
    }
}

#[derive(Clone)]
pub enum Value {
    Int(i64, Note),
    Float(f64),
    Bool(bool),
    Str(Rc<str>),
    List(Rc<List>),
    Num(Rc<Num>),
    Tensor(NodeId),
    /// Index into the elaborator's layers.
    Layer(usize),
    /// Its error has been reported; whatever uses it stays silent.
    Failed,
}

/// Values in order, and what they come to together.
pub struct List {
    items: Vec<Value>,
    n_leaves: usize,
    depth: usize,
}

impl List {
    pub fn new(items: Vec<Value>) -> List {
        let (mut n_leaves, mut depth) = (0usize, 0);
        for item in &items {
            let (leaves, below) = match item {
                Value::List(list) => (list.n_leaves, list.depth),
                _ => (1, 0),
            };
            n_leaves = n_leaves.saturating_add(leaves.max(1));
            depth = depth.max(below);
        }
        List {
            items,
            n_leaves,
            depth: depth + 1,
        }
    }

    /// Values, those of lists within it one by one.
    pub fn n_leaves(&self) -> usize {
        self.n_leaves
    }

    pub fn depth(&self) -> usize {
        self.depth
    }
}

impl Deref for List {
    type Target = [Value];

    fn deref(&self) -> &[Value] {
        &self.items
    }
}

impl From<List> for Value {
    fn from(list: List) -> Value {
        Value::List(Rc::new(list))
    }
}

impl Value {
    pub fn int(value: i64) -> Value {
        Value::Int(value, None)
    }

    /// For lists that are no longer than the text that gives them, or than lists that there are.
    pub fn list(items: Vec<Value>) -> Value {
        Value::from(List::new(items))
    }

    pub fn as_int(&self) -> Option<i64> {
        match self {
            Value::Int(i, _) => Some(*i),
            _ => None,
        }
    }

    pub fn as_number(&self) -> Option<f64> {
        match self {
            Value::Int(i, _) => Some(*i as f64),
            Value::Float(f) => Some(*f),
            _ => None,
        }
    }

    /// How a message names the value.
    pub fn describe(&self) -> String {
        match self {
            Value::Int(i, None) => i.to_string(),
            Value::Int(i, Some(note)) => format!("{note} = {i}"),
            Value::Float(f) => format!("{f:?}"),
            Value::Bool(b) => b.to_string(),
            Value::Str(s) => format!("\"{}\"", crate::diag::shortened(s, 60)),
            Value::List(items) => format!("a list of {}", items.len()),
            Value::Num(num) if num.kind == Kind::Bool => "a comparison".into(),
            Value::Num(num) if num.shape.is_none() => "a number of an equation".into(),
            Value::Num(_) | Value::Tensor(_) => "a tensor".into(),
            Value::Layer(_) => "a layer".into(),
            Value::Failed => "?".into(),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Int,
    Float,
    Bool,
}

/// An expression over indices and reads, its kind, and bounds of its value.
///
/// `Read::operand` holds the number of a graph node, and variables the numbers of the elaborator's indices (or, with a
/// shape, the axes): both are renumbered when it becomes an equation.
#[derive(Clone, Debug)]
pub struct Num {
    /// Some: an elementwise expression over tensors of this shape, variable j being axis j.
    pub shape: Option<Rc<Dims>>,
    pub kind: Kind,
    pub lo: f64,
    pub hi: f64,
    pub form: Form,
    /// Count of the terms, to keep trees small.
    pub size: usize,
}

#[derive(Clone, Debug)]
pub enum Form {
    Ix(Ix),
    Expr(Expr),
    Compare(Relation, Box<(Expr, Expr)>),
}

impl Num {
    pub fn int(value: i64) -> Num {
        let v = value as f64;
        Num {
            shape: None,
            kind: Kind::Int,
            lo: v,
            hi: v,
            form: Form::Ix(Ix::constant(value)),
            size: 1,
        }
    }

    pub fn float(value: f64) -> Num {
        let (lo, hi) = if value.is_nan() {
            (f64::NEG_INFINITY, f64::INFINITY)
        } else {
            (value, value)
        };
        Num {
            shape: None,
            kind: Kind::Float,
            lo,
            hi,
            form: Form::Expr(Expr::Lit(Lit::new(value))),
            size: 1,
        }
    }

    /// An index with its least and greatest value.
    pub fn index(ix: Ix, lo: i64, hi: i64) -> Num {
        Num {
            shape: None,
            kind: Kind::Int,
            lo: lo as f64,
            hi: hi as f64,
            form: Form::Ix(ix),
            size: 1,
        }
    }

    pub fn unbounded(kind: Kind, expr: Expr, size: usize) -> Num {
        Num {
            shape: None,
            kind,
            lo: f64::NEG_INFINITY,
            hi: f64::INFINITY,
            form: Form::Expr(expr),
            size,
        }
    }

    /// The value as a number; a comparison has none.
    pub fn expr(&self) -> Option<Expr> {
        match &self.form {
            Form::Ix(ix) => Some(match ix.as_constant() {
                Some(c) => Expr::Lit(Lit::new(c as f64)),
                None => Expr::Index(ix.clone()),
            }),
            Form::Expr(e) => Some(e.clone()),
            Form::Compare(..) => None,
        }
    }

    pub fn as_ix(&self) -> Option<&Ix> {
        match &self.form {
            Form::Ix(ix) => Some(ix),
            _ => None,
        }
    }

    pub fn as_lit(&self) -> Option<f64> {
        match &self.form {
            Form::Ix(ix) => ix.as_constant().map(|c| c as f64),
            Form::Expr(Expr::Lit(l)) => Some(l.get()),
            _ => None,
        }
    }
}
