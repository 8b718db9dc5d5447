//! Runs of a trainer on a network whose step is written by hand: each step replaces the weight w by silu(w), and a
//! moment by silu of the clip's beginning.
#![cfg(target_arch = "x86_64")]

use super::begin::begin;
use super::*;
use crate::session::tests::{manifest, open, port};
use std::cell::Cell;
use std::fs;
use std::path::Path;
use vsr_artifact::manifest::{Entry, Launch, Manifest, Place, Train};

fn network() -> Manifest {
    let mut m = manifest();
    let launch = |from, to, n| Launch {
        kernel: 0,
        buffers: vec![from, to],
        lens: vec![4 * n as u64, 4 * n as u64],
        args: vec![n],
        tasks: 1,
        flops: 1,
        equation_flops: 1,
        bytes: 1,
        label: String::new(),
    };
    let clip = port("clip", &[1, 3, 1, 2, 2], Place::Arena(0));
    let infer = m.entries.remove(0);
    let entry = |name: &str, outputs, launches| Entry {
        name: name.into(),
        inputs: vec![
            clip.clone(),
            port("epoch", &[], Place::Arena(128)),
            port("rate", &[], Place::Arena(192)),
        ],
        outputs,
        arena_bytes: 256,
        launches,
        setup: vec![],
        folded_bytes: 0,
        ..infer.clone()
    };
    let forward = launch(Place::Arena(0), Place::Arena(64), 12);
    m.entries = vec![
        entry(
            "train",
            vec![
                port("loss", &[], Place::Arena(64)),
                port("pixel", &[], Place::Arena(68)),
            ],
            vec![
                forward.clone(),
                launch(Place::Storage(0), Place::Storage(0), 6),
                launch(Place::Arena(0), Place::Storage(128), 6),
            ],
        ),
        entry(
            "eval",
            vec![
                port("loss", &[], Place::Arena(64)),
                port("psnr", &[], Place::Arena(72)),
                port("preview.input", &[1, 3, 1, 2, 2], Place::Arena(0)),
                port("preview.output", &[1, 3, 2, 2], Place::Arena(64)),
            ],
            vec![forward],
        ),
    ];
    m.train = Some(Train {
        name: "net".into(),
        epochs: 3,
        steps: 4,
        data: vec![clip],
        data_path: "data".into(),
        tunable: vec![],
        ema: None,
    });
    m
}

/// Clips by rule; the clip of `bad` holds NaN.
struct Clips {
    bad: Option<(u64, u64)>,
}

impl Batches for Clips {
    fn train(&mut self, epoch: u64, step: u64) -> Result<Vec<f32>> {
        let mut clip: Vec<f32> = (0..12)
            .map(|i| (epoch * 100 + step * 10 + i) as f32 * 1e-3)
            .collect();
        if self.bad == Some((epoch, step)) {
            clip[1] = f32::NAN;
        }
        Ok(clip)
    }

    fn valid(&mut self, index: u64) -> Result<Vec<f32>> {
        Ok((0..12).map(|i| (index * 5 + i) as f32 * 0.02).collect())
    }
}

fn options(out: &Path, resume: bool) -> Options {
    Options {
        out: Some(out.to_path_buf()),
        resume,
        seed: (!resume).then_some(3),
        valid: Some(2),
        quiet: true,
        ..Options::default()
    }
}

/// Trains until `stop` says so, counting the steps that were looked at.
fn run(session: &mut Session, o: &Options, clips: &mut Clips, stop_after: u64) -> Result<Outcome> {
    let begun = begin(session, o)?;
    let looked = Cell::new(0);
    let stop = || {
        looked.set(looked.get() + 1);
        looked.get() > stop_after
    };
    Trainer::new(session, o, begun)?.run(clips, &stop)
}

fn weights(dir: &Path) -> Vec<u8> {
    fs::read(dir.join("state.safetensors")).unwrap()
}

#[test]
fn a_run_leaves_all_its_files() {
    let dir = tempfile::tempdir().unwrap();
    let mut s = open(&dir.path().join("compiled"), network(), 1).unwrap();
    let out = dir.path().join("run");
    let outcome = run(
        &mut s,
        &options(&out, false),
        &mut Clips { bad: None },
        u64::MAX,
    )
    .unwrap();
    assert_eq!(outcome, Outcome::Finished);
    let mut names: Vec<String> = fs::read_dir(&out)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let want = [
        "best.safetensors",
        "last.safetensors",
        "metrics.jsonl",
        "plot.svg",
        "preview.png",
        "state.safetensors",
    ];
    assert_eq!(names, want);
    let lines = fs::read_to_string(out.join("metrics.jsonl")).unwrap();
    let record: serde_json::Value = serde_json::from_str(lines.lines().nth(2).unwrap()).unwrap();
    assert_eq!(
        (
            lines.lines().count(),
            record["epoch"].as_u64(),
            record["steps"].as_u64()
        ),
        (3, Some(3), Some(12))
    );
    let silu = |x: f32| f64::from(vsr_kernels::maths::silu(x));
    let mean = (0..4)
        .map(|step| silu((200 + step * 10) as f32 * 1e-3))
        .sum::<f64>()
        / 4.0;
    assert_eq!(record["train"]["loss"].as_f64(), Some(mean));
    let psnr = (silu(0.04) + silu(7.0 * 0.02)) / 2.0;
    assert!((record["valid"]["psnr"].as_f64().unwrap() - psnr).abs() < 1e-12);
    let picture = image::open(out.join("preview.png")).unwrap().to_rgb8();
    // Pictures of 2 x 2 pixels are shown 16 times as large, below a line of letters.
    assert_eq!(picture.dimensions(), (3 * 32 + 2 * 6, 18 + 32));
    let again = run(&mut s, &options(&out, false), &mut Clips { bad: None }, 0).unwrap_err();
    assert!(again.to_string().contains("holds another run"));
}

