//! Small changes of texts that are right: what is left right must compile and mean what it says; the rest is refused.
//!
//! Enters a seed; leaves a source that somebody could have written by mistake: a model, case or example of the reference
//! with some words changed, or one of them over a changed standard library.

use super::rng::Rng;
use super::sizes::{self, Network, read};
use super::source::Source;

const PROFILE: &str = "profile p { B = 1  C = 2  N = 4  H = 4  W = 4  T = 3 }";
const NUMBERS: [&str; 12] = [
    "0", "1", "2", "3", "4", "5", "7", "8", "16", "-1", "0.5", "33",
];
/// Signs that may stand in each other's place.
const SIGNS: [&[&str]; 4] = [
    &["+", "-", "*"],
    &["/", "%"],
    &["<", ">"],
    &["max", "min", "sum", "mean", "lse", "var"],
];

/// The mutant of a seed, of one of these networks, of the library or of an example.
pub fn mutant(seed: u64, networks: &[Network]) -> Source {
    let mut rng = Rng::new(seed ^ 0x6d75_7461);
    match rng.below(4) {
        0 => example(&mut rng),
        1 => library(networks, &mut rng),
        _ => network(networks, &mut rng),
    }
}

fn network(networks: &[Network], rng: &mut Rng) -> Source {
    let mut source = rng.pick(networks).at(rng);
    source.text = Some(changed(&text_of(&source), rng));
    source
}

/// A case or a network over a library of which one file is changed where it is used.
fn library(networks: &[Network], rng: &mut Rng) -> Source {
    let mut source = rng.pick(networks).at(rng);
    let text = text_of(&source);
    let names: Vec<String> = sizes::files("stdlib", "vsr");
    let path = format!("stdlib/{}", rng.pick(&names));
    let library = read(&path);
    let used: Vec<&str> = items(&library)
        .into_iter()
        .filter(|item| name_of(item).is_some_and(|n| text.contains(n)))
        .collect();
    let new = match used.is_empty() {
        true => changed(&library, rng),
        false => {
            let item = rng.pick(&used);
            library.replacen(*item, &changed(item, rng), 1)
        }
    };
    source.changed = Some((path, new));
    source
}

fn text_of(source: &Source) -> String {
    let file = || read(&source.path);
    source.text.clone().unwrap_or_else(file)
}

/// Texts of the items of a file, without what stands before the first.
fn items(text: &str) -> Vec<&str> {
    let starts = |i: usize| {
        ["op ", "block ", "model "]
            .iter()
            .any(|word| text[i..].starts_with(word))
    };
    let mut at: Vec<usize> = std::iter::once(0)
        .chain(text.match_indices('\n').map(|(i, _)| i + 1))
        .filter(|i| starts(*i))
        .collect();
    at.push(text.len());
    at.windows(2).map(|w| &text[w[0]..w[1]]).collect()
}

fn name_of(item: &str) -> Option<&str> {
    let rest = item.split_once(' ')?.1;
    rest.split(['(', ' ']).next()
}

/// A whole file among the examples of the language reference.
fn example(rng: &mut Rng) -> Source {
    let page = read("stdlib/README.md");
    let fences: Vec<&str> = page.split("```").skip(1).step_by(2).collect();
    let whole: Vec<&str> = fences
        .iter()
        .filter_map(|f| f.strip_prefix("vsr\n"))
        .collect();
    let mut text = rng.pick(&whole).to_string();
    if !text.contains("profile ") {
        text += PROFILE;
    }
    Source::of_text(&changed(&text, rng))
}

/// Words and signs.
fn tokens(text: &str) -> Vec<String> {
    let mut all: Vec<String> = vec![];
    let mut last = ' ';
    for c in text.chars() {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
        match all.last_mut() {
            Some(token) if word(c) && word(last) => token.push(c),
            _ => all.push(c.to_string()),
        }
        last = c;
    }
    all
}

fn is_number(token: &str) -> bool {
    token.starts_with(|c: char| c.is_ascii_digit())
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
}

/// The text with one or two words or signs changed into others that could stand there.
fn changed(text: &str, rng: &mut Rng) -> String {
    let mut tokens = tokens(text);
    for _ in 0..rng.int(1, 2) {
        let Some(at) = changeable(&tokens, rng) else {
            break;
        };
        let signs = SIGNS.iter().find(|s| s.contains(&tokens[at].as_str()));
        match (rng.below(8), signs) {
            (0, _) => drop(tokens.remove(at)),
            (1, _) => tokens.insert(at, tokens[at].clone()),
            (_, Some(signs)) => tokens[at] = rng.pick(signs).to_string(),
            (_, None) if is_number(&tokens[at]) => tokens[at] = rng.pick(&NUMBERS).to_string(),
            (_, None) => tokens[at] = neighbour(&tokens, at, rng),
        }
    }
    tokens.concat()
}

/// A word, number or sign outside of comments.
fn changeable(tokens: &[String], rng: &mut Rng) -> Option<usize> {
    let mut is_comment = false;
    let mut all = vec![];
    for (at, token) in tokens.iter().enumerate() {
        is_comment = token == "#" || is_comment && token != "\n";
        let sign = SIGNS.iter().any(|s| s.contains(&token.as_str()));
        if !is_comment && (sign || is_word(token) || is_number(token)) {
            all.push(at);
        }
    }
    (!all.is_empty()).then(|| *rng.pick(&all))
}

/// Another word near this one.
fn neighbour(tokens: &[String], at: usize, rng: &mut Rng) -> String {
    const NEAR: usize = 40;
    let near = &tokens[at.saturating_sub(NEAR)..(at + NEAR).min(tokens.len())];
    let words: Vec<&String> = near.iter().filter(|t| is_word(t)).collect();
    match words.is_empty() {
        true => tokens[at].clone(),
        false => rng.pick(&words).to_string(),
    }
}
