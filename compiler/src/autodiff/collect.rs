//! Contributions to one gradient become one node: disjoint pieces side by side in one equation, maps over one box as
//! one map, the rest as a sum.

use crate::equation::{Binary, Equation, Expr, Pos, Read, Reducer};
use crate::ir::build::Builder;
use crate::ir::expr;
use crate::ir::graph::{NodeId, Origin};
use crate::ir::region::disjoint;

pub enum Contribution {
    Node(NodeId),
    Pieces {
        pieces: Vec<Equation>,
        operands: Vec<NodeId>,
        /// What is differentiated here: the work belongs to its block.
        origin: Origin,
    },
}

/// Maps with more reads than this are not merged further.
const MOST_READS: usize = 12;
/// Nor are equations of more pieces.
const MOST_PIECES: usize = 64;

/// Pieces that write nothing twice, over one list of operands.
#[derive(Default)]
struct Layer {
    pieces: Vec<Equation>,
    operands: Vec<NodeId>,
    /// Of the first contribution.
    origin: Origin,
}

pub fn collect(
    b: &mut Builder<'_>,
    arrived: Vec<Contribution>,
    shape: &[i64],
    origin: Origin,
) -> NodeId {
    let mut layers: Vec<Layer> = vec![];
    let mut terms: Vec<NodeId> = vec![];
    for contribution in arrived {
        match contribution {
            Contribution::Node(id) => terms.push(id),
            Contribution::Pieces {
                pieces,
                operands,
                origin,
            } => {
                for piece in pieces {
                    place(&mut layers, piece, &operands, &origin);
                }
            }
        }
    }
    for layer in layers {
        let origin = Origin {
            name: origin.name.clone(),
            ..layer.origin
        };
        terms.push(b.pieces(layer.pieces, layer.operands, shape.to_vec(), origin));
    }
    terms.retain(|id| b.uniform(*id) != Some(0.0));
    if terms.is_empty() {
        return b.full(0.0, shape.to_vec(), origin);
    }
    b.sum(&terms, origin)
}

/// Puts a piece where it merges, else where it is disjoint, else into a layer of its own.
fn place(layers: &mut Vec<Layer>, piece: Equation, operands: &[NodeId], origin: &Origin) {
    for layer in layers.iter_mut() {
        if layer.merge(&piece, operands) {
            return;
        }
    }
    let fits = |l: &&mut Layer| {
        l.pieces.len() < MOST_PIECES && l.pieces.iter().all(|p| disjoint(p, &piece))
    };
    match layers.iter_mut().find(fits) {
        Some(layer) => layer.add(&piece, operands),
        None => {
            let mut layer = Layer {
                origin: origin.clone(),
                ..Layer::default()
            };
            layer.add(&piece, operands);
            layers.push(layer);
        }
    }
}

impl Layer {
    fn add(&mut self, piece: &Equation, operands: &[NodeId]) {
        let piece = self.adopt(piece, operands);
        self.pieces.push(piece);
    }

    /// The piece over this layer's operands.
    fn adopt(&mut self, piece: &Equation, operands: &[NodeId]) -> Equation {
        let mut to = vec![];
        for id in operands {
            let slot = self
                .operands
                .iter()
                .position(|o| o == id)
                .unwrap_or_else(|| {
                    self.operands.push(*id);
                    self.operands.len() - 1
                });
            to.push(slot);
        }
        expr::rename_operands(piece, &to)
    }

    /// Adds a map to a map over the same box that writes the same cells.
    fn merge(&mut self, piece: &Equation, operands: &[NodeId]) -> bool {
        let same = |p: &Equation| {
            p.reducer == Reducer::Map
                && piece.reducer == Reducer::Map
                && p.free == piece.free
                && p.guards == piece.guards
                && p.write == piece.write
                && n_reads(&p.body) + n_reads(&piece.body) <= MOST_READS
        };
        let Some(at) = self.pieces.iter().position(same) else {
            return false;
        };
        let adopted = self.adopt(piece, operands);
        let old = std::mem::replace(&mut self.pieces[at].body, adopted.body.clone());
        self.pieces[at].body = Expr::Binary(Binary::Add, Box::new(old), Box::new(adopted.body));
        true
    }
}

fn n_reads(e: &Expr) -> usize {
    let mut n = 0;
    expr::for_each_read(e, &mut |_| n += 1);
    n
}

/// `sum[box] dy[write]·body`, dy as the last operand; outside of dy nothing was written.
pub fn against(scatter: &Equation, operands: &[NodeId], dy: NodeId) -> (Equation, Vec<NodeId>) {
    let mut operands = operands.to_vec();
    operands.push(dy);
    let zero = crate::equation::Lit::new(0.0);
    let written = Read {
        operand: operands.len() - 1,
        at: scatter.write.clone(),
        outside: Some(zero),
    };
    let body = Expr::Binary(
        Binary::Mul,
        Box::new(Expr::Read(written)),
        Box::new(scatter.body.clone()),
    );
    let sum = Equation {
        free: vec![],
        reduced: scatter.free.clone(),
        reducer: Reducer::Sum,
        body,
        guards: scatter.guards.clone(),
        write: Vec::<Pos>::new(),
    };
    (sum, operands)
}
