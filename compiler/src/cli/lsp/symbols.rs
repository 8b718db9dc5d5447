//! Names and what they mean: every place of a file where a name is defined or used, as occurrences of symbols. Lookup as in
//! the language: a called name is a local layer, then an item; any other is a local value. Nothing is evaluated.

use super::lookup::{Bound, find, inputs};
use std::collections::HashSet;
use std::rc::Rc;
use vsr_compiler::diag::Span;
use vsr_compiler::sema::Loaded;
use vsr_compiler::syntax::ast::*;
use vsr_compiler::syntax::visit::{Visit, walk_expr, walk_item, walk_made, walk_stmt, walk_type};

/// The item whose dims a profile gives: all models, `train` items and profiles of a file share them.
const PROFILED: u32 = u32::MAX;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Symbol {
    File(Rc<str>),
    Item {
        file: Rc<str>,
        name: Rc<str>,
    },
    /// A value, an input, or a dim of the item that starts there.
    Local {
        file: Rc<str>,
        item: u32,
        name: Rc<str>,
    },
    /// An index, of the statement or the reduction that starts there.
    Index {
        file: Rc<str>,
        start: u32,
        name: Rc<str>,
    },
}

impl Symbol {
    pub fn name(&self) -> &str {
        match self {
            Symbol::File(name)
            | Symbol::Item { name, .. }
            | Symbol::Local { name, .. }
            | Symbol::Index { name, .. } => name,
        }
    }
}

#[derive(Clone, Debug)]
pub struct Occurrence {
    pub span: Span,
    pub symbol: Symbol,
    pub defines: bool,
}

/// All occurrences in one of the files.
pub fn occurrences(files: &[Loaded], at: usize, text: &str) -> Vec<Occurrence> {
    let mut walker = Walker {
        files,
        at,
        text,
        path: files[at].path.as_str().into(),
        item: 0,
        dims: 0,
        locals: HashSet::new(),
        layers: HashSet::new(),
        indices: Vec::new(),
        found: Vec::new(),
    };
    files[at]
        .ast
        .items
        .iter()
        .for_each(|item| walker.item(item));
    walker.found
}

struct Walker<'a> {
    files: &'a [Loaded],
    at: usize,
    text: &'a str,
    path: Rc<str>,
    /// Where the item at hand starts, and to whom its dims belong.
    item: u32,
    dims: u32,
    locals: HashSet<&'a str>,
    layers: HashSet<&'a str>,
    /// Indices that are bound here: the start of who binds them, and their names.
    indices: Vec<(u32, Vec<&'a str>)>,
    found: Vec<Occurrence>,
}

impl<'a> Walker<'a> {
    fn add(&mut self, span: Span, symbol: Symbol, defines: bool) {
        self.found.push(Occurrence {
            span,
            symbol,
            defines,
        });
    }

    fn local(&self, name: &str) -> Symbol {
        let is_dim = name.starts_with(|c: char| c.is_ascii_uppercase());
        Symbol::Local {
            file: self.path.clone(),
            item: if is_dim { self.dims } else { self.item },
            name: name.into(),
        }
    }

    fn define(&mut self, name: &Ident) {
        let symbol = self.local(&name.text);
        self.add(name.span, symbol, true);
    }

    fn use_item(&mut self, name: &Ident) {
        if let Some((file, _)) = find(self.files, self.at, &name.text) {
            let symbol = Symbol::Item {
                file: file.path.as_str().into(),
                name: name.text.as_str().into(),
            };
            self.add(name.span, symbol, false);
        }
    }

    /// A value that is read: an index, a local name, or a `frozen` network's presence.
    fn value(&mut self, name: &'a str, span: Span) {
        let span = self.inside(span, name);
        let bound = self
            .indices
            .iter()
            .rev()
            .find(|(_, names)| names.contains(&name));
        if let Some((start, _)) = bound {
            let symbol = Symbol::Index {
                file: self.path.clone(),
                start: *start,
                name: name.into(),
            };
            return self.add(span, symbol, false);
        }
        self.whole(name, span);
    }

