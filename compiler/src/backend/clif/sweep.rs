//! Runs over the innermost loop: ranges where guards hold, vectors and tails.
//!
//! Maths strip-mines the loop. In each chunk, the arguments of the calls are computed into rows of scratch, the
//! calls are made, and the rest goes on with their results.

use super::calls::SUMS;
use super::lower::{LoopBody, Lower, MEMORY};
use super::plan::{Plan, VALUE_ROW, combiner, range_step, strip_bytes, strip_elements};
use super::stmt::Sums;
use super::wide::Draft;
use crate::equation::Binary;
use crate::tile::ReduceOp;
use crate::tile::dag::{BoundId, Math, Node, NodeId};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{F32, F32X4};
use cranelift_codegen::ir::{InstBuilder, Value};

/// What happens to the values of a point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sink<'a> {
    /// The plan's value goes to its destination.
    Store,
    /// Likewise, by non-temporal stores: in wide rows only.
    NonTemporal,
    /// To its destination, and summed up in lanes: in wide rows only.
    StoreAndSum,
    /// The plan's value is reduced into lanes: in wide rows only.
    Lanes,
    /// Likewise, and to one number.
    Total,
    /// Arguments of calls go to their rows.
    Arguments(&'a [NodeId]),
    /// The plan's value goes to a row.
    Row(NodeId),
    /// The plan's value is combined into the value row.
    Accumulate(ReduceOp),
    /// The value row goes to the destination.
    Flush,
}

/// A range of the vectorised variable; its length is a multiple of `multiple_of`, and `fixed` if that is a constant.
#[derive(Clone, Copy)]
pub struct Range {
    pub lo: Value,
    pub hi: Value,
    pub multiple_of: i64,
    pub fixed: Option<i64>,
}

impl Lower<'_, '_> {
    /// The innermost loop of a map.
    pub fn map_row(&mut self, plan: &Plan) {
        self.make_sums(plan);
        let range = self.whole(plan);
        self.versions(plan, &mut |s| {
            let draft = s.draft_whole(plan, range);
            s.wide_or(plan, range, draft, &mut |s| s.map_chunks(plan, range));
        });
    }

    fn map_chunks(&mut self, plan: &Plan, range: Range) {
        let sums = self.sums == Sums::Made;
        if sums {
            let zero = self.vector_constant([0; 4]);
            self.fill_lanes(SUMS, zero);
        }
        self.chunks(plan, range, &[], &mut |s, chunk, _| {
            s.stages(plan, chunk);
            match plan.is_non_temporal {
                _ if s.in_place(plan) => {}
                true => s.store_non_temporal(plan, chunk),
                false => s.sweep(plan, chunk, Sink::Store),
            }
            vec![]
        });
        if sums {
            let total = self.total_of_lanes(Binary::Add, SUMS);
            let place = self.lanes_place();
            self.b.ins().store(MEMORY, total, place, 0);
        }
    }

    /// The whole row in one call, its maths with it; not where the runtime has a function for that.
    fn draft_whole(&self, plan: &Plan, range: Range) -> Option<Draft> {
        let sink = match plan.is_non_temporal {
            _ if self.is_copy(plan) => return None,
            true => Sink::NonTemporal,
            false if self.sums == Sums::Made => Sink::StoreAndSum,
            false => Sink::Store,
        };
        self.draft(plan, range.fixed, sink)
    }

    /// In wide vectors where the row allows it and is worth a call, which may show only when it is reached.
    fn wide_or(
        &mut self,
        plan: &Plan,
        range: Range,
        draft: Option<Draft>,
        narrow: &mut dyn FnMut(&mut Self),
    ) {
        let Some(draft) = draft else {
            return narrow(self);
        };
        if range.fixed.is_some() {
            return self.wide(plan, range, &draft);
        }
        let n = self.b.ins().isub(range.hi, range.lo);
        // Whether it is long is asked for each row: that must be worth it.
        let least = self.iconst(8 * self.machine.vector());
        let long = self.b.ins().icmp(IntCC::SignedGreaterThanOrEqual, n, least);
        self.branch(long, &mut |s| s.wide(plan, range, &draft), narrow);
    }

