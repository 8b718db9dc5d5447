//! How fast texts are parsed and checked, without a process's start: `cargo run --release -p vsr-compiler --example
//! check_speed`, from the repository's root. Prints; asserts nothing, since that depends on the machine.

use std::time::Instant;
use vsr_compiler::diag::{Problems, Sources};
use vsr_compiler::sema::{Loader, Options, check};
use vsr_compiler::syntax::parse;

#[derive(Default)]
struct Files(Sources);

impl Loader for Files {
    fn read(&mut self, path: &str) -> Result<String, String> {
        std::fs::read_to_string(path).map_err(|e| e.to_string())
    }

    fn exists(&mut self, path: &str) -> bool {
        std::path::Path::new(path).is_file()
    }

    fn sources(&mut self) -> &mut Sources {
        &mut self.0
    }
}

/// The shortest of some runs, in seconds.
fn best(n: usize, mut f: impl FnMut()) -> f64 {
    let mut time = || {
        let start = Instant::now();
        f();
        start.elapsed().as_secs_f64()
    };
    (0..n).map(|_| time()).fold(f64::INFINITY, f64::min)
}

fn parse_seconds(text: &str) -> f64 {
    best(5, || {
        parse(0, text, &mut Problems::new());
    })
}

fn main() {
    let model = std::fs::read_to_string("models/vsr.vsr").expect("run from the repository's root");
    for n in [1, 4, 16] {
        let text = model.repeat(n);
        let seconds = parse_seconds(&text);
        let megabytes = text.len() as f64 / 1e6;
        println!(
            "parse {:.2} MB: {:.1} ms, {:.2} MB/s",
            megabytes,
            seconds * 1e3,
            megabytes / seconds
        );
    }
    for depth in [24, 48, 96, 192] {
        let text = format!(
            "op f(x: [N]) = {}x{}\n",
            "(".repeat(depth),
            ")".repeat(depth)
        );
        println!("nesting {depth}: {:.3} ms", parse_seconds(&text) * 1e3);
    }
    for path in ["models/vsr.vsr", "models/sdxl-unet.vsr", "models/vdsr.vsr"] {
        let seconds = best(5, || {
            let mut problems = Problems::new();
            check(
                &mut Files::default(),
                path,
                &Options::default(),
                false,
                &mut problems,
            );
            assert!(problems.is_empty(), "{path} has problems");
        });
        println!("check {path}: {:.1} ms", seconds * 1e3);
    }
}
