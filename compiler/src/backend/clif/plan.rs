//! How one `Compute` becomes loops: their order, what is vectorised, and which rows of scratch its maths needs.

use crate::equation::{Binary, Lit};
use crate::tile::dag::{Atom, BoundId, Dag, Node, NodeId, Reach, Space, WRITTEN, operands};
use crate::tile::sum::{Stride, Sum};
use crate::tile::{
    Bound, Compute, Int, Kernel, Leaf, Mode, Reduce, ReduceOp, Stmt, TileKind, Val, Var,
};
use std::collections::HashMap;
use vsr_artifact::machine::Machine;

/// Elements of a strip: what one call of maths computes at most, in scratch. Sixteen strips are a first-level cache; all lanes of
/// a reduction are filled.
pub fn strip_elements(m: &Machine) -> i64 {
    let lanes = super::calls::SUMS;
    (m.l1() / 16 / lanes * lanes).max(lanes)
}

/// Strips are padded, so that whole vectors and lanes may be written past the last element.
pub fn strip_bytes(m: &Machine) -> i64 {
    4 * (strip_elements(m) + super::calls::SUMS)
}

/// Room for the arguments of a wide row.
pub const ARGUMENT_BYTES: i64 = 384;
/// What one iteration of a vectorised loop reads at most: 8 vectors.
pub const ZERO_BYTES: i64 = 128;

pub struct Plan {
    pub loops: Vec<Loop>,
    pub shape: Shape,
    /// Number of loops over the destination that lie outside of everything else.
    pub n_outer: usize,
    /// Index of the loop that is cut into vectors or chunks.
    pub v: Option<usize>,
    pub vectorised: bool,
    /// The last loop but one is no loop: the rows of its values are interleaved.
    pub n_interleaved: Option<i64>,
    /// The last two loops are a transposition.
    pub is_transposed: bool,
    /// Results go through a row, and from there to memory by non-temporal stores.
    pub is_non_temporal: bool,
    pub value: NodeId,
    pub to: Space,
    pub at: Sum,
    pub mode: Mode,
    pub op: Option<ReduceOp>,
    /// Accumulators of a reduction along its last index.
    pub lanes: i64,
    pub bounds: Vec<BoundId>,
    pub reach: Reach,
    /// Calls of maths along the vectorised loop, by depth.
    pub stages: Vec<Vec<NodeId>>,
    pub rows: HashMap<NodeId, i64>,
    pub n_rows: i64,
    pub machine: Machine,
}

pub struct Loop {
    pub var: Var,
    pub extent: Sum,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// No reduction; the last loop is vectorised.
    Map,
    /// Accumulators are registers along the destination's last index, reduced loops inside.
    Columns,
    /// Accumulators are a row of scratch along the destination's last index, which is the innermost loop.
    Row,
    /// Several accumulators along the last reduced index.
    Lanes,
    /// One accumulator, one element after another.
    Chain,
}

/// The row of a plan's value or accumulators.
pub const VALUE_ROW: NodeId = NodeId::MAX;

/// The k-th of the rows that are interleaved.
pub fn source_row(k: i64) -> NodeId {
    VALUE_ROW - 1 - k as NodeId
}

impl Plan {
    pub fn new(compute: &Compute, dag: &mut Dag, machine: &Machine) -> Plan {
        let reduce = compute.reduce.as_ref().filter(|r| !r.dims.is_empty());
        let reduced: Vec<Var> = reduce.map_or(vec![], |r| r.dims.iter().map(|d| d.0).collect());
        let (own, left_out) = split_bounds(compute, &reduced, dag);
        let value = match reduce {
            Some(r) if !left_out.is_empty() => {
                let guarded =
                    Val::Guarded(left_out, Box::new(compute.value.clone()), identity(r.op));
                dag.val(&guarded, None)
            }
            _ => dag.val(&compute.value, None),
        };
        let at = dag.int(&compute.at, None);
        let bounds: Vec<BoundId> = own.iter().map(|b| dag.bound_id(b, None)).collect();
        let sums: Vec<Sum> = bounds
            .iter()
            .flat_map(|b| [dag.bound(*b).0.clone(), dag.bound(*b).1.clone()])
            .collect();
        let mut reach = dag.reachable(&[value], &sums.iter().chain([&at]).collect::<Vec<_>>());
        let to: Space = compute.to.into();
        let target = (to, at.part(|_| true));
        if !reach.addresses.contains(&target) {
            reach.addresses.push(target);
        }
        let mut plan = Plan {
            machine: *machine,
            loops: vec![],
            shape: Shape::Map,
            n_outer: 0,
            v: None,
            vectorised: false,
            n_interleaved: None,
            is_transposed: false,
            is_non_temporal: false,
            value,
            to,
            at,
            mode: compute.mode,
            op: reduce.map(|r| r.op),
            lanes: reduce.map_or(1, |r| i64::from(r.lanes)),
            bounds,
            reach,
            stages: vec![],
            rows: HashMap::new(),
            n_rows: 0,
        };
        plan.choose(compute, reduce, dag);
        plan.rows(dag);
        plan
    }

