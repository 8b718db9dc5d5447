//! Files and their items: loading, imports, and who sees which name.
//!
//! Text enters through a `Loader`; nothing is evaluated here.

use super::builtin::BUILTINS;
use super::error::{suggest_or_list, suggested};
use super::scope::Env;
use super::stdlib;
use super::walk;
use crate::diag::{Class, Diag, Problems, Sources, Span};
use crate::syntax::ast::{self, ItemKind};
use rustc_hash::{FxHashMap as HashMap, FxHashSet as HashSet};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use vsr_weightfile::Header;

/// Where texts come from. Paths are as the source writes them, relative to the first file's own place.
pub trait Loader {
    fn read(&mut self, path: &str) -> Result<String, String>;
    /// Whether a file (a network's weights) is there.
    fn exists(&mut self, path: &str) -> bool;
    /// Names, types and shapes of the tensors of a weight file that is there; an error ends a sentence about the file.
    fn weights(&mut self, path: &str) -> Result<Header, String> {
        let _ = path;
        Err("cannot be read here".into())
    }
    /// The texts read so far, the standard library's too: what `Problems::render` shows lines of.
    fn sources(&mut self) -> &mut Sources;
}

pub struct Loaded {
    /// As the loader knows it.
    pub path: String,
    /// Relative to the first file's folder: the same wherever that lies. One of the library begins with `stdlib/`.
    pub name: String,
    pub ast: Arc<ast::File>,
    pub standard: bool,
    /// Files of this module's `use` items, in order.
    pub uses: Vec<Option<usize>>,
    /// The weight files of `frozen` items that are there: what they hold, or why they cannot be read.
    pub stored: BTreeMap<String, Result<Header, String>>,
}

const MAX_FILES: usize = 200;
/// Of all files together.
const MAX_BYTES: usize = 2 * crate::syntax::MAX_BYTES;

/// Reads a file, what it uses, and the standard library.
pub fn load(loader: &mut dyn Loader, path: &str, problems: &mut Problems) -> Option<Vec<Loaded>> {
    let text = match loader.read(path) {
        Ok(text) => text,
        Err(why) => {
            problems.push(Diag::placeless(
                Class::Import,
                format!("cannot read {path}: {why}"),
            ));
            return None;
        }
    };
    let texts = reachable(loader, path, text);
    let n_own = texts.len();
    let mut parsed = parse_together(loader.sources(), texts);
    let standard = parsed.split_off(n_own);
    let mut files = vec![];
    for (file, found) in parsed {
        problems.extend(found);
        files.push(file);
    }
    let mut next = 0;
    while next < files.len() {
        resolve_uses(next, &mut files, loader, problems);
        next += 1;
    }
    for (file, found) in standard {
        problems.extend(found);
        files.push(file);
    }
    Some(files)
}

/// The file and those that it seems to use, by a look at lines that begin with `use`: so that all can be parsed at once.
/// What this overlooks is found in the trees.
fn reachable(loader: &mut dyn Loader, path: &str, text: String) -> Vec<Text> {
    let mut texts = vec![Text {
        path: path.to_string(),
        name: path.rsplit('/').next().unwrap_or(path).to_string(),
        text: text.into(),
        standard: false,
    }];
    let (mut next, mut n_asked) = (0, 0);
    while next < texts.len() && !is_too_much(texts.iter().map(|file| file.text.len())) {
        let from = &texts[next];
        let uses = from.text.lines().filter(|line| line.starts_with("use "));
        let named = uses.filter_map(|line| line.split('"').nth(1));
        let paths = named.map(|path| (join(&from.path, path), join(&from.name, path)));
        for (path, name) in paths.collect::<Vec<_>>() {
            let is_new = n_asked < MAX_FILES && !texts.iter().any(|known| known.name == name);
            n_asked += usize::from(is_new);
            if let Some(text) = is_new.then(|| loader.read(&path).ok()).flatten() {
                texts.push(Text {
                    path,
                    name,
                    text: text.into(),
                    standard: false,
                });
            }
        }
        next += 1;
    }
    texts
}

/// A file before it is parsed.
struct Text {
    path: String,
    name: String,
    text: Cow<'static, str>,
    standard: bool,
}

