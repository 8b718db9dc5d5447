//! Renaming and rebuilding equations: every step of the calculus is a change of variables.

use super::index::{Atom, Ix};
use super::{Binary, Equation, Expr, Guard, Lit, Pos, Read, Relation, Unary};

impl Equation {
    /// Extents of all variables, free ones first.
    pub fn extents(&self) -> Vec<i64> {
        self.free.iter().chain(&self.reduced).copied().collect()
    }

    /// The same equation over new variables; old variable v becomes `map[v]`.
    pub fn remap(&self, free: Vec<i64>, reduced: Vec<i64>, map: &[Ix]) -> Equation {
        let ix = |i: &Ix| i.substitute(&|v| map[v].clone());
        Equation {
            free,
            reduced,
            reducer: self.reducer,
            body: rebuild(&self.body, &ix, &Expr::Read),
            guards: self
                .guards
                .iter()
                .map(|g| Guard {
                    index: ix(&g.index),
                    extent: g.extent,
                })
                .collect(),
            write: self
                .write
                .iter()
                .map(|p| rebuild_pos(p, &ix, &Expr::Read))
                .collect(),
        }
    }

    /// Every index expression rewritten by `ix`.
    pub fn map_indices(&self, ix: &impl Fn(&Ix) -> Ix) -> Equation {
        Equation {
            free: self.free.clone(),
            reduced: self.reduced.clone(),
            reducer: self.reducer,
            body: rebuild(&self.body, ix, &Expr::Read),
            guards: self
                .guards
                .iter()
                .map(|g| Guard {
                    index: ix(&g.index),
                    extent: g.extent,
                })
                .collect(),
            write: self
                .write
                .iter()
                .map(|p| rebuild_pos(p, ix, &Expr::Read))
                .collect(),
        }
    }

    /// Calls `f` with every index expression that is a position, a guard or a write.
    pub fn for_each_position(&self, f: &mut impl FnMut(&Ix)) {
        for_each_read(&self.body, &mut |r| {
            r.at.iter().for_each(|p| {
                if let Pos::Ix(ix) = p {
                    f(ix)
                }
            })
        });
        self.guards.iter().for_each(|g| f(&g.index));
        self.write.iter().for_each(|p| {
            if let Pos::Ix(ix) = p {
                f(ix)
            }
        });
    }
}

impl Ix {
    /// Replaces `//` and `%` whose dividend stays within one period.
    pub fn simplify(&self, extents: &[i64]) -> Ix {
        let mut sum = Ix::constant(self.constant);
        for (atom, c) in &self.terms {
            let value = match atom {
                Atom::Var(v) => Ix::var(*v),
                Atom::Div(e, n) => {
                    let e = e.simplify(extents);
                    let (lo, hi) = e.range(extents);
                    match lo.div_euclid(*n) {
                        q if q == hi.div_euclid(*n) => Ix::constant(q),
                        _ => e.div(*n),
                    }
                }
                Atom::Mod(e, n) => {
                    let e = e.simplify(extents);
                    let (lo, hi) = e.range(extents);
                    match lo.div_euclid(*n) {
                        q if q == hi.div_euclid(*n) => e.offset(-q * n),
                        _ => e.rem(*n),
                    }
                }
            };
            sum = sum.add(&value.scale(*c));
        }
        sum
    }
}

/// Calls `f` with every read, those inside of computed positions too.
pub fn for_each_read<'a>(e: &'a Expr, f: &mut impl FnMut(&'a Read)) {
    match e {
        Expr::Lit(_) | Expr::Index(_) | Expr::Random { .. } => {}
        Expr::Read(read) => {
            f(read);
            for at in &read.at {
                if let Pos::Computed(e) = at {
                    for_each_read(e, f);
                }
            }
        }
        Expr::Unary(_, a) => for_each_read(a, f),
        Expr::Binary(_, a, b) => {
            for_each_read(a, f);
            for_each_read(b, f);
        }
        Expr::Select(_, args) => args.iter().for_each(|a| for_each_read(a, f)),
    }
}

