//! How the iteration space of a loop nest is tiled: tasks over the outer part, loops over the inner part.
//!
//! Enters a group with the layouts of what it reads and writes; leaves the kernel's expression for each index. Extents
//! and layouts alone decide, never the number of threads.

use super::group::{Context, Group, Member};
use super::lower::{KernelBuilder, add, int};
use super::net::for_each_read;
use crate::equation::cost::cost;
use crate::equation::index::Ix;
use crate::equation::{Equation, Expr, Pos, Read, Reducer};
use crate::tile::interpret::uses;
use crate::tile::{Int, Var};
use vsr_artifact::machine::Machine;

/// Points of one task, where the work at a point is one: their results fill a first-level cache. Not more than the terms from which
/// on a mean is found block by block: then each is a task of its own, on every machine.
fn task_points(ctx: &Context) -> i64 {
    ctx.machine.l1().min(ctx.net.numerics.max_cached_terms)
}

/// Adjacent elements of a chunk: of a row at least, of a transposed block at most.
fn chunk_elements(m: &Machine) -> i64 {
    4 * m.line()
}

pub struct Chunks {
    /// The kernel's expression for each index of the space.
    pub vars: Vec<Int>,
    /// Inner loops, outermost first.
    pub inner: Vec<Inner>,
    /// The innermost loop runs over adjacent elements, members' own indices around it.
    pub space_last: bool,
    /// The innermost loop runs over adjacent elements of an operand; results are stored transposed, from a tile.
    pub transposed: bool,
}

/// An inner loop: index of the space, loop variable, extent, size of the chunk.
#[derive(Clone)]
pub struct Inner {
    pub space: usize,
    pub var: Var,
    pub extent: Int,
    pub size: i64,
}