/// Parses the user's files and then the standard library's.
fn parse_together(sources: &mut Sources, own: Vec<Text>) -> Vec<(Loaded, Problems)> {
    let standard = stdlib::FILES.iter().map(|(name, text)| Text {
        path: format!("stdlib/{name}"),
        name: format!("stdlib/{name}"),
        text: Cow::Borrowed(text),
        standard: true,
    });
    let n_own = own.len();
    let all: Vec<Text> = own.into_iter().chain(standard).collect();
    let numbered: Vec<(u32, &str)> = all
        .iter()
        .map(|file| (sources.add(&file.path, &*file.text), &*file.text))
        .collect();
    let first = numbered[n_own].0;
    let known = kept().get(&first).cloned();
    let is_new = known.is_none();
    let parsed = crate::syntax::parse_all(&numbered[..if is_new { numbered.len() } else { n_own }]);
    let parsed = parsed
        .into_iter()
        .map(|(ast, found)| (Arc::new(ast), found));
    let known = known
        .into_iter()
        .flatten()
        .map(|ast| (ast, Problems::new()));
    let trees: Vec<(Arc<ast::File>, Problems)> = parsed.chain(known).collect();
    if is_new {
        keep(first, &trees[n_own..]);
    }
    let loaded = |(text, (ast, found)): (Text, _)| (Loaded::of(text, ast), found);
    all.into_iter().zip(trees).map(loaded).collect()
}

/// Trees of the standard library, by the number of its first file, which is part of every place in them: an editor's texts and
/// tests are parsed without it.
type Kept = BTreeMap<u32, Vec<Arc<ast::File>>>;

/// Of more numbers, none is kept.
const MAX_KEPT: usize = 8;

fn kept() -> std::sync::MutexGuard<'static, Kept> {
    static KEPT: Mutex<Kept> = Mutex::new(Kept::new());
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

fn keep(first: u32, trees: &[(Arc<ast::File>, Problems)]) {
    let mut kept = kept();
    if kept.len() < MAX_KEPT && trees.iter().all(|(_, found)| found.is_empty()) {
        kept.insert(first, trees.iter().map(|(ast, _)| ast.clone()).collect());
    }
}

impl Loaded {
    fn of(text: Text, ast: Arc<ast::File>) -> Loaded {
        Loaded {
            path: text.path,
            name: text.name,
            ast,
            standard: text.standard,
            uses: vec![],
            stored: BTreeMap::new(),
        }
    }
}

fn parse(sources: &mut Sources, text: Text, problems: &mut Problems) -> Loaded {
    let id = sources.add(&text.path, &*text.text);
    let ast = crate::syntax::parse(id, &text.text, problems);
    Loaded::of(text, Arc::new(ast))
}

fn resolve_uses(
    at: usize,
    files: &mut Vec<Loaded>,
    loader: &mut dyn Loader,
    problems: &mut Problems,
) {
    let (mut wanted, mut weights) = (vec![], vec![]);
    for item in &files[at].ast.items {
        match &item.kind {
            ItemKind::Use(u) => {
                let name = join(&files[at].name, &u.file.text);
                wanted.push((join(&files[at].path, &u.file.text), name, u.file.span));
            }
            ItemKind::Frozen(f) => weights.push(join(&files[at].path, &f.file.text)),
            _ => {}
        }
    }
    for (path, name, span) in wanted {
        if problems.is_full() {
            files[at].uses.push(None);
            continue;
        }
        let known = files.iter().position(|f| f.name == name);
        let found = known.or_else(|| match loader.read(&path) {
            Ok(_) if is_too_much(lengths(files, loader)) => {
                let text = format!(
                    "this is one file too many: {MAX_FILES} are the most, and {} MiB",
                    MAX_BYTES >> 20
                );
                problems.push(Diag::new(Class::Import, span, text));
                None
            }
            Ok(text) => {
                let text = Text {
                    path,
                    name,
                    text: text.into(),
                    standard: false,
                };
                files.push(parse(loader.sources(), text, problems));
                Some(files.len() - 1)
            }
            Err(why) => {
                let text = format!("cannot read {path}: {why}");
                let help = "the path starts at the folder of the file that says `use`";
                problems.push(Diag::new(Class::Import, span, text).help(help));
                None
            }
        });
        files[at].uses.push(found);
    }
    weights.retain(|path| loader.exists(path));
    for path in weights {
        let header = loader.weights(&path);
        files[at].stored.insert(path, header);
    }
}

fn is_too_much(lengths: impl Iterator<Item = usize>) -> bool {
    let (n_files, n_bytes) = lengths.fold((0, 0), |(n, sum), bytes| (n + 1, sum + bytes));
    n_files >= MAX_FILES || n_bytes > MAX_BYTES
}

