//! Rows that the runtime helps with: interleaved ones, and maths in one call.

use super::cases::{add, bin, c, lit, map, mul, parsed, reduction, run, single, un, v};
use crate::backend::Target;
use crate::equation::{Binary, Unary};
use crate::tile::{Kernel, Mode, ReduceOp, Stmt, Tile, TileKind, To, Val};
use vsr_artifact::machine::Machine;

/// A scatter that goes by calls of maths: points are left out before arguments of calls are computed.
#[test]
fn a_condition_may_be_a_call() {
    for call in [
        "round(b0[v0*40+v1])",
        "exp(b0[v0*40+v1])",
        "tanh(exp(b0[v1]))",
    ] {
        let k = parsed(&format!(
            "kernel scatter {{
               in b0
               inout b1
               in b2
               b1[8+floor({call})] += (b2[v1] * sin(b0[v1])) for v0:3,v1:40 if 0<=floor({call})+1<3
             }}"
        ));
        run(&k, 128, 0.0);
    }
}

#[test]
fn rows_of_a_pixel_shuffle_are_interleaved() {
    // dst[row, n_rows·i + k] = src[k, row, i]: the long index is read along, and written `n_rows` apart.
    for (n_rows, n) in [(2, 16), (2, 70), (4, 21), (4, 600), (3, 40)] {
        let read = add(add(mul(v(2), c(2 * n)), mul(v(0), c(n))), v(1));
        let write = add(mul(v(0), c(n_rows * n)), add(mul(v(1), c(n_rows)), v(2)));
        for mode in [Mode::Store, Mode::NonTemporal, Mode::Add] {
            for plain in [true, false] {
                let x = Val::Buf(0, read.clone());
                let y = match plain {
                    true => x,
                    false => bin(Binary::Mul, x, Val::Buf(2, v(2))),
                };
                let dims = [(0, 2), (2, n_rows), (1, n)];
                let mut k = map(&dims, y, To::Buf(1), write.clone());
                k.mode = mode;
                run(&single("interleave", k), (2 * n_rows * n) as usize, 0.0);
            }
        }
    }
}

#[test]
fn a_sigmoid_and_its_slope_are_one_call() {
    let x = || Val::Buf(0, v(0));
    let half = |y| bin(Binary::Mul, lit(0.5), y);
    let t = || un(Unary::Tanh, half(x()));
    let sigmoid = bin(Binary::Add, lit(0.5), half(t()));
    let rest = bin(Binary::Sub, lit(1.0), bin(Binary::Mul, t(), t()));
    let slope = bin(Binary::Mul, bin(Binary::Mul, lit(0.25), rest), x());
    let both = bin(Binary::Add, sigmoid, slope);
    let k = map(&[(0, 100)], both, To::Buf(1), v(0));
    let k = single("slope", k);
    let backend = Target::X86_64V3.backend();
    let text = backend.text(std::slice::from_ref(&k), &Machine::default());
    assert_eq!(text.matches("call_indirect sig0").count(), 1, "{text}");
    run(&k, 128, 1e-6);
}

#[test]
fn calls_for_one_number_leave_running_results_alone() {
    // Inside of the reduction: a factor that is the same along a row, and needs a call.
    let factor = un(Unary::Exp, Val::Buf(2, v(1)));
    let x = Val::Buf(0, add(mul(v(1), c(70)), v(2)));
    let value = bin(Binary::Mul, x, factor);
    let k = reduction(
        &[(0, 2)],
        &[(1, 3), (2, 70)],
        ReduceOp::Sum,
        32,
        value,
        v(0),
    );
    run(&single("factor", k), 256, 1e-5);
    // Before it: a map whose results are summed up as they are made.
    let shift = un(Unary::Exp, Val::Buf(2, c(3)));
    let value = bin(Binary::Sub, Val::Buf(0, v(0)), shift);
    let row = map(&[(0, 96)], un(Unary::Exp, value), To::Tile(0), v(0));
    let sum = reduction(&[], &[(1, 96)], ReduceOp::Sum, 32, Val::Tile(0, v(1)), c(0));
    let mut k: Kernel = single("sums", row);
    k.tiles = vec![Tile {
        name: "t".into(),
        kind: TileKind::F32,
        len: 96,
    }];
    k.body.push(Stmt::Compute(sum));
    run(&k, 128, 1e-5);
}
