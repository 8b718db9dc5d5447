//! Problems as JSON, for editors and scripts. The same facts as the text form, with both offsets and lines.

use serde_json::{Value, json};

use super::{Diag, Mark, Problems, Sources};

pub(super) fn problems(problems: &Problems, sources: &Sources) -> Value {
    problems.iter().map(|diag| one(diag, sources)).collect()
}

fn one(diag: &Diag, sources: &Sources) -> Value {
    json!({
        "class": diag.class.name(),
        "message": diag.message,
        "place": diag.primary.as_ref().map(|mark| place(mark, sources)),
        "labels": diag.secondary.iter().map(|mark| place(mark, sources)).collect::<Vec<_>>(),
        "notes": diag.notes,
        "help": diag.help,
        "trail": diag.trail.iter().map(|mark| place(mark, sources)).collect::<Vec<_>>(),
    })
}

fn place(mark: &Mark, sources: &Sources) -> Value {
    let span = mark.span;
    let (line, column) = sources.line_column(span.file, span.start);
    let (end_line, end_column) = sources.line_column(span.file, span.end);
    json!({
        "file": sources.name(span.file),
        "start": span.start,
        "end": span.end,
        "line": line,
        "column": column,
        "end_line": end_line,
        "end_column": end_column,
        "text": mark.text,
    })
}
