//! Gradients of whole small graphs, built node by node, against finite differences in f64; also after `optimise`.
#![allow(clippy::unwrap_used)]

use vsr_compiler::autodiff::gradients;
use vsr_compiler::diag::Problems;
use vsr_compiler::equation::index::Ix;
use vsr_compiler::equation::{Binary, Equation, Expr, Lit, Pos, Read, Reducer, Relation, Unary};
use vsr_compiler::ir::build::Builder;
use vsr_compiler::ir::eval::{Given, evaluate};
use vsr_compiler::ir::graph::{Graph, Init, NodeId, Op, Origin};
use vsr_compiler::ir::print::print;
use vsr_compiler::ir::verify::verify;
use vsr_compiler::pass::optimise;
use vsr_compiler::pass_manager::PassManager;
use vsr_compiler::syntax::parse;

fn v(i: usize) -> Ix {
    Ix::var(i)
}

fn c(value: i64) -> Ix {
    Ix::constant(value)
}

fn lit(value: f64) -> Expr {
    Expr::Lit(Lit::new(value))
}

fn at(operand: usize, at: &[Ix]) -> Expr {
    let at = at.iter().cloned().map(Pos::Ix).collect();
    Expr::Read(Read {
        operand,
        at,
        outside: None,
    })
}

fn at_or_zero(operand: usize, at: &[Ix]) -> Expr {
    let at = at.iter().cloned().map(Pos::Ix).collect();
    Expr::Read(Read {
        operand,
        at,
        outside: Some(Lit::new(0.0)),
    })
}

fn op(op: Binary, a: Expr, b: Expr) -> Expr {
    Expr::Binary(op, Box::new(a), Box::new(b))
}

fn mul(a: Expr, b: Expr) -> Expr {
    op(Binary::Mul, a, b)
}

fn sub(a: Expr, b: Expr) -> Expr {
    op(Binary::Sub, a, b)
}

fn f(op: Unary, a: Expr) -> Expr {
    Expr::Unary(op, Box::new(a))
}

/// A graph under construction, with its parameters.
struct Case<'g> {
    b: Builder<'g>,
    params: Vec<NodeId>,
}

impl Case<'_> {
    fn param(&mut self, shape: &[i64]) -> NodeId {
        let key = format!("p{}", self.params.len());
        let id = self.b.param(
            &key,
            Init::Uniform(-1.0, 1.0),
            true,
            shape.to_vec(),
            Origin::default(),
        );
        self.params.push(id);
        id
    }

    fn reduce(
        &mut self,
        free: &[i64],
        reducer: Reducer,
        reduced: &[i64],
        body: Expr,
        operands: &[NodeId],
    ) -> NodeId {
        let equation = Equation {
            free: free.to_vec(),
            reduced: reduced.to_vec(),
            reducer,
            body,
            guards: vec![],
            write: (0..free.len()).map(|i| Pos::Ix(v(i))).collect(),
        };
        self.b.equation(
            equation,
            operands.to_vec(),
            free.to_vec(),
            Origin::default(),
        )
    }

    fn map(&mut self, free: &[i64], body: Expr, operands: &[NodeId]) -> NodeId {
        self.reduce(free, Reducer::Map, &[], body, operands)
    }
}

/// Every element of every parameter's gradient against a central difference, plain and optimised.
fn check(name: &str, build: impl Fn(&mut Case) -> NodeId) -> Graph {
    let mut graph = Graph::default();
    let mut case = Case {
        b: Builder::new(&mut graph),
        params: vec![],
    };
    let y = build(&mut case);
    // Every element of the result counts differently.
    let shape = case.b.shape(y).to_vec();
    let weights = case.b.random(77, true, shape.clone(), Origin::default());
    let indices: Vec<Ix> = (0..shape.len()).map(v).collect();
    let body = mul(at(0, &indices), at(1, &indices));
    let loss = case.reduce(&[], Reducer::Sum, &shape, body, &[y, weights]);
    let params = case.params.clone();
    let grads = gradients(&mut case.b, loss, &params);
    case.b.output("loss", loss);
    for (i, grad) in grads.iter().enumerate() {
        if let Some(grad) = grad {
            case.b.output(&format!("g{i}"), *grad);
        }
    }
    verify(&graph).unwrap_or_else(|flaw| panic!("{name}: {flaw}"));
    compare(name, &graph);
    let optimised = optimise(graph, &mut PassManager::default());
    compare(&format!("{name}, optimised"), &optimised);
    optimised
}

