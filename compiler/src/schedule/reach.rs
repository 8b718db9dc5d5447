//! What must be computed before what, while groups are made.
//!
//! Enters the net; answers whether one value needs another: by what it reads, by what shares a kernel with what it reads,
//! and by who reads a weight before it is rewritten. Groups that have been made are told; the net does not change here.

use super::net::{Def, Net, ValueId};
use std::cell::RefCell;
use std::collections::BTreeMap;

pub struct Reach<'n> {
    net: &'n Net,
    users: Vec<Vec<ValueId>>,
    /// Where each value stands in the net's order.
    index: Vec<usize>,
    /// The last place of all that a value needs, itself included: a search ends where that comes before what is looked
    /// for.
    last: Vec<usize>,
    /// Members of the groups made so far, by member.
    together: BTreeMap<ValueId, Vec<ValueId>>,
    /// For each weight, the values that read it.
    readers: BTreeMap<usize, Vec<ValueId>>,
    /// For each value that reads a weight, those that rewrite it.
    rewriters: BTreeMap<ValueId, Vec<ValueId>>,
    search: RefCell<Search>,
}

/// Marks of one search after the other.
struct Search {
    seen: Vec<u32>,
    number: u32,
}

impl<'n> Reach<'n> {
    pub fn new(net: &'n Net, order: &[ValueId], index: &[usize]) -> Reach<'n> {
        let users = net.users(order);
        let mut readers = BTreeMap::new();
        for id in order {
            if let Def::Weight(w) = net.values[*id].def {
                readers.insert(w, users[*id].clone());
            }
        }
        let mut rewriters: BTreeMap<ValueId, Vec<ValueId>> = BTreeMap::new();
        for id in order {
            let old = net.values[*id].stored_as.and_then(|w| readers.get(&w));
            for reader in old.into_iter().flatten().filter(|r| *r != id) {
                rewriters.entry(*reader).or_default().push(*id);
            }
        }
        let mut reach = Reach {
            net,
            users,
            index: index.to_vec(),
            last: index.to_vec(),
            together: BTreeMap::new(),
            readers,
            rewriters,
            search: RefCell::new(Search {
                seen: vec![0; net.values.len()],
                number: 0,
            }),
        };
        reach.spread(order.to_vec());
        reach
    }

    /// These values share a kernel from now on.
    pub fn join(&mut self, members: Vec<ValueId>) {
        for m in &members {
            self.together.insert(*m, members.clone());
        }
        self.spread(members);
    }

    /// Tells all that needs these values how far they reach now.
    fn spread(&mut self, mut todo: Vec<ValueId>) {
        while let Some(id) = todo.pop() {
            let last = self.last[id];
            let with = self.together.get(&id).into_iter().flatten();
            let after = self.rewriters.get(&id).into_iter().flatten();
            for next in self.users[id].iter().chain(with).chain(after) {
                if self.last[*next] < last {
                    self.last[*next] = last;
                    todo.push(*next);
                }
            }
        }
    }

    /// Whether a value, or what must run before it, is one of these or needs one.
    pub fn needs(&self, id: ValueId, wanted: &[ValueId]) -> bool {
        let Some(first) = wanted.iter().map(|w| self.index[*w]).min() else {
            return false;
        };
        let mut search = self.search.borrow_mut();
        search.number += 1;
        let number = search.number;
        let mut stack = vec![id];
        while let Some(id) = stack.pop() {
            if self.last[id] < first || std::mem::replace(&mut search.seen[id], number) == number {
                continue;
            }
            if wanted.contains(&id) {
                return true;
            }
            let alone = [id];
            let together = self.together.get(&id).map_or(&alone[..], |g| g.as_slice());
            for &member in together {
                stack.extend(self.net.operands(member));
                stack.extend(self.readers_before(member));
            }
        }
        false
    }

    /// Values that read a weight before this one rewrites it.
    pub fn readers_before(&self, id: ValueId) -> impl Iterator<Item = ValueId> {
        let weight = self.net.values[id].stored_as;
        let readers = weight.and_then(|w| self.readers.get(&w));
        let all = readers.into_iter().flatten().copied();
        all.filter(move |r| *r != id)
    }
}
