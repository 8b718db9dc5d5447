//! The networks of the field against their reference implementations: values, gradients of inputs and of every weight,
//! and the keys and shapes of the full networks.
//!
//! Enters: `tests/goldens/networks` (see the README there). Weights are a function of their keys, here and in the script
//! that made the numbers. The graph is evaluated in f64; no machine code runs here.

#![allow(clippy::unwrap_used)]

#[path = "../../tests/src/reference.rs"]
mod reference;
use std::collections::BTreeMap;

use crate::golden;
use crate::golden::{Golden, distance, folder, golden, input, product};
use crate::sema::{model, run};
use reference::{fnv, noise, weight};
use vsr_compiler::autodiff::gradients;
use vsr_compiler::ir::build::Builder;
use vsr_compiler::ir::eval::{Given, evaluate_nodes};
use vsr_compiler::ir::graph::{NodeId, Op, Origin};
use vsr_compiler::pass_manager::PassManager;
use vsr_compiler::sema::{Elaborated, Options, Weight};

fn count(shape: &[i64]) -> usize {
    shape.iter().product::<i64>() as usize
}

fn elaborated(golden: &Golden) -> Elaborated {
    let name = golden.about["entry"].clone();
    let mut set = golden.settings("set");
    set.extend(golden.settings("dims"));
    let options = Options {
        name: (!name.is_empty()).then_some(name),
        profiles: vec![],
        set,
    };
    model(&golden.about["source"], &options)
}

/// `sum(y*dy)` over all results, as a node.
fn loss(b: &mut Builder<'_>, outputs: &[NodeId], given: &mut Given) -> NodeId {
    let mut terms = vec![];
    for (at, y) in outputs.iter().enumerate() {
        let shape = b.shape(*y).to_vec();
        let name = format!("dy.{at}");
        given
            .inputs
            .insert(name.clone(), noise(&name, count(&shape)));
        let dy = b.input(&name, shape, Origin::default());
        terms.push(product(b, *y, dy));
    }
    let first = terms.remove(0);
    terms
        .into_iter()
        .fold(first, |sum, term| golden::sum(b, sum, term))
}

/// Values to `value`, gradients to `gradient`, each relative to the largest number.
fn check(name: &str, value: f64, gradient: f64) {
    let golden = golden(&folder(&format!("networks/{name}.safetensors")));
    let made = elaborated(&golden);
    let mut graph = made.entries[0].graph.clone();
    let weights = made
        .weights
        .iter()
        .map(|w| (w.key.clone(), weight(&w.key, &w.shape)));
    let mut given = Given {
        inputs: golden.tensors.clone(),
        weights: weights.collect(),
        ..Given::default()
    };
    let outputs: Vec<NodeId> = graph.outputs.iter().map(|o| o.1).collect();
    let wanted = golden.under("grad.");
    let names: Vec<&String> = wanted.keys().collect();
    let mut nodes: Vec<NodeId> = names.iter().map(|n| input(&graph, n).unwrap()).collect();
    let mut sorted: Vec<&Weight> = made.weights.iter().collect();
    sorted.sort_by(|a, b| a.key.cmp(&b.key));
    nodes.extend(sorted.iter().map(|w| w.node));

    let mut b = Builder::new(&mut graph);
    let loss = loss(&mut b, &outputs, &mut given);
    let found = gradients(&mut b, loss, &nodes);
    let mut roots = outputs.clone();
    roots.extend(found.iter().flatten());
    let values = evaluate_nodes(&graph, &given, &roots).unwrap();

    for (at, y) in outputs.iter().enumerate() {
        let d = distance(values.get(*y).unwrap(), &golden.tensors[&format!("y.{at}")]);
        assert!(d < value, "{name}: result {at} is off by {d:.1e}");
    }
    for (name_of, node) in names.iter().zip(&found) {
        let d = distance(values.get(node.unwrap()).unwrap(), &wanted[*name_of]);
        assert!(
            d < gradient,
            "{name}: the gradient of {name_of} is off by {d:.1e}"
        );
    }
    let slope = |(w, node): (&&Weight, &Option<NodeId>)| {
        let direction = noise(&format!("slope.{}", w.key), count(&w.shape));
        let gradient = node.and_then(|id| values.get(id)).map_or(&[][..], |v| v);
        gradient.iter().zip(&direction).map(|(g, d)| g * d).sum()
    };
    let slopes: Vec<f64> = sorted
        .iter()
        .zip(&found[names.len()..])
        .map(slope)
        .collect();
    let d = distance(&slopes, &golden.tensors["slopes"]);
    assert!(
        d < gradient,
        "{name}: the weights' gradients are off by {d:.1e}"
    );
}

#[test]
fn sdxl_unet_agrees_with_diffusers() {
    check("sdxl-unet", 1e-4, 1e-4);
}

#[test]
fn sdxl_vae_agrees_with_diffusers() {
    check("sdxl-vae-encode", 2e-6, 1e-5);
    check("sdxl-vae-decode", 2e-6, 1e-5);
}

#[test]
fn vgg16_agrees_with_torchvision() {
    check("vgg16", 2e-6, 1e-5);
    check("vgg16-caffe", 2e-6, 1e-5);
}

#[test]
fn clip_image_agrees_with_transformers() {
    check("clip-image", 2e-6, 1e-5);
}

#[test]
fn spynet_agrees_with_its_twin() {
    check("spynet", 2e-6, 1e-5);
}

