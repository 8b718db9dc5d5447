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
use super::refusal::Refusal;
use crate::equation::{Equation, Reducer};
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
    let mut fuser = Fuser::new(net, order, folded, layouts, fuses);
    let mut contractions = contractions;
    let mut groups = vec![];
    let mut anchors: Vec<ValueId> = order.to_vec();
    anchors.sort_by_key(|id| {
        let is_contraction = contractions.contains_key(&(*id, 0));
        (rank(net, *id, is_contraction), fuser.index[*id])
    });
    for id in anchors {
        if fuser.taken.contains(&id) || net.is_leaf(id) {
            continue;
        }
        let started = fuser.start(id, &mut contractions);
        started.iter().for_each(|group| fuser.join(group));
        groups.extend(started);
    }
    fuser.mark_stored(&mut groups);
    order::sort(net, groups, &fuser.index)
}

impl<'a> Fuser<'a> {
    fn new(
        net: &'a Net,
        order: &[ValueId],
        folded: &'a [bool],
        layouts: &'a [Option<Layout>],
        fuses: bool,
    ) -> Fuser<'a> {
        let mut index = vec![usize::MAX; net.values.len()];
        for (i, id) in order.iter().enumerate() {
            index[*id] = i;
        }
        Fuser {
            net,
            reach: Reach::new(net, order, &index),
            users: net.users(order),
            index,
            taken: BTreeSet::new(),
            folded,
            layouts,
            fuses,
        }
    }

    /// The group is complete: what needs one of its members waits for all.
    fn join(&mut self, group: &Group) {
        self.reach
            .join(group.members.iter().map(|m| m.value).collect());
    }

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
            if !self.taken.contains(&operand)
                && let Ok(member) = self.beside(group, id, operand)
            {
                group.members.push(member);
            }
        }
        match self.fits(group, id) {
            Ok(member) => group.members.push(member),
            Err(_) => group.members.truncate(before),
        }
        group.members[before..].iter().for_each(|m| {
            self.taken.insert(m.value);
        });
        group.members.len() > before
    }

    /// A value that runs over the very space of the group and needs nothing of it: Adam's second moment beside the
    /// first, a row's variance beside its mean.
    fn beside(&self, group: &Group, user: ValueId, id: ValueId) -> Result<Member, Refusal> {
        let equation = self.net.single(id).ok_or(Refusal::InPieces)?;
        self.runs_when(group, id)?;
        let first = &group.members[0].equation;
        let same = equation.free == group.space
            && equation.write == first.write
            && equation.has_bare_writes();
        let is_nest = matches!(group.anchor, Anchor::Nest);
        Refusal::OtherBox.when(!same || !is_nest)?;
        let numerics = &self.net.numerics;
        Refusal::TooManyMembers.when(group.members.len() + 1 >= numerics.max_kernel_members)?;
        let reduced: i64 = equation.reduced.iter().product();
        Refusal::LongRows.when(reduced > numerics.max_cached_row)?;
        Refusal::Reduces.when(first.reducer == Reducer::Map && reduced != 1)?;
        let mut before = self.reach.readers_before(id);
        Refusal::WouldWait
            .when(self.depends(id, group) || before.any(|r| self.depends(r, group)))?;
        let inputs = group.members.iter().flat_map(|m| &m.operands);
        let mut inputs = inputs.chain(self.net.operands(user)).filter(|o| **o != id);
        Refusal::WouldWait.when(inputs.any(|o| self.reach.needs(*o, id)))?;
        Ok(Member {
            value: id,
            equation: equation.clone(),
            operands: self.net.operands(id).to_vec(),
            stored: true,
        })
    }

    /// Both are computed at load or in a run, and neither rewrites what the other reads.
    fn runs_when(&self, group: &Group, id: ValueId) -> Result<(), Refusal> {
        Refusal::OtherTime.when(self.folded[id] != self.folded[group.members[0].value])?;
        Refusal::Rewrites.when(self.hazard(group, id))
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
    fn fits(&self, group: &Group, id: ValueId) -> Result<Member, Refusal> {
        let equation = self.net.single(id).ok_or(Refusal::InPieces)?;
        let operands = self.net.operands(id);
        self.runs_when(group, id)?;
        let is_update = self.net.values[id].stored_as.is_some();
        Refusal::RewritesBehindSum.when(is_update && !begins_with_map(group))?;
        let reduced: i64 = equation.reduced.iter().product();
        let takes_none = is_contraction(group) && equation.reducer != Reducer::Map;
        Refusal::Reduces.when(takes_none || begins_with_map(group) && reduced > 1)?;
        if is_contraction(group) {
            Refusal::InPieces.when(!equation.guards.is_empty())?;
            Refusal::IsResult.when(self.net.values[id].fixed)?;
        }
        let unification = join::Unification::of(group, equation, operands)?;
        self.has_loops(group, equation, &unification)?;
        let is_outside = |v: &ValueId| !group.members.iter().any(|m| m.value == *v);
        let before = operands.iter().copied();
        let mut before = before
            .chain(self.reach.readers_before(id))
            .filter(is_outside);
        Refusal::WouldWait.when(before.any(|v| self.depends(v, group)))?;
        Ok(unification.member(group, id, equation, operands))
    }

    /// The group's loops are the value's, and its own are worth being inside of them.
    fn has_loops(
        &self,
        group: &Group,
        equation: &Equation,
        unification: &join::Unification,
    ) -> Result<(), Refusal> {
        let numerics = &self.net.numerics;
        // Pixel shuffle's digits of two would be the innermost loop.
        let is_short = |(value, axis, extent): &(ValueId, usize, i64)| {
            let layout = self.layouts[*value].as_ref();
            *extent < numerics.min_fused_row && layout.is_none_or(|l| l.strides[*axis] == 1)
        };
        let of_maps = begins_with_map(group);
        Refusal::ShortRows.when(of_maps && unification.split().iter().any(is_short))?;
        let own = unification.own(equation);
        let reduced: i64 = equation.reduced.iter().product();
        Refusal::MorePoints.when(is_contraction(group) && own > 1)?;
        let n = group.space.len();
        let rows = group
            .members
            .iter()
            .map(|m| m.extents()[n..].iter().product::<i64>());
        let longest = rows.max().unwrap_or(1).max(own * reduced);
        Refusal::LongRows.when(longest > numerics.max_cached_row)?;
        match is_contraction(group) {
            true => Refusal::SplitsIndex.when(!unification.is_plain())?,
            false => Refusal::OtherBox.when(!join::digit_writes(equation))?,
        }
        Refusal::MorePoints.when(of_maps && own > 1)
    }

    /// Why a group that reads another's results is not one with it.
    fn refusal(&self, group: &Group, reader: &Group) -> Refusal {
        let refused = self.joins(group, reader);
        refused.err().unwrap_or(Refusal::InAnotherKernel)
    }

    /// The group that was begun first was offered what the other one has.
    fn joins(&self, group: &Group, reader: &Group) -> Result<(), Refusal> {
        Refusal::FusionOff.when(!self.fuses)?;
        let is_scatter = |g: &Group| matches!(g.anchor, Anchor::Scatter);
        Refusal::Scatters.when(is_scatter(group) || is_scatter(reader))?;
        Refusal::InPieces.when(self.net.single(group.members[0].value).is_none())?;
        let is_made = |o: &&ValueId| group.members.iter().any(|m| m.value == **o);
        let reads = |m: &Member| Some((m.value, *m.operands.iter().find(is_made)?));
        let (user, read) = reader
            .members
            .iter()
            .find_map(reads)
            .expect("a reader reads");
        let was_first = self.begun(group) < self.begun(reader);
        match self.fits(group, user) {
            // What shares the reader's kernel waits for the group, since the reader does.
            Err(Refusal::WouldWait) if !was_first => {}
            Err(refusal) => return Err(refusal),
            Ok(_) => {
                let most = self.net.numerics.max_kernel_members;
                Refusal::TooManyMembers.when(was_first && group.members.len() >= most)?;
            }
        }
        match user == reader.members[0].value {
            true => Err(Refusal::InAnotherKernel),
            false => self.beside(reader, user, read).map(|_| ()),
        }
    }

    /// When the group was begun.
    fn begun(&self, group: &Group) -> (u8, usize) {
        let first = group.members[0].value;
        let rank = rank(self.net, first, is_contraction(group));
        (rank, self.index[first])
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

/// Contractions begin their groups first, then reductions.
fn rank(net: &Net, id: ValueId, is_contraction: bool) -> u8 {
    match net.single(id) {
        _ if is_contraction => 0,
        Some(e) if e.reducer != Reducer::Map => 1,
        _ => 2,
    }
}

fn is_contraction(group: &Group) -> bool {
    matches!(group.anchor, Anchor::Contraction(_))
}

fn begins_with_map(group: &Group) -> bool {
    group.members[0].equation.reducer == Reducer::Map
}

/// For each group, the groups that read what it computes, each with why it is another one.
pub fn refusals(
    net: &Net,
    order: &[ValueId],
    groups: &[Group],
    folded: &[bool],
    layouts: &[Option<Layout>],
    fuses: bool,
) -> Vec<Vec<(usize, Refusal)>> {
    let mut fuser = Fuser::new(net, order, folded, layouts, fuses);
    groups.iter().for_each(|group| fuser.join(group));
    let mut readers: BTreeMap<ValueId, BTreeSet<usize>> = BTreeMap::new();
    for (g, group) in groups.iter().enumerate() {
        for value in group.reads() {
            readers.entry(value).or_default().insert(g);
        }
    }
    let of = |(g, group): (usize, &Group)| {
        let values = group.members.iter().filter_map(|m| readers.get(&m.value));
        let after: BTreeSet<usize> = values.flatten().copied().filter(|r| *r != g).collect();
        let why = |r: usize| (r, fuser.refusal(group, &groups[r]));
        after.into_iter().map(why).collect()
    };
    groups.iter().enumerate().map(of).collect()
}
