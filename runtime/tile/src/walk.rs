//! Visits every integer of a kernel, to read or to replace it.

use crate::{Bound, Compute, Contract, ContractInit, Int, Kernel, Leaf, Stmt, To, Val};

/// What an integer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// An extent, an address in a buffer, or a number.
    Free,
    /// An address in a tile, whose size is part of the kernel.
    InTile,
}

/// Calls `f` with every integer that is not part of another one.
pub fn ints_mut(kernel: &mut Kernel, f: &mut dyn FnMut(&mut Int, Role)) {
    for task in &mut kernel.tasks {
        visit(&mut task.extent, Role::Free, f);
    }
    body(&mut kernel.body, f);
}

fn body(stmts: &mut [Stmt], f: &mut dyn FnMut(&mut Int, Role)) {
    for stmt in stmts {
        match stmt {
            Stmt::For {
                extent,
                body: inner,
                ..
            } => {
                visit(extent, Role::Free, f);
                body(inner, f);
            }
            Stmt::Let { value, .. } => visit(value, Role::Free, f),
            Stmt::If {
                bounds: all,
                body: inner,
            } => {
                bounds(all, f);
                body(inner, f);
            }
            Stmt::Compute(c) => compute(c, f),
            Stmt::Rows {
                first,
                extent,
                digits,
                value,
                ..
            } => {
                visit(first, Role::Free, f);
                visit(extent, Role::Free, f);
                digits
                    .iter_mut()
                    .for_each(|d| visit(&mut d.extent, Role::Free, f));
                visit(value, Role::Free, f);
            }
            Stmt::Contract(c) => contract(c, f),
        }
    }
}

fn compute(c: &mut Compute, f: &mut dyn FnMut(&mut Int, Role)) {
    c.dims.iter_mut().for_each(|(_, e)| visit(e, Role::Free, f));
    if let Some(reduce) = &mut c.reduce {
        reduce
            .dims
            .iter_mut()
            .for_each(|(_, e)| visit(e, Role::Free, f));
    }
    val(&mut c.value, f);
    visit(&mut c.at, role(c.to), f);
    bounds(&mut c.bounds, f);
}

fn contract(c: &mut Contract, f: &mut dyn FnMut(&mut Int, Role)) {
    visit(&mut c.c_at, role(c.c), f);
    visit(&mut c.ldc, role(c.c), f);
    visit(&mut c.rows_at, Role::InTile, f);
    for int in [
        &mut c.m,
        &mut c.n,
        &mut c.a_at,
        &mut c.a_step,
        &mut c.taps_at,
        &mut c.n_taps,
    ] {
        visit(int, Role::Free, f);
    }
    for int in [&mut c.k, &mut c.b_at, &mut c.b_step, &mut c.b_panel] {
        visit(int, Role::Free, f);
    }
    if let ContractInit::Bias(_, at) = &mut c.init {
        visit(at, Role::Free, f);
    }
}

fn role(to: To) -> Role {
    match to {
        To::Buf(_) => Role::Free,
        To::Tile(_) => Role::InTile,
    }
}

fn bounds(bounds: &mut [Bound], f: &mut dyn FnMut(&mut Int, Role)) {
    for bound in bounds {
        visit(&mut bound.index, Role::Free, f);
        visit(&mut bound.extent, Role::Free, f);
    }
}

/// Puts an integer in the place of a variable, in the value and the addresses of a statement.
pub fn substitute(c: &mut Compute, var: crate::Var, by: &Int) {
    let replace = &mut |int: &mut Int, _: Role| replace_var(int, var, by);
    compute(c, replace);
}

fn replace_var(int: &mut Int, var: crate::Var, by: &Int) {
    match int {
        Int::Var(v) if *v == var => *int = by.clone(),
        _ => int
            .operands_mut()
            .into_iter()
            .flatten()
            .for_each(|operand| {
                replace_var(operand, var, by);
            }),
    }
}

/// The integer itself, then those inside of its values and addresses.
fn visit(int: &mut Int, role: Role, f: &mut dyn FnMut(&mut Int, Role)) {
    inner(int, f);
    f(int, role);
}

fn inner(int: &mut Int, f: &mut dyn FnMut(&mut Int, Role)) {
    match int {
        Int::Const(_) | Int::Var(_) | Int::Arg(_) => {}
        Int::Add(a, b)
        | Int::Sub(a, b)
        | Int::Mul(a, b)
        | Int::Div(a, b)
        | Int::Rem(a, b)
        | Int::Min(a, b)
        | Int::Max(a, b) => {
            inner(a, f);
            inner(b, f);
        }
        Int::Floor(v) => val(v, f),
        Int::Whole(w) => w.each_leaf_mut(&mut |leaf| match leaf {
            Leaf::Val(v) => val(v, f),
            Leaf::Int(i) => visit(i, Role::Free, f),
        }),
        Int::Table(_, at) => visit(at, Role::Free, f),
        Int::Tile(_, at) => visit(at, Role::InTile, f),
    }
}

fn val(value: &mut Val, f: &mut dyn FnMut(&mut Int, Role)) {
    match value {
        Val::Lit(_) => {}
        Val::Buf(_, at) | Val::FromInt(at) | Val::Random { at, .. } => visit(at, Role::Free, f),
        Val::Tile(_, at) => visit(at, Role::InTile, f),
        Val::Unary(_, a) => val(a, f),
        Val::Binary(_, a, b) => {
            val(a, f);
            val(b, f);
        }
        Val::Select(_, args) => args.iter_mut().for_each(|a| val(a, f)),
        Val::Guarded(all, inside, _) => {
            bounds(all, f);
            val(inside, f);
        }
    }
}
