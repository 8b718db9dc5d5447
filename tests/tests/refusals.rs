//! Why kernels are not one: every two of them, one of which reads the other's results, have one reason, and every reason has a text that
//! meets it. `tests/cases/refusals` has a file for each, named after it, which states it as a fact (`cases`).

use std::collections::{BTreeMap, BTreeSet};
use vsr_compiler::diag::Problems;
use vsr_compiler::pass_manager::{Emit, PassManager};
use vsr_compiler::pipeline;
use vsr_compiler::schedule::{self, EntryPlan, LaunchPlan, Refusal, Rules, Slot, WeightTable};
use vsr_compiler::sema::{Elaborated, Loader, Options};
use vsr_compiler::tile::BufferKind;
use vsr_tests::random::rng::Rng;
use vsr_tests::random::sizes;
use vsr_tests::random::source::Source;
use vsr_tests::root;

fn graphs(
    loader: &mut dyn Loader,
    path: &str,
    options: &Options,
    problems: &mut Problems,
) -> Option<Elaborated> {
    let mut manager = PassManager::default();
    pipeline::graphs(loader, path, options, &mut manager, problems)
}

/// The plans of all entries, with reasons.
fn plans(graphs: &Elaborated, rules: fn(Rules) -> Rules) -> Vec<EntryPlan> {
    let mut weights = WeightTable::declared(&graphs.weights);
    let mut plan = |entry| {
        let mut manager = PassManager::emitting(Some(Emit::Schedule));
        pipeline::plan(entry, &mut weights, rules, &mut manager).plan
    };
    graphs.entries.iter().map(&mut plan).collect()
}

/// What the texts state is held by `cases`.
#[test]
fn every_reason_has_a_text_that_meets_it() {
    for refusal in Refusal::ALL {
        let name = refusal.name();
        let path = root().join(format!("tests/cases/refusals/{name}.vsr"));
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let states =
            |l: &str| l.starts_with("# schedule: apart from ") && l.ends_with(&format!(": {name}"));
        // Nothing that a text says turns fusion off.
        let is_rule = refusal == Refusal::FusionOff;
        assert_ne!(text.lines().any(states), is_rule, "{name}");
    }
    let files = std::fs::read_dir(root().join("tests/cases/refusals"));
    let n_files = files.expect("a folder").count();
    assert_eq!(n_files + 1, Refusal::ALL.len(), "a text meets no reason");
}

#[test]
fn without_fusion_that_is_the_reason() {
    let path = "tests/cases/refusals/reads-across.vsr";
    let made = Source::of_file(path, &[])
        .with(graphs)
        .expect("it elaborates");
    let off = |rules| Rules {
        fuses: false,
        ..rules
    };
    let apart = plans(&made, off).into_iter().flat_map(|p| p.launches);
    let reasons: Vec<Refusal> = apart.flat_map(|l| l.apart).map(|(_, r)| r).collect();
    assert!(!reasons.is_empty());
    assert!(
        reasons.iter().all(|r| *r == Refusal::FusionOff),
        "{reasons:?}"
    );
}

/// Where a value lies, as far as kernels share it.
fn place(slot: &Slot) -> Option<(u8, u64)> {
    match slot {
        Slot::Arena(at) => Some((0, *at)),
        Slot::Folded(at) => Some((1, *at)),
        Slot::Weight(at) => Some((2, *at as u64)),
        Slot::Data(_) => None,
    }
}

fn places(launch: &LaunchPlan, kinds: [BufferKind; 2]) -> BTreeSet<(u8, u64)> {
    let buffers = launch.kernel.buffers.iter().zip(&launch.buffers);
    let ours = buffers.filter(|(b, _)| kinds.contains(&b.kind));
    ours.filter_map(|(_, slot)| place(slot)).collect()
}

const READ: [BufferKind; 2] = [BufferKind::In, BufferKind::InOut];
const WRITTEN: [BufferKind; 2] = [BufferKind::Out, BufferKind::InOut];

/// Who reads what whom has written last, by the memory that kernels touch.
fn flows(plan: &EntryPlan) -> BTreeSet<(usize, usize)> {
    let mut last: BTreeMap<(u8, u64), Option<usize>> = BTreeMap::new();
    let mut found = BTreeSet::new();
    for (part, launches) in [&plan.setup, &plan.launches].into_iter().enumerate() {
        // What weights are folded in is the arena's before inputs are.
        last.retain(|place, _| part == 0 || place.0 != 0);
        for launch in launches {
            let from = places(launch, READ).into_iter();
            let from = from.filter_map(|place| *last.get(&place)?);
            if let Some(reader) = launch.group {
                found.extend(from.filter(|w| *w != reader).map(|w| (w, reader)));
            }
            for place in places(launch, WRITTEN) {
                last.insert(place, launch.group);
            }
        }
    }
    found
}

/// The edges of a plan: each once, all that memory shows, and none between kernels that share nothing.
fn edges(what: &str, plan: &EntryPlan) -> usize {
    let all: Vec<&LaunchPlan> = plan.setup.iter().chain(&plan.launches).collect();
    let by_group: BTreeMap<usize, &LaunchPlan> =
        all.iter().filter_map(|l| Some((l.group?, *l))).collect();
    let mut listed = BTreeSet::new();
    for (group, launch) in &by_group {
        for (reader, refusal) in &launch.apart {
            let both = format!("{what}: {} and {}", launch.label, by_group[reader].label);
            assert!(listed.insert((*group, *reader)), "{both}: two reasons");
            assert_ne!(*refusal, Refusal::FusionOff, "{both}");
            let shared = !places(launch, WRITTEN).is_disjoint(&places(by_group[reader], READ));
            assert!(shared, "{both} share nothing");
        }
    }
    for (writer, reader) in flows(plan) {
        let both = [writer, reader].map(|g| &by_group[&g].label);
        assert!(
            listed.contains(&(writer, reader)),
            "{what}: {both:?}: no reason"
        );
    }
    listed.len()
}

#[test]
fn every_two_kernels_that_share_a_value_have_one_reason() {
    let mut n = 0;
    let mut network = |what: &str, source: &Source| {
        // Some sizes are refused, and are none of ours.
        for plan in source.with(graphs).iter().flat_map(|g| plans(g, |r| r)) {
            n += edges(what, &plan);
            let lines = schedule::print(what, &plan);
            let lines = lines.lines().filter(|l| l.starts_with("      apart from "));
            let of = |l: &LaunchPlan| l.apart.len();
            let all = plan.setup.iter().chain(&plan.launches);
            assert_eq!(lines.count(), all.map(of).sum::<usize>(), "{what}");
        }
    };
    for known in sizes::networks() {
        network(&known.path, &known.at(&mut Rng::new(1)));
    }
    for refusal in Refusal::ALL
        .into_iter()
        .filter(|r| *r != Refusal::FusionOff)
    {
        let path = format!("tests/cases/refusals/{}.vsr", refusal.name());
        network(&path, &Source::of_file(&path, &[]));
    }
    assert!(n > 2000, "{n} edges");
}

/// Nobody pays for reasons that nobody asked for.
#[test]
fn reasons_are_found_for_who_asks() {
    let made = Source::of_file("tests/cases/refusals/reduces.vsr", &[]).with(graphs);
    let made = made.expect("it elaborates");
    let mut weights = WeightTable::declared(&made.weights);
    let mut manager = PassManager::default();
    let plan = pipeline::plan(&made.entries[0], &mut weights, |r| r, &mut manager).plan;
    assert!(plan.launches.iter().all(|l| l.apart.is_empty()));
}
