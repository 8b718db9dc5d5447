//! Where every buffer of an entry lies.
//!
//! Enters kernels in their order, with the values that they touch; leaves launches with the byte of every buffer. Kernels
//! are not changed or reordered here, and buffers whose lifetimes meet never overlap.

use super::group::Context;
use super::layout::Layout;
use super::lower::BufferSource;
use super::memory::{self, Span};
use super::net::{Def, ValueId};
use super::plan::{EntryPlan, LaunchPlan, PlannedBuffer, Slot, UnplacedKernel};
use crate::diag;
use crate::tile::Int;
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn place(
    ctx: &Context,
    order: &[ValueId],
    pending: Vec<UnplacedKernel>,
    folded: &[bool],
) -> EntryPlan {
    let net = ctx.net;
    let (setup, main): (Vec<UnplacedKernel>, Vec<UnplacedKernel>) =
        pending.into_iter().partition(|p| p.setup);
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
    let launch = |p: UnplacedKernel| finish(ctx, p, &slots);
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
        machine: net.machine,
    }
}

pub(super) fn bytes_of(layout: &Layout) -> u64 {
    4 * layout.len as u64
}

/// Folded values that a run reads have places of their own; what only leads to them lies in the arena while they are
/// computed, before any run. Returns the bytes of both.
fn lay_folded(
    ctx: &Context,
    order: &[ValueId],
    setup: &[UnplacedKernel],
    main: &[UnplacedKernel],
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
fn lifetimes(launches: &[UnplacedKernel]) -> BTreeMap<ValueId, (i64, i64)> {
    let mut life: BTreeMap<ValueId, (i64, i64)> = BTreeMap::new();
    for (i, p) in launches.iter().enumerate() {
        for source in &p.builder.sources {
            let BufferSource::Value(id) = source else {
                continue;
            };
            let span = life.entry(*id).or_insert((i as i64, i as i64));
            span.1 = i as i64;
        }
    }
    life
}

fn lay_arena(
    ctx: &Context,
    order: &[ValueId],
    main: &[UnplacedKernel],
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

/// Elements of what a kernel's buffer is bound to, border included.
fn elements(ctx: &Context, source: &BufferSource) -> u64 {
    let is_weight = |v: &super::net::Value, w: usize| {
        v.stored_as == Some(w) || matches!(v.def, Def::Weight(own) if own == w)
    };
    match source {
        BufferSource::Value(id) => ctx.layout(*id).len as u64,
        BufferSource::Table(data) => data.len() as u64,
        BufferSource::Weight(w) => {
            let value = ctx.net.values.iter().find(|v| is_weight(v, *w));
            value.map_or(0, |v| v.shape.iter().product::<i64>() as u64)
        }
    }
}

fn finish(ctx: &Context, p: UnplacedKernel, slots: &BTreeMap<ValueId, Slot>) -> LaunchPlan {
    let _context = diag::kernel(&p.label, p.span);
    let kernel = p.builder.kernel;
    let slot = |s: &BufferSource| match s {
        BufferSource::Value(id) => slots
            .get(id)
            .unwrap_or_else(|| panic!("value {id} has no place"))
            .clone(),
        BufferSource::Weight(weight) => Slot::Weight(*weight),
        BufferSource::Table(data) => {
            Slot::Data(data.iter().flat_map(|v| v.to_le_bytes()).collect())
        }
    };
    let count = |t: &crate::tile::TaskAxis| match t.extent {
        Int::Const(extent) => (extent + t.step - 1) / t.step,
        _ => unreachable!("extents are constants before they are lifted"),
    };
    LaunchPlan {
        lens: p.builder.sources.iter().map(|s| elements(ctx, s)).collect(),
        buffers: p.builder.sources.iter().map(slot).collect(),
        tasks: kernel.tasks.iter().map(count).product::<i64>() as u64,
        kernel,
        flops: p.flops,
        equation_flops: p.equation_flops,
        bytes: p.bytes,
        result_bytes: p.result_bytes,
        label: p.label,
        span: p.span,
        anchor: p.anchor,
        members: p.members,
        group: p.group,
        apart: p.apart,
    }
}
