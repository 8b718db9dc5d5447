//! Statements. A failed statement silences what depends on it: the names it would bind are marked.

use super::elab::Elab;
use super::error::{Failed, Fallible, fault};
use super::eval::restore;
use super::param::Declaration;
use super::scope::{Env, Mode};
use super::value::Value;
use crate::diag::{Class, Span};
use crate::syntax::ast::{self, StmtKind as S};
use std::rc::Rc;

impl<'a> Elab<'a, '_> {
    /// Runs a body; its value is that of its last expression or equation.
    pub fn run(
        &mut self,
        body: &'a ast::Body,
        env: &mut Env<'a>,
        result: Option<&'a ast::Type>,
    ) -> Fallible<Option<Value>> {
        let mut value = None;
        let mut failed = false;
        for (at, statement) in body.stmts.iter().enumerate() {
            let last = if at + 1 == body.stmts.len() && body.value.is_none() {
                result
            } else {
                None
            };
            match self.statement(statement, env, last) {
                Ok(v) => {
                    self.note_bound(statement, env);
                    value = v;
                }
                Err(Failed) => {
                    failed = true;
                    mark_failed(statement, env);
                }
            }
        }
        if let Some(e) = &body.value {
            value = match self.last_value(e, env, result) {
                Ok(v) => v,
                Err(Failed) => return Err(Failed),
            };
        }
        if failed { Err(Failed) } else { Ok(value) }
    }

    fn statement(
        &mut self,
        statement: &'a ast::Stmt,
        env: &mut Env<'a>,
        result: Option<&'a ast::Type>,
    ) -> Fallible<Option<Value>> {
        let span = statement.span;
        self.spend(span)?;
        match &statement.kind {
            S::Bind { names, value } => {
                let value = self.bound_value(value, &names[0].text, env)?;
                self.unpack(names, value, span, env)?;
                Ok(None)
            }
            S::Typed { name, ty, value } => {
                let value = self.bound_value(value, &name.text, env)?;
                let value = self.typed(name, ty, value, span, env)?;
                env.vars.insert(&name.text, value);
                Ok(None)
            }
            S::Equation {
                name: target,
                index: indices,
                value,
            } => {
                let declared = match result.map(|t| &t.kind) {
                    Some(ast::TypeKind::Tensor { axes, .. }) => {
                        Some(Rc::new(self.dims(axes, env)?))
                    }
                    _ => None,
                };
                let node = self.equation(target, indices, value, declared, span, env)?;
                env.vars.insert(&target.text, Value::Tensor(node));
                Ok(Some(Value::Tensor(node)))
            }
            S::Param {
                name,
                label,
                ty,
                init,
            } => {
                let declaration = Declaration {
                    name,
                    label,
                    ty,
                    init: init.as_ref(),
                    is_state: false,
                };
                self.declare(declaration, span, env).map(|_| None)
            }
            S::State {
                name,
                label,
                ty,
                init,
            } => {
                let declaration = Declaration {
                    name,
                    label,
                    ty,
                    init: Some(init),
                    is_state: true,
                };
                self.declare(declaration, span, env).map(|_| None)
            }
            S::Next { name, value } => self.next(name, value, env).map(|_| None),
            S::Data { name, ty, value } => self.data(name, ty, value, span, env).map(|_| None),
            S::Metric { name, value } => self.metric(name, value, env).map(|_| None),
            S::For {
                names,
                domain,
                body,
            } => self.for_loop(names, domain, body, span, env).map(|_| None),
            S::If(choice) => self.branch(choice, span, env, result),
        }
    }

    /// An `if` that stands last may end in the equation that takes the declared shape.
    fn last_value(
        &mut self,
        e: &'a ast::Expr,
        env: &mut Env<'a>,
        result: Option<&'a ast::Type>,
    ) -> Fallible<Option<Value>> {
        match &e.kind {
            ast::ExprKind::If(choice) if env.mode == Mode::Whole => {
                self.branch(choice, e.span, env, result)
            }
            _ => self.eval(e, env).map(Some),
        }
    }

    fn branch(
        &mut self,
        choice: &'a ast::If,
        span: Span,
        env: &mut Env<'a>,
        result: Option<&'a ast::Type>,
    ) -> Fallible<Option<Value>> {
        let taken = self.chosen(choice, span, env)?;
        let branch = if taken {
            Some(&choice.then)
        } else {
            choice.otherwise.as_ref()
        };
        self.deeper(span, |elab| match branch {
            Some(body) => elab.run(body, env, result),
            None => Ok(None),
        })
    }

    fn bound_value(
        &mut self,
        e: &'a ast::Expr,
        name: &'a str,
        env: &mut Env<'a>,
    ) -> Fallible<Value> {
        self.train.binding = Some(name);
        let value = self.eval(e, env)?;
        if env.mode == Mode::Whole {
            self.force(&value, &env.path, name, e.span)
        } else {
            Ok(value)
        }
    }

    fn typed(
        &mut self,
        name: &'a ast::Ident,
        ty: &'a ast::Type,
        value: Value,
        span: Span,
        env: &mut Env<'a>,
    ) -> Fallible<Value> {
        let ast::TypeKind::Tensor { axes, .. } = &ty.kind else {
            return self.fail(
                span,
                fault(
                    Class::Type,
                    "a typed binding gives a tensor's axes: `z: [B, C] = …`",
                ),
            );
        };
        let node = self.node_of(&value, &env.path.clone(), span)?;
        let fit = super::dims::Fit {
            what: format!("`{}`", name.text),
            axes,
            shape: self.shape_of(node),
            span,
        };
        self.match_types(&[fit], env)?;
        let dims = Rc::new(self.dims(axes, env)?);
        self.remember(node, dims);
        Ok(Value::Tensor(node))
    }

    fn for_loop(
        &mut self,
        names: &'a [ast::Ident],
        domain: &'a ast::Domain,
        body: &'a ast::Body,
        span: Span,
        env: &mut Env<'a>,
    ) -> Fallible<()> {
        let domain = self.domain(domain, env)?;
        let saved = names
            .iter()
            .map(|n| env.vars.get(n.text.as_str()).cloned())
            .collect();
        let mut result = Ok(());
        for at in 0..domain.len() {
            result = self
                .spend(span)
                .and_then(|_| self.unpack(names, domain.value(at), span, env));
            if result.is_ok() {
                result = self
                    .deeper(span, |elab| elab.run(body, env, None))
                    .map(|_| ());
            }
            if result.is_err() {
                break;
            }
        }
        restore(names, saved, env);
        result
    }
}

/// The names that a failed statement would have bound get the failed value.
fn mark_failed<'a>(statement: &'a ast::Stmt, env: &mut Env<'a>) {
    let mut mark = |name: &'a ast::Ident| {
        env.vars.insert(&name.text, Value::Failed);
    };
    match &statement.kind {
        S::Bind { names, .. } => names.iter().for_each(mark),
        S::Typed { name, .. }
        | S::Next { name, .. }
        | S::Data { name, .. }
        | S::Metric { name, .. } => mark(name),
        S::Equation { name, .. } => mark(name),
        S::Param { name, .. } | S::State { name, .. } => mark(name),
        S::For { body, .. } => body.stmts.iter().for_each(|s| mark_failed(s, env)),
        S::If(choice) => {
            let bodies = std::iter::once(&choice.then).chain(choice.otherwise.as_ref());
            bodies
                .flat_map(|b| &b.stmts)
                .for_each(|s| mark_failed(s, env));
        }
    }
}
