//! Tokens to spaced tokens of one line: what stands before each decides whether a space does, and brackets say what an
//! `=`, a `:` or a `(` is. Nothing is broken or measured here.

use super::lex::{Comment, Kind, Token};
use super::tree::{Class, Form, Line, Part, Tok};

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

/// Collects the tokens of one line.
pub(super) struct LineBuilder<'a> {
    pub form: Form,
    pub word: &'a str,
    blank_before: bool,
    comments: Vec<Comment<'a>>,
    pub parts: Vec<Part<'a>>,
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
    pub fn new(form: Form) -> LineBuilder<'a> {
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

    pub fn finish(self) -> Line<'a> {
        Line {
            form: self.form,
            word: self.word,
            blank_before: self.blank_before,
            comments: self.comments,
            parts: self.parts,
        }
    }

    /// No bracket of the line is open.
    pub fn is_outside(&self) -> bool {
        self.brackets.is_empty()
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
    pub fn brace(&mut self, token: Token<'a>) {
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

    pub fn token(&mut self, token: Token<'a>, next_closes: bool) {
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
