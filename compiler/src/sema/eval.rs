//! Expressions: names, arithmetic, lists, reads, slices and choices.
//!
//! Compile-time values are computed at once; whole tensors become pending elementwise expressions, which turn into one
//! equation when they are bound or passed on.

use super::elab::{Elab, MAX_PENDING};
use super::error::{Failed, Fallible, Fault, fault, suggest};
use super::number;
use super::scalar::{self, Arith};
use super::scope::{Bound, Env, Mode};
use super::tensor::{self, Cut};
use super::value::{Dims, Num, Value};
use crate::diag::{Class, Span};
use crate::equation::{Pos, Relation};
use crate::ir::graph::NodeId;
use crate::syntax::ast::{self, BinaryOp, ExprKind as E, IxKind as I, UnaryOp};
use std::rc::Rc;

impl<'a> Elab<'a, '_> {
    pub fn eval(&mut self, e: &'a ast::Expr, env: &mut Env<'a>) -> Fallible<Value> {
        self.spend(e.span)?;
        self.deeper(e.span, |elab| elab.eval_kind(e, env))
    }

    fn eval_kind(&mut self, e: &'a ast::Expr, env: &mut Env<'a>) -> Fallible<Value> {
        match &e.kind {
            E::Int(i) => Ok(Value::int(*i)),
            E::Float(f) => Ok(Value::Float(*f)),
            E::Str(s) => Ok(Value::Str(s.as_str().into())),
            E::Bool(b) => Ok(Value::Bool(*b)),
            E::Name(name) | E::Dim(name) => self.name(name, e.span, env),
            E::List(items) => {
                let items: Fallible<Vec<Value>> = items.iter().map(|x| self.eval(x, env)).collect();
                Ok(Value::list(items?))
            }
            E::Each {
                body,
                names,
                domain,
            } => self.each(body, names, domain, env),
            E::Unary {
                op: UnaryOp::Neg,
                operand,
            } => {
                let value = self.eval(operand, env)?;
                self.arith(
                    Arith::Sub,
                    (&Value::int(0), e.span),
                    (&value, operand.span),
                    e.span,
                    env,
                )
            }
            E::Unary {
                op: UnaryOp::Not,
                operand,
            } => Ok(Value::Bool(!self.condition(operand, env)?)),
            E::Binary {
                op,
                left,
                right,
                op_span,
            } => self.binary(*op, left, right, *op_span, env),
            E::If(choice) => self.choice(choice, e.span, env),
            E::Call { name, args } => self.call(name, args, None, e.span, env),
            E::Made(made) => self.make_or_apply(made, None, env),
            E::Index {
                base,
                index,
                otherwise: None,
            } => self.index(base, index, e.span, env),
            E::Index {
                base,
                index,
                otherwise: Some(other),
            } => self.read_else(base, index, other, e.span, env),
            E::Reduce {
                reducer,
                index,
                body,
            } => self.reduce(*reducer, index, body, e.span, env),
            E::Pipe { .. } => self.pipe(e, env),
        }
    }

    fn pipe(&mut self, e: &'a ast::Expr, env: &mut Env<'a>) -> Fallible<Value> {
        let (mut stages, mut first) = (vec![], e);
        while let E::Pipe { value, stage } = &first.kind {
            stages.push(stage);
            first = value;
        }
        let mut value = (self.eval(first, env)?, first.span);
        for stage in stages.into_iter().rev() {
            let next = match stage {
                ast::Stage::Apply { name, args, span } => {
                    self.call(name, args, Some(value), *span, env)?
                }
                ast::Stage::Made(made) => self.make_or_apply(made, Some(value), env)?,
            };
            value = (next, stage.span());
        }
        Ok(value.0)
    }

    fn name(&mut self, name: &'a str, span: Span, env: &Env<'a>) -> Fallible<Value> {
        if let Some(bound) = env.indices.get(name) {
            return match bound {
                Bound::One { ix, lo, hi } => {
                    Ok(Value::Num(Rc::new(Num::index(ix.clone(), *lo, *hi))))
                }
                Bound::Pack(_) => self.fail(
                    span,
                    fault(Class::Name, format!("`{name}` is a pack of indices")),
                ),
            };
        }
        match env.vars.get(name) {
            Some(Value::Failed) => return Err(Failed),
            Some(value) => return Ok(value.clone()),
            None => {}
        }
        if name == "training" {
            return Ok(Value::Bool(self.training));
        }
        if let Some(present) = self.frozen_present(name, span, env)? {
            return Ok(Value::Bool(present));
        }
        let fault = self.unbound(name, env);
        self.fail(span, fault)
    }

    /// Why a name has no value here.
    fn unbound(&self, name: &str, env: &Env<'a>) -> Fault {
        if name.starts_with(|c: char| c.is_ascii_uppercase()) {
            let known = env
                .vars
                .keys()
                .copied()
                .filter(|k| k.starts_with(|c: char| c.is_ascii_uppercase()));
            let what = if env.def.is_some() {
                "an input".into()
            } else {
                format!("profile {}", self.profile)
            };
            return fault(Class::Dim, format!("`{name}` is not bound by {what}"))
                .maybe_help(suggest(name, sorted(known)));
        }
        if let Some(condition) = self.program.bound_only_where(name, env) {
            return fault(
                Class::Name,
                format!("`{name}` is bound only where {condition}"),
            );
        }
        if self.program.is_callable(name, env.module) {
            return fault(
                Class::Name,
                format!("`{name}` is an op; call it: `{name}(…)`"),
            );
        }
        let indices = env.indices.keys().map(String::as_str);
        let known = sorted(env.vars.keys().copied().chain(indices));
        fault(Class::Name, format!("`{name}` is not bound")).maybe_help(suggest(name, known))
    }

    fn each(
        &mut self,
        body: &'a ast::Expr,
        names: &'a [ast::Ident],
        domain: &'a ast::Domain,
        env: &mut Env<'a>,
    ) -> Fallible<Value> {
        let domain = self.domain(domain, env)?;
        let saved: Vec<_> = names
            .iter()
            .map(|n| env.vars.get(n.text.as_str()).cloned())
            .collect();
        let mut items = vec![];
        let mut result = Ok(());
        for value in domain {
            result = self
                .spend(body.span)
                .and_then(|_| self.unpack(names, value, body.span, env));
            match result.and_then(|_| self.eval(body, env)) {
                Ok(item) => items.push(item),
                Err(failed) => {
                    result = Err(failed);
                    break;
                }
            }
        }
        restore(names, saved, env);
        result.map(|_| Value::list(items))
    }

    /// The values that a loop variable takes.
    pub fn domain(&mut self, domain: &'a ast::Domain, env: &mut Env<'a>) -> Fallible<Vec<Value>> {
        match domain {
            ast::Domain::Range(low, high) => {
                let (from, to) = (self.int(low, env)?.0, self.int(high, env)?.0);
                if to > from && to.saturating_sub(from) as u64 > self.fuel {
                    self.fuel = 0;
                    self.spend(high.span)?;
                }
                Ok((from..to).map(Value::int).collect())
            }
            ast::Domain::List(list) => match self.eval(list, env)? {
                Value::List(items) => Ok(items.to_vec()),
                other => {
                    let text = format!(
                        "`for` needs a list or a range `a..b`, got {}",
                        other.describe()
                    );
                    self.fail(list.span, fault(Class::Type, text))
                }
            },
        }
    }

    /// Binds one name to a value, or several to the items of a list.
    pub fn unpack(
        &mut self,
        names: &'a [ast::Ident],
        value: Value,
        span: Span,
        env: &mut Env<'a>,
    ) -> Fallible<()> {
        if let [name] = names {
            env.vars.insert(&name.text, value);
            return Ok(());
        }
        match value {
            Value::List(items) if items.len() == names.len() => {
                for (name, item) in names.iter().zip(items.iter()) {
                    env.vars.insert(&name.text, item.clone());
                }
                Ok(())
            }
            Value::List(items) => {
                let text = format!("{} names for a list of {}", names.len(), items.len());
                self.fail(span, fault(Class::Type, text))
            }
            other => {
                let text = format!(
                    "{} names need a list, got {}",
                    names.len(),
                    other.describe()
                );
                self.fail(span, fault(Class::Type, text))
            }
        }
    }

    /// A compile-time bool.
    pub fn condition(&mut self, e: &'a ast::Expr, env: &mut Env<'a>) -> Fallible<bool> {
        match self.eval(e, env)? {
            Value::Bool(b) => Ok(b),
            Value::Num(num) if Self::is_comparison(&num) => self.fail(
                e.span,
                fault(Class::Type, "this needs a compile-time bool")
                    .help("`select(c, a, b)` chooses by element"),
            ),
            other => {
                let text = format!("this needs a compile-time bool, got {}", other.describe());
                self.fail(e.span, fault(Class::Type, text))
            }
        }
    }

    pub fn int(
        &mut self,
        e: &'a ast::Expr,
        env: &mut Env<'a>,
    ) -> Fallible<(i64, super::value::Note)> {
        match self.eval(e, env)? {
            Value::Int(i, note) => Ok((i, note)),
            other => {
                let hint =
                    matches!(other, Value::Float(_)).then(|| "`floor(x)` gives an int".to_string());
                let text = format!("an int is needed here, got {}", other.describe());
                self.fail(e.span, fault(Class::Type, text).maybe_help(hint))
            }
        }
    }

    fn choice(&mut self, choice: &'a ast::If, span: Span, env: &mut Env<'a>) -> Fallible<Value> {
        let taken = self.condition(&choice.condition, env)?;
        let branch = if taken {
            Some(&choice.then)
        } else {
            choice.otherwise.as_ref()
        };
        let value = match branch {
            Some(body) => self.run(body, env, None)?,
            None => None,
        };
        value.map_or_else(
            || {
                self.fail(
                    span,
                    fault(
                        Class::Syntax,
                        "this `if` has no value: the branch taken does not end in one",
                    ),
                )
            },
            Ok,
        )
    }

    fn binary(
        &mut self,
        op: BinaryOp,
        a: &'a ast::Expr,
        b: &'a ast::Expr,
        span: Span,
        env: &mut Env<'a>,
    ) -> Fallible<Value> {
        match op {
            BinaryOp::And => {
                return Ok(Value::Bool(
                    self.condition(a, env)? && self.condition(b, env)?,
                ));
            }
            BinaryOp::Or => {
                return Ok(Value::Bool(
                    self.condition(a, env)? || self.condition(b, env)?,
                ));
            }
            _ => {}
        }
        let (x, y) = (self.eval(a, env)?, self.eval(b, env)?);
        match kind_of(op) {
            Operator::Arith(op) => self.arith(op, (&x, a.span), (&y, b.span), span, env),
            Operator::Compare(relation) => self.relation(relation, &x, &y, span, env),
            Operator::In => self.member(&x, &y, b.span),
        }
    }

    fn member(&mut self, item: &Value, list: &Value, span: Span) -> Fallible<Value> {
        match list {
            Value::List(items) => Ok(Value::Bool(
                items.iter().any(|v| number::equal(v, item) == Some(true)),
            )),
            other => {
                let text = format!("`in` needs a list, got {}", other.describe());
                self.fail(span, fault(Class::Type, text))
            }
        }
    }

    fn relation(
        &mut self,
        relation: Relation,
        a: &Value,
        b: &Value,
        span: Span,
        env: &Env<'a>,
    ) -> Fallible<Value> {
        if is_fixed(a) && is_fixed(b) {
            return self
                .at(span, number::compare(relation, a, b))
                .map(Value::Bool);
        }
        let (x, y) = (
            self.to_num(a, span, env.in_equation())?,
            self.to_num(b, span, env.in_equation())?,
        );
        let num = self.at(span, scalar::compare(relation, &x, &y))?;
        Ok(Value::Num(Rc::new(num)))
    }

    pub fn arith(
        &mut self,
        op: Arith,
        a: (&Value, Span),
        b: (&Value, Span),
        span: Span,
        env: &Env<'a>,
    ) -> Fallible<Value> {
        if is_fixed(a.0) && is_fixed(b.0) {
            return self.at(span, number::arith(op, a.0, b.0));
        }
        let x = self.to_num(a.0, a.1, env.in_equation())?;
        let y = self.to_num(b.0, b.1, env.in_equation())?;
        if let (Some(p), Some(q)) = (&x.shape, &y.shape)
            && p.sizes != q.sizes
            && !p.sizes.is_empty()
            && !q.sizes.is_empty()
        {
            let fault = shapes_differ(op, p, q, b.1);
            return self.fail(a.1, fault);
        }
        let num = self.at(span, scalar::binary(op, &x, &y))?;
        self.pending(num, span, env)
    }

    /// A pending expression that has grown becomes a node before it is used again.
    pub fn pending(&mut self, num: Num, span: Span, env: &Env<'a>) -> Fallible<Value> {
        if num.shape.is_some() && num.size > MAX_PENDING && !Self::is_comparison(&num) {
            return Ok(Value::Tensor(self.force_num(&num, &env.path, "", span)?));
        }
        Ok(Value::Num(Rc::new(num)))
    }

    fn index(
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
                let node = self.to_node(&value, &env.path.clone(), base.span)?;
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
        list: &Rc<Vec<Value>>,
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
                           e: &'a Option<ast::Expr>,
                           default: i64,
                           env: &mut Env<'a>| match e {
                    None => Ok(default),
                    Some(e) => elab
                        .int(e, env)
                        .map(|(i, _)| if i < 0 { (i + n).max(0) } else { i.min(n) }),
                };
                let low = end(self, low, 0, env)?;
                let high = end(self, high, n, env)?.max(low);
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
                    return self.fail(item.span, fault(Class::Range, text));
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
                    return self.fail(e.span, fault(Class::Range, text));
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

    fn read_else(
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
                I::Pack(pack) => match env.indices.get(&format!("...{}", pack.text)) {
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
                    let num = self.to_num(&value, e.span, true)?;
                    if num.kind != super::value::Kind::Int {
                        let text = format!("an index of `{name}` must be an int");
                        return self.fail(
                            e.span,
                            fault(Class::Type, text).help("`floor(u)` gives an int"),
                        );
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
                    return self.fail(*place, fault);
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

pub fn sorted<'b>(names: impl Iterator<Item = &'b str>) -> Vec<&'b str> {
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    names
}

pub fn restore<'a>(names: &'a [ast::Ident], saved: Vec<Option<Value>>, env: &mut Env<'a>) {
    for (name, old) in names.iter().zip(saved) {
        match old {
            Some(value) => env.vars.insert(&name.text, value),
            None => env.vars.remove(name.text.as_str()),
        };
    }
}

