//! What is compiled: the model, the `train` item that fixes its arguments, the profiles, and `--set` overrides.

use super::Options;
use super::error::{suggest, suggested};
use super::module::{DefKind, Program};
use super::value::Value;
use crate::diag::{Class, Diag, Problems, Span};
use crate::syntax::ast::{self, ItemKind};
use std::collections::BTreeMap;

pub struct Profile<'a> {
    pub name: &'a str,
    pub dims: BTreeMap<String, i64>,
    pub precision: &'static str,
    /// Where `float` stands, if it does.
    pub precision_at: Option<Span>,
    /// GiB, and where it stands.
    pub memory: Option<(f64, Span)>,
}

pub struct Settings<'a> {
    /// The first file: its scope is that of the `train` body.
    pub module: usize,
    pub model: usize,
    pub train: Option<&'a ast::Train>,
    pub profiles: Vec<Profile<'a>>,
    /// `--set` for parameters of the `train` item, and of the model.
    pub train_values: Vec<(String, Value)>,
    pub model_values: Vec<(&'a str, Value)>,
}

pub fn settings<'a>(
    program: &Program<'a>,
    options: &Options,
    problems: &mut Problems,
) -> Option<Settings<'a>> {
    let file = &program.files[0].ast;
    let (model, train) = choose(program, file, options, problems)?;
    let mut settings = Settings {
        module: 0,
        model,
        train,
        profiles: vec![],
        train_values: vec![],
        model_values: vec![],
    };
    settings.profiles = profiles(file, problems)?;
    for (name, text) in &options.set {
        set(program, &mut settings, name, text, problems)?;
    }
    pick(&mut settings, file, options, problems)?;
    Some(settings)
}

/// The `train` item or model that NAME picks, or the only one there is, or the model that is made of all the others.
fn choose<'a>(
    program: &Program<'a>,
    file: &'a ast::File,
    options: &Options,
    problems: &mut Problems,
) -> Option<(usize, Option<&'a ast::Train>)> {
    let trains: Vec<&ast::Train> = file
        .items
        .iter()
        .filter_map(|i| match &i.kind {
            ItemKind::Train(t) => Some(t),
            _ => None,
        })
        .collect();
    let models: Vec<usize> = (0..program.defs.len())
        .filter(|d| program.defs[*d].module == 0 && program.defs[*d].kind == DefKind::Model)
        .collect();
    for (at, train) in trains.iter().enumerate() {
        let first = trains[..at].iter().find(|t| t.name.text == train.name.text);
        if let Some(first) = first {
            let text = format!("train `{}` is defined twice", train.name.text);
            let diag = Diag::new(Class::Name, train.name.span, text);
            problems.push(diag.label(first.name.span, "first here"));
            return None;
        }
    }
    let path = &program.files[0].path;
    if let Some(name) = &options.name {
        if let Some(train) = trains.iter().find(|t| t.name.text == *name) {
            return with_model(program, train, problems);
        }
        if let Some(model) = models.iter().find(|m| program.defs[**m].name.text == *name) {
            return Some((*model, None));
        }
        let known: Vec<&str> = trains
            .iter()
            .map(|t| t.name.text.as_str())
            .chain(models.iter().map(|m| program.defs[*m].name.text.as_str()))
            .collect();
        let mut diag = Diag::placeless(
            Class::Name,
            format!("{path} has no model or train item `{name}`"),
        );
        if let Some(help) = suggest(name, known) {
            diag = diag.help(help);
        }
        problems.push(diag);
        return None;
    }
    match (trains.as_slice(), models.as_slice()) {
        ([train], _) => with_model(program, train, problems),
        ([], [model]) => Some((*model, None)),
        ([], _) if let Some(whole) = whole(program, &models) => Some((whole, None)),
        ([], []) => {
            problems.push(
                Diag::placeless(Class::Name, format!("{path} has no model"))
                    .help("`model Name()(x: [B, 3, H, W]) { … }`"),
            );
            None
        }
        _ => {
            let names: Vec<&str> = match trains.as_slice() {
                [] => models
                    .iter()
                    .map(|m| program.defs[*m].name.text.as_str())
                    .collect(),
                _ => trains.iter().map(|t| t.name.text.as_str()).collect(),
            };
            let text = format!("{path} has several to choose from: {}", names.join(", "));
            problems.push(Diag::placeless(Class::Name, text).help("name one after the file"));
            None
        }
    }
}

/// The model that uses all others of its file, by itself or through what it uses.
fn whole(program: &Program<'_>, models: &[usize]) -> Option<usize> {
    let is_whole = |model: &usize| {
        let reached = super::cycle::reached(program, *model);
        models.iter().all(|m| m == model || reached.contains(m))
    };
    models.iter().copied().find(is_whole)
}

