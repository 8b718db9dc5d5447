//! What stands directly inside a group, every child folded, and which values go between: before it becomes boxes.
//!
//! Enters the tree and the graph; leaves a level for each group that can be opened. Copies are no items, and an elementwise
//! function behind an item becomes a line of it.

use super::names::{self, Names};
use super::tree::Tree;
use crate::equation::{Expr, Reducer};
use crate::ir::graph::{Graph, NodeId, Op};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What stands at one level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Item {
    /// A value from outside.
    In(usize),
    Group(usize),
    Loose(usize),
    /// A value that leaves; the number of an output at the top.
    Out(usize),
}

/// Marks an item that became part of another.
pub const GONE: Item = Item::In(usize::MAX);

pub struct Stage<'a> {
    pub graph: &'a Graph,
    pub tree: &'a Tree,
    pub names: &'a Names,
    /// Nodes that the results need and that are drawn.
    pub drawn: Vec<bool>,
    /// Of each group: the drawn nodes in it and in the groups below.
    nodes: Vec<Vec<usize>>,
    users: Vec<Vec<NodeId>>,
}

/// The items of one group, before they become parts.
pub struct Level {
    pub group: usize,
    /// In order of their first node.
    pub items: Vec<Item>,
    /// (from, to, node)
    pub edges: BTreeSet<(usize, usize, usize)>,
    /// Lines added to an item: functions behind it.
    pub added: BTreeMap<usize, Vec<String>>,
    /// Items that stand for several: their values of one shape are one wire.
    pub joined: BTreeSet<usize>,
}

impl Level {
    fn place(&mut self, place: &mut HashMap<Item, usize>, item: Item) -> usize {
        *place.entry(item).or_insert_with(|| {
            self.items.push(item);
            self.items.len() - 1
        })
    }
}

impl<'a> Stage<'a> {
    pub fn new(graph: &'a Graph, tree: &'a Tree, names: &'a Names) -> Stage<'a> {
        let roots: Vec<NodeId> = graph.outputs.iter().map(|o| o.1).collect();
        let mut drawn = graph.ancestors(&roots);
        for id in graph.ids() {
            let node = graph.node(id);
            let is_silent = matches!(node.op, Op::Param { .. } | Op::State { .. } | Op::Const(_))
                || (matches!(node.op, Op::Equation(_)) && node.operands.is_empty());
            drawn[id.index()] &= !is_silent;
        }
        let mut nodes = vec![vec![]; tree.groups.len()];
        for id in (0..graph.len()).filter(|id| drawn[*id]) {
            let mut at = Some(tree.of[id]);
            while let Some(group) = at {
                nodes[group].push(id);
                at = tree.groups[group].parent;
            }
        }
        Stage {
            graph,
            tree,
            names,
            drawn,
            nodes,
            users: graph.users(),
        }
    }

    pub fn is_empty(&self, group: usize) -> bool {
        self.nodes[group].is_empty()
    }

    fn operands(&self, node: usize) -> impl Iterator<Item = usize> + '_ {
        let all = self.graph.node(NodeId::from(node as u32)).operands.iter();
        all.map(|o| o.index()).filter(|o| self.drawn[*o])
    }

    /// The child of `group` in which the node lies; None: not in the group at all.
    fn item(&self, group: usize, open: &BTreeSet<usize>, node: usize) -> Option<Item> {
        let mut at = self.tree.of[node];
        let mut outermost = None;
        while at != group {
            if !open.contains(&at) {
                outermost = Some(at);
            }
            at = self.tree.groups[at].parent?;
        }
        Some(outermost.map_or(Item::Loose(node), Item::Group))
    }

    /// A copy of one value: reshaped, sliced, moved. Drawn as a wire.
    fn copied(&self, node: usize) -> Option<usize> {
        let n = self.graph.node(NodeId::from(node as u32));
        match &n.op {
            Op::Equation(pieces) if n.operands.len() == 1 => {
                let copies = pieces
                    .iter()
                    .all(|p| p.reducer == Reducer::Map && matches!(p.body, Expr::Read(_)));
                (copies && pieces.len() == 1).then(|| n.operands[0].index())
            }
            Op::Custom { .. } | Op::Update => Some(n.operands[0].index()),
            _ => None,
        }
    }

