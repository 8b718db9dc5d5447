//! `vsr-run` itself, as a user calls it, on networks that compile in milliseconds: training that is killed, stopped and
//! resumed, running means of weights, film in and out, and every kind of bad input.
//!
//! Only temporary folders are written to. No network, no GPU, no other program but `sh`, `kill`, `mkfifo`, and, where
//! they are there, `ffmpeg` and `unshare`; ffmpeg is hidden from most tests, and film and bad input are tested with it
//! once more.

mod bad_input;
mod checkpoints;
mod common;
mod damaged;
mod devices;
mod exhaustion;
mod film;
mod layouts;
mod leftovers;
mod limits;
mod mean;
mod names;
mod new;
mod other_program;
mod outputs;
mod pipes;
mod resume;

/// Those that ffmpeg has a part in.
const AGAIN: [&str; 3] = ["bad_input::", "film::", "pipes::"];

/// The same tests, the program finding the ffmpeg that is installed here.
#[test]
fn film_once_more_with_ffmpeg_where_there_is_one() {
    let Some(program) = vsr_runtime::video::ffmpeg::find() else {
        common::skipped("no ffmpeg on PATH");
        return;
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::os::unix::fs::symlink(program, folder.path().join("ffmpeg")).expect("a link");
    let own = std::env::current_exe().expect("this test is a program");
    let mut again = std::process::Command::new(own);
    again.args(AGAIN);
    let done = again.env(common::FFMPEG, folder.path()).output();
    let done = done.expect("it starts");
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "with ffmpeg:\n{said}");
    for of in AGAIN {
        let passed = |l: &str| l.starts_with(&format!("test {of}")) && l.ends_with("ok");
        assert!(said.lines().any(passed), "no test of {of}\n{said}");
    }
}
