//! Random programs, mutants and sizes by the thousand: `random programs FROM COUNT` runs the checks of each seed in processes of
//! its own, `random mutants` and `random sizes` likewise; `random show SEED` prints a program, `random one KIND SEED` checks one
//! of a kind, `random text FILE` a file.
//!
//! Leaves a line for each finding, with a program cut down to what shows it; exit code 1 if there is one.

use std::process::{Command, ExitCode};
use vsr_tests::random::check::{self, Checked, Finding, Kind, Outcome};
use vsr_tests::random::grow;
use vsr_tests::random::library::Library;
use vsr_tests::random::mutate;
use vsr_tests::random::program::Program;
use vsr_tests::random::rng::Rng;
use vsr_tests::random::shrink::shrink;
use vsr_tests::random::sizes;
use vsr_tests::random::source::Source;

const USAGE: &str = "random programs|mutants|sizes FROM COUNT
random one programs|mutants|sizes SEED
random show SEED
random text FILE [SEED]";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    asked(&words).unwrap_or_else(|| {
        eprintln!("{USAGE}");
        ExitCode::from(2)
    })
}

/// None: nobody knows what is meant.
fn asked(words: &[&str]) -> Option<ExitCode> {
    let number = |text: &str| text.parse::<u64>().ok();
    Some(match words {
        ["show", seed] => {
            println!("{}", grow::program(number(seed)?, &Library::new()));
            ExitCode::SUCCESS
        }
        ["text", path] => of_text(path, 1),
        ["text", path, seed] => of_text(path, number(seed)?),
        ["one", kind, seed] => batch(&Seeds::of(kind)?, number(seed)?, 1),
        ["batch", kind, from, n] => batch(&Seeds::of(kind)?, number(from)?, number(n)?),
        [kind, from, n] => campaign(&Seeds::of(kind)?, number(from)?, number(n)?),
        _ => return None,
    })
}

/// What a seed stands for.
enum Seeds {
    Programs(Library),
    Mutants(Vec<sizes::Network>),
    Sizes(Vec<sizes::Network>),
}

impl Seeds {
    fn of(kind: &str) -> Option<Seeds> {
        match kind {
            "programs" => Some(Seeds::Programs(Library::new())),
            "mutants" => Some(Seeds::Mutants(sizes::networks())),
            "sizes" => Some(Seeds::Sizes(sizes::networks())),
            _ => None,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Seeds::Programs(_) => "programs",
            Seeds::Mutants(_) => "mutants",
            Seeds::Sizes(_) => "sizes",
        }
    }

    /// Seeds for one process.
    fn n_of_batch(&self) -> u64 {
        match self {
            Seeds::Sizes(_) => 1,
            _ => 50,
        }
    }

    /// Checks of one seed; a finding is printed.
    fn check(&self, seed: u64) -> Vec<Outcome> {
        match self {
            Seeds::Programs(library) => {
                let program = grow::program(seed, library);
                let outcome = check::check(&program, seed);
                if let Some(Err(finding)) = &outcome {
                    report(seed, &program, finding);
                }
                vec![outcome]
            }
            Seeds::Mutants(networks) => {
                let source = mutate::mutant(seed, networks);
                let outcome = check::check_any(&source, seed);
                vec![said(seed, &source, outcome)]
            }
            Seeds::Sizes(networks) => {
                let one = |(at, network): (usize, &sizes::Network)| {
                    let source = network.at(&mut Rng::new(seed << 16 | at as u64));
                    eprintln!("at {seed} {} {:?}", source.path, source.options.set);
                    let outcome = check::check_any(&source, seed);
                    said(seed, &source, outcome)
                };
                networks.iter().enumerate().map(one).collect()
            }
        }
    }
}

/// A text, as if it were a program of this seed.
fn of_text(path: &str, seed: u64) -> ExitCode {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) => {
            eprintln!("{path}: {e}");
            return ExitCode::from(2);
        }
    };
    match check::check_source(&Source::of_text(&text), seed) {
        None => println!("refused by the check"),
        Some(Ok(checked)) => println!("{checked:?}"),
        Some(Err(finding)) => {
            println!("{:?}: {}", finding.kind, finding.text);
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
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
fn batch(seeds: &Seeds, from: u64, count: u64) -> ExitCode {
    std::panic::set_hook(Box::new(|_| {}));
    let (mut refused, mut held, mut total, mut any) = (0, 0, Checked::default(), false);
    for seed in from..from + count {
        eprintln!("at {seed}");
        for outcome in seeds.check(seed) {
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
    let (kind, to) = (seeds.name(), from + count);
    println!("{kind} {from}..{to}: {held} held, {refused} refused, {total:?}");
    ExitCode::from(u8::from(any))
}

/// Batches in processes of their own; a batch that dies goes on behind the seed that killed it.
fn campaign(seeds: &Seeds, from: u64, count: u64) -> ExitCode {
    let (mut at, end, mut any) = (from, from + count, false);
    while at < end {
        let n = seeds.n_of_batch().min(end - at);
        let me = std::env::current_exe().expect("this program has a path");
        let output = Command::new(me)
            .args(["batch", seeds.name(), &at.to_string(), &n.to_string()])
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
