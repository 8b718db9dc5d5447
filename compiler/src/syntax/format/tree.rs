//! Tokens to lines: each statement, rule, setting or item head is one `Line`, whatever lines it was written on, and the
//! bodies in braces inside of it hold lines again. Neither spacing nor breaking is decided here.

use super::lex::{Comment, Kind, Token};
use super::line::LineBuilder;
use super::outline::Outline;

/// What a token is to the layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Plain,
    Pipe,
    /// The `=` of a statement or of an item's body.
    Assign,
    Comma,
    /// A binary operator; looser ones have smaller numbers.
    Operator(u8),
    /// Opens a part of an item's head: the second list, `->`, `where`, `kernel`, `from` …
    Clause,
    /// A clause that may share a line with the one before: the second list, `->`.
    Signature,
    /// The bracket of a list of inputs.
    Inputs,
}

/// A token with its spacing.
#[derive(Clone, Debug)]
pub(super) struct Tok<'a> {
    pub text: std::borrow::Cow<'a, str>,
    /// A space stands before it, unless it starts a row.
    pub space: bool,
    /// How many brackets of this line are open around it.
    pub depth: usize,
    pub class: Class,
    pub comments: Vec<Comment<'a>>,
    pub trailing: Option<&'a str>,
}

pub(super) enum Part<'a> {
    Tok(Tok<'a>),
    Body(Body<'a>),
}

/// What stands between braces.
pub(super) struct Body<'a> {
    pub lines: Vec<Line<'a>>,
    /// Comments before the closing brace.
    pub end: Vec<Comment<'a>>,
    /// It was written on one line.
    pub is_short: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// The head of an item.
    Head,
    /// `if` or `for`: its body stays short only if everything fits on one line.
    Block,
    Statement,
    Rule,
}

pub(super) struct Line<'a> {
    pub form: Form,
    /// The first word.
    pub word: &'a str,
    pub blank_before: bool,
    pub comments: Vec<Comment<'a>>,
    pub parts: Vec<Part<'a>>,
}

/// All items of a file as lines; a `grad` clause is a line of its own.
pub(super) fn lines<'a>(tokens: Vec<Token<'a>>, outline: &Outline<'_>) -> Vec<Line<'a>> {
    let mut reader = Reader {
        tokens: tokens.into_iter().peekable(),
        outline,
    };
    reader.lines(|_| Form::Head)
}

struct Reader<'a, 'o> {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token<'a>>>,
    outline: &'o Outline<'o>,
}

impl<'a> Reader<'a, '_> {
    fn lines(&mut self, form: impl Fn(&str) -> Form) -> Vec<Line<'a>> {
        let mut lines = Vec::new();
        while let Some(token) = self.tokens.peek() {
            if token.kind == Kind::Close && token.text == "}" {
                break;
            }
            let form = form(token.text);
            lines.push(self.line(form));
        }
        lines
    }

    /// One line: up to the next start outside of its own bodies, or the brace that ends the body around it.
    fn line(&mut self, form: Form) -> Line<'a> {
        let mut line = LineBuilder::new(form);
        while let Some(token) = self.tokens.peek() {
            let is_start = self.outline.starts.contains(&token.start) && line.is_outside();
            let ends_body = token.text == "}" && line.is_outside();
            if (is_start || ends_body) && !line.parts.is_empty() {
                break;
            }
            let Some(token) = self.tokens.next() else {
                break;
            };
            if self.outline.braces.contains(&token.start) {
                self.body(token, &mut line);
            } else {
                let next_closes = self.tokens.peek().is_some_and(|t| t.kind == Kind::Close);
                line.token(token, next_closes);
            }
        }
        line.finish()
    }

    /// `{`, what it holds, and `}`.
    fn body(&mut self, open: Token<'a>, line: &mut LineBuilder<'a>) {
        let inner = match line.word {
            "weights" | "profile" if line.form == Form::Head => |_: &str| Form::Rule,
            _ => |word: &str| match word {
                "if" | "for" => Form::Block,
                _ => Form::Statement,
            },
        };
        let start = open.start;
        let has_comment = open.trailing.is_some();
        line.brace(open);
        let lines = self.lines(inner);
        let Some(mut close) = self.tokens.next() else {
            return;
        };
        let end = std::mem::take(&mut close.comments);
        let is_short = !self.outline.text[start..close.start].contains('\n');
        let is_empty = lines.is_empty() && end.is_empty() && !has_comment;
        line.parts.push(Part::Body(Body {
            lines,
            end,
            is_short: is_short || is_empty,
        }));
        line.brace(close);
    }
}
