//! `vsrc compile`: a file to a folder of native code, or one stage of the way printed.

use super::{Failure, Files, print, print_document, setting};
use std::path::{Path, PathBuf};
use std::time::Instant;
use vsr_artifact::EXIT_CODES;
use vsr_artifact::machine::Machine;
use vsr_artifact::manifest::{Entry, Manifest, WeightKind};
use vsr_artifact::{folding, shown, shown_path};
use vsr_compiler::backend::Target;
use vsr_compiler::diag::{self, Problems};
use vsr_compiler::pass_manager::{Emit, PassManager, Time};
use vsr_compiler::pipeline::{self, Compiled, Destination, STAGES, Stage};
use vsr_compiler::sema::{Loader, Options, join};

#[derive(clap::Args)]
#[command(after_help = format!("Examples:
  vsrc compile models/vsr.vsr
  vsrc compile models/vsr.vsr -o small --set ch=16 --profile train --profile tile
  vsrc compile models/vdsr.vsr --emit schedule
  vsrc compile models/vdsr.vsr --emit after:inline
  vsrc compile models/vdsr.vsr --timings

Stages, in order:
{}

Passes, in order:
{}

The folder may hold other things, such as weights and runs: only a compiled network of before is replaced, in one step.

{EXIT_CODES}", stages(), passes()))]
pub struct Compile {
    /// The .vsr file
    file: String,
    /// Which `train` item or model, if the file has several
    name: Option<String>,
    /// Folder to write
    #[arg(short, long, default_value = "compiled", value_name = "DIR")]
    output: PathBuf,
    /// Compile only this profile (repeat for more)
    #[arg(long)]
    profile: Vec<String>,
    /// Override a dim of the profiles or a parameter of the model: --set H=128, --set ch=16
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting)]
    set: Vec<(String, String)>,
    /// A missing weight file of an optional network is an error
    #[arg(long)]
    strict: bool,
    /// Print a stage instead of writing the artifact: ast, graph, grad, schedule, tile, clif, or
    /// after:PASS; or the machine that is planned for
    #[arg(long, value_parser = printed, value_name = "STAGE")]
    emit: Option<Printed>,
    /// Verify the program after every pass, and every kernel
    #[arg(long)]
    verify: bool,
    /// Say on standard error how long each stage and each pass took
    #[arg(long)]
    timings: bool,
    /// Machine to plan for, as JSON: caches, vectors, threads (`--emit machine` prints one). It changes no number
    #[arg(long, value_name = "FILE")]
    machine: Option<PathBuf>,
    /// What it shall run on: x86-64-v3 needs AVX2 and FMA (AVX-512 is used where it is); interpreter makes no code, its
    /// kernels are run step by step and checked, for proofs
    #[arg(long, default_value = Target::ALL[0].name(), value_parser = Target::ALL.map(Target::name))]
    target: String,
    /// One JSON object on standard output; problems, too
    #[arg(long)]
    pub json: bool,
    /// Print nothing but errors
    #[arg(short, long)]
    quiet: bool,
}

/// What `--emit` names.
#[derive(Clone, Copy, PartialEq)]
enum Printed {
    Ast,
    Graph,
    Grad,
    Machine,
    Of(Emit),
}

fn printed(name: &str) -> Result<Printed, String> {
    let known = match name {
        "ast" => Some(Printed::Ast),
        "graph" => Some(Printed::Graph),
        "grad" => Some(Printed::Grad),
        "machine" => Some(Printed::Machine),
        name => pipeline::emit_of(name).map(Printed::Of),
    };
    known.ok_or_else(|| {
        let names: Vec<&str> = pipeline::passes().iter().map(|p| p[1]).collect();
        let names = names.join(", ");
        format!("ast, graph, grad, schedule, tile, clif, machine, or after: and one of {names}")
    })
}

fn stages() -> String {
    let line = |stage: &Stage| format!("  {:<14} {}", stage.name, stage.what);
    let lines: Vec<String> = STAGES.iter().map(line).collect();
    lines.join("\n")
}

fn passes() -> String {
    let line = |[level, name, why]: &[&str; 3]| format!("  {level:<9} {name:<13} {why}");
    let lines: Vec<String> = pipeline::passes().iter().map(line).collect();
    lines.join("\n")
}

