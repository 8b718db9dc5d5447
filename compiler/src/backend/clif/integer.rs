//! Integers and addresses: sums of products to instructions, each part in the outermost scope where it is asked for.

use super::emit::comparison;
use super::lower::{KnownInt, Lower, MEMORY};
use crate::equation::{Binary, EXACT, NOWHERE, Unary};
use crate::tile::dag::{Atom, BoundId, NodeId, Space};
use crate::tile::sum::{AtomId, Stride, Sum, Term};
use crate::tile::{Int, Var, Wide};
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::types::{F32X4, F64, I32X4, I64};
use cranelift_codegen::ir::{InstBuilder, Value};

impl Lower<'_, '_> {
    /// An integer outside of any Compute.
    pub fn int(&mut self, int: &Int) -> Value {
        let sum = self.dag.int(int, None);
        self.sum(&sum)
    }

    pub fn known(&mut self, int: &Int) -> KnownInt {
        let sum = self.dag.int(int, None);
        let (not_negative, multiple_of) = (self.not_negative(&sum), self.multiple_of(&sum).max(1));
        KnownInt {
            value: self.sum(&sum),
            not_negative,
            multiple_of,
        }
    }

    pub fn sum(&mut self, sum: &Sum) -> Value {
        self.sum_at(sum, 0)
    }

    /// The sum for the vectorised variable advanced by `lane`.
    pub fn sum_at(&mut self, sum: &Sum, lane: u32) -> Value {
        let lane = if self.in_vector(&self.dag.sum_deps(sum)) {
            lane
        } else {
            0
        };
        let key = (sum.clone(), lane);
        if let Some(value) = self.cached(|s| s.sums.get(&key)) {
            return value;
        }
        let mut total = None;
        for term in &sum.terms {
            let value = self.term(term, lane);
            total = Some(match total {
                None => value,
                Some(sum) => self.b.ins().iadd(sum, value),
            });
        }
        let value = match total {
            None => self.iconst(sum.constant),
            Some(total) => self.plus(total, sum.constant),
        };
        self.scope().sums.insert(key, value);
        value
    }

    pub fn in_vector(&self, deps: &[Var]) -> bool {
        self.vector.is_some_and(|v| deps.contains(&v))
    }

    fn term(&mut self, term: &Term, lane: u32) -> Value {
        let mut product = self.atom(term.atoms[0], lane);
        for atom in &term.atoms[1..] {
            let factor = self.atom(*atom, lane);
            product = self.b.ins().imul(product, factor);
        }
        match term.k {
            -1 => self.b.ins().ineg(product),
            k => self.scaled(product, k),
        }
    }

    fn atom(&mut self, id: AtomId, lane: u32) -> Value {
        let lane = if self.in_vector(self.dag.atom_deps(id)) {
            lane
        } else {
            0
        };
        if let Some(value) = self.cached(|s| s.atoms.get(&(id, lane))) {
            return value;
        }
        let value = match self.dag.atom(id).clone() {
            Atom::Var(v) => {
                let value = self
                    .vars
                    .get(&v)
                    .expect("a variable is bound before its use")
                    .value;
                self.plus(value, i64::from(lane))
            }
            Atom::Arg(a) => self.args[a as usize],
            Atom::Div(a, b) => self.division(&a, &b, lane, true),
            Atom::Rem(a, b) => self.division(&a, &b, lane, false),
            Atom::Min(a, b) => self.choice(&a, &b, lane, IntCC::SignedLessThan),
            Atom::Max(a, b) => self.choice(&a, &b, lane, IntCC::SignedGreaterThan),
            Atom::Floor(node) => self.floor(node, lane),
            Atom::Whole(wide) => self.whole_number(&wide, lane),
            Atom::Load(space, at, guard) => {
                let bounds = guard.map_or(vec![], |g| self.dag.guard(g).to_vec());
                let (pointer, offset) = self.pointer_at(space, &at, lane);
                let (pointer, offset) = self.safe(pointer, offset, &bounds);
                self.b.ins().load(I64, MEMORY, pointer, offset)
            }
        };
        self.scope().atoms.insert((id, lane), value);
        value
    }

    fn choice(&mut self, a: &Sum, b: &Sum, lane: u32, relation: IntCC) -> Value {
        let (a, b) = (self.sum_at(a, lane), self.sum_at(b, lane));
        let first = self.b.ins().icmp(relation, a, b);
        self.b.ins().select(first, a, b)
    }

