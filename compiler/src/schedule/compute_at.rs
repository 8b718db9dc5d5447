//! Compute-at: producers of a loop nest that are computed inside of their reader, instead of in a tile before it.
//!
//! Enters a group; leaves a choice for each member. No point is computed twice for it, and no member that another kernel
//! reads is chosen.

use super::group::{Group, Member};
use super::net::{Net, ValueId, for_each_read};
use crate::equation::Reducer;
use crate::equation::cost::cost;

/// Whether each member is computed at its reader: a map that no other kernel reads, each point of which is needed once.
pub fn at_reader(net: &Net, group: &Group) -> Vec<bool> {
    let members = &group.members;
    let mut chosen = vec![false; members.len()];
    // A weight that the kernel rewrites must be read before.
    if members
        .iter()
        .any(|m| net.values[m.value].stored_as.is_some())
    {
        return chosen;
    }
    let mut nodes = vec![0; members.len()];
    let most = net.numerics.max_inlined_nodes;
    for i in 0..members.len() {
        nodes[i] = written_out(members, &chosen, &nodes, i);
        chosen[i] = once(members, i) && nodes[i] <= most && {
            chosen[i] = true;
            let readers =
                (i + 1..members.len()).filter(|r| reads(&members[*r], members[i].value) > 0);
            readers
                .into_iter()
                .all(|r| written_out(members, &chosen, &nodes, r) <= most)
        };
    }
    chosen
}

/// A map whose readers are maps over no more points; with maths, one reader.
fn once(members: &[Member], i: usize) -> bool {
    let member = &members[i];
    let points = |m: &Member| m.extents().iter().product::<i64>();
    let plain = |m: &Member| m.equation.reducer == Reducer::Map && m.equation.guards.is_empty();
    let readers: Vec<&Member> = members[i + 1..]
        .iter()
        .filter(|m| reads(m, member.value) > 0)
        .collect();
    let cheap = cost(&member.equation.body).maths == 0 || readers.len() <= 1;
    let all = readers
        .iter()
        .all(|r| plain(r) && points(r) <= points(member));
    !member.stored && plain(member) && !readers.is_empty() && cheap && all
}

fn written_out(members: &[Member], chosen: &[bool], nodes: &[u64], at: usize) -> u64 {
    let own = cost(&members[at].equation.body);
    let inner = (0..at)
        .filter(|i| chosen[*i])
        .map(|i| reads(&members[at], members[i].value) * nodes[i]);
    own.arithmetic + own.maths + own.reads + inner.sum::<u64>()
}

/// How often the member reads the value.
pub fn reads(member: &Member, value: ValueId) -> u64 {
    let mut found = 0;
    for_each_read(&member.equation.body, &mut |r| {
        found += u64::from(member.operands[r.operand] == value)
    });
    found
}
