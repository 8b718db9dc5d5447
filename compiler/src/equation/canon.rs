//! Canonical form: an equation becomes disjoint pieces whose maps are affine.
//!
//! In: quasi-affine maps, conditions and guards. Out: pieces over boxes, with the same value in every cell. What
//! cannot be made affine stays a computed position; nothing here looks at tensor values or at operators' names.

use super::band;
use super::fold;
use super::guard::{self, Settled, absorb};
use super::index::{Atom, Ix};
use super::work::Work;
use super::{Binary, Equation, Expr, Pos, Read, Reducer, Relation};

/// An equation as pieces. `tables` are constant operands to append after the given ones.
#[derive(Clone, Debug, PartialEq)]
pub struct Canonical {
    pub pieces: Vec<Equation>,
    pub tables: Vec<(Vec<i64>, Vec<f64>)>,
}

/// Pieces of an equation; none where it is zero everywhere.
pub fn canonicalise(eq: &Equation, operand_shapes: &[&[i64]], out_shape: &[i64]) -> Canonical {
    let mut pieces = pieces(eq, operand_shapes, out_shape);
    if let [piece] = pieces.as_slice()
        && let Some(shorter) = band::shorten(piece, operand_shapes, out_shape)
    {
        let shorter = self::pieces(&shorter, operand_shapes, out_shape);
        let points = |pieces: &[Equation]| pieces.iter().map(Equation::points).sum::<i64>();
        // The factor that was confined is then read outside of itself, which costs a copy with a border.
        if 2 * points(&shorter) <= points(&pieces) {
            pieces = shorter;
        }
    }
    band::reverse(&mut pieces);
    Canonical {
        pieces,
        tables: vec![],
    }
}

fn pieces(eq: &Equation, shapes: &[&[i64]], out_shape: &[i64]) -> Vec<Equation> {
    let reach = |unroll| {
        Reach {
            shapes,
            out_shape,
            unroll,
        }
        .pieces(Work::new(eq))
    };
    let found = reach(UNROLL)
        .or_else(|| reach(0))
        .unwrap_or_else(|| vec![Work::new(eq)]);
    found.iter().map(Work::pack).collect()
}

/// Longest phase that is unrolled.
const UNROLL: i64 = 16;
/// Most pieces of one equation.
const PIECES: usize = 64;

struct Reach<'a> {
    shapes: &'a [&'a [i64]],
    out_shape: &'a [i64],
    unroll: i64,
}

/// A `//` or `%` in a position, guard or condition: the argument, and the divisor.
struct Period {
    argument: Ix,
    divisor: i64,
}

impl Reach<'_> {
    /// None: too many.
    fn pieces(&self, start: Work) -> Option<Vec<Work>> {
        let (mut todo, mut done) = (vec![start], vec![]);
        while let Some(mut w) = todo.pop() {
            if todo.len() + done.len() > PIECES {
                return None;
            }
            if guard::settle(&mut w, self.shapes, self.out_shape) == Settled::Nowhere {
                continue;
            }
            match self.next(&w) {
                Some(parts) => todo.extend(parts.into_iter().rev()),
                None => done.push(finish(w, self.shapes)),
            }
        }
        Some(done)
    }

    /// One step towards affine maps; None: there is no further one.
    fn next(&self, w: &Work) -> Option<Vec<Work>> {
        if let Some(parts) = cut(w, self.shapes, self.out_shape) {
            return Some(parts);
        }
        let periods = periods(w);
        if let Some(w) = periods.iter().find_map(|p| split(w, p)) {
            return Some(vec![w]);
        }
        if let Some(parts) = periods.iter().find_map(|p| self.unroll(w, p)) {
            return Some(parts);
        }
        let mut plain = w.clone();
        absorb(&mut plain, self.shapes);
        guard::cut_free(&plain)
    }

    /// A short phase is unrolled: a free one into pieces; a reduced one if its guards leave one value, or by adding up.
    fn unroll(&self, w: &Work, p: &Period) -> Option<Vec<Work>> {
        let mut vars = vec![];
        p.argument.for_each_var(&mut |v| vars.push(v));
        let v = *vars
            .iter()
            .min_by_key(|v| (w.reduced[**v], w.extents[**v], **v))?;
        let together = matches!(w.reducer, Reducer::Lse | Reducer::Var) && w.reduced[v];
        if w.extents[v] > self.unroll || together {
            return None;
        }
        let phase = |r| {
            let mut part = w.clone();
            part.replace(v, &Ix::constant(r));
            part
        };
        let parts = (0..w.extents[v]).map(phase);
        if !w.reduced[v] {
            return Some(parts.collect());
        }
        let settled = parts.filter_map(|mut part| {
            (guard::settle(&mut part, self.shapes, self.out_shape) == Settled::Somewhere)
                .then_some(part)
        });
        merge(w.reducer, settled.collect())
    }
}

/// Phases of a reduced index as one equation.
fn merge(reducer: Reducer, mut parts: Vec<Work>) -> Option<Vec<Work>> {
    if parts.len() <= 1 {
        return Some(parts);
    }
    let first = parts.remove(0);
    let alike = |p: &Work| {
        let extents = |w: &Work| {
            w.order
                .iter()
                .map(|v| (*v, w.extents[*v]))
                .collect::<Vec<_>>()
        };
        extents(p) == extents(&first) && p.guards == first.guards && p.write == first.write
    };
    let join: fn(Expr, Expr) -> Expr = match reducer {
        Reducer::Map | Reducer::Sum => Expr::add,
        Reducer::Max => |a, b| Expr::binary(Binary::Max, a, b),
        Reducer::Min => |a, b| Expr::binary(Binary::Min, a, b),
        Reducer::Lse | Reducer::Var => return None,
    };
    if !parts.iter().all(alike) {
        return None;
    }
    let body = parts
        .iter()
        .fold(first.body.clone(), |sum, p| join(sum, p.body.clone()));
    Some(vec![Work { body, ..first }])
}

