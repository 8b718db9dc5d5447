//! When the stored weights that an entry folds are read for the last time.
//!
//! Enters a manifest; leaves the setup list in steps, with the storage that nobody reads after each. The compiler
//! prints what stays, the runtime gives the rest back to the system. No memory is touched here.

use crate::manifest::{Entry, Launch, Manifest, Place, Weight, WeightKind};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Bytes that are worth a step of their own.
const WORTH: u64 = 1 << 20;
/// Weights lie at most so far apart without anything in between.
const GAP: u64 = 64;

/// A part of an entry's setup list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub launches: Range<usize>,
    /// All storage that is not read any more after it, that of earlier steps included, in order.
    pub done: Vec<Range<u64>>,
}

/// The setup list of an entry in steps. Weights at the offsets in `kept` are never done.
pub fn steps(manifest: &Manifest, entry: &Entry, kept: &BTreeSet<u64>) -> Vec<Step> {
    let mut last: BTreeMap<u64, usize> = BTreeMap::new();
    for (i, launch) in entry.setup.iter().enumerate() {
        last.extend(stored(launch).map(|at| (at, i)));
    }
    // With the launch that reads it last; what none reads is done with the first.
    let last = |w: &Weight| last.get(&w.offset).copied().unwrap_or(0);
    let ends = manifest
        .weights
        .iter()
        .filter(|w| !kept.contains(&w.offset));
    let mut ends: Vec<(usize, &Weight)> = ends.map(|w| (last(w), w)).collect();
    ends.sort_by_key(|(_, w)| w.offset);
    let (mut steps, mut first, mut fresh) = (vec![], 0, 0);
    for i in 0..entry.setup.len() {
        fresh += ends
            .iter()
            .filter(|e| e.0 == i)
            .map(|e| bytes(e.1))
            .sum::<u64>();
        if fresh >= WORTH || i + 1 == entry.setup.len() {
            let done = ends.iter().filter(|e| e.0 <= i).map(|e| e.1);
            steps.push(Step {
                launches: first..i + 1,
                done: joined(done.map(|w| w.offset..w.offset + bytes(w))),
            });
            (first, fresh) = (i + 1, 0);
        }
    }
    steps
}

/// Offsets of the stored weights that launches touch.
pub fn touched(launches: &[Launch]) -> BTreeSet<u64> {
    launches.iter().flat_map(stored).collect()
}

/// Bytes of stored weights that an entry needs at every run, beside what it has folded.
pub fn kept_bytes(manifest: &Manifest, entry: &Entry) -> u64 {
    let kept = touched(&entry.launches);
    let kept = manifest.weights.iter().filter(|w| kept.contains(&w.offset));
    kept.map(bytes).sum()
}

/// The most bytes that stored and folded weights take together at any time, while an entry that runs alone folds.
pub fn most_bytes(manifest: &Manifest, entry: &Entry) -> u64 {
    let model = manifest.weights.iter();
    let model = model.filter(|w| !matches!(w.kind, WeightKind::Optimizer { .. }));
    let all: u64 = model.map(bytes).sum();
    let after = kept_bytes(manifest, entry) + entry.folded_bytes;
    let mut left = all;
    let mut most = after;
    for step in steps(manifest, entry, &touched(&entry.launches)) {
        let made = made(entry, &entry.setup[..step.launches.end]);
        most = most.max(left + made);
        left = all.saturating_sub(step.done.iter().map(|r| r.end - r.start).sum());
    }
    most
}

/// Bytes of folded weights that the first launches of the setup list touch.
fn made(entry: &Entry, launches: &[Launch]) -> u64 {
    let places = |list: &[Launch]| -> BTreeSet<u64> {
        let places = list.iter().flat_map(|l| &l.buffers);
        let at = places.filter_map(|place| match place {
            Place::Folded(at) => Some(*at),
            _ => None,
        });
        at.collect()
    };
    let all = places(&entry.setup);
    let end = |at: &u64| all.range(at + 1..).next().copied();
    let sizes = places(launches);
    let sizes = sizes
        .iter()
        .map(|at| end(at).unwrap_or(entry.folded_bytes) - at);
    sizes.sum()
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
