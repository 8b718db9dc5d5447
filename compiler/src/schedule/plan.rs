//! One entry's plan: values rewritten, groups in order, a kernel for each.

use super::contraction::{self, Contraction};
use super::draft::Draft;
use super::fuse;
use super::group::{Anchor, Context, Group};
use super::layout::{self, Layout};
use super::lower::{BufferSource, KernelBuilder};
use super::net::{Def, Net, ValueId, WeightTable};
use super::place::{bytes_of, place};
use super::preferences::preferences;
use super::{
    Numerics, Refusal, fill, gathers, hoist, inline, matmul, nest, order, scatter, softmax, split,
    unroll, updates, winograd,
};
use crate::diag::{self, Span};
use crate::ir::graph::Graph;
use crate::ir::origins::{self, Origins};
use crate::pass_manager::{Emit, Ir, Pass, PassManager};
use crate::tile::{self, Kernel};
use std::collections::BTreeMap;
use vsr_artifact::machine::Machine;

pub struct EntryPlan {
    pub setup: Vec<LaunchPlan>,
    pub launches: Vec<LaunchPlan>,
    pub inputs: Vec<PlannedBuffer>,
    pub outputs: Vec<PlannedBuffer>,
    pub arena_bytes: u64,
    pub folded_bytes: u64,
    /// What it is planned for.
    pub machine: Machine,
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
    /// Elements of each buffer: numbers, or integers of a table.
    pub lens: Vec<u64>,
    pub tasks: u64,
    /// What the kernel does, and what the equations that it stands for say.
    pub flops: u64,
    pub equation_flops: u64,
    pub bytes: u64,
    /// Of the results that it leaves behind, borders included.
    pub result_bytes: u64,
    pub label: String,
    /// Where the text says it.
    pub span: Option<Span>,
    pub anchor: &'static str,
    /// One line for each fused member.
    pub members: Vec<String>,
    /// Its number among the kernels that compute values; None: it fills memory.
    pub group: Option<usize>,
    /// Kernels that read its results, by that number, and why they are not one with it. Only where `--emit schedule` asks.
    pub apart: Vec<(usize, Refusal)>,
}

/// A kernel that waits for addresses.
pub(super) struct UnplacedKernel {
    pub(super) builder: KernelBuilder,
    pub(super) label: String,
    pub(super) span: Option<Span>,
    pub(super) anchor: &'static str,
    pub(super) members: Vec<String>,
    pub(super) group: Option<usize>,
    pub(super) apart: Vec<(usize, Refusal)>,
    pub(super) flops: u64,
    pub(super) equation_flops: u64,
    pub(super) bytes: u64,
    pub(super) result_bytes: u64,
    pub(super) setup: bool,
}

/// What an entry promises, what it is planned for, and by which thresholds.
#[derive(Clone, Copy)]
pub struct Rules {
    /// Weights are rewritten at every run: nothing of them can be folded at load.
    pub weights_change: bool,
    /// Sums may be computed by Winograd's minimal filtering. False: tiles of a picture must give the bits of the whole, so sums are taken as
    /// they are written.
    pub winograd: bool,
    /// Kernels take what follows or precedes their values; without, each value has a kernel of its own (for tests).
    pub fuses: bool,
    pub machine: Machine,
    /// Results of at least so many elements are stored non-temporally: their readers would not find them in a cache anyway.
    pub min_non_temporal_elements: i64,
    pub numerics: Numerics,
}

impl Rules {
    pub fn new(weights_change: bool, winograd: bool) -> Rules {
        Rules {
            weights_change,
            winograd,
            fuses: true,
            machine: Machine::default(),
            min_non_temporal_elements: Machine::default().last_level(),
            numerics: Numerics::default(),
        }
    }

    /// The same by other thresholds.
    pub fn by(self, numerics: Numerics) -> Rules {
        Rules { numerics, ..self }
    }

    /// The same for another machine.
    pub fn on(self, machine: Machine) -> Rules {
        Rules {
            machine,
            min_non_temporal_elements: machine.last_level(),
            ..self
        }
    }
}

