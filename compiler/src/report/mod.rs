//! What a network costs, before anything runs: parameters, FLOPs, bytes moved, memory and time, block by block.
//!
//! Enters a file; leaves numbers, as data (`Report`), as text or as JSON. The numbers are those of the plan that
//! `vsrc compile` makes: same FLOPs, same arena. No code is generated, and nothing is run or measured here.

mod blocks;
mod text;

pub use text::{count, text, thousands};

use crate::backend::clif;
use crate::diag::{self, Problems};
use crate::ir::origins::Origins;
use crate::lower::LoweredKernels;
use crate::pass_manager::PassManager;
use crate::pipeline;
use crate::schedule::{self, EntryPlan, LaunchPlan, WeightDecl, WeightKind, WeightTable};
use crate::sema::{Loader, Options};
use serde::Serialize;
use std::collections::BTreeMap;
use vsr_artifact::roofs::Roof;

#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub model: String,
    pub doc: String,
    /// Numbers in the weights, trained and frozen.
    pub parameters: u64,
    /// Weights.
    pub tensors: u64,
    pub state_bytes: u64,
    pub optimizer_bytes: u64,
    /// Segments of a label path that make one row.
    pub depth: Option<usize>,
    pub roof: Roofline,
    /// `infer`, `train`, `eval`; a second profile of a kind is `infer PROFILE`.
    pub entries: BTreeMap<String, EntryCost>,
    /// Parts of the whole: their numbers add up to those above.
    pub blocks: Vec<Block>,
}

/// What the times are predicted from.
#[derive(Clone, Debug, Serialize)]
pub struct Roofline {
    /// A measured machine, or the name of nominal ones.
    pub name: String,
    /// The file it was read from; none: nominal numbers.
    pub file: Option<String>,
    #[serde(flatten)]
    pub roof: Roof,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct EntryCost {
    pub profile: String,
    pub flops: u64,
    /// Every buffer of every launch once, weights included.
    pub bytes: u64,
    pub launches: u64,
    pub arena_bytes: u64,
    pub folded_bytes: u64,
    pub scratch_bytes_per_thread: u64,
    /// The sum over launches of the tighter roof: no machine like this can be faster.
    pub seconds: f64,
    /// Of the time, what computing bounds; the rest waits for memory.
    pub compute_share: f64,
}

/// One label path, or what lies in no block (an empty path).
#[derive(Clone, Debug, Default, Serialize)]
pub struct Block {
    pub path: String,
    /// The block's name in the source, if one block makes the whole path.
    pub name: String,
    pub parameters: u64,
    pub tensors: u64,
    pub entries: BTreeMap<String, BlockCost>,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct BlockCost {
    pub flops: u64,
    pub bytes: u64,
    pub launches: u64,
    /// Results that the block leaves in memory for later launches.
    pub activation_bytes: u64,
    pub seconds: f64,
    /// Of the entry's time.
    pub share: f64,
}

/// Plans every entry. `depth` folds label paths; none keeps them whole. None: see `problems`.
pub fn report(
    loader: &mut dyn Loader,
    path: &str,
    options: &Options,
    depth: Option<usize>,
    roof: Roofline,
    problems: &mut Problems,
) -> Option<Report> {
    let mut manager = PassManager::default();
    let made = pipeline::graphs(loader, path, options, &mut manager, problems)?;
    let mut weights = WeightTable::declared(&made.weights);
    let _sources = diag::among(loader.sources());
    let mut rows = blocks::Rows::new(depth);
    let mut entries = BTreeMap::new();
    for entry in made.entries {
        let _entry = diag::context(format!("entry {} {}", entry.name, entry.profile));
        rows.name(&entry.calls);
        let planned = pipeline::plan(&entry, &mut weights, |rules| rules, &mut manager);
        let lowered = pipeline::lowered(std::slice::from_ref(&planned), &mut manager);
        let plan = planned.plan;
        let key = match entries.contains_key(entry.name) {
            true => format!("{} {}", entry.name, entry.profile),
            false => entry.name.to_string(),
        };
        let origins = Origins::of(&entry.graph);
        let mut cost = cost(&plan, &lowered, entry.profile);
        for launch in &plan.launches {
            let work = work(launch, &weights.weights, &roof.roof);
            cost.add(&work, launch, &roof.roof);
            let origin = origins.find(&launch.label);
            rows.add(&key, origin.map_or("", |o| o.path.as_str()), &work);
        }
        cost.compute_share /= f64::max(cost.seconds, f64::MIN_POSITIVE);
        entries.insert(key, cost);
    }
    rows.weights(&weights.weights);
    let bytes = |wanted: &dyn Fn(&WeightKind) -> bool| {
        let of = weights.weights.iter().filter(|w| wanted(&w.kind));
        of.map(|w| 4 * elements(w)).sum::<u64>()
    };
    let kept = || weights.weights.iter().filter(|w| is_parameter(w));
    Some(Report {
        model: made.model.name,
        doc: made.model.doc,
        parameters: kept().map(elements).sum(),
        tensors: kept().count() as u64,
        state_bytes: bytes(&|k| matches!(k, WeightKind::State)),
        optimizer_bytes: bytes(&|k| matches!(k, WeightKind::Optimizer { .. })),
        depth,
        roof,
        blocks: rows.finish(&entries),
        entries,
    })
}

pub(crate) fn is_parameter(w: &WeightDecl) -> bool {
    matches!(w.kind, WeightKind::Trained | WeightKind::Frozen)
}

pub(crate) fn elements(w: &WeightDecl) -> u64 {
    w.shape.iter().product::<i64>() as u64
}

/// What the plan knows of the whole.
fn cost(plan: &EntryPlan, lowered: &LoweredKernels, profile: String) -> EntryCost {
    let scratch = |k| clif::scratch_bytes(k, &lowered.machine);
    let scratch = lowered.kernels.iter().map(scratch).max();
    EntryCost {
        profile,
        arena_bytes: plan.arena_bytes,
        folded_bytes: plan.folded_bytes,
        scratch_bytes_per_thread: scratch.unwrap_or(0),
        ..EntryCost::default()
    }
}

/// A launch's own cost. The plan's bytes leave out weights and constants, which matter where batches are small.
fn work(launch: &LaunchPlan, weights: &[WeightDecl], roof: &Roof) -> BlockCost {
    let stored = |slot: &schedule::Slot| match slot {
        schedule::Slot::Weight(at) => 4 * elements(&weights[*at]),
        _ => 0,
    };
    let bytes = launch.bytes + launch.buffers.iter().map(stored).sum::<u64>();
    BlockCost {
        flops: launch.equation_flops,
        bytes,
        launches: 1,
        activation_bytes: launch.result_bytes,
        seconds: roof.seconds(launch.flops, bytes),
        share: 0.0,
    }
}

impl EntryCost {
    fn add(&mut self, work: &BlockCost, launch: &LaunchPlan, roof: &Roof) {
        self.flops += launch.equation_flops;
        self.bytes += work.bytes;
        self.launches += 1;
        self.seconds += work.seconds;
        if roof.seconds(launch.flops, 0) >= work.seconds {
            self.compute_share += work.seconds;
        }
    }
}

impl BlockCost {
    pub(crate) fn add(&mut self, other: &BlockCost) {
        self.flops += other.flops;
        self.bytes += other.bytes;
        self.launches += other.launches;
        self.activation_bytes += other.activation_bytes;
        self.seconds += other.seconds;
    }
}
