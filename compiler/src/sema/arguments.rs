//! Arguments: which input each goes to, what kind of value it must be, and the dims it binds.

use super::call::Argument;
use super::dims::{Fit, axes_text};
use super::elab::Elab;
use super::error::{Failed, Fallible, fault, suggest_or_list};
use super::module::Def;
use super::scope::{Env, Mode};
use super::value::{Dims, Value};
use crate::diag::{Class, Span};
use crate::syntax::ast;
use rustc_hash::FxHashMap as HashMap;
use std::rc::Rc;

impl<'a> Elab<'a, '_> {
    /// Gives every input its value: numbers in order of declaration, then all tensors together.
    pub fn bind_inputs(
        &mut self,
        d: &Def<'a>,
        inputs: &'a [ast::Input],
        given: Vec<Argument<'a>>,
        env: &mut Env<'a>,
        span: Span,
    ) -> Fallible<()> {
        let mut slots = self.assign(d, inputs, given, span)?;
        let mut fits = vec![];
        for input in inputs {
            let what = format!("`{}` of {}", input.name.text, d.name.text);
            let (value, place) = match slots.remove(input.name.text.as_str()) {
                Some(slot) => slot,
                None => match &input.default {
                    Some(default) => {
                        let mode = std::mem::replace(&mut env.mode, Mode::Whole);
                        let value = self.eval(default, env);
                        env.mode = mode;
                        (value?, default.span)
                    }
                    None => {
                        let (name, of) = (&input.name.text, &d.name.text);
                        let is_tensor = matches!(input.ty.kind, ast::TypeKind::Tensor { .. });
                        let help = format!("give it by place or by name: `{of}({name}=…)`");
                        let fault = fault(Class::Param, format!("{what} is missing"));
                        return self.fail(span, fault.maybe_help((!is_tensor).then_some(help)));
                    }
                },
            };
            if matches!(value, Value::Failed) {
                return Err(Failed);
            }
            match &input.ty.kind {
                ast::TypeKind::Tensor { axes, .. } => {
                    let value = self.tensor_argument(d, axes, value, &what, place, env.mode)?;
                    if let Some(shape) = self.argument_shape(&value) {
                        fits.push(Fit {
                            what,
                            axes,
                            shape,
                            span: place,
                        });
                    } else if axes.iter().any(|a| !matches!(a, ast::Axis::Pack(_))) {
                        let text = format!("{what} is {}, got a number", axes_text(self, axes));
                        return self.fail(place, fault(Class::Type, text));
                    }
                    env.vars.insert(&input.name.text, value);
                }
                kind => {
                    let value = self.scalar_argument(kind, value, &what, place)?;
                    env.vars.insert(&input.name.text, value);
                }
            }
        }
        self.match_types(&fits, env)?;
        for input in inputs {
            if let Some(value) = env.vars.get(input.name.text.as_str()).cloned() {
                self.note(input.name.span, &value);
            }
            if let ast::TypeKind::Tensor { axes, .. } = &input.ty.kind {
                for axis in axes {
                    if let ast::Axis::Pack(name) = axis {
                        env.packs.entry(&name.text).or_default();
                    }
                }
            }
        }
        Ok(())
    }

    fn assign(
        &mut self,
        d: &Def<'a>,
        inputs: &'a [ast::Input],
        given: Vec<Argument<'a>>,
        span: Span,
    ) -> Fallible<HashMap<&'a str, (Value, Span)>> {
        let mut slots: HashMap<&'a str, (Value, Span)> = HashMap::default();
        let mut next = 0;
        for g in given {
            let input = match g.name {
                None => {
                    next += 1;
                    inputs.get(next - 1)
                }
                Some(name) => inputs.iter().find(|i| i.name.text == name.text),
            };
            let Some(input) = input else {
                return match g.name {
                    None => {
                        let text = format!(
                            "{} takes {}, got more",
                            d.name.text,
                            count(inputs.len(), "argument")
                        );
                        self.fail(g.span, fault(Class::Param, text))
                    }
                    Some(name) => {
                        let names: Vec<&str> =
                            inputs.iter().map(|i| i.name.text.as_str()).collect();
                        let takes = format!("{} takes", d.name.text);
                        let help = suggest_or_list(&name.text, &takes, &names);
                        let text = format!("{} has no parameter `{}`", d.name.text, name.text);
                        self.fail(name.span, fault(Class::Param, text).maybe_help(help))
                    }
                };
            };
            if slots.insert(&input.name.text, (g.value, g.span)).is_some() {
                let text = format!("`{}` of {} is given twice", input.name.text, d.name.text);
                return self.fail(g.span, fault(Class::Param, text));
            }
        }
        let _ = span;
        Ok(slots)
    }

    pub fn scalar_argument(
        &mut self,
        kind: &ast::TypeKind,
        value: Value,
        what: &str,
        span: Span,
    ) -> Fallible<Value> {
        use ast::TypeKind as S;
        match (kind, &value) {
            (S::Int, Value::Int(..))
            | (S::Bool, Value::Bool(_))
            | (S::Str, Value::Str(_))
            | (S::List, Value::List(_)) => Ok(value),
            (S::Float, Value::Float(_)) => Ok(value),
            (S::Float, Value::Int(i, _)) => Ok(Value::Float(*i as f64)),
            // A number of an equation passes through a scalar op's parameter as it is.
            (S::Float, Value::Num(num)) if num.shape.is_none() => Ok(value),
            _ => {
                let word = kind_word(kind);
                let help = match (kind, &value) {
                    (S::Int, Value::Str(s)) if s.parse::<i64>().is_ok() => {
                        Some(format!("write `{s}`"))
                    }
                    (S::Int, Value::Float(_)) => Some("`floor(x)` gives an int".into()),
                    _ => None,
                };
                let text = format!("{what} is {word}, got {}", value.describe());
                let fault = fault(Class::Param, text);
                let fault = match &value {
                    Value::Str(s) if help.is_some() => fault.edit(span, &**s),
                    _ => fault,
                };
                self.fail(span, fault.maybe_help(help))
            }
        }
    }

    fn tensor_argument(
        &mut self,
        d: &Def<'a>,
        axes: &'a [ast::Axis],
        value: Value,
        what: &str,
        span: Span,
        mode: Mode,
    ) -> Fallible<Value> {
        match &value {
            Value::Num(num) if Self::is_comparison(num) => self.fail(
                span,
                fault(Class::Type, format!("{what} is a tensor, got a comparison")),
            ),
            Value::Num(num) if num.shape.is_none() && (!d.elementwise || axes.len() != 1) => {
                let text = format!("{what}: inside an equation only elementwise ops apply");
                self.fail(span, fault(Class::Type, text))
            }
            Value::Tensor(node) if mode == Mode::Scalar => {
                let node = *node;
                self.num_of(&Value::Tensor(node), span, true)
                    .map(Value::Num)
            }
            Value::Num(_) | Value::Tensor(_) => Ok(value),
            Value::Int(..) | Value::Float(_) if d.elementwise || axes.is_empty() => Ok(value),
            Value::Int(..) | Value::Float(_)
                if axes.len() > 1 || !matches!(axes[0], ast::Axis::Pack(_)) =>
            {
                Ok(value)
            }
            Value::Int(..) | Value::Float(_) | Value::List(_) => {
                match self.node_of(&value, "", span) {
                    Ok(node) => Ok(Value::Tensor(node)),
                    Err(failed) => Err(failed),
                }
            }
            other => {
                let text = format!("{what} is a tensor, got {}", other.describe());
                self.fail(span, fault(Class::Type, text))
            }
        }
    }

    /// The shape that an argument brings to the match; numbers bring none.
    pub fn argument_shape(&mut self, value: &Value) -> Option<Rc<Dims>> {
        match value {
            Value::Tensor(node) => Some(self.shape_of(*node)),
            Value::Num(num) => num.shape.clone(),
            _ => None,
        }
    }
}

pub fn count(n: usize, word: &str) -> String {
    if n == 1 {
        format!("1 {word}")
    } else {
        format!("{n} {word}s")
    }
}

pub fn kind_word(kind: &ast::TypeKind) -> &'static str {
    match kind {
        ast::TypeKind::Int => "int",
        ast::TypeKind::Float => "float",
        ast::TypeKind::Bool => "bool",
        ast::TypeKind::Str => "str",
        ast::TypeKind::List => "list",
        ast::TypeKind::Tensor { .. } => "a tensor",
    }
}
