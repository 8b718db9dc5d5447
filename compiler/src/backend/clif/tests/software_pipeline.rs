//! Software pipelining: loops over rows whose first reduction is issued one row ahead.

use super::cases::{add, bin, c, map, mul, reduction, run, un, v};
use super::harness::kernel;
use crate::equation::{Binary, Unary};
use crate::tile::BufferKind::{In, InOut};
use crate::tile::software_pipeline::pipelined;
use crate::tile::{Compute, Kernel, Mode, ReduceOp, Stmt, Tile, TileKind, To, Val};
use vsr_artifact::machine::Machine;

const ROW: u32 = 0;

/// Largest element, exponentials and their sum, and quotients, row after row: what is read is `x`, the destination buffer 1.
fn softmax(n: i64, x: impl Fn(u32) -> Val) -> (Kernel, Vec<Compute>) {
    let at = |e: u32| add(mul(v(ROW), c(n)), v(e));
    let cell = |t| Val::Tile(t, c(0));
    let total = |op, value, e, tile| Compute {
        to: To::Tile(tile),
        ..reduction(&[], &[(e, n)], op, 32, value, c(0))
    };
    let off = bin(Binary::Sub, x(2), cell(0));
    let mut quotients = map(
        &[(4, n)],
        bin(Binary::Div, Val::Tile(1, v(4)), cell(2)),
        To::Buf(1),
        at(4),
    );
    quotients.mode = Mode::NonTemporal;
    let body = vec![
        total(ReduceOp::Max, x(1), 1, 0),
        map(&[(2, n)], un(Unary::Exp, off), To::Tile(1), v(2)),
        total(ReduceOp::Sum, Val::Tile(1, v(3)), 3, 2),
        quotients,
    ];
    let mut k = kernel("softmax", &[In, InOut, In]);
    let tile = |name: &str, len| Tile {
        name: name.into(),
        kind: TileKind::F32,
        len,
    };
    k.tiles = vec![tile("m", 1), tile("e", n), tile("s", 1)];
    (k, body)
}

fn from_input(n: i64) -> impl Fn(u32) -> Val {
    move |e| Val::Buf(0, add(mul(v(ROW), c(n)), v(e)))
}

fn looped(mut k: Kernel, rows: i64, step: i64, body: &[Compute]) -> Kernel {
    k.body.push(Stmt::For {
        var: ROW,
        extent: c(rows),
        step,
        body: body.iter().cloned().map(Stmt::Compute).collect(),
    });
    k
}

/// Where the next row's reduction stands in the loop, if it is pipelined.
fn ahead(k: &Kernel, body: &[Compute]) -> Option<usize> {
    let body: Vec<Stmt> = body.iter().cloned().map(Stmt::Compute).collect();
    let pipelined = pipelined(k, (ROW, &c(5), 1), &body, &Machine::default())?;
    assert_eq!(pipelined.body.len(), body.len());
    let is_if = |s: &Stmt| matches!(s, Stmt::If { .. });
    pipelined.body.iter().position(is_if)
}

#[test]
fn rows_one_behind_the_other_are_the_same_rows() {
    for n in [64, 70, 600] {
        for (rows, step) in [(1, 1), (5, 1), (5, 2), (4, 2)] {
            let (k, body) = softmax(n, from_input(n));
            assert_eq!(ahead(&k, &body), Some(2));
            run(&looped(k, rows, step, &body), 5 * n as usize, 1e-5);
        }
    }
}

#[test]
fn a_reduction_goes_ahead_only_of_what_it_leaves_alone() {
    let n = 64;
    let (k, body) = softmax(n, from_input(n));
    // The last statement needs what the reduction of its own row has found.
    let mut needed = body.clone();
    needed[3].value = bin(Binary::Add, needed[3].value.clone(), Val::Tile(0, c(0)));
    assert_eq!(ahead(&k, &needed), None);
    // The last statement stores nothing.
    assert_eq!(ahead(&k, &body[..3]), None);
    // The reduction reads what the loop writes: a tile, the destination.
    for x in [Val::Tile(1, v(1)), Val::Buf(1, v(1))] {
        let mut depends = body.clone();
        depends[0].value = x;
        assert_eq!(ahead(&k, &depends), None);
    }
    // It adds to what is there.
    let mut running = body.clone();
    running[0].mode = Mode::Max;
    assert_eq!(ahead(&k, &running), None);
    // There is nothing to go on with in the meantime.
    let (k, short) = softmax(16, from_input(16));
    assert_eq!(ahead(&k, &short), None);
}
