//! The loop nest of one `Compute`: opens loops, hoists what does not depend on the inner ones, stores results.

use super::lower::{Lower, MEMORY};
use super::plan::{Plan, Shape, identity, range_step};
use crate::equation::{Binary, Lit};
use crate::tile::dag::{Atom, Dag, Node, NodeId, operands};
use crate::tile::sum::{Stride, Sum};
use crate::tile::{Compute, Leaf, Mode, ReduceOp};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{F32, F32X4};
use cranelift_codegen::ir::{InstBuilder, Value};
use std::collections::HashSet;

/// More induction variables than this would only be spilled.
const MAX_INDUCTION_VARIABLES: usize = 6;

impl Lower<'_, '_> {
    pub fn compute(&mut self, compute: &Compute) {
        let mut dag = Dag::new(Some(compute.to.into()));
        let plan = Plan::new(compute, &mut dag, &self.machine);
        self.dag = dag;
        self.levels = plan.levels();
        self.row_var = plan.vector_var();
        self.vector = plan.vector_var().filter(|_| plan.vectorised);
        match plan.shape {
            Shape::Map => self.map(&plan),
            Shape::Columns => self.columns(&plan),
            Shape::Row => self.accumulator_row(&plan),
            Shape::Lanes => self.lanes(&plan),
            Shape::Chain => self.chain(&plan),
        }
    }

    fn map(&mut self, plan: &Plan) {
        if plan.loops.is_empty() {
            return self.when(plan, 0, &mut |s| s.store_scalar(plan));
        }
        self.open(plan, 0, plan.n_outer, &mut |s| match plan.n_interleaved {
            Some(n_rows) => s.interleaved_row(plan, n_rows),
            None if plan.is_transposed => s.transposed(plan),
            None => s.map_row(plan),
        });
    }

    /// Opens loops `depth..until`; `inner` runs where the outer bounds hold.
    pub fn open(
        &mut self,
        plan: &Plan,
        depth: usize,
        until: usize,
        inner: &mut dyn FnMut(&mut Self),
    ) {
        self.when(plan, depth, &mut |s| {
            s.hoist(plan, depth);
            if depth == until {
                return inner(s);
            }
            let (start, end) = (s.iconst(0), s.sum(&plan.loops[depth].extent));
            s.looped(plan, depth, start, end, 1, &[], &mut |s, _| {
                s.open(plan, depth + 1, until, inner);
                vec![]
            });
        });
    }

    /// Skips `body` where a bound of this level fails.
    pub fn when(&mut self, plan: &Plan, level: usize, body: &mut dyn FnMut(&mut Self)) {
        let here = |b: &u32| self.level(self.dag.bound_deps(*b)) == level;
        let bounds: Vec<u32> = plan.bounds.iter().copied().filter(here).collect();
        match self.condition(&bounds) {
            None => body(self),
            Some(condition) => self.branch(condition, body, &mut |_| {}),
        }
    }

    /// Loop number `index` of the plan, with its variable bound and its addresses advanced by addition.
    #[expect(clippy::too_many_arguments, reason = "a loop has this many parts")]
    pub fn looped(
        &mut self,
        plan: &Plan,
        index: usize,
        start: Value,
        end: Value,
        step: i64,
        carried: &[Value],
        body: &mut dyn FnMut(&mut Self, &[Value]) -> Vec<Value>,
    ) -> Vec<Value> {
        let var = plan.loops[index].var;
        let steps = self.inductions(plan, index + 1);
        let mut all = vec![];
        let mut advances = vec![];
        for sum in &steps {
            let by = self.sum(sum);
            all.push(self.b.ins().imul(start, by));
            advances.push(self.sum(&sum.scale(step)));
        }
        all.extend(carried);
        let n = steps.len();
        let last = self.counted(start, end, step, &all, &mut |s, i, current| {
            s.bind(var, i, 1);
            for (sum, value) in steps.iter().zip(current) {
                s.scope().inductions.insert((var, sum.clone()), *value);
            }
            let next = body(s, &current[n..]);
            let mut result: Vec<Value> = (0..n)
                .map(|k| s.b.ins().iadd(current[k], advances[k]))
                .collect();
            result.extend(next);
            result
        });
        self.vars.remove(&var);
        last[n..].to_vec()
    }

