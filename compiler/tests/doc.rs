//! `vsrc doc`: nothing of the library is without a comment, and no link leads nowhere.

#![allow(clippy::unwrap_used)]

use crate::sema::Files;
use std::collections::{BTreeMap, BTreeSet};
use vsr_compiler::diag::Problems;
use vsr_compiler::doc::{Format, pages};
use vsr_compiler::sema::STANDARD_LIBRARY;
use vsr_compiler::syntax::{self, ast::ItemKind};

fn made(paths: &[&str], format: Format) -> BTreeMap<String, String> {
    let paths: Vec<String> = paths.iter().map(|p| (*p).to_string()).collect();
    let mut files = Files::default();
    files.texts.insert("tiny.vsr".into(), TINY.into());
    let mut problems = Problems::new();
    let pages = pages(&mut files, &paths, format, &mut problems).unwrap();
    pages.into_iter().map(|p| (p.path, p.text)).collect()
}

const TINY: &str = "\
## A file of one model.

## y = a·x + b: `a` and b are learned.
model Tiny(out: int = 4)(x: [B, C]) -> [B, out] where C % 2 == 0 = x |> Linear(out) @map |> relu

profile small { B = 2  C = 6 }
";

/// A formula or a statement of which element goes where.
fn says_a_formula(doc: &str) -> bool {
    let marks = [
        '=', '·', 'Σ', '/', '√', '^', '²', '⌊', '±', '∇', 'ᵀ', '←', '(',
    ];
    doc.contains(marks)
}

#[test]
fn every_item_of_the_library_has_a_comment_with_its_formula() {
    let mut missing = vec![];
    let mut n = 0;
    for (name, text) in STANDARD_LIBRARY {
        let mut problems = Problems::new();
        let file = syntax::parse(0, text, &mut problems);
        assert!(
            problems.is_empty() && !file.doc.is_empty(),
            "{name} opens with no `##` lines"
        );
        for item in &file.items {
            if matches!(item.kind, ItemKind::Op(_) | ItemKind::Block(_)) {
                n += 1;
                if !says_a_formula(&item.doc) {
                    missing.push(format!(
                        "{name}: {}: {:?}",
                        item.name().unwrap().text,
                        item.doc
                    ));
                }
            }
        }
    }
    assert!(n > 60, "only {n} items");
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

/// The values of an attribute in a page, text of scripts left out.
fn attributes<'t>(page: &'t str, name: &str) -> Vec<&'t str> {
    let before = format!("{name}=\"");
    page.split(&before)
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect()
}

#[test]
fn every_link_leads_somewhere_and_nothing_comes_from_the_network() {
    let models = [
        "models/vsr.vsr",
        "models/sdxl-unet.vsr",
        "models/vdsr.vsr",
        "models/vgg16.vsr",
        "models/sdxl-vae.vsr",
    ];
    let pages = made(&models, Format::Html);
    assert!(pages.contains_key("models/vsr.Vsr.html") && pages.contains_key("style.css"));
    let ids: BTreeMap<&String, BTreeSet<&str>> = pages
        .iter()
        .map(|(path, text)| (path, attributes(text, "id").into_iter().collect()))
        .collect();
    let mut n_links = 0;
    for (path, text) in pages
        .iter()
        .filter(|(p, _)| p.ends_with(".html") && !p.ends_with(".Vsr.html"))
    {
        let outside = text.replace("http://www.w3.org/2000/svg", "");
        assert!(
            !outside.contains("http") && !outside.contains("src="),
            "{path}"
        );
        for link in attributes(text, "href") {
            n_links += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            let target = match (file, file.strip_prefix("../")) {
                ("", _) => path.clone(),
                (_, Some(up)) => up.to_string(),
                (file, None) if folder.is_empty() => file.to_string(),
                (file, None) => format!("{folder}/{file}"),
            };
            let known = ids
                .get(&target)
                .unwrap_or_else(|| panic!("{path}: {link} leads to no page"));
            assert!(
                anchor.is_empty() || known.contains(anchor),
                "{path}: {link} leads to no place"
            );
        }
    }
    assert!(n_links > 1000, "{n_links}");
}

#[test]
fn pages_link_uses_both_ways() {
    let pages = made(&["models/vsr.vsr", "models/spynet.vsr"], Format::Html);
    let layers = &pages["stdlib/layers.html"];
    assert!(
        layers.contains("../stdlib/conv.html#op.conv2d"),
        "Conv2d uses conv2d"
    );
    assert!(
        layers.contains("../models/vsr.html#block.DeformAlign"),
        "and is used by DeformAlign"
    );
    let vsr = &pages["models/vsr.html"];
    assert!(
        vsr.contains("../models/spynet.html#model.SpyNet"),
        "an import is a link"
    );
    assert!(
        vsr.contains("<svg") && vsr.contains("vsr.Vsr.html"),
        "and there is a picture"
    );
}

#[test]
fn a_small_file_as_markdown() {
    let pages = made(&["tiny.vsr"], Format::Markdown);
    assert!(pages.contains_key("models/tiny.Tiny.svg") && pages.contains_key("stdlib/norm.md"));
    insta::assert_snapshot!("tiny_markdown", pages["models/tiny.md"]);
}

#[test]
fn a_small_file_as_html() {
    let pages = made(&["tiny.vsr"], Format::Html);
    let page = &pages["models/tiny.html"];
    let article = &page[page.find("<article").unwrap()..page.find("</article>").unwrap()];
    insta::assert_snapshot!("tiny_html", article);
}

#[test]
fn a_broken_file_is_a_problem_and_no_page() {
    let mut files = Files::default();
    files
        .texts
        .insert("bad.vsr".into(), "op f(x: [B] -> [B] = x\n".into());
    let mut problems = Problems::new();
    let paths = ["bad.vsr".to_string(), "none.vsr".to_string()];
    assert!(pages(&mut files, &paths, Format::Html, &mut problems).is_none());
    assert!(problems.len() >= 2);
}
