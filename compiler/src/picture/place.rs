//! Columns: where each part and point stands from left to right. Wires should run straight; nothing may overlap.
//!
//! Each layer in turn is placed exactly: the least squares from where its neighbours want it, under fixed order and
//! distances (pool adjacent violators).

use super::layers::{Layers, Segment};
use super::order::places;

const GAP: f64 = 28.0;
const POINT_GAP: f64 = 16.0;
const PASSES: usize = 12;

/// How far a part reaches left and right of its middle, labels included.
#[derive(Clone, Copy)]
pub struct Extent {
    pub left: f64,
    pub right: f64,
}

/// Offsets of a segment's ends from the middles of its parts.
#[derive(Clone, Copy, Default)]
pub struct Ends {
    pub upper: f64,
    pub lower: f64,
}

/// Ports: where wires leave and enter, so that they do not cross before they have begun.
pub fn ends(layers: &Layers, widths: &[f64], label_widths: &[f64]) -> Vec<Ends> {
    let place = places(layers);
    let mut ends = vec![Ends::default(); layers.segments.len()];
    for part in 0..layers.n_parts {
        spread_out(layers, &place, part, widths[part], label_widths, &mut ends);
        let mut entering: Vec<usize> = (0..layers.segments.len())
            .filter(|s| layers.segments[*s].lower == part)
            .collect();
        entering.sort_by_key(|s| (place[layers.segments[*s].upper], layers.segments[*s].net));
        let step = step(entering.len(), widths[part], 18.0);
        for (at, s) in entering.iter().enumerate() {
            ends[*s].lower = centred(at, entering.len(), step);
        }
    }
    ends
}

fn centred(at: usize, n: usize, step: f64) -> f64 {
    (at as f64 - (n as f64 - 1.0) / 2.0) * step
}

fn step(n: usize, width: f64, wanted: f64) -> f64 {
    if n < 2 {
        0.0
    } else {
        wanted.min((width - 16.0).max(0.0) / (n as f64 - 1.0))
    }
}

/// Wires that leave, net by net, each with room for its label.
fn spread_out(
    layers: &Layers,
    place: &[usize],
    part: usize,
    width: f64,
    label_widths: &[f64],
    ends: &mut [Ends],
) {
    let mut nets: Vec<(f64, usize)> = vec![];
    for number in (0..layers.nets.len()).filter(|n| layers.nets[*n].source == part) {
        let below: Vec<f64> = layers
            .segments
            .iter()
            .filter(|s| s.net == number && s.upper == part)
            .map(|s| place[s.lower] as f64)
            .collect();
        let mean = below.iter().sum::<f64>() / below.len().max(1) as f64;
        nets.push((mean, number));
    }
    nets.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let widest = nets.iter().map(|n| label_widths[n.1]).fold(0.0, f64::max);
    let step = step(nets.len(), width, (widest + 14.0).max(18.0));
    for (at, (_, number)) in nets.iter().enumerate() {
        let offset = centred(at, nets.len(), step);
        for (s, segment) in layers.segments.iter().enumerate() {
            if segment.net == *number && segment.upper == part {
                ends[s].upper = offset;
            }
        }
    }
}

/// Middles of all parts and points.
pub fn columns(layers: &Layers, extents: &[Extent], ends: &[Ends]) -> Vec<f64> {
    let mut x = vec![0.0; layers.layer.len()];
    for row in &layers.rows {
        pack(layers, row, extents, &mut x);
    }
    let n = layers.rows.len();
    for pass in 0..PASSES {
        for at in 1..n {
            settle(
                layers,
                at,
                (true, pass >= PASSES / 2),
                extents,
                ends,
                &mut x,
            );
        }
        for at in (0..n.saturating_sub(1)).rev() {
            settle(
                layers,
                at,
                (pass >= PASSES / 2, true),
                extents,
                ends,
                &mut x,
            );
        }
    }
    x
}

pub fn distance(layers: &Layers, extents: &[Extent], left: usize, right: usize) -> f64 {
    let is_point = |v: usize| v >= layers.n_parts;
    let gap = if is_point(left) || is_point(right) {
        POINT_GAP
    } else {
        GAP
    };
    extents[left].right + extents[right].left + gap
}

fn pack(layers: &Layers, row: &[usize], extents: &[Extent], x: &mut [f64]) {
    let mut at = 0.0;
    for (i, node) in row.iter().enumerate() {
        if i > 0 {
            at += distance(layers, extents, row[i - 1], *node);
        }
        x[*node] = at;
    }
    row.iter().for_each(|node| x[*node] -= at / 2.0);
}

/// Long wires are the first to be straight.
fn weight(layers: &Layers, s: &Segment) -> f64 {
    match (s.upper >= layers.n_parts, s.lower >= layers.n_parts) {
        (true, true) => 8.0,
        (false, false) => 2.0,
        _ => 3.0,
    }
}

/// Places one layer by its neighbours above, below, or both.
fn settle(
    layers: &Layers,
    at: usize,
    (above, below): (bool, bool),
    extents: &[Extent],
    ends: &[Ends],
    x: &mut [f64],
) {
    let row = &layers.rows[at];
    let mut wanted = vec![(0.0, 0.0); layers.layer.len()];
    for (s, e) in layers.segments.iter().zip(ends) {
        let w = weight(layers, s);
        if above && layers.layer[s.lower] == at {
            let x = x[s.upper] + e.upper - e.lower;
            wanted[s.lower].0 += w * x;
            wanted[s.lower].1 += w;
        }
        if below && layers.layer[s.upper] == at {
            let x = x[s.lower] + e.lower - e.upper;
            wanted[s.upper].0 += w * x;
            wanted[s.upper].1 += w;
        }
    }
    let mut targets = vec![];
    let mut start = 0.0;
    for (i, node) in row.iter().enumerate() {
        if i > 0 {
            start += distance(layers, extents, row[i - 1], *node);
        }
        let (sum, w) = wanted[*node];
        let (wish, w) = if w > 0.0 {
            (sum / w, w)
        } else {
            (x[*node], 0.05)
        };
        targets.push((wish - start, w, start));
    }
    for ((node, y), (_, _, start)) in row.iter().zip(rising(&targets)).zip(&targets) {
        x[*node] = y + start;
    }
}

/// The rising sequence nearest to the wishes.
fn rising(targets: &[(f64, f64, f64)]) -> Vec<f64> {
    // (mean, weight, count) of each pool.
    let mut pools: Vec<(f64, f64, usize)> = vec![];
    for (wish, weight, _) in targets {
        pools.push((*wish, *weight, 1));
        while let [.., a, b] = pools[..]
            && a.0 > b.0
        {
            pools.truncate(pools.len() - 2);
            let weight = a.1 + b.1;
            pools.push(((a.0 * a.1 + b.0 * b.1) / weight, weight, a.2 + b.2));
        }
    }
    pools
        .iter()
        .flat_map(|(mean, _, n)| std::iter::repeat_n(*mean, *n))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_rising_sequence() {
        let of = |wishes: &[f64]| -> Vec<f64> {
            rising(&wishes.iter().map(|w| (*w, 1.0, 0.0)).collect::<Vec<_>>())
        };
        assert_eq!(of(&[1.0, 2.0, 3.0]), [1.0, 2.0, 3.0]);
        assert_eq!(of(&[3.0, 1.0]), [2.0, 2.0]);
        assert_eq!(of(&[1.0, 5.0, 3.0, 7.0]), [1.0, 4.0, 4.0, 7.0]);
    }
}
