//! Native code against the graph, and its bits against each other: both targets, all vector widths, several threads.

use super::check::{Checked, Expected, Finding, Kind, PATH, Text, differs, found};
use vsr_artifact::Artifact;
use vsr_compiler::backend::clif::Target;
use vsr_compiler::diag::Problems;
use vsr_compiler::ir::eval::Given;
use vsr_compiler::pipeline;
use vsr_compiler::sema::{EntryGraph, Loader, Options};
use vsr_kernels::Level;
use vsr_runtime::session::{self, Session};

type Entries<'a> = [(&'a EntryGraph, Given, Expected)];

/// How the code runs: target, widest vectors, threads.
const RUNS: [(Target, Option<Level>, usize); 5] = [
    (Target::X86_64V3, None, 1),
    (Target::X86_64V3, Some(Level::Avx2), 3),
    (Target::X86_64V3, None, 2),
    (Target::X86_64V3, Some(Level::Portable), 2),
    (Target::Portable, Some(Level::Portable), 3),
];

pub fn check(text: &str, entries: &Entries<'_>, checked: &mut Checked) -> Result<(), Finding> {
    let fast = compiled(text, Target::X86_64V3)?;
    let again = compiled(text, Target::X86_64V3)?;
    if (&fast.code, &fast.consts) != (&again.code, &again.consts) {
        return found(Kind::Bits, "two compilations differ");
    }
    let portable = compiled(text, Target::Portable)?;
    let mut first: Option<Results> = None;
    for (target, level, threads) in RUNS {
        let artifact = if target == Target::Portable { &portable } else { &fast };
        let results = results(artifact, level, threads, entries)?;
        let what = format!("{} {level:?} {threads} threads", target.name());
        compare(&what, entries, &results, checked)?;
        match &first {
            None => first = Some(results),
            // Without fused multiplication and addition, the last bit is another.
            Some(_) if level == Some(Level::Portable) => {}
            Some(first) => same_bits(&what, first, &results)?,
        }
    }
    Ok(())
}

fn compiled(text: &str, target: Target) -> Result<Artifact, Finding> {
    let (mut loader, mut problems) = (Text::new(text.to_string()), Problems::new());
    let options = Options::default();
    let made = pipeline::compile(&mut loader, PATH, &options, target, None, &mut problems);
    match made {
        Some(compiled) => Ok(compiled.artifact),
        None => found(Kind::Refused, problems.render(loader.sources())),
    }
}

/// Of each entry, every output and every new weight.
type Results = Vec<Vec<(String, Vec<f32>)>>;

fn results(
    artifact: &Artifact,
    level: Option<Level>,
    threads: usize,
    entries: &Entries<'_>,
) -> Result<Results, Finding> {
    let failed = |e: vsr_runtime::Error| Finding {
        kind: Kind::Native,
        text: e.to_string(),
    };
    let options = session::Options {
        threads,
        level,
        is_guarded: false,
    };
    let mut session = Session::of_artifact(artifact.clone(), options).map_err(failed)?;
    let mut all = vec![];
    for (entry, given, expected) in entries {
        session.init_weights(0);
        for (key, values) in &given.weights {
            session.set_weight(key, &narrow(values)).map_err(failed)?;
        }
        let at = session.find(entry.name, &entry.profile).map_err(failed)?;
        // Inputs that nothing reads have no place.
        let ports = session.manifest().entries[at].inputs.clone();
        let taken = given.inputs.iter().filter(|(n, _)| ports.iter().any(|p| p.name == **n));
        let inputs: Vec<(&str, Vec<f32>)> = taken.map(|(n, v)| (n.as_str(), narrow(v))).collect();
        let inputs: Vec<(&str, &[f32])> = inputs.iter().map(|(n, v)| (*n, v.as_slice())).collect();
        session.run(at, &inputs, given.stream.seed, given.stream.step).map_err(failed)?;
        let mut one: Vec<(String, Vec<f32>)> = vec![];
        for name in expected.outputs.keys() {
            one.push((name.clone(), session.output(at, name).to_vec()));
        }
        for key in expected.updates.keys() {
            one.push((format!("new {key}"), session.weight(key).map_err(failed)?));
        }
        all.push(one);
    }
    Ok(all)
}

fn narrow(values: &[f64]) -> Vec<f32> {
    values.iter().map(|v| *v as f32).collect()
}

fn compare(what: &str, entries: &Entries<'_>, results: &Results, checked: &mut Checked) -> Result<(), Finding> {
    for ((entry, _, expected), results) in entries.iter().zip(results) {
        let wanted = expected.outputs.iter().chain(&expected.updates);
        for ((name, got), (_, numbers)) in results.iter().zip(wanted) {
            let got: Vec<f64> = got.iter().map(|v| f64::from(*v)).collect();
            checked.numbers += got.len();
            checked.unsure += (0..numbers.values.len()).filter(|i| numbers.tolerance(*i).is_none()).count();
            if let Some(text) = differs(&got, &numbers.values, |i| numbers.tolerance(i)) {
                return found(Kind::Native, format!("{what}: {} {name}{text}", entry.name));
            }
        }
    }
    Ok(())
}

fn same_bits(what: &str, first: &Results, second: &Results) -> Result<(), Finding> {
    for ((name, a), (_, b)) in first.iter().flatten().zip(second.iter().flatten()) {
        let same = |(x, y): (&f32, &f32)| x.to_bits() == y.to_bits() || x.is_nan() && y.is_nan();
        if let Some(i) = a.iter().zip(b).position(|p| !same(p)) {
            let text = format!("{what}: {name}[{i}] is {}, with the first run's {}", b[i], a[i]);
            return found(Kind::Bits, text);
        }
    }
    Ok(())
}
