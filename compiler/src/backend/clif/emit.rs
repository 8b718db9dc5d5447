//! Values: nodes of the graph to scalar or f32x4 instructions at the current point of the loops.
//!
//! Where a variable is vectorised, a node that depends on it is a vector of four elements: number `unroll` of those
//! that one iteration computes. Everything else is a scalar, spread when a vector needs it.

use super::calls::{CallSource, Target};
use super::lower::{Lower, MEMORY};
use crate::equation::{Binary, Relation, Unary};
use crate::tile::dag::{BoundId, GuardId, Math, Node, NodeId, Space};
use crate::tile::sum::{Stride, Sum};
use cranelift_codegen::ir::condcodes::FloatCC;
use cranelift_codegen::ir::immediates::{Ieee32, V128Imm};
use cranelift_codegen::ir::types::{F32, F32X4, I32, I32X4};
use cranelift_codegen::ir::{ConstantData, Endianness, InstBuilder, MemFlagsData, Value};
use std::mem::offset_of;
use vsr_artifact::abi::FnTable;

impl Lower<'_, '_> {
    /// Four elements, spread from one if the node is the same for all.
    pub fn vector_of(&mut self, id: NodeId, unroll: u32) -> Value {
        if self.in_vector(self.dag.node_deps(id)) {
            return self.node(id, unroll);
        }
        if let Some(value) = self.cached(|s| s.vectors.get(&(id, 0))) {
            return value;
        }
        let value = match self.dag.node(id) {
            Node::Lit(bits) => self.vector_constant([*bits; 4]),
            _ => {
                let one = self.node(id, 0);
                self.b.ins().splat(F32X4, one)
            }
        };
        self.scope().vectors.insert((id, 0), value);
        value
    }

    pub fn vector_constant(&mut self, lanes: [u32; 4]) -> Value {
        let bytes: Vec<u8> = lanes.iter().flat_map(|l| l.to_le_bytes()).collect();
        let data = ConstantData::from(V128Imm::from(bytes.as_slice()).0.as_slice());
        let handle = self.b.func.dfg.constants.insert(data);
        self.b.ins().vconst(F32X4, handle)
    }

    /// A vector if the node depends on the vectorised variable, else a scalar.
    pub fn node(&mut self, id: NodeId, unroll: u32) -> Value {
        let vector = self.in_vector(self.dag.node_deps(id));
        let unroll = if vector { unroll } else { 0 };
        if let Some(value) = self.cached(|s| s.nodes.get(&(id, unroll))) {
            return value;
        }
        let value = match vector {
            true => self.vector_node(id, unroll),
            false => self.scalar_node(id),
        };
        self.scope().nodes.insert((id, unroll), value);
        value
    }

    fn scalar_node(&mut self, id: NodeId) -> Value {
        match self.dag.node(id).clone() {
            Node::Lit(bits) => self.b.ins().f32const(Ieee32::with_bits(bits)),
            Node::Load(space, at, guard) => {
                let bounds = self.guard_bounds(guard);
                let (pointer, offset) = self.pointer(space, &at);
                let (pointer, offset) = self.safe(pointer, offset, &bounds);
                self.b.ins().load(F32, MEMORY, pointer, offset)
            }
            Node::FromInt(at) => {
                let int = self.sum(&at);
                self.b.ins().fcvt_from_sint(F32, int)
            }
            Node::Unary(op, a) => {
                let a = self.node(a, 0);
                self.unary(op, a)
            }
            Node::Binary(op, a, b) => {
                let (a, b) = (self.node(a, 0), self.node(b, 0));
                self.scalar_binary(op, a, b)
            }
            Node::Select(relation, args) => {
                let args = args.map(|n| self.node(n, 0));
                let [a, b, yes, no] = args.map(|v| self.b.ins().scalar_to_vector(F32X4, v));
                let mask = self.compare(comparison(relation), a, b);
                let chosen = self.choose(mask, yes, no);
                self.b.ins().extractlane(chosen, 0)
            }
            Node::Guard(guard, inside, outside) => {
                let value = self.node(inside, 0);
                let bounds = self.guard_bounds(Some(guard));
                match self
                    .condition(&bounds)
                    .filter(|_| !self.reads_zero(guard, inside, outside))
                {
                    None => value,
                    Some(condition) => {
                        let outside = self.node(outside, 0);
                        self.b.ins().select(condition, value, outside)
                    }
                }
            }
            Node::Math(math, args) => self
                .row_element(id)
                .unwrap_or_else(|| self.call_one(math, &args)),
            Node::Random { key, normal, at } => self
                .row_element(id)
                .unwrap_or_else(|| self.random_one(key, normal, &at)),
        }
    }

