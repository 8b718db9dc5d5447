//! What this machine can do at most, measured like a launch: all threads at once, best of several.

use crate::device::cpu::Pool;
use std::sync::Mutex;
use std::time::Instant;
use vsr_kernels::{Affine, Level, measure, stream};

/// Bytes of what is copied: more than the caches hold.
const BYTES: usize = 64 << 20;

/// A cache line: buffers of an artifact begin on one.
#[derive(Clone)]
#[repr(align(64))]
#[expect(dead_code, reason = "read by address")]
struct Line([f32; 16]);

/// Copies between the same two places, and keeps the best time.
pub struct Copy {
    from: Vec<Line>,
    to: Vec<Line>,
    seconds: f64,
}

impl Default for Copy {
    fn default() -> Copy {
        let n = BYTES / size_of::<Line>();
        Copy {
            from: vec![Line([1.0; 16]); n],
            to: vec![Line([0.0; 16]); n],
            seconds: f64::INFINITY,
        }
    }
}

impl Copy {
    pub fn run(&mut self, pool: &mut Pool, level: Level) {
        let each = self.from.len().div_ceil(pool.n_threads());
        let parts: Vec<Mutex<(&[Line], &mut [Line])>> = self
            .from
            .chunks(each)
            .zip(self.to.chunks_mut(each))
            .map(Mutex::new)
            .collect();
        let start = Instant::now();
        pool.run(&|thread| {
            let Some(Ok(mut part)) = parts.get(thread).map(|p| p.lock()) else {
                return;
            };
            let n = 16 * part.0.len() as i64;
            let (from, to) = (part.0.as_ptr().cast(), part.1.as_mut_ptr().cast());
            // SAFETY: both slices hold n floats, and do not overlap.
            unsafe { stream::stream(level, to, from, n, Affine::IDENTITY) };
            stream::fence();
        });
        self.seconds = self.seconds.min(start.elapsed().as_secs_f64());
    }

    /// Bytes read and written a second, at best so far.
    pub fn bandwidth(&self) -> f64 {
        2.0 * BYTES as f64 / self.seconds
    }
}

/// Multiply-adds a second of all threads.
pub fn peak_flops(pool: &mut Pool, level: Level) -> f64 {
    let peak = Mutex::new(0.0);
    pool.run(&|_| *peak.lock().unwrap_or_else(|e| e.into_inner()) += measure::peak_flops(level));
    peak.into_inner().unwrap_or_else(|e| e.into_inner())
}

/// Multiply-adds and copied bytes a second, where nothing else is measured.
pub fn machine(pool: &mut Pool, level: Level) -> (f64, f64) {
    const REPEATS: usize = 12;
    let peak = peak_flops(pool, level);
    let mut copy = Copy::default();
    (0..REPEATS).for_each(|_| copy.run(pool, level));
    (peak, copy.bandwidth())
}
