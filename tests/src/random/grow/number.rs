//! Equations of one number: reductions, arithmetic, choices, index expressions.

use super::{Grower, Scope, binary, int, plus};
use crate::random::program::{Expr, Value};

/// Terms around those from which a sum is cut.
const LONG: [i64; 4] = [8_191, 8_192, 9_000, 20_000];

impl Grower {
    /// Any equation.
    pub(super) fn equation(&mut self) {
        if self.is_large && self.rng.chance(40) {
            return self.turns();
        }
        let shape = self.shape();
        let free = self.indices(&shape, "i", false);
        let scope = Scope { vars: free.clone() };
        if self.rng.chance(12) {
            let body = Expr::Unary("floor", Box::new(self.position_value(&scope)));
            return self.push(shape, true, Value::Equation { free, body });
        }
        let body = match self.rng.chance(55) {
            true => self.reduction(&scope, 2),
            false => self.number(&scope, 3),
        };
        self.push(shape, false, Value::Equation { free, body });
    }

    /// Long sums of several tensors in turn along an axis: pieces of one value, each cut for its digits.
    pub(super) fn turns(&mut self) {
        let (n_rows, n_turns) = (self.rng.int(1, 3), self.rng.int(2, 3));
        let long = *self.rng.pick(&LONG);
        let free = self.indices(&[n_turns * n_rows], "i", false);
        let over = self.indices(&[long], "k", false);
        let (row, k) = (
            Expr::Var(free[0].name.clone()),
            Expr::Var(over[0].name.clone()),
        );
        let mut read = || Expr::Read {
            of: self.tensor_of(&[n_rows, long]),
            at: vec![binary("//", row.clone(), int(n_turns)), k.clone()],
            other: None,
        };
        let mut body = read();
        for turn in 1..n_turns {
            let a = binary("%", row.clone(), int(n_turns));
            let other = binary("*", Expr::Num(2.0), read());
            body = Expr::Select("==", Box::new([a, int(turn), other, body]));
        }
        let body = Expr::Reduce {
            how: "sum",
            over,
            body: Box::new(body),
        };
        self.push(
            vec![n_turns * n_rows],
            false,
            Value::Equation { free, body },
        );
    }

    pub(super) fn reduction(&mut self, scope: &Scope, depth: usize) -> Expr {
        let n = [1, 1, 1, 2, 2, 3][self.rng.below(6)];
        let mut shape: Vec<i64> = (0..n).map(|_| self.extent()).collect();
        while shape.iter().product::<i64>() * scope.points() > self.most_points {
            let largest = (0..shape.len()).max_by_key(|a| shape[*a]).unwrap_or(0);
            match shape[largest] > 3 {
                true => shape[largest] = self.rng.int(1, 3),
                false => shape.truncate(1.max(shape.len() - 1)),
            }
            if shape.len() == 1 && shape[0] <= 3 {
                break;
            }
        }
        let over = self.indices(&shape, "k", true);
        let inner = scope.with(&over);
        let how = ["sum", "sum", "sum", "mean", "max", "min", "lse", "var"][self.rng.below(8)];
        let body = self.number(&inner, depth);
        // Exponentials of large numbers are infinite.
        let body = match how {
            "lse" => Expr::Call("clamp", vec![body, Expr::Num(-6.0), Expr::Num(6.0)]),
            _ => body,
        };
        Expr::Reduce {
            how,
            over,
            body: Box::new(body),
        }
    }

    /// One number.
    pub(super) fn number(&mut self, scope: &Scope, depth: usize) -> Expr {
        if depth == 0 {
            return match self.rng.below(10) {
                0 => Expr::Num(self.literal()),
                1 if !scope.vars.is_empty() => self.index_number(scope),
                _ => self.read(scope),
            };
        }
        match self.rng.below(100) {
            0..=29 => self.read(scope),
            30..=33 => Expr::Num(self.literal()),
            34..=37 if !scope.vars.is_empty() => self.index_number(scope),
            38..=62 => {
                let op = ["+", "-", "*", "*", "*"][self.rng.below(5)];
                binary(
                    op,
                    self.number(scope, depth - 1),
                    self.number(scope, depth - 1),
                )
            }
            63..=82 => {
                let inner = self.number(scope, depth - 1);
                self.tamed(inner)
            }
            83..=87 => {
                let name = ["min", "max"][self.rng.below(2)];
                Expr::Call(
                    name,
                    vec![self.number(scope, depth - 1), self.number(scope, depth - 1)],
                )
            }
            88..=94 => self.select(scope, depth),
            _ if scope.points() < 4000 && depth > 1 => self.reduction(scope, depth - 1),
            _ => self.read(scope),
        }
    }

