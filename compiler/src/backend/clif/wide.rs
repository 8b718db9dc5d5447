//! What a statement does along its row, as a program for the widest vectors, and the call that runs it.
//!
//! A row is wide where nothing along it is chosen by a guard that may fail, and all its elements are adjacent. Its numbers,
//! its addresses and how long it is are computed here, with everything else. A draft emits nothing: whoever asked for it decides.

use super::calls::SUMS;
use super::lower::{Lower, MEMORY};
use super::nest::{mode_op, neutral_of};
use super::plan::{ARGUMENT_BYTES, Plan, VALUE_ROW, combiner};
use super::sweep::{Range, Sink};
use crate::backend::wide::{Level, Op, Ops, Program, Reduction, Store, ValueId, fits};
use crate::equation::{Binary, Unary};
use crate::tile::dag::{GuardId, Math, Node, NodeId, Space, WRITTEN};
use crate::tile::sum::{Stride, Sum};
use crate::tile::{Mode, ReduceOp, Stmt};
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{AbiParam, InstBuilder, Signature};
use std::collections::HashMap;
use std::mem::offset_of;
use vsr_artifact::abi::Env;
use vsr_tile::scalar::Map;

const MINUS_ZERO: u32 = 0x8000_0000;
const ALL_BUT_THE_SIGN: u32 = 0x7fff_ffff;

/// Adjacent elements.
#[derive(Clone, PartialEq)]
enum Operand {
    Memory(Space, Sum),
    Row(NodeId),
    /// Results of a reduction on their way.
    Lanes,
}

/// A program with what its arguments are.
#[derive(Default)]
pub struct Draft {
    program: Program,
    pointers: Vec<Operand>,
    numbers: Vec<NodeId>,
    values: HashMap<NodeId, ValueId>,
}

impl Draft {
    fn pointer(&mut self, operand: Operand) -> usize {
        match self.pointers.iter().position(|p| *p == operand) {
            Some(i) => i,
            None => {
                self.pointers.push(operand);
                self.pointers.len() - 1
            }
        }
    }

    fn finish(mut self) -> Option<Draft> {
        self.program.n_pointers = self.pointers.len();
        self.program.n_numbers = self.numbers.len();
        let room = self.program.argument_bytes() <= ARGUMENT_BYTES as usize;
        let fits = [Level::Avx2, Level::Avx512]
            .iter()
            .all(|l| fits(&self.program, *l));
        (room && fits).then_some(self)
    }
}

/// Whether something is stored non-temporally.
fn has_non_temporal(body: &[Stmt]) -> bool {
    body.iter().any(|stmt| match stmt {
        Stmt::For { body, .. } | Stmt::If { body, .. } => has_non_temporal(body),
        Stmt::Compute(c) => c.mode == Mode::NonTemporal,
        _ => false,
    })
}

impl Ops for Draft {
    /// The same operation is done once.
    fn op(&mut self, op: Op) -> ValueId {
        match self.program.ops.iter().position(|o| *o == op) {
            Some(i) => i,
            None => {
                self.program.ops.push(op);
                self.program.ops.len() - 1
            }
        }
    }
}

impl Lower<'_, '_> {
    /// Applies a draft's sink to its range by a call.
    pub fn wide(&mut self, plan: &Plan, range: Range, draft: &Draft) {
        self.pass_arguments(plan, range, draft);
        let n = self.b.ins().isub(range.hi, range.lo);
        self.call_row(draft.program.clone(), n);
    }

