//! Building, rewriting and searching scalar expressions.
//!
//! The constructors fold what is certain (literals, neutral elements); they never reorder a sum or a product of reads.

use super::index::Ix;
use super::{Binary, Expr, Guard, Lit, Pos, Read, Relation, Unary};

impl Expr {
    pub fn lit(value: f64) -> Expr {
        Expr::Lit(Lit::new(value))
    }

    pub fn index(ix: Ix) -> Expr {
        match ix.as_constant() {
            Some(c) => Expr::lit(c as f64),
            None => Expr::Index(ix),
        }
    }

    /// A read that is proven to be inside.
    pub fn read(operand: usize, at: Vec<Pos>) -> Expr {
        Expr::Read(Read {
            operand,
            at,
            outside: None,
        })
    }

    pub fn as_lit(&self) -> Option<f64> {
        match self {
            Expr::Lit(lit) => Some(lit.get()),
            _ => None,
        }
    }

    pub fn is(&self, value: f64) -> bool {
        self.as_lit() == Some(value)
    }

    pub fn unary(op: Unary, a: Expr) -> Expr {
        match (op, a) {
            (Unary::Neg, Expr::Unary(Unary::Neg, a)) => *a,
            (Unary::Stop, a @ (Expr::Lit(_) | Expr::Index(_))) => a,
            (op, a @ Expr::Index(_)) if op.facts().is_step() => a,
            (op, Expr::Lit(a)) => Expr::lit(op.of(a.get())),
            (op, a) => Expr::Unary(op, Box::new(a)),
        }
    }

    pub fn binary(op: Binary, a: Expr, b: Expr) -> Expr {
        match op {
            Binary::Add => a.add(b),
            Binary::Sub => a.sub(b),
            Binary::Mul => a.mul(b),
            Binary::Div => a.div(b),
            op => match (a.as_lit(), b.as_lit()) {
                (Some(x), Some(y)) => Expr::lit(op.of(x, y)),
                _ => Expr::Binary(op, Box::new(a), Box::new(b)),
            },
        }
    }

    pub fn select(relation: Relation, args: [Expr; 4]) -> Expr {
        if let (Some(a), Some(b)) = (args[0].as_lit(), args[1].as_lit()) {
            let [_, _, yes, no] = args;
            return if relation.holds(a, b) { yes } else { no };
        }
        if args[2] == args[3] {
            let [_, _, yes, _] = args;
            return yes;
        }
        Expr::Select(relation, Box::new(args))
    }

    /// The expression with every index expression replaced.
    pub fn map_ix(&self, f: &impl Fn(&Ix) -> Ix) -> Expr {
        match self {
            Expr::Lit(_) => self.clone(),
            Expr::Index(ix) => Expr::index(f(ix)),
            Expr::Read(r) => Expr::Read(r.map_ix(f)),
            Expr::Unary(op, a) => Expr::unary(*op, a.map_ix(f)),
            Expr::Binary(op, a, b) => Expr::binary(*op, a.map_ix(f), b.map_ix(f)),
            Expr::Select(r, args) => Expr::select(*r, std::array::from_fn(|i| args[i].map_ix(f))),
            Expr::Random { key, normal, at } => Expr::Random {
                key: *key,
                normal: *normal,
                at: f(at),
            },
        }
    }

    /// Rebuilds from the leaves; `f` sees every leaf of the value once, and every operation that folding leaves, not the
    /// positions of reads. What folding lifts out of an operation, as the operand of two negations, has been seen: renaming it
    /// twice would name something else.
    pub fn rewrite(&self, f: &mut impl FnMut(Expr) -> Expr) -> Expr {
        let node = match self {
            Expr::Lit(_) | Expr::Index(_) | Expr::Read(_) | Expr::Random { .. } => {
                return f(self.clone());
            }
            Expr::Unary(op, a) => Expr::unary(*op, a.rewrite(f)),
            Expr::Binary(op, a, b) => {
                let a = a.rewrite(f);
                Expr::binary(*op, a, b.rewrite(f))
            }
            Expr::Select(r, args) => {
                let mut next = args.iter().map(|a| a.rewrite(f));
                let args =
                    std::array::from_fn(|_| next.next().expect("a select has four arguments"));
                Expr::select(*r, args)
            }
        };
        match node {
            Expr::Lit(_) | Expr::Index(_) | Expr::Read(_) | Expr::Random { .. } => node,
            operation => f(operation),
        }
    }

