//! Where a run stands: everything beside the weights that the next step depends on. Lives in the metadata of the
//! checkpoint that holds the weights and the optimiser's state, so that both always belong together. A checkpoint
//! without the hash of what it holds, or with another one, is never resumed.

use super::provenance::Facts;
use crate::data::find::Listed;
use crate::error::{Error, Result};
use crate::session::Session;
use crate::tensors::HASH;
use crate::weights::Scope;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use vsr_artifact::shown_path;

pub const FILE: &str = "state.safetensors";
const LIMIT_PIXELS: &str = "limit_pixels";

/// Position and running sums.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    pub epoch: u64,
    /// Steps done in this epoch.
    pub step: u64,
    /// Steps done in all epochs.
    pub global: u64,
    /// Sums over this epoch's steps, in the order of the entry's outputs.
    pub sums: Vec<(String, f64)>,
    pub best: Option<f64>,
}

/// What stays the same over a run, unless the user changes it on resuming.
#[derive(Clone, Debug, PartialEq)]
pub struct Setup {
    pub seed: u64,
    pub steps: u64,
    pub epochs: u64,
    /// Held-out batches after each epoch.
    pub valid: u64,
    pub rate: Option<f64>,
    /// Of one frame of the data; `None`: the usual limit.
    pub limit_pixels: Option<u64>,
    pub data: Option<PathBuf>,
    /// What the run is made of.
    pub artifact: Facts,
    pub clips: Vec<Listed>,
}

impl State {
    pub fn add(&mut self, values: &[(String, f64)]) {
        if self.sums.is_empty() {
            self.sums = values.iter().map(|(name, _)| (name.clone(), 0.0)).collect();
        }
        for (sum, value) in self.sums.iter_mut().zip(values) {
            sum.1 += value.1;
        }
    }

    pub fn means(&self) -> Vec<(String, f64)> {
        let n = self.step.max(1) as f64;
        self.sums
            .iter()
            .map(|(name, sum)| (name.clone(), sum / n))
            .collect()
    }

    pub fn next_epoch(&mut self) {
        self.epoch += 1;
        self.step = 0;
        self.sums.clear();
    }
}

pub fn save(session: &mut Session, path: &Path, state: &State, setup: &Setup) -> Result<()> {
    let mut m = BTreeMap::new();
    for (key, value) in [
        ("epoch", state.epoch),
        ("step", state.step),
        ("global", state.global),
        ("seed", setup.seed),
        ("steps", setup.steps),
        ("epochs", setup.epochs),
        ("valid", setup.valid),
    ] {
        m.insert(key.to_string(), value.to_string());
    }
    if let Some(limit) = setup.limit_pixels {
        m.insert(LIMIT_PIXELS.to_string(), limit.to_string());
    }
    let mut float = |key: String, value: Option<f64>| {
        // Bits, not digits: a resumed run must not differ in the last place.
        value.map(|v| m.insert(key, format!("{:016x}", v.to_bits())));
    };
    float("best".into(), state.best);
    float("rate".into(), setup.rate);
    for (i, (name, sum)) in state.sums.iter().enumerate() {
        float(format!("sum {i:03} {name}"), Some(*sum));
    }
    if let Some(data) = &setup.data {
        // A run is resumed from anywhere.
        let data = std::path::absolute(data).unwrap_or_else(|_| data.clone());
        m.insert("data".into(), data.to_string_lossy().into_owned());
        m.insert("clips".into(), json(&setup.clips));
    }
    m.insert("artifact".into(), json(&setup.artifact));
    session.save_weights(path, Scope::Everything, &m)
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("lists of names and numbers")
}

pub fn none_in(folder: &Path) -> Error {
    let folder = shown_path(folder);
    Error::user(format!(
        "{folder} holds no run to resume: there is no {FILE} in it"
    ))
}

pub fn load(session: &mut Session, path: &Path) -> Result<(State, Setup)> {
    let m = session.load_weights(path, Scope::Everything)?;
    let fault = |key: &str| {
        Error::file(
            path,
            format!("is no checkpoint of training: it does not say `{key}`"),
        )
    };
    if !m.contains_key(HASH) {
        return Err(fault(HASH));
    }
    let number = |key: &str| {
        m.get(key)
            .and_then(|v| v.parse().ok())
            .ok_or_else(|| fault(key))
    };
    let bits = |text: &String| u64::from_str_radix(text, 16).ok().map(f64::from_bits);
    let sums = m.iter().filter_map(|(key, value)| {
        let name = key.strip_prefix("sum ")?.get(4..)?;
        Some((name.to_string(), bits(value)?))
    });
    let state = State {
        epoch: number("epoch")?,
        step: number("step")?,
        global: number("global")?,
        sums: sums.collect(),
        best: m.get("best").and_then(bits),
    };
    let setup = Setup {
        seed: number("seed")?,
        steps: number("steps")?,
        epochs: number("epochs")?,
        valid: number("valid").unwrap_or(super::VALID_BATCHES),
        rate: m.get("rate").and_then(bits),
        limit_pixels: match m.contains_key(LIMIT_PIXELS) {
            true => Some(number(LIMIT_PIXELS)?),
            false => None,
        },
        data: m.get("data").map(PathBuf::from),
        artifact: parsed(&m, "artifact").ok_or_else(|| fault("artifact"))?,
        clips: parsed(&m, "clips").unwrap_or_default(),
    };
    Ok((state, setup))
}

fn parsed<T: serde::de::DeserializeOwned>(m: &BTreeMap<String, String>, key: &str) -> Option<T> {
    serde_json::from_str(m.get(key)?).ok()
}
