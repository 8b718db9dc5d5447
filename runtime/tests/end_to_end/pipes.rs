//! A reader of what the program says that goes away (`| head -1`) ends nothing: training goes on, the exit code stays.

use super::common::*;
use std::process::Stdio;

/// A pipe whose reader has gone already.
fn nobody() -> std::io::PipeWriter {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    writer
}

#[test]
fn a_reader_that_has_gone_is_no_error() {
    let dir = workplace();
    let dir = dir.path();
    write_film(&dir.join("in.y4m"), 48, 32, 4);
    for words in [
        "info net",
        "info net --json",
        "bench net --entry infer --repeats 1",
        "bench net --entry infer --repeats 1 --json",
        "upscale net in.y4m -o out.y4m",
        "upscale net in.y4m -o out.y4m --json",
        "eval net --data in.y4m",
        "train net --epochs 2 --steps 2 --out run",
        "train net --epochs 2 --steps 2 --out run-json --json",
        "--help",
    ] {
        let mut command = command(dir, words);
        command.stdout(nobody()).stderr(Stdio::piped());
        let done: Done = command.output().expect("the program starts").into();
        assert_eq!(done.code, Some(0), "vsr-run {words}\n{}", done.err);
        assert!(!done.err.contains("error"), "vsr-run {words}\n{}", done.err);
        // The same where nobody hears complaints, either.
        let mut command = super::common::command(dir, words);
        let both = command.stdout(nobody()).stderr(nobody()).status();
        let again = both.expect("the program starts").code();
        assert!(matches!(again, Some(0 | 1)), "vsr-run {words}: {again:?}");
    }
    for run in ["run", "run-json"] {
        assert!(dir.join(run).join("best.safetensors").exists(), "{run}");
    }
    let mut command = command(dir, "info nowhere");
    let status = command.stdout(nobody()).stderr(nobody()).status();
    assert_eq!(status.expect("the program starts").code(), Some(1));
}
