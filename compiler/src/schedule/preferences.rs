//! Layout preferences: which axis of each value its readers would like to be innermost, weighted by their work.
//!
//! Enters the net and its contractions; leaves a weight for each axis of each value. Nothing is decided here: `layout`
//! does, and a kernel that depends on an axis says so in the value itself.

use super::layout;
use super::net::{Def, Net};
use super::plan::Contractions;
use super::{gathers, nest};

/// Innermost axes that contractions would like, weighted by their work.
pub(super) fn preferences(net: &Net, contractions: &Contractions) -> Vec<Vec<f64>> {
    let mut preferences: Vec<Vec<f64>> = net
        .values
        .iter()
        .map(|v| vec![0.0; v.shape.len()])
        .collect();
    for ((id, piece), c) in contractions {
        let Def::Compute { pieces, .. } = &net.values[*id].def else {
            continue;
        };
        let equation = &pieces[*piece];
        let extents = equation.extents();
        let work = extents.iter().map(|e| *e as f64).product::<f64>();
        for (axis, w) in nest::positions(equation).iter().enumerate() {
            if w.coefficient(c.column) == 1 {
                preferences[*id][axis] += work;
            }
        }
        // Against weights, A's depth should be adjacent; between two activations the other uses decide.
        if !c.packed {
            continue;
        }
        let bare = |v: &usize| {
            c.a.at
                .iter()
                .position(|p| p.coefficient(*v) == 1 && p.terms.len() == 1)
        };
        let deep =
            c.k.iter()
                .filter(|v| extents[**v] >= net.numerics.min_depth_extent)
                .chain(&c.m);
        let best = deep
            .filter(|v| bare(v).is_some())
            .max_by_key(|v| (c.k.contains(v), extents[**v], **v));
        if let Some(axis) = best.and_then(bare) {
            preferences[c.a.value][axis] += work;
        }
    }
    gather_preferences(net, &mut preferences);
    preferences
}

/// Where elements are read at computed positions, their row should be adjacent: in the operand, and in the result, so
/// that one address serves it.
fn gather_preferences(net: &Net, preferences: &mut [Vec<f64>]) {
    for (id, value) in net.values.iter().enumerate() {
        let (pieces, operands) = gathers::equations(&value.def);
        for piece in pieces {
            let Some(row) = gathers::row(net, piece) else {
                continue;
            };
            let work = piece.extents().iter().map(|e| *e as f64).product::<f64>();
            for (operand, at) in gathers::accesses(piece) {
                let target = operand.map_or(id, |o| operands[o]);
                for (axis, p) in at.iter().enumerate() {
                    if layout::single_var(p) == Some(row) {
                        preferences[target][axis] += work;
                    }
                }
            }
        }
    }
}
