//! Resampling as a product with a constant matrix, so that its gradient is a product, too, not a scatter.
//!
//! `y[s, i] = sum[k] w[i, k]·x[s, p(i, k)]`, where w and p depend on indices and constants alone, becomes
//! `y[s, i] = sum[n] M[i, n]·x[s, n]`, with `M[i, n] = sum[k] w[i, k]·(p(i, k) == n)`.

use super::eval::{Tensor, eval};
use super::fold::factors;
use super::index::Ix;
use super::rewrite::for_each_read;
use super::{Binary, Equation, Expr, Pos, Read, Reducer};

/// Largest matrix, in elements.
const MOST: i64 = 1 << 20;

pub struct Resampling {
    /// The matrix is its last operand, after the given ones.
    pub equation: Equation,
    pub shape: Vec<i64>,
    pub data: Vec<f64>,
}

/// `consts[i]`: the values of operand i, if they are known. None: not of this form.
pub fn as_matrix(
    q: &Equation,
    operand_shapes: &[&[i64]],
    consts: &[Option<&Tensor>],
) -> Option<Resampling> {
    if !matches!(q.reducer, Reducer::Sum | Reducer::Map) || !q.guards.is_empty() {
        return None;
    }
    let data = data_read(q, consts)?;
    let axis = only(
        data.at
            .iter()
            .enumerate()
            .filter(|(_, p)| !affine(p))
            .map(|(a, _)| a),
    )?;
    if data.outside.is_some_and(|v| v.get() != 0.0) {
        return None;
    }
    let n_free = q.free.len();
    let extents = q.extents();
    let inner = inner_vars(q, &data, axis)?;
    let outer = (0..n_free).filter(|v| !inner[*v]);
    let rows: Vec<usize> = (0..n_free).filter(|v| inner[*v]).collect();
    let taps: Vec<usize> = (n_free..extents.len()).collect();
    if taps.iter().any(|v| !inner[*v]) || outer.clone().count() == 0 {
        return None;
    }
    let columns = operand_shapes[data.operand][axis];
    let mut shape: Vec<i64> = rows.iter().map(|v| extents[*v]).collect();
    shape.push(columns);
    if shape.iter().product::<i64>() > MOST {
        return None;
    }
    let values = matrix(q, &data, axis, consts, &rows, &taps, columns);
    Some(Resampling {
        equation: product(q, &data, axis, &rows, columns, operand_shapes.len()),
        shape,
        data: values,
    })
}

fn only<T>(mut items: impl Iterator<Item = T>) -> Option<T> {
    let first = items.next()?;
    items.next().is_none().then_some(first)
}

fn affine(p: &Pos) -> bool {
    matches!(p, Pos::Ix(ix) if ix.is_affine())
}

/// The one factor that reads something unknown, at positions that read nothing unknown.
fn data_read(q: &Equation, consts: &[Option<&Tensor>]) -> Option<Read> {
    let list = factors(&q.body);
    let unknown = |e: &Expr| {
        let mut n = 0;
        for_each_read(e, &mut |r| n += usize::from(consts[r.operand].is_none()));
        n
    };
    let factor = only(list.into_iter().filter(|f| unknown(f) > 0))?;
    match &factor {
        Expr::Read(r) if unknown(&factor) == 1 && consts[r.operand].is_none() => Some(r.clone()),
        _ => None,
    }
}

/// Which variables the matrix covers: those of the resampled axis and of all other factors. None: they overlap those
/// of the other axes.
fn inner_vars(q: &Equation, data: &Read, axis: usize) -> Option<Vec<bool>> {
    let n = q.free.len() + q.reduced.len();
    let mut inner = vec![false; n];
    mark_pos(&data.at[axis], &mut inner);
    let list = factors(&q.body);
    for f in list {
        if !matches!(&f, Expr::Read(r) if r == data) {
            mark(&f, &mut inner);
        }
    }
    let mut other = vec![false; n];
    data.at
        .iter()
        .enumerate()
        .filter(|(a, _)| *a != axis)
        .for_each(|(_, p)| mark_pos(p, &mut other));
    (0..n).all(|v| !(inner[v] && other[v])).then_some(inner)
}

