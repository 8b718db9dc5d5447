//! What the standard library promises beside PyTorch's numbers: corruptions, flow, draws, the model's start.
//!
//! Small programs, evaluated in f64 by the oracle. No machine code runs here.

#![allow(clippy::unwrap_used)]

use crate::sema::{checked, entry, model, run};
use std::collections::BTreeMap;
use vsr_compiler::ir::eval::{Given, evaluate};
use vsr_compiler::sema::Options;

/// The value of `text`, a model under its only profile, for these inputs.
fn value(text: &str, inputs: &[(&str, Vec<f64>)]) -> Vec<f64> {
    let made = run(&[("case.vsr", text)], "case.vsr", &Options::default()).unwrap();
    let graph = &made.entries[0].graph;
    let given = Given {
        inputs: inputs
            .iter()
            .map(|(n, v)| ((*n).to_string(), v.clone()))
            .collect(),
        ..Given::default()
    };
    let values = evaluate(graph, &given).unwrap();
    values.get(graph.outputs[0].1).unwrap().to_vec()
}

/// A clip operation on `[2, 3, 2, 16, 24]`.
fn on_clip(expression: &str, result: &str, x: &[f64]) -> Vec<f64> {
    let text = format!(
        "model Case()(x: [B, 3, T, H, W]) -> {result} = {expression}\n\
         profile case {{ B = 2  T = 2  H = 16  W = 24 }}\n"
    );
    value(&text, &[("x", x.to_vec())])
}

/// Smooth, in [0.1, 0.9], different in every plane.
fn clip() -> Vec<f64> {
    let mut x = vec![];
    for plane in 0..12 {
        for i in 0..16 {
            for j in 0..24 {
                let phase = f64::from(plane) + 0.31 * f64::from(i) + 0.23 * f64::from(j);
                x.push(0.5 + 0.4 * phase.sin());
            }
        }
    }
    x
}

fn apart(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter()
        .zip(b)
        .fold(0.0, |m, (x, y)| f64::max(m, (x - y).abs()))
}

const SAME: &str = "[B, 3, T, H, W]";

#[test]
fn draws_differ_between_calls_and_stay_in_range() {
    let text = "model Case()(x: [B]) -> [2, B] = stack([draw(B, 2, 3), draw(B, 2, 3)], axis=0)\n\
                profile case { B = 64 }\n";
    let y = value(text, &[("x", vec![0.0; 64])]);
    assert!(y.iter().all(|v| (2.0..3.0).contains(v)));
    let (a, b) = y.split_at(64);
    assert!(apart(a, b) > 0.1);
    let mean = y.iter().sum::<f64>() / 128.0;
    assert!((mean - 2.5).abs() < 0.1, "{mean}");
}

#[test]
fn blur_keeps_a_flat_clip_and_smooths_another() {
    let flat = vec![0.4; clip().len()];
    let y = on_clip("blur(x, [0.5, 2.5])", SAME, &flat);
    assert!(apart(&y, &flat) < 1e-6);
    let x = clip();
    let y = on_clip("blur(x, [0.01, 2.5])", SAME, &x);
    let half = x.len() / 2;
    assert!(apart(&y[..half], &x[..half]) < 1e-6);
    let spread = |v: &[f64]| v.iter().map(|a| (a - 0.5).powi(2)).sum::<f64>();
    assert!(spread(&y[half..]) < 0.9 * spread(&x[half..]));
}

#[test]
fn noise_has_the_deviation_it_is_given() {
    let x = clip();
    let y = on_clip("noise(x, [0, 0.05])", SAME, &x);
    let half = x.len() / 2;
    assert!(apart(&y[..half], &x[..half]) < 1e-9);
    let square: f64 = y[half..]
        .iter()
        .zip(&x[half..])
        .map(|(a, b)| (a - b).powi(2))
        .sum();
    let deviation = (square / half as f64).sqrt();
    assert!((deviation - 0.05).abs() < 0.003, "{deviation}");
}

