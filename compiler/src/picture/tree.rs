//! The boxes of a network: its blocks as the source nests them, label namespaces between them, ops as leaves.
//!
//! Enters the elaborated graph with the calls that made it; leaves a tree of groups and the group of every node. Blocks
//! of the standard library and ops are leaves: their insides are never drawn.

use crate::ir::graph::{Graph, Op};
use crate::sema::Call;
use std::collections::HashMap;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The model, and blocks of the user's files.
    Block,
    /// A block of the standard library.
    Layer,
    Op,
    /// A segment of labels that no block has to itself: `encoder` in `encoder.0`.
    Namespace,
}

#[derive(Clone, Debug)]
pub struct Group {
    pub kind: Kind,
    /// Name of the block or op; of a namespace, its label.
    pub name: String,
    pub path: String,
    /// `64, stride=2`
    pub details: String,
    pub parent: Option<usize>,
    /// Applications with the same weights.
    pub n_uses: usize,
    pub parameters: u64,
    pub children: Vec<usize>,
    /// Tensors it got: (node, name).
    pub inputs: Vec<(usize, String)>,
}

pub struct Tree {
    /// Parents before children; the first is the model.
    pub groups: Vec<Group>,
    /// The innermost group of each node.
    pub of: Vec<usize>,
    /// Of a node that a later application of a layer made: that layer's group. Inside of it, the first one is drawn.
    pub again: Vec<Option<usize>>,
}

type Key = (usize, Kind, String, usize);

struct Grower {
    groups: Vec<Group>,
    known: HashMap<Key, usize>,
    /// The group of each call.
    of_call: Vec<usize>,
    /// The outermost layer around each call that is applied once more.
    again: Vec<Option<usize>>,
}

pub fn tree(graph: &Graph, calls: &[Call], model: &str) -> Tree {
    let root = group(Kind::Block, model, "", None);
    let mut grower = Grower {
        groups: vec![root],
        known: HashMap::new(),
        of_call: vec![],
        again: vec![],
    };
    for (at, call) in calls.iter().enumerate() {
        let around = call.parent.and_then(|p| grower.again[p]);
        let (place, again) = grower.place(at, call);
        grower.of_call.push(place);
        grower.again.push(around.or(again.then_some(place)));
    }
    let mut of = vec![0; graph.len()];
    let mut again = vec![None; graph.len()];
    for (at, call) in calls.iter().enumerate() {
        let nodes = call.nodes.start.min(graph.len())..call.nodes.end.min(graph.len());
        of[nodes.clone()].fill(grower.of_call[at]);
        again[nodes].fill(grower.again[at]);
    }
    let mut groups = grower.groups;
    adopt(graph, &mut of, &mut groups);
    count_parameters(graph, &of, &mut groups);
    Tree { groups, of, again }
}

fn group(kind: Kind, name: &str, path: &str, parent: Option<usize>) -> Group {
    Group {
        kind,
        name: name.to_string(),
        path: path.to_string(),
        details: String::new(),
        parent,
        n_uses: 1,
        parameters: 0,
        children: vec![],
        inputs: vec![],
    }
}

impl Grower {
    /// The group of a call, and whether it is a layer that was applied before.
    fn place(&mut self, at: usize, call: &Call) -> (usize, bool) {
        let Some(parent) = call.parent.map(|p| self.of_call[p]) else {
            self.note(0, call);
            return (0, false);
        };
        let is_leaf = matches!(self.groups[parent].kind, Kind::Layer | Kind::Op);
        if is_leaf || (!call.is_block && call.nodes.is_empty()) {
            return (parent, false);
        }
        if !call.is_block {
            let new = self.child((parent, Kind::Op, call.name.clone(), at), &call.path);
            self.note(new, call);
            return (new, false);
        }
        let kind = if call.is_standard {
            Kind::Layer
        } else {
            Kind::Block
        };
        let own = &self.groups[parent].path;
        let rest = match own.as_str() {
            "" => call.path.as_str(),
            own => call
                .path
                .strip_prefix(own)
                .unwrap_or("")
                .trim_start_matches('.'),
        };
        let segments: Vec<&str> = rest.split('.').filter(|s| !s.is_empty()).collect();
        let (mut above, mut path) = (parent, own.clone());
        for segment in segments.iter().take(segments.len().saturating_sub(1)) {
            path = joined(&path, segment);
            above = self.child((above, Kind::Namespace, (*segment).to_string(), 0), &path);
        }
        // A block without a label is itself at each place of the text where it is applied.
        let place = match segments.last() {
            Some(_) => 0,
            None => call.place.map_or(0, |p| 1 + p.start as usize),
        };
        let name = format!("{}\0{}", call.name, segments.last().unwrap_or(&""));
        let known = self.known.contains_key(&(above, kind, name.clone(), place));
        let new = self.child((above, kind, name, place), &call.path);
        let around = call.parent.and_then(|p| self.again[p]);
        if !known {
            self.note(new, call);
        } else if around.is_none() {
            self.groups[new].n_uses += 1;
        }
        (new, known)
    }

