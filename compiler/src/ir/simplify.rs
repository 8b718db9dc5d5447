//! Algebra on scalar expressions: constants folded, neutral and absorbing elements removed, decided selects taken.
//!
//! `0 * x` is taken as 0. Sums are never reordered.

use crate::equation::{Binary, Equation, Expr, Lit, Reducer, Relation, Unary};
use crate::ir::expr;

/// The equation with simple expressions; None if it surely writes nothing but zeros.
pub fn equation(equation: &Equation) -> Option<Equation> {
    let simple = expr::rewrite_equation(equation, &mut step);
    let vanishes = matches!(simple.reducer, Reducer::Map | Reducer::Sum | Reducer::Var);
    if vanishes && literal(&simple.body) == Some(0.0) {
        return None;
    }
    Some(simple)
}

pub fn simplify(e: &Expr) -> Expr {
    expr::rewrite(e, &mut step)
}

pub fn literal(e: &Expr) -> Option<f64> {
    match e {
        Expr::Lit(lit) => Some(lit.get()),
        Expr::Index(ix) => ix.as_constant().map(|c| c as f64),
        _ => None,
    }
}

fn lit(value: f64) -> Expr {
    Expr::Lit(Lit::new(value))
}

/// One expression whose parts are simple already.
fn step(e: Expr) -> Expr {
    match e {
        Expr::Unary(op, a) => unary(op, *a),
        Expr::Binary(op, a, b) => binary(op, *a, *b),
        Expr::Select(relation, args) => select(relation, *args),
        Expr::Index(ref ix) => ix.as_constant().map_or(e.clone(), |c| lit(c as f64)),
        e => e,
    }
}

fn unary(op: Unary, a: Expr) -> Expr {
    if let Some(x) = literal(&a) {
        return lit(op.of(x));
    }
    match (op, a) {
        (Unary::Neg, Expr::Unary(Unary::Neg, inner)) => *inner,
        (Unary::Neg, Expr::Binary(Binary::Sub, x, y)) => Expr::Binary(Binary::Sub, y, x),
        (op, a @ Expr::Index(_)) if op.facts().is_step() => a,
        (Unary::Stop, a @ Expr::Index(_)) => a,
        (Unary::Stop, Expr::Unary(op, a)) if op.facts().is_flat() => Expr::Unary(op, a),
        (op, a) => Expr::Unary(op, Box::new(a)),
    }
}

fn binary(op: Binary, a: Expr, b: Expr) -> Expr {
    let (x, y) = (literal(&a), literal(&b));
    if let (Some(x), Some(y)) = (x, y) {
        return lit(op.of(x, y));
    }
    match (op, x, y) {
        (Binary::Add, Some(0.0), _) => b,
        (Binary::Add | Binary::Sub, _, Some(0.0)) => a,
        (Binary::Sub, Some(0.0), _) => unary(Unary::Neg, b),
        (Binary::Mul, Some(0.0), _) | (Binary::Mul, _, Some(0.0)) | (Binary::Div, Some(0.0), _) => {
            lit(0.0)
        }
        (Binary::Mul, Some(1.0), _) => b,
        (Binary::Mul | Binary::Div | Binary::Pow, _, Some(1.0)) => a,
        (Binary::Mul, Some(-1.0), _) => unary(Unary::Neg, b),
        (Binary::Mul | Binary::Div, _, Some(-1.0)) => unary(Unary::Neg, a),
        (Binary::Pow, _, Some(2.0)) => Expr::Binary(Binary::Mul, Box::new(a.clone()), Box::new(a)),
        (Binary::Pow, _, Some(0.0)) => lit(1.0),
        (Binary::Min | Binary::Max, ..) if a == b => a,
        // Powers of two divide exactly as they multiply.
        (Binary::Div, _, Some(y)) if is_power_of_two(y) => binary(Binary::Mul, a, lit(1.0 / y)),
        (Binary::Mul, Some(x), _) => scale(x, b),
        (Binary::Mul, _, Some(y)) => scale(y, a),
        (Binary::Add, ..) => sum(a, b),
        _ => Expr::Binary(op, Box::new(a), Box::new(b)),
    }
}

/// `factor * e`, literals together and in front.
fn scale(factor: f64, e: Expr) -> Expr {
    match e {
        Expr::Binary(Binary::Mul, x, rest) if literal(&x).is_some() => {
            let x = literal(&x).unwrap_or(1.0);
            binary(Binary::Mul, lit(factor * x), *rest)
        }
        Expr::Unary(Unary::Neg, rest) => binary(Binary::Mul, lit(-factor), *rest),
        e => Expr::Binary(Binary::Mul, Box::new(lit(factor)), Box::new(e)),
    }
}

/// `a + b`, with `a + -b` as a difference.
fn sum(a: Expr, b: Expr) -> Expr {
    match (a, b) {
        (a, Expr::Unary(Unary::Neg, b)) => Expr::Binary(Binary::Sub, Box::new(a), b),
        (Expr::Unary(Unary::Neg, a), b) => Expr::Binary(Binary::Sub, Box::new(b), a),
        (a, b) => Expr::Binary(Binary::Add, Box::new(a), Box::new(b)),
    }
}

fn select(relation: Relation, args: [Expr; 4]) -> Expr {
    let decided = match (literal(&args[0]), literal(&args[1])) {
        (Some(x), Some(y)) => Some(relation.holds(x, y)),
        _ => None,
    };
    let [x, y, yes, no] = args;
    match decided {
        Some(true) => yes,
        Some(false) => no,
        None if yes == no => yes,
        None => Expr::Select(relation, Box::new([x, y, yes, no])),
    }
}

fn is_power_of_two(x: f64) -> bool {
    x.is_normal() && x.to_bits() & ((1 << 52) - 1) == 0 && (1.0 / x).is_normal()
}