fn lengths(files: &[Loaded], loader: &mut dyn Loader) -> impl Iterator<Item = usize> {
    let sources = loader.sources();
    let lengths: Vec<usize> = files
        .iter()
        .map(|file| sources.text(file.ast.id).len())
        .collect();
    lengths.into_iter()
}

/// `path` relative to the folder of `from`, without `.` and `..` where they can be resolved.
pub fn join(from: &str, path: &str) -> String {
    if path.starts_with('/') {
        return path.into();
    }
    let is_place = |part: &&str| !part.is_empty() && *part != ".";
    let root = from.starts_with('/').then_some("");
    let mut parts: Vec<&str> = root
        .into_iter()
        .chain(from.split('/').filter(is_place))
        .collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "." | "" => {}
            ".." if parts.last().is_some_and(|p| *p != ".." && !p.is_empty()) => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    parts.join("/")
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DefKind {
    Op,
    Block,
    Model,
}

/// An op, block or model, whatever file it stands in.
pub struct Def<'a> {
    pub kind: DefKind,
    pub module: usize,
    pub name: &'a ast::Ident,
    pub doc: &'a str,
    pub parameters: &'a [ast::Input],
    pub inputs: &'a [ast::Input],
    pub result: Option<&'a ast::Type>,
    pub wheres: &'a [ast::Expr],
    pub kernel: Option<&'a ast::Ident>,
    pub body: &'a ast::Body,
    pub grad: Option<&'a ast::Grad>,
    pub standard: bool,
    /// Every tensor in it is `[...S]` and its body has no equation: it applies to numbers too.
    pub elementwise: bool,
}

pub struct FrozenRef<'a> {
    pub item: &'a ast::Frozen,
    pub module: usize,
    /// The weight file as the loader knows it.
    pub path: String,
    /// Relative to the first file's folder.
    pub name: String,
    /// What the file holds; `None`: there is no such file.
    pub stored: Option<&'a Result<Header, String>>,
}

pub struct Program<'a> {
    pub sources: &'a Sources,
    pub files: &'a [Loaded],
    pub defs: Vec<Def<'a>>,
    /// Of each module: what it defines and imports.
    items: Vec<HashMap<&'a str, usize>>,
    /// Names whose definitions have been reported: what uses them stays silent.
    broken: Vec<HashSet<&'a str>>,
    pub frozen: Vec<FrozenRef<'a>>,
    frozen_names: Vec<HashMap<&'a str, usize>>,
    rules: Vec<HashMap<&'a str, &'a ast::Weights>>,
    standard: HashMap<&'a str, usize>,
}

