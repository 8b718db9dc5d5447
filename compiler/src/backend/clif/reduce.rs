//! Reductions, in the orders that `tile` states.

use super::lower::{Lower, MEMORY};
use super::plan::{Plan, VALUE_ROW, combiner};
use super::sweep::{Range, Sink};
use super::wide::Draft;
use crate::equation::Binary;
use crate::tile::Mode;
use cranelift_codegen::ir::types::{F32, F32X4};
use cranelift_codegen::ir::{InstBuilder, Value};

impl Lower<'_, '_> {
    fn op(&self, plan: &Plan) -> Binary {
        combiner(plan.op.expect("a reduction has an operation"))
    }

    /// Opens the reduced loops `depth..until`, carrying accumulators.
    fn reduced(
        &mut self,
        plan: &Plan,
        depth: usize,
        until: usize,
        carried: &[Value],
        inner: &mut dyn FnMut(&mut Self, &[Value]) -> Vec<Value>,
    ) -> Vec<Value> {
        if depth == until {
            return inner(self, carried);
        }
        let (start, end) = (self.iconst(0), self.sum(&plan.loops[depth].extent));
        self.looped(plan, depth, start, end, 1, carried, &mut |s, carried| {
            s.hoist(plan, depth + 1);
            s.reduced(plan, depth + 1, until, carried, inner)
        })
    }

    /// Accumulators in registers along the destination's last index.
    pub fn columns(&mut self, plan: &Plan) {
        self.open(plan, 0, plan.n_outer, &mut |s| {
            let range = s.whole(plan);
            s.versions(plan, &mut |s| s.column_blocks(plan, range));
        });
    }

    fn column_blocks(&mut self, plan: &Plan, range: Range) {
        let v = plan.n_outer;
        let mut from = range.lo;
        let fit = |u: &i64| range.fixed.is_none_or(|n| n >= 4 * u);
        let widest = if plan.reach.nodes.len() > 16 { 4 } else { 8 };
        let mut widths: Vec<i64> = vec![widest];
        if range.multiple_of % (4 * widest) != 0 {
            widths.push(1);
        }
        for width in widths.into_iter().filter(fit) {
            let to = self.whole_steps(from, range, 4 * width);
            self.looped(plan, v, from, to, 4 * width, &[], &mut |s, _| {
                s.column_block(plan, width as u32);
                vec![]
            });
            from = to;
        }
        if range.multiple_of % 4 != 0 {
            self.scalar_loop(plan, from, range.hi, &mut |s| {
                s.hoist(plan, v + 1);
                let start = s.neutral_scalar(plan);
                let sum = s.scalar_chain(plan, v + 1, start);
                s.store_one(plan, sum);
            });
        }
    }

    fn column_block(&mut self, plan: &Plan, width: u32) {
        self.unroll = width;
        self.hoist(plan, plan.n_outer + 1);
        let start = vec![self.neutral_vector(plan); width as usize];
        let op = self.op(plan);
        let sums = self.reduced(
            plan,
            plan.n_outer + 1,
            plan.loops.len(),
            &start,
            &mut |s, sums| {
                let add = |(u, sum): (usize, &Value)| {
                    let value = s.vector_of(plan.value, u as u32);
                    s.combine(op, *sum, value)
                };
                sums.iter().enumerate().map(add).collect()
            },
        );
        for (u, sum) in sums.into_iter().enumerate() {
            self.store_vector(plan, sum, u as u32);
        }
        self.unroll = 1;
    }

    /// One accumulator through the loops from `depth` on.
    fn scalar_chain(&mut self, plan: &Plan, depth: usize, start: Value) -> Value {
        let op = self.op(plan);
        let sums = self.reduced(plan, depth, plan.loops.len(), &[start], &mut |s, sums| {
            let value = s.node(plan.value, 0);
            vec![s.combine(op, sums[0], value)]
        });
        sums[0]
    }

    /// Accumulators in a row of scratch, for maths and guards along the destination's last index.
    pub fn accumulator_row(&mut self, plan: &Plan) {
        let last = plan.loops.len() - 1;
        let op = plan.op.expect("a reduction has an operation");
        self.open(plan, 0, plan.n_outer, &mut |s| {
            let range = s.whole(plan);
            s.chunks(plan, range, &[], &mut |s, chunk, _| {
                s.fill_row(plan, chunk);
                s.reduced(plan, plan.n_outer, last, &[], &mut |s, _| {
                    s.versions(plan, &mut |s| {
                        s.stages(plan, chunk);
                        s.sweep(plan, chunk, Sink::Accumulate(op));
                    });
                    vec![]
                });
                s.sweep(plan, chunk, Sink::Flush);
                vec![]
            });
        });
    }