fn with_model<'a>(
    program: &Program<'a>,
    train: &'a ast::Train,
    problems: &mut Problems,
) -> Option<(usize, Option<&'a ast::Train>)> {
    let name = &train.network.block;
    match program.find(&name.text, 0) {
        Some(def) if program.defs[def].kind == DefKind::Model => Some((def, Some(train))),
        Some(_) => {
            problems.push(
                Diag::new(
                    Class::Type,
                    name.span,
                    format!("`{}` is no model", name.text),
                )
                .help("a `train` item trains a `model`"),
            );
            None
        }
        None => {
            let known = super::eval::sorted(program.callables(0));
            let mut diag = Diag::new(Class::Name, name.span, format!("no model `{}`", name.text));
            if let Some(help) = suggest(&name.text, known) {
                if let Some(new) = suggested(&help) {
                    diag = diag.edit(name.span, new);
                }
                diag = diag.help(help);
            }
            problems.push(diag);
            None
        }
    }
}

fn profiles<'a>(file: &'a ast::File, problems: &mut Problems) -> Option<Vec<Profile<'a>>> {
    let mut all: Vec<(Profile<'a>, Span)> = vec![];
    let before = problems.len();
    for item in &file.items {
        let ItemKind::Profile(profile) = &item.kind else {
            continue;
        };
        let span = profile.name.span;
        if let Some((_, first)) = all.iter().find(|(p, _)| p.name == profile.name.text) {
            let text = format!("profile `{}` is defined twice", profile.name.text);
            problems.push(Diag::new(Class::Name, span, text).label(*first, "first here"));
            continue;
        }
        let mut made = Profile {
            name: &profile.name.text,
            dims: BTreeMap::new(),
            precision: "f32",
            precision_at: None,
            memory: None,
        };
        for setting in &profile.settings {
            apply_setting(&mut made, setting, problems);
        }
        all.push((made, span));
    }
    (problems.len() == before).then(|| all.into_iter().map(|p| p.0).collect())
}

fn apply_setting(profile: &mut Profile<'_>, setting: &ast::Setting, problems: &mut Problems) {
    use ast::SettingValue as V;
    let name = setting.name.text.as_str();
    let upper = name.starts_with(|c: char| c.is_ascii_uppercase());
    let fail = |problems: &mut Problems, class, text: String| {
        problems.push(Diag::new(class, setting.span, text));
    };
    match (name, setting.value) {
        (_, V::Int(size)) if upper && size > 0 => {
            if profile.dims.insert(name.to_string(), size).is_some() {
                fail(
                    problems,
                    Class::Dim,
                    format!("`{name}` is set twice in profile {}", profile.name),
                );
            }
        }
        _ if upper => fail(
            problems,
            Class::Dim,
            format!("`{name}` is a dim: a positive int"),
        ),
        ("float", V::Precision(p)) => {
            profile.precision = p.name();
            profile.precision_at = Some(setting.span);
        }
        ("memory", V::Int(x)) if x > 0 => profile.memory = Some((x as f64, setting.span)),
        ("memory", V::Float(x)) if x > 0.0 => profile.memory = Some((x, setting.span)),
        ("float", _) => fail(
            problems,
            Class::Param,
            "`float` is f32, tf32, bf16 or f16".into(),
        ),
        ("memory", _) => fail(
            problems,
            Class::Param,
            "`memory` is a positive number of GiB".into(),
        ),
        _ => {
            let text = format!("a profile has no setting `{name}`");
            let mut diag = Diag::new(Class::Name, setting.name.span, text);
            if let Some(help) = suggest(name, ["float", "memory"]) {
                if let Some(new) = suggested(&help) {
                    diag = diag.edit(setting.name.span, new);
                }
                diag = diag.help(help);
            }
            problems.push(diag);
        }
    }
}

