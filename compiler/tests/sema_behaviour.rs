//! What the language promises about layers, state, randomness, choices and promises.

use crate::sema::{entry, run};
use std::collections::BTreeSet;
use vsr_compiler::ir::eval::{Given, evaluate};
use vsr_compiler::ir::graph::{Graph, Op};
use vsr_compiler::sema::{Elaborated, Options};

fn elaborate(text: &str) -> Elaborated {
    run(&[("m.vsr", text)], "m.vsr", &Options::default()).unwrap_or_else(|shown| panic!("{shown}"))
}

fn keys(made: &Elaborated) -> Vec<&str> {
    made.weights.iter().map(|w| w.key.as_str()).collect()
}

/// A graph without the places it came from.
fn bare(graph: &Graph) -> Vec<String> {
    let node = |id| {
        let n = graph.node(id);
        format!("{:?} {:?} {:?}", n.op, n.operands, n.shape)
    };
    graph.ids().map(node).collect()
}

fn output(made: &Elaborated, inputs: &[(&str, &[f64])]) -> Vec<f64> {
    let graph = &made.entries[0].graph;
    let inputs = inputs
        .iter()
        .map(|(n, v)| ((*n).to_string(), v.to_vec()))
        .collect();
    let given = Given {
        inputs,
        ..Given::default()
    };
    let values = evaluate(graph, &given).expect("it evaluates");
    values.output(graph, "output").expect("a result").to_vec()
}

const TRAIN: &str = "train net() = Net() {
  epochs = 1
  steps = 1
  rate = 1e-3
  optimizer = Adam()
  data x: [B, C, N] = clips(\"data\")
  loss = mean(net(x)**2)
}
profile train { B = 2  C = 3  N = 5 }
profile p { B = 1  C = 3  N = 5 }
";

#[test]
fn a_shared_layer_has_one_weight_and_each_labelled_one_its_own() {
    let made = elaborate(
        "model M()(x: [B, C]) -> [B, C] {
  f = Linear(C) @f
  y = f(f(x))
  for i in 0..2 { y = y |> Linear(C, bias=false) @g.{i} }
  y
}
profile p { B = 2  C = 3 }",
    );
    assert_eq!(
        keys(&made),
        ["f.weight", "f.bias", "g.0.weight", "g.1.weight"]
    );
}

#[test]
fn state_is_rewritten_by_training_only() {
    let text = format!("model Net()(x: [B, C, N]) -> [B, C, N] {{ x |> BatchNorm() @n }}\n{TRAIN}");
    let made = elaborate(&text);
    assert_eq!(
        keys(&made)[..4],
        ["n.weight", "n.bias", "n.running_mean", "n.running_var"]
    );
    let updates = |name: &str, profile: &str| {
        let graph = &entry(&made, name, profile).graph;
        graph
            .ids()
            .filter(|id| matches!(graph.node(*id).op, Op::Update))
            .count()
    };
    // Two running statistics, two weights with a count and two moments each.
    assert_eq!(updates("train", "train"), 2 + 2 * 4);
    assert_eq!((updates("eval", "train"), updates("infer", "p")), (0, 0));
}

#[test]
fn clipping_and_the_running_mean_change_the_step() {
    let net = "model Net()(x: [B, C, N]) -> [B, C, N] { x |> Linear(N, bias=false) @l }\n";
    let with = |lines: &str| {
        let text = format!(
            "{net}{}",
            TRAIN.replace("  steps = 1\n", &format!("  steps = 1\n{lines}"))
        );
        let made = elaborate(&text);
        let graph = &entry(&made, "train", "train").graph;
        let mut inputs: std::collections::BTreeMap<String, Vec<f64>> = Default::default();
        inputs.insert(
            "x".into(),
            (0..30).map(|i| f64::from(i % 7) - 3.0).collect(),
        );
        for name in ["step", "epoch"] {
            inputs.insert(name.into(), vec![0.0]);
        }
        inputs.insert("rate".into(), vec![-1.0]);
        let weights = [(
            "l.weight".to_string(),
            (0..25).map(|i| f64::from(i % 3)).collect(),
        )]
        .into();
        evaluate(
            graph,
            &Given {
                inputs,
                weights,
                ..Given::default()
            },
        )
        .expect("it evaluates")
        .updates(graph)
    };
    let norm = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>().sqrt();
    let free = with("");
    let clipped = with("  clip = 0.5\n");
    let moment = "optimizer.m.l.weight";
    assert!(
        norm(&free[moment]) > 0.1,
        "the gradient is larger than the bound"
    );
    assert!(
        (norm(&clipped[moment]) - 0.1 * 0.5).abs() < 1e-6,
        "{}",
        norm(&clipped[moment])
    );
    let mean = with("  ema = 0.9\n");
    assert_eq!(
        mean["ema.l.weight"], mean["l.weight"],
        "the mean starts at the first new value"
    );
    // Adam's first step has the size of the rate.
    let moved = (mean["l.weight"][1] - 1.0).abs();
    assert!((moved - 1e-3).abs() < 1e-5, "{moved}");
}

