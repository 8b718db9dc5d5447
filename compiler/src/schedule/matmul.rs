//! Contraction kernels: row offsets, calls of the packed microkernel, and the epilogue on the tile while it is hot.

use super::contraction::{Contraction, PANEL};
use super::group::{Context, Group, Member};
use super::layout::Layout;
use super::lower::{Environment, KernelBuilder, Scope, Source, add, int, ix_to_int, mul};
use super::nest::positions;
use super::net::ValueId;
use crate::equation::index::Ix;
use crate::equation::{Binary, Lit};
use crate::tile::{
    Compute, Contract, ContractInit, Digit, Int, Mode, Stmt, TileId, TileKind, To, Val, Var,
};

/// Rows and columns of a task's tile.
const ROWS: i64 = 48;
const LONG_ROWS: i64 = 96;
const COLUMNS: i64 = 64;
/// A reduction longer than this walks in chunks that stay in the second-level cache.
const LONG: i64 = 4096;
const CHUNK_BYTES: i64 = 192 * 1024;
/// Fewer tasks than this leave threads idle.
const LEAST_TASKS: i64 = 12;

pub fn build(ctx: &Context, group: &Group, c: &Contraction, name: &str) -> KernelBuilder {
    let mut b = KernelBuilder::new(name);
    let shape = Shape::of(ctx, group, c);
    let frame = Frame::open(&shape, c, group, &mut b);
    contract(&shape, &frame, c, ctx, &mut b);
    epilogue(ctx, group, c, &shape, &frame, &mut b);
    b
}

/// One reduced index: steps in A and B, and extent.
#[derive(Clone, Copy)]
struct Depth {
    a: i64,
    b: i64,
    extent: i64,
}

struct Shape {
    a: Ix,
    b: Ix,
    b_panel: i64,
    /// Outer reduced indices (the taps), then the inner one.
    taps: Vec<Depth>,
    inner: Depth,
    /// Row indices, slowest first.
    m: Vec<usize>,
    rows: i64,
    columns: i64,
    tile_rows: i64,
    tile_columns: i64,
}

impl Shape {
    fn of(ctx: &Context, group: &Group, c: &Contraction) -> Shape {
        let anchor = &group.members[0];
        let extents = anchor.extents();
        let (la, lb) = (ctx.layout(c.a.value), ctx.layout(c.b.value));
        let (a, b) = (la.address(&c.a.at), lb.address(&c.b.at));
        let b_panel = if c.packed {
            lb.strides[c.batch.len() + c.n_outer.len()]
        } else {
            PANEL
        };
        let mut depths: Vec<Depth> =
            c.k.iter()
                .filter(|v| extents[**v] > 1)
                .map(|v| Depth {
                    a: a.coefficient(*v),
                    b: b.coefficient(*v),
                    extent: extents[*v],
                })
                .collect();
        depths.sort_by_key(|d| (-d.a.abs(), -d.b.abs()));
        let mut depths = merge(depths);
        let inner = depths.pop().unwrap_or(Depth {
            a: 1,
            b: 1,
            extent: 1,
        });
        let out = ctx
            .layout(anchor.value)
            .address(&positions(&anchor.equation));
        let mut m = c.m.clone();
        m.sort_by_key(|v| (-out.coefficient(*v).abs(), *v));
        let rows: i64 = m.iter().map(|v| extents[*v]).product();
        let columns = extents[c.column];
        let k: i64 = inner.extent * depths.iter().map(|d| d.extent).product::<i64>();
        let tile_columns = tile_columns(columns);
        let others: i64 = c
            .batch
            .iter()
            .chain(&c.n_outer)
            .map(|v| extents[*v])
            .product();
        let column_tasks = others * ((columns + tile_columns - 1) / tile_columns);
        let tile_rows = tile_rows(rows, k, column_tasks);
        Shape {
            a,
            b,
            b_panel,
            taps: depths,
            inner,
            m,
            rows,
            columns,
            tile_rows,
            tile_columns,
        }
    }

    fn n_taps(&self) -> i64 {
        self.taps.iter().map(|d| d.extent).product()
    }

