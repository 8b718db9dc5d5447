//! Loops of a reduction that become one row. Those of maps: `cases`.

use super::cases::{add, bin, c, lit, mul, reduction, run, v};
use super::harness::kernel;
use crate::equation::Binary;
use crate::tile::BufferKind::{In, InOut};
use crate::tile::coalesce::coalesce;
use crate::tile::{ArgFact, Int, ReduceOp, Stmt, Val};

#[test]
fn reductions_over_what_lies_together_are_one_row() {
    let rows = |far: i64, n: Int, lanes, args: &[ArgFact]| {
        let at = add(mul(v(2), c(far)), v(3));
        let mut sum = reduction(
            &[(0, 2)],
            &[(2, 3), (3, 1)],
            ReduceOp::Sum,
            lanes,
            bin(Binary::Mul, Val::Buf(0, at), lit(0.5)),
            v(0),
        );
        let reduce = sum.reduce.as_mut().expect("it reduces");
        reduce.dims[1].1 = n;
        let mut joined = sum.clone();
        coalesce(&mut joined, args);
        (joined.reduce.expect("it reduces").dims.len(), sum)
    };
    for (far, n, lanes, want) in [
        (64, 64, 32, 1),
        (96, 64, 32, 2),
        (48, 48, 32, 2),
        (48, 48, 16, 1),
        (64, 64, 1, 2),
    ] {
        let (have, sum) = rows(far, c(n), lanes, &[]);
        assert_eq!(have, want, "{far} {n} {lanes}");
        let mut k = kernel("sum", &[In, InOut, In]);
        k.body.push(Stmt::Compute(sum));
        run(&k, 320, 0.0);
    }
    // A row of unknown length, of which enough is known.
    let at = |multiple_of| {
        let args = [ArgFact { multiple_of }];
        let far = add(mul(v(2), Int::Arg(0)), v(3));
        let mut sum = reduction(
            &[],
            &[(2, 3), (3, 1)],
            ReduceOp::Max,
            32,
            Val::Buf(0, far),
            c(0),
        );
        sum.reduce.as_mut().expect("it reduces").dims[1].1 = Int::Arg(0);
        coalesce(&mut sum, &args);
        sum.reduce.expect("it reduces").dims.len()
    };
    assert_eq!((at(64), at(16)), (1, 2));
}
