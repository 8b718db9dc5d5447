//! Every kind of bad input, with the program itself: one clear error that names the place, an exit code that says whose
//! fault it was, and nothing left that was not there before.

use super::common::*;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use vsr_runtime::tensors::{self, View};

#[test]
fn text_and_noise_named_as_film_are_refused() {
    let dir = workplace();
    let dir = dir.path();
    fs::write(dir.join("text.mp4"), "Dear diary,\nthis is no film.\n").unwrap();
    fs::write(dir.join("empty.mp4"), "").unwrap();
    fs::write(
        dir.join("noise.mp4"),
        b"\0\0\0\x18ftypmp42\x9a\x01\xff\xff\xff\xff\0\0\0\x08moov\x01\x02",
    )
    .unwrap();
    fs::write(dir.join("text.y4m"), "YUV4MPEG2 W0 H0\n").unwrap();
    fs::write(dir.join("text.png"), "not a picture").unwrap();
    for name in ["text.mp4", "empty.mp4", "noise.mp4", "text.y4m", "text.png"] {
        refuse(dir, &format!("upscale net {name} -o out.mp4"), 1, &[name]);
        refuse(dir, &format!("eval net --data {name}"), 1, &[name]);
    }
    let reader = match std::env::var_os(FFMPEG) {
        Some(_) => "ffmpeg can read",
        None => "can be read here",
    };
    refuse(
        dir,
        "upscale net text.mp4 -o out",
        1,
        &["text.mp4: is not a video that", reader],
    );
    fs::create_dir(dir.join("clips")).unwrap();
    fs::copy(dir.join("text.mp4"), dir.join("clips/a.mp4")).unwrap();
    refuse(dir, "train net --data clips --out run", 1, &["clips/a.mp4"]);
    let piped = command(dir, "upscale net - -o out.y4m")
        .output()
        .unwrap()
        .into();
    check("upscale net -", &piped, 1, &["-: is not a Y4M stream"]);
}

/// With --strict, or where not one frame is there; `damaged.rs` has what is made of the others.
#[test]
fn truncated_film_is_refused_wherever_it_ends() {
    let dir = workplace();
    let dir = dir.path();
    for format in ["mp4", "y4m"] {
        let whole = dir.join(format!("whole.{format}"));
        write_film(&whole, 32, 32, 6);
        let whole = bytes(whole);
        let cut = format!("cut.{format}");
        for len in [
            3,
            20,
            whole.len() / 10,
            whole.len() / 3,
            whole.len() / 2,
            whole.len() * 9 / 10,
            whole.len() - 1,
        ] {
            fs::write(dir.join(&cut), &whole[..len]).unwrap();
            let strict = if len < whole.len() / 6 {
                ""
            } else {
                "--strict"
            };
            for output in ["out.mp4", "out.y4m", "out"] {
                let words = format!("upscale net {cut} -o {output} {strict}");
                refuse(dir, &words, 1, &[&cut]);
            }
        }
    }
    fs::create_dir(dir.join("shot")).unwrap();
    write_film(&dir.join("shot/%03d.png"), 16, 16, 3);
    let picture = bytes(dir.join("shot/002.png"));
    fs::write(dir.join("shot/002.png"), &picture[..picture.len() / 2]).unwrap();
    refuse(dir, "upscale net shot -o out", 1, &["shot/002.png"]);
    write_film(&dir.join("shot/002.jpg"), 16, 16, 1);
    let picture = bytes(dir.join("shot/002.jpg"));
    fs::remove_file(dir.join("shot/002.png")).unwrap();
    fs::write(dir.join("shot/002.jpg"), &picture[..picture.len() / 2]).unwrap();
    refuse(
        dir,
        "upscale net shot -o out",
        1,
        &["shot/002.jpg", "is cut short"],
    );
    fs::remove_file(dir.join("shot/002.jpg")).unwrap();
    write_film(&dir.join("shot/b%03d.png"), 18, 16, 2);
    refuse(dir, "upscale net shot -o out", 1, &["18x16", "16x16"]);
}

