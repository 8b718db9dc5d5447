//! What an artifact says of its text: the model, its training, where frozen weights lie, how checkpoints hold weights.
//!
//! Enters what was elaborated; leaves the manifest's part of it, and the texts under names of their own. No name says where
//! anything lies on this machine.

use super::Header;
use crate::diag::Sources;
use crate::sema::{self, Elaborated, TrainInfo, WeightKind};
use std::collections::BTreeSet;
use vsr_artifact::manifest::{
    Absent, Frozen, FrozenTensor, Layout, Model, Place, Port, Stored, Train,
};

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
pub fn files(sources: &Sources, e: &Elaborated) -> Vec<(String, Vec<u8>)> {
    let mut taken = BTreeSet::new();
    let mut file = |(id, name): &(u32, String)| {
        let name = unique(source_name(name), &mut taken);
        (name, sources.text(*id).as_bytes().to_vec())
    };
    e.texts.iter().map(&mut file).collect()
}

pub fn header(e: &Elaborated, files: &[(String, Vec<u8>)]) -> (Header, Vec<(String, String)>) {
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