fn mark_pos(p: &Pos, used: &mut [bool]) {
    match p {
        Pos::Ix(ix) => ix.for_each_var(&mut |v| used[v] = true),
        Pos::Computed(e) => mark(e, used),
    }
}

/// Marks every variable that occurs.
pub fn mark(e: &Expr, used: &mut [bool]) {
    e.for_each_var(&mut |v| used[v] = true);
}

/// `M[rows, n]`, by evaluating positions and weights over rows and taps.
fn matrix(
    q: &Equation,
    data: &Read,
    axis: usize,
    consts: &[Option<&Tensor>],
    rows: &[usize],
    taps: &[usize],
    columns: i64,
) -> Vec<f64> {
    let empty = Tensor::zeros(&[0]);
    let operands: Vec<&Tensor> = consts.iter().map(|c| c.unwrap_or(&empty)).collect();
    let extents = q.extents();
    let vars: Vec<usize> = rows.iter().chain(taps).copied().collect();
    let shape: Vec<i64> = vars.iter().map(|v| extents[*v]).collect();
    let place = |v: usize| {
        vars.iter()
            .position(|w| *w == v)
            .map_or(Ix::constant(0), Ix::var)
    };
    let over_box = |body: Expr| {
        let equation = Equation {
            free: shape.clone(),
            reduced: vec![],
            reducer: Reducer::Map,
            body: body.map_ix(&|ix| ix.substitute(&place)),
            guards: vec![],
            write: (0..shape.len()).map(|v| Pos::Ix(Ix::var(v))).collect(),
        };
        eval(&[equation], &operands, &shape).data
    };
    let weights = over_box(without(&q.body, data));
    let positions = over_box(match &data.at[axis] {
        Pos::Ix(ix) => Expr::Index(ix.clone()),
        Pos::Computed(e) => (**e).clone(),
    });
    let n_taps: i64 = taps.iter().map(|v| extents[*v]).product();
    let n_rows = weights.len() as i64 / n_taps.max(1);
    let mut values = vec![0.0; (n_rows * columns) as usize];
    for (i, (w, n)) in weights.iter().zip(positions).enumerate() {
        let (row, n) = (i as i64 / n_taps, n.floor() as i64);
        if (0..columns).contains(&n) {
            values[(row * columns + n) as usize] += w;
        }
    }
    values
}

/// The product with one factor taken out.
fn without(e: &Expr, data: &Read) -> Expr {
    match e {
        Expr::Read(r) if r == data => Expr::lit(1.0),
        Expr::Binary(Binary::Mul, a, b) => without(a, data).mul(without(b, data)),
        Expr::Binary(Binary::Div, a, b) => without(a, data).div((**b).clone()),
        Expr::Unary(super::Unary::Neg, a) => without(a, data).neg(),
        e => e.clone(),
    }
}

fn product(
    q: &Equation,
    data: &Read,
    axis: usize,
    rows: &[usize],
    columns: i64,
    matrix: usize,
) -> Equation {
    let n_free = q.free.len();
    let column = Pos::Ix(Ix::var(n_free));
    let at = rows
        .iter()
        .map(|v| Pos::Ix(Ix::var(*v)))
        .chain([column.clone()])
        .collect();
    let mut x = data.clone();
    x.at[axis] = column;
    if x.at.iter().all(affine) {
        // Only the resampled axis could leave the tensor; the others keep their own bounds.
        x.outside = data.outside;
    }
    Equation {
        free: q.free.clone(),
        reduced: vec![columns],
        reducer: Reducer::Sum,
        body: Expr::read(matrix, at).mul(Expr::Read(x)),
        guards: vec![],
        write: q.write.clone(),
    }
}
