//! How far a result sees: the halo that a tile needs, and the steps at which tiles may start.
//!
//! Enters a graph, an input and an output, and an axis of each; leaves the reach in input pixels, or the node that sees a
//! whole axis (a norm, attention) and so forbids exact tiles. Boxes are traced backwards equation by equation.

use std::collections::BTreeMap;

use crate::equation::field::{Field, fields};
use crate::ir::graph::{Graph, NodeId, Op, Origin};
use crate::ir::region::gcd;

/// Tiles start at multiples of at most this many input pixels.
const MOST_STRIDE: i64 = 64;

/// Output pixel o, at s output pixels to an input pixel, sees inputs `o//s - halo ..= o//s + halo`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    pub halo: i64,
    /// Shifting the input by a multiple of this shifts the output.
    pub stride: i64,
}

impl Reach {
    /// Of two results together: both are seen, and both shift.
    fn and(self, other: Reach) -> Reach {
        let common = gcd(self.stride, other.stride);
        Reach {
            halo: self.halo.max(other.halo),
            stride: self.stride / common * other.stride,
        }
    }
}

/// Why there is no finite reach: where the first value is made that does not move with the picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unbounded {
    pub node: Option<NodeId>,
    pub origin: Origin,
}

/// The reach, down and across, of all outputs of a graph in its only input of pictures, which lie in last two axes. None:
/// there is no such input, or an output is no picture.
pub fn of_pictures(graph: &Graph) -> Option<Result<[Reach; 2], Unbounded>> {
    let is_picture = |id: &NodeId| graph.shape(*id).len() >= 4;
    let is_input = |id: &NodeId| matches!(graph.node(*id).op, Op::Input { .. });
    let mut inputs = graph.ids().filter(|id| is_input(id) && is_picture(id));
    let (input, None) = (inputs.next()?, inputs.next()) else {
        return None;
    };
    let outputs: Vec<NodeId> = graph.outputs.iter().map(|output| output.1).collect();
    if outputs.is_empty() || !outputs.iter().all(is_picture) {
        return None;
    }
    // Axes count from the last: height, then width.
    let axis = |id: NodeId, from_end: usize| (id, graph.shape(id).len() - from_end);
    let along = |from_end: usize| {
        let mut all = Reach { halo: 0, stride: 1 };
        for output in &outputs {
            let one = reach(graph, axis(input, from_end), axis(*output, from_end))?;
            all = all.and(one);
        }
        Ok(all)
    };
    Some(along(2).and_then(|down| Ok([down, along(1)?])))
}

/// The reach of `output` in `input` along one axis of each.
pub fn reach(
    graph: &Graph,
    (input, input_axis): (NodeId, usize),
    (output, output_axis): (NodeId, usize),
) -> Result<Reach, Unbounded> {
    let mut tracer = Tracer {
        graph,
        on_path: on_path(graph, input, output),
        input,
        output,
        axis: output_axis,
        known: BTreeMap::new(),
    };
    let (from, to) = (
        graph.shape(input)[input_axis],
        graph.shape(output)[output_axis],
    );
    for stride in 1..=MOST_STRIDE.min(from / 2) {
        if stride * to % from != 0 {
            continue;
        }
        let shift = stride * to / from;
        if let Some(halo) = tracer.halo(input_axis, stride, shift, from, to) {
            return Ok(Reach { halo, stride });
        }
    }
    let node = tracer.culprit(to);
    let origin = node.map_or(Origin::default(), |id| graph.node(id).origin.clone());
    Err(Unbounded { node, origin })
}

/// Nodes that depend on the input and that the output needs.
fn on_path(graph: &Graph, input: NodeId, output: NodeId) -> Vec<bool> {
    let needed = graph.ancestors(&[output]);
    let mut depends = vec![false; graph.len()];
    depends[input.index()] = true;
    for id in graph.ids() {
        depends[id.index()] |= graph.node(id).operands.iter().any(|o| depends[o.index()]);
    }
    needed.iter().zip(depends).map(|(a, b)| *a && b).collect()
}

