//! The oracle: equations evaluated in f64, straight from their definition.
//!
//! Slow and plain. Works in blocks of points so that tests of some ten million points are bearable. A read outside
//! of its tensor without `outside`, at a point where every guard holds, is an internal error and panics.

use super::index::{Atom, Ix};
use super::whole::is_in_f64;
use super::{Binary, Equation, Expr, Pos, Read, Reducer, Relation, Unary};
use vsr_tile::scalar::Values;

/// Row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    pub shape: Vec<i64>,
    pub data: Vec<f64>,
}

impl Tensor {
    pub fn zeros(shape: &[i64]) -> Tensor {
        let n: i64 = shape.iter().product();
        Tensor {
            shape: shape.to_vec(),
            data: vec![0.0; n as usize],
        }
    }

    pub fn scalar(value: f64) -> Tensor {
        Tensor {
            shape: vec![],
            data: vec![value],
        }
    }
}

/// Random numbers of a run: (key, normal, counter).
pub type Random<'a> = &'a dyn Fn(u64, bool, u64) -> f64;

fn no_random(_: u64, _: bool, _: u64) -> f64 {
    panic!("a random number outside of a run")
}

/// What a run may change or see of an evaluation.
#[derive(Clone, Copy)]
pub struct Hooks<'a> {
    pub random: Random<'a>,
    /// What arithmetic makes of the exact result of an operation.
    pub round: Option<&'a dyn Fn(f64) -> f64>,
    /// What `stop` gives for these values: itself, unless a test holds them still.
    pub stop: Option<&'a dyn Fn(Vec<f64>) -> Vec<f64>>,
    /// By this share of itself, a number that is floored or compared is off: roundings may decide otherwise.
    pub tilt: f64,
}

impl<'a> Hooks<'a> {
    pub fn new(random: Random<'a>) -> Hooks<'a> {
        Hooks {
            random,
            round: None,
            stop: None,
            tilt: 0.0,
        }
    }
}

/// The tensor that disjoint pieces define; cells that nothing writes are 0.
pub fn eval(pieces: &[Equation], operands: &[&Tensor], shape: &[i64]) -> Tensor {
    eval_with(pieces, operands, shape, Hooks::new(&no_random))
}

pub fn eval_with(pieces: &[Equation], operands: &[&Tensor], shape: &[i64], hooks: Hooks) -> Tensor {
    let mut out = Output {
        tensor: Tensor::zeros(shape),
        written: vec![],
    };
    out.written = vec![false; out.tensor.data.len()];
    for piece in pieces {
        Run {
            equation: piece,
            extents: piece.extents(),
            operands,
            hooks,
            is_exact: false,
        }
        .run(&mut out);
    }
    out.tensor
}

/// Every point of the box added where it writes; points outside are dropped.
pub fn scatter(equation: &Equation, operands: &[&Tensor], shape: &[i64], hooks: Hooks) -> Tensor {
    assert!(equation.reduced.is_empty(), "a scatter reduces by writing");
    let mut out = Output {
        tensor: Tensor::zeros(shape),
        written: vec![],
    };
    Run {
        equation,
        extents: equation.extents(),
        operands,
        hooks,
        is_exact: false,
    }
    .run(&mut out);
    out.tensor
}

/// The tensor under construction. Cells that are written once only are marked; a scatter marks none.
struct Output {
    tensor: Tensor,
    written: Vec<bool>,
}

impl Output {
    /// Whether what is written is added to what is there.
    fn adds(&self) -> bool {
        self.written.is_empty()
    }

    fn put(&mut self, cell: Option<usize>, value: f64, equation: &Equation) {
        match (cell, self.adds()) {
            (Some(i), true) => self.tensor.data[i] += value,
            (None, true) => {}
            (None, false) => panic!("a write outside of {:?}: {equation:?}", self.tensor.shape),
            (Some(i), false) => {
                assert!(
                    !self.written[i],
                    "cell {i} of {:?} is written twice: {equation:?}",
                    self.tensor.shape
                );
                self.written[i] = true;
                self.tensor.data[i] = value;
            }
        }
    }
}

const BLOCK: usize = 2048;

struct Run<'a> {
    equation: &'a Equation,
    extents: Vec<i64>,
    operands: &'a [&'a Tensor],
    hooks: Hooks<'a>,
    /// In a position, which is computed in integers or in f64: without roundings.
    is_exact: bool,
}

