//! `kernel softmax` holds where the scheduler finds a softmax, and nowhere else: both ask the same predicate.
#![allow(clippy::unwrap_used)]

use crate::sema::run;
use vsr_compiler::pass::optimise;
use vsr_compiler::pass_manager::{Emit, PassManager};
use vsr_compiler::schedule::{Rules, WeightTable, plan};
use vsr_compiler::sema::Options;

/// Equations of an op from `x: [A, N, M]` to a tensor of its shape; whether they are a softmax along one axis.
const OPS: &[(&str, bool)] = &[
    ("y[a, n, m] = exp(x[a, n, m] - lse[k] x[a, n, k])", true),
    ("y[a, n, m] = exp(x[a, n, m] - lse[k] x[a, k, m])", true),
    (
        "y[a, n, m] = exp(2*x[a, n, m] + a - lse[k] (2*x[a, n, k] + a))",
        true,
    ),
    (
        "l[a, n] = lse[k] x[a, n, k]\n  y[a, n, m] = exp(x[a, n, m] - l[a, n])",
        true,
    ),
    // Of other numbers, along two axes, of a row's part, of the neighbour's row.
    ("y[a, n, m] = exp(x[a, n, m] - lse[k] 2*x[a, n, k])", false),
    ("y[a, n, m] = exp(x[a, n, m] - lse[j, k] x[a, j, k])", false),
    (
        "y[a, n, m] = exp(x[a, n, m] - lse[k in 0..2] x[a, n, k])",
        false,
    ),
    (
        "y[a, n, m] = exp(x[a, n, m] - lse[k] x[a, (n + 1) % 4, k])",
        false,
    ),
    // A maximum, a sum, no exponential.
    ("y[a, n, m] = exp(x[a, n, m] - max[k] x[a, n, k])", false),
    (
        "y[a, n, m] = exp(x[a, n, m])/(sum[k] exp(x[a, n, k]))",
        false,
    ),
    ("y[a, n, m] = x[a, n, m] - lse[k] x[a, n, k]", false),
];

fn text(body: &str, promise: &str) -> String {
    format!(
        "op f(x: [A, N, M]) -> [A, N, M]{promise} {{\n  {body}\n}}\n\n\
         model Net()(x: [A, N, M]) -> [A, N, M] = f(x)\n\nprofile p {{ A = 3  N = 4  M = 6 }}\n"
    )
}

/// The text of the schedule after a pass.
fn after(body: &str, pass: &'static str) -> String {
    let made = run(
        &[("net.vsr", &text(body, ""))],
        "net.vsr",
        &Options::default(),
    );
    let made = made.unwrap_or_else(|shown| panic!("{shown}"));
    let graph = optimise(made.entries[0].graph.clone(), &mut PassManager::default());
    let mut manager = PassManager::emitting(Some(Emit::After(pass)));
    let rules = Rules::new(false, false);
    plan(&graph, &mut WeightTable::default(), rules, &mut manager);
    manager.text
}

#[test]
fn softmax_is_promised_where_the_scheduler_finds_it() {
    for (body, is_softmax) in OPS {
        let found = after(body, "split") != after(body, "softmax");
        assert_eq!(found, *is_softmax, "the scheduler: {body}");
        let promised = text(body, " kernel softmax");
        let made = run(&[("net.vsr", &promised)], "net.vsr", &Options::default());
        match made {
            Ok(_) => assert!(is_softmax, "{body}"),
            Err(shown) => {
                assert!(!is_softmax, "{body}: {shown}");
                let why = "no equation here is `exp(t - lse t)` along one axis";
                assert!(shown.contains(why), "{shown}");
            }
        }
    }
}

#[test]
fn norms_and_attention_are_promised_by_what_they_read() {
    let refused = |body: &str, kernel: &str| {
        let promised = text(body, &format!(" kernel {kernel}"));
        run(&[("net.vsr", &promised)], "net.vsr", &Options::default()).err()
    };
    let norm = "m[a, n] = mean[k] x[a, n, k]\n  v[a, n] = var[k] x[a, n, k]\n  \
                y[a, n, m] = (x[a, n, m] - m[a, n])/sqrt(v[a, n] + 1e-5)";
    assert_eq!(refused(norm, "layer_norm"), None);
    let apart = "v[a, n] = var[k] x[a, n, k]\n  y[a, n, m] = 1/sqrt(v[a, n] + 1e-5) + m";
    let shown = refused(apart, "layer_norm").unwrap();
    assert!(
        shown.contains("reads both a row's reduction and what it reduces"),
        "{shown}"
    );
    let scores = "s[a, n, r] = sum[k] x[a, n, k]*x[a, r, k]";
    let attention = |p: &str| {
        format!("{scores}\n  p[a, n, r] = {p}\n  y[a, n, m] = sum[r] p[a, n, r]*x[a, r, m]")
    };
    assert_eq!(
        refused(
            &attention("exp(s[a, n, r] - lse[q] s[a, n, q])"),
            "attention"
        ),
        None
    );
    let shown = refused(&attention("max(s[a, n, r], 0)"), "attention").unwrap();
    assert!(shown.contains("`exp(t - lse t)`"), "{shown}");
}
