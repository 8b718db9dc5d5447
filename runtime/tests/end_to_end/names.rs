//! Names out of files and of files: no terminal obeys one, and none begins a line of its own.

use super::common::*;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use vsr_runtime::tensors::{self, View};

/// A name that clears the screen, forges an error and reorders what follows.
const EVIL: &str = "e\u{1b}[2J\nerror: vil\u{202e}\u{9b}31m";
const SHOWN: &str = r"e\u001b[2J\u000aerror: vil\u202e\u009b31m";

/// The program with words that may hold blanks.
fn run_words(dir: &Path, words: &[&str]) -> Done {
    let mut command = command(dir, "");
    let done = command.args(words).output();
    done.expect("the program starts").into()
}

fn is_clean(text: &str) {
    let bad = |c: char| (c.is_control() && !['\n', '\t'].contains(&c)) || c == '\u{202e}';
    assert!(!text.contains(bad), "{text:?}");
}

/// One error that shows the name, escaped.
fn refused(dir: &Path, words: &[&str]) {
    let done = run_words(dir, words);
    check(&words.join(" "), &done, 1, &[SHOWN]);
    is_clean(&done.err);
    is_clean(&done.out);
}

fn refused_weights(dir: &Path, weights: &str) {
    let words = "upscale net in.y4m -o out.y4m --weights".split(' ');
    refused(dir, &words.chain([weights]).collect::<Vec<_>>());
}

#[test]
fn names_of_files_are_escaped() {
    let dir = workplace();
    let dir = dir.path();
    write_film(&dir.join("in.y4m"), 32, 32, 2);
    let named = |end: &str| format!("{EVIL}.{end}");
    for end in ["mp4", "y4m", "png", "safetensors"] {
        fs::write(dir.join(named(end)), "YUV4MPEG2 W0 H0\n").unwrap();
    }
    let (mp4, y4m, weights) = (named("mp4"), named("y4m"), named("safetensors"));
    let missing = named("none");
    refused(dir, &["upscale", "net", &mp4, "-o", "out.y4m"]);
    refused(dir, &["upscale", "net", &y4m, "-o", "out.y4m"]);
    refused(dir, &["upscale", "net", &named("png"), "-o", "out.y4m"]);
    refused(dir, &["upscale", "net", "in.y4m", "-o", &named("gif")]);
    refused_weights(dir, &weights);
    refused(dir, &["eval", "net", "--data", &missing]);
    refused(dir, &["train", "net", "--data", &missing]);
    refused(dir, &["train", "net", "--resume", &missing]);
    refused(dir, &["info", &missing]);
    refused(dir, &["exec", "net", "--inputs", &missing, "-o", "x"]);
    // The command line is the shell's: `*` may put any name there.
    let done = run_words(dir, &["info", "net", EVIL]);
    assert_eq!(done.code, Some(1));
    is_clean(&done.err);
}

#[test]
fn names_in_results_are_escaped_and_json_keeps_them() {
    let dir = workplace();
    let dir = dir.path();
    fs::create_dir_all(dir.join("clips")).unwrap();
    let clip = format!("{EVIL}.y4m");
    for name in ["a.y4m", clip.as_str()] {
        write_film(&dir.join("clips").join(name), 32, 32, 2);
    }
    let done = succeed(dir, "eval net --data clips");
    assert!(
        done.out.contains(SHOWN) && done.out.lines().count() == 3,
        "{}",
        done.out
    );
    is_clean(&done.out);
    let done = succeed(dir, "eval net --data clips --json");
    is_clean(&done.out);
    let report: Value = serde_json::from_str(&done.out).unwrap();
    let names: Vec<&str> = report["clips"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|c| c["clip"].as_str())
        .collect();
    assert!(names.contains(&clip.as_str()), "{names:?}");
    let done = run_words(
        dir,
        &[
            "train", "net", "--data", "clips", "--out", EVIL, "--epochs", "1", "--steps", "1",
            "--valid", "1",
        ],
    );
    assert_eq!(done.code, Some(0), "{}", done.err);
    is_clean(&done.out);
    is_clean(&done.err);
    assert!(done.out.contains(SHOWN), "{}", done.out);
}

#[test]
fn keys_of_tensors_are_escaped() {
    let dir = workplace();
    let dir = dir.path();
    write_film(&dir.join("in.y4m"), 16, 16, 1);
    let view = View {
        name: EVIL,
        shape: &[1],
        data: &[1.0],
    };
    let metadata = BTreeMap::from([(EVIL.to_string(), EVIL.to_string())]);
    tensors::write(&dir.join("w.safetensors"), &[view], &metadata).unwrap();
    refused_weights(dir, "w.safetensors");
    refused(
        dir,
        &[
            "exec",
            "net",
            "--inputs",
            "w.safetensors",
            "-o",
            "out.safetensors",
        ],
    );
    // Texts of a pickle: what it asks to be called.
    let mut pickle =
        b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}."
            .to_vec();
    pickle.extend(b"}X");
    pickle.extend((EVIL.len() as u32).to_le_bytes());
    pickle.extend(EVIL.as_bytes());
    pickle.extend(b"cos\x1b[2J\nsystem\n)Rs.].");
    fs::write(dir.join("w.pth"), pickle).unwrap();
    refused_weights(dir, "w.pth");
}

/// The code of a film's format is four bytes of anything.
#[test]
fn formats_within_films_are_escaped() {
    let dir = workplace();
    let dir = dir.path();
    write_film(&dir.join("a.mp4"), 16, 16, 1);
    let mut film = bytes(dir.join("a.mp4"));
    let at = film.windows(4).rposition(|w| w == b"avc1").unwrap();
    film[at..at + 4].copy_from_slice(b"\x1b[2J");
    fs::write(dir.join("a.mp4"), film).unwrap();
    let done = run(dir, "upscale net a.mp4 -o out.y4m");
    check("upscale", &done, 1, &[r"holds \u001b[2J video"]);
    is_clean(&done.err);
    fs::write(dir.join("a.y4m"), b"YUV4MPEG2 W4 H4 C\x1b[2J\n").unwrap();
    let done = run(dir, "upscale net a.y4m -o out.y4m");
    check("upscale", &done, 1, &[r"layout C\u001b[2J"]);
    is_clean(&done.err);
}
