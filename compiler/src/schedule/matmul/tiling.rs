//! How much of the result one task computes: rows, columns, and in long reductions how many outer columns at once.
//!
//! A weight gradient reads two large activations for few results. A task that holds the sums of all taps walks both
//! once instead of once a tap; so for long reductions the tile with the fewest bytes read is taken.

use super::super::contraction::{Contraction, Operand, PANEL};
use crate::equation::index::Atom;
use vsr_artifact::machine::Machine;

/// Rows and columns of a task's tile, where the reduction is short or B is packed.
const TILE_ROWS: i64 = 48;
const LONG_REDUCTION_TILE_ROWS: i64 = 96;
const TILE_COLUMNS: i64 = 64;
/// A reduction longer than this walks in chunks that stay in the second-level cache: a panel of so many rows is half of it.
pub fn max_unchunked_terms(m: &Machine) -> i64 {
    m.l2() / 2 / PANEL
}

/// A reduction at least this long, over operands in place, chooses its tile by the bytes that tasks read.
const MIN_TRAFFIC_TILED_TERMS: i64 = 256;
/// Sums that one task may hold, so that a second-level cache keeps them beside the operands.
fn max_task_sums(m: &Machine) -> i64 {
    m.l2() * 3 / 16
}

/// Fewer tasks than this leave threads idle.
pub fn min_tasks(m: &Machine) -> i64 {
    3 * m.threads
}

pub struct Tiling {
    pub rows: i64,
    pub columns: i64,
    /// Column indices that one task holds together.
    pub held: Vec<usize>,
}

/// What the choice depends on.
pub struct Sizes<'a> {
    pub c: &'a Contraction,
    pub extents: &'a [i64],
    pub rows: i64,
    pub columns: i64,
    pub k: i64,
    pub machine: &'a Machine,
}

