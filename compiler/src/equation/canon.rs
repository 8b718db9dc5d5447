//! The canonical form: affine maps from boxes, as a disjoint union of pieces.
//!
//! Enters an equation with `//` and `%`, guards and one-index conditions; leaves pieces whose positions are affine.
//! A piece that cannot be made so (long, coprime phases) keeps its quasi-affine positions. Values never change.

use super::index::{Atom, Ix};
use super::rewrite::{for_each_read, rebuild};
use super::{Binary, Equation, Expr, Guard, Lit, Pos, Read, Reducer, Relation, Unary};

/// Constants that a canonical form reads, appended to the operands: (shape, row-major values).
pub type Table = (Vec<i64>, Vec<f64>);

pub struct Canonical {
    pub pieces: Vec<Equation>,
    pub tables: Vec<Table>,
}

/// Short phases are unrolled up to this extent, and up to this many pieces in all.
const PHASE: i64 = 16;
const MOST_PIECES: usize = 64;

pub fn canonicalise(
    equation: &Equation,
    operand_shapes: &[&[i64]],
    out_shape: &[i64],
) -> Canonical {
    let pieces = pieces(equation.clone()).unwrap_or_else(|| vec![simplified(equation)]);
    let pieces = pieces
        .into_iter()
        .map(|p| forward(absorb(p, operand_shapes, out_shape)))
        .collect();
    Canonical {
        pieces,
        tables: vec![],
    }
}

fn simplified(q: &Equation) -> Equation {
    let extents = q.extents();
    q.map_indices(&|ix| ix.simplify(&extents))
}

fn pieces(equation: Equation) -> Option<Vec<Equation>> {
    let mut todo = vec![equation];
    let mut done = vec![];
    while let Some(q) = todo.pop() {
        let q = drop_units(&simplified(&q));
        let Some(q) = tighten(q) else { continue };
        match cut(&q)? {
            Cut::Parts(parts) => {
                todo.extend(parts);
                continue;
            }
            Cut::Body(body) => {
                todo.push(Equation { body, ..q });
                continue;
            }
            Cut::Nothing => {}
        }
        match first_atom(&q) {
            None => done.push(q),
            Some((inner, n)) => split(q, &inner, n, &mut todo, done.len())?,
        }
    }
    done.reverse();
    Some(done)
}

/// Indices of extent 1 are 0.
fn drop_units(q: &Equation) -> Equation {
    let extents = q.extents();
    if extents.iter().all(|n| *n != 1) {
        return q.clone();
    }
    let mut map = vec![];
    let mut next = 0;
    for n in &extents {
        if *n == 1 {
            map.push(Ix::constant(0));
        } else {
            map.push(Ix::var(next));
            next += 1;
        }
    }
    let keep = |v: &[i64]| v.iter().copied().filter(|n| *n != 1).collect();
    q.remap(keep(&q.free), keep(&q.reduced), &map)
}

/// Guards that always hold go, one-index guards become extents. None: nothing is left.
fn tighten(mut q: Equation) -> Option<Equation> {
    'again: loop {
        let extents = q.extents();
        if extents.iter().any(|n| *n <= 0) {
            return None;
        }
        for i in 0..q.guards.len() {
            let g = &q.guards[i];
            let (lo, hi) = g.index.range(&extents);
            if hi < 0 || lo >= g.extent {
                return None;
            }
            if lo >= 0 && hi < g.extent {
                q.guards.remove(i);
                continue 'again;
            }
            if let [(Atom::Var(v), c)] = g.index.terms.as_slice() {
                let (v, (first, end)) = (*v, allowed(g, *c, extents[*v]));
                if end <= first {
                    return None;
                }
                q.guards.remove(i);
                q = restrict(&q, v, first, end);
                continue 'again;
            }
        }
        return Some(q);
    }
}

/// Values of the one index, as a half-open range, for which `0 <= c·v + constant < extent`.
fn allowed(g: &Guard, c: i64, n: i64) -> (i64, i64) {
    let ceil = |a: i64, b: i64| -(-a).div_euclid(b);
    let k = g.index.constant;
    let (first, end) = if c > 0 {
        (ceil(-k, c), ceil(g.extent - k, c))
    } else {
        let c = -c;
        ((k - g.extent).div_euclid(c) + 1, k.div_euclid(c) + 1)
    };
    (first.max(0), end.min(n))
}

/// The equation with variable v running over `first..end` of its range, from 0 again.
fn restrict(q: &Equation, v: usize, first: i64, end: i64) -> Equation {
    let map: Vec<Ix> = (0..q.free.len() + q.reduced.len())
        .map(|w| {
            if w == v {
                Ix::var(w).offset(first)
            } else {
                Ix::var(w)
            }
        })
        .collect();
    let (mut free, mut reduced) = (q.free.clone(), q.reduced.clone());
    match v.checked_sub(free.len()) {
        None => free[v] = end - first,
        Some(r) => reduced[r] = end - first,
    }
    q.remap(free, reduced, &map)
}

