//! Text to tree: the scan cuts the text into items, pest parses each, the builder makes the tree. An item with an error
//! does not hide the errors of the next. Any text gives a tree, perhaps an empty one, and never a panic.

use pest::Parser;
use pest::error::InputLocation;

use super::ast::{File, Item, ItemKind};
use super::build::Builder;
use super::scan::{self, Chunk, Scan};
use super::wrong;
use crate::diag::Problems;
use crate::stack;

#[derive(pest_derive::Parser)]
#[grammar = "syntax/vsr.pest"]
pub(super) struct Grammar;

/// Parses one file. What is wrong goes to `problems`; items with errors are left out or kept as far as they were read.
pub fn parse(file: u32, text: &str, problems: &mut Problems) -> File {
    let parsed = parse_all(&[(file, text)]).pop();
    let (tree, found) = parsed.expect("one tree for each text");
    problems.extend(found);
    tree
}

/// Parses many files at once. Each file's tree and problems, in the order given.
pub fn parse_all(files: &[(u32, &str)]) -> Vec<(File, Problems)> {
    let parse = |_: &(), at: usize| {
        let (file, text) = files[at];
        let mut problems = Problems::new();
        let tree = parse_here(file, text, &mut problems);
        Some((tree, problems))
    };
    stack::each(files.len(), stack::FEW, || (), parse)
        .unwrap_or_else(|error| files.iter().map(|(id, _)| unparsed(*id, &error)).collect())
}

/// The machine gives no thread to parse on.
fn unparsed(id: u32, error: &std::io::Error) -> (File, Problems) {
    let mut problems = Problems::new();
    problems.cannot(stack::no_thread(error));
    let file = File {
        id,
        doc: String::new(),
        items: Vec::new(),
        broken: Vec::new(),
    };
    (file, problems)
}

fn parse_here(file: u32, text: &str, problems: &mut Problems) -> File {
    let scan = scan::scan(file, text, problems);
    let mut items = Vec::new();
    let mut broken = Vec::new();
    for chunk in &scan.chunks {
        let (n_problems, n_items) = (problems.len(), items.len());
        if !chunk.is_broken {
            parse_chunk(file, text, chunk, &scan, problems, &mut items);
        }
        if chunk.is_broken || problems.len() > n_problems {
            broken.extend(names(&text[chunk.start..chunk.end]));
            let made = items[n_items..].iter().filter_map(Item::name);
            broken.extend(made.map(|name| name.text.clone()));
        }
    }
    let definition = items
        .iter()
        .find(|item: &&Item| !matches!(item.kind, ItemKind::Use(_)));
    let doc = scan.file_doc(definition.map(|item| item.span.start as usize));
    File {
        id: file,
        doc,
        items,
        broken,
    }
}

/// What the item at the start of `text` defines, as far as one can see: the words up to the first mark, but the first.
fn names(text: &str) -> impl Iterator<Item = String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ' ' | ',');
    let end = text.find(|c| !is_name(c)).unwrap_or(text.len());
    let words = text[..end]
        .split([' ', ','])
        .filter(|word| !word.is_empty());
    words.skip(1).map(str::to_string)
}

fn parse_chunk(
    file: u32,
    text: &str,
    chunk: &Chunk,
    scan: &Scan,
    problems: &mut Problems,
    items: &mut Vec<Item>,
) {
    let base = chunk.dense.start;
    match Grammar::parse(Rule::chunk, &scan.dense[chunk.dense.clone()]) {
        Ok(pairs) => Builder::new(file, base, text, scan, problems).chunk(pairs, items),
        Err(error) => {
            let at = match error.location {
                InputLocation::Pos(at) | InputLocation::Span((at, _)) => at,
            };
            let at = match base + at {
                at if at == chunk.dense.end => chunk.end,
                at => scan.start_of(at),
            };
            let diag = wrong::explain(file, text, chunk, at, &error.variant);
            problems.push(diag);
        }
    }
}
