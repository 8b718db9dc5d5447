//! Gradients that a `grad` clause gives: the part of the graph between the placeholder cotangent and the gradient is
//! copied, with the real cotangent in the placeholder's place.

use std::collections::BTreeMap;

use crate::ir::build::Builder;
use crate::ir::graph::NodeId;

/// `grad` with `dy` instead of `placeholder`. Nodes that do not depend on the placeholder are shared, not copied.
pub fn instantiate(b: &mut Builder<'_>, grad: NodeId, placeholder: NodeId, dy: NodeId) -> NodeId {
    let needed = b.graph().ancestors(&[grad]);
    let mut copies: BTreeMap<NodeId, NodeId> = BTreeMap::from([(placeholder, dy)]);
    let between = (placeholder.index() + 1..=grad.index()).map(|at| NodeId::from(at as u32));
    for id in between {
        let node = b.graph().node(id);
        if !needed[id.index()] || !node.operands.iter().any(|o| copies.contains_key(o)) {
            continue;
        }
        let node = node.clone();
        let operands = node
            .operands
            .iter()
            .map(|o| copies.get(o).copied().unwrap_or(*o))
            .collect();
        let copy = b.rebuild(&node.op, operands, node.shape, node.origin);
        copies.insert(id, copy);
    }
    copies.get(&grad).copied().unwrap_or(grad)
}
