//! Guards: tightened into extents, absorbed into reads that are 0 outside, or cut away.

use super::fold;
use super::index::{Atom, Ix};
use super::work::Work;
use super::{Expr, Guard, Lit, Pos, Read, Reducer};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Settled {
    Somewhere,
    /// No point of the box contributes.
    Nowhere,
}

/// Drops indices of extent 1, resolves what the box decides, and turns guards on one index into extents.
pub(super) fn settle(w: &mut Work, shapes: &[&[i64]], out_shape: &[i64]) -> Settled {
    debug_assert_eq!(w.write.len(), out_shape.len(), "write positions");
    // Of an extreme, a term that is 0 counts, even if no index is left to reduce.
    let droppable = w.is_additive();
    loop {
        for v in w.order.clone() {
            match w.extents[v] {
                ..1 => return Settled::Nowhere,
                1 => w.replace(v, &Ix::constant(0)),
                _ => {}
            }
        }
        simplify(w, shapes);
        if droppable && w.body.is(0.0) {
            return Settled::Nowhere;
        }
        match tighten(w) {
            Tightened::Never => return Settled::Nowhere,
            Tightened::Changed => {}
            Tightened::Same => return Settled::Somewhere,
        }
    }
}

fn simplify(w: &mut Work, shapes: &[&[i64]]) {
    w.body = fold::expr(&w.body, &w.extents, shapes);
    w.guards
        .iter_mut()
        .for_each(|g| g.index = g.index.normalise(&w.extents));
    w.write
        .iter_mut()
        .for_each(|p| *p = fold::position(p, &w.extents, shapes));
    if w.reducer != Reducer::Map && !w.has_reduced() {
        if w.reducer == Reducer::Var {
            w.body = Expr::lit(0.0);
        }
        w.reducer = Reducer::Map;
    }
}

enum Tightened {
    Changed,
    Same,
    Never,
}

fn tighten(w: &mut Work) -> Tightened {
    let mut kept: Vec<Guard> = vec![];
    let mut bounds: Option<(usize, i64, i64)> = None;
    for g in std::mem::take(&mut w.guards) {
        let (lo, hi) = g.index.range(&w.extents);
        if hi < 0 || lo >= g.extent {
            return Tightened::Never;
        }
        if (lo >= 0 && hi < g.extent) || kept.contains(&g) {
            continue;
        }
        match g.index.terms.as_slice() {
            [(Atom::Var(v), c)] if bounds.is_none() => {
                let (first, last) = solve(*c, g.index.constant, g.extent);
                bounds = Some((*v, first.max(0), (last + 1).min(w.extents[*v])));
            }
            _ => kept.push(g),
        }
    }
    w.guards = kept;
    match bounds {
        None => Tightened::Same,
        Some((_, lo, hi)) if lo >= hi => Tightened::Never,
        Some((v, lo, hi)) => {
            w.restrict(v, lo, hi);
            Tightened::Changed
        }
    }
}

/// First and last v with `0 <= c·v + d < n`.
fn solve(c: i64, d: i64, n: i64) -> (i64, i64) {
    let ceil = |a: i64, b: i64| -(-a).div_euclid(b);
    match c > 0 {
        true => (ceil(-d, c), (n - 1 - d).div_euclid(c)),
        false => (ceil(d - (n - 1), -c), d.div_euclid(-c)),
    }
}

