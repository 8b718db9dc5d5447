//! Every device against PyTorch: every op's value, both flagships and VDSR, gradients and steps of Adam.

use std::collections::BTreeMap;
use vsr_artifact::Artifact;
use vsr_compiler::backend::Target;
use vsr_kernels::Level;
use vsr_tests::{
    Golden, Opened, artifact_on, distance, golden, open, open_artifact, open_at, root,
};

const VALUE: f64 = 2e-5;
const GRADIENT: f64 = 1e-4;

pub(crate) fn inputs(golden: &Golden, opened: &Opened, entry: usize) -> Vec<(String, Vec<f32>)> {
    let ports = &opened.session.manifest().entries[entry].inputs;
    let known = ports
        .iter()
        .filter_map(|p| Some((p.name.clone(), golden.tensors.get(&p.name)?.clone())));
    known.collect()
}

pub(crate) fn run(opened: &mut Opened, entry: usize, given: &[(String, Vec<f32>)], step: u64) {
    let given: Vec<(&str, &[f32])> = given
        .iter()
        .map(|(n, v)| (n.as_str(), v.as_slice()))
        .collect();
    opened
        .session
        .run(entry, &given, 0, step)
        .expect("the entry runs");
}

pub(crate) fn goldens_of_ops() -> Vec<String> {
    let mut files: Vec<String> = std::fs::read_dir(root().join("tests/goldens/ops"))
        .expect("goldens")
        .map(|f| {
            f.expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    files.sort();
    files
}

/// An op's golden, compiled for a target, and what comes out.
pub(crate) fn op(golden: &Golden, target: Target) -> (Artifact, Vec<f32>) {
    let set = golden.settings("set");
    let artifact = artifact_on(target, &golden.about["source"], &["case"], &set);
    let mut opened = open_artifact(&artifact, 2);
    let entry = opened.session.find("infer", "case").expect("the entry");
    let given = inputs(golden, &opened, entry);
    run(&mut opened, entry, &given, 0);
    let name = &artifact.manifest.entries[entry].outputs[0].name;
    let result = opened.session.output(entry, name).to_vec();
    (artifact, result)
}

fn check_ops(target: Target) {
    let mut wrong = vec![];
    for file in goldens_of_ops() {
        let golden = golden(&format!("ops/{file}"));
        let d = distance(&op(&golden, target).1, &golden.tensors["y"]);
        if d > VALUE {
            wrong.push(format!("{file} is off by {d:.1e}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_op_agrees_with_pytorch() {
    check_ops(Target::X86_64V3);
}

#[test]
fn every_op_agrees_with_pytorch_step_by_step() {
    check_ops(Target::Interpreter);
}

pub(crate) fn set_weights(opened: &mut Opened, weights: &BTreeMap<String, Vec<f32>>) {
    opened.session.init_weights(0).unwrap();
    for (key, values) in weights {
        opened
            .session
            .set_weight(key, values)
            .expect("the golden's keys are the network's");
    }
}

fn check_network(target: Target, name: &str, profile: &str, infer: &str) {
    let golden = golden(name);
    let mut set = golden.settings("set");
    set.retain(|(k, _)| k != "strength");
    set.extend(golden.settings(infer));
    let artifact = artifact_on(target, &golden.about["source"], &[profile], &set);
    let mut opened = open_artifact(&artifact, 2);
    set_weights(&mut opened, &golden.under("weight."));
    let entry = opened.session.find("infer", profile).expect("the entry");
    let given = inputs(&golden, &opened, entry);
    run(&mut opened, entry, &given, 0);
    let port = opened.session.manifest().entries[entry].outputs[0]
        .name
        .clone();
    let d = distance(opened.session.output(entry, &port), &golden.tensors["y"]);
    assert!(d < VALUE, "{name}: the result is off by {d:.1e}");
}

fn check_training(target: Target, name: &str) {
    let golden = golden(name);
    let mut set = golden.settings("set");
    set.extend(golden.settings("dims"));
    let artifact = artifact_on(target, &golden.about["source"], &["train"], &set);
    let mut opened = open_artifact(&artifact, 2);
    set_weights(&mut opened, &golden.under("weight."));
    let entry = opened.session.find("train", "train").expect("the entry");
    let mut given = inputs(&golden, &opened, entry);
    given.retain(|(n, _)| !["step", "epoch", "rate"].contains(&n.as_str()));
    given.push(("rate".into(), vec![1e-3]));
    run(&mut opened, entry, &given, 0);
    let outputs: Vec<String> = opened.session.manifest().entries[entry]
        .outputs
        .iter()
        .map(|p| p.name.clone())
        .collect();
    for term in outputs {
        let Some(want) = golden.tensors.get(&term) else {
            // How strongly inputs are degraded: the twin is given degraded ones.
            assert_eq!(term, "level");
            continue;
        };
        let d = distance(opened.session.output(entry, &term), want);
        assert!(d < VALUE, "{name}: {term} is off by {d:.1e}");
    }
    // After one step from nothing, Adam's first moment is a tenth of the gradient.
    // A gradient that is 0 but for rounding (a bias before a softmax) is held against the largest of all.
    let gradients = golden.under("grad.");
    let most = |v: &[f32]| v.iter().fold(0f32, |m, x| m.max(x.abs()));
    let largest = gradients.values().map(|v| most(v)).fold(0f32, f32::max);
    let mut wrong = vec![];
    for (key, want) in gradients {
        let moment = opened
            .session
            .weight(&format!("optimizer.m.{key}"))
            .expect("its numbers");
        let got: Vec<f32> = if moment.is_empty() {
            vec![0.0; want.len()]
        } else {
            moment.iter().map(|x| 10.0 * x).collect()
        };
        let share = f64::from(most(&want) / (1e-3 * largest)).min(1.0);
        let d = distance(&got, &want) * share;
        if d > GRADIENT {
            wrong.push(format!("{key} by {d:.1e}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{name}: gradients are off: {}",
        wrong.join(", ")
    );
}

#[test]
fn flagship_with_deformable_alignment_agrees_with_pytorch() {
    check_network(Target::X86_64V3, "vsr-deform.safetensors", "tile", "dims");
    check_training(Target::X86_64V3, "vsr-deform.safetensors");
}

#[test]
fn flagship_with_plain_convolutions_agrees_with_pytorch() {
    check_network(Target::X86_64V3, "vsr-plain.safetensors", "tile", "dims");
    check_training(Target::X86_64V3, "vsr-plain.safetensors");
}

#[test]
fn flagship_agrees_with_pytorch_step_by_step() {
    check_network(
        Target::Interpreter,
        "vsr-deform.safetensors",
        "tile",
        "dims",
    );
    check_training(Target::Interpreter, "vsr-deform.safetensors");
}

#[test]
fn vdsr_agrees_with_pytorch_over_three_steps_of_adam() {
    check_network(Target::X86_64V3, "vdsr.safetensors", "picture", "infer");
    check_training(Target::X86_64V3, "vdsr.safetensors");
}

/// The bits of every weight and state behind two steps of training from a golden's weights.
pub(crate) fn trained(opened: &mut Opened, golden: &Golden) -> Vec<Vec<u32>> {
    set_weights(opened, &golden.under("weight."));
    let entry = opened.session.find("train", "train").expect("the entry");
    let mut given = inputs(golden, opened, entry);
    given.retain(|(n, _)| !["step", "epoch", "rate"].contains(&n.as_str()));
    for step in 0..2 {
        run(opened, entry, &given, step);
    }
    let weights = opened.session.manifest().weights.clone();
    let mut bits = |key: &str| {
        let numbers = opened.session.weight(key).expect("its numbers");
        numbers.iter().map(|v| v.to_bits()).collect()
    };
    weights.iter().map(|w| bits(&w.key)).collect()
}

/// Same artifact and seed: the same weights, whatever the number of threads.
#[test]
fn results_depend_neither_on_threads_nor_on_the_width_of_vectors() {
    let golden = golden("vsr-deform.safetensors");
    let mut set = golden.settings("set");
    set.extend(golden.settings("dims"));
    let mut after = vec![];
    for (n_threads, level) in [(1, None), (2, None), (3, None), (2, Some(Level::Avx2))] {
        if level > Some(Level::detect()) {
            continue;
        }
        let source = &golden.about["source"];
        let mut opened = open_at(level, source, &["train"], &set, n_threads);
        after.push(trained(&mut opened, &golden));
    }
    assert!(after[1..].iter().all(|bits| *bits == after[0]));
}

#[test]
fn the_same_source_gives_the_same_bytes() {
    let set = [("ch".to_string(), "8".to_string())];
    let [a, b] = [0, 1].map(|_| vsr_tests::artifact("models/vsr.vsr", &["tile"], &set));
    assert!(a == b);
}

/// A batch of four equal pictures has the loss and the gradients of one. One is below the size from which sums are
/// Winograd's, four are above it: so the direct sums stand against those, in machine code.
#[test]
fn winograd_trains_as_direct_sums_do() {
    let (h, w) = (16, 16);
    let picture: Vec<f32> = (0..3 * h * w)
        .map(|i| ((i * 7919) % 1000) as f32 / 1000.0)
        .collect();
    let step = |batch: usize| {
        let set = [("B", batch), ("H", h), ("W", w)].map(|(k, v)| (k.to_string(), v.to_string()));
        let mut opened = open("tests/peers/shapes/conv2d.vsr", &["train"], &set, 2);
        opened.session.init_weights(3).unwrap();
        let entry = opened.session.find("train", "train").expect("the entry");
        let given = [("x".to_string(), picture.repeat(batch))];
        run(&mut opened, entry, &given, 0);
        let n_products = opened.session.manifest().entries[entry]
            .launches
            .iter()
            .filter(|l| l.label.contains("product"))
            .count();
        let loss = opened.session.output(entry, "loss").to_vec();
        let keys = ["head.weight", "mid.weight", "mid.bias", "tail.weight"];
        let moments = keys.map(|k| {
            opened
                .session
                .weight(&format!("optimizer.m.{k}"))
                .expect("its numbers")
                .to_vec()
        });
        (n_products, loss, moments)
    };
    let ((none, loss, direct), (some, same, winograd)) = (step(1), step(4));
    assert!(
        none == 0 && some >= 6,
        "{none} and {some} Winograd products"
    );
    assert!(!loss.is_empty() && distance(&same, &loss) < 1e-6);
    for (got, want) in winograd.iter().zip(&direct) {
        assert!(
            !want.is_empty() && distance(got, want) < 1e-5,
            "{}",
            distance(got, want)
        );
    }
}

/// Groups too large for a tile: mean and variance from one kernel, the rest from another. A group of 32 Ki numbers is
/// walked over twice, a larger one block by block, where blocks' own means differ by as much as numbers do.
#[test]
fn a_large_group_norm_is_what_it_says() {
    large_group_norm(64);
    large_group_norm(96);
    large_group_norm(128);
}

fn large_group_norm(side: usize) {
    let (c, n, groups) = (64, side * side, 8);
    let side = side.to_string();
    let set = [
        ("op", "group_norm_silu"),
        ("C", "64"),
        ("H", &side),
        ("W", &side),
    ];
    let set = set.map(|(k, v)| (k.to_string(), v.to_string()));
    let mut opened = open("tests/peers/shapes/rows.vsr", &["rows"], &set, 2);
    let entry = opened.session.find("infer", "rows").expect("the entry");
    assert!(opened.session.manifest().entries[entry].launches.len() <= 3);
    let x: Vec<f32> = (0..c * n)
        .map(|i| ((i * 7919) % 2003) as f32 / 500.0 + 1.0 + (i / n % 5) as f32)
        .collect();
    let ports = opened.session.manifest().entries[entry].inputs.clone();
    let given: Vec<(String, Vec<f32>)> =
        ports.iter().map(|p| (p.name.clone(), x.clone())).collect();
    run(&mut opened, entry, &given, 0);
    let size = c / groups * n;
    let want: Vec<f32> = x
        .chunks(size)
        .flat_map(|g| {
            let mean = g.iter().map(|v| f64::from(*v)).sum::<f64>() / size as f64;
            let squares = g.iter().map(|v| (f64::from(*v) - mean).powi(2));
            let scale = 1.0 / (squares.sum::<f64>() / size as f64 + 1e-5).sqrt();
            g.iter().map(move |v| {
                let y = (f64::from(*v) - mean) * scale;
                (y / (1.0 + (-y).exp())) as f32
            })
        })
        .collect();
    let name = opened.session.manifest().entries[entry].outputs[0]
        .name
        .clone();
    assert!(distance(opened.session.output(entry, &name), &want) < VALUE);
}

/// Channels last, as they are and computed, where blocks have rests and where they have none.
#[test]
fn transposed_layouts_hold_the_same_numbers() {
    for (op, scale, shift) in [("turned", 1.0, 0.0), ("turned_scaled", 2.0, 1.0)] {
        for (c, h, w) in [(64, 16, 96), (33, 20, 70), (9, 3, 300), (4, 30, 40)] {
            let size = |name: &str, n: usize| (name.to_string(), n.to_string());
            let mut set = vec![size("C", c), size("H", h), size("W", w)];
            set.push(("op".to_string(), op.to_string()));
            let mut opened = open("tests/peers/shapes/rows.vsr", &["rows"], &set, 2);
            let entry = opened.session.find("infer", "rows").expect("the entry");
            let n = h * w;
            let x: Vec<f32> = (0..c * n).map(|i| i as f32).collect();
            let manifest = opened.session.manifest();
            let names = manifest.entries[entry].inputs.iter();
            let given: Vec<_> = names.map(|p| (p.name.clone(), x.clone())).collect();
            let output = manifest.entries[entry].outputs[0].name.clone();
            run(&mut opened, entry, &given, 0);
            let want: Vec<f32> = (0..n * c)
                .map(|at| scale * x[at % c * n + at / c] + shift)
                .collect();
            assert!(
                opened.session.output(entry, &output) == want,
                "{op} {c} {h} {w}"
            );
        }
    }
}
