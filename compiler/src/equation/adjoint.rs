//! The adjoint of an equation: exchange a read's map with the output's, then solve for the operand's indices.
//!
//! Enters a canonical piece; leaves, for every distinct read, the equations of that operand's gradient.

use super::canon::canonicalise;
use super::derive::{derivative, plain, reads};
use super::index::Ix;
use super::rewrite::{binary, lit, select, unary};
use super::solve::gather;
use super::{Binary, Equation, Expr, Pos, Read, Reducer, Relation, Unary};

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
pub struct Part {
    pub operand: usize,
    pub pieces: Vec<Equation>,
    pub operands: Vec<Source>,
    /// Positions are computed: `pieces` is one equation to scatter-add.
    pub scatter: bool,
}

pub struct Adjoint {
    pub before: Vec<Helper>,
    pub parts: Vec<Part>,
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
        Expr::Read(Read {
            operand,
            at: self.q.write.clone(),
            outside: None,
        })
    }

    /// What multiplies ∂body/∂read.
    fn weight(&mut self) -> Expr {
        let q = self.q;
        let dy = self.at_write(Source::Cotangent);
        match q.reducer {
            Reducer::Map | Reducer::Sum => dy,
            Reducer::Lse => {
                let y = self.at_write(Source::Value);
                let share = unary(Unary::Exp, binary(Binary::Sub, q.body.clone(), y));
                binary(Binary::Mul, dy, share)
            }
            Reducer::Var => {
                let count = q.reduced.iter().product::<i64>() as f64;
                let mean = binary(Binary::Mul, q.body.clone(), lit(1.0 / count));
                let mean = self.helper(mean, Reducer::Sum);
                let off = binary(Binary::Sub, q.body.clone(), mean);
                binary(Binary::Mul, dy, binary(Binary::Mul, lit(2.0 / count), off))
            }
            Reducer::Max | Reducer::Min => {
                let y = self.at_write(Source::Value);
                let hit = select(Relation::Eq, q.body.clone(), y, lit(1.0), lit(0.0));
                let ties = self.helper(hit.clone(), Reducer::Sum);
                binary(Binary::Mul, hit, binary(Binary::Div, dy, ties))
            }
        }
    }

    /// A reduction over the same box, read where this equation writes.
    fn helper(&mut self, body: Expr, reducer: Reducer) -> Expr {
        let equation = Equation {
            body,
            reducer,
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

    fn part(&mut self, r: &Read, weight: &Expr) -> Option<Part> {
        let d = derivative(&self.q.body, r);
        if d == lit(0.0) {
            return None;
        }
        let body = binary(Binary::Mul, weight.clone(), d);
        let target = self.shapes[r.operand].to_vec();
        let scatter = Equation {
            free: self.q.extents(),
            reduced: vec![],
            reducer: Reducer::Map,
            body,
            guards: self.q.guards.clone(),
            write: r.at.clone(),
        };
        if plain(r)
            && let Some(gathered) = gather(&scatter, &target)
        {
            let (pieces, operands) = self.finish(gathered, target);
            return Some(Part {
                operand: r.operand,
                pieces,
                operands,
                scatter: false,
            });
        }
        let (pieces, operands) = compact(vec![scatter], &self.sources);
        Some(Part {
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
        super::rewrite::for_each_read(&p.body, &mut |r| used[r.operand] = true);
        for w in &p.write {
            if let Pos::Computed(e) = w {
                super::rewrite::for_each_read(e, &mut |r| used[r.operand] = true);
            }
        }
    }
    let kept: Vec<usize> = (0..sources.len()).filter(|i| used[*i]).collect();
    let place = |r: Read| {
        let operand = kept
            .iter()
            .position(|k| *k == r.operand)
            .expect("a used operand is kept");
        Expr::Read(Read { operand, ..r })
    };
    let keep = |ix: &Ix| ix.clone();
    let pieces = pieces
        .into_iter()
        .map(|p| Equation {
            body: super::rewrite::rebuild(&p.body, &keep, &place),
            write: p
                .write
                .iter()
                .map(|w| super::rewrite::rebuild_pos(w, &keep, &place))
                .collect(),
            ..p
        })
        .collect();
    (pieces, kept.into_iter().map(|i| sources[i]).collect())
}
