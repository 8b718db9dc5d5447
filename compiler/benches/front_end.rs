//! How long the front end takes: checks of the flagship and of SDXL's UNet, a whole training step of that network with its
//! derived gradient, and parsing, also as brackets nest deeper. Prints the median of several runs; nothing is asserted.
//!
//! `cargo bench -p vsr-compiler`, with other programs idle.

use std::time::Instant;
use vsr_compiler::diag::{Problems, Sources};
use vsr_compiler::pass_manager::PassManager;
use vsr_compiler::sema::{Loader, Options};
use vsr_compiler::{pipeline, syntax};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../");

/// Files of the repository.
#[derive(Default)]
struct Repository(Sources);

impl Loader for Repository {
    fn read(&mut self, path: &str) -> Result<String, String> {
        std::fs::read_to_string(format!("{ROOT}{path}")).map_err(|e| e.to_string())
    }

    fn exists(&mut self, _: &str) -> bool {
        false
    }

    fn sources(&mut self) -> &mut Sources {
        &mut self.0
    }
}

/// The median of nine runs, in milliseconds.
fn ms(mut work: impl FnMut()) -> f64 {
    let mut times: Vec<f64> = (0..9)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn check(path: &str) {
    let (mut files, mut problems) = (Repository::default(), Problems::new());
    pipeline::checked(&mut files, path, &Options::default(), false, &mut problems);
    assert!(problems.is_empty(), "{}", problems.render(&files.0));
}

/// Nodes of the graphs of all entries.
fn n_nodes(path: &str, is_optimised: bool) -> usize {
    let (mut files, mut problems) = (Repository::default(), Problems::new());
    let options = Options::default();
    let stage = match is_optimised {
        true => pipeline::graphs,
        false => pipeline::differentiated,
    };
    let mut manager = PassManager::default();
    let made = stage(&mut files, path, &options, &mut manager, &mut problems);
    let made = made.unwrap_or_else(|| panic!("{}", problems.render(&files.0)));
    made.entries.iter().map(|e| e.graph.len()).sum()
}

/// All networks and the library, several times over.
fn large_text() -> String {
    let mut text = String::new();
    for folder in ["models", "stdlib"] {
        let entries = std::fs::read_dir(format!("{ROOT}{folder}")).expect("the folder reads");
        for entry in entries {
            let path = entry.expect("the folder lists").path();
            if path.extension().is_some_and(|e| e == "vsr") {
                text += &std::fs::read_to_string(path).expect("the file reads");
            }
        }
    }
    text.repeat(20)
}

fn parse(text: &str) {
    let mut problems = Problems::new();
    syntax::parse(0, text, &mut problems);
}

/// Brackets so many deep, in as many items as make a text of one size.
fn nested(depth: usize) -> String {
    let value = format!("{}x{}", "(".repeat(depth), ")".repeat(depth));
    let item = |n: usize| format!("op f{n}(x: [N]) -> [N] = {value}\n");
    (0..100_000 / value.len()).map(item).collect()
}

fn main() {
    for path in ["models/vsr.vsr", "models/sdxl-unet.vsr"] {
        println!("check {path}: {:.1} ms", ms(|| check(path)));
    }
    let step = "compiler/benches/unet-step.vsr";
    for (what, is_optimised) in [("elaborated", false), ("and after all passes", true)] {
        let n = n_nodes(step, is_optimised);
        let took = ms(|| assert_eq!(n_nodes(step, is_optimised), n));
        println!("{step}, train and eval, {what}: {took:.0} ms, {n} nodes");
    }
    let text = large_text();
    let took = ms(|| parse(&text));
    let size = text.len() as f64 / 1e6;
    println!(
        "parse {size:.2} MB: {took:.0} ms, {:.1} MB/s",
        size / took * 1e3
    );
    let mut last: Option<f64> = None;
    for depth in [12, 25, 50, 100, 200] {
        let text = nested(depth);
        let us = ms(|| parse(&text)) * 1e3 / text.lines().count() as f64;
        let times = last.map_or(String::new(), |last| format!(", {:.2} times", us / last));
        println!("parse an item with brackets {depth} deep: {us:.0} us{times}");
        last = Some(us);
    }
}
