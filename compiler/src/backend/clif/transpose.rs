//! Transpositions: contiguous results of strided reads, where another loop reads contiguously. Both loops together are
//! one call.
//!
//! Enters a plan of a map; leaves its loops in that order, and the call. Guards and arithmetic stay with the other lowerings.

use super::lower::Lower;
use super::plan::{Loop, Plan};
use crate::tile::dag::{Dag, Node, NodeId, Space};
use crate::tile::sum::{Stride, Sum};
use crate::tile::{Mode, Var};
use cranelift_codegen::ir::Value;
use std::mem::offset_of;
use vsr_artifact::abi::FnTable;

impl Plan {
    /// Whether the map is a transposition, with the loop over what is read adjacently last but one.
    pub fn transpose(&mut self, dag: &Dag) -> bool {
        let Some(across) = self.across(dag) else {
            return false;
        };
        self.take_with_row(across);
        self.is_transposed = true;
        true
    }

    fn across(&self, dag: &Dag) -> Option<usize> {
        let (row, outer) = self.loops.split_last()?;
        let Node::Load(space, at, None) = dag.node(self.value) else {
            return None;
        };
        let one = Stride::Linear(Sum::constant(1));
        let apart = |at: &Sum, l: &Loop| match dag.stride(at, l.var) {
            Stride::Linear(step) => ![0, 1].map(Sum::constant).contains(&step),
            Stride::Other => false,
        };
        // Shorter loops do not fill a square.
        let square = self.machine.vector();
        let long = |l: &Loop| l.extent.as_constant().is_none_or(|n| n >= square);
        let across = outer
            .iter()
            .position(|l| long(l) && dag.stride(at, l.var) == one && apart(&self.at, l))?;
        let fixed = self.has_lengths_without(&[row.var, outer[across].var], dag);
        let transposed = dag.stride(&self.at, row.var) == one && apart(at, row) && long(row);
        let elsewhere = *space != self.to;
        (self.is_plain() && transposed && elsewhere && fixed).then_some(across)
    }
}

impl Lower<'_, '_> {
    /// Both innermost loops of a transposition.
    pub fn transposed(&mut self, plan: &Plan) {
        let Node::Load(space, from, None) = self.dag.node(plan.value).clone() else {
            unreachable!("a transposition reads one thing")
        };
        let [.., across, row] = plan.loops.as_slice() else {
            unreachable!("a transposition has two loops")
        };
        let (dst_step, src_step) = (self.step(&plan.at, across.var), self.step(&from, row.var));
        let (rows, n) = (self.sum(&across.extent), self.sum(&row.extent));
        let zero = self.iconst(0);
        let (dst, src) = self.scoped(|s| {
            s.bind(across.var, zero, 1);
            s.bind(row.var, zero, 1);
            (s.first(plan.to, &plan.at), s.first(space, &from))
        });
        let (next, next_step) = match self.next_block(across.var, row.var, rows) {
            Some(of_the_map) => of_the_map,
            None => (self.plus(src, 2 * self.machine.line_bytes), src_step),
        };
        for l in [across.var, row.var] {
            self.vars.remove(&l);
        }
        let non_temporal = self.iconst(i64::from(plan.mode == Mode::NonTemporal));
        let args = [
            dst,
            dst_step,
            src,
            src_step,
            rows,
            n,
            next,
            next_step,
            non_temporal,
        ];
        self.call(offset_of!(FnTable, transpose), &args);
    }

    /// Of a tile that is stored transposed: where the map that fills it reads the next block, and with which stride.
    fn next_block(&mut self, across: Var, row: Var, n: Value) -> Option<(Value, Value)> {
        let map = self.producer.take()?;
        let value = self.dag.val(&map.value, None);
        let nodes = self.dag.reachable(&[value], &[]).nodes;
        let one = Stride::Linear(Sum::constant(1));
        let adjacent = |id: &NodeId| match self.dag.node(*id) {
            Node::Load(space @ Space::Buf(_), at, None) if self.dag.stride(at, across) == one => {
                Some((*space, at.clone()))
            }
            _ => None,
        };
        let (space, at) = nodes.iter().find_map(adjacent)?;
        // The map's own loops may be others than the copy's.
        let ours = |v: &Var| [across, row].contains(v) || self.vars.contains_key(v);
        if !self.dag.sum_deps(&at).iter().all(ours) {
            return None;
        }
        let Stride::Linear(step) = self.dag.stride(&at, row) else {
            return None;
        };
        let zero = self.iconst(0);
        let next = self.scoped(|s| {
            s.bind(across, n, 1);
            s.bind(row, zero, 1);
            s.first(space, &at)
        });
        Some((next, self.sum(&step)))
    }

    fn first(&mut self, space: Space, at: &Sum) -> Value {
        let (pointer, offset) = self.pointer(space, at);
        self.plus(pointer, i64::from(offset))
    }

    fn step(&mut self, at: &Sum, var: Var) -> Value {
        match self.dag.stride(at, var) {
            Stride::Linear(step) => self.sum(&step),
            Stride::Other => unreachable!("a transposition has linear strides"),
        }
    }
}
