//! Pest's pairs to expressions. Operators of one level lean left, `**` leans right; trees that would be too high to
//! walk are refused here.

use std::iter::Peekable;

use pest::iterators::{Pair, Pairs};

use super::ast::*;
use super::build::{Builder, Inner, is_keyword, one, significant, take};
use super::parse::Rule;
use crate::diag::Span;

/// The highest expression that is built; deeper ones are an error, because every later stage walks trees recursively.
const MAX_HEIGHT: u32 = 600;
/// The level of `not`, between `and` and the relations.
const NOT: u32 = 2;

impl Builder<'_> {
    pub(super) fn expr(&mut self, pair: Pair<'_, Rule>) -> Expr {
        let inner = &mut significant(pair);
        let mut value = self.operand(one(inner));
        let mut height = self.height;
        for pair in inner {
            let stage = self.stage(pair);
            height = height.max(self.height) + 1;
            let span = value.span.to(stage.span());
            value = Expr {
                kind: ExprKind::Pipe {
                    value: Box::new(value),
                    stage,
                },
                span,
            };
            value = self.limit(value, &mut height);
        }
        self.height = height;
        value
    }

    fn operand(&mut self, pair: Pair<'_, Rule>) -> Expr {
        match pair.as_rule() {
            Rule::chain | Rule::product => self.chain(&mut pair.into_inner().peekable(), 0),
            Rule::unary => self.unary(pair),
            rule => unreachable!("{rule:?} is no operand"),
        }
    }

    /// Operands with operators between them, as far as those bind no looser than `lowest`. All lean left; a `not` reaches
    /// as far as what binds tighter.
    fn chain(&mut self, children: &mut Peekable<Pairs<'_, Rule>>, lowest: u32) -> Expr {
        let mut nots = vec![];
        while let Some(not) = children.next_if(|pair| pair.as_rule() == Rule::kw_not) {
            nots.push(self.span(&not));
        }
        let mut left = match nots.is_empty() {
            true => self.unary(children.next().expect("a chain has an operand")),
            false => self.chain(children, NOT + 1),
        };
        for span in nots.into_iter().rev() {
            let span = span.to(left.span);
            let (op, operand) = (UnaryOp::Not, Box::new(left));
            left = self.grow(ExprKind::Unary { op, operand }, span);
        }
        let mut height = self.height;
        while let Some(op) = children.next_if(|pair| level(pair.as_rule()) >= lowest) {
            let right = self.chain(children, level(op.as_rule()) + 1);
            height = height.max(self.height) + 1;
            let span = left.span.to(right.span);
            let kind = ExprKind::Binary {
                op: binary_op(op.as_str()),
                op_span: self.span(&op),
                left: Box::new(left),
                right: Box::new(right),
            };
            left = self.limit(Expr { kind, span }, &mut height);
        }
        self.height = height;
        left
    }

    /// `-e`, a reduction, a power, or a value alone.
    fn unary(&mut self, pair: Pair<'_, Rule>) -> Expr {
        let whole = pair.clone();
        let mut children = pair.into_inner();
        let first = children.next().expect("there is an operand");
        match first.as_rule() {
            Rule::neg => {
                let operand = children.next().expect("a sign has an operand");
                let (op, operand) = (UnaryOp::Neg, Box::new(self.operand(operand)));
                let span = self.span(&whole);
                self.grow(ExprKind::Unary { op, operand }, span)
            }
            Rule::reduce => {
                let span = self.span(&whole);
                self.reduce(first, span)
            }
            _ => {
                let left = self.value(first);
                self.power(left, children)
            }
        }
    }

    fn reduce(&mut self, pair: Pair<'_, Rule>, span: Span) -> Expr {
        let inner = &mut significant(pair);
        let reducer = reduce_op(one(inner).as_str());
        let index = self.index(one(inner));
        let height = self.height;
        let body = Box::new(self.operand(one(inner)));
        self.height = self.height.max(height);
        self.grow(
            ExprKind::Reduce {
                reducer,
                index,
                body,
            },
            span,
        )
    }

    fn power(&mut self, left: Expr, mut more: Pairs<'_, Rule>) -> Expr {
        let height = self.height;
        let (Some(op), Some(right)) = (more.next(), more.next()) else {
            return left;
        };
        let op_span = self.span(&op);
        let right = self.operand(right);
        self.height = self.height.max(height);
        let span = left.span.to(right.span);
        let kind = ExprKind::Binary {
            op: BinaryOp::Pow,
            op_span,
            left: Box::new(left),
            right: Box::new(right),
        };
        self.grow(kind, span)
    }

    fn value(&mut self, pair: Pair<'_, Rule>) -> Expr {
        let span = self.span(&pair);
        self.height = 0;
        let kind = match pair.as_rule() {
            Rule::number => self.number(&pair),
            Rule::string => ExprKind::Str(self.string(pair).text),
            Rule::bool => ExprKind::Bool(pair.as_str() == "true"),
            Rule::made => return self.made_value(pair),
            Rule::read => return self.read(pair),
            Rule::if_ => {
                let n_problems = self.problems.len();
                let if_ = self.if_(&mut significant(pair));
                if self.problems.len() == n_problems {
                    self.check_if_value(&if_, span);
                }
                return self.grow(ExprKind::If(Box::new(if_)), span);
            }
            rule => unreachable!("{rule:?} is no value"),
        };
        Expr { kind, span }
    }

    fn check_if_value(&mut self, if_: &If, span: Span) {
        self.check_value(&if_.then);
        match &if_.otherwise {
            Some(otherwise) => self.check_value(otherwise),
            None => self.error(span, "an `if` that gives a value needs an `else`"),
        }
    }

    pub(super) fn number(&mut self, pair: &Pair<'_, Rule>) -> ExprKind {
        let text = pair.as_str();
        let span = self.span(pair);
        if text.contains(['.', 'e']) {
            return match text.parse::<f64>() {
                Ok(x) if x.is_finite() => ExprKind::Float(x),
                _ => {
                    self.error(span, "the number is too large");
                    ExprKind::Float(0.0)
                }
            };
        }
        ExprKind::Int(text.parse().unwrap_or_else(|_| {
            self.error(span, "the int does not fit in 64 bits");
            0
        }))
    }

    /// `Upper`, `Upper(…)`, `Upper(…)(…) @label`; a dim if it is not called.
    fn made_value(&mut self, pair: Pair<'_, Rule>) -> Expr {
        let (made, n_calls) = self.made(pair);
        let span = made.span;
        if n_calls > 0 {
            return self.grow(ExprKind::Made(Box::new(made)), span);
        }
        if let Some(label) = &made.label {
            self.error(
                label.span,
                format!(
                    "a label stands after a block's calls: `{}(…) @…`",
                    made.block.text
                ),
            );
        }
        Expr {
            kind: ExprKind::Dim(made.block.text),
            span,
        }
    }

    /// A block and the number of its calls.
    pub(super) fn made(&mut self, pair: Pair<'_, Rule>) -> (Made, usize) {
        let span = self.span(&pair);
        let inner = &mut significant(pair);
        let block = self.ident(&one(inner));
        let mut height = 0;
        let mut calls = Vec::new();
        while let Some(pair) = take(inner, Rule::call) {
            calls.push(self.args(pair));
            height = height.max(self.height);
        }
        self.height = 0;
        let label = take(inner, Rule::label).map(|pair| self.label(pair));
        self.height = self.height.max(height);
        let n_calls = calls.len();
        let mut calls = calls.into_iter();
        let params = calls.next().unwrap_or_default();
        (
            Made {
                block,
                params,
                inputs: calls.next(),
                label,
                span,
            },
            n_calls,
        )
    }

    fn stage(&mut self, pair: Pair<'_, Rule>) -> Stage {
        let pair = one(&mut significant(pair));
        let span = self.span(&pair);
        if pair.as_rule() == Rule::made {
            let (made, n_calls) = self.made(pair);
            if n_calls == 0 {
                let name = &made.block.text;
                self.error(
                    span,
                    format!("a stage applies a block with its parameters: write `{name}(…)`"),
                );
            }
            return Stage::Made(Box::new(made));
        }
        let inner = &mut significant(pair);
        let name = self.ident(&one(inner));
        self.height = 0;
        let args = take(inner, Rule::call).map_or(Vec::new(), |pair| self.args(pair));
        Stage::Apply { name, args, span }
    }

    /// A name, list or bracket with its calls and indices, and the `else` of the last read.
    fn read(&mut self, pair: Pair<'_, Rule>) -> Expr {
        let whole = self.span(&pair);
        let inner = &mut significant(pair);
        let mut expr = self.suffixed(one(inner));
        let Some(pair) = inner.next() else {
            return expr;
        };
        let height = self.height;
        let value = self.operand(pair);
        self.height = self.height.max(height) + 1;
        match &mut expr.kind {
            ExprKind::Index { otherwise, .. } if otherwise.is_none() => {
                *otherwise = Some(Box::new(value))
            }
            _ => self.error(
                whole,
                "`else` belongs to a read, `x[…] else 0`, or to an `if`",
            ),
        }
        expr.span = whole;
        expr
    }

    fn suffixed(&mut self, pair: Pair<'_, Rule>) -> Expr {
        let whole = self.span(&pair);
        let inner = &mut significant(pair);
        let mut expr = self.atom(one(inner));
        let mut height = self.height;
        for pair in inner {
            let end = self.span(&pair);
            let span = Span {
                end: end.end,
                ..whole
            };
            let is_call = pair.as_rule() == Rule::call;
            self.height = 0;
            let kind = if is_call {
                let args = self.args(pair);
                match expr.kind {
                    ExprKind::Name(text) if expr.span.start == whole.start => ExprKind::Call {
                        name: Ident {
                            text,
                            span: expr.span,
                        },
                        args,
                    },
                    other => {
                        self.error(end, "only a name can be called");
                        other
                    }
                }
            } else {
                ExprKind::Index {
                    base: Box::new(expr),
                    index: self.index(pair),
                    otherwise: None,
                }
            };
            height = height.max(self.height) + 1;
            expr = self.limit(Expr { kind, span }, &mut height);
        }
        self.height = height;
        expr
    }

    fn atom(&mut self, pair: Pair<'_, Rule>) -> Expr {
        let span = self.span(&pair);
        let pair = one(&mut significant(pair));
        self.height = 0;
        match pair.as_rule() {
            Rule::name => Expr {
                kind: ExprKind::Name(pair.as_str().to_string()),
                span,
            },
            Rule::list => self.list(pair, span),
            // The brackets count as part of the expression, so that messages underline them.
            _ => Expr {
                span,
                ..self.expr(pair)
            },
        }
    }

    fn list(&mut self, pair: Pair<'_, Rule>, span: Span) -> Expr {
        let inner = &mut significant(pair);
        let mut height = 0;
        let mut items = Vec::new();
        while let Some(pair) = take(inner, Rule::expr) {
            items.push(self.expr(pair));
            height = height.max(self.height);
        }
        let Some(each) = inner.next() else {
            self.height = height;
            return self.grow(ExprKind::List(items), span);
        };
        let inner = &mut significant(each);
        let names = self.names(one(inner));
        let domain = self.domain(one(inner));
        self.height = self.height.max(height);
        let body = Box::new(items.pop().expect("a comprehension has a body"));
        self.grow(
            ExprKind::Each {
                body,
                names,
                domain,
            },
            span,
        )
    }

    pub(super) fn domain(&mut self, pair: Pair<'_, Rule>) -> Domain {
        let inner = &mut significant(pair);
        let low = Box::new(self.expr(one(inner)));
        let height = self.height;
        match inner.next() {
            Some(pair) => {
                let high = Box::new(self.expr(pair));
                self.height = self.height.max(height);
                Domain::Range(low, high)
            }
            None => Domain::List(low),
        }
    }

    /// The children of `if`: conditions and branches in turn, and perhaps a last branch.
    pub(super) fn if_(&mut self, inner: &mut Inner<'_>) -> If {
        let mut arms = Vec::new();
        let mut last = None;
        let mut height = 0;
        while let Some(pair) = inner.next() {
            if pair.as_rule() == Rule::braces {
                last = Some(self.braces(pair));
            } else {
                let condition = Box::new(self.expr(pair));
                height = height.max(self.height);
                arms.push((condition, self.braces(one(inner))));
            }
            height = height.max(self.height);
        }
        if arms.len() > 100 {
            let span = arms[100].0.span;
            self.error(span, "more than 100 branches in one `if`");
            arms.truncate(100);
        }
        let (condition, then) = arms.remove(0);
        while let Some((condition, then)) = arms.pop() {
            let end = last.as_ref().map_or(then.span, |body: &Body| body.span);
            let span = condition.span.to(end);
            let kind = StmtKind::If(If {
                condition,
                then,
                otherwise: last,
            });
            last = Some(Body {
                stmts: vec![Stmt { kind, span }],
                value: None,
                span,
            });
        }
        self.height = height;
        If {
            condition,
            then,
            otherwise: last,
        }
    }

    fn args(&mut self, pair: Pair<'_, Rule>) -> Vec<Arg> {
        let mut height = 0;
        let mut args: Vec<Arg> = Vec::new();
        for pair in significant(pair) {
            let span = self.span(&pair);
            let inner = &mut significant(pair);
            let name = take(inner, Rule::name).map(|pair| self.ident(&pair));
            let value = self.expr(one(inner));
            height = height.max(self.height);
            if name.is_none() && args.last().is_some_and(|last| last.name.is_some()) {
                self.error(span, "positional arguments come before `name=value`");
            }
            args.push(Arg { name, value, span });
        }
        self.height = height;
        args
    }

    fn index(&mut self, pair: Pair<'_, Rule>) -> Vec<Ix> {
        let mut height = 0;
        let mut index = Vec::new();
        for pair in significant(pair) {
            let span = self.span(&pair);
            self.height = 0;
            index.push(Ix {
                kind: self.ix(pair),
                span,
            });
            height = height.max(self.height);
        }
        self.height = height;
        index
    }

    fn ix(&mut self, pair: Pair<'_, Rule>) -> IxKind {
        let children: Vec<_> = pair
            .into_inner()
            .filter(|pair| !is_keyword(pair.as_rule()))
            .collect();
        let mut mark = None;
        let (mut before, mut after) = (None, None);
        for pair in children {
            match pair.as_rule() {
                Rule::pack => return IxKind::Pack(self.pack(pair)),
                Rule::dots | Rule::colon => mark = Some(pair),
                _ if mark.is_none() => before = Some(self.expr(pair)),
                _ => after = Some(self.expr(pair)),
            }
        }
        match (mark, before, after) {
            (None, Some(at), None) => IxKind::At(at),
            (Some(mark), Some(low), Some(high)) if mark.as_rule() == Rule::dots => {
                self.range(low, high)
            }
            (_, low, high) => IxKind::Slice {
                low: low.map(Box::new),
                high: high.map(Box::new),
            },
        }
    }

    /// `k in low..high`; the left side was read as a relation.
    fn range(&mut self, left: Expr, high: Expr) -> IxKind {
        let span = left.span.to(high.span);
        if let ExprKind::Binary {
            op: BinaryOp::In,
            left: name,
            right: low,
            ..
        } = left.kind
            && let ExprKind::Name(text) = name.kind
        {
            return IxKind::Range {
                name: Ident {
                    text,
                    span: name.span,
                },
                low,
                high: Box::new(high),
            };
        }
        self.error(
            span,
            "a range names its index: `k in 0..n`; a slice is `a:b`",
        );
        IxKind::At(high)
    }

    pub(super) fn label(&mut self, pair: Pair<'_, Rule>) -> Label {
        let span = self.span(&pair);
        Label {
            path: self.path(one(&mut significant(pair))),
            span,
        }
    }

    pub(super) fn path(&mut self, pair: Pair<'_, Rule>) -> Path {
        let span = self.span(&pair);
        let segments = significant(pair).map(|pair| self.segment(pair)).collect();
        Path { segments, span }
    }

    fn segment(&mut self, pair: Pair<'_, Rule>) -> Segment {
        let span = self.span(&pair);
        let mut pieces = Vec::new();
        for pair in significant(pair) {
            pieces.push(match pair.as_rule() {
                Rule::piece => Piece::Text(pair.as_str().to_string()),
                _ => self.hole(pair),
            });
        }
        Segment { pieces, span }
    }

    fn hole(&mut self, pair: Pair<'_, Rule>) -> Piece {
        let pair = one(&mut significant(pair));
        match pair.as_rule() {
            Rule::pack => Piece::Rest(self.pack(pair)),
            _ => Piece::Hole(self.expr(pair)),
        }
    }

    /// A node one higher than the highest child, whose height `self.height` holds.
    fn grow(&mut self, kind: ExprKind, span: Span) -> Expr {
        let mut height = self.height + 1;
        let expr = self.limit(Expr { kind, span }, &mut height);
        self.height = height;
        expr
    }

    /// Cuts a tree that has become too high, with an error.
    fn limit(&mut self, expr: Expr, height: &mut u32) -> Expr {
        if *height <= MAX_HEIGHT {
            self.peak = self.peak.max(*height);
            return expr;
        }
        *height = 0;
        self.error(expr.span, format!("the expression is more than {MAX_HEIGHT} operations deep: bind parts of it to names"));
        Expr {
            kind: ExprKind::Int(0),
            span: expr.span,
        }
    }
}

