//! Inlining: a pointwise value is computed where it is read, when that costs less than storing it.

use super::Numerics;
use super::net::{self, Def, Net, ValueId, for_each_read};
use crate::equation::cost::cost;
use crate::equation::index::Ix;
use crate::equation::{Equation, Expr, Pos, Read, Reducer, Unary};

/// Rounds in which what has been inlined is looked at again.
const MAX_ROUNDS: usize = 8;

pub fn run(net: &mut Net) {
    let mut users = users_count(net);
    for id in net.order() {
        inline_operands(net, id, &mut users);
    }
}

/// Computes the map that a value takes its numbers from in its place, if nobody else reads the map: it needs no memory then.
pub fn source(net: &mut Net, id: ValueId) {
    let users = users_count(net);
    let alone = |net: &Net, _: &[Equation], _: usize, operand: ValueId, users: usize| {
        users == 1 && is_map(net, operand)
    };
    if let Some(body) = rewritten(net, id, &users, &alone) {
        replace(net, id, body);
    }
}

/// Replaces reads of pointwise operands by their bodies, as long as something changes.
fn inline_operands(net: &mut Net, id: ValueId, users: &mut [usize]) {
    if net.values[id].stored_as.is_some() {
        return;
    }
    for _ in 0..MAX_ROUNDS {
        let Some(body) = rewritten(net, id, users, &worthwhile) else {
            return;
        };
        net.operands(id).iter().for_each(|o| users[*o] -= 1);
        replace(net, id, body);
        net.operands(id).iter().for_each(|o| users[*o] += 1);
    }
}

fn replace(net: &mut Net, id: ValueId, (mut pieces, mut operands): Body) {
    super::plan::compact(&mut pieces, &mut operands);
    net.values[id].def = match &net.values[id].def {
        Def::Compute { .. } => Def::Compute { pieces, operands },
        Def::Scatter { .. } => Def::Scatter {
            equation: pieces.remove(0),
            operands,
        },
        _ => unreachable!("only computed values have operands"),
    };
}

fn users_count(net: &Net) -> Vec<usize> {
    let mut counts = vec![0; net.values.len()];
    for id in 0..net.values.len() {
        for o in net.operands(id) {
            counts[*o] += 1;
        }
    }
    for root in net.roots() {
        counts[root] += 1;
    }
    counts
}

type Body = (Vec<Equation>, Vec<ValueId>);

/// Whether to inline: the pieces that read, the number of the operand among theirs, the operand, its users.
type Rule<'a> = &'a dyn Fn(&Net, &[Equation], usize, ValueId, usize) -> bool;

fn rewritten(net: &Net, id: ValueId, users: &[usize], wanted: Rule) -> Option<Body> {
    let (pieces, operands) = match &net.values[id].def {
        Def::Compute { pieces, operands } => (pieces.clone(), operands.clone()),
        Def::Scatter { equation, operands } => (vec![equation.clone()], operands.clone()),
        _ => return None,
    };
    for (slot, &operand) in operands.iter().enumerate() {
        if !wanted(net, &pieces, slot, operand, users[operand]) {
            continue;
        }
        let mut new_operands = operands.clone();
        let first = new_operands.len();
        new_operands.extend(net.operands(operand));
        let source = net.single(operand).expect("wanted are maps");
        let shape = &net.values[operand].shape;
        let new: Option<Vec<Equation>> = pieces
            .iter()
            .map(|p| substitute(p, slot, source, shape, first, net, operand))
            .collect();
        if let Some(new) = new
            && new.iter().all(|e| is_small(&net.numerics, e))
        {
            return Some((new, new_operands));
        }
    }
    None
}

fn is_small(numerics: &Numerics, equation: &Equation) -> bool {
    let c = cost(&equation.body);
    c.arithmetic + c.maths <= numerics.max_body_nodes && c.reads <= numerics.max_body_reads
}

fn is_map(net: &Net, id: ValueId) -> bool {
    net.single(id)
        .is_some_and(|e| e.reducer == Reducer::Map && e.guards.is_empty() && !net.values[id].fixed)
}

fn worthwhile(net: &Net, pieces: &[Equation], slot: usize, operand: ValueId, users: usize) -> bool {
    let Some(source) = net.single(operand).filter(|_| is_map(net, operand)) else {
        return false;
    };
    let (n, c) = (&net.numerics, cost(&source.body));
    let view = c.arithmetic == 0 && c.maths == 0 && c.reads <= 1;
    if view {
        return true;
    }
    let points: i64 = source.free.iter().product();
    let mut allowed = true;
    for piece in pieces {
        let reads = count_reads(piece, slot);
        if reads == 0 {
            continue;
        }
        let box_points = piece.points();
        let once = box_points * reads <= points;
        let cheap =
            c.maths == 0 && c.arithmetic <= n.max_cheap_arithmetic && c.reads <= n.max_cheap_reads;
        let product = piece.reducer == Reducer::Sum && factor_count(&piece.body) >= 2;
        let tiny = points <= n.max_inlined_points && cheap;
        allowed &= match (product, users) {
            (true, _) => false,
            (false, 1) => {
                once || tiny || (cheap && box_points * reads <= n.max_recomputed * points)
            }
            (false, _) => cheap && (once || tiny) && !follows_anchor(net, operand),
        };
    }
    allowed
}

