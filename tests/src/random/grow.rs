//! Grows a program from a seed: equations of every form that the language has, mixed with the standard library.
//!
//! Enters a seed; leaves a program that the front end accepts. Shapes are drawn from few extents, so that tensors fit
//! together; every read is inside by our own intervals, or has an `else`.

use super::check::{is_accepted, shape_of};
use super::library::Library;
use super::program::{Expr, GRADIENT, Index, Line, Program, Tensor, Train, Value};
use super::rng::Rng;

/// Points of one equation's box, and elements of a tensor, that the oracle still likes; and in one program of some.
const MOST_POINTS: i64 = 60_000;
const MOST_ELEMENTS: i64 = 6_000;
const LARGE_POINTS: i64 = 3_000_000;
const LARGE_ELEMENTS: i64 = 200_000;
/// Percent of programs that are large.
const LARGE_PROGRAMS: usize = 3;

const SMALL: [i64; 9] = [1, 2, 2, 3, 3, 4, 5, 6, 7];
const MIDDLE: [i64; 9] = [8, 8, 9, 12, 15, 16, 16, 17, 24];
const LARGE: [i64; 12] = [31, 32, 33, 40, 48, 63, 64, 65, 96, 127, 130, 260];
/// Beyond blocks, chunks and rows.
const LARGEST: [i64; 10] = [128, 200, 256, 511, 600, 1024, 2050, 4100, 20_000, 40_000];

/// The program of a seed.
pub fn program(seed: u64, library: &Library) -> Program {
    let mut g = Grower::new(seed);
    g.stored();
    let n_lines = g.rng.int(1, 6);
    for _ in 0..n_lines {
        g.line(library);
    }
    g.finish();
    g.program
}

struct Grower {
    rng: Rng,
    program: Program,
    /// Extents from which most axes are drawn.
    extents: Vec<i64>,
    most_points: i64,
    most_elements: i64,
    n_names: usize,
}

/// Indices that an expression may use.
#[derive(Clone, Default)]
struct Scope {
    vars: Vec<Index>,
}

impl Scope {
    fn with(&self, more: &[Index]) -> Scope {
        let vars = self.vars.iter().chain(more).cloned().collect();
        Scope { vars }
    }

    fn points(&self) -> i64 {
        self.vars.iter().map(|v| v.high - v.low).product()
    }
}

fn int(i: i64) -> Expr {
    Expr::Int(i)
}

fn binary(op: &'static str, a: Expr, b: Expr) -> Expr {
    Expr::Binary(op, Box::new(a), Box::new(b))
}

/// `a + c`, with a minus where that reads better.
fn plus(a: Expr, c: i64) -> Expr {
    match c {
        0 => a,
        c if c < 0 => binary("-", a, int(-c)),
        c => binary("+", a, int(c)),
    }
}

/// Least and greatest value of an index expression.
fn range(e: &Expr, scope: &Scope) -> Option<(i64, i64)> {
    Some(match e {
        Expr::Int(i) => (*i, *i),
        Expr::Var(name) => {
            let v = scope.vars.iter().find(|v| v.name == *name)?;
            (v.low, v.high - 1)
        }
        Expr::Binary(op, a, b) => {
            let ((al, ah), (bl, bh)) = (range(a, scope)?, range(b, scope)?);
            let div = |x: i64| x.div_euclid(bl);
            match *op {
                "+" => (al + bl, ah + bh),
                "-" => (al - bh, ah - bl),
                "*" => {
                    let all = [al * bl, al * bh, ah * bl, ah * bh];
                    (*all.iter().min()?, *all.iter().max()?)
                }
                "//" if bl == bh && bl > 0 => (div(al), div(ah)),
                "%" if bl == bh && bl > 0 => match (al >= 0 && ah < bl, true) {
                    (true, _) => (al, ah),
                    _ => (0, bl - 1),
                },
                _ => return None,
            }
        }
        Expr::Call("clamp", args) => {
            let (lo, hi) = (range(&args[1], scope)?, range(&args[2], scope)?);
            (lo.0, hi.1)
        }
        Expr::Call("min", args) => {
            let (a, b) = (range(&args[0], scope)?, range(&args[1], scope)?);
            (a.0.min(b.0), a.1.min(b.1))
        }
        Expr::Call("max", args) => {
            let (a, b) = (range(&args[0], scope)?, range(&args[1], scope)?);
            (a.0.max(b.0), a.1.max(b.1))
        }
        _ => return None,
    })
}

impl Grower {
    fn new(seed: u64) -> Grower {
        let mut rng = Rng::new(seed);
        let n = rng.int(2, 4);
        let mut extents: Vec<i64> = (0..n).map(|_| extent(&mut rng)).collect();
        let is_large = rng.chance(LARGE_PROGRAMS);
        if is_large {
            extents[0] = *rng.pick(&LARGEST);
            extents[1] = *rng.pick(&LARGE);
        }
        let (most_points, most_elements) = match is_large {
            true => (LARGE_POINTS, LARGE_ELEMENTS),
            false => (MOST_POINTS, MOST_ELEMENTS),
        };
        let program = Program {
            inputs: vec![],
            weights: vec![],
            states: vec![],
            lines: vec![],
            outputs: vec![],
            train: None,
        };
        Grower {
            rng,
            program,
            extents,
            most_points,
            most_elements,
            n_names: 0,
        }
    }

