//! The text of tile programs parses back, for the kernels of every network of the repository.

#![allow(clippy::unwrap_used)]

use std::collections::HashSet;
use std::path::Path;

use crate::sema::Files;
use vsr_artifact::machine::Machine;
use vsr_compiler::diag::Problems;
use vsr_compiler::pass_manager::PassManager;
use vsr_compiler::pipeline::{graphs, plan};
use vsr_compiler::schedule::{LaunchPlan, WeightTable};
use vsr_compiler::sema::{Loader, Options};
use vsr_compiler::tile::{Kernel, LaunchedKernel, PASSES, lift, parse_kernel, print};

fn assert_returns(kernel: &Kernel) {
    let text = print(kernel);
    let back = parse_kernel(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert!(back == *kernel, "{text}\n{}", print(&back));
    assert_eq!(print(&back), text);
}

/// The networks of a folder, and below.
fn networks(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // What `refused` holds does not compile.
        if path.ends_with("refused") {
            continue;
        }
        if path.is_dir() {
            networks(&path, found);
        } else if path.extension().is_some_and(|e| e == "vsr") {
            found.push(path.to_str().unwrap().to_string());
        }
    }
}

/// What a file can be compiled as: its models and its training steps.
fn names(path: &str) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    let heads = text.lines().filter_map(|line| {
        let rest = line
            .strip_prefix("model ")
            .or(line.strip_prefix("train "))?;
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')?;
        Some(rest[..end].to_string())
    });
    heads.collect()
}

/// Kernels as they are built, lifted, and behind each pass: each text once.
#[derive(Default)]
struct Returned {
    texts: HashSet<String>,
    n_launches: usize,
}

impl Returned {
    fn add(&mut self, kernel: &Kernel) {
        if self.texts.insert(print(kernel)) {
            assert_returns(kernel);
        }
    }

    fn launch(&mut self, launch: &LaunchPlan) {
        self.add(&launch.kernel);
        let (kernel, args) = lift(&launch.kernel);
        self.add(&kernel);
        let lens = launch.lens.iter().map(|n| *n as i64).collect();
        let mut launched = LaunchedKernel {
            kernel,
            args,
            lens,
            machine: Machine::default(),
        };
        for pass in PASSES {
            (pass.run)(&mut launched);
            self.add(&launched.kernel);
        }
        self.n_launches += 1;
    }

    fn network(&mut self, path: &str, name: &str) {
        let (mut files, mut problems) = (Files::default(), Problems::new());
        let options = Options {
            name: Some(name.to_string()),
            ..Options::default()
        };
        let manager = &mut PassManager::verifying(false);
        let made = graphs(&mut files, path, &options, manager, &mut problems);
        let made = made.unwrap_or_else(|| panic!("{}", problems.render(files.sources())));
        let mut weights = WeightTable::declared(&made.weights);
        for entry in &made.entries {
            let planned = plan(entry, &mut weights, |rules| rules, manager).plan;
            let launches = planned.setup.iter().chain(&planned.launches);
            launches.for_each(|launch| self.launch(launch));
        }
    }

    /// All networks of a folder of the repository: at least so many files, launches and texts.
    fn of_folder(folder: &str, least: [usize; 3]) {
        let mut returned = Returned::default();
        let n_files = returned.folder(folder);
        let found = [n_files, returned.n_launches, returned.texts.len()];
        let is_enough = found.iter().zip(least).all(|(n, least)| *n >= least);
        assert!(is_enough, "{found:?}, not {least:?}");
    }

    fn folder(&mut self, folder: &str) -> usize {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../");
        let mut files = vec![];
        networks(Path::new(&format!("{root}{folder}")), &mut files);
        for path in &files {
            let names = names(path);
            assert!(!names.is_empty(), "{path}");
            let path = path.strip_prefix(root).unwrap();
            names.iter().for_each(|name| self.network(path, name));
        }
        files.len()
    }
}

#[test]
fn kernels_of_all_models_return() {
    Returned::of_folder("models", [10, 2001, 1001]);
}

#[test]
fn kernels_of_all_cases_return() {
    Returned::of_folder("tests/cases", [80, 201, 201]);
}
