//! How a value becomes a member of a group: its index space is unified with the group's, or has indices of its own.
//!
//! Enters a group and an equation; leaves the equation over the group's indices, or why there is none. No group is changed here.
//! Where a member was written by digits of a mixed-radix index (channel 4·g + c of group g), a reader's bare index is delinearised.

use super::group::{Group, Member};
use super::net::{ValueId, for_each_read};
use super::refusal::Refusal;
use crate::equation::index::{Atom, Ix};
use crate::equation::{Equation, Pos};

/// What a candidate's free variable is, as a mixed-radix index: digit by digit.
type Digits = Vec<(i64, Digit)>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Digit {
    /// An index of the space.
    Space(usize),
    /// An index of the candidate alone, of this extent.
    Own(i64),
}

/// A candidate's free variables over a group's space; None: a variable of its own.
pub struct Unification {
    vars: Vec<Option<Digits>>,
    /// Axes of members that are read digit by digit, each with the extent of the lowest digit.
    split: Vec<(ValueId, usize, i64)>,
}

impl Unification {
    /// Every read of a member must be at the member's own place in the space.
    pub fn of(
        group: &Group,
        equation: &Equation,
        operands: &[ValueId],
    ) -> Result<Unification, Refusal> {
        let mut unification = Unification {
            vars: vec![None; equation.free.len()],
            split: vec![],
        };
        let mut good = true;
        let mut covered = vec![false; group.space.len()];
        for_each_read(&equation.body, &mut |r| {
            let member = group
                .members
                .iter()
                .find(|m| m.value == operands[r.operand]);
            let Some(member) = member else {
                return;
            };
            for (axis, (w, at)) in member.equation.write.iter().zip(&r.at).enumerate() {
                let (Pos::Ix(w), Pos::Ix(at)) = (w, at) else {
                    good = false;
                    return;
                };
                good &= unification.unify(group, member, equation, w, at, &mut covered);
                let lowest = w.terms.iter().find(|(_, k)| *k == 1);
                if let (2.., Some((Atom::Var(v), _))) = (w.terms.len(), lowest) {
                    unification
                        .split
                        .push((member.value, axis, member.extents()[*v]));
                }
            }
        });
        let all = covered.iter().zip(&group.space).all(|(m, n)| *m || *n == 1);
        let mut used: Vec<usize> = unification
            .digits()
            .filter_map(|d| space_of(&d.1))
            .collect();
        used.sort_unstable();
        let distinct = used.windows(2).all(|w| w[0] != w[1]);
        Refusal::ReadsAcross.when(!good || !all || !distinct)?;
        Ok(unification)
    }

    fn digits(&self) -> impl Iterator<Item = &(i64, Digit)> {
        self.vars.iter().flatten().flatten()
    }

    /// One axis of a read: the member writes it at `w`, the candidate reads it at `at`.
    fn unify(
        &mut self,
        group: &Group,
        member: &Member,
        equation: &Equation,
        w: &Ix,
        at: &Ix,
        covered: &mut [bool],
    ) -> bool {
        let n = group.space.len();
        if w.as_var().is_some_and(|s| s >= n) {
            return true;
        }
        if w.as_constant() == Some(0) {
            return at.as_constant() == Some(0);
        }
        let Some(digits) = digits_of(w, &member.extents()) else {
            return false;
        };
        let extent: i64 = digits.iter().map(|d| member.extents()[d.1]).product();
        let digits: Digits = digits
            .into_iter()
            .map(|(k, d)| match d < n {
                true => (k, Digit::Space(d)),
                false => (k, Digit::Own(member.extents()[d])),
            })
            .collect();
        for s in digits.iter().filter_map(|d| space_of(&d.1)) {
            covered[s] = true;
        }
        if let Some(v) = at.as_var() {
            return self.bind(equation, v, extent, digits);
        }
        // The candidate reads by the same digits.
        let Some(read) = digits_of(at, &equation.free) else {
            return false;
        };
        read.len() == digits.len()
            && read.iter().zip(digits).all(|((k, v), (own, digit))| {
                let extent = match digit {
                    Digit::Space(s) => group.space[s],
                    Digit::Own(extent) => extent,
                };
                let whole = matches!(digit, Digit::Own(_)) && self.vars[*v].is_none();
                *k == own
                    && match whole {
                        true => equation.free[*v] == extent,
                        false => self.bind(equation, *v, extent, vec![(1, digit)]),
                    }
            })
    }

