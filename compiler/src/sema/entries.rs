//! All entries of one `train` item or model, elaborated side by side on all processors, for a check or for their graphs.
//! Leaves what each made, in the order of the plan, whoever did it; and what each found, every place once.

use super::entry::{Job, Made};
use super::facts::Facts;
use super::module::Program;
use super::settings::{self, Settings};
use super::{EntryKind, Options};
use crate::diag::{Diag, Problems, Span};
use crate::ir::graph::Graph;
use crate::stack;
use rustc_hash::FxHashSet as HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What is wanted of the entries.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    Graphs,
    /// Problems alone: only a sketch of the graph is made.
    Problems,
    /// Problems, and what is known of the text's places.
    Facts,
}

/// One entry to elaborate, under a profile.
struct Task {
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

/// What all entries made, and the facts that are wanted. None: one of them has problems.
pub fn elaborate(
    program: &Program<'_>,
    options: &Options,
    settings: &Settings<'_>,
    wanted: Wanted,
    reported: &mut HashSet<Span>,
    problems: &mut Problems,
) -> (Option<Vec<Made>>, Facts) {
    let tasks: Vec<Task> = super::plan(settings)
        .into_iter()
        .map(|(profile, kind)| Task { profile, kind })
        .collect();
    let mut made = vec![];
    let mut facts = Facts::default();
    for outcome in outcomes(program, options, &tasks, wanted) {
        if let Some(why) = outcome.problems.machine() {
            problems.cannot(why);
        }
        let is_new = |diag: &&Diag| {
            let place = diag.primary.as_ref().map(|mark| mark.span);
            place.is_none_or(|place| !reported.contains(&place))
        };
        let new: Vec<Diag> = outcome.problems.iter().filter(is_new).cloned().collect();
        for diag in new {
            reported.extend(diag.primary.as_ref().map(|mark| mark.span));
            problems.push(diag);
        }
        for (span, fact) in outcome.facts.at {
            facts.at.entry(span).or_insert(fact);
        }
        made.extend(outcome.made);
    }
    ((made.len() == tasks.len()).then_some(made), facts)
}

/// In the order of the tasks.
fn outcomes(
    program: &Program<'_>,
    options: &Options,
    tasks: &[Task],
    wanted: Wanted,
) -> Vec<Outcome> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = vec![];
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(task) = tasks.get(at) else {
                return done;
            };
            done.push((at, outcome(program, options, task, wanted)));
        }
    };
    let mut done: Vec<(usize, Outcome)> = match stack::together(tasks.len(), work) {
        Ok(done) => done.into_iter().flatten().collect(),
        Err(error) => {
            let mut outcome = Outcome::default();
            outcome.problems.cannot(stack::no_thread(&error));
            return vec![outcome];
        }
    };
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, outcome)| outcome).collect()
}

fn outcome(program: &Program<'_>, options: &Options, task: &Task, wanted: Wanted) -> Outcome {
    let mut outcome = Outcome::default();
    // Settings hold values of one thread; their problems have been reported.
    let Some(settings) = settings::settings(program, options, &mut Problems::new()) else {
        return outcome;
    };
    let mut job = Job {
        program,
        settings: &settings,
        problems: &mut outcome.problems,
        reported: &mut HashSet::default(),
        facts: (wanted == Wanted::Facts).then_some(&mut outcome.facts),
        is_check: wanted != Wanted::Graphs,
    };
    outcome.made = entry(&settings, &mut job, task);
    if let (Some(made), true) = (&mut outcome.made, wanted != Wanted::Graphs) {
        // A sketch has served: its memory is for the next entry.
        (made.entry.graph, made.entry.calls) = (Graph::default(), vec![]);
    }
    outcome
}

fn entry<'a>(settings: &'a Settings<'a>, job: &mut Job<'a, '_>, task: &Task) -> Option<Made> {
    let profile = &settings.profiles[task.profile];
    match (task.kind, settings.train) {
        (EntryKind::Infer, _) | (_, None) => job.infer(profile),
        (kind, Some(item)) => job.train(item, profile, kind == EntryKind::Train),
    }
}
