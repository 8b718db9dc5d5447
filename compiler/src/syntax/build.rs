//! Pest's pairs to the tree, and the rules of the text that a grammar says badly: statements start a line, a body ends
//! in a value, what stands left of `=`. Expressions are in `build_expr.rs`. The grammar fixes which pairs come, so a
//! missing one is our bug.

use std::iter::{Filter, Peekable};

use pest::iterators::{Pair, Pairs};

use super::ast::*;
use super::parse::Rule;
use super::scan::Scan;
use crate::diag::{Class, Diag, Problems, Span};

/// Inputs of one list, and axes of a type.
const MAX_INPUTS: usize = 256;
pub const MAX_AXES: usize = 32;

/// The children of one rule, in order.
pub(super) type Inner<'i> = Peekable<Filter<Pairs<'i, Rule>, fn(&Pair<'i, Rule>) -> bool>>;

pub(super) struct Builder<'a> {
    file: u32,
    /// Where the chunk starts in the dense text, which pairs are of.
    base: usize,
    text: &'a str,
    scan: &'a Scan,
    pub(super) problems: &'a mut Problems,
    /// The height of the expression built last: trees are walked recursively, so they stay low.
    pub(super) height: u32,
    /// The greatest height since the innermost `{`.
    pub(super) peak: u32,
}

