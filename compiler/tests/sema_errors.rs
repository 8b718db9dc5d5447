//! What elaboration says about wrong texts: one snapshot of all messages, and how they behave together.

use crate::sema::run;
use vsr_compiler::sema::Options;

/// Name, text. A text without a profile gets one.
const CASES: &[(&str, &str)] = &[
    (
        "add",
        "op f(x: [B, C], b: [C]) -> [B, C] = x + b\nmodel M()(x: [B, C], b: [C]) -> [B, C] { f(x, b) }",
    ),
    (
        "bounds",
        "op f(x: [N]) -> [N] { y[i] = x[i] - x[i - 1] }\nmodel M()(x: [N]) -> [N] { f(x) }",
    ),
    (
        "crop",
        "op f(x: [N]) -> [N/2] { y[i] = x[i] }\nmodel M()(x: [N]) { f(x) }",
    ),
    (
        "float index",
        "op f(x: [N], u: [N]) -> [N] { y[i] = x[u[i]] else 0 }\nmodel M()(x: [N]) { f(x, x) }",
    ),
    (
        "half",
        "op f(x: [N]) -> [N] = 1/2*x\nmodel M()(x: [N]) { f(x) }",
    ),
    (
        "index is a number",
        "op f(x: [N], n: int) -> [N] { y[n] = x[n] }\nmodel M()(x: [N]) { f(x, 3) }",
    ),
    (
        "no value",
        "op f(x: [N]) -> [N] {\n  a = x\n  -x\n}\nmodel M()(x: [N]) { f(x) }",
    ),
    (
        "range",
        "op f(x: [N]) { y[i] = x[2*i] }\nmodel M()(x: [N]) { f(x) }",
    ),
    (
        "reduction",
        "op f(x: [N]) -> [] = sum[i] x[i]\nmodel M()(x: [N]) { f(x) }",
    ),
    (
        "shared",
        "block F()(x: [B, C]) -> [B, 3] {\n  l = Linear(3) @l\n  l(l(x))\n}\nmodel M()(x: [B, C]) { x |> F() }",
    ),
    (
        "axes",
        "op f(x: [N, M]) -> [N] { y[i] = x[i] }\nmodel M()(x: [N, N]) { f(x) }",
    ),
    (
        "touch",
        "op f(x: [N]) -> [N] { y = x (3) }\nmodel M()(x: [N]) { f(x) }",
    ),
    (
        "twice",
        "block F()(x: [B, C]) -> [B, C] { x |> Linear(C) |> Linear(C) }\nmodel M()(x: [B, C]) { x |> F() @f }",
    ),
    (
        "import",
        "use Lin from \"other.vsr\"\nmodel M()(x: [B, C]) { x |> Lin() }",
    ),
    (
        "missing file",
        "use Lin from \"nowhere.vsr\"\nmodel M()(x: [B, C]) { x }",
    ),
    (
        "import and item",
        "use Line from \"other.vsr\"\nblock Line()(x: [N]) { x }\nmodel M()(x: [N]) { x |> Line() }",
    ),
    ("call", "model M()(x: [B, C]) { x |> sigmod }"),
    ("block", "model M()(x: [B, C]) { x |> Conv2e(8) }"),
    (
        "only where",
        "model M(attention: bool = false)(x: [N]) {\n  if attention { g = 2*x }\n  g\n}",
    ),
    ("unbound", "model M()(image: [N]) { imgae + 1 }"),
    (
        "if",
        "model M()(x: [N]) -> [N] { y[i] = if x[i] > 0 { 1 } else { 0 } }",
    ),
    (
        "param type",
        "model M()(x: [B, C, N, N]) { x |> Conv2d(8, stride=\"2\") }",
    ),
    (
        "param name",
        "model M()(x: [B, C, N, N]) { x |> Conv2d(8, strid=2) }",
    ),
    (
        "param missing",
        "model M()(x: [B, C, N, N]) { x |> Conv2d() }",
    ),
    ("too many", "model M()(x: [B, C]) { relu(x, x) }"),
    ("unbound dim", "model M()(x: [B, Hr]) { x }"),
    (
        "unsolvable",
        "op f(x: [A*B]) { x }\nmodel M()(x: [N]) { f(x) }",
    ),
    (
        "multiple",
        "model M()(x: [B, 6, N, N]) { pixel_shuffle(x, 2) }",
    ),
    (
        "concat",
        "model M()(x: [B, C, 2*N], y: [B, C, N]) { concat([x, y], axis=1) }",
    ),
    ("rank", "model M()(x: [B, C]) { conv2d(x, x) }"),
    (
        "result",
        "op f(x: [B, C]) -> [C, B] { 2*x }\nmodel M()(x: [B, C]) { f(x) }",
    ),
    ("reshape", "model M()(x: [B, C]) { reshape(x, [B, B]) }"),
    ("slice", "model M()(x: [B, C]) { x[:, 2:C + 1] }"),
    (
        "where",
        "block F()(x: [N]) -> [N] where N % 3 == 0 { x }\nmodel M()(x: [N]) { x |> F() @f }",
    ),
    ("twice left", "model M()(x: [N]) { y[i, i] = x[i] }"),
    (
        "two sizes",
        "model M()(x: [B], y: [C]) { z[i] = x[i] + y[i] }",
    ),
    (
        "empty range",
        "model M()(x: [N]) { y[i] = sum[k in 3..3] x[i]*k }",
    ),
    (
        "else",
        "model M()(x: [N]) { y[i in 0..N] = x[i - 1] else x[0] }",
    ),
    ("whole tensor", "model M()(x: [N]) { y[i] = x*x[i] }"),
    ("not elementwise", "model M()(x: [N]) { y[i] = mean(x[i]) }"),
    ("comparison", "model M()(x: [N]) { y[i] = x[i] > 0 }"),
    (
        "param in op",
        "op f(x: [N]) -> [N] {\n  param w: [N] = 1\n  x*w\n}\nmodel M()(x: [N]) { f(x) }",
    ),
    (
        "cycle",
        "block Up()(x: [N]) { x |> Down() }\nblock Down()(x: [N]) { x |> Up() }\nmodel M()(x: [N]) { x |> Up() }",
    ),
    ("self", "op f(x: [N]) { f(x) }\nmodel M()(x: [N]) { f(x) }"),
    (
        "defined twice",
        "op f(x: [N]) { x }\nop f(x: [N]) { 2*x }\nmodel M()(x: [N]) { f(x) }",
    ),
    (
        "missing weights",
        "use Line from \"other.vsr\"\nfrozen net? = Line() from \"not.safetensors\"\nmodel M()(x: [N]) { net(x) }",
    ),
    (
        "kernel",
        "op f(x: [N, C]) kernel conv { y[i] = sum[c] x[i, c] }\nmodel M()(x: [N, C]) { f(x) }",
    ),
    (
        "no kernel",
        "op f(x: [N]) kernel quick { y[i] = 2*x[i] }\nmodel M()(x: [N]) { f(x) }",
    ),
    (
        "endless",
        "model M()(x: [N]) {\n  n = 0\n  for i in 0..1000000000000 { n = n + 1 }\n  x\n}",
    ),
    (
        "large",
        "model M()(x: [N]) { zeros([N*1000000, 1000000, 1000000]) }",
    ),
    ("overflow", "model M()(x: [N]) { x*2**70 }"),
    (
        "no loss",
        "model M()(x: [N]) { x }\ntrain m() = M() {\n  data x: [N] = clips(\"data\")\n  epochs = 1\n  steps = 1\n  rate = 1e-3\n  optimizer = Sgd()\n  lss = mean(m(x))\n}\nprofile train { N = 4 }",
    ),
    (
        "no gradient",
        "model M()(x: [N]) { x }\ntrain m() = M() {\n  data x: [N] = clips(\"data\")\n  epochs = 1\n  steps = 1\n  rate = 1e-3\n  optimizer = Sgd()\n  loss = mean(m(x))\n}\nprofile train { N = 4 }",
    ),
    (
        "grad",
        "op f(x: [N], y: [N]) -> [N] = x*y\ngrad(z, dz) = dz\nmodel M()(x: [N]) {\n  param w: [N] = 1\n  f(x, w)\n}\ntrain m() = M() {\n  data x: [N] = clips(\"data\")\n  epochs = 1\n  steps = 1\n  rate = 1e-3\n  optimizer = Sgd()\n  loss = mean(m(x))\n}\nprofile train { N = 4 }",
    ),
    (
        "never reached",
        "op f(x: [N]) -> [N] { x + sigmod(x) }\nblock G(n: int)(x: [N]) -> [M] { y + relu(x, 2) }\nmodel M(n: int)(x: [N], x: [N]) { x }",
    ),
];

