//! Which computed positions are integers of 32 bits, and which need f64.
//!
//! Enters an expression of a position; decides, and changes nothing. One floor of a value, times a constant and with indices
//! beside it, is narrow: what has no 32 bits is then far outside, whatever is added. Anything else (a remainder, a limit, two
//! values that may cancel) could come back inside, so it is computed in f64, as the oracle does.

use super::net::{Def, Net, ValueId};
use crate::equation::{Binary, Equation, Expr, Read, Reducer, Unary};

/// Indices and constants beside a value stay below this, so that they cannot bring it back.
const NEAR: i64 = 1 << 30;
/// A value may be multiplied by so much.
const FACTOR: f64 = 1024.0;

type IsWhole<'a> = &'a dyn Fn(&Read) -> bool;

pub fn narrow(e: &Expr, extents: &[i64], reads_whole: IsWhole) -> bool {
    match parts(e, extents, reads_whole) {
        Some((0, _)) => true,
        Some((1, reach)) => is_linear(e) && reach < NEAR,
        _ => false,
    }
}

/// The values that an integer expression is made of, and how far its indices and constants reach. None: not in integers.
fn parts(e: &Expr, extents: &[i64], reads_whole: IsWhole) -> Option<(usize, i64)> {
    match e {
        Expr::Lit(lit) => {
            let x = lit.get();
            let fits = x.fract() == 0.0 && x.abs() < NEAR as f64;
            fits.then_some((0, x.abs() as i64))
        }
        Expr::Index(ix) => {
            let (lo, hi) = ix.range(extents);
            let reach = lo.unsigned_abs().max(hi.unsigned_abs());
            (reach < NEAR as u64).then_some((0, reach as i64))
        }
        Expr::Unary(Unary::Neg, a) => parts(a, extents, reads_whole),
        // A quotient of whole numbers has more digits than an f32.
        Expr::Unary(Unary::Floor, a) => match &**a {
            Expr::Binary(Binary::Div, x, y)
                if is_whole(x, reads_whole) && is_whole(y, reads_whole) =>
            {
                None
            }
            _ => Some((1, 0)),
        },
        Expr::Read(_) => Some((1, 0)),
        Expr::Binary(Binary::Add | Binary::Sub | Binary::Min | Binary::Max, a, b) => {
            let (a, b) = (
                parts(a, extents, reads_whole)?,
                parts(b, extents, reads_whole)?,
            );
            let reach = a.1 + b.1;
            (reach < NEAR).then_some((a.0 + b.0, reach))
        }
        Expr::Binary(Binary::Mul, a, b) => {
            let (a, b) = (
                parts(a, extents, reads_whole)?,
                parts(b, extents, reads_whole)?,
            );
            let reach = a.1.checked_mul(b.1).filter(|r| *r < NEAR)?;
            Some((a.0 + b.0, reach))
        }
        _ => None,
    }
}

/// A value times a constant that is not 0, plus what has no value.
fn is_linear(e: &Expr) -> bool {
    let has_value = |e: &Expr| {
        let mut found = false;
        e.visit(false, &mut |e| {
            found |= matches!(e, Expr::Read(_) | Expr::Unary(Unary::Floor, _))
        });
        found
    };
    match e {
        Expr::Unary(Unary::Neg, a) => is_linear(a),
        Expr::Binary(Binary::Add | Binary::Sub, a, b) => [a, b]
            .iter()
            .all(|side| !has_value(side) || is_linear(side)),
        Expr::Binary(Binary::Mul, a, b) => {
            let factor = |e: &Expr| e.as_lit().is_some_and(|x| x != 0.0 && x.abs() <= FACTOR);
            factor(a) && is_linear(b) || factor(b) && is_linear(a)
        }
        Expr::Read(_) | Expr::Unary(Unary::Floor, _) => true,
        _ => false,
    }
}

/// Whether an expression gives whole numbers, whatever the values are.
pub fn is_whole(e: &Expr, reads_whole: IsWhole) -> bool {
    let whole = |e: &Expr| is_whole(e, reads_whole);
    match e {
        Expr::Lit(lit) => lit.get().fract() == 0.0,
        Expr::Index(_) | Expr::Unary(Unary::Floor, _) => true,
        Expr::Unary(Unary::Neg | Unary::Abs | Unary::Stop, a) => whole(a),
        Expr::Binary(Binary::Add | Binary::Sub | Binary::Mul | Binary::Min | Binary::Max, a, b) => {
            whole(a) && whole(b)
        }
        Expr::Select(_, args) => whole(&args[2]) && whole(&args[3]),
        Expr::Read(r) => reads_whole(r) && r.outside.is_none_or(|v| v.get().fract() == 0.0),
        _ => false,
    }
}

/// Values that are looked through to find out.
const DEPTH: usize = 8;

/// Whether a value holds whole numbers.
pub fn holds_whole(net: &Net, value: ValueId) -> bool {
    holds_whole_at(net, value, DEPTH)
}

fn holds_whole_at(net: &Net, value: ValueId, depth: usize) -> bool {
    let Def::Compute { pieces, operands } = &net.values[value].def else {
        return false;
    };
    let of = |piece: &Equation| {
        let sums = !matches!(piece.reducer, Reducer::Lse | Reducer::Var);
        sums && is_whole(&piece.body, &|r| {
            holds_whole_at(net, operands[r.operand], depth - 1)
        })
    };
    depth > 0 && pieces.iter().all(of)
}
