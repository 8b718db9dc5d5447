//! The networks of `models/`: weights, entries and inputs.

use crate::sema::{entry, model, parameters};
use vsr_compiler::ir::graph::Op;
use vsr_compiler::sema::{Options, WeightKind};

fn options(profile: &str) -> Options {
    Options {
        profiles: vec![profile.into()],
        ..Options::default()
    }
}

fn set(name: &str, value: &str) -> (String, String) {
    (name.into(), value.into())
}

#[test]
fn vdsr_has_one_storage_for_three_entries() {
    let made = model("models/vdsr.vsr", &Options::default());
    assert_eq!(parameters(&made), 664_704);
    let keys: Vec<&str> = made
        .weights
        .iter()
        .filter(|w| w.kind == WeightKind::Trained)
        .map(|w| w.key.as_str())
        .collect();
    assert_eq!(keys.len(), 20);
    assert_eq!(
        (keys[0], keys[19]),
        ("features.0.weight", "features.38.weight")
    );
    let names: Vec<&str> = made.entries.iter().map(|e| e.name).collect();
    assert_eq!(
        names.iter().filter(|n| **n == "train").count(),
        1,
        "{names:?}"
    );
    assert!(
        names.contains(&"eval") && names.contains(&"infer"),
        "{names:?}"
    );
}

#[test]
fn a_training_step_updates_every_weight_and_its_moments() {
    let mut wanted = options("train");
    wanted.set = vec![
        set("depth", "3"),
        set("B", "2"),
        set("H", "32"),
        set("W", "32"),
    ];
    let made = model("models/vdsr.vsr", &wanted);
    let train = entry(&made, "train", "train");
    let updates = train
        .graph
        .ids()
        .filter(|id| matches!(train.graph.node(*id).op, Op::Update))
        .count();
    // Adam keeps a count and two moments for each of the three weights.
    assert_eq!(updates, 3 * 4);
    let state = made
        .weights
        .iter()
        .find(|w| w.key == "optimizer.m.features.0.weight")
        .expect("a first moment");
    assert_eq!(
        state.kind,
        WeightKind::Optimizer {
            of: "features.0.weight".into()
        }
    );
    assert_eq!(state.shape, [64, 1, 3, 3]);
    let inputs: Vec<&str> = train.inputs.iter().map(|i| i.name.as_str()).collect();
    assert_eq!(&inputs[1..], ["step", "epoch", "rate"]);
    assert_eq!(train.inputs[0].shape, [2, 3, 1, 32, 32]);
    let outputs: Vec<&str> = entry(&made, "eval", "train")
        .graph
        .outputs
        .iter()
        .map(|o| o.0.as_str())
        .collect();
    assert_eq!(
        outputs,
        ["loss", "pixel", "psnr", "preview.input", "preview.output"]
    );
}

#[test]
fn the_flagship_elaborates_in_every_profile() {
    let made = model("models/vsr.vsr", &Options::default());
    let train = made.train.as_ref().expect("a train item");
    assert_eq!(train.tunable, [("rate".to_string(), 1e-5, 1e-3)]);
    assert_eq!(train.data.len(), 1);
    let tile = entry(&made, "infer", "tile");
    assert_eq!(tile.graph.shape(tile.graph.outputs[0].1), [1, 3, 256, 256]);
    assert_eq!(parameters(&made), 6_802_510);
    let keys: Vec<&str> = made.weights.iter().map(|w| w.key.as_str()).collect();
    assert!(
        keys.contains(&"align.weight") && keys.contains(&"bottleneck.0.to_q.weight"),
        "{keys:?}"
    );
}

#[test]
fn parameters_of_the_model_and_dims_can_be_set() {
    let mut wanted = options("tile");
    wanted.set = vec![
        set("ch", "16"),
        set("scale", "2"),
        set("H", "32"),
        set("deform", "false"),
    ];
    let made = model("models/vsr.vsr", &wanted);
    let tile = entry(&made, "infer", "tile");
    assert_eq!(tile.graph.shape(tile.graph.outputs[0].1), [1, 3, 64, 128]);
    assert_eq!(made.model.parameters["ch"], "16");
    assert!(!made.weights.iter().any(|w| w.key.contains("conv_offset")));
}
