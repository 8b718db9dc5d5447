//! Which expressions are made of whole numbers.
//!
//! Enters an expression, and what is known of the tensors that it reads; decides, and changes nothing. The scheduler asks where a
//! position needs f64, the oracle where a position has no roundings.

use super::{Binary, Expr, Read};

/// Whether a read gives whole numbers only.
pub type IsWhole<'a> = &'a dyn Fn(&Read) -> bool;

/// Whether some value decides what an expression gives.
pub fn has_value(e: &Expr) -> bool {
    let mut found = false;
    e.visit(false, &mut |e| {
        found |= match e {
            Expr::Read(_) => true,
            Expr::Unary(op, _) => op.facts().is_step(),
            _ => false,
        }
    });
    found
}

/// Whether an expression gives whole numbers, whatever the values are.
pub fn is_whole(e: &Expr, reads_whole: IsWhole<'_>) -> bool {
    let whole = |e: &Expr| is_whole(e, reads_whole);
    match e {
        Expr::Lit(lit) => lit.get().fract() == 0.0,
        Expr::Index(_) => true,
        Expr::Unary(op, a) => op.facts().is_step() || op.facts().keeps_whole() && whole(a),
        Expr::Binary(op, a, b) => op.facts().keeps_whole() && whole(a) && whole(b),
        Expr::Select(_, args) => whole(&args[2]) && whole(&args[3]),
        Expr::Read(r) => reads_whole(r) && r.outside.is_none_or(|v| v.get().fract() == 0.0),
        _ => false,
    }
}

/// Whether an expression is computed from whole numbers, and has more digits than an f32: a quotient, as the text has it, or as
/// simplification leaves it (`x/4` becomes `0.25*x`), and what else is made of values that are whole.
pub fn is_rational(e: &Expr, reads_whole: IsWhole<'_>) -> bool {
    let whole = |e: &Expr| is_whole(e, reads_whole);
    match e {
        Expr::Binary(Binary::Div, x, y) if whole(x) && whole(y) => true,
        Expr::Unary(op, _) if !op.facts().keeps_whole() => false,
        Expr::Unary(..) | Expr::Binary(..) => has_value(e) && is_of_whole(e, reads_whole),
        _ => false,
    }
}

/// Whether what a position has below a floor is computed in f64 like the position itself, and not in f32.
pub fn is_in_f64(e: &Expr, reads_whole: IsWhole<'_>) -> bool {
    is_whole(e, reads_whole) || is_rational(e, reads_whole)
}

/// Whether all that an expression computes with is whole numbers and constants.
fn is_of_whole(e: &Expr, reads_whole: IsWhole<'_>) -> bool {
    match e {
        Expr::Lit(_) => true,
        Expr::Unary(op, a) if op.facts().keeps_whole() => is_of_whole(a, reads_whole),
        Expr::Binary(op, a, b) if op.facts().is_inline() => {
            is_of_whole(a, reads_whole) && is_of_whole(b, reads_whole)
        }
        e => is_whole(e, reads_whole),
    }
}