enum Cut {
    Nothing,
    /// Conditions were decided.
    Body(Expr),
    /// The box falls into parts.
    Parts(Vec<Equation>),
}

/// A condition on one index splits the box where it changes. None: it cannot be split.
fn cut(q: &Equation) -> Option<Cut> {
    let extents = q.extents();
    let body = decide(&q.body, &extents);
    if body != q.body {
        return Some(Cut::Body(body));
    }
    let Some((v, at)) = border(&body, &extents) else {
        return Some(Cut::Nothing);
    };
    if v >= q.free.len() && q.reducer != Reducer::Sum {
        return Some(Cut::Nothing);
    }
    Some(Cut::Parts(vec![
        restrict(q, v, at, extents[v]),
        restrict(q, v, 0, at),
    ]))
}

/// Selects whose condition holds everywhere or nowhere.
fn decide(e: &Expr, extents: &[i64]) -> Expr {
    let go = |e: &Expr| decide(e, extents);
    match e {
        Expr::Select(rel, args) => {
            if let Some(d) = difference(&args[0], &args[1]) {
                let (lo, hi) = d.range(extents);
                let all = (rel.holds(lo as f64, 0.0), rel.holds(hi as f64, 0.0));
                let monotone = matches!(
                    rel,
                    Relation::Lt | Relation::Le | Relation::Gt | Relation::Ge
                );
                match all {
                    (true, true) if monotone || lo == hi => return go(&args[2]),
                    (false, false) if monotone || lo == hi => return go(&args[3]),
                    (false, false) if *rel == Relation::Eq && (hi < 0 || lo > 0) => {
                        return go(&args[3]);
                    }
                    (true, true) if *rel == Relation::Ne && (hi < 0 || lo > 0) => {
                        return go(&args[2]);
                    }
                    _ => {}
                }
            }
            Expr::Select(
                *rel,
                Box::new([go(&args[0]), go(&args[1]), go(&args[2]), go(&args[3])]),
            )
        }
        Expr::Unary(op, a) => Expr::Unary(*op, Box::new(go(a))),
        Expr::Binary(op, a, b) => Expr::Binary(*op, Box::new(go(a)), Box::new(go(b))),
        Expr::Read(r) => {
            let at = r.at.iter().map(|p| match p {
                Pos::Computed(e) => Pos::Computed(Box::new(go(e))),
                p => p.clone(),
            });
            Expr::Read(Read {
                operand: r.operand,
                at: at.collect(),
                outside: r.outside,
            })
        }
        e => e.clone(),
    }
}

/// a - b, if both are whole numbers made of indices.
fn difference(a: &Expr, b: &Expr) -> Option<Ix> {
    Some(whole(a)?.sub(&whole(b)?))
}

fn whole(e: &Expr) -> Option<Ix> {
    match e {
        Expr::Index(ix) => Some(ix.clone()),
        Expr::Lit(l) if l.get().fract() == 0.0 && l.get().abs() < 1e9 => {
            Some(Ix::constant(l.get() as i64))
        }
        _ => None,
    }
}

/// The first place inside an index's range where a condition on that index alone changes.
fn border(e: &Expr, extents: &[i64]) -> Option<(usize, i64)> {
    match e {
        Expr::Select(rel, args) => {
            let here = difference(&args[0], &args[1]).and_then(|d| change(*rel, &d, extents));
            here.or_else(|| args.iter().find_map(|a| border(a, extents)))
        }
        Expr::Unary(_, a) => border(a, extents),
        Expr::Binary(_, a, b) => border(a, extents).or_else(|| border(b, extents)),
        _ => None,
    }
}

fn change(rel: Relation, d: &Ix, extents: &[i64]) -> Option<(usize, i64)> {
    let [(Atom::Var(v), c @ (1 | -1))] = d.terms.as_slice() else {
        return None;
    };
    let holds = |i: i64| rel.holds((c * i + d.constant) as f64, 0.0);
    let n = extents[*v];
    // The sign of d changes at one place; equality adds one more.
    let zero = -d.constant * c;
    let at = [zero - 1, zero, zero + 1]
        .into_iter()
        .find(|i| *i > 0 && *i < n && holds(*i - 1) != holds(*i));
    at.map(|i| (*v, i))
}

/// An innermost `//` or `%` in a position, and its divisor.
fn first_atom(q: &Equation) -> Option<(Ix, i64)> {
    let mut found = None;
    q.for_each_position(&mut |ix| {
        if found.is_none() {
            found = innermost(ix);
        }
    });
    found
}

fn innermost(ix: &Ix) -> Option<(Ix, i64)> {
    ix.terms.iter().find_map(|(atom, _)| match atom {
        Atom::Var(_) => None,
        Atom::Div(e, n) | Atom::Mod(e, n) => innermost(e).or_else(|| Some(((**e).clone(), *n))),
    })
}

