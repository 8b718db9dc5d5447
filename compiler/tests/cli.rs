//! `vsrc fmt` and `vsrc check` as commands: what they print, what they write, how they end.

use crate::program::{command, text, vsrc};
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

const UGLY: &str = "op f( x:[N] )=2*x   # twice\n";
const NICE: &str = "op f(x: [N]) = 2*x  # twice\n";

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder is made");
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).expect("the file is written");
    }
    folder
}

fn read(folder: &tempfile::TempDir, name: &str) -> String {
    std::fs::read_to_string(folder.path().join(name)).expect("the file reads")
}

#[test]
fn fmt_check_names_and_changes_nothing() {
    let folder = folder(&[("ugly.vsr", UGLY), ("nice.vsr", NICE)]);
    let output = vsrc(folder.path(), "fmt --check nice.vsr ugly.vsr");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stdout), "ugly.vsr\n");
    assert_eq!(read(&folder, "ugly.vsr"), UGLY);
    let output = vsrc(folder.path(), "fmt --check nice.vsr");
    assert_eq!(
        (output.status.code(), text(&output.stdout)),
        (Some(0), String::new())
    );
}

#[test]
fn fmt_rewrites_what_parses_and_reports_what_does_not() {
    let broken = "op f(x: [N]) = 2*\n";
    let folder = folder(&[("broken.vsr", broken), ("ugly.vsr", UGLY)]);
    let output = vsrc(folder.path(), "fmt broken.vsr ugly.vsr");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("broken.vsr:1:"),
        "{}",
        text(&output.stderr)
    );
    assert_eq!(
        (read(&folder, "broken.vsr"), read(&folder, "ugly.vsr")),
        (broken.into(), NICE.into())
    );
    let left: Vec<_> = std::fs::read_dir(folder.path())
        .expect("the folder reads")
        .collect();
    assert_eq!(left.len(), 2, "no file is left behind");
    let output = vsrc(folder.path(), "fmt ugly.vsr");
    assert_eq!(output.status.code(), Some(0));
}

#[cfg(unix)]
#[test]
fn fmt_keeps_permissions_and_links() {
    use std::os::unix::fs::PermissionsExt;
    let folder = folder(&[("ugly.vsr", UGLY)]);
    let path = folder.path().join("ugly.vsr");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))
        .expect("permissions are set");
    std::os::unix::fs::symlink("ugly.vsr", folder.path().join("link.vsr")).expect("a link is made");
    assert_eq!(vsrc(folder.path(), "fmt link.vsr").status.code(), Some(0));
    assert_eq!(read(&folder, "ugly.vsr"), NICE);
    let mode = std::fs::metadata(&path)
        .expect("the file is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let link =
        std::fs::symlink_metadata(folder.path().join("link.vsr")).expect("the link is there");
    assert!(link.is_symlink());
}

#[test]
fn fmt_reads_standard_input() {
    let mut child = command(Path::new("."), "fmt -")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("vsrc runs");
    let mut input = child.stdin.take().expect("its input is a pipe");
    input.write_all(UGLY.as_bytes()).expect("it reads");
    drop(input);
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(
        (output.status.code(), text(&output.stdout)),
        (Some(0), NICE.into())
    );
}

/// A pipe whose reader has gone already, as that of `| head -1` soon has.
fn nobody() -> std::io::PipeWriter {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    writer
}

/// What was asked for is done all the same, so the exit code stays, and there is nothing to complain of.
#[test]
fn a_reader_that_has_gone_is_no_error() {
    let good = "model M()(x: [N]) -> [N] = 2*x\n\nprofile p { N = 4 }\n";
    let bad = good.replace("2*x", "relo(x)");
    let folder = folder(&[("good.vsr", good), ("bad.vsr", &bad), ("ugly.vsr", UGLY)]);
    let run = |words: &str, is_deaf: bool| {
        let mut command = command(folder.path(), words);
        command.stdout(nobody());
        if is_deaf {
            command.stderr(nobody());
        }
        command.output().expect("vsrc runs")
    };
    for (words, code) in [
        ("compile good.vsr", 0),
        ("compile good.vsr --json", 0),
        ("compile bad.vsr --json", 1),
        ("compile good.vsr --emit ast", 0),
        ("compile good.vsr --emit schedule", 0),
        ("check --json bad.vsr", 1),
        ("fmt --check good.vsr", 0),
        ("fmt -", 0),
        ("report good.vsr", 0),
        ("report good.vsr --json", 0),
        ("graph good.vsr -o - --format svg", 0),
        ("doc good.vsr", 0),
        ("--help", 0),
    ] {
        let output = run(words, false);
        let said = text(&output.stderr);
        assert_eq!(
            (output.status.code(), said.as_str()),
            (Some(code), ""),
            "vsrc {words}"
        );
    }
    for (words, code) in [
        ("check bad.vsr good.vsr --timings", 1),
        ("compile bad.vsr", 1),
        ("compile nowhere.vsr", 1),
        ("fmt --check ugly.vsr", 1),
        ("nonsense", 1),
    ] {
        assert_eq!(run(words, true).status.code(), Some(code), "vsrc {words}");
    }
}

