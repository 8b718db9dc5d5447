//! Scatter kernels: zero, then add contributions in a fixed order. A task owns what it writes.
//!
//! Indices that a write position names bare are split over tasks; all others run inside a task, in order.

use super::chunks::largest_read;
use super::group::{Context, Group, Member};
use super::lower::{Environment, KernelBuilder, Scope, add, int, ix_to_int, mul};
use crate::equation::index::Atom;
use crate::equation::{Equation, Pos};
use crate::tile::{Bound, Compute, Int, Mode, Stmt, To, Var};

struct ScatterEnv<'a>(&'a Context<'a>);

impl Environment for ScatterEnv<'_> {
    fn ctx(&self) -> &Context<'_> {
        self.0
    }
}

pub fn build(ctx: &Context, group: &Group, name: &str) -> KernelBuilder {
    let mut b = KernelBuilder::new(name);
    let member = &group.members[0];
    let equation = &member.equation;
    let extents = member.extents();
    let layout = ctx.layout(member.value);
    let owned = owned(equation, &extents);
    let mut vars = vec![int(0); extents.len()];
    let (mut dims, mut last): (Vec<(Var, Int)>, Vec<(Var, Int)>) = (vec![], vec![]);
    let order = order(ctx, member, &owned, &extents);
    // Adjacent elements that a task owns; tasks that are enough for all threads: beyond them, an operand's rows stay together.
    let machine = &ctx.machine;
    let (task_elements, min_tasks) = (2 * machine.line(), 4 * machine.threads);
    let (mut n_tasks, mut apart) = (1, true);
    for v in order.into_iter().filter(|v| extents[*v] > 1) {
        let adjacent = |o: &OwnedIndex| layout.strides[o.axis] * o.coefficient == 1;
        let own = owned.iter().find(|o| o.var == v);
        apart &= own.is_some();
        match own {
            Some(o) if adjacent(o) && n_tasks < min_tasks => {
                let task = b.task(extents[v], task_elements);
                let var = b.var();
                let left = Int::Sub(Box::new(int(extents[v])), Box::new(Int::Var(task)));
                last.push((var, Int::Min(Box::new(int(task_elements)), Box::new(left))));
                vars[v] = add(Int::Var(task), Int::Var(var));
            }
            Some(o) if !adjacent(o) && (apart || n_tasks < min_tasks) => {
                vars[v] = Int::Var(b.task(extents[v], 1));
                n_tasks *= extents[v];
            }
            own => {
                let var = b.var();
                let inner = own.is_some_and(adjacent);
                let dims = if inner { &mut last } else { &mut dims };
                dims.push((var, int(extents[v])));
                vars[v] = Int::Var(var);
            }
        }
    }
    dims.extend(last);
    let env = ScatterEnv(ctx);
    let scope = Scope {
        vars: &vars,
        extents: &extents,
        operands: &member.operands,
        env: &env,
    };
    let value = scope.val(&mut b, &equation.body);
    let mut bounds = scope.bounds(&equation.guards);
    let mut at = int(layout.base);
    for (axis, p) in equation.write.iter().enumerate() {
        let extent = ctx.net.values[member.value].shape[axis];
        let index = match p {
            Pos::Ix(ix) => ix_to_int(ix, &vars),
            Pos::Computed(e) => scope.int(&mut b, e, extent),
        };
        let inside = matches!(p, Pos::Ix(ix) if { let (lo, hi) = ix.range(&extents); lo >= 0 && hi < extent });
        if !inside {
            bounds.push(Bound {
                index: index.clone(),
                extent: int(extent),
            });
        }
        at = add(at, mul(index, layout.strides[axis]));
    }
    let buffer = b.buffer(ctx.source(member.value), true);
    b.kernel.buffers[buffer as usize].kind = crate::tile::BufferKind::InOut;
    b.push(Stmt::Compute(Compute {
        dims,
        reduce: None,
        value,
        to: To::Buf(buffer),
        at,
        bounds,
        mode: Mode::Add,
    }));
    b
}

/// Indices as the largest operand lies in memory; those that do not move it run just outside of the adjacent ones.
fn order(ctx: &Context, member: &Member, owned: &[OwnedIndex], extents: &[i64]) -> Vec<usize> {
    let steps = largest_read(ctx, member).unwrap_or(vec![0; extents.len()]);
    let mut order: Vec<usize> = (0..extents.len()).collect();
    let layout = ctx.layout(member.value);
    let adjacent = |v: usize| {
        owned
            .iter()
            .any(|o| o.var == v && layout.strides[o.axis] * o.coefficient == 1)
    };
    order.sort_by_key(|v| {
        let still = steps[*v] == 0 && !owned.iter().any(|o| o.var == *v);
        (adjacent(*v), still, std::cmp::Reverse(steps[*v].abs()), *v)
    });
    order
}

/// An index that a task may keep to itself, and its part in a position of the output.
struct OwnedIndex {
    var: usize,
    axis: usize,
    coefficient: i64,
}

/// Digits of positions that are not computed: different values of them are different positions.
fn owned(equation: &Equation, extents: &[i64]) -> Vec<OwnedIndex> {
    let mut found = vec![];
    for (axis, p) in equation.write.iter().enumerate() {
        let Pos::Ix(ix) = p else { continue };
        let digit = |(atom, k): &(Atom, i64)| match atom {
            Atom::Var(var) => Some(OwnedIndex {
                var: *var,
                axis,
                coefficient: *k,
            }),
            _ => None,
        };
        let Some(mut digits) = ix
            .terms
            .iter()
            .map(digit)
            .collect::<Option<Vec<OwnedIndex>>>()
        else {
            continue;
        };
        digits.sort_by_key(|d| d.coefficient);
        let mut reach = 0;
        let separate = digits.iter().all(|d| {
            let before = reach;
            reach += d.coefficient * (extents[d.var] - 1);
            d.coefficient > before
        });
        if separate {
            found.extend(digits);
        }
    }
    found
}
