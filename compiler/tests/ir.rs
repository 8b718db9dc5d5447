//! The builder shares, folds and sees through; the verifier names what is wrong; simplification keeps values; passes
//! come to rest.
#![allow(clippy::unwrap_used)]

use crate::sema;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use vsr_compiler::equation::eval::{Tensor, eval};
use vsr_compiler::equation::index::Ix;
use vsr_compiler::equation::{Binary, Equation, Expr, Lit, Pos, Read, Reducer, Relation, Unary};
use vsr_compiler::ir::build::{Builder, map};
use vsr_compiler::ir::graph::{Graph, Init, NodeId, Op, Origin};
use vsr_compiler::ir::print::print;
use vsr_compiler::ir::simplify::simplify;
use vsr_compiler::ir::verify::verify;
use vsr_compiler::pass::optimise;
use vsr_compiler::pass_manager::PassManager;
use vsr_compiler::sema::Options;

fn v(i: usize) -> Ix {
    Ix::var(i)
}

fn at(operand: usize, at: &[Ix]) -> Expr {
    let at = at.iter().cloned().map(Pos::Ix).collect();
    Expr::Read(Read {
        operand,
        at,
        outside: None,
    })
}

fn lit(x: f64) -> Expr {
    Expr::Lit(Lit::new(x))
}

fn op(op: Binary, a: Expr, b: Expr) -> Expr {
    Expr::Binary(op, Box::new(a), Box::new(b))
}

fn here() -> Origin {
    Origin {
        path: "block.0".into(),
        name: "y".into(),
        span: None,
    }
}

fn input(b: &mut Builder, shape: &[i64]) -> NodeId {
    b.input("x", shape.to_vec(), here())
}

#[test]
fn equal_equations_are_one_node() {
    let mut graph = Graph::default();
    let mut b = Builder::new(&mut graph);
    let x = input(&mut b, &[3]);
    let square = op(Binary::Mul, at(0, &[v(0)]), at(1, &[v(0)]));
    let once = b.equation(map(&[3], square.clone()), vec![x, x], vec![3], here());
    let again = b.equation(map(&[3], square), vec![x, x], vec![3], Origin::default());
    assert_eq!(once, again);
    assert_eq!(b.graph().node(once).operands, [x]);
    let draw = |b: &mut Builder, key| b.random(key, false, vec![3], here());
    assert_eq!(draw(&mut b, 1), draw(&mut b, 1));
    assert_ne!(draw(&mut b, 1), draw(&mut b, 2));
}

#[test]
fn constants_are_computed() {
    let mut graph = Graph::default();
    let mut b = Builder::new(&mut graph);
    let x = input(&mut b, &[2]);
    let table = b.constant(vec![1.0, 4.0], vec![2], here());
    let root = Expr::Unary(Unary::Sqrt, Box::new(at(0, &[v(0)])));
    let root = b.equation(map(&[2], root), vec![table], vec![2], here());
    assert!(matches!(&b.graph().node(root).op, Op::Const(data) if ***data == [1.0, 2.0]));
    // One everywhere is no operand, and a product with it nothing at all.
    let ones = b.full(1.0, vec![2], here());
    let product = op(Binary::Mul, at(0, &[v(0)]), at(1, &[v(0)]));
    assert_eq!(
        b.equation(map(&[2], product), vec![ones, x], vec![2], here()),
        x
    );
}

#[test]
fn views_are_read_through() {
    let mut graph = Graph::default();
    let mut b = Builder::new(&mut graph);
    let x = input(&mut b, &[3, 4]);
    let transposed = b.equation(
        map(&[4, 3], at(0, &[v(1), v(0)])),
        vec![x],
        vec![4, 3],
        here(),
    );
    let back = b.equation(
        map(&[3, 4], at(0, &[v(1), v(0)])),
        vec![transposed],
        vec![3, 4],
        here(),
    );
    assert_eq!(back, x);
    // Outside of a slice is not outside of what it is a slice of.
    let slice = b.equation(
        map(&[3, 2], at(0, &[v(0), v(1).offset(1)])),
        vec![x],
        vec![3, 2],
        here(),
    );
    let shifted = Read {
        operand: 0,
        at: vec![Pos::Ix(v(0)), Pos::Ix(v(1).offset(-1))],
        outside: Some(Lit::new(0.0)),
    };
    let padded = b.equation(
        map(&[3, 4], Expr::Read(shifted)),
        vec![slice],
        vec![3, 4],
        here(),
    );
    let needs = b.graph().ancestors(&[padded]);
    assert!(needs[slice.index()], "{}", print(&graph));
}

