//! Lines to text: which bodies stay on one line, what is indented how far, where blank lines stand, and how comments at
//! the ends of adjacent rows align.

use super::WIDTH;
use super::head;
use super::lex::Comment;
use super::tree::{Body, Form, Line, Part, Tok};
use super::wrap::{self, Indent, wrap};
use std::collections::HashMap;

/// One row of the result; an empty one is blank.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row<'a> {
    pub indent: usize,
    pub text: String,
    pub comment: Option<&'a str>,
}

impl<'a> Row<'a> {
    pub fn own_comment(indent: usize, text: &str) -> Row<'a> {
        Row {
            indent,
            text: text.to_string(),
            comment: None,
        }
    }

    fn blank() -> Row<'a> {
        Row::own_comment(0, "")
    }

    pub fn fits(&self) -> bool {
        self.indent + self.text.chars().count() <= WIDTH
    }
}

/// Which bodies that were written on one line stay so.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Short {
    Kept,
    Opened,
}

/// The whole file.
pub(super) fn file(lines: &[Line<'_>], end: &[Comment<'_>]) -> String {
    let mut rows: Vec<Row<'_>> = Vec::new();
    let mut last: Option<(&str, bool)> = None;
    for (n, item) in lines.iter().enumerate() {
        let mut own = Vec::new();
        line(item, 0, &mut own);
        let has_grad = lines.get(n + 1).is_some_and(|next| next.word == "grad");
        let is_single = own.len() == 1 && !has_grad;
        let is_grad = item.word == "grad";
        let blank = match last {
            None => false,
            Some(_) if is_grad => false,
            Some((word, true)) if is_single && word == item.word => {
                !item.comments.is_empty() && starts_apart(item)
            }
            Some(_) => true,
        };
        if blank {
            rows.push(Row::blank());
        }
        comments(&item.comments, 0, rows.is_empty() || blank, &mut rows);
        if !item.comments.is_empty() && item.blank_before {
            rows.push(Row::blank());
        }
        rows.append(&mut own);
        last = Some((item.word, is_single && !is_grad));
    }
    comments(end, 0, rows.is_empty(), &mut rows);
    print(&rows)
}

/// An empty line stands before the line, or before the comments above it.
fn starts_apart(line: &Line<'_>) -> bool {
    let comment = line.comments.first();
    comment.map_or(line.blank_before, |comment| comment.blank_before)
}

/// Comments on rows of their own; the first one's empty line is left out where `is_first`.
fn comments<'a>(comments: &[Comment<'a>], indent: usize, is_first: bool, rows: &mut Vec<Row<'a>>) {
    for (n, comment) in comments.iter().enumerate() {
        if comment.blank_before && !(n == 0 && is_first) {
            rows.push(Row::blank());
        }
        rows.push(Row::own_comment(indent, comment.text));
    }
}

/// The rows of a line, without the comments and the empty line above it.
fn line<'a>(line: &Line<'a>, indent: usize, rows: &mut Vec<Row<'a>>) {
    if let Some(toks) = on_one_line(line)
        && !wrap::is_forced(&toks)
        && wrap::fits(&toks, indent)
    {
        return rows.push(wrap::row(&toks, indent));
    }
    if line.form == Form::Head {
        return head::rows(line, rows);
    }
    let mut long = Long::default();
    let kept = match line.form {
        Form::Block => None,
        _ => Some(parts(&line.parts, indent, Short::Kept, &mut long)),
    };
    let fitting = kept.filter(|rows| rows.iter().all(Row::fits) || !has_short(line));
    rows.extend(fitting.unwrap_or_else(|| parts(&line.parts, indent, Short::Opened, &mut long)));
}

/// The rows of bodies that were written on lines of their own, each laid out once: which bodies are opened beside them
/// changes nothing.
type Long<'a> = HashMap<*const Body<'a>, Vec<Row<'a>>>;

fn has_short(line: &Line<'_>) -> bool {
    let is_short = |part: &Part<'_>| matches!(part, Part::Body(body) if body.is_short && !body.lines.is_empty());
    line.parts.iter().any(is_short)
}

