//! One kernel for each form of loop nest.

use super::harness::{check, kernel, values};
use crate::equation::{Binary, Lit, Relation, Unary};
use crate::tile::BufferKind::{In, InOut};
use crate::tile::interpret::Data;
use crate::tile::{
    Bound, Compute, Int, Kernel, Mode, Reduce, ReduceOp, Stmt, Tile, TileKind, To, Val, Var,
    parse_kernel,
};

pub fn c(v: i64) -> Int {
    Int::Const(v)
}
pub fn v(var: Var) -> Int {
    Int::Var(var)
}
pub fn add(a: Int, b: Int) -> Int {
    Int::Add(Box::new(a), Box::new(b))
}
pub fn sub(a: Int, b: Int) -> Int {
    Int::Sub(Box::new(a), Box::new(b))
}
pub fn mul(a: Int, b: Int) -> Int {
    Int::Mul(Box::new(a), Box::new(b))
}
pub fn lit(x: f64) -> Val {
    Val::Lit(Lit::new(x))
}
pub fn bin(op: Binary, a: Val, b: Val) -> Val {
    Val::Binary(op, Box::new(a), Box::new(b))
}
pub fn un(op: Unary, a: Val) -> Val {
    Val::Unary(op, Box::new(a))
}
pub fn bound(index: Int, extent: i64) -> Bound {
    Bound {
        index,
        extent: c(extent),
    }
}

pub fn map(dims: &[(Var, i64)], value: Val, to: To, at: Int) -> Compute {
    let dims = dims.iter().map(|(v, e)| (*v, c(*e))).collect();
    Compute {
        dims,
        reduce: None,
        value,
        to,
        at,
        bounds: vec![],
        mode: Mode::Store,
    }
}

pub fn reduction(
    dims: &[(Var, i64)],
    reduced: &[(Var, i64)],
    op: ReduceOp,
    lanes: u8,
    value: Val,
    at: Int,
) -> Compute {
    let list = |d: &[(Var, i64)]| d.iter().map(|(v, e)| (*v, c(*e))).collect();
    let reduce = Some(Reduce {
        dims: list(reduced),
        op,
        lanes,
    });
    Compute {
        dims: list(dims),
        reduce,
        value,
        to: To::Buf(1),
        at,
        bounds: vec![],
        mode: Mode::Store,
    }
}

pub fn single(name: &str, compute: Compute) -> Kernel {
    let mut k = kernel(name, &[In, InOut, In]);
    k.body.push(Stmt::Compute(compute));
    k
}

pub fn run(k: &Kernel, len: usize, tolerance: f32) {
    check(
        k,
        &[],
        &[values(len, 1), values(len, 2), values(len, 3)],
        tolerance,
    );
}

