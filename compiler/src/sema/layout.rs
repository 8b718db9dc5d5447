//! Layouts: the other ways in which a public checkpoint may hold a model's weights, one for each `weights` item beside it.
//!
//! Enters the weights that an entry declared; leaves, for each item, where every one of them lies. No file is looked at.

use super::elab::{Elab, WeightKind};
use super::error::Fallible;
use super::rename::{self, Renamed, Rules};
use super::value::Value;
use super::walk;
use crate::syntax::ast::{self, ItemKind, Piece, WeightRuleKind as R};
use rustc_hash::FxHashMap as HashMap;

#[derive(Clone, Debug)]
pub struct Layout {
    pub name: String,
    /// Key of each weight, and where it lies.
    pub tensors: Vec<(String, Renamed)>,
    /// Patterns of keys that may stand in a file, too.
    pub ignored: Vec<String>,
}

impl<'a> Elab<'a, '_> {
    /// The layouts of the model, which is the first layer.
    pub fn layouts(&mut self) -> Fallible<Vec<Layout>> {
        let Some(model) = self.layers.first() else {
            return Ok(vec![]);
        };
        let parameters = model.parameters.clone();
        let module = self.program.defs[model.def].module;
        let program = self.program;
        let mut layouts = vec![];
        for item in &program.files[module].ast.items {
            if let ItemKind::Weights(rules) = &item.kind
                && computable(rules, &parameters)
            {
                layouts.push(self.layout(rules, &parameters)?);
            }
        }
        Ok(layouts)
    }

    fn layout(
        &mut self,
        rules: &'a ast::Weights,
        parameters: &HashMap<&'a str, Value>,
    ) -> Fallible<Layout> {
        let own = self
            .weights
            .iter()
            .filter(|w| matches!(w.kind, WeightKind::Trained | WeightKind::State));
        let keys: Vec<String> = own.map(|w| w.key.clone()).collect();
        let renaming = Rules::new(Some(rules));
        let mut tensors = vec![];
        for key in keys {
            let renamed = self.renamed(&renaming, parameters, &key)?;
            tensors.push((key, renamed));
        }
        let ignored = rules.rules.iter().filter_map(|rule| match &rule.kind {
            R::Ignore(path) => rename::written(path),
            R::Rename { .. } => None,
        });
        Ok(Layout {
            name: rules.name.text.clone(),
            tensors,
            ignored: ignored.collect(),
        })
    }
}

/// Whether every name right of an arrow is caught on its left or is a parameter of the model: the rules may be for
/// another model of the file.
fn computable(rules: &ast::Weights, parameters: &HashMap<&str, Value>) -> bool {
    rules.rules.iter().all(|rule| match &rule.kind {
        R::Ignore(_) => true,
        R::Rename { from, to, rows, .. } => {
            let mut caught: Vec<&str> = vec![];
            let mut used: Vec<&str> = vec![];
            for piece in from.segments.iter().flat_map(|s| &s.pieces) {
                match piece {
                    Piece::Rest(name) => caught.push(&name.text),
                    Piece::Hole(e) => caught.extend(rename::hole(e)),
                    Piece::Text(_) => {}
                }
            }
            let holes = to.segments.iter().flat_map(|s| &s.pieces);
            let holes = holes.filter_map(|piece| match piece {
                Piece::Hole(e) => Some(e),
                _ => None,
            });
            let cuts = rows.iter().flat_map(|r| [&r.0, &r.1]);
            for e in holes.chain(cuts) {
                walk::each_name(e, &mut |name, _| used.push(name));
            }
            used.iter()
                .all(|n| caught.contains(n) || parameters.contains_key(n))
        }
    })
}
