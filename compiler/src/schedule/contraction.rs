//! Finds contractions and prepares their operands: which read is A (rows), which is B (columns), what must be
//! materialised, copied with a border of zeros, or packed into panels of 32 columns.
//!
//! Indices in A and the output are M, in B and the output N, in both and the output batch, in both and reduced K.

use super::Numerics;
use super::net::{self, Def, Net, ValueId};
use crate::equation::index::{Atom, Ix};
use crate::equation::{Binary, Equation, Expr, Lit, Pos, Read, Reducer, Unary};

/// Columns of a packed panel: the microkernel's format.
pub const PANEL: i64 = 32;
/// Factors of one term: all ways to part them are tried.
const MAX_FACTORS: usize = 6;

/// One contraction, ready to be lowered. Variables are those of the equation.
#[derive(Clone, Debug)]
pub struct Contraction {
    pub a: Operand,
    pub b: Operand,
    /// Constant factor of every term.
    pub scale: f64,
    pub batch: Vec<usize>,
    pub m: Vec<usize>,
    /// The column index: adjacent columns are adjacent in B.
    pub column: usize,
    /// Other indices of B alone: each value has its own B.
    pub n_outer: Vec<usize>,
    pub k: Vec<usize>,
    /// B is packed: operand `b` is [batch…, n_outer…, panels, k…, 32].
    pub packed: bool,
}

#[derive(Clone, Debug)]
pub struct Operand {
    pub value: ValueId,
    pub at: Vec<Ix>,
}

struct Factors {
    reads: Vec<Expr>,
    scale: f64,
}

/// Rewrites the operands of a piece so that it is a product of two plain reads; None: not a contraction.
pub fn prepare(net: &mut Net, id: ValueId, piece: usize) -> Option<Contraction> {
    let Def::Compute { pieces, operands } = &net.values[id].def else {
        return None;
    };
    let (equation, operands) = (pieces[piece].clone(), operands.clone());
    let (factors, sides) = sides(&equation, &net.numerics)?;
    let extents = equation.extents();
    let [x, y] = sides.map(|side| operand(net, &operands, &factors.reads, side, &extents, id));
    let roles = Roles::of(&equation, &x.at, &y.at)?;
    Some(orient(net, &extents, x, y, roles, factors.scale))
}

/// The factors of a sum of products, split into two operands.
fn sides(equation: &Equation, numerics: &Numerics) -> Option<(Factors, [u32; 2])> {
    if equation.reducer != Reducer::Sum || !equation.guards.is_empty() || !affine(&equation.write) {
        return None;
    }
    let factors = factors(&equation.body)?;
    let sides = split(equation, &factors.reads, &equation.extents(), numerics)?;
    Some((factors, sides))
}

/// Whether the value is a sum of products of two sides, as far as its equation tells.
pub fn is_product(net: &Net, id: ValueId) -> bool {
    net.single(id)
        .and_then(|e| sides(e, &net.numerics))
        .is_some()
}

/// Whether a value is a matrix product that `prepare` would take, neither operand of which comes from weights alone.
pub fn is_between_activations(net: &Net, id: ValueId) -> bool {
    let Some((factors, sides)) = net.single(id).and_then(|e| sides(e, &net.numerics)) else {
        return false;
    };
    let fixed = |e: &Expr| {
        let mut fixed = true;
        net::for_each_read(e, &mut |r| {
            fixed &= net.from_weights(net.operands(id)[r.operand])
        });
        fixed && !has_random(e)
    };
    let from_weights = |side: u32| {
        let mut of_side = factors
            .reads
            .iter()
            .enumerate()
            .filter(|(i, _)| side >> i & 1 == 1);
        of_side.all(|(_, e)| fixed(e))
    };
    !sides.into_iter().any(from_weights)
}

pub fn affine(at: &[Pos]) -> bool {
    at.iter()
        .all(|p| matches!(p, Pos::Ix(ix) if ix.is_affine()))
}

fn factors(body: &Expr) -> Option<Factors> {
    let mut f = Factors {
        reads: vec![],
        scale: 1.0,
    };
    collect(body, &mut f);
    (2..=MAX_FACTORS).contains(&f.reads.len()).then_some(f)
}

