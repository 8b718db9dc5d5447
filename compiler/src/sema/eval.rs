//! Expressions: names, arithmetic, lists and choices.
//!
//! Compile-time values are computed at once; whole tensors become pending elementwise expressions, which turn into one
//! equation when they are bound or passed on.

use super::elab::{Elab, MAX_PENDING};
use super::error::{Failed, Fallible, Fault, fault, suggest, suggest_or_list};
use super::limits::ITEM_STEPS;
use super::number;
use super::scalar::{self, Arith};
use super::scope::{Bound, Env};
use super::value::{Dims, List, Num, Value};
use crate::diag::{Class, Span};
use crate::equation::Relation;
use crate::syntax::ast::{self, BinaryOp, ExprKind as E, UnaryOp};
use std::rc::Rc;

impl<'a> Elab<'a, '_> {
    pub fn eval(&mut self, e: &'a ast::Expr, env: &mut Env<'a>) -> Fallible<Value> {
        self.spend(e.span)?;
        let value = self.deeper(e.span, |elab| elab.eval_kind(e, env))?;
        self.note(e.span, &value);
        Ok(value)
    }

    fn eval_kind(&mut self, e: &'a ast::Expr, env: &mut Env<'a>) -> Fallible<Value> {
        match &e.kind {
            E::Int(i) => Ok(Value::int(*i)),
            E::Float(f) => Ok(Value::Float(*f)),
            E::Str(s) => {
                self.spend_many(e.span, s.len() as u64 / 32)?;
                Ok(Value::Str(s.as_str().into()))
            }
            E::Bool(b) => Ok(Value::Bool(*b)),
            E::Name(name) | E::Dim(name) => self.name(name, e.span, env),
            E::List(items) => {
                let values: Fallible<Vec<Value>> =
                    items.iter().map(|x| self.eval(x, env)).collect();
                let values = values?;
                if let Some(at) = values.iter().position(|v| matches!(v, Value::Layer(_))) {
                    let text = "layers are not listed; bind one to a name, or apply it here";
                    return self.fail(items[at].span, fault(Class::Type, text));
                }
                self.list(values, e.span)
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
            self.note(stage.span(), &next);
            value = (next, stage.span());
        }
        Ok(value.0)
    }

    pub fn name(&mut self, name: &'a str, span: Span, env: &Env<'a>) -> Fallible<Value> {
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
            return Ok(Value::Bool(self.training && env.frozen.is_none()));
        }
        if self.program.is_broken(name, env.module) {
            return Err(Failed);
        }
        if let Some(frozen) = self.program.frozen(name, env.module) {
            return self.frozen_present(frozen, span).map(Value::Bool);
        }
        if self.is_silent(span) {
            return Err(Failed);
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
            let near = suggest(name, sorted(known));
            if env.def.is_some() {
                return fault(Class::Dim, format!("`{name}` is not bound by an input"))
                    .maybe_help(near);
            }
            let text = format!("profile {} gives `{name}` no value", self.profile);
            let add = format!("add `{name} = …` to `profile {} {{ … }}`", self.profile);
            let fault = fault(Class::Dim, text).help(near.unwrap_or(add));
            return match self.program.profile(self.profile) {
                Some(span) => fault.other(span, "this one"),
                None => fault,
            };
        }
        if let Some(condition) = self.program.bound_only_where(name, env) {
            let text = format!("`{name}` is bound only where {condition}");
            let help =
                format!("give `{name}` a value before the `if`, or in its other branch, too");
            return fault(Class::Name, text).help(help);
        }
        if self.program.is_callable(name, env.module) {
            return fault(
                Class::Name,
                format!("`{name}` is an op; call it: `{name}(…)`"),
            );
        }
        let indices = env.indices.keys().map(|key| &**key);
        let known = sorted(env.vars.keys().copied().chain(indices));
        let help = suggest_or_list(name, "bound here are", &known);
        fault(Class::Name, format!("`{name}` is not bound")).maybe_help(help)
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
        for at in 0..domain.len() {
            result = self
                .spend(body.span)
                .and_then(|_| self.check_list(items.len() + 1, body.span))
                .and_then(|_| self.unpack(names, domain.value(at), body.span, env));
            match result.and_then(|_| self.eval(body, env)) {
                Ok(item) => items.push(item),
                Err(failed) => {
                    result = Err(failed);
                    break;
                }
            }
        }
        restore(names, saved, env);
        result?;
        self.list(items, body.span)
    }

    /// The values that a loop variable takes.
    pub fn domain(&mut self, domain: &'a ast::Domain, env: &mut Env<'a>) -> Fallible<Domain> {
        match domain {
            ast::Domain::Range(low, high) => {
                let (from, to) = (self.int(low, env)?.0, self.int(high, env)?.0);
                let n = usize::try_from(to.saturating_sub(from)).unwrap_or(0);
                // A loop that cannot end is not begun.
                if n as u64 > self.steps_left {
                    self.spend_many(high.span, n as u64)?;
                }
                Ok(Domain::Range(from, n))
            }
            ast::Domain::List(list) => match self.eval(list, env)? {
                Value::List(items) => Ok(Domain::List(items)),
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
        self.condition_of(e, None, env)
    }

    /// The condition of an `if` that is an expression.
    pub fn chosen(&mut self, choice: &'a ast::If, span: Span, env: &mut Env<'a>) -> Fallible<bool> {
        let instead = self.as_select(choice).map(|text| (span, text));
        self.condition_of(&choice.condition, instead, env)
    }

    /// `select(c, a, b)`, where both branches are values alone.
    fn as_select(&self, choice: &ast::If) -> Option<String> {
        let text = |e: &ast::Expr| self.program.text(e.span);
        let only = |body: &ast::Body| match (&*body.stmts, &body.value) {
            ([], Some(value)) => Some(text(value)),
            _ => None,
        };
        let (a, b) = (only(&choice.then)?, only(choice.otherwise.as_ref()?)?);
        Some(format!("select({}, {a}, {b})", text(&choice.condition)))
    }

    fn condition_of(
        &mut self,
        e: &'a ast::Expr,
        instead: Option<(Span, String)>,
        env: &mut Env<'a>,
    ) -> Fallible<bool> {
        match self.eval(e, env)? {
            Value::Bool(b) => Ok(b),
            Value::Num(num) if Self::is_comparison(&num) => {
                let condition = self.program.text(e.span);
                let text = format!(
                    "`if` chooses while compiling, and `{condition}` depends on values that are known only later"
                );
                let general = || format!("select({condition}, a, b)");
                let select = instead
                    .as_ref()
                    .map_or_else(general, |(_, text)| text.clone());
                let mut fault =
                    fault(Class::Type, text).help(format!("`{select}` chooses element by element"));
                fault.details.edit = instead;
                self.fail(e.span, fault)
            }
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
        let taken = self.chosen(choice, span, env)?;
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
            Value::List(items) => {
                let size = match item {
                    Value::List(one) => one.n_leaves(),
                    _ => 1,
                };
                self.spend_many(span, (items.len().saturating_mul(size) / 4) as u64)?;
                let is_same = |v: &Value| number::equal(v, item) == Some(true);
                Ok(Value::Bool(items.iter().any(is_same)))
            }
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
            self.spend_comparison(a, b, span)?;
            return self
                .at(span, number::compare(relation, a, b))
                .map(Value::Bool);
        }
        let (x, y) = (
            self.num_of(a, span, env.in_equation())?,
            self.num_of(b, span, env.in_equation())?,
        );
        self.spend_sizes(&[&x, &y], span)?;
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
            if let (Arith::Div, Value::Int(x, _), Value::Int(y, _)) = (op, a.0, b.0)
                && *y > 0
                && x % y != 0
                && let Some(fault) = self.inexact((*x, a.1), (*y, b.1))
            {
                return self.fail(span, fault);
            }
            if let (Value::List(x), Value::List(y)) = (a.0, b.0) {
                self.check_list(x.n_leaves() + y.n_leaves(), span)?;
                self.spend_many(span, ITEM_STEPS * (x.len() + y.len()) as u64)?;
            }
            return self.at(span, number::arith(op, a.0, b.0));
        }
        let x = self.num_of(a.0, a.1, env.in_equation())?;
        let y = self.num_of(b.0, b.1, env.in_equation())?;
        if let (Some(p), Some(q)) = (&x.shape, &y.shape)
            && p.sizes != q.sizes
            && !p.sizes.is_empty()
            && !q.sizes.is_empty()
        {
            let fault = shapes_differ(op, p, q, b.1);
            return self.fail(a.1, fault);
        }
        self.spend_sizes(&[&x, &y], span)?;
        let num = self.at(span, scalar::binary(op, &x, &y))?;
        self.pending(num, span, env)
    }

    /// `C/heads` is not exact: what its sides are, and what C could be. None: two literals say it themselves.
    fn inexact(&self, (x, left): (i64, Span), (y, right): (i64, Span)) -> Option<Fault> {
        let (a, b) = (self.program.text(left), self.program.text(right));
        let is_literal = |text: &str, value: i64| text == value.to_string();
        let sides = [(a, x), (b, y)]
            .into_iter()
            .filter(|(text, value)| !is_literal(text, *value));
        let known: Vec<String> = sides
            .map(|(text, value)| format!("{text} is {value}"))
            .collect();
        if is_literal(a, x) {
            return None;
        }
        let whole = self.program.text(left.to(right));
        let text = format!("`{whole}` is no whole number: {}", known.join(", "));
        let near = number::multiples(x, y);
        let help = format!("{a} must be a multiple of {y}, such as {near}");
        // The library's own text is not the user's to change.
        let help = match self.program.is_standard(left) {
            true => help,
            false => format!("{help}; `{a}//{b}` rounds down"),
        };
        Some(fault(Class::Dim, text).help(help))
    }

    /// A pending expression that has grown becomes a node before it is used again.
    pub fn pending(&mut self, num: Num, span: Span, env: &Env<'a>) -> Fallible<Value> {
        if num.shape.is_some() && num.size > MAX_PENDING && !Self::is_comparison(&num) {
            return Ok(Value::Tensor(self.force_num(&num, &env.path, "", span)?));
        }
        Ok(Value::Num(Rc::new(num)))
    }
}

