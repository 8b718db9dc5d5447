//! An assembler for the few instructions of a row: VEX with 256 bits, EVEX with 512.
//!
//! Enter instructions; leave bytes, labels resolved. Encodings are those of the Intel manual, volume 2: VEX in 2.3, EVEX in 2.7.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Avx2,
    Avx512,
}

impl Level {
    pub fn bytes(self) -> i32 {
        match self {
            Level::Avx2 => 32,
            Level::Avx512 => 64,
        }
    }

    /// Vector registers.
    pub fn registers(self) -> u8 {
        match self {
            Level::Avx2 => 16,
            Level::Avx512 => 32,
        }
    }
}

/// A general register, by its number.
pub type Gpr = u8;
pub const RAX: Gpr = 0;
pub const RCX: Gpr = 1;
pub const RDX: Gpr = 2;
pub const RBX: Gpr = 3;
pub const RBP: Gpr = 5;
pub const RSI: Gpr = 6;
pub const RDI: Gpr = 7;
pub const R8: Gpr = 8;
pub const R9: Gpr = 9;
pub const R10: Gpr = 10;
pub const R11: Gpr = 11;
pub const R12: Gpr = 12;
pub const R13: Gpr = 13;
pub const R14: Gpr = 14;
pub const R15: Gpr = 15;
/// As the index of an address: none.
const NONE: Gpr = 4;

/// A vector register, by its number.
pub type Vector = u8;

#[derive(Clone, Copy)]
pub enum RegMem {
    Register(Vector),
    /// base + index + disp
    At {
        base: Gpr,
        index: Option<Gpr>,
        disp: i32,
    },
    Label(Label),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Label(usize);

/// Opcode with its map (1: 0F, 2: 0F38, 3: 0F3A) and prefix (0: none, 1: 66, 2: F3).
#[derive(Clone, Copy)]
pub struct Opcode {
    map: u8,
    prefix: u8,
    byte: u8,
}

const fn plain(byte: u8) -> Opcode {
    Opcode {
        map: 1,
        prefix: 0,
        byte,
    }
}

const fn prefixed(map: u8, byte: u8) -> Opcode {
    Opcode {
        map,
        prefix: 1,
        byte,
    }
}

pub const LOAD: Opcode = plain(0x10);
pub const STORE: Opcode = plain(0x11);
pub const STORE_NON_TEMPORAL: Opcode = plain(0x2b);
pub const SQRT: Opcode = plain(0x51);
pub const AND: Opcode = plain(0x54);
pub const XOR: Opcode = plain(0x57);
pub const ADD: Opcode = plain(0x58);
pub const MUL: Opcode = plain(0x59);
pub const SUB: Opcode = plain(0x5c);
pub const MIN: Opcode = plain(0x5d);
pub const DIV: Opcode = plain(0x5e);
pub const MAX: Opcode = plain(0x5f);
pub const COMPARE: Opcode = plain(0xc2);
pub const BROADCAST: Opcode = prefixed(2, 0x18);
pub const ROUND: Opcode = prefixed(3, 0x08);
pub const COPY: Opcode = plain(0x28);
/// to = first·to + second, and to = first·second + to.
pub const FMA_BY: Opcode = prefixed(2, 0xa8);
pub const FMA_ONTO: Opcode = prefixed(2, 0xb8);
/// EVEX: first·2^second.
pub const SCALE: Opcode = prefixed(2, 0x2c);
/// VEX, whole numbers.
pub const ADD_INTS: Opcode = prefixed(1, 0xfe);
pub const SUBTRACT_INTS: Opcode = prefixed(1, 0xfa);
/// EVEX: the second where the mask is set, else the first.
pub const BLEND: Opcode = prefixed(2, 0x65);
/// VEX: likewise, by the signs of a register named in the immediate.
pub const BLEND_BY: Opcode = prefixed(3, 0x4a);
/// VEX: elements where a mask's sign is set.
pub const LOAD_SOME: Opcode = prefixed(2, 0x2c);
pub const STORE_SOME: Opcode = prefixed(2, 0x2e);
pub const GREATER_INTS: Opcode = prefixed(1, 0x66);
pub const BROADCAST_INT: Opcode = prefixed(2, 0x58);

/// What VEX says of a vector's length.
#[derive(Clone, Copy)]
enum Bits {
    B128 = 0,
    B256 = 1,
}

/// Which elements an EVEX instruction touches.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mask {
    All,
    /// The others stay.
    Only(u8),
    /// The others become 0.
    Zeroing(u8),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    Zero = 4,
    /// Unsigned >
    Above = 7,
    /// Signed <=
    NotAbove = 14,
}