struct Tracer<'a> {
    graph: &'a Graph,
    on_path: Vec<bool>,
    input: NodeId,
    output: NodeId,
    axis: usize,
    /// By output position: which box of every node it needs.
    known: BTreeMap<i64, Vec<Option<Field>>>,
}

impl Tracer<'_> {
    /// The halo, if shifting the output by `shift` shifts all that it sees by `stride`.
    fn halo(
        &mut self,
        input_axis: usize,
        stride: i64,
        shift: i64,
        from: i64,
        to: i64,
    ) -> Option<i64> {
        // One period in the middle, far from both borders.
        let base = (to / 2 / shift * shift - shift).max(0);
        let mut halo = 0;
        for at in base..base + shift {
            let (lo, hi) = self.seen(at, input_axis)?;
            let (next_lo, next_hi) = self.seen(at + shift, input_axis)?;
            if (next_lo, next_hi) != (lo + stride, hi + stride) {
                return None;
            }
            let here = at * from / to;
            halo = halo.max(here - lo).max(hi - here);
        }
        Some(halo)
    }

    fn seen(&mut self, at: i64, input_axis: usize) -> Option<(i64, i64)> {
        let input = self.input.index();
        self.trace(at)[input]
            .as_ref()
            .map(|field| field[input_axis])
    }

    fn trace(&mut self, at: i64) -> &[Option<Field>] {
        if !self.known.contains_key(&at) {
            let boxes = self.boxes(at);
            self.known.insert(at, boxes);
        }
        &self.known[&at]
    }

    fn boxes(&self, at: i64) -> Vec<Option<Field>> {
        let mut boxes: Vec<Option<Field>> = vec![None; self.graph.len()];
        let mut all = full(self.graph.shape(self.output));
        all[self.axis] = (at, at);
        boxes[self.output.index()] = Some(all);
        for index in (0..=self.output.index()).rev().filter(|i| self.on_path[*i]) {
            let Some(seen) = boxes[index].clone() else {
                continue;
            };
            let node = self.graph.node(NodeId::from(index as u32));
            for (operand, field) in
                node.operands
                    .iter()
                    .zip(self.operand_boxes(&node.op, &node.operands, &seen))
            {
                if let Some(field) = field {
                    let slot = &mut boxes[operand.index()];
                    *slot = Some(union(slot.take(), field));
                }
            }
        }
        boxes
    }

    fn operand_boxes(&self, op: &Op, operands: &[NodeId], seen: &Field) -> Vec<Option<Field>> {
        let shapes: Vec<&[i64]> = operands.iter().map(|o| self.graph.shape(*o)).collect();
        match op {
            Op::Equation(pieces) => {
                let mut all: Vec<Option<Field>> = vec![None; operands.len()];
                for piece in pieces {
                    let found = fields(std::slice::from_ref(&**piece), &shapes, seen);
                    for (slot, field) in all.iter_mut().zip(found) {
                        if let Some(field) = field {
                            *slot = Some(union(slot.take(), field));
                        }
                    }
                }
                all
            }
            Op::Custom { .. } => vec![Some(seen.clone())],
            Op::Update => vec![None, Some(seen.clone())],
            _ => shapes.iter().map(|s| Some(full(s))).collect(),
        }
    }

    /// The first node, from the output, that moves with the picture while something that it reads does not.
    fn culprit(&mut self, to: i64) -> Option<NodeId> {
        let a = self.trace(to / 4).to_vec();
        let b = self.trace(3 * to / 4).to_vec();
        let still = |id: &NodeId| a[id.index()] == b[id.index()];
        (0..=self.output.index())
            .rev()
            .filter(|i| self.on_path[*i])
            .map(|i| NodeId::from(i as u32))
            .find(|id| {
                let operands = &self.graph.node(*id).operands;
                !still(id) && operands.iter().any(|o| self.on_path[o.index()] && still(o))
            })
    }
}

fn full(shape: &[i64]) -> Field {
    shape.iter().map(|n| (0, n - 1)).collect()
}

fn union(old: Option<Field>, new: Field) -> Field {
    match old {
        None => new,
        Some(old) => old
            .iter()
            .zip(&new)
            .map(|(a, b)| (a.0.min(b.0), a.1.max(b.1)))
            .collect(),
    }
}
