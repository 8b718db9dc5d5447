//! Every stage of every command, in order. A command stops at one of them, or prints what it leaves.
//!
//! Enters a path and a loader of files; leaves an artifact in memory, or problems. Nothing is read or written here.

use crate::assemble::{self, Header, assemble};
use crate::backend::Target;
use crate::diag::{self, Class, Diag, Problems, Sources};
use crate::ir;
use crate::ir::graph::{Graph, Op};
use crate::lower::{LoweredKernels, PlannedEntry, lower};
use crate::pass_manager::{Emit, Ir, PassManager};
use crate::schedule::{self, EntryPlan, Rules, WeightTable};
use crate::sema::{self, Elaborated, EntryGraph, Loaded, Loader, Options, WeightKind};
use crate::tile::{self, LaunchedKernel};
use crate::{pass, stack, training};
use std::collections::BTreeSet;
use vsr_artifact::Artifact;
use vsr_artifact::machine::Machine;
use vsr_artifact::manifest::Field;

/// Name, and what it leaves of what it got.
pub struct Stage {
    pub name: &'static str,
    pub what: &'static str,
}

/// The table of contents. Pictures stop behind `elaborate`, a report behind `lower`, `compile` at the end. `check` and the editor
/// elaborate each item as far as its errors let them, and `check` goes on to `schedule` where a profile limits its memory.
pub const STAGES: [Stage; 8] = [
    Stage {
        name: "parse",
        what: "texts to syntax trees: the file, what it uses, and the standard library",
    },
    Stage {
        name: "elaborate",
        what: "trees to a graph of index equations for each entry: names, dims, blocks and `if` are gone",
    },
    Stage {
        name: "differentiate",
        what: "a loss to gradients, clipped together, to the optimiser's new weights and their running means",
    },
    Stage {
        name: "optimise",
        what: "graphs to simpler ones: parts shared, constants folded, what nothing needs dropped",
    },
    Stage {
        name: "schedule",
        what: "equations to groups of them in order, each to be one kernel, with layouts for all that is stored",
    },
    Stage {
        name: "lower",
        what: "groups to tile programs, the byte of every buffer, and each distinct kernel once, rewritten for rows",
    },
    Stage {
        name: "code",
        what: "tile programs to machine code",
    },
    Stage {
        name: "assemble",
        what: "all of it to one artifact",
    },
];

/// Every pass in order: its level, its name, and why it stands where it stands.
pub fn passes() -> Vec<[&'static str; 3]> {
    let of_graph = pass::PASSES.iter().map(|p| [Graph::NAME, p.name, p.why]);
    let of_schedule = schedule::passes();
    let of_tile = tile::PASSES
        .iter()
        .map(|p| [LaunchedKernel::NAME, p.name, p.why]);
    of_graph.chain(of_schedule).chain(of_tile).collect()
}

/// What `--emit` may print of what is made of the graphs. None: nothing has this name.
pub fn emit_of(name: &str) -> Option<Emit> {
    let after = |pass: &str| {
        let known = passes().into_iter().find(|[_, name, _]| *name == pass)?;
        Some(Emit::After(known[1]))
    };
    match name {
        "schedule" => Some(Emit::Schedule),
        "tile" => Some(Emit::Tile),
        "clif" => Some(Emit::Clif),
        name => name.strip_prefix("after:").and_then(after),
    }
}

pub struct Compiled {
    pub artifact: Artifact,
    /// Weight files of frozen networks: the name that the artifact has for each, and its path as the loader knows it.
    pub weight_files: Vec<(String, String)>,
}

/// Whom code is made for: processors by what they must have, and the machine that it is planned for.
#[derive(Clone, Copy, Debug)]
pub struct Destination {
    pub target: Target,
    pub machine: Machine,
}

impl From<Target> for Destination {
    fn from(target: Target) -> Destination {
        Destination {
            target,
            machine: Machine::default(),
        }
    }
}

/// Compiles one file. None: see `problems`.
pub fn compile(
    loader: &mut dyn Loader,
    path: &str,
    options: &Options,
    destination: impl Into<Destination>,
    manager: &mut PassManager,
    problems: &mut Problems,
) -> Option<Compiled> {
    let Destination { target, machine } = destination.into();
    let elaborated = graphs(loader, path, options, manager, problems)?;
    let _sources = diag::among(loader.sources());
    let mut weights = WeightTable::declared(&elaborated.weights);
    let mut planned = vec![];
    for entry in &elaborated.entries {
        let made = plan(entry, &mut weights, |rules| rules.on(machine), manager);
        if manager.emit == Some(Emit::Schedule) {
            let name = format!("{} {}", made.name, made.profile);
            manager.text += &schedule::print(&name, &made.plan);
        }
        check_memory(entry, &made.plan, &weights, problems);
        planned.push(made);
    }
    if !problems.is_empty() {
        return None;
    }
    let files = assemble::files(loader.sources(), &elaborated);
    let (header, weight_files) = assemble::header(&elaborated, &files);
    match link(header, &weights, planned, target, manager) {
        Ok(artifact) => Some(Compiled {
            artifact: Artifact {
                sources: files,
                ..artifact
            },
            weight_files,
        }),
        Err(error) => {
            problems.cannot(stack::no_thread(&error));
            None
        }
    }
}

