//! Whatever a text is, or names: folders, pipes, devices, files of any length. Each ends with one error. And what a check
//! takes compiles: both say the same. With the program itself.

#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use crate::program;
use crate::program::{assert_refused, command, text};
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Runs to the end. One that waits for ever (for the other end of a pipe, say) is ended after a minute, since a test that
/// hangs names no fault. No end comes near to that, however busy the machine: nothing is measured.
fn vsrc(dir: &Path, words: &str) -> Output {
    let mut command = command(dir, words);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > Duration::from_secs(60) {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("vsrc {words} waits for ever");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    child.wait_with_output().unwrap()
}

/// A folder with a pipe, a folder, an endless file and one of ten gigabytes that takes no room.
fn workplace() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir(at("folder")).unwrap();
    let made = Command::new("mkfifo").arg(at("pipe")).status().unwrap();
    assert!(made.success());
    let sparse = fs::File::create(at("sparse")).unwrap();
    sparse.set_len(10 << 30).unwrap();
    std::os::unix::fs::symlink("/dev/zero", at("zeros")).unwrap();
    dir
}

const STRANGE: [(&str, &str); 5] = [
    ("pipe", "it is no regular file"),
    ("zeros", "it is no regular file"),
    ("/dev/stdin", "it is no regular file"),
    ("folder", "it is a folder"),
    ("sparse", "the file is longer than 4 MiB"),
];

#[test]
fn a_text_uses_texts_alone() {
    let dir = workplace();
    for (path, why) in STRANGE {
        let text = format!(
            "use f from \"{path}\"\n\nmodel M()(x: [N]) -> [N] = f(x)\n\nprofile p {{ N = 4 }}\n"
        );
        fs::write(dir.path().join("m.vsr"), text).unwrap();
        for command in ["check", "compile", "report"] {
            let words = format!("{command} m.vsr");
            let done = vsrc(dir.path(), &words);
            assert_refused(&words, &done, 1, &["m.vsr:1:12", path, why]);
        }
    }
}

/// What the command line names may be a pipe: it says `cat net.vsr | vsrc check /dev/stdin`.
#[test]
fn what_is_no_text_is_refused() {
    let dir = workplace();
    let dir = dir.path();
    for (path, why) in [
        ("folder", "it is a folder"),
        ("sparse", "longer than 4 MiB"),
        ("zeros", "longer than 4 MiB"),
    ] {
        for command in ["check", "compile", "compile --emit ast"] {
            let words = format!("{command} {path}");
            assert_refused(&words, &vsrc(dir, &words), 1, &[path, why]);
        }
    }
    for (path, why) in STRANGE {
        let words = format!("fmt {path}");
        assert_refused(&words, &vsrc(dir, &words), 1, &[why]);
    }
    let net = "model M()(x: [N]) -> [N] = 2*x\n\nprofile p { N = 4 }\n";
    fs::write(dir.join("net.vsr"), net).unwrap();
    for (path, why) in STRANGE {
        let words = format!("report net.vsr --roofs {path}");
        assert_refused(&words, &vsrc(dir, &words), 1, &[why]);
    }
    let script = "cat net.vsr | \"$0\" check /dev/stdin && cat net.vsr > pipe & \"$0\" check pipe";
    let mut piped = Command::new("sh");
    piped
        .args(["-c", script, program::PROGRAM])
        .current_dir(dir);
    let done = piped.output().unwrap();
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    // Pages are made of a folder's texts alone.
    fs::rename(dir.join("pipe"), dir.join("folder/pipe.vsr")).unwrap();
    fs::rename(dir.join("net.vsr"), dir.join("folder/net.vsr")).unwrap();
    assert_eq!(vsrc(dir, "doc folder").status.code(), Some(0));
}

#[test]
fn weights_come_from_files_alone() {
    let dir = workplace();
    for (path, why) in [
        ("pipe", "pipe is missing"),
        ("zeros", "zeros is missing"),
        ("folder", "folder is missing"),
        (
            "sparse",
            "sparse is neither safetensors nor a file of `torch.save`",
        ),
    ] {
        let text = format!(
            "frozen f = F() from \"{path}\"\n\nblock F()(x: [B, N]) -> [B, N] = x |> Linear(N)\n\n\
             model M()(x: [B, N]) -> [B, N] = f(x)\n\nprofile p {{ B = 1  N = 4 }}\n"
        );
        fs::write(dir.path().join("m.vsr"), text).unwrap();
        let done = vsrc(dir.path(), "check m.vsr");
        assert_refused("check m.vsr", &done, 1, &["error[weight]", why]);
    }
}

