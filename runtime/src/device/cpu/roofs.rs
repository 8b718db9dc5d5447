//! What all threads reach at most: multiply-adds in registers, and copies past the caches.
//!
//! Enters threads and their level; leaves what this run measured. No number of another run or machine is used.

use super::pool::{Barrier, Pool};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use vsr_kernels::{Affine, Level, measure, non_temporal};

/// Multiply-adds a second of all threads.
pub fn peak_flops(pool: &mut Pool, level: Level) -> f64 {
    let peak = Mutex::new(0.0);
    pool.run(&|_| *peak.lock().unwrap_or_else(|e| e.into_inner()) += measure::peak_flops(level));
    peak.into_inner().unwrap_or_else(|e| e.into_inner())
}

/// Copies as many numbers as `from` has, with all threads awake before the clock starts: so they are for a launch.
pub fn copy(pool: &mut Pool, level: Level, from: &[f32], to: &mut [f32]) -> Duration {
    let floats = from.len().min(to.len());
    let (from, to) = (from.as_ptr() as usize, to.as_mut_ptr() as usize);
    let each = floats.div_ceil(pool.n_threads()).next_multiple_of(16);
    let barrier = Barrier::new(pool.n_threads());
    let start = Mutex::new(Instant::now());
    pool.run(&|thread| {
        barrier.between(thread, || {
            *start.lock().unwrap_or_else(|e| e.into_inner()) = Instant::now();
        });
        let first = (each * thread).min(floats);
        let n = each.min(floats - first) as i64;
        let (from, to) = (
            (from + 4 * first) as *const f32,
            (to + 4 * first) as *mut f32,
        );
        // SAFETY: threads take ranges of their own, within both; the caller takes a level of this machine.
        unsafe { non_temporal::copy(level, to, from, n, Affine::IDENTITY) };
        non_temporal::fence();
    });
    let start = start.into_inner().unwrap_or_else(|e| e.into_inner());
    start.elapsed()
}
