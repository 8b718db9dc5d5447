//! `vsrc new`: what it makes compiles as its README says, under any name; what is there already stays; and on a full disk
//! there is nothing afterwards. With the program itself.

#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use crate::program::{command, succeed, text, vsrc, vsrc_within};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use vsr_compiler::diag::{Problems, Sources};
use vsr_compiler::project::{Project, project};
use vsr_compiler::sema::{Loader, Options, STANDARD_LIBRARY};
use vsr_compiler::{pipeline, syntax};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// What the program says, which must end well.
fn said(dir: &Path, words: &str) -> String {
    text(&succeed(dir, words).stdout)
}

/// One error, in one line, that holds all of `parts`.
fn check(words: &str, done: &Output, code: i32, parts: &[&str]) {
    let err = text(&done.stderr);
    assert_eq!(done.status.code(), Some(code), "vsrc {words}\n{err}");
    assert!(err.starts_with("error: "), "vsrc {words}\n{err}");
    assert_eq!(err.lines().count(), 1, "vsrc {words}\n{err}");
    for part in parts {
        assert!(err.contains(part), "vsrc {words}: no `{part}` in\n{err}");
    }
    assert!(!err.contains("os error"), "vsrc {words}\n{err}");
}

/// Everything below a folder, folders and links too; what a file holds.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(at) = folders.pop() {
        for entry in fs::read_dir(at).unwrap() {
            let entry = entry.unwrap();
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            if kind.is_dir() {
                folders.push(path.clone());
            }
            let bytes = match kind.is_file() {
                true => fs::read(&path).unwrap(),
                false => vec![],
            };
            found.insert(path, bytes);
        }
    }
    found
}

/// Refused as the user's error, and everything is as it was.
fn refuse(dir: &Path, words: &str, parts: &[&str]) {
    let before = contents(dir);
    let done = vsrc(dir, words);
    check(words, &done, 1, parts);
    assert_eq!(contents(dir), before, "vsrc {words}");
}

#[test]
fn what_is_made_compiles_as_its_readme_says() {
    let dir = tempfile::tempdir().unwrap();
    let told = said(dir.path(), "new work/my-net");
    let made = dir.path().join("work/my-net");
    let names: Vec<PathBuf> = contents(&made).into_keys().collect();
    let expected = [".gitignore", "README.md", "my-net.vsr"].map(|name| made.join(name));
    assert_eq!(names, expected);
    let source = fs::read_to_string(made.join("my-net.vsr")).unwrap();
    assert!(source.contains("\nmodel MyNet("), "{source}");
    let readme = fs::read_to_string(made.join("README.md")).unwrap();
    for left in ["NewNet", "newnet", "new-net"] {
        assert!(!readme.contains(left) && !source.contains(left), "{left}");
    }
    assert_eq!(said(&made, "fmt --check my-net.vsr"), "");
    succeed(&made, "check my-net.vsr");
    // Its own commands, each as it stands there, comments apart.
    let commands = readme.lines().filter_map(|l| l.strip_prefix("    vsrc "));
    let commands: Vec<&str> = commands.filter_map(|l| l.split('#').next()).collect();
    assert_eq!(commands.len(), 4, "{commands:?}");
    for words in commands {
        succeed(&made, words);
    }
    assert!(made.join("compiled/manifest.json").is_file());
    // What is said beside it are the README's three commands.
    let three: Vec<&str> = told.lines().filter_map(|l| l.strip_prefix("  ")).collect();
    assert_eq!(three.len(), 3, "{told}");
    for command in three {
        assert!(readme.contains(&format!("\n    {command}\n")), "{command}");
    }
    // What the commands make is no part of a repository.
    let ignored = fs::read_to_string(made.join(".gitignore")).unwrap();
    assert_eq!(ignored, "/compiled/\n/runs/\n");
}

/// The template is one of our own files: in canonical style as it lies there.
#[test]
fn the_template_is_in_canonical_style() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/project/net.vsr");
    let text = fs::read_to_string(path).unwrap();
    let formatted = syntax::format(0, &text, &mut Problems::new());
    assert_eq!(formatted, Some(text));
}

