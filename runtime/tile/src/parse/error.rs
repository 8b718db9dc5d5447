//! What is wrong with a text, and where: pest knows the place and which rules it tried; this says it in words.
//!
//! Enters a place in a text; leaves an error of one line. Nothing is parsed here.

use pest::error::{Error, ErrorVariant, InputLocation};
use pest::iterators::Pair;

use super::Rule;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Both count from 1; columns are characters.
    #[error("line {line}, column {column}: {message}")]
    Text {
        line: usize,
        column: usize,
        message: String,
    },
    /// The machine gives no thread to parse on.
    #[error("{0}")]
    Machine(String),
}

pub(super) type Result<T> = std::result::Result<T, ParseError>;

/// An error at the start of what was parsed.
pub(super) fn wrong<T>(at: &Pair<'_, Rule>, message: impl Into<String>) -> Result<T> {
    let (line, column) = at.line_col();
    let message = message.into();
    Err(ParseError::Text {
        line,
        column,
        message,
    })
}

/// An error at a byte of the text.
pub(super) fn at(text: &str, byte: usize, message: impl Into<String>) -> ParseError {
    let before = &text[..byte];
    let start = before.rfind('\n').map_or(0, |n| n + 1);
    ParseError::Text {
        line: before.matches('\n').count() + 1,
        column: before[start..].chars().count() + 1,
        message: message.into(),
    }
}

pub(super) fn explain(text: &str, error: &Error<Rule>) -> ParseError {
    let byte = match error.location {
        InputLocation::Pos(byte) | InputLocation::Span((byte, _)) => byte,
    };
    let tried = match &error.variant {
        ErrorVariant::ParsingError { positives, .. } => positives.as_slice(),
        ErrorVariant::CustomError { .. } => &[],
    };
    let rest = text[byte..].trim_start_matches([' ', '\t']);
    let byte = text.len() - rest.len();
    let message = format!("expected {}, found {}", wanted(tried), found(rest));
    at(text, byte, message)
}

/// The token at the start of `rest`.
fn found(rest: &str) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    match rest.chars().next() {
        None => "the end of the text".to_string(),
        Some('\n' | '\r') => "the end of the line".to_string(),
        Some(first) if is_word(first) => {
            let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            format!("`{}`", &rest[..end])
        }
        Some(first) if !first.is_ascii_graphic() && first.escape_debug().count() > 1 => {
            format!("the character {first:?}")
        }
        Some(first) => format!("`{first}`"),
    }
}

/// What could have stood there, each once.
fn wanted(tried: &[Rule]) -> String {
    let is_tried = |rules: &[Rule]| rules.iter().any(|rule| tried.contains(rule));
    let mut words: Vec<&str> = vec![];
    for (rules, said) in WANTED {
        if is_tried(rules) && !words.contains(said) {
            words.push(said);
        }
    }
    for (said, parts) in SUMS_UP {
        if words.contains(said) {
            words.retain(|word| !parts.contains(word));
        }
    }
    match words.split_last() {
        None => "something else".to_string(),
        Some((only, [])) => only.to_string(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
    }
}

/// Who knows that the first is expected knows that these are.
const SUMS_UP: &[(&str, &[&str])] = &[
    (
        INTEGER,
        &["a buffer", "a tile", "an argument", "a variable", "`(`"],
    ),
    (VALUE, &["a literal", "a buffer", "a tile", "`(`"]),
    (WIDE, &["a literal", "`(`"]),
    (STATEMENT, &["a buffer", "a tile", "`for`", "`if`"]),
];
const INTEGER: &str = "an integer";
const VALUE: &str = "a value";
const WIDE: &str = "a value in f64";
const STATEMENT: &str = "a statement";

const WANTED: &[(&[Rule], &str)] = {
    use Rule::*;
    &[
        (&[kernel, kw_kernel], "`kernel`"),
        (&[EOI], "the end of the text"),
        (&[name, bare, quoted], "a name"),
        (&[access, buffer], "a buffer (`in b0`)"),
        (&[kw_tile, tile], "a tile (`tile t0: f32[8]`)"),
        (&[kw_arg, arg], "an argument (`arg a0%4`)"),
        (&[kw_task, task], "a task (`task v0 in 0..8 by 1`)"),
        (
            &[
                kw_let,
                kw_rows,
                kw_contract,
                for_,
                let_,
                if_,
                rows,
                contract,
                compute,
            ],
            STATEMENT,
        ),
        (
            &[
                int, term, constant, table_at, row_at, floor, whole, extremum, kw_whole,
            ],
            INTEGER,
        ),
        (
            &[
                element_at, tile_at, from_int, call, select, random, group, function, kw_f32,
            ],
            VALUE,
        ),
        (
            &[
                widened,
                wide_int,
                wide_step,
                step,
                wide_call,
                wide_select,
                wide_group,
                kw_widen,
                kw_f64,
            ],
            WIDE,
        ),
        (&[literal], "a literal"),
        (&[init, keep, zero], "`0`, `keep` or a bias"),
        (&[reduce, reducer], "a reduction"),
        (&[lanes], "a number of lanes (`.32`)"),
        (&[number], "a number"),
        (&[key], "a key (`0x4d`)"),
        (&[element], "`f32` or `i64`"),
        (&[buffer_id], "a buffer"),
        (&[tile_id], "a tile"),
        (&[arg_id], "an argument"),
        (&[var, dim, dims], "a variable"),
        (&[bound, bounds, conditions, zero_le], "`0<=`"),
        (&[zero_to], "`0..`"),
        (&[addop, mulop, binop, plus, times], "an operator"),
        (&[relation], "a relation"),
        (&[k_times], "`+k*`"),
        (&[k_extent], "`k:`"),
        (&[unit_stride], "`:1`"),
        (&[mode, assign], "`=`"),
        (&[less], "`<`"),
        (&[percent], "`%`"),
        (&[comma], "`,`"),
        (&[colon], "`:`"),
        (&[semicolon], "`;`"),
        (&[open], "`(`"),
        (&[close], "`)`"),
        (&[open_at], "`[`"),
        (&[close_at], "`]`"),
        (&[begin], "`{`"),
        (&[finish], "`}`"),
        (&[kw_for], "`for`"),
        (&[kw_if], "`if`"),
        (&[kw_else], "`else`"),
        (&[kw_and], "`and`"),
        (&[kw_in], "`in`"),
        (&[kw_by], "`by`"),
        (&[kw_of], "`of`"),
        (&[kw_with], "`with`"),
        (&[kw_sum], "`sum`"),
        (&[kw_panel], "`panel`"),
        (&[hash, label], "a name behind `#`"),
        (&[eol, line_end], "the end of the line"),
    ]
};
