//! Problems as JSON, for editors and scripts. The same facts as the text form, with both offsets and lines.

use serde_json::{Map, Value, json};

use super::{Diag, Mark, Problems, Sources};

pub(super) fn problems(problems: &Problems, sources: &Sources) -> Value {
    problems.iter().map(|diag| one(diag, sources)).collect()
}

/// The primary place's fields stand beside the others, so that a script needs no second level for the common case.
fn one(diag: &Diag, sources: &Sources) -> Value {
    let mut fields = place(diag.primary.as_ref(), "text", sources);
    let marks = |marks: &[Mark]| -> Value {
        let mark = |mark| Value::Object(place(Some(mark), "text", sources));
        marks.iter().map(mark).collect()
    };
    let edit = diag.edit.as_ref();
    let edit = edit.map(|edit| place(Some(edit), "replacement", sources));
    fields.insert("class".into(), json!(diag.class.name()));
    fields.insert("message".into(), json!(diag.message));
    fields.insert("labels".into(), marks(&diag.secondary));
    fields.insert("notes".into(), json!(diag.notes));
    fields.insert("help".into(), json!(diag.help));
    fields.insert("edit".into(), json!(edit));
    fields.insert("trail".into(), marks(&diag.trail));
    Value::Object(fields)
}

/// Where a mark is, and its text under the name `text`; all null where there is none.
fn place(mark: Option<&Mark>, text: &str, sources: &Sources) -> Map<String, Value> {
    let span = mark.map(|mark| mark.span);
    let start = span.map(|span| sources.line_column(span.file, span.start));
    let end = span.map(|span| sources.line_column(span.file, span.end));
    let fields = [
        ("file", json!(span.map(|span| sources.name(span.file)))),
        ("start", json!(span.map(|span| span.start))),
        ("end", json!(span.map(|span| span.end))),
        ("line", json!(start.map(|at| at.0))),
        ("column", json!(start.map(|at| at.1))),
        ("end_line", json!(end.map(|at| at.0))),
        ("end_column", json!(end.map(|at| at.1))),
        (text, json!(mark.map(|mark| mark.text.as_str()))),
    ];
    let named = fields
        .into_iter()
        .map(|(name, value)| (name.to_string(), value));
    named.collect()
}
