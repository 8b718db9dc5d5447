//! Weights: how they begin, how they come from files, how they go there. Every fault of a file is listed at once.

use crate::device::cpu::Memory;
use crate::error::{Error, Result};
use crate::tensors::{self, File, View};
use std::collections::BTreeMap;
use std::path::Path;
use vsr_artifact::manifest::{Init, Manifest, Weight, WeightKind};
use vsr_kernels::{Level, philox};

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// What inference needs: weights and the model's own state.
    Model,
    /// The optimiser's state, too: what training resumes from.
    Everything,
}

/// Faults of one kind that an error lists before it only counts.
const LISTED: usize = 12;

fn in_scope(weight: &Weight, scope: Scope) -> bool {
    scope == Scope::Everything || !matches!(weight.kind, WeightKind::Optimizer { .. })
}

pub fn elements(weight: &Weight) -> usize {
    weight.shape.iter().product::<u64>() as usize
}

/// First values. Each weight has numbers of its own, found by its key: another weight changes none of them.
pub fn init(manifest: &Manifest, storage: &mut Memory, seed: u64) {
    for weight in &manifest.weights {
        let Some(values) = storage.floats_mut(weight.offset, elements(weight)) else {
            continue;
        };
        let hash = blake3::hash(weight.key.as_bytes());
        let key = u64::from_le_bytes(hash.as_bytes()[..8].try_into().expect("eight bytes of 32"));
        let random = |normal, values: &mut [f32]| {
            philox::fill(Level::detect(), values, seed, 0, key, normal, 0);
        };
        match weight.init {
            Init::Constant(v) => values.fill(v as f32),
            Init::Required => values.fill(0.0),
            Init::Uniform(low, high) => {
                random(false, values);
                values
                    .iter_mut()
                    .for_each(|v| *v = (low + (high - low) * f64::from(*v)) as f32);
            }
            Init::Normal(mean, deviation) => {
                random(true, values);
                values
                    .iter_mut()
                    .for_each(|v| *v = (mean + deviation * f64::from(*v)) as f32);
            }
        }
    }
}

/// Keys that training cannot invent.
pub fn required(manifest: &Manifest) -> Vec<&str> {
    let required = manifest.weights.iter().filter(|w| w.init == Init::Required);
    required.map(|w| w.key.as_str()).collect()
}

/// Reads all weights in scope from a file, or changes nothing and lists every key that does not fit.
pub fn load(manifest: &Manifest, storage: &mut Memory, path: &Path, scope: Scope) -> Result<File> {
    let file = tensors::read(path)?;
    let faults = compare(manifest, &file, scope);
    if !faults.is_empty() {
        let model = &manifest.model.name;
        return Err(Error::file(
            path,
            format!("holds the weights of another network, not of {model}:\n{faults}"),
        ));
    }
    for weight in manifest.weights.iter().filter(|w| in_scope(w, scope)) {
        let values = storage.floats_mut(weight.offset, elements(weight));
        if let (Some(values), Some(tensor)) = (values, file.tensors.get(&weight.key)) {
            values.copy_from_slice(&tensor.data);
        }
    }
    Ok(file)
}

fn compare(manifest: &Manifest, file: &File, scope: Scope) -> String {
    let (mut missing, mut shaped) = (Vec::new(), Vec::new());
    for weight in manifest.weights.iter().filter(|w| in_scope(w, scope)) {
        match file.tensors.get(&weight.key) {
            None => missing.push(format!("{} {:?}", weight.key, weight.shape)),
            Some(t) if t.shape != weight.shape => {
                shaped.push(format!(
                    "{}: {:?} in the file, {:?} in the network",
                    weight.key, t.shape, weight.shape
                ));
            }
            Some(_) => {}
        }
    }
    let known = |key: &&String| !manifest.weights.iter().any(|w| w.key == **key);
    let extra = file
        .tensors
        .keys()
        .filter(known)
        .cloned()
        .collect::<Vec<_>>();
    let mut text = String::new();
    for (title, keys) in [
        ("missing", missing),
        ("not in the network", extra),
        ("wrong shape", shaped),
    ] {
        list(&mut text, title, &keys);
    }
    text.trim_end().to_string()
}

fn list(text: &mut String, title: &str, keys: &[String]) {
    if keys.is_empty() {
        return;
    }
    text.push_str(&format!("  {title} ({}):\n", keys.len()));
    for key in keys.iter().take(LISTED) {
        text.push_str(&format!("    {key}\n"));
    }
    if keys.len() > LISTED {
        text.push_str(&format!("    and {} more\n", keys.len() - LISTED));
    }
}

/// Writes all weights in scope, whole or not at all.
pub fn save(
    manifest: &Manifest,
    storage: &Memory,
    path: &Path,
    scope: Scope,
    extra: &BTreeMap<String, String>,
) -> Result<()> {
    let mut metadata = BTreeMap::from([("model".to_string(), manifest.model.name.clone())]);
    metadata.extend(extra.clone());
    let chosen = manifest.weights.iter().filter(|w| in_scope(w, scope));
    let views = chosen.map(|w| View {
        name: &w.key,
        shape: &w.shape,
        data: storage.floats(w.offset, elements(w)).unwrap_or_default(),
    });
    tensors::write(path, &views.collect::<Vec<_>>(), &metadata)
}
