//! What an output may replace: never what is read, whatever its name; never a run or pictures, unless the user says so.

use super::common::*;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Stdio};
use vsr_runtime::tensors::{self, View};

/// As `refuse`, and every byte is as it was.
fn refuse_whole(dir: &Path, words: &str, parts: &[&str]) {
    let before = contents(dir);
    refuse(dir, words, 1, parts);
    assert!(contents(dir) == before, "vsr-run {words} changes something");
}

#[cfg(unix)]
#[test]
fn a_film_never_replaces_its_source() {
    let dir = workplace();
    let dir = dir.path();
    fs::create_dir(dir.join("sub")).unwrap();
    for name in ["in.mp4", "in.y4m", "in.png"] {
        write_film(&dir.join(name), 16, 16, 1);
        let ending = name.split_once('.').unwrap().1;
        fs::hard_link(dir.join(name), dir.join(format!("sub/hard.{ending}"))).unwrap();
        std::os::unix::fs::symlink(dir.join(name), dir.join(format!("sub/soft.{ending}"))).unwrap();
        let absolute = dir.join(name).display().to_string();
        for output in [
            name.to_string(),
            format!("./{name}"),
            format!("sub/../{name}"),
            absolute,
            format!("sub/hard.{ending}"),
            format!("sub/soft.{ending}"),
        ] {
            refuse_whole(
                dir,
                &format!("upscale net {name} -o {output}"),
                &["which is read"],
            );
            refuse_whole(
                dir,
                &format!("upscale net {output} -o {name}"),
                &["which is read"],
            );
        }
    }
    // What is read beside the film.
    succeed(dir, "train net --out run --epochs 1 --steps 1 --valid 1 -q");
    fs::copy(dir.join("run/best.safetensors"), dir.join("weights.y4m")).unwrap();
    refuse_whole(
        dir,
        "upscale net in.mp4 --weights weights.y4m -o weights.y4m",
        &["which is read"],
    );
    refuse_whole(dir, "upscale net in.mp4 -o net", &["which is read"]);
    refuse_whole(dir, "upscale net in.mp4 -o net/%d.png", &["which is read"]);
}

#[cfg(unix)]
#[test]
fn standard_streams_are_inputs_too() {
    let dir = workplace();
    let dir = dir.path();
    write_film(&dir.join("in.y4m"), 16, 16, 2);
    let before = bytes(dir.join("in.y4m"));
    let mut from = command(dir, "upscale net - -o in.y4m");
    from.stdin(fs::File::open(dir.join("in.y4m")).unwrap());
    let mut to = command(dir, "upscale net in.y4m -o -");
    to.stdout(
        fs::File::options()
            .append(true)
            .open(dir.join("in.y4m"))
            .unwrap(),
    );
    for command in [&mut from, &mut to] {
        let done: Done = command.output().unwrap().into();
        check(
            "a standard stream",
            &done,
            1,
            &["standard ", "which is read"],
        );
        assert!(bytes(dir.join("in.y4m")) == before);
    }
}

#[test]
fn pictures_never_replace_their_sources() {
    let dir = workplace();
    let dir = dir.path();
    fs::create_dir(dir.join("shot")).unwrap();
    write_film(&dir.join("shot/%06d.png"), 16, 16, 3);
    for words in [
        "shot -o shot",
        "shot -o shot/",
        "shot -o shot/../shot --overwrite",
        "shot -o shot/big%d.png",
        "shot -o shot/000002.png --limit 1",
        "shot/%06d.png -o shot/%06d.png --overwrite",
        "shot/%06d.png -o shot --overwrite",
        "shot/000002.png -o shot --overwrite",
        "shot/000002.png -o shot/000002.png",
    ] {
        refuse_whole(dir, &format!("upscale net {words}"), &["which is read"]);
    }
    // Others of the same folder are no sources.
    succeed(dir, "upscale net shot/%06d.png -o shot/big%d.png -q");
    assert_eq!(names(&dir.join("shot")).len(), 6);
}

/// `%` is a number's place in the names of pictures, and there alone.
#[test]
fn a_film_may_have_percent_in_its_name() {
    let dir = workplace();
    let dir = dir.path();
    fs::create_dir(dir.join("out")).unwrap();
    write_film(&dir.join("in.y4m"), 16, 16, 3);
    for name in ["100%done.mp4", "100%done.y4m", "%d.mp4", "%05d.y4m"] {
        succeed(dir, &format!("upscale net in.y4m -o out/{name} -q"));
        assert_eq!(names(&dir.join("out")), [name]);
        assert_eq!(film(&dir.join("out").join(name)).len(), 3);
        // It is read under that name, and replaced under it.
        succeed(dir, &format!("upscale net out/{name} -o again.y4m -q"));
        let done = succeed(dir, &format!("upscale net in.y4m -o out/{name}"));
        let said = format!("note: out/{name} is there, and is replaced");
        assert!(done.err.contains(&said), "{}", done.err);
        fs::remove_file(dir.join("out").join(name)).unwrap();
    }
    let words = "upscale net in.y4m -o out/100%-%02d.png -q";
    succeed(dir, words);
    let pictures = ["100%-01.png", "100%-02.png", "100%-03.png"];
    assert_eq!(names(&dir.join("out")), pictures);
    let parts = ["neither .png nor .jpg"];
    refuse_whole(dir, "upscale net in.y4m -o out/%05d", &parts);
    refuse_whole(
        dir,
        "upscale net in.y4m -o out/100%.png",
        &["out/100%.png: is one picture"],
    );
}

