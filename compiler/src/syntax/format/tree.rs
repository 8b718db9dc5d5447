//! Tokens to lines: each statement, rule, setting or item head is one `Line`, whatever lines it was written on, and the
//! bodies in braces inside of it hold lines again. Spacing is decided here, token by token; breaking is not.

use super::lex::{Comment, Kind, Token};
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

/// What the token before was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    Nothing,
    /// A value ends here.
    Operand,
    /// The same, with a word or a number: perhaps a piece of a key that goes on.
    Piece,
    /// The same, with the `}` of a hole in a key.
    Hole,
    /// A keyword or a spaced operator: a value begins next.
    Spaced,
    /// Nothing may be put between: an opening bracket, a sign, a tight operator.
    Glue,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bracket {
    Inputs,
    Call,
    Square,
    /// The indices of `sum[…]`: a value follows.
    Reducer,
    Hole,
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
            let is_start = self.outline.starts.contains(&token.start) && line.brackets.is_empty();
            let ends_body = token.text == "}" && line.brackets.is_empty();
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

struct LineBuilder<'a> {
    form: Form,
    word: &'a str,
    blank_before: bool,
    comments: Vec<Comment<'a>>,
    parts: Vec<Part<'a>>,
    brackets: Vec<Bracket>,
    before: Before,
    /// The bracket that closed last was a reducer's, or the end of a list of inputs.
    closed: Option<Bracket>,
    /// The head of an item goes on: its body has not come.
    in_head: bool,
    /// Lists of inputs may come: nothing but the name has.
    in_inputs: bool,
    n_tokens: usize,
}

