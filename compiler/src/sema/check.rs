//! All errors of a file, for `vsrc check` and editors: every `train` item and every model of it under all profiles, and
//! the definitions that nothing reaches. Items with syntax errors are left out, and what uses them stays silent. A file
//! without a model is a library: its definitions are checked. Makes no artifact.

use super::entry::Job;
use super::facts::Facts;
use super::module::{self, Loaded, Loader, Program};
use super::settings::{self, Settings};
use super::{Options, STACK_BYTES, cycle, definitions};
use crate::diag::{Class, Diag, Problems, Sources, Span};
use crate::syntax::ast::{self, ItemKind};
use std::collections::HashSet;

/// What a check leaves beside problems.
#[derive(Default)]
pub struct Checked {
    pub facts: Facts,
    /// The file itself, the files it uses, and the standard library.
    pub files: Vec<Loaded>,
}

/// Checks the file at `path` and all it uses. `options.name` keeps one `train` item or model; the facts are of that
/// file and those it uses, where `wants_facts`.
pub fn check(
    loader: &mut dyn Loader,
    path: &str,
    options: &Options,
    wants_facts: bool,
    problems: &mut Problems,
) -> Checked {
    let Some(files) = module::load(loader, path, problems) else {
        return Checked::default();
    };
    let sources: &Sources = loader.sources();
    let mut found = Problems::new();
    let mut facts = Facts::default();
    let result = std::thread::scope(|scope| {
        let work = || {
            check_loaded(
                &files,
                sources,
                options,
                wants_facts.then_some(&mut facts),
                &mut found,
            )
        };
        let thread = std::thread::Builder::new()
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, work);
        thread.map(|handle| {
            handle
                .join()
                .expect("elaboration reports what it cannot do")
        })
    });
    for diag in found.iter() {
        problems.push(diag.clone());
    }
    if let Err(error) = result {
        let text = format!("no thread for elaboration: {error}");
        problems.push(Diag::placeless(Class::Syntax, text));
    }
    Checked { facts, files }
}

fn check_loaded(
    files: &[Loaded],
    sources: &Sources,
    options: &Options,
    mut facts: Option<&mut Facts>,
    problems: &mut Problems,
) {
    let program = Program::new(files, sources, problems);
    let n_problems = problems.len();
    cycle::cycles(&program, problems);
    let has_cycle = problems.len() > n_problems;
    let mut reported = HashSet::new();
    for name in candidates(&files[0].ast, options) {
        let has_profiles = profiles(&files[0].ast).count() > 0;
        if has_cycle || !has_profiles {
            break;
        }
        let options = Options {
            name: Some(name),
            ..options.clone()
        };
        if let Some(settings) = settings::settings(&program, &options, problems) {
            entries(
                &program,
                &settings,
                &mut reported,
                facts.as_deref_mut(),
                problems,
            );
        }
    }
    definitions::check(&program, &mut reported, problems);
}

fn profiles(file: &ast::File) -> impl Iterator<Item = &ast::Profile> {
    file.items.iter().filter_map(|item| match &item.kind {
        ItemKind::Profile(profile) => Some(profile),
        _ => None,
    })
}

/// Every `train` item, and the models that none of them trains.
fn candidates(file: &ast::File, options: &Options) -> Vec<String> {
    if let Some(name) = &options.name {
        return vec![name.clone()];
    }
    let is_broken = |name: &ast::Ident| file.broken.contains(&name.text);
    let (mut names, mut trained) = (Vec::new(), HashSet::new());
    for item in &file.items {
        if let ItemKind::Train(train) = &item.kind {
            trained.insert(train.network.block.text.as_str());
            if !is_broken(&train.name) && !is_broken(&train.network.block) {
                names.push(train.name.text.clone());
            }
        }
    }
    for item in &file.items {
        if let ItemKind::Block(block) = &item.kind
            && block.is_model
            && !trained.contains(block.name.text.as_str())
            && !is_broken(&block.name)
        {
            names.push(block.name.text.clone());
        }
    }
    names
}

fn entries<'a>(
    program: &'a Program<'a>,
    settings: &'a Settings<'a>,
    reported: &mut HashSet<Span>,
    facts: Option<&mut Facts>,
    problems: &mut Problems,
) {
    let mut job = Job {
        program,
        settings,
        problems,
        reported,
        facts,
        is_check: true,
    };
    super::entries(settings, &mut job);
}
