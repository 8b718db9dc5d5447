//! Weights and stored state: `param`, `state`, `next`, and what a `train` body declares: `data` and `metric`.

use super::PortDecl;
use super::elab::{Elab, Weight, WeightKind};
use super::error::{Fallible, fault};
use super::limits::WEIGHT_STEPS;
use super::module::DefKind;
use super::scope::Env;
use super::value::Value;
use crate::diag::{Class, Span};
use crate::ir::graph::Init;
use crate::syntax::ast::{self, ExprKind as E};
use std::rc::Rc;

#[derive(Clone, Copy)]
pub struct Declaration<'a> {
    pub name: &'a ast::Ident,
    pub label: &'a Option<ast::Label>,
    pub ty: &'a ast::Type,
    pub init: Option<&'a ast::Expr>,
    pub is_state: bool,
}

impl<'a> Elab<'a, '_> {
    pub fn declare(
        &mut self,
        declaration: Declaration<'a>,
        span: Span,
        env: &mut Env<'a>,
    ) -> Fallible<()> {
        let Declaration {
            name,
            label,
            ty,
            init,
            is_state,
        } = declaration;
        let word = if is_state { "state" } else { "param" };
        let in_block = env
            .def
            .is_some_and(|d| self.program.defs[d].kind != DefKind::Op);
        if !in_block {
            return self.fail(
                span,
                fault(Class::Param, format!("`{word}` belongs in a block")),
            );
        }
        let ast::TypeKind::Tensor { axes, .. } = &ty.kind else {
            return self.fail(
                ty.span,
                fault(
                    Class::Type,
                    format!("a `{word}` is a tensor: `{word} {}: [N]`", name.text),
                ),
            );
        };
        let dims = self.dims(axes, env)?;
        self.check_stored(ty.span, &name.text, &dims.sizes)?;
        self.spend_many(span, WEIGHT_STEPS)?;
        let init = self.init(init, env)?;
        let key = self.key(name, label, env)?;
        self.declared.push(key.clone());
        let known = self.weight_of.get(&key).copied();
        let at = match known {
            Some(at) => {
                self.check_shared(at, &dims.sizes, is_state, env, span)?;
                at
            }
            None if env.replay => {
                let place = self.frames.last().and_then(|f| f.span).unwrap_or(span);
                let text = format!("`{key}` appears only in a later application of its layer");
                return self.fail(place, fault(Class::Label, text));
            }
            None => self.add_weight(key, dims.sizes.clone(), init, is_state, name, env),
        };
        if is_state {
            env.states.insert(&name.text, at);
        }
        let node = self.weights[at].node;
        self.remember(node, Rc::new(dims));
        env.vars.insert(&name.text, Value::Tensor(node));
        Ok(())
    }

    fn key(
        &mut self,
        name: &'a ast::Ident,
        label: &'a Option<ast::Label>,
        env: &mut Env<'a>,
    ) -> Fallible<String> {
        let own = match label {
            Some(_) => self.label(label, env)?.to_string(),
            None if env.path.is_empty() => name.text.clone(),
            None => format!("{}.{}", env.path, name.text),
        };
        if let Some(frozen) = env.frozen.map(|id| &self.program.frozen[id]) {
            // The network's name leads the paths of its blocks, for messages; its keys begin with a prefix instead.
            let start = frozen.item.name.text.len() + 1;
            let prefix = frozen.prefix(self.program);
            return Ok(format!("{prefix}{}", own.get(start..).unwrap_or_default()));
        }
        Ok(match &env.of {
            Some(of) => format!("{own}.{of}"),
            None => own,
        })
    }

    fn check_shared(
        &mut self,
        at: usize,
        shape: &[i64],
        is_state: bool,
        env: &Env<'a>,
        span: Span,
    ) -> Fallible<()> {
        let place = self.frames.last().and_then(|f| f.span).unwrap_or(span);
        let weight = self.weights[at].clone();
        if !env.replay {
            let block = self.frames.last().map_or(String::new(), |f| f.name.clone());
            let fault = fault(Class::Label, format!("`{}` is declared twice", weight.key));
            // The same place twice is a loop.
            let fault = match place == weight.span {
                true => self.label_by_iteration(place, &block, fault),
                false => fault
                    .other(weight.span, "first here")
                    .help(format!("label this `{block}`: `{block}(…) @name`")),
            };
            return self.fail(place, fault);
        }
        if is_state && env.frozen.is_none() {
            let text = format!(
                "a layer with state (`{}`) is applied once in a step",
                weight.key
            );
            return self.fail(place, fault(Class::Label, text));
        }
        if weight.shape != shape {
            let (now, first) = (
                super::scalar::shape_text(shape),
                super::scalar::shape_text(&weight.shape),
            );
            let fault = fault(
                Class::Label,
                format!("`{}` is shared, but would be {now} here", weight.key),
            )
            .other(weight.span, format!("here it is {first}"))
            .help("a layer bound to a name keeps one set of weights: make two layers, with two labels");
            return self.fail(place, fault);
        }
        Ok(())
    }

    fn add_weight(
        &mut self,
        key: String,
        shape: Vec<i64>,
        init: Init,
        is_state: bool,
        name: &'a ast::Ident,
        env: &Env<'a>,
    ) -> usize {
        let origin = self.origin(&env.path, &name.text, name.span);
        let span = self.frames.last().and_then(|f| f.span).unwrap_or(name.span);
        let of = env.of.as_ref().map(|of| of.to_string());
        let kind = match (env.frozen, is_state, of.clone()) {
            (Some(id), ..) => {
                let start = self.program.frozen[id].prefix(self.program).len();
                let own = key[start..].to_string();
                WeightKind::Frozen(Box::new(self.frozen_source(id, &own, &shape, span)))
            }
            (None, false, _) => WeightKind::Trained,
            (None, true, None) => WeightKind::State,
            (None, true, Some(of)) => WeightKind::Optimizer { of },
        };
        let (node, init) = match (&kind, is_state) {
            (WeightKind::Frozen(_), _) => {
                let init = Init::Required;
                (self.b.param(&key, init, false, shape.clone(), origin), init)
            }
            (_, true) => (self.b.state(&key, init, of, shape.clone(), origin), init),
            (_, false) => (self.b.param(&key, init, true, shape.clone(), origin), init),
        };
        self.weight_of.insert(key.clone(), self.weights.len());
        self.weights.push(Weight {
            key,
            shape,
            init,
            span,
            node,
            kind,
        });
        self.weights.len() - 1
    }

    /// A number, `uniform(lo, hi)` or `normal(mean, std)`; without one, the weight must be loaded.
    fn init(&mut self, init: Option<&'a ast::Expr>, env: &mut Env<'a>) -> Fallible<Init> {
        let Some(e) = init else {
            return Ok(Init::Required);
        };
        if let E::Call { name, args } = &e.kind
            && matches!(name.text.as_str(), "uniform" | "normal")
        {
            let mut numbers = vec![];
            for arg in args {
                numbers.push(self.number(&arg.value, env)?);
            }
            return match (name.text.as_str(), numbers.as_slice()) {
                ("uniform", [low, high]) => Ok(Init::Uniform(*low, *high)),
                ("normal", [mean, std]) => Ok(Init::Normal(*mean, *std)),
                (word, _) => {
                    let text = format!("`{word}` takes two numbers");
                    self.fail(e.span, fault(Class::Param, text))
                }
            };
        }
        self.number(e, env).map(Init::Constant)
    }

    /// A compile-time number.
    pub fn number(&mut self, e: &'a ast::Expr, env: &mut Env<'a>) -> Fallible<f64> {
        let value = self.eval(e, env)?;
        match value.as_number() {
            Some(x) => Ok(x),
            None => {
                let text = format!(
                    "a compile-time number is needed here, got {}",
                    value.describe()
                );
                self.fail(e.span, fault(Class::Param, text))
            }
        }
    }

    /// After `next m = e`, `m` is the new value; a training step keeps it.
    pub fn next(
        &mut self,
        name: &'a ast::Ident,
        e: &'a ast::Expr,
        env: &mut Env<'a>,
    ) -> Fallible<()> {
        let Some(at) = env.states.get(name.text.as_str()).copied() else {
            let text = format!("`{}` is no state of this block", name.text);
            return self.fail(name.span, fault(Class::Name, text));
        };
        let value = self.eval(e, env)?;
        let node = self.node_of(&value, &env.path.clone(), e.span)?;
        let (want, got) = (self.weights[at].shape.clone(), self.shape_of(node));
        if want != got.sizes {
            let text = format!(
                "`{}` has shape {}, its next value {}",
                name.text,
                super::scalar::shape_text(&want),
                got.describe()
            );
            return self.fail(e.span, fault(Class::Shape, text));
        }
        if self.training && env.frozen.is_none() {
            self.nexts.insert(at, node);
        }
        env.vars.insert(&name.text, Value::Tensor(node));
        Ok(())
    }

    pub fn data(
        &mut self,
        name: &'a ast::Ident,
        ty: &'a ast::Type,
        value: &'a ast::Expr,
        span: Span,
        env: &mut Env<'a>,
    ) -> Fallible<()> {
        if !self.train.active || env.def.is_some() {
            return self.fail(
                span,
                fault(Class::Syntax, "`data` belongs in a `train` body"),
            );
        }
        let ast::TypeKind::Tensor { axes, .. } = &ty.kind else {
            return self.fail(
                ty.span,
                fault(
                    Class::Type,
                    "`data` is a tensor: `data clip: [B, 3, T, H, W] = …`",
                ),
            );
        };
        let path = match &value.kind {
            E::Call { name, args } if name.text == "clips" => match args.as_slice() {
                [
                    ast::Arg {
                        value:
                            ast::Expr {
                                kind: E::Str(path), ..
                            },
                        ..
                    },
                ] => path.clone(),
                _ => {
                    return self.fail(
                        value.span,
                        fault(Class::Param, "`clips` takes a folder: `clips(\"data\")`"),
                    );
                }
            },
            _ => {
                return self.fail(
                    value.span,
                    fault(Class::Type, "the only source is `clips(\"folder\")`"),
                );
            }
        };
        let dims = self.dims(axes, env)?;
        self.check_stored(ty.span, &name.text, &dims.sizes)?;
        let origin = self.origin("", &name.text, name.span);
        let node = self.b.input(&name.text, dims.sizes.clone(), origin);
        let port = PortDecl {
            name: name.text.clone(),
            shape: dims.sizes.clone(),
            axes: self.axis_names(axes),
        };
        self.train.data.push(port);
        self.train.data_path.get_or_insert(path);
        self.remember(node, Rc::new(dims));
        env.vars.insert(&name.text, Value::Tensor(node));
        Ok(())
    }

    /// The axes of a port as the source writes them.
    pub fn axis_names(&self, axes: &'a [ast::Axis]) -> Vec<String> {
        axes.iter()
            .map(|axis| match axis {
                ast::Axis::Pack(name) => format!("...{}", name.text),
                ast::Axis::Dim(e) => self.program.text(e.span).to_string(),
            })
            .collect()
    }

    pub fn metric(
        &mut self,
        name: &'a ast::Ident,
        e: &'a ast::Expr,
        env: &mut Env<'a>,
    ) -> Fallible<()> {
        if !self.train.active || env.def.is_some() {
            return self.fail(
                name.span,
                fault(Class::Syntax, "`metric` belongs in a `train` body"),
            );
        }
        let value = self.eval(e, env)?;
        let node = self.node_of(&value, "", e.span)?;
        let shape = self.shape_of(node);
        if !shape.sizes.is_empty() {
            let text = format!(
                "a metric is one number, `{}` has shape {}",
                name.text,
                shape.describe()
            );
            return self.fail(e.span, fault(Class::Shape, text));
        }
        if self.train.metrics.iter().any(|m| m.0 == name.text) {
            return self.fail(
                name.span,
                fault(
                    Class::Name,
                    format!("two metrics are called `{}`", name.text),
                ),
            );
        }
        self.train.metrics.push((name.text.clone(), node));
        env.vars.insert(&name.text, Value::Tensor(node));
        Ok(())
    }
}