#[test]
fn jpeg_is_close_at_quality_100_and_coarse_at_10() {
    let x = clip();
    let y = on_clip("jpeg(x, [100, 10])", SAME, &x);
    let half = x.len() / 2;
    let fine = apart(&y[..half], &x[..half]);
    let coarse = apart(&y[half..], &x[half..]);
    assert!(
        fine < 0.02 && coarse > 0.03 && coarse < 0.5,
        "{fine} {coarse}"
    );
}

#[test]
fn jitter_by_nothing_is_the_clip_and_by_something_is_not() {
    let x = clip();
    assert!(apart(&on_clip("jitter(x, 0, 0)", SAME, &x), &x) < 1e-9);
    assert!(apart(&on_clip("jitter(x, 2, 0.02)", SAME, &x), &x) > 0.01);
}

#[test]
fn downscale_without_a_mix_is_the_antialiased_bicubic() {
    let x = clip();
    let shape = "[B, 3, T, H/4, W/4]";
    let plain = on_clip("downscale(x, 4, 0)", shape, &x);
    let bicubic = "resize(x, H/4, W/4, \"bicubic\", antialias=true, a=-0.5)";
    assert!(apart(&plain, &on_clip(bicubic, shape, &x)) < 1e-6);
}

#[test]
fn lucas_kanade_finds_a_shift() {
    let text = "model Case()(a: [B, 1, H, W], b: [B, 1, H, W]) -> [B, 2, H, W] = lucas_kanade(a, b)\n\
                profile case { B = 1  H = 64  W = 96 }\n";
    let picture = |dx: f64, dy: f64| -> Vec<f64> {
        let mut x = vec![];
        for i in 0..64 {
            for j in 0..96 {
                let (u, v) = (f64::from(j) - dx, f64::from(i) - dy);
                x.push(0.5 + 0.2 * (0.2 * u + 0.05 * v).sin() + 0.2 * (0.15 * v - 0.08 * u).cos());
            }
        }
        x
    };
    let flow = value(text, &[("a", picture(0.0, 0.0)), ("b", picture(3.0, -2.0))]);
    let (u, v) = flow.split_at(64 * 96);
    let mut errors: Vec<f64> = (u.iter().zip(v))
        .map(|(u, v)| ((u - 3.0).powi(2) + (v + 2.0).powi(2)).sqrt())
        .collect();
    errors.sort_by(f64::total_cmp);
    assert!(
        errors[errors.len() / 2] < 0.25,
        "{}",
        errors[errors.len() / 2]
    );
}

#[test]
fn flagship_starts_as_bicubic_interpolation() {
    let set = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(k, v)| ((*k).into(), (*v).into()))
            .collect()
    };
    let small = set(&[
        ("ch", "8"),
        ("rank", "8"),
        ("T", "3"),
        ("H", "16"),
        ("W", "16"),
    ]);
    let options = Options {
        name: None,
        profiles: vec!["tile".into()],
        set: small,
    };
    let made = model("models/vsr.vsr", &options);
    let graph = &entry(&made, "infer", "tile").graph;
    let x: Vec<f64> = (0..3 * 3 * 256)
        .map(|i| 0.5 + 0.3 * f64::from(i).sin())
        .collect();
    let inputs = BTreeMap::from([("x".to_string(), x.clone())]);
    let values = evaluate(
        graph,
        &Given {
            inputs,
            ..Given::default()
        },
    )
    .unwrap();
    let y = values.get(graph.outputs[0].1).unwrap();

    let text = "model Case()(x: [B, 3, T, H, W]) -> [B, 3, 4*H, 4*W] =\n  \
                clamp(resize(x[:, :, 1], 4*H, 4*W, \"bicubic\", a=-0.5), 0, 1)\n\
                profile case { B = 1  T = 3  H = 16  W = 16 }\n";
    assert!(apart(y, &value(text, &[("x", x)])) < 1e-6);
}

