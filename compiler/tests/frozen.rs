//! Frozen networks: what is read from which file, what an absent file changes, and every way in which a file cannot fit.
//!
//! Enters: texts, and headers of weight files in memory. No tensor is read here.

use std::fmt::Write;

use crate::sema::{Files, entry, parameters, run_with};
use vsr_compiler::ir::graph::Op;
use vsr_compiler::sema::{Elaborated, Options, Source, WeightKind};
use vsr_weightfile::{DType, Header, Tensor};

fn header(tensors: &[(&str, &[u64])]) -> Header {
    let tensor = |shape: &[u64]| Tensor::packed(DType::F32, shape.to_vec(), 0..0);
    Header {
        tensors: tensors
            .iter()
            .map(|(k, s)| (k.to_string(), tensor(s)))
            .collect(),
        ..Header::default()
    }
}

const INNER: &str = "
block Half(out: int)(x: [B, C]) -> [B, out] { x |> Linear(out) @fc |> relu }

model Inner(out: int = 4)(x: [B, C]) -> [B, out] {
  x |> Half(out) @first |> Half(out) @second |> Linear(out, bias=false) @last
}

weights public {
  {...a}.fc.{p} -> {...a}.linear_{p}
  first.{...p} -> blocks.0.{...p}
  second.{...p} -> blocks.{2 - 1}.{...p}
  ignore counter
}

weights packed {
  first.fc.{p} -> both.{p} [0:out]
  second.fc.{p} -> both.{p} [out:2*out]
  last.weight -> proj transposed
}
";

fn outer(frozen: &str) -> String {
    format!(
        "
use Inner, public, packed from \"inner.vsr\"
{frozen}
model Outer()(x: [B, 4]) -> [B, 4] {{
  y = x |> Linear(4) @own
  if inner {{ inner(y) }} else {{ y }}
}}
profile p {{ B = 2 }}
"
    )
}

const OPTIONAL: &str = "frozen inner? = Inner() from \"w/inner.safetensors\"";

fn plain() -> Vec<(&'static str, &'static [u64])> {
    vec![
        ("first.fc.weight", &[4, 4]),
        ("first.fc.bias", &[4]),
        ("second.fc.weight", &[4, 4]),
        ("second.fc.bias", &[4]),
        ("last.weight", &[4, 4]),
    ]
}

/// Elaborates with one weight file, if there is one.
fn with(frozen: &str, stored: Option<Result<Header, String>>) -> Result<Elaborated, String> {
    let mut files = Files::default();
    if let Some(stored) = stored {
        files
            .headers
            .insert("nets/w/inner.safetensors".into(), stored);
    }
    let text = outer(frozen);
    let texts = [("nets/outer.vsr", text.as_str()), ("nets/inner.vsr", INNER)];
    run_with(files, &texts, "nets/outer.vsr", &Options::default())
}

fn sources(made: &Elaborated) -> Vec<(String, Source)> {
    let frozen = made.weights.iter().filter_map(|w| match &w.kind {
        WeightKind::Frozen(source) => Some((w.key.clone(), (**source).clone())),
        _ => None,
    });
    frozen.collect()
}

#[test]
fn without_its_file_an_optional_network_is_left_out_and_recorded() {
    let made = with(OPTIONAL, None).unwrap();
    assert_eq!(
        made.absent,
        [("inner".to_string(), "w/inner.safetensors".to_string())]
    );
    let keys: Vec<&str> = made.weights.iter().map(|w| w.key.as_str()).collect();
    assert_eq!(keys, ["own.weight", "own.bias"]);
}

#[test]
fn with_its_file_a_network_is_a_layer_whose_weights_never_train() {
    let made = with(OPTIONAL, Some(Ok(header(&plain())))).unwrap();
    assert!(made.absent.is_empty());
    assert_eq!(parameters(&made), 4 * 4 + 4);
    let sources = sources(&made);
    assert_eq!(sources.len(), 5);
    let (key, source) = &sources[0];
    assert_eq!(key, "inner:first.fc.weight");
    assert_eq!(source.file, "w/inner.safetensors");
    assert_eq!(
        (
            source.part.key.as_str(),
            source.part.rows,
            source.part.transposed
        ),
        ("first.fc.weight", None, false)
    );
    let graph = &entry(&made, "infer", "p").graph;
    let frozen = graph
        .ids()
        .filter(|id| matches!(graph.node(*id).op, Op::Param { trained: false, .. }));
    assert_eq!(frozen.count(), 5);
}

