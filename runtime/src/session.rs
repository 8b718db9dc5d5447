//! A loaded network: its memory, its weights, its entries bound to addresses. Runs one entry at a time.
//!
//! All memory is what the manifest plans, to the byte: one storage for weights and states, an arena (and a block for
//! what is folded from weights) for each entry in use, scratch for each thread, the constants. Stored weights that
//! only what is folded needed are given back: see `stored`.

use crate::device::cpu::{
    Call, Code, Guarded, Memory, Pool, Run, copy, n_threads_for, run_guarded,
};
use crate::error::{Error, OnFault, Result};
use crate::frozen;
use crate::weights::{self, Scope};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;
use stored::{Provenance, Stored};
use vsr_artifact::manifest::{Entry, Launch, Manifest, Port};
use vsr_artifact::{Artifact, folding, shown_path};
use vsr_kernels::Level;

mod bind;
mod stored;

#[derive(Clone, Debug)]
pub struct Options {
    /// As [`n_threads_for`] takes them: 0 is one for each core.
    pub threads: usize,
    /// Widest instructions of the microkernels; `None`: the best there are.
    pub level: Option<Level>,
    /// For tests: each launch runs with its buffers between pages that nobody may touch. So does everything if the
    /// variable `VSR_GUARD` is set.
    pub is_guarded: bool,
}

pub struct Session {
    dir: PathBuf,
    manifest: Manifest,
    code: Code,
    consts: Memory,
    storage: Stored,
    scratch: Vec<Memory>,
    /// Bound at first use.
    bound: Vec<Option<Bound>>,
    pool: Pool,
    level: Level,
    is_guarded: bool,
    /// Keys of weights without a first value that nothing has set.
    missing: BTreeSet<String>,
}

/// An entry with its memory.
struct Bound {
    arena: Memory,
    folded: Memory,
    launches: Vec<Call>,
    setup: Vec<Call>,
    /// What is folded from weights is older than the weights.
    stale: bool,
}

/// Bytes that a session holds, in the terms of the compiler's plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes {
    /// Less what was given back.
    pub storage: u64,
    pub consts: u64,
    pub arenas: u64,
    pub folded: u64,
    pub scratch: u64,
}

impl Session {
    /// Loads and checks an artifact. Weights are zero until `init_weights` or `load_weights`.
    pub fn open(dir: &Path, options: Options) -> Result<Session> {
        Session::new(vsr_artifact::read(dir)?, dir, options)
    }

    /// A session of an artifact that lies in no folder.
    pub fn of_artifact(artifact: Artifact, options: Options) -> Result<Session> {
        Session::new(artifact, Path::new(""), options)
    }

    fn new(artifact: Artifact, dir: &Path, options: Options) -> Result<Session> {
        let manifest = artifact.manifest;
        let level = options
            .level
            .unwrap_or_else(Level::detect)
            .min(Level::detect());
        let pool = Pool::new(n_threads_for(options.threads))?;
        let mut consts = Memory::zeroed(artifact.consts.len() as u64, "constants")?;
        consts.bytes_mut().copy_from_slice(&artifact.consts);
        let scratch_bytes = manifest
            .entries
            .iter()
            .map(|e| e.scratch_bytes)
            .max()
            .unwrap_or(0);
        let scratch = (0..pool.n_threads()).map(|_| Memory::zeroed(scratch_bytes, "scratch"));
        let session = Session {
            dir: dir.to_path_buf(),
            code: Code::load(&artifact.code, || vsr_artifact::code_file(dir))?,
            consts,
            storage: Stored::open(&manifest, dir)?,
            scratch: scratch.collect::<Result<_>>()?,
            bound: manifest.entries.iter().map(|_| None).collect(),
            pool,
            level,
            is_guarded: options.is_guarded || std::env::var_os("VSR_GUARD").is_some(),
            missing: weights::required(&manifest)
                .into_iter()
                .map(String::from)
                .collect(),
            manifest,
        };
        session.check()?;
        Ok(session)
    }

    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Where the artifact lies.
    pub fn folder(&self) -> &Path {
        &self.dir
    }

    /// The files that it was loaded from, weights of frozen networks among them.
    pub fn files_read(&self) -> Vec<PathBuf> {
        let own = vsr_artifact::files(&self.dir);
        let frozen = self.manifest.frozen.files.iter();
        let frozen = frozen.flat_map(|name| frozen::places(&self.dir, name));
        own.into_iter().chain(frozen).collect()
    }

