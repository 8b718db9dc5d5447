//! A whole graph in f64: the oracle of everything that comes later.
//!
//! Inputs, weights and states are given; the value of every node that outputs and updates need comes back. Nothing is
//! rounded to f32, and speed is no aim.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::equation::Equation;
use crate::equation::eval::{Hooks, Tensor, eval_with, scatter};
use crate::ir::graph::{Graph, Init, Node, NodeId, Op};
use crate::ir::philox::Stream;

/// What a run needs from outside.
#[derive(Clone, Debug, Default)]
pub struct Given {
    pub inputs: BTreeMap<String, Vec<f64>>,
    /// By key; parameters and states that are missing here start as they are declared.
    pub weights: BTreeMap<String, Vec<f64>>,
    pub stream: Stream,
    pub noise: Option<Noise>,
    pub stops: Option<Stops>,
}

/// Roundings that a narrower arithmetic would make. A few runs of either kind tell how far off a number may come.
#[derive(Clone, Copy, Debug)]
pub enum Noise {
    /// Every result that is no whole number is off by a random share of up to `size`, the same for the same number in the same
    /// node, so that roundings of equal terms add up as they do there. What is compared or floored is [`TILT`] times that off, up
    /// for even seeds and down for odd ones: where roundings may decide otherwise, one of two runs does.
    Random { seed: u64, size: f64 },
    /// Every result is the nearest f32: the partial sums of a thousand equal terms are rounded one way, again and again, as by no
    /// chance they are.
    Nearest,
}

/// Roundings by which a number that decides something may be off.
const TILT: f64 = 16.0;

/// What `stop` gave in a first run, and gives again in all others: so a loss has the slope that its gradient is derived
/// for. Evaluation has one order, and so have these.
#[derive(Clone, Debug, Default)]
pub struct Stops {
    kept: Rc<RefCell<Vec<Vec<f64>>>>,
    next: Rc<Cell<usize>>,
}

impl Stops {
    /// From here on, what was kept is given again.
    pub fn again(&self) -> Stops {
        Stops {
            kept: self.kept.clone(),
            next: Rc::default(),
        }
    }

    fn of(&self, values: Vec<f64>) -> Vec<f64> {
        let at = self.next.replace(self.next.get() + 1);
        let mut kept = self.kept.borrow_mut();
        if at == kept.len() {
            kept.push(values);
        }
        kept[at].clone()
    }
}

/// The values of one run.
#[derive(Clone, Debug)]
pub struct Values {
    nodes: Vec<Option<Tensor>>,
}

impl Values {
    pub fn get(&self, id: NodeId) -> Option<&[f64]> {
        Some(&self.nodes.get(id.index())?.as_ref()?.data)
    }

    fn operands(&self, node: &Node) -> Vec<&Tensor> {
        let value = |o: &NodeId| self.nodes[o.index()].as_ref().expect("operands come first");
        node.operands.iter().map(value).collect()
    }

    pub fn output(&self, graph: &Graph, name: &str) -> Option<&[f64]> {
        let (_, id) = graph.outputs.iter().find(|(n, _)| n == name)?;
        self.get(*id)
    }

    /// The new value of every parameter and state that the run rewrites; of two updates the later counts.
    pub fn updates(&self, graph: &Graph) -> BTreeMap<String, Vec<f64>> {
        let mut new = BTreeMap::new();
        for id in graph.ids() {
            let node = graph.node(id);
            if let (Op::Update, Some(value)) = (&node.op, self.get(id))
                && let Op::Param { key, .. } | Op::State { key, .. } =
                    &graph.node(node.operands[0]).op
            {
                new.insert(key.clone(), value.to_vec());
            }
        }
        new
    }
}

/// Evaluates what outputs and updates need. An error names what was not given.
pub fn evaluate(graph: &Graph, given: &Given) -> Result<Values, String> {
    let updates = graph
        .ids()
        .filter(|id| matches!(graph.node(*id).op, Op::Update));
    let roots: Vec<NodeId> = graph
        .outputs
        .iter()
        .map(|(_, id)| *id)
        .chain(updates)
        .collect();
    evaluate_nodes(graph, given, &roots)
}