    /// Pairs (offset in A, offset in B) of every tap, the last outer index fastest.
    fn table(&self) -> Vec<i64> {
        let mut pairs = vec![(0, 0)];
        for d in &self.taps {
            pairs = pairs
                .iter()
                .flat_map(|(a, b)| (0..d.extent).map(move |i| (a + i * d.a, b + i * d.b)))
                .collect();
        }
        pairs.into_iter().flat_map(|(a, b)| [a, b]).collect()
    }

    /// Taps of one call, so that its operands stay in the second-level cache.
    fn chunk(&self) -> i64 {
        if self.n_taps() * self.inner.extent <= LONG {
            return self.n_taps();
        }
        let bytes = self.inner.extent * 4 * (self.tile_columns + self.tile_rows);
        (CHUNK_BYTES / bytes).clamp(1, self.n_taps())
    }
}

/// Joins neighbours that advance as one index in both operands.
fn merge(depths: Vec<Depth>) -> Vec<Depth> {
    let mut merged: Vec<Depth> = vec![];
    for inner in depths {
        match merged.last_mut() {
            Some(outer)
                if outer.a == inner.a * inner.extent && outer.b == inner.b * inner.extent =>
            {
                *outer = Depth {
                    extent: outer.extent * inner.extent,
                    ..inner
                };
            }
            _ => merged.push(inner),
        }
    }
    merged
}

fn tile_columns(columns: i64) -> i64 {
    let padded = (columns + PANEL - 1) / PANEL * PANEL;
    if padded <= 96 { padded } else { COLUMNS }
}

fn tile_rows(rows: i64, k: i64, column_tasks: i64) -> i64 {
    let mut size = if k > LONG { LONG_ROWS } else { ROWS };
    while size > 16 && column_tasks * ((rows + size - 1) / size) < LEAST_TASKS {
        size /= 2;
    }
    size.min((rows + 7) / 8 * 8)
}

/// The task's indices and tiles.
struct Frame {
    space: Vec<i64>,
    /// Kernel expression of each index of the space, where rows come from digit tiles.
    vars: Vec<Int>,
    row: Var,
    column: Var,
    first_row: Int,
    panel: Int,
    rows: Int,
    columns: Int,
    c: TileId,
    digits: Vec<(Var, TileId)>,
}