    /// Floor division or its remainder; the divisor is positive.
    fn division(&mut self, a: &Sum, by: &Sum, lane: u32, quotient: bool) -> Value {
        let x = self.sum_at(a, lane);
        if let Some(n) = by.as_constant().filter(|n| n & (n - 1) == 0) {
            return match quotient {
                true => self.b.ins().sshr_imm_u(x, i64::from(n.trailing_zeros())),
                false => {
                    let mask = self.iconst(n - 1);
                    self.b.ins().band(x, mask)
                }
            };
        }
        let y = self.sum_at(by, lane);
        if self.not_negative(a) {
            return if quotient {
                self.b.ins().udiv(x, y)
            } else {
                self.b.ins().urem(x, y)
            };
        }
        let truncated = self.b.ins().sdiv(x, y);
        let whole = self.b.ins().imul(truncated, y);
        let rest = self.b.ins().isub(x, whole);
        // All ones where the remainder came out negative.
        let negative = self.b.ins().sshr_imm_u(rest, 63);
        match quotient {
            true => self.b.ins().iadd(truncated, negative),
            false => {
                let up = self.b.ins().band(negative, y);
                self.b.ins().iadd(rest, up)
            }
        }
    }

    /// Floor of a value; i32::MIN for NaN and what has no 32 bits, as the machine's own conversion gives it.
    fn floor(&mut self, node: u32, lane: u32) -> Value {
        let (ints, lane) = match self.in_vector(self.dag.node_deps(node)) {
            true => (self.floors(node, lane / 4), lane % 4),
            false => {
                let value = self.node(node, 0);
                let value = self.b.ins().scalar_to_vector(F32X4, value);
                (self.whole_lanes(value), 0)
            }
        };
        let int = self.b.ins().extractlane(ints, lane as u8);
        self.b.ins().sextend(I64, int)
    }

    fn whole_lanes(&mut self, value: Value) -> Value {
        let whole = self.b.ins().floor(value);
        self.b.ins().x86_cvtt2dq(I32X4, whole)
    }

    /// Floors of vector number `unroll`.
    fn floors(&mut self, node: u32, unroll: u32) -> Value {
        if let Some(value) = self.cached(|s| s.floors.get(&(node, unroll))) {
            return value;
        }
        let value = self.vector_of(node, unroll);
        debug_assert_eq!(self.b.func.dfg.value_type(value), F32X4);
        let ints = self.whole_lanes(value);
        self.scope().floors.insert((node, unroll), ints);
        ints
    }

    /// The whole number that a wide expression comes to, or nowhere.
    fn whole_number(&mut self, wide: &Wide<NodeId, Sum>, lane: u32) -> Value {
        let value = self.wide_value(wide, lane);
        let size = self.b.ins().fabs(value);
        let largest = self.b.ins().f64const(EXACT);
        let exact = self.b.ins().fcmp(FloatCC::LessThan, size, largest);
        let int = self.b.ins().fcvt_to_sint_sat(I64, value);
        let nowhere = self.iconst(NOWHERE);
        self.b.ins().select(exact, int, nowhere)
    }

    fn wide_value(&mut self, wide: &Wide<NodeId, Sum>, lane: u32) -> Value {
        match wide {
            Wide::Lit(lit) => self.b.ins().f64const(lit.get()),
            Wide::Val(node) => {
                let value = match self.in_vector(self.dag.node_deps(*node)) {
                    true => {
                        let vector = self.vector_of(*node, lane / 4);
                        self.b.ins().extractlane(vector, (lane % 4) as u8)
                    }
                    false => self.node(*node, 0),
                };
                self.b.ins().fpromote(F64, value)
            }
            Wide::Int(sum) => {
                let int = self.sum_at(sum, lane);
                self.b.ins().fcvt_from_sint(F64, int)
            }
            Wide::Step(op, a) => {
                let a = self.wide_value(a, lane);
                match op {
                    Unary::Floor => self.b.ins().floor(a),
                    Unary::Round => self.b.ins().nearest(a),
                    op => unreachable!("{op:?} makes no whole numbers"),
                }
            }
            Wide::Binary(op, a, b) => {
                let (a, b) = (self.wide_value(a, lane), self.wide_value(b, lane));
                match op {
                    Binary::Add => self.b.ins().fadd(a, b),
                    Binary::Sub => self.b.ins().fsub(a, b),
                    Binary::Mul => self.b.ins().fmul(a, b),
                    Binary::Div => self.b.ins().fdiv(a, b),
                    Binary::Min => self.wide_choice(FloatCC::LessThan, [a, b, a, b]),
                    Binary::Max => self.wide_choice(FloatCC::GreaterThan, [a, b, a, b]),
                    op => unreachable!("{op:?} is no arithmetic of wide expressions"),
                }
            }
            Wide::Select(relation, args) => {
                let args =
                    [&args[0], &args[1], &args[2], &args[3]].map(|a| self.wide_value(a, lane));
                self.wide_choice(comparison(*relation), args)
            }
        }
    }

