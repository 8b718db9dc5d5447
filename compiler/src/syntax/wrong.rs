//! What to say when the grammar stops: pest knows where and which rules it tried; this says it in words. Makes
//! diagnostics only, and never looks further than the failed item.

use pest::error::ErrorVariant;

use super::parse::Rule;
use super::scan::Chunk;
use crate::diag::{Class, Diag, Span};

const OPERATORS: [&str; 15] = [
    "**", "//", "==", "!=", "<=", ">=", "+", "-", "*", "/", "%", "<", ">", "and", "or",
];

/// The place where an item stopped making sense.
struct Stop<'a> {
    file: u32,
    text: &'a str,
    start: usize,
    /// The text of the item up to here, without blanks and comments at its end.
    before: &'a str,
    /// Where `before` ends in the file.
    before_end: usize,
    found: &'a str,
    tried: Vec<Rule>,
}

pub(super) fn explain(
    file: u32,
    text: &str,
    chunk: &Chunk,
    at: usize,
    variant: &ErrorVariant<Rule>,
) -> Diag {
    let tried = match variant {
        ErrorVariant::ParsingError { positives, .. } => positives.clone(),
        ErrorVariant::CustomError { .. } => Vec::new(),
    };
    let at = skip_blanks(text, at, chunk.end);
    let before = strip_blanks(&text[chunk.start..at]);
    let before_end = chunk.start + before.len();
    let found = token(&text[at..chunk.end]);
    let stop = Stop {
        file,
        text,
        start: at,
        before,
        before_end,
        found,
        tried,
    };
    stop.special().unwrap_or_else(|| stop.plain())
}

/// `+` and the like after a pipeline, which ends the text `before`; that text starts at `start`.
pub(super) fn after_pipeline(span: Span, operator: &str, before: &str, start: usize) -> Diag {
    let diag = Diag::new(
        Class::Syntax,
        span,
        format!("`{operator}` after a pipeline"),
    );
    let pipeline = last_operand(before);
    if pipeline.contains("|>") && pipeline.len() < 60 && !pipeline.contains('\n') {
        let end = start + before.trim_end().len();
        let place = Span::new(span.file, end - pipeline.len(), end);
        diag.help(format!("write `({pipeline}) {operator} …`"))
            .edit(place, format!("({pipeline})"))
    } else {
        diag.help(format!(
            "put the pipeline in brackets: `(… |> …) {operator} …`"
        ))
    }
}

/// `return h`, by habit; the value begins at `value`.
pub(super) fn no_return(word: Span, value: u32) -> Diag {
    Diag::new(Class::Syntax, word, "there is no `return`")
        .help("a body's last line is its value: write the value alone")
        .edit(Span { end: value, ..word }, "")
}

/// The end of `text` from its last comma, `=` or open bracket on.
fn last_operand(text: &str) -> &str {
    let mut depth = 0;
    for (at, byte) in text.bytes().enumerate().rev() {
        match byte {
            b')' | b']' | b'}' => depth += 1,
            b'(' | b'[' | b'{' | b',' | b'=' if depth == 0 => return text[at + 1..].trim(),
            b'(' | b'[' | b'{' => depth -= 1,
            _ => {}
        }
    }
    text.trim()
}

