//! Reads: where a tensor is read, inside by our own intervals or with an `else`.

use super::{Grower, Scope, binary, int, plus, range};
use crate::random::program::{Expr, Index, Tensor};

impl Grower {
    pub(super) fn read(&mut self, scope: &Scope) -> Expr {
        let tensor = self.tensor();
        self.read_of(&tensor, scope)
    }

    pub(super) fn read_of(&mut self, tensor: &Tensor, scope: &Scope) -> Expr {
        let mut at = vec![];
        let mut inside = true;
        for n in &tensor.shape {
            let (p, is_inside) = self.position(*n, scope);
            at.push(p);
            inside &= is_inside;
        }
        let other = (!inside || self.rng.chance(8)).then(|| self.other());
        Expr::Read {
            of: tensor.name.clone(),
            at,
            other,
        }
    }

    pub(super) fn other(&mut self) -> f64 {
        [0.0, 0.0, 0.0, 0.0, 1.5, -2.0, 1.0][self.rng.below(7)]
    }

    /// A position on an axis of `n`, and whether it is surely inside.
    pub(super) fn position(&mut self, n: i64, scope: &Scope) -> (Expr, bool) {
        let exact: Vec<&Index> = scope
            .vars
            .iter()
            .filter(|v| v.low == 0 && v.high == n)
            .collect();
        let within: Vec<&Index> = scope.vars.iter().filter(|v| v.high <= n).collect();
        let bare = |v: &Index| Expr::Var(v.name.clone());
        let roll = self.rng.below(100);
        if roll < 55 && !exact.is_empty() {
            return (bare(self.rng.pick::<&Index>(&exact)), true);
        }
        if roll < 65 && !within.is_empty() {
            let v = (*self.rng.pick(&within)).clone();
            return (plus(bare(&v), self.rng.int(-v.low, n - v.high)), true);
        }
        if roll < 72 && !exact.is_empty() {
            let v = bare(self.rng.pick::<&Index>(&exact));
            return (binary("-", int(n - 1), v), true);
        }
        if roll >= 93 {
            return self.computed(n, scope);
        }
        let p = match roll {
            ..75 => int(self.rng.int(0, n - 1)),
            _ => self.index(scope),
        };
        let inside = range(&p, scope).is_some_and(|(lo, hi)| lo >= 0 && hi < n);
        match !inside && self.rng.chance(25) {
            // Often outside on both sides otherwise.
            true => (Expr::Call("clamp", vec![p, int(0), int(n - 1)]), true),
            false => (p, inside),
        }
    }

    /// A position that depends on values.
    pub(super) fn computed(&mut self, n: i64, scope: &Scope) -> (Expr, bool) {
        let wholes: Vec<Tensor> = self
            .program
            .lines
            .iter()
            .filter(|l| l.whole)
            .map(|l| Tensor {
                name: l.name.clone(),
                shape: l.shape.clone(),
            })
            .collect();
        let base = match !wholes.is_empty() && self.rng.chance(60) {
            true => {
                let tensor = self.rng.pick(&wholes).clone();
                self.plain_read(&tensor, scope)
            }
            false => {
                let value = Box::new(self.position_value(scope));
                match self.rng.below(8) {
                    0 => Expr::Unary("ceil", value),
                    1 => Expr::Unary("round", value),
                    _ => Expr::Unary("floor", value),
                }
            }
        };
        let base = self.far(base);
        let p = match (self.rng.below(6), self.var(scope)) {
            (0 | 1, Some(v)) => binary("+", base, v),
            (2, _) => plus(base, self.rng.int(-2, 2)),
            (3, _) => binary("//", base, int(2)),
            _ => base,
        };
        match self.rng.below(4) {
            0 => (Expr::Call("clamp", vec![p, int(0), int(n - 1)]), true),
            1 => (binary("%", p, int(n)), true),
            _ => (p, false),
        }
    }

    /// A position as it is, or one that 32 bits may not hold: times several factors, and what else keeps it whole.
    fn far(&mut self, base: Expr) -> Expr {
        const FACTORS: [i64; 5] = [3, 700, 1024, 1025, 65_537];
        match self.rng.below(12) {
            0 => Expr::Unary("abs", Box::new(base)),
            1 => Expr::Unary("stop", Box::new(base)),
            2 | 3 => {
                let factors = [*self.rng.pick(&FACTORS), *self.rng.pick(&FACTORS)];
                let product = binary("*", base, int(factors[0]));
                binary("*", int(factors[1]), product)
            }
            _ => base,
        }
    }

    /// A value whose floor is about as large as an axis.
    pub(super) fn position_value(&mut self, scope: &Scope) -> Expr {
        let read = {
            let tensor = self.tensor();
            self.plain_read(&tensor, scope)
        };
        let scaled = binary(
            "*",
            Expr::Num([1.7, 2.6, 4.3, -3.1][self.rng.below(4)]),
            read,
        );
        match self.rng.chance(50) {
            true => binary("+", scaled, self.index(scope)),
            false => binary("+", scaled, Expr::Num(1.375)),
        }
    }

    /// A read without computed positions.
    pub(super) fn plain_read(&mut self, tensor: &Tensor, scope: &Scope) -> Expr {
        let mut inside = true;
        let mut at = vec![];
        for n in &tensor.shape {
            let exact: Vec<&Index> = scope
                .vars
                .iter()
                .filter(|v| v.low == 0 && v.high == *n)
                .collect();
            let p = match exact.is_empty() {
                false => Expr::Var(self.rng.pick(&exact).name.clone()),
                true => self.index(scope),
            };
            inside &= range(&p, scope).is_some_and(|(lo, hi)| lo >= 0 && hi < *n);
            at.push(p);
        }
        Expr::Read {
            of: tensor.name.clone(),
            at,
            other: (!inside).then(|| self.other()),
        }
    }
}
