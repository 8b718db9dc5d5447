//! `vsrc` on a machine that has not enough: disk, size of files, open files, memory, threads. One sentence with the
//! reason, exit code 2, and what was there before is still there. With the program itself.

#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use crate::folder::files;
use crate::program::{Resource, assert_refused, command, succeed, text, vsrc, vsrc_within};
use std::fs;
use std::path::Path;
use std::process::Output;

const NET: &str =
    "model Net()(x: [B, C, H, W]) -> [B, C, H, W] = x |> Conv2d(C) @a |> relu |> Conv2d(C) @b

profile case { B = 1  C = 4  H = 8  W = 8 }
";

fn workplace() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("net.vsr"), NET).unwrap();
    dir
}

/// One error with its reason, of the machine, in one line that names no file of ours.
fn assert_machine(what: &str, done: &Output, parts: &[&str]) {
    assert_refused(what, done, 2, parts);
    let err = text(&done.stderr);
    assert_eq!(err.lines().count(), 1, "{what}\n{err}");
    assert!(err.starts_with("error: "), "{what}\n{err}");
    assert!(!err.contains(".tmp"), "{what}\n{err}");
}

/// Files of so many bytes at most.
fn vsrc_in_bytes(dir: &Path, words: &str, most: u64) -> Output {
    vsrc_within(dir, words, libc::RLIMIT_FSIZE as Resource, most)
}

/// Runs a command with files cut at each of `n` sizes up to `most`: it fails, and nothing has changed; with room enough
/// it succeeds.
fn cut_at_every_size(dir: &Path, words: &str, most: u64, n: u64) {
    let before = files(dir);
    for at in 0..n {
        let size = most * at / n;
        let done = vsrc_in_bytes(dir, words, size);
        let what = format!("vsrc {words}, files of {size} bytes");
        assert_machine(
            &what,
            &done,
            &["cannot write", "a file may not be so large here"],
        );
        assert_eq!(files(dir), before, "{what}");
    }
    let done = vsrc_in_bytes(dir, words, most);
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
    for out in ["new", "deep/new"] {
        let words = format!("compile net.vsr -o {out}");
        let done = vsrc_in_bytes(dir, &words, 100);
        assert_machine(&words, &done, &[&format!("cannot write {out}/")]);
        let left: Vec<_> = fs::read_dir(dir).unwrap().collect();
        assert_eq!(left.len(), 1, "vsrc {words}: {left:?}");
    }
    succeed(dir, "compile net.vsr -o out");
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
        succeed(dir, &words);
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
    succeed(dir, "doc net.vsr -o new");
    let most = largest(&dir.join("new"));
    fs::write(dir.join("new/index.html"), "the old one").unwrap();
    cut_at_every_size(dir, "doc net.vsr -o new -q", most, 10);
    let done = vsrc_in_bytes(dir, "doc net.vsr -o other", most - 1);
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
        let done = command(dir, words).stdout(full).output().unwrap();
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
        let done = vsrc(dir, &format!("graph net.vsr --format svg -o {name}"));
        assert_machine(name, &done, &["the disk is full"]);
    }
    assert!(dir.join("link").is_symlink());
    succeed(dir, "graph net.vsr --format svg -o /dev/null");
}

/// Away with what a command that had enough has made.
fn clear(dir: &Path) {
    for made in ["out", "doc", "a.svg"] {
        fs::remove_dir_all(dir.join(made)).ok();
        fs::remove_file(dir.join(made)).ok();
    }
}

/// The first of these limits within which the system can load the program at all: below it, none of ours has begun.
fn least(dir: &Path, resource: Resource, mut limits: impl Iterator<Item = u64>) -> u64 {
    let begins = |most: &u64| {
        vsrc_within(dir, "--version", resource, *most)
            .status
            .success()
    };
    limits.find(begins).expect("there is room for the program")
}

#[test]
fn few_open_files_are_the_machines_fault() {
    let dir = workplace();
    let dir = dir.path();
    fs::write(dir.join("lib.vsr"), "op f(x: [N]) -> [N] = 2*x\n").unwrap();
    let both = format!("use f from \"lib.vsr\"\n\n{NET}");
    fs::write(dir.join("both.vsr"), both).unwrap();
    let before = files(dir);
    let resource = libc::RLIMIT_NOFILE as Resource;
    let least = least(dir, resource, 0..32);
    // The system loads the program with one file open at a time; some commands need no more.
    for (words, needs_more) in [
        ("check both.vsr", false),
        ("compile both.vsr -o out", true),
        ("graph both.vsr -o a.svg", false),
        ("doc both.vsr", true),
        ("fmt both.vsr", false),
    ] {
        let mut n_failed = 0;
        for most in least..least + 8 {
            let done = vsrc_within(dir, words, resource, most);
            if done.status.code() != Some(0) {
                let what = format!("{words}, {most} files");
                assert_machine(&what, &done, &["too many open files"]);
                assert_eq!(files(dir), before, "vsrc {what}");
                n_failed += 1;
            }
            clear(dir);
        }
        let what = format!("vsrc {words}: {n_failed} failures from {least} files on");
        assert_eq!(n_failed > 0, needs_more, "{what}");
        let done = vsrc_within(dir, words, resource, 64);
        assert_eq!(done.status.code(), Some(0), "vsrc {words} with 64 files");
        clear(dir);
    }
}

/// From too little to start with to plenty: an end with a reason, or a good one; never a signal.
#[test]
fn little_memory_is_the_machines_fault() {
    let dir = workplace();
    let dir = dir.path();
    let before = files(dir);
    let resource = libc::RLIMIT_AS as Resource;
    let least = least(dir, resource, (4..200).map(|megabytes| megabytes << 20)) >> 20;
    for words in [
        "check net.vsr",
        "compile net.vsr -o out",
        "graph net.vsr -o a.svg",
    ] {
        let mut n_failed = 0;
        for megabytes in (least..least + 700).step_by(29) {
            let done = vsrc_within(dir, words, resource, megabytes << 20);
            if done.status.code() != Some(0) {
                let what = format!("{words} in {megabytes} MB");
                assert_machine(&what, &done, &[]);
                let err = text(&done.stderr);
                let has_reason = ["memory", "thread"].iter().any(|why| err.contains(why));
                assert!(has_reason, "{what}: {err}");
                n_failed += 1;
            }
            clear(dir);
            assert_eq!(files(dir), before, "{words} in {megabytes} MB");
        }
        assert!(n_failed > 0, "vsrc {words} in {least} MB");
        let done = vsrc_within(dir, words, resource, 4 << 30);
        assert_eq!(done.status.code(), Some(0), "vsrc {words}");
        clear(dir);
    }
}
