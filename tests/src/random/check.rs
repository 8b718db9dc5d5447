//! Everything that must hold of a program, whatever it is: each stage of the house against the equations as they are written.
//!
//! Enters a program; leaves what was held against what, or the first finding. Never a panic: one of the house's is a finding.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::native;
use super::numerics::numerics;
use super::program::Program;
use super::rng::Rng;
use super::source::Source;
use vsr_artifact::machine::Machine;
use vsr_compiler::diag::Problems;
use vsr_compiler::ir::eval::{Given, Noise, Stops, Values, evaluate};
use vsr_compiler::ir::graph::{Graph, Op};
use vsr_compiler::ir::philox::Stream;
use vsr_compiler::pass_manager::PassManager;
use vsr_compiler::pipeline;
use vsr_compiler::schedule::interpret::Memory;
use vsr_compiler::schedule::{self, EntryPlan, Numerics, Rules, WeightTable};
use vsr_compiler::sema::{self, Elaborated, EntryGraph, Loader, Options};
use vsr_compiler::tile;

/// Where two that must agree do not.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    pub kind: Kind,
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A panic of the house: a verifier's, too, of a pass or of a kernel.
    Panic,
    /// What the check accepts does not compile.
    Refused,
    /// The graph does not mean what the text says.
    Graph,
    /// A derived gradient is not the loss's slope.
    Gradient,
    /// Kernels, interpreted, do not give what the graph means, or touch what they must not.
    Schedule,
    /// Native code does not give what the graph means.
    Native,
    /// Bits differ: between targets, vector widths, numbers of threads, or two compilations.
    Bits,
    /// Native code touches memory outside of its buffers.
    Outside,
}

/// What was held against what, for one program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    pub kernels: usize,
    pub contractions: usize,
    pub scatters: usize,
    pub gradients: usize,
    /// Numbers that say nothing: roundings alone move them too far.
    pub unsure: usize,
    pub numbers: usize,
    /// Programs that are too much work to evaluate: they compile, and no more is known of them.
    pub compiled_only: usize,
}

impl std::ops::AddAssign for Checked {
    fn add_assign(&mut self, more: Checked) {
        self.kernels += more.kernels;
        self.contractions += more.contractions;
        self.scatters += more.scatters;
        self.gradients += more.gradients;
        self.unsure += more.unsure;
        self.numbers += more.numbers;
        self.compiled_only += more.compiled_only;
    }
}

/// What came of one source; None: the front end refuses it.
pub type Outcome = Option<Result<Checked, Finding>>;

pub(super) fn found<T>(kind: Kind, text: impl Into<String>) -> Result<T, Finding> {
    Err(Finding {
        kind,
        text: text.into(),
    })
}

/// The shape of the program's last line, if the front end takes it.
pub fn shape_of(program: &Program) -> Option<Vec<i64>> {
    let mut asked = program.clone();
    asked.train = None;
    asked.outputs = vec![asked.lines.last()?.name.clone()];
    let source = Source::of_text(&asked.to_string());
    let made = source.with(as_written).ok()?;
    let graph = &made.entries.first()?.graph;
    let [(_, node)] = graph.outputs.as_slice() else {
        return None;
    };
    Some(graph.shape(*node).to_vec())
}

/// Whether the front end takes the text as it stands.
pub fn is_accepted(text: &str) -> bool {
    Source::of_text(text).is_accepted()
}

/// All checks of one program, in the order of the stages.
pub fn check(program: &Program, seed: u64) -> Outcome {
    let source = Source::of_text(&program.to_string());
    within(&source, seed, MOST_WORK_OF_PROGRAMS)
}

/// As [`check`], however much work it is.
pub fn check_source(source: &Source, seed: u64) -> Outcome {
    // The check makes the same sketch, and keeps none.
    let written = catch_unwind(AssertUnwindSafe(|| source.with(as_written)));
    match written {
        Ok(Err(_)) => None,
        Ok(Ok(written)) => Some(guarded(|| run(source, &written, seed))),
        Err(panic) => Some(found(Kind::Panic, message(&*panic))),
    }
}

