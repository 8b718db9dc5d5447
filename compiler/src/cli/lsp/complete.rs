//! What may stand at the cursor. The text need not parse: the context is read off the characters before the cursor, the
//! names come from the last check and from the words of the item at hand.

use super::analysis::Analysis;
use super::hover::signature;
use super::lookup;
use super::text::{is_word, word_before};
use lsp_types::{CompletionItem, CompletionItemKind as Kind};
use std::collections::BTreeSet;
use vsr_compiler::sema;
use vsr_compiler::syntax::ast::{Item, ItemKind, Type, TypeKind};

pub fn complete(analysis: &Analysis, text: &str, offset: usize) -> Vec<CompletionItem> {
    let word = word_before(text, offset);
    let before = &text[..offset - word.len()];
    let line = before.rsplit('\n').next().unwrap_or("");
    if is_comment(line) {
        return Vec::new();
    }
    if is_label(line) {
        return labels(text, line);
    }
    let mut items = Vec::new();
    if let Some((callee, list)) = call_around(before) {
        items.extend(parameters(analysis, callee, list));
    }
    let is_stage = before.trim_end().ends_with("|>");
    items.extend(callables(analysis, is_stage));
    if !is_stage {
        items.extend(words(before));
    }
    items
}

fn item(label: &str, kind: Kind, detail: Option<String>) -> CompletionItem {
    CompletionItem {
        label: label.to_string(),
        kind: Some(kind),
        detail,
        ..CompletionItem::default()
    }
}

fn is_comment(line: &str) -> bool {
    let outside = line.split('"').step_by(2);
    outside.into_iter().any(|part| part.contains('#'))
}

/// The cursor stands in a label: `… @encoder.`
fn is_label(line: &str) -> bool {
    let in_label = |c: char| is_word(c) || matches!(c, '.' | '{' | '}');
    line.trim_end_matches(in_label).ends_with('@')
}

/// Labels of the file that begin with what is there.
fn labels(text: &str, line: &str) -> Vec<CompletionItem> {
    let in_label = |c: char| is_word(c) || matches!(c, '.' | '{' | '}');
    let typed = &line[line.trim_end_matches(in_label).len()..];
    let mut found = BTreeSet::new();
    for (at, _) in text.match_indices('@') {
        let rest = &text[at + 1..];
        let end = rest.find(|c| !in_label(c)).unwrap_or(rest.len());
        if let Some(rest) = rest[..end].strip_prefix(typed)
            && !rest.is_empty()
        {
            found.insert(rest);
        }
    }
    found
        .into_iter()
        .map(|label| item(label, Kind::FIELD, None))
        .collect()
}

/// The name whose argument list the cursor stands in, and which list it is.
fn call_around(before: &str) -> Option<(&str, usize)> {
    let mut depth = 0;
    for (at, c) in before.char_indices().rev() {
        match c {
            ')' | ']' | '}' => depth += 1,
            '(' if depth == 0 => return callee(&before[..at]),
            '[' | '{' if depth == 0 => return None,
            '(' | '[' | '{' => depth -= 1,
            _ => {}
        }
    }
    None
}

fn callee(before: &str) -> Option<(&str, usize)> {
    if let Some(inner) = before.strip_suffix(')') {
        // The second list of a block.
        return call_around(inner).map(|(name, _)| (name, 1));
    }
    let name = word_before(before, before.len());
    (!name.is_empty()).then_some((name, 0))
}

/// `stride=` and the like.
fn parameters(analysis: &Analysis, callee: &str, list: usize) -> Vec<CompletionItem> {
    let Some((_, found)) = lookup::find(&analysis.checked.files, 0, callee) else {
        let builtin = sema::builtins().find(|(name, _)| *name == callee);
        let names = builtin.map_or(&[] as &[&str], |(_, args)| args);
        let named = |name: &&str| item(&format!("{name}="), Kind::FIELD, None);
        return names.iter().map(named).collect();
    };
    let (params, tensors) = lookup::inputs(found);
    let is_second = list == 1 || params.is_empty();
    let inputs = if is_second { tensors } else { params };
    let described = |input: &vsr_compiler::syntax::ast::Input| {
        let detail = analysis.sources.text(input.span.file);
        let detail = detail.get(input.span.start as usize..input.span.end as usize);
        item(
            &format!("{}=", input.name.text),
            Kind::FIELD,
            detail.map(str::to_string),
        )
    };
    inputs.iter().map(described).collect()
}

/// Ops, blocks and builtins that the file sees. As a stage, what takes no tensor is left out.
fn callables(analysis: &Analysis, is_stage: bool) -> Vec<CompletionItem> {
    let files = &analysis.checked.files;
    let names: BTreeSet<&str> = files
        .iter()
        .flat_map(|file| &file.ast.items)
        .filter_map(|item| item.name().map(|name| name.text.as_str()))
        .collect();
    let mut items = Vec::new();
    for name in names {
        let Some((_, found)) = lookup::find(files, 0, name) else {
            continue;
        };
        let kind = match &found.kind {
            ItemKind::Op(_) => Kind::FUNCTION,
            ItemKind::Block(_) => Kind::CLASS,
            ItemKind::Frozen(_) => Kind::VARIABLE,
            _ => continue,
        };
        if !is_stage || takes_tensor(found) {
            items.push(item(name, kind, Some(signature(analysis, found))));
        }
    }
    for (name, args) in sema::builtins() {
        items.push(item(
            name,
            Kind::FUNCTION,
            Some(format!("{name}({})", args.join(", "))),
        ));
    }
    items
}

fn takes_tensor(found: &Item) -> bool {
    let is_tensor = |ty: &Type| matches!(ty.kind, TypeKind::Tensor { .. });
    match &found.kind {
        ItemKind::Op(op) => op.inputs.iter().any(|input| is_tensor(&input.ty)),
        _ => true,
    }
}

/// Words that the item at hand has bound or used before the cursor, but calls.
fn words(before: &str) -> Vec<CompletionItem> {
    let is_head = |line: &&str| line.starts_with(|c: char| c.is_ascii_lowercase());
    let n_lines = before.lines().rev().position(|line| is_head(&line));
    let lines: Vec<&str> = before.lines().collect();
    let from = n_lines.map_or(0, |n| lines.len() - 1 - n);
    let mut found = BTreeSet::new();
    for line in &lines[from..] {
        let code = line.split('#').next().unwrap_or("");
        let mut rest = code;
        while let Some(start) = rest.find(|c: char| c.is_ascii_alphabetic()) {
            let end = rest[start..]
                .find(|c| !is_word(c))
                .map_or(rest.len(), |n| start + n);
            let is_called = rest[end..].starts_with('(');
            let is_label = rest[..start].ends_with(['@', '.']);
            if !is_called && !is_label && !is_reserved(&rest[start..end]) {
                found.insert(&rest[start..end]);
            }
            rest = &rest[end..];
        }
    }
    let kind = |word: &str| match word.starts_with(|c: char| c.is_ascii_uppercase()) {
        true => Kind::CONSTANT,
        false => Kind::VARIABLE,
    };
    found
        .into_iter()
        .map(|word| item(word, kind(word), None))
        .collect()
}

pub fn is_reserved(word: &str) -> bool {
    const RESERVED: [&str; 14] = [
        "param", "state", "next", "data", "metric", "for", "in", "if", "else", "and", "or", "not",
        "true", "false",
    ];
    const ITEMS: [&str; 8] = [
        "use", "op", "block", "model", "weights", "frozen", "train", "profile",
    ];
    RESERVED.contains(&word) || ITEMS.contains(&word)
}
