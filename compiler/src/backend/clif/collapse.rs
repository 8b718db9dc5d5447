//! Two loops that walk memory like one become one: longer rows, fewer starts.
//!
//! Only loops over the destination of a map are joined, and only where every address moves with the outer one as it
//! would by going on with the inner one. The order of points does not change.

use super::dag::{Atom, Dag, Node};
use super::sum::{Stride, Sum};
use crate::tile::walk::substitute;
use crate::tile::{Compute, Int};

pub fn collapse(compute: &Compute) -> Compute {
    let mut compute = compute.clone();
    while compute.reduce.is_none() && joins(&compute) {
        let (inner, length) = compute.dims.pop().expect("two loops are joined");
        let (outer, count) = compute.dims.pop().expect("two loops are joined");
        substitute(&mut compute, outer, &Int::Const(0));
        compute
            .dims
            .push((inner, Int::Mul(Box::new(count), Box::new(length))));
    }
    compute
}

/// Whether the last two loops may be one.
fn joins(compute: &Compute) -> bool {
    let [.., (outer, count), (inner, length)] = compute.dims.as_slice() else {
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
