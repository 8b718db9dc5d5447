//! Arithmetic on numbers that are known at run time only: expressions with a kind and an interval.
//!
//! Integers stay quasi-affine index expressions as long as they can. Intervals decide whether a read is inside its
//! tensor. Nothing here knows names, spans or the graph.

use super::error::{Fault, fault};
use super::value::{Dims, Form, Kind, Num};
use crate::diag::Class;
use crate::equation::index::{Atom, Ix, MAX_COEFFICIENT};
use crate::equation::{Binary, Expr, Lit, Relation, Unary};
use std::rc::Rc;
use vsr_tile::scalar::Bounds;

const INF: f64 = f64::INFINITY;
/// A tree larger than this is an error: no text may make the compiler grow without bound.
const MAX_SIZE: usize = 2_000;
/// As a number.
const MAX_INDEX: f64 = MAX_COEFFICIENT as f64;
/// Beyond this whole numbers, and what is added to them, are not exact in f64 either.
const MAX_WHOLE: f64 = 1e15;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arith {
    Add,
    Sub,
    Mul,
    Div,
    FloorDiv,
    Mod,
    Pow,
}

impl Arith {
    pub fn text(self) -> &'static str {
        match self {
            Arith::Add => "+",
            Arith::Sub => "-",
            Arith::Mul => "*",
            Arith::Div => "/",
            Arith::FloorDiv => "//",
            Arith::Mod => "%",
            Arith::Pow => "**",
        }
    }
}

pub fn shape_text(shape: &[i64]) -> String {
    let axes: Vec<String> = shape.iter().map(i64::to_string).collect();
    format!("[{}]", axes.join(", "))
}

/// Shapes must be equal; numbers and `[]` go with any shape.
fn join(what: &str, a: &Num, b: &Num) -> Result<Option<Rc<Dims>>, Fault> {
    match (&a.shape, &b.shape) {
        (None, s) | (s, None) => Ok(s.clone()),
        (Some(x), Some(y)) if x.sizes == y.sizes || y.sizes.is_empty() => Ok(a.shape.clone()),
        (Some(x), Some(_)) if x.sizes.is_empty() => Ok(b.shape.clone()),
        (Some(x), Some(y)) => Err(fault(
            Class::Shape,
            format!(
                "{what} needs equal shapes, got {} and {}",
                x.describe(),
                y.describe()
            ),
        )
        .help("only numbers and `[]` go with any shape; otherwise write an index equation")),
    }
}

fn number(num: &Num) -> Result<Expr, Fault> {
    num.expr().ok_or_else(|| {
        fault(
            Class::Type,
            "a comparison is no number; `select(c, a, b)` chooses by element",
        )
    })
}

fn sized(num: Num) -> Result<Num, Fault> {
    if num.size > MAX_SIZE {
        return Err(fault(
            Class::Type,
            "this expression grows too large; bind a part of it as an equation of its own",
        ));
    }
    Ok(num)
}

fn lit(value: f64) -> Expr {
    Expr::Lit(Lit::new(value))
}

pub fn binary(op: Arith, a: &Num, b: &Num) -> Result<Num, Fault> {
    let shape = join(&format!("`{}`", op.text()), a, b)?;
    let (x, y) = (number(a)?, number(b)?);
    if matches!(op, Arith::FloorDiv | Arith::Mod | Arith::Div)
        && b.as_lit() == Some(0.0)
        && b.kind == Kind::Int
    {
        return Err(fault(Class::Type, "division by zero"));
    }
    // Whole numbers that a tensor holds divide like others; between indices the intent is not clear.
    if op == Arith::Div && a.as_ix().is_some() && b.as_ix().is_some() {
        return Err(fault(
            Class::Type,
            "int / int in an equation is not defined; use `//` or make one a float",
        ));
    }
    let ints = a.kind == Kind::Int && b.kind == Kind::Int;
    let kind = if ints && op != Arith::Div {
        Kind::Int
    } else {
        Kind::Float
    };
    let (lo, hi) = interval(op, a, b);
    let wide = lo.is_finite() && hi.is_finite() && lo.abs().max(hi.abs()) > MAX_INDEX;
    if ints {
        check_whole(lo, hi)?;
    }
    if ints
        && !wide
        && let Some(ix) = index_arith(op, a, b).filter(is_tame)
    {
        let size = weight(&ix);
        return sized(Num {
            shape,
            kind,
            lo,
            hi,
            size,
            form: Form::Ix(ix),
        });
    }
    let size = a.size + b.size + 1;
    let kind = if op == Arith::Pow && b.lo < 0.0 {
        Kind::Float
    } else {
        kind
    };
    let (form, size) = float_arith(op, x, y, size);
    sized(Num {
        shape,
        kind,
        lo,
        hi,
        form: Form::Expr(form),
        size,
    })
}