impl Stop<'_> {
    fn span(&self) -> Span {
        Span::new(self.file, self.start, self.start + self.found.len())
    }

    fn diag(&self, message: impl Into<String>) -> Diag {
        Diag::new(Class::Syntax, self.span(), message)
    }

    fn tried(&self, rule: Rule) -> bool {
        self.tried.contains(&rule)
    }

    fn wants_value(&self) -> bool {
        use Rule::*;
        let values = [expr, chain, product, unary, read, suffixed, atom];
        values.iter().any(|&rule| self.tried(rule))
    }

    fn after_value(&self) -> bool {
        self.tried(Rule::addop) || self.tried(Rule::mulop) || self.tried(Rule::relation)
    }

    fn last_word(&self) -> &str {
        let n = self
            .before
            .rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .map_or(0, |n| n + 1);
        &self.before[n..]
    }

    fn special(&self) -> Option<Diag> {
        self.python()
            .or_else(|| self.untouched())
            .or_else(|| self.operator_after_pipeline())
            .or_else(|| self.operator_after_if())
            .or_else(|| self.assignment_in_expression())
            .or_else(|| self.reducer_as_name())
            .or_else(|| self.reserved_as_name())
            .or_else(|| self.unknown_item())
            .or_else(|| self.no_number())
    }

    /// What one writes by habit of Python.
    fn python(&self) -> Option<Diag> {
        let is_next = !self.text[self.before_end..self.start].contains('\n');
        let follows = self.before.ends_with([')', ']']) || !self.last_word().is_empty();
        if self.found == "." && is_next && follows {
            let diag = self
                .diag("`.` means nothing here: values have no members")
                .help("call by name, `f(x)` or `x |> f`; the standard library needs no prefix");
            // A stage is no value, so what the point follows is a prefix.
            let word = self.last_word().len();
            let is_stage = word > 0 && self.before[..self.before.len() - word].ends_with("|> ");
            let prefix = Span::new(self.file, self.before_end - word, self.span().end as usize);
            return Some(if is_stage {
                diag.edit(prefix, "")
            } else {
                diag
            });
        }
        if self.found == "if" && self.after_value() && is_next {
            return Some(
                self.diag("`if` stands before both its values")
                    .help("write `if condition { a } else { b }`"),
            );
        }
        None
    }

    fn untouched(&self) -> Option<Diag> {
        let word = self.last_word();
        let is_apart = self.before_end < self.start;
        if !matches!(self.found, "(" | "[") || word.is_empty() || !is_apart {
            return None;
        }
        let found = self.found;
        let diag = self
            .diag(format!("`{found}` must touch `{word}`"))
            .help(format!("write `{word}{found}…`"));
        let is_blank = self.text[self.before_end..self.start].trim() == "";
        let blanks = Span::new(self.file, self.before_end, self.start);
        Some(if is_blank {
            diag.edit(blanks, "")
        } else {
            diag
        })
    }

    fn operator_after_pipeline(&self) -> Option<Diag> {
        let is_after = self.tried(Rule::pipe) && !self.after_value();
        let is_operator = OPERATORS.contains(&self.found);
        (is_after && is_operator).then(|| {
            let start = self.before_end - self.before.len();
            after_pipeline(self.span(), self.found, self.before, start)
        })
    }

    fn operator_after_if(&self) -> Option<Diag> {
        let is_operator = OPERATORS.contains(&self.found) || self.found == "|>";
        (is_operator && self.before.ends_with('}') && !self.after_value()).then(|| {
            self.diag(format!(
                "`{}` after an `if` that is a statement",
                self.found
            ))
            .help("put the `if` in brackets, or bind it to a name first")
        })
    }

    fn assignment_in_expression(&self) -> Option<Diag> {
        (self.found == "=" && self.after_value()).then(|| {
            self.diag("`=` stands inside an expression")
                .help("compare with `==`; bind names on lines of their own")
        })
    }

    fn reducer_as_name(&self) -> Option<Diag> {
        let open = self
            .before
            .strip_suffix(']')
            .and_then(|inner| open_bracket(inner).map(|n| &inner[..n]));
        let n = open?
            .rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .map_or(0, |n| n + 1);
        let word = &open?[n..];
        let is_reducer = matches!(word, "sum" | "mean" | "max" | "min" | "lse" | "var");
        (is_reducer && self.wants_value()).then(|| {
            self.diag(format!(
                "nothing follows `{word}[…]`, which reduces what follows it"
            ))
            .help(format!(
                "a tensor called `{word}` cannot have indices; give it another name"
            ))
        })
    }

    fn reserved_as_name(&self) -> Option<Diag> {
        let words = [
            "param", "state", "next", "data", "metric", "for", "in", "if", "else", "and", "or",
            "not",
        ];
        let wants_name = self.tried(Rule::name) || self.tried(Rule::word) || self.wants_value();
        (words.contains(&self.found) && wants_name && !self.after_value()).then(|| {
            self.diag(format!(
                "`{}` is reserved and cannot be a name here",
                self.found
            ))
        })
    }

    fn unknown_item(&self) -> Option<Diag> {
        let is_start = self.before.is_empty() || self.text[..self.start].ends_with('\n');
        let is_word = self.found.starts_with(|c: char| c.is_ascii_alphabetic());
        let wants_item = self.before.is_empty()
            || self
                .tried
                .iter()
                .any(|&rule| matches!(rule, Rule::op | Rule::use_ | Rule::chunk | Rule::EOI));
        (is_start && wants_item).then(|| {
            let known = "an item begins with `use`, `op`, `block`, `model`, `frozen`, `weights`, `train` or `profile`";
            let found = if is_word { format!("`{}` begins no item", self.found) } else { "no item begins here".into() };
            self.diag(found).help(known)
        })
    }

    fn no_number(&self) -> Option<Diag> {
        let is_number = self.found.starts_with(|c: char| c.is_ascii_digit());
        (is_number && self.wants_value() && !self.after_value()).then(|| {
            self.diag(format!("`{}` is no number", self.found))
                .help("numbers look like `12`, `0.5` or `1e-5`")
        })
    }

    fn plain(&self) -> Diag {
        if self.found.is_empty() {
            let end = Span::new(
                self.file,
                self.before_end.saturating_sub(1),
                self.before_end,
            );
            return Diag::new(
                Class::Syntax,
                end,
                format!("the item ends too early: {} should follow", self.wanted()),
            );
        }
        let found = match self.text[self.start..].chars().next() {
            Some('"') => "a string".to_string(),
            _ => format!("`{}`", self.found),
        };
        self.diag(format!("expected {}, found {found}", self.wanted()))
    }

    /// What could have stood here, in words, the likeliest first.
    fn wanted(&self) -> String {
        let mut words: Vec<&str> = Vec::new();
        for (rules, said) in WANTED {
            if rules.iter().any(|&rule| self.tried(rule)) && !words.contains(said) {
                words.push(said);
            }
        }
        if self.after_value() {
            words.retain(|said| !said.contains("keyword") && *said != "`|>`");
            words.insert(0, "an operator");
        }
        words.truncate(4);
        match words.split_last() {
            None => "something else".to_string(),
            Some((only, [])) => only.to_string(),
            Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        }
    }
}