/// One text, and the library beside it.
struct One(String, Sources);

impl Loader for One {
    fn read(&mut self, path: &str) -> Result<String, String> {
        match path {
            "net.vsr" => Ok(self.0.clone()),
            _ => Err("there is no such file".into()),
        }
    }

    fn exists(&mut self, path: &str) -> bool {
        path == "net.vsr"
    }

    fn sources(&mut self) -> &mut Sources {
        &mut self.1
    }
}

/// Elaborates without an error, and hides nothing of the library; in canonical style.
fn check_project(name: &str, made: Project) {
    let text = made.files[0].1.clone();
    let (mut one, mut problems) = (One(text.clone(), Sources::default()), Problems::new());
    let options = Options {
        name: None,
        profiles: vec![],
        set: vec![],
    };
    pipeline::check(&mut one, "net.vsr", &options, &mut problems);
    assert!(problems.is_empty(), "{name}: {}", problems.render(&one.1));
    assert_eq!(
        syntax::format(0, &text, &mut problems),
        Some(text),
        "{name}"
    );
    let hidden = format!("\nblock {}(", made.model);
    let library = STANDARD_LIBRARY.iter().map(|(_, text)| text);
    assert!(library.clone().all(|t| !t.contains(&hidden)), "{name}");
}

#[test]
fn every_name_has_a_model() {
    let long = "x".repeat(64);
    for (name, model) in [
        ("my-net", "MyNet"),
        ("my_net.v2", "MyNetV2"),
        ("MyNet", "MyNet"),
        ("4x", "Net4x"),
        ("0", "Net0"),
        ("a-", "A"),
        ("new-net", "NewNet"),
        ("conv2d", "Conv2dNet"),
        ("adam", "AdamNet"),
        ("residual", "ResidualNet"),
        ("b", "BNet"),
        ("data", "Data"),
        ("video", "Video"),
        (&long, &format!("X{}", &long[1..])),
    ] {
        let made = project(name).unwrap_or_else(|why| panic!("{name}: {why}"));
        assert_eq!(made.model, model, "{name}");
        assert_eq!(made.source, format!("{name}.vsr"));
        check_project(name, made);
    }
}

/// Any word of the language and its library is a name like others.
#[test]
fn words_that_mean_something_are_names_too() {
    let library = STANDARD_LIBRARY.iter().flat_map(|(_, text)| {
        let is_mark = |c: char| !c.is_ascii_alphanumeric() && c != '_';
        let items = text
            .lines()
            .filter(|l| l.starts_with("op ") || l.starts_with("block "));
        items.filter_map(move |l| l.split(is_mark).nth(1))
    });
    let reserved = "param state next data metric for in if else and or not true false use op block model weights \
        frozen train profile where grad int float sum mean max T H W";
    let words: Vec<&str> = library.chain(reserved.split_whitespace()).collect();
    assert!(words.len() > 80, "{words:?}");
    for name in words {
        let made = project(name).unwrap_or_else(|why| panic!("{name}: {why}"));
        check_project(name, made);
    }
}

#[test]
fn names_that_no_project_can_have_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["сеть", "net!", ".net", "a/-net", "a/_", "a\u{1b}[2Jb"] {
        refuse(dir.path(), &format!("new {name}"), &["a project's name"]);
    }
    let done = command(dir.path(), "new").arg("my net").output().unwrap();
    check(
        "new 'my net'",
        &done,
        1,
        &["my net: a project's name has letters"],
    );
    let long = format!("new {}", "x".repeat(65));
    refuse(dir.path(), &long, &["at most 64 letters"]);
    // A path has its limit from the system.
    let long = format!("new {}/net", "x".repeat(300));
    refuse(dir.path(), &long, &["file name too long"]);
    assert!(contents(dir.path()).is_empty());
    let done = command(dir.path(), "new").arg("").output().unwrap();
    assert_eq!(done.status.code(), Some(1), "{}", text(&done.stderr));
}

