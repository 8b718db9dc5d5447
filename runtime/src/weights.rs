//! Weights: how they begin, how they come from files, how they go there. Every fault of a file is listed at once.

use crate::device::{self, Buffer};
use crate::error::{Error, Result};
use crate::frozen;
use crate::tensors::{self, Mapped, View};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use vsr_artifact::manifest::{Init, Layout, Manifest, Stored, Weight, WeightKind};
use vsr_artifact::shown;
use vsr_kernels::{Level, philox};
use vsr_weightfile::pattern;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// What inference needs: weights and the model's own state. Where training keeps a running mean of a weight, the
    /// mean stands for the weight.
    Model,
    /// The optimiser's state, too: what training resumes from.
    Everything,
}

/// Faults of one kind that an error lists before it only counts.
const LISTED: usize = 12;

/// Frozen weights come from files of their own and are in no other.
fn in_scope(weight: &Weight, scope: Scope) -> bool {
    match weight.kind {
        WeightKind::Frozen => false,
        WeightKind::Optimizer { .. } => scope == Scope::Everything,
        WeightKind::Trained | WeightKind::State => true,
    }
}

pub fn elements(weight: &Weight) -> usize {
    weight.shape.iter().product::<u64>() as usize
}

/// First values. Each weight has numbers of its own, found by its key: another weight changes none of them.
pub fn init(manifest: &Manifest, storage: &mut dyn Buffer, seed: u64) -> Result<()> {
    for weight in manifest
        .weights
        .iter()
        .filter(|w| w.kind != WeightKind::Frozen)
    {
        init_one(weight, storage, seed)?;
    }
    start_means(manifest, storage)
}

/// A running mean begins where its weight does.
fn start_means(manifest: &Manifest, storage: &mut dyn Buffer) -> Result<()> {
    for (weight, mean) in means(manifest) {
        let values = values(storage, weight)?.into_owned();
        put(storage, mean, &values)?;
    }
    Ok(())
}

fn values<'a>(storage: &'a dyn Buffer, weight: &Weight) -> Result<Cow<'a, [f32]>> {
    device::read(storage, weight.offset, elements(weight))
}

fn put(storage: &mut dyn Buffer, weight: &Weight, values: &[f32]) -> Result<()> {
    let copy = |to: &mut [f32]| to.copy_from_slice(values);
    device::edit(storage, weight.offset, elements(weight), copy)
}

/// Each weight that training keeps a running mean of, with the mean.
fn means(manifest: &Manifest) -> impl Iterator<Item = (&Weight, &Weight)> {
    let pair = |w| Some((w, manifest.mean_of(w)?));
    let same_size = |(w, m): &(&Weight, &Weight)| elements(w) == elements(m);
    manifest.weights.iter().filter_map(pair).filter(same_size)
}

/// Puts every running mean in the place of its weight, and the weight where the mean was. Twice changes no bit.
pub fn swap_means(manifest: &Manifest, storage: &mut dyn Buffer) -> Result<()> {
    for (weight, mean) in means(manifest) {
        let own = values(storage, weight)?.into_owned();
        let of_mean = values(storage, mean)?.into_owned();
        put(storage, weight, &of_mean)?;
        put(storage, mean, &own)?;
    }
    Ok(())
}

fn init_one(weight: &Weight, storage: &mut dyn Buffer, seed: u64) -> Result<()> {
    device::edit(storage, weight.offset, elements(weight), |values| {
        start(weight, values, seed);
    })
}

fn start(weight: &Weight, values: &mut [f32], seed: u64) {
    let hash = blake3::hash(weight.key.as_bytes());
    let key = u64::from_le_bytes(hash.as_bytes()[..8].try_into().expect("eight bytes of 32"));
    let random = |normal, values: &mut [f32]| {
        philox::fill(Level::detect(), values, seed, 0, key, normal, 0);
    };
    match weight.init {
        // Pages that were never written are zero, and cost nothing while they stay so.
        Init::Constant(v) if v == 0.0 && values.iter().all(|x| x.to_bits() == 0) => {}
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

/// Weights and states, frozen ones too, that hold NaN or an infinity.
pub fn non_finite<'a>(
    manifest: &'a Manifest,
    storage: &'a dyn Buffer,
) -> impl Iterator<Item = Result<&'a Weight>> {
    manifest.weights.iter().filter_map(|w| {
        let is_finite = values(storage, w).map(|values| values.iter().all(|v| v.is_finite()));
        match is_finite {
            Ok(true) => None,
            Ok(false) => Some(Ok(w)),
            Err(error) => Some(Err(error)),
        }
    })
}

