//! A loaded network: its memory, its weights, its entries bound to addresses. Runs one entry at a time.
//!
//! All of it lies on a device, which allocates, uploads and launches; nothing here knows which one.
//! All memory is what the manifest plans, to the byte: one storage for weights and states, an arena (and a block for
//! what is folded from weights) for each entry in use, scratch for each thread, the constants. Stored weights that
//! only what is folded needed are given back: see `stored`.

use crate::device::{self, Buffer, Device, ListId, Run};
use crate::error::{Error, OnFault, Result};
use crate::frozen;
use crate::weights::{self, Scope};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;
use stored::{Provenance, Stored};
use vsr_artifact::manifest::{Entry, Manifest, Place, Port};
use vsr_artifact::{Artifact, folding, shown_path};

mod bind;
mod stored;

pub use crate::device::Options;

pub struct Session {
    dir: PathBuf,
    manifest: Manifest,
    device: Box<dyn Device>,
    consts: Box<dyn Buffer>,
    storage: Stored,
    /// Bound at first use.
    bound: Vec<Option<Bound>>,
    /// Keys of weights without a first value that nothing has set.
    missing: BTreeSet<String>,
}

/// An entry with its memory.
struct Bound {
    arena: Box<dyn Buffer>,
    folded: Box<dyn Buffer>,
    launches: ListId,
    setup: ListId,
    /// What is folded from weights is older than the weights.
    stale: bool,
    /// Outputs of the last run by their names, where the host cannot look.
    outputs: BTreeMap<String, Vec<f32>>,
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
        let mut device = device::open_for(artifact.manifest.target.form, &options)?;
        let mut consts = device.alloc(artifact.consts.len() as u64, "constants")?;
        consts.upload(0, &artifact.consts)?;
        device.load(&artifact, dir)?;
        let manifest = artifact.manifest;
        let session = Session {
            dir: dir.to_path_buf(),
            consts,
            storage: Stored::open(&*device, &manifest, dir)?,
            device,
            bound: manifest.entries.iter().map(|_| None).collect(),
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

    /// What entries run on, for measuring it beside them.
    pub fn device(&mut self) -> &mut dyn Device {
        &mut *self.device
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
        let sum = |of: fn(&Bound) -> u64| self.bound.iter().flatten().map(of).sum();
        Bytes {
            storage: self.storage.bytes(),
            consts: self.consts.len(),
            arenas: sum(|b| b.arena.len()),
            folded: sum(|b| b.folded.len()),
            scratch: self.device.scratch_bytes(),
        }
    }

    /// Gives back an entry's memory; it is bound again at its next run.
    pub fn release(&mut self, entry: usize) {
        if let Some(bound) = self.bound[entry].take() {
            self.device.unbind(bound.launches);
            self.device.unbind(bound.setup);
        }
    }
}

/// Weights.
impl Session {
    pub fn init_weights(&mut self, seed: u64) -> Result<()> {
        self.storage.fill(&self.manifest, Provenance::Start(seed))?;
        self.weights_changed();
        Ok(())
    }

    pub fn load_weights(&mut self, path: &Path, scope: Scope) -> Result<BTreeMap<String, String>> {
        let source = weights::Source::open(&self.manifest, path, scope)?;
        let metadata = source.metadata().clone();
        let provenance = Provenance::File(Box::new(source));
        self.storage.fill(&self.manifest, provenance)?;
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
        weights::swap_means(&self.manifest, storage)?;
        self.weights_changed();
        Ok(())
    }

    /// A weight or state by its key, row-major; empty if there is none.
    pub fn weight(&mut self, key: &str) -> Result<Vec<f32>> {
        let storage = self.storage.whole(&self.manifest)?;
        let found = self.manifest.weights.iter().find(|w| w.key == key);
        let values = found.map(|w| device::read(storage, w.offset, weights::elements(w)));
        Ok(values.transpose()?.unwrap_or_default().into_owned())
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
        device::edit(storage, weight.offset, n, |to| to.copy_from_slice(values))?;
        self.missing.remove(key);
        self.weights_changed();
        Ok(())
    }

    /// Key of the first weight or state that holds NaN or an infinity.
    pub fn first_non_finite(&mut self) -> Result<Option<&str>> {
        let storage = self.storage.whole(&self.manifest)?;
        let mut found = weights::non_finite(&self.manifest, storage);
        Ok(found.next().transpose()?.map(|w| w.key.as_str()))
    }

    /// What there is to say where weights, from `path` or of frozen networks, are not finite.
    pub fn check_finite(&mut self, path: Option<&Path>, faults: OnFault) -> Result<Option<String>> {
        let storage = self.storage.whole(&self.manifest)?;
        let found = weights::non_finite(&self.manifest, storage).map(|w| Ok(w?.key.as_str()));
        let bad = found.collect::<Result<Vec<&str>>>()?;
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
        let times = self.device.timed(bound.launches, Run { seed, step })?;
        self.after(entry)?;
        Ok(times)
    }

    /// An output of the last run of that entry, row-major; empty if there is none of that name.
    pub fn output(&self, entry: usize, name: &str) -> &[f32] {
        let ports = &self.manifest.entries[entry].outputs;
        let found = ports.iter().find(|p| p.name == name);
        let seen = found.and_then(|p| self.port(entry, p));
        let copied = || Some(self.bound[entry].as_ref()?.outputs.get(name)?.as_slice());
        seen.or_else(copied).unwrap_or_default()
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
        let (at, to) = match (port.at, self.bound[entry].as_mut()) {
            (Place::Arena(at), Some(bound)) => (at, &mut bound.arena),
            (Place::Folded(at), Some(bound)) => (at, &mut bound.folded),
            _ => return Err(self.damaged(&format!("input {name} lies outside its memory"))),
        };
        self.device.upload(&mut **to, at, values)
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
        for step in steps {
            self.device
                .run(bound.setup, step.launches, Run::default())?;
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
            let all = 0..self.manifest.entries[entry].launches.len();
            self.device.run(bound.launches, all, Run { seed, step })?;
        }
        self.after(entry)
    }

    /// Training moves the weights under the other entries. Outputs come to the host, where it cannot see them.
    fn after(&mut self, entry: usize) -> Result<()> {
        if self.trains(entry) {
            self.weights_changed();
        }
        let mut copied = BTreeMap::new();
        for port in &self.manifest.entries[entry].outputs {
            if self.port(entry, port).is_none() {
                copied.insert(port.name.clone(), self.port_copied(entry, port)?);
            }
        }
        if let Some(bound) = self.bound[entry].as_mut() {
            bound.outputs = copied;
        }
        Ok(())
    }

    fn trains(&self, entry: usize) -> bool {
        self.manifest.entries[entry].name == "train"
    }
}

#[cfg(test)]
pub(crate) mod tests;
