//! The first look at a text, before the grammar: cuts it into items, collects `##` lines, and refuses what the grammar
//! must never see (brackets that do not match, strings without an end, nesting deeper than the stack is prepared for).
//! Leaves the text that the grammar reads: the same tokens, with one space wherever blanks or comments part two, and where
//! each byte of it stands in the file. One pass over the bytes; makes no tree.

use std::ops::Range;

use crate::diag::{Class, Diag, Problems, Span};

/// How deep brackets, signs, powers, reducers and `else` may nest.
pub const MAX_NESTING: u32 = 200;
/// The longest text taken, in bytes.
pub const MAX_BYTES: usize = 4 << 20;
/// Items of a text, and bytes of one: an item is parsed as a whole.
const MAX_ITEMS: usize = 10_000;
const MAX_ITEM_BYTES: usize = 1 << 20;
/// Letters of a name, bytes of a string: both stand in messages and are compared with others.
const MAX_NAME: usize = 200;
const MAX_STRING: usize = 4096;

const ITEM_WORDS: [&str; 8] = [
    "use", "op", "block", "model", "weights", "frozen", "train", "profile",
];
const RESERVED: [&str; 14] = [
    "param", "state", "next", "data", "metric", "for", "in", "if", "else", "and", "or", "not",
    "true", "false",
];
const REDUCERS: [&str; 6] = ["sum", "mean", "max", "min", "lse", "var"];

/// The text from one item keyword at a line's start to the next.
#[derive(Debug, Clone, PartialEq)]
pub struct Chunk {
    pub start: usize,
    pub end: usize,
    /// Where its tokens stand in `Scan::dense`.
    pub dense: Range<usize>,
    /// The scan has reported something here: the grammar would only repeat it.
    pub is_broken: bool,
}

/// A line that holds only a `##` comment.
#[derive(Debug, Clone, PartialEq)]
struct DocLine {
    line: u32,
    text: String,
}

#[derive(Debug, Default)]
pub struct Scan {
    pub chunks: Vec<Chunk>,
    docs: Vec<DocLine>,
    /// The tokens of all chunks, and a space wherever blanks or comments follow one: skipping these at every step of the
    /// grammar would take a third of its time.
    pub dense: String,
    /// Where each byte of `dense` stands in the file; a space stands where the token before it ends.
    places: Vec<u32>,
    /// Where the last token ends.
    last_end: usize,
    /// The line of the first token.
    first_line: Option<u32>,
    /// Where each line starts.
    line_starts: Vec<u32>,
}

impl Scan {
    /// Where a part of `dense` stands in the file, without the space at its end.
    pub fn place(&self, part: Range<usize>) -> (usize, usize) {
        let start = self.start_of(part.start);
        let is_space = |at: usize| self.dense.as_bytes()[at] == b' ';
        let last = (part.start..part.end).rev().find(|at| !is_space(*at));
        (start, last.map_or(start, |at| self.places[at] as usize + 1))
    }

    /// Where a byte of `dense` stands in the file.
    pub fn start_of(&self, at: usize) -> usize {
        self.places.get(at).map_or(self.last_end, |at| *at as usize)
    }

    /// A token at `start..end` of the file joins the dense text.
    fn add(&mut self, text: &str, start: usize, end: usize) {
        self.part_from(start);
        self.dense.push_str(&text[start..end]);
        self.places.extend(start as u32..end as u32);
        self.last_end = end;
    }

    /// A space, if something stands between the chunk's last token and `at`.
    fn part_from(&mut self, at: usize) {
        let is_first = self
            .chunks
            .last()
            .is_none_or(|chunk| chunk.dense.start == self.dense.len());
        if self.last_end < at && !is_first {
            self.dense.push(' ');
            self.places.push(self.last_end as u32);
        }
    }

    fn line_of(&self, offset: usize) -> u32 {
        self.line_starts
            .partition_point(|&start| start as usize <= offset) as u32
            - 1
    }

    pub fn is_same_line(&self, a: usize, b: usize) -> bool {
        self.line_of(a) == self.line_of(b)
    }