/// The first of some keys, and how many more there are.
pub fn few(keys: &[&str]) -> String {
    let named: Vec<String> = keys.iter().take(LISTED).map(shown).collect();
    match keys.len() - named.len() {
        0 => named.join(", "),
        n => format!("{} and {n} more", named.join(", ")),
    }
}

/// Keys that training cannot invent.
pub fn required(manifest: &Manifest) -> Vec<&str> {
    let required = manifest
        .weights
        .iter()
        .filter(|w| w.init == Init::Required && w.kind != WeightKind::Frozen);
    required.map(|w| w.key.as_str()).collect()
}

/// A file that holds the weights of a network, and how.
pub struct Source {
    file: Mapped,
    held: Held,
}

#[derive(Clone, Copy)]
enum Held {
    /// By their own keys.
    Keys(Scope),
    /// In a public layout, by its index. What training keeps beside the weights has no layout: it stands by its own
    /// keys.
    Layout(usize, Scope),
}

impl Source {
    /// Checks a file for all weights in scope, or lists every key that does not fit.
    pub fn open(manifest: &Manifest, path: &Path, scope: Scope) -> Result<Source> {
        let file = Mapped::open(path)?;
        file.verify()?;
        let held = held(manifest, &file, scope).map_err(|why| Error::file(path, why))?;
        let source = Source { file, held };
        for (_, key) in source.keys(manifest) {
            source.file.check_type(key)?;
        }
        Ok(source)
    }

    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.file.metadata
    }

    /// Every weight that the file holds by a key of the network's own, with that key.
    fn keys<'a>(&'a self, manifest: &'a Manifest) -> impl Iterator<Item = (&'a Weight, &'a str)> {
        let (scope, has_layout) = match self.held {
            Held::Keys(scope) => (scope, false),
            Held::Layout(_, scope) => (scope, true),
        };
        let key = move |w: &'a Weight| (w, key_in(&self.file, manifest, w, scope));
        let own = manifest.weights.iter().filter(move |w| in_scope(w, scope));
        // Of a layout's weights the means, which stand for them.
        own.map(key)
            .filter(move |(w, key)| !has_layout || is_of_training(w) || *key != w.key)
    }

    /// Fills all weights; what the file does not hold starts again.
    pub fn fill(&self, manifest: &Manifest, storage: &mut dyn Buffer) -> Result<()> {
        let scope = match self.held {
            Held::Keys(scope) => scope,
            Held::Layout(layout, scope) => {
                load_layout(manifest, storage, &self.file, &manifest.layouts[layout])?;
                scope
            }
        };
        for (weight, key) in self.keys(manifest) {
            let copy = |to: &mut [f32]| self.file.copy(key, to);
            device::edit(storage, weight.offset, elements(weight), copy)?;
        }
        reset_rest(manifest, storage, scope)?;
        self.file.rest();
        Ok(())
    }
}

/// How a file holds the weights, or a list of what does not fit. A public layout holds those of the model; what
/// training keeps, if it keeps anything, stands beside them.
fn held(manifest: &Manifest, file: &Mapped, scope: Scope) -> std::result::Result<Held, String> {
    let faults = compare(manifest, file, scope);
    if faults.is_empty() {
        return Ok(Held::Keys(scope));
    }
    let mut layouts = manifest.layouts.iter();
    let layout = layouts.position(|l| misfits(manifest, file, l).is_empty());
    let fits = |w: &Weight| file.shape(&w.key) == Some(&w.shape);
    let is_enough = scope == Scope::Model || of_training(manifest).all(fits);
    if let Some(layout) = layout.filter(|_| is_enough) {
        return Ok(Held::Layout(layout, scope));
    }
    let others = manifest.layouts.iter();
    let others: String = others.map(|l| other_layout(manifest, file, l)).collect();
    let model = shown(&manifest.model.name);
    Err(format!(
        "holds the weights of another network, not of {model}:\n{faults}{others}"
    ))
}

/// What only training keeps: the optimiser's state and running means. Some optimisers have none.
fn of_training(manifest: &Manifest) -> impl Iterator<Item = &Weight> {
    manifest.weights.iter().filter(|w| is_of_training(w))
}

fn is_of_training(weight: &Weight) -> bool {
    in_scope(weight, Scope::Everything) && !in_scope(weight, Scope::Model)
}

/// What a file of this scope does not hold starts again.
fn reset_rest(manifest: &Manifest, storage: &mut dyn Buffer, scope: Scope) -> Result<()> {
    let rest = |w: &&Weight| !in_scope(w, scope) && w.kind != WeightKind::Frozen;
    for weight in manifest.weights.iter().filter(rest) {
        init_one(weight, storage, 0)?;
    }
    match scope {
        Scope::Model => start_means(manifest, storage),
        Scope::Everything => Ok(()),
    }
}

