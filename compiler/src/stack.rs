//! Threads with a stack for what recurses as deep as texts nest. Enters work; leaves its result, or the system's reason why
//! there is no such thread. On such a thread work is done at once, and its helpers are as many as the system gives.

use crate::diag;
use std::cell::Cell;
use std::io;
use std::panic::resume_unwind;
use std::thread::{Builder, available_parallelism, scope};

/// Enough for the deepest nesting that parser and elaboration allow in any build; only touched pages cost anything.
const BYTES: usize = 256 << 20;
const MAX_WORKERS: usize = 8;

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
            .stack_size(BYTES)
            .spawn_scoped(scope, start)?;
        Ok(thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })
}

/// Runs `work` on this thread and on helpers, together at most one for each of `n_tasks`: all take from the same tasks.
/// Each one's result, in no order.
pub fn together<T: Send>(n_tasks: usize, work: impl Fn() -> T + Sync) -> io::Result<Vec<T>> {
    deep(|| {
        let n_workers = available_parallelism().map_or(1, |n| n.get());
        let n_helpers = n_workers.min(MAX_WORKERS).min(n_tasks).saturating_sub(1);
        let around = diag::contexts();
        let help = || {
            IS_DEEP.set(true);
            let _context = diag::within(around.clone());
            work()
        };
        scope(|scope| {
            // Where the system gives no more threads, those that there are do all of it.
            let spawn = |_| {
                Builder::new()
                    .stack_size(BYTES)
                    .spawn_scoped(scope, help)
                    .ok()
            };
            let helpers: Vec<_> = (0..n_helpers).map_while(spawn).collect();
            let mut done = vec![work()];
            for helper in helpers {
                done.push(helper.join().unwrap_or_else(|panic| resume_unwind(panic)));
            }
            done
        })
    })
}

/// The system's reason as a sentence.
pub fn no_thread(error: &io::Error) -> String {
    format!(
        "the system gives no thread to work on: {}",
        vsr_artifact::reason(error)
    )
}