    fn name(&mut self, letter: &str) -> String {
        self.n_names += 1;
        format!("{letter}{}", self.n_names)
    }

    fn extent(&mut self) -> i64 {
        match self.rng.chance(85) {
            true => *self.rng.pick(&self.extents),
            false => extent(&mut self.rng),
        }
    }

    fn shape(&mut self) -> Vec<i64> {
        let rank = [0, 1, 1, 2, 2, 2, 3, 3, 4, 4][self.rng.below(10)];
        let mut shape: Vec<i64> = (0..rank).map(|_| self.extent()).collect();
        while shape.iter().product::<i64>() > self.most_elements {
            let largest = (0..shape.len()).max_by_key(|a| shape[*a]).unwrap_or(0);
            shape[largest] = self.rng.int(1, 3);
        }
        shape
    }

    /// What is given from outside.
    fn stored(&mut self) {
        for _ in 0..self.rng.int(0, 2) {
            let shape = self.shape();
            self.input(shape);
        }
        for _ in 0..self.rng.int(1, 3) {
            let shape = self.shape();
            self.weight(shape);
        }
        for _ in 0..[0, 0, 0, 1, 2][self.rng.below(5)] {
            let (name, shape) = (self.name("s"), self.shape());
            self.program.states.push(Tensor { name, shape });
        }
    }

    fn input(&mut self, shape: Vec<i64>) -> String {
        let name = self.name("x");
        let tensor = Tensor {
            name: name.clone(),
            shape,
        };
        self.program.inputs.push(tensor);
        name
    }

    fn weight(&mut self, shape: Vec<i64>) -> String {
        let name = self.name("w");
        let tensor = Tensor {
            name: name.clone(),
            shape,
        };
        self.program.weights.push(tensor);
        name
    }

    /// All tensors, later ones more often than once.
    fn known(&self) -> Vec<Tensor> {
        let p = &self.program;
        let stored = p.inputs.iter().chain(&p.weights).chain(&p.states).cloned();
        let made = p
            .lines
            .iter()
            .filter(|l| !matches!(l.value, Value::Next { .. }));
        let made: Vec<Tensor> = made
            .map(|l| Tensor {
                name: l.name.clone(),
                shape: l.shape.clone(),
            })
            .collect();
        stored
            .chain(made.iter().cloned())
            .chain(made.iter().cloned())
            .collect()
    }

    fn tensor(&mut self) -> Tensor {
        let all = self.known();
        self.rng.pick(&all).clone()
    }

    /// A tensor of this shape: a known one, or a new weight or input.
    fn tensor_of(&mut self, shape: &[i64]) -> String {
        let known = self.known();
        let fits: Vec<&Tensor> = known.iter().filter(|t| t.shape == shape).collect();
        if !fits.is_empty() && self.rng.chance(85) {
            return self.rng.pick(&fits).name.clone();
        }
        match self.rng.chance(70) {
            true => self.weight(shape.to_vec()),
            false => self.input(shape.to_vec()),
        }
    }

    fn line(&mut self, library: &Library) {
        match self.rng.below(100) {
            0..=29 => self.equation(),
            30..=43 => self.product(),
            44..=52 => self.matrix_product(),
            53..=61 => self.convolution(),
            62..=71 => self.whole(),
            72..=83 => self.call(library),
            84..=95 => self.builtin(),
            _ => self.next(),
        }
    }

    fn push(&mut self, shape: Vec<i64>, whole: bool, value: Value) {
        let name = self.name("t");
        self.program.lines.push(Line {
            name,
            shape,
            whole,
            value,
        });
    }

    fn indices(&mut self, shape: &[i64], letter: &str, low: bool) -> Vec<Index> {
        let mut made = vec![];
        for n in shape {
            let low = if low && self.rng.chance(10) {
                self.rng.int(1, 2)
            } else {
                0
            };
            self.n_names += 1;
            made.push(Index {
                name: format!("{letter}{}", self.n_names),
                low,
                high: low + n,
            });
        }
        made
    }

    /// Any equation.
    fn equation(&mut self) {
        let shape = self.shape();
        let free = self.indices(&shape, "i", false);
        let scope = Scope { vars: free.clone() };
        if self.rng.chance(12) {
            let body = Expr::Unary("floor", Box::new(self.position_value(&scope)));
            return self.push(shape, true, Value::Equation { free, body });
        }
        let body = match self.rng.chance(55) {
            true => self.reduction(&scope, 2),
            false => self.number(&scope, 3),
        };
        self.push(shape, false, Value::Equation { free, body });
    }

    fn reduction(&mut self, scope: &Scope, depth: usize) -> Expr {
        let n = [1, 1, 1, 2, 2, 3][self.rng.below(6)];
        let mut shape: Vec<i64> = (0..n).map(|_| self.extent()).collect();
        while shape.iter().product::<i64>() * scope.points() > self.most_points {
            let largest = (0..shape.len()).max_by_key(|a| shape[*a]).unwrap_or(0);
            match shape[largest] > 3 {
                true => shape[largest] = self.rng.int(1, 3),
                false => shape.truncate(1.max(shape.len() - 1)),
            }
            if shape.len() == 1 && shape[0] <= 3 {
                break;
            }
        }
        let over = self.indices(&shape, "k", true);
        let inner = scope.with(&over);
        let how = ["sum", "sum", "sum", "mean", "max", "min", "lse", "var"][self.rng.below(8)];
        let body = self.number(&inner, depth);
        // Exponentials of large numbers are infinite.
        let body = match how {
            "lse" => Expr::Call("clamp", vec![body, Expr::Num(-6.0), Expr::Num(6.0)]),
            _ => body,
        };
        Expr::Reduce {
            how,
            over,
            body: Box::new(body),
        }
    }

