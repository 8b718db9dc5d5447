//! Checks of every definition of the user's files, reached or not: names, calls and argument lists.
//!
//! Flow plays no part: a name counts as bound if any statement of the body binds it. What elaboration has reported
//! already is not reported again.

use super::arguments::count;
use super::builtin::BUILTINS;
use super::entries::ProblemCollector;
use super::error::{is_name, suggest, suggest_or_list, suggested};
use super::eval::sorted;
use super::module::{Def, DefKind, Program};
use super::walk;
use crate::diag::{Class, Diag, Problems, Span};
use crate::syntax::ast::{self, ExprKind as E, ItemKind, IxKind as I};
use rustc_hash::FxHashSet as HashSet;

pub fn check(program: &Program<'_>, found: &mut ProblemCollector<'_>) {
    let (reported, problems) = (&mut found.reported, &mut *found.problems);
    let is_sound = |d: &&Def<'_>| !d.standard && !program.is_broken(&d.name.text, d.module);
    for d in program.defs.iter().filter(is_sound) {
        let mut checker = Checker {
            program,
            module: d.module,
            locals: HashSet::default(),
            reported,
            problems,
        };
        checker.definition(d);
        if problems.is_full() {
            return;
        }
    }
    for (module, file) in program
        .files
        .iter()
        .enumerate()
        .filter(|(_, f)| !f.standard)
    {
        for item in &file.ast.items {
            let mut checker = Checker {
                program,
                module,
                locals: HashSet::default(),
                reported,
                problems,
            };
            match &item.kind {
                ItemKind::Train(train) => checker.train(train),
                ItemKind::Frozen(frozen) => {
                    checker.made(&frozen.network, false);
                    checker.rules(frozen);
                }
                ItemKind::Weights(weights) => checker.patterns(weights),
                _ => {}
            }
        }
    }
}

struct Checker<'p, 'a> {
    program: &'p Program<'a>,
    module: usize,
    /// Everything that the definition binds: inputs, dims, values, indices.
    locals: HashSet<&'p str>,
    reported: &'p mut HashSet<Span>,
    problems: &'p mut Problems,
}

