//! The pass `coalesce`: two loops that walk memory like one become one.
//!
//! Loops over the destination of a map, or over what is reduced, are joined where every address moves with the outer one as
//! it would by going on with the inner one; in a reduction, where each element stays in its lane, too.

use super::dag::{Atom, Dag, Node};
use super::sum::{Stride, Sum};
use super::walk::substitute;
use super::{ArgFact, Compute, Int, Var};

/// `args`: what is known of the kernel's arguments.
pub fn coalesce(compute: &mut Compute, args: &[ArgFact]) {
    while keeps_lanes(compute, args) && joins(compute) {
        let dims = innermost(compute);
        let (inner, length) = dims.pop().expect("two loops are joined");
        let (outer, count) = dims.pop().expect("two loops are joined");
        dims.push((inner, Int::Mul(Box::new(count), Box::new(length))));
        substitute(compute, outer, &Int::Const(0));
    }
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
