//! Requests and their answers. An unknown request, or one about a file that is not open, is answered as the protocol
//! wants it; none ends the server.

use super::State;
use super::analysis::Analysis;
use super::publish::span_range;
use super::symbols::{Occurrence, Symbol};
use super::text::{offset, position, uri};
use super::{complete, hover, rename, text, workspace};
use lsp_server::{ErrorCode, Request, RequestId, Response};
use lsp_types::{Position, Range, TextEdit};
use serde_json::{Value, json};
use vsr_compiler::diag::{Mark, Problems, Span};
use vsr_compiler::sema::STANDARD_LIBRARY;
use vsr_compiler::syntax;
use vsr_compiler::syntax::ast::ItemKind;

pub fn capabilities() -> Value {
    json!({
        "textDocumentSync": { "openClose": true, "change": 1, "save": {} },
        "hoverProvider": true,
        "definitionProvider": true,
        "referencesProvider": true,
        "documentSymbolProvider": true,
        "documentFormattingProvider": true,
        "codeActionProvider": { "codeActionKinds": ["quickfix"] },
        "renameProvider": { "prepareProvider": true },
        "completionProvider": { "triggerCharacters": ["@", ".", "(", ">"] },
    })
}

/// Why there is no answer.
type Refusal = (ErrorCode, String);

pub fn answer(state: &mut State, request: Request) -> Response {
    let Request { id, method, params } = request;
    let result = match method.as_str() {
        "textDocument/hover" => with_place(state, &params, on_hover),
        "textDocument/definition" => with_place(state, &params, on_definition),
        "textDocument/references" => on_references(state, &params),
        "textDocument/completion" => with_place(state, &params, on_completion),
        "textDocument/prepareRename" => with_place(state, &params, on_prepare),
        "textDocument/rename" => on_rename(state, &params),
        "textDocument/formatting" => on_formatting(state, &params),
        "textDocument/documentSymbol" => with_document(state, &params, on_symbols),
        "textDocument/codeAction" => {
            with_document(state, &params, |analysis| on_actions(analysis, &params))
        }
        _ => Err((ErrorCode::MethodNotFound, format!("no method {method}"))),
    };
    respond(id, result)
}

fn respond(id: RequestId, result: Result<Value, Refusal>) -> Response {
    match result {
        Ok(value) => Response::new_ok(id, value),
        Err((code, message)) => Response::new_err(id, code as i32, message),
    }
}

fn document(params: &Value) -> Option<String> {
    let uri = params.pointer("/textDocument/uri")?.as_str()?;
    Some(text::path(&uri.parse().ok()?))
}

fn place(params: &Value) -> Option<Position> {
    serde_json::from_value(params.get("position")?.clone()).ok()
}

fn with_document(
    state: &mut State,
    params: &Value,
    f: impl FnOnce(&Analysis) -> Result<Value, Refusal>,
) -> Result<Value, Refusal> {
    let path =
        document(params).ok_or((ErrorCode::InvalidParams, "no document is named".to_string()))?;
    match state.analysis(&path) {
        Some(analysis) => f(analysis),
        None => Ok(Value::Null),
    }
}

/// Calls `f` with the document's check and the byte at the cursor.
fn with_place(
    state: &mut State,
    params: &Value,
    f: impl FnOnce(&Analysis, usize) -> Result<Value, Refusal>,
) -> Result<Value, Refusal> {
    let at = place(params).ok_or((ErrorCode::InvalidParams, "no position is given".to_string()))?;
    with_document(state, params, |analysis| {
        f(analysis, offset(own_text(analysis), at))
    })
}

fn own_text(analysis: &Analysis) -> &str {
    let file = analysis.checked.files.first();
    file.map_or("", |file| analysis.sources.text(file.ast.id))
}

fn on_hover(analysis: &Analysis, at: usize) -> Result<Value, Refusal> {
    Ok(match hover::hover(analysis, at) {
        Some((text, span)) => json!({
            "contents": { "kind": "markdown", "value": text },
            "range": span_range(analysis, span),
        }),
        None => Value::Null,
    })
}

fn on_definition(analysis: &Analysis, at: usize) -> Result<Value, Refusal> {
    let target = analysis
        .at(at)
        .and_then(|occurrence| definition(analysis, occurrence));
    Ok(target.map_or(Value::Null, |span| location(analysis, span)))
}

