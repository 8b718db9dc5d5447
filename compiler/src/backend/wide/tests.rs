//! Programs run here, at every level of this machine, against the same operations on single numbers.

use super::{Level, Op, Ops, Program, Reduction, Store, ValueId, emit};
use crate::equation::{Binary, Relation};

/// Elements before and after each operand that nobody may write.
const BORDER: usize = 40;
const UNTOUCHED: f32 = -12345.5;

/// All levels: code is made for each on any machine.
const ALL: [Level; 2] = [Level::Avx2, Level::Avx512];

/// Those that run here.
fn levels() -> Vec<Level> {
    let mut levels = vec![];
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("bmi2") {
        levels.push(Level::Avx2);
        if is_x86_feature_detected!("avx512dq") {
            levels.push(Level::Avx512);
        }
    }
    levels
}

struct Draw(u64);

impl Draw {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        ((self.0 >> 33) as usize) % n
    }

    fn number(&mut self) -> f32 {
        match self.below(12) {
            0 => 0.0,
            1 => -0.0,
            2 => f32::NAN,
            3 => f32::INFINITY,
            n => (self.below(1 << 16) as f32 / 8192.0 - 4.0) * n as f32,
        }
    }
}

fn program(d: &mut Draw) -> Program {
    let n_pointers = 2 + d.below(13);
    let n_numbers = d.below(5);
    let mut ops = vec![];
    for pointer in 1..n_pointers {
        let bytes = 4 * d.below(20) as i32 - 40;
        ops.push(Op::Load { pointer, bytes });
    }
    ops.extend((0..n_numbers).map(Op::Number));
    ops.push(Op::Lit(0x8000_0000));
    ops.push(Op::Lit(0x7fff_ffff));
    ops.push(Op::Lit(1.5f32.to_bits()));
    let fixed = ops.len();
    // Each operand is used, so that no value waits for nothing.
    for i in 0..n_pointers + d.below(6) {
        let a = if i + 1 < n_pointers {
            i
        } else {
            d.below(ops.len())
        };
        let b = if ops.len() == fixed { 0 } else { ops.len() - 1 };
        let (a, b) = if d.below(2) == 0 { (a, b) } else { (b, a) };
        let binary = [
            Binary::Add,
            Binary::Sub,
            Binary::Mul,
            Binary::Div,
            Binary::Min,
            Binary::Max,
        ];
        let relation = [
            Relation::Lt,
            Relation::Le,
            Relation::Gt,
            Relation::Ge,
            Relation::Eq,
            Relation::Ne,
        ];
        ops.push(match d.below(11) {
            9 => Op::Fma(a, b, d.below(fixed)),
            10 => Op::Fma(d.below(fixed), a, b),
            0 => Op::Sqrt(b),
            1 => Op::Floor(b),
            2 => Op::Xor(b, fixed - 3),
            3 => Op::And(b, fixed - 2),
            4 => Op::Select(relation[d.below(6)], [a, b, d.below(fixed), b]),
            _ => Op::Binary(binary[d.below(6)], a, b),
        });
    }
    let value = ops.len() - 1;
    let bytes = 4 * d.below(9) as i32;
    let non_temporal = d.below(2) == 0;
    let stores = vec![Store {
        value,
        pointer: 0,
        bytes,
    }];
    Program {
        n_pointers,
        n_numbers,
        ops,
        stores,
        reduction: None,
        non_temporal,
        prefetches: non_temporal,
    }
}

fn expected(p: &Program, operands: &[Vec<f32>], numbers: &[f32], at: usize) -> f32 {
    let last = p.stores.iter().map(|s| s.value);
    let last = last.chain(p.reduction.iter().map(|r| r.value)).last();
    let mut v: Vec<f32> = vec![];
    for op in &p.ops {
        let bits = |i: usize| v[i].to_bits();
        v.push(match op {
            Op::Load { pointer, bytes } => {
                operands[*pointer][(BORDER + at).wrapping_add_signed(*bytes as isize / 4)]
            }
            Op::Number(i) => numbers[*i],
            Op::Lit(bits) => f32::from_bits(*bits),
            Op::And(a, b) => f32::from_bits(bits(*a) & bits(*b)),
            Op::Xor(a, b) => f32::from_bits(bits(*a) ^ bits(*b)),
            Op::Sqrt(a) => v[*a].sqrt(),
            Op::Floor(a) => v[*a].floor(),
            Op::Fma(a, b, c) => v[*a].mul_add(v[*b], v[*c]),
            Op::Scale { .. } => unreachable!("maths has a test of its own"),
            Op::Binary(op, a, b) => {
                let (a, b) = (v[*a], v[*b]);
                match op {
                    Binary::Add => a + b,
                    Binary::Sub => a - b,
                    Binary::Mul => a * b,
                    Binary::Div => a / b,
                    Binary::Min => {
                        if a < b {
                            a
                        } else {
                            b
                        }
                    }
                    Binary::Max => {
                        if a > b {
                            a
                        } else {
                            b
                        }
                    }
                    op => unreachable!("{op:?} is a call"),
                }
            }
            Op::Select(r, [a, b, yes, no]) => {
                let (a, b) = (v[*a], v[*b]);
                let holds = match r {
                    Relation::Lt => a < b,
                    Relation::Le => a <= b,
                    Relation::Gt => a > b,
                    Relation::Ge => a >= b,
                    Relation::Eq => a == b,
                    Relation::Ne => a != b,
                };
                v[if holds { *yes } else { *no }]
            }
        });
    }
    v[last.expect("something is computed")]
}

