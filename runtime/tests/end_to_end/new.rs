//! What `vsrc new` makes, used as its README says: trained, on made scenes and on footage, and used to enlarge a film.

use super::common::*;
use std::fs;
use vsr_compiler::project::project;

/// The commands of a README, without the program's name.
fn commands<'a>(readme: &'a str, program: &str) -> Vec<&'a str> {
    let start = format!("    {program} ");
    let lines = readme.lines().filter_map(|l| l.strip_prefix(&start));
    lines.map(str::trim).collect()
}

#[test]
fn a_new_project_trains_and_upscales_as_its_readme_says() {
    let made = project("my-net").expect("a good name");
    let [(_, net), (_, readme), _] = &made.files[..] else {
        panic!("three files: {:?}", made.files);
    };
    let dir = tempfile::tempdir().expect("a temporary folder");
    let dir = dir.path();
    compile(net, &dir.join("compiled"));
    let words = commands(readme, "vsr-run");
    let [train, upscale, eval] = words[..] else {
        panic!("three commands: {words:?}");
    };
    // A short epoch on scenes that it makes itself, and one on clips.
    succeed(dir, &format!("{train} --epochs 1 --steps 2 --valid 1"));
    fs::create_dir(dir.join("clips")).expect("a folder");
    for name in ["a", "b"] {
        write_film(&dir.join(format!("clips/{name}.y4m")), 96, 80, 4);
    }
    let data = "--data clips --epochs 1 --steps 2 --valid 1 --seed 3";
    let weights = "--weights runs/mynet-1/best.safetensors";
    succeed(dir, &format!("{train} {data} {weights}"));
    let epochs = metrics(&dir.join("runs/mynet-2"));
    assert_eq!(epochs.len(), 1, "{epochs:?}");
    let before = tensor(dir.join("runs/mynet-1/best.safetensors"), "tail.weight");
    let after = tensor(dir.join("runs/mynet-2/best.safetensors"), "tail.weight");
    assert!(
        before.iter().any(|w| *w != 0.0) && before != after,
        "it learns"
    );

    // As it stands there: a film, and one twice as large.
    write_film(&dir.join("in.mp4"), 80, 48, 4);
    succeed(dir, upscale);
    let out = film(&dir.join("out.mp4"));
    let sizes: Vec<(usize, usize)> = out.iter().map(|f| (f.width, f.height)).collect();
    assert_eq!(sizes, [(160, 96); 4]);
    let done = succeed(dir, &eval.replace("FOLDER", "clips"));
    assert!(done.out.contains("dB"), "{}", done.out);
}

/// `gain=0` on the last layer: what the file says of the untrained network is so, away from the border, where pixels
/// outside are guessed in other ways.
#[test]
fn a_new_project_begins_as_bicubic_interpolation() {
    let made = project("x2").expect("a good name");
    let dir = tempfile::tempdir().expect("a temporary folder");
    let dir = dir.path();
    compile(&made.files[0].1, &dir.join("compiled"));
    write_film(&dir.join("clip.y4m"), 96, 80, 3);
    let done = succeed(dir, "eval compiled --data clip.y4m --crop 8 --json -q");
    let report: serde_json::Value = serde_json::from_str(&done.out).expect("JSON");
    let [ours, bicubic] = ["psnr", "bicubic_psnr"].map(|k| report["mean"][k].as_f64());
    let (ours, bicubic) = (ours.expect("a number"), bicubic.expect("a number"));
    assert!((ours - bicubic).abs() < 0.05, "{ours} dB, {bicubic} dB");
}