    /// Every node of the value, and of computed positions when `positions` is set.
    pub fn visit(&self, positions: bool, f: &mut impl FnMut(&Expr)) {
        f(self);
        match self {
            Expr::Lit(_) | Expr::Index(_) | Expr::Random { .. } => {}
            Expr::Read(r) if positions => r.at.iter().for_each(|p| {
                if let Pos::Computed(e) = p {
                    e.visit(positions, f);
                }
            }),
            Expr::Read(_) => {}
            Expr::Unary(_, a) => a.visit(positions, f),
            Expr::Binary(_, a, b) => {
                a.visit(positions, f);
                b.visit(positions, f);
            }
            Expr::Select(_, args) => args.iter().for_each(|a| a.visit(positions, f)),
        }
    }

    /// Every read of the value; with `positions`, those inside computed positions too.
    pub fn for_each_read(&self, positions: bool, f: &mut impl FnMut(&Read)) {
        self.visit(positions, &mut |e| {
            if let Expr::Read(r) = e {
                f(r);
            }
        });
    }

    /// Every variable that the value depends on, positions included.
    pub fn for_each_var(&self, f: &mut impl FnMut(usize)) {
        self.visit(true, &mut |e| match e {
            Expr::Index(ix) | Expr::Random { at: ix, .. } => ix.for_each_var(f),
            Expr::Read(r) => r.at.iter().for_each(|p| {
                if let Pos::Ix(ix) = p {
                    ix.for_each_var(f);
                }
            }),
            _ => {}
        });
    }

    pub fn map_operands(&self, f: &impl Fn(usize) -> usize) -> Expr {
        self.rewrite(&mut |e| match e {
            Expr::Read(r) => Expr::Read(Read {
                operand: f(r.operand),
                at: r.at.iter().map(|p| p.map_operands(f)).collect(),
                outside: r.outside,
            }),
            e => e,
        })
    }
}

/// Arithmetic that folds literals and neutral elements. A literal zero absorbs a factor.
#[allow(clippy::should_implement_trait)]
impl Expr {
    pub fn neg(self) -> Expr {
        Expr::unary(Unary::Neg, self)
    }

    pub fn add(self, b: Expr) -> Expr {
        match (self.as_lit(), b.as_lit()) {
            (Some(x), Some(y)) => Expr::lit(x + y),
            (Some(0.0), _) => b,
            (_, Some(0.0)) => self,
            _ => match b {
                Expr::Unary(Unary::Neg, b) => self.sub(*b),
                b => Expr::Binary(Binary::Add, Box::new(self), Box::new(b)),
            },
        }
    }

    pub fn sub(self, b: Expr) -> Expr {
        match (self.as_lit(), b.as_lit()) {
            (Some(x), Some(y)) => Expr::lit(x - y),
            (Some(0.0), _) => b.neg(),
            (_, Some(0.0)) => self,
            _ => Expr::Binary(Binary::Sub, Box::new(self), Box::new(b)),
        }
    }

    pub fn mul(self, b: Expr) -> Expr {
        match (self.as_lit(), b.as_lit()) {
            (Some(x), Some(y)) => Expr::lit(x * y),
            (Some(0.0), _) | (_, Some(0.0)) => Expr::lit(0.0),
            (Some(1.0), _) => b,
            (_, Some(1.0)) => self,
            (Some(-1.0), _) => b.neg(),
            (_, Some(-1.0)) => self.neg(),
            _ => Expr::Binary(Binary::Mul, Box::new(self), Box::new(b)),
        }
    }

    pub fn div(self, b: Expr) -> Expr {
        match (self.as_lit(), b.as_lit()) {
            (Some(x), Some(y)) => Expr::lit(x / y),
            (Some(0.0), None) => Expr::lit(0.0),
            (_, Some(1.0)) => self,
            _ => Expr::Binary(Binary::Div, Box::new(self), Box::new(b)),
        }
    }
}

impl Read {
    pub fn map_ix(&self, f: &impl Fn(&Ix) -> Ix) -> Read {
        let at = self.at.iter().map(|p| p.map_ix(f)).collect();
        Read {
            operand: self.operand,
            at,
            outside: self.outside,
        }
    }