/// What rewrites values, in order. Behind these the net is as it will run; the rest chooses layouts, kernels and places.
fn rewriting<'a>() -> Vec<Pass<Draft<'a>>> {
    vec![
        Pass {
            name: "hoist",
            needs: &[],
            why: "takes out of sums what does not depend on their indices, while equations are still as they were derived",
            run: |draft| hoist::invariants(&mut draft.net),
        },
        Pass {
            name: "roots",
            needs: &[],
            why: "gives outputs and new weights places of their own, before anything is computed elsewhere",
            run: |draft| finish_roots(&mut draft.net),
        },
        Pass {
            name: "inline",
            needs: &["hoist", "roots"],
            why: "computes cheap maps where they are read; what follows then sees whole equations",
            run: |draft| fuse::inline(&mut draft.net),
        },
        Pass {
            name: "winograd",
            needs: &["inline"],
            why: "rewrites sums over three taps by Winograd's minimal filtering, where an entry's rules allow other roundings",
            run: |draft| {
                if draft.rules.winograd {
                    winograd::rewrite(&mut draft.net);
                }
            },
        },
        Pass {
            name: "split",
            needs: &["winograd"],
            why: "cuts long sums for threads and for their digits; behind winograd, whose sums are shorter",
            run: |draft| split::long_reductions(&mut draft.net),
        },
        Pass {
            name: "softmax",
            needs: &["split"],
            why: "computes a row's exponentials once; behind the cuts, so that a row's maximum and sum stay in one kernel",
            run: |draft| softmax::rewrite(&mut draft.net),
        },
        Pass {
            name: "unroll",
            needs: &["inline"],
            why: "writes sums over the corners of a sampling position out, each corner weighed once",
            run: |draft| unroll::corners(&mut draft.net),
        },
        Pass {
            name: "gathers",
            needs: &["unroll"],
            why: "copies what is gathered across its rows; behind unroll, which makes the reads that are gathered",
            run: |draft| gathers::copy_leaves(&mut draft.net),
        },
        Pass {
            name: "contractions",
            needs: &[
                "hoist", "inline", "winograd", "split", "softmax", "unroll", "gathers",
            ],
            why: "finds sums of products and prepares their operands; behind all that changes equations",
            run: |draft| draft.contractions = find_contractions(&mut draft.net),
        },
        Pass {
            name: "updates",
            needs: &["roots", "gathers", "contractions"],
            why: "copies new weights for which no order exists; behind all that adds a reader of an old one",
            run: |draft| updates::settle(&mut draft.net),
        },
        Pass {
            name: "pack",
            needs: &["contractions"],
            why: "packs weights from where they come, where they are packed once",
            run: |draft| {
                if !draft.rules.weights_change {
                    let (net, contractions) = (&mut draft.net, &draft.contractions);
                    contractions.values().for_each(|c| pack_from_source(net, c));
                }
            },
        },
    ]
}

/// The schedule's passes: level, name and why.
pub fn passes() -> impl Iterator<Item = [&'static str; 3]> {
    let described = |p: Pass<Draft>| [Draft::NAME, p.name, p.why];
    rewriting().into_iter().map(described)
}

/// Plans one entry.
pub fn plan(
    graph: &Graph,
    weights: &mut WeightTable,
    rules: Rules,
    manager: &mut PassManager,
) -> EntryPlan {
    let mut draft = Draft {
        net: Net::from_graph(graph, weights, &rules),
        rules,
        contractions: Contractions::new(),
        weights,
    };
    let scheduled = manager.stage("schedule", |manager| {
        manager.run(&mut draft, &rewriting());
        schedule(draft, manager)
    });
    manager.stage("lower", |manager| {
        let origins = Origins::of(graph).with_outputs(graph);
        let plan = scheduled.lower(&origins, rules.min_non_temporal_elements);
        if manager.verifies {
            manager.timed("verify kernels", || verify_kernels(&plan));
        }
        plan
    })
}

/// What is computed, how it lies, what is computed together, and when.
struct Schedule {
    net: Net,
    layouts: Vec<Option<Layout>>,
    order: Vec<ValueId>,
    groups: Vec<Group>,
    /// For each group, those that read its results, and why they are others. Empty where nobody asks.
    apart: Vec<Vec<(usize, Refusal)>>,
    folded: Vec<bool>,
}

fn schedule(draft: Draft, manager: &mut PassManager) -> Schedule {
    let Draft {
        net,
        contractions,
        rules,
        ..
    } = draft;
    let order = net.order();
    let folded = folded(&net, &order, rules.weights_change);
    let layouts = manager.timed("schedule: layouts", || {
        layout::choose(&net, &order, &preferences(&net, &contractions))
    });
    let groups = manager.timed("schedule: kernels", || {
        let groups = fuse::groups(&net, &order, contractions, &folded, &layouts, rules.fuses);
        order::shorten(&net, groups, &folded, &layouts)
    });
    let apart = match manager.emit {
        Some(Emit::Schedule) => {
            fuse::refusals(&net, &order, &groups, &folded, &layouts, rules.fuses)
        }
        _ => vec![],
    };
    Schedule {
        net,
        layouts,
        order,
        groups,
        apart,
        folded,
    }
}

impl Schedule {
    fn lower(&self, origins: &Origins<'_>, min_non_temporal_elements: i64) -> EntryPlan {
        let ctx = Context {
            machine: self.net.machine,
            net: &self.net,
            layouts: &self.layouts,
            min_non_temporal_elements,
        };
        let pending = kernels(&ctx, self, origins);
        place(&ctx, &self.order, pending, &self.folded)
    }
}

/// Every kernel is well formed, and stays inside of its memory.
fn verify_kernels(plan: &EntryPlan) {
    for launch in plan.setup.iter().chain(&plan.launches) {
        let _context = diag::kernel(&launch.label, launch.span);
        let (kernel, args) = tile::lift(&launch.kernel);
        let lens: Vec<i64> = launch.lens.iter().map(|n| *n as i64).collect();
        if let Err(flaws) = tile::verify(&kernel, &args, &lens) {
            panic!("the kernel is not well formed: {}", flaws.join("; "));
        }
    }
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
        net.values[copy].label = origins::output_label(&net.outputs[i].0);
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
        e.reducer == crate::equation::Reducer::Map && !e.has_bare_writes()
    };
    !used && once && net.single(id).is_some_and(digits)
}

