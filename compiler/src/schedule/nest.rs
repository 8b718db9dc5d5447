//! Loop nests: pointwise maps, reductions and gathers, several equations over one space in one kernel.
//!
//! A task takes a chunk of the space. Members are computed in order; what later members read stays in a tile.

pub use super::chunks::positions;

use super::chunks::{Chunks, Inner, lengthen_by, out_address, out_strides, read_steps};
use super::compute_at;
use super::group::{Context, Group, Member};
use super::join::digit_at;
use super::lower::{Environment, KernelBuilder, Scope, add, int, ix_to_int, mul};
use super::moments;
use super::net::{ValueId, by_value, for_each_read};
use crate::equation::index::Ix;
use crate::equation::{Binary, Equation, Expr, Guard, Lit, Pos, Reducer, Unary};
use crate::tile::{Compute, Int, Mode, Reduce, ReduceOp, Stmt, TileId, TileKind, To, Val, Var};

pub fn build(ctx: &Context, group: &Group, name: &str) -> KernelBuilder {
    let mut b = KernelBuilder::new(name);
    let mut plan = Chunks::plan(ctx, group, &mut b);
    let around = fused_row_loops(ctx, group, &mut plan);
    let at_reader = compute_at::at_reader(ctx.net, group);
    let reference = reference_loops(ctx, group, &plan);
    let mut nest = Nest {
        ctx,
        group,
        plan,
        reference,
        at_reader,
        tiles: vec![],
        variances: vec![],
    };
    for i in (0..group.members.len())
        .filter(|i| !nest.at_reader[*i])
        .collect::<Vec<_>>()
    {
        nest.emit(i, &mut b);
    }
    for loop_ in around.into_iter().rev() {
        let body = std::mem::take(&mut b.kernel.body);
        b.push(Stmt::For {
            var: loop_.var,
            extent: loop_.extent,
            step: 1,
            body,
        });
    }
    b
}

/// Which of a sum's loops is the innermost decides its lanes, and so its bits: that is asked of the plan for one machine.
fn reference_loops(ctx: &Context, group: &Group, plan: &Chunks) -> Vec<usize> {
    let spaces = |plan: &Chunks| plan.inner.iter().map(|i| i.space).collect();
    let machine = ctx.net.numerics.reference;
    if ctx.machine == machine {
        return spaces(plan);
    }
    let ctx = Context { machine, ..*ctx };
    let mut reference = Chunks::plan(&ctx, group, &mut KernelBuilder::new("reference"));
    fused_row_loops(&ctx, group, &mut reference);
    spaces(&reference)
}

/// Takes the loops over a task's rows out of the plan, where members go over rows worth a pass each: the passes of a
/// multi-pass reduction are fused at row granularity, so that each hits L1.
fn fused_row_loops(ctx: &Context, group: &Group, plan: &mut Chunks) -> Vec<Inner> {
    let n = group.space.len();
    let passes = group.members.iter().filter(|m| {
        let own: i64 = m.extents()[n..].iter().product();
        own >= ctx.net.numerics.min_pass_elements
    });
    match passes.count() >= 2 && !plan.space_last && !plan.transposed {
        true => std::mem::take(&mut plan.inner),
        false => vec![],
    }
}

/// A kernel under construction: how its space is tiled, and where its members are.
struct Nest<'a> {
    ctx: &'a Context<'a>,
    group: &'a Group,
    plan: Chunks,
    /// The space's indices that have loops within a task of the reference machine, outermost first.
    reference: Vec<usize>,
    /// Members that are computed at their readers.
    at_reader: Vec<bool>,
    tiles: Vec<TiledMember>,
    /// Variances that were found with their means.
    variances: Vec<(ValueId, Val)>,
}

/// A member that stays in a tile: its address there for each of its variables.
struct TiledMember {
    value: ValueId,
    tile: TileId,
    /// Coefficient of each inner loop variable.
    inner: Vec<(Var, i64)>,
    /// Where a reader finds the member's own indices: (axis of the value, stride, place value among its digits).
    own: Vec<(usize, i64, Option<i64>)>,
}

