//! From wires to layers: each part below all that feed it, long wires cut by points that keep a column free.

use super::scene::Scene;
use std::collections::BTreeMap;

/// One value on its way: from a part to all that read it.
#[derive(Clone, Debug)]
pub struct Net {
    pub source: usize,
    pub targets: Vec<usize>,
    pub label: String,
    /// Runs upwards: the source is what it leads to.
    pub feedback: bool,
    /// Points between the layers, from top to bottom.
    pub chain: Vec<usize>,
}

/// A piece of a net between two neighbouring layers.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    pub net: usize,
    pub upper: usize,
    pub lower: usize,
}

pub struct Layers {
    pub nets: Vec<Net>,
    /// Parts first, then points.
    pub layer: Vec<usize>,
    pub n_parts: usize,
    pub segments: Vec<Segment>,
    pub rows: Vec<Vec<usize>>,
}

pub fn layers(scene: &Scene) -> Layers {
    let mut nets = nets(scene);
    let n_parts = scene.parts.len();
    let mut layer = longest_paths(n_parts, &nets);
    let mut segments = vec![];
    for (number, net) in nets.iter_mut().enumerate() {
        let lowest = net.targets.iter().map(|t| layer[*t]).max().unwrap_or(0);
        let mut upper = net.source;
        for at in layer[net.source] + 1..=lowest {
            for &target in net.targets.iter().filter(|t| layer[**t] == at) {
                segments.push(Segment {
                    net: number,
                    upper,
                    lower: target,
                });
            }
            if at < lowest {
                let point = layer.len();
                layer.push(at);
                net.chain.push(point);
                segments.push(Segment {
                    net: number,
                    upper,
                    lower: point,
                });
                upper = point;
            }
        }
    }
    let n_rows = layer.iter().max().map_or(0, |m| m + 1);
    let mut rows = vec![vec![]; n_rows];
    layer
        .iter()
        .enumerate()
        .for_each(|(node, at)| rows[*at].push(node));
    Layers {
        nets,
        layer,
        n_parts,
        segments,
        rows,
    }
}

fn nets(scene: &Scene) -> Vec<Net> {
    let mut by_value: BTreeMap<(usize, usize, bool, &str), Vec<usize>> = BTreeMap::new();
    for wire in &scene.wires {
        let (from, to) = if wire.feedback {
            (wire.to, wire.from)
        } else {
            (wire.from, wire.to)
        };
        let key = (
            from,
            if wire.feedback { wire.from } else { wire.value },
            wire.feedback,
            wire.label.as_str(),
        );
        let targets = by_value.entry(key).or_default();
        if !targets.contains(&to) {
            targets.push(to);
        }
    }
    let net =
        |((source, _, feedback, label), targets): ((usize, usize, bool, &str), Vec<usize>)| Net {
            source,
            targets,
            label: if feedback {
                String::new()
            } else {
                label.to_string()
            },
            feedback,
            chain: vec![],
        };
    by_value.into_iter().map(net).collect()
}

/// As far down as what feeds it demands; what nothing feeds stands right above its first reader.
fn longest_paths(n: usize, nets: &[Net]) -> Vec<usize> {
    let edges: Vec<(usize, usize)> = nets
        .iter()
        .flat_map(|net| net.targets.iter().map(|t| (net.source, *t)))
        .collect();
    let mut waiting = vec![0; n];
    edges.iter().for_each(|e| waiting[e.1] += 1);
    let is_fed: Vec<bool> = waiting.iter().map(|w| *w > 0).collect();
    let mut layer = vec![0usize; n];
    let mut ready: Vec<usize> = (0..n).filter(|v| waiting[*v] == 0).collect();
    while let Some(at) = ready.pop() {
        for (_, to) in edges.iter().filter(|e| e.0 == at) {
            layer[*to] = layer[*to].max(layer[at] + 1);
            waiting[*to] -= 1;
            if waiting[*to] == 0 {
                ready.push(*to);
            }
        }
    }
    for at in (0..n).filter(|v| !is_fed[*v]) {
        let first = edges.iter().filter(|e| e.0 == at).map(|e| layer[e.1]).min();
        layer[at] = first.map_or(0, |l| l.saturating_sub(1));
    }
    layer
}
