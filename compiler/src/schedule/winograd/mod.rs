//! Winograd's minimal filtering along one axis: four neighbours of a sum over three taps from six products, not twelve.
//!
//! Enters the net after inlining; a convolution `y[j] = Σ_q k[q]·x[j + q]` becomes `y = Aᵀ((G k) ⊙ (Bᵀ x))` for each
//! line of four results: maps before and after one product with an index of six. Its weight gradient
//! `d[q] = Σ_j y[j]·x[j + q]` becomes `Gᵀ((A y) ⊙ (Bᵀ x))`. Nothing here knows a convolution: the shape of the indices
//! decides. Results differ from the direct sum by rounding, and a result then sees the rounding of its three
//! neighbours: an entry whose tiles must agree to the bit does without.
//!
//! Lavin, Gray: Fast Algorithms for Convolutional Neural Networks (2016), F(4, 3).

mod build;

use super::contraction;
use super::net::{Net, ValueId};
use crate::equation::index::{Atom, Ix};
use crate::equation::{Equation, Expr, Pos, Read, Reducer};

/// Results of one line, taps, and products of a line.
const LINE: i64 = 4;
const TAPS: i64 = 3;
const POINTS: i64 = 6;

/// Multiplications below which a kernel more costs what it saves.
const LEAST_WORK: i64 = 1 << 24;
/// Multiplications that one element of x, and of y, costs when it is transformed: mostly its way through memory.
const TRANSFORM: i64 = 24;

/// A sum in which one operand is read at `line + tap`.
struct Found {
    /// The reads: at line + tap, and the other one.
    x: Side,
    other: Side,
    line: usize,
    tap: usize,
    role: Role,
    /// x is read at `line - tap + offset`.
    flipped: bool,
    offset: i64,
    scale: f64,
}

