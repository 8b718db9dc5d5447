//! Quasi-affine index expressions: integer sums of variables, and of `//` and `%` of such sums by constants.
//!
//! Always in normal form (terms sorted, equal atoms merged, exact parts taken out of `//` and `%`), so that equality
//! is structural.

use std::cmp::Ordering;

/// The largest coefficient or constant that makers of indices take: an address multiplies them by a stride, and must fit
/// in 64 bits. What is larger is computed in f64 as other numbers are.
pub const MAX_COEFFICIENT: i64 = 1 << 31;

/// `constant + Σ coefficient · atom`
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ix {
    pub terms: Vec<(Atom, i64)>,
    pub constant: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Atom {
    Var(usize),
    /// Floor division by a positive constant.
    Div(Box<Ix>, i64),
    /// Remainder in `0..n`.
    Mod(Box<Ix>, i64),
}

impl Ix {
    pub fn constant(constant: i64) -> Ix {
        Ix {
            terms: vec![],
            constant,
        }
    }

    pub fn var(var: usize) -> Ix {
        Ix {
            terms: vec![(Atom::Var(var), 1)],
            constant: 0,
        }
    }

    pub fn add(&self, other: &Ix) -> Ix {
        self.add_scaled(other, 1)
    }

    /// `self + by·other`, by merging the two sorted lists of terms.
    pub fn add_scaled(&self, other: &Ix, by: i64) -> Ix {
        let mut terms = Vec::with_capacity(self.terms.len() + other.terms.len());
        let (mut a, mut b) = (self.terms.iter().peekable(), other.terms.iter().peekable());
        loop {
            let order = match (a.peek(), b.peek()) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((x, _)), Some((y, _))) => x.cmp(y),
            };
            let next = match order {
                Ordering::Less => a.next().cloned(),
                Ordering::Greater => b.next().map(|(atom, c)| (atom.clone(), c * by)),
                Ordering::Equal => a
                    .next()
                    .zip(b.next())
                    .map(|((atom, c), (_, d))| (atom.clone(), c + d * by)),
            };
            terms.extend(next.filter(|(_, c)| *c != 0));
        }
        Ix {
            terms,
            constant: self.constant + by * other.constant,
        }
    }

    pub fn sub(&self, other: &Ix) -> Ix {
        self.add_scaled(other, -1)
    }

    pub fn offset(&self, by: i64) -> Ix {
        Ix {
            terms: self.terms.clone(),
            constant: self.constant + by,
        }
    }

    pub fn scale(&self, by: i64) -> Ix {
        if by == 0 {
            return Ix::constant(0);
        }
        let terms = self
            .terms
            .iter()
            .map(|(a, c)| (a.clone(), c * by))
            .collect();
        Ix {
            terms,
            constant: self.constant * by,
        }
    }

    /// `self // n`, n > 0; terms that n divides leave the division exactly.
    pub fn div(&self, n: i64) -> Ix {
        let (exact, rest) = self.split(n);
        if rest.terms.is_empty() {
            return exact.offset(rest.constant.div_euclid(n));
        }
        exact.add(&Ix {
            terms: vec![(Atom::Div(Box::new(rest), n), 1)],
            constant: 0,
        })
    }

    /// `self % n`, n > 0.
    pub fn rem(&self, n: i64) -> Ix {
        let (_, rest) = self.split(n);
        if n == 1 {
            return Ix::constant(0);
        }
        if rest.terms.is_empty() {
            return Ix::constant(rest.constant.rem_euclid(n));
        }
        Ix {
            terms: vec![(Atom::Mod(Box::new(rest), n), 1)],
            constant: 0,
        }
    }

    /// `self = n·exact + rest`, rest's constant in `0..n` and no coefficient of rest divisible by n.
    fn split(&self, n: i64) -> (Ix, Ix) {
        assert!(n > 0, "division of an index by {n}");
        let (whole, part): (Vec<_>, Vec<_>) =
            self.terms.iter().cloned().partition(|(_, c)| c % n == 0);
        let whole = whole.into_iter().map(|(a, c)| (a, c / n)).collect();
        (
            Ix {
                terms: whole,
                constant: self.constant.div_euclid(n),
            },
            Ix {
                terms: part,
                constant: self.constant.rem_euclid(n),
            },
        )
    }

    pub fn is_affine(&self) -> bool {
        self.terms.iter().all(|(a, _)| matches!(a, Atom::Var(_)))
    }

    /// Some(v) for the expression that is just variable v.
    pub fn as_var(&self) -> Option<usize> {
        match (self.constant, self.terms.as_slice()) {
            (0, [(Atom::Var(v), 1)]) => Some(*v),
            _ => None,
        }
    }

    pub fn as_constant(&self) -> Option<i64> {
        self.terms.is_empty().then_some(self.constant)
    }

    /// The coefficient of variable v outside of `//` and `%`.
    pub fn coefficient(&self, v: usize) -> i64 {
        self.terms
            .iter()
            .find(|(a, _)| *a == Atom::Var(v))
            .map_or(0, |(_, c)| *c)
    }

    /// Calls `f` with every variable that occurs, inside `//` and `%` too.
    pub fn for_each_var(&self, f: &mut impl FnMut(usize)) {
        for (atom, _) in &self.terms {
            match atom {
                Atom::Var(v) => f(*v),
                Atom::Div(e, _) | Atom::Mod(e, _) => e.for_each_var(f),
            }
        }
    }

    /// Whether variable v occurs, inside `//` and `%` too.
    pub fn has(&self, v: usize) -> bool {
        let mut found = false;
        self.for_each_var(&mut |w| found |= w == v);
        found
    }

    /// Replaces every variable by an expression.
    pub fn substitute(&self, of: &impl Fn(usize) -> Ix) -> Ix {
        let mut sum = Ix::constant(self.constant);
        for (atom, c) in &self.terms {
            let value = match atom {
                Atom::Var(v) => of(*v),
                Atom::Div(e, n) => e.substitute(of).div(*n),
                Atom::Mod(e, n) => e.substitute(of).rem(*n),
            };
            sum = sum.add_scaled(&value, *c);
        }
        sum
    }

    /// Replaces variable v by an expression.
    pub fn replace(&self, v: usize, by: &Ix) -> Ix {
        if !self.has(v) {
            return self.clone();
        }
        self.substitute(&|w| if w == v { by.clone() } else { Ix::var(w) })
    }

    /// The same function on the box, with every `//` and `%` resolved whose argument stays in one period.
    pub fn normalise(&self, extents: &[i64]) -> Ix {
        if self.is_affine() {
            return self.clone();
        }
        let mut sum = Ix::constant(self.constant);
        for (atom, c) in &self.terms {
            let value = match atom {
                Atom::Var(v) => Ix::var(*v),
                Atom::Div(e, n) => divide(&e.normalise(extents), *n, extents, false),
                Atom::Mod(e, n) => divide(&e.normalise(extents), *n, extents, true),
            };
            sum = sum.add_scaled(&value, *c);
        }
        sum
    }

    pub fn eval(&self, at: &[i64]) -> i64 {
        self.terms.iter().fold(self.constant, |sum, (atom, c)| {
            sum + c * match atom {
                Atom::Var(v) => at[*v],
                Atom::Div(e, n) => e.eval(at).div_euclid(*n),
                Atom::Mod(e, n) => e.eval(at).rem_euclid(*n),
            }
        })
    }

    /// Least and greatest value when variable v runs over `0..extents[v]`, by interval arithmetic.
    pub fn range(&self, extents: &[i64]) -> (i64, i64) {
        let (mut lo, mut hi) = (self.constant, self.constant);
        for (atom, c) in &self.terms {
            let (l, h) = match atom {
                Atom::Var(v) => (0, extents[*v] - 1),
                Atom::Div(e, n) => {
                    let (l, h) = e.range(extents);
                    (l.div_euclid(*n), h.div_euclid(*n))
                }
                Atom::Mod(e, n) => match e.range(extents) {
                    (l, h) if 0 <= l && h < *n => (l, h),
                    _ => (0, n - 1),
                },
            };
            lo += (c * l).min(c * h);
            hi += (c * l).max(c * h);
        }
        (lo, hi)
    }
}

/// `e // n` or `e % n` on the box.
fn divide(e: &Ix, n: i64, extents: &[i64], remainder: bool) -> Ix {
    let (_, rest) = e.split(n);
    let (lo, hi) = rest.range(extents);
    if lo.div_euclid(n) != hi.div_euclid(n) {
        return if remainder { e.rem(n) } else { e.div(n) };
    }
    let period = lo.div_euclid(n);
    if remainder {
        return rest.offset(-n * period);
    }
    let (whole, _) = e.split(n);
    whole.offset(period)
}
