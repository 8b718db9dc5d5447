//! Small texts with their facts: what a comment above an item says of it holds.
//!
//! Enters every file of `tests/cases/{kernels,refusals,refused}`; an item (`model`, `train`) is compiled under each fact that stands above it:
//!
//! | fact | holds where |
//! |---|---|
//! | `# kernels: 2`, `# kernels: 1..2` | so many launches; what brings an input into a layout with a border is not counted |
//! | `# contractions: 1` | so many of them are contractions |
//! | `# fused: a + b + c` | one kernel has these members, by their labels, in this order |
//! | `# schedule: TEXT`, `# tile: TEXT`, `# after PASS: TEXT` | a line of what is printed has this text, blanks apart |
//! | `# no schedule: TEXT`, `# once schedule: TEXT` and so on | no line has it, or just one |
//! | `# run: x = [1, 2], z = [3] -> [4, 5]` | the first output for these inputs, on each device, to 1e-6; as in `stdlib/README.md` |
//! | `# error: TEXT` | the item is refused, and this is said |
//!
//! A comment that is no fact is prose; a word before the colon that is none of these is a mistake in the file.

use std::path::Path;
use vsr_artifact::Artifact;
use vsr_artifact::manifest::{Entry, Launch};
use vsr_compiler::backend::Target;
use vsr_compiler::diag::Problems;
use vsr_compiler::pass_manager::{Emit, PassManager};
use vsr_compiler::pipeline::{self, emit_of};
use vsr_compiler::sema::{Loader, Options};
use vsr_tests::{Repository, open_artifact, root};

/// A fact: its words before the colon, and what follows.
struct Fact<'a> {
    words: Vec<&'a str>,
    text: &'a str,
}

/// An item of a file with the facts above it.
struct Case<'a> {
    kind: &'a str,
    name: &'a str,
    facts: Vec<Fact<'a>>,
}

/// The items of a text that have facts.
fn cases(text: &str) -> Vec<Case<'_>> {
    let (mut cases, mut facts) = (vec![], vec![]);
    for line in text.lines() {
        match line.strip_prefix("# ") {
            Some(comment) => facts.extend(fact(comment)),
            None if line.starts_with('#') => {}
            None => {
                let facts = std::mem::take(&mut facts);
                if !facts.is_empty() {
                    cases.push(item(line, facts));
                }
            }
        }
    }
    assert!(facts.is_empty(), "facts stand above an item");
    cases
}

fn fact(comment: &str) -> Option<Fact<'_>> {
    let (words, text) = comment.split_once(": ")?;
    let words: Vec<&str> = words.split(' ').collect();
    let is_prose = words.len() > 3 || words[0].starts_with(|c: char| c.is_uppercase());
    (!is_prose).then_some(Fact { words, text })
}

fn item<'a>(line: &'a str, facts: Vec<Fact<'a>>) -> Case<'a> {
    let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
    assert!(
        ["model", "train"].contains(&kind),
        "facts stand above `{line}`"
    );
    let name = rest
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .next();
    Case {
        kind,
        name: name.unwrap_or_default(),
        facts,
    }
}

/// The artifact of an item, and what is printed on the way; or its problems.
fn compiled(
    path: &str,
    name: &str,
    target: Target,
    emit: Option<Emit>,
) -> Result<(Artifact, String), String> {
    let (mut files, mut problems) = (Repository::default(), Problems::new());
    let options = Options {
        name: Some(name.to_string()),
        ..Options::default()
    };
    let mut manager = PassManager::emitting(emit);
    let made = pipeline::compile(
        &mut files,
        path,
        &options,
        target,
        &mut manager,
        &mut problems,
    );
    match made {
        Some(made) => Ok((made.artifact, manager.text)),
        None => Err(problems.render(files.sources())),
    }
}