fn compare(name: &str, graph: &Graph) {
    let mut given = Given::default();
    let values = evaluate(graph, &given).unwrap();
    let mut only_loss = graph.clone();
    only_loss.outputs.truncate(1);
    let params: Vec<(String, NodeId)> = (graph.ids())
        .filter_map(|id| match &graph.node(id).op {
            Op::Param { key, .. } => Some((key.clone(), id)),
            _ => None,
        })
        .collect();
    for (key, id) in &params {
        let start = values.get(*id).unwrap().to_vec();
        let grad = values
            .output(graph, &key.replace('p', "g"))
            .map(<[f64]>::to_vec);
        let mut loss_at = |i: usize, step: f64| {
            let mut moved = start.clone();
            moved[i] += step;
            given.weights.insert(key.clone(), moved);
            let values = evaluate(&only_loss, &given).unwrap();
            let loss = values.output(graph, "loss").unwrap()[0];
            given.weights.clear();
            loss
        };
        for i in 0..start.len() {
            let h = 1e-5;
            let numeric = (loss_at(i, h) - loss_at(i, -h)) / (2.0 * h);
            let ours = grad.as_ref().map_or(0.0, |g| g[i]);
            let close = (ours - numeric).abs() <= 1e-6 * (1.0 + numeric.abs());
            assert!(
                close,
                "{name}: d {key}[{i}] is {ours}, differences give {numeric}"
            );
        }
    }
}

fn anchors(graph: &Graph) -> (usize, usize) {
    let scatters = graph
        .ids()
        .filter(|id| matches!(graph.node(*id).op, Op::Scatter(_)))
        .count();
    let equations = graph
        .ids()
        .filter(|id| matches!(graph.node(*id).op, Op::Equation(_)))
        .count();
    (equations, scatters)
}

fn conv(case: &mut Case, stride: i64, pad: i64) -> NodeId {
    let (h, k) = (7, 3);
    let o = (h + 2 * pad - k) / stride + 1;
    let x = case.param(&[2, 2, h, h]);
    let w = case.param(&[3, 2, k, k]);
    let (i, j, ci, p, q) = (v(2), v(3), v(4), v(5), v(6));
    let row = i.scale(stride).add(&p).offset(-pad);
    let column = j.scale(stride).add(&q).offset(-pad);
    let body = mul(
        at(1, &[v(1), ci.clone(), p, q]),
        at_or_zero(0, &[v(0), ci, row, column]),
    );
    case.reduce(&[2, 3, o, o], Reducer::Sum, &[2, k, k], body, &[x, w])
}

#[test]
fn convolutions() {
    check("conv", |case| conv(case, 1, 1));
    let strided = check("strided", |case| conv(case, 2, 1));
    assert_eq!(
        anchors(&strided).1,
        0,
        "a strided convolution needs no scatter"
    );
}

#[test]
fn convolution_activation_convolution() {
    check("chain", |case| {
        let y = conv(case, 1, 0);
        let n = [2, 3, 5, 5];
        let x = at(0, &[v(0), v(1), v(2), v(3)]);
        let e = f(Unary::Exp, f(Unary::Neg, x.clone()));
        let silu = case.map(&n, op(Binary::Div, x, op(Binary::Add, lit(1.0), e)), &[y]);
        let w = case.param(&[2, 3]);
        let body = mul(at(1, &[v(1), v(4)]), at(0, &[v(0), v(4), v(2), v(3)]));
        let z = case.reduce(&[2, 2, 5, 5], Reducer::Sum, &[3], body, &[silu, w]);
        // residual: the activation is read twice
        let both = op(
            Binary::Add,
            at(0, &[v(0), v(1), v(2), v(3)]),
            at(1, &[v(0), v(1), v(2), v(3)]),
        );
        case.map(&[2, 2, 5, 5], both, &[z, silu])
    });
}

#[test]
fn group_norm() {
    check("group_norm", |case| {
        let x = case.param(&[2, 4, 3]);
        let g = case.param(&[4]);
        let inside = at(0, &[v(0), v(1).scale(2).add(&v(2)), v(3)]);
        let mean = case.reduce(
            &[2, 2],
            Reducer::Sum,
            &[2, 3],
            mul(inside.clone(), lit(1.0 / 6.0)),
            &[x],
        );
        let var = case.reduce(&[2, 2], Reducer::Var, &[2, 3], inside, &[x]);
        let group = [v(0), v(1).div(2)];
        let off = sub(at(0, &[v(0), v(1), v(2)]), at(1, &group));
        let scale = f(Unary::Sqrt, op(Binary::Add, at(2, &group), lit(1e-3)));
        let body = mul(op(Binary::Div, off, scale), at(3, &[v(1)]));
        case.map(&[2, 4, 3], body, &[x, mean, var, g])
    });
}

