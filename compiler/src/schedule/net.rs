//! The schedule's working form of one entry: values and their defining equations, free to be rewritten.
//!
//! Enters a canonical graph; every value here is computed by pieces over boxes, given from outside, or stored.
//! Nothing is rewritten here: passes do that. Fusing, copying and packing keep every bit; `winograd`, `softmax`, `split`,
//! `hoist` and `unroll` give other roundings, chosen by extents alone.

pub use crate::equation::rewrite::{for_each_read, rebuild, rebuild_pos};

use super::contraction::has_random;
use super::{Numerics, Rules};
use crate::equation::index::Ix;
use crate::equation::solve::is_injective;
use crate::equation::{Equation, Expr, Pos, Read, Reducer};
use crate::ir::graph::{Graph, Init, NodeId, Op};
use crate::ir::origins;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use vsr_artifact::machine::Machine;

pub type ValueId = usize;

pub struct Net {
    pub values: Vec<Value>,
    pub outputs: Vec<(String, ValueId)>,
    /// (index into the weight table, the new value)
    pub updates: Vec<(usize, ValueId)>,
    /// What it is planned for.
    pub machine: Machine,
    /// By which thresholds it is rewritten.
    pub numerics: Numerics,
    /// Whether values come from weights alone, as far as somebody has asked. A rewriting may make that so, and is then not seen; none
    /// undoes it.
    from_weights: RefCell<Vec<Option<bool>>>,
}

pub struct Value {
    pub shape: Vec<i64>,
    pub def: Def,
    /// Block path and op, for reports.
    pub label: String,
    /// The axis that must lie innermost, if a kernel depends on it.
    pub innermost: Option<usize>,
    /// Zeros kept before and after each axis.
    pub padding: Vec<(i64, i64)>,
    /// Row-major, with a kernel of its own: what leaves the entry.
    pub fixed: bool,
    /// The weight whose storage this value is written to, at the end of the entry.
    pub stored_as: Option<usize>,
    /// Operations of the equation that this value stands for, where Winograd's transforms have replaced it: all of them at the sum
    /// that is left, none at the transforms around it. None: its own.
    pub stands_for: Option<u64>,
}

#[derive(Clone)]
pub enum Def {
    Input(String),
    Weight(usize),
    Const(Arc<Vec<f32>>),
    Compute {
        pieces: Vec<Equation>,
        operands: Vec<ValueId>,
    },
    Scatter {
        equation: Equation,
        operands: Vec<ValueId>,
    },
}

/// Weights and states of all entries, in order of first use.
#[derive(Default)]
pub struct WeightTable {
    pub weights: Vec<WeightDecl>,
    by_key: BTreeMap<String, usize>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct WeightDecl {
    pub key: String,
    pub shape: Vec<i64>,
    pub init: Init,
    pub kind: WeightKind,
}

#[derive(Clone, Debug, PartialEq)]
pub enum WeightKind {
    Trained,
    Frozen,
    State,
    Optimizer { of: String },
}

impl WeightTable {
    /// All weights that the source declares, whether an entry reads them or not: a checkpoint always fits.
    pub fn declared(weights: &[crate::sema::Weight]) -> WeightTable {
        let mut table = WeightTable::default();
        for w in weights {
            let kind = match &w.kind {
                crate::sema::WeightKind::Trained => WeightKind::Trained,
                crate::sema::WeightKind::Frozen(_) => WeightKind::Frozen,
                crate::sema::WeightKind::State => WeightKind::State,
                crate::sema::WeightKind::Optimizer { of } => {
                    WeightKind::Optimizer { of: of.clone() }
                }
            };
            table.intern(decl(&w.key, &w.shape, w.init, kind));
        }
        table
    }

