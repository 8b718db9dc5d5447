//! `vsr-run`: the command line of the runtime. Flags in, one call into the library, text or JSON out.
//! Exit codes are those of `EXIT_CODES`, which every `--help` shows.

// A reader that has gone must end no program: `console` speaks.
#![deny(clippy::print_stdout, clippy::print_stderr)]

use clap::builder::PossibleValuesParser;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use vsr_artifact::{EXIT_CODES, console, shown_path};
use vsr_runtime::device::{self, cpu::n_threads_for};
use vsr_runtime::error::{DAMAGED_SOURCE, OnFault};
use vsr_runtime::files::guard;
use vsr_runtime::session::{Options, Session};
use vsr_runtime::weights::Scope;
use vsr_runtime::{
    Error, Result, bench, bench_roofs, eval, exec, info, interrupt, system, train, upscale,
};

#[global_allocator]
static ALLOCATOR: system::Allocator = system::Allocator;

#[derive(Parser)]
#[command(
    name = "vsr-run",
    version,
    about = "Runs networks that vsrc compiled",
    max_term_width = 100
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    common: Common,
}

#[derive(Args, Clone)]
struct Common {
    /// Where to run [default: where the network's code runs]
    #[arg(long, global = true, value_parser = PossibleValuesParser::new(device::names()))]
    device: Option<String>,
    /// Threads, at most four for each core; 0: one for each. Results do not depend on it
    #[arg(long, global = true, default_value_t = 0)]
    threads: usize,
    /// Seed of first weights, data order and noise [default: 0]
    #[arg(long, global = true)]
    seed: Option<u64>,
    /// Results as JSON on stdout
    #[arg(long, global = true)]
    json: bool,
    /// Refuse what is a warning otherwise: weights with NaN or infinity, sources that are damaged, cut short or
    /// incomplete
    #[arg(long, global = true)]
    strict: bool,
    /// Say nothing of progress and plans: no line of an epoch, no notes on what is replaced, nothing on what upscale,
    /// train and `bench --roofs` did. Results of eval, info, bench and --json, warnings, errors, and what concerns a
    /// run that is resumed or replaced are printed all the same
    #[arg(short, long, global = true)]
    quiet: bool,
}

#[derive(Subcommand)]
enum Command {
    Train(Train),
    Upscale(upscale::command::UpscaleArgs),
    Eval(eval::command::EvalArgs),
    Exec(Exec),
    Bench(Bench),
    Info(Info),
}

/// Train a network on clips
#[derive(Args)]
#[command(after_help = "Examples:
  vsr-run train compiled/ --data clips/
  vsr-run train compiled/ --epochs 20 --rate 1e-4 --out runs/slow
  vsr-run train compiled/ --resume runs/slow

Ctrl-C finishes the step, saves, and says how to go on.")]
struct Train {
    /// Folder that vsrc wrote
    compiled: PathBuf,
    /// Folder of videos or image sequences (its train/ and valid/, or every tenth file held out); without it, made
    /// scenes
    #[arg(long)]
    data: Option<PathBuf>,
    /// Epochs, instead of the source's
    #[arg(long)]
    epochs: Option<u64>,
    /// Steps in an epoch, instead of the source's
    #[arg(long)]
    steps: Option<u64>,
    /// Learning rate, instead of the source's
    #[arg(long, allow_negative_numbers = true)]
    rate: Option<f64>,
    /// First weights, instead of random ones
    #[arg(long, conflicts_with = "resume")]
    weights: Option<PathBuf>,
    /// Folder for checkpoints, metrics and pictures [default: runs/MODEL-N]
    #[arg(long, conflicts_with = "resume")]
    out: Option<PathBuf>,
    /// Go on with the run in this folder, to the same bits as if it had not stopped
    #[arg(long)]
    resume: Option<PathBuf>,
    /// Held-out batches after each epoch [default: 8, or what the resumed run has]
    #[arg(long)]
    valid: Option<u64>,
    /// Replace the run that is in --out
    #[arg(long, conflicts_with = "resume", requires = "out")]
    overwrite: bool,
    /// Refuse frames of more pixels [default: 67108864, or what the resumed run has]
    #[arg(long, value_name = "N")]
    limit_pixels: Option<u64>,
}