    fn guard_bounds(&self, guard: Option<GuardId>) -> Vec<BoundId> {
        guard.map_or(vec![], |g| self.dag.guard(g).to_vec())
    }

    /// Whether the bound may hold for one element of a vector and fail for another.
    fn differs(&self, bound: BoundId) -> bool {
        let assumed = self.scopes.iter().any(|s| s.assumed.contains(&bound));
        !assumed && self.in_vector(self.dag.bound_deps(bound))
    }

    /// Whether the guard is that of a single load, and 0 what it gives outside: that is where it is read from.
    pub fn reads_zero(&self, guard: GuardId, inside: NodeId, outside: NodeId) -> bool {
        let zero = *self.dag.node(outside) == Node::Lit(0);
        zero && matches!(self.dag.node(inside), Node::Load(_, _, Some(g)) if self.dag.guard(guard).iter().all(|b| self.dag.guard(*g).contains(b)))
    }

    /// A choice of one number is made in vectors, too: else it is a branch, and one that nobody can predict.
    fn scalar_binary(&mut self, op: Binary, a: Value, b: Value) -> Value {
        match op {
            Binary::Min | Binary::Max => {
                let [a, b] = [a, b].map(|v| self.b.ins().scalar_to_vector(F32X4, v));
                let chosen = self.vector_binary(op, a, b);
                self.b.ins().extractlane(chosen, 0)
            }
            op => self.arithmetic(op, a, b),
        }
    }

    fn arithmetic(&mut self, op: Binary, a: Value, b: Value) -> Value {
        match op {
            Binary::Add => self.b.ins().fadd(a, b),
            Binary::Sub => self.b.ins().fsub(a, b),
            Binary::Mul => self.b.ins().fmul(a, b),
            Binary::Div => self.b.ins().fdiv(a, b),
            op => unreachable!("{op:?} is no single instruction"),
        }
    }

    fn unary(&mut self, op: Unary, a: Value) -> Value {
        match op {
            Unary::Neg => self.b.ins().fneg(a),
            Unary::Abs => self.b.ins().fabs(a),
            Unary::Sqrt => self.b.ins().sqrt(a),
            Unary::Floor => self.b.ins().floor(a),
            op => unreachable!("{op:?} is a call of the runtime"),
        }
    }

    /// `a < b ? a : b` and `a > b ? a : b`: one instruction each, in the form that Cranelift recognises.
    pub fn vector_binary(&mut self, op: Binary, a: Value, b: Value) -> Value {
        let condition = match op {
            Binary::Min => self.compare(FloatCC::LessThan, a, b),
            Binary::Max => self.compare(FloatCC::LessThan, b, a),
            op => return self.arithmetic(op, a, b),
        };
        self.choose(condition, a, b)
    }

    /// As `vector_binary`, for one element or four.
    pub fn combine(&mut self, op: Binary, a: Value, b: Value) -> Value {
        match self.b.func.dfg.value_type(a) == F32X4 {
            true => self.vector_binary(op, a, b),
            false => self.scalar_binary(op, a, b),
        }
    }

    /// A mask of two vectors. Without AVX, Cranelift 0.135 folds a load into the comparison although that faults
    /// where the address is not aligned; so what was loaded is named anew.
    fn compare(&mut self, relation: FloatCC, a: Value, b: Value) -> Value {
        let (a, b) = if self.has_avx {
            (a, b)
        } else {
            (self.settled(a), self.settled(b))
        };
        self.b.ins().fcmp(relation, a, b)
    }

