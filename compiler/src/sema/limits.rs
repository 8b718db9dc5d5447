//! What a text may ask for while it is elaborated. Each limit is far above what a network needs, and has an error of its
//! own: no text takes unbounded time or memory. Steps are counted and not seconds, so that every machine says the same.
//! Enters what is asked for; leaves nothing, or the error. No clock is read and no memory measured here.

use super::elab::Elab;
use super::error::{Failed, Fallible, fault};
use super::scalar::shape_text;
use super::value::{List, Num, Value};
use crate::diag::{Class, Span};
use crate::syntax::MAX_AXES;

/// Of one entry, and of all entries of a file together. The largest networks of `models/` take a few hundred thousand.
pub const MAX_STEPS: u64 = 4_000_000;
pub const MAX_ALL_STEPS: u64 = 16_000_000;
/// Equations of one entry, those of its optimiser included.
const MAX_EQUATIONS: usize = 30_000;
/// Numbers in a list, lists within it taken apart.
const MAX_LIST: usize = 1 << 18;
const MAX_LIST_DEPTH: usize = 32;
/// Elements of a tensor: 256 GiB.
const COMPUTED: MostElements = MostElements(1 << 36, "computed on the way");
/// And of one that is kept: 32 GiB.
const STORED: MostElements = MostElements(1 << 33, "kept");

/// A number of elements, and of which tensors.
struct MostElements(i64, &'static str);

/// Nesting of expressions and calls together.
pub const MAX_DEPTH: usize = 220;
/// Points of one equation's box.
pub const MAX_POINTS: f64 = 1e16;
/// Steps that a constant counts for, beside its elements.
pub const CONSTANT_STEPS: u64 = 20;
/// Points of equations over constants, which are computed while compiling, for one step.
pub const POINTS_A_STEP: u64 = 16;

/// What counts for more than one step, by the memory and time that it takes.
pub const ENTRY_STEPS: u64 = 400;
pub const CALL_STEPS: u64 = 50;
pub const INPUT_STEPS: u64 = 5;
pub const WEIGHT_STEPS: u64 = 50;
const EQUATION_STEPS: u64 = 50;
pub const ITEM_STEPS: u64 = 4;

impl<'a> Elab<'a, '_> {
    /// One step of evaluation; every loop and call passes here.
    pub fn spend(&mut self, span: Span) -> Fallible<()> {
        self.spend_many(span, 1)
    }

    pub fn spend_many(&mut self, span: Span, steps: u64) -> Fallible<()> {
        if let Some(left) = self.steps_left.checked_sub(steps) {
            self.steps_left = left;
            return Ok(());
        }
        self.steps_left = 0;
        if std::mem::replace(&mut self.exhausted, true) {
            return Err(Failed);
        }
        let text = "this takes too many steps; is a loop or a list endless?";
        self.fail(span, fault(Class::Range, text))
    }

    /// What the entry has taken.
    pub fn spent(&self) -> u64 {
        ENTRY_STEPS + MAX_STEPS - self.steps_left
    }

    /// One more equation.
    pub fn spend_equation(&mut self, span: Span) -> Fallible<()> {
        self.n_equations += 1;
        if self.n_equations <= MAX_EQUATIONS {
            return self.spend_many(span, EQUATION_STEPS);
        }
        if std::mem::replace(&mut self.exhausted, true) {
            return Err(Failed);
        }
        let text = format!("this network has more than {MAX_EQUATIONS} equations");
        self.fail(span, fault(Class::Range, text).help("is a loop too long?"))
    }

    /// A tensor that the network computes on the way; perhaps it never lies in memory as a whole.
    pub fn check_size(&mut self, span: Span, name: &str, shape: &[i64]) -> Fallible<()> {
        self.check_shape(span, name, shape, COMPUTED)
    }

    /// A tensor that lies in memory as a whole: an input, a result, a weight.
    pub fn check_stored(&mut self, span: Span, name: &str, shape: &[i64]) -> Fallible<()> {
        self.check_shape(span, name, shape, STORED)
    }

    fn check_shape(
        &mut self,
        span: Span,
        name: &str,
        shape: &[i64],
        limit: MostElements,
    ) -> Fallible<()> {
        let MostElements(most, which) = limit;
        if shape.len() > MAX_AXES {
            let text = format!("a tensor of {} axes; {MAX_AXES} are the most", shape.len());
            return self.fail(span, fault(Class::Shape, text));
        }
        let sizes = shape_text(shape);
        if shape.iter().any(|size| *size < 1) {
            let text = format!("an axis has no elements: {sizes}");
            return self.fail(span, fault(Class::Shape, text));
        }
        let elements = shape.iter().try_fold(1i64, |n, size| n.checked_mul(*size));
        if elements.is_some_and(|n| n <= most) {
            return Ok(());
        }
        let what = match name {
            "" => "a tensor".to_string(),
            name => format!("`{name}`"),
        };
        let bytes = shape.iter().fold(4.0, |n, size| n * *size as f64);
        let text = format!(
            "{what} of {sizes} is too large: {:.0} GiB",
            bytes / f64::from(1 << 30)
        );
        let most = most >> 28;
        let help = format!("{most} GiB are the most for one tensor that is {which}");
        self.fail(span, fault(Class::Shape, text).help(help))
    }

    /// A list of these values.
    pub fn list(&mut self, items: Vec<Value>, span: Span) -> Fallible<Value> {
        let list = List::new(items);
        self.spend_many(span, ITEM_STEPS * list.len() as u64)?;
        self.check_list(list.n_leaves(), span)?;
        if list.depth() > MAX_LIST_DEPTH {
            let text = format!("lists are nested more than {MAX_LIST_DEPTH} deep here");
            return self.fail(span, fault(Class::Range, text));
        }
        Ok(Value::from(list))
    }

    /// Before so many are put together.
    pub fn check_list(&mut self, n_leaves: usize, span: Span) -> Fallible<()> {
        if n_leaves <= MAX_LIST {
            return Ok(());
        }
        let text = format!("a list of more than {MAX_LIST} values");
        self.fail(span, fault(Class::Range, text))
    }

    /// Applying a layer looks at its parameters, lists and all.
    pub fn spend_parameters(&mut self, layer: usize, span: Span) -> Fallible<()> {
        let size = |value: &Value| match value {
            Value::List(list) => list.n_leaves() as u64,
            _ => 1,
        };
        let steps = self.layers[layer].parameters.values().map(size).sum();
        self.spend_many(span, steps)
    }

    /// An operation on expressions copies them.
    pub fn spend_sizes(&mut self, operands: &[&Num], span: Span) -> Fallible<()> {
        let size: usize = operands.iter().map(|num| num.size).sum();
        self.spend_many(span, size as u64 / 2)
    }

    /// Comparing values looks at all that is in them.
    pub fn spend_comparison(&mut self, a: &Value, b: &Value, span: Span) -> Fallible<()> {
        let size = |value: &Value| match value {
            Value::List(list) => list.n_leaves(),
            Value::Str(text) => text.len() / 16,
            _ => 0,
        };
        self.spend_many(span, size(a).min(size(b)) as u64)
    }
}