/// The tokens and the bodies of a line in turn.
fn parts<'a>(parts: &[Part<'a>], indent: usize, short: Short, long: &mut Long<'a>) -> Vec<Row<'a>> {
    let mut rows = Vec::new();
    for_each_run(parts, short, |run, body| {
        wrap(&run, Indent::new(indent, indent + 2), &mut rows);
        match body {
            Some(body) if body.is_short => inside(body, indent + 2, &mut rows),
            Some(body) => {
                let own = long.entry(body).or_insert_with(|| {
                    let mut own = Vec::new();
                    inside(body, indent + 2, &mut own);
                    own
                });
                rows.extend(own.iter().cloned());
            }
            None => {}
        }
    });
    rows
}

/// Calls `f` with the tokens up to each body that stands on lines of its own, and that body.
pub(super) fn for_each_run<'a, 'p>(
    parts: &'p [Part<'a>],
    short: Short,
    mut f: impl FnMut(Vec<Tok<'a>>, Option<&'p Body<'a>>),
) {
    let mut run: Vec<Tok<'a>> = Vec::new();
    let mut at = 0;
    while at < parts.len() {
        match &parts[at] {
            Part::Tok(tok) => run.push(tok.clone()),
            Part::Body(body)
                if body.is_short && (short == Short::Kept || body.lines.is_empty()) =>
            {
                let close = parts.get(at + 1);
                if let Some(joined) = joined(run.last(), body, close) {
                    run.pop();
                    run.push(joined);
                    at += 1;
                }
            }
            Part::Body(body) => f(std::mem::take(&mut run), Some(body)),
        }
        at += 1;
    }
    f(run, None);
}

/// `{ … }` as one token.
fn joined<'a>(
    open: Option<&Tok<'a>>,
    body: &Body<'a>,
    close: Option<&Part<'a>>,
) -> Option<Tok<'a>> {
    let (Some(open), Some(Part::Tok(close))) = (open, close) else {
        return None;
    };
    let lines: Vec<String> = body
        .lines
        .iter()
        .map(|line| on_one_line(line).map(|toks| wrap::text(&toks)))
        .collect::<Option<_>>()?;
    let text = match lines.is_empty() {
        true => "{ }".to_string(),
        false => format!("{{ {} }}", lines.join("  ")),
    };
    Some(Tok {
        text: text.into(),
        trailing: close.trailing,
        ..open.clone()
    })
}

/// The tokens of a line all of whose bodies are short.
fn on_one_line<'a>(line: &Line<'a>) -> Option<Vec<Tok<'a>>> {
    let is_long = |part: &Part<'_>| matches!(part, Part::Body(body) if !body.is_short);
    if line.parts.iter().any(is_long) {
        return None;
    }
    let mut toks = Vec::new();
    for_each_run(&line.parts, Short::Kept, |run, _| toks.extend(run));
    Some(toks)
}

/// The lines of a body and the comments at its end.
pub(super) fn inside<'a>(body: &Body<'a>, indent: usize, rows: &mut Vec<Row<'a>>) {
    for (n, inner) in body.lines.iter().enumerate() {
        comments(&inner.comments, indent, n == 0, rows);
        if inner.blank_before && (n > 0 || !inner.comments.is_empty()) {
            rows.push(Row::blank());
        }
        line(inner, indent, rows);
    }
    comments(&body.end, indent, body.lines.is_empty(), rows);
}

fn print(rows: &[Row<'_>]) -> String {
    let mut text = String::new();
    for run in rows.chunk_by(|a, b| a.comment.is_some() && b.comment.is_some()) {
        let width = |row: &Row<'_>| row.indent + row.text.chars().count();
        let column = run.iter().map(width).max().unwrap_or(0) + 2;
        for row in run {
            if !row.text.is_empty() {
                text += &" ".repeat(row.indent);
            }
            text += &row.text;
            if let Some(comment) = row.comment {
                text += &" ".repeat(column - width(row));
                text += comment;
            }
            text.push('\n');
        }
    }
    text
}
