//! Elaboration: syntax trees to graphs of index equations.
//!
//! Enters: text through a `Loader`, and what to compile. Leaves: one graph for each entry, with named outputs, and what
//! the runtime must know about training. Everything but equations runs here: names, dims, `if`, `for`, lists and calls.
//! No operator is known by name: the standard library is text like any other.

mod arguments;
mod builtin;
mod call;
mod calls;
mod check;
mod custom;
mod cycle;
mod definitions;
mod dims;
mod elab;
mod entries;
mod entry;
mod error;
mod eval;
mod facts;
mod frozen;
mod index_equation;
mod iterations;
mod layout;
mod limits;
mod lower;
mod module;
mod number;
mod param;
mod promise;
mod reached;
mod read;
mod rename;
mod run;
mod scalar;
mod scope;
mod settings;
mod stdlib;
mod tensor;
mod value;
pub(crate) mod walk;

pub use calls::Call;
pub use check::{check, choice, limits_memory};
pub use elab::{Weight, WeightKind};
pub use facts::{Fact, Facts};
pub use frozen::Source;
pub use layout::Layout;
pub use module::{Loaded, Loader, join, load};
pub use rename::Renamed;
pub use stdlib::FILES as STANDARD_LIBRARY;

use crate::diag::{Class, Diag, Problems, Sources, Span};
use crate::ir::graph::{Graph, NodeId};
use crate::stack;
use entries::{ProblemCollector, Wanted};
use entry::ElaboratedEntry;
use module::Program;
use rustc_hash::FxHashMap as HashMap;
use settings::{Offer, Settings};
use std::collections::BTreeMap;

/// Names and arguments of the builtins.
pub fn builtins() -> impl Iterator<Item = (&'static str, &'static [&'static str])> {
    builtin::BUILTINS
        .iter()
        .map(|(name, _, args)| (*name, *args))
}

/// What to compile of a file.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// A `train` item or model, where there are several.
    pub name: Option<String>,
    /// Profiles to keep; empty: all.
    pub profiles: Vec<String>,
    /// `--set NAME=VALUE`, in order.
    pub set: Vec<(String, String)>,
}

#[derive(Clone, Debug)]
pub struct Elaborated {
    pub model: ModelInfo,
    pub entries: Vec<EntryGraph>,
    pub train: Option<TrainInfo>,
    /// Every weight and state of all entries, in order of declaration, optimiser's state last.
    pub weights: Vec<Weight>,
    /// Optional frozen networks that were asked for and have no file: name and path, relative to the text's folder.
    pub absent: Vec<(String, String)>,
    /// The texts that it was made of: number among the sources, and name relative to the first one's folder.
    pub texts: Vec<(u32, String)>,
    /// Weight files of frozen networks: name relative to the text's folder, and path as the loader knows it.
    pub weight_files: Vec<(String, String)>,
    /// How public checkpoints hold the model's weights.
    pub layouts: Vec<Layout>,
}

#[derive(Clone, Debug, Default)]
pub struct ModelInfo {
    pub name: String,
    /// First line of the file's or the model's `##` lines.
    pub doc: String,
    /// Compile-time parameters, as written.
    pub parameters: BTreeMap<String, String>,
}

#[derive(Clone, Debug)]
pub struct EntryGraph {
    /// `infer`, `train` or `eval`.
    pub name: &'static str,
    pub profile: String,
    /// `f32`, `tf32`, `bf16` or `f16`.
    pub precision: &'static str,
    /// Where the profile says so.
    pub precision_at: Option<Span>,
    /// What the profile allows, in GiB, and where it says so.
    pub memory: Option<(f64, Span)>,
    pub dims: BTreeMap<String, i64>,
    pub inputs: Vec<PortDecl>,
    pub graph: Graph,
    /// The blocks and ops that made the graph, outer ones first.
    pub calls: Vec<Call>,
    /// What is to be learnt, in a `train` entry: gradients and updates are no part of the text, and are a stage of their own.
    pub step: Option<TrainStep>,
}

/// A training step beside its loss.
#[derive(Clone, Debug)]
pub struct TrainStep {
    pub loss: NodeId,
    /// The step's number, an input.
    pub step: NodeId,
    /// The largest norm of all gradients together.
    pub clip: Option<f64>,
    /// The decay of the weights' running mean.
    pub ema: Option<f64>,
    /// The weights that the loss depends on.
    pub weights: Vec<TrainedWeight>,
    /// States of the model, and their new values.
    pub states: Vec<(NodeId, NodeId)>,
    /// The `train` item's name.
    pub span: Span,
}

