//! Derivatives of scalar expressions with respect to one read.

use super::fold;
use super::{Binary, Expr, Read, Relation, Unary};

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
        Expr::Unary(Unary::Floor | Unary::Stop, _) => false,
        Expr::Unary(_, a) => depends(a, r),
        Expr::Binary(_, a, b) => depends(a, r) || depends(b, r),
        Expr::Select(_, args) => depends(&args[2], r) || depends(&args[3], r),
    }
}

fn of_unary(op: Unary, e: &Expr, a: &Expr, r: &Read) -> Expr {
    let (e, a, da) = (e.clone(), a.clone(), derivative(a, r, None));
    match op {
        Unary::Neg => da.neg(),
        Unary::Exp => times(da, e),
        Unary::Log => over(da, a),
        Unary::Sqrt => over(times(da, Expr::lit(0.5)), e),
        Unary::Sin => times(da, Expr::unary(Unary::Cos, a)),
        Unary::Cos => times(da, Expr::unary(Unary::Sin, a)).neg(),
        Unary::Tanh => times(da, Expr::lit(1.0).sub(e.clone().mul(e))),
        Unary::Erf => {
            let bell = Expr::unary(Unary::Exp, a.clone().mul(a).neg());
            times(da, Expr::lit(std::f64::consts::FRAC_2_SQRT_PI).mul(bell))
        }
        Unary::Abs => {
            let zero = || Expr::lit(0.0);
            let below = Expr::select(Relation::Lt, [a.clone(), zero(), da.clone().neg(), zero()]);
            Expr::select(Relation::Gt, [a, zero(), da, below])
        }
        Unary::Floor | Unary::Stop => Expr::lit(0.0),
    }
}

fn of_binary(op: Binary, e: &Expr, a: &Expr, b: &Expr, r: &Read) -> Expr {
    let (da, db) = (derivative(a, r, None), derivative(b, r, None));
    let (e, a, b) = (e.clone(), a.clone(), b.clone());
    match op {
        Binary::Add => da.add(db),
        Binary::Sub => da.sub(db),
        Binary::Mul => times(da, b).add(times(db, a)),
        // (a/b)' = a'/b - (a/b)·b'/b
        Binary::Div if db.is(0.0) => over(da, b),
        Binary::Div => over(da, b.clone()).sub(times(db, over(e, b))),
        Binary::Pow => times(da, slope(&a, &b)).add(times(db, e.mul(Expr::unary(Unary::Log, a)))),
        Binary::Min => Expr::select(Relation::Lt, [a, b, da, db]),
        Binary::Max => Expr::select(Relation::Gt, [a, b, da, db]),
    }
}

/// d(aᵇ)/da = b·aᵇ⁻¹
fn slope(a: &Expr, b: &Expr) -> Expr {
    let power = match b.as_lit() {
        Some(1.0) => Expr::lit(1.0),
        Some(2.0) => a.clone(),
        Some(3.0) => a.clone().mul(a.clone()),
        _ => Expr::binary(Binary::Pow, a.clone(), b.clone().sub(Expr::lit(1.0))),
    };
    b.clone().mul(power)
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

/// Distinct reads that the value depends on by more than `floor` and `stop`.
pub(super) fn reads(e: &Expr) -> Vec<Read> {
    let mut list: Vec<Read> = vec![];
    e.for_each_read(false, &mut |r| {
        if !list.contains(r) && depends(e, r) {
            list.push(r.clone());
        }
    });
    list
}