/// Compiles only, for what is too large to evaluate.
pub fn compiles(source: &Source) -> Outcome {
    let accepted = catch_unwind(AssertUnwindSafe(|| source.is_accepted()));
    match accepted {
        Ok(false) => None,
        Ok(true) => Some(guarded(|| compile(source))),
        Err(panic) => Some(found(Kind::Panic, message(&*panic))),
    }
}

/// One source in so many is compiled once more from its text, and its kernels are read back from theirs.
const SAME_BYTES: u64 = 8;

/// Points of all equations up to which a network is evaluated, and a program, whose gradients may have many more points than
/// its own equations.
const MOST_WORK: i64 = 3_000_000;
const MOST_WORK_OF_PROGRAMS: i64 = 4_000_000;

/// All checks where the oracle can follow; else the source is compiled only.
pub fn check_any(source: &Source, seed: u64) -> Outcome {
    within(source, seed, MOST_WORK)
}

fn within(source: &Source, seed: u64, most_work: i64) -> Outcome {
    let outcome = match work(source).is_none_or(|w| w <= most_work) {
        true => check_source(source, seed),
        false => compiles(source),
    };
    // What is wrong with memory, weight files and names is no part of a sketch.
    match outcome {
        Some(Err(f)) if f.kind == Kind::Refused && !source.is_accepted() => None,
        outcome => outcome,
    }
}

fn compile(source: &Source) -> Result<Checked, Finding> {
    let graphs = elaborated(source, graphs_of)?;
    let mut checked = Checked {
        compiled_only: 1,
        ..Checked::default()
    };
    let mut weights = WeightTable::declared(&graphs.weights);
    for entry in &graphs.entries {
        let plan = pipeline::plan(entry, &mut weights, |rules| rules, &mut manager()).plan;
        checked.kernels += plan.setup.len() + plan.launches.len();
    }
    native::compiled(source)?;
    Ok(checked)
}

/// Points of all equations of all entries; None: it does not elaborate.
fn work(source: &Source) -> Option<i64> {
    let graphs = catch_unwind(AssertUnwindSafe(|| source.with(graphs_of).ok())).ok()??;
    let points = |e: &EntryGraph| -> i64 {
        let of = |id| match &e.graph.node(id).op {
            Op::Equation(pieces) => pieces.iter().map(|p| p.points()).sum(),
            Op::Scatter(equation) => equation.points(),
            _ => 0,
        };
        e.graph.ids().map(of).sum()
    };
    Some(graphs.entries.iter().map(points).sum())
}

/// A panic as a finding.
fn guarded(work: impl FnOnce() -> Result<Checked, Finding>) -> Result<Checked, Finding> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result,
        Err(panic) => found(Kind::Panic, message(&*panic)),
    }
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without words").to_string()
}

/// The graphs, verified after each pass.
fn graphs_of(
    loader: &mut dyn Loader,
    path: &str,
    options: &Options,
    problems: &mut Problems,
) -> Option<Elaborated> {
    pipeline::graphs(loader, path, options, &mut manager(), problems)
}

/// The graphs as the text has them.
fn as_written(
    loader: &mut dyn Loader,
    path: &str,
    options: &Options,
    problems: &mut Problems,
) -> Option<Elaborated> {
    let files = sema::load(loader, path, problems)?;
    sema::as_written(&files, loader.sources(), options, problems)
}

/// In release builds, too, everything is verified.
fn manager() -> PassManager {
    PassManager::verifying(true)
}

fn elaborated(
    source: &Source,
    how: fn(&mut dyn Loader, &str, &Options, &mut Problems) -> Option<Elaborated>,
) -> Result<Elaborated, Finding> {
    source
        .with(how)
        .or_else(|problems| found(Kind::Refused, problems))
}

