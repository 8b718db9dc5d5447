//! Integers as canonical sums of products: `constant + Σ k · atom · atom …`.
//!
//! Equal address parts become equal values, so they are computed once, outside of every loop they do not depend on.

pub type AtomId = u32;

/// Terms are sorted by their atoms, which are sorted; no coefficient is 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Sum {
    pub terms: Vec<Term>,
    pub constant: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Term {
    pub atoms: Vec<AtomId>,
    pub k: i64,
}

impl Sum {
    pub fn constant(constant: i64) -> Sum {
        Sum {
            terms: vec![],
            constant,
        }
    }

    pub fn atom(atom: AtomId) -> Sum {
        Sum {
            terms: vec![Term {
                atoms: vec![atom],
                k: 1,
            }],
            constant: 0,
        }
    }

    pub fn as_constant(&self) -> Option<i64> {
        self.terms.is_empty().then_some(self.constant)
    }

    pub fn add(&self, other: &Sum) -> Sum {
        let terms = self.terms.iter().chain(&other.terms).cloned().collect();
        normal(terms, self.constant.wrapping_add(other.constant))
    }

    pub fn sub(&self, other: &Sum) -> Sum {
        self.add(&other.scale(-1))
    }

    pub fn scale(&self, by: i64) -> Sum {
        let terms = self
            .terms
            .iter()
            .map(|t| Term {
                atoms: t.atoms.clone(),
                k: t.k.wrapping_mul(by),
            })
            .collect();
        normal(terms, self.constant.wrapping_mul(by))
    }

    pub fn mul(&self, other: &Sum) -> Sum {
        let mut sum = self.scale(other.constant);
        for theirs in &other.terms {
            let product = |t: &Term| {
                let mut atoms: Vec<AtomId> = t.atoms.iter().chain(&theirs.atoms).copied().collect();
                atoms.sort_unstable();
                Term {
                    atoms,
                    k: t.k.wrapping_mul(theirs.k),
                }
            };
            let mut terms: Vec<Term> = self.terms.iter().map(product).collect();
            terms.push(Term {
                atoms: theirs.atoms.clone(),
                k: theirs.k.wrapping_mul(self.constant),
            });
            sum = sum.add(&normal(terms, 0));
        }
        sum
    }

    /// The terms that `keep` accepts, without the constant.
    pub fn part(&self, mut keep: impl FnMut(&Term) -> bool) -> Sum {
        Sum {
            terms: self.terms.iter().filter(|t| keep(t)).cloned().collect(),
            constant: 0,
        }
    }
}

fn normal(mut terms: Vec<Term>, constant: i64) -> Sum {
    terms.sort_unstable();
    let mut merged: Vec<Term> = vec![];
    for term in terms {
        match merged.last_mut() {
            Some(last) if last.atoms == term.atoms => last.k = last.k.wrapping_add(term.k),
            _ => merged.push(term),
        }
    }
    merged.retain(|t| t.k != 0);
    Sum {
        terms: merged,
        constant,
    }
}

/// How a sum moves with one variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stride {
    /// `coefficient · variable + rest`, neither of them depending on the variable.
    Linear(Sum),
    Other,
}