/// A description of a machine from a file; without one, the default.
fn machine(path: Option<&Path>) -> Result<Machine, Failure> {
    let help = "`vsrc compile MODEL --emit machine` prints a description to begin with";
    path.map_or(Ok(Machine::default()), |path| {
        super::parsed(path, Machine::from_json, help)
    })
}

pub fn run(args: &Compile) -> Result<(), Failure> {
    let start = Instant::now();
    let _context = diag::context(&args.file);
    if args.emit == Some(Printed::Ast) {
        return print_ast(&args.file);
    }
    let machine = machine(args.machine.as_deref())?;
    if args.emit == Some(Printed::Machine) {
        return print_document(&machine.to_json());
    }
    let options = Options {
        name: args.name.clone(),
        profiles: args.profile.clone(),
        set: args.set.clone(),
    };
    let mut manager = PassManager::default();
    manager.verifies |= args.verify;
    if let Some(printed @ (Printed::Graph | Printed::Grad)) = args.emit {
        return print_graphs(args, &options, printed == Printed::Grad, &mut manager);
    }
    if let Some(Printed::Of(emit)) = args.emit {
        manager.emit = Some(emit);
    }
    let target = Target::from_name(&args.target).expect("clap knows the targets");
    let destination = Destination { target, machine };
    let (mut files, mut problems) = (Files::default(), Problems::new());
    let compiled = pipeline::compile(
        &mut files,
        &args.file,
        &options,
        destination,
        &mut manager,
        &mut problems,
    );
    let Some(Compiled {
        artifact,
        weight_files,
    }) = compiled
    else {
        return Err(files.refuse(problems));
    };
    let absent = artifact.manifest.frozen.absent.iter();
    check_strict(args, absent.map(|a| (&*a.name, &*a.file)))?;
    if args.timings {
        vsr_artifact::console::err(&timings(&manager));
    }
    if manager.emit.is_some() {
        return print_document(&manager.text);
    }
    vsr_artifact::write(&args.output, &artifact)?;
    vsr_artifact::link_weights(&args.output, &weight_files)?;
    let seconds = start.elapsed().as_secs_f64();
    if args.json {
        let summary = summary(&artifact.manifest, artifact.code.len(), seconds);
        return print(&format!("{summary}\n"));
    }
    if args.quiet {
        return Ok(());
    }
    print(&summary_text(
        &artifact.manifest,
        artifact.code.len(),
        seconds,
        args,
    ))
}

/// With `--strict`, every optional network's file must be there.
fn check_strict<'a>(
    args: &Compile,
    mut absent: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<(), Failure> {
    let Some((name, file)) = absent.next().filter(|_| args.strict) else {
        return Ok(());
    };
    let file = shown(join(&args.file, file));
    let others = match absent.count() {
        0 => String::new(),
        n => format!(" (and {n} more)"),
    };
    Err(Failure::User(format!(
        "{file} is missing, so the network goes without `{name}`{others}; that is an error with --strict"
    )))
}

fn print_ast(path: &str) -> Result<(), Failure> {
    let (mut files, mut problems) = (Files::default(), Problems::new());
    let text = match files.read(path) {
        Ok(text) => text,
        Err(why) => {
            files.check(&problems)?;
            return Err(Failure::User(format!("{}: {why}", shown(path))));
        }
    };
    let file = files.sources.add(path, text.clone());
    let ast = vsr_compiler::syntax::parse(file, &text, &mut problems);
    if !problems.is_empty() {
        return Err(files.refuse(problems));
    }
    print_document(&vsr_compiler::syntax::print_ast(&ast))
}

/// The graphs of `infer` entries, or of all with their gradients; nothing more is made of them.
fn print_graphs(
    args: &Compile,
    options: &Options,
    with_training: bool,
    manager: &mut PassManager,
) -> Result<(), Failure> {
    let (mut files, mut problems) = (Files::default(), Problems::new());
    let made = pipeline::graphs(&mut files, &args.file, options, manager, &mut problems);
    let Some(made) = made else {
        return Err(files.refuse(problems));
    };
    check_strict(
        args,
        made.absent.iter().map(|(name, file)| (&**name, &**file)),
    )?;
    print_document(&pipeline::print_graphs(&made, with_training))
}

