//! Other names for local values, dims, indices, inputs and items, in every open file, what these use, and the workspace's
//! closed files that use it. A name that would mean something else, or that the language forbids there, is refused with a
//! sentence.

use super::analysis::Analysis;
use super::complete::is_reserved;
use super::lookup;
use super::symbols::Symbol;
use super::text::is_word;
use vsr_compiler::diag::Span;
use vsr_compiler::sema;
use vsr_compiler::syntax::ast::ItemKind;

/// A file and the places in it.
pub type Places = Vec<(String, Vec<Span>)>;

/// The symbol at a place, if its name can change.
pub fn target(analysis: &Analysis, offset: usize) -> Result<(Symbol, Span), String> {
    let occurrence = analysis
        .at(offset)
        .ok_or("no name that can change stands here")?;
    let file = match &occurrence.symbol {
        Symbol::File(_) => return Err("a file is not renamed here".into()),
        Symbol::Item { file, .. } | Symbol::Local { file, .. } | Symbol::Index { file, .. } => file,
    };
    let is_standard = |loaded: &&sema::Loaded| loaded.standard && loaded.path == **file;
    if analysis
        .checked
        .files
        .iter()
        .any(|loaded| is_standard(&loaded))
    {
        return Err(format!(
            "`{}` belongs to the standard library",
            occurrence.symbol.name()
        ));
    }
    let fixed = [
        "loss",
        "rate",
        "optimizer",
        "epochs",
        "steps",
        "clip",
        "ema",
        "step",
        "epoch",
    ];
    let is_setting =
        matches!(&occurrence.symbol, Symbol::Local { item, .. } if is_train(analysis, *item));
    if is_setting && fixed.contains(&occurrence.symbol.name()) {
        return Err(format!(
            "`{}` means something to a `train` item",
            occurrence.symbol.name()
        ));
    }
    Ok((occurrence.symbol.clone(), occurrence.span))
}

fn is_train(analysis: &Analysis, start: u32) -> bool {
    let items = analysis.checked.files.first().map(|file| &file.ast.items);
    let mut trains = items
        .into_iter()
        .flatten()
        .filter(|item| item.span.start == start);
    trains.any(|item| matches!(item.kind, ItemKind::Train(_)))
}

/// Where the symbol occurs, in all analyses; each place once.
pub fn places<'a>(symbol: &Symbol, analyses: impl Iterator<Item = &'a Analysis>) -> Places {
    let mut places: Places = Vec::new();
    for analysis in analyses {
        for (path, occurrence) in analysis.all().filter(|(_, one)| one.symbol == *symbol) {
            let at = match places.iter().position(|(known, _)| known == path) {
                Some(at) => at,
                None => {
                    places.push((path.to_string(), Vec::new()));
                    places.len() - 1
                }
            };
            // The same file has another number in another analysis.
            let is_same = |span: &Span| span.start == occurrence.span.start;
            if !places[at].1.iter().any(is_same) {
                places[at].1.push(occurrence.span);
            }
        }
    }
    places
}

/// Why the symbol cannot be called `name` in a file that uses it.
pub fn refusal_elsewhere(analysis: &Analysis, symbol: &Symbol, name: &str) -> Option<String> {
    let is_user = analysis
        .occurrences
        .first()
        .is_some_and(|own| own.iter().any(|one| one.symbol == *symbol));
    let file = analysis.checked.files.first().filter(|_| is_user)?;
    let why = refusal(analysis, symbol, name)?;
    Some(format!("{why}: see {}", file.path))
}

/// Why the symbol cannot be called `name`.
pub fn refusal(analysis: &Analysis, symbol: &Symbol, name: &str) -> Option<String> {
    let old = symbol.name();
    let upper = |word: &str| word.starts_with(|c: char| c.is_ascii_uppercase());
    if name.is_empty()
        || !name.chars().all(is_word)
        || name.starts_with(|c: char| c.is_ascii_digit())
    {
        return Some(format!("`{name}` is no name"));
    }
    if upper(old) != upper(name) {
        let case = if upper(old) { "an upper" } else { "a lower" };
        return Some(format!("what `{old}` names begins with {case} case letter"));
    }
    if is_reserved(name) {
        return Some(format!("`{name}` is reserved"));
    }
    let taken = match symbol {
        Symbol::Item { .. } => lookup::find(&analysis.checked.files, 0, name).is_some(),
        Symbol::Local { file, item, .. } => {
            let same = |other: &Symbol| matches!(other, Symbol::Local { file: f, item: i, name: n } if f == file && i == item && **n == *name);
            analysis.all().any(|(_, one)| same(&one.symbol))
        }
        Symbol::Index { file, start, .. } => {
            let same = |other: &Symbol| matches!(other, Symbol::Index { file: f, start: s, name: n } if f == file && s == start && **n == *name);
            analysis.all().any(|(_, one)| same(&one.symbol))
        }
        Symbol::File(_) => false,
    };
    taken.then(|| format!("`{name}` is taken here"))
}
