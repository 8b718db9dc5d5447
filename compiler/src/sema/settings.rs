//! What is compiled: the model, the `train` item that fixes its arguments, the profiles, and `--set` overrides.

use super::error::{suggest, suggested};
use super::module::{DefKind, Program};
use super::value::Value;
use super::{Options, cycle};
use crate::diag::{Class, Diag, Problems, Span};
use crate::syntax::ast::{self, ItemKind};
use rustc_hash::{FxHashMap as HashMap, FxHashSet as HashSet};
use std::collections::{BTreeMap, BTreeSet};

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
    pub profiles: &'a [Profile<'a>],
    /// `--set` for parameters of the `train` item, and of the model.
    pub train_values: Vec<(String, Value)>,
    pub model_values: Vec<(&'a str, Value)>,
}

/// What a file offers to choose from. It is looked at once, however many models and profiles there are.
pub struct Offer<'a> {
    trains: Vec<&'a ast::Train>,
    train_of: HashMap<&'a str, &'a ast::Train>,
    models: Vec<usize>,
    model_of: HashMap<&'a str, usize>,
    /// Those that are wanted, `--set` applied.
    pub profiles: Vec<Profile<'a>>,
}

impl<'a> Offer<'a> {
    /// None: `problems` says what is wrong with the profiles, or what the options ask for.
    pub fn of(
        program: &Program<'a>,
        options: &Options,
        problems: &mut Problems,
    ) -> Option<Offer<'a>> {
        let file = &program.files[0].ast;
        let trains = file.items.iter().filter_map(|item| match &item.kind {
            ItemKind::Train(train) => Some(train),
            _ => None,
        });
        let is_own =
            |d: &usize| program.defs[*d].module == 0 && program.defs[*d].kind == DefKind::Model;
        let models = (0..program.defs.len()).filter(is_own);
        let mut offer = Offer {
            trains: trains.collect(),
            train_of: HashMap::default(),
            models: models.collect(),
            model_of: HashMap::default(),
            profiles: profiles(file, problems)?,
        };
        for train in &offer.trains {
            let first = *offer.train_of.entry(&train.name.text).or_insert(train);
            if first.name.span != train.name.span {
                let text = format!("train `{}` is defined twice", train.name.text);
                let diag = Diag::new(Class::Name, train.name.span, text);
                problems.push(diag.label(first.name.span, "first here"));
                return None;
            }
        }
        for model in &offer.models {
            let name: &'a str = &program.defs[*model].name.text;
            offer.model_of.insert(name, *model);
        }
        for (name, text) in &options.set {
            offer.set_dim(name, text, problems)?;
        }
        pick(&mut offer.profiles, options, problems)?;
        Some(offer)
    }

    /// `--set H=90`: a dim in every profile.
    fn set_dim(&mut self, name: &str, text: &str, problems: &mut Problems) -> Option<()> {
        if !is_dim(name) {
            return Some(());
        }
        let Some(size) = text.parse::<i64>().ok().filter(|s| *s > 0) else {
            problems.push(Diag::placeless(
                Class::Dim,
                format!("--set {name}={text}: a dim is a positive int"),
            ));
            return None;
        };
        let known: BTreeSet<&str> = self
            .profiles
            .iter()
            .flat_map(|p| p.dims.keys().map(String::as_str))
            .collect();
        if !known.is_empty() && !known.contains(name) {
            let text = format!("--set {name}={text}: no profile binds the dim `{name}`");
            let known = known.into_iter().collect::<Vec<_>>().join(", ");
            problems.push(Diag::placeless(Class::Dim, text).help(format!("they bind {known}")));
            return None;
        }
        for profile in &mut self.profiles {
            profile.dims.insert(name.to_string(), size);
        }
        Some(())
    }
}

fn is_dim(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_uppercase())
}

/// The settings of one `train` item or model.
pub fn settings<'a>(
    program: &Program<'a>,
    offer: &'a Offer<'a>,
    options: &Options,
    problems: &mut Problems,
) -> Option<Settings<'a>> {
    let (model, train) = choose(program, offer, options, problems)?;
    let mut settings = Settings {
        module: 0,
        model,
        train,
        profiles: &offer.profiles,
        train_values: vec![],
        model_values: vec![],
    };
    for (name, text) in options.set.iter().filter(|(name, _)| !is_dim(name)) {
        set(program, &mut settings, name, text, problems)?;
    }
    needs_profiles(&settings, options, problems)?;
    Some(settings)
}

/// What choosing from the file without a name would say.
pub fn choice(program: &Program<'_>, offer: &Offer<'_>, problems: &mut Problems) {
    let is_clear = match (offer.trains.len(), offer.models.as_slice()) {
        (0, models) => models.is_empty() || cycle::whole(program, models).is_some(),
        (n_trains, _) => n_trains == 1,
    };
    if !is_clear {
        let help = "compiling takes one of them: `vsrc compile FILE NAME`; `vsrc check --name NAME` looks at it alone";
        problems.push(several(program, offer).help(help));
    }
}

