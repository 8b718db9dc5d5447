//! One equation compiled for evaluation point by point in f64: strides instead of positions, where those are affine.

use crate::equation::index::{Atom, Ix};
use crate::equation::{Binary, Equation, Expr, Pos, Read, Reducer, Relation, Unary};
use crate::ir::expr;
use crate::ir::philox::Stream;
use crate::ir::simplify::{apply, combine, holds};

/// An operand's values, row-major.
#[derive(Clone, Copy)]
pub struct View<'a> {
    pub shape: &'a [i64],
    pub data: &'a [f64],
}

enum Code {
    Lit(f64),
    Index(Line),
    /// Proven inside: one address.
    Read(usize, Line),
    /// Each axis is checked; outside, the value, or a bug where there is none.
    Checked(usize, Vec<Place>, Vec<i64>, Option<f64>),
    Unary(Unary, Box<Code>),
    Binary(Binary, Box<Code>, Box<Code>),
    Select(Relation, Box<[Code; 4]>),
    Random(u64, bool, Line),
}

/// An index expression.
enum Line {
    Affine(i64, Vec<(usize, i64)>),
    General(Ix),
}

enum Place {
    Line(Line),
    Computed(Code),
}

impl Line {
    fn new(ix: &Ix) -> Line {
        let term = |(atom, c): &(Atom, i64)| match atom {
            Atom::Var(v) => Some((*v, *c)),
            _ => None,
        };
        match ix.terms.iter().map(term).collect() {
            Some(terms) => Line::Affine(ix.constant, terms),
            None => Line::General(ix.clone()),
        }
    }

    fn at(&self, point: &[i64]) -> i64 {
        match self {
            Line::Affine(base, terms) => {
                terms.iter().fold(*base, |sum, (v, c)| sum + c * point[*v])
            }
            Line::General(ix) => ix.eval(point),
        }
    }
}

struct Compiler<'a> {
    operands: &'a [View<'a>],
    extents: Vec<i64>,
}

impl Compiler<'_> {
    fn code(&self, e: &Expr) -> Code {
        let boxed = |e: &Expr| Box::new(self.code(e));
        match e {
            Expr::Lit(lit) => Code::Lit(lit.get()),
            Expr::Index(ix) => Code::Index(Line::new(ix)),
            Expr::Read(read) => self.read(read),
            Expr::Unary(op, a) => Code::Unary(*op, boxed(a)),
            Expr::Binary(op, a, b) => Code::Binary(*op, boxed(a), boxed(b)),
            Expr::Select(relation, args) => {
                let args = [&args[0], &args[1], &args[2], &args[3]].map(|a| self.code(a));
                Code::Select(*relation, Box::new(args))
            }
            Expr::Random { key, normal, at } => Code::Random(*key, *normal, Line::new(at)),
        }
    }

    fn read(&self, read: &Read) -> Code {
        let shape = self.operands[read.operand].shape;
        assert_eq!(
            shape.len(),
            read.at.len(),
            "a read has one position for each axis"
        );
        let mut address = Some(Ix::constant(0));
        for (p, extent) in read.at.iter().zip(shape) {
            address = match (address, p) {
                (Some(sum), Pos::Ix(ix)) if self.is_inside(ix, *extent) => {
                    Some(sum.scale(*extent).add(ix))
                }
                _ => None,
            };
        }
        match address {
            Some(ix) => Code::Read(read.operand, Line::new(&ix)),
            None => {
                let places = read.at.iter().map(|p| self.place(p)).collect();
                Code::Checked(
                    read.operand,
                    places,
                    shape.to_vec(),
                    read.outside.map(|l| l.get()),
                )
            }
        }
    }

    fn is_inside(&self, ix: &Ix, extent: i64) -> bool {
        let (lo, hi) = ix.range(&self.extents);
        0 <= lo && hi < extent
    }

    fn place(&self, p: &Pos) -> Place {
        match p {
            Pos::Ix(ix) => Place::Line(Line::new(ix)),
            Pos::Computed(e) => Place::Computed(self.code(e)),
        }
    }
}

struct Machine<'a> {
    operands: &'a [View<'a>],
    stream: Stream,
}

