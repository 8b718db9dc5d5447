//! Native code against the graph, and its bits against each other: both targets, all vector widths, several threads.

use super::check::{Checked, Expected, Finding, Kind, Variant, differs, found};
use super::machine::machine;
use super::numerics::numerics;
use super::rng::Rng;
use super::source::Source;
use vsr_artifact::Artifact;
use vsr_compiler::assemble::Header;
use vsr_compiler::backend::Target;
use vsr_compiler::diag::Problems;
use vsr_compiler::ir::eval::Given;
use vsr_compiler::lower::PlannedEntry;
use vsr_compiler::pass_manager::PassManager;
use vsr_compiler::pipeline;
use vsr_compiler::schedule::WeightTable;
use vsr_compiler::sema::{Elaborated, EntryGraph, Loader, Options};
use vsr_kernels::Level;
use vsr_runtime::session::{self, Session};

type Entries<'a> = [(&'a EntryGraph, Given, Expected)];

/// How the code runs.
#[derive(Clone, Copy)]
struct How {
    target: Target,
    /// The widest vectors; None: the machine's.
    level: Option<Level>,
    threads: usize,
    /// Whether each buffer stands before a page that may not be touched.
    is_guarded: bool,
}

const fn how(target: Target, level: Option<Level>, threads: usize, is_guarded: bool) -> How {
    How {
        target,
        level,
        threads,
        is_guarded,
    }
}

const GUARDED: How = how(Target::X86_64V3, None, 2, true);
const THREE: How = how(Target::X86_64V3, Some(Level::Avx2), 3, false);
const RUNS: [How; 6] = [
    how(Target::X86_64V3, None, 1, false),
    THREE,
    GUARDED,
    how(Target::X86_64V3, Some(Level::Portable), 2, true),
    how(Target::Portable, Some(Level::Portable), 3, false),
    how(Target::Interpreter, None, 1, false),
];

impl How {
    fn text(self) -> String {
        let How { level, threads, .. } = self;
        format!("{} {level:?} {threads} threads", self.target.name())
    }
}

/// Winograd's transforms round also where numbers are whole; of the greatest number.
const OF_WINOGRAD: f64 = 4e-6;

pub fn check(
    graphs: &Elaborated,
    entries: &Entries<'_>,
    shows_gradients: bool,
    seed: u64,
    checked: &mut Checked,
) -> Result<(), Finding> {
    let fast = assembled(graphs, Target::X86_64V3, Variant::AsItIs)?;
    let portable = assembled(graphs, Target::Portable, Variant::AsItIs)?;
    let text = assembled(graphs, Target::Interpreter, Variant::AsItIs)?;
    let mut first: Option<Results> = None;
    for how in RUNS {
        let artifact = match how.target {
            Target::X86_64V3 => &fast,
            Target::Portable => &portable,
            Target::Interpreter => &text,
        };
        let results = results(artifact, how, entries, &|_, values| narrow(values))?;
        let what = how.text();
        compare(&what, entries, &results, 0.0, checked)?;
        match &first {
            None => first = Some(results),
            // Without fused multiplication and addition, and with maths of another library, the last bit is another.
            Some(_) if how.level == Some(Level::Portable) || how.target == Target::Interpreter => {}
            Some(first) => same_bits(&what, first, &results)?,
        }
    }
    // A description of a machine changes no bit.
    if let Some(first) = &first {
        let machine = machine(seed);
        let artifact = assembled(graphs, Target::X86_64V3, Variant::On(machine))?;
        let results = results(&artifact, GUARDED, entries, &|_, values| narrow(values))?;
        same_bits(&format!("{machine:?}"), first, &results)?;
    }
    // By Winograd, with a kernel for each value, or by other thresholds: the same numbers up to roundings.
    let (by, other) = (numerics(seed), machine(seed));
    let mut of_thresholds = None;
    for variant in [
        Variant::Winograd,
        Variant::Apart,
        Variant::ByOn(by, other),
        Variant::By(by),
    ] {
        let artifact = assembled(graphs, Target::X86_64V3, variant)?;
        let entries: Vec<_> = (entries.iter())
            .map(|(entry, given, e)| (*entry, given.clone(), e.by(variant, shows_gradients)))
            .collect();
        let results = results(&artifact, GUARDED, &entries, &|_, values| narrow(values))?;
        let what = format!("{variant:?}");
        compare(&what, &entries, &results, OF_WINOGRAD, checked)?;
        // By these thresholds, too, the machine changes no bit.
        match variant {
            Variant::ByOn(..) => of_thresholds = Some(results),
            _ if let Some(first) = &of_thresholds => same_bits(&what, first, &results)?,
            _ => {}
        }
    }
    // Whatever the values are, nothing outside is touched, and bits are the same.
    let mut first: Option<Results> = None;
    for how in [THREE, GUARDED] {
        let results = results(&fast, how, entries, &wild)?;
        let what = format!("far values: {}", how.text());
        match &first {
            None => first = Some(results),
            Some(first) => same_bits(&what, first, &results)?,
        }
    }
    Ok(())
}