    /// Sets the chunk's accumulators to the neutral element.
    fn fill_row(&mut self, plan: &Plan, chunk: Range) {
        let row = self.row_start(plan.rows[&VALUE_ROW]);
        let n = self.b.ins().isub(chunk.hi, chunk.lo);
        let (zero, neutral) = (self.iconst(0), self.neutral_vector(plan));
        self.counted(zero, n, 4, &[], &mut |s, i, _| {
            let offset = s.scaled(i, 4);
            let place = s.b.ins().iadd(row, offset);
            s.b.ins().store(MEMORY, neutral, place, 0);
            vec![]
        });
    }

    /// So many accumulators along the last reduced index: element e goes to lane e % lanes.
    pub fn lanes(&mut self, plan: &Plan) {
        let last = plan.loops.len() - 1;
        self.open(plan, 0, plan.n_outer, &mut |s| {
            s.versions_above(plan, plan.n_outer + 1, &mut |s| {
                let fixed = plan.loops[last].extent.as_constant();
                let sink = match last == plan.n_outer {
                    true => Sink::Total,
                    false => Sink::Lanes,
                };
                if !s.is_guarded_along(plan)
                    && let Some(draft) = s.draft(plan, fixed, sink)
                {
                    return s.wide_lanes(plan, &draft);
                }
                let start = vec![s.neutral_vector(plan); plan.lanes as usize / 4];
                let sums = s.reduced(plan, plan.n_outer, last, &start, &mut |s, sums| {
                    let range = s.whole(plan);
                    match plan.stages.is_empty() && !s.is_guarded_along(plan) {
                        true => s.direct_lanes(plan, range, sums),
                        false => s.row_lanes(plan, range, sums),
                    }
                });
                let total = s.across(s.op(plan), &sums);
                s.store_one(plan, total);
            });
        });
    }

    /// One row in one call, or lanes in memory, into which each row is reduced by a call.
    fn wide_lanes(&mut self, plan: &Plan, draft: &Draft) {
        let last = plan.loops.len() - 1;
        if last == plan.n_outer {
            let range = self.whole(plan);
            self.wide(plan, range, draft);
            if plan.mode != Mode::Store {
                let place = self.lanes_place();
                let total = self.b.ins().load(F32, MEMORY, place, 0);
                self.store_one(plan, total);
            }
            return;
        }
        let neutral = self.neutral_vector(plan);
        self.fill_lanes(plan.lanes, neutral);
        self.reduced(plan, plan.n_outer, last, &[], &mut |s, _| {
            let range = s.whole(plan);
            s.wide(plan, range, draft);
            vec![]
        });
        let total = self.total_of_lanes(self.op(plan), plan.lanes);
        self.store_one(plan, total);
    }

    /// Sets running results in memory to one vector, again and again.
    pub fn fill_lanes(&mut self, lanes: i64, with: Value) {
        let place = self.lanes_place();
        for at in (0..4 * lanes).step_by(16) {
            self.b.ins().store(MEMORY, with, place, at as i32);
        }
    }

    /// What the running results in memory come to.
    pub fn total_of_lanes(&mut self, op: Binary, lanes: i64) -> Value {
        let place = self.lanes_place();
        let lanes: Vec<Value> = (0..4 * lanes)
            .step_by(16)
            .map(|at| self.b.ins().load(F32X4, MEMORY, place, at as i32))
            .collect();
        self.across(op, &lanes)
    }

    /// Whether a guard depends on the vectorised variable.
    fn is_guarded_along(&self, plan: &Plan) -> bool {
        let var = plan.vector_var().expect("lanes run along a loop");
        plan.reach
            .bounds
            .iter()
            .any(|b| self.dag.bound_deps(*b).contains(&var))
    }

    fn direct_lanes(&mut self, plan: &Plan, range: Range, sums: &[Value]) -> Vec<Value> {
        let v = plan.v.expect("lanes run along a loop");
        let op = self.op(plan);
        let whole = self.whole_steps(range.lo, range, plan.lanes);
        let sums = self.looped(
            plan,
            v,
            range.lo,
            whole,
            plan.lanes,
            sums,
            &mut |s, sums| {
                let add = |(u, sum): (usize, &Value)| {
                    let value = s.vector_of(plan.value, u as u32);
                    s.combine(op, *sum, value)
                };
                sums.iter().enumerate().map(add).collect()
            },
        );
        if range.multiple_of % plan.lanes == 0 || range.fixed.is_some_and(|n| n % plan.lanes == 0) {
            return sums;
        }
        // At most one iteration: the tail goes through a row that is filled up with neutral elements.
        self.counted(whole, range.hi, plan.lanes, &sums, &mut |s, lo, sums| {
            let row = s.row_start(plan.rows[&VALUE_ROW]);
            let before = s.scaled(lo, 4);
            let base = s.b.ins().isub(row, before);
            s.scope().rows.insert(VALUE_ROW, base);
            s.pad(plan, row);
            let tail = Range {
                lo,
                hi: range.hi,
                multiple_of: 1,
                fixed: Some(1),
            };
            s.sweep(plan, tail, Sink::Row(VALUE_ROW));
            s.add_row(op, row, 0, sums)
        })
    }

