//! Compiled code of the field's networks against their reference implementations, and their weights from public layouts.
//!
//! Enters: `tests/goldens/networks`. Weights are a function of their keys (`reference`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use vsr_artifact::manifest::Manifest;
use vsr_runtime::session::Session;
use vsr_runtime::tensors::{self, View};
use vsr_runtime::weights::Scope;
use vsr_tests::{
    Golden, Opened, artifact_of, distance, golden, open_artifact, open_text, reference, root,
};

fn weight(key: &str, shape: &[u64]) -> Vec<f32> {
    let shape: Vec<i64> = shape.iter().map(|n| *n as i64).collect();
    let wide = reference::weight(key, &shape);
    wide.into_iter().map(|x| x as f32).collect()
}

fn check_outputs(session: &mut Session, golden: &Golden, tolerance: f64, what: &str) {
    let entry = session.manifest().entries[0].clone();
    let given: Vec<(&str, &[f32])> = entry
        .inputs
        .iter()
        .map(|p| (p.name.as_str(), golden.tensors[&p.name].as_slice()))
        .collect();
    session.run(0, &given, 0, 0).expect("the entry runs");
    for (at, port) in entry.outputs.iter().enumerate() {
        let d = distance(
            session.output(0, &port.name),
            &golden.tensors[&format!("y.{at}")],
        );
        assert!(d < tolerance, "{what}: {} is off by {d:.1e}", port.name);
    }
}

fn compiled(name: &str) -> (Golden, Opened) {
    let golden = golden(&format!("networks/{name}.safetensors"));
    let mut set = golden.settings("set");
    set.extend(golden.settings("dims"));
    let entry = golden.about["entry"].as_str();
    let model = (!entry.is_empty()).then_some(entry);
    let artifact = artifact_of(&golden.about["source"], model, &[], &set);
    let opened = open_artifact(&artifact, 2);
    (golden, opened)
}

#[test]
fn networks_of_the_field_agree_with_their_references() {
    for name in [
        "sdxl-unet",
        "sdxl-vae-encode",
        "sdxl-vae-decode",
        "vgg16",
        "vgg16-caffe",
        "clip-image",
        "spynet",
        "basicvsr-pp",
        "vdsr",
        "vsrnet",
        "sr3",
    ] {
        let (golden, mut opened) = compiled(name);
        let weights = opened.session.manifest().weights.clone();
        opened.session.init_weights(0).unwrap();
        for w in &weights {
            let values = weight(&w.key, &w.shape);
            opened
                .session
                .set_weight(&w.key, &values)
                .expect("the network's own key");
        }
        check_outputs(&mut opened.session, &golden, 1e-4, name);
    }
}

/// A text beside a weight file, compiled and opened.
fn beside(folder: &Path, text: &str) -> Opened {
    let path = folder.join("network.vsr");
    std::fs::write(&path, text).expect("the text is written");
    open_text(&path, "Outer", 2)
}

/// The weights of `ClipImage` as the original checkpoint has them: queries, keys and values in one, a projection the other way.
fn openai(manifest: &Manifest) -> BTreeMap<String, (Vec<u64>, Vec<f32>)> {
    let own: BTreeMap<String, (Vec<u64>, Vec<f32>)> = manifest
        .weights
        .iter()
        .map(|w| (w.key.clone(), (w.shape.clone(), weight(&w.key, &w.shape))))
        .collect();
    let mut file = BTreeMap::new();
    for (key, (shape, values)) in &own {
        let name = key
            .replace(
                "vision_model.encoder.layers",
                "visual.transformer.resblocks",
            )
            .replace("self_attn.out_proj", "attn.out_proj")
            .replace("layer_norm", "ln_")
            .replace("mlp.fc1", "mlp.c_fc")
            .replace("mlp.fc2", "mlp.c_proj")
            .replace(
                "vision_model.embeddings.class_embedding",
                "visual.class_embedding",
            )
            .replace("vision_model.embeddings.patch_embedding", "visual.conv1")
            .replace(
                "vision_model.embeddings.position_embedding.weight",
                "visual.positional_embedding",
            )
            .replace("vision_model.pre_layrnorm", "visual.ln_pre")
            .replace("vision_model.post_layernorm", "visual.ln_post");
        if let Some((head, kind)) = name.split_once("self_attn.q_proj.") {
            let part = |p: &str| own[&key.replace("q_proj", p)].1.clone();
            let all = [values.clone(), part("k_proj"), part("v_proj")].concat();
            let mut rows = shape.clone();
            rows[0] *= 3;
            file.insert(format!("{head}attn.in_proj_{kind}"), (rows, all));
        } else if name == "visual_projection.weight" {
            let (rows, columns) = (shape[0] as usize, shape[1] as usize);
            let transposed = (0..rows * columns).map(|n| values[n % rows * columns + n / rows]);
            file.insert(
                "visual.proj".into(),
                (vec![shape[1], shape[0]], transposed.collect()),
            );
        } else if !name.contains("self_attn") {
            file.insert(name, (shape.clone(), values.clone()));
        }
    }
    file.insert("logit_scale".into(), (vec![], vec![1.0]));
    file
}

