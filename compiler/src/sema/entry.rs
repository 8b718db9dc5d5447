//! Entries: `infer` for a profile, `train` and `eval` for a `train` item.

use super::call::Argument;
use super::calls::Call;
use super::elab::{Elab, Layer, Weight, WeightKind};
use super::error::{Failed, Fallible, fault, suggest};
use super::facts::Facts;
use super::frozen::FrozenUse;
use super::layout::Layout;
use super::module::{Def, Program};
use super::scalar;
use super::scope::Env;
use super::settings::{Profile, Settings};
use super::value::{Num, Value};
use super::{EntryGraph, PortDecl, TrainInfo, TrainStep, TrainedWeight};
use crate::diag::{Class, Problems, Span};
use crate::equation::Relation;
use crate::ir::build::Builder;
use crate::ir::graph::{Graph, Init, NodeId};
use crate::syntax::ast;
use rustc_hash::FxHashSet as HashSet;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// What one entry adds to the whole.
pub struct ElaboratedEntry {
    pub entry: EntryGraph,
    pub weights: Vec<Weight>,
    pub train: Option<TrainInfo>,
    pub frozen: BTreeMap<usize, FrozenUse>,
    pub absent: BTreeSet<usize>,
    pub layouts: Vec<Layout>,
    /// The model's compile-time parameters, as written.
    pub parameters: BTreeMap<String, String>,
}

pub struct Job<'a, 'p> {
    pub program: &'a Program<'a>,
    pub settings: &'a Settings<'a>,
    pub problems: &'p mut Problems,
    pub reported: &'p mut HashSet<Span>,
    pub facts: Option<&'p mut Facts>,
    /// Only problems are wanted, no graph.
    pub is_check: bool,
    /// What the entry took.
    pub steps: u64,
}

impl<'a> Job<'a, '_> {
    pub fn infer(&mut self, profile: &'a Profile<'a>) -> Option<ElaboratedEntry> {
        let mut graph = Graph::default();
        let settings = self.settings;
        let mut elab = self.elab(&mut graph, profile, false);
        let parts = elab.infer_entry(settings, profile);
        let (finished, steps) = finish(elab, parts);
        self.steps = steps;
        finished.map(|finished| made("infer", profile, graph, finished))
    }

    pub fn train(
        &mut self,
        item: &'a ast::Train,
        profile: &'a Profile<'a>,
        training: bool,
    ) -> Option<ElaboratedEntry> {
        let name = if training { "train" } else { "eval" };
        let mut graph = Graph::default();
        let settings = self.settings;
        let mut elab = self.elab(&mut graph, profile, training);
        let parts = elab.train_entry(item, settings, profile);
        let is_idle = elab.train.is_idle;
        let (finished, steps) = finish(elab, parts);
        self.steps = steps;
        let finished = finished?;
        if is_idle {
            self.reaches_a_weight(item, profile)?;
        }
        Some(made(name, profile, graph, finished))
    }

    /// Reports a loss that reaches no weight by what is written, whatever its derivatives come to.
    fn reaches_a_weight(&mut self, item: &'a ast::Train, profile: &'a Profile<'a>) -> Option<()> {
        let mut graph = Graph::default();
        let settings = self.settings;
        let was_check = std::mem::replace(&mut self.is_check, true);
        let mut elab = self.elab(&mut graph, profile, true);
        let parts = elab.train_entry(item, settings, profile);
        let (finished, steps) = finish(elab, parts);
        self.steps += steps;
        self.is_check = was_check;
        finished.map(|_| ())
    }

    fn elab<'g>(
        &'g mut self,
        graph: &'g mut Graph,
        profile: &'a Profile<'a>,
        training: bool,
    ) -> Elab<'a, 'g> {
        let builder = match self.is_check {
            true => Builder::sketch(graph),
            false => Builder::new(graph),
        };
        let (problems, reported) = (&mut *self.problems, &mut *self.reported);
        let mut elab = Elab::new(
            self.program,
            problems,
            reported,
            builder,
            profile.name,
            training,
        );
        elab.facts = self.facts.as_deref_mut();
        elab
    }
}

