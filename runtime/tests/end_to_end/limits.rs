//! Files that state more than they hold, and things that are no files: one error, whose fault it was, and never an
//! abort.

use super::common::*;
use std::fs;
use std::path::Path;
use std::process::Command;

/// A PNG whose head states any size; nothing else of it is changed.
fn write_png(path: &Path, width: u32, height: u32) {
    let small = path.with_file_name("small.png");
    write_film(&small, 16, 16, 1);
    let mut png = bytes(&small);
    fs::remove_file(small).unwrap();
    png[16..20].copy_from_slice(&width.to_be_bytes());
    png[20..24].copy_from_slice(&height.to_be_bytes());
    let sum = crc32fast::hash(&png[12..29]);
    png[29..33].copy_from_slice(&sum.to_be_bytes());
    fs::write(path, png).unwrap();
}

/// The program with so many megabytes of addresses; each thread takes some, so that there are two, whatever the machine.
fn run_in_megabytes(dir: &Path, megabytes: u64, words: &str) -> Done {
    let words = format!("{words} --threads 2");
    run_within(dir, &words, libc::RLIMIT_AS as Resource, megabytes << 20)
}

#[test]
fn frames_beyond_the_limit_or_the_memory_are_refused() {
    let dir = workplace();
    let dir = dir.path();
    write_png(&dir.join("large.png"), 12_000, 12_000);
    fs::write(
        dir.join("large.y4m"),
        "YUV4MPEG2 W12000 H12000 F25:1\nFRAME\n",
    )
    .unwrap();
    fs::create_dir(dir.join("clips")).unwrap();
    fs::copy(dir.join("large.y4m"), dir.join("clips/a.y4m")).unwrap();
    let parts = [
        "12000x12000",
        "the limit is 67108864",
        "--limit-pixels 144000000",
    ];
    for name in ["large.png", "large.y4m"] {
        refuse(dir, &format!("upscale net {name} -o out.y4m"), 1, &parts);
        refuse(dir, &format!("eval net --data {name}"), 1, &parts);
        let words = format!("upscale net {name} -o out.y4m --limit-pixels 200000000");
        let before = names(dir);
        let done = run_in_megabytes(dir, 1000, &words);
        check(&words, &done, 2, &["there is not enough memory", name]);
        assert_eq!(names(dir), before);
    }
    refuse(dir, "train net --data clips --out run", 1, &parts);
    // What is allowed, is read: it is only cut short.
    fs::write(dir.join("cut.y4m"), "YUV4MPEG2 W64 H64 F25:1\nFRAME\n").unwrap();
    let words = "upscale net cut.y4m -o out.y4m --limit-pixels 4096";
    refuse(dir, words, 1, &["is cut short inside frame 0"]);
    write_film(&dir.join("in.y4m"), 32, 16, 1);
    let parts = ["in.y4m", "32x16", "the limit is 511"];
    refuse(
        dir,
        "upscale net in.y4m -o out.y4m --limit-pixels 511",
        1,
        &parts,
    );
    refuse(dir, "eval net --data in.y4m --limit-pixels 511", 1, &parts);
    succeed(dir, "upscale net in.y4m -o out.y4m --limit-pixels 512 -q");
}

/// What a frame becomes counts, too: the network's results are larger than what enters.
#[test]
fn what_is_enlarged_has_to_fit_the_memory() {
    let dir = workplace();
    let dir = dir.path();
    let head = "YUV4MPEG2 W4000 H4000 F25:1 Cmono\nFRAME\n";
    fs::write(
        dir.join("a.y4m"),
        [head.as_bytes(), &[0; 16_000_000]].concat(),
    )
    .unwrap();
    let words = "upscale net a.y4m -o out.y4m";
    let done = run_in_megabytes(dir, 1200, words);
    check(
        words,
        &done,
        2,
        &["not enough memory for enlarging 4000x4000 frames of a.y4m"],
    );
}

#[cfg(unix)]
#[test]
fn pipes_folders_and_devices_are_no_files() {
    let dir = workplace();
    let dir = dir.path();
    write_film(&dir.join("in.y4m"), 16, 16, 1);
    for name in ["pipe", "pipe.mp4", "pipe.y4m", "pipe.png"] {
        let made = Command::new("mkfifo").arg(dir.join(name)).status();
        assert!(made.unwrap().success());
    }
    fs::create_dir(dir.join("folder")).unwrap();
    for (name, what) in [
        ("pipe", "a pipe"),
        ("folder", "a folder"),
        ("/dev/zero", "a device"),
    ] {
        let parts = [name, what, "a file is expected"];
        for words in [
            "upscale net in.y4m -o out.y4m --weights",
            "exec net -o out.safetensors --inputs",
            "train net --out run --weights",
        ] {
            refuse(dir, &format!("{words} {name}"), 1, &parts);
        }
    }
    for name in ["pipe.mp4", "pipe.y4m", "pipe.png", "/dev/zero"] {
        let parts = [name, "and a file is expected", "standard input"];
        refuse(dir, &format!("upscale net {name} -o out.y4m"), 1, &parts);
        refuse(dir, &format!("eval net --data {name}"), 1, &[name]);
    }
    fs::create_dir(dir.join("shot")).unwrap();
    write_film(&dir.join("shot/%d.png"), 16, 16, 2);
    fs::rename(dir.join("pipe.png"), dir.join("shot/3.png")).unwrap();
    refuse(dir, "upscale net shot -o out", 1, &["shot/3.png", "a pipe"]);
    succeed(dir, "train net --out run --epochs 1 --steps 1 --valid 1 -q");
    fs::rename(dir.join("pipe"), dir.join("run/metrics.jsonl")).unwrap();
    refuse(
        dir,
        "train net --resume run",
        1,
        &["run/metrics.jsonl", "a pipe"],
    );
}

#[test]
fn headers_of_any_bytes_are_refused_or_read() {
    let dir = workplace();
    let dir = dir.path();
    for (head, part) in [
        (&b"YUV4MPEG2 W\xc3\xa4 H4\n"[..], "0x4"),
        (
            b"YUV4MPEG2 \xe2\x82\xac W4 H4 C\xf0\x9f\x98\x80\n",
            "layout C",
        ),
        (b"YUV4MPEG2 W4 H4\nFR\xc3ME\n", "frame 0"),
    ] {
        fs::write(dir.join("a.y4m"), head).unwrap();
        let done = run(dir, "upscale net a.y4m -o out.y4m");
        check("upscale", &done, 1, &[part]);
    }
    // What is no field of ours is passed over.
    let head = b"YUV4MPEG2 \xff \xe2\x82\xac W4 H4\nFRAME \xff\n";
    fs::write(dir.join("a.y4m"), [&head[..], &[90; 24]].concat()).unwrap();
    succeed(dir, "upscale net a.y4m -o out.y4m -q");
    assert_eq!(film(&dir.join("out.y4m")).len(), 1);
}
