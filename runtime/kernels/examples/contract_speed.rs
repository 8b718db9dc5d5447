//! Speed of the contraction on the shapes that matter, as a share of this machine's measured peak.
//! `cargo run -p vsr-kernels --example contract_speed`

use std::time::Instant;
use vsr_kernels::{ContractCall, Level, contract, maths, measure, philox};

struct Shape {
    name: &'static str,
    m: usize,
    n: usize,
    n_taps: usize,
    k: usize,
    /// 1: rows apart in memory. Else: rows are neighbours, steps this far apart.
    a_step: usize,
    b_step: usize,
    /// Taps that one call takes.
    taps_a_call: usize,
}

fn aligned(n: usize) -> Vec<f32> {
    (0..n).map(|i| ((i * 7 % 13) as f32 - 6.0) * 0.01).collect()
}

fn speed(level: Level, s: &Shape) -> f64 {
    let weight_gradient = s.a_step > 1;
    let per_tap = s.k * if weight_gradient { s.a_step } else { 0 };
    let a = aligned(s.n_taps * per_tap + s.m * s.k.max(64) + 70 * 64 + s.k * s.a_step);
    let b_len = if weight_gradient {
        s.n_taps * s.k * s.b_step
    } else {
        s.n.div_ceil(32) * s.n_taps * s.k * 32
    };
    let b = aligned(b_len + 64);
    let rows: Vec<i64> = (0..s.m as i64)
        .map(|m| if weight_gradient { m } else { m * s.k as i64 })
        .collect();
    let taps: Vec<i64> = (0..s.n_taps as i64)
        .flat_map(|t| {
            let conv = (t / 3 * 50 + t % 3) * s.k as i64;
            let a = if weight_gradient {
                t * per_tap as i64
            } else {
                conv.min((s.m * s.k) as i64)
            };
            [a, t * (s.k * s.b_step) as i64]
        })
        .collect();
    let mut c = vec![0.0f32; s.m * s.n + 32];
    let skip = (c.as_ptr() as usize).wrapping_neg() % 64 / 4;
    let skip_b = (b.as_ptr() as usize).wrapping_neg() % 64 / 4;
    let b_panel = if weight_gradient {
        32
    } else {
        s.n_taps * s.k * 32
    };
    let call = ContractCall {
        c: c[skip..].as_mut_ptr(),
        ldc: s.n as i64,
        m: s.m as i64,
        n: s.n as i64,
        init: 0,
        bias: std::ptr::null(),
        a: a.as_ptr(),
        rows: rows.as_ptr(),
        a_step: s.a_step as i64,
        taps: taps.as_ptr(),
        n_taps: s.n_taps as i64,
        k: s.k as i64,
        b: b[skip_b..].as_ptr(),
        b_step: s.b_step as i64,
        b_panel: b_panel as i64,
    };
    let flops = 2.0 * (s.m * s.n * s.n_taps * s.k) as f64;
    // The system counts a thread's time in ticks of some milliseconds: measure long.
    let repeat = (5e10 / flops).ceil() as usize;
    let start = own_seconds();
    for _ in 0..repeat {
        for (taps, init) in parts(s, &taps) {
            let n_taps = (taps.len() / 2) as i64;
            let call = ContractCall {
                taps: taps.as_ptr(),
                n_taps,
                init,
                ..call
            };
            // SAFETY: a, b and c must be as long as the formula wants for this shape, which the sizes above are for; the
            // level is available.
            unsafe { contract(level, &call) };
        }
    }
    flops * repeat as f64 / (own_seconds() - start)
}

/// The taps of each call: all at once, or some lines at a time.
fn parts<'a>(s: &Shape, taps: &'a [i64]) -> Vec<(&'a [i64], i64)> {
    let chunk = 2 * s.taps_a_call.min(s.n_taps);
    let calls = taps.chunks(chunk).enumerate();
    calls.map(|(i, t)| (t, i64::from(i > 0))).collect()
}

