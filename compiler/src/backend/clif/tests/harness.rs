//! Maps compiled kernels into this process, runs them with a plain Rust function table, and compares with the interpreter.

use crate::backend::Target;
use crate::diag::context;
use crate::tile::interpret::{Data, interpret, n_tasks};
use crate::tile::{BufferKind, Kernel, LaunchedKernel, PASSES, lift, parse_kernel, print, verify};
use vsr_artifact::abi::{ContractCall, Env, FnTable, KernelFn, Map2Fn, MapFn, RowFn};
use vsr_artifact::machine::Machine;
use vsr_tile::scalar::{Each, Map, Map2};

/// Elements before and after every buffer that nobody may write.
const BORDER: usize = 64;
const UNTOUCHED: f32 = -12345.5;

pub fn random(key: u64, normal: bool, at: i64) -> f64 {
    let mut z =
        (key ^ u64::from(normal)).wrapping_add((at as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    f64::from((z >> 40) as u32) / f64::from(1u32 << 24)
}

/// At most one of the two rounds, so that levels with and without fused multiplication agree.
fn affine(x: f32, scale: f32, shift: f32) -> f32 {
    assert!(scale.abs() == 1.0 || shift.to_bits() == (-0.0f32).to_bits());
    scale * x + shift
}

unsafe extern "C" fn map<const F: usize>(
    dst: *mut f32,
    src: *const f32,
    n: i64,
    sums: *mut [f32; 32],
    scale: f32,
    shift: f32,
) {
    for i in 0..n as usize {
        // SAFETY: the kernel, which the verifier has accepted, has n floats at src and dst, and 32 sums or null.
        unsafe {
            let x = affine(*src.add(i), scale, shift);
            let y = Map::ALL[F].of(f64::from(x)) as f32;
            *dst.add(i) = y;
            if !sums.is_null() {
                (*sums)[i % 32] += y;
            }
        }
    }
}

struct Maps;

impl Each for Maps {
    type Made = MapFn;
    fn make<const F: usize>() -> MapFn {
        map::<F>
    }
}

unsafe extern "C" fn map2<const F: usize>(dst: *mut f32, a: *const f32, b: *const f32, n: i64) {
    for i in 0..n as usize {
        // SAFETY: the kernel has n floats at each of the three.
        unsafe {
            let (a, b) = (f64::from(*a.add(i)), f64::from(*b.add(i)));
            *dst.add(i) = Map2::ALL[F].of(a, b) as f32;
        }
    }
}

struct Maps2;

impl Each for Maps2 {
    type Made = Map2Fn;
    fn make<const F: usize>() -> Map2Fn {
        map2::<F>
    }
}

unsafe extern "C" fn copy_non_temporal(
    dst: *mut f32,
    src: *const f32,
    n: i64,
    scale: f32,
    shift: f32,
) {
    for i in 0..n as usize {
        // SAFETY: the kernel has n floats at both.
        unsafe { *dst.add(i) = affine(*src.add(i), scale, shift) };
    }
}

unsafe extern "C" fn interleave(
    dst: *mut f32,
    src: *const f32,
    step: i64,
    n_rows: i64,
    n: i64,
    _non_temporal: i64,
) {
    for i in 0..n {
        for k in 0..n_rows {
            // SAFETY: the kernel has n floats in each row, and n_rows·n at dst.
            unsafe {
                *dst.offset((n_rows * i + k) as isize) = *src.offset((k * step + i) as isize);
            }
        }
    }
}

unsafe extern "C" fn transpose(
    dst: *mut f32,
    dst_step: i64,
    src: *const f32,
    src_step: i64,
    rows: i64,
    n: i64,
    _next: *const f32,
    _next_step: i64,
    _non_temporal: i64,
) {
    for r in 0..rows {
        for i in 0..n {
            // SAFETY: the kernel has these elements at src and dst.
            unsafe {
                *dst.offset((r * dst_step + i) as isize) = *src.offset((i * src_step + r) as isize)
            };
        }
    }
}

unsafe extern "C" fn random_fn(
    _env: *const Env,
    dst: *mut f32,
    key: u64,
    normal: i64,
    first: i64,
    n: i64,
) {
    for i in 0..n {
        // SAFETY: the kernel has n floats at dst.
        unsafe { *dst.add(i as usize) = random(key, normal != 0, first + i) as f32 };
    }
}

unsafe extern "C" fn contract(call: *const ContractCall) {
    // SAFETY: the kernel passes a call, all of whose elements lie in its buffers.
    unsafe {
        let c = &*call;
        for m in 0..c.m as usize {
            for n in 0..c.n as usize {
                let cell = c.c.add(m * c.ldc as usize + n);
                let mut sum = match c.init {
                    0 => 0.0,
                    1 => *cell,
                    _ => *c.bias.add(n),
                };
                for t in 0..c.n_taps as usize {
                    let a = c.a.offset((*c.rows.add(m) + *c.taps.add(2 * t)) as isize);
                    let b = *c.taps.add(2 * t + 1) + (n / 32) as i64 * c.b_panel + (n % 32) as i64;
                    let b = c.b.offset(b as isize);
                    for k in 0..c.k {
                        sum = libm::fmaf(
                            *a.offset((k * c.a_step) as isize),
                            *b.offset((k * c.b_step) as isize),
                            sum,
                        );
                    }
                }
                *cell = sum;
            }
        }
    }
}

fn table() -> FnTable {
    let (maps, later_maps) = FnTable::split(Map::each::<Maps>());
    let (maps2, later_maps2) = FnTable::split(Map2::each::<Maps2>());
    FnTable {
        contract,
        maps,
        maps2,
        random: random_fn,
        copy_non_temporal,
        interleave,
        transpose,
        later_maps,
        later_maps2,
    }
}

/// Columns of a kernel's wide rows that this machine can run.
fn levels() -> Vec<usize> {
    let wide = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512bw");
    if wide { vec![0, 1] } else { vec![0] }
}

/// Runs the kernel natively on copies of the buffers, in two calls if there are several tasks.
pub fn run(
    kernel: &Kernel,
    args: &[i64],
    buffers: &[Data<f32>],
    target: Target,
    level: usize,
) -> Vec<Data<f32>> {
    let around = |_| context(kernel.name.as_str());
    let mut launched = LaunchedKernel {
        kernel: kernel.clone(),
        args: args.to_vec(),
        lens: vec![],
        machine: Machine::default(),
    };
    PASSES.iter().for_each(|pass| (pass.run)(&mut launched));
    let kernel = &launched.kernel;
    let (kernels, machine) = (std::slice::from_ref(kernel), Machine::default());
    let code = target.backend().compile(kernels, &machine, &around);
    let code = code.expect("there are threads");
    let mut pages = memmap2::MmapMut::map_anon(code.bytes.len()).expect("memory");
    pages.copy_from_slice(&code.bytes);
    let pages = pages.make_exec().expect("pages may be executed");
    // SAFETY: the kernel begins at this offset within the pages, by the compiler, and they outlive its calls.
    let entry = unsafe {
        let start = pages.as_ptr().add(code.kernels[0].offset as usize);
        std::mem::transmute::<*const u8, KernelFn>(start)
    };
    // SAFETY: rows begin at offsets within the pages, by the compiler, and are run at a level that is there.
    let row = |offsets: &[u64; 2]| unsafe {
        let start = pages.as_ptr().add(offsets[level] as usize);
        std::mem::transmute::<*const u8, RowFn>(start)
    };
    let rows: Vec<RowFn> = code.kernels[0].rows.iter().map(row).collect();
    let mut values: Vec<Vec<f32>> = vec![];
    let mut tables: Vec<Vec<i64>> = vec![];
    let mut bases: Vec<*mut u8> = vec![];
    for buffer in buffers {
        match buffer {
            Data::Values(v) => {
                let border = vec![UNTOUCHED; BORDER];
                values.push([border.as_slice(), v, &border].concat());
                let with_border = values.last_mut().expect("just pushed").as_mut_ptr();
                bases.push(with_border.wrapping_add(BORDER).cast());
            }
            Data::Table(t) => {
                tables.push(t.clone());
                bases.push(tables.last_mut().expect("just pushed").as_mut_ptr().cast());
            }
        }
    }
    let bytes = code.kernels[0].scratch as usize;
    let mut scratch = vec![0xA5u8; bytes + 128];
    let aligned = scratch.as_ptr().align_offset(64);
    let fns = table();
    let env = Env {
        fns: &fns,
        buffers: bases.as_ptr(),
        args: args.as_ptr(),
        rows: rows.as_ptr(),
        seed: 1,
        step: 2,
    };
    let tasks = n_tasks(kernel, args).expect("tasks can be counted");
    let middle = tasks / 2;
    // SAFETY: the verifier accepts the kernel with these arguments and lengths, scratch is aligned and as long as the
    // compiler says, and pages, buffers and tables live until the end.
    unsafe {
        entry(&env, 0, middle, scratch.as_mut_ptr().add(aligned));
        entry(&env, middle, tasks, scratch.as_mut_ptr().add(aligned));
    }
    assert!(
        scratch[aligned + bytes..].iter().all(|b| *b == 0xA5),
        "{}: scratch is overrun",
        kernel.name
    );
    let mut results = vec![];
    let mut values = values.into_iter();
    for buffer in buffers {
        match buffer {
            Data::Values(_) => {
                let v = values.next().expect("as many as before");
                let (inside, after) = v[BORDER..].split_at(v.len() - 2 * BORDER);
                assert!(
                    v[..BORDER].iter().chain(after).all(|x| *x == UNTOUCHED),
                    "{}: a border is written",
                    kernel.name
                );
                results.push(Data::Values(inside.to_vec()));
            }
            Data::Table(t) => results.push(Data::Table(t.clone())),
        }
    }
    results
}

/// Compiled code and interpreter agree: bit for bit if `tolerance` is 0, else within it relative to 1 + |value|.
pub fn check(kernel: &Kernel, args: &[i64], buffers: &[Data<f32>], tolerance: f32) {
    let mut expected = buffers.to_vec();
    let len = |b: &Data<f32>| {
        if let Data::Values(v) = b {
            v.len()
        } else {
            1 << 20
        }
    };
    let lens: Vec<i64> = buffers.iter().map(|b| len(b) as i64).collect();
    verify(kernel, args, &lens).expect("the verifier accepts the kernel");
    interpret(kernel, args, &mut expected, &random).expect("the interpreter runs the kernel");
    compare(kernel, args, buffers, &expected, tolerance);
    if args.is_empty() {
        let (lifted, args) = lift(kernel);
        let mut again = buffers.to_vec();
        interpret(&lifted, &args, &mut again, &random)
            .expect("the interpreter runs the lifted kernel");
        assert_eq!(
            format!("{again:?}"),
            format!("{expected:?}"),
            "{}: lifting changed the result",
            kernel.name
        );
        compare(&lifted, &args, buffers, &expected, tolerance);
    }
}

fn compare(
    kernel: &Kernel,
    args: &[i64],
    buffers: &[Data<f32>],
    expected: &[Data<f32>],
    tolerance: f32,
) {
    assert_eq!(parse_kernel(&print(kernel)).as_ref(), Ok(kernel));
    let wide = levels().into_iter().map(|l| (Target::X86_64V3, l));
    for (target, level) in wide.chain([(Target::Portable, 0)]) {
        let actual = run(kernel, args, buffers, target, level);
        for (b, (want, have)) in expected.iter().zip(&actual).enumerate() {
            let (Data::Values(want), Data::Values(have)) = (want, have) else {
                continue;
            };
            for (i, (w, h)) in want.iter().zip(have).enumerate() {
                let same = w.to_bits() == h.to_bits()
                    || w.is_nan() && h.is_nan()
                    || *w == 0.0 && *h == 0.0;
                let near = (w - h).abs() <= tolerance * (1.0 + w.abs());
                assert!(
                    same || near,
                    "{} for {}, level {level}: buffer {b} element {i} is {h}, not {w}\n{}",
                    kernel.name,
                    target.name(),
                    print(kernel),
                );
            }
        }
    }
}

/// Values in -2..2 from a seed.
pub fn values(n: usize, seed: u64) -> Data<f32> {
    Data::Values(
        (0..n)
            .map(|i| (random(seed, false, i as i64) * 4.0 - 2.0) as f32)
            .collect(),
    )
}

pub fn kernel(name: &str, kinds: &[BufferKind]) -> Kernel {
    let buffer = |(i, kind): (usize, &BufferKind)| crate::tile::Buffer {
        name: format!("b{i}"),
        kind: *kind,
    };
    let buffers = kinds.iter().enumerate().map(buffer).collect();
    Kernel {
        name: name.into(),
        buffers,
        args: vec![],
        tasks: vec![],
        tiles: vec![],
        body: vec![],
    }
}
