//! Which weights are rewritten where their new values are computed.
//!
//! Enters the net after all rewriting; leaves it so that an order exists in which every read of an old value comes before
//! the new one is written over it. Where there is none, the new value gets a place of its own and is copied at the end.

use super::net::{Def, Net, ValueId};
use std::collections::BTreeMap;

pub(super) fn settle(net: &mut Net) {
    for i in 0..net.updates.len() {
        let (weight, value) = net.updates[i];
        if waits_for_itself(net, value) {
            let copy = net.copy(value);
            net.values[value].fixed = false;
            net.values[value].stored_as = None;
            net.values[copy].fixed = true;
            net.values[copy].stored_as = Some(weight);
            net.updates[i].1 = copy;
        }
    }
}

/// Whether a value must be there before it can be computed: because of what it reads, and of what reads the weights that
/// all those rewrite.
fn waits_for_itself(net: &Net, value: ValueId) -> bool {
    let order = net.order();
    let users = net.users(&order);
    let old: BTreeMap<usize, ValueId> = order
        .iter()
        .filter_map(|id| match net.values[*id].def {
            Def::Weight(w) => Some((w, *id)),
            _ => None,
        })
        .collect();
    let before = |id: ValueId| {
        let old = net.values[id].stored_as.and_then(|w| old.get(&w));
        let readers = old.map_or(&[][..], |old| users[*old].as_slice());
        let others = readers.iter().copied().filter(move |r| *r != id);
        net.operands(id).iter().copied().chain(others)
    };
    let mut seen = vec![false; net.values.len()];
    let mut stack: Vec<ValueId> = before(value).collect();
    while let Some(id) = stack.pop() {
        if id == value {
            return true;
        }
        if !std::mem::replace(&mut seen[id], true) {
            stack.extend(before(id));
        }
    }
    false
}
