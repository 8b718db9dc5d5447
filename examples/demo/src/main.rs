//! `cargo demo`: the whole product on embedded data. Compiles the flagship at a small width, trains it briefly on
//! made scenes, upscales a real clip with the shipped weights, scores it against bicubic, and draws the comparison.
//!
//! Reads the repository's model, weights and clip; writes one folder. No network, no GPU.

// A reader that has gone must end no program: `console` speaks.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod compare;

use clap::Parser;
use compare::Frames;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;
use vsr_artifact::{console, shown_path};
use vsr_compiler::backend::Target;
use vsr_compiler::diag::{Problems, Sources};
use vsr_compiler::pass_manager::PassManager;
use vsr_compiler::pipeline;
use vsr_compiler::sema::{Loader, Options};
use vsr_runtime::eval::command::EvalArgs;
use vsr_runtime::metrics::resize::imresize_rgb;
use vsr_runtime::session::{self, Session};
use vsr_runtime::upscale::command::UpscaleArgs;
use vsr_runtime::video::image_writer::write_image;
use vsr_runtime::video::{Frame, Limits, open_reader};
use vsr_runtime::weights::Scope;
use vsr_runtime::{eval, train, upscale};

/// Compiles, trains, upscales and scores on embedded data
#[derive(Parser)]
struct Args {
    /// Folder to write
    #[arg(long, default_value = "out")]
    out: PathBuf,
    /// Frames of the clip
    #[arg(long, default_value_t = 3)]
    frames: u64,
    /// Training steps
    #[arg(long, default_value_t = 10)]
    steps: u64,
}

const SCALE: usize = 4;
/// The width of the shipped weights, and a training step that takes a fraction of a second.
const SETTINGS: [(&str, &str); 4] = [
    ("ch", "24"),
    ("blocks", "6"),
    ("strength", "0"),
    ("lr", "1e-4"),
];

type Outcome<T> = Result<T, String>;

fn text(e: impl std::fmt::Display) -> String {
    e.to_string()
}

fn print(line: &str) -> Outcome<()> {
    console::out(&format!("{line}\n")).map_err(text)
}

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(words) if words.use_stderr() => {
            console::err(&words.render().to_string());
            return ExitCode::FAILURE;
        }
        Err(words) => {
            let said = console::out(&words.render().to_string());
            return said.map_or(ExitCode::from(2), |()| ExitCode::SUCCESS);
        }
    };
    match demo(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            console::err(&format!("error: {message}\n"));
            ExitCode::FAILURE
        }
    }
}

fn demo(args: &Args) -> Outcome<()> {
    let start = Instant::now();
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let weights = here.join("weights/vsr-ch24.safetensors");
    let clip = here.join("clip/bigbuckbunny.mp4");
    std::fs::create_dir_all(&args.out).map_err(|e| format!("{}: {e}", shown_path(&args.out)))?;
    let compiled = args.out.join("compiled");
    compile(&compiled)?;

    let mut session = Session::open(&compiled, session::Options::default()).map_err(text)?;
    train_briefly(args, &weights)?;
    session.load_weights(&weights, Scope::Model).map_err(text)?;
    let low = shrink(&clip, args)?;
    enlarge(&mut session, args, &compiled, &low)?;
    score(&mut session, args, &compiled, &clip)?;
    compare(args, &clip, &low)?;
    print(&format!("all    {:.0} s", start.elapsed().as_secs_f64()))
}

/// Files below the repository's top folder.
#[derive(Default)]
struct Repository(Sources);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

impl Loader for Repository {
    fn read(&mut self, path: &str) -> Result<String, String> {
        std::fs::read_to_string(root().join(path)).map_err(text)
    }

    /// The demo goes without frozen networks, so that it is the same everywhere.
    fn exists(&mut self, _: &str) -> bool {
        false
    }

    fn sources(&mut self) -> &mut Sources {
        &mut self.0
    }
}

fn compile(to: &Path) -> Outcome<()> {
    let start = Instant::now();
    let sets = [("B", "2"), ("H", "24"), ("W", "24"), ("T", "3")];
    let mut artifacts = vec![];
    // Small dims for training, the profile's own for upscaling: one artifact each.
    for (profile, dims) in [("train", &sets[..]), ("tile", &[])] {
        let (mut files, mut problems) = (Repository::default(), Problems::new());
        let pair = |(n, v): &(&str, &str)| (n.to_string(), v.to_string());
        let options = Options {
            name: None,
            profiles: vec![profile.into()],
            set: SETTINGS.iter().chain(dims).map(pair).collect(),
        };
        let made = pipeline::compile(
            &mut files,
            "models/vsr.vsr",
            &options,
            Target::X86_64V3,
            &mut PassManager::default(),
            &mut problems,
        );
        artifacts.push(
            made.ok_or_else(|| problems.render(files.sources()))?
                .artifact,
        );
    }
    vsr_artifact::write(&to.with_extension("train"), &artifacts[0]).map_err(text)?;
    vsr_artifact::write(to, &artifacts[1]).map_err(text)?;
    let seconds = start.elapsed().as_secs_f64();
    print(&format!(
        "plan   models/vsr.vsr, ch=24: two entries compiled in {seconds:.2} s"
    ))
}

