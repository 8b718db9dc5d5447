//! `vsrc` on a machine that has not enough: disk, size of files, open files, memory, threads. One sentence with the
//! reason, exit code 2, and what was there before is still there. With the program itself.

#![allow(clippy::unwrap_used)]

mod folder;

use folder::files;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const NET: &str =
    "model Net()(x: [B, C, H, W]) -> [B, C, H, W] = x |> Conv2d(C) @a |> relu |> Conv2d(C) @b

profile case { B = 1  C = 4  H = 8  W = 8 }
";

fn workplace() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("net.vsr"), NET).unwrap();
    dir
}

/// A limit of the system, in its own units.
type Limit = (libc::__rlimit_resource_t, u64);

fn vsrc(dir: &Path, words: &str, limit: Option<Limit>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vsrc"));
    command.current_dir(dir).args(words.split_whitespace());
    command.stdin(Stdio::null());
    if let Some((resource, most)) = limit {
        let set = move || {
            let limit = libc::rlimit {
                rlim_cur: most,
                rlim_max: most,
            };
            match unsafe { libc::setrlimit(resource, &limit) } {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        };
        // It calls the system once, and takes no memory.
        unsafe { command.pre_exec(set) };
    }
    command.output().unwrap()
}

/// One error with its reason, of the machine.
fn assert_machine(what: &str, done: &Output, parts: &[&str]) {
    let err = String::from_utf8_lossy(&done.stderr);
    assert_eq!(
        done.status.code(),
        Some(2),
        "{what}: {:?}\n{err}",
        done.status
    );
    let n_errors = err.lines().filter(|l| l.starts_with("error: ")).count();
    assert_eq!((n_errors, err.lines().count()), (1, 1), "{what}\n{err}");
    for bad in ["panicked", "os error", "report this", ".tmp"] {
        assert!(!err.contains(bad), "{what}\n{err}");
    }
    for part in parts {
        assert!(err.contains(part), "{what}: no `{part}` in\n{err}");
    }
}

/// Runs a command with files cut at each of `n` sizes up to `most`: it fails, and nothing has changed; with room enough
/// it succeeds.
fn cut_at_every_size(dir: &Path, words: &str, most: u64, n: u64) {
    let before = files(dir);
    for at in 0..n {
        let size = most * at / n;
        let done = vsrc(dir, words, Some((libc::RLIMIT_FSIZE, size)));
        let what = format!("vsrc {words}, files of {size} bytes");
        assert_machine(
            &what,
            &done,
            &["cannot write", "a file may not be so large here"],
        );
        assert_eq!(files(dir), before, "{what}");
    }
    let done = vsrc(dir, words, Some((libc::RLIMIT_FSIZE, most)));
    assert_eq!(done.status.code(), Some(0), "vsrc {words}");
}

fn largest(folder: &Path) -> u64 {
    files(folder).values().map(Vec::len).max().unwrap_or(0) as u64
}

#[test]
fn files_that_may_not_grow_leave_the_old_artifact() {
    let dir = workplace();
    let dir = dir.path();
    // Where there was none, nothing is left.
    let done = vsrc(
        dir,
        "compile net.vsr -o new",
        Some((libc::RLIMIT_FSIZE, 100)),
    );
    assert_machine("compile", &done, &["cannot write new/"]);
    assert!(!dir.join("new").exists());
    let done = vsrc(
        dir,
        "compile net.vsr -o deep/new",
        Some((libc::RLIMIT_FSIZE, 100)),
    );
    assert_machine("compile", &done, &["cannot write deep/new/"]);
    assert!(!dir.join("deep").exists());
    let made = vsrc(dir, "compile net.vsr -o out", None);
    assert_eq!(made.status.code(), Some(0));
    let most = largest(&dir.join("out"));
    fs::write(dir.join("net.vsr"), NET.replace("relu", "silu")).unwrap();
    cut_at_every_size(dir, "compile net.vsr -o out", most + 4096, 1);
    fs::write(dir.join("net.vsr"), NET).unwrap();
    cut_at_every_size(dir, "compile net.vsr -o out -q", most, 200);
}

#[test]
fn files_that_may_not_grow_leave_the_old_picture() {
    let dir = workplace();
    let dir = dir.path();
    for name in ["a.svg", "a.html", "a.dot"] {
        let words = format!("graph net.vsr -o {name}");
        assert_eq!(vsrc(dir, &words, None).status.code(), Some(0));
        let most = fs::metadata(dir.join(name)).unwrap().len();
        fs::write(dir.join(name), "the old one").unwrap();
        let n = if name == "a.svg" { 200 } else { 10 };
        cut_at_every_size(dir, &words, most, n);
    }
}

#[test]
fn files_that_may_not_grow_leave_the_old_text() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let ops: String = (0..200)
        .map(|n| format!("op f{n}( x:[N] )=2*x\n"))
        .collect();
    fs::write(dir.join("ugly.vsr"), ops).unwrap();
    let nice: String = (0..200)
        .map(|n| format!("op f{n}(x: [N]) = 2*x\n"))
        .collect();
    cut_at_every_size(dir, "fmt ugly.vsr", nice.len() as u64, 200);
    assert_eq!(fs::read_to_string(dir.join("ugly.vsr")).unwrap(), nice);
}

