//! Invariants of a graph, checked after every pass:
//!
//! - operands come before their users; an equation's operands are all read, and counts and axes agree
//! - every index is bound; reads without a value outside are inside, judged by intervals where no guard speaks
//! - writes are inside, and no two pieces surely write one cell
//! - an update's target is a parameter or a state of the same shape
//!
//! Nothing is changed here.

use std::fmt;

use crate::equation::index::Ix;
use crate::equation::{Equation, Expr, Pos, Read, Reducer};
use crate::ir::expr;
use crate::ir::graph::{Graph, NodeId, Op};
use crate::ir::region::disjoint;

/// The first thing found wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    pub node: usize,
    /// Block path and name.
    pub place: String,
    pub text: String,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {} ({}): {}", self.node, self.place, self.text)
    }
}

pub fn verify(graph: &Graph) -> Result<(), Flaw> {
    for id in graph.ids() {
        check(graph, id).map_err(|text| {
            let origin = &graph.node(id).origin;
            let place = format!("{} {}", origin.path, origin.name)
                .trim()
                .to_string();
            Flaw {
                node: id.index(),
                place,
                text,
            }
        })?;
    }
    for (name, id) in &graph.outputs {
        if id.index() >= graph.len() {
            let text = "names no node".to_string();
            return Err(Flaw {
                node: id.index(),
                place: format!("output {name}"),
                text,
            });
        }
    }
    Ok(())
}

fn check(graph: &Graph, id: NodeId) -> Result<(), String> {
    let node = graph.node(id);
    if let Some(late) = node.operands.iter().find(|o| o.index() >= id.index()) {
        return Err(format!("reads node {}, which comes later", late.index()));
    }
    if node.shape.iter().any(|n| *n < 1) {
        return Err(format!("has shape {:?}", node.shape));
    }
    let same_shape = |o: NodeId| {
        (graph.shape(o) == node.shape)
            .then_some(())
            .ok_or("changes the shape")
    };
    match &node.op {
        Op::Input { .. } | Op::Param { .. } | Op::State { .. } | Op::Random { .. } => Ok(()),
        Op::Const(data) if data.len() == graph.size(id) => Ok(()),
        Op::Const(data) => Err(format!("{} values for shape {:?}", data.len(), node.shape)),
        Op::Equation(pieces) => {
            for piece in pieces {
                Checker::new(graph, id, piece)?.run(false)?;
            }
            overlaps(pieces.iter().map(|p| &**p).collect())
        }
        Op::Scatter(equation) => Checker::new(graph, id, equation)?.run(true),
        Op::Update => {
            let [target, value] = node.operands[..] else {
                return Err("an update has two operands".into());
            };
            if !matches!(graph.node(target).op, Op::Param { .. } | Op::State { .. }) {
                return Err("updates neither a parameter nor a state".into());
            }
            Ok(same_shape(target).and(same_shape(value))?)
        }
        Op::Custom { grads, .. } if grads.len() + 1 != node.operands.len() => {
            Err("needs one gradient for each input".into())
        }
        Op::Custom { .. } => Ok(same_shape(node.operands[0])?),
    }
}

/// Pieces that surely overlap: unguarded, and not apart on any axis, with intervals that cover each other.
fn overlaps(pieces: Vec<&Equation>) -> Result<(), String> {
    for (i, a) in pieces.iter().enumerate() {
        for b in &pieces[i + 1..] {
            if a.guards.is_empty()
                && b.guards.is_empty()
                && a.write == b.write
                && a.free == b.free
                && !disjoint(a, b)
            {
                return Err("two pieces write the same cells".into());
            }
        }
    }
    Ok(())
}

struct Checker<'a> {
    graph: &'a Graph,
    id: NodeId,
    equation: &'a Equation,
    extents: Vec<i64>,
}

impl<'a> Checker<'a> {
    fn new(graph: &'a Graph, id: NodeId, equation: &'a Equation) -> Result<Checker<'a>, String> {
        let extents = expr::extents(equation);
        if extents.iter().any(|n| *n < 1) {
            return Err(format!("an index has no values: {extents:?}"));
        }
        Ok(Checker {
            graph,
            id,
            equation,
            extents,
        })
    }

    fn run(&self, is_scatter: bool) -> Result<(), String> {
        let q = self.equation;
        if (q.reducer == Reducer::Map) && !q.reduced.is_empty() {
            return Err("a map reduces".into());
        }
        self.indices()?;
        let mut found = Ok(());
        expr::for_each_read_of(q, &mut |read| {
            if found.is_ok() {
                found = self.read(read);
            }
        });
        found?;
        self.writes(is_scatter)
    }

    /// Every variable that occurs is one of the box.
    fn indices(&self) -> Result<(), String> {
        let mut worst = None;
        let mut see = |ix: &Ix| {
            ix.for_each_var(&mut |v| {
                if v >= self.extents.len() {
                    worst = Some(v);
                }
            });
        };
        self.equation.for_each_position(&mut see);
        expr::rewrite(&self.equation.body, &mut |e| {
            if let Expr::Index(ix) | Expr::Random { at: ix, .. } = &e {
                see(ix);
            }
            e
        });
        worst.map_or(Ok(()), |v| Err(format!("index {v} is not bound")))
    }

    fn read(&self, read: &Read) -> Result<(), String> {
        let operands = &self.graph.node(self.id).operands;
        let Some(operand) = operands.get(read.operand) else {
            return Err(format!(
                "reads operand {} of {}",
                read.operand,
                operands.len()
            ));
        };
        let shape = self.graph.shape(*operand);
        if shape.len() != read.at.len() {
            return Err(format!(
                "reads {} axes of operand {}, which has {shape:?}",
                read.at.len(),
                read.operand
            ));
        }
        if read.outside.is_some() || !self.equation.guards.is_empty() {
            return Ok(());
        }
        for (axis, (p, extent)) in read.at.iter().zip(shape).enumerate() {
            if let Pos::Ix(ix) = p {
                self.inside(ix, *extent).map_err(|(lo, hi)| {
                    format!(
                        "operand {} axis {axis} of {extent} is read at {lo}..{}",
                        read.operand,
                        hi + 1
                    )
                })?;
            }
        }
        Ok(())
    }

    fn inside(&self, ix: &Ix, extent: i64) -> Result<(), (i64, i64)> {
        let (lo, hi) = ix.range(&self.extents);
        if 0 <= lo && hi < extent {
            Ok(())
        } else {
            Err((lo, hi))
        }
    }

    fn writes(&self, is_scatter: bool) -> Result<(), String> {
        let shape = self.graph.shape(self.id);
        if self.equation.write.len() != shape.len() {
            return Err(format!(
                "writes {} axes of {shape:?}",
                self.equation.write.len()
            ));
        }
        for (axis, (p, extent)) in self.equation.write.iter().zip(shape).enumerate() {
            match p {
                Pos::Ix(ix) if self.equation.guards.is_empty() && !is_scatter => {
                    self.inside(ix, *extent).map_err(|(lo, hi)| {
                        format!("axis {axis} of {extent} is written at {lo}..{}", hi + 1)
                    })?;
                }
                Pos::Computed(_) if !is_scatter => {
                    return Err("a computed write outside of a scatter".into());
                }
                _ => {}
            }
        }
        Ok(())
    }
}