    /// How the sink is applied along rows of `fixed` elements, or of any number, by a call; None where it cannot be.
    pub fn draft(&self, plan: &Plan, fixed: Option<i64>, sink: Sink) -> Option<Draft> {
        let along = self.vector.is_some() && self.vector == plan.vector_var();
        // A shorter row is not worth a call.
        if !self.has_wide_rows || !along || fixed.is_some_and(|n| n < 4 * self.machine.vector()) {
            return None;
        }
        let mut d = Draft::default();
        match sink {
            Sink::Store | Sink::NonTemporal => {
                let value = self.draft_value(plan, plan.value, true, &mut d)?;
                self.draft_store(plan, value, &mut d)?;
                d.program.non_temporal = sink == Sink::NonTemporal;
                d.program.prefetches = d.program.non_temporal;
            }
            Sink::StoreAndSum => {
                d.program.prefetches = true;
                let value = self.draft_value(plan, plan.value, true, &mut d)?;
                self.draft_store(plan, value, &mut d)?;
                d.program.reduction = Some(Reduction {
                    op: Binary::Add,
                    value,
                    pointer: d.pointer(Operand::Lanes),
                    lanes: SUMS as usize,
                    total_from: Some(neutral_of(ReduceOp::Sum).to_bits()),
                });
            }
            Sink::Lanes | Sink::Total => {
                // With fewer lanes rows are short: there, a call costs more than it saves.
                let lanes = plan.stages.is_empty().then_some(plan.lanes);
                let value = self.draft_value(plan, plan.value, false, &mut d)?;
                // A second pass over a row, about what the first has found, has time for that; so has what stores.
                d.program.prefetches =
                    !d.numbers.is_empty() && !has_non_temporal(&self.kernel.body);
                let op = plan.op?;
                let is_total = sink == Sink::Total;
                let to = match is_total && plan.mode == Mode::Store {
                    true => Operand::Memory(plan.to, plan.at.clone()),
                    false => Operand::Lanes,
                };
                d.program.reduction = Some(Reduction {
                    op: combiner(op),
                    value,
                    pointer: d.pointer(to),
                    lanes: lanes.filter(|n| *n == SUMS)? as usize,
                    total_from: is_total.then(|| neutral_of(op).to_bits()),
                });
            }
            Sink::Flush => {
                let pointer = d.pointer(Operand::Row(VALUE_ROW));
                let value = d.op(Op::Load { pointer, bytes: 0 });
                self.draft_store(plan, value, &mut d)?;
            }
            Sink::Arguments(calls) => {
                for (row, argument, bytes) in self.arguments(calls) {
                    let value = self.draft_value(plan, argument, false, &mut d)?;
                    let pointer = d.pointer(Operand::Row(row));
                    d.program.stores.push(Store {
                        value,
                        pointer,
                        bytes,
                    });
                }
            }
            Sink::Row(row) => {
                let value = self.draft_value(plan, plan.value, false, &mut d)?;
                self.draft_row(value, row, &mut d);
            }
            Sink::Accumulate(op) => {
                let value = self.draft_value(plan, plan.value, false, &mut d)?;
                let pointer = d.pointer(Operand::Row(VALUE_ROW));
                let old = d.op(Op::Load { pointer, bytes: 0 });
                let sum = d.op(Op::Binary(combiner(op), old, value));
                self.draft_row(sum, VALUE_ROW, &mut d);
            }
        }
        d.finish()
    }

    fn draft_row(&self, value: ValueId, row: NodeId, d: &mut Draft) {
        let pointer = d.pointer(Operand::Row(row));
        d.program.stores.push(Store {
            value,
            pointer,
            bytes: 0,
        });
    }

    /// To the statement's destination, as its mode says.
    fn draft_store(&self, plan: &Plan, value: ValueId, d: &mut Draft) -> Option<()> {
        let (pointer, bytes) = self.draft_operand(plan, plan.to, &plan.at, d)?;
        let value = match mode_op(plan.mode) {
            None => value,
            Some(op) => {
                let old = d.op(Op::Load { pointer, bytes });
                d.op(Op::Binary(op, old, value))
            }
        };
        d.program.stores.push(Store {
            value,
            pointer,
            bytes,
        });
        Some(())
    }

    fn draft_operand(
        &self,
        plan: &Plan,
        space: Space,
        at: &Sum,
        d: &mut Draft,
    ) -> Option<(usize, i32)> {
        let adjacent = self.dag.stride(at, plan.vector_var()?) == Stride::Linear(Sum::constant(1));
        let bytes = i32::try_from(at.constant * 4).ok()?;
        // Displacements of vectors of one iteration are added.
        let near = bytes.unsigned_abs() < 1 << 30;
        (adjacent && near && self.element_bytes(space) == 4)
            .then(|| (d.pointer(Operand::Memory(space, at.part(|_| true))), bytes))
    }

    /// `stored`: what is computed goes to the destination, so nothing else there may be read.
    fn draft_value(&self, plan: &Plan, id: NodeId, stored: bool, d: &mut Draft) -> Option<ValueId> {
        if let Some(value) = d.values.get(&id) {
            return Some(*value);
        }
        let value = self.draft_node(plan, id, stored, d)?;
        d.values.insert(id, value);
        Some(value)
    }

