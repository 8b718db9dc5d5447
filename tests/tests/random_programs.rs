//! Programs and sizes that nobody has chosen: whatever the front end takes compiles, and means what it says.
//!
//! `.ci/full` has longer campaigns, by `tests/src/bin/random.rs`. A finding names its seed, which stands for the same program
//! as long as the standard library does: `cargo run --release -p vsr-tests --bin random one programs SEED` cuts it down.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use vsr_compiler::pass_manager::PassManager;
use vsr_compiler::pipeline;
use vsr_compiler::schedule::{self, Numerics, WeightTable};
use vsr_tests::random::check::{self, Checked, Outcome};
use vsr_tests::random::library::Library;
use vsr_tests::random::numerics::numerics;
use vsr_tests::random::rng::Rng;
use vsr_tests::random::source::Source;
use vsr_tests::random::{grow, mutate, sizes};
use vsr_tests::root;

/// All seeds, by as many threads as there are processors; how many the front end takes, and what was held against what.
fn all(seeds: std::ops::Range<u64>, one: &(dyn Fn(u64) -> Outcome + Sync)) -> (u64, Checked) {
    let next = AtomicU64::new(seeds.start);
    let work = || {
        let (mut held, mut total, mut wrong) = (0, Checked::default(), vec![]);
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return (held, total, wrong);
            }
            match one(seed) {
                None => {}
                Some(Ok(checked)) => {
                    held += 1;
                    total += checked;
                }
                Some(Err(f)) => wrong.push(format!("seed {seed}: {:?}: {}", f.kind, f.text)),
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let parts: Vec<_> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let joined = running.into_iter().map(|r| r.join());
        joined.map(|r| r.expect("no panic leaves it")).collect()
    });
    let (mut held, mut total, mut wrong) = (0, Checked::default(), vec![]);
    for (h, t, w) in parts {
        held += h;
        total += t;
        wrong.extend(w);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    (held, total)
}

#[test]
fn programs_mean_what_they_say() {
    let (n, library) = (300, Library::new());
    let (held, total) = all(0..n, &|seed| {
        check::check(&grow::program(seed, &library), seed)
    });
    println!("{held} of {n} held: {total:?}");
    assert!(held * 10 >= n * 9, "{held} of {n} are programs");
    // It is no empty promise: every form occurs.
    assert!(total.kernels as u64 >= 20 * n, "{total:?}");
    assert!(total.contractions as u64 * 2 >= n, "{total:?}");
    assert!(total.scatters as u64 * 10 >= n, "{total:?}");
    assert!(total.gradients as u64 * 3 >= n, "{total:?}");
    assert!(total.unsure * 10 <= total.numbers, "{total:?}");
}

#[test]
fn mutants_of_networks_and_of_the_library_mean_what_they_say() {
    let networks = sizes::networks();
    let (held, total) = all(0..60, &|seed| {
        check::check_any(&mutate::mutant(seed, &networks), seed)
    });
    assert!(held > 6, "{held} mutants are programs");
    assert!(total.numbers > 0 && total.gradients > 0, "{total:?}");
}

/// Other kernels, or the thresholds say nothing.
#[test]
fn random_thresholds_have_plans_of_their_own() {
    let set = [("depth", "3"), ("H", "16"), ("W", "16"), ("B", "2")];
    let set = set.map(|(k, v)| (k.to_string(), v.to_string()));
    let mut source = Source::of_file("models/vdsr.vsr", &set);
    source.options.profiles = vec!["train".into()];
    let made = source.with(|loader, path, options, problems| {
        let mut manager = PassManager::default();
        pipeline::graphs(loader, path, options, &mut manager, problems)
    });
    let made = made.unwrap_or_else(|problems| panic!("{problems}"));
    let text = |by: Numerics| {
        let mut weights = WeightTable::declared(&made.weights);
        let mut manager = PassManager::default();
        let entry = &made.entries[0];
        let plan = pipeline::plan(entry, &mut weights, |rules| rules.by(by), &mut manager).plan;
        schedule::print("train", &plan)
    };
    let usual = text(Numerics::default());
    let others: BTreeSet<String> = (0..12).map(|seed| text(numerics(seed))).collect();
    assert!(others.len() == 12 && !others.contains(&usual));
}

