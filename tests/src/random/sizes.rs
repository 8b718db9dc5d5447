//! Every model and case at sizes that nobody has named: each dim over extents around the widths of vectors, tiles and blocks.
//!
//! Enters the repository's files; leaves sources with settings. Networks are taken in the small configuration of their
//! golden; those that have no training get one, so that their gradients are compiled, too.

use super::program::GRADIENT;
use super::rng::Rng;
use super::source::Source;
use crate::{golden, root};
use vsr_compiler::diag::Problems;
use vsr_compiler::syntax::ast::{Input, ItemKind, SettingValue};
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
    /// With a training that stores gradients, where the file has none.
    pub text: Option<String>,
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
        all.extend(network(&path, None, vec![]));
    }
    all
}

fn files(folder: &str, ending: &str) -> Vec<String> {
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

fn of_golden(name: &str) -> Option<Network> {
    let golden = golden(name);
    let mut set = golden.settings("set");
    set.retain(|(k, _)| k != "strength");
    let entry = golden.about.get("entry").filter(|e| !e.is_empty()).cloned();
    if set.is_empty() {
        return None;
    }
    network(&golden.about["source"], entry, set)
}

fn network(path: &str, name: Option<String>, set: Vec<(String, String)>) -> Option<Network> {
    let text = std::fs::read_to_string(root().join(path)).ok()?;
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
    let text = match (trains, model) {
        (false, Some(b)) => Some(trained(&text, &b.name.text, &b.inputs, &set, &dims)),
        _ => None,
    };
    Some(Network {
        path: path.to_string(),
        name: text.as_ref().map_or(name, |_| Some("swept".into())),
        dims,
        set,
        text,
    })
}

/// The text with a training added that stores each weight's gradient.
fn trained(
    text: &str,
    model: &str,
    inputs: &[Input],
    set: &[(String, String)],
    dims: &[(String, i64)],
) -> String {
    let of = |i: &Input| text[i.span.start as usize..i.span.end as usize].to_string();
    let data: String = inputs
        .iter()
        .map(|i| format!("  data {} = clips(\"data\")\n", of(i)))
        .collect();
    let names: Vec<&str> = inputs.iter().map(|i| i.name.text.as_str()).collect();
    let fixed: Vec<String> = set.iter().map(|(k, v)| format!("{k}={v}")).collect();
    let extents: Vec<String> = dims.iter().map(|(k, n)| format!("{k} = {n}")).collect();
    format!(
        "{text}\nblock Gradient()(w: [...S], g: [...S], rate: []) -> [...S] = g\n\n\
         op swept_loss(x: [...S]) -> [] = mean(x**2)\n\n\
         train swept() = {model}({}) {{\n  epochs = 1\n  steps = 1\n  rate = 0.125\n  optimizer = {GRADIENT}\n{data}  \
         y = swept({})\n  loss = swept_loss(y)\n}}\n\nprofile train {{ {} }}\n",
        fixed.join(", "),
        names.join(", "),
        extents.join("  "),
    )
}

impl Network {
    /// The network with some dims at random extents: one or two of them, B and T up to 9, others as they are but small.
    pub fn at(&self, rng: &mut Rng) -> Source {
        let mut dims = self.dims.clone();
        for (name, n) in &mut dims {
            *n = match name.as_str() {
                "B" | "T" => (*n).min(2),
                _ => (*n).min(16),
            };
        }
        for _ in 0..rng.int(1, 2) {
            let at = rng.below(dims.len());
            dims[at].1 = match dims[at].0.as_str() {
                "B" | "T" => rng.int(1, 9),
                _ => *rng.pick(&EXTENTS),
            };
        }
        let mut set: Vec<(String, String)> = match self.text {
            // The training has them in its text.
            Some(_) => vec![],
            None => self.set.clone(),
        };
        set.extend(dims.iter().map(|(k, n)| (k.clone(), n.to_string())));
        let mut source = Source::of_file(&self.path, &set);
        source.text = self.text.clone();
        source.options.name = self.name.clone();
        source
    }
}
