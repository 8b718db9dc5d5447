//! Checkpoints that were damaged are refused, each by its name; a run says what is no longer as it was.

use super::common::*;
use std::fs;
use std::path::Path;
use vsr_runtime::tensors;

const HOW: &str = "--epochs 3 --steps 2 --valid 1 --seed 5 -q";

fn trained() -> tempfile::TempDir {
    let dir = workplace();
    succeed(dir.path(), &format!("train net --out run {HOW}"));
    dir
}

/// A file with some bytes changed, and what it was.
fn change(path: &Path, at: usize, mask: u8) -> Vec<u8> {
    let whole = bytes(path);
    let mut changed = whole.clone();
    changed[at] ^= mask;
    fs::write(path, changed).unwrap();
    whole
}

/// Where the numbers begin, and bytes all over the file: everywhere in the numbers, and in the header but for its spaces.
fn places(file: &[u8]) -> (usize, Vec<usize>) {
    let head = file.first_chunk().copied().map(u64::from_le_bytes);
    let numbers = 8 + head.expect("a length") as usize;
    let is_space = |b: &&u8| **b == b' ';
    let n_spaces = file[..numbers].iter().rev().take_while(is_space).count();
    let in_head = (0..numbers - n_spaces).step_by(41);
    let n = file.len();
    let in_numbers = (numbers..n).step_by(n / 23).chain([n - 1]);
    (numbers, in_head.chain(in_numbers).collect())
}

#[test]
fn damaged_checkpoints_are_refused() {
    let dir = trained();
    let dir = dir.path();
    write_film(&dir.join("in.y4m"), 16, 16, 1);
    let upscale = "upscale net in.y4m -q -o out.y4m --overwrite --weights";
    let resume = "train net --resume run -q --epochs 4";
    for name in ["best", "last", "state"] {
        let name = format!("run/{name}.safetensors");
        let is_state = name.contains("state");
        let words = match is_state {
            true => resume.to_string(),
            false => format!("{upscale} {name}"),
        };
        let path = dir.join(&name);
        let whole = bytes(&path);
        let (numbers, places) = places(&whole);
        for at in places {
            change(&path, at, 1 << (at % 7));
            refuse(dir, &words, 1, &[&name]);
            if name.contains("best") && at >= numbers {
                let parts = [&*name, "is damaged", "goes on without this file"];
                refuse(dir, resume, 1, &parts);
            }
            fs::write(&path, &whole).unwrap();
        }
        let n = whole.len();
        let longer = [&whole[..], b"\0"].concat();
        for content in [&whole[..n - 1], &whole[..n / 2], &longer, b""] {
            fs::write(&path, content).unwrap();
            refuse(dir, &words, 1, &[&name]);
        }
        // It was for the damage.
        fs::write(&path, whole).unwrap();
        succeed(dir, &words);
    }
}

/// A checkpoint without its hash could be any: it is not resumed. Weights without one are those of other programs.
#[test]
fn only_a_checkpoint_with_its_hash_is_resumed() {
    let dir = trained();
    let dir = dir.path();
    write_film(&dir.join("in.y4m"), 16, 16, 1);
    for name in ["state", "best"] {
        let path = dir.join(format!("run/{name}.safetensors"));
        let mut whole = bytes(&path);
        let at = whole.windows(8).position(|w| w == b"\"blake3\"").unwrap();
        whole[at + 1] = b'B';
        fs::write(path, whole).unwrap();
    }
    refuse(
        dir,
        "train net --resume run",
        1,
        &["run/state.safetensors", "does not say `blake3`"],
    );
    succeed(
        dir,
        "upscale net in.y4m -o out.y4m --weights run/best.safetensors -q",
    );
}

#[test]
fn other_programs_read_our_weights() {
    let dir = trained();
    let file = bytes(dir.path().join("run/best.safetensors"));
    let read = safetensors::SafeTensors::deserialize(&file).unwrap();
    let ours = tensors::read(&dir.path().join("run/best.safetensors")).unwrap();
    assert_eq!(read.len(), ours.tensors.len());
    for (name, tensor) in ours.tensors {
        let theirs = read.tensor(&name).unwrap();
        let values: Vec<u8> = tensor.data.iter().flat_map(|v| v.to_le_bytes()).collect();
        assert_eq!(theirs.data(), values);
    }
}

