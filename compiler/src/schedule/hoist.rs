//! Invariants: a costly part of a body that depends on few of its indices becomes a value over just those.
//!
//! `w[i] - rate*m[i]/(1 - beta**n[])` must not raise to a power once for each weight.

use super::inline::cost;
use super::net::{self, Def, Net, ValueId};
use crate::equation::index::Ix;
use crate::equation::{Binary, Expr, Pos, Read, Unary};

/// The whole box has at least this many times the points of the part.
const LESS: i64 = 16;

pub fn invariants(net: &mut Net) {
    for id in net.order() {
        let Def::Compute { pieces, operands } = net.values[id].def.clone() else {
            continue;
        };
        let mut operands = operands;
        let mut new = vec![];
        for mut piece in pieces {
            let extents: Vec<i64> = piece.free.iter().chain(&piece.reduced).copied().collect();
            let points: i64 = extents.iter().product();
            let mut hoister = Hoister {
                net,
                extents: &extents,
                points,
                operands: &mut operands,
                id,
            };
            piece.body = hoister.rewrite(&piece.body);
            new.push(piece);
        }
        net.values[id].def = Def::Compute {
            pieces: new,
            operands,
        };
    }
}

struct Hoister<'a> {
    net: &'a mut Net,
    extents: &'a [i64],
    points: i64,
    operands: &'a mut Vec<ValueId>,
    id: ValueId,
}

impl Hoister<'_> {
    fn rewrite(&mut self, e: &Expr) -> Expr {
        if let Some(vars) = self.invariant(e) {
            return self.hoist(e, &vars);
        }
        match e {
            Expr::Lit(_) | Expr::Index(_) | Expr::Random { .. } | Expr::Read(_) => e.clone(),
            Expr::Unary(op, a) => Expr::Unary(*op, Box::new(self.rewrite(a))),
            Expr::Binary(op, a, b) => {
                Expr::Binary(*op, Box::new(self.rewrite(a)), Box::new(self.rewrite(b)))
            }
            Expr::Select(rel, args) => {
                let args = [&args[0], &args[1], &args[2], &args[3]].map(|a| self.rewrite(a));
                Expr::Select(*rel, Box::new(args))
            }
        }
    }

    /// The variables of a part that is worth hoisting.
    fn invariant(&self, e: &Expr) -> Option<Vec<usize>> {
        if matches!(
            e,
            Expr::Lit(_) | Expr::Index(_) | Expr::Read(_) | Expr::Random { .. }
        ) || !costly(e)
        {
            return None;
        }
        let mut used = vec![false; self.extents.len()];
        super::contraction::mark(e, &mut used);
        let vars: Vec<usize> = (0..used.len()).filter(|v| used[*v]).collect();
        let part: i64 = vars.iter().map(|v| self.extents[*v]).product();
        (part * LESS <= self.points && !super::contraction::has_random(e)).then_some(vars)
    }

    fn hoist(&mut self, e: &Expr, vars: &[usize]) -> Expr {
        let place = |v: usize| {
            vars.iter()
                .position(|k| *k == v)
                .map_or(Ix::constant(0), Ix::var)
        };
        let shape: Vec<i64> = vars.iter().map(|v| self.extents[*v]).collect();
        let mut equation = net::identity(&shape);
        equation.body = net::rebuild(e, &|ix| ix.substitute(&place), &Expr::Read);
        let label = format!("{} invariant", self.net.values[self.id].label);
        let mut pieces = vec![equation];
        let mut operands = self.operands.clone();
        super::plan::compact(&mut pieces, &mut operands);
        let value = self
            .net
            .push(shape, Def::Compute { pieces, operands }, label);
        self.operands.push(value);
        let at = vars.iter().map(|v| Pos::Ix(Ix::var(*v))).collect();
        Expr::Read(Read {
            operand: self.operands.len() - 1,
            at,
            outside: None,
        })
    }
}

fn costly(e: &Expr) -> bool {
    cost(e).maths > 0 || slow(e)
}

fn slow(e: &Expr) -> bool {
    match e {
        Expr::Unary(Unary::Sqrt, _) | Expr::Binary(Binary::Div, _, _) => true,
        Expr::Unary(_, a) => slow(a),
        Expr::Binary(_, a, b) => slow(a) || slow(b),
        Expr::Select(_, args) => args.iter().any(slow),
        _ => false,
    }
}
