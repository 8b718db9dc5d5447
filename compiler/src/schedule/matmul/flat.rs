//! Addresses of rows that follow each other in memory: one step a row, instead of a sum over the row's digits.
//!
//! Enters a finished kernel; leaves it with such addresses written by the row's number, and without the tables of digits
//! that nobody needs any more. What is stored then runs over all rows as one. Addresses of contractions are not touched.

use super::frame::Frame;
use super::shape::Shape;
use crate::schedule::lower::{KernelBuilder, add, int, mul};
use crate::tile::walk::ints_mut;
use crate::tile::{Int, Stmt, TileId};

pub fn flatten(b: &mut KernelBuilder, shape: &Shape, frame: &Frame) {
    let long = shape.m.iter().filter(|v| frame.space[**v] > 1);
    // Slowest first: a row's number is read as digits of these extents.
    let digits: Vec<(TileId, i64)> = long
        .zip(&frame.digits)
        .map(|(v, (_, tile))| (*tile, frame.space[*v]))
        .collect();
    let number = add(frame.first_row.clone(), Int::Var(frame.row));
    let mut used = vec![];
    ints_mut(&mut b.kernel, &mut |at, _| {
        if let Some(flat) = flat(at, &digits, &number) {
            *at = flat;
        }
        tiles(at, &mut used);
    });
    let idle = |stmt: &Stmt| match stmt {
        Stmt::Rows { tile, .. } => digits.iter().any(|d| d.0 == *tile) && !used.contains(tile),
        _ => false,
    };
    b.kernel.body.retain(|stmt| !idle(stmt));
}

/// `Σ step_d·digit_d + rest` as `step·number + rest`, if each digit's step is that of the next times the next one's extent.
fn flat(at: &Int, digits: &[(TileId, i64)], number: &Int) -> Option<Int> {
    let mut terms = vec![];
    linear(at, 1, &mut terms);
    let mut step = None;
    for (tile, extent) in digits.iter().rev() {
        let mine = |(term, _): &&(Int, i64)| matches!(term, Int::Tile(t, _) if t == tile);
        let mut found = terms.iter().filter(mine);
        let (Some((_, k)), None) = (found.next(), found.next()) else {
            return None;
        };
        let expected = step.map_or(*k, |(_, next)| next);
        if *k != expected {
            return None;
        }
        step = Some((step.map_or(*k, |(first, _)| first), k * extent));
    }
    let (step, _) = step?;
    let is_digit = |e: &Int| matches!(e, Int::Tile(t, _) if digits.iter().any(|d| d.0 == *t));
    let mut sum = int(0);
    let mut nested = vec![];
    for (term, k) in terms.into_iter().filter(|(t, _)| !is_digit(t)) {
        tiles(&term, &mut nested);
        sum = add(sum, mul(term, k));
    }
    let plain = !digits.iter().any(|d| nested.contains(&d.0));
    plain.then(|| add(sum, mul(number.clone(), step)))
}

/// The terms of a sum with their coefficients.
pub fn linear(e: &Int, by: i64, terms: &mut Vec<(Int, i64)>) {
    match e {
        Int::Add(a, b) => {
            linear(a, by, terms);
            linear(b, by, terms);
        }
        Int::Mul(a, b) => match (&**a, &**b) {
            (x, Int::Const(k)) | (Int::Const(k), x) => linear(x, by * k, terms),
            _ => terms.push((e.clone(), by)),
        },
        e => terms.push((e.clone(), by)),
    }
}

/// Tiles that an integer reads; those inside of values are visited on their own.
fn tiles(e: &Int, found: &mut Vec<TileId>) {
    if let Int::Tile(t, _) = e {
        found.push(*t);
    }
    for part in e.operands().into_iter().flatten() {
        tiles(part, found);
    }
}
