//! Cuts a program that shows a fault down to what is needed for it.
//!
//! Enters a program and a question; leaves the smallest program found for which the answer stays yes. Every step takes
//! something away: a line, an output, a part of an expression, an extent.

use super::program::{Expr, Index, Line, Program, Tensor, Value};

/// Greedy: takes the first smaller program that still shows the fault, and starts over.
pub fn shrink(program: &Program, shows: &dyn Fn(&Program) -> bool) -> Program {
    let mut best = program.clone();
    'again: loop {
        for mut smaller in candidates(&best) {
            smaller.tidy();
            if size(&smaller) < size(&best) && shows(&smaller) {
                best = smaller;
                continue 'again;
            }
        }
        return best;
    }
}

/// What makes a program hard to read.
fn size(p: &Program) -> (usize, i64) {
    let nodes: usize = p.lines.iter().map(|l| 4 + value_size(&l.value)).sum();
    let tensors = p.inputs.len() + p.weights.len() + p.states.len();
    let train = p.train.as_ref().map_or(0, |t| {
        4 + usize::from(t.clip.is_some())
            + usize::from(t.ema.is_some())
            + usize::from(t.metric)
            + t.terms.join("").len()
    });
    let stored = p.inputs.iter().chain(&p.weights).chain(&p.states);
    let elements: i64 = stored.map(|t| t.shape.iter().sum::<i64>()).sum();
    let extents: i64 = p
        .lines
        .iter()
        .map(|l| l.shape.iter().sum::<i64>() + ranges(&l.value))
        .sum();
    (
        2 * tensors + nodes + 2 * p.outputs.len() + train,
        elements + extents,
    )
}

fn value_size(v: &Value) -> usize {
    match v {
        Value::Equation { free, body } => free.len() + expr_size(body),
        Value::Text { template, args } => 2 + template.len() / 4 + args.len(),
        Value::Next { .. } => 2,
    }
}

fn ranges(v: &Value) -> i64 {
    match v {
        Value::Equation { body, .. } => expr_ranges(body),
        _ => 0,
    }
}

fn expr_ranges(e: &Expr) -> i64 {
    let own = match e {
        Expr::Reduce { over, .. } => over.iter().map(|v| v.high).sum(),
        Expr::Int(i) => i.abs(),
        _ => 0,
    };
    own + e.children().iter().map(|c| expr_ranges(c)).sum::<i64>()
}

fn expr_size(e: &Expr) -> usize {
    let own = match e {
        Expr::Read { other, .. } => 1 + usize::from(other.is_some()),
        Expr::Reduce { over, .. } => 2 + over.len(),
        Expr::Num(x) => 1 + usize::from(*x != 1.0),
        _ => 1,
    };
    own + e.children().iter().map(|c| expr_size(c)).sum::<usize>()
}

fn candidates(p: &Program) -> Vec<Program> {
    let mut all = vec![];
    training(p, &mut all);
    outputs(p, &mut all);
    lines(p, &mut all);
    stored(p, &mut all);
    expressions(p, &mut all);
    extents(p, &mut all);
    all
}

fn training(p: &Program, all: &mut Vec<Program>) {
    let Some(train) = &p.train else { return };
    let mut without = p.clone();
    without.train = None;
    all.push(without);
    let mut with = |change: &dyn Fn(&mut super::program::Train)| {
        let mut new = p.clone();
        if let Some(t) = &mut new.train {
            change(t);
        }
        all.push(new);
    };
    if train.clip.is_some() {
        with(&|t| t.clip = None);
    }
    if train.ema.is_some() {
        with(&|t| t.ema = None);
    }
    with(&|t| t.metric = false);
    with(&|t| t.optimizer = super::program::GRADIENT.into());
    with(&|t| t.optimizer = "Sgd(momentum=0)".into());
    for term in ["sum({})", "mean({}**2)"] {
        with(&|t| t.terms.iter_mut().for_each(|x| *x = term.into()));
    }
}

fn outputs(p: &Program, all: &mut Vec<Program>) {
    for i in (0..p.outputs.len()).filter(|_| p.outputs.len() > 1) {
        let mut new = p.clone();
        new.outputs.remove(i);
        if let Some(t) = &mut new.train {
            t.terms.remove(i);
        }
        all.push(new);
    }
    for line in p
        .lines
        .iter()
        .rev()
        .filter(|l| !matches!(l.value, Value::Next { .. }))
    {
        for i in 0..p.outputs.len() {
            if !p.outputs.contains(&line.name) {
                let mut new = p.clone();
                new.outputs[i] = line.name.clone();
                all.push(new);
            }
        }
    }
}

