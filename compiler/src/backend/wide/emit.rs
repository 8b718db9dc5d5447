//! A program to machine code for one level.
//!
//! ```text
//!         offset = 0, end = 4·n
//!         if the destination shall be stored non-temporally and is not aligned: step = what is missing, to SOME
//! MAIN:   while offset + a few vectors <= end: compute them
//!         step = min(end - offset, one vector), done if it is 0
//! SOME:   compute one vector of which `step` bytes count; to MAIN
//! ```
//!
//! A reduction keeps its lanes in registers. Its rest is computed vector after vector, each for its own lanes. Their total
//! stays in registers, too: store-to-load forwarding fails where vectors of 64 bytes load what vectors of 16 have just stored.

use super::asm::*;
use super::program::{Op, Program, ValueId};
use crate::equation::{Binary, Relation};
use std::collections::{BTreeMap, BTreeSet};

const ARGUMENTS: Gpr = RDI;
const END: Gpr = RSI;
const OFFSET: Gpr = RAX;
const NEXT: Gpr = RDX;
/// The step, then any pointer that has no register.
const SPARE: Gpr = RCX;
/// Registers of pointers, those that the caller wants back last.
const POINTERS: [Gpr; 10] = [R8, R9, R10, R11, RBX, RBP, R12, R13, R14, R15];
const FIRST_SAVED: usize = 4;
/// The mask of the elements that count, and that of a comparison.
const SOME: u8 = 1;
const COMPARED: u8 = 2;
/// Prefetch distance, where operands are likely to come from memory: three pages, of one to four the best for two
/// passes over rows of half a page.
const PREFETCH_BYTES: i32 = 3 * 4096;

/// The function, aligned to a cache line; None if it has more values at once than there are registers.
pub fn emit(program: &Program, level: Level) -> Option<Vec<u8>> {
    let mut row = Row::new(program, level)?;
    row.function();
    Some(row.a.finish())
}

/// Whether a level has registers enough.
pub fn fits(program: &Program, level: Level) -> bool {
    Row::new(program, level).is_some()
}

struct Row<'p> {
    a: Assembler,
    level: Level,
    program: &'p Program,
    /// Operations after which a value is not needed any more.
    last_use: Vec<usize>,
    n_uses: Vec<usize>,
    /// Registers of numbers and literals, kept for the whole row.
    resident: BTreeMap<ValueId, Vector>,
    /// The others, which are read where they are needed, as literals' labels or arguments.
    literals: BTreeMap<u32, Label>,
    /// AVX2: 0, 1, …, 7.
    iota: Label,
    /// Vectors of an iteration.
    unroll: i32,
    /// As many of them are interleaved, for instruction-level parallelism.
    in_step: usize,
    free: Vec<Vector>,
    /// Of all values for each of the vectors in step, and which of these is being computed.
    places: Vec<Vec<Option<Vector>>>,
    which: usize,
    /// Vectors of a reduction.
    lanes: Vec<Vector>,
    /// AVX2: the elements that count.
    mask: Vector,
}