    fn choose(&mut self, compute: &Compute, reduce: Option<&Reduce>, dag: &mut Dag) {
        let column = compute.dims.last().map(|d| d.0);
        let along = column.is_some_and(|v| self.may_vectorise(v, dag));
        let Some(reduce) = reduce else {
            self.order(&compute.dims, &[], dag);
            self.n_outer = compute.dims.len().saturating_sub(1);
            self.v = compute.dims.len().checked_sub(1);
            self.vectorised = along;
            if along && (self.interleave(dag) || self.transpose(dag)) {
                return;
            }
            self.is_non_temporal = along && self.may_store_non_temporal(dag);
            return;
        };
        if reduce.lanes > 1 {
            self.order(&compute.dims, &reduce.dims, dag);
            self.shape = Shape::Lanes;
            self.n_outer = compute.dims.len();
            self.v = Some(self.loops.len() - 1);
            self.vectorised = true;
            return;
        }
        let Some(column) = column.filter(|_| along) else {
            self.order(&compute.dims, &reduce.dims, dag);
            self.shape = Shape::Chain;
            self.n_outer = compute.dims.len();
            self.v = Some(self.loops.len() - 1);
            self.vectorised = self.has_maths(reduce.dims[reduce.dims.len() - 1].0, dag);
            return;
        };
        let (last, outer) = compute.dims.split_last().expect("there is a column");
        self.n_outer = outer.len();
        self.vectorised = true;
        let guarded = self
            .reach
            .bounds
            .iter()
            .any(|b| dag.bound_deps(*b).contains(&column));
        if guarded || self.has_maths(column, dag) {
            self.order(
                outer,
                &[reduce.dims.as_slice(), std::slice::from_ref(last)].concat(),
                dag,
            );
            self.shape = Shape::Row;
            self.v = Some(self.loops.len() - 1);
        } else {
            self.order(&compute.dims, &reduce.dims, dag);
            self.shape = Shape::Columns;
            self.v = Some(outer.len());
        }
    }

    fn order(&mut self, first: &[(Var, Int)], then: &[(Var, Int)], dag: &mut Dag) {
        let make = |(var, extent): &(Var, Int)| Loop {
            var: *var,
            extent: dag.int(extent, None),
        };
        self.loops = first.iter().chain(then).map(make).collect();
    }

    /// Elements along `v` go to different places, at least one of destination and reads is contiguous, and which
    /// elements are skipped follows from a range.
    fn may_vectorise(&self, v: Var, dag: &Dag) -> bool {
        let Stride::Linear(step) = dag.stride(&self.at, v) else {
            return false;
        };
        let reads = self.reach.addresses.iter().map(|(_, at)| dag.stride(at, v));
        let contiguous = reads
            .filter(|s| *s == Stride::Linear(Sum::constant(1)))
            .count();
        let skips = self
            .bounds
            .iter()
            .all(|b| !dag.bound_deps(*b).contains(&v) || range_step(dag, *b, v).is_some());
        step.as_constant() != Some(0) && contiguous > 0 && skips
    }

    /// Whether the destination asks for it, contiguous and long enough.
    fn may_store_non_temporal(&self, dag: &Dag) -> bool {
        let Some(row) = self.loops.last() else {
            return false;
        };
        let contiguous = dag.stride(&self.at, row.var) == Stride::Linear(Sum::constant(1));
        let long = row
            .extent
            .as_constant()
            .is_none_or(|n| n >= 4 * self.machine.line());
        self.mode == Mode::NonTemporal && contiguous && long && matches!(self.to, Space::Buf(_))
    }

    /// Makes a loop the last but one, and that and the row one step of the map.
    pub fn take_with_row(&mut self, index: usize) {
        let row = self.loops.len() - 1;
        self.loops[index..row].rotate_left(1);
        self.n_outer = row - 1;
    }