/// A line goes, is given from outside instead, or another tensor of its shape stands for it.
fn lines(p: &Program, all: &mut Vec<Program>) {
    for (i, line) in p.lines.iter().enumerate() {
        let mut without = p.clone();
        without.lines.remove(i);
        let is_next = matches!(line.value, Value::Next { .. });
        if is_next || !used(&without, &line.name) {
            all.push(without);
            continue;
        }
        let same = |t: &&Tensor| t.shape == line.shape;
        let stored = p
            .weights
            .iter()
            .chain(&p.inputs)
            .find(same)
            .map(|t| t.name.clone());
        let earlier = p.lines[..i]
            .iter()
            .rev()
            .find(|l| l.shape == line.shape && !matches!(l.value, Value::Next { .. }));
        for other in stored.into_iter().chain(earlier.map(|l| l.name.clone())) {
            let mut new = without.clone();
            rename(&mut new, &line.name, &other);
            all.push(new);
        }
        let given = Tensor {
            name: line.name.clone(),
            shape: line.shape.clone(),
        };
        for weight in [true, false] {
            let mut new = without.clone();
            match weight {
                true => new.weights.push(given.clone()),
                false => new.inputs.push(given.clone()),
            }
            all.push(new);
        }
    }
}

fn used(p: &Program, name: &str) -> bool {
    let in_line = |l: &Line| match &l.value {
        Value::Equation { body, .. } => reads(body, name),
        Value::Text { args, .. } => args.iter().any(|a| a == name),
        Value::Next { arg } => arg == name || l.name == name,
    };
    p.outputs.iter().any(|o| o == name) || p.lines.iter().any(in_line)
}

fn reads(e: &Expr, name: &str) -> bool {
    matches!(e, Expr::Read { of, .. } if of == name) || e.children().iter().any(|c| reads(c, name))
}

fn rename(p: &mut Program, from: &str, to: &str) {
    let swap = |n: &mut String| {
        if n == from {
            *n = to.to_string();
        }
    };
    p.outputs.iter_mut().for_each(swap);
    for line in &mut p.lines {
        match &mut line.value {
            Value::Equation { body, .. } => each(body, &mut |e| {
                if let Expr::Read { of, .. } = e {
                    swap(of);
                }
            }),
            Value::Text { args, .. } => args.iter_mut().for_each(swap),
            Value::Next { arg } => swap(arg),
        }
    }
}

fn each(e: &mut Expr, f: &mut impl FnMut(&mut Expr)) {
    f(e);
    match e {
        Expr::Num(_) | Expr::Int(_) | Expr::Var(_) => {}
        Expr::Read { at, .. } => at.iter_mut().for_each(|a| each(a, f)),
        Expr::Unary(_, a) => each(a, f),
        Expr::Binary(_, a, b) => {
            each(a, f);
            each(b, f);
        }
        Expr::Call(_, args) => args.iter_mut().for_each(|a| each(a, f)),
        Expr::Select(_, args) => args.iter_mut().for_each(|a| each(a, f)),
        Expr::Reduce { body, .. } => each(body, f),
    }
}

fn stored(p: &Program, all: &mut Vec<Program>) {
    for i in 0..p.weights.len() {
        if !used(p, &p.weights[i].name) {
            let mut new = p.clone();
            new.weights.remove(i);
            all.push(new);
        }
    }
    for i in 0..p.inputs.len() {
        if !used(p, &p.inputs[i].name) {
            let mut new = p.clone();
            new.inputs.remove(i);
            all.push(new);
        }
    }
    for i in 0..p.states.len() {
        let mut new = p.clone();
        let state = new.states.remove(i);
        new.lines.retain(|l| l.name != state.name);
        if used(&new, &state.name) {
            new.weights.push(state);
        }
        all.push(new);
    }
}

/// Every part of an equation replaced by something smaller.
fn expressions(p: &Program, all: &mut Vec<Program>) {
    for (i, line) in p.lines.iter().enumerate() {
        let Value::Equation { free, body } = &line.value else {
            continue;
        };
        for smaller in smaller(body) {
            let mut new = p.clone();
            new.lines[i].value = Value::Equation {
                free: free.clone(),
                body: smaller,
            };
            all.push(new);
        }
    }
}

/// All expressions that come from one by one step.
fn smaller(e: &Expr) -> Vec<Expr> {
    let mut all: Vec<Expr> = vec![];
    let is_read = matches!(e, Expr::Read { .. });
    if !is_read {
        all.extend(e.children().into_iter().cloned());
    }
    if !matches!(e, Expr::Num(_) | Expr::Int(_) | Expr::Var(_)) {
        all.extend([Expr::Num(1.0), Expr::Int(0)]);
    }
    match e {
        Expr::Int(i) if *i != 0 && *i != 1 => all.extend([Expr::Int(1), Expr::Int(i - i.signum())]),
        Expr::Read { of, at, other } => {
            if other.is_some() {
                all.push(Expr::Read {
                    of: of.clone(),
                    at: at.clone(),
                    other: None,
                });
            }
            if other.is_some_and(|x| x != 0.0) {
                all.push(Expr::Read {
                    of: of.clone(),
                    at: at.clone(),
                    other: Some(0.0),
                });
            }
        }
        Expr::Reduce { how, over, body } => {
            if *how != "sum" {
                all.push(Expr::Reduce {
                    how: "sum",
                    over: over.clone(),
                    body: body.clone(),
                });
            }
            for i in 0..over.len() {
                let (low, mut rest) = (over[i].low, over.clone());
                let name = rest.remove(i).name;
                let mut body = (**body).clone();
                each(&mut body, &mut |e| {
                    if matches!(e, Expr::Var(v) if *v == name) {
                        *e = Expr::Int(low);
                    }
                });
                all.push(match rest.is_empty() {
                    true => body,
                    false => Expr::Reduce {
                        how,
                        over: rest,
                        body: Box::new(body),
                    },
                });
                all.extend(shorter(&over[i]).map(|range| {
                    let mut over = over.clone();
                    over[i] = range;
                    Expr::Reduce {
                        how,
                        over,
                        body: body_of(e),
                    }
                }));
            }
        }
        _ => {}
    }
    for (i, child) in e.children().into_iter().enumerate() {
        all.extend(smaller(child).into_iter().map(|c| with_child(e, i, c)));
    }
    all
}

