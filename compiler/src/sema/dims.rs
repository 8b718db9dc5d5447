//! Matching the axes of types with the shapes of tensors, by integers (language §3).
//!
//! Axes are matched over all inputs together; an axis with one unknown dim, occurring once, solves it.

use super::elab::Elab;
use super::error::{Fallible, fault};
use super::number;
use super::scalar::Arith;
use super::scope::Env;
use super::value::{Dims, Value};
use crate::diag::{Class, Span};
use crate::syntax::ast::{self, BinaryOp, ExprKind as E};
use std::rc::Rc;

/// A tensor that must fit a type.
pub struct Fit<'a> {
    /// What a message calls it: `x` of Conv2d.
    pub what: String,
    pub axes: &'a [ast::Axis],
    pub shape: Rc<Dims>,
    /// Where the tensor was given.
    pub span: Span,
}

struct Axis<'a> {
    fit: usize,
    axis: usize,
    expr: &'a ast::Expr,
    value: Value,
}

impl<'a> Elab<'a, '_> {
    pub fn match_types(&mut self, fits: &[Fit<'a>], env: &mut Env<'a>) -> Fallible<()> {
        let mut todo = vec![];
        // Which tensor gave each dim its value.
        let mut givers: Vec<(&str, usize)> = vec![];
        for (at, fit) in fits.iter().enumerate() {
            todo.extend(self.spread(at, fit, env)?);
        }
        while !todo.is_empty() {
            let before = todo.len();
            let mut rest = vec![];
            for axis in todo {
                self.spend_many(axis.expr.span, 1 + givers.len() as u64 / 8)?;
                let unknown = unknowns(axis.expr, env);
                match unknown.len() {
                    0 => {
                        let mut dims = givers.iter().filter(|(name, _)| mentions(axis.expr, name));
                        let giver = dims.next().map(|(name, at)| (*name, &fits[*at]));
                        self.check_axis(&fits[axis.fit], &axis, giver, env)?;
                    }
                    1 => {
                        let value = axis.value.clone();
                        self.solve(&fits[axis.fit], &axis, axis.expr, value, env)?;
                        givers.push((unknown[0], axis.fit));
                    }
                    _ => rest.push(axis),
                }
            }
            if rest.len() == before {
                let axis = &rest[0];
                let names = unknowns(axis.expr, env).join("`, `");
                let text = format!(
                    "`{}` does not determine `{names}`",
                    self.program.text(axis.expr.span)
                );
                return self.fail(axis.expr.span, fault(Class::Dim, text));
            }
            todo = rest;
        }
        Ok(())
    }

    /// The axes of one tensor, its pack bound or checked.
    fn spread(&mut self, at: usize, fit: &Fit<'a>, env: &mut Env<'a>) -> Fallible<Vec<Axis<'a>>> {
        let pack = fit
            .axes
            .iter()
            .position(|a| matches!(a, ast::Axis::Pack(_)));
        let fixed = fit.axes.len() - usize::from(pack.is_some());
        let rank = fit.shape.sizes.len();
        if rank < fixed || (pack.is_none() && rank != fixed) {
            let many = if pack.is_some() { "at least " } else { "" };
            let text = format!(
                "{} needs {many}{fixed} axes, got {}",
                fit.what,
                fit.shape.describe()
            );
            let wanted = format!("declared {}", axes_text(self, fit.axes));
            let missing = fixed as i64 - rank as i64;
            let help = match missing {
                1.. => "take one with more axes, or add them by an index equation or `reshape`",
                _ => {
                    "take one with fewer axes: pick a position, as in `x[:, :, 0]`, or reduce some"
                }
            };
            return self.fail(fit.span, fault(Class::Shape, text).note(wanted).help(help));
        }
        let covered = rank - fixed;
        let mut out = vec![];
        let mut next = 0;
        for axis in fit.axes {
            match axis {
                ast::Axis::Pack(name) => {
                    let range = next..next + covered;
                    let part = Dims {
                        sizes: fit.shape.sizes[range.clone()].to_vec(),
                        notes: fit.shape.notes[range].to_vec(),
                    };
                    next += covered;
                    self.bind_pack(fit, name, part, env)?;
                }
                ast::Axis::Dim(expr) => {
                    out.push(Axis {
                        fit: at,
                        axis: next,
                        expr,
                        value: fit.shape.axis(next),
                    });
                    next += 1;
                }
            }
        }
        Ok(out)
    }

    fn bind_pack(
        &mut self,
        fit: &Fit<'a>,
        name: &'a ast::Ident,
        part: Dims,
        env: &mut Env<'a>,
    ) -> Fallible<()> {
        match env.packs.get(name.text.as_str()) {
            Some(known) if known.sizes != part.sizes => {
                let text = format!(
                    "{} has shape {}, but `...{}` is {}",
                    fit.what,
                    part.describe(),
                    name.text,
                    known.describe()
                );
                self.fail(fit.span, fault(Class::Shape, text))
            }
            Some(_) => Ok(()),
            None => {
                env.packs.insert(&name.text, Rc::new(part));
                Ok(())
            }
        }
    }

    fn check_axis(
        &mut self,
        fit: &Fit<'a>,
        axis: &Axis<'a>,
        giver: Option<(&str, &Fit<'a>)>,
        env: &mut Env<'a>,
    ) -> Fallible<()> {
        let wanted = self.eval(axis.expr, env)?;
        let Value::Int(size, _) = wanted else {
            let text = format!("a dim must be an int, got {}", wanted.describe());
            return self.fail(axis.expr.span, fault(Class::Dim, text));
        };
        if Some(size) == axis.value.as_int() {
            return Ok(());
        }
        let expr = self.program.text(axis.expr.span);
        let need = if expr == size.to_string() {
            expr.to_string()
        } else {
            format!("`{expr}`, which is {}", wanted.describe())
        };
        let text = format!(
            "{} has {} on axis {}, needs {need}",
            fit.what,
            axis.value.describe(),
            axis.axis
        );
        let fault = fault(Class::Shape, text)
            .label(fit.shape.describe())
            .note(format!("declared {}", axes_text(self, fit.axes)));
        let fault = match giver {
            Some((name, other)) if other.span != fit.span => {
                let declared = axes_text(self, other.axes);
                let text = format!("{} gives `{name}`: declared {declared}", other.what);
                fault.other(other.span, other.shape.describe()).note(text)
            }
            _ => fault,
        };
        self.fail(fit.span, fault)
    }

    /// Solves `expr = value` for the one unknown dim in `expr`.
    fn solve(
        &mut self,
        fit: &Fit<'a>,
        axis: &Axis<'a>,
        expr: &'a ast::Expr,
        value: Value,
        env: &mut Env<'a>,
    ) -> Fallible<()> {
        match &expr.kind {
            E::Dim(name) => {
                if value.as_int().is_none_or(|v| v < 1) {
                    let text = format!("`{name}` would be {}", value.describe());
                    return self.fail(
                        fit.span,
                        fault(Class::Dim, text).note(format!("in {}", fit.what)),
                    );
                }
                env.vars.insert(name, value);
                Ok(())
            }
            E::Binary {
                op,
                left: a,
                right: b,
                ..
            } => {
                let left = !unknowns(a, env).is_empty();
                let (unknown, other) = if left { (a, b) } else { (b, a) };
                let known = self.eval(other, env)?;
                let known_size = known.as_int();
                let inverse = match (op, left) {
                    (BinaryOp::Mul, _) => number::arith(Arith::Div, &value, &known),
                    (BinaryOp::Add, _) => number::arith(Arith::Sub, &value, &known),
                    (BinaryOp::Sub, true) => number::arith(Arith::Add, &value, &known),
                    (BinaryOp::Sub, false) => number::arith(Arith::Sub, &known, &value),
                    (BinaryOp::Div, true) => number::arith(Arith::Mul, &value, &known),
                    _ => {
                        let text = format!(
                            "`{}` cannot be solved for its dim",
                            self.program.text(expr.span)
                        );
                        return self.fail(
                            expr.span,
                            fault(Class::Dim, text).help("dims are solved through `+ - * /`"),
                        );
                    }
                };
                match inverse {
                    Ok(value) => self.solve(fit, axis, unknown, value, env),
                    Err(_) => {
                        let whole = self.program.text(axis.expr.span);
                        let size = fit.shape.axis(axis.axis).describe();
                        let known = self.program.names_in(axis.expr, env);
                        let text =
                            format!("{}: axis {} is {size}, not `{whole}`", fit.what, axis.axis);
                        let text = if known.is_empty() {
                            text
                        } else {
                            format!("{text} where {known}")
                        };
                        let declared = format!("declared {}", axes_text(self, fit.axes));
                        let sizes = (value.as_int(), known_size.filter(|n| *n > 0));
                        let help = match (op, sizes) {
                            (BinaryOp::Mul, (Some(size), Some(n))) => Some(format!(
                                "that axis must be a multiple of {n}, such as {}",
                                number::multiples(size, n)
                            )),
                            _ => None,
                        };
                        let fault = fault(Class::Dim, text).note(declared).maybe_help(help);
                        self.fail(fit.span, fault)
                    }
                }
            }
            _ => {
                let text = format!(
                    "`{}` cannot be solved for its dim",
                    self.program.text(expr.span)
                );
                self.fail(
                    expr.span,
                    fault(Class::Dim, text).help("dims are solved through `+ - * /`"),
                )
            }
        }
    }

    /// The shape that a type denotes when all its dims are known.
    pub fn dims(&mut self, axes: &'a [ast::Axis], env: &mut Env<'a>) -> Fallible<Dims> {
        let mut dims = Dims::default();
        for axis in axes {
            match axis {
                ast::Axis::Pack(name) => match env.packs.get(name.text.as_str()) {
                    Some(pack) => {
                        dims.sizes.extend(&pack.sizes);
                        dims.notes.extend(pack.notes.iter().cloned());
                    }
                    None => {
                        let text = format!("`...{}` is not bound by an input", name.text);
                        return self.fail(name.span, fault(Class::Dim, text));
                    }
                },
                ast::Axis::Dim(e) => match self.eval(e, env)? {
                    Value::Int(size, note) => {
                        if size < 1 {
                            let text = format!(
                                "`{}` is {size}; an axis needs at least 1",
                                self.program.text(e.span)
                            );
                            return self.fail(e.span, fault(Class::Dim, text));
                        }
                        dims.sizes.push(size);
                        dims.notes.push(note);
                    }
                    other => {
                        let text = format!("a dim must be an int, got {}", other.describe());
                        return self.fail(e.span, fault(Class::Dim, text));
                    }
                },
            }
        }
        Ok(dims)
    }
}

fn mentions(e: &ast::Expr, name: &str) -> bool {
    match &e.kind {
        E::Dim(own) => own == name,
        E::Binary { left, right, .. } => mentions(left, name) || mentions(right, name),
        E::Unary { operand, .. } => mentions(operand, name),
        _ => false,
    }
}

pub fn axes_text(elab: &Elab<'_, '_>, axes: &[ast::Axis]) -> String {
    let words: Vec<String> = axes
        .iter()
        .map(|axis| match axis {
            ast::Axis::Pack(name) => format!("...{}", name.text),
            ast::Axis::Dim(e) => elab.program.text(e.span).to_string(),
        })
        .collect();
    format!("[{}]", words.join(", "))
}

/// The dims of an axis that are not bound yet, each as often as it occurs.
fn unknowns<'a>(e: &'a ast::Expr, env: &Env<'a>) -> Vec<&'a str> {
    match &e.kind {
        E::Dim(name) if !env.vars.contains_key(name.as_str()) => vec![name],
        E::Binary {
            left: a, right: b, ..
        } => {
            let mut all = unknowns(a, env);
            all.extend(unknowns(b, env));
            all
        }
        E::Unary { operand: x, .. } => unknowns(x, env),
        _ => vec![],
    }
}
