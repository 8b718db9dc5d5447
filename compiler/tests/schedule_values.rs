//! Plans against the oracle: the kernels of a graph, interpreted in f64, give what the graph means.

use std::collections::BTreeMap;
use vsr_compiler::equation::index::Ix;
use vsr_compiler::equation::rewrite::{binary, lit, unary};
use vsr_compiler::equation::{Binary, Equation, Expr, Guard, Lit, Pos, Read, Reducer, Unary};
use vsr_compiler::ir::build::Builder;
use vsr_compiler::ir::eval::{Given, evaluate};
use vsr_compiler::ir::graph::{Graph, Init, NodeId, Origin};
use vsr_compiler::pass_manager::PassManager;
use vsr_compiler::schedule::interpret::Memory;
use vsr_compiler::schedule::{Numerics, Rules, WeightTable, plan as schedule};

fn v(i: usize) -> Ix {
    Ix::var(i)
}

fn read(operand: usize, at: &[Ix], outside: Option<f64>) -> Expr {
    Expr::Read(Read {
        operand,
        at: at.iter().cloned().map(Pos::Ix).collect(),
        outside: outside.map(Lit::new),
    })
}

fn here() -> Origin {
    Origin::default()
}

fn add(
    b: &mut Builder,
    free: &[i64],
    reduced: &[i64],
    reducer: Reducer,
    body: Expr,
    operands: &[NodeId],
) -> NodeId {
    let write = (0..free.len()).map(|i| Pos::Ix(v(i))).collect();
    let equation = Equation {
        free: free.to_vec(),
        reduced: reduced.to_vec(),
        reducer,
        body,
        guards: vec![],
        write,
    };
    b.equation(equation, operands.to_vec(), free.to_vec(), here())
}

fn conv(b: &mut Builder, x: NodeId, key: &str, out: i64, stride: i64) -> NodeId {
    strided(b, x, key, out, [stride, stride])
}

fn strided(b: &mut Builder, x: NodeId, key: &str, out: i64, stride: [i64; 2]) -> NodeId {
    let [n, c, h, w] = b.shape(x).try_into().expect("four axes");
    let k = b.param(key, Init::Constant(0.0), true, vec![out, c, 3, 3], here());
    let at = |i: usize, p: usize| v(i).scale(stride[i - 2]).add(&v(p)).offset(-1);
    let body = binary(
        Binary::Mul,
        read(0, &[v(1), v(4), v(5), v(6)], None),
        read(1, &[v(0), v(4), at(2, 5), at(3, 6)], Some(0.0)),
    );
    let size = |n: i64, by: i64| (n - 1) / by + 1;
    add(
        b,
        &[n, out, size(h, stride[0]), size(w, stride[1])],
        &[c, 3, 3],
        Reducer::Sum,
        body,
        &[k, x],
    )
}

fn bias_silu(b: &mut Builder, x: NodeId, key: &str) -> NodeId {
    let shape = b.shape(x).to_vec();
    let bias = b.param(key, Init::Constant(0.0), true, vec![shape[1]], here());
    let at = [v(0), v(1), v(2), v(3)];
    let y = add(
        b,
        &shape,
        &[],
        Reducer::Map,
        binary(Binary::Add, read(0, &at, None), read(1, &[v(1)], None)),
        &[x, bias],
    );
    let z = || read(0, &at, None);
    let sigmoid = binary(
        Binary::Div,
        lit(1.0),
        binary(
            Binary::Add,
            lit(1.0),
            unary(Unary::Exp, unary(Unary::Neg, z())),
        ),
    );
    add(
        b,
        &shape,
        &[],
        Reducer::Map,
        binary(Binary::Mul, z(), sigmoid),
        &[y],
    )
}