/// Some models and cases, each with a size of its own; `.ci/full` has all of them.
#[test]
fn networks_of_any_size_compile_and_the_small_ones_are_right() {
    let networks = sizes::networks();
    const SAMPLE: u64 = 32;
    let (held, total) = all(0..SAMPLE, &|seed| {
        let network = &networks[seed as usize * networks.len() / SAMPLE as usize];
        check::check_any(&network.at(&mut Rng::new(seed)), seed)
    });
    assert!(held * 2 > SAMPLE, "{held} are networks");
    assert!(total.numbers > 0 && total.gradients > 0, "{total:?}");
}

/// Their gradients scatter to places that are computed; the small ones are held against the oracle.
#[test]
fn networks_that_gather_train_at_any_size() {
    let gathers = ["basicvsr-pp", "spynet", "deform_conv2d", "warp"];
    let networks = sizes::networks();
    let ours = gathers.iter().flat_map(|gather| {
        let of_it = networks.iter().filter(|n| n.path.contains(gather));
        let of_it: Vec<_> = of_it.collect();
        assert!(!of_it.is_empty(), "no network gathers by {gather}");
        of_it
    });
    let ours: Vec<_> = ours.collect();
    const SIZES: u64 = 2;
    let n = ours.len() as u64 * SIZES;
    let (held, total) = all(0..n, &|seed| {
        let network = ours[(seed / SIZES) as usize];
        check::check_any(&network.at(&mut Rng::new(1000 + seed)), seed)
    });
    assert!(held >= 4, "{held} of {n} are networks");
    assert!(total.gradients > 0 && total.scatters > 0, "{total:?}");
}

/// Each text once ended in a panic, a crash or wrong numbers.
#[test]
fn what_was_wrong_once_is_right() {
    let folder = root().join("tests/cases/faults");
    let entries = std::fs::read_dir(folder).expect("the folder reads");
    let mut n = 0;
    for entry in entries {
        let path = entry.expect("an entry").path();
        let text = std::fs::read_to_string(&path).expect("a text");
        let (source, path) = (Source::of_text(&text), path.display());
        let Some(outcome) = check::check_source(&source, 1) else {
            panic!("{path} is refused");
        };
        match outcome {
            Ok(c) if source.shows_gradients() => assert!(c.gradients > 0, "{path}"),
            Ok(_) => {}
            Err(f) => panic!("{path}: {:?}: {}", f.kind, f.text),
        }
        n += 1;
    }
    assert!(n >= 12, "{n} texts");
}

/// Too large for the oracle: it compiles, and every kernel is verified.
#[test]
fn optical_flow_of_large_pictures_compiles() {
    let text = "model Flow()(a: [B, 1, H, W], b: [B, 1, H, W]) -> [B, 2, H, W] = lucas_kanade(a, b)\n\n\
                profile p { B = 2  H = 128  W = 256 }\n";
    match check::compiles(&Source::of_text(text)) {
        Some(Ok(checked)) if checked.kernels > 0 => {}
        other => panic!("{other:?}"),
    }
}

fn assert_compiles(path: &str, profile: &str, set: &[(&str, &str)]) {
    let owned = |(k, v): &(&str, &str)| (k.to_string(), v.to_string());
    let set: Vec<(String, String)> = set.iter().map(owned).collect();
    let mut source = Source::of_file(path, &set);
    source.options.profiles = vec![profile.to_string()];
    match check::compiles(&source) {
        Some(Ok(_)) => {}
        Some(Err(f)) => panic!("{path} {set:?}: {:?}: {}", f.kind, f.text),
        None => panic!("{path} {set:?} is refused"),
    }
}

/// Sizes that people ask the flagship for.
#[test]
fn the_flagship_trains_at_many_sizes() {
    for side in ["32", "40", "48", "56"] {
        assert_compiles("models/vsr.vsr", "train", &[("H", side), ("W", side)]);
    }
    assert_compiles("models/vsr.vsr", "train", &[("T", "9")]);
    assert_compiles("models/vsr.vsr", "train", &[("B", "5")]);
    assert_compiles("models/vsr.vsr", "train", &[("groups", "1")]);
    assert_compiles("models/vsr.vsr", "train", &[("H", "8"), ("W", "8")]);
}