    fn settled(&mut self, value: Value) -> Value {
        let flags = MemFlagsData::new().with_endianness(Endianness::Little);
        let bits = self.b.ins().bitcast(I32X4, flags, value);
        self.b.ins().bitcast(F32X4, flags, bits)
    }

    fn choose(&mut self, mask: Value, yes: Value, no: Value) -> Value {
        let flags = MemFlagsData::new().with_endianness(Endianness::Little);
        let mask = self.b.ins().bitcast(F32X4, flags, mask);
        self.b.ins().bitselect(mask, yes, no)
    }

    fn vector_node(&mut self, id: NodeId, unroll: u32) -> Value {
        match self.dag.node(id).clone() {
            Node::Lit(_) => unreachable!("a literal depends on nothing"),
            Node::Load(space, at, guard) => {
                let bounds = self.guard_bounds(guard);
                self.vector_load(space, &at, &bounds, unroll)
            }
            Node::FromInt(at) => self.vector_from_int(&at, unroll),
            Node::Unary(op, a) => {
                let a = self.vector_of(a, unroll);
                self.unary(op, a)
            }
            Node::Binary(op, a, b) => {
                let (a, b) = (self.vector_of(a, unroll), self.vector_of(b, unroll));
                self.vector_binary(op, a, b)
            }
            Node::Select(relation, args) => {
                let [a, b, yes, no] = args.map(|n| self.vector_of(n, unroll));
                let mask = self.compare(comparison(relation), a, b);
                self.choose(mask, yes, no)
            }
            Node::Guard(guard, inside, outside) => {
                let value = self.vector_of(inside, unroll);
                let bounds = self.guard_bounds(Some(guard));
                match self
                    .condition(&bounds)
                    .filter(|_| !self.reads_zero(guard, inside, outside))
                {
                    None => value,
                    Some(condition) => {
                        let outside = self.vector_of(outside, 0);
                        self.b.ins().select(condition, value, outside)
                    }
                }
            }
            Node::Math(..) | Node::Random { .. } => {
                let pointer = self
                    .row_pointer(id)
                    .expect("maths of a vectorised variable has a row");
                self.b
                    .ins()
                    .load(F32X4, MEMORY, pointer, 16 * unroll as i32)
            }
        }
    }

    fn vector_load(&mut self, space: Space, at: &Sum, bounds: &[BoundId], unroll: u32) -> Value {
        let v = self.vector.expect("vector code has a vectorised variable");
        let each = bounds.iter().any(|b| self.differs(*b));
        if !each && self.dag.stride(at, v) == Stride::Linear(Sum::constant(1)) {
            let (pointer, offset) = self.pointer(space, at);
            let (pointer, offset) = self.safe(pointer, offset, bounds);
            return self
                .b
                .ins()
                .load(F32X4, MEMORY, pointer, offset + 16 * unroll as i32);
        }
        let lanes = [0, 1, 2, 3].map(|lane| {
            let lane = 4 * unroll + lane;
            let (pointer, offset) = self.pointer_at(space, at, lane);
            let (pointer, offset) = self.safe_at(pointer, offset, bounds, lane);
            self.b.ins().load(F32, MEMORY, pointer, offset)
        });
        self.gather(lanes)
    }

    fn gather(&mut self, lanes: [Value; 4]) -> Value {
        let first = self.b.ins().scalar_to_vector(F32X4, lanes[0]);
        (1..4).fold(first, |vector, lane| {
            self.b.ins().insertlane(vector, lanes[lane], lane as u8)
        })
    }

