//! The parts of what the grammar found, without its marks and keywords; and numbers and names in them.

use pest::iterators::{Pair, Pairs};
use std::str::FromStr;

use super::Rule;
use super::error::{Result, wrong};

/// Parts in the order of the text.
#[derive(Clone)]
pub(super) struct Parts<'t>(Pairs<'t, Rule>);

impl<'t> Parts<'t> {
    pub fn of(pair: Pair<'t, Rule>) -> Parts<'t> {
        Parts(pair.into_inner())
    }

    /// The next one, which the grammar wants.
    pub fn one(&mut self) -> Pair<'t, Rule> {
        self.next().expect("the grammar has a part here")
    }

    /// The next one, if it is of this rule.
    pub fn one_of(&mut self, rule: Rule) -> Option<Pair<'t, Rule>> {
        let mut ahead = Parts(self.0.clone());
        let found = ahead.next().filter(|pair| pair.as_rule() == rule)?;
        *self = ahead;
        Some(found)
    }
}

impl<'t> Iterator for Parts<'t> {
    type Item = Pair<'t, Rule>;

    fn next(&mut self) -> Option<Pair<'t, Rule>> {
        self.0.find(|pair| !is_mark(pair.as_rule()))
    }
}

/// Says nothing that its place does not say.
fn is_mark(rule: Rule) -> bool {
    use Rule::*;
    let keywords = [
        kw_kernel,
        kw_tile,
        kw_arg,
        kw_task,
        kw_for,
        kw_let,
        kw_if,
        kw_else,
        kw_and,
        kw_in,
        kw_by,
        kw_of,
        kw_with,
        kw_rows,
        kw_contract,
        kw_sum,
        kw_panel,
        kw_floor,
        kw_whole,
        kw_select,
        kw_widen,
        kw_f32,
        kw_f64,
    ];
    let marks = [
        zero_to,
        zero_le,
        unit_stride,
        k_extent,
        k_times,
        less,
        plus,
        times,
        percent,
        assign,
        comma,
        colon,
        semicolon,
        open,
        close,
        open_at,
        close_at,
        begin,
        finish,
        hash,
        eol,
        line_end,
        EOI,
    ];
    keywords.contains(&rule) || marks.contains(&rule)
}

/// A number that the type holds.
pub(super) fn number<T: FromStr>(pair: &Pair<'_, Rule>) -> Result<T> {
    numeral(pair, pair.as_str())
}

/// The number behind the letter or mark that a token begins with.
pub(super) fn index<T: FromStr>(pair: &Pair<'_, Rule>) -> Result<T> {
    numeral(pair, &pair.as_str()[1..])
}

fn numeral<T: FromStr>(pair: &Pair<'_, Rule>, digits: &str) -> Result<T> {
    digits.parse().or_else(|_| {
        wrong(
            pair,
            format!("the number in `{}` is too large", pair.as_str()),
        )
    })
}

/// As it is written, or unquoted.
pub(super) fn name(pair: Pair<'_, Rule>) -> Result<String> {
    let token = Parts::of(pair).one();
    if token.as_rule() == Rule::bare {
        return Ok(token.as_str().to_string());
    }
    let unquoted = serde_json::from_str(token.as_str());
    unquoted.or_else(|_| wrong(&token, "names in quotes are written as in JSON"))
}
