//! Proves, for concrete arguments and buffer sizes, that a kernel is well formed and stays inside of its memory.
//!
//! What can be shown wrong is an error. What intervals cannot decide (addresses that come from data) is listed as not
//! proven: the interpreter checks those.

use crate::range::{Facts, Range};
use crate::{
    Bound, BufferKind, Compute, Contract, ContractInit, Digit, Int, Kernel, Leaf, Stmt, TileId,
    TileKind, To, Val,
};

/// Accesses that were proven to be inside, and what could not be proven.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub n_proven: usize,
    pub unproven: Vec<String>,
}

/// Variables that no kernel has: a row and a column of a contraction.
const ROW: u32 = u32::MAX - 1;
const COLUMN: u32 = u32::MAX - 2;

/// `lens`: elements of each buffer.
pub fn verify(kernel: &Kernel, args: &[i64], lens: &[i64]) -> Result<Report, Vec<String>> {
    let facts = Facts::new(args);
    let written = vec![false; kernel.tiles.len()];
    let mut verifier = Verifier {
        kernel,
        lens,
        facts,
        written,
        report: Report::default(),
        errors: vec![],
        tasks: vec![],
    };
    if lens.len() != kernel.buffers.len() || args.len() != kernel.args.len() {
        verifier
            .errors
            .push("sizes or arguments do not match the kernel's declarations".into());
        return Err(verifier.errors);
    }
    for (i, (value, fact)) in args.iter().zip(&kernel.args).enumerate() {
        if value % fact.multiple_of != 0 {
            verifier.errors.push(format!(
                "argument {i} is {value}, no multiple of {}",
                fact.multiple_of
            ));
        }
    }
    verifier.run();
    if verifier.errors.is_empty() {
        Ok(verifier.report)
    } else {
        Err(verifier.errors)
    }
}

struct Verifier<'a> {
    kernel: &'a Kernel,
    lens: &'a [i64],
    facts: Facts<'a>,
    written: Vec<bool>,
    report: Report,
    errors: Vec<String>,
    /// Task variables with their steps and counts.
    tasks: Vec<(u32, i64, i64)>,
}

