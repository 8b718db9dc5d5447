//! Derivatives of scalar expressions with respect to one read.

use super::rewrite::{binary, lit, negate, select, unary};
use super::{Binary, Expr, Pos, Read, Relation, Unary};

/// ∂e/∂r. Positions are whole numbers: nothing flows through them.
pub fn derivative(e: &Expr, r: &Read) -> Expr {
    if matches!(e, Expr::Read(x) if x == r) {
        return lit(1.0);
    }
    if !mentions(e, r) {
        return lit(0.0);
    }
    match e {
        Expr::Lit(_) | Expr::Index(_) | Expr::Random { .. } | Expr::Read(_) => lit(0.0),
        Expr::Unary(op, a) => of_unary(*op, e, a, derivative(a, r)),
        Expr::Binary(op, a, b) => of_binary(*op, e, a, b, r),
        Expr::Select(rel, args) => {
            let (x, y) = (derivative(&args[2], r), derivative(&args[3], r));
            select(*rel, args[0].clone(), args[1].clone(), x, y)
        }
    }
}

/// Whether the value of e may change with the read (not counting positions).
fn mentions(e: &Expr, r: &Read) -> bool {
    match e {
        Expr::Read(x) => x == r,
        Expr::Lit(_) | Expr::Index(_) | Expr::Random { .. } => false,
        Expr::Unary(Unary::Floor | Unary::Stop, _) => false,
        Expr::Unary(_, a) => mentions(a, r),
        Expr::Binary(_, a, b) => mentions(a, r) || mentions(b, r),
        Expr::Select(_, args) => mentions(&args[2], r) || mentions(&args[3], r),
    }
}

fn mul(a: Expr, b: Expr) -> Expr {
    binary(Binary::Mul, a, b)
}

fn of_unary(op: Unary, e: &Expr, a: &Expr, da: Expr) -> Expr {
    let a = a.clone();
    match op {
        Unary::Neg => negate(da),
        Unary::Exp => mul(da, e.clone()),
        Unary::Log => binary(Binary::Div, da, a),
        Unary::Sqrt => binary(Binary::Div, mul(da, lit(0.5)), e.clone()),
        Unary::Sin => mul(da, unary(Unary::Cos, a)),
        Unary::Cos => negate(mul(da, unary(Unary::Sin, a))),
        Unary::Tanh => mul(da, binary(Binary::Sub, lit(1.0), mul(e.clone(), e.clone()))),
        Unary::Erf => {
            let square = mul(a.clone(), a);
            let scale = lit(2.0 / std::f64::consts::PI.sqrt());
            mul(da, mul(scale, unary(Unary::Exp, negate(square))))
        }
        Unary::Abs => {
            let below = select(
                Relation::Lt,
                a.clone(),
                lit(0.0),
                negate(da.clone()),
                lit(0.0),
            );
            select(Relation::Gt, a, lit(0.0), da, below)
        }
        Unary::Floor | Unary::Stop => lit(0.0),
    }
}

fn of_binary(op: Binary, e: &Expr, a: &Expr, b: &Expr, r: &Read) -> Expr {
    let (da, db) = (derivative(a, r), derivative(b, r));
    let (a, b) = (a.clone(), b.clone());
    match op {
        Binary::Add => binary(Binary::Add, da, db),
        Binary::Sub => binary(Binary::Sub, da, db),
        Binary::Mul => binary(Binary::Add, mul(da, b), mul(a, db)),
        // (a/b)' = (a' - (a/b)·b')/b
        Binary::Div => binary(Binary::Div, binary(Binary::Sub, da, mul(e.clone(), db)), b),
        Binary::Pow => of_power(a, b, da, db, e),
        Binary::Min => select(Relation::Lt, a, b, da, db),
        Binary::Max => select(Relation::Gt, a, b, da, db),
    }
}

fn of_power(a: Expr, b: Expr, da: Expr, db: Expr, e: &Expr) -> Expr {
    let down = match &b {
        Expr::Lit(n) if n.get() == 2.0 => a.clone(),
        _ => binary(
            Binary::Pow,
            a.clone(),
            binary(Binary::Sub, b.clone(), lit(1.0)),
        ),
    };
    let base = mul(da, mul(b, down));
    let exponent = mul(db, mul(e.clone(), unary(Unary::Log, a)));
    binary(Binary::Add, base, exponent)
}

/// Distinct reads whose value the expression depends on.
pub fn reads(e: &Expr) -> Vec<Read> {
    let mut list = vec![];
    collect(e, &mut list);
    list
}

fn collect(e: &Expr, list: &mut Vec<Read>) {
    match e {
        Expr::Read(r) => {
            if !list.contains(r) {
                list.push(r.clone());
            }
        }
        Expr::Lit(_) | Expr::Index(_) | Expr::Random { .. } => {}
        Expr::Unary(Unary::Floor | Unary::Stop, _) => {}
        Expr::Unary(_, a) => collect(a, list),
        Expr::Binary(_, a, b) => {
            collect(a, list);
            collect(b, list);
        }
        Expr::Select(_, args) => {
            collect(&args[2], list);
            collect(&args[3], list);
        }
    }
}

/// True if a read's positions are all index expressions.
pub fn plain(r: &Read) -> bool {
    r.at.iter().all(|p| matches!(p, Pos::Ix(_)))
}