#[test]
fn rules_rename_cut_and_transpose() {
    let stored = header(&[
        ("blocks.0.linear_weight", &[4, 4]),
        ("blocks.0.linear_bias", &[4]),
        ("blocks.1.linear_weight", &[4, 4, 1, 1]),
        ("blocks.1.linear_bias", &[4]),
        ("last.weight", &[4, 4]),
        ("counter", &[]),
    ]);
    let made = with(&format!("{OPTIONAL} via public as f32"), Some(Ok(stored))).unwrap();
    let keys: Vec<String> = sources(&made).into_iter().map(|s| s.1.part.key).collect();
    assert_eq!(
        keys[1..4],
        [
            "blocks.0.linear_bias",
            "blocks.1.linear_weight",
            "blocks.1.linear_bias"
        ]
    );

    let stored = header(&[
        ("both.weight", &[8, 4]),
        ("both.bias", &[8]),
        ("proj", &[4, 4]),
    ]);
    let made = with(&format!("{OPTIONAL} via packed"), Some(Ok(stored))).unwrap();
    let sources = sources(&made);
    assert_eq!(sources[0].1.part.rows, Some((0, 4)));
    assert_eq!(
        (sources[3].1.part.key.as_str(), sources[3].1.part.rows),
        ("both.bias", Some((4, 8)))
    );
    assert!(sources[4].1.part.transposed && sources[4].1.part.key == "proj");
}

/// Two networks of one file: a tensor counts as read if one of them reads it.
#[test]
fn one_file_serves_several_networks() {
    let text = "
model Left()(x: [B, 4]) -> [B, 4] = x |> Linear(4) @left
model Right()(x: [B, 4]) -> [B, 4] = x |> Linear(4) @right
frozen left? = Left() from \"a.pth\"
frozen right? = Right() from \"a.pth\"
model Both()(x: [B, 4]) -> [B, 4] = if left and right { left(x) + right(left(x)) } else { x }
profile p { B = 2 }
";
    let mut files = Files::default();
    let stored = header(&[
        ("left.weight", &[4, 4]),
        ("left.bias", &[4]),
        ("right.weight", &[4, 4]),
        ("right.bias", &[4]),
    ]);
    files.headers.insert("a.pth".into(), Ok(stored));
    let options = Options {
        name: Some("Both".into()),
        ..Options::default()
    };
    let made = run_with(files, &[("m.vsr", text)], "m.vsr", &options).unwrap();
    assert_eq!(sources(&made).len(), 4);
    assert_eq!(parameters(&made), 0);
}