/// `v = m·high + low` for an index of the argument that runs over more than one period.
fn split(w: &Work, p: &Period) -> Option<Work> {
    for (atom, c) in &p.argument.terms {
        let Atom::Var(v) = atom else { continue };
        let m = p.divisor / gcd(*c, p.divisor);
        let exact = w.is_additive() || !w.reduced[*v] || w.extents[*v] % m == 0;
        if w.extents[*v] > m && exact {
            let mut w = w.clone();
            w.split(*v, m);
            return Some(w);
        }
    }
    None
}

pub(super) fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a.abs() } else { gcd(b, a % b) }
}

/// Every `//` and `%` with an affine argument in positions, guards and index conditions, in order of appearance.
fn periods(w: &Work) -> Vec<Period> {
    let mut found = vec![];
    let mut reads = |r: &Read| r.at.iter().for_each(|p| in_position(p, &mut found));
    w.body.for_each_read(true, &mut reads);
    w.write.iter().for_each(|p| in_position(p, &mut found));
    w.guards.iter().for_each(|g| in_index(&g.index, &mut found));
    w.body.visit(true, &mut |e| {
        if let Expr::Select(_, args) = e
            && let Some(d) = fold::difference(&args[0], &args[1])
        {
            in_index(&d.index, &mut found);
        }
    });
    found
}

fn in_position(p: &Pos, found: &mut Vec<Period>) {
    match p {
        Pos::Ix(ix) => in_index(ix, found),
        Pos::Computed(e) => e.visit(false, &mut |e| {
            if let Expr::Index(ix) = e {
                in_index(ix, found);
            }
        }),
    }
}

fn in_index(ix: &Ix, found: &mut Vec<Period>) {
    for (atom, _) in &ix.terms {
        let (Atom::Div(e, n) | Atom::Mod(e, n)) = atom else {
            continue;
        };
        match e.is_affine() {
            true => found.push(Period {
                argument: (**e).clone(),
                divisor: *n,
            }),
            false => in_index(e, found),
        }
    }
}

/// Positions that did not become affine are computed.
fn finish(mut w: Work, shapes: &[&[i64]]) -> Work {
    absorb(&mut w, shapes);
    let compute = |p: &Pos| match p {
        Pos::Ix(ix) if !ix.is_affine() => Pos::Computed(Box::new(Expr::Index(ix.clone()))),
        p => p.clone(),
    };
    w.body = w.body.rewrite(&mut |e| match e {
        Expr::Read(r) => Expr::Read(Read {
            at: r.at.iter().map(compute).collect(),
            ..r
        }),
        e => e,
    });
    w
}

/// A condition on one index cuts the box; None: there is none that can be used.
fn cut(w: &Work, shapes: &[&[i64]], out_shape: &[i64]) -> Option<Vec<Work>> {
    for condition in conditions(w) {
        let [(Atom::Var(v), _)] = condition.on.index.terms.as_slice() else {
            continue;
        };
        let v = *v;
        let edges = edges(&condition, v, w.extents[v]);
        let part = |lo: i64, hi: i64| {
            let mut part = w.clone();
            part.restrict(v, lo, hi);
            part
        };
        let parts: Vec<Work> = edges.windows(2).map(|e| part(e[0], e[1])).collect();
        if !w.reduced[v] {
            return Some(parts);
        }
        let alive =
            |p: &Work| guard::settle(&mut p.clone(), shapes, out_shape) == Settled::Somewhere;
        let parts: Vec<Work> = parts.into_iter().filter(alive).collect();
        if w.is_additive() && parts.len() <= 1 {
            return Some(parts);
        }
    }
    None
}

struct Condition {
    on: fold::Linear,
    relation: Relation,
}

/// Selects that depend on indices alone, and minima and maxima of indices in computed positions.
fn conditions(w: &Work) -> Vec<Condition> {
    let mut found = vec![];
    let mut see = |a: &Expr, b: &Expr, relation| {
        if let Some(on) = fold::difference(a, b)
            && on.decide(relation, &w.extents).is_none()
        {
            found.push(Condition { on, relation });
        }
    };
    w.body.visit(true, &mut |e| match e {
        Expr::Select(relation, args) => see(&args[0], &args[1], *relation),
        Expr::Read(r) => r.at.iter().for_each(|p| {
            if let Pos::Computed(e) = p {
                e.visit(false, &mut |e| {
                    if let Expr::Binary(Binary::Min | Binary::Max, a, b) = e {
                        see(a, b, Relation::Le);
                    }
                });
            }
        }),
        _ => {}
    });
    found
}

/// Where the truth of a condition on v changes, with 0 and the extent.
fn edges(condition: &Condition, v: usize, extent: i64) -> Vec<i64> {
    let (c, d) = (
        condition.on.index.coefficient(v),
        condition.on.index.constant as f64 + condition.on.offset,
    );
    let holds = |i: i64| condition.relation.holds((c * i) as f64 + d, 0.0);
    if matches!(condition.relation, Relation::Eq | Relation::Ne) {
        let zero = (-d / c as f64) as i64;
        let mut edges = vec![
            0,
            zero.clamp(0, extent),
            (zero + 1).clamp(0, extent),
            extent,
        ];
        edges.dedup();
        return edges;
    }
    let (mut lo, mut hi) = (0, extent - 1);
    while hi - lo > 1 {
        let middle = (lo + hi) / 2;
        if holds(middle) == holds(0) {
            lo = middle
        } else {
            hi = middle
        }
    }
    vec![0, hi, extent]
}