/// Frames of any size are no bad input: the result has twice the size, in every format.
#[test]
fn one_pixel_and_odd_sizes_are_enlarged() {
    let dir = workplace();
    let dir = dir.path();
    for (width, height) in [(1, 1), (1, 7), (33, 1), (17, 13), (2, 31)] {
        let input = format!("in-{width}x{height}.y4m");
        write_film(&dir.join(&input), width, height, 2);
        for output in ["out.mp4", "out.y4m", "out"] {
            succeed(dir, &format!("upscale net {input} -o {output} -q"));
            let frames = film(&dir.join(output));
            let sizes: Vec<_> = frames.iter().map(|f| (f.width, f.height)).collect();
            assert_eq!(sizes, [(2 * width, 2 * height); 2], "{input} to {output}");
        }
        fs::remove_dir_all(dir.join("out")).unwrap();
        // As an MP4 of its own odd size, too.
        let odd = format!("odd-{width}x{height}.mp4");
        write_film(&dir.join(&odd), width, height, 2);
        succeed(dir, &format!("upscale net {odd} -o out.mp4 -q"));
        assert_eq!(film(&dir.join("out.mp4"))[0].width, 2 * width, "{odd}");
    }
    refuse(
        dir,
        "eval net --data in-1x1.y4m",
        1,
        &["in-1x1.y4m", "too small"],
    );
    fs::create_dir(dir.join("clips")).unwrap();
    for name in ["a", "b"] {
        write_film(&dir.join(format!("clips/{name}.y4m")), 5, 5, 2);
    }
    refuse(
        dir,
        "train net --data clips --out run",
        1,
        &["a.y4m (5x5 pixels)", "16x16"],
    );
}

#[test]
fn what_is_not_there_is_named() {
    let dir = workplace();
    let dir = dir.path();
    write_film(&dir.join("in.y4m"), 16, 16, 1);
    fs::create_dir(dir.join("bare")).unwrap();
    refuse(
        dir,
        "upscale nowhere in.y4m -o out.y4m",
        1,
        &["nowhere", "vsrc compile"],
    );
    refuse(
        dir,
        "upscale net nowhere.mp4 -o out.mp4",
        1,
        &["nowhere.mp4: there is no such file or folder"],
    );
    refuse(
        dir,
        "upscale net nowhere/%03d.png -o out.mp4",
        1,
        &["nowhere"],
    );
    refuse(
        dir,
        "upscale net bare -o out.mp4",
        1,
        &["bare: holds no PNG or JPEG pictures"],
    );
    refuse(
        dir,
        "upscale net in.y4m -o nowhere/out.mp4",
        1,
        &["nowhere/out.mp4"],
    );
    refuse(
        dir,
        "upscale net in.y4m -o nowhere/out.y4m",
        1,
        &["nowhere/out.y4m"],
    );
    refuse(
        dir,
        "upscale net in.y4m -o out.y4m --weights nowhere.safetensors",
        1,
        &["nowhere.safetensors"],
    );
    refuse(
        dir,
        "upscale net in.y4m -o out.y4m --profile big",
        1,
        &["profile big"],
    );
    refuse(
        dir,
        "upscale net in.y4m -o out.webp",
        1,
        &["out.webp", ".mp4"],
    );
    refuse(
        dir,
        "train net --data nowhere --out run",
        1,
        &["nowhere: there is no such folder"],
    );
    refuse(
        dir,
        "train net --data bare --out run",
        1,
        &["bare: holds nothing to train on"],
    );
    refuse(
        dir,
        "train net --resume nowhere",
        1,
        &["nowhere holds no run to resume"],
    );
    refuse(
        dir,
        "train net --weights nowhere.safetensors --out run",
        1,
        &["nowhere.safetensors"],
    );
    refuse(
        dir,
        "eval net --data nowhere",
        1,
        &["nowhere: there is no such file or folder"],
    );
    refuse(dir, "eval net --data bare", 1, &["bare: holds no clips"]);
    refuse(
        dir,
        "exec net --inputs nowhere.safetensors -o out.safetensors",
        1,
        &["nowhere.safetensors"],
    );
    refuse(
        dir,
        "exec net --entry dream --inputs x -o y",
        1,
        &["no entry dream", "infer (tile)"],
    );
    refuse(dir, "info nowhere", 1, &["nowhere"]);
    refuse(dir, "info net --device cuda:0", 1, &["cuda:0"]);
}

