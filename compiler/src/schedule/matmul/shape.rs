//! A contraction's extents and steps: what is a row, a column, a tap, and how much of each a task takes.
//!
//! Enters operands with their layouts; leaves numbers. The kernel is not touched here.

use super::super::contraction::{Contraction, PANEL};
use super::super::group::{Context, Group};
use super::super::nest::positions;
use super::tiling::{Sizes, max_unchunked_terms};
use crate::equation::index::Ix;
use vsr_artifact::machine::Machine;

/// Elements of both operands that a chunk of a long reduction may take of the second-level cache.
fn max_chunk_elements(m: &Machine) -> i64 {
    m.l2() * 3 / 16
}

/// Steps of an inner index that is cut, so that tasks which hold many sums walk it in chunks: as many rows of a panel are one and
/// a half first-level caches.
fn max_inner_extent(m: &Machine) -> i64 {
    m.l1() * 3 / 2 / PANEL
}

/// One reduced index: steps in A and B, and extent.
#[derive(Clone, Copy)]
pub struct Depth {
    pub a: i64,
    pub b: i64,
    pub extent: i64,
}

pub struct Shape {
    pub a: Ix,
    pub b: Ix,
    pub b_panel: i64,
    /// Outer reduced indices (the taps), then the inner one.
    pub taps: Vec<Depth>,
    pub inner: Depth,
    /// Row indices, slowest first.
    pub m: Vec<usize>,
    /// Column indices whose sums a task holds together, with their extents.
    pub held: Vec<(usize, i64)>,
    pub rows: i64,
    pub columns: i64,
    pub tile_rows: i64,
    pub tile_columns: i64,
    /// Neighbouring tasks take the same rows.
    pub columns_run_fastest: bool,
    machine: Machine,
}

impl Shape {
    pub fn of(ctx: &Context, group: &Group, c: &Contraction) -> Shape {
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
        let mut taps = merge(depths);
        let inner = taps.pop().unwrap_or(Depth {
            a: 1,
            b: 1,
            extent: 1,
        });
        let out = ctx
            .layout(anchor.value)
            .address(&positions(&anchor.equation));
        let mut m = c.m.clone();
        // Where steps lie apart, rows had better be neighbours in A; else as the result is stored.
        let order = if inner.a.abs() == 1 { &out } else { &a };
        m.sort_by_key(|v| (-order.coefficient(*v).abs(), *v));
        let rows: i64 = m.iter().map(|v| extents[*v]).product();
        let columns = extents[c.column];
        let machine = &ctx.machine;
        let k: i64 = inner.extent * taps.iter().map(|d| d.extent).product::<i64>();
        let sizes = Sizes {
            c,
            extents: &extents,
            rows,
            columns,
            k,
            machine,
        };
        let tiling = sizes.choose();
        let columns_run_fastest = sizes.columns_run_fastest(&tiling);
        let inner = match tiling.held.is_empty() {
            true => inner,
            false => cut(machine, inner, &mut taps),
        };
        let held = tiling.held.into_iter();
        Shape {
            a,
            b,
            b_panel,
            taps,
            inner,
            m,
            held: held.map(|v| (v, extents[v])).collect(),
            rows,
            columns,
            tile_rows: tiling.rows,
            tile_columns: tiling.columns,
            columns_run_fastest,
            machine: *machine,
        }
    }

    /// Sums of the tile.
    pub fn n_sums(&self) -> i64 {
        let held: i64 = self.held.iter().map(|(_, n)| n).product();
        held * self.tile_rows * self.tile_columns
    }

    pub fn n_taps(&self) -> i64 {
        self.taps.iter().map(|d| d.extent).product()
    }

    /// Pairs (offset in A, offset in B) of every tap, the last outer index fastest.
    pub fn table(&self) -> Vec<i64> {
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
    pub fn chunk(&self) -> i64 {
        let terms = self.n_taps() * self.inner.extent;
        if self.held.is_empty() && terms <= max_unchunked_terms(&self.machine) {
            return self.n_taps();
        }
        let elements = self.inner.extent * (self.tile_columns + self.tile_rows);
        (max_chunk_elements(&self.machine) / elements).clamp(1, self.n_taps())
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

/// Cuts a long inner index in two, the outer part a tap more, where it divides.
fn cut(machine: &Machine, inner: Depth, taps: &mut Vec<Depth>) -> Depth {
    let most = max_inner_extent(machine);
    if inner.extent <= most {
        return inner;
    }
    let fits = |size: &i64| inner.extent % size == 0;
    let Some(size) = (most / 4..=most).rev().find(fits) else {
        return inner;
    };
    taps.push(Depth {
        a: inner.a * size,
        b: inner.b * size,
        extent: inner.extent / size,
    });
    Depth {
        extent: size,
        ..inner
    }
}
