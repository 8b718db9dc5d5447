//! Equal boxes one after the other become one box, drawn as a stack: `× 18`. What was drawn alone is its inside.

use super::scene::{Part, Scene, Shape, Wire};

const LEAST: usize = 2;

/// Folds every run of the scene; the insides go to `scenes`.
pub fn fold(mut scene: Scene, scenes: &mut Vec<Scene>) -> Scene {
    while let Some(run) = find(&scene) {
        scenes.push(inside(&scene, &run));
        scene = replaced(&scene, &run, scenes.len() - 1);
    }
    scene
}

fn find(scene: &Scene) -> Option<Vec<usize>> {
    let mut longest: Vec<usize> = vec![];
    for first in 0..scene.parts.len() {
        let mut run = vec![first];
        while let Some(next) = follower(scene, &run) {
            run.push(next);
        }
        if run.len() > longest.len() {
            longest = run;
        }
    }
    (longest.len() >= LEAST).then_some(longest)
}

/// The part that may follow the last of a run: alike, its only reader, with the same other inputs.
fn follower(scene: &Scene, run: &[usize]) -> Option<usize> {
    let last = *run.last()?;
    let mut out = scene.wires.iter().filter(|w| w.from == last);
    let (wire, None) = (out.next()?, out.next()) else {
        return None;
    };
    let next = wire.to;
    if run.contains(&next) || wire.feedback || !alike(&scene.parts[last], &scene.parts[next]) {
        return None;
    }
    let before = run.len().checked_sub(2).map(|at| run[at]);
    let (of_last, of_next) = (others(scene, last, before), others(scene, next, Some(last)));
    let fits = match before {
        Some(_) => of_last == of_next,
        // The first one's predecessor may be any of its inputs.
        None => of_last.len() == of_next.len() + 1 && of_next.iter().all(|v| of_last.contains(v)),
    };
    let label = |part: usize| scene.wires.iter().find(|w| w.to == part).map(|w| &w.label);
    let same_size = before.is_none() || label(last) == label(next);
    (fits && same_size).then_some(next)
}

/// Where a part's inputs come from, but for one.
fn others(scene: &Scene, part: usize, but: Option<usize>) -> Vec<(usize, usize)> {
    let wires = scene
        .wires
        .iter()
        .filter(|w| w.to == part && Some(w.from) != but);
    let mut all: Vec<(usize, usize)> = wires.map(|w| (w.from, w.value)).collect();
    all.sort_unstable();
    all
}

/// Lines without labels.
fn described(part: &Part) -> Vec<&String> {
    part.lines.iter().filter(|l| !l.starts_with('@')).collect()
}

fn alike(a: &Part, b: &Part) -> bool {
    matches!(a.shape, Shape::Box | Shape::Plain)
        && a.title == b.title
        && a.repeat == 1
        && b.repeat == 1
        && described(a) == described(b)
}

fn inside(scene: &Scene, run: &[usize]) -> Scene {
    let mut inner = Scene {
        parts: run.iter().map(|at| scene.parts[*at].clone()).collect(),
        wires: vec![],
    };
    let place = |part: usize| run.iter().position(|p| *p == part);
    let mut outside: Vec<(usize, usize, usize)> = vec![];
    for wire in &scene.wires {
        let (from, to) = match (place(wire.from), place(wire.to)) {
            (None, None) => continue,
            (Some(from), Some(to)) => (from, to),
            (None, Some(to)) => {
                let known = outside
                    .iter()
                    .find(|o| (o.0, o.1) == (wire.from, wire.value));
                let from = known.map(|o| o.2).unwrap_or_else(|| {
                    inner.parts.push(terminal());
                    outside.push((wire.from, wire.value, inner.parts.len() - 1));
                    inner.parts.len() - 1
                });
                (from, to)
            }
            (Some(from), None) => {
                inner.parts.push(terminal());
                (from, inner.parts.len() - 1)
            }
        };
        inner.wires.push(Wire {
            from,
            to,
            ..wire.clone()
        });
    }
    inner
}

fn terminal() -> Part {
    Part {
        shape: Shape::Terminal,
        title: String::new(),
        lines: vec![],
        colour: String::new(),
        inner: None,
        repeat: 1,
    }
}

fn replaced(scene: &Scene, run: &[usize], inner: usize) -> Scene {
    let first = run[0];
    let kept: Vec<usize> = (0..scene.parts.len())
        .filter(|at| *at == first || !run.contains(at))
        .collect();
    let number = |part: usize| {
        let part = if run.contains(&part) { first } else { part };
        kept.iter().position(|k| *k == part).unwrap_or_default()
    };
    let mut parts: Vec<Part> = kept.iter().map(|at| scene.parts[*at].clone()).collect();
    let stack = &mut parts[number(first)];
    stack.repeat = run.len();
    stack.inner = Some(inner);
    let last = run.last().copied().unwrap_or(first);
    stack.lines = labels(&scene.parts[first], &scene.parts[last]);
    let mut wires: Vec<Wire> = vec![];
    for wire in scene
        .wires
        .iter()
        .filter(|w| !(run.contains(&w.from) && run.contains(&w.to)))
    {
        let wire = Wire {
            from: number(wire.from),
            to: number(wire.to),
            ..wire.clone()
        };
        if !wires.contains(&wire) {
            wires.push(wire);
        }
    }
    Scene { parts, wires }
}

/// The first one's lines, its label with the last one's.
fn labels(first: &Part, last: &Part) -> Vec<String> {
    let end = last.lines.iter().find(|l| l.starts_with('@'));
    let line = |line: &String| match end {
        Some(end) if line.starts_with('@') => format!("{line} \u{2026} {end}"),
        _ if line.ends_with(" parameters") => format!("{line} each"),
        _ => line.clone(),
    };
    first.lines.iter().map(line).collect()
}