/// `--set NAME=VALUE`: a dim in every profile, a parameter of the `train` item, or of the model.
fn set<'a>(
    program: &Program<'a>,
    settings: &mut Settings<'a>,
    name: &str,
    text: &str,
    problems: &mut Problems,
) -> Option<()> {
    if name.starts_with(|c: char| c.is_ascii_uppercase()) {
        let Some(size) = text.parse::<i64>().ok().filter(|s| *s > 0) else {
            problems.push(Diag::placeless(
                Class::Dim,
                format!("--set {name}={text}: a dim is a positive int"),
            ));
            return None;
        };
        let known: Vec<&String> = settings
            .profiles
            .iter()
            .flat_map(|p| p.dims.keys())
            .collect();
        if !known.is_empty() && !known.iter().any(|k| *k == name) {
            let text = format!("--set {name}={text}: no profile binds the dim `{name}`");
            let known: std::collections::BTreeSet<&str> =
                known.iter().map(|k| k.as_str()).collect();
            let known = known.into_iter().collect::<Vec<_>>().join(", ");
            problems.push(Diag::placeless(Class::Dim, text).help(format!("they bind {known}")));
            return None;
        }
        for profile in &mut settings.profiles {
            profile.dims.insert(name.to_string(), size);
        }
        return Some(());
    }
    let of_train = settings.train.map_or(&[] as &[ast::Input], |t| &t.params);
    let of_model = program.defs[settings.model].parameters;
    let (input, in_train) = match (find(of_train, name), find(of_model, name)) {
        (Some(input), _) => (input, true),
        (None, Some(input)) => (input, false),
        (None, None) => {
            let known = of_train
                .iter()
                .chain(of_model)
                .map(|i| i.name.text.as_str());
            let mut diag = Diag::placeless(
                Class::Param,
                format!("--set {name}={text}: there is no parameter `{name}`"),
            );
            if let Some(help) = suggest(name, known) {
                diag = diag.help(help);
            }
            problems.push(diag);
            return None;
        }
    };
    let Some(value) = parse(&input.ty.kind, text) else {
        let word = super::arguments::kind_word(&input.ty.kind);
        problems.push(Diag::placeless(
            Class::Param,
            format!("--set {name}={text}: `{name}` is {word}"),
        ));
        return None;
    };
    if in_train {
        settings.train_values.retain(|v| v.0 != name);
        settings.train_values.push((name.to_string(), value));
    } else {
        settings.model_values.retain(|v| v.0 != name);
        settings.model_values.push((&input.name.text, value));
    }
    Some(())
}

fn find<'a>(inputs: &'a [ast::Input], name: &str) -> Option<&'a ast::Input> {
    inputs.iter().find(|i| i.name.text == name)
}

fn parse(kind: &ast::TypeKind, text: &str) -> Option<Value> {
    let text = text.trim();
    Some(match kind {
        ast::TypeKind::Int => Value::int(text.parse().ok()?),
        ast::TypeKind::Float => Value::Float(text.parse::<f64>().ok().filter(|f| f.is_finite())?),
        ast::TypeKind::Bool => Value::Bool(text.parse().ok()?),
        ast::TypeKind::Str => Value::Str(text.trim_matches('"').into()),
        ast::TypeKind::List => {
            let inner = text.strip_prefix('[')?.strip_suffix(']')?;
            let items = inner.split(',').map(str::trim).filter(|t| !t.is_empty());
            let parse_item = |t: &str| match t.parse::<i64>() {
                Ok(i) => Some(Value::int(i)),
                Err(_) => t.parse::<f64>().ok().map(Value::Float),
            };
            Value::list(items.map(parse_item).collect::<Option<Vec<Value>>>()?)
        }
        ast::TypeKind::Tensor { .. } => return None,
    })
}

/// Keeps the profiles that are asked for.
fn pick(
    settings: &mut Settings<'_>,
    file: &ast::File,
    options: &Options,
    problems: &mut Problems,
) -> Option<()> {
    if settings.profiles.is_empty() {
        let _ = file;
        let text = "no profile gives the dims their values";
        problems.push(
            Diag::placeless(Class::Dim, text)
                .help("add one: `profile tile { B = 1  H = 64  W = 64 }`"),
        );
        return None;
    }
    for wanted in &options.profiles {
        if !settings.profiles.iter().any(|p| p.name == wanted) {
            let known = settings.profiles.iter().map(|p| p.name);
            let mut diag = Diag::placeless(Class::Name, format!("there is no profile `{wanted}`"));
            if let Some(help) = suggest(wanted, known) {
                diag = diag.help(help);
            }
            problems.push(diag);
            return None;
        }
    }
    if !options.profiles.is_empty() {
        settings
            .profiles
            .retain(|p| options.profiles.iter().any(|w| w == p.name));
    } else if let Some(train) = settings.train
        && !settings.profiles.iter().any(|p| p.name == "train")
    {
        let text = format!("train {} needs a profile named `train`", train.name.text);
        problems.push(
            Diag::new(Class::Dim, train.name.span, text)
                .help("`profile train { B = 4  T = 5  H = 64  W = 64 }`"),
        );
        return None;
    }
    Some(())
}

/// A compile-time value as the source would write it.
pub fn literal(value: &Value) -> String {
    match value {
        Value::Int(i, _) => i.to_string(),
        Value::List(items) => {
            let items: Vec<String> = items.iter().map(literal).collect();
            format!("[{}]", items.join(", "))
        }
        other => other.describe(),
    }
}