/// Bytes of weights, of states, and of optimisers' states.
fn stored(manifest: &Manifest) -> (u64, u64) {
    let bytes = |w: &vsr_artifact::manifest::Weight| 4 * w.shape.iter().product::<u64>();
    let of = |optimizer: bool| {
        let wanted = |w: &&vsr_artifact::manifest::Weight| {
            matches!(w.kind, WeightKind::Optimizer { .. }) == optimizer
        };
        manifest.weights.iter().filter(wanted).map(bytes).sum()
    };
    (of(false), of(true))
}

fn parameters(manifest: &Manifest, kind: &WeightKind) -> u64 {
    let of_kind = manifest.weights.iter().filter(|w| w.kind == *kind);
    of_kind.map(|w| w.shape.iter().product::<u64>()).sum()
}

fn summary(manifest: &Manifest, code_bytes: usize, seconds: f64) -> serde_json::Value {
    let (weights, optimizer) = stored(manifest);
    let entry = |e: &Entry| {
        serde_json::json!({
            "name": e.name, "profile": e.profile, "flops": e.flops, "kernels": e.launches.len(),
            "arena_bytes": e.arena_bytes, "folded_bytes": e.folded_bytes, "kept_bytes": folding::kept_bytes(manifest, e),
            "folding_bytes": folding::most_bytes(manifest, e), "scratch_bytes_per_thread": e.scratch_bytes,
        })
    };
    serde_json::json!({
        "model": manifest.model.name, "parameters": parameters(manifest, &WeightKind::Trained),
        "frozen_parameters": parameters(manifest, &WeightKind::Frozen),
        "absent": manifest.frozen.absent, "weight_bytes": weights,
        "optimizer_bytes": optimizer, "code_bytes": code_bytes, "kernels": manifest.kernels.len(),
        "entries": manifest.entries.iter().map(entry).collect::<Vec<_>>(), "seconds": seconds,
    })
}

fn summary_text(manifest: &Manifest, code_bytes: usize, seconds: f64, args: &Compile) -> String {
    let (output, text) = (&args.output, &args.file);
    let frozen = match parameters(manifest, &WeightKind::Frozen) {
        0 => String::new(),
        n => format!(", {n} frozen"),
    };
    let mut lines = vec![format!(
        "{}: {} parameters{frozen}",
        manifest.model.name,
        parameters(manifest, &WeightKind::Trained)
    )];
    lines.push(format!(
        "{:<8} {:<10} {:>10} {:>8} {:>14} {:>13} {:>12} {:>16}",
        "entry",
        "profile",
        "GFLOP",
        "kernels",
        "params+state",
        "while folding",
        "arena",
        "scratch/thread"
    ));
    for e in &manifest.entries {
        lines.push(format!(
            "{:<8} {:<10} {:>10.3} {:>8} {:>14} {:>13} {:>12} {:>16}",
            e.name,
            e.profile,
            e.flops as f64 / 1e9,
            e.launches.len(),
            megabytes(folding::kept_bytes(manifest, e) + e.folded_bytes),
            megabytes(folding::most_bytes(manifest, e)),
            megabytes(e.arena_bytes),
            megabytes(e.scratch_bytes)
        ));
    }
    lines.push(format!(
        "code     {} kernels, {} KB (a driver's context: none on the CPU)",
        manifest.kernels.len(),
        code_bytes / 1024
    ));
    for absent in &manifest.frozen.absent {
        let (name, file) = (&absent.name, shown(join(text, &absent.file)));
        lines.push(format!("without  {name}: there is no {file}"));
    }
    let folder = shown_path(output);
    lines.push(format!("wrote    {folder} in {seconds:.2} s\n"));
    lines.join("\n")
}

/// A line for each stage, with its parts below, and how much of all it took.
fn timings(manager: &PassManager) -> String {
    let stages = manager.times.iter().filter(|time| time.depth == 0);
    let all: f64 = stages.map(|time| time.taken.as_secs_f64()).sum();
    let line = |time: &Time| {
        let name = format!("{}{}", "  ".repeat(time.depth), time.name);
        let seconds = time.taken.as_secs_f64();
        let percent = 100.0 * seconds / all.max(f64::MIN_POSITIVE);
        format!("{name:<26} {seconds:>9.4} s {percent:>5.1} %\n")
    };
    manager.times.iter().map(line).collect()
}

fn megabytes(bytes: u64) -> String {
    format!("{:.2} MB", bytes as f64 / 1e6)
}