    /// Whether every point is stored, whatever was there, and is read without a guard.
    pub fn is_plain(&self) -> bool {
        let stored = matches!(self.mode, Mode::Store | Mode::NonTemporal);
        stored && self.bounds.is_empty() && self.reach.bounds.is_empty()
    }

    /// Whether no loop's length depends on these variables.
    pub fn has_lengths_without(&self, vars: &[Var], dag: &Dag) -> bool {
        let deps = |l: &Loop| dag.sum_deps(&l.extent);
        self.loops
            .iter()
            .all(|l| !deps(l).iter().any(|v| vars.contains(v)))
    }

    pub fn has_maths(&self, v: Var, dag: &Dag) -> bool {
        let called = |n: &NodeId| matches!(dag.node(*n), Node::Math(..) | Node::Random { .. });
        self.reach
            .nodes
            .iter()
            .any(|n| called(n) && dag.node_deps(*n).contains(&v))
    }

    pub fn vector_var(&self) -> Option<Var> {
        self.v.map(|i| self.loops[i].var)
    }

    /// Level of every variable: 1 is the outermost loop.
    pub fn levels(&self) -> HashMap<Var, usize> {
        let mut levels: HashMap<Var, usize> = self
            .loops
            .iter()
            .enumerate()
            .map(|(i, l)| (l.var, i + 1))
            .collect();
        levels.insert(WRITTEN, self.loops.len());
        levels
    }

    /// Gives a row to every call along the vectorised loop, and to values on their way into accumulators.
    fn rows(&mut self, dag: &Dag) {
        let mut next = 0;
        for k in 0..self.n_interleaved.unwrap_or(0) {
            self.rows.insert(source_row(k), next);
            next += 1;
        }
        if self.is_non_temporal || matches!(self.shape, Shape::Row | Shape::Lanes | Shape::Chain) {
            self.rows.insert(VALUE_ROW, next);
            next += 1;
        }
        let Some(v) = self.vector_var() else {
            self.n_rows = next;
            return;
        };
        // What decides whether a point is left out is known before any row is: it is called for one element.
        let bounds = self.bounds.iter().map(|b| dag.bound(*b));
        let tested: Vec<&Sum> = bounds.flat_map(|(index, extent)| [index, extent]).collect();
        let tested = dag.reachable(&[], &tested).nodes;
        let mut depths: HashMap<NodeId, usize> = HashMap::new();
        for &id in &self.reach.nodes {
            let below = below(dag, id)
                .iter()
                .map(|n| depths.get(n).copied().unwrap_or(0))
                .max()
                .unwrap_or(0);
            let node = dag.node(id);
            let called = matches!(node, Node::Math(..) | Node::Random { .. })
                && dag.node_deps(id).contains(&v)
                && !tested.contains(&id);
            depths.insert(id, below + usize::from(called));
            if called {
                self.stages.resize(self.stages.len().max(below + 1), vec![]);
                self.stages[below].push(id);
                self.rows.insert(id, next);
                next += if matches!(node, Node::Math(_, args) if args.len() == 2) {
                    2
                } else {
                    1
                };
            }
        }
        self.n_rows = next;
    }
}

/// Operands, and the values that addresses and indices are computed from.
fn below(dag: &Dag, id: NodeId) -> Vec<NodeId> {
    let node = dag.node(id);
    let mut found = operands(node);
    match node {
        Node::Load(_, at, guard) => {
            sum_nodes(dag, at, &mut found);
            guard.iter().for_each(|g| guard_nodes(dag, *g, &mut found));
        }
        Node::FromInt(at) | Node::Random { at, .. } => sum_nodes(dag, at, &mut found),
        Node::Guard(g, ..) => guard_nodes(dag, *g, &mut found),
        _ => {}
    }
    found
}

fn guard_nodes(dag: &Dag, guard: u32, found: &mut Vec<NodeId>) {
    for bound in dag.guard(guard) {
        let (index, extent) = dag.bound(*bound);
        sum_nodes(dag, index, found);
        sum_nodes(dag, extent, found);
    }
}