    /// Steps in bytes, other than shifts, by which addresses move with the loop of this level.
    fn inductions(&mut self, plan: &Plan, level: usize) -> Vec<Sum> {
        let mut steps: Vec<Sum> = vec![];
        for (space, at) in &plan.reach.addresses {
            let bytes = self.element_bytes(*space);
            for term in at
                .terms
                .iter()
                .filter(|t| self.level(&self.dag.term_deps(t)) == level)
            {
                let Some((_, step)) = self.induction_of(term, bytes) else {
                    continue;
                };
                let shift = step
                    .as_constant()
                    .is_some_and(|c| c > 0 && c & (c - 1) == 0);
                if !shift && !steps.contains(&step) && steps.len() < MAX_INDUCTION_VARIABLES {
                    steps.push(step);
                }
            }
        }
        steps
    }

    /// Computes, before the loops inside of `depth`, what does not depend on them.
    pub fn hoist(&mut self, plan: &Plan, depth: usize) {
        if depth == plan.loops.len() {
            return;
        }
        for (space, at) in &plan.reach.addresses {
            let part = at.part(|t| self.level(&self.dag.term_deps(t)) <= depth && self.is_plain(t));
            if !part.terms.is_empty() {
                self.moving_pointer(*space, &part);
            }
        }
        for bound in &plan.reach.bounds {
            let deps = self.dag.bound_deps(*bound);
            if self.level(deps) <= depth && !self.in_vector(deps) {
                self.bound(*bound);
            }
        }
        let mut seen = HashSet::new();
        self.hoist_node(plan.value, depth, true, &mut seen);
    }

    /// Whether the term is one number: not an element of its own in each lane of a vector.
    fn is_plain(&self, term: &crate::tile::sum::Term) -> bool {
        let moving = |a: &u32| matches!(self.dag.atom(*a), Atom::Var(_) | Atom::Arg(_));
        term.atoms
            .iter()
            .all(|a| moving(a) || !self.in_vector(self.dag.atom_deps(*a)))
    }

    fn hoist_node(
        &mut self,
        id: NodeId,
        depth: usize,
        in_vector: bool,
        seen: &mut HashSet<NodeId>,
    ) {
        if !seen.insert(id) {
            return;
        }
        let deps = self.dag.node_deps(id);
        let vector = self.in_vector(deps);
        if self.level(deps) <= depth {
            for unroll in 0..if vector { self.unroll } else { 1 } {
                match vector || in_vector && self.vector.is_some() {
                    true => self.vector_of(id, unroll),
                    false => self.node(id, 0),
                };
            }
            return;
        }
        let node = self.dag.node(id).clone();
        for operand in operands(&node) {
            self.hoist_node(operand, depth, vector, seen);
        }
        if let Node::Load(_, at, _) | Node::FromInt(at) | Node::Random { at, .. } = node {
            self.hoist_sum(&at, depth, seen);
        }
    }

    fn hoist_sum(&mut self, sum: &Sum, depth: usize, seen: &mut HashSet<NodeId>) {
        for atom in sum.terms.iter().flat_map(|t| t.atoms.clone()) {
            let deps = self.dag.atom_deps(atom);
            let fixed = self.level(deps) <= depth && !self.in_vector(deps);
            match self.dag.atom(atom).clone() {
                Atom::Var(_) | Atom::Arg(_) => {}
                _ if fixed => {
                    self.sum(&Sum::atom(atom));
                }
                Atom::Div(a, b) | Atom::Rem(a, b) | Atom::Min(a, b) | Atom::Max(a, b) => {
                    self.hoist_sum(&a, depth, seen);
                    self.hoist_sum(&b, depth, seen);
                }
                Atom::Floor(node) => {
                    self.hoist_node(node, depth, self.in_vector(self.dag.node_deps(node)), seen)
                }
                Atom::Whole(w) => w.each_leaf(&mut |leaf| match leaf {
                    Leaf::Val(n) => {
                        self.hoist_node(*n, depth, self.in_vector(self.dag.node_deps(*n)), seen)
                    }
                    Leaf::Int(sum) => self.hoist_sum(sum, depth, seen),
                }),
                Atom::Load(_, at, _) => self.hoist_sum(&at, depth, seen),
            }
        }
    }

    /// The part of `lo..hi` where these bounds hold, each of which holds on a range of the plan's vector variable.
    pub fn narrow(&mut self, plan: &Plan, bounds: &[u32], lo: Value, hi: Value) -> (Value, Value) {
        let var = plan.vector_var().expect("a range has a variable");
        let (mut lo, mut hi) = (lo, hi);
        for bound in bounds {
            let Some(k) = range_step(&self.dag, *bound, var) else {
                continue;
            };
            let (index, extent) = self.dag.bound(*bound).clone();
            let mut rest = index.part(|t| !self.dag.term_deps(t).contains(&var));
            rest.constant = index.constant;
            // k > 0: rest + k·v >= 0 and < extent; k < 0 mirrors the index within the extent.
            let (first, past) = match k > 0 {
                true => (rest.scale(-1), extent.sub(&rest)),
                false => (
                    rest.sub(&extent).add(&Sum::constant(1)),
                    rest.add(&Sum::constant(1)),
                ),
            };
            let (first, past) = (self.ceil(&first, k.abs()), self.ceil(&past, k.abs()));
            lo = self.larger(lo, first);
            hi = self.smaller(hi, past);
        }
        let hi = self.larger(lo, hi);
        (lo, hi)
    }

