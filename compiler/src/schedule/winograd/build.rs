//! The maps around the product: lines of x, taps or lines of the other operand, and the results.

use super::{Found, LINE, POINTS, Role, Side, TAPS, extents};
use crate::equation::index::Ix;
use crate::equation::{Binary, Equation, Expr, Lit, Pos, Read, Reducer};
use crate::schedule::net::{self, Def, Net, ValueId};
use std::sync::Arc;

/// Bᵀ, for the points 0, 1, -1, 2, -2 and infinity.
const B: [[f32; 6]; 6] = [
    [4.0, 0.0, -5.0, 0.0, 1.0, 0.0],
    [0.0, -4.0, -4.0, 1.0, 1.0, 0.0],
    [0.0, 4.0, -4.0, -1.0, 1.0, 0.0],
    [0.0, -2.0, -1.0, 2.0, 1.0, 0.0],
    [0.0, 2.0, -1.0, -2.0, 1.0, 0.0],
    [0.0, 4.0, 0.0, -5.0, 0.0, 1.0],
];
const G: [[f32; 3]; 6] = [
    [1.0 / 4.0, 0.0, 0.0],
    [-1.0 / 6.0, -1.0 / 6.0, -1.0 / 6.0],
    [-1.0 / 6.0, 1.0 / 6.0, -1.0 / 6.0],
    [1.0 / 24.0, 1.0 / 12.0, 1.0 / 6.0],
    [1.0 / 24.0, -1.0 / 12.0, 1.0 / 6.0],
    [0.0, 0.0, 1.0],
];
/// A
const A: [[f32; 4]; 6] = [
    [1.0, 0.0, 0.0, 0.0],
    [1.0, 1.0, 1.0, 1.0],
    [1.0, -1.0, 1.0, -1.0],
    [1.0, 2.0, 4.0, 8.0],
    [1.0, -2.0, 4.0, -8.0],
    [0.0, 0.0, 0.0, 1.0],
];

pub fn build(net: &mut Net, id: ValueId, f: &Found) {
    let Some(equation) = net.single(id).cloned() else {
        return;
    };
    let x = lines_of_x(net, id, f, &equation);
    let other = match f.role {
        Role::Filter => taps(net, id, f),
        Role::Gradient => lines_of_y(net, id, f, &equation),
    };
    let product = product(net, id, f, &equation, x, other);
    let results = results(net, f, &equation, product);
    net.values[id].def = results;
}

/// A constant matrix, as a value.
fn table<const N: usize>(net: &mut Net, rows: &[[f32; N]; 6]) -> ValueId {
    let data: Vec<f32> = rows.iter().flatten().copied().collect();
    net.push(
        vec![POINTS, N as i64],
        Def::Const(Arc::new(data)),
        "winograd".into(),
    )
}

/// `Σ_n table[point, n]·read(n)`: operand 0 is the table, operand 1 what is transformed.
fn combination(point: Ix, n: i64, read: &dyn Fn(i64) -> Vec<Ix>) -> Expr {
    let zero = Some(Lit::new(0.0));
    let at = |ix: Vec<Ix>| ix.into_iter().map(Pos::Ix).collect();
    let term = |i: i64| {
        let coefficient = Expr::Read(Read {
            operand: 0,
            at: at(vec![point.clone(), Ix::constant(i)]),
            outside: None,
        });
        let value = Expr::Read(Read {
            operand: 1,
            at: at(read(i)),
            outside: zero,
        });
        Expr::Binary(Binary::Mul, Box::new(coefficient), Box::new(value))
    };
    let sum = |a, b| Expr::Binary(Binary::Add, Box::new(a), Box::new(b));
    (0..n)
        .map(term)
        .reduce(sum)
        .unwrap_or(Expr::Lit(Lit::new(0.0)))
}

/// A value with the axis replaced by `count` groups, and an index of points before all others: `position(g, i)` is
/// that of term i of group g along the axis.
fn transformed(
    net: &mut Net,
    label: String,
    side: &Side,
    count: i64,
    table: ValueId,
    terms: i64,
    position: &dyn Fn(Ix, i64) -> Ix,
) -> ValueId {
    let mut shape = net.values[side.value].shape.clone();
    shape[side.axis] = count;
    shape.insert(0, POINTS);
    let point = Ix::var(0);
    let read = |i: i64| {
        let mut at: Vec<Ix> = (1..shape.len()).map(Ix::var).collect();
        at[side.axis] = position(Ix::var(side.axis + 1), i);
        at
    };
    let mut equation = net::identity(&shape);
    equation.body = combination(point, terms, &read);
    let pieces = vec![equation];
    let operands = vec![table, side.value];
    net.push(shape, Def::Compute { pieces, operands }, label)
}

fn groups(equation: &Equation, f: &Found) -> i64 {
    (extents(equation)[f.line] + LINE - 1) / LINE
}

/// `Bᵀ x`: six values of the six elements that a line of four results sees.
fn lines_of_x(net: &mut Net, id: ValueId, f: &Found, equation: &Equation) -> ValueId {
    let start = if f.flipped {
        f.offset - (TAPS - 1)
    } else {
        f.offset
    };
    let label = format!("{} lines", net.values[id].label);
    let b = table(net, &B);
    let position = |g: Ix, i: i64| g.scale(LINE).offset(i + start);
    transformed(net, label, &f.x, groups(equation, f), b, POINTS, &position)
}

/// `A y`: six values of a line of four.
fn lines_of_y(net: &mut Net, id: ValueId, f: &Found, equation: &Equation) -> ValueId {
    let label = format!("{} lines", net.values[id].label);
    let a = table(net, &A);
    let position = |g: Ix, i: i64| g.scale(LINE).offset(i);
    transformed(
        net,
        label,
        &f.other,
        groups(equation, f),
        a,
        LINE,
        &position,
    )
}