impl<'a> Program<'a> {
    pub fn new(files: &'a [Loaded], sources: &'a Sources, problems: &mut Problems) -> Program<'a> {
        let empty = || files.iter().map(|_| HashMap::default()).collect();
        let mut program = Program {
            sources,
            files,
            defs: vec![],
            items: empty(),
            frozen: vec![],
            frozen_names: empty(),
            rules: files.iter().map(|_| HashMap::default()).collect(),
            broken: files.iter().map(broken).collect(),
            standard: HashMap::default(),
        };
        for at in 0..files.len() {
            program.define(at, problems);
        }
        for at in 0..files.len() {
            program.import(at, problems);
        }
        program
    }

    fn define(&mut self, at: usize, problems: &mut Problems) {
        let file = &self.files[at];
        let mut seen: BTreeMap<&str, Span> = BTreeMap::new();
        for item in &file.ast.items {
            if let Some(name) = item
                .name()
                .filter(|_| !matches!(item.kind, ItemKind::Profile(_) | ItemKind::Train(_)))
                && let Some(first) = seen.insert(&name.text, name.span)
            {
                let text = format!("`{}` is defined twice", name.text);
                problems.push(Diag::new(Class::Name, name.span, text).label(first, "first here"));
                continue;
            }
            match &item.kind {
                ItemKind::Op(op) => self.add(at, op_def(at, op, &item.doc, file.standard)),
                ItemKind::Block(block) => {
                    self.add(at, block_def(at, block, &item.doc, file.standard))
                }
                ItemKind::Frozen(frozen) => {
                    let path = join(&file.path, &frozen.file.text);
                    self.frozen_names[at].insert(&frozen.name.text, self.frozen.len());
                    self.frozen.push(FrozenRef {
                        item: frozen,
                        module: at,
                        stored: file.stored.get(&path),
                        path,
                        name: join(&file.name, &frozen.file.text),
                    });
                }
                ItemKind::Weights(weights) => {
                    self.rules[at].insert(&weights.name.text, weights);
                }
                ItemKind::Use(_) | ItemKind::Train(_) | ItemKind::Profile(_) => {}
            }
        }
    }

    fn add(&mut self, at: usize, def: Def<'a>) {
        let name: &'a str = &def.name.text;
        let number = self.defs.len();
        if def.standard {
            self.standard.insert(name, number);
        }
        self.items[at].insert(name, number);
        self.defs.push(def);
    }

    fn import(&mut self, at: usize, problems: &mut Problems) {
        let file = &self.files[at];
        let uses = file.ast.items.iter().filter_map(|item| match &item.kind {
            ItemKind::Use(u) => Some(u),
            _ => None,
        });
        for (u, from) in uses.zip(&file.uses) {
            let Some(from) = *from else { continue };
            for name in &u.names {
                self.import_name(at, from, name, &u.file.text, problems);
            }
        }
    }

    fn import_name(
        &mut self,
        at: usize,
        from: usize,
        name: &'a ast::Ident,
        path: &str,
        problems: &mut Problems,
    ) {
        let key: &'a str = &name.text;
        if self.broken[from].contains(key) {
            self.broken[at].insert(key);
            return;
        }
        if self.items[at].contains_key(key)
            || self.rules[at].contains_key(key)
            || self.frozen_names[at].contains_key(key)
        {
            let text = format!("`{key}` is imported, and also defined here");
            problems.push(Diag::new(Class::Name, name.span, text));
            return;
        }
        // Only what the file itself defines: an import is not passed on.
        let own = self.items[from]
            .get(key)
            .copied()
            .filter(|d| self.defs[*d].module == from);
        if let Some(def) = own {
            self.items[at].insert(key, def);
        } else if let Some(rules) = self.rules[from].get(key).copied() {
            self.rules[at].insert(key, rules);
        } else {
            let known = self.items[from]
                .iter()
                .filter(|(_, d)| self.defs[**d].module == from)
                .map(|(k, _)| *k);
            let known = super::eval::sorted(known.chain(self.rules[from].keys().copied()));
            let mut diag = Diag::new(Class::Import, name.span, format!("no `{key}` in {path}"));
            let help = suggest_or_list(key, &format!("{path} defines"), &known);
            if let Some(new) = help.as_deref().and_then(suggested) {
                diag = diag.edit(name.span, new);
            }
            diag.help = help;
            problems.push(diag);
            self.broken[at].insert(key);
        }
    }

    /// The op, block or model of that name: own and imported items first, then the standard library.
    pub fn find(&self, name: &str, module: usize) -> Option<usize> {
        self.items[module]
            .get(name)
            .or_else(|| self.standard.get(name))
            .copied()
    }

    /// What is wrong with the definition of that name has been reported.
    pub fn is_broken(&self, name: &str, module: usize) -> bool {
        self.broken[module].contains(name)
    }

    /// Where the first file names a profile.
    pub fn profile(&self, name: &str) -> Option<Span> {
        let mut profiles = self.files[0]
            .ast
            .items
            .iter()
            .filter_map(|item| match &item.kind {
                ItemKind::Profile(profile) => Some(&profile.name),
                _ => None,
            });
        profiles.find(|own| own.text == name).map(|own| own.span)
    }

    /// The span stands in a file of the standard library.
    pub fn is_standard(&self, span: Span) -> bool {
        let mut standard = self.files.iter().filter(|file| file.standard);
        standard.any(|file| file.ast.id == span.file)
    }

    /// The number of a `frozen` item of the file.
    pub fn frozen(&self, name: &str, module: usize) -> Option<usize> {
        self.frozen_names[module].get(name).copied()
    }

    /// A `weights` item of that name is in the file, or imported.
    pub fn rules(&self, name: &str, module: usize) -> Option<&'a ast::Weights> {
        self.rules[module].get(name).copied()
    }

    /// What can be called from a module.
    pub fn callables(&self, module: usize) -> impl Iterator<Item = &str> {
        self.items[module]
            .keys()
            .chain(self.standard.keys())
            .copied()
            .chain(BUILTINS.iter().map(|b| b.0))
    }

    pub fn is_callable(&self, name: &str, module: usize) -> bool {
        self.callables(module).any(|c| c == name)
    }

    pub fn text(&self, span: Span) -> &'a str {
        self.sources
            .text(span.file)
            .get(span.start as usize..span.end as usize)
            .unwrap_or("")
    }

    /// The empty span behind the `]` that follows a span.
    pub fn bracket_after(&self, span: Span) -> Option<Span> {
        let text = self.sources.text(span.file).get(span.end as usize..)?;
        let at = span.end + text.find(']')? as u32 + 1;
        Some(Span {
            start: at,
            end: at,
            ..span
        })
    }

    /// `` `attention` is true ``, if an `if` of the body binds the name.
    pub fn bound_only_where(&self, name: &str, env: &Env<'a>) -> Option<String> {
        let body = self.defs.get(env.def?)?.body;
        let (condition, holds) = walk::binding_condition(body, name)?;
        Some(format!("`{}` is {holds}", self.text(condition.span)))
    }

    /// The values of the names in a clause: `H is 45`.
    pub fn names_in(&self, e: &'a ast::Expr, env: &Env<'a>) -> String {
        let mut words: Vec<String> = vec![];
        self.collect_names(e, env, &mut words);
        words.join(", ")
    }

    fn collect_names(&self, e: &'a ast::Expr, env: &Env<'a>, words: &mut Vec<String>) {
        if let ast::ExprKind::Name(name) | ast::ExprKind::Dim(name) = &e.kind
            && let Some(value) = env.vars.get(name.as_str())
        {
            let text = match value {
                super::value::Value::Int(i, Some(note)) if **note != **name => {
                    format!("{name} is {note} = {i}")
                }
                super::value::Value::Int(i, _) => format!("{name} is {i}"),
                other => format!("{name} is {}", other.describe()),
            };
            if !words.contains(&text) {
                words.push(text);
            }
        }
        walk::each_child(e, &mut |x| self.collect_names(x, env, words));
    }

    /// Where the value of a definition stands.
    pub fn last_span(&self, d: &Def<'a>) -> Span {
        match (&d.body.value, d.body.stmts.last()) {
            (Some(e), _) => e.span,
            (None, Some(stmt)) => stmt.span,
            (None, None) => d.body.span,
        }
    }

    pub fn no_value(&self, d: &Def<'a>) -> (Span, String) {
        let text = format!(
            "{} has no value: its last line is neither an expression nor an equation",
            d.name.text
        );
        (self.last_span(d), text)
    }
}

