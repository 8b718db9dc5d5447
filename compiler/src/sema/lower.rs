//! From a finished expression to an equation of the graph: operands and variables get their numbers.
//!
//! Enters: a `Num` whose reads name graph nodes and whose variables are the elaborator's indices. Leaves: a node.

use crate::equation::index::Ix;
use crate::equation::{Equation, Expr, Pos, Reducer};
use crate::ir::graph::NodeId;

/// Calls `f` with every variable that occurs, inside reads too.
pub fn each_var(expr: &Expr, f: &mut impl FnMut(usize)) {
    match expr {
        Expr::Lit(_) => {}
        Expr::Index(ix) => ix.for_each_var(f),
        Expr::Random { at, .. } => at.for_each_var(f),
        Expr::Read(read) => {
            for pos in &read.at {
                match pos {
                    Pos::Ix(ix) => ix.for_each_var(f),
                    Pos::Computed(e) => each_var(e, f),
                }
            }
        }
        Expr::Unary(_, a) => each_var(a, f),
        Expr::Binary(_, a, b) => {
            each_var(a, f);
            each_var(b, f);
        }
        Expr::Select(_, args) => args.iter().for_each(|e| each_var(e, f)),
    }
}

/// Replaces variables by expressions.
pub fn substitute(expr: &mut Expr, of: &impl Fn(usize) -> Ix) {
    match expr {
        Expr::Lit(_) => {}
        Expr::Index(ix) | Expr::Random { at: ix, .. } => *ix = ix.substitute(of),
        Expr::Read(read) => {
            for pos in &mut read.at {
                match pos {
                    Pos::Ix(ix) => *ix = ix.substitute(of),
                    Pos::Computed(e) => substitute(e, of),
                }
            }
        }
        Expr::Unary(_, a) => substitute(a, of),
        Expr::Binary(_, a, b) => {
            substitute(a, of);
            substitute(b, of);
        }
        Expr::Select(_, args) => args.iter_mut().for_each(|e| substitute(e, of)),
    }
}

/// Numbers the nodes that are read in order of their first use; `Read::operand` becomes that number.
fn number_operands(expr: &mut Expr, operands: &mut Vec<NodeId>) {
    match expr {
        Expr::Lit(_) | Expr::Index(_) | Expr::Random { .. } => {}
        Expr::Read(read) => {
            let node = NodeId::from(read.operand as u32);
            read.operand = operands.iter().position(|n| *n == node).unwrap_or_else(|| {
                operands.push(node);
                operands.len() - 1
            });
            for pos in &mut read.at {
                if let Pos::Computed(e) = pos {
                    number_operands(e, operands);
                }
            }
        }
        Expr::Unary(_, a) => number_operands(a, operands),
        Expr::Binary(_, a, b) => {
            number_operands(a, operands);
            number_operands(b, operands);
        }
        Expr::Select(_, args) => args.iter_mut().for_each(|e| number_operands(e, operands)),
    }
}

/// The equation over `free`, then `reduced` (numbers of indices, with extents in `extents`), and its operands.
pub fn equation(
    mut body: Expr,
    reducer: Reducer,
    free: &[usize],
    reduced: &[usize],
    extents: &[i64],
) -> (Equation, Vec<NodeId>) {
    let order: Vec<usize> = free.iter().chain(reduced).copied().collect();
    if order.iter().enumerate().any(|(at, id)| at != *id) {
        let place = |id: usize| {
            order
                .iter()
                .position(|o| *o == id)
                .expect("every index of a body is bound")
        };
        substitute(&mut body, &|id| Ix::var(place(id)));
    }
    let mut operands = vec![];
    number_operands(&mut body, &mut operands);
    let equation = Equation {
        free: free.iter().map(|id| extents[*id]).collect(),
        reduced: reduced.iter().map(|id| extents[*id]).collect(),
        reducer,
        body,
        guards: vec![],
        write: (0..free.len()).map(|v| Pos::Ix(Ix::var(v))).collect(),
    };
    (equation, operands)
}