#[test]
fn work_over_a_shuffle_reads_its_source() {
    let mut graph = Graph::default();
    let mut b = Builder::new(&mut graph);
    let x = input(&mut b, &[4, 3]);
    let fine = [v(0).rem(4), v(0).div(4)];
    let fine = b.equation(map(&[12], at(0, &fine)), vec![x], vec![12], here());
    let body = op(Binary::Max, at(0, &[v(0)]), lit(0.0));
    let relu = b.equation(map(&[12], body), vec![fine], vec![12], here());
    assert_eq!(b.graph().node(relu).operands, [x]);
    assert!(matches!(&b.graph().node(relu).op, Op::Equation(pieces) if pieces.len() == 1));
}

/// A flawed graph, and what the verifier says.
fn flaw(build: impl FnOnce(&mut Graph, NodeId) -> NodeId) -> String {
    let mut graph = Graph::default();
    let x = graph.add(Op::Input { name: "x".into() }, vec![], vec![4], here());
    build(&mut graph, x);
    verify(&graph).unwrap_err().to_string()
}

fn equation(graph: &mut Graph, pieces: Vec<Equation>, operands: Vec<NodeId>) -> NodeId {
    let pieces = pieces.into_iter().map(Arc::new).collect();
    graph.add(Op::Equation(pieces), operands, vec![4], here())
}

#[test]
fn flaws_are_named() {
    let beyond = flaw(|g, x| equation(g, vec![map(&[4], at(0, &[v(0).offset(1)]))], vec![x]));
    assert_eq!(
        beyond,
        "node 1 (block.0 y): operand 0 axis 0 of 4 is read at 1..5"
    );
    let unbound = flaw(|g, x| equation(g, vec![map(&[4], at(0, &[v(1)]))], vec![x]));
    assert_eq!(unbound, "node 1 (block.0 y): index 1 is not bound");
    let missing = flaw(|g, x| equation(g, vec![map(&[4], at(1, &[v(0)]))], vec![x]));
    assert_eq!(missing, "node 1 (block.0 y): reads operand 1 of 1");
    let axes = flaw(|g, x| equation(g, vec![map(&[4], at(0, &[]))], vec![x]));
    assert_eq!(
        axes,
        "node 1 (block.0 y): reads 0 axes of operand 0, which has [4]"
    );
    let twice = flaw(|g, x| equation(g, vec![map(&[4], at(0, &[v(0)])); 2], vec![x]));
    assert_eq!(twice, "node 1 (block.0 y): two pieces write the same cells");
    let wide = flaw(|g, _| equation(g, vec![map(&[5], lit(1.0))], vec![]));
    assert_eq!(wide, "node 1 (block.0 y): axis 0 of 4 is written at 0..5");
    let target = flaw(|g, x| g.add(Op::Update, vec![x, x], vec![4], here()));
    assert_eq!(
        target,
        "node 1 (block.0 y): updates neither a parameter nor a state"
    );
    let order = flaw(|g, _| equation(g, vec![map(&[4], at(0, &[v(0)]))], vec![NodeId::from(1)]));
    assert_eq!(order, "node 1 (block.0 y): reads node 1, which comes later");
    let filled = flaw(|g, _| g.add(Op::Const(Arc::new(vec![0.0])), vec![], vec![4], here()));
    assert_eq!(filled, "node 1 (block.0 y): 1 values for shape [4]");
    let ok = Op::Param {
        key: "w".into(),
        init: Init::Required,
        trained: true,
    };
    let mut graph = Graph::default();
    graph.add(ok, vec![], vec![2], here());
    assert_eq!(verify(&graph), Ok(()));
}