impl Machine<'_> {
    fn value(&self, code: &Code, point: &[i64]) -> f64 {
        match code {
            Code::Lit(x) => *x,
            Code::Index(line) => line.at(point) as f64,
            Code::Read(operand, line) => self.operands[*operand].data[line.at(point) as usize],
            Code::Checked(operand, places, shape, outside) => {
                match (self.address(places, shape, point), outside) {
                    (Some(at), _) => self.operands[*operand].data[at],
                    (None, Some(value)) => *value,
                    (None, None) => panic!("operand {operand} is read outside at {point:?}"),
                }
            }
            Code::Unary(op, a) => apply(*op, self.value(a, point)),
            Code::Binary(op, a, b) => combine(*op, self.value(a, point), self.value(b, point)),
            Code::Select(relation, args) => {
                let chosen = holds(
                    *relation,
                    self.value(&args[0], point),
                    self.value(&args[1], point),
                );
                self.value(&args[if chosen { 2 } else { 3 }], point)
            }
            Code::Random(key, normal, line) => {
                self.stream.number(*key, *normal, line.at(point) as u64)
            }
        }
    }

    fn address(&self, places: &[Place], shape: &[i64], point: &[i64]) -> Option<usize> {
        let mut address = 0;
        for (place, extent) in places.iter().zip(shape) {
            let at = match place {
                Place::Line(line) => line.at(point),
                Place::Computed(code) => self.value(code, point).floor() as i64,
            };
            if at < 0 || at >= *extent {
                return None;
            }
            address = address * extent + at;
        }
        Some(address as usize)
    }
}

/// Adds or writes one equation's contribution into `out`, row-major of `shape`.
pub fn run(equation: &Equation, operands: &[View], shape: &[i64], stream: Stream, out: &mut [f64]) {
    let compiler = Compiler {
        operands,
        extents: expr::extents(equation),
    };
    let body = compiler.code(&equation.body);
    let write: Vec<Place> = equation.write.iter().map(|p| compiler.place(p)).collect();
    let guards: Vec<(Line, i64)> = equation
        .guards
        .iter()
        .map(|g| (Line::new(&g.index), g.extent))
        .collect();
    let machine = Machine { operands, stream };
    let n_free = equation.free.len();
    let mut point = vec![0; compiler.extents.len()];
    each_point(&equation.free, &mut point.clone(), 0, &mut |free| {
        point[..n_free].copy_from_slice(&free[..n_free]);
        let mut total = Total::new(equation.reducer);
        each_point(&compiler.extents, &mut point, n_free, &mut |at| {
            if guards
                .iter()
                .all(|(g, extent)| (0..*extent).contains(&g.at(at)))
            {
                total.add(machine.value(&body, at));
            }
        });
        if let Some(value) = total.value()
            && let Some(address) = machine.address(&write, shape, &point)
        {
            out[address] += value;
        }
    });
}

/// Calls `f` at every point of the box, whose axes before `axis` stay as they are.
fn each_point(extents: &[i64], point: &mut Vec<i64>, axis: usize, f: &mut impl FnMut(&[i64])) {
    if axis >= extents.len() {
        return f(point);
    }
    for i in 0..extents[axis] {
        point[axis] = i;
        each_point(extents, point, axis + 1, f);
    }
}

/// What a reducer has seen so far.
struct Total {
    reducer: Reducer,
    n: f64,
    /// Sum, extreme, or greatest exponent; for the variance the mean.
    first: f64,
    /// Sum of exponentials above the greatest; for the variance the sum of squared differences.
    second: f64,
}

impl Total {
    fn new(reducer: Reducer) -> Total {
        Total {
            reducer,
            n: 0.0,
            first: 0.0,
            second: 0.0,
        }
    }

    fn add(&mut self, x: f64) {
        self.n += 1.0;
        let is_first = self.n == 1.0;
        match self.reducer {
            Reducer::Map | Reducer::Sum => self.first += x,
            Reducer::Max => {
                self.first = if is_first || x > self.first {
                    x
                } else {
                    self.first
                }
            }
            Reducer::Min => {
                self.first = if is_first || x < self.first {
                    x
                } else {
                    self.first
                }
            }
            Reducer::Lse => {
                let top = if is_first { x } else { self.first.max(x) };
                let kept = if is_first {
                    0.0
                } else {
                    self.second * libm::exp(self.first - top)
                };
                self.second = kept + libm::exp(x - top);
                self.first = top;
            }
            Reducer::Var => {
                let off = x - self.first;
                self.first += off / self.n;
                self.second += off * (x - self.first);
            }
        }
    }

    /// None where no point contributed.
    fn value(&self) -> Option<f64> {
        (self.n > 0.0).then(|| match self.reducer {
            Reducer::Lse => self.first + libm::log(self.second),
            Reducer::Var => self.second / self.n,
            _ => self.first,
        })
    }
}