    fn child(&mut self, key: Key, path: &str) -> usize {
        if let Some(at) = self.known.get(&key) {
            return *at;
        }
        let (parent, kind) = (key.0, key.1);
        let name = key.2.split('\0').next().unwrap_or_default();
        self.groups.push(group(kind, name, path, Some(parent)));
        let at = self.groups.len() - 1;
        self.groups[parent].children.push(at);
        self.known.insert(key, at);
        at
    }

    fn note(&mut self, at: usize, call: &Call) {
        let short = |(at, (name, value)): (usize, &(String, String))| match at {
            0 => rounded(value),
            _ => format!("{name}={}", rounded(value)),
        };
        let all = call.parameters.iter().filter(|p| p.1.len() <= 24);
        let words: Vec<String> = all.enumerate().map(short).collect();
        self.groups[at].details = words.join(", ");
        let inputs = call
            .inputs
            .iter()
            .map(|(name, node)| (node.index(), name.clone()));
        self.groups[at].inputs = inputs.collect();
    }
}

/// Long fractions are cut: a picture needs no sixteen digits.
fn rounded(value: &str) -> String {
    match value.parse::<f64>() {
        Ok(x) if value.len() > 6 => format!("{}", (x * 1000.0).round() / 1000.0),
        Ok(x) if value.contains('.') => format!("{x}"),
        _ => value.to_string(),
    }
}

pub fn joined(path: &str, segment: &str) -> String {
    match path {
        "" => segment.to_string(),
        path => format!("{path}.{segment}"),
    }
}

/// What stands between blocks and is read only inside of one namespace belongs there: the `concat` before
/// `up.0.conv` is a part of `up.0`.
fn adopt(graph: &Graph, of: &mut [usize], groups: &mut [Group]) {
    let users = graph.users();
    let results: Vec<usize> = graph.outputs.iter().map(|o| o.1.index()).collect();
    for id in (0..graph.len()).rev() {
        let node = graph.node((id as u32).into());
        let own = of[id];
        let is_op = groups[own].kind == Kind::Op;
        let level = if is_op {
            groups[own].parent.unwrap_or(0)
        } else {
            own
        };
        let is_fixed = matches!(
            node.op,
            Op::Input { .. } | Op::Param { .. } | Op::State { .. } | Op::Const(_)
        );
        if is_fixed
            || results.contains(&id)
            || groups[level].kind == Kind::Layer
            || users[id].is_empty()
        {
            continue;
        }
        let outside = |u: &usize| of[*u] != own || !is_op;
        let readers: Vec<usize> = users[id]
            .iter()
            .map(|u| u.index())
            .filter(outside)
            .collect();
        let Some(home) = common(groups, level, readers.iter().map(|u| of[*u])) else {
            continue;
        };
        if !is_op {
            of[id] = home;
        } else if groups[own].parent == Some(level) && home != level {
            groups[level].children.retain(|c| *c != own);
            groups[home].children.push(own);
            groups[own].parent = Some(home);
        }
    }
}

/// The innermost namespace below `level` that holds all of them.
fn common(groups: &[Group], level: usize, readers: impl Iterator<Item = usize>) -> Option<usize> {
    let mut home: Option<Vec<usize>> = None;
    for reader in readers {
        let chain = namespaces_to(groups, level, reader)?;
        home = Some(match home {
            None => chain,
            Some(old) => old
                .iter()
                .zip(&chain)
                .take_while(|(a, b)| a == b)
                .map(|(a, _)| *a)
                .collect(),
        });
    }
    home?.last().copied()
}

/// The namespaces from `level` down to a group, as far as they follow each other directly.
fn namespaces_to(groups: &[Group], level: usize, group: usize) -> Option<Vec<usize>> {
    let mut chain = vec![];
    let mut at = group;
    while at != level {
        chain.push(at);
        at = groups[at].parent?;
    }
    chain.reverse();
    Some(
        chain
            .into_iter()
            .take_while(|g| groups[*g].kind == Kind::Namespace)
            .collect(),
    )
}

/// Weights count for the group that declares them, and for all around it.
fn count_parameters(graph: &Graph, of: &[usize], groups: &mut [Group]) {
    for id in graph.ids() {
        if let Op::Param { .. } = graph.node(id).op {
            let mut at = Some(of[id.index()]);
            while let Some(group) = at {
                groups[group].parameters += graph.size(id) as u64;
                at = groups[group].parent;
            }
        }
    }
}
