//! From scatter form to gather form: solve the write map for the output's own indices.
//!
//! Enters `out[A(v)] += body(v)` over a box, A quasi-affine; leaves `out[t] = sum[rest] body` with guards. Each axis is
//! solved for one index, the one that leaves the fewest points.

use super::canon::gcd;
use super::index::{Atom, Ix};
use super::{Equation, Guard, Pos, Reducer};

/// None: a position is computed, or its `//` and `%` could not be taken away.
pub fn gather(q: &Equation, shape: &[i64]) -> Option<Equation> {
    let n = q.free.len();
    let mut s = Solver {
        extents: q.free.iter().chain(shape).copied().collect(),
        active: (0..n).collect(),
        sub: vec![None; n + shape.len()],
        guards: q
            .guards
            .iter()
            .map(|g| (g.index.clone(), g.extent))
            .collect(),
    };
    for (axis, p) in q.write.iter().enumerate() {
        let Pos::Ix(at) = p else { return None };
        s.axis(at, n + axis)?;
    }
    Some(s.finish(q, n, shape))
}

struct Solver {
    /// Of the old variables, the target's indices, and quotients made on the way.
    extents: Vec<i64>,
    active: Vec<usize>,
    sub: Vec<Option<Ix>>,
    guards: Vec<(Ix, i64)>,
}

/// A way to eliminate one index.
#[derive(Clone, Copy)]
enum How {
    /// Coefficient ±1.
    Unit,
    /// The coefficient exceeds the span of all the rest.
    Digit,
    /// With this partner, whose coefficient is coprime.
    Residue(usize),
    Divide,
}

impl Solver {
    fn apply(&self, ix: &Ix) -> Ix {
        ix.substitute(&|v| {
            self.sub
                .get(v)
                .cloned()
                .flatten()
                .unwrap_or_else(|| Ix::var(v))
        })
    }

    fn set(&mut self, v: usize, value: Ix) {
        for s in self.sub.iter_mut().flatten() {
            *s = s.replace(v, &value);
        }
        for (g, _) in &mut self.guards {
            *g = g.replace(v, &value);
        }
        self.sub[v] = Some(value);
        self.active.retain(|w| *w != v);
    }

    /// Eliminates v: it must equal `value`, inside of its range.
    fn eliminate(&mut self, v: usize, value: Ix) {
        self.guards.push((value.clone(), self.extents[v]));
        self.set(v, value);
    }

    fn axis(&mut self, at: &Ix, target: usize) -> Option<()> {
        let at = self.apply(at).normalise(&self.extents);
        // A `//` or `%` of solved indices is known; one of indices yet to be solved is not.
        let crooked = |(atom, _): &(Atom, i64)| match atom {
            Atom::Var(_) => false,
            Atom::Div(e, _) | Atom::Mod(e, _) => self.active.iter().any(|v| e.has(*v)),
        };
        if at.terms.iter().any(crooked) {
            return None;
        }
        let local = |ix: &Ix, s: &Solver| -> Vec<usize> {
            s.active
                .iter()
                .copied()
                .filter(|v| ix.coefficient(*v) != 0)
                .collect()
        };
        let mut e = pick(&at, &local(&at, self));
        // v = sum of the terms that are still to be solved
        let mut v = Ix::var(target).sub(&at.sub(&e));
        loop {
            let vars = local(&e, self);
            if vars.is_empty() {
                self.guards.push((v, 1));
                return Some(());
            }
            let g = vars.iter().fold(0, |g, w| gcd(e.coefficient(*w), g));
            if g > 1 && vars.len() > 1 {
                self.guards.push((v.rem(g), 1));
                v = v.div(g);
                e = Ix {
                    terms: e.terms.iter().map(|(a, c)| (a.clone(), c / g)).collect(),
                    constant: 0,
                };
            }
            let (i, how) = self.choose(&e, &vars);
            let c = e.coefficient(i);
            let (size, sign) = (c.abs(), c.signum());
            let rest = e.sub(&Ix::var(i).scale(c));
            match how {
                How::Unit => {
                    self.eliminate(i, v.sub(&rest).scale(c));
                    return Some(());
                }
                How::Digit => {
                    let (lo, _) = rest.range(&self.extents);
                    let shifted = v.offset(-lo);
                    self.eliminate(i, shifted.div(size));
                    v = shifted.rem(size).offset(lo);
                    e = rest;
                    if e.terms.is_empty() {
                        if size > 1 {
                            self.guards.push((v, 1));
                        }
                        return Some(());
                    }
                }
                How::Divide => {
                    let left = v.sub(&rest);
                    self.guards.push((left.rem(size), 1));
                    self.eliminate(i, left.div(size).scale(sign));
                    return Some(());
                }
                How::Residue(p) => {
                    self.residue(&e, &v, i, p);
                    return Some(());
                }
            }
        }
    }

