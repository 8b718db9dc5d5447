//! A scene gets coordinates: boxes from top to bottom, wires at right angles in the gaps between layers.
//!
//! Enters parts and wires; leaves rectangles and polylines in pixels. A wire never runs through a box: where it passes
//! a layer, a point keeps a column free for it.

use super::align;
use super::layers::{self, Layers};
use super::measure;
use super::order;
use super::place::{self, Ends, Extent};
use super::route;
use super::scene::Scene;

pub const MARGIN: f64 = 16.0;

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rect {
    pub x: f64,
    pub y: f64,
    pub w: f64,
    pub h: f64,
}

impl Rect {
    pub fn middle(&self) -> f64 {
        self.x + self.w / 2.0
    }

    pub fn bottom(&self) -> f64 {
        self.y + self.h
    }

    pub fn right(&self) -> f64 {
        self.x + self.w
    }
}

/// A wire from a part's lower edge to another's upper edge.
#[derive(Clone, Debug, PartialEq)]
pub struct Path {
    pub from: usize,
    pub to: usize,
    pub points: Vec<(f64, f64)>,
    /// Stands right of the start; empty: another wire of the same value has it.
    pub label: String,
    /// Points against the flow: the arrow is at the start.
    pub feedback: bool,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Placed {
    pub width: f64,
    pub height: f64,
    pub boxes: Vec<Rect>,
    pub wires: Vec<Path>,
}

/// Everything that is known when wires are routed.
pub struct Grid {
    pub layers: Layers,
    /// Middles.
    pub x: Vec<f64>,
    pub ends: Vec<Ends>,
    /// Widths and heights of the parts.
    pub sizes: Vec<(f64, f64)>,
}

pub fn layout(scene: &Scene) -> Placed {
    let mut layers = layers::layers(scene);
    order::order(&mut layers);
    let label_widths: Vec<f64> = layers
        .nets
        .iter()
        .map(|n| measure::width(&n.label, measure::LABEL))
        .collect();
    let sizes = sizes(scene, &layers, &label_widths);
    let widths: Vec<f64> = sizes.iter().map(|s| s.0).collect();
    let ends = place::ends(&layers, &widths, &label_widths);
    let extents = extents(&layers, &widths, &label_widths, &ends);
    let mut x = place::columns(&layers, &extents, &ends);
    align::align(&layers, &extents, &ends, &mut x);
    let left = extents
        .iter()
        .zip(&x)
        .map(|(e, x)| x - e.left)
        .fold(f64::INFINITY, f64::min);
    let x: Vec<f64> = x.iter().map(|x| (x - left + MARGIN).round()).collect();
    let right = extents
        .iter()
        .zip(&x)
        .map(|(e, x)| x + e.right)
        .fold(0.0, f64::max);
    let mut grid = Grid {
        layers,
        x,
        ends,
        sizes,
    };
    let mut placed = route::route(&mut grid);
    placed.width = right + MARGIN;
    placed
}

/// Parts are as wide as their texts, and as the labels of what leaves them.
fn sizes(scene: &Scene, layers: &Layers, label_widths: &[f64]) -> Vec<(f64, f64)> {
    let mut sizes: Vec<(f64, f64)> = scene.parts.iter().map(measure::size).collect();
    for (part, size) in sizes.iter_mut().enumerate() {
        let nets: Vec<usize> = (0..layers.nets.len())
            .filter(|n| layers.nets[*n].source == part)
            .collect();
        if nets.len() > 1 && size.0 > measure::CIRCLE {
            let widest = nets.iter().map(|n| label_widths[*n]).fold(0.0, f64::max);
            size.0 = size
                .0
                .max((nets.len() as f64 - 1.0) * (widest + 14.0) + 28.0);
        }
    }
    sizes
}

fn extents(layers: &Layers, widths: &[f64], label_widths: &[f64], ends: &[Ends]) -> Vec<Extent> {
    let half = |w: &f64| Extent {
        left: w / 2.0,
        right: w / 2.0,
    };
    let mut extents: Vec<Extent> = widths.iter().map(half).collect();
    extents.resize(
        layers.layer.len(),
        Extent {
            left: 2.0,
            right: 2.0,
        },
    );
    for (s, e) in layers.segments.iter().zip(ends) {
        if s.upper < layers.n_parts && label_widths[s.net] > 0.0 {
            let right = e.upper + 6.0 + label_widths[s.net];
            extents[s.upper].right = extents[s.upper].right.max(right);
        }
    }
    extents
}
