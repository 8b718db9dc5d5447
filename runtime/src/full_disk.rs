//! Every command that writes, on a disk that fills at each of 200 points: an error of the machine, and nothing that was
//! not there before, or the whole result. In process, so that a disk can have any number of bytes;
//! `tests/end_to_end/exhaustion.rs` has the program itself on real limits.
#![cfg(target_arch = "x86_64")]

use crate::files::room::{self, Full};
use crate::session::{Options, Session};
use crate::tensors::{self, View};
use crate::upscale::command::UpscaleArgs;
use crate::video::{Frame, Limits, OutputSpec, create_writer};
use crate::weights::Scope;
use crate::{Result, bench_roofs, exec, train, upscale};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use vsr_artifact::{roofs, shown_path};
use vsr_compiler::backend::Target;
use vsr_compiler::diag::{Problems, Sources};
use vsr_compiler::pass_manager::PassManager;
use vsr_compiler::pipeline;
use vsr_compiler::sema::{Loader, Options as CompileOptions};

const NET: &str = r#"
model Net()(x: [B, 3, H, W]) -> [B, 3, 2*H, 2*W] {
  resize(x, 2*H, 2*W, "bicubic", a=-0.5) + (x |> Conv2d(12) @conv |> pixel_shuffle(2))
}

train net() = Net() {
  epochs = 2
  steps = 2
  optimizer = Adam()
  rate = 1e-2
  data clip: [B, 3, T, 2*H, 2*W] = clips("data")
  high = clip |> frames
  metric pixel = mse(net(high |> resize(H, W, "bicubic", antialias=true, a=-0.5)), high)
  metric psnr = psnr(net(high |> resize(H, W, "bicubic", antialias=true, a=-0.5)), high)
  loss = pixel
}

profile train { B = 1  T = 1  H = 8  W = 8 }
profile tile { B = 1  H = 8  W = 8 }
"#;

struct Text(Sources);

impl Loader for Text {
    fn read(&mut self, path: &str) -> std::result::Result<String, String> {
        match path {
            "net.vsr" => Ok(NET.into()),
            _ => Err("no such file".into()),
        }
    }

    fn exists(&mut self, path: &str) -> bool {
        path == "net.vsr"
    }

    fn sources(&mut self) -> &mut Sources {
        &mut self.0
    }
}

fn compile(folder: &Path) {
    let (mut loader, mut problems) = (Text(Sources::new()), Problems::new());
    let options = CompileOptions {
        name: None,
        profiles: vec![],
        set: vec![],
    };
    let target = Target::X86_64V3;
    let made = pipeline::compile(
        &mut loader,
        "net.vsr",
        &options,
        target,
        &mut PassManager::default(),
        &mut problems,
    );
    let made = made.unwrap_or_else(|| panic!("{}", problems.render(loader.sources())));
    vsr_artifact::write(folder, &made.artifact).unwrap();
}

/// A folder with a network, a film and tensors in `in/`.
struct Place {
    dir: tempfile::TempDir,
    session: Session,
}

impl Place {
    fn new() -> Place {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join("in").join(name);
        compile(&at("net"));
        write_film(&at("film.y4m"));
        let (shape, x) = ([1, 3, 8, 8], [0.5; 192]);
        let view = View {
            name: "x",
            shape: &shape,
            data: &x,
        };
        tensors::write(&at("x.safetensors"), &[view], &BTreeMap::new()).unwrap();
        let options = Options {
            threads: 1,
            ..Options::default()
        };
        let mut session = Session::open(&at("net"), options).unwrap();
        session.init_weights(3).unwrap();
        fs::create_dir(dir.path().join("out")).unwrap();
        Place { dir, session }
    }

    fn input(&self, name: &str) -> PathBuf {
        self.dir.path().join("in").join(name)
    }

    fn out(&self) -> PathBuf {
        self.dir.path().join("out")
    }
}

fn write_film(path: &Path) {
    let spec = OutputSpec {
        width: 8,
        height: 8,
        timescale: 25,
        frame_duration: 1,
        full_chroma: false,
        source: None,
        is_cut: false,
        older: crate::video::Older::Kept,
    };
    let mut writer = create_writer(path, &spec).unwrap();
    for t in 0..4usize {
        let rgb = (0..8 * 8 * 3).map(|i| (i * (t + 3) % 251) as u8).collect();
        let frame = Frame {
            width: 8,
            height: 8,
            rgb,
            time: t as i64,
            duration: 1,
        };
        writer.write_frame(&frame).unwrap();
    }
    writer.finish().unwrap();
}

