//! The program at the limits of its system: files that may not grow, disks that fill, little memory, few descriptors,
//! no threads. An error of the machine in one line, and nothing half-written; never a signal, never a panic.
#![cfg(unix)]

use super::common::*;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use vsr_runtime::tensors::{self, View};

/// Runs it within a limit, standard output to `out/stdout` or to a pipe.
fn run_to(dir: &Path, words: &str, resource: Resource, most: u64) -> Done {
    let (words, to_file) = match words.strip_suffix(" > out/stdout") {
        Some(words) => (words, true),
        None => (words, false),
    };
    let mut command = match words.contains(".mkv") {
        true => command_with_ffmpeg(dir, words).expect("it was there before"),
        false => command(dir, words),
    };
    if to_file {
        command.stdout(fs::File::create(dir.join("out/stdout")).expect("a file"));
    }
    limit(&mut command, resource, most);
    command.output().expect("the program starts").into()
}

const N_POINTS: u64 = 200;

/// What the commands read, in `in/`, and an empty `out/`.
fn place() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| dir.path().join(name);
    compile(NET, &at("net"));
    fs::create_dir(at("out")).expect("a folder");
    write_film(&at("in.y4m"), 16, 16, 3);
    let x = vec![0.5; 3 * 48 * 48];
    let view = View {
        name: "x",
        shape: &[1, 3, 48, 48],
        data: &x,
    };
    tensors::write(&at("x.safetensors"), &[view], &BTreeMap::new()).expect("a file");
    dir
}

fn clear(out: &Path) {
    fs::remove_dir_all(out).expect("it can be removed");
    fs::create_dir(out).expect("a folder");
}

/// One line of error, the machine's code, no word of a panic or a number of the system's.
fn check_refused(what: &str, done: &Done) {
    check(what, done, 2, &[]);
}

/// Limits the size of files to each of `n` sizes below that of the largest file that the command writes.
fn fill_files(dir: &Path, words: &str, n: u64) {
    let out = dir.join("out");
    clear(&out);
    let done = run_to(dir, words, libc::RLIMIT_FSIZE as Resource, 1 << 40);
    assert_eq!(done.code, Some(0), "{words}\n{}", done.err);
    let whole = contents(&out);
    let largest = whole.values().map(Vec::len).max().unwrap_or(0) as u64;
    let limits: BTreeSet<u64> = (0..n).map(|i| i * largest / n).collect();
    let is_stream = words.ends_with("> out/stdout");
    let mut n_refused = 0;
    for most in &limits {
        clear(&out);
        let done = run_to(dir, words, libc::RLIMIT_FSIZE as Resource, *most);
        let what = format!("{words}, within {most} of {largest} bytes");
        if done.code == Some(0) {
            // A clock decides how long numbers are that a command only says.
            assert!(is_stream || contents(&out) == whole, "{what}");
            continue;
        }
        n_refused += 1;
        check_refused(&what, &done);
        assert!(done.err.contains("cannot write"), "{what}\n{}", done.err);
        if !is_stream {
            assert_eq!(names(&out), [""; 0], "{what}");
        }
    }
    let expected = if is_stream || words.contains(".mkv") {
        limits.len() * 3 / 4
    } else {
        limits.len()
    };
    assert!(n_refused >= expected, "{words}: {n_refused} of {limits:?}");
}

#[test]
fn pictures_that_may_not_grow() {
    let dir = place();
    for output in ["out/shot", "out/f%d.jpg"] {
        let words = format!("upscale net in.y4m -q -o {output}");
        fill_files(dir.path(), &words, N_POINTS);
    }
    fill_files(
        dir.path(),
        "upscale net in.y4m -q --limit 1 -o out/a.png",
        N_POINTS,
    );
}

#[test]
fn films_that_may_not_grow() {
    let dir = place();
    for output in ["out/a.y4m", "out/a.mp4", "- > out/stdout"] {
        let words = format!("upscale net in.y4m -q -o {output}");
        fill_files(dir.path(), &words, N_POINTS);
    }
}

#[test]
fn films_of_other_programs_that_may_not_grow() {
    let dir = place();
    if command_with_ffmpeg(dir.path(), "").is_none() {
        skipped("no ffmpeg on PATH");
        return;
    }
    fill_files(dir.path(), "upscale net in.y4m -q -o out/a.mkv", N_POINTS);
}

#[test]
fn tensors_that_may_not_grow() {
    let dir = place();
    for more in ["", "--save-weights out/w.safetensors"] {
        let words = format!("exec net --inputs x.safetensors -o out/y.safetensors {more}");
        fill_files(dir.path(), &words, N_POINTS);
    }
}