#[test]
fn attention() {
    check("attention", |case| {
        let (q, k, val) = (
            case.param(&[2, 3, 4]),
            case.param(&[2, 5, 4]),
            case.param(&[2, 5, 3]),
        );
        let body = mul(
            lit(0.5),
            mul(at(0, &[v(0), v(1), v(3)]), at(1, &[v(0), v(2), v(3)])),
        );
        let a = case.reduce(&[2, 3, 5], Reducer::Sum, &[4], body, &[q, k]);
        let lse = case.reduce(
            &[2, 3],
            Reducer::Lse,
            &[5],
            at(0, &[v(0), v(1), v(2)]),
            &[a],
        );
        let p = f(
            Unary::Exp,
            sub(at(0, &[v(0), v(1), v(2)]), at(1, &[v(0), v(1)])),
        );
        let p = case.map(&[2, 3, 5], p, &[a, lse]);
        let body = mul(at(0, &[v(0), v(1), v(3)]), at(1, &[v(0), v(3), v(2)]));
        case.reduce(&[2, 3, 3], Reducer::Sum, &[5], body, &[p, val])
    });
}

#[test]
fn shuffles_slices_and_stacks() {
    let graph = check("shuffle", |case| {
        let x = case.param(&[1, 8, 2, 3]);
        let channel = v(1).scale(4).add(&v(2).rem(2).scale(2)).add(&v(3).rem(2));
        case.map(
            &[1, 2, 4, 6],
            at(0, &[v(0), channel, v(2).div(2), v(3).div(2)]),
            &[x],
        )
    });
    assert_eq!(anchors(&graph).1, 0);
    let graph = check("frames", |case| {
        let x = case.param(&[4, 3]);
        // Each frame squared, then stacked backwards.
        let frames: Vec<NodeId> = (0..4)
            .map(|t| {
                let x_t = case.map(&[3], at(0, &[c(t), v(0)]), &[x]);
                case.map(
                    &[3],
                    mul(at(0, &[v(0)]), mul(lit(t as f64 + 1.0), at(0, &[v(0)]))),
                    &[x_t],
                )
            })
            .collect();
        let pick = |t: usize| at(t, &[v(1)]);
        let chosen = (0..3).fold(pick(3), |rest, t| {
            Expr::Select(
                Relation::Eq,
                Box::new([Expr::Index(v(0)), lit(t as f64), pick(t), rest]),
            )
        });
        case.map(&[4, 3], chosen, &frames)
    });
    let gradient = graph.node(graph.output("g0").unwrap());
    assert!(
        matches!(&gradient.op, Op::Equation(pieces) if pieces.len() == 4),
        "slices side by side: {gradient:?}"
    );
}

#[test]
fn extremes_and_choices() {
    check("max", |case| {
        let x = case.param(&[3, 4]);
        case.reduce(&[3], Reducer::Max, &[4], at(0, &[v(0), v(1)]), &[x])
    });
    check("pool", |case| {
        let x = case.param(&[1, 5]);
        let body = at(0, &[v(0), v(1).scale(2).add(&v(2))]);
        case.reduce(&[1, 2], Reducer::Min, &[3], body, &[x])
    });
    check("var, lse", |case| {
        let x = case.param(&[3, 4]);
        let a = case.reduce(&[3], Reducer::Var, &[4], at(0, &[v(0), v(1)]), &[x]);
        let b = case.reduce(
            &[3],
            Reducer::Lse,
            &[4],
            mul(at(0, &[v(0), v(1)]), at(0, &[v(0), v(1)])),
            &[x],
        );
        case.map(&[3], mul(at(0, &[v(0)]), at(1, &[v(0)])), &[a, b])
    });
    check("relu, abs, clamp", |case| {
        let x = case.param(&[6]);
        let x_i = at(0, &[v(0)]);
        let relu = op(Binary::Max, x_i.clone(), lit(0.0));
        let clamp = op(Binary::Min, f(Unary::Abs, x_i), lit(0.5));
        case.map(&[6], op(Binary::Add, relu, clamp), &[x])
    });
}

/// Ties share evenly, whatever the order.
#[test]
fn ties() {
    let mut graph = Graph::default();
    let mut case = Case {
        b: Builder::new(&mut graph),
        params: vec![],
    };
    let x = case
        .b
        .param("x", Init::Constant(0.25), true, vec![4], Origin::default());
    let y = case.reduce(&[], Reducer::Max, &[4], at(0, &[v(0)]), &[x]);
    let grads = gradients(&mut case.b, y, &[x]);
    case.b.output("g", grads[0].unwrap());
    let values = evaluate(&graph, &Given::default()).unwrap();
    assert_eq!(values.output(&graph, "g").unwrap(), [0.25; 4]);
}

