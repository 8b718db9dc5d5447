//! Derivatives of scalar expressions with respect to one read.

use super::fold;
use super::{Binary, Expr, Read, Unary};
use vsr_tile::scalar::Formula;

/// ∂e/∂r. Positions are whole numbers: nothing flows through them. `value`: an expression that already has the value
/// of `e`, used instead of computing it again.
pub(super) fn derivative(e: &Expr, r: &Read, value: Option<&Expr>) -> Expr {
    if matches!(e, Expr::Read(x) if x == r) {
        return Expr::lit(1.0);
    }
    if !depends(e, r) {
        return Expr::lit(0.0);
    }
    match e {
        Expr::Lit(_) | Expr::Index(_) | Expr::Random { .. } | Expr::Read(_) => Expr::lit(0.0),
        Expr::Unary(op, a) => of_unary(*op, value.unwrap_or(e), a, r),
        Expr::Binary(op, a, b) => of_binary(*op, value.unwrap_or(e), a, b, r),
        Expr::Select(relation, args) => {
            let (yes, no) = (derivative(&args[2], r, None), derivative(&args[3], r, None));
            Expr::select(*relation, [args[0].clone(), args[1].clone(), yes, no])
        }
    }
}

/// Whether a gradient may flow from e to the read.
fn depends(e: &Expr, r: &Read) -> bool {
    match e {
        Expr::Read(x) => x == r,
        Expr::Lit(_) | Expr::Index(_) | Expr::Random { .. } => false,
        Expr::Unary(op, _) if op.facts().is_flat() => false,
        Expr::Unary(_, a) => depends(a, r),
        Expr::Binary(_, a, b) => depends(a, r) || depends(b, r),
        Expr::Select(_, args) => depends(&args[2], r) || depends(&args[3], r),
    }
}

fn of_unary(op: Unary, e: &Expr, a: &Expr, r: &Read) -> Expr {
    let da = derivative(a, r, None);
    by_formula(op.derivative(), &|name| match name {
        "x" => a.clone(),
        "dx" => da.clone(),
        _ => e.clone(),
    })
}

fn of_binary(op: Binary, e: &Expr, a: &Expr, b: &Expr, r: &Read) -> Expr {
    let (da, db) = (derivative(a, r, None), derivative(b, r, None));
    by_formula(op.derivative(), &|name| match name {
        "x" => a.clone(),
        "y" => b.clone(),
        "dx" => da.clone(),
        "dy" => db.clone(),
        _ => e.clone(),
    })
}

/// A formula of the table of functions, for expressions of its names.
fn by_formula(formula: &Formula, of: &dyn Fn(&str) -> Expr) -> Expr {
    let by = |formula: &Formula| by_formula(formula, of);
    match formula {
        Formula::Number(number) => Expr::lit(*number),
        Formula::Name(name) => of(name),
        Formula::Unary(op, a) => Expr::unary(*op, by(a)),
        Formula::Binary(op, args) => {
            let (a, b) = (by(&args[0]), by(&args[1]));
            match op {
                Binary::Mul if is_derivative(&args[0]) => times(a, b),
                Binary::Div if is_derivative(&args[0]) => over(a, b),
                Binary::Pow => power(a, b),
                op => Expr::binary(*op, a, b),
            }
        }
        Formula::Select(relation, args) => {
            Expr::select(*relation, std::array::from_fn(|i| by(&args[i])))
        }
    }
}

fn is_derivative(formula: &Formula) -> bool {
    formula.names(&|name| matches!(name, "dx" | "dy"))
}

fn power(a: Expr, b: Expr) -> Expr {
    match b.as_lit() {
        Some(0.0) => Expr::lit(1.0),
        Some(1.0) => a,
        Some(2.0) => a.clone().mul(a),
        _ => Expr::binary(Binary::Pow, a, b),
    }
}

/// The product. Zero stays zero where a choice has none: a factor that may be infinite is multiplied inside of it.
pub(super) fn times(a: Expr, b: Expr) -> Expr {
    push(a, b, &|a, b| a.mul(b))
}

fn over(a: Expr, b: Expr) -> Expr {
    push(a, b, &|a, b| a.div(b))
}

fn push(a: Expr, b: Expr, join: &dyn Fn(Expr, Expr) -> Expr) -> Expr {
    match a {
        Expr::Select(relation, args)
            if (b.as_lit().is_some() || !fold::is_finite(&b)) && has_zero(&args) =>
        {
            let [x, y, yes, no] = *args;
            Expr::select(
                relation,
                [x, y, push(yes, b.clone(), join), push(no, b, join)],
            )
        }
        a => join(a, b),
    }
}

fn has_zero(args: &[Expr; 4]) -> bool {
    args[2].is(0.0) || args[3].is(0.0)
}

/// Distinct reads that the value depends on by more than what is flat.
pub(super) fn reads(e: &Expr) -> Vec<Read> {
    let mut list: Vec<Read> = vec![];
    e.for_each_read(false, &mut |r| {
        if !list.contains(r) && depends(e, r) {
            list.push(r.clone());
        }
    });
    list
}