impl Environment for Nest<'_> {
    fn ctx(&self) -> &Context<'_> {
        self.ctx
    }
    fn in_tile(&self, value: ValueId, at: &[Ix], vars: &[Int]) -> Option<Val> {
        let kept = self.tiles.iter().find(|k| k.value == value)?;
        let base = kept
            .inner
            .iter()
            .fold(int(0), |sum, (v, c)| add(sum, mul(Int::Var(*v), *c)));
        let address = kept.own.iter().fold(base, |sum, (axis, c, digit)| {
            let at = reading(&at[*axis], *digit);
            add(sum, mul(ix_to_int(&at, vars), *c))
        });
        Some(Val::Tile(kept.tile, address))
    }
    fn compute_at(
        &self,
        b: &mut KernelBuilder,
        value: ValueId,
        at: &[Ix],
        vars: &[Int],
    ) -> Option<Val> {
        let i = self.group.members.iter().position(|m| m.value == value)?;
        let member = self.at_reader[i].then(|| &self.group.members[i])?;
        let mut own = self.plan.vars.clone();
        let writes = positions(&member.equation);
        for v in self.group.space.len()..member.equation.free.len() {
            if member.equation.free[v] == 1 {
                own.push(int(0));
                continue;
            }
            let (axis, digit) = place_of(&writes, v);
            own.push(ix_to_int(&reading(&at[axis], digit), vars));
        }
        let extents = member.extents();
        let scope = Scope {
            vars: &own,
            extents: &extents,
            operands: &member.operands,
            env: self,
        };
        Some(scope.val(b, &member.equation.body))
    }
}

/// The axis that names a member's own index, and the index's place value if it is one digit of several.
fn place_of(writes: &[Ix], v: usize) -> (usize, Option<i64>) {
    let axis = writes
        .iter()
        .position(|w| w.coefficient(v) != 0)
        .expect("a member writes its own indices");
    let digit = (writes[axis].as_var() != Some(v)).then(|| writes[axis].coefficient(v));
    (axis, digit)
}

fn reading(at: &Ix, digit: Option<i64>) -> Ix {
    digit.map_or(at.clone(), |k| digit_at(at, k))
}

