//! What an equation is, by its shape alone, and whether a `kernel` promise about it holds.
//!
//! Indices in one operand and the output are M or N, in both and the output batch, in both and reduced K.

use super::fold::factors;
use super::index::Atom;
use super::matrix::mark;
use super::rewrite::for_each_read;
use super::softmax::{Over, normaliser, softmax};
use super::{Equation, Expr, Pos, Reducer};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    Contraction,
    /// A contraction, an operand of which reads at computed positions.
    GatherContraction,
    /// A sum whose read couples free and reduced indices: pools, depthwise convolutions.
    Window,
    RowReduction,
    Pointwise,
    Permute,
    Gather,
    Scatter,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Class {
    pub anchor: Anchor,
    /// Variables of each role, for contractions.
    pub batch: Vec<usize>,
    pub m: Vec<usize>,
    pub n: Vec<usize>,
    pub k: Vec<usize>,
}

pub fn classify(q: &Equation) -> Class {
    let plain = |anchor| Class {
        anchor,
        batch: vec![],
        m: vec![],
        n: vec![],
        k: vec![],
    };
    if q.write.iter().any(|p| matches!(p, Pos::Computed(_))) {
        return plain(Anchor::Scatter);
    }
    let computed = reads_computed(&q.body);
    match q.reducer {
        Reducer::Map if computed => plain(Anchor::Gather),
        Reducer::Map => plain(if moves(q) {
            Anchor::Permute
        } else {
            Anchor::Pointwise
        }),
        Reducer::Sum => contraction(q, computed).unwrap_or_else(|| {
            plain(if coupled(q) {
                Anchor::Window
            } else {
                Anchor::RowReduction
            })
        }),
        _ => plain(if coupled(q) {
            Anchor::Window
        } else {
            Anchor::RowReduction
        }),
    }
}

fn reads_computed(e: &Expr) -> bool {
    let mut any = false;
    for_each_read(e, &mut |r| {
        any |= r.at.iter().any(|p| matches!(p, Pos::Computed(_)))
    });
    any
}

/// A single read, at other positions than are written.
fn moves(q: &Equation) -> bool {
    matches!(&q.body, Expr::Read(r) if r.at != q.write)
}

/// Whether a read's windows overlap: a position mixes free and reduced indices, and they are not digits of it.
fn coupled(q: &Equation) -> bool {
    let extents = q.extents();
    let mut any = false;
    for_each_read(&q.body, &mut |r| {
        any |= r.at.iter().filter_map(Pos::as_ix).any(|ix| {
            // Least coefficient, and distance from the least to the greatest value.
            let side = |reduced: bool| {
                let terms = ix.terms.iter().filter_map(|(a, c)| match a {
                    Atom::Var(v) if (*v >= q.free.len()) == reduced => {
                        Some((c.abs(), c.abs() * (extents[*v] - 1)))
                    }
                    _ => None,
                });
                terms.fold((i64::MAX, 0), |(least, span), (c, s)| {
                    (least.min(c), span + s)
                })
            };
            let ((f, f_span), (k, k_span)) = (side(false), side(true));
            k_span > 0 && f_span > 0 && k_span >= f && f_span >= k
        });
    });
    any
}

/// The split of the factors into two operands with the fewest elements, if it is a matrix product.
fn contraction(q: &Equation, computed: bool) -> Option<Class> {
    let list = factors(&q.body);
    let extents = q.extents();
    let sets: Vec<Vec<bool>> = list
        .iter()
        .filter(|f| !matches!(f, Expr::Lit(_)))
        .map(|f| {
            let mut used = vec![false; extents.len()];
            mark(f, &mut used);
            used
        })
        .collect();
    if sets.len() < 2 || sets.len() > 8 {
        return None;
    }
    let all = (1u32 << sets.len()) - 1;
    let mut best: Option<(i64, Class)> = None;
    for side in (1..all).filter(|s| s & 1 == 1) {
        let uses = |s: u32, v: usize| {
            sets.iter()
                .enumerate()
                .any(|(i, set)| s >> i & 1 == 1 && set[v])
        };
        let Some(class) = roles(
            q,
            &extents,
            &|v| uses(side, v),
            &|v| uses(all ^ side, v),
            computed,
        ) else {
            continue;
        };
        let size = |s: u32| {
            (0..extents.len())
                .filter(|v| uses(s, *v))
                .map(|v| extents[v])
                .product::<i64>()
        };
        let cost = size(side).saturating_add(size(all ^ side));
        if best.as_ref().is_none_or(|(least, _)| cost < *least) {
            best = Some((cost, class));
        }
    }
    best.map(|(_, class)| class)
}

fn roles(
    q: &Equation,
    extents: &[i64],
    a: &dyn Fn(usize) -> bool,
    b: &dyn Fn(usize) -> bool,
    computed: bool,
) -> Option<Class> {
    let anchor = if computed {
        Anchor::GatherContraction
    } else {
        Anchor::Contraction
    };
    let mut class = Class {
        anchor,
        batch: vec![],
        m: vec![],
        n: vec![],
        k: vec![],
    };
    for (v, extent) in extents.iter().enumerate() {
        match (a(v), b(v), v < q.free.len()) {
            (true, true, true) => class.batch.push(v),
            (true, false, true) => class.m.push(v),
            (false, true, true) => class.n.push(v),
            (true, true, false) => class.k.push(v),
            _ if *extent == 1 => {}
            _ => return None,
        }
    }
    (!class.m.is_empty() && !class.n.is_empty() && !class.k.is_empty()).then_some(class)
}

