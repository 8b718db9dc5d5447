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
    let view = |(name, t): (&'_ String, &'_ tensors::Tensor)| View {
        name: Box::leak(name.clone().into_boxed_str()),
        shape: Box::leak(t.shape.clone().into_boxed_slice()),
        data: Box::leak(t.data.clone().into_boxed_slice()),
    };
    let views: Vec<View> = tensors.iter().map(view).collect();
    tensors::write(path, &views, &BTreeMap::new()).unwrap();
}

/// The file as a public checkpoint has it: other names, and something that no network reads.
fn publish(from: &Path, to: &Path) {
    let file = tensors::read(from).unwrap();
    let renamed = file.tensors.into_iter().map(|(name, t)| {
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

fn all_outputs(dir: &Path, words: &str) -> BTreeMap<String, tensors::Tensor> {
    succeed(
        dir,
        &format!("exec net --inputs x.safetensors -o y.safetensors {words}"),
    );
    let mut all = tensors::read(&dir.join("y.safetensors")).unwrap().tensors;
    if words.contains("--save-weights") {
        let saved = tensors::read(&dir.join("saved.safetensors"))
            .unwrap()
            .tensors;
        all.extend(saved.into_iter().map(|(k, t)| (format!("saved {k}"), t)));
    }
    all
}

#[test]
fn every_entry_takes_every_form_with_every_training() {
    for (body, optimizer, ema) in BODIES.iter().flat_map(|body| {
        ["Plain", "Sgd", "Adam"]
            .iter()
            .flat_map(move |o| ["", "ema = decay"].map(move |e| (*body, *o, e)))
    }) {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        compile(&network(body, optimizer, ema), &dir.join("net"));
        let x = View {
            name: "x",
            shape: &[2, 2],
            data: &[1.0, 2.0, 3.0, 5.0],
        };
        tensors::write(&dir.join("x.safetensors"), &[x], &BTreeMap::new()).unwrap();
        // A step from first weights: what training keeps is no longer as it began.
        let save = "exec net --entry train --inputs x.safetensors -o y.safetensors --seed 3 --save-weights";
        succeed(dir, &format!("{save} everything.safetensors"));
        let everything = tensors::read(&dir.join("everything.safetensors"))
            .unwrap()
            .tensors;
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
                let public =
                    all_outputs(dir, &format!("{words} --weights {name}-public.safetensors"));
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
}

/// A part of the optimiser's state is no state: it is not left out in silence.
#[test]
fn half_of_the_optimizers_state_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    compile(&network(BODIES[0], "Adam", ""), &dir.join("net"));
    let x = View {
        name: "x",
        shape: &[2, 2],
        data: &[1.0; 4],
    };
    tensors::write(&dir.join("x.safetensors"), &[x], &BTreeMap::new()).unwrap();
    succeed(
        dir,
        "exec net --entry train --inputs x.safetensors -o y.safetensors --save-weights w.safetensors",
    );
    let mut all = tensors::read(&dir.join("w.safetensors")).unwrap().tensors;
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
    let mut all = tensors::read(&dir.join("run/last.safetensors"))
        .unwrap()
        .tensors;
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
        let warnings: Vec<&str> = done
            .err
            .lines()
            .filter(|l| l.starts_with("warning: "))
            .collect();
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
