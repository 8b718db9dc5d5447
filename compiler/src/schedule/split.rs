//! Long reductions into few cells are cut in two: partial results over fixed blocks, then those in order.
//! So are the matrix products with few results and a long sum (weight gradients), for which blocks are whole, and sums of
//! so many terms that one running sum would lose their digits.
//!
//! The cut depends on extents alone, so the bits do not depend on the number of threads.

use super::matmul::tiling::ceil;
use super::net::{self, Def, Net, ValueId};
use super::{Numerics, contraction};
use crate::equation::index::Ix;
use crate::equation::solve::is_injective;
use crate::equation::{Equation, Expr, Guard, Pos, Read, Reducer};

pub fn long_reductions(net: &mut Net) {
    let n = net.numerics;
    let order = net.order();
    let is_variance = |id: &ValueId| net.single(*id).is_some_and(|e| e.reducer == Reducer::Var);
    let variances: Vec<ValueId> = order.iter().copied().filter(is_variance).collect();
    for id in order {
        let Some(equation) = net.single(id).cloned() else {
            lossy_pieces(net, id);
            continue;
        };
        let cells: i64 = equation.free.iter().product();
        let terms: i64 = equation.reduced.iter().product();
        let plain = matches!(equation.reducer, Reducer::Sum | Reducer::Max | Reducer::Min);
        let adjacent = equation.reducer == Reducer::Sum && cells > 1;
        let product = adjacent && contraction::is_product(net, id);
        let (few, long) = match adjacent {
            true => (n.max_idle_adjacent_cells, n.min_split_adjacent_terms),
            false => (n.max_idle_cells, n.min_split_terms),
        };
        let idle = cells <= few && cells * terms >= long;
        if plain
            && !product
            && (idle || is_lossy(&n, &equation))
            && !has_variance(net, id, &variances)
        {
            cut(net, id, 0, equation);
        } else if product && terms >= 2 * n.min_part_terms {
            cut_product(net, id, equation);
        }
    }
}

fn is_lossy(numerics: &Numerics, equation: &Equation) -> bool {
    let cells: i64 = equation.free.iter().product();
    let terms: i64 = equation.reduced.iter().product();
    equation.reducer == Reducer::Sum
        && terms >= numerics.min_lossy_terms
        && cells <= numerics.max_lossy_cells
}

/// Long sums into a part of a value. A guard that leaves a point to another piece, or to another sum into the same cell,
/// must stay with its sum.
fn lossy_pieces(net: &mut Net, id: ValueId) {
    let mut at = 0;
    // Each is read anew: a cut numbers the operands of all anew.
    while let Def::Compute { pieces, .. } = &net.values[id].def
        && let Some(piece) = pieces.get(at).cloned()
    {
        let is_alone = pieces.len() == 1;
        let shape = &net.values[id].shape;
        let keeps_cells = || is_alone && is_injective(&piece.write, &piece.free, shape);
        if is_lossy(&net.numerics, &piece) && (piece.guards.is_empty() || keeps_cells()) {
            cut(net, id, at, piece);
        }
        at += 1;
    }
}

/// Whether the value is a mean that is found together with its variance: see `moments`.
fn has_variance(net: &Net, id: ValueId, variances: &[ValueId]) -> bool {
    let Some(mean) = net.single(id) else {
        return false;
    };
    let same = |other: &ValueId| {
        net.single(*other).is_some_and(|e| {
            let indices = (&e.free, &e.reduced) == (&mean.free, &mean.reduced);
            e.reducer == Reducer::Var && indices && net.operands(*other) == net.operands(id)
        })
    };
    mean.free.iter().product::<i64>() > 1 && variances.iter().any(same)
}

/// The first reduced index that is long enough becomes (block, rest).
fn cut(net: &mut Net, id: ValueId, piece: usize, equation: Equation) {
    let max_blocks = net.numerics.max_blocks;
    let Some(longest) = (0..equation.reduced.len()).max_by_key(|r| {
        (
            equation.reduced[*r].min(4 * max_blocks),
            std::cmp::Reverse(*r),
        )
    }) else {
        return;
    };
    let extent = equation.reduced[longest];
    if extent < net.numerics.min_cut_extent {
        return;
    }
    let blocks = max_blocks.min(extent);
    let size = (extent + blocks - 1) / blocks;
    cut_at(net, id, piece, equation, longest, size);
}

/// The first reduced index that divides into about as many blocks as threads would like becomes (block, rest).
fn cut_product(net: &mut Net, id: ValueId, equation: Equation) {
    let cells: i64 = equation.free.iter().product();
    let terms: i64 = equation.reduced.iter().product();
    let n = &net.numerics;
    let parts = ceil(n.min_parts, ceil(cells, n.max_part_cells));
    let wanted = parts.min(terms / n.min_part_terms);
    if wanted < 2 || !contraction::is_between_activations(net, id) {
        return;
    }
    let blocks = |r: usize| {
        let extent = equation.reduced[r];
        (wanted..=2 * wanted).find(|n| extent % n == 0)
    };
    let found = (0..equation.reduced.len()).find_map(|r| Some((r, blocks(r)?)));
    if let Some((r, blocks)) = found {
        let size = equation.reduced[r] / blocks;
        cut_at(net, id, 0, equation, r, size);
    }
}

/// Blocks of `size` of one reduced index, then their sum, in the place of a value's piece.
fn cut_at(net: &mut Net, id: ValueId, piece: usize, equation: Equation, longest: usize, size: i64) {
    let n_free = equation.free.len();
    let extent = equation.reduced[longest];
    let blocks = (extent + size - 1) / size;
    // Variables: free, block, then the reduced ones, the cut one holding the place within its block.
    let rename = |v: usize| match v {
        v if v < n_free => Ix::var(v),
        v if v == n_free + longest => Ix::var(n_free).scale(size).add(&Ix::var(v + 1)),
        v => Ix::var(v + 1),
    };
    let ix = |i: &Ix| i.substitute(&rename);
    let mut partial = equation.clone();
    partial.free.push(blocks);
    partial.reduced[longest] = size;
    partial.body = net::rebuild(&equation.body, &ix, &Expr::Read);
    partial.guards = equation
        .guards
        .iter()
        .map(|g| Guard {
            index: ix(&g.index),
            extent: g.extent,
        })
        .collect();
    if extent % size != 0 {
        partial.guards.push(Guard {
            index: rename(n_free + longest),
            extent,
        });
    }
    partial.write = (0..=n_free).map(|v| Pos::Ix(Ix::var(v))).collect();
    let Def::Compute { pieces, operands } = &net.values[id].def else {
        return;
    };
    let (mut pieces, mut operands) = (pieces.clone(), operands.clone());
    let label = format!("{} partial", net.values[id].label);
    let (mut parts, mut read) = (vec![partial.clone()], operands.clone());
    super::plan::compact(&mut parts, &mut read);
    let made = Def::Compute {
        pieces: parts,
        operands: read,
    };
    let value = net.push(partial.free.clone(), made, label);
    net.values[value].stands_for = net.values[id].stands_for.take();
    pieces[piece] = Equation {
        free: equation.free,
        reduced: vec![blocks],
        reducer: equation.reducer,
        body: Expr::Read(Read {
            operand: operands.len(),
            at: partial.write,
            outside: None,
        }),
        guards: vec![],
        write: equation.write,
    };
    operands.push(value);
    super::plan::compact(&mut pieces, &mut operands);
    net.values[id].def = Def::Compute { pieces, operands };
}
