//! Transpositions: what is lowered to one, and that it has the same elements.

use super::super::plan::Plan;
use super::cases::{add, bin, bound, c, lit, map, mul, run, single, v};
use super::harness::{check, kernel, values};
use crate::equation::Binary;
use crate::tile::BufferKind::{In, InOut};
use crate::tile::dag::Dag;
use crate::tile::{Compute, Mode, Stmt, Tile, TileKind, To, Val};
use vsr_artifact::machine::Machine;

/// dst[b, r, i] = src[b, i, r] for r < rows, i < n, with rows some elements apart.
fn transposed(rows: i64, n: i64, gap: i64) -> Compute {
    let from = |b, i, r| {
        add(
            mul(v(b), c(n * (rows + gap))),
            add(mul(v(i), c(rows + gap)), v(r)),
        )
    };
    let to = |b, r, i| {
        add(
            mul(v(b), c(rows * (n + gap))),
            add(mul(v(r), c(n + gap)), v(i)),
        )
    };
    let dims = [(0, 2), (1, rows), (2, n)];
    map(&dims, Val::Buf(0, from(0, 2, 1)), To::Buf(1), to(0, 1, 2))
}

fn is_transposed(compute: &Compute) -> bool {
    let mut dag = Dag::new(Some(compute.to.into()));
    Plan::new(compute, &mut dag, &Machine::default()).is_transposed
}

#[test]
fn both_loops_are_one_call() {
    for (rows, n, gap) in [(16, 16, 0), (8, 40, 3), (33, 50, 16), (100, 8, 0)] {
        let len = 2 * ((rows + gap) * (n + gap)) as usize;
        for mode in [Mode::Store, Mode::NonTemporal] {
            let mut k = transposed(rows, n, gap);
            k.mode = mode;
            assert!(is_transposed(&k), "{rows} {n}");
            run(&single("transpose", k), len, 0.0);
        }
    }
}

#[test]
fn the_loop_across_may_stand_anywhere() {
    let mut k = transposed(24, 17, 0);
    k.dims.swap(0, 1);
    assert!(is_transposed(&k));
    run(&single("outermost", k), 2000, 0.0);
}

#[test]
fn a_tile_is_stored_transposed_too() {
    let (rows, n) = (40, 24);
    let tile = map(
        &[(1, n), (2, rows)],
        bin(
            Binary::Mul,
            Val::Buf(0, add(mul(v(1), c(rows)), v(2))),
            lit(3.0),
        ),
        To::Tile(0),
        add(mul(v(1), c(rows)), v(2)),
    );
    let out = map(
        &[(2, rows), (1, n)],
        Val::Tile(0, add(mul(v(1), c(rows)), v(2))),
        To::Buf(1),
        add(mul(v(2), c(n)), v(1)),
    );
    assert!(is_transposed(&out));
    let mut k = kernel("tile", &[In, InOut]);
    k.tiles = vec![Tile {
        name: "t".into(),
        kind: TileKind::F32,
        len: rows * n,
    }];
    k.body = vec![Stmt::Compute(tile), Stmt::Compute(out)];
    let len = (rows * n) as usize;
    check(&k, &[], &[values(len, 1), values(len, 2)], 0.0);
}

#[test]
fn other_maps_are_no_transpositions() {
    // Too short one way or the other.
    assert!(!is_transposed(&transposed(7, 40, 0)) && !is_transposed(&transposed(40, 7, 0)));
    let with = |change: &dyn Fn(&mut Compute)| {
        let mut k = transposed(24, 24, 0);
        change(&mut k);
        let transposed = is_transposed(&k);
        run(&single("other", k), 2000, 1e-6);
        transposed
    };
    // Something is computed, skipped, or added to what is there.
    assert!(!with(
        &|k| k.value = bin(Binary::Mul, k.value.clone(), lit(2.0))
    ));
    assert!(!with(&|k| k.bounds = vec![bound(v(1), 20)]));
    assert!(!with(&|k| k.mode = Mode::Add));
    // Adjacent on both sides.
    assert!(!with(&|k| k.value = Val::Buf(0, k.at.clone())));
    // Nothing that is read is adjacent.
    assert!(!with(
        &|k| k.value = Val::Buf(0, add(mul(v(2), c(48)), mul(v(1), c(2))))
    ));
}