fn run(source: &Source, written: &Elaborated, seed: u64) -> Result<Checked, Finding> {
    let shows_gradients = source.shows_gradients();
    let graphs = elaborated(source, graphs_of)?;
    let mut checked = Checked::default();
    let mut entries = vec![];
    for (entry, as_written) in graphs.entries.iter().zip(&written.entries) {
        let given = given(entry, seed);
        let expected = Expected::new(&entry.graph, &given)?;
        graph_means_text(entry, as_written, &given, &expected)?;
        // A stated gradient is not the loss's slope.
        let is_custom = |id| matches!(as_written.graph.node(id).op, Op::Custom { .. });
        let has_slopes = !as_written.graph.ids().any(is_custom);
        if entry.name == "train" && shows_gradients && has_slopes {
            checked.gradients += slopes(entry, as_written, &given, &expected, seed)?;
        }
        entries.push((entry, given, expected));
    }
    let mut weights = WeightTable::declared(&graphs.weights);
    for (entry, given, expected) in &entries {
        for variant in Variant::interpreted(seed) {
            let plan = planned(entry, &mut weights, variant);
            if matches!(variant, Variant::By(_)) {
                same_plans(&plan, &planned(entry, &mut weights, variant))?;
            }
            checked.kernels += plan.setup.len() + plan.launches.len();
            if seed.is_multiple_of(SAME_BYTES) {
                texts_return(&plan);
            }
            let anchored = |name: &str| plan.launches.iter().filter(|l| l.anchor == name).count();
            checked.contractions += anchored("contraction");
            checked.scatters += anchored("scatter");
            let expected = expected.by(variant, shows_gradients);
            interpreted(entry, &plan, &weights, given, &expected)?;
        }
    }
    native::check(&graphs, &entries, shows_gradients, seed, &mut checked)?;
    if seed.is_multiple_of(SAME_BYTES) {
        native::same_bytes(source, &graphs)?;
    }
    Ok(checked)
}

fn planned(entry: &EntryGraph, weights: &mut WeightTable, variant: Variant) -> EntryPlan {
    pipeline::plan(entry, weights, |rules| variant.of(rules), &mut manager()).plan
}

/// Planned once more, kernels are the same, in the same order and at the same places.
fn same_plans(first: &EntryPlan, again: &EntryPlan) -> Result<(), Finding> {
    let launches = |plan: &EntryPlan| {
        let all = plan.setup.iter().chain(&plan.launches);
        let all = all.map(|l| (l.kernel.clone(), l.buffers.clone(), l.lens.clone()));
        all.collect::<Vec<_>>()
    };
    match launches(first) == launches(again) {
        true => Ok(()),
        false => found(Kind::Bits, "two plans differ"),
    }
}

/// The text of each kernel is the kernel.
fn texts_return(plan: &EntryPlan) {
    for launch in plan.setup.iter().chain(&plan.launches) {
        let text = tile::print(&launch.kernel);
        assert_eq!(tile::parse_kernel(&text).as_ref(), Ok(&launch.kernel));
    }
}

/// By which rules a plan is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Variant {
    AsItIs,
    /// With Winograd's transforms and contractions wherever there can be any, and all stores non-temporal.
    Winograd,
    /// With no kernel for more than one value.
    Apart,
    /// For another machine.
    On(Machine),
    /// By other thresholds.
    By(Numerics),
    /// Both.
    ByOn(Numerics, Machine),
}

impl Variant {
    /// Those whose plans are interpreted: they round otherwise, or compute what others do not.
    fn interpreted(seed: u64) -> [Variant; 4] {
        let by = Variant::By(numerics(seed));
        [Variant::AsItIs, Variant::Winograd, Variant::Apart, by]
    }

    pub fn of(self, rules: Rules) -> Rules {
        match self {
            Variant::AsItIs => rules,
            Variant::Winograd => Rules {
                min_non_temporal_elements: 0,
                numerics: Numerics {
                    min_winograd_multiplications: 0,
                    min_contraction_multiplications: 0,
                    ..rules.numerics
                },
                ..rules
            },
            Variant::Apart => Rules {
                fuses: false,
                ..rules
            },
            Variant::On(machine) => rules.on(machine),
            Variant::By(numerics) => rules.by(numerics),
            Variant::ByOn(numerics, machine) => rules.by(numerics).on(machine),
        }
    }
}

