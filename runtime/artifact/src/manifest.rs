//! The manifest of a compiled network: entries, weights, memory plan and launch lists. Serialised as JSON.

use crate::machine::Machine;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    pub format: u32,
    pub abi: u32,
    /// Version of the compiler that wrote it.
    pub compiler: String,
    /// blake3 of all source files, hex.
    pub source_hash: String,
    pub model: Model,
    pub train: Option<Train>,
    /// Every weight, then every state, in order of their keys' first use. One storage for all entries.
    pub weights: Vec<Weight>,
    #[serde(default)]
    pub frozen: Frozen,
    /// Other ways in which a file may hold the weights: the `weights` items beside the model.
    #[serde(default)]
    pub layouts: Vec<Layout>,
    /// Bytes of the storage that holds all weights and states.
    pub storage_bytes: u64,
    pub entries: Vec<Entry>,
    pub kernels: Vec<KernelInfo>,
    /// Features the code needs, as `is_x86_feature_detected!` names them.
    pub target: Target,
    /// blake3, hex.
    pub code_hash: String,
    pub consts_hash: String,
}

/// Key of the state that keeps the running mean of a weight.
pub fn mean_key(weight: &str) -> String {
    format!("ema.{weight}")
}

impl Manifest {
    /// See [`Machine::min_parallel_cost`].
    pub fn min_parallel_cost(&self) -> u64 {
        self.target.machine.min_parallel_cost.max(0) as u64
    }

    /// The state that keeps a weight's running mean, if training keeps one: see [`Train::ema`].
    pub fn mean_of(&self, weight: &Weight) -> Option<&Weight> {
        self.train.as_ref()?.ema?;
        let key = mean_key(&weight.key);
        let is_mean = |w: &&Weight| {
            w.key == key && matches!(&w.kind, WeightKind::Optimizer { of } if *of == weight.key)
        };
        self.weights.iter().find(is_mean)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Model {
    pub name: String,
    /// First `##` line of the file or model.
    pub doc: String,
    /// Compile-time parameters as written, for `info`.
    pub parameters: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Train {
    pub name: String,
    pub epochs: u64,
    pub steps: u64,
    /// Name and shape of the `data` input, e.g. ("clip", [4, 3, 7, 256, 256]).
    pub data: Vec<Port>,
    /// Folder named in the source: `clips("data")`.
    pub data_path: String,
    /// (name, low, high) of each `tune(x, lo, hi)`.
    pub tunable: Vec<(String, f64, f64)>,
    /// Running mean of the weights; eval and infer then use it.
    pub ema: Option<f64>,
}

/// A tensor that crosses the border: f32, row-major in `shape` order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Port {
    pub name: String,
    pub shape: Vec<u64>,
    /// Names of the axes as the source writes them (`B`, `3`, `T`, `scale*H`).
    pub axes: Vec<String>,
    pub at: Place,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Weight {
    pub key: String,
    pub shape: Vec<u64>,
    pub init: Init,
    pub kind: WeightKind,
    /// Byte offset in the storage.
    pub offset: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum WeightKind {
    Trained,
    Frozen,
    /// A model's state (BatchNorm's running mean): saved with the weights.
    State,
    /// An optimiser's state: saved in checkpoints only. `of` is the weight's key.
    Optimizer {
        of: String,
    },
}

/// Weights that come from files of their own and never change; they are in no checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Frozen {
    /// Paths as the text names them, relative to its folder; their last names differ. What lies beside the manifest
    /// under a last name comes first: `vsrc compile` leaves links there.
    pub files: Vec<String>,
    pub tensors: Vec<FrozenTensor>,
    /// Optional networks that had no file when this was compiled.
    pub absent: Vec<Absent>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FrozenTensor {
    /// Index into the files.
    pub file: u32,
    pub stored: Stored,
}

/// The place of one weight: a tensor of a file, or a part of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stored {
    /// Key among the weights.
    pub weight: String,
    /// Key in the file.
    pub key: String,
    /// Of the first axis, from and to.
    pub rows: Option<[u64; 2]>,
    /// The file's two axes are the other way round.
    pub transposed: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Layout {
    pub name: String,
    pub tensors: Vec<Stored>,
    /// Patterns of keys that may stand in the file, too.
    pub ignored: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Absent {
    pub name: String,
    pub file: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Init {
    Constant(f64),
    Uniform(f64, f64),
    Normal(f64, f64),
    Required,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// `infer`, `train`, `eval`, `setup`.
    pub name: String,
    pub profile: String,
    pub dims: BTreeMap<String, i64>,
    pub inputs: Vec<Port>,
    pub outputs: Vec<Port>,
    pub arena_bytes: u64,
    /// Bytes of scratch for each thread.
    pub scratch_bytes: u64,
    /// As the equations say: launches do less where Winograd saves products.
    pub flops: u64,
    pub launches: Vec<Launch>,
    /// Launch list that folds what depends on weights alone: run once after weights change, before `launches`.
    /// Its results lie in `folded_bytes` of their own, beside the arena, which it uses on the way to them.
    pub setup: Vec<Launch>,
    pub folded_bytes: u64,
    /// Field of the network in the input, if finite: see `Field`.
    pub field: Option<Field>,
}

/// Which input pixels an output pixel sees. Output pixel o at scale s sees input `o/s - before ..= o/s + after`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// Halo in input pixels, on each side, vertical and horizontal.
    pub halo: [u64; 2],
    /// Tiles must start at multiples of this many input pixels to be exact.
    pub stride: [u64; 2],
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Launch {
    pub kernel: u32,
    pub buffers: Vec<Place>,
    /// Bytes of each buffer.
    pub lens: Vec<u64>,
    pub args: Vec<i64>,
    pub tasks: u64,
    /// For `bench` and reports: what the kernel does, and what the equations say that it stands for.
    pub flops: u64,
    pub equation_flops: u64,
    pub bytes: u64,
    /// Block path and op: `encoder.0.conv conv3d`.
    pub label: String,
}

/// A base address: where, and the byte offset there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    Arena(u64),
    Storage(u64),
    Folded(u64),
    Consts(u64),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KernelInfo {
    pub name: String,
    /// Byte offset of the entry point in the code.
    pub offset: u64,
    /// Byte offsets of its wide rows, each for AVX2 and for AVX-512.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rows: Vec<[u64; 2]>,
    /// `contraction`, `reduction`, `pointwise`, `gather`, `scatter`.
    pub anchor: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// `x86-64-v3`, `cpu-portable`, `interpreter`.
    pub name: String,
    #[serde(default, skip_serializing_if = "CodeForm::is_native")]
    pub form: CodeForm,
    pub features: Vec<String>,
    /// What it is planned for; it runs on any machine with these features.
    #[serde(default)]
    pub machine: Machine,
}

/// What the code of an artifact is, and so which device runs it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum CodeForm {
    /// Machine code of a processor.
    #[default]
    Native,
    /// The text of tile programs.
    Tile,
}

impl CodeForm {
    /// How the header of the code names it: an architecture, or a form that any machine reads.
    pub fn arch(self) -> &'static str {
        match self {
            CodeForm::Native => crate::host::ARCH,
            CodeForm::Tile => "tile",
        }
    }

    /// The target of `vsrc compile` that makes it.
    pub fn target(self) -> &'static str {
        match self {
            CodeForm::Native => "x86-64-v3",
            CodeForm::Tile => "interpreter",
        }
    }

    fn is_native(&self) -> bool {
        *self == CodeForm::Native
    }
}