/// Evaluates what `roots` need.
pub fn evaluate_nodes(graph: &Graph, given: &Given, roots: &[NodeId]) -> Result<Values, String> {
    let needed = graph.ancestors(roots);
    let mut values = Values {
        nodes: vec![None; graph.len()],
    };
    for id in graph.ids().filter(|id| needed[id.index()]) {
        let data = node(graph, given, &values, id)?;
        let shape = graph.shape(id).to_vec();
        values.nodes[id.index()] = Some(Tensor { shape, data });
    }
    Ok(values)
}

impl Noise {
    fn tilt(self) -> f64 {
        match self {
            Noise::Nearest => 0.0,
            Noise::Random { seed, size } if seed.is_multiple_of(2) => TILT * size,
            Noise::Random { size, .. } => -TILT * size,
        }
    }

    /// Whole numbers come out of every arithmetic as they are, unless they are far out.
    fn of(self, x: f64, node: u64) -> f64 {
        let Noise::Random { seed, size } = self else {
            return f64::from(x as f32);
        };
        if x.fract() == 0.0 {
            return x;
        }
        let key = x.to_bits() ^ (seed << 32 | node).wrapping_mul(0xd6e8_feb8_6659_fd93);
        let mut z = key.wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        let share = ((z ^ z >> 31) >> 11) as f64 / (1u64 << 52) as f64 - 1.0;
        x * (1.0 + size * share)
    }
}

fn node(graph: &Graph, given: &Given, values: &Values, id: NodeId) -> Result<Vec<f64>, String> {
    let node = graph.node(id);
    let size = graph.size(id);
    let operand = |i: usize| values.get(node.operands[i]).unwrap_or_default().to_vec();
    let random = |key, normal, index| given.stream.number(key, normal, index);
    let round = |x| match given.noise {
        Some(noise) => noise.of(x, id.index() as u64),
        None => x,
    };
    let stop = |values| match &given.stops {
        Some(stops) => stops.of(values),
        None => values,
    };
    let hooks = Hooks {
        random: &random,
        round: given.noise.is_some().then_some(&round),
        stop: Some(&stop),
        tilt: given.noise.map_or(0.0, Noise::tilt),
    };
    let value = match &node.op {
        Op::Input { name } => given
            .inputs
            .get(name)
            .cloned()
            .ok_or(format!("no input `{name}`"))?,
        Op::Param { key, init, .. } | Op::State { key, init, .. } => match given.weights.get(key) {
            Some(value) => value.clone(),
            None => start(key, *init, size, given.stream.seed)?,
        },
        Op::Const(data) => data.iter().map(|x| f64::from(*x)).collect(),
        Op::Random { key, normal } => (0..size as u64)
            .map(|i| given.stream.number(*key, *normal, i))
            .collect(),
        Op::Equation(pieces) => {
            let pieces: Vec<Equation> = pieces.iter().map(|p| (**p).clone()).collect();
            eval_with(&pieces, &values.operands(node), &node.shape, hooks).data
        }
        Op::Scatter(equation) => scatter(equation, &values.operands(node), &node.shape, hooks).data,
        Op::Update => operand(1),
        Op::Custom { .. } => operand(0),
    };
    if value.len() != size {
        return Err(format!(
            "`{}` has {} elements, needs {size}",
            node.origin.name,
            value.len()
        ));
    }
    Ok(value)
}

/// A weight's first value. The key's bytes choose the numbers, so that every weight draws its own.
fn start(key: &str, init: Init, size: usize, seed: u64) -> Result<Vec<f64>, String> {
    let hash = key.bytes().fold(0xcbf2_9ce4_8422_2325u64, |h, b| {
        (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)
    });
    let stream = Stream { seed, step: 0 };
    let draw = |normal, i: usize| stream.number(hash, normal, i as u64);
    Ok(match init {
        Init::Constant(x) => vec![x; size],
        Init::Uniform(lo, hi) => (0..size).map(|i| lo + (hi - lo) * draw(false, i)).collect(),
        Init::Normal(mean, std) => (0..size).map(|i| mean + std * draw(true, i)).collect(),
        Init::Required => return Err(format!("`{key}` must be loaded")),
    })
}

