//! `vsrc report` against an outside truth: counts by hand, counts of the published networks, the compiler's own plan.

#![allow(clippy::unwrap_used)]

use crate::sema::Files;
use vsr_artifact::roofs::{Roof, named};
use vsr_compiler::backend::Target;
use vsr_compiler::diag::Problems;
use vsr_compiler::pass_manager::PassManager;
use vsr_compiler::pipeline;
use vsr_compiler::report::{Report, Roofline, report, text};
use vsr_compiler::sema::{Loader, Options};

fn roofline() -> Roofline {
    let roofs = named("laptop").unwrap();
    Roofline {
        name: roofs.machine.clone(),
        file: None,
        roof: roofs.of(None).unwrap(),
    }
}

fn of(texts: &[(&str, &str)], path: &str, options: &Options, depth: Option<usize>) -> Report {
    let mut files = Files::default();
    for (name, text) in texts {
        files.texts.insert((*name).into(), (*text).into());
    }
    let mut problems = Problems::new();
    report(&mut files, path, options, depth, roofline(), &mut problems)
        .unwrap_or_else(|| panic!("{:?}", problems.iter().collect::<Vec<_>>()))
}

fn options(profiles: &[&str], set: &[(&str, &str)]) -> Options {
    Options {
        name: None,
        profiles: profiles.iter().map(|p| (*p).into()).collect(),
        set: set
            .iter()
            .map(|(n, v)| ((*n).into(), (*v).into()))
            .collect(),
    }
}

/// The FLOPs and parameters of one expression on `[B, C, H, W] = [2, 6, 8, 10]`.
fn small(expression: &str, result: &str) -> (u64, u64) {
    let text = format!(
        "model Case()(x: [B, 6, H, W]) -> {result} {{\n  {expression}\n}}\n\
         profile case {{ B = 2  H = 8  W = 10 }}\n"
    );
    let made = of(
        &[("case.vsr", &text)],
        "case.vsr",
        &Options::default(),
        None,
    );
    (made.entries["infer"].flops, made.parameters)
}

#[test]
fn small_networks_counted_by_hand() {
    // A multiply and an add for each term of a sum.
    let pixels = 2 * 8 * 10;
    let conv = small("x |> Conv2d(4, bias=false) @a", "[B, 4, H, W]");
    assert_eq!(conv, (2 * pixels * 4 * 6 * 9, 4 * 6 * 9));
    // The bias: one add for each result.
    let biased = small("x |> Conv2d(4) @a", "[B, 4, H, W]");
    assert_eq!(biased, (2 * pixels * 4 * 6 * 9 + pixels * 4, 4 * 6 * 9 + 4));
    let strided = small(
        "x |> Conv2d(4, stride=2, bias=false) @a",
        "[B, 4, H/2, W/2]",
    );
    assert_eq!(strided, (2 * (pixels / 4) * 4 * 6 * 9, 4 * 6 * 9));
    let grouped = small(
        "x |> Conv2d(4, k=1, groups=2, bias=false) @a",
        "[B, 4, H, W]",
    );
    assert_eq!(grouped, (2 * pixels * 4 * 3, 4 * 3));
    let linear = small("x |> tokens |> Linear(5, bias=false) @a", "[B, H*W, 5]");
    assert_eq!(linear, (2 * pixels * 5 * 6, 5 * 6));
    // Two in a row, a residual: the second reads 6 channels again.
    let residual = small(
        "x + (x |> Conv2d(7, k=1, bias=false) @a |> Conv2d(6, k=1, bias=false) @b)",
        "[B, 6, H, W]",
    );
    assert_eq!(residual, (2 * pixels * 7 * 6 * 2 + pixels * 6, 7 * 6 * 2));
}

#[test]
fn vdsr_is_its_convolutions() {
    let made = of(&[], "models/vdsr.vsr", &options(&["picture"], &[]), None);
    assert_eq!((made.parameters, made.tensors), (664_704, 20));
    // Every weight is multiplied and added once for each pixel; relu and the skip are the rest.
    let convolutions = 2 * 256 * 256 * 664_704;
    let others = 256 * 256 * (19 * 64 + 1);
    assert_eq!(made.entries["infer"].flops, convolutions + others);
    let middle = made.blocks.iter().find(|b| b.path == "features.2").unwrap();
    assert_eq!(
        (middle.name.as_str(), middle.parameters),
        ("Conv2d", 36_864)
    );
    assert_eq!(
        middle.entries["infer"].flops,
        2 * 256 * 256 * 36_864 + 256 * 256 * 64
    );
}

#[test]
fn the_flagship_has_its_published_numbers() {
    let made = of(&[], "models/vsr.vsr", &options(&["tile"], &[]), Some(1));
    assert_eq!(made.parameters, 6_802_510);
    let gflop = made.entries["infer"].flops as f64 / 1e9;
    assert!((gflop - 17.02).abs() < 0.005, "{gflop}");
    let paths: Vec<&str> = made.blocks.iter().map(|b| b.path.as_str()).collect();
    let expected = [
        "encoder",
        "align",
        "fusion",
        "bottleneck",
        "decoder",
        "body",
        "tail",
        "out",
        "refine",
        "",
    ];
    assert_eq!(paths, expected);
}