/// What keeps a file from being read in a public layout.
fn misfits(manifest: &Manifest, file: &Mapped, layout: &Layout) -> Vec<String> {
    let mut found: Vec<String> = placed(manifest, layout)
        .filter_map(|(place, weight)| frozen::check(file, place, weight).err())
        .collect();
    let ignored: Vec<_> = layout.ignored.iter().map(|p| pattern::tokens(p)).collect();
    for (key, _) in file.shapes() {
        let in_layout = layout.tensors.iter().any(|t| t.key == key);
        let used = in_layout || of_training(manifest).any(|w| w.key == key);
        if !used && !ignored.iter().any(|p| pattern::catch(p, key).is_some()) {
            found.push(format!("{} is not in the network", shown(key)));
        }
    }
    found
}

fn placed<'m>(
    manifest: &'m Manifest,
    layout: &'m Layout,
) -> impl Iterator<Item = (&'m Stored, &'m Weight)> {
    let weights: BTreeMap<&str, &Weight> = manifest
        .weights
        .iter()
        .map(|w| (w.key.as_str(), w))
        .collect();
    let pair = move |place: &'m Stored| Some((place, *weights.get(place.weight.as_str())?));
    layout.tensors.iter().filter_map(pair)
}

fn load_layout(
    manifest: &Manifest,
    storage: &mut dyn Buffer,
    file: &Mapped,
    layout: &Layout,
) -> Result<()> {
    placed(manifest, layout)
        .try_for_each(|(place, weight)| frozen::copy(file, place, weight, storage))
}

fn other_layout(manifest: &Manifest, file: &Mapped, layout: &Layout) -> String {
    let misfits = misfits(manifest, file, layout);
    let first = misfits.first().map_or("", String::as_str);
    let (name, n) = (&layout.name, misfits.len());
    format!("\n  nor does it have the layout {name}: {first} (1 of {n})")
}

/// Where a file keeps what a weight is loaded from: a checkpoint that training resumes from has the mean beside it.
fn key_in<'a>(file: &Mapped, manifest: &'a Manifest, weight: &'a Weight, scope: Scope) -> &'a str {
    let mean = manifest.mean_of(weight).filter(|_| scope == Scope::Model);
    let mean = mean.filter(|m| file.shape(&m.key) == Some(&weight.shape));
    mean.map_or(&weight.key, |m| &m.key)
}

/// What of a network's numbers a file holds: the model's, or more. Where it holds only a part of what training keeps,
/// that part is not left out in silence: as a file of everything it misses the rest.
pub fn scope_of(manifest: &Manifest, path: &Path) -> Result<Scope> {
    let file = Mapped::open(path)?;
    let is_there = |w: &Weight| file.shape(&w.key).is_some();
    Ok(match of_training(manifest).any(is_there) {
        true => Scope::Everything,
        false => Scope::Model,
    })
}

fn compare(manifest: &Manifest, file: &Mapped, scope: Scope) -> String {
    let (mut missing, mut shaped) = (Vec::new(), Vec::new());
    for weight in manifest.weights.iter().filter(|w| in_scope(w, scope)) {
        match file.shape(&weight.key) {
            None => missing.push(format!("{} {:?}", shown(&weight.key), weight.shape)),
            Some(shape) if shape != weight.shape => {
                shaped.push(format!(
                    "{}: {:?} in the file, {:?} in the network",
                    shown(&weight.key),
                    shape,
                    weight.shape
                ));
            }
            Some(_) => {}
        }
    }
    let unknown = |key: &&str| !manifest.weights.iter().any(|w| w.key == *key);
    let extra = file
        .shapes()
        .map(|t| t.0)
        .filter(unknown)
        .map(shown)
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

/// Writes all weights in scope, whole or not at all. A file for inference holds the running means, where there are any.
pub fn save(
    manifest: &Manifest,
    storage: &dyn Buffer,
    path: &Path,
    scope: Scope,
    extra: &BTreeMap<String, String>,
) -> Result<()> {
    let mut metadata = BTreeMap::from([("model".to_string(), manifest.model.name.clone())]);
    metadata.extend(extra.clone());
    let chosen = manifest.weights.iter().filter(|w| in_scope(w, scope));
    let kept = chosen.map(|w| {
        let mean = manifest.mean_of(w).filter(|_| scope == Scope::Model);
        Ok((w, values(storage, mean.unwrap_or(w))?))
    });
    let kept: Vec<(&Weight, Cow<'_, [f32]>)> = kept.collect::<Result<_>>()?;
    let views = kept.iter().map(|(w, data)| View {
        name: &w.key,
        shape: &w.shape,
        data,
    });
    tensors::write(path, &views.collect::<Vec<_>>(), &metadata)
}
