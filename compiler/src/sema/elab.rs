//! The state of one elaboration: the graph that grows, its weights, layers and the calls that led here.
//!
//! One `Elab` makes one entry. It never does IO and never decides anything by an operator's name.

use super::calls::Calls;
use super::error::{Failed, Fallible, Fault, fault, is_name, suggested};
use super::facts::Facts;
use super::frozen::{FrozenUse, Source};
use super::limits::{CONSTANT_STEPS, MAX_DEPTH, MAX_POINTS, MAX_STEPS, POINTS_A_STEP};
use super::lower;
use super::module::Program;
use super::promise::Promised;
use super::value::{Dims, Form, Kind, Num, Value};
use crate::diag::{Class, Diag, Problems, Span};
use crate::equation::index::Ix;
use crate::equation::{Equation, Expr, Pos, Read, Reducer};
use crate::ir::build::Builder;
use crate::ir::graph::{Init, NodeId, Op, Origin};
use rustc_hash::{FxHashMap as HashMap, FxHashSet as HashSet};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// Larger pending expressions become nodes before they are used again.
pub const MAX_PENDING: usize = 48;

pub struct Elab<'a, 'g> {
    pub program: &'a Program<'a>,
    pub problems: &'g mut Problems,
    /// Places that have been reported, over all entries.
    pub reported: &'g mut HashSet<Span>,
    pub b: Builder<'g>,
    pub training: bool,
    pub profile: &'a str,
    /// Extent of every index of the equation at hand.
    pub extents: Vec<i64>,
    pub index_names: Vec<Rc<str>>,
    /// Equations of the op at hand, if it promises a kernel.
    pub promised: Option<Vec<Promised>>,
    /// Nodes whose values are whole numbers.
    pub whole: HashSet<NodeId>,
    pub shapes: HashMap<NodeId, Rc<Dims>>,
    pub layers: Vec<Layer<'a>>,
    pub weights: Vec<Weight>,
    pub weight_of: HashMap<String, usize>,
    /// Keys in the order in which they were declared, repeated applications included.
    pub declared: Vec<String>,
    pub frames: Vec<Frame>,
    pub calls: Calls,
    /// Where the `train` body starts.
    pub root: u32,
    pub randoms: HashMap<u64, u64>,
    pub steps_left: u64,
    pub n_equations: usize,
    /// Running out of steps or equations has been reported.
    pub exhausted: bool,
    pub depth: usize,
    /// `next`: stored tensor and its new value, in order.
    pub nexts: BTreeMap<usize, NodeId>,
    pub train: TrainBody<'a>,
    /// What is found out about places in the text, if somebody wants to know.
    pub facts: Option<&'g mut Facts>,
    /// Frozen networks that were called: their layers.
    pub frozen: BTreeMap<usize, FrozenUse>,
    /// Optional ones that were asked for and have no file.
    pub absent: BTreeSet<usize>,
}

/// What a `train` body declares beside its values.
#[derive(Default)]
pub struct TrainBody<'a> {
    pub active: bool,
    /// The name that the statement at hand binds.
    pub binding: Option<&'a str>,
    /// The layer of the model, and its first application.
    pub model: Option<usize>,
    pub preview: Option<(NodeId, NodeId)>,
    pub data: Vec<super::PortDecl>,
    pub data_path: Option<String>,
    pub metrics: Vec<(String, NodeId)>,
    pub tunable: Vec<(String, f64, f64)>,
    /// The loss, as it was folded, depends on no weight.
    pub is_idle: bool,
}