/// Beyond this neither positions nor their sums are exact any more.
fn check_whole(lo: f64, hi: f64) -> Result<(), Fault> {
    let far = if hi.abs() < lo.abs() { lo } else { hi };
    if lo.is_infinite() || hi.is_infinite() || far.abs() <= MAX_WHOLE {
        return Ok(());
    }
    let text = format!("this index goes as far as {far:.0e}; {MAX_WHOLE:.0e} is the most");
    Err(fault(Class::Range, text))
}

/// The result as an index expression, where it is one.
fn index_arith(op: Arith, a: &Num, b: &Num) -> Option<Ix> {
    let (x, y) = (a.as_ix()?, b.as_ix()?);
    match op {
        Arith::Add => Some(x.add(y)),
        Arith::Sub => Some(x.sub(y)),
        Arith::Mul => match (x.as_constant(), y.as_constant()) {
            (_, Some(c)) => scaled(x, c),
            (Some(c), _) => scaled(y, c),
            _ => None,
        },
        Arith::FloorDiv => match y.as_constant()? {
            n if n > 0 => Some(match same_quotient(a, n) {
                Some(q) => Ix::constant(q),
                None => x.div(n),
            }),
            n => Some(x.scale(-1).div(-n)),
        },
        Arith::Mod => match y.as_constant()? {
            n if n > 0 => Some(match same_quotient(a, n) {
                Some(q) => x.offset(-q * n),
                None => x.rem(n),
            }),
            n => Some(x.sub(&x.scale(-1).div(-n).scale(n))),
        },
        Arith::Div => None,
        Arith::Pow => match (x.as_constant(), y.as_constant()?) {
            (_, 0) => Some(Ix::constant(1)),
            (_, 1) => Some(x.clone()),
            (Some(c), n) => Some(Ix::constant(c.checked_pow(u32::try_from(n).ok()?)?)),
            _ => None,
        },
    }
}

fn scaled(x: &Ix, by: i64) -> Option<Ix> {
    let fits = |c: i64| (c as f64 * by as f64).abs() <= MAX_INDEX;
    (fits(x.constant) && x.terms.iter().all(|t| fits(t.1))).then(|| x.scale(by))
}

/// All terms, those within `//` and `%` too.
fn weight(ix: &Ix) -> usize {
    let atom = |atom: &Atom| match atom {
        Atom::Var(_) => 1,
        Atom::Div(inner, _) | Atom::Mod(inner, _) => 1 + weight(inner),
    };
    1 + ix.terms.iter().map(|term| atom(&term.0)).sum::<usize>()
}

/// No coefficient is near the limits of i64, whatever the indices' ranges are.
fn is_tame(ix: &Ix) -> bool {
    let small = |c: i64| (c as f64).abs() <= MAX_INDEX;
    small(ix.constant) && ix.terms.iter().all(|t| small(t.1))
}

/// `a // n`, if it is the same for every value of `a`.
fn same_quotient(a: &Num, n: i64) -> Option<i64> {
    let fits = a.lo.abs() < MAX_INDEX && a.hi.abs() < MAX_INDEX;
    let (low, high) = ((a.lo as i64).div_euclid(n), (a.hi as i64).div_euclid(n));
    (fits && low == high).then_some(low)
}

fn float_arith(op: Arith, x: Expr, y: Expr, size: usize) -> (Expr, usize) {
    let two = |op, x, y| Expr::Binary(op, Box::new(x), Box::new(y));
    let value = |e: &Expr| {
        if let Expr::Lit(l) = e {
            Some(l.get())
        } else {
            None
        }
    };
    let floor = |x, y| Expr::Unary(Unary::Floor, Box::new(two(Binary::Div, x, y)));
    if let (Some(a), Some(b)) = (value(&x), value(&y)) {
        return (lit(fold(op, a, b)), 1);
    }
    let expr = match (op, value(&x), value(&y)) {
        (Arith::Add, Some(0.0), _) | (Arith::Mul, Some(1.0), _) => return (y, size - 2),
        (Arith::Add | Arith::Sub, _, Some(0.0)) => return (x, size - 2),
        (Arith::Mul | Arith::Div | Arith::Pow, _, Some(1.0)) => return (x, size - 2),
        (Arith::Sub, Some(0.0), _) => Expr::Unary(Unary::Neg, Box::new(y)),
        (Arith::Pow, _, Some(2.0)) => return (two(Binary::Mul, x.clone(), x), 2 * size),
        (Arith::Add, ..) => two(Binary::Add, x, y),
        (Arith::Sub, ..) => two(Binary::Sub, x, y),
        (Arith::Mul, ..) => two(Binary::Mul, x, y),
        (Arith::Div, ..) => two(Binary::Div, x, y),
        (Arith::Pow, ..) => two(Binary::Pow, x, y),
        (Arith::FloorDiv, ..) => floor(x, y),
        (Arith::Mod, ..) => {
            let whole = floor(x.clone(), y.clone());
            return (two(Binary::Sub, x, two(Binary::Mul, whole, y)), 2 * size);
        }
    };
    (expr, size)
}