#[test]
fn every_key_of_another_networks_weights_is_listed() {
    let dir = workplace();
    let dir = dir.path();
    write_film(&dir.join("in.y4m"), 16, 16, 1);
    let view = |name, shape, data| View { name, shape, data };
    let other = [
        view("conv.weight", &[12, 3, 5, 1], &[0.5; 180][..]),
        view("body.0.weight", &[2], &[0.5; 2][..]),
        view("body.0.bias", &[1], &[0.5; 1][..]),
    ];
    tensors::write(&dir.join("other.safetensors"), &other, &BTreeMap::new()).unwrap();
    let lines = [
        "other.safetensors: holds the weights of another network, not of Net",
        "missing (1):\n    conv.bias [12]\n",
        "not in the network (2):\n    body.0.bias\n    body.0.weight\n",
        "wrong shape (1):\n    conv.weight: [12, 3, 5, 1] in the file, [12, 3, 3, 3] in the network\n",
    ];
    tensors::write(
        &dir.join("x.safetensors"),
        &[view("x", &[1], &[1.0][..])],
        &BTreeMap::new(),
    )
    .unwrap();
    for words in [
        "upscale net in.y4m -o out.y4m",
        "eval net --data in.y4m",
        "train net --out run",
        "exec net --inputs x.safetensors -o out.safetensors",
        "bench net",
    ] {
        refuse(
            dir,
            &format!("{words} --weights other.safetensors"),
            1,
            &lines,
        );
    }
    succeed(dir, "train net --out run --epochs 1 --steps 1 --valid 1 -q");
    let good = bytes(dir.join("run/last.safetensors"));
    for (name, content) in [
        ("cut", &good[..good.len() - 5]),
        ("head", &good[..40]),
        ("text", b"hello"),
        ("none", b""),
    ] {
        fs::write(dir.join(format!("{name}.safetensors")), content).unwrap();
        let words = format!("upscale net in.y4m -o out.y4m --weights {name}.safetensors");
        refuse(
            dir,
            &words,
            1,
            &[name, "is neither safetensors nor a file of `torch.save`"],
        );
    }
    fs::write(dir.join("run/state.safetensors"), &good).unwrap();
    refuse(
        dir,
        "train net --resume run",
        1,
        &["run/state.safetensors", "missing (8)", "optimizer"],
    );
}

#[test]
fn a_damaged_artifact_is_refused() {
    let dir = workplace();
    let dir = dir.path();
    write_film(&dir.join("in.y4m"), 16, 16, 1);
    let code = vsr_artifact::code_file(&dir.join("net")).unwrap();
    let consts = code.with_file_name("consts.bin");
    for path in [dir.join("net/manifest.json"), code, consts] {
        let whole = bytes(&path);
        let mut flipped = whole.clone();
        if let Some(byte) = flipped.last_mut() {
            *byte ^= 0x20;
        }
        for damaged in [&whole[..whole.len() / 2], &flipped, b"\0\0\0\0"] {
            if damaged == whole {
                continue;
            }
            fs::write(&path, damaged).unwrap();
            refuse(
                dir,
                "upscale net in.y4m -o out.y4m",
                1,
                &["net is damaged", "compile the source again"],
            );
            refuse(dir, "train net --out run", 1, &["net is damaged"]);
            refuse(dir, "info net", 1, &["net is damaged"]);
        }
        fs::remove_file(&path).unwrap();
        refuse(dir, "upscale net in.y4m -o out.y4m", 1, &["net"]);
        fs::write(&path, whole).unwrap();
    }
    succeed(dir, "upscale net in.y4m -o out.y4m -q");
}

/// The program, allowed to write files of so many bytes at most: what a full disk does to it.
fn run_in_bytes(dir: &Path, most: u64, words: &str) -> Done {
    run_within(dir, words, libc::RLIMIT_FSIZE as Resource, most)
}

#[test]
fn a_full_disk_leaves_nothing_half_written() {
    let dir = workplace();
    let dir = dir.path();
    write_film(&dir.join("in.y4m"), 64, 64, 40);
    for output in [
        "out.mp4",
        "out.y4m",
        "out.mp4",
        "shot",
        "shot/%d.png",
        "picture.png --limit 1",
    ] {
        fs::create_dir_all(dir.join("shot")).unwrap();
        let before = names(dir);
        let words = format!("upscale net in.y4m -o {output}");
        let done = run_in_bytes(dir, 2048, &words);
        check(
            &words,
            &done,
            2,
            &["cannot write", output.split([' ', '/']).next().unwrap()],
        );
        assert_eq!(names(dir), before, "{words}");
    }
    // A stream that nobody can take.
    let words = "upscale net in.y4m -o -";
    let full = fs::OpenOptions::new().write(true).open("/dev/full");
    if let Ok(full) = full {
        let done = command(dir, words).stdout(full).output().unwrap().into();
        check(words, &done, 2, &["cannot write -: the disk is full"]);
    }
    let x: Vec<f32> = vec![0.5; 3 * 48 * 48];
    let view = View {
        name: "x",
        shape: &[1, 3, 48, 48],
        data: &x,
    };
    tensors::write(&dir.join("x.safetensors"), &[view], &BTreeMap::new()).unwrap();
    let before = names(dir);
    let words = "exec net --inputs x.safetensors -o y.safetensors";
    check(
        words,
        &run_in_bytes(dir, 2048, words),
        2,
        &["cannot write y.safetensors"],
    );
    assert_eq!(names(dir), before);
}