impl Chunks {
    pub fn plan(ctx: &Context, group: &Group, b: &mut KernelBuilder) -> Chunks {
        let n = group.space.len();
        // The largest result decides how loops run; of several, the last.
        let elements = |m: &&Member| m.equation.free.iter().product::<i64>();
        let stored = group.members.iter().filter(|m| m.stored);
        let lead = stored.max_by_key(elements).unwrap_or(&group.members[0]);
        let strides = out_strides(ctx, lead);
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by_key(|v| (-strides[*v].abs(), *v));
        // Where the adjacent index is short (pixel shuffle: two), the next long one runs innermost: rows of two elements
        // would be all overhead.
        lengthen_by(ctx, &mut order, |v| group.space[*v]);
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
            transposed: false,
        };
        let transposed =
            along_operand(ctx, group, &order).or_else(|| along_maths(ctx, group, &order));
        let machine = &ctx.machine;
        match transposed.filter(|_| space_last) {
            Some(by_operand) => chunks.tile_across(ctx, group, (&order, &by_operand), work, b),
            None => match strided_map(ctx, group, &order) {
                Some(StridedMap::Copy(along)) => {
                    chunks.tile_block(ctx, group, (&order, along), chunk_elements(machine), b)
                }
                Some(StridedMap::Computed(by_operand)) => {
                    chunks.transposed = true;
                    let along = order[order.len() - 1];
                    let run = 2 * chunk_elements(machine);
                    chunks.tile_block(ctx, group, (&by_operand, along), run, b);
                }
                None => chunks.tile_along(ctx, group, &order, work, b),
            },
        }
        b.kernel.tasks.reverse();
        chunks.inner.reverse();
        chunks.repeat_reads_soon(ctx, group, b);
        chunks
    }

    /// Tasks that read the same, the planes of a Winograd transform, follow each other: then it is read from memory once.
    fn repeat_reads_soon(&self, ctx: &Context, group: &Group, b: &mut KernelBuilder) {
        let reads = large_reads(ctx, group);
        let moves = |var: Var| {
            let space = self.vars.iter().position(|e| uses(e, var));
            space.is_none_or(|v| reads.iter().any(|read| read[v]))
        };
        if !reads.is_empty() {
            b.kernel.tasks.sort_by_key(|axis| !moves(axis.var));
        }
    }

    /// From the innermost index outwards, until a task has enough to do.
    fn tile_along(
        &mut self,
        ctx: &Context,
        group: &Group,
        order: &[usize],
        work: i64,
        b: &mut KernelBuilder,
    ) {
        // Rows that several members pass over stay in L1.
        let own = |m: &Member| m.equation.free.len() > group.space.len();
        let machine = &ctx.machine;
        let points = match work >= chunk_elements(machine) && group.members.iter().any(own) {
            true => task_points(ctx) / 2,
            false => task_points(ctx),
        };
        let mut budget = (points / work).max(1);
        for (i, &v) in order.iter().rev().enumerate() {
            let extent = group.space[v];
            let adjacent = || group.members.iter().any(|m| unit(ctx, m, v));
            let least = match i == 0 && self.space_last && adjacent() {
                true => chunk_elements(machine).min(extent),
                false => 1,
            };
            let size = rounded(machine, budget.max(least), extent);
            self.split(v, extent, size, b);
            budget = if size < extent {
                1
            } else {
                (budget / extent).max(1)
            };
        }
    }

    /// Loops in the order of the operand's memory, with enough of the result's adjacent index for whole lines.
    fn tile_across(
        &mut self,
        ctx: &Context,
        group: &Group,
        (order, by_operand): (&[usize], &[usize]),
        work: i64,
        b: &mut KernelBuilder,
    ) {
        self.transposed = true;
        let machine = &ctx.machine;
        let mut budget = (task_points(ctx) / work).max(1);
        for (i, &v) in by_operand.iter().rev().enumerate() {
            let extent = group.space[v];
            let least = match order.last() == Some(&v) {
                true => machine.line(),
                false if i == 0 => chunk_elements(machine),
                false => 1,
            };
            let size = rounded(machine, budget.max(least), extent);
            self.split(v, extent, size, b);
            budget = (budget / size).max(1);
        }
    }

    /// Of a transposition: at most `run` of the order's last index and, around it, of the one that is adjacent on the
    /// other side.
    fn tile_block(
        &mut self,
        ctx: &Context,
        group: &Group,
        (order, across): (&[usize], usize),
        run: i64,
        b: &mut KernelBuilder,
    ) {
        let mut order: Vec<usize> = order.iter().copied().filter(|v| *v != across).collect();
        order.insert(order.len() - 1, across);
        // Loads of a block overlap the stores of the one before, from its tile: L1 holds both.
        let machine = &ctx.machine;
        let mut budget = match self.transposed {
            true => task_points(ctx) / 4,
            false => task_points(ctx),
        };
        for (i, &v) in order.iter().rev().enumerate() {
            let extent = group.space[v];
            let most = if i == 0 { run } else { budget };
            let size = rounded(machine, budget.min(most).max(1), extent);
            self.split(v, extent, size, b);
            budget = (budget / size).max(1);
        }
    }

    fn split(&mut self, v: usize, extent: i64, size: i64, b: &mut KernelBuilder) {
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

/// For each read of more elements than L1 holds, which indices of the space it depends on.
fn large_reads(ctx: &Context, group: &Group) -> Vec<Vec<bool>> {
    let large = 2 * ctx.machine.l1();
    let n = group.space.len();
    let mut found = vec![];
    for member in &group.members {
        let extents = member.extents();
        for_each_read(&member.equation.body, &mut |r| {
            let mut used = vec![false; extents.len()];
            for p in &r.at {
                match p {
                    Pos::Ix(ix) => ix.for_each_var(&mut |v| used[v] = true),
                    Pos::Computed(e) => super::contraction::mark(e, &mut used),
                }
            }
            let reached = used.iter().zip(&extents).filter(|(used, _)| **used);
            if reached.map(|(_, e)| *e).product::<i64>() >= large {
                used.truncate(n);
                found.push(used);
            }
        });
    }
    found
}

fn rounded(m: &Machine, size: i64, extent: i64) -> i64 {
    let (size, line) = (size.min(extent), m.line());
    match size < extent && size > line {
        true => size / line * line,
        false => size,
    }
}

/// Puts the last of the long loops innermost, where the innermost one is short.
pub fn lengthen_by<T>(ctx: &Context, order: &mut Vec<T>, extent: impl Fn(&T) -> i64) {
    let is_long = |v: &T| extent(v) >= ctx.net.numerics.min_innermost_extent;
    if order.last().is_none_or(is_long) {
        return;
    }
    if let Some(at) = order.iter().rposition(is_long) {
        let long = order.remove(at);
        order.push(long);
    }
}

/// The order in which a reduction should run although its results lie otherwise: that of its largest operand, if it is
/// much larger than the result.
fn along_operand(ctx: &Context, group: &Group, order: &[usize]) -> Option<Vec<usize>> {
    let first = &group.members[0];
    let n = group.space.len();
    let terms: i64 = first.extents()[n..].iter().product();
    let last = *order.last()?;
    let numerics = &ctx.net.numerics;
    let few = terms < numerics.min_across_terms || group.space[last] < numerics.min_across_extent;
    if first.equation.reducer == Reducer::Map || few {
        return None;
    }
    let steps = largest_read(ctx, first)?;
    let moving = |v: &usize| steps[*v] != 0 && group.space[*v] > 1;
    let mut sorted = order.to_vec();
    sorted.sort_by_key(|v| match moving(v) {
        true => std::cmp::Reverse(steps[*v].abs()),
        false => std::cmp::Reverse(i64::MAX),
    });
    let differs = sorted
        .iter()
        .filter(|v| moving(v))
        .ne(order.iter().filter(|v| moving(v)));
    differs.then_some(sorted)
}

/// A map whose operands are contiguous along another index than its results.
enum StridedMap {
    /// What is read is what is written: that index.
    Copy(usize),
    /// The order that the operands lie in.
    Computed(Vec<usize>),
}

fn strided_map(ctx: &Context, group: &Group, order: &[usize]) -> Option<StridedMap> {
    let [member] = group.members.as_slice() else {
        return None;
    };
    let equation = &member.equation;
    let last = *order.last()?;
    let long = |v: usize| group.space[v] >= ctx.machine.line() / 2;
    let adjacent = out_strides(ctx, member).get(last) == Some(&1);
    if equation.reducer != Reducer::Map || !equation.guards.is_empty() || !adjacent || !long(last) {
        return None;
    }
    let mut reads = vec![];
    for_each_read(&equation.body, &mut |r| reads.push(r.clone()));
    let computed = |r: &Read| r.at.iter().any(|p| matches!(p, Pos::Computed(_)));
    if reads.iter().any(computed) {
        return None;
    }
    let steps = largest_read(ctx, member)?;
    let along = (0..group.space.len()).find(|v| *v != last && steps[*v] == 1 && long(*v))?;
    if steps[last] <= 1 || reads.iter().any(|r| step_of(ctx, member, r, along) > 1) {
        return None;
    }
    if matches!(equation.body, Expr::Read(_)) {
        return Some(StridedMap::Copy(along));
    }
    let mut sorted: Vec<usize> = order.iter().copied().filter(|v| *v != along).collect();
    sorted.sort_by_key(|v| std::cmp::Reverse(steps[*v].abs()));
    sorted.push(along);
    Some(StridedMap::Computed(sorted))
}

/// The order in which maths should run where results lie otherwise (pixel shuffle): calls want rows, and only the
/// operand has them.
fn along_maths(ctx: &Context, group: &Group, order: &[usize]) -> Option<Vec<usize>> {
    let [member] = group.members.as_slice() else {
        return None;
    };
    let maths = cost(&member.equation.body).maths > 0;
    if member.equation.reducer != Reducer::Map || !member.equation.guards.is_empty() || !maths {
        return None;
    }
    let steps = largest_read(ctx, member)?;
    if (0..order.len()).any(|v| steps[v] == 0 && group.space[v] > 1) {
        return None;
    }
    let mut sorted = order.to_vec();
    sorted.sort_by_key(|v| std::cmp::Reverse(steps[*v].abs()));
    let run = |order: &[usize]| {
        let mut length = 1;
        for v in order.iter().rev().filter(|v| group.space[**v] > 1) {
            if steps[*v] != length {
                break;
            }
            length *= group.space[*v];
        }
        length
    };
    let line = ctx.machine.line();
    (run(order) < line / 2 && run(&sorted) >= line).then_some(sorted)
}

/// Address steps, for each variable, of the affine read that reaches most elements.
pub fn largest_read(ctx: &Context, member: &Member) -> Option<Vec<i64>> {
    let extents = member.extents();
    let mut largest: Option<(i64, Vec<i64>)> = None;
    for_each_read(&member.equation.body, &mut |r| {
        if r.at.iter().any(|p| matches!(p, Pos::Computed(_))) {
            return;
        }
        let steps: Vec<i64> = (0..extents.len())
            .map(|v| step_of(ctx, member, r, v))
            .collect();
        let moving = steps.iter().zip(&extents).filter(|(s, _)| **s != 0);
        let size = moving.map(|(_, e)| *e).product();
        if largest.as_ref().is_none_or(|(most, _)| size > *most) {
            largest = Some((size, steps));
        }
    });
    largest.map(|(_, steps)| steps)
}

/// Element stride of the output for each free variable; 0 if it has none.
pub fn out_strides(ctx: &Context, member: &Member) -> Vec<i64> {
    let address = out_address(ctx, member);
    (0..member.equation.free.len())
        .map(|v| address.coefficient(v))
        .collect()
}

pub fn out_address(ctx: &Context, member: &Member) -> Ix {
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

/// Whether a read or the result has adjacent elements along v.
fn unit(ctx: &Context, member: &Member, v: usize) -> bool {
    let alone = member.equation.reducer == Reducer::Map && out_strides(ctx, member)[v].abs() == 1;
    alone || read_steps(ctx, member, v).contains(&1)
}

/// Address steps of the member's affine reads in variable v.
pub fn read_steps(ctx: &Context, member: &Member, v: usize) -> Vec<i64> {
    let mut steps = vec![];
    for_each_read(&member.equation.body, &mut |r| {
        steps.push(step_of(ctx, member, r, v));
    });
    steps
}

fn step_of(ctx: &Context, member: &Member, read: &Read, v: usize) -> i64 {
    let layout = ctx.layout(member.operands[read.operand]);
    let step = read.at.iter().zip(&layout.strides).map(|(p, s)| match p {
        Pos::Ix(ix) => ix.coefficient(v) * s,
        Pos::Computed(_) => 0,
    });
    step.sum()
}
