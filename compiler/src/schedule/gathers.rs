//! Gathers, reads at computed positions: which index makes a row of them, and a copy where that row is strided.
//!
//! Enters the net; leaves copies of leaves that are gathered from more often than a copy costs. How the copies lie is
//! decided as for all values: `preferences` speaks for the row. What is computed is never copied: it can lie as its readers like.

use super::layout;
use super::net::{Def, Net, ValueId, for_each_read};
use crate::equation::{Equation, Pos};
use std::collections::BTreeMap;

/// Equations and operands of a value, whether it gathers or scatters.
pub(super) fn equations(def: &Def) -> (&[Equation], &[ValueId]) {
    match def {
        Def::Compute { pieces, operands } => (pieces, operands),
        Def::Scatter { equation, operands } => (std::slice::from_ref(equation), operands),
        _ => (&[], &[]),
    }
}

/// Where the equation writes (None) and reads (the operand), with positions.
pub(super) fn accesses(equation: &Equation) -> Vec<(Option<usize>, &[Pos])> {
    let mut found: Vec<(Option<usize>, &[Pos])> = vec![(None, &equation.write)];
    for_each_read(&equation.body, &mut |r| {
        found.push((Some(r.operand), &r.at))
    });
    found
}

pub(super) fn is_computed(at: &[Pos]) -> bool {
    at.iter().any(|p| matches!(p, Pos::Computed(_)))
}

/// Of an access at computed positions, the long index that no computed position depends on: the last, if there are several.
pub(super) fn row(net: &Net, equation: &Equation) -> Option<usize> {
    let extents = equation.extents();
    let accesses = accesses(equation);
    let mut moves = vec![false; extents.len()];
    for p in accesses.iter().flat_map(|(_, at)| at.iter()) {
        if let Pos::Computed(e) = p {
            super::contraction::mark(e, &mut moves);
        }
    }
    let computed = accesses.iter().filter(|(_, at)| is_computed(at));
    computed
        .flat_map(|(_, at)| at.iter())
        .filter_map(layout::single_var)
        .rfind(|v| extents[*v] >= net.numerics.min_gathered_row && !moves[*v])
}

/// Leaves lie row-major. One whose rows are not adjacent is copied, if enough elements are read.
pub(super) fn copy_leaves(net: &mut Net) {
    let mut copies: BTreeMap<ValueId, ValueId> = BTreeMap::new();
    for id in net.order() {
        for leaf in across(net, id) {
            let copy = *copies.entry(leaf).or_insert_with(|| net.copy(leaf));
            if let Def::Compute { operands, .. } | Def::Scatter { operands, .. } =
                &mut net.values[id].def
            {
                let ours = operands.iter_mut().filter(|o| **o == leaf);
                ours.for_each(|o| *o = copy);
            }
        }
    }
}

/// Leaves that the value gathers from across their rows.
fn across(net: &Net, id: ValueId) -> Vec<ValueId> {
    let (pieces, operands) = equations(&net.values[id].def);
    let mut found = vec![];
    for piece in pieces {
        let Some(row) = row(net, piece) else { continue };
        let points: i64 = piece.extents().iter().product();
        for (operand, at) in accesses(piece) {
            let (Some(operand), Some((last, outer))) = (operand, at.split_last()) else {
                continue;
            };
            let leaf = operands[operand];
            let lies_across = outer.iter().any(|p| layout::single_var(p) == Some(row))
                && layout::single_var(last) != Some(row);
            let elements: i64 = net.values[leaf].shape.iter().product();
            let often = points >= net.numerics.min_reads_per_element * elements;
            if net.is_leaf(leaf) && is_computed(at) && lies_across && often {
                found.push(leaf);
            }
        }
    }
    found
}