/// The kernels of some entries, each once.
pub fn lowered(plans: &[PlannedEntry], manager: &mut PassManager) -> LoweredKernels {
    manager.stage("lower", |manager| lower(plans, manager))
}

/// Plans of entries to an artifact without sources. Err: there is no thread to work on.
pub fn link(
    header: Header,
    weights: &WeightTable,
    plans: Vec<PlannedEntry>,
    target: Target,
    manager: &mut PassManager,
) -> std::io::Result<Artifact> {
    let lowered = lowered(&plans, manager);
    let code = manager.timed("code", || {
        let around = |kernel| lowered.context(kernel);
        let backend = target.backend();
        backend.compile(&lowered.kernels, &lowered.machine, &around)
    })?;
    match manager.emit {
        Some(Emit::Tile) => {
            let kernels: Vec<String> = lowered.kernels.iter().map(tile::print).collect();
            manager.text += &kernels.join("\n");
        }
        Some(Emit::Clif) => {
            manager.text += &target.backend().text(&lowered.kernels, &lowered.machine);
        }
        _ => {}
    }
    Ok(manager.timed("assemble", || {
        assemble(header, &weights.weights, plans, &lowered, target, code)
    }))
}

/// What a check leaves beside problems.
#[derive(Default)]
pub struct Checked {
    pub facts: sema::Facts,
    /// The file itself, the files it uses, and the standard library.
    pub files: Vec<Loaded>,
}

/// All files, and the facts where they are wanted; problems are those that elaborating finds.
pub fn checked(
    loader: &mut dyn Loader,
    path: &str,
    options: &Options,
    wants_facts: bool,
    problems: &mut Problems,
) -> Checked {
    let files = parse(loader, path, &mut PassManager::default(), problems).unwrap_or_default();
    let facts = match files.is_empty() {
        true => sema::Facts::default(),
        false => sema::check(&files, loader.sources(), options, wants_facts, problems),
    };
    Checked { facts, files }
}

/// All that compiling a file would say. Where a profile limits its `memory`, that takes a plan, though no code.
pub fn check(loader: &mut dyn Loader, path: &str, options: &Options, problems: &mut Problems) {
    let Checked { files, .. } = checked(loader, path, options, false, problems);
    if options.name.is_none() {
        sema::choice(&files, loader.sources(), problems);
    }
    if !problems.is_empty() || !files.first().is_some_and(sema::limits_memory) {
        return;
    }
    let mut manager = PassManager::default();
    let sources = loader.sources();
    let Some(elaborated) = elaborate_parsed(&files, sources, options, &mut manager, problems)
    else {
        return;
    };
    let elaborated = optimised(derived(elaborated, &mut manager), &mut manager);
    let _sources = diag::among(loader.sources());
    let mut weights = WeightTable::declared(&elaborated.weights);
    for entry in &elaborated.entries {
        let made = plan(entry, &mut weights, |rules| rules, &mut manager);
        check_memory(entry, &made.plan, &weights, problems);
    }
}

/// Plans one entry of those that [`graphs`] made, by its own rules as `change` leaves them.
pub fn plan(
    entry: &EntryGraph,
    weights: &mut WeightTable,
    change: impl FnOnce(Rules) -> Rules,
    manager: &mut PassManager,
) -> PlannedEntry {
    let _entry = enter(entry, manager);
    let field = field(entry.name, &entry.graph);
    let rules = Rules::new(entry.name == "train", field.is_none());
    let axes = entry
        .inputs
        .iter()
        .map(|p| (p.name.clone(), p.axes.clone()));
    PlannedEntry {
        name: entry.name.to_string(),
        profile: entry.profile.clone(),
        dims: entry.dims.clone(),
        plan: schedule::plan(&entry.graph, weights, change(rules), manager),
        axes: axes.collect(),
        field,
    }
}

/// What follows is about this entry: for a fault's sentence, and above what is printed.
fn enter(entry: &EntryGraph, manager: &mut PassManager) -> diag::Context {
    manager.heading(&title(entry));
    diag::context(title(entry))
}

fn title(entry: &EntryGraph) -> String {
    format!("entry {} {}", entry.name, entry.profile)
}

/// The graphs of all entries, with gradients and updates, after every pass. None: see `problems`.
pub fn graphs(
    loader: &mut dyn Loader,
    path: &str,
    options: &Options,
    manager: &mut PassManager,
    problems: &mut Problems,
) -> Option<Elaborated> {
    let derived = differentiated(loader, path, options, manager, problems)?;
    Some(optimised(derived, manager))
}