fn train_briefly(args: &Args, weights: &Path) -> Outcome<()> {
    let folder = args.out.join("compiled.train");
    let mut session = Session::open(&folder, session::Options::default()).map_err(text)?;
    let out = args.out.join("run");
    if out.exists() {
        std::fs::remove_dir_all(&out).map_err(|e| format!("{}: {e}", shown_path(&out)))?;
    }
    let options = train::Options {
        epochs: Some(1),
        steps: Some(args.steps),
        weights: Some(weights.to_path_buf()),
        out: Some(out),
        valid: Some(1),
        command: "vsr-run train".into(),
        ..train::Options::default()
    };
    train::train(&mut session, &options).map_err(text)?;
    Ok(())
}

/// The clip's first frames, a quarter as large, as pictures.
fn shrink(clip: &Path, args: &Args) -> Outcome<PathBuf> {
    let low = args.out.join("low");
    std::fs::create_dir_all(&low).map_err(|e| format!("{}: {e}", shown_path(&low)))?;
    let mut reader = open_reader(clip).map_err(text)?;
    for i in 0..args.frames {
        let Some(frame) = reader.next_frame().map_err(text)? else {
            break;
        };
        let small = (frame.width / SCALE, frame.height / SCALE);
        let rgb = imresize_rgb(&frame.rgb, (frame.width, frame.height), small);
        write_image(&low.join(format!("{i:05}.png")), small.0, small.1, &rgb).map_err(text)?;
    }
    Ok(low)
}

fn enlarge(session: &mut Session, args: &Args, compiled: &Path, low: &Path) -> Outcome<()> {
    let upscale = UpscaleArgs {
        compiled: compiled.to_path_buf(),
        input: low.to_path_buf(),
        output: args.out.join("high"),
        weights: None,
        profile: String::new(),
        overlap: 16,
        scale: None,
        limit: None,
        limit_pixels: Limits::DEFAULT_PIXELS,
        overwrite: true,
        strict: false,
    };
    let summary = upscale::command::run(session, &upscale, 0, false, |line| {
        Ok(console::out(&format!("{line}\n"))?)
    })
    .map_err(text)?;
    print(&summary.text())
}

fn score(session: &mut Session, args: &Args, compiled: &Path, clip: &Path) -> Outcome<()> {
    let eval = EvalArgs {
        compiled: compiled.to_path_buf(),
        data: clip.to_path_buf(),
        weights: None,
        protocol: eval::degrade::Degradation::Bicubic,
        rgb: false,
        crop: 4,
        skip_ends: 0,
        limit: Some(args.frames),
        profile: String::new(),
        overlap: 16,
        scale: None,
        limit_pixels: Limits::DEFAULT_PIXELS,
        strict: false,
    };
    let report = eval::command::run(session, &eval, 0, false).map_err(text)?;
    report
        .lines()
        .iter()
        .try_for_each(|line| print(&format!("score  {line}")))
}

/// Bicubic, ours, the truth, side by side: of the middle frame, the place where ours gains most.
fn compare(args: &Args, clip: &Path, low: &Path) -> Outcome<()> {
    let middle = args.frames / 2;
    let truth = nth_frame(clip, middle)?;
    let small = nth_frame(low, middle)?;
    let ours = nth_frame(&args.out.join("high"), middle)?;
    let size = (truth.width, truth.height);
    let bicubic = imresize_rgb(&small.rgb, (small.width, small.height), size);
    let frames = Frames {
        size,
        bicubic: &bicubic,
        ours: &ours.rgb,
        truth: &truth.rgb,
    };
    let (shown, (x, y)) = frames.compare();
    let path = args.out.join("compare.png");
    write_image(&path, shown.width, shown.height, &shown.rgb).map_err(text)?;
    print(&format!(
        "view   {} (bicubic | ours | original; where ours gains most, at {x}, {y})",
        shown_path(&path)
    ))
}

fn nth_frame(film: &Path, n: u64) -> Outcome<Frame> {
    let mut reader = open_reader(film).map_err(text)?;
    for _ in 0..n {
        reader.next_frame().map_err(text)?;
    }
    let frame = reader.next_frame().map_err(text)?;
    frame.ok_or_else(|| format!("{} is shorter than asked", shown_path(film)))
}
