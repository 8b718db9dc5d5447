//! Realistic mistakes, one a file in `gallery/`, and what `vsrc check` says of them: a snapshot to be read as a whole. Each
//! message says where and what; most say what to do.

use std::path::Path;
use vsr_compiler::diag::{Problems, Sources};
use vsr_compiler::pipeline::checked as check;
use vsr_compiler::sema::{Loader, Options};

/// Files of the gallery.
#[derive(Default)]
struct Gallery(Sources);

impl Loader for Gallery {
    fn read(&mut self, path: &str) -> Result<String, String> {
        let text = std::fs::read_to_string(folder().join(path));
        text.map_err(|_| "there is no such file".to_string())
    }

    fn exists(&mut self, path: &str) -> bool {
        folder().join(path).is_file()
    }

    fn sources(&mut self) -> &mut Sources {
        &mut self.0
    }
}

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gallery")
}

fn names() -> Vec<String> {
    let entries = std::fs::read_dir(folder()).expect("the folder reads");
    let name = |entry: std::io::Result<std::fs::DirEntry>| {
        entry
            .expect("the folder lists")
            .file_name()
            .to_string_lossy()
            .into_owned()
    };
    let mut names: Vec<String> = entries
        .map(name)
        .filter(|name| name.ends_with(".vsr"))
        .collect();
    names.sort();
    names
}

fn checked(name: &str) -> (Problems, Sources) {
    let (mut gallery, mut problems) = (Gallery::default(), Problems::new());
    check(
        &mut gallery,
        name,
        &Options::default(),
        false,
        &mut problems,
    );
    (problems, gallery.0)
}

#[test]
fn every_mistake_has_its_message() {
    let names = names();
    assert!(names.len() >= 40, "{} mistakes", names.len());
    let mut all = String::new();
    for name in names {
        let (problems, sources) = checked(&name);
        assert!(!problems.is_empty(), "{name} has no mistake");
        all += &format!("# {name}\n{}\n", problems.render(&sources));
    }
    insta::assert_snapshot!("messages", all);
}

#[test]
fn every_message_says_where() {
    let mut n_helps = 0;
    let mut n_all = 0;
    for name in names() {
        let (problems, _) = checked(&name);
        for diag in problems.iter() {
            assert!(diag.primary.is_some(), "{name}: {}", diag.message);
            n_all += 1;
            n_helps += usize::from(diag.help.is_some());
        }
    }
    assert!(
        n_helps * 10 >= n_all * 8,
        "{n_helps} of {n_all} say what to do"
    );
}

/// The line to mend is the user's, whatever library file the mistake shows in.
#[test]
fn no_message_blames_the_library() {
    for name in names() {
        let (problems, sources) = checked(&name);
        for diag in problems.iter() {
            let file = diag
                .primary
                .as_ref()
                .map_or("", |mark| sources.name(mark.span.file));
            assert!(!file.starts_with("stdlib/"), "{name}: {}", diag.message);
        }
    }
}

/// Where a change is certain, making it mends the mistake.
#[test]
fn edits_mend() {
    let mut n_edits = std::collections::BTreeMap::new();
    for name in names() {
        let (problems, sources) = checked(&name);
        let with_edit = problems.iter().filter(|diag| diag.edit.is_some());
        for diag in with_edit {
            *n_edits.entry(name.clone()).or_insert(0) += 1;
            let edit = diag.edit.as_ref().expect("it was asked for");
            let mut text = sources.text(edit.span.file).to_string();
            text.replace_range(edit.span.start as usize..edit.span.end as usize, &edit.text);
            let mut left = Problems::new();
            let mut mended = Mended(text, Gallery::default());
            check(&mut mended, &name, &Options::default(), false, &mut left);
            let is_there = left
                .iter()
                .any(|other| other.message == diag.message && other.primary == diag.primary);
            assert!(!is_there, "{name}: {}\n{}", diag.message, mended.0);
        }
    }
    let said: Vec<String> = n_edits
        .iter()
        .map(|(name, n)| format!("{} {n}", name.trim_end_matches(".vsr")))
        .collect();
    insta::assert_snapshot!("edits", said.join("\n"));
}

/// A file of the gallery with another text.
struct Mended(String, Gallery);

impl Loader for Mended {
    fn read(&mut self, path: &str) -> Result<String, String> {
        match path.contains('/') {
            true => self.1.read(path),
            false => Ok(self.0.clone()),
        }
    }

    fn exists(&mut self, _: &str) -> bool {
        false
    }

    fn sources(&mut self) -> &mut Sources {
        self.1.sources()
    }
}

#[test]
fn json_has_the_documented_fields() {
    let (problems, sources) = checked("misspelt_op.vsr");
    let json = problems.to_json(&sources);
    assert_eq!(
        json,
        serde_json::json!([{
            "class": "name",
            "message": "no op or layer `leakyrelu`",
            "file": "misspelt_op.vsr", "line": 2, "column": 27, "end_line": 2, "end_column": 36,
            "start": 73, "end": 82, "text": "",
            "labels": [], "notes": [], "help": "did you mean `leaky_relu`?",
            "edit": {
                "file": "misspelt_op.vsr", "line": 2, "column": 27, "end_line": 2, "end_column": 36,
                "start": 73, "end": 82, "replacement": "leaky_relu",
            },
            "trail": [],
        }])
    );
}