fn write(path: &Path, tensors: &BTreeMap<String, (Vec<u64>, Vec<f32>)>) {
    let views: Vec<View> = tensors
        .iter()
        .map(|(name, (shape, data))| View { name, shape, data })
        .collect();
    tensors::write(path, &views, &BTreeMap::new()).expect("the file is written");
}

#[test]
fn a_frozen_network_is_read_from_its_original_layout() {
    let (golden, clip) = compiled("clip-image");
    let folder = tempfile::tempdir().expect("a folder");
    write(
        &folder.path().join("clip.safetensors"),
        &openai(clip.session.manifest()),
    );
    let text = format!(
        "use ClipImage, openai from \"{}\"
frozen clip = ClipImage(width=32, depth=2, head=8, patch=8, side=16, out=12) from \"clip.safetensors\" via openai
model Outer()(x: [B, 3, H, W]) -> [B, 12] = clip(x)
profile p {{ B = 2  H = 24  W = 20 }}
",
        root().join("models/clip-image.vsr").display()
    );
    let mut opened = beside(folder.path(), &text);
    let manifest = opened.session.manifest();
    assert_eq!(manifest.weights.len(), manifest.frozen.tensors.len());
    opened.session.init_weights(0).unwrap();
    check_outputs(&mut opened.session, &golden, 1e-5, "clip through `openai`");
    // Frozen weights are in no file that this network writes.
    let saved = folder.path().join("own.safetensors");
    opened
        .session
        .save_weights(&saved, Scope::Everything, &BTreeMap::new())
        .expect("it saves");
    assert!(tensors::read(&saved).expect("it reads").tensors.is_empty());
    // The file moves into the artifact's folder, or it is missed.
    let from = folder.path().join("clip.safetensors");
    let compiled = opened.folder.path().join("compiled");
    let options = || vsr_runtime::session::Options {
        threads: 1,
        ..Default::default()
    };
    let moved = folder.path().join("elsewhere");
    std::fs::rename(&from, &moved).expect("it moves");
    let missed = Session::open(&compiled, options())
        .err()
        .expect("no weights, no session");
    assert!(
        missed
            .to_string()
            .contains("copy the file into the compiled folder"),
        "{missed}"
    );
    std::fs::copy(&moved, compiled.join("clip.safetensors")).expect("it is copied");
    assert!(Session::open(&compiled, options()).is_ok());
    let (shape, data) = (vec![3u64], vec![0.0f32; 3]);
    write(
        &compiled.join("clip.safetensors"),
        &BTreeMap::from([("x".to_string(), (shape, data))]),
    );
    let changed = Session::open(&compiled, options())
        .err()
        .expect("another file");
    assert!(
        changed
            .to_string()
            .contains("is not the file that was compiled with"),
        "{changed}"
    );
}

/// The same file as `--weights` of the network itself: its layout is found among the rules beside the model.
#[test]
fn public_layouts_are_read_as_weights() {
    let (golden, mut clip) = compiled("clip-image");
    let folder = tempfile::tempdir().expect("a folder");
    let mut file = openai(clip.session.manifest());
    let path = folder.path().join("clip.safetensors");
    write(&path, &file);
    clip.session
        .load_weights(&path, Scope::Model)
        .expect("the layout `openai`");
    check_outputs(&mut clip.session, &golden, 1e-5, "clip through `openai`");
    file.remove("visual.proj");
    write(&path, &file);
    let missed = clip
        .session
        .load_weights(&path, Scope::Model)
        .expect_err("a weight less")
        .to_string();
    let said = "nor does it have the layout openai: it has no visual.proj (1 of 1)";
    assert!(missed.contains(said), "{missed}");
}