fn numbers(n: i64, seed: u64) -> Vec<f64> {
    let mut state = seed;
    let mut next = || {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        ((state >> 33) % 2000) as f64 / 1000.0 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

fn direct() -> Rules {
    Rules::new(false, false)
}

/// Plans the graph, interprets it, compares every output with the oracle.
fn check(graph: &Graph, what: &str) -> String {
    check_with(graph, what, direct())
}

fn check_with(graph: &Graph, what: &str, rules: Rules) -> String {
    let mut weights = WeightTable::default();
    let plan = schedule(graph, &mut weights, rules, &mut PassManager::default());
    let mut inputs = BTreeMap::new();
    let mut stored = BTreeMap::new();
    for port in &plan.inputs {
        inputs.insert(port.name.clone(), numbers(port.shape.iter().product(), 7));
    }
    let values: Vec<Vec<f64>> = weights
        .weights
        .iter()
        .enumerate()
        .map(|(i, w)| numbers(w.shape.iter().product(), 100 + i as u64))
        .collect();
    for (w, data) in weights.weights.iter().zip(&values) {
        stored.insert(w.key.clone(), data.clone());
    }
    let mut memory = Memory::new(&plan, &inputs, values).expect("setup runs");
    memory.run(&plan).expect("the plan runs");
    let given = Given {
        inputs,
        weights: stored,
        ..Given::default()
    };
    let expected = evaluate(graph, &given).expect("the oracle evaluates");
    for (name, _) in &graph.outputs {
        let (got, want) = (
            memory.output(&plan, name).expect("an output"),
            expected.output(graph, name).expect("an output"),
        );
        for (i, (a, b)) in got.iter().zip(want).enumerate() {
            assert!(
                (a - b).abs() < 1e-5 * (1.0 + b.abs()),
                "{what}: {name}[{i}] is {a}, not {b}\n{}",
                vsr_compiler::schedule::print(what, &plan)
            );
        }
    }
    vsr_compiler::schedule::print(what, &plan)
}

#[test]
fn a_convolution_with_bias_and_activation_is_one_kernel() {
    let mut graph = Graph::default();
    let mut b = Builder::new(&mut graph);
    let x = b.input("x", vec![2, 8, 9, 11], here());
    let y = conv(&mut b, x, "k", 40, 1);
    let y = bias_silu(&mut b, y, "bias");
    b.output("y", y);
    let text = check(&graph, "conv");
    assert_eq!(text.matches(" contraction ").count(), 1, "{text}");
}

#[test]
fn strided_and_chained_convolutions() {
    let mut graph = Graph::default();
    let mut b = Builder::new(&mut graph);
    let x = b.input("x", vec![1, 3, 12, 10], here());
    let y = conv(&mut b, x, "k1", 16, 1);
    let y = bias_silu(&mut b, y, "b1");
    let y = conv(&mut b, y, "k2", 24, 2);
    let y = bias_silu(&mut b, y, "b2");
    let y = conv(&mut b, y, "k3", 3, 1);
    b.output("y", y);
    check(&graph, "chain");
}

#[test]
fn softmax_over_rows_is_one_kernel_and_attention_is_right() {
    let mut graph = Graph::default();
    let mut b = Builder::new(&mut graph);
    let q = b.input("q", vec![2, 20, 8], here());
    let k = b.input("k", vec![2, 12, 8], here());
    let scores = add(
        &mut b,
        &[2, 20, 12],
        &[8],
        Reducer::Sum,
        binary(
            Binary::Mul,
            binary(
                Binary::Mul,
                read(0, &[v(0), v(1), v(3)], None),
                read(1, &[v(0), v(2), v(3)], None),
            ),
            lit(0.35),
        ),
        &[q, k],
    );
    let lse = add(
        &mut b,
        &[2, 20],
        &[12],
        Reducer::Lse,
        read(0, &[v(0), v(1), v(2)], None),
        &[scores],
    );
    let body = unary(
        Unary::Exp,
        binary(
            Binary::Sub,
            read(0, &[v(0), v(1), v(2)], None),
            read(1, &[v(0), v(1)], None),
        ),
    );
    let p = add(
        &mut b,
        &[2, 20, 12],
        &[],
        Reducer::Map,
        body,
        &[scores, lse],
    );
    let out = add(
        &mut b,
        &[2, 20, 8],
        &[12],
        Reducer::Sum,
        binary(
            Binary::Mul,
            read(0, &[v(0), v(1), v(3)], None),
            read(1, &[v(0), v(3), v(2)], None),
        ),
        &[p, k],
    );
    b.output("p", p);
    b.output("out", out);
    let text = check(&graph, "attention");
    // The row's maximum, its exponentials, their sum and the softmax: one kernel between two contractions.
    let softmax = ["Max [2, 20]", "Map [2, 20, 12]", "Sum [2, 20]"];
    assert!(softmax.iter().all(|s| text.contains(s)), "{text}");
    assert_eq!(text.matches(" nest ").count(), 3, "{text}");
}

#[test]
fn layer_norm_and_long_sums() {
    let mut graph = Graph::default();
    let mut b = Builder::new(&mut graph);
    let x = b.input("x", vec![70, 48, 16], here());
    let at = [v(0), v(1), v(2)];
    let mean = add(
        &mut b,
        &[70, 48],
        &[16],
        Reducer::Sum,
        binary(Binary::Mul, read(0, &at, None), lit(1.0 / 16.0)),
        &[x],
    );
    let var = add(
        &mut b,
        &[70, 48],
        &[16],
        Reducer::Var,
        read(0, &at, None),
        &[x],
    );
    let off = binary(
        Binary::Sub,
        read(0, &at, None),
        read(1, &[v(0), v(1)], None),
    );
    let body = binary(
        Binary::Div,
        off,
        unary(
            Unary::Sqrt,
            binary(Binary::Add, read(2, &[v(0), v(1)], None), lit(1e-5)),
        ),
    );
    let y = add(
        &mut b,
        &[70, 48, 16],
        &[],
        Reducer::Map,
        body,
        &[x, mean, var],
    );
    let total = add(
        &mut b,
        &[],
        &[70, 48, 16],
        Reducer::Sum,
        unary(Unary::Abs, read(0, &[v(0), v(1), v(2)], None)),
        &[y],
    );
    let y2 = add(
        &mut b,
        &[70, 16, 48],
        &[],
        Reducer::Map,
        read(0, &[v(0), v(2), v(1)], None),
        &[y],
    );
    b.output("y", y2);
    b.output("total", total);
    check(&graph, "layer norm");
}

#[test]
fn a_training_step_updates_the_weights_as_the_oracle_does() {
    let text = check_step(
        [2, 3, 12, 10],
        &[(16, [1, 1]), (24, [2, 2]), (3, [1, 1])],
        false,
    );
    // Forward and weight gradient of each, input gradient of all but the first: strided ones in four phases.
    assert!(!text.contains("scatter"), "{text}");
}

/// `y[i] = Σ x[a, b]` over k with 0 <= i - k < 24. No index is long, so that each k is a sum of its own: where it has no term, it is 0.
#[test]
fn sums_whose_terms_are_all_left_out_are_zero() {
    let mut graph = Graph::default();
    let mut b = Builder::new(&mut graph);
    let x = b.input("x", vec![24; 2], here());
    let equation = Equation {
        free: vec![47],
        reduced: vec![24; 3],
        reducer: Reducer::Sum,
        body: read(0, &[v(2), v(3)], None),
        guards: vec![Guard {
            index: v(0).sub(&v(1)),
            extent: 24,
        }],
        write: vec![Pos::Ix(v(0))],
    };
    let y = b.equation(equation, vec![x], vec![47], here());
    b.output("y", y);
    let text = check(&graph, "guarded");
    assert!(text.contains("partial Sum [47, 24]"), "{text}");
}

/// Winograd tiles of several sizes, along one axis and two, ragged ones, too; and nothing else in their places.
#[test]
fn winograd_tiles_give_the_direct_sums() {
    let products = |shape, convolutions: &[(i64, [i64; 2])]| {
        let text = check_step(shape, convolutions, true);
        let sum = |l: &&str| l.contains("product") && l.contains("Sum");
        (text.lines().filter(sum).count(), text)
    };
    // Forward twice, two weight gradients, one input gradient; along both axes.
    let (n, text) = products([1, 8, 5, 16], &[(12, [1, 1]), (8, [1, 1])]);
    assert!(n == 5 && text.contains("product lines"), "{text}");
    // 14 and 13: tiles that end behind the edge, and a gradient that has whole tiles along one axis only.
    let (n, text) = products([1, 8, 14, 13], &[(8, [1, 1])]);
    assert_eq!(n, 2, "{text}");
    // The input gradient of a stride has two pieces, which share a transformed operand.
    let (n, text) = products([2, 8, 6, 24], &[(8, [1, 1]), (12, [1, 2])]);
    assert_eq!(n, 6, "{text}");
}

/// A step of descent on squares of what convolutions (channels, strides) with bias and SiLU make of x.
fn check_step(shape: [i64; 4], convolutions: &[(i64, [i64; 2])], winograd: bool) -> String {
    let mut graph = Graph::default();
    let mut b = Builder::new(&mut graph);
    let mut y = b.input("x", shape.to_vec(), here());
    for (i, (channels, stride)) in convolutions.iter().enumerate() {
        y = strided(&mut b, y, &format!("k{i}"), *channels, *stride);
        if i + 1 < convolutions.len() {
            y = bias_silu(&mut b, y, &format!("b{i}"));
        }
    }
    let at = [v(0), v(1), v(2), v(3)];
    let square = binary(
        Binary::Mul,
        binary(Binary::Mul, read(0, &at, None), read(0, &at, None)),
        lit(0.01),
    );
    let all = b.shape(y).to_vec();
    let loss = add(&mut b, &[], &all, Reducer::Sum, square, &[y]);
    b.output("loss", loss);
    let wrt: Vec<NodeId> = b
        .graph()
        .ids()
        .filter(|i| {
            matches!(
                b.graph().node(*i).op,
                vsr_compiler::ir::graph::Op::Param { .. }
            )
        })
        .collect();
    let gradients = vsr_compiler::autodiff::gradients(&mut b, loss, &wrt);
    for (w, g) in wrt.iter().zip(gradients) {
        let g = g.expect("every weight is reached");
        let shape = b.shape(*w).to_vec();
        let at: Vec<Ix> = (0..shape.len()).map(v).collect();
        let body = binary(
            Binary::Sub,
            read(0, &at, None),
            binary(Binary::Mul, lit(0.1), read(1, &at, None)),
        );
        let new = add(&mut b, &shape, &[], Reducer::Map, body, &[*w, g]);
        b.update(*w, new, here());
    }
    let graph = vsr_compiler::pass::optimise(graph, &mut PassManager::default());
    let mut weights = WeightTable::default();
    let numerics = Numerics {
        min_winograd_multiplications: 0,
        ..Numerics::default()
    };
    let rules = Rules::new(true, winograd).by(numerics);
    let plan = schedule(&graph, &mut weights, rules, &mut PassManager::default());
    let x = numbers(shape.iter().product(), 7);
    let inputs: BTreeMap<String, Vec<f64>> = [("x".to_string(), x)].into();
    let values: Vec<Vec<f64>> = weights
        .weights
        .iter()
        .enumerate()
        .map(|(i, w)| numbers(w.shape.iter().product(), 100 + i as u64))
        .collect();
    let stored = weights
        .weights
        .iter()
        .zip(&values)
        .map(|(w, d)| (w.key.clone(), d.clone()))
        .collect();
    let mut memory = Memory::new(&plan, &inputs, values).expect("setup runs");
    memory.run(&plan).expect("the plan runs");
    let given = Given {
        inputs,
        weights: stored,
        ..Given::default()
    };
    let expected = evaluate(&graph, &given)
        .expect("the oracle evaluates")
        .updates(&graph);
    let text = vsr_compiler::schedule::print("train", &plan);
    // The transforms' matrices are rounded to f32.
    let within = if winograd { 1e-5 } else { 1e-6 };
    for (w, got) in weights.weights.iter().zip(&memory.weights) {
        for (i, (a, b)) in got.iter().zip(&expected[&w.key]).enumerate() {
            assert!(
                (a - b).abs() < within * (1.0 + b.abs()),
                "{}[{i}] is {a}, not {b}\n{text}",
                w.key
            );
        }
    }
    text
}

/// An input gradient whose taps are fewer than the weights': weights are read beyond their edge, backwards data.
#[test]
fn weights_may_be_read_outside() {
    let mut graph = Graph::default();
    let mut b = Builder::new(&mut graph);
    let dy = b.input("dy", vec![2, 32, 2, 2], here());
    let k = b.param("k", Init::Constant(0.0), true, vec![32, 16, 3, 3], here());
    // dx[b,c,h,w] = sum[o,p,q] k[o, c, h + 2p - 1, w + 2q - 1]*dy[b, o, 1 - p, 1 - q]
    let at = |i: usize, r: usize| v(i).add(&v(r).scale(2)).offset(-1);
    let back = |r: usize| v(r).scale(-1).offset(1);
    let body = binary(
        Binary::Mul,
        read(0, &[v(4), v(1), at(2, 5), at(3, 6)], Some(0.0)),
        read(1, &[v(0), v(4), back(5), back(6)], None),
    );
    let y = add(
        &mut b,
        &[2, 16, 4, 4],
        &[32, 2, 2],
        Reducer::Sum,
        body,
        &[k, dy],
    );
    b.output("y", y);
    check(&graph, "outside");
}
