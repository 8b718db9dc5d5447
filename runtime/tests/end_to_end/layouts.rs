//! Weights in every form that a file may have, for every entry and every kind of training: by their own keys or in a
//! public layout, alone or with what training keeps, which may be nothing; and weights that are no numbers.

use super::common::*;
use std::collections::BTreeMap;
use std::path::Path;
use vsr_runtime::tensors::{self, View};

/// A layer, or one with a state of its own; the optimiser and the mean are chosen.
fn network(body: &str, optimizer: &str, ema: &str) -> String {
    format!(
        r#"
block Plain()(w: [...S], g: [...S], rate: []) -> [...S] = w - rate*g

model Layer()(x: [B, N]) -> [B, N] = x |> {body}

weights public {{
  a.{{p}} -> net.{{p}}
  ignore {{...p}}.extra
}}

train layer(decay: float = 0.5) = Layer() {{
  epochs = 1
  steps = 1
  optimizer = {optimizer}()
  rate = 1
  {ema}
  data x: [B, N] = clips("data")
  loss = mean(layer(x))
}}

profile train {{ B = 2  N = 2 }}
profile tile {{ B = 2  N = 2 }}
"#
    )
}

const BODIES: [&str; 2] = ["Linear(2) @a", "Linear(2) @a |> BatchNorm() @b"];

fn write(path: &Path, tensors: &BTreeMap<String, tensors::Tensor>) {
    let views = tensors.iter().map(|(name, t)| View {
        name,
        shape: &t.shape,
        data: &t.data,
    });
    tensors::write(path, &views.collect::<Vec<_>>(), &BTreeMap::new()).unwrap();
}

/// The file as a public checkpoint has it: other names, and something that no network reads.
fn publish(from: &Path, to: &Path) {
    let renamed = read(from).into_iter().map(|(name, t)| {
        let name = match name.strip_prefix("a.") {
            Some(rest) => format!("net.{rest}"),
            None => name,
        };
        (name, t)
    });
    let mut all: BTreeMap<_, _> = renamed.collect();
    let extra = tensors::Tensor {
        shape: vec![1],
        data: vec![9.0],
    };
    all.insert("step.extra".into(), extra);
    write(to, &all);
}

fn read(path: &Path) -> BTreeMap<String, tensors::Tensor> {
    tensors::read(path).unwrap().tensors
}

/// A folder with the network, compiled, and an input for it.
fn place(body: &str, optimizer: &str, ema: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    compile(&network(body, optimizer, ema), &dir.path().join("net"));
    let x = tensors::Tensor {
        shape: vec![2, 2],
        data: vec![1.0, 2.0, 3.0, 5.0],
    };
    let inputs = BTreeMap::from([("x".to_string(), x)]);
    write(&dir.path().join("x.safetensors"), &inputs);
    dir
}

fn all_outputs(dir: &Path, words: &str) -> BTreeMap<String, tensors::Tensor> {
    succeed(
        dir,
        &format!("exec net --inputs x.safetensors -o y.safetensors {words}"),
    );
    let mut all = read(&dir.join("y.safetensors"));
    if words.contains("--save-weights") {
        let saved = read(&dir.join("saved.safetensors"));
        all.extend(saved.into_iter().map(|(k, t)| (format!("saved {k}"), t)));
    }
    all
}

#[test]
fn every_entry_takes_every_form_with_every_training() {
    for body in BODIES {
        for optimizer in ["Plain", "Sgd", "Adam"] {
            for ema in ["", "ema = decay"] {
                every_entry_takes_every_form(body, optimizer, ema);
            }
        }
    }
}

fn every_entry_takes_every_form(body: &str, optimizer: &str, ema: &str) {
    let dir = place(body, optimizer, ema);
    let dir = dir.path();
    // A step from first weights: what training keeps is no longer as it began.
    let save =
        "exec net --entry train --inputs x.safetensors -o y.safetensors --seed 3 --save-weights";
    succeed(dir, &format!("{save} everything.safetensors"));
    let everything = read(&dir.join("everything.safetensors"));
    let model: BTreeMap<_, _> = everything
        .iter()
        .filter(|(name, _)| name.starts_with("a.") || name.starts_with("b."))
        .filter(|(name, _)| !name.contains("optimizer"))
        .map(|(k, t)| (k.clone(), t.clone()))
        .collect();
    write(&dir.join("model.safetensors"), &model);
    for name in ["everything", "model"] {
        publish(
            &dir.join(format!("{name}.safetensors")),
            &dir.join(format!("{name}-public.safetensors")),
        );
        for words in [
            "--entry infer",
            "--entry eval",
            "--entry train --save-weights saved.safetensors",
        ] {
            let own = all_outputs(dir, &format!("{words} --weights {name}.safetensors"));
            let public = all_outputs(dir, &format!("{words} --weights {name}-public.safetensors"));
            assert!(own == public, "{body}, {optimizer}, {ema}: {name}, {words}");
        }
    }
    let extra = everything.len() - model.len();
    assert_eq!(
        extra == 0,
        optimizer == "Plain" && ema.is_empty(),
        "{body}, {optimizer}, {ema}"
    );
}

/// A part of the optimiser's state is no state: it is not left out in silence.
#[test]
fn half_of_the_optimizers_state_is_refused() {
    let dir = place(BODIES[0], "Adam", "");
    let dir = dir.path();
    succeed(
        dir,
        "exec net --entry train --inputs x.safetensors -o y.safetensors --save-weights w.safetensors",
    );
    let mut all = read(&dir.join("w.safetensors"));
    let lost = all.keys().find(|k| !k.starts_with("a.")).unwrap().clone();
    all.remove(&lost);
    write(&dir.join("w.safetensors"), &all);
    let words = "exec net --inputs x.safetensors -o z.safetensors --weights w.safetensors";
    refuse(
        dir,
        &format!("{words} --entry train"),
        1,
        &["w.safetensors", "missing (1)", &lost],
    );
    succeed(dir, words);
}

#[test]
fn weights_that_are_no_numbers_are_named_and_refused_when_strict() {
    let dir = workplace();
    let dir = dir.path();
    write_film(&dir.join("in.y4m"), 16, 16, 1);
    succeed(dir, "train net --out run --epochs 1 --steps 1 --valid 1 -q");
    let mut all = read(&dir.join("run/last.safetensors"));
    all.get_mut("conv.bias").unwrap().data[3] = f32::NAN;
    all.get_mut("conv.weight").unwrap().data[0] = f32::INFINITY;
    write(&dir.join("sick.safetensors"), &all);
    let parts = [
        "sick.safetensors: NaN or infinity in conv.weight, conv.bias",
        "--strict",
    ];
    for words in [
        "upscale net in.y4m -o out.y4m",
        "eval net --data in.y4m",
        "bench net --repeats 1",
    ] {
        let words = format!("{words} --weights sick.safetensors");
        refuse(dir, &format!("{words} --strict"), 1, &parts);
        let done = succeed(dir, &words);
        let warnings = done.said("warning: ");
        assert!(
            warnings.len() == 1 && parts.iter().all(|p| warnings[0].contains(p)),
            "{}",
            done.err
        );
    }
    let train = "train net --out new --epochs 1 --steps 1 --valid 1 --weights sick.safetensors";
    refuse(dir, &format!("{train} --strict"), 1, &parts);
    let done = run(dir, train);
    check(train, &done, 1, &["is not finite"]);
    assert!(done.err.contains("warning: "), "{}", done.err);
    let good = succeed(
        dir,
        "upscale net in.y4m -o out.y4m --weights run/last.safetensors --strict -q",
    );
    assert_eq!(good.err, "");
}
