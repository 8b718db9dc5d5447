//! `vsrc` as a user runs it: what it refuses for the machine at hand, and what it says of files that are not there.

#![allow(clippy::unwrap_used)]

use crate::program::{text, vsrc};
use std::path::Path;
use vsr_compiler::pipeline::{STAGES, passes};

/// A folder of its own for one test, with one text in it.
fn folder(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("m.vsr"), text).unwrap();
    folder
}

/// Exit code, standard output, standard error.
fn compile(folder: &Path, words: &str) -> (i32, String, String) {
    let done = vsrc(folder, &format!("compile m.vsr {words}"));
    let code = done.status.code().unwrap();
    (code, text(&done.stdout), text(&done.stderr))
}

#[test]
fn an_absent_network_is_named_and_an_error_when_strict() {
    let text = "model Line()(x: [N]) -> [N] { param k: [N] = 1
  y[n] = k[n]*x[n] }
frozen line? = Line() from \"line.safetensors\"
model M()(x: [N]) -> [N] = if line { line(x) } else { x }
profile p { N = 4 }
";
    let folder = folder(text);
    let folder = folder.path();
    let (code, said, _) = compile(folder, "M");
    assert_eq!(code, 0);
    assert!(
        said.contains("without  line: there is no line.safetensors"),
        "{said}"
    );
    for words in ["M --strict", "M --strict --emit graph"] {
        let (code, _, complained) = compile(folder, words);
        assert_eq!(code, 1);
        assert!(
            complained.contains("line.safetensors is missing"),
            "{complained}"
        );
    }
    std::fs::write(folder.join("line.safetensors"), "nonsense").unwrap();
    let (code, _, complained) = compile(folder, "M");
    assert_eq!(code, 1);
    assert!(
        complained.contains("error[weight]: line.safetensors is neither safetensors"),
        "{complained}"
    );
}

#[test]
fn what_a_profile_asks_for_is_done_or_refused() {
    let text = "model M()(x: [B, 3, H, W]) -> [B, 3, H, W] = x |> Conv2d(3) |> relu |> Conv2d(3) @b
profile half { B = 1  H = 8  W = 8  float = f16 }
profile plain { B = 1  H = 8  W = 8  float = f32  memory = 1 }
profile tight { B = 1  H = 64  W = 64  memory = 0.00001 }
";
    let folder = folder(text);
    let folder = folder.path();
    let (code, _, said) = compile(folder, "--profile half");
    assert_eq!(code, 1);
    assert!(
        said.contains("error[param]: profile half is for f16, which the CPU does not do yet"),
        "{said}"
    );
    assert_eq!(compile(folder, "--profile plain").0, 0);
    let (code, _, said) = compile(folder, "--profile tight");
    assert_eq!(code, 1);
    assert!(said.contains("and its `memory` is 0.00001"), "{said}");
}

/// What `--emit machine` prints is what `--machine` takes, and the artifact says for which machine it is.
#[test]
fn a_machine_is_described_in_a_file() {
    let text = "model M()(x: [B, 3, H, W]) -> [B, 3, H, W] = x |> Conv2d(3)\n\n\
                profile p { B = 1  H = 8  W = 8 }\n";
    let folder = folder(text);
    let folder = folder.path();
    let (code, default, _) = compile(folder, "--emit machine");
    assert_eq!(code, 0);
    let described = default.replace("\"threads\": 4", "\"threads\": 64");
    assert_ne!(described, default);
    std::fs::write(folder.join("many.json"), &described).unwrap();
    let (code, printed, _) = compile(folder, "--machine many.json --emit machine");
    assert_eq!((code, printed), (0, described));
    assert_eq!(compile(folder, "--machine many.json -o many").0, 0);
    let manifest = std::fs::read_to_string(folder.join("many/manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    assert_eq!(manifest["target"]["machine"]["threads"], 64);
}

#[test]
fn what_describes_no_machine_is_refused_before_anything_is_compiled() {
    let folder = folder("model M()(x: [N]) -> [N] = x\nprofile p { N = 4 }\n");
    let folder = folder.path();
    for (text, why) in [
        ("{\"threads\": 0}", "m.json: `threads` is from 1 to 4096"),
        ("{\"cores\": 4}", "m.json: unknown field `cores`"),
        ("threads = 4", "m.json: expected"),
    ] {
        std::fs::write(folder.join("m.json"), text).unwrap();
        let (code, said, complained) = compile(folder, "--machine m.json");
        assert_eq!((code, said.as_str()), (1, ""));
        assert!(complained.contains(why), "{complained}");
        assert!(complained.contains("--emit machine"), "{complained}");
    }
    let (code, _, complained) = compile(folder, "--machine none.json");
    assert_eq!(code, 1);
    assert!(complained.contains("none.json"), "{complained}");
    assert!(!folder.join("compiled").exists());
}

#[test]
fn a_program_between_two_passes_is_printed_and_every_pass_is_timed() {
    let text = "model M()(x: [B, 3, H, W]) -> [B, 3, H, W] = x |> Conv2d(3) |> relu\n\n\
                profile p { B = 1  H = 8  W = 8 }\n";
    let folder = folder(text);
    let folder = folder.path();
    for pass in ["simplify", "inline", "contractions"] {
        let (code, printed, _) = compile(folder, &format!("--emit after:{pass}"));
        assert_eq!(code, 0);
        let head = "# entry infer p\nmodel Printed";
        assert!(printed.contains(head), "{printed}");
    }
    let (code, _, complained) = compile(folder, "--emit after:lunch");
    assert_eq!(code, 1);
    assert!(complained.contains("split, softmax"), "{complained}");
    let (code, _, timed) = compile(folder, "--verify --timings -q");
    assert_eq!(code, 0);
    let stages = timed.lines().filter(|line| !line.starts_with(' '));
    let stages: Vec<&str> = stages.filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(stages, STAGES.map(|stage| stage.name));
    let passes = passes()
        .into_iter()
        .map(|[level, name, _]| format!("{level}: {name}"));
    for part in passes.chain(["verify kernels".to_string()]) {
        let is_there = timed.lines().any(|l| l.starts_with(&format!("  {part} ")));
        assert!(is_there, "{part}: {timed}");
    }
}
