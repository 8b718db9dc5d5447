//! `vsrc` itself with bad input: one clear error, an exit code that says whose fault it was, nothing left behind.

use crate::program::{assert_refused, vsrc};
use std::fs;
use std::path::Path;

const NET: &str = "model Net()(x: [N]) -> [N] = max(x, 0)\n\nprofile case { N = 12 }\n";

fn workplace() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a temporary folder");
    fs::write(dir.path().join("net.vsr"), NET).expect("a file");
    dir
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("a folder");
    let name = |e: std::io::Result<fs::DirEntry>| e.expect("an entry").file_name();
    let mut names: Vec<String> = entries
        .map(|e| name(e).to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn every_wrong_path_is_named() {
    let dir = workplace();
    let dir = dir.path();
    fs::write(dir.join("noise.vsr"), b"model \xff\xfe").expect("a file");
    fs::write(dir.join("use.vsr"), "use A from \"gone.vsr\"\n").expect("a file");
    fs::create_dir(dir.join("mine")).expect("a folder");
    fs::write(dir.join("mine/manifest.json"), "{\"name\": \"a web page\"}").expect("a file");
    fs::write(dir.join("file"), "x").expect("a file");
    let before = names(dir);
    for (words, parts) in [
        (
            "compile nowhere.vsr",
            &["nowhere.vsr", "there is no such file or folder"][..],
        ),
        ("compile mine", &["mine"]),
        ("compile noise.vsr", &["noise.vsr", "UTF-8"]),
        ("compile use.vsr", &["gone.vsr"]),
        (
            "compile net.vsr -o mine",
            &["mine/manifest.json is in the way"],
        ),
        ("compile net.vsr -o file", &["file is in the way"]),
        ("compile net.vsr -o file/in", &["file/in"]),
        ("compile net.vsr --profile big", &["big"]),
        (
            "compile net.vsr --set M=3",
            &["no profile binds the dim `M`", "they bind N"],
        ),
        (
            "compile net.vsr --set wide=3",
            &["there is no parameter `wide`"],
        ),
        ("compile net.vsr --set N=0", &["a dim is a positive int"]),
        (
            "compile nowhere.vsr --emit ast",
            &["nowhere.vsr: there is no such file or folder"],
        ),
    ] {
        assert_refused(words, &vsrc(dir, words), 1, parts);
        assert_eq!(names(dir), before, "vsrc {words} leaves something");
    }
    assert_eq!(names(&dir.join("mine")), ["manifest.json"]);
}
