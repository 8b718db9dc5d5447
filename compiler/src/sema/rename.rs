//! `weights` rules: from a network's own key to the key in a file, and which part of that file's tensor is meant.
//!
//! Enters a key and the rules; leaves the renamed key. No file is looked at here.

use super::elab::Elab;
use super::error::{Fallible, fault};
use super::scope::Env;
use super::value::Value;
use crate::diag::{Class, Span};
use crate::syntax::ast::{self, Piece, WeightRuleKind as R};
use rustc_hash::FxHashMap as HashMap;
use std::rc::Rc;
use vsr_weightfile::pattern::{Caught, Token, catch};

/// A key of the file, and the part of its tensor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Renamed {
    pub key: String,
    /// `[a:b]` of the first axis.
    pub rows: Option<(i64, i64)>,
    pub transposed: bool,
}

/// Matches a whole key with a path's pieces.
pub fn matches<'a, 'k>(pattern: &'a ast::Path, key: &'k str) -> Option<Caught<'a, 'k>> {
    catch(&tokens(pattern)?, key)
}

fn tokens(pattern: &ast::Path) -> Option<Vec<Token<'_>>> {
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
    Some(tokens)
}

/// A pattern as `vsr_weightfile::pattern::tokens` reads it.
pub fn written(pattern: &ast::Path) -> Option<String> {
    let words = tokens(pattern)?.into_iter().map(|token| match token {
        Token::Text(text) => text.to_string(),
        Token::One(name) => format!("{{{name}}}"),
        Token::Rest(name) => format!("{{...{name}}}"),
    });
    Some(words.collect())
}

/// The name in a hole of a pattern.
pub fn hole(e: &ast::Expr) -> Option<&str> {
    match &e.kind {
        ast::ExprKind::Name(name) => Some(name),
        _ => None,
    }
}

/// The renaming rules of a `weights` item, whose left sides are read once for all keys.
pub struct Rules<'a> {
    rules: Vec<Rule<'a>>,
}

struct Rule<'a> {
    from: Vec<Token<'a>>,
    to: &'a ast::Path,
    rows: Option<&'a (ast::Expr, ast::Expr)>,
    transposed: bool,
    span: Span,
}

impl<'a> Rules<'a> {
    pub fn new(item: Option<&'a ast::Weights>) -> Rules<'a> {
        let rules = item.into_iter().flat_map(|item| &item.rules);
        Rules {
            rules: rules.filter_map(Rule::new).collect(),
        }
    }
}

impl<'a> Rule<'a> {
    /// None: it renames nothing, or its left side has been reported.
    fn new(rule: &'a ast::WeightRule) -> Option<Rule<'a>> {
        let R::Rename {
            from,
            to,
            rows,
            transposed,
        } = &rule.kind
        else {
            return None;
        };
        Some(Rule {
            from: tokens(from)?,
            to,
            rows: rows.as_deref(),
            transposed: *transposed,
            span: rule.span,
        })
    }
}

impl Rule<'_> {
    /// Each hole may end at any segment, as often as the holes before it have ended elsewhere.
    fn steps(&self, n_segments: u64) -> u64 {
        const MAX_TRIES: u64 = 20_000;
        let is_hole = |token: &&Token<'_>| !matches!(token, Token::Text(_));
        let n_holes = self.from.iter().filter(is_hole).count() as u32;
        1 + n_segments.saturating_pow(n_holes).min(MAX_TRIES) / 16
    }
}

impl<'a> Elab<'a, '_> {
    /// Each rule once, in order, on what the rules before made of the key. The right side sees what the left side
    /// caught and the network's parameters.
    pub fn renamed(
        &mut self,
        rules: &Rules<'a>,
        parameters: &HashMap<&'a str, Value>,
        key: &str,
    ) -> Fallible<Renamed> {
        let mut renamed = Renamed {
            key: key.into(),
            ..Renamed::default()
        };
        let n_segments = 1 + key.matches('.').count() as u64;
        for rule in &rules.rules {
            self.spend_many(rule.span, rule.steps(n_segments))?;
            let Some(caught) = catch(&rule.from, &renamed.key) else {
                continue;
            };
            let mut env = Env::new(0, None, "".into());
            env.vars = parameters.clone();
            for (name, text) in caught {
                env.vars.insert(name, captured(text));
            }
            let key = std::mem::replace(&mut renamed.key, self.path(rule.to, &mut env)?);
            if let Some(rows) = rule.rows {
                let (low, high) = (
                    self.int(&rows.0, &mut env)?.0,
                    self.int(&rows.1, &mut env)?.0,
                );
                if renamed.rows.replace((low, high)).is_some() {
                    let text = format!("a second rule takes rows of the tensor for `{key}`");
                    return self.fail(rule.span, fault(Class::Weight, text));
                }
            }
            renamed.transposed ^= rule.transposed;
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
