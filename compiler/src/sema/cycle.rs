//! Which definitions use which. One that reaches itself is an error: found here, before anything is elaborated.

use super::module::Program;
use super::walk;
use crate::diag::{Class, Diag, Problems};
use crate::syntax::ast::{self, ExprKind as E};
use rustc_hash::FxHashSet as HashSet;

/// Definitions of a ring that are named.
const MAX_RING: usize = 8;

pub fn cycles(program: &Program<'_>, problems: &mut Problems) {
    let uses: Vec<Vec<usize>> = (0..program.defs.len())
        .map(|d| used_by(program, d))
        .collect();
    // 0: new, 1: on the path, 2: done.
    let mut state = vec![0u8; uses.len()];
    for start in 0..uses.len() {
        let mut path: Vec<(usize, usize)> = vec![];
        if state[start] == 0 {
            state[start] = 1;
            path.push((start, 0));
        }
        while let Some((def, next)) = path.last().copied() {
            let Some(target) = uses[def].get(next).copied() else {
                state[def] = 2;
                path.pop();
                continue;
            };
            if let Some(last) = path.last_mut() {
                last.1 += 1;
            }
            match state[target] {
                0 => {
                    state[target] = 1;
                    path.push((target, 0));
                }
                1 if !problems.is_full() => {
                    let at = path.iter().position(|p| p.0 == target).unwrap_or(0);
                    let ring: Vec<usize> = path[at..].iter().map(|p| p.0).collect();
                    report_cycle(program, &ring, problems);
                }
                _ => {}
            }
        }
    }
}

/// The model that uses all others of its file, by itself or through what it uses. Nothing uses itself by now.
pub fn whole(program: &Program<'_>, models: &[usize]) -> Option<usize> {
    if models.len() < 2 {
        return models.first().copied();
    }
    // What none of the models before reaches may reach them all; only the last such can.
    let mut reached = HashSet::default();
    let mut candidate = None;
    for model in models {
        if !reached.contains(model) {
            candidate = Some(*model);
            reach(program, *model, &mut reached);
        }
    }
    let whole = candidate?;
    let mut own = HashSet::default();
    reach(program, whole, &mut own);
    models
        .iter()
        .all(|model| own.contains(model))
        .then_some(whole)
}

/// Adds a definition and all that it uses, by itself or through what it uses.
fn reach(program: &Program<'_>, def: usize, reached: &mut HashSet<usize>) {
    let mut open = vec![def];
    while let Some(def) = open.pop() {
        if reached.insert(def) {
            open.extend(used_by(program, def));
        }
    }
}

fn report_cycle(program: &Program<'_>, ring: &[usize], problems: &mut Problems) {
    let name = |d: usize| format!("`{}`", program.defs[d].name.text);
    let first = ring[0];
    let mut text = name(first);
    let between = &ring[1..ring.len().min(MAX_RING)];
    for (at, def) in between.iter().chain([&first]).enumerate() {
        text.push_str(if at == 0 { " uses " } else { ", which uses " });
        if at == between.len() && ring.len() > MAX_RING {
            text.push_str(&format!(
                "{} others, the last of which uses ",
                ring.len() - MAX_RING
            ));
        }
        text.push_str(&name(*def));
    }
    let mut diag = Diag::new(Class::Cycle, program.defs[first].name.span, text);
    for def in between {
        diag = diag.label(program.defs[*def].name.span, "on the way");
    }
    let help =
        "nothing recurs: repeat with `for i in 0..n { … }`, which is unrolled while compiling";
    problems.push(diag.help(help));
}

/// The definitions whose names a definition calls, each once.
fn used_by(program: &Program<'_>, def: usize) -> Vec<usize> {
    let d = &program.defs[def];
    let mut local = HashSet::default();
    walk::each_bound(d.body, &mut |name| {
        local.insert(name.text.as_str());
    });
    let (mut used, mut seen): (Vec<usize>, HashSet<usize>) = (vec![], HashSet::default());
    let mut visit = |name: &str| {
        let op = name.starts_with(|c: char| c.is_ascii_lowercase());
        if op && local.contains(name) {
            return;
        }
        // A frozen network's name stands for its block.
        let frozen = program
            .frozen(name, d.module)
            .map(|id| &program.frozen[id].item.network);
        let name = frozen.map_or(name, |made| made.block.text.as_str());
        if let Some(target) = program.find(name, d.module)
            && seen.insert(target)
        {
            used.push(target);
        }
    };
    let mut each = |e: &ast::Expr| each_call(e, &mut visit);
    walk::each_in_body(d.body, &mut each);
    d.wheres.iter().for_each(&mut each);
    if let Some(grad) = d.grad {
        walk::each_in_body(&grad.body, &mut each);
    }
    for input in d.parameters.iter().chain(d.inputs) {
        input.default.iter().for_each(&mut each);
    }
    used
}

fn each_call(e: &ast::Expr, visit: &mut dyn FnMut(&str)) {
    match &e.kind {
        E::Call { name, .. } => visit(&name.text),
        E::Made(made) => visit(&made.block.text),
        E::Pipe {
            stage: ast::Stage::Apply { name, .. },
            ..
        } => visit(&name.text),
        E::Pipe {
            stage: ast::Stage::Made(made),
            ..
        } => visit(&made.block.text),
        _ => {}
    }
    walk::each_child(e, &mut |x| each_call(x, visit));
}
