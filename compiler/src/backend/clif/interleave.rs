//! Results that are adjacent along a short index and far apart along a long one (a pixel shuffle's lines): the long rows are
//! computed one by one, and the runtime interleaves them.
//!
//! Enters a plan of a map; leaves its loops in that order, and the calls. Guards and maths stay with the other lowerings.

use super::lower::Lower;
use super::plan::{Plan, source_row, strip_bytes};
use super::sweep::{Range, Sink};
use crate::tile::Mode;
use crate::tile::dag::{Dag, Node};
use crate::tile::sum::{Stride, Sum};
use cranelift_codegen::ir::{InstBuilder, Value};
use std::mem::offset_of;
use vsr_artifact::abi::FnTable;

/// How many rows the runtime interleaves.
const INTERLEAVED_ROWS: [i64; 2] = [2, 4];

impl Plan {
    /// Whether the map is interleaved, with its loops in that order: the short index last but one.
    pub fn interleave(&mut self, dag: &Dag) -> bool {
        let Some(short) = self.short_loop(dag) else {
            return false;
        };
        self.n_interleaved = self.loops[short].extent.as_constant();
        self.take_with_row(short);
        true
    }

    /// The loop whose values are adjacent, where as many of them lie between two elements of a row.
    fn short_loop(&self, dag: &Dag) -> Option<usize> {
        let (row, outer) = self.loops.split_last()?;
        let Stride::Linear(apart) = dag.stride(&self.at, row.var) else {
            return None;
        };
        let n_rows = apart
            .as_constant()
            .filter(|n| INTERLEAVED_ROWS.contains(n))?;
        let one = Stride::Linear(Sum::constant(1));
        let short = outer.iter().position(|l| {
            l.extent.as_constant() == Some(n_rows) && dag.stride(&self.at, l.var) == one
        })?;
        let var = outer[short].var;
        let long = row
            .extent
            .as_constant()
            .is_none_or(|n| n >= 2 * self.machine.vector());
        let apart = |at: &Sum, space| space != self.to || *at == self.at.part(|_| true);
        let others_apart = self.reach.addresses.iter().all(|(s, at)| apart(at, *s));
        let fixed = self.has_lengths_without(&[var], dag);
        let no_maths = !self.has_maths(row.var, dag) && !self.has_maths(var, dag);
        (self.is_plain() && long && others_apart && no_maths && fixed).then_some(short)
    }
}

impl Lower<'_, '_> {
    /// The rows of all values of the short index, interleaved.
    pub fn interleaved_row(&mut self, plan: &Plan, n_rows: i64) {
        let range = self.whole(plan);
        self.chunks(plan, range, &[], &mut |s, chunk, _| {
            let (from, step) = match s.adjacent_rows(plan, chunk) {
                Some(rows) => rows,
                None => {
                    for k in 0..n_rows {
                        s.scoped(|s| {
                            s.bind_short(plan, k);
                            s.hoist(plan, plan.n_outer + 1);
                            s.sweep(plan, chunk, Sink::Row(source_row(k)));
                        });
                    }
                    let first = s.row_start(plan.rows[&source_row(0)]);
                    (first, s.iconst(strip_bytes(&s.machine) / 4))
                }
            };
            let to = s.scoped(|s| {
                s.bind_short(plan, 0);
                s.address(plan, chunk, plan.to, &plan.at)
            });
            let n = s.b.ins().isub(chunk.hi, chunk.lo);
            let non_temporal = i64::from(plan.mode == Mode::NonTemporal);
            let (n_rows, non_temporal) = (s.iconst(n_rows), s.iconst(non_temporal));
            s.call(
                offset_of!(FnTable, interleave),
                &[to, from, step, n_rows, n, non_temporal],
            );
            vec![]
        });
    }

    /// Where the rows lie and how many floats apart, if they are read as they are.
    fn adjacent_rows(&mut self, plan: &Plan, chunk: Range) -> Option<(Value, Value)> {
        let Node::Load(space, at, None) = self.dag.node(plan.value).clone() else {
            return None;
        };
        let [.., short, row] = plan.loops.as_slice() else {
            return None;
        };
        let (short, one) = (short.var, Stride::Linear(Sum::constant(1)));
        let Stride::Linear(step) = self.dag.stride(&at, short) else {
            return None;
        };
        if self.dag.stride(&at, row.var) != one {
            return None;
        }
        let first = self.scoped(|s| {
            s.bind_short(plan, 0);
            s.address(plan, chunk, space, &at)
        });
        let step = self.sum(&step);
        Some((first, step))
    }

    fn bind_short(&mut self, plan: &Plan, k: i64) {
        let var = plan.loops[plan.n_outer].var;
        let value = self.iconst(k);
        self.bind(var, value, 1);
    }
}
