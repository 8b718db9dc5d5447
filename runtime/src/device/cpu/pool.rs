//! A fixed set of threads that run one job together. They spin for a moment between jobs, then sleep.
//! The job decides what each thread does; nothing here depends on how many there are.

use crate::error::{Error, Result};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;

/// Iterations of an idle loop before a thread gives its core away.
const SPINS: usize = 4000;

type Job = *const (dyn Fn(usize) + Sync);

/// A borrowed job: `Pool::run` returns only after no thread uses it any more.
#[derive(Clone, Copy)]
struct Lent(Job);
// SAFETY: the job is `Sync`, and `Pool::run` borrows it until no thread uses it any more.
unsafe impl Send for Lent {}

struct Shared {
    /// Counts jobs; a change tells the threads that there is a new one.
    epoch: AtomicUsize,
    busy: AtomicUsize,
    stop: AtomicBool,
    panicked: AtomicBool,
    job: Mutex<Option<Lent>>,
    wake: Condvar,
}

/// Threads for each core that may help: where cores wait for memory, or are counted wrongly.
const MOST_PER_CORE: usize = 4;

/// How many threads are started when so many are asked for; 0: one for each core.
pub fn n_threads_for(asked: usize) -> usize {
    match asked {
        0 => n_cores(),
        n => n.min(MOST_PER_CORE * n_cores()),
    }
}

/// Cores that this process may use.
pub fn n_cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

pub struct Pool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Pool {
    /// `n` threads, the caller's among them. If one cannot be started, those before it end again.
    pub fn new(n: usize) -> Result<Pool> {
        let shared = Arc::new(Shared {
            epoch: AtomicUsize::new(0),
            busy: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            panicked: AtomicBool::new(false),
            job: Mutex::new(None),
            wake: Condvar::new(),
        });
        let mut pool = Pool {
            shared,
            threads: Vec::new(),
        };
        for thread in 1..n {
            let started = spawn(&pool.shared, thread).map_err(|e| {
                let why = vsr_artifact::reason(&e);
                Error::machine(format!(
                    "cannot start thread {} of {n}: {why}; ask for fewer with --threads",
                    thread + 1
                ))
            })?;
            pool.threads.push(started);
        }
        Ok(pool)
    }

    pub fn n_threads(&self) -> usize {
        self.threads.len() + 1
    }

    /// Runs `job(thread)` once on every thread, 0 being the caller's, and returns when all are done.
    pub fn run(&mut self, job: &(dyn Fn(usize) + Sync)) {
        if self.threads.is_empty() {
            return job(0);
        }
        // SAFETY: this forgets a lifetime, and `run` ends, even by a panic, only when all threads have left the job.
        let lent = Lent(unsafe { std::mem::transmute::<&(dyn Fn(usize) + Sync), Job>(job) });
        self.shared
            .busy
            .store(self.threads.len(), Ordering::Relaxed);
        {
            let mut slot = self.shared.job.lock().unwrap_or_else(|e| e.into_inner());
            *slot = Some(lent);
            self.shared.epoch.fetch_add(1, Ordering::Release);
            self.shared.wake.notify_all();
        }
        let mine = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| job(0)));
        wait_until(|| self.shared.busy.load(Ordering::Acquire) == 0);
        if let Err(panic) = mine {
            std::panic::resume_unwind(panic);
        }
        assert!(
            !self.shared.panicked.load(Ordering::Relaxed),
            "a worker thread panicked"
        );
    }
}

/// Elements that are not worth waking threads for.
const SMALL: usize = 1 << 18;

