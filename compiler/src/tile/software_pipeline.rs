//! The pass `software-pipeline`, over rows: the next row's first reduction is issued before this row's last statement.
//!
//! ```text
//! for r { m = max(x[r]); e = exp(x[r] - m), s = sum(e); y[r] = e/s }
//! m = max(x[0]); for r { e = exp(x[r] - m), s = sum(e); m = max(x[r + 1]); y[r] = e/s }
//! ```
//!
//! Enters a loop's statements; leaves the first row's reduction and the statements of the new loop. Nothing is computed in
//! another way, and a reduction that reads what the loop writes never moves.
//!
//! A reduction has a latency of many cycles after its last element. Here, it is hidden by another row's work, be it behind the
//! sum or behind the maximum, and loads of one row overlap the stores of the other. Where the last statement stores nothing,
//! two that only load would follow each other: there, all is left as it is.

use super::dag::{Dag, Space};
use super::walk::substitute;
use super::{Bound, BufferKind, Compute, Int, Kernel, Mode, Stmt, To, Var};
use vsr_artifact::machine::Machine;

/// A loop whose first reduction is issued one row ahead.
#[derive(Debug)]
pub struct Pipelined {
    /// The first row's reduction, before the loop.
    pub prologue: Compute,
    pub body: Vec<Stmt>,
}

/// All loops of a kernel, as far as they can be.
pub fn software_pipeline(kernel: &mut Kernel, machine: &Machine) {
    let body = std::mem::take(&mut kernel.body);
    kernel.body = statements(kernel, body, machine);
}

fn statements(kernel: &Kernel, body: Vec<Stmt>, machine: &Machine) -> Vec<Stmt> {
    body.into_iter()
        .flat_map(|stmt| statement(kernel, stmt, machine))
        .collect()
}

fn statement(kernel: &Kernel, stmt: Stmt, machine: &Machine) -> Vec<Stmt> {
    match stmt {
        Stmt::For {
            var,
            extent,
            step,
            body,
        } => {
            let (before, body) = match pipelined(kernel, (var, &extent, step), &body, machine) {
                Some(made) => (Some(Stmt::Compute(made.prologue)), made.body),
                None => (None, statements(kernel, body, machine)),
            };
            let after = Stmt::For {
                var,
                extent,
                step,
                body,
            };
            before.into_iter().chain([after]).collect()
        }
        Stmt::If { bounds, body } => vec![Stmt::If {
            bounds,
            body: statements(kernel, body, machine),
        }],
        other => vec![other],
    }
}

/// One loop. None: its rows do not allow it.
pub fn pipelined(
    kernel: &Kernel,
    (var, extent, step): (Var, &Int, i64),
    body: &[Stmt],
    machine: &Machine,
) -> Option<Pipelined> {
    let parts: Vec<&Compute> = body
        .iter()
        .map(|stmt| match stmt {
            Stmt::Compute(c) => Some(c),
            _ => None,
        })
        .collect::<Option<_>>()?;
    let (head, rest) = parts.split_first()?;
    let To::Tile(_) = head.to else {
        return None;
    };
    let from_outside = |space: Space| match space {
        Space::Buf(b) => {
            let kind = kernel.buffers[b as usize].kind;
            matches!(kind, BufferKind::In | BufferKind::Table)
        }
        Space::Tile(_) => false,
    };
    let movable = is_row(head, machine) && head.reduce.is_some() && head.mode == Mode::Store;
    if !movable || !reads(head).into_iter().all(from_outside) {
        return None;
    }
    let last = rest.iter().rposition(|c| is_row(c, machine))?;
    if rest[last].reduce.is_some() {
        return None;
    }
    let theirs: Space = head.to.into();
    let needs = |c: &Compute| c.to == head.to || reads(c).contains(&theirs);
    if rest[last..].iter().any(|c| needs(c)) {
        return None;
    }
    let next = Int::Add(Box::new(Int::Var(var)), Box::new(Int::Const(step)));
    let more = Bound {
        index: next.clone(),
        extent: extent.clone(),
    };
    let mut body = body[1..].to_vec();
    body.insert(
        last,
        Stmt::If {
            bounds: vec![more],
            body: vec![Stmt::Compute(at(head, var, &next))],
        },
    );
    Some(Pipelined {
        prologue: at(head, var, &Int::Const(0)),
        body,
    })
}

fn at(head: &Compute, var: Var, index: &Int) -> Compute {
    let mut moved = head.clone();
    substitute(&mut moved, var, index);
    moved
}

/// Whether there is enough to do for the machine to go on with.
fn is_row(c: &Compute, machine: &Machine) -> bool {
    let dims = c.reduce.as_ref().map_or(&c.dims, |r| &r.dims);
    let long = |n: &Int| !matches!(n, Int::Const(n) if *n < 4 * machine.vector());
    dims.last().is_some_and(|(_, n)| long(n))
}

/// All that a statement reads.
fn reads(c: &Compute) -> Vec<Space> {
    let mut dag = Dag::new(None);
    let value = dag.val(&c.value, None);
    let bounds = c.bounds.iter().flat_map(|b| [&b.index, &b.extent]);
    let extents = c.dims.iter().chain(c.reduce.iter().flat_map(|r| &r.dims));
    let ints = bounds.chain(extents.map(|(_, n)| n)).chain([&c.at]);
    let sums: Vec<_> = ints.map(|i| dag.int(i, None)).collect();
    let reach = dag.reachable(&[value], &sums.iter().collect::<Vec<_>>());
    reach
        .addresses
        .into_iter()
        .map(|(space, _)| space)
        .collect()
}
