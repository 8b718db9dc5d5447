//! Invariants: a costly part of a body that depends on few of its indices becomes a value over just those.
//!
//! `w[i] - rate*m[i]/(1 - beta**n[])` must not raise to a power once for each weight.

use super::net::{self, Def, Net, ValueId};
use crate::equation::cost::cost;
use crate::equation::index::Ix;
use crate::equation::{Binary, Expr, Lit, Pos, Read, Unary};

pub fn invariants(net: &mut Net) {
    for id in net.order() {
        let Def::Compute { pieces, operands } = net.values[id].def.clone() else {
            continue;
        };
        let mut operands = operands;
        let mut new = vec![];
        for mut piece in pieces {
            let extents = piece.extents();
            let points = piece.points();
            let mut guarded = vec![false; extents.len()];
            let mut see = |v: usize| guarded[v] = true;
            piece
                .guards
                .iter()
                .for_each(|g| g.index.for_each_var(&mut see));
            let mut hoister = Hoister {
                guarded: &guarded,
                net,
                extents: &extents,
                n_free: piece.free.len(),
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
    /// Indices that a guard confines: a part over them may read outside where it fails.
    guarded: &'a [bool],
    net: &'a mut Net,
    extents: &'a [i64],
    n_free: usize,
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
            Expr::Binary(Binary::Div, a, b) if self.is_fixed_along_rows(b) => {
                let one = Expr::Lit(Lit::new(1.0));
                let inverse = Expr::Binary(Binary::Div, Box::new(one), Box::new(self.rewrite(b)));
                Expr::Binary(Binary::Mul, Box::new(self.rewrite(a)), Box::new(inverse))
            }
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

    /// Whether the divisor is one number for each long row: its inverse then is, too, and a row is multiplied by it.
    fn is_fixed_along_rows(&self, e: &Expr) -> bool {
        let vars = self.vars(e);
        !matches!(e, Expr::Lit(_)) && self.row(&vars) >= self.net.numerics.min_hoisted_row
    }

    fn vars(&self, e: &Expr) -> Vec<usize> {
        let mut used = vec![false; self.extents.len()];
        super::contraction::mark(e, &mut used);
        (0..used.len()).filter(|v| used[*v]).collect()
    }

    /// Points of the free indices behind the last of these variables.
    fn row(&self, vars: &[usize]) -> i64 {
        let after = vars.iter().max().map_or(0, |v| v + 1)..self.n_free;
        self.extents.get(after).map_or(1, |e| e.iter().product())
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
        let vars = self.vars(e);
        if vars.iter().any(|v| self.guarded[*v]) {
            return None;
        }
        let part: i64 = vars.iter().map(|v| self.extents[*v]).product();
        // Where rows are long, code computes what is fixed along a row before the row, and the value needs no kernel.
        if cost(e).maths == 0 && self.row(&vars) >= self.net.numerics.min_hoisted_row {
            return None;
        }
        (part * self.net.numerics.min_hoisted_ratio <= self.points
            && !super::contraction::has_random(e))
        .then_some(vars)
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
