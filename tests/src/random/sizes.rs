//! Every model and case at sizes that nobody has named: each dim over extents around the widths of vectors, tiles and blocks.
//!
//! Enters the repository's files; leaves sources with settings. Networks are taken in the small configuration of their
//! golden; those that have no training get one, so that their gradients are compiled, too.

use super::program::{GRADIENT, GRADIENT_BLOCK};
use super::rng::Rng;
use super::source::Source;
use crate::{golden, root};
use vsr_compiler::diag::Problems;
use vsr_compiler::syntax::ast::{Axis, Input, ItemKind, SettingValue, TypeKind};
use vsr_compiler::syntax::parse;

pub const EXTENTS: [i64; 19] = [
    1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 40, 48, 56, 63, 64, 65,
];

/// A file with the dims of its profiles, and settings that keep it small.
#[derive(Clone, Debug)]
pub struct Network {
    pub path: String,
    pub name: Option<String>,
    pub dims: Vec<(String, i64)>,
    pub set: Vec<(String, String)>,
    /// The file's text, and the model to train, where the file has no training.
    untrained: Option<(String, Model)>,
}

/// What a training of a model must know.
#[derive(Clone, Debug)]
struct Model {
    name: String,
    /// Inputs by name, with their axes as written.
    inputs: Vec<(String, Vec<String>)>,
}

/// All models with a golden, and all cases.
pub fn networks() -> Vec<Network> {
    let mut all = vec![];
    for name in files("tests/goldens/networks", "safetensors") {
        all.extend(of_golden(&format!("networks/{name}")));
    }
    for name in [
        "vdsr.safetensors",
        "vsr-deform.safetensors",
        "vsr-plain.safetensors",
    ] {
        all.extend(of_golden(name));
    }
    for name in files("tests/cases/ops", "vsr") {
        let path = format!("tests/cases/ops/{name}");
        all.push(network(&path, None, vec![]));
    }
    all
}

pub(super) fn read(path: &str) -> String {
    let text = std::fs::read_to_string(root().join(path));
    text.unwrap_or_else(|e| panic!("{path}: {e}"))
}

pub(super) fn files(folder: &str, ending: &str) -> Vec<String> {
    let entries = std::fs::read_dir(root().join(folder)).expect("a folder of the repository");
    let names = entries.map(|e| {
        e.expect("an entry")
            .file_name()
            .to_string_lossy()
            .into_owned()
    });
    let mut names: Vec<String> = names.filter(|n| n.ends_with(ending)).collect();
    names.sort();
    names
}

/// None: the golden states no small configuration, so that its network is too large for the oracle at any extent.
fn of_golden(name: &str) -> Option<Network> {
    let golden = golden(name);
    let mut set = golden.settings("set");
    // How much the recipe degrades: a parameter of the training, which the model that is trained here does not have.
    set.retain(|(k, _)| k != "strength");
    let entry = golden.about.get("entry").filter(|e| !e.is_empty()).cloned();
    let is_small = !set.is_empty();
    is_small.then(|| network(&golden.about["source"], entry, set))
}

fn network(path: &str, name: Option<String>, set: Vec<(String, String)>) -> Network {
    let text = read(path);
    let file = parse(0, &text, &mut Problems::new());
    let mut dims: Vec<(String, i64)> = vec![];
    let mut trains = false;
    let mut model = None;
    for item in &file.items {
        match &item.kind {
            ItemKind::Profile(p) => dims.extend(p.settings.iter().filter_map(|s| match s.value {
                SettingValue::Int(n) if s.name.text != "memory" => Some((s.name.text.clone(), n)),
                _ => None,
            })),
            ItemKind::Train(_) => trains = true,
            ItemKind::Block(b) if b.is_model && name.as_ref().is_none_or(|n| *n == b.name.text) => {
                model = Some(b)
            }
            _ => {}
        }
    }
    dims.sort();
    dims.dedup_by(|a, b| a.0 == b.0);
    let untrained = match (trains, model) {
        (false, Some(b)) => Some((
            without_results(path, &text),
            model_of(&text, &b.name.text, &b.inputs),
        )),
        _ => None,
    };
    Network {
        path: path.to_string(),
        name,
        dims,
        set,
        untrained,
    }
}

