//! Which weights are rewritten where their new values are computed.
//!
//! Enters the net after all rewriting; leaves it so that an order exists in which every read of an old value comes before
//! the new one is written over it. Where there is none, the new value gets a place of its own and is copied at the end.

use super::net::{Def, Net, ValueId};
use std::collections::BTreeMap;

pub(super) fn settle(net: &mut Net) {
    // A copy takes over what its value waited for, and nothing waits for a copy: no circle comes new.
    let before = Before::of(net);
    let in_circles = before.in_circles(net);
    for i in 0..net.updates.len() {
        let (weight, value) = net.updates[i];
        if in_circles[value] && Before::of(net).waits_for_itself(net, value) {
            let copy = net.copy(value);
            net.values[value].fixed = false;
            net.values[value].stored_as = None;
            net.values[copy].fixed = true;
            net.values[copy].stored_as = Some(weight);
            net.updates[i].1 = copy;
        }
    }
}

/// What must be there before a value can be computed: what it reads, and what reads the weight that it rewrites.
struct Before {
    order: Vec<ValueId>,
    users: Vec<Vec<ValueId>>,
    /// The value of each weight.
    old: BTreeMap<usize, ValueId>,
}

impl Before {
    fn of(net: &Net) -> Before {
        let order = net.order();
        let weight = |id: &ValueId| match net.values[*id].def {
            Def::Weight(w) => Some((w, *id)),
            _ => None,
        };
        Before {
            users: net.users(&order),
            old: order.iter().filter_map(weight).collect(),
            order,
        }
    }

    fn before<'a>(&'a self, net: &'a Net, id: ValueId) -> impl Iterator<Item = ValueId> + 'a {
        let old = net.values[id].stored_as.and_then(|w| self.old.get(&w));
        let readers = old.map_or(&[][..], |old| self.users[*old].as_slice());
        let others = readers.iter().copied().filter(move |r| *r != id);
        net.operands(id).iter().copied().chain(others)
    }

    fn waits_for_itself(&self, net: &Net, value: ValueId) -> bool {
        let mut seen = vec![false; net.values.len()];
        let mut stack: Vec<ValueId> = self.before(net, value).collect();
        while let Some(id) = stack.pop() {
            if id == value {
                return true;
            }
            if !std::mem::replace(&mut seen[id], true) {
                stack.extend(self.before(net, id));
            }
        }
        false
    }

    /// For each value, whether it may wait for itself: what is left where all go that wait for nothing, one after the other
    /// (Kahn, 1962). What only comes after a circle is left, too.
    fn in_circles(&self, net: &Net) -> Vec<bool> {
        let mut after = vec![vec![]; net.values.len()];
        let mut waits_for = vec![0; net.values.len()];
        for id in &self.order {
            for first in self.before(net, *id) {
                after[first].push(*id);
                waits_for[*id] += 1;
            }
        }
        let mut left = vec![false; net.values.len()];
        self.order.iter().for_each(|id| left[*id] = true);
        let free = |id: &&ValueId| waits_for[**id] == 0;
        let mut ready: Vec<ValueId> = self.order.iter().filter(free).copied().collect();
        while let Some(id) = ready.pop() {
            left[id] = false;
            for next in &after[id] {
                waits_for[*next] -= 1;
                if waits_for[*next] == 0 {
                    ready.push(*next);
                }
            }
        }
        left
    }
}
