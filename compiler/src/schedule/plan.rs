//! One entry's plan: groups in order, a kernel for each, lifetimes and offsets of all buffers.

use super::contraction::{self, Contraction};
use super::fuse;
use super::group::{Anchor, Context, Group};
use super::layout::{self, Layout};
use super::lower::{KernelBuilder, Source};
use super::memory::{self, Span};
use super::net::{Def, Net, ValueId, WeightTable, for_each_read};
use super::{fill, hoist, matmul, nest, scatter, shares, split, unroll, winograd};
use crate::equation::Pos;
use crate::ir::graph::Graph;
use crate::tile::{Int, Kernel};
use std::collections::{BTreeMap, BTreeSet};

pub struct EntryPlan {
    pub setup: Vec<LaunchPlan>,
    pub launches: Vec<LaunchPlan>,
    pub inputs: Vec<PlannedBuffer>,
    pub outputs: Vec<PlannedBuffer>,
    pub arena_bytes: u64,
    pub folded_bytes: u64,
}

pub struct PlannedBuffer {
    pub name: String,
    pub shape: Vec<i64>,
    pub slot: Slot,
}

/// Where a buffer lies; offsets in bytes.
#[derive(Clone, Debug, PartialEq)]
pub enum Slot {
    Arena(u64),
    Folded(u64),
    Weight(usize),
    /// Constant tensor or table, by content.
    Data(Vec<u8>),
}

pub struct LaunchPlan {
    pub kernel: Kernel,
    pub buffers: Vec<Slot>,
    pub tasks: u64,
    /// What the kernel does, and what the equations that it stands for say.
    pub flops: u64,
    pub equation_flops: u64,
    pub bytes: u64,
    /// Of the results that it leaves behind, borders included.
    pub result_bytes: u64,
    pub label: String,
    pub anchor: &'static str,
    /// One line for each fused member.
    pub members: Vec<String>,
}

/// A kernel that waits for addresses.
struct Pending {
    builder: KernelBuilder,
    label: String,
    anchor: &'static str,
    members: Vec<String>,
    flops: u64,
    equation_flops: u64,
    bytes: u64,
    result_bytes: u64,
    setup: bool,
}

/// What an entry promises.
#[derive(Clone, Copy)]
pub struct Rules {
    /// Weights are rewritten at every run: nothing of them can be folded at load.
    pub weights_change: bool,
    /// Sums of at least so many multiplications are filtered by lines where that is cheaper; with 0, all. None: tiles of a picture must give the bits
    /// of the whole, so sums are taken as they are written.
    pub filtered: Option<i64>,
}

/// Plans one entry.
pub fn plan(graph: &Graph, weights: &mut WeightTable, rules: Rules) -> EntryPlan {
    let mut net = Net::from_graph(graph, weights);
    hoist::invariants(&mut net);
    finish_roots(&mut net);
    fuse::inline(&mut net);
    shares::rewrite(&mut net);
    if let Some(least_work) = rules.filtered {
        winograd::rewrite(&mut net, least_work);
    }
    split::long_reductions(&mut net);
    unroll::corners(&mut net);
    let contractions = find_contractions(&mut net);
    let order = net.order();
    let votes = votes(&net, &contractions);
    let layouts = layout::choose(&net, &order, &votes);
    let folded = folded(&net, &order, rules.weights_change);
    let groups = fuse::groups(&net, &order, contractions, &folded, &layouts);
    let ctx = Context {
        net: &net,
        layouts: &layouts,
    };
    let pending = kernels(&ctx, &groups, &folded);
    place(&ctx, &order, pending, &folded)
}

/// Results leave in row-major order; new weights go to the weights' storage.
fn finish_roots(net: &mut Net) {
    for i in 0..net.outputs.len() {
        if leaves_as_it_is(net, i) {
            net.values[net.outputs[i].1].fixed = true;
            continue;
        }
        let copy = net.copy(net.outputs[i].1);
        net.values[copy].fixed = true;
        net.values[copy].label = format!("output {}", net.outputs[i].0);
        net.outputs[i].1 = copy;
    }
    for i in 0..net.updates.len() {
        let (weight, value) = net.updates[i];
        let value = if updates_in_place(net, weight, value) {
            value
        } else {
            net.copy(value)
        };
        net.values[value].fixed = true;
        net.values[value].stored_as = Some(weight);
        net.updates[i].1 = value;
    }
}