/// An editor that goes away takes the language server with it, without a word.
#[test]
fn a_client_that_has_gone_is_no_error() {
    let ask = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"capabilities":{}}}"#;
    for said in [
        String::new(),
        format!("Content-Length: {}\r\n\r\n{ask}", ask.len()),
    ] {
        let mut command = command(Path::new("."), "lsp");
        command.stdin(Stdio::piped()).stdout(nobody());
        let mut child = command.stderr(Stdio::piped()).spawn().expect("vsrc runs");
        let mut input = child.stdin.take().expect("its input is a pipe");
        input.write_all(said.as_bytes()).expect("it reads");
        drop(input);
        let output = child.wait_with_output().expect("it ends");
        let complaint = text(&output.stderr);
        assert_eq!(
            (output.status.code(), complaint.as_str()),
            (Some(0), ""),
            "{said}"
        );
    }
}

/// What cannot be written is an error of the machine, on standard output as in a file.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_behind_standard_output_is_an_error() {
    let full = std::fs::File::create("/dev/full").expect("Linux has it");
    let folder = folder(&[("ugly.vsr", UGLY)]);
    let mut command = command(folder.path(), "compile ugly.vsr --emit ast");
    let output = command.stdout(full).output().expect("vsrc runs");
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        text(&output.stderr),
        "error: cannot write to standard output: the disk is full\n"
    );
}

#[test]
fn check_ends_with_one_where_something_is_wrong() {
    let good = "model M()(x: [N]) -> [N] = 2*x\n\nprofile p { N = 4 }\n";
    let bad = good.replace("2*x", "relo(x)");
    // A library without a model, and a definition that nothing reaches.
    let library = "op f(x: [N]) -> [N] = relo(x)\n";
    let folder = folder(&[
        ("good.vsr", good),
        ("bad.vsr", &bad),
        ("library.vsr", library),
    ]);
    let output = vsrc(folder.path(), "check good.vsr");
    assert_eq!(
        (output.status.code(), text(&output.stderr)),
        (Some(0), String::new())
    );
    for name in ["bad.vsr", "library.vsr"] {
        let output = vsrc(folder.path(), &format!("check good.vsr {name}"));
        assert_eq!(output.status.code(), Some(1));
        let shown = text(&output.stderr);
        assert!(
            shown.contains("error[name]: no op or layer `relo`"),
            "{shown}"
        );
        assert!(shown.contains("did you mean `relu`?"), "{shown}");
        assert!(shown.ends_with("1 error\n"), "{shown}");
    }
    let output = vsrc(
        folder.path(),
        "check --json bad.vsr library.vsr nowhere.vsr",
    );
    assert_eq!(output.status.code(), Some(1));
    let list: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    let files: Vec<_> = list
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| one["file"].clone())
        .collect();
    assert_eq!(
        files,
        [
            "bad.vsr".into(),
            "library.vsr".into(),
            serde_json::Value::Null
        ]
    );
    assert_eq!(vsrc(folder.path(), "check --json good.vsr").stdout, b"[]\n");
}

/// `--set` and `--profile` reach the check.
#[test]
fn check_takes_settings() {
    let text = "model M(n: int = 2)(x: [N]) -> [N/n] where N % n == 0 = x[0:N//n]\n\nprofile p { N = 4 }\n\nprofile q { N = 5 }\n";
    let folder = folder(&[("m.vsr", text)]);
    let code = |words: &str| vsrc(folder.path(), words).status.code();
    assert_eq!(code("check m.vsr"), Some(1));
    assert_eq!(code("check m.vsr --profile p"), Some(0));
    assert_eq!(code("check m.vsr --set N=6"), Some(0));
    assert_eq!(code("check m.vsr --profile p --set n=3"), Some(1));
}

/// Names of files are no commands to a terminal; what is formatted keeps every byte where no terminal looks.
#[cfg(unix)]
#[test]
fn names_and_sources_are_escaped_and_documents_are_not() {
    let name = "a\x1b]0;evil\x07\n\u{202e}.vsr";
    let hidden = "op f( x:[N] )=2*x   # \u{202e}\n";
    let folder = folder(&[(name, "op f(x: [N]) = 2*\n"), ("hidden.vsr", hidden)]);
    for words in ["check", "fmt --check", "compile"] {
        let mut command = command(folder.path(), words);
        let output = command.arg(name).output().expect("vsrc runs");
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(
            said.contains(r"a\u001b]0;evil\u0007\u000a\u202e.vsr"),
            "{said:?}"
        );
        assert!(
            !said.contains(|c: char| c.is_control() && c != '\n'),
            "{said:?}"
        );
    }
    let mut fmt = command(folder.path(), "fmt -");
    fmt.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = fmt.spawn().expect("vsrc starts");
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all(hidden.as_bytes()).expect("it reads");
    drop(input);
    let output = child.wait_with_output().expect("it ends");
    assert!(text(&output.stdout).contains('\u{202e}'), "{output:?}");
}