    /// The `##` lines directly above the line of `offset`.
    pub fn doc_above(&self, offset: usize) -> String {
        let line = self.line_of(offset);
        let below = self.docs.partition_point(|doc| doc.line < line);
        let mut first = below;
        while first > 0 && self.docs[first - 1].line + (below - first) as u32 + 1 == line {
            first -= 1;
        }
        join(&self.docs[first..below])
    }

    /// The `##` lines that open the file; empty where they stand right above `first_definition`.
    pub fn file_doc(&self, first_definition: Option<usize>) -> String {
        let top = self.docs.first().map_or(0, |doc| doc.line);
        let n = self
            .docs
            .iter()
            .enumerate()
            .take_while(|(i, doc)| doc.line == top + *i as u32)
            .count();
        let opens = self.first_line.is_none_or(|line| line >= top);
        let documents_item = first_definition.is_some_and(|at| self.line_of(at) == top + n as u32);
        if opens && !documents_item {
            join(&self.docs[..n])
        } else {
            String::new()
        }
    }
}

fn join(lines: &[DocLine]) -> String {
    lines
        .iter()
        .map(|doc| doc.text.as_str())
        .collect::<Vec<_>>()
        .join("\n")
}

/// An open bracket (0: the item itself), and how many signs, powers, reducers and `else` are open directly inside.
struct Level {
    opener: u8,
    at: usize,
    chain: u32,
}

#[derive(Clone, Copy, PartialEq)]
enum Before {
    Nothing,
    Operand,
    Operator,
}

struct Scanner<'a> {
    file: u32,
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    scan: Scan,
    levels: Vec<Level>,
    nesting: u32,
    before: Before,
    problems: &'a mut Problems,
}

pub fn scan(file: u32, text: &str, problems: &mut Problems) -> Scan {
    let mut scanner = Scanner {
        file,
        text,
        bytes: text.as_bytes(),
        at: 0,
        scan: Scan::default(),
        levels: Vec::new(),
        nesting: 0,
        before: Before::Nothing,
        problems,
    };
    scanner.scan.line_starts.push(0);
    if text.len() > MAX_BYTES {
        scanner.report(
            0,
            0,
            format!("the file is longer than {} MiB", MAX_BYTES >> 20),
        );
        return scanner.scan;
    }
    scanner.new_chunk(0);
    scanner.run();
    scanner.end_chunk(text.len());
    scanner.scan
}