/// Whether an output is a map that nobody else reads, written by digits: no copy of it could be computed from its operands.
fn leaves_as_it_is(net: &Net, output: usize) -> bool {
    let id = net.outputs[output].1;
    let used = net.order().iter().any(|v| net.operands(*v).contains(&id));
    let once = net.roots().iter().filter(|r| **r == id).count() == 1;
    let digits = |e: &crate::equation::Equation| {
        e.reducer == crate::equation::Reducer::Map && !super::join::bare_writes(e)
    };
    !used && once && net.single(id).is_some_and(digits)
}

/// Whether the new value may be written over the old one where it is computed: every read of the old value is done
/// by then, and the computation itself reads it only where it writes.
fn updates_in_place(net: &Net, weight: usize, value: ValueId) -> bool {
    let is_old = |v: ValueId| matches!(net.values[v].def, Def::Weight(w) if w == weight);
    let Some(equation) = net.single(value) else {
        return false;
    };
    let root = net.outputs.iter().any(|(_, o)| *o == value)
        || net.updates.iter().filter(|(_, v)| *v == value).count() > 1;
    if equation.reducer != crate::equation::Reducer::Map || !equation.guards.is_empty() || root {
        return false;
    }
    let operands = net.operands(value);
    let mut own_place = true;
    super::net::for_each_read(&equation.body, &mut |r| {
        own_place &= !is_old(operands[r.operand]) || r.at == equation.write;
    });
    let order = net.order();
    let mut needs_new = vec![false; net.values.len()];
    for id in order {
        needs_new[id] = id == value || net.operands(id).iter().any(|o| needs_new[*o]);
        if needs_new[id] && id != value && net.operands(id).iter().any(|o| is_old(*o)) {
            return false;
        }
    }
    own_place
}

type Contractions = BTreeMap<(ValueId, usize), Contraction>;

fn find_contractions(net: &mut Net) -> Contractions {
    let mut found = BTreeMap::new();
    for id in net.order() {
        let Def::Compute { pieces, .. } = &net.values[id].def else {
            continue;
        };
        for piece in 0..pieces.len() {
            if let Some(c) = contraction::prepare(net, id, piece) {
                found.insert((id, piece), c);
            }
        }
    }
    for ((id, piece), c) in &found {
        substitute_operands(net, *id, *piece, c);
    }
    found
}

/// The value now reads the prepared operands: order and lifetimes follow its operand list.
fn substitute_operands(net: &mut Net, id: ValueId, piece: usize, c: &Contraction) {
    let Def::Compute { pieces, operands } = &mut net.values[id].def else {
        unreachable!("a contraction is computed")
    };
    let first = operands.len();
    operands.extend([c.a.value, c.b.value]);
    let read = |i: usize, o: &contraction::Operand| {
        let at =
            o.at.iter()
                .map(|ix| crate::equation::Pos::Ix(ix.clone()))
                .collect();
        let outside = Some(crate::equation::Lit::new(0.0));
        Box::new(crate::equation::Expr::Read(crate::equation::Read {
            operand: first + i,
            at,
            outside,
        }))
    };
    pieces[piece].body =
        crate::equation::Expr::Binary(crate::equation::Binary::Mul, read(0, &c.a), read(1, &c.b));
    compact(pieces, operands);
}

/// Drops operands that no piece reads.
pub fn compact(pieces: &mut [crate::equation::Equation], operands: &mut Vec<ValueId>) {
    let mut used = vec![false; operands.len()];
    for piece in pieces.iter() {
        super::net::for_each_read(&piece.body, &mut |r| used[r.operand] = true);
    }
    let mut place = vec![0; operands.len()];
    let mut kept = vec![];
    for (i, operand) in operands.iter().enumerate() {
        if used[i] {
            place[i] = kept.len();
            kept.push(*operand);
        }
    }
    for piece in pieces.iter_mut() {
        piece.body = super::net::rebuild(&piece.body, &|ix| ix.clone(), &|mut r| {
            r.operand = place[r.operand];
            crate::equation::Expr::Read(r)
        });
    }
    *operands = kept;
}

