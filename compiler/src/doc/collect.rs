//! What the pages say: items with their comments, signatures and lines, and which item uses which.

use crate::diag::{Problems, Span};
use crate::sema::{Loader, STANDARD_LIBRARY, walk};
use crate::syntax::ast::{self, ExprKind as E, ItemKind as K};
use std::collections::{BTreeMap, BTreeSet};

/// One file.
pub struct Module {
    /// `stdlib/conv.vsr`
    pub path: String,
    /// `stdlib/conv`: the page, without its ending.
    pub page: String,
    pub title: String,
    pub doc: String,
    pub text: String,
    pub items: Vec<Item>,
    /// Names taken from other files: (name, the other's file stem).
    pub imports: Vec<(String, String)>,
    pub is_standard: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    Op,
    Block,
    Model,
    Train,
    Profile,
    Frozen,
    Weights,
}

impl Word {
    pub fn name(self) -> &'static str {
        match self {
            Word::Op => "op",
            Word::Block => "block",
            Word::Model => "model",
            Word::Train => "train",
            Word::Profile => "profile",
            Word::Frozen => "frozen",
            Word::Weights => "weights",
        }
    }
}

pub struct Item {
    pub word: Word,
    pub name: String,
    pub doc: String,
    /// The text up to its body.
    pub signature: String,
    pub source: String,
    /// First line in the file, from 1.
    pub line: usize,
    /// Compile-time parameters, then tensors: (name, type, default).
    pub parameters: Vec<[String; 3]>,
    pub tensors: Vec<[String; 3]>,
    pub result: Option<String>,
    pub conditions: Vec<String>,
    pub kernel: Option<String>,
    pub has_gradient: bool,
    /// Names it calls.
    pub calls: BTreeSet<String>,
}

/// Reads the standard library and `paths`.
pub fn modules(
    loader: &mut dyn Loader,
    paths: &[String],
    problems: &mut Problems,
) -> Option<Vec<Module>> {
    let mut modules = vec![];
    for (name, text) in STANDARD_LIBRARY {
        let path = format!("stdlib/{name}");
        let id = loader.sources().add(path.as_str(), *text);
        let ast = crate::syntax::parse(id, text, problems);
        modules.push(module(path, text, &ast, true));
    }
    for path in paths {
        let text = match loader.read(path) {
            Ok(text) => text,
            Err(why) => {
                let text = format!("cannot read {path}: {why}");
                problems.push(crate::diag::Diag::placeless(
                    crate::diag::Class::Import,
                    text,
                ));
                continue;
            }
        };
        let id = loader.sources().add(path.as_str(), text.as_str());
        let ast = crate::syntax::parse(id, &text, problems);
        modules.push(module(path.clone(), &text, &ast, false));
    }
    problems.is_empty().then_some(modules)
}

fn stem(path: &str) -> &str {
    let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
    name.strip_suffix(".vsr").unwrap_or(name)
}

fn module(path: String, text: &str, ast: &ast::File, is_standard: bool) -> Module {
    let folder = if is_standard { "stdlib" } else { "models" };
    let imports = ast.items.iter().filter_map(|item| match &item.kind {
        K::Use(u) => Some(
            u.names
                .iter()
                .map(|n| (n.text.clone(), stem(&u.file.text).to_string())),
        ),
        _ => None,
    });
    Module {
        page: format!("{folder}/{}", stem(&path)),
        title: stem(&path).to_string(),
        doc: ast.doc.clone(),
        text: text.to_string(),
        items: ast.items.iter().filter_map(|i| item(i, text)).collect(),
        imports: imports.flatten().collect(),
        path,
        is_standard,
    }
}

fn slice(text: &str, start: u32, end: u32) -> &str {
    text.get(start as usize..end as usize).unwrap_or_default()
}

fn of(text: &str, span: Span) -> String {
    slice(text, span.start, span.end).to_string()
}

fn item(item: &ast::Item, text: &str) -> Option<Item> {
    let (word, name, body) = match &item.kind {
        K::Use(_) => return None,
        K::Op(op) => (Word::Op, &op.name, Some(&op.body)),
        K::Block(b) if b.is_model => (Word::Model, &b.name, Some(&b.body)),
        K::Block(b) => (Word::Block, &b.name, Some(&b.body)),
        K::Train(t) => (Word::Train, &t.name, Some(&t.body)),
        K::Profile(p) => (Word::Profile, &p.name, None),
        K::Frozen(f) => (Word::Frozen, &f.name, None),
        K::Weights(w) => (Word::Weights, &w.name, None),
    };
    let end = body.map_or(item.span.end, |b| b.span.start);
    let signature = slice(text, item.span.start, end).trim_end();
    let signature = signature.trim_end_matches(['{', '=']).trim_end();
    let start = item.span.start as usize;
    let mut made = Item {
        word,
        name: name.text.clone(),
        doc: item.doc.clone(),
        signature: dedented(signature),
        source: of(text, item.span),
        line: text[..start.min(text.len())].matches('\n').count() + 1,
        parameters: vec![],
        tensors: vec![],
        result: None,
        conditions: vec![],
        kernel: None,
        has_gradient: false,
        calls: BTreeSet::new(),
    };
    describe(&mut made, &item.kind, text);
    if let Some(body) = body {
        walk::each_in_body(body, &mut |e| calls(e, &mut made.calls));
    }
    Some(made)
}

