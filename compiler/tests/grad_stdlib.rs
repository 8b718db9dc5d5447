//! Every operator of the standard library: the derived gradient of each tensor input against finite differences in f64,
//! at random values and where conventions bite.
#![allow(clippy::unwrap_used)]

use crate::sema;
use std::collections::BTreeSet;

use vsr_compiler::autodiff::gradients;
use vsr_compiler::equation::index::Ix;
use vsr_compiler::equation::{Binary, Equation, Expr, Pos, Read, Reducer};
use vsr_compiler::ir::build::Builder;
use vsr_compiler::ir::eval::{Given, evaluate};
use vsr_compiler::ir::graph::{Graph, NodeId, Op, Origin};
use vsr_compiler::ir::philox::Stream;
use vsr_compiler::ir::verify::verify;
use vsr_compiler::pass::optimise;
use vsr_compiler::pass_manager::PassManager;
use vsr_compiler::sema::Options;

/// How the inputs are filled.
#[derive(Clone, Copy, PartialEq)]
enum Fill {
    /// Standard normal.
    Normal,
    /// In (0.1, 0.9).
    Unit,
    /// Zeros in the inputs named here, normal elsewhere. At a kink the derivative from above counts.
    Zero(&'static str),
}

struct Case {
    inputs: &'static str,
    call: &'static str,
    fill: Fill,
    n_scatters: usize,
}

const fn case(inputs: &'static str, call: &'static str) -> Case {
    Case {
        inputs,
        call,
        fill: Fill::Normal,
        n_scatters: 0,
    }
}

const fn unit(inputs: &'static str, call: &'static str) -> Case {
    Case {
        inputs,
        call,
        fill: Fill::Unit,
        n_scatters: 0,
    }
}

const fn zero(
    inputs: &'static str,
    at: &'static str,
    call: &'static str,
    n_scatters: usize,
) -> Case {
    Case {
        inputs,
        call,
        fill: Fill::Zero(at),
        n_scatters,
    }
}

const fn sampled(inputs: &'static str, call: &'static str) -> Case {
    Case {
        inputs,
        call,
        fill: Fill::Normal,
        n_scatters: 1,
    }
}

const CASES: &[Case] = &[
    case("x: [2, 3], w: [4, 3]", "linear(x, w)"),
    case(
        "x: [1, 2, 7], k: [2, 2, 3]",
        "conv1d(x, k, stride=2, pad=2, dilation=2)",
    ),
    case("x: [1, 2, 5, 5], k: [3, 2, 3, 3]", "conv2d(x, k, pad=1)"),
    case(
        "x: [1, 4, 6, 5], k: [4, 2, 3, 3]",
        "conv2d(x, k, stride=2, pad=1, groups=2)",
    ),
    case(
        "x: [1, 2, 6, 6], k: [2, 1, 3, 3]",
        "conv2d(x, k, stride=3, pad=2, dilation=2, groups=2)",
    ),
    case("x: [1, 2, 6, 6], k: [2, 2, 2, 2]", "conv2d(x, k, stride=2)"),
    case(
        "x: [1, 2, 3, 4, 4], k: [2, 2, 3, 3, 3]",
        "conv3d(x, k, pad=1)",
    ),
    case(
        "x: [1, 1, 3, 5, 4], k: [2, 1, 3, 3, 3]",
        "conv3d(x, k, stride=2, pad=1)",
    ),
    case("x: [1, 2, 5, 4]", "max_pool(x)"),
    case("x: [1, 2, 5, 4]", "avg_pool(x)"),
    unit("x: [1, 1, 1, 5, 5], s: [1]", "blur(x, s, reach=2)"),
    case("x: [1, 1, 2, 3, 3], s: [1]", "noise(x, s)"),
    case("x: [2, 1, 1, 4, 4], m: []", "downscale(x, 2, m)"),
    unit("u: [2], m: []", "shrink_matrix(u, m, 4, 2)"),
    sampled("x: [1, 1, 2, 4, 4]", "jitter(x, 0.7, 0.1)"),
    unit("x: [1, 3, 1, 8, 8], q: [1]", "jpeg(x, 60*q)"),
    unit("a: [], b: []", "draw(3, a, b)"),
    unit("t: [3]", "sinusoids(t, 4)"),
    unit("t: [3]", "sdxl_alpha_bar(900*t)"),
    case("x: [1, 2, 4, 4]", "gather_window(x)"),
    Case {
        inputs: "a: [1, 1, 4, 5], b: [1, 1, 4, 5], f: [1, 2, 4, 5]",
        call: "lucas_kanade_level(a, b, f, 1, 1, 0.1)",
        fill: Fill::Unit,
        n_scatters: 1,
    },
    unit("f: [1, 2, 3, 3]", "enlarge_flow(f, 6, 5)"),
    case("v: [3]", "sample_variance(v, 4)"),
    unit("a: [2, 3], b: [2, 3]", "l1(a, b)"),
    unit("a: [2, 3], b: [2, 3]", "mse(a, b)"),
    unit("a: [2, 3], b: [2, 3]", "charbonnier(a, b)"),
    unit("a: [2, 3], b: [2, 3]", "psnr(a, b)"),
    unit("a: [1, 2, 3, 2, 2], b: [1, 2, 3, 2, 2]", "temporal(a, b)"),
    unit("a: [1, 1, 12, 11], b: [1, 1, 12, 11]", "ssim(a, b)"),
    case("x: [1, 5, 4], g: [3]", "window(x, g)"),
    case("a: [2, 4], b: [2, 4]", "cosine_distance(a, b)"),
    Case {
        inputs: "a: [1, 1, 2, 3, 3], b: [1, 1, 2, 3, 3], f: [1, 2, 3, 3]",
        call: "warp_error(a, b, f, sharp=0.5)",
        fill: Fill::Normal,
        n_scatters: 2,
    },
    case("x: [2, 5]", "softmax_last(x)"),
    case("x: [2, 5, 3]", "softmax(x, axis=1)"),
    case("x: [2, 4, 3]", "group_norm(x, 2)"),
    case("x: [1, 4, 2, 2]", "group_norm(x, 4)"),
    case("x: [3, 4]", "layer_norm(x)"),
    case("x: [3, 4]", "unit(x)"),
    case(
        "q: [1, 2, 3, 4], k: [1, 2, 5, 4], v: [1, 2, 5, 3]",
        "attention(q, k, v)",
    ),
    unit("x: []", "ramp(x, 0.5, 2, 3)"),
    unit("x: []", "cosine(x, 0.5, 2, 3)"),
    case("x: [1, 2, 3]", "nearest(x, 2)"),
    case("x: [5]", "cubic(x, -0.5)"),
    case("x: [5]", "tap(x, \"bilinear\", 2.0, 0.0)"),
    case("x: [2, 4], m: [3, 2]", "columns(x, m)"),
    case("x: [1, 4, 5]", "resize(x, 8, 3)"),
    case(
        "x: [1, 6, 5]",
        "resize(x, 3, 10, \"bicubic\", antialias=true, a=-0.5)",
    ),
    case("x: [1, 6, 5]", "resize(x, 3, 10, \"area\")"),
    case("x: [5]", "sigmoid(x)"),
    case("x: [5]", "silu(x)"),
    case("x: [5]", "relu(x)"),
    case("x: [5]", "leaky_relu(x)"),
    case("x: [5]", "gelu(x)"),
    case("x: [5]", "quick_gelu(x)"),
    case("x: [5]", "softplus(x)"),
    case("x: [5]", "round(x)"),
    case("x: [5]", "dropout(x)"),
    case("x: [2, 3]", "sum(x)"),
    case("x: [2, 3]", "mean(x)"),
    case("x: [2, 3, 2], b: [3]", "add_bias(x, b)"),
    case("x: [1, 2, 3]", "swap2(x)"),
    case("x: [1, 2, 3, 4]", "tokens(x)"),
    case("x: [1, 6, 2]", "untokens(x, 2, 3)"),
    case("x: [1, 3, 4]", "split_heads(x, 2)"),
    case("x: [1, 2, 3, 2]", "merge_heads(x)"),
    case("x: [2, 2, 3, 1, 2]", "frames(x)"),
    case("x: [6, 2, 1, 2]", "unframes(x, 3)"),
    case("x: [1, 3, 2, 2]", "luma(x)"),
    case("x: [1, 8, 2, 3]", "pixel_shuffle(x, 2)"),
    case("x: [1, 2, 4, 6]", "pixel_unshuffle(x, 2)"),
    sampled("x: [1, 2, 4, 5], f: [1, 2, 4, 5]", "warp(x, f)"),
    sampled(
        "x: [1, 2, 4, 5], f: [1, 2, 4, 5]",
        "warp(x, f, border=true)",
    ),
    zero("x: [1, 2, 4, 5], f: [1, 2, 4, 5]", "f", "warp(x, f)", 1),
    zero("x: [1, 1, 4, 3], f: [1, 2, 4, 3]", "f", "warp(x, f + 1)", 1),
    sampled(
        "x: [1, 2, 4, 4], o: [1, 36, 4, 4], m: [1, 18, 4, 4], k: [2, 2, 3, 3]",
        "deform_conv2d(x, o, m, k, pad=1)",
    ),
    zero(
        "x: [1, 2, 4, 4], o: [1, 18, 2, 2], m: [1, 9, 2, 2], k: [2, 2, 3, 3]",
        "o",
        "deform_conv2d(x, o, m, k, pad=1, stride=2)",
        1,
    ),
    case(
        "x: [1, 8, 2, 3], k: [2, 2, 3, 3]",
        "conv2d(silu(pixel_shuffle(x, 2)), k, pad=1)",
    ),
    // Builtins, and shapes that the operators do not reach.
    case("a: [2, 2], b: [2, 3]", "concat([a, b, a], axis=1)"),
    case("a: [2, 2], b: [2, 2]", "stack([a, b], axis=1)"),
    case("x: [2, 7]", "split(x, [3, 4], axis=1)[1]"),
    case("x: [3, 4]", "reshape(x, [2, 6])"),
    case("x: [3, 4]", "transpose(x, 0, 1)"),
    case("x: [3, 4]", "x[1:, -1]"),
    unit(
        "a: [4], b: [4]",
        "a**b + log2(a) - abs(b - 0.5)/sqrt(a) + sin(a)*cos(b) + erf(a)",
    ),
    case(
        "a: [4], b: [4]",
        "min(a, b) + 2*max(a, b) + clamp(a, -0.5, 0.5) + select(a < b, a*b, exp(b))",
    ),
];

/// Operators without a tensor input, and those that no derived gradient passes.
const OTHERS: &[&str] = &[
    "zeros",
    "ones",
    "dct8",
    "sdxl_log_sigma",
    "resize_matrix",
    "round_ste",
    "lucas_kanade",
];

fn forward(inputs: &str, call: &str) -> Graph {
    let text = format!("model Case()({inputs}) {{\n  {call}\n}}\n\nprofile p {{ }}\n");
    let made = sema::run(&[("case.vsr", &text)], "case.vsr", &Options::default());
    let made = made.unwrap_or_else(|error| panic!("{call}:\n{error}"));
    made.entries[0].graph.clone()
}

/// Appends the weighted sum of the result and its gradients.
fn differentiate(graph: &mut Graph) -> Vec<(String, NodeId)> {
    let inputs: Vec<(String, NodeId)> = (graph.ids())
        .filter_map(|id| match &graph.node(id).op {
            Op::Input { name } => Some((name.clone(), id)),
            _ => None,
        })
        .collect();
    let (_, y) = graph.outputs[0].clone();
    graph.outputs.clear();
    let mut b = Builder::new(graph);
    let shape = b.shape(y).to_vec();
    let at: Vec<Pos> = (0..shape.len()).map(|v| Pos::Ix(Ix::var(v))).collect();
    let read = |operand| {
        Box::new(Expr::Read(Read {
            operand,
            at: at.clone(),
            outside: None,
        }))
    };
    let sum = Equation {
        free: vec![],
        reduced: shape.clone(),
        reducer: Reducer::Sum,
        body: Expr::Binary(Binary::Mul, read(0), read(1)),
        guards: vec![],
        write: vec![],
    };
    let weights = b.random(99, true, shape, Origin::default());
    let loss = b.equation(sum, vec![y, weights], vec![], Origin::default());
    b.output("loss", loss);
    let wrt: Vec<NodeId> = inputs.iter().map(|(_, id)| *id).collect();
    for ((name, _), gradient) in inputs.iter().zip(gradients(&mut b, loss, &wrt)) {
        if let Some(gradient) = gradient {
            b.output(&format!("d {name}"), gradient);
        }
    }
    inputs
}

fn values(case: &Case, graph: &Graph, inputs: &[(String, NodeId)]) -> Given {
    let mut given = Given {
        stream: Stream { seed: 11, step: 0 },
        ..Given::default()
    };
    for (n, (name, id)) in inputs.iter().enumerate() {
        let draw = |i: usize| match case.fill {
            Fill::Zero(names) if names == name => 0.0,
            Fill::Unit => 0.1 + 0.8 * given.stream.number(500 + n as u64, false, i as u64),
            _ => given.stream.number(500 + n as u64, true, i as u64),
        };
        let data = (0..graph.size(*id)).map(draw).collect();
        given.inputs.insert(name.clone(), data);
    }
    given
}

fn loss(graph: &Graph, given: &Given) -> f64 {
    evaluate(graph, given)
        .unwrap()
        .output(graph, "loss")
        .unwrap()[0]
}

fn compare(case: &Case, graph: &Graph, inputs: &[(String, NodeId)]) {
    let mut given = values(case, graph, inputs);
    let here = evaluate(graph, &given).unwrap();
    let mut only_loss = graph.clone();
    only_loss.outputs.truncate(1);
    let base = loss(&only_loss, &given);
    for (name, _) in inputs {
        let start = given.inputs[name].clone();
        let gradient = here
            .output(graph, &format!("d {name}"))
            .map(<[f64]>::to_vec);
        let one_sided =
            case.fill != Fill::Unit && matches!(case.fill, Fill::Zero(at) if at == name);
        // Large inputs are sampled: a few dozen elements each.
        let stride = (start.len() / 24).max(1);
        for i in (0..start.len()).step_by(stride) {
            let h = if one_sided { 1e-7 } else { 1e-5 };
            let mut at = |x: f64| {
                given.inputs.get_mut(name).unwrap()[i] = x;
                loss(&only_loss, &given)
            };
            let numeric = match one_sided {
                true => (at(start[i] + h) - base) / h,
                false => (at(start[i] + h) - at(start[i] - h)) / (2.0 * h),
            };
            at(start[i]);
            let ours = gradient.as_ref().map_or(0.0, |g| g[i]);
            let close = (ours - numeric).abs() <= 2e-6 * (1.0 + numeric.abs());
            assert!(
                close,
                "{}: d {name}[{i}] is {ours}, differences give {numeric}",
                case.call
            );
        }
    }
}

fn check(case: &Case) {
    let mut graph = forward(case.inputs, case.call);
    let inputs = differentiate(&mut graph);
    verify(&graph).unwrap_or_else(|flaw| panic!("{}: {flaw}", case.call));
    compare(case, &graph, &inputs);
    let graph = optimise(graph, &mut PassManager::default());
    let scatters = graph
        .ids()
        .filter(|id| matches!(graph.node(*id).op, Op::Scatter(_)))
        .count();
    assert_eq!(scatters, case.n_scatters, "{}: scatters", case.call);
    let inputs: Vec<(String, NodeId)> = (graph.ids())
        .filter_map(|id| match &graph.node(id).op {
            Op::Input { name } => Some((name.clone(), id)),
            _ => None,
        })
        .collect();
    let given = values(case, &graph, &inputs);
    let _ = loss(&graph, &given);
    compare(case, &graph, &inputs);
}

#[test]
fn derived_gradients_match_differences() {
    let mut failed = vec![];
    for case in CASES {
        let result = std::panic::catch_unwind(|| check(case));
        if let Err(cause) = result {
            let text = cause.downcast_ref::<String>().cloned().unwrap_or_default();
            failed.push(format!("{}\n    {text}", case.call));
        }
    }
    assert!(
        failed.is_empty(),
        "{} of {} cases:\n{}",
        failed.len(),
        CASES.len(),
        failed.join("\n")
    );
}

/// `stop`: what flows around it is all that counts.
#[test]
fn nothing_passes_a_stop() {
    for (call, expected) in [
        ("x + stop(x*x)", 1.0),
        ("lucas_kanade(x, x, levels=1, turns=1)", 0.0),
    ] {
        let mut graph = forward("x: [1, 1, 8, 8]", call);
        let inputs = differentiate(&mut graph);
        let given = values(&CASES[0], &graph, &inputs);
        let weights = |i| given.stream.number(99, true, i);
        let all = evaluate(&graph, &given).unwrap();
        let gradient = all
            .output(&graph, "d x")
            .map(<[f64]>::to_vec)
            .unwrap_or(vec![0.0; 64]);
        for (i, g) in gradient.iter().enumerate() {
            assert_eq!(*g, expected * weights(i as u64), "{call}");
        }
    }
}

/// Every operator has a case, or stands among the few that cannot have one.
#[test]
fn no_operator_is_forgotten() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../stdlib");
    let mut operators = BTreeSet::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|e| e != "vsr") {
            continue;
        }
        let text = std::fs::read_to_string(path).unwrap();
        let names = text.lines().filter_map(|line| {
            line.strip_prefix("op ")?
                .split('(')
                .next()
                .map(str::to_string)
        });
        operators.extend(names);
    }
    assert!(operators.len() > 50, "{operators:?}");
    let tested: BTreeSet<String> = (CASES.iter())
        .filter_map(|case| case.call.split('(').next().map(str::to_string))
        .chain(OTHERS.iter().map(|name| name.to_string()))
        .collect();
    let missing: Vec<&String> = operators.difference(&tested).collect();
    assert!(missing.is_empty(), "without a gradient test: {missing:?}");
}