/// Innermost axes that contractions would like, weighted by their work.
fn votes(net: &Net, contractions: &Contractions) -> Vec<Vec<f64>> {
    let mut votes: Vec<Vec<f64>> = net
        .values
        .iter()
        .map(|v| vec![0.0; v.shape.len()])
        .collect();
    for ((id, piece), c) in contractions {
        let Def::Compute { pieces, .. } = &net.values[*id].def else {
            continue;
        };
        let equation = &pieces[*piece];
        let extents: Vec<i64> = equation
            .free
            .iter()
            .chain(&equation.reduced)
            .copied()
            .collect();
        let work = extents.iter().map(|e| *e as f64).product::<f64>();
        for (axis, w) in nest::positions(equation).iter().enumerate() {
            if w.coefficient(c.column) == 1 {
                votes[*id][axis] += work;
            }
        }
        // Against weights, A's depth should be adjacent; between two activations the other uses decide.
        if !c.packed {
            continue;
        }
        let bare = |v: &usize| {
            c.a.at
                .iter()
                .position(|p| p.coefficient(*v) == 1 && p.terms.len() == 1)
        };
        let deep = c.k.iter().filter(|v| extents[**v] >= 8).chain(&c.m);
        let best = deep
            .filter(|v| bare(v).is_some())
            .max_by_key(|v| (c.k.contains(v), extents[**v], **v));
        if let Some(axis) = best.and_then(bare) {
            votes[c.a.value][axis] += work;
        }
    }
    gather_votes(net, &mut votes);
    votes
}

/// Where elements are read at computed positions, an index that no computed position depends on should be adjacent: in
/// the operand, and in the result, so that one address serves a row.
fn gather_votes(net: &Net, votes: &mut [Vec<f64>]) {
    for (id, value) in net.values.iter().enumerate() {
        let (pieces, operands) = match &value.def {
            Def::Compute { pieces, operands } => (pieces.as_slice(), operands),
            Def::Scatter { equation, operands } => (std::slice::from_ref(equation), operands),
            _ => continue,
        };
        for piece in pieces {
            let mut positions: Vec<(Option<usize>, &[Pos])> = vec![(None, &piece.write)];
            for_each_read(&piece.body, &mut |r| {
                positions.push((Some(r.operand), &r.at))
            });
            let computed = |at: &[Pos]| at.iter().any(|p| matches!(p, Pos::Computed(_)));
            let extents: Vec<i64> = piece.free.iter().chain(&piece.reduced).copied().collect();
            let mut moves = vec![false; extents.len()];
            for p in positions.iter().flat_map(|(_, at)| at.iter()) {
                if let Pos::Computed(e) = p {
                    contraction::mark(e, &mut moves);
                }
            }
            let long = |v: &usize| extents[*v] >= LEAST_ROW && !moves[*v];
            let plain = positions
                .iter()
                .filter(|(_, at)| computed(at))
                .flat_map(|(_, at)| at.iter());
            let Some(var) = plain.filter_map(layout::single_var).rfind(long) else {
                continue;
            };
            let work = extents.iter().map(|e| *e as f64).product::<f64>();
            for (operand, at) in positions {
                let target = operand.map_or(id, |o| operands[o]);
                for (axis, p) in at.iter().enumerate() {
                    if layout::single_var(p) == Some(var) {
                        votes[target][axis] += work;
                    }
                }
            }
        }
    }
}

/// Adjacent elements that are worth a row.
const LEAST_ROW: i64 = 8;

/// Values that can be computed once, when weights are loaded.
fn folded(net: &Net, order: &[ValueId], weights_change: bool) -> Vec<bool> {
    let mut folded = vec![false; net.values.len()];
    for &id in order {
        folded[id] = match &net.values[id].def {
            Def::Const(_) => true,
            Def::Weight(_) => !weights_change,
            Def::Input(_) => false,
            Def::Compute { pieces, operands } => {
                operands.iter().all(|o| folded[*o])
                    && !pieces.iter().any(|p| contraction::has_random(&p.body))
            }
            Def::Scatter { operands, .. } => operands.iter().all(|o| folded[*o]),
        };
        if net.values[id].fixed {
            folded[id] = false;
        }
    }
    folded
}

fn kernels(ctx: &Context, groups: &[Group], folded: &[bool]) -> Vec<Pending> {
    let mut pending = vec![];
    let mut opened = vec![false; ctx.net.values.len()];
    for group in groups {
        let setup = group.members.iter().all(|m| folded[m.value]);
        for member in group.members.iter().filter(|m| m.stored) {
            if !std::mem::replace(&mut opened[member.value], true) {
                pending.extend(open(ctx, member.value, setup));
            }
        }
        let builder = match &group.anchor {
            Anchor::Nest => nest::build(ctx, group, "nest"),
            Anchor::Contraction(c) => matmul::build(ctx, group, c, "contraction"),
            Anchor::Scatter => scatter::build(ctx, group, "scatter"),
        };
        let label = ctx.net.values[group.members[0].value].label.clone();
        let members = group.members.iter().map(|m| describe(ctx, m)).collect();
        let flops = group.members.iter().map(work).sum();
        let equation_flops = group.members.iter().map(|m| stood_for(ctx, m)).sum();
        let bytes = traffic(ctx, &builder);
        let stored = group.members.iter().filter(|m| m.stored);
        let result_bytes = stored.map(|m| bytes_of(ctx.layout(m.value))).sum();
        pending.push(Pending {
            builder,
            label,
            anchor: group.anchor.name(),
            members,
            flops,
            equation_flops,
            bytes,
            result_bytes,
            setup,
        });
    }
    pending
}

