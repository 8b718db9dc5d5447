//! The one door into a graph: what enters here becomes canonical, simple and shared.
//!
//! An equation is cleaned (uniform constants become literals, views are read through), canonicalised, simplified,
//! evaluated if all that it reads is constant and small, and found again if it exists already. Nothing is scheduled
//! here, and no node is ever removed.

use std::collections::HashMap;
use std::sync::Arc;

use crate::equation::canon::{Canonical, canonicalise};
use crate::equation::eval::Tensor;
use crate::equation::index::Ix;
use crate::equation::matrix::as_matrix;
use crate::equation::{Equation, Expr, Lit, Pos, Read, Reducer};
use crate::ir::expr;
use crate::ir::graph::{Graph, Init, Node, NodeId, Op, Origin};
use crate::ir::region::whole;
use crate::ir::reuse::{self, Functions};
use crate::ir::{eval, simplify, view};

/// Constants are computed while compiling up to this many elements.
const FOLD_ELEMENTS: i64 = 1 << 16;
/// And up to this many points of their boxes.
const FOLD_POINTS: i64 = 1 << 22;

pub struct Builder<'g> {
    graph: &'g mut Graph,
    known: HashMap<Key, NodeId>,
    functions: Functions,
    forms: HashMap<CanonicalKey, Arc<Canonical>>,
    is_sketch: bool,
}

/// What makes two nodes the same.
#[derive(PartialEq, Eq, Hash)]
enum Key {
    Input(String, Vec<i64>),
    Weight(String),
    Const(Vec<u32>, Vec<i64>),
    Random(u64, bool, Vec<i64>),
    Equation(Vec<Equation>, Vec<NodeId>, Vec<i64>),
    Scatter(Equation, Vec<NodeId>, Vec<i64>),
}

impl Key {
    /// None: the node is one of its own.
    fn of(node: &Node) -> Option<Key> {
        let (operands, shape) = (node.operands.clone(), node.shape.clone());
        Some(match &node.op {
            Op::Input { name } if name.starts_with('$') => return None,
            Op::Input { name } => Key::Input(name.clone(), shape),
            Op::Param { key, .. } | Op::State { key, .. } => Key::Weight(key.clone()),
            Op::Const(data) => Key::Const(data.iter().map(|x| x.to_bits()).collect(), shape),
            Op::Random { key, normal } => Key::Random(*key, *normal, shape),
            Op::Equation(pieces) => {
                let pieces = pieces.iter().map(|p| (**p).clone()).collect();
                Key::Equation(pieces, operands, shape)
            }
            Op::Scatter(equation) => Key::Scatter((**equation).clone(), operands, shape),
            Op::Update | Op::Custom { .. } => return None,
        })
    }
}

/// What makes two canonicalisations the same: the equation, its operands' shapes, its shape.
type CanonicalKey = (Equation, Vec<Vec<i64>>, Vec<i64>);

