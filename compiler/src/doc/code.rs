//! `.vsr` text as HTML: keywords, comments and numbers marked, names that lead somewhere linked.

use crate::picture::escape;

const WORDS: [&str; 26] = [
    "use", "from", "op", "block", "model", "weights", "frozen", "train", "profile", "param",
    "state", "next", "data", "metric", "for", "in", "if", "else", "and", "or", "not", "true",
    "false", "where", "kernel", "grad",
];

/// `link` gives the address behind a name that is called.
pub fn marked(text: &str, link: &dyn Fn(&str) -> Option<String>) -> String {
    let mut out = String::new();
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let first = rest.chars().next().unwrap_or(' ');
        let length = match first {
            '#' => rest.find('\n').unwrap_or(rest.len()),
            '"' => rest[1..].find('"').map_or(rest.len(), |n| n + 2),
            '@' => {
                1 + taken(&rest[1..], |c| {
                    c.is_alphanumeric() || matches!(c, '_' | '.' | '{' | '}' | '*' | '+')
                })
            }
            c if c.is_alphabetic() || c == '_' => taken(rest, |c| c.is_alphanumeric() || c == '_'),
            c if c.is_ascii_digit() => {
                taken(rest, |c| c.is_alphanumeric() || c == '.').min(until_range(rest))
            }
            c => c.len_utf8(),
        };
        let token = &rest[..length];
        let class = match first {
            '#' => "c",
            '"' => "s",
            '@' => "l",
            c if c.is_ascii_digit() => "n",
            _ if WORDS.contains(&token) => "k",
            _ => "",
        };
        let called = bytes.get(at + length) == Some(&b'(') || text[..at].trim_end().ends_with("|>");
        match (class, link(token).filter(|_| called)) {
            ("", Some(to)) => out += &format!("<a href=\"{}\">{}</a>", escape(&to), escape(token)),
            ("", None) => out += &escape(token),
            (class, _) => out += &format!("<span class=\"{class}\">{}</span>", escape(token)),
        }
        at += length;
    }
    out
}

fn taken(text: &str, fits: impl Fn(char) -> bool) -> usize {
    text.find(|c| !fits(c)).unwrap_or(text.len())
}

/// `0..n` is no number with two points.
fn until_range(text: &str) -> usize {
    text.find("..").unwrap_or(text.len())
}