    fn whole(&mut self, name: &'a str, span: Span) {
        let span = self.inside(span, name);
        if self.locals.contains(name) {
            let symbol = self.local(name);
            return self.add(span, symbol, false);
        }
        self.use_item(&Ident {
            text: name.to_string(),
            span,
        });
    }

    /// The name itself, where brackets stand around it.
    fn inside(&self, span: Span, name: &str) -> Span {
        let text = self.text.get(span.start as usize..span.end as usize);
        let at = text.and_then(|text| text.find(name)).unwrap_or(0) as u32;
        Span {
            start: span.start + at,
            end: span.start + at + name.len() as u32,
            ..span
        }
    }

    fn callee(&mut self, name: &'a Ident) {
        if self.layers.contains(name.text.as_str()) {
            let symbol = self.local(&name.text);
            self.add(name.span, symbol, false);
        } else {
            self.use_item(name);
        }
    }

    /// `stride=2` is a use of the callee's input.
    fn arguments(&mut self, callee: &Ident, args: &'a [Arg]) {
        let Some((file, item)) = find(self.files, self.at, &callee.text) else {
            return;
        };
        let (params, tensors) = inputs(item);
        for name in args.iter().filter_map(|arg| arg.name.as_ref()) {
            if params
                .iter()
                .chain(tensors)
                .any(|input| input.name.text == name.text)
            {
                let symbol = Symbol::Local {
                    file: file.path.as_str().into(),
                    item: item.span.start,
                    name: name.text.as_str().into(),
                };
                self.add(name.span, symbol, false);
            }
        }
    }

    /// Binds the indices that stand between brackets.
    fn bind(&mut self, start: u32, index: &'a [Ix]) {
        let mut names = Vec::new();
        for ix in index {
            let (name, span) = match &ix.kind {
                IxKind::At(Expr {
                    kind: ExprKind::Name(name),
                    span,
                }) => (name.as_str(), *span),
                IxKind::Range { name, .. } | IxKind::Pack(name) => (name.text.as_str(), name.span),
                _ => continue,
            };
            names.push(name);
            let symbol = Symbol::Index {
                file: self.path.clone(),
                start,
                name: name.into(),
            };
            self.add(span, symbol, true);
        }
        for ix in index {
            if let IxKind::Range { low, high, .. } = &ix.kind {
                self.expr(low);
                self.expr(high);
            }
        }
        self.indices.push((start, names));
    }

    fn enter(&mut self, item: &'a Item) {
        self.item = item.span.start;
        let is_profiled = match &item.kind {
            ItemKind::Block(block) => block.is_model,
            kind => matches!(kind, ItemKind::Train(_) | ItemKind::Profile(_)),
        };
        self.dims = if is_profiled { PROFILED } else { self.item };
        let mut bound = Bound::default();
        bound.item(item);
        (self.locals, self.layers) = (bound.locals, bound.layers);
        let (params, tensors) = inputs(item);
        for input in params.iter().chain(tensors) {
            self.locals.insert(&input.name.text);
        }
    }
}