    /// Everything directly inside `group`; groups in `open` (namespaces) are seen through.
    pub fn level(&self, group: usize, open: &BTreeSet<usize>) -> Level {
        let mut level = Level {
            group,
            items: vec![],
            edges: BTreeSet::new(),
            added: BTreeMap::new(),
            joined: BTreeSet::new(),
        };
        let mut place: HashMap<Item, usize> = HashMap::new();
        // The item behind each node of the level, copies resolved.
        let mut behind: HashMap<usize, usize> = HashMap::new();
        for id in self.shown(group) {
            let Some(mut item) = self.item(group, open, id) else {
                continue;
            };
            let from: Vec<(usize, usize)> = self
                .operands(id)
                .map(|o| match behind.get(&o) {
                    Some(at) => (*at, o),
                    None => (level.place(&mut place, Item::In(o)), o),
                })
                .collect();
            if let (Item::Loose(_), Some(source)) = (item, self.copied(id))
                && self.drawn[source]
                && let Some((at, _)) = from.first()
            {
                behind.insert(id, *at);
                continue;
            }
            if let Item::Loose(node) = item
                && let Op::Input { .. } = self.graph.node(NodeId::from(node as u32)).op
            {
                item = Item::In(node);
            }
            let at = level.place(&mut place, item);
            behind.insert(id, at);
            for (source, o) in from {
                if source != at {
                    level.edges.insert((source, at, o));
                }
            }
        }
        for (number, (_, id)) in self.graph.outputs.iter().enumerate().filter(|_| group == 0) {
            let at = level.place(&mut place, Item::Out(number));
            if let Some(from) = behind.get(&id.index()) {
                level.edges.insert((*from, at, id.index()));
            }
        }
        if group != 0 {
            for node in self.leaving(group) {
                let at = level.place(&mut place, Item::Out(node));
                if let Some(from) = behind.get(&node) {
                    level.edges.insert((*from, at, node));
                }
            }
        }
        level
    }

    /// The nodes of a group, without those of later applications of it or of what is around it.
    fn shown(&self, group: usize) -> Vec<usize> {
        let around: BTreeSet<usize> =
            std::iter::successors(Some(group), |g| self.tree.groups[*g].parent).collect();
        let is_first =
            |id: &&usize| self.tree.again[**id].is_none_or(|layer| !around.contains(&layer));
        self.nodes[group].iter().filter(is_first).copied().collect()
    }

    /// Values of a group that others read.
    fn leaving(&self, group: usize) -> Vec<usize> {
        let inside = |node: usize| self.nodes[group].binary_search(&node).is_ok();
        let is_output = |node: usize| self.graph.outputs.iter().any(|o| o.1.index() == node);
        let leaves = |node: &usize| {
            let mut users = self.users[*node].iter().map(|u| u.index());
            is_output(*node) || users.any(|u| self.drawn[u] && !inside(u))
        };
        self.shown(group).into_iter().filter(leaves).collect()
    }

    pub fn shape(&self, node: usize) -> String {
        let shape = self.graph.shape(NodeId::from(node as u32));
        match shape {
            [] => "scalar".to_string(),
            shape => {
                let sizes: Vec<String> = shape.iter().map(i64::to_string).collect();
                sizes.join("\u{d7}")
            }
        }
    }

    pub fn name(&self, node: usize) -> String {
        self.names.name(self.graph.node(NodeId::from(node as u32)))
    }

    /// Elementwise in one tensor: it can be a line in the box before it.
    fn is_elementwise(&self, node: usize) -> bool {
        let n = self.graph.node(NodeId::from(node as u32));
        let drawn: Vec<usize> = self.operands(node).collect();
        match &n.op {
            Op::Equation(pieces) => {
                let [source] = drawn[..] else { return false };
                pieces.len() == 1
                    && pieces[0].reducer == Reducer::Map
                    && self.graph.shape(NodeId::from(source as u32)) == n.shape
            }
            _ => false,
        }
    }

    /// Functions behind a box that nobody else reads become lines in it.
    pub fn absorb(&self, level: &mut Level) {
        for at in 0..level.items.len() {
            let Item::Loose(node) = level.items[at] else {
                continue;
            };
            let sources: BTreeSet<usize> = level
                .edges
                .iter()
                .filter(|e| e.1 == at)
                .map(|e| e.0)
                .collect();
            let Some(source) = sources.first().copied().filter(|_| sources.len() == 1) else {
                continue;
            };
            let alone = level.edges.iter().filter(|e| e.0 == source).count() == 1;
            let takes = match level.items[source] {
                Item::Group(_) => true,
                Item::Loose(before) => !names::is_operator(&self.name(before)),
                _ => false,
            };
            if !(alone && takes && self.is_elementwise(node)) {
                continue;
            }
            let name = self.name(node);
            level.added.entry(source).or_default().push(name);
            let moved: Vec<_> = level
                .edges
                .iter()
                .filter(|e| e.0 == at || e.1 == at)
                .copied()
                .collect();
            for edge in moved {
                level.edges.remove(&edge);
                if edge.0 == at && edge.1 != source {
                    level.edges.insert((source, edge.1, edge.2));
                }
            }
            level.items[at] = GONE;
        }
    }
}
