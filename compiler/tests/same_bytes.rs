//! The same text gives the same artifact, wherever it lies and however it is named; nothing in it tells of the machine.

#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use crate::folder::files;
use crate::program;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const NET: &str = r##"use Up, edges from "parts/up.vsr"
use twice from "../shared/twice.vsr"
use F from "parts/deep/f.vsr"

frozen edge = Edge() from "weights/edge.safetensors"
frozen other = Edge() from "weights/more/edge.safetensors"
frozen none? = Edge() from "weights/none.safetensors"

block Edge()(x: [B, C]) -> [B, C] = x |> Linear(C, bias=false) @last

model Net()(x: [B, C]) -> [B, C] {
  y = if none { none(x) } else { x }
  y |> Up() @up |> twice |> edge |> other |> F() @f |> edges
}

profile case { B = 1  C = 2 }
"##;
const UP: &str = r##"use inner from "deep/f.vsr"

block Up()(x: [B, C]) -> [B, C] = x |> Linear(C) @lift |> inner

block Edge()(x: [B, C]) -> [B, C] = x |> Linear(C, bias=false) @last

op edges(x: [...S]) -> [...S] = 2*x
"##;
const F: &str = r##"frozen own = Own() from "own.safetensors"

block Own()(x: [B, C]) -> [B, C] = x |> Linear(C, bias=false) @last

block F()(x: [B, C]) -> [B, C] = own(x)

op inner(x: [...S]) -> [...S] = 3*x
"##;

/// A weight file with one matrix.
fn weights(path: &Path) {
    let header = r##"{"last.weight":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}}"##;
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend([0; 16]);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// The project in a folder; the text's path.
fn project(at: &Path) -> PathBuf {
    for (name, text) in [
        ("net/net.vsr", NET),
        ("net/parts/up.vsr", UP),
        ("net/parts/deep/f.vsr", F),
        ("shared/twice.vsr", "op twice(x: [...S]) -> [...S] = 2*x\n"),
    ] {
        let path = at.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    weights(&at.join("net/weights/edge.safetensors"));
    weights(&at.join("net/weights/more/edge.safetensors"));
    weights(&at.join("net/parts/deep/own.safetensors"));
    at.join("net/net.vsr")
}

fn compile(at: &Path, text: &str, out: &Path) {
    let mut command = program::command(at, "compile -q -o");
    let done = command.arg(out).arg(text).output().unwrap();
    let err = program::text(&done.stderr);
    assert!(done.status.success(), "{err}");
}

#[test]
fn where_a_text_lies_changes_no_byte() {
    let dir = tempfile::tempdir().unwrap();
    let dir = fs::canonicalize(dir.path()).unwrap();
    let (one, two) = (dir.join("place-one"), dir.join("a/place-two"));
    let paths = [project(&one), project(&two)];
    fs::create_dir(dir.join("elsewhere")).unwrap();
    let absolute = |n: usize| paths[n].display().to_string();
    let ways = [
        (one.clone(), "net/net.vsr".to_string()),
        (one.join("net"), "net.vsr".to_string()),
        (two.join("net/parts"), "../net.vsr".to_string()),
        (
            dir.join("elsewhere"),
            "../place-one/net/./net.vsr".to_string(),
        ),
        (dir.join("elsewhere"), absolute(0)),
        (PathBuf::from("/"), absolute(1)),
    ];
    let mut first: Option<BTreeMap<PathBuf, Vec<u8>>> = None;
    for (n, (at, text)) in ways.iter().enumerate() {
        let out = dir.join(format!("out{n}"));
        compile(at, text, &out);
        let mut made = files(&out);
        // Links lead to where the weights lie on this machine.
        made.retain(|name, _| !out.join(name).is_symlink());
        assert!(
            made == *first.get_or_insert(made.clone()),
            "{text} in {}",
            at.display()
        );
    }
    let made = first.unwrap();
    let machine = dir.display().to_string();
    for (name, bytes) in &made {
        for word in [machine.as_str(), "place-one", "place-two"] {
            let tells = bytes
                .windows(word.len())
                .any(|part| part == word.as_bytes());
            assert!(!tells, "{} tells `{word}`", name.display());
        }
    }
    let names: Vec<String> = made.keys().map(|name| name.display().to_string()).collect();
    for name in [
        "source/net.vsr",
        "source/parts/deep/f.vsr",
        "source/up/shared/twice.vsr",
        "source/stdlib/conv.vsr",
    ] {
        assert!(
            names.iter().any(|n| n.ends_with(name)),
            "{name} in {names:?}"
        );
    }
}

/// The runtime looks for them beside the manifest.
#[test]
fn frozen_weights_are_found_beside_the_artifact() {
    let dir = tempfile::tempdir().unwrap();
    let text = project(dir.path());
    let out = dir.path().join("out");
    compile(dir.path(), text.to_str().unwrap(), &out);
    let artifact = vsr_artifact::read(&out).unwrap();
    let frozen = &artifact.manifest.frozen;
    let found: Vec<PathBuf> = frozen
        .files
        .iter()
        .map(|name| fs::canonicalize(out.join(Path::new(name).file_name().unwrap())).unwrap())
        .collect();
    let want = [
        "net/weights/edge.safetensors",
        "net/weights/more/edge.safetensors",
        "net/parts/deep/own.safetensors",
    ];
    let want = want.map(|name| fs::canonicalize(dir.path().join(name)).unwrap());
    assert_eq!(found, want);
    assert_eq!(frozen.absent[0].file, "weights/none.safetensors");
    let keys: Vec<&str> = frozen
        .tensors
        .iter()
        .map(|t| t.stored.weight.as_str())
        .collect();
    assert_eq!(
        keys,
        [
            "edge:last.weight",
            "other:last.weight",
            "parts/deep/f.vsr:own:last.weight"
        ]
    );
}

/// A user's own file may be called as one of the library is.
#[test]
fn no_text_takes_the_place_of_another() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    fs::create_dir(at.join("stdlib")).unwrap();
    fs::write(
        at.join("stdlib/conv.vsr"),
        "op twice(x: [N]) -> [N] = 2*x\n",
    )
    .unwrap();
    let text = "use twice from \"stdlib/conv.vsr\"\n\nmodel M()(x: [N]) -> [N] = twice(x)\n\nprofile p { N = 2 }\n";
    fs::write(at.join("m.vsr"), text).unwrap();
    compile(at, "m.vsr", &at.join("out"));
    let sources = vsr_artifact::read(&at.join("out")).unwrap().sources;
    let of = |name: &str| sources.iter().filter(|(n, _)| n == name).count();
    assert_eq!((of("stdlib/conv.vsr"), of("stdlib/conv-2.vsr")), (1, 1));
}