    /// The row that holds the plan's value: that of a call, if a call makes it.
    pub fn result_row(&self, plan: &Plan) -> NodeId {
        match plan.rows.contains_key(&plan.value) {
            true => plan.value,
            false => VALUE_ROW,
        }
    }

    /// The vectorised loop's range, where its elements are not skipped.
    pub fn whole(&mut self, plan: &Plan) -> Range {
        let v = plan.v.expect("a row has a loop");
        let extent = plan.loops[v].extent.clone();
        let skips = self.skips(plan);
        let (lo, hi) = (self.iconst(0), self.sum(&extent));
        if skips.is_empty() {
            return Range {
                lo,
                hi,
                multiple_of: self.multiple_of(&extent).max(1),
                fixed: extent.as_constant(),
            };
        }
        let (lo, hi) = self.narrow(plan, &skips, lo, hi);
        Range {
            lo,
            hi,
            multiple_of: 1,
            fixed: None,
        }
    }

    /// One version where all guards of the outer loops hold, one that tests them at every read.
    pub fn versions(&mut self, plan: &Plan, body: &mut dyn FnMut(&mut Self)) {
        self.versions_above(plan, plan.v.map_or(0, |v| v + 1), body);
    }

    /// As `versions`, for the guards of the loops above this level.
    pub fn versions_above(&mut self, plan: &Plan, level: usize, body: &mut dyn FnMut(&mut Self)) {
        let outer = |b: &BoundId| self.level(self.dag.bound_deps(*b)) < level;
        let outer: Vec<BoundId> = plan.reach.bounds.iter().copied().filter(outer).collect();
        let Some(condition) = self.condition(&outer) else {
            return body(self);
        };
        let (yes, no, join) = (
            self.b.create_block(),
            self.b.create_block(),
            self.b.create_block(),
        );
        self.b.ins().brif(condition, yes, &[], no, &[]);
        self.b.switch_to_block(yes);
        self.scoped(|s| {
            s.scope().assumed.extend(outer);
            body(s);
        });
        self.b.ins().jump(join, &[]);
        self.b.switch_to_block(no);
        self.scoped(|s| body(s));
        self.b.ins().jump(join, &[]);
        self.b.switch_to_block(join);
    }

    /// Cuts a range so that maths results fit into their rows, which are made known to the body.
    pub fn chunks(
        &mut self,
        plan: &Plan,
        range: Range,
        carried: &[Value],
        body: LoopBody<'_, Self, Range>,
    ) -> Vec<Value> {
        if plan.rows.is_empty() {
            return body(self, range, carried);
        }
        let strip = strip_elements(&self.machine);
        if range.fixed.is_some_and(|n| n <= strip) {
            return self.scoped(|s| {
                s.place_rows(plan, range.lo);
                body(s, range, carried)
            });
        }
        self.counted(range.lo, range.hi, strip, carried, &mut |s, lo, carried| {
            let end = s.plus(lo, strip);
            let hi = s.smaller(end, range.hi);
            s.place_rows(plan, lo);
            body(
                s,
                Range {
                    lo,
                    hi,
                    multiple_of: range.multiple_of,
                    fixed: None,
                },
                carried,
            )
        })
    }

    fn place_rows(&mut self, plan: &Plan, lo: Value) {
        let before = self.scaled(lo, 4);
        let mut rows: Vec<(NodeId, i64)> = plan.rows.iter().map(|(n, r)| (*n, *r)).collect();
        rows.sort_unstable();
        for (node, row) in rows {
            let start = self.row_start(row);
            let base = self.b.ins().isub(start, before);
            self.scope().rows.insert(node, base);
        }
    }

    pub fn row_start(&mut self, row: i64) -> Value {
        let offset = self.scratch_layout.rows + row * strip_bytes(&self.machine);
        self.plus(self.scratch, offset)
    }

    /// Address of the current element of a row.
    pub fn row_place(&mut self, row: NodeId) -> Value {
        self.row_pointer(row).expect("the row is placed")
    }

