//! The order within layers: barycentres, downwards and upwards in turn; the order with the fewest crossings is kept.

use super::layers::Layers;

const SWEEPS: usize = 16;

pub fn order(layers: &mut Layers) {
    let mut best = layers.rows.clone();
    let mut least = crossings(layers);
    for sweep in 0..SWEEPS {
        let down = sweep % 2 == 0;
        let n = layers.rows.len();
        for step in 1..n {
            let at = if down { step } else { n - 1 - step };
            sort_row(layers, at, down);
        }
        let now = crossings(layers);
        if now < least {
            (least, best) = (now, layers.rows.clone());
        }
        if least == 0 {
            break;
        }
    }
    layers.rows = best;
}

/// The place of each node in its row.
pub fn places(layers: &Layers) -> Vec<usize> {
    let mut place = vec![0; layers.layer.len()];
    for row in &layers.rows {
        row.iter()
            .enumerate()
            .for_each(|(at, node)| place[*node] = at);
    }
    place
}

fn sort_row(layers: &mut Layers, at: usize, down: bool) {
    let place = places(layers);
    let mut sum = vec![(0.0, 0usize); layers.layer.len()];
    for s in &layers.segments {
        let (node, neighbour) = if down {
            (s.lower, s.upper)
        } else {
            (s.upper, s.lower)
        };
        if layers.layer[node] == at {
            let width = layers.rows[layers.layer[neighbour]].len().max(1);
            sum[node].0 += (place[neighbour] as f64 + 0.5) / width as f64;
            sum[node].1 += 1;
        }
    }
    let width = layers.rows[at].len().max(1) as f64;
    let centre = |node: &usize| match sum[*node] {
        (_, 0) => (place[*node] as f64 + 0.5) / width,
        (total, n) => total / n as f64,
    };
    let mut row = std::mem::take(&mut layers.rows[at]);
    row.sort_by(|a, b| centre(a).total_cmp(&centre(b)));
    layers.rows[at] = row;
}

fn crossings(layers: &Layers) -> usize {
    let place = places(layers);
    let mut by_row: Vec<Vec<(usize, usize)>> = vec![vec![]; layers.rows.len()];
    for s in &layers.segments {
        by_row[layers.layer[s.upper]].push((place[s.upper], place[s.lower]));
    }
    let crossed = |a: &(usize, usize), b: &(usize, usize)| {
        (a.0 < b.0 && a.1 > b.1) || (a.0 > b.0 && a.1 < b.1)
    };
    let of_row = |row: &Vec<(usize, usize)>| {
        let pairs = (0..row.len()).flat_map(|i| (i + 1..row.len()).map(move |j| (i, j)));
        pairs.filter(|(i, j)| crossed(&row[*i], &row[*j])).count()
    };
    by_row.iter().map(of_row).sum()
}