/// One number in four is far out, or no number.
fn wild(name: &str, values: &[f64]) -> Vec<f32> {
    const FAR: [f32; 12] = [
        3e9,
        -3e9,
        1e30,
        -1e30,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
        16_777_217.0,
        3e8,
        1e12,
        -2.5e9,
        4.4e18,
    ];
    let mut rng = Rng::new(crate::reference::fnv(name));
    let one = |v: &f64| {
        if rng.chance(25) {
            *rng.pick(&FAR)
        } else {
            *v as f32
        }
    };
    values.iter().map(one).collect()
}

/// The artifact of a text, as a user gets it.
pub fn compiled(source: &Source) -> Result<Artifact, Finding> {
    let compiled =
        |loader: &mut dyn Loader, path: &str, options: &Options, problems: &mut Problems| {
            let manager = &mut PassManager::default();
            pipeline::compile(loader, path, options, Target::X86_64V3, manager, problems)
        };
    match source.with(compiled) {
        Ok(compiled) => Ok(compiled.artifact),
        Err(problems) => found(Kind::Refused, problems),
    }
}

/// Compiled once more, from the text, the bytes are the same.
pub fn same_bytes(source: &Source, graphs: &Elaborated) -> Result<(), Finding> {
    let first = assembled(graphs, Target::X86_64V3, Variant::AsItIs)?;
    let again = compiled(source)?;
    match (&first.code, &first.consts) == (&again.code, &again.consts) {
        true => Ok(()),
        false => found(Kind::Bits, "two compilations differ"),
    }
}

/// The graphs as an artifact, by a variant of the rules.
fn assembled(graphs: &Elaborated, target: Target, variant: Variant) -> Result<Artifact, Finding> {
    let mut weights = WeightTable::declared(&graphs.weights);
    // What has been interpreted has been verified.
    let mut manager = PassManager::verifying(matches!(variant, Variant::On(_) | Variant::ByOn(..)));
    let plan = |entry| pipeline::plan(entry, &mut weights, |rules| variant.of(rules), &mut manager);
    let planned: Vec<PlannedEntry> = graphs.entries.iter().map(plan).collect();
    // The tile passes' results have not.
    manager.verifies = true;
    pipeline::link(Header::default(), &weights, planned, target, &mut manager)
        .or_else(|why| found(Kind::Panic, why.to_string()))
}

/// Of each entry, every output and every new weight.
type Results = Vec<Vec<(String, Vec<f32>)>>;

fn results(
    artifact: &Artifact,
    how: How,
    entries: &Entries<'_>,
    numbers: &dyn Fn(&str, &[f64]) -> Vec<f32>,
) -> Result<Results, Finding> {
    let failed = |e: vsr_runtime::Error| Finding {
        kind: Kind::Outside,
        text: e.to_string(),
    };
    let options = session::Options {
        threads: how.threads,
        level: how.level,
        is_guarded: how.is_guarded,
        ..session::Options::default()
    };
    let mut session = Session::of_artifact(artifact.clone(), options).map_err(failed)?;
    let mut all = vec![];
    for (entry, given, expected) in entries {
        session.init_weights(0).map_err(failed)?;
        for (key, values) in &given.weights {
            session
                .set_weight(key, &numbers(key, values))
                .map_err(failed)?;
        }
        let at = session.find(entry.name, &entry.profile).map_err(failed)?;
        // Inputs that nothing reads have no place.
        let ports = session.manifest().entries[at].inputs.clone();
        let taken = given
            .inputs
            .iter()
            .filter(|(n, _)| ports.iter().any(|p| p.name == **n));
        let inputs: Vec<(&str, Vec<f32>)> =
            taken.map(|(n, v)| (n.as_str(), numbers(n, v))).collect();
        let inputs: Vec<(&str, &[f32])> = inputs.iter().map(|(n, v)| (*n, v.as_slice())).collect();
        session
            .run(at, &inputs, given.stream.seed, given.stream.step)
            .map_err(failed)?;
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

fn compare(
    what: &str,
    entries: &Entries<'_>,
    results: &Results,
    more: f64,
    checked: &mut Checked,
) -> Result<(), Finding> {
    for ((entry, _, expected), results) in entries.iter().zip(results) {
        let wanted = expected.outputs.iter().chain(&expected.updates);
        for ((name, got), (_, numbers)) in results.iter().zip(wanted) {
            let got: Vec<f64> = got.iter().map(|v| f64::from(*v)).collect();
            checked.numbers += got.len();
            checked.unsure += (0..numbers.values.len())
                .filter(|i| numbers.tolerance(*i).is_none())
                .count();
            let tolerance = |i| Some(numbers.tolerance(i)? + more * numbers.scale);
            if let Some(text) = differs(&got, &numbers.values, tolerance) {
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
            let text = format!(
                "{what}: {name}[{i}] is {}, with the first run's {}",
                b[i], a[i]
            );
            return found(Kind::Bits, text);
        }
    }
    Ok(())
}
