//! Memory that is asked for because a file says so. Enters: a number of bytes and what they are for. Leaves: the
//! memory, or one sentence that there is not so much. A file never makes the program abort: what it wants is compared
//! with what the system has free, and then reserved.

use crate::video::{MediaError, Result};
use std::cell::Cell;
use std::collections::TryReserveError;
use sysinfo::System;

thread_local! {
    static IS_ASKING: Cell<bool> = const { Cell::new(false) };
}

/// A request for memory that may be refused. All others end the process where there is none: see
/// [`crate::system::Allocator`].
pub fn ask(
    request: impl FnOnce() -> std::result::Result<(), TryReserveError>,
) -> std::result::Result<(), TryReserveError> {
    IS_ASKING.set(true);
    let answer = request();
    IS_ASKING.set(false);
    answer
}

/// Whether this thread is within [`ask`].
pub fn is_asking() -> bool {
    IS_ASKING.get()
}

/// Bytes that can be had now: what the system calls available, within the limit of the container it runs in.
pub fn available() -> Option<u64> {
    let mut system = System::new().ok()?;
    system.refresh_memory();
    let here = Some(system.available_memory()).filter(|n| *n > 0);
    // Cached files are given up when memory is short: only what is resident counts.
    let limits = system.cgroup_limits();
    let within = limits.map(|l| l.total_memory.saturating_sub(l.rss));
    [here, within].into_iter().flatten().min()
}

/// Whether so many bytes are there, before anything is begun that needs them all.
pub fn check(bytes: u64, what: &str) -> Result<()> {
    check_within(bytes, available(), what)
}

fn check_within(bytes: u64, free: Option<u64>, what: &str) -> Result<()> {
    match free.filter(|free| *free < bytes) {
        Some(free) => Err(MediaError::Machine(format!(
            "there is not enough memory for {what}: it takes about {}, and {} are free",
            size(bytes),
            size(free)
        ))),
        None => probe(bytes, what),
    }
}

/// Limits of the process (`ulimit -v`) show only when memory is reserved.
fn probe(bytes: u64, what: &str) -> Result<()> {
    let n = usize::try_from(bytes).unwrap_or(usize::MAX);
    let reserved = ask(|| Vec::<u8>::new().try_reserve_exact(n));
    reserved.map_err(|_| refused(bytes, what))
}

/// As many zeros.
pub fn zeroed<T: Copy + Default>(n: usize, what: &str) -> Result<Vec<T>> {
    let mut out = Vec::new();
    reserve(&mut out, n, what)?;
    out.resize(n, T::default());
    Ok(out)
}

/// Requests below this are made without asking what is free.
const LARGE: u64 = 64 << 20;

/// Room for `n` more.
pub fn reserve<T>(to: &mut Vec<T>, n: usize, what: &str) -> Result<()> {
    let bytes = n.saturating_mul(size_of::<T>()) as u64;
    if bytes >= LARGE && n > to.capacity() - to.len() {
        check(bytes, what)?;
    }
    let reserved = ask(|| to.try_reserve_exact(n));
    reserved.map_err(|_| refused(bytes, what))
}

fn refused(bytes: u64, what: &str) -> MediaError {
    let size = size(bytes);
    MediaError::Machine(format!(
        "there is not enough memory for {what}: {size} are refused"
    ))
}

/// `3.2 GB`.
pub fn size(bytes: u64) -> String {
    match bytes as f64 {
        b if b >= 1e9 => format!("{:.1} GB", b / 1e9),
        b if b >= 1e6 => format!("{:.1} MB", b / 1e6),
        _ => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_refused_in_one_sentence() {
        let said = check_within(5_000_000_000, Some(1 << 20), "a frame").unwrap_err();
        assert_eq!(
            said.to_string(),
            "there is not enough memory for a frame: it takes about 5.0 GB, and 1.0 MB are free"
        );
        assert!(!said.is_user());
        assert!(check_within(1000, Some(1 << 20), "a frame").is_ok());
        assert!(check_within(u64::MAX, None, "a frame").is_err());
        assert!(zeroed::<u64>(usize::MAX / 4, "a frame").is_err());
        assert_eq!(zeroed::<u8>(3, "a frame").unwrap(), [0; 3]);
    }

    #[test]
    fn the_system_says_what_is_free() {
        let free = available().unwrap();
        assert!(free > 1 << 20, "{free}");
    }
}
