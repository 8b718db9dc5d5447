//! The names of one body: values, dims, packs, and the indices of the equation at hand.

use super::value::{Dims, Value};
use crate::equation::index::Ix;
use rustc_hash::FxHashMap as HashMap;
use std::rc::Rc;

/// Where an expression stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Outside equations: tensors as a whole.
    Whole,
    /// Right of an equation's `=`: everything is one number.
    Equation,
    /// The body of an elementwise op that an equation calls.
    Scalar,
}

/// An index, or the indices of a pack.
#[derive(Clone)]
pub enum Bound {
    One { ix: Ix, lo: i64, hi: i64 },
    Pack(Vec<usize>),
}

pub struct Env<'a> {
    pub module: usize,
    /// The definition whose body this is; None in a `train` body.
    pub def: Option<usize>,
    /// Dims are upper case, other names lower case: they never meet.
    pub vars: HashMap<&'a str, Value>,
    pub packs: HashMap<&'a str, Rc<Dims>>,
    pub indices: HashMap<Rc<str>, Bound>,
    /// Stored tensors by name: their places among the weights.
    pub states: HashMap<&'a str, usize>,
    pub mode: Mode,
    /// Dotted label path.
    pub path: Rc<str>,
    pub replay: bool,
    pub of: Option<Rc<str>>,
    /// Belongs to this frozen network.
    pub frozen: Option<usize>,
}

impl<'a> Env<'a> {
    pub fn new(module: usize, def: Option<usize>, path: Rc<str>) -> Env<'a> {
        Env {
            module,
            def,
            vars: HashMap::default(),
            packs: HashMap::default(),
            indices: HashMap::default(),
            states: HashMap::default(),
            mode: Mode::Whole,
            path,
            replay: false,
            of: None,
            frozen: None,
        }
    }

    pub fn in_equation(&self) -> bool {
        self.mode != Mode::Whole
    }
}