    /// `size·sign·i + u·p = rest`: p runs over one residue class.
    fn residue(&mut self, e: &Ix, v: &Ix, i: usize, p: usize) {
        let (c, u) = (e.coefficient(i), e.coefficient(p));
        let (size, sign) = (c.abs(), c.signum());
        let others = e.sub(&Ix::var(i).scale(c)).sub(&Ix::var(p).scale(u));
        let rest = v.sub(&others);
        let rho = rest.scale(inverse(u, size)).rem(size);
        let quotient = self.extents.len();
        self.extents.push((self.extents[p] + size - 1) / size);
        self.sub.push(None);
        self.active.push(quotient);
        self.eliminate(p, Ix::var(quotient).scale(size).add(&rho));
        let value = rest
            .sub(&rho.scale(u))
            .div(size)
            .scale(sign)
            .sub(&Ix::var(quotient).scale(u * sign));
        self.eliminate(i, value);
    }

    /// The index and the way that leave the fewest points; on a tie, the plainest way.
    fn choose(&self, e: &Ix, vars: &[usize]) -> (usize, How) {
        let mut best: Option<(f64, u8, usize, How)> = None;
        for &i in vars {
            let (points, rank, how) = self.way(e, vars, i);
            if best.is_none_or(|(p, r, _, _)| (points, rank) < (p, r)) {
                best = Some((points, rank, i, how));
            }
        }
        let (_, _, i, how) = best.expect("an axis with indices left");
        (i, how)
    }

    /// How to eliminate i, and how many points of the others that leaves on average.
    fn way(&self, e: &Ix, vars: &[usize], i: usize) -> (f64, u8, How) {
        let points = |skip: &[usize]| -> f64 {
            let left = vars.iter().filter(|v| !skip.contains(v));
            left.map(|v| self.extents[*v] as f64).product()
        };
        let c = e.coefficient(i);
        let size = c.abs();
        if size == 1 {
            return (points(&[i]), 1, How::Unit);
        }
        let (lo, hi) = e.sub(&Ix::var(i).scale(c)).range(&self.extents);
        if c > 0 && hi - lo < size {
            return (1.0, 0, How::Digit);
        }
        let coprime = |p: &&usize| **p != i && gcd(e.coefficient(**p), size) == 1;
        match vars
            .iter()
            .filter(coprime)
            .min_by_key(|p| self.extents[**p])
        {
            Some(p) => {
                let share = self.extents[*p] as f64 / size as f64;
                (points(&[i, *p]) * share.max(1.0), 2, How::Residue(*p))
            }
            None => (points(&[i]), 3, How::Divide),
        }
    }

    /// Target indices become free, what is left becomes reduced.
    fn finish(self, q: &Equation, n: usize, shape: &[i64]) -> Equation {
        let nd = shape.len();
        let place = |v: usize| {
            if v >= n && v < n + nd {
                return Ix::var(v - n);
            }
            Ix::var(
                nd + self
                    .active
                    .iter()
                    .position(|a| *a == v)
                    .expect("solved or active"),
            )
        };
        let total = |v: usize| match &self.sub[v] {
            Some(value) => value.substitute(&place),
            None => place(v),
        };
        let map: Vec<Ix> = (0..n).map(total).collect();
        let reduced: Vec<i64> = self.active.iter().map(|v| self.extents[*v]).collect();
        let reducer = if reduced.is_empty() {
            Reducer::Map
        } else {
            Reducer::Sum
        };
        let mut new = q.remap(shape.to_vec(), reduced, &map);
        new.reducer = reducer;
        new.guards = self
            .guards
            .iter()
            .map(|(g, e)| Guard {
                index: g.substitute(&place),
                extent: *e,
            })
            .collect();
        new.write = (0..nd).map(|v| Pos::Ix(Ix::var(v))).collect();
        new
    }
}

fn pick(ix: &Ix, vars: &[usize]) -> Ix {
    let terms = ix
        .terms
        .iter()
        .filter(|(a, _)| matches!(a, Atom::Var(v) if vars.contains(v)));
    Ix {
        terms: terms.cloned().collect(),
        constant: 0,
    }
}

/// u⁻¹ modulo s.
fn inverse(u: i64, s: i64) -> i64 {
    (0..s).find(|x| (x * u).rem_euclid(s) == 1).unwrap_or(0)
}

/// Whether a write map reaches every cell at most once, and stays inside: then it needs no solving.
pub fn is_injective(write: &[Pos], extents: &[i64], shape: &[i64]) -> bool {
    let mut known: Vec<bool> = extents.iter().map(|n| *n == 1).collect();
    let mut again = true;
    while again {
        again = false;
        for (p, n) in write.iter().zip(shape) {
            let Some(ix) = p.as_ix().filter(|ix| ix.is_affine()) else {
                return false;
            };
            let (lo, hi) = ix.range(extents);
            if lo < 0 || hi >= *n {
                return false;
            }
            again |= learn(ix, extents, &mut known);
        }
    }
    known.iter().all(|k| *k)
}

/// The unknown indices of a position follow from its value if their terms are digits.
fn learn(ix: &Ix, extents: &[i64], known: &mut [bool]) -> bool {
    let mut digits: Vec<(i64, usize)> = vec![];
    for (atom, c) in &ix.terms {
        match atom {
            Atom::Var(v) if !known[*v] => digits.push((c.abs(), *v)),
            _ => {}
        }
    }
    digits.sort();
    let mut span = 0;
    for (c, v) in &digits {
        if *c <= span {
            return false;
        }
        span += c * (extents[*v] - 1);
    }
    digits.iter().for_each(|(_, v)| known[*v] = true);
    !digits.is_empty()
}