/// Time that this thread had a core: other programs do not count. Without Linux, wall clock.
fn own_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let own = text.split(' ').next().and_then(|ns| ns.parse::<f64>().ok());
    own.map_or_else(|| START.elapsed().as_secs_f64(), |ns| ns * 1e-9)
}

static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);

fn main() {
    let shape = |name, m, n, n_taps, k, a_step, b_step| Shape {
        name,
        m,
        n,
        n_taps,
        k,
        a_step,
        b_step,
        taps_a_call: usize::MAX,
    };
    let shapes = [
        shape("conv 3x3 64->64, 48x64", 48, 64, 9, 64, 1, 32),
        shape("conv 3x3 64->64, 64x64", 64, 64, 9, 64, 1, 32),
        shape("conv 3x3x3 64->64, 48x64", 48, 64, 27, 64, 1, 32),
        shape("conv 3x3 64->128, 48x128", 48, 128, 9, 64, 1, 32),
        shape("matmul 256, 64x256", 64, 256, 1, 256, 1, 32),
        shape("conv 3x3 3->64, 48x64", 48, 64, 9, 3, 1, 32),
        shape("conv 3x3 64->48", 48, 48, 9, 64, 1, 32),
        shape("conv 3x3 64->3", 48, 3, 9, 64, 1, 32),
        shape(
            "weight gradient 64x64, 8 lines of 320",
            64,
            64,
            8,
            320,
            64,
            64,
        ),
        shape(
            "weight gradient 64x64, 180 lines of 320",
            64,
            64,
            180,
            320,
            64,
            64,
        ),
        shape(
            "weight gradient 64x128, 32 lines of 32",
            64,
            128,
            32,
            32,
            64,
            128,
        ),
        shape(
            "weight gradient 96x64, 640 lines of 16",
            96,
            64,
            640,
            16,
            128,
            256,
        ),
        Shape {
            taps_a_call: 16,
            ..shape("the same, 16 lines a call", 96, 64, 640, 16, 128, 256)
        },
        Shape {
            taps_a_call: 64,
            ..shape("the same, 64 lines a call", 96, 64, 640, 16, 128, 256)
        },
        Shape {
            taps_a_call: 16,
            ..shape("64x64 of 256, 16 lines a call", 64, 64, 160, 16, 256, 256)
        },
        Shape {
            taps_a_call: 1,
            ..shape("64x64 of 64, a line of 320 a call", 64, 64, 4, 320, 64, 64)
        },
        Shape {
            taps_a_call: 16,
            ..shape("256x64 of 256, 16 lines a call", 256, 64, 160, 16, 256, 256)
        },
        shape("few rows: 2x256", 2, 256, 1, 512, 1, 32),
    ];
    for level in Level::available().into_iter().rev().take(2) {
        let peak = measure::peak_flops(level);
        println!("{}: peak {:.1} GFLOP/s", level.name(), peak * 1e-9);
        for s in &shapes {
            let got = speed(level, s);
            println!(
                "  {:42} {:7.1} GFLOP/s {:5.1} %",
                s.name,
                got * 1e-9,
                100.0 * got / peak
            );
        }
        let mut x = aligned(4096);
        for f in [
            maths::Map::Silu,
            maths::Map::Exp,
            maths::Map::Tanh,
            maths::Map::Sin,
        ] {
            let start = Instant::now();
            for _ in 0..2000 {
                let call = maths::Call::plain(x.as_mut_ptr(), x.as_ptr(), 4096);
                // SAFETY: x has 4096 floats, and is both source and destination; the level is available.
                unsafe { maths::map(level, f, call) };
            }
            println!(
                "  {f:?}: {:.2} G/s",
                2000.0 * 4096.0 / start.elapsed().as_secs_f64() * 1e-9
            );
        }
    }
    let mut noise = vec![0.0f32; 1 << 20];
    for normal in [false, true] {
        let start = Instant::now();
        philox::fill(Level::detect(), &mut noise, 1, 2, 3, normal, 0);
        println!(
            "random, normal {normal}: {:.2} G/s",
            1.048_576e-3 / start.elapsed().as_secs_f64()
        );
    }
}
