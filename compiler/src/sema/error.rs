//! Faults on their way to a diagnostic, and the hints that messages share.
//!
//! A `Fault` has no place yet: pure code makes it, and whoever knows the span reports it. `Failed` is the proof that
//! a problem has been reported, so that nothing that depends on it reports again.

use crate::diag::{Class, Span};

#[derive(Clone, Copy, Debug)]
pub struct Failed;

pub type Fallible<T> = Result<T, Failed>;

#[derive(Clone, Debug)]
pub struct Fault {
    pub class: Class,
    pub message: String,
    pub details: Box<Details>,
}

#[derive(Clone, Debug, Default)]
pub struct Details {
    pub label: Option<String>,
    /// The other side of the disagreement.
    pub others: Vec<(Span, String)>,
    pub notes: Vec<String>,
    pub help: Option<String>,
    /// The change that the help speaks of, where it is certain.
    pub edit: Option<(Span, String)>,
}

pub fn fault(class: Class, message: impl Into<String>) -> Fault {
    Fault {
        class,
        message: message.into(),
        details: Box::default(),
    }
}

impl Fault {
    /// What stands under the place itself.
    pub fn label(mut self, text: impl Into<String>) -> Fault {
        self.details.label = Some(text.into());
        self
    }

    pub fn other(mut self, span: Span, text: impl Into<String>) -> Fault {
        self.details.others.push((span, text.into()));
        self
    }

    pub fn note(mut self, text: impl Into<String>) -> Fault {
        self.details.notes.push(text.into());
        self
    }

    pub fn help(mut self, text: impl Into<String>) -> Fault {
        self.details.help = Some(text.into());
        self
    }

    pub fn edit(mut self, span: Span, replacement: impl Into<String>) -> Fault {
        self.details.edit = Some((span, replacement.into()));
        self
    }

    pub fn maybe_help(mut self, text: Option<String>) -> Fault {
        self.details.help = text.or(self.details.help);
        self
    }
}

/// `did you mean `x`?`, if one of the candidates is near.
pub fn suggest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let n_chars = name.chars().count();
    let limit = n_chars.div_ceil(4).saturating_sub(usize::from(n_chars < 3));
    // Each letter more or less is one step of the distance.
    let is_alike = |c: &&str| begins(name, c) || c.len().abs_diff(name.len()) <= limit;
    candidates
        .into_iter()
        .filter(|c| *c != name && is_alike(c))
        .map(|c| (nearness(name, c), c))
        .filter(|(d, _)| *d <= limit)
        .min()
        .map(|(_, c)| format!("did you mean `{c}`?"))
}

/// The edit distance; a beginning (`pad` of `padding`) counts as near.
fn nearness(name: &str, candidate: &str) -> usize {
    if begins(name, candidate) {
        1
    } else {
        distance(name, candidate)
    }
}

fn begins(name: &str, candidate: &str) -> bool {
    candidate.len() > 2 && name.starts_with(candidate)
        || name.len() > 2 && candidate.starts_with(name)
}

/// The name that `suggest` proposed.
pub fn suggested(help: &str) -> Option<&str> {
    help.strip_prefix("did you mean `")?.strip_suffix("`?")
}

/// The text is one name, which another can replace.
pub fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The nearest name, or else all of them.
pub fn suggest_or_list(name: &str, what: &str, candidates: &[&str]) -> Option<String> {
    suggest(name, candidates.iter().copied()).or_else(|| {
        let names: Vec<String> = candidates.iter().map(|name| format!("`{name}`")).collect();
        (!names.is_empty() && names.len() <= 12).then(|| format!("{what} {}", names.join(", ")))
    })
}

/// Edit distance, ignoring case; two neighbours exchanged count once. Names are short.
fn distance(a: &str, b: &str) -> usize {
    let lower = |text: &str| -> Vec<char> { text.chars().flat_map(char::to_lowercase).collect() };
    let (a, b) = (lower(a), lower(b));
    // What both begin with and end in changes nothing.
    let n_first = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
    let (a, b) = (&a[n_first..], &b[n_first..]);
    let ends = a.iter().rev().zip(b.iter().rev());
    let n_last = ends.take_while(|(x, y)| x == y).count();
    let (a, b) = (&a[..a.len() - n_last], &b[..b.len() - n_last]);
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    rows[0] = (0..=b.len()).collect();
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = least;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_suggested() {
        assert_eq!(
            suggest("Linfomer", ["Linear", "Linformer"]),
            Some("did you mean `Linformer`?".into())
        );
        assert_eq!(
            suggest("sigmod", ["sigmoid", "silu"]),
            Some("did you mean `sigmoid`?".into())
        );
        assert_eq!(
            suggest("gian", ["out", "gain"]),
            Some("did you mean `gain`?".into())
        );
        assert_eq!(suggest("x", ["attention"]), None);
        for (a, b, n) in [
            ("", "", 0),
            ("abc", "", 3),
            ("abcd", "abXd", 1),
            ("abcd", "acbd", 1),
        ] {
            assert_eq!((distance(a, b), distance(b, a)), (n, n), "{a} {b}");
        }
        assert_eq!(distance("aab", "ab"), 1);
        assert_eq!(distance("Kitten", "sitting"), 3);
    }
}
