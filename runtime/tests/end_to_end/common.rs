//! Compiles texts to folders, runs the program, reads what it wrote.

// The compiler's tests limit it in the same way.
#[path = "../../../compiler/tests/program/limit.rs"]
mod limit;

pub use limit::{Resource, limit};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::time::{Duration, Instant};
use vsr_compiler::backend::Target;
use vsr_compiler::diag::{Problems, Sources};
use vsr_compiler::pass_manager::PassManager;
use vsr_compiler::pipeline;
use vsr_compiler::sema::{Loader, Options};
use vsr_runtime::tensors;
use vsr_runtime::video::{Frame, Older, OutputSpec, create_writer, open_reader};

/// Twice as large; noise makes every step depend on the run's seed and on how many steps came before.
pub const NET: &str = r#"
model Net()(x: [B, 3, H, W]) -> [B, 3, 2*H, 2*W] {
  resize(x, 2*H, 2*W, "bicubic", a=-0.5) + (x |> Conv2d(12) @conv |> pixel_shuffle(2))
}

train net(decay: float = 0.5) = Net() {
  epochs = 3
  steps = 4
  optimizer = Adam()
  rate = 1e-2
  ema = decay
  data clip: [B, 3, T, 2*H, 2*W] = clips("data")
  high = clip |> frames
  low = high |> resize(H, W, "bicubic", antialias=true, a=-0.5)
  noisy = if training { low + 0.02*randn([B*T, 3, H, W]) } else { low }
  metric pixel = mse(net(noisy), high)
  metric psnr = psnr(net(noisy), high)
  loss = pixel
}

profile train { B = 2  T = 1  H = 8  W = 8 }
profile tile { B = 1  H = 48  W = 48 }
"#;

struct Text(String, Sources);

impl Loader for Text {
    fn read(&mut self, path: &str) -> Result<String, String> {
        match path {
            "net.vsr" => Ok(self.0.clone()),
            _ => Err("no such file".into()),
        }
    }

    fn exists(&mut self, path: &str) -> bool {
        path == "net.vsr"
    }

    fn sources(&mut self) -> &mut Sources {
        &mut self.1
    }
}

/// Compiles a text to a folder, as `vsrc compile -o` does.
pub fn compile(text: &str, folder: &Path) {
    compile_for(Target::X86_64V3, text, folder);
}

/// As [`compile`], with `--target`.
pub fn compile_for(target: Target, text: &str, folder: &Path) {
    let (mut loader, mut problems) = (Text(text.into(), Sources::new()), Problems::new());
    let options = Options {
        name: None,
        profiles: vec![],
        set: vec![],
    };
    let made = pipeline::compile(
        &mut loader,
        "net.vsr",
        &options,
        target,
        &mut PassManager::default(),
        &mut problems,
    );
    let made = made.unwrap_or_else(|| panic!("{}", problems.render(loader.sources())));
    vsr_artifact::write(folder, &made.artifact).expect("a temporary folder takes an artifact");
}

/// A folder to work in, with `net/` compiled.
pub fn workplace() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a temporary folder");
    compile(NET, &dir.path().join("net"));
    dir
}

/// Names the folder in which the program finds an ffmpeg, and nothing else. Not set: it finds none, whatever is
/// installed.
pub const FFMPEG: &str = "VSR_TEST_FFMPEG";

/// What the program finds on PATH: nothing that happens to be installed decides what a test sees.
pub fn programs() -> OsString {
    std::env::var_os(FFMPEG).unwrap_or("/nonexistent".into())
}

/// The program in a folder; words are separated by spaces.
pub fn command(dir: &Path, words: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vsr-run"));
    command.current_dir(dir).args(words.split_whitespace());
    command.env("PATH", programs()).stdin(Stdio::null());
    // Faults look as they do to a user.
    command.env_remove("RUST_BACKTRACE");
    command
}

/// The program as [`command`], with the ffmpeg of this machine; `None` if it has none.
pub fn command_with_ffmpeg(dir: &Path, words: &str) -> Option<Command> {
    let program = vsr_runtime::video::ffmpeg::find()?;
    let mut command = command(dir, words);
    command.env("PATH", program.parent()?);
    Some(command)
}

