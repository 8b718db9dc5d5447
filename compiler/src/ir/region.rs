//! Which cells of its output a piece writes: covers everything, or surely disjoint from another piece.

use crate::equation::index::Ix;
use crate::equation::{Equation, Pos};
use crate::ir::expr::extents;

/// For a piece that writes every cell of `shape` once, axis by axis: the variable of each axis (None: extent 1).
pub fn whole(piece: &Equation, shape: &[i64]) -> Option<Vec<Option<usize>>> {
    if !piece.guards.is_empty() || piece.write.len() != shape.len() {
        return None;
    }
    let mut axes = vec![];
    let mut seen = vec![false; piece.free.len()];
    for (p, extent) in piece.write.iter().zip(shape) {
        let Pos::Ix(ix) = p else { return None };
        match (ix.as_var(), ix.as_constant()) {
            (Some(v), _) if v < piece.free.len() && piece.free[v] == *extent && !seen[v] => {
                seen[v] = true;
                axes.push(Some(v));
            }
            (_, Some(0)) if *extent == 1 => axes.push(None),
            _ => return None,
        }
    }
    (0..seen.len())
        .all(|v| seen[v] || piece.free[v] == 1)
        .then_some(axes)
}

/// True if no cell is written by both, judged axis by axis: by intervals and by remainders.
pub fn disjoint(a: &Equation, b: &Equation) -> bool {
    let (of_a, of_b) = (extents(a), extents(b));
    a.write.iter().zip(&b.write).any(|(p, q)| match (p, q) {
        (Pos::Ix(p), Pos::Ix(q)) => apart(p, &of_a, q, &of_b),
        _ => false,
    })
}

fn apart(p: &Ix, of_p: &[i64], q: &Ix, of_q: &[i64]) -> bool {
    let ((p_lo, p_hi), (q_lo, q_hi)) = (p.range(of_p), q.range(of_q));
    if p_hi < q_lo || q_hi < p_lo {
        return true;
    }
    let coefficients = p.terms.iter().chain(&q.terms);
    let step = coefficients.fold(0, |g, (_, c)| gcd(g, c.abs()));
    step > 1 && (p.constant - q.constant) % step != 0
}

pub fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