/// A run of points in row-major order of the box: the value of each variable at each point.
struct Points {
    len: usize,
    vars: Vec<Vec<i64>>,
    /// Where every guard holds.
    inside: Vec<bool>,
}

impl Run<'_> {
    fn run(&self, out: &mut Output) {
        let total: i64 = self.extents.iter().product();
        let n_reduced: i64 = self.equation.reduced.iter().product();
        let mut sum = Running::new();
        let mut first = 0i64;
        while first < total {
            let len = BLOCK.min((total - first) as usize);
            let points = self.points(first, len);
            let values = self.expr(&self.equation.body, &points, &points.inside);
            if self.equation.reducer == Reducer::Map {
                self.store(&points, &values, out);
            } else {
                for (i, value) in values.iter().enumerate() {
                    if points.inside[i] {
                        sum.push(self.equation.reducer, *value);
                        sum.round(self.equation.reducer, |x| self.rounded(x));
                    }
                    if (first + i as i64 + 1) % n_reduced == 0 {
                        self.finish(&points, i, &mut sum, out);
                    }
                }
            }
            first += len as i64;
        }
    }

    fn points(&self, first: i64, len: usize) -> Points {
        let mut at = vec![0i64; self.extents.len()];
        let mut rest = first;
        for (v, n) in self.extents.iter().enumerate().rev() {
            at[v] = rest % n;
            rest /= n;
        }
        let mut vars = vec![Vec::with_capacity(len); at.len()];
        for _ in 0..len {
            vars.iter_mut()
                .zip(&at)
                .for_each(|(column, i)| column.push(*i));
            for v in (0..at.len()).rev() {
                at[v] += 1;
                if at[v] < self.extents[v] {
                    break;
                }
                at[v] = 0;
            }
        }
        let mut points = Points {
            len,
            vars,
            inside: vec![true; len],
        };
        for guard in &self.equation.guards {
            let index = points.index(&guard.index);
            let inside = points.inside.iter_mut().zip(index);
            inside.for_each(|(ok, i)| *ok &= (0..guard.extent).contains(&i));
        }
        points
    }

    fn store(&self, points: &Points, values: &[f64], out: &mut Output) {
        let (flat, inside) = self.flat(
            &self.equation.write,
            &out.tensor.shape,
            points,
            &points.inside,
        );
        for i in 0..points.len {
            if points.inside[i] {
                out.put(inside[i].then_some(flat[i]), values[i], self.equation);
            }
            if points.inside[i] && inside[i] && out.adds() {
                let cell = &mut out.tensor.data[flat[i]];
                *cell = self.rounded(*cell);
            }
        }
    }

    /// Where no guard holds, nothing is written.
    fn finish(&self, points: &Points, i: usize, sum: &mut Running, out: &mut Output) {
        let sum = std::mem::replace(sum, Running::new());
        if sum.n == 0.0 {
            return;
        }
        let at: Vec<i64> = points.vars.iter().map(|column| column[i]).collect();
        let mut cell = Some(0);
        for (p, n) in self.equation.write.iter().zip(&out.tensor.shape) {
            let Pos::Ix(ix) = p else {
                panic!("a reduction writes at a computed position")
            };
            let i = ix.eval(&at);
            cell = cell
                .filter(|_| (0..*n).contains(&i))
                .map(|cell| cell * *n as usize + i as usize);
        }
        let value = match self.equation.reducer {
            reducer @ (Reducer::Max | Reducer::Min) => sum.value(reducer),
            reducer => self.rounded(sum.value(reducer)),
        };
        out.put(cell, value, self.equation);
    }

    /// Flat indices into a tensor, and where they are inside of it.
    fn flat(
        &self,
        at: &[Pos],
        shape: &[i64],
        points: &Points,
        active: &[bool],
    ) -> (Vec<usize>, Vec<bool>) {
        assert_eq!(at.len(), shape.len(), "positions for {shape:?}");
        let mut flat = vec![0usize; points.len];
        let mut inside = vec![true; points.len];
        for (p, n) in at.iter().zip(shape) {
            let index: Vec<i64> = match p {
                Pos::Ix(ix) => points.index(ix),
                Pos::Computed(e) => self
                    .with(true)
                    .expr(e, points, active)
                    .iter()
                    .map(|v| vsr_tile::whole(v.floor()))
                    .collect(),
            };
            for i in 0..points.len {
                let ok = (0..*n).contains(&index[i]);
                inside[i] &= ok;
                flat[i] = flat[i] * *n as usize + if ok { index[i] as usize } else { 0 };
            }
        }
        (flat, inside)
    }

    fn read(&self, read: &Read, points: &Points, active: &[bool]) -> Vec<f64> {
        let tensor = self.operands[read.operand];
        let (flat, inside) = self.flat(&read.at, &tensor.shape, points, active);
        let outside = read.outside.map_or(0.0, |v| v.get());
        (0..points.len)
            .map(|i| match inside[i] {
                true => tensor.data[flat[i]],
                false if read.outside.is_some() || !active[i] => outside,
                // A position that values lead outside, where no value is stated.
                false if read.at.iter().any(|p| p.as_ix().is_none()) => f64::NAN,
                false => panic!(
                    "operand {} of {:?} is read outside in {:?}",
                    read.operand, tensor.shape, self.equation
                ),
            })
            .collect()
    }

    /// Values at all points; only those of active points matter.
    fn expr(&self, e: &Expr, points: &Points, active: &[bool]) -> Vec<f64> {
        if self.is_exact && is_in_f32(e) {
            return self.with(false).expr(e, points, active);
        }
        match e {
            Expr::Lit(lit) if is_f32(lit.get()) => vec![lit.get(); points.len],
            Expr::Lit(lit) => vec![self.rounded(lit.get()); points.len],
            Expr::Index(ix) => points.index(ix).into_iter().map(|i| i as f64).collect(),
            Expr::Read(read) => self.read(read, points, active),
            Expr::Unary(Unary::Stop, a) => {
                let a = self.expr(a, points, active);
                self.hooks
                    .stop
                    .map_or_else(|| a.clone(), |stop| stop(a.clone()))
            }
            Expr::Unary(op, a) => {
                let mut a = self.expr(a, points, active);
                a.iter_mut().for_each(|a| *a = self.unary(*op, *a));
                a
            }
            Expr::Binary(op @ (Binary::Min | Binary::Max), a, b) => {
                let mut a = self.expr(a, points, active);
                let b = self.expr(b, points, active);
                a.iter_mut().zip(b).for_each(|(a, b)| *a = op.of(*a, b));
                a
            }
            Expr::Binary(op, a, b) => {
                let mut a = self.expr(a, points, active);
                let b = self.expr(b, points, active);
                a.iter_mut()
                    .zip(b)
                    .for_each(|(a, b)| *a = self.rounded(op.of(*a, b)));
                a
            }
            Expr::Select(relation, args) => self.select(*relation, args, points, active),
            Expr::Random { key, normal, at } => points
                .index(at)
                .into_iter()
                .map(|i| (self.hooks.random)(*key, *normal, i as u64))
                .collect(),
        }
    }

    fn with(&self, is_exact: bool) -> Run<'_> {
        Run {
            extents: self.extents.clone(),
            is_exact,
            ..*self
        }
    }

    fn rounded(&self, x: f64) -> f64 {
        let round = self.hooks.round.filter(|_| !self.is_exact);
        round.map_or(x, |round| round(x))
    }

    fn tilt(&self) -> f64 {
        if self.is_exact { 0.0 } else { self.hooks.tilt }
    }

    fn unary(&self, op: Unary, x: f64) -> f64 {
        match op.facts().values {
            Values::Whole => op.of(self.tilted(op, x)),
            Values::AsArguments => op.of(x),
            Values::Any => self.rounded(op.of(x)),
        }
    }

    /// A number that is about to be made whole; one that stands on a step itself is no matter of roundings.
    fn tilted(&self, op: Unary, x: f64) -> f64 {
        let steps = if op == Unary::Floor { x } else { 2.0 * x };
        if steps.fract() == 0.0 {
            return x;
        }
        x + self.tilt() * x.abs()
    }

    /// Whether two numbers are so; equal ones are no matter of roundings.
    fn holds(&self, relation: Relation, a: f64, b: f64) -> bool {
        let is_order = !matches!(relation, Relation::Eq | Relation::Ne);
        match is_order && a != b {
            true => relation.holds(a + self.tilt() * a.abs().max(b.abs()), b),
            false => relation.holds(a, b),
        }
    }

    /// Only the chosen side is read.
    fn select(
        &self,
        relation: Relation,
        args: &[Expr; 4],
        points: &Points,
        active: &[bool],
    ) -> Vec<f64> {
        let (a, b) = (
            self.expr(&args[0], points, active),
            self.expr(&args[1], points, active),
        );
        let chosen: Vec<bool> = a
            .iter()
            .zip(b)
            .map(|(a, b)| self.holds(relation, *a, b))
            .collect();
        let both = |side: bool| -> Vec<bool> {
            chosen
                .iter()
                .zip(active)
                .map(|(c, a)| *a && *c == side)
                .collect()
        };
        let yes = self.expr(&args[2], points, &both(true));
        let no = self.expr(&args[3], points, &both(false));
        (0..points.len)
            .map(|i| if chosen[i] { yes[i] } else { no[i] })
            .collect()
    }
}

