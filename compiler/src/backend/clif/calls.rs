//! Calls of the runtime along a row: maths, random numbers, non-temporal stores.
//!
//! A call takes its elements from memory or from the row of another call, scaled or shifted by what is the same for all
//! of them; where that is not enough, they are computed into its own row before. Results stay in that row, unless they
//! are the statement's own: those go where they belong. What is computed, and in which order it is summed up, is the
//! statement's affair: nothing here changes a bit of it.

use super::lower::{Lower, MEMORY};
use super::plan::{Plan, Shape, VALUE_ROW, strip_bytes};
use super::stmt::Sums;
use super::sweep::{Range, Sink};
use crate::equation::{Binary, Unary};
use crate::tile::dag::{Dag, Node, NodeId, Space, WRITTEN};
use crate::tile::sum::{Stride, Sum};
use crate::tile::{Compute, Mode};
use cranelift_codegen::ir::types::F32;
use cranelift_codegen::ir::{InstBuilder, Value};
use std::mem::offset_of;
use vsr_artifact::abi::FnTable;

/// Running sums of a call's results: element e goes to number e % 32.
pub const SUMS: i64 = 32;

/// The row that a call reads: `scale·element + shift`; the scale is ±1 or there is no shift.
struct Operand {
    elements: Elements,
    scale: Factor,
    shift: Option<Shift>,
}

enum Elements {
    /// Adjacent ones in memory.
    At(Space, Sum),
    /// Results of another call.
    Row(NodeId),
}

#[derive(Clone, Copy)]
enum Factor {
    One,
    MinusOne,
    Node(NodeId),
}

#[derive(Clone, Copy)]
struct Shift {
    by: NodeId,
    negated: bool,
}

/// What a call computes from its elements, as values.
#[derive(Clone, Copy)]
pub struct CallSource {
    pub from: Value,
    pub scale: Value,
    pub shift: Value,
}

/// Where a call's results go: an address, and that of running sums or 0.
#[derive(Clone, Copy)]
pub struct Target {
    pub to: Value,
    pub sums: Value,
}

impl Lower<'_, '_> {
    /// Computes all calls along the chunk.
    pub fn stages(&mut self, plan: &Plan, chunk: Range) {
        for stage in &plan.stages {
            let written: Vec<NodeId> = stage
                .iter()
                .copied()
                .filter(|n| matches!(self.dag.node(*n), Node::Math(..)))
                .filter(|n| self.argument(plan, *n).is_none())
                .collect();
            if !written.is_empty() {
                self.sweep(plan, chunk, Sink::Arguments(&written));
            }
            let n = self.b.ins().isub(chunk.hi, chunk.lo);
            for id in stage {
                match self.dag.node(*id).clone() {
                    Node::Math(math, _) => {
                        let row = self.row_start(plan.rows[id]);
                        let source = match self.argument(plan, *id) {
                            Some(operand) => self.source(plan, chunk, &operand),
                            None => self.plain(row),
                        };
                        let mut to = self.target(row);
                        if self.in_place(plan) && *id == plan.value {
                            to.to = self.destination(plan, chunk);
                            if self.sums == Sums::Made {
                                to.sums = self.lanes_place();
                            }
                        }
                        self.call_math(math, to, source, strip_bytes(&self.machine), n)
                    }
                    Node::Random { key, normal, at } => {
                        self.random_row(plan, chunk, *id, (key, normal), &at)
                    }
                    node => unreachable!("{node:?} is no call"),
                }
            }
        }
    }

    /// Before a row whose results shall be summed up: whether its calls will.
    pub fn make_sums(&mut self, plan: &Plan) {
        let one = matches!(self.dag.node(plan.value), Node::Math(_, args) if args.len() == 1);
        if self.sums != Sums::Wanted || !one || !self.in_place(plan) {
            return;
        }
        self.sums = Sums::Made;
    }

    /// The sum of what the statement before has computed.
    pub fn take_sums(&mut self, sum: &Compute) {
        let mut dag = Dag::new(Some(sum.to.into()));
        let plan = Plan::new(sum, &mut dag, &self.machine);
        self.dag = dag;
        let place = self.lanes_place();
        let total = self.b.ins().load(F32, MEMORY, place, 0);
        self.store_one(&plan, total);
    }

    /// Where calls leave what they reduce: lanes, or one number.
    pub fn lanes_place(&mut self) -> Value {
        self.plus(self.scratch, self.scratch_layout.lanes)
    }

    /// Stores the chunk's values non-temporally.
    pub fn store_non_temporal(&mut self, plan: &Plan, chunk: Range) {
        let operand = self.operand(plan, plan.value);
        if operand.is_none()
            && let Some(draft) = self.draft(plan, chunk.fixed, Sink::NonTemporal)
        {
            return self.wide(plan, chunk, &draft);
        }
        let source = match operand {
            Some(operand) => self.source(plan, chunk, &operand),
            None => {
                self.sweep(plan, chunk, Sink::Row(VALUE_ROW));
                let row = self.row_start(plan.rows[&VALUE_ROW]);
                self.plain(row)
            }
        };
        let to = self.destination(plan, chunk);
        let n = self.b.ins().isub(chunk.hi, chunk.lo);
        let args = [to, source.from, n, source.scale, source.shift];
        self.call(offset_of!(FnTable, copy_non_temporal), &args);
    }

    /// Whether the statement is one call along its row, whose results may go to their destination at once.
    pub fn in_place(&self, plan: &Plan) -> bool {
        let Some(var) = plan.vector_var() else {
            return false;
        };
        let free = plan.bounds.is_empty() && plan.reach.bounds.is_empty();
        let own = plan.shape == Shape::Map && plan.mode == Mode::Store;
        let one = matches!(self.dag.node(plan.value), Node::Math(..));
        let read = |n: &NodeId| match self.dag.node(*n) {
            Node::Load(space, at, _) => *space == plan.to && *at != plan.at,
            _ => false,
        };
        free && own
            && one
            && plan.rows.contains_key(&plan.value)
            && self.dag.stride(&plan.at, var) == Stride::Linear(Sum::constant(1))
            && !plan.reach.nodes.iter().any(read)
    }