    fn vector_from_int(&mut self, at: &Sum, unroll: u32) -> Value {
        let v = self.vector.expect("vector code has a vectorised variable");
        if let Stride::Linear(step) = self.dag.stride(at, v)
            && let Ok(step) = i32::try_from(step.as_constant().unwrap_or(i64::MAX))
        {
            let first = self.sum(at);
            let first = self.b.ins().ireduce(I32, first);
            let first = self.b.ins().splat(I32X4, first);
            let lanes =
                [0, 1, 2, 3].map(|lane| step.wrapping_mul((4 * unroll + lane) as i32) as u32);
            let bytes: Vec<u8> = lanes.iter().flat_map(|l| l.to_le_bytes()).collect();
            let handle = self
                .b
                .func
                .dfg
                .constants
                .insert(ConstantData::from(bytes.as_slice()));
            let steps = self.b.ins().vconst(I32X4, handle);
            let ints = self.b.ins().iadd(first, steps);
            return self.b.ins().fcvt_from_sint(F32X4, ints);
        }
        let lanes = [0, 1, 2, 3].map(|lane| {
            let int = self.sum_at(at, 4 * unroll + lane);
            self.b.ins().fcvt_from_sint(F32, int)
        });
        self.gather(lanes)
    }

    /// Address of a maths result's element at the vectorised (or scalar innermost) variable.
    pub fn row_pointer(&mut self, id: NodeId) -> Option<Value> {
        let base = self.cached(|s| s.rows.get(&id))?;
        let var = self.row_var.expect("rows belong to a variable");
        let at = Sum::atom(self.dag.atom_id(crate::tile::dag::Atom::Var(var))).scale(4);
        let offset = self.sum(&at);
        Some(self.b.ins().iadd(base, offset))
    }

    fn row_element(&mut self, id: NodeId) -> Option<Value> {
        let pointer = self.row_pointer(id)?;
        Some(self.b.ins().load(F32, MEMORY, pointer, 0))
    }

    /// A call for one element, through a place in scratch.
    fn call_one(&mut self, math: Math, args: &[NodeId]) -> Value {
        let args: Vec<Value> = args.iter().map(|a| self.node(*a, 0)).collect();
        let place = self.plus(self.scratch, self.scratch_layout.single);
        for (i, arg) in args.iter().enumerate() {
            self.b.ins().store(MEMORY, *arg, place, 4 * i as i32);
        }
        let one = self.iconst(1);
        let source = self.plain(place);
        let to = self.target(place);
        self.call_math(math, to, source, 4, one);
        self.b.ins().load(F32, MEMORY, place, 0)
    }

    /// Calls a maths function on `n` elements at `from`, results to `row`; a second operand lies `second` bytes further.
    /// `second`: bytes from a first argument to the second.
    pub fn call_math(&mut self, math: Math, to: Target, source: CallSource, second: i64, n: Value) {
        let CallSource { from, scale, shift } = source;
        let Target { to, sums } = to;
        match math {
            Math::One(map) => {
                let args = [to, from, n, sums, scale, shift];
                self.call(FnTable::offset_of_map(map), &args);
            }
            Math::Two(map) => {
                let second = self.plus(from, second);
                self.call(FnTable::offset_of_map2(map), &[to, from, second, n]);
            }
        }
    }

    fn random_one(&mut self, key: u64, normal: bool, at: &Sum) -> Value {
        let place = self.plus(self.scratch, self.scratch_layout.single);
        let first = self.sum(at);
        let one = self.iconst(1);
        self.call_random(key, normal, place, first, one);
        self.b.ins().load(F32, MEMORY, place, 0)
    }

    pub fn call_random(&mut self, key: u64, normal: bool, row: Value, first: Value, n: Value) {
        let (key, normal) = (self.iconst(key as i64), self.iconst(i64::from(normal)));
        self.call(
            offset_of!(FnTable, random),
            &[self.env, row, key, normal, first, n],
        );
    }
}

pub fn comparison(relation: Relation) -> FloatCC {
    match relation {
        Relation::Lt => FloatCC::LessThan,
        Relation::Le => FloatCC::LessThanOrEqual,
        Relation::Gt => FloatCC::GreaterThan,
        Relation::Ge => FloatCC::GreaterThanOrEqual,
        Relation::Eq => FloatCC::Equal,
        Relation::Ne => FloatCC::NotEqual,
    }
}
