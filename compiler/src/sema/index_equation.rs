//! Index equations: `y[i, j in 0..n, ...s] = e` (language §5).
//!
//! Indices get their ranges, reductions their own equations over the outer indices they use, reads their bounds.

use super::elab::Elab;
use super::error::{Failed, Fallible, fault};
use super::eval::int_pair;
use super::lower;
use super::promise::Promised;
use super::scope::{Bound, Env, Mode};
use super::value::{Dims, Kind, Note, Num, Value};
use super::walk;
use crate::diag::{Class, Span};
use crate::equation::index::Ix;
use crate::equation::{Binary, Expr, Lit, Pos, Reducer};
use crate::ir::graph::NodeId;
use crate::syntax::ast::{self, ExprKind as E, IxKind as I};
use rustc_hash::FxHashSet as HashSet;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;

/// An index as written, left of `=` or after a reducer.
struct IndexDecl<'a> {
    /// `i`, or `...s`.
    key: Rc<str>,
    span: Span,
    range: Option<(&'a ast::Expr, &'a ast::Expr)>,
}

/// The range of an index: its extents (several for a pack), and where it starts.
#[derive(Clone)]
struct Range {
    low: i64,
    extents: Vec<(i64, Note)>,
}

type IndexExtents<'a> = BTreeMap<Cow<'a, str>, Vec<(i64, Note)>>;

