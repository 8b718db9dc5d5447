//! Rows and wires: heights of the layers, and in each gap a track for every net that must bend.

use super::layers::Segment;
use super::layout::{Grid, MARGIN, Path, Placed, Rect};

const TRACK: f64 = 10.0;
const LABEL_ROOM: f64 = 18.0;
const ABOVE: f64 = 12.0;
const BELOW: f64 = 18.0;
/// Shorter jogs are straightened where a box is wide enough.
const JOG: f64 = 5.0;

/// What a net does between two layers.
struct Bend {
    net: usize,
    from: f64,
    to: Vec<f64>,
    track: Option<usize>,
}

impl Bend {
    fn span(&self) -> (f64, f64) {
        let ends = self.to.iter().chain([&self.from]);
        ends.fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), x| {
            (lo.min(*x), hi.max(*x))
        })
    }
}

pub fn route(grid: &mut Grid) -> Placed {
    straighten(grid);
    let n_rows = grid.layers.rows.len();
    let mut bends: Vec<Vec<Bend>> = (0..n_rows).map(|row| bends_of(grid, row)).collect();
    let (mut boxes, mut tracks_at) = (
        vec![Rect::default(); grid.layers.n_parts],
        vec![0.0; n_rows],
    );
    let mut y = MARGIN;
    for row in 0..n_rows {
        let parts: Vec<usize> = grid.layers.rows[row]
            .iter()
            .copied()
            .filter(|v| *v < grid.layers.n_parts)
            .collect();
        let tallest = parts.iter().map(|p| grid.sizes[*p].1).fold(0.0, f64::max);
        for part in parts {
            let (w, h) = grid.sizes[part];
            let x = grid.x[part] - w / 2.0;
            boxes[part] = Rect {
                x,
                y: y + ((tallest - h) / 2.0).floor(),
                w,
                h,
            };
        }
        let n_tracks = assign(&mut bends[row]);
        let labelled = grid.layers.segments.iter().any(|s| {
            grid.layers.layer[s.upper] == row
                && s.upper < grid.layers.n_parts
                && !grid.layers.nets[s.net].label.is_empty()
        });
        y += tallest + if labelled { LABEL_ROOM } else { 0.0 };
        tracks_at[row] = y + ABOVE;
        y += ABOVE + TRACK * (n_tracks.max(1) - 1) as f64 + BELOW;
    }
    let last = grid.layers.rows.last().is_some();
    let height = y - if last { ABOVE + BELOW } else { 0.0 } + MARGIN;
    let wires = paths(grid, &boxes, &bends, &tracks_at);
    Placed {
        width: 0.0,
        height,
        boxes,
        wires,
    }
}

/// Small jogs at a box go: the port moves under its wire.
fn straighten(grid: &mut Grid) {
    for s in 0..grid.layers.segments.len() {
        let Segment { upper, lower, .. } = grid.layers.segments[s];
        let from = grid.x[upper] + grid.ends[s].upper;
        let to = grid.x[lower] + grid.ends[s].lower;
        if from == to || (from - to).abs() > JOG {
            continue;
        }
        if lower < grid.layers.n_parts && grid.sizes[lower].0 > 20.0 {
            grid.ends[s].lower += from - to;
        } else if upper < grid.layers.n_parts && grid.sizes[upper].0 > 20.0 {
            let shift = to - from;
            let net = grid.layers.segments[s].net;
            for other in 0..grid.layers.segments.len() {
                if (
                    grid.layers.segments[other].net,
                    grid.layers.segments[other].upper,
                ) == (net, upper)
                {
                    grid.ends[other].upper += shift;
                }
            }
        }
    }
}

fn bends_of(grid: &Grid, row: usize) -> Vec<Bend> {
    let mut bends: Vec<Bend> = vec![];
    for (s, ends) in grid.layers.segments.iter().zip(&grid.ends) {
        if grid.layers.layer[s.upper] != row {
            continue;
        }
        let (from, to) = (grid.x[s.upper] + ends.upper, grid.x[s.lower] + ends.lower);
        match bends.iter_mut().find(|t| t.net == s.net) {
            Some(bend) => bend.to.push(to),
            None => bends.push(Bend {
                net: s.net,
                from,
                to: vec![to],
                track: None,
            }),
        }
    }
    bends
}

