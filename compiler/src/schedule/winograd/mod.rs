//! Winograd's minimal filtering: m neighbours of a sum over three taps from m + 2 products instead of 3 m.
//!
//! Enters the net after inlining. A sum `y[j] = Σ_q k[q]·x[j + q]` becomes `y = Aᵀ((G k) ⊙ (Bᵀ x))` for each line of m
//! results: maps before and after a sum without the tap, over one index of points more. Its gradient in the taps,
//! `d[q] = Σ_j y[j]·x[j + q]`, becomes `Gᵀ((A y) ⊙ (Bᵀ x))`. What is left is a sum of the same kind, so a second axis
//! may follow. Nothing here knows a convolution: the shape of the indices decides, and a count of the work.
//!
//! Results differ from the direct sum by rounding, and then depend on where lines begin: an entry whose tiles must
//! agree to the bit does without.
//!
//! Lavin, Gray: Fast Algorithms for Convolutional Neural Networks (2016).

mod build;
mod matrices;

use super::contraction::{self, affine};
use super::net::{Def, Net, ValueId};
use crate::equation::index::{Atom, Ix};
use crate::equation::{Equation, Expr, Pos, Read, Reducer};
use build::Made;

const TAPS: i64 = 3;
/// Axes that one sum may be rewritten along: errors multiply.
const MOST_AXES: u32 = 2;
/// What moving an element to memory and back costs, and one term of its transform, in multiplications of the sum.
const WAY: i64 = 16;
const TERM: i64 = 2;
/// Elements that the taps of one sum may grow to: 32 MB. Memory would be missed more than products.
const MOST_TAPS: i64 = 1 << 23;

/// A sum in which one operand is read at `line + tap`.
#[derive(Clone)]
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
    /// Results of a line.
    m: i64,
}

/// A plain read, and its axis along the line or the taps.
#[derive(Clone)]
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

impl Found {
    /// Products of a line.
    fn points(&self) -> i64 {
        self.m + TAPS - 1
    }

    fn lines(&self, equation: &Equation) -> i64 {
        (equation.extents()[self.line] + self.m - 1) / self.m
    }
}

/// Rewrites every sum of at least `least_work` multiplications that gets cheaper; with 0, every one that can be.
pub fn rewrite(net: &mut Net, least_work: i64) {
    let mut made = Made::default();
    for id in net.order() {
        made.forget_lines();
        rewrite_value(net, id, least_work, MOST_AXES, &mut made);
    }
}

fn rewrite_value(net: &mut Net, id: ValueId, least_work: i64, axes: u32, made: &mut Made) {
    let Def::Compute { pieces, operands } = &net.values[id].def else {
        return;
    };
    let (mut pieces, mut operands) = (pieces.clone(), operands.clone());
    let mut any = false;
    for piece in &mut pieces {
        let Some(found) = find(net, piece, &operands, least_work) else {
            continue;
        };
        any = true;
        let (table, product) = build::build(net, id, piece, &found, made);
        *piece = build::results(piece, &found, operands.len());
        operands.extend([table, product]);
        if axes > 1 {
            rewrite_value(net, product, least_work, axes - 1, made);
        }
    }
    if any {
        super::plan::compact(&mut pieces, &mut operands);
        net.values[id].def = Def::Compute { pieces, operands };
        net.values[id].stands_for = Some(0);
    }
}

fn find(net: &Net, equation: &Equation, operands: &[ValueId], least_work: i64) -> Option<Found> {
    let direct = equation.points();
    let plain = equation.reducer == Reducer::Sum && equation.guards.is_empty();
    if direct < least_work || !plain || !affine(&equation.write) {
        return None;
    }
    let (reads, scale) = contraction::product(&equation.body)?;
    let [Expr::Read(a), Expr::Read(b)] = reads.as_slice() else {
        return None;
    };
    let pairs = [(a, b), (b, a)];
    let all = pairs
        .iter()
        .flat_map(|(x, other)| candidates(equation, operands, x, other, scale));
    let lengths = |f: Found| (2..=matrices::LONGEST).map(move |m| Found { m, ..f.clone() });
    let costs = all
        .flat_map(lengths)
        .filter_map(|f| Some((cost(net, equation, &f)?, f)));
    let (least, found) = costs.min_by_key(|(cost, f)| (*cost, f.m, f.line))?;
    // Kernels more and worse shapes are not counted above.
    (least_work == 0 || least < direct / 4 * 3).then_some(found)
}