pub fn int_pair(value: Value) -> (i64, super::value::Note) {
    match value {
        Value::Int(i, note) => (i, note),
        _ => (0, None),
    }
}

fn shapes_differ(op: Arith, p: &Dims, q: &Dims, other: Span) -> Fault {
    fault(Class::Shape, format!("`{}` needs equal shapes", op.text()))
        .label(p.describe())
        .other(other, q.describe())
        .help("only numbers and `[]` go with any shape; otherwise write an index equation")
}

/// Known at compile time: no tensor, no number of an equation.
pub fn is_fixed(value: &Value) -> bool {
    !matches!(value, Value::Num(_) | Value::Tensor(_))
}

enum Operator {
    Arith(Arith),
    Compare(Relation),
    In,
}

fn kind_of(op: BinaryOp) -> Operator {
    match op {
        BinaryOp::Add => Operator::Arith(Arith::Add),
        BinaryOp::Sub => Operator::Arith(Arith::Sub),
        BinaryOp::Mul => Operator::Arith(Arith::Mul),
        BinaryOp::Div => Operator::Arith(Arith::Div),
        BinaryOp::FloorDiv => Operator::Arith(Arith::FloorDiv),
        BinaryOp::Mod => Operator::Arith(Arith::Mod),
        BinaryOp::Pow => Operator::Arith(Arith::Pow),
        BinaryOp::Lt => Operator::Compare(Relation::Lt),
        BinaryOp::Le => Operator::Compare(Relation::Le),
        BinaryOp::Gt => Operator::Compare(Relation::Gt),
        BinaryOp::Ge => Operator::Compare(Relation::Ge),
        BinaryOp::Eq => Operator::Compare(Relation::Eq),
        BinaryOp::Ne => Operator::Compare(Relation::Ne),
        BinaryOp::In | BinaryOp::And | BinaryOp::Or => Operator::In,
    }
}
