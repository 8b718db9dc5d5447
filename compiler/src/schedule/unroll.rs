//! Sums over the corners of a sampling position are written out: each corner then has its constants, and what the corners
//! share is computed once.
//!
//! Enters the net; leaves maps in the place of such sums. Terms keep their order. A factor of 0 removes its term: what is not read cannot spoil the sum.

use super::Numerics;
use super::net::{Def, Net, rebuild};
use crate::equation::index::Ix;
use crate::equation::{Binary, Equation, Expr, Lit, Pos, Reducer, Unary};

pub fn corners(net: &mut Net) {
    let numerics = net.numerics;
    for id in net.order() {
        if let Def::Compute { pieces, .. } = &mut net.values[id].def {
            pieces.iter_mut().for_each(|p| write_out(&numerics, p));
        }
    }
}

fn write_out(numerics: &Numerics, equation: &mut Equation) {
    let n_free = equation.free.len();
    let corners = corner_vars(numerics, equation);
    let terms: i64 = corners
        .iter()
        .map(|v| equation.reduced[v - n_free])
        .product();
    if equation.reducer != Reducer::Sum
        || !equation.guards.is_empty()
        || corners.is_empty()
        || terms > numerics.max_unrolled_terms
    {
        return;
    }
    let kept: Vec<usize> = (n_free..n_free + equation.reduced.len())
        .filter(|v| !corners.contains(v))
        .collect();
    let term = |t: i64| {
        let map = |v: usize| match kept.iter().position(|k| *k == v) {
            _ if v < n_free => Ix::var(v),
            Some(at) => Ix::var(n_free + at),
            None => Ix::constant(digit(equation, &corners, v, t)),
        };
        simple(rebuild(
            &equation.body,
            &|ix| ix.substitute(&map),
            &Expr::Read,
        ))
    };
    let zero = || Expr::Lit(Lit::new(0.0));
    let sum = (0..terms).map(term).filter(|t| *t != zero());
    equation.body = sum
        .reduce(|a, b| Expr::Binary(Binary::Add, Box::new(a), Box::new(b)))
        .unwrap_or_else(zero);
    equation.reduced = kept.iter().map(|v| equation.reduced[v - n_free]).collect();
    if kept.is_empty() {
        equation.reducer = Reducer::Map;
    }
}

/// The value of index `v` in term number `t`; the last index runs fastest.
fn digit(equation: &Equation, corners: &[usize], v: usize, t: i64) -> i64 {
    let n_free = equation.free.len();
    let extent = |v: usize| equation.reduced[v - n_free];
    let faster: i64 = corners
        .iter()
        .filter(|c| **c > v)
        .map(|c| extent(*c))
        .product();
    t / faster % extent(v)
}

/// Short reduced indices that occur in computed positions.
fn corner_vars(numerics: &Numerics, equation: &Equation) -> Vec<usize> {
    let n_free = equation.free.len();
    let mut moves = vec![false; n_free + equation.reduced.len()];
    super::net::for_each_read(&equation.body, &mut |r| {
        for p in &r.at {
            if let Pos::Computed(e) = p {
                super::contraction::mark(e, &mut moves);
            }
        }
    });
    (n_free..moves.len())
        .filter(|v| moves[*v] && equation.reduced[v - n_free] <= numerics.max_unrolled_extent)
        .collect()
}

/// Constants folded: factors of 1 and 0, terms of 0.
fn simple(e: Expr) -> Expr {
    match e {
        Expr::Index(ix) => match ix.as_constant() {
            Some(c) => Expr::Lit(Lit::new(c as f64)),
            None => Expr::Index(ix),
        },
        Expr::Unary(op, a) => match (op, simple(*a)) {
            (Unary::Neg, Expr::Lit(a)) => Expr::Lit(Lit::new(-a.get())),
            (op, a) => Expr::Unary(op, Box::new(a)),
        },
        Expr::Binary(op, a, b) => binary(op, simple(*a), simple(*b)),
        Expr::Select(relation, args) => {
            let args = args.map(simple);
            Expr::Select(relation, Box::new(args))
        }
        e => e,
    }
}

fn binary(op: Binary, a: Expr, b: Expr) -> Expr {
    let number = |e: &Expr| match e {
        Expr::Lit(lit) => Some(lit.get()),
        _ => None,
    };
    match (op, number(&a), number(&b)) {
        (Binary::Add, Some(x), Some(y)) => Expr::Lit(Lit::new(x + y)),
        (Binary::Sub, Some(x), Some(y)) => Expr::Lit(Lit::new(x - y)),
        (Binary::Mul, Some(x), Some(y)) => Expr::Lit(Lit::new(x * y)),
        (Binary::Mul, Some(0.0), _) | (Binary::Mul, _, Some(0.0)) => Expr::Lit(Lit::new(0.0)),
        (Binary::Mul, Some(1.0), _) | (Binary::Add, Some(0.0), _) => b,
        (Binary::Mul, _, Some(1.0)) | (Binary::Add | Binary::Sub, _, Some(0.0)) => a,
        (Binary::Mul, Some(-1.0), _) => Expr::Unary(Unary::Neg, Box::new(b)),
        _ => Expr::Binary(op, Box::new(a), Box::new(b)),
    }
}
