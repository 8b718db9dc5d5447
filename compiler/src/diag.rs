//! Diagnostics: where, what, and what to do. Every stage pushes what it finds into one `Problems`, which is shown once
//! at the end, as text or as JSON. Nothing here decides what is wrong, and nothing here prints.

mod crash;
mod json;
mod render;

pub use crash::{
    Around, Context, Crash, among, catch, context, context_at, contexts, kernel, within,
};

use rustc_hash::FxHashSet as HashSet;
use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::OnceLock;

use serde::Serialize;

/// A range of bytes in one source file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Span {
    pub file: u32,
    pub start: u32,
    pub end: u32,
}

impl Span {
    pub fn new(file: u32, start: usize, end: usize) -> Span {
        Span {
            file,
            start: start as u32,
            end: end as u32,
        }
    }

    /// The smallest span that covers both; they must be of one file.
    pub fn to(self, other: Span) -> Span {
        Span {
            file: self.file,
            start: self.start.min(other.start),
            end: self.end.max(other.end),
        }
    }
}

/// What kind of thing is wrong; the word in `error[…]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    Syntax,
    Import,
    Name,
    Type,
    Param,
    Dim,
    Shape,
    Range,
    Where,
    Label,
    Weight,
    Grad,
    Cycle,
    /// A `kernel` promise that the equation does not keep.
    Kernel,
}

impl Class {
    pub fn name(self) -> &'static str {
        match self {
            Class::Syntax => "syntax",
            Class::Import => "import",
            Class::Name => "name",
            Class::Type => "type",
            Class::Param => "param",
            Class::Dim => "dim",
            Class::Shape => "shape",
            Class::Range => "range",
            Class::Where => "where",
            Class::Label => "label",
            Class::Weight => "weight",
            Class::Grad => "grad",
            Class::Cycle => "cycle",
            Class::Kernel => "kernel",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A place and what to say about it (which may be nothing: then it is only underlined).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mark {
    pub span: Span,
    pub text: String,
}

/// One error.
///
/// ```text
/// error[shape]: `+` needs equal shapes                            class, message
///   models/vsr.vsr:24:10                                          primary
/// 24 |   y = up + skip
///    |       ^^   ^^^^ [B, 64, H/2, W/2] = [8, 64, 32, 32]         primary's and secondaries' text
///    |       [B, 64, H, W] = [8, 64, 64, 64]
///    = profile train: axis 2 is H = 64 and H/2 = 32               notes
///    in @decoder.0, called at models/vsr.vsr:90:3                 trail
///    help: …                                                      help
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Diag {
    pub class: Class,
    pub message: String,
    /// `None` only where no line of any file is to blame.
    pub primary: Option<Mark>,
    pub secondary: Vec<Mark>,
    pub notes: Vec<String>,
    pub help: Option<String>,
    /// The change that `help` speaks of, where it is certain: this text instead of the span's.
    pub edit: Option<Mark>,
    /// The calls that led here, innermost first; the text says what was called (`Decode @decoder.0`).
    pub trail: Vec<Mark>,
}

impl Diag {
    pub fn new(class: Class, span: Span, message: impl Into<String>) -> Diag {
        Diag {
            primary: Some(Mark {
                span,
                text: String::new(),
            }),
            ..Diag::placeless(class, message)
        }
    }

    pub fn placeless(class: Class, message: impl Into<String>) -> Diag {
        Diag {
            class,
            message: message.into(),
            primary: None,
            secondary: Vec::new(),
            notes: Vec::new(),
            help: None,
            edit: None,
            trail: Vec::new(),
        }
    }

    /// The words under the primary span.
    pub fn here(mut self, text: impl Into<String>) -> Diag {
        if let Some(mark) = &mut self.primary {
            mark.text = text.into();
        }
        self
    }

    /// A second place, with its words.
    pub fn label(mut self, span: Span, text: impl Into<String>) -> Diag {
        self.secondary.push(Mark {
            span,
            text: text.into(),
        });
        self
    }

    pub fn note(mut self, text: impl Into<String>) -> Diag {
        self.notes.push(text.into());
        self
    }

    pub fn help(mut self, text: impl Into<String>) -> Diag {
        self.help = Some(text.into());
        self
    }

    /// The change that the help speaks of.
    pub fn edit(mut self, span: Span, replacement: impl Into<String>) -> Diag {
        self.edit = Some(Mark {
            span,
            text: replacement.into(),
        });
        self
    }

    /// No part of it is longer than one reads.
    fn shorten(&mut self) {
        let marks = self
            .primary
            .iter_mut()
            .chain(&mut self.secondary)
            .chain(&mut self.trail);
        let texts = marks
            .map(|mark| &mut mark.text)
            .chain(&mut self.notes)
            .chain(&mut self.help);
        for text in texts.chain([&mut self.message]) {
            if text.len() > MAX_WORDS {
                *text = shortened(text, MAX_WORDS);
            }
        }
    }

    /// One more call outwards.
    pub fn called(mut self, span: Span, what: impl Into<String>) -> Diag {
        self.trail.push(Mark {
            span,
            text: what.into(),
        });
        self
    }
}

/// Characters of a message, of a note, of the words beside a place.
const MAX_WORDS: usize = 1000;

/// More errors than this help nobody.
pub const MAX_PROBLEMS: usize = 40;

/// Errors that are told apart.
const MAX_KNOWN: usize = 1 << 16;

/// The errors of one run, in the order found, and what the machine could not do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems {
    diags: Vec<Diag>,
    /// Hashes of all that was found, up to a number that no list of errors has.
    known: HashSet<u64>,
    /// Found when there were too many already.
    n_left_out: usize,
    /// Why the work could not be done, whatever the text says.
    machine: Option<String>,
}

impl Problems {
    pub fn new() -> Problems {
        Problems::default()
    }