    pub fn level(&self) -> Level {
        self.level
    }

    pub fn n_threads(&self) -> usize {
        self.pool.n_threads()
    }

    /// The threads, for work beside the entries (measuring the machine).
    pub fn pool(&mut self) -> &mut Pool {
        &mut self.pool
    }

    /// Index of an entry; an empty profile takes the first of that name.
    pub fn entry(&self, name: &str, profile: &str) -> Option<usize> {
        let fits = |e: &Entry| e.name == name && (profile.is_empty() || e.profile == profile);
        self.manifest.entries.iter().position(fits)
    }

    /// As [`Session::entry`], or an error that lists what there is.
    pub fn find(&self, name: &str, profile: &str) -> Result<usize> {
        self.entry(name, profile).ok_or_else(|| {
            let all = self
                .manifest
                .entries
                .iter()
                .map(|e| format!("{} ({})", e.name, e.profile));
            let wanted = if profile.is_empty() {
                name.to_string()
            } else {
                format!("{name} ({profile})")
            };
            let all = all.collect::<Vec<_>>().join(", ");
            Error::user(format!(
                "{} has no entry {wanted}; it has: {all}",
                shown_path(&self.dir)
            ))
        })
    }

    pub fn bytes(&self) -> Bytes {
        let sum = |of: fn(&Bound) -> &Memory| {
            self.bound
                .iter()
                .flatten()
                .map(|b| of(b).len() as u64)
                .sum()
        };
        Bytes {
            storage: self.storage.bytes(),
            consts: self.consts.len() as u64,
            arenas: sum(|b| &b.arena),
            folded: sum(|b| &b.folded),
            scratch: self.scratch.iter().map(|m| m.len() as u64).sum(),
        }
    }

    /// Gives back an entry's memory; it is bound again at its next run.
    pub fn release(&mut self, entry: usize) {
        self.bound[entry] = None;
    }
}

/// Weights.
impl Session {
    pub fn init_weights(&mut self, seed: u64) {
        self.storage.fill(&self.manifest, Provenance::Start(seed));
        self.weights_changed();
    }

    pub fn load_weights(&mut self, path: &Path, scope: Scope) -> Result<BTreeMap<String, String>> {
        let source = weights::Source::open(&self.manifest, path, scope)?;
        let metadata = source.metadata().clone();
        let provenance = Provenance::File(Box::new(source));
        self.storage.fill(&self.manifest, provenance);
        self.missing.clear();
        self.weights_changed();
        Ok(metadata)
    }

    pub fn save_weights(
        &mut self,
        path: &Path,
        scope: Scope,
        metadata: &BTreeMap<String, String>,
    ) -> Result<()> {
        let storage = self.storage.whole(&self.manifest)?;
        weights::save(&self.manifest, storage, path, scope, metadata)
    }

    /// Whether a file holds the optimiser's state beside the weights.
    pub fn scope_of(&self, path: &Path) -> Result<Scope> {
        weights::scope_of(&self.manifest, path)
    }

    /// Exchanges weights and their running means (`ema`): entries then see the means, until the next call.
    pub fn swap_means(&mut self) -> Result<()> {
        let storage = self.storage.owned(&self.manifest)?;
        weights::swap_means(&self.manifest, storage);
        self.weights_changed();
        Ok(())
    }

    /// A weight or state by its key, row-major; empty if there is none.
    pub fn weight(&mut self, key: &str) -> Result<Vec<f32>> {
        let storage = self.storage.whole(&self.manifest)?;
        let found = self.manifest.weights.iter().find(|w| w.key == key);
        let values = found.and_then(|w| storage.floats(w.offset, weights::elements(w)));
        Ok(values.unwrap_or_default().to_vec())
    }

    pub fn set_weight(&mut self, key: &str, values: &[f32]) -> Result<()> {
        let found = self.manifest.weights.iter().find(|w| w.key == key);
        let weight =
            found.ok_or_else(|| Error::user(format!("the network has no weight {key}")))?;
        let n = weights::elements(weight);
        if n != values.len() {
            let got = values.len();
            return Err(Error::user(format!(
                "{key} has {n} elements {:?}, not {got}",
                weight.shape
            )));
        }
        let storage = self.storage.owned(&self.manifest)?;
        if let Some(to) = storage.floats_mut(weight.offset, n) {
            to.copy_from_slice(values);
        }
        self.missing.remove(key);
        self.weights_changed();
        Ok(())
    }

