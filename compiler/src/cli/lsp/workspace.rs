//! Files of the workspace that no editor has open: those that use a definition are read and parsed, so that its other
//! name, and its list of uses, reach them, too. Enters: the folders that the client named. Leaves: occurrences, never a
//! check. Hidden folders, links and what builds leave behind are not looked into; nothing is written.

use super::analysis::{Analysis, Documents};
use super::symbols::Symbol;
use super::text::{self, is_word};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A folder with more entries than this is somebody's home, and no workspace.
const MAX_ENTRIES: usize = 50_000;

/// The workspace's folders, as a client names them when it starts.
pub fn folders(initialize: &Value) -> Vec<PathBuf> {
    let path = |uri: &Value| Some(PathBuf::from(text::path(&uri.as_str()?.parse().ok()?)));
    let listed = initialize.get("workspaceFolders").and_then(Value::as_array);
    let listed: Vec<PathBuf> = listed
        .into_iter()
        .flatten()
        .filter_map(|folder| path(folder.get("uri")?))
        .collect();
    if listed.is_empty() {
        return initialize
            .get("rootUri")
            .and_then(path)
            .into_iter()
            .collect();
    }
    listed
}

/// The files that speak of the symbol and that no analysis has seen, read with all they use.
pub fn users<'a>(
    folders: &[PathBuf],
    symbol: &Symbol,
    documents: &Documents,
    known: impl Iterator<Item = &'a Analysis> + Clone,
) -> Vec<Analysis> {
    // An index means nothing outside of its equation.
    let (Symbol::Item { file, name } | Symbol::Local { file, name, .. }) = symbol else {
        return vec![];
    };
    let is_known = |path: &str| {
        let mut files = known.clone().flat_map(|one| &one.checked.files);
        files.any(|loaded| loaded.path == path)
    };
    let mut found = vec![];
    let mut n_entries = 0;
    for folder in folders {
        each_file(folder, &mut n_entries, &mut |path| {
            let Some(path) = path.to_str().filter(|path| !is_known(path)) else {
                return;
            };
            let speaks = std::fs::read_to_string(path).is_ok_and(|text| has_word(&text, name));
            if !speaks || documents.contains_key(path) {
                return;
            }
            let analysis = Analysis::read(path, documents);
            if analysis
                .checked
                .files
                .iter()
                .any(|loaded| loaded.path == **file)
            {
                found.push(analysis);
            }
        });
    }
    found
}

fn each_file(folder: &Path, n_entries: &mut usize, f: &mut impl FnMut(&Path)) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    let mut entries: Vec<_> = entries.flatten().collect();
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        *n_entries += 1;
        let name = entry.file_name();
        let is_left_out = name.as_encoded_bytes().starts_with(b".")
            || name == "target"
            || name == "node_modules"
            || *n_entries > MAX_ENTRIES;
        let Some(kind) = entry.file_type().ok().filter(|_| !is_left_out) else {
            continue;
        };
        let path = entry.path();
        if kind.is_dir() {
            each_file(&path, n_entries, f);
        } else if kind.is_file() && path.extension().is_some_and(|e| e == "vsr") {
            f(&path);
        }
    }
}

fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        !text[..at].ends_with(is_word) && !text[at + word.len()..].starts_with(is_word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_come_from_any_of_two_fields() {
        let named = serde_json::json!({ "rootUri": "file:///a", "workspaceFolders": [{ "uri": "file:///b%20c" }] });
        assert_eq!(folders(&named), [PathBuf::from("/b c")]);
        let old = serde_json::json!({ "rootUri": "file:///a", "workspaceFolders": null });
        assert_eq!(folders(&old), [PathBuf::from("/a")]);
        assert!(folders(&serde_json::json!({ "rootUri": null })).is_empty());
    }

    #[test]
    fn words_are_whole() {
        assert!(has_word("x |> Up(2)", "Up") && !has_word("x |> Upper(2)", "Up"));
    }
}
