//! Elaborated ops of the standard library against reference implementations, in f64.

mod sema;

use sema::model;
use std::collections::BTreeMap;
use vsr_compiler::ir::eval::{Given, evaluate};
use vsr_compiler::sema::Options;

type Tensors = BTreeMap<String, Vec<f64>>;

/// The tensors of a safetensors file, all f32.
fn tensors(name: &str) -> Tensors {
    let path = format!(
        concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../tests/goldens/{}.safetensors"
        ),
        name
    );
    let bytes = std::fs::read(path).expect("the golden is committed");
    let (length, rest) = bytes.split_at(8);
    let length = u64::from_le_bytes(length.try_into().expect("eight bytes")) as usize;
    let header: serde_json::Value = serde_json::from_slice(&rest[..length]).expect("a JSON header");
    let mut all = Tensors::new();
    for (name, entry) in header
        .as_object()
        .expect("a table")
        .iter()
        .filter(|e| e.0 != "__metadata__")
    {
        let offset = |at: usize| entry["data_offsets"][at].as_u64().expect("an offset") as usize;
        let data = &rest[length + offset(0)..length + offset(1)];
        let numbers = data
            .chunks(4)
            .map(|b| f64::from(f32::from_le_bytes(b.try_into().expect("four bytes"))));
        all.insert(name.clone(), numbers.collect());
    }
    all
}

/// The largest difference, relative to the largest number.
fn distance(y: &[f64], want: &[f64]) -> f64 {
    assert_eq!(y.len(), want.len());
    let largest = want.iter().fold(1e-3, |m: f64, v| m.max(v.abs()));
    y.iter()
        .zip(want)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f64::max)
        / largest
}

fn options(profile: &str, set: &[(&str, &str)]) -> Options {
    let set = set
        .iter()
        .map(|(n, v)| ((*n).to_string(), (*v).to_string()))
        .collect();
    Options {
        profiles: vec![profile.into()],
        set,
        ..Options::default()
    }
}

/// Weights, inputs and the step's scalars of a golden.
fn given(golden: &Tensors) -> Given {
    let mut inputs = golden.clone();
    inputs.extend(["step", "epoch"].map(|n| (n.to_string(), vec![0.0])));
    inputs.insert("rate".into(), vec![1e-3]);
    let weights = golden
        .iter()
        .filter_map(|(k, v)| Some((k.strip_prefix("weight.")?.to_string(), v.clone())));
    Given {
        weights: weights.collect(),
        inputs,
        ..Given::default()
    }
}

/// Adam's first moment after one step is a tenth of the gradient.
fn check_step(path: &str, golden: &Tensors, set: &[(&str, &str)]) {
    let made = model(path, &options("train", set));
    let train = sema::entry(&made, "train", "train");
    let values = evaluate(&train.graph, &given(golden)).expect("it evaluates");
    for name in train.graph.outputs.iter().map(|o| &o.0) {
        let error = distance(
            values.output(&train.graph, name).expect("an output"),
            &golden[name],
        );
        assert!(error < 1e-4, "{name}: {error:.1e}");
    }
    let updates = values.updates(&train.graph);
    for (key, want) in golden
        .iter()
        .filter_map(|(k, v)| Some((k.strip_prefix("grad.")?, v)))
    {
        let Some(moment) = updates.get(&format!("optimizer.m.{key}")) else {
            assert!(want.iter().all(|g| *g == 0.0), "{key} is not trained");
            continue;
        };
        let gradient: Vec<f64> = moment.iter().map(|m| m / (1.0 - 0.9)).collect();
        let largest = want.iter().fold(1e-9, |m: f64, v| m.max(v.abs()));
        let error = distance(&gradient, want) * largest.max(1e-3) / largest;
        assert!(error < 1e-4, "{key}: {error:.1e}");
    }
}

fn check_infer(path: &str, profile: &str, golden: &Tensors, set: &[(&str, &str)]) {
    let made = model(path, &options(profile, set));
    let infer = sema::entry(&made, "infer", profile);
    let values = evaluate(&infer.graph, &given(golden)).expect("it evaluates");
    let error = distance(
        values.output(&infer.graph, "output").expect("a result"),
        &golden["y"],
    );
    assert!(error < 1e-5, "{path}: {error:.1e}");
}

#[test]
fn vdsr_runs_and_learns_like_its_twin() {
    let golden = tensors("vdsr");
    let size = [("width", "8"), ("depth", "4")];
    let with = |dims: &[(&'static str, &'static str)]| [&size, dims].concat();
    check_infer(
        "models/vdsr.vsr",
        "picture",
        &golden,
        &with(&[("B", "1"), ("H", "24"), ("W", "24")]),
    );
    check_step(
        "models/vdsr.vsr",
        &golden,
        &with(&[("B", "2"), ("H", "32"), ("W", "32")]),
    );
}

const FLAGSHIP: [(&str, &str); 8] = [
    ("B", "1"),
    ("T", "3"),
    ("H", "16"),
    ("W", "16"),
    ("ch", "8"),
    ("rank", "8"),
    ("blocks", "1"),
    ("strength", "0.0"),
];

#[test]
fn the_flagship_with_alignment_is_like_its_twin() {
    let golden = tensors("vsr-deform");
    check_infer("models/vsr.vsr", "tile", &golden, &FLAGSHIP);
    check_step("models/vsr.vsr", &golden, &FLAGSHIP);
}

#[test]
fn the_flagship_of_plain_convolutions_is_like_its_twin() {
    let golden = tensors("vsr-plain");
    let set = [
        &FLAGSHIP[..],
        &[("deform", "false"), ("attention", "false")],
    ]
    .concat();
    check_infer("models/vsr.vsr", "tile", &golden, &set);
    check_step("models/vsr.vsr", &golden, &set);
}

#[test]
fn ops_give_the_numbers_of_their_references() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../");
    let mut names: Vec<String> = std::fs::read_dir(format!("{root}tests/cases/ops"))
        .expect("the cases are committed")
        .filter_map(|f| Some(f.ok()?.path().file_stem()?.to_str()?.to_string()))
        .collect();
    names.sort();
    assert!(names.len() > 60, "{names:?}");
    let mut wrong = vec![];
    for name in names {
        let made = model(&format!("tests/cases/ops/{name}.vsr"), &Options::default());
        let golden = tensors(&format!("ops/{name}"));
        let entry = &made.entries[0];
        let given = Given {
            inputs: golden.clone(),
            weights: Tensors::new(),
            ..Given::default()
        };
        let values = evaluate(&entry.graph, &given).expect("it evaluates");
        let y = values.output(&entry.graph, "output").expect("a result");
        let want = &golden["y"];
        let error = distance(y, want);
        if error.is_nan() || error > 2e-6 {
            wrong.push(format!("{name}: {error:.1e}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
