//! The graph of index equations: the only user of petgraph. Nodes are values; operands are ordered.
//!
//! Every tensor is f32. Nodes are appended operands first, so node order is a topological order.

use crate::equation::Equation;
use petgraph::graph::{DiGraph, NodeIndex};
use std::sync::Arc;

pub type NodeId = NodeIndex<u32>;

#[derive(Clone, Debug)]
pub struct Graph {
    dag: DiGraph<Node, ()>,
    /// What the entry returns, by name, in order: the model's result, or loss and metrics.
    pub outputs: Vec<(String, NodeId)>,
}

#[derive(Clone, Debug)]
pub struct Node {
    pub op: Op,
    pub operands: Vec<NodeId>,
    pub shape: Vec<i64>,
    pub origin: Origin,
}

/// Where a node comes from, for messages, reports and profiles.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Dotted label path of the block (`encoder.0.conv`), empty at top level.
    pub path: String,
    /// Name of the op or binding (`conv2d`, `y`): printed, never decided upon.
    pub name: String,
    pub span: Option<crate::diag::Span>,
}

#[derive(Clone, Debug)]
pub enum Op {
    /// A tensor given at every run: the clip, or the scalars `step`, `epoch`, `rate`.
    Input { name: String },
    /// A trained (or frozen) weight, by checkpoint key.
    Param {
        key: String,
        init: Init,
        trained: bool,
    },
    /// A stored tensor that an Update rewrites. `of`: the weight it belongs to, for an optimiser's state.
    State {
        key: String,
        init: Init,
        of: Option<String>,
    },
    /// Values fixed at compile time, row-major.
    Const(Arc<Vec<f32>>),
    /// Seeded by (run seed, step, key).
    Random { key: u64, normal: bool },
    /// Disjoint pieces of one output; cells that no piece writes are 0. Reads index `operands`.
    Equation(Vec<Arc<Equation>>),
    /// Adds every point of the box into `write`, whose positions may be computed. Output starts at 0.
    Scatter(Arc<Equation>),
    /// Writes operand 1 into the storage of operand 0 (a Param or a State) when the entry ends. Value: operand 1.
    Update,
    /// Operand 0, whose gradient is given: `grads` (one for each further operand) are computed from `dy`, a
    /// placeholder input, and older nodes; differentiation copies that part with the real cotangent.
    Custom { dy: NodeId, grads: Vec<NodeId> },
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    Constant(f64),
    Uniform(f64, f64),
    Normal(f64, f64),
    /// No initialiser: must be loaded.
    Required,
}

impl Default for Graph {
    fn default() -> Self {
        Graph {
            dag: DiGraph::new(),
            outputs: vec![],
        }
    }
}

impl Graph {
    pub fn add(
        &mut self,
        op: Op,
        operands: Vec<NodeId>,
        shape: Vec<i64>,
        origin: Origin,
    ) -> NodeId {
        let id = self.dag.add_node(Node {
            op,
            operands: operands.clone(),
            shape,
            origin,
        });
        for operand in operands {
            self.dag.add_edge(operand, id, ());
        }
        id
    }

    pub fn node(&self, id: NodeId) -> &Node {
        &self.dag[id]
    }

    /// Another stored tensor of the same shape takes the place of one.
    pub fn replace_stored(&mut self, id: NodeId, op: Op) {
        debug_assert!(matches!(op, Op::Param { .. } | Op::State { .. }));
        self.dag[id].op = op;
    }

    pub fn shape(&self, id: NodeId) -> &[i64] {
        &self.dag[id].shape
    }

    /// The number of elements of a node's value.
    pub fn size(&self, id: NodeId) -> usize {
        self.shape(id).iter().product::<i64>() as usize
    }

    /// For each node, whether one of `roots` needs it (or is it).
    pub fn ancestors(&self, roots: &[NodeId]) -> Vec<bool> {
        let mut needed = vec![false; self.len()];
        for root in roots {
            needed[root.index()] = true;
        }
        for at in (0..self.len()).rev() {
            if needed[at] {
                for operand in &self.node(NodeId::from(at as u32)).operands {
                    needed[operand.index()] = true;
                }
            }
        }
        needed
    }

    pub fn output(&self, name: &str) -> Option<NodeId> {
        let (_, id) = self.outputs.iter().find(|(n, _)| n == name)?;
        Some(*id)
    }

    pub fn len(&self) -> usize {
        self.dag.node_count()
    }

    pub fn is_empty(&self) -> bool {
        self.dag.node_count() == 0
    }

    /// All nodes, operands before users.
    pub fn ids(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..self.dag.node_count() as u32).map(NodeId::from)
    }

    /// The users of every node, in order, without repetition.
    pub fn users(&self) -> Vec<Vec<NodeId>> {
        let mut users = vec![vec![]; self.len()];
        for id in self.ids() {
            for operand in &self.node(id).operands {
                let list: &mut Vec<NodeId> = &mut users[operand.index()];
                if list.last() != Some(&id) {
                    list.push(id);
                }
            }
        }
        users
    }
}
