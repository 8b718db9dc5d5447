//! One level of a network as boxes and wires.
//!
//! Enters a level; leaves a scene. Layers that run again with the same weights are one box, and all values between the
//! same two boxes are one wire.

use super::cycles;
use super::level::{GONE, Item, Level, Stage};
use super::names;
use super::tree::Kind;
use crate::ir::graph::{NodeId, Op};
use std::collections::{BTreeMap, BTreeSet, HashMap};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Where tensors enter or leave.
    Terminal,
    Box,
    /// Without weights.
    Plain,
    Circle,
}

#[derive(Clone, Debug)]
pub struct Part {
    pub shape: Shape,
    pub title: String,
    pub lines: Vec<String>,
    /// What decides the colour.
    pub colour: String,
    /// The scene inside.
    pub inner: Option<usize>,
    /// So many alike, one after the other.
    pub repeat: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wire {
    pub from: usize,
    pub to: usize,
    /// Wires of one value.
    pub value: usize,
    /// The value's shape.
    pub label: String,
    /// Against the flow: from one application of a layer to the next.
    pub feedback: bool,
}

#[derive(Clone, Debug, Default)]
pub struct Scene {
    pub parts: Vec<Part>,
    pub wires: Vec<Wire>,
}

impl Stage<'_> {
    /// Parts and wires; `inner` knows the scenes of groups.
    pub fn scene(&self, mut level: Level, inner: &HashMap<usize, usize>) -> Scene {
        self.absorb(&mut level);
        while cycles::merge(self, &mut level) {}
        self.same_values(&mut level);
        let feedback = cycles::feedback(&level);
        let kept: Vec<usize> = (0..level.items.len())
            .filter(|at| level.items[*at] != GONE)
            .collect();
        let number: HashMap<usize, usize> =
            kept.iter().enumerate().map(|(n, at)| (*at, n)).collect();
        let parts = kept
            .iter()
            .map(|at| self.part(&level, *at, inner))
            .collect();
        let mut seen = BTreeSet::new();
        let mut wires = vec![];
        for (from, to, node) in &level.edges {
            if from != to && seen.insert((*from, *to, *node)) {
                wires.push(Wire {
                    from: number[from],
                    to: number[to],
                    value: *node,
                    label: self.shape(*node),
                    feedback: feedback.contains(&(*from, *to)),
                });
            }
        }
        let mut scene = Scene { parts, wires };
        scene.join_alike();
        scene
    }

    /// What a layer gives each time it is applied is one value, as far as its shape is.
    fn same_values(&self, level: &mut Level) {
        let uses = |at: usize| match level.items[at] {
            Item::Group(group) => self.tree.groups[group].n_uses,
            _ => 1,
        };
        let mut first: BTreeMap<(usize, String), usize> = BTreeMap::new();
        let edges = level.edges.iter().map(|(from, to, node)| {
            if level.joined.contains(from) || uses(*from) > 1 {
                let same = first.entry((*from, self.shape(*node))).or_insert(*node);
                return (*from, *to, *same);
            }
            (*from, *to, *node)
        });
        level.edges = edges.collect();
    }

    fn part(&self, level: &Level, at: usize, inner: &HashMap<usize, usize>) -> Part {
        let mut part = match level.items[at] {
            Item::In(node) => terminal(self.input_name(level.group, node)),
            Item::Out(number) if level.group == 0 => terminal(self.graph.outputs[number].0.clone()),
            Item::Out(_) => terminal(String::new()),
            Item::Group(group) => self.group(group, level.group, inner.get(&group).copied()),
            Item::Loose(node) => loose(self.name(node)),
        };
        part.lines
            .extend(level.added.get(&at).into_iter().flatten().cloned());
        part
    }

    fn input_name(&self, group: usize, node: usize) -> String {
        if let Op::Input { name } = &self.graph.node(NodeId::from(node as u32)).op
            && group == 0
        {
            return name.clone();
        }
        let named = self.tree.groups[group]
            .inputs
            .iter()
            .find(|(n, _)| *n == node);
        named.map(|(_, name)| name.clone()).unwrap_or_default()
    }

    fn group(&self, group: usize, within: usize, inner: Option<usize>) -> Part {
        let g = &self.tree.groups[group];
        let base = &self.tree.groups[within].path;
        let label = match base.as_str() {
            "" => g.path.as_str(),
            base => g
                .path
                .strip_prefix(base)
                .unwrap_or(&g.path)
                .trim_start_matches('.'),
        };
        let mut lines = vec![];
        if !g.details.is_empty() && g.kind != Kind::Op {
            lines.push(g.details.clone());
        }
        if g.kind != Kind::Op && !label.is_empty() && g.kind != Kind::Namespace {
            lines.push(format!("@{label}"));
        }
        if g.parameters > 0 {
            lines.push(format!("{} parameters", crate::report::count(g.parameters)));
        }
        let title = match g.kind {
            Kind::Namespace => label.to_string(),
            _ if g.n_uses > 1 => format!("{} (\u{d7}{} shared)", g.name, g.n_uses),
            _ => g.name.clone(),
        };
        Part {
            shape: if g.parameters > 0 {
                Shape::Box
            } else {
                Shape::Plain
            },
            title,
            lines,
            colour: g.name.clone(),
            inner,
            repeat: 1,
        }
    }
}

fn terminal(title: String) -> Part {
    Part {
        shape: Shape::Terminal,
        title,
        lines: vec![],
        colour: String::new(),
        inner: None,
        repeat: 1,
    }
}

fn loose(name: String) -> Part {
    Part {
        shape: if names::is_operator(&name) {
            Shape::Circle
        } else {
            Shape::Plain
        },
        title: name,
        ..terminal(String::new())
    }
}

impl Scene {
    /// Several values between the same two boxes are one wire with all their shapes.
    fn join_alike(&mut self) {
        let mut by_ends: BTreeMap<(usize, usize, bool), Vec<usize>> = BTreeMap::new();
        for (at, wire) in self.wires.iter().enumerate() {
            by_ends
                .entry((wire.from, wire.to, wire.feedback))
                .or_default()
                .push(at);
        }
        let mut joined = vec![];
        for (_, all) in by_ends {
            let mut wire = self.wires[all[0]].clone();
            if all.len() > 1 {
                let mut counts: Vec<(String, usize)> = vec![];
                for at in &all {
                    let label = &self.wires[*at].label;
                    match counts.iter_mut().find(|c| c.0 == *label) {
                        Some(count) => count.1 += 1,
                        None => counts.push((label.clone(), 1)),
                    }
                }
                let word = |(label, n): &(String, usize)| match n {
                    1 => label.clone(),
                    n => format!("{n} \u{b7} {label}"),
                };
                let words: Vec<String> = counts.iter().take(2).map(word).collect();
                let rest = if counts.len() > 2 { ", \u{2026}" } else { "" };
                wire.label = words.join(", ") + rest;
            }
            joined.push(wire);
        }
        self.wires = joined;
    }
}