pub struct Assembler {
    level: Level,
    bytes: Vec<u8>,
    labels: Vec<Option<usize>>,
    /// Where four bytes wait for a label, and how many bytes of the instruction follow them.
    waiting: Vec<(usize, Label, usize)>,
}

impl Assembler {
    pub fn new(level: Level) -> Assembler {
        Assembler {
            level,
            bytes: vec![],
            labels: vec![],
            waiting: vec![],
        }
    }

    pub fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    pub fn bind(&mut self, label: Label) {
        self.labels[label.0] = Some(self.bytes.len());
    }

    /// Data, aligned to its size.
    pub fn data(&mut self, bytes: &[u8]) {
        let aligned = self.bytes.len().next_multiple_of(bytes.len().max(1));
        self.bytes.resize(aligned, 0xcc);
        self.bytes.extend(bytes);
    }

    /// Room before the next thing that is `by`-aligned.
    pub fn align(&mut self, by: usize) {
        self.bytes
            .resize(self.bytes.len().next_multiple_of(by), 0xcc);
    }

    pub fn finish(mut self) -> Vec<u8> {
        for (at, label, after) in &self.waiting {
            let target = self.labels[label.0].expect("every label is bound");
            let disp = target as i64 - (*at + 4 + *after) as i64;
            self.bytes[*at..*at + 4].copy_from_slice(&(disp as i32).to_le_bytes());
        }
        self.bytes
    }

    // Vectors.

    /// Three operands; `first` is 0 where the instruction has two.
    pub fn vector(&mut self, op: Opcode, to: Vector, first: Vector, second: RegMem) {
        self.encode(op, to, first, second, Mask::All, None);
    }

    pub fn vector_with(
        &mut self,
        op: Opcode,
        to: Vector,
        first: Vector,
        second: RegMem,
        immediate: u8,
    ) {
        self.encode(op, to, first, second, Mask::All, Some(immediate));
    }

    /// VEX, whole numbers: to = from shifted by an immediate, left or (with the sign) right.
    pub fn shift_ints(&mut self, to: Vector, from: Vector, by: u8, left: bool) {
        const SHIFT_INTS: Opcode = prefixed(1, 0x72);
        let extension = if left { 6 } else { 4 };
        self.encode(
            SHIFT_INTS,
            extension,
            to,
            RegMem::Register(from),
            Mask::All,
            Some(by),
        );
    }

    /// EVEX alone.
    pub fn masked(&mut self, op: Opcode, to: Vector, first: Vector, second: RegMem, mask: Mask) {
        self.encode(op, to, first, second, mask, None);
    }

    fn encode(
        &mut self,
        op: Opcode,
        to: Vector,
        first: Vector,
        second: RegMem,
        mask: Mask,
        immediate: Option<u8>,
    ) {
        match self.level {
            Level::Avx2 => self.vex(Bits::B256, op, to, first, second),
            Level::Avx512 => self.evex(op, to, first, second, mask),
        }
        // Of a broadcast's operand, the number itself is read: its offset is not scaled by a vector.
        let scale = match (
            self.level,
            op.byte == BROADCAST.byte && op.map == BROADCAST.map,
        ) {
            (Level::Avx2, _) => 1,
            (Level::Avx512, true) => 4,
            (Level::Avx512, false) => 64,
        };
        self.operand(to, second, scale, usize::from(immediate.is_some()));
        self.bytes.extend(immediate);
    }

    fn vex(&mut self, bits: Bits, op: Opcode, to: Vector, first: Vector, second: RegMem) {
        let (x, b) = extensions(second);
        let inverted = |bit: u8| (bit & 1) ^ 1;
        self.bytes.extend([
            0xc4,
            inverted(to >> 3) << 7 | inverted(x) << 6 | inverted(b) << 5 | op.map,
            (!first & 15) << 3 | (bits as u8) << 2 | op.prefix,
            op.byte,
        ]);
    }

    /// Over `spare`: joins a vector's halves by `op`, then theirs, down to one number, which is its first.
    pub fn fold(&mut self, op: Opcode, vector: Vector, spare: Vector) {
        assert!(vector < 16 && spare < 16);
        const UPPER_256: Opcode = prefixed(3, 0x1b);
        const UPPER_128: Opcode = prefixed(3, 0x19);
        const UPPER_64: Opcode = plain(0x12);
        const SECOND: Opcode = Opcode {
            map: 1,
            prefix: 2,
            byte: 0x16,
        };
        let (from, to) = (RegMem::Register(vector), RegMem::Register(spare));
        if self.level == Level::Avx512 {
            self.evex(UPPER_256, vector, 0, to, Mask::All);
            self.operand(vector, to, 1, 1);
            self.bytes.push(1);
            self.short(Bits::B256, op, vector, vector, to);
        }
        self.short(Bits::B256, UPPER_128, vector, 0, to);
        self.bytes.push(1);
        self.short(Bits::B128, op, vector, vector, to);
        self.short(Bits::B128, UPPER_64, spare, vector, from);
        self.short(Bits::B128, op, vector, vector, to);
        self.short(Bits::B128, SECOND, spare, 0, from);
        self.short(Bits::B128, op, vector, vector, to);
    }