#[test]
fn basicvsr_pp_agrees_with_its_twin() {
    check("basicvsr-pp", 2e-6, 1e-5);
}

#[test]
fn vdsr_and_vsrnet_agree_with_their_twins() {
    check("vdsr", 2e-6, 1e-5);
    check("vsrnet", 2e-6, 1e-5);
}

#[test]
fn sr3_agrees_with_its_twin() {
    check("sr3", 2e-6, 1e-5);
}

/// Keys and shapes of everything a file's models declare.
fn declared(path: &str, models: &[&str]) -> BTreeMap<String, Vec<i64>> {
    let mut all = BTreeMap::new();
    for name in models {
        let options = Options {
            name: Some((*name).to_string()),
            profiles: vec![profile(path).to_string()],
            set: vec![],
        };
        let made = model(path, &options);
        all.extend(made.weights.into_iter().map(|w| (w.key, w.shape)));
    }
    all
}

fn profile(path: &str) -> &'static str {
    match path {
        "models/sdxl-unet.vsr" => "side512",
        "models/sdxl-vae.vsr" | "models/vdsr.vsr" => "picture",
        "models/clip-image.vsr" | "models/vgg16.vsr" => "photo",
        "models/spynet.vsr" => "frame",
        "models/basicvsr-pp.vsr" => "clip",
        "models/vsrnet.vsr" => "film",
        _ => "full",
    }
}

#[test]
fn full_networks_have_the_keys_and_shapes_of_their_checkpoints() {
    let text = std::fs::read_to_string(folder("networks/keys.json")).unwrap();
    let table: serde_json::Value = serde_json::from_str(&text).unwrap();
    for (name, models) in [
        ("sdxl-unet", &["SdxlUnet"][..]),
        ("sdxl-vae", &["SdxlVae"]),
        ("vgg16", &["Vgg16"]),
        ("clip-image", &["ClipImage"]),
        ("spynet", &["SpyNet"]),
        ("basicvsr-pp", &["BasicVsrPP"]),
        ("vdsr", &["Vdsr"]),
        ("vsrnet", &["VsrNet"]),
        ("sr3", &["Sr3"]),
    ] {
        let all = declared(&format!("models/{name}.vsr"), models);
        let parameters: usize = all.values().map(|s| count(s)).sum();
        let mut lines: Vec<String> = all.iter().map(|(k, s)| format!("{k} {s:?}")).collect();
        lines.sort();
        let row = &table[name];
        assert_eq!(row["tensors"], all.len(), "{name}: tensors");
        assert_eq!(row["parameters"], parameters, "{name}: parameters");
        let digest = format!("{:016x}", fnv(&lines.join("\n")));
        assert_eq!(row["digest"], digest.as_str(), "{name}: keys and shapes");
    }
}

/// Without a prompt, what only the context reaches is no work: the second attention of every block is its output's bias.
#[test]
fn an_absent_prompt_folds_away() {
    let text = "use SdxlUnet from \"models/sdxl-unet.vsr\"
model Outer()(z: [B, 4, H, W], t: f32[B]) -> [B, 4, H, W] =
  SdxlUnet(width=[8, 16, 24], depth=[0, 1, 2], head=8, groups=4)(z, t, zeros([B, 5, 12]), zeros([B, 10]), [8, 4, 0, 0, 8, 4])
profile p { B = 1  H = 8  W = 4 }
";
    let made = run(&[("outer.vsr", text)], "outer.vsr", &Options::default()).unwrap();
    let graph =
        vsr_compiler::pass::optimise(made.entries[0].graph.clone(), &mut PassManager::default());
    let needed = graph.ancestors(&[graph.outputs[0].1]);
    let read: Vec<&str> = graph
        .ids()
        .filter(|id| needed[id.index()])
        .filter_map(|id| match &graph.node(id).op {
            Op::Param { key, .. } => Some(key.as_str()),
            _ => None,
        })
        .collect();
    let dead = [
        "attn2.to_q",
        "attn2.to_k",
        "attn2.to_v",
        "attn2.to_out.0.weight",
        "norm2.weight",
    ];
    let blocks = |key: &&&str| key.contains("transformer_blocks");
    let left: Vec<&&str> = read
        .iter()
        .filter(blocks)
        .filter(|k| dead.iter().any(|d| k.contains(d)))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(read.iter().any(|k| k.contains("attn2.to_out.0.bias")));
}

/// Every key of the single files, by our rules: the public converter took each of them back to ours.
#[test]
fn rules_reach_every_key_of_the_single_files() {
    let text = std::fs::read_to_string(folder("networks/keys.json")).unwrap();
    let table: serde_json::Value = serde_json::from_str(&text).unwrap();
    for (name, models) in [("sdxl-unet", "SdxlUnet"), ("sdxl-vae", "SdxlVae")] {
        let path = format!("models/{name}.vsr");
        let options = Options {
            name: Some(models.into()),
            profiles: vec![profile(&path).to_string()],
            set: vec![],
        };
        let made = model(&path, &options);
        let ldm = made.layouts.iter().find(|l| l.name == "ldm").unwrap();
        let mut lines: Vec<String> = ldm
            .tensors
            .iter()
            .map(|(own, part)| format!("{own} {}", part.key))
            .collect();
        lines.sort();
        let digest = format!("{:016x}", fnv(&lines.join("\n")));
        assert_eq!(
            table[name]["ldm"],
            digest.as_str(),
            "{name}\n{}",
            lines[..8].join("\n")
        );
    }
}
