//! Where a line that is too long, or that holds a comment, breaks: before each `|>` of its outermost pipeline; after
//! `=`; before the last outermost operator that fits; after the last comma of the outermost bracket that fits; then the
//! same further inside. Takes tokens with their spacing, gives rows; decisions depend on the tokens alone.

use super::WIDTH;
use super::rows::Row;
use super::tree::{Class, Tok};

/// Where rows start.
#[derive(Clone, Copy)]
pub(super) struct Indent {
    pub first: usize,
    pub rest: usize,
    /// Rows that go on inside of a bracket of the first one.
    pub inner: usize,
}

impl Indent {
    pub fn new(first: usize, rest: usize) -> Indent {
        Indent {
            first,
            rest,
            inner: rest,
        }
    }

    /// For the rows after a break outside of all brackets.
    fn after(self) -> Indent {
        Indent {
            first: self.rest,
            inner: self.rest + 2,
            ..self
        }
    }

    /// For the rows after a break inside of a bracket.
    fn within(self) -> Indent {
        Indent {
            first: self.inner,
            ..self
        }
    }
}

/// Lays tokens out as rows.
pub(super) fn wrap<'a>(toks: &[Tok<'a>], indent: Indent, rows: &mut Vec<Row<'a>>) {
    let Some(first) = toks.first() else { return };
    for comment in &first.comments {
        rows.push(Row::own_comment(indent.first, comment.text));
    }
    lay(toks, indent, rows);
}

/// The same, below the comments of the first token.
fn lay<'a>(toks: &[Tok<'a>], indent: Indent, rows: &mut Vec<Row<'a>>) {
    if !is_forced(toks) && fits(toks, indent.first) {
        return rows.push(row(toks, indent.first));
    }
    let base = toks.iter().map(|tok| tok.depth).min().unwrap_or(0);
    let is_pipe = |tok: &Tok<'_>| tok.class == Class::Pipe && tok.depth == base;
    if toks.iter().skip(1).any(is_pipe) {
        return at_pipes(toks, is_pipe, indent, rows);
    }
    match break_after(toks, base, indent) {
        Some(n) => {
            lay(&toks[..n], indent, rows);
            let is_inside = toks[n].depth > base;
            let rest = if is_inside {
                indent.within()
            } else {
                indent.after()
            };
            wrap(&toks[n..], rest, rows);
        }
        None => rows.push(row(toks, indent.first)),
    }
}

fn at_pipes<'a>(
    toks: &[Tok<'a>],
    is_pipe: impl Fn(&Tok<'_>) -> bool,
    indent: Indent,
    rows: &mut Vec<Row<'a>>,
) {
    let first = toks
        .iter()
        .skip(1)
        .position(&is_pipe)
        .map_or(toks.len(), |n| n + 1);
    lay(&toks[..first], indent, rows);
    for stage in toks[first..].chunk_by(|_, tok| !is_pipe(tok)) {
        wrap(stage, Indent::new(indent.rest, indent.rest + 2), rows);
    }
}

/// How many tokens the first row takes.
fn break_after(toks: &[Tok<'_>], base: usize, indent: Indent) -> Option<usize> {
    let forced = (1..toks.len()).find(|&n| is_forced_at(toks, n));
    if forced.is_some() {
        return forced;
    }
    let assign = toks
        .iter()
        .position(|tok| tok.class == Class::Assign && tok.depth == base);
    if let Some(n) = assign.map(|n| n + 1).filter(|n| *n < toks.len())
        && fits(&toks[n..], indent.rest)
    {
        return Some(n);
    }
    let deepest = toks.iter().map(|tok| tok.depth).max().unwrap_or(0);
    let places = (base..=deepest).map(|depth| Places {
        toks,
        indent,
        depth,
    });
    let fitting = places.clone().find_map(|p| {
        let operator = p.operator();
        operator
            .or_else(|| p.last(p.depth + 1, Class::Comma, 1))
            .or_else(|| p.last(p.depth, Class::Pipe, 0))
            .or_else(|| {
                if p.depth == base {
                    p.last(base, Class::Comma, 1)
                } else {
                    None
                }
            })
    });
    // Nothing fits: what follows the first place may.
    fitting.or_else(|| places.clone().find_map(|p| p.first()))
}

/// The places at one depth where a row may end.
#[derive(Clone)]
struct Places<'t, 'a> {
    toks: &'t [Tok<'a>],
    indent: Indent,
    depth: usize,
}

impl Places<'_, '_> {
    /// Before the last of the loosest operators that fits.
    fn operator(&self) -> Option<usize> {
        let looseness = |tok: &Tok<'_>| match tok.class {
            Class::Operator(n) if tok.depth == self.depth => Some(n),
            _ => None,
        };
        let loosest = self.toks.iter().skip(1).filter_map(looseness).min()?;
        (loosest..=5).find_map(|n| self.last(self.depth, Class::Operator(n), 0))
    }

    /// The last token of that class with which (`with` 1) or before which (0) a row ends and fits.
    fn last(&self, depth: usize, class: Class, with: usize) -> Option<usize> {
        let ends = (1..self.toks.len())
            .rev()
            .filter(|&n| self.toks[n - with].class == class && self.toks[n - with].depth == depth);
        ends.into_iter()
            .find(|&n| fits(&self.toks[..n], self.indent.first))
    }

    fn first(&self) -> Option<usize> {
        (1..self.toks.len()).find(|&n| {
            let (before, after) = (&self.toks[n - 1], &self.toks[n]);
            let is_operator =
                matches!(after.class, Class::Operator(_)) && after.depth == self.depth;
            is_operator || (before.class == Class::Comma && before.depth <= self.depth + 1)
        })
    }
}

/// A comment ends the row before token n.
fn is_forced_at(toks: &[Tok<'_>], n: usize) -> bool {
    toks[n - 1].trailing.is_some() || !toks[n].comments.is_empty()
}

pub(super) fn is_forced(toks: &[Tok<'_>]) -> bool {
    (1..toks.len()).any(|n| is_forced_at(toks, n))
}

pub(super) fn fits(toks: &[Tok<'_>], indent: usize) -> bool {
    indent + width(toks) <= WIDTH
}

pub(super) fn width(toks: &[Tok<'_>]) -> usize {
    let own = |tok: &Tok<'_>| tok.text.chars().count() + usize::from(tok.space);
    let first = toks.first().map_or(0, |tok| usize::from(tok.space));
    toks.iter().map(own).sum::<usize>() - first
}

/// Tokens on one row.
pub(super) fn row<'a>(toks: &[Tok<'a>], indent: usize) -> Row<'a> {
    Row {
        indent,
        text: text(toks),
        comment: toks.last().and_then(|tok| tok.trailing),
    }
}

pub(super) fn text(toks: &[Tok<'_>]) -> String {
    let mut text = String::new();
    for (n, tok) in toks.iter().enumerate() {
        if tok.space && n > 0 {
            text.push(' ');
        }
        text += &tok.text;
    }
    text
}