#[test]
fn files_that_may_not_grow_leave_the_old_pages() {
    let dir = workplace();
    let dir = dir.path();
    assert_eq!(vsrc(dir, "doc net.vsr -o new", None).status.code(), Some(0));
    let most = largest(&dir.join("new"));
    fs::write(dir.join("new/index.html"), "the old one").unwrap();
    cut_at_every_size(dir, "doc net.vsr -o new -q", most, 10);
    let done = vsrc(
        dir,
        "doc net.vsr -o other",
        Some((libc::RLIMIT_FSIZE, most - 1)),
    );
    assert_machine("doc", &done, &["cannot write other/"]);
    assert!(!dir.join("other").exists());
}

/// Standard output is a file, too.
#[test]
fn what_is_printed_may_not_grow_either() {
    let dir = workplace();
    let dir = dir.path();
    for words in [
        "compile net.vsr --emit graph",
        "report net.vsr",
        "graph net.vsr -o - --format svg",
        "--help",
    ] {
        let full = fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_vsrc"));
        command.current_dir(dir).args(words.split(' ')).stdout(full);
        let done = command.output().unwrap();
        assert_machine(
            words,
            &done,
            &["cannot write to standard output: the disk is full"],
        );
    }
    for name in ["/dev/full", "link"] {
        if name == "link" {
            std::os::unix::fs::symlink("/dev/full", dir.join(name)).unwrap();
        }
        let done = vsrc(dir, &format!("graph net.vsr --format svg -o {name}"), None);
        assert_machine(name, &done, &["the disk is full"]);
    }
    assert!(dir.join("link").is_symlink());
    assert_eq!(
        vsrc(dir, "graph net.vsr --format svg -o /dev/null", None)
            .status
            .code(),
        Some(0)
    );
}

#[test]
fn few_open_files_are_the_machines_fault() {
    let dir = workplace();
    let dir = dir.path();
    fs::write(dir.join("lib.vsr"), "op f(x: [N]) -> [N] = 2*x\n").unwrap();
    let text = format!("use f from \"lib.vsr\"\n\n{NET}");
    fs::write(dir.join("both.vsr"), text).unwrap();
    let before = files(dir);
    let mut n_failed = 0;
    for words in [
        "check both.vsr",
        "compile both.vsr -o out",
        "graph both.vsr -o a.svg",
        "doc both.vsr",
        "fmt both.vsr",
    ] {
        // With fewer the system cannot load the program.
        for most in 4..12 {
            let done = vsrc(dir, words, Some((libc::RLIMIT_NOFILE, most)));
            if done.status.code() != Some(0) {
                assert_machine(words, &done, &["too many open files"]);
                assert_eq!(files(dir), before, "vsrc {words}, {most} files");
                n_failed += 1;
            }
            for made in ["out", "doc", "a.svg"] {
                fs::remove_dir_all(dir.join(made)).ok();
                fs::remove_file(dir.join(made)).ok();
            }
        }
    }
    assert!(n_failed >= 5, "{n_failed}");
}

/// From too little to start with to plenty: an end with a reason, or a good one; never a signal.
#[test]
fn little_memory_is_the_machines_fault() {
    let dir = workplace();
    let dir = dir.path();
    let before = files(dir);
    let mut n_failed = 0;
    for words in [
        "check net.vsr",
        "compile net.vsr -o out",
        "graph net.vsr -o a.svg",
    ] {
        // Below this, the system cannot even load the program.
        for megabytes in (24..700).step_by(29) {
            let done = vsrc(dir, words, Some((libc::RLIMIT_AS, megabytes << 20)));
            if done.status.code() != Some(0) {
                assert_machine(&format!("{words} in {megabytes} MB"), &done, &[]);
                n_failed += 1;
            }
            for made in ["out", "a.svg"] {
                fs::remove_dir_all(dir.join(made)).ok();
                fs::remove_file(dir.join(made)).ok();
            }
            assert_eq!(files(dir), before, "{words} in {megabytes} MB");
        }
        let done = vsrc(dir, words, Some((libc::RLIMIT_AS, 4 << 30)));
        assert_eq!(done.status.code(), Some(0), "vsrc {words}");
        fs::remove_dir_all(dir.join("out")).ok();
        fs::remove_file(dir.join("a.svg")).ok();
    }
    assert!(n_failed >= 3, "{n_failed}");
}
