//! Longer rows, fewer starts: two loops that walk memory like one become one, and a long loop goes inside of a short one.
//!
//! Loops over the destination of a map, or over what is reduced, are joined where every address moves with the outer one as
//! it would by going on with the inner one; in a reduction, where each element stays in its lane, too. Loops change places
//! only where each point is written once and reads nothing that another writes.

use super::dag::{Atom, Dag, Node, Space};
use super::sum::{Stride, Sum};
use crate::tile::walk::substitute;
use crate::tile::{ArgFact, Compute, Int, Mode, Var};

/// `args`: what is known of the kernel's arguments.
pub fn collapse(compute: &Compute, args: &[ArgFact]) -> Compute {
    let mut compute = compute.clone();
    while keeps_lanes(&compute, args) && joins(&compute) {
        let dims = innermost(&mut compute);
        let (inner, length) = dims.pop().expect("two loops are joined");
        let (outer, count) = dims.pop().expect("two loops are joined");
        dims.push((inner, Int::Mul(Box::new(count), Box::new(length))));
        substitute(&mut compute, outer, &Int::Const(0));
    }
    if let Some(long) = longer_row(&compute) {
        let dim = compute.dims.remove(long);
        compute.dims.push(dim);
    }
    compute
}

/// A row this short is no vector; calls of maths want more.
const SHORT: i64 = 4;
const SHORT_FOR_MATHS: i64 = 16;

/// The loop that should be innermost instead of a short one: adjacent elements somewhere, in most accesses if possible.
fn longer_row(compute: &Compute) -> Option<usize> {
    if compute.reduce.is_some() || !matches!(compute.mode, Mode::Store | Mode::Stream) {
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
    if n >= if calls { SHORT_FOR_MATHS } else { SHORT } {
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
            .is_none_or(|e| e > n && e >= SHORT)
    };
    let last = compute.dims.len() - 1;
    (0..last)
        .filter(long)
        .filter(|i| score(i) > 0)
        .max_by_key(score)
}

/// The loops that may be joined: those that are reduced, if there are any.
fn innermost(compute: &mut Compute) -> &mut Vec<(Var, Int)> {
    match &mut compute.reduce {
        Some(reduce) => &mut reduce.dims,
        None => &mut compute.dims,
    }
}

/// Whether joining loops leaves each element in its lane. (Without lanes, a reduction has other loops inside.)
fn keeps_lanes(compute: &Compute, args: &[ArgFact]) -> bool {
    let Some(reduce) = &compute.reduce else {
        return true;
    };
    let multiple = match reduce.dims.last() {
        Some((_, Int::Const(n))) => *n,
        Some((_, Int::Arg(a))) => args[*a as usize].multiple_of,
        _ => 1,
    };
    reduce.lanes > 1 && multiple % i64::from(reduce.lanes) == 0
}

/// Whether the last two loops may be one.
fn joins(compute: &Compute) -> bool {
    let dims = compute.reduce.as_ref().map_or(&compute.dims, |r| &r.dims);
    let [.., (outer, count), (inner, length)] = dims.as_slice() else {
        return false;
    };
    let mut dag = Dag::new(None);
    let (count, length) = (dag.int(count, None), dag.int(length, None));
    let deps = [dag.sum_deps(&count), dag.sum_deps(&length)].concat();
    if deps.contains(inner) || deps.contains(outer) {
        return false;
    }
    let value = dag.val(&compute.value, None);
    let at = dag.int(&compute.at, None);
    for bound in &compute.bounds {
        let id = dag.bound_id(bound, None);
        if [*inner, *outer]
            .iter()
            .any(|v| dag.bound_deps(id).contains(v))
        {
            return false;
        }
    }
    let reach = dag.reachable(&[value], &[&at]);
    let moves = |v: &u32| *v == *inner || *v == *outer;
    let guarded = reach
        .bounds
        .iter()
        .any(|b| dag.bound_deps(*b).iter().any(moves));
    let goes_on = |sum: &Sum| match (dag.stride(sum, *outer), dag.stride(sum, *inner)) {
        (Stride::Linear(far), Stride::Linear(near)) => far == near.mul(&length),
        _ => false,
    };
    let plain = |sum: &Sum| {
        let atoms = sum.terms.iter().flat_map(|t| &t.atoms);
        atoms.clone().all(|a| {
            matches!(dag.atom(*a), Atom::Var(_) | Atom::Arg(_))
                || !dag.atom_deps(*a).iter().any(moves)
        })
    };
    let addresses = reach.addresses.iter().map(|(_, at)| at);
    let numbers = reach.nodes.iter().filter_map(|n| match dag.node(*n) {
        Node::FromInt(at) | Node::Random { at, .. } => Some(at),
        _ => None,
    });
    !guarded
        && addresses
            .chain(numbers)
            .chain([&at])
            .all(|sum| plain(sum) && goes_on(sum))
}