    fn wide_choice(&mut self, relation: FloatCC, [a, b, yes, no]: [Value; 4]) -> Value {
        let holds = self.b.ins().fcmp(relation, a, b);
        self.b.ins().select(holds, yes, no)
    }

    pub fn not_negative(&self, sum: &Sum) -> bool {
        sum.constant >= 0
            && sum
                .terms
                .iter()
                .all(|t| t.k >= 0 && t.atoms.iter().all(|a| self.atom_not_negative(*a)))
    }

    fn atom_not_negative(&self, id: AtomId) -> bool {
        match self.dag.atom(id) {
            Atom::Var(v) => self.vars.get(v).is_none_or(|k| k.not_negative),
            Atom::Arg(_) | Atom::Rem(..) => true,
            Atom::Div(a, _) => self.not_negative(a),
            Atom::Min(a, b) => self.not_negative(a) && self.not_negative(b),
            Atom::Max(a, b) => self.not_negative(a) || self.not_negative(b),
            Atom::Floor(_) | Atom::Whole(_) | Atom::Load(..) => false,
        }
    }

    /// A power of two that divides the sum; 0 for zero.
    pub fn multiple_of(&self, sum: &Sum) -> i64 {
        let terms = sum.terms.iter().map(|t| {
            t.atoms
                .iter()
                .fold(two(t.k), |m, a| (m * self.atom_multiple(*a)).min(64))
        });
        terms.fold(
            if sum.constant == 0 {
                64
            } else {
                two(sum.constant)
            },
            i64::min,
        )
    }

    fn atom_multiple(&self, id: AtomId) -> i64 {
        match self.dag.atom(id) {
            Atom::Var(v) => self.vars.get(v).map_or(1, |k| two(k.multiple_of)),
            Atom::Arg(a) => self.kernel.args[*a as usize].multiple_of,
            Atom::Min(a, b) | Atom::Max(a, b) => self.multiple_of(a).min(self.multiple_of(b)),
            _ => 1,
        }
    }

    /// Address of an element, without the constant part of `at`: that is the second result, in bytes.
    pub fn pointer(&mut self, space: Space, at: &Sum) -> (Value, i32) {
        self.pointer_at(space, at, 0)
    }

    /// The element's address for the vectorised variable advanced by `lane`.
    pub fn pointer_at(&mut self, space: Space, at: &Sum, lane: u32) -> (Value, i32) {
        let bytes = self.element_bytes(space);
        let moving = at.part(|_| true);
        let stride = match self.vector {
            Some(v) if lane > 0 && self.in_vector(&self.dag.sum_deps(at)) => {
                Some(self.dag.stride(at, v))
            }
            _ => None,
        };
        match stride {
            None => self.with_offset(space, moving, at.constant * bytes),
            Some(Stride::Linear(step)) if step.as_constant().is_some() => self.with_offset(
                space,
                moving,
                (at.constant + step.constant * i64::from(lane)) * bytes,
            ),
            Some(Stride::Linear(step)) => {
                let (pointer, offset) = self.with_offset(space, moving, at.constant * bytes);
                let advance = self.sum(&step.scale(bytes * i64::from(lane)));
                (self.b.ins().iadd(pointer, advance), offset)
            }
            Some(Stride::Other) => {
                let v = self
                    .vector
                    .expect("a stride comes from a vectorised variable");
                let fixed = at.part(|t| !self.dag.term_deps(t).contains(&v));
                let lanes = at.part(|t| self.dag.term_deps(t).contains(&v));
                let (pointer, offset) = self.with_offset(space, fixed, at.constant * bytes);
                let index = self.sum_at(&lanes, lane);
                let index = self.scaled(index, bytes);
                (self.b.ins().iadd(pointer, index), offset)
            }
        }
    }

    fn with_offset(&mut self, space: Space, moving: Sum, bytes: i64) -> (Value, i32) {
        let pointer = self.moving_pointer(space, &moving);
        match i32::try_from(bytes).ok().filter(|b| b.abs() < 1 << 30) {
            Some(offset) => (pointer, offset),
            None => (self.plus(pointer, bytes), 0),
        }
    }

