//! `ema`: training keeps a running mean of the weights, and everything that uses the network uses the mean.
//! The truth is computed here, from the weights that successive checkpoints hold.

use super::common::*;
use std::collections::BTreeMap;
use std::path::Path;
use vsr_runtime::tensors::{self, View};

const KEYS: [&str; 2] = ["conv.weight", "conv.bias"];

/// Trains one step at a time and gives the weights after each, as the resumable state holds them.
fn weights_after_each_step(dir: &Path, n_steps: u64) -> Vec<Vec<f32>> {
    let mut all = vec![];
    for n in 1..=n_steps {
        let how = match n {
            1 => "--out run --steps 1 --valid 1 --seed 4".to_string(),
            _ => "--resume run".to_string(),
        };
        succeed(dir, &format!("train net {how} --epochs {n} -q"));
        let state = dir.join("run/state.safetensors");
        all.push(KEYS.iter().flat_map(|k| tensor(&state, k)).collect());
    }
    all
}

fn of_file(path: &Path) -> Vec<f32> {
    KEYS.iter().flat_map(|k| tensor(path, k)).collect()
}

fn is_near(got: &[f32], want: &[f64]) -> bool {
    got.len() == want.len()
        && got
            .iter()
            .zip(want)
            .all(|(a, b)| (f64::from(*a) - b).abs() < 1e-6)
}

#[test]
fn checkpoints_hold_the_mean_of_the_weights_and_validation_uses_it() {
    let dir = workplace();
    let dir = dir.path();
    let steps = weights_after_each_step(dir, 4);
    let mut mean: Vec<f64> = steps[0].iter().map(|v| f64::from(*v)).collect();
    for step in &steps[1..] {
        mean.iter_mut()
            .zip(step)
            .for_each(|(m, v)| *m = 0.5 * *m + 0.5 * f64::from(*v));
    }
    let last = of_file(&dir.join("run/last.safetensors"));
    assert!(is_near(&last, &mean), "{last:?} is not {mean:?}");
    let raw: Vec<f64> = steps[3].iter().map(|v| f64::from(*v)).collect();
    assert!(
        !is_near(&last, &raw),
        "the weights moved, so their mean is another"
    );

    // The resumable state holds the weights under their keys and the means beside them.
    let state = dir.join("run/state.safetensors");
    for key in KEYS {
        let beside = tensor(&state, &format!("ema.{key}"));
        assert_eq!(beside, tensor(dir.join("run/last.safetensors"), key));
    }

    // The numbers of validation are those of the mean: the compiled step on the same clip, with weights from the file.
    write_clip(&dir.join("clip.safetensors"));
    let on_clip = |weights: &str| {
        let words = format!(
            "exec net --entry eval --inputs clip.safetensors --weights {weights} -o out.safetensors"
        );
        succeed(dir, &words);
        (
            tensor(dir.join("out.safetensors"), "loss"),
            tensor(dir.join("out.safetensors"), "preview.output"),
        )
    };
    assert_eq!(
        on_clip("run/state.safetensors"),
        on_clip("run/last.safetensors")
    );
    write_weights(&dir.join("raw.safetensors"), &state, "");
    write_weights(&dir.join("mean.safetensors"), &state, "ema.");
    assert_eq!(on_clip("mean.safetensors"), on_clip("run/last.safetensors"));
    assert_ne!(on_clip("raw.safetensors"), on_clip("run/last.safetensors"));
}

/// A clip for the `eval` entry, by rule.
fn write_clip(path: &Path) {
    let shape = [2, 3, 1, 16, 16];
    let data: Vec<f32> = (0..2 * 3 * 256)
        .map(|i| (i * 37 % 101) as f32 / 101.0)
        .collect();
    let view = View {
        name: "clip",
        shape: &shape,
        data: &data,
    };
    tensors::write(path, &[view], &BTreeMap::new()).expect("a file");
}

/// Weights under plain keys, taken from a checkpoint's keys that begin so.
fn write_weights(path: &Path, state: &Path, prefix: &str) {
    let file = tensors::read(state).expect("a checkpoint");
    let all: Vec<_> = KEYS
        .iter()
        .map(|k| (k, &file.tensors[&format!("{prefix}{k}")]))
        .collect();
    let view = |(name, t): &(&&'static str, &'_ tensors::Tensor)| {
        (**name, t.shape.clone(), t.data.clone())
    };
    let all: Vec<_> = all.iter().map(view).collect();
    let views: Vec<View> = all
        .iter()
        .map(|(name, shape, data)| View { name, shape, data })
        .collect();
    tensors::write(path, &views, &BTreeMap::new()).expect("a file");
}

/// What `train` reports of held-out clips is what training with the means in place of the weights would report.
#[test]
fn the_reported_validation_is_that_of_the_mean() {
    let dir = workplace();
    let dir = dir.path();
    let valid = |run: &str| metrics(&dir.join(run)).last().expect("an epoch")["valid"].clone();
    succeed(dir, "train net --out a --epochs 2 --steps 3 --valid 2 -q");
    // A step at rate 0 leaves the weights as they are: then weights and mean are one.
    succeed(
        dir,
        "train net --out b --epochs 1 --steps 1 --valid 2 --rate 0 --weights a/last.safetensors -q",
    );
    assert_eq!(valid("a"), valid("b"));
    write_weights(
        &dir.join("raw.safetensors"),
        &dir.join("a/state.safetensors"),
        "",
    );
    succeed(
        dir,
        "train net --out c --epochs 1 --steps 1 --valid 2 --rate 0 --weights raw.safetensors -q",
    );
    assert_ne!(valid("a"), valid("c"));
}

/// `upscale` and `exec --entry infer` of a checkpoint: the pictures of the mean, whichever file is given.
#[test]
fn pictures_are_made_with_the_mean() {
    let dir = workplace();
    let dir = dir.path();
    succeed(dir, "train net --out run --epochs 1 --steps 3 --valid 1 -q");
    write_film(&dir.join("in.y4m"), 16, 16, 2);
    let pictures = |weights: &str| {
        succeed(
            dir,
            &format!("upscale net in.y4m -o out.y4m --weights run/{weights} -q"),
        );
        bytes(dir.join("out.y4m"))
    };
    let of_mean = pictures("last.safetensors");
    assert_eq!(of_mean, pictures("state.safetensors"));
    write_weights(
        &dir.join("run/raw.safetensors"),
        &dir.join("run/state.safetensors"),
        "",
    );
    assert_ne!(of_mean, pictures("raw.safetensors"));
}