#[test]
fn results_on_standard_output_that_may_not_grow() {
    let dir = place();
    for words in [
        "info net",
        "info net --json",
        "eval net --data in.y4m --json",
        "--help",
    ] {
        fill_files(dir.path(), &format!("{words} > out/stdout"), N_POINTS);
    }
    // These measure the machine each time: in few places.
    fill_files(dir.path(), "bench net --repeats 1 --json > out/stdout", 6);
    fill_files(dir.path(), "bench --roofs out/roofs.json -q --threads 1", 6);
}

/// Training keeps the checkpoints that it had, and goes on from them to the same bytes.
#[test]
fn a_run_whose_files_may_not_grow_keeps_its_checkpoint() {
    let dir = place();
    let dir = dir.path();
    let how = "--epochs 2 --steps 2 --valid 1 -q";
    fs::create_dir(dir.join("clips")).expect("a folder");
    for name in ["a", "b"] {
        write_film(&dir.join(format!("clips/{name}.y4m")), 16, 16, 2);
    }
    succeed(
        dir,
        &format!("train net --data clips --out out/whole {how}"),
    );
    let whole = contents(&dir.join("out/whole"));
    let largest = whole.values().map(Vec::len).max().unwrap_or(0) as u64;
    succeed(
        dir,
        "train net --data clips --out first --epochs 1 --steps 2 --valid 1 -q",
    );
    let first = contents(&dir.join("first"));
    for point in 0..N_POINTS {
        let most = point * largest / N_POINTS;
        let run = dir.join("out/run");
        fs::create_dir(&run).expect("a folder");
        for (name, content) in &first {
            fs::write(run.join(name), content).expect("a file");
        }
        let words = "train net --resume out/run --epochs 2 -q";
        let done = run_within(dir, words, libc::RLIMIT_FSIZE as Resource, most);
        check_refused(&format!("{words}, within {most} of {largest} bytes"), &done);
        for (name, content) in contents(&run) {
            let is_one = content == first[&name] || content == whole[&name];
            // It says how many epochs are wanted as soon as the run goes on.
            let is_state = name == "state.safetensors" && tensors::read(&run.join(&name)).is_ok();
            assert!(
                is_one || is_state,
                "{name}, within {most} of {largest} bytes"
            );
        }
        if point % 25 == 0 {
            succeed(dir, words);
            assert!(contents(&run) == whole, "within {most} of {largest} bytes");
        }
        fs::remove_dir_all(run).expect("it can be removed");
    }
}

/// A standard output on a full disk is an error of every command that says anything.
#[cfg(target_os = "linux")]
#[test]
fn a_full_standard_output_is_an_error() {
    let dir = place();
    let dir = dir.path();
    for words in [
        "--help",
        "train --help",
        "--version",
        "info net",
        "info net --json",
        "eval net --data in.y4m",
        "upscale net in.y4m -o out/a.y4m",
        "upscale net in.y4m -o out/a.y4m --json",
        "upscale net in.y4m -o -",
        "train net --out run --epochs 1 --steps 1 --valid 1",
        "bench net --repeats 1 --json",
    ] {
        let Ok(full) = fs::File::options().write(true).open("/dev/full") else {
            skipped("no /dev/full");
            return;
        };
        let mut command = command(dir, words);
        let done: Done = command.stdout(full).output().expect("it starts").into();
        check_refused(words, &done);
        assert!(
            done.err.contains("the disk is full"),
            "{words}\n{}",
            done.err
        );
    }
}

/// Names below a folder, and bytes.
type Files = BTreeMap<String, Vec<u8>>;

/// Runs it with `out/` on a file system of its own, in a namespace of its own: exit code, errors, what is in `out/`,
/// copied to `left/`. `None` where that cannot be had.
fn run_on_disk(dir: &Path, words: &str, size: &str) -> Option<(Done, Files)> {
    let script = r#"mount -t tmpfs -o "$1" tmpfs out 2>/dev/null || exit 99; shift
        PATH=/nowhere "$@"; code=$?
        cp -r out left && exit $code"#;
    let mut command = Command::new("unshare");
    command.args(["-rm", "sh", "-c", script, "sh", size]);
    command.arg(env!("CARGO_BIN_EXE_vsr-run"));
    command.args(words.split_whitespace()).current_dir(dir);
    let left = dir.join("left");
    let _ = fs::remove_dir_all(&left);
    let done: Done = command.output().ok()?.into();
    left.exists().then(|| (done, contents(&left)))
}

