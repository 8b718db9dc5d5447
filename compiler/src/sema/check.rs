//! All errors of a file, for `vsrc check` and editors: every `train` item and every model of it under all profiles, and
//! the definitions that nothing reaches. Items with syntax errors are left out, and what uses them stays silent. A file
//! without a model is a library: its definitions are checked. Makes no artifact.

use super::entries::{self, ProblemCollector, Wanted};
use super::facts::Facts;
use super::module::{Loaded, Program};
use super::settings::{self, Offer};
use super::{MergedWeights, Options, cycle, definitions, frozen};
use crate::diag::{Problems, Sources};
use crate::syntax::ast::{self, ItemKind};
use rustc_hash::FxHashSet as HashSet;

/// Whether a profile of a file says how much memory its networks may take.
pub fn limits_memory(file: &Loaded) -> bool {
    profiles(&file.ast).any(|p| p.settings.iter().any(|s| s.name.text == "memory"))
}

/// Checks the first of the files that [`super::load`] read, which are all it uses. `options.name` keeps one `train` item or
/// model; the facts are of all files, where `wants_facts`.
pub fn check(
    files: &[Loaded],
    sources: &Sources,
    options: &Options,
    wants_facts: bool,
    problems: &mut Problems,
) -> Facts {
    let mut facts = Facts::default();
    super::on_deep_stack(problems, |found| {
        let facts = wants_facts.then_some(&mut facts);
        check_loaded(files, sources, options, facts, found);
    });
    facts
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
    let mut found = ProblemCollector::new(problems);
    if has_profiles && !has_cycle {
        check_entries(&program, options, facts, &mut found);
    }
    definitions::check(&program, &mut found);
}

/// Elaborates all entries of all candidates, and reports what each finds, in order, each place once.
fn check_entries(
    program: &Program<'_>,
    options: &Options,
    mut facts: Option<&mut Facts>,
    found: &mut ProblemCollector<'_>,
) {
    let Some(offer) = Offer::of(program, options, found.problems) else {
        return;
    };
    let wanted = match facts {
        Some(_) => Wanted::Facts,
        None => Wanted::Problems,
    };
    for profile in &offer.profiles {
        let refused =
            super::refused_precision(profile.name, profile.precision, profile.precision_at);
        refused
            .into_iter()
            .for_each(|diag| found.problems.push(diag));
    }
    for name in candidates(&program.files[0].ast, options) {
        let options = Options {
            name: Some(name),
            ..options.clone()
        };
        let Some(settings) = settings::settings(program, &offer, &options, found.problems) else {
            continue;
        };
        let (made, known) = entries::elaborate(program, &offer, &options, &settings, wanted, found);
        if let Some(facts) = &mut facts {
            for (span, fact) in known.at {
                facts.at.entry(span).or_insert(fact);
            }
        }
        if let Some(made) = made {
            let mut known = MergedWeights::default();
            made.iter().for_each(|one| known.merge(one, found.problems));
            super::same_parameters(&made, found.problems);
            let used: Vec<_> = made.iter().map(|one| &one.frozen).collect();
            frozen::unread(program, &used, found.problems);
        }
        if found.steps_left == 0 || found.problems.is_full() {
            return;
        }
    }
}

/// What compiling a checked file says where it holds several models or `train` items and none is named.
pub fn choice(files: &[Loaded], sources: &Sources, problems: &mut Problems) {
    let Some(file) = files.first() else {
        return;
    };
    if profiles(&file.ast).count() == 0 {
        return;
    }
    // What is wrong with the texts has been reported.
    let mut silent = Problems::new();
    let program = Program::new(files, sources, &mut silent);
    cycle::cycles(&program, &mut silent);
    let offer = Offer::of(&program, &Options::default(), &mut silent);
    if let (Some(offer), true) = (offer, silent.is_empty()) {
        settings::choice(&program, &offer, problems);
    }
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
    let (mut names, mut trained) = (Vec::new(), HashSet::default());
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
