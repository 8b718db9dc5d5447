//! `weights` rules: from a network's own key to the key in a file, and which part of that file's tensor is meant.
//!
//! Enters a key and the rules; leaves the renamed key. No file is looked at here.

use super::elab::Elab;
use super::error::{Fallible, fault};
use super::scope::Env;
use super::value::Value;
use crate::diag::Class;
use crate::syntax::ast::{self, Piece, WeightRuleKind as R};
use std::collections::HashMap;
use std::rc::Rc;

/// A key of the file, and the part of its tensor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Renamed {
    pub key: String,
    /// `[a:b]` of the first axis.
    pub rows: Option<(i64, i64)>,
    pub transposed: bool,
}

/// Tries of one pattern on one key before it counts as endless.
const MAX_TRIES: usize = 20_000;

/// One piece of a pattern; dots are text.
enum Token<'a> {
    Text(&'a str),
    /// `{i}`: a segment, or a part of one.
    One(&'a str),
    /// `{...p}`: one segment or more.
    Rest(&'a str),
}

/// What the holes of a pattern caught, by name.
type Caught<'a, 'k> = Vec<(&'a str, &'k str)>;

/// Matches a whole key, each hole as short as it can be. `None` also where it takes too many tries.
pub fn matches<'a, 'k>(pattern: &'a ast::Path, key: &'k str) -> Option<Caught<'a, 'k>> {
    let mut tokens = vec![];
    for (at, segment) in pattern.segments.iter().enumerate() {
        if at > 0 {
            tokens.push(Token::Text("."));
        }
        for piece in &segment.pieces {
            tokens.push(match piece {
                Piece::Text(text) => Token::Text(text),
                Piece::Rest(name) => Token::Rest(&name.text),
                Piece::Hole(e) => Token::One(hole(e)?),
            });
        }
    }
    let mut caught = vec![];
    let mut tries = MAX_TRIES;
    rest_matches(&tokens, key, &mut caught, &mut tries).then_some(caught)
}

/// The name in a hole of a pattern.
pub fn hole(e: &ast::Expr) -> Option<&str> {
    match &e.kind {
        ast::ExprKind::Name(name) => Some(name),
        _ => None,
    }
}

fn rest_matches<'a, 'k>(
    tokens: &[Token<'a>],
    key: &'k str,
    caught: &mut Caught<'a, 'k>,
    tries: &mut usize,
) -> bool {
    let Some((token, rest)) = tokens.split_first() else {
        return key.is_empty();
    };
    let (name, one) = match token {
        Token::Text(text) => {
            return key
                .strip_prefix(*text)
                .is_some_and(|key| rest_matches(rest, key, caught, tries));
        }
        Token::One(name) => (*name, true),
        Token::Rest(name) => (*name, false),
    };
    let first_dot = key.find('.').unwrap_or(key.len());
    let ends = key.char_indices().map(|(at, c)| at + c.len_utf8());
    for end in ends.take_while(|end| !one || *end <= first_dot) {
        // A rest is whole segments.
        if !one && !(end == key.len() || key[end..].starts_with('.')) {
            continue;
        }
        if *tries == 0 {
            return false;
        }
        *tries -= 1;
        let text = &key[..end];
        let known = caught.iter().find(|(n, _)| *n == name);
        if known.is_some_and(|(_, t)| *t != text) {
            continue;
        }
        caught.push((name, text));
        if rest_matches(rest, &key[end..], caught, tries) {
            return true;
        }
        caught.pop();
    }
    false
}

impl<'a> Elab<'a, '_> {
    /// Each rule once, in order, on what the rules before made of the key. The right side sees what the left side
    /// caught and the network's parameters.
    pub fn renamed(
        &mut self,
        rules: Option<&'a ast::Weights>,
        parameters: &HashMap<&'a str, Value>,
        key: &str,
    ) -> Fallible<Renamed> {
        let mut renamed = Renamed {
            key: key.into(),
            ..Renamed::default()
        };
        for rule in rules.into_iter().flat_map(|r| &r.rules) {
            let R::Rename {
                from,
                to,
                rows,
                transposed,
            } = &rule.kind
            else {
                continue;
            };
            let key = renamed.key.clone();
            let Some(caught) = matches(from, &key) else {
                continue;
            };
            let mut env = Env::new(0, None, "".into());
            env.vars = parameters.clone();
            for (name, text) in caught {
                env.vars.insert(name, captured(text));
            }
            renamed.key = self.path(to, &mut env)?;
            if let Some(rows) = rows {
                let (low, high) = (
                    self.int(&rows.0, &mut env)?.0,
                    self.int(&rows.1, &mut env)?.0,
                );
                if renamed.rows.replace((low, high)).is_some() {
                    let text = format!("a second rule takes rows of the tensor for `{key}`");
                    return self.fail(rule.span, fault(Class::Weight, text));
                }
            }
            renamed.transposed ^= transposed;
        }
        Ok(renamed)
    }

    fn path(&mut self, path: &'a ast::Path, env: &mut Env<'a>) -> Fallible<String> {
        let mut text = String::new();
        for (at, segment) in path.segments.iter().enumerate() {
            if at > 0 {
                text.push('.');
            }
            for piece in &segment.pieces {
                let value = match piece {
                    Piece::Text(t) => {
                        text.push_str(t);
                        continue;
                    }
                    Piece::Hole(e) => (self.eval(e, env)?, e.span),
                    Piece::Rest(name) => (self.name(&name.text, name.span, env)?, name.span),
                };
                match value.0 {
                    Value::Int(i, _) => text.push_str(&i.to_string()),
                    Value::Str(s) => text.push_str(&s),
                    other => {
                        let what = other.describe();
                        let text = format!("a key takes an int or a string, got {what}");
                        return self.fail(value.1, fault(Class::Weight, text));
                    }
                }
            }
        }
        Ok(text)
    }
}

/// `3` is an int, `03` and `conv` are strings.
fn captured(text: &str) -> Value {
    match text.parse::<i64>() {
        Ok(i) if i.to_string() == text => Value::int(i),
        _ => Value::Str(Rc::from(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::Problems;

    /// The left side of the one rule of a text.
    fn caught(pattern: &str, key: &str) -> Option<Vec<(String, String)>> {
        let text = format!("weights w {{ {pattern} -> x }}");
        let file = crate::syntax::parse(0, &text, &mut Problems::new());
        let ast::ItemKind::Weights(weights) = &file.items[0].kind else {
            panic!("no rules in {text}");
        };
        let R::Rename { from, .. } = &weights.rules[0].kind else {
            panic!("no renaming in {text}");
        };
        let own = |c: Caught<'_, '_>| {
            c.iter()
                .map(|(n, t)| (n.to_string(), t.to_string()))
                .collect()
        };
        matches(from, key).map(own)
    }

    fn pairs(all: &[(&str, &str)]) -> Option<Vec<(String, String)>> {
        Some(
            all.iter()
                .map(|(n, t)| (n.to_string(), t.to_string()))
                .collect(),
        )
    }

    #[test]
    fn holes_catch_as_little_as_they_can() {
        assert_eq!(caught("a.{i}.b", "a.12.b"), pairs(&[("i", "12")]));
        assert_eq!(caught("a.{i}.b", "a.1.2.b"), None);
        assert_eq!(
            caught("norm{n}.{p}", "norm3.bias"),
            pairs(&[("n", "3"), ("p", "bias")])
        );
        assert_eq!(
            caught("{...a}.x.{...p}", "b.x.x.c"),
            pairs(&[("a", "b"), ("p", "x.c")])
        );
        assert_eq!(caught("{...p}", "a.b.c"), pairs(&[("p", "a.b.c")]));
        assert_eq!(caught("{...a}.b", "b"), None);
        assert_eq!(caught("{i}.{i}", "1.2"), None);
        assert_eq!(caught("{i}.{i}", "1.1").map(|c| c.len()), Some(2));
    }

    #[test]
    fn a_pattern_without_an_end_gives_up() {
        let pattern = "{...a}.{...b}.{...c}.{...d}.{...e}.{...f}.{...g}.z";
        let key = vec!["a"; 60].join(".");
        assert_eq!(caught(pattern, &key), None);
    }
}