const WANTED: &[(&[Rule], &str)] = {
    use Rule::*;
    &[
        (&[line], "a statement"),
        (
            &[expr, chain, product, unary, read, suffixed, atom],
            "a value",
        ),
        (&[stage, applied], "an op or a block"),
        (&[r#type], "a type"),
        (&[inputs], "`(`"),
        (&[input], "an input `name: type`"),
        (&[body, braces, begin], "`{`"),
        (&[name, names, word], "a name"),
        (&[made, upper], "an Upper name"),
        (&[string], "a string"),
        (&[path, segment, piece, hole], "a key"),
        (&[number], "a number"),
        (&[dtype], "a precision (f32, tf32, bf16, f16)"),
        (&[setting], "a setting `NAME = value`"),
        (&[assign], "`=`"),
        (&[arrow], "`->`"),
        (&[pipe], "`|>`"),
        (&[comma], "`,`"),
        (&[colon], "`:`"),
        (&[dots], "`..`"),
        (&[open], "`(`"),
        (&[close], "`)`"),
        (&[close_index, close_list], "`]`"),
        (&[finish], "`}`"),
        (&[axis], "a dim"),
        (&[ix], "an index"),
        (&[arg], "an argument"),
        (&[pack], "`...`"),
        (&[label], "a label"),
        (&[rename, ignore], "a rule"),
        (&[reducer, string, bool, list, if_], "a value"),
        (&[scalar], "a type"),
        (&[call], "`(`"),
        (&[index], "`[`"),
        (&[result], "`->`"),
        (&[kw_for, each], "`for`"),
        (&[kw_else], "`else`"),
        (&[kw_if], "`if`"),
        (
            &[addop, mulop, relation, raise, kw_or, kw_and],
            "an operator",
        ),
        (&[kw_in], "`in`"),
        (&[kw_from], "`from`"),
        (&[EOI, op, use_], "an item"),
    ]
};

/// The last bracket of `text` that is still open.
fn open_bracket(text: &str) -> Option<usize> {
    let mut depth = 0;
    for (at, byte) in text.bytes().enumerate().rev() {
        match byte {
            b')' | b']' | b'}' => depth += 1,
            b'(' | b'[' | b'{' if depth == 0 => return Some(at),
            b'(' | b'[' | b'{' => depth -= 1,
            _ => {}
        }
    }
    None
}

fn skip_blanks(text: &str, mut at: usize, end: usize) -> usize {
    let bytes = text.as_bytes();
    while at < end {
        match bytes[at] {
            b' ' | b'\t' | b'\r' | b'\n' => at += 1,
            b'#' => at = text[at..end].find('\n').map_or(end, |n| at + n),
            _ => break,
        }
    }
    at
}

/// Takes blanks and whole-line or trailing comments off the end.
fn strip_blanks(text: &str) -> &str {
    let mut rest = text.trim_end();
    loop {
        let line_start = rest.rfind('\n').map_or(0, |n| n + 1);
        match comment_start(&rest[line_start..]) {
            Some(n) => rest = rest[..line_start + n].trim_end(),
            None => return rest,
        }
    }
}

fn comment_start(line: &str) -> Option<usize> {
    let mut in_string = false;
    for (at, byte) in line.bytes().enumerate() {
        match byte {
            b'"' => in_string = !in_string,
            b'#' if !in_string => return Some(at),
            _ => {}
        }
    }
    None
}

/// The token at the start of `text`.
fn token(text: &str) -> &str {
    let Some(first) = text.chars().next() else {
        return "";
    };
    if first.is_ascii_alphanumeric() || first == '_' {
        let n = text
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(text.len());
        return &text[..n];
    }
    if first == '"' {
        let n = text[1..].find(['"', '\n']).map_or(text.len(), |n| n + 2);
        return &text[..n.min(text.len())];
    }
    let pairs = ["**", "//", "==", "!=", "<=", ">=", "|>", "->", "..."];
    let pair = pairs.iter().find(|pair| text.starts_with(**pair));
    pair.map_or(&text[..first.len_utf8()], |pair| &text[..pair.len()])
}
