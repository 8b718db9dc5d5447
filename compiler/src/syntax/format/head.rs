//! Heads of items that do not fit on one line. Clauses fill the first row; those that do not fit go on rows of their
//! own, indented by four; a list of inputs continues under its first input. The value of a one-expression item goes on
//! a row of its own, indented by two.

use super::WIDTH;
use super::rows::{Row, Short, for_each_run, inside};
use super::tree::{Class, Line, Part, Tok};
use super::wrap::{self, Indent, wrap};

const CLAUSE_INDENT: usize = 4;
const VALUE_INDENT: usize = 2;

/// The rows of an item, without what stands above it.
pub(super) fn rows<'a>(line: &Line<'a>, rows: &mut Vec<Row<'a>>) {
    let kept = laid_out(line, Short::Kept);
    // A body proper stays short only where the whole item fits on one line, which has been tried.
    if has_value(line) && kept.iter().all(Row::fits) {
        rows.extend(kept);
    } else {
        rows.extend(laid_out(line, Short::Opened));
    }
}

/// The item is `… = expr`, not a network with its body.
fn has_value(line: &Line<'_>) -> bool {
    let is_assign = |part: &Part<'_>| matches!(part, Part::Tok(tok) if tok.class == Class::Assign);
    !matches!(line.word, "train" | "frozen") && line.parts.iter().any(is_assign)
}

fn laid_out<'a>(line: &Line<'a>, short: Short) -> Vec<Row<'a>> {
    let mut rows = Vec::new();
    let mut indent = None;
    for_each_run(&line.parts, short, |run, body| {
        let own = match indent {
            None => head(&run, has_value(line), body.is_some(), &mut rows),
            Some(first) => {
                wrap(&run, Indent::new(first, first + 2), &mut rows);
                first
            }
        };
        indent = Some(own);
        if let Some(body) = body {
            inside(body, own + 2, &mut rows);
        }
    });
    rows
}

/// The tokens up to the first body that stands on rows of its own; gives the indent of what follows.
fn head<'a>(toks: &[Tok<'a>], has_value: bool, goes_on: bool, rows: &mut Vec<Row<'a>>) -> usize {
    if wrap::is_forced(toks) {
        wrap(toks, Indent::new(0, CLAUSE_INDENT), rows);
        return 0;
    }
    let n_head = match toks.iter().position(|tok| tok.class == Class::Assign) {
        Some(n) if has_value => n + 1,
        _ => toks.len(),
    };
    let (head, value) = toks.split_at(n_head);
    let fits = wrap::fits(head, 0);
    for (n, clause) in clauses(head).into_iter().enumerate() {
        let may_join = fits || clause[0].class != Class::Clause;
        if may_join && joins(clause, rows) {
            continue;
        }
        let first = if n > 0 { CLAUSE_INDENT } else { 0 };
        wrap(clause, Indent::new(first, under_list(clause, first)), rows);
    }
    // A value with lines of its own stands apart from the head.
    if value.is_empty() || (!goes_on && joins(value, rows)) {
        return 0;
    }
    wrap(value, Indent::new(VALUE_INDENT, CLAUSE_INDENT), rows);
    VALUE_INDENT
}

/// Puts a clause behind the last row, if it fits there.
fn joins<'a>(clause: &[Tok<'a>], rows: &mut [Row<'a>]) -> bool {
    let (Some(row), Some(first)) = (rows.last_mut(), clause.first()) else {
        return false;
    };
    let space = if first.space { " " } else { "" };
    let width = row.indent + row.text.chars().count() + space.len() + wrap::width(clause);
    if width > WIDTH {
        return false;
    }
    row.text += space;
    row.text += &wrap::text(clause);
    row.comment = clause.last().and_then(|tok| tok.trailing);
    true
}

/// Lists of inputs, and the arguments of a `train` item's network, continue under their first one.
fn under_list(clause: &[Tok<'_>], indent: usize) -> usize {
    let is_clause = clause.first().is_some_and(|tok| tok.class == Class::Clause);
    match clause.iter().position(|tok| tok.text == "(") {
        Some(n) if !is_clause => (indent + wrap::width(&clause[..=n])).min(WIDTH / 2),
        _ => indent + 2,
    }
}

/// The head cut before each clause, and after `=`. The second list and the result are one where they fit on a row.
fn clauses<'t, 'a>(toks: &'t [Tok<'a>]) -> Vec<&'t [Tok<'a>]> {
    let is_new = |before: &Tok<'_>, tok: &Tok<'_>| {
        matches!(tok.class, Class::Clause | Class::Signature) || before.class == Class::Assign
    };
    let single: Vec<_> = toks.chunk_by(|before, tok| !is_new(before, tok)).collect();
    let mut clauses: Vec<&[Tok<'_>]> = Vec::new();
    let mut end = 0;
    for clause in single {
        let start = end;
        end += clause.len();
        if let Some(last) = clauses.last_mut()
            && last[0].class == Class::Signature
            && clause[0].class == Class::Signature
            && wrap::fits(&toks[start - last.len()..end], CLAUSE_INDENT)
        {
            *last = &toks[start - last.len()..end];
        } else {
            clauses.push(clause);
        }
    }
    clauses
}