pub fn fold(op: Arith, a: f64, b: f64) -> f64 {
    match op {
        Arith::Add => a + b,
        Arith::Sub => a - b,
        Arith::Mul => a * b,
        Arith::Div => a / b,
        Arith::FloorDiv => libm::floor(a / b),
        Arith::Mod => a - libm::floor(a / b) * b,
        Arith::Pow => libm::pow(a, b),
    }
}

/// Bounds of the result; infinite where nothing is known.
fn interval(op: Arith, a: &Num, b: &Num) -> (f64, f64) {
    let whole = (-INF, INF);
    let floor_div = |x: f64, n: f64| if x.is_finite() { libm::floor(x / n) } else { x };
    let sane = |(lo, hi): (f64, f64)| {
        if lo.is_nan() || hi.is_nan() {
            whole
        } else {
            (lo, hi)
        }
    };
    match op {
        Arith::Add => sane((a.lo + b.lo, a.hi + b.hi)),
        Arith::Sub => sane((a.lo - b.hi, a.hi - b.lo)),
        Arith::Mul => {
            let times = |x: f64, y: f64| if x == 0.0 || y == 0.0 { 0.0 } else { x * y };
            let all = [
                times(a.lo, b.lo),
                times(a.lo, b.hi),
                times(a.hi, b.lo),
                times(a.hi, b.hi),
            ];
            sane((
                all.iter().copied().fold(INF, f64::min),
                all.iter().copied().fold(-INF, f64::max),
            ))
        }
        Arith::FloorDiv if b.lo == b.hi && b.lo > 0.0 => {
            (floor_div(a.lo, b.lo), floor_div(a.hi, b.lo))
        }
        Arith::Mod if b.lo == b.hi && b.lo > 0.0 => match (a.lo, a.hi) {
            (lo, hi) if lo >= 0.0 && hi < b.lo => (lo, hi),
            _ if a.kind == Kind::Int => (0.0, b.lo - 1.0),
            _ => (0.0, b.lo),
        },
        Arith::Pow if a.lo == a.hi && b.lo == b.hi && a.lo.is_finite() && b.lo.is_finite() => {
            let v = libm::pow(a.lo, b.lo);
            sane((v, v))
        }
        _ => whole,
    }
}

pub fn compare(relation: Relation, a: &Num, b: &Num) -> Result<Num, Fault> {
    let shape = join("a comparison", a, b)?;
    let pair = Box::new((number(a)?, number(b)?));
    let size = a.size + b.size + 1;
    sized(Num {
        shape,
        kind: Kind::Bool,
        lo: 0.0,
        hi: 1.0,
        form: Form::Compare(relation, pair),
        size,
    })
}

pub fn select(c: &Num, a: &Num, b: &Num) -> Result<Num, Fault> {
    let Form::Compare(relation, pair) = &c.form else {
        return Err(fault(
            Class::Type,
            "`select` needs a comparison first: `select(a < b, x, y)`",
        ));
    };
    let both = join("`select`", a, b)?;
    let probe = Num {
        shape: both,
        ..Num::int(0)
    };
    let shape = join("`select`", c, &probe)?;
    let args = [pair.0.clone(), pair.1.clone(), number(a)?, number(b)?];
    let kind = if a.kind == Kind::Int && b.kind == Kind::Int {
        Kind::Int
    } else {
        Kind::Float
    };
    let size = a.size + b.size + c.size + 1;
    let (lo, hi) = (a.lo.min(b.lo), a.hi.max(b.hi));
    sized(Num {
        shape,
        kind,
        lo,
        hi,
        form: Form::Expr(Expr::Select(*relation, Box::new(args))),
        size,
    })
}