/// Extents that no machine has room for are told with the tensor's name, before anything is planned.
#[test]
fn what_cannot_be_allocated_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let stored = "32 GiB are the most for one tensor that is kept";
    let computed = "256 GiB are the most for one tensor that is computed on the way";
    let sizes = "N = 3037000500  M = 3037000500";
    let cases: &[(&str, &str, &str, &str)] = &[
        (
            "model M()(x: [N, M]) -> [N, M] = x",
            sizes,
            "`x` of [3037000500, 3037000500] is too large",
            stored,
        ),
        (
            "model M()(x: [N]) -> [N] = x",
            "N = 9223372036854775807",
            "`x` of [9223372036854775807] is too large",
            stored,
        ),
        (
            "model M()(x: [N, M]) -> [N, M] = x",
            "N = 100000  M = 100000",
            "`x` of [100000, 100000] is too large: 37 GiB",
            stored,
        ),
        (
            "model M()(x: [N]) -> [N] {\n  param w: [9000000, 9000000]\n  y[n] = x[n]*w[0, 0]\n}",
            "N = 2",
            "`w` of [9000000, 9000000]",
            stored,
        ),
        (
            "model M()(x: [N]) -> [N] {\n  state w: [9000000, 9000000] = 0\n  y[n] = x[n]*w[0, 0]\n}",
            "N = 2",
            "`w` of [9000000, 9000000]",
            stored,
        ),
        (
            "model M()(x: [N]) -> [N, N] { y[i, j] = x[i]*x[j] }",
            "N = 100000",
            "`output` of [100000, 100000]",
            stored,
        ),
        (
            "model M()(x: [N]) -> [N] {\n  y[i, j, k] = x[i]*x[j]*x[k]\n  y[:, 0, 0]\n}",
            "N = 9000000",
            "`y` of [9000000, 9000000, 9000000]",
            computed,
        ),
        (
            "model M()(x: [N]) -> [N] = x + rand([9000000, 9000000])[0, 0]",
            "N = 2",
            "a tensor of [9000000, 9000000]",
            computed,
        ),
        (
            "model M()(x: [N]) -> [N] = x + full([9000000, 9000000], 1)[0, 0]",
            "N = 2",
            "a tensor of [9000000, 9000000]",
            computed,
        ),
        (
            "model M()(x: [N]) -> [N] = stack([x for i in 0..1000], axis=0)[0]",
            "N = 1000000000",
            "`stack` of [1000, 1000000000]",
            computed,
        ),
        (
            "model M()(x: [B, N]) = x |> Linear(900000000)",
            "B = 1  N = 900000000",
            "`weight` of [900000000, 900000000]",
            stored,
        ),
        (
            "op f(x: [N]) -> [N] { y[i] = x[i*9000000000000000] else 0 }\n\nmodel M()(x: [N]) -> [N] = f(x)",
            "N = 1000000",
            "this index goes as far as 9e21",
            "",
        ),
        (
            "op f(x: [N]) -> [N] { y[i] = x[i + 9223372036854775807] else 0 }\n\nmodel M()(x: [N]) -> [N] = f(x)",
            "N = 100",
            "this index goes as far as 9e18",
            "",
        ),
        (
            "model M()(x: [N]) = split(x, [4, 9223372036854775807, 9223372036854775807], axis=0)[0]",
            "N = 4",
            "`split` of axis 0",
            "",
        ),
    ];
    for (model, sizes, says, help) in cases {
        fs::write(
            dir.join("m.vsr"),
            format!("{model}\n\nprofile p {{ {sizes} }}\n"),
        )
        .unwrap();
        for command in ["check", "compile"] {
            let words = format!("{command} m.vsr");
            let done = vsrc(dir, &words);
            assert_refused(&words, &done, 1, &["m.vsr:", says, help]);
        }
    }
    // Parts of an axis are no tensor together.
    let parts = "model M()(x: [N]) -> [2] = split(x, [2 for i in 0..200], axis=0)[7]";
    fs::write(
        dir.join("m.vsr"),
        format!("{parts}\n\nprofile p {{ N = 400 }}\n"),
    )
    .unwrap();
    assert_eq!(vsrc(dir, "check m.vsr").status.code(), Some(0));
}