    /// One number.
    fn number(&mut self, scope: &Scope, depth: usize) -> Expr {
        if depth == 0 {
            return match self.rng.below(10) {
                0 => Expr::Num(self.literal()),
                1 if !scope.vars.is_empty() => self.index_number(scope),
                _ => self.read(scope),
            };
        }
        match self.rng.below(100) {
            0..=29 => self.read(scope),
            30..=33 => Expr::Num(self.literal()),
            34..=37 if !scope.vars.is_empty() => self.index_number(scope),
            38..=62 => {
                let op = ["+", "-", "*", "*", "*"][self.rng.below(5)];
                binary(
                    op,
                    self.number(scope, depth - 1),
                    self.number(scope, depth - 1),
                )
            }
            63..=82 => {
                let inner = self.number(scope, depth - 1);
                self.tamed(inner)
            }
            83..=87 => {
                let name = ["min", "max"][self.rng.below(2)];
                Expr::Call(
                    name,
                    vec![self.number(scope, depth - 1), self.number(scope, depth - 1)],
                )
            }
            88..=94 => self.select(scope, depth),
            _ if scope.points() < 4000 && depth > 1 => self.reduction(scope, depth - 1),
            _ => self.read(scope),
        }
    }

    fn literal(&mut self) -> f64 {
        [0.5, -1.25, 2.0, -1.0, 0.75, 1.0, 0.1, 3.0][self.rng.below(8)]
    }

    fn index_number(&mut self, scope: &Scope) -> Expr {
        let ix = self.index(scope);
        binary("*", Expr::Num([0.25, 0.5, -0.125][self.rng.below(3)]), ix)
    }

    /// A function of a number, defined and moderate wherever it is used.
    fn tamed(&mut self, a: Expr) -> Expr {
        let f = |name: &'static str, a: Expr| Expr::Unary(name, Box::new(a));
        let bounded = |a: Expr| Expr::Call("clamp", vec![a, Expr::Num(-4.0), Expr::Num(2.0)]);
        match self.rng.below(19) {
            0 | 1 => f("-", a),
            2 => f("exp", bounded(a)),
            3 => f("log", binary("+", Expr::Num(1.25), f("abs", a))),
            4 => f("sqrt", binary("+", Expr::Num(0.5), f("abs", a))),
            5 => f("sin", a),
            6 => f("cos", a),
            7 | 8 => f("tanh", a),
            9 => f("erf", a),
            10 => f("abs", a),
            11 => f("floor", binary("*", Expr::Num(1.5), a)),
            12 => f("stop", a),
            13 => f(
                ["relu", "silu", "sigmoid", "gelu", "softplus"][self.rng.below(5)],
                a,
            ),
            14 => binary("/", a, Expr::Num([3.0, 0.7, -4.0][self.rng.below(3)])),
            15 => {
                let below = binary("+", Expr::Num(1.5), binary("*", a.clone(), a.clone()));
                binary("/", a, below)
            }
            16 => binary("**", a, int([2, 3][self.rng.below(2)])),
            17 => {
                let base = binary("+", f("abs", a), Expr::Num(0.5));
                binary("**", base, Expr::Num([1.5, -0.5, 2.25][self.rng.below(3)]))
            }
            _ => Expr::Call("clamp", vec![a, Expr::Num(-0.6), Expr::Num(0.7)]),
        }
    }

    fn select(&mut self, scope: &Scope, depth: usize) -> Expr {
        let relation = ["<", "<=", ">", ">=", "==", "!="][self.rng.below(6)];
        let condition = match !scope.vars.is_empty() && self.rng.chance(60) {
            true => [self.index(scope), self.small_or_index(scope)],
            false => [self.read(scope), Expr::Num(self.literal())],
        };
        let [a, b] = condition;
        let (yes, no) = (self.number(scope, depth - 1), self.number(scope, depth - 1));
        Expr::Select(relation, Box::new([a, b, yes, no]))
    }

    fn small_or_index(&mut self, scope: &Scope) -> Expr {
        match self.rng.chance(50) {
            true => int(self.rng.int(-1, 6)),
            false => self.index(scope),
        }
    }

