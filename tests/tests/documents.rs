//! What a reader meets first: links between documents lead somewhere, README stays one sitting long and its network is right,
//! and its chart says what the table of measurements says.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use vsr_compiler::diag::{Problems, Sources};
use vsr_compiler::pipeline;
use vsr_compiler::sema::{Loader, Options};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

fn read(path: &str) -> String {
    let path = Path::new(ROOT).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// All `.md` files below a folder, but what is built and what is hidden.
fn documents(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let is_ours = !name.starts_with('.') && name != "target" && name != "node_modules";
        if path.is_dir() && is_ours && !path.is_symlink() {
            documents(&path, found);
        } else if name.ends_with(".md") {
            found.push(path);
        }
    }
}

/// Where the links and pictures of a text lead, those to other hosts apart.
fn links(text: &str) -> Vec<&str> {
    let ends = text.match_indices("](").map(|(at, _)| &text[at + 2..]);
    let links = ends.filter_map(|rest| rest.split(')').next());
    links.filter(|link| !link.contains("://")).collect()
}

#[test]
fn links_lead_somewhere() {
    let mut found = vec![];
    documents(Path::new(ROOT), &mut found);
    let mut n_links = 0;
    for document in &found {
        let text = std::fs::read_to_string(document).unwrap();
        for link in links(&text) {
            let to = document.with_file_name(link.split('#').next().unwrap());
            let from = document.display();
            assert!(to.exists(), "{from} leads to {link}, and nothing is there");
            n_links += 1;
        }
    }
    assert!(found.len() > 8 && n_links > 12, "{n_links} in {found:?}");
    assert_eq!(
        links("[a](b.md), ![c](d/e.svg), [f](https://g)"),
        ["b.md", "d/e.svg"]
    );
}

#[test]
fn readme_is_one_sitting_long_and_its_picture_small() {
    let n_lines = read("README.md").lines().count();
    assert!(n_lines <= 120, "README has {n_lines} lines");
    let picture = Path::new(ROOT).join("examples/demo/compare.png");
    let size = std::fs::metadata(picture).unwrap().len();
    assert!(size < 250_000, "the picture has {size} bytes");
}

/// The one text that README shows.
struct Shown(String, Sources);

impl Loader for Shown {
    fn read(&mut self, _: &str) -> Result<String, String> {
        Ok(self.0.clone())
    }

    fn exists(&mut self, _: &str) -> bool {
        false
    }

    fn sources(&mut self) -> &mut Sources {
        &mut self.1
    }
}

#[test]
fn the_network_in_readme_is_right() {
    let readme = read("README.md");
    let (_, rest) = readme.split_once("```vsr\n").unwrap();
    let text = rest.split("```").next().unwrap();
    assert!(
        text.contains("model ") && text.contains("profile "),
        "{text}"
    );
    let mut shown = Shown(text.to_string(), Sources::default());
    let mut problems = Problems::new();
    let options = Options {
        name: None,
        profiles: vec![],
        set: vec![],
    };
    pipeline::check(&mut shown, "README.vsr", &options, &mut problems);
    assert!(problems.is_empty(), "{}", problems.render(&shown.1));
}

/// Cells of a Markdown table's rows, its head apart.
fn rows(table: &str) -> Vec<Vec<&str>> {
    let lines = table.lines().filter(|l| l.starts_with('|')).skip(2);
    lines
        .map(|l| l.trim_matches('|').split('|').map(str::trim).collect())
        .collect()
}

/// The words of a picture, in their order.
fn words(svg: &str) -> Vec<&str> {
    let texts = svg.split("<text ").skip(1);
    texts
        .filter_map(|t| t.split_once('>')?.1.split_once("</text>"))
        .map(|(words, _)| words)
        .collect()
}

#[test]
fn the_chart_says_what_the_table_says() {
    let page = read("tests/peers/README.md");
    let (_, section) = page
        .split_once("## The flagship against its peers")
        .unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let rows = rows(section);
    let named = |name: &str| rows.iter().find(|r| r[0].starts_with(name)).unwrap();
    let svg = read("tests/peers/chart.svg");
    let words = words(&svg);
    // Panels are titles, each followed by pairs of a name and a cell.
    let columns = [(1, "one tile"), (4, "training step"), (3, "peak memory")];
    let mut said = words.iter();
    for (column, title) in columns {
        assert!(said.next().unwrap().starts_with(title), "{words:?}");
        for row in rows
            .iter()
            .filter(|r| r.get(column).is_some_and(|c| !c.is_empty()))
        {
            let (name, cell) = (said.next().unwrap(), said.next().unwrap());
            assert_eq!(named(name)[0], row[0]);
            assert_eq!(*cell, row[column], "{name}: run tests/peers/chart.py again");
        }
    }
    assert!(said.next().is_none(), "{words:?}");
    let names: BTreeSet<&str> = rows.iter().map(|r| r[0]).collect();
    assert_eq!(names.len(), 4, "{names:?}");
}

/// Bars are as long as their numbers say.
#[test]
fn bars_of_the_chart_are_in_proportion() {
    let svg = read("tests/peers/chart.svg");
    let number = |text: &str| -> f64 {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.');
        text[..end.unwrap_or(text.len())].parse().unwrap()
    };
    let bars = svg.split("<rect ").skip(1).map(|bar| {
        let width = bar.split("width=\"").nth(1).map(number).unwrap();
        let after = bar
            .split_once("<text ")
            .unwrap()
            .1
            .split_once('>')
            .unwrap()
            .1;
        (width, number(after))
    });
    let bars: Vec<(f64, f64)> = bars.collect();
    assert_eq!(bars.len(), 10, "{bars:?}");
    let longest = bars.iter().map(|b| b.0).fold(0.0, f64::max);
    let mut scale = 0.0;
    for (width, value) in bars {
        // Each panel begins with its longest bar.
        if width == longest {
            scale = width / value;
        }
        assert!((width - scale * value).abs() < 0.06, "{width} for {value}");
    }
}
