//! Equation expressions to tile values: addresses from layouts, guards where a read may leave what is stored.

use super::group::Context;
use super::net::ValueId;
use super::positions;
use crate::equation::index::{Atom, Ix};
use crate::equation::whole::is_in_f64;
use crate::equation::{Binary, Expr, Guard, Lit, Pos, Read, Unary};
use crate::tile::{
    Bound, Buffer, BufferId, BufferKind, Int, Kernel, Stmt, TaskAxis, Tile, TileId, TileKind, Val,
    Var, Wide,
};

/// What a kernel's buffer is bound to at launch.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BufferSource {
    Value(ValueId),
    Weight(usize),
    /// Constant i64 data.
    Table(Vec<i64>),
}

/// A kernel under construction.
pub struct KernelBuilder {
    pub kernel: Kernel,
    pub sources: Vec<BufferSource>,
    next_var: Var,
}

impl KernelBuilder {
    pub fn new(name: &str) -> KernelBuilder {
        let kernel = Kernel {
            name: name.into(),
            buffers: vec![],
            args: vec![],
            tasks: vec![],
            tiles: vec![],
            body: vec![],
        };
        KernelBuilder {
            kernel,
            sources: vec![],
            next_var: 0,
        }
    }

    pub fn var(&mut self) -> Var {
        self.next_var += 1;
        self.next_var - 1
    }

    pub fn task(&mut self, extent: i64, step: i64) -> Var {
        let var = self.var();
        self.kernel.tasks.push(TaskAxis {
            var,
            extent: Int::Const(extent),
            step,
        });
        var
    }

    pub fn tile(&mut self, name: &str, kind: TileKind, len: i64) -> TileId {
        self.kernel.tiles.push(Tile {
            name: name.into(),
            kind,
            len,
        });
        self.kernel.tiles.len() as TileId - 1
    }

    pub fn push(&mut self, stmt: Stmt) {
        self.kernel.body.push(stmt);
    }

    pub fn buffer(&mut self, source: BufferSource, write: bool) -> BufferId {
        let kind = match (&source, write) {
            (BufferSource::Table(_), _) => BufferKind::Table,
            (_, true) => BufferKind::Out,
            (_, false) => BufferKind::In,
        };
        if let Some(at) = self.sources.iter().position(|s| *s == source) {
            let have = &mut self.kernel.buffers[at].kind;
            if *have != kind {
                *have = BufferKind::InOut;
            }
            return at as BufferId;
        }
        let name = format!("b{}", self.sources.len());
        self.kernel.buffers.push(Buffer { name, kind });
        self.sources.push(source);
        self.sources.len() as BufferId - 1
    }
}

pub fn int(value: i64) -> Int {
    Int::Const(value)
}

pub fn add(a: Int, b: Int) -> Int {
    match (a, b) {
        (Int::Const(0), x) | (x, Int::Const(0)) => x,
        (Int::Const(x), Int::Const(y)) => Int::Const(x + y),
        (Int::Add(x, c), Int::Const(y)) if matches!(*c, Int::Const(_)) => {
            let Int::Const(z) = *c else {
                unreachable!("matched above")
            };
            add(*x, Int::Const(y + z))
        }
        (a, b) => Int::Add(Box::new(a), Box::new(b)),
    }
}

pub fn mul(a: Int, by: i64) -> Int {
    match (a, by) {
        (_, 0) => int(0),
        (a, 1) => a,
        (Int::Const(x), y) => Int::Const(x * y),
        (a, y) => Int::Mul(Box::new(a), Box::new(int(y))),
    }
}

/// An index expression, with every variable replaced.
pub fn ix_to_int(ix: &Ix, vars: &[Int]) -> Int {
    let mut sum = int(0);
    for (atom, c) in &ix.terms {
        let value = match atom {
            Atom::Var(v) => vars[*v].clone(),
            Atom::Div(e, n) => Int::Div(Box::new(ix_to_int(e, vars)), Box::new(int(*n))),
            Atom::Mod(e, n) => Int::Rem(Box::new(ix_to_int(e, vars)), Box::new(int(*n))),
        };
        sum = add(sum, mul(value, *c));
    }
    add(sum, int(ix.constant))
}

/// How one equation's expressions become values in a kernel.
pub struct Scope<'a> {
    /// The kernel's name for each of the equation's variables.
    pub vars: &'a [Int],
    pub extents: &'a [i64],
    pub operands: &'a [ValueId],
    pub env: &'a dyn Environment,
}

