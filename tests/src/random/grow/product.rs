//! Sums of products: matrix products, convolutions, and what is nearly one.

use super::{Grower, Scope, binary, int, plus, range};
use crate::random::program::{Expr, Index, Tensor, Value};

impl Grower {
    /// A sum of products of two or three tensors: matrix products, convolutions, and what is nearly one.
    pub(super) fn product(&mut self) {
        let n_factors = if self.rng.chance(85) { 2 } else { 3 };
        let shapes: Vec<Vec<i64>> = (0..n_factors).map(|_| self.shape()).collect();
        let tensors: Vec<Tensor> = shapes
            .iter()
            .map(|shape| match self.rng.chance(50) {
                true => self.tensor(),
                false => {
                    let name = self.tensor_of(shape);
                    Tensor {
                        name,
                        shape: shape.clone(),
                    }
                }
            })
            .collect();
        let (mut free, mut over): (Vec<Index>, Vec<Index>) = (vec![], vec![]);
        let mut factors = vec![];
        for tensor in &tensors {
            let mut at = vec![];
            let mut inside = true;
            for n in &tensor.shape {
                let (p, is_inside) = self.product_axis(*n, &mut free, &mut over);
                at.push(p);
                inside &= is_inside;
            }
            let other = (!inside).then(|| {
                if self.rng.chance(85) {
                    0.0
                } else {
                    self.other()
                }
            });
            factors.push(Expr::Read {
                of: tensor.name.clone(),
                at,
                other,
            });
        }
        let points = |all: &[Index]| all.iter().map(|v| v.high - v.low).product::<i64>();
        while points(&free) * points(&over) > 4 * self.most_points
            || points(&free) > self.most_elements
        {
            let longest = free
                .iter_mut()
                .chain(over.iter_mut())
                .max_by_key(|v| v.high - v.low);
            let Some(longest) = longest else { break };
            longest.high = longest.low + 2;
        }
        if free.len() > 5 {
            over.extend(free.drain(5..));
        }
        let mut body = factors
            .into_iter()
            .reduce(|a, b| binary("*", a, b))
            .unwrap_or(Expr::Num(1.0));
        // Ranges have changed: what was inside may be so no more, so every read gets an `else` that needs one.
        let scope = Scope {
            vars: free.iter().chain(&over).cloned().collect(),
        };
        self.mend(&mut body, &scope);
        if self.rng.chance(20) {
            body = binary("*", Expr::Num(self.literal()), body);
        }
        self.shuffle(&mut free);
        let shape = free.iter().map(|v| v.high).collect();
        let body = match over.is_empty() {
            true => body,
            false => Expr::Reduce {
                how: "sum",
                over,
                body: Box::new(body),
            },
        };
        self.push(shape, false, Value::Equation { free, body });
    }

