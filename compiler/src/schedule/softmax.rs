//! Softmax normalisation, each exponential computed once: `exp(t - lse t)` becomes the exponentials over their sum.
//!
//! Enters the net after inlining; where a map is the exponential of a term less the log-sum-exp of such terms along a row,
//! four values take the place of the two: the row's maximum, the exponentials less it, one over their sum, the product.
//! One kernel holds them all, with the exponentials in a tile. A log-sum-exp that anyone else reads is left alone.

use super::join::bare_writes;
use super::net::{self, Def, Net, ValueId};
use crate::equation::index::Ix;
use crate::equation::{Binary, Equation, Expr, Lit, Pos, Read, Reducer, Unary};

/// A longer row does not stay in a tile.
const MAX_ROW_ELEMENTS: i64 = 4096;

pub fn rewrite(net: &mut Net) {
    let order = net.order();
    let users = net.users(&order);
    for id in order {
        if let Some(found) = find(net, &users, id) {
            build(net, id, &found);
        }
    }
}

/// `y = exp(term - lse[at])`
struct SoftmaxPattern {
    y: Equation,
    term: Expr,
    lse: Equation,
    /// Operands of the log-sum-exp.
    operands: Vec<ValueId>,
    at: Vec<Pos>,
    /// The index of the log-sum-exp's equation that each index of y is; None: it has one value.
    places: Vec<Option<usize>>,
}

fn moved(ix: &Ix, places: &[Option<usize>]) -> Ix {
    ix.substitute(&|v| places[v].map_or(Ix::constant(0), Ix::var))
}

fn find(net: &Net, users: &[Vec<ValueId>], id: ValueId) -> Option<SoftmaxPattern> {
    let y = net.single(id)?;
    let Expr::Unary(Unary::Exp, inside) = &y.body else {
        return None;
    };
    let Expr::Binary(Binary::Sub, term, less) = &**inside else {
        return None;
    };
    let Expr::Read(read) = &**less else {
        return None;
    };
    let own = net.operands(id);
    let value = own[read.operand];
    let lse = net.single(value)?;
    let plain = y.reducer == Reducer::Map && lse.reducer == Reducer::Lse;
    let free = y.guards.is_empty() && lse.guards.is_empty() && bare_writes(y) && bare_writes(lse);
    let alone = users[value] == [id] && !net.values[value].fixed && read.outside.is_none();
    let row: i64 = lse.reduced.iter().product();
    let short = (2..=MAX_ROW_ELEMENTS).contains(&row) && lse.reduced.len() == 1;
    if !(plain && free && alone && short) {
        return None;
    }
    let places = places(y, lse, read)?;
    let term_of_row = net::rebuild(term, &|ix| moved(ix, &places), &Expr::Read);
    let operands = net.operands(value).to_vec();
    let same = net::by_value(&term_of_row, own) == net::by_value(&lse.body, &operands);
    same.then(|| SoftmaxPattern {
        y: y.clone(),
        term: (**term).clone(),
        lse: lse.clone(),
        operands,
        at: read.at.clone(),
        places,
    })
}

/// Each index of y as an index of the log-sum-exp: those it is read at, and the one that is left, which it reduces.
fn places(y: &Equation, lse: &Equation, read: &Read) -> Option<Vec<Option<usize>>> {
    let mut places = vec![None; y.free.len()];
    for (write, at) in lse.write.iter().zip(&read.at) {
        let (Pos::Ix(write), Pos::Ix(at)) = (write, at) else {
            return None;
        };
        match (write.as_var(), at.as_var()) {
            (Some(l), Some(v)) if places[v].is_none() && y.free[v] == lse.free[l] => {
                places[v] = Some(l);
            }
            (None, None) if at.as_constant() == Some(0) => {}
            _ => return None,
        }
    }
    let mut left = (0..places.len()).filter(|v| places[*v].is_none() && y.free[*v] > 1);
    let (row, None) = (left.next()?, left.next()) else {
        return None;
    };
    places[row] = Some(lse.free.len());
    (y.free[row] == lse.reduced[0]).then_some(places)
}

fn build(net: &mut Net, id: ValueId, f: &SoftmaxPattern) {
    let shape = net.values[id].shape.clone();
    let row_shape: Vec<i64> = f.lse.write.iter().map(|p| extent(p, &f.lse.free)).collect();
    let label = net.values[id].label.clone();
    let read = |operand: usize, at: Vec<Pos>| {
        Expr::Read(Read {
            operand,
            at,
            outside: None,
        })
    };
    let compute = |equation: Equation, operands: Vec<ValueId>| Def::Compute {
        pieces: vec![equation],
        operands,
    };
    let mut most = f.lse.clone();
    most.reducer = Reducer::Max;
    let most = net.push(
        row_shape.clone(),
        compute(most, f.operands.clone()),
        label.clone(),
    );
    let mut each = f.y.clone();
    let mut operands = net.operands(id).to_vec();
    operands.push(most);
    let less = read(operands.len() - 1, f.at.clone());
    let shifted = Expr::Binary(Binary::Sub, Box::new(f.term.clone()), Box::new(less));
    each.body = Expr::Unary(Unary::Exp, Box::new(shifted));
    let mut pieces = vec![each];
    super::plan::compact(&mut pieces, &mut operands);
    let each = net.push(shape, Def::Compute { pieces, operands }, label.clone());
    // y's axes, seen from the row: its own index is the reduced one.
    let along = f.y.write.iter().map(|p| match p {
        Pos::Ix(ix) => Pos::Ix(moved(ix, &f.places)),
        Pos::Computed(_) => unreachable!("writes are bare"),
    });
    let mut sum = f.lse.clone();
    sum.reducer = Reducer::Sum;
    sum.body = read(0, along.collect());
    let sum = net.push(row_shape.clone(), compute(sum, vec![each]), label.clone());
    let mut over = f.lse.clone();
    over.reducer = Reducer::Map;
    over.reduced.clear();
    let whole = read(0, f.lse.write.clone());
    over.body = Expr::Binary(
        Binary::Div,
        Box::new(Expr::Lit(Lit::new(1.0))),
        Box::new(whole),
    );
    let over = net.push(row_shape, compute(over, vec![sum]), label);
    let mut y = f.y.clone();
    y.body = Expr::Binary(
        Binary::Mul,
        Box::new(read(0, f.y.write.clone())),
        Box::new(read(1, f.at.clone())),
    );
    net.values[id].def = compute(y, vec![each, over]);
}

fn extent(p: &Pos, free: &[i64]) -> i64 {
    match p {
        Pos::Ix(ix) => ix.as_var().map_or(1, |v| free[v]),
        Pos::Computed(_) => unreachable!("writes are bare"),
    }
}
