//! Labels of what is planned, and the nodes behind them. Enters a graph; leaves, for a label that a plan prints, where it
//! comes from. For messages and reports: nothing is decided by a label.

use super::graph::{Graph, Origin};
use std::collections::HashMap;

/// Block path and op: `encoder.0.conv conv2d`.
pub fn label(origin: &Origin) -> String {
    match origin.path.as_str() {
        "" => origin.name.clone(),
        path => format!("{path} {}", origin.name),
    }
}

/// The label of what leaves an entry.
pub fn output_label(name: &str) -> String {
    format!("output {name}")
}

/// The first node of each label.
pub struct Origins<'g>(HashMap<String, &'g Origin>);

impl<'g> Origins<'g> {
    pub fn of(graph: &'g Graph) -> Origins<'g> {
        let mut origins = HashMap::new();
        for id in graph.ids() {
            let origin = &graph.node(id).origin;
            origins.entry(label(origin)).or_insert(origin);
        }
        Origins(origins)
    }

    /// What leaves the graph, too, by the labels of its copies.
    pub fn with_outputs(mut self, graph: &'g Graph) -> Origins<'g> {
        for (name, id) in &graph.outputs {
            let origin = &graph.node(*id).origin;
            self.0.entry(output_label(name)).or_insert(origin);
        }
        self
    }

    /// A plan appends words to a label (`copy`, `border`): the longest part that a node has decides.
    pub fn find(&self, label: &str) -> Option<&'g Origin> {
        let mut label = label;
        loop {
            if let Some(origin) = self.0.get(label) {
                return Some(origin);
            }
            label = &label[..label.rfind(' ')?];
        }
    }
}
