//! What only differentiation needed goes; constants, views and equal parts are found again; what nothing needs is left
//! out.
//!
//! Enters a graph with its gradients; leaves one that means the same, well formed after each pass.

use crate::equation::{Equation, Expr, Unary};
use crate::ir::build::Builder;
use crate::ir::expr;
use crate::ir::graph::{Graph, NodeId, Op};
use crate::ir::print::print;
use crate::ir::verify::verify;
use crate::pass_manager::{Ir, Pass, PassManager};

pub const PASSES: &[Pass<Graph>] = &[
    Pass {
        name: "dce",
        needs: &[],
        why: "drops what no output or update needs, first, so that nothing dead is rebuilt",
        run: |graph| *graph = drop_dead(graph),
    },
    Pass {
        name: "simplify",
        needs: &["dce"],
        why: "builds every node anew without `stop`: canonical, folded, seen through views, equal parts shared",
        run: |graph| *graph = rebuild(graph),
    },
    Pass {
        name: "dce-again",
        needs: &["simplify"],
        why: "drops what folding and sharing left without a reader",
        run: |graph| *graph = drop_dead(graph),
    },
];

impl Ir for Graph {
    const NAME: &'static str = "graph";

    fn verify(&self) -> Result<(), String> {
        verify(self).map_err(|flaw| flaw.to_string())
    }

    fn text(&self) -> String {
        print(self)
    }
}

pub fn optimise(mut graph: Graph, manager: &mut PassManager) -> Graph {
    manager.run(&mut graph, PASSES);
    graph
}

/// Only nodes that an output or an update needs, and everything that is given from outside; a frozen weight that
/// nothing needs is not even loaded, and an optimiser's state is there for its weight's update.
pub fn drop_dead(graph: &Graph) -> Graph {
    let is_root = |id: &NodeId| match &graph.node(*id).op {
        Op::Update | Op::Param { trained: true, .. } | Op::State { of: None, .. } => true,
        Op::Input { name } => !name.starts_with('$'),
        _ => false,
    };
    let mut roots: Vec<NodeId> = graph.ids().filter(is_root).collect();
    roots.extend(graph.outputs.iter().map(|(_, id)| *id));
    let needed = graph.ancestors(&roots);
    let mut new = Graph::default();
    let mut map = vec![None; graph.len()];
    for id in graph.ids().filter(|id| needed[id.index()]) {
        let node = graph.node(id);
        let operands = node
            .operands
            .iter()
            .filter_map(|o| map[o.index()])
            .collect();
        map[id.index()] = Some(new.add(
            node.op.clone(),
            operands,
            node.shape.clone(),
            node.origin.clone(),
        ));
    }
    new.outputs = rename(graph, &map);
    new
}

/// Every node enters a new graph again: simplified, folded, seen through and shared. Given gradients and `stop` are
/// taken out.
pub fn rebuild(graph: &Graph) -> Graph {
    let mut new = Graph::default();
    let mut b = Builder::new(&mut new);
    let mut map = vec![None; graph.len()];
    for id in graph.ids() {
        let node = graph.node(id);
        let operands = node
            .operands
            .iter()
            .filter_map(|o| map[o.index()])
            .collect();
        let op = without_stops(&node.op);
        map[id.index()] = Some(b.rebuild(&op, operands, node.shape.clone(), node.origin.clone()));
    }
    new.outputs = rename(graph, &map);
    new
}

fn rename(graph: &Graph, map: &[Option<NodeId>]) -> Vec<(String, NodeId)> {
    (graph.outputs.iter())
        .filter_map(|(name, id)| Some((name.clone(), map[id.index()]?)))
        .collect()
}

fn without_stops(op: &Op) -> Op {
    match op {
        Op::Equation(pieces) => Op::Equation(pieces.iter().map(|p| unstopped(p).into()).collect()),
        Op::Scatter(equation) => Op::Scatter(unstopped(equation).into()),
        op => op.clone(),
    }
}

fn unstopped(equation: &Equation) -> Equation {
    expr::rewrite_equation(equation, &mut |e| match e {
        Expr::Unary(Unary::Stop, inner) => *inner,
        e => e,
    })
}
