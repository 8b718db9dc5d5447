//! Every equation of the flagship, forward and backward, by anchor: scatters come from computed reads alone, and every
//! convolution's three products reach the contraction path.
#![allow(clippy::unwrap_used)]

use crate::sema;
use vsr_compiler::equation::classify::{Anchor, classify};
use vsr_compiler::equation::{Equation, Pos, Reducer};
use vsr_compiler::ir::expr::for_each_read;
use vsr_compiler::ir::graph::{Graph, Op};
use vsr_compiler::pass::optimise;
use vsr_compiler::pass_manager::PassManager;
use vsr_compiler::sema::Options;

fn train(set: &[(&str, &str)]) -> Graph {
    let set = set
        .iter()
        .map(|(k, v)| (k.to_string(), v.to_string()))
        .collect();
    let made = sema::model(
        "models/vsr.vsr",
        &Options {
            set,
            ..Options::default()
        },
    );
    let entry = made
        .entries
        .into_iter()
        .find(|e| e.name == "train")
        .unwrap();
    optimise(entry.graph, &mut PassManager::default())
}

fn scatters(graph: &Graph) -> usize {
    graph
        .ids()
        .filter(|id| matches!(graph.node(*id).op, Op::Scatter(_)))
        .count()
}

#[test]
fn scatters_come_from_computed_reads() {
    let graph = train(&[]);
    let mut n_scatters = 0;
    for id in graph.ids() {
        if let Op::Scatter(equation) = &graph.node(id).op {
            n_scatters += 1;
            let computed = equation.write.iter().any(|p| matches!(p, Pos::Computed(_)));
            assert!(computed, "{}: {equation:?}", graph.node(id).origin.path);
        }
    }
    // The alignment's samples, and the frames that the flow warps in the loss.
    assert_eq!(n_scatters, 2);
    let plain = train(&[("deform", "false")]);
    assert_eq!(scatters(&plain), 1);
}

/// Whether it reads or weighs the corners of a sample.
fn samples(piece: &Equation) -> bool {
    let mut computed = false;
    for_each_read(&piece.body, &mut |read| {
        computed |= read.at.iter().any(|p| matches!(p, Pos::Computed(_)));
    });
    computed
}

/// Sums of a convolution's size, each with the block and name of what it computes: all but the filters of the
/// degradation are contractions.
#[test]
fn large_sums_are_contractions() {
    let graph = train(&[]);
    let mut listed = vec![];
    for id in graph.ids() {
        let node = graph.node(id);
        let Op::Equation(pieces) = &node.op else {
            continue;
        };
        for piece in pieces.iter().filter(|p| p.reducer == Reducer::Sum) {
            let points: i64 = piece.free.iter().chain(&piece.reduced).product();
            if points < 1 << 26 || samples(piece) {
                continue;
            }
            let anchor = classify(piece).anchor;
            let name = format!("{} {}", node.origin.path, node.origin.name);
            let in_network = !node.origin.path.is_empty();
            assert!(
                !in_network || anchor == Anchor::Contraction,
                "{name}: {anchor:?}"
            );
            listed.push(format!("{anchor:?}: {}", name.trim()));
        }
    }
    assert!(
        listed.len() > 40,
        "forward and backward of every layer: {}",
        listed.len()
    );
    insta::assert_snapshot!(listed.join("\n"));
}