impl<'p> Checker<'p, '_> {
    fn signature(&mut self, d: &'p Def<'p>) {
        let mut seen = HashSet::default();
        for input in d.parameters.iter().chain(d.inputs) {
            let name = input.name.text.as_str();
            if !seen.insert(name) {
                let text = format!("{} has two inputs called `{name}`", d.name.text);
                self.report(Class::Name, input.name.span, text, None);
            }
        }
        let is_tensor = |ty: &ast::Type| matches!(ty.kind, ast::TypeKind::Tensor { .. });
        if let Some(input) = d.parameters.iter().find(|i| is_tensor(&i.ty)) {
            let text = format!(
                "`{}` is a tensor; it belongs in the second list of {}",
                input.name.text, d.name.text
            );
            self.report(Class::Type, input.span, text, None);
        }
        let missing = d.parameters.iter().find(|i| i.default.is_none());
        if let Some(input) = missing.filter(|_| d.kind == DefKind::Model) {
            let text = format!(
                "`{}` of model {} needs a default",
                input.name.text, d.name.text
            );
            self.report(Class::Param, input.span, text, None);
        }
    }

    fn definition(&mut self, d: &'p Def<'p>) {
        self.signature(d);
        self.solvable(d);
        for input in d.parameters.iter().chain(d.inputs) {
            self.locals.insert(&input.name.text);
            self.bind_type(&input.ty);
        }
        self.bind_body(d.body);
        for input in d.parameters.iter().chain(d.inputs) {
            input.default.iter().for_each(|e| self.expr(e, false));
        }
        if let Some(result) = d.result {
            self.precision(result);
            walk::each_in_type(result, &mut |e| self.expr(e, false));
        }
        d.wheres.iter().for_each(|e| self.expr(e, false));
        self.unread(d);
        walk::each_in_body(d.body, &mut |e| self.expr(e, false));
        if let Some(grad) = d.grad {
            self.locals.insert(&grad.result.text);
            self.locals.insert(&grad.cotangent.text);
            self.bind_body(&grad.body);
            walk::each_in_body(&grad.body, &mut |e| self.expr(e, false));
        }
    }

    /// Every weight is read somewhere in its block.
    fn unread(&mut self, d: &'p Def<'p>) {
        let mut declared = vec![];
        walk::each_statement(d.body, &mut |stmt| {
            if let ast::StmtKind::Param { name, .. } = &stmt.kind {
                declared.push(name);
            }
        });
        let mut read = HashSet::default();
        walk::each_in_body(d.body, &mut |e| {
            walk::each_name(e, &mut |name, _| {
                read.insert(name);
            });
        });
        for name in declared
            .iter()
            .filter(|name| !read.contains(name.text.as_str()))
        {
            let text = format!("`{}` is a weight that nothing reads", name.text);
            let help =
                "use it, or delete the line: it would be stored and loaded for nothing".to_string();
            self.report(Class::Weight, name.span, text, Some(help));
        }
    }

    /// Whether the axes of all inputs together determine every dim is a matter of the text alone.
    fn solvable(&mut self, d: &'p Def<'p>) {
        let mut known: HashSet<&str> = HashSet::default();
        let axes = d.inputs.iter().filter_map(|input| match &input.ty.kind {
            ast::TypeKind::Tensor { axes, .. } => Some(axes),
            _ => None,
        });
        let mut todo: Vec<&ast::Expr> = axes
            .flatten()
            .filter_map(|axis| match axis {
                ast::Axis::Dim(e) => Some(e),
                ast::Axis::Pack(_) => None,
            })
            .collect();
        loop {
            let before = todo.len();
            todo.retain(|e| {
                let unknown = unknown_dims(e, &known);
                known.extend(unknown.first().filter(|_| unknown.len() == 1));
                unknown.len() > 1
            });
            if todo.len() == before {
                break;
            }
        }
        if let Some(e) = todo.first() {
            let names = unknown_dims(e, &known).join("`, `");
            let text = format!(
                "`{}` does not determine `{names}`",
                self.program.text(e.span)
            );
            self.report(Class::Dim, e.span, text, None);
        }
    }

    /// Left of an arrow and after `ignore`, a hole is a name.
    fn patterns(&mut self, weights: &'p ast::Weights) {
        for rule in &weights.rules {
            let (ast::WeightRuleKind::Ignore(path)
            | ast::WeightRuleKind::Rename { from: path, .. }) = &rule.kind;
            for piece in path.segments.iter().flat_map(|s| &s.pieces) {
                if let ast::Piece::Hole(e) = piece
                    && super::rename::hole(e).is_none()
                {
                    let text =
                        "this hole catches a part of a key, so it is a name: `{i}`".to_string();
                    let help = "right of the arrow it may compute: `{2*i + 1}`".to_string();
                    self.report(Class::Weight, e.span, text, Some(help));
                }
            }
        }
    }

    fn train(&mut self, train: &'p ast::Train) {
        self.locals
            .extend(["step", "epoch", train.name.text.as_str()]);
        self.locals
            .extend(train.params.iter().map(|p| p.name.text.as_str()));
        self.bind_body(&train.body);
        self.made(&train.network, false);
        walk::each_in_body(&train.body, &mut |e| self.train_expr(e));
    }

    /// Dims of a `train` body come from profiles.
    fn train_expr(&mut self, e: &'p ast::Expr) {
        self.bind_dims(e);
        self.expr(e, false);
    }

    fn bind_type(&mut self, ty: &'p ast::Type) {
        self.precision(ty);
        walk::each_in_type(ty, &mut |e| self.bind_dims(e));
    }

    /// A type may keep a tensor in f32; every other precision is the profile's.
    fn precision(&mut self, ty: &'p ast::Type) {
        if let ast::TypeKind::Tensor {
            precision: Some(p), ..
        } = &ty.kind
            && *p != ast::DType::F32
        {
            let text = format!(
                "a type says `f32[…]` or nothing; `{}` is for a profile's `float`",
                p.name()
            );
            self.report(Class::Type, ty.span, text, None);
        }
    }

    fn bind_dims(&mut self, e: &'p ast::Expr) {
        if let E::Dim(name) = &e.kind {
            self.locals.insert(name);
        }
        walk::each_child(e, &mut |x| self.bind_dims(x));
    }

    fn bind_body(&mut self, body: &'p ast::Body) {
        walk::each_bound(body, &mut |name| {
            self.locals.insert(&name.text);
        });
        self.bind_statements(body);
        walk::each_in_body(body, &mut |e| self.bind_indices(e));
    }

    fn bind_statements(&mut self, body: &'p ast::Body) {
        for stmt in &body.stmts {
            match &stmt.kind {
                ast::StmtKind::Typed { ty, .. } => self.bind_type(ty),
                ast::StmtKind::Equation { index, .. } => self.bind_index(index),
                ast::StmtKind::For { body, .. } => self.bind_statements(body),
                ast::StmtKind::If(choice) => {
                    self.bind_statements(&choice.then);
                    choice
                        .otherwise
                        .iter()
                        .for_each(|b| self.bind_statements(b));
                }
                _ => {}
            }
        }
    }

    fn bind_index(&mut self, index: &'p [ast::Ix]) {
        for ix in index {
            match &ix.kind {
                I::At(ast::Expr {
                    kind: E::Name(name),
                    ..
                }) => {
                    self.locals.insert(name);
                }
                I::Range { name, .. } => {
                    self.locals.insert(&name.text);
                }
                _ => {}
            }
        }
    }

    fn bind_indices(&mut self, e: &'p ast::Expr) {
        match &e.kind {
            E::Reduce { index, .. } => self.bind_index(index),
            E::Each { names, .. } => self.locals.extend(names.iter().map(|n| n.text.as_str())),
            _ => {}
        }
        walk::each_child(e, &mut |x| self.bind_indices(x));
    }

    fn expr(&mut self, e: &'p ast::Expr, piped: bool) {
        if self.problems.is_full() {
            return;
        }
        match &e.kind {
            E::Name(name) => self.name(name, e.span),
            E::Dim(name) => self.dim(name, e.span),
            E::Call { name, args } => self.call(name, args, piped, e.span),
            E::Made(made) => self.made(made, piped),
            E::Pipe {
                stage: ast::Stage::Apply { name, args, span },
                ..
            } => self.call(name, args, true, *span),
            E::Pipe {
                stage: ast::Stage::Made(made),
                ..
            } => self.made(made, true),
            _ => {}
        }
        walk::each_child(e, &mut |x| self.expr(x, false));
    }

    fn report(&mut self, class: Class, span: Span, text: String, help: Option<String>) {
        if self.reported.insert(span) {
            let mut diag = Diag::new(class, span, text);
            if let Some(new) = help.as_deref().and_then(suggested)
                && is_name(self.program.text(span))
            {
                diag = diag.edit(span, new);
            }
            diag.help = help;
            self.problems.push(diag);
        }
    }

    fn name(&mut self, name: &'p str, span: Span) {
        let known = self.locals.contains(name)
            || name == "training"
            || self.program.is_broken(name, self.module);
        if known || self.program.frozen(name, self.module).is_some() {
            return;
        }
        // Inside of what has been reported, a name may well be missing because of that.
        let covers = |other: &Span| {
            other.file == span.file && other.start <= span.start && span.end <= other.end
        };
        if self.reported.iter().any(covers) {
            return;
        }
        let known = sorted(self.locals.iter().copied());
        let help = suggest_or_list(name, "bound here are", &known);
        self.report(Class::Name, span, format!("`{name}` is not bound"), help);
    }

    fn dim(&mut self, name: &'p str, span: Span) {
        if !self.locals.contains(name) {
            let upper = self
                .locals
                .iter()
                .copied()
                .filter(|n| n.starts_with(|c: char| c.is_ascii_uppercase()));
            let help = suggest(name, sorted(upper));
            self.report(
                Class::Dim,
                span,
                format!("`{name}` is not bound by an input"),
                help,
            );
        }
    }

    fn call(&mut self, name: &'p ast::Ident, args: &'p [ast::Arg], piped: bool, span: Span) {
        let word = name.text.as_str();
        let special = ["uniform", "normal", "clips"];
        if self.locals.contains(word)
            || self.program.is_broken(word, self.module)
            || special.contains(&word)
            || self.program.frozen(word, self.module).is_some()
        {
            return;
        }
        let def = self
            .program
            .find(word, self.module)
            .map(|d| &self.program.defs[d]);
        let own = def.is_some_and(|d| !d.standard);
        if !own && let Some((_, _, names)) = BUILTINS.iter().find(|b| b.0 == word) {
            if !names.is_empty() {
                let names: Vec<&str> = names.to_vec();
                self.arguments(&format!("`{word}`"), &names, args, piped);
            }
            return;
        }
        match def {
            Some(d) if d.kind == DefKind::Op => self.inputs(d, d.inputs, args, piped, span),
            Some(_) => {}
            None => {
                let help = suggest(word, sorted(self.program.callables(self.module)));
                self.report(
                    Class::Name,
                    name.span,
                    format!("no op or layer `{word}`"),
                    help,
                );
            }
        }
    }

    fn made(&mut self, made: &'p ast::Made, piped: bool) {
        let word = made.block.text.as_str();
        if self.program.is_broken(word, self.module) {
            return;
        }
        let def = self
            .program
            .find(word, self.module)
            .map(|d| &self.program.defs[d]);
        let Some(d) = def.filter(|d| d.kind != DefKind::Op) else {
            let help = suggest(word, sorted(self.program.callables(self.module)));
            self.report(
                Class::Name,
                made.block.span,
                format!("no block `{word}`"),
                help,
            );
            return;
        };
        self.inputs(d, d.parameters, &made.params, false, made.block.span);
        if piped || made.inputs.is_some() {
            self.inputs(
                d,
                d.inputs,
                made.inputs.as_deref().unwrap_or(&[]),
                piped,
                made.span,
            );
        }
    }

    /// Names and number of arguments, and that none without a default is missing.
    fn inputs(
        &mut self,
        d: &Def<'_>,
        inputs: &[ast::Input],
        args: &'p [ast::Arg],
        piped: bool,
        span: Span,
    ) {
        let names: Vec<&str> = inputs.iter().map(|i| i.name.text.as_str()).collect();
        self.arguments(&d.name.text, &names, args, piped);
        let positional = usize::from(piped) + args.iter().filter(|a| a.name.is_none()).count();
        let missing = inputs.iter().enumerate().find(|(at, input)| {
            let named = args
                .iter()
                .any(|a| a.name.as_ref().is_some_and(|n| n.text == input.name.text));
            *at >= positional && !named && input.default.is_none()
        });
        if let Some((_, input)) = missing {
            let (name, of) = (&input.name.text, &d.name.text);
            let is_piped = piped || matches!(input.ty.kind, ast::TypeKind::Tensor { .. });
            let help = format!("give it by place or by name: `{of}({name}=…)`");
            let text = format!("`{name}` of {of} is missing");
            self.report(Class::Param, span, text, (!is_piped).then_some(help));
        }
    }

    fn arguments(&mut self, what: &str, names: &[&str], args: &'p [ast::Arg], piped: bool) {
        let mut positional = usize::from(piped);
        for arg in args {
            match &arg.name {
                None => {
                    positional += 1;
                    if positional > names.len() {
                        let text =
                            format!("{what} takes {}, got more", count(names.len(), "argument"));
                        self.report(Class::Param, arg.value.span, text, None);
                    }
                }
                Some(name) if !names.contains(&name.text.as_str()) => {
                    let help = suggest_or_list(&name.text, &format!("{what} takes"), names);
                    let text = format!("{what} has no parameter `{}`", name.text);
                    self.report(Class::Param, name.span, text, help);
                }
                Some(_) => {}
            }
        }
    }

    fn rules(&mut self, frozen: &'p ast::Frozen) {
        if let Some(via) = &frozen.via
            && !self.program.is_broken(&via.text, self.module)
            && self.program.rules(&via.text, self.module).is_none()
        {
            let text = format!("no `weights {}` in this file, nor imported", via.text);
            self.report(Class::Name, via.span, text, None);
        }
    }
}

/// The dims of an axis that are not known yet, each as often as it occurs.
fn unknown_dims<'p>(e: &'p ast::Expr, known: &HashSet<&str>) -> Vec<&'p str> {
    match &e.kind {
        E::Dim(name) if !known.contains(name.as_str()) => vec![name],
        _ => {
            let mut all = vec![];
            walk::each_child(e, &mut |x| all.extend(unknown_dims(x, known)));
            all
        }
    }
}