#[test]
fn passes_come_to_rest() {
    let set = [("depth", "3"), ("B", "2"), ("H", "16"), ("W", "16")];
    let set = set.map(|(k, v)| (k.to_string(), v.to_string())).to_vec();
    let options = Options {
        set,
        ..Options::default()
    };
    let made = sema::model("models/vdsr.vsr", &options);
    for entry in made.entries {
        let once = optimise(entry.graph, &mut PassManager::default());
        let text = print(&once);
        assert_eq!(
            text,
            print(&optimise(once, &mut PassManager::default())),
            "{}",
            entry.name
        );
    }
}

fn leaf() -> impl Strategy<Value = Expr> {
    prop_oneof![
        (0usize..2).prop_map(|operand| at(operand, &[v(0)])),
        prop::sample::select(vec![-2.0, -1.0, 0.0, 0.5, 1.0, 2.0, 3.0]).prop_map(lit),
        Just(Expr::Index(v(0))),
        Just(Expr::Index(Ix::constant(0))),
    ]
}

/// A divisor: what a zero divides is not kept.
fn positive(e: Expr) -> Expr {
    op(Binary::Add, lit(1.0), op(Binary::Mul, e.clone(), e))
}

fn scalar() -> impl Strategy<Value = Expr> {
    leaf().prop_recursive(4, 24, 4, |inner| {
        let unary = prop::sample::select(vec![
            Unary::Neg,
            Unary::Abs,
            Unary::Floor,
            Unary::Tanh,
            Unary::Stop,
        ]);
        let binary = prop::sample::select(vec![
            Binary::Add,
            Binary::Sub,
            Binary::Mul,
            Binary::Div,
            Binary::Min,
            Binary::Max,
        ]);
        let relation = prop::sample::select(vec![Relation::Lt, Relation::Ge, Relation::Eq]);
        prop_oneof![
            (unary, inner.clone()).prop_map(|(f, a)| Expr::Unary(f, Box::new(a))),
            (binary, inner.clone(), inner.clone()).prop_map(|(f, a, b)| op(
                f,
                a,
                if f == Binary::Div { positive(b) } else { b }
            )),
            (inner.clone()).prop_map(|a| op(Binary::Pow, a, lit(2.0))),
            (relation, prop::array::uniform4(inner))
                .prop_map(|(r, args)| Expr::Select(r, Box::new(args))),
        ]
    })
}

fn values(body: Expr) -> Vec<f64> {
    let data = |x: &[f64]| Tensor {
        shape: vec![x.len() as i64],
        data: x.to_vec(),
    };
    let (a, b) = (data(&[0.3, -1.7, 2.5]), data(&[-0.9, 1.1, 0.4]));
    eval(&[map(&[3], body)], &[&a, &b], &[3]).data
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, rng_seed: RngSeed::Fixed(7), ..ProptestConfig::default() })]

    /// Where the expression has a value, the simple one has the same.
    #[test]
    fn simplification_keeps_values(e in scalar()) {
        for (before, after) in values(e.clone()).into_iter().zip(values(simplify(&e))) {
            if before.is_finite() {
                prop_assert!((before - after).abs() <= 1e-9 * (1.0 + before.abs()), "{before} became {after}");
            }
        }
    }
}

#[test]
fn a_reducer_of_nothing_is_nothing() {
    let mut graph = Graph::default();
    let mut b = Builder::new(&mut graph);
    let x = input(&mut b, &[3]);
    let zero = Equation {
        free: vec![],
        reduced: vec![3],
        reducer: Reducer::Sum,
        body: op(Binary::Mul, lit(0.0), at(0, &[v(0)])),
        guards: vec![],
        write: vec![],
    };
    let id = b.equation(zero, vec![x], vec![], here());
    assert_eq!(b.uniform(id), Some(0.0));
}
