//! Compile-time arithmetic: ints, floats, strings, bools and lists, and the text that numbers came from.

use super::error::{Fault, fault};
use super::scalar::{Arith, fold};
use super::value::{Note, Value};
use crate::diag::Class;
use crate::equation::{Binary, Relation, Unary};

/// Notes longer than this say less than the number.
const MAX_NOTE: usize = 32;

pub fn arith(op: Arith, a: &Value, b: &Value) -> Result<Value, Fault> {
    match (a, b) {
        (Value::Int(x, p), Value::Int(y, q)) => {
            let value = int_arith(op, *x, *y)?;
            Ok(match value {
                Value::Int(v, _) => Value::Int(v, note(op, (*x, p), (*y, q))),
                other => other,
            })
        }
        (Value::List(x), Value::List(y)) if op == Arith::Add => {
            Ok(Value::list(x.iter().chain(y.iter()).cloned().collect()))
        }
        _ => match (a.as_number(), b.as_number()) {
            (Some(_), Some(0.0)) if matches!(op, Arith::Div | Arith::FloorDiv | Arith::Mod) => {
                Err(fault(Class::Type, "division by zero"))
            }
            (Some(x), Some(y)) => match fold(op, x, y) {
                z if z.is_infinite() && x.is_finite() && y.is_finite() => Err(fault(
                    Class::Type,
                    format!("{x:?} {} {y:?} is too large", op.text()),
                )),
                z => Ok(Value::Float(z)),
            },
            _ => Err(fault(
                Class::Type,
                format!(
                    "`{}` does not apply to {} and {}",
                    op.text(),
                    a.describe(),
                    b.describe()
                ),
            )),
        },
    }
}

/// The multiples of n beside x, for help: `44 or 48`.
pub fn multiples(x: i64, n: i64) -> String {
    let below = x / n * n;
    match below > 0 {
        true => format!("{below} or {}", below + n),
        false => (below + n).to_string(),
    }
}

fn int_arith(op: Arith, a: i64, b: i64) -> Result<Value, Fault> {
    if b == 0 && matches!(op, Arith::Div | Arith::FloorDiv | Arith::Mod) {
        return Err(fault(
            Class::Dim,
            format!("{a}{}0 divides by zero", op.text()),
        ));
    }
    let value = match op {
        Arith::Add => a.checked_add(b),
        Arith::Sub => a.checked_sub(b),
        Arith::Mul => a.checked_mul(b),
        Arith::Div if a.checked_rem(b) != Some(0) => {
            return Err(
                fault(Class::Dim, format!("{a}/{b} is not exact")).help(format!(
                    "write `{a}//{b}` for the floor, or a float: `{:?}/{b}`",
                    a as f64
                )),
            );
        }
        Arith::Div => a.checked_div(b),
        Arith::FloorDiv => floor_div(a, b),
        Arith::Mod => floor_div(a, b)
            .and_then(|q| q.checked_mul(b))
            .and_then(|m| a.checked_sub(m)),
        Arith::Pow if b < 0 => return Ok(Value::Float(libm::pow(a as f64, b as f64))),
        Arith::Pow => u32::try_from(b).ok().and_then(|n| a.checked_pow(n)),
    };
    value
        .map(Value::int)
        .ok_or_else(|| fault(Class::Dim, format!("{a} {} {b} is too large", op.text())))
}

pub fn floor_div(a: i64, b: i64) -> Option<i64> {
    let q = a.checked_div(b)?;
    Some(if a % b != 0 && (a < 0) != (b < 0) {
        q - 1
    } else {
        q
    })
}

fn note(op: Arith, (x, p): (i64, &Note), (y, q): (i64, &Note)) -> Note {
    if p.is_none() && q.is_none() {
        return None;
    }
    if let (Some(text), None, Arith::Add | Arith::Sub) = (p, q, op) {
        let (rest, before) = constant(text);
        let sum = if op == Arith::Add {
            before.checked_add(y)?
        } else {
            before.checked_sub(y)?
        };
        let text = match sum {
            0 => rest.to_string(),
            n if n < 0 => format!("{rest} - {}", n.unsigned_abs()),
            n => format!("{rest} + {n}"),
        };
        return (text.len() <= MAX_NOTE).then(|| text.into());
    }
    if let (Some(text), None, Arith::FloorDiv) = (p, q, op)
        && let Some(text) = floored(text, x, y)
    {
        return (text.len() <= MAX_NOTE).then(|| text.into());
    }
    let tight = !matches!(op, Arith::Add | Arith::Sub);
    let side = |value: i64, note: &Note, right: bool| match note {
        None => value.to_string(),
        Some(text) => {
            let sum = text.contains(['+', '-', '%']);
            let product = text.contains(['*', '/']);
            let wrap = tight && sum || right && (sum && op == Arith::Sub || product && tight);
            if wrap {
                format!("({text})")
            } else {
                text.to_string()
            }
        }
    };
    let (left, right) = (side(x, p, false), side(y, q, true));
    let unit = if tight && op != Arith::Mod {
        format!("{left}{}{right}", op.text())
    } else {
        format!("{left} {} {right}", op.text())
    };
    let text = match (op, x, y) {
        (Arith::Mul | Arith::Div | Arith::FloorDiv, _, 1) => return p.clone(),
        (Arith::Add | Arith::Sub, _, 0) => left,
        (Arith::Add, 0, _) | (Arith::Mul, 1, _) => right,
        _ => unit,
    };
    (text.len() <= MAX_NOTE).then(|| text.into())
}