/// Sampling by a computed position: a gather forward, a scatter backward; the offset's gradient through the fraction.
#[test]
fn sampling() {
    let graph = check("sample", |case| {
        let x = case.param(&[2, 6]);
        let u = case.param(&[4]);
        let position = op(Binary::Add, Expr::Index(v(0)), at(0, &[v(0)]));
        let position = case.map(&[4], position, &[u]);
        let floor = case.map(&[4], f(Unary::Floor, at(0, &[v(0)])), &[position]);
        let fraction = sub(at(0, &[v(1)]), at(1, &[v(1)]));
        let corner = |m: Expr| op(Binary::Add, at(1, &[v(1)]), m);
        let read = Expr::Read(Read {
            operand: 2,
            at: vec![
                Pos::Ix(v(0)),
                Pos::Computed(Box::new(corner(Expr::Index(v(2))))),
            ],
            outside: Some(Lit::new(0.0)),
        });
        let m = Expr::Index(v(2));
        let weight = op(
            Binary::Add,
            mul(sub(lit(1.0), m.clone()), sub(lit(1.0), fraction.clone())),
            mul(m, fraction),
        );
        case.reduce(
            &[2, 4],
            Reducer::Sum,
            &[2],
            mul(weight, read),
            &[position, floor, x],
        )
    });
    assert_eq!(anchors(&graph).1, 1);
}

#[test]
fn scatter_forward() {
    check("scatter", |case| {
        let x = case.param(&[5]);
        let place = case
            .b
            .constant(vec![2.0, 0.0, 2.0, 7.0, 1.0], vec![5], Origin::default());
        let body = mul(at(0, &[v(0)]), at(0, &[v(0)]));
        let to = Pos::Computed(Box::new(at(1, &[v(0)])));
        let equation = Equation {
            free: vec![5],
            reduced: vec![],
            reducer: Reducer::Map,
            body,
            guards: vec![],
            write: vec![to],
        };
        case.b
            .scatter(equation, vec![x, place], vec![3], Origin::default())
    });
}

/// A given gradient replaces the derived one, and sees the real cotangent.
#[test]
fn given_gradient() {
    let mut graph = Graph::default();
    let mut case = Case {
        b: Builder::new(&mut graph),
        params: vec![],
    };
    let x = case.param(&[3]);
    let y = case.map(&[3], f(Unary::Floor, at(0, &[v(0)])), &[x]);
    let dy = case.b.input("$dy", vec![3], Origin::default());
    let grad = case.map(&[3], mul(at(0, &[v(0)]), lit(3.0)), &[dy]);
    let custom = case.b.custom(y, vec![x], dy, vec![grad], Origin::default());
    let square = mul(at(0, &[v(0)]), mul(lit(0.5), at(0, &[v(0)])));
    let loss = case.reduce(&[], Reducer::Sum, &[3], square, &[custom]);
    let grads = gradients(&mut case.b, loss, &[x]);
    case.b.output("y", custom);
    case.b.output("g", grads[0].unwrap());
    let graph = optimise(graph, &mut PassManager::default());
    assert!(
        graph
            .ids()
            .all(|id| !matches!(graph.node(id).op, Op::Custom { .. } | Op::Input { .. }))
    );
    let mut given = Given::default();
    given.weights.insert("p0".into(), vec![1.5, -0.5, 2.25]);
    let values = evaluate(&graph, &given).unwrap();
    assert_eq!(values.output(&graph, "y").unwrap(), [1.0, -1.0, 2.0]);
    assert_eq!(values.output(&graph, "g").unwrap(), [3.0, -3.0, 6.0]);
}

#[test]
fn unreached_and_stopped() {
    let mut graph = Graph::default();
    let mut case = Case {
        b: Builder::new(&mut graph),
        params: vec![],
    };
    let (x, other) = (case.param(&[3]), case.param(&[3]));
    let stopped = f(Unary::Stop, at(0, &[v(0)]));
    let loss = case.reduce(&[], Reducer::Sum, &[3], mul(stopped, at(0, &[v(0)])), &[x]);
    let grads = gradients(&mut case.b, loss, &[x, other]);
    assert_eq!(grads[1], None);
    case.b.output("g", grads[0].unwrap());
    let graph = optimise(graph, &mut PassManager::default());
    let values = evaluate(&graph, &Given::default()).unwrap();
    let key = graph.ids().next().unwrap();
    assert_eq!(
        values.output(&graph, "g"),
        values.get(key),
        "d (stop(x)·x) = x"
    );
}

/// Text of forward and backward graphs is `.vsr` without syntax errors, the same each time.
#[test]
fn printed_graphs_parse() {
    let graphs = [
        check("conv", |case| conv(case, 2, 1)),
        check("max", |case| {
            let x = case.param(&[3, 4]);
            case.reduce(
                &[3],
                Reducer::Max,
                &[4],
                f(Unary::Neg, at(0, &[v(0), v(1)])),
                &[x],
            )
        }),
    ];
    for graph in graphs {
        let text = print(&graph);
        let mut problems = Problems::new();
        parse(0, &text, &mut problems);
        assert!(problems.is_empty(), "{text}");
        assert_eq!(text, print(&graph));
    }
}
