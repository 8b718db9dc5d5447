//! The shape builtins as equations: which element of the operand each element of the result is.
//!
//! Pure: shapes in, equations out.

use crate::equation::index::Ix;
use crate::equation::{Equation, Expr, Pos, Read, Reducer};

fn read(operand: usize, at: Vec<Ix>) -> Expr {
    Expr::Read(Read {
        operand,
        at: at.into_iter().map(Pos::Ix).collect(),
        outside: None,
    })
}

fn vars(n: usize) -> Vec<Ix> {
    (0..n).map(Ix::var).collect()
}

/// `out[i…] = operand[at]` over `shape`, written at `write`.
fn copy(shape: &[i64], operand: usize, at: Vec<Ix>, write: Vec<Ix>) -> Equation {
    Equation {
        free: shape.to_vec(),
        reduced: vec![],
        reducer: Reducer::Map,
        body: read(operand, at),
        guards: vec![],
        write: write.into_iter().map(Pos::Ix).collect(),
    }
}

pub fn transpose(shape: &[i64], a: usize, b: usize) -> (Equation, Vec<i64>) {
    let (mut out, mut at) = (shape.to_vec(), vars(shape.len()));
    out.swap(a, b);
    at.swap(a, b);
    (copy(&out, 0, at, vars(out.len())), out)
}

/// One axis of a slice: kept from `low` on for `extent`, or fixed at a position.
#[derive(Clone, Copy)]
pub enum Cut {
    Range { low: i64, extent: i64 },
    At(i64),
}

pub fn slice(cuts: &[Cut]) -> (Equation, Vec<i64>) {
    let (mut out, mut at) = (vec![], vec![]);
    for cut in cuts {
        match *cut {
            Cut::At(position) => at.push(Ix::constant(position)),
            Cut::Range { low, extent } => {
                at.push(Ix::var(out.len()).offset(low));
                out.push(extent);
            }
        }
    }
    (copy(&out, 0, at, vars(out.len())), out)
}

/// One piece for each operand, side by side on `axis`.
pub fn concat(shapes: &[&[i64]], axis: usize) -> (Vec<Equation>, Vec<i64>) {
    let mut out = shapes[0].to_vec();
    out[axis] = 0;
    let mut pieces = vec![];
    for (operand, shape) in shapes.iter().enumerate() {
        let mut write = vars(shape.len());
        write[axis] = write[axis].offset(out[axis]);
        pieces.push(copy(shape, operand, vars(shape.len()), write));
        out[axis] += shape[axis];
    }
    (pieces, out)
}

/// One piece for each operand, along a new `axis`.
pub fn stack(shape: &[i64], count: usize, axis: usize) -> (Vec<Equation>, Vec<i64>) {
    let mut out = shape.to_vec();
    out.insert(axis, count as i64);
    let piece = |operand: usize| {
        let mut write = vars(shape.len());
        write.insert(axis, Ix::constant(operand as i64));
        copy(shape, operand, vars(shape.len()), write)
    };
    ((0..count).map(piece).collect(), out)
}

/// Axes are regrouped where the running products agree, so that `[B*T, C, H, W]` to `[B, T, C, H, W]` touches only
/// the first axis.
pub fn reshape(from: &[i64], to: &[i64]) -> Equation {
    let mut at = vec![];
    let (mut i, mut j) = (0, 0);
    while i < from.len() || j < to.len() {
        let (start_i, start_j) = (i, j);
        let (mut p, mut q) = (1, 1);
        loop {
            if i < from.len() && (p < q || i == start_i) {
                p *= from[i];
                i += 1;
            } else if j < to.len() && (q < p || j == start_j) {
                q *= to[j];
                j += 1;
            } else {
                break;
            }
        }
        at.extend(regroup(&from[start_i..i], &to[start_j..j], start_j));
    }
    copy(to, 0, at, vars(to.len()))
}

/// Positions on the axes `from` in terms of the variables of the axes `to`, the first of which is `first`.
fn regroup(from: &[i64], to: &[i64], first: usize) -> Vec<Ix> {
    let mut flat = Ix::constant(0);
    for (k, extent) in to.iter().enumerate() {
        flat = flat.scale(*extent);
        if *extent > 1 {
            flat = flat.add(&Ix::var(first + k));
        }
    }
    let mut at = vec![];
    let mut stride: i64 = from.iter().product();
    let outer = from.iter().position(|e| *e > 1);
    for (k, extent) in from.iter().enumerate() {
        stride /= extent;
        at.push(match (*extent, Some(k) == outer) {
            (1, _) => Ix::constant(0),
            (_, true) => flat.div(stride),
            _ => flat.div(stride).rem(*extent),
        });
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reshaping keeps the flat position of every element.
    fn keeps_order(from: &[i64], to: &[i64]) {
        let equation = reshape(from, to);
        let Expr::Read(read) = &equation.body else {
            panic!("a reshape is a read")
        };
        let total: i64 = to.iter().product();
        for flat in 0..total {
            let mut rest = flat;
            let mut at = vec![0; to.len()];
            for axis in (0..to.len()).rev() {
                at[axis] = rest % to[axis];
                rest /= to[axis];
            }
            let mut source = 0;
            for (pos, extent) in read.at.iter().zip(from) {
                let Pos::Ix(ix) = pos else { panic!("affine") };
                let value = ix.eval(&at);
                assert!(
                    (0..*extent).contains(&value),
                    "{from:?} -> {to:?} at {at:?}"
                );
                source = source * extent + value;
            }
            assert_eq!(source, flat, "{from:?} -> {to:?} at {at:?}");
        }
    }

    #[test]
    fn reshape_keeps_order() {
        keeps_order(&[2, 3, 4], &[6, 4]);
        keeps_order(&[6, 4], &[2, 3, 4]);
        keeps_order(&[2, 3, 4], &[4, 6]);
        keeps_order(&[1, 6, 1], &[2, 1, 3]);
        keeps_order(&[8], &[2, 2, 2]);
        keeps_order(&[1], &[]);
        keeps_order(&[], &[1, 1]);
        keeps_order(&[2, 1, 3, 5], &[2, 3, 5]);
    }

    #[test]
    fn a_reshape_of_leading_axes_leaves_the_others_alone() {
        let equation = reshape(&[2, 3, 4, 5], &[6, 4, 5]);
        let Expr::Read(read) = &equation.body else {
            panic!("a reshape is a read")
        };
        assert_eq!(read.at[2], Pos::Ix(Ix::var(1)));
        assert_eq!(read.at[3], Pos::Ix(Ix::var(2)));
    }
}