#[test]
fn older_pictures_go_only_when_the_user_says_so() {
    let dir = workplace();
    let dir = dir.path();
    write_film(&dir.join("long.y4m"), 16, 16, 5);
    write_film(&dir.join("short.y4m"), 16, 16, 2);
    succeed(dir, "upscale net long.y4m -o shot -q");
    fs::write(dir.join("shot/notes.txt"), "keep").unwrap();
    let parts = ["holds 5 such pictures", "--overwrite"];
    refuse_whole(dir, "upscale net short.y4m -o shot", &parts);
    refuse_whole(dir, "upscale net short.y4m -o shot/%06d.png", &parts);
    let done = succeed(dir, "upscale net short.y4m -o shot --overwrite");
    assert!(
        done.err
            .contains("note: the 5 pictures in shot are replaced"),
        "{}",
        done.err
    );
    let left = ["000001.png", "000002.png", "notes.txt"];
    assert_eq!(names(&dir.join("shot")), left);
    // A single file is replaced as by any other program, and it is said.
    succeed(dir, "upscale net short.y4m -o a.y4m -q");
    let done = succeed(dir, "upscale net short.y4m -o a.y4m");
    assert!(
        done.err.contains("note: a.y4m is there, and is replaced"),
        "{}",
        done.err
    );
}

#[test]
fn tensors_never_replace_what_they_come_from() {
    let dir = workplace();
    let dir = dir.path();
    let x = vec![0.5; 3 * 48 * 48];
    let view = View {
        name: "x",
        shape: &[1, 3, 48, 48],
        data: &x,
    };
    tensors::write(&dir.join("x.safetensors"), &[view], &BTreeMap::new()).unwrap();
    let exec = "exec net --inputs x.safetensors";
    succeed(
        dir,
        &format!("{exec} -o y.safetensors --save-weights w.safetensors"),
    );
    for file in vsr_artifact::files(&dir.join("net")) {
        let words = format!("{exec} -o {}", file.display());
        refuse_whole(dir, &words, &["which is read"]);
    }
    for (more, part) in [
        ("-o x.safetensors", "which is read"),
        ("-o ./x.safetensors", "which is read"),
        ("-o w.safetensors --weights w.safetensors", "which is read"),
        (
            "-o z --weights w.safetensors --save-weights w.safetensors",
            "which is read",
        ),
        ("-o z --save-weights x.safetensors", "which is read"),
        ("-o z --save-weights ./z", "both write"),
        (
            "-o y.safetensors --save-weights ./y.safetensors",
            "both write",
        ),
    ] {
        refuse_whole(dir, &format!("{exec} {more}"), &[part]);
    }
    let done = succeed(dir, &format!("{exec} -o y.safetensors"));
    assert!(
        done.err.contains("y.safetensors is there, and is replaced"),
        "{}",
        done.err
    );
}

#[test]
fn a_run_never_replaces_another_or_what_it_reads() {
    let dir = workplace();
    let dir = dir.path();
    let short = "--epochs 1 --steps 1 --valid 1";
    succeed(dir, &format!("train net --out run {short} -q"));
    let parts = ["run holds another run", "--resume run", "--overwrite"];
    refuse_whole(dir, &format!("train net --out run {short}"), &parts);
    // Files of a run, and no run.
    for name in [
        "best.safetensors",
        "last.safetensors",
        "metrics.jsonl",
        "plot.svg",
        "preview.png",
    ] {
        let folder = dir.join("old");
        fs::create_dir_all(&folder).unwrap();
        fs::copy(dir.join("run").join(name), folder.join(name)).unwrap();
        fs::write(folder.join("notes.txt"), "keep").unwrap();
        refuse_whole(
            dir,
            &format!("train net --out old {short}"),
            &[name, "--overwrite"],
        );
        let done = succeed(
            dir,
            &format!("train net --out old {short} --overwrite --seed 5"),
        );
        assert!(
            done.err.contains(&format!("replacing {name}")),
            "{}",
            done.err
        );
        assert_eq!(names(&folder).len(), 7, "{:?}", names(&folder));
        fs::remove_dir_all(folder).unwrap();
    }
    // Not even with --overwrite: what is read.
    let weights = "--weights run/best.safetensors";
    refuse_whole(
        dir,
        &format!("train net --out run --overwrite {weights} {short}"),
        &["which is read"],
    );
    fs::create_dir(dir.join("clips")).unwrap();
    for name in ["a", "b"] {
        write_film(&dir.join(format!("clips/{name}.y4m")), 24, 24, 3);
    }
    refuse_whole(
        dir,
        &format!("train net --out clips --data clips {short}"),
        &["which is read"],
    );
    refuse_whole(
        dir,
        &format!("train net --out net {short}"),
        &["which is read"],
    );
    let other = bytes(dir.join("run/best.safetensors"));
    succeed(
        dir,
        &format!("train net --out run --overwrite {short} --seed 9 -q"),
    );
    assert!(bytes(dir.join("run/best.safetensors")) != other);
}