    pub(super) fn literal(&mut self) -> f64 {
        [0.5, -1.25, 2.0, -1.0, 0.75, 1.0, 0.1, 3.0][self.rng.below(8)]
    }

    pub(super) fn index_number(&mut self, scope: &Scope) -> Expr {
        let ix = self.index(scope);
        binary("*", Expr::Num([0.25, 0.5, -0.125][self.rng.below(3)]), ix)
    }

    /// A function of a number, defined and moderate wherever it is used.
    pub(super) fn tamed(&mut self, a: Expr) -> Expr {
        let f = |name: &'static str, a: Expr| Expr::Unary(name, Box::new(a));
        let bounded = |a: Expr| Expr::Call("clamp", vec![a, Expr::Num(-4.0), Expr::Num(2.0)]);
        match self.rng.below(22) {
            0 | 1 => f("-", a),
            2 => f("exp", bounded(a)),
            3 => f("log", binary("+", Expr::Num(1.25), f("abs", a))),
            4 => f("sqrt", binary("+", Expr::Num(0.5), f("abs", a))),
            5 => f("sin", a),
            6 => f("cos", a),
            7 | 8 => f("tanh", a),
            9 => f("erf", a),
            10 => f("abs", a),
            11 => f("floor", binary("*", Expr::Num(1.5), a)),
            12 => f("stop", a),
            13 => f(
                ["relu", "silu", "sigmoid", "gelu", "softplus"][self.rng.below(5)],
                a,
            ),
            14 => binary("/", a, Expr::Num([3.0, 0.7, -4.0][self.rng.below(3)])),
            15 => {
                let below = binary("+", Expr::Num(1.5), binary("*", a.clone(), a.clone()));
                binary("/", a, below)
            }
            16 => binary("**", a, int([2, 3][self.rng.below(2)])),
            17 => {
                let base = binary("+", f("abs", a), Expr::Num(0.5));
                binary("**", base, Expr::Num([1.5, -0.5, 2.25][self.rng.below(3)]))
            }
            18 => f(
                "tan",
                Expr::Call("clamp", vec![a, Expr::Num(-1.2), Expr::Num(1.2)]),
            ),
            19 => f(["asinh", "round", "ceil"][self.rng.below(3)], a),
            20 => {
                // Away from the cut, where a rounding turns the angle around.
                let x = binary("+", Expr::Num(0.5), f("abs", a.clone()));
                Expr::Call("atan2", vec![binary("-", a, Expr::Num(0.3)), x])
            }
            _ => Expr::Call("clamp", vec![a, Expr::Num(-0.6), Expr::Num(0.7)]),
        }
    }

    pub(super) fn select(&mut self, scope: &Scope, depth: usize) -> Expr {
        let relation = ["<", "<=", ">", ">=", "==", "!="][self.rng.below(6)];
        let condition = match !scope.vars.is_empty() && self.rng.chance(60) {
            true => [self.index(scope), self.small_or_index(scope)],
            false => [self.read(scope), Expr::Num(self.literal())],
        };
        let [a, b] = condition;
        let (yes, no) = (self.number(scope, depth - 1), self.number(scope, depth - 1));
        Expr::Select(relation, Box::new([a, b, yes, no]))
    }

    pub(super) fn small_or_index(&mut self, scope: &Scope) -> Expr {
        match self.rng.chance(50) {
            true => int(self.rng.int(-1, 6)),
            false => self.index(scope),
        }
    }

    /// A whole number made of indices alone.
    pub(super) fn index(&mut self, scope: &Scope) -> Expr {
        let Some(v) = self.var(scope) else {
            return int(self.rng.int(0, 3));
        };
        match self.rng.below(12) {
            0..=4 => v,
            5 => plus(v, self.rng.int(-2, 3)),
            6 => binary("*", int([2, 3, -1][self.rng.below(3)]), v),
            7 => binary("//", plus(v, self.rng.int(0, 2)), int(self.rng.int(2, 4))),
            8 => binary("%", plus(v, self.rng.int(-1, 2)), int(self.rng.int(2, 4))),
            9 => {
                let w = self.var(scope).unwrap_or(int(0));
                let a = self.rng.int(1, 3);
                plus(binary("+", binary("*", int(a), v), w), self.rng.int(-2, 1))
            }
            10 => {
                let w = self.var(scope).unwrap_or(int(1));
                binary("-", v, w)
            }
            _ => {
                let w = self.var(scope).unwrap_or(int(1));
                Expr::Call(
                    ["min", "max"][self.rng.below(2)],
                    vec![v, plus(w, self.rng.int(-1, 1))],
                )
            }
        }
    }

    pub(super) fn var(&mut self, scope: &Scope) -> Option<Expr> {
        if scope.vars.is_empty() {
            return None;
        }
        Some(Expr::Var(self.rng.pick(&scope.vars).name.clone()))
    }
}
