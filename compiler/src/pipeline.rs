//! Every stage in order, on one screen: text -> syntax -> graph -> passes -> schedule -> tiles -> code -> artifact. Whoever
//! needs less stops earlier: the same functions, the same order.
//!
//! Enters a path and a loader of files; leaves an artifact in memory, or problems. Nothing is read or written here.

use crate::assemble::{Header, Planned, assemble};
use crate::backend::clif::{self, Target};
use crate::diag::{self, Class, Diag, Problems, Sources};
use crate::ir;
use crate::ir::graph::{Graph, Op};
use crate::pass_manager::{Emit, Ir, PassManager};
use crate::schedule::{self, EntryPlan, Rules, WeightTable};
use crate::sema::{self, Elaborated, EntryGraph, Loader, Options, TrainInfo, WeightKind};
use crate::{pass, stack, tile};
use std::collections::BTreeSet;
use vsr_artifact::Artifact;
use vsr_artifact::manifest::{
    Absent, Field, Frozen, FrozenTensor, Layout, Model, Place, Port, Stored, Train,
};

/// Every pass in order: its level, its name, and why it stands where it stands.
pub fn passes() -> Vec<[&'static str; 3]> {
    let of_graph = pass::PASSES.iter().map(|p| [Graph::NAME, p.name, p.why]);
    let of_schedule = schedule::passes();
    of_graph.chain(of_schedule).collect()
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

/// Compiles one file. None: see `problems`.
pub fn compile(
    loader: &mut dyn Loader,
    path: &str,
    options: &Options,
    target: Target,
    manager: &mut PassManager,
    problems: &mut Problems,
) -> Option<Compiled> {
    let elaborated = graphs(loader, path, options, manager, problems)?;
    let _sources = diag::among(loader.sources());
    let files = files(loader.sources(), &elaborated);
    let (header, weight_files) = header(&elaborated, &files);
    let mut weights = WeightTable::declared(&elaborated.weights);
    let mut planned = vec![];
    for entry in elaborated.entries {
        let made = plan(&entry, &mut weights, |rules| rules, manager);
        if manager.emit == Some(Emit::Schedule) {
            let name = format!("{} {}", made.name, made.profile);
            manager.text += &schedule::print(&name, &made.plan);
        }
        check_memory(&entry, &made.plan, &weights, problems);
        planned.push(made);
    }
    if !problems.is_empty() {
        return None;
    }
    let assembled = manager.timed("code", || {
        assemble(header, &weights.weights, planned, target)
    });
    let assembled = match assembled {
        Ok(assembled) => assembled,
        Err(error) => {
            problems.cannot(stack::no_thread(&error));
            return None;
        }
    };
    match manager.emit {
        Some(Emit::Tile) => {
            let kernels: Vec<String> = assembled.kernels.iter().map(tile::print).collect();
            manager.text += &kernels.join("\n");
        }
        Some(Emit::Clif) => manager.text += &clif::text(&assembled.kernels, target),
        _ => {}
    }
    let artifact = Artifact {
        manifest: assembled.manifest,
        code: assembled.code,
        consts: assembled.consts,
        sources: files,
    };
    Some(Compiled {
        artifact,
        weight_files,
    })
}

/// All that compiling a file would say. Where a profile limits its `memory`, that takes a plan, though no code.
pub fn check(loader: &mut dyn Loader, path: &str, options: &Options, problems: &mut Problems) {
    let checked = sema::check(loader, path, options, false, problems);
    if options.name.is_none() {
        sema::choice(&checked, loader.sources(), problems);
    }
    if !problems.is_empty() || !checked.limits_memory() {
        return;
    }
    let mut manager = PassManager::default();
    let Some(elaborated) = graphs(loader, path, options, &mut manager, problems) else {
        return;
    };
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
) -> Planned {
    let _entry = diag::context(format!("entry {} {}", entry.name, entry.profile));
    manager.heading(&format!("entry {} {}", entry.name, entry.profile));
    let field = field(entry.name, &entry.graph);
    let rules = Rules::new(entry.name == "train", field.is_none().then_some(FILTERED));
    let axes = entry
        .inputs
        .iter()
        .map(|p| (p.name.clone(), p.axes.clone()));
    Planned {
        name: entry.name.to_string(),
        profile: entry.profile.clone(),
        dims: entry.dims.clone(),
        plan: schedule::plan(&entry.graph, weights, change(rules), manager),
        axes: axes.collect(),
        field,
    }
}

/// The graphs of all entries, with gradients and updates, after every pass. None: see `problems`.
pub fn graphs(
    loader: &mut dyn Loader,
    path: &str,
    options: &Options,
    manager: &mut PassManager,
    problems: &mut Problems,
) -> Option<Elaborated> {
    let mut elaborated = elaborate(loader, path, options, manager, problems)?;
    for entry in &mut elaborated.entries {
        let _entry = diag::context(format!("entry {} {}", entry.name, entry.profile));
        manager.heading(&format!("entry {} {}", entry.name, entry.profile));
        entry.graph = pass::optimise(std::mem::take(&mut entry.graph), manager);
    }
    drop_unread(&mut elaborated);
    Some(elaborated)
}

/// The graphs of all entries as the text says them, with gradients and updates. None: see `problems`.
pub fn elaborate(
    loader: &mut dyn Loader,
    path: &str,
    options: &Options,
    manager: &mut PassManager,
    problems: &mut Problems,
) -> Option<Elaborated> {
    let elaborate = || sema::elaborate(loader, path, options, problems);
    let elaborated = manager.timed("elaborate", elaborate)?;
    check_precision(&elaborated, problems)?;
    Some(elaborated)
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

/// Frozen weights that no entry needs any more (what only a missing prompt reaches) take no memory.
fn drop_unread(elaborated: &mut Elaborated) {
    let mut read = BTreeSet::new();
    for graph in elaborated.entries.iter().map(|e| &e.graph) {
        for id in graph.ids() {
            if let Op::Param {
                key,
                trained: false,
                ..
            } = &graph.node(id).op
            {
                read.insert(key.clone());
            }
        }
    }
    elaborated
        .weights
        .retain(|w| !matches!(w.kind, WeightKind::Frozen(_)) || read.contains(&w.key));
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

/// Multiplications of a sum below which kernels more cost what they save.
const FILTERED: i64 = 1 << 24;

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

/// A name that no other has: `net-2.vsr` where `net.vsr` is taken.
fn unique(name: String, taken: &mut BTreeSet<String>) -> String {
    let (stem, ending) = match name.rsplit_once('.') {
        Some((stem, ending)) if !ending.contains('/') => (stem, format!(".{ending}")),
        _ => (name.as_str(), String::new()),
    };
    let others = (2..).map(|n| format!("{stem}-{n}{ending}"));
    let mut names = std::iter::once(name.clone()).chain(others);
    let free = names.find(|name| !taken.contains(name)).unwrap_or_default();
    taken.insert(free.clone());
    free
}

/// A text's name inside of the artifact: where it lies from the first one, and nothing of where that lies.
fn source_name(name: &str) -> String {
    let own = match name.starts_with('/') {
        true => name.rsplit('/').next().unwrap_or_default(),
        false => name,
    };
    let parts = own
        .split(['/', '\\'])
        .filter(|p| !p.is_empty() && *p != ".");
    let words: Vec<&str> = parts.map(|p| if p == ".." { "up" } else { p }).collect();
    words.join("/").replace(['<', '>', ':'], "_")
}

/// Names and texts of all files, the standard library's too.
fn files(sources: &Sources, e: &Elaborated) -> Vec<(String, Vec<u8>)> {
    let mut taken = BTreeSet::new();
    let mut file = |(id, name): &(u32, String)| {
        let name = unique(source_name(name), &mut taken);
        (name, sources.text(*id).as_bytes().to_vec())
    };
    e.texts.iter().map(&mut file).collect()
}

fn header(e: &Elaborated, files: &[(String, Vec<u8>)]) -> (Header, Vec<(String, String)>) {
    let (frozen, weight_files) = frozen(e);
    let header = Header {
        model: Model {
            name: e.model.name.clone(),
            doc: e.model.doc.clone(),
            parameters: e.model.parameters.clone(),
        },
        train: e.train.as_ref().map(train),
        frozen,
        layouts: e.layouts.iter().map(layout).collect(),
        source_hash: vsr_artifact::source_hash(files),
    };
    (header, weight_files)
}

/// Where the frozen weights lie, and which networks go without. Each file's name, and its path as the loader knows it.
fn frozen(e: &Elaborated) -> (Frozen, Vec<(String, String)>) {
    let mut frozen = Frozen::default();
    let (mut own, mut files, mut taken) = (vec![], vec![], BTreeSet::new());
    for weight in &e.weights {
        let WeightKind::Frozen(source) = &weight.kind else {
            continue;
        };
        let known = own.iter().position(|name| *name == source.file);
        let file = known.unwrap_or_else(|| {
            own.push(source.file.clone());
            let path = e.weight_files.iter().find(|(name, _)| *name == source.file);
            let path = path.map_or(source.file.clone(), |(_, path)| path.clone());
            files.push((weight_file(&source.file, &mut taken), path));
            own.len() - 1
        });
        frozen.tensors.push(FrozenTensor {
            file: file as u32,
            stored: stored(&weight.key, &source.part),
        });
    }
    frozen.files = files.iter().map(|(name, _)| name.clone()).collect();
    let absent = e.absent.iter().map(|(name, file)| Absent {
        name: name.clone(),
        file: file.clone(),
    });
    frozen.absent = absent.collect();
    (frozen, files)
}

/// The runtime looks for weight files by their last names, so these differ.
fn weight_file(name: &str, taken: &mut BTreeSet<String>) -> String {
    let (folder, last) = name.rsplit_once('/').unwrap_or(("", name));
    let free = unique(last.to_string(), taken);
    match free == last {
        true => name.to_string(),
        false if folder.is_empty() => free,
        false => format!("{folder}/{free}"),
    }
}

fn stored(weight: &str, part: &sema::Renamed) -> Stored {
    Stored {
        weight: weight.to_string(),
        key: part.key.clone(),
        rows: part.rows.map(|(low, high)| [low as u64, high as u64]),
        transposed: part.transposed,
    }
}

fn layout(l: &sema::Layout) -> Layout {
    let tensors = l.tensors.iter().map(|(weight, part)| stored(weight, part));
    Layout {
        name: l.name.clone(),
        tensors: tensors.collect(),
        ignored: l.ignored.clone(),
    }
}

fn train(t: &TrainInfo) -> Train {
    let port = |p: &sema::PortDecl| Port {
        name: p.name.clone(),
        shape: p.shape.iter().map(|n| *n as u64).collect(),
        axes: p.axes.clone(),
        at: Place::Arena(0),
    };
    Train {
        name: t.name.clone(),
        epochs: t.epochs,
        steps: t.steps,
        data: t.data.iter().map(port).collect(),
        data_path: t.data_path.clone(),
        tunable: t.tunable.clone(),
        ema: t.ema,
    }
}