/// `G k`: six values of the three taps.
fn taps(net: &mut Net, id: ValueId, f: &Found) -> ValueId {
    let label = format!("{} taps", net.values[id].label);
    let Pos::Ix(place) = f.other.read.at[f.other.axis].clone() else {
        unreachable!("candidates are affine")
    };
    let position = |_: Ix, i: i64| {
        let tap = if f.flipped { TAPS - 1 - i } else { i };
        place.replace(f.tap, &Ix::constant(tap))
    };
    let g = table(net, &G);
    transformed(net, label, &f.other, 1, g, TAPS, &position)
}

/// The new variables: the tap leaves, the points come first.
struct Renamed {
    free: Vec<i64>,
    reduced: Vec<i64>,
    place: Vec<Ix>,
    point: Ix,
    line: Ix,
}

impl Renamed {
    fn of(equation: &Equation, f: &Found) -> Renamed {
        let n_free = equation.free.len();
        let mut extents = extents(equation);
        extents[f.line] = groups(equation, f);
        let kept = |v: &usize| *v != f.tap;
        let free: Vec<usize> = (0..n_free).filter(kept).collect();
        let reduced: Vec<usize> = (n_free..extents.len()).filter(kept).collect();
        let mut place = vec![Ix::constant(0); extents.len()];
        for (new, old) in free.iter().enumerate() {
            place[*old] = Ix::var(1 + new);
        }
        for (new, old) in reduced.iter().enumerate() {
            place[*old] = Ix::var(free.len() + 1 + new);
        }
        let of = |vars: &[usize]| vars.iter().map(|v| extents[*v]).collect::<Vec<i64>>();
        Renamed {
            free: [POINTS].into_iter().chain(of(&free)).collect(),
            reduced: of(&reduced),
            point: Ix::var(0),
            line: place[f.line].clone(),
            place,
        }
    }

    fn read(&self, operand: usize, side: &Side, along: Ix) -> Expr {
        let at = side.read.at.iter().enumerate().map(|(axis, p)| match p {
            _ if axis == side.axis => along.clone(),
            Pos::Ix(ix) => ix.substitute(&|v| self.place[v].clone()),
            Pos::Computed(_) => unreachable!("candidates are affine"),
        });
        let at = [self.point.clone()].into_iter().chain(at);
        let at = at.map(Pos::Ix).collect();
        let outside = side.read.outside;
        Expr::Read(Read {
            operand,
            at,
            outside,
        })
    }
}

/// The sum that is left, for each point.
fn product(
    net: &mut Net,
    id: ValueId,
    f: &Found,
    equation: &Equation,
    x: ValueId,
    other: ValueId,
) -> ValueId {
    let renamed = Renamed::of(equation, f);
    let along = match f.role {
        Role::Filter => Ix::constant(0),
        Role::Gradient => renamed.line.clone(),
    };
    let (a, b) = (
        renamed.read(0, &f.x, renamed.line.clone()),
        renamed.read(1, &f.other, along),
    );
    let mut body = Expr::Binary(Binary::Mul, Box::new(a), Box::new(b));
    if f.scale != 1.0 {
        let scale = Box::new(Expr::Lit(Lit::new(f.scale)));
        body = Expr::Binary(Binary::Mul, scale, Box::new(body));
    }
    let all = renamed.free.len() as i64;
    let equation = Equation {
        free: renamed.free.clone(),
        reduced: renamed.reduced.clone(),
        reducer: Reducer::Sum,
        body,
        guards: vec![],
        write: (0..all as usize).map(|v| Pos::Ix(Ix::var(v))).collect(),
    };
    let label = format!("{} product", net.values[id].label);
    let def = Def::Compute {
        pieces: vec![equation],
        operands: vec![x, other],
    };
    net.push(renamed.free, def, label)
}

/// `Aᵀ` of the products of a line, or `Gᵀ` of those of the taps.
fn results(net: &mut Net, f: &Found, equation: &Equation, product: ValueId) -> Def {
    let kept = (0..equation.free.len()).filter(|v| *v != f.tap);
    let read: Vec<Ix> = kept
        .map(|v| match v == f.line {
            true => Ix::var(v).div(LINE),
            false => Ix::var(v),
        })
        .collect();
    let (table, digit) = match f.role {
        Role::Filter => (table(net, &A), Ix::var(f.line).rem(LINE)),
        Role::Gradient if f.flipped => {
            (table(net, &G), Ix::constant(TAPS - 1).sub(&Ix::var(f.tap)))
        }
        Role::Gradient => (table(net, &G), Ix::var(f.tap)),
    };
    let term = |point: i64| {
        let at = |ix: Vec<Ix>| ix.into_iter().map(Pos::Ix).collect();
        let coefficient = Read {
            operand: 0,
            at: at(vec![Ix::constant(point), digit.clone()]),
            outside: None,
        };
        let value = Read {
            operand: 1,
            at: at([Ix::constant(point)]
                .into_iter()
                .chain(read.clone())
                .collect()),
            outside: None,
        };
        Expr::Binary(
            Binary::Mul,
            Box::new(Expr::Read(coefficient)),
            Box::new(Expr::Read(value)),
        )
    };
    let sum = |a, b| Expr::Binary(Binary::Add, Box::new(a), Box::new(b));
    let body = (0..POINTS)
        .map(term)
        .reduce(sum)
        .unwrap_or(Expr::Lit(Lit::new(0.0)));
    let map = Equation {
        free: equation.free.clone(),
        reduced: vec![],
        reducer: Reducer::Map,
        body,
        guards: vec![],
        write: equation.write.clone(),
    };
    Def::Compute {
        pieces: vec![map],
        operands: vec![table, product],
    }
}
