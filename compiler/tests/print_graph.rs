//! `--emit graph` and `--emit after:PASS`: the text of a graph, and of the schedule after each of its passes, elaborates to a
//! graph with the same values; one small network's text by snapshot.
#![allow(clippy::unwrap_used)]

use crate::sema;
use vsr_compiler::ir::eval::{Given, evaluate};
use vsr_compiler::ir::graph::{Graph, Op};
use vsr_compiler::ir::philox::Stream;
use vsr_compiler::ir::print::print;
use vsr_compiler::pass::optimise;
use vsr_compiler::pass_manager::{Emit, PassManager};
use vsr_compiler::pipeline;
use vsr_compiler::schedule::{self, Numerics, Rules, WeightTable};
use vsr_compiler::sema::Options;

fn infer(path: &str, text: Option<&str>, set: &[(&str, &str)]) -> Graph {
    let texts: Vec<(&str, &str)> = text.map(|text| (path, text)).into_iter().collect();
    let set = set
        .iter()
        .map(|(k, v)| (k.to_string(), v.to_string()))
        .collect();
    let options = Options {
        set,
        ..Options::default()
    };
    let made =
        sema::run(&texts, path, &options).unwrap_or_else(|error| panic!("{error}\n{text:?}"));
    let entry = made.entries.iter().find(|e| e.name == "infer").unwrap();
    optimise(entry.graph.clone(), &mut PassManager::default())
}

fn values(graph: &Graph) -> Vec<f64> {
    let mut given = Given {
        stream: Stream { seed: 5, step: 0 },
        ..Given::default()
    };
    for id in graph.ids() {
        if let Op::Input { name } = &graph.node(id).op {
            let data = (0..graph.size(id))
                .map(|i| given.stream.number(1, false, i as u64))
                .collect();
            given.inputs.insert(name.clone(), data);
        }
    }
    let all = evaluate(graph, &given).unwrap();
    all.get(graph.outputs[0].1).unwrap().to_vec()
}

fn round_trip(graph: &Graph) {
    assert_means(&print(graph), graph);
}

/// The text has the graph's values.
fn assert_means(text: &str, graph: &Graph) {
    let again = infer(
        "printed.vsr",
        Some(&format!("{text}\nprofile p {{ }}\n")),
        &[],
    );
    let (a, b) = (values(graph), values(&again));
    assert_eq!(a.len(), b.len());
    for (x, y) in a.iter().zip(&b) {
        assert!(
            (x - y).abs() <= 1e-6 * (1.0 + x.abs()),
            "{x} became {y}:\n{text}"
        );
    }
}

/// What the schedule rewrites keeps its meaning, pass by pass; Winograd is applied wherever it can be. From `contractions` on, the text
/// does not say which column of a packed operand is read.
fn schedule_keeps(graph: &Graph) {
    let passes = pipeline::passes().into_iter();
    let passes = passes.filter(|[level, ..]| *level == "schedule");
    let mut n = 0;
    for [_, name, _] in passes.take_while(|p| p[1] != "contractions") {
        let mut manager = PassManager::emitting(Some(Emit::After(name)));
        let numerics = Numerics {
            min_winograd_multiplications: 0,
            ..Numerics::default()
        };
        let rules = Rules::new(false, true).by(numerics);
        schedule::plan(graph, &mut WeightTable::default(), rules, &mut manager);
        assert_means(&manager.text, graph);
        n += 1;
    }
    assert!(n >= 8, "{n} passes");
}

fn operator(inputs: &str, body: &str) -> Graph {
    let text = format!("model M()({inputs}) {{\n{body}\n}}\n\nprofile p {{ }}\n");
    infer("m.vsr", Some(&text), &[])
}

#[test]
fn vdsr() {
    let graph = infer(
        "models/vdsr.vsr",
        None,
        &[("depth", "3"), ("H", "8"), ("W", "8")],
    );
    insta::assert_snapshot!(print(&graph));
    round_trip(&graph);
}

#[test]
fn operators() {
    let picture = "x: [1, 4, 6, 6]";
    for body in [
        "  x |> pixel_shuffle(2) |> silu",
        "  x |> GroupNorm(2) @n",
        "  concat([x, x[:, 1:3] |> relu], axis=1)",
        "  softmax(x, axis=2)",
        "  max_pool(x)",
        "  resize(x, 9, 4, \"bicubic\")",
        "  y[b, c, i, j in 0..8] = x[b, c, i, clamp(j - 1, 0, 5)]\n  y",
        "  warp(x, 2*x[:, 1:3])",
        "  tokens(x) |> untokens(6, 6)",
        "  x |> Conv2d(2, stride=2, groups=2) @c |> sigmoid",
        "  y[b, c, i, j in 0..6] = sum[k in 0..6] select(k <= j, x[b, c, i, k], 0)\n  y",
        "  x |> Conv2d(6) @a |> relu |> Conv2d(4) @b",
    ] {
        let graph = operator(picture, body);
        round_trip(&graph);
        schedule_keeps(&graph);
    }
}
