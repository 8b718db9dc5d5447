//! Launch lists: a static partition of each launch's tasks with work stealing; the next launch starts when all threads
//! are done.
//!
//! A thread's part is the same in every launch. Consecutive kernels mostly go over the same data in the same order, so a
//! thread finds in its own cache what it has written: with split L3, that is most of the cost.

use super::Memory;
use super::pool::{Barrier, Pool};
use super::table::table;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};
use vsr_artifact::abi::{Env, KernelFn, RowFn};
use vsr_kernels::{Level, non_temporal};

/// One launch with its addresses bound.
pub struct Call {
    pub kernel: KernelFn,
    pub buffers: Vec<*mut u8>,
    pub args: Vec<i64>,
    pub rows: Vec<RowFn>,
    pub tasks: i64,
    /// Flops and bytes, for the choice of chunks only.
    pub cost: u64,
}

/// What all launches of a run share.
pub struct Run<'a> {
    pub level: Level,
    pub seed: u64,
    pub step: u64,
    /// Flops and bytes below which one thread is done before another is awake.
    pub min_parallel_cost: u64,
    /// One for each thread of the pool.
    pub scratch: &'a [Memory],
}

struct Queue<'a> {
    call: &'a Call,
    env: Env,
    /// One for each thread.
    partition: Vec<TaskRange>,
}

/// Tasks from `next` to `end` are not taken yet. On cache lines of its own, since its thread asks often.
#[repr(align(128))]
struct TaskRange {
    next: AtomicI64,
    end: i64,
    /// One of so many parts of what is left is taken at once: neighbours stay together, and at the end nobody waits
    /// long.
    parts: i64,
}

impl TaskRange {
    fn take(&self) -> Option<(i64, i64)> {
        let end = |first: i64| first + ((self.end - first) / self.parts).max(1);
        let next = |first| (first < self.end).then(|| end(first));
        let first = self
            .next
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        first.ok().map(|first| (first, end(first)))
    }
}

// SAFETY: the addresses belong to the session that lends them for the run; tasks write disjoint elements.
unsafe impl Sync for Queue<'_> {}

impl Run<'_> {
    /// Runs all calls in order.
    ///
    /// # Safety
    /// The calls' addresses and arguments are those that the compiler planned, and nobody else uses that memory. Each
    /// thread's scratch is as long as planned, too, and `level` is available on this machine.
    pub unsafe fn all(&self, pool: &mut Pool, calls: &[Call]) {
        let between = 1..calls.len();
        let meet = |barrier: &Barrier, _, done: usize| {
            if between.contains(&done) {
                barrier.wait();
            }
        };
        // SAFETY: the caller vouches for the calls; all threads meet between two of them.
        unsafe { self.in_order(pool, calls, &meet) };
    }

    /// Runs all calls in order and measures each, with all threads awake.
    ///
    /// # Safety
    /// As for [`Run::all`].
    pub unsafe fn timed(&self, pool: &mut Pool, calls: &[Call]) -> Vec<Duration> {
        let marks = Mutex::new(Vec::with_capacity(calls.len() + 1));
        let meet = |barrier: &Barrier, thread, _| {
            barrier.between(thread, || {
                let now = Instant::now();
                marks.lock().unwrap_or_else(|e| e.into_inner()).push(now);
            });
        };
        // SAFETY: the caller vouches for the calls; all threads meet between two of them.
        unsafe { self.in_order(pool, calls, &meet) };
        let marks = marks.into_inner().unwrap_or_else(|e| e.into_inner());
        marks.windows(2).map(|w| w[1] - w[0]).collect()
    }

    /// Each thread comes to `meet`, with the number of calls that it has done, before the first, between two and after
    /// the last.
    unsafe fn in_order(
        &self,
        pool: &mut Pool,
        calls: &[Call],
        meet: &(dyn Fn(&Barrier, usize, usize) + Sync),
    ) {
        let n = pool.n_threads();
        let queues: Vec<Queue> = calls.iter().map(|call| self.queue(call, n)).collect();
        let barrier = Barrier::new(n);
        let scratch: Vec<Base> = self.scratch.iter().map(|m| Base(m.base())).collect();
        pool.run(&|thread| {
            meet(&barrier, thread, 0);
            for (i, queue) in queues.iter().enumerate() {
                // SAFETY: the caller vouches for the call, and no other thread has this one's number and scratch.
                unsafe { queue.work(thread, scratch[thread].0) };
                meet(&barrier, thread, i + 1);
            }
        });
    }

    fn queue<'a>(&self, call: &'a Call, n_threads: usize) -> Queue<'a> {
        let env = Env {
            fns: table(self.level),
            buffers: call.buffers.as_ptr(),
            args: call.args.as_ptr(),
            rows: call.rows.as_ptr(),
            seed: self.seed,
            step: self.step,
        };
        // Nobody waits for another to wake up for little.
        let (n, parts) = match call.cost < self.min_parallel_cost {
            true => (1, 1),
            false => (n_threads as i64, 4),
        };
        let bound = |i: i64| call.tasks * i / n;
        let range = |i: i64| TaskRange {
            next: AtomicI64::new(bound(i)),
            end: bound(i + 1),
            parts,
        };
        Queue {
            call,
            env,
            partition: (0..n).map(range).collect(),
        }
    }
}