/// Whether the new value may be written over the old one where it is computed, as far as its own equation tells: it
/// reads the old value only where it writes. What others read is looked at by `updates::settle`.
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
    own_place
}

pub(super) type Contractions = BTreeMap<(ValueId, usize), Contraction>;

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

/// Weights are packed once, at load: what they are computed from lies nowhere in between.
fn pack_from_source(net: &mut Net, c: &Contraction) {
    if c.packed && net.from_weights(c.b.value) {
        inline::source(net, c.b.value);
    }
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

/// Drops operands that no piece reads, in its body or where it writes.
pub fn compact(pieces: &mut [crate::equation::Equation], operands: &mut Vec<ValueId>) {
    let mut used = vec![false; operands.len()];
    for piece in pieces.iter() {
        piece.for_each_read(true, &mut |r| used[r.operand] = true);
    }
    let mut place = vec![0; operands.len()];
    let mut kept = vec![];
    for (i, operand) in operands.iter().enumerate().filter(|(i, _)| used[*i]) {
        place[i] = kept.len();
        kept.push(*operand);
    }
    for piece in pieces.iter_mut() {
        *piece = piece.map_operands(&|operand| place[operand]);
    }
    *operands = kept;
}

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

fn kernels(ctx: &Context, schedule: &Schedule, origins: &Origins<'_>) -> Vec<UnplacedKernel> {
    let mut pending = vec![];
    let mut opened = vec![false; ctx.net.values.len()];
    for (g, group) in schedule.groups.iter().enumerate() {
        let label = ctx.net.values[group.members[0].value].label.clone();
        let span = origins.find(&label).and_then(|origin| origin.span);
        let _context = diag::kernel(&label, span);
        let setup = group.members.iter().all(|m| schedule.folded[m.value]);
        for member in group.members.iter().filter(|m| m.stored) {
            if !std::mem::replace(&mut opened[member.value], true) {
                pending.extend(open(ctx, member.value, setup, span));
            }
        }
        let builder = match &group.anchor {
            Anchor::Nest => nest::build(ctx, group, "nest"),
            Anchor::Contraction(c) => matmul::build(ctx, group, c, "contraction"),
            Anchor::Scatter => scatter::build(ctx, group, "scatter"),
        };
        let members = group.members.iter().map(|m| describe(ctx, m)).collect();
        let flops = group.members.iter().map(|m| m.equation.flops()).sum();
        let equation_flops = group.members.iter().map(|m| stood_for(ctx, m)).sum();
        let bytes = traffic(ctx, &builder);
        let stored = group.members.iter().filter(|m| m.stored);
        let result_bytes = stored.map(|m| bytes_of(ctx.layout(m.value))).sum();
        pending.push(UnplacedKernel {
            builder,
            label,
            span,
            anchor: group.anchor.name(),
            members,
            group: Some(g),
            apart: schedule.apart.get(g).cloned().unwrap_or_default(),
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
fn open(ctx: &Context, id: ValueId, setup: bool, span: Option<Span>) -> Option<UnplacedKernel> {
    let value = &ctx.net.values[id];
    let layout = ctx.layout(id);
    let is_one_piece = ctx.net.single(id).is_some();
    let whole = match &value.def {
        Def::Scatter { .. } => true,
        // A value of one piece is written everywhere, as zero where its guards fail.
        Def::Compute { .. } if is_one_piece => false,
        Def::Compute { pieces, .. } => {
            let points = |p: &crate::equation::Equation| p.free.iter().product::<i64>();
            let guarded = pieces.iter().any(|p| !p.guards.is_empty());
            guarded || pieces.iter().map(points).sum::<i64>() < value.shape.iter().product::<i64>()
        }
        _ => false,
    };
    let builder = match (whole, layout.has_padding()) {
        (true, _) => fill::whole(layout, ctx.source(id), &ctx.machine),
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
    Some(UnplacedKernel {
        builder,
        label,
        span,
        anchor: "fill",
        members: vec![],
        group: None,
        apart: vec![],
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

/// Of a value that Winograd's transforms compute, pieces that are still sums count as they are.
fn stood_for(ctx: &Context, member: &super::group::Member) -> u64 {
    match ctx.net.values[member.value].stands_for {
        Some(0) if member.equation.reducer != crate::equation::Reducer::Map => {
            member.equation.flops()
        }
        Some(flops) => flops,
        None => member.equation.flops(),
    }
}

/// Bytes of every buffer once.
fn traffic(ctx: &Context, builder: &KernelBuilder) -> u64 {
    let size = |s: &BufferSource| match s {
        BufferSource::Value(id) => 4 * ctx.net.values[*id].shape.iter().product::<i64>() as u64,
        BufferSource::Weight(_) | BufferSource::Table(_) => 0,
    };
    builder.sources.iter().map(size).sum()
}