#[test]
fn a_torn_last_line_of_the_metrics_is_repaired() {
    let dir = trained();
    let dir = dir.path();
    let path = dir.join("run/metrics.jsonl");
    let whole = bytes(&path);
    let lines: Vec<&[u8]> = whole.split_inclusive(|b| *b == b'\n').collect();
    let two = lines[..2].concat();
    let tails: [&[u8]; 5] = [
        &lines[2][..lines[2].len() - 1],
        &lines[2][..7],
        b"\0\0\0\0",
        b"\xff\xfe{",
        b"{",
    ];
    for tail in tails {
        fs::write(&path, [&two, tail].concat()).unwrap();
        let done = succeed(dir, "train net --resume run -q");
        assert!(
            done.err
                .contains("run/metrics.jsonl: its last line is torn"),
            "{}",
            done.err
        );
        assert_eq!(bytes(&path), two);
        assert_eq!(succeed(dir, "train net --resume run -q").err, "");
    }
    succeed(dir, "train net --resume run --epochs 4 -q");
    let epochs: Vec<_> = metrics(&dir.join("run"))
        .iter()
        .map(|m| m["epoch"].as_u64())
        .collect();
    assert_eq!(epochs, [Some(1), Some(2), Some(4)]);
}

#[test]
fn other_damage_of_the_metrics_is_refused() {
    let dir = trained();
    let dir = dir.path();
    let path = dir.join("run/metrics.jsonl");
    let n = bytes(&path).len();
    let first = bytes(&path).iter().position(|b| *b == b'\n').unwrap();
    for at in (0..n - 1).step_by(29).chain([first]) {
        let whole = change(&path, at, if at % 2 == 0 { 0x80 } else { 1 });
        refuse(
            dir,
            "train net --resume run",
            1,
            &["run/metrics.jsonl: is damaged at line "],
        );
        fs::write(&path, whole).unwrap();
    }
    fs::remove_file(&path).unwrap();
    succeed(dir, "train net --resume run --epochs 4 -q");
    assert_eq!(metrics(&dir.join("run")).len(), 1);
}

#[test]
fn another_artifact_is_named_in_one_line() {
    let dir = trained();
    let dir = dir.path();
    assert_eq!(succeed(dir, "train net --resume run --epochs 4 -q").err, "");
    let text = NET
        .replace("0.02*randn", "0.03*randn")
        .replace("B = 2", "B = 3");
    compile(&text, &dir.join("other"));
    let done = succeed(dir, "train other --resume run --epochs 5 -q");
    let [note] = done.said("note: ")[..] else {
        panic!("{}", done.err)
    };
    assert!(
        note.starts_with("note: the run began with another artifact: "),
        "{note}"
    );
    assert!(
        note.contains("source")
            && note.contains("data (clip [3, 3, 1, 16, 16], was clip [2, 3, 1, 16, 16])"),
        "{note}"
    );
    assert!(!note.contains("model"), "{note}");
    assert_eq!(
        succeed(dir, "train other --resume run --epochs 6 -q").err,
        "",
        "now it is this one"
    );
}

#[test]
fn other_data_are_named_and_what_was_held_out_stays_so() {
    let dir = workplace();
    let dir = dir.path();
    fs::create_dir(dir.join("clips")).unwrap();
    let film = |name: &str, n| write_film(&dir.join("clips").join(name), 24, 24, n);
    for name in ["b.y4m", "c.y4m", "d.y4m"] {
        film(name, 4);
    }
    succeed(dir, &format!("train net --data clips --out run {HOW}"));
    assert_eq!(succeed(dir, "train net --resume run -q").err, "");
    // By the rule for new runs, the last film would be held out now: this one.
    film("e.y4m", 4);
    film("c.y4m", 5);
    fs::remove_file(dir.join("clips/b.y4m")).unwrap();
    // From another folder, too.
    let elsewhere = dir.join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let done = succeed(&elsewhere, "train ../net --resume ../run --epochs 4");
    let expected =
        "note: the run began with other data: 1 new (e.y4m), 1 gone (b.y4m), 1 changed (c.y4m)";
    assert_eq!(done.said("note: "), [expected], "{}", done.err);
    let split = "2 clips (9 frames) to train, 1 clips (4 frames) held out; held out are the clips that were";
    assert!(done.err.contains(split), "{}", done.err);
    let state = tensors::read(&dir.join("run/state.safetensors")).unwrap();
    let clips: serde_json::Value = serde_json::from_str(&state.metadata["clips"]).unwrap();
    let held: Vec<_> = clips
        .as_array()
        .unwrap()
        .iter()
        .filter(|c| c["held_out"] == true)
        .collect();
    assert!(held.len() == 1 && held[0]["name"] == "d.y4m", "{clips}");
    // A clip that nobody can read any more is gone, and named; with --strict it is an error.
    fs::write(dir.join("clips/d.y4m"), "gone").unwrap();
    let done = run(dir, "train net --resume run --strict");
    check("train --strict", &done, 1, &["clips/d.y4m"]);
    let done = succeed(dir, "train net --resume run");
    for part in ["1 gone (d.y4m)", "left out: ", "clips/d.y4m: "] {
        assert!(done.err.contains(part), "{part}: {}", done.err);
    }
}
