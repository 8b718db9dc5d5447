//! An `ffmpeg` that says and does what a test wants: a script of a few lines. Whether a real one is installed decides
//! nothing here.

use super::common::*;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// What it says of a film of ten seconds with frames of 2x1 pixels, and its first frame.
const FIRST_FRAME: &str = "
echo '[info]   Duration: 00:00:10.00, start: 0.000000, bitrate: 1 kb/s' >&2
echo '[Parsed_showinfo_0 @ 0x1] [info] config in time_base: 1/25, frame_rate: 25/1' >&2
echo '[Parsed_showinfo_0 @ 0x1] [info] n:   0 pts:      0 pts_time:0 duration:      1 fmt:rgb24 s:2x1' >&2
printf abcdef";

/// `upscale` of a film that only this `ffmpeg` reads. Asked where the packets end, it says: after a second.
fn upscale(dir: &Path, script: &str) -> Done {
    fs::create_dir_all(dir.join("bin")).expect("a folder");
    let program = dir.join("bin/ffmpeg");
    let packets = "case \"$*\" in *-progress*) echo out_time=00:00:01.00; exit 0;; esac";
    fs::write(&program, format!("#!/bin/sh\n{packets}\n{script}\n")).expect("a script");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("it may run");
    fs::write(dir.join("in.mkv"), "a film, says the script").expect("a film");
    let mut command = command(dir, "upscale net in.mkv -o out.y4m");
    command.env("PATH", dir.join("bin"));
    command.output().expect("the program starts").into()
}

/// A complaint that may mean nothing hides no loss: each is told.
#[test]
fn a_film_that_ends_early_is_told_beside_a_complaint() {
    let dir = workplace();
    let dir = dir.path();
    let early = "in.mkv: is cut short: it says that it is 10.00 s long, and ends after 0.04 s";
    let habit = "echo '[h264 @ 0x1] [error] co located POCs unavailable' >&2";
    let loss = "echo '[h264 @ 0x1] [error] error while decoding MB 1 1' >&2";
    for (complaint, n_warnings, said) in [
        ("", 1, early),
        (habit, 2, early),
        // What is lost is told once: that it ends early says no more.
        (loss, 1, "error while decoding MB 1 1"),
    ] {
        let done = upscale(dir, &format!("{FIRST_FRAME}\n{complaint}"));
        assert_eq!(done.code, Some(3), "{complaint}\n{}", done.err);
        assert!(done.err.contains(said), "{complaint}\n{}", done.err);
        let n = done.err.matches("warning: ").count();
        assert_eq!(n, n_warnings, "{complaint}\n{}", done.err);
        assert_eq!(film(&dir.join("out.y4m")).len(), 1);
    }
}

/// A program that the system ends says nothing about the film, whenever that is.
#[test]
fn a_reader_that_the_system_ends_is_the_machines_fault() {
    let dir = workplace();
    let dir = dir.path();
    let within_a_frame = FIRST_FRAME.replace("abcdef", "abc");
    for said in ["", "echo '[error] what?' >&2", FIRST_FRAME, &within_a_frame] {
        let before = names(dir);
        let done = upscale(dir, &format!("{said}\nkill -9 $$"));
        let parts = [
            "in.mkv: ffmpeg, which reads it, was ended by the system",
            "SIGKILL",
        ];
        check(said, &done, 2, &parts);
        let made: Vec<_> = names(dir)
            .into_iter()
            .filter(|n| !before.contains(n))
            .collect();
        assert!(!made.iter().any(|n| n.contains("out")), "{made:?}");
    }
    let done = upscale(dir, "echo '[fatal] no such format' >&2; exit 1");
    check(
        "exit 1",
        &done,
        1,
        &["in.mkv: is not a video", "no such format"],
    );
}