    /// Base plus terms: the terms of the innermost loop are added to the pointer of the loops around it.
    pub fn moving_pointer(&mut self, space: Space, sum: &Sum) -> Value {
        let key = (space, sum.clone(), 0);
        if let Some(value) = self.cached(|s| s.pointers.get(&key)) {
            return value;
        }
        let level = |t: &Term| self.level(&self.dag.term_deps(t));
        let value = match sum.terms.iter().map(level).max() {
            None => self.base(space),
            Some(deepest) => {
                let outer = sum.part(|t| level(t) < deepest);
                let own = sum.part(|t| level(t) == deepest);
                let mut pointer = self.moving_pointer(space, &outer);
                for term in own.terms {
                    let bytes = self.term_bytes(&term, self.element_bytes(space));
                    pointer = self.b.ins().iadd(pointer, bytes);
                }
                pointer
            }
        };
        self.scope().pointers.insert(key, value);
        value
    }

    fn term_bytes(&mut self, term: &Term, bytes: i64) -> Value {
        if let Some((var, step)) = self.induction_of(term, bytes)
            && let Some(value) = self.cached(|s| s.inductions.get(&(var, step.clone())))
        {
            return value;
        }
        self.sum(&Sum {
            terms: vec![Term {
                atoms: term.atoms.clone(),
                k: term.k * bytes,
            }],
            constant: 0,
        })
    }

    /// The loop variable of the term's level and the coefficient, in bytes, if the term is their product.
    pub fn induction_of(&self, term: &Term, bytes: i64) -> Option<(Var, Sum)> {
        let level = self.level(&self.dag.term_deps(term));
        let is_own = |a: &AtomId| self.level(self.dag.atom_deps(*a)) == level;
        let own: Vec<AtomId> = term.atoms.iter().copied().filter(is_own).collect();
        let [one] = own.as_slice() else { return None };
        let Atom::Var(var) = self.dag.atom(*one) else {
            return None;
        };
        let atoms: Vec<AtomId> = term.atoms.iter().copied().filter(|a| a != one).collect();
        let step = match atoms.is_empty() {
            true => Sum::constant(term.k * bytes),
            false => Sum {
                terms: vec![Term {
                    atoms,
                    k: term.k * bytes,
                }],
                constant: 0,
            },
        };
        (level > 0).then_some((*var, step))
    }

    /// How deep in the statement's loops something lies that depends on these variables; 0 is outside of all.
    pub fn level(&self, deps: &[Var]) -> usize {
        deps.iter()
            .filter_map(|v| self.levels.get(v))
            .copied()
            .max()
            .unwrap_or(0)
    }

    /// Whether all of the bounds hold that are not assumed; None if nothing needs to be tested.
    pub fn condition(&mut self, bounds: &[BoundId]) -> Option<Value> {
        self.condition_at(bounds, 0)
    }

    /// The condition for the vectorised variable advanced by `lane`.
    fn condition_at(&mut self, bounds: &[BoundId], lane: u32) -> Option<Value> {
        let mut all = None;
        for bound in bounds {
            if self.scopes.iter().any(|s| s.assumed.contains(bound)) {
                continue;
            }
            let holds = self.bound_at(*bound, lane);
            all = Some(match all {
                None => holds,
                Some(others) => self.b.ins().band(others, holds),
            });
        }
        all
    }

    /// `0 <= index < extent`, as one unsigned comparison.
    pub fn bound(&mut self, id: BoundId) -> Value {
        self.bound_at(id, 0)
    }

    fn bound_at(&mut self, id: BoundId, lane: u32) -> Value {
        let lane = match self.in_vector(self.dag.bound_deps(id)) {
            true => lane,
            false => 0,
        };
        if let Some(value) = self.cached(|s| s.bounds.get(&(id, lane))) {
            return value;
        }
        let (index, extent) = self.dag.bound(id).clone();
        let (index, extent) = (self.sum_at(&index, lane), self.sum_at(&extent, lane));
        let value = self.b.ins().icmp(IntCC::UnsignedLessThan, index, extent);
        self.scope().bounds.insert((id, lane), value);
        value
    }

    /// The address, or that of zeros where a bound fails.
    pub fn safe(&mut self, pointer: Value, offset: i32, bounds: &[BoundId]) -> (Value, i32) {
        self.safe_at(pointer, offset, bounds, 0)
    }

    /// As `safe`, for the vectorised variable advanced by `lane`.
    pub fn safe_at(
        &mut self,
        pointer: Value,
        offset: i32,
        bounds: &[BoundId],
        lane: u32,
    ) -> (Value, i32) {
        match self.condition_at(bounds, lane) {
            None => (pointer, offset),
            Some(condition) => {
                let pointer = self.plus(pointer, i64::from(offset));
                (self.b.ins().select(condition, pointer, self.zeros), 0)
            }
        }
    }
}

/// The largest power of two up to 64 that divides n; 64 for 0.
fn two(n: i64) -> i64 {
    if n == 0 {
        64
    } else {
        1 << n.trailing_zeros().min(6)
    }
}