    /// Applies the sink to every point of the range: vectors where every guard holds.
    pub fn sweep(&mut self, plan: &Plan, range: Range, sink: Sink) {
        if matches!(sink, Sink::Flush) || self.vector.is_none() {
            return self.run(plan, range, sink);
        }
        let var = plan.vector_var().expect("a sweep has a loop");
        let moving: Vec<BoundId> = plan
            .reach
            .bounds
            .iter()
            .copied()
            .filter(|b| self.dag.bound_deps(*b).contains(&var))
            .collect();
        if moving.is_empty() {
            return self.run(plan, range, sink);
        }
        let (moving, single): (Vec<BoundId>, Vec<BoundId>) = moving
            .into_iter()
            .partition(|b| range_step(&self.dag, *b, var).is_some());
        if !self.read_singly(plan, &single) {
            return self.run_scalar(plan, range.lo, range.hi, sink);
        }
        if moving.is_empty() {
            return self.run(plan, range, sink);
        }
        let (lo, hi) = self.narrow(plan, &moving, range.lo, range.hi);
        // The narrowed range may be empty and lie past the end.
        let (lo, hi) = (self.smaller(lo, range.hi), self.smaller(hi, range.hi));
        self.run_scalar(plan, range.lo, lo, sink);
        self.scoped(|s| {
            s.scope().assumed.extend(moving);
            s.run(
                plan,
                Range {
                    lo,
                    hi,
                    multiple_of: 1,
                    fixed: None,
                },
                sink,
            );
        });
        self.run_scalar(plan, hi, range.hi, sink);
    }

    /// Whether these bounds only choose between an element and 0: then a vector is read element by element.
    fn read_singly(&self, plan: &Plan, bounds: &[BoundId]) -> bool {
        let by_read = |n: &NodeId| match self.dag.node(*n) {
            Node::Guard(g, inside, outside) => {
                let ours = self.dag.guard(*g).iter().any(|b| bounds.contains(b));
                !ours || self.reads_zero(*g, *inside, *outside)
            }
            _ => true,
        };
        plan.reach.nodes.iter().all(by_read)
    }

    fn run(&mut self, plan: &Plan, range: Range, sink: Sink) {
        let draft = self.draft(plan, range.fixed, sink);
        self.wide_or(plan, range, draft, &mut |s| s.run_narrow(plan, range, sink));
    }

    fn run_narrow(&mut self, plan: &Plan, range: Range, sink: Sink) {
        if self.vector.is_none() || range.fixed.is_some_and(|n| n < 4) {
            return self.run_scalar(plan, range.lo, range.hi, sink);
        }
        let v = plan.v.expect("a sweep has a loop");
        let mut from = range.lo;
        let mut exact = range.multiple_of;
        for unroll in unrolls(
            range.fixed,
            if matches!(sink, Sink::Flush) {
                1
            } else {
                plan.reach.nodes.len()
            },
        ) {
            let step = 4 * i64::from(unroll);
            let to = self.whole_steps(from, range, step);
            self.looped(plan, v, from, to, step, &[], &mut |s, _| {
                (0..unroll).for_each(|u| s.vector_point(plan, u, sink));
                vec![]
            });
            from = to;
            exact = range.multiple_of.max(range.fixed.map_or(1, |n| n & -n));
            if exact % step == 0 {
                return;
            }
        }
        if exact % 4 != 0 {
            self.run_scalar(plan, from, range.hi, sink);
        }
    }

    /// The end of the whole steps that fit between `from` and the range's end.
    pub fn whole_steps(&mut self, from: Value, range: Range, step: i64) -> Value {
        if range.multiple_of % step == 0 || range.fixed.is_some_and(|n| n % step == 0) {
            return range.hi;
        }
        let n = self.b.ins().isub(range.hi, from);
        let mask = self.iconst(-step);
        let whole = self.b.ins().band(n, mask);
        self.b.ins().iadd(from, whole)
    }

    fn run_scalar(&mut self, plan: &Plan, lo: Value, hi: Value, sink: Sink) {
        let level = plan.v.map_or(0, |v| v + 1);
        let skips = !plan.vectorised;
        self.scalar_loop(plan, lo, hi, &mut |s| match skips {
            true => s.when(plan, level, &mut |s| s.scalar_point(plan, sink)),
            false => s.scalar_point(plan, sink),
        });
    }

