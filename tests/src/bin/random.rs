//! Random programs, mutants and sizes by the thousand: `random programs FROM COUNT` runs the checks of each seed in processes of
//! its own, `random mutants` and `random sizes` likewise; `random show SEED` prints a program, `random one KIND SEED` checks one
//! of a kind, `random text FILE` a file.
//!
//! Leaves a line for each finding, with a program cut down to what shows it; exit code 1 if there is one.

use std::process::{Command, ExitCode};
use vsr_tests::random::check::{self, Checked, Finding, Kind};
use vsr_tests::random::grow;
use vsr_tests::random::library::Library;
use vsr_tests::random::mutate;
use vsr_tests::random::program::Program;
use vsr_tests::random::rng::Rng;
use vsr_tests::random::shrink::shrink;
use vsr_tests::random::sizes;
use vsr_tests::random::source::Source;

/// What a check of one seed found; None: the front end refuses it.
type Outcome = Option<Result<Checked, Finding>>;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let number = |i: usize, other: u64| args.get(i).and_then(|a| a.parse().ok()).unwrap_or(other);
    match words.as_slice() {
        ["show", ..] => {
            println!("{}", grow::program(number(1, 0), &Library::new()));
            ExitCode::SUCCESS
        }
        ["text", path, ..] => of_text(path, number(2, 1)),
        ["one", kind, ..] => batch(kind, number(2, 0), 1),
        ["batch", kind, ..] => batch(kind, number(2, 0), number(3, 1)),
        [kind, ..] => campaign(kind, number(1, 0), number(2, 100)),
        [] => campaign("programs", 0, 100),
    }
}

/// A text, as if it were a program of this seed.
fn of_text(path: &str, seed: u64) -> ExitCode {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let gradient = text.contains("optimizer = Gradient()");
    match check::check_source(&Source::of_text(&text), gradient, seed) {
        None => println!("refused by the check"),
        Some(Ok(checked)) => println!("{checked:?}"),
        Some(Err(finding)) => {
            println!("{:?}: {}", finding.kind, finding.text);
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// One seed of a kind; a finding is printed.
fn seed_of(kind: &str, seed: u64, library: &Library) -> Vec<Outcome> {
    match kind {
        "programs" => {
            let program = grow::program(seed, library);
            let outcome = check::check(&program, seed);
            if let Some(Err(finding)) = &outcome {
                report(seed, &program, finding);
            }
            vec![outcome]
        }
        "mutants" => {
            let (source, shows_gradients) = mutate::mutant(seed);
            let outcome = check::check_any(&source, shows_gradients, seed);
            vec![said(seed, &source, outcome)]
        }
        "sizes" => {
            let one = |(at, network): (usize, &sizes::Network)| {
                let source = network.at(&mut Rng::new(seed << 16 | at as u64));
                eprintln!("at {seed} {} {:?}", source.path, source.options.set);
                let outcome = check::check_any(&source, network.shows_gradients(), seed);
                said(seed, &source, outcome)
            };
            sizes::networks().iter().enumerate().map(one).collect()
        }
        _ => {
            eprintln!("no {kind}: programs, mutants or sizes");
            std::process::exit(2);
        }
    }
}

/// A finding in a source that is not grown is printed as it is.
fn said(seed: u64, source: &Source, outcome: Outcome) -> Outcome {
    if let Some(Err(f)) = &outcome {
        let (changed, text) = (&source.changed, &source.text);
        println!(
            "=== seed {seed} {} {:?} {:?}: {:?}: {}",
            source.path, source.options.name, source.options.set, f.kind, f.text
        );
        if let Some((path, text)) = changed {
            println!("--- {path}\n{text}");
        }
        println!("--- {}", text.as_deref().unwrap_or_default());
    }
    outcome
}

/// Cutting down takes many checks: what was found is said before.
fn report(seed: u64, program: &Program, finding: &Finding) {
    eprintln!("{:?}: {}", finding.kind, finding.text);
    let same = |p: &Program| is_kind(check::check(p, seed), finding.kind);
    let small = shrink(program, &same);
    let text = match check::check(&small, seed) {
        Some(Err(f)) => f.text,
        _ => finding.text.clone(),
    };
    println!(
        "=== seed {seed} {:?}: {}\n--- shrunk\n{small}\n--- {text}\n",
        finding.kind, finding.text
    );
}

fn is_kind(outcome: Outcome, kind: Kind) -> bool {
    matches!(outcome, Some(Err(f)) if f.kind == kind)
}

/// Some seeds in this process: a line `at SEED` before each, so that a death of the process has a name.
fn batch(kind: &str, from: u64, count: u64) -> ExitCode {
    std::panic::set_hook(Box::new(|_| {}));
    let library = Library::new();
    let (mut refused, mut held, mut total, mut any) = (0, 0, Checked::default(), false);
    for seed in from..from + count {
        eprintln!("at {seed}");
        for outcome in seed_of(kind, seed, &library) {
            match outcome {
                None => refused += 1,
                Some(Ok(checked)) => {
                    held += 1;
                    total += checked;
                }
                Some(Err(_)) => any = true,
            }
        }
    }
    let to = from + count;
    println!("{kind} {from}..{to}: {held} held, {refused} refused, {total:?}");
    ExitCode::from(u8::from(any))
}

const BATCH: u64 = 50;

/// Batches in processes of their own; a batch that dies goes on behind the seed that killed it.
fn campaign(kind: &str, from: u64, count: u64) -> ExitCode {
    let (mut at, end, mut any) = (from, from + count, false);
    let most = if kind == "sizes" { 1 } else { BATCH };
    while at < end {
        let n = most.min(end - at);
        let me = std::env::current_exe().expect("this program has a path");
        let output = Command::new(me)
            .args(["batch", kind, &at.to_string(), &n.to_string()])
            .output()
            .expect("a process starts");
        print!("{}", String::from_utf8_lossy(&output.stdout));
        any |= !output.status.success();
        at = match output.status.code() {
            Some(_) => at + n,
            None => {
                let log = String::from_utf8_lossy(&output.stderr);
                let seeds = |l: &str| l.strip_prefix("at ")?.split(' ').next()?.parse().ok();
                let seed: u64 = log.lines().rev().find_map(seeds).unwrap_or(at);
                let last = log.lines().last().unwrap_or_default();
                println!(
                    "=== seed {seed} Outside: the process died: {} ({last})",
                    output.status
                );
                seed + 1
            }
        };
    }
    ExitCode::from(u8::from(any))
}