#[test]
fn what_is_there_stays() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    fs::create_dir(dir.join("full")).unwrap();
    fs::write(dir.join("full/.hidden"), "mine").unwrap();
    fs::write(dir.join("file"), "mine").unwrap();
    std::os::unix::fs::symlink("nowhere", dir.join("link")).unwrap();
    std::os::unix::fs::symlink("ring", dir.join("ring")).unwrap();
    refuse(dir, "new full", &["full: this folder is not empty"]);
    refuse(dir, "new full/", &["this folder is not empty"]);
    refuse(&dir.join("full"), "new .", &["this folder is not empty"]);
    refuse(dir, "new file", &["file: a file has this name"]);
    refuse(
        dir,
        "new link",
        &["link: this is a link that leads nowhere"],
    );
    refuse(dir, "new ring", &["ring: "]);
    refuse(dir, "new file/net", &["cannot write file/net/"]);
    succeed(dir, "new one -q");
    refuse(dir, "new one", &["one: this folder is not empty"]);
}

#[test]
fn an_empty_folder_is_filled() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    for (name, words) in [
        ("named", "new ../named/"),
        ("here", "new ."),
        ("quiet", "new -q ."),
    ] {
        let at = dir.join(name);
        fs::create_dir(&at).unwrap();
        let told = said(&at, words);
        assert_eq!(told.is_empty(), name == "quiet", "{told}");
        assert!(at.join(format!("{name}.vsr")).is_file(), "{name}");
    }
    fs::create_dir(dir.join("to")).unwrap();
    std::os::unix::fs::symlink("to", dir.join("link")).unwrap();
    succeed(dir, "new link");
    assert!(dir.join("to/link.vsr").is_file() && dir.join("link").is_symlink());
}

/// Files of at most so many bytes, as on a disk that fills: an error of the machine, and nothing is left.
#[test]
fn a_disk_that_fills_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let made = project("my-net").unwrap();
    let most = made.files.iter().map(|(_, text)| text.len()).max().unwrap();
    fs::create_dir(dir.join("empty")).unwrap();
    let before = contents(dir);
    for size in (0..most).step_by(most / 40) {
        for words in ["new a/my-net", "new empty"] {
            let done = vsrc_within(dir, words, libc::RLIMIT_FSIZE, size as u64);
            let parts = ["cannot write", "a file may not be so large here"];
            check(&format!("{words}, {size} bytes"), &done, 2, &parts);
            assert_eq!(contents(dir), before, "{words}, {size} bytes");
        }
    }
    let done = vsrc_within(dir, "new a/my-net", libc::RLIMIT_FSIZE, most as u64);
    assert_eq!(done.status.code(), Some(0));
}

#[cfg(target_os = "linux")]
#[test]
fn where_nobody_may_write_is_the_users_error() {
    if !Path::new("/sys/kernel").is_dir() {
        eprintln!("skipped: no /sys");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    refuse(
        dir.path(),
        "new /sys/my-net",
        &["cannot write /sys/my-net/"],
    );
}

/// Help shows what a command is for by example, and README names every command that help lists.
#[test]
fn every_command_is_in_help_and_readme() {
    let readme = fs::read_to_string(format!("{ROOT}/README.md")).unwrap();
    let help = said(Path::new("."), "--help");
    let (_, list) = help.split_once("Commands:\n").unwrap();
    let lines = list.lines().take_while(|l| !l.is_empty());
    // What is wrapped stands further to the right.
    let names = lines.filter_map(|l| l.strip_prefix("  ")?.split(' ').next());
    let names: Vec<&str> = names.filter(|name| !name.is_empty()).collect();
    assert!(names.contains(&"new") && names.len() > 7, "{help}");
    for name in names.iter().filter(|name| **name != "help") {
        assert!(
            readme.contains(&format!("vsrc {name}")),
            "README has no `vsrc {name}`"
        );
    }
    let help = said(Path::new("."), "new --help");
    assert!(
        help.contains("Examples:") && help.contains(vsr_artifact::EXIT_CODES),
        "{help}"
    );
}
