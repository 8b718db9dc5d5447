//! What vsrc settles with the machine before it works: a file that grows past a limit is an error and no death, and so is
//! memory that is not there. Leaves the process set up; prints only what cannot be said any other way.

use std::alloc::{GlobalAlloc, Layout, System};

/// Writing past the limit of a file's size (`ulimit -f`) gives an error to whoever writes.
pub fn prepare() {
    // SAFETY: nothing else handles this signal, and ignoring one runs no code of ours.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

/// The system's memory. Where it gives none the process ends with the reason and exit code 2: most of what asks for memory
/// cannot go on without it, and would be aborted.
pub struct Memory;

// SAFETY: every call goes to the system's allocator as it is; what comes back is looked at only for being null.
unsafe impl GlobalAlloc for Memory {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of `GlobalAlloc`, which is the system allocator's.
        given(unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of `GlobalAlloc`, which is the system allocator's.
        given(unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller keeps the contract of `GlobalAlloc`, which is the system allocator's.
        given(unsafe { System.realloc(old, layout, size) })
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `GlobalAlloc`, which is the system allocator's.
        unsafe { System.dealloc(old, layout) }
    }
}

fn given(memory: *mut u8) -> *mut u8 {
    if memory.is_null() {
        no_memory();
    }
    memory
}

/// Needs no memory itself.
#[cold]
fn no_memory() -> ! {
    const SAID: &[u8] =
        b"error: the machine has not enough memory for this, or a limit (ulimit -v) is too low\n";
    // SAFETY: the bytes are there, and their number is right; nothing of ours runs after `_exit`.
    unsafe {
        libc::write(2, SAID.as_ptr().cast(), SAID.len());
        libc::_exit(2)
    }
}
