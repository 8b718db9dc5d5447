//! Loop nests: pointwise maps, reductions and gathers, several equations over one space in one kernel.
//!
//! A task takes a chunk of the space. Members are computed in order; what later members read stays in a tile.

use super::group::{Context, Group, Member};
use super::layout::Layout;
use super::lower::{Environment, KernelBuilder, Scope, Source, add, int, ix_to_int, mul};
use super::net::{ValueId, for_each_read};
use crate::equation::index::Ix;
use crate::equation::{Binary, Equation, Guard, Lit, Pos, Reducer, Unary};
use crate::tile::{Compute, Int, Mode, Reduce, ReduceOp, Stmt, TileId, TileKind, To, Val, Var};

/// Points of one task, where the work at a point is one.
const POINTS: i64 = 8192;
/// Least number of adjacent elements in a chunk.
const RUN: i64 = 64;

pub fn build(ctx: &Context, group: &Group, name: &str) -> KernelBuilder {
    let mut b = KernelBuilder::new(name);
    let plan = Chunks::plan(ctx, group, &mut b);
    let mut tiles: Vec<Kept> = vec![];
    for (i, member) in group.members.iter().enumerate() {
        let kept = group.members[i + 1..]
            .iter()
            .any(|m| reads(m, member.value));
        emit_member(ctx, group, &plan, member, kept, &mut tiles, &mut b);
    }
    b
}

fn reads(member: &Member, value: ValueId) -> bool {
    let mut found = false;
    for_each_read(&member.equation.body, &mut |r| {
        found |= member.operands[r.operand] == value
    });
    found
}

/// How the space is cut: tasks over the outer part, loops over the inner part.
struct Chunks {
    /// The kernel's expression for each index of the space.
    vars: Vec<Int>,
    /// Inner loops, outermost first: index of the space, loop variable, extent, size of the chunk.
    inner: Vec<Inner>,
    /// The innermost loop runs over adjacent elements, members' own indices around it.
    space_last: bool,
}

#[derive(Clone)]
struct Inner {
    space: usize,
    var: Var,
    extent: Int,
    size: i64,
}

impl Chunks {
    fn plan(ctx: &Context, group: &Group, b: &mut KernelBuilder) -> Chunks {
        let n = group.space.len();
        let lead = group
            .members
            .iter()
            .rev()
            .find(|m| m.stored)
            .unwrap_or(&group.members[0]);
        let strides = out_strides(ctx, lead);
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by_key(|v| (-strides[*v].abs(), *v));
        lengthen(&mut order, &group.space);
        let own_least = strides[n..]
            .iter()
            .filter(|s| **s != 0)
            .map(|s| s.abs())
            .min()
            .unwrap_or(i64::MAX);
        let space_last = order.last().is_some_and(|v| strides[*v].abs() <= own_least);
        let work = group
            .members
            .iter()
            .map(|m| m.extents()[n..].iter().product::<i64>())
            .max()
            .unwrap_or(1)
            .max(1);
        let mut chunks = Chunks {
            vars: vec![int(0); n],
            inner: vec![],
            space_last,
        };
        let mut budget = (POINTS / work).max(1);
        for (i, &v) in order.iter().rev().enumerate() {
            let extent = group.space[v];
            let least = if i == 0 && space_last {
                RUN.min(extent)
            } else {
                1
            };
            let size = budget.max(least).min(extent);
            let size = if size < extent && size > 16 {
                size / 16 * 16
            } else {
                size
            };
            chunks.cut(v, extent, size, b);
            budget = if size < extent { 0 } else { budget / extent };
            budget = budget.max(1);
            if size < extent {
                budget = 1;
            }
        }
        b.kernel.tasks.reverse();
        chunks.inner.reverse();
        chunks
    }

    fn cut(&mut self, v: usize, extent: i64, size: i64, b: &mut KernelBuilder) {
        let task = (size < extent).then(|| b.task(extent, size));
        if size == 1 && extent > 1 {
            self.vars[v] = Int::Var(task.expect("size 1 of more"));
            return;
        }
        if extent == 1 {
            return;
        }
        let var = b.var();
        let start = task.map_or(int(0), Int::Var);
        let left = match (task, extent % size) {
            (None, _) | (_, 0) => int(size),
            (Some(t), _) => Int::Min(
                Box::new(int(size)),
                Box::new(Int::Sub(Box::new(int(extent)), Box::new(Int::Var(t)))),
            ),
        };
        self.vars[v] = add(start, Int::Var(var));
        self.inner.push(Inner {
            space: v,
            var,
            extent: left,
            size,
        });
    }
}

