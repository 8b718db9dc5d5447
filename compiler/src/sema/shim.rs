//! Temporary.
use crate::equation::*;
use crate::ir::graph::*;
use std::sync::Arc;
pub struct Builder<'g>(&'g mut Graph);
impl<'g> Builder<'g> {
    pub fn new(g: &'g mut Graph) -> Self { Builder(g) }
    pub fn shape(&self, n: NodeId) -> &[i64] { self.0.shape(n) }
    pub fn node(&self, n: NodeId) -> &Node { self.0.node(n) }
    pub fn equation(&mut self, e: Equation, o: Vec<NodeId>, s: Vec<i64>, or: Origin) -> NodeId { self.0.add(Op::Equation(vec![Arc::new(e)]), o, s, or) }
    pub fn pieces(&mut self, e: Vec<Equation>, o: Vec<NodeId>, s: Vec<i64>, or: Origin) -> NodeId { self.0.add(Op::Equation(e.into_iter().map(Arc::new).collect()), o, s, or) }
    pub fn constant(&mut self, d: Vec<f32>, s: Vec<i64>, or: Origin) -> NodeId { self.0.add(Op::Const(Arc::new(d)), vec![], s, or) }
    pub fn input(&mut self, n: &str, s: Vec<i64>, or: Origin) -> NodeId { self.0.add(Op::Input { name: n.into() }, vec![], s, or) }
    pub fn random(&mut self, key: u64, normal: bool, s: Vec<i64>, or: Origin) -> NodeId { self.0.add(Op::Random { key, normal }, vec![], s, or) }
    pub fn param(&mut self, key: &str, init: Init, trained: bool, s: Vec<i64>, or: Origin) -> NodeId { self.0.add(Op::Param { key: key.into(), init, trained }, vec![], s, or) }
    pub fn state(&mut self, key: &str, init: Init, of: Option<String>, s: Vec<i64>, or: Origin) -> NodeId { self.0.add(Op::State { key: key.into(), init, of }, vec![], s, or) }
    pub fn update(&mut self, old: NodeId, new: NodeId, or: Origin) -> NodeId { let s = self.0.shape(new).to_vec(); self.0.add(Op::Update, vec![old, new], s, or) }
    pub fn custom(&mut self, y: NodeId, _i: Vec<NodeId>, _dy: NodeId, _g: Vec<NodeId>, _or: Origin) -> NodeId { y }
}
pub fn gradients(_b: &mut Builder<'_>, _loss: NodeId, wrt: &[NodeId]) -> Vec<Option<NodeId>> { wrt.iter().map(|n| Some(*n)).collect() }