#[test]
fn random_numbers_differ_by_place_and_stay_when_text_before_them_changes() {
    let text = "op noisy(x: [N]) -> [N] kernel sample {
  n = rand([N])
  y[i] = x[i] + n[i] + 0.5*x[floor(x[i])] else 0
}
model M()(x: [N]) -> [N] { noisy(x) + noisy(2*x) }
profile p { N = 4 }";
    let random = |made: &Elaborated| -> BTreeSet<u64> {
        let graph = &made.entries[0].graph;
        let key = |id| match graph.node(id).op {
            Op::Random { key, .. } => Some(key),
            _ => None,
        };
        graph.ids().filter_map(key).collect()
    };
    let (first, second) = (
        elaborate(text),
        elaborate(&format!("# more\n\n{}", text.replace(" kernel sample", ""))),
    );
    assert_eq!(random(&first).len(), 2);
    assert_eq!(
        bare(&first.entries[0].graph),
        bare(&second.entries[0].graph)
    );
}

#[test]
fn a_gradient_clause_holds_inside_an_equation_too() {
    let made = elaborate(
        "model M()(x: [N]) -> [N] { y[i] = round_ste(2*x[i]) + x[i] }
profile p { N = 3 }",
    );
    assert_eq!(output(&made, &[("x", &[0.2, 0.3, -0.9])]), [0.2, 1.3, -2.9]);
}

#[test]
fn a_missing_network_takes_the_other_branch() {
    let text = "use Line from \"line.vsr\"
frozen net? = Line() from \"net.safetensors\"
model M()(x: [N]) -> [N] { if net { net(x) } else { 3*x } }
profile p { N = 2 }";
    let files = [
        ("m.vsr", text),
        ("line.vsr", "block Line()(x: [N]) -> [N] { x }"),
    ];
    let made = run(&files, "m.vsr", &Options::default()).expect("it elaborates");
    assert_eq!(output(&made, &[("x", &[1.0, 2.0])]), [3.0, 6.0]);
}

#[test]
fn numbers_follow_python() {
    let made = elaborate(
        "model M()(x: [N]) -> [N] {
  a = -7//2 + -7 % 3 + 2**3
  xs = [i*i for i in 0..5]
  s = if 9 in xs { xs[-1] + len(xs[1:-1]) } else { 0 }
  for p, q in zip([1, 2], [10, 20]) { s = s + p*q }
  y[i] = x[i]*a + s + floor(log2(8)) + clamp(i - 1, 0, 1) + i % 2 - i//2
}
profile p { N = 4 }",
    );
    // a = -4 + 2 + 8, s = 16 + 3 + 50, and 3 more.
    assert_eq!(
        output(&made, &[("x", &[1.0, 0.0, 0.0, 0.0])]),
        [78.0, 73.0, 72.0, 73.0]
    );
}

/// The flagship and the whole standard library as one file of the user's own, so that every promise is checked.
fn flagship_with_its_library() -> String {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../");
    let read = |path: &str| {
        std::fs::read_to_string(format!("{root}{path}")).expect("a file of the repository")
    };
    let mut names: Vec<_> = std::fs::read_dir(format!("{root}stdlib"))
        .expect("the library")
        .filter_map(|f| Some(f.ok()?.file_name().to_str()?.to_string()))
        .collect();
    names.retain(|n| n.ends_with(".vsr"));
    names.sort();
    let library = names.iter().map(|n| read(&format!("stdlib/{n}")));
    let all: Vec<String> = std::iter::once(read("models/vsr.vsr"))
        .chain(library)
        .collect();
    all.join("\n")
}

fn without_promises(text: &str) -> String {
    let mut parts = text.split(" kernel ");
    let mut bare = parts.next().unwrap_or_default().to_string();
    for part in parts {
        let name = part
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(part.len());
        bare.push_str(&part[name..]);
    }
    bare
}

#[test]
fn the_librarys_promises_are_kept_and_change_nothing() {
    let text = flagship_with_its_library();
    assert!(text.matches(" kernel ").count() >= 7);
    let options = Options {
        profiles: vec!["train".into()],
        set: [("ch", "8"), ("B", "1"), ("H", "16"), ("W", "16")]
            .map(|(n, v)| (n.into(), v.into()))
            .into(),
        ..Options::default()
    };
    let graphs = |text: &str| -> Vec<Vec<String>> {
        let made = run(&[("models/all.vsr", text)], "models/all.vsr", &options)
            .unwrap_or_else(|shown| panic!("{shown}"));
        made.entries.iter().map(|e| bare(&e.graph)).collect()
    };
    assert!(
        graphs(&text) == graphs(&without_promises(&text)),
        "a promise changes a graph"
    );
}