/// `(H - 1)//2` is `H/2 - 1` where H is even; x is the value of the text.
fn floored(text: &str, x: i64, n: i64) -> Option<String> {
    let (rest, constant) = constant(text);
    let whole = x.checked_sub(constant)?;
    if n < 2 || constant == 0 || whole % n != 0 || rest.contains(['+', '-', '%', '/']) {
        return None;
    }
    Some(match floor_div(constant, n)? {
        0 => format!("{rest}/{n}"),
        c if c < 0 => format!("{rest}/{n} - {}", c.unsigned_abs()),
        c => format!("{rest}/{n} + {c}"),
    })
}

/// `H + 2` apart: its last constant, if no bracket holds it.
fn constant(text: &str) -> (&str, i64) {
    for (sign, factor) in [(" + ", 1), (" - ", -1)] {
        if let Some((rest, digits)) = text.rsplit_once(sign)
            && let Ok(n) = digits.parse::<i64>()
        {
            return (rest, factor * n);
        }
    }
    (text, 0)
}

pub fn compare(relation: Relation, a: &Value, b: &Value) -> Result<bool, Fault> {
    if let (Value::Int(x, _), Value::Int(y, _)) = (a, b) {
        return Ok(relation.holds(x, y));
    }
    if let (Some(x), Some(y)) = (a.as_number(), b.as_number()) {
        return Ok(relation.holds(x, y));
    }
    match (relation, equal(a, b)) {
        (Relation::Eq, Some(same)) => Ok(same),
        (Relation::Ne, Some(same)) => Ok(!same),
        _ => Err(fault(
            Class::Type,
            format!("{} and {} cannot be compared", a.describe(), b.describe()),
        )),
    }
}

/// Equality of compile-time values; None between kinds that are never equal by rule.
pub fn equal(a: &Value, b: &Value) -> Option<bool> {
    match (a, b) {
        (Value::Bool(x), Value::Bool(y)) => Some(x == y),
        (Value::Str(x), Value::Str(y)) => Some(x == y),
        (Value::List(x), Value::List(y)) => {
            if x.len() != y.len() {
                return Some(false);
            }
            x.iter()
                .zip(y.iter())
                .try_fold(true, |all, (p, q)| Some(all && equal(p, q)?))
        }
        _ => Some(a.as_number()? == b.as_number()?),
    }
}

/// An elementwise builtin on a compile-time number.
pub fn unary(op: Unary, value: &Value) -> Result<Value, Fault> {
    match (op, value) {
        (Unary::Stop, Value::Int(..) | Value::Float(_)) => return Ok(value.clone()),
        (op, Value::Int(..)) if op.facts().is_step() => return Ok(value.clone()),
        (Unary::Abs, Value::Int(i, _)) => return Ok(Value::int(i.saturating_abs())),
        (Unary::Neg, Value::Int(..)) => return arith(Arith::Sub, &Value::int(0), value),
        _ => {}
    }
    let x = number(value)?;
    let y = op.of(x);
    if op.facts().is_step() {
        if y.abs() < 9e15 {
            return Ok(Value::int(y as i64));
        }
        return Err(fault(Class::Dim, format!("{} of {x} is no int", op.name())));
    }
    if y.is_nan() && !x.is_nan() {
        return Err(fault(Class::Type, format!("this is not defined at {x}")));
    }
    Ok(Value::Float(y))
}

/// A function of two compile-time numbers that is called by its name.
pub fn call(op: Binary, x: &Value, y: &Value) -> Result<Value, Fault> {
    Ok(Value::Float(op.of(number(x)?, number(y)?)))
}

fn number(value: &Value) -> Result<f64, Fault> {
    value.as_number().ok_or_else(|| {
        let text = format!("{} is no number", value.describe());
        fault(Class::Type, text)
    })
}

pub fn log2(value: &Value) -> Result<Value, Fault> {
    match value.as_number() {
        Some(x) if x > 0.0 => Ok(Value::Float(libm::log2(x))),
        Some(x) => Err(fault(Class::Type, format!("`log2` is not defined at {x}"))),
        None => Err(fault(
            Class::Type,
            format!("{} is no number", value.describe()),
        )),
    }
}
