//! Receptive fields: which part of every operand a part of the output is computed from.
//!
//! In: pieces and a box of the output. Out: boxes by interval arithmetic through the maps; a computed position may
//! be anywhere. Tight for the maps of convolutions, shuffles and slices.

use super::index::{Atom, Ix};
use super::{Equation, Pos};

/// First and last position of every axis, both included.
pub type Field = Vec<(i64, i64)>;

/// For every operand the smallest box that covers its reads, not clipped to its shape; None: it is not read.
pub fn fields(
    pieces: &[Equation],
    operand_shapes: &[&[i64]],
    output: &[(i64, i64)],
) -> Vec<Option<Field>> {
    let mut fields: Vec<Option<Field>> = vec![None; operand_shapes.len()];
    for piece in pieces {
        let Some(vars) = variables(piece, output) else {
            continue;
        };
        piece.for_each_read(true, &mut |r| {
            let shape = operand_shapes[r.operand];
            let reach = r.at.iter().zip(shape).map(|(p, n)| match p {
                Pos::Ix(ix) => interval(ix, &vars),
                Pos::Computed(_) => (0, n - 1),
            });
            let reach: Field = reach.collect();
            let field = &mut fields[r.operand];
            *field = Some(match field.take() {
                None => reach,
                Some(old) => old
                    .iter()
                    .zip(&reach)
                    .map(|(a, b)| (a.0.min(b.0), a.1.max(b.1)))
                    .collect(),
            });
        });
    }
    fields
}

/// The interval of every variable for which the piece writes into the box; None: it does not.
fn variables(piece: &Equation, output: &[(i64, i64)]) -> Option<Field> {
    let mut vars: Field = piece.extents().iter().map(|n| (0, n - 1)).collect();
    for (p, (lo, hi)) in piece.write.iter().zip(output) {
        let Pos::Ix(ix) = p else { continue };
        for (atom, c) in &ix.terms {
            let Atom::Var(v) = atom else { continue };
            let (rest_lo, rest_hi) = interval(&ix.sub(&Ix::var(*v).scale(*c)), &vars);
            let (first, last) = if *c > 0 {
                (ceil(lo - rest_hi, *c), (hi - rest_lo).div_euclid(*c))
            } else {
                (ceil(rest_lo - hi, -c), (rest_hi - lo).div_euclid(-c))
            };
            vars[*v] = (vars[*v].0.max(first), vars[*v].1.min(last));
            if vars[*v].0 > vars[*v].1 {
                return None;
            }
        }
        let (a, b) = interval(ix, &vars);
        if b < *lo || a > *hi {
            return None;
        }
    }
    Some(vars)
}

fn ceil(a: i64, b: i64) -> i64 {
    -(-a).div_euclid(b)
}

fn interval(ix: &Ix, vars: &[(i64, i64)]) -> (i64, i64) {
    let (mut lo, mut hi) = (ix.constant, ix.constant);
    for (atom, c) in &ix.terms {
        let (l, h) = match atom {
            Atom::Var(v) => vars[*v],
            Atom::Div(e, n) => {
                let (l, h) = interval(e, vars);
                (l.div_euclid(*n), h.div_euclid(*n))
            }
            Atom::Mod(e, n) => match interval(e, vars) {
                (l, h) if l.div_euclid(*n) == h.div_euclid(*n) => {
                    (l.rem_euclid(*n), h.rem_euclid(*n))
                }
                _ => (0, n - 1),
            },
        };
        lo += (c * l).min(c * h);
        hi += (c * l).max(c * h);
    }
    (lo, hi)
}