#[test]
fn a_degraded_training_step_gives_finite_terms_at_every_scale() {
    for scale in [1, 2, 4, 8] {
        let set = [
            "ch=8", "rank=8", "blocks=1", "groups=2", "B=1", "T=3", "H=8", "W=8",
        ];
        let mut set: Vec<(String, String)> = set
            .iter()
            .map(|s| s.split_once('=').unwrap())
            .map(|(k, v)| (k.into(), v.into()))
            .collect();
        set.push(("scale".into(), scale.to_string()));
        let options = Options {
            name: None,
            profiles: vec!["train".into()],
            set,
        };
        let made = model("models/vsr.vsr", &options);
        for name in ["train", "eval"] {
            let graph = &entry(&made, name, "train").graph;
            let mut inputs = BTreeMap::new();
            for (scalar, v) in [("step", 3.0), ("epoch", 40.0), ("rate", -1.0)] {
                inputs.insert(scalar.to_string(), vec![v]);
            }
            let n = 3 * 4 * 64 * scale * scale;
            let clip = (0..n).map(|i| 0.5 + 0.4 * (0.07 * f64::from(i)).sin());
            inputs.insert("clip".to_string(), clip.collect());
            let values = evaluate(
                graph,
                &Given {
                    inputs,
                    ..Given::default()
                },
            )
            .unwrap();
            for (term, _) in &graph.outputs {
                let v = values.output(graph, term).unwrap();
                assert!(
                    v.iter().all(|x| x.is_finite()),
                    "{name} x{scale}: {term} is {v:?}"
                );
            }
        }
    }
}

/// Every parameter that takes words, in the library, in the models and in what is measured.
fn word_parameters() -> Vec<(String, String, bool)> {
    use vsr_compiler::syntax::ast::{BinaryOp, Expr, ExprKind, Input, ItemKind, TypeKind};
    let is_listed = |conditions: &[Expr], name: &str| {
        conditions.iter().any(|clause| {
            matches!(&clause.kind, ExprKind::Binary { op: BinaryOp::In, left, right, .. }
                if matches!(&left.kind, ExprKind::Name(n) if n == name)
                && matches!(&right.kind, ExprKind::List(items)
                    if items.iter().all(|item| matches!(item.kind, ExprKind::Str(_)))))
        })
    };
    let mut found = vec![];
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    for folder in ["stdlib", "models", "tests/peers/shapes"] {
        for entry in std::fs::read_dir(format!("{root}/{folder}")).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|ending| ending != "vsr") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let file = vsr_compiler::syntax::parse(0, &text, &mut Default::default());
            for item in &file.items {
                let (inputs, conditions): (Vec<&Input>, _) = match &item.kind {
                    ItemKind::Op(op) => (op.inputs.iter().collect(), &op.conditions),
                    ItemKind::Block(block) => (block.params.iter().collect(), &block.conditions),
                    _ => continue,
                };
                for input in inputs.iter().filter(|i| matches!(i.ty.kind, TypeKind::Str)) {
                    let owner = item.name().unwrap().text.clone();
                    let listed = is_listed(conditions, &input.name.text);
                    found.push((owner, input.name.text.clone(), listed));
                }
            }
        }
    }
    found
}

#[test]
fn every_parameter_that_takes_words_lists_them() {
    let found = word_parameters();
    for owner in ["resize", "resize_matrix", "tap", "Rows"] {
        assert!(
            found.iter().any(|(o, _, _)| o == owner),
            "{owner} in {found:?}"
        );
    }
    for (owner, name, listed) in found {
        assert!(
            listed,
            "`{name}` of {owner} takes any word: where {name} in [\"…\"]"
        );
    }
}