/// The graphs of all entries, with gradients and updates as they are derived. None: see `problems`.
pub fn differentiated(
    loader: &mut dyn Loader,
    path: &str,
    options: &Options,
    manager: &mut PassManager,
    problems: &mut Problems,
) -> Option<Elaborated> {
    let elaborated = elaborate(loader, path, options, manager, problems)?;
    Some(derived(elaborated, manager))
}

/// The graphs of all entries as the text says them. None: see `problems`.
pub fn elaborate(
    loader: &mut dyn Loader,
    path: &str,
    options: &Options,
    manager: &mut PassManager,
    problems: &mut Problems,
) -> Option<Elaborated> {
    let files = parse(loader, path, manager, problems)?;
    elaborate_parsed(&files, loader.sources(), options, manager, problems)
}

/// The syntax trees of a file, of what it uses, and of the standard library. None: see `problems`.
pub fn parse(
    loader: &mut dyn Loader,
    path: &str,
    manager: &mut PassManager,
    problems: &mut Problems,
) -> Option<Vec<Loaded>> {
    manager.timed("parse", || sema::load(loader, path, problems))
}

fn elaborate_parsed(
    files: &[Loaded],
    sources: &Sources,
    options: &Options,
    manager: &mut PassManager,
    problems: &mut Problems,
) -> Option<Elaborated> {
    let elaborate = || sema::elaborate(files, sources, options, problems);
    let elaborated = manager.timed("elaborate", elaborate)?;
    check_precision(&elaborated, problems)?;
    Some(elaborated)
}

fn derived(mut elaborated: Elaborated, manager: &mut PassManager) -> Elaborated {
    for entry in &mut elaborated.entries {
        let _entry = diag::context(title(entry));
        manager.timed("differentiate", || training::differentiate(entry));
    }
    elaborated
}

fn optimised(mut elaborated: Elaborated, manager: &mut PassManager) -> Elaborated {
    for entry in &mut elaborated.entries {
        let _entry = enter(entry, manager);
        let graph = std::mem::take(&mut entry.graph);
        entry.graph = manager.stage("optimise", |manager| pass::optimise(graph, manager));
    }
    drop_unread(&mut elaborated);
    elaborated
}

/// The graphs of `infer` entries as text, or of all entries, with their gradients.
pub fn print_graphs(made: &Elaborated, with_training: bool) -> String {
    let wanted = |e: &&sema::EntryGraph| with_training || e.name == "infer";
    let text = |e: &sema::EntryGraph| {
        let graph = ir::print::print(&e.graph);
        format!("# entry {} {}\n{graph}", e.name, e.profile)
    };
    made.entries.iter().filter(wanted).map(text).collect()
}

/// Frozen weights that no entry needs any more (what only a missing prompt reaches) take no memory, nor do an optimiser's states
/// for a weight that no derivative reaches.
fn drop_unread(elaborated: &mut Elaborated) {
    let graphs = elaborated.entries.iter().map(|e| &e.graph);
    let ops = graphs.flat_map(|graph| graph.ids().map(|id| &graph.node(id).op));
    let keys = ops.filter_map(|op| match op {
        Op::Param { key, .. } | Op::State { key, .. } => Some(key.clone()),
        _ => None,
    });
    let read: BTreeSet<String> = keys.collect();
    let is_optional =
        |kind: &WeightKind| matches!(kind, WeightKind::Frozen(_) | WeightKind::Optimizer { .. });
    elaborated
        .weights
        .retain(|w| !is_optional(&w.kind) || read.contains(&w.key));
}

fn check_precision(elaborated: &Elaborated, problems: &mut Problems) -> Option<()> {
    for entry in &elaborated.entries {
        let (float, at) = (entry.precision, entry.precision_at);
        sema::refused_precision(&entry.profile, float, at)
            .into_iter()
            .for_each(|diag| problems.push(diag));
    }
    problems.is_empty().then_some(())
}

/// What a profile allows in `memory` is kept to, or compiling ends here.
fn check_memory(
    entry: &EntryGraph,
    plan: &EntryPlan,
    weights: &WeightTable,
    problems: &mut Problems,
) {
    let Some((allowed, span)) = entry.memory else {
        return;
    };
    let profile = &entry.profile;
    let elements: i64 = weights
        .weights
        .iter()
        .map(|w| w.shape.iter().product::<i64>())
        .sum();
    let bytes = 4 * elements as u64 + plan.arena_bytes + plan.folded_bytes;
    let needed = bytes as f64 / f64::from(1 << 30);
    if needed > allowed {
        let text =
            format!("profile {profile} needs {needed:.3} GiB, and its `memory` is {allowed}");
        problems.push(Diag::new(Class::Param, span, text).help("shrink its dims, or allow more"));
    }
}

/// How far results of pictures see, where that is finite along both axes: then tiles are exact.
fn field(entry: &str, graph: &Graph) -> Option<Field> {
    if entry != "infer" {
        return None;
    }
    let [rows, columns] = ir::field::of_pictures(graph)?.ok()?;
    Some(Field {
        halo: [rows.halo as u64, columns.halo as u64],
        stride: [rows.stride as u64, columns.stride as u64],
    })
}
