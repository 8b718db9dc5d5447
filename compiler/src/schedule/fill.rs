//! Kernels that write zeros: a whole buffer, or the padding around a tensor.

use super::layout::Layout;
use super::lower::{BufferSource, KernelBuilder, add, int, mul};
use crate::equation::Lit;
use crate::tile::{Bound, Compute, Int, Mode, Stmt, To, Val, Var};
use vsr_artifact::machine::Machine;

/// Zeros everywhere; a task fills twice what a first-level cache holds.
pub fn whole(layout: &Layout, source: BufferSource, machine: &Machine) -> KernelBuilder {
    let task_elements = 2 * machine.l1();
    let mut b = KernelBuilder::new("zero");
    let t = b.task(layout.len, task_elements);
    let i = b.var();
    let left = Int::Sub(Box::new(int(layout.len)), Box::new(Int::Var(t)));
    let buffer = b.buffer(source, true);
    let extent = Int::Min(Box::new(int(task_elements)), Box::new(left));
    b.push(zeros(
        vec![(i, extent)],
        buffer,
        add(Int::Var(t), Int::Var(i)),
        vec![],
    ));
    b
}

/// Zeros in the padding: for each axis, the slabs before and after the tensor, inside of the outer axes' range.
pub fn border(shape: &[i64], layout: &Layout, source: BufferSource) -> KernelBuilder {
    let mut b = KernelBuilder::new("border");
    let buffer = b.buffer(source, true);
    let full = |axis: usize| shape[axis] + layout.padding[axis].0 + layout.padding[axis].1;
    let outer = layout.order[0];
    let task = b.task(full(outer), 1);
    for (depth, &axis) in layout.order.iter().enumerate() {
        let (lo, hi) = layout.padding[axis];
        for (start, extent) in [(0, lo), (lo + shape[axis], hi)] {
            if extent > 0 {
                slab(
                    &mut b,
                    shape,
                    layout,
                    depth,
                    (start, extent),
                    (task, buffer),
                );
            }
        }
    }
    b
}

fn slab(
    b: &mut KernelBuilder,
    shape: &[i64],
    layout: &Layout,
    depth: usize,
    (start, extent): (i64, i64),
    (task, buffer): (Var, u32),
) {
    let mut at = mul(Int::Var(task), layout.strides[layout.order[0]]);
    let mut bounds = vec![];
    if depth == 0 {
        bounds.push(Bound {
            index: add(Int::Var(task), int(-start)),
            extent: int(extent),
        });
    }
    let mut dims = vec![];
    for (i, &axis) in layout.order.iter().enumerate().skip(1) {
        let (lo, hi) = layout.padding[axis];
        let (from, count) = match i.cmp(&depth) {
            std::cmp::Ordering::Less => (lo, shape[axis]),
            std::cmp::Ordering::Equal => (start, extent),
            std::cmp::Ordering::Greater => (0, shape[axis] + lo + hi),
        };
        let var = b.var();
        dims.push((var, int(count)));
        at = add(at, mul(add(Int::Var(var), int(from)), layout.strides[axis]));
    }
    let body = vec![zeros(dims, buffer, at, vec![])];
    match bounds.is_empty() {
        true => body.into_iter().for_each(|s| b.push(s)),
        false => b.push(Stmt::If { bounds, body }),
    }
}

fn zeros(dims: Vec<(Var, Int)>, buffer: u32, at: Int, bounds: Vec<Bound>) -> Stmt {
    let value = Val::Lit(Lit::new(0.0));
    Stmt::Compute(Compute {
        dims,
        reduce: None,
        value,
        to: To::Buf(buffer),
        at,
        bounds,
        mode: Mode::Store,
    })
}
