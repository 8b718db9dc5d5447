//! Softmax by its shape: `y = exp(t - lse t)` along one row, whatever `t` is. One predicate for the scheduler, which computes such
//! a row's exponentials once, and for the promise `kernel softmax`.
//!
//! Enter two equations; leaves how they are one softmax, or nothing. No other form of it is known: a quotient of exponentials
//! has other roundings.

use super::index::Ix;
use super::rewrite::rebuild;
use super::{Binary, Equation, Expr, Pos, Read, Reducer, Unary};

/// An equation, and what each of its operands is known by elsewhere.
#[derive(Clone, Copy)]
pub struct Over<'a> {
    pub equation: &'a Equation,
    pub operands: &'a [usize],
}

pub struct Softmax {
    /// `t`, over the operands of `y`.
    pub term: Expr,
    /// Where the row's log-sum-exp is read.
    pub at: Vec<Pos>,
    /// The index of the log-sum-exp's equation that each index of `y` is; None: it has one value.
    pub places: Vec<Option<usize>>,
}

/// The operand that may be a log-sum-exp: `y = exp(t - operand)`.
pub fn normaliser(y: &Equation) -> Option<&Read> {
    let Expr::Unary(Unary::Exp, inside) = &y.body else {
        return None;
    };
    match &**inside {
        Expr::Binary(Binary::Sub, _, less) => match &**less {
            Expr::Read(read) => Some(read),
            _ => None,
        },
        _ => None,
    }
}

/// `lse` is what the [`normaliser`] of `y` reads.
pub fn softmax(y: Over<'_>, lse: Over<'_>) -> Option<Softmax> {
    let read = normaliser(y.equation)?;
    let Expr::Unary(_, inside) = &y.equation.body else {
        return None;
    };
    let Expr::Binary(_, term, _) = &**inside else {
        return None;
    };
    let (map, row) = (y.equation, lse.equation);
    let plain = map.reducer == Reducer::Map && row.reducer == Reducer::Lse;
    let whole = map.guards.is_empty() && row.guards.is_empty() && read.outside.is_none();
    let bare = map.has_bare_writes() && row.has_bare_writes();
    if !(plain && whole && bare && row.reduced.len() == 1) {
        return None;
    }
    let places = places(map, row, read)?;
    let term_of_row = rebuild(term, &|ix| moved(ix, &places), &Expr::Read);
    let is_same = known(&term_of_row, y.operands) == known(&row.body, lse.operands);
    is_same.then(|| Softmax {
        term: (**term).clone(),
        at: read.at.clone(),
        places,
    })
}

/// An index of `y` as one of the log-sum-exp.
pub fn moved(ix: &Ix, places: &[Option<usize>]) -> Ix {
    ix.substitute(&|v| places[v].map_or(Ix::constant(0), Ix::var))
}

/// Each index of y as an index of the log-sum-exp: those it is read at, and the one that is left, which it reduces.
fn places(y: &Equation, lse: &Equation, read: &Read) -> Option<Vec<Option<usize>>> {
    let mut places = vec![None; y.free.len()];
    for (write, at) in lse.write.iter().zip(&read.at) {
        let (Pos::Ix(write), Pos::Ix(at)) = (write, at) else {
            return None;
        };
        match (write.as_var(), at.as_var()) {
            (Some(l), Some(v)) if places[v].is_none() && y.free[v] == lse.free[l] => {
                places[v] = Some(l);
            }
            (None, None) if at.as_constant() == Some(0) => {}
            _ => return None,
        }
    }
    let mut left = (0..places.len()).filter(|v| places[*v].is_none() && y.free[*v] > 1);
    let (row, None) = (left.next()?, left.next()) else {
        return None;
    };
    places[row] = Some(lse.free.len());
    (y.free[row] == lse.reduced[0]).then_some(places)
}

/// The expression over what its operands are known by.
fn known(e: &Expr, operands: &[usize]) -> Expr {
    rebuild(e, &|ix| ix.clone(), &|mut read| {
        read.operand = operands[read.operand];
        Expr::Read(read)
    })
}
