//! The page that carries one equation through all stages says what the compiler does: each block of it is an excerpt of what
//! `vsrc compile --emit` prints for the page's own text.

use crate::program::{succeed, text};

/// Fenced blocks of a page: what stands behind the fence, and the lines.
fn blocks(page: &str) -> Vec<(&str, Vec<&str>)> {
    let mut blocks: Vec<(&str, Vec<&str>)> = vec![];
    let mut is_inside = false;
    for line in page.lines() {
        match (line.strip_prefix("```"), is_inside) {
            (Some(info), false) => blocks.push((info, vec![])),
            (None, true) => blocks.last_mut().expect("a fence came before").1.push(line),
            _ => {}
        }
        is_inside ^= line.starts_with("```");
    }
    blocks
}

/// Whether a text is `shown`, where `…` stands for any lines.
fn is_excerpt(text: &str, shown: &[&str]) -> bool {
    let parts = shown.split(|line| *line == "…");
    let parts: Vec<String> = parts.map(|lines| lines.join("\n")).collect();
    let whole = format!("\n{}\n", text.trim_end());
    let mut rest = whole.as_str();
    for part in parts.iter().filter(|part| !part.is_empty()) {
        match rest.split_once(&format!("\n{part}\n")) {
            // A line's end is the next one's beginning.
            Some((_, behind)) => rest = &whole[whole.len() - behind.len() - 1..],
            None => return false,
        }
    }
    let first = parts.first().is_none_or(String::is_empty);
    let last = parts.last().is_none_or(String::is_empty);
    (first || whole.starts_with(&format!("\n{}\n", parts[0]))) && (last || rest == "\n")
}

#[test]
fn each_stage_prints_what_the_page_shows() {
    let page = include_str!("../src/walkthrough.md");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let blocks = blocks(page);
    let (info, source) = &blocks[0];
    assert_eq!(*info, "vsr");
    std::fs::write(folder.path().join("line.vsr"), source.join("\n") + "\n").expect("a file");
    let mut stages = vec![];
    for (info, shown) in &blocks[1..] {
        let stage = info.strip_prefix("text --emit ").expect("a stage's text");
        let done = succeed(folder.path(), &format!("compile line.vsr --emit {stage}"));
        let printed = text(&done.stdout);
        assert!(is_excerpt(&printed, shown), "{stage} prints:\n{printed}");
        stages.push(stage);
    }
    assert_eq!(stages, ["ast", "graph", "grad", "schedule", "tile", "clif"]);
}

#[test]
fn excerpts_are_told_from_others() {
    let text = "a\nb\nc\nd\n";
    for shown in [
        &["a", "b", "c", "d"][..],
        &["…", "b", "…", "d"],
        &["a", "…", "d"],
        &["…", "b", "c", "…"],
    ] {
        assert!(is_excerpt(text, shown), "{shown:?}");
    }
    for shown in [
        &["a", "b"][..],
        &["b", "…"],
        &["…", "c"],
        &["…", "c", "…", "b", "…"],
        &["…", "b", "d", "…"],
    ] {
        assert!(!is_excerpt(text, shown), "{shown:?}");
    }
}