impl Points {
    fn index(&self, ix: &Ix) -> Vec<i64> {
        let mut sum = vec![ix.constant; self.len];
        for (atom, c) in &ix.terms {
            match atom {
                Atom::Var(v) => sum
                    .iter_mut()
                    .zip(&self.vars[*v])
                    .for_each(|(s, i)| *s += c * i),
                Atom::Div(e, n) => sum
                    .iter_mut()
                    .zip(self.index(e))
                    .for_each(|(s, i)| *s += c * i.div_euclid(*n)),
                Atom::Mod(e, n) => sum
                    .iter_mut()
                    .zip(self.index(e))
                    .for_each(|(s, i)| *s += c * i.rem_euclid(*n)),
            }
        }
        sum
    }
}

/// Whether an expression in a position is computed in f32 all the same: below a floor, what is no part of whole numbers, and maths.
fn is_in_f32(e: &Expr) -> bool {
    match e {
        Expr::Unary(op, a) if op.facts().is_step() => !is_in_f64(a, &|_| false),
        Expr::Unary(op, _) => !op.facts().keeps_whole(),
        Expr::Binary(op, ..) => !op.facts().is_inline(),
        _ => false,
    }
}

/// Whether f32 has the number itself.
fn is_f32(x: f64) -> bool {
    f64::from(x as f32) == x
}

