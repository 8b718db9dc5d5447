//! `vsrc report`, `graph` and `doc` as one calls them: exit codes, files, and what goes to which stream.

#![allow(clippy::unwrap_used)]

use crate::program;
use crate::program::text;
use std::path::Path;
use std::process::{Command, Output};

/// The program in the repository.
fn command(words: &str) -> Command {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let mut command = program::command(Path::new(root), words);
    // No cache folder: the roofs of whoever runs the tests shall not matter.
    command.env("XDG_CACHE_HOME", "/nonexistent");
    command
}

fn succeed(mut command: Command) -> Output {
    let out = command.output().unwrap();
    let said = text(&out.stderr);
    assert_eq!(out.status.code(), Some(0), "{command:?}: {said}");
    out
}

/// One error that says this, and no result.
fn error(mut command: Command, says: &str) {
    let out = command.output().unwrap();
    program::assert_refused(&format!("{command:?}"), &out, 1, &[says]);
    assert!(out.stdout.is_empty(), "{command:?}");
}

#[test]
fn report_prints_json_on_standard_output() {
    let words = "report models/vdsr.vsr --profile picture --json --set H=64 --set W=64";
    let out = succeed(command(words));
    let json: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(json["parameters"], 664_704);
    assert_eq!(json["roof"]["name"], "laptop");
    assert!(json["roof"]["file"].is_null());
}

#[test]
fn report_takes_roofs_from_a_file_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("roofs.json");
    let roofs = vsr_artifact::roofs::Roofs {
        machine: "an abacus".into(),
        ..vsr_artifact::roofs::named("desktop").unwrap()
    };
    std::fs::write(&file, roofs.text()).unwrap();
    let with_file = |words: &str| {
        let mut command = command(&format!("report models/vdsr.vsr {words} --roofs"));
        command.arg(&file);
        command
    };
    let said = text(&succeed(with_file("--profile picture --threads 2")).stdout);
    assert!(
        said.contains("256 GFLOP/s") && said.contains("measured on an abacus"),
        "{said}"
    );
    let says = "there is no roof for 99 threads";
    error(with_file("--threads 99"), says);
    let says = "named roofs: laptop, desktop";
    error(command("report models/vdsr.vsr --roofs abacus"), says);
    std::fs::write(&file, "{}").unwrap();
    error(with_file(""), "vsr-run bench --roofs");
}

#[test]
fn errors_have_exit_code_1() {
    let dir = tempfile::tempdir().unwrap();
    for (words, says) in [
        ("report none.vsr", "cannot read none.vsr"),
        ("report models/vdsr.vsr --profile pictur", "pictur"),
        (
            "graph models/vdsr.vsr -o picture.bmp",
            "End the name in .svg, .html or .dot",
        ),
        ("graph models/vdsr.vsr -o x.svg --set depht=2", "depht"),
    ] {
        error(command(words), says);
    }
    let mut doc = command("doc none.vsr -o");
    doc.arg(dir.path().join("no-doc"));
    error(doc, "cannot read none.vsr");
}

#[test]
fn graph_writes_what_the_name_says_or_to_a_pipe() {
    let dir = tempfile::tempdir().unwrap();
    for (name, starts) in [
        ("a.svg", "<svg"),
        ("b.html", "<!DOCTYPE html>"),
        ("c.dot", "digraph"),
    ] {
        let path = dir.path().join("new").join(name);
        let mut graph = command("graph models/vdsr.vsr -o");
        graph.arg(&path);
        succeed(graph);
        assert!(std::fs::read_to_string(&path).unwrap().starts_with(starts));
    }
    let out = succeed(command("graph models/vdsr.vsr -o - --format svg"));
    assert!(out.stdout.starts_with(b"<svg") && out.stdout.ends_with(b"</svg>\n"));
}

#[test]
fn doc_writes_pages() {
    let dir = tempfile::tempdir().unwrap();
    let pages = dir.path().join("doc");
    let mut doc = command("doc models/vdsr.vsr -o");
    doc.arg(&pages);
    succeed(doc);
    for page in [
        "index.html",
        "style.css",
        "stdlib/conv.html",
        "models/vdsr.html",
        "models/vdsr.Vdsr.html",
    ] {
        assert!(pages.join(page).is_file(), "{page}");
    }
}

#[test]
fn help_shows_examples() {
    for name in ["report", "graph", "doc", "compile", "check", "fmt", "lsp"] {
        let said = text(&succeed(command(&format!("{name} --help"))).stdout);
        let has_examples = said.contains("Examples:") || name == "lsp";
        assert!(
            has_examples && said.contains(vsr_artifact::EXIT_CODES),
            "{name}\n{said}"
        );
    }
}

/// A folder in which nobody makes files, not even the system's owner: refused for its rights, or as read-only.
#[cfg(target_os = "linux")]
#[test]
fn a_place_where_nobody_may_write_is_the_users_error() {
    if !std::path::Path::new("/sys/kernel").is_dir() {
        eprintln!("skipped: no /sys");
        return;
    }
    for words in [
        "graph models/vdsr.vsr -o /sys/vsr.svg",
        "compile models/vdsr.vsr -o /sys/vsr",
        "doc models/vdsr.vsr -o /sys/vsr",
    ] {
        error(command(words), "/sys/vsr");
    }
}

/// As `vsr-run` has it: who protects a file wants it to stay.
#[cfg(unix)]
#[test]
fn a_write_protected_file_is_the_users_error_and_stays() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.svg");
    std::fs::write(&path, "precious").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o444)).unwrap();
    let mut graph = command("graph models/vdsr.vsr -o");
    graph.arg(&path);
    error(graph, "a.svg: it is write-protected");
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}