/// Where the adjacent index is short (pixel shuffle: two), the next long one runs innermost: rows of two elements
/// would be all overhead.
fn lengthen(order: &mut Vec<usize>, space: &[i64]) {
    const SHORT: i64 = 8;
    if order.last().is_none_or(|v| space[*v] >= SHORT) {
        return;
    }
    if let Some(at) = order.iter().rposition(|v| space[*v] >= SHORT) {
        let long = order.remove(at);
        order.push(long);
    }
}

/// Element stride of the output for each free variable; 0 if it has none.
fn out_strides(ctx: &Context, member: &Member) -> Vec<i64> {
    let address = out_address(ctx, member);
    (0..member.equation.free.len())
        .map(|v| address.coefficient(v))
        .collect()
}

fn out_address(ctx: &Context, member: &Member) -> Ix {
    ctx.layout(member.value)
        .address(&positions(&member.equation))
}

pub fn positions(equation: &Equation) -> Vec<Ix> {
    let at = |p: &Pos| match p {
        Pos::Ix(ix) => ix.clone(),
        Pos::Computed(_) => panic!("a computed write outside of a scatter"),
    };
    equation.write.iter().map(at).collect()
}

/// A member that stays in a tile: its address there for each of its variables.
struct Kept {
    value: ValueId,
    tile: TileId,
    /// Coefficient of each inner loop variable.
    inner: Vec<(Var, i64)>,
    /// (axis of the value, stride) of the member's own indices.
    own: Vec<(usize, i64)>,
}

struct NestEnv<'a> {
    ctx: &'a Context<'a>,
    tiles: &'a [Kept],
}

impl Environment for NestEnv<'_> {
    fn layout(&self, value: ValueId) -> &Layout {
        self.ctx.layout(value)
    }
    fn shape(&self, value: ValueId) -> &[i64] {
        &self.ctx.net.values[value].shape
    }
    fn source(&self, value: ValueId) -> Source {
        self.ctx.source(value)
    }
    fn in_tile(&self, value: ValueId, at: &[Ix], vars: &[Int]) -> Option<Val> {
        let kept = self.tiles.iter().find(|k| k.value == value)?;
        let base = kept
            .inner
            .iter()
            .fold(int(0), |sum, (v, c)| add(sum, mul(Int::Var(*v), *c)));
        let address = kept.own.iter().fold(base, |sum, (axis, c)| {
            add(sum, mul(ix_to_int(&at[*axis], vars), *c))
        });
        Some(Val::Tile(kept.tile, address))
    }
}

fn emit_member(
    ctx: &Context,
    group: &Group,
    plan: &Chunks,
    member: &Member,
    kept: bool,
    tiles: &mut Vec<Kept>,
    b: &mut KernelBuilder,
) {
    let n = group.space.len();
    let extents = member.extents();
    let mut vars = plan.vars.clone();
    let mut loops: Vec<(usize, Var, Int, i64)> = plan
        .inner
        .iter()
        .map(|i| (i.space, i.var, i.extent.clone(), i.size))
        .collect();
    let own_at = if plan.space_last && !loops.is_empty() {
        loops.len() - 1
    } else {
        loops.len()
    };
    let strides = out_strides(ctx, member);
    let mut own: Vec<usize> = (n..member.equation.free.len()).collect();
    own.sort_by_key(|v| (-strides[*v].abs(), *v));
    for v in n..extents.len() {
        vars.push(if extents[v] == 1 {
            int(0)
        } else {
            Int::Var(b.var())
        });
    }
    for (i, v) in own.iter().filter(|v| extents[**v] > 1).enumerate() {
        let Int::Var(var) = vars[*v] else {
            unreachable!("extent above one")
        };
        loops.insert(own_at + i, (*v, var, int(extents[*v]), extents[*v]));
    }
    let value = {
        let env = NestEnv { ctx, tiles };
        let scope = Scope {
            vars: &vars,
            extents: &extents,
            operands: &member.operands,
            env: &env,
        };
        reduce(ctx, member, &scope, &loops, b)
    };
    let dims: Vec<(Var, Int)> = loops.iter().map(|(_, v, e, _)| (*v, e.clone())).collect();
    let kept = kept.then(|| keep(member, &loops, n, b));
    let address = ix_to_int(&out_address(ctx, member), &vars);
    let bounds = {
        let env = NestEnv { ctx, tiles };
        let scope = Scope {
            vars: &vars,
            extents: &extents,
            operands: &member.operands,
            env: &env,
        };
        scope.bounds(&free_guards(&member.equation))
    };
    let value = match kept {
        Some((kept, at)) => {
            b.push(store(&dims, value, To::Tile(kept.tile), at.clone()));
            let tile = kept.tile;
            tiles.push(kept);
            Val::Tile(tile, at)
        }
        None => value,
    };
    if member.stored {
        let buffer = b.buffer(ctx.source(member.value), true);
        let Stmt::Compute(mut compute) = store(&dims, value, To::Buf(buffer), address) else {
            unreachable!("store makes a Compute")
        };
        compute.bounds = bounds;
        compute.mode = ctx.store_mode(member.value);
        b.push(Stmt::Compute(compute));
    }
}