    /// A whole number made of indices alone.
    fn index(&mut self, scope: &Scope) -> Expr {
        let Some(v) = self.var(scope) else {
            return int(self.rng.int(0, 3));
        };
        match self.rng.below(12) {
            0..=4 => v,
            5 => plus(v, self.rng.int(-2, 3)),
            6 => binary("*", int([2, 3, -1][self.rng.below(3)]), v),
            7 => binary("//", plus(v, self.rng.int(0, 2)), int(self.rng.int(2, 4))),
            8 => binary("%", plus(v, self.rng.int(-1, 2)), int(self.rng.int(2, 4))),
            9 => {
                let w = self.var(scope).unwrap_or(int(0));
                let a = self.rng.int(1, 3);
                plus(binary("+", binary("*", int(a), v), w), self.rng.int(-2, 1))
            }
            10 => {
                let w = self.var(scope).unwrap_or(int(1));
                binary("-", v, w)
            }
            _ => {
                let w = self.var(scope).unwrap_or(int(1));
                Expr::Call(
                    ["min", "max"][self.rng.below(2)],
                    vec![v, plus(w, self.rng.int(-1, 1))],
                )
            }
        }
    }

    fn var(&mut self, scope: &Scope) -> Option<Expr> {
        if scope.vars.is_empty() {
            return None;
        }
        Some(Expr::Var(self.rng.pick(&scope.vars).name.clone()))
    }

    fn read(&mut self, scope: &Scope) -> Expr {
        let tensor = self.tensor();
        self.read_of(&tensor, scope)
    }

    fn read_of(&mut self, tensor: &Tensor, scope: &Scope) -> Expr {
        let mut at = vec![];
        let mut inside = true;
        for n in &tensor.shape {
            let (p, is_inside) = self.position(*n, scope);
            at.push(p);
            inside &= is_inside;
        }
        let other = (!inside || self.rng.chance(8)).then(|| self.other());
        Expr::Read {
            of: tensor.name.clone(),
            at,
            other,
        }
    }

    fn other(&mut self) -> f64 {
        [0.0, 0.0, 0.0, 0.0, 1.5, -2.0, 1.0][self.rng.below(7)]
    }

    /// A position on an axis of `n`, and whether it is surely inside.
    fn position(&mut self, n: i64, scope: &Scope) -> (Expr, bool) {
        let exact: Vec<&Index> = scope
            .vars
            .iter()
            .filter(|v| v.low == 0 && v.high == n)
            .collect();
        let within: Vec<&Index> = scope.vars.iter().filter(|v| v.high <= n).collect();
        let bare = |v: &Index| Expr::Var(v.name.clone());
        let roll = self.rng.below(100);
        if roll < 55 && !exact.is_empty() {
            return (bare(self.rng.pick::<&Index>(&exact)), true);
        }
        if roll < 65 && !within.is_empty() {
            let v = (*self.rng.pick(&within)).clone();
            return (plus(bare(&v), self.rng.int(-v.low, n - v.high)), true);
        }
        if roll < 72 && !exact.is_empty() {
            let v = bare(self.rng.pick::<&Index>(&exact));
            return (binary("-", int(n - 1), v), true);
        }
        if roll >= 93 {
            return self.computed(n, scope);
        }
        let p = match roll {
            ..75 => int(self.rng.int(0, n - 1)),
            _ => self.index(scope),
        };
        let inside = range(&p, scope).is_some_and(|(lo, hi)| lo >= 0 && hi < n);
        match !inside && self.rng.chance(25) {
            // Often outside on both sides otherwise.
            true => (Expr::Call("clamp", vec![p, int(0), int(n - 1)]), true),
            false => (p, inside),
        }
    }

    /// A position that depends on values.
    fn computed(&mut self, n: i64, scope: &Scope) -> (Expr, bool) {
        let wholes: Vec<Tensor> = self
            .program
            .lines
            .iter()
            .filter(|l| l.whole)
            .map(|l| Tensor {
                name: l.name.clone(),
                shape: l.shape.clone(),
            })
            .collect();
        let base = match !wholes.is_empty() && self.rng.chance(60) {
            true => {
                let tensor = self.rng.pick(&wholes).clone();
                self.plain_read(&tensor, scope)
            }
            false => Expr::Unary("floor", Box::new(self.position_value(scope))),
        };
        let p = match (self.rng.below(6), self.var(scope)) {
            (0 | 1, Some(v)) => binary("+", base, v),
            (2, _) => plus(base, self.rng.int(-2, 2)),
            (3, _) => binary("//", base, int(2)),
            _ => base,
        };
        match self.rng.below(4) {
            0 => (Expr::Call("clamp", vec![p, int(0), int(n - 1)]), true),
            1 => (binary("%", p, int(n)), true),
            _ => (p, false),
        }
    }

    /// A value whose floor is about as large as an axis.
    fn position_value(&mut self, scope: &Scope) -> Expr {
        let read = {
            let tensor = self.tensor();
            self.plain_read(&tensor, scope)
        };
        let scaled = binary(
            "*",
            Expr::Num([1.7, 2.6, 4.3, -3.1][self.rng.below(4)]),
            read,
        );
        match self.rng.chance(50) {
            true => binary("+", scaled, self.index(scope)),
            false => binary("+", scaled, Expr::Num(1.375)),
        }
    }

    /// A read without computed positions.
    fn plain_read(&mut self, tensor: &Tensor, scope: &Scope) -> Expr {
        let mut inside = true;
        let mut at = vec![];
        for n in &tensor.shape {
            let exact: Vec<&Index> = scope
                .vars
                .iter()
                .filter(|v| v.low == 0 && v.high == *n)
                .collect();
            let p = match exact.is_empty() {
                false => Expr::Var(self.rng.pick(&exact).name.clone()),
                true => self.index(scope),
            };
            inside &= range(&p, scope).is_some_and(|(lo, hi)| lo >= 0 && hi < *n);
            at.push(p);
        }
        Expr::Read {
            of: tensor.name.clone(),
            at,
            other: (!inside).then(|| self.other()),
        }
    }