    /// A matrix product of some axes on each side, in any order of axes and indices, batched or not.
    pub(super) fn matrix_product(&mut self) {
        const SIDES: [i64; 12] = [2, 3, 5, 8, 9, 16, 17, 31, 32, 33, 64, 65];
        let mut axes: Vec<(i64, [bool; 3])> = vec![];
        let mut add = |g: &mut Grower, n: usize, role: [bool; 3]| {
            let known = g.extents.clone();
            for _ in 0..n {
                let extent = match g.rng.chance(40) {
                    true => *g.rng.pick(&known),
                    false => *g.rng.pick(&SIDES),
                };
                axes.push((extent, role));
            }
        };
        // (in the first factor, in the second, in the result)
        let counts = [
            self.rng.int(1, 2),
            self.rng.int(1, 2),
            self.rng.int(1, 2),
            [0, 0, 1][self.rng.below(3)],
        ];
        add(self, counts[0] as usize, [true, false, true]);
        add(self, counts[1] as usize, [false, true, true]);
        add(self, counts[2] as usize, [true, true, false]);
        add(self, counts[3] as usize, [true, true, true]);
        let points = |axes: &[(i64, [bool; 3])], part: usize| -> i64 {
            axes.iter()
                .filter(|a| part > 2 || a.1[part])
                .map(|a| a.0)
                .product()
        };
        while points(&axes, 3) > 4 * self.most_points
            || (0..3).any(|p| points(&axes, p) > self.most_elements)
        {
            if let Some(longest) = axes.iter_mut().max_by_key(|a| a.0) {
                longest.0 = (longest.0 / 2).max(1);
            }
        }
        let shape: Vec<i64> = axes.iter().map(|a| a.0).collect();
        let indices = self.indices(&shape, "i", false);
        let mut factors = vec![];
        for side in 0..2 {
            let mut own: Vec<usize> = (0..axes.len()).filter(|a| axes[*a].1[side]).collect();
            self.shuffle(&mut own);
            let shape: Vec<i64> = own.iter().map(|a| axes[*a].0).collect();
            let of = self.tensor_of(&shape);
            let at = own
                .iter()
                .map(|a| Expr::Var(indices[*a].name.clone()))
                .collect();
            factors.push(Expr::Read {
                of,
                at,
                other: None,
            });
        }
        let of = |result: bool| -> Vec<Index> {
            let ours = (0..axes.len()).filter(|a| axes[*a].1[2] == result);
            ours.map(|a| indices[a].clone()).collect()
        };
        let (mut free, mut over) = (of(true), of(false));
        self.shuffle(&mut free);
        self.shuffle(&mut over);
        let [a, b] = [factors[0].clone(), factors[1].clone()];
        let body = match self.rng.below(5) {
            0 => binary("/", binary("*", a, b), Expr::Num(1.75)),
            1 => binary("*", b, a),
            2 => binary("*", a, Expr::Unary("tanh", Box::new(b))),
            _ => binary("*", a, b),
        };
        self.reduce_into(free, over, body);
    }

    pub(super) fn reduce_into(&mut self, free: Vec<Index>, over: Vec<Index>, body: Expr) {
        let shape = free.iter().map(|v| v.high).collect();
        let how = ["sum", "sum", "sum", "sum", "mean"][self.rng.below(5)];
        let body = Expr::Reduce {
            how,
            over,
            body: Box::new(body),
        };
        self.push(shape, false, Value::Equation { free, body });
    }

    /// A convolution along one to three axes, with strides, dilations and groups; of a weight, or of two activations.
    pub(super) fn convolution(&mut self) {
        let n_axes = [1, 2, 2, 2, 3][self.rng.below(5)];
        let groups = *self.rng.pick(&[1, 1, 1, 1, 2, 3]);
        let channels = groups * *self.rng.pick(&[1, 2, 3, 4, 8, 16]);
        let outputs = groups * *self.rng.pick(&[1, 2, 3, 8, 16, 33]);
        let batch = *self.rng.pick(&[1, 1, 2, 3]);
        let mut windows = vec![];
        for _ in 0..n_axes {
            let n = *self.rng.pick(&[1, 3, 4, 5, 7, 8, 9, 12, 16, 17, 33]);
            let taps = *self.rng.pick(&[1, 2, 3, 3, 3, 3, 4, 5]);
            let (stride, dilation) = (
                *self.rng.pick(&[1, 1, 1, 2, 3]),
                *self.rng.pick(&[1, 1, 1, 1, 2]),
            );
            let pad = self.rng.int(0, (taps - 1) * dilation);
            let out = (n + 2 * pad - dilation * (taps - 1) - 1).div_euclid(stride) + 1;
            windows.push((n, taps, stride, dilation, pad, out.max(1)));
        }
        let points: i64 =
            windows.iter().map(|w| w.1 * w.5).product::<i64>() * batch * outputs * channels
                / groups;
        let sizes: i64 =
            windows.iter().map(|w| w.0.max(w.5)).product::<i64>() * batch * channels.max(outputs);
        if points > 8 * self.most_points || sizes > self.most_elements {
            return self.matrix_product();
        }
        let input: Vec<i64> = [batch, channels]
            .into_iter()
            .chain(windows.iter().map(|w| w.0))
            .collect();
        let kernel: Vec<i64> = [outputs, channels / groups]
            .into_iter()
            .chain(windows.iter().map(|w| w.1))
            .collect();
        let result: Vec<i64> = [batch, outputs]
            .into_iter()
            .chain(windows.iter().map(|w| w.5))
            .collect();
        let (x, k) = (self.tensor_of(&input), self.tensor_of(&kernel));
        let free = self.indices(&result, "i", false);
        let over = self.indices(&kernel[1..], "k", false);
        let var = |v: &Index| Expr::Var(v.name.clone());
        let channel = match groups {
            1 => var(&over[0]),
            _ => {
                let group = binary("//", var(&free[1]), int(outputs / groups));
                binary(
                    "+",
                    binary("*", group, int(channels / groups)),
                    var(&over[0]),
                )
            }
        };
        let mut at = vec![var(&free[0]), channel];
        for (i, (_, _, stride, dilation, pad, _)) in windows.iter().enumerate() {
            let times = |by: i64, v: Expr| if by == 1 { v } else { binary("*", int(by), v) };
            let place = binary(
                "+",
                times(*stride, var(&free[2 + i])),
                times(*dilation, var(&over[1 + i])),
            );
            at.push(plus(place, -pad));
        }
        let taps = [&free[1]].into_iter().chain(&over).map(var).collect();
        let kernel = Expr::Read {
            of: k,
            at: taps,
            other: None,
        };
        let mut input = Expr::Read {
            of: x,
            at,
            other: None,
        };
        let scope = Scope {
            vars: free.iter().chain(&over).cloned().collect(),
        };
        self.mend(&mut input, &scope);
        self.reduce_into(free, over, binary("*", kernel, input));
    }

