//! What the tests of the calculus share: equations as text, tensors by seed, and the gradient of sum(y·dy).

#![allow(dead_code, unused_imports)]

mod text;

pub use text::parse;
use vsr_compiler::equation::Equation;
use vsr_compiler::equation::adjoint::{Adjoint, Source, adjoint};
use vsr_compiler::equation::canon::canonicalise;
use vsr_compiler::equation::eval::{Hooks, Tensor, eval, scatter};

pub struct Case {
    pub name: String,
    pub equation: Equation,
    /// Names of operands, in order.
    pub operands: Vec<String>,
    pub shapes: Vec<Vec<i64>>,
    pub out: Vec<i64>,
}

impl Case {
    pub fn shapes(&self) -> Vec<&[i64]> {
        self.shapes.iter().map(Vec::as_slice).collect()
    }

    pub fn pieces(&self) -> Vec<Equation> {
        canonicalise(&self.equation, &self.shapes(), &self.out).pieces
    }

    pub fn adjoints(&self) -> Vec<Adjoint> {
        let pieces = self.pieces();
        let of = |p| adjoint(p, &self.shapes(), &self.out);
        pieces.iter().map(of).collect()
    }

    /// The equation as it was written.
    pub fn value(&self, operands: &[Tensor]) -> Tensor {
        let refs: Vec<&Tensor> = operands.iter().collect();
        eval(std::slice::from_ref(&self.equation), &refs, &self.out)
    }

    pub fn canonical_value(&self, operands: &[Tensor]) -> Tensor {
        let refs: Vec<&Tensor> = operands.iter().collect();
        eval(&self.pieces(), &refs, &self.out)
    }

    /// Gradients of sum(y·dy) by the derived equations.
    pub fn gradients(&self, operands: &[Tensor], y: &Tensor, dy: &Tensor) -> Vec<Tensor> {
        let mut sums: Vec<Tensor> = self.shapes.iter().map(|s| Tensor::zeros(s)).collect();
        for adjoint in self.adjoints() {
            let mut before: Vec<Tensor> = vec![];
            let pick = |list: &[Source], before: &[Tensor]| -> Vec<Tensor> {
                let one = |s: &Source| match s {
                    Source::Operand(i) => operands[*i].clone(),
                    Source::Value => y.clone(),
                    Source::Cotangent => dy.clone(),
                    Source::Before(i) => before[*i].clone(),
                };
                list.iter().map(one).collect()
            };
            for h in &adjoint.before {
                let given = pick(&h.operands, &before);
                before.push(eval(&h.pieces, &given.iter().collect::<Vec<_>>(), &h.shape));
            }
            for part in &adjoint.parts {
                let given = pick(&part.operands, &before);
                let refs: Vec<&Tensor> = given.iter().collect();
                let shape = &self.shapes[part.operand];
                let g = match part.scatter {
                    true => scatter(&part.pieces[0], &refs, shape, Hooks::new(&|_, _, _| 0.0)),
                    false => eval(&part.pieces, &refs, shape),
                };
                let sum = &mut sums[part.operand].data;
                sum.iter_mut().zip(g.data).for_each(|(a, b)| *a += b);
            }
        }
        sums
    }

    /// Compares with the original equation, and the gradients along random directions and in single elements with
    /// central differences.
    pub fn check(&self, random: &mut Random) {
        self.check_at(&random.tensors(&self.shapes), random);
    }

    pub fn check_at(&self, operands: &[Tensor], random: &mut Random) {
        let y = self.value(operands);
        let what = format!(
            "{}: {:?}\nbecomes {:?}",
            self.name,
            self.equation,
            self.pieces()
        );
        close(&self.canonical_value(operands), &y, &what);
        let dy = random.tensor(&self.out);
        let gradients = self.gradients(operands, &y, &dy);
        for (which, g) in gradients.iter().enumerate() {
            let n = g.data.len();
            let mut directions = vec![random.tensor(&g.shape), random.tensor(&g.shape)];
            for _ in 0..n.min(8) {
                let mut unit = Tensor::zeros(&g.shape);
                unit.data[random.below(n as u64) as usize] = 1.0;
                directions.push(unit);
            }
            for d in directions {
                let derived: f64 = g.data.iter().zip(&d.data).map(|(a, b)| a * b).sum();
                let numeric = self.slope(operands, which, &d, &dy);
                assert!(
                    (derived - numeric).abs() <= 1e-5 * (1.0 + numeric.abs()),
                    "{}: gradient of `{}`: {derived}, by differences {numeric}\n{:?}",
                    self.name,
                    self.operands[which],
                    self.equation
                );
            }
        }
    }

    fn slope(&self, operands: &[Tensor], which: usize, direction: &Tensor, dy: &Tensor) -> f64 {
        let h = 1e-6;
        let at = |h: f64| {
            let mut moved = operands.to_vec();
            let cells = moved[which].data.iter_mut();
            cells.zip(&direction.data).for_each(|(x, d)| *x += h * d);
            let y = self.value(&moved);
            y.data.iter().zip(&dy.data).map(|(a, b)| a * b).sum::<f64>()
        };
        (at(h) - at(-h)) / (2.0 * h)
    }
}

pub fn close(a: &Tensor, b: &Tensor, what: &str) {
    assert_eq!(a.shape, b.shape, "{what}");
    for (i, (x, y)) in a.data.iter().zip(&b.data).enumerate() {
        assert!(
            (x - y).abs() <= 1e-9 * (1.0 + y.abs()),
            "{what}: element {i} is {x}, not {y}"
        );
    }
}

/// Numbers by seed.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: u64) -> i64 {
        (self.next() % n) as i64
    }

    /// lo..=hi
    pub fn within(&mut self, lo: i64, hi: i64) -> i64 {
        lo + self.below((hi - lo + 1) as u64)
    }

    pub fn tensor(&mut self, shape: &[i64]) -> Tensor {
        let n: i64 = shape.iter().product();
        let mut cell = || (self.next() >> 11) as f64 / (1u64 << 52) as f64 - 1.0;
        Tensor {
            shape: shape.to_vec(),
            data: (0..n).map(|_| cell()).collect(),
        }
    }

    pub fn tensors(&mut self, shapes: &[Vec<i64>]) -> Vec<Tensor> {
        shapes.iter().map(|s| self.tensor(s)).collect()
    }
}
