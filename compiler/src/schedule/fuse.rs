//! Grouping: which values one kernel computes, and in which order kernels run.
//!
//! A contraction takes the maps that follow it over its own output; a reduction over rows takes those that read its
//! rows. A value is stored only if another kernel reads it.

use super::contraction::Contraction;
use super::group::{Anchor, Group, Member};
use super::join;
use super::layout::Layout;
use super::nest;
use super::net::{Def, Net, ValueId};
use super::order;
use super::reach::Reach;
use crate::equation::Reducer;
use std::collections::{BTreeMap, BTreeSet};

pub use super::inline::run as inline;

struct Fuser<'a> {
    net: &'a Net,
    users: Vec<Vec<ValueId>>,
    index: Vec<usize>,
    taken: BTreeSet<ValueId>,
    folded: &'a [bool],
    layouts: &'a [Option<Layout>],
    reach: Reach<'a>,
    fuses: bool,
}

pub fn groups(
    net: &Net,
    order: &[ValueId],
    contractions: BTreeMap<(ValueId, usize), Contraction>,
    folded: &[bool],
    layouts: &[Option<Layout>],
    fuses: bool,
) -> Vec<Group> {
    let mut index = vec![usize::MAX; net.values.len()];
    for (i, id) in order.iter().enumerate() {
        index[*id] = i;
    }
    let users = net.users(order);
    let mut fuser = Fuser {
        net,
        reach: Reach::new(net, order, &index),
        users,
        index,
        taken: BTreeSet::new(),
        folded,
        layouts,
        fuses,
    };
    let mut contractions = contractions;
    let mut groups = vec![];
    let rank = |id: &ValueId| match (net.single(*id), contractions.contains_key(&(*id, 0))) {
        (_, true) => 0,
        (Some(e), _) if e.reducer != Reducer::Map => 1,
        _ => 2,
    };
    let mut anchors: Vec<ValueId> = order.to_vec();
    anchors.sort_by_key(|id| (rank(id), fuser.index[*id]));
    for id in anchors {
        if fuser.taken.contains(&id) || net.is_leaf(id) {
            continue;
        }
        let started = fuser.start(id, &mut contractions);
        for group in &started {
            let members: Vec<ValueId> = group.members.iter().map(|m| m.value).collect();
            fuser.reach.join(members);
        }
        groups.extend(started);
    }
    fuser.mark_stored(&mut groups);
    order::sort(net, groups, &fuser.index)
}

