//! The transforms around the product: tiles of x, taps or tiles of the other operand, and the results.
//!
//! Enters what `find` found; leaves new values in the net, and the map that takes the sum's place. Whether that pays is not
//! asked here.

use super::matrices::{Matrices, matrices};
use super::{Role, Side, TAPS, WinogradPattern};
use crate::equation::index::Ix;
use crate::equation::{Binary, Equation, Expr, Lit, Pos, Read, Reducer};
use crate::schedule::net::{self, Def, Net, ValueId};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Transformed operands by value, axis, start, direction, size of a tile and number of terms. All uses of
/// weights share their taps; the pieces of one value share its tiles, which would live too long otherwise.
#[derive(Default)]
pub struct TransformCache {
    tiles: BTreeMap<Key, ValueId>,
    taps: BTreeMap<Key, ValueId>,
}

type Key = (ValueId, usize, [i64; 4]);

impl TransformCache {
    pub fn forget_tiles(&mut self) {
        self.tiles.clear();
    }
}

/// The table of the results and the sum that is left.
pub fn build(
    net: &mut Net,
    id: ValueId,
    equation: &Equation,
    f: &WinogradPattern,
    transforms: &mut TransformCache,
) -> (ValueId, ValueId) {
    let Matrices { a, b, g } = matrices(f.m);
    let (points, tiles) = (f.points(), f.n_tiles(equation));
    let start = if f.flipped {
        f.offset - (TAPS - 1)
    } else {
        f.offset
    };
    let group = |g: Ix, i: i64| g.scale(f.m).offset(i);
    let of_x = Transform {
        table: (b, points),
        count: tiles,
        at: &|g, i| group(g, i + start),
        key: start,
    };
    let x = of_x.apply(net, id, "lines", &f.x, f.m, &mut transforms.tiles);
    let place = place(&f.other);
    let tap = |i: i64| if f.flipped { TAPS - 1 - i } else { i };
    let (other, results) = match f.role {
        Role::Filter => {
            let taps = Transform {
                table: (g, TAPS),
                count: 1,
                at: &|_, i| place.replace(f.tap, &Ix::constant(tap(i))),
                key: place.replace(f.tap, &Ix::constant(tap(0))).constant,
            };
            (
                taps.apply(net, id, "taps", &f.other, f.m, &mut transforms.taps),
                (a, f.m),
            )
        }
        Role::Gradient => {
            let of_y = Transform {
                table: (a, f.m),
                count: tiles,
                at: &group,
                key: 0,
            };
            (
                of_y.apply(net, id, "lines", &f.other, f.m, &mut transforms.tiles),
                (g, TAPS),
            )
        }
    };
    (table(net, results), product(net, id, f, equation, x, other))
}

/// A constant matrix [points, columns], as a value.
fn table(net: &mut Net, (data, columns): (Vec<f32>, i64)) -> ValueId {
    let shape = vec![data.len() as i64 / columns, columns];
    net.push(shape, Def::Const(Arc::new(data)), "filter".into())
}

fn place(side: &Side) -> Ix {
    match &side.read.at[side.axis] {
        Pos::Ix(ix) => ix.clone(),
        Pos::Computed(_) => unreachable!("candidates are affine"),
    }
}

fn read(operand: usize, at: Vec<Ix>, outside: Option<Lit>) -> Expr {
    let at = at.into_iter().map(Pos::Ix).collect();
    Expr::Read(Read {
        operand,
        at,
        outside,
    })
}

fn product_of(a: Expr, b: Expr) -> Expr {
    Expr::Binary(Binary::Mul, Box::new(a), Box::new(b))
}

fn sum_of(terms: impl Iterator<Item = Expr>) -> Expr {
    let sum = |a, b| Expr::Binary(Binary::Add, Box::new(a), Box::new(b));
    terms.reduce(sum).unwrap_or(Expr::Lit(Lit::new(0.0)))
}

/// `t[point, …, g, …] = Σ_i table[point, i]·v[…, at(g, i), …]`
struct Transform<'a> {
    table: (Vec<f32>, i64),
    /// Groups along the axis.
    count: i64,
    at: &'a dyn Fn(Ix, i64) -> Ix,
    /// What distinguishes it from others of one value, axis and size.
    key: i64,
}

impl Transform<'_> {
    fn apply(
        self,
        net: &mut Net,
        id: ValueId,
        what: &str,
        side: &Side,
        m: i64,
        transforms: &mut BTreeMap<Key, ValueId>,
    ) -> ValueId {
        let terms = self.table.1;
        let first = (self.at)(Ix::constant(0), 0).constant;
        let direction = (self.at)(Ix::constant(0), 1).constant - first;
        let key = (side.value, side.axis, [self.key, direction, m, terms]);
        if let Some(known) = transforms.get(&key) {
            return *known;
        }
        let mut shape = net.values[side.value].shape.clone();
        shape[side.axis] = self.count;
        shape.insert(0, self.table.0.len() as i64 / terms);
        let term = |i: i64| {
            let mut at: Vec<Ix> = (1..shape.len()).map(Ix::var).collect();
            at[side.axis] = (self.at)(Ix::var(side.axis + 1), i);
            let coefficient = read(0, vec![Ix::var(0), Ix::constant(i)], None);
            product_of(coefficient, read(1, at, Some(Lit::new(0.0))))
        };
        let mut equation = net::identity(&shape);
        let size = net.values[side.value].shape[side.axis];
        // A tile that begins before the axis or ends behind it has terms that are always outside.
        let meets = |i: &i64| {
            let at = (self.at)(Ix::var(side.axis + 1), *i).range(&shape);
            at.1 >= 0 && at.0 < size
        };
        equation.body = sum_of((0..terms).filter(meets).map(term));
        let label = format!("{} {what}", net.values[id].label);
        let operands = vec![table(net, self.table), side.value];
        let pieces = vec![equation];
        let value = net.push(shape, Def::Compute { pieces, operands }, label);
        net.values[value].stands_for = Some(0);
        transforms.insert(key, value);
        value
    }
}