/// A guard that bounds a factor of a finite product becomes that read's `outside: 0`. A guard on free indices alone
/// stays: it says which cells are written at all.
pub(super) fn absorb(w: &mut Work, shapes: &[&[i64]]) {
    if w.guards.is_empty() || !w.is_additive() || !fold::is_finite(&w.body) {
        return;
    }
    let reads: Vec<Read> = fold::factors(&w.body)
        .into_iter()
        .filter_map(|f| match f {
            Expr::Read(r) if r.outside.is_none_or(|v| v == Lit::new(0.0)) => Some(r),
            _ => None,
        })
        .collect();
    let extents = w.extents.clone();
    let bounds = |r: &Read, g: &Guard| {
        let mut axes = r.at.iter().zip(shapes[r.operand]);
        axes.any(|(p, n)| p.as_ix().is_some_and(|p| is_bound(g, p, *n, &extents)))
    };
    let before = w.guards.len();
    let sums = |g: &Guard| (w.order.iter()).any(|v| w.reduced[*v] && g.index.has(*v));
    let guards = w
        .guards
        .iter()
        .filter(|g| !sums(g) || !reads.iter().any(|r| bounds(r, g)));
    w.guards = guards.cloned().collect();
    if w.guards.len() < before {
        w.body = zero_outside(&w.body, &w.extents, shapes);
    }
}

/// Whether `0 <= position < n` says just what the guard says: `position = s·guard + rest`, and the rest decides nothing.
fn is_bound(g: &Guard, position: &Ix, n: i64, extents: &[i64]) -> bool {
    let Some((Atom::Var(v), c)) = g.index.terms.first() else {
        return false;
    };
    let s = position.coefficient(*v) / c;
    if s == 0 {
        return false;
    }
    let rest = position.add_scaled(&g.index, -s);
    if g.index
        .terms
        .iter()
        .any(|(a, _)| matches!(a, Atom::Var(v) if rest.has(*v)))
    {
        return false;
    }
    let (lo, hi) = rest.range(extents);
    [lo, hi]
        .iter()
        .all(|rest| solve(s, *rest, n) == (0, g.extent - 1))
}

/// Without the guard, reads may leave their tensors, those inside of computed positions, too; the product is 0 there in any
/// case.
fn zero_outside(body: &Expr, extents: &[i64], shapes: &[&[i64]]) -> Expr {
    let leaves = |r: &Read| {
        let mut axes = r.at.iter().zip(shapes[r.operand]);
        axes.any(|(p, n)| {
            let range = p.as_ix().map(|ix| ix.range(extents));
            range.is_some_and(|(lo, hi)| lo < 0 || hi >= *n)
        })
    };
    body.rewrite(&mut |e| match e {
        Expr::Read(mut r) => {
            if r.outside.is_none() && leaves(&r) {
                r.outside = Some(Lit::new(0.0));
            }
            for p in &mut r.at {
                if let Pos::Computed(e) = p {
                    **e = zero_outside(e, extents, shapes);
                }
            }
            Expr::Read(r)
        }
        e => e,
    })
}

/// Cuts a guard over several free indices away: where it always holds, and a few slices where it becomes simpler.
pub(super) fn cut_free(w: &Work) -> Option<Vec<Work>> {
    w.guards.iter().find_map(|g| cut_guard(w, g))
}

/// Most slices beside the part where the guard holds.
const SLICES: i64 = 4;

fn cut_guard(w: &Work, g: &Guard) -> Option<Vec<Work>> {
    if !g.index.is_affine()
        || g.index
            .terms
            .iter()
            .any(|(a, _)| matches!(a, Atom::Var(v) if w.reduced[*v]))
    {
        return None;
    }
    let (Atom::Var(v), c) = g.index.terms.iter().max_by_key(|(_, c)| c.abs())? else {
        return None;
    };
    let rest = g.index.replace(*v, &Ix::constant(0));
    let (lo, hi) = rest.range(&w.extents);
    // Holds for every value of the rest: 0 <= c·v + lo and c·v + hi < n.
    let (first, last) = solve(*c, lo, g.extent - (hi - lo));
    let (first, last) = (first.max(0), (last + 1).min(w.extents[*v]));
    if first >= last || w.extents[*v] - (last - first) > SLICES {
        return None;
    }
    let part = |from: i64, to: i64| {
        let mut part = w.clone();
        part.restrict(*v, from, to);
        part
    };
    let single = |i: i64| part(i, i + 1);
    let before = (0..first).map(single);
    let after = (last..w.extents[*v]).map(single);
    Some(before.chain([part(first, last)]).chain(after).collect())
}