/// What must be zero before the first write to a value.
fn open(ctx: &Context, id: ValueId, setup: bool) -> Option<Pending> {
    let value = &ctx.net.values[id];
    let layout = ctx.layout(id);
    let whole = match &value.def {
        Def::Scatter { .. } => true,
        Def::Compute { pieces, .. } => {
            let points = |p: &crate::equation::Equation| p.free.iter().product::<i64>();
            let guarded = pieces
                .iter()
                .any(|p| p.reducer == crate::equation::Reducer::Map && !p.guards.is_empty());
            guarded || pieces.iter().map(points).sum::<i64>() < value.shape.iter().product::<i64>()
        }
        _ => false,
    };
    let builder = match (whole, layout.has_halo()) {
        (true, _) => fill::whole(layout, ctx.source(id)),
        (false, true) => fill::border(&value.shape, layout, ctx.source(id)),
        (false, false) => return None,
    };
    let label = format!("{} {}", value.label, if whole { "zero" } else { "border" });
    let bytes = 4
        * (layout.len
            - if whole {
                0
            } else {
                value.shape.iter().product::<i64>()
            }) as u64;
    Some(Pending {
        builder,
        label,
        anchor: "fill",
        members: vec![],
        flops: 0,
        equation_flops: 0,
        bytes,
        result_bytes: 0,
        setup,
    })
}

fn describe(ctx: &Context, member: &super::group::Member) -> String {
    let value = &ctx.net.values[member.value];
    let place = if member.stored { "stored" } else { "kept" };
    let order = ctx
        .layout(member.value)
        .order
        .iter()
        .map(|a| a.to_string())
        .collect::<Vec<_>>()
        .join("");
    format!(
        "{} {:?} {:?} order {order} {place}",
        value.label, member.equation.reducer, value.shape
    )
}

/// Two operations a term of a sum, one for each other arithmetic node of the body.
fn work(member: &super::group::Member) -> u64 {
    let points: i64 = member.extents().iter().product();
    let nodes = crate::schedule::fuse::cost(&member.equation.body).arithmetic;
    let reduce = u64::from(!member.equation.reduced.is_empty());
    points as u64 * (nodes + reduce)
}

/// A filtered value's pieces that are still sums count as they are.
fn stood_for(ctx: &Context, member: &super::group::Member) -> u64 {
    match ctx.net.values[member.value].stands_for {
        Some(0) if member.equation.reducer != crate::equation::Reducer::Map => work(member),
        Some(flops) => flops,
        None => work(member),
    }
}

/// Bytes of every buffer once.
fn traffic(ctx: &Context, builder: &KernelBuilder) -> u64 {
    let size = |s: &Source| match s {
        Source::Value(id) => 4 * ctx.net.values[*id].shape.iter().product::<i64>() as u64,
        Source::Weight(_) | Source::Table(_) => 0,
    };
    builder.sources.iter().map(size).sum()
}

fn place(ctx: &Context, order: &[ValueId], pending: Vec<Pending>, folded: &[bool]) -> EntryPlan {
    let net = ctx.net;
    let (setup, main): (Vec<Pending>, Vec<Pending>) = pending.into_iter().partition(|p| p.setup);
    let mut slots: BTreeMap<ValueId, Slot> = BTreeMap::new();
    for &id in order {
        if let Def::Const(data) = &net.values[id].def {
            slots.insert(
                id,
                Slot::Data(data.iter().flat_map(|v| v.to_le_bytes()).collect()),
            );
        }
    }
    let (folded_bytes, while_folding) = lay_folded(ctx, order, &setup, &main, &mut slots);
    let arena_bytes = lay_arena(ctx, order, &main, folded, &mut slots).max(while_folding);
    let launch = |p: Pending| finish(p, &slots);
    let buffer = |name: &str, id: ValueId| PlannedBuffer {
        name: name.to_string(),
        shape: net.values[id].shape.clone(),
        slot: slots[&id].clone(),
    };
    let inputs = order.iter().filter_map(|id| match &net.values[*id].def {
        Def::Input(name) => Some(buffer(name, *id)),
        _ => None,
    });
    EntryPlan {
        inputs: inputs.collect(),
        outputs: net
            .outputs
            .iter()
            .map(|(name, id)| buffer(name, *id))
            .collect(),
        setup: setup.into_iter().map(launch).collect(),
        launches: main.into_iter().map(launch).collect(),
        arena_bytes,
        folded_bytes,
    }
}

