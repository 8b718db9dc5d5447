//! What the formatter takes from the tree: where statements, rules and settings start, and which `{` hold them. The
//! tokens alone cannot say, because newlines mean nothing.

use std::collections::HashSet;

use crate::syntax::ast::*;
use crate::syntax::visit::{Visit, walk_body, walk_stmt};

#[derive(Default)]
pub(super) struct Outline<'t> {
    pub text: &'t str,
    /// Where items, statements, values, rules, settings and `grad` start.
    pub starts: HashSet<usize>,
    /// Where the `{` of bodies stand; every other `{` is part of a key.
    pub braces: HashSet<usize>,
}

impl<'t> Outline<'t> {
    pub fn of(file: &File, text: &'t str) -> Outline<'t> {
        let mut outline = Outline {
            text,
            ..Outline::default()
        };
        file.items.iter().for_each(|item| outline.item_of(item));
        outline
    }

    fn start(&mut self, span: crate::diag::Span) {
        self.starts.insert(span.start as usize);
    }

    fn brace(&mut self, at: usize) {
        if self.text[at..].starts_with('{') {
            self.braces.insert(at);
        }
    }

    /// The first `{` behind `at`: nothing but a comment could hold another one before it.
    fn brace_after(&mut self, name: &Ident) {
        let mut at = name.span.end as usize;
        let bytes = self.text.as_bytes();
        while at < bytes.len() && bytes[at] != b'{' {
            at = match bytes[at] {
                b'#' => self.text[at..].find('\n').map_or(bytes.len(), |n| at + n),
                _ => at + 1,
            };
        }
        if at < bytes.len() {
            self.brace(at);
        }
    }

    fn item_of(&mut self, item: &Item) {
        self.start(item.span);
        match &item.kind {
            ItemKind::Weights(weights) => {
                self.brace_after(&weights.name);
                weights.rules.iter().for_each(|rule| self.start(rule.span));
            }
            ItemKind::Profile(profile) => {
                self.brace_after(&profile.name);
                let settings = profile.settings.iter();
                settings.for_each(|setting| self.start(setting.span));
            }
            ItemKind::Op(Op {
                grad: Some(grad), ..
            }) => self.start(grad.span),
            _ => {}
        }
        self.item(item);
    }
}

impl<'a> Visit<'a> for Outline<'_> {
    fn body(&mut self, body: &'a Body) {
        self.brace(body.span.start as usize);
        let is_braced = self.braces.contains(&(body.span.start as usize));
        if let Some(value) = &body.value
            && is_braced
        {
            self.start(value.span);
        }
        walk_body(self, body);
    }

    fn stmt(&mut self, stmt: &'a Stmt) {
        if starts_line(stmt) {
            self.start(stmt.span);
        }
        walk_stmt(self, stmt);
    }
}

/// The `if` of an `else if` has no line of its own: its span starts at the condition, not at the word.
fn starts_line(stmt: &Stmt) -> bool {
    match &stmt.kind {
        StmtKind::If(choice) => stmt.span.start < choice.condition.span.start,
        _ => true,
    }
}
