//! The indices and tiles of a contraction's task.
//!
//! Enters the shape; leaves the kernel's axes of tasks and the expression of every index. No statement is emitted here.

use super::super::contraction::{Contraction, PANEL};
use super::super::group::Group;
use super::super::lower::{KernelBuilder, add, int, mul};
use super::shape::Shape;
use crate::tile::{Int, TileId, TileKind, Var};

/// The task's indices and tiles.
pub struct Frame {
    pub space: Vec<i64>,
    /// Kernel expression of each index of the space, where rows come from digit tiles.
    pub vars: Vec<Int>,
    /// Loop variables of the indices that the tile holds, outermost first.
    pub held: Vec<Var>,
    pub row: Var,
    pub column: Var,
    pub first_row: Int,
    pub panel: Int,
    pub rows: Int,
    pub columns: Int,
    pub c: TileId,
    pub digits: Vec<(Var, TileId)>,
}

impl Frame {
    pub fn open(shape: &Shape, c: &Contraction, group: &Group, b: &mut KernelBuilder) -> Frame {
        let mut vars = vec![int(0); group.space.len()];
        let is_held = |v: usize| shape.held.iter().any(|(h, _)| *h == v);
        for &v in c.batch.iter().chain(&c.n_outer) {
            if group.space[v] > 1 && !is_held(v) {
                vars[v] = Int::Var(b.task(group.space[v], 1));
            }
        }
        let panels = (shape.columns + PANEL - 1) / PANEL;
        let axis = |b: &mut KernelBuilder, extent: i64, size: i64| match extent > size {
            true => Int::Var(b.task(extent, size)),
            false => int(0),
        };
        // The last axis runs fastest.
        let (panel, first_row) = match shape.columns_run_fastest {
            true => {
                let row = axis(b, shape.rows, shape.tile_rows);
                (axis(b, panels, shape.tile_columns / PANEL), row)
            }
            false => {
                let panel = axis(b, panels, shape.tile_columns / PANEL);
                (panel, axis(b, shape.rows, shape.tile_rows))
            }
        };
        let held: Vec<Var> = shape.held.iter().map(|_| b.var()).collect();
        for ((v, _), var) in shape.held.iter().zip(&held) {
            vars[*v] = Int::Var(*var);
        }
        let (row, column) = (b.var(), b.var());
        let left = |extent: i64, size: i64, first: &Int| match first {
            Int::Const(0) => int(extent.min(size)),
            _ if extent % size == 0 => int(size),
            first => Int::Min(
                Box::new(int(size)),
                Box::new(Int::Sub(Box::new(int(extent)), Box::new(first.clone()))),
            ),
        };
        let rows = left(shape.rows, shape.tile_rows, &first_row);
        let first_column = mul(panel.clone(), PANEL);
        let columns = left(shape.columns, shape.tile_columns, &first_column);
        vars[c.column] = add(first_column, Int::Var(column));
        let tile = b.tile("c", TileKind::F32, shape.n_sums());
        let mut digits = vec![];
        for &v in &shape.m {
            if group.space[v] > 1 {
                let digit = b.tile(&format!("i{v}"), TileKind::I64, shape.tile_rows);
                vars[v] = Int::Tile(digit, Box::new(Int::Var(row)));
                digits.push((b.var(), digit));
            }
        }
        Frame {
            space: group.space.clone(),
            vars,
            held,
            row,
            column,
            first_row,
            panel,
            rows,
            columns,
            c: tile,
            digits,
        }
    }
    /// Place of a point of the tile, the held indices given.
    pub fn at(&self, shape: &Shape, held: &[Var], row: Int, column: Int) -> Int {
        let panel = held
            .iter()
            .zip(&shape.held)
            .fold(int(0), |at, (var, (_, n))| add(mul(at, *n), Int::Var(*var)));
        let row = add(mul(panel, shape.tile_rows), row);
        add(mul(row, shape.tile_columns), column)
    }
}
