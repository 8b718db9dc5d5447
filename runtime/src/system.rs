//! What the process arranges with the system before anything runs: limits become errors with a reason, and the exit
//! code that is documented. Enters nothing. Leaves: no signal, no abort and no panic that would end it without a word.

use crate::{files, memory};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use vsr_artifact::console;

/// The exit code of what is the machine's fault.
const MACHINE: i32 = 2;

/// Call first.
pub fn prepare() {
    // A file that may not grow is then an error of the call that writes, like a full disk.
    #[cfg(unix)]
    // SAFETY: ignoring a signal runs no code of ours.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
    }
    // Who looks for a fault wants all of it, a core dump, too.
    if std::env::var_os("RUST_BACKTRACE").is_none() {
        report_faults();
        #[cfg(unix)]
        // SAFETY: the handler makes two system calls, and no more.
        unsafe {
            libc::signal(libc::SIGABRT, on_abort as *const () as libc::sighandler_t);
        }
    }
}

/// A library that gives up says why and aborts: the code is the machine's then.
#[cfg(unix)]
extern "C" fn on_abort(_: libc::c_int) {
    if ENDING.load(Ordering::SeqCst) == 0 {
        to_standard_error(
            b"error: a library of the system gave up; what it says stands above, and is want of memory mostly\n",
        );
    }
    exit_at_once()
}

/// A panic is a fault of this program: it is said in one line, once, whatever threads it ends.
fn report_faults() {
    static SAID: AtomicBool = AtomicBool::new(false);
    std::panic::set_hook(Box::new(|panic| {
        if SAID.swap(true, Ordering::SeqCst) {
            return;
        }
        let payload = panic.payload();
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
        // A thread that has begun, and has no room for what the standard library wants beside its stack.
        if text.is_some_and(|t| t.contains("alternative stack")) {
            end_for_want_of(format_args!("no thread could be started"));
        }
        let place = panic
            .location()
            .map(|l| format!(" ({}:{})", l.file(), l.line()));
        console::err(&format!(
            "error: a fault of vsr-run itself, please report it with the command: {}{}\n",
            text.unwrap_or("unknown"),
            place.unwrap_or_default()
        ));
    }));
}

/// Runs a command; a panic in it is the machine's error, which has been said.
pub fn run(command: impl FnOnce() -> u8) -> u8 {
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(command));
    result.unwrap_or(MACHINE as u8)
}

/// The system's allocator. Where it has no memory left, the process says so, removes what it has not finished, and ends
/// with the machine's exit code; the standard library would abort. A request that may be refused (`memory::ask`) is.
pub struct Allocator;

// SAFETY: all requests go to the system's allocator unchanged, and its results come back unless they are null.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of `GlobalAlloc`, which is the system allocator's.
        present(unsafe { System.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of `GlobalAlloc`, which is the system allocator's.
        present(unsafe { System.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller keeps the contract of `GlobalAlloc`, which is the system allocator's.
        present(unsafe { System.realloc(memory, layout, size) }, size)
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `GlobalAlloc`, which is the system allocator's.
        unsafe { System.dealloc(memory, layout) }
    }
}

fn present(memory: *mut u8, bytes: usize) -> *mut u8 {
    if memory.is_null() && !memory::is_asking() {
        end_for_want_of(format_args!("{bytes} bytes more are needed"));
    }
    memory
}

/// The thread that ends the process, by the address of something of its own; 0: none.
static ENDING: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static OWN: u8 = const { 0 };
}

/// Says why there is too little memory, cleans up, and ends the process.
#[cold]
fn end_for_want_of(why: std::fmt::Arguments) {
    let me = OWN.with(|own| std::ptr::from_ref(own) as usize);
    match ENDING.compare_exchange(0, me, Ordering::SeqCst, Ordering::SeqCst) {
        Ok(_) => {}
        // Cleaning up needed memory, too: the next run sweeps.
        Err(first) if first == me => exit_at_once(),
        Err(_) => loop {
            std::thread::park();
        },
    }
    say_no_memory(why);
    files::abandon();
    exit_at_once();
}

/// Without taking memory.
fn say_no_memory(why: std::fmt::Arguments) {
    use std::io::Write;
    let mut text = [0u8; 160];
    let mut rest = &mut text[..];
    let _ = writeln!(
        rest,
        "error: there is not enough memory: {why}; free some, or choose a smaller profile"
    );
    let length = 160 - rest.len();
    to_standard_error(&text[..length]);
}

/// Past the lock of the standard library: a thread that stands still may hold it.
#[cfg(unix)]
fn to_standard_error(text: &[u8]) {
    // SAFETY: the bytes are there, and their number is right.
    let _ = unsafe { libc::write(libc::STDERR_FILENO, text.as_ptr().cast(), text.len()) };
}

#[cfg(not(unix))]
fn to_standard_error(text: &[u8]) {
    let _ = std::io::Write::write_all(&mut std::io::stderr(), text);
}

#[cfg(unix)]
fn exit_at_once() -> ! {
    // SAFETY: nothing of ours runs after it.
    unsafe { libc::_exit(MACHINE) }
}

#[cfg(not(unix))]
fn exit_at_once() -> ! {
    std::process::exit(MACHINE)
}
