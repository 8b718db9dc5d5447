//! What a box decides about an expression: conditions that always or never hold, reads that are always inside, and
//! computed positions that are index expressions after all.

use super::index::{Ix, MAX_COEFFICIENT};
use super::{Binary, Expr, Lit, Pos, Read, Relation, Unary};

/// `index + offset`
pub(super) struct Linear {
    pub index: Ix,
    pub offset: f64,
}

/// The expression as an index expression plus a number, if it is one.
pub(super) fn linear(e: &Expr) -> Option<Linear> {
    match e {
        Expr::Lit(lit) => Some(Linear {
            index: Ix::constant(0),
            offset: lit.get(),
        }),
        Expr::Index(ix) => Some(Linear {
            index: ix.clone(),
            offset: 0.0,
        }),
        Expr::Unary(Unary::Neg, a) => linear(a)?.scale(-1),
        Expr::Binary(Binary::Add, a, b) => Some(linear(a)?.plus(&linear(b)?, 1)),
        Expr::Binary(Binary::Sub, a, b) => Some(linear(a)?.plus(&linear(b)?, -1)),
        Expr::Binary(Binary::Mul, a, b) => match (whole(a), whole(b)) {
            (Some(c), _) => linear(b)?.scale(c),
            (_, Some(c)) => linear(a)?.scale(c),
            _ => None,
        },
        Expr::Unary(Unary::Floor, a) => floor(a),
        _ => None,
    }
}

fn floor(a: &Expr) -> Option<Linear> {
    let quotient = match a {
        Expr::Binary(Binary::Div, a, n) => whole(n).filter(|n| *n > 0).zip(linear(a)),
        _ => None,
    };
    let index = match quotient {
        Some((n, a)) if a.offset.fract() == 0.0 && a.offset.abs() < MAX_INDEX => {
            a.index.offset(a.offset as i64).div(n)
        }
        _ => {
            let a = linear(a).filter(|a| a.offset.abs() < MAX_INDEX)?;
            a.index.offset(a.offset.floor() as i64)
        }
    };
    Some(Linear { index, offset: 0.0 })
}

/// A literal that is an integer.
fn whole(e: &Expr) -> Option<i64> {
    e.as_lit()
        .filter(|v| v.fract() == 0.0 && v.abs() < MAX_INDEX)
        .map(|v| v as i64)
}

/// As a number.
const MAX_INDEX: f64 = MAX_COEFFICIENT as f64;

impl Linear {
    /// None: it becomes too large.
    fn scale(&self, by: i64) -> Option<Linear> {
        let fits = |c: i64| {
            c.checked_mul(by)
                .is_some_and(|c| (c as f64).abs() <= MAX_INDEX)
        };
        let index = &self.index;
        (fits(index.constant) && index.terms.iter().all(|t| fits(t.1))).then(|| Linear {
            index: index.scale(by),
            offset: self.offset * by as f64,
        })
    }

    fn plus(&self, other: &Linear, by: i64) -> Linear {
        Linear {
            index: self.index.add_scaled(&other.index, by),
            offset: self.offset + other.offset * by as f64,
        }
    }

    fn as_index(&self) -> Option<Ix> {
        (self.offset.fract() == 0.0 && self.offset.abs() < MAX_INDEX)
            .then(|| self.index.offset(self.offset as i64))
    }

    /// Whether `self relation 0` on the whole box, if the box decides it.
    pub fn decide(&self, relation: Relation, extents: &[i64]) -> Option<bool> {
        let (lo, hi) = self.index.range(extents);
        let (lo, hi) = (lo as f64 + self.offset, hi as f64 + self.offset);
        let at = |v| relation.holds(v, 0.0);
        match relation {
            Relation::Eq | Relation::Ne if lo > 0.0 || hi < 0.0 => Some(at(1.0)),
            Relation::Eq | Relation::Ne => (lo == hi).then(|| at(lo)),
            _ => (at(lo) == at(hi)).then(|| at(lo)),
        }
    }
}

/// `a - b` of the two sides of a comparison that depends on indices only.
pub(super) fn difference(a: &Expr, b: &Expr) -> Option<Linear> {
    Some(linear(a)?.plus(&linear(b)?, -1))
}