impl Nest<'_> {
    fn emit(&mut self, i: usize, b: &mut KernelBuilder) {
        let (ctx, group) = (self.ctx, self.group);
        let member = &group.members[i];
        let later = &group.members[i + 1..];
        // What is stored transposed waits in a tile; so does a reduction, anyway.
        let transposed = self.plan.transposed && member.equation.reducer == Reducer::Map;
        let read = |m: &Member| compute_at::reads(m, member.value) > 0 || is_mean_of(member, m);
        let kept = transposed || later.iter().any(read);
        let n = group.space.len();
        let extents = member.extents();
        let (vars, mut loops) = self.loops(member, b);
        let scope = Scope {
            vars: &vars,
            extents: &extents,
            operands: &member.operands,
            env: self,
        };
        let mean = self.mean_of(i, &scope, &vars);
        let mut found = None;
        let value = match moments::of(ctx, group, i, &scope, &loops, b) {
            Some(moments) => {
                found = Some((moments.of, moments.variance));
                moments.mean
            }
            None => match self.variances.iter().find(|v| v.0 == member.value) {
                Some((_, variance)) => variance.clone(),
                None => reduce(ctx, member, &scope, &loops, mean, b),
            },
        };
        let mut bounds = scope.bounds(&free_guards(&member.equation));
        // The one piece of a value writes all cells: zero where a guard fails, for readers in this kernel, too.
        let value = match !bounds.is_empty() && ctx.net.single(member.value).is_some() {
            true => Val::Guarded(std::mem::take(&mut bounds), Box::new(value), Lit::new(0.0)),
            false => value,
        };
        let address = ix_to_int(&out_address(ctx, member), &vars);
        self.variances.extend(found);
        let value = match kept {
            true => {
                let (kept, at) = keep(member, &loops.all, n, &value, b);
                let tile = kept.tile;
                if value != Val::Tile(tile, at.clone()) {
                    let compute = store(&dims_of(&loops.all), value, To::Tile(tile), at.clone());
                    b.push(Stmt::Compute(compute));
                }
                self.tiles.push(kept);
                Val::Tile(tile, at)
            }
            false => value,
        };
        if member.stored {
            if self.plan.transposed {
                let strides = out_strides(ctx, member);
                let loops = &mut loops.all;
                loops.sort_by_key(|(v, ..)| (-strides[*v].abs(), *v));
                lengthen_by(ctx, loops, |l| l.3);
            }
            let buffer = b.buffer(ctx.source(member.value), true);
            let mut compute = store(&dims_of(&loops.all), value, To::Buf(buffer), address);
            compute.bounds = bounds;
            compute.mode = ctx.store_mode(member.value);
            b.push(Stmt::Compute(compute));
        }
    }

    /// The mean that a variance is about, where an earlier member is just that.
    fn mean_of(&self, i: usize, scope: &Scope, vars: &[Int]) -> Option<Val> {
        let member = &self.group.members[i];
        let before = self.group.members[..i].iter();
        let mean = before.into_iter().find(|m| is_mean_of(m, member))?;
        scope
            .env
            .in_tile(mean.value, &positions(&mean.equation), vars)
    }

    /// The kernel's expression for each variable of the member, and its loops: those of the space and its own.
    fn loops(&self, member: &Member, b: &mut KernelBuilder) -> (Vec<Int>, Loops) {
        let n = self.group.space.len();
        let extents = member.extents();
        let mut vars = self.plan.vars.clone();
        let inner = self.plan.inner.iter();
        let mut loops: Vec<(usize, Var, Int, i64)> = inner
            .map(|i| (i.space, i.var, i.extent.clone(), i.size))
            .collect();
        let own_at = match self.plan.space_last && !loops.is_empty() {
            true => loops.len() - 1,
            false => loops.len(),
        };
        let strides = out_strides(self.ctx, member);
        let mut own: Vec<usize> = (n..member.equation.free.len()).collect();
        own.sort_by_key(|v| (-strides[*v].abs(), *v));
        for extent in &extents[n..] {
            vars.push(match extent {
                1 => int(0),
                _ => Int::Var(b.var()),
            });
        }
        own.retain(|v| extents[*v] > 1);
        for (i, v) in own.iter().enumerate() {
            let Int::Var(var) = vars[*v] else {
                unreachable!("extent above one")
            };
            loops.insert(own_at + i, (*v, var, int(extents[*v]), extents[*v]));
        }
        let own_last = own.last().copied();
        let innermost = match self.plan.space_last && !self.reference.is_empty() {
            true => self.reference.last().copied(),
            false => own_last.or(self.reference.last().copied()),
        };
        let all = loops;
        (vars, Loops { all, innermost })
    }
}

/// A member's loops within a task, outermost first: index, variable, extent, size of the chunk.
pub struct Loops {
    pub all: Vec<(usize, Var, Int, i64)>,
    /// The index whose loop is the innermost, as the plan for the reference machine has it.
    innermost: Option<usize>,
}

/// Whether `of` is a variance, and `m` the mean of its terms over the same indices.
pub fn is_mean_of(m: &Member, of: &Member) -> bool {
    let (a, b) = (&m.equation, &of.equation);
    if b.reducer != Reducer::Var {
        return false;
    }
    let share = 1.0 / b.reduced.iter().product::<i64>() as f64;
    let same = (&a.free, &a.reduced, &a.write) == (&b.free, &b.reduced, &b.write)
        && a.reducer == Reducer::Sum
        && a.guards.is_empty()
        && b.guards.is_empty();
    let Expr::Binary(Binary::Mul, k, body) = &a.body else {
        return false;
    };
    same && **k == Expr::Lit(Lit::new(share))
        && by_value(body, &m.operands) == by_value(&b.body, &of.operands)
}

