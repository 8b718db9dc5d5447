//! The language reference, `stdlib/README.md`: every example in it is compiled, run, or refused, as it says.
//!
//! A fence ```` ```vsr ```` holds a whole file; one without a profile gets `PROFILE`. Comments in it state facts: `# run:` values,
//! `# weights:` keys and shapes, `# entries:` what is compiled, `# changes with:` what decides random numbers, and beside a
//! line `# error[class]: message`. A fence `vsr file=NAME` is a file that later examples may use, a fence `weights
//! file=NAME` lists the tensors of a weight file. What stands in a fence `vsr written` is formatted to what stands in the
//! next one, `vsr formatted`.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use crate::sema::{Files, run_with};
use vsr_compiler::backend::Target;
use vsr_compiler::diag::Problems;
use vsr_compiler::ir::eval::{Given, evaluate};
use vsr_compiler::ir::philox::Stream;
use vsr_compiler::pass_manager::PassManager;
use vsr_compiler::pipeline;
use vsr_compiler::sema::{Elaborated, Loader, Options, WeightKind};
use vsr_compiler::syntax::format;
use vsr_weightfile::{DType, Header, Tensor};

const PROFILE: &str = "profile p { B = 1  C = 2  N = 4  H = 4  W = 4  T = 3 }";

/// A fenced block of the page.
struct Example {
    line: usize,
    info: String,
    text: String,
}

fn examples() -> Vec<Example> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../stdlib/README.md");
    let page = std::fs::read_to_string(path).unwrap();
    let mut found = vec![];
    let mut open: Option<Example> = None;
    for (at, line) in page.lines().enumerate() {
        match (line.strip_prefix("```"), open.take()) {
            (Some(info), None) => {
                open = Some(Example {
                    line: at + 1,
                    info: info.to_string(),
                    text: String::new(),
                });
            }
            (Some(_), Some(example)) => found.push(example),
            (None, Some(mut example)) => {
                example.text.push_str(line);
                example.text.push('\n');
                open = Some(example);
            }
            (None, None) => {}
        }
    }
    found
}

/// `KEY [2, 3]` in every line.
fn header(text: &str) -> Header {
    let tensor = |line: &str| {
        let (key, shape) = line.split_once(' ').unwrap();
        let numbers = shape.trim_matches(['[', ']']).split(',').map(str::trim);
        let shape = numbers
            .filter(|n| !n.is_empty())
            .map(|n| n.parse().unwrap())
            .collect();
        (key.to_string(), Tensor::packed(DType::F32, shape, 0..0))
    };
    Header {
        tensors: text.lines().map(tensor).collect(),
        ..Header::default()
    }
}