    fn intern(&mut self, decl: WeightDecl) -> usize {
        if let Some(&at) = self.by_key.get(&decl.key) {
            assert_eq!(
                self.weights[at].shape, decl.shape,
                "weight `{}` has two shapes",
                decl.key
            );
            return at;
        }
        self.by_key.insert(decl.key.clone(), self.weights.len());
        self.weights.push(decl);
        self.weights.len() - 1
    }
}

impl Net {
    pub fn from_graph(graph: &Graph, weights: &mut WeightTable, rules: &Rules) -> Net {
        let mut net = Net {
            machine: rules.machine,
            numerics: rules.numerics,
            from_weights: RefCell::default(),
            values: vec![],
            outputs: vec![],
            updates: vec![],
        };
        let mut map: BTreeMap<NodeId, ValueId> = BTreeMap::new();
        for id in graph.ids() {
            let value = net.import(graph, id, &map, weights);
            map.insert(id, value);
        }
        net.outputs = graph
            .outputs
            .iter()
            .map(|(name, id)| (name.clone(), map[id]))
            .collect();
        net
    }

    fn import(
        &mut self,
        graph: &Graph,
        id: NodeId,
        map: &BTreeMap<NodeId, ValueId>,
        weights: &mut WeightTable,
    ) -> ValueId {
        let node = graph.node(id);
        let operands: Vec<ValueId> = node.operands.iter().map(|o| map[o]).collect();
        let def = match &node.op {
            Op::Input { name } => Def::Input(name.clone()),
            Op::Param { key, init, trained } => {
                let kind = if *trained {
                    WeightKind::Trained
                } else {
                    WeightKind::Frozen
                };
                Def::Weight(weights.intern(decl(key, &node.shape, *init, kind)))
            }
            Op::State { key, init, of } => {
                let kind = match of {
                    Some(of) => WeightKind::Optimizer { of: of.clone() },
                    None => WeightKind::State,
                };
                Def::Weight(weights.intern(decl(key, &node.shape, *init, kind)))
            }
            Op::Const(data) => Def::Const(data.clone()),
            Op::Random { key, normal } => random(*key, *normal, &node.shape),
            Op::Equation(pieces) => {
                let pieces = pieces.iter().map(|p| (**p).clone()).collect();
                Def::Compute { pieces, operands }
            }
            Op::Scatter(equation) => Def::Scatter {
                equation: (**equation).clone(),
                operands,
            },
            Op::Update => {
                let Def::Weight(weight) = self.values[operands[0]].def else {
                    panic!("an update's target is not a weight")
                };
                self.updates.push((weight, operands[1]));
                return operands[1];
            }
            Op::Custom { .. } => return operands[0],
        };
        self.push(node.shape.clone(), def, origins::label(&node.origin))
    }

    pub fn push(&mut self, shape: Vec<i64>, def: Def, label: String) -> ValueId {
        let padding = vec![(0, 0); shape.len()];
        self.values.push(Value {
            shape,
            def,
            label,
            innermost: None,
            padding,
            fixed: false,
            stored_as: None,
            stands_for: None,
        });
        self.values.len() - 1
    }

    /// A new value equal to `of`, free to have a layout of its own.
    pub fn copy(&mut self, of: ValueId) -> ValueId {
        let shape = self.values[of].shape.clone();
        let label = format!("{} copy", self.values[of].label);
        let def = Def::Compute {
            pieces: vec![identity(&shape)],
            operands: vec![of],
        };
        self.push(shape, def, label)
    }

    pub fn operands(&self, id: ValueId) -> &[ValueId] {
        match &self.values[id].def {
            Def::Compute { operands, .. } | Def::Scatter { operands, .. } => operands,
            _ => &[],
        }
    }

    pub fn roots(&self) -> Vec<ValueId> {
        let outputs = self.outputs.iter().map(|(_, id)| *id);
        outputs
            .chain(self.updates.iter().map(|(_, id)| *id))
            .collect()
    }

