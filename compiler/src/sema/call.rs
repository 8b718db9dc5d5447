//! Calls: layers, ops and blocks; arguments, labels, and what a definition gives back.

use super::builtin::Builtin;
use super::dims::axes_text;
use super::elab::{Elab, Frame, Layer};
use super::error::{Failed, Fallible, fault, suggest};
use super::eval::{is_fixed, sorted};
use super::limits::{CALL_STEPS, INPUT_STEPS};
use super::lower;
use super::module::{Def, DefKind};
use super::number;
use super::scope::{Env, Mode};
use super::value::{Dims, Num, Value};
use crate::diag::{Class, Span};
use crate::equation::index::Ix;
use crate::equation::{Pos, Reducer};
use crate::syntax::ast;
use std::rc::Rc;

/// An argument as given: its name if it has one, its value and place.
pub struct Argument<'a> {
    pub name: Option<&'a ast::Ident>,
    pub value: Value,
    pub span: Span,
}

pub type Piped = Option<(Value, Span)>;

impl<'a> Elab<'a, '_> {
    pub fn arguments(
        &mut self,
        piped: Piped,
        args: &'a [ast::Arg],
        env: &mut Env<'a>,
    ) -> Fallible<Vec<Argument<'a>>> {
        let mut given: Vec<Argument<'a>> = piped
            .into_iter()
            .map(|(value, span)| Argument {
                name: None,
                value,
                span,
            })
            .collect();
        let mut failed = false;
        for arg in args {
            match self.eval(&arg.value, env) {
                Ok(value) => given.push(Argument {
                    name: arg.name.as_ref(),
                    value,
                    span: arg.value.span,
                }),
                Err(Failed) => failed = true,
            }
        }
        if failed { Err(Failed) } else { Ok(given) }
    }

    /// `f(a, b)`, or a stage `x |> f(a)`.
    pub fn call(
        &mut self,
        callee: &'a ast::Ident,
        args: &'a [ast::Arg],
        piped: Piped,
        span: Span,
        env: &mut Env<'a>,
    ) -> Fallible<Value> {
        let name = callee.text.as_str();
        if self.program.is_broken(name, env.module) {
            return Err(Failed);
        }
        if let Some(Value::Layer(layer)) = env.vars.get(name) {
            let layer = *layer;
            let given = self.arguments(piped, args, env)?;
            return self.apply(layer, given, span, env);
        }
        if let Some(frozen) = self.program.frozen(name, env.module) {
            let layer = self.frozen_layer(frozen, callee.span)?;
            let given = self.arguments(piped, args, env)?;
            return self.apply(layer, given, span, env);
        }
        let def = self.program.find(name, env.module);
        let own = def.filter(|d| !self.program.defs[*d].standard);
        if own.is_none()
            && let Some(builtin) = Builtin::named(name)
        {
            let given = self.arguments(piped, args, env)?;
            return self.builtin(builtin, name, given, span, env);
        }
        match def {
            Some(def) if self.program.defs[def].kind == DefKind::Op => {
                let given = self.arguments(piped, args, env)?;
                self.call_op(def, given, span, env)
            }
            Some(_) => {
                let text = format!("`{name}` is a block; its name starts upper case");
                self.fail(callee.span, fault(Class::Name, text))
            }
            None if matches!(env.vars.get(name), Some(Value::Failed)) => Err(Failed),
            None if self.is_silent(callee.span) => Err(Failed),
            None => {
                let known = self.program.callables(env.module);
                let text = format!("no op or layer `{name}`");
                self.fail(
                    callee.span,
                    fault(Class::Name, text).maybe_help(suggest(name, sorted(known))),
                )
            }
        }
    }

    fn call_op(
        &mut self,
        def: usize,
        mut given: Vec<Argument<'a>>,
        span: Span,
        env: &mut Env<'a>,
    ) -> Fallible<Value> {
        let program = self.program;
        let d = &program.defs[def];
        let numbers = given
            .iter()
            .any(|g| matches!(&g.value, Value::Num(n) if n.shape.is_none()));
        if numbers && d.grad.is_some() {
            return self.call_op_hoisted(def, given, span, env);
        }
        if !numbers && !d.elementwise {
            for g in &mut given {
                g.value = self.force(&g.value, &env.path, "", g.span)?;
            }
        }
        let mut inner = Env::new(d.module, Some(def), env.path.clone());
        inner.mode = if numbers { Mode::Scalar } else { Mode::Whole };
        inner.frozen = env.frozen;
        self.enter_call(def, env.path.clone(), span, |elab| {
            elab.bind_inputs(d, d.inputs, given, &mut inner, span)?;
            let value = elab.with_promise(d, |elab| {
                let value = elab.run_body(d, &mut inner)?;
                elab.finish_body(d, value, &mut inner)
            })?;
            elab.customise(d, value, &mut inner)
        })
    }

    /// An op with a `grad` clause takes whole tensors: numbers of an equation become tensors over their indices.
    fn call_op_hoisted(
        &mut self,
        def: usize,
        mut given: Vec<Argument<'a>>,
        span: Span,
        env: &mut Env<'a>,
    ) -> Fallible<Value> {
        let mut used = vec![];
        for g in &given {
            if let Value::Num(num) = &g.value
                && let Some(expr) = num.expr()
            {
                lower::each_var(&expr, &mut |v| used.push(v));
            }
        }
        used.sort_unstable();
        used.dedup();
        let sizes: Vec<i64> = used.iter().map(|v| self.extents[*v]).collect();
        let dims = Rc::new(Dims::plain(sizes));
        for g in &mut given {
            if let Value::Num(num) = &g.value
                && let Some(body) = num.expr()
            {
                let (equation, operands) =
                    lower::equation(body, Reducer::Map, &used, &[], &self.extents);
                let origin = self.origin(&env.path, "", g.span);
                g.value =
                    Value::Tensor(self.emit(equation, operands, dims.clone(), num.kind, origin)?);
            }
        }
        let mode = std::mem::replace(&mut env.mode, Mode::Whole);
        let result = self.call_op(def, given, span, env);
        env.mode = mode;
        let node = self.node_of(&result?, &env.path.clone(), span)?;
        let at = used.into_iter().map(|v| Pos::Ix(Ix::var(v))).collect();
        Ok(Value::Num(Rc::new(self.read_of(node, at, None))))
    }

    fn enter_call<T>(
        &mut self,
        def: usize,
        path: Rc<str>,
        span: Span,
        f: impl FnOnce(&mut Self) -> Fallible<T>,
    ) -> Fallible<T> {
        let d = &self.program.defs[def];
        // The compiler's own call of the model has no place in the text.
        let place = (span != d.name.span).then_some(span);
        let n_inputs = (d.parameters.len() + d.inputs.len()) as u64;
        self.spend_many(span, CALL_STEPS + INPUT_STEPS * n_inputs)?;
        self.calls.open(d, &path, place, self.b.graph().len());
        self.frames.push(Frame {
            def,
            name: d.name.text.clone(),
            path,
            span: place,
        });
        let (n_nodes, n_weights) = (self.b.graph().len(), self.weights.len());
        let result = self.deeper(span, f);
        self.frames.pop();
        if result.is_ok() {
            self.note_cost(d, span, n_nodes, n_weights);
        }
        self.calls.close(self.b.graph().len());
        result
    }

    /// `Conv2d(64) @a`, `Conv2d(64)(x)`, or a stage `x |> Conv2d(64)`.
    pub fn make_or_apply(
        &mut self,
        make: &'a ast::Made,
        piped: Piped,
        env: &mut Env<'a>,
    ) -> Fallible<Value> {
        let span = make.span;
        if env.mode != Mode::Whole {
            return self.fail(
                span,
                fault(
                    Class::Type,
                    "a block takes whole tensors, not numbers of an equation",
                ),
            );
        }
        let layer = self.make(make, env)?;
        if make.inputs.is_none() && piped.is_none() {
            return Ok(Value::Layer(layer));
        }
        let args = make.inputs.as_deref().unwrap_or(&[]);
        let given = self.arguments(piped, args, env)?;
        self.apply(layer, given, span, env)
    }

    pub fn make(&mut self, make: &'a ast::Made, env: &mut Env<'a>) -> Fallible<usize> {
        let name = make.block.text.as_str();
        let program = self.program;
        if program.is_broken(name, env.module) {
            return Err(Failed);
        }
        let Some(def) = program
            .find(name, env.module)
            .filter(|d| program.defs[*d].kind != DefKind::Op)
        else {
            if self.is_silent(make.block.span) {
                return Err(Failed);
            }
            let known = program.callables(env.module);
            let text = format!("no block `{name}`");
            return self.fail(
                make.block.span,
                fault(Class::Name, text).maybe_help(suggest(name, sorted(known))),
            );
        };
        let d = &program.defs[def];
        self.spend_many(
            make.span,
            CALL_STEPS + INPUT_STEPS * d.parameters.len() as u64,
        )?;
        let given = self.arguments(None, &make.params, env)?;
        let mut inner = Env::new(d.module, Some(def), env.path.clone());
        self.bind_inputs(d, d.parameters, given, &mut inner, make.block.span)?;
        let path = self.label(&make.label, env)?;
        self.layers.push(Layer {
            def,
            parameters: inner.vars,
            path,
            replay: env.replay,
            of: env.of.clone(),
            frozen: env.frozen,
            keys: None,
            span: make.block.span,
        });
        Ok(self.layers.len() - 1)
    }

    /// The dotted path under the block's own.
    pub fn label(&mut self, label: &'a Option<ast::Label>, env: &mut Env<'a>) -> Fallible<Rc<str>> {
        let Some(label) = label else {
            return Ok(env.path.clone());
        };
        let mut path = env.path.to_string();
        for segment in &label.path.segments {
            if !path.is_empty() {
                path.push('.');
            }
            for piece in &segment.pieces {
                match piece {
                    ast::Piece::Text(text) => path.push_str(text),
                    ast::Piece::Hole(e) => match self.eval(e, env)? {
                        Value::Int(i, _) => path.push_str(&i.to_string()),
                        Value::Str(s) => path.push_str(&s),
                        other => {
                            let text = format!(
                                "a label takes an int or a string, got {}",
                                other.describe()
                            );
                            return self.fail(e.span, fault(Class::Label, text));
                        }
                    },
                    ast::Piece::Rest(name) => {
                        return self.fail(
                            name.span,
                            fault(Class::Label, "`{...p}` stands in `weights` rules only"),
                        );
                    }
                }
            }
        }
        if path.len() > 400 {
            return self.fail(label.span, fault(Class::Label, "this label is too long"));
        }
        Ok(path.into())
    }

    pub fn apply(
        &mut self,
        layer: usize,
        mut given: Vec<Argument<'a>>,
        span: Span,
        env: &Env<'a>,
    ) -> Fallible<Value> {
        if env.mode != Mode::Whole {
            return self.fail(
                span,
                fault(
                    Class::Type,
                    "a layer takes whole tensors, not numbers of an equation",
                ),
            );
        }
        let program = self.program;
        let (def, path, of, frozen) = {
            let l = &self.layers[layer];
            (l.def, l.path.clone(), l.of.clone(), l.frozen)
        };
        let d = &program.defs[def];
        for g in &mut given {
            g.value = self.force(&g.value, &path, "", g.span)?;
        }
        self.spend_parameters(layer, span)?;
        let input = given.first().map(|g| g.value.clone());
        let mut inner = Env::new(d.module, Some(def), path.clone());
        inner.vars = self.layers[layer].parameters.clone();
        inner.replay = self.layers[layer].replay || self.layers[layer].keys.is_some();
        inner.of = of;
        inner.frozen = frozen;
        let mark = self.declared.len();
        let value = self.enter_call(def, path, span, |elab| {
            elab.bind_inputs(d, d.inputs, given, &mut inner, span)?;
            elab.calls
                .bound(d, &inner.vars, |place| program.text(place));
            let value = elab.run_body(d, &mut inner)?;
            elab.finish_body(d, value, &mut inner)
        })?;
        self.same_keys(layer, mark, span)?;
        if self.train.model == Some(layer) && self.train.preview.is_none() {
            let input = input.map(|v| self.node_of(&v, "", span)).transpose()?;
            if let (Some(input), Value::Tensor(output)) = (input, &value) {
                self.train.preview = Some((input, *output));
            }
        }
        Ok(value)
    }

    /// A later application declares exactly the keys of the first.
    fn same_keys(&mut self, layer: usize, mark: usize, span: Span) -> Fallible<()> {
        let mut keys = self.declared[mark..].to_vec();
        keys.sort_unstable();
        match &self.layers[layer].keys {
            None => self.layers[layer].keys = Some(keys),
            Some(first) if *first == keys => {}
            Some(first) => {
                let odd = first
                    .iter()
                    .find(|k| !keys.contains(k))
                    .or_else(|| keys.iter().find(|k| !first.contains(k)));
                let text = format!(
                    "`{}` is declared in one application of this layer only",
                    odd.cloned().unwrap_or_default()
                );
                return self.fail(span, fault(Class::Label, text));
            }
        }
        Ok(())
    }

    /// `where` clauses, then the body.
    pub fn run_body(&mut self, d: &Def<'a>, env: &mut Env<'a>) -> Fallible<Option<Value>> {
        for clause in d.wheres {
            let mode = std::mem::replace(&mut env.mode, Mode::Whole);
            let holds = self.condition(clause, env);
            env.mode = mode;
            if !holds? {
                let place = self
                    .frames
                    .last()
                    .and_then(|f| f.span)
                    .unwrap_or(clause.span);
                let known = self.program.names_in(clause, env);
                let text = format!("{} needs `{}`", d.name.text, self.program.text(clause.span));
                let text = if known.is_empty() {
                    text
                } else {
                    format!("{text}; {known}")
                };
                let fault = fault(Class::Where, text)
                    .other(clause.span, "required here")
                    .maybe_help(multiples(clause, env).or_else(|| near_word(clause, env)));
                return self.fail(place, fault);
            }
        }
        self.run(d.body, env, d.result)
    }

    /// Checks what the body gives against the declared result.
    pub fn finish_body(
        &mut self,
        d: &Def<'a>,
        value: Option<Value>,
        env: &mut Env<'a>,
    ) -> Fallible<Value> {
        let Some(value) = value else {
            let (span, text) = self.program.no_value(d);
            return self.fail(span, fault(Class::Syntax, text));
        };
        match (d.result, &value) {
            (_, Value::Layer(_)) => {
                self.fail(d.name.span, fault(Class::Type, "layers are not returned"))
            }
            (None, _) if d.elementwise => Ok(value),
            (None, _) => self.force(&value, &env.path, &d.name.text, d.name.span),
            (
                Some(ast::Type {
                    kind: ast::TypeKind::Tensor { axes, .. },
                    span,
                }),
                _,
            ) => self.finish_tensor(d, value, axes, *span, env),
            (Some(ast::Type { kind, span }), _) => {
                let value = self.force(&value, &env.path, &d.name.text, d.name.span)?;
                let what = format!("the result of {}", d.name.text);
                self.scalar_argument(kind, value, &what, *span)
            }
        }
    }

    fn finish_tensor(
        &mut self,
        d: &Def<'a>,
        value: Value,
        axes: &'a [ast::Axis],
        span: Span,
        env: &mut Env<'a>,
    ) -> Fallible<Value> {
        let number = is_fixed(&value) || matches!(&value, Value::Num(n) if n.shape.is_none());
        if number && value.as_number().is_none() && is_fixed(&value) {
            let text = format!(
                "{} gives {}, declared {}",
                d.name.text,
                value.describe(),
                axes_text(self, axes)
            );
            return self.fail(span, fault(Class::Type, text));
        }
        let dims = Rc::new(self.dims(axes, env)?);
        if number {
            if dims.sizes.is_empty() || axes.iter().all(|a| matches!(a, ast::Axis::Pack(_))) {
                return Ok(value);
            }
            let text = format!(
                "{} gives a number, declared {}",
                d.name.text,
                dims.describe()
            );
            return self.fail(span, fault(Class::Shape, text));
        }
        let got = self.argument_shape(&value).unwrap_or_default();
        if got.sizes != dims.sizes {
            let text = format!("{} gives {}", d.name.text, got.describe());
            let label = format!(
                "declared {} = {}",
                axes_text(self, axes),
                super::scalar::shape_text(&dims.sizes)
            );
            let place = self.program.last_span(d);
            let help = "mend the body, or declare what it gives; a result type may be left out";
            return self.fail(
                place,
                fault(Class::Shape, text).other(span, label).help(help),
            );
        }
        match value {
            Value::Num(num) if d.elementwise && d.grad.is_none() => Ok(Value::Num(Rc::new(Num {
                shape: Some(dims),
                ..Num::clone(&num)
            }))),
            value => {
                let node = self.node_of(&value, &env.path.clone(), d.name.span)?;
                self.remember(node, dims);
                Ok(Value::Tensor(node))
            }
        }
    }
}