fn bytes_of(layout: &Layout) -> u64 {
    4 * layout.len as u64
}

/// Folded values that a run reads have places of their own; what only leads to them lies in the arena while they are
/// computed, before any run. Returns the bytes of both.
fn lay_folded(
    ctx: &Context,
    order: &[ValueId],
    setup: &[Pending],
    main: &[Pending],
    slots: &mut BTreeMap<ValueId, Slot>,
) -> (u64, u64) {
    let is_leaf = |id: &ValueId| ctx.net.is_leaf(*id);
    let read: BTreeSet<ValueId> = lifetimes(main).into_keys().collect();
    let life = lifetimes(setup);
    let mut end = 0;
    let (mut ids, mut spans) = (vec![], vec![]);
    for &id in order.iter().filter(|id| !is_leaf(id)) {
        let Some(&(from, to)) = life.get(&id) else {
            continue;
        };
        let bytes = bytes_of(ctx.layout(id));
        if read.contains(&id) {
            slots.insert(id, Slot::Folded(end));
            end += memory::padded(bytes);
        } else {
            ids.push(id);
            spans.push(Span { from, to, bytes });
        }
    }
    let (offsets, total) = memory::plan(&spans);
    for (id, offset) in ids.into_iter().zip(offsets) {
        slots.insert(id, Slot::Arena(offset));
    }
    (end, total)
}

/// First and last launch that touches each value.
fn lifetimes(launches: &[Pending]) -> BTreeMap<ValueId, (i64, i64)> {
    let mut life: BTreeMap<ValueId, (i64, i64)> = BTreeMap::new();
    for (i, p) in launches.iter().enumerate() {
        for source in &p.builder.sources {
            let Source::Value(id) = source else { continue };
            let span = life.entry(*id).or_insert((i as i64, i as i64));
            span.1 = i as i64;
        }
    }
    life
}

fn lay_arena(
    ctx: &Context,
    order: &[ValueId],
    main: &[Pending],
    folded: &[bool],
    slots: &mut BTreeMap<ValueId, Slot>,
) -> u64 {
    let net = ctx.net;
    let life = lifetimes(main);
    let mut ids = vec![];
    let mut spans = vec![];
    for &id in order {
        let input = matches!(net.values[id].def, Def::Input(_));
        let in_arena =
            input || (!net.is_leaf(id) && !folded[id] && net.values[id].stored_as.is_none());
        let Some(&(from, to)) = life.get(&id) else {
            if input {
                ids.push(id);
                spans.push(Span {
                    from: -1,
                    to: -1,
                    bytes: bytes_of(ctx.layout(id)),
                });
            }
            continue;
        };
        if in_arena {
            let output = net.outputs.iter().any(|(_, o)| *o == id);
            let from = if input { -1 } else { from };
            let to = if output { main.len() as i64 } else { to };
            ids.push(id);
            spans.push(Span {
                from,
                to,
                bytes: bytes_of(ctx.layout(id)),
            });
        }
    }
    let (offsets, total) = memory::plan(&spans);
    for (id, offset) in ids.into_iter().zip(offsets) {
        slots.insert(id, Slot::Arena(offset));
    }
    total
}

fn finish(p: Pending, slots: &BTreeMap<ValueId, Slot>) -> LaunchPlan {
    let kernel = p.builder.kernel;
    let slot = |s: &Source| match s {
        Source::Value(id) => slots
            .get(id)
            .unwrap_or_else(|| panic!("value {id} has no place"))
            .clone(),
        Source::Weight(weight) => Slot::Weight(*weight),
        Source::Table(data) => Slot::Data(data.iter().flat_map(|v| v.to_le_bytes()).collect()),
    };
    let count = |t: &crate::tile::TaskAxis| match t.extent {
        Int::Const(extent) => (extent + t.step - 1) / t.step,
        _ => unreachable!("extents are constants before they are lifted"),
    };
    LaunchPlan {
        buffers: p.builder.sources.iter().map(slot).collect(),
        tasks: kernel.tasks.iter().map(count).product::<i64>() as u64,
        kernel,
        flops: p.flops,
        equation_flops: p.equation_flops,
        bytes: p.bytes,
        result_bytes: p.result_bytes,
        label: p.label,
        anchor: p.anchor,
        members: p.members,
    }
}