/// One piece of an op's equation.
pub struct Piece {
    pub equation: Equation,
    /// Of its indices, free ones first.
    pub names: Vec<String>,
    /// What its operands and its result are known by among the op's equations.
    pub operands: Vec<usize>,
    pub result: usize,
}

impl Piece {
    fn over(&self) -> Over<'_> {
        Over {
            equation: &self.equation,
            operands: &self.operands,
        }
    }
}

/// Whether two of the equations are a softmax that the scheduler finds.
fn has_softmax(equations: &[Piece]) -> bool {
    let found = |y: &Piece| {
        let read = normaliser(&y.equation)?;
        let lse = y.operands[read.operand];
        let lse = equations.iter().find(|piece| piece.result == lse)?;
        softmax(y.over(), lse.over())
    };
    equations.iter().any(|y| found(y).is_some())
}

/// Whether a map reads what a reduction leaves, and what it reduces: rows are brought to a scale.
fn has_normalised_rows(equations: &[Piece]) -> bool {
    let is_row = |q: &Equation| classify(q).anchor == Anchor::RowReduction;
    let rows = || equations.iter().filter(|piece| is_row(&piece.equation));
    let maps = equations
        .iter()
        .filter(|p| p.equation.reducer == Reducer::Map);
    let reads = |map: &Piece, row: &Piece| {
        let shared = row.operands.iter().any(|o| map.operands.contains(o));
        shared && map.operands.contains(&row.result)
    };
    maps.into_iter()
        .any(|map| rows().any(|row| reads(map, row)))
}

/// Why an op's equations do not keep the promise of `kernel name`.
pub fn promise(name: &str, equations: &[Piece]) -> Result<(), String> {
    let classes: Vec<Class> = equations.iter().map(|p| classify(&p.equation)).collect();
    let has = |wanted: &[Anchor]| classes.iter().any(|c| wanted.contains(&c.anchor));
    let kept = match name {
        "conv" => has(&[Anchor::Contraction]),
        "deform_conv" => {
            has(&[Anchor::Contraction, Anchor::GatherContraction])
                && has(&[
                    Anchor::Gather,
                    Anchor::Window,
                    Anchor::RowReduction,
                    Anchor::GatherContraction,
                ])
        }
        "softmax" => has_softmax(equations),
        "group_norm" | "layer_norm" => has_normalised_rows(equations),
        "attention" => {
            let products = classes.iter().filter(|c| c.anchor == Anchor::Contraction);
            products.count() >= 2 && has_softmax(equations)
        }
        "sample" => equations.iter().any(|p| reads_computed(&p.equation.body)),
        _ => {
            return Err(format!(
                "there is no kernel `{name}`: conv, deform_conv, softmax, group_norm, layer_norm, attention, sample"
            ));
        }
    };
    if kept {
        Ok(())
    } else {
        Err(obstacle(name, equations))
    }
}

fn obstacle(name: &str, equations: &[Piece]) -> String {
    if name == "softmax" || name == "attention" && !has_softmax(equations) {
        return "no equation here is `exp(t - lse t)` along one axis, the same `t` both times"
            .into();
    }
    if matches!(name, "group_norm" | "layer_norm") {
        return "no equation here reads both a row's reduction and what it reduces".into();
    }
    for Piece {
        equation: q, names, ..
    } in equations
    {
        if q.reducer != Reducer::Sum {
            continue;
        }
        let list = factors(&q.body);
        let reads: Vec<&Expr> = list.iter().filter(|f| !matches!(f, Expr::Lit(_))).collect();
        for r in 0..q.reduced.len() {
            let v = q.free.len() + r;
            let n = reads
                .iter()
                .filter(|f| {
                    let mut u = vec![false; q.free.len() + q.reduced.len()];
                    mark(f, &mut u);
                    u[v]
                })
                .count();
            if n < 2 && reads.len() >= 2 {
                return format!(
                    "`{}` is summed in one factor only, so this is no `{name}`",
                    names[v]
                );
            }
        }
        if let [only] = reads.as_slice() {
            let mut u = vec![false; q.free.len() + q.reduced.len()];
            mark(only, &mut u);
            if let Some(v) = (q.free.len()..u.len()).find(|v| u[*v]) {
                return format!(
                    "`{}` is summed over one factor; `{name}` needs a product of two",
                    names[v]
                );
            }
        }
        if let Some(v) = (0..q.free.len()).find(|v| {
            reads.iter().all(|f| {
                let mut u = vec![false; q.free.len() + q.reduced.len()];
                mark(f, &mut u);
                u[*v]
            })
        }) {
            return format!(
                "`{}` is in every factor, so no index is left for the rows or columns of `{name}`",
                names[v]
            );
        }
    }
    format!(
        "no equation here has the shape of `{name}`: it needs a sum over indices that two factors share"
    )
}
