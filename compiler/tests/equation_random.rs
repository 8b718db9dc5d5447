//! The calculus on equations drawn by seed: quasi-affine positions, conditions, every reducer, reads that leave.

use crate::equation;
use crate::equation::{Case, Random};
use vsr_compiler::equation::index::Ix;
use vsr_compiler::equation::{Binary, Equation, Expr, Lit, Pos, Read, Reducer, Relation, Unary};

struct Draw<'a> {
    random: &'a mut Random,
    extents: Vec<i64>,
    shapes: Vec<Vec<i64>>,
}

impl Draw<'_> {
    fn var(&mut self) -> Ix {
        Ix::var(self.random.below(self.extents.len() as u64) as usize)
    }

    /// Up to two indices with small coefficients, sometimes under `//` or `%`.
    fn index(&mut self) -> Ix {
        let c = self.random.within(1, 3);
        let mut ix = self.var().scale(c);
        if self.random.below(2) == 0 {
            let c = self.random.within(-2, 2);
            ix = ix.add(&self.var().scale(c));
        }
        ix = ix.offset(self.random.within(-2, 2));
        let n = self.random.within(2, 4);
        match self.random.below(6) {
            0 => ix.div(n),
            1 => ix.rem(n),
            2 => ix.div(n).add(&self.var()),
            _ => ix,
        }
    }

    /// A read of a new tensor that is just large enough, or smaller and 0 outside.
    fn read(&mut self) -> Expr {
        let leaves = self.random.below(2) == 0;
        let (mut at, mut shape) = (vec![], vec![]);
        for _ in 0..self.random.within(1, 3) {
            let ix = self.index();
            let (lo, hi) = ix.range(&self.extents);
            let (shift, n) = match leaves {
                true => (self.random.within(-lo - 2, -lo), (hi - lo).max(1)),
                false => (-lo, hi - lo + 1),
            };
            at.push(Pos::Ix(ix.offset(shift)));
            shape.push(n);
        }
        self.shapes.push(shape);
        let outside = leaves.then_some(Lit::new(0.0));
        Expr::Read(Read {
            operand: self.shapes.len() - 1,
            at,
            outside,
        })
    }

    fn relation(&mut self) -> Relation {
        use Relation::*;
        [Lt, Le, Gt, Ge, Eq, Ne][self.random.below(6) as usize]
    }

    fn body(&mut self, depth: u64) -> Expr {
        let pair = |d: &mut Self| (Box::new(d.body(depth - 1)), Box::new(d.body(depth - 1)));
        match if depth == 0 { 0 } else { self.random.below(8) } {
            0 | 1 => self.read(),
            2..=4 => {
                let (a, b) = pair(self);
                Expr::Binary(Binary::Mul, a, b)
            }
            5 => {
                let (a, b) = pair(self);
                Expr::Binary(Binary::Sub, a, b)
            }
            6 => {
                let op = [Unary::Tanh, Unary::Exp, Unary::Neg][self.random.below(3) as usize];
                Expr::Unary(op, Box::new(self.body(depth - 1)))
            }
            _ => {
                let (a, b) = pair(self);
                let left = Expr::Index(self.index());
                let right = Expr::lit(self.random.within(-1, 4) as f64);
                Expr::Select(self.relation(), Box::new([left, right, *a, *b]))
            }
        }
    }
}

fn draw(seed: u64) -> Case {
    let mut random = Random(seed.wrapping_mul(0x1234_5678_9ABC_DEF1));
    let n_free = random.within(1, 3) as usize;
    let n_reduced = random.within(0, 2) as usize;
    let extents: Vec<i64> = (0..n_free + n_reduced)
        .map(|_| random.within(1, 7))
        .collect();
    let reducer = match random.below(8) {
        _ if n_reduced == 0 => Reducer::Map,
        0 => Reducer::Max,
        1 => Reducer::Min,
        2 => Reducer::Lse,
        3 => Reducer::Var,
        _ => Reducer::Sum,
    };
    let mut d = Draw {
        random: &mut random,
        extents: extents.clone(),
        shapes: vec![],
    };
    let body = d.body(2);
    let shapes = d.shapes;
    Case {
        name: format!("seed {seed}"),
        equation: Equation {
            free: extents[..n_free].to_vec(),
            reduced: extents[n_free..].to_vec(),
            reducer,
            body,
            guards: vec![],
            write: (0..n_free).map(|v| Pos::Ix(Ix::var(v))).collect(),
        },
        operands: (0..shapes.len()).map(|i| i.to_string()).collect(),
        shapes,
        out: extents[..n_free].to_vec(),
    }
}

#[test]
fn pieces_and_gradients_of_drawn_equations() {
    for seed in 0..300 {
        draw(seed).check(&mut Random(seed));
    }
}

/// What is canonical stays as it is.
#[test]
fn pieces_are_canonical() {
    for seed in 0..300 {
        let case = draw(seed);
        for piece in case.pieces() {
            let affine = |ix: &Ix| ix.is_affine();
            let mut all = piece.guards.iter().all(|g| affine(&g.index));
            piece.for_each_read(true, &mut |r| {
                all &= r.at.iter().filter_map(Pos::as_ix).all(affine);
            });
            let computed = piece.guards.iter().any(|g| !affine(&g.index));
            assert!(all || computed, "{}: {piece:?}", case.name);
            let again = Case {
                equation: piece.clone(),
                ..draw(seed)
            };
            let x = Random(seed).tensors(&case.shapes);
            equation::close(&again.canonical_value(&x), &again.value(&x), &case.name);
        }
    }
}