#[test]
fn sdxl_has_its_published_numbers() {
    let made = of(
        &[],
        "models/sdxl-unet.vsr",
        &options(&["side512"], &[]),
        Some(1),
    );
    assert_eq!((made.parameters, made.tensors), (2_567_463_684, 1680));
    // 0.79 T multiply-adds for the whole network, its prompt an input.
    let tflop = made.entries["infer"].flops as f64 / 1e12;
    assert!((1.5..1.7).contains(&tflop), "{tflop}");
}

#[test]
fn blocks_add_up_to_the_whole_at_every_depth() {
    let small = options(
        &["train", "tile"],
        &[
            ("ch", "8"),
            ("rank", "8"),
            ("H", "16"),
            ("W", "16"),
            ("T", "3"),
            ("B", "1"),
        ],
    );
    for depth in [Some(1), Some(2), None] {
        let made = of(&[], "models/vsr.vsr", &small, depth);
        let parameters: u64 = made.blocks.iter().map(|b| b.parameters).sum();
        let tensors: u64 = made.blocks.iter().map(|b| b.tensors).sum();
        assert_eq!((parameters, tensors), (made.parameters, made.tensors));
        for (key, entry) in &made.entries {
            let of_entry = || made.blocks.iter().filter_map(|b| b.entries.get(key));
            assert_eq!(
                of_entry().map(|c| c.flops).sum::<u64>(),
                entry.flops,
                "{key}"
            );
            assert_eq!(
                of_entry().map(|c| c.bytes).sum::<u64>(),
                entry.bytes,
                "{key}"
            );
            assert_eq!(
                of_entry().map(|c| c.launches).sum::<u64>(),
                entry.launches,
                "{key}"
            );
            let shares: f64 = of_entry().map(|c| c.share).sum();
            assert!((shares - 1.0).abs() < 1e-9, "{key}: {shares}");
        }
        let segments = made
            .blocks
            .iter()
            .map(|b| b.path.split('.').count())
            .max()
            .unwrap();
        assert!(depth.is_none_or(|d| segments <= d) && (depth.is_some() || segments > 2));
    }
}

#[test]
fn a_training_step_belongs_to_the_blocks_that_it_trains() {
    let made = of(
        &[],
        "models/vdsr.vsr",
        &options(&["train"], &[("B", "2")]),
        Some(1),
    );
    let share = |path: &str| {
        let block = made.blocks.iter().find(|b| b.path == path);
        block
            .and_then(|b| b.entries.get("train"))
            .map_or(0.0, |c| c.share)
    };
    assert!(share("features") > 0.95, "{}", share("features"));
    assert!(
        share("optimizer") > 0.0 && share("") < 0.03,
        "{}",
        share("")
    );
    // Forward, input gradient and weight gradient; the first layer has no input gradient.
    let (train, eval) = (&made.entries["train"], &made.entries["eval"]);
    let ratio = train.flops as f64 / eval.flops as f64;
    assert!((2.9..3.1).contains(&ratio), "{ratio}");
    assert_eq!(made.optimizer_bytes, 4 * (2 * 664_704 + 20));
}

/// What the report, the manifest and a benchmark say of the same entries. None: it is refused, by all of them.
fn assert_one_truth(path: &str, options: &Options) -> Option<usize> {
    let (mut problems, mut refused) = (Problems::new(), Problems::new());
    let target = Target::X86_64V3;
    let mut manager = PassManager::default();
    let mut files = Files::default();
    let compiled = pipeline::compile(
        &mut files,
        path,
        options,
        target,
        &mut manager,
        &mut problems,
    );
    let made = report(
        &mut Files::default(),
        path,
        options,
        Some(1),
        roofline(),
        &mut refused,
    );
    let (Some(compiled), Some(made)) = (compiled, made) else {
        let (told, also) = (
            problems.render(files.sources()),
            refused.render(files.sources()),
        );
        assert_eq!(told, also, "{path}");
        return None;
    };
    let entries = &compiled.artifact.manifest.entries;
    for (at, entry) in entries.iter().enumerate() {
        let is_known = entries[..at].iter().any(|e| e.name == entry.name);
        let key = match is_known {
            true => format!("{} {}", entry.name, entry.profile),
            false => entry.name.clone(),
        };
        let cost = &made.entries[&key];
        let benched: u64 = entry
            .launches
            .iter()
            .map(|launch| launch.equation_flops)
            .sum();
        assert_eq!(
            (cost.flops, benched),
            (entry.flops, entry.flops),
            "{path} {key}"
        );
        let planned = (entry.arena_bytes, entry.folded_bytes, entry.scratch_bytes);
        let told = (
            cost.arena_bytes,
            cost.folded_bytes,
            cost.scratch_bytes_per_thread,
        );
        assert_eq!(told, planned, "{path} {key}");
        assert_eq!(cost.launches as usize, entry.launches.len(), "{path} {key}");
    }
    Some(entries.len())
}

