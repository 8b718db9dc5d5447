//! `grad` clauses: the gradient that a text gives in place of the derived one.

use super::arguments::count;
use super::elab::Elab;
use super::error::{Fallible, fault};
use super::module::Def;
use super::scope::Env;
use super::value::Value;
use crate::diag::Class;
use crate::syntax::ast;

impl<'a> Elab<'a, '_> {
    /// Wraps the result of an op that has a `grad` clause, where gradients are taken.
    pub fn customise(&mut self, d: &Def<'a>, value: Value, env: &mut Env<'a>) -> Fallible<Value> {
        let Some(grad) = d.grad.filter(|_| self.train.active && self.training) else {
            return Ok(value);
        };
        let mut inputs = vec![];
        for input in d.inputs {
            if let ast::TypeKind::Tensor { .. } = input.ty.kind {
                let value = env
                    .vars
                    .get(input.name.text.as_str())
                    .cloned()
                    .unwrap_or(Value::Failed);
                let node = self.node_of(&value, &env.path.clone(), input.name.span)?;
                env.vars.insert(&input.name.text, Value::Tensor(node));
                inputs.push((input, node));
            }
        }
        let y = self.node_of(&value, &env.path.clone(), d.name.span)?;
        let shape = self.b.shape(y).to_vec();
        let origin = self.origin(&env.path, "$dy", grad.span);
        let dy = self.b.input("$dy", shape, origin);
        env.vars.insert(&grad.result.text, Value::Tensor(y));
        env.vars.insert(&grad.cotangent.text, Value::Tensor(dy));
        let given = self.run(&grad.body, env, None)?;
        let Some(given) = given else {
            return self.fail(
                grad.span,
                fault(
                    Class::Grad,
                    format!("`grad` of {} has no value", d.name.text),
                ),
            );
        };
        let given = match given {
            Value::List(items) => items.to_vec(),
            one => vec![one],
        };
        if given.len() != inputs.len() {
            let text = format!(
                "`grad` of {} gives {} of {}",
                d.name.text,
                given.len(),
                count(inputs.len(), "gradient")
            );
            return self.fail(grad.span, fault(Class::Grad, text));
        }
        let mut grads = vec![];
        for (value, (input, node)) in given.iter().zip(&inputs) {
            let gradient = self.node_of(value, &env.path.clone(), grad.span)?;
            let (got, want) = (self.shape_of(gradient), self.shape_of(*node));
            if got.sizes != want.sizes {
                let text = format!(
                    "the gradient of `{}` has shape {}, needs {}",
                    input.name.text,
                    got.describe(),
                    want.describe()
                );
                return self.fail(grad.span, fault(Class::Grad, text));
            }
            grads.push(gradient);
        }
        let inputs = inputs.into_iter().map(|(_, node)| node).collect();
        let origin = self.origin(&env.path, &d.name.text, d.name.span);
        Ok(Value::Tensor(self.b.custom(y, inputs, dy, grads, origin)))
    }
}
