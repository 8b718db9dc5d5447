//! Snapshots of what `--emit` prints: a small VDSR whole, the flagship shortened.

use vsr_compiler::backend::clif::Target;
use vsr_compiler::diag::Problems;
use vsr_compiler::pipeline::{Stage, compile};
use vsr_compiler::sema::{Loader, Options};
use vsr_tests::Repository;

fn emit(path: &str, profile: &str, set: &[(&str, &str)], stage: Stage) -> String {
    let (mut files, mut problems) = (Repository::default(), Problems::new());
    let set = set
        .iter()
        .map(|(n, v)| (n.to_string(), v.to_string()))
        .collect();
    let options = Options {
        name: None,
        profiles: vec![profile.into()],
        set,
    };
    let made = compile(
        &mut files,
        path,
        &options,
        Target::X86_64V3,
        Some(stage),
        &mut problems,
    );
    let made = made.unwrap_or_else(|| panic!("{}", problems.render(files.sources())));
    made.emitted.expect("a stage was asked for")
}

const SMALL: [(&str, &str); 4] = [("width", "8"), ("depth", "3"), ("H", "16"), ("W", "16")];

#[test]
fn a_small_vdsr_at_every_stage() {
    for (name, stage) in [
        ("graph", Stage::Graph),
        ("schedule", Stage::Schedule),
        ("tile", Stage::Tile),
    ] {
        let text = emit("models/vdsr.vsr", "picture", &SMALL, stage);
        insta::assert_snapshot!(format!("vdsr_{name}"), text);
    }
}

#[test]
fn training_a_small_vdsr_is_scheduled_so() {
    let text = emit(
        "models/vdsr.vsr",
        "train",
        &[SMALL[0], SMALL[1], ("H", "16"), ("W", "16"), ("B", "2")],
        Stage::Schedule,
    );
    insta::assert_snapshot!("vdsr_train_schedule", text);
}

/// One line a kernel: what was fused where.
#[test]
fn the_flagship_is_scheduled_so() {
    let text = emit("models/vsr.vsr", "tile", &[("ch", "16")], Stage::Schedule);
    let kernels: Vec<&str> = text.lines().filter(|l| !l.starts_with("      ")).collect();
    insta::assert_snapshot!("flagship_schedule", kernels.join("\n"));
}