    /// A sum of products of two or three tensors: matrix products, convolutions, and what is nearly one.
    fn product(&mut self) {
        let n_factors = if self.rng.chance(85) { 2 } else { 3 };
        let shapes: Vec<Vec<i64>> = (0..n_factors).map(|_| self.shape()).collect();
        let tensors: Vec<Tensor> = shapes
            .iter()
            .map(|shape| match self.rng.chance(50) {
                true => self.tensor(),
                false => {
                    let name = self.tensor_of(shape);
                    Tensor {
                        name,
                        shape: shape.clone(),
                    }
                }
            })
            .collect();
        let (mut free, mut over): (Vec<Index>, Vec<Index>) = (vec![], vec![]);
        let mut factors = vec![];
        for tensor in &tensors {
            let mut at = vec![];
            let mut inside = true;
            for n in &tensor.shape {
                let (p, is_inside) = self.product_axis(*n, &mut free, &mut over);
                at.push(p);
                inside &= is_inside;
            }
            let other = (!inside).then(|| {
                if self.rng.chance(85) {
                    0.0
                } else {
                    self.other()
                }
            });
            factors.push(Expr::Read {
                of: tensor.name.clone(),
                at,
                other,
            });
        }
        let points = |all: &[Index]| all.iter().map(|v| v.high - v.low).product::<i64>();
        while points(&free) * points(&over) > 4 * self.most_points
            || points(&free) > self.most_elements
        {
            let longest = free
                .iter_mut()
                .chain(over.iter_mut())
                .max_by_key(|v| v.high - v.low);
            let Some(longest) = longest else { break };
            longest.high = longest.low + 2;
        }
        if free.len() > 5 {
            over.extend(free.drain(5..));
        }
        let mut body = factors
            .into_iter()
            .reduce(|a, b| binary("*", a, b))
            .unwrap_or(Expr::Num(1.0));
        // Ranges have changed: what was inside may be so no more, so every read gets an `else` that needs one.
        let scope = Scope {
            vars: free.iter().chain(&over).cloned().collect(),
        };
        self.mend(&mut body, &scope);
        if self.rng.chance(20) {
            body = binary("*", Expr::Num(self.literal()), body);
        }
        self.shuffle(&mut free);
        let shape = free.iter().map(|v| v.high).collect();
        let body = match over.is_empty() {
            true => body,
            false => Expr::Reduce {
                how: "sum",
                over,
                body: Box::new(body),
            },
        };
        self.push(shape, false, Value::Equation { free, body });
    }

    /// A matrix product of some axes on each side, in any order of axes and indices, batched or not.
    fn matrix_product(&mut self) {
        const SIDES: [i64; 12] = [2, 3, 5, 8, 9, 16, 17, 31, 32, 33, 64, 65];
        let mut axes: Vec<(i64, [bool; 3])> = vec![];
        let mut add = |g: &mut Grower, n: usize, role: [bool; 3]| {
            let known = g.extents.clone();
            for _ in 0..n {
                let extent = match g.rng.chance(40) {
                    true => *g.rng.pick(&known),
                    false => *g.rng.pick(&SIDES),
                };
                axes.push((extent, role));
            }
        };
        // (in the first factor, in the second, in the result)
        let counts = [
            self.rng.int(1, 2),
            self.rng.int(1, 2),
            self.rng.int(1, 2),
            [0, 0, 1][self.rng.below(3)],
        ];
        add(self, counts[0] as usize, [true, false, true]);
        add(self, counts[1] as usize, [false, true, true]);
        add(self, counts[2] as usize, [true, true, false]);
        add(self, counts[3] as usize, [true, true, true]);
        let points = |axes: &[(i64, [bool; 3])], part: usize| -> i64 {
            axes.iter()
                .filter(|a| part > 2 || a.1[part])
                .map(|a| a.0)
                .product()
        };
        while points(&axes, 3) > 4 * self.most_points
            || (0..3).any(|p| points(&axes, p) > self.most_elements)
        {
            if let Some(longest) = axes.iter_mut().max_by_key(|a| a.0) {
                longest.0 = (longest.0 / 2).max(1);
            }
        }
        let shape: Vec<i64> = axes.iter().map(|a| a.0).collect();
        let indices = self.indices(&shape, "i", false);
        let mut factors = vec![];
        for side in 0..2 {
            let mut own: Vec<usize> = (0..axes.len()).filter(|a| axes[*a].1[side]).collect();
            self.shuffle(&mut own);
            let shape: Vec<i64> = own.iter().map(|a| axes[*a].0).collect();
            let of = self.tensor_of(&shape);
            let at = own
                .iter()
                .map(|a| Expr::Var(indices[*a].name.clone()))
                .collect();
            factors.push(Expr::Read {
                of,
                at,
                other: None,
            });
        }
        let of = |result: bool| -> Vec<Index> {
            let ours = (0..axes.len()).filter(|a| axes[*a].1[2] == result);
            ours.map(|a| indices[a].clone()).collect()
        };
        let (mut free, mut over) = (of(true), of(false));
        self.shuffle(&mut free);
        self.shuffle(&mut over);
        let [a, b] = [factors[0].clone(), factors[1].clone()];
        let body = match self.rng.below(5) {
            0 => binary("/", binary("*", a, b), Expr::Num(1.75)),
            1 => binary("*", b, a),
            2 => binary("*", a, Expr::Unary("tanh", Box::new(b))),
            _ => binary("*", a, b),
        };
        self.reduce_into(free, over, body);
    }

