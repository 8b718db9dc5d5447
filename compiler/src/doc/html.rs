//! The pages as HTML: an index with a filter, a page for each file, one style sheet. No page asks the network.

use super::code::marked;
use super::collect::{Links, Word, summary};
use super::{Drawn, Item, Module, Page};
use crate::picture::escape;
use std::fmt::Write;

const STYLE: &str = include_str!("style.css");
const FILTER: &str = "<script>\
document.getElementById('filter').addEventListener('input', e => { const wanted = e.target.value.toLowerCase(); \
for (const row of document.querySelectorAll('tr[data-name]')) row.hidden = !row.dataset.name.includes(wanted); \
for (const part of document.querySelectorAll('section')) part.hidden = !part.querySelector('tr[data-name]:not([hidden])'); });\
</script>";

pub fn pages(modules: &[Module], links: &Links, drawn: &[Vec<Drawn>]) -> Vec<Page> {
    let mut pages = vec![
        Page {
            path: "index.html".to_string(),
            text: index(modules),
        },
        Page {
            path: "style.css".to_string(),
            text: STYLE.to_string(),
        },
    ];
    for (at, module) in modules.iter().enumerate() {
        pages.push(Page {
            path: format!("{}.html", module.page),
            text: page(modules, links, at, &drawn[at]),
        });
        for d in &drawn[at] {
            pages.push(Page {
                path: picture_path(module, d),
                text: d.page.clone(),
            });
        }
    }
    pages
}

fn picture_path(module: &Module, d: &Drawn) -> String {
    format!("{}.{}.html", module.page, d.model)
}

/// The frame of every page. `up`: the way to the folder of all pages.
fn framed(title: &str, up: &str, modules: &[Module], here: Option<usize>, main: &str) -> String {
    let mut nav = format!("<a class=\"home\" href=\"{up}index.html\">vsr</a>");
    for (heading, standard) in [("Standard library", true), ("Models", false)] {
        if !modules.iter().any(|m| m.is_standard == standard) {
            continue;
        }
        let _ = write!(nav, "<h2>{heading}</h2><ul>");
        for (at, m) in modules
            .iter()
            .enumerate()
            .filter(|(_, m)| m.is_standard == standard)
        {
            let class = if here == Some(at) {
                " class=\"here\""
            } else {
                ""
            };
            let _ = write!(
                nav,
                "<li><a{class} href=\"{up}{}.html\">{}</a></li>",
                m.page,
                escape(&m.title)
            );
        }
        nav += "</ul>";
    }
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{}</title>\n\
         <link rel=\"stylesheet\" href=\"{up}style.css\">\n</head>\n<body>\n<nav>{nav}</nav>\n<main>\n{main}</main>\n\
         </body>\n</html>\n",
        escape(title)
    )
}

fn index(modules: &[Module]) -> String {
    let mut main = String::from(
        "<h1>vsr</h1>\n<p class=\"lead\">Every op, block and model. A signature says the shapes; a comment says the formula.</p>\n\
         <input id=\"filter\" type=\"search\" placeholder=\"Filter by name\" aria-label=\"Filter by name\">\n",
    );
    for module in modules {
        let _ = writeln!(
            main,
            "<section><h2><a href=\"{}.html\">{}</a></h2>{}<table class=\"index\">",
            module.page,
            escape(&module.title),
            prose(&summary(&module.doc))
        );
        for item in module.items.iter().filter(|i| is_listed(i.word)) {
            let _ = writeln!(
                main,
                "<tr data-name=\"{}\"><td><span class=\"word\">{}</span></td><td><a href=\"{}.html#{}\"><code>{}</code></a></td><td>{}</td></tr>",
                escape(&item.name.to_lowercase()),
                item.word.name(),
                module.page,
                anchor(item),
                escape(&item.name),
                inline(&summary(&item.doc))
            );
        }
        main += "</table></section>\n";
    }
    main += FILTER;
    framed("vsr: library and models", "", modules, None, &main)
}

fn is_listed(word: Word) -> bool {
    matches!(word, Word::Op | Word::Block | Word::Model | Word::Train)
}

fn anchor(item: &Item) -> String {
    format!("{}.{}", item.word.name(), item.name)
}

fn page(modules: &[Module], links: &Links, at: usize, drawn: &[Drawn]) -> String {
    let module = &modules[at];
    let mut main = format!(
        "<h1>{}</h1>\n<p class=\"file\"><a href=\"#source\">{}</a></p>\n{}",
        escape(&module.title),
        escape(&module.path),
        prose(&module.doc)
    );
    for d in drawn {
        let file = picture_path(module, d);
        let file = file.rsplit('/').next().unwrap_or(&file);
        let _ = writeln!(
            main,
            "<figure>{}<figcaption><a href=\"{}\">Unfold {} block by block</a></figcaption></figure>",
            d.svg,
            escape(file),
            escape(&d.model)
        );
    }
    // What one looks for first stands first.
    let mut order: Vec<usize> = (0..module.items.len()).collect();
    order.sort_by_key(|i| module.items[*i].word != Word::Model);
    for i in order {
        entry(&mut main, modules, links, (at, i), &module.items[i]);
    }
    source(&mut main, modules, links, at);
    framed(
        &format!("{} \u{b7} vsr", module.title),
        "../",
        modules,
        Some(at),
        &main,
    )
}