#[test]
fn an_unknown_word_is_one_error_that_lists_the_known_ones() {
    let text = |call: &str| {
        format!("model M()(x: [B, 3, H, W]) = {call}\n\nprofile p {{ B = 1  H = 4  W = 4 }}\n")
    };
    for (call, word, near) in [
        ("resize(x, 8, 8, by=\"nearest\")", "nearest", None),
        ("resize(x, 4, 4, by=\"nearest\")", "nearest", None),
        ("resize(x, 8, 8, \"bicubc\")", "bicubc", Some("bicubic")),
        ("resize(x, 8, 8, by=\"\")", "", None),
        (
            "linear(x, resize_matrix(4, 8, by=\"Area\"))",
            "Area",
            Some("area"),
        ),
    ] {
        let said = checked(&[("m.vsr", &text(call))], "m.vsr");
        assert_eq!(said.matches("error[").count(), 1, "{said}");
        let known = "needs `by in [\"area\", \"bilinear\", \"bicubic\"]`";
        assert!(said.contains(known), "{said}");
        assert!(said.contains(&format!("by is \"{word}\"")), "{said}");
        assert!(said.contains("m.vsr:1:"), "{said}");
        let help = near.map(|near| format!("did you mean `{near}`?"));
        assert!(help.is_none_or(|help| said.contains(&help)), "{said}");
    }
    for by in ["area", "bilinear", "bicubic"] {
        let said = checked(
            &[("m.vsr", &text(&format!("resize(x, 8, 8, \"{by}\")")))],
            "m.vsr",
        );
        assert_eq!(said, "");
    }
}

/// One training step of a batch normalisation on these numbers: (output's mean square, running mean, running variance).
fn batch_norm(b: usize, h: usize, x: &[f64]) -> Result<[Vec<f64>; 3], String> {
    let text = format!(
        "model Norm()(x: [B, C, H, W]) -> [B, C, H, W] = x |> BatchNorm() @bn\n\n\
         train norm() = Norm() {{\n  epochs = 1\n  steps = 1\n  optimizer = Sgd()\n  rate = 0\n  \
         data x: [B, C, H, W] = clips(\"data\")\n  loss = mean(norm(x)**2)\n}}\n\n\
         profile train {{ B = {b}  C = {}  H = {h}  W = 1 }}\n",
        x.len() / (b * h)
    );
    let made = run(&[("norm.vsr", &text)], "norm.vsr", &Options::default())?;
    let graph = &entry(&made, "train", "train").graph;
    let scalar = |name: &str| (name.to_string(), vec![0.0]);
    let mut given = Given {
        inputs: ["step", "epoch", "rate"].map(scalar).into(),
        ..Given::default()
    };
    given.inputs.insert("x".into(), x.to_vec());
    let values = evaluate(graph, &given).unwrap();
    let updates = values.updates(graph);
    let loss = values.output(graph, "loss").unwrap().to_vec();
    let update = |name: &str| updates[&format!("bn.running_{name}")].clone();
    Ok([loss, update("mean"), update("var")])
}

/// `torch.nn.BatchNorm2d` 2.15 after one step from mean 0 and variance 1, momentum 0.1: its running variance is of
/// variances over n - 1, while what it normalises with is over n. It refuses one number in a channel, and so do we.
#[test]
fn batch_norm_keeps_the_unbiased_variance() {
    let close = |a: &[f64], b: &[f64]| assert!(apart(a, b) < 1e-6, "{a:?} {b:?}");
    let [loss, mean, var] = batch_norm(2, 2, &[1.0, 2.0, 3.0, 6.0]).unwrap();
    close(&mean, &[0.3]);
    close(&var, &[1.366_666_7]);
    // 3.5/(3.5 + 1e-5): over n.
    close(&loss, &[0.999_997_143]);
    // Two channels: 1, 2, 5, 6 and 3, 4, 7, 8.
    let [_, mean, var] = batch_norm(2, 2, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]).unwrap();
    close(&mean, &[0.35, 0.55]);
    close(&var, &[1.466_666_7, 1.466_666_7]);
    // Two numbers: the variance over n - 1 is twice that over n.
    let [_, _, var] = batch_norm(2, 1, &[1.0, 4.0]).unwrap();
    close(&var, &[1.35]);
    let said = batch_norm(1, 1, &[1.0]).unwrap_err();
    assert_eq!(said.matches("error[").count(), 1, "{said}");
    assert!(
        said.contains("error[where]: sample_variance needs `n > 1`; n is 1"),
        "{said}"
    );
    assert!(
        said.contains("norm.vsr:1:") && said.contains("in BatchNorm"),
        "{said}"
    );
}
