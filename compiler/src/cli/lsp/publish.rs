//! Problems as the protocol's diagnostics, each under its own file. A file that a document uses is spoken of by that
//! document, and cleared when it has nothing more to say.

use super::analysis::Analysis;
use super::text::{range, uri};
use super::{Failure, State, send};
use lsp_server::{Connection, Notification};
use lsp_types::{
    Diagnostic, DiagnosticRelatedInformation, DiagnosticSeverity, Location, NumberOrString,
    PublishDiagnosticsParams, Range,
};
use std::collections::BTreeSet;
use vsr_compiler::diag::{Diag, Mark, Span};

/// Tells the client what is wrong with a document and the files that it uses.
pub fn publish(state: &mut State, connection: &Connection, path: &str) -> Result<(), Failure> {
    let before = state.published.remove(path).unwrap_or_default();
    let mut spoken = BTreeSet::from([path.to_string()]);
    if let Some(analysis) = state.analyses.get(path) {
        spoken.extend(
            analysis
                .problems
                .iter()
                .map(|diag| file(analysis, path, diag).to_string()),
        );
    }
    for other in before.union(&spoken) {
        // An open file's own check speaks for it.
        if other == path || !state.documents.contains_key(other) {
            let diagnostics = state
                .analyses
                .get(path)
                .map(|analysis| of_file(analysis, path, other));
            tell(connection, other, diagnostics.unwrap_or_default())?;
        }
    }
    state.published.insert(path.to_string(), spoken);
    Ok(())
}

/// A document is closed: nothing is said of it any more.
pub fn clear(state: &mut State, connection: &Connection, path: &str) -> Result<(), Failure> {
    for other in state.published.remove(path).unwrap_or_default() {
        tell(connection, &other, Vec::new())?;
    }
    Ok(())
}

fn tell(connection: &Connection, path: &str, diagnostics: Vec<Diagnostic>) -> Result<(), Failure> {
    let Some(uri) = uri(path) else { return Ok(()) };
    let params = PublishDiagnosticsParams {
        uri,
        diagnostics,
        version: None,
    };
    let method = "textDocument/publishDiagnostics".to_string();
    send(connection, Notification::new(method, params))
}

/// The file that a problem stands in; the document itself where no line is to blame.
fn file<'a>(analysis: &'a Analysis, path: &'a str, diag: &Diag) -> &'a str {
    let primary = diag.primary.as_ref();
    primary.map_or(path, |mark| analysis.sources.name(mark.span.file))
}

fn of_file(analysis: &Analysis, path: &str, other: &str) -> Vec<Diagnostic> {
    let diags = analysis.problems.iter();
    let own = diags.filter(|diag| file(analysis, path, diag) == other);
    own.map(|diag| diagnostic(analysis, diag)).collect()
}

pub fn span_range(analysis: &Analysis, span: Span) -> Range {
    range(analysis.sources.text(span.file), span.start, span.end)
}

fn diagnostic(analysis: &Analysis, diag: &Diag) -> Diagnostic {
    let mut message = diag.message.clone();
    let own = diag
        .primary
        .iter()
        .map(|mark| mark.text.clone())
        .filter(|text| !text.is_empty());
    let help = diag.help.iter().map(|help| format!("help: {help}"));
    for line in own.chain(diag.notes.iter().cloned()).chain(help) {
        message += "\n";
        message += &line;
    }
    let calls = diag
        .trail
        .iter()
        .map(|mark| (mark, format!("in {}, called here", mark.text)));
    let places = diag.secondary.iter().map(|mark| (mark, mark.text.clone()));
    let related = places
        .chain(calls)
        .filter_map(|(mark, text)| related(analysis, mark, text));
    Diagnostic {
        range: diag
            .primary
            .as_ref()
            .map_or(Range::default(), |mark| span_range(analysis, mark.span)),
        severity: Some(DiagnosticSeverity::ERROR),
        code: Some(NumberOrString::String(diag.class.name().to_string())),
        source: Some("vsrc".to_string()),
        message,
        related_information: Some(related.collect()),
        ..Diagnostic::default()
    }
}

fn related(
    analysis: &Analysis,
    mark: &Mark,
    message: String,
) -> Option<DiagnosticRelatedInformation> {
    let location = Location {
        uri: uri(&super::answer::readable(analysis, mark.span)?)?,
        range: span_range(analysis, mark.span),
    };
    Some(DiagnosticRelatedInformation { location, message })
}
