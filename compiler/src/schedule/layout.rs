//! Where an element lies: axis order, zero padding, strides. A layout composes with a read's positions.

use super::net::{Def, Net, ValueId};
use crate::equation::index::Ix;

/// Position p of a tensor lies at element `base + Σ p[a]·strides[a]` of its buffer.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    /// Axes from the outermost to the innermost.
    pub order: Vec<usize>,
    /// Zeros stored before and after each axis.
    pub padding: Vec<(i64, i64)>,
    pub strides: Vec<i64>,
    pub base: i64,
    /// Elements, padding included.
    pub len: i64,
}

impl Layout {
    pub fn new(shape: &[i64], order: Vec<usize>, padding: Vec<(i64, i64)>) -> Layout {
        let mut strides = vec![0; shape.len()];
        let mut len = 1;
        for &axis in order.iter().rev() {
            strides[axis] = len;
            len *= shape[axis] + padding[axis].0 + padding[axis].1;
        }
        let base = (0..shape.len()).map(|a| padding[a].0 * strides[a]).sum();
        Layout {
            order,
            padding,
            strides,
            base,
            len,
        }
    }

    pub fn row_major(shape: &[i64]) -> Layout {
        Layout::new(shape, (0..shape.len()).collect(), vec![(0, 0); shape.len()])
    }

    /// Axes in their own order, but `innermost` last.
    pub fn with_innermost(
        shape: &[i64],
        innermost: Option<usize>,
        padding: Vec<(i64, i64)>,
    ) -> Layout {
        let mut order: Vec<usize> = (0..shape.len()).collect();
        if let Some(axis) = innermost {
            order.retain(|a| *a != axis);
            order.push(axis);
        }
        Layout::new(shape, order, padding)
    }

    pub fn address(&self, at: &[Ix]) -> Ix {
        at.iter()
            .zip(&self.strides)
            .fold(Ix::constant(self.base), |sum, (p, s)| sum.add(&p.scale(*s)))
    }

    pub fn has_padding(&self) -> bool {
        self.padding.iter().any(|h| *h != (0, 0))
    }

    /// Positions from `lo` to `hi` of an axis are stored, as values or as zeros.
    pub fn holds(&self, axis: usize, extent: i64, (lo, hi): (i64, i64)) -> bool {
        lo >= -self.padding[axis].0 && hi < extent + self.padding[axis].1
    }
}

/// Layouts of all values: outer values are row-major, others put the axis that is preferred most innermost.
pub fn choose(net: &Net, order: &[ValueId], preferences: &[Vec<f64>]) -> Vec<Option<Layout>> {
    let mut preferences = preferences.to_vec();
    propagate(net, order, &mut preferences);
    let mut layouts = vec![None; net.values.len()];
    for &id in order {
        let value = &net.values[id];
        let layout = if net.is_leaf(id) || value.fixed {
            Layout::row_major(&value.shape)
        } else {
            let innermost = value.innermost.or_else(|| best(&preferences[id]));
            Layout::with_innermost(&value.shape, innermost, value.padding.clone())
        };
        layouts[id] = Some(layout);
    }
    layouts
}

fn best(preferences: &[f64]) -> Option<usize> {
    let most = preferences.iter().cloned().fold(0.0, f64::max);
    (most > 0.0)
        .then(|| preferences.iter().position(|v| *v == most))
        .flatten()
}

/// Propagation: values without preferences take those of their users, then of their operands, through reads at plain indices.
fn propagate(net: &Net, order: &[ValueId], preferences: &mut [Vec<f64>]) {
    // What is computed from a contraction's result lies as the contraction would like it, whoever reads it later.
    for &id in order {
        let follows = |o: &ValueId| preferences[*o].iter().any(|v| *v > 0.0) && is_product(net, *o);
        if net.operands(id).iter().any(follows) {
            pass_preferences(net, id, preferences, Direction::ToResult);
        }
    }
    for _ in 0..4 {
        for &id in order.iter().rev() {
            pass_preferences(net, id, preferences, Direction::ToOperands);
        }
        for &id in order {
            pass_preferences(net, id, preferences, Direction::ToResult);
        }
    }
}

/// A sum, or what Winograd's transforms make of one.
fn is_product(net: &Net, id: ValueId) -> bool {
    let sum = matches!(net.single(id), Some(e) if e.reducer == crate::equation::Reducer::Sum);
    sum || net.values[id].stands_for.is_some()
}

#[derive(Clone, Copy)]
enum Direction {
    ToOperands,
    ToResult,
}

fn pass_preferences(net: &Net, id: ValueId, preferences: &mut [Vec<f64>], direction: Direction) {
    let Def::Compute { pieces, operands } = &net.values[id].def else {
        return;
    };
    for piece in pieces {
        let mut pairs = vec![];
        let extents = piece.extents();
        super::net::for_each_read(&piece.body, &mut |read| {
            for (axis, at) in read.at.iter().enumerate() {
                let Some(var) = row_var(net, at, &extents) else {
                    continue;
                };
                for (out_axis, w) in piece.write.iter().enumerate() {
                    if row_var(net, w, &extents) == Some(var) {
                        pairs.push((operands[read.operand], axis, out_axis));
                    }
                }
            }
        });
        let (to_operands, own) = match direction {
            Direction::ToOperands => (true, preferences[id].clone()),
            Direction::ToResult => (false, vec![]),
        };
        let empty = |v: &[f64]| v.iter().all(|v| *v == 0.0);
        let free: Vec<bool> = pairs
            .iter()
            .map(|(o, _, _)| empty(&preferences[*o]))
            .collect();
        let result_free = empty(&preferences[id]);
        for ((operand, axis, out_axis), operand_free) in pairs.into_iter().zip(free) {
            if to_operands && operand_free {
                preferences[operand][axis] += own[out_axis] * 0.5;
            } else if !to_operands && result_free {
                preferences[id][out_axis] += preferences[operand][axis] * 0.5;
            }
        }
    }
}

/// The variable that makes a row along this position: a short digit of it (a subpixel's) makes none.
fn row_var(net: &Net, at: &crate::equation::Pos, extents: &[i64]) -> Option<usize> {
    let crate::equation::Pos::Ix(ix) = at else {
        return None;
    };
    let least = net.numerics.min_gathered_row;
    single_var(at).filter(|v| ix.terms.len() == 1 || extents[*v] >= least)
}

/// The variable that a position follows step by step: alone, or the fastest digit of several.
pub fn single_var(at: &crate::equation::Pos) -> Option<usize> {
    use crate::equation::index::Atom;
    let crate::equation::Pos::Ix(ix) = at else {
        return None;
    };
    let mut found = None;
    for (atom, k) in &ix.terms {
        match (atom, k) {
            (Atom::Var(v), 1) if found.is_none() => found = Some(*v),
            (Atom::Var(_), k) if *k > 1 => {}
            _ => return None,
        }
    }
    found
}
