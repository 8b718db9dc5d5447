//! What must be computed before what, while groups are made.
//!
//! Enters the net; answers whether one value needs another: by what it reads, by what shares a kernel with what it reads,
//! and by who reads a weight before it is rewritten. Groups that have been made are told; the net does not change here.

use super::net::{Def, Net, ValueId};
use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::rc::Rc;

pub struct Reach<'n> {
    net: &'n Net,
    users: Vec<Vec<ValueId>>,
    /// Where each value stands in the net's order.
    index: Vec<usize>,
    /// The last place of all that a value needs, itself included: a search ends where that comes before what is looked
    /// for.
    last: Vec<usize>,
    /// Members of the groups made so far, by member.
    together: Vec<Option<Rc<[ValueId]>>>,
    /// For each weight, the values that read it.
    readers: BTreeMap<usize, Vec<ValueId>>,
    /// For each value, those that rewrite a weight that it reads.
    rewriters: Vec<Vec<ValueId>>,
    search: RefCell<Search>,
    dependents: RefCell<Dependents>,
}

impl Dependents {
    fn forget(&mut self) {
        self.found.drain(..).for_each(|v| self.seen[v] = false);
        self.members.clear();
        self.later.clear();
    }
}

/// Marks of one search after the other.
struct Search {
    seen: Vec<u32>,
    number: u32,
    stack: Vec<ValueId>,
}

/// What needs the members of the group that is being made, as far as somebody has asked.
struct Dependents {
    members: Vec<ValueId>,
    seen: Vec<bool>,
    /// Those that are seen, to forget them.
    found: Vec<ValueId>,
    /// Reached, but beyond what has been asked for: how far they reach, the nearest first.
    later: BinaryHeap<Reverse<(usize, ValueId)>>,
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
        let n = net.values.len();
        let mut rewriters: Vec<Vec<ValueId>> = vec![vec![]; n];
        for id in order {
            let old = net.values[*id].stored_as.and_then(|w| readers.get(&w));
            for reader in old.into_iter().flatten().filter(|r| *r != id) {
                rewriters[*reader].push(*id);
            }
        }
        let mut reach = Reach {
            net,
            users,
            index: index.to_vec(),
            last: index.to_vec(),
            together: vec![None; n],
            readers,
            rewriters,
            search: RefCell::new(Search {
                seen: vec![0; n],
                number: 0,
                stack: vec![],
            }),
            dependents: RefCell::new(Dependents {
                members: vec![],
                seen: vec![false; n],
                found: vec![],
                later: BinaryHeap::new(),
            }),
        };
        reach.spread(order.to_vec());
        reach
    }

    /// These values share a kernel from now on.
    pub fn join(&mut self, members: Vec<ValueId>) {
        let all: Rc<[ValueId]> = members.as_slice().into();
        for m in &members {
            self.together[*m] = Some(all.clone());
        }
        self.dependents.borrow_mut().forget();
        self.spread(members);
    }

    /// Tells all that needs these values how far they reach now.
    fn spread(&mut self, mut todo: Vec<ValueId>) {
        while let Some(id) = todo.pop() {
            let last = self.last[id];
            let with = self.together[id].iter().flat_map(|all| all.iter());
            for next in self.users[id].iter().chain(with).chain(&self.rewriters[id]) {
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
        let search = &mut *self.search.borrow_mut();
        search.number += 1;
        let number = search.number;
        search.stack.clear();
        let mut reach = |id: ValueId, stack: &mut Vec<ValueId>| {
            let is_new = std::mem::replace(&mut search.seen[id], number) != number;
            if is_new && self.last[id] >= first {
                stack.push(id);
            }
        };
        reach(id, &mut search.stack);
        while let Some(id) = search.stack.pop() {
            if wanted.contains(&id) {
                return true;
            }
            for &member in self.with(&id) {
                let before = self.net.operands(member).iter().copied();
                for id in before.chain(self.readers_before(member)) {
                    reach(id, &mut search.stack);
                }
            }
        }
        false
    }

    /// The value, and what shares its kernel.
    fn with<'a>(&'a self, id: &'a ValueId) -> &'a [ValueId] {
        match &self.together[*id] {
            Some(all) => all,
            None => std::slice::from_ref(id),
        }
    }

    /// As [`needs`](Self::needs), for the members of one group that grows: what needs them is searched for once, from them, no
    /// further than asked. What a value needs reaches no further than the value does.
    pub fn depends(&self, id: ValueId, members: &[ValueId]) -> bool {
        let known = &mut *self.dependents.borrow_mut();
        if !members.starts_with(&known.members) {
            known.forget();
        }
        let new = &members[known.members.len()..];
        let reaching = |v: &ValueId| Reverse((self.last[*v], *v));
        known.later.extend(new.iter().map(reaching));
        known.members.extend(new);
        let bound = self.last[id];
        let mut stack = vec![];
        while let Some(Reverse((last, value))) = known.later.pop() {
            if last > bound {
                known.later.push(Reverse((last, value)));
                break;
            }
            stack.push(value);
        }
        while let Some(value) = stack.pop() {
            if std::mem::replace(&mut known.seen[value], true) {
                continue;
            }
            known.found.push(value);
            let after = self.users[value].iter().chain(&self.rewriters[value]);
            for next in after.flat_map(|next| self.with(next)) {
                match self.last[*next] <= bound {
                    _ if known.seen[*next] => {}
                    true => stack.push(*next),
                    false => known.later.push(reaching(next)),
                }
            }
        }
        known.seen[id]
    }

    /// Values that read a weight before this one rewrites it.
    pub fn readers_before(&self, id: ValueId) -> impl Iterator<Item = ValueId> {
        let weight = self.net.values[id].stored_as;
        let readers = weight.and_then(|w| self.readers.get(&w));
        let all = readers.into_iter().flatten().copied();
        all.filter(move |r| *r != id)
    }
}
