//! `vsrc report`, `graph` and `doc` as one calls them: exit codes, files, and what goes to which stream.

#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use std::process::{Command, Output};

fn vsrc(args: &[&str]) -> Output {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    // No cache folder: the roofs of whoever runs the tests shall not matter.
    let mut command = Command::new(env!("CARGO_BIN_EXE_vsrc"));
    let command = command.current_dir(root).args(args);
    command
        .env("XDG_CACHE_HOME", "/nonexistent")
        .output()
        .unwrap()
}

fn folder(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&path);
    path
}

fn error(args: &[&str], says: &str) {
    let out = vsrc(args);
    let text = String::from_utf8_lossy(&out.stderr).to_string();
    assert_eq!(out.status.code(), Some(1), "{args:?}: {text}");
    assert!(text.contains(says), "{args:?}: {text}");
    assert!(out.stdout.is_empty(), "{args:?}");
}

#[test]
fn report_prints_json_on_standard_output() {
    let out = vsrc(&[
        "report",
        "models/vdsr.vsr",
        "--profile",
        "picture",
        "--json",
        "--set",
        "H=64",
        "--set",
        "W=64",
    ]);
    assert_eq!(out.status.code(), Some(0));
    let json: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(json["parameters"], 664_704);
    assert_eq!(json["roof"]["name"], "laptop");
    assert!(json["roof"]["file"].is_null());
}

#[test]
fn report_takes_roofs_from_a_file_and_says_so() {
    let dir = folder("roofs");
    std::fs::create_dir_all(&dir).unwrap();
    let file = dir.join("roofs.json");
    let roofs = vsr_artifact::roofs::Roofs {
        machine: "an abacus".into(),
        ..vsr_artifact::roofs::named("desktop").unwrap()
    };
    std::fs::write(&file, roofs.text()).unwrap();
    let path = file.to_str().unwrap();
    let out = vsrc(&[
        "report",
        "models/vdsr.vsr",
        "--profile",
        "picture",
        "--roofs",
        path,
        "--threads",
        "2",
    ]);
    let text = String::from_utf8(out.stdout).unwrap();
    assert!(
        text.contains("256 GFLOP/s") && text.contains("measured on an abacus"),
        "{text}"
    );
    error(
        &[
            "report",
            "models/vdsr.vsr",
            "--roofs",
            path,
            "--threads",
            "99",
        ],
        "there is no roof for 99 threads",
    );
    error(
        &["report", "models/vdsr.vsr", "--roofs", "abacus"],
        "named roofs: laptop, desktop",
    );
    std::fs::write(&file, "{}").unwrap();
    error(
        &["report", "models/vdsr.vsr", "--roofs", path],
        "vsr-run bench --roofs",
    );
}

#[test]
fn errors_have_exit_code_1() {
    error(&["report", "none.vsr"], "cannot read none.vsr");
    error(
        &["report", "models/vdsr.vsr", "--profile", "pictur"],
        "pictur",
    );
    error(
        &["graph", "models/vdsr.vsr", "-o", "picture.bmp"],
        "End the name in .svg, .html or .dot",
    );
    error(
        &[
            "graph",
            "models/vdsr.vsr",
            "-o",
            "x.svg",
            "--set",
            "depht=2",
        ],
        "depht",
    );
    error(
        &["doc", "none.vsr", "-o", folder("no-doc").to_str().unwrap()],
        "cannot read none.vsr",
    );
}

#[test]
fn graph_writes_what_the_name_says_or_to_a_pipe() {
    let dir = folder("graph");
    for (name, starts) in [
        ("a.svg", "<svg"),
        ("b.html", "<!DOCTYPE html>"),
        ("c.dot", "digraph"),
    ] {
        let path = dir.join(name);
        let out = vsrc(&["graph", "models/vdsr.vsr", "-o", path.to_str().unwrap()]);
        assert_eq!(
            out.status.code(),
            Some(0),
            "{}",
            String::from_utf8_lossy(&out.stderr)
        );
        assert!(std::fs::read_to_string(&path).unwrap().starts_with(starts));
    }
    let out = vsrc(&["graph", "models/vdsr.vsr", "-o", "-", "--format", "svg"]);
    assert!(out.stdout.starts_with(b"<svg") && out.stdout.ends_with(b"</svg>\n"));
}

#[test]
fn doc_writes_pages() {
    let dir = folder("doc");
    let out = vsrc(&["doc", "models/vdsr.vsr", "-o", dir.to_str().unwrap()]);
    assert_eq!(
        out.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    for page in [
        "index.html",
        "style.css",
        "stdlib/conv.html",
        "models/vdsr.html",
        "models/vdsr.Vdsr.html",
    ] {
        assert!(dir.join(page).is_file(), "{page}");
    }
}

#[test]
fn help_shows_examples() {
    for command in ["report", "graph", "doc", "compile", "check", "fmt", "lsp"] {
        let out = vsrc(&[command, "--help"]);
        let text = String::from_utf8(out.stdout).unwrap();
        let has_examples = text.contains("Examples:") || command == "lsp";
        assert!(
            has_examples && text.contains(vsr_artifact::EXIT_CODES),
            "{command}\n{text}"
        );
    }
}

/// A folder in which nobody makes files, not even the system's owner: refused for its rights, or as read-only.
#[cfg(target_os = "linux")]
#[test]
fn a_place_where_nobody_may_write_is_the_users_error() {
    if !std::path::Path::new("/sys/kernel").is_dir() {
        println!("skipped: no /sys");
        return;
    }
    for args in [
        ["graph", "models/vdsr.vsr", "-o", "/sys/vsr.svg"],
        ["compile", "models/vdsr.vsr", "-o", "/sys/vsr"],
        ["doc", "models/vdsr.vsr", "-o", "/sys/vsr"],
    ] {
        error(&args, "/sys/vsr");
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
    let output = path.to_str().unwrap();
    error(
        &["graph", "models/vdsr.vsr", "-o", output],
        "a.svg: it is write-protected",
    );
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}