/// Where a symbol is defined: the last definition before a use in the same file, else the first; a dim's first use.
fn definition(analysis: &Analysis, from: &Occurrence) -> Option<Span> {
    if let Symbol::File(path) = &from.symbol {
        let file = analysis
            .checked
            .files
            .iter()
            .find(|file| *file.path == **path)?;
        return Some(Span::new(file.ast.id, 0, 0));
    }
    let all: Vec<&Occurrence> = analysis
        .all()
        .map(|(_, one)| one)
        .filter(|one| one.symbol == from.symbol)
        .collect();
    let is_before =
        |one: &&&Occurrence| one.span.file == from.span.file && one.span.start <= from.span.start;
    let definitions = || all.iter().filter(|one| one.defines);
    let found = definitions()
        .rfind(is_before)
        .or_else(|| definitions().next());
    found.or(all.first()).map(|one| one.span)
}

fn location(analysis: &Analysis, span: Span) -> Value {
    let path = readable(analysis, span);
    match path.and_then(|path| uri(&path)) {
        Some(uri) => json!({ "uri": uri, "range": span_range(analysis, span) }),
        None => Value::Null,
    }
}

/// The path under which an editor can read a span's file. The standard library is part of the compiler: the copy in a
/// folder of that name beside the user's files, if it is the same, or else one in the cache folder.
pub fn readable(analysis: &Analysis, span: Span) -> Option<String> {
    let name = analysis.sources.name(span.file);
    let file = analysis
        .checked
        .files
        .iter()
        .find(|file| file.ast.id == span.file)?;
    if !file.standard {
        return Some(name.to_string());
    }
    let (short, text) = STANDARD_LIBRARY
        .iter()
        .find(|(short, _)| name.ends_with(short))?;
    let own = std::path::Path::new(&analysis.checked.files.first()?.path);
    let beside = own
        .ancestors()
        .map(|folder| folder.join("stdlib").join(short));
    let is_same =
        |path: &std::path::PathBuf| std::fs::read_to_string(path).is_ok_and(|own| own == *text);
    if let Some(path) = beside.into_iter().find(is_same) {
        return Some(path.to_string_lossy().into_owned());
    }
    let cache = std::env::var_os("XDG_CACHE_HOME").map(std::path::PathBuf::from);
    let home = || Some(std::path::PathBuf::from(std::env::var_os("HOME")?).join(".cache"));
    let folder = cache.or_else(home).unwrap_or_else(std::env::temp_dir);
    let path = folder
        .join("vsrc")
        .join(env!("CARGO_PKG_VERSION"))
        .join(short);
    if !is_same(&path) {
        std::fs::create_dir_all(path.parent()?).ok()?;
        std::fs::write(&path, text).ok()?;
    }
    Some(path.to_string_lossy().into_owned())
}

fn on_references(state: &mut State, params: &Value) -> Result<Value, Refusal> {
    let mut symbol = None;
    with_place(state, params, |analysis, at| {
        symbol = analysis.at(at).map(|occurrence| occurrence.symbol.clone());
        Ok(Value::Null)
    })?;
    let Some(symbol) = symbol else {
        return Ok(json!([]));
    };
    let closed = closed_users(state, &symbol);
    let all = || state.analyses.values().chain(&closed);
    let mut found = Vec::new();
    for (path, spans) in rename::places(&symbol, all()) {
        for span in spans {
            if let (Some(uri), Some(range)) = (uri(&path), range_in(all(), &path, span)) {
                found.push(json!({ "uri": uri, "range": range }));
            }
        }
    }
    Ok(Value::Array(found))
}

/// The workspace's files that are not open and speak of the symbol. Every open file is looked at as it is now.
fn closed_users(state: &mut State, symbol: &Symbol) -> Vec<Analysis> {
    for path in state.documents.keys().cloned().collect::<Vec<_>>() {
        state.analysis(&path);
    }
    let known = state.analyses.values();
    workspace::users(&state.folders, symbol, &state.documents, known)
}

/// The range of a span in the file at `path`, as one of the analyses has read it.
fn range_in<'a>(
    analyses: impl Iterator<Item = &'a Analysis>,
    path: &str,
    span: Span,
) -> Option<Range> {
    let mut texts = analyses.flat_map(|analysis| analysis.sources.iter());
    let (_, text) = texts.find(|(name, _)| *name == path)?;
    Some(text::range(text, span.start, span.end))
}

fn on_completion(analysis: &Analysis, at: usize) -> Result<Value, Refusal> {
    Ok(json!(complete::complete(analysis, own_text(analysis), at)))
}