/// Waits for frames on standard input, with its hidden folder beside `shot`: whatever was checked, was checked.
fn begin_pictures(dir: &Path, words: &str) -> (Child, Vec<u8>) {
    write_film(&dir.join("in.y4m"), 16, 16, 3);
    let film = bytes(dir.join("in.y4m"));
    let mut command = command(dir, &format!("upscale net - -o shot {words}"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn().expect("it starts");
    let head = film.iter().position(|b| *b == b'\n').expect("a line") + 1;
    let to = child.stdin.as_mut().expect("a pipe");
    to.write_all(&film[..head]).expect("it reads");
    wait_for("a hidden folder", || {
        names(dir).iter().any(|n| n.contains(".part-"))
    });
    (child, film[head..].to_vec())
}

/// What another program puts there while pictures are made is not replaced unless the user says so.
#[test]
fn pictures_that_come_meanwhile_stay() {
    let dir = workplace();
    let dir = dir.path();
    for (has_folder, words, name) in [
        (false, "", "000002.png"),
        (true, "", "000002.png"),
        // Behind the last new one: they would look like one sequence.
        (true, "", "000009.png"),
        (true, "--overwrite", "000002.png"),
        (true, "--overwrite", "000009.png"),
        (true, "", "notes.txt"),
    ] {
        if has_folder {
            fs::create_dir(dir.join("shot")).unwrap();
        }
        let (mut child, frames) = begin_pictures(dir, words);
        fs::create_dir_all(dir.join("shot")).unwrap();
        fs::write(dir.join("shot").join(name), "theirs").unwrap();
        let mut to = child.stdin.take().expect("a pipe");
        to.write_all(&frames).expect("it reads");
        drop(to);
        let done: Done = child.wait_with_output().expect("it ends").into();
        let there = names(&dir.join("shot"));
        let all = ["000001.png", "000002.png", "000003.png"];
        match (words, name) {
            (_, "notes.txt") => assert_eq!(there.len(), 4, "{}", done.err),
            ("", _) => {
                let parts = ["shot: pictures of such names came", "--overwrite"];
                check(name, &done, 1, &parts);
                assert_eq!(there, [name]);
                assert_eq!(bytes(dir.join("shot").join(name)), b"theirs");
            }
            _ => assert_eq!(there, all, "{}", done.err),
        }
        assert!(names(dir).iter().all(|n| !n.contains(".part-")));
        fs::remove_dir_all(dir.join("shot")).unwrap();
    }
}

/// A folder in which nobody makes files, not even the system's owner: refused for its rights, or as read-only.
#[cfg(target_os = "linux")]
#[test]
fn a_place_where_nobody_may_write_is_the_users_error() {
    if !Path::new("/sys/kernel").is_dir() {
        println!("skipped: no /sys");
        return;
    }
    let dir = workplace();
    let dir = dir.path();
    write_film(&dir.join("in.y4m"), 16, 16, 1);
    for (words, place) in [
        ("upscale net in.y4m -o", "/sys/vsr.y4m"),
        ("upscale net in.y4m -o", "/sys/vsr"),
        ("train net --out", "/sys/vsr"),
    ] {
        let parts = ["cannot write", place];
        refuse(dir, &format!("{words} {place}"), 1, &parts);
    }
}

/// Usage errors are the user's, results and help are not errors, and the codes are said where options are.
#[test]
fn exit_codes_are_those_that_help_shows() {
    let dir = workplace();
    let dir = dir.path();
    for words in [
        "--help",
        "upscale --help",
        "train --help",
        "eval -h",
        "exec --help",
        "bench --help",
        "info --help",
    ] {
        let done = succeed(dir, words);
        assert!(
            done.out.contains(vsr_artifact::EXIT_CODES),
            "{words}\n{}",
            done.out
        );
    }
    assert!(succeed(dir, "upscale --help").out.contains("Example"));
    succeed(dir, "--version");
    for words in [
        "",
        "fly",
        "train",
        "info",
        "info net --nowhere",
        "train net --epochs -1",
        "train net --overwrite",
    ] {
        assert_eq!(run(dir, words).code, Some(1), "{words}");
    }
}

#[test]
fn what_a_compiled_network_is_trusted_with_is_said() {
    let dir = workplace();
    let said = "the hashes find damage, not malice";
    for words in ["info net", "info net --json"] {
        let done = succeed(dir.path(), words);
        assert!(done.out.contains(said), "{}", done.out);
    }
}