/// A kernel of these tests, which has no errors.
pub fn parsed(text: &str) -> Kernel {
    parse_kernel(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

#[test]
fn pointwise_of_every_length() {
    for n in [1, 3, 4, 5, 8, 15, 16, 17, 31, 64, 77] {
        let x = Val::Buf(0, v(0));
        let y = bin(
            Binary::Max,
            bin(Binary::Mul, x.clone(), lit(1.5)),
            bin(Binary::Sub, Val::Buf(2, v(0)), Val::Buf(2, c(3))),
        );
        let y = bin(
            Binary::Div,
            y,
            bin(Binary::Add, un(Unary::Abs, x.clone()), lit(0.25)),
        );
        let y = bin(
            Binary::Min,
            y,
            un(
                Unary::Sqrt,
                un(Unary::Abs, un(Unary::Floor, un(Unary::Neg, x))),
            ),
        );
        run(
            &single("pointwise", map(&[(0, n)], y, To::Buf(1), v(0))),
            128,
            0.0,
        );
    }
}

#[test]
fn select_and_indices_as_numbers() {
    for n in [7, 32] {
        let i = add(mul(v(0), c(n)), v(1));
        let a = Val::FromInt(add(mul(v(1), c(3)), sub(v(0), c(5))));
        let rem = Val::FromInt(Int::Rem(Box::new(v(1)), Box::new(c(3))));
        let y = Val::Select(
            Relation::Lt,
            Box::new([Val::Buf(0, i.clone()), lit(0.0), a, rem]),
        );
        run(
            &single("select", map(&[(0, 4), (1, n)], y, To::Buf(1), i)),
            160,
            0.0,
        );
    }
}

#[test]
fn maths_in_chunks() {
    for n in [5, 64, 513, 1100] {
        let x = Val::Buf(0, v(0));
        let silu = bin(
            Binary::Div,
            x.clone(),
            bin(
                Binary::Add,
                lit(1.0),
                un(Unary::Exp, un(Unary::Neg, x.clone())),
            ),
        );
        let nested = un(
            Unary::Tanh,
            un(
                Unary::Sin,
                bin(Binary::Mul, silu.clone(), un(Unary::Cos, x.clone())),
            ),
        );
        let power = bin(
            Binary::Pow,
            un(Unary::Abs, x.clone()),
            bin(Binary::Add, un(Unary::Erf, x.clone()), lit(1.5)),
        );
        let half = |v: Val| bin(Binary::Mul, lit(0.5), v);
        let sigmoid = bin(
            Binary::Add,
            lit(0.5),
            half(un(Unary::Tanh, half(x.clone()))),
        );
        let log = un(Unary::Log, bin(Binary::Add, lit(2.5), Val::Buf(2, c(4))));
        let y = [nested, power, sigmoid, log, silu]
            .into_iter()
            .reduce(|a, b| bin(Binary::Add, a, b));
        run(
            &single(
                "maths",
                map(&[(0, n)], y.expect("not empty"), To::Buf(1), v(0)),
            ),
            1104,
            1e-5,
        );
    }
}

#[test]
fn guards_of_outer_and_inner_indices() {
    for (h, w) in [(5, 6), (7, 21)] {
        let at = |di: i64, dj: i64| {
            let (i, j) = (add(v(0), c(di)), add(v(1), c(dj)));
            let read = Val::Buf(0, add(mul(i.clone(), c(w)), j.clone()));
            Val::Guarded(
                vec![bound(i, h), bound(j, w)],
                Box::new(read),
                Lit::new(0.5),
            )
        };
        let sum = [at(-1, 0), at(1, -1), at(0, 2), at(-2, 1)]
            .into_iter()
            .reduce(|a, b| bin(Binary::Add, a, b));
        let place = add(mul(v(0), c(w)), v(1));
        run(
            &single(
                "guards",
                map(
                    &[(0, h), (1, w)],
                    sum.expect("not empty"),
                    To::Buf(1),
                    place,
                ),
            ),
            (h * w) as usize,
            0.0,
        );
        let outer = |d: i64| {
            let i = add(v(0), c(d));
            Val::Guarded(
                vec![bound(i.clone(), h)],
                Box::new(Val::Buf(0, add(mul(i, c(w)), v(1)))),
                Lit::new(-1.0),
            )
        };
        let place = add(mul(v(0), c(w)), v(1));
        let y = bin(Binary::Sub, outer(-1), outer(2));
        run(
            &single("outer", map(&[(0, h), (1, w)], y, To::Buf(1), place)),
            (h * w) as usize,
            0.0,
        );
    }
}

#[test]
fn guards_on_strided_and_reversed_indices() {
    for k in [2, 3, -1, -2] {
        let n = 37;
        let index = add(mul(v(0), c(k)), c(if k < 0 { 40 } else { -5 }));
        let y = Val::Guarded(
            vec![bound(index.clone(), n)],
            Box::new(Val::Buf(0, index)),
            Lit::new(9.0),
        );
        run(
            &single("strided", map(&[(0, n)], y, To::Buf(1), v(0))),
            64,
            0.0,
        );
    }
    let odd = Int::Rem(Box::new(v(0)), Box::new(c(5)));
    let y = Val::Guarded(
        vec![bound(sub(odd, c(1)), 3)],
        Box::new(Val::Buf(0, v(0))),
        Lit::new(9.0),
    );
    run(
        &single("periodic", map(&[(0, 37)], y, To::Buf(1), v(0))),
        64,
        0.0,
    );
}

#[test]
fn gathers() {
    let n = 27;
    let far = Int::Floor(Box::new(bin(
        Binary::Mul,
        lit(8.0),
        un(Unary::Abs, Val::Buf(2, v(0))),
    )));
    let clamped = Int::Max(
        Box::new(c(0)),
        Box::new(Int::Min(
            Box::new(add(far.clone(), c(1))),
            Box::new(c(n - 1)),
        )),
    );
    let guarded = Val::Guarded(
        vec![bound(sub(far.clone(), c(3)), n)],
        Box::new(Val::Buf(0, sub(far, c(3)))),
        Lit::new(0.0),
    );
    let y = bin(Binary::Add, Val::Buf(0, clamped), guarded);
    run(
        &single("gather", map(&[(0, n)], y, To::Buf(1), v(0))),
        32,
        0.0,
    );
    let halves = Val::Buf(0, Int::Div(Box::new(sub(v(0), c(0))), Box::new(c(3))));
    run(
        &single("thirds", map(&[(0, n)], halves, To::Buf(1), v(0))),
        32,
        0.0,
    );
    let transposed = Val::Buf(0, add(mul(v(1), c(6)), v(0)));
    run(
        &single(
            "transpose",
            map(
                &[(0, 6), (1, 13)],
                transposed,
                To::Buf(1),
                add(mul(v(0), c(13)), v(1)),
            ),
        ),
        80,
        0.0,
    );
}

#[test]
fn skipped_points_and_strided_stores() {
    let mut k = map(
        &[(0, 6), (1, 20)],
        Val::Buf(0, add(mul(v(0), c(20)), v(1))),
        To::Buf(1),
        add(mul(v(0), c(20)), v(1)),
    );
    k.bounds = vec![
        bound(sub(v(0), c(1)), 4),
        bound(sub(mul(v(1), c(2)), c(3)), 30),
    ];
    run(&single("skipped", k.clone()), 128, 0.0);
    k.bounds = vec![bound(
        sub(Int::Rem(Box::new(add(v(0), v(1))), Box::new(c(4))), c(1)),
        2,
    )];
    run(&single("checkered", k.clone()), 128, 0.0);
    k.bounds.clear();
    k.at = add(v(0), mul(v(1), c(6)));
    run(&single("strided store", k), 128, 0.0);
}

#[test]
fn modes_combine_with_what_is_there() {
    for mode in [Mode::Add, Mode::Max, Mode::Min, Mode::NonTemporal] {
        let mut k = map(
            &[(0, 3), (1, 22)],
            Val::Buf(0, add(mul(v(0), c(22)), v(1))),
            To::Buf(1),
            v(1),
        );
        k.mode = mode;
        run(&single("mode", k.clone()), 80, 0.0);
        k.at = c(5);
        run(&single("mode, one cell", k), 80, 0.0);
    }
}

#[test]
fn reductions_along_columns() {
    for n in [3, 16, 50, 131] {
        for op in [ReduceOp::Sum, ReduceOp::Max, ReduceOp::Min] {
            let x = Val::Buf(0, add(mul(v(2), c(n)), v(1)));
            let y = bin(Binary::Mul, x.clone(), Val::Buf(2, v(2)));
            run(
                &single("columns", reduction(&[(1, n)], &[(2, 9)], op, 1, y, v(1))),
                1300,
                0.0,
            );
            let y = un(Unary::Exp, bin(Binary::Sub, x, Val::Buf(2, v(1))));
            run(
                &single(
                    "columns of maths",
                    reduction(&[(1, n)], &[(2, 9)], op, 1, y, v(1)),
                ),
                1300,
                2e-5,
            );
        }
    }
}

#[test]
fn reductions_along_lanes() {
    for n in [1, 15, 16, 40, 1030] {
        for (op, lanes) in [
            (ReduceOp::Sum, 16),
            (ReduceOp::Max, 16),
            (ReduceOp::Sum, 32),
            (ReduceOp::Max, 32),
        ] {
            let x = Val::Buf(0, add(mul(v(0), c(n)), v(2)));
            run(
                &single(
                    "lanes",
                    reduction(&[(0, 3)], &[(2, n)], op, lanes, x.clone(), v(0)),
                ),
                3100,
                0.0,
            );
            let two = Val::Buf(0, add(mul(v(3), c(n)), v(2)));
            run(
                &single(
                    "two loops",
                    reduction(&[], &[(3, 3), (2, n)], op, lanes, two, c(7)),
                ),
                3100,
                0.0,
            );
            let y = un(Unary::Exp, bin(Binary::Sub, x, Val::Buf(2, v(0))));
            run(
                &single(
                    "lanes of maths",
                    reduction(&[(0, 3)], &[(2, n)], op, lanes, y, v(0)),
                ),
                3100,
                1e-4,
            );
        }
    }
}

#[test]
fn chains_and_left_out_elements() {
    let x = Val::Buf(0, add(mul(v(0), c(30)), v(2)));
    run(
        &single(
            "chain",
            reduction(
                &[(0, 3)],
                &[(2, 30)],
                ReduceOp::Sum,
                1,
                x.clone(),
                mul(v(0), c(2)),
            ),
        ),
        128,
        0.0,
    );
    let maths = un(Unary::Exp, x.clone());
    run(
        &single(
            "chain of maths",
            reduction(
                &[(0, 3)],
                &[(2, 30)],
                ReduceOp::Sum,
                1,
                maths,
                mul(v(0), c(2)),
            ),
        ),
        128,
        1e-5,
    );
    for lanes in [1, 16, 32] {
        let mut k = reduction(
            &[(0, 3)],
            &[(2, 30)],
            ReduceOp::Sum,
            lanes,
            x.clone(),
            mul(v(0), c(2)),
        );
        k.bounds = vec![bound(sub(v(2), c(4)), 21), bound(v(0), 2)];
        run(&single("left out", k), 128, 0.0);
    }
    let window = Val::Buf(0, add(v(1), sub(v(2), c(2))));
    for n in [6, 45] {
        let mut k = reduction(&[(1, n)], &[(2, 5)], ReduceOp::Max, 1, window.clone(), v(1));
        k.bounds = vec![bound(add(v(1), sub(v(2), c(2))), n)];
        run(&single("window", k), 64, 0.0);
    }
}

#[test]
fn loops_tiles_and_conditions() {
    let k = parsed(
        "kernel loops {
           in b0
           inout b1
           in b2
           tile t0: f32[24]
           task v0 in 0..5 by 2
           task v1 in 0..2 by 1
           for v2 in 0..4 by 3 {
             let v3 = v0+v1
             t0[v4] = (b0[v2*24+v4] + f32(v3)) for v4:24
             if 0<=v3<5 {
               b1[(v0*2+v1)*24+v5] = (t0[v5] * t0[3]) for v5:24
             }
           }
         }",
    );
    run(&k, 256, 0.0);
}

/// Calls that scale or shift their elements, write where the statement does, and leave sums for the next one.
#[test]
fn calls_read_and_write_in_place() {
    let two = || Val::Buf(2, c(1));
    let x = || Val::Buf(0, v(1));
    let arguments = [
        bin(Binary::Sub, x(), two()),
        bin(Binary::Sub, two(), x()),
        bin(Binary::Add, two(), x()),
        bin(Binary::Mul, x(), lit(0.5)),
        un(Unary::Neg, x()),
        x(),
        bin(Binary::Mul, x(), Val::Buf(2, v(1))),
    ];
    for (argument, n) in arguments.iter().flat_map(|a| [(a, 5), (a, 64), (a, 1100)]) {
        let mut k = single(
            "in place",
            map(
                &[(1, n)],
                un(Unary::Exp, argument.clone()),
                To::Tile(0),
                v(1),
            ),
        );
        k.tiles.push(Tile {
            name: "t".into(),
            kind: TileKind::F32,
            len: n,
        });
        let sum = |lanes| {
            reduction(
                &[],
                &[(2, n)],
                ReduceOp::Sum,
                lanes,
                Val::Tile(0, v(2)),
                c(0),
            )
        };
        let mut out = map(
            &[(3, n)],
            bin(Binary::Mul, Val::Tile(0, v(3)), Val::Buf(1, c(0))),
            To::Buf(1),
            add(v(3), c(1)),
        );
        out.mode = Mode::NonTemporal;
        for lanes in [1, 16, 32] {
            let mut k = k.clone();
            k.body.extend([sum(lanes), out.clone()].map(Stmt::Compute));
            run(&k, 1200, 2e-5);
        }
    }
}

/// A call may not write where later elements are read.
#[test]
fn a_shifted_row_is_not_overwritten_before_it_is_read() {
    let y = un(Unary::Exp, Val::Buf(1, add(v(0), c(3))));
    run(
        &single("shifted", map(&[(0, 90)], y, To::Buf(1), v(0))),
        128,
        2e-5,
    );
}

#[test]
fn random_numbers() {
    for scale in [1, 3] {
        let at = add(mul(v(0), c(700)), mul(v(1), c(scale)));
        let y = bin(
            Binary::Mul,
            Val::Random {
                key: 77,
                normal: scale == 3,
                at,
            },
            Val::Buf(0, v(1)),
        );
        run(
            &single(
                "random",
                map(
                    &[(0, 2), (1, 600)],
                    y,
                    To::Buf(1),
                    add(mul(v(0), c(600)), v(1)),
                ),
            ),
            1200,
            0.0,
        );
    }
}

#[test]
fn contraction_of_rows() {
    // y[b, i, j, o] = silu(bias[o] + sum[t, k] x[b, i + t, j, k] * w[t, k, o]), written by row tiles of 8.
    let (b, h, w, k, o) = (2, 3, 5, 4, 40);
    let rows = b * h * w;
    let kernel = parsed(
        "kernel contract {
           in b0  # x
           out b1  # y
           in b2  # w
           table b3  # taps
           in b4  # bias
           tile t0: f32[320]  # c
           tile t1: i64[8]  # rows
           task v0 in 0..30 by 8
           rows t1[0..8] = (v7*4+v6)*20+v5*4 with v5:5,v6:3,v7:2 of v0
           contract t0[0; min(8,30-v0):40,40:1] = b4[0] + sum[2 of b3[0], k:4] b0[t1[0]+0+k*1] * b2[0+k*32, panel 256]
           b1[(v0+v8)*40+v9] = (t0[v8*40+v9] * (1 / (exp(neg(t0[v8*40+v9])) + 1))) for v8:min(8,30-v0),v9:40
         }",
    );
    let table = Data::Table(vec![0, 0, w * k, k * 32]);
    let x = values((b * (h + 1) * w * k) as usize, 1);
    check(
        &kernel,
        &[],
        &[
            x,
            values((rows * o) as usize, 2),
            values((2 * 2 * k * 32) as usize, 3),
            table,
            values(40, 5),
        ],
        1e-5,
    );
}

