//! Choice of reduced indices: direction, and the shorter of two equivalent ones.

use super::fold;
use super::index::Ix;
use super::solve::gather;
use super::{Equation, Expr, Pos, Reducer};

/// Reverses reduced indices so that positions that mix them with free ones run forward (the flip lands on the weights).
pub(super) fn reverse(pieces: &mut [Equation]) {
    for piece in pieces {
        for r in 0..piece.reduced.len() {
            let v = piece.free.len() + r;
            if runs_backward(piece, v) {
                let flipped = Ix::constant(piece.reduced[r] - 1).sub(&Ix::var(v));
                *piece = piece.map_ix(&|ix| ix.replace(v, &flipped));
            }
        }
    }
}

fn runs_backward(eq: &Equation, v: usize) -> bool {
    let (mut backward, mut forward) = (false, false);
    eq.for_each_read(false, &mut |r| {
        for ix in r.at.iter().filter_map(|p| p.as_ix()) {
            let mut mixed = false;
            ix.for_each_var(&mut |w| mixed |= w < eq.free.len());
            backward |= mixed && ix.coefficient(v) < 0;
            forward |= mixed && ix.coefficient(v) > 0;
        }
    });
    backward && !forward
}

/// The band rule: a reduced index that a read, 0 outside of a shorter dimension, confines is replaced by a walk over
/// that dimension. None: nothing becomes shorter.
pub(super) fn shorten(piece: &Equation, shapes: &[&[i64]], out_shape: &[i64]) -> Option<Equation> {
    if piece.reducer != Reducer::Sum || !fold::is_finite(&piece.body) {
        return None;
    }
    let extents = piece.extents();
    for factor in fold::factors(&piece.body) {
        let Expr::Read(r) = factor else { continue };
        if !r.outside.is_some_and(|v| v.get() == 0.0) {
            continue;
        }
        for (p, n) in r.at.iter().zip(shapes[r.operand]) {
            let Some(ix) = p.as_ix().filter(|ix| ix.is_affine()) else {
                continue;
            };
            let confined = (piece.free.len()..extents.len()).any(|v| ix.has(v) && extents[v] > *n);
            let beside = (0..piece.free.len()).any(|v| ix.has(v));
            if confined && beside {
                return over(piece, ix, *n, out_shape);
            }
        }
    }
    None
}

/// The sum with `position` itself as a reduced index: solved like a write map that has one axis more.
fn over(piece: &Equation, position: &Ix, extent: i64, out_shape: &[i64]) -> Option<Equation> {
    let axes = out_shape.len();
    let scatter = Equation {
        free: piece.extents(),
        reduced: vec![],
        reducer: Reducer::Map,
        write: piece
            .write
            .iter()
            .cloned()
            .chain([Pos::Ix(position.clone())])
            .collect(),
        ..piece.clone()
    };
    let shape: Vec<i64> = out_shape.iter().copied().chain([extent]).collect();
    let mut gathered = gather(&scatter, &shape)?;
    gathered.free.truncate(axes);
    gathered.write.truncate(axes);
    gathered.reduced.insert(0, extent);
    gathered.reducer = Reducer::Sum;
    Some(gathered)
}