/// The new variables: points come first, the tap leaves.
struct ProductIndices {
    free: Vec<i64>,
    reduced: Vec<i64>,
    place: Vec<Ix>,
}

impl ProductIndices {
    fn of(equation: &Equation, f: &WinogradPattern) -> ProductIndices {
        let n_free = equation.free.len();
        let mut extents = equation.extents();
        extents[f.tile] = f.n_tiles(equation);
        let kept: Vec<usize> = (0..extents.len()).filter(|v| *v != f.tap).collect();
        let mut place = vec![Ix::constant(0); extents.len()];
        for (new, old) in kept.iter().enumerate() {
            place[*old] = Ix::var(1 + new);
        }
        let of = |free: bool| kept.iter().filter(move |v| (**v < n_free) == free);
        let sizes = |free: bool| of(free).map(|v| extents[*v]).collect::<Vec<i64>>();
        ProductIndices {
            free: [f.points()].into_iter().chain(sizes(true)).collect(),
            reduced: sizes(false),
            place,
        }
    }

    fn read(&self, operand: usize, side: &Side, along: Ix) -> Expr {
        let moved = |p: &Pos| match p {
            Pos::Ix(ix) => ix.substitute(&|v| self.place[v].clone()),
            Pos::Computed(_) => unreachable!("candidates are affine"),
        };
        let mut at: Vec<Ix> = side.read.at.iter().map(moved).collect();
        at[side.axis] = along;
        at.insert(0, Ix::var(0));
        read(operand, at, side.read.outside)
    }
}

/// The sum that is left, for each point.
fn product(
    net: &mut Net,
    id: ValueId,
    f: &WinogradPattern,
    equation: &Equation,
    x: ValueId,
    other: ValueId,
) -> ValueId {
    let direct = equation.points();
    // Along a second axis, the sum itself stands for another one.
    let stood_for = net.values[id].stands_for.filter(|flops| *flops > 0);
    let renamed = ProductIndices::of(equation, f);
    let tile = renamed.place[f.tile].clone();
    let along = match f.role {
        Role::Filter => Ix::constant(0),
        Role::Gradient => tile.clone(),
    };
    // Tiles of x last: between two activations, columns come from there, as they do with taps.
    let mut body = product_of(
        renamed.read(1, &f.other, along),
        renamed.read(0, &f.x, tile),
    );
    if f.scale != 1.0 {
        body = product_of(Expr::Lit(Lit::new(f.scale)), body);
    }
    let mut sum = net::identity(&renamed.free);
    sum.reduced = renamed.reduced;
    sum.reducer = Reducer::Sum;
    sum.body = body;
    let label = match net.values[id].label.ends_with(PRODUCT) {
        true => net.values[id].label.clone(),
        false => format!("{}{PRODUCT}", net.values[id].label),
    };
    let pieces = vec![sum];
    let operands = vec![x, other];
    let value = net.push(renamed.free, Def::Compute { pieces, operands }, label);
    net.values[value].stands_for = Some(stood_for.unwrap_or(2 * direct as u64));
    value
}

const PRODUCT: &str = " product";

/// The piece as a map: `Aᵀ` of the products of a tile, or `Gᵀ` of those of the taps. Operand `first` is the table, the
/// next one holds the products.
pub fn results(equation: &Equation, f: &WinogradPattern, first: usize) -> Equation {
    let kept = (0..equation.free.len()).filter(|v| *v != f.tap);
    let place: Vec<Ix> = kept
        .map(|v| match v == f.tile {
            true => Ix::var(v).div(f.m),
            false => Ix::var(v),
        })
        .collect();
    let digit = match f.role {
        Role::Filter => Ix::var(f.tile).rem(f.m),
        Role::Gradient if f.flipped => Ix::constant(TAPS - 1).sub(&Ix::var(f.tap)),
        Role::Gradient => Ix::var(f.tap),
    };
    let term = |point: i64| {
        let coefficient = read(first, vec![Ix::constant(point), digit.clone()], None);
        let at = [Ix::constant(point)].into_iter().chain(place.clone());
        product_of(coefficient, read(first + 1, at.collect(), None))
    };
    Equation {
        free: equation.free.clone(),
        reduced: vec![],
        reducer: Reducer::Map,
        body: sum_of((0..f.points()).map(term)),
        guards: vec![],
        write: equation.write.clone(),
    }
}
