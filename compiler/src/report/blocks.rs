//! Who causes what: launches and weights to the label paths they belong to.
//!
//! A launch counts for the block of its first member; what is fused behind it (a bias, an activation) counts there too.

use super::{Block, BlockCost, EntryCost, elements, is_parameter};
use crate::schedule::WeightDecl;
use crate::sema::Call;
use std::collections::{BTreeMap, HashMap};

/// The rows of the report, in the order in which the source makes them.
pub struct Rows {
    depth: Option<usize>,
    rows: Vec<Block>,
    by_path: HashMap<String, usize>,
    /// Block names by whole path.
    names: BTreeMap<String, String>,
}

impl Rows {
    pub fn new(depth: Option<usize>) -> Rows {
        Rows {
            depth,
            rows: vec![],
            by_path: HashMap::new(),
            names: BTreeMap::new(),
        }
    }

    /// Remembers which block stands at which path, and opens the rows in the order of the calls.
    pub fn name(&mut self, calls: &[Call]) {
        for call in calls.iter().filter(|c| c.is_block && !c.path.is_empty()) {
            let is_own = call.parent.is_none_or(|p| calls[p].path != call.path);
            if is_own {
                self.names
                    .entry(call.path.clone())
                    .or_insert_with(|| call.name.clone());
                self.row(&call.path);
            }
        }
    }

    fn row(&mut self, path: &str) -> &mut Block {
        let folded = match self.depth {
            Some(depth) => path
                .splitn(depth + 1, '.')
                .take(depth)
                .collect::<Vec<_>>()
                .join("."),
            None => path.to_string(),
        };
        let at = *self.by_path.entry(folded.clone()).or_insert_with(|| {
            self.rows.push(Block {
                path: folded,
                ..Block::default()
            });
            self.rows.len() - 1
        });
        &mut self.rows[at]
    }

    pub fn add(&mut self, entry: &str, path: &str, work: &BlockCost) {
        let costs = &mut self.row(path).entries;
        costs.entry(entry.to_string()).or_default().add(work);
    }

    /// A key's last segment names the tensor; what stands before it is the block.
    pub fn weights(&mut self, weights: &[WeightDecl]) {
        for w in weights.iter().filter(|w| is_parameter(w)) {
            let path = w.key.rsplit_once('.').map_or("", |(path, _)| path);
            let row = self.row(path);
            row.parameters += elements(w);
            row.tensors += 1;
        }
    }

    /// Rows that cost anything, each with its shares.
    pub fn finish(mut self, entries: &BTreeMap<String, EntryCost>) -> Vec<Block> {
        self.rows
            .retain(|r| r.parameters > 0 || !r.entries.is_empty());
        for row in &mut self.rows {
            row.name = self.names.get(&row.path).cloned().unwrap_or_default();
            for (key, cost) in &mut row.entries {
                let whole = entries[key].seconds;
                cost.share = if whole > 0.0 {
                    cost.seconds / whole
                } else {
                    0.0
                };
            }
        }
        // What lies in no block stands last.
        self.rows.sort_by_key(|r| r.path.is_empty());
        self.rows
    }
}