/// Inputs and weights of an entry.
fn given(entry: &EntryGraph, seed: u64) -> Given {
    let mut given = Given {
        stream: Stream { seed: 11, step: 0 },
        ..Given::default()
    };
    let graph = &entry.graph;
    let values = |name: &str, n: usize| {
        let mut rng = Rng::new(seed ^ crate::reference::fnv(name));
        (0..n).map(|_| rng.value()).collect::<Vec<f64>>()
    };
    for port in &entry.inputs {
        let n = port.shape.iter().product::<i64>() as usize;
        let value = match port.name.as_str() {
            "step" | "epoch" => vec![0.0],
            "rate" => vec![-1.0],
            name => values(name, n),
        };
        given.inputs.insert(port.name.clone(), value);
    }
    for id in graph.ids() {
        match &graph.node(id).op {
            // An optimiser's state starts as it is declared: a variance is not negative.
            Op::State { of: Some(_), .. } => {}
            Op::Param { key, .. } | Op::State { key, .. } => {
                given
                    .weights
                    .insert(key.clone(), values(key, graph.size(id)));
            }
            _ => {}
        }
    }
    given
}

/// What an entry's graph gives, and how far roundings move it.
#[derive(Clone)]
pub(super) struct Expected {
    pub outputs: BTreeMap<String, Numbers>,
    pub updates: BTreeMap<String, Numbers>,
}

#[derive(Clone)]
pub(super) struct Numbers {
    pub values: Vec<f64>,
    /// By how much each is moved by roundings of f32.
    pub spread: Vec<f64>,
    pub scale: f64,
}

/// Runs with random roundings, and the size of one of them.
const NOISY_RUNS: u64 = 3;
const ROUNDING: f64 = 1.0 / (1 << 22) as f64;

impl Expected {
    fn new(graph: &Graph, given: &Given) -> Result<Expected, Finding> {
        let run = |noise: Option<Noise>| {
            let given = Given {
                noise,
                ..given.clone()
            };
            evaluate(graph, &given)
        };
        let exact = run(None).or_else(|e| found(Kind::Graph, e))?;
        let mut noisy = vec![];
        let random = (0..NOISY_RUNS).map(|seed| Noise::Random {
            seed,
            size: ROUNDING,
        });
        for noise in random.chain([Noise::Nearest]) {
            noisy.push(run(Some(noise)).or_else(|e| found(Kind::Graph, e))?);
        }
        let outputs = |v: &Values| -> BTreeMap<String, Vec<f64>> {
            let of =
                |(name, _): &(String, _)| Some((name.clone(), v.output(graph, name)?.to_vec()));
            graph.outputs.iter().filter_map(of).collect()
        };
        let updates = |v: &Values| v.updates(graph);
        Ok(Expected {
            outputs: with_spread(outputs(&exact), noisy.iter().map(outputs)),
            updates: with_spread(updates(&exact), noisy.iter().map(updates)),
        })
    }
}

impl Expected {
    /// What holds by some rules. Winograd's transforms leave a rounding where a gradient is nothing, and an optimiser that divides
    /// by a gradient's size makes a step of it: where training stores the gradients themselves, they are held.
    pub fn by(&self, variant: Variant, shows_gradients: bool) -> Expected {
        let mut expected = self.clone();
        let has_winograd = matches!(
            variant,
            Variant::Winograd | Variant::By(_) | Variant::ByOn(..)
        );
        if has_winograd && !shows_gradients {
            expected.updates.clear();
        }
        expected
    }
}

type ByName = BTreeMap<String, Vec<f64>>;

fn with_spread(exact: ByName, noisy: impl Iterator<Item = ByName>) -> BTreeMap<String, Numbers> {
    let noisy: Vec<ByName> = noisy.collect();
    let numbers = |(name, values): (String, Vec<f64>)| {
        let spread = (0..values.len()).map(|i| {
            // What roundings may turn into no number, they may turn into anything.
            let apart = noisy.iter().map(|n| match (n[&name][i], values[i]) {
                (a, b) if a.is_nan() && !b.is_nan() => f64::INFINITY,
                (a, b) => (a - b).abs(),
            });
            apart.fold(0.0, f64::max)
        });
        let spread = spread.collect();
        let scale = values.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
        let numbers = Numbers {
            values,
            spread,
            scale,
        };
        (name, numbers)
    };
    exact.into_iter().map(numbers).collect()
}