/// Gives each bending net a track, so that no two lie on each other; returns how many tracks there are.
fn assign(bends: &mut [Bend]) -> usize {
    let bending: Vec<usize> = (0..bends.len())
        .filter(|t| {
            bends[*t]
                .to
                .iter()
                .any(|x| (x - bends[*t].from).abs() > 0.5)
        })
        .collect();
    // Where one starts in the column in which another ends, the first must bend above.
    let before =
        |a: usize, b: usize| a != b && bends[b].to.iter().any(|x| (x - bends[a].from).abs() < 4.0);
    let mut order: Vec<usize> = vec![];
    let mut left: Vec<usize> = bending.clone();
    left.sort_by(|a, b| {
        let width = |t: usize| bends[t].span().1 - bends[t].span().0;
        width(*a).total_cmp(&width(*b))
    });
    while !left.is_empty() {
        let free = left
            .iter()
            .position(|t| !left.iter().any(|o| before(*o, *t)))
            .unwrap_or(0);
        order.push(left.remove(free));
    }
    let mut tracks: Vec<Vec<(f64, f64)>> = vec![];
    let mut given: Vec<(usize, usize)> = vec![];
    for t in order {
        let (lo, hi) = bends[t].span();
        let least = given
            .iter()
            .filter(|g| before(g.0, t))
            .map(|g| g.1 + 1)
            .max()
            .unwrap_or(0);
        let fits =
            |track: &Vec<(f64, f64)>| track.iter().all(|(a, b)| hi + 6.0 < *a || *b < lo - 6.0);
        let track = (least..tracks.len())
            .find(|k| fits(&tracks[*k]))
            .unwrap_or(tracks.len().max(least));
        if track >= tracks.len() {
            tracks.resize(track + 1, vec![]);
        }
        tracks[track].push((lo, hi));
        given.push((t, track));
    }
    for (t, track) in given {
        bends[t].track = Some(track);
    }
    tracks.len()
}

fn paths(grid: &Grid, boxes: &[Rect], bends: &[Vec<Bend>], tracks_at: &[f64]) -> Vec<Path> {
    let layers = &grid.layers;
    let mut paths = vec![];
    for (number, net) in layers.nets.iter().enumerate() {
        for (at, &target) in net.targets.iter().enumerate() {
            let mut nodes = vec![net.source];
            nodes.extend(
                net.chain
                    .iter()
                    .filter(|p| layers.layer[**p] < layers.layer[target]),
            );
            nodes.push(target);
            let points = points(grid, boxes, bends, tracks_at, number, &nodes);
            let label = if at == 0 {
                net.label.clone()
            } else {
                String::new()
            };
            paths.push(Path {
                from: net.source,
                to: target,
                points,
                label,
                feedback: net.feedback,
            });
        }
    }
    paths
}

fn points(
    grid: &Grid,
    boxes: &[Rect],
    bends: &[Vec<Bend>],
    tracks_at: &[f64],
    net: usize,
    nodes: &[usize],
) -> Vec<(f64, f64)> {
    let layers = &grid.layers;
    let mut points: Vec<(f64, f64)> = vec![];
    for pair in nodes.windows(2) {
        let (upper, lower) = (pair[0], pair[1]);
        let segment = layers
            .segments
            .iter()
            .position(|s| (s.net, s.upper, s.lower) == (net, upper, lower));
        let Some(segment) = segment else { continue };
        let row = layers.layer[upper];
        let (from, to) = (
            grid.x[upper] + grid.ends[segment].upper,
            grid.x[lower] + grid.ends[segment].lower,
        );
        if points.is_empty() {
            points.push((from, edge(grid, boxes, upper, from, 1.0)));
        }
        if (from - to).abs() > 0.5 {
            let track = bends[row]
                .iter()
                .find(|t| t.net == net)
                .and_then(|t| t.track);
            let y = tracks_at[row] + TRACK * track.unwrap_or(0) as f64;
            points.extend([(from, y), (to, y)]);
        }
        if lower < layers.n_parts {
            points.push((to, edge(grid, boxes, lower, to, -1.0)));
        }
    }
    points
}

/// The lower (1) or upper (-1) edge of a part at x; small parts are round.
fn edge(grid: &Grid, boxes: &[Rect], part: usize, x: f64, side: f64) -> f64 {
    let r = &boxes[part];
    let middle = r.y + r.h / 2.0;
    if (grid.sizes[part].0 - grid.sizes[part].1).abs() < 0.5 {
        let dx = (x - grid.x[part]).abs().min(r.h / 2.0);
        return middle + side * (r.h * r.h / 4.0 - dx * dx).sqrt();
    }
    middle + side * r.h / 2.0
}