/// The `train` item or model that NAME picks, or the only one there is, or the model that is made of all the others.
fn choose<'a>(
    program: &Program<'a>,
    offer: &Offer<'a>,
    options: &Options,
    problems: &mut Problems,
) -> Option<(usize, Option<&'a ast::Train>)> {
    let path = &program.files[0].path;
    let name_of = |model: &usize| program.defs[*model].name.text.as_str();
    if let Some(name) = &options.name {
        if let Some(train) = offer.train_of.get(name.as_str()) {
            return with_model(program, train, problems);
        }
        if let Some(model) = offer.model_of.get(name.as_str()) {
            return Some((*model, None));
        }
        let trains = offer.trains.iter().map(|t| t.name.text.as_str());
        let known = trains.chain(offer.models.iter().map(name_of));
        let text = format!("{path} has no model or train item `{name}`");
        let mut diag = Diag::placeless(Class::Name, text);
        if let Some(help) = suggest(name, known) {
            diag = diag.help(help);
        }
        problems.push(diag);
        return None;
    }
    match (offer.trains.as_slice(), offer.models.as_slice()) {
        ([train], _) => with_model(program, train, problems),
        ([], [model]) => Some((*model, None)),
        ([], models) if let Some(whole) = cycle::whole(program, models) => Some((whole, None)),
        ([], []) => {
            problems.push(
                Diag::placeless(Class::Name, format!("{path} has no model"))
                    .help("`model Name()(x: [B, 3, H, W]) { … }`"),
            );
            None
        }
        _ => {
            problems.push(several(program, offer).help("name one after the file"));
            None
        }
    }
}

/// The file has several to choose from, and none is made of all the others.
fn several(program: &Program<'_>, offer: &Offer<'_>) -> Diag {
    let models = offer
        .models
        .iter()
        .map(|m| program.defs[*m].name.text.as_str());
    let names: Vec<&str> = match offer.trains.as_slice() {
        [] => models.collect(),
        trains => trains.iter().map(|t| t.name.text.as_str()).collect(),
    };
    let path = &program.files[0].path;
    let text = format!("{path} has several to choose from: {}", names.join(", "));
    Diag::placeless(Class::Name, text)
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
    let mut all: Vec<Profile<'a>> = vec![];
    let mut first_of: HashMap<&str, Span> = HashMap::default();
    let before = problems.len();
    for item in &file.items {
        let ItemKind::Profile(profile) = &item.kind else {
            continue;
        };
        let span = profile.name.span;
        let first = *first_of.entry(&profile.name.text).or_insert(span);
        if first != span {
            let text = format!("profile `{}` is defined twice", profile.name.text);
            problems.push(Diag::new(Class::Name, span, text).label(first, "first here"));
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
        all.push(made);
    }
    (problems.len() == before).then_some(all)
}

fn apply_setting(profile: &mut Profile<'_>, setting: &ast::Setting, problems: &mut Problems) {
    use ast::SettingValue as V;
    let name = setting.name.text.as_str();
    let upper = is_dim(name);
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

/// `--set NAME=VALUE` for a parameter of the `train` item, or of the model.
fn set<'a>(
    program: &Program<'a>,
    settings: &mut Settings<'a>,
    name: &str,
    text: &str,
    problems: &mut Problems,
) -> Option<()> {
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
fn pick(profiles: &mut Vec<Profile<'_>>, options: &Options, problems: &mut Problems) -> Option<()> {
    if profiles.is_empty() {
        return Some(());
    }
    let names: HashSet<&str> = profiles.iter().map(|p| p.name).collect();
    for wanted in &options.profiles {
        if !names.contains(wanted.as_str()) {
            let mut diag = Diag::placeless(Class::Name, format!("there is no profile `{wanted}`"));
            if let Some(help) = suggest(wanted, profiles.iter().map(|p| p.name)) {
                diag = diag.help(help);
            }
            problems.push(diag);
            return None;
        }
    }
    if !options.profiles.is_empty() {
        let wanted: HashSet<&str> = options.profiles.iter().map(String::as_str).collect();
        profiles.retain(|p| wanted.contains(p.name));
    }
    Some(())
}

fn needs_profiles(
    settings: &Settings<'_>,
    options: &Options,
    problems: &mut Problems,
) -> Option<()> {
    if settings.profiles.is_empty() {
        let text = "no profile gives the dims their values";
        problems.push(
            Diag::placeless(Class::Dim, text)
                .help("add one: `profile tile { B = 1  H = 64  W = 64 }`"),
        );
        return None;
    }
    if options.profiles.is_empty()
        && let Some(train) = settings.train
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