/// A case states its result in numbers, which hold for its own sizes.
fn without_results(path: &str, text: &str) -> String {
    let is_case = path.starts_with("tests/cases");
    let line = |line: &str| match (
        is_case && line.starts_with("model "),
        line.split_once(" -> ["),
    ) {
        (true, Some((head, tail))) => format!("{head}{}", tail.split_once(']').map_or("", |t| t.1)),
        _ => line.to_string(),
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

fn model_of(text: &str, name: &str, inputs: &[Input]) -> Model {
    let axes = |i: &Input| -> Vec<String> {
        let TypeKind::Tensor { axes, .. } = &i.ty.kind else {
            return vec![];
        };
        let axis = |a: &Axis| match a {
            Axis::Dim(e) => text[e.span.start as usize..e.span.end as usize].to_string(),
            Axis::Pack(p) => format!("...{}", p.text),
        };
        axes.iter().map(axis).collect()
    };
    Model {
        name: name.to_string(),
        inputs: inputs
            .iter()
            .map(|i| (i.name.text.clone(), axes(i)))
            .collect(),
    }
}

impl Model {
    /// The text with a model that holds the inputs as weights, and a training that stores each gradient.
    fn trained(&self, text: &str, set: &[(String, String)], dims: &[(String, i64)]) -> String {
        let number = |axis: &String| {
            let by_name =
                |axis: String, (name, n): &(String, i64)| replace_word(&axis, name, &n.to_string());
            let mut sorted = dims.to_vec();
            sorted.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
            sorted.iter().fold(axis.clone(), by_name)
        };
        let weight = |(name, axes): &(String, Vec<String>)| {
            let axes: Vec<String> = axes.iter().map(number).collect();
            format!("  param {name}: [{}] = uniform(-1, 1)\n", axes.join(", "))
        };
        let weights: String = self.inputs.iter().map(weight).collect();
        let names: Vec<&str> = self.inputs.iter().map(|i| i.0.as_str()).collect();
        let fixed: Vec<String> = set.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let call = match names.split_first() {
            Some((first, [])) => format!("{first} |> {}({}) @net", self.name, fixed.join(", ")),
            Some((first, rest)) => format!(
                "{first} |> {}({})({}) @net",
                self.name,
                fixed.join(", "),
                rest.join(", ")
            ),
            None => format!("{}({})() @net", self.name, fixed.join(", ")),
        };
        format!(
            "{text}\n{GRADIENT_BLOCK}\n\n\
             op swept_loss(x: [...S]) -> [] = mean(x**2)\n\n\
             model Swept()() {{\n{weights}  {call}\n}}\n\n\
             train swept() = Swept() {{\n  epochs = 1\n  steps = 1\n  rate = 0.125\n  optimizer = {GRADIENT}\n  \
             data unused: [1] = clips(\"data\")\n  y = swept()\n  loss = swept_loss(y)\n}}\n\nprofile train {{ }}\n"
        )
    }
}

/// Every occurrence of a word that stands alone.
fn replace_word(text: &str, word: &str, by: &str) -> String {
    let is_letter = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let mut new = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(word) {
        let (before, after) = (
            rest[..at].chars().last(),
            rest[at + word.len()..].chars().next(),
        );
        new += &rest[..at];
        new += if is_letter(before) || is_letter(after) {
            word
        } else {
            by
        };
        rest = &rest[at + word.len()..];
    }
    new + rest
}

impl Network {
    /// The network with some dims at random extents: one or two of them, or all of one extent together; others as they are,
    /// but small.
    pub fn at(&self, rng: &mut Rng) -> Source {
        let mut dims = self.dims.clone();
        for (name, n) in &mut dims {
            *n = match name.as_str() {
                "B" => (*n).min(2),
                "T" => (*n).min(5),
                _ => (*n).min(16),
            };
        }
        for _ in 0..rng.int(1, 2) {
            let (name, old) = dims[rng.below(dims.len())].clone();
            let new = match name.as_str() {
                "B" | "T" => rng.int(1, 9),
                _ => *rng.pick(&EXTENTS),
            };
            let together = rng.chance(50);
            let ours = dims
                .iter_mut()
                .filter(|(k, n)| *k == name || together && *n == old);
            ours.for_each(|(_, n)| *n = new);
        }
        match &self.untrained {
            Some((text, model)) => Source {
                path: self.path.clone(),
                text: Some(model.trained(text, &self.set, &dims)),
                changed: None,
                options: vsr_compiler::sema::Options {
                    name: Some("swept".into()),
                    profiles: vec!["train".into()],
                    set: vec![],
                },
            },
            None => {
                let mut set = self.set.clone();
                set.extend(dims.iter().map(|(k, n)| (k.clone(), n.to_string())));
                let mut source = Source::of_file(&self.path, &set);
                source.options.name = self.name.clone();
                source
            }
        }
    }
}
