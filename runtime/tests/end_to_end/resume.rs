//! Training that is killed at any moment, or stopped by Ctrl-C, goes on to the bits of a run that was never disturbed.

use super::common::*;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Child;
use std::time::Duration;

const HOW: &str = "--epochs 6 --steps 40 --valid 1 --seed 7 -q";

/// All that a run leaves: nothing of it is what a clock decides.
fn assert_same_run(a: &Path, b: &Path) {
    assert_eq!(names(a), names(b), "nothing else is left");
    for name in &names(a) {
        assert!(
            bytes(a.join(name)) == bytes(b.join(name)),
            "{name} differs in {}",
            b.display()
        );
    }
}

/// Kills it, if it still runs: whether it did.
fn kill(child: &mut Child) -> bool {
    child.kill().expect("it can be killed");
    child.wait().expect("it ends").signal() == Some(9)
}

#[test]
fn a_killed_run_resumes_to_the_same_bits() {
    let dir = workplace();
    let dir = dir.path();
    succeed(dir, &format!("train net --out whole {HOW}"));
    let run = dir.join("run");
    let n_lines =
        || std::fs::read_to_string(run.join("metrics.jsonl")).map_or(0, |t| t.lines().count());

    let mut child = start(dir, &format!("train net --out run {HOW}"));
    wait_for("a first checkpoint", || {
        run.join("state.safetensors").exists()
    });
    let mut n_killed = usize::from(kill(&mut child));
    // Later each time, and not at the same place within an epoch.
    for (epochs, wait) in [(1, 0), (2, 3), (3, 7), (4, 1)] {
        let mut child = start(dir, "train net --resume run -q");
        wait_for("epochs", || n_lines() >= epochs);
        std::thread::sleep(Duration::from_millis(wait));
        n_killed += usize::from(kill(&mut child));
        assert!(n_lines() >= epochs, "what was reached is kept");
    }
    assert!(
        n_killed >= 3,
        "the run is long enough to be killed in it, {n_killed} times"
    );
    std::fs::write(run.join(".last.safetensors.new-1"), "half").expect("a file");
    succeed(dir, "train net --resume run -q");
    assert_same_run(&dir.join("whole"), &run);
}

#[test]
fn control_c_finishes_the_step_saves_and_says_how_to_go_on() {
    let dir = workplace();
    let dir = dir.path();
    succeed(dir, &format!("train net --out whole {HOW}"));
    let child = start(dir, &format!("train net --out run {HOW}"));
    wait_for("an epoch", || dir.join("run/metrics.jsonl").exists());
    let sent = std::process::Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(sent.expect("kill runs").success());
    let done: Done = child.wait_with_output().expect("it ends").into();
    assert_eq!(done.code, Some(130), "{}", done.err);
    let (_, hint) = done
        .err
        .split_once("go on with: vsr-run ")
        .expect("a way to go on");
    assert!(done.err.starts_with("stopped after step "), "{}", done.err);
    assert!(!done.err.contains("error"), "{}", done.err);
    assert_eq!(hint.trim(), "train net --resume run");
    assert!(names(&dir.join("run")).iter().all(|n| !n.starts_with('.')));
    succeed(dir, &format!("{} -q", hint.trim()));
    assert_same_run(&dir.join("whole"), &dir.join("run"));
}

/// A film that the run refused is refused by what goes on with it, until another limit is given.
#[test]
fn a_resumed_run_keeps_its_limit_of_pixels() {
    let dir = workplace();
    let dir = dir.path();
    std::fs::create_dir(dir.join("clips")).expect("a folder");
    for (name, width) in [("a.y4m", 24), ("b.y4m", 24), ("large.y4m", 32)] {
        write_film(&dir.join("clips").join(name), width, 24, 4);
    }
    let how = "--data clips --valid 1 --steps 2";
    let left_out = "has frames of 32x24, 768 pixels, and the limit is 600";
    let resume = |words: &str| succeed(dir, &format!("train net --resume run {words}")).err;
    let first = succeed(
        dir,
        &format!("train net {how} --out run --limit-pixels 600 --epochs 1"),
    );
    assert!(first.err.contains(left_out), "{}", first.err);
    let kept = resume("--epochs 2");
    assert!(
        kept.contains(left_out) && !kept.contains("other data"),
        "{kept}"
    );
    let replaced = resume("--epochs 3 --limit-pixels 768");
    assert!(replaced.contains("1 new (large.y4m)"), "{replaced}");
    let kept = resume("--epochs 4");
    assert!(
        !kept.contains("left out") && !kept.contains("other data"),
        "{kept}"
    );
    // What never had a limit of its own has the usual one.
    succeed(dir, &format!("train net {how} --out plain --epochs 1 -q"));
    let state = vsr_runtime::tensors::read(&dir.join("plain/state.safetensors")).expect("a state");
    assert!(!state.metadata.contains_key("limit_pixels"));
}

/// More epochs later is one longer run; options that would make it another run are refused.
#[test]
fn a_finished_run_goes_on_and_keeps_its_seed() {
    let dir = workplace();
    let dir = dir.path();
    succeed(
        dir,
        "train net --out whole --epochs 4 --steps 3 --valid 2 --seed 9 -q",
    );
    succeed(
        dir,
        "train net --out run --epochs 2 --steps 3 --valid 2 --seed 9 -q",
    );
    succeed(dir, "train net --resume run --epochs 4 -q");
    assert_same_run(&dir.join("whole"), &dir.join("run"));
    let other = run(dir, "train net --resume run --seed 1");
    assert_eq!(other.code, Some(1));
    assert!(other.err.contains("has seed 9"), "{}", other.err);
    let again = run(dir, "train net --out run");
    assert_eq!(again.code, Some(1));
    assert!(again.err.contains("--resume run"), "{}", again.err);
}
