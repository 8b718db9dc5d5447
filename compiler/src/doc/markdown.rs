//! The pages as Markdown, for a repository's own viewer: an index and a page for each file, pictures as SVG files.

use super::collect::{Links, Word, summary};
use super::{Drawn, Item, Module, Page};
use std::fmt::Write;

pub fn pages(modules: &[Module], links: &Links, drawn: &[Vec<Drawn>]) -> Vec<Page> {
    let mut pages = vec![Page {
        path: "index.md".to_string(),
        text: index(modules),
    }];
    for (at, module) in modules.iter().enumerate() {
        pages.push(Page {
            path: format!("{}.md", module.page),
            text: page(modules, links, at, &drawn[at]),
        });
        for d in &drawn[at] {
            pages.push(Page {
                path: format!("{}.{}.svg", module.page, d.model),
                text: d.svg.clone(),
            });
        }
    }
    pages
}

/// What a viewer makes of a heading: lower case, without points.
fn anchor(item: &Item) -> String {
    format!("{}-{}", item.word.name(), item.name.to_lowercase())
}

fn index(modules: &[Module]) -> String {
    let mut out = String::from("# vsr: library and models\n");
    for (heading, standard) in [("Standard library", true), ("Models", false)] {
        if !modules.iter().any(|m| m.is_standard == standard) {
            continue;
        }
        let _ = write!(out, "\n## {heading}\n");
        for module in modules.iter().filter(|m| m.is_standard == standard) {
            let _ = write!(
                out,
                "\n### [{}]({}.md)\n\n{}\n\n| | |\n|---|---|\n",
                module.title,
                module.page,
                summary(&module.doc)
            );
            for item in module
                .items
                .iter()
                .filter(|i| matches!(i.word, Word::Op | Word::Block | Word::Model))
            {
                let link = format!("[`{}`]({}.md#{})", item.name, module.page, anchor(item));
                let _ = writeln!(out, "| {link} | {} |", cell(&summary(&item.doc)));
            }
        }
    }
    out
}

/// Text inside of a table: no `|` may end it.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn page(modules: &[Module], links: &Links, at: usize, drawn: &[Drawn]) -> String {
    let module = &modules[at];
    let mut out = format!(
        "# {}\n\n`{}` \u{b7} [index](../index.md)\n\n{}\n",
        module.title, module.path, module.doc
    );
    for (i, item) in module.items.iter().enumerate() {
        let _ = write!(
            out,
            "\n## {} {}\n\n{}\n\n```vsr\n{}\n```\n\n{}:{}",
            item.word.name(),
            item.name,
            item.doc,
            item.signature,
            module.path,
            item.line
        );
        facts(&mut out, modules, links, (at, i), item);
        if let Some(d) = drawn
            .iter()
            .find(|d| item.word == Word::Model && d.model == item.name)
        {
            let _ = write!(
                out,
                "\n![{}]({}.{}.svg)\n",
                d.subtitle, module.title, d.model
            );
        }
    }
    out
}

fn facts(
    out: &mut String,
    modules: &[Module],
    links: &Links,
    (at, i): (usize, usize),
    item: &Item,
) {
    let link = |(m, i): (usize, usize)| {
        let target = &modules[m].items[i];
        let page = if m == at {
            String::new()
        } else {
            format!("../{}.md", modules[m].page)
        };
        format!("[`{}`]({page}#{})", target.name, anchor(target))
    };
    let uses: Vec<String> = item
        .calls
        .iter()
        .filter_map(|name| links.find(at, name))
        .map(link)
        .collect();
    let users: Vec<String> = links
        .users
        .get(&(at, i))
        .into_iter()
        .flatten()
        .copied()
        .map(link)
        .collect();
    if !item.conditions.is_empty() {
        let _ = write!(out, " \u{b7} needs `{}`", item.conditions.join("`, `"));
    }
    if item.has_gradient {
        out.push_str(" \u{b7} gradient given");
    }
    if !uses.is_empty() {
        let _ = write!(out, " \u{b7} uses {}", uses.join(", "));
    }
    if !users.is_empty() {
        let _ = write!(out, " \u{b7} used by {}", users.join(", "));
    }
    out.push('\n');
}