/// What a loop goes over: so many ints from the first, or a list.
pub enum Domain {
    Range(i64, usize),
    List(Rc<List>),
}

impl Domain {
    pub fn len(&self) -> usize {
        match self {
            Domain::Range(_, n) => *n,
            Domain::List(list) => list.len(),
        }
    }

    pub fn value(&self, at: usize) -> Value {
        match self {
            Domain::Range(first, _) => Value::int(first + at as i64),
            Domain::List(list) => list[at].clone(),
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
    let fault = fault(Class::Shape, format!("`{}` needs equal shapes", op.text()))
        .label(p.describe())
        .other(other, q.describe());
    if p.sizes.len() != q.sizes.len() {
        let help = "nothing broadcasts but numbers and `[]`: write an index equation, such as \
            `y[b, c, i, j] = x[b, c, i, j] + bias[c]`";
        return fault.help(help);
    }
    let odd: Vec<usize> = (0..p.sizes.len())
        .filter(|a| p.sizes[*a] != q.sizes[*a])
        .collect();
    let axis = |a: &usize| {
        format!(
            "axis {a} is {} and {}",
            p.axis(*a).describe(),
            q.axis(*a).describe()
        )
    };
    let axes: Vec<String> = odd.iter().map(axis).collect();
    let fault = fault.note(axes.join("; "));
    match factor(p, q, &odd) {
        Some((n, side)) => fault.help(format!(
            "the {side} is {n} times as large there: is a stride or a resize missing on one side?"
        )),
        None => fault,
    }
}

/// How many times as large one side is on all the axes that differ, and which side.
fn factor(p: &Dims, q: &Dims, odd: &[usize]) -> Option<(i64, &'static str)> {
    let (large, small, side) = if p.sizes[odd[0]] > q.sizes[odd[0]] {
        (p, q, "left side")
    } else {
        (q, p, "right side")
    };
    let n = large.sizes[odd[0]] / small.sizes[odd[0]];
    let is_it = |a: &usize| large.sizes[*a] == n * small.sizes[*a];
    (n > 1 && odd.len() > 1 && odd.iter().all(is_it)).then_some((n, side))
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