    /// One axis of a factor: an index that is shared with another factor, a new one, or a window over two.
    pub(super) fn product_axis(
        &mut self,
        n: i64,
        free: &mut Vec<Index>,
        over: &mut Vec<Index>,
    ) -> (Expr, bool) {
        let fits: Vec<Index> = free
            .iter()
            .chain(over.iter())
            .filter(|v| v.high == n)
            .cloned()
            .collect();
        if !fits.is_empty() && self.rng.chance(70) {
            return (Expr::Var(self.rng.pick(&fits).name.clone()), true);
        }
        let mut fresh = |g: &mut Grower, n: i64, reduced: bool| {
            let v = g
                .indices(&[n], if reduced { "k" } else { "i" }, false)
                .remove(0);
            let name = v.name.clone();
            if reduced {
                over.push(v)
            } else {
                free.push(v)
            }
            Expr::Var(name)
        };
        if n >= 4 && self.rng.chance(40) {
            let taps = *self.rng.pick(&[1, 2, 3, 3, 3, 4, 5]);
            let (stride, dilation) = (self.rng.int(1, 2), *self.rng.pick(&[1, 1, 1, 2]));
            let pad = self.rng.int(0, taps / 2 * dilation);
            let out = ((n + 2 * pad - dilation * (taps - 1) - 1) / stride + 1).max(1);
            let (i, k) = (fresh(self, out, false), fresh(self, taps, true));
            let scaled = |by: i64, v: Expr| if by == 1 { v } else { binary("*", int(by), v) };
            let at = binary("+", scaled(stride, i), scaled(dilation, k));
            return (plus(at, -pad), false);
        }
        let reduced = self.rng.chance(45);
        (fresh(self, n, reduced), true)
    }

    pub(super) fn mend(&mut self, e: &mut Expr, scope: &Scope) {
        match e {
            Expr::Binary(_, a, b) => {
                self.mend(a, scope);
                self.mend(b, scope);
            }
            Expr::Read { of, at, other } => {
                let shape = self.program.shape(of).unwrap_or_default().to_vec();
                let inside = at
                    .iter()
                    .zip(shape)
                    .all(|(p, n)| range(p, scope).is_some_and(|(lo, hi)| lo >= 0 && hi < n));
                if inside {
                    *other = None;
                } else if other.is_none() {
                    *other = Some(0.0);
                }
            }
            _ => {}
        }
    }

    pub(super) fn shuffle<T>(&mut self, all: &mut [T]) {
        if self.rng.chance(35) {
            for i in (1..all.len()).rev() {
                all.swap(i, self.rng.below(i + 1));
            }
        }
    }
}
