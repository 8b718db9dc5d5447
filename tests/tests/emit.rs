//! Snapshots of what `--emit` prints at each stage (ast, graph, grad, schedule, tile, clif): small networks whole, the
//! flagship shortened.

use vsr_compiler::backend::Target;
use vsr_compiler::diag::{Problems, Sources};
use vsr_compiler::ir::print;
use vsr_compiler::pass_manager::PassManager;
use vsr_compiler::pipeline::{compile, emit_of, graphs};
use vsr_compiler::sema::{Loader, Options};
use vsr_compiler::syntax;
use vsr_tests::{Repository, root};

fn ast(path: &str) -> String {
    let text = std::fs::read_to_string(root().join(path)).expect("a file of the repository");
    let (mut sources, mut problems) = (Sources::new(), Problems::new());
    let file = sources.add(path, text.clone());
    let tree = syntax::parse(file, &text, &mut problems);
    assert!(problems.is_empty(), "{}", problems.render(&sources));
    syntax::print_ast(&tree)
}

/// The beginning of each line that `keep` wants.
fn shortened(text: &str, keep: impl Fn(&str) -> bool) -> String {
    let short = |line: &str| match line.char_indices().nth(100) {
        Some((at, _)) => format!("{}…\n", &line[..at]),
        None => format!("{line}\n"),
    };
    text.lines().filter(|l| keep(l)).map(short).collect()
}

fn options(profile: &str, set: &[(&str, &str)]) -> Options {
    let text = |(n, v): &(&str, &str)| (n.to_string(), v.to_string());
    Options {
        name: None,
        profiles: vec![profile.into()],
        set: set.iter().map(text).collect(),
    }
}

/// The graphs of the entries of this name, or of all.
fn graph(path: &str, profile: &str, set: &[(&str, &str)], entry: Option<&str>) -> String {
    let (mut files, mut problems) = (Repository::default(), Problems::new());
    let made = graphs(
        &mut files,
        path,
        &options(profile, set),
        &mut PassManager::default(),
        &mut problems,
    );
    let made = made.unwrap_or_else(|| panic!("{}", problems.render(files.sources())));
    let wanted = made.entries.iter();
    let wanted = wanted.filter(|e| entry.is_none_or(|name| e.name == name));
    let text = wanted.map(|e| {
        let graph = print::print(&e.graph);
        format!("# entry {} {}\n{graph}", e.name, e.profile)
    });
    text.collect()
}

fn emit(path: &str, profile: &str, set: &[(&str, &str)], stage: &str) -> String {
    let (mut files, mut problems) = (Repository::default(), Problems::new());
    let options = options(profile, set);
    let mut manager = PassManager::emitting(emit_of(stage));
    let made = compile(
        &mut files,
        path,
        &options,
        Target::X86_64V3,
        &mut manager,
        &mut problems,
    );
    assert!(made.is_some(), "{}", problems.render(files.sources()));
    manager.text
}

const SMALL: [(&str, &str); 4] = [("width", "8"), ("depth", "3"), ("H", "16"), ("W", "16")];

#[test]
fn a_small_vdsr_at_every_stage() {
    insta::assert_snapshot!("vdsr_ast", ast("models/vdsr.vsr"));
    let text = graph("models/vdsr.vsr", "picture", &SMALL, Some("infer"));
    insta::assert_snapshot!("vdsr_graph", text);
    for name in ["schedule", "tile"] {
        let text = emit("models/vdsr.vsr", "picture", &SMALL, name);
        insta::assert_snapshot!(format!("vdsr_{name}"), text);
    }
}

const SMALL_STEP: [(&str, &str); 5] = [SMALL[0], SMALL[1], SMALL[2], SMALL[3], ("B", "2")];

#[test]
fn training_a_small_vdsr_at_every_stage() {
    let text = graph("models/vdsr.vsr", "train", &SMALL_STEP, None);
    insta::assert_snapshot!("vdsr_grad", text);
    let text = emit("models/vdsr.vsr", "train", &SMALL_STEP, "schedule");
    insta::assert_snapshot!("vdsr_train_schedule", text);
}

