//! Frozen networks: layers whose weights come from a file that is checked here, key by key, and never change.
//!
//! Enters the headers that the loader read; leaves weights that know their place in the file, or every disagreement
//! at once. No tensor is read here.

use super::elab::Elab;
use super::error::{Failed, Fallible, fault, suggest};
use super::module::{FrozenRef, Program};
use super::rename::{self, Renamed, Rules};
use super::scalar::shape_text;
use super::scope::Env;
use crate::diag::{Class, Diag, Problems, Span};
use crate::syntax::ast::{self, DType, WeightRuleKind};
use std::collections::{BTreeMap, BTreeSet};
use vsr_weightfile::{Header, Tensor};

/// Where a frozen weight comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Relative to the text's folder.
    pub file: String,
    pub part: Renamed,
}

/// A frozen network that was called: what it reads, and what does not fit.
#[derive(Clone, Debug, Default)]
pub struct FrozenUse {
    pub layer: usize,
    /// Keys of the file.
    pub read: BTreeSet<String>,
    missing: Vec<String>,
    /// Sentences, each with the place where the network declares the weight.
    unfit: Vec<(String, Span)>,
    /// A rule failed, which was reported at its own place.
    failed: bool,
}

/// Lines of one error before the rest is only counted.
const LISTED: usize = 12;
/// Missing keys that get a proposal: comparing with every key of a large file takes time.
const PROPOSED: usize = 4;

impl<'a> Elab<'a, '_> {
    /// Whether a frozen network can be called; only an optional one may be asked.
    pub fn frozen_present(&mut self, id: usize, span: Span) -> Fallible<bool> {
        let program = self.program;
        let frozen = &program.frozen[id];
        if !frozen.item.is_optional {
            let name = &frozen.item.name.text;
            let text = format!(
                "`{name}` is a frozen network that must be there; only an optional one can be asked"
            );
            let help = format!("`frozen {name}? = …`, or call it: `{name}(…)`");
            return self.fail(span, fault(Class::Type, text).help(help));
        }
        if frozen.stored.is_none() {
            self.absent.insert(id);
        }
        Ok(frozen.stored.is_some())
    }

    /// The layer of a frozen network, made at its first call.
    pub fn frozen_layer(&mut self, id: usize, span: Span) -> Fallible<usize> {
        if let Some(known) = self.frozen.get(&id) {
            return Ok(known.layer);
        }
        let program = self.program;
        let frozen = &program.frozen[id];
        let (item, path) = (frozen.item, &frozen.path);
        let name = &item.name.text;
        match frozen.stored {
            None => {
                let text = format!("{path} is missing, so `{name}` cannot be called");
                let help = format!(
                    "choose at compile time: `frozen {name}? = …`, `if {name} {{ … }} else {{ … }}`"
                );
                return self.fail(span, fault(Class::Weight, text).help(help));
            }
            Some(Err(why)) => {
                let text = format!("{path} {why}");
                return self.fail(item.file.span, fault(Class::Weight, text));
            }
            Some(Ok(_)) => {}
        }
        if let Some(precision) = item.precision.filter(|p| *p != DType::F32) {
            let word = precision.name();
            let text = format!("`{name}` is to be kept as {word}, which the CPU does not do yet");
            let fault = fault(Class::Param, text).help("write `as f32`, or leave `as` out");
            return self.fail(item.name.span, fault);
        }
        let mut env = Env::new(frozen.module, None, name.as_str().into());
        env.frozen = Some(id);
        let layer = self.make(&item.network, &mut env)?;
        let made = FrozenUse {
            layer,
            ..FrozenUse::default()
        };
        self.frozen.insert(id, made);
        Ok(layer)
    }

    /// Where the weight `key` of a frozen network lies in its file. What does not fit is collected, and the weight
    /// gets a place all the same, so that one run finds everything.
    pub fn frozen_source(&mut self, id: usize, key: &str, shape: &[i64], span: Span) -> Source {
        let program = self.program;
        let frozen = &program.frozen[id];
        let rules = Rules::new(frozen.rules(program));
        let layer = self.frozen.get(&id).map_or(0, |f| f.layer);
        let parameters = self.layers[layer].parameters.clone();
        let renamed = self.renamed(&rules, &parameters, key);
        let found = self.frozen.entry(id).or_default();
        let Ok(renamed) = renamed else {
            found.failed = true;
            return Source {
                file: frozen.name.clone(),
                part: Renamed::default(),
            };
        };
        let stored = frozen.stored.and_then(|s| s.as_ref().ok());
        match stored.and_then(|header| header.tensors.get(&renamed.key)) {
            None => found.missing.push(renamed.key.clone()),
            Some(tensor) => {
                found.read.insert(renamed.key.clone());
                if let Some(why) = misfit(tensor, &renamed, shape) {
                    found.unfit.push((why, span));
                }
            }
        }
        Source {
            file: frozen.name.clone(),
            part: renamed,
        }
    }

    /// Reports what did not fit, file by file.
    pub fn check_frozen(&mut self) -> Fallible<()> {
        let program = self.program;
        let mut failed = false;
        for (id, used) in &self.frozen {
            let frozen = &program.frozen[*id];
            failed |= used.failed;
            if !used.missing.is_empty() {
                self.problems.push(missing(frozen, used));
                failed = true;
            }
            if !used.unfit.is_empty() {
                self.problems.push(unfit(frozen, used));
                failed = true;
            }
        }
        if failed { Err(Failed) } else { Ok(()) }
    }
}

