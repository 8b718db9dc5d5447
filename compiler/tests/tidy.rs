//! House rules that no compiler checks: each Rust file says at its top what it is, stays short, and leaves nothing to
//! be done; and names of files are shown by the one function that makes them fit for a terminal.

use std::fs;
use std::path::{Path, PathBuf};

const MAX_LINES: usize = 800;

/// All `.rs` files of the repository, build folders and hidden ones apart.
fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder reads") {
        let path = entry.expect("the folder lists").path();
        let name = path
            .file_name()
            .expect("no path ends in `..`")
            .to_string_lossy()
            .into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            rust_files(&path, found);
        } else if name.ends_with(".rs") {
            found.push(path);
        }
    }
}

/// What is wrong with one file.
fn complaints(text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    if !text.starts_with("//!") {
        complaints.push("does not begin with `//!`".to_string());
    }
    let n_lines = text.lines().count();
    if n_lines >= MAX_LINES {
        complaints.push(format!("has {n_lines} lines, {} or more", MAX_LINES));
    }
    for leftover in ["todo", "unimplemented", "dbg"] {
        let call = format!("{leftover}!");
        let lines = text.lines().enumerate();
        for (n, _) in lines.filter(|(_, line)| holds_word(line, &call)) {
            complaints.push(format!("line {}: `{call}`", n + 1));
        }
    }
    complaints
}

/// Whether `word` stands in the line with no letter before it.
fn holds_word(line: &str, word: &str) -> bool {
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
}

#[test]
fn every_rust_file_keeps_the_house_rules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = Vec::new();
    rust_files(&root, &mut files);
    assert!(files.len() > 20, "only {} files found", files.len());
    let mut wrong = String::new();
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        for complaint in complaints(&text) {
            wrong += &format!("{}: {complaint}\n", path.display());
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// Lines that show a path as it is, in what the programs say.
fn raw_paths(text: &str) -> Vec<String> {
    let call = concat!(".dis", "play()");
    let lines = text.lines().enumerate();
    lines
        .filter(|(_, line)| line.contains(call) && !line.contains("function"))
        .map(|(n, _)| format!("line {}: `{call}` instead of `shown_path`", n + 1))
        .collect()
}

#[test]
fn paths_are_shown_in_one_way() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut wrong = String::new();
    for folder in [
        "compiler/src",
        "runtime/src",
        "runtime/artifact/src",
        "examples",
    ] {
        let mut files = Vec::new();
        rust_files(&root.join(folder), &mut files);
        // The one place that may.
        for path in files
            .iter()
            .filter(|p| !p.ends_with("artifact/src/text.rs"))
        {
            for complaint in raw_paths(&fs::read_to_string(path).unwrap()) {
                wrong += &format!("{}: {complaint}\n", path.display());
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert_eq!(raw_paths(concat!("x\npath.dis", "play()")).len(), 1);
}

/// One program has all tests of a crate, and a file that it does not name would not be built.
#[test]
fn every_file_of_tests_is_run() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for (folder, alone) in [
        ("compiler/tests", &["crash", "limits"][..]),
        ("runtime/tile/tests", &[]),
        ("tests/tests", &[]),
    ] {
        let folder = root.join(folder);
        let main = fs::read_to_string(folder.join("main.rs")).unwrap();
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_string_lossy();
            let is_rust = path.extension().is_some_and(|e| e == "rs");
            if is_rust && name != "main" && !alone.contains(&&*name) {
                assert!(main.contains(&format!("\nmod {name};\n")), "{name}");
            }
        }
    }
}

#[test]
fn the_rules_find_what_they_forbid() {
    let bad = format!("fn f() {{\n    {}!()\n}}\n", "todo");
    let todo = format!("line 2: `{}!`", "todo");
    assert_eq!(complaints(&bad), ["does not begin with `//!`", &todo]);
    assert_eq!(
        complaints(&format!("//! a\n{}", "\n".repeat(800))),
        ["has 801 lines, 800 or more"]
    );
    assert!(complaints("//! a\nfn not_todo() { my_dbg!(); }\n").is_empty());
}
