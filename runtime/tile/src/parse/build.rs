//! Declarations and statements.
//!
//! Enters a kernel as the grammar found it; leaves the kernel, whose every reference holds at its place.

use pest::iterators::Pair;

use super::Rule;
use super::error::{Result, wrong};
use super::parts::{Parts, index, name, number};
use super::scope::{Scope, Sort, numbered};
use crate::{
    ArgFact, Buffer, BufferKind, Compute, Contract, ContractInit, Digit, Int, Kernel, Mode, Reduce,
    ReduceOp, Stmt, TaskAxis, Tile, TileKind, Var,
};

type Part<'t> = Pair<'t, Rule>;

pub(super) fn kernel(pair: Part<'_>) -> Result<Kernel> {
    let mut parts = Parts::of(pair);
    let mut scope = Scope::new(name(parts.one())?);
    while let Some(pair) = parts.one_of(Rule::buffer) {
        scope.declare_buffer(pair)?;
    }
    while let Some(pair) = parts.one_of(Rule::tile) {
        scope.declare_tile(pair)?;
    }
    while let Some(pair) = parts.one_of(Rule::arg) {
        scope.declare_arg(pair)?;
    }
    let tasks = std::iter::from_fn(|| parts.one_of(Rule::task));
    scope.tasks(tasks.collect())?;
    let body = scope.statements(parts)?;
    Ok(Kernel {
        body,
        ..scope.kernel
    })
}

impl Scope {
    fn declare_buffer(&mut self, pair: Part<'_>) -> Result<()> {
        let mut parts = Parts::of(pair);
        let kind = match parts.one().as_str() {
            "in" => BufferKind::In,
            "out" => BufferKind::Out,
            "inout" => BufferKind::InOut,
            _ => BufferKind::Table,
        };
        let id = parts.one();
        numbered(&id, self.kernel.buffers.len())?;
        let name = label(parts, &id)?;
        self.kernel.buffers.push(Buffer { name, kind });
        Ok(())
    }

    fn declare_tile(&mut self, pair: Part<'_>) -> Result<()> {
        let mut parts = Parts::of(pair);
        let id = parts.one();
        numbered(&id, self.kernel.tiles.len())?;
        let kind = match parts.one().as_str() {
            "f32" => TileKind::F32,
            _ => TileKind::I64,
        };
        let len = at_least(0, &parts.one())?;
        let name = label(parts, &id)?;
        self.kernel.tiles.push(Tile { name, kind, len });
        Ok(())
    }

    fn declare_arg(&mut self, pair: Part<'_>) -> Result<()> {
        let mut parts = Parts::of(pair);
        numbered(&parts.one(), self.kernel.args.len())?;
        let divisor = parts.one();
        let multiple_of: i64 = number(&divisor)?;
        if !(1..=64).contains(&multiple_of) || multiple_of.count_ones() != 1 {
            let text = divisor.as_str();
            return wrong(&divisor, format!("{text} is no power of two up to 64"));
        }
        self.kernel.args.push(ArgFact { multiple_of });
        Ok(())
    }

    /// Their extents are known before any variable is.
    fn tasks(&mut self, pairs: Vec<Part<'_>>) -> Result<()> {
        let mut vars = vec![];
        for pair in pairs {
            let mut parts = Parts::of(pair);
            vars.push(parts.one());
            let extent = self.int(parts.one())?;
            let step = at_least(1, &parts.one())?;
            let var = index(&vars[vars.len() - 1])?;
            self.kernel.tasks.push(TaskAxis { var, extent, step });
        }
        vars.iter().try_for_each(|var| self.bind(var).map(|_| ()))
    }

