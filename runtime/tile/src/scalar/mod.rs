//! Scalars: numbers compared by their bits, and the functions of numbers (`table`): what each is called, what it gives, its
//! derivative. Every part that names, folds, derives or evaluates one asks here; what machine code computes is compared with it.
//!
//! Enters names and numbers; leaves facts and numbers of f64. No expression is built here.

mod formula;
mod function;
mod table;

pub use formula::Formula;
pub use function::{Bounds, Code, Each, Function, Values};
pub use table::{Binary, DEFINED, Map, Map2, Unary};

/// A number in an expression, compared by its bits so that equations can be interned.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lit(u64);

impl Lit {
    pub fn new(value: f64) -> Lit {
        Lit(value.to_bits())
    }
    pub fn get(self) -> f64 {
        f64::from_bits(self.0)
    }
}

impl std::fmt::Debug for Lit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.get())
    }
}

/// The position that is none: no bound holds for it, whatever is added to it.
pub const NOWHERE: i64 = -(1 << 60);
/// Whole numbers below this are exact in f64.
pub const EXACT: f64 = (1u64 << 53) as f64;

/// A computed position, which is a whole number, as an integer: what is no number or not exact is nowhere.
pub fn whole(x: f64) -> i64 {
    if x.abs() < EXACT { x as i64 } else { NOWHERE }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Relation {
    Lt,
    Le,
    Gt,
    Ge,
    Eq,
    Ne,
}

impl Relation {
    pub fn text(self) -> &'static str {
        match self {
            Relation::Lt => "<",
            Relation::Le => "<=",
            Relation::Gt => ">",
            Relation::Ge => ">=",
            Relation::Eq => "==",
            Relation::Ne => "!=",
        }
    }

    /// For numbers of one kind; nothing but `!=` holds of what is no number.
    pub fn holds<T: PartialOrd>(self, x: T, y: T) -> bool {
        match self {
            Relation::Lt => x < y,
            Relation::Le => x <= y,
            Relation::Gt => x > y,
            Relation::Ge => x >= y,
            Relation::Eq => x == y,
            Relation::Ne => x != y,
        }
    }
}

#[cfg(test)]
mod tests;