pub struct Layer<'a> {
    pub def: usize,
    pub parameters: HashMap<&'a str, Value>,
    pub path: Rc<str>,
    pub replay: bool,
    /// Belongs to this weight (an optimiser's layer).
    pub of: Option<Rc<str>>,
    /// Belongs to this frozen network.
    pub frozen: Option<usize>,
    /// Keys of the first application, sorted.
    pub keys: Option<Vec<String>>,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct Weight {
    pub key: String,
    pub shape: Vec<i64>,
    pub init: Init,
    pub span: Span,
    pub node: NodeId,
    pub kind: WeightKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WeightKind {
    Trained,
    /// Loaded from a file of its own, and never changed.
    Frozen(Box<Source>),
    State,
    Optimizer {
        of: String,
    },
}

/// One call on the way here.
pub struct Frame {
    pub def: usize,
    pub name: String,
    pub path: Rc<str>,
    pub span: Option<Span>,
}

impl Frame {
    fn text(&self) -> String {
        if self.path.is_empty() {
            self.name.clone()
        } else {
            format!("{} @{}", self.name, self.path)
        }
    }
}

impl<'a, 'g> Elab<'a, 'g> {
    pub fn new(
        program: &'a Program<'a>,
        problems: &'g mut Problems,
        reported: &'g mut HashSet<Span>,
        b: Builder<'g>,
        profile: &'a str,
        training: bool,
    ) -> Elab<'a, 'g> {
        Elab {
            program,
            problems,
            reported,
            b,
            training,
            profile,
            extents: vec![],
            index_names: vec![],
            promised: None,
            whole: HashSet::default(),
            shapes: HashMap::default(),
            layers: vec![],
            weights: vec![],
            weight_of: HashMap::default(),
            declared: vec![],
            frames: vec![],
            calls: Calls::default(),
            root: 0,
            randoms: HashMap::default(),
            steps_left: MAX_STEPS,
            n_equations: 0,
            exhausted: false,
            depth: 0,
            nexts: BTreeMap::new(),
            train: TrainBody::default(),
            facts: None,
            frozen: BTreeMap::new(),
            absent: BTreeSet::new(),
        }
    }

    /// What goes wrong here would not be shown: there is no need to find words for it.
    pub fn is_silent(&self, span: Span) -> bool {
        let place = self.caller(span).unwrap_or(span);
        self.problems.is_full() || self.reported.contains(&place)
    }

    /// Reports a problem once per place, with the calls that led there.
    pub fn report(&mut self, span: Span, fault: Fault) -> Failed {
        let details = *fault.details;
        // What goes wrong inside of the library is the fault of the line that called it.
        let caller = self.caller(span);
        let place = caller.unwrap_or(span);
        if !self.reported.insert(place) || self.problems.is_full() {
            return Failed;
        }
        let mut diag = Diag::new(fault.class, place, fault.message);
        let label = details.label.unwrap_or_default();
        diag = match caller {
            Some(_) if label.is_empty() => diag.label(span, "found here"),
            Some(_) => diag.label(span, label),
            None => diag.here(label),
        };
        if let Some(new) = details.help.as_deref().and_then(suggested)
            && is_name(self.program.text(place))
        {
            diag = diag.edit(place, new);
        }
        if let Some((at, new)) = details.edit
            && !self.program.is_standard(at)
        {
            diag = diag.edit(at, new);
        }
        for (place, text) in details.others {
            diag = diag.label(place, text);
        }
        for note in details.notes {
            diag = diag.note(note);
        }
        if matches!(
            diag.class,
            Class::Shape | Class::Dim | Class::Range | Class::Where
        ) {
            diag = diag.note(format!("profile {}", self.profile));
        }
        for frame in self.frames.iter().rev().take(6) {
            if let Some(place) = frame.span {
                diag = diag.called(place, frame.text());
            }
        }
        if let Some(help) = details.help {
            diag = diag.help(help);
        }
        self.problems.push(diag);
        Failed
    }

    /// The innermost call by the user, if the place is in the standard library.
    fn caller(&self, span: Span) -> Option<Span> {
        if !self.program.is_standard(span) {
            return None;
        }
        let mut calls = self.frames.iter().rev().filter_map(|frame| frame.span);
        calls.find(|call| !self.program.is_standard(*call))
    }

    pub fn fail<T>(&mut self, span: Span, fault: Fault) -> Fallible<T> {
        Err(self.report(span, fault))
    }

    /// Gives a pure result its place.
    pub fn at<T>(&mut self, span: Span, result: Result<T, Fault>) -> Fallible<T> {
        result.map_err(|fault| self.report(span, fault))
    }

    pub fn deeper<T>(
        &mut self,
        span: Span,
        f: impl FnOnce(&mut Self) -> Fallible<T>,
    ) -> Fallible<T> {
        if self.depth >= MAX_DEPTH {
            return self.fail(
                span,
                fault(
                    Class::Cycle,
                    "calls and expressions are nested too deeply here",
                ),
            );
        }
        self.depth += 1;
        let result = f(self);
        self.depth -= 1;
        result
    }

    pub fn origin(&self, path: &str, name: &str, span: Span) -> Origin {
        Origin {
            path: path.into(),
            name: name.into(),
            span: Some(span),
        }
    }

    pub fn shape_of(&mut self, node: NodeId) -> Rc<Dims> {
        if let Some(shape) = self.shapes.get(&node) {
            return shape.clone();
        }
        let shape = Rc::new(Dims::plain(self.b.shape(node).to_vec()));
        self.shapes.insert(node, shape.clone());
        shape
    }

    /// The result of a step keeps the text of its axes for messages.
    pub fn remember(&mut self, node: NodeId, dims: Rc<Dims>) {
        if dims.notes.iter().any(Option::is_some) {
            self.shapes.insert(node, dims);
        }
    }

    /// An equation costs steps of evaluation; one that is computed while compiling costs by its points.
    fn check_work(&mut self, span: Span, equation: &Equation, operands: &[NodeId]) -> Fallible<()> {
        let extents = equation.free.iter().chain(&equation.reduced);
        let points = extents.fold(1f64, |n, e| n * *e as f64);
        if points > MAX_POINTS {
            let text = format!("this equation has {points:.0e} points; that is too many");
            return self.fail(span, fault(Class::Shape, text));
        }
        let graph = self.b.graph();
        let fixed = operands
            .iter()
            .all(|o| matches!(graph.node(*o).op, Op::Const(_)));
        if fixed && points < 1e7 {
            self.spend_many(span, points as u64 / POINTS_A_STEP)?;
        }
        self.spend_equation(span)
    }

    /// A node that is read as a number at `at`.
    pub fn read_of(&self, node: NodeId, at: Vec<Pos>, outside: Option<f64>) -> Num {
        let kind = if self.whole.contains(&node) {
            Kind::Int
        } else {
            Kind::Float
        };
        let outside = outside.map(crate::equation::Lit::new);
        let size = 1 + at.len() / 2;
        Num::unbounded(
            kind,
            Expr::Read(Read {
                operand: node.index(),
                at,
                outside,
            }),
            size,
        )
    }

    /// A whole tensor as an elementwise expression: variable j is axis j.
    pub fn lift_tensor(&mut self, node: NodeId) -> Num {
        let shape = self.shape_of(node);
        let at = (0..shape.sizes.len())
            .map(|v| Pos::Ix(Ix::var(v)))
            .collect();
        Num {
            shape: Some(shape),
            ..self.read_of(node, at, None)
        }
    }

    /// A pending elementwise expression becomes a node.
    pub fn force(&mut self, value: &Value, path: &str, name: &str, span: Span) -> Fallible<Value> {
        match value {
            Value::Num(num) if num.shape.is_some() => {
                Ok(Value::Tensor(self.force_num(num, path, name, span)?))
            }
            Value::List(items) if items.iter().any(|v| matches!(v, Value::Num(_))) => {
                let items: Fallible<Vec<Value>> = items
                    .iter()
                    .map(|v| self.force(v, path, name, span))
                    .collect();
                self.list(items?, span)
            }
            other => Ok(other.clone()),
        }
    }

    pub fn force_num(&mut self, num: &Num, path: &str, name: &str, span: Span) -> Fallible<NodeId> {
        let shape = num.shape.clone().unwrap_or_default();
        let Some(body) = num.expr() else {
            let text = "a comparison is no tensor; `select(c, a, b)` chooses by element";
            return self.fail(span, fault(Class::Type, text));
        };
        if let Expr::Read(read) = &body {
            let same = self.b.shape(NodeId::from(read.operand as u32)) == shape.sizes.as_slice();
            let straight = read
                .at
                .iter()
                .enumerate()
                .all(|(v, p)| *p == Pos::Ix(Ix::var(v)));
            if same && straight && read.outside.is_none() {
                return Ok(NodeId::from(read.operand as u32));
            }
        }
        let ids: Vec<usize> = (0..shape.sizes.len()).collect();
        let (equation, operands) = lower::equation(body, Reducer::Map, &ids, &[], &shape.sizes);
        let node = self.emit(
            equation,
            operands,
            shape,
            num.kind,
            self.origin(path, name, span),
        )?;
        Ok(node)
    }

    pub fn emit(
        &mut self,
        equation: Equation,
        operands: Vec<NodeId>,
        shape: Rc<Dims>,
        kind: Kind,
        origin: Origin,
    ) -> Fallible<NodeId> {
        if let Some(span) = origin.span {
            self.check_size(span, &origin.name, &shape.sizes)?;
            self.check_work(span, &equation, &operands)?;
        }
        let node = self
            .b
            .equation(equation, operands, shape.sizes.clone(), origin);
        if kind == Kind::Int {
            self.whole.insert(node);
        }
        self.remember(node, shape);
        Ok(node)
    }

    /// A number of an equation: compile-time numbers and `[]` tensors pass for one.
    pub fn num_of(&mut self, value: &Value, span: Span, in_equation: bool) -> Fallible<Rc<Num>> {
        match value {
            Value::Num(num) => {
                if in_equation && let Some(shape) = &num.shape {
                    if shape.sizes.is_empty() {
                        return Ok(Rc::new(Num {
                            shape: None,
                            ..Num::clone(num)
                        }));
                    }
                    return self.whole_in_equation(span);
                }
                Ok(num.clone())
            }
            Value::Int(i, _) => Ok(Rc::new(Num::int(*i))),
            Value::Float(f) => Ok(Rc::new(Num::float(*f))),
            Value::Tensor(node) => {
                let mut num = self.lift_tensor(*node);
                if in_equation {
                    if num.shape.as_ref().is_some_and(|s| !s.sizes.is_empty()) {
                        return self.whole_in_equation(span);
                    }
                    num.shape = None;
                }
                Ok(Rc::new(num))
            }
            Value::Failed => Err(Failed),
            other => {
                let text = format!("{} is no number", other.describe());
                self.fail(span, fault(Class::Type, text))
            }
        }
    }

    fn whole_in_equation<T>(&mut self, span: Span) -> Fallible<T> {
        let fault = fault(
            Class::Type,
            "inside an equation a tensor is read with indices: `x[i, j]`",
        );
        self.fail(span, fault)
    }

    /// The value as a tensor node; numbers become constants of shape `[]`, lists of numbers of shape `[N]`.
    pub fn node_of(&mut self, value: &Value, path: &str, span: Span) -> Fallible<NodeId> {
        match value {
            Value::Tensor(node) => Ok(*node),
            Value::Num(num) if num.shape.is_some() => self.force_num(num, path, "", span),
            Value::Int(..) | Value::Float(_) => {
                let v = value.as_number().unwrap_or_default();
                self.constant(
                    vec![],
                    vec![v as f32],
                    matches!(value, Value::Int(..)),
                    path,
                    span,
                )
            }
            Value::List(items)
                if !items.is_empty() && items.iter().all(|v| v.as_number().is_some()) =>
            {
                let data: Vec<f32> = items
                    .iter()
                    .filter_map(Value::as_number)
                    .map(|v| v as f32)
                    .collect();
                let ints = items.iter().all(|v| matches!(v, Value::Int(..)));
                self.constant(vec![data.len() as i64], data, ints, path, span)
            }
            Value::Failed => Err(Failed),
            other => {
                let text = format!("a tensor is needed here, got {}", other.describe());
                self.fail(span, fault(Class::Type, text))
            }
        }
    }

    fn constant(
        &mut self,
        shape: Vec<i64>,
        data: Vec<f32>,
        ints: bool,
        path: &str,
        span: Span,
    ) -> Fallible<NodeId> {
        self.spend_many(span, CONSTANT_STEPS + data.len() as u64 / 4)?;
        let origin = self.origin(path, "const", span);
        let node = self.b.constant(data, shape, origin);
        if ints {
            self.whole.insert(node);
        }
        Ok(node)
    }

    pub fn is_comparison(num: &Num) -> bool {
        matches!(num.form, Form::Compare(..))
    }
}
