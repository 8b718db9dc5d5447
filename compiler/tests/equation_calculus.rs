//! The calculus against the oracle: canonical pieces mean what the equation meant, and gather-form adjoints equal the
//! scatter form they were solved from.

use vsr_compiler::equation::adjoint::{Source, adjoint};
use vsr_compiler::equation::canon::canonicalise;
use vsr_compiler::equation::eval::{Hooks, Tensor, eval, scatter};
use vsr_compiler::equation::index::Ix;
use vsr_compiler::equation::{
    Binary, Equation, Expr, Guard, Lit, Pos, Read, Reducer, Relation, Unary,
};

fn lit(value: f64) -> Expr {
    Expr::lit(value)
}

fn unary(op: Unary, a: Expr) -> Expr {
    Expr::Unary(op, Box::new(a))
}

fn binary(op: Binary, a: Expr, b: Expr) -> Expr {
    Expr::Binary(op, Box::new(a), Box::new(b))
}

fn select(relation: Relation, a: Expr, b: Expr, then: Expr, other: Expr) -> Expr {
    Expr::Select(relation, Box::new([a, b, then, other]))
}

struct Case {
    name: String,
    equation: Equation,
    shapes: Vec<Vec<i64>>,
    out: Vec<i64>,
}

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

fn mul(a: Expr, b: Expr) -> Expr {
    binary(Binary::Mul, a, b)
}

fn case(
    name: &str,
    free: &[i64],
    reduced: &[i64],
    reducer: Reducer,
    body: Expr,
    shapes: &[&[i64]],
) -> Case {
    let equation = Equation {
        free: free.to_vec(),
        reduced: reduced.to_vec(),
        reducer,
        body,
        guards: vec![],
        write: (0..free.len()).map(|i| Pos::Ix(v(i))).collect(),
    };
    Case {
        name: name.into(),
        equation,
        shapes: shapes.iter().map(|s| s.to_vec()).collect(),
        out: free.to_vec(),
    }
}

/// y[b,o,i] = sum[c,p] k[o,c,p]*x[b, o//(O/g)*I + c, i*s + p*d - pad]
fn conv(s: i64, pad: i64, d: i64, groups: i64, p: i64, n: i64) -> Case {
    let (b, o, i) = (2, 4, 4 / groups);
    let m = (n + 2 * pad - d * (p - 1) - 1) / s + 1;
    let channel = v(1).div(o / groups).scale(i).add(&v(3));
    let at = v(2).scale(s).add(&v(4).scale(d)).offset(-pad);
    let body = mul(
        read(0, &[v(1), v(3), v(4)], None),
        read(1, &[v(0), channel, at], Some(0.0)),
    );
    let name = format!("conv stride {s} pad {pad} dilation {d} groups {groups} taps {p} of {n}");
    case(
        &name,
        &[b, o, m],
        &[i, p],
        Reducer::Sum,
        body,
        &[&[o, i, p], &[b, 4, n]],
    )
}

/// y[o,i] = sum[c,j] x[c,j]*k[c,o,i + pad - s*j]
fn transposed(s: i64, pad: i64, p: i64, n: i64) -> Case {
    let m = (n - 1) * s + p - 2 * pad;
    let tap = v(1).offset(pad).sub(&v(3).scale(s));
    let body = mul(
        read(0, &[v(2), v(3)], None),
        read(1, &[v(2), v(0), tap], Some(0.0)),
    );
    case(
        &format!("transposed stride {s} pad {pad}"),
        &[3, m],
        &[2, n],
        Reducer::Sum,
        body,
        &[&[2, n], &[2, 3, p]],
    )
}

fn shuffle(s: i64) -> Case {
    let at = [
        v(0).scale(s * s)
            .add(&v(1).rem(s).scale(s))
            .add(&v(2).rem(s)),
        v(1).div(s),
        v(2).div(s),
    ];
    case(
        "pixel shuffle",
        &[2, 3 * s, 4 * s],
        &[],
        Reducer::Map,
        read(0, &at, None),
        &[&[2 * s * s, 3, 4]],
    )
}

