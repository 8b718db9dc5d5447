//! Winograd's minimal filtering F(m, 3): m neighbours of a sum over three taps from m + 2 products instead of 3 m.
//!
//! Enters the net after inlining. A sum `y[j] = Σ_q k[q]·x[j + q]` becomes `y = Aᵀ((G k) ⊙ (Bᵀ x))` for each tile of m
//! results: transforms (maps) before and after a sum without the tap, over one index of points more. Its gradient in the taps,
//! `d[q] = Σ_j y[j]·x[j + q]`, becomes `Gᵀ((A y) ⊙ (Bᵀ x))`. What is left is a sum of the same kind, so a second axis
//! may follow. Nothing here knows a convolution: the shape of the indices decides, and a count of the work.
//!
//! Results differ from the direct sum by rounding, and then depend on where tiles begin: an entry whose pictures' tiles must
//! agree to the bit does without.
//!
//! Lavin, Gray: Fast Algorithms for Convolutional Neural Networks (2016).

mod build;
mod matrices;

use super::contraction::{self, affine};
use super::net::{Def, Net, ValueId};
use crate::equation::index::{Atom, Ix};
use crate::equation::{Equation, Expr, Pos, Read, Reducer};
use build::TransformCache;
pub use matrices::MAX_TILE_RESULTS;

/// What the matrices are made for.
const TAPS: i64 = 3;

/// A sum in which one operand is read at `tile + tap`.
#[derive(Clone)]
struct WinogradPattern {
    /// The reads: at tile + tap, and the other one.
    x: Side,
    other: Side,
    /// The index that is cut into tiles, and that of the taps.
    tile: usize,
    tap: usize,
    role: Role,
    /// x is read at `tile - tap + offset`.
    flipped: bool,
    offset: i64,
    scale: f64,
    /// Results of a tile.
    m: i64,
}

/// A plain read, and its axis along the tile or the taps.
#[derive(Clone)]
struct Side {
    value: ValueId,
    read: Read,
    axis: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum Role {
    /// The tiles are results, the other operand holds taps.
    Filter,
    /// The taps are results, the other operand holds tiles.
    Gradient,
}

impl WinogradPattern {
    /// Products of a tile.
    fn points(&self) -> i64 {
        self.m + TAPS - 1
    }

