//! What a name is: shapes and values under the first profile that reached it, what a call costs, signatures and
//! documents of items.

use super::analysis::Analysis;
use super::lookup;
use super::symbols::Symbol;
use vsr_compiler::diag::Span;
use vsr_compiler::sema::{self, Fact, Loaded};
use vsr_compiler::syntax::ast::{Body, Item, ItemKind};

/// Markdown for the place, and the span that it speaks of.
pub fn hover(analysis: &Analysis, offset: usize) -> Option<(String, Span)> {
    let Some(occurrence) = analysis.at(offset) else {
        return builtin(analysis, offset);
    };
    let name = occurrence.symbol.name();
    let facts = &analysis.checked.facts.at;
    let fact = facts.get(&occurrence.span);
    let text = match &occurrence.symbol {
        Symbol::File(path) => format!("`{path}`"),
        Symbol::Index { .. } => format!("`{name}` is an index"),
        Symbol::Item { .. } => {
            let (file, item) = lookup::find(&analysis.checked.files, 0, name)?;
            let call = smallest(analysis, occurrence.span);
            described(analysis, file, item, fact.or(call))
        }
        Symbol::Local { .. } => local(analysis, name, occurrence.span, fact),
    };
    Some((text, occurrence.span))
}

fn local(analysis: &Analysis, name: &str, span: Span, fact: Option<&Fact>) -> String {
    if let Some(fact) = fact
        && let Some(value) = &fact.value
    {
        // Dims and parameters say their own name already: `C = 64`.
        let text = match value.starts_with(&format!("{name} = ")) {
            true => value.clone(),
            false => format!("{name}: {value}"),
        };
        return format!("```vsr\n{text}\n```\nprofile `{}`", fact.profile);
    }
    // A named argument says what the input is.
    let input = analysis
        .checked
        .files
        .iter()
        .flat_map(|file| &file.ast.items)
        .find_map(|item| {
            let (params, tensors) = lookup::inputs(item);
            let all = params.iter().chain(tensors);
            let target = &analysis.at(span.start as usize)?.symbol;
            let Symbol::Local { item: start, .. } = target else {
                return None;
            };
            let is_it = item.span.start == *start;
            all.into_iter()
                .find(|input| is_it && input.name.text == name)
        });
    match input {
        Some(input) => format!("```vsr\n{}\n```", source(analysis, input.span)),
        None => format!("`{name}`"),
    }
}

fn described(analysis: &Analysis, file: &Loaded, item: &Item, fact: Option<&Fact>) -> String {
    let mut text = format!("```vsr\n{}\n```", signature(analysis, item));
    if !item.doc.is_empty() {
        text += &format!("\n{}", item.doc);
    }
    if let Some(fact) = fact
        && let Some(cost) = cost(fact)
    {
        text += &format!("\n\n{cost} (profile `{}`)", fact.profile);
    }
    if let Some(value) = fact.and_then(|fact| fact.value.as_ref()) {
        text += &format!("\n\ngives `{value}`");
    }
    if file.standard {
        text += "\n\nstandard library";
    }
    text
}

/// `36,928 parameters, 0.53 GFLOP`
fn cost(fact: &Fact) -> Option<String> {
    let mut parts = Vec::new();
    if fact.parameters > 0 {
        parts.push(format!("{} parameters", thousands(fact.parameters)));
    }
    if fact.flops > 0 {
        let flops = fact.flops as f64;
        let (size, unit) = [(1e9, "GFLOP"), (1e6, "MFLOP"), (1e3, "kFLOP")]
            .into_iter()
            .find(|(size, _)| flops >= *size)
            .unwrap_or((1.0, "FLOP"));
        parts.push(format!("{:.2} {unit}", flops / size));
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn thousands(n: i64) -> String {
    let digits = n.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().collect();
    let groups = groups.into_iter().map(String::from_utf8_lossy);
    groups.collect::<Vec<_>>().join(",")
}

/// The fact of the smallest call or stage that begins with the name.
fn smallest(analysis: &Analysis, span: Span) -> Option<&Fact> {
    let facts = analysis.checked.facts.at.iter();
    let calls = facts
        .filter(|(at, _)| at.file == span.file && at.start == span.start && at.end >= span.end);
    calls.min_by_key(|(at, _)| at.end).map(|(_, fact)| fact)
}

/// The text of an item up to its body.
pub fn signature(analysis: &Analysis, item: &Item) -> String {
    let up_to = |body: &Body| {
        let span = Span {
            end: body.span.start,
            ..item.span
        };
        source(analysis, span)
            .trim_end_matches([' ', '\n', '='])
            .to_string()
    };
    match &item.kind {
        ItemKind::Op(op) => up_to(&op.body),
        ItemKind::Block(block) => up_to(&block.body),
        ItemKind::Train(train) => up_to(&train.body),
        ItemKind::Weights(weights) => format!("weights {}", weights.name.text),
        _ => source(analysis, item.span).to_string(),
    }
}

fn source(analysis: &Analysis, span: Span) -> &str {
    let text = analysis.sources.text(span.file);
    text.get(span.start as usize..span.end as usize)
        .unwrap_or("")
}

fn builtin(analysis: &Analysis, offset: usize) -> Option<(String, Span)> {
    let file = analysis.checked.files.first()?.ast.id;
    let text = analysis.sources.text(file);
    let before = super::text::word_before(text, offset);
    let start = offset - before.len();
    let length = text[start..]
        .find(|c| !super::text::is_word(c))
        .unwrap_or(text.len() - start);
    let word = &text[start..start + length];
    let (name, args) = sema::builtins().find(|(name, _)| *name == word)?;
    let is_called = text[start + length..].starts_with('(');
    let span = Span::new(file, start, start + length);
    let fact = smallest(analysis, span).and_then(|fact| fact.value.as_ref());
    let gives = fact.map_or(String::new(), |value| format!("\n\ngives `{value}`"));
    is_called.then(|| {
        (
            format!("```vsr\n{name}({})\n```\nbuiltin{gives}", args.join(", ")),
            span,
        )
    })
}