#[test]
fn memory_and_flops_are_those_of_the_artifact() {
    let set = [
        ("ch", "8"),
        ("rank", "8"),
        ("H", "16"),
        ("W", "16"),
        ("T", "3"),
        ("B", "1"),
    ];
    let small = options(&["train", "tile"], &set);
    assert_eq!(assert_one_truth("models/vsr.vsr", &small), Some(3));
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../");
    let mut n_compiled = 0;
    for folder in [
        "models",
        "tests/cases",
        "tests/cases/ops",
        "tests/cases/faults",
    ] {
        for file in std::fs::read_dir(format!("{root}{folder}")).unwrap() {
            let name = file.unwrap().file_name().into_string().unwrap();
            // Of the whole SDXL there is a test above.
            if name.ends_with(".vsr") && !name.starts_with("sdxl") {
                let path = format!("{folder}/{name}");
                n_compiled += usize::from(assert_one_truth(&path, &Options::default()).is_some());
            }
        }
    }
    assert!(n_compiled > 80, "{n_compiled} compile");
}

#[test]
fn times_follow_the_roofs() {
    let options = options(&["picture"], &[]);
    let slow = of(&[], "models/vdsr.vsr", &options, Some(1));
    let mut roof = roofline();
    roof.roof = Roof {
        threads: 4,
        fma_gflops: 10.0 * roof.roof.fma_gflops,
        copy_gb_per_s: 10.0 * roof.roof.copy_gb_per_s,
    };
    let mut problems = Problems::new();
    let fast = report(
        &mut Files::default(),
        "models/vdsr.vsr",
        &options,
        Some(1),
        roof,
        &mut problems,
    )
    .unwrap();
    let (slow, fast) = (slow.entries["infer"].seconds, fast.entries["infer"].seconds);
    assert!((slow / fast - 10.0).abs() < 1e-6);
    assert!(slow >= 87.2e9 / 384e9);
}

#[test]
fn json_has_the_promised_keys_and_text_says_which_roofs() {
    let made = of(
        &[],
        "models/vdsr.vsr",
        &options(&[], &[("depth", "3"), ("width", "8")]),
        Some(1),
    );
    let json = serde_json::to_value(&made).unwrap();
    for key in ["parameters", "tensors"] {
        assert!(json[key].is_u64(), "{key}");
    }
    for entry in ["infer", "train"] {
        for key in ["flops", "arena_bytes"] {
            assert!(
                json["entries"][entry][key].as_u64().unwrap() > 0,
                "{entry} {key}"
            );
        }
    }
    assert!(json["blocks"].as_array().unwrap().len() >= 2);
    assert!(
        json["blocks"][0]["entries"]["infer"]["activation_bytes"]
            .as_u64()
            .unwrap()
            > 0
    );
    let text = text(&made);
    assert!(text.contains("nominal numbers of `laptop`"), "{text}");
    assert!(
        text.contains("infer") && text.contains("features"),
        "{text}"
    );
}

#[test]
fn a_second_profile_has_a_name_of_its_own() {
    let text = "model Case()(x: [B, 3]) -> [B, 2] = x |> Linear(2) @a\n\
                profile small { B = 2 }\nprofile large { B = 8 }\n";
    let made = of(&[("case.vsr", text)], "case.vsr", &Options::default(), None);
    assert_eq!(
        made.entries.keys().collect::<Vec<_>>(),
        ["infer", "infer large"]
    );
    assert_eq!(
        made.entries["infer large"].flops,
        4 * made.entries["infer"].flops
    );
}

/// One equation each, whose kernel computes nothing twice.
#[test]
fn a_hover_counts_what_the_report_counts() {
    for body in [
        "x |> Conv2d(8, bias=false) @a",
        "x |> Conv2d(8, stride=2, groups=2, bias=false) @a",
        "tanh(x*2 + 1)*x",
        "max_pool(x)",
    ] {
        let text = format!(
            "model M()(x: [B, C, H, W]) {{\n  {body}\n}}\n\nprofile p {{ B = 1  C = 4  H = 8  W = 8 }}\n"
        );
        let texts = [("m.vsr", text.as_str())];
        let made = of(&texts, "m.vsr", &Options::default(), None);
        let mut files = Files::default();
        files.texts.insert("m.vsr".into(), text.clone());
        let mut problems = Problems::new();
        let checked = pipeline::checked(
            &mut files,
            "m.vsr",
            &Options::default(),
            true,
            &mut problems,
        );
        let hovers = checked.facts.at.values().map(|fact| fact.flops);
        let flops = made.entries["infer"].flops;
        assert!(flops > 0, "{body}");
        assert_eq!(hovers.max(), Some(flops), "{body}");
    }
}

#[test]
fn what_does_not_compile_has_no_report() {
    let text = "model M()(x: [N]) -> [N] = 2*x\n\nprofile p { N = 8  float = bf16 }\n";
    let mut files = Files::default();
    files.texts.insert("m.vsr".into(), text.into());
    let (options, mut problems) = (Options::default(), Problems::new());
    let roof = roofline();
    let made = report(&mut files, "m.vsr", &options, None, roof, &mut problems);
    assert!(made.is_none());
    let told = problems.render(files.sources());
    assert!(told.contains("profile p is for bf16"), "{told}");
}