    /// Key of the first weight or state that holds NaN or an infinity.
    pub fn first_non_finite(&mut self) -> Result<Option<&str>> {
        let storage = self.storage.whole(&self.manifest)?;
        Ok(weights::non_finite(&self.manifest, storage)
            .next()
            .map(|w| w.key.as_str()))
    }

    /// What there is to say where weights, from `path` or of frozen networks, are not finite.
    pub fn check_finite(&mut self, path: Option<&Path>, faults: OnFault) -> Result<Option<String>> {
        let storage = self.storage.whole(&self.manifest)?;
        let bad: Vec<&str> = weights::non_finite(&self.manifest, storage)
            .map(|w| w.key.as_str())
            .collect();
        if bad.is_empty() {
            return Ok(None);
        }
        let path = path.map_or_else(|| shown_path(&self.dir), shown_path);
        let text = format!("{path}: NaN or infinity in {}", weights::few(&bad));
        faults.check([&text])?;
        Ok(Some(format!("{text}; --strict refuses such weights")))
    }

    fn weights_changed(&mut self) {
        self.bound.iter_mut().flatten().for_each(|b| b.stale = true);
    }
}

/// Running.
impl Session {
    /// Runs an entry. Inputs are row-major; the scalars `step`, `epoch` and `rate` may be left out (then: the step
    /// given here, 0, and "as the source says").
    pub fn run(
        &mut self,
        entry: usize,
        inputs: &[(&str, &[f32])],
        seed: u64,
        step: u64,
    ) -> Result<()> {
        self.prepare(entry, inputs, step)?;
        self.launch(entry, seed, step)
    }

    /// As [`Session::run`], launch by launch, with the time of each.
    pub fn run_timed(
        &mut self,
        entry: usize,
        inputs: &[(&str, &[f32])],
        seed: u64,
        step: u64,
    ) -> Result<Vec<Duration>> {
        self.prepare(entry, inputs, step)?;
        let Some(bound) = &self.bound[entry] else {
            return Ok(vec![]);
        };
        let run = Run {
            level: self.level,
            seed,
            step,
            min_parallel_cost: self.manifest.min_parallel_cost(),
            scratch: &self.scratch,
        };
        // SAFETY: `bind` took the addresses from this session's memory, by the manifest; `new` lowered the level to
        // this machine's; and the session is borrowed alone.
        let times = unsafe { run.timed(&mut self.pool, &bound.launches) };
        self.after(entry);
        Ok(times)
    }

    /// An output of the last run of that entry, row-major; empty if there is none of that name.
    pub fn output(&self, entry: usize, name: &str) -> &[f32] {
        let ports = &self.manifest.entries[entry].outputs;
        let found = ports.iter().find(|p| p.name == name);
        found.and_then(|p| self.port(entry, p)).unwrap_or_default()
    }

    fn prepare(&mut self, entry: usize, inputs: &[(&str, &[f32])], step: u64) -> Result<()> {
        if !self.missing.is_empty() {
            let keys: Vec<&str> = self.missing.iter().map(String::as_str).collect();
            let keys = keys.join(", ");
            return Err(Error::user(format!(
                "these weights have no first value, give a file with --weights: {keys}"
            )));
        }
        self.bind(entry)?;
        // Before the inputs: what leads to folded values lies in the arena meanwhile.
        self.fold(entry)?;
        for (name, values) in inputs {
            self.set_input(entry, name, values)?;
        }
        let left: Vec<Port> = self.manifest.entries[entry].inputs.clone();
        for port in left
            .iter()
            .filter(|p| inputs.iter().all(|(name, _)| name != &p.name))
        {
            let default = match port.name.as_str() {
                "step" => step as f32,
                "epoch" => 0.0,
                "rate" => -1.0,
                _ => {
                    return Err(Error::user(format!(
                        "the input {} {:?} is missing",
                        port.name, port.shape
                    )));
                }
            };
            self.set_input(entry, &port.name, &[default])?;
        }
        Ok(())
    }