fn group_stats(reducer: Reducer) -> Case {
    let at = [v(0).scale(3).add(&v(1)), v(2)];
    case(
        "group statistics",
        &[2],
        &[3, 5],
        reducer,
        read(0, &at, None),
        &[&[6, 5]],
    )
}

fn cases() -> Vec<Case> {
    let mut list = vec![];
    for (s, pad, d, g, p, n) in [
        (1, 1, 1, 1, 3, 6),
        (2, 1, 1, 1, 3, 8),
        (2, 0, 1, 1, 3, 7),
        (3, 1, 1, 1, 3, 9),
        (2, 3, 3, 1, 3, 10),
        (4, 0, 1, 1, 4, 8),
        (1, 2, 2, 2, 3, 7),
        (2, 1, 1, 4, 3, 8),
        (3, 2, 2, 1, 5, 12),
        (2, 2, 1, 1, 5, 9),
    ] {
        list.push(conv(s, pad, d, g, p, n));
    }
    for (s, pad, p, n) in [(2, 1, 4, 5), (2, 0, 2, 4), (3, 1, 5, 4), (1, 1, 3, 5)] {
        list.push(transposed(s, pad, p, n));
    }
    list.extend([shuffle(2), shuffle(3)]);
    list.extend(
        [
            Reducer::Sum,
            Reducer::Lse,
            Reducer::Var,
            Reducer::Max,
            Reducer::Min,
        ]
        .map(group_stats),
    );
    // reflect padding by 2, with a condition on one index
    let at = select(
        Relation::Lt,
        Expr::Index(v(0)),
        lit(2.0),
        read(0, &[v(0).scale(-1).offset(2)], Some(0.0)),
        read(0, &[v(0).offset(-2)], Some(0.0)),
    );
    list.push(case("reflect", &[8], &[], Reducer::Map, at, &[&[6]]));
    // overlapping max pool
    list.push(case(
        "pool",
        &[4],
        &[3],
        Reducer::Max,
        read(0, &[v(0).scale(2).add(&v(1))], None),
        &[&[9]],
    ));
    // y = x/(1 + x²) + sqrt(exp(x))
    let x = || read(0, &[v(0)], None);
    let a = binary(
        Binary::Div,
        x(),
        binary(Binary::Add, lit(1.0), binary(Binary::Pow, x(), lit(2.0))),
    );
    let b = unary(Unary::Sqrt, unary(Unary::Exp, unary(Unary::Tanh, x())));
    list.push(case(
        "pointwise",
        &[7],
        &[],
        Reducer::Map,
        binary(Binary::Add, a, b),
        &[&[7]],
    ));
    // reshape [3, 8] to [4, 6]
    let flat = v(0).scale(6).add(&v(1));
    list.push(case(
        "reshape",
        &[4, 6],
        &[],
        Reducer::Map,
        read(0, &[flat.div(8), flat.rem(8)], None),
        &[&[3, 8]],
    ));
    // causal: two indices in a guard
    let mut causal = case(
        "causal",
        &[5],
        &[5],
        Reducer::Sum,
        mul(read(0, &[v(1)], None), read(1, &[v(0), v(1)], None)),
        &[&[5], &[5, 5]],
    );
    causal.equation.guards.push(Guard {
        index: v(0).sub(&v(1)),
        extent: 5,
    });
    list.push(causal);
    list
}

fn tensors(shapes: &[Vec<i64>]) -> Vec<Tensor> {
    let mut state = 12345u64;
    let mut next = || {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        ((state >> 33) % 2000) as f64 / 1000.0 - 1.0
    };
    let tensor = |s: &Vec<i64>| Tensor {
        shape: s.clone(),
        data: (0..s.iter().product::<i64>()).map(|_| next()).collect(),
    };
    shapes.iter().map(tensor).collect::<Vec<_>>()
}

fn close(a: &Tensor, b: &Tensor, what: &str) {
    assert_eq!(a.shape, b.shape, "{what}");
    for (i, (x, y)) in a.data.iter().zip(&b.data).enumerate() {
        assert!(
            (x - y).abs() < 1e-9 * (1.0 + y.abs()),
            "{what}: element {i} is {x}, not {y}"
        );
    }
}