/// Run one entry on tensors from a file
#[derive(Args)]
#[command(after_help = "Example:
  vsr-run exec compiled/ --entry infer --inputs in.safetensors --weights w.safetensors -o out.safetensors")]
struct Exec {
    /// Folder that vsrc wrote
    compiled: PathBuf,
    /// infer, eval or train
    #[arg(long, default_value = "infer")]
    entry: String,
    /// Profile, if the entry has several
    #[arg(long, default_value = "")]
    profile: String,
    /// Tensors by the names of the entry's inputs
    #[arg(long)]
    inputs: PathBuf,
    /// Weights; without them, first weights from the seed
    #[arg(long)]
    weights: Option<PathBuf>,
    /// Step that random numbers depend on
    #[arg(long, default_value_t = 0)]
    step: u64,
    /// Where the outputs go
    #[arg(short, long)]
    output: PathBuf,
    /// Write the weights after the run, optimiser and all (after `train`: the step's result)
    #[arg(long)]
    save_weights: Option<PathBuf>,
}

/// Time every kernel of an entry, as a share of what this machine can do
#[derive(Args)]
#[command(after_help = "Example:
  vsr-run bench compiled/ --entry infer --threads 1
  vsr-run bench compiled/ --json > bench.json
  vsr-run bench --roofs                    what this machine can do at most, for `vsrc report`")]
struct Bench {
    /// Folder that vsrc wrote
    #[arg(required_unless_present = "roofs")]
    compiled: Option<PathBuf>,
    /// Measure the machine alone, and write its roofs to FILE [default: vsr/roofs.json in the user's cache folder]
    #[arg(long, value_name = "FILE", num_args = 0..=1,
          conflicts_with_all = ["compiled", "entry", "profile", "weights", "repeats", "all"])]
    roofs: Option<Option<PathBuf>>,
    /// infer, eval or train
    #[arg(long, default_value = "infer")]
    entry: String,
    /// Profile, if the entry has several
    #[arg(long, default_value = "")]
    profile: String,
    /// Weights; without them, first weights from the seed
    #[arg(long)]
    weights: Option<PathBuf>,
    /// Runs; the best time counts
    #[arg(long, default_value_t = 5)]
    repeats: usize,
    /// Every launch, not only the slowest twenty
    #[arg(long)]
    all: bool,
}

/// Show what a compiled network is: parameters, entries, shapes, memory
#[derive(Args)]
#[command(after_help = "Example:
  vsr-run info compiled/
  vsr-run info compiled/ --json")]
struct Info {
    /// Folder that vsrc wrote
    compiled: PathBuf,
}

impl Common {
    /// Fewer threads than were asked for are no secret.
    fn tell_threads(&self) {
        let (asked, n) = (self.threads, n_threads_for(self.threads));
        if asked > n {
            self.note(&format!(
                "--threads {asked}: {n} are started, four for each core"
            ));
        }
    }

    /// A line for people, beside the results.
    fn note(&self, text: &str) {
        if !self.quiet {
            console::err(&format!("note: {text}\n"));
        }
    }

    fn options(&self) -> Options {
        Options {
            device: self.device.clone(),
            threads: self.threads,
            ..Options::default()
        }
    }

    fn seed(&self) -> u64 {
        self.seed.unwrap_or(0)
    }
}

fn main() -> ExitCode {
    system::prepare();
    ExitCode::from(system::run(|| {
        let code = match parse() {
            Ok(cli) => run(cli).unwrap_or_else(|e| report(&e)),
            Err(code) => code,
        };
        // What was said reaches the disk, where that is where it goes.
        console::finish().map_or_else(|e| report(&e.into()), |()| code)
    }))
}

