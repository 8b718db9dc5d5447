//! What this machine can do at most: the yardstick of every speed that is reported, measured in the same run.

use crate::Level;
use std::time::Instant;

/// Floating-point operations a second of one thread that does nothing but multiply-adds in registers.
/// `level` must be available on this machine.
pub fn peak_flops(level: Level) -> f64 {
    let mut best: f64 = 0.0;
    for _ in 0..5 {
        let start = Instant::now();
        // SAFETY: no memory is touched; the caller takes a level whose instructions this machine has.
        let flops = unsafe {
            match level {
                #[cfg(target_arch = "x86_64")]
                Level::Avx512 => avx512(200_000),
                #[cfg(target_arch = "x86_64")]
                Level::Avx2 => avx2(200_000),
                _ => portable(200_000),
            }
        };
        best = best.max(flops / start.elapsed().as_secs_f64());
    }
    best
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn avx512(rounds: u64) -> f64 {
    use std::arch::x86_64::*;
    // Enough for two units of latency four, and few enough to stay in registers whatever surrounds the loop.
    const CHAINS: usize = 12;
    let mut c = [_mm512_set1_ps(std::hint::black_box(0.5)); CHAINS];
    let (x, y) = (
        _mm512_set1_ps(std::hint::black_box(0.999)),
        _mm512_set1_ps(std::hint::black_box(1e-3)),
    );
    for _ in 0..rounds {
        for v in &mut c {
            *v = _mm512_fmadd_ps(*v, x, y);
        }
    }
    std::hint::black_box(c.map(|v| _mm512_reduce_add_ps(v)));
    rounds as f64 * CHAINS as f64 * 32.0
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2(rounds: u64) -> f64 {
    use std::arch::x86_64::*;
    let mut c = [_mm256_set1_ps(std::hint::black_box(0.5)); 12];
    let (x, y) = (
        _mm256_set1_ps(std::hint::black_box(0.999)),
        _mm256_set1_ps(std::hint::black_box(1e-3)),
    );
    for _ in 0..rounds {
        for v in &mut c {
            *v = _mm256_fmadd_ps(*v, x, y);
        }
    }
    std::hint::black_box(c.map(|v| _mm256_cvtss_f32(v)));
    rounds as f64 * 12.0 * 16.0
}

unsafe fn portable(rounds: u64) -> f64 {
    let mut c = [std::hint::black_box(0.5f32); 48];
    let (x, y) = (
        std::hint::black_box(0.999f32),
        std::hint::black_box(1e-3f32),
    );
    for _ in 0..rounds {
        for v in &mut c {
            *v = *v * x + y;
        }
    }
    std::hint::black_box(c);
    rounds as f64 * 48.0 * 2.0
}