    /// Stores a vector's first number.
    pub fn store_first(&mut self, from: Vector, to: RegMem) {
        const STORE_FIRST: Opcode = Opcode {
            map: 1,
            prefix: 2,
            byte: 0x11,
        };
        self.short(Bits::B128, STORE_FIRST, from, 0, to);
    }

    /// VEX, whatever the level.
    fn short(&mut self, bits: Bits, op: Opcode, to: Vector, first: Vector, second: RegMem) {
        self.vex(bits, op, to, first, second);
        self.operand(to, second, 1, 0);
    }

    fn evex(&mut self, op: Opcode, to: Vector, first: Vector, second: RegMem, mask: Mask) {
        let (x, b) = extensions(second);
        let inverted = |bit: u8| (bit & 1) ^ 1;
        let (zero, mask) = match mask {
            Mask::All => (0, 0),
            Mask::Only(k) => (0, k),
            Mask::Zeroing(k) => (1, k),
        };
        self.bytes.extend([
            0x62,
            inverted(to >> 3) << 7
                | inverted(x) << 6
                | inverted(b) << 5
                | inverted(to >> 4) << 4
                | op.map,
            (!first & 15) << 3 | 1 << 2 | op.prefix,
            zero << 7 | 0b10 << 5 | inverted(first >> 4) << 3 | mask,
            op.byte,
        ]);
    }

    /// ModRM, SIB and displacement; `scale`: what a displacement of one byte counts.
    fn operand(&mut self, reg: u8, place: RegMem, scale: i32, after: usize) {
        let reg = (reg & 7) << 3;
        match place {
            RegMem::Register(r) => self.bytes.push(0b11 << 6 | reg | r & 7),
            RegMem::Label(label) => {
                self.bytes.push(reg | 0b101);
                self.waiting.push((self.bytes.len(), label, after));
                self.bytes.extend([0; 4]);
            }
            RegMem::At { base, index, disp } => {
                let sib = (index.unwrap_or(NONE) & 7) << 3 | base & 7;
                let short = i8::try_from(disp / scale)
                    .ok()
                    .filter(|_| disp % scale == 0);
                match short {
                    Some(disp) => self.bytes.extend([1 << 6 | reg | 4, sib, disp as u8]),
                    None => {
                        self.bytes.extend([2 << 6 | reg | 4, sib]);
                        self.bytes.extend(disp.to_le_bytes());
                    }
                }
            }
        }
    }

    /// The mask register `k` of the bits of the 32-bit `from`.
    pub fn mask_from(&mut self, k: u8, from: Gpr) {
        assert!(from < 8);
        self.bytes
            .extend([0xc5, 0xf8, 0x92, 0b11 << 6 | k << 3 | from]);
    }

    /// The first number of a vector, the others 0.
    pub fn number_from(&mut self, to: Vector, from: Gpr) {
        assert!(to < 16 && from < 8);
        let r = (to >> 3 & 1) ^ 1;
        self.bytes
            .extend([0xc5, r << 7 | 0x79, 0x6e, 0b11 << 6 | (to & 7) << 3 | from]);
    }

    pub fn zero_upper(&mut self) {
        self.bytes.extend([0xc5, 0xf8, 0x77]);
    }

    pub fn prefetch(&mut self, base: Gpr, index: Gpr, disp: i32) {
        self.rex(0, 0, index, base);
        self.bytes.extend([0x0f, 0x18]);
        self.operand(1, at(base, Some(index), disp), 1, 0);
    }

    // General registers, 64 bits.

    fn rex(&mut self, wide: u8, reg: Gpr, index: Gpr, base: Gpr) {
        let byte = 0x40 | wide << 3 | (reg >> 3) << 2 | (index >> 3) << 1 | base >> 3;
        self.bytes.push(byte);
    }

    pub fn load(&mut self, to: Gpr, base: Gpr, disp: i32) {
        self.rex(1, to, 0, base);
        self.bytes.push(0x8b);
        self.operand(to, at(base, None, disp), 1, 0);
    }