/// The command, or the exit code where there is none to run.
fn parse() -> std::result::Result<Cli, u8> {
    let mut command = Cli::command().after_help(EXIT_CODES);
    command = command.mut_subcommands(|sub| {
        let examples = sub.get_after_help().map(ToString::to_string);
        let text = format!("{}\n\n{EXIT_CODES}", examples.unwrap_or_default());
        sub.after_help(text.trim_start().to_string())
    });
    let parsed = command
        .try_get_matches()
        .and_then(|m| Cli::from_arg_matches(&m));
    parsed.map_err(|e| answer(&e))
}

/// Says what clap has to say; its exit code. A reader of help that has gone is no error.
fn answer(said: &clap::Error) -> u8 {
    if said.use_stderr() {
        // It repeats words of the command line, which may be names of files.
        console::err(&said.render().to_string());
        return 1;
    }
    match said.print() {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            report(&Error::io("write to", Path::new("standard output"), &e))
        }
        _ => 0,
    }
}

/// Says an error; its exit code.
fn report(error: &Error) -> u8 {
    // Of an interruption all has been said.
    if !matches!(error, Error::Interrupted) {
        console::err(&format!("error: {error}\n"));
    }
    error.exit_code()
}

fn run(cli: Cli) -> Result<u8> {
    let common = cli.common;
    common.tell_threads();
    match cli.command {
        Command::Train(args) => run_train(&args, &common).map(|()| 0),
        Command::Exec(args) => run_exec(&args, &common).map(|()| 0),
        Command::Bench(args) => run_bench(&args, &common).map(|()| 0),
        Command::Info(args) => run_info(&args, &common).map(|()| 0),
        Command::Upscale(mut args) => {
            args.strict = common.strict;
            run_upscale(&args, &common)
        }
        Command::Eval(mut args) => {
            args.strict = common.strict;
            run_eval(&args, &common)
        }
    }
}

fn open(compiled: &Path, weights: Option<&Path>, common: &Common) -> Result<Session> {
    open_for("", compiled, weights, common)
}

/// As [`open`], for one entry: a training step takes the optimiser's state, too, where the file holds it.
fn open_for(
    entry: &str,
    compiled: &Path,
    weights: Option<&Path>,
    common: &Common,
) -> Result<Session> {
    let mut session = Session::open(compiled, common.options())?;
    match weights {
        Some(path) => {
            let scope = match entry {
                "train" => session.scope_of(path)?,
                _ => Scope::Model,
            };
            session.load_weights(path, scope)?;
        }
        None => session.init_weights(common.seed())?,
    }
    if let Some(text) = session.check_finite(weights, OnFault::of_strict(common.strict))? {
        console::err(&format!("warning: {text}\n"));
    }
    Ok(session)
}

fn run_train(args: &Train, common: &Common) -> Result<()> {
    let mut session = Session::open(&args.compiled, common.options())?;
    if let Some(rate) = args.rate.filter(|r| !(r.is_finite() && *r >= 0.0)) {
        return Err(Error::user(format!(
            "--rate {rate} is no learning rate: give a number from 0 on"
        )));
    }
    let options = train::Options {
        data: args.data.clone(),
        epochs: args.epochs,
        steps: args.steps,
        rate: args.rate,
        weights: args.weights.clone(),
        out: args.resume.clone().or_else(|| args.out.clone()),
        resume: args.resume.is_some(),
        overwrite: args.overwrite,
        seed: common.seed,
        valid: args.valid,
        strict: common.strict,
        limit_pixels: args.limit_pixels,
        json: common.json,
        quiet: common.quiet,
        command: format!("vsr-run train {}", shown_path(&args.compiled)),
    };
    interrupt::install();
    match train::train(&mut session, &options)? {
        train::Outcome::Finished => Ok(()),
        train::Outcome::Interrupted => Err(Error::Interrupted),
    }
}