/// Constant operands only: the values of the pieces, for folding.
pub fn constant(pieces: &[Equation], operands: &[Tensor], shape: &[i64]) -> Vec<f32> {
    let operands: Vec<&Tensor> = operands.iter().collect();
    let random = |key, normal, index| Stream::default().number(key, normal, index);
    let value = eval_with(pieces, &operands, shape, Hooks::new(&random));
    value.data.into_iter().map(|x| x as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::equation::index::Ix;
    use crate::equation::{Expr, Pos, Reducer, Relation, Unary};
    use crate::ir::build::{Builder, map, straight};
    use crate::ir::graph::Origin;

    const NOISE: f64 = 1.0 / (1 << 22) as f64;

    /// What a network of one input gives without noise, for each seed of noise, and in f32.
    fn runs(make: impl Fn(&mut Builder<'_>, NodeId) -> NodeId, x: &[f64]) -> Vec<Vec<f64>> {
        let mut graph = Graph::default();
        let mut b = Builder::new(&mut graph);
        let input = b.input("x", vec![x.len() as i64], Origin::default());
        let output = make(&mut b, input);
        b.output("y", output);
        let run = |noise| {
            let mut given = Given {
                noise,
                ..Given::default()
            };
            given.inputs.insert("x".into(), x.to_vec());
            let values = evaluate(&graph, &given).expect("all is given");
            values.output(&graph, "y").expect("it has a value").to_vec()
        };
        let seeds = (0..3).map(|seed| Some(Noise::Random { seed, size: NOISE }));
        let noises = std::iter::once(None).chain(seeds);
        noises.chain([Some(Noise::Nearest)]).map(run).collect()
    }

    fn read(operand: usize, shape: &[i64]) -> Expr {
        Expr::read(operand, straight(shape))
    }

    #[test]
    fn a_maximum_is_one_of_its_numbers_with_roundings_too() {
        let is_largest = |b: &mut Builder<'_>, x| {
            let max = Equation {
                free: vec![],
                reduced: vec![3],
                reducer: Reducer::Max,
                body: read(0, &[3]),
                guards: vec![],
                write: vec![],
            };
            let most = b.equation(max, vec![x], vec![], Origin::default());
            let parts = [read(0, &[3]), read(1, &[]), Expr::lit(1.0), Expr::lit(0.0)];
            let body = Expr::select(Relation::Eq, parts);
            b.equation(map(&[3], body), vec![x, most], vec![3], Origin::default())
        };
        for run in runs(is_largest, &[0.3, 0.7, 0.1]) {
            assert_eq!(run, [0.0, 1.0, 0.0]);
        }
    }

    /// A mean is off by what its sum is, and so are the deviations from it.
    #[test]
    fn equal_terms_are_rounded_one_way() {
        const N: i64 = 1089;
        let reduce = |reducer| {
            move |b: &mut Builder<'_>, x| {
                let all = Equation {
                    free: vec![],
                    reduced: vec![N],
                    reducer,
                    body: Expr::read(0, vec![Pos::Ix(Ix::constant(0))]),
                    guards: vec![],
                    write: vec![],
                };
                b.equation(all, vec![x], vec![], Origin::default())
            }
        };
        let runs_of = |reducer| runs(reduce(reducer), &[0.7123]);
        let sums = runs_of(Reducer::Sum);
        let off = |run: &[f64]| (run[0] - sums[0][0]).abs() / sums[0][0];
        assert!(off(&sums[4]) > 2e-6 && off(&sums[4]) < 2e-5, "{sums:?}");
        let variances = runs_of(Reducer::Var);
        assert!(
            variances[0][0] < 1e-25 && variances[4][0] > 1e-12,
            "{variances:?}"
        );
    }

    #[test]
    fn what_roundings_may_decide_is_decided_either_way() {
        let floor = |b: &mut Builder<'_>, x| {
            let body = Expr::unary(Unary::Floor, read(0, &[4]));
            b.equation(map(&[4], body), vec![x], vec![4], Origin::default())
        };
        let runs = runs(floor, &[3.0 - 1e-6, 3.0 + 1e-6, 3.0, 3.5]);
        assert_eq!(runs[0], [2.0, 3.0, 3.0, 3.0]);
        assert_eq!(runs[1], [3.0, 3.0, 3.0, 3.0]);
        assert_eq!(runs[2], [2.0, 2.0, 3.0, 3.0]);
        assert_eq!(runs[4], runs[0]);
    }
}