/// All files below a folder, hidden ones too, with their bytes; folders have none.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path.clone()),
                false => drop(all.insert(path.clone(), fs::read(&path).unwrap())),
            }
            if path.is_dir() {
                all.insert(path, vec![]);
            }
        }
    }
    all
}

fn clear(folder: &Path) {
    fs::remove_dir_all(folder).unwrap();
    fs::create_dir(folder).unwrap();
}

const N_POINTS: u64 = 200;

/// Sizes of disks that are too small for `needed` bytes: 200, or all there are.
fn too_small(needed: u64) -> Vec<u64> {
    let mut sizes: Vec<u64> = (0..N_POINTS).map(|i| i * needed / N_POINTS).collect();
    sizes.dedup();
    sizes
}

/// Fills the disk at every point of an act that writes to `out/`, which `before` prepares.
fn fill(what: &str, before: impl Fn(&Path), mut act: impl FnMut(&mut Place) -> Result<()>) {
    let mut place = Place::new();
    let out = place.out();
    before(&out);
    let old = contents(&out);
    act(&mut place).unwrap_or_else(|e| panic!("{what}: {e}"));
    let new = contents(&out);
    assert!(new != old, "{what} writes");
    for full in [Full::Bytes, Full::BytesLate, Full::Names] {
        clear(&out);
        before(&out);
        let (_, needed) = room::with(u64::MAX, full, || act(&mut place));
        assert!(contents(&out) == new, "{what}, the same again");
        for left in too_small(needed) {
            clear(&out);
            before(&out);
            let (done, _) = room::with(left, full, || act(&mut place));
            let point = format!("{what}, {left} of {needed} {full:?}");
            let e = done.expect_err(&point);
            assert_eq!(e.exit_code(), 2, "{point}: {e}");
            assert!(e.to_string().contains("the disk is full"), "{point}: {e}");
            let after = contents(&out);
            assert!(after == old, "{point}: left {:?}", after.keys());
        }
        clear(&out);
        before(&out);
        let (done, _) = room::with(needed, full, || act(&mut place));
        done.unwrap_or_else(|e| panic!("{what}: {e}"));
        assert!(contents(&out) == new, "{what}, with room enough");
    }
}

fn upscale(place: &mut Place, output: &str, overwrite: bool, limit: Option<u64>) -> Result<()> {
    let args = UpscaleArgs {
        compiled: place.input("net"),
        input: place.input("film.y4m"),
        output: place.out().join(output),
        weights: None,
        profile: String::new(),
        overlap: 2,
        scale: None,
        limit,
        limit_pixels: Limits::DEFAULT_PIXELS,
        overwrite,
        strict: true,
    };
    let summary = upscale::command::run(&mut place.session, &args, 0, true, |_| Ok(()))?;
    assert_eq!(summary.n_frames, limit.unwrap_or(4));
    Ok(())
}

fn nothing(_: &Path) {}

#[test]
fn pictures_in_a_new_folder() {
    fill("shot", nothing, |p| upscale(p, "shot", false, None));
    fill("shot/", nothing, |p| upscale(p, "shot/", false, None));
}

#[test]
fn pictures_in_a_folder_that_is_there() {
    let notes = |out: &Path| {
        fs::create_dir(out.join("shot")).unwrap();
        fs::write(out.join("shot/notes.txt"), "keep").unwrap();
    };
    fill("f%d.jpg", notes, |p| {
        upscale(p, "shot/f%d.jpg", false, None)
    });
}

#[test]
fn pictures_over_an_older_and_longer_sequence() {
    let old = |out: &Path| {
        fs::create_dir(out.join("shot")).unwrap();
        for n in 1..=7 {
            fs::write(out.join(format!("shot/{n:06}.png")), [n; 30]).unwrap();
        }
    };
    fill("shot", old, |p| upscale(p, "shot", true, None));
}

#[test]
fn single_pictures() {
    let old = |out: &Path| fs::write(out.join("a.png"), "an older one").unwrap();
    fill("a.png", nothing, |p| upscale(p, "a.png", false, Some(1)));
    fill("a.png", old, |p| upscale(p, "a.png", false, Some(1)));
    fill("a.jpg", nothing, |p| upscale(p, "a.jpg", false, Some(1)));
}

#[test]
fn films() {
    let old = |out: &Path| fs::write(out.join("a.mp4"), "an older one").unwrap();
    fill("a.y4m", nothing, |p| upscale(p, "a.y4m", false, None));
    fill("a.mp4", nothing, |p| upscale(p, "a.mp4", false, None));
    fill("a.mp4", old, |p| upscale(p, "a.mp4", false, None));
}