impl<'g> Builder<'g> {
    pub fn new(graph: &'g mut Graph) -> Builder<'g> {
        Builder {
            graph,
            known: HashMap::new(),
            functions: Functions::default(),
            forms: HashMap::new(),
            is_sketch: false,
        }
    }

    /// Goes on with a graph that a builder has made: what is there already is found again.
    pub fn resume(graph: &'g mut Graph) -> Builder<'g> {
        let (mut known, mut functions) = (HashMap::new(), Functions::default());
        for id in graph.ids() {
            let node = graph.node(id);
            if let Some(key) = Key::of(node) {
                known.entry(key).or_insert(id);
            }
            if let Op::Equation(pieces) = &node.op {
                let pieces: Vec<Equation> = pieces.iter().map(|p| (**p).clone()).collect();
                let function = reuse::function_of(&pieces, &node.operands, &node.shape);
                functions.note(function, node.shape.clone(), id);
            }
        }
        Builder {
            known,
            functions,
            ..Builder::new(graph)
        }
    }

    /// For checks: equations stay as they are written, nothing is folded or shared. Shapes and reads are right; no later
    /// stage takes such a graph.
    pub fn sketch(graph: &'g mut Graph) -> Builder<'g> {
        Builder {
            is_sketch: true,
            ..Builder::new(graph)
        }
    }

    pub fn is_sketch(&self) -> bool {
        self.is_sketch
    }

    pub fn graph(&self) -> &Graph {
        self.graph
    }

    pub fn shape(&self, id: NodeId) -> &[i64] {
        self.graph.shape(id)
    }

    pub fn output(&mut self, name: &str, id: NodeId) {
        self.graph.outputs.push((name.to_string(), id));
    }

    pub fn input(&mut self, name: &str, shape: Vec<i64>, origin: Origin) -> NodeId {
        let op = Op::Input {
            name: name.to_string(),
        };
        // A placeholder is a node of its own each time.
        if name.starts_with('$') {
            return self.graph.add(op, vec![], shape, origin);
        }
        let key = Key::Input(name.to_string(), shape.clone());
        self.intern(key, op, vec![], shape, origin)
    }

    pub fn param(
        &mut self,
        key: &str,
        init: Init,
        trained: bool,
        shape: Vec<i64>,
        origin: Origin,
    ) -> NodeId {
        let op = Op::Param {
            key: key.to_string(),
            init,
            trained,
        };
        self.intern(Key::Weight(key.to_string()), op, vec![], shape, origin)
    }

    pub fn state(
        &mut self,
        key: &str,
        init: Init,
        of: Option<String>,
        shape: Vec<i64>,
        origin: Origin,
    ) -> NodeId {
        let op = Op::State {
            key: key.to_string(),
            init,
            of,
        };
        self.intern(Key::Weight(key.to_string()), op, vec![], shape, origin)
    }

    pub fn constant(&mut self, data: Vec<f32>, shape: Vec<i64>, origin: Origin) -> NodeId {
        assert_eq!(
            data.len() as i64,
            shape.iter().product::<i64>(),
            "a constant fills its shape"
        );
        if self.is_sketch {
            return self
                .graph
                .add(Op::Const(Arc::new(data)), vec![], shape, origin);
        }
        let key = Key::Const(data.iter().map(|x| x.to_bits()).collect(), shape.clone());
        self.intern(key, Op::Const(Arc::new(data)), vec![], shape, origin)
    }

    pub fn random(&mut self, key: u64, normal: bool, shape: Vec<i64>, origin: Origin) -> NodeId {
        let known = Key::Random(key, normal, shape.clone());
        self.intern(known, Op::Random { key, normal }, vec![], shape, origin)
    }

    /// Writes `value` into the storage of `target` when the entry ends; the node's value is `value`.
    pub fn update(&mut self, target: NodeId, value: NodeId, origin: Origin) -> NodeId {
        let shape = self.graph.shape(target).to_vec();
        self.graph
            .add(Op::Update, vec![target, value], shape, origin)
    }

    /// `y`, whose gradient is given: `grads[i]` for `inputs[i]`, computed from the placeholder `dy`.
    pub fn custom(
        &mut self,
        y: NodeId,
        inputs: Vec<NodeId>,
        dy: NodeId,
        grads: Vec<NodeId>,
        origin: Origin,
    ) -> NodeId {
        let shape = self.graph.shape(y).to_vec();
        let operands = std::iter::once(y).chain(inputs).collect();
        self.graph
            .add(Op::Custom { dy, grads }, operands, shape, origin)
    }

    /// An equation as written: quasi-affine positions, at most one reduction.
    pub fn equation(
        &mut self,
        equation: Equation,
        operands: Vec<NodeId>,
        shape: Vec<i64>,
        origin: Origin,
    ) -> NodeId {
        if self.is_sketch {
            let op = Op::Equation(vec![Arc::new(equation)]);
            return self.graph.add(op, operands, shape, origin);
        }
        let (mut equation, mut operands) = self.clean(&equation, &operands);
        while let [only] = operands[..]
            && let Some((over, source)) = view::over_digits(self.graph, &equation, only)
        {
            (equation, operands) = self.clean(&over, &[source]);
        }
        let canonical = self.canonical(equation, &operands, &shape);
        let mut all = operands;
        for (shape, table) in &canonical.tables {
            let data = table.iter().map(|x| *x as f32).collect();
            all.push(self.constant(data, shape.clone(), origin.clone()));
        }
        let pieces = (canonical.pieces.iter())
            .map(|piece| {
                self.as_matrix(piece, &mut all, &origin)
                    .unwrap_or_else(|| piece.clone())
            })
            .collect();
        self.pieces(pieces, all, shape, origin)
    }

    fn canonical(
        &mut self,
        equation: Equation,
        operands: &[NodeId],
        shape: &[i64],
    ) -> Arc<Canonical> {
        let shapes: Vec<Vec<i64>> = operands.iter().map(|o| self.shape(*o).to_vec()).collect();
        let form = (equation, shapes, shape.to_vec());
        if let Some(canonical) = self.forms.get(&form) {
            return canonical.clone();
        }
        let shapes: Vec<&[i64]> = form.1.iter().map(Vec::as_slice).collect();
        let canonical = Arc::new(canonicalise(&form.0, &shapes, shape));
        self.forms.insert(form, canonical.clone());
        canonical
    }

    /// A resampling by constant positions and weights becomes a product with a constant matrix.
    fn as_matrix(
        &mut self,
        piece: &Equation,
        operands: &mut Vec<NodeId>,
        origin: &Origin,
    ) -> Option<Equation> {
        if !has_crooked_read(piece) {
            return None;
        }
        let consts: Vec<Option<Tensor>> = operands.iter().map(|o| self.tensor(*o)).collect();
        let consts: Vec<Option<&Tensor>> = consts.iter().map(Option::as_ref).collect();
        let shapes: Vec<&[i64]> = operands.iter().map(|o| self.shape(*o)).collect();
        let found = as_matrix(piece, &shapes, &consts)?;
        let data = found.data.iter().map(|x| *x as f32).collect();
        let n_given = operands.len();
        operands.push(self.constant(data, found.shape, origin.clone()));
        assert_eq!(
            operands.len(),
            n_given + 1,
            "the matrix is the last operand"
        );
        Some(found.equation)
    }

    fn tensor(&self, id: NodeId) -> Option<Tensor> {
        match &self.graph.node(id).op {
            Op::Const(data) => Some(Tensor {
                shape: self.shape(id).to_vec(),
                data: data.iter().map(|x| f64::from(*x)).collect(),
            }),
            _ => None,
        }
    }

    /// Canonical pieces of one output.
    pub fn pieces(
        &mut self,
        pieces: Vec<Equation>,
        operands: Vec<NodeId>,
        shape: Vec<i64>,
        origin: Origin,
    ) -> NodeId {
        if self.is_sketch {
            let pieces = pieces.into_iter().map(Arc::new).collect();
            return self
                .graph
                .add(Op::Equation(pieces), operands, shape, origin);
        }
        let (pieces, operands) = self.clean_all(&pieces, &operands);
        let pieces: Vec<Equation> = pieces.iter().filter_map(simplify::equation).collect();
        let (pieces, operands) = drop_unread(&pieces, &operands);
        if pieces.is_empty() {
            return self.full(0.0, shape, origin);
        }
        if let Some(id) = self.same_as_operand(&pieces, &operands, &shape) {
            return id;
        }
        if self.is_foldable(&pieces, &operands, &shape) {
            let data = self.fold(&pieces, &operands, &shape);
            return self.constant(data, shape, origin);
        }
        let (pieces, operands) = self.functions.reuse(pieces, operands, &shape);
        if let Some(id) = self.same_as_operand(&pieces, &operands, &shape) {
            return id;
        }
        let function = reuse::function_of(&pieces, &operands, &shape);
        let key = Key::Equation(pieces.clone(), operands.clone(), shape.clone());
        let op = Op::Equation(pieces.into_iter().map(Arc::new).collect());
        let id = self.intern(key, op, operands, shape.clone(), origin);
        self.functions.note(function, shape, id);
        id
    }

    /// Adds every point into its written position.
    pub fn scatter(
        &mut self,
        equation: Equation,
        operands: Vec<NodeId>,
        shape: Vec<i64>,
        origin: Origin,
    ) -> NodeId {
        let (equation, operands) = self.clean(&equation, &operands);
        let Some(equation) = simplify::equation(&equation) else {
            return self.full(0.0, shape, origin);
        };
        let (mut equations, operands) = drop_unread(std::slice::from_ref(&equation), &operands);
        let equation = equations.remove(0);
        let key = Key::Scatter(equation.clone(), operands.clone(), shape.clone());
        self.intern(
            key,
            Op::Scatter(Arc::new(equation)),
            operands,
            shape,
            origin,
        )
    }

    /// The same number everywhere.
    pub fn full(&mut self, value: f64, shape: Vec<i64>, origin: Origin) -> NodeId {
        let size: i64 = shape.iter().product();
        if size <= FOLD_ELEMENTS && !self.is_sketch {
            return self.constant(vec![value as f32; size as usize], shape, origin);
        }
        let piece = map(&shape, Expr::Lit(Lit::new(value)));
        if self.is_sketch {
            return self
                .graph
                .add(Op::Equation(vec![Arc::new(piece)]), vec![], shape, origin);
        }
        let key = Key::Equation(vec![piece.clone()], vec![], shape.clone());
        self.intern(
            key,
            Op::Equation(vec![Arc::new(piece)]),
            vec![],
            shape,
            origin,
        )
    }

    /// The sum of tensors of one shape.
    pub fn sum(&mut self, terms: &[NodeId], origin: Origin) -> NodeId {
        let shape = self.graph.shape(terms[0]).to_vec();
        if terms.len() == 1 {
            return terms[0];
        }
        let term = |i| {
            Expr::Read(Read {
                operand: i,
                at: straight(&shape),
                outside: None,
            })
        };
        let body = (1..terms.len()).fold(term(0), |sum, i| {
            Expr::Binary(
                crate::equation::Binary::Add,
                Box::new(sum),
                Box::new(term(i)),
            )
        });
        self.equation(map(&shape, body), terms.to_vec(), shape, origin)
    }

    /// A copy of `id`'s node with other operands; how a pass rebuilds a graph.
    pub fn rebuild(
        &mut self,
        op: &Op,
        operands: Vec<NodeId>,
        shape: Vec<i64>,
        origin: Origin,
    ) -> NodeId {
        match op {
            Op::Input { name } => self.input(name, shape, origin),
            Op::Param { key, init, trained } => self.param(key, *init, *trained, shape, origin),
            Op::State { key, init, of } => self.state(key, *init, of.clone(), shape, origin),
            Op::Const(data) => self.constant(data.to_vec(), shape, origin),
            Op::Random { key, normal } => self.random(*key, *normal, shape, origin),
            Op::Equation(pieces) => {
                let pieces = pieces.iter().map(|p| (**p).clone()).collect();
                self.pieces(pieces, operands, shape, origin)
            }
            Op::Scatter(equation) => self.scatter((**equation).clone(), operands, shape, origin),
            Op::Update => self.update(operands[0], operands[1], origin),
            Op::Custom { .. } => operands[0],
        }
    }

    /// The number that fills the node, if it is one.
    pub fn uniform(&self, id: NodeId) -> Option<f64> {
        let node = self.graph.node(id);
        match &node.op {
            Op::Const(data) => {
                let first = *data.first()?;
                data.iter()
                    .all(|x| x.to_bits() == first.to_bits())
                    .then_some(f64::from(first))
            }
            Op::Equation(pieces) if pieces.len() == 1 && pieces[0].reducer == Reducer::Map => {
                whole(&pieces[0], &node.shape)?;
                simplify::literal(&pieces[0].body)
            }
            _ => None,
        }
    }

    fn intern(
        &mut self,
        key: Key,
        op: Op,
        operands: Vec<NodeId>,
        shape: Vec<i64>,
        origin: Origin,
    ) -> NodeId {
        if let Some(id) = self.known.get(&key) {
            return *id;
        }
        let id = self.graph.add(op, operands, shape, origin);
        self.known.insert(key, id);
        id
    }

    fn clean(&self, equation: &Equation, operands: &[NodeId]) -> (Equation, Vec<NodeId>) {
        let (mut equations, operands) = self.clean_all(std::slice::from_ref(equation), operands);
        (equations.remove(0), operands)
    }

    /// Reads of uniform tensors become literals, reads of views reads of what they show; each operand occurs once,
    /// in order of first use.
    fn clean_all(
        &self,
        equations: &[Equation],
        operands: &[NodeId],
    ) -> (Vec<Equation>, Vec<NodeId>) {
        let mut all = operands.to_vec();
        let mut cleaned: Vec<Equation> = equations.to_vec();
        for equation in &mut cleaned {
            let extents = expr::extents(equation);
            *equation = expr::rewrite_equation(equation, &mut |e| match e {
                Expr::Read(read) => self.clean_read(read, &extents, &mut all),
                e => e,
            });
        }
        drop_unread(&cleaned, &all)
    }

    fn clean_read(&self, mut read: Read, extents: &[i64], operands: &mut Vec<NodeId>) -> Expr {
        let mut id = operands[read.operand];
        while let Some((through, source)) = view::through(self.graph, id, &read, extents) {
            (read, id) = (through, source);
        }
        match self.uniform(id) {
            Some(x) if read.outside.is_none_or(|o| o.get() == x) => return Expr::Lit(Lit::new(x)),
            _ => {}
        }
        read.operand = operands.iter().position(|o| *o == id).unwrap_or_else(|| {
            operands.push(id);
            operands.len() - 1
        });
        Expr::Read(read)
    }

    /// The operand that an identity map copies.
    fn same_as_operand(
        &self,
        pieces: &[Equation],
        operands: &[NodeId],
        shape: &[i64],
    ) -> Option<NodeId> {
        let [piece] = pieces else { return None };
        let axes = whole(piece, shape)?;
        let Expr::Read(read) = &piece.body else {
            return None;
        };
        let same = piece.reducer == Reducer::Map
            && read.outside.is_none()
            && self.shape(operands[read.operand]) == shape
            && read.at.iter().zip(axes).all(|(p, axis)| match (p, axis) {
                (Pos::Ix(ix), Some(v)) => ix.as_var() == Some(v),
                (Pos::Ix(ix), None) => ix.as_constant() == Some(0),
                _ => false,
            });
        same.then(|| operands[read.operand])
    }

    fn is_foldable(&self, pieces: &[Equation], operands: &[NodeId], shape: &[i64]) -> bool {
        let work: i64 = pieces
            .iter()
            .fold(0, |n, p| n.saturating_add(expr::points(p)));
        operands
            .iter()
            .all(|o| matches!(self.graph.node(*o).op, Op::Const(_)))
            && shape.iter().product::<i64>() <= FOLD_ELEMENTS
            && work <= FOLD_POINTS
            && !pieces.iter().any(|p| expr::has_random(&p.body))
    }

    fn fold(&self, pieces: &[Equation], operands: &[NodeId], shape: &[i64]) -> Vec<f32> {
        let values: Vec<Tensor> = operands.iter().filter_map(|o| self.tensor(*o)).collect();
        eval::constant(pieces, &values, shape)
    }
}

/// `[i0, i1, …]`, for every axis its own variable.
pub fn straight(shape: &[i64]) -> Vec<Pos> {
    (0..shape.len()).map(|v| Pos::Ix(Ix::var(v))).collect()
}

/// A map over the whole of `shape`, variable j for axis j.
pub fn map(shape: &[i64], body: Expr) -> Equation {
    Equation {
        free: shape.to_vec(),
        reduced: vec![],
        reducer: Reducer::Map,
        body,
        guards: vec![],
        write: straight(shape),
    }
}

/// Whether a read's position is not affine, so that a matrix may be found in it.
fn has_crooked_read(piece: &Equation) -> bool {
    let mut found = false;
    expr::for_each_read(&piece.body, &mut |read| {
        found |= !read
            .at
            .iter()
            .all(|p| matches!(p, Pos::Ix(ix) if ix.is_affine()));
    });
    found
}

/// Each operand once, in order of first use; operands without a read go.
pub fn drop_unread(equations: &[Equation], operands: &[NodeId]) -> (Vec<Equation>, Vec<NodeId>) {
    let mut kept: Vec<NodeId> = vec![];
    let mut to = vec![usize::MAX; operands.len()];
    for equation in equations {
        expr::for_each_read_of(equation, &mut |read| {
            let id = operands[read.operand];
            to[read.operand] = kept.iter().position(|k| *k == id).unwrap_or_else(|| {
                kept.push(id);
                kept.len() - 1
            });
        });
    }
    let renamed = equations
        .iter()
        .map(|e| expr::rename_operands(e, &to))
        .collect();
    (renamed, kept)
}
