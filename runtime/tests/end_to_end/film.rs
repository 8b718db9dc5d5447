//! Film in and out of the program: sizes, counts, times, streams, pictures.

use super::common::*;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

/// (time, duration) of every frame, in units of its film.
fn times(path: &Path) -> Vec<(i64, u64)> {
    film(path).iter().map(|f| (f.time, f.duration)).collect()
}

#[test]
fn count_and_times_are_those_of_the_source() {
    let dir = workplace();
    let dir = dir.path();
    for n in [1, 2, 7] {
        write_film(&dir.join("in.mp4"), 48, 32, n);
        for output in ["out.mp4", "out.y4m"] {
            let done = succeed(dir, &format!("upscale net in.mp4 -o {output}"));
            assert_eq!(
                times(&dir.join(output)),
                times(&dir.join("in.mp4")),
                "{output}"
            );
            assert_eq!(film(&dir.join(output))[0].width, 96);
            assert!(
                done.out.contains("plan   48x32 -> 96x64")
                    && done.out.contains(&format!("{n} frames")),
                "{}",
                done.out
            );
        }
    }
}

/// `upscale - -o -`: Y4M from stdin to stdout, the words on stderr, the same bytes as from file to file.
#[test]
fn streams_are_the_same_as_files() {
    let dir = workplace();
    let dir = dir.path();
    write_film(&dir.join("in.y4m"), 48, 32, 5);
    succeed(dir, "upscale net in.y4m -o out.y4m -q");
    let mut command = command(dir, "upscale net - -o -");
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let film = bytes(dir.join("in.y4m"));
    let feeder = std::thread::spawn(move || input.write_all(&film));
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap().unwrap();
    assert!(output.status.success());
    assert!(
        output.stdout == bytes(dir.join("out.y4m")),
        "other bytes on stdout"
    );
    assert!(String::from_utf8_lossy(&output.stderr).contains("5 frames"));
}

/// A reader that goes away early is an error of one line, not a panic.
#[test]
fn a_closed_pipe_ends_it_with_a_word() {
    let dir = workplace();
    let dir = dir.path();
    write_film(&dir.join("in.y4m"), 48, 32, 60);
    let mut child = start(dir, "upscale net in.y4m -o - -q");
    drop(child.stdout.take());
    let done: Done = child.wait_with_output().unwrap().into();
    assert_eq!(done.code, Some(2), "{}", done.err);
    assert!(
        done.err.starts_with("error: cannot write -: ") && done.err.lines().count() == 1,
        "{}",
        done.err
    );
}

#[test]
fn pictures_keep_their_order_and_formats() {
    let dir = workplace();
    let dir = dir.path();
    fs::create_dir_all(dir.join("shot")).unwrap();
    write_film(&dir.join("shot/f%d.png"), 24, 16, 11);
    succeed(dir, "upscale net shot -o all -q");
    succeed(dir, "upscale net shot/f%d.png -o all/again%03d.png -q");
    let whole = names(&dir.join("all"));
    assert_eq!(whole.len(), 22);
    for n in 1..=11 {
        // Names count as people count: f10 comes after f9.
        let [a, b] =
            [format!("all/{n:06}.png"), format!("all/again{n:03}.png")].map(|p| bytes(dir.join(p)));
        assert!(a == b, "{n}");
    }
    succeed(dir, "upscale net shot/f3.png -o one.jpg -q");
    assert!(bytes(dir.join("one.jpg")).starts_with(b"\xff\xd8\xff"));
    let several = run(dir, "upscale net shot -o one.png");
    assert_eq!(several.code, Some(1));
    assert!(
        several.err.contains("one.png") && !dir.join("one.png").exists(),
        "{}",
        several.err
    );
}

/// Ctrl-C: nothing under the film's name, and the code that shells know.
#[test]
fn control_c_leaves_no_half_film() {
    let dir = workplace();
    let dir = dir.path();
    write_film(&dir.join("in.y4m"), 96, 96, 200);
    let child = start(dir, "upscale net in.y4m -o out.mp4");
    let is_writing = || names(dir).iter().any(|n| n.starts_with(".out.mp4"));
    wait_for("the film to begin", is_writing);
    let sent = std::process::Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(sent.unwrap().success());
    let done: Done = child.wait_with_output().unwrap().into();
    assert_eq!(done.code, Some(130), "{}", done.err);
    assert!(
        names(dir).iter().all(|n| !n.contains("out.mp4")),
        "{:?}",
        names(dir)
    );
}