/// Runs the program's code on the operands; `offset` elements from where they are aligned.
fn run(code: &[u8], p: &Program, operands: &mut [Vec<f32>], numbers: &[f32], n: usize) {
    let mut pages = memmap2::MmapMut::map_anon(code.len()).expect("memory");
    pages.copy_from_slice(code);
    let pages = pages.make_exec().expect("pages may be executed");
    let mut arguments = vec![0u8; p.argument_bytes()];
    for (i, s) in operands.iter_mut().enumerate() {
        let pointer = s[BORDER..].as_mut_ptr() as u64;
        arguments[8 * i..8 * i + 8].copy_from_slice(&pointer.to_le_bytes());
    }
    for (i, x) in numbers.iter().enumerate() {
        let at = 8 * p.n_pointers + 4 * i;
        arguments[at..at + 4].copy_from_slice(&x.to_le_bytes());
    }
    // SAFETY: the code is that of a row, for a level that is there; its operands have n elements, or the lanes of a
    // reduction, and a border beyond what a program reads past them.
    unsafe {
        let row: unsafe extern "C" fn(*const u8, i64) = std::mem::transmute(pages.as_ptr());
        row(arguments.as_ptr(), n as i64)
    };
}

/// The program's code at the levels that run here; at each level, whether there is code is counted.
fn codes(p: &Program, n_emitted: &mut [usize; 2]) -> Vec<(Level, Vec<u8>)> {
    let mut codes = vec![];
    for (level, n) in ALL.into_iter().zip(n_emitted) {
        if let Some(code) = emit(p, level) {
            *n += 1;
            codes.push((level, code));
        }
    }
    codes.retain(|(level, _)| levels().contains(level));
    codes
}

/// Of 400 programs, 16 registers are enough for most or half of them, and 32 for all.
fn assert_emitted([avx2, avx512]: [usize; 2], least_avx2: usize) {
    assert!(avx2 >= least_avx2, "{avx2} of {least_avx2} have code");
    assert_eq!(avx512, 400);
}

#[test]
fn every_level_computes_what_single_numbers_do() {
    let mut n_emitted = [0; 2];
    for seed in 0..400 {
        let d = &mut Draw(seed);
        let p = program(d);
        let n = [0, 1, 7, 8, 15, 16, 17, 31, 64, 65, 130, 257][d.below(12)];
        let numbers: Vec<f32> = (0..p.n_numbers).map(|_| d.number()).collect();
        let mut operands: Vec<Vec<f32>> = vec![vec![UNTOUCHED; n + 2 * BORDER]];
        for _ in 1..p.n_pointers {
            operands.push((0..n + 2 * BORDER).map(|_| d.number()).collect());
        }
        for (level, code) in codes(&p, &mut n_emitted) {
            let mut now = operands.clone();
            run(&code, &p, &mut now, &numbers, n);
            let first = BORDER + p.stores[0].bytes as usize / 4;
            for (i, have) in now[0].iter().enumerate() {
                let want = match i.checked_sub(first).filter(|at| *at < n) {
                    Some(at) => expected(&p, &operands, &numbers, at),
                    None => UNTOUCHED,
                };
                let same = want.to_bits() == have.to_bits() || want.is_nan() && have.is_nan();
                assert!(
                    same,
                    "{seed} {level:?}: element {i} of {n} is {have}, not {want}\n{p:#?}"
                );
            }
        }
    }
    assert_emitted(n_emitted, 300);
}

fn joined(op: Binary, a: f32, b: f32) -> f32 {
    let first = match op {
        Binary::Add => return a + b,
        Binary::Max => a > b,
        Binary::Min => a < b,
        _ => unreachable!("{op:?} does not reduce"),
    };
    if first { a } else { b }
}

