//! Text to tokens for the formatter: every token keeps the comments around it, so that none can get lost. Takes only
//! texts that parse; the grammar itself lives elsewhere.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A name, a keyword, or a piece of a key.
    Word,
    Number,
    Text,
    Open,
    Close,
    Mark,
}

/// A comment on a line of its own.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Comment<'a> {
    pub text: &'a str,
    pub blank_before: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token<'a> {
    pub kind: Kind,
    pub text: &'a str,
    pub start: usize,
    /// Nothing stands between this token and the one before it.
    pub touches: bool,
    /// An empty line stands before it (or before its last own comment's end and it).
    pub blank_before: bool,
    /// Comments on lines of their own before it.
    pub comments: Vec<Comment<'a>>,
    /// The comment that ends its line.
    pub trailing: Option<&'a str>,
}

/// All tokens, and the comments after the last one.
pub(super) fn tokens(text: &str) -> (Vec<Token<'_>>, Vec<Comment<'_>>) {
    let mut tokens: Vec<Token<'_>> = Vec::new();
    let mut comments = Vec::new();
    let (mut at, mut n_newlines, mut touches) = (0, 0, false);
    while let Some(c) = text[at..].chars().next() {
        if c.is_whitespace() {
            n_newlines += usize::from(c == '\n');
            touches = false;
            at += c.len_utf8();
            continue;
        }
        if c == '#' {
            let end = text[at..].find('\n').map_or(text.len(), |n| at + n);
            let comment = text[at..end].trim_end();
            match tokens.last_mut() {
                Some(token) if n_newlines == 0 => token.trailing = Some(comment),
                _ => comments.push(Comment {
                    text: comment,
                    blank_before: n_newlines > 1,
                }),
            }
            (at, n_newlines, touches) = (end, 0, false);
            continue;
        }
        let (kind, length) = token(&text[at..], c);
        tokens.push(Token {
            kind,
            text: &text[at..at + length],
            start: at,
            touches,
            blank_before: n_newlines > 1,
            comments: std::mem::take(&mut comments),
            trailing: None,
        });
        at += length;
        (n_newlines, touches) = (0, true);
    }
    (tokens, comments)
}

fn token(text: &str, first: char) -> (Kind, usize) {
    match first {
        '(' | '[' | '{' => (Kind::Open, 1),
        ')' | ']' | '}' => (Kind::Close, 1),
        '"' => {
            let end = text[1..].find(['"', '\n']);
            (Kind::Text, end.map_or(text.len(), |n| n + 2))
        }
        c if c.is_ascii_digit() => (Kind::Number, number(text.as_bytes())),
        c if is_word(c) => (Kind::Word, word(text)),
        c => {
            let marks = ["...", "..", "**", "//", "|>", "->", "==", "!=", "<=", ">="];
            let long = marks.iter().find(|mark| text.starts_with(**mark));
            (Kind::Mark, long.map_or(c.len_utf8(), |mark| mark.len()))
        }
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn word(text: &str) -> usize {
    text.find(|c| !is_word(c)).unwrap_or(text.len())
}

/// `12`, `0.5`, `1e-5`.
fn number(bytes: &[u8]) -> usize {
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let digits = |mut at: usize| {
        while digit(at) {
            at += 1;
        }
        at
    };
    let mut end = digits(0);
    if bytes.get(end) == Some(&b'.') && digit(end + 1) {
        end = digits(end + 1);
    }
    if bytes.get(end) == Some(&b'e') {
        let sign = matches!(bytes.get(end + 1), Some(b'+' | b'-'));
        if digit(end + 1 + usize::from(sign)) {
            end = digits(end + 1 + usize::from(sign));
        }
    }
    end
}
