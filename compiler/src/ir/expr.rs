//! Walking and rebuilding scalar expressions and equations. Values never change here, only names of things.

use crate::equation::index::Ix;
use crate::equation::{Equation, Expr, Guard, Pos, Read};

pub use crate::equation::rewrite::for_each_read;

/// Calls `f` with every read of an equation, those in its write positions too.
pub fn for_each_read_of<'a>(equation: &'a Equation, f: &mut impl FnMut(&'a Read)) {
    for_each_read(&equation.body, f);
    for at in &equation.write {
        if let Pos::Computed(e) = at {
            for_each_read(e, f);
        }
    }
}

/// Rebuilds bottom-up; `f` sees every expression after its parts.
pub fn rewrite(e: &Expr, f: &mut impl FnMut(Expr) -> Expr) -> Expr {
    let rebuilt = match e {
        Expr::Lit(_) | Expr::Index(_) | Expr::Random { .. } => e.clone(),
        Expr::Read(read) => Expr::Read(Read {
            operand: read.operand,
            at: read.at.iter().map(|p| rewrite_pos(p, f)).collect(),
            outside: read.outside,
        }),
        Expr::Unary(op, a) => Expr::Unary(*op, Box::new(rewrite(a, f))),
        Expr::Binary(op, a, b) => {
            Expr::Binary(*op, Box::new(rewrite(a, f)), Box::new(rewrite(b, f)))
        }
        Expr::Select(relation, args) => {
            let args = [&args[0], &args[1], &args[2], &args[3]].map(|a| rewrite(a, f));
            Expr::Select(*relation, Box::new(args))
        }
    };
    f(rebuilt)
}

pub fn rewrite_pos(p: &Pos, f: &mut impl FnMut(Expr) -> Expr) -> Pos {
    match p {
        Pos::Ix(_) => p.clone(),
        Pos::Computed(e) => match rewrite(e, f) {
            Expr::Index(ix) => Pos::Ix(ix),
            e => Pos::Computed(Box::new(e)),
        },
    }
}

/// The equation with every expression of body and write rebuilt by `f`.
pub fn rewrite_equation(equation: &Equation, f: &mut impl FnMut(Expr) -> Expr) -> Equation {
    Equation {
        free: equation.free.clone(),
        reduced: equation.reduced.clone(),
        reducer: equation.reducer,
        body: rewrite(&equation.body, f),
        guards: equation.guards.clone(),
        write: equation.write.iter().map(|p| rewrite_pos(p, f)).collect(),
    }
}

/// The equation with operand o named `to[o]`.
pub fn rename_operands(equation: &Equation, to: &[usize]) -> Equation {
    rewrite_equation(equation, &mut |e| match e {
        Expr::Read(mut read) => {
            read.operand = to[read.operand];
            Expr::Read(read)
        }
        e => e,
    })
}

/// Replaces every variable of the expression.
pub fn substitute(e: &Expr, of: &impl Fn(usize) -> Ix) -> Expr {
    rewrite(e, &mut |e| match e {
        Expr::Index(ix) => Expr::Index(ix.substitute(of)),
        Expr::Random { key, normal, at } => {
            let at = at.substitute(of);
            Expr::Random { key, normal, at }
        }
        Expr::Read(mut read) => {
            for p in &mut read.at {
                if let Pos::Ix(ix) = p {
                    *ix = ix.substitute(of);
                }
            }
            Expr::Read(read)
        }
        e => e,
    })
}

/// Replaces every variable of a whole equation; the box must be adapted by the caller.
pub fn substitute_equation(equation: &Equation, of: &impl Fn(usize) -> Ix) -> Equation {
    let pos = |p: &Pos| match p {
        Pos::Ix(ix) => Pos::Ix(ix.substitute(of)),
        Pos::Computed(e) => Pos::Computed(Box::new(substitute(e, of))),
    };
    Equation {
        free: equation.free.clone(),
        reduced: equation.reduced.clone(),
        reducer: equation.reducer,
        body: substitute(&equation.body, of),
        guards: equation
            .guards
            .iter()
            .map(|g| Guard {
                index: g.index.substitute(of),
                extent: g.extent,
            })
            .collect(),
        write: equation.write.iter().map(pos).collect(),
    }
}

pub fn has_random(e: &Expr) -> bool {
    let mut found = false;
    rewrite(e, &mut |e| {
        found |= matches!(e, Expr::Random { .. });
        e
    });
    found
}

/// The extents of all variables, free then reduced.
pub fn extents(equation: &Equation) -> Vec<i64> {
    equation.extents()
}

/// The number of points of the box.
pub fn points(equation: &Equation) -> i64 {
    extents(equation)
        .iter()
        .fold(1, |n, e| n.saturating_mul(*e))
}