impl<'a> LineBuilder<'a> {
    fn new(form: Form) -> LineBuilder<'a> {
        LineBuilder {
            form,
            word: "",
            blank_before: false,
            comments: Vec::new(),
            parts: Vec::new(),
            brackets: Vec::new(),
            before: Before::Nothing,
            closed: None,
            in_head: form == Form::Head,
            in_inputs: form == Form::Head,
            n_tokens: 0,
        }
    }

    fn finish(self) -> Line<'a> {
        Line {
            form: self.form,
            word: self.word,
            blank_before: self.blank_before,
            comments: self.comments,
            parts: self.parts,
        }
    }

    fn push(&mut self, token: Token<'a>, space: bool, class: Class) {
        let mut comments = token.comments;
        if self.parts.is_empty() {
            self.word = token.text;
            self.blank_before = token.blank_before;
            self.comments = std::mem::take(&mut comments);
        }
        self.n_tokens += 1;
        self.parts.push(Part::Tok(Tok {
            text: token.text.into(),
            space,
            depth: self.brackets.len(),
            class,
            comments,
            trailing: token.trailing,
        }));
    }

    /// A brace of a body.
    fn brace(&mut self, token: Token<'a>) {
        let is_open = token.kind == Kind::Open;
        // The network of a `train` stands before its body.
        self.in_head = false;
        self.push(token, true, Class::Plain);
        self.before = if is_open {
            Before::Spaced
        } else {
            Before::Operand
        };
        self.closed = None;
    }

    fn token(&mut self, token: Token<'a>, next_closes: bool) {
        match token.kind {
            Kind::Open => self.open(token),
            Kind::Close => self.close(token),
            Kind::Word => self.word(token),
            Kind::Number | Kind::Text => {
                let space = self.space(&token);
                let is_number = token.kind == Kind::Number;
                self.push(token, space, Class::Plain);
                self.before = if is_number {
                    Before::Piece
                } else {
                    Before::Operand
                };
            }
            Kind::Mark if token.text == "," && next_closes => self.last_comma(token),
            Kind::Mark => self.mark(token),
        }
    }

    /// Whether a space stands before a name, a number or another thing that begins a value.
    fn space(&self, token: &Token<'_>) -> bool {
        match self.before {
            Before::Nothing | Before::Glue => false,
            // Pieces of a key touch; so do a call's and an index's brackets.
            Before::Piece | Before::Hole => !token.touches,
            Before::Operand => !(token.touches && token.kind == Kind::Open),
            Before::Spaced => true,
        }
    }

    fn open(&mut self, token: Token<'a>) {
        let is_operand = self.after_value();
        let is_outer = self.brackets.is_empty();
        let is_precision = matches!(self.last_text(), "f32" | "tf32" | "bf16" | "f16");
        let is_cut = self.form == Form::Rule && is_outer;
        let bracket = match token.text {
            "(" if self.in_inputs && is_outer && is_operand => Bracket::Inputs,
            "(" => Bracket::Call,
            "{" => Bracket::Hole,
            _ if is_operand && !is_cut && is_reducer(self.last_text()) => Bracket::Reducer,
            _ => Bracket::Square,
        };
        let space = match bracket {
            Bracket::Inputs => false,
            Bracket::Square if is_precision && is_operand && !is_cut => false,
            Bracket::Square if is_cut => true,
            _ => self.space(&token),
        };
        let class = match bracket {
            Bracket::Inputs if self.closed == Some(Bracket::Inputs) => Class::Signature,
            Bracket::Inputs => Class::Inputs,
            _ => Class::Plain,
        };
        self.push(token, space, class);
        self.brackets.push(bracket);
        self.before = Before::Glue;
        self.closed = None;
    }

    fn close(&mut self, token: Token<'a>) {
        let bracket = self.brackets.pop();
        self.push(token, false, Class::Plain);
        self.before = match bracket {
            Some(Bracket::Reducer) => Before::Spaced,
            Some(Bracket::Hole) => Before::Hole,
            _ => Before::Operand,
        };
        self.closed = bracket;
    }

    fn word(&mut self, token: Token<'a>) {
        let space = self.space(&token);
        let is_head = self.in_head && self.brackets.is_empty() && self.n_tokens > 2;
        let class = match token.text {
            "where" | "kernel" | "from" | "via" | "as" if is_head => Class::Clause,
            "or" => Class::Operator(1),
            "and" => Class::Operator(2),
            _ => Class::Plain,
        };
        let is_keyword = class != Class::Plain
            || matches!(
                token.text,
                "param"
                    | "state"
                    | "next"
                    | "data"
                    | "metric"
                    | "for"
                    | "in"
                    | "if"
                    | "else"
                    | "not"
            );
        // A word that touches what stands before is a piece of a key, whatever it says.
        let is_key = token.touches
            && (matches!(self.before, Before::Piece | Before::Hole)
                || matches!(self.last_text(), "." | "@"));
        self.in_inputs &= class != Class::Clause;
        self.push(token, space, if is_key { Class::Plain } else { class });
        self.before = if is_keyword && !is_key {
            Before::Spaced
        } else {
            Before::Piece
        };
        self.closed = None;
    }

    fn mark(&mut self, token: Token<'a>) {
        use Before::{Glue, Operand, Spaced};
        let is_outer = self.brackets.is_empty();
        let is_operand = self.after_value();
        let in_square = matches!(
            self.brackets.last(),
            Some(Bracket::Square | Bracket::Reducer)
        );
        let (space, class, before) = match token.text {
            "," => (false, Class::Comma, Spaced),
            "?" => (false, Class::Plain, Operand),
            ":" if in_square => (self.before == Spaced, Class::Plain, Glue),
            ":" => (false, Class::Plain, Spaced),
            ".." | "." => (false, Class::Plain, Glue),
            "..." => (self.space(&token), Class::Plain, Glue),
            "@" => (true, Class::Plain, Glue),
            "=" if self.brackets.last() == Some(&Bracket::Call) => (false, Class::Plain, Glue),
            "=" if is_outer => {
                self.in_head &= self.word == "train" || self.word == "frozen";
                self.in_inputs = false;
                (true, Class::Assign, Spaced)
            }
            "->" if self.form == Form::Head => {
                self.in_inputs = false;
                (true, Class::Signature, Spaced)
            }
            "|>" => (true, Class::Pipe, Spaced),
            "-" if !is_operand => (self.space(&token), Class::Plain, Glue),
            "+" | "-" => (true, Class::Operator(4), Spaced),
            "%" => (true, Class::Operator(5), Spaced),
            "*" | "/" | "//" => (false, Class::Operator(5), Glue),
            "**" => (false, Class::Plain, Glue),
            "==" | "!=" | "<" | "<=" | ">" | ">=" => (true, Class::Operator(3), Spaced),
            _ => (true, Class::Plain, Spaced),
        };
        let space = space && self.before != Before::Glue;
        self.push(token, space, class);
        self.before = before;
        self.closed = None;
    }

    /// A comma before a closing bracket goes, unless comments hang on both sides of it.
    fn last_comma(&mut self, mut token: Token<'a>) {
        let kept = match self.parts.last_mut() {
            Some(Part::Tok(last)) if token.comments.is_empty() => {
                if last.trailing.is_none() {
                    last.trailing = token.trailing.take();
                }
                token.trailing.is_some()
            }
            _ => true,
        };
        if kept {
            self.mark(token);
        }
    }

    fn after_value(&self) -> bool {
        matches!(self.before, Before::Operand | Before::Piece | Before::Hole)
    }

    fn last_text(&self) -> &str {
        match self.parts.last() {
            Some(Part::Tok(tok)) => &tok.text,
            _ => "",
        }
    }
}

fn is_reducer(word: &str) -> bool {
    matches!(word, "sum" | "mean" | "max" | "min" | "lse" | "var")
}
