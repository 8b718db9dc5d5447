//! What only differentiation needed goes; constants, views and equal parts are found again; what nothing needs is left
//! out.

use crate::equation::{Equation, Expr, Unary};
use crate::ir::build::Builder;
use crate::ir::expr;
use crate::ir::graph::{Graph, NodeId, Op};
use crate::ir::verify::verify;

type Pass = fn(&Graph) -> Graph;

/// The passes in order. A pass that breaks the graph is named.
pub fn optimise(graph: Graph) -> Graph {
    let passes: [(&str, Pass); 3] = [
        ("drop_dead", drop_dead),
        ("rebuild", rebuild),
        ("drop_dead", drop_dead),
    ];
    passes.into_iter().fold(graph, |graph, (name, pass)| {
        let after = pass(&graph);
        if let Err(flaw) = verify(&after) {
            panic!("pass {name} broke the graph: {flaw}");
        }
        after
    })
}

/// Only nodes that an output or an update needs, and everything that is given from outside; a frozen weight that
/// nothing needs is not even loaded.
pub fn drop_dead(graph: &Graph) -> Graph {
    let is_root = |id: &NodeId| match &graph.node(*id).op {
        Op::Update | Op::Param { trained: true, .. } | Op::State { .. } => true,
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