impl Fuser<'_> {
    fn start(
        &mut self,
        id: ValueId,
        contractions: &mut BTreeMap<(ValueId, usize), Contraction>,
    ) -> Vec<Group> {
        self.taken.insert(id);
        let (pieces, operands) = match &self.net.values[id].def {
            Def::Compute { pieces, operands } => (pieces, operands),
            Def::Scatter { equation, operands } => {
                let member = Member {
                    value: id,
                    equation: equation.clone(),
                    operands: operands.clone(),
                    stored: true,
                };
                return vec![Group {
                    space: equation.free.clone(),
                    members: vec![member],
                    anchor: Anchor::Scatter,
                }];
            }
            _ => return vec![],
        };
        let several = self.net.single(id).is_none();
        let mut groups = vec![];
        for (i, piece) in pieces.iter().enumerate() {
            let member = Member {
                value: id,
                equation: piece.clone(),
                operands: operands.clone(),
                stored: true,
            };
            let anchor = match contractions.remove(&(id, i)) {
                Some(c) => Anchor::Contraction(Box::new(c)),
                None => Anchor::Nest,
            };
            let mut group = Group {
                space: piece.free.clone(),
                members: vec![member],
                anchor,
            };
            if !several && self.fuses {
                self.grow(&mut group);
                self.take_variance(&mut group);
            }
            groups.push(group);
        }
        groups
    }

    /// Takes users of members, one after the other, in their order.
    fn grow(&mut self, group: &mut Group) {
        while group.members.len() < self.net.numerics.max_kernel_members {
            let candidates: BTreeSet<(usize, ValueId)> = group
                .members
                .iter()
                .flat_map(|m| &self.users[m.value])
                .filter(|u| !self.taken.contains(u))
                .map(|u| (self.index[*u], *u))
                .collect();
            if !candidates.into_iter().any(|(_, id)| self.take(group, id)) {
                return;
            }
        }
    }

    /// A mean that is alone takes the variance of the same terms along, however long they are: one walk less over them.
    fn take_variance(&mut self, group: &mut Group) {
        let ([mean], Anchor::Nest) = (group.members.as_slice(), &group.anchor) else {
            return;
        };
        let users = mean.operands.iter().flat_map(|o| &self.users[*o]);
        let found = users.filter_map(|id| self.variance_of(group, *id)).next();
        if let Some(member) = found {
            self.taken.insert(member.value);
            group.members.push(member);
        }
    }

    fn variance_of(&self, group: &Group, id: ValueId) -> Option<Member> {
        let equation = self.net.single(id)?.clone();
        let operands = self.net.operands(id).to_vec();
        let member = Member {
            value: id,
            equation,
            operands,
            stored: true,
        };
        let mean = &group.members[0];
        let fits = !self.taken.contains(&id)
            && self.folded[id] == self.folded[mean.value]
            && nest::is_mean_of(mean, &member);
        (fits && !self.depends(id, group)).then_some(member)
    }

    /// Takes one user into the group, and before it such operands as run over the same space.
    fn take(&mut self, group: &mut Group, id: ValueId) -> bool {
        let before = group.members.len();
        for &operand in self.net.operands(id) {
            if let Some(member) = self.beside(group, id, operand) {
                group.members.push(member);
            }
        }
        match self.fits(group, id) {
            Some(member) => group.members.push(member),
            None => group.members.truncate(before),
        }
        group.members[before..].iter().for_each(|m| {
            self.taken.insert(m.value);
        });
        group.members.len() > before
    }

    /// A value that runs over the very space of the group and needs nothing of it: Adam's second moment beside the
    /// first, a row's variance beside its mean.
    fn beside(&self, group: &Group, user: ValueId, id: ValueId) -> Option<Member> {
        let equation = self.net.single(id)?;
        let Def::Compute { operands, .. } = &self.net.values[id].def else {
            return None;
        };
        let first = &group.members[0].equation;
        let reduced: i64 = equation.reduced.iter().product();
        let same = equation.free == group.space
            && equation.write == first.write
            && equation.has_bare_writes();
        let nest = matches!(group.anchor, Anchor::Nest)
            && group.members.len() < self.net.numerics.max_kernel_members - 1;
        let rows = reduced <= self.net.numerics.max_cached_row
            && (first.reducer != Reducer::Map || reduced == 1);
        let fits = !self.taken.contains(&id)
            && self.folded[id] == self.folded[group.members[0].value]
            && (same && nest && rows)
            && !self.hazard(group, id);
        if !fits {
            return None;
        }
        let mut before = self.reach.readers_before(id);
        if self.depends(id, group) || before.any(|r| self.depends(r, group)) {
            return None;
        }
        let inputs = group
            .members
            .iter()
            .flat_map(|m| &m.operands)
            .chain(self.net.operands(user));
        let needed = inputs
            .filter(|o| **o != id)
            .any(|o| self.reach.needs(*o, id));
        if needed {
            return None;
        }
        Some(Member {
            value: id,
            equation: equation.clone(),
            operands: operands.clone(),
            stored: true,
        })
    }

    /// The value reads a weight that the group rewrites, or rewrites one that the group reads elsewhere.
    fn hazard(&self, group: &Group, id: ValueId) -> bool {
        let weight = |v: &ValueId| match self.net.values[*v].def {
            Def::Weight(w) => Some(w),
            _ => None,
        };
        let rewritten = |w: usize| {
            group
                .members
                .iter()
                .any(|m| self.net.values[m.value].stored_as == Some(w))
        };
        let reads_rewritten = self
            .net
            .operands(id)
            .iter()
            .filter_map(weight)
            .any(rewritten);
        let rewrites_read = self.net.values[id].stored_as.is_some_and(|w| {
            group
                .members
                .iter()
                .flat_map(|m| &m.operands)
                .filter_map(weight)
                .any(|r| r == w)
        });
        reads_rewritten || rewrites_read
    }

    /// The value as a member of the group, over the group's space.
    fn fits(&self, group: &Group, id: ValueId) -> Option<Member> {
        let equation = self.net.single(id)?;
        let Def::Compute { operands, .. } = &self.net.values[id].def else {
            return None;
        };
        let value = &self.net.values[id];
        if self.folded[id] != self.folded[group.members[0].value] || self.hazard(group, id) {
            return None;
        }
        if value.stored_as.is_some() && group.members[0].equation.reducer != Reducer::Map {
            return None;
        }
        let contraction = matches!(group.anchor, Anchor::Contraction(_));
        if contraction
            && (equation.reducer != Reducer::Map || !equation.guards.is_empty() || value.fixed)
        {
            return None;
        }
        if equation.reducer == Reducer::Sum
            && crate::equation::cost::cost(&equation.body).reads >= 2
            && contraction
        {
            return None;
        }
        let unification = join::Unification::of(group, equation, operands)?;
        // Pixel shuffle's digits of two would be the innermost loop.
        let short = |(value, axis, extent): &(ValueId, usize, i64)| {
            let layout = self.layouts[*value].as_ref();
            *extent < self.net.numerics.min_fused_row
                && layout.is_none_or(|l| l.strides[*axis] == 1)
        };
        let maps = group.members[0].equation.reducer == Reducer::Map;
        if maps && unification.split().iter().any(short) {
            return None;
        }
        let own = unification.own(equation);
        let reduced: i64 = equation.reduced.iter().product();
        let row = group
            .members
            .iter()
            .map(|m| m.extents()[group.space.len()..].iter().product::<i64>())
            .max()
            .unwrap_or(1);
        if (contraction && own > 1)
            || own * reduced > self.net.numerics.max_cached_row
            || row > self.net.numerics.max_cached_row
        {
            return None;
        }
        let written = match contraction {
            true => unification.is_plain(),
            false => join::digit_writes(equation),
        };
        if !written {
            return None;
        }
        if !contraction && group.members[0].equation.reducer == Reducer::Map && own * reduced > 1 {
            return None;
        }
        if operands
            .iter()
            .any(|o| !group.members.iter().any(|m| m.value == *o) && self.depends(*o, group))
        {
            return None;
        }
        if self
            .reach
            .readers_before(id)
            .any(|r| !group.members.iter().any(|m| m.value == r) && self.depends(r, group))
        {
            return None;
        }
        Some(unification.member(group, id, equation, operands))
    }

    /// Whether a value, or what must run before it, needs the group's results.
    fn depends(&self, id: ValueId, group: &Group) -> bool {
        let members: Vec<ValueId> = group.members.iter().map(|m| m.value).collect();
        self.reach.depends(id, &members)
    }

    fn mark_stored(&self, groups: &mut [Group]) {
        let roots: BTreeSet<ValueId> = self.net.roots().into_iter().collect();
        for group in groups {
            let inside: BTreeSet<ValueId> = group.members.iter().map(|m| m.value).collect();
            for member in &mut group.members {
                let root = roots.contains(&member.value);
                member.stored =
                    root || self.users[member.value].iter().any(|u| !inside.contains(u));
            }
        }
    }
}