/// Where the operands' elements are.
pub trait Environment {
    /// What lies in memory.
    fn ctx(&self) -> &Context<'_>;
    /// A value that this kernel keeps in a tile: its element at these positions.
    fn in_tile(&self, _: ValueId, _: &[Ix], _: &[Int]) -> Option<Val> {
        None
    }
    /// A value that this kernel computes at its reader: its element at these positions.
    fn compute_at(&self, _: &mut KernelBuilder, _: ValueId, _: &[Ix], _: &[Int]) -> Option<Val> {
        None
    }
}

impl Scope<'_> {
    pub fn val(&self, b: &mut KernelBuilder, e: &Expr) -> Val {
        match e {
            Expr::Lit(lit) => Val::Lit(*lit),
            Expr::Index(ix) => Val::FromInt(ix_to_int(ix, self.vars)),
            Expr::Read(read) => self.read(b, read),
            Expr::Unary(Unary::Stop, a) => self.val(b, a),
            Expr::Unary(op, a) => Val::Unary(*op, Box::new(self.val(b, a))),
            Expr::Binary(op, x, y) => {
                Val::Binary(*op, Box::new(self.val(b, x)), Box::new(self.val(b, y)))
            }
            Expr::Select(rel, args) => {
                let args = [&args[0], &args[1], &args[2], &args[3]].map(|a| self.val(b, a));
                Val::Select(*rel, Box::new(args))
            }
            Expr::Random { key, normal, at } => Val::Random {
                key: *key,
                normal: *normal,
                at: ix_to_int(at, self.vars),
            },
        }
    }

    fn read(&self, b: &mut KernelBuilder, read: &Read) -> Val {
        let value = self.operands[read.operand];
        let shape = self.env.ctx().net.values[value].shape.as_slice();
        if let Some(outside) = self.never_inside(read, shape) {
            return outside;
        }
        if let Some(at) = plain_positions(read) {
            let kept = self.env.in_tile(value, &at, self.vars);
            if let Some(val) = kept.or_else(|| self.env.compute_at(b, value, &at, self.vars)) {
                return self.guarded(read, &at, shape, val);
            }
        }
        let layout = self.env.ctx().layout(value);
        let mut affine = Ix::constant(layout.base);
        let mut computed = int(0);
        let mut bounds = vec![];
        let outside = read.outside.map(|v| v.get());
        for (axis, at) in read.at.iter().enumerate() {
            let stride = layout.strides[axis];
            match at {
                Pos::Ix(ix) => {
                    affine = affine.add(&ix.scale(stride));
                    let range = ix.range(self.extents);
                    let stored = outside == Some(0.0) && layout.holds(axis, shape[axis], range);
                    let inside = range.0 >= 0 && range.1 < shape[axis];
                    if outside.is_some() && !inside && !stored {
                        bounds.push(Bound {
                            index: ix_to_int(ix, self.vars),
                            extent: int(shape[axis]),
                        });
                    }
                }
                // Values decide: what is proven inside of finite ones is not for others.
                Pos::Computed(e) => {
                    let at = self.int(b, e, shape[axis]);
                    bounds.push(Bound {
                        index: at.clone(),
                        extent: int(shape[axis]),
                    });
                    computed = add(computed, mul(at, stride));
                }
            }
        }
        let buffer = b.buffer(self.env.ctx().source(value), false);
        let address = add(computed, ix_to_int(&affine, self.vars));
        let load = Val::Buf(buffer, address);
        let outside = read.outside.unwrap_or(Lit::new(f64::NAN));
        match bounds.is_empty() {
            true => load,
            false => Val::Guarded(bounds, Box::new(load), outside),
        }
    }

    /// What a read gives that is outside at every point.
    fn never_inside(&self, read: &Read, shape: &[i64]) -> Option<Val> {
        let outside = read.outside?;
        let leaves = |(p, n): (&Pos, &i64)| match p {
            Pos::Ix(ix) => {
                let (lo, hi) = ix.range(self.extents);
                hi < 0 || lo >= *n
            }
            Pos::Computed(_) => false,
        };
        let never = read.at.iter().zip(shape).any(leaves);
        never.then_some(Val::Lit(outside))
    }

    /// A kept value where its positions are inside, else what the read has outside.
    fn guarded(&self, read: &Read, at: &[Ix], shape: &[i64], val: Val) -> Val {
        let Some(outside) = read.outside else {
            return val;
        };
        let leaves = |(ix, n): &(&Ix, &i64)| {
            let (lo, hi) = ix.range(self.extents);
            lo < 0 || hi >= **n
        };
        let bound = |(ix, n): (&Ix, &i64)| Bound {
            index: ix_to_int(ix, self.vars),
            extent: int(*n),
        };
        let bounds: Vec<Bound> = at.iter().zip(shape).filter(leaves).map(bound).collect();
        match bounds.is_empty() {
            true => val,
            false => Val::Guarded(bounds, Box::new(val), outside),
        }
    }

    /// A position on an axis of `extent` elements: in integers where none can leave them, else in f64.
    pub fn int(&self, b: &mut KernelBuilder, e: &Expr, extent: i64) -> Int {
        match positions::is_narrow(e, self.extents, extent, &|r| self.is_whole(r)) {
            true => self.narrow(b, e),
            false => Int::Whole(Box::new(self.wide(b, e))),
        }
    }

    fn narrow(&self, b: &mut KernelBuilder, e: &Expr) -> Int {
        let make = |f: fn(Box<Int>, Box<Int>) -> Int, x, y| f(Box::new(x), Box::new(y));
        match e {
            Expr::Index(ix) => ix_to_int(ix, self.vars),
            Expr::Lit(lit) => int(lit.get() as i64),
            Expr::Unary(Unary::Neg, a) => make(Int::Sub, int(0), self.narrow(b, a)),
            Expr::Unary(Unary::Floor, a) => Int::Floor(Box::new(self.val(b, a))),
            Expr::Binary(op, x, y) => {
                let (x, y) = (self.narrow(b, x), self.narrow(b, y));
                match op {
                    Binary::Add => add(x, y),
                    Binary::Sub => make(Int::Sub, x, y),
                    Binary::Mul => make(Int::Mul, x, y),
                    Binary::Min => make(Int::Min, x, y),
                    Binary::Max => make(Int::Max, x, y),
                    op => unreachable!("{op:?} is no arithmetic of narrow positions"),
                }
            }
            e => Int::Floor(Box::new(self.val(b, e))),
        }
    }

    /// The position in f64: whole numbers stay exact, and what is none stays so. What is below a floor, and not made of
    /// whole numbers, is f32 as everywhere.
    fn wide(&self, b: &mut KernelBuilder, e: &Expr) -> Wide<Val, Int> {
        match e {
            Expr::Lit(lit) => Wide::Lit(*lit),
            Expr::Index(ix) => Wide::Int(ix_to_int(ix, self.vars)),
            Expr::Unary(Unary::Neg, a) => {
                let zero = Wide::Lit(Lit::new(0.0));
                Wide::Binary(Binary::Sub, Box::new(zero), Box::new(self.wide(b, a)))
            }
            Expr::Unary(Unary::Stop, a) => self.wide(b, a),
            Expr::Unary(Unary::Abs, a) => {
                let (a, zero) = (self.wide(b, a), Wide::Lit(Lit::new(0.0)));
                let negative = Wide::Binary(Binary::Sub, Box::new(zero), Box::new(a.clone()));
                Wide::Binary(Binary::Max, Box::new(a), Box::new(negative))
            }
            Expr::Unary(op, a) if op.facts().is_step() => {
                let inner = match is_in_f64(a, &|r| self.is_whole(r)) {
                    true => self.wide(b, a),
                    false => Wide::Val(self.val(b, a)),
                };
                Wide::Step(*op, Box::new(inner))
            }
            Expr::Binary(op, x, y) if op.facts().is_inline() => {
                let (x, y) = (self.wide(b, x), self.wide(b, y));
                Wide::Binary(*op, Box::new(x), Box::new(y))
            }
            Expr::Select(relation, args) => {
                let args = [&args[0], &args[1], &args[2], &args[3]].map(|a| self.wide(b, a));
                Wide::Select(*relation, Box::new(args))
            }
            e => Wide::Val(self.val(b, e)),
        }
    }

    /// Whether the tensor that is read holds whole numbers, as far as its equation tells.
    fn is_whole(&self, read: &Read) -> bool {
        positions::holds_whole(self.env.ctx().net, self.operands[read.operand])
    }

    pub fn bounds(&self, guards: &[Guard]) -> Vec<Bound> {
        let bound = |g: &Guard| Bound {
            index: ix_to_int(&g.index, self.vars),
            extent: int(g.extent),
        };
        guards.iter().map(bound).collect()
    }
}

pub fn plain_positions(read: &Read) -> Option<Vec<Ix>> {
    let at = |p: &Pos| {
        if let Pos::Ix(ix) = p {
            Some(ix.clone())
        } else {
            None
        }
    };
    read.at.iter().map(at).collect()
}
