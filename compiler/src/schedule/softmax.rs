//! Softmax normalisation, each exponential computed once: `exp(t - lse t)` becomes the exponentials over their sum.
//!
//! Enters the net after inlining; where a map is the exponential of a term less the log-sum-exp of such terms along a row,
//! four values take the place of the two: the row's maximum, the exponentials less it, one over their sum, the product.
//! One kernel holds them all, with the exponentials in a tile. A log-sum-exp that anyone else reads is left alone.

use super::net::{Def, Net, ValueId};
use crate::equation::softmax::{Over, Softmax, moved, normaliser, softmax};
use crate::equation::{Binary, Equation, Expr, Lit, Pos, Read, Reducer, Unary};

pub fn rewrite(net: &mut Net) {
    let order = net.order();
    let users = net.users(&order);
    for id in order {
        if let Some(found) = find(net, &users, id) {
            build(net, id, &found);
        }
    }
}

/// Two values that are a softmax.
struct SoftmaxPattern {
    y: Equation,
    lse: Equation,
    /// Operands of the log-sum-exp.
    operands: Vec<ValueId>,
    softmax: Softmax,
}

fn find(net: &Net, users: &[Vec<ValueId>], id: ValueId) -> Option<SoftmaxPattern> {
    let y = net.single(id)?;
    let own = net.operands(id);
    let value = own[normaliser(y)?.operand];
    let lse = net.single(value)?;
    let alone = users[value] == [id] && !net.values[value].fixed;
    let row: i64 = lse.reduced.iter().product();
    if !alone || !(2..=net.numerics.max_softmax_row).contains(&row) {
        return None;
    }
    let operands = net.operands(value).to_vec();
    let over = |equation, operands| Over { equation, operands };
    let softmax = softmax(over(y, own), over(lse, &operands))?;
    Some(SoftmaxPattern {
        y: y.clone(),
        lse: lse.clone(),
        operands,
        softmax,
    })
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
    let less = read(operands.len() - 1, f.softmax.at.clone());
    let shifted = Expr::Binary(
        Binary::Sub,
        Box::new(f.softmax.term.clone()),
        Box::new(less),
    );
    each.body = Expr::Unary(Unary::Exp, Box::new(shifted));
    let mut pieces = vec![each];
    super::plan::compact(&mut pieces, &mut operands);
    let each = net.push(shape, Def::Compute { pieces, operands }, label.clone());
    // y's axes, seen from the row: its own index is the reduced one.
    let along = f.y.write.iter().map(|p| match p {
        Pos::Ix(ix) => Pos::Ix(moved(ix, &f.softmax.places)),
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
        Box::new(read(1, f.softmax.at.clone())),
    );
    net.values[id].def = compute(y, vec![each, over]);
}

fn extent(p: &Pos, free: &[i64]) -> i64 {
    match p {
        Pos::Ix(ix) => ix.as_var().map_or(1, |v| free[v]),
        Pos::Computed(_) => unreachable!("writes are bare"),
    }
}
