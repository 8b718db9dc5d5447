//! Renaming and rebuilding equations: every step of the calculus is a change of variables.

use super::index::Ix;
use super::{Binary, Equation, Expr, Guard, Pos, Read, Unary};

impl Equation {
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
    Expr::lit(value)
}

/// The operation, simplified where literals allow.
pub fn binary(op: Binary, a: Expr, b: Expr) -> Expr {
    Expr::binary(op, a, b)
}

pub fn unary(op: Unary, a: Expr) -> Expr {
    Expr::unary(op, a)
}
