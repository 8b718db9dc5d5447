//! What a point of an equation costs, and how many operations an equation states: the one count that hover, report, manifest
//! and benchmark show.
//!
//! Enters a body or an equation; leaves counts. Nothing is known here of how it is computed.

use super::{Equation, Expr, Pos};

#[derive(Clone, Copy, Default, Debug, PartialEq)]
pub struct Cost {
    pub arithmetic: u64,
    /// exp, log, tanh…: runtime calls over a row.
    pub maths: u64,
    pub reads: u64,
}

impl Cost {
    /// One function.
    fn add(&mut self, is_inline: bool) {
        match is_inline {
            true => self.arithmetic += 1,
            false => self.maths += 1,
        }
    }
}

pub fn cost(e: &Expr) -> Cost {
    let mut c = Cost::default();
    count(e, &mut c);
    c
}

fn count(e: &Expr, c: &mut Cost) {
    match e {
        Expr::Lit(_) | Expr::Index(_) => {}
        Expr::Random { .. } => c.maths += 1,
        Expr::Read(r) => {
            c.reads += 1;
            for at in &r.at {
                if let Pos::Computed(e) = at {
                    count(e, c);
                }
            }
        }
        Expr::Unary(op, a) => {
            c.add(op.facts().is_inline());
            count(a, c);
        }
        Expr::Binary(op, a, b) => {
            c.add(op.facts().is_inline());
            count(a, c);
            count(b, c);
        }
        Expr::Select(_, args) => {
            c.arithmetic += 2;
            args.iter().for_each(|a| count(a, c));
        }
    }
}

impl Equation {
    /// Operations of the equation as it is written: at each point of its box one for each arithmetic node of its body, and
    /// one for what a reduction does with it. A product that is summed counts two. Calls of the maths library count none.
    pub fn flops(&self) -> u64 {
        let extents = self.free.iter().chain(&self.reduced);
        let points = extents.fold(1u64, |n, extent| n.saturating_mul(*extent as u64));
        let reduce = u64::from(!self.reduced.is_empty());
        points.saturating_mul(cost(&self.body).arithmetic + reduce)
    }
}