impl<'a> Visit<'a> for Walker<'a> {
    fn item(&mut self, item: &'a Item) {
        self.enter(item);
        match &item.kind {
            ItemKind::Use(u) => {
                u.names.iter().for_each(|name| self.use_item(name));
                let mut before = self.files[self.at].ast.items.iter();
                let n = before
                    .by_ref()
                    .take_while(|other| other.span != item.span)
                    .filter(|other| matches!(other.kind, ItemKind::Use(_)))
                    .count();
                if let Some(Some(from)) = self.files[self.at].uses.get(n) {
                    let symbol = Symbol::File(self.files[*from].path.as_str().into());
                    self.add(u.file.span, symbol, false);
                }
            }
            ItemKind::Train(train) => self.define(&train.name),
            ItemKind::Profile(profile) => {
                let is_dim =
                    |name: &&Ident| name.text.starts_with(|c: char| c.is_ascii_uppercase());
                let names = profile.settings.iter().map(|setting| &setting.name);
                names.filter(is_dim).for_each(|name| self.define(name));
            }
            _ => {
                if let Some(name) = item.name() {
                    let symbol = Symbol::Item {
                        file: self.path.clone(),
                        name: name.text.as_str().into(),
                    };
                    self.add(name.span, symbol, true);
                }
            }
        }
        if let ItemKind::Frozen(frozen) = &item.kind {
            frozen.via.iter().for_each(|via| self.use_item(via));
        }
        if let ItemKind::Op(Op {
            grad: Some(grad), ..
        }) = &item.kind
        {
            self.define(&grad.result);
            self.define(&grad.cotangent);
        }
        walk_item(self, item);
    }

    fn input(&mut self, input: &'a Input) {
        self.define(&input.name);
        self.ty(&input.ty);
        input.default.iter().for_each(|e| self.expr(e));
    }

    fn ty(&mut self, ty: &'a Type) {
        if let TypeKind::Tensor { axes, .. } = &ty.kind {
            for axis in axes {
                if let Axis::Pack(name) = axis {
                    self.define(name);
                }
            }
        }
        walk_type(self, ty);
    }

    fn stmt(&mut self, stmt: &'a Stmt) {
        let n_scopes = self.indices.len();
        match &stmt.kind {
            StmtKind::Bind { names, .. } | StmtKind::For { names, .. } => {
                names.iter().for_each(|name| self.define(name));
            }
            StmtKind::Typed { name, .. }
            | StmtKind::Param { name, .. }
            | StmtKind::State { name, .. }
            | StmtKind::Next { name, .. }
            | StmtKind::Data { name, .. }
            | StmtKind::Metric { name, .. } => self.define(name),
            StmtKind::Equation { name, index, value } => {
                self.define(name);
                self.bind(stmt.span.start, index);
                self.expr(value);
                self.indices.truncate(n_scopes);
                return;
            }
            StmtKind::If(_) => {}
        }
        walk_stmt(self, stmt);
    }

    fn expr(&mut self, expr: &'a Expr) {
        match &expr.kind {
            ExprKind::Name(name) => self.value(name, expr.span),
            ExprKind::Dim(name) => {
                let span = self.inside(expr.span, name);
                let symbol = self.local(name);
                self.add(span, symbol, false);
            }
            ExprKind::Call { name, args } => {
                self.callee(name);
                self.arguments(name, args);
                walk_expr(self, expr);
            }
            ExprKind::Each { names, .. } => {
                names.iter().for_each(|name| self.define(name));
                walk_expr(self, expr);
            }
            ExprKind::Index {
                base,
                index,
                otherwise,
            } => {
                // Brackets tell a tensor from an index of the same name.
                match &base.kind {
                    ExprKind::Name(name) => self.whole(name, base.span),
                    _ => self.expr(base),
                }
                index.iter().for_each(|ix| self.ix(ix));
                otherwise.iter().for_each(|e| self.expr(e));
            }
            ExprKind::Reduce { index, body, .. } => {
                let n_scopes = self.indices.len();
                self.bind(expr.span.start, index);
                self.expr(body);
                self.indices.truncate(n_scopes);
            }
            _ => walk_expr(self, expr),
        }
    }

    fn ix(&mut self, ix: &'a Ix) {
        match &ix.kind {
            IxKind::Pack(name) => self.value(&name.text, name.span),
            _ => vsr_compiler::syntax::visit::walk_ix(self, ix),
        }
    }

    fn made(&mut self, made: &'a Made) {
        self.use_item(&made.block);
        self.arguments(&made.block, &made.params);
        self.arguments(&made.block, made.inputs.as_deref().unwrap_or(&[]));
        walk_made(self, made);
    }

    fn stage(&mut self, stage: &'a Stage) {
        match stage {
            Stage::Apply { name, args, .. } => {
                self.callee(name);
                self.arguments(name, args);
                args.iter().for_each(|arg| self.expr(&arg.value));
            }
            Stage::Made(made) => self.made(made),
        }
    }
}
