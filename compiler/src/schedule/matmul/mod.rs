//! Contraction kernels: row offsets, calls of the packed microkernel, and the epilogue on the tile while it is hot.
//!
//! Enters a group whose first member is a contraction; leaves its kernel. What is packed or copied was decided before, in
//! `contraction`; only sizes of tiles and the order of tasks are chosen here, by extents alone.

mod direct;
mod epilogue;
mod flat;
mod frame;
mod shape;
pub mod tiling;

use super::contraction::{Contraction, PANEL};
use super::group::{Context, Group};
use super::lower::{BufferSource, KernelBuilder, add, int, ix_to_int, mul};
use crate::equation::Lit;
use crate::equation::index::Ix;
use crate::tile::{
    Compute, Contract, ContractInit, Digit, Int, Mode, Stmt, TileId, TileKind, To, Val, Var,
};
use epilogue::epilogue;
use frame::Frame;
use shape::Shape;

pub fn build(ctx: &Context, group: &Group, c: &Contraction, name: &str) -> KernelBuilder {
    let mut b = KernelBuilder::new(name);
    let shape = Shape::of(ctx, group, c);
    let frame = Frame::open(&shape, c, group, &mut b);
    contract(&shape, &frame, c, ctx, &mut b);
    epilogue(ctx, group, c, &shape, &frame, &mut b);
    flat::flatten(&mut b, &shape, &frame);
    direct::direct(&mut b);
    b
}

/// Fills a tile of row offsets with an expression of the row's digits.
fn rows(shape: &Shape, frame: &Frame, tile: TileId, value: Int) -> Stmt {
    let long = shape.m.iter().filter(|v| frame.space[**v] > 1);
    let digit = |(v, (var, _)): (&usize, &(Var, TileId))| Digit {
        var: *var,
        extent: int(frame.space[*v]),
    };
    let mut digits: Vec<Digit> = long.zip(&frame.digits).map(digit).collect();
    digits.reverse();
    Stmt::Rows {
        tile,
        first: frame.first_row.clone(),
        extent: int(shape.tile_rows),
        digits,
        value,
    }
}

/// The part of an address that the row indices make, and the rest with its constant.
fn split(address: &Ix, shape: &Shape) -> (Ix, Ix) {
    let of_rows = |v: usize| {
        if shape.m.contains(&v) {
            Ix::var(v)
        } else {
            Ix::constant(0)
        }
    };
    let row_part = address.substitute(&of_rows).offset(-address.constant);
    (row_part.clone(), address.sub(&row_part))
}

fn contract(shape: &Shape, frame: &Frame, c: &Contraction, ctx: &Context, b: &mut KernelBuilder) {
    let (row_part, rest) = split(&shape.a, shape);
    // Depth starts at 0 in every address; its offsets come from the taps and the inner loop.
    let at_zero = |ix: &Ix| {
        ix.substitute(&|v| {
            if v < frame.space.len() {
                Ix::var(v)
            } else {
                Ix::constant(0)
            }
        })
    };
    let offsets = b.tile("rows", TileKind::I64, shape.tile_rows);
    let mut digit_vars = frame.vars.clone();
    for (v, (var, _)) in shape
        .m
        .iter()
        .filter(|v| frame.space[**v] > 1)
        .zip(&frame.digits)
    {
        digit_vars[*v] = Int::Var(*var);
    }
    b.push(rows(
        shape,
        frame,
        offsets,
        ix_to_int(&row_part, &digit_vars),
    ));
    for (var, tile) in &frame.digits {
        b.push(rows(shape, frame, *tile, Int::Var(*var)));
    }
    let without_column = |ix: &Ix| {
        ix.substitute(&|v| {
            if v == c.column {
                Ix::constant(0)
            } else {
                Ix::var(v)
            }
        })
    };
    let held: Vec<Var> = shape.held.iter().map(|_| b.var()).collect();
    let mut call_vars = frame.vars.clone();
    for ((v, _), var) in shape.held.iter().zip(&held) {
        call_vars[*v] = Int::Var(*var);
    }
    let b_rest = ix_to_int(&without_column(&at_zero(&shape.b)), &call_vars);
    let first = mul(
        frame.panel.clone(),
        if c.packed { shape.b_panel } else { PANEL },
    );
    let taps = b.buffer(BufferSource::Table(shape.table()), false);
    let a = b.buffer(ctx.source(c.a.value), false);
    let b_buffer = b.buffer(ctx.source(c.b.value), false);
    let call = Contract {
        c: To::Tile(frame.c),
        c_at: frame.at(shape, &held, int(0), int(0)),
        ldc: int(shape.tile_columns),
        m: frame.rows.clone(),
        n: frame.columns.clone(),
        init: ContractInit::Zero,
        a: To::Buf(a),
        rows: offsets,
        rows_at: int(0),
        a_at: ix_to_int(&at_zero(&rest), &frame.vars),
        a_step: int(shape.inner.a),
        taps,
        taps_at: int(0),
        n_taps: int(shape.n_taps()),
        k: int(shape.inner.extent),
        b: To::Buf(b_buffer),
        b_at: add(first, b_rest),
        b_step: int(shape.inner.b),
        b_panel: int(shape.b_panel),
    };
    push_calls(shape, frame, &held, call, b);
}

/// The calls: chunk after chunk of a long reduction, and in each chunk every held index.
fn push_calls(shape: &Shape, frame: &Frame, held: &[Var], call: Contract, b: &mut KernelBuilder) {
    let (chunk, n_taps) = (shape.chunk(), shape.n_taps());
    if chunk >= n_taps {
        b.push(for_held(shape, held, Stmt::Contract(Box::new(call))));
        return;
    }
    let i = b.var();
    b.push(Stmt::Compute(Compute {
        dims: vec![(i, int(shape.n_sums()))],
        reduce: None,
        value: Val::Lit(Lit::new(0.0)),
        to: To::Tile(frame.c),
        at: Int::Var(i),
        bounds: vec![],
        mode: Mode::Store,
    }));
    let t = b.var();
    let left = Int::Sub(Box::new(int(n_taps)), Box::new(Int::Var(t)));
    let part = Stmt::Contract(Box::new(Contract {
        init: ContractInit::Keep,
        taps_at: Int::Var(t),
        n_taps: if n_taps % chunk == 0 {
            int(chunk)
        } else {
            Int::Min(Box::new(int(chunk)), Box::new(left))
        },
        ..call
    }));
    b.push(Stmt::For {
        var: t,
        extent: int(n_taps),
        step: chunk,
        body: vec![for_held(shape, held, part)],
    });
}

fn for_held(shape: &Shape, held: &[Var], call: Stmt) -> Stmt {
    let loops = shape.held.iter().zip(held).rev();
    loops.fold(call, |body, ((_, n), var)| Stmt::For {
        var: *var,
        extent: int(*n),
        step: 1,
        body: vec![body],
    })
}
