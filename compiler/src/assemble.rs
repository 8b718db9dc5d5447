//! The stage `assemble`: what was made becomes one artifact, with shared weights, one block of constants, and a manifest.
//!
//! Enters plans, their kernels and code; leaves bytes. Nothing is decided here but places, and the same plans give the same bytes:
//! everything is kept in order of first use.

mod header;

pub use header::{files, header};

use crate::backend::{Code, Target};
use crate::ir::graph;
use crate::lower::{EntryCalls, KernelCall, LoweredKernels, PlannedEntry};
use crate::schedule::{LaunchPlan, PlannedBuffer, Slot, WeightDecl, WeightKind};
use crate::tile::{self, Kernel};
use std::collections::BTreeMap;
use vsr_artifact::Artifact;
use vsr_artifact::manifest::{
    Entry, Frozen, Init, KernelInfo, Launch, Layout, Manifest, Model, Place, Port, Train, Weight,
};

#[derive(Default)]
pub struct Header {
    pub model: Model,
    pub train: Option<Train>,
    pub frozen: Frozen,
    pub layouts: Vec<Layout>,
    pub source_hash: String,
}

const ALIGN: usize = 64;

/// Constants of all entries, each once.
#[derive(Default)]
struct ConstantPool {
    consts: Vec<u8>,
    by_content: BTreeMap<[u8; 32], u64>,
}

/// `lowered` are the kernels of `plans`, and `code` is theirs. The artifact has no sources yet.
pub fn assemble(
    header: Header,
    weights: &[WeightDecl],
    plans: Vec<PlannedEntry>,
    lowered: &LoweredKernels,
    target: Target,
    code: Code,
) -> Artifact {
    let mut shared = ConstantPool::default();
    let (weights, storage_bytes) = lay_weights(weights);
    let entry = |(plan, calls)| shared.entry(plan, calls, &code, &weights);
    let entries = plans.into_iter().zip(&lowered.entries).map(entry).collect();
    let info = |(i, k): (usize, &Kernel)| KernelInfo {
        name: k.name.clone(),
        offset: code.kernels[i].offset,
        rows: code.kernels[i].rows.clone(),
        anchor: lowered.origins[i].anchor.to_string(),
    };
    let manifest = Manifest {
        format: 1,
        abi: vsr_artifact::abi::ABI_VERSION,
        compiler: env!("CARGO_PKG_VERSION").to_string(),
        source_hash: header.source_hash,
        model: header.model,
        train: header.train,
        weights,
        frozen: header.frozen,
        layouts: header.layouts,
        storage_bytes,
        entries,
        kernels: lowered.kernels.iter().enumerate().map(info).collect(),
        target: target.stated(lowered.machine),
        code_hash: blake3::hash(&code.bytes).to_hex().to_string(),
        consts_hash: blake3::hash(&shared.consts).to_hex().to_string(),
    };
    Artifact {
        manifest,
        code: code.bytes,
        consts: shared.consts,
        sources: vec![],
    }
}

fn lay_weights(decls: &[WeightDecl]) -> (Vec<Weight>, u64) {
    let mut end = 0u64;
    let mut weights = vec![];
    for d in decls {
        let elements: i64 = d.shape.iter().product();
        weights.push(Weight {
            key: d.key.clone(),
            shape: d.shape.iter().map(|n| *n as u64).collect(),
            init: init(d.init),
            kind: kind(&d.kind),
            offset: end,
        });
        end += (4 * elements as u64).div_ceil(ALIGN as u64) * ALIGN as u64;
    }
    (weights, end)
}

fn init(init: graph::Init) -> Init {
    match init {
        graph::Init::Constant(v) => Init::Constant(v),
        graph::Init::Uniform(a, b) => Init::Uniform(a, b),
        graph::Init::Normal(a, b) => Init::Normal(a, b),
        graph::Init::Required => Init::Required,
    }
}

fn kind(kind: &WeightKind) -> vsr_artifact::manifest::WeightKind {
    use vsr_artifact::manifest::WeightKind as Kind;
    match kind {
        WeightKind::Trained => Kind::Trained,
        WeightKind::Frozen => Kind::Frozen,
        WeightKind::State => Kind::State,
        WeightKind::Optimizer { of } => Kind::Optimizer { of: of.clone() },
    }
}

impl ConstantPool {
    fn entry(
        &mut self,
        e: PlannedEntry,
        calls: &EntryCalls,
        code: &Code,
        weights: &[Weight],
    ) -> Entry {
        let flops = e.plan.launches.iter().map(|l| l.equation_flops).sum();
        let port = |shared: &mut ConstantPool, b: &PlannedBuffer| Port {
            name: b.name.clone(),
            shape: b.shape.iter().map(|n| *n as u64).collect(),
            axes: e
                .axes
                .get(&b.name)
                .cloned()
                .unwrap_or_else(|| b.shape.iter().map(|n| n.to_string()).collect()),
            at: shared.place(&b.slot, weights),
        };
        let inputs = e.plan.inputs.iter().map(|b| port(self, b)).collect();
        let outputs = e.plan.outputs.iter().map(|b| port(self, b)).collect();
        let mut launches = |plans: &[LaunchPlan], calls: &[KernelCall]| -> Vec<Launch> {
            let both = plans.iter().zip(calls);
            both.map(|(l, call)| self.launch(l, call, weights))
                .collect()
        };
        let setup = launches(&e.plan.setup, &calls.setup);
        let launches = launches(&e.plan.launches, &calls.launches);
        let called = calls.setup.iter().chain(&calls.launches);
        let scratch = called.map(|c| code.kernels[c.kernel as usize].scratch);
        Entry {
            name: e.name,
            profile: e.profile,
            dims: e.dims,
            inputs,
            outputs,
            arena_bytes: e.plan.arena_bytes,
            scratch_bytes: scratch.max().unwrap_or(0),
            flops,
            launches,
            setup,
            folded_bytes: e.plan.folded_bytes,
            field: e.field,
        }
    }

    fn launch(&mut self, l: &LaunchPlan, call: &KernelCall, weights: &[Weight]) -> Launch {
        let bytes = |(len, buffer): (&u64, &tile::Buffer)| match buffer.kind {
            tile::BufferKind::Table => 8 * len,
            _ => 4 * len,
        };
        Launch {
            lens: l.lens.iter().zip(&l.kernel.buffers).map(bytes).collect(),
            kernel: call.kernel,
            buffers: l.buffers.iter().map(|s| self.place(s, weights)).collect(),
            args: call.args.clone(),
            tasks: l.tasks,
            flops: l.flops,
            equation_flops: l.equation_flops,
            bytes: l.bytes,
            label: l.label.clone(),
        }
    }

    fn place(&mut self, slot: &Slot, weights: &[Weight]) -> Place {
        match slot {
            Slot::Arena(at) => Place::Arena(*at),
            Slot::Folded(at) => Place::Folded(*at),
            Slot::Weight(i) => Place::Storage(weights[*i].offset),
            Slot::Data(bytes) => Place::Consts(self.constant(bytes)),
        }
    }

    fn constant(&mut self, bytes: &[u8]) -> u64 {
        let hash = *blake3::hash(bytes).as_bytes();
        if let Some(&at) = self.by_content.get(&hash) {
            return at;
        }
        let at = self.consts.len() as u64;
        self.consts.extend_from_slice(bytes);
        self.consts
            .resize(self.consts.len().div_ceil(ALIGN) * ALIGN, 0);
        self.by_content.insert(hash, at);
        at
    }
}
