//! A product without an epilogue stores to its destination: no tile is filled to be copied, and the stores of one block of
//! rows overlap the computation of the next.
//!
//! Enters a finished kernel; leaves its contraction with another destination, and no copy. A kernel that does anything else
//! with its sums, scales them or stores them non-temporally, stays as it is.

use super::flat::linear;
use crate::schedule::lower::{KernelBuilder, add, int, mul};
use crate::tile::{Compute, Contract, ContractInit, Int, Mode, Stmt, To, Val, Var};

pub fn direct(b: &mut KernelBuilder) {
    let [.., Stmt::Contract(call), Stmt::Compute(copy)] = b.kernel.body.as_mut_slice() else {
        return;
    };
    let Some((to, at, step)) = place(call, copy) else {
        return;
    };
    // Nothing lies there any more; the other tiles keep their numbers.
    if let To::Tile(tile) = call.c {
        b.kernel.tiles[tile as usize].len = 0;
    }
    (call.c, call.c_at, call.ldc) = (to, at, int(step));
    b.kernel.body.pop();
}

/// Where the sums go (a buffer, the first one's address, elements from row to row), if the statement only copies them.
fn place(call: &Contract, copy: &Compute) -> Option<(To, Int, i64)> {
    let [(row, m), (column, n)] = copy.dims.as_slice() else {
        return None;
    };
    let all = *m == call.m && *n == call.n && copy.bounds.is_empty() && copy.reduce.is_none();
    let plain = copy.mode == Mode::Store && call.init == ContractInit::Zero;
    let Val::Tile(tile, from) = &copy.value else {
        return None;
    };
    let (first, ldc) = steps(from, *row, *column)?;
    let whole = first == int(0) && call.c_at == int(0) && call.ldc == int(ldc);
    if !all || !plain || !whole || call.c != To::Tile(*tile) || !matches!(copy.to, To::Buf(_)) {
        return None;
    }
    let (at, step) = steps(&copy.at, *row, *column)?;
    Some((copy.to, at, step))
}

/// `at` as `rest + step·row + column`.
fn steps(at: &Int, row: Var, column: Var) -> Option<(Int, i64)> {
    let mut terms = vec![];
    linear(at, 1, &mut terms);
    let (mut of_row, mut of_column, mut rest) = (0, 0, int(0));
    for (term, k) in terms {
        match term {
            Int::Var(v) if v == row => of_row += k,
            Int::Var(v) if v == column => of_column += k,
            Int::Var(_) | Int::Const(_) => rest = add(rest, mul(term, k)),
            _ => return None,
        }
    }
    (of_column == 1 && of_row > 0).then_some((rest, of_row))
}