/// `min(a, b)` and `max(a, b)`. Between integers, a side that the intervals decide is taken at once.
pub fn extreme(op: Binary, a: &Num, b: &Num) -> Result<Num, Fault> {
    let max = op == Binary::Max;
    let shape = join(if max { "`max`" } else { "`min`" }, a, b)?;
    let ints = a.kind == Kind::Int && b.kind == Kind::Int;
    if ints {
        let (first, second) = if max {
            (a.lo >= b.hi, b.lo >= a.hi)
        } else {
            (a.hi <= b.lo, b.hi <= a.lo)
        };
        if first || second {
            return Ok(Num {
                shape,
                ..if first { a.clone() } else { b.clone() }
            });
        }
    }
    let (x, y) = (number(a)?, number(b)?);
    let (lo, hi) = if max {
        (a.lo.max(b.lo), a.hi.max(b.hi))
    } else {
        (a.lo.min(b.lo), a.hi.min(b.hi))
    };
    let kind = if ints { Kind::Int } else { Kind::Float };
    let (form, size) = match (&x, &y) {
        (Expr::Lit(p), Expr::Lit(q)) => (
            lit(if max {
                p.get().max(q.get())
            } else {
                p.get().min(q.get())
            }),
            1,
        ),
        _ => (
            Expr::Binary(op, Box::new(x), Box::new(y)),
            a.size + b.size + 1,
        ),
    };
    sized(Num {
        shape,
        kind,
        lo,
        hi,
        form: Form::Expr(form),
        size,
    })
}

/// Low and high end pass the gradient: a tie is decided for `x`.
pub fn clamp(x: &Num, low: &Num, high: &Num) -> Result<Num, Fault> {
    extreme(Binary::Min, high, &extreme(Binary::Max, low, x)?)
}

/// A function of two numbers that is called by its name.
pub fn call(op: Binary, a: &Num, b: &Num) -> Result<Num, Fault> {
    let shape = join(&format!("`{}`", op.name()), a, b)?;
    let (x, y) = (number(a)?, number(b)?);
    let (form, size) = match (&x, &y) {
        (Expr::Lit(p), Expr::Lit(q)) => (lit(op.of(p.get(), q.get())), 1),
        _ => {
            let call = Expr::Binary(op, Box::new(x), Box::new(y));
            (call, a.size + b.size + 1)
        }
    };
    sized(Num {
        shape,
        kind: Kind::Float,
        lo: -INF,
        hi: INF,
        form: Form::Expr(form),
        size,
    })
}

pub fn negate(a: &Num) -> Result<Num, Fault> {
    binary(Arith::Sub, &Num::int(0), a)
}

/// `log2` is the one elementwise builtin that is not a primitive of its own.
pub fn log2(a: &Num) -> Result<Num, Fault> {
    binary(
        Arith::Mul,
        &Num::float(std::f64::consts::LOG2_E),
        &unary(Unary::Log, a)?,
    )
}

pub fn unary(op: Unary, a: &Num) -> Result<Num, Fault> {
    if op == Unary::Neg {
        return negate(a);
    }
    let x = number(a)?;
    if a.kind == Kind::Int && (op.facts().is_step() || op == Unary::Abs && a.lo >= 0.0) {
        return Ok(a.clone());
    }
    let kind = match op {
        op if op.facts().is_step() => Kind::Int,
        op if op.facts().keeps_whole() => a.kind,
        _ => Kind::Float,
    };
    let (lo, hi) = unary_interval(op, a);
    if let (Expr::Lit(l), true) = (&x, op != Unary::Stop) {
        let v = op.of(l.get());
        let form = match kind {
            Kind::Int if v.abs() < MAX_INDEX => Form::Ix(Ix::constant(v as i64)),
            _ => Form::Expr(lit(v)),
        };
        return Ok(Num {
            shape: a.shape.clone(),
            kind,
            lo,
            hi,
            form,
            size: 1,
        });
    }
    let form = Form::Expr(Expr::Unary(op, Box::new(x)));
    sized(Num {
        shape: a.shape.clone(),
        kind,
        lo,
        hi,
        form,
        size: a.size + 1,
    })
}

fn unary_interval(op: Unary, a: &Num) -> (f64, f64) {
    let (near, far) = (a.lo.abs().min(a.hi.abs()), a.lo.abs().max(a.hi.abs()));
    match op.facts().bounds {
        Bounds::Unknown => (-INF, INF),
        Bounds::Increasing => (op.of(a.lo), op.of(a.hi)),
        Bounds::Even if a.lo <= 0.0 && a.hi >= 0.0 => (op.of(0.0), op.of(far)),
        Bounds::Even => (op.of(near), op.of(far)),
    }
}