/// Names of a file that mean nothing because of errors: of items that do not parse, and of files that cannot be read.
fn broken(file: &Loaded) -> HashSet<&str> {
    let uses = file.ast.items.iter().filter_map(|item| match &item.kind {
        ItemKind::Use(u) => Some(u),
        _ => None,
    });
    let unread = uses.zip(&file.uses).filter(|(_, from)| from.is_none());
    let names = unread.flat_map(|(u, _)| u.names.iter().map(|name| name.text.as_str()));
    names
        .chain(file.ast.broken.iter().map(String::as_str))
        .collect()
}

fn op_def<'a>(module: usize, op: &'a ast::Op, doc: &'a str, standard: bool) -> Def<'a> {
    Def {
        kind: DefKind::Op,
        module,
        name: &op.name,
        doc,
        parameters: &[],
        inputs: &op.inputs,
        result: op.result.as_ref(),
        wheres: &op.conditions,
        kernel: op.kernel.as_ref(),
        body: &op.body,
        grad: op.grad.as_ref(),
        standard,
        elementwise: is_elementwise(op),
    }
}

fn block_def<'a>(module: usize, block: &'a ast::Block, doc: &'a str, standard: bool) -> Def<'a> {
    Def {
        kind: if block.is_model {
            DefKind::Model
        } else {
            DefKind::Block
        },
        module,
        name: &block.name,
        doc,
        parameters: &block.params,
        inputs: &block.inputs,
        result: block.result.as_ref(),
        wheres: &block.conditions,
        kernel: None,
        body: &block.body,
        grad: None,
        standard,
        elementwise: false,
    }
}

fn is_elementwise(op: &ast::Op) -> bool {
    let packed = |ty: &ast::Type| match &ty.kind {
        ast::TypeKind::Tensor { axes, .. } => matches!(axes.as_slice(), [ast::Axis::Pack(_)]),
        _ => false,
    };
    let tensors = || {
        op.inputs
            .iter()
            .filter(|i| matches!(i.ty.kind, ast::TypeKind::Tensor { .. }))
    };
    tensors().count() > 0
        && tensors().all(|i| packed(&i.ty))
        && op.result.as_ref().is_none_or(packed)
        && !walk::has_equation(&op.body)
}