impl<'a> FrozenRef<'a> {
    fn rules(&self, program: &Program<'a>) -> Option<&'a ast::Weights> {
        let via = self.item.via.as_ref()?;
        program.rules(&via.text, self.module)
    }

    /// Begins the keys of its weights among all weights; no label contains a colon.
    pub fn prefix(&self, program: &Program<'a>) -> String {
        let name = &self.item.name.text;
        match self.module {
            0 => format!("{name}:"),
            module => format!("{}:{name}:", program.files[module].name),
        }
    }
}

/// Why a file's tensor is not the network's weight.
fn misfit(tensor: &Tensor, renamed: &Renamed, shape: &[i64]) -> Option<String> {
    let key = &renamed.key;
    if !tensor.dtype.is_float() {
        let kind = tensor.dtype.name();
        return Some(format!(
            "`{key}` is {kind}; weights are f32, f64, bf16 or f16"
        ));
    }
    let whole: Vec<i64> = tensor.shape.iter().map(|n| *n as i64).collect();
    let mut got = whole.clone();
    if let Some((low, high)) = renamed.rows {
        let rows = got.first().copied().unwrap_or(0);
        if low < 0 || low >= high || high > rows {
            return Some(format!(
                "`{key}` has {rows} rows; [{low}:{high}] are asked for"
            ));
        }
        got[0] = high - low;
    }
    if renamed.transposed {
        match got.as_mut_slice() {
            [a, b] => std::mem::swap(a, b),
            _ => {
                return Some(format!(
                    "`{key}` is {}; only two axes can be transposed",
                    shape_text(&whole)
                ));
            }
        }
    }
    let plain = |s: &[i64]| s.iter().copied().filter(|n| *n != 1).collect::<Vec<i64>>();
    if plain(&got) == plain(shape) {
        return None;
    }
    let (file, own) = (shape_text(&got), shape_text(shape));
    Some(format!(
        "`{key}` is {file} in the file, {own} in the network"
    ))
}

fn missing(frozen: &FrozenRef<'_>, used: &FrozenUse) -> Diag {
    let keys: Vec<&str> = match frozen.stored {
        Some(Ok(header)) => header.tensors.keys().map(String::as_str).collect(),
        _ => vec![],
    };
    let path = &frozen.path;
    let first = &used.missing[0];
    let text = match used.missing.len() {
        1 => format!("{path} has no `{first}`"),
        n => format!("{path} has no `{first}`, and misses {} more", n - 1),
    };
    let mut diag = Diag::new(Class::Weight, frozen.item.file.span, text);
    for (at, key) in used
        .missing
        .iter()
        .take(LISTED)
        .enumerate()
        .skip(usize::from(used.missing.len() == 1))
    {
        let near = (at < PROPOSED)
            .then(|| suggest(key, keys.iter().copied()))
            .flatten();
        diag = diag.note(match near {
            Some(near) => format!("`{key}`: {near}"),
            None => format!("`{key}`"),
        });
    }
    if used.missing.len() > LISTED {
        diag = diag.note(format!("and {} more", used.missing.len() - LISTED));
    }
    // The commonest reason: every key of the file begins with the name of what wrapped the network.
    let longer = |key: &&&str| {
        key.strip_suffix(first.as_str())
            .is_some_and(|p| p.ends_with('.'))
    };
    let help = match keys.iter().find(longer) {
        Some(key) => {
            let prefix = key.strip_suffix(first.as_str()).unwrap_or_default();
            Some(format!(
                "the file has `{key}`: a rule `{{...p}} -> {prefix}{{...p}}` in a `weights` item"
            ))
        }
        None => suggest(first, keys.iter().copied()),
    };
    match help {
        Some(help) => diag.help(help),
        None => diag,
    }
}

fn unfit(frozen: &FrozenRef<'_>, used: &FrozenUse) -> Diag {
    let path = &frozen.path;
    let (first, declared) = &used.unfit[0];
    let text = match used.unfit.len() {
        1 => format!("{path}: {first}"),
        n => format!(
            "{path} does not fit {} in {n} tensors",
            frozen.item.network.block.text
        ),
    };
    let mut diag =
        Diag::new(Class::Weight, frozen.item.file.span, text).label(*declared, "declared here");
    for (why, _) in used
        .unfit
        .iter()
        .take(LISTED)
        .skip(usize::from(used.unfit.len() == 1))
    {
        diag = diag.note(why.clone());
    }
    if used.unfit.len() > LISTED {
        diag = diag.note(format!("and {} more", used.unfit.len() - LISTED));
    }
    diag
}

/// Tensors that no network reads and no `ignore` names. A file is only judged once every network that the text reads
/// from it has been called.
pub fn unread(program: &Program<'_>, all: &[&BTreeMap<usize, FrozenUse>], problems: &mut Problems) {
    let mut files: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (id, frozen) in program.frozen.iter().enumerate() {
        files.entry(&frozen.path).or_default().push(id);
    }
    for ids in files.values() {
        let called = |id: &usize| all.iter().any(|used| used.contains_key(id));
        let frozen = &program.frozen[ids[0]];
        if let (true, Some(Ok(header))) = (ids.iter().all(called), frozen.stored) {
            judge(program, all, ids, header, problems);
        }
    }
}

fn judge(
    program: &Program<'_>,
    all: &[&BTreeMap<usize, FrozenUse>],
    ids: &[usize],
    header: &Header,
    problems: &mut Problems,
) {
    let read = |key: &String| {
        let used = ids
            .iter()
            .flat_map(|id| all.iter().filter_map(|u| u.get(id)));
        used.into_iter().any(|u| u.read.contains(key))
    };
    let rules = ids
        .iter()
        .filter_map(|id| program.frozen[*id].rules(program));
    let ignored: Vec<&ast::Path> = rules
        .flat_map(|r| &r.rules)
        .filter_map(|r| match &r.kind {
            WeightRuleKind::Ignore(path) => Some(path),
            WeightRuleKind::Rename { .. } => None,
        })
        .collect();
    let is_ignored = |key: &String| ignored.iter().any(|p| rename::matches(p, key).is_some());
    let unread: Vec<&String> = header
        .tensors
        .keys()
        .filter(|k| !read(k) && !is_ignored(k))
        .collect();
    let Some(first) = unread.first() else {
        return;
    };
    let item = program.frozen[ids[0]].item;
    let path = &program.frozen[ids[0]].path;
    let text = match unread.len() {
        1 => format!("`{first}` of {path} is never read"),
        n => format!("{n} tensors of {path} are never read"),
    };
    let mut diag = Diag::new(Class::Weight, item.file.span, text);
    for key in unread.iter().take(LISTED) {
        diag = diag.note(format!("`{key}`"));
    }
    if unread.len() > LISTED {
        diag = diag.note(format!("and {} more", unread.len() - LISTED));
    }
    let rules: BTreeSet<String> = unread
        .iter()
        .map(|key| match key.split_once('.') {
            Some((head, _)) => format!("ignore {head}.{{...p}}"),
            None => format!("ignore {key}"),
        })
        .collect();
    let shown: Vec<String> = rules.into_iter().take(PROPOSED).collect();
    problems.push(diag.help(format!(
        "if that is right: `weights … {{ {} }}`",
        shown.join("  ")
    )));
}