    fn set_input(&mut self, entry: usize, name: &str, values: &[f32]) -> Result<()> {
        let ports = &self.manifest.entries[entry].inputs;
        let Some(port) = ports.iter().find(|p| p.name == name).cloned() else {
            let all = ports
                .iter()
                .map(|p| p.name.as_str())
                .collect::<Vec<_>>()
                .join(", ");
            return Err(Error::user(format!(
                "there is no input {name}; there are: {all}"
            )));
        };
        let n = port.shape.iter().product::<u64>() as usize;
        if n != values.len() {
            let (shape, got) = (&port.shape, values.len());
            return Err(Error::user(format!(
                "the input {name} has shape {shape:?}, {n} numbers, not {got}"
            )));
        }
        let Some(to) = self
            .memory_mut(entry, port.at)
            .and_then(|(m, at)| m.floats_mut(at, n))
        else {
            return Err(self.damaged(&format!("input {name} lies outside its memory")));
        };
        let to = to.as_mut_ptr();
        // SAFETY: a port of as many floats lies there.
        unsafe { copy(&mut self.pool, values, to) };
        Ok(())
    }

    /// Step by step, so that stored weights go as what is folded from them comes.
    fn fold(&mut self, entry: usize) -> Result<()> {
        if !self.bound[entry].as_ref().is_some_and(|b| b.stale) {
            return Ok(());
        }
        match self.trains(entry) {
            // What it leaves alone has no provenance either, once the rest has moved: all of it must be here before.
            true => self.storage.owned(&self.manifest)?,
            false => self.storage.whole(&self.manifest)?,
        };
        let steps = self.steps(entry);
        let Some(bound) = self.bound[entry].as_mut() else {
            return Ok(());
        };
        bound.stale = false;
        let run = Run {
            level: self.level,
            seed: 0,
            step: 0,
            min_parallel_cost: self.manifest.min_parallel_cost(),
            scratch: &self.scratch,
        };
        for step in steps {
            let plan = &self.manifest.entries[entry].setup[step.launches.clone()];
            let calls = &bound.setup[step.launches];
            // SAFETY: `bind` bound these calls to this session's memory, by this plan; the session is borrowed alone.
            unsafe { run_calls(self.is_guarded, &run, &mut self.pool, calls, plan)? };
            self.storage.give_back(&step.done);
        }
        Ok(())
    }

    /// The setup list of an entry, with the weights that no bound entry needs after each step.
    fn steps(&self, entry: usize) -> Vec<folding::Step> {
        let m = &self.manifest;
        let bound = m.entries.iter().zip(&self.bound);
        let bound = bound.filter(|(_, b)| b.is_some());
        let kept = bound.flat_map(|(e, _)| folding::touched(&e.launches));
        let kept = kept.collect();
        folding::steps(m, &m.entries[entry], &kept)
    }

    fn launch(&mut self, entry: usize, seed: u64, step: u64) -> Result<()> {
        if let Some(bound) = &self.bound[entry] {
            let run = Run {
                level: self.level,
                seed,
                step,
                min_parallel_cost: self.manifest.min_parallel_cost(),
                scratch: &self.scratch,
            };
            let plan = &self.manifest.entries[entry].launches;
            // SAFETY: `bind` bound these calls to this session's memory, by this plan; the session is borrowed alone.
            unsafe { run_calls(self.is_guarded, &run, &mut self.pool, &bound.launches, plan)? };
        }
        self.after(entry);
        Ok(())
    }

    /// Training moves the weights under the other entries.
    fn after(&mut self, entry: usize) {
        if self.trains(entry) {
            self.weights_changed();
        }
    }

    fn trains(&self, entry: usize) -> bool {
        self.manifest.entries[entry].name == "train"
    }
}

/// Runs calls that were bound from these launches.
///
/// # Safety
/// As for [`Run::all`].
unsafe fn run_calls(
    is_guarded: bool,
    run: &Run<'_>,
    pool: &mut Pool,
    calls: &[Call],
    plan: &[Launch],
) -> Result<()> {
    if !is_guarded {
        // SAFETY: the caller vouches for the calls.
        unsafe { run.all(pool, calls) };
        return Ok(());
    }
    let guarded = calls.iter().zip(plan).map(|(call, launch)| Guarded {
        call,
        lens: &launch.lens,
        label: &launch.label,
    });
    let all: Vec<Guarded<'_>> = guarded.collect();
    // SAFETY: the caller vouches for the calls; the plan that they were bound from knows the length of each buffer.
    unsafe { run_guarded(run, pool, &all) }
}

// SAFETY: all addresses inside are of memory and code that the session owns, and which stay where they are if it moves.
unsafe impl Send for Session {}

#[cfg(test)]
pub(crate) mod tests;