    fn n_tiles(&self, equation: &Equation) -> i64 {
        (equation.extents()[self.tile] + self.m - 1) / self.m
    }
}

/// Rewrites every sum that gets cheaper.
pub fn rewrite(net: &mut Net) {
    let mut transforms = TransformCache::default();
    for id in net.order() {
        transforms.forget_tiles();
        rewrite_value(net, id, net.numerics.max_winograd_axes, &mut transforms);
    }
}

fn rewrite_value(net: &mut Net, id: ValueId, axes: u32, transforms: &mut TransformCache) {
    let Def::Compute { pieces, operands } = &net.values[id].def else {
        return;
    };
    let (mut pieces, mut operands) = (pieces.clone(), operands.clone());
    let mut any = false;
    for piece in &mut pieces {
        let Some(found) = find(net, piece, &operands) else {
            continue;
        };
        any = true;
        let (table, product) = build::build(net, id, piece, &found, transforms);
        *piece = build::results(piece, &found, operands.len());
        operands.extend([table, product]);
        if axes > 1 {
            rewrite_value(net, product, axes - 1, transforms);
        }
    }
    if any {
        super::plan::compact(&mut pieces, &mut operands);
        net.values[id].def = Def::Compute { pieces, operands };
        net.values[id].stands_for = Some(0);
    }
}

fn find(net: &Net, equation: &Equation, operands: &[ValueId]) -> Option<WinogradPattern> {
    let n = &net.numerics;
    let least_work = n.min_winograd_multiplications;
    let max_tile = n.max_winograd_tile.min(MAX_TILE_RESULTS);
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
    let sizes =
        |f: WinogradPattern| (2..=max_tile).map(move |m| WinogradPattern { m, ..f.clone() });
    let costs = all
        .flat_map(sizes)
        .filter_map(|f| Some((cost(net, equation, &f)?, f)));
    let (least, found) = costs.min_by_key(|(cost, f)| (*cost, f.m, f.tile))?;
    (least_work == 0 || least < direct / 4 * n.max_winograd_quarters).then_some(found)
}

/// Every axis of x along which the sum is one over three taps.
fn candidates(
    equation: &Equation,
    operands: &[ValueId],
    x: &Read,
    other: &Read,
    scale: f64,
) -> Vec<WinogradPattern> {
    let zero = |r: &Read| r.outside.is_none_or(|v| v.get() == 0.0);
    let plain = |r: &Read| zero(r) && affine(&r.at);
    if !plain(x) || !plain(other) {
        return vec![];
    }
    let at_axis = |axis: usize| {
        let (one, two, offset) = tile_and_tap(position(x, axis)?)?;
        let pairs = [(one, two), (two, one)];
        let mut found = pairs
            .into_iter()
            .filter_map(|(tile, tap)| candidate(equation, x, other, axis, tile, tap));
        let (tile, tap, role, there) = found.next()?;
        let side = |read: &Read, axis| Side {
            value: operands[read.operand],
            read: read.clone(),
            axis,
        };
        Some(WinogradPattern {
            x: side(x, axis),
            other: side(other, there),
            tile: tile.0,
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

/// The role that tile and tap give the sum, and the axis of the other operand that moves with one of them.
fn candidate(
    equation: &Equation,
    x: &Read,
    other: &Read,
    axis: usize,
    tile: Term,
    tap: Term,
) -> Option<(Term, Term, Role, usize)> {
    let n_free = equation.free.len();
    let role = match (tile.0 < n_free, tap.0 < n_free) {
        (true, false) => Role::Filter,
        (false, true) => Role::Gradient,
        _ => return None,
    };
    let (shared, stranger) = match role {
        Role::Filter => (tap.0, tile.0),
        Role::Gradient => (tile.0, tap.0),
    };
    let mut along = (0..other.at.len()).filter(|a| has(other, *a, shared));
    let (there, None) = (along.next()?, along.next()) else {
        return None;
    };
    let others = (0..x.at.len()).filter(|a| *a != axis);
    let alone = others
        .into_iter()
        .all(|a| !has(x, a, tile.0) && !has(x, a, tap.0));
    let apart = (0..other.at.len()).all(|a| !has(other, a, stranger));
    let place = position(other, there)?;
    let fits = match role {
        Role::Filter => is_single(place, tap.0),
        Role::Gradient => place.as_var() == Some(tile.0),
    };
    // The tap may go backwards, the tile never does.
    let three = equation.extents()[tap.0] == TAPS && tile.1 == 1;
    (alone && apart && fits && three).then_some((tile, tap, role, there))
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
fn tile_and_tap(ix: &Ix) -> Option<(Term, Term, i64)> {
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
fn cost(net: &Net, equation: &Equation, f: &WinogradPattern) -> Option<i64> {
    let fixed = |s: &Side| net.from_weights(s.value);
    if fixed(&f.x) || fixed(&f.other) != (f.role == Role::Filter) {
        return None;
    }
    let numerics = &net.numerics;
    let (transfer, term) = (numerics.winograd_transfer_cost, numerics.winograd_term_cost);
    let extents = equation.extents();
    let (n, tiles, points) = (extents[f.tile], f.n_tiles(equation), f.points());
    let direct = equation.points();
    let products = direct / n * tiles * points / TAPS;
    // Elements of an operand beside its axis.
    let rest = |s: &Side| {
        let shape = &net.values[s.value].shape;
        shape.iter().product::<i64>() / shape[s.axis]
    };
    let x = rest(&f.x) * tiles * points * (transfer + term * points);
    let results: i64 = equation.free.iter().product();
    let other = match f.role {
        Role::Filter if rest(&f.other) * points > numerics.max_winograd_tap_elements => {
            return None;
        }
        Role::Filter => {
            let taps = rest(&f.other) * points * transfer / 2;
            taps + results / n * tiles * points * transfer + results * points * term
        }
        // Tiles of results must be whole: beyond the last one, others would count.
        Role::Gradient if n % f.m != 0 || net.values[f.other.value].shape[f.other.axis] != n => {
            return None;
        }
        Role::Gradient => rest(&f.other) * tiles * points * (transfer + term * f.m),
    };
    Some(products + x + other)
}