    fn reduce_into(&mut self, free: Vec<Index>, over: Vec<Index>, body: Expr) {
        let shape = free.iter().map(|v| v.high).collect();
        let how = ["sum", "sum", "sum", "sum", "mean"][self.rng.below(5)];
        let body = Expr::Reduce {
            how,
            over,
            body: Box::new(body),
        };
        self.push(shape, false, Value::Equation { free, body });
    }

    /// A convolution along one to three axes, with strides, dilations and groups; of a weight, or of two activations.
    fn convolution(&mut self) {
        let n_axes = [1, 2, 2, 2, 3][self.rng.below(5)];
        let groups = *self.rng.pick(&[1, 1, 1, 1, 2, 3]);
        let channels = groups * *self.rng.pick(&[1, 2, 3, 4, 8, 16]);
        let outputs = groups * *self.rng.pick(&[1, 2, 3, 8, 16, 33]);
        let batch = *self.rng.pick(&[1, 1, 2, 3]);
        let mut windows = vec![];
        for _ in 0..n_axes {
            let n = *self.rng.pick(&[1, 3, 4, 5, 7, 8, 9, 12, 16, 17, 33]);
            let taps = *self.rng.pick(&[1, 2, 3, 3, 3, 3, 4, 5]);
            let (stride, dilation) = (
                *self.rng.pick(&[1, 1, 1, 2, 3]),
                *self.rng.pick(&[1, 1, 1, 1, 2]),
            );
            let pad = self.rng.int(0, (taps - 1) * dilation);
            let out = (n + 2 * pad - dilation * (taps - 1) - 1).div_euclid(stride) + 1;
            windows.push((n, taps, stride, dilation, pad, out.max(1)));
        }
        let points: i64 =
            windows.iter().map(|w| w.1 * w.5).product::<i64>() * batch * outputs * channels
                / groups;
        let sizes: i64 =
            windows.iter().map(|w| w.0.max(w.5)).product::<i64>() * batch * channels.max(outputs);
        if points > 8 * self.most_points || sizes > self.most_elements {
            return self.matrix_product();
        }
        let input: Vec<i64> = [batch, channels]
            .into_iter()
            .chain(windows.iter().map(|w| w.0))
            .collect();
        let kernel: Vec<i64> = [outputs, channels / groups]
            .into_iter()
            .chain(windows.iter().map(|w| w.1))
            .collect();
        let result: Vec<i64> = [batch, outputs]
            .into_iter()
            .chain(windows.iter().map(|w| w.5))
            .collect();
        let (x, k) = (self.tensor_of(&input), self.tensor_of(&kernel));
        let free = self.indices(&result, "i", false);
        let over = self.indices(&kernel[1..], "k", false);
        let var = |v: &Index| Expr::Var(v.name.clone());
        let channel = match groups {
            1 => var(&over[0]),
            _ => {
                let group = binary("//", var(&free[1]), int(outputs / groups));
                binary(
                    "+",
                    binary("*", group, int(channels / groups)),
                    var(&over[0]),
                )
            }
        };
        let mut at = vec![var(&free[0]), channel];
        for (i, (_, _, stride, dilation, pad, _)) in windows.iter().enumerate() {
            let times = |by: i64, v: Expr| if by == 1 { v } else { binary("*", int(by), v) };
            let place = binary(
                "+",
                times(*stride, var(&free[2 + i])),
                times(*dilation, var(&over[1 + i])),
            );
            at.push(plus(place, -pad));
        }
        let taps = [&free[1]].into_iter().chain(&over).map(var).collect();
        let kernel = Expr::Read {
            of: k,
            at: taps,
            other: None,
        };
        let mut input = Expr::Read {
            of: x,
            at,
            other: None,
        };
        let scope = Scope {
            vars: free.iter().chain(&over).cloned().collect(),
        };
        self.mend(&mut input, &scope);
        self.reduce_into(free, over, binary("*", kernel, input));
    }

