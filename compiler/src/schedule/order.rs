//! The order of kernels: a topological order, then list scheduling to shorten live ranges.
//!
//! Enters groups; leaves them so that everything is computed before it is read and weights are rewritten after the last
//! read, and then nearer to their operands' last use or to their first reader. Groups themselves are not changed, and no bit of a result is.

use super::group::Group;
use super::layout::Layout;
use super::net::{Def, Net, ValueId};
use super::place::bytes_of;
use std::collections::{BTreeMap, BTreeSet};

/// For each group, those that must run before it.
fn needed(net: &Net, groups: &[Group]) -> Vec<BTreeSet<usize>> {
    let mut makers: BTreeMap<ValueId, Vec<usize>> = BTreeMap::new();
    for (g, group) in groups.iter().enumerate() {
        group
            .members
            .iter()
            .for_each(|m| makers.entry(m.value).or_default().push(g));
    }
    let mut before: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); groups.len()];
    let mut readers: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (g, group) in groups.iter().enumerate() {
        for operand in &group.reads() {
            before[g].extend(
                makers
                    .get(operand)
                    .into_iter()
                    .flatten()
                    .filter(|m| **m != g),
            );
            if let Def::Weight(weight) = net.values[*operand].def {
                readers.entry(weight).or_default().push(g);
            }
        }
    }
    for (g, group) in groups.iter().enumerate() {
        let rewritten = group
            .members
            .iter()
            .filter_map(|m| net.values[m.value].stored_as);
        let readers = rewritten.filter_map(|weight| readers.get(&weight));
        before[g].extend(readers.flatten().filter(|r| **r != g));
    }
    before
}

/// Groups in an order where everything is computed before it is read, and weights are rewritten after the last read.
pub fn sort(net: &Net, groups: Vec<Group>, index: &[usize]) -> Vec<Group> {
    let before = needed(net, &groups);
    let rank = |g: usize| {
        (
            groups[g]
                .members
                .iter()
                .map(|m| index[m.value])
                .max()
                .unwrap_or(0),
            g,
        )
    };
    let mut after: Vec<Vec<usize>> = vec![vec![]; groups.len()];
    let mut missing: Vec<usize> = before.iter().map(|b| b.len()).collect();
    for (g, b) in before.iter().enumerate() {
        b.iter().for_each(|p| after[*p].push(g));
    }
    let mut ready: BTreeSet<((usize, usize), usize)> = (0..groups.len())
        .filter(|g| missing[*g] == 0)
        .map(|g| (rank(g), g))
        .collect();
    let mut sequence = vec![];
    while let Some((_, g)) = ready.pop_first() {
        sequence.push(g);
        for &next in &after[g] {
            missing[next] -= 1;
            if missing[next] == 0 {
                ready.insert((rank(next), next));
            }
        }
    }
    assert!(
        sequence.len() == groups.len(),
        "groups wait for one another: {}",
        waiting(net, &groups, &sequence)
    );
    let mut slots: Vec<Option<Group>> = groups.into_iter().map(Some).collect();
    sequence
        .into_iter()
        .map(|g| slots[g].take().expect("each group once"))
        .collect()
}

/// The values of groups that never became ready, for the message of a bug.
fn waiting(net: &Net, groups: &[Group], sequence: &[usize]) -> String {
    let left = groups
        .iter()
        .enumerate()
        .filter(|(g, _)| !sequence.contains(g));
    let values = left.flat_map(|(_, group)| {
        group
            .members
            .iter()
            .map(|m| net.values[m.value].label.clone())
    });
    values.collect::<Vec<_>>().join(", ")
}

/// Moves a group up to where it frees more than it makes, or down to its first user where it makes more than it frees.
pub fn shorten(
    net: &Net,
    groups: Vec<Group>,
    folded: &[bool],
    layouts: &[Option<Layout>],
) -> Vec<Group> {
    let mut line = Line::new(net, &groups, folded, layouts);
    for at in 0..groups.len() {
        line.up(at);
    }
    for at in (0..groups.len()).rev() {
        line.down(at);
    }
    let mut slots: Vec<Option<Group>> = groups.into_iter().map(Some).collect();
    let in_order = line.sequence.iter().map(|g| slots[*g].take());
    in_order.map(|g| g.expect("each group once")).collect()
}

