//! An equation under reconstruction: variables keep their numbers while indices come and go, until it is packed.

use super::index::Ix;
use super::{Equation, Expr, Guard, Pos, Reducer};

#[derive(Clone, Debug)]
pub(super) struct Work {
    /// By variable, gone ones too.
    pub extents: Vec<i64>,
    pub reduced: Vec<bool>,
    /// The variables in use, in the order of the box.
    pub order: Vec<usize>,
    pub reducer: Reducer,
    pub body: Expr,
    pub guards: Vec<Guard>,
    pub write: Vec<Pos>,
}

impl Work {
    pub fn new(eq: &Equation) -> Work {
        let extents = eq.extents();
        Work {
            reduced: (0..extents.len()).map(|v| v >= eq.free.len()).collect(),
            order: (0..extents.len()).collect(),
            extents,
            reducer: eq.reducer,
            body: eq.body.clone(),
            guards: eq.guards.clone(),
            write: eq.write.clone(),
        }
    }

    /// Free indices first, numbered anew.
    pub fn pack(&self) -> Equation {
        let of = |reduced: bool| {
            self.order
                .iter()
                .copied()
                .filter(move |v| self.reduced[*v] == reduced)
        };
        let order: Vec<usize> = of(false).chain(of(true)).collect();
        let mut number = vec![usize::MAX; self.extents.len()];
        order
            .iter()
            .enumerate()
            .for_each(|(new, old)| number[*old] = new);
        let rename = |ix: &Ix| ix.substitute(&|v| Ix::var(number[v]));
        Equation {
            free: of(false).map(|v| self.extents[v]).collect(),
            reduced: of(true).map(|v| self.extents[v]).collect(),
            reducer: self.reducer,
            body: self.body.map_ix(&rename),
            guards: self
                .guards
                .iter()
                .map(|g| Guard {
                    index: rename(&g.index),
                    extent: g.extent,
                })
                .collect(),
            write: self.write.iter().map(|p| p.map_ix(&rename)).collect(),
        }
    }

    pub fn map_ix(&mut self, f: &impl Fn(&Ix) -> Ix) {
        self.body = self.body.map_ix(f);
        self.guards.iter_mut().for_each(|g| g.index = f(&g.index));
        self.write.iter_mut().for_each(|p| *p = p.map_ix(f));
    }

    /// Replaces a variable everywhere; it keeps its place in the box if `by` contains it.
    pub fn replace(&mut self, v: usize, by: &Ix) {
        self.map_ix(&|ix| ix.replace(v, by));
        if !by.has(v) {
            self.order.retain(|w| *w != v);
        }
    }

    /// Keeps only `lo..hi` of an index, which starts at 0 again.
    pub fn restrict(&mut self, v: usize, lo: i64, hi: i64) {
        self.extents[v] = hi - lo;
        if lo != 0 {
            self.replace(v, &Ix::var(v).offset(lo));
        }
    }

    /// Index v becomes (v / m, v % m): `v = m·high + low`, guarded if m does not divide its extent.
    pub fn split(&mut self, v: usize, m: i64) {
        let n = self.extents[v];
        let (high, low) = (self.extents.len(), self.extents.len() + 1);
        self.extents.extend([(n + m - 1) / m, m]);
        self.reduced.extend([self.reduced[v]; 2]);
        let place = self
            .order
            .iter()
            .position(|w| *w == v)
            .expect("an index of the box");
        self.order.splice(place..=place, [high, low]);
        let value = Ix::var(high).scale(m).add(&Ix::var(low));
        self.replace(v, &value);
        if n % m != 0 {
            self.guards.push(Guard {
                index: value,
                extent: n,
            });
        }
    }

    pub fn has_reduced(&self) -> bool {
        self.order.iter().any(|v| self.reduced[*v])
    }

    /// Adds up where guards fail or nothing is written: a piece may be dropped if its body is 0.
    pub fn is_additive(&self) -> bool {
        matches!(self.reducer, Reducer::Map | Reducer::Sum)
    }
}