    /// What they bind ends with them.
    fn statements<'t>(&mut self, parts: impl Iterator<Item = Part<'t>>) -> Result<Vec<Stmt>> {
        let mark = self.enter();
        let body = parts
            .map(|pair| self.below(1, &pair.clone(), |scope| scope.statement(pair)))
            .collect();
        self.leave(mark);
        body
    }

    fn statement(&mut self, pair: Part<'_>) -> Result<Stmt> {
        let rule = pair.as_rule();
        let mut parts = Parts::of(pair);
        match rule {
            Rule::for_ => self.for_loop(parts),
            Rule::let_ => {
                let var = parts.one();
                let value = self.int(parts.one())?;
                let var = self.bind(&var)?;
                Ok(Stmt::Let { var, value })
            }
            Rule::if_ => {
                let bounds = self.bounds(parts.one())?;
                let body = self.statements(parts)?;
                Ok(Stmt::If { bounds, body })
            }
            Rule::rows => self.rows(parts),
            Rule::compute => self.compute(parts),
            _ => self.contract(parts),
        }
    }

    fn for_loop(&mut self, mut parts: Parts<'_>) -> Result<Stmt> {
        let var = parts.one();
        let extent = self.int(parts.one())?;
        let step = at_least(1, &parts.one())?;
        let mark = self.enter();
        let var = self.bind(&var)?;
        let body = self.statements(parts)?;
        self.leave(mark);
        Ok(Stmt::For {
            var,
            extent,
            step,
            body,
        })
    }

    fn rows(&mut self, mut parts: Parts<'_>) -> Result<Stmt> {
        let tile = self.tile(&parts.one(), Sort::Integers)?;
        let extent = self.int(parts.one())?;
        let (value, digits) = (parts.one(), parts.one());
        let first = self.int(parts.one())?;
        let mark = self.enter();
        let digits = self.digits(digits)?;
        let value = self.int(value)?;
        self.leave(mark);
        Ok(Stmt::Rows {
            tile,
            first,
            extent,
            digits,
            value,
        })
    }

    /// Their extents are known before any digit is.
    fn digits(&mut self, pair: Part<'_>) -> Result<Vec<Digit>> {
        let (mut vars, mut extents) = (vec![], vec![]);
        for pair in Parts::of(pair) {
            let mut parts = Parts::of(pair);
            vars.push(parts.one());
            extents.push(self.int(parts.one())?);
        }
        let digit = |(var, extent): (&Part<'_>, Int)| {
            let var = self.bind(var)?;
            Ok(Digit { var, extent })
        };
        vars.iter().zip(extents).map(digit).collect()
    }

    /// What is stored, and where, stands before the box, whose variables it uses.
    fn compute(&mut self, mut parts: Parts<'_>) -> Result<Stmt> {
        let to = self.space(&parts.one())?;
        let (at, mode) = (parts.one(), mode(parts.one().as_str()));
        let reduce = parts.one_of(Rule::reduce);
        let (value, dims) = (parts.one(), parts.one());
        let mark = self.enter();
        let dims = self.dims(dims)?;
        let at = self.int(at)?;
        let reduce = reduce.map(|pair| self.reduce(pair)).transpose()?;
        let value = self.val(value)?;
        let bounds = parts.next().map(|pair| self.bounds(pair)).transpose()?;
        self.leave(mark);
        Ok(Stmt::Compute(Compute {
            dims,
            reduce,
            value,
            to,
            at,
            bounds: bounds.unwrap_or_default(),
            mode,
        }))
    }

    fn reduce(&mut self, pair: Part<'_>) -> Result<Reduce> {
        let mut parts = Parts::of(pair);
        let op = match parts.one().as_str() {
            "sum" => ReduceOp::Sum,
            "max" => ReduceOp::Max,
            _ => ReduceOp::Min,
        };
        let lanes = parts.one();
        let n_lanes = index(&lanes)?;
        if ![1, 16, 32].contains(&n_lanes) {
            return wrong(
                &lanes,
                format!("a reduction has 1, 16 or 32 lanes, not {n_lanes}"),
            );
        }
        Ok(Reduce {
            dims: self.dims(parts.one())?,
            op,
            lanes: n_lanes,
        })
    }

    /// Extents may use the variables before them.
    fn dims(&mut self, pair: Part<'_>) -> Result<Vec<(Var, Int)>> {
        Parts::of(pair)
            .map(|dim| {
                let mut parts = Parts::of(dim);
                let var = parts.one();
                let extent = self.int(parts.one())?;
                Ok((self.bind(&var)?, extent))
            })
            .collect()
    }

    fn contract(&mut self, mut parts: Parts<'_>) -> Result<Stmt> {
        let c = self.space(&parts.one())?;
        let mut int = |scope: &mut Scope| scope.int(parts.one());
        let (c_at, m, ldc, n) = (int(self)?, int(self)?, int(self)?, int(self)?);
        let init = self.init(parts.one())?;
        let n_taps = self.int(parts.one())?;
        let taps = self.buffer(&parts.one(), Sort::Integers)?;
        let (taps_at, k) = (self.int(parts.one())?, self.int(parts.one())?);
        let a = self.space(&parts.one())?;
        let rows = self.tile(&parts.one(), Sort::Integers)?;
        let mut int = |scope: &mut Scope| scope.int(parts.one());
        let (rows_at, a_at, a_step) = (int(self)?, int(self)?, int(self)?);
        let b = self.space(&parts.one())?;
        let mut int = |scope: &mut Scope| scope.int(parts.one());
        let (b_at, b_step, b_panel) = (int(self)?, int(self)?, int(self)?);
        Ok(Stmt::Contract(Box::new(Contract {
            c,
            c_at,
            ldc,
            m,
            n,
            init,
            a,
            rows,
            rows_at,
            a_at,
            a_step,
            taps,
            taps_at,
            n_taps,
            k,
            b,
            b_at,
            b_step,
            b_panel,
        })))
    }

    fn init(&mut self, pair: Part<'_>) -> Result<ContractInit> {
        let mut parts = Parts::of(pair);
        let first = parts.one();
        match first.as_rule() {
            Rule::zero => Ok(ContractInit::Zero),
            Rule::keep => Ok(ContractInit::Keep),
            _ => {
                let bias = self.buffer(&first, Sort::Numbers)?;
                Ok(ContractInit::Bias(bias, self.int(parts.one())?))
            }
        }
    }
}

fn mode(sign: &str) -> Mode {
    match sign {
        "=" => Mode::Store,
        "=stream" => Mode::NonTemporal,
        "+=" => Mode::Add,
        "max=" => Mode::Max,
        _ => Mode::Min,
    }
}

/// The name behind `#`, or the declaration's own.
fn label(mut parts: Parts<'_>, id: &Part<'_>) -> Result<String> {
    match parts.next() {
        Some(label) => name(Parts::of(label).one()),
        None => Ok(id.as_str().to_string()),
    }
}

fn at_least(least: i64, pair: &Part<'_>) -> Result<i64> {
    let value = number(pair)?;
    if value < least {
        let text = pair.as_str();
        return wrong(pair, format!("expected {least} or more, found {text}"));
    }
    Ok(value)
}