#[test]
fn weights_come_from_a_pytorch_archive_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let archive: PathBuf = root().join("runtime/weightfile/src/fixtures/linear.pth");
    let one = [1.0f32, 1.0, 1.0];
    let trained = "model Outer()(x: [B, 3]) -> [B, 2] = x |> Linear(2) @fc\nprofile p { B = 1 }\n";
    let mut opened = beside(folder.path(), trained);
    opened
        .session
        .load_weights(&archive, Scope::Model)
        .expect("its keys are the network's");
    opened
        .session
        .run(0, &[("x", &one)], 0, 0)
        .expect("it runs");
    assert_eq!(opened.session.output(0, "output"), [6.5, 14.5]);
    let frozen = format!(
        "model Inner()(x: [B, 3]) -> [B, 2] = x |> Linear(2) @fc
frozen inner = Inner() from \"{}\"
model Outer()(x: [B, 3]) -> [B, 2] = 2*inner(x)
profile p {{ B = 1 }}
",
        archive.display()
    );
    let mut opened = beside(folder.path(), &frozen);
    opened
        .session
        .run(0, &[("x", &one)], 0, 0)
        .expect("it runs");
    assert_eq!(opened.session.output(0, "output"), [13.0, 29.0]);
}

/// Without a prompt, the weights that only a prompt reaches are not even loaded; the result is that of a prompt of zeros.
#[test]
fn an_absent_prompt_costs_no_memory() {
    let (golden, mut whole) = compiled("sdxl-unet");
    let folder = tempfile::tempdir().expect("a folder");
    let weights = whole.session.manifest().weights.clone();
    whole.session.init_weights(0).unwrap();
    let mut file = BTreeMap::new();
    for w in &weights {
        let values = weight(&w.key, &w.shape);
        whole
            .session
            .set_weight(&w.key, &values)
            .expect("its own key");
        file.insert(w.key.clone(), (w.shape.clone(), values));
    }
    write(&folder.path().join("unet.safetensors"), &file);
    let text = format!(
        "use SdxlUnet from \"{}\"
frozen unet = SdxlUnet(width=[8, 16, 24], depth=[0, 1, 2], head=8, groups=4) from \"unet.safetensors\"
model Outer()(z: [B, 4, H, W], t: f32[B]) -> [B, 4, H, W] =
  unet(z, t, zeros([B, 5, 12]), zeros([B, 10]), [96, 64, 3, 5, 128, 72])
profile p {{ B = 2  H = 8  W = 4 }}
",
        root().join("models/sdxl-unet.vsr").display()
    );
    let mut opened = beside(folder.path(), &text);
    let kept = opened.session.manifest().frozen.tensors.len();
    // Of each transformer block: the query's norm, three projections and the output's matrix.
    let dead = weights.iter().filter(|w| {
        let of = |names: &[&str]| names.iter().any(|n| w.key.contains(n));
        w.key.contains("transformer_blocks")
            && of(&[
                "attn2.to_q",
                "attn2.to_k",
                "attn2.to_v",
                "attn2.to_out.0.weight",
                "norm2",
            ])
    });
    assert_eq!(kept, weights.len() - dead.count());
    let (z, t) = (
        golden.tensors["z"].as_slice(),
        golden.tensors["t"].as_slice(),
    );
    opened
        .session
        .run(0, &[("z", z), ("t", t)], 0, 0)
        .expect("it runs");
    let (ctx, pooled) = (vec![0.0; 2 * 5 * 12], vec![0.0; 2 * 10]);
    let given = [
        ("z", z),
        ("t", t),
        ("ctx", &ctx[..]),
        ("pooled", &pooled[..]),
        ("ids", &golden.tensors["ids"][..]),
    ];
    whole.session.run(0, &given, 0, 0).expect("it runs");
    let d = distance(
        opened.session.output(0, "output"),
        whole.session.output(0, "output"),
    );
    assert!(d < 1e-5, "off by {d:.1e}");
}
