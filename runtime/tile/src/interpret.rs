//! Runs a kernel as a plain loop nest: the oracle for the back ends.
//!
//! In f64 it computes what the kernel means; in f32 it follows the stated orders (chains, lanes, fused
//! multiply-add in contractions), so that all but maths must come out bit for bit. Every access is checked, tiles are
//! poisoned before each task, and writes are counted for each cell.

use crate::{Binary, whole};
use crate::{
    Bound, BufferKind, Compute, Contract, ContractInit, Digit, Int, Kernel, Leaf, Mode, Reduce,
    ReduceOp, Stmt, TileId, TileKind, To, Val, Var, Wide,
};

/// The arithmetic of a run.
pub trait Number: Copy + PartialOrd + std::fmt::Debug {
    fn from_f64(value: f64) -> Self;
    fn to_f64(self) -> f64;
    /// By way of f64, which has more than twice the bits of f32: what is rounded twice is rounded as once.
    fn binary(op: Binary, a: Self, b: Self) -> Self {
        Self::from_f64(op.of(a.to_f64(), b.to_f64()))
    }
    fn fma(a: Self, b: Self, c: Self) -> Self;
}

impl Number for f64 {
    fn from_f64(value: f64) -> f64 {
        value
    }
    fn to_f64(self) -> f64 {
        self
    }
    fn fma(a: f64, b: f64, c: f64) -> f64 {
        a * b + c
    }
}

impl Number for f32 {
    fn from_f64(value: f64) -> f32 {
        value as f32
    }
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
    fn fma(a: f32, b: f32, c: f32) -> f32 {
        libm::fmaf(a, b, c)
    }
}

/// One buffer's contents.
#[derive(Clone, Debug, PartialEq)]
pub enum Data<N> {
    Values(Vec<N>),
    Table(Vec<i64>),
}

/// What went wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("kernel {kernel}: {space} has {len} elements, element {at} is {access}")]
    Outside {
        kernel: String,
        space: String,
        len: usize,
        at: i64,
        access: &'static str,
    },
    #[error("kernel {kernel}: tile {tile} is read at {at} before it is written")]
    Unwritten {
        kernel: String,
        tile: String,
        at: i64,
    },
    #[error(
        "kernel {kernel}: task {task} touches element {at} of {buffer}, which task {other} writes"
    )]
    Race {
        kernel: String,
        buffer: String,
        at: i64,
        task: i64,
        other: i64,
    },
    #[error("kernel {kernel}: {what}")]
    Malformed { kernel: String, what: String },
}

/// Random number `at` of the stream `key`: uniform in [0, 1), or normal.
pub type Random<'a> = &'a dyn Fn(u64, bool, i64) -> f64;

/// How often each element of each buffer was written.
pub type Writes = Vec<Vec<u32>>;

const NOBODY: i64 = -1;

/// A fault is large and never met: what is returned at every step stays in registers.
type Checked<T> = Result<T, Box<Fault>>;

/// Runs all tasks in order. What one task writes, no other may touch: they run side by side elsewhere.
pub fn interpret<N: Number>(
    kernel: &Kernel,
    args: &[i64],
    buffers: &mut [Data<N>],
    random: Random<'_>,
) -> Result<Writes, Fault> {
    run(kernel, args, buffers, random).map_err(|fault| *fault)
}

fn run<N: Number>(
    kernel: &Kernel,
    args: &[i64],
    buffers: &mut [Data<N>],
    random: Random<'_>,
) -> Checked<Writes> {
    let len = |b: &Data<N>| if let Data::Values(v) = b { v.len() } else { 0 };
    let writes: Writes = buffers.iter().map(|b| vec![0; len(b)]).collect();
    let owners = buffers.iter().map(|b| vec![NOBODY; len(b)]).collect();
    let mut machine = Machine {
        kernel,
        args,
        buffers,
        tiles: vec![],
        rows: vec![],
        vars: vec![],
        random,
        writes,
        owners,
        task: 0,
    };
    let counts: Vec<i64> = machine.task_counts()?;
    let total: i64 = counts.iter().product();
    for task in 0..total {
        machine.clear();
        machine.task = task;
        let mut rest = task;
        for (axis, count) in kernel.tasks.iter().zip(&counts).rev() {
            machine.bind(axis.var, rest % count * axis.step);
            rest /= count;
        }
        machine.body(&kernel.body)?;
    }
    Ok(machine.writes)
}