impl Sizes<'_> {
    pub fn choose(&self) -> Tiling {
        if !self.c.packed && self.k >= MIN_TRAFFIC_TILED_TERMS {
            return self.fewest_bytes();
        }
        let columns = tile_columns(self.columns);
        let column_tasks = self.others(&[]) * ceil(self.columns, columns);
        Tiling {
            rows: tile_rows(self.machine, self.rows, self.k, column_tasks),
            columns,
            held: vec![],
        }
    }

    /// Tasks along the indices that no tile spans.
    fn others(&self, held: &[usize]) -> i64 {
        let outer = self.c.n_outer.iter().filter(|v| !held.contains(v));
        let all = self.c.batch.iter().chain(outer);
        all.map(|v| self.extents[*v]).product()
    }

    /// Whether neighbouring tasks should take the same rows and other columns: by what operands cost that are read
    /// again, the rows for each group of columns or the columns for each tile of rows.
    pub fn columns_run_fastest(&self, tiling: &Tiling) -> bool {
        if !self.c.packed {
            return false;
        }
        let (row_tasks, column_tasks) = (
            ceil(self.rows, tiling.rows),
            ceil(self.columns, tiling.columns),
        );
        let a = 4 * self.footprint(&self.c.a, &self.c.m);
        let b = 4 * self.k * self.columns;
        let again = |bytes: i64, times: i64| bytes * (times - 1) * distance(self.machine, bytes);
        // The rows, another thread may have written, for its own cache; weights are each cache's own soon.
        let rows = if self.machine.has_split_caches() {
            2
        } else {
            1
        };
        rows * again(a, column_tasks) > again(b, row_tasks)
    }

    fn fewest_bytes(&self) -> Tiling {
        let mut best: Option<((bool, i64), Tiling)> = None;
        for held in self.groups() {
            for columns in [PANEL, 2 * PANEL, 3 * PANEL] {
                for rows in [16, 32, 48, 64, 96, 128, 192, 256] {
                    let Some(cost) = self.cost(rows, columns, &held) else {
                        continue;
                    };
                    if best.as_ref().is_none_or(|(least, _)| cost < *least) {
                        let held = held.clone();
                        best = Some((
                            cost,
                            Tiling {
                                rows,
                                columns,
                                held,
                            },
                        ));
                    }
                }
            }
        }
        let (_, mut tiling) = best.expect("the least tile always fits");
        tiling.rows = tiling.rows.min((self.rows + 7) / 8 * 8);
        tiling
    }

    /// None of the outer columns, then one after the other, those that B's reads share most first.
    fn groups(&self) -> Vec<Vec<usize>> {
        let mut order: Vec<usize> = self.c.n_outer.clone();
        order.retain(|v| self.extents[*v] > 1);
        let shared = |v: &usize| self.footprint(&self.c.b, &[*v]) / self.extents[*v];
        order.sort_by_key(|v| (shared(v), *v));
        (0..=order.len()).map(|n| order[..n].to_vec()).collect()
    }

    /// (threads would idle, bytes that all tasks read); None: the sums are too many.
    fn cost(&self, rows: i64, columns: i64, held: &[usize]) -> Option<(bool, i64)> {
        let n_held: i64 = held.iter().map(|v| self.extents[*v]).product();
        let least = held.is_empty() && rows == 16 && columns == PANEL;
        let beyond = |size: i64, all: i64, step: i64| size > (all + step - 1) / step * step;
        if !least
            && (rows * columns * n_held > max_task_sums(self.machine)
                || beyond(rows, self.rows, 16)
                || beyond(columns, self.columns, PANEL))
        {
            return None;
        }
        let (row_tasks, column_tasks) = (ceil(self.rows, rows), ceil(self.columns, columns));
        let others = self.others(held);
        let a = self.footprint(&self.c.a, &self.c.m);
        let b_vars: Vec<usize> = held.iter().copied().chain([self.c.column]).collect();
        let b = self.footprint(&self.c.b, &b_vars);
        let read = others * (column_tasks * a + row_tasks * b);
        // Columns are copied together for each tap and row tile, in the caches: a quarter of the price.
        let copied = others * row_tasks * n_held * self.k * self.columns / 4;
        Some((
            others * row_tasks * column_tasks < min_tasks(self.machine),
            read + copied,
        ))
    }

    /// Elements that an operand's reads cover while the reduction and `vars` run.
    fn footprint(&self, o: &Operand, vars: &[usize]) -> i64 {
        let runs = |v: usize| vars.contains(&v) || self.c.k.contains(&v);
        let axis = |ix: &crate::equation::index::Ix| {
            let terms = ix.terms.iter().filter_map(|(atom, k)| match atom {
                Atom::Var(v) if runs(*v) && self.extents[*v] > 1 => Some((*k, self.extents[*v])),
                _ => None,
            });
            let (step, span) = terms.fold((0, 0), |(step, span), (k, n)| {
                (gcd(step, k.abs()), span + k.abs() * (n - 1))
            });
            if step == 0 { 1 } else { span / step + 1 }
        };
        o.at.iter().map(axis).product()
    }
}

/// What a byte of an operand of this size costs: nothing in a second-level cache, little in the last one.
fn distance(m: &Machine, bytes: i64) -> i64 {
    match bytes / 4 {
        n if n <= m.l2() / 2 => 0,
        n if n <= m.last_level() / 2 => 1,
        _ => 4,
    }
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

pub fn ceil(n: i64, by: i64) -> i64 {
    (n + by - 1) / by
}

fn tile_columns(columns: i64) -> i64 {
    let padded = (columns + PANEL - 1) / PANEL * PANEL;
    if padded <= 96 { padded } else { TILE_COLUMNS }
}

fn tile_rows(m: &Machine, rows: i64, k: i64, column_tasks: i64) -> i64 {
    let mut size = if k > max_unchunked_terms(m) {
        LONG_REDUCTION_TILE_ROWS
    } else {
        TILE_ROWS
    };
    while size > 16 && column_tasks * ceil(rows, size) < min_tasks(m) {
        size /= 2;
    }
    size.min((rows + 7) / 8 * 8)
}