impl Frame {
    fn open(shape: &Shape, c: &Contraction, group: &Group, b: &mut KernelBuilder) -> Frame {
        let mut vars = vec![int(0); group.space.len()];
        for &v in c.batch.iter().chain(&c.n_outer) {
            if group.space[v] > 1 {
                vars[v] = Int::Var(b.task(group.space[v], 1));
            }
        }
        let panels = (shape.columns + PANEL - 1) / PANEL;
        let panel = if panels * PANEL > shape.tile_columns {
            Int::Var(b.task(panels, shape.tile_columns / PANEL))
        } else {
            int(0)
        };
        let first_row = if shape.rows > shape.tile_rows {
            Int::Var(b.task(shape.rows, shape.tile_rows))
        } else {
            int(0)
        };
        let (row, column) = (b.var(), b.var());
        let left = |extent: i64, size: i64, first: &Int| match first {
            Int::Const(0) => int(extent.min(size)),
            _ if extent % size == 0 => int(size),
            first => Int::Min(
                Box::new(int(size)),
                Box::new(Int::Sub(Box::new(int(extent)), Box::new(first.clone()))),
            ),
        };
        let rows = left(shape.rows, shape.tile_rows, &first_row);
        let first_column = mul(panel.clone(), PANEL);
        let columns = left(shape.columns, shape.tile_columns, &first_column);
        vars[c.column] = add(first_column, Int::Var(column));
        let tile = b.tile("c", TileKind::F32, shape.tile_rows * shape.tile_columns);
        let mut digits = vec![];
        for &v in &shape.m {
            if group.space[v] > 1 {
                let digit = b.tile(&format!("i{v}"), TileKind::I64, shape.tile_rows);
                vars[v] = Int::Tile(digit, Box::new(Int::Var(row)));
                digits.push((b.var(), digit));
            }
        }
        Frame {
            space: group.space.clone(),
            vars,
            row,
            column,
            first_row,
            panel,
            rows,
            columns,
            c: tile,
            digits,
        }
    }
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
    let b_rest = ix_to_int(&without_column(&at_zero(&shape.b)), &frame.vars);
    let first = mul(
        frame.panel.clone(),
        if c.packed { shape.b_panel } else { PANEL },
    );
    let taps = b.buffer(Source::Table(shape.table()), false);
    let a = b.buffer(ctx.source(c.a.value), false);
    let b_buffer = b.buffer(ctx.source(c.b.value), false);
    let call = Contract {
        c: frame.c,
        c_at: int(0),
        ldc: shape.tile_columns,
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
    push_calls(shape, frame, call, b);
}

fn push_calls(shape: &Shape, frame: &Frame, call: Contract, b: &mut KernelBuilder) {
    let (chunk, n_taps) = (shape.chunk(), shape.n_taps());
    if chunk >= n_taps {
        b.push(Stmt::Contract(call));
        return;
    }
    let i = b.var();
    b.push(Stmt::Compute(Compute {
        dims: vec![(i, int(shape.tile_rows * shape.tile_columns))],
        reduce: None,
        value: Val::Lit(Lit::new(0.0)),
        to: To::Tile(frame.c),
        at: Int::Var(i),
        bounds: vec![],
        mode: Mode::Store,
    }));
    let t = b.var();
    let left = Int::Sub(Box::new(int(n_taps)), Box::new(Int::Var(t)));
    let body = vec![Stmt::Contract(Contract {
        init: ContractInit::Keep,
        taps_at: Int::Var(t),
        n_taps: if n_taps % chunk == 0 {
            int(chunk)
        } else {
            Int::Min(Box::new(int(chunk)), Box::new(left))
        },
        ..call
    })];
    b.push(Stmt::For {
        var: t,
        extent: int(n_taps),
        step: chunk,
        body,
    });
}

struct TileEnv<'a> {
    ctx: &'a Context<'a>,
    kept: &'a [(ValueId, Val)],
}

impl Environment for TileEnv<'_> {
    fn layout(&self, value: ValueId) -> &Layout {
        self.ctx.layout(value)
    }
    fn shape(&self, value: ValueId) -> &[i64] {
        &self.ctx.net.values[value].shape
    }
    fn source(&self, value: ValueId) -> Source {
        self.ctx.source(value)
    }
    fn in_tile(&self, value: ValueId, _: &[Ix], _: &[Int]) -> Option<Val> {
        self.kept
            .iter()
            .find(|(v, _)| *v == value)
            .map(|(_, val)| val.clone())
    }
}

fn epilogue(
    ctx: &Context,
    group: &Group,
    c: &Contraction,
    shape: &Shape,
    frame: &Frame,
    b: &mut KernelBuilder,
) {
    let at = add(
        mul(Int::Var(frame.row), shape.tile_columns),
        Int::Var(frame.column),
    );
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
            let tile = b.tile(
                &format!("e{i}"),
                TileKind::F32,
                shape.tile_rows * shape.tile_columns,
            );
            b.push(over_tile(frame, value, To::Tile(tile), at.clone()));
            Val::Tile(tile, at.clone())
        } else {
            value
        };
        if member.stored {
            store(ctx, member, frame, value.clone(), b);
        }
        if i > 0 {
            kept.push((member.value, value));
        }
    }
}

fn over_tile(frame: &Frame, value: Val, to: To, at: Int) -> Stmt {
    let dims = vec![
        (frame.row, frame.rows.clone()),
        (frame.column, frame.columns.clone()),
    ];
    Stmt::Compute(Compute {
        dims,
        reduce: None,
        value,
        to,
        at,
        bounds: vec![],
        mode: Mode::Store,
    })
}

fn store(ctx: &Context, member: &Member, frame: &Frame, value: Val, b: &mut KernelBuilder) {
    let address = ctx
        .layout(member.value)
        .address(&positions(&member.equation));
    let buffer = b.buffer(ctx.source(member.value), true);
    b.push(over_tile(
        frame,
        value,
        To::Buf(buffer),
        ix_to_int(&address, &frame.vars),
    ));
}