/// A weight, and the optimiser's equations for it.
#[derive(Clone, Debug)]
pub struct TrainedWeight {
    pub weight: NodeId,
    /// An input that stands for the gradient.
    pub gradient: NodeId,
    pub new: NodeId,
    /// The optimiser's states for this weight, and their new values.
    pub states: Vec<(NodeId, NodeId)>,
    /// The state that holds the weight's running mean.
    pub mean: Option<NodeId>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct PortDecl {
    pub name: String,
    pub shape: Vec<i64>,
    /// The axes as the source writes them.
    pub axes: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct TrainInfo {
    pub name: String,
    pub epochs: u64,
    pub steps: u64,
    pub data: Vec<PortDecl>,
    pub data_path: String,
    /// (name, low, high) of each `tune(x, lo, hi)`.
    pub tunable: Vec<(String, f64, f64)>,
    pub ema: Option<f64>,
    pub metrics: Vec<String>,
}

/// The CPU computes and stores f32: what is said of a profile that asks for more, or less.
pub fn refused_precision(profile: &str, precision: &str, at: Option<Span>) -> Option<Diag> {
    let span = at.filter(|_| precision != "f32")?;
    let text = format!("profile {profile} is for {precision}, which the CPU does not do yet");
    let help = "leave `float` out, or pick other profiles with `--profile`";
    Some(Diag::new(Class::Param, span, text).help(help))
}

/// Elaborates a file and all it uses, as [`load`] found them. `None`: `problems` says why.
pub fn elaborate(
    files: &[Loaded],
    sources: &Sources,
    options: &Options,
    problems: &mut Problems,
) -> Option<Elaborated> {
    elaborate_as(Wanted::Graphs, files, sources, options, problems)
}

/// As [`elaborate`], with every equation as it is written: nothing is folded, shared, made canonical or differentiated
/// (gradients are inputs). The oracle evaluates such a graph, and so it holds all that comes after against the text.
pub fn as_written(
    files: &[Loaded],
    sources: &Sources,
    options: &Options,
    problems: &mut Problems,
) -> Option<Elaborated> {
    elaborate_as(Wanted::Sketches, files, sources, options, problems)
}

fn elaborate_as(
    wanted: Wanted,
    files: &[Loaded],
    sources: &Sources,
    options: &Options,
    problems: &mut Problems,
) -> Option<Elaborated> {
    if !problems.is_empty() {
        return None;
    }
    on_deep_stack(problems, |found| {
        elaborate_loaded(wanted, files, sources, options, found)
    })
    .flatten()
}

/// Runs what recurses as deep as texts nest, and adds the problems that it finds. None: there is no thread for it.
fn on_deep_stack<T: Send>(
    problems: &mut Problems,
    work: impl FnOnce(&mut Problems) -> T + Send,
) -> Option<T> {
    let result = stack::deep(|| work(problems));
    match result {
        Ok(result) => Some(result),
        Err(error) => {
            problems.cannot(stack::no_thread(&error));
            None
        }
    }
}

fn elaborate_loaded(
    wanted: Wanted,
    files: &[Loaded],
    sources: &Sources,
    options: &Options,
    problems: &mut Problems,
) -> Option<Elaborated> {
    let program = Program::new(files, sources, problems);
    cycle::cycles(&program, problems);
    if !problems.is_empty() {
        return None;
    }
    let mut found = ProblemCollector::new(problems);
    let offer = Offer::of(&program, options, found.problems);
    let settings = offer.as_ref().and_then(|offer| {
        Some((
            offer,
            settings::settings(&program, offer, options, found.problems)?,
        ))
    });
    let Some((offer, settings)) = settings else {
        definitions::check(&program, &mut found);
        return None;
    };
    let (made, _) = entries::elaborate(&program, offer, options, &settings, wanted, &mut found);
    definitions::check(&program, &mut found);
    if !problems.is_empty() {
        return None;
    }
    assemble(&program, &settings, made?, problems)
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum EntryKind {
    Infer,
    Train,
    Eval,
}

/// The entries of all profiles, by the profile's number.
fn plan(settings: &Settings<'_>) -> Vec<(usize, EntryKind)> {
    let mut plan = vec![];
    for (at, profile) in settings.profiles.iter().enumerate() {
        match settings.train {
            Some(_) if profile.name == "train" => {
                plan.extend([(at, EntryKind::Train), (at, EntryKind::Eval)]);
            }
            _ => plan.push((at, EntryKind::Infer)),
        }
    }
    plan
}

fn assemble(
    program: &Program<'_>,
    settings: &Settings<'_>,
    made: Vec<ElaboratedEntry>,
    problems: &mut Problems,
) -> Option<Elaborated> {
    let def = &program.defs[settings.model];
    let file_doc = &program.files[def.module].ast.doc;
    let doc = if file_doc.is_empty() {
        def.doc
    } else {
        file_doc
    };
    let model = ModelInfo {
        name: def.name.text.clone(),
        doc: doc.lines().next().unwrap_or_default().to_string(),
        parameters: made
            .first()
            .map(|m| m.parameters.clone())
            .unwrap_or_default(),
    };
    let mut known = MergedWeights::default();
    for one in &made {
        known.merge(one, problems);
    }
    same_parameters(&made, problems);
    let used: Vec<_> = made.iter().map(|m| &m.frozen).collect();
    frozen::unread(program, &used, problems);
    if !problems.is_empty() {
        return None;
    }
    let mut weights = known.weights;
    weights.sort_by_key(|w| match w.kind {
        WeightKind::Trained | WeightKind::State => 0,
        WeightKind::Frozen(_) => 1,
        WeightKind::Optimizer { .. } => 2,
    });
    let absent: std::collections::BTreeSet<usize> =
        made.iter().flat_map(|m| m.absent.clone()).collect();
    let absent = absent.into_iter().map(|id| {
        let frozen = &program.frozen[id];
        (frozen.item.name.text.clone(), frozen.name.clone())
    });
    let absent = absent.collect();
    let train = made
        .iter()
        .find(|m| m.entry.name == "train")
        .and_then(|m| m.train.clone());
    let layouts = made.first().map(|m| m.layouts.clone()).unwrap_or_default();
    let entries = made.into_iter().map(|m| m.entry).collect();
    let texts = program
        .files
        .iter()
        .map(|file| (file.ast.id, file.name.clone()));
    let weight_files = program
        .frozen
        .iter()
        .map(|f| (f.name.clone(), f.path.clone()));
    Some(Elaborated {
        texts: texts.collect(),
        weight_files: weight_files.collect(),
        model,
        entries,
        train,
        weights,
        absent,
        layouts,
    })
}

/// The weights of all entries.
#[derive(Default)]
struct MergedWeights {
    weights: Vec<Weight>,
    at: HashMap<String, usize>,
}

impl MergedWeights {
    /// A weight means the same in every entry.
    fn merge(&mut self, made: &ElaboratedEntry, problems: &mut Problems) {
        for weight in &made.weights {
            let Some(first) = self.at.get(&weight.key).map(|at| &self.weights[*at]) else {
                self.at.insert(weight.key.clone(), self.weights.len());
                self.weights.push(weight.clone());
                continue;
            };
            if first.shape != weight.shape || first.init != weight.init {
                let text = format!(
                    "`{}` is {} in entry {} of profile {}, and {} in another",
                    weight.key,
                    scalar::shape_text(&weight.shape),
                    made.entry.name,
                    made.entry.profile,
                    scalar::shape_text(&first.shape)
                );
                let help = "weights depend on parameters, never on the profile or on `training`";
                problems.push(Diag::new(Class::Label, weight.span, text).help(help));
                return;
            }
        }
    }
}

/// `train` and `eval` declare the same weights and state; `infer` no others.
fn same_parameters(made: &[ElaboratedEntry], problems: &mut Problems) {
    let keys = |m: &ElaboratedEntry| -> BTreeMap<String, Span> {
        let kept = m
            .weights
            .iter()
            .filter(|w| matches!(w.kind, WeightKind::Trained | WeightKind::State));
        kept.map(|w| (w.key.clone(), w.span)).collect()
    };
    let Some(train) = made.iter().find(|m| m.entry.name == "train").map(keys) else {
        return;
    };
    for other in made.iter().filter(|m| m.entry.name != "train") {
        let own = keys(other);
        let extra = own.iter().find(|(k, _)| !train.contains_key(*k));
        let missing = train
            .iter()
            .find(|(k, _)| other.entry.name == "eval" && !own.contains_key(*k));
        if let Some((key, span)) = extra.or(missing) {
            let text = format!(
                "`{key}` is declared in only one of `train` and `{}`",
                other.entry.name
            );
            let help = "both settings of `training` declare the same parameters and state";
            problems.push(Diag::new(Class::Label, *span, text).help(help));
            return;
        }
    }
}