fn on_prepare(analysis: &Analysis, at: usize) -> Result<Value, Refusal> {
    match rename::target(analysis, at) {
        Ok((_, span)) => Ok(json!(span_range(analysis, span))),
        Err(why) => Err((ErrorCode::RequestFailed, why)),
    }
}

fn on_rename(state: &mut State, params: &Value) -> Result<Value, Refusal> {
    let refuse = |why: String| (ErrorCode::RequestFailed, why);
    let name = params
        .get("newName")
        .and_then(Value::as_str)
        .unwrap_or("")
        .to_string();
    let mut found = None;
    with_place(state, params, |analysis, at| {
        let (symbol, _) = rename::target(analysis, at).map_err(refuse)?;
        if let Some(why) = rename::refusal(analysis, &symbol, &name) {
            return Err(refuse(why));
        }
        found = Some(symbol);
        Ok(Value::Null)
    })?;
    let Some(symbol) = found else {
        return Ok(Value::Null);
    };
    let closed = closed_users(state, &symbol);
    let all = || state.analyses.values().chain(&closed);
    if let Some(why) = all().find_map(|one| rename::refusal_elsewhere(one, &symbol, &name)) {
        return Err(refuse(why));
    }
    let mut changes = Vec::new();
    for (path, spans) in rename::places(&symbol, all()) {
        let edit = |span: &Span| {
            let range = range_in(all(), &path, *span)?;
            Some(TextEdit {
                range,
                new_text: name.clone(),
            })
        };
        let edits: Vec<TextEdit> = spans.iter().filter_map(edit).collect();
        changes.push(json!({
            "textDocument": { "uri": uri(&path), "version": null },
            "edits": edits,
        }));
    }
    Ok(json!({ "documentChanges": changes }))
}

/// One edit of the whole text; none where it is formatted already, or does not parse.
fn on_formatting(state: &mut State, params: &Value) -> Result<Value, Refusal> {
    let path = document(params);
    let Some(text) = path.and_then(|path| state.documents.get(&path)) else {
        return Ok(Value::Null);
    };
    let formatted = syntax::format(0, text, &mut Problems::new());
    let Some(formatted) = formatted.filter(|formatted| formatted != text) else {
        return Ok(json!([]));
    };
    let range = Range {
        start: Position::default(),
        end: position(text, text.len()),
    };
    Ok(json!([{ "range": range, "newText": formatted }]))
}

fn on_symbols(analysis: &Analysis) -> Result<Value, Refusal> {
    let items = analysis.checked.files.first().map(|file| &file.ast.items);
    let symbols = items.into_iter().flatten().filter_map(|item| {
        let name = item.name()?;
        // Function, class, method of training, constant.
        let kind = match &item.kind {
            ItemKind::Op(_) => 12,
            ItemKind::Block(_) => 5,
            ItemKind::Train(_) => 6,
            _ => 14,
        };
        Some(json!({
            "name": name.text, "kind": kind,
            "range": span_range(analysis, item.span),
            "selectionRange": span_range(analysis, name.span),
        }))
    });
    Ok(symbols.collect())
}

fn title(edit: &Mark) -> String {
    match edit.span.start == edit.span.end {
        true => format!("insert `{}`", edit.text.trim()),
        false => format!("change to `{}`", edit.text),
    }
}

/// The edits that problems propose, where they stand in the range.
fn on_actions(analysis: &Analysis, params: &Value) -> Result<Value, Refusal> {
    let range = params.get("range").cloned().unwrap_or_default();
    let Ok(wanted) = serde_json::from_value::<Range>(range) else {
        return Err((ErrorCode::InvalidParams, "no range is given".to_string()));
    };
    let own = analysis.checked.files.first().map(|file| file.ast.id);
    let actions = analysis.problems.iter().filter_map(|diag| {
        let edit = diag
            .edit
            .as_ref()
            .filter(|edit| Some(edit.span.file) == own)?;
        let range = span_range(analysis, edit.span);
        let uri = uri(analysis.sources.name(edit.span.file))?;
        let overlaps = range.start <= wanted.end && wanted.start <= range.end;
        overlaps.then(|| {
            json!({
                "title": title(edit),
                "kind": "quickfix",
                "edit": { "documentChanges": [{
                    "textDocument": { "uri": uri, "version": null },
                    "edits": [{ "range": range, "newText": edit.text }],
                }] },
            })
        })
    });
    Ok(actions.collect())
}
