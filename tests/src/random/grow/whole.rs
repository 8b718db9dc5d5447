//! Lines on whole tensors: arithmetic, the standard library, concatenations, slices, reshapes.

use super::Grower;
use crate::random::check::shape_of;
use crate::random::library::Library;
use crate::random::program::{Tensor, Value};

impl Grower {
    /// Arithmetic on whole tensors.
    pub(super) fn whole(&mut self) {
        let shape = self.tensor().shape;
        let args = [
            self.tensor_of(&shape),
            self.tensor_of(&shape),
            self.tensor_of(&shape),
        ];
        let template = [
            "{0} + {1}",
            "{0} - 0.5*{1}",
            "{0}*{1}",
            "2*{0}*{1} + {2}",
            "{0}/(1.5 + {1}*{1})",
            "max({0}, {1})",
            "min({0}, 0.25)",
            "select({0} > {1}, {2}, 0.5*{1})",
            "tanh({0})*{1}",
            "stop({0}) + {1}",
            "exp(min({0}, 1)) - {1}",
            "-{0}",
            "abs({0}) + {1}**2",
            "{0}",
        ][self.rng.below(14)];
        let value = Value::Text {
            template: template.into(),
            args: args.to_vec(),
        };
        self.push(shape, false, value);
    }

    /// An op or a block of the standard library, on tensors of shapes that its signature allows.
    pub(super) fn call(&mut self, library: &Library) {
        for _ in 0..8 {
            let Some(call) = library.call(&mut self.rng, &self.extents.clone()) else {
                continue;
            };
            if call
                .shapes
                .iter()
                .any(|s| s.iter().product::<i64>() > self.most_elements)
            {
                continue;
            }
            let before = self.program.clone();
            let args = call.shapes.iter().map(|s| self.tensor_of(s)).collect();
            let label = self.name("b");
            let template = call.template.replace("{label}", &label);
            self.push(vec![], false, Value::Text { template, args });
            match shape_of(&self.program) {
                Some(shape) if shape.iter().product::<i64>() <= self.most_elements => {
                    if let Some(line) = self.program.lines.last_mut() {
                        line.shape = shape;
                    }
                    return;
                }
                _ => self.program = before,
            }
        }
    }

    pub(super) fn builtin(&mut self) {
        let t = self.tensor();
        let rank = t.shape.len();
        let elements: i64 = t.shape.iter().product();
        match self.rng.below(6) {
            0 if rank > 0 => self.concat(&t),
            1 if rank > 0 => self.slice(&t),
            2 => {
                let axis = self.rng.below(rank + 1);
                let other = self.tensor_of(&t.shape);
                let mut shape = t.shape.clone();
                shape.insert(axis, 2);
                if 2 * elements <= self.most_elements {
                    self.text(
                        shape,
                        format!("stack([{{0}}, {{1}}], axis={axis})"),
                        vec![t.name, other],
                    );
                }
            }
            3 if rank > 1 => {
                let (a, b) = (self.rng.below(rank), self.rng.below(rank));
                let mut shape = t.shape.clone();
                shape.swap(a, b);
                self.text(shape, format!("transpose({{0}}, {a}, {b})"), vec![t.name]);
            }
            4 => self.reshape(&t),
            _ if rank > 0 => self.split(&t),
            _ => self.whole(),
        }
    }

    pub(super) fn text(&mut self, shape: Vec<i64>, template: String, args: Vec<String>) {
        self.push(shape, false, Value::Text { template, args });
    }

    pub(super) fn concat(&mut self, t: &Tensor) {
        let axis = self.rng.below(t.shape.len());
        let mut other = t.shape.clone();
        other[axis] = self.rng.int(1, 3);
        let mut shape = t.shape.clone();
        shape[axis] += other[axis];
        if shape.iter().product::<i64>() > self.most_elements {
            return;
        }
        let other = self.tensor_of(&other);
        let template = match self.rng.chance(50) {
            true => format!("concat([{{0}}, {{1}}], axis={axis})"),
            false => format!("concat([{{1}}, 2*{{0}}], axis={axis})"),
        };
        self.text(shape, template, vec![t.name.clone(), other]);
    }

    pub(super) fn slice(&mut self, t: &Tensor) {
        let axis = self.rng.below(t.shape.len());
        let n = t.shape[axis];
        let low = self.rng.int(0, n - 1);
        let high = self.rng.int(low + 1, n);
        let mut shape = t.shape.clone();
        let cut = match self.rng.chance(25) {
            true => {
                shape.remove(axis);
                low.to_string()
            }
            false => {
                shape[axis] = high - low;
                format!("{low}:{high}")
            }
        };
        let before = ":, ".repeat(axis);
        self.text(shape, format!("{{0}}[{before}{cut}]"), vec![t.name.clone()]);
    }

    pub(super) fn reshape(&mut self, t: &Tensor) {
        let mut left: i64 = t.shape.iter().product();
        let mut shape = vec![];
        for d in [2, 3, 4, 5] {
            if left % d == 0 && left > d && self.rng.chance(60) {
                shape.push(d);
                left /= d;
            }
        }
        shape.insert(self.rng.below(shape.len() + 1), left);
        let dims: Vec<String> = shape.iter().map(|n| n.to_string()).collect();
        self.text(
            shape,
            format!("reshape({{0}}, [{}])", dims.join(", ")),
            vec![t.name.clone()],
        );
    }

    pub(super) fn split(&mut self, t: &Tensor) {
        let axis = self.rng.below(t.shape.len());
        let n = t.shape[axis];
        if n < 2 {
            return self.slice(t);
        }
        let first = self.rng.int(1, n - 1);
        let part = self.rng.below(2);
        let mut shape = t.shape.clone();
        shape[axis] = [first, n - first][part];
        let template = format!("split({{0}}, [{first}, {}], {axis})[{part}]", n - first);
        self.text(shape, template, vec![t.name.clone()]);
    }
}