/// A run keeps each file that it could write, whole, and no other.
fn assert_whole_files(what: &str, dir: &Path, whole: &Files) {
    for name in names(dir) {
        assert!(whole.contains_key(&name), "{what}: {name}");
        if name.ends_with(".safetensors") {
            let read = tensors::read(&dir.join(&name));
            assert!(read.is_ok(), "{what}: {name}: {:?}", read.err());
        }
    }
}

/// Disks of one page more each, until the command has room; at how many it had not.
fn fill_disks(dir: &Path, words: &str) -> Option<u64> {
    let (done, whole) = run_on_disk(dir, words, "size=64m")?;
    assert_eq!(done.code, Some(0), "{words}\n{}", done.err);
    let mut n_full = 0;
    for point in 1.. {
        let size = format!("size={}", 4096 * point);
        let (done, left) = run_on_disk(dir, words, &size).expect("as before");
        if done.code == Some(0) {
            assert!(left == whole, "{words}: {:?}", left.keys());
            break;
        }
        n_full += 1;
        let what = format!("{words}, {point} pages");
        check_refused(&what, &done);
        match words.starts_with("train") {
            true => assert_whole_files(&what, &dir.join("left"), &whole),
            false => assert!(left.is_empty(), "{what}: {:?}", left.keys()),
        }
    }
    Some(n_full)
}

#[cfg(target_os = "linux")]
#[test]
fn real_disks_that_fill() {
    let dir = place();
    let dir = dir.path();
    // Pictures keep their colours at full size, so that the film takes more than 200 pages.
    fs::create_dir(dir.join("large")).expect("a folder");
    write_film(&dir.join("large/%d.png"), 48, 48, 32);
    write_film(&dir.join("many.y4m"), 16, 16, 40);
    let Some(n) = fill_disks(dir, "upscale net large -q -o out/a.y4m") else {
        skipped("no file system of its own for a process of this user");
        return;
    };
    assert!(n >= N_POINTS, "{n}");
    for (words, least) in [
        ("upscale net many.y4m -q -o out/shot", 39),
        ("upscale net many.y4m -q -o out/f%d.jpg", 39),
        ("upscale net large -q -o out/a.mp4", 2),
        ("exec net --inputs x.safetensors -o out/y.safetensors", 27),
        (
            "train net --out out/run --epochs 1 --steps 1 --valid 1 -q",
            3,
        ),
    ] {
        let n = fill_disks(dir, words).unwrap_or(0);
        assert!(n >= least, "{words}: {n}");
    }
    // Names, and no bytes: a disk has room for so many files.
    for n_files in 2..44 {
        let size = format!("nr_inodes={n_files},size=64m");
        let words = "upscale net many.y4m -q -o out/shot";
        let (done, left) = run_on_disk(dir, words, &size).expect("as before");
        if done.code != Some(0) {
            check_refused(&format!("{words}, {n_files} files"), &done);
            assert!(left.is_empty(), "{n_files} files: {:?}", left.keys());
        }
    }
}

/// Where the system has no room to load a program, none of ours has begun.
fn can_begin(dir: &Path, resource: Resource, most: u64) -> bool {
    run_within(dir, "--version", resource, most).code == Some(0)
}

