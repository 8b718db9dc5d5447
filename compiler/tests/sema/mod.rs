//! What the elaboration tests share: texts from memory or from the repository, and one call to elaborate them.

use std::collections::BTreeMap;
use vsr_compiler::diag::{Problems, Sources};
use vsr_compiler::pass_manager::PassManager;
use vsr_compiler::pipeline::differentiated;
use vsr_compiler::sema::{Elaborated, EntryGraph, Loader, Options, WeightKind};
use vsr_weightfile::Header;

/// Files of the repository, and files that stand in the test.
#[derive(Default)]
pub struct Files {
    pub texts: BTreeMap<String, String>,
    /// Weight files that are there, and what they hold.
    pub headers: BTreeMap<String, Result<Header, String>>,
    sources: Sources,
}

#[allow(dead_code)]
impl Files {
    /// The same files, with nothing read yet.
    pub fn copy(&self) -> Files {
        Files {
            texts: self.texts.clone(),
            headers: self.headers.clone(),
            sources: Sources::new(),
        }
    }
}

impl Loader for Files {
    fn read(&mut self, path: &str) -> Result<String, String> {
        if let Some(text) = self.texts.get(path) {
            return Ok(text.clone());
        }
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../");
        std::fs::read_to_string(format!("{root}{path}")).map_err(|_| "no such file".to_string())
    }

    fn exists(&mut self, path: &str) -> bool {
        self.headers.contains_key(path)
    }

    fn weights(&mut self, path: &str) -> Result<Header, String> {
        self.headers[path].clone()
    }

    fn sources(&mut self) -> &mut Sources {
        &mut self.sources
    }
}

/// Elaborates; an error is its rendered text.
pub fn run(texts: &[(&str, &str)], path: &str, options: &Options) -> Result<Elaborated, String> {
    run_with(Files::default(), texts, path, options)
}

/// As `run`, with weight files.
pub fn run_with(
    mut files: Files,
    texts: &[(&str, &str)],
    path: &str,
    options: &Options,
) -> Result<Elaborated, String> {
    for (name, text) in texts {
        files.texts.insert((*name).to_string(), (*text).to_string());
    }
    let mut problems = Problems::new();
    let mut manager = PassManager::default();
    match differentiated(&mut files, path, options, &mut manager, &mut problems) {
        Some(made) => {
            assert!(problems.is_empty());
            Ok(made)
        }
        None => Err(problems.render(files.sources())),
    }
}

/// What `vsrc check` says of a file; empty if nothing.
#[allow(dead_code)]
pub fn checked(texts: &[(&str, &str)], path: &str) -> String {
    let mut files = Files::default();
    for (name, text) in texts {
        files.texts.insert((*name).to_string(), (*text).to_string());
    }
    let mut problems = Problems::new();
    vsr_compiler::pipeline::checked(&mut files, path, &Options::default(), true, &mut problems);
    problems.render(files.sources())
}

#[allow(dead_code)]
pub fn model(path: &str, options: &Options) -> Elaborated {
    run(&[], path, options).unwrap_or_else(|text| panic!("{path}:\n{text}"))
}

#[allow(dead_code)]
pub fn parameters(made: &Elaborated) -> i64 {
    let trained = made
        .weights
        .iter()
        .filter(|w| w.kind == WeightKind::Trained);
    trained.map(|w| w.shape.iter().product::<i64>()).sum()
}

#[allow(dead_code)]
pub fn entry<'e>(made: &'e Elaborated, name: &str, profile: &str) -> &'e EntryGraph {
    made.entries
        .iter()
        .find(|e| e.name == name && e.profile == profile)
        .expect("the entry is there")
}