    /// One axis of a factor: an index that is shared with another factor, a new one, or a window over two.
    fn product_axis(
        &mut self,
        n: i64,
        free: &mut Vec<Index>,
        over: &mut Vec<Index>,
    ) -> (Expr, bool) {
        let fits: Vec<Index> = free
            .iter()
            .chain(over.iter())
            .filter(|v| v.high == n)
            .cloned()
            .collect();
        if !fits.is_empty() && self.rng.chance(70) {
            return (Expr::Var(self.rng.pick(&fits).name.clone()), true);
        }
        let mut fresh = |g: &mut Grower, n: i64, reduced: bool| {
            let v = g
                .indices(&[n], if reduced { "k" } else { "i" }, false)
                .remove(0);
            let name = v.name.clone();
            if reduced {
                over.push(v)
            } else {
                free.push(v)
            }
            Expr::Var(name)
        };
        if n >= 4 && self.rng.chance(40) {
            let taps = *self.rng.pick(&[1, 2, 3, 3, 3, 4, 5]);
            let (stride, dilation) = (self.rng.int(1, 2), *self.rng.pick(&[1, 1, 1, 2]));
            let pad = self.rng.int(0, taps / 2 * dilation);
            let out = ((n + 2 * pad - dilation * (taps - 1) - 1) / stride + 1).max(1);
            let (i, k) = (fresh(self, out, false), fresh(self, taps, true));
            let scaled = |by: i64, v: Expr| if by == 1 { v } else { binary("*", int(by), v) };
            let at = binary("+", scaled(stride, i), scaled(dilation, k));
            return (plus(at, -pad), false);
        }
        let reduced = self.rng.chance(45);
        (fresh(self, n, reduced), true)
    }

    fn mend(&mut self, e: &mut Expr, scope: &Scope) {
        match e {
            Expr::Binary(_, a, b) => {
                self.mend(a, scope);
                self.mend(b, scope);
            }
            Expr::Read { of, at, other } => {
                let shape = self.program.shape(of).unwrap_or_default().to_vec();
                let inside = at
                    .iter()
                    .zip(shape)
                    .all(|(p, n)| range(p, scope).is_some_and(|(lo, hi)| lo >= 0 && hi < n));
                if inside {
                    *other = None;
                } else if other.is_none() {
                    *other = Some(0.0);
                }
            }
            _ => {}
        }
    }

    fn shuffle<T>(&mut self, all: &mut [T]) {
        if self.rng.chance(35) {
            for i in (1..all.len()).rev() {
                all.swap(i, self.rng.below(i + 1));
            }
        }
    }

    /// Arithmetic on whole tensors.
    fn whole(&mut self) {
        let shape = self.tensor().shape;
        let args = [
            self.tensor_of(&shape),
            self.tensor_of(&shape),
            self.tensor_of(&shape),
        ];
        let template = [
            "{0} + {1}",
            "{0} - 0.5*{1}",
            "{0}*{1}",
            "2*{0}*{1} + {2}",
            "{0}/(1.5 + {1}*{1})",
            "max({0}, {1})",
            "min({0}, 0.25)",
            "select({0} > {1}, {2}, 0.5*{1})",
            "tanh({0})*{1}",
            "stop({0}) + {1}",
            "exp(min({0}, 1)) - {1}",
            "-{0}",
            "abs({0}) + {1}**2",
            "{0}",
        ][self.rng.below(14)];
        let value = Value::Text {
            template: template.into(),
            args: args.to_vec(),
        };
        self.push(shape, false, value);
    }

    /// An op or a block of the standard library, on tensors of shapes that its signature allows.
    fn call(&mut self, library: &Library) {
        for _ in 0..8 {
            let Some(call) = library.call(&mut self.rng, &self.extents.clone()) else {
                continue;
            };
            if call
                .shapes
                .iter()
                .any(|s| s.iter().product::<i64>() > self.most_elements)
            {
                continue;
            }
            let before = self.program.clone();
            let args = call.shapes.iter().map(|s| self.tensor_of(s)).collect();
            let label = self.name("b");
            let template = call.template.replace("{label}", &label);
            self.push(vec![], false, Value::Text { template, args });
            match shape_of(&self.program) {
                Some(shape) if shape.iter().product::<i64>() <= self.most_elements => {
                    if let Some(line) = self.program.lines.last_mut() {
                        line.shape = shape;
                    }
                    return;
                }
                _ => self.program = before,
            }
        }
    }

    fn builtin(&mut self) {
        let t = self.tensor();
        let rank = t.shape.len();
        let elements: i64 = t.shape.iter().product();
        match self.rng.below(6) {
            0 if rank > 0 => self.concat(&t),
            1 if rank > 0 => self.slice(&t),
            2 => {
                let axis = self.rng.below(rank + 1);
                let other = self.tensor_of(&t.shape);
                let mut shape = t.shape.clone();
                shape.insert(axis, 2);
                if 2 * elements <= self.most_elements {
                    self.text(
                        shape,
                        format!("stack([{{0}}, {{1}}], axis={axis})"),
                        vec![t.name, other],
                    );
                }
            }
            3 if rank > 1 => {
                let (a, b) = (self.rng.below(rank), self.rng.below(rank));
                let mut shape = t.shape.clone();
                shape.swap(a, b);
                self.text(shape, format!("transpose({{0}}, {a}, {b})"), vec![t.name]);
            }
            4 => self.reshape(&t),
            _ if rank > 0 => self.split(&t),
            _ => self.whole(),
        }
    }

    fn text(&mut self, shape: Vec<i64>, template: String, args: Vec<String>) {
        self.push(shape, false, Value::Text { template, args });
    }

    fn concat(&mut self, t: &Tensor) {
        let axis = self.rng.below(t.shape.len());
        let mut other = t.shape.clone();
        other[axis] = self.rng.int(1, 3);
        let mut shape = t.shape.clone();
        shape[axis] += other[axis];
        if shape.iter().product::<i64>() > self.most_elements {
            return;
        }
        let other = self.tensor_of(&other);
        let template = match self.rng.chance(50) {
            true => format!("concat([{{0}}, {{1}}], axis={axis})"),
            false => format!("concat([{{1}}, 2*{{0}}], axis={axis})"),
        };
        self.text(shape, template, vec![t.name.clone(), other]);
    }