impl Verifier<'_> {
    fn run(&mut self) {
        let kernel = self.kernel;
        for task in &kernel.tasks {
            let extent = self.facts.range(&task.extent);
            if task.step < 1 {
                self.errors
                    .push(format!("task v{} has step {}", task.var, task.step));
                return;
            }
            let count = (extent.hi + task.step - 1).div_euclid(task.step);
            self.facts.bind_range(
                task.var,
                Range {
                    lo: 0,
                    hi: (count - 1).max(0) * task.step,
                },
            );
            self.facts.below(task.var, &task.extent);
            self.tasks.push((task.var, task.step, count));
        }
        self.body(&kernel.body);
    }

    fn body(&mut self, body: &[Stmt]) {
        for stmt in body {
            match stmt {
                Stmt::For {
                    var,
                    extent,
                    body: inner,
                    ..
                } => {
                    self.int(extent);
                    let mark = self.facts.mark();
                    self.facts.bind(*var, extent);
                    self.body(inner);
                    self.facts.forget(mark);
                }
                Stmt::Let { var, value } => {
                    self.int(value);
                    self.facts.alias(*var, value);
                }
                Stmt::If {
                    bounds,
                    body: inner,
                } => {
                    let mark = self.assume(bounds);
                    self.body(inner);
                    self.facts.forget(mark);
                }
                Stmt::Compute(c) => self.compute(c),
                Stmt::Rows {
                    tile,
                    first,
                    extent,
                    digits,
                    value,
                } => self.rows(*tile, first, extent, digits, value),
                Stmt::Contract(c) => self.contract(c),
            }
        }
    }

    fn assume(&mut self, bounds: &[Bound]) -> usize {
        let mark = self.facts.mark();
        for bound in bounds {
            self.int(&bound.index);
            self.int(&bound.extent);
            self.facts.assume(&bound.index, &bound.extent);
        }
        mark
    }

    fn compute(&mut self, c: &Compute) {
        let mark = self.facts.mark();
        let reduced = c.reduce.as_ref().map_or(&[][..], |r| &r.dims);
        if c.dims
            .iter()
            .chain(reduced)
            .any(|(_, extent)| self.facts.range(extent).hi < 1)
        {
            return;
        }
        for (var, extent) in c.dims.iter().chain(reduced) {
            self.int(extent);
            self.facts.bind(*var, extent);
        }
        if let Some(r) = c
            .reduce
            .as_ref()
            .filter(|r| ![1, 16, 32].contains(&r.lanes))
        {
            self.errors
                .push(format!("a reduction has {} lanes", r.lanes));
        }
        self.assume(&c.bounds);
        self.val(&c.value);
        if c.mode != crate::Mode::Store && c.mode != crate::Mode::NonTemporal {
            self.must_be_written(c.to);
        }
        self.access(c.to, &c.at, "written");
        if let To::Buf(b) = c.to {
            if !matches!(
                self.kernel.buffers[b as usize].kind,
                BufferKind::Out | BufferKind::InOut
            ) {
                self.errors
                    .push(format!("b{b} is written, but declared to be read only"));
            }
            self.disjoint(b, &c.at);
        }
        if let To::Tile(t) = c.to {
            self.written[t as usize] = true;
        }
        self.facts.forget(mark);
    }

    fn rows(&mut self, tile: TileId, first: &Int, extent: &Int, digits: &[Digit], value: &Int) {
        if self.kernel.tiles[tile as usize].kind != TileKind::I64 {
            self.errors
                .push(format!("rows fill t{tile}, which holds no integers"));
        }
        self.int(first);
        let count = self.facts.range(extent);
        if count.hi > self.kernel.tiles[tile as usize].len {
            self.errors
                .push(format!("rows fill {} elements of t{tile}", count.hi));
        }
        for digit in digits {
            self.facts.bind(digit.var, &digit.extent);
        }
        self.int(value);
        let range = self.facts.range(value);
        self.facts.tile(tile, range);
        self.written[tile as usize] = true;
    }

    fn contract(&mut self, c: &Contract) {
        let (m, n) = (self.facts.range(&c.m), self.facts.range(&c.n));
        self.sums_inside(c);
        if c.init == ContractInit::Keep {
            self.must_be_written(c.c);
        }
        if let ContractInit::Bias(b, at) = &c.init {
            let at = self.facts.range(at);
            self.inside(
                To::Buf(*b),
                Range {
                    lo: at.lo,
                    hi: at.hi + n.hi - 1,
                },
                true,
                "read as a bias",
            );
        }
        self.must_be_written(To::Tile(c.rows));
        let rows_at = self.facts.range(&c.rows_at);
        self.inside(
            To::Tile(c.rows),
            Range {
                lo: rows_at.lo,
                hi: rows_at.hi + m.hi - 1,
            },
            true,
            "read as a row",
        );
        self.space_is(c.taps, true);
        for int in [
            &c.c_at, &c.ldc, &c.a_at, &c.a_step, &c.taps_at, &c.n_taps, &c.k, &c.b_at, &c.b_step,
            &c.b_panel,
        ] {
            self.int(int);
        }
        self.report
            .unproven
            .push("offsets of a contraction's rows and taps".into());
        match c.c {
            To::Tile(t) => self.written[t as usize] = true,
            To::Buf(b) => {
                self.space_is(b, false);
            }
        }
    }

    /// Every sum's place, the last rows of a tail among them: `c_at + row·ldc + column`.
    fn sums_inside(&mut self, c: &Contract) {
        let mark = self.facts.mark();
        self.facts.bind(ROW, &c.m);
        self.facts.bind(COLUMN, &c.n);
        let row = Int::Mul(Box::new(Int::Var(ROW)), Box::new(c.ldc.clone()));
        let first = Int::Add(Box::new(c.c_at.clone()), Box::new(row));
        let at = Int::Add(Box::new(first), Box::new(Int::Var(COLUMN)));
        let (range, exact) = (self.facts.range(&at), self.facts.is_exact(&at));
        self.inside(c.c, range, exact, "written by a contraction");
        if let To::Buf(b) = c.c {
            self.disjoint(b, &at);
        }
        self.facts.forget(mark);
    }

    fn space_is(&mut self, buffer: u32, table: bool) -> bool {
        let Some(b) = self.kernel.buffers.get(buffer as usize) else {
            self.errors.push(format!("there is no buffer b{buffer}"));
            return false;
        };
        let right = (b.kind == BufferKind::Table) == table;
        if !right {
            self.errors.push(format!(
                "b{buffer} holds {}",
                if table { "numbers" } else { "integers" }
            ));
        }
        right
    }

    fn must_be_written(&mut self, to: To) {
        if let To::Tile(t) = to
            && !self.written.get(t as usize).copied().unwrap_or(false)
        {
            self.errors
                .push(format!("t{t} is read before it is written"));
        }
    }

    /// Checks the accesses inside of an integer.
    fn int(&mut self, int: &Int) {
        match int {
            Int::Const(_) => {}
            Int::Var(v) if !self.facts.is_bound(*v) => {
                self.errors.push(format!("v{v} is not bound"))
            }
            Int::Arg(a) if *a as usize >= self.kernel.args.len() => {
                self.errors.push(format!("there is no argument a{a}"))
            }
            Int::Var(_) | Int::Arg(_) => {}
            Int::Add(a, b) | Int::Sub(a, b) | Int::Mul(a, b) | Int::Min(a, b) | Int::Max(a, b) => {
                self.int(a);
                self.int(b);
            }
            Int::Div(a, b) | Int::Rem(a, b) => {
                self.int(a);
                self.int(b);
                if self.facts.range(b).lo < 1 {
                    self.errors.push(format!(
                        "the divisor {} is not positive",
                        crate::print::int(b)
                    ));
                }
            }
            Int::Floor(v) => self.val(v),
            Int::Whole(w) => w.each_leaf(&mut |leaf| match leaf {
                Leaf::Val(v) => self.val(v),
                Leaf::Int(i) => self.int(i),
            }),
            Int::Table(b, at) => {
                self.int(at);
                if self.space_is(*b, true) {
                    let range = self.facts.range(at);
                    self.inside(To::Buf(*b), range, self.facts.is_exact(at), "read");
                }
            }
            Int::Tile(t, at) => {
                self.int(at);
                self.must_be_written(To::Tile(*t));
                let range = self.facts.range(at);
                self.inside(To::Tile(*t), range, self.facts.is_exact(at), "read");
            }
        }
    }

    fn val(&mut self, val: &Val) {
        match val {
            Val::Lit(_) => {}
            Val::Buf(b, at) => {
                if self.space_is(*b, false) {
                    self.access(To::Buf(*b), at, "read");
                }
            }
            Val::Tile(t, at) => {
                self.must_be_written(To::Tile(*t));
                self.access(To::Tile(*t), at, "read");
            }
            Val::FromInt(at) | Val::Random { at, .. } => self.int(at),
            Val::Unary(_, a) => self.val(a),
            Val::Binary(_, a, b) => {
                self.val(a);
                self.val(b);
            }
            Val::Select(_, args) => args.iter().for_each(|a| self.val(a)),
            Val::Guarded(bounds, inside, _) => {
                let mark = self.assume(bounds);
                self.val(inside);
                self.facts.forget(mark);
            }
        }
    }

    fn access(&mut self, space: To, at: &Int, how: &str) {
        self.int(at);
        if let To::Tile(t) = space
            && self
                .kernel
                .tiles
                .get(t as usize)
                .is_none_or(|tile| tile.kind != TileKind::F32)
        {
            self.errors.push(format!("t{t} holds no numbers"));
            return;
        }
        let (range, exact) = (self.facts.range(at), self.facts.is_exact(at));
        self.inside(space, range, exact, how);
    }

    /// `exact`: both ends of the range are reached.
    fn inside(&mut self, space: To, range: Range, exact: bool, how: &str) {
        let (name, len) = match space {
            To::Buf(b) => (format!("b{b}"), self.lens[b as usize]),
            To::Tile(t) => (format!("t{t}"), self.kernel.tiles[t as usize].len),
        };
        let nowhere = range.lo > range.hi || self.facts.is_impossible();
        if nowhere || range.lo >= 0 && range.hi < len {
            self.report.n_proven += 1;
        } else if exact || range.hi < 0 || range.lo >= len {
            self.errors.push(format!(
                "{name} has {len} elements; {} to {} are {how}",
                range.lo, range.hi
            ));
        } else {
            self.report.unproven.push(format!(
                "{name} has {len} elements; {} to {} may be {how}",
                range.lo, range.hi
            ));
        }
    }

    /// Tasks write different cells: their strides, in ascending order, exceed what the rest spans.
    fn disjoint(&mut self, buffer: u32, at: &Int) {
        let Some((mut span, mut tasks)) = self.facts.split(at, &self.tasks) else {
            return self
                .report
                .unproven
                .push(format!("tasks write different elements of b{buffer}"));
        };
        tasks.sort_unstable();
        for (stride, count) in tasks {
            if stride == 0 {
                let guarded = self.facts.mark() > 0;
                match guarded {
                    true => self
                        .report
                        .unproven
                        .push(format!("tasks write different elements of b{buffer}")),
                    false => self.errors.push(format!(
                        "several tasks write the same elements of b{buffer}"
                    )),
                }
                return;
            }
            if stride <= span {
                return self
                    .report
                    .unproven
                    .push(format!("tasks write different elements of b{buffer}"));
            }
            span += stride * (count - 1);
        }
        self.report.n_proven += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse_kernel;

    /// 4 tasks, 400 elements in each buffer.
    fn storing(statement: &str) -> Kernel {
        let text = format!(
            "kernel shifted {{
               in b0
               out b1
               tile t0: f32[8]
               task v0 in 0..4 by 1
               {statement}
             }}"
        );
        parse_kernel(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    /// `y[100·task + i] = x[100·task + i + shift]` for i below `extent`.
    fn shifted(shift: i64, extent: i64) -> Kernel {
        storing(&format!(
            "b1[v0*100+v1] = b0[v0*100+v1+{shift}] for v1:{extent}"
        ))
    }

    fn errors(kernel: &Kernel) -> String {
        verify(kernel, &[], &[400, 400])
            .expect_err("there is an error")
            .join("; ")
    }

    #[test]
    fn a_right_kernel_is_proven() {
        let report = verify(&shifted(0, 100), &[], &[400, 400]).expect("no error");
        assert_eq!(
            report,
            Report {
                n_proven: 3,
                unproven: vec![]
            }
        );
        let mut by_argument = shifted(0, 100);
        let Stmt::Compute(compute) = &mut by_argument.body[0] else {
            panic!("{by_argument:?}");
        };
        compute.dims[0].1 = Int::Arg(0);
        by_argument.args = vec![crate::ArgFact { multiple_of: 4 }];
        let report = verify(&by_argument, &[100], &[400, 400]).expect("no error");
        assert_eq!(report.unproven, [""; 0]);
        let report = verify(&by_argument, &[102], &[400, 400]);
        assert!(
            report
                .expect_err("102 is no multiple")
                .concat()
                .contains("no multiple of 4")
        );
    }

    #[test]
    fn reads_and_stores_outside_are_found() {
        assert_eq!(
            errors(&shifted(1, 100)),
            "b0 has 400 elements; 1 to 400 are read"
        );
        assert_eq!(
            errors(&shifted(-1, 101)),
            "b0 has 400 elements; -1 to 399 are read; b1 has 400 elements; 0 to 400 are written"
        );
    }

    #[test]
    fn a_guard_makes_a_read_safe() {
        let index = "v0*100+v1+1";
        let k = storing(&format!(
            "b1[v0*100+v1] = (b0[{index}] if 0<={index}<400 else 0) for v1:100"
        ));
        assert_eq!(
            verify(&k, &[], &[400, 400]).expect("no error").unproven,
            [""; 0]
        );
    }

    #[test]
    fn races_and_misuse_are_found() {
        for (statement, error) in [
            (
                "b1[v1] = b0[v1] for v1:100",
                "several tasks write the same elements of b1",
            ),
            (
                "b0[v0*100+v1] = b0[v1] for v1:100",
                "b0 is written, but declared to be read only",
            ),
            (
                "b1[v0*100+v1] = t0[v1] for v1:8",
                "t0 is read before it is written",
            ),
        ] {
            assert_eq!(errors(&storing(statement)), error);
        }
        let mut unbound = shifted(0, 8);
        let Stmt::Compute(compute) = &mut unbound.body[0] else {
            panic!("{unbound:?}");
        };
        compute.value = Val::FromInt(Int::Var(9));
        assert_eq!(errors(&unbound), "v9 is not bound");
        let overlapping = verify(&shifted(0, 101), &[], &[500, 500]).expect("no error");
        assert_eq!(
            overlapping.unproven,
            ["tasks write different elements of b1"]
        );
    }
}