/// In training, gradients pass through a frozen network, nothing of it is updated, and it behaves as in inference.
#[test]
fn training_passes_through_a_frozen_network() {
    let text = "
model Inner()(x: [B, 3, T, H, W]) -> [B, 3, T, H, W] {
  y = x |> Conv3d(3) @conv |> BatchNorm() @norm |> dropout(0.5)
  if training { 0*y } else { y }
}
frozen inner = Inner() from \"a.safetensors\"
model Outer()(x: [B, 3, T, H, W]) -> [B, 3, T, H, W] = x |> Conv3d(3) @own
train outer = Outer() {
  epochs = 1
  steps = 1
  optimizer = Sgd()
  rate = 0.1
  data clip: [B, 3, T, H, W] = clips(\"data\")
  loss = l1(inner(outer(clip)), clip)
}
profile train { B = 1  T = 1  H = 4  W = 4 }
";
    let mut files = Files::default();
    let stored = header(&[
        ("conv.weight", &[3, 3, 3, 3, 3]),
        ("conv.bias", &[3]),
        ("norm.weight", &[3]),
        ("norm.bias", &[3]),
        ("norm.running_mean", &[3]),
        ("norm.running_var", &[3]),
    ]);
    files.headers.insert("a.safetensors".into(), Ok(stored));
    let made = run_with(files, &[("m.vsr", text)], "m.vsr", &Options::default()).unwrap();
    let train = &entry(&made, "train", "train").graph;
    let mut updated: Vec<&str> = train
        .ids()
        .filter(|id| matches!(train.node(*id).op, Op::Update))
        .filter_map(|id| match &train.node(train.node(id).operands[0]).op {
            Op::Param { key, .. } | Op::State { key, .. } => Some(key.as_str()),
            _ => None,
        })
        .collect();
    updated.sort_unstable();
    let state = ["optimizer.m.own.bias", "optimizer.m.own.weight"];
    assert_eq!(updated, [state[0], state[1], "own.bias", "own.weight"]);
    let random = train
        .ids()
        .filter(|id| matches!(train.node(*id).op, Op::Random { .. }));
    assert_eq!(random.count(), 0, "dropout is off inside");
    assert_eq!(sources(&made).len(), 6);
}

/// Every error about a weight file, as the user reads it.
#[test]
fn messages() {
    let via = |rules: &str| format!("{OPTIONAL} via {rules}");
    let mut renamed = plain();
    renamed[1].0 = "first.fc.bais";
    renamed[4].0 = "lst.weight";
    let mut shaped = plain();
    shaped[0].1 = &[4, 5];
    shaped[4].1 = &[5, 4];
    let wrapped: Vec<(String, &[u64])> = plain()
        .iter()
        .map(|(k, s)| (format!("net.{k}"), *s))
        .collect();
    let wrapped: Vec<(&str, &[u64])> = wrapped.iter().map(|(k, s)| (k.as_str(), *s)).collect();
    let mut extra = plain();
    extra.extend([
        ("head.weight", &[7, 7][..]),
        ("head.bias", &[7]),
        ("step", &[]),
    ]);
    let mut ints = header(&plain());
    ints.tensors.get_mut("last.weight").unwrap().dtype = DType::I64;
    let narrow = header(&[
        ("both.weight", &[6, 4]),
        ("both.bias", &[8]),
        ("proj", &[4, 4, 4]),
    ]);
    let must = "frozen inner = Inner() from \"w/inner.safetensors\"";
    let ok = |tensors: &[(&str, &[u64])]| Some(Ok(header(tensors)));
    let cases: Vec<(&str, String, Option<Result<Header, String>>)> = vec![
        ("misspelt keys", OPTIONAL.into(), ok(&renamed)),
        ("other shapes", OPTIONAL.into(), ok(&shaped)),
        ("every key has a prefix", OPTIONAL.into(), ok(&wrapped)),
        ("tensors that nobody reads", OPTIONAL.into(), ok(&extra)),
        ("whole numbers", OPTIONAL.into(), Some(Ok(ints))),
        (
            "rows and axes that are not there",
            via("packed"),
            Some(Ok(narrow)),
        ),
        (
            "a damaged file",
            OPTIONAL.into(),
            Some(Err("is an archive without an end: was it cut off?".into())),
        ),
        ("no such rules", via("publc"), ok(&plain())),
        ("a precision", format!("{OPTIONAL} as bf16"), ok(&plain())),
        (
            "a network that must be there is asked",
            must.into(),
            ok(&plain()),
        ),
    ];
    let mut text = String::new();
    for (title, frozen, stored) in cases {
        let message = with(&frozen, stored).expect_err(title);
        writeln!(text, "## {title}\n{message}").unwrap();
    }
    let called = "
model Inner()(x: [B]) -> [B] = x
frozen inner = Inner() from \"w/inner.safetensors\"
model Outer()(x: [B]) -> [B] = inner(x)
profile p { B = 2 }
";
    let options = Options {
        name: Some("Outer".into()),
        ..Options::default()
    };
    let itself = called.replace("[B] = x", "[B] = inner(x)");
    let circle = [("m.vsr", itself.as_str())];
    let message = run_with(Files::default(), &circle, "m.vsr", &options).expect_err("a circle");
    writeln!(text, "## a network that calls itself\n{message}").unwrap();
    let message =
        run_with(Files::default(), &[("m.vsr", called)], "m.vsr", &options).expect_err("missing");
    writeln!(text, "## a missing file\n{message}").unwrap();
    insta::assert_snapshot!(text);
}