/// The factors of a product, and its constant factor; None: not a product of two to six.
pub fn product(body: &Expr) -> Option<(Vec<Expr>, f64)> {
    factors(body).map(|f| (f.reads, f.scale))
}

fn collect(e: &Expr, f: &mut Factors) {
    match e {
        Expr::Lit(lit) => f.scale *= lit.get(),
        Expr::Unary(Unary::Neg, a) => {
            f.scale = -f.scale;
            collect(a, f);
        }
        Expr::Binary(Binary::Mul, a, b) => {
            collect(a, f);
            collect(b, f);
        }
        Expr::Binary(Binary::Div, a, b) if matches!(**b, Expr::Lit(_)) => {
            let Expr::Lit(lit) = **b else {
                unreachable!("matched above")
            };
            f.scale /= lit.get();
            collect(a, f);
        }
        e => f.reads.push(e.clone()),
    }
}

fn vars(e: &Expr, n: usize) -> Vec<bool> {
    let mut used = vec![false; n];
    mark(e, &mut used);
    used
}

pub fn mark(e: &Expr, used: &mut [bool]) {
    let mut see = |ix: &Ix| ix.for_each_var(&mut |v| used[v] = true);
    match e {
        Expr::Index(ix) | Expr::Random { at: ix, .. } => see(ix),
        Expr::Lit(_) => {}
        Expr::Read(r) => {
            for p in &r.at {
                match p {
                    Pos::Ix(ix) => ix.for_each_var(&mut |v| used[v] = true),
                    Pos::Computed(e) => mark(e, used),
                }
            }
        }
        Expr::Unary(_, a) => mark(a, used),
        Expr::Binary(_, a, b) => {
            mark(a, used);
            mark(b, used);
        }
        Expr::Select(_, args) => args.iter().for_each(|a| mark(a, used)),
    }
}

/// The split of the factors into two operands with the fewest elements in all. Bit i of a side: factor i is in it.
fn split(
    equation: &Equation,
    reads: &[Expr],
    extents: &[i64],
    numerics: &Numerics,
) -> Option<[u32; 2]> {
    let sets: Vec<Vec<bool>> = reads.iter().map(|r| vars(r, extents.len())).collect();
    let all = (1u32 << reads.len()) - 1;
    let mut best: Option<(i64, u32)> = None;
    for side in 1..all {
        if side & 1 == 0 {
            continue;
        }
        let [x, y] = [side, all ^ side].map(|s| union(&sets, s, extents.len()));
        if !profitable(equation, &x, &y, extents, numerics) {
            continue;
        }
        let cost = size(&x, extents).saturating_add(size(&y, extents));
        if best.is_none_or(|(least, _)| cost < least) {
            best = Some((cost, side));
        }
    }
    best.map(|(_, side)| [side, all ^ side])
}

fn union(sets: &[Vec<bool>], side: u32, n: usize) -> Vec<bool> {
    (0..n)
        .map(|v| {
            sets.iter()
                .enumerate()
                .any(|(i, s)| side >> i & 1 == 1 && s[v])
        })
        .collect()
}

fn size(set: &[bool], extents: &[i64]) -> i64 {
    set.iter()
        .zip(extents)
        .filter(|(s, _)| **s)
        .map(|(_, e)| *e)
        .product()
}

/// A matrix product worth the template: rows, columns and depth, and every index in its place.
fn profitable(
    equation: &Equation,
    x: &[bool],
    y: &[bool],
    extents: &[i64],
    numerics: &Numerics,
) -> bool {
    let n_free = equation.free.len();
    let (mut m, mut n, mut k) = (1, 1, 1);
    for v in 0..extents.len() {
        match (x[v], y[v], v < n_free) {
            (false, false, _) if extents[v] > 1 => return false,
            (true, false, true) => m *= extents[v],
            (false, true, true) => n *= extents[v],
            (true, true, false) => k *= extents[v],
            (true, true, true) => {}
            (false, false, _) => {}
            _ => return false,
        }
    }
    let (small, large) = (m.min(n), m.max(n));
    let least = numerics.min_contraction_multiplications;
    let long = numerics.min_contraction_extent.min(least.max(2));
    k >= 2 && small >= 2 && large >= long && m * n * k >= least
}