#[test]
fn tensors_and_weights() {
    fill("exec", nothing, |p| {
        let entry = p.session.find("infer", "")?;
        let (x, y) = (p.input("x.safetensors"), p.out().join("a/b/y.safetensors"));
        exec::exec(&mut p.session, entry, &x, &y, 0, 0)
    });
    let old = |out: &Path| fs::write(out.join("w.safetensors"), "older weights").unwrap();
    fill("--save-weights", old, |p| {
        let path = p.out().join("w.safetensors");
        p.session
            .save_weights(&path, Scope::Everything, &BTreeMap::new())
    });
}

#[test]
fn roofs_of_the_machine() {
    let measured = roofs::named("laptop").unwrap();
    fill("roofs", nothing, |p| {
        let path = p.out().join("cache/vsr/roofs.json");
        bench_roofs::save(&measured, Some(path)).map(|_| ())
    });
}

fn run(place: &mut Place, how: How) -> Result<()> {
    let options = train::Options {
        out: Some(place.out().join("run")),
        resume: how == How::Resume,
        overwrite: how == How::Overwrite,
        seed: (how == How::Overwrite).then_some(8),
        valid: Some(1),
        quiet: true,
        ..train::Options::default()
    };
    train::train(&mut place.session, &options).map(|_| ())
}

#[derive(Clone, Copy, PartialEq)]
enum How {
    New,
    Resume,
    Overwrite,
}

/// A run that ends for want of room leaves whole files only, and none that it did not make; with room it goes on to the
/// bytes of one that never stopped.
#[test]
fn training() {
    let mut place = Place::new();
    let folder = place.out().join("run");
    run(&mut place, How::New).unwrap();
    let whole = contents(&folder);
    for (full, step) in [(Full::Bytes, 1), (Full::BytesLate, 8), (Full::Names, 1)] {
        clear(&place.out());
        let (_, needed) = room::with(u64::MAX, full, || run(&mut place, How::New));
        for (n, left) in too_small(needed).into_iter().enumerate().step_by(step) {
            clear(&place.out());
            let (done, _) = room::with(left, full, || run(&mut place, How::New));
            let point = format!("{left} of {needed} {full:?}");
            assert_eq!(done.expect_err(&point).exit_code(), 2, "{point}");
            check_files(&folder, &whole, &point);
            if n % 8 == 0 {
                go_on(&mut place);
                assert!(contents(&folder) == whole, "{point}");
            }
        }
    }
}

/// What a run left is whole, file by file, and nothing else.
fn check_files(folder: &Path, whole: &BTreeMap<PathBuf, Vec<u8>>, point: &str) {
    let left = match folder.exists() {
        true => contents(folder),
        false => BTreeMap::new(),
    };
    for (path, content) in &left {
        let name = shown_path(path);
        assert!(whole.contains_key(path), "{point}: {name}");
        let is_whole = match path.extension().and_then(|e| e.to_str()) {
            Some("safetensors") => tensors::read(path).is_ok(),
            Some("png") => image::open(path).is_ok(),
            Some("jsonl") => whole[path].starts_with(content) && content.ends_with(b"}\n"),
            _ => content.ends_with(b"</svg>\n"),
        };
        assert!(is_whole, "{point}: {name}");
    }
}

/// From the checkpoint; from the start, where the disk was full before there was one.
fn go_on(place: &mut Place) {
    let folder = place.out().join("run");
    let how = match folder.join("state.safetensors").exists() {
        true => How::Resume,
        false => How::New,
    };
    if how == How::New {
        // Weights alone are no run.
        clear(&place.out());
    }
    run(place, how).unwrap();
}

/// A run that is to replace another, and finds no room, leaves one of both to go on with.
#[test]
fn training_over_an_older_run() {
    let mut place = Place::new();
    let folder = place.out().join("run");
    run(&mut place, How::New).unwrap();
    let old = contents(&folder);
    let (done, needed) = room::with(u64::MAX, Full::Bytes, || run(&mut place, How::Overwrite));
    done.unwrap();
    let new = contents(&folder);
    assert!(new.keys().eq(old.keys()) && new != old);
    for bytes in too_small(needed).into_iter().step_by(8) {
        clear(&folder);
        for (path, content) in &old {
            fs::write(path, content).unwrap();
        }
        let (done, _) = room::with(bytes, Full::Bytes, || run(&mut place, How::Overwrite));
        assert_eq!(done.unwrap_err().exit_code(), 2);
        let state = folder.join("state.safetensors");
        let is_old = fs::read(&state).unwrap() == old[&state];
        run(&mut place, How::Resume).unwrap();
        let whole = if is_old { &old } else { &new };
        assert!(contents(&folder) == *whole, "{bytes} of {needed} bytes");
    }
}