fn dims_of(loops: &[(usize, Var, Int, i64)]) -> Vec<(Var, Int)> {
    loops.iter().map(|(_, v, e, _)| (*v, e.clone())).collect()
}

/// Guards that no reduced index moves: where one fails, nothing is written. A reduced index of one value (a long sum is cut into such) has
/// no loop, so that it leaves out the cell and not a term.
fn free_guards(equation: &Equation) -> Vec<Guard> {
    let (n, extents) = (equation.free.len(), equation.extents());
    let free = |g: &&Guard| {
        let mut all = true;
        g.index
            .for_each_var(&mut |v| all &= v < n || extents[v] == 1);
        all
    };
    equation.guards.iter().filter(free).cloned().collect()
}

fn store(dims: &[(Var, Int)], value: Val, to: To, at: Int) -> Compute {
    Compute {
        dims: dims.to_vec(),
        reduce: None,
        value,
        to,
        at,
        bounds: vec![],
        mode: Mode::Store,
    }
}

/// A tile for the member's value, and the value's place there: that which a reduction has filled, if it lies so.
fn keep(
    member: &Member,
    loops: &[(usize, Var, Int, i64)],
    n: usize,
    value: &Val,
    b: &mut KernelBuilder,
) -> (TiledMember, Int) {
    let mut stride = 1;
    let (mut inner, mut own, mut at) = (vec![], vec![], int(0));
    let writes = positions(&member.equation);
    for (v, var, _, size) in loops.iter().rev() {
        at = add(mul(Int::Var(*var), stride), at);
        if *v < n {
            inner.push((*var, stride));
        } else {
            let (axis, digit) = place_of(&writes, *v);
            own.push((axis, stride, digit));
        }
        stride *= size;
    }
    let tile = match value {
        Val::Tile(tile, place) if *place == at => *tile,
        _ => b.tile(&format!("t{}", b.kernel.tiles.len()), TileKind::F32, stride),
    };
    (
        TiledMember {
            value: member.value,
            tile,
            inner,
            own,
        },
        at,
    )
}

/// The member's value at a point of its loops; reductions are computed into tiles first.
fn reduce(
    ctx: &Context,
    member: &Member,
    scope: &Scope,
    loops: &Loops,
    mean: Option<Val>,
    b: &mut KernelBuilder,
) -> Val {
    let equation = &member.equation;
    let body = scope.val(b, &equation.body);
    if equation.reducer == Reducer::Map {
        return body;
    }
    let mut r = Reduction::new(ctx, member, scope, loops);
    let count: i64 = equation.reduced.iter().product();
    match equation.reducer {
        Reducer::Map => unreachable!("returned above"),
        Reducer::Sum => r.run(b, ReduceOp::Sum, body),
        Reducer::Max => r.run(b, ReduceOp::Max, body),
        Reducer::Min => r.run(b, ReduceOp::Min, body),
        Reducer::Lse => {
            let most = r.run(b, ReduceOp::Max, body.clone());
            let shifted = Val::Binary(Binary::Sub, Box::new(body), Box::new(most.clone()));
            let sum = r.run(b, ReduceOp::Sum, Val::Unary(Unary::Exp, Box::new(shifted)));
            Val::Binary(
                Binary::Add,
                Box::new(most),
                Box::new(Val::Unary(Unary::Log, Box::new(sum))),
            )
        }
        Reducer::Var => {
            let share = Val::Lit(Lit::new(1.0 / count as f64));
            let times = |v: Val| Val::Binary(Binary::Mul, Box::new(v), Box::new(share.clone()));
            let mean = mean.unwrap_or_else(|| {
                let sum = r.run(b, ReduceOp::Sum, body.clone());
                r.settle(b, times(sum))
            });
            let off = Val::Binary(Binary::Sub, Box::new(body), Box::new(mean));
            let squares = r.run(
                b,
                ReduceOp::Sum,
                Val::Binary(Binary::Mul, Box::new(off.clone()), Box::new(off)),
            );
            times(squares)
        }
    }
}