/// The facts that the comments of an example state, with their lines.
fn facts<'t>(text: &'t str, mark: &str) -> Vec<(usize, &'t str)> {
    let lines = text.lines().enumerate();
    let fact =
        |(at, line): (usize, &'t str)| line.split_once(mark).map(|(_, fact)| (at + 1, fact.trim()));
    lines.filter_map(fact).collect()
}

fn numbers(text: &str) -> Vec<f64> {
    let inner = text.trim().trim_start_matches('[').trim_end_matches(']');
    inner
        .split(',')
        .map(|n| n.trim().parse().unwrap())
        .collect()
}

/// `x = [1, 2], y = [3] -> [4, 5]`
fn check_run(made: &Elaborated, fact: &str) {
    let (left, right) = fact.split_once(" -> ").unwrap();
    let mut given = Given::default();
    for part in left.split("], ") {
        let (name, value) = part.split_once(" = ").unwrap();
        given.inputs.insert(name.trim().into(), numbers(value));
    }
    let graph = &made.entries[0].graph;
    let values = evaluate(graph, &given).unwrap();
    let got = values.get(graph.outputs[0].1).unwrap();
    let want = numbers(right);
    let close = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-3 * b.abs().max(1.0);
    let same = got.len() == want.len() && got.iter().zip(&want).all(close);
    assert!(same, "{fact}\n     got {got:?}");
}

/// `seed, step`: all that changes the numbers, and nothing changes them where everything is the same.
fn check_changes(made: &Elaborated, fact: &str) {
    let graph = &made.entries[0].graph;
    let numbers = |seed: u64, step: u64| {
        let stream = Stream { seed, step };
        let inputs = made.entries[0].inputs.iter().map(|port| {
            let n = port.shape.iter().product::<i64>() as usize;
            (port.name.clone(), vec![1.0; n])
        });
        let given = Given {
            inputs: inputs.collect(),
            stream,
            ..Given::default()
        };
        let values = evaluate(graph, &given).unwrap();
        values.get(graph.outputs[0].1).unwrap().to_vec()
    };
    let first = numbers(0, 0);
    assert_eq!(first, numbers(0, 0), "the same run again");
    for (what, other) in [("seed", numbers(1, 0)), ("step", numbers(0, 1))] {
        assert_eq!(first != other, fact.contains(what), "{what}");
    }
}

fn weights(made: &Elaborated) -> String {
    let stored = made
        .weights
        .iter()
        .filter(|w| !matches!(w.kind, WeightKind::Optimizer { .. }));
    let words: Vec<String> = stored.map(|w| format!("{} {:?}", w.key, w.shape)).collect();
    words.join(", ")
}

fn entries(made: &Elaborated) -> String {
    let words: Vec<String> = made
        .entries
        .iter()
        .map(|e| format!("{} {}", e.name, e.profile))
        .collect();
    words.join(", ")
}

/// Why the example does not compile for the CPU.
fn refused(mut files: Files, text: &str, options: &Options) -> Option<String> {
    let mut problems = Problems::new();
    files.texts.insert("example.vsr".into(), text.into());
    let target = Target::Portable;
    pipeline::compile(
        &mut files,
        "example.vsr",
        options,
        target,
        &mut PassManager::default(),
        &mut problems,
    );
    (!problems.is_empty()).then(|| problems.render(files.sources()))
}

/// What parses is in the style of the page's own section, but for empty lines, which take room.
fn check_style(text: &str, place: &str) {
    if let Some(formatted) = format(0, text, &mut Problems::new()) {
        let alike = |text: &str| {
            let lines = text.lines().filter(|line| !line.is_empty());
            // A fact at a line's end stands a little further from it.
            let lines = lines.map(|line| line.replace("   # ", "  # "));
            lines.collect::<Vec<_>>().join("\n")
        };
        assert_eq!(alike(&formatted), alike(text), "{place}");
    }
}

fn check_formatted(written: &str, example: &Example) {
    let place = format!("stdlib/README.md:{}", example.line);
    for text in [written, &example.text] {
        let formatted = format(0, text, &mut Problems::new());
        assert_eq!(formatted.as_deref(), Some(&*example.text), "{place}");
    }
    assert_ne!(written, example.text, "{place}");
}

/// Whether the example is what it says; a panic names it.
fn check(example: &Example, files: Files) {
    let place = format!("stdlib/README.md:{}", example.line);
    let mut text = example.text.clone();
    if !text.contains("profile ") {
        text.push_str(PROFILE);
    }
    let name = facts(&text, "# compile:")
        .first()
        .map(|(_, name)| (*name).to_string());
    let options = Options {
        name,
        ..Options::default()
    };
    check_style(&text, &place);
    let copy = files.copy();
    let made = run_with(files, &[("example.vsr", &text)], "example.vsr", &options);
    let wanted: Vec<(usize, String)> = facts(&example.text, "# error[")
        .into_iter()
        .map(|(line, fact)| (line, format!("error[{fact}")))
        .collect();
    if wanted.is_empty() {
        let made = made.unwrap_or_else(|shown| panic!("{place}\n{shown}"));
        facts(&text, "# run:")
            .iter()
            .for_each(|(_, fact)| check_run(&made, fact));
        for (_, fact) in facts(&text, "# changes with:") {
            check_changes(&made, fact);
        }
        for (_, fact) in facts(&text, "# weights:") {
            assert_eq!(weights(&made), fact, "{place}");
        }
        for (_, fact) in facts(&text, "# entries:") {
            assert_eq!(entries(&made), fact, "{place}");
        }
        return;
    }
    let shown = match made {
        Err(shown) => shown,
        // What a machine cannot do shows only when code is made for it.
        Ok(_) => refused(copy, &text, &options)
            .unwrap_or_else(|| panic!("{place}: compiles, and should not: {wanted:?}")),
    };
    for (line, message) in wanted {
        let mut lines = shown.lines().skip_while(|l| *l != message);
        assert!(lines.next().is_some(), "{place}: {message}\n{shown}");
        let at = lines.next().unwrap_or_default().trim();
        let said = at.starts_with(&format!("example.vsr:{line}:"));
        assert!(
            said,
            "{place}: stands beside line {line}, the error at {at}"
        );
    }
    let n = shown.lines().filter(|l| l.starts_with("error[")).count();
    assert_eq!(
        n,
        facts(&example.text, "# error[").len(),
        "{place}: other errors, too\n{shown}"
    );
}

#[test]
fn every_example_of_the_reference_is_what_it_says() {
    let (mut texts, mut headers) = (BTreeMap::new(), BTreeMap::new());
    let mut wrong = vec![];
    let (mut n, mut n_styles) = (0, 0);
    let mut written = None;
    for example in examples() {
        let words: Vec<&str> = example.info.split(' ').collect();
        match words.as_slice() {
            ["vsr"] => {
                let mut files = Files::default();
                files.texts = BTreeMap::clone(&texts);
                files.headers = BTreeMap::clone(&headers);
                n += 1;
                let check = std::panic::AssertUnwindSafe(|| check(&example, files));
                if std::panic::catch_unwind(check).is_err() {
                    wrong.push(example.line);
                }
            }
            ["vsr", "written"] => written = Some(example.text),
            ["vsr", "formatted"] => {
                let written = written.take().expect("a text that is to be formatted");
                n_styles += 1;
                let check = std::panic::AssertUnwindSafe(|| check_formatted(&written, &example));
                if std::panic::catch_unwind(check).is_err() {
                    wrong.push(example.line);
                }
            }
            ["vsr", file] => {
                texts.insert(file.trim_start_matches("file=").to_string(), example.text);
            }
            ["weights", file] => {
                headers.insert(
                    file.trim_start_matches("file=").to_string(),
                    Ok(header(&example.text)),
                );
            }
            _ => {}
        }
    }
    assert!(
        n > 40 && n_styles >= 5,
        "only {n} examples, {n_styles} of style"
    );
    assert!(wrong.is_empty(), "examples at lines {wrong:?}");
}

/// The items that the page lists for each file of the library are those that the file defines, in no order.
#[test]
fn the_reference_names_every_builtin() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../stdlib");
    let page = std::fs::read_to_string(format!("{folder}/README.md")).unwrap();
    let (_, rest) = page.split_once("| builtins | |").unwrap();
    let (table, _) = rest.split_once("\n\n").unwrap();
    let words: Vec<&str> = table.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    // Lists and search ranges stand with what they belong to.
    let elsewhere = ["len", "zip", "tune"];
    for (name, _) in vsr_compiler::sema::builtins() {
        assert!(words.contains(&name) || elsewhere.contains(&name), "{name}");
    }
}

#[test]
fn the_reference_lists_the_whole_library() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../stdlib");
    let page = std::fs::read_to_string(format!("{folder}/README.md")).unwrap();
    let table = page.split_once("## 12.").unwrap().1;
    let rows = table.lines().filter(|l| l.starts_with("| `"));
    let mut listed: Vec<(String, Vec<String>)> = rows
        .map(|row| {
            let mut words: Vec<String> = row
                .split(['|', '`', ' '])
                .filter(|w| !w.is_empty())
                .map(String::from)
                .collect();
            let file = words.remove(0);
            words.sort();
            (file, words)
        })
        .collect();
    listed.sort();
    let mut defined = vec![];
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "vsr") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let file = vsr_compiler::syntax::parse(0, &text, &mut vsr_compiler::diag::Problems::new());
        let mut names: Vec<String> = file
            .items
            .iter()
            .filter_map(|i| i.name().map(|n| n.text.clone()))
            .collect();
        names.sort();
        defined.push((
            path.file_stem().unwrap().to_string_lossy().into_owned(),
            names,
        ));
    }
    defined.sort();
    assert_eq!(listed, defined);
}