/// Splits an index into digits, or unrolls a short phase. None: neither is possible.
fn split(q: Equation, inner: &Ix, n: i64, todo: &mut Vec<Equation>, done: usize) -> Option<()> {
    let extents = q.extents();
    for (atom, c) in &inner.terms {
        let Atom::Var(v) = atom else { continue };
        let m = n / gcd(*c, n);
        if extents[*v] > m {
            todo.push(digits(&q, *v, m));
            return Some(());
        }
    }
    let vars = inner
        .terms
        .iter()
        .filter_map(|(a, _)| if let Atom::Var(v) = a { Some(*v) } else { None });
    let v = vars.min_by_key(|v| (*v >= q.free.len(), extents[*v]))?;
    let fixed = v >= q.free.len() && q.reducer != Reducer::Sum;
    if extents[v] > PHASE || fixed || todo.len() + done + extents[v] as usize > MOST_PIECES {
        return None;
    }
    for value in (0..extents[v]).rev() {
        todo.push(restrict(&q, v, value, value + 1));
    }
    Some(())
}

pub fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a.abs() } else { gcd(b, a % b) }
}

/// `v = m·v₁ + v₀`
fn digits(q: &Equation, v: usize, m: i64) -> Equation {
    let n = q.extents()[v];
    let grow = |w: usize| if w > v { w + 1 } else { w };
    let map: Vec<Ix> = (0..q.free.len() + q.reduced.len())
        .map(|w| {
            if w == v {
                Ix::var(v).scale(m).add(&Ix::var(v + 1))
            } else {
                Ix::var(grow(w))
            }
        })
        .collect();
    let (mut free, mut reduced) = (q.free.clone(), q.reduced.clone());
    let (list, at) = match v.checked_sub(free.len()) {
        None => (&mut free, v),
        Some(r) => (&mut reduced, r),
    };
    list[at] = (n + m - 1) / m;
    list.insert(at + 1, m);
    let mut new = q.remap(free, reduced, &map);
    if n % m != 0 {
        new.guards.push(Guard {
            index: map[v].clone(),
            extent: n,
        });
    }
    new
}

pub fn factors<'a>(e: &'a Expr, list: &mut Vec<&'a Expr>) {
    match e {
        Expr::Binary(Binary::Mul, a, b) => {
            factors(a, list);
            factors(b, list);
        }
        Expr::Unary(Unary::Neg, a) => factors(a, list),
        e => list.push(e),
    }
}

/// A guard that is the very bound of a factor's read becomes that read's zero outside: only in a product of plain
/// reads, since 0·(x/0) is not 0.
fn absorb(mut q: Equation, shapes: &[&[i64]], out_shape: &[i64]) -> Equation {
    let extents = q.extents();
    let writes_inside = q.write.iter().zip(out_shape).all(|(p, n)| {
        matches!(p, Pos::Ix(ix) if { let (lo, hi) = ix.range(&extents); lo >= 0 && hi < *n })
    });
    if !matches!(q.reducer, Reducer::Sum | Reducer::Map) || !writes_inside {
        return q;
    }
    let mut list = vec![];
    factors(&q.body, &mut list);
    let plain = |e: &&Expr| match e {
        Expr::Lit(_) => true,
        Expr::Read(r) => {
            r.at.iter().all(|p| matches!(p, Pos::Ix(_))) && r.outside.is_none_or(|v| v.get() == 0.0)
        }
        _ => false,
    };
    if q.guards.is_empty() || !list.iter().all(plain) {
        return q;
    }
    let guards = std::mem::take(&mut q.guards);
    for g in guards {
        let bound = |r: &Read| {
            r.at.iter()
                .zip(shapes[r.operand])
                .any(|(p, n)| *p == Pos::Ix(g.index.clone()) && *n == g.extent)
        };
        let mut hit = false;
        for_each_read(&q.body, &mut |r| hit |= bound(r));
        if !hit {
            q.guards.push(g);
            continue;
        }
        q.body = rebuild(&q.body, &|ix| ix.clone(), &|mut r| {
            if bound(&r) {
                r.outside = Some(Lit::new(0.0));
            }
            Expr::Read(r)
        });
    }
    q
}

/// Reverses reduced indices that walk a tensor backwards beside a free index, so that data is read forwards.
fn forward(q: Equation) -> Equation {
    let n_free = q.free.len();
    let mut map: Vec<Ix> = (0..n_free + q.reduced.len()).map(Ix::var).collect();
    let mut any = false;
    for r in 0..q.reduced.len() {
        let v = n_free + r;
        let (mut back, mut ahead) = (false, false);
        for_each_read(&q.body, &mut |read| {
            for p in &read.at {
                let Pos::Ix(ix) = p else { continue };
                let beside = ix
                    .terms
                    .iter()
                    .any(|(a, _)| matches!(a, Atom::Var(w) if *w < n_free));
                let c = ix.coefficient(v);
                back |= beside && c < 0;
                ahead |= beside && c > 0;
            }
        });
        if back && !ahead {
            map[v] = Ix::constant(q.reduced[r] - 1).sub(&Ix::var(v));
            any = true;
        }
    }
    if any {
        q.remap(q.free.clone(), q.reduced.clone(), &map)
    } else {
        q
    }
}