struct Roles {
    batch: Vec<usize>,
    x: Vec<usize>,
    y: Vec<usize>,
    k: Vec<usize>,
}

impl Roles {
    fn of(equation: &Equation, x: &[Ix], y: &[Ix]) -> Option<Roles> {
        let n_free = equation.free.len();
        let uses = |at: &[Ix], v| at.iter().any(|p| p.coefficient(v) != 0);
        let mut roles = Roles {
            batch: vec![],
            x: vec![],
            y: vec![],
            k: vec![],
        };
        for v in 0..n_free + equation.reduced.len() {
            match (uses(x, v), uses(y, v), v < n_free) {
                (true, true, true) => roles.batch.push(v),
                (true, false, true) => roles.x.push(v),
                (false, true, true) => roles.y.push(v),
                (true, true, false) => roles.k.push(v),
                _ => return None,
            }
        }
        Some(roles)
    }
}

/// The side as one plain read: the read itself with its border, or a new value.
fn operand(
    net: &mut Net,
    operands: &[ValueId],
    reads: &[Expr],
    side: u32,
    extents: &[i64],
    id: ValueId,
) -> Operand {
    let chosen: Vec<&Expr> = reads
        .iter()
        .enumerate()
        .filter(|(i, _)| side >> i & 1 == 1)
        .map(|(_, e)| e)
        .collect();
    if let [Expr::Read(read)] = chosen.as_slice()
        && let Some(operand) = plain(net, operands, read, extents)
    {
        return operand;
    }
    materialise(net, operands, &chosen, extents, id)
}

fn plain(net: &mut Net, operands: &[ValueId], read: &Read, extents: &[i64]) -> Option<Operand> {
    if !affine(&read.at) {
        return None;
    }
    let at: Vec<Ix> = read
        .at
        .iter()
        .map(|p| {
            if let Pos::Ix(ix) = p {
                ix.clone()
            } else {
                unreachable!("affine")
            }
        })
        .collect();
    let mut value = operands[read.operand];
    let need: Vec<(i64, i64)> = at
        .iter()
        .zip(&net.values[value].shape)
        .map(|(ix, n)| overhang(ix, *n, extents))
        .collect();
    if need.iter().any(|h| *h != (0, 0)) {
        let shape = &net.values[value].shape;
        let (times, more) = (net.numerics.max_padding_extents, net.numerics.min_padding);
        let modest = need
            .iter()
            .zip(shape)
            .all(|((lo, hi), n)| lo + hi <= times * n + more);
        if read.outside.is_none_or(|v| v.get() != 0.0) || !modest {
            return None;
        }
        // What is given or leaves has no padding.
        if net.is_leaf(value) || net.values[value].fixed {
            value = net.copy(value);
        }
        widen(&mut net.values[value].padding, &need);
    }
    Some(Operand { value, at })
}

/// How far a position reaches before and behind an axis.
pub fn overhang(ix: &Ix, extent: i64, extents: &[i64]) -> (i64, i64) {
    let (lo, hi) = ix.range(extents);
    ((-lo).max(0), (hi - extent + 1).max(0))
}

fn widen(padding: &mut [(i64, i64)], need: &[(i64, i64)]) {
    for (have, want) in padding.iter_mut().zip(need) {
        *have = (have.0.max(want.0), have.1.max(want.1));
    }
}

fn materialise(
    net: &mut Net,
    operands: &[ValueId],
    parts: &[&Expr],
    extents: &[i64],
    id: ValueId,
) -> Operand {
    let mut used = vec![false; extents.len()];
    parts.iter().for_each(|p| mark(p, &mut used));
    let kept: Vec<usize> = (0..extents.len()).filter(|v| used[*v]).collect();
    let place = |v: usize| {
        kept.iter()
            .position(|k| *k == v)
            .map_or(Ix::constant(0), Ix::var)
    };
    let renamed = |e: &Expr| net::rebuild(e, &|ix| ix.substitute(&place), &Expr::Read);
    let body = parts
        .iter()
        .map(|e| renamed(e))
        .reduce(|a, b| Expr::Binary(Binary::Mul, Box::new(a), Box::new(b)))
        .unwrap_or(Expr::Lit(Lit::new(1.0)));
    let shape: Vec<i64> = kept.iter().map(|v| extents[*v]).collect();
    let mut new = net::identity(&shape);
    new.body = body;
    let label = format!("{} operand", net.values[id].label);
    let value = net.push(
        shape,
        Def::Compute {
            pieces: vec![new],
            operands: operands.to_vec(),
        },
        label,
    );
    Operand {
        value,
        at: kept.iter().map(|v| Ix::var(*v)).collect(),
    }
}

