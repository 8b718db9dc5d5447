//! Random programs by the thousand: `random FROM COUNT` runs the checks of each seed in processes of its own.
//!
//! Leaves a line for each finding, with the program cut down to what shows it; exit code 1 if there is one.

use std::process::{Command, ExitCode};
use vsr_tests::random::check::{self, Finding, Kind};
use vsr_tests::random::grow;
use vsr_tests::random::library::Library;
use vsr_tests::random::program::Program;
use vsr_tests::random::rng::Rng;
use vsr_tests::random::shrink::shrink;
use vsr_tests::random::sizes;
use vsr_tests::random::source::Source;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |i: usize, other: u64| args.get(i).and_then(|a| a.parse().ok()).unwrap_or(other);
    match args.first().map(String::as_str) {
        Some("show") => {
            println!("{}", grow::program(number(1, 0), &Library::new()));
            ExitCode::SUCCESS
        }
        Some("text") => of_text(&args[1], number(2, 1)),
        Some("one") => one(number(1, 0)),
        Some("batch") => batch(number(1, 0), number(2, 1)),
        Some("sizes") => all_sizes(number(1, 0), number(2, 1)),
        _ => campaign(number(0, 0), number(1, 100)),
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

/// One seed, cut down.
fn one(seed: u64) -> ExitCode {
    let program = grow::program(seed, &Library::new());
    match check::check(&program, seed) {
        None => println!("seed {seed}: refused by the check"),
        Some(Ok(checked)) => println!("seed {seed}: {checked:?}"),
        Some(Err(finding)) => {
            report(seed, &program, &finding);
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn report(seed: u64, program: &Program, finding: &Finding) {
    std::panic::set_hook(Box::new(|_| {}));
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

fn is_kind(result: Option<Result<check::Checked, Finding>>, kind: Kind) -> bool {
    matches!(result, Some(Err(f)) if f.kind == kind)
}

/// Some seeds in this process: a line `at SEED` before each, so that a death of the process has a name.
fn batch(from: u64, count: u64) -> ExitCode {
    std::panic::set_hook(Box::new(|_| {}));
    let library = Library::new();
    let (mut n_refused, mut total, mut any) = (0, check::Checked::default(), false);
    for seed in from..from + count {
        eprintln!("at {seed}");
        let program = grow::program(seed, &library);
        match check::check(&program, seed) {
            None => {
                n_refused += 1;
                println!("seed {seed} is refused");
            }
            Some(Ok(c)) => {
                total.kernels += c.kernels;
                total.gradients += c.gradients;
                total.unsure += c.unsure;
                total.numbers += c.numbers;
                total.contractions += c.contractions;
                total.scatters += c.scatters;
            }
            Some(Err(finding)) => {
                any = true;
                report(seed, &program, &finding);
            }
        }
    }
    println!(
        "seeds {from}..{}: {n_refused} refused, {total:?}",
        from + count
    );
    ExitCode::from(u8::from(any))
}

/// Points of all equations up to which a network is evaluated.
const MOST_WORK: i64 = 3_000_000;

/// Every network at some sizes.
fn all_sizes(from: u64, count: u64) -> ExitCode {
    std::panic::set_hook(Box::new(|_| {}));
    let (mut any, mut n) = (false, [0; 3]);
    for seed in from..from + count {
        for (at, network) in sizes::networks().iter().enumerate() {
            let mut rng = Rng::new(seed << 16 | at as u64);
            let source = network.at(&mut rng);
            eprintln!("at {seed} {} {:?}", source.path, source.options.set);
            let small = check::work(&source).is_some_and(|w| w <= MOST_WORK);
            let result = match small {
                true => check::check_source(&source, network.shows_gradients(), seed),
                false => check::compiles(&source),
            };
            match result {
                None => {
                    n[0] += 1;
                    let why = source
                        .with(vsr_compiler::sema::elaborate)
                        .err()
                        .unwrap_or_default();
                    eprintln!("refused: {}", why.lines().next().unwrap_or_default());
                }
                Some(Ok(_)) => n[if small { 2 } else { 1 }] += 1,
                Some(Err(f)) => {
                    any = true;
                    println!("{}", source.text.clone().unwrap_or_default());
                    println!(
                        "=== {} {:?} {:?}: {:?}: {}",
                        source.path, source.options.name, source.options.set, f.kind, f.text
                    );
                }
            }
        }
    }
    println!(
        "sizes {from}..{}: {} refused, {} compiled, {} held against the oracle",
        from + count,
        n[0],
        n[1],
        n[2]
    );
    ExitCode::from(u8::from(any))
}

const BATCH: u64 = 50;

/// Batches in processes of their own; a batch that dies goes on behind the seed that killed it.
fn campaign(from: u64, count: u64) -> ExitCode {
    let (mut at, end, mut any) = (from, from + count, false);
    while at < end {
        let n = BATCH.min(end - at);
        let me = std::env::current_exe().expect("this program has a path");
        let output = Command::new(me)
            .args(["batch", &at.to_string(), &n.to_string()])
            .output()
            .expect("a process starts");
        print!("{}", String::from_utf8_lossy(&output.stdout));
        any |= !output.status.success();
        at = match output.status.code() {
            Some(_) => at + n,
            None => {
                let log = String::from_utf8_lossy(&output.stderr);
                let last = log
                    .lines()
                    .rev()
                    .find_map(|l| l.strip_prefix("at ")?.parse().ok());
                let seed: u64 = last.unwrap_or(at);
                println!(
                    "=== seed {seed} Outside: the process died: {}",
                    output.status
                );
                seed + 1
            }
        };
    }
    ExitCode::from(u8::from(any))
}
