//! What kernels touch and where their values lie, where a case of `tests/cases/kernels` cannot say it. Networks are written
//! here as text and scheduled as `vsrc` does; no machine code is made.

#![allow(clippy::unwrap_used)]

use crate::sema::run;
use vsr_compiler::pass_manager::PassManager;
use vsr_compiler::schedule::{EntryPlan, Numerics, Rules, Slot, WeightTable, plan};
use vsr_compiler::sema::Options;

fn scheduled(text: &str, entry: &str) -> (EntryPlan, WeightTable) {
    scheduled_by(text, entry, Rules::new(entry == "train", false))
}

fn scheduled_by(text: &str, entry: &str, rules: Rules) -> (EntryPlan, WeightTable) {
    let made = run(&[("case.vsr", text)], "case.vsr", &Options::default()).unwrap();
    let mut weights = WeightTable::declared(&made.weights);
    let chosen = made.entries.into_iter().find(|e| e.name == entry).unwrap();
    let graph = vsr_compiler::pass::optimise(chosen.graph, &mut PassManager::default());
    let plan = plan(&graph, &mut weights, rules, &mut PassManager::default());
    (plan, weights)
}

/// One kernel updates a weight with both of its moments.
#[test]
fn adam_is_one_kernel_for_each_weight() {
    let text = "model Net()(x: [B, 3, H, W]) -> [B, 3, H, W] = x |> Conv2d(8) @a |> silu |> Conv2d(3) @b\n\
                train net() = Net() {\n  epochs = 1\n  steps = 1\n  optimizer = Adam()\n  rate = 1e-3\n\
                \x20 data clip: [B, 3, T, H, W] = clips(\"data\")\n  loss = mse(net(frames(clip)), frames(clip))\n}\n\
                profile train { B = 2  T = 1  H = 16  W = 16 }\n";
    let (plan, weights) = scheduled(text, "train");
    let slot = |key: String| {
        let at = weights.weights.iter().position(|w| w.key == key);
        Slot::Weight(at.unwrap_or_else(|| panic!("no {key}")))
    };
    for key in ["a.weight", "a.bias", "b.weight", "b.bias"] {
        let [own, m, v] = ["", "optimizer.m.", "optimizer.v."].map(|p| slot(format!("{p}{key}")));
        let touch = |s: &Slot| {
            plan.launches
                .iter()
                .filter(|l| l.buffers.contains(s))
                .collect::<Vec<_>>()
        };
        assert_eq!((touch(&m).len(), touch(&v).len()), (1, 1), "{key}");
        let update = touch(&m)[0];
        assert!(
            update.buffers.contains(&v) && update.buffers.contains(&own),
            "{key}"
        );
    }
}

#[test]
fn weights_that_are_used_twice_are_packed_once() {
    let text = "model Case()(x: [B, C, H, W]) -> [B, C, H, W] {\n\
                \x20 param k: [C, C, 3, 3] = uniform(-1, 1)\n\
                \x20 x |> conv2d(k, pad=1) |> relu |> conv2d(k, pad=1)\n}\n\
                profile case { B = 2  C = 32  H = 16  W = 24 }\n";
    let plan = scheduled(text, "infer").0;
    let packs = plan.setup.iter().filter(|l| l.label.ends_with("panels"));
    assert_eq!(packs.count(), 1);
}

#[test]
fn subpixels_do_not_transpose_the_channels_of_a_shuffle() {
    let text = "model Case()(x: [B, C, H, W]) -> [B, 16, 2*H, 2*W] {\n\
                x |> Conv2d(128) @a |> pixel_shuffle(2) |> relu |> Conv2d(16) @b\n}\n\
                profile case { B = 1  C = 32  H = 16  W = 24 }\n";
    let numerics = Numerics {
        min_winograd_multiplications: 0,
        ..Numerics::default()
    };
    let rules = Rules::new(false, true).by(numerics);
    let launches = scheduled_by(text, "infer", rules).0.launches;
    let shuffled = |m: &&String| m.contains("[1, 32, 32, 48]");
    let members: Vec<&String> = launches
        .iter()
        .flat_map(|l| &l.members)
        .filter(shuffled)
        .collect();
    assert!(!members.is_empty());
    assert!(
        members.iter().all(|m| m.contains("order 0231")),
        "{members:#?}"
    );
}

#[test]
fn sums_that_are_stored_as_they_are_go_to_their_place_at_once() {
    use vsr_compiler::tile::{Stmt, To};
    let first = |body: &str| {
        let text = format!(
            "model Case()(x: [B, C, H, W]) {{\n{body}\n}}\nprofile case {{ B = 1  C = 32  H = 16  W = 16 }}\n"
        );
        let launches = scheduled(&text, "infer").0.launches;
        let mut bodies = launches.into_iter().flat_map(|l| l.kernel.body);
        bodies.find_map(|s| match s {
            Stmt::Contract(c) => Some(c.c),
            _ => None,
        })
    };
    let plain = "param k: [64, C] = uniform(-0.1, 0.1)\n\
                 s[b, i, j, o] = sum[c] k[o, c]*x[b, c, i, j]\ns";
    assert!(matches!(first(plain), Some(To::Buf(_))));
    let with_more = "x |> Conv2d(64) @a |> relu |> Conv2d(64) @b";
    assert!(matches!(first(with_more), Some(To::Tile(_))));
}

#[test]
fn layouts_are_transposed_in_blocks_of_lines() {
    use vsr_compiler::tile::Stmt;
    let kernel = |value: &str| {
        let text = format!(
            "model Case()(x: [B, C, H, W], z: [B, W, C, H]) {{\n  y[b, j, c, i] = {value}\n}}\n\
             profile case {{ B = 1  C = 32  H = 256  W = 512 }}\n"
        );
        let mut launches = scheduled(&text, "infer").0.launches;
        assert_eq!(launches.len(), 1);
        launches.remove(0).kernel
    };
    let blocks = |value: &str| -> Vec<i64> { kernel(value).tasks.iter().map(|t| t.step).collect() };
    // Adjacent results, and around them 128 of what is read adjacently.
    assert_eq!(blocks("x[b, c, i, j]"), [1, 128, 64]);
    // What is computed is computed along what is read, in a tile.
    let computed = kernel("2*x[b, c, i, j] + 1");
    assert_eq!((computed.tiles.len(), computed.body.len()), (1, 2));
    let steps: Vec<i64> = computed.tasks.iter().map(|t| t.step).collect();
    assert_eq!(steps, [1, 16, 128]);
    // An operand that lies like the result would be read across: all is left as it is.
    let both = kernel("x[b, c, i, j] + z[b, j, c, i]");
    assert!(both.tiles.is_empty() && matches!(both.body.as_slice(), [Stmt::Compute(_)]));
}
