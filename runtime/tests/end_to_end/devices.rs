//! The commands on another device than the processor, which the host cannot look into: the same run, the same film.

use super::common::*;
use std::path::Path;
use vsr_compiler::backend::Target;

/// A folder with `net/` for the processor and `text/` for the interpreter.
fn both() -> tempfile::TempDir {
    let dir = workplace();
    compile_for(Target::Interpreter, NET, &dir.path().join("text"));
    dir
}

fn weights(run: &Path) -> Vec<Vec<f32>> {
    let file = vsr_runtime::tensors::read(&run.join("last.safetensors")).expect("weights");
    file.tensors.into_values().map(|t| t.data).collect()
}

/// First weights, uploads, states, running means, validation, checkpoints and what is resumed from them.
#[test]
fn a_run_on_the_interpreter_is_the_processors() {
    let dir = both();
    let dir = dir.path();
    let how = "--steps 2 --valid 1 --seed 7 -q";
    succeed(dir, &format!("train net --out a --epochs 2 {how}"));
    succeed(dir, &format!("train text --out b --epochs 1 {how}"));
    succeed(dir, "train text --resume b --epochs 2 -q");
    let (a, b) = (weights(&dir.join("a")), weights(&dir.join("b")));
    assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().flatten().zip(b.iter().flatten()) {
        assert!((a - b).abs() <= 1e-4 * (1.0 + a.abs()), "{a} {b}");
    }
    assert_eq!(metrics(&dir.join("b")).len(), 2);
}

#[test]
fn a_film_is_enlarged_on_the_interpreter() {
    let dir = both();
    let dir = dir.path();
    write_film(&dir.join("in.y4m"), 50, 48, 2);
    for net in ["net", "text"] {
        let words = format!("upscale {net} in.y4m -o {net}.y4m --seed 3");
        succeed(dir, &words);
    }
    let (a, b) = (film(&dir.join("net.y4m")), film(&dir.join("text.y4m")));
    assert_eq!(a.len(), 2);
    for (a, b) in a.iter().zip(&b) {
        let near = |(a, b): (&u8, &u8)| a.abs_diff(*b) <= 1;
        assert!(a.rgb.iter().zip(&b.rgb).all(near));
    }
}

#[test]
fn code_for_another_device_is_refused() {
    let dir = both();
    let dir = dir.path();
    let words = "upscale net in.y4m -o out.y4m --device interpreter";
    let parts = [
        "not compiled for the device interpreter",
        "--target interpreter",
    ];
    refuse(dir, words, 1, &parts);
    let words = "upscale text in.y4m -o out.y4m --device cpu";
    let parts = ["not compiled for the device cpu", "--target x86-64-v3"];
    refuse(dir, words, 1, &parts);
    let parts = ["is not measured", "--device cpu"];
    refuse(dir, "bench text", 1, &parts);
    refuse(dir, "bench --roofs r.json --device interpreter", 1, &parts);
    assert!(!dir.join("r.json").exists());
    // Text that is none, and text of another network.
    let code = |folder: &str| {
        let content = names(&dir.join(folder)).into_iter();
        let mut content = content.filter(|name| name.ends_with("code.bin"));
        dir.join(folder).join(content.next().expect("code"))
    };
    let (place, mut bytes) = (code("text"), bytes(code("text")));
    let at = bytes.len() - 3;
    bytes[at] ^= 1;
    std::fs::write(place, bytes).expect("a file");
    refuse(dir, "info text", 1, &["does not match its hash"]);
}