/// The text of one kernel's machine code before registers, whole: the smallest op there is.
#[test]
fn machine_code_of_a_small_op() {
    let text = emit("tests/cases/relu.vsr", "case", &[], "clif");
    insta::assert_snapshot!("relu_clif", text);
}

/// Items, their parameters, inputs and results.
#[test]
fn the_flagship_is_parsed_so() {
    let depth = |line: &str| line.len() - line.trim_start().len();
    let text = shortened(&ast("models/vsr.vsr"), |l| {
        depth(l) <= 2 && !l.starts_with("doc ")
    });
    insta::assert_snapshot!("flagship_ast", text);
}

/// One line a node, without the numbers of its constants.
#[test]
fn the_flagship_is_this_graph() {
    let text = graph("models/vsr.vsr", "tile", &[("ch", "16")], Some("infer"));
    insta::assert_snapshot!("flagship_graph", shortened(&text, is_node));
}

fn is_node(line: &str) -> bool {
    !line.starts_with("    ")
}

/// What the step of training reads and gives; of the rest, how many nodes there are of some kinds.
#[test]
fn the_flagships_gradients_are_these() {
    let set = [
        ("ch", "16"),
        ("strength", "0"),
        ("B", "1"),
        ("T", "3"),
        ("H", "16"),
        ("W", "16"),
    ];
    let text = graph("models/vsr.vsr", "train", &set, None);
    let train = text
        .split("# entry")
        .find(|e| e.starts_with(" train"))
        .expect("the entry");
    let ends = |l: &str| {
        ["  param ", "  # output", "model "]
            .iter()
            .any(|p| l.starts_with(p))
    };
    let mut short = shortened(train, ends);
    for kind in ["sum[", "max[", "lse[", "var[", "  state ", "  next "] {
        let n = train
            .lines()
            .filter(|l| is_node(l) && l.contains(kind))
            .count();
        short += &format!("{n} lines with {}\n", kind.trim().trim_end_matches('['));
    }
    insta::assert_snapshot!("flagship_grad", short);
}

/// One line a kernel: what was fused where.
#[test]
fn the_flagship_is_scheduled_so() {
    let text = emit("models/vsr.vsr", "tile", &[("ch", "16")], "schedule");
    let kernels: Vec<&str> = text.lines().filter(|l| !l.starts_with("      ")).collect();
    insta::assert_snapshot!("flagship_schedule", kernels.join("\n"));
}

/// How many kernels there are of each kind, and that each became one function.
#[test]
fn the_flagships_kernels_are_of_these_kinds() {
    let tiles = emit("models/vsr.vsr", "tile", &[("ch", "16")], "tile");
    let code = emit("models/vsr.vsr", "tile", &[("ch", "16")], "clif");
    let mut kinds = std::collections::BTreeMap::<&str, usize>::new();
    for line in tiles.lines().filter(|l| l.starts_with("kernel ")) {
        *kinds.entry(line.trim_end_matches(" {")).or_default() += 1;
    }
    let functions = code.lines().filter(|l| l.starts_with("function ")).count();
    assert_eq!(kinds.values().sum::<usize>(), functions);
    let signatures = code
        .lines()
        .filter(|l| l.starts_with("function "))
        .map(|l| {
            l.trim_end_matches(" {")
                .split_once('(')
                .expect("arguments")
                .1
        });
    let signatures: std::collections::BTreeSet<&str> = signatures.collect();
    let lines = kinds.iter().map(|(kind, n)| format!("{n} of {kind}\n"));
    let text: String = lines
        .chain(
            signatures
                .iter()
                .map(|s| format!("all are functions of ({s}\n")),
        )
        .collect();
    insta::assert_snapshot!("flagship_tile_and_clif", text);
}