/// The sentences of a list of problems.
fn sentences(done: &Output) -> Vec<String> {
    let list: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    let list = list.as_array().unwrap().iter();
    list.map(|one| one["message"].as_str().unwrap().to_string())
        .collect()
}

/// What a check takes compiles; what it does not take, compiling refuses with the same words.
#[test]
fn a_check_says_what_compiling_says() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let header = r#"{"fc.weight":{"dtype":"F32","shape":[4,4],"data_offsets":[0,64]},"odd":{"dtype":"F32","shape":[1],"data_offsets":[64,68]}}"#;
    let mut weights = (header.len() as u64).to_le_bytes().to_vec();
    weights.extend(header.as_bytes());
    weights.extend([0; 68]);
    fs::write(dir.join("w.safetensors"), weights).unwrap();
    let net = "model A()(x: [N]) -> [N] = 2*x\n";
    let profile = "\nprofile p { N = 4 }\n";
    let train = |name: &str| {
        format!(
            "\ntrain {name}() = A() {{\n  epochs = 1\n  steps = 1\n  optimizer = Sgd()\n  rate = 1\n  data x: [N] = clips(\"d\")\n  loss = mean({name}(x))\n}}\n"
        )
    };
    let frozen = "frozen f = F() from \"w.safetensors\"\n\nblock F()(x: [B, N]) -> [B, N] = x |> Linear(N, bias=false) @fc\n\nmodel A()(x: [B, N]) -> [B, N] = f(x)\n\nprofile p { B = 1  N = 4 }\n";
    let texts = [
        (format!("{net}{profile}"), ""),
        (
            format!("{net}model B()(x: [N]) -> [N] = 3*x\n{profile}"),
            "m.vsr has several to choose from: A, B",
        ),
        (
            format!("{net}model B()(x: [N]) -> [N] = x |> A()\n{profile}"),
            "",
        ),
        (
            format!(
                "model A()(x: [N]) -> [N] = x |> Linear(N)\n{}{}\nprofile train {{ N = 4 }}\n",
                train("one"),
                train("two")
            ),
            "m.vsr has several to choose from: one, two",
        ),
        (
            format!("{net}\nprofile p {{ N = 4  float = bf16 }}\n"),
            "profile p is for bf16, which the CPU does not do yet",
        ),
        (format!("{net}\nprofile p {{ N = 4  float = f32 }}\n"), ""),
        (
            format!("{net}{profile}\nprofile q {{ N = 4  float = f16 }}\n"),
            "profile q is for f16, which the CPU does not do yet",
        ),
        (
            format!("{net}\nprofile p {{ N = 500000000  memory = 1 }}\n"),
            "profile p needs 3.725 GiB, and its `memory` is 1",
        ),
        (format!("{net}\nprofile p {{ N = 4  memory = 0.5 }}\n"), ""),
        (frozen.to_string(), "`odd` of w.safetensors is never read"),
    ];
    for (text, says) in &texts {
        fs::write(dir.join("m.vsr"), text).unwrap();
        let check = vsrc(dir, "check --json m.vsr");
        let compile = vsrc(dir, "compile --json m.vsr");
        let code = i32::from(!says.is_empty());
        assert_eq!(
            (check.status.code(), compile.status.code()),
            (Some(code), Some(code)),
            "{text}"
        );
        if code == 1 {
            assert_eq!(sentences(&check), [*says], "{text}");
            assert_eq!(sentences(&compile), [*says], "{text}");
        }
    }
    // One that is named is looked at alone.
    fs::write(dir.join("m.vsr"), &texts[1].0).unwrap();
    for (words, code) in [
        ("check m.vsr --name A", 0),
        ("check m.vsr --name A --name B", 0),
        ("check m.vsr --name C", 1),
        ("compile m.vsr A", 0),
        ("compile m.vsr C", 1),
    ] {
        assert_eq!(vsrc(dir, words).status.code(), Some(code), "vsrc {words}");
    }
    let said = String::from_utf8(vsrc(dir, "check m.vsr").stderr).unwrap();
    assert!(
        said.contains("help: compiling takes one of them: `vsrc compile FILE NAME`"),
        "{said}"
    );
}
