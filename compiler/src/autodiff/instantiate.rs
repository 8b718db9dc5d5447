//! Equations for a tensor that is not known yet (a `grad` clause's cotangent, an optimiser's gradient): the part of the graph
//! between the placeholder and the results is copied, with the real tensor in the placeholder's place. What does
//! not depend on the placeholder is shared, and the placeholder's own nodes stay, for the next copy.

use std::collections::{BTreeMap, BTreeSet};

use crate::ir::build::Builder;
use crate::ir::graph::NodeId;

/// `roots` with `value` instead of `placeholder`. Nodes that do not depend on the placeholder are shared, not copied.
pub fn instantiate(
    b: &mut Builder<'_>,
    roots: &[NodeId],
    placeholder: NodeId,
    value: NodeId,
) -> Vec<NodeId> {
    let last = roots.iter().map(|id| id.index()).max().unwrap_or(0);
    let needed = needed(b, roots, placeholder.index());
    let mut copies: BTreeMap<NodeId, NodeId> = BTreeMap::from([(placeholder, value)]);
    let between = (placeholder.index() + 1..=last).map(|at| NodeId::from(at as u32));
    for id in between {
        let node = b.graph().node(id);
        if !needed.contains(&id) || !node.operands.iter().any(|o| copies.contains_key(o)) {
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
    let copied = |root| copies.get(root).copied().unwrap_or(*root);
    roots.iter().map(copied).collect()
}

/// What `roots` need of the nodes behind number `first`.
fn needed(b: &Builder<'_>, roots: &[NodeId], first: usize) -> BTreeSet<NodeId> {
    let mut needed = BTreeSet::new();
    let mut todo = roots.to_vec();
    while let Some(id) = todo.pop() {
        if id.index() > first && needed.insert(id) {
            todo.extend(&b.graph().node(id).operands);
        }
    }
    needed
}