/// The expression on the box, simplified.
pub(super) fn expr(e: &Expr, extents: &[i64], shapes: &[&[i64]]) -> Expr {
    e.rewrite(&mut |e| match e {
        Expr::Index(ix) => Expr::index(ix.normalise(extents)),
        Expr::Read(r) => read(&r, extents, shapes),
        Expr::Random { key, normal, at } => Expr::Random {
            key,
            normal,
            at: at.normalise(extents),
        },
        Expr::Select(relation, args) => {
            let known = difference(&args[0], &args[1]).and_then(|d| d.decide(relation, extents));
            match known {
                Some(true) => args[2].clone(),
                Some(false) => args[3].clone(),
                None => Expr::Select(relation, args),
            }
        }
        Expr::Binary(op @ (Binary::Min | Binary::Max), a, b) => {
            let less = difference(&a, &b).and_then(|d| d.decide(Relation::Le, extents));
            match (less, op) {
                (Some(true), Binary::Min) | (Some(false), Binary::Max) => *a,
                (Some(_), _) => *b,
                (None, _) => Expr::Binary(op, a, b),
            }
        }
        e => e,
    })
}

pub(super) fn position(p: &Pos, extents: &[i64], shapes: &[&[i64]]) -> Pos {
    match p {
        Pos::Ix(ix) => Pos::Ix(ix.normalise(extents)),
        Pos::Computed(e) => {
            let e = expr(e, extents, shapes);
            match linear(&e).and_then(|l| l.as_index()) {
                Some(ix) => Pos::Ix(ix.normalise(extents)),
                None => Pos::Computed(Box::new(e)),
            }
        }
    }
}

/// A read that is never inside is its outside value; one that is always inside needs none.
fn read(r: &Read, extents: &[i64], shapes: &[&[i64]]) -> Expr {
    let at: Vec<Pos> = r.at.iter().map(|p| position(p, extents, shapes)).collect();
    let mut outside = r.outside;
    if let Some(value) = outside {
        match coverage(&at, shapes[r.operand], extents) {
            Coverage::Never => return Expr::Lit(value),
            Coverage::Always => outside = None,
            Coverage::Sometimes => {}
        }
    }
    Expr::Read(Read {
        operand: r.operand,
        at,
        outside,
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Coverage {
    Always,
    Sometimes,
    Never,
}

/// Whether positions stay inside of a shape.
pub(super) fn coverage(at: &[Pos], shape: &[i64], extents: &[i64]) -> Coverage {
    let mut all = Coverage::Always;
    for (p, n) in at.iter().zip(shape) {
        let Pos::Ix(ix) = p else {
            all = Coverage::Sometimes;
            continue;
        };
        let (lo, hi) = ix.range(extents);
        if hi < 0 || lo >= *n {
            return Coverage::Never;
        }
        if lo < 0 || hi >= *n {
            all = Coverage::Sometimes;
        }
    }
    all
}

/// Whether a value is finite wherever its reads are: only then may a guard become a zero factor.
pub(super) fn is_finite(e: &Expr) -> bool {
    let mut finite = true;
    e.visit(false, &mut |e| {
        finite &= match e {
            Expr::Unary(op, _) => op.facts().is_finite,
            Expr::Binary(Binary::Div, _, b) => b.as_lit().is_some_and(|v| v != 0.0),
            Expr::Binary(op, _, _) => op.facts().is_finite,
            Expr::Lit(lit) => lit.get().is_finite(),
            _ => true,
        }
    });
    finite
}

/// The factors of a product, signs and literal divisors as literals.
pub(super) fn factors(e: &Expr) -> Vec<Expr> {
    let mut all = vec![];
    collect_factors(e, &mut all);
    all
}

fn collect_factors(e: &Expr, all: &mut Vec<Expr>) {
    match e {
        Expr::Binary(Binary::Mul, a, b) => {
            collect_factors(a, all);
            collect_factors(b, all);
        }
        Expr::Unary(Unary::Neg, a) => {
            all.push(Expr::Lit(Lit::new(-1.0)));
            collect_factors(a, all);
        }
        Expr::Binary(Binary::Div, a, b) => {
            collect_factors(a, all);
            all.push(Expr::lit(1.0).div((**b).clone()));
        }
        e => all.push(e.clone()),
    }
}