/// Chooses which side supplies rows and which columns, and whether the columns are packed.
fn orient(
    net: &mut Net,
    extents: &[i64],
    x: Operand,
    y: Operand,
    roles: Roles,
    scale: f64,
) -> Contraction {
    let [wx, wy] = [&x, &y].map(|o| net.from_weights(o.value));
    let count = |vars: &[usize]| vars.iter().map(|v| extents[*v]).product::<i64>();
    let narrow = |columns, rows| is_narrow(&net.numerics, columns, rows);
    // True: x supplies the columns. Weights do, unless they are too few.
    let swap = match (wx, wy) {
        (true, false) => !narrow(count(&roles.x), count(&roles.y)),
        (false, true) => narrow(count(&roles.y), count(&roles.x)),
        _ => {
            let straight = waste(count(&roles.x), widest(&roles.y, &y, extents));
            let swapped = waste(count(&roles.y), widest(&roles.x, &x, extents));
            // Taps are better columns: a task holds several and walks the rows once.
            swapped < straight || (swapped == straight && roles.x.len() > roles.y.len())
        }
    };
    let (a, b, m, n) = if swap {
        (y, x, roles.y, roles.x)
    } else {
        (x, y, roles.x, roles.y)
    };
    let packed = net.from_weights(b.value) || n.iter().all(|v| unit_axis(&b, *v).is_none());
    let column = column(&n, &b, extents, (packed, net.numerics.max_counted_columns));
    let n_outer: Vec<usize> = n.iter().copied().filter(|v| *v != column).collect();
    let mut c = Contraction {
        a,
        b,
        scale,
        batch: roles.batch,
        m,
        column,
        n_outer,
        k: roles.k,
        packed,
    };
    if packed {
        pack(net, &mut c, extents);
    } else {
        place_columns(net, &mut c);
    }
    c
}

/// Few columns and many rows: the weights had better supply rows.
fn is_narrow(numerics: &Numerics, columns: i64, rows: i64) -> bool {
    columns < numerics.min_weight_columns && rows >= numerics.min_weight_rows && columns < rows
}

fn widest(n: &[usize], b: &Operand, extents: &[i64]) -> i64 {
    n.iter()
        .filter(|v| unit_axis(b, **v).is_some())
        .map(|v| extents[*v])
        .max()
        .unwrap_or(1)
}

fn waste(m: i64, n: i64) -> i64 {
    let pad = |x: i64, to: i64| (x + to - 1) / to * to * 1000 / x;
    pad(m, 8) * pad(n, PANEL) / 1000
}

/// The one axis of the operand whose position moves by one with v, and which no other axis shares.
fn unit_axis(o: &Operand, v: usize) -> Option<usize> {
    let axes: Vec<usize> = (0..o.at.len())
        .filter(|a| o.at[*a].coefficient(v) != 0)
        .collect();
    match axes.as_slice() {
        [axis] if o.at[*axis].coefficient(v) == 1 => Some(*axis),
        _ => None,
    }
}

fn column(n: &[usize], b: &Operand, extents: &[i64], (packed, most): (bool, i64)) -> usize {
    let score = |v: &usize| {
        let usable = packed || unit_axis(b, *v).is_some();
        (usable, extents[*v].min(most), *v)
    };
    *n.iter()
        .max_by_key(|v| score(v))
        .expect("a contraction has columns")
}

pub fn has_random(e: &Expr) -> bool {
    match e {
        Expr::Random { .. } => true,
        Expr::Lit(_) | Expr::Index(_) => false,
        Expr::Read(r) => {
            r.at.iter()
                .any(|p| matches!(p, Pos::Computed(e) if has_random(e)))
        }
        Expr::Unary(_, a) => has_random(a),
        Expr::Binary(_, a, b) => has_random(a) || has_random(b),
        Expr::Select(_, args) => args.iter().any(has_random),
    }
}

