//! Threads with a stack for what recurses as deep as texts nest. Enters work; leaves its result, or the system's reason
//! why there is no such thread. On such a thread work is done at once, and its helpers are as many as the system gives.
//! No result depends on how many there are.

use crate::diag;
use std::cell::Cell;
use std::io;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{Builder, available_parallelism, scope};

/// Enough for the deepest nesting that parser and elaboration allow in any build; only touched pages cost anything.
const STACK_BYTES: usize = 256 << 20;
/// Threads for work that takes memory of its own on each.
pub const FEW: usize = 8;

thread_local! {
    static IS_DEEP: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work` on a deep stack. A panic goes on here.
pub fn deep<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    if IS_DEEP.get() {
        return Ok(work());
    }
    let around = diag::contexts();
    scope(|scope| {
        let start = || {
            IS_DEEP.set(true);
            let _context = diag::within(around);
            work()
        };
        let thread = Builder::new()
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, start)?;
        Ok(thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })
}

/// Does the tasks up to `n_tasks` on this thread and on helpers, `most` together, each of which begins with `start` and
/// ends where `work` has nothing more to do. Results in the order of the tasks.
pub fn each<S, T: Send>(
    n_tasks: usize,
    most: usize,
    start: impl Fn() -> S + Sync,
    work: impl Fn(&S, usize) -> Option<T> + Sync,
) -> io::Result<Vec<T>> {
    let next = AtomicUsize::new(0);
    let take = || {
        let mut done = vec![];
        let with = start();
        loop {
            let task = next.fetch_add(1, Ordering::Relaxed);
            match (task < n_tasks).then(|| work(&with, task)).flatten() {
                Some(result) => done.push((task, result)),
                None => return done,
            }
        }
    };
    let mut done = deep(|| together(n_tasks.min(most), take))?;
    done.sort_by_key(|(task, _)| *task);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}

/// Runs `take` on this thread and on helpers, `most` together. All that it gave, in no order.
fn together<T: Send>(most: usize, take: impl Fn() -> Vec<T> + Sync) -> Vec<T> {
    let n_threads = available_parallelism().map_or(1, |n| n.get()).min(most);
    let around = diag::contexts();
    let help = || {
        IS_DEEP.set(true);
        let _context = diag::within(around.clone());
        take()
    };
    scope(|scope| {
        // Where the system gives no more threads, those that there are do all of it.
        let thread = || Builder::new().stack_size(STACK_BYTES);
        let spawn = |_| thread().spawn_scoped(scope, help).ok();
        let helpers: Vec<_> = (1..n_threads).map_while(spawn).collect();
        let mut done = take();
        for helper in helpers {
            done.extend(helper.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        done
    })
}

/// The system's reason as a sentence.
pub fn no_thread(error: &io::Error) -> String {
    format!(
        "the system gives no thread to work on: {}",
        vsr_artifact::reason(error)
    )
}
