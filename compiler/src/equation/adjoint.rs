//! The adjoint of an equation: exchange a read's map with the output's, then solve for the operand's indices.
//!
//! Enters a canonical piece; leaves, for every distinct read, the equations of that operand's gradient.

use super::canon::canonicalise;
use super::derive::{derivative, reads, times};
use super::solve::{gather, is_injective};
use super::{Equation, Expr, Read, Reducer, Relation, Unary};

/// Where an operand of a derived equation comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The differentiated equation's operand.
    Operand(usize),
    /// Its result.
    Value,
    /// The gradient of its result.
    Cotangent,
    Before(usize),
}

/// An equation that the gradients read: the number of ties of a maximum, the mean of a variance.
pub struct Helper {
    pub pieces: Vec<Equation>,
    pub operands: Vec<Source>,
    pub shape: Vec<i64>,
}

/// One contribution to the gradient of `operand`.
pub struct PartialAdjoint {
    pub operand: usize,
    pub pieces: Vec<Equation>,
    pub operands: Vec<Source>,
    /// Positions are computed: `pieces` is one equation to scatter-add.
    pub scatter: bool,
}

pub struct Adjoint {
    pub before: Vec<Helper>,
    pub parts: Vec<PartialAdjoint>,
}

pub fn adjoint(q: &Equation, operand_shapes: &[&[i64]], out_shape: &[i64]) -> Adjoint {
    let n = operand_shapes.len();
    let mut a = Builder {
        q,
        shapes: operand_shapes,
        out_shape,
        before: vec![],
        sources: (0..n).map(Source::Operand).collect(),
    };
    let weight = a.weight();
    let parts = reads(&q.body)
        .into_iter()
        .filter_map(|r| a.part(&r, &weight))
        .collect();
    Adjoint {
        before: a.before,
        parts,
    }
}

struct Builder<'a> {
    q: &'a Equation,
    shapes: &'a [&'a [i64]],
    out_shape: &'a [i64],
    before: Vec<Helper>,
    sources: Vec<Source>,
}

impl Builder<'_> {
    fn source(&mut self, s: Source) -> usize {
        if let Some(i) = self.sources.iter().position(|x| *x == s) {
            return i;
        }
        self.sources.push(s);
        self.sources.len() - 1
    }

    fn shape(&self, s: Source) -> &[i64] {
        match s {
            Source::Operand(i) => self.shapes[i],
            Source::Value | Source::Cotangent | Source::Before(_) => self.out_shape,
        }
    }

    /// A tensor of the result's shape, read where this equation writes.
    fn at_write(&mut self, s: Source) -> Expr {
        let operand = self.source(s);
        Expr::read(operand, self.q.write.clone())
    }

    /// What multiplies ∂body/∂read.
    fn weight(&mut self) -> Expr {
        let body = self.q.body.clone();
        let dy = self.at_write(Source::Cotangent);
        match self.q.reducer {
            Reducer::Map | Reducer::Sum => dy,
            Reducer::Lse => {
                let y = self.at_write(Source::Value);
                dy.mul(Expr::unary(Unary::Exp, body.sub(y)))
            }
            Reducer::Var => {
                let share = self.share();
                let mean = self.helper(body.clone().mul(share.clone()));
                dy.mul(share.mul(Expr::lit(2.0))).mul(body.sub(mean))
            }
            Reducer::Max | Reducer::Min => {
                let y = self.at_write(Source::Value);
                let hit = |then: Expr| {
                    Expr::select(
                        Relation::Eq,
                        [body.clone(), y.clone(), then, Expr::lit(0.0)],
                    )
                };
                let ties = self.helper(hit(Expr::lit(1.0)));
                hit(dy.div(ties))
            }
        }
    }

    /// One over the number of points that are reduced to a cell.
    fn share(&mut self) -> Expr {
        if self.q.guards.is_empty() {
            return Expr::lit(1.0 / self.q.reduced.iter().product::<i64>() as f64);
        }
        let count = self.helper(Expr::lit(1.0));
        Expr::lit(1.0).div(count)
    }

    /// A sum over the same box, read where this equation writes.
    fn helper(&mut self, body: Expr) -> Expr {
        let equation = Equation {
            body,
            reducer: Reducer::Sum,
            ..self.q.clone()
        };
        let (pieces, operands) = self.finish(equation, self.out_shape.to_vec());
        self.before.push(Helper {
            pieces,
            operands,
            shape: self.out_shape.to_vec(),
        });
        self.at_write(Source::Before(self.before.len() - 1))
    }

    /// Canonical pieces over just the operands that they read.
    fn finish(&self, equation: Equation, out: Vec<i64>) -> (Vec<Equation>, Vec<Source>) {
        let shapes: Vec<&[i64]> = self.sources.iter().map(|s| self.shape(*s)).collect();
        let pieces = canonicalise(&equation, &shapes, &out).pieces;
        compact(pieces, &self.sources)
    }

    fn part(&mut self, r: &Read, weight: &Expr) -> Option<PartialAdjoint> {
        let value = (self.q.reducer == Reducer::Map).then(|| self.at_write(Source::Value));
        let d = derivative(&self.q.body, r, value.as_ref());
        if d.is(0.0) {
            return None;
        }
        // A maximum's weight is itself a choice with zero on one side.
        let body = match weight {
            Expr::Select(..) => times(weight.clone(), d),
            weight => times(d, weight.clone()),
        };
        let target = self.shapes[r.operand].to_vec();
        let scatter = Equation {
            free: self.q.extents(),
            reduced: vec![],
            reducer: Reducer::Map,
            body,
            guards: self.q.guards.clone(),
            write: r.at.clone(),
        };
        if let Some(gathered) = gather(&scatter, &target) {
            let (mut pieces, mut operands) = self.finish(gathered, target.clone());
            let guarded = pieces.iter().any(|p| !p.guards.is_empty());
            if guarded && is_injective(&scatter.write, &scatter.free, &target) {
                (pieces, operands) = self.finish(scatter, target);
            }
            return Some(PartialAdjoint {
                operand: r.operand,
                pieces,
                operands,
                scatter: false,
            });
        }
        let (pieces, operands) = compact(vec![scatter], &self.sources);
        Some(PartialAdjoint {
            operand: r.operand,
            pieces,
            operands,
            scatter: true,
        })
    }
}

fn compact(pieces: Vec<Equation>, sources: &[Source]) -> (Vec<Equation>, Vec<Source>) {
    let mut used = vec![false; sources.len()];
    for p in &pieces {
        p.for_each_read(true, &mut |r| used[r.operand] = true);
    }
    let kept: Vec<usize> = (0..sources.len()).filter(|i| used[*i]).collect();
    let place = |operand| {
        kept.iter()
            .position(|k| *k == operand)
            .expect("a used operand is kept")
    };
    let pieces = pieces.iter().map(|p| p.map_operands(&place)).collect();
    (pieces, kept.into_iter().map(|i| sources[i]).collect())
}
