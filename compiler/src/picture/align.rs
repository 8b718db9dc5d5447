//! Straight lines: points of one long wire, and boxes that follow each other alone, share a column.
//!
//! Enters columns that keep all distances; leaves columns that still do. Nodes are tied into groups that move as one,
//! as long as no two groups would have to stand left of each other.

use super::layers::{Layers, Segment};
use super::place::{Ends, Extent, distance};

const ROUNDS: usize = 40;

struct Ties {
    /// The group of each node.
    of: Vec<usize>,
    members: Vec<Vec<usize>>,
}

pub fn align(layers: &Layers, extents: &[Extent], ends: &[Ends], x: &mut [f64]) {
    let mut ties = Ties {
        of: (0..x.len()).collect(),
        members: (0..x.len()).map(|v| vec![v]).collect(),
    };
    let gaps = gaps(layers, extents);
    let mut segments: Vec<usize> = (0..layers.segments.len())
        .filter(|s| is_straight(layers, ends, *s))
        .collect();
    segments.sort_by_key(|s| std::cmp::Reverse(rank(layers, &layers.segments[*s])));
    for s in segments {
        let Segment { upper, lower, .. } = layers.segments[s];
        tie(&mut ties, upper, lower, &gaps);
    }
    start(&ties, &gaps, x);
    for round in 0..ROUNDS {
        relax(layers, &ties, &gaps, ends, x, round % 2 == 0);
    }
}

/// (left, right, distance) of all neighbours in a row.
fn gaps(layers: &Layers, extents: &[Extent]) -> Vec<(usize, usize, f64)> {
    let pairs = layers.rows.iter().flat_map(|row| row.windows(2));
    pairs
        .map(|p| (p[0], p[1], distance(layers, extents, p[0], p[1])))
        .collect()
}

/// Ends lie in the middle of both nodes.
fn is_straight(layers: &Layers, ends: &[Ends], s: usize) -> bool {
    let Segment { upper, lower, .. } = layers.segments[s];
    let is_point = |v: usize| v >= layers.n_parts;
    let only = |found: usize| found == 1;
    let leaving = layers.segments.iter().filter(|o| o.upper == upper).count();
    let entering = layers.segments.iter().filter(|o| o.lower == lower).count();
    let centred = ends[s].upper == 0.0 && ends[s].lower == 0.0;
    centred && (is_point(upper) || only(leaving)) && (is_point(lower) || only(entering))
}

fn rank(layers: &Layers, s: &Segment) -> usize {
    usize::from(s.upper >= layers.n_parts) + usize::from(s.lower >= layers.n_parts)
}

/// Makes one group of two, unless a group would then stand left of itself.
fn tie(ties: &mut Ties, a: usize, b: usize, gaps: &[(usize, usize, f64)]) {
    let (a, b) = (ties.of[a], ties.of[b]);
    if a == b {
        return;
    }
    let before = ties.of.clone();
    let moved = std::mem::take(&mut ties.members[b]);
    moved.iter().for_each(|v| ties.of[*v] = a);
    if sorted(ties, gaps).is_none() {
        ties.of = before;
        ties.members[b] = moved;
    } else {
        ties.members[a].extend(moved);
    }
}

/// Groups from left to right; None if they go in a circle.
fn sorted(ties: &Ties, gaps: &[(usize, usize, f64)]) -> Option<Vec<usize>> {
    let n = ties.of.len();
    let mut next: Vec<Vec<usize>> = vec![vec![]; n];
    let mut waiting = vec![0; n];
    for (left, right, _) in gaps {
        let (left, right) = (ties.of[*left], ties.of[*right]);
        if left == right {
            return None;
        }
        next[left].push(right);
        waiting[right] += 1;
    }
    let mut ready: Vec<usize> = (0..n).filter(|v| waiting[*v] == 0).collect();
    let mut order = vec![];
    while let Some(at) = ready.pop() {
        order.push(at);
        for to in &next[at] {
            waiting[*to] -= 1;
            if waiting[*to] == 0 {
                ready.push(*to);
            }
        }
    }
    (order.len() == n).then_some(order)
}

/// Every group at the mean of its nodes, pushed right as far as its left neighbours demand.
fn start(ties: &Ties, gaps: &[(usize, usize, f64)], x: &mut [f64]) {
    let order = sorted(ties, gaps).expect("ties keep groups in order");
    let mut column: Vec<f64> = ties
        .members
        .iter()
        .map(|m| m.iter().map(|v| x[*v]).sum::<f64>() / m.len().max(1) as f64)
        .collect();
    let mut after: Vec<Vec<(usize, f64)>> = vec![vec![]; column.len()];
    for (left, right, d) in gaps {
        after[ties.of[*left]].push((ties.of[*right], *d));
    }
    for group in order {
        for (right, d) in &after[group] {
            column[*right] = column[*right].max(column[group] + d);
        }
    }
    for (v, group) in ties.of.iter().enumerate() {
        x[v] = column[*group];
    }
}

/// Moves each group towards its neighbours above and below, as far as those beside it allow.
fn relax(
    layers: &Layers,
    ties: &Ties,
    gaps: &[(usize, usize, f64)],
    ends: &[Ends],
    x: &mut [f64],
    from_right: bool,
) {
    let n = ties.members.len();
    let mut wish = vec![(0.0, 0.0); n];
    let mut wire = |group: usize, to: f64| {
        wish[group].0 += to;
        wish[group].1 += 1.0;
    };
    for (s, e) in layers.segments.iter().zip(ends) {
        let (upper, lower) = (ties.of[s.upper], ties.of[s.lower]);
        if upper != lower {
            wire(lower, x[s.upper] + e.upper - e.lower);
            wire(upper, x[s.lower] + e.lower - e.upper);
        }
    }
    let mut groups: Vec<usize> = (0..n).filter(|g| !ties.members[*g].is_empty()).collect();
    let column = |g: &usize| x[ties.members[*g][0]];
    groups.sort_by(|a, b| column(a).total_cmp(&column(b)));
    if from_right {
        groups.reverse();
    }
    for group in groups {
        let (sum, weight) = wish[group];
        if weight == 0.0 {
            continue;
        }
        let (mut low, mut high) = (f64::NEG_INFINITY, f64::INFINITY);
        for (left, right, d) in gaps {
            if ties.of[*right] == group {
                low = f64::max(low, x[*left] + d);
            }
            if ties.of[*left] == group {
                high = f64::min(high, x[*right] - d);
            }
        }
        if low <= high {
            let to = (sum / weight).clamp(low, high);
            ties.members[group].iter().for_each(|v| x[*v] = to);
        }
    }
}