/// Groups in a row, by their numbers, with what they read and make of the arena.
struct Line {
    sequence: Vec<usize>,
    /// Where each group stands.
    at: Vec<usize>,
    before: Vec<BTreeSet<usize>>,
    after: Vec<Vec<usize>>,
    reads: Vec<BTreeSet<ValueId>>,
    makes: Vec<BTreeSet<ValueId>>,
    readers: BTreeMap<ValueId, Vec<usize>>,
    makers: BTreeMap<ValueId, Vec<usize>>,
    /// Of each value in the arena, outputs among them, which never die.
    bytes: BTreeMap<ValueId, u64>,
    outputs: BTreeSet<ValueId>,
}

impl Line {
    fn new(net: &Net, groups: &[Group], folded: &[bool], layouts: &[Option<Layout>]) -> Line {
        let in_arena = |v: &ValueId| match net.values[*v].def {
            Def::Input(_) => true,
            _ => !net.is_leaf(*v) && !folded[*v] && net.values[*v].stored_as.is_none(),
        };
        let n = groups.len();
        let mut line = Line {
            sequence: (0..n).collect(),
            at: (0..n).collect(),
            before: needed(net, groups),
            after: vec![vec![]; n],
            reads: vec![],
            makes: vec![],
            readers: BTreeMap::new(),
            makers: BTreeMap::new(),
            bytes: BTreeMap::new(),
            outputs: net.outputs.iter().map(|o| o.1).collect(),
        };
        for (g, group) in groups.iter().enumerate() {
            line.before[g].iter().for_each(|b| line.after[*b].push(g));
            let own = |v: &ValueId| group.members.iter().any(|m| m.value == *v);
            let read = group.reads().into_iter();
            let reads: BTreeSet<ValueId> = read.filter(|v| in_arena(v) && !own(v)).collect();
            let made = group.members.iter().filter(|m| m.stored).map(|m| m.value);
            let makes: BTreeSet<ValueId> = made.filter(in_arena).collect();
            for v in &reads {
                line.readers.entry(*v).or_default().push(g);
            }
            for v in &makes {
                line.makers.entry(*v).or_default().push(g);
            }
            for v in reads.iter().chain(&makes) {
                let layout = layouts[*v].as_ref();
                line.bytes.insert(*v, layout.map_or(0, bytes_of));
            }
            line.reads.push(reads);
            line.makes.push(makes);
        }
        line
    }

    fn go(&mut self, from: usize, to: usize) {
        let (low, high) = (from.min(to), from.max(to));
        match from < to {
            true => self.sequence[low..=high].rotate_left(1),
            false => self.sequence[low..=high].rotate_right(1),
        }
        for at in low..=high {
            self.at[self.sequence[at]] = at;
        }
    }

