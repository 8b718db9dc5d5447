//! Layers that run again with the same weights close circles between boxes. What turns the circle is found here:
//! equations at one place of the text that stand in one circle become one, and wires against the flow are marked.

use super::level::{GONE, Item, Level, Stage};
use crate::ir::graph::NodeId;
use parts::components;
use std::collections::{BTreeMap, BTreeSet};

/// Equations of one place in the text that stand in the same circle, or between the same boxes, become one item.
/// Says whether there were any.
pub fn merge(stage: &Stage<'_>, level: &mut Level) -> bool {
    let mut merged = false;
    let of = components(level.items.len(), &level.edges);
    let mut sizes: BTreeMap<usize, usize> = BTreeMap::new();
    of.iter().for_each(|c| *sizes.entry(*c).or_default() += 1);
    let mut first: BTreeMap<(Vec<usize>, String, Option<crate::diag::Span>), usize> =
        BTreeMap::new();
    for at in 0..level.items.len() {
        let node = match level.items[at] {
            Item::Loose(node) => node,
            Item::Group(group) if stage.tree.groups[group].kind == super::tree::Kind::Op => {
                match stage.tree.of.iter().position(|g| *g == group) {
                    Some(node) => node,
                    None => continue,
                }
            }
            _ => continue,
        };
        let neighbours = if sizes[&of[at]] > 1 {
            vec![of[at]]
        } else {
            let before = level.edges.iter().filter(|e| e.1 == at).map(|e| e.0);
            let after = level.edges.iter().filter(|e| e.0 == at).map(|e| e.1);
            let mut all: Vec<usize> = before.collect();
            all.push(usize::MAX);
            all.extend(after);
            all.dedup();
            all
        };
        let origin = &stage.graph.node(NodeId::from(node as u32)).origin;
        let name = match level.items[at] {
            Item::Group(group) => stage.tree.groups[group].name.clone(),
            _ => stage.name(node),
        };
        let key = (neighbours, name, origin.span);
        match first.get(&key) {
            Some(same) => {
                join(level, at, *same);
                merged = true;
            }
            None => {
                first.insert(key, at);
            }
        }
    }
    merged
}

fn join(level: &mut Level, gone: usize, kept: usize) {
    let rename = |at: usize| if at == gone { kept } else { at };
    let edges = std::mem::take(&mut level.edges);
    level.edges = edges
        .into_iter()
        .map(|(from, to, node)| (rename(from), rename(to), node))
        .filter(|(from, to, _)| from != to)
        .collect();
    level.added.remove(&gone);
    level.joined.insert(kept);
    level.items[gone] = GONE;
}

/// Wires of a circle that lead to an item that was there before.
pub fn feedback(level: &Level) -> BTreeSet<(usize, usize)> {
    let of = components(level.items.len(), &level.edges);
    let back = level
        .edges
        .iter()
        .filter(|(from, to, _)| of[*from] == of[*to] && from > to);
    back.map(|(from, to, _)| (*from, *to)).collect()
}

/// Namespaces that stand in a circle with others: folded, they would be boxes that feed each other.
pub fn tangled(stage: &Stage<'_>, level: &Level) -> Vec<usize> {
    let of = components(level.items.len(), &level.edges);
    let mut sizes: BTreeMap<usize, usize> = BTreeMap::new();
    of.iter().for_each(|c| *sizes.entry(*c).or_default() += 1);
    let namespaces = level
        .items
        .iter()
        .enumerate()
        .filter_map(|(at, item)| match item {
            Item::Group(g) if stage.tree.groups[*g].kind == super::tree::Kind::Namespace => {
                Some((at, *g))
            }
            _ => None,
        });
    namespaces
        .filter(|(at, _)| sizes[&of[*at]] > 1)
        .map(|n| n.1)
        .collect()
}

mod parts {
    use std::collections::BTreeSet;

    /// Strongly connected components (Tarjan 1972, without recursion): a number for each item.
    pub fn components(n: usize, edges: &BTreeSet<(usize, usize, usize)>) -> Vec<usize> {
        let mut next: Vec<Vec<usize>> = vec![vec![]; n];
        edges.iter().for_each(|(from, to, _)| next[*from].push(*to));
        let (mut index, mut low) = (vec![usize::MAX; n], vec![0; n]);
        let (mut component, mut on_stack) = (vec![usize::MAX; n], vec![false; n]);
        let (mut stack, mut counter, mut found) = (vec![], 0, 0);
        for root in 0..n {
            let mut work = vec![(root, 0)];
            while let Some((at, child)) = work.pop() {
                if child == 0 {
                    if index[at] != usize::MAX {
                        continue;
                    }
                    index[at] = counter;
                    low[at] = counter;
                    counter += 1;
                    stack.push(at);
                    on_stack[at] = true;
                }
                if child > 0 {
                    let before = next[at][child - 1];
                    if on_stack[before] {
                        low[at] = low[at].min(low[before]);
                    }
                }
                if let Some(to) = next[at].get(child) {
                    work.push((at, child + 1));
                    if index[*to] == usize::MAX {
                        work.push((*to, 0));
                    }
                    continue;
                }
                if low[at] == index[at] {
                    while let Some(top) = stack.pop() {
                        on_stack[top] = false;
                        component[top] = found;
                        if top == at {
                            break;
                        }
                    }
                    found += 1;
                }
            }
        }
        component
    }
}