#[test]
fn elements_are_reduced_in_their_lanes() {
    let mut n_emitted = [0; 2];
    for seed in 0..400 {
        let d = &mut Draw(1000 + seed);
        let mut p = program(d);
        let op = [Binary::Add, Binary::Max, Binary::Min][d.below(3)];
        let lanes = [16, 32][d.below(2)];
        let neutral = match op {
            Binary::Add => 0.0f32,
            Binary::Max => f32::NEG_INFINITY,
            _ => f32::INFINITY,
        };
        let total_from = (d.below(2) == 0).then_some(neutral.to_bits());
        let value = p.stores.remove(0).value;
        p.non_temporal = false;
        p.reduction = Some(Reduction {
            op,
            value,
            pointer: 0,
            lanes,
            total_from,
        });
        let n = [0, 1, 8, 15, 16, 31, 32, 33, 47, 64, 127, 128, 300][d.below(13)];
        let numbers: Vec<f32> = (0..p.n_numbers).map(|_| d.number()).collect();
        let mut operands: Vec<Vec<f32>> = vec![];
        for _ in 0..p.n_pointers {
            operands.push((0..n.max(lanes) + 2 * BORDER).map(|_| d.number()).collect());
        }
        let mut want = operands[0].clone();
        let mut row = match total_from {
            Some(_) => vec![neutral; lanes],
            None => want[BORDER..][..lanes].to_vec(),
        };
        for e in 0..n {
            let y = expected(&p, &operands, &numbers, e);
            row[e % lanes] = joined(op, row[e % lanes], y);
        }
        while total_from.is_some() && row.len() > 1 {
            let high = row.split_off(row.len() / 2);
            row = row
                .iter()
                .zip(high)
                .map(|(a, b)| joined(op, *a, b))
                .collect();
        }
        want[BORDER..][..row.len()].copy_from_slice(&row);
        for (level, code) in codes(&p, &mut n_emitted) {
            let mut now = operands.clone();
            run(&code, &p, &mut now, &numbers, n);
            for (i, (have, want)) in now[0].iter().zip(&want).enumerate() {
                let same = want.to_bits() == have.to_bits() || want.is_nan() && have.is_nan();
                assert!(
                    same,
                    "{seed} {level:?}: lane {i} of {n} is {have}, not {want}\n{p:#?}"
                );
            }
        }
    }
    assert_emitted(n_emitted, 198);
}

#[test]
fn a_program_with_more_values_than_registers_is_refused() {
    let mut ops: Vec<Op> = (0..20)
        .map(|i| Op::Load {
            pointer: 1,
            bytes: 4 * i,
        })
        .collect();
    for i in 0..19 {
        let sum = if i == 0 { 0 } else { 19 + i };
        ops.push(Op::Binary(Binary::Add, sum, 19 - i));
    }
    let stores = vec![Store {
        value: ops.len() - 1,
        pointer: 0,
        bytes: 0,
    }];
    let p = Program {
        n_pointers: 2,
        n_numbers: 0,
        ops,
        stores,
        reduction: None,
        non_temporal: true,
        prefetches: true,
    };
    assert!(emit(&p, Level::Avx2).is_none());
    assert!(emit(&p, Level::Avx512).is_some());
}

impl Ops for Program {
    fn op(&mut self, op: Op) -> ValueId {
        let known = self.ops.iter().position(|o| *o == op);
        known.unwrap_or_else(|| {
            self.ops.push(op);
            self.ops.len() - 1
        })
    }
}

/// Numbers of every exponent and sign, a dense ramp where results change most, and the edges.
fn arguments() -> Vec<f32> {
    let mut x: Vec<f32> = (0..=u32::MAX / 40_009)
        .map(|i| f32::from_bits(i * 40_009))
        .collect();
    x.extend((-30_000..30_000).map(|i| i as f32 * 4e-3));
    x.extend([0.0, -0.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY]);
    x.extend([88.7, 88.73, 89.0, -87.4, -103.9, -104.1, 87.0, -88.0]);
    x
}

type Maths = (fn(&mut Program, ValueId) -> ValueId, fn(f32) -> f32);

#[test]
fn maths_has_the_bits_of_the_runtimes() {
    let functions: [Maths; 3] = [
        (|p, x| p.exp(x), vsr_kernels::maths::exp),
        (|p, x| p.sigmoid(x), vsr_kernels::maths::sigmoid),
        (|p, x| p.silu(x), vsr_kernels::maths::silu),
    ];
    let x = arguments();
    for (i, (build, scalar)) in functions.into_iter().enumerate() {
        let mut p = Program {
            n_pointers: 2,
            ..Program::default()
        };
        let at = p.op(Op::Load {
            pointer: 1,
            bytes: 0,
        });
        let value = build(&mut p, at);
        p.stores.push(Store {
            value,
            pointer: 0,
            bytes: 0,
        });
        let border = vec![0.0; BORDER];
        let source = [border.as_slice(), &x, &border].concat();
        for level in levels() {
            let code = emit(&p, level).expect("few values are alive at once");
            let mut operands = [vec![UNTOUCHED; source.len()], source.clone()];
            run(&code, &p, &mut operands, &[], x.len());
            for (x, have) in x.iter().zip(&operands[0][BORDER..]) {
                let want = scalar(*x);
                let same = want.to_bits() == have.to_bits() || want.is_nan() && have.is_nan();
                assert!(same, "function {i} of {x}, {level:?}: {have}, not {want}");
            }
        }
    }
}
