//! What the golden tests share: files of reference numbers, distances, and a loss of a given cotangent.

#![allow(dead_code)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use vsr_compiler::equation::{Binary, Equation, Expr, Pos, Read, Reducer, index::Ix};
use vsr_compiler::ir::build::Builder;
use vsr_compiler::ir::graph::{Graph, NodeId, Origin};

/// A golden file: its tensors by name, and its metadata.
pub struct Golden {
    pub tensors: BTreeMap<String, Vec<f64>>,
    pub about: BTreeMap<String, String>,
}

pub fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/goldens")
        .join(name)
}

pub fn golden(path: &Path) -> Golden {
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensors = file.iter().map(|(name, tensor)| {
        let numbers = tensor.data().chunks_exact(4);
        let wide = numbers.map(|b| f64::from(f32::from_le_bytes(b.try_into().unwrap())));
        (name.to_string(), wide.collect())
    });
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let about = header.metadata().clone().unwrap_or_default();
    Golden {
        tensors: tensors.collect(),
        about: about.into_iter().collect(),
    }
}

impl Golden {
    /// The tensors whose names begin so, without the beginning.
    pub fn under(&self, prefix: &str) -> BTreeMap<String, Vec<f64>> {
        let found = self.tensors.iter().filter_map(|(k, v)| {
            let key = k.strip_prefix(prefix)?;
            Some((key.to_string(), v.clone()))
        });
        found.collect()
    }

    /// `{"a": 1}` of the metadata as settings.
    pub fn settings(&self, key: &str) -> Vec<(String, String)> {
        let text = self.about.get(key).map_or("{}", String::as_str);
        let map: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).unwrap();
        map.into_iter().map(|(k, v)| (k, v.to_string())).collect()
    }
}

/// The largest difference over the largest number.
pub fn distance(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let size = b.iter().fold(1e-12f64, |m, x| m.max(x.abs()));
    let apart = a.iter().zip(b).fold(0f64, |m, (x, y)| m.max((x - y).abs()));
    if apart.is_nan() {
        f64::INFINITY
    } else {
        apart / size
    }
}

/// `sum(y*dy)` as a node of the graph.
pub fn product(b: &mut Builder<'_>, y: NodeId, dy: NodeId) -> NodeId {
    let shape = b.shape(y).to_vec();
    let reducer = if shape.is_empty() {
        Reducer::Map
    } else {
        Reducer::Sum
    };
    node(b, Binary::Mul, (y, dy), (reducer, shape))
}

/// The sum of two numbers as a node.
pub fn sum(b: &mut Builder<'_>, x: NodeId, y: NodeId) -> NodeId {
    node(b, Binary::Add, (x, y), (Reducer::Map, vec![]))
}

/// One number: two tensors joined point by point, and reduced.
fn node(
    b: &mut Builder<'_>,
    op: Binary,
    (x, y): (NodeId, NodeId),
    (reducer, reduced): (Reducer, Vec<i64>),
) -> NodeId {
    let read = |operand| {
        let at = (0..reduced.len()).map(|v| Pos::Ix(Ix::var(v))).collect();
        Box::new(Expr::Read(Read {
            operand,
            at,
            outside: None,
        }))
    };
    let operands = if x == y { vec![x] } else { vec![x, y] };
    let body = Expr::Binary(op, read(0), read(operands.len() - 1));
    let equation = Equation {
        free: vec![],
        reducer,
        reduced,
        body,
        guards: vec![],
        write: vec![],
    };
    b.equation(equation, operands, vec![], Origin::default())
}

pub fn input(graph: &Graph, name: &str) -> Option<NodeId> {
    use vsr_compiler::ir::graph::Op;
    graph
        .ids()
        .find(|id| matches!(&graph.node(*id).op, Op::Input { name: n } if n == name))
}