impl<'p> Row<'p> {
    fn new(program: &'p Program, level: Level) -> Option<Row<'p>> {
        let mut a = Assembler::new(level);
        let n = program.ops.len();
        // What nobody uses keeps its register to the end.
        let mut last_use: Vec<usize> = vec![n; n];
        let mut n_uses = vec![0; n];
        for (i, op) in program.ops.iter().enumerate() {
            for o in Program::operands(op, level) {
                last_use[o] = i;
                n_uses[o] += 1;
            }
        }
        for value in program.reduction.iter().map(|r| r.value) {
            last_use[value] = n;
            n_uses[value] += 1;
        }
        for s in &program.stores {
            last_use[s.value] = n;
            n_uses[s.value] += 1;
        }
        let moving = |op: &Op| !matches!(op, Op::Number(_) | Op::Lit(_));
        let literals = program.ops.iter().filter_map(|op| match op {
            Op::Lit(bits) => Some(*bits),
            _ => None,
        });
        let first = program.reduction.iter().filter_map(|r| r.total_from);
        let literals: BTreeSet<u32> = literals.chain(first).collect();
        let literals = literals.into_iter().map(|bits| (bits, a.label())).collect();
        let iota = a.label();
        // The mask, what is read in passing (up to three operands of one operation), and a comparison, or what scaling needs.
        let spare = 1 + 3 + 1;
        let most = most_alive(program, &last_use, &moving);
        let lanes = program.reduction.as_ref().map_or(0, |r| r.lanes as i32);
        let n_lanes = (4 * lanes / level.bytes()) as usize;
        let left = (level.registers() as usize).checked_sub(most + spare + n_lanes)?;
        let work = program.ops.iter().filter(|op| moving(op)).count();
        let fixed = |i: &ValueId| !moving(&program.ops[*i]) && n_uses[*i] > 0;
        let fixed: Vec<ValueId> = (0..n).filter(fixed).collect();
        let in_step = if left >= most + fixed.len() { 2 } else { 1 };
        let left = left - (in_step - 1) * most;
        let unroll = match (work, n_lanes as i32) {
            (0..=8, n @ 1..) => n.max(4),
            (_, n @ 1..) => n,
            (0..=8, _) => 4,
            (9..=24, _) => 2,
            _ => 1,
        };
        let mut registers = 0..level.registers();
        let mask = registers.next().expect("there are registers");
        let lanes: Vec<Vector> = registers.by_ref().take(n_lanes).collect();
        let resident = fixed.into_iter().take(left).zip(&mut registers).collect();
        Some(Row {
            a,
            level,
            program,
            last_use,
            n_uses,
            resident,
            literals,
            iota,
            unroll: unroll.max(in_step as i32),
            in_step,
            lanes,
            free: registers.rev().collect(),
            places: vec![vec![None; n]; in_step],
            which: 0,
            mask,
        })
    }

    fn function(&mut self) {
        let (main, some, rest, done) = (
            self.a.label(),
            self.a.label(),
            self.a.label(),
            self.a.label(),
        );
        let width = self.level.bytes();
        self.enter();
        self.a.clear(OFFSET);
        self.a.compare_byte(END, 0);
        self.a.jump_if(Condition::NotAbove, done);
        self.a.shift_left(END, 2);
        if let (true, [store]) = (self.program.non_temporal, self.program.stores.as_slice()) {
            let base = self.pointer(store.pointer);
            self.a.add_to(SPARE, base, store.bytes);
            self.a.negate(SPARE);
            self.a.and_byte(SPARE, (width - 1) as i8);
            self.a.jump_if(Condition::Zero, main);
            self.a.compare(SPARE, END);
            self.a.copy_if(Condition::Above, SPARE, END);
            self.a.jump(some);
        }
        self.a.bind(main);
        self.a.add_to(NEXT, OFFSET, width * self.unroll);
        self.a.compare(NEXT, END);
        self.a.jump_if(Condition::Above, rest);
        let vectors: Vec<i32> = (0..self.unroll).collect();
        for group in vectors.chunks(self.in_step) {
            self.body(group, false);
        }
        self.a.copy(OFFSET, NEXT);
        self.a.jump(main);
        self.a.bind(rest);
        for u in 0..self.lanes.len().max(1) as i32 {
            self.a.copy(SPARE, END);
            self.a.subtract(SPARE, OFFSET);
            self.a.jump_if(Condition::Zero, done);
            self.a.set(NEXT, width);
            self.a.compare(SPARE, NEXT);
            self.a.copy_if(Condition::Above, SPARE, NEXT);
            if u == 0 {
                self.a.bind(some);
            }
            self.choose_some();
            self.a.sum(NEXT, OFFSET, SPARE);
            self.body(&[u], true);
            self.a.copy(OFFSET, NEXT);
        }
        self.a.jump(if self.lanes.is_empty() { main } else { rest });
        self.a.bind(done);
        self.leave();
        self.constants();
    }

    fn enter(&mut self) {
        for i in 0..self.program.n_pointers.min(POINTERS.len()) {
            if i >= FIRST_SAVED {
                self.a.push(POINTERS[i]);
            }
            self.a.load(POINTERS[i], ARGUMENTS, 8 * i as i32);
        }
        for (value, register) in self.resident.clone() {
            self.read_fixed(value, register);
        }
        match self.program.reduction.as_ref().and_then(|r| r.total_from) {
            Some(bits) => {
                let first = RegMem::Label(self.literals[&bits]);
                for lane in self.lanes.clone() {
                    self.a.vector(BROADCAST, lane, 0, first);
                }
            }
            None => self.each_lane(LOAD),
        }
    }

    /// Reads or writes the running results.
    fn each_lane(&mut self, op: Opcode) {
        let Some(reduction) = &self.program.reduction else {
            return;
        };
        let pointer = reduction.pointer;
        for (i, register) in self.lanes.clone().into_iter().enumerate() {
            let base = self.pointer(pointer);
            let place = at(base, None, self.level.bytes() * i as i32);
            self.a.vector(op, register, 0, place);
        }
    }

    fn leave(&mut self) {
        match &self.program.reduction {
            Some(r) if r.total_from.is_some() => self.store_total(arithmetic(r.op), r.pointer),
            _ => self.each_lane(STORE),
        }
        self.a.zero_upper();
        let n = self.program.n_pointers.min(POINTERS.len());
        for i in (FIRST_SAVED..n).rev() {
            self.a.pop(POINTERS[i]);
        }
        self.a.ret();
    }

    fn store_total(&mut self, op: Opcode, pointer: usize) {
        let mut n = self.lanes.len();
        while n > 1 {
            n /= 2;
            for i in 0..n {
                let high = RegMem::Register(self.lanes[i + n]);
                self.a.vector(op, self.lanes[i], self.lanes[i], high);
            }
        }
        let base = self.pointer(pointer);
        self.a.fold(op, self.lanes[0], self.mask);
        self.a.store_first(self.lanes[0], at(base, None, 0));
    }

    fn constants(&mut self) {
        for (bits, label) in self.literals.clone() {
            self.a.align(4);
            self.a.bind(label);
            self.a.data(&bits.to_le_bytes());
        }
        if self.level == Level::Avx2 {
            self.a.align(32);
            self.a.bind(self.iota);
            let bytes: Vec<u8> = (0..8u32).flat_map(|i| i.to_le_bytes()).collect();
            self.a.data(&bytes);
        }
    }

    /// Elements before the step count.
    fn choose_some(&mut self) {
        self.a.shift_right(SPARE, 2);
        match self.level {
            Level::Avx512 => {
                self.a.set(NEXT, -1);
                self.a.lowest_bits(NEXT, NEXT, SPARE);
                self.a.mask_from(SOME, NEXT);
            }
            Level::Avx2 => {
                let (mask, iota) = (self.mask, self.iota);
                self.a.number_from(mask, SPARE);
                self.a
                    .vector(BROADCAST_INT, mask, 0, RegMem::Register(mask));
                self.a.vector(GREATER_INTS, mask, mask, RegMem::Label(iota));
            }
        }
        self.a.shift_left(SPARE, 2);
    }

    /// The register of a pointer, loaded if it has none of its own.
    fn pointer(&mut self, i: usize) -> Gpr {
        match POINTERS.get(i) {
            Some(register) => *register,
            None => {
                self.a.load(SPARE, ARGUMENTS, 8 * i as i32);
                SPARE
            }
        }
    }

    fn read_fixed(&mut self, value: ValueId, to: Vector) {
        let from = match self.program.ops[value] {
            Op::Number(i) => {
                let disp = 8 * self.program.n_pointers as i32 + 4 * i as i32;
                at(ARGUMENTS, None, disp)
            }
            Op::Lit(bits) => RegMem::Label(self.literals[&bits]),
            _ => unreachable!("a moving value is computed"),
        };
        self.a.vector(BROADCAST, to, 0, from);
    }

    fn take(&mut self) -> Vector {
        self.free.pop().expect("registers were counted")
    }

    /// All operations for some vectors, by their numbers from the offset; one of the rest lies at the offset.
    fn body(&mut self, vectors: &[i32], some: bool) {
        let program = self.program;
        let width = self.level.bytes();
        let bytes = |u: i32| if some { 0 } else { u * width };
        for (i, op) in program.ops.iter().enumerate() {
            for (which, u) in vectors.iter().enumerate() {
                self.which = which;
                self.step(i, op, bytes(*u), some);
            }
        }
        for (which, u) in vectors.iter().enumerate() {
            self.which = which;
            self.stores(bytes(*u), some);
            self.reduction(*u, some);
            for i in 0..program.ops.len() {
                let register = self.place(i).take();
                self.free.extend(register);
            }
        }
    }

    fn place(&mut self, value: ValueId) -> &mut Option<Vector> {
        &mut self.places[self.which][value]
    }

    fn step(&mut self, i: ValueId, op: &Op, bytes: i32, some: bool) {
        match op {
            Op::Number(_) | Op::Lit(_) => {}
            Op::Load { .. } if !some && self.is_folded(i) => {}
            Op::Load { pointer, bytes: b } => {
                let to = self.take();
                self.read(to, *pointer, b + bytes, some);
                *self.place(i) = Some(to);
            }
            op => self.operation(i, op, bytes),
        }
    }

    fn stores(&mut self, bytes: i32, some: bool) {
        for s in &self.program.stores {
            let (from, passing) = self.operand(s.value);
            let base = self.pointer(s.pointer);
            let to = at(base, Some(OFFSET), s.bytes + bytes);
            match (some, self.level) {
                (false, _) if self.program.non_temporal => {
                    self.a.vector(STORE_NON_TEMPORAL, from, 0, to)
                }
                (false, _) => self.a.vector(STORE, from, 0, to),
                (true, Level::Avx512) => self.a.masked(STORE, from, 0, to, Mask::Only(SOME)),
                (true, Level::Avx2) => self.a.vector(STORE_SOME, from, self.mask, to),
            }
            self.free.extend(passing);
        }
    }

    fn reduction(&mut self, u: i32, some: bool) {
        let Some(reduction) = &self.program.reduction else {
            return;
        };
        let lane = self.lanes[u as usize % self.lanes.len()];
        let (value, passing) = self.operand(reduction.value);
        self.reduce(arithmetic(reduction.op), lane, value, some);
        self.free.extend(passing);
    }

    fn reduce(&mut self, op: Opcode, lane: Vector, value: Vector, some: bool) {
        let value = RegMem::Register(value);
        match (some, self.level) {
            (false, _) => self.a.vector(op, lane, lane, value),
            (true, Level::Avx512) => self.a.masked(op, lane, lane, value, Mask::Only(SOME)),
            (true, Level::Avx2) => {
                let both = self.take();
                self.a.vector(op, both, lane, value);
                let chosen = RegMem::Register(both);
                self.a
                    .vector_with(BLEND_BY, lane, lane, chosen, self.mask << 4);
                self.free.push(both);
            }
        }
    }

    fn read(&mut self, to: Vector, pointer: usize, bytes: i32, some: bool) {
        let base = self.pointer(pointer);
        let from = at(base, Some(OFFSET), bytes);
        match (some, self.level) {
            (false, _) => {
                if self.program.prefetches {
                    self.a.prefetch(base, OFFSET, bytes + PREFETCH_BYTES);
                }
                self.a.vector(LOAD, to, 0, from)
            }
            (true, Level::Avx512) => self.a.masked(LOAD, to, 0, from, Mask::Zeroing(SOME)),
            (true, Level::Avx2) => self.a.vector(LOAD_SOME, to, self.mask, from),
        }
    }

    /// Whether an operand in memory is read by the one operation that needs it, as its last operand.
    fn is_folded(&self, i: ValueId) -> bool {
        let user = self.program.ops.get(self.last_use[i]);
        let last = matches!(user, Some(Op::Binary(_, a, b)) if *b == i && *a != i);
        self.n_uses[i] == 1 && last && !self.program.non_temporal
    }

    /// The register that holds a value, and the same if it is free afterwards.
    fn operand(&mut self, value: ValueId) -> (Vector, Option<Vector>) {
        if let Some(register) = *self.place(value) {
            return (register, None);
        }
        if let Some(register) = self.resident.get(&value) {
            return (*register, None);
        }
        let register = self.take();
        self.read_fixed(value, register);
        (register, Some(register))
    }

    fn operation(&mut self, i: usize, op: &Op, bytes: i32) {
        match op {
            Op::Fma(a, b, c) => return self.fma(i, [*a, *b, *c]),
            Op::Scale { .. } => return self.scale(i, op),
            _ => {}
        }
        let operands = Program::operands(op, self.level);
        let mut passing: Vec<Vector> = vec![];
        let mut places = vec![];
        for o in &operands {
            let folded =
                self.place(*o).is_none() && matches!(self.program.ops[*o], Op::Load { .. });
            if let (true, Op::Load { pointer, bytes: b }) = (folded, &self.program.ops[*o]) {
                let base = self.pointer(*pointer);
                places.push(at(base, Some(OFFSET), b + bytes));
                continue;
            }
            let (register, free) = self.operand(*o);
            passing.extend(free);
            places.push(RegMem::Register(register));
        }
        let mut ended: Vec<Vector> = vec![];
        for o in &operands {
            if self.last_use[*o] == i {
                ended.extend(self.place(*o).take());
            }
        }
        ended.append(&mut passing);
        // A comparison is done before its result may overwrite what the choice needs.
        if !matches!(op, Op::Select(..)) {
            self.free.append(&mut ended);
        }
        let to = self.take();
        self.apply(op, to, &places);
        self.free.append(&mut ended);
        *self.place(i) = Some(to);
    }

    /// Over the register of an operand that nobody needs later, if there is one.
    fn fma(&mut self, i: usize, [a, b, c]: [ValueId; 3]) {
        let mut passing = vec![];
        let [ra, rb, rc] = [a, b, c].map(|o| {
            let (register, free) = self.operand(o);
            passing.extend(free);
            register
        });
        let ends = |o: ValueId, others: [ValueId; 2]| {
            let moving = self.places[self.which][o].is_some();
            moving && self.last_use[o] == i && !others.contains(&o)
        };
        let (a_ends, b_ends, c_ends) = (ends(a, [b, c]), ends(b, [a, c]), ends(c, [a, b]));
        let to = if a_ends {
            self.a.vector(FMA_BY, ra, rb, RegMem::Register(rc));
            ra
        } else if b_ends {
            self.a.vector(FMA_BY, rb, ra, RegMem::Register(rc));
            rb
        } else if c_ends {
            self.a.vector(FMA_ONTO, rc, ra, RegMem::Register(rb));
            rc
        } else {
            let to = self.take();
            self.a.vector(COPY, to, 0, RegMem::Register(ra));
            self.a.vector(FMA_BY, to, rb, RegMem::Register(rc));
            to
        };
        self.free.extend(passing);
        for o in [a, b, c] {
            if self.last_use[o] != i {
                continue;
            }
            let register = self.place(o).take().filter(|r| *r != to);
            self.free.extend(register);
        }
        *self.place(i) = Some(to);
    }

    fn scale(&mut self, i: usize, op: &Op) {
        let Op::Scale {
            y,
            n,
            shifted,
            bias,
            magic,
            near,
        } = *op
        else {
            unreachable!("{op:?} does not scale")
        };
        let to = self.take();
        let (y, _) = self.operand(y);
        match self.level {
            Level::Avx512 => {
                let (n, _) = self.operand(n);
                self.a.vector(SCALE, to, y, RegMem::Register(n));
            }
            Level::Avx2 if near => {
                let (n, _) = self.operand(shifted);
                self.times_power(to, y, n, bias);
            }
            Level::Avx2 => {
                // In two factors, since the power itself may be no number.
                let (n, _) = self.operand(shifted);
                let (magic, passing) = self.operand(magic);
                let (half, rest) = (self.take(), self.take());
                self.a
                    .vector(SUBTRACT_INTS, rest, n, RegMem::Register(magic));
                self.a.shift_ints(half, rest, 1, false);
                self.a
                    .vector(SUBTRACT_INTS, rest, rest, RegMem::Register(half));
                self.free.extend(passing);
                self.times_power(to, y, half, bias);
                self.times_power(to, to, rest, bias);
                self.free.extend([half, rest]);
            }
        }
        for o in Program::operands(op, self.level) {
            if self.last_use[o] == i {
                let register = self.place(o).take();
                self.free.extend(register);
            }
        }
        *self.place(i) = Some(to);
    }

    /// to = y·2^n, n the low bits of a vector.
    fn times_power(&mut self, to: Vector, y: Vector, n: Vector, bias: ValueId) {
        let (bias, passing) = self.operand(bias);
        let power = self.take();
        self.a.vector(ADD_INTS, power, n, RegMem::Register(bias));
        self.a.shift_ints(power, power, 23, true);
        self.a.vector(MUL, to, y, RegMem::Register(power));
        self.free.extend(passing);
        self.free.push(power);
    }

    fn apply(&mut self, op: &Op, to: Vector, places: &[RegMem]) {
        let register = |i: usize| match places[i] {
            RegMem::Register(r) => r,
            _ => unreachable!("only the last operand may lie in memory"),
        };
        match op {
            Op::And(..) => self.a.vector(AND, to, register(0), places[1]),
            Op::Xor(..) => self.a.vector(XOR, to, register(0), places[1]),
            Op::Sqrt(_) => self.a.vector(SQRT, to, 0, places[0]),
            // Down, and without a report of inexactness.
            Op::Floor(_) => self.a.vector_with(ROUND, to, 0, places[0], 0b1001),
            Op::Binary(op, ..) => self.a.vector(arithmetic(*op), to, register(0), places[1]),
            Op::Select(relation, _) => {
                let predicate = predicate(*relation);
                match self.level {
                    Level::Avx512 => {
                        self.a
                            .vector_with(COMPARE, COMPARED, register(0), places[1], predicate);
                        let mask = Mask::Only(COMPARED);
                        self.a.masked(BLEND, to, register(3), places[2], mask);
                    }
                    Level::Avx2 => {
                        self.a
                            .vector_with(COMPARE, to, register(0), places[1], predicate);
                        self.a
                            .vector_with(BLEND_BY, to, register(3), places[2], to << 4);
                    }
                }
            }
            Op::Load { .. } | Op::Number(_) | Op::Lit(_) | Op::Fma(..) | Op::Scale { .. } => {
                unreachable!("{op:?} is none of these")
            }
        }
    }
}

fn arithmetic(op: Binary) -> Opcode {
    match op {
        Binary::Add => ADD,
        Binary::Sub => SUB,
        Binary::Mul => MUL,
        Binary::Div => DIV,
        Binary::Min => MIN,
        Binary::Max => MAX,
        op => unreachable!("{op:?} is a call"),
    }
}

/// Most moving values that are alive at once, the result of an operation among them.
fn most_alive(program: &Program, last_use: &[usize], moving: &dyn Fn(&Op) -> bool) -> usize {
    let n = program.ops.len();
    let alive = |i: usize| {
        (0..=i.min(n - 1))
            .filter(|v| moving(&program.ops[*v]) && last_use[*v] >= i)
            .count()
    };
    (0..n).map(alive).max().unwrap_or(0)
}

/// Of ordered numbers, without a report of those that are not.
fn predicate(relation: Relation) -> u8 {
    match relation {
        Relation::Eq => 0x00,
        Relation::Ne => 0x04,
        Relation::Lt => 0x11,
        Relation::Le => 0x12,
        Relation::Ge => 0x1d,
        Relation::Gt => 0x1e,
    }
}