fn entry<'a>(artifact: &'a Artifact, case: &Case<'_>) -> &'a Entry {
    let name = if case.kind == "train" {
        "train"
    } else {
        "infer"
    };
    let found = artifact.manifest.entries.iter().find(|e| e.name == name);
    found.expect("the entry of the item")
}

/// `2`, or `1..2`, both among them.
fn is_count(n: usize, said: &str) -> bool {
    let number = |text: &str| text.parse::<usize>().expect("a count");
    match said.split_once("..") {
        Some((least, most)) => (number(least)..=number(most)).contains(&n),
        None => n == number(said),
    }
}

fn squeezed(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a group of the printed schedule has these members next to each other.
fn is_fused(schedule: &str, said: &str) -> bool {
    let wanted: Vec<&str> = said.split(" + ").collect();
    // A group's line is less indented than those of its members.
    let groups = schedule.split("\n  run ");
    groups.skip(1).any(|group| {
        let members: Vec<&str> = group.lines().skip(1).map(str::trim_start).collect();
        let mut windows = members.windows(wanted.len());
        windows.any(|part| {
            part.iter()
                .zip(&wanted)
                .all(|(line, name)| line.starts_with(name))
        })
    })
}

fn numbers(text: &str) -> Vec<f32> {
    let inside = text.trim().trim_start_matches('[').trim_end_matches(']');
    let number = |word: &str| word.trim().parse().expect("a number");
    inside.split(',').map(number).collect()
}

/// Err: what is wrong with a fact.
fn check(path: &str, case: &Case<'_>, fact: &Fact<'_>) -> Result<(), String> {
    let made = |emit| compiled(path, case.name, Target::X86_64V3, emit);
    match fact.words.as_slice() {
        ["error"] => refused(made(None), fact.text),
        ["kernels"] => count(&made(None)?.0, case, fact.text, |_| true),
        ["contractions"] => count(&made(None)?.0, case, fact.text, |a| a == "contraction"),
        ["fused"] => fused(&made(Some(Emit::Schedule))?.1, fact.text),
        ["run"] => [Target::X86_64V3, Target::Interpreter]
            .into_iter()
            .try_for_each(|target| {
                run(&compiled(path, case.name, target, None)?.0, case, fact.text)
            }),
        ["no", stage @ ..] => printed(stage, made, fact.text, |n| n == 0),
        ["once", stage @ ..] => printed(stage, made, fact.text, |n| n == 1),
        stage => printed(stage, made, fact.text, |n| n > 0),
    }
}

fn refused(made: Result<(Artifact, String), String>, said: &str) -> Result<(), String> {
    match made {
        Err(text) if text.contains(said) => Ok(()),
        Err(text) => Err(text),
        Ok(_) => Err("it compiles".to_string()),
    }
}

/// Whether so many launches have such an anchor.
fn count(
    artifact: &Artifact,
    case: &Case<'_>,
    said: &str,
    is_counted: impl Fn(&str) -> bool,
) -> Result<(), String> {
    let anchor = |l: &Launch| artifact.manifest.kernels[l.kernel as usize].anchor.as_str();
    let is_move = |l: &Launch| l.label.ends_with("copy") || l.label.ends_with("border");
    let launches = entry(artifact, case).launches.iter();
    let counted = launches.filter(|l| !is_move(l) && is_counted(anchor(l)));
    let labels: Vec<&str> = counted.map(|l| l.label.as_str()).collect();
    match is_count(labels.len(), said) {
        true => Ok(()),
        false => Err(format!("{} of them: {}", labels.len(), labels.join(", "))),
    }
}

fn fused(schedule: &str, said: &str) -> Result<(), String> {
    match is_fused(schedule, said) {
        true => Ok(()),
        false => Err(schedule.to_string()),
    }
}

/// Whether a text stands in so many lines of what a stage prints.
fn printed(
    stage: &[&str],
    made: impl Fn(Option<Emit>) -> Result<(Artifact, String), String>,
    said: &str,
    is_right: impl Fn(usize) -> bool,
) -> Result<(), String> {
    let stage = stage.join(":");
    let emit = emit_of(&stage).ok_or(format!("there is no fact {stage}"))?;
    let text = made(Some(emit))?.1;
    let said = squeezed(said);
    let lines = text.lines().filter(|line| squeezed(line).contains(&said));
    match is_right(lines.count()) {
        true => Ok(()),
        false => Err(text),
    }
}

/// Whether an item gives these numbers: `x = [1, 2], z = [3] -> [4, 5]`.
fn run(artifact: &Artifact, case: &Case<'_>, said: &str) -> Result<(), String> {
    let (given, expected) = said
        .split_once("->")
        .ok_or("`run` gives inputs -> output")?;
    let given = given.split("], ").filter_map(|one| one.split_once('='));
    let given: Vec<(&str, Vec<f32>)> = given.map(|(n, v)| (n.trim(), numbers(v))).collect();
    let inputs: Vec<(&str, &[f32])> = given.iter().map(|(n, v)| (*n, v.as_slice())).collect();
    let mut opened = open_artifact(artifact, 2);
    let session = &mut opened.session;
    let entry = entry(artifact, case);
    let at = session
        .find(&entry.name, &entry.profile)
        .map_err(|e| e.to_string())?;
    session.init_weights(0).map_err(|e| e.to_string())?;
    session.run(at, &inputs, 0, 0).map_err(|e| e.to_string())?;
    let (result, expected) = (
        session.output(at, &entry.outputs[0].name),
        numbers(expected),
    );
    let near = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-6 * b.abs().max(1.0);
    match result.len() == expected.len() && result.iter().zip(&expected).all(near) {
        true => Ok(()),
        false => Err(format!(
            "it gives {result:?} for {}",
            artifact.manifest.target.name
        )),
    }
}

fn files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let name = |e: std::io::Result<std::fs::DirEntry>| e.expect("an entry").file_name();
    let mut names: Vec<String> = entries
        .map(|e| name(e).to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// What is wrong with the facts of a file, and how many it states.
fn flaws(path: &str) -> (Vec<String>, usize) {
    let text = std::fs::read_to_string(root().join(path)).expect("a text");
    let cases = cases(&text);
    let facts = cases
        .iter()
        .flat_map(|c| c.facts.iter().map(move |f| (c, f)));
    let flaw = |(case, fact): (&Case<'_>, &Fact<'_>)| {
        let why = check(path, case, fact).err()?;
        let (words, text) = (fact.words.join(" "), fact.text);
        Some(format!("{path}, {}: `{words}: {text}`:\n{why}", case.name))
    };
    let n_facts = facts.clone().count();
    assert!(n_facts > 0, "{path} states no facts");
    (facts.filter_map(flaw).collect(), n_facts)
}

#[test]
fn what_stands_above_an_item_holds_of_it() {
    let (mut wrong, mut n_facts) = (vec![], 0);
    for folder in ["kernels", "refusals", "refused"] {
        let folder = format!("tests/cases/{folder}");
        for file in files(&root().join(&folder)) {
            let (flaws, n) = flaws(&format!("{folder}/{file}"));
            wrong.extend(flaws);
            n_facts += n;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(n_facts > 40, "{n_facts} facts");
}

/// A runner that accepts everything would prove nothing.
#[test]
fn facts_that_do_not_hold_are_found() {
    let path = "tests/cases/kernels/softmax.vsr";
    let text = std::fs::read_to_string(root().join(path)).expect("a text");
    let cases = cases(&text);
    for comment in [
        "kernels: 7",
        "contractions: 1..2",
        "fused: conv + silu",
        "schedule: no such line",
        "no schedule: run nest",
        "once schedule: output output",
        "after inline: 7*n0",
        "tile: sum.77",
        "run: x = [1] -> [2]",
        "error: anything",
        "colour: red",
    ] {
        let fact = fact(comment).expect("it is one");
        assert!(check(path, &cases[0], &fact).is_err(), "{comment}");
    }
}