/// How tightly an operator of a chain binds.
fn level(operator: Rule) -> u32 {
    match operator {
        Rule::kw_or => 0,
        Rule::kw_and => 1,
        Rule::relation => NOT + 1,
        Rule::addop => NOT + 2,
        Rule::mulop => NOT + 3,
        rule => unreachable!("{rule:?} is no operator of a chain"),
    }
}

fn binary_op(text: &str) -> BinaryOp {
    match text {
        "or" => BinaryOp::Or,
        "and" => BinaryOp::And,
        "==" => BinaryOp::Eq,
        "!=" => BinaryOp::Ne,
        "<" => BinaryOp::Lt,
        "<=" => BinaryOp::Le,
        ">" => BinaryOp::Gt,
        ">=" => BinaryOp::Ge,
        "in" => BinaryOp::In,
        "+" => BinaryOp::Add,
        "-" => BinaryOp::Sub,
        "*" => BinaryOp::Mul,
        "/" => BinaryOp::Div,
        "//" => BinaryOp::FloorDiv,
        "%" => BinaryOp::Mod,
        text => unreachable!("`{text}` is no operator of the grammar"),
    }
}

fn reduce_op(text: &str) -> ReduceOp {
    match text {
        "sum" => ReduceOp::Sum,
        "mean" => ReduceOp::Mean,
        "max" => ReduceOp::Max,
        "min" => ReduceOp::Min,
        "lse" => ReduceOp::Lse,
        _ => ReduceOp::Var,
    }
}
