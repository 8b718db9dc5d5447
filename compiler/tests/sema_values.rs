//! Elaborated ops of the standard library against reference implementations, in f64.

mod sema;

use sema::model;
use std::collections::BTreeMap;
use vsr_compiler::ir::eval::{Given, evaluate};
use vsr_compiler::sema::Options;

type Tensors = BTreeMap<String, Vec<f64>>;

/// The tensors of a safetensors file, all f32.
fn tensors(path: &str) -> Tensors {
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
        let golden = tensors(&format!("{root}tests/goldens/ops/{name}.safetensors"));
        let entry = &made.entries[0];
        let given = Given {
            inputs: golden.clone(),
            weights: Tensors::new(),
            ..Given::default()
        };
        let values = evaluate(&entry.graph, &given).expect("it evaluates");
        let y = values.output(&entry.graph, "output").expect("a result");
        let want = &golden["y"];
        let largest = want.iter().fold(1e-3, |m: f64, v| m.max(v.abs()));
        let error = y
            .iter()
            .zip(want)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f64::max)
            / largest;
        if y.len() != want.len() || error.is_nan() || error > 2e-6 {
            wrong.push(format!("{name}: {error:.1e}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