    /// The first place behind some groups.
    fn behind<'a>(&self, groups: impl Iterator<Item = &'a usize>) -> usize {
        groups.map(|g| self.at[*g] + 1).max().unwrap_or(0)
    }

    fn others<'a>(
        &self,
        of: &'a BTreeMap<ValueId, Vec<usize>>,
        value: ValueId,
        than: usize,
    ) -> impl Iterator<Item = &'a usize> {
        of.get(&value)
            .into_iter()
            .flatten()
            .filter(move |g| **g != than)
    }

    /// Bytes that a group takes if it is the first to make their values before a place.
    fn taken(&self, g: usize, before: usize) -> u64 {
        let first = |v: &&ValueId| {
            let mut makers = self.others(&self.makers, **v, g);
            makers.all(|m| self.at[*m] >= before)
        };
        self.makes[g]
            .iter()
            .filter(first)
            .map(|v| self.bytes[v])
            .sum()
    }

    /// To the place where what dies here could die, if that frees more than it takes.
    fn up(&mut self, at: usize) {
        let g = self.sequence[at];
        let ready = self.behind(self.before[g].iter());
        // Where each value that g is the last to read could die at the earliest.
        let dying = self.reads[g].iter().filter_map(|v| {
            let place = self.behind(self.others(&self.readers, *v, g));
            let dies = place <= at && !self.outputs.contains(v);
            dies.then_some((place.max(ready), self.bytes[v]))
        });
        let dying: Vec<(usize, u64)> = dying.collect();
        let gain = |to: usize| {
            let freed = dying.iter().filter(|d| d.0 <= to).map(|d| d.1).sum::<u64>();
            freed.saturating_sub(self.taken(g, to)) * (at - to) as u64
        };
        let best = dying
            .iter()
            .map(|d| d.0)
            .max_by_key(|to| (gain(*to), at - to));
        if let Some(to) = best.filter(|to| gain(*to) > 0) {
            self.go(at, to);
        }
    }

    /// Just before its first user, if it takes more than lives longer then.
    fn down(&mut self, at: usize) {
        let g = self.sequence[at];
        let Some(user) = self.after[g].iter().map(|u| self.at[*u]).min() else {
            return;
        };
        let longer = self.reads[g].iter().filter(|v| {
            let last = self.behind(self.others(&self.readers, **v, g));
            last < user && !self.outputs.contains(v)
        });
        let longer: u64 = longer.map(|v| self.bytes[v]).sum();
        if user > at + 1 && self.taken(g, user) > longer {
            self.go(at, user - 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Groups that read and make values of some bytes, each after those that make what it reads.
    fn line(groups: &[(&[ValueId], &[ValueId])], bytes: &[u64], outputs: &[ValueId]) -> Line {
        let n = groups.len();
        let set = |values: &[ValueId]| values.iter().copied().collect::<BTreeSet<ValueId>>();
        let with = |of: &dyn Fn(usize) -> BTreeSet<ValueId>| {
            let mut all: BTreeMap<ValueId, Vec<usize>> = BTreeMap::new();
            for g in 0..n {
                of(g)
                    .iter()
                    .for_each(|v| all.entry(*v).or_default().push(g));
            }
            all
        };
        let (readers, makers) = (with(&|g| set(groups[g].0)), with(&|g| set(groups[g].1)));
        let makers_of = |v: &ValueId| makers.get(v).into_iter().flatten().copied();
        let before = groups
            .iter()
            .map(|g| g.0.iter().flat_map(makers_of).collect());
        let before: Vec<BTreeSet<usize>> = before.collect();
        let after = (0..n).map(|g| (0..n).filter(|u| before[*u].contains(&g)).collect());
        Line {
            sequence: (0..n).collect(),
            at: (0..n).collect(),
            after: after.collect(),
            before,
            reads: groups.iter().map(|g| set(g.0)).collect(),
            makes: groups.iter().map(|g| set(g.1)).collect(),
            readers,
            makers,
            bytes: bytes.iter().copied().enumerate().collect(),
            outputs: set(outputs),
        }
    }

    #[test]
    fn the_last_reader_of_something_large_comes_as_soon_as_the_others_are_done() {
        // 1 is large; its last reader makes a part of it. 4 waits for the others in any case.
        let groups: [(&[ValueId], &[ValueId]); 5] = [
            (&[0], &[1]),
            (&[1], &[2]),
            (&[2], &[3]),
            (&[1], &[4]),
            (&[3, 4], &[5]),
        ];
        let moved = |bytes: &[u64], outputs: &[ValueId]| {
            let mut line = line(&groups, bytes, outputs);
            (0..groups.len()).for_each(|at| line.up(at));
            line.sequence
        };
        assert_eq!(moved(&[1, 50, 20, 20, 10, 1], &[5]), [0, 1, 3, 2, 4]);
        // Nothing is freed where the part is as large as the whole, or the whole is a result.
        assert_eq!(moved(&[1, 50, 20, 20, 50, 1], &[5]), [0, 1, 2, 3, 4]);
        assert_eq!(moved(&[1, 50, 20, 20, 10, 1], &[1, 5]), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn what_is_large_is_made_where_it_is_read() {
        let groups: [(&[ValueId], &[ValueId]); 4] =
            [(&[0], &[1]), (&[0], &[2]), (&[2], &[3]), (&[1, 3], &[4])];
        let moved = |bytes: &[u64]| {
            let mut line = line(&groups, bytes, &[4]);
            (0..groups.len()).rev().for_each(|at| line.down(at));
            line.sequence
        };
        assert_eq!(moved(&[5, 50, 20, 20, 1]), [1, 2, 0, 3]);
        // What it is made of would have to live as long.
        assert_eq!(moved(&[60, 50, 20, 20, 1]), [0, 1, 2, 3]);
    }
}
