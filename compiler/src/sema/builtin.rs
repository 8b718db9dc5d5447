//! The builtins of the language: elementwise functions, shapes, lists, constants and random numbers.

use super::arguments::count;
use super::call::Argument;
use super::elab::Elab;
use super::error::{Failed, Fallible, fault, suggest};
use super::eval::is_fixed;
use super::limits::{CALL_STEPS, ITEM_STEPS};
use super::number;
use super::scalar;
use super::scope::{Env, Mode};
use super::tensor;
use super::value::{Dims, Kind, List, Value};
use crate::diag::{Class, Span};
use crate::equation::index::Ix;
use crate::equation::{Binary, Equation, Expr, Lit, Pos, Reducer, Unary};
use crate::ir::graph::NodeId;
use std::rc::Rc;
use std::sync::LazyLock;
use vsr_tile::scalar::DEFINED;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Builtin {
    Unary(Unary),
    Log2,
    Select,
    Clamp,
    /// Of two numbers: an extreme, or a function that is called by its name.
    Binary(Binary),
    /// Functions of one number, one behind the other.
    Chain(&'static [Unary]),
    Reshape,
    Transpose,
    Concat,
    Stack,
    Split,
    Shape,
    Full,
    Random {
        normal: bool,
    },
    Len,
    Zip,
    Tune,
}

use Builtin as B;

/// Name, what it is, and its arguments in order.
type Row = (&'static str, Builtin, &'static [&'static str]);

/// The functions of numbers, and what else there is.
pub static BUILTINS: LazyLock<Vec<Row>> = LazyLock::new(|| {
    let unary = Unary::ALL
        .iter()
        .map(|f| (f.name(), B::Unary(*f), f.facts().args));
    let chains = DEFINED.iter().map(|d| (d.0, B::Chain(d.1), &["x"][..]));
    let binary = Binary::ALL
        .iter()
        .map(|f| (f.name(), B::Binary(*f), f.facts().args));
    let called = unary
        .chain(chains)
        .chain(binary)
        .filter(|row| !row.2.is_empty());
    called.chain(OTHERS.iter().copied()).collect()
});

const OTHERS: &[Row] = &[
    ("log2", B::Log2, &["x"]),
    ("clamp", B::Clamp, &["x", "lo", "hi"]),
    ("select", B::Select, &["c", "a", "b"]),
    ("reshape", B::Reshape, &["x", "dims"]),
    ("transpose", B::Transpose, &["x", "a", "b"]),
    ("concat", B::Concat, &["xs", "axis"]),
    ("stack", B::Stack, &["xs", "axis"]),
    ("split", B::Split, &["x", "sizes", "axis"]),
    ("shape", B::Shape, &["x"]),
    ("full", B::Full, &["dims", "v"]),
    ("rand", B::Random { normal: false }, &["dims"]),
    ("randn", B::Random { normal: true }, &["dims"]),
    ("len", B::Len, &["xs"]),
    ("zip", B::Zip, &[]),
    ("tune", B::Tune, &["x", "lo", "hi"]),
];

impl Builtin {
    pub fn named(name: &str) -> Option<Builtin> {
        BUILTINS.iter().find(|b| b.0 == name).map(|b| b.1)
    }
}

type Slot = (Value, Span);

impl<'a> Elab<'a, '_> {
    pub fn builtin(
        &mut self,
        builtin: Builtin,
        name: &str,
        given: Vec<Argument<'a>>,
        span: Span,
        env: &mut Env<'a>,
    ) -> Fallible<Value> {
        if builtin == B::Zip {
            return self.zip(given, span);
        }
        let args = self.slots(name, given, span)?;
        if args.iter().any(|a| matches!(a.0, Value::Failed)) {
            return Err(Failed);
        }
        match (builtin, args.as_slice()) {
            (B::Unary(op), [x]) => self.unary_call(op, x, span, env),
            (B::Log2, [x]) if is_fixed(&x.0) => self.at(span, number::log2(&x.0)),
            (B::Log2, [x]) => {
                let num = self.num_of(&x.0, x.1, env.in_equation())?;
                let num = self.at(span, scalar::log2(&num))?;
                self.pending(num, span, env)
            }
            (B::Select, [c, a, b]) => self.select(c, a, b, span, env),
            (B::Chain(functions), [x]) => functions.iter().try_fold(x.0.clone(), |value, op| {
                self.unary_call(*op, &(value, x.1), span, env)
            }),
            (B::Binary(op @ (Binary::Min | Binary::Max)), [a, b]) => {
                self.extreme(op, a, b, span, env)
            }
            (B::Binary(op), [a, b]) => self.binary_call(op, a, b, span, env),
            (B::Clamp, [x, lo, hi]) => self.clamp(x, lo, hi, span, env),
            (B::Len, [xs]) => Ok(Value::int(self.items(xs)?.len() as i64)),
            (B::Tune, [x, lo, hi]) => self.tune(x, lo, hi, span),
            _ if env.mode == Mode::Scalar => {
                let text = format!("`{name}` takes whole tensors, not numbers of an equation");
                self.fail(span, fault(Class::Type, text))
            }
            (B::Shape, [x]) => {
                let shape = match &x.0 {
                    Value::Num(num) => num.shape.clone().unwrap_or_default(),
                    other => {
                        let node = self.node_of(other, &env.path.clone(), x.1)?;
                        self.shape_of(node)
                    }
                };
                Ok(Value::list(
                    (0..shape.sizes.len()).map(|a| shape.axis(a)).collect(),
                ))
            }
            (B::Reshape, [x, dims]) => self.reshape(x, dims, span, env),
            (B::Transpose, [x, a, b]) => self.transpose(x, a, b, span, env),
            (B::Concat, [xs, axis]) => self.concat(xs, axis, span, env),
            (B::Stack, [xs, axis]) => self.stack(xs, axis, span, env),
            (B::Split, [x, sizes, axis]) => self.split(x, sizes, axis, span, env),
            (B::Full, [dims, v]) => self.full(dims, v, span, env),
            (B::Random { normal }, [dims]) => self.random(normal, dims, span, env),
            _ => Err(Failed),
        }
    }

    /// Arguments in order: positional, then by name; all are needed.
    fn slots(&mut self, name: &str, given: Vec<Argument<'a>>, span: Span) -> Fallible<Vec<Slot>> {
        let names = BUILTINS
            .iter()
            .find(|b| b.0 == name)
            .map_or(&[] as &[&str], |b| b.2);
        let mut slots: Vec<Option<Slot>> = vec![None; names.len()];
        let mut next = 0;
        for g in given {
            let at = match g.name {
                None => {
                    next += 1;
                    next - 1
                }
                Some(word) => match names.iter().position(|n| *n == word.text) {
                    Some(at) => at,
                    None => {
                        let help = suggest(&word.text, names.iter().copied());
                        let text = format!("`{name}` has no argument `{}`", word.text);
                        return self.fail(word.span, fault(Class::Param, text).maybe_help(help));
                    }
                },
            };
            if at >= names.len() {
                let text = format!(
                    "`{name}` takes {}, got more",
                    count(names.len(), "argument")
                );
                return self.fail(g.span, fault(Class::Param, text));
            }
            if slots[at].replace((g.value, g.span)).is_some() {
                let text = format!("`{}` of `{name}` is given twice", names[at]);
                return self.fail(g.span, fault(Class::Param, text));
            }
        }
        if let Some(missing) = slots.iter().position(Option::is_none) {
            let text = format!("`{name}` needs `{}`", names[missing]);
            let usage = format!("`{name}({})`", names.join(", "));
            return self.fail(span, fault(Class::Param, text).help(usage));
        }
        Ok(slots.into_iter().flatten().collect())
    }

    fn unary_call(&mut self, op: Unary, x: &Slot, span: Span, env: &Env<'a>) -> Fallible<Value> {
        if is_fixed(&x.0) {
            return self.at(span, number::unary(op, &x.0));
        }
        let num = self.num_of(&x.0, x.1, env.in_equation())?;
        self.spend_sizes(&[&num], span)?;
        let num = self.at(span, scalar::unary(op, &num))?;
        self.pending(num, span, env)
    }

    fn binary_call(
        &mut self,
        op: Binary,
        a: &Slot,
        b: &Slot,
        span: Span,
        env: &Env<'a>,
    ) -> Fallible<Value> {
        if is_fixed(&a.0) && is_fixed(&b.0) {
            return self.at(span, number::call(op, &a.0, &b.0));
        }
        let eq = env.in_equation();
        let (x, y) = (self.num_of(&a.0, a.1, eq)?, self.num_of(&b.0, b.1, eq)?);
        self.spend_sizes(&[&x, &y], span)?;
        let num = self.at(span, scalar::call(op, &x, &y))?;
        self.pending(num, span, env)
    }

    fn select(
        &mut self,
        c: &Slot,
        a: &Slot,
        b: &Slot,
        span: Span,
        env: &Env<'a>,
    ) -> Fallible<Value> {
        if let Value::Bool(chosen) = c.0 {
            return Ok(if chosen { a.0.clone() } else { b.0.clone() });
        }
        let eq = env.in_equation();
        let (c, a, b) = (
            self.num_of(&c.0, c.1, eq)?,
            self.num_of(&a.0, a.1, eq)?,
            self.num_of(&b.0, b.1, eq)?,
        );
        self.spend_sizes(&[&c, &a, &b], span)?;
        let num = self.at(span, scalar::select(&c, &a, &b))?;
        self.pending(num, span, env)
    }

    fn extreme(
        &mut self,
        op: Binary,
        a: &Slot,
        b: &Slot,
        span: Span,
        env: &Env<'a>,
    ) -> Fallible<Value> {
        if is_fixed(&a.0) && is_fixed(&b.0) {
            let relation = if op == Binary::Max {
                crate::equation::Relation::Ge
            } else {
                crate::equation::Relation::Le
            };
            let first = self.at(span, number::compare(relation, &a.0, &b.0))?;
            return Ok(if first { a.0.clone() } else { b.0.clone() });
        }
        let eq = env.in_equation();
        let (x, y) = (self.num_of(&a.0, a.1, eq)?, self.num_of(&b.0, b.1, eq)?);
        self.spend_sizes(&[&x, &y], span)?;
        let num = self.at(span, scalar::extreme(op, &x, &y))?;
        self.pending(num, span, env)
    }

    fn clamp(
        &mut self,
        x: &Slot,
        lo: &Slot,
        hi: &Slot,
        span: Span,
        env: &Env<'a>,
    ) -> Fallible<Value> {
        if [x, lo, hi].iter().all(|s| is_fixed(&s.0)) {
            let raised = self.extreme(Binary::Max, x, lo, span, env)?;
            return self.extreme(Binary::Min, &(raised, x.1), hi, span, env);
        }
        let eq = env.in_equation();
        let (x, lo, hi) = (
            self.num_of(&x.0, x.1, eq)?,
            self.num_of(&lo.0, lo.1, eq)?,
            self.num_of(&hi.0, hi.1, eq)?,
        );
        self.spend_sizes(&[&x, &lo, &hi], span)?;
        let num = self.at(span, scalar::clamp(&x, &lo, &hi))?;
        self.pending(num, span, env)
    }

    fn items(&mut self, xs: &Slot) -> Fallible<Rc<List>> {
        match &xs.0 {
            Value::List(items) => Ok(items.clone()),
            other => {
                let text = format!("a list is needed here, got {}", other.describe());
                self.fail(xs.1, fault(Class::Type, text))
            }
        }
    }

    fn zip(&mut self, given: Vec<Argument<'a>>, span: Span) -> Fallible<Value> {
        let mut lists = vec![];
        for g in &given {
            lists.push(self.items(&(g.value.clone(), g.span))?);
        }
        let lengths: Vec<usize> = lists.iter().map(|l| l.len()).collect();
        if lengths.windows(2).any(|w| w[0] != w[1]) {
            return self.fail(
                span,
                fault(
                    Class::Type,
                    format!("`zip` needs lists of one length, got {lengths:?}"),
                ),
            );
        }
        let n_rows = lengths.first().copied().unwrap_or(0);
        let n_items = n_rows.saturating_mul(lists.len());
        self.check_list(n_items, span)?;
        self.spend_many(span, ITEM_STEPS * (n_rows + n_items) as u64)?;
        let rows = (0..n_rows)
            .map(|at| Value::list(lists.iter().map(|l| l[at].clone()).collect()))
            .collect();
        self.list(rows, span)
    }

    /// `tune(x, lo, hi)` is x; the range is for the runtime.
    fn tune(&mut self, x: &Slot, lo: &Slot, hi: &Slot, span: Span) -> Fallible<Value> {
        match (x.0.as_number(), lo.0.as_number(), hi.0.as_number()) {
            (Some(_), Some(low), Some(high)) if low >= high => {
                let text = format!("`tune` searches from {low} to {high}, which is nothing");
                self.fail(span, fault(Class::Param, text))
            }
            (Some(_), Some(low), Some(high)) => {
                if let Some(name) = self.train.binding
                    && !self.train.tunable.iter().any(|t| t.0 == name)
                {
                    self.train.tunable.push((name.to_string(), low, high));
                }
                Ok(x.0.clone())
            }
            _ => self.fail(
                span,
                fault(Class::Param, "`tune` takes three compile-time numbers"),
            ),
        }
    }

    /// The dims of a tensor.
    fn sizes(&mut self, dims: &Slot) -> Fallible<Rc<Dims>> {
        let sizes = self.extents(dims)?;
        self.check_size(dims.1, "", &sizes.sizes)?;
        Ok(Rc::new(sizes))
    }

    fn extents(&mut self, dims: &Slot) -> Fallible<Dims> {
        let items = self.items(dims)?;
        let mut pairs = vec![];
        for item in items.iter() {
            match item {
                Value::Int(size, note) => pairs.push((*size, note.clone())),
                other => {
                    let text = format!("a dim must be an int, got {}", other.describe());
                    return self.fail(dims.1, fault(Class::Dim, text));
                }
            }
        }
        Ok(Dims::from_pairs(&pairs))
    }

    fn axis(&mut self, axis: &Slot, rank: usize) -> Fallible<usize> {
        let n = rank as i64;
        match axis.0 {
            Value::Int(a, _) if (-n..n).contains(&a) => Ok(a.rem_euclid(n) as usize),
            ref other => {
                let text = format!(
                    "axis {} of a tensor with {}",
                    other.describe(),
                    count(rank, "axe").replace("1 axe", "1 axis")
                );
                let help = format!(
                    "axes count from 0 to {}, or from -1 backwards",
                    rank.max(1) - 1
                );
                self.fail(axis.1, fault(Class::Shape, text).help(help))
            }
        }
    }

    fn reshape(&mut self, x: &Slot, dims: &Slot, span: Span, env: &Env<'a>) -> Fallible<Value> {
        let node = self.node_of(&x.0, &env.path, x.1)?;
        let (from, to) = (self.shape_of(node), self.sizes(dims)?);
        if from.sizes.iter().product::<i64>() != to.sizes.iter().product::<i64>() {
            let text = format!(
                "`reshape` of {} to {} changes the number of elements",
                from.describe(),
                to.describe()
            );
            let count = |dims: &Dims| dims.sizes.iter().product::<i64>();
            let note = format!("{} elements, not {}", count(&from), count(&to));
            return self.fail(span, fault(Class::Shape, text).note(note));
        }
        if from.sizes == to.sizes {
            return Ok(Value::Tensor(node));
        }
        let equation = tensor::reshape(&from.sizes, &to.sizes);
        let origin = self.origin(&env.path, "reshape", span);
        let kind = self.kind_of(node);
        Ok(Value::Tensor(self.emit(
            equation,
            vec![node],
            to,
            kind,
            origin,
        )?))
    }

    fn transpose(
        &mut self,
        x: &Slot,
        a: &Slot,
        b: &Slot,
        span: Span,
        env: &Env<'a>,
    ) -> Fallible<Value> {
        let node = self.node_of(&x.0, &env.path, x.1)?;
        let shape = self.shape_of(node);
        let (a, b) = (
            self.axis(a, shape.sizes.len())?,
            self.axis(b, shape.sizes.len())?,
        );
        if a == b {
            return Ok(Value::Tensor(node));
        }
        let (equation, _) = tensor::transpose(&shape.sizes, a, b);
        let mut out = Dims::clone(&shape);
        out.sizes.swap(a, b);
        out.notes.swap(a, b);
        let origin = self.origin(&env.path, "transpose", span);
        let kind = self.kind_of(node);
        Ok(Value::Tensor(self.emit(
            equation,
            vec![node],
            Rc::new(out),
            kind,
            origin,
        )?))
    }

    /// The tensors of a list, and their shapes.
    fn tensors(
        &mut self,
        xs: &Slot,
        what: &str,
        env: &Env<'a>,
    ) -> Fallible<(Vec<NodeId>, Vec<Rc<Dims>>)> {
        let items = self.items(xs)?;
        let mut nodes = vec![];
        for item in items.iter() {
            nodes.push(self.node_of(item, &env.path, xs.1)?);
        }
        if nodes.is_empty() {
            return self.fail(
                xs.1,
                fault(Class::Shape, format!("`{what}` of an empty list")),
            );
        }
        let shapes = nodes.iter().map(|n| self.shape_of(*n)).collect();
        Ok((nodes, shapes))
    }

    fn pieces(
        &mut self,
        pieces: Vec<Equation>,
        nodes: Vec<NodeId>,
        dims: Dims,
        name: &str,
        span: Span,
        env: &Env<'a>,
    ) -> Fallible<Value> {
        self.check_size(span, name, &dims.sizes)?;
        self.spend_many(span, CALL_STEPS * nodes.len() as u64)?;
        self.spend_equation(span)?;
        let whole = nodes.iter().all(|n| self.whole.contains(n));
        let origin = self.origin(&env.path, name, span);
        let node = self.b.pieces(pieces, nodes, dims.sizes.clone(), origin);
        if whole {
            self.whole.insert(node);
        }
        self.remember(node, Rc::new(dims));
        Ok(Value::Tensor(node))
    }

    fn concat(&mut self, xs: &Slot, axis: &Slot, span: Span, env: &Env<'a>) -> Fallible<Value> {
        let (nodes, shapes) = self.tensors(xs, "concat", env)?;
        let rank = shapes[0].sizes.len();
        let place = axis.1;
        let axis = self.axis(axis, rank)?;
        for shape in &shapes[1..] {
            if shape.sizes.len() != rank {
                let text = format!(
                    "`concat` needs equal ranks, got {} and {}",
                    shapes[0].describe(),
                    shape.describe()
                );
                return self.fail(span, fault(Class::Shape, text));
            }
            if let Some(odd) =
                (0..rank).find(|a| *a != axis && shape.sizes[*a] != shapes[0].sizes[*a])
            {
                let (first, second) = (shapes[0].axis(odd), shape.axis(odd));
                let text = format!(
                    "`concat` on axis {axis}: axis {odd} is {} and {}",
                    first.describe(),
                    second.describe()
                );
                let differ: Vec<usize> = (0..rank)
                    .filter(|a| shape.sizes[*a] != shapes[0].sizes[*a])
                    .collect();
                let help = match differ.as_slice() {
                    [only] => format!("all other axes are equal: did you mean `axis={only}`?"),
                    _ => format!("all axes but {axis} must be equal"),
                };
                let mut fault = fault(Class::Shape, text).help(help).note(format!(
                    "{} beside {}",
                    shapes[0].describe(),
                    shape.describe()
                ));
                if let ([only], Ok(_)) = (&*differ, self.program.text(place).parse::<i64>()) {
                    fault = fault.edit(place, only.to_string());
                }
                return self.fail(span, fault);
            }
        }
        if let [node] = nodes.as_slice() {
            return Ok(Value::Tensor(*node));
        }
        let sizes: Vec<&[i64]> = shapes.iter().map(|s| s.sizes.as_slice()).collect();
        let (pieces, out) = tensor::concat(&sizes, axis);
        let mut dims = Dims {
            sizes: out,
            notes: shapes[0].notes.clone(),
        };
        dims.notes[axis] = None;
        self.pieces(pieces, nodes, dims, "concat", span, env)
    }

    fn stack(&mut self, xs: &Slot, axis: &Slot, span: Span, env: &Env<'a>) -> Fallible<Value> {
        let (nodes, shapes) = self.tensors(xs, "stack", env)?;
        if let Some(odd) = shapes.iter().find(|s| s.sizes != shapes[0].sizes) {
            let text = format!(
                "`stack` needs equal shapes, got {} and {}",
                shapes[0].describe(),
                odd.describe()
            );
            return self.fail(span, fault(Class::Shape, text));
        }
        let axis = self.axis(axis, shapes[0].sizes.len() + 1)?;
        let (pieces, out) = tensor::stack(&shapes[0].sizes, nodes.len(), axis);
        let mut dims = Dims {
            sizes: out,
            notes: shapes[0].notes.clone(),
        };
        dims.notes.insert(axis, None);
        self.pieces(pieces, nodes, dims, "stack", span, env)
    }

    fn split(
        &mut self,
        x: &Slot,
        sizes: &Slot,
        axis: &Slot,
        span: Span,
        env: &Env<'a>,
    ) -> Fallible<Value> {
        let node = self.node_of(&x.0, &env.path, x.1)?;
        let shape = self.shape_of(node);
        let axis = self.axis(axis, shape.sizes.len())?;
        // No tensor has these dims together: each part is checked when it is cut out.
        let parts = self.extents(sizes)?;
        let sum = parts
            .sizes
            .iter()
            .try_fold(0i64, |n, part| n.checked_add(*part));
        if parts.sizes.iter().any(|part| *part < 1) || sum != Some(shape.sizes[axis]) {
            let text = format!(
                "`split` of axis {axis}, which is {}, into {:?}",
                shape.axis(axis).describe(),
                parts.sizes
            );
            return self.fail(span, fault(Class::Shape, text));
        }
        let mut low = 0;
        let mut out = vec![];
        for (size, note) in parts.sizes.iter().zip(&parts.notes) {
            let cuts: Vec<tensor::Cut> = shape
                .sizes
                .iter()
                .enumerate()
                .map(|(a, s)| match a == axis {
                    true => tensor::Cut::Range { low, extent: *size },
                    false => tensor::Cut::Range { low: 0, extent: *s },
                })
                .collect();
            low += size;
            let (equation, _) = tensor::slice(&cuts);
            let mut dims = Dims::clone(&shape);
            dims.sizes[axis] = *size;
            dims.notes[axis] = note.clone();
            let origin = self.origin(&env.path, "split", span);
            let kind = self.kind_of(node);
            out.push(Value::Tensor(self.emit(
                equation,
                vec![node],
                Rc::new(dims),
                kind,
                origin,
            )?));
        }
        Ok(Value::list(out))
    }

    /// One number everywhere: an equation without operands.
    fn full(&mut self, dims: &Slot, v: &Slot, span: Span, env: &Env<'a>) -> Fallible<Value> {
        let shape = self.sizes(dims)?;
        let Some(v) = v.0.as_number() else {
            let text = format!("`full` takes a compile-time number, got {}", v.0.describe());
            return self.fail(span, fault(Class::Type, text));
        };
        let equation = Equation {
            free: shape.sizes.clone(),
            reduced: vec![],
            reducer: Reducer::Map,
            body: Expr::Lit(Lit::new(v)),
            guards: vec![],
            write: (0..shape.sizes.len())
                .map(|a| Pos::Ix(Ix::var(a)))
                .collect(),
        };
        let origin = self.origin(&env.path, "full", span);
        Ok(Value::Tensor(self.emit(
            equation,
            vec![],
            shape,
            Kind::Float,
            origin,
        )?))
    }

    /// The calls on the way to `span`, each as the body it stands in and its offset there: what stands before a body
    /// (such as a `kernel` promise) changes nothing.
    fn places(&self, span: Span) -> Vec<(&'a str, u32)> {
        let program = self.program;
        let bodies = self.frames.iter().map(|f| {
            let d = &program.defs[f.def];
            (d.name.text.as_str(), d.body.span.start)
        });
        let bodies: Vec<(&str, u32)> = std::iter::once(("", self.root)).chain(bodies).collect();
        let calls = self.frames.iter().map(|f| f.span).chain([Some(span)]);
        let place = |((name, start), call): ((&'a str, u32), Option<Span>)| {
            (name, call.map_or(0, |c| c.start.wrapping_sub(start)))
        };
        bodies.into_iter().zip(calls).map(place).collect()
    }

    /// Keyed by the place in the source: the calls on the way here, and how often they led here before.
    fn random(&mut self, normal: bool, dims: &Slot, span: Span, env: &Env<'a>) -> Fallible<Value> {
        let shape = self.sizes(dims)?;
        self.spend_equation(span)?;
        let mut hash = blake3::Hasher::new();
        for (name, offset) in self.places(span) {
            hash.update(name.as_bytes());
            hash.update(&offset.to_le_bytes());
        }
        hash.update(env.path.as_bytes());
        let base = first_word(&hash);
        let seen = self.randoms.entry(base).or_insert(0);
        let times = *seen;
        *seen += 1;
        hash.update(&times.to_le_bytes());
        let key = first_word(&hash);
        let origin = self.origin(&env.path, if normal { "randn" } else { "rand" }, span);
        let node = self.b.random(key, normal, shape.sizes.clone(), origin);
        self.remember(node, shape);
        Ok(Value::Tensor(node))
    }
}

fn first_word(hash: &blake3::Hasher) -> u64 {
    let bytes = hash.finalize();
    let mut word = [0; 8];
    word.copy_from_slice(&bytes.as_bytes()[..8]);
    u64::from_le_bytes(word)
}