#[derive(Clone, Copy)]
struct Base(*mut u8);
// SAFETY: it is an address alone; only the thread whose scratch lies there uses it.
unsafe impl Sync for Base {}

impl Queue<'_> {
    /// The thread's own part first; then it steals from those of the threads after it.
    unsafe fn work(&self, thread: usize, scratch: *mut u8) {
        let n = self.partition.len();
        for range in (0..n).map(|i| &self.partition[(thread + i) % n]) {
            while let Some((first, end)) = range.take() {
                // SAFETY: each task is taken once, and its launch's addresses and scratch are the caller's.
                unsafe { enter(self.call.kernel, &self.env, first, end, scratch) };
            }
        }
        non_temporal::fence();
    }
}

/// Generated code mixes vector encodings; with dirty upper halves that costs a factor of hundreds.
unsafe fn enter(kernel: KernelFn, env: &Env, first: i64, end: i64, scratch: *mut u8) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx") {
        // SAFETY: AVX has just been found.
        unsafe { clean_upper_halves() };
    }
    // SAFETY: the caller vouches for the kernel, its tasks and its scratch; `env` lives until it returns.
    unsafe { kernel(env, first, end, scratch) };
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx")]
unsafe fn clean_upper_halves() {
    std::arch::x86_64::_mm256_zeroupper();
}

#[cfg(test)]
mod tests {
    use super::*;
    use vsr_artifact::abi::ContractCall;

    /// Squares its tasks' numbers through the table: `silu` of x is not x², so: copy, then contract x·x.
    unsafe extern "C" fn squares(env: *const Env, first: i64, end: i64, scratch: *mut u8) {
        // SAFETY: `run` below binds two buffers with a float for each task, one argument, and 64 bytes of scratch.
        unsafe {
            let env = &*env;
            let (src, dst) = (*env.buffers as *const f32, *env.buffers.add(1) as *mut f32);
            let row = scratch as *mut i64;
            let tap = row.add(1);
            *tap = 0;
            *tap.add(1) = 0;
            for i in first..end {
                *row = i;
                let x = src.offset(i as isize);
                let call = ContractCall {
                    c: dst.offset(i as isize),
                    ldc: 1,
                    m: 1,
                    n: 1,
                    init: 0,
                    bias: std::ptr::null(),
                    a: src,
                    rows: row,
                    a_step: *env.args,
                    taps: tap,
                    n_taps: 1,
                    k: 1,
                    b: x,
                    b_step: 32,
                    b_panel: 32,
                };
                ((*env.fns).contract)(&call);
            }
        }
    }

    unsafe extern "C" fn noise(env: *const Env, first: i64, end: i64, _scratch: *mut u8) {
        // SAFETY: `run` below binds a buffer with a float for each task.
        unsafe {
            let dst = (*(*env).buffers) as *mut f32;
            ((*(*env).fns).random)(env, dst.offset(first as isize), 77, 1, first, end - first);
        }
    }

    fn run(threads: usize, n: i64) -> Vec<f32> {
        let mut src = Memory::zeroed(4 * n as u64, "a test").unwrap();
        let dst = Memory::zeroed(4 * n as u64, "a test").unwrap();
        src.floats_mut(0, n as usize).unwrap().fill(9.0);
        let (a, b) = (src.base(), dst.base());
        let call = |kernel, buffers| Call {
            kernel,
            buffers,
            args: vec![1],
            rows: vec![],
            tasks: n,
            cost: 1 << 20,
        };
        let calls = [
            call(noise as KernelFn, vec![a]),
            call(squares as KernelFn, vec![a, b]),
        ];
        let mut pool = Pool::new(threads).unwrap();
        let scratch: Vec<Memory> = (0..threads)
            .map(|_| Memory::zeroed(64, "a test").unwrap())
            .collect();
        let run = Run {
            level: Level::detect(),
            seed: 3,
            step: 4,
            min_parallel_cost: 0,
            scratch: &scratch,
        };
        // SAFETY: both memories have n floats, scratch 64 bytes for each thread; the level is this machine's.
        unsafe { run.all(&mut pool, &calls) };
        dst.floats(0, n as usize).unwrap().to_vec()
    }

    #[test]
    fn results_do_not_depend_on_the_thread_count() {
        let n = 5000;
        let one = run(1, n);
        for (i, v) in one.iter().enumerate() {
            let x = vsr_kernels::philox::normal(3, 4, 77, i as u64);
            assert_eq!(*v, x * x, "{i}");
        }
        for threads in [2, 3, 7] {
            assert_eq!(run(threads, n), one);
        }
    }
}