impl Numbers {
    /// How far number `i` may be off in f32; None: its roundings alone move it too far to say.
    pub fn tolerance(&self, i: usize) -> Option<f64> {
        let size = self.values[i].abs().max(1e-3 * self.scale).max(1e-6);
        let tolerance = 4e-6 * size + 2e-7 * self.scale + 24.0 * self.spread[i];
        (tolerance < 0.02 * size.max(0.05 * self.scale)).then_some(tolerance)
    }
}

/// The first of some numbers that is not what it must be.
pub(super) fn differs(
    got: &[f64],
    want: &[f64],
    tolerance: impl Fn(usize) -> Option<f64>,
) -> Option<String> {
    if got.len() != want.len() {
        return Some(format!("{} numbers, not {}", got.len(), want.len()));
    }
    let apart = |i: &usize| {
        let (a, b) = (got[*i], want[*i]);
        let same = a == b || a.is_nan() && b.is_nan();
        !same
            && tolerance(*i)
                .is_some_and(|t| (a - b).abs().partial_cmp(&t) != Some(std::cmp::Ordering::Less))
    };
    let wrong: Vec<usize> = (0..got.len()).filter(apart).collect();
    let first = *wrong.first()?;
    Some(format!(
        "[{first}] is {}, not {} within {:e} ({} of {} differ)",
        got[first],
        want[first],
        tolerance(first).unwrap_or_default(),
        wrong.len(),
        got.len()
    ))
}

/// Constants are folded to f32, so the two agree to its roundings.
fn graph_means_text(
    entry: &EntryGraph,
    as_written: &EntryGraph,
    given: &Given,
    expected: &Expected,
) -> Result<(), Finding> {
    let graph = &as_written.graph;
    let roots: Vec<_> = graph.outputs.iter().map(|(_, id)| *id).collect();
    let values = vsr_compiler::ir::eval::evaluate_nodes(graph, given, &roots);
    let values = values.or_else(|e| found(Kind::Graph, e))?;
    for (name, numbers) in &expected.outputs {
        let want = values.output(graph, name).unwrap_or_default();
        if let Some(text) = differs(&numbers.values, want, |i| numbers.tolerance(i)) {
            let entry = entry.name;
            return found(Kind::Graph, format!("{entry} {name}{text}"));
        }
    }
    Ok(())
}

/// Each weight's gradient along a random direction, against the difference of two losses of the text.
fn slopes(
    entry: &EntryGraph,
    as_written: &EntryGraph,
    given: &Given,
    expected: &Expected,
    seed: u64,
) -> Result<usize, Finding> {
    // What `stop` gave where nothing is moved holds for all that is moved.
    let stops = Stops::default();
    let loss = |key: &str, step: f64, along: &[f64]| -> Result<f64, Finding> {
        let mut moved = Given {
            stops: Some(stops.again()),
            ..given.clone()
        };
        if let Some(w) = moved.weights.get_mut(key) {
            w.iter_mut().zip(along).for_each(|(w, d)| *w += step * d);
        }
        let graph = &as_written.graph;
        let root = graph.output("loss").map_or(vec![], |id| vec![id]);
        let values = vsr_compiler::ir::eval::evaluate_nodes(graph, &moved, &root);
        let values = values.or_else(|e| found(Kind::Graph, e))?;
        Ok(values.output(graph, "loss").map_or(f64::NAN, |l| l[0]))
    };
    loss("", 0.0, &[])?;
    let mut n = 0;
    for (key, gradient) in &expected.updates {
        let is_weight =
            |id| matches!(&entry.graph.node(id).op, Op::Param { key: k, .. } if k == key);
        if !entry.graph.ids().any(is_weight) {
            continue;
        }
        let mut rng = Rng::new(seed ^ 0x510e ^ crate::reference::fnv(key));
        let along: Vec<f64> = gradient.values.iter().map(|_| rng.value()).collect();
        match slope(&along, &gradient.values, &|step, along| {
            loss(key, step, along)
        })? {
            Slope::Same => n += 1,
            Slope::Unclear => {}
            Slope::Other(text) => {
                let text = format!("d loss/d {key}: {text}");
                return found(Kind::Gradient, text);
            }
        }
    }
    Ok(n)
}

enum Slope {
    Same,
    /// The loss has a kink or a jump here.
    Unclear,
    Other(String),
}