/// Number of tasks of a launch.
pub fn n_tasks(kernel: &Kernel, args: &[i64]) -> Result<i64, Fault> {
    let mut none: [Data<f64>; 0] = [];
    let random = |_, _, _| 0.0;
    let machine = Machine {
        kernel,
        args,
        buffers: &mut none,
        tiles: vec![],
        rows: vec![],
        vars: vec![],
        random: &random,
        writes: vec![],
        owners: vec![],
        task: 0,
    };
    let counts = machine.task_counts().map_err(|fault| *fault)?;
    Ok(counts.iter().product())
}

struct Machine<'a, N> {
    kernel: &'a Kernel,
    args: &'a [i64],
    buffers: &'a mut [Data<N>],
    /// None: not written in this task.
    tiles: Vec<Vec<Option<N>>>,
    rows: Vec<Vec<Option<i64>>>,
    vars: Vec<Option<i64>>,
    random: Random<'a>,
    writes: Writes,
    /// The task that wrote each element of each buffer.
    owners: Vec<Vec<i64>>,
    task: i64,
}

impl<N: Number> Machine<'_, N> {
    fn task_counts(&self) -> Checked<Vec<i64>> {
        self.kernel
            .tasks
            .iter()
            .map(|t| Ok((self.int(&t.extent)? + t.step - 1).div_euclid(t.step)))
            .collect()
    }

    fn clear(&mut self) {
        let len = |t: &crate::Tile, kind: TileKind| if t.kind == kind { t.len as usize } else { 0 };
        self.tiles = self
            .kernel
            .tiles
            .iter()
            .map(|t| vec![None; len(t, TileKind::F32)])
            .collect();
        self.rows = self
            .kernel
            .tiles
            .iter()
            .map(|t| vec![None; len(t, TileKind::I64)])
            .collect();
    }

    fn bind(&mut self, var: Var, value: i64) {
        let at = var as usize;
        if self.vars.len() <= at {
            self.vars.resize(at + 1, None);
        }
        self.vars[at] = Some(value);
    }

    fn malformed(&self, what: String) -> Box<Fault> {
        Box::new(Fault::Malformed {
            kernel: self.kernel.name.clone(),
            what,
        })
    }

    fn body(&mut self, body: &[Stmt]) -> Checked<()> {
        for stmt in body {
            match stmt {
                Stmt::For {
                    var,
                    extent,
                    step,
                    body,
                } => {
                    let extent = self.int(extent)?;
                    for i in (0..extent).step_by(*step as usize) {
                        self.bind(*var, i);
                        self.body(body)?;
                    }
                }
                Stmt::Let { var, value } => {
                    let value = self.int(value)?;
                    self.bind(*var, value);
                }
                Stmt::If { bounds, body } => {
                    if self.holds(bounds)? {
                        self.body(body)?;
                    }
                }
                Stmt::Compute(compute) => self.compute(compute)?,
                Stmt::Rows {
                    tile,
                    first,
                    extent,
                    digits,
                    value,
                } => self.fill(*tile, first, extent, digits, value)?,
                Stmt::Contract(contract) => self.contract(contract)?,
            }
        }
        Ok(())
    }

    fn holds(&self, bounds: &[Bound]) -> Checked<bool> {
        for bound in bounds {
            let index = self.int(&bound.index)?;
            if index < 0 || index >= self.int(&bound.extent)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn compute(&mut self, compute: &Compute) -> Checked<()> {
        let reduced = |b: &Bound| {
            let dims = compute.reduce.as_ref().map_or(&[][..], |r| &r.dims);
            dims.iter()
                .any(|(v, _)| uses(&b.index, *v) || uses(&b.extent, *v))
        };
        let (left_out, skipped): (Vec<Bound>, Vec<Bound>) =
            compute.bounds.iter().cloned().partition(reduced);
        self.points(compute, &skipped, &left_out, 0)
    }

    fn points(
        &mut self,
        c: &Compute,
        skipped: &[Bound],
        left_out: &[Bound],
        depth: usize,
    ) -> Checked<()> {
        if let Some((var, extent)) = c.dims.get(depth) {
            for i in 0..self.int(extent)? {
                self.bind(*var, i);
                self.points(c, skipped, left_out, depth + 1)?;
            }
            return Ok(());
        }
        if !self.holds(skipped)? {
            return Ok(());
        }
        let value = match c.reduce.as_ref().filter(|r| !r.dims.is_empty()) {
            None => self.val(&c.value)?,
            Some(reduce) => self.reduce(c, reduce, left_out)?,
        };
        let at = self.int(&c.at)?;
        let value = match mode_op(c.mode) {
            None => value,
            Some(op) => N::binary(op, self.read(c.to, at)?, value),
        };
        self.write(c.to, at, value)
    }

    fn reduce(&mut self, c: &Compute, reduce: &Reduce, left_out: &[Bound]) -> Checked<N> {
        let start = N::from_f64(match reduce.op {
            ReduceOp::Sum => 0.0,
            ReduceOp::Max => f64::NEG_INFINITY,
            ReduceOp::Min => f64::INFINITY,
        });
        let mut lanes = vec![start; usize::from(reduce.lanes)];
        self.terms(c, reduce, left_out, 0, &mut lanes)?;
        let mut n = lanes.len();
        while n > 1 {
            n /= 2;
            for l in 0..n {
                lanes[l] = N::binary(reduce_op(reduce.op), lanes[l], lanes[l + n]);
            }
        }
        Ok(lanes[0])
    }

    fn terms(
        &mut self,
        c: &Compute,
        r: &Reduce,
        left_out: &[Bound],
        depth: usize,
        lanes: &mut [N],
    ) -> Checked<()> {
        let (var, extent) = &r.dims[depth];
        for i in 0..self.int(extent)? {
            self.bind(*var, i);
            if depth + 1 < r.dims.len() {
                self.terms(c, r, left_out, depth + 1, lanes)?;
            } else if self.holds(left_out)? {
                let lane = i as usize % lanes.len();
                lanes[lane] = N::binary(reduce_op(r.op), lanes[lane], self.val(&c.value)?);
            }
        }
        Ok(())
    }

    fn fill(
        &mut self,
        tile: TileId,
        first: &Int,
        extent: &Int,
        digits: &[Digit],
        value: &Int,
    ) -> Checked<()> {
        let (first, extent) = (self.int(first)?, self.int(extent)?);
        let extents: Vec<i64> = digits
            .iter()
            .map(|d| self.int(&d.extent))
            .collect::<Result<_, _>>()?;
        let total: i64 = extents.iter().product();
        for i in 0..extent {
            let mut rest = (first + i).min(total - 1);
            for (digit, extent) in digits.iter().zip(&extents) {
                self.bind(digit.var, rest % extent);
                rest /= extent;
            }
            let value = self.int(value)?;
            let len = self.rows[tile as usize].len();
            if i as usize >= len {
                return Err(self.outside(To::Tile(tile), len, i, "written"));
            }
            self.rows[tile as usize][i as usize] = Some(value);
        }
        Ok(())
    }

    fn contract(&mut self, c: &Contract) -> Checked<()> {
        let (m, n, k, n_taps) = (
            self.int(&c.m)?,
            self.int(&c.n)?,
            self.int(&c.k)?,
            self.int(&c.n_taps)?,
        );
        let (c_at, rows_at, taps_at) = (
            self.int(&c.c_at)?,
            self.int(&c.rows_at)?,
            self.int(&c.taps_at)?,
        );
        let (a_at, a_step) = (self.int(&c.a_at)?, self.int(&c.a_step)?);
        let (b_at, b_step, b_panel) = (
            self.int(&c.b_at)?,
            self.int(&c.b_step)?,
            self.int(&c.b_panel)?,
        );
        let ldc = self.int(&c.ldc)?;
        for row in 0..m {
            let row_at = a_at + self.row(c.rows, rows_at + row)?;
            for col in 0..n {
                let at = c_at + row * ldc + col;
                let mut sum = match &c.init {
                    ContractInit::Zero => N::from_f64(0.0),
                    ContractInit::Keep => self.read(c.c, at)?,
                    ContractInit::Bias(buffer, first) => {
                        self.read(To::Buf(*buffer), self.int(first)? + col)?
                    }
                };
                for t in 0..n_taps {
                    let (a_tap, b_tap) = (
                        self.table(c.taps, 2 * (taps_at + t))?,
                        self.table(c.taps, 2 * (taps_at + t) + 1)?,
                    );
                    let b_first = b_at + b_tap + col / 32 * b_panel + col % 32;
                    for step in 0..k {
                        let a = self.read(c.a, row_at + a_tap + step * a_step)?;
                        let b = self.read(c.b, b_first + step * b_step)?;
                        sum = N::fma(a, b, sum);
                    }
                }
                self.write(c.c, at, sum)?;
            }
        }
        Ok(())
    }

    fn outside(&self, space: To, len: usize, at: i64, access: &'static str) -> Box<Fault> {
        let name = match space {
            To::Buf(b) => format!("buffer {}", self.kernel.buffers[b as usize].name),
            To::Tile(t) => format!("tile {}", self.kernel.tiles[t as usize].name),
        };
        Box::new(Fault::Outside {
            kernel: self.kernel.name.clone(),
            space: name,
            len,
            at,
            access,
        })
    }

    fn read(&self, space: To, at: i64) -> Checked<N> {
        let index = usize::try_from(at).unwrap_or(usize::MAX);
        match space {
            To::Buf(b) => match &self.buffers[b as usize] {
                Data::Values(v) => {
                    let value = v.get(index).copied();
                    let value = value.ok_or_else(|| self.outside(space, v.len(), at, "read"))?;
                    self.alone(b, index).map(|()| value)
                }
                Data::Table(_) => Err(self.malformed(format!("buffer {b} holds integers"))),
            },
            To::Tile(t) => {
                let tile = &self.tiles[t as usize];
                let cell = tile
                    .get(index)
                    .ok_or_else(|| self.outside(space, tile.len(), at, "read"))?;
                let name = || self.kernel.tiles[t as usize].name.clone();
                cell.ok_or_else(|| {
                    Box::new(Fault::Unwritten {
                        kernel: self.kernel.name.clone(),
                        tile: name(),
                        at,
                    })
                })
            }
        }
    }

    /// No other task has written the element.
    fn alone(&self, buffer: u32, at: usize) -> Checked<()> {
        let other = self.owners[buffer as usize][at];
        if other == NOBODY || other == self.task {
            return Ok(());
        }
        Err(Box::new(Fault::Race {
            kernel: self.kernel.name.clone(),
            buffer: self.kernel.buffers[buffer as usize].name.clone(),
            at: at as i64,
            task: self.task,
            other,
        }))
    }

    fn write(&mut self, space: To, at: i64, value: N) -> Checked<()> {
        let index = usize::try_from(at).unwrap_or(usize::MAX);
        let len = match space {
            To::Buf(b) => self.writes[b as usize].len(),
            To::Tile(t) => self.tiles[t as usize].len(),
        };
        if index >= len {
            return Err(self.outside(space, len, at, "written"));
        }
        match space {
            To::Tile(t) => self.tiles[t as usize][index] = Some(value),
            To::Buf(b) => {
                if !matches!(
                    self.kernel.buffers[b as usize].kind,
                    BufferKind::Out | BufferKind::InOut
                ) {
                    return Err(self.malformed(format!("buffer {b} is only read, but written")));
                }
                self.alone(b, index)?;
                self.owners[b as usize][index] = self.task;
                self.writes[b as usize][index] += 1;
                if let Data::Values(v) = &mut self.buffers[b as usize] {
                    v[index] = value;
                }
            }
        }
        Ok(())
    }

    fn table(&self, buffer: u32, at: i64) -> Checked<i64> {
        match &self.buffers[buffer as usize] {
            Data::Table(t) => {
                let index = usize::try_from(at).unwrap_or(usize::MAX);
                t.get(index)
                    .copied()
                    .ok_or_else(|| self.outside(To::Buf(buffer), t.len(), at, "read"))
            }
            Data::Values(_) => Err(self.malformed(format!("buffer {buffer} is no table"))),
        }
    }

    fn row(&self, tile: TileId, at: i64) -> Checked<i64> {
        let rows = &self.rows[tile as usize];
        let index = usize::try_from(at).unwrap_or(usize::MAX);
        let cell = rows
            .get(index)
            .ok_or_else(|| self.outside(To::Tile(tile), rows.len(), at, "read"))?;
        let name = || self.kernel.tiles[tile as usize].name.clone();
        cell.ok_or_else(|| {
            Box::new(Fault::Unwritten {
                kernel: self.kernel.name.clone(),
                tile: name(),
                at,
            })
        })
    }

    /// Most integers are constants and variables: they are no calls.
    #[inline(always)]
    fn int(&self, int: &Int) -> Checked<i64> {
        match int {
            Int::Const(c) => Ok(*c),
            Int::Var(v) => match self.vars.get(*v as usize) {
                Some(Some(value)) => Ok(*value),
                _ => Err(self.malformed(format!("variable {v} is not bound"))),
            },
            int => self.computed(int),
        }
    }

    fn computed(&self, int: &Int) -> Checked<i64> {
        let two = |a: &Int, b: &Int| Ok::<_, Box<Fault>>((self.int(a)?, self.int(b)?));
        Ok(match int {
            Int::Const(_) | Int::Var(_) => self.int(int)?,
            Int::Arg(a) => *self
                .args
                .get(*a as usize)
                .ok_or_else(|| self.malformed(format!("there is no argument {a}")))?,
            Int::Add(a, b) => two(a, b).map(|(a, b)| a + b)?,
            Int::Sub(a, b) => two(a, b).map(|(a, b)| a - b)?,
            Int::Mul(a, b) => two(a, b).map(|(a, b)| a * b)?,
            Int::Div(a, b) | Int::Rem(a, b) => {
                let (x, y) = two(a, b)?;
                if y <= 0 {
                    return Err(self.malformed(format!("division by {y}")));
                }
                if matches!(int, Int::Div(..)) {
                    x.div_euclid(y)
                } else {
                    x.rem_euclid(y)
                }
            }
            Int::Min(a, b) => two(a, b).map(|(a, b)| a.min(b))?,
            Int::Max(a, b) => two(a, b).map(|(a, b)| a.max(b))?,
            Int::Floor(v) => {
                let whole = self.val(v)?.to_f64().floor();
                let near = (f64::from(i32::MIN)..-f64::from(i32::MIN)).contains(&whole);
                if near {
                    whole as i64
                } else {
                    i64::from(i32::MIN)
                }
            }
            Int::Whole(w) => whole(self.wide(w)?),
            Int::Table(b, at) => self.table(*b, self.int(at)?)?,
            Int::Tile(t, at) => self.row(*t, self.int(at)?)?,
        })
    }

    fn wide(&self, wide: &Wide<Val, Int>) -> Checked<f64> {
        Ok(match wide {
            Wide::Lit(lit) => lit.get(),
            Wide::Val(v) => self.val(v)?.to_f64(),
            Wide::Int(i) => self.int(i)? as f64,
            Wide::Step(op, a) => op.of(self.wide(a)?),
            Wide::Binary(op, a, b) => op.of(self.wide(a)?, self.wide(b)?),
            Wide::Select(relation, args) => {
                let [a, b] = [self.wide(&args[0])?, self.wide(&args[1])?];
                self.wide(&args[if relation.holds(a, b) { 2 } else { 3 }])?
            }
        })
    }

    fn val(&self, val: &Val) -> Checked<N> {
        Ok(match val {
            Val::Lit(lit) => N::from_f64(lit.get()),
            Val::Buf(b, at) => self.read(To::Buf(*b), self.int(at)?)?,
            Val::Tile(t, at) => self.read(To::Tile(*t), self.int(at)?)?,
            Val::FromInt(i) => N::from_f64(self.int(i)? as f64),
            Val::Unary(op, a) => N::from_f64(op.of(self.val(a)?.to_f64())),
            Val::Binary(op, a, b) => N::binary(*op, self.val(a)?, self.val(b)?),
            Val::Select(relation, args) => {
                let [a, b, yes, no] = [
                    self.val(&args[0])?,
                    self.val(&args[1])?,
                    self.val(&args[2])?,
                    self.val(&args[3])?,
                ];
                if relation.holds(a, b) { yes } else { no }
            }
            Val::Guarded(bounds, inside, outside) => match self.holds(bounds)? {
                true => self.val(inside)?,
                false => N::from_f64(outside.get()),
            },
            Val::Random { key, normal, at } => {
                N::from_f64((self.random)(*key, *normal, self.int(at)?))
            }
        })
    }
}

fn mode_op(mode: Mode) -> Option<Binary> {
    match mode {
        Mode::Store | Mode::NonTemporal => None,
        Mode::Add => Some(Binary::Add),
        Mode::Max => Some(Binary::Max),
        Mode::Min => Some(Binary::Min),
    }
}

fn reduce_op(op: ReduceOp) -> Binary {
    match op {
        ReduceOp::Sum => Binary::Add,
        ReduceOp::Max => Binary::Max,
        ReduceOp::Min => Binary::Min,
    }
}

/// Whether a variable occurs in an integer.
pub fn uses(int: &Int, var: Var) -> bool {
    let mut parts = int.operands().into_iter().flatten();
    match int {
        Int::Var(v) => *v == var,
        Int::Floor(v) => val_uses(v, var),
        Int::Whole(w) => {
            let mut found = false;
            w.each_leaf(&mut |leaf| {
                found |= match leaf {
                    Leaf::Val(v) => val_uses(v, var),
                    Leaf::Int(i) => uses(i, var),
                }
            });
            found
        }
        Int::Table(_, at) | Int::Tile(_, at) => uses(at, var),
        _ => parts.any(|part| uses(part, var)),
    }
}

fn val_uses(val: &Val, var: Var) -> bool {
    match val {
        Val::Lit(_) => false,
        Val::Buf(_, at) | Val::Tile(_, at) | Val::FromInt(at) | Val::Random { at, .. } => {
            uses(at, var)
        }
        Val::Unary(_, a) => val_uses(a, var),
        Val::Binary(_, a, b) => val_uses(a, var) || val_uses(b, var),
        Val::Select(_, args) => args.iter().any(|a| val_uses(a, var)),
        Val::Guarded(bounds, v, _) => {
            val_uses(v, var)
                || bounds
                    .iter()
                    .any(|b| uses(&b.index, var) || uses(&b.extent, var))
        }
    }
}
