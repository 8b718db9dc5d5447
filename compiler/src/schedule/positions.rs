//! Which computed positions are integers of 32 bits, and which need f64.
//!
//! Enters an expression of a position; decides, and changes nothing. One floor of a value, times a constant and with
//! indices beside it, is narrow: what has no 32 bits is then far outside, whatever is added. Anything else (a remainder, a
//! limit, two values that may cancel, an axis of more elements) could come back inside, so it is computed in f64, as the
//! oracle does.

use super::net::{Def, Net, ValueId};
use crate::equation::whole::{IsWhole, has_value, is_rational, is_whole};
use crate::equation::{Binary, Equation, Expr, Read, Reducer, Unary};
use rustc_hash::FxHashMap as HashMap;
use std::cell::RefCell;

/// Indices and constants beside a value stay below this, so that they cannot bring it back, and so does the axis.
const MAX_OFFSET: i64 = 1 << 30;
/// A value may be multiplied by so much in all.
const MAX_FACTOR: f64 = 1024.0;

/// Whether a position on an axis of `extent` elements is one.
pub fn is_narrow(e: &Expr, extents: &[i64], extent: i64, reads_whole: IsWhole) -> bool {
    match parts(e, extents, reads_whole) {
        Some((0, _)) => true,
        Some((1, _)) => extent <= MAX_OFFSET && factor(e).is_some_and(|f| f <= MAX_FACTOR),
        _ => false,
    }
}

/// The values that an integer expression is made of, and how far its indices and constants reach. None: not in integers.
fn parts(e: &Expr, extents: &[i64], reads_whole: IsWhole) -> Option<(usize, i64)> {
    match e {
        Expr::Lit(lit) => {
            let x = lit.get();
            let fits = x.fract() == 0.0 && x.abs() < MAX_OFFSET as f64;
            fits.then_some((0, x.abs() as i64))
        }
        Expr::Index(ix) => {
            let (lo, hi) = ix.range(extents);
            let reach = lo.unsigned_abs().max(hi.unsigned_abs());
            (reach < MAX_OFFSET as u64).then_some((0, reach as i64))
        }
        Expr::Unary(Unary::Neg, a) => parts(a, extents, reads_whole),
        Expr::Unary(op, a) if op.facts().is_step() => {
            (!is_rational(a, reads_whole)).then_some((1, 0))
        }
        Expr::Read(_) => Some((1, 0)),
        Expr::Binary(Binary::Add | Binary::Sub | Binary::Min | Binary::Max, a, b) => {
            let (a, b) = (
                parts(a, extents, reads_whole)?,
                parts(b, extents, reads_whole)?,
            );
            let reach = a.1 + b.1;
            (reach < MAX_OFFSET).then_some((a.0 + b.0, reach))
        }
        Expr::Binary(Binary::Mul, a, b) => {
            let (a, b) = (
                parts(a, extents, reads_whole)?,
                parts(b, extents, reads_whole)?,
            );
            let reach = a.1.checked_mul(b.1).filter(|r| *r < MAX_OFFSET)?;
            Some((a.0 + b.0, reach))
        }
        _ => None,
    }
}

/// By how much the one value in it is multiplied. None: not by a constant that is not 0.
fn factor(e: &Expr) -> Option<f64> {
    match e {
        Expr::Unary(Unary::Neg, a) => factor(a),
        Expr::Binary(Binary::Add | Binary::Sub, a, b) => factor(if has_value(a) { a } else { b }),
        Expr::Binary(Binary::Mul, a, b) => {
            let constant = |e: &Expr| e.as_lit().filter(|x| *x != 0.0).map(f64::abs);
            let by = |k: &Expr, of: &Expr| Some(constant(k)? * factor(of)?);
            by(a, b).or_else(|| by(b, a))
        }
        Expr::Read(_) => Some(1.0),
        Expr::Unary(op, _) if op.facts().is_step() => Some(1.0),
        _ => None,
    }
}

/// Values that are looked through to find out, one behind the other.
const MAX_DEPTH: usize = 64;

/// Whether a value holds whole numbers, as far as equations tell.
pub fn holds_whole(net: &Net, value: ValueId) -> bool {
    holds_whole_at(net, value, MAX_DEPTH, &mut HashMap::default())
}

fn holds_whole_at(
    net: &Net,
    value: ValueId,
    depth: usize,
    known: &mut HashMap<ValueId, bool>,
) -> bool {
    if let Some(is_whole) = known.get(&value) {
        return *is_whole;
    }
    let (Def::Compute { pieces, operands }, true) = (&net.values[value].def, depth > 0) else {
        return false;
    };
    let known = RefCell::new(known);
    let of = |piece: &Equation| {
        let sums = !matches!(piece.reducer, Reducer::Lse | Reducer::Var);
        let read =
            |r: &Read| holds_whole_at(net, operands[r.operand], depth - 1, *known.borrow_mut());
        sums && is_whole(&piece.body, &read)
    };
    let is_whole = pieces.iter().all(of);
    known.borrow_mut().insert(value, is_whole);
    is_whole
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::equation::index::Ix;
    use crate::equation::{Lit, Pos};

    fn value() -> Expr {
        let read = Read {
            operand: 0,
            at: vec![Pos::Ix(Ix::var(0))],
            outside: None,
        };
        Expr::Unary(Unary::Floor, Box::new(Expr::Read(read)))
    }

    fn times(e: Expr, factor: f64) -> Expr {
        let factor = Expr::Lit(Lit::new(factor));
        Expr::Binary(Binary::Mul, Box::new(e), Box::new(factor))
    }

    fn beside(e: Expr) -> Expr {
        Expr::Binary(Binary::Add, Box::new(e), Box::new(Expr::Index(Ix::var(0))))
    }

    fn check(e: &Expr, extent: i64) -> bool {
        is_narrow(e, &[2], extent, &|_| false)
    }

    #[test]
    fn factors_are_bounded_together() {
        assert!(check(&times(beside(times(value(), 32.0)), -32.0), 2));
        assert!(!check(&times(beside(times(value(), 64.0)), 32.0), 2));
        // -2^31 times 2^39 is 0 in 64 bits.
        let thrice = (0..3).fold(value(), |e, _| beside(times(e, 1024.0)));
        assert!(!check(&times(thrice, 512.0), 2));
        assert!(!check(&times(value(), 0.0), 2));
    }

    #[test]
    fn an_axis_that_32_bits_do_not_reach_is_wide() {
        assert!(check(&value(), 1 << 30));
        assert!(!check(&value(), 1 << 31));
    }

    /// A remainder by 4 of a value is it less 4 times the floor of a quarter of it.
    #[test]
    fn a_part_of_a_whole_number_is_wide() {
        let floor = |e: Expr| Expr::Unary(Unary::Floor, Box::new(e));
        for part in [
            times(value(), 0.25),
            times(beside(value()), 0.25),
            Expr::Unary(Unary::Neg, Box::new(times(value(), 11419822.25))),
            // In f32, the product itself is off.
            times(value(), 45679289.0),
        ] {
            assert!(is_rational(&part, &|_| false));
            assert!(!check(&floor(part), 2));
        }
        let plain = Expr::Read(Read {
            operand: 0,
            at: vec![Pos::Ix(Ix::var(0))],
            outside: None,
        });
        assert!(check(&floor(times(plain.clone(), 0.25)), 2));
        assert!(check(&floor(plain), 2));
    }

    #[test]
    fn two_values_may_cancel() {
        let two = Expr::Binary(Binary::Sub, Box::new(value()), Box::new(value()));
        assert!(!check(&two, 2));
    }
}