    fn row_lanes(&mut self, plan: &Plan, range: Range, sums: &[Value]) -> Vec<Value> {
        let op = self.op(plan);
        self.chunks(plan, range, sums, &mut |s, chunk, sums| {
            let from = s.result_row(plan);
            s.versions(plan, &mut |s| {
                s.stages(plan, chunk);
                if from == VALUE_ROW {
                    s.sweep(plan, chunk, Sink::Row(VALUE_ROW));
                }
            });
            let row = s.row_start(plan.rows[&from]);
            let n = s.b.ins().isub(chunk.hi, chunk.lo);
            let bytes = s.scaled(n, 4);
            let end = s.b.ins().iadd(row, bytes);
            s.pad(plan, end);
            let zero = s.iconst(0);
            s.counted(zero, n, plan.lanes, sums, &mut |s, i, sums| {
                let offset = s.scaled(i, 4);
                let place = s.b.ins().iadd(row, offset);
                s.add_row(op, place, 0, sums)
            })
        })
    }

    /// Neutral elements for all lanes.
    fn pad(&mut self, plan: &Plan, place: Value) {
        let neutral = self.neutral_vector(plan);
        debug_assert!(
            plan.lanes <= super::calls::SUMS,
            "a strip's padding holds them"
        );
        for i in 0..plan.lanes as i32 / 4 {
            self.b.ins().store(MEMORY, neutral, place, 16 * i);
        }
    }

    fn add_row(&mut self, op: Binary, row: Value, offset: i32, sums: &[Value]) -> Vec<Value> {
        let mut next = vec![];
        for (i, sum) in sums.iter().enumerate() {
            let value = self
                .b
                .ins()
                .load(F32X4, MEMORY, row, offset + 16 * i as i32);
            next.push(self.combine(op, *sum, value));
        }
        next
    }

    /// Lanes l and l + half of them, then a quarter, down to l + 1.
    pub fn across(&mut self, op: Binary, sums: &[Value]) -> Value {
        let mut sums = sums.to_vec();
        while sums.len() > 1 {
            let high = sums.split_off(sums.len() / 2);
            for (low, high) in sums.iter_mut().zip(high) {
                *low = self.combine(op, *low, high);
            }
        }
        let four = sums[0];
        let [a, b, c, d] = [0, 1, 2, 3].map(|lane: u8| self.b.ins().extractlane(four, lane));
        let (even, odd) = (self.combine(op, a, c), self.combine(op, b, d));
        self.combine(op, even, odd)
    }

    /// One accumulator, elements in ascending order.
    pub fn chain(&mut self, plan: &Plan) {
        let last = plan.loops.len() - 1;
        self.open(plan, 0, plan.n_outer, &mut |s| {
            let start = s.neutral_scalar(plan);
            let total = match plan.stages.is_empty() {
                true => s.scalar_chain(plan, plan.n_outer, start),
                false => {
                    let totals = s.reduced(plan, plan.n_outer, last, &[start], &mut |s, sums| {
                        let range = s.whole(plan);
                        s.row_chain(plan, range, sums)
                    });
                    totals[0]
                }
            };
            s.store_one(plan, total);
        });
    }

    fn row_chain(&mut self, plan: &Plan, range: Range, sums: &[Value]) -> Vec<Value> {
        let op = self.op(plan);
        self.chunks(plan, range, sums, &mut |s, chunk, sums| {
            s.versions(plan, &mut |s| {
                s.stages(plan, chunk);
                s.sweep(plan, chunk, Sink::Row(VALUE_ROW));
            });
            let row = s.row_start(plan.rows[&VALUE_ROW]);
            let n = s.b.ins().isub(chunk.hi, chunk.lo);
            let zero = s.iconst(0);
            s.counted(zero, n, 1, sums, &mut |s, i, sums| {
                let offset = s.scaled(i, 4);
                let place = s.b.ins().iadd(row, offset);
                let value = s.b.ins().load(F32, MEMORY, place, 0);
                vec![s.combine(op, sums[0], value)]
            })
        })
    }
}