/// Where a `train` body binds a name last; the item's own name if it does not.
fn binding(item: &ast::Train, name: &str) -> Span {
    let mut place = item.name.span;
    super::walk::each_bound(&item.body, &mut |bound| {
        if bound.text == name {
            place = bound.span;
        }
    });
    place
}

type Outputs = Vec<(String, NodeId)>;

struct Parts {
    inputs: Vec<PortDecl>,
    outputs: Outputs,
    info: Option<TrainInfo>,
    step: Option<TrainStep>,
}

struct Finished {
    parts: Parts,
    weights: Vec<Weight>,
    parameters: BTreeMap<String, String>,
    frozen: BTreeMap<usize, FrozenUse>,
    absent: BTreeSet<usize>,
    layouts: Vec<Layout>,
    calls: Vec<Call>,
}

/// Takes what an elaboration made and lets go of the graph; what it took.
fn finish(mut elab: Elab<'_, '_>, parts: Fallible<Parts>) -> (Option<Finished>, u64) {
    // What is wrong with the model comes first.
    let layouts = match &parts {
        Ok(_) => elab.layouts(),
        Err(Failed) => Err(Failed),
    };
    let steps = elab.spent();
    (finished(elab, parts, layouts), steps)
}

fn finished(
    mut elab: Elab<'_, '_>,
    parts: Fallible<Parts>,
    layouts: Fallible<Vec<Layout>>,
) -> Option<Finished> {
    let fits = elab.check_frozen();
    let parameters = elab.layers.first().map(|layer| {
        let all = layer.parameters.iter();
        all.map(|(name, value)| (name.to_string(), super::settings::literal(value)))
            .collect()
    });
    fits.ok()?;
    let parts = parts.ok()?;
    Some(Finished {
        layouts: layouts.ok()?,
        parts,
        weights: elab.weights,
        parameters: parameters.unwrap_or_default(),
        frozen: elab.frozen,
        absent: elab.absent,
        calls: elab.calls.list,
    })
}

fn made(
    name: &'static str,
    profile: &Profile<'_>,
    mut graph: Graph,
    finished: Finished,
) -> ElaboratedEntry {
    let parts = finished.parts;
    graph.outputs = parts.outputs;
    let entry = EntryGraph {
        name,
        profile: profile.name.to_string(),
        precision: profile.precision,
        precision_at: profile.precision_at,
        memory: profile.memory,
        dims: profile.dims.clone(),
        inputs: parts.inputs,
        graph,
        calls: finished.calls,
        step: parts.step,
    };
    ElaboratedEntry {
        entry,
        weights: finished.weights,
        train: parts.info,
        frozen: finished.frozen,
        absent: finished.absent,
        layouts: finished.layouts,
        parameters: finished.parameters,
    }
}