fn describe(made: &mut Item, kind: &K, text: &str) {
    let inputs = |all: &[ast::Input]| -> Vec<[String; 3]> {
        let one = |i: &ast::Input| {
            let default = i
                .default
                .as_ref()
                .map_or(String::new(), |e| of(text, e.span));
            [i.name.text.clone(), of(text, i.ty.span), default]
        };
        all.iter().map(one).collect()
    };
    let conditions = |all: &[ast::Expr]| all.iter().map(|e| of(text, e.span)).collect();
    match kind {
        K::Op(op) => {
            made.tensors = inputs(&op.inputs);
            made.result = op.result.as_ref().map(|t| of(text, t.span));
            made.conditions = conditions(&op.conditions);
            made.kernel = op.kernel.as_ref().map(|k| k.text.clone());
            made.has_gradient = op.grad.is_some();
        }
        K::Block(b) => {
            made.parameters = inputs(&b.params);
            made.tensors = inputs(&b.inputs);
            made.result = b.result.as_ref().map(|t| of(text, t.span));
            made.conditions = conditions(&b.conditions);
        }
        K::Train(t) => {
            made.parameters = inputs(&t.params);
            made.calls.insert(t.network.block.text.clone());
        }
        K::Frozen(f) => {
            made.calls.insert(f.network.block.text.clone());
        }
        K::Use(_) | K::Profile(_) | K::Weights(_) => {}
    }
}

/// Later lines keep only what they are further in than the least indented of them.
fn dedented(text: &str) -> String {
    let indent = |l: &&str| l.len() - l.trim_start().len();
    let least = text
        .lines()
        .skip(1)
        .filter(|l| !l.trim().is_empty())
        .map(|l| indent(&l))
        .min();
    let mut lines = text.lines();
    let mut out = lines.next().unwrap_or_default().to_string();
    for line in lines {
        out += "\n    ";
        out += line.get(least.unwrap_or(0)..).unwrap_or("").trim_end();
    }
    out
}

/// Every op and block called in an expression.
fn calls(e: &ast::Expr, found: &mut BTreeSet<String>) {
    match &e.kind {
        E::Call { name, .. } => found.insert(name.text.clone()),
        E::Made(made) => found.insert(made.block.text.clone()),
        E::Pipe {
            stage: ast::Stage::Apply { name, .. },
            ..
        } => found.insert(name.text.clone()),
        E::Pipe {
            stage: ast::Stage::Made(made),
            ..
        } => found.insert(made.block.text.clone()),
        _ => false,
    };
    walk::each_child(e, &mut |child| calls(child, found));
}

/// Where each name leads, and who uses it.
pub struct Links {
    /// By (module, name): (module, item).
    targets: BTreeMap<(usize, String), (usize, usize)>,
    /// By (module, item): the (module, item)s that call it.
    pub users: BTreeMap<(usize, usize), BTreeSet<(usize, usize)>>,
}

impl Links {
    pub fn of(modules: &[Module]) -> Links {
        let mut links = Links {
            targets: BTreeMap::new(),
            users: BTreeMap::new(),
        };
        let is_called =
            |word: Word| matches!(word, Word::Op | Word::Block | Word::Model | Word::Frozen);
        for (from, module) in modules.iter().enumerate() {
            for (m, other) in modules.iter().enumerate() {
                for (i, item) in other
                    .items
                    .iter()
                    .enumerate()
                    .filter(|(_, i)| is_called(i.word))
                {
                    let imported = module.imports.iter().any(|(name, stem)| {
                        *name == item.name && *stem == other.title && !other.is_standard
                    });
                    if m == from || imported {
                        links.targets.insert((from, item.name.clone()), (m, i));
                    } else if other.is_standard {
                        links
                            .targets
                            .entry((from, item.name.clone()))
                            .or_insert((m, i));
                    }
                }
            }
        }
        links.count_users(modules);
        links
    }

    fn count_users(&mut self, modules: &[Module]) {
        for (from, module) in modules.iter().enumerate() {
            for (i, item) in module.items.iter().enumerate() {
                for name in &item.calls {
                    if let Some(target) = self.find(from, name)
                        && target != (from, i)
                    {
                        self.users.entry(target).or_default().insert((from, i));
                    }
                }
            }
        }
    }

    pub fn find(&self, module: usize, name: &str) -> Option<(usize, usize)> {
        self.targets.get(&(module, name.to_string())).copied()
    }
}

/// The first sentence of a comment; a point inside of brackets ends none (`Eq. 2`, `et al.`).
pub fn summary(doc: &str) -> String {
    let line = doc.lines().collect::<Vec<_>>().join(" ");
    let mut depth = 0;
    for (at, c) in line.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            '.' if depth <= 0 && line[at + 1..].starts_with(' ') => return line[..=at].to_string(),
            _ => {}
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_is_the_first_sentence() {
        assert_eq!(summary("One.\nTwo."), "One.");
        assert_eq!(summary("x (He et al. 2015). More"), "x (He et al. 2015).");
        assert_eq!(summary("y = 0.5 x, no end"), "y = 0.5 x, no end");
    }

    #[test]
    fn continued_lines_keep_their_distance() {
        assert_eq!(
            dedented("op f(x: [A])\n      -> [A]\n      kernel conv"),
            "op f(x: [A])\n    -> [A]\n    kernel conv"
        );
    }
}