impl<'a> Builder<'a> {
    pub fn new(
        file: u32,
        base: usize,
        text: &'a str,
        scan: &'a Scan,
        problems: &'a mut Problems,
    ) -> Builder<'a> {
        Builder {
            file,
            base,
            text,
            scan,
            problems,
            height: 0,
            peak: 0,
        }
    }

    pub fn chunk(&mut self, pairs: Pairs<'_, Rule>, items: &mut Vec<Item>) {
        let mut last: Option<Span> = None;
        for chunk in pairs {
            for pair in chunk
                .into_inner()
                .filter(|pair| pair.as_rule() != Rule::EOI)
            {
                let item = self.item(pair);
                if self.check_own_line(last, item.span, "each item starts a new line") {
                    last = Some(item.span);
                    items.push(item);
                }
            }
        }
    }

    fn item(&mut self, pair: Pair<'_, Rule>) -> Item {
        let span = self.span(&pair);
        let rule = pair.as_rule();
        let inner = &mut significant(pair);
        let kind = match rule {
            Rule::use_ => ItemKind::Use(self.use_(inner)),
            Rule::op => ItemKind::Op(self.op(inner)),
            Rule::block => ItemKind::Block(self.block(inner)),
            Rule::weights => ItemKind::Weights(self.weights(inner)),
            Rule::frozen => ItemKind::Frozen(self.frozen(inner)),
            Rule::train => ItemKind::Train(self.train(inner)),
            Rule::profile => ItemKind::Profile(self.profile(inner)),
            rule => unreachable!("{rule:?} is no item"),
        };
        Item {
            doc: self.scan.doc_above(span.start as usize),
            kind,
            span,
        }
    }

    fn use_(&mut self, inner: &mut Inner<'_>) -> Use {
        let mut names = Vec::new();
        while let Some(pair) = take(inner, Rule::word) {
            names.push(self.word(pair));
        }
        Use {
            names,
            file: self.string(one(inner)),
        }
    }

    fn op(&mut self, inner: &mut Inner<'_>) -> Op {
        Op {
            name: self.ident(&one(inner)),
            inputs: self.inputs(one(inner)),
            result: self.result(inner),
            conditions: self.conditions(inner),
            kernel: take(inner, Rule::kernel).map(|pair| self.ident(&one(&mut significant(pair)))),
            body: self.item_body(one(inner)),
            grad: take(inner, Rule::grad).map(|pair| self.grad(pair)),
        }
    }

    fn grad(&mut self, pair: Pair<'_, Rule>) -> Grad {
        let span = self.span(&pair);
        let inner = &mut significant(pair);
        Grad {
            result: self.ident(&one(inner)),
            cotangent: self.ident(&one(inner)),
            body: self.item_body(one(inner)),
            span,
        }
    }

    fn block(&mut self, inner: &mut Inner<'_>) -> Block {
        Block {
            is_model: one(inner).as_str() == "model",
            name: self.ident(&one(inner)),
            params: self.inputs(one(inner)),
            inputs: self.inputs(one(inner)),
            result: self.result(inner),
            conditions: self.conditions(inner),
            body: self.item_body(one(inner)),
        }
    }

    fn inputs(&mut self, pair: Pair<'_, Rule>) -> Vec<Input> {
        let span = self.span(&pair);
        let inputs: Vec<Input> = significant(pair).map(|pair| self.input(pair)).collect();
        if inputs.len() > MAX_INPUTS {
            let message = format!("{} inputs; {MAX_INPUTS} are the most", inputs.len());
            self.error(span, message);
        }
        inputs
    }

    fn input(&mut self, pair: Pair<'_, Rule>) -> Input {
        let span = self.span(&pair);
        let inner = &mut significant(pair);
        Input {
            name: self.ident(&one(inner)),
            ty: self.ty(one(inner)),
            default: inner.next().map(|pair| self.expr(pair)),
            span,
        }
    }

    fn result(&mut self, inner: &mut Inner<'_>) -> Option<Type> {
        take(inner, Rule::result).map(|pair| self.ty(one(&mut significant(pair))))
    }

    fn conditions(&mut self, inner: &mut Inner<'_>) -> Vec<Expr> {
        let Some(pair) = take(inner, Rule::where_) else {
            return Vec::new();
        };
        significant(pair).map(|pair| self.expr(pair)).collect()
    }

    fn weights(&mut self, inner: &mut Inner<'_>) -> Weights {
        let name = self.ident(&one(inner));
        Weights {
            name,
            rules: inner.map(|pair| self.weight_rule(pair)).collect(),
        }
    }

    fn weight_rule(&mut self, pair: Pair<'_, Rule>) -> WeightRule {
        let span = self.span(&pair);
        let is_ignore = pair.as_rule() == Rule::ignore;
        let inner = &mut significant(pair);
        let from = self.path(one(inner));
        if is_ignore {
            return WeightRule {
                kind: WeightRuleKind::Ignore(from),
                span,
            };
        }
        let to = self.path(one(inner));
        let rows = take(inner, Rule::cut).map(|pair| {
            let inner = &mut significant(pair);
            Box::new((self.expr(one(inner)), self.expr(one(inner))))
        });
        let transposed = take(inner, Rule::transposed).is_some();
        WeightRule {
            kind: WeightRuleKind::Rename {
                from,
                to,
                rows,
                transposed,
            },
            span,
        }
    }

    fn frozen(&mut self, inner: &mut Inner<'_>) -> Frozen {
        Frozen {
            name: self.ident(&one(inner)),
            is_optional: take(inner, Rule::maybe).is_some(),
            network: self.called(one(inner)),
            file: self.string(one(inner)),
            via: take(inner, Rule::name).map(|pair| self.ident(&pair)),
            precision: take(inner, Rule::dtype).map(|pair| dtype(&pair)),
        }
    }

    fn train(&mut self, inner: &mut Inner<'_>) -> Train {
        let name = self.ident(&one(inner));
        let params = take(inner, Rule::inputs).map_or(Vec::new(), |pair| self.inputs(pair));
        Train {
            name,
            params,
            network: self.called(one(inner)),
            body: self.braces(one(inner)),
        }
    }

    fn profile(&mut self, inner: &mut Inner<'_>) -> Profile {
        let name = self.ident(&one(inner));
        Profile {
            name,
            settings: inner.map(|pair| self.setting(pair)).collect(),
        }
    }

    fn setting(&mut self, pair: Pair<'_, Rule>) -> Setting {
        let span = self.span(&pair);
        let inner = &mut significant(pair);
        let name = self.word(one(inner));
        let pair = one(inner);
        let value = match pair.as_rule() {
            Rule::dtype => SettingValue::Precision(dtype(&pair)),
            _ => match self.number(&pair) {
                ExprKind::Float(x) => SettingValue::Float(x),
                ExprKind::Int(n) => SettingValue::Int(n),
                kind => unreachable!("{kind:?} is no number"),
            },
        };
        Setting { name, value, span }
    }

    pub(super) fn ty(&mut self, pair: Pair<'_, Rule>) -> Type {
        let span = self.span(&pair);
        let inner = &mut significant(pair);
        if let Some(pair) = take(inner, Rule::scalar) {
            let kind = match pair.as_str() {
                "int" => TypeKind::Int,
                "float" => TypeKind::Float,
                "bool" => TypeKind::Bool,
                "str" => TypeKind::Str,
                _ => TypeKind::List,
            };
            return Type { kind, span };
        }
        let precision = take(inner, Rule::dtype).map(|pair| dtype(&pair));
        let axes: Vec<Axis> = inner.map(|pair| self.axis(pair)).collect();
        if axes.len() > MAX_AXES {
            let message = format!("a tensor of {} axes; {MAX_AXES} are the most", axes.len());
            self.error(span, message);
        }
        Type {
            kind: TypeKind::Tensor { precision, axes },
            span,
        }
    }

    fn axis(&mut self, pair: Pair<'_, Rule>) -> Axis {
        let pair = one(&mut significant(pair));
        match pair.as_rule() {
            Rule::pack => Axis::Pack(self.pack(pair)),
            _ => Axis::Dim(self.expr(pair)),
        }
    }

    pub(super) fn pack(&mut self, pair: Pair<'_, Rule>) -> Ident {
        self.word(one(&mut significant(pair)))
    }

    /// A body that must give a value: of an op, a block or a `grad`.
    fn item_body(&mut self, pair: Pair<'_, Rule>) -> Body {
        let span = self.span(&pair);
        let pair = one(&mut significant(pair));
        if pair.as_rule() == Rule::braces {
            let n_problems = self.problems.len();
            let body = self.braces(pair);
            // What is wrong above may well be why there is no value.
            if self.problems.len() == n_problems {
                self.check_value(&body);
            }
            return body;
        }
        let value = Some(Box::new(self.expr(pair)));
        Body {
            stmts: Vec::new(),
            value,
            span,
        }
    }

    pub(super) fn braces(&mut self, pair: Pair<'_, Rule>) -> Body {
        let outer_peak = std::mem::take(&mut self.peak);
        let body = self.lines(pair);
        self.height = self.peak + 1;
        self.peak = outer_peak.max(self.height);
        body
    }

    fn lines(&mut self, pair: Pair<'_, Rule>) -> Body {
        let span = self.span(&pair);
        let mut body = Body {
            stmts: Vec::new(),
            value: None,
            span,
        };
        let mut last: Option<Span> = None;
        for pair in significant(pair) {
            let own = self.span(&pair);
            if let Some(value) = body.value.take() {
                self.stray_value(&value, own);
            } else if !self.check_own_line(last, own, "each statement starts a new line") {
                continue;
            }
            last = Some(own);
            match self.stmt(pair) {
                Line::Stmt(kind) => body.stmts.push(Stmt { kind, span: own }),
                Line::Value(value) => body.value = Some(Box::new(value)),
                Line::Wrong => {}
            }
        }
        body
    }

    fn stmt(&mut self, pair: Pair<'_, Rule>) -> Line {
        let rule = pair.as_rule();
        if rule == Rule::line {
            return self.line(pair);
        }
        let inner = &mut significant(pair);
        Line::Stmt(match rule {
            Rule::param => StmtKind::Param {
                name: self.ident(&one(inner)),
                label: take(inner, Rule::label).map(|pair| self.label(pair)),
                ty: self.ty(one(inner)),
                init: inner.next().map(|pair| self.expr(pair)),
            },
            Rule::state => StmtKind::State {
                name: self.ident(&one(inner)),
                label: take(inner, Rule::label).map(|pair| self.label(pair)),
                ty: self.ty(one(inner)),
                init: self.expr(one(inner)),
            },
            Rule::next => StmtKind::Next {
                name: self.ident(&one(inner)),
                value: self.expr(one(inner)),
            },
            Rule::data => StmtKind::Data {
                name: self.ident(&one(inner)),
                ty: self.ty(one(inner)),
                value: self.expr(one(inner)),
            },
            Rule::metric => StmtKind::Metric {
                name: self.ident(&one(inner)),
                value: self.expr(one(inner)),
            },
            Rule::for_ => StmtKind::For {
                names: self.names(one(inner)),
                domain: self.domain(one(inner)),
                body: self.braces(one(inner)),
            },
            Rule::if_ => StmtKind::If(self.if_(inner)),
            rule => unreachable!("{rule:?} is no statement"),
        })
    }

    /// `e`, `a, b = e`, `a: type = e` or `y[i] = e`; what stands left is known only now.
    fn line(&mut self, pair: Pair<'_, Rule>) -> Line {
        let whole = self.span(&pair);
        let mut left = Vec::new();
        let (mut ty, mut value) = (None, None);
        let mut is_assigned = false;
        for pair in pair.into_inner() {
            match pair.as_rule() {
                Rule::assign => is_assigned = true,
                Rule::r#type => ty = Some(self.ty(pair)),
                Rule::expr if is_assigned => value = Some(self.expr(pair)),
                Rule::expr => left.push(self.expr(pair)),
                _ => {}
            }
        }
        match (left.len(), ty, value) {
            (1, None, None) => Line::Value(left.remove(0)),
            (1, Some(ty), Some(value)) => match self.plain_name(&left[0]) {
                Some(name) => Line::Stmt(StmtKind::Typed { name, ty, value }),
                None => self.wrong_left(&left[0]),
            },
            (_, None, Some(value)) => self.assigned(left, value),
            _ => {
                self.error(whole, "this is neither a binding nor a value");
                Line::Wrong
            }
        }
    }

    fn assigned(&mut self, mut left: Vec<Expr>, value: Expr) -> Line {
        if let [
            Expr {
                kind:
                    ExprKind::Index {
                        base,
                        otherwise: None,
                        ..
                    },
                ..
            },
        ] = left.as_slice()
            && let Some(name) = self.plain_name(base)
            && let ExprKind::Index { index, .. } = left.remove(0).kind
        {
            return Line::Stmt(StmtKind::Equation { name, index, value });
        }
        let mut names = Vec::new();
        for expr in &left {
            match self.plain_name(expr) {
                Some(name) => names.push(name),
                None => return self.wrong_left(expr),
            }
        }
        Line::Stmt(StmtKind::Bind { names, value })
    }

    fn plain_name(&self, expr: &Expr) -> Option<Ident> {
        match &expr.kind {
            // In brackets it would be longer than its text.
            ExprKind::Name(text) if (expr.span.end - expr.span.start) as usize == text.len() => {
                Some(Ident {
                    text: text.clone(),
                    span: expr.span,
                })
            }
            _ => None,
        }
    }

    fn wrong_left(&mut self, left: &Expr) -> Line {
        let mut diag = Diag::new(
            Class::Syntax,
            left.span,
            "only a name, or a name with indices, is bound by `=`",
        );
        if let ExprKind::Dim(name) = &left.kind {
            let help =
                format!("`{name}` is a dim: values are lower case, and dims are bound by types");
            diag = diag.help(help);
        }
        self.problems.push(diag);
        Line::Wrong
    }

    /// A value that is not the last thing of its body.
    fn stray_value(&mut self, value: &Expr, next: Span) {
        let next_char = self.text[next.start as usize..]
            .chars()
            .next()
            .unwrap_or(' ');
        let is_same_line = self
            .scan
            .is_same_line(value.span.end as usize, next.start as usize);
        let after = Span {
            start: next.start,
            end: next.start + next_char.len_utf8() as u32,
            ..next
        };
        let diag = if is_same_line {
            self.same_line(value.span, after, next_char)
        } else if next_char == '-' {
            Diag::new(
                Class::Syntax,
                after,
                "a line starts with `-` after the body's value",
            )
            .label(value.span, "the value ends here")
            .help("put the whole value in brackets, or end the line above with the operator")
        } else {
            Diag::new(Class::Syntax, value.span, "this value is never used")
                .label(after, "the body goes on here")
                .help("only the last line of a body may be a value; bind this one, or delete it")
        };
        self.problems.push(diag);
    }

    /// Reports what starts on the line where the thing before it ends.
    fn check_own_line(&mut self, before: Option<Span>, next: Span, rule: &str) -> bool {
        let Some(before) = before else { return true };
        if !self
            .scan
            .is_same_line(before.end as usize, next.start as usize)
        {
            return true;
        }
        let next_char = self.text[next.start as usize..]
            .chars()
            .next()
            .unwrap_or(' ');
        let after = Span {
            end: next.start + next_char.len_utf8() as u32,
            ..next
        };
        let diag = match next_char {
            '(' | '[' | '-' => self.same_line(before, after, next_char),
            _ => Diag::new(Class::Syntax, after, rule),
        };
        self.problems.push(diag);
        false
    }

    /// What to say of a second statement on a line, by its first character.
    fn same_line(&self, before: Span, after: Span, next_char: char) -> Diag {
        let text = &self.text[before.start as usize..before.end as usize];
        let word_start = text
            .rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .map_or(0, |n| n + 1);
        let word = &text[word_start..];
        if word == "return" {
            let start = before.end - word.len() as u32;
            return super::wrong::no_return(Span { start, ..before }, after.start);
        }
        match next_char {
            '(' | '[' if !word.is_empty() => Diag::new(
                Class::Syntax,
                after,
                format!("`{next_char}` must touch `{word}`"),
            )
            .help(format!("write `{word}{next_char}…`; or start a new line"))
            .edit(
                Span {
                    start: before.end,
                    end: after.start,
                    ..before
                },
                "",
            ),
            '-' => super::wrong::after_pipeline(after, "-", text, before.start as usize),
            _ => Diag::new(Class::Syntax, after, "each statement starts a new line"),
        }
    }

    /// The body must end in a value, an equation, or an `if` whose branches all do.
    pub(super) fn check_value(&mut self, body: &Body) {
        if body.value.is_some() {
            return;
        }
        let close = Span {
            start: body.span.end - 1,
            ..body.span
        };
        let Some(last) = body.stmts.last() else {
            return self.problems.push(Diag::new(
                Class::Syntax,
                close,
                "no value: the body is empty",
            ));
        };
        let what = match &last.kind {
            StmtKind::Equation { .. } => return,
            StmtKind::If(if_) => {
                self.check_value(&if_.then);
                match &if_.otherwise {
                    Some(otherwise) => return self.check_value(otherwise),
                    None => "is an `if` without `else`".to_string(),
                }
            }
            StmtKind::Bind { names, .. } => {
                let names: Vec<_> = names.iter().map(|name| name.text.as_str()).collect();
                format!("binds `{}`", names.join(", "))
            }
            StmtKind::Typed { name, .. }
            | StmtKind::Data { name, .. }
            | StmtKind::Metric { name, .. } => {
                format!("binds `{}`", name.text)
            }
            StmtKind::Param { name, .. } => format!("declares `{}`", name.text),
            StmtKind::State { name, .. } => format!("declares `{}`", name.text),
            StmtKind::Next { name, .. } => format!("sets `{}`", name.text),
            StmtKind::For { .. } => "is a `for`".to_string(),
        };
        let mut diag = Diag::new(
            Class::Syntax,
            last.span,
            format!("no value: the last line {what}"),
        )
        .help("end the body with its value, on a line of its own");
        if let StmtKind::Bind { names, value } = &last.kind
            && names.len() == 1
        {
            let binding = Span {
                end: value.span.start,
                ..last.span
            };
            diag = diag.edit(binding, "");
        }
        self.problems.push(diag);
    }

    /// A block that is called at least once, as `frozen` and `train` need it.
    fn called(&mut self, pair: Pair<'_, Rule>) -> Made {
        let (made, n_calls) = self.made(pair);
        if n_calls != 1 {
            self.error(
                made.span,
                "one list of parameters must follow the network's name",
            );
        }
        made
    }

    pub(super) fn string(&mut self, pair: Pair<'_, Rule>) -> Text {
        let text = pair.as_str();
        Text {
            text: text[1..text.len() - 1].to_string(),
            span: self.span(&pair),
        }
    }

    pub(super) fn word(&mut self, pair: Pair<'_, Rule>) -> Ident {
        self.ident(&one(&mut significant(pair)))
    }

    pub(super) fn ident(&self, pair: &Pair<'_, Rule>) -> Ident {
        Ident {
            text: pair.as_str().to_string(),
            span: self.span(pair),
        }
    }

    pub(super) fn names(&mut self, pair: Pair<'_, Rule>) -> Vec<Ident> {
        significant(pair).map(|pair| self.ident(&pair)).collect()
    }

    pub(super) fn span(&self, pair: &Pair<'_, Rule>) -> Span {
        let span = pair.as_span();
        let (start, end) = self
            .scan
            .place(self.base + span.start()..self.base + span.end());
        Span::new(self.file, start, end)
    }

    pub(super) fn error(&mut self, span: Span, message: impl Into<String>) {
        self.problems.push(Diag::new(Class::Syntax, span, message));
    }
}