    /// Values that the roots need, operands before users.
    pub fn order(&self) -> Vec<ValueId> {
        let mut done = vec![false; self.values.len()];
        let mut order = vec![];
        for root in self.roots() {
            let mut stack = vec![(root, 0)];
            while let Some((id, next)) = stack.pop() {
                if done[id] {
                    continue;
                }
                match self.operands(id).get(next) {
                    Some(&operand) => {
                        stack.push((id, next + 1));
                        if !done[operand] {
                            stack.push((operand, 0));
                        }
                    }
                    None => {
                        done[id] = true;
                        order.push(id);
                    }
                }
            }
        }
        order
    }

    /// For each value, the values that read it.
    pub fn users(&self, order: &[ValueId]) -> Vec<Vec<ValueId>> {
        let mut users = vec![vec![]; self.values.len()];
        for &id in order {
            for &operand in self.operands(id) {
                let list: &mut Vec<ValueId> = &mut users[operand];
                if list.last() != Some(&id) {
                    list.push(id);
                }
            }
        }
        users
    }

    /// Whether a value comes from weights and constants alone: neither inputs nor random numbers lead to it.
    pub fn from_weights(&self, id: ValueId) -> bool {
        let mut known = self.from_weights.borrow_mut();
        known.resize(self.values.len(), None);
        let mut stack = vec![id];
        while let Some(&id) = stack.last() {
            let operands = self.operands(id);
            let is = match &self.values[id].def {
                Def::Input(_) => Some(false),
                Def::Compute { pieces, .. } if pieces.iter().any(|p| has_random(&p.body)) => {
                    Some(false)
                }
                _ if operands.iter().any(|o| known[*o] == Some(false)) => Some(false),
                _ => match operands.iter().find(|o| known[**o].is_none()) {
                    Some(unknown) => {
                        stack.push(*unknown);
                        continue;
                    }
                    None => Some(true),
                },
            };
            known[id] = is;
            stack.pop();
        }
        known[id] == Some(true)
    }

    pub fn is_leaf(&self, id: ValueId) -> bool {
        !matches!(
            self.values[id].def,
            Def::Compute { .. } | Def::Scatter { .. }
        )
    }

    /// The equation of a value of one piece that is no scatter, and that has a point for every cell. Where a guard of it
    /// fails, the cell is 0.
    pub fn single(&self, id: ValueId) -> Option<&Equation> {
        let value = &self.values[id];
        let Def::Compute { pieces, .. } = &value.def else {
            return None;
        };
        let [piece] = pieces.as_slice() else {
            return None;
        };
        let all = piece.free.iter().product::<i64>() == value.shape.iter().product::<i64>();
        let covers = || is_injective(&piece.write, &piece.free, &value.shape);
        (all && (piece.guards.is_empty() || covers())).then_some(piece)
    }
}

fn decl(key: &str, shape: &[i64], init: Init, kind: WeightKind) -> WeightDecl {
    WeightDecl {
        key: key.to_string(),
        shape: shape.to_vec(),
        init,
        kind,
    }
}

/// The expression with each operand's number replaced by its value: equations that count their own can be compared.
pub fn by_value(e: &Expr, operands: &[ValueId]) -> Expr {
    rebuild(e, &|ix| ix.clone(), &|mut r| {
        r.operand = operands[r.operand];
        Expr::Read(r)
    })
}

/// `y[i…] = x[i…]`
pub fn identity(shape: &[i64]) -> Equation {
    let at: Vec<Pos> = (0..shape.len()).map(|v| Pos::Ix(Ix::var(v))).collect();
    Equation {
        free: shape.to_vec(),
        reduced: vec![],
        reducer: Reducer::Map,
        body: Expr::Read(Read {
            operand: 0,
            at: at.clone(),
            outside: None,
        }),
        guards: vec![],
        write: at,
    }
}

fn random(key: u64, normal: bool, shape: &[i64]) -> Def {
    let mut at = Ix::constant(0);
    for (axis, extent) in shape.iter().enumerate() {
        at = at.scale(*extent).add(&Ix::var(axis));
    }
    let mut equation = identity(shape);
    equation.body = Expr::Random { key, normal, at };
    Def::Compute {
        pieces: vec![equation],
        operands: vec![],
    }
}