/// For `by in ["area", "bilinear"]`: the word that was meant, if one is near.
fn near_word(clause: &ast::Expr, env: &Env<'_>) -> Option<String> {
    use ast::ExprKind as E;
    let E::Binary {
        op: ast::BinaryOp::In,
        left,
        right,
        ..
    } = &clause.kind
    else {
        return None;
    };
    let (E::Name(name), E::List(items)) = (&left.kind, &right.kind) else {
        return None;
    };
    let Some(Value::Str(word)) = env.vars.get(name.as_str()) else {
        return None;
    };
    let known = items.iter().filter_map(|item| match &item.kind {
        E::Str(text) => Some(text.as_str()),
        _ => None,
    });
    suggest(word, known)
}

/// For `H % 4 == 0`: the multiples next to what H is.
fn multiples(clause: &ast::Expr, env: &Env<'_>) -> Option<String> {
    use ast::{BinaryOp, ExprKind as E};
    let is_zero = |e: &ast::Expr| matches!(e.kind, E::Int(0));
    let E::Binary {
        op: BinaryOp::Eq,
        left,
        right,
        ..
    } = &clause.kind
    else {
        return None;
    };
    let E::Binary {
        op: BinaryOp::Mod,
        left: of,
        right: by,
        ..
    } = &left.kind
    else {
        return None;
    };
    let number = |e: &ast::Expr| match &e.kind {
        E::Int(n) => Some(*n),
        E::Name(name) | E::Dim(name) => env.vars.get(name.as_str())?.as_int(),
        _ => None,
    };
    let (n, by) = (number(of)?, number(by).filter(|by| *by > 0)?);
    let (E::Name(name) | E::Dim(name)) = &of.kind else {
        return None;
    };
    let near = number::multiples(n, by);
    is_zero(right).then(|| format!("{name} must be a multiple of {by}, such as {near}"))
}