/// A run whose disk fills up keeps its last checkpoint, and goes on from it once there is room.
#[test]
fn training_on_a_full_disk_keeps_the_last_checkpoint() {
    let dir = workplace();
    let dir = dir.path();
    succeed(
        dir,
        "train net --out whole --epochs 3 --steps 2 --valid 1 -q",
    );
    succeed(dir, "train net --out run --epochs 1 --steps 2 --valid 1 -q");
    let kept = [
        "state.safetensors",
        "last.safetensors",
        "best.safetensors",
        "metrics.jsonl",
    ];
    let before = kept.map(|n| bytes(dir.join("run").join(n)));
    let all = names(dir);
    let done = run_in_bytes(dir, 1024, "train net --resume run --epochs 3 -q");
    check("train", &done, 2, &["cannot write run/"]);
    assert_eq!(names(dir), all);
    assert!(kept.map(|n| bytes(dir.join("run").join(n))) == before);
    succeed(dir, "train net --resume run --epochs 3 -q");
    assert!(bytes(dir.join("run/state.safetensors")) == bytes(dir.join("whole/state.safetensors")));
}

#[test]
fn nan_in_the_loss_stops_and_keeps_the_last_good_checkpoint() {
    let dir = workplace();
    let dir = dir.path();
    // From its sixth step on, one term is the root of a negative number.
    let text = NET.replace(
        "  loss = pixel\n",
        "  metric edge = 0.001*sqrt(4.5 - step)\n  loss = pixel + edge\n",
    );
    compile(&text, &dir.join("sick"));
    let done = run(dir, "train sick --out run --epochs 3 --steps 4 --valid 1");
    let parts = [
        "step 2 of epoch 2: edge is NaN",
        "run/state.safetensors",
        "--resume run",
    ];
    check("train sick", &done, 1, &parts);
    // What is kept is the state after the first epoch, bit for bit.
    succeed(
        dir,
        "train sick --out short --epochs 1 --steps 4 --valid 1 -q",
    );
    for name in ["last.safetensors", "best.safetensors"] {
        assert!(
            bytes(dir.join("run").join(name)) == bytes(dir.join("short").join(name)),
            "{name}"
        );
    }
    assert_eq!(names(&dir.join("run")), names(&dir.join("short")));
    let again = run(dir, "train sick --resume run");
    check(
        "train sick --resume run",
        &again,
        1,
        &["step 2 of epoch 2: edge is NaN"],
    );
    let lost = run(
        dir,
        "train net --out lost --rate 1e38 --epochs 1 --valid 1 -q",
    );
    check(
        "train net --rate 1e38",
        &lost,
        1,
        &["of epoch 1", "lost/state.safetensors"],
    );
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let dir = workplace();
    let dir = dir.path();
    write_film(&dir.join("in.y4m"), 16, 16, 1);
    refuse(dir, "train net --rate -1 --out run", 1, &["--rate -1"]);
    refuse(dir, "train net --rate nan --out run", 1, &["--rate NaN"]);
    refuse(
        dir,
        "upscale net in.y4m -o out.y4m --scale 3",
        1,
        &["x2", "scale=3"],
    );
    refuse(
        dir,
        "eval net --data in.y4m --skip-ends 3",
        1,
        &["in.y4m", "1 frames"],
    );
    for words in [
        "",
        "fly",
        "train",
        "upscale net in.y4m",
        "train net --epochs many",
        "eval net --data in.y4m --protocol XX",
    ] {
        let done = run(dir, words);
        assert_eq!(done.code, Some(1), "{words}: {}", done.err);
        assert!(
            done.err.contains("Usage") || done.err.contains("error: invalid value"),
            "{words}: {}",
            done.err
        );
    }
}