pub struct Done {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Done {
    /// The lines of standard error that begin so: `warning: `, `note: `.
    pub fn said(&self, start: &str) -> Vec<&str> {
        let lines = self.err.lines().filter(|l| l.starts_with(start));
        lines.collect()
    }
}

impl From<Output> for Done {
    fn from(o: Output) -> Done {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Done {
            code: o.status.code(),
            out: text(&o.stdout),
            err: text(&o.stderr),
        }
    }
}

/// Runs to the end.
pub fn run(dir: &Path, words: &str) -> Done {
    command(dir, words)
        .output()
        .expect("the program starts")
        .into()
}

/// Runs to the end, which must be a good one.
pub fn succeed(dir: &Path, words: &str) -> Done {
    let done = run(dir, words);
    assert_eq!(done.code, Some(0), "vsr-run {words}\n{}", done.err);
    done
}

/// Starts it, with nothing to be seen.
pub fn start(dir: &Path, words: &str) -> Child {
    let mut command = command(dir, words);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("the program starts")
}

/// Runs to the end within a limit.
pub fn run_within(dir: &Path, words: &str, resource: Resource, most: u64) -> Done {
    let mut command = command(dir, words);
    limit(&mut command, resource, most);
    command.output().expect("the program starts").into()
}

/// A film that is being enlarged and has not all come: its first frame is written, half of its second one is there, and
/// the rest never comes. It ends when its input is dropped, or when it is told to.
pub fn half_fed(dir: &Path, output: &str) -> (Child, ChildStdin) {
    const SIDE: usize = 448;
    let path = dir.join("fed.y4m");
    write_film(&path, SIDE, SIDE, 2);
    let film = bytes(&path);
    std::fs::remove_file(path).expect("it is ours");
    // More than a pipe and its reader's buffers hold: once it is written, the second frame is being read.
    let half = SIDE * SIDE * 3 / 4;
    assert!(half > 2 * 65_536);
    let words = format!("upscale net - -q -o {output}");
    let mut command = match output.ends_with(".mkv") {
        true => command_with_ffmpeg(dir, &words).expect("it was there before"),
        false => command(dir, &words),
    };
    command.stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let mut input = child.stdin.take().expect("a pipe");
    let fed = input.write_all(&film[..film.len() - half]);
    fed.expect("the program reads");
    (child, input)
}

/// A test that says nothing: why, on standard error itself, which is shown although the test passes.
pub fn skipped(why: &str) {
    let said = writeln!(std::io::stderr(), "skipped: {why}");
    said.expect("standard error takes a line");
}

/// Waits until something is so. After a minute it is given up, since a test that hangs names no fault; nothing takes near
/// to that, however busy the machine: nothing is measured.
pub fn wait_for(what: &str, mut so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "waited in vain for {what}"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// All names below a folder, hidden ones too, in order.
pub fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = vec![];
    let mut folders = vec![dir.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.strip_prefix(dir).expect("it lies inside");
            names.push(name.to_string_lossy().into_owned());
            if path.is_dir() {
                folders.push(path);
            }
        }
    }
    names.sort();
    names
}

pub fn bytes(path: impl AsRef<Path>) -> Vec<u8> {
    std::fs::read(path.as_ref()).unwrap_or_else(|e| panic!("{}: {e}", path.as_ref().display()))
}

/// A tensor of a safetensors file.
pub fn tensor(path: impl AsRef<Path>, name: &str) -> Vec<f32> {
    let file = tensors::read(path.as_ref()).expect("a safetensors file");
    file.tensors
        .get(name)
        .unwrap_or_else(|| panic!("no {name}"))
        .data
        .clone()
}

/// Lines of `metrics.jsonl`.
pub fn metrics(run: &Path) -> Vec<serde_json::Value> {
    let text = String::from_utf8(bytes(run.join("metrics.jsonl"))).expect("text");
    let record = |line: &str| serde_json::from_str(line).expect("a line of JSON");
    text.lines().map(record).collect()
}

/// A film of a moving pattern, in the format that the name says.
pub fn write_film(path: &Path, width: usize, height: usize, n_frames: usize) {
    let spec = OutputSpec {
        width,
        height,
        timescale: 24000,
        frame_duration: 1001,
        full_chroma: false,
        source: None,
        is_cut: false,
        older: Older::Replaced,
    };
    let mut writer = create_writer(path, &spec).expect("a writer");
    for t in 0..n_frames {
        let value = |i: usize| {
            let (x, y) = (i / 3 % width + 2 * t, i / 3 / width);
            (128.0 + 100.0 * (0.4 * x as f64).sin() * (0.3 * y as f64 + (i % 3) as f64).cos()) as u8
        };
        let frame = Frame {
            width,
            height,
            rgb: (0..width * height * 3).map(value).collect(),
            time: 1001 * t as i64,
            duration: 1001,
        };
        writer.write_frame(&frame).expect("a frame");
    }
    writer.finish().expect("a whole film");
}

/// All frames of a film.
pub fn film(path: &Path) -> Vec<Frame> {
    let mut reader = open_reader(path).unwrap_or_else(|e| panic!("{e}"));
    std::iter::from_fn(|| reader.next_frame().expect("a frame")).collect()
}

/// Refused with one error that holds all of `parts`; the folder is as it was.
pub fn refuse(dir: &Path, words: &str, code: i32, parts: &[&str]) -> String {
    let before = names(dir);
    let done = run(dir, words);
    check(words, &done, code, parts);
    assert_eq!(names(dir), before, "vsr-run {words} leaves something");
    done.err
}

pub fn check(words: &str, done: &Done, code: i32, parts: &[&str]) {
    let Done { code: got, err, .. } = done;
    assert_eq!(*got, Some(code), "vsr-run {words}\n{err}");
    assert_eq!(done.said("error: ").len(), 1, "vsr-run {words}\n{err}");
    for bad in [
        "panicked",
        "os error",
        "RUST_BACKTRACE",
        "a fault of vsr-run",
    ] {
        assert!(!err.contains(bad), "vsr-run {words}\n{err}");
    }
    for part in parts {
        assert!(err.contains(part), "vsr-run {words}: no `{part}` in\n{err}");
    }
}

/// All files below a folder, hidden ones too, with their bytes; folders have none.
pub fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let of = |name: String| {
        let path = folder.join(&name);
        let content = if path.is_dir() { vec![] } else { bytes(&path) };
        (name, content)
    };
    names(folder).into_iter().map(of).collect()
}