/// The value would rather be computed by the kernel of one of its operands.
fn follows_anchor(net: &Net, id: ValueId) -> bool {
    net.operands(id)
        .iter()
        .any(|o| matches!(net.single(*o), Some(e) if e.reducer != Reducer::Map))
}

fn factor_count(e: &Expr) -> usize {
    match e {
        Expr::Binary(crate::equation::Binary::Mul, a, b) => factor_count(a) + factor_count(b),
        Expr::Unary(Unary::Neg, a) => factor_count(a),
        Expr::Lit(_) => 0,
        _ => 1,
    }
}

fn count_reads(piece: &Equation, slot: usize) -> i64 {
    let mut n = 0;
    for_each_read(&piece.body, &mut |r| n += i64::from(r.operand == slot));
    for w in &piece.write {
        if let Pos::Computed(e) = w {
            for_each_read(e, &mut |r| n += i64::from(r.operand == slot));
        }
    }
    n
}

/// The piece with every read of `slot` replaced; None if one of them cannot be.
fn substitute(
    piece: &Equation,
    slot: usize,
    source: &Equation,
    shape: &[i64],
    first: usize,
    net: &Net,
    operand: ValueId,
) -> Option<Equation> {
    let failed = std::cell::Cell::new(false);
    let extents = piece.extents();
    let replace = |r: Read| {
        if r.operand != slot {
            return Expr::Read(r);
        }
        match inlined(&r, source, shape, first, &extents, net, operand) {
            Some(e) => e,
            None => {
                failed.set(true);
                Expr::Read(r)
            }
        }
    };
    let mut new = piece.clone();
    new.body = net::rebuild(&piece.body, &|ix| ix.clone(), &replace);
    new.write = piece
        .write
        .iter()
        .map(|p| net::rebuild_pos(p, &|ix| ix.clone(), &replace))
        .collect();
    (!failed.get()).then_some(new)
}

fn inlined(
    read: &Read,
    source: &Equation,
    shape: &[i64],
    first: usize,
    extents: &[i64],
    net: &Net,
    operand: ValueId,
) -> Option<Expr> {
    let mut by_var: Vec<Option<Ix>> = vec![None; source.free.len()];
    for (axis, w) in source.write.iter().enumerate() {
        let (Pos::Ix(w), Pos::Ix(at)) = (w, &read.at[axis]) else {
            return None;
        };
        match (w.as_var(), w.as_constant()) {
            (Some(v), _) => by_var[v] = Some(at.clone()),
            (None, Some(_)) => {}
            _ => return None,
        }
    }
    let inside = read.at.iter().zip(shape).all(|(p, n)| matches!(p, Pos::Ix(ix) if { let (lo, hi) = ix.range(extents); lo >= 0 && hi < *n }));
    let outside = if inside { None } else { read.outside };
    if !inside {
        outside_carries(source, shape, read, extents, net, operand)?;
    }
    let at = |v: usize| by_var[v].clone().unwrap_or(Ix::constant(0));
    let body = net::rebuild(&source.body, &|ix| ix.substitute(&at), &|mut r| {
        r.operand += first;
        if let Some(v) = outside {
            r.outside = Some(v);
        }
        Expr::Read(r)
    });
    let mut affine = true;
    for_each_read(&body, &mut |r| {
        affine &=
            r.at.iter()
                .all(|p| !matches!(p, Pos::Ix(ix) if !ix.is_affine()))
    });
    affine.then_some(body)
}

/// Outside of the source is outside of the one tensor it views, in every axis that the read leaves.
fn outside_carries(
    source: &Equation,
    shape: &[i64],
    read: &Read,
    extents: &[i64],
    net: &Net,
    operand: ValueId,
) -> Option<()> {
    let Expr::Read(inner) = &source.body else {
        return None;
    };
    if inner.outside.is_some_and(|v| Some(v) != read.outside) || read.outside.is_none() {
        return None;
    }
    let inner_shape = &net.values[net.operands(operand)[inner.operand]].shape;
    for (axis, p) in read.at.iter().enumerate() {
        let Pos::Ix(ix) = p else { return None };
        let (lo, hi) = ix.range(extents);
        if lo >= 0 && hi < shape[axis] {
            continue;
        }
        let Pos::Ix(w) = &source.write[axis] else {
            return None;
        };
        let v = w.as_var()?;
        let kept = inner.at.iter().enumerate().any(|(a, p)| {
            matches!(p, Pos::Ix(ix) if ix.as_var() == Some(v)) && inner_shape[a] == shape[axis]
        });
        if !kept {
            return None;
        }
    }
    Some(())
}