/// What one line of a body turned out to be.
enum Line {
    Stmt(StmtKind),
    Value(Expr),
    /// Reported already.
    Wrong,
}

/// The children that carry meaning: no keywords, commas or brackets.
pub(super) fn significant<'i>(pair: Pair<'i, Rule>) -> Inner<'i> {
    let is_kept: fn(&Pair<'i, Rule>) -> bool = |child| !is_noise(child.as_rule());
    pair.into_inner().filter(is_kept).peekable()
}

fn is_noise(rule: Rule) -> bool {
    use Rule::*;
    let is_mark = matches!(
        rule,
        assign
            | arrow
            | pipe
            | comma
            | colon
            | open
            | close
            | close_index
            | close_list
            | begin
            | finish
            | raise
            | dots
    );
    is_mark || is_keyword(rule)
}

pub(super) fn is_keyword(rule: Rule) -> bool {
    use Rule::*;
    matches!(
        rule,
        kw_use
            | kw_from
            | kw_op
            | kw_where
            | kw_kernel
            | kw_grad
            | kw_weights
            | kw_ignore
            | kw_frozen
            | kw_via
            | kw_as
            | kw_train
            | kw_profile
            | kw_param
            | kw_state
            | kw_next
            | kw_data
            | kw_metric
            | kw_for
            | kw_in
            | kw_if
            | kw_else
            | kw_and
            | kw_or
            | kw_not
    )
}

/// The next child, which the grammar promises.
pub(super) fn one<'i>(inner: &mut Inner<'i>) -> Pair<'i, Rule> {
    inner.next().expect("the grammar has one more child here")
}

/// The next child if it is of this rule.
pub(super) fn take<'i>(inner: &mut Inner<'i>, rule: Rule) -> Option<Pair<'i, Rule>> {
    inner.next_if(|pair| pair.as_rule() == rule)
}

fn dtype(pair: &Pair<'_, Rule>) -> DType {
    match pair.as_str() {
        "f32" => DType::F32,
        "tf32" => DType::Tf32,
        "bf16" => DType::Bf16,
        _ => DType::F16,
    }
}
