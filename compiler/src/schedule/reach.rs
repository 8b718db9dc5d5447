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
    /// The last place of all that a value needs, itself included: what needs the value reaches as far, or farther.
    last: Vec<usize>,
    /// Members of the groups made so far, by member.
    together: Vec<Option<Rc<[ValueId]>>>,
    /// For each weight, the values that read it.
    readers: BTreeMap<usize, Vec<ValueId>>,
    /// For each value, those that rewrite a weight that it reads.
    rewriters: Vec<Vec<ValueId>>,
    /// Of the group that is being made, and of a value that might be computed beside it.
    of_group: RefCell<Dependents>,
    of_value: RefCell<Dependents>,
}

/// What needs some values, as far as somebody has asked.
struct Dependents {
    members: Vec<ValueId>,
    seen: Vec<bool>,
    /// Those that are seen, to forget them.
    found: Vec<ValueId>,
    /// Reached, but beyond what has been asked for: how far they reach, the nearest first.
    later: BinaryHeap<Reverse<(usize, ValueId)>>,
}

impl Dependents {
    fn new(n_values: usize) -> Dependents {
        Dependents {
            members: vec![],
            seen: vec![false; n_values],
            found: vec![],
            later: BinaryHeap::new(),
        }
    }

    fn forget(&mut self) {
        self.found.drain(..).for_each(|v| self.seen[v] = false);
        self.members.clear();
        self.later.clear();
    }
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
            last: index.to_vec(),
            together: vec![None; n],
            readers,
            rewriters,
            of_group: RefCell::new(Dependents::new(n)),
            of_value: RefCell::new(Dependents::new(n)),
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
        self.of_group.borrow_mut().forget();
        self.of_value.borrow_mut().forget();
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

    /// The value, and what shares its kernel.
    fn with<'a>(&'a self, id: &'a ValueId) -> &'a [ValueId] {
        match &self.together[*id] {
            Some(all) => all,
            None => std::slice::from_ref(id),
        }
    }

    /// Whether a value, or what must run before it, is one of the members of a growing group or needs one.
    pub fn depends(&self, id: ValueId, members: &[ValueId]) -> bool {
        self.search(&mut self.of_group.borrow_mut(), id, members)
    }

    /// Whether a value, or what must run before it, is another or needs it.
    pub fn needs(&self, id: ValueId, other: ValueId) -> bool {
        self.search(&mut self.of_value.borrow_mut(), id, &[other])
    }

    /// What needs the members is searched for once, from them, no further than asked. What a value needs reaches no further than
    /// the value does.
    fn search(&self, known: &mut Dependents, id: ValueId, members: &[ValueId]) -> bool {
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
