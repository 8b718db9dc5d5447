//! `vsrc` itself, for tests: one way to start it, to limit what the system gives it, and to say that it refuses. Enter words
//! as a user types them; leaves what the program said. Nothing here knows what any command does.

// Each test that takes this file in uses a part of it.
#![allow(dead_code)]

#[cfg(unix)]
mod limit;

#[cfg(unix)]
pub use limit::{Resource, limit};
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Where it is, for a shell's scripts.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_vsrc");

/// The program in a folder; words are separated by spaces. What may hold a space is added with `arg`.
pub fn command(dir: &Path, words: &str) -> Command {
    let mut command = Command::new(PROGRAM);
    command.current_dir(dir).args(words.split_whitespace());
    command.stdin(Stdio::null());
    // Faults look as they do to a user.
    command.env_remove("RUST_BACKTRACE");
    command
}

/// Runs to the end.
pub fn vsrc(dir: &Path, words: &str) -> Output {
    command(dir, words).output().expect("the program starts")
}

/// Runs to the end, which must be a good one.
pub fn succeed(dir: &Path, words: &str) -> Output {
    let done = vsrc(dir, words);
    let err = text(&done.stderr);
    assert_eq!(done.status.code(), Some(0), "vsrc {words}\n{err}");
    done
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs to the end, and may take no more than this of something.
#[cfg(unix)]
pub fn vsrc_within(dir: &Path, words: &str, resource: Resource, most: u64) -> Output {
    let mut command = command(dir, words);
    limit(&mut command, resource, most);
    command.output().expect("the program starts")
}

/// Refused with this code and one error that holds all of `parts`; no word of a panic, or of the system's numbers.
pub fn assert_refused(words: &str, done: &Output, code: i32, parts: &[&str]) {
    let err = text(&done.stderr);
    let status = done.status;
    assert_eq!(status.code(), Some(code), "vsrc {words}: {status}\n{err}");
    let n_errors = err.lines().filter(|l| l.starts_with("error")).count();
    assert_eq!(n_errors, 1, "vsrc {words}\n{err}");
    for bad in ["panicked", "os error", "RUST_BACKTRACE", "report this"] {
        assert!(!err.contains(bad), "vsrc {words}\n{err}");
    }
    for part in parts {
        assert!(err.contains(part), "vsrc {words}: no `{part}` in\n{err}");
    }
}