fn run_exec(args: &Exec, common: &Common) -> Result<()> {
    let weights = args.weights.as_deref();
    let mut session = open_for(&args.entry, &args.compiled, weights, common)?;
    let entry = session.find(&args.entry, &args.profile)?;
    let save = args.save_weights.as_deref();
    let read: Vec<&Path> = weights.into_iter().chain([args.inputs.as_path()]).collect();
    exec::check_outputs(&session, &read, &args.output, save)?;
    for output in save.into_iter().chain([args.output.as_path()]) {
        if guard::is_replaced(output) {
            common.note(&format!("{} is there, and is replaced", shown_path(output)));
        }
    }
    exec::exec(
        &mut session,
        entry,
        &args.inputs,
        &args.output,
        common.seed(),
        args.step,
    )?;
    if let Some(path) = &args.save_weights {
        session.save_weights(path, Scope::Everything, &Default::default())?;
    }
    Ok(())
}

fn run_roofs(path: Option<PathBuf>, common: &Common) -> Result<()> {
    let roofs = bench_roofs::measure(&common.options())?;
    let path = bench_roofs::save(&roofs, path)?;
    if common.json {
        return print(roofs.text().trim_end());
    }
    if common.quiet {
        return Ok(());
    }
    let text = bench_roofs::text(&roofs);
    print(&format!("{text}wrote {}", shown_path(&path)))
}

fn run_bench(args: &Bench, common: &Common) -> Result<()> {
    if let Some(path) = &args.roofs {
        return run_roofs(path.clone(), common);
    }
    let folder = args.compiled.as_ref().expect("clap asks for one of both");
    let mut session = open(folder, args.weights.as_deref(), common)?;
    let entry = session.find(&args.entry, &args.profile)?;
    let report = bench::bench(&mut session, entry, args.repeats, common.seed())?;
    if common.json {
        print(&serde_json::to_string_pretty(&report).expect("a report is plain data"))
    } else {
        print(bench::text(&report, if args.all { usize::MAX } else { 20 }).trim_end())
    }
}

fn run_info(args: &Info, common: &Common) -> Result<()> {
    let manifest = vsr_artifact::read(&args.compiled)?.manifest;
    if common.json {
        print(&serde_json::to_string_pretty(&info::json(&manifest)).expect("it is plain data"))
    } else {
        print(info::text(&manifest).trim_end())
    }
}

fn run_upscale(args: &upscale::command::UpscaleArgs, common: &Common) -> Result<u8> {
    let mut session = open(&args.compiled, args.weights.as_deref(), common)?;
    // Frames on stdout leave stderr for words.
    let to_stdout = args.output == Path::new("-");
    let say = |text: &str| match (common.quiet || common.json, to_stdout) {
        (true, _) => Ok(()),
        (false, true) => {
            console::err(&format!("{text}\n"));
            Ok(())
        }
        (false, false) => print(text),
    };
    if args.weights.is_none() {
        say("weights: none given, so this network knows nothing yet (--weights FILE)")?;
    }
    let summary = upscale::command::run(&mut session, args, common.seed(), common.quiet, say)?;
    say(&summary.text())?;
    if common.json && !to_stdout {
        print(&serde_json::to_string_pretty(&summary).expect("a summary is plain data"))?;
    }
    Ok(code_of(!summary.damage.is_empty()))
}

/// The work is done; what it was made from may have been damaged.
fn code_of(is_damaged: bool) -> u8 {
    if is_damaged { DAMAGED_SOURCE } else { 0 }
}

fn run_eval(args: &eval::command::EvalArgs, common: &Common) -> Result<u8> {
    let mut session = open(&args.compiled, args.weights.as_deref(), common)?;
    let report = eval::command::run(&mut session, args, common.seed(), common.quiet)?;
    for (what, faults) in [("left out: ", &report.left_out), ("", &report.damaged)] {
        for fault in faults {
            console::err(&format!("warning: {what}{fault}\n"));
        }
    }
    if common.json {
        print(&serde_json::to_string_pretty(&report).expect("a report is plain data"))?;
    } else {
        print(&report.lines().join("\n"))?;
    }
    Ok(code_of(report.is_damaged()))
}

/// A line to stdout.
fn print(text: &str) -> Result<()> {
    Ok(console::out(&format!("{text}\n"))?)
}