    /// Variable v of the candidate is these digits, which make up `extent`.
    fn bind(&mut self, equation: &Equation, v: usize, extent: i64, digits: Digits) -> bool {
        let fits = v < equation.free.len()
            && equation.free[v] == extent
            && self.vars[v].as_ref().is_none_or(|d| *d == digits);
        if fits {
            self.vars[v] = Some(digits);
        }
        fits
    }

    /// Axes of members that are read digit by digit, each with the extent of the lowest digit.
    pub fn split(&self) -> &[(ValueId, usize, i64)] {
        &self.split
    }

    /// Points of the candidate's own indices.
    pub fn own(&self, equation: &Equation) -> i64 {
        let whole = (0..equation.free.len()).filter(|v| self.vars[*v].is_none());
        let parts = self.digits().map(|d| match d.1 {
            Digit::Own(extent) => extent,
            Digit::Space(_) => 1,
        });
        whole.map(|v| equation.free[v]).product::<i64>() * parts.product::<i64>()
    }

    /// Whether every placed variable is one index of the space.
    pub fn is_plain(&self) -> bool {
        let plain = |d: &Digits| matches!(d.as_slice(), [(1, Digit::Space(_))]);
        self.vars.iter().flatten().all(plain)
    }

    /// The candidate with the space's indices first, then its own, then reduced ones.
    pub fn member(
        &self,
        group: &Group,
        id: ValueId,
        equation: &Equation,
        operands: &[ValueId],
    ) -> Member {
        let mut free = group.space.clone();
        let mut own = |extent: i64| {
            free.push(extent);
            Ix::var(free.len() - 1)
        };
        let mut map: Vec<Ix> = vec![];
        for (v, digits) in self.vars.iter().enumerate() {
            map.push(match digits {
                None => own(equation.free[v]),
                Some(digits) => digits.iter().fold(Ix::constant(0), |sum, (k, d)| {
                    let digit = match d {
                        Digit::Space(s) => Ix::var(*s),
                        Digit::Own(extent) => own(*extent),
                    };
                    sum.add(&digit.scale(*k))
                }),
            });
        }
        let n_free = free.len();
        map.extend((0..equation.reduced.len()).map(|r| Ix::var(n_free + r)));
        Member {
            value: id,
            equation: equation.remap(free, equation.reduced.clone(), &map),
            operands: operands.to_vec(),
            stored: true,
        }
    }
}

fn space_of(digit: &Digit) -> Option<usize> {
    match digit {
        Digit::Space(s) => Some(*s),
        Digit::Own(_) => None,
    }
}

/// Every position is 0, an index, or the digits of one number.
pub fn digit_writes(equation: &Equation) -> bool {
    let digits = |ix: &Ix| ix.as_constant() == Some(0) || digits_of(ix, &equation.free).is_some();
    equation
        .write
        .iter()
        .all(|p| matches!(p, Pos::Ix(ix) if digits(ix)))
}

/// (place value, variable) of a number that is written in digits, the highest first.
fn digits_of(ix: &Ix, extents: &[i64]) -> Option<Vec<(i64, usize)>> {
    let digit = |(atom, k): &(Atom, i64)| match atom {
        Atom::Var(v) if *v < extents.len() => Some((*k, *v)),
        _ => None,
    };
    let mut digits: Vec<(i64, usize)> = ix.terms.iter().map(digit).collect::<Option<_>>()?;
    digits.sort_unstable();
    let mut next = 1;
    for (k, v) in &digits {
        if *k != next {
            return None;
        }
        next *= extents[*v];
    }
    digits.reverse();
    (ix.constant == 0 && !digits.is_empty()).then_some(digits)
}

/// The digit of place value `k` in a position that is written in digits.
pub fn digit_at(at: &Ix, k: i64) -> Ix {
    at.terms
        .iter()
        .filter(|(_, c)| *c == k)
        .fold(Ix::constant(0), |sum, (atom, _)| {
            sum.add(&Ix {
                terms: vec![(atom.clone(), 1)],
                constant: 0,
            })
        })
}