    /// Whether the statement copies its row non-temporally, or a multiple.
    pub fn is_copy(&self, plan: &Plan) -> bool {
        let copied = |o: &Operand| matches!(o.elements, Elements::At(..));
        plan.is_non_temporal && self.operand(plan, plan.value).as_ref().is_some_and(copied)
    }

    fn destination(&mut self, plan: &Plan, chunk: Range) -> Value {
        self.address(plan, chunk, plan.to, &plan.at)
    }

    /// Where the chunk's first element lies.
    pub fn address(&mut self, plan: &Plan, chunk: Range, space: Space, at: &Sum) -> Value {
        let var = plan.vector_var().expect("a row has a loop");
        let (first, offset) = self.scoped(|s| {
            s.bind(var, chunk.lo, 1);
            s.pointer(space, at)
        });
        self.plus(first, i64::from(offset))
    }

    /// The one argument of a call, if the call can compute it itself.
    fn argument(&self, plan: &Plan, call: NodeId) -> Option<Operand> {
        match self.dag.node(call) {
            Node::Math(_, args) if args.len() == 1 => self.operand(plan, args[0]),
            _ => None,
        }
    }

    fn operand(&self, plan: &Plan, id: NodeId) -> Option<Operand> {
        let elements = |a: NodeId, scale: Factor, shift: Option<Shift>| {
            Some(Operand {
                elements: self.elements(plan, a)?,
                scale,
                shift,
            })
        };
        let plus = |by| Some(Shift { by, negated: false });
        let minus = |by| Some(Shift { by, negated: true });
        let same = |n: NodeId| self.is_same_along(plan, n);
        match *self.dag.node(id) {
            Node::Binary(Binary::Sub, a, b) if same(b) => elements(a, Factor::One, minus(b)),
            Node::Binary(Binary::Sub, a, b) if same(a) => elements(b, Factor::MinusOne, plus(a)),
            Node::Binary(Binary::Add, a, b) if same(b) => elements(a, Factor::One, plus(b)),
            Node::Binary(Binary::Add, a, b) if same(a) => elements(b, Factor::One, plus(a)),
            Node::Binary(Binary::Mul, a, b) if same(b) => elements(a, Factor::Node(b), None),
            Node::Binary(Binary::Mul, a, b) if same(a) => elements(b, Factor::Node(a), None),
            Node::Unary(Unary::Neg, a) => elements(a, Factor::MinusOne, None),
            _ => elements(id, Factor::One, None),
        }
    }

    fn elements(&self, plan: &Plan, id: NodeId) -> Option<Elements> {
        let var = plan.vector_var()?;
        match self.dag.node(id) {
            Node::Load(space, at, None)
                if self.dag.stride(at, var) == Stride::Linear(Sum::constant(1)) =>
            {
                Some(Elements::At(*space, at.clone()))
            }
            Node::Math(..) | Node::Random { .. } if plan.rows.contains_key(&id) => {
                Some(Elements::Row(id))
            }
            _ => None,
        }
    }

    fn is_same_along(&self, plan: &Plan, id: NodeId) -> bool {
        let deps = self.dag.node_deps(id);
        !deps.contains(&WRITTEN) && plan.vector_var().is_some_and(|v| !deps.contains(&v))
    }

    fn source(&mut self, plan: &Plan, chunk: Range, operand: &Operand) -> CallSource {
        let from = match &operand.elements {
            Elements::At(space, at) => self.address(plan, chunk, *space, at),
            Elements::Row(id) => self.row_start(plan.rows[id]),
        };
        let plain = self.plain(from);
        let scale = match operand.scale {
            Factor::One => plain.scale,
            Factor::MinusOne => self.b.ins().f32const(-1.0),
            Factor::Node(id) => self.node(id, 0),
        };
        let shift = match operand.shift {
            None => plain.shift,
            Some(Shift { by, negated }) => {
                let by = self.node(by, 0);
                match negated {
                    true => self.b.ins().fneg(by),
                    false => by,
                }
            }
        };
        CallSource { from, scale, shift }
    }

    /// Elements as they are: adding -0 keeps the sign of zeros.
    pub fn plain(&mut self, from: Value) -> CallSource {
        CallSource {
            from,
            scale: self.b.ins().f32const(1.0),
            shift: self.b.ins().f32const(-0.0),
        }
    }

    /// To memory and nowhere else.
    pub fn target(&mut self, to: Value) -> Target {
        let sums = self.iconst(0);
        Target { to, sums }
    }

    fn random_row(
        &mut self,
        plan: &Plan,
        chunk: Range,
        id: NodeId,
        (key, normal): (u64, bool),
        at: &Sum,
    ) {
        let var = plan.vector_var().expect("a row has a loop");
        if self.dag.stride(at, var) == Stride::Linear(Sum::constant(1)) {
            let row = self.row_start(plan.rows[&id]);
            let n = self.b.ins().isub(chunk.hi, chunk.lo);
            let first = self.scoped(|s| {
                s.bind(var, chunk.lo, 1);
                s.sum(at)
            });
            return self.call_random(key, normal, row, first, n);
        }
        self.scalar_loop(plan, chunk.lo, chunk.hi, &mut |s| {
            let place = s.row_place(id);
            let (first, one) = (s.sum(at), s.iconst(1));
            s.call_random(key, normal, place, first, one);
        });
    }
}