#[cfg(target_os = "linux")]
#[test]
fn little_memory_is_an_error_with_a_reason() {
    let dir = place();
    let dir = dir.path();
    let out = dir.join("out");
    let (mut n_refused, mut n_done) = (0, 0);
    let has_room = |megabytes: u64| can_begin(dir, libc::RLIMIT_AS as Resource, megabytes << 20);
    let least = (4..160).step_by(2).find(|m| has_room(*m));
    let least = least.expect("there is room for the program");
    for words in [
        "info net --json",
        "upscale net in.y4m -q -o out/a.mp4 --threads 2",
        "exec net --inputs x.safetensors -o out/y.safetensors --threads 2",
        "train net --out out/run --epochs 1 --steps 1 --valid 1 -q --threads 2",
    ] {
        let mut n_in_turn = 0;
        for megabytes in least..least + 160 {
            clear(&out);
            let done = run_within(dir, words, libc::RLIMIT_AS as Resource, megabytes << 20);
            if done.code == Some(0) {
                n_in_turn += 1;
                if n_in_turn == 5 {
                    n_done += 1;
                    break;
                }
                continue;
            }
            n_in_turn = 0;
            n_refused += 1;
            let what = format!("{words}, {megabytes} MB");
            check_refused(&what, &done);
            let is_run = words.starts_with("train");
            let left = names(&out);
            assert!(is_run || left.is_empty(), "{what}: {left:?}");
            assert!(
                !left.iter().any(|n| n.contains(".part-")),
                "{what}: {left:?}"
            );
        }
    }
    assert!(
        n_refused > 8 && n_done == 4,
        "{n_refused} refused, {n_done} done"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn few_descriptors_are_an_error_with_a_reason() {
    let dir = place();
    let dir = dir.path();
    let out = dir.join("out");
    let (mut n_refused, mut n_done) = (0, 0);
    for words in [
        "info net",
        "upscale net in.y4m -q -o out/shot",
        "upscale net in.y4m -q -o out/a.mp4",
        "exec net --inputs x.safetensors -o out/y.safetensors",
        "eval net --data in.y4m",
        "train net --out out/run --epochs 1 --steps 1 --valid 1 -q",
    ] {
        for n in 3..24 {
            clear(&out);
            let done = run_within(dir, words, libc::RLIMIT_NOFILE as Resource, n);
            if done.code == Some(0) {
                n_done += 1;
            } else if can_begin(dir, libc::RLIMIT_NOFILE as Resource, n) {
                n_refused += 1;
                let what = format!("{words}, {n} descriptors");
                check_refused(&what, &done);
                assert!(
                    done.err.contains("too many open files"),
                    "{what}\n{}",
                    done.err
                );
                assert!(names(&out).iter().all(|n| !n.contains(".part-")), "{what}");
            }
        }
    }
    assert!(
        n_refused > 5 && n_done > 10,
        "{n_refused} refused, {n_done} done"
    );
}

/// A user that may have one process: no thread can be started.
#[cfg(target_os = "linux")]
#[test]
fn no_threads_left_is_an_error_with_a_reason() {
    use std::os::unix::fs::PermissionsExt;
    let dir = place();
    let dir = dir.path();
    for folder in [dir.to_path_buf(), dir.join("out")] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).expect("it is ours");
    }
    // A name of its own for every user: root has no such limit.
    // SAFETY: the call takes nothing, and cannot fail.
    let is_root = unsafe { libc::geteuid() } == 0;
    let as_one = |mut command: Command| -> Done {
        if is_root {
            command.uid(54_321).gid(54_321);
        }
        limit(&mut command, libc::RLIMIT_NPROC as Resource, 1);
        command.output().expect("the program starts").into()
    };
    // Whether the limit holds here says a shell, which has to start a process.
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "true & wait"]);
    if as_one(shell).code == Some(0) {
        skipped("this user's threads cannot be limited");
        return;
    }
    let run = |words: &str| as_one(command(dir, words));
    for words in [
        "upscale net in.y4m -q -o out/a.mp4 --threads 3",
        "exec net --inputs x.safetensors -o out/y.safetensors --threads 3",
        "eval net --data in.y4m --threads 3",
        "bench net --threads 3",
        "bench --roofs out/roofs.json --threads 3",
    ] {
        let done = run(words);
        check_refused(words, &done);
        assert!(
            done.err.contains("cannot start thread 2 of "),
            "{words}\n{}",
            done.err
        );
        assert!(names(&dir.join("out")).is_empty(), "{words}");
    }
    let done = run("train net --out out/run --epochs 1 --steps 1 -q --threads 1");
    check_refused("train --threads 1", &done);
    assert!(done.err.contains("a thread for the data"), "{}", done.err);
    assert!(names(&dir.join("out")).is_empty());
}

#[test]
fn threads_are_four_for_each_core_at_most() {
    let dir = place();
    let dir = dir.path();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    for asked in ["18446744073709551615", "100000"] {
        let words =
            format!("exec net --inputs x.safetensors -o out/y.safetensors --threads {asked}");
        let done = succeed(dir, &words);
        let said = format!("note: --threads {asked}: {} are started", 4 * cores);
        assert!(done.err.contains(&said), "{}", done.err);
        assert_eq!(
            done.err.lines().filter(|l| l.contains("--threads")).count(),
            1
        );
    }
    let plain = succeed(
        dir,
        "exec net --inputs x.safetensors -o out/z.safetensors --threads 3",
    );
    assert!(plain.err.is_empty(), "{}", plain.err);
    assert!(bytes(dir.join("out/y.safetensors")) == bytes(dir.join("out/z.safetensors")));
    refuse(
        dir,
        "info net --threads 18446744073709551616",
        1,
        &["--threads"],
    );
}
