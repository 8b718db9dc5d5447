//! Statements around the data loops: for, let, if, and tables of row offsets.

use super::calls::SUMS;
use super::lower::{KnownInt, Lower, MEMORY};
use crate::tile::{Bound, Compute, Digit, Int, Mode, ReduceOp, Stmt, TileId, To, Val, Var};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value};

/// Whether the statement's calls also sum up their results, for the statement after it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Sums {
    Unwanted,
    Wanted,
    Made,
}

/// Whether `sum` adds up just what `map` writes, in the order of the runtime's lanes.
fn sums_up(sum: &Compute, map: &Compute) -> bool {
    let ([(var, extent)], To::Tile(tile), None) = (map.dims.as_slice(), map.to, &map.reduce) else {
        return false;
    };
    let Some(reduce) = &sum.reduce else {
        return false;
    };
    let [(along, n)] = reduce.dims.as_slice() else {
        return false;
    };
    let whole = map.bounds.is_empty() && sum.bounds.is_empty() && n == extent;
    let stored = (map.mode, sum.mode) == (Mode::Store, Mode::Store);
    let order = reduce.op == ReduceOp::Sum && i64::from(reduce.lanes) == SUMS;
    let one = sum.dims.is_empty() && map.at == Int::Var(*var);
    whole && stored && order && one && sum.value == Val::Tile(tile, Int::Var(*along))
}

/// Whether the statement is a copy of what lies there.
fn copies(compute: &Compute, from: To) -> bool {
    matches!((&compute.value, from), (Val::Tile(a, _), To::Tile(b)) if *a == b)
}

impl Lower<'_, '_> {
    /// Statements replace all scopes by their own; afterwards, as many are open as before.
    pub fn body(&mut self, body: &[Stmt]) {
        let depth = self.scopes.len();
        for (i, stmt) in body.iter().enumerate() {
            self.fresh(None);
            let made = self.sums == Sums::Made;
            self.sums = match (stmt, body.get(i + 1)) {
                (Stmt::Compute(map), Some(Stmt::Compute(sum))) if sums_up(sum, map) => Sums::Wanted,
                _ => Sums::Unwanted,
            };
            self.producer = match (i.checked_sub(1).map(|i| &body[i]), stmt) {
                (Some(Stmt::Compute(made)), Stmt::Compute(copy)) if copies(copy, made.to) => {
                    Some(made.clone())
                }
                _ => None,
            };
            match stmt {
                Stmt::For {
                    var,
                    extent,
                    step,
                    body,
                } => self.for_loop(*var, extent, *step, body),
                Stmt::Let { var, value } => {
                    let known = self.known(value);
                    self.vars.insert(*var, known);
                }
                Stmt::If { bounds, body } => self.guarded(bounds, body),
                Stmt::Compute(sum) if made => self.take_sums(sum),
                Stmt::Compute(compute) => self.compute(compute),
                Stmt::Rows {
                    tile,
                    first,
                    extent,
                    digits,
                    value,
                } => self.rows(*tile, first, extent, digits, value),
                Stmt::Contract(contract) => self.contract(contract),
            }
        }
        self.fresh(None);
        self.scopes.resize_with(depth, Default::default);
        // What a body defines ends with it.
        for stmt in body {
            if let Stmt::Let { var, .. } = stmt {
                self.vars.remove(var);
            }
        }
    }

    fn for_loop(&mut self, var: Var, extent: &Int, step: i64, body: &[Stmt]) {
        let end = self.int(extent);
        let start = self.iconst(0);
        self.counted(start, end, step, &[], &mut |s, i, _| {
            s.bind(var, i, step);
            s.body(body);
            vec![]
        });
        self.vars.remove(&var);
    }

    /// A loop variable: it runs from 0 in steps of `multiple_of`.
    pub fn bind(&mut self, var: Var, value: Value, multiple_of: i64) {
        self.vars.insert(
            var,
            KnownInt {
                value,
                not_negative: true,
                multiple_of,
            },
        );
    }

    fn guarded(&mut self, bounds: &[Bound], body: &[Stmt]) {
        let ids: Vec<_> = bounds.iter().map(|b| self.dag.bound_id(b, None)).collect();
        let Some(condition) = self.condition(&ids) else {
            return self.body(body);
        };
        let (yes, join) = (self.b.create_block(), self.b.create_block());
        self.b.ins().brif(condition, yes, &[], join, &[]);
        self.b.switch_to_block(yes);
        self.body(body);
        self.b.ins().jump(join, &[]);
        self.b.switch_to_block(join);
    }

    /// Digits of `first` are found by division, those after it by carrying.
    fn rows(&mut self, tile: TileId, first: &Int, extent: &Int, digits: &[Digit], value: &Int) {
        let (first, end) = (self.int(first), self.int(extent));
        let extents: Vec<Value> = digits.iter().map(|d| self.int(&d.extent)).collect();
        let total = extents.iter().fold(None, |product, e| match product {
            None => Some(*e),
            Some(p) => Some(self.b.ins().imul(p, *e)),
        });
        let mut starts = vec![];
        let mut rest = first;
        for (i, extent) in extents.iter().enumerate() {
            if i + 1 == extents.len() {
                starts.push(rest);
                break;
            }
            let quotient = self.b.ins().udiv(rest, *extent);
            let whole = self.b.ins().imul(quotient, *extent);
            starts.push(self.b.ins().isub(rest, whole));
            rest = quotient;
        }
        let base = self.base(crate::tile::dag::Space::Tile(tile));
        let zero = self.iconst(0);
        self.counted(zero, end, 1, &starts, &mut |s, i, current| {
            for (digit, now) in digits.iter().zip(current) {
                s.bind(digit.var, *now, 1);
            }
            let offset = s.int(value);
            let place = s.scaled(i, 8);
            let place = s.b.ins().iadd(base, place);
            s.b.ins().store(MEMORY, offset, place, 0);
            match total {
                Some(total) => s.advance(i, first, total, current, &extents),
                None => vec![],
            }
        });
        digits.iter().for_each(|d| {
            self.vars.remove(&d.var);
        });
    }

    /// The next digits; the last position repeats at the end of the whole range.
    fn advance(
        &mut self,
        i: Value,
        first: Value,
        total: Value,
        digits: &[Value],
        extents: &[Value],
    ) -> Vec<Value> {
        let position = self.b.ins().iadd(first, i);
        let next = self.plus(position, 1);
        let more = self.b.ins().icmp(IntCC::SignedLessThan, next, total);
        let mut carry = self.iconst(1);
        let mut advanced = vec![];
        for (digit, extent) in digits.iter().zip(extents) {
            let up = self.b.ins().iadd(*digit, carry);
            let wraps = self
                .b
                .ins()
                .icmp(IntCC::SignedGreaterThanOrEqual, up, *extent);
            let zero = self.iconst(0);
            let value = self.b.ins().select(wraps, zero, up);
            let one = self.iconst(1);
            carry = self.b.ins().select(wraps, one, zero);
            advanced.push(self.b.ins().select(more, value, *digit));
        }
        advanced
    }
}