#[test]
fn a_stopped_run_resumes_to_the_same_bits() {
    let dir = tempfile::tempdir().unwrap();
    let compiled = dir.path().join("compiled");
    let whole = dir.path().join("whole");
    let mut s = open(&compiled, network(), 1).unwrap();
    run(
        &mut s,
        &options(&whole, false),
        &mut Clips { bad: None },
        u64::MAX,
    )
    .unwrap();
    for stop_after in [0, 1, 3, 4, 7] {
        let out = dir.path().join(format!("stopped-{stop_after}"));
        let mut s = open(&compiled, network(), 2).unwrap();
        let first = run(
            &mut s,
            &options(&out, false),
            &mut Clips { bad: None },
            stop_after,
        )
        .unwrap();
        assert_eq!(first, Outcome::Interrupted);
        let mut s = open(&compiled, network(), 1).unwrap();
        let mut o = options(&out, true);
        o.seed = Some(99);
        let refused = run(&mut s, &o, &mut Clips { bad: None }, u64::MAX).unwrap_err();
        assert!(refused.to_string().contains("has seed 3"), "{refused}");
        (o.seed, o.valid) = (None, None);
        run(&mut s, &o, &mut Clips { bad: None }, u64::MAX).unwrap();
        assert_eq!(weights(&out), weights(&whole), "stopped after {stop_after}");
        let metrics = |dir: &Path| fs::read_to_string(dir.join("metrics.jsonl")).unwrap();
        assert_eq!(metrics(&out), metrics(&whole));
    }
}

#[test]
fn nan_stops_names_step_and_term_and_keeps_the_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let mut s = open(&dir.path().join("compiled"), network(), 1).unwrap();
    let out = dir.path().join("run");
    run(
        &mut s,
        &Options {
            epochs: Some(1),
            ..options(&out, false)
        },
        &mut Clips { bad: None },
        u64::MAX,
    )
    .unwrap();
    let good = weights(&out);
    let o = Options {
        epochs: Some(3),
        ..options(&out, true)
    };
    let error = run(&mut s, &o, &mut Clips { bad: Some((1, 2)) }, u64::MAX).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("at step 3 of epoch 2: pixel is NaN"),
        "{text}"
    );
    assert_eq!(error.exit_code(), 1);
    let (mut t, o) = (
        open(&dir.path().join("compiled"), network(), 1).unwrap(),
        options(&out, true),
    );
    assert_eq!(begin(&mut t, &o).unwrap().state.epoch, 1);
    assert_eq!(good.len(), weights(&out).len());
}

#[test]
fn weights_that_are_not_finite_are_never_saved() {
    let dir = tempfile::tempdir().unwrap();
    let mut s = open(&dir.path().join("compiled"), network(), 1).unwrap();
    let o = options(&dir.path().join("run"), false);
    let begun = begin(&mut s, &o).unwrap();
    s.set_weight("a.b", &[1.0, f32::INFINITY, 0.0, 0.0])
        .unwrap();
    let error = Trainer::new(&mut s, &o, begun).unwrap().save().unwrap_err();
    assert!(error.to_string().contains("the weight a.b is not finite"));
    assert!(!dir.path().join("run").exists());
}

#[test]
fn what_cannot_be_resumed_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut s = open(&dir.path().join("compiled"), network(), 1).unwrap();
    let nothing = begin(&mut s, &options(&dir.path().join("none"), true))
        .err()
        .unwrap();
    assert!(nothing.to_string().contains("holds no run to resume"));
    let plain = dir.path().join("plain");
    s.save_weights(
        &plain.join("state.safetensors"),
        Scope::Everything,
        &Default::default(),
    )
    .unwrap();
    assert!(
        begin(&mut s, &options(&plain, true))
            .err()
            .unwrap()
            .to_string()
            .contains("is no checkpoint of training")
    );
    let mut without = network();
    without.train = None;
    let mut t = open(&dir.path().join("b"), without, 1).unwrap();
    assert!(
        begin(&mut t, &options(&dir.path().join("x"), false))
            .err()
            .unwrap()
            .to_string()
            .contains("without training")
    );
}
