//! The standard library and the networks against PyTorch: values, losses, gradients, steps of Adam.
//!
//! Enters: `tests/goldens` (see its README). The graph is evaluated in f64 by the oracle, so a difference is one of
//! meaning, never of rounding. No machine code runs here.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use crate::golden::{Golden, distance, folder, golden, input, product};
use crate::sema::{entry, model};
use vsr_compiler::autodiff::gradients;
use vsr_compiler::ir::build::Builder;
use vsr_compiler::ir::eval::{Given, evaluate, evaluate_nodes};
use vsr_compiler::ir::graph::{NodeId, Origin};
use vsr_compiler::sema::{EntryGraph, Options};

const TOLERANCE: f64 = 2e-6;

fn entry_of(golden: &Golden, name: &str, profile: &str, dims: &str) -> EntryGraph {
    let mut set = golden.settings("set");
    if name == "infer" {
        set.retain(|(k, _)| k != "strength");
    }
    set.extend(golden.settings(dims));
    let options = Options {
        name: None,
        profiles: vec![profile.into()],
        set,
    };
    entry(&model(&golden.about["source"], &options), name, profile).clone()
}

/// What is wrong with an op: values, then gradients.
fn check_op(path: &Path) -> Vec<String> {
    let golden = golden(path);
    let mut graph = entry_of(&golden, "infer", "case", "").graph;
    let mut given = Given {
        inputs: golden.tensors.clone(),
        ..Given::default()
    };
    given
        .inputs
        .insert("$dy".into(), golden.tensors["dy"].clone());
    let y = graph.outputs[0].1;
    let wanted = golden.under("grad.");
    let inputs: Vec<(String, NodeId)> = wanted
        .keys()
        .filter_map(|k| Some((k.clone(), input(&graph, k)?)))
        .collect();
    let nodes: Vec<NodeId> = inputs.iter().map(|(_, id)| *id).collect();
    let mut b = Builder::new(&mut graph);
    let shape = b.shape(y).to_vec();
    let dy = b.input("$dy", shape, Origin::default());
    let loss = product(&mut b, y, dy);
    let found = if nodes.is_empty() {
        vec![]
    } else {
        gradients(&mut b, loss, &nodes)
    };
    let mut roots: Vec<NodeId> = found.iter().flatten().copied().collect();
    roots.push(y);
    let values = evaluate_nodes(&graph, &given, &roots).unwrap();
    let mut wrong = vec![];
    let mut compare = |what: String, got: &[f64], want: &[f64]| {
        let d = distance(got, want);
        if d > TOLERANCE {
            wrong.push(format!(
                "{}: {what} is off by {d:.1e}",
                golden.about["source"]
            ));
        }
    };
    compare(
        "the value".into(),
        values.get(y).unwrap(),
        &golden.tensors["y"],
    );
    for ((name, _), node) in inputs.iter().zip(&found) {
        let zero = vec![0.0; wanted[name].len()];
        let got = node.map_or(&zero[..], |id| values.get(id).unwrap());
        compare(format!("the gradient of {name}"), got, &wanted[name]);
    }
    wrong
}

#[test]
fn every_op_agrees_with_pytorch() {
    let only = std::env::var("GOLDEN").unwrap_or_default();
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder("ops"))
        .unwrap()
        .map(|f| f.unwrap().path())
        .filter(|p| p.to_string_lossy().contains(&only))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    let wrong: Vec<String> = files.iter().flat_map(|path| check_op(path)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn check_network(name: &str, profile: &str, infer: &str) {
    let golden = golden(&folder(name));
    let weights = golden.under("weight.");
    let given = Given {
        inputs: golden.tensors.clone(),
        weights: weights.clone(),
        ..Given::default()
    };
    let run = entry_of(&golden, "infer", profile, infer);
    let values = evaluate(&run.graph, &given).unwrap();
    let y = values.get(run.graph.outputs[0].1).unwrap();
    assert!(
        distance(y, &golden.tensors["y"]) < TOLERANCE,
        "{name}: the result"
    );

    let train = entry_of(&golden, "train", "train", "dims").graph;
    let mut given = given;
    for (name, value) in [("step", 0.0), ("epoch", 0.0), ("rate", 1e-3)] {
        given.inputs.insert(name.into(), vec![value]);
    }
    let values = evaluate(&train, &given).unwrap();
    for (term, _) in &train.outputs {
        let got = values.output(&train, term).unwrap();
        let Some(want) = golden.tensors.get(term) else {
            // How strongly inputs are degraded: the twin is given degraded ones.
            assert_eq!((term.as_str(), got), ("level", &[0.0][..]));
            continue;
        };
        let d = distance(got, want);
        assert!(d < TOLERANCE, "{name}: {term} is {got:?}, off by {d:.1e}");
    }
    // After one step from nothing, Adam's first moment is a tenth of the gradient.
    let updates = values.updates(&train);
    for (key, want) in golden.under("grad.") {
        let moment = updates.get(&format!("optimizer.m.{key}"));
        let got = moment.map_or(vec![0.0; want.len()], |m| {
            m.iter().map(|x| 10.0 * x).collect()
        });
        let d = distance(&got, &want);
        assert!(d < 1e-4, "{name}: the gradient of {key} is off by {d:.1e}");
    }
}

#[test]
fn narrow_flagship_with_deformable_alignment_agrees_with_pytorch() {
    check_network("vsr-deform.safetensors", "tile", "dims");
}

#[test]
fn narrow_flagship_with_plain_convolutions_agrees_with_pytorch() {
    check_network("vsr-plain.safetensors", "tile", "dims");
}

#[test]
fn narrow_vdsr_agrees_with_pytorch() {
    check_network("vdsr.safetensors", "picture", "infer");
}

#[test]
fn three_steps_of_adam_agree_with_pytorch() {
    let golden = golden(&folder("vdsr.safetensors"));
    let train = entry_of(&golden, "train", "train", "dims").graph;
    let mut given = Given {
        inputs: golden.tensors.clone(),
        weights: golden.under("weight."),
        ..Given::default()
    };
    for step in 0..3 {
        for (name, value) in [("step", f64::from(step)), ("epoch", 0.0), ("rate", 1e-3)] {
            given.inputs.insert(name.into(), vec![value]);
        }
        let updates = evaluate(&train, &given).unwrap().updates(&train);
        given.weights.extend(updates);
    }
    for (key, want) in golden.under("after.") {
        let d = distance(&given.weights[&key], &want);
        assert!(d < TOLERANCE, "{key} is off by {d:.1e}");
    }
}