#[test]
fn canonical_pieces_keep_the_meaning_and_are_affine() {
    for c in cases() {
        let operands = tensors(&c.shapes);
        let refs: Vec<&Tensor> = operands.iter().collect();
        let shapes: Vec<&[i64]> = c.shapes.iter().map(|s| s.as_slice()).collect();
        let pieces = canonicalise(&c.equation, &shapes, &c.out).pieces;
        let mut affine = true;
        pieces
            .iter()
            .for_each(|p| p.for_each_position(&mut |ix| affine &= ix.is_affine()));
        assert!(affine, "{}", c.name);
        close(
            &eval(&pieces, &refs, &c.out),
            &eval(&[c.equation], &refs, &c.out),
            &c.name,
        );
    }
}

/// Gradients by central differences of sum(y·dy).
fn numeric(c: &Case, operands: &[Tensor], dy: &Tensor, which: usize) -> Tensor {
    let h = 1e-6;
    let mut g = Tensor::zeros(&c.shapes[which]);
    for i in 0..g.data.len() {
        let value = |d: f64| {
            let mut moved = operands.to_vec();
            moved[which].data[i] += d;
            let refs: Vec<&Tensor> = moved.iter().collect();
            let y = eval(std::slice::from_ref(&c.equation), &refs, &c.out);
            y.data.iter().zip(&dy.data).map(|(a, b)| a * b).sum::<f64>()
        };
        g.data[i] = (value(h) - value(-h)) / (2.0 * h);
    }
    g
}

#[test]
fn adjoints_are_gathers_and_equal_finite_differences() {
    for c in cases() {
        let operands = tensors(&c.shapes);
        let refs: Vec<&Tensor> = operands.iter().collect();
        let shapes: Vec<&[i64]> = c.shapes.iter().map(|s| s.as_slice()).collect();
        let y = eval(std::slice::from_ref(&c.equation), &refs, &c.out);
        let dy = tensors(&[c.out.clone(), c.out.clone()]).remove(1);
        let mut gradients: Vec<Tensor> = c.shapes.iter().map(|s| Tensor::zeros(s)).collect();
        for piece in canonicalise(&c.equation, &shapes, &c.out).pieces {
            let adjoint = adjoint(&piece, &shapes, &c.out);
            let mut before = vec![];
            let pick = |s: &Source, before: &[Tensor]| match s {
                Source::Operand(i) => operands[*i].clone(),
                Source::Value => y.clone(),
                Source::Cotangent => dy.clone(),
                Source::Before(i) => before[*i].clone(),
            };
            for h in &adjoint.before {
                let list: Vec<Tensor> = h.operands.iter().map(|s| pick(s, &before)).collect();
                let refs: Vec<&Tensor> = list.iter().collect();
                before.push(eval(&h.pieces, &refs, &h.shape));
            }
            for part in &adjoint.parts {
                let list: Vec<Tensor> = part.operands.iter().map(|s| pick(s, &before)).collect();
                let refs: Vec<&Tensor> = list.iter().collect();
                let shape = &c.shapes[part.operand];
                let g = match part.scatter {
                    true => scatter(&part.pieces[0], &refs, shape, Hooks::new(&|_, _, _| 0.0)),
                    false => eval(&part.pieces, &refs, shape),
                };
                assert!(!part.scatter, "{} scatters", c.name);
                let sum = &mut gradients[part.operand];
                sum.data.iter_mut().zip(&g.data).for_each(|(a, b)| *a += b);
            }
        }
        for (i, g) in gradients.iter().enumerate() {
            let expected = numeric(&c, &operands, &dy, i);
            for (j, (a, b)) in g.data.iter().zip(&expected.data).enumerate() {
                assert!(
                    (a - b).abs() < 1e-6 * (1.0 + b.abs()),
                    "{} operand {i} element {j}: {a}, numeric {b}",
                    c.name
                );
            }
        }
    }
}