    /// One element after another.
    pub fn scalar_loop(
        &mut self,
        plan: &Plan,
        lo: Value,
        hi: Value,
        body: &mut dyn FnMut(&mut Self),
    ) {
        let vector = self.vector.take();
        let v = plan.v.expect("a sweep has a loop");
        self.looped(plan, v, lo, hi, 1, &[], &mut |s, _| {
            body(s);
            vec![]
        });
        self.vector = vector;
    }

    fn vector_point(&mut self, plan: &Plan, unroll: u32, sink: Sink) {
        let at = 16 * unroll as i32;
        match sink {
            Sink::NonTemporal | Sink::StoreAndSum | Sink::Lanes | Sink::Total => {
                unreachable!("{sink:?} is drafted")
            }
            Sink::Store => {
                let value = self.vector_of(plan.value, unroll);
                self.store_vector(plan, value, unroll);
            }
            Sink::Arguments(calls) => {
                for (row, argument, offset) in self.arguments(calls) {
                    let value = self.vector_of(argument, unroll);
                    let place = self.row_place(row);
                    self.b.ins().store(MEMORY, value, place, at + offset);
                }
            }
            Sink::Row(row) => {
                let value = self.vector_of(plan.value, unroll);
                let place = self.row_place(row);
                self.b.ins().store(MEMORY, value, place, at);
            }
            Sink::Accumulate(op) => {
                let value = self.vector_of(plan.value, unroll);
                let place = self.row_place(VALUE_ROW);
                let old = self.b.ins().load(F32X4, MEMORY, place, at);
                let value = self.combine(combiner(op), old, value);
                self.b.ins().store(MEMORY, value, place, at);
            }
            Sink::Flush => {
                let place = self.row_place(VALUE_ROW);
                let value = self.b.ins().load(F32X4, MEMORY, place, at);
                self.store_vector(plan, value, unroll);
            }
        }
    }

    fn scalar_point(&mut self, plan: &Plan, sink: Sink) {
        match sink {
            Sink::NonTemporal | Sink::StoreAndSum | Sink::Lanes | Sink::Total => {
                unreachable!("{sink:?} is drafted")
            }
            Sink::Store => self.store_scalar(plan),
            Sink::Arguments(calls) => {
                for (row, argument, offset) in self.arguments(calls) {
                    let value = self.node(argument, 0);
                    let place = self.row_place(row);
                    self.b.ins().store(MEMORY, value, place, offset);
                }
            }
            Sink::Row(row) => {
                let value = self.node(plan.value, 0);
                let place = self.row_place(row);
                self.b.ins().store(MEMORY, value, place, 0);
            }
            Sink::Accumulate(op) => {
                let value = self.node(plan.value, 0);
                let place = self.row_place(VALUE_ROW);
                let old = self.b.ins().load(F32, MEMORY, place, 0);
                let value = self.combine(combiner(op), old, value);
                self.b.ins().store(MEMORY, value, place, 0);
            }
            Sink::Flush => {
                let place = self.row_place(VALUE_ROW);
                let value = self.b.ins().load(F32, MEMORY, place, 0);
                self.store_one(plan, value);
            }
        }
    }

    /// (row, argument, byte offset of the argument's row) of every argument of these calls.
    pub fn arguments(&self, calls: &[NodeId]) -> Vec<(NodeId, NodeId, i32)> {
        let mut found = vec![];
        let strip = strip_bytes(&self.machine) as i32;
        for call in calls {
            let Node::Math(math, args) = self.dag.node(*call) else {
                continue;
            };
            debug_assert_eq!(args.len() == 2, matches!(math, Math::Two(_)));
            found.extend(
                args.iter()
                    .enumerate()
                    .map(|(i, a)| (*call, *a, strip * i as i32)),
            );
        }
        found
    }
}

/// Vectors an iteration, of the main loop and then of the rest: more where there is little to do for each.
fn unrolls(fixed: Option<i64>, n_nodes: usize) -> Vec<u32> {
    let most = match n_nodes {
        0..=12 => 4,
        13..=40 => 2,
        _ => 1,
    };
    let fit = |u: u32| fixed.is_none_or(|n| n >= 4 * i64::from(u));
    let main = [most, 2, 1]
        .into_iter()
        .find(|u| *u <= most && fit(*u))
        .unwrap_or(1);
    if main == 1 { vec![1] } else { vec![main, 1] }
}