    /// Keeps the error, unless the very same one is already there; where too many are, it is only counted.
    pub fn push(&mut self, mut diag: Diag) {
        diag.shorten();
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(&diag);
        if self.known.len() >= MAX_KNOWN || !self.known.insert(hash) {
            return;
        }
        if self.is_full() {
            self.n_left_out += 1;
        } else {
            self.diags.push(diag);
        }
    }

    /// Whoever looks for more errors may stop.
    pub fn is_full(&self) -> bool {
        self.diags.len() >= MAX_PROBLEMS
    }

    /// All that another stage, or another thread, found.
    pub fn extend(&mut self, other: Problems) {
        other.diags.into_iter().for_each(|diag| self.push(diag));
        self.n_left_out += other.n_left_out;
        self.machine = self.machine.take().or(other.machine);
    }

    /// The machine cannot do the work: the first reason counts.
    pub fn cannot(&mut self, why: impl Into<String>) {
        self.machine.get_or_insert(why.into());
    }

    pub fn machine(&self) -> Option<&str> {
        self.machine.as_deref()
    }

    /// Nothing stands in the way.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Of all that was found, kept or not.
    pub fn len(&self) -> usize {
        self.diags.len() + self.n_left_out + usize::from(self.machine.is_some())
    }

    pub fn iter(&self) -> impl Iterator<Item = &Diag> {
        self.diags.iter()
    }

    /// All errors as text, each followed by an empty line, without colours.
    pub fn render(&self, sources: &Sources) -> String {
        render::problems(self, sources, render::Palette::PLAIN)
    }

    /// The same for a terminal that shows colours.
    pub fn render_coloured(&self, sources: &Sources) -> String {
        render::problems(self, sources, render::Palette::COLOURED)
    }

    /// All errors as a JSON list, in the order found; lines and columns count from 1.
    pub fn to_json(&self, sources: &Sources) -> serde_json::Value {
        json::problems(self, sources)
    }
}

/// The beginning of a text that is longer than a message may be.
pub fn shortened(text: &str, max_chars: usize) -> String {
    match text.char_indices().nth(max_chars) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_string(),
    }
}

/// Names and texts of the files that were read; a span's `file` counts them.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    files: Vec<Source>,
}

#[derive(Clone, Debug)]
struct Source {
    name: String,
    text: String,
    /// Where each line begins, once somebody asks.
    lines: OnceLock<Vec<u32>>,
}

impl Source {
    fn lines(&self) -> &[u32] {
        self.lines.get_or_init(|| {
            let ends = self.text.match_indices('\n');
            std::iter::once(0)
                .chain(ends.map(|(at, _)| at as u32 + 1))
                .collect()
        })
    }
}

impl Sources {
    pub fn new() -> Sources {
        Sources::default()
    }

    /// Remembers a file and gives its number.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<String>) -> u32 {
        self.files.push(Source {
            name: name.into(),
            text: text.into(),
            lines: OnceLock::new(),
        });
        (self.files.len() - 1) as u32
    }

    /// (name, text) of every file, in order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files
            .iter()
            .map(|file| (file.name.as_str(), file.text.as_str()))
    }

    pub fn name(&self, file: u32) -> &str {
        self.files
            .get(file as usize)
            .map_or("?", |f| f.name.as_str())
    }

    pub fn text(&self, file: u32) -> &str {
        self.files
            .get(file as usize)
            .map_or("", |f| f.text.as_str())
    }

    /// Line and column, both from 1; columns count characters.
    pub fn line_column(&self, file: u32, offset: u32) -> (usize, usize) {
        let Some(source) = self.files.get(file as usize) else {
            return (1, 1);
        };
        let text = &source.text;
        let mut at = (offset as usize).min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        let line = source
            .lines()
            .partition_point(|start| *start as usize <= at);
        let start = source.lines()[line - 1] as usize;
        (line, text[start..at].chars().count() + 1)
    }

    /// The text of a line, counted from 1, without its end.
    pub fn line(&self, file: u32, line: usize) -> &str {
        let Some(source) = self.files.get(file as usize) else {
            return "";
        };
        let lines = source.lines();
        let Some(start) = line.checked_sub(1).and_then(|line| lines.get(line)) else {
            return "";
        };
        let end = lines
            .get(line)
            .map_or(source.text.len(), |end| *end as usize - 1);
        let text = &source.text[*start as usize..end];
        text.strip_suffix('\r').unwrap_or(text)
    }

    /// `models/vsr.vsr:24:10`
    pub fn place(&self, span: Span) -> String {
        let (line, column) = self.line_column(span.file, span.start);
        format!("{}:{line}:{column}", self.name(span.file))
    }
}