    /// Every variable of the positions.
    pub fn for_each_var(&self, f: &mut impl FnMut(usize)) {
        for p in &self.at {
            match p {
                Pos::Ix(ix) => ix.for_each_var(f),
                Pos::Computed(e) => e.for_each_var(f),
            }
        }
    }

    pub fn is_affine(&self) -> bool {
        self.at.iter().all(|p| p.as_ix().is_some_and(Ix::is_affine))
    }
}

impl Pos {
    pub fn as_ix(&self) -> Option<&Ix> {
        match self {
            Pos::Ix(ix) => Some(ix),
            Pos::Computed(_) => None,
        }
    }

    pub fn map_ix(&self, f: &impl Fn(&Ix) -> Ix) -> Pos {
        match self {
            Pos::Ix(ix) => Pos::Ix(f(ix)),
            Pos::Computed(e) => Pos::Computed(Box::new(e.map_ix(f))),
        }
    }

    fn map_operands(&self, f: &impl Fn(usize) -> usize) -> Pos {
        match self {
            Pos::Ix(_) => self.clone(),
            Pos::Computed(e) => Pos::Computed(Box::new(e.map_operands(f))),
        }
    }
}

impl super::Equation {
    /// Extents of all variables: free, then reduced.
    pub fn extents(&self) -> Vec<i64> {
        self.free.iter().chain(&self.reduced).copied().collect()
    }

    /// Points of the box.
    pub fn points(&self) -> i64 {
        self.free.iter().chain(&self.reduced).product()
    }

    /// The equation with every index expression replaced; the box stays.
    pub fn map_ix(&self, f: &impl Fn(&Ix) -> Ix) -> super::Equation {
        super::Equation {
            free: self.free.clone(),
            reduced: self.reduced.clone(),
            reducer: self.reducer,
            body: self.body.map_ix(f),
            guards: self
                .guards
                .iter()
                .map(|g| Guard {
                    index: f(&g.index),
                    extent: g.extent,
                })
                .collect(),
            write: self.write.iter().map(|p| p.map_ix(f)).collect(),
        }
    }

    /// The equation with its operands renumbered.
    pub fn map_operands(&self, f: &impl Fn(usize) -> usize) -> super::Equation {
        super::Equation {
            body: self.body.map_operands(f),
            write: self.write.iter().map(|p| p.map_operands(f)).collect(),
            ..self.clone()
        }
    }

    /// Every read of the body and of computed write positions; with `positions`, those inside positions too.
    pub fn for_each_read(&self, positions: bool, f: &mut impl FnMut(&Read)) {
        self.body.for_each_read(positions, f);
        for p in &self.write {
            if let Pos::Computed(e) = p {
                e.for_each_read(positions, f);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Trees as renaming leaves them before they are folded: each constructor that lifts an operand out.
    #[test]
    fn what_folding_lifts_out_is_renamed_once() {
        let read = || Expr::read(0, vec![]);
        let raw = |op, a, b| Expr::Binary(op, Box::new(a), Box::new(b));
        let negated = |a| Expr::Unary(Unary::Neg, Box::new(a));
        let trees = [
            negated(negated(read())),
            negated(negated(negated(read()))),
            raw(Binary::Mul, read(), Expr::lit(1.0)),
            raw(Binary::Mul, Expr::lit(-1.0), negated(read())),
            raw(Binary::Add, Expr::lit(0.0), read()),
            raw(Binary::Add, read(), negated(read())),
            raw(Binary::Sub, Expr::lit(0.0), negated(read())),
            raw(Binary::Sub, read(), Expr::lit(0.0)),
            raw(Binary::Div, read(), Expr::lit(1.0)),
            Expr::Select(
                Relation::Lt,
                Box::new([Expr::lit(1.0), Expr::lit(2.0), read(), Expr::lit(3.0)]),
            ),
            Expr::Select(
                Relation::Lt,
                Box::new([read(), Expr::lit(2.0), read(), read()]),
            ),
        ];
        for tree in trees {
            let mut operands = vec![];
            let renamed = tree.map_operands(&|operand| operand + 1);
            renamed.for_each_read(true, &mut |r| operands.push(r.operand));
            assert!(!operands.is_empty(), "{tree:?}");
            assert!(operands.iter().all(|o| *o == 1), "{tree:?}: {renamed:?}");
        }
    }
}
