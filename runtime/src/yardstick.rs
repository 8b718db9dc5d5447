//! What this machine can do at most, measured like a launch: all threads at once, best of several.
//!
//! Enters the threads and their level; leaves operations and bytes a second. Nothing is assumed of a machine, and no
//! speed of another run is used.

use crate::device::cpu::{Barrier, Memory, Pool};
use crate::error::Result;
use std::sync::Mutex;
use std::time::Instant;
use vsr_kernels::{Affine, Level, measure, non_temporal};

/// Floats that are copied: more than the caches hold.
const FLOATS: usize = 16 << 20;

/// Copies between the same two places, which lie as an entry's buffers do, and keeps the best time.
pub struct Copy {
    from: Memory,
    to: Memory,
    seconds: f64,
}

impl Copy {
    pub fn new() -> Result<Copy> {
        let room = || Memory::zeroed(4 * FLOATS as u64, "measuring copies");
        let mut from = room()?;
        // A page that was never written is no memory yet.
        from.bytes_mut().fill(1);
        Ok(Copy {
            from,
            to: room()?,
            seconds: f64::INFINITY,
        })
    }

    pub fn run(&mut self, pool: &mut Pool, level: Level) {
        let (from, to) = (self.from.base() as usize, self.to.base() as usize);
        let each = FLOATS.div_ceil(pool.n_threads()).next_multiple_of(16);
        let barrier = Barrier::new(pool.n_threads());
        let start = Mutex::new(Instant::now());
        pool.run(&|thread| {
            // All threads are awake: so they are for a launch that is measured.
            barrier.between(thread, || {
                *start.lock().unwrap_or_else(|e| e.into_inner()) = Instant::now();
            });
            let first = (each * thread).min(FLOATS);
            let n = each.min(FLOATS - first) as i64;
            let (from, to) = (
                (from + 4 * first) as *const f32,
                (to + 4 * first) as *mut f32,
            );
            // SAFETY: threads take ranges of their own, within both memories; the caller takes a level of this machine.
            unsafe { non_temporal::copy(level, to, from, n, Affine::IDENTITY) };
            non_temporal::fence();
        });
        let start = start.into_inner().unwrap_or_else(|e| e.into_inner());
        self.seconds = self.seconds.min(start.elapsed().as_secs_f64());
    }

    /// Bytes read and written a second, at best so far.
    pub fn bandwidth(&self) -> f64 {
        8.0 * FLOATS as f64 / self.seconds
    }
}

/// Multiply-adds a second of all threads.
pub fn peak_flops(pool: &mut Pool, level: Level) -> f64 {
    let peak = Mutex::new(0.0);
    pool.run(&|_| *peak.lock().unwrap_or_else(|e| e.into_inner()) += measure::peak_flops(level));
    peak.into_inner().unwrap_or_else(|e| e.into_inner())
}

/// Multiply-adds and copied bytes a second, where nothing else is measured.
pub fn machine(pool: &mut Pool, level: Level) -> Result<(f64, f64)> {
    const REPEATS: usize = 12;
    let peak = peak_flops(pool, level);
    let mut copy = Copy::new()?;
    (0..REPEATS).for_each(|_| copy.run(pool, level));
    Ok((peak, copy.bandwidth()))
}