impl<'a> Elab<'a, '_> {
    fn infer_entry(
        &mut self,
        settings: &'a Settings<'a>,
        profile: &'a Profile<'a>,
    ) -> Fallible<Parts> {
        let d = &self.program.defs[settings.model];
        let layer = self.model_layer(settings, profile)?;
        let (given, ports) = self.model_inputs(d, layer, profile)?;
        let outer = Env::new(d.module, None, "".into());
        let value = self.apply(layer, given, d.name.span, &outer)?;
        let outputs: Outputs = match &value {
            Value::List(items) => {
                let mut outputs = vec![];
                for (at, item) in items.iter().enumerate() {
                    outputs.push((format!("output.{at}"), self.node_of(item, "", d.name.span)?));
                }
                outputs
            }
            value => vec![("output".to_string(), self.node_of(value, "", d.name.span)?)],
        };
        for (name, node) in &outputs {
            let shape = self.shape_of(*node);
            self.check_stored(self.program.last_span(d), name, &shape.sizes)?;
        }
        Ok(Parts {
            inputs: ports,
            outputs,
            info: None,
            step: None,
        })
    }

    /// The model as the `train` item (or its defaults, and `--set`) makes it.
    fn model_layer(
        &mut self,
        settings: &'a Settings<'a>,
        profile: &'a Profile<'a>,
    ) -> Fallible<usize> {
        match settings.train {
            Some(item) => {
                let mut env = self.train_env(item, settings, profile)?;
                let layer = self.make(&item.network, &mut env)?;
                self.override_model(layer, settings);
                Ok(layer)
            }
            None => {
                let d = &self.program.defs[settings.model];
                let mut inner = Env::new(d.module, Some(settings.model), "".into());
                self.bind_inputs(d, d.parameters, vec![], &mut inner, d.name.span)?;
                self.layers.push(Layer {
                    def: settings.model,
                    parameters: inner.vars,
                    path: "".into(),
                    replay: false,
                    of: None,
                    frozen: None,
                    keys: None,
                    span: d.name.span,
                });
                let layer = self.layers.len() - 1;
                self.override_model(layer, settings);
                Ok(layer)
            }
        }
    }

    fn override_model(&mut self, layer: usize, settings: &'a Settings<'a>) {
        for (name, value) in &settings.model_values {
            self.layers[layer].parameters.insert(name, value.clone());
        }
    }

    fn train_env(
        &mut self,
        item: &'a ast::Train,
        settings: &'a Settings<'a>,
        profile: &'a Profile<'a>,
    ) -> Fallible<Env<'a>> {
        let mut env = Env::new(settings.module, None, "".into());
        self.bind_dims(profile, &mut env);
        for input in &item.params {
            let set = settings
                .train_values
                .iter()
                .find(|(name, _)| *name == input.name.text);
            let value = match (set, &input.default) {
                (Some((_, value)), _) => value.clone(),
                (None, Some(default)) => self.eval(default, &mut env)?,
                (None, None) => {
                    let text = format!(
                        "`{}` of train {} needs a default",
                        input.name.text, item.name.text
                    );
                    return self.fail(input.span, fault(Class::Param, text));
                }
            };
            let what = format!("`{}` of train {}", input.name.text, item.name.text);
            let value = self.scalar_argument(&input.ty.kind, value, &what, input.span)?;
            env.vars.insert(&input.name.text, value);
        }
        Ok(env)
    }

    fn bind_dims(&mut self, profile: &'a Profile<'a>, env: &mut Env<'a>) {
        for (name, size) in &profile.dims {
            env.vars
                .insert(name, Value::Int(*size, Some(name.as_str().into())));
        }
    }

    /// Input tensors of the profile's dims; the model's parameters may occur in its axes too.
    fn model_inputs(
        &mut self,
        d: &'a Def<'a>,
        layer: usize,
        profile: &'a Profile<'a>,
    ) -> Fallible<(Vec<Argument<'a>>, Vec<PortDecl>)> {
        let mut env = Env::new(d.module, None, "".into());
        env.vars = self.layers[layer].parameters.clone();
        self.bind_dims(profile, &mut env);
        let (mut given, mut ports) = (vec![], vec![]);
        for input in d.inputs {
            let ast::TypeKind::Tensor { axes, .. } = &input.ty.kind else {
                let text = format!("`{}` of {} must be a tensor", input.name.text, d.name.text);
                return self.fail(input.span, fault(Class::Type, text));
            };
            let dims = self.dims(axes, &mut env)?;
            self.check_stored(input.span, &input.name.text, &dims.sizes)?;
            let origin = self.origin("", &input.name.text, input.span);
            let node = self.b.input(&input.name.text, dims.sizes.clone(), origin);
            let axes = self.axis_names(axes);
            ports.push(PortDecl {
                name: input.name.text.clone(),
                shape: dims.sizes.clone(),
                axes,
            });
            self.remember(node, Rc::new(dims));
            given.push(Argument {
                name: Some(&input.name),
                value: Value::Tensor(node),
                span: input.span,
            });
        }
        Ok((given, ports))
    }

    fn train_entry(
        &mut self,
        item: &'a ast::Train,
        settings: &'a Settings<'a>,
        profile: &'a Profile<'a>,
    ) -> Fallible<Parts> {
        let mut env = self.train_env(item, settings, profile)?;
        let layer = self.make(&item.network, &mut env)?;
        self.override_model(layer, settings);
        self.train.active = true;
        self.root = item.body.span.start;
        self.train.model = Some(layer);
        env.vars.insert(&item.name.text, Value::Layer(layer));
        let scalars = ["step", "epoch"].map(|name| {
            let node = self.scalar_input(name, item.name.span);
            env.vars.insert(name, Value::Tensor(node));
            (name, node)
        });
        self.run(&item.body, &mut env, None)?;
        let loss = self.loss(item, &env)?;
        let info = self.train_info(item, &env)?;
        let mut outputs = vec![("loss".to_string(), loss)];
        let metrics = std::mem::take(&mut self.train.metrics);
        outputs.extend(metrics.into_iter().filter(|m| m.0 != "loss"));
        let mut inputs = self.train.data.clone();
        let mut learnt = None;
        if self.training {
            let given = self.scalar_input("rate", item.name.span);
            let step = scalars[0].1;
            learnt = Some(self.learn(item, &env, loss, given, step)?);
            let names = ["step", "epoch", "rate"];
            inputs.extend(names.map(|name| PortDecl {
                name: name.into(),
                shape: vec![],
                axes: vec![],
            }));
        } else {
            if let Some((input, output)) = self.train.preview {
                outputs.push(("preview.input".into(), input));
                outputs.push(("preview.output".into(), output));
            }
            let used = self.used(outputs.iter().map(|o| o.1).collect());
            let names = scalars.iter().filter(|(_, node)| used.contains(node));
            inputs.extend(names.map(|(name, _)| PortDecl {
                name: name.to_string(),
                shape: vec![],
                axes: vec![],
            }));
        }
        Ok(Parts {
            inputs,
            outputs,
            info: Some(info),
            step: learnt,
        })
    }

    fn scalar_input(&mut self, name: &str, span: Span) -> NodeId {
        let origin = self.origin("", name, span);
        self.b.input(name, vec![], origin)
    }

    /// Every node that some of `nodes` need.
    fn used(&self, mut nodes: Vec<NodeId>) -> HashSet<NodeId> {
        let mut used = HashSet::default();
        while let Some(node) = nodes.pop() {
            if used.insert(node) {
                nodes.extend(&self.b.graph().node(node).operands);
            }
        }
        used
    }

    /// A name that the `train` body must bind.
    fn required(&mut self, item: &'a ast::Train, env: &Env<'a>, name: &'a str) -> Fallible<Value> {
        match env.vars.get(name) {
            Some(Value::Failed) => Err(Failed),
            Some(value) => Ok(value.clone()),
            None => {
                let near = suggest(name, super::eval::sorted(env.vars.keys().copied()));
                let text = format!("train {} binds no `{name}`", item.name.text);
                self.fail(item.name.span, fault(Class::Name, text).maybe_help(near))
            }
        }
    }

    fn loss(&mut self, item: &'a ast::Train, env: &Env<'a>) -> Fallible<NodeId> {
        let loss = self.required(item, env, "loss")?;
        let node = self.node_of(&loss, "", item.name.span)?;
        let shape = self.shape_of(node);
        if !shape.sizes.is_empty() {
            let text = format!("`loss` is one number, got {}", shape.describe());
            let place = binding(item, "loss");
            let help = "reduce it: `y[] = mean[...s] x[...s]`, or an op that gives `[]`";
            return self.fail(place, fault(Class::Shape, text).help(help));
        }
        Ok(node)
    }

    fn train_info(&mut self, item: &'a ast::Train, env: &Env<'a>) -> Fallible<TrainInfo> {
        let epochs = self.count(item, env, "epochs")?;
        let steps = self.count(item, env, "steps")?;
        let ema = self.optional_number(item, env, "ema")?;
        if let Some(ema) = ema
            && !(0.0..1.0).contains(&ema)
        {
            return self.fail(
                item.name.span,
                fault(
                    Class::Param,
                    format!("`ema` is a decay in [0, 1), got {ema}"),
                ),
            );
        }
        if self.train.data.is_empty() {
            let text = format!("train {} has no `data`", item.name.text);
            return self.fail(
                item.name.span,
                fault(Class::Name, text).help("`data clip: [B, 3, T, H, W] = clips(\"data\")`"),
            );
        }
        Ok(TrainInfo {
            name: item.name.text.clone(),
            epochs,
            steps,
            data: self.train.data.clone(),
            data_path: self.train.data_path.clone().unwrap_or_default(),
            tunable: self.train.tunable.clone(),
            ema,
            metrics: self.train.metrics.iter().map(|m| m.0.clone()).collect(),
        })
    }

    fn count(&mut self, item: &'a ast::Train, env: &Env<'a>, name: &'a str) -> Fallible<u64> {
        match self.required(item, env, name)? {
            Value::Int(n, _) if n > 0 => Ok(n as u64),
            other => {
                let text = format!("`{name}` is a positive int, got {}", other.describe());
                self.fail(binding(item, name), fault(Class::Param, text))
            }
        }
    }

    fn optional_number(
        &mut self,
        item: &'a ast::Train,
        env: &Env<'a>,
        name: &'a str,
    ) -> Fallible<Option<f64>> {
        match env.vars.get(name) {
            None => Ok(None),
            Some(Value::Failed) => Err(Failed),
            // A clip of video may be called `clip`, too.
            Some(Value::Tensor(_)) => Ok(None),
            Some(value) => match value.as_number() {
                Some(x) => Ok(Some(x)),
                None => {
                    let text = format!(
                        "`{name}` is a compile-time number, got {}",
                        value.describe()
                    );
                    self.fail(item.name.span, fault(Class::Param, text))
                }
            },
        }
    }

    /// What the step learns: the optimiser's equations for each weight that the loss depends on.
    fn learn(
        &mut self,
        item: &'a ast::Train,
        env: &Env<'a>,
        loss: NodeId,
        given: NodeId,
        step: NodeId,
    ) -> Fallible<TrainStep> {
        let span = item.name.span;
        let optimizer = match self.required(item, env, "optimizer")? {
            Value::Layer(layer) => layer,
            other => {
                let text = format!(
                    "`optimizer` is a layer such as `Adam()`, got {}",
                    other.describe()
                );
                return self.fail(span, fault(Class::Type, text));
            }
        };
        let rate = self.required(item, env, "rate")?;
        let rate = self.rate(&rate, given, span)?;
        let clip = self.optional_number(item, env, "clip")?;
        if let Some(clip) = clip.filter(|c| *c <= 0.0) {
            let text = format!("`clip` is the largest norm of the gradients, above 0; got {clip}");
            return self.fail(span, fault(Class::Param, text));
        }
        let ema = self.optional_number(item, env, "ema")?;
        // The model's own, before those of the optimiser.
        let states = self.new_states(0..self.weights.len());
        let mut weights = vec![];
        for at in self.learnt(item, loss)? {
            let mut weight = self.optimise(optimizer, at, rate, span)?;
            weight.mean = ema.map(|_| self.running_mean(at, span));
            weights.push(weight);
        }
        Ok(TrainStep {
            loss,
            step,
            clip,
            ema,
            weights,
            states,
            span,
        })
    }

    /// Numbers of the weights that the loss depends on by what has a derivative. A check takes the first one for all of them: an
    /// optimiser is the same text for each.
    fn learnt(&mut self, item: &'a ast::Train, loss: NodeId) -> Fallible<Vec<usize>> {
        let reached = self.reached(loss);
        let is_learnt = |w: &Weight| w.kind == WeightKind::Trained && reached.contains(&w.node);
        let all = self.weights.iter().enumerate();
        let mut learnt: Vec<usize> = all
            .filter(|(_, w)| is_learnt(w))
            .map(|(at, _)| at)
            .collect();
        // Whether the text may mean that nothing is learnt, the sketch decides, where nothing is folded.
        self.train.is_idle = !self.b.is_sketch() && learnt.is_empty();
        if self.b.is_sketch() && learnt.is_empty() {
            let help = "the loss must depend on the model's result, and not only through `stop` or `floor`";
            let fault = fault(Class::Grad, "`loss` reaches no parameter").help(help);
            return self.fail(binding(item, "loss"), fault);
        }
        if self.b.is_sketch() {
            learnt.truncate(1);
        }
        Ok(learnt)
    }

    /// Those of some weights and states that have a new value, and the value.
    fn new_states(&self, of: std::ops::Range<usize>) -> Vec<(NodeId, NodeId)> {
        let nexts = self.nexts.range(of);
        nexts
            .map(|(at, new)| (self.weights[*at].node, *new))
            .collect()
    }

    /// The rate given at run time, unless it is negative: then the source's own.
    fn rate(&mut self, own: &Value, given: NodeId, span: Span) -> Fallible<NodeId> {
        let own = self.num_of(own, span, false)?;
        let shape = own.shape.clone().unwrap_or_default();
        if !shape.sizes.is_empty() {
            return self.fail(
                span,
                fault(
                    Class::Shape,
                    format!("`rate` is one number, got {}", shape.describe()),
                ),
            );
        }
        let given = self.lift_tensor(given);
        let chosen = scalar::compare(Relation::Ge, &given, &Num::int(0))
            .and_then(|c| scalar::select(&c, &given, &own));
        let chosen = self.at(span, chosen)?;
        self.force_num(&chosen, "", "rate", span)
    }

    /// The optimiser's block for one weight, with state of its own, and a gradient that is not known yet.
    fn optimise(
        &mut self,
        optimizer: usize,
        at: usize,
        rate: NodeId,
        span: Span,
    ) -> Fallible<TrainedWeight> {
        let (of, weight): (Rc<str>, NodeId) =
            (self.weights[at].key.as_str().into(), self.weights[at].node);
        let origin = self.origin("", "$gradient", span);
        let shape = self.b.shape(weight).to_vec();
        let gradient = self.b.input("$gradient", shape, origin);
        let layer = {
            let l = &self.layers[optimizer];
            Layer {
                def: l.def,
                parameters: l.parameters.clone(),
                path: "optimizer".into(),
                replay: false,
                of: Some(of),
                frozen: None,
                keys: None,
                span: l.span,
            }
        };
        let place = layer.span;
        self.layers.push(layer);
        let layer = self.layers.len() - 1;
        let given = [weight, gradient, rate].map(|node| Argument {
            name: None,
            value: Value::Tensor(node),
            span: place,
        });
        let env = Env::new(0, None, "".into());
        let first_state = self.weights.len();
        let value = self.apply(layer, given.into(), place, &env)?;
        let new = self.node_of(&value, "optimizer", place)?;
        let (want, got) = (self.shape_of(weight), self.shape_of(new));
        if want.sizes != got.sizes {
            let text = format!(
                "the optimizer gives {} for a weight of {}",
                got.describe(),
                want.describe()
            );
            return self.fail(span, fault(Class::Shape, text));
        }
        Ok(TrainedWeight {
            weight,
            gradient,
            new,
            states: self.new_states(first_state..self.weights.len()),
            mean: None,
        })
    }

    /// A state for the running mean of a weight.
    fn running_mean(&mut self, at: usize, span: Span) -> NodeId {
        let Weight { key: of, shape, .. } = self.weights[at].clone();
        let key = vsr_artifact::manifest::mean_key(&of);
        let origin = self.origin("ema", "mean", span);
        let init = Init::Constant(0.0);
        let owner = Some(of.clone());
        let node = self.b.state(&key, init, owner, shape.clone(), origin);
        let kind = WeightKind::Optimizer { of };
        self.weights.push(Weight {
            key,
            shape,
            init,
            span,
            node,
            kind,
        });
        node
    }
}
