//! Who sees which item, and what an item binds: own items, then imported ones, then the standard library.

use std::collections::HashSet;
use vsr_compiler::sema::Loaded;
use vsr_compiler::syntax::ast::*;
use vsr_compiler::syntax::visit::{Visit, walk_expr, walk_item, walk_stmt};

/// The item of that name that a file sees: its own, an imported one, or the standard library's.
pub fn find<'a>(files: &'a [Loaded], at: usize, name: &str) -> Option<(&'a Loaded, &'a Item)> {
    let own = |file: &'a Loaded| {
        let is_callable =
            |item: &&Item| !matches!(item.kind, ItemKind::Train(_) | ItemKind::Profile(_));
        let named = |item: &&Item| item.name().is_some_and(|own| own.text == name);
        let item = file.ast.items.iter().filter(is_callable).find(named);
        item.map(|item| (file, item))
    };
    let imported = || {
        let file = &files[at];
        let uses = file.ast.items.iter().filter_map(|item| match &item.kind {
            ItemKind::Use(u) => Some(u),
            _ => None,
        });
        uses.zip(&file.uses)
            .filter(|(u, _)| u.names.iter().any(|own| own.text == name))
            .find_map(|(_, from)| own(&files[(*from)?]))
    };
    let standard = || files.iter().filter(|file| file.standard).find_map(own);
    own(&files[at]).or_else(imported).or_else(standard)
}

/// The two lists of inputs of an item; ops have one.
pub fn inputs(item: &Item) -> (&[Input], &[Input]) {
    match &item.kind {
        ItemKind::Op(op) => (&[], &op.inputs),
        ItemKind::Block(block) => (&block.params, &block.inputs),
        ItemKind::Train(train) => (&train.params, &[]),
        _ => (&[], &[]),
    }
}

/// What an item binds: all names, and those of layers.
#[derive(Default)]
pub struct Bound<'a> {
    pub locals: HashSet<&'a str>,
    pub layers: HashSet<&'a str>,
}

impl<'a> Visit<'a> for Bound<'a> {
    fn item(&mut self, item: &'a Item) {
        if let ItemKind::Train(train) = &item.kind {
            self.layers.insert(&train.name.text);
            self.locals.extend(["step", "epoch"]);
        }
        if let ItemKind::Op(Op {
            grad: Some(grad), ..
        }) = &item.kind
        {
            self.locals.insert(&grad.result.text);
            self.locals.insert(&grad.cotangent.text);
        }
        walk_item(self, item);
    }

    fn stmt(&mut self, stmt: &'a Stmt) {
        match &stmt.kind {
            StmtKind::Bind { names, value } => {
                self.locals
                    .extend(names.iter().map(|name| name.text.as_str()));
                if matches!(&value.kind, ExprKind::Made(made) if made.inputs.is_none()) {
                    self.layers.insert(&names[0].text);
                }
            }
            StmtKind::For { names, .. } => {
                self.locals
                    .extend(names.iter().map(|name| name.text.as_str()));
            }
            StmtKind::Typed { name, .. }
            | StmtKind::Equation { name, .. }
            | StmtKind::Param { name, .. }
            | StmtKind::State { name, .. }
            | StmtKind::Next { name, .. }
            | StmtKind::Data { name, .. }
            | StmtKind::Metric { name, .. } => {
                self.locals.insert(&name.text);
            }
            StmtKind::If(_) => {}
        }
        walk_stmt(self, stmt);
    }

    fn expr(&mut self, expr: &'a Expr) {
        if let ExprKind::Each { names, .. } = &expr.kind {
            self.locals
                .extend(names.iter().map(|name| name.text.as_str()));
        }
        walk_expr(self, expr);
    }
}