    fn ceil(&mut self, sum: &Sum, by: i64) -> Value {
        let value = self.sum(&sum.add(&Sum::constant(by - 1)));
        match by {
            1 => value,
            by if by & (by - 1) == 0 => self
                .b
                .ins()
                .sshr_imm_u(value, i64::from(by.trailing_zeros())),
            by => {
                let by = self.iconst(by);
                let quotient = self.b.ins().sdiv(value, by);
                let whole = self.b.ins().imul(quotient, by);
                let rest = self.b.ins().isub(value, whole);
                let negative = self.b.ins().sshr_imm_u(rest, 63);
                self.b.ins().iadd(quotient, negative)
            }
        }
    }

    pub fn larger(&mut self, a: Value, b: Value) -> Value {
        let first = self.b.ins().icmp(IntCC::SignedGreaterThan, a, b);
        self.b.ins().select(first, a, b)
    }

    pub fn smaller(&mut self, a: Value, b: Value) -> Value {
        let first = self.b.ins().icmp(IntCC::SignedLessThan, a, b);
        self.b.ins().select(first, a, b)
    }

    /// The plan's bounds that hold on a range of the vector variable.
    pub fn skips(&self, plan: &Plan) -> Vec<u32> {
        let Some(var) = plan.vector_var() else {
            return vec![];
        };
        plan.bounds
            .iter()
            .copied()
            .filter(|b| self.dag.bound_deps(*b).contains(&var))
            .collect()
    }

    pub fn store_scalar(&mut self, plan: &Plan) {
        let value = self.node(plan.value, 0);
        self.store_one(plan, value);
    }

    /// Stores one element as the mode says.
    pub fn store_one(&mut self, plan: &Plan, value: Value) {
        let (pointer, offset) = self.pointer(plan.to, &plan.at);
        let value = match mode_op(plan.mode) {
            None => value,
            Some(op) => {
                let old = self.b.ins().load(F32, MEMORY, pointer, offset);
                self.combine(op, old, value)
            }
        };
        self.b.ins().store(MEMORY, value, pointer, offset);
    }

    /// Stores vector number `unroll` of the current point.
    pub fn store_vector(&mut self, plan: &Plan, value: Value, unroll: u32) {
        let v = plan
            .vector_var()
            .expect("vector code has a vectorised variable");
        if self.dag.stride(&plan.at, v) == Stride::Linear(Sum::constant(1)) {
            let (pointer, offset) = self.pointer(plan.to, &plan.at);
            let offset = offset + 16 * unroll as i32;
            let value = match mode_op(plan.mode) {
                None => value,
                Some(op) => {
                    let old = self.b.ins().load(F32X4, MEMORY, pointer, offset);
                    self.combine(op, old, value)
                }
            };
            self.b.ins().store(MEMORY, value, pointer, offset);
            return;
        }
        for lane in 0..4 {
            let (pointer, offset) = self.pointer_at(plan.to, &plan.at, 4 * unroll + lane);
            let one = self.b.ins().extractlane(value, lane as u8);
            let one = match mode_op(plan.mode) {
                None => one,
                Some(op) => {
                    let old = self.b.ins().load(F32, MEMORY, pointer, offset);
                    self.combine(op, old, one)
                }
            };
            self.b.ins().store(MEMORY, one, pointer, offset);
        }
    }

    /// The reduction's neutral element, four times.
    pub fn neutral_vector(&mut self, plan: &Plan) -> Value {
        let bits = neutral(plan).to_bits();
        self.vector_constant([bits; 4])
    }

    pub fn neutral_scalar(&mut self, plan: &Plan) -> Value {
        self.b.ins().f32const(neutral(plan))
    }
}

fn neutral(plan: &Plan) -> f32 {
    neutral_of(plan.op.expect("a reduction has an operation"))
}

pub fn neutral_of(op: ReduceOp) -> f32 {
    Lit::get(identity(op)) as f32
}

pub fn mode_op(mode: Mode) -> Option<Binary> {
    match mode {
        Mode::Store | Mode::NonTemporal => None,
        Mode::Add => Some(Binary::Add),
        Mode::Max => Some(Binary::Max),
        Mode::Min => Some(Binary::Min),
    }
}