    fn slice(&mut self, t: &Tensor) {
        let axis = self.rng.below(t.shape.len());
        let n = t.shape[axis];
        let low = self.rng.int(0, n - 1);
        let high = self.rng.int(low + 1, n);
        let mut shape = t.shape.clone();
        let cut = match self.rng.chance(25) {
            true => {
                shape.remove(axis);
                low.to_string()
            }
            false => {
                shape[axis] = high - low;
                format!("{low}:{high}")
            }
        };
        let before = ":, ".repeat(axis);
        self.text(shape, format!("{{0}}[{before}{cut}]"), vec![t.name.clone()]);
    }

    fn reshape(&mut self, t: &Tensor) {
        let mut left: i64 = t.shape.iter().product();
        let mut shape = vec![];
        for d in [2, 3, 4, 5] {
            if left % d == 0 && left > d && self.rng.chance(60) {
                shape.push(d);
                left /= d;
            }
        }
        shape.insert(self.rng.below(shape.len() + 1), left);
        let dims: Vec<String> = shape.iter().map(|n| n.to_string()).collect();
        self.text(
            shape,
            format!("reshape({{0}}, [{}])", dims.join(", ")),
            vec![t.name.clone()],
        );
    }

    fn split(&mut self, t: &Tensor) {
        let axis = self.rng.below(t.shape.len());
        let n = t.shape[axis];
        if n < 2 {
            return self.slice(t);
        }
        let first = self.rng.int(1, n - 1);
        let part = self.rng.below(2);
        let mut shape = t.shape.clone();
        shape[axis] = [first, n - first][part];
        let template = format!("split({{0}}, [{first}, {}], {axis})[{part}]", n - first);
        self.text(shape, template, vec![t.name.clone()]);
    }

    /// A state gets a new value.
    fn next(&mut self) {
        let old = |p: &Program, name: &str| {
            let is_next = |l: &Line| l.name == name && matches!(l.value, Value::Next { .. });
            !p.lines.iter().any(is_next)
        };
        let states: Vec<Tensor> = self
            .program
            .states
            .iter()
            .filter(|s| old(&self.program, &s.name))
            .cloned()
            .collect();
        if states.is_empty() {
            return self.whole();
        }
        let state = self.rng.pick(&states).clone();
        let arg = self.tensor_of(&state.shape);
        self.program.lines.push(Line {
            name: state.name,
            shape: state.shape,
            whole: false,
            value: Value::Next { arg },
        });
    }

    /// Results, and how they are trained.
    fn finish(&mut self) {
        if self.program.lines.is_empty() {
            self.whole();
        }
        let made = self.known();
        let made: Vec<&Tensor> = made.iter().filter(|t| t.name.starts_with('t')).collect();
        let last = match made.last() {
            Some(t) => t.name.clone(),
            None => self.program.weights[0].name.clone(),
        };
        let mut outputs = vec![last];
        for _ in 0..[0, 0, 0, 1, 2][self.rng.below(5)] {
            let name = self.tensor().name;
            if !outputs.contains(&name) {
                outputs.push(name);
            }
        }
        let term = |g: &mut Grower| {
            [
                "mean({})",
                "mean({}**2)",
                "sum({})",
                "mean(tanh({}))",
                "0.5*mean({}*stop({}))",
                "mean(abs({}))",
            ][g.rng.below(6)]
            .to_string()
        };
        let terms = outputs.iter().map(|_| term(self)).collect();
        self.program.outputs = outputs;
        let optimizer = match self.rng.below(10) {
            0..=5 => GRADIENT,
            6 => "Sgd()",
            7 => "Sgd(momentum=0)",
            _ => "Adam()",
        };
        let gradient = optimizer == GRADIENT;
        self.program.train = self.rng.chance(85).then(|| Train {
            optimizer: optimizer.into(),
            terms,
            clip: (!gradient && self.rng.chance(30)).then_some(0.5),
            ema: (!gradient && self.rng.chance(30)).then_some(0.75),
            metric: self.rng.chance(20),
        });
        self.program.tidy();
        if self.program.train.is_some() && !is_accepted(&self.program.to_string()) {
            self.reach_a_weight();
        }
    }

    /// A loss that reaches no weight is refused: one of them enters it as it is.
    fn reach_a_weight(&mut self) {
        let outputs = &self.program.outputs;
        let found = self
            .program
            .weights
            .iter()
            .find(|w| !outputs.contains(&w.name));
        let name = match found.map(|w| w.name.clone()) {
            Some(name) => name,
            None => self.weight(vec![3]),
        };
        self.program.outputs.push(name);
        if let Some(train) = &mut self.program.train {
            train.terms.push("sum({})".into());
        }
        if !is_accepted(&self.program.to_string()) {
            self.program.train = None;
        }
    }
}

fn extent(rng: &mut Rng) -> i64 {
    match rng.below(100) {
        0..=64 => *rng.pick(&SMALL),
        65..=87 => *rng.pick(&MIDDLE),
        _ => *rng.pick(&LARGE),
    }
}