fn body_of(e: &Expr) -> Box<Expr> {
    match e {
        Expr::Reduce { body, .. } => body.clone(),
        e => Box::new(e.clone()),
    }
}

fn shorter(v: &Index) -> impl Iterator<Item = Index> + use<> {
    let (name, low, high) = (v.name.clone(), v.low, v.high);
    let n = high - low;
    let lengths = [n / 2, n - 1]
        .into_iter()
        .filter(move |m| *m >= 1 && *m < n);
    lengths.map(move |m| Index {
        name: name.clone(),
        low,
        high: low + m,
    })
}

fn with_child(e: &Expr, i: usize, child: Expr) -> Expr {
    let mut new = e.clone();
    match &mut new {
        Expr::Num(_) | Expr::Int(_) | Expr::Var(_) => {}
        Expr::Read { at, .. } => at[i] = child,
        Expr::Unary(_, a) => **a = child,
        Expr::Binary(_, a, b) => **(if i == 0 { a } else { b }) = child,
        Expr::Call(_, args) => args[i] = child,
        Expr::Select(_, args) => args[i] = child,
        Expr::Reduce { body, .. } => **body = child,
    }
    new
}

/// One extent everywhere becomes a smaller one: tensors, ranges and constants of that number together; or one range alone.
fn extents(p: &Program, all: &mut Vec<Program>) {
    let mut seen: Vec<i64> = vec![];
    let stored = p
        .inputs
        .iter()
        .chain(&p.weights)
        .chain(&p.states)
        .map(|t| &t.shape);
    for n in stored.chain(p.lines.iter().map(|l| &l.shape)).flatten() {
        if *n > 1 && !seen.contains(n) {
            seen.push(*n);
        }
    }
    seen.sort_unstable();
    for n in seen.into_iter().rev() {
        for m in [n / 2, n - 1].into_iter().filter(|m| *m >= 1) {
            all.push(with_extent(p, n, m));
        }
    }
    for i in 0..p.lines.len() {
        let Value::Equation { free, .. } = &p.lines[i].value else {
            continue;
        };
        for v in 0..free.len() {
            for range in shorter(&free[v]) {
                let mut new = p.clone();
                new.lines[i].shape[v] = range.high;
                if let Value::Equation { free, .. } = &mut new.lines[i].value {
                    free[v] = range;
                }
                all.push(new);
            }
        }
    }
    for which in 0..2 {
        let count = if which == 0 {
            p.weights.len()
        } else {
            p.inputs.len()
        };
        for t in 0..count {
            let of = |p: &mut Program| {
                if which == 0 {
                    p.weights[t].shape.clone()
                } else {
                    p.inputs[t].shape.clone()
                }
            };
            let mut copy = p.clone();
            for axis in 0..of(&mut copy).len() {
                let n = of(&mut copy)[axis];
                for m in [n / 2, n - 1].into_iter().filter(|m| *m >= 1 && *m < n) {
                    let mut new = p.clone();
                    let tensor = if which == 0 {
                        &mut new.weights[t]
                    } else {
                        &mut new.inputs[t]
                    };
                    tensor.shape[axis] = m;
                    all.push(new);
                }
            }
        }
    }
}

fn with_extent(p: &Program, n: i64, m: i64) -> Program {
    let mut new = p.clone();
    let swap = |x: &mut i64| {
        if *x == n {
            *x = m;
        }
    };
    let stored = new
        .inputs
        .iter_mut()
        .chain(&mut new.weights)
        .chain(&mut new.states);
    stored.for_each(|t| t.shape.iter_mut().for_each(swap));
    for line in &mut new.lines {
        line.shape.iter_mut().for_each(swap);
        if let Value::Equation { free, body } = &mut line.value {
            free.iter_mut().for_each(|v| swap(&mut v.high));
            each(body, &mut |e| {
                if let Expr::Reduce { over, .. } = e {
                    over.iter_mut().for_each(|v| swap(&mut v.high));
                }
            });
        }
    }
    new
}