    /// to = base + disp
    pub fn add_to(&mut self, to: Gpr, base: Gpr, disp: i32) {
        self.rex(1, to, 0, base);
        self.bytes.push(0x8d);
        self.operand(to, at(base, None, disp), 1, 0);
    }

    /// to = base + index
    pub fn sum(&mut self, to: Gpr, base: Gpr, index: Gpr) {
        self.rex(1, to, index, base);
        self.bytes.push(0x8d);
        self.operand(to, at(base, Some(index), 0), 1, 0);
    }

    fn two(&mut self, opcode: u8, to: Gpr, from: Gpr) {
        self.rex(1, from, 0, to);
        self.bytes
            .extend([opcode, 0b11 << 6 | (from & 7) << 3 | to & 7]);
    }

    pub fn copy(&mut self, to: Gpr, from: Gpr) {
        self.two(0x89, to, from);
    }

    pub fn subtract(&mut self, to: Gpr, from: Gpr) {
        self.two(0x29, to, from);
    }

    pub fn compare(&mut self, a: Gpr, b: Gpr) {
        self.two(0x39, a, b);
    }

    pub fn clear(&mut self, r: Gpr) {
        self.two(0x31, r, r);
    }

    /// One operand and a byte: `extension` chooses the instruction.
    fn by_byte(&mut self, opcode: u8, extension: u8, r: Gpr, byte: i8) {
        self.rex(1, 0, 0, r);
        self.bytes
            .extend([opcode, 0b11 << 6 | extension << 3 | r & 7, byte as u8]);
    }

    pub fn shift_left(&mut self, r: Gpr, by: i8) {
        self.by_byte(0xc1, 4, r, by);
    }

    pub fn shift_right(&mut self, r: Gpr, by: i8) {
        self.by_byte(0xc1, 5, r, by);
    }

    /// The flags are those of the result.
    pub fn and_byte(&mut self, r: Gpr, byte: i8) {
        self.by_byte(0x83, 4, r, byte);
    }

    pub fn compare_byte(&mut self, r: Gpr, byte: i8) {
        self.by_byte(0x83, 7, r, byte);
    }

    pub fn set(&mut self, r: Gpr, value: i32) {
        self.rex(1, 0, 0, r);
        self.bytes.extend([0xc7, 0b11 << 6 | r & 7]);
        self.bytes.extend(value.to_le_bytes());
    }

    pub fn negate(&mut self, r: Gpr) {
        self.rex(1, 0, 0, r);
        self.bytes.extend([0xf7, 0b11 << 6 | 3 << 3 | r & 7]);
    }

    pub fn copy_if(&mut self, condition: Condition, to: Gpr, from: Gpr) {
        self.rex(1, to, 0, from);
        self.bytes.extend([
            0x0f,
            0x40 | condition as u8,
            0b11 << 6 | (to & 7) << 3 | from & 7,
        ]);
    }

    /// to = the lowest `count` bits of `from`, of 32.
    pub fn lowest_bits(&mut self, to: Gpr, from: Gpr, count: Gpr) {
        assert!(to < 8 && from < 8 && count < 8);
        self.bytes.extend([
            0xc4,
            0xe2,
            (!count & 15) << 3,
            0xf5,
            0b11 << 6 | to << 3 | from,
        ]);
    }

    pub fn push(&mut self, r: Gpr) {
        self.rex(0, 0, 0, r);
        self.bytes.push(0x50 | r & 7);
    }

    pub fn pop(&mut self, r: Gpr) {
        self.rex(0, 0, 0, r);
        self.bytes.push(0x58 | r & 7);
    }

    pub fn jump(&mut self, to: Label) {
        self.bytes.push(0xe9);
        self.waiting.push((self.bytes.len(), to, 0));
        self.bytes.extend([0; 4]);
    }

    pub fn jump_if(&mut self, condition: Condition, to: Label) {
        self.bytes.extend([0x0f, 0x80 | condition as u8]);
        self.waiting.push((self.bytes.len(), to, 0));
        self.bytes.extend([0; 4]);
    }

    pub fn ret(&mut self) {
        self.bytes.push(0xc3);
    }
}

pub fn at(base: Gpr, index: Option<Gpr>, disp: i32) -> RegMem {
    RegMem::At { base, index, disp }
}

/// The bits X and B of a prefix.
fn extensions(place: RegMem) -> (u8, u8) {
    match place {
        RegMem::Register(r) => (r >> 4, r >> 3),
        RegMem::At { base, index, .. } => (index.unwrap_or(0) >> 3, base >> 3),
        RegMem::Label(_) => (0, 0),
    }
}
