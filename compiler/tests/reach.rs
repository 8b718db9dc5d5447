//! Reach of whole networks: halo and stride where they are finite, the line that forbids exact tiles where not.
#![allow(clippy::unwrap_used)]

use crate::sema;
use vsr_compiler::ir::field::{Reach, Unbounded, of_pictures, reach};
use vsr_compiler::ir::graph::{Graph, NodeId, Op};
use vsr_compiler::pass::optimise;
use vsr_compiler::pass_manager::PassManager;
use vsr_compiler::sema::Options;

fn input(graph: &Graph) -> NodeId {
    graph
        .ids()
        .find(|id| matches!(graph.node(*id).op, Op::Input { .. }))
        .unwrap()
}

fn rows_and_columns(graph: &Graph) -> [Result<Reach, Unbounded>; 2] {
    let (x, y) = (input(graph), graph.outputs[0].1);
    let axes = |id: NodeId, back: usize| (id, graph.shape(id).len() - back);
    [2, 1].map(|back| reach(graph, axes(x, back), axes(y, back)))
}

fn of(body: &str) -> [Result<Reach, Unbounded>; 2] {
    let text = format!("model M()(x: [1, 4, 64, 96]) {{\n{body}\n}}\n\nprofile p {{ }}\n");
    let made = sema::run(&[("m.vsr", &text)], "m.vsr", &Options::default())
        .unwrap_or_else(|e| panic!("{e}"));
    rows_and_columns(&optimise(
        made.entries[0].graph.clone(),
        &mut PassManager::default(),
    ))
}

fn both(halo: i64, stride: i64) -> [Result<Reach, Unbounded>; 2] {
    [Ok(Reach { halo, stride }), Ok(Reach { halo, stride })]
}

#[test]
fn finite_networks() {
    assert_eq!(
        of("  x |> Conv2d(4) @a |> relu |> Conv2d(4, k=5) @b"),
        both(3, 1)
    );
    assert_eq!(
        of("  x |> Conv2d(8) @a |> pixel_shuffle(2) |> Conv2d(3) @b"),
        both(2, 1)
    );
    assert_eq!(
        of("  x |> Conv2d(16, stride=2) @a |> silu |> pixel_shuffle(2)"),
        both(2, 2)
    );
    assert_eq!(of("  x |> Conv2d(4, k=7, stride=4, pad=3) @a"), both(3, 4));
    assert_eq!(of("  nearest(max_pool(x), 2) + x"), both(1, 2));
}

#[test]
fn a_norm_sees_everything() {
    let [rows, columns] = of("  x |> Conv2d(4) @a |> GroupNorm(2) @norm |> silu");
    assert_eq!(rows.clone().unwrap_err().origin.path, "norm");
    assert!(columns.is_err());
    // Attention along rows forbids tiles along rows alone.
    let [rows, columns] =
        of("  y[b, c, i, j] = x[b, c, i, j]*exp(x[b, c, i, j] - lse[k] x[b, c, i, k])\n  y");
    assert_eq!(rows, Ok(Reach { halo: 0, stride: 1 }));
    assert!(columns.is_err());
}

#[test]
fn vdsr_reaches_one_pixel_a_layer() {
    let made = sema::model("models/vdsr.vsr", &Options::default());
    let entry = made.entries.iter().find(|e| e.name == "infer").unwrap();
    let side = Reach {
        halo: 20,
        stride: 1,
    };
    assert_eq!(
        of_pictures(&optimise(entry.graph.clone(), &mut PassManager::default())),
        Some(Ok([side; 2]))
    );
}

#[test]
fn a_list_reaches_as_far_as_its_farthest_layer() {
    let taps = Options {
        set: vec![("taps".into(), "[3, 8, 15]".into())],
        ..Options::default()
    };
    let made = sema::model("models/vgg16.vsr", &taps);
    let graph = optimise(made.entries[0].graph.clone(), &mut PassManager::default());
    assert_eq!(graph.outputs.len(), 3);
    // Convolutions reach 2, then 2 of every second, then 3 of every fourth pixel; and that one is three pixels wider.
    let side = Reach {
        halo: 2 + 2 * 2 + 3 * 4 + 3,
        stride: 4,
    };
    assert_eq!(of_pictures(&graph), Some(Ok([side; 2])));
}