type LossAlong<'a> = &'a dyn Fn(f64, &[f64]) -> Result<f64, Finding>;

/// Along all elements at once; where that is not smooth, element by element.
fn slope(along: &[f64], gradient: &[f64], loss: LossAlong) -> Result<Slope, Finding> {
    const SINGLES: usize = 6;
    match one_slope(along, gradient, loss)? {
        Slope::Unclear => {}
        decided => return Ok(decided),
    }
    let mut any = false;
    let step = (gradient.len() / SINGLES).max(1);
    for i in (0..gradient.len()).step_by(step) {
        let single: Vec<f64> = (0..gradient.len())
            .map(|j| f64::from(u8::from(i == j)))
            .collect();
        match one_slope(&single, gradient, loss)? {
            Slope::Unclear => {}
            Slope::Same => any = true,
            Slope::Other(text) => return Ok(Slope::Other(format!("[{i}]: {text}"))),
        }
    }
    Ok(if any { Slope::Same } else { Slope::Unclear })
}

fn one_slope(along: &[f64], gradient: &[f64], loss: LossAlong) -> Result<Slope, Finding> {
    let derived: f64 = along.iter().zip(gradient).map(|(a, g)| a * g).sum();
    let size: f64 = along.iter().zip(gradient).map(|(a, g)| (a * g).abs()).sum();
    let at = |h: f64| loss(h, along);
    let middle = at(0.0)?;
    let mut seen = vec![];
    for h in [1e-5, 2.5e-6] {
        let (left, right) = ((middle - at(-h)?) / h, (at(h)? - middle) / h);
        seen.extend([left, right]);
        let central = (left + right) / 2.0;
        let near = 1e-4 * size.max(central.abs()) + 1e-7 * (1.0 + middle.abs());
        if (derived - central).abs() <= near {
            return Ok(Slope::Same);
        }
    }
    // All four agree where the loss is smooth.
    let (low, high) = seen
        .iter()
        .fold((f64::MAX, f64::MIN), |(l, h), s| (l.min(*s), h.max(*s)));
    let smooth =
        high - low <= 1e-3 * size.max(high.abs()).max(low.abs()) + 1e-6 * (1.0 + middle.abs());
    if !smooth || !derived.is_finite() && !middle.is_finite() {
        return Ok(Slope::Unclear);
    }
    Ok(Slope::Other(format!(
        "derived {derived}, the loss's slope is {low} to {high}"
    )))
}

/// The plan, interpreted, against the graph.
fn interpreted(
    entry: &EntryGraph,
    plan: &EntryPlan,
    weights: &WeightTable,
    given: &Given,
    expected: &Expected,
) -> Result<(), Finding> {
    let stored = weights.weights.iter().map(|w| {
        let n = w.shape.iter().product::<i64>() as usize;
        given
            .weights
            .get(&w.key)
            .cloned()
            .unwrap_or_else(|| start(w.init, n))
    });
    let failed = |e: String| {
        let plan = schedule::print(entry.name, plan);
        Finding {
            kind: Kind::Schedule,
            text: format!("{}: {e}\n{plan}", entry.name),
        }
    };
    let mut memory = Memory::new(plan, &given.inputs, stored.collect()).map_err(failed)?;
    memory.stream = given.stream;
    memory.run(plan).map_err(failed)?;
    for (name, numbers) in &expected.outputs {
        let got = memory.output(plan, name).unwrap_or_default();
        if let Some(text) = differs(&got, &numbers.values, |i| numbers.tolerance(i)) {
            return Err(failed(format!("{name}{text}")));
        }
    }
    for (key, numbers) in &expected.updates {
        let at = weights.weights.iter().position(|w| w.key == *key);
        let got = at.map_or(&[][..], |at| &memory.weights[at]);
        if let Some(text) = differs(got, &numbers.values, |i| numbers.tolerance(i)) {
            return Err(failed(format!("new {key}{text}")));
        }
    }
    Ok(())
}

/// An optimiser's state at first.
pub(super) fn start(init: vsr_compiler::ir::graph::Init, n: usize) -> Vec<f64> {
    match init {
        vsr_compiler::ir::graph::Init::Constant(x) => vec![x; n],
        _ => vec![0.0; n],
    }
}