    fn draft_node(&self, plan: &Plan, id: NodeId, stored: bool, d: &mut Draft) -> Option<ValueId> {
        let var = plan.vector_var()?;
        let node = self.dag.node(id);
        if let Node::Lit(bits) = node {
            return Some(d.op(Op::Lit(*bits)));
        }
        let deps = self.dag.node_deps(id);
        if !deps.contains(&var) {
            if deps.contains(&WRITTEN) {
                return None;
            }
            d.numbers.push(id);
            return Some(d.op(Op::Number(d.numbers.len() - 1)));
        }
        let value = |d: &mut Draft, id: NodeId| self.draft_value(plan, id, stored, d);
        let op = match node {
            Node::Load(space, at, guard) => {
                let other = stored && *space == plan.to && *at != plan.at;
                if other || !self.holds(*guard) {
                    return None;
                }
                let (pointer, bytes) = self.draft_operand(plan, *space, at, d)?;
                Op::Load { pointer, bytes }
            }
            Node::Math(math, args) if self.cached(|s| s.rows.get(&id)).is_none() => {
                let x = value(d, *args.first()?)?;
                return match math {
                    Math::One(Map::Exp) => Some(d.exp(x)),
                    Math::One(Map::Sigmoid) => Some(d.sigmoid(x)),
                    Math::One(Map::Silu) => Some(d.silu(x)),
                    _ => None,
                };
            }
            Node::Math(..) | Node::Random { .. } => {
                self.cached(|s| s.rows.get(&id))?;
                let pointer = d.pointer(Operand::Row(id));
                Op::Load { pointer, bytes: 0 }
            }
            Node::Unary(op, a) => {
                let a = value(d, *a)?;
                match op {
                    Unary::Neg => Op::Xor(a, d.op(Op::Lit(MINUS_ZERO))),
                    Unary::Abs => Op::And(a, d.op(Op::Lit(ALL_BUT_THE_SIGN))),
                    Unary::Sqrt => Op::Sqrt(a),
                    Unary::Floor => Op::Floor(a),
                    _ => return None,
                }
            }
            Node::Binary(op, a, b) => Op::Binary(*op, value(d, *a)?, value(d, *b)?),
            Node::Select(relation, [a, b, yes, no]) => {
                let args = [
                    value(d, *a)?,
                    value(d, *b)?,
                    value(d, *yes)?,
                    value(d, *no)?,
                ];
                Op::Select(*relation, args)
            }
            Node::Guard(guard, inside, _) if self.holds(Some(*guard)) => return value(d, *inside),
            Node::Guard(..) | Node::FromInt(_) | Node::Lit(_) => return None,
        };
        Some(d.op(op))
    }

    /// Whether a guard is known to hold here.
    fn holds(&self, guard: Option<GuardId>) -> bool {
        let assumed = |b: &u32| self.scopes.iter().any(|s| s.assumed.contains(b));
        guard.is_none_or(|g| self.dag.guard(g).iter().all(assumed))
    }

    /// Pointers to the range's first elements, then numbers.
    fn pass_arguments(&mut self, plan: &Plan, range: Range, draft: &Draft) {
        let place = self.plus(self.scratch, self.scratch_layout.arguments);
        let var = plan.vector_var().expect("a row has a loop");
        let pointers: Vec<_> = self.scoped(|s| {
            s.bind(var, range.lo, 1);
            let pointer = |operand: &Operand| match operand {
                Operand::Memory(space, at) => {
                    let (pointer, offset) = s.pointer(*space, at);
                    s.plus(pointer, i64::from(offset))
                }
                Operand::Row(id) => s.row_place(*id),
                Operand::Lanes => s.lanes_place(),
            };
            draft.pointers.iter().map(pointer).collect()
        });
        let mut at = 0;
        for pointer in pointers {
            self.b.ins().store(MEMORY, pointer, place, at);
            at += 8;
        }
        for number in &draft.numbers {
            let number = self.node(*number, 0);
            self.b.ins().store(MEMORY, number, place, at);
            at += 4;
        }
    }

    fn call_row(&mut self, program: Program, n: cranelift_codegen::ir::Value) {
        let number = match self.wide_rows.iter().position(|p| *p == program) {
            Some(number) => number,
            None => {
                self.wide_rows.push(program);
                self.wide_rows.len() - 1
            }
        };
        let signature = *self.row_signature.get_or_insert_with(|| {
            let mut signature = Signature::new(self.b.func.signature.call_conv);
            signature.params.extend([AbiParam::new(I64); 2]);
            self.b.import_signature(signature)
        });
        let place = self.plus(self.scratch, self.scratch_layout.arguments);
        let rows = offset_of!(Env, rows) as i32;
        let rows = self.b.ins().load(I64, MEMORY, self.env, rows);
        let row = self.b.ins().load(I64, MEMORY, rows, 8 * number as i32);
        self.b.ins().call_indirect(signature, row, &[place, n]);
    }
}
