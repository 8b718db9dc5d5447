//! All errors of a file, for `vsrc check` and editors: every `train` item and every model of it under all profiles, and
//! the definitions that nothing reaches. Items with syntax errors are left out, and what uses them stays silent. A file
//! without a model is a library: its definitions are checked. Makes no artifact.

use super::entry::{Job, Made};
use super::facts::Facts;
use super::module::{self, Loaded, Loader, Program};
use super::settings;
use super::{EntryKind, Options, STACK_BYTES, cycle, definitions};
use crate::diag::{Diag, Problems, Sources, Span};
use crate::syntax::ast::{self, ItemKind};
use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};

const MAX_WORKERS: usize = 8;

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
    let mut facts = Facts::default();
    super::on_deep_stack(problems, |found| {
        let facts = wants_facts.then_some(&mut facts);
        check_loaded(&files, sources, options, facts, found);
    });
    Checked { facts, files }
}

fn check_loaded(
    files: &[Loaded],
    sources: &Sources,
    options: &Options,
    facts: Option<&mut Facts>,
    problems: &mut Problems,
) {
    let program = Program::new(files, sources, problems);
    let n_problems = problems.len();
    cycle::cycles(&program, problems);
    let has_cycle = problems.len() > n_problems;
    let has_profiles = profiles(&files[0].ast).count() > 0;
    let mut reported = HashSet::new();
    if has_profiles && !has_cycle {
        check_entries(&program, options, facts, &mut reported, problems);
    }
    definitions::check(&program, &mut reported, problems);
}

/// One entry to elaborate: of a `train` item or a model, under a profile.
struct Task {
    options: Options,
    profile: usize,
    kind: EntryKind,
}

/// What elaborating one entry found.
#[derive(Default)]
struct Outcome {
    made: Option<Made>,
    problems: Problems,
    facts: Facts,
}

/// Elaborates all entries, on all processors, and reports what each finds, in order, each place once.
fn check_entries(
    program: &Program<'_>,
    options: &Options,
    mut facts: Option<&mut Facts>,
    reported: &mut HashSet<Span>,
    problems: &mut Problems,
) {
    for name in candidates(&program.files[0].ast, options) {
        let options = Options {
            name: Some(name),
            ..options.clone()
        };
        let Some(settings) = settings::settings(program, &options, problems) else {
            continue;
        };
        let task = |(profile, kind)| Task {
            options: options.clone(),
            profile,
            kind,
        };
        let tasks: Vec<Task> = super::plan(&settings).into_iter().map(task).collect();
        let mut made = vec![];
        for outcome in outcomes(program, &tasks, facts.is_some()) {
            let is_new = |diag: &&Diag| {
                diag.primary
                    .as_ref()
                    .is_none_or(|mark| !reported.contains(&mark.span))
            };
            let new: Vec<Diag> = outcome.problems.iter().filter(is_new).cloned().collect();
            for diag in new {
                reported.extend(diag.primary.as_ref().map(|mark| mark.span));
                problems.push(diag);
            }
            if let Some(facts) = &mut facts {
                for (span, fact) in outcome.facts.at {
                    facts.at.entry(span).or_insert(fact);
                }
            }
            made.extend(outcome.made);
        }
        if made.len() == tasks.len() {
            let mut weights = vec![];
            made.iter()
                .for_each(|one| super::merge(&mut weights, one, problems));
            super::same_parameters(&made, problems);
        }
    }
}

/// In the order of the tasks, whoever did them.
fn outcomes(program: &Program<'_>, tasks: &[Task], wants_facts: bool) -> Vec<Outcome> {
    let n_workers = std::thread::available_parallelism().map_or(1, |n| n.get());
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = vec![];
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(task) = tasks.get(at) else {
                return done;
            };
            done.push((at, outcome(program, task, wants_facts)));
        }
    };
    let mut done = std::thread::scope(|scope| {
        let spawn = |_| {
            let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
            thread.spawn_scoped(scope, work).ok()
        };
        // This thread works, too.
        let n_others = n_workers
            .min(MAX_WORKERS)
            .min(tasks.len())
            .saturating_sub(1);
        let others: Vec<_> = (0..n_others).filter_map(spawn).collect();
        let mut done = work();
        for other in others {
            done.extend(other.join().expect("elaboration reports what it cannot do"));
        }
        done
    });
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, outcome)| outcome).collect()
}

fn outcome(program: &Program<'_>, task: &Task, wants_facts: bool) -> Outcome {
    let mut outcome = Outcome::default();
    // Settings hold values of one thread; their problems have been reported.
    let Some(settings) = settings::settings(program, &task.options, &mut Problems::new()) else {
        return outcome;
    };
    let mut job = Job {
        program,
        settings: &settings,
        problems: &mut outcome.problems,
        reported: &mut HashSet::new(),
        facts: wants_facts.then_some(&mut outcome.facts),
        is_check: true,
    };
    outcome.made = super::entry(&settings, &mut job, task.profile, task.kind);
    outcome
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