/// Copies with all threads, each the same part: later, its own tasks begin there.
///
/// # Safety
/// `to` has room for as many elements, and nobody else uses it.
pub unsafe fn copy(pool: &mut Pool, from: &[f32], to: *mut f32) {
    struct To(*mut f32);
    // SAFETY: it is an address alone; each thread writes a part of its own there.
    unsafe impl Sync for To {}
    let n = if from.len() < SMALL {
        1
    } else {
        pool.n_threads()
    };
    let part = |thread: usize| from.len() * thread / n;
    let to = &To(to);
    let one = |thread: usize| {
        let part = &from[part(thread)..part(thread + 1)];
        let first = part.as_ptr() as usize - from.as_ptr() as usize;
        // SAFETY: parts are apart, and within what the caller vouches for.
        unsafe { std::ptr::copy_nonoverlapping(part.as_ptr(), to.0.byte_add(first), part.len()) };
    };
    match n {
        1 => one(0),
        _ => pool.run(&one),
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        {
            let _slot = self.shared.job.lock().unwrap_or_else(|e| e.into_inner());
            self.shared.stop.store(true, Ordering::Relaxed);
            self.shared.epoch.fetch_add(1, Ordering::Release);
            self.shared.wake.notify_all();
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn spawn(shared: &Arc<Shared>, thread: usize) -> std::io::Result<JoinHandle<()>> {
    let shared = shared.clone();
    let builder = std::thread::Builder::new().name(format!("vsr-{thread}"));
    builder.spawn(move || work(&shared, thread))
}

fn work(shared: &Shared, thread: usize) {
    let mut seen = 0;
    loop {
        let mut spins = 0;
        while shared.epoch.load(Ordering::Acquire) == seen && spins < SPINS {
            std::hint::spin_loop();
            spins += 1;
        }
        let lent = {
            let mut slot = shared.job.lock().unwrap_or_else(|e| e.into_inner());
            while shared.epoch.load(Ordering::Acquire) == seen {
                slot = shared.wake.wait(slot).unwrap_or_else(|e| e.into_inner());
            }
            seen = shared.epoch.load(Ordering::Acquire);
            *slot
        };
        if shared.stop.load(Ordering::Relaxed) {
            return;
        }
        if let Some(Lent(job)) = lent {
            // SAFETY: `Pool::run` keeps the job until `busy` is 0, and this thread counts until it has left it.
            let run = std::panic::AssertUnwindSafe(|| unsafe { (*job)(thread) });
            if std::panic::catch_unwind(run).is_err() {
                shared.panicked.store(true, Ordering::Relaxed);
            }
        }
        shared.busy.fetch_sub(1, Ordering::Release);
    }
}

/// Spins, then lets other threads run in between.
fn wait_until(done: impl Fn() -> bool) {
    let mut spins = 0;
    while !done() {
        spins += 1;
        if spins < SPINS {
            std::hint::spin_loop()
        } else {
            std::thread::yield_now()
        }
    }
}

/// A point that all threads of a job pass together.
pub struct Barrier {
    n: usize,
    arrived: AtomicUsize,
    round: AtomicUsize,
}

impl Barrier {
    pub fn new(n: usize) -> Barrier {
        Barrier {
            n,
            arrived: AtomicUsize::new(0),
            round: AtomicUsize::new(0),
        }
    }

    /// The first thread does something when all others are here, and before they go on.
    pub fn between(&self, thread: usize, act: impl FnOnce()) {
        self.wait();
        if thread == 0 {
            act();
        }
        self.wait();
    }

    pub fn wait(&self) {
        if self.n == 1 {
            return;
        }
        let round = self.round.load(Ordering::Relaxed);
        if self.arrived.fetch_add(1, Ordering::AcqRel) + 1 == self.n {
            self.arrived.store(0, Ordering::Relaxed);
            self.round.store(round + 1, Ordering::Release);
        } else {
            wait_until(|| self.round.load(Ordering::Acquire) != round);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_thread_runs_every_job_once() {
        for n in [1, 2, 5] {
            let mut pool = Pool::new(n).unwrap();
            let counts: Vec<AtomicUsize> = (0..n).map(|_| AtomicUsize::new(0)).collect();
            for _ in 0..300 {
                pool.run(&|thread| {
                    counts[thread].fetch_add(1, Ordering::Relaxed);
                });
            }
            assert!(counts.iter().all(|c| c.load(Ordering::Relaxed) == 300));
        }
    }

    #[test]
    fn sleeping_threads_wake() {
        let mut pool = Pool::new(3).unwrap();
        let total = AtomicUsize::new(0);
        for _ in 0..3 {
            std::thread::sleep(std::time::Duration::from_millis(20));
            pool.run(&|t| {
                total.fetch_add(t, Ordering::Relaxed);
            });
        }
        assert_eq!(total.load(Ordering::Relaxed), 9);
    }

    #[test]
    fn nobody_goes_on_while_the_first_acts() {
        let mut pool = Pool::new(3).unwrap();
        let barrier = Barrier::new(3);
        let (before, after) = (AtomicUsize::new(0), AtomicUsize::new(0));
        pool.run(&|thread| {
            for round in 0..50 {
                before.fetch_add(1, Ordering::Relaxed);
                barrier.between(thread, || {
                    assert_eq!(before.load(Ordering::Relaxed), 3 * (round + 1));
                    assert_eq!(after.load(Ordering::Relaxed), 3 * round);
                });
                after.fetch_add(1, Ordering::Relaxed);
                barrier.wait();
            }
        });
    }

    #[test]
    fn all_threads_copy() {
        let mut pool = Pool::new(3).unwrap();
        for n in [0, 5, SMALL, SMALL + 7] {
            let from: Vec<f32> = (0..n).map(|i| i as f32).collect();
            let mut to = vec![-1.0; n + 1];
            // SAFETY: `to` has room for n floats, and nobody else uses it.
            unsafe { copy(&mut pool, &from, to.as_mut_ptr()) };
            assert!(to[..n] == from && to[n] == -1.0);
        }
    }

    #[test]
    fn barriers_separate_rounds() {
        let mut pool = Pool::new(3).unwrap();
        let barrier = Barrier::new(3);
        let sum = AtomicUsize::new(0);
        pool.run(&|_| {
            for round in 1..=50 {
                sum.fetch_add(1, Ordering::Relaxed);
                barrier.wait();
                assert_eq!(sum.load(Ordering::Relaxed), 3 * round);
                barrier.wait();
            }
        });
    }
}
