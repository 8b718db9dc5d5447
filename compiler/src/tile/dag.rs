//! The values of one statement, each once: tile expressions enter, a hash-consed graph leaves.
//!
//! Recognises the activations that the runtime computes in one call. Emits nothing.

use super::sum::{AtomId, Stride, Sum, Term};
use super::{Bound, BufferId, Int, Leaf, TileId, Val, Var, Wide};
use crate::equation::{Binary, Lit, Relation, Unary};
use std::collections::HashMap;
use std::hash::Hash;
use vsr_tile::scalar::{Code, Map, Map2};

pub type NodeId = u32;
pub type BoundId = u32;
pub type GuardId = u32;

/// Stands for the memory that the statement writes: what is read there is not moved out of any loop.
pub const WRITTEN: Var = Var::MAX;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Space {
    Buf(BufferId),
    Tile(TileId),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Atom {
    Var(Var),
    Arg(u32),
    Div(Sum, Sum),
    Rem(Sum, Sum),
    Min(Sum, Sum),
    Max(Sum, Sum),
    Floor(NodeId),
    Whole(Box<Wide<NodeId, Sum>>),
    /// An i64 from a table or a tile of rows; not read where the guard fails.
    Load(Space, Sum, Option<GuardId>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Math {
    One(Map),
    Two(Map2),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Node {
    /// Bits of the f32.
    Lit(u32),
    Load(Space, Sum, Option<GuardId>),
    FromInt(Sum),
    /// One that is no call.
    Unary(Unary, NodeId),
    /// One that is no call.
    Binary(Binary, NodeId, NodeId),
    Select(Relation, [NodeId; 4]),
    /// The first node where the guard holds, else the second.
    Guard(GuardId, NodeId, NodeId),
    /// A call of the runtime on a row of arguments (two rows for `Two`).
    Math(Math, Vec<NodeId>),
    Random {
        key: u64,
        normal: bool,
        at: Sum,
    },
}

/// Items of one kind, each with the variables it depends on.
struct Interner<T> {
    items: Vec<(T, Vec<Var>)>,
    ids: HashMap<T, u32>,
}

impl<T: Clone + Eq + Hash> Interner<T> {
    fn new() -> Self {
        Interner {
            items: vec![],
            ids: HashMap::new(),
        }
    }

    fn find(&self, item: &T) -> Option<u32> {
        self.ids.get(item).copied()
    }

    fn insert(&mut self, item: T, mut deps: Vec<Var>) -> u32 {
        deps.sort_unstable();
        deps.dedup();
        let id = self.items.len() as u32;
        self.ids.insert(item.clone(), id);
        self.items.push((item, deps));
        id
    }
}

pub struct Dag {
    atoms: Interner<Atom>,
    nodes: Interner<Node>,
    /// `0 <= index < extent`
    bounds: Interner<(Sum, Sum)>,
    guards: Interner<Vec<BoundId>>,
    written: Option<Space>,
}

impl Dag {
    /// `written`: what the statement writes.
    pub fn new(written: Option<Space>) -> Dag {
        Dag {
            atoms: Interner::new(),
            nodes: Interner::new(),
            bounds: Interner::new(),
            guards: Interner::new(),
            written,
        }
    }

    pub fn atom(&self, id: AtomId) -> &Atom {
        &self.atoms.items[id as usize].0
    }

    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes.items[id as usize].0
    }

    pub fn bound(&self, id: BoundId) -> &(Sum, Sum) {
        &self.bounds.items[id as usize].0
    }

    pub fn guard(&self, id: GuardId) -> &[BoundId] {
        &self.guards.items[id as usize].0
    }

    pub fn node_deps(&self, id: NodeId) -> &[Var] {
        &self.nodes.items[id as usize].1
    }

    pub fn atom_deps(&self, id: AtomId) -> &[Var] {
        &self.atoms.items[id as usize].1
    }

    pub fn bound_deps(&self, id: BoundId) -> &[Var] {
        &self.bounds.items[id as usize].1
    }

    pub fn term_deps(&self, term: &Term) -> Vec<Var> {
        term.atoms
            .iter()
            .flat_map(|a| self.atom_deps(*a))
            .copied()
            .collect()
    }

    pub fn sum_deps(&self, sum: &Sum) -> Vec<Var> {
        sum.terms.iter().flat_map(|t| self.term_deps(t)).collect()
    }

    pub fn stride(&self, sum: &Sum, var: Var) -> Stride {
        let mut coefficient = Sum::constant(0);
        for term in &sum.terms {
            let with: Vec<usize> = (0..term.atoms.len())
                .filter(|i| self.atom_deps(term.atoms[*i]).contains(&var))
                .collect();
            match with.as_slice() {
                [] => {}
                [i] if *self.atom(term.atoms[*i]) == Atom::Var(var) => {
                    let mut atoms = term.atoms.clone();
                    atoms.remove(*i);
                    let rest = if atoms.is_empty() {
                        Sum::constant(term.k)
                    } else {
                        Sum {
                            terms: vec![Term { atoms, k: term.k }],
                            constant: 0,
                        }
                    };
                    coefficient = coefficient.add(&rest);
                }
                _ => return Stride::Other,
            }
        }
        Stride::Linear(coefficient)
    }

    pub fn atom_id(&mut self, atom: Atom) -> AtomId {
        if let Some(id) = self.atoms.find(&atom) {
            return id;
        }
        let deps = match &atom {
            Atom::Var(v) => vec![*v],
            Atom::Arg(_) => vec![],
            Atom::Div(a, b) | Atom::Rem(a, b) | Atom::Min(a, b) | Atom::Max(a, b) => {
                [self.sum_deps(a), self.sum_deps(b)].concat()
            }
            Atom::Floor(n) => self.node_deps(*n).to_vec(),
            Atom::Whole(w) => self.wide_deps(w),
            Atom::Load(space, at, guard) => self.load_deps(*space, at, *guard),
        };
        self.atoms.insert(atom, deps)
    }

    fn wide_deps(&self, wide: &Wide<NodeId, Sum>) -> Vec<Var> {
        let mut deps = vec![];
        wide.each_leaf(&mut |leaf| match leaf {
            Leaf::Val(n) => deps.extend(self.node_deps(*n)),
            Leaf::Int(sum) => deps.extend(self.sum_deps(sum)),
        });
        deps
    }

    fn load_deps(&self, space: Space, at: &Sum, guard: Option<GuardId>) -> Vec<Var> {
        let mut deps = self.sum_deps(at);
        if let Some(g) = guard {
            deps.extend(&self.guards.items[g as usize].1);
        }
        if self.written == Some(space) {
            deps.push(WRITTEN);
        }
        deps
    }

    pub fn node_id(&mut self, node: Node) -> NodeId {
        if let Some(id) = self.nodes.find(&node) {
            return id;
        }
        let deps = match &node {
            Node::Lit(_) => vec![],
            Node::Load(space, at, guard) => self.load_deps(*space, at, *guard),
            Node::FromInt(at) | Node::Random { at, .. } => self.sum_deps(at),
            Node::Guard(g, a, b) => [
                &self.guards.items[*g as usize].1,
                self.node_deps(*a),
                self.node_deps(*b),
            ]
            .concat(),
            node => operands(node)
                .iter()
                .flat_map(|n| self.node_deps(*n))
                .copied()
                .collect(),
        };
        self.nodes.insert(node, deps)
    }

    pub fn bound_id(&mut self, bound: &Bound, guard: Option<GuardId>) -> BoundId {
        let key = (
            self.int(&bound.index, guard),
            self.int(&bound.extent, guard),
        );
        if let Some(id) = self.bounds.find(&key) {
            return id;
        }
        let deps = [self.sum_deps(&key.0), self.sum_deps(&key.1)].concat();
        self.bounds.insert(key, deps)
    }

    /// The guard that holds where `outer` and all of `bounds` do.
    pub fn guard_id(&mut self, outer: Option<GuardId>, bounds: &[BoundId]) -> GuardId {
        let mut all: Vec<BoundId> = outer.map_or(vec![], |g| self.guard(g).to_vec());
        all.extend(bounds);
        all.sort_unstable();
        all.dedup();
        if let Some(id) = self.guards.find(&all) {
            return id;
        }
        let deps = all
            .iter()
            .flat_map(|b| self.bound_deps(*b))
            .copied()
            .collect();
        self.guards.insert(all, deps)
    }

    pub fn int(&mut self, int: &Int, guard: Option<GuardId>) -> Sum {
        match int {
            Int::Const(c) => Sum::constant(*c),
            Int::Var(v) => Sum::atom(self.atom_id(Atom::Var(*v))),
            Int::Arg(a) => Sum::atom(self.atom_id(Atom::Arg(*a))),
            Int::Add(a, b) => self.int(a, guard).add(&self.int(b, guard)),
            Int::Sub(a, b) => self.int(a, guard).sub(&self.int(b, guard)),
            Int::Mul(a, b) => self.int(a, guard).mul(&self.int(b, guard)),
            Int::Div(a, b) => self.division(a, b, guard, i64::div_euclid, Atom::Div),
            Int::Rem(a, b) => self.division(a, b, guard, i64::rem_euclid, Atom::Rem),
            Int::Min(a, b) => self.choice(a, b, guard, i64::min, Atom::Min),
            Int::Max(a, b) => self.choice(a, b, guard, i64::max, Atom::Max),
            Int::Floor(v) => {
                let node = self.val(v, guard);
                Sum::atom(self.atom_id(Atom::Floor(node)))
            }
            Int::Whole(w) => {
                let wide = w.map(&mut |leaf| match leaf {
                    Leaf::Val(v) => Leaf::Val(self.val(v, guard)),
                    Leaf::Int(i) => Leaf::Int(self.int(i, guard)),
                });
                Sum::atom(self.atom_id(Atom::Whole(Box::new(wide))))
            }
            Int::Table(b, at) => self.int_load(Space::Buf(*b), at, guard),
            Int::Tile(t, at) => self.int_load(Space::Tile(*t), at, guard),
        }
    }

    fn int_load(&mut self, space: Space, at: &Int, guard: Option<GuardId>) -> Sum {
        let at = self.int(at, guard);
        let free = Atom::Load(space, at.clone(), None);
        match self.atoms.find(&free) {
            Some(id) => Sum::atom(id),
            None => Sum::atom(self.atom_id(Atom::Load(space, at, guard))),
        }
    }

    fn division(
        &mut self,
        a: &Int,
        b: &Int,
        guard: Option<GuardId>,
        fold: fn(i64, i64) -> i64,
        atom: fn(Sum, Sum) -> Atom,
    ) -> Sum {
        let (a, b) = (self.int(a, guard), self.int(b, guard));
        match (a.as_constant(), b.as_constant()) {
            (Some(x), Some(y)) if y > 0 => Sum::constant(fold(x, y)),
            // By 1, the quotient is a and the remainder 0.
            (_, Some(1)) => a.scale(fold(1, 1)),
            _ => Sum::atom(self.atom_id(atom(a, b))),
        }
    }

    fn choice(
        &mut self,
        a: &Int,
        b: &Int,
        guard: Option<GuardId>,
        fold: fn(i64, i64) -> i64,
        atom: fn(Sum, Sum) -> Atom,
    ) -> Sum {
        let (a, b) = (self.int(a, guard), self.int(b, guard));
        match (a.as_constant(), b.as_constant()) {
            (Some(x), Some(y)) => Sum::constant(fold(x, y)),
            _ if a == b => a,
            _ => Sum::atom(self.atom_id(atom(a, b))),
        }
    }

    pub fn val(&mut self, val: &Val, guard: Option<GuardId>) -> NodeId {
        match val {
            Val::Lit(lit) => self.lit(*lit),
            Val::Buf(b, at) => self.load(Space::Buf(*b), at, guard),
            Val::Tile(t, at) => self.load(Space::Tile(*t), at, guard),
            Val::FromInt(at) => {
                let at = self.int(at, guard);
                match at.as_constant() {
                    Some(c) => self.lit(Lit::new(c as f64)),
                    None => self.node_id(Node::FromInt(at)),
                }
            }
            Val::Unary(op, a) => {
                let a = self.val(a, guard);
                self.unary(*op, a)
            }
            Val::Binary(op, a, b) => {
                let (a, b) = (self.val(a, guard), self.val(b, guard));
                self.binary(*op, a, b)
            }
            Val::Select(relation, args) => {
                let args = [&args[0], &args[1], &args[2], &args[3]].map(|a| self.val(a, guard));
                self.node_id(Node::Select(*relation, args))
            }
            Val::Guarded(bounds, inner, outside) => {
                let ids: Vec<BoundId> = bounds.iter().map(|b| self.bound_id(b, guard)).collect();
                let inside = self.guard_id(guard, &ids);
                let own = self.guard_id(None, &ids);
                let (value, outside) = (self.val(inner, Some(inside)), self.lit(*outside));
                self.node_id(Node::Guard(own, value, outside))
            }
            Val::Random { key, normal, at } => {
                let at = self.int(at, guard);
                self.node_id(Node::Random {
                    key: *key,
                    normal: *normal,
                    at,
                })
            }
        }
    }

    pub fn lit(&mut self, lit: Lit) -> NodeId {
        self.node_id(Node::Lit((lit.get() as f32).to_bits()))
    }

    fn load(&mut self, space: Space, at: &Int, guard: Option<GuardId>) -> NodeId {
        let at = self.int(at, guard);
        // What is read anyway, as where a position is tested, needs no guard.
        match self.nodes.find(&Node::Load(space, at.clone(), None)) {
            Some(id) => id,
            None => self.node_id(Node::Load(space, at, guard)),
        }
    }

    fn unary(&mut self, op: Unary, a: NodeId) -> NodeId {
        match op.facts().code {
            _ if op == Unary::Stop => a,
            Code::Inline => self.node_id(Node::Unary(op, a)),
            Code::Call(map) => self.node_id(Node::Math(Math::One(map), vec![a])),
        }
    }

    fn binary(&mut self, op: Binary, a: NodeId, b: NodeId) -> NodeId {
        let math = match op {
            Binary::Pow if self.is_lit(b, 2.0) => {
                return self.node_id(Node::Binary(Binary::Mul, a, a));
            }
            Binary::Div => self.logistic(a, b),
            Binary::Mul => {
                let gated = self.gated(a, b).or_else(|| self.gated(b, a));
                gated.or_else(|| self.slope(a, b))
            }
            Binary::Add => self.half_tanh(a, b).or_else(|| self.half_tanh(b, a)),
            _ => match op.facts().code {
                Code::Inline => None,
                Code::Call(map) => Some(Node::Math(Math::Two(map), vec![a, b])),
            },
        };
        self.node_id(math.unwrap_or(Node::Binary(op, a, b)))
    }

    fn is_lit(&self, id: NodeId, value: f32) -> bool {
        *self.node(id) == Node::Lit(value.to_bits())
    }

    /// `a / (1 + exp(-v))`: silu of v if a is v, its sigmoid if a is 1.
    fn logistic(&self, a: NodeId, b: NodeId) -> Option<Node> {
        let (x, y) = match self.node(b) {
            Node::Binary(Binary::Add, x, y) if self.is_lit(*x, 1.0) => (*x, *y),
            Node::Binary(Binary::Add, x, y) => (*y, *x),
            _ => return None,
        };
        let Node::Math(Math::One(Map::Exp), args) = self.node(y) else {
            return None;
        };
        let v = self.negated(args[0])?;
        match self.is_lit(x, 1.0) {
            true if a == v => Some(Node::Math(Math::One(Map::Silu), vec![v])),
            true if self.is_lit(a, 1.0) => Some(Node::Math(Math::One(Map::Sigmoid), vec![v])),
            _ => None,
        }
    }

    fn negated(&self, id: NodeId) -> Option<NodeId> {
        match self.node(id) {
            Node::Unary(Unary::Neg, v) => Some(*v),
            Node::Binary(Binary::Mul, k, v) | Node::Binary(Binary::Mul, v, k)
                if self.is_lit(*k, -1.0) =>
            {
                Some(*v)
            }
            _ => None,
        }
    }

    /// `v · sigmoid(v)`
    fn gated(&self, v: NodeId, gate: NodeId) -> Option<Node> {
        match self.node(gate) {
            Node::Math(Math::One(Map::Sigmoid), args) if args[0] == v => {
                Some(Node::Math(Math::One(Map::Silu), vec![v]))
            }
            _ => None,
        }
    }

    /// `0.5 + 0.5 · tanh(0.5 · v)` is sigmoid(v).
    fn half_tanh(&self, half: NodeId, product: NodeId) -> Option<Node> {
        if !self.is_lit(half, 0.5) {
            return None;
        }
        let Node::Math(Math::One(Map::Tanh), args) = self.node(self.halved(product)?) else {
            return None;
        };
        Some(Node::Math(
            Math::One(Map::Sigmoid),
            vec![self.halved(args[0])?],
        ))
    }

    /// `0.25 · (1 - tanh(0.5 · v)²)` is s·(1 - s) with s = sigmoid(v), which is near where this is needed.
    fn slope(&mut self, quarter: NodeId, rest: NodeId) -> Option<Node> {
        let Node::Binary(Binary::Sub, one, square) = *self.node(rest) else {
            return None;
        };
        let Node::Binary(Binary::Mul, t, same) = *self.node(square) else {
            return None;
        };
        let Node::Math(Math::One(Map::Tanh), args) = self.node(t) else {
            return None;
        };
        let v = self.halved(args[0])?;
        if t != same || !self.is_lit(quarter, 0.25) || !self.is_lit(one, 1.0) {
            return None;
        }
        let s = self.node_id(Node::Math(Math::One(Map::Sigmoid), vec![v]));
        let rest = self.node_id(Node::Binary(Binary::Sub, one, s));
        Some(Node::Binary(Binary::Mul, s, rest))
    }

    fn halved(&self, id: NodeId) -> Option<NodeId> {
        match self.node(id) {
            Node::Binary(Binary::Mul, k, v) if self.is_lit(*k, 0.5) => Some(*v),
            Node::Binary(Binary::Mul, v, k) if self.is_lit(*k, 0.5) => Some(*v),
            _ => None,
        }
    }

    /// Everything that the roots need: nodes with operands first.
    pub fn reachable(&self, roots: &[NodeId], sums: &[&Sum]) -> Reach {
        let mut reach = Reach::default();
        for root in roots {
            self.visit(*root, &mut reach);
        }
        for sum in sums {
            self.visit_sum(sum, &mut reach);
        }
        reach
    }

    fn visit(&self, id: NodeId, reach: &mut Reach) {
        if reach.nodes.contains(&id) {
            return;
        }
        let node = self.node(id);
        operands(node).iter().for_each(|n| self.visit(*n, reach));
        match node {
            Node::Load(space, at, guard) => self.visit_load(*space, at, *guard, reach),
            Node::FromInt(at) | Node::Random { at, .. } => self.visit_sum(at, reach),
            Node::Guard(g, ..) => self.visit_guard(*g, reach),
            _ => {}
        }
        reach.nodes.push(id);
    }

    fn visit_load(&self, space: Space, at: &Sum, guard: Option<GuardId>, reach: &mut Reach) {
        self.visit_sum(at, reach);
        if let Some(g) = guard {
            self.visit_guard(g, reach);
        }
        let entry = (space, at.part(|_| true));
        if !reach.addresses.contains(&entry) {
            reach.addresses.push(entry);
        }
    }

    fn visit_guard(&self, guard: GuardId, reach: &mut Reach) {
        for bound in self.guard(guard) {
            if !reach.bounds.contains(bound) {
                reach.bounds.push(*bound);
                let (index, extent) = self.bound(*bound);
                self.visit_sum(index, reach);
                self.visit_sum(extent, reach);
            }
        }
    }

    fn visit_sum(&self, sum: &Sum, reach: &mut Reach) {
        for atom in sum.terms.iter().flat_map(|t| &t.atoms) {
            match self.atom(*atom) {
                Atom::Var(_) | Atom::Arg(_) => {}
                Atom::Div(a, b) | Atom::Rem(a, b) | Atom::Min(a, b) | Atom::Max(a, b) => {
                    self.visit_sum(a, reach);
                    self.visit_sum(b, reach);
                }
                Atom::Floor(n) => self.visit(*n, reach),
                Atom::Whole(w) => w.each_leaf(&mut |leaf| match leaf {
                    Leaf::Val(n) => self.visit(*n, reach),
                    Leaf::Int(sum) => self.visit_sum(sum, reach),
                }),
                Atom::Load(space, at, guard) => self.visit_load(*space, at, *guard, reach),
            }
        }
        if !reach.sums.contains(sum) {
            reach.sums.push(sum.clone());
        }
    }
}

#[derive(Default)]
pub struct Reach {
    pub nodes: Vec<NodeId>,
    pub sums: Vec<Sum>,
    /// Without constants, which go into the instruction.
    pub addresses: Vec<(Space, Sum)>,
    pub bounds: Vec<BoundId>,
}

pub fn operands(node: &Node) -> Vec<NodeId> {
    match node {
        Node::Lit(_) | Node::Load(..) | Node::FromInt(_) | Node::Random { .. } => vec![],
        Node::Unary(_, a) => vec![*a],
        Node::Binary(_, a, b) | Node::Guard(_, a, b) => vec![*a, *b],
        Node::Select(_, args) => args.to_vec(),
        Node::Math(_, args) => args.clone(),
    }
}
