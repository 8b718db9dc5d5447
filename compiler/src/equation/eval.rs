//! The oracle: an equation's meaning, point by point, in f64.

use super::{Binary, Equation, Expr, Pos, Read, Reducer, Unary};

#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    pub shape: Vec<i64>,
    pub data: Vec<f64>,
}

impl Tensor {
    pub fn zeros(shape: &[i64]) -> Tensor {
        Tensor {
            shape: shape.to_vec(),
            data: vec![0.0; shape.iter().product::<i64>() as usize],
        }
    }

    pub fn scalar(value: f64) -> Tensor {
        Tensor {
            shape: vec![],
            data: vec![value],
        }
    }

    fn offset(&self, at: &[i64]) -> Option<usize> {
        let mut offset = 0;
        for (p, n) in at.iter().zip(&self.shape) {
            if *p < 0 || p >= n {
                return None;
            }
            offset = offset * n + p;
        }
        Some(offset as usize)
    }
}

/// Random numbers of a run: (key, normal, counter).
pub type Random<'a> = &'a dyn Fn(u64, bool, u64) -> f64;

fn no_random(_: u64, _: bool, _: u64) -> f64 {
    panic!("a random number outside of a run")
}

/// The tensor that disjoint pieces define.
pub fn eval(pieces: &[Equation], operands: &[&Tensor], shape: &[i64]) -> Tensor {
    eval_with(pieces, operands, shape, &no_random)
}

pub fn eval_with(
    pieces: &[Equation],
    operands: &[&Tensor],
    shape: &[i64],
    random: Random,
) -> Tensor {
    let mut out = Tensor::zeros(shape);
    for q in pieces {
        let e = Evaluator {
            q,
            operands,
            random,
        };
        each(&q.free, &mut |free| e.cell(free, &mut out));
    }
    out
}

/// A part of the body at one point of the box.
pub fn value_at(q: &Equation, operands: &[&Tensor], e: &Expr, at: &[i64]) -> f64 {
    Evaluator {
        q,
        operands,
        random: &no_random,
    }
    .value(e, at)
}

/// Every point of the box added where it writes; points outside are dropped.
pub fn scatter(q: &Equation, operands: &[&Tensor], shape: &[i64], random: Random) -> Tensor {
    let mut out = Tensor::zeros(shape);
    let e = Evaluator {
        q,
        operands,
        random,
    };
    each(&q.extents(), &mut |at| {
        if e.guarded(at)
            && let Some(i) = out.offset(&e.positions(&q.write, at))
        {
            out.data[i] += e.value(&q.body, at);
        }
    });
    out
}

/// Calls `f` with every point of the box, the last index fastest.
pub fn each(extents: &[i64], f: &mut impl FnMut(&[i64])) {
    if extents.iter().any(|n| *n <= 0) {
        return;
    }
    let mut at = vec![0; extents.len()];
    loop {
        f(&at);
        let Some(v) = (0..at.len()).rev().find(|v| at[*v] + 1 < extents[*v]) else {
            return;
        };
        at[v] += 1;
        at[v + 1..].iter_mut().for_each(|x| *x = 0);
    }
}

struct Evaluator<'a> {
    q: &'a Equation,
    operands: &'a [&'a Tensor],
    random: Random<'a>,
}

impl Evaluator<'_> {
    fn guarded(&self, at: &[i64]) -> bool {
        self.q
            .guards
            .iter()
            .all(|g| (0..g.extent).contains(&g.index.eval(at)))
    }

    fn cell(&self, free: &[i64], out: &mut Tensor) {
        let n = free.len();
        let mut at = free.to_vec();
        at.resize(n + self.q.reduced.len(), 0);
        if self.q.reducer == Reducer::Map && !self.guarded(&at) {
            return;
        }
        let mut terms = vec![];
        each(&self.q.reduced, &mut |k| {
            at[n..].copy_from_slice(k);
            if self.guarded(&at) {
                terms.push(self.value(&self.q.body, &at));
            }
        });
        let write = self.positions(&self.q.write, free);
        match out.offset(&write) {
            Some(i) => out.data[i] = reduce(self.q.reducer, &terms),
            None if terms.is_empty() => {}
            None => panic!(
                "write outside of {:?} at {write:?}: {:?}",
                out.shape, self.q
            ),
        }
    }

    fn positions(&self, list: &[Pos], at: &[i64]) -> Vec<i64> {
        let position = |p: &Pos| match p {
            Pos::Ix(ix) => ix.eval(at),
            Pos::Computed(e) => libm::floor(self.value(e, at)) as i64,
        };
        list.iter().map(position).collect()
    }

    fn read(&self, r: &Read, at: &[i64]) -> f64 {
        let tensor = self.operands[r.operand];
        let p = self.positions(&r.at, at);
        match (tensor.offset(&p), r.outside) {
            (Some(i), _) => tensor.data[i],
            (None, Some(v)) => v.get(),
            (None, None) => panic!("read outside of {:?} at {p:?}: {:?}", tensor.shape, self.q),
        }
    }

    fn value(&self, e: &Expr, at: &[i64]) -> f64 {
        match e {
            Expr::Lit(l) => l.get(),
            Expr::Index(ix) => ix.eval(at) as f64,
            Expr::Read(r) => self.read(r, at),
            Expr::Unary(op, a) => unary(*op, self.value(a, at)),
            Expr::Binary(op, a, b) => binary(*op, self.value(a, at), self.value(b, at)),
            Expr::Select(rel, args) => {
                let chosen = if rel.holds(self.value(&args[0], at), self.value(&args[1], at)) {
                    2
                } else {
                    3
                };
                self.value(&args[chosen], at)
            }
            Expr::Random {
                key,
                normal,
                at: ix,
            } => (self.random)(*key, *normal, ix.eval(at) as u64),
        }
    }
}

fn reduce(reducer: Reducer, terms: &[f64]) -> f64 {
    let max = || terms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    match reducer {
        Reducer::Map | Reducer::Sum => terms.iter().sum(),
        Reducer::Max => max(),
        Reducer::Min => terms.iter().copied().fold(f64::INFINITY, f64::min),
        Reducer::Lse => {
            let m = max();
            m + libm::log(terms.iter().map(|t| libm::exp(t - m)).sum())
        }
        Reducer::Var => {
            let n = terms.len() as f64;
            let mean = terms.iter().sum::<f64>() / n;
            terms.iter().map(|t| (t - mean) * (t - mean)).sum::<f64>() / n
        }
    }
}

pub fn unary(op: Unary, x: f64) -> f64 {
    match op {
        Unary::Neg => -x,
        Unary::Exp => libm::exp(x),
        Unary::Log => libm::log(x),
        Unary::Sqrt => libm::sqrt(x),
        Unary::Sin => libm::sin(x),
        Unary::Cos => libm::cos(x),
        Unary::Tanh => libm::tanh(x),
        Unary::Erf => libm::erf(x),
        Unary::Abs => x.abs(),
        Unary::Floor => libm::floor(x),
        Unary::Stop => x,
    }
}

pub fn binary(op: Binary, a: f64, b: f64) -> f64 {
    match op {
        Binary::Add => a + b,
        Binary::Sub => a - b,
        Binary::Mul => a * b,
        Binary::Div => a / b,
        Binary::Pow => libm::pow(a, b),
        Binary::Min => a.min(b),
        Binary::Max => a.max(b),
    }
}