/// Rebuilds an expression: every index expression by `ix`, every read by `read` (its positions already rebuilt).
pub fn rebuild(e: &Expr, ix: &impl Fn(&Ix) -> Ix, read: &impl Fn(Read) -> Expr) -> Expr {
    let go = |e: &Expr| rebuild(e, ix, read);
    match e {
        Expr::Lit(_) => e.clone(),
        Expr::Index(i) => Expr::Index(ix(i)),
        Expr::Random { key, normal, at } => Expr::Random {
            key: *key,
            normal: *normal,
            at: ix(at),
        },
        Expr::Read(r) => {
            let at = r.at.iter().map(|p| rebuild_pos(p, ix, read)).collect();
            read(Read {
                operand: r.operand,
                at,
                outside: r.outside,
            })
        }
        Expr::Unary(op, a) => Expr::Unary(*op, Box::new(go(a))),
        Expr::Binary(op, a, b) => Expr::Binary(*op, Box::new(go(a)), Box::new(go(b))),
        Expr::Select(rel, args) => Expr::Select(
            *rel,
            Box::new([go(&args[0]), go(&args[1]), go(&args[2]), go(&args[3])]),
        ),
    }
}

pub fn rebuild_pos(p: &Pos, ix: &impl Fn(&Ix) -> Ix, read: &impl Fn(Read) -> Expr) -> Pos {
    match p {
        Pos::Ix(i) => Pos::Ix(ix(i)),
        Pos::Computed(e) => Pos::Computed(Box::new(rebuild(e, ix, read))),
    }
}

pub fn lit(value: f64) -> Expr {
    Expr::Lit(Lit::new(value))
}

fn value(e: &Expr) -> Option<f64> {
    match e {
        Expr::Lit(l) => Some(l.get()),
        _ => None,
    }
}

/// The operation, simplified where constants allow. `0·x` becomes 0: never applied to a user's own division.
pub fn binary(op: Binary, a: Expr, b: Expr) -> Expr {
    let (x, y) = (value(&a), value(&b));
    match (op, x, y) {
        (_, Some(x), Some(y)) => lit(fold(op, x, y)),
        (Binary::Mul, Some(0.0), _) | (Binary::Mul, _, Some(0.0)) | (Binary::Div, Some(0.0), _) => {
            lit(0.0)
        }
        (Binary::Mul, Some(1.0), _) | (Binary::Add, Some(0.0), _) => b,
        (Binary::Mul | Binary::Div | Binary::Pow, _, Some(1.0))
        | (Binary::Add | Binary::Sub, _, Some(0.0)) => a,
        (Binary::Sub, Some(0.0), _) => negate(b),
        _ => Expr::Binary(op, Box::new(a), Box::new(b)),
    }
}

fn fold(op: Binary, x: f64, y: f64) -> f64 {
    match op {
        Binary::Add => x + y,
        Binary::Sub => x - y,
        Binary::Mul => x * y,
        Binary::Div => x / y,
        Binary::Pow => libm::pow(x, y),
        Binary::Min => x.min(y),
        Binary::Max => x.max(y),
    }
}

pub fn negate(a: Expr) -> Expr {
    match a {
        Expr::Lit(l) => lit(-l.get()),
        Expr::Unary(Unary::Neg, a) => *a,
        a => Expr::Unary(Unary::Neg, Box::new(a)),
    }
}

pub fn unary(op: Unary, a: Expr) -> Expr {
    Expr::Unary(op, Box::new(a))
}

pub fn select(rel: Relation, a: Expr, b: Expr, then: Expr, other: Expr) -> Expr {
    if then == other {
        return then;
    }
    Expr::Select(rel, Box::new([a, b, then, other]))
}

impl Relation {
    pub fn holds(self, a: f64, b: f64) -> bool {
        match self {
            Relation::Lt => a < b,
            Relation::Le => a <= b,
            Relation::Gt => a > b,
            Relation::Ge => a >= b,
            Relation::Eq => a == b,
            Relation::Ne => a != b,
        }
    }
}
