//! What follows the contraction, on the tile while it is hot: members in order, then their stores.
//!
//! Enters the task's tile of sums; leaves statements. A member that a later one reads waits in a tile of its own; none is
//! read back from memory.

use super::super::contraction::Contraction;
use super::super::group::{Context, Group, Member};
use super::super::lower::{Environment, KernelBuilder, Scope, int, ix_to_int};
use super::super::nest::positions;
use super::super::net::ValueId;
use super::frame::Frame;
use super::shape::Shape;
use crate::equation::index::Ix;
use crate::equation::{Binary, Lit};
use crate::tile::{Compute, Int, Mode, Stmt, TileKind, To, Val, Var};

struct TileEnv<'a> {
    ctx: &'a Context<'a>,
    kept: &'a [(ValueId, Val)],
}

impl Environment for TileEnv<'_> {
    fn ctx(&self) -> &Context<'_> {
        self.ctx
    }
    fn in_tile(&self, value: ValueId, _: &[Ix], _: &[Int]) -> Option<Val> {
        self.kept
            .iter()
            .find(|(v, _)| *v == value)
            .map(|(_, val)| val.clone())
    }
}

pub fn epilogue(
    ctx: &Context,
    group: &Group,
    c: &Contraction,
    shape: &Shape,
    frame: &Frame,
    b: &mut KernelBuilder,
) {
    let (row, column) = (Int::Var(frame.row), Int::Var(frame.column));
    let at = frame.at(shape, &frame.held, row, column);
    let sum = Val::Tile(frame.c, at.clone());
    let scaled = match c.scale {
        1.0 => sum,
        scale => Val::Binary(
            Binary::Mul,
            Box::new(sum),
            Box::new(Val::Lit(Lit::new(scale))),
        ),
    };
    let mut kept = vec![(group.members[0].value, scaled.clone())];
    for (i, member) in group.members.iter().enumerate() {
        let value = if i == 0 {
            scaled.clone()
        } else {
            let env = TileEnv { ctx, kept: &kept };
            let extents = member.extents();
            Scope {
                vars: &frame.vars,
                extents: &extents,
                operands: &member.operands,
                env: &env,
            }
            .val(b, &member.equation.body)
        };
        let needed = i > 0
            && group.members[i + 1..]
                .iter()
                .any(|m| m.operands.contains(&member.value));
        let value = if needed {
            let tile = b.tile(&format!("e{i}"), TileKind::F32, shape.n_sums());
            let compute = over_tile(shape, frame, value, To::Tile(tile), at.clone());
            b.push(Stmt::Compute(compute));
            Val::Tile(tile, at.clone())
        } else {
            value
        };
        if member.stored {
            store(ctx, member, shape, frame, value.clone(), b);
        }
        if i > 0 {
            kept.push((member.value, value));
        }
    }
}

fn over_tile(shape: &Shape, frame: &Frame, value: Val, to: To, at: Int) -> Compute {
    let held = frame.held.iter().zip(&shape.held);
    let mut dims: Vec<(Var, Int)> = held.map(|(v, (_, n))| (*v, int(*n))).collect();
    dims.push((frame.row, frame.rows.clone()));
    dims.push((frame.column, frame.columns.clone()));
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

fn store(
    ctx: &Context,
    member: &Member,
    shape: &Shape,
    frame: &Frame,
    value: Val,
    b: &mut KernelBuilder,
) {
    let address = ctx
        .layout(member.value)
        .address(&positions(&member.equation));
    let buffer = b.buffer(ctx.source(member.value), true);
    let at = ix_to_int(&address, &frame.vars);
    let mut compute = over_tile(shape, frame, value, To::Buf(buffer), at);
    compute.mode = ctx.store_mode(member.value);
    b.push(Stmt::Compute(compute));
}