/// Most memory that a process ever had, in bytes.
fn peak(dir: &Path, words: &str) -> u64 {
    let mut child = start(dir, words);
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    while child.try_wait().unwrap().is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|l| l.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|l| l.trim().trim_end_matches(" kB").parse::<u64>().ok());
        most = most.max(1024 * kilobytes.unwrap_or(0));
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    assert!(child.wait().unwrap().success());
    most
}

#[cfg(target_os = "linux")]
#[test]
fn memory_does_not_grow_with_the_film() {
    let dir = workplace();
    let dir = dir.path();
    write_film(&dir.join("short.mp4"), 96, 96, 10);
    write_film(&dir.join("long.mp4"), 96, 96, 200);
    let [short, long] =
        ["short", "long"].map(|n| peak(dir, &format!("upscale net {n}.mp4 -o {n}-out.mp4 -q")));
    // 190 frames more: 21 MB of pictures in, 84 MB out.
    assert!(
        short > 0 && long < short + 10_000_000,
        "{short} bytes, then {long}"
    );
}

/// Training on footage: which clips are held out is said, and a folder's own split is taken.
#[test]
fn footage_is_split_as_announced() {
    let dir = workplace();
    let dir = dir.path();
    fs::create_dir_all(dir.join("clips")).unwrap();
    for n in 0..11 {
        write_film(&dir.join(format!("clips/{n}.y4m")), 20 + 2 * n, 20, 2);
    }
    let announced = |data: &str, out: &str| {
        let words = format!("train net --data {data} --out {out} --epochs 1 --steps 2 --valid 2");
        succeed(dir, &words).err
    };
    let all = announced("clips", "a");
    assert!(
        all.contains(
            "10 clips (20 frames) to train, 1 clips (2 frames) held out; every tenth film"
        ),
        "{all}"
    );
    for (part, numbers) in [("train", 0..4), ("valid", 4..6)] {
        fs::create_dir_all(dir.join("own").join(part)).unwrap();
        for n in numbers {
            fs::copy(
                dir.join(format!("clips/{n}.y4m")),
                dir.join(format!("own/{part}/{n}.y4m")),
            )
            .unwrap();
        }
    }
    let own = announced("own", "b");
    assert!(
        own.contains(
            "4 clips (8 frames) to train, 2 clips (4 frames) held out; folders train/ and valid/"
        ),
        "{own}"
    );
    let made = succeed(dir, "train net --out c --epochs 1 --steps 1 --valid 1");
    assert!(made.err.contains("data: made scenes"), "{}", made.err);
}

/// What a run leaves for people: numbers by epoch, a plot, a picture; the options override the source.
#[test]
fn a_run_tells_what_it_did() {
    let dir = workplace();
    let dir = dir.path();
    let done = succeed(
        dir,
        "train net --out run --epochs 2 --steps 3 --rate 1e-3 --valid 1",
    );
    let lines: Vec<&str> = done.out.lines().collect();
    assert_eq!(lines.len(), 3, "{}", done.out);
    for (n, line) in lines[..2].iter().enumerate() {
        let parts = [
            &format!("epoch   {}/2  loss ", n + 1),
            "  pixel ",
            "  psnr ",
            " dB",
            "| held out: loss ",
            " steps/s",
        ];
        assert!(parts.iter().all(|p| line.contains(p)), "{line}");
    }
    assert!(
        lines[0].contains(" left") && lines[2].contains("run/best.safetensors"),
        "{}",
        done.out
    );
    let records = metrics(&dir.join("run"));
    let steps: Vec<_> = records
        .iter()
        .map(|r| (r["epoch"].as_u64(), r["steps"].as_u64()))
        .collect();
    assert_eq!(steps, [(Some(1), Some(3)), (Some(2), Some(6))]);
    for part in ["train", "valid"] {
        let keys: Vec<&String> = records[1][part].as_object().unwrap().keys().collect();
        assert_eq!(keys, ["loss", "pixel", "psnr"]);
    }
    let json = succeed(
        dir,
        "train net --out json --epochs 2 --steps 3 --rate 1e-3 --valid 1 --json",
    );
    let records_of = |text: &str| -> Vec<serde_json::Value> {
        text.lines()
            .map(|l| serde_json::from_str(l).unwrap())
            .collect()
    };
    assert_eq!(records_of(&json.out).len(), 2);
    let other = succeed(
        dir,
        "train net --out other --epochs 2 --steps 3 --rate 2e-3 --valid 1 -q",
    );
    assert!(other.out.is_empty() && other.err.is_empty());
    assert_ne!(
        bytes(dir.join("other/last.safetensors")),
        bytes(dir.join("run/last.safetensors"))
    );
    assert_eq!(
        bytes(dir.join("json/last.safetensors")),
        bytes(dir.join("run/last.safetensors"))
    );
}
