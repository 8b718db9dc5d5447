//! Grows a program from a seed: equations of every form that the language has, mixed with the standard library.
//!
//! Enters a seed; leaves a program that the front end accepts. Shapes are drawn from few extents, so that tensors fit
//! together; every read is inside by our own intervals, or has an `else`.

mod finish;
mod number;
mod product;
mod read;
mod whole;

use super::library::Library;
use super::program::{Expr, Index, Line, Program, Tensor, Value};
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
    is_large: bool,
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
            is_large,
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
}

fn extent(rng: &mut Rng) -> i64 {
    match rng.below(100) {
        0..=64 => *rng.pick(&SMALL),
        65..=87 => *rng.pick(&MIDDLE),
        _ => *rng.pick(&LARGE),
    }
}
