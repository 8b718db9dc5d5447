//! Processes that were killed, and processes that meet in one folder.

use super::common::*;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

/// Hidden names in a folder.
fn hidden(folder: &Path) -> Vec<String> {
    let is_hidden = |n: &String| n.split('/').next_back().is_some_and(|n| n.starts_with('.'));
    names(folder).into_iter().filter(is_hidden).collect()
}

fn kill(mut child: Child) {
    child.kill().expect("it can be killed");
    child.wait().expect("it ends");
}

/// What is half done when a film is killed lies hidden, and goes when the next one is written there.
#[test]
fn what_a_killed_process_left_goes_with_the_next_run() {
    let dir = workplace();
    let dir = dir.path();
    write_film(&dir.join("in.y4m"), 16, 16, 2);
    fs::create_dir(dir.join("out")).unwrap();
    let has_ffmpeg = command_with_ffmpeg(dir, "").is_some();
    if !has_ffmpeg {
        skipped("for .mkv: no ffmpeg on PATH");
    }
    for output in [
        "out/a.mp4",
        "out/a.y4m",
        "out/shot",
        "out/f%d.png",
        "out/a.mkv",
    ] {
        if output.ends_with(".mkv") && !has_ffmpeg {
            continue;
        }
        let folder = &dir.join("out");
        let (child, _input) = half_fed(dir, output);
        wait_for("something half done", || !hidden(folder).is_empty());
        // While it lives, nobody touches it.
        succeed(dir, "upscale net in.y4m -q -o out/b.y4m");
        succeed(dir, "upscale net in.y4m -q -o c.y4m");
        assert!(
            !hidden(folder).is_empty(),
            "{output}: taken from a living process"
        );
        kill(child);
        assert!(!hidden(folder).is_empty(), "{output}: killed in the midst");
        succeed(dir, "upscale net in.y4m -q -o out/b.y4m");
        succeed(dir, "upscale net in.y4m -q -o c.y4m");
        assert!(hidden(dir).is_empty(), "{output}: {:?}", hidden(dir));
        assert_eq!(names(&dir.join("out")), ["b.y4m"], "{output}");
    }
}

#[test]
fn one_run_works_in_a_folder() {
    let dir = workplace();
    let dir = dir.path();
    let long = "--epochs 1000 --steps 40 --valid 1 -q";
    for (first, second) in [
        ("train net --out run", "train net --out run --overwrite"),
        ("train net --resume run", "train net --resume run"),
    ] {
        let mut words = first.to_string();
        if first.contains("--out") {
            words = format!("{first} {long}");
        }
        let child = start(dir, &words);
        let signed = || fs::read_to_string(dir.join("run/.vsr-run.lock")).unwrap_or_default();
        wait_for("the run to be locked", || {
            signed() == format!("{}\n", child.id())
        });
        wait_for("a checkpoint", || {
            dir.join("run/state.safetensors").exists()
        });
        let done = run(dir, second);
        assert_eq!(done.code, Some(1), "{second}\n{}", done.err);
        let process = format!("process {}", child.id());
        assert!(
            done.err.contains("another run works in this folder") && done.err.contains(&process),
            "{}",
            done.err
        );
        kill(child);
        // Nothing stale is left: the next one goes on at once.
    }
    succeed(dir, "train net --resume run --epochs 1 -q");
    assert!(hidden(&dir.join("run")).is_empty(), "{:?}", hidden(dir));
}

/// Runs that start together in one folder, none of which says where.
#[test]
fn default_folders_have_numbers_of_their_own() {
    let dir = workplace();
    let dir = dir.path();
    let how = "train net --epochs 1 --steps 3 --valid 1 -q --threads 1";
    let children: Vec<Child> = (0..6).map(|_| start(dir, how)).collect();
    for child in children {
        let done: Done = child.wait_with_output().expect("it ends").into();
        assert_eq!(done.code, Some(0), "{}", done.err);
    }
    let runs = dir.join("runs");
    let folders: Vec<PathBuf> = (1..=6).map(|n| runs.join(format!("net-{n}"))).collect();
    for folder in &folders {
        assert_eq!(names(folder), names(&folders[0]));
        for name in names(folder) {
            assert!(
                bytes(folder.join(&name)) == bytes(folders[0].join(&name)),
                "{name}"
            );
        }
    }
    assert_eq!(fs::read_dir(&runs).unwrap().count(), 6);
    // A run that does not begin takes no number.
    refuse(
        dir,
        "train net --weights nowhere.safetensors",
        1,
        &["nowhere.safetensors"],
    );
    refuse(dir, "train net --data nowhere", 1, &["nowhere"]);
}

/// Sends Ctrl-C, and waits until it has arrived: of two that wait for a process, the system delivers one.
fn interrupt(child: &Child) {
    let id = child.id().to_string();
    let sent = Command::new("kill").args(["-INT", &id]).status();
    assert!(sent.expect("kill runs").success());
    let waits = || {
        let text = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        let signals = text.lines().filter_map(|l| {
            let bits = l.strip_prefix("ShdPnd:").or(l.strip_prefix("SigPnd:"))?;
            u64::from_str_radix(bits.trim(), 16).ok()
        });
        let all = signals.fold(0, |all, bits| all | bits);
        all >> (libc::SIGINT - 1) & 1 == 1
    };
    wait_for("the signal to arrive", || !waits());
}

/// The first Ctrl-C waits for the frame that is being read, which never comes; the second ends the film, and leaves
/// nothing either.
#[test]
fn the_second_control_c_ends_what_the_first_cannot_and_leaves_nothing() {
    let dir = workplace();
    let dir = dir.path();
    for output in ["out.mp4", "shot"] {
        let (mut child, input) = half_fed(dir, output);
        wait_for("something half done", || !hidden(dir).is_empty());
        interrupt(&child);
        for _ in 0..30 {
            std::thread::sleep(Duration::from_millis(10));
            let ended = child.try_wait().expect("it is ours");
            assert_eq!(ended, None, "{output}: the first one waits for a frame");
        }
        assert!(!hidden(dir).is_empty(), "{output}: half done");
        interrupt(&child);
        wait_for("the end", || {
            child.try_wait().expect("it is ours").is_some()
        });
        drop(input);
        let done: Done = child.wait_with_output().expect("it has ended").into();
        assert_eq!(done.code, Some(130), "{}", done.err);
        assert!(
            hidden(dir).is_empty() && !dir.join(output).exists(),
            "{:?}",
            names(dir)
        );
    }
}