/// Guards on free indices alone: where one fails, nothing is written.
fn free_guards(equation: &Equation) -> Vec<Guard> {
    let n = equation.free.len();
    let free = |g: &&Guard| {
        let mut all = true;
        g.index.for_each_var(&mut |v| all &= v < n);
        all
    };
    equation.guards.iter().filter(free).cloned().collect()
}

fn store(dims: &[(Var, Int)], value: Val, to: To, at: Int) -> Stmt {
    Stmt::Compute(Compute {
        dims: dims.to_vec(),
        reduce: None,
        value,
        to,
        at,
        bounds: vec![],
        mode: Mode::Store,
    })
}

fn keep(
    member: &Member,
    loops: &[(usize, Var, Int, i64)],
    n: usize,
    b: &mut KernelBuilder,
) -> (Kept, Int) {
    let mut stride = 1;
    let (mut inner, mut own, mut at) = (vec![], vec![], int(0));
    let writes = positions(&member.equation);
    for (v, var, _, size) in loops.iter().rev() {
        at = add(mul(Int::Var(*var), stride), at);
        if *v < n {
            inner.push((*var, stride));
        } else {
            let axis = writes
                .iter()
                .position(|w| w.as_var() == Some(*v))
                .expect("a kept member writes its own indices plainly");
            own.push((axis, stride));
        }
        stride *= size;
    }
    let tile = b.tile(&format!("t{}", b.kernel.tiles.len()), TileKind::F32, stride);
    (
        Kept {
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
    loops: &[(usize, Var, Int, i64)],
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
            let sum = r.run(b, ReduceOp::Sum, body.clone());
            let mean = r.settle(b, times(sum));
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
struct Reduction {
    dims: Vec<(Var, Int)>,
    len: i64,
    at: Int,
    reduced: Vec<(Var, Int)>,
    lanes: u8,
    bounds: Vec<crate::tile::Bound>,
}

impl Reduction {
    fn new(
        ctx: &Context,
        member: &Member,
        scope: &Scope,
        loops: &[(usize, Var, Int, i64)],
    ) -> Reduction {
        let (mut at, mut len) = (int(0), 1);
        for (_, var, _, size) in loops.iter().rev() {
            at = add(mul(Int::Var(*var), len), at);
            len *= size;
        }
        let n_free = member.equation.free.len();
        let extents = member.extents();
        let innermost_free = loops.last().map(|l| l.0);
        let step = |v: usize| read_steps(ctx, member, v);
        let along_free = innermost_free.is_some_and(|v| extents[v] >= 4 && step(v).contains(&1));
        let mut order: Vec<usize> = (n_free..extents.len())
            .filter(|v| extents[*v] > 1)
            .collect();
        order.sort_by_key(|v| (step(*v).contains(&1), *v));
        let last_long = order
            .last()
            .is_some_and(|v| extents[*v] >= 16 && step(*v).contains(&1));
        // Where addresses are computed, only the reduced index has adjacent elements.
        let mut gathers = false;
        for_each_read(&member.equation.body, &mut |r| {
            gathers |= r.at.iter().any(|p| matches!(p, Pos::Computed(_)));
        });
        let lanes = if (gathers || !along_free) && last_long {
            16
        } else {
            1
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
        let dims = loops.iter().map(|(_, v, e, _)| (*v, e.clone())).collect();
        Reduction {
            dims,
            len,
            at,
            reduced,
            lanes,
            bounds: scope.bounds(&member.equation.guards),
        }
    }

    fn run(&mut self, b: &mut KernelBuilder, op: ReduceOp, value: Val) -> Val {
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
    fn settle(&mut self, b: &mut KernelBuilder, value: Val) -> Val {
        let tile = b.tile(
            &format!("r{}", b.kernel.tiles.len()),
            TileKind::F32,
            self.len,
        );
        b.push(store(&self.dims, value, To::Tile(tile), self.at.clone()));
        Val::Tile(tile, self.at.clone())
    }
}

/// Address steps of the member's affine reads in variable v.
fn read_steps(ctx: &Context, member: &Member, v: usize) -> Vec<i64> {
    let mut steps = vec![];
    for_each_read(&member.equation.body, &mut |r| {
        let layout = ctx.layout(member.operands[r.operand]);
        let step = r.at.iter().zip(&layout.strides).map(|(p, s)| match p {
            Pos::Ix(ix) => ix.coefficient(v) * s,
            Pos::Computed(_) => 0,
        });
        steps.push(step.sum());
    });
    steps
}