fn sum_nodes(dag: &Dag, sum: &Sum, found: &mut Vec<NodeId>) {
    for atom in sum.terms.iter().flat_map(|t| &t.atoms) {
        match dag.atom(*atom) {
            Atom::Var(_) | Atom::Arg(_) => {}
            Atom::Div(a, b) | Atom::Rem(a, b) | Atom::Min(a, b) | Atom::Max(a, b) => {
                sum_nodes(dag, a, found);
                sum_nodes(dag, b, found);
            }
            Atom::Floor(n) => found.push(*n),
            Atom::Whole(w) => w.each_leaf(&mut |leaf| match leaf {
                Leaf::Val(n) => found.push(*n),
                Leaf::Int(sum) => sum_nodes(dag, sum, found),
            }),
            Atom::Load(_, at, guard) => {
                sum_nodes(dag, at, found);
                guard.iter().for_each(|g| guard_nodes(dag, *g, found));
            }
        }
    }
}

/// Bounds on the destination's indices skip a store; those on reduced ones leave out an element.
fn split_bounds(compute: &Compute, reduced: &[Var], dag: &mut Dag) -> (Vec<Bound>, Vec<Bound>) {
    compute.bounds.iter().cloned().partition(|b| {
        let id = dag.bound_id(b, None);
        !dag.bound_deps(id).iter().any(|v| reduced.contains(v))
    })
}

/// The coefficient of `v` in a bound's index, if the bound holds on a range of `v`.
pub fn range_step(dag: &Dag, bound: BoundId, v: Var) -> Option<i64> {
    let (index, extent) = dag.bound(bound);
    let Stride::Linear(step) = dag.stride(index, v) else {
        return None;
    };
    let fixed = dag.stride(extent, v) == Stride::Linear(Sum::constant(0));
    step.as_constant().filter(|k| *k != 0 && fixed)
}

pub fn identity(op: ReduceOp) -> Lit {
    Lit::new(match op {
        ReduceOp::Sum => 0.0,
        ReduceOp::Max => f64::NEG_INFINITY,
        ReduceOp::Min => f64::INFINITY,
    })
}

pub fn combiner(op: ReduceOp) -> Binary {
    match op {
        ReduceOp::Sum => Binary::Add,
        ReduceOp::Max => Binary::Max,
        ReduceOp::Min => Binary::Min,
    }
}

/// One call's arguments and result.
const SINGLE_BYTES: i64 = 64;
/// Running results of a reduction.
const LANE_BYTES: i64 = 4 * super::calls::SUMS;

/// Offsets in the scratch of one thread: tiles first, each on a cache line, then places for one call, for running
/// results, and for the arguments of a wide row, then zeros that are read where a guard fails, then rows.
pub struct Scratch {
    pub tiles: Vec<i64>,
    pub single: i64,
    pub lanes: i64,
    pub arguments: i64,
    pub zeros: i64,
    /// 0 if no read is guarded.
    pub n_zeros: i64,
    pub rows: i64,
    pub bytes: i64,
}

impl Scratch {
    pub fn of(kernel: &Kernel, machine: &Machine) -> Scratch {
        let mut at = 0;
        let mut tiles = vec![];
        for tile in &kernel.tiles {
            tiles.push(at);
            let size = if tile.kind == TileKind::I64 { 8 } else { 4 };
            at += (tile.len * size + 63) / 64 * 64;
        }
        let mut needs = Needs {
            rows: 0,
            guards: false,
            machine,
        };
        needs.body(&kernel.body);
        let lanes = at + SINGLE_BYTES;
        let arguments = lanes + LANE_BYTES;
        let zeros = arguments + ARGUMENT_BYTES;
        let n_zeros = if needs.guards { ZERO_BYTES } else { 0 };
        let rows = zeros + n_zeros;
        Scratch {
            tiles,
            single: at,
            lanes,
            arguments,
            zeros,
            n_zeros,
            rows,
            bytes: rows + needs.rows * strip_bytes(machine),
        }
    }
}

/// Scratch that one thread needs to run the kernel.
pub fn scratch_bytes(kernel: &Kernel, machine: &Machine) -> u64 {
    Scratch::of(kernel, machine).bytes as u64
}

struct Needs<'a> {
    rows: i64,
    guards: bool,
    machine: &'a Machine,
}

impl Needs<'_> {
    fn body(&mut self, body: &[Stmt]) {
        for stmt in body {
            match stmt {
                Stmt::For { body, .. } | Stmt::If { body, .. } => self.body(body),
                Stmt::Compute(c) => {
                    let plan = Plan::new(c, &mut Dag::new(Some(c.to.into())), self.machine);
                    self.rows = self.rows.max(plan.n_rows);
                    self.guards |= !plan.reach.bounds.is_empty();
                }
                Stmt::Let { .. } | Stmt::Rows { .. } | Stmt::Contract(_) => {}
            }
        }
    }
}