/// A plain read, and its axis along the line or the taps.
struct Side {
    value: ValueId,
    read: Read,
    axis: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum Role {
    /// The lines are results, the other operand holds taps.
    Filter,
    /// The taps are results, the other operand holds lines.
    Gradient,
}

/// Rewrites every sum that gets cheaper.
pub fn rewrite(net: &mut Net) {
    for id in net.order() {
        if let Some(found) = find(net, id) {
            build::build(net, id, &found);
        }
    }
}

fn find(net: &Net, id: ValueId) -> Option<Found> {
    let equation = net.single(id)?;
    let bare =
        |p: &Pos| matches!(p, Pos::Ix(ix) if ix.as_var().is_some() || ix.as_constant() == Some(0));
    if equation.reducer != Reducer::Sum
        || !equation.guards.is_empty()
        || !equation.write.iter().all(bare)
    {
        return None;
    }
    let (reads, scale) = contraction::product(&equation.body)?;
    let [Expr::Read(a), Expr::Read(b)] = reads.as_slice() else {
        return None;
    };
    let pairs = [(a, b), (b, a)];
    let all = pairs
        .iter()
        .flat_map(|(x, other)| candidates(net, id, equation, x, other, scale));
    let extents = extents(equation);
    all.filter(|f| cheaper(net, equation, f))
        .max_by_key(|f| (extents[f.line] % LINE == 0, extents[f.line], f.line))
}

fn extents(equation: &Equation) -> Vec<i64> {
    equation
        .free
        .iter()
        .chain(&equation.reduced)
        .copied()
        .collect()
}

/// Every axis of x along which the sum is one over three taps.
fn candidates(
    net: &Net,
    id: ValueId,
    equation: &Equation,
    x: &Read,
    other: &Read,
    scale: f64,
) -> Vec<Found> {
    let operands = net.operands(id);
    let n_free = equation.free.len();
    let extents = extents(equation);
    let zero = |r: &Read| r.outside.is_none_or(|v| v.get() == 0.0);
    if !zero(x) || !zero(other) || !affine(x) || !affine(other) {
        return vec![];
    }
    let found = |axis: usize| {
        let (one, two, offset) = line_and_tap(&position(x, axis)?)?;
        let is_tap = |v: usize| extents[v] == TAPS;
        // The tap may go backwards, the line never does.
        let pairs = [(one, two), (two, one)];
        pairs
            .into_iter()
            .find_map(|((line, forward), (tap, sign))| {
                let role = match (line < n_free, tap < n_free) {
                    (true, false) => Role::Filter,
                    (false, true) => Role::Gradient,
                    _ => return None,
                };
                if forward != 1 || !is_tap(tap) || !alone(x, axis, &[line, tap]) {
                    return None;
                }
                let shared = if role == Role::Filter { tap } else { line };
                let stranger = if role == Role::Filter { line } else { tap };
                let there = (0..other.at.len())
                    .find(|a| position(other, *a).is_some_and(|p| p.has(shared)))?;
                if !alone(other, there, &[shared]) || other_has(other, stranger) {
                    return None;
                }
                let place = position(other, there)?;
                let fits = match role {
                    Role::Filter => is_single(&place, tap),
                    Role::Gradient => {
                        place.as_var() == Some(line)
                            && net.values[operands[other.operand]].shape[there] == extents[line]
                    }
                };
                fits.then(|| Found {
                    x: Side {
                        value: operands[x.operand],
                        read: x.clone(),
                        axis,
                    },
                    other: Side {
                        value: operands[other.operand],
                        read: other.clone(),
                        axis: there,
                    },
                    line,
                    tap,
                    role,
                    flipped: sign == -1,
                    offset,
                    scale,
                })
            })
    };
    (0..x.at.len()).filter_map(found).collect()
}

fn affine(read: &Read) -> bool {
    read.at
        .iter()
        .all(|p| matches!(p, Pos::Ix(ix) if ix.is_affine()))
}

fn position(read: &Read, axis: usize) -> Option<Ix> {
    match &read.at[axis] {
        Pos::Ix(ix) => Some(ix.clone()),
        Pos::Computed(_) => None,
    }
}

type Term = (usize, i64);

/// The two variables of `±a ± b + constant`.
fn line_and_tap(ix: &Ix) -> Option<(Term, Term, i64)> {
    match ix.terms.as_slice() {
        [(Atom::Var(a), s), (Atom::Var(b), t)] if s.abs() == 1 && t.abs() == 1 => {
            Some(((*a, *s), (*b, *t), ix.constant))
        }
        _ => None,
    }
}

/// `±v + constant`
fn is_single(ix: &Ix, v: usize) -> bool {
    matches!(ix.terms.as_slice(), [(Atom::Var(w), s)] if *w == v && s.abs() == 1)
}

/// No other axis of the read moves with one of the variables.
fn alone(read: &Read, axis: usize, vars: &[usize]) -> bool {
    let others = (0..read.at.len()).filter(|a| *a != axis);
    others
        .filter_map(|a| position(read, a))
        .all(|p| vars.iter().all(|v| !p.has(*v)))
}

fn other_has(read: &Read, v: usize) -> bool {
    (0..read.at.len())
        .filter_map(|a| position(read, a))
        .any(|p| p.has(v))
}

/// Whether half of the products, with the transforms, costs clearly less than all of them.
fn cheaper(net: &Net, equation: &Equation, f: &Found) -> bool {
    let extents = extents(equation);
    let direct: i64 = extents.iter().product();
    let lines = (extents[f.line] + LINE - 1) / LINE;
    if direct < LEAST_WORK || lines < 2 || lines * LINE > extents[f.line] * 9 / 8 {
        return false;
    }
    let fixed = contraction::from_weights(net, f.other.value);
    if fixed != (f.role == Role::Filter) || contraction::from_weights(net, f.x.value) {
        return false;
    }
    let size = |id: ValueId| net.values[id].shape.iter().product::<i64>();
    let (transformed, whole) = match f.role {
        Role::Filter => (
            size(f.x.value) + equation.free.iter().product::<i64>(),
            true,
        ),
        Role::Gradient => (
            size(f.x.value) + size(f.other.value),
            extents[f.line] % LINE == 0,
        ),
    };
    let products = direct / extents[f.line] * lines * POINTS / TAPS;
    whole && products + TRANSFORM * transformed < direct / 4 * 3
}