fn address(modules: &[Module], from: usize, (m, i): (usize, usize)) -> String {
    let page = match m == from {
        true => String::new(),
        false => format!("../{}.html", modules[m].page),
    };
    format!("{page}#{}", anchor(&modules[m].items[i]))
}

fn entry(
    out: &mut String,
    modules: &[Module],
    links: &Links,
    (at, i): (usize, usize),
    item: &Item,
) {
    let link = |name: &str| links.find(at, name).map(|to| address(modules, at, to));
    let _ = writeln!(
        out,
        "<article id=\"{0}\"><h2><span class=\"word\">{1}</span> {2} <a class=\"line\" href=\"#L{3}\">line {3}</a></h2>\n\
         <pre class=\"signature\">{4}</pre>\n{5}",
        anchor(item),
        item.word.name(),
        escape(&item.name),
        item.line,
        marked(&item.signature, &|_| None),
        prose(&item.doc)
    );
    table(out, "Parameters", &item.parameters);
    table(
        out,
        if item.word == Word::Op {
            "Inputs"
        } else {
            "Tensors"
        },
        &item.tensors,
    );
    let mut facts = vec![];
    if let Some(result) = &item.result {
        facts.push(("Gives", format!("<code>{}</code>", escape(result))));
    }
    if !item.conditions.is_empty() {
        let all: Vec<String> = item
            .conditions
            .iter()
            .map(|c| format!("<code>{}</code>", escape(c)))
            .collect();
        facts.push(("Needs", all.join(", ")));
    }
    if let Some(kernel) = &item.kernel {
        facts.push((
            "Kernel",
            format!(
                "a promise that the compiler checks: <code>{}</code>",
                escape(kernel)
            ),
        ));
    }
    if item.has_gradient {
        facts.push(("Gradient", "given, not derived".to_string()));
    }
    let used: Vec<String> = item
        .calls
        .iter()
        .filter_map(|name| {
            Some(format!(
                "<a href=\"{}\"><code>{}</code></a>",
                escape(&link(name)?),
                escape(name)
            ))
        })
        .collect();
    if !used.is_empty() {
        facts.push(("Uses", used.join(", ")));
    }
    let users: Vec<String> = links
        .users
        .get(&(at, i))
        .into_iter()
        .flatten()
        .map(|to| {
            let user = &modules[to.0].items[to.1];
            format!(
                "<a href=\"{}\"><code>{}</code></a>",
                escape(&address(modules, at, *to)),
                escape(&user.name)
            )
        })
        .collect();
    if !users.is_empty() {
        facts.push(("Used by", users.join(", ")));
    }
    if !facts.is_empty() {
        out.push_str("<dl>");
        for (word, text) in facts {
            let _ = write!(out, "<dt>{word}</dt><dd>{text}</dd>");
        }
        out.push_str("</dl>\n");
    }
    if item.source.len() > item.signature.len() {
        let _ = writeln!(
            out,
            "<details><summary>Definition</summary><pre>{}</pre></details>",
            marked(&item.source, &link)
        );
    }
    out.push_str("</article>\n");
}

fn table(out: &mut String, heading: &str, rows: &[[String; 3]]) {
    if rows.is_empty() {
        return;
    }
    let _ = write!(out, "<table><tr><th>{heading}</th><th></th><th></th></tr>");
    for [name, ty, default] in rows {
        let default = match default.as_str() {
            "" => String::new(),
            text => format!("<code>{}</code> unless given", escape(text)),
        };
        let _ = write!(
            out,
            "<tr><td><code>{}</code></td><td><code>{}</code></td><td>{default}</td></tr>",
            escape(name),
            escape(ty)
        );
    }
    out.push_str("</table>\n");
}

/// The whole file with numbered lines.
fn source(out: &mut String, modules: &[Module], links: &Links, at: usize) {
    let link = |name: &str| links.find(at, name).map(|to| address(modules, at, to));
    out.push_str("<h2 id=\"source\">Source</h2>\n<pre class=\"source\">");
    for (n, line) in modules[at].text.lines().enumerate() {
        let n = n + 1;
        let _ = writeln!(
            out,
            "<span id=\"L{n}\" class=\"row\"><a class=\"number\" href=\"#L{n}\">{n}</a>{}</span>",
            marked(line, &link)
        );
    }
    out.push_str("</pre>\n");
}

/// Lines of a paragraph run on, but a short one (a formula) stands alone.
fn prose(doc: &str) -> String {
    const SHORT: usize = 90;
    if doc.is_empty() {
        return String::new();
    }
    let paragraph = |p: &str| {
        let line = |l: &str| {
            inline(l)
                + if l.chars().count() < SHORT {
                    "<br>"
                } else {
                    "\n"
                }
        };
        let lines: String = p.lines().map(line).collect();
        format!("<p>{}</p>\n", lines.trim_end_matches("<br>").trim_end())
    };
    doc.split("\n\n").map(paragraph).collect()
}

/// `code` between backticks.
fn inline(text: &str) -> String {
    let parts = text.split('`').enumerate().map(|(i, part)| match i % 2 {
        0 => escape(part),
        _ => format!("<code>{}</code>", escape(part)),
    });
    parts.collect()
}