impl Scanner<'_> {
    fn run(&mut self) {
        while let Some(&byte) = self.bytes.get(self.at) {
            if self.scan.chunks.len() > MAX_ITEMS {
                return self.too_many_items();
            }
            // What follows would only be counted.
            if self.problems.is_full() {
                return;
            }
            match byte {
                b'\n' => {
                    self.at += 1;
                    self.scan.line_starts.push(self.at as u32);
                }
                b' ' | b'\t' | b'\r' => self.at += 1,
                b'#' => self.comment(),
                b'"' => self.string(),
                b'(' | b'[' | b'{' => self.open(byte),
                b')' | b']' | b'}' => self.close(byte),
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => self.word(),
                _ => self.operator(byte),
            }
        }
    }

    /// Nothing is parsed of a text that is not taken.
    fn too_many_items(&mut self) {
        let message = format!("this text has more than {MAX_ITEMS} items");
        self.report(self.at, self.at, message);
        self.scan
            .chunks
            .iter_mut()
            .for_each(|chunk| chunk.is_broken = true);
    }

    fn peek(&self, ahead: usize) -> u8 {
        self.bytes.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn token(&mut self, n_bytes: usize, is: Before) {
        let start = self.at;
        self.at += n_bytes;
        let line = self.scan.line_starts.len() as u32 - 1;
        self.scan.first_line.get_or_insert(line);
        self.scan.add(self.text, start, self.at);
        self.before = is;
    }

    fn comment(&mut self) {
        let end = self.text[self.at..]
            .find('\n')
            .map_or(self.text.len(), |n| self.at + n);
        let line_start = self
            .scan
            .line_starts
            .last()
            .map_or(0, |&start| start as usize);
        if self.peek(1) == b'#' && self.text[line_start..self.at].trim().is_empty() {
            let text = self.text[self.at + 2..end].trim_end();
            let text = text.strip_prefix(' ').unwrap_or(text).to_string();
            self.scan.docs.push(DocLine {
                line: self.scan.line_starts.len() as u32 - 1,
                text,
            });
        }
        self.at = end;
    }

    fn string(&mut self) {
        let start = self.at;
        match self.text[start + 1..].find(['"', '\n']) {
            Some(n) if self.bytes[start + 1 + n] == b'"' => {
                if n > MAX_STRING {
                    let message = format!("this string is longer than {MAX_STRING} bytes");
                    self.report(start, start + n + 2, message);
                }
                self.token(n + 2, Before::Operand)
            }
            other => {
                let n = other.map_or(self.text.len() - start, |n| n + 1);
                self.report(start, start + n, "the string does not end on its line");
                self.token(n, Before::Operand);
            }
        }
    }

    fn word(&mut self) {
        let rest = &self.text[self.at..];
        let n = rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(rest.len());
        let word = &rest[..n];
        if n > MAX_NAME && !self.is_broken() {
            let message = format!("this word is longer than {MAX_NAME} letters");
            self.report(self.at, self.at + n, message);
        }
        if self.starts_item(word, &rest[n..]) {
            self.end_chunk(self.at);
            self.new_chunk(self.at);
        }
        match word {
            "not" | "else" => self.nest(),
            "and" | "or" | "for" | "in" | "if" => self.settle(),
            _ if REDUCERS.contains(&word) && rest.as_bytes().get(n) == Some(&b'[') => self.nest(),
            _ => {}
        }
        let is_value = !RESERVED.contains(&word) || matches!(word, "true" | "false");
        self.token(
            n,
            if is_value {
                Before::Operand
            } else {
                Before::Operator
            },
        );
    }

    /// An item word in the first column, with a name behind it, starts an item whatever is still open: two names never
    /// stand side by side elsewhere.
    fn starts_item(&self, word: &str, rest: &str) -> bool {
        let is_first_column = self.scan.line_starts.last() == Some(&(self.at as u32));
        if !is_first_column || !ITEM_WORDS.contains(&word) || !rest.starts_with([' ', '\t']) {
            return false;
        }
        let rest = rest.trim_start_matches([' ', '\t']);
        let n = rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(rest.len());
        n > 0 && !RESERVED.contains(&&rest[..n])
    }

    fn operator(&mut self, byte: u8) {
        let pair = [byte, self.peek(1)];
        match &pair {
            b"**" => {
                self.nest();
                return self.token(2, Before::Operator);
            }
            b"|>" | b"->" | b"==" | b"!=" | b"<=" | b">=" | b".." => {
                self.settle();
                return self.token(2, Before::Operator);
            }
            _ => {}
        }
        match byte {
            b'-' if self.before != Before::Operand => self.nest(),
            b'+' | b'-' | b'<' | b'>' | b'=' | b',' | b':' => self.settle(),
            b'*' | b'/' | b'%' | b'.' | b'@' | b'?' => {}
            _ => return self.stranger(),
        }
        self.token(1, Before::Operator);
    }

    fn stranger(&mut self) {
        let c = self.text[self.at..].chars().next().unwrap_or(' ');
        let (start, end) = (self.at, self.at + c.len_utf8());
        let message = match c {
            '|' | '!' | '&' => format!("`{c}` alone is no operator"),
            '\u{feff}' => "a byte order mark stands here".to_string(),
            c if c.is_control() => format!("the control character U+{:04X} stands here", c as u32),
            _ => format!("`{c}` means nothing here"),
        };
        let help = match c {
            '|' => Some("a pipe is `|>`, and a choice is `or`"),
            '!' => Some("write `not`, or `!=`"),
            '&' => Some("write `and`"),
            ';' => Some("each statement starts a new line"),
            '\'' => Some("strings stand between `\"`"),
            _ => None,
        };
        let mut diag = Diag::new(Class::Syntax, self.span(start, end), message);
        diag.help = help.map(str::to_string);
        let rest = self.text[end..].lines().next().unwrap_or_default().trim();
        if c == ';' && (rest.is_empty() || rest.starts_with('#')) {
            diag = diag.edit(self.span(start, end), "");
        }
        self.push(diag);
        self.token(c.len_utf8(), Before::Operator);
    }

    fn open(&mut self, opener: u8) {
        self.levels.push(Level {
            opener,
            at: self.at,
            chain: 0,
        });
        self.deepen();
        self.token(1, Before::Operator);
    }

    fn close(&mut self, closer: u8) {
        let at = self.at;
        if let Some(level) = self.levels.pop_if(|level| level.opener != 0) {
            self.nesting -= 1 + level.chain;
            if !closes(level.opener, closer) && !self.is_broken() {
                let message = format!(
                    "`{}` does not close `{}`",
                    closer as char, level.opener as char
                );
                let right = match level.opener {
                    b'(' => ')',
                    b'[' => ']',
                    _ => '}',
                };
                let help = format!(
                    "a `{right}` is missing before, or `{}` is too much",
                    closer as char
                );
                let diag = Diag::new(Class::Syntax, self.span(at, at + 1), message)
                    .label(self.span(level.at, level.at + 1), "opened here")
                    .help(help);
                self.push(diag);
            }
        } else if !self.is_broken() {
            self.report(at, at + 1, format!("`{}` closes nothing", closer as char));
        }
        self.token(1, Before::Operand);
    }

    /// One more sign, power, reducer or `else`, open until its level settles.
    fn nest(&mut self) {
        if let Some(level) = self.levels.last_mut() {
            level.chain += 1;
        }
        self.deepen();
    }

    /// An operator so loose that no sign, power, reducer or `else` reaches over it.
    fn settle(&mut self) {
        if let Some(level) = self.levels.last_mut() {
            self.nesting -= level.chain;
            level.chain = 0;
        }
    }

    fn deepen(&mut self) {
        self.nesting += 1;
        if self.nesting > MAX_NESTING && !self.is_broken() {
            let message = format!("nested more than {MAX_NESTING} deep");
            let diag = Diag::new(Class::Syntax, self.span(self.at, self.at + 1), message)
                .help("bind inner parts to names of their own");
            self.push(diag);
        }
    }

    fn new_chunk(&mut self, start: usize) {
        self.scan.chunks.push(Chunk {
            start,
            end: start,
            dense: self.scan.dense.len()..self.scan.dense.len(),
            is_broken: false,
        });
        self.levels.clear();
        self.levels.push(Level {
            opener: 0,
            at: start,
            chain: 0,
        });
        self.nesting = 0;
        self.before = Before::Nothing;
    }

    fn end_chunk(&mut self, end: usize) {
        if let Some(level) = self.levels.iter().find(|level| level.opener != 0)
            && !self.is_broken()
        {
            let (at, opener) = (level.at, level.opener as char);
            self.report(at, at + 1, format!("`{opener}` is never closed"));
        }
        let start = self.scan.chunks.last().map_or(end, |chunk| chunk.start);
        if end - start > MAX_ITEM_BYTES && !self.is_broken() {
            let message = format!("this item is longer than {} KiB", MAX_ITEM_BYTES >> 10);
            self.report(start, start, message);
        }
        self.scan.part_from(end);
        let dense_end = self.scan.dense.len();
        let is_empty = |chunk: &mut Chunk| chunk.dense.start == dense_end;
        if self.scan.chunks.pop_if(is_empty).is_none()
            && let Some(chunk) = self.scan.chunks.last_mut()
        {
            chunk.end = end;
            chunk.dense.end = dense_end;
        }
    }

    fn is_broken(&self) -> bool {
        self.scan.chunks.last().is_some_and(|chunk| chunk.is_broken)
    }

    fn span(&self, start: usize, end: usize) -> Span {
        Span::new(self.file, start, end)
    }

    fn report(&mut self, start: usize, end: usize, message: impl Into<String>) {
        self.push(Diag::new(Class::Syntax, self.span(start, end), message));
    }

    fn push(&mut self, diag: Diag) {
        self.problems.push(diag);
        if let Some(chunk) = self.scan.chunks.last_mut() {
            chunk.is_broken = true;
        }
    }
}

fn closes(opener: u8, closer: u8) -> bool {
    matches!((opener, closer), (b'(', b')') | (b'[', b']') | (b'{', b'}'))
}
