//! The pass `interchange`: a long loop goes inside of a short one, where each point is written once and reads nothing that another
//! writes.

use super::dag::{Dag, Node, Space};
use super::sum::{Stride, Sum};
use super::{Compute, Int, Mode};
use vsr_artifact::machine::Machine;

pub fn interchange(compute: &mut Compute, machine: &Machine) {
    if let Some(long) = longer_row(compute, machine) {
        let dim = compute.dims.remove(long);
        compute.dims.push(dim);
    }
}

/// The loop that should be innermost instead of a short one: adjacent elements somewhere, in most accesses if possible.
fn longer_row(compute: &Compute, machine: &Machine) -> Option<usize> {
    if compute.reduce.is_some() || !matches!(compute.mode, Mode::Store | Mode::NonTemporal) {
        return None;
    }
    let mut dag = Dag::new(None);
    let extents: Vec<Sum> = compute.dims.iter().map(|(_, e)| dag.int(e, None)).collect();
    let n = extents.last()?.as_constant()?;
    let value = dag.val(&compute.value, None);
    let at = dag.int(&compute.at, None);
    let reach = dag.reachable(&[value], &[&at]);
    let calls = reach
        .nodes
        .iter()
        .any(|n| matches!(dag.node(*n), Node::Math(..)));
    // A shorter row is no vector; calls of maths want more.
    let (min_row, min_maths_row) = (machine.vector() / 2, 2 * machine.vector());
    if n >= if calls { min_maths_row } else { min_row } {
        return None;
    }
    let to: Space = compute.to.into();
    let moving = at.part(|_| true);
    let own = |(var, _): &(u32, Int)| match dag.stride(&at, *var) {
        Stride::Linear(step) => step != Sum::constant(0),
        Stride::Other => false,
    };
    let ours = |v: &u32| compute.dims.iter().any(|d| d.0 == *v);
    let fixed = |e: &Sum| !dag.sum_deps(e).iter().any(ours);
    let apart = reach
        .addresses
        .iter()
        .all(|(space, at)| *space != to || *at == moving);
    if !compute.dims.iter().all(own) || !extents.iter().all(fixed) || !apart {
        return None;
    }
    let unit =
        |var: u32, at: &Sum| usize::from(dag.stride(at, var) == Stride::Linear(Sum::constant(1)));
    let score = |i: &usize| {
        let var = compute.dims[*i].0;
        2 * unit(var, &at)
            + reach
                .addresses
                .iter()
                .map(|(_, at)| unit(var, at))
                .sum::<usize>()
    };
    let long = |i: &usize| {
        extents[*i]
            .as_constant()
            .is_none_or(|e| e > n && e >= min_row)
    };
    let last = compute.dims.len() - 1;
    (0..last)
        .filter(long)
        .filter(|i| score(i) > 0)
        .max_by_key(score)
}
