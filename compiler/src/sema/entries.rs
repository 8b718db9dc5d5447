//! All entries of one `train` item or model, elaborated side by side on all processors, for a check or for their graphs.
//! Leaves what each made, in the order of the plan, whoever did it; and what each found, every place once.

use super::entry::{ElaboratedEntry, Job};
use super::facts::Facts;
use super::limits::MAX_ALL_STEPS;
use super::module::Program;
use super::settings::{self, Offer, Settings};
use super::{EntryKind, Options};
use crate::diag::{Class, Diag, Problems, Span};
use crate::ir::graph::Graph;
use crate::stack;
use rustc_hash::FxHashSet as HashSet;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is wanted of the entries.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    Graphs,
    /// Graphs whose equations stay as they are written, and no gradients: what the others are held against.
    Sketches,
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
    made: Option<ElaboratedEntry>,
    problems: Problems,
    facts: Facts,
    steps: u64,
}

/// What all entries made, and the facts that are wanted. None: one of them has problems.
pub fn elaborate(
    program: &Program<'_>,
    offer: &Offer<'_>,
    options: &Options,
    settings: &Settings<'_>,
    wanted: Wanted,
    found: &mut ProblemCollector<'_>,
) -> (Option<Vec<ElaboratedEntry>>, Facts) {
    let tasks: Vec<Task> = super::plan(settings)
        .into_iter()
        .map(|(profile, kind)| Task { profile, kind })
        .collect();
    let mut made = vec![];
    let mut facts = Facts::default();
    for outcome in outcomes(program, offer, options, &tasks, wanted, found.steps_left) {
        let Some(left) = found.steps_left.checked_sub(outcome.steps) else {
            found.steps_left = 0;
            found.problems.push(too_much(tasks.len()));
            return (None, facts);
        };
        found.steps_left = left;
        found.take(outcome.problems);
        for (span, fact) in outcome.facts.at {
            facts.at.entry(span).or_insert(fact);
        }
        made.extend(outcome.made);
    }
    ((made.len() == tasks.len()).then_some(made), facts)
}

/// What is known of all entries of a file so far.
pub struct ProblemCollector<'p> {
    pub reported: HashSet<Span>,
    pub problems: &'p mut Problems,
    /// Of all entries together.
    pub steps_left: u64,
}

impl<'p> ProblemCollector<'p> {
    pub fn new(problems: &'p mut Problems) -> ProblemCollector<'p> {
        ProblemCollector {
            reported: HashSet::default(),
            problems,
            steps_left: MAX_ALL_STEPS,
        }
    }

    /// The problems of one entry; of each place the first counts.
    fn take(&mut self, problems: Problems) {
        if let Some(why) = problems.machine() {
            self.problems.cannot(why);
        }
        let place = |diag: &Diag| diag.primary.as_ref().map(|mark| mark.span);
        let is_new = |diag: &&Diag| place(diag).is_none_or(|place| !self.reported.contains(&place));
        let new: Vec<Diag> = problems.iter().filter(is_new).cloned().collect();
        for diag in new {
            self.reported.extend(place(&diag));
            self.problems.push(diag);
        }
    }
}

fn too_much(n_entries: usize) -> Diag {
    let text = format!(
        "all models and profiles of this file together take too many steps ({n_entries} entries here)"
    );
    Diag::placeless(Class::Range, text)
        .help("keep fewer profiles or models in a file, or look at some: --profile NAME")
}

/// In the order of the tasks; where they take more steps than there are, the first of them, up to the one too many.
fn outcomes(
    program: &Program<'_>,
    offer: &Offer<'_>,
    options: &Options,
    tasks: &[Task],
    wanted: Wanted,
    steps_left: u64,
) -> Vec<Outcome> {
    let spent = AtomicU64::new(0);
    // Settings hold values of one thread; their problems have been reported.
    let start = || settings::settings(program, offer, options, &mut Problems::new());
    let work = |settings: &Option<Settings<'_>>, task: usize| {
        let settings = settings.as_ref()?;
        if spent.load(Ordering::Relaxed) > steps_left {
            return None;
        }
        let outcome = outcome(program, settings, &tasks[task], wanted);
        spent.fetch_add(outcome.steps, Ordering::Relaxed);
        Some(outcome)
    };
    stack::each(tasks.len(), stack::FEW, start, work).unwrap_or_else(|error| {
        let mut outcome = Outcome::default();
        outcome.problems.cannot(stack::no_thread(&error));
        vec![outcome]
    })
}

fn outcome(program: &Program<'_>, settings: &Settings<'_>, task: &Task, wanted: Wanted) -> Outcome {
    let mut outcome = Outcome::default();
    let mut job = Job {
        program,
        settings,
        problems: &mut outcome.problems,
        reported: &mut HashSet::default(),
        facts: (wanted == Wanted::Facts).then_some(&mut outcome.facts),
        is_check: wanted != Wanted::Graphs,
        steps: 0,
    };
    let made = entry(settings, &mut job, task);
    (outcome.steps, outcome.made) = (job.steps, made);
    let is_kept = matches!(wanted, Wanted::Graphs | Wanted::Sketches);
    if let (Some(made), false) = (&mut outcome.made, is_kept) {
        // A sketch has served: its memory is for the next entry.
        (made.entry.graph, made.entry.calls) = (Graph::default(), vec![]);
    }
    outcome
}

fn entry<'a>(
    settings: &Settings<'a>,
    job: &mut Job<'a, '_>,
    task: &Task,
) -> Option<ElaboratedEntry> {
    let profile = &settings.profiles[task.profile];
    match (task.kind, settings.train) {
        (EntryKind::Infer, _) | (_, None) => job.infer(profile),
        (kind, Some(item)) => job.train(item, profile, kind == EntryKind::Train),
    }
}
