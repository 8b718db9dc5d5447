//! When the stored weights that an entry folds are read for the last time.
//!
//! Enters a manifest; leaves the setup list in steps, with the storage that nobody reads after each. The compiler prints
//! what stays, the runtime gives the rest back to the system. No memory is touched here.

use crate::manifest::{Entry, Launch, Manifest, Place, Weight};
use std::collections::BTreeMap;
use std::ops::Range;

/// Bytes that are worth a step of their own.
const WORTH: u64 = 1 << 20;
/// Weights lie at most so far apart without anything in between.
const GAP: u64 = 64;

/// A part of an entry's setup list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub launches: Range<usize>,
    /// All storage that is not read any more after it, in order.
    pub done: Vec<Range<u64>>,
}

/// The setup list of an entry in steps. Weights that `kept` names are never done.
pub fn steps(manifest: &Manifest, entry: &Entry, kept: &dyn Fn(&Weight) -> bool) -> Vec<Step> {
    let mut last: BTreeMap<u64, usize> = BTreeMap::new();
    for (i, launch) in entry.setup.iter().enumerate() {
        last.extend(stored(launch).map(|at| (at, i)));
    }
    let mut weights: Vec<&Weight> = manifest.weights.iter().filter(|w| !kept(w)).collect();
    weights.sort_by_key(|w| w.offset);
    let last = |w: &Weight| last.get(&w.offset).copied().unwrap_or(0);
    let (mut steps, mut first, mut fresh) = (vec![], 0, 0);
    for i in 0..entry.setup.len() {
        let ends = weights.iter().filter(|w| last(w) == i);
        fresh += ends.map(|w| bytes(w)).sum::<u64>();
        if fresh >= WORTH || i + 1 == entry.setup.len() {
            let done = weights.iter().filter(|w| last(w) <= i);
            steps.push(Step {
                launches: first..i + 1,
                done: joined(done.map(|w| w.offset..w.offset + bytes(w))),
            });
            (first, fresh) = (i + 1, 0);
        }
    }
    steps
}

/// Whether launches read a weight, or write it.
pub fn touches(launches: &[Launch], weight: &Weight) -> bool {
    let mut all = launches.iter().flat_map(stored);
    all.any(|at| at == weight.offset)
}

/// Bytes of stored weights that an entry needs at every run, beside what it has folded.
pub fn kept_bytes(manifest: &Manifest, entry: &Entry) -> u64 {
    let kept = manifest.weights.iter();
    kept.filter(|w| touches(&entry.launches, w))
        .map(bytes)
        .sum()
}

fn stored(launch: &Launch) -> impl Iterator<Item = u64> {
    launch.buffers.iter().filter_map(|place| match place {
        Place::Storage(at) => Some(*at),
        _ => None,
    })
}

fn bytes(weight: &Weight) -> u64 {
    4 * weight.shape.iter().product::<u64>()
}

fn joined(ranges: impl Iterator<Item = Range<u64>>) -> Vec<Range<u64>> {
    let mut out: Vec<Range<u64>> = vec![];
    for range in ranges {
        match out.last_mut().filter(|o| range.start < o.end + GAP) {
            Some(before) => before.end = range.end,
            None => out.push(range),
        }
    }
    out
}