/// B in place: its column axis must lie innermost.
fn place_columns(net: &mut Net, c: &mut Contraction) {
    let axis = unit_axis(&c.b, c.column).expect("columns without a unit axis are packed");
    let value = &net.values[c.b.value];
    let is_row_major = net.is_leaf(c.b.value) || value.fixed;
    let row_major_fits = is_row_major && axis + 1 == value.shape.len();
    let free = !is_row_major && value.innermost.is_none_or(|a| a == axis);
    if row_major_fits {
        return;
    }
    if !free {
        let padding = value.padding.clone();
        let copy = net.copy(c.b.value);
        net.values[copy].padding = padding;
        c.b.value = copy;
    }
    net.values[c.b.value].innermost = Some(axis);
}

/// Packs B into panels: [batch…, n_outer…, panels, k…, 32], zero beyond the last column.
fn pack(net: &mut Net, c: &mut Contraction, extents: &[i64]) {
    let outer: Vec<usize> = c.batch.iter().chain(&c.n_outer).copied().collect();
    let columns = extents[c.column];
    let panels = (columns + PANEL - 1) / PANEL;
    let k = packed_k(c);
    let mut shape: Vec<i64> = outer.iter().map(|v| extents[*v]).collect();
    shape.push(panels);
    shape.extend(k.iter().map(|v| extents[*v]));
    shape.push(PANEL);
    let (panel_var, lane_var) = (outer.len(), outer.len() + 1 + k.len());
    let column = Ix::var(panel_var).scale(PANEL).add(&Ix::var(lane_var));
    let place = |v: usize| {
        if v == c.column {
            return column.clone();
        }
        let at = outer.iter().position(|o| *o == v);
        let at = at.or_else(|| k.iter().position(|o| *o == v).map(|i| outer.len() + 1 + i));
        at.map_or(Ix::constant(0), Ix::var)
    };
    let at: Vec<Pos> =
        c.b.at
            .iter()
            .map(|ix| Pos::Ix(ix.substitute(&place)))
            .collect();
    let mut pack = net::identity(&shape);
    let outside = Some(Lit::new(0.0));
    pack.body = Expr::Read(Read {
        operand: 0,
        at,
        outside,
    });
    if columns % PANEL != 0 {
        // Beyond the last column the read may still be inside of the tensor: choose by the column itself.
        let last = Expr::Lit(Lit::new(columns as f64));
        let zero = Expr::Lit(Lit::new(0.0));
        pack.body = Expr::Select(
            crate::equation::Relation::Lt,
            Box::new([Expr::Index(column.clone()), last, pack.body, zero]),
        );
    }
    let value = packed(net, c.b.value, pack, shape, lane_var);
    // Positions of the packed operand, panel and lane apart: they belong to the column index.
    c.b = Operand {
        value,
        at: outer
            .iter()
            .map(|v| Ix::var(*v))
            .chain([Ix::constant(0)])
            .chain(k.iter().map(|v| Ix::var(*v)))
            .chain([Ix::constant(0)])
            .collect(),
    };
}

/// The packed value: the same one for all uses of the same weights.
fn packed(net: &mut Net, of: ValueId, pack: Equation, shape: Vec<i64>, lane: usize) -> ValueId {
    let def = |v: &net::Value| match &v.def {
        Def::Compute { pieces, operands } => {
            operands.as_slice() == [of] && pieces.as_slice() == std::slice::from_ref(&pack)
        }
        _ => false,
    };
    if let Some(known) = net.values.iter().position(def) {
        return known;
    }
    let label = format!("{} panels", net.values[of].label);
    let pieces = vec![pack];
    let operands = vec![of];
    let value = net.push(shape, Def::Compute { pieces, operands }, label);
    net.values[value].innermost = Some(lane);
    value
}

/// Order of K in a packed operand: by A's positions, so that both walk memory alike. Taps first, channels last.
fn packed_k(c: &Contraction) -> Vec<usize> {
    let mut k = c.k.clone();
    let bare = |v: usize| {
        c.a.at.iter().any(|p| {
            p.as_var() == Some(v) || matches!(p.terms.as_slice(), [(Atom::Var(w), 1)] if *w == v)
        })
    };
    k.sort_by_key(|v| (bare(*v), *v));
    k
}