const OTHER: &str = "block Line()(x: [N]) { x }\n";

fn message(text: &str) -> String {
    let mut text = text.to_string();
    if !text.contains("profile") {
        text.push_str("\nprofile p { B = 2  C = 8  N = 4 }");
    }
    let files = [("bad.vsr", text.as_str()), ("other.vsr", OTHER)];
    match run(&files, "bad.vsr", &Options::default()) {
        Ok(_) => "no error\n".into(),
        Err(text) => text,
    }
}

#[test]
fn messages() {
    let all: Vec<String> = CASES
        .iter()
        .map(|(name, text)| format!("# {name}\n{}", message(text)))
        .collect();
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn every_wrong_text_has_an_error() {
    for (name, text) in CASES {
        assert!(
            message(text).starts_with("error["),
            "{name}: {}",
            message(text)
        );
    }
}

#[test]
fn one_run_reports_several_errors_but_no_cascade() {
    let text = "model M()(x: [B, C]) {\n  a = sigmod(x)\n  b = a + 1\n  c = b |> Conv2e(8)\n  d = transpse(x, 0, 1)\n  c + d\n}";
    let shown = message(text);
    assert_eq!(shown.matches("error[").count(), 3, "{shown}");
}

#[test]
fn an_error_in_a_loop_is_reported_once() {
    let text = "model M()(x: [B, C]) {\n  h = x\n  for i in 0..5 { h = h |> sigmod }\n  h\n}";
    assert_eq!(message(text).matches("error[").count(), 1);
}

#[test]
fn settings_are_checked() {
    let text = "model M(depth: int = 2)(x: [N]) { x }\nprofile p { N = 4 }";
    let with = |set: &[(&str, &str)], name: Option<&str>, profiles: &[&str]| {
        let options = Options {
            name: name.map(str::to_string),
            profiles: profiles.iter().map(|p| (*p).to_string()).collect(),
            set: set
                .iter()
                .map(|(n, v)| ((*n).to_string(), (*v).to_string()))
                .collect(),
        };
        run(&[("m.vsr", text)], "m.vsr", &options)
            .map(|_| ())
            .unwrap_err()
    };
    assert!(with(&[("depht", "3")], None, &[]).contains("did you mean `depth`?"));
    assert!(with(&[("depth", "x")], None, &[]).contains("`depth` is int"));
    assert!(with(&[("N", "0")], None, &[]).contains("a positive int"));
    assert!(with(&[], Some("N"), &[]).contains("no model or train item `N`"));
    assert!(with(&[], None, &["q"]).contains("there is no profile `q`"));
}

#[test]
fn deep_nesting_and_long_chains_are_no_overflow() {
    let mut chain = String::new();
    for i in 0..400 {
        chain.push_str(&format!("op f{i}(x: [N]) {{ f{}(x) }}\n", i + 1));
    }
    chain.push_str("op f400(x: [N]) { x }\nmodel M()(x: [N]) { f0(x) }");
    assert!(
        message(&chain).contains("nested too deeply"),
        "{}",
        message(&chain)
    );
    let sum = vec!["x"; 3000].join(" + ");
    let shown = message(&format!("model M()(x: [N]) {{ {sum} }}"));
    assert!(
        shown.starts_with("no error") || shown.starts_with("error["),
        "{shown}"
    );
}