/// Every axis of x along which the sum is one over three taps.
fn candidates(
    equation: &Equation,
    operands: &[ValueId],
    x: &Read,
    other: &Read,
    scale: f64,
) -> Vec<Found> {
    let zero = |r: &Read| r.outside.is_none_or(|v| v.get() == 0.0);
    let plain = |r: &Read| zero(r) && affine(&r.at);
    if !plain(x) || !plain(other) {
        return vec![];
    }
    let at_axis = |axis: usize| {
        let (one, two, offset) = line_and_tap(position(x, axis)?)?;
        let pairs = [(one, two), (two, one)];
        let mut found = pairs
            .into_iter()
            .filter_map(|(line, tap)| candidate(equation, x, other, axis, line, tap));
        let (line, tap, role, there) = found.next()?;
        let side = |read: &Read, axis| Side {
            value: operands[read.operand],
            read: read.clone(),
            axis,
        };
        Some(Found {
            x: side(x, axis),
            other: side(other, there),
            line: line.0,
            tap: tap.0,
            role,
            flipped: tap.1 == -1,
            offset,
            scale,
            m: 0,
        })
    };
    (0..x.at.len()).filter_map(at_axis).collect()
}

/// A variable and its sign.
type Term = (usize, i64);

/// The role that line and tap give the sum, and the axis of the other operand that moves with one of them.
fn candidate(
    equation: &Equation,
    x: &Read,
    other: &Read,
    axis: usize,
    line: Term,
    tap: Term,
) -> Option<(Term, Term, Role, usize)> {
    let n_free = equation.free.len();
    let role = match (line.0 < n_free, tap.0 < n_free) {
        (true, false) => Role::Filter,
        (false, true) => Role::Gradient,
        _ => return None,
    };
    let (shared, stranger) = match role {
        Role::Filter => (tap.0, line.0),
        Role::Gradient => (line.0, tap.0),
    };
    let mut along = (0..other.at.len()).filter(|a| has(other, *a, shared));
    let (there, None) = (along.next()?, along.next()) else {
        return None;
    };
    let others = (0..x.at.len()).filter(|a| *a != axis);
    let alone = others
        .into_iter()
        .all(|a| !has(x, a, line.0) && !has(x, a, tap.0));
    let apart = (0..other.at.len()).all(|a| !has(other, a, stranger));
    let place = position(other, there)?;
    let fits = match role {
        Role::Filter => is_single(place, tap.0),
        Role::Gradient => place.as_var() == Some(line.0),
    };
    // The tap may go backwards, the line never does.
    let three = equation.extents()[tap.0] == TAPS && line.1 == 1;
    (alone && apart && fits && three).then_some((line, tap, role, there))
}

fn position(read: &Read, axis: usize) -> Option<&Ix> {
    match &read.at[axis] {
        Pos::Ix(ix) => Some(ix),
        Pos::Computed(_) => None,
    }
}

fn has(read: &Read, axis: usize, v: usize) -> bool {
    position(read, axis).is_some_and(|p| p.has(v))
}

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

/// Multiplications of the sum that is left, with the transforms; None: it cannot be.
fn cost(net: &Net, equation: &Equation, f: &Found) -> Option<i64> {
    let fixed = |s: &Side| contraction::from_weights(net, s.value);
    if fixed(&f.x) || fixed(&f.other) != (f.role == Role::Filter) {
        return None;
    }
    let extents = equation.extents();
    let (n, lines, points) = (extents[f.line], f.lines(equation), f.points());
    let direct = equation.points();
    let products = direct / n * lines * points / TAPS;
    // Elements of an operand beside its axis.
    let rest = |s: &Side| {
        let shape = &net.values[s.value].shape;
        shape.iter().product::<i64>() / shape[s.axis]
    };
    let x = rest(&f.x) * lines * points * (WAY + TERM * points);
    let results: i64 = equation.free.iter().product();
    let other = match f.role {
        Role::Filter if rest(&f.other) * points > MOST_TAPS => return None,
        Role::Filter => {
            let taps = rest(&f.other) * points * WAY / 2;
            taps + results / n * lines * points * WAY + results * points * TERM
        }
        // Lines of results must be whole: beyond the last one, others would count.
        Role::Gradient if n % f.m != 0 || net.values[f.other.value].shape[f.other.axis] != n => {
            return None;
        }
        Role::Gradient => rest(&f.other) * lines * points * (WAY + TERM * f.m),
    };
    Some(products + x + other)
}