/// Passes over the reduced indices of one member, each into a tile over the member's loops.
pub struct Reduction {
    dims: Vec<(Var, Int)>,
    len: i64,
    at: Int,
    pub reduced: Vec<(Var, Int)>,
    pub lanes: u8,
    bounds: Vec<crate::tile::Bound>,
}

impl Reduction {
    pub fn new(ctx: &Context, member: &Member, scope: &Scope, loops: &Loops) -> Reduction {
        let (mut at, mut len) = (int(0), 1);
        for (_, var, _, size) in loops.all.iter().rev() {
            at = add(mul(Int::Var(*var), len), at);
            len *= size;
        }
        let n = &ctx.net.numerics;
        let n_free = member.equation.free.len();
        let extents = member.extents();
        let step = |v: usize| read_steps(ctx, member, v);
        let along_free = loops
            .innermost
            .is_some_and(|v| extents[v] >= n.min_adjacent_sums && step(v).contains(&1));
        let mut order: Vec<usize> = (n_free..extents.len())
            .filter(|v| extents[*v] > 1)
            .collect();
        order.sort_by_key(|v| (step(*v).contains(&1), *v));
        let last = order.last().filter(|v| step(**v).contains(&1));
        let length = last.map_or(0, |v| extents[*v]);
        // Where addresses are computed, only the reduced index has adjacent elements.
        let mut gathers = false;
        for_each_read(&member.equation.body, &mut |r| {
            gathers |= r.at.iter().any(|p| matches!(p, Pos::Computed(_)));
        });
        let lanes = match gathers || !along_free {
            true if length >= n.min_two_chains_terms => 32,
            true if length >= n.min_whole_chains_terms && length % 32 == 0 => 32,
            true if length >= n.min_chain_terms => 16,
            _ => 1,
        };
        let reduced = order
            .iter()
            .map(|v| {
                let Int::Var(var) = scope.vars[*v] else {
                    unreachable!("extent above one")
                };
                (var, int(extents[*v]))
            })
            .collect();
        Reduction {
            dims: dims_of(&loops.all),
            len,
            at,
            reduced,
            lanes,
            bounds: scope.bounds(&member.equation.guards),
        }
    }

    /// The same cells, from other terms.
    pub fn over(&self, reduced: Vec<(Var, Int)>, lanes: u8) -> Reduction {
        Reduction {
            dims: self.dims.clone(),
            at: self.at.clone(),
            bounds: self.bounds.clone(),
            len: self.len,
            reduced,
            lanes,
        }
    }

    pub fn run(&mut self, b: &mut KernelBuilder, op: ReduceOp, value: Val) -> Val {
        let tile = b.tile(
            &format!("r{}", b.kernel.tiles.len()),
            TileKind::F32,
            self.len,
        );
        let reduce = (!self.reduced.is_empty()).then(|| Reduce {
            dims: self.reduced.clone(),
            op,
            lanes: self.lanes,
        });
        b.push(Stmt::Compute(Compute {
            dims: self.dims.clone(),
            reduce,
            value,
            to: To::Tile(tile),
            at: self.at.clone(),
            bounds: self.bounds.clone(),
            mode: Mode::Store,
        }));
        Val::Tile(tile, self.at.clone())
    }

    /// Stores a value of the member's loops, so that a later pass may read it.
    pub fn settle(&mut self, b: &mut KernelBuilder, value: Val) -> Val {
        let tile = b.tile(
            &format!("r{}", b.kernel.tiles.len()),
            TileKind::F32,
            self.len,
        );
        let compute = store(&self.dims, value, To::Tile(tile), self.at.clone());
        b.push(Stmt::Compute(compute));
        Val::Tile(tile, self.at.clone())
    }
}