#[test]
fn extents_as_arguments() {
    let k = parsed(
        "kernel arguments {
           in b0
           inout b1
           in b2
           arg a0%4
           arg a1%1
           b1[v0*a0+v1] = (b0[v0*a0+v1] * b2[v0]) for v0:a1,v1:a0
         }",
    );
    for (n, m) in [(4, 3), (36, 5), (20, 0)] {
        check(
            &k,
            &[n, m],
            &[values(256, 1), values(256, 2), values(256, 3)],
            0.0,
        );
    }
}

#[test]
fn short_rows_change_places_with_long_ones() {
    // A pixel shuffle by 2: the channel is adjacent where it is read, the phases where it is written.
    let read = add(mul(add(mul(v(2), c(2)), v(3)), c(24)), v(1));
    let write = add(mul(v(1), c(4)), add(mul(v(2), c(2)), v(3)));
    for maths in [false, true] {
        let x = Val::Buf(0, read.clone());
        let y = if maths {
            un(Unary::Exp, x)
        } else {
            bin(Binary::Add, x, Val::Buf(2, c(1)))
        };
        let k = map(&[(1, 21), (2, 2), (3, 2)], y, To::Buf(1), write.clone());
        run(&single("shuffle", k), 128, if maths { 1e-5 } else { 0.0 });
    }
}