impl<'a> Elab<'a, '_> {
    /// Elaborates an equation. `declared`: the result's shape, if this is the body's value.
    pub fn equation(
        &mut self,
        target: &'a ast::Ident,
        items: &'a [ast::Ix],
        body: &'a ast::Expr,
        declared: Option<Rc<Dims>>,
        span: Span,
        env: &mut Env<'a>,
    ) -> Fallible<NodeId> {
        if env.mode != Mode::Whole {
            return self.fail(span, fault(Class::Type, "an equation inside an equation"));
        }
        let outer_extents = std::mem::take(&mut self.extents);
        let outer_names = std::mem::take(&mut self.index_names);
        let outer_indices = std::mem::take(&mut env.indices);
        let result = self.equation_in(target, items, body, declared, span, env);
        env.mode = Mode::Whole;
        env.indices = outer_indices;
        self.extents = outer_extents;
        self.index_names = outer_names;
        result
    }

    fn equation_in(
        &mut self,
        target: &'a ast::Ident,
        items: &'a [ast::Ix],
        body: &'a ast::Expr,
        declared: Option<Rc<Dims>>,
        span: Span,
        env: &mut Env<'a>,
    ) -> Fallible<NodeId> {
        let written = self.written(items, env)?;
        let ranges = self.ranges(&written, body, declared, env)?;
        let mut shape = vec![];
        for (index, range) in written.iter().zip(&ranges) {
            if range.low != 0 {
                return self.fail(
                    index.span,
                    fault(Class::Range, "left of `=` an index starts at 0"),
                );
            }
            self.bind_index(index, range, env);
            shape.extend(range.extents.iter().cloned());
        }
        let dims = Rc::new(Dims::from_pairs(&shape));
        self.check_size(target.span, &target.text, &dims.sizes)?;
        env.mode = Mode::Equation;
        let free: Vec<usize> = (0..shape.len()).collect();
        if let E::Reduce {
            reducer,
            index,
            body: inner,
        } = &body.kind
        {
            let (reducer, reduced, num) = self.reduction(*reducer, index, inner, body.span, env)?;
            let kind = num.kind;
            return self.finish(
                &num,
                reducer,
                &free,
                &reduced,
                dims,
                kind,
                &target.text,
                span,
                env,
            );
        }
        let value = self.eval(body, env)?;
        let num = self.num_of(&value, body.span, true)?;
        let kind = num.kind;
        self.finish(
            &num,
            Reducer::Map,
            &free,
            &[],
            dims,
            kind,
            &target.text,
            span,
            env,
        )
    }

    #[allow(clippy::too_many_arguments)]
    fn finish(
        &mut self,
        num: &Num,
        reducer: Reducer,
        free: &[usize],
        reduced: &[usize],
        dims: Rc<Dims>,
        kind: Kind,
        name: &str,
        span: Span,
        env: &Env<'a>,
    ) -> Fallible<NodeId> {
        let Some(body) = num.expr() else {
            let text = "a comparison is no tensor; `select(c, a, b)` chooses by element";
            return self.fail(span, fault(Class::Type, text));
        };
        let (equation, operands) = lower::equation(body, reducer, free, reduced, &self.extents);
        let origin = self.origin(&env.path, name, span);
        if self.promised.is_none() {
            return self.emit(equation, operands, dims, kind, origin);
        }
        let (written, read, out) = (equation.clone(), operands.clone(), dims.sizes.clone());
        let result = self.emit(equation, operands, dims, kind, origin)?;
        if let Some(promised) = &mut self.promised {
            let names = free
                .iter()
                .chain(reduced)
                .map(|v| self.index_names[*v].to_string())
                .collect();
            let shapes = read.iter().map(|o| self.b.shape(*o).to_vec()).collect();
            promised.push(Promised {
                equation: written,
                operands: read,
                result,
                shapes,
                out,
                names,
            });
        }
        Ok(result)
    }

    fn written(&mut self, items: &'a [ast::Ix], env: &Env<'a>) -> Fallible<Vec<IndexDecl<'a>>> {
        let mut all: Vec<IndexDecl<'a>> = vec![];
        for item in items {
            let span = item.span;
            let (key, range): (Rc<str>, _) = match &item.kind {
                I::Pack(name) => (format!("...{}", name.text).into(), None),
                I::Range { name, low, high } => {
                    (name.text.as_str().into(), Some((&**low, &**high)))
                }
                I::At(ast::Expr {
                    kind: E::Name(name),
                    ..
                }) => (name.as_str().into(), None),
                I::At(_) | I::Slice { .. } => {
                    let text = "here stand names of indices: `i`, `i in 0..n` or `...s`";
                    return self.fail(span, fault(Class::Syntax, text));
                }
            };
            if all.iter().any(|w| w.key == key) {
                return self.fail(
                    span,
                    fault(Class::Name, format!("index `{key}` stands here twice")),
                );
            }
            if env.indices.contains_key(&key) {
                return self.fail(
                    span,
                    fault(
                        Class::Name,
                        format!("index `{key}` is already bound in this equation"),
                    ),
                );
            }
            let number = match env.vars.get(&*key) {
                Some(Value::Tensor(node)) => self.b.shape(*node).is_empty(),
                Some(Value::Failed | Value::Layer(_) | Value::List(_)) | None => false,
                Some(_) => true,
            };
            if number {
                return self.fail(
                    span,
                    fault(
                        Class::Name,
                        format!("index `{key}` is also a number here; rename it"),
                    ),
                );
            }
            all.push(IndexDecl { key, span, range });
        }
        Ok(all)
    }

    fn ranges(
        &mut self,
        written: &[IndexDecl<'a>],
        body: &'a ast::Expr,
        declared: Option<Rc<Dims>>,
        env: &mut Env<'a>,
    ) -> Fallible<Vec<Range>> {
        let mut fixed: Vec<Option<Range>> = vec![];
        for index in written {
            fixed.push(match index.range {
                Some((low, high)) => Some(self.written_range(index, low, high, env)?),
                None => None,
            });
        }
        let names: HashSet<&str> = written
            .iter()
            .zip(&fixed)
            .filter(|(_, f)| f.is_none())
            .map(|(w, _)| &*w.key)
            .collect();
        let mut found = IndexExtents::new();
        if !names.is_empty() {
            self.infer(body, &names, &mut vec![], &mut found, env)?;
        }
        if let Some(declared) = declared {
            self.take_declared(written, &fixed, &declared, &mut found)?;
        }
        let mut ranges = vec![];
        for (index, range) in written.iter().zip(fixed) {
            ranges.push(match (range, found.get(&*index.key)) {
                (Some(range), _) => range,
                (None, Some(extents)) => Range {
                    low: 0,
                    extents: extents.clone(),
                },
                (None, None) => {
                    let text = format!("`{}` has no range", index.key);
                    let help = format!("write `{} in 0..n`", index.key);
                    return self.fail(index.span, fault(Class::Range, text).help(help));
                }
            });
        }
        Ok(ranges)
    }

    fn written_range(
        &mut self,
        index: &IndexDecl<'a>,
        low: &'a ast::Expr,
        high: &'a ast::Expr,
        env: &mut Env<'a>,
    ) -> Fallible<Range> {
        let mode = std::mem::replace(&mut env.mode, Mode::Whole);
        let ends = self
            .int(low, env)
            .and_then(|l| Ok((l, self.int(high, env)?)));
        env.mode = mode;
        let ((low, low_note), (high, note)) = ends?;
        if high <= low {
            return self.fail(
                index.span,
                fault(
                    Class::Range,
                    format!("`{}` has the empty range {low}..{high}", index.key),
                ),
            );
        }
        let extent = super::number::arith(
            super::scalar::Arith::Sub,
            &Value::Int(high, note),
            &Value::Int(low, low_note),
        );
        let extent = int_pair(self.at(index.span, extent)?);
        Ok(Range {
            low,
            extents: vec![extent],
        })
    }

    /// The declared result gives ranges to indices, and must agree with those that have one.
    fn take_declared(
        &mut self,
        written: &[IndexDecl<'a>],
        fixed: &[Option<Range>],
        declared: &Dims,
        found: &mut IndexExtents<'a>,
    ) -> Fallible<()> {
        let packs = written.iter().filter(|w| w.key.starts_with("...")).count();
        let single = written.len() - packs;
        let rank = declared.sizes.len();
        if packs > 1 || rank < single || (packs == 0 && rank != single) {
            let span = written.first().map(|w| w.span);
            let text = format!(
                "{single} indices, but the result is declared {}",
                declared.describe()
            );
            return match span {
                Some(span) => self.fail(span, fault(Class::Shape, text)),
                None => Ok(()),
            };
        }
        let mut next = 0;
        for (index, range) in written.iter().zip(fixed) {
            let count = if index.key.starts_with("...") {
                rank - single
            } else {
                1
            };
            let axes: Vec<(i64, Note)> = (next..next + count)
                .map(|a| (declared.sizes[a], declared.notes[a].clone()))
                .collect();
            next += count;
            let known = range
                .as_ref()
                .map(|r| &r.extents)
                .or_else(|| found.get(&*index.key));
            if let Some(known) = known
                && known.iter().map(|k| k.0).ne(axes.iter().map(|a| a.0))
            {
                let (runs, wanted) = (Dims::from_pairs(known), Dims::from_pairs(&axes));
                let text = format!(
                    "index `{}` runs over {}, the result is declared {}",
                    index.key,
                    runs.describe(),
                    wanted.describe()
                );
                let part = match axes.as_slice() {
                    [(size, note)] if range.is_none() => {
                        let size = note.as_ref().map_or(size.to_string(), |n| n.to_string());
                        Some(format!(
                            "for a part of an axis, write the range: `{} in 0..{size}`",
                            index.key
                        ))
                    }
                    _ => None,
                };
                let fault = fault(Class::Shape, text).maybe_help(part);
                return self.fail(index.span, fault);
            }
            if known.is_none() {
                found.insert(index.key.to_string().into(), axes);
            }
        }
        Ok(())
    }

    fn bind_index(
        &mut self,
        index: &IndexDecl<'a>,
        range: &Range,
        env: &mut Env<'a>,
    ) -> Vec<usize> {
        let first = self.extents.len();
        let ids: Vec<usize> = (first..first + range.extents.len()).collect();
        self.extents.extend(range.extents.iter().map(|e| e.0));
        self.index_names.truncate(first);
        self.index_names
            .extend(ids.iter().map(|_| index.key.clone()));
        let bound = if index.key.starts_with("...") {
            Bound::Pack(ids.clone())
        } else {
            Bound::One {
                ix: Ix::var(ids[0]).offset(range.low),
                lo: range.low,
                hi: range.low + range.extents[0].0 - 1,
            }
        };
        env.indices.insert(index.key.clone(), bound);
        ids
    }

    /// The ranges that bare reads (`x[i]`) give to indices; all must agree. `hidden`: rebound by inner reductions.
    fn infer(
        &mut self,
        e: &'a ast::Expr,
        names: &HashSet<&str>,
        hidden: &mut Vec<Cow<'a, str>>,
        found: &mut IndexExtents<'a>,
        env: &mut Env<'a>,
    ) -> Fallible<()> {
        self.spend(e.span)?;
        match &e.kind {
            E::Index {
                base,
                index,
                otherwise,
            } => {
                if let E::Name(name) = &base.kind {
                    match env.vars.get(name.as_str()) {
                        Some(Value::Tensor(node)) => {
                            let node = *node;
                            self.infer_read(node, name, index, e.span, names, hidden, found)?;
                        }
                        Some(Value::Failed) => return Err(Failed),
                        _ => {}
                    }
                }
                for item in index {
                    if let I::At(x) = &item.kind {
                        self.infer(x, names, hidden, found, env)?;
                    }
                }
                match otherwise {
                    Some(x) => self.infer(x, names, hidden, found, env),
                    None => Ok(()),
                }
            }
            E::Reduce { index, body, .. } => {
                let depth = hidden.len();
                for item in index {
                    match &item.kind {
                        I::Pack(name) => hidden.push(format!("...{}", name.text).into()),
                        I::Range { name, .. } => hidden.push(name.text.as_str().into()),
                        I::At(ast::Expr {
                            kind: E::Name(name),
                            ..
                        }) => hidden.push(name.as_str().into()),
                        _ => {}
                    }
                }
                let result = self.infer(body, names, hidden, found, env);
                hidden.truncate(depth);
                result
            }
            E::If(choice) => self.infer_if(choice, names, hidden, found, env),
            _ => {
                let mut result = Ok(());
                walk::each_child(e, &mut |x| {
                    if result.is_ok() {
                        result = self.infer(x, names, hidden, found, env);
                    }
                });
                result
            }
        }
    }

    fn infer_if(
        &mut self,
        choice: &'a ast::If,
        names: &HashSet<&str>,
        hidden: &mut Vec<Cow<'a, str>>,
        found: &mut IndexExtents<'a>,
        env: &mut Env<'a>,
    ) -> Fallible<()> {
        let mut index = None;
        walk::each_name(&choice.condition, &mut |name, span| {
            if names.contains(name) || hidden.iter().any(|h| h == name) {
                index.get_or_insert((name, span));
            }
        });
        if let Some((name, span)) = index {
            let text = format!("`if` chooses at compile time, and `{name}` is an index");
            let help = "`select(c, a, b)` chooses by element";
            return self.fail(span, fault(Class::Type, text).help(help));
        }
        let mode = std::mem::replace(&mut env.mode, Mode::Whole);
        let taken = self.condition(&choice.condition, env);
        env.mode = mode;
        let Some(body) = (if taken? {
            Some(&choice.then)
        } else {
            choice.otherwise.as_ref()
        }) else {
            return Ok(());
        };
        match (&body.value, body.stmts.last().map(|s| &s.kind)) {
            (Some(x), _) => self.infer(x, names, hidden, found, env),
            (None, Some(ast::StmtKind::If(inner))) => {
                self.infer_if(inner, names, hidden, found, env)
            }
            (None, _) => Ok(()),
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn infer_read(
        &mut self,
        node: NodeId,
        tensor: &str,
        items: &'a [ast::Ix],
        span: Span,
        names: &HashSet<&str>,
        hidden: &[Cow<'a, str>],
        found: &mut IndexExtents<'a>,
    ) -> Fallible<()> {
        let shape = self.shape_of(node);
        let rank = shape.sizes.len();
        let packs = items
            .iter()
            .filter(|i| matches!(i.kind, I::Pack(_)))
            .count();
        let single = items.len() - packs;
        if packs > 1 || rank < single || (packs == 0 && rank != single) {
            let text = format!("`{tensor}` has {rank} axes and is read with {single}");
            return self.fail(span, fault(Class::Shape, text).label(shape.describe()));
        }
        let mut next = 0;
        for item in items {
            let (key, count): (Option<Cow<'a, str>>, _) = match &item.kind {
                I::Pack(name) => (Some(format!("...{}", name.text).into()), rank - single),
                I::At(ast::Expr {
                    kind: E::Name(name),
                    ..
                }) => (Some(name.as_str().into()), 1),
                _ => (None, 1),
            };
            let (start, end) = (next, next + count);
            next = end;
            let Some(key) = key.filter(|k| names.contains(&**k) && !hidden.contains(k)) else {
                continue;
            };
            let axes: Vec<(i64, Note)> = (start..end)
                .map(|a| (shape.sizes[a], shape.notes[a].clone()))
                .collect();
            match found.get(&key) {
                Some(known) if known.iter().map(|k| k.0).ne(axes.iter().map(|a| a.0)) => {
                    let (first, second) = (Dims::from_pairs(known), Dims::from_pairs(&axes));
                    let text = format!(
                        "`{key}` reads axes of {} and {}",
                        first.describe(),
                        second.describe()
                    );
                    let help = format!("write its range: `{key} in 0..n`");
                    return self.fail(item.span, fault(Class::Range, text).help(help));
                }
                Some(_) => {}
                None => {
                    found.insert(key, axes);
                }
            }
        }
        Ok(())
    }

    /// The indices, reducer and body of a reduction, its indices no longer bound by name.
    fn reduction(
        &mut self,
        reducer: ast::ReduceOp,
        index: &'a [ast::Ix],
        body: &'a ast::Expr,
        span: Span,
        env: &mut Env<'a>,
    ) -> Fallible<(Reducer, Vec<usize>, Rc<Num>)> {
        let written = self.written(index, env)?;
        let ranges = self.ranges(&written, body, None, env)?;
        let mut ids = vec![];
        for (index, range) in written.iter().zip(&ranges) {
            ids.extend(self.bind_index(index, range, env));
        }
        let total = ids
            .iter()
            .try_fold(1i64, |n, id| n.checked_mul(self.extents[*id]));
        let value = self
            .eval(body, env)
            .and_then(|v| self.num_of(&v, body.span, true));
        for index in &written {
            env.indices.remove(&index.key);
        }
        let num = value?;
        if Self::is_comparison(&num) {
            return self.fail(
                span,
                fault(
                    Class::Type,
                    "a comparison is no number; `select(c, 1, 0)` makes one",
                ),
            );
        }
        let Some(total) = total.filter(|n| *n < 1 << 40) else {
            return self.fail(
                span,
                fault(Class::Range, "this reduces over too many elements"),
            );
        };
        Ok(match reducer {
            ast::ReduceOp::Mean => {
                let expr = num.expr().expect("no comparison");
                let share = Expr::Lit(Lit::new(1.0 / total as f64));
                let scaled = Expr::Binary(Binary::Mul, Box::new(expr), Box::new(share));
                (
                    Reducer::Sum,
                    ids,
                    Rc::new(Num::unbounded(Kind::Float, scaled, num.size + 1)),
                )
            }
            ast::ReduceOp::Sum => (Reducer::Sum, ids, num),
            ast::ReduceOp::Max => (Reducer::Max, ids, num),
            ast::ReduceOp::Min => (Reducer::Min, ids, num),
            ast::ReduceOp::Lse => (
                Reducer::Lse,
                ids,
                Rc::new(Num {
                    kind: Kind::Float,
                    ..Num::clone(&num)
                }),
            ),
            ast::ReduceOp::Var => (
                Reducer::Var,
                ids,
                Rc::new(Num {
                    kind: Kind::Float,
                    ..Num::clone(&num)
                }),
            ),
        })
    }

    /// A reduction inside an expression: an equation of its own over the outer indices it uses.
    pub fn reduce(
        &mut self,
        reducer: ast::ReduceOp,
        index: &'a [ast::Ix],
        body: &'a ast::Expr,
        span: Span,
        env: &mut Env<'a>,
    ) -> Fallible<Value> {
        match env.mode {
            Mode::Equation => {}
            Mode::Whole => {
                let fault = fault(Class::Syntax, "a reduction belongs in an equation")
                    .help("`y[] = sum[i] x[i]`");
                return self.fail(span, fault);
            }
            Mode::Scalar => {
                let text = "only elementwise ops apply inside an equation; this one reduces";
                return self.fail(span, fault(Class::Type, text));
            }
        }
        let (reducer, reduced, num) = self.reduction(reducer, index, body, span, env)?;
        let (lo, hi) = match reducer {
            Reducer::Max | Reducer::Min => (num.lo, num.hi),
            _ => (f64::NEG_INFINITY, f64::INFINITY),
        };
        let read = self.hoist(&num, reducer, &reduced, "", span, env)?;
        Ok(Value::Num(Rc::new(Num { lo, hi, ..read })))
    }

    /// Makes `num`, reduced over `reduced`, a tensor over the other indices it uses, and reads it there.
    pub fn hoist(
        &mut self,
        num: &Num,
        reducer: Reducer,
        reduced: &[usize],
        name: &str,
        span: Span,
        env: &Env<'a>,
    ) -> Fallible<Num> {
        let mut used = vec![];
        if let Some(expr) = num.expr() {
            lower::each_var(&expr, &mut |v| {
                if !reduced.contains(&v) && !used.contains(&v) {
                    used.push(v);
                }
            });
        }
        used.sort_unstable();
        let dims = Rc::new(Dims::plain(used.iter().map(|v| self.extents[*v]).collect()));
        let node = self.finish(
            num, reducer, &used, reduced, dims, num.kind, name, span, env,
        )?;
        let at = used.into_iter().map(|v| Pos::Ix(Ix::var(v))).collect();
        Ok(self.read_of(node, at, None))
    }
}