/// A reduction under way, over any number of points.
struct Running {
    n: f64,
    /// The sum, the extreme, or the mean.
    a: f64,
    /// Sum of exponentials over exp(a), or of squared deviations from the mean.
    b: f64,
    /// The sum from which a mean is taken, with the roundings that it has there.
    sum: f64,
}

impl Running {
    fn new() -> Running {
        Running {
            n: 0.0,
            a: 0.0,
            b: 0.0,
            sum: 0.0,
        }
    }

    fn push(&mut self, reducer: Reducer, x: f64) {
        self.n += 1.0;
        let first = self.n == 1.0;
        match reducer {
            Reducer::Map | Reducer::Sum => self.a += x,
            Reducer::Max => self.a = if first { x } else { self.a.max(x) },
            Reducer::Min => self.a = if first { x } else { self.a.min(x) },
            Reducer::Lse if first => (self.a, self.b) = (x, 1.0),
            Reducer::Lse if x <= self.a => self.b += libm::exp(x - self.a),
            Reducer::Lse => (self.a, self.b) = (x, self.b * libm::exp(self.a - x) + 1.0),
            Reducer::Var => {
                let d = x - self.a;
                self.a += d / self.n;
                self.b += d * (x - self.a);
                self.sum += x;
            }
        }
    }

    /// What arithmetic has just made is rounded; an extreme is one of its numbers.
    fn round(&mut self, reducer: Reducer, rounded: impl Fn(f64) -> f64) {
        match reducer {
            Reducer::Map | Reducer::Sum => self.a = rounded(self.a),
            Reducer::Max | Reducer::Min => {}
            Reducer::Lse => self.b = rounded(self.b),
            Reducer::Var => (self.b, self.sum) = (rounded(self.b), rounded(self.sum)),
        }
    }

    fn value(&self, reducer: Reducer) -> f64 {
        match reducer {
            Reducer::Lse => self.a + libm::log(self.b),
            // Deviations are from the sum's mean: by what it is off, they are.
            Reducer::Var => self.b / self.n + (self.sum / self.n - self.a).powi(2),
            _ => self.a,
        }
    }
}
