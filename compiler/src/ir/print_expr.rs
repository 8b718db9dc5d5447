//! Scalar expressions, positions and numbers as `.vsr` text.

use crate::equation::index::{Atom, Ix};
use crate::equation::{Binary, Equation, Expr, Guard, Pos, Read, Unary};
use crate::ir::graph::{Graph, Node};
use crate::ir::print::name;

/// The names of one equation's operands and indices.
pub struct Names<'a> {
    operands: Vec<String>,
    shapes: Vec<&'a [i64]>,
    extents: Vec<i64>,
    n_free: usize,
}

impl<'a> Names<'a> {
    /// Free indices are `i0 i1 …`, reduced ones `r0 r1 …`.
    pub fn new(graph: &'a Graph, node: &Node, equation: &Equation) -> Names<'a> {
        Names {
            operands: node.operands.iter().map(|o| name(graph, *o)).collect(),
            shapes: node.operands.iter().map(|o| graph.shape(*o)).collect(),
            extents: equation.extents(),
            n_free: equation.free.len(),
        }
    }

    /// Every index of the box is `r0 r1 …`.
    pub fn scatter(graph: &'a Graph, node: &Node, equation: &Equation) -> Names<'a> {
        Names {
            n_free: 0,
            ..Names::new(graph, node, equation)
        }
    }

    fn index(&self, v: usize) -> String {
        if v < self.n_free {
            format!("i{v}")
        } else {
            format!("r{}", v - self.n_free)
        }
    }

    pub fn ix(&self, ix: &Ix) -> String {
        ix_text(ix, &|v| self.index(v))
    }

    pub fn expr(&self, e: &Expr) -> String {
        self.at(e, 0, false)
    }

    /// An expression of whole numbers: literals are ints.
    pub fn whole(&self, e: &Expr) -> String {
        self.at(e, 0, true)
    }

    /// `body` where all guards hold, else `nothing`.
    pub fn guarded(&self, guards: &[Guard], body: String, nothing: &str) -> String {
        guards.iter().rev().fold(body, |body, g| {
            let ix = self.ix(&g.index);
            let (lo, hi) = g.index.range(&self.extents);
            let mut text = body;
            if hi >= g.extent {
                text = format!("select({ix} < {}, {text}, {nothing})", g.extent);
            }
            if lo < 0 {
                text = format!("select({ix} >= 0, {text}, {nothing})");
            }
            text
        })
    }

    /// In parentheses if it binds looser than `least`: 1 sums, 2 products, 3 signs, 4 powers.
    fn at(&self, e: &Expr, least: u8, whole: bool) -> String {
        let (level, text) = self.parts(e, whole);
        if level < least {
            format!("({text})")
        } else {
            text
        }
    }

    fn parts(&self, e: &Expr, whole: bool) -> (u8, String) {
        match e {
            Expr::Lit(lit) => {
                let x = lit.get();
                let text = if whole && x.fract() == 0.0 {
                    format!("{x:.0}")
                } else {
                    number(x)
                };
                (if x.is_sign_negative() { 1 } else { 5 }, text)
            }
            Expr::Index(ix) => {
                let is_atom = ix.as_var().is_some() || ix.as_constant().is_some_and(|c| c >= 0);
                (if is_atom { 5 } else { 1 }, self.ix(ix))
            }
            Expr::Read(read) => (5, self.read(read)),
            Expr::Unary(Unary::Neg, a) => (1, format!("-{}", self.at(a, 4, whole))),
            Expr::Unary(op, a) => (5, format!("{}({})", op.name(), self.at(a, 0, false))),
            Expr::Binary(op, a, b) => self.binary(*op, a, b, whole),
            Expr::Select(relation, args) => {
                let compare_whole = is_whole(&args[0]) && is_whole(&args[1]);
                let [x, y] = [&args[0], &args[1]].map(|a| self.at(a, 1, compare_whole));
                let [yes, no] = [&args[2], &args[3]].map(|a| self.at(a, 0, whole));
                (
                    5,
                    format!("select({x} {} {y}, {yes}, {no})", relation.text()),
                )
            }
            Expr::Random { normal, .. } => (
                5,
                if *normal { "randn([])" } else { "rand([])" }.to_string(),
            ),
        }
    }

    fn binary(&self, op: Binary, a: &Expr, b: &Expr, whole: bool) -> (u8, String) {
        let infix = |sign: &str, level: u8| {
            let text = format!(
                "{}{sign}{}",
                self.at(a, level, whole),
                self.at(b, level + 1, whole)
            );
            (level, text)
        };
        match op {
            Binary::Add => infix(" + ", 1),
            Binary::Sub => infix(" - ", 1),
            Binary::Mul => infix("*", 2),
            Binary::Div => infix("/", 2),
            Binary::Pow => (
                4,
                format!("{}**{}", self.at(a, 5, whole), self.at(b, 5, whole)),
            ),
            Binary::Min | Binary::Max => self.call(op, a, b, whole),
            op => self.call(op, a, b, false),
        }
    }

    fn call(&self, op: Binary, a: &Expr, b: &Expr, whole: bool) -> (u8, String) {
        let (a, b) = (self.at(a, 0, whole), self.at(b, 0, whole));
        (5, format!("{}({a}, {b})", op.name()))
    }

    fn read(&self, read: &Read) -> String {
        let operand = &self.operands[read.operand];
        if read.at.is_empty() {
            return operand.clone();
        }
        let mut surely_inside = true;
        let mut at = vec![];
        for (p, extent) in read.at.iter().zip(self.shapes[read.operand]) {
            match p {
                Pos::Ix(ix) => {
                    let (lo, hi) = ix.range(&self.extents);
                    surely_inside &= 0 <= lo && hi < *extent;
                    at.push(self.ix(ix));
                }
                Pos::Computed(e) => at.push(self.whole(e)),
            }
        }
        let text = format!("{operand}[{}]", at.join(", "));
        match read.outside {
            Some(x) => format!("({text} else {})", self.at(&Expr::Lit(x), 5, false)),
            // Guards keep it inside.
            None if !surely_inside => format!("({text} else 0.0)"),
            None => text,
        }
    }
}

fn is_whole(e: &Expr) -> bool {
    match e {
        Expr::Index(_) => true,
        Expr::Lit(lit) => lit.get().fract() == 0.0,
        Expr::Unary(Unary::Neg, a) => is_whole(a),
        Expr::Unary(op, _) => op.facts().is_step(),
        Expr::Binary(op, a, b) => op.facts().keeps_whole() && is_whole(a) && is_whole(b),
        _ => false,
    }
}

pub fn ix_text(ix: &Ix, index: &dyn Fn(usize) -> String) -> String {
    let mut text = String::new();
    for (atom, c) in &ix.terms {
        let atom = match atom {
            Atom::Var(v) => index(*v),
            Atom::Div(e, n) => format!("{}//{n}", bracketed(e, index)),
            Atom::Mod(e, n) => format!("{} % {n}", bracketed(e, index)),
        };
        let factor = match c.abs() {
            1 => atom,
            size if atom.contains(['/', '%', '+', '-']) => format!("{size}*({atom})"),
            size => format!("{size}*{atom}"),
        };
        text += match (text.is_empty(), *c < 0) {
            (true, true) => "-",
            (true, false) => "",
            (false, true) => " - ",
            (false, false) => " + ",
        };
        text += &factor;
    }
    match (text.is_empty(), ix.constant) {
        (true, k) => k.to_string(),
        (false, 0) => text,
        (false, k) if k < 0 => format!("{text} - {}", -k),
        (false, k) => format!("{text} + {k}"),
    }
}

fn bracketed(ix: &Ix, index: &dyn Fn(usize) -> String) -> String {
    match ix.as_var() {
        Some(v) => index(v),
        None => format!("({})", ix_text(ix, index)),
    }
}

/// A constant tensor: a number, a list, or a list brought into shape.
pub fn constant(data: &[f32], shape: &[i64]) -> String {
    let whole = data.iter().all(|x| x.fract() == 0.0 && x.abs() < 1e9);
    let one = |x: &f32| match whole {
        true => format!("{x:.0}"),
        false => format!("{x:?}"),
    };
    if shape.is_empty() {
        return data.first().map_or(String::new(), one);
    }
    let rows: Vec<String> = data
        .chunks(12)
        .map(|row| row.iter().map(one).collect::<Vec<_>>().join(", "))
        .collect();
    let list = format!("[{}]", rows.join(",\n    "));
    match shape {
        [_] => list,
        _ => {
            let sizes: Vec<String> = shape.iter().map(i64::to_string).collect();
            format!("reshape({list}, [{}])", sizes.join(", "))
        }
    }
}

/// A literal that is surely a float.
pub fn number(x: f64) -> String {
    format!("{x:?}")
}
