//! The schedule between two of its passes: what is checked after each, and how it is printed.
//!
//! A net means what a graph means, so it is written as one: the graph's verifier, text and oracle are the net's, too. Only
//! which column of a packed operand a contraction reads is not written: the contraction knows.

use super::contraction::Contraction;
use super::net::{Def, Net, Value, ValueId, WeightTable};
use super::plan::{Contractions, Rules};
use crate::ir;
use crate::ir::graph::{Graph, NodeId, Op, Origin};
use crate::pass_manager::Ir;

/// What the passes of the schedule rewrite.
pub(super) struct Draft<'a> {
    pub net: Net,
    pub rules: Rules,
    pub contractions: Contractions,
    pub weights: &'a WeightTable,
}

impl Ir for Draft<'_> {
    const NAME: &'static str = "schedule";

    fn verify(&self) -> Result<(), String> {
        self.values()?;
        self.places()?;
        for (at, contraction) in &self.contractions {
            self.contraction(*at, contraction)?;
        }
        ir::verify::verify(&self.graph()).map_err(|flaw| flaw.to_string())
    }

    fn text(&self) -> String {
        ir::print::print(&self.graph())
    }
}

impl Draft<'_> {
    /// Operands exist, borders fit, and no value needs itself.
    fn values(&self) -> Result<(), String> {
        let n = self.net.values.len();
        for (id, value) in self.net.values.iter().enumerate() {
            let operands = self.net.operands(id);
            if let Some(unknown) = operands.iter().find(|o| **o >= n) {
                return flaw(value, &format!("reads value {unknown} of {n}"));
            }
            if value.padding.len() != value.shape.len() {
                return flaw(value, "has a border for other axes than its own");
            }
        }
        match self.circle() {
            Some(id) => flaw(&self.net.values[id], "needs itself"),
            None => Ok(()),
        }
    }

    /// A value that is computed from itself.
    fn circle(&self) -> Option<ValueId> {
        #[derive(Clone, Copy, PartialEq)]
        enum Mark {
            New,
            Open,
            Done,
        }
        let mut marks = vec![Mark::New; self.net.values.len()];
        let mut stack: Vec<(ValueId, usize)> = vec![];
        for root in 0..marks.len() {
            if marks[root] == Mark::New {
                stack.push((root, 0));
            }
            while let Some((id, next)) = stack.pop() {
                marks[id] = Mark::Open;
                let Some(&operand) = self.net.operands(id).get(next) else {
                    marks[id] = Mark::Done;
                    continue;
                };
                stack.push((id, next + 1));
                match marks[operand] {
                    Mark::New => stack.push((operand, 0)),
                    Mark::Open => return Some(operand),
                    Mark::Done => {}
                }
            }
        }
        None
    }

    /// What is written over a weight has its shape, and is written over one only.
    fn places(&self) -> Result<(), String> {
        for (weight, id) in &self.net.updates {
            let value = &self.net.values[*id];
            let is_alone = self.net.updates.iter().filter(|u| u.1 == *id).count() == 1;
            if value.stored_as.is_some_and(|w| w != *weight || !is_alone) {
                return flaw(
                    value,
                    "is written over another weight than the one it updates",
                );
            }
            if value.shape != self.weights.weights[*weight].shape {
                return flaw(value, "has another shape than the weight that it updates");
            }
        }
        Ok(())
    }

    fn contraction(&self, at: (ValueId, usize), c: &Contraction) -> Result<(), String> {
        let value = &self.net.values[at.0];
        let operands = self.net.operands(at.0);
        match [c.a.value, c.b.value].iter().all(|v| operands.contains(v)) {
            true => Ok(()),
            false => flaw(value, "is a contraction of what it does not read"),
        }
    }

    fn graph(&self) -> Graph {
        let mut graph = Graph::default();
        let mut map: Vec<Option<NodeId>> = vec![None; self.net.values.len()];
        for id in self.net.order() {
            let value = &self.net.values[id];
            let operands = self.net.operands(id).iter();
            let operands = operands.filter_map(|o| map[*o]).collect();
            let origin = origin(&value.label);
            map[id] = Some(graph.add(self.op(&value.def), operands, value.shape.clone(), origin));
        }
        for (weight, id) in &self.net.updates {
            let decl = &self.weights.weights[*weight];
            let target = self.op(&Def::Weight(*weight));
            let target = graph.add(target, vec![], decl.shape.clone(), origin(&decl.key));
            let operands = [Some(target), map[*id]].into_iter().flatten().collect();
            graph.add(Op::Update, operands, decl.shape.clone(), origin(&decl.key));
        }
        let output = |(name, id): &(String, ValueId)| Some((name.clone(), map[*id]?));
        graph.outputs = self.net.outputs.iter().filter_map(output).collect();
        graph
    }

    fn op(&self, def: &Def) -> Op {
        match def {
            Def::Input(name) => Op::Input { name: name.clone() },
            Def::Weight(weight) => {
                let decl = &self.weights.weights[*weight];
                Op::Param {
                    key: decl.key.clone(),
                    init: decl.init,
                    trained: true,
                }
            }
            Def::Const(data) => Op::Const(data.clone()),
            Def::Compute { pieces, .. } => {
                Op::Equation(pieces.iter().map(|p| p.clone().into()).collect())
            }
            Def::Scatter { equation, .. } => Op::Scatter(equation.clone().into()),
        }
    }
}

fn flaw(value: &Value, text: &str) -> Result<(), String> {
    Err(format!("`{}` {text}", value.label))
}

fn origin(label: &str) -> Origin {
    Origin {
        name: label.to_string(),
        ..Origin::default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::net::identity;
    use super::*;

    /// A copy of a picture, and a copy of that; `broken` changes the second.
    fn flaw_of(broken: impl FnOnce(&mut Net)) -> Option<String> {
        let (mut net, weights) = (
            Net::from_graph(
                &Graph::default(),
                &mut WeightTable::default(),
                &Rules::new(false, false),
            ),
            WeightTable::default(),
        );
        let x = net.push(vec![4, 6], Def::Input("x".into()), "x".into());
        let first = net.copy(x);
        let second = net.copy(first);
        net.outputs.push(("y".into(), second));
        broken(&mut net);
        let draft = Draft {
            net,
            rules: Rules::new(false, false),
            contractions: Contractions::new(),
            weights: &weights,
        };
        draft.verify().err()
    }

    fn assert_flaw(broken: impl FnOnce(&mut Net), text: &str) {
        let flaw = flaw_of(broken).unwrap_or_default();
        assert!(flaw.contains(text), "{flaw}");
    }

    fn compute(extents: &[i64], operands: Vec<ValueId>) -> Def {
        Def::Compute {
            pieces: vec![identity(extents)],
            operands,
        }
    }

    #[test]
    fn a_broken_net_is_told() {
        assert_eq!(flaw_of(|_| {}), None);
        assert_flaw(
            |net| net.values[2].def = compute(&[4, 6], vec![7]),
            "reads value 7 of 3",
        );
        assert_flaw(
            |net| net.values[2].def = compute(&[4, 6], vec![2]),
            "needs itself",
        );
        assert_flaw(
            |net| net.values[2].def = compute(&[4, 7], vec![1]),
            "is read at 0..7",
        );
        assert_flaw(
            |net| net.values[2].def = compute(&[4, 6], vec![]),
            "reads operand 0 of 0",
        );
        assert_flaw(
            |net| net.values[1].def = compute(&[4], vec![0]),
            "reads 1 axes",
        );
        assert_flaw(|net| net.values[2].padding = vec![], "has a border");
    }
}
