//! What brackets mean: items of lists, slices of tensors, and, inside an equation, reads with their bounds.

use super::elab::Elab;
use super::error::{Failed, Fallible, fault};
use super::eval::int_pair;
use super::limits::ITEM_STEPS;
use super::number;
use super::scalar::Arith;
use super::scope::{Bound, Env, Mode};
use super::tensor::{self, Cut};
use super::value::{Dims, List, Num, Value};
use crate::diag::{Class, Span};
use crate::equation::Pos;
use crate::ir::graph::NodeId;
use crate::syntax::ast::{self, ExprKind as E, IxKind as I};
use std::rc::Rc;

impl<'a> Elab<'a, '_> {
    pub fn index(
        &mut self,
        base: &'a ast::Expr,
        items: &'a [ast::Ix],
        span: Span,
        env: &mut Env<'a>,
    ) -> Fallible<Value> {
        let value = match &base.kind {
            // Inside an equation an index may share a tensor's name: before brackets it is the tensor.
            E::Name(name) if env.vars.contains_key(name.as_str()) => match &env.vars[name.as_str()]
            {
                Value::Failed => return Err(Failed),
                value => value.clone(),
            },
            _ => self.eval(base, env)?,
        };
        match value {
            Value::List(list) => self.list_item(&list, items, span, env),
            Value::Tensor(_) | Value::Num(_) if env.mode == Mode::Scalar => self.fail(
                span,
                fault(
                    Class::Type,
                    "only elementwise ops apply inside an equation; this one reads a tensor",
                ),
            ),
            Value::Tensor(node) if env.mode == Mode::Equation => {
                let at = self.positions(node, base, items, span, env)?;
                self.read(node, base, at, None)
            }
            Value::Tensor(node) => self.slice(node, items, span, env),
            Value::Num(ref num) if num.shape.is_some() => {
                let node = self.node_of(&value, &env.path.clone(), base.span)?;
                self.slice(node, items, span, env)
            }
            other => {
                let text = format!("{} has no axes", other.describe());
                self.fail(base.span, fault(Class::Type, text))
            }
        }
    }

    fn list_item(
        &mut self,
        list: &Rc<List>,
        items: &'a [ast::Ix],
        span: Span,
        env: &mut Env<'a>,
    ) -> Fallible<Value> {
        let n = list.len() as i64;
        match items {
            [
                ast::Ix {
                    kind: I::Slice { low, high },
                    ..
                },
            ] => {
                let end = |elab: &mut Self,
                           e: &'a Option<Box<ast::Expr>>,
                           default: i64,
                           env: &mut Env<'a>| match e {
                    None => Ok(default),
                    Some(e) => elab
                        .int(e, env)
                        .map(|(i, _)| if i < 0 { (i + n).max(0) } else { i.min(n) }),
                };
                let low = end(self, low, 0, env)?;
                let high = end(self, high, n, env)?.max(low);
                let n_items = (high - low) as u64;
                self.spend_many(span, ITEM_STEPS * n_items)?;
                Ok(Value::list(list[low as usize..high as usize].to_vec()))
            }
            [ast::Ix { kind: I::At(e), .. }] => {
                let (i, _) = self.int(e, env)?;
                let at = if i < 0 { i + n } else { i };
                match usize::try_from(at).ok().and_then(|at| list.get(at)) {
                    Some(Value::Failed) => Err(Failed),
                    Some(value) => Ok(value.clone()),
                    None => self.fail(
                        e.span,
                        fault(Class::Range, format!("item {i} of a list of {n}")),
                    ),
                }
            }
            _ => self.fail(
                span,
                fault(Class::Type, "a list has one axis: `xs[i]` or `xs[a:b]`"),
            ),
        }
    }

    /// `x[:, 1:, -1]` outside equations.
    fn slice(
        &mut self,
        node: NodeId,
        items: &'a [ast::Ix],
        span: Span,
        env: &mut Env<'a>,
    ) -> Fallible<Value> {
        let shape = self.shape_of(node);
        if items.len() > shape.sizes.len() {
            let text = format!(
                "{} indices for {} axes: {}",
                items.len(),
                shape.sizes.len(),
                shape.describe()
            );
            return self.fail(span, fault(Class::Shape, text));
        }
        let (mut cuts, mut dims) = (vec![], vec![]);
        for axis in 0..shape.sizes.len() {
            let (cut, extent) = match items.get(axis) {
                None => (
                    Cut::Range {
                        low: 0,
                        extent: shape.sizes[axis],
                    },
                    Some(shape.axis(axis)),
                ),
                Some(item) => self.cut(item, axis, &shape, env)?,
            };
            cuts.push(cut);
            dims.extend(extent.map(int_pair));
        }
        if cuts
            .iter()
            .zip(&shape.sizes)
            .all(|(c, s)| matches!(c, Cut::Range { extent, .. } if extent == s))
        {
            return Ok(Value::Tensor(node));
        }
        let (equation, _) = tensor::slice(&cuts);
        let kind = self.kind_of(node);
        let origin = self.origin(&env.path, "slice", span);
        let node = self.emit(
            equation,
            vec![node],
            Rc::new(Dims::from_pairs(&dims)),
            kind,
            origin,
        )?;
        Ok(Value::Tensor(node))
    }

    fn cut(
        &mut self,
        item: &'a ast::Ix,
        axis: usize,
        shape: &Dims,
        env: &mut Env<'a>,
    ) -> Fallible<(Cut, Option<Value>)> {
        let n = shape.axis(axis);
        let size = shape.sizes[axis];
        match &item.kind {
            I::Slice { low, high } => {
                let low = match low {
                    Some(e) => self.slice_end(e, &n, env)?,
                    None => Value::int(0),
                };
                let high = match high {
                    Some(e) => self.slice_end(e, &n, env)?,
                    None => n.clone(),
                };
                let (from, to) = (low.as_int().unwrap_or(0), high.as_int().unwrap_or(0));
                if from < 0 || from >= to || to > size {
                    let text = format!(
                        "slice {from}:{to} of axis {axis}, which is {}",
                        n.describe()
                    );
                    let help = format!("a slice ends at {size} at the latest, and holds something");
                    return self.fail(item.span, fault(Class::Range, text).help(help));
                }
                let extent = self.at(item.span, number::arith(Arith::Sub, &high, &low))?;
                Ok((
                    Cut::Range {
                        low: from,
                        extent: to - from,
                    },
                    Some(extent),
                ))
            }
            I::At(e) => {
                let (i, _) = self.int(e, env)?;
                let at = if i < 0 { i.saturating_add(size) } else { i };
                if !(0..size).contains(&at) {
                    let text = format!("position {i} of axis {axis}, which is {}", n.describe());
                    let help = format!("positions go from 0 to {}, or from -1 backwards", size - 1);
                    return self.fail(e.span, fault(Class::Range, text).help(help));
                }
                Ok((Cut::At(at), None))
            }
            I::Pack(name) => self.fail(
                name.span,
                fault(
                    Class::Syntax,
                    "`...` stands in equations and types, not in a slice",
                ),
            ),
            I::Range { name, .. } => self.fail(
                name.span,
                fault(
                    Class::Syntax,
                    "a range with a name stands in equations, not in a slice",
                ),
            ),
        }
    }

    fn slice_end(&mut self, e: &'a ast::Expr, n: &Value, env: &mut Env<'a>) -> Fallible<Value> {
        let (i, note) = self.int(e, env)?;
        let value = Value::Int(i, note);
        if i < 0 {
            self.at(e.span, number::arith(Arith::Add, n, &value))
        } else {
            Ok(value)
        }
    }

    pub fn read_else(
        &mut self,
        base: &'a ast::Expr,
        items: &'a [ast::Ix],
        other: &'a ast::Expr,
        span: Span,
        env: &mut Env<'a>,
    ) -> Fallible<Value> {
        if env.mode != Mode::Equation {
            return self.fail(
                span,
                fault(Class::Syntax, "`else` after a read belongs in an equation"),
            );
        }
        let outside = self.eval(other, env)?;
        let Some(outside) = outside.as_number() else {
            let text = format!(
                "`else` needs a compile-time number, got {}",
                outside.describe()
            );
            return self.fail(other.span, fault(Class::Type, text));
        };
        let E::Name(name) = &base.kind else {
            return self.fail(
                base.span,
                fault(Class::Type, "only a named tensor is read with indices"),
            );
        };
        match env.vars.get(name.as_str()) {
            Some(Value::Tensor(node)) => {
                let node = *node;
                let at = self.positions(node, base, items, span, env)?;
                self.read(node, base, at, Some(outside))
            }
            Some(Value::Failed) => Err(Failed),
            Some(other) => {
                let text = format!("`{name}` is {}, not a tensor", other.describe());
                self.fail(base.span, fault(Class::Type, text))
            }
            None => self.name(name, base.span, env).and(Err(Failed)),
        }
    }

    /// One integer for each axis.
    fn positions(
        &mut self,
        node: NodeId,
        base: &'a ast::Expr,
        items: &'a [ast::Ix],
        span: Span,
        env: &mut Env<'a>,
    ) -> Fallible<Vec<(Rc<Num>, Span)>> {
        let shape = self.shape_of(node);
        let name = self.program.text(base.span);
        let mut at = vec![];
        for item in items {
            match &item.kind {
                I::Pack(pack) => match env.indices.get(format!("...{}", pack.text).as_str()) {
                    Some(Bound::Pack(ids)) => {
                        for id in ids {
                            let ix = crate::equation::index::Ix::var(*id);
                            at.push((Rc::new(Num::index(ix, 0, self.extents[*id] - 1)), pack.span));
                        }
                    }
                    _ => {
                        let text = format!(
                            "`...{}` is not among the indices of this equation",
                            pack.text
                        );
                        return self.fail(pack.span, fault(Class::Name, text));
                    }
                },
                I::At(e) => {
                    let value = self.eval(e, env)?;
                    let num = self.num_of(&value, e.span, true)?;
                    if num.kind != super::value::Kind::Int {
                        let text = format!("an index of `{name}` must be an int");
                        let whole = format!("floor({})", self.program.text(e.span));
                        let fault = fault(Class::Type, text)
                            .help(format!("`{whole}` gives an int"))
                            .edit(e.span, whole);
                        return self.fail(e.span, fault);
                    }
                    at.push((num, e.span));
                }
                I::Slice { .. } => {
                    let text = format!(
                        "a slice inside an equation; read `{name}` with one index for each axis"
                    );
                    return self.fail(item.span, fault(Class::Syntax, text));
                }
                I::Range { name, .. } => {
                    let text = "a range stands left of `=` or after a reducer, not in a read";
                    return self.fail(name.span, fault(Class::Syntax, text));
                }
            }
        }
        if at.len() != shape.sizes.len() {
            let text = format!(
                "`{name}` has {} axes and is read with {}",
                shape.sizes.len(),
                at.len()
            );
            return self.fail(span, fault(Class::Shape, text).label(shape.describe()));
        }
        Ok(at)
    }

    fn read(
        &mut self,
        node: NodeId,
        base: &'a ast::Expr,
        at: Vec<(Rc<Num>, Span)>,
        outside: Option<f64>,
    ) -> Fallible<Value> {
        let shape = self.shape_of(node);
        let mut inside = true;
        let mut positions = vec![];
        for (axis, (num, place)) in at.iter().enumerate() {
            let (mut lo, mut hi) = (num.lo, num.hi);
            if let Some(ix) = num.as_ix() {
                let (l, h) = ix.range(&self.extents);
                (lo, hi) = (lo.max(l as f64), hi.min(h as f64));
            }
            if lo < 0.0 || hi >= shape.sizes[axis] as f64 {
                inside = false;
                if outside.is_none() {
                    let name = self.program.text(base.span);
                    let axis_text = shape.axis(axis).describe();
                    let text = match lo.is_finite() && hi.is_finite() {
                        true => format!(
                            "`{name}` axis {axis} of {axis_text} is read at {lo}..{}",
                            hi + 1.0
                        ),
                        false => format!(
                            "it is not clear that this position is inside `{name}`, axis {axis} of {axis_text}"
                        ),
                    };
                    let fault = fault(Class::Range, text)
                        .help("end the read with `else 0`, or clamp the position");
                    let end = at
                        .last()
                        .and_then(|(_, last)| self.program.bracket_after(*last));
                    return match end {
                        Some(end) => self.fail(*place, fault.edit(end, " else 0")),
                        None => self.fail(*place, fault),
                    };
                }
            }
            positions.push(match num.as_ix() {
                Some(ix) => Pos::Ix(ix.clone()),
                None => {
                    let expr = num.expr().expect("an int is no comparison");
                    Pos::Computed(Box::new(expr))
                }
            });
        }
        let size: usize = at.iter().map(|(n, _)| n.size).sum();
        let mut num = self.read_of(node, positions, outside.filter(|_| !inside));
        num.size = 1 + size;
        Ok(Value::Num(Rc::new(num)))
    }

    pub fn kind_of(&self, node: NodeId) -> super::value::Kind {
        if self.whole.contains(&node) {
            super::value::Kind::Int
        } else {
            super::value::Kind::Float
        }
    }
}
