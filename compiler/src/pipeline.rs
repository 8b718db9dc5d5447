//! Every stage in order, on one screen: text -> syntax -> graph -> passes -> schedule -> tiles -> code -> artifact.
//!
//! Enters a path and a loader of files; leaves an artifact in memory, or problems. Nothing is read or written here.

use crate::assemble::{Assembled, Header, Planned, assemble};
use crate::backend::clif::Target;
use crate::diag::Problems;
use crate::ir::{self, graph::Graph};
use crate::sema::{self, Elaborated, EntryGraph, Loader, Options};
use crate::{pass, schedule};
use vsr_artifact::manifest::{Model, Train};

/// What `--emit` may print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The forward graph, before gradients.
    Graph,
    /// All entries after differentiation and simplification.
    Grad,
    Schedule,
    Tile,
    Clif,
}

pub struct Compiled {
    pub assembled: Assembled,
    /// The stage asked for, as text.
    pub emitted: Option<String>,
}

/// Compiles one file. None: see `problems`.
pub fn compile(
    loader: &mut dyn Loader,
    path: &str,
    options: &Options,
    target: Target,
    emit: Option<Stage>,
    problems: &mut Problems,
) -> Option<Compiled> {
    let elaborated = sema::elaborate(loader, path, options, problems)?;
    let mut text = String::new();
    let mut weights = schedule::WeightTable::default();
    let mut planned = vec![];
    let header = header(&elaborated, loader);
    for entry in elaborated.entries {
        let EntryGraph { name, profile, dims, inputs, graph, .. } = entry;
        let graph = optimise(graph);
        if matches!(emit, Some(Stage::Graph) if name == "infer") || emit == Some(Stage::Grad) {
            text += &format!("# entry {name}, profile {profile}\n{}", ir::print::print(&graph));
        }
        let field = field(&graph, &name);
        let plan = schedule::plan(&graph, &mut weights, name == "train");
        if emit == Some(Stage::Schedule) {
            text += &schedule::print(&format!("{name} {profile}"), &plan);
        }
        let axes = inputs.iter().map(|p| (p.name.clone(), p.axes.clone())).collect();
        planned.push(Planned { name, profile, dims, plan, axes, field });
    }
    let assembled = match assemble(header, &weights.weights, planned, target) {
        Ok(assembled) => assembled,
        Err(message) => panic!("code generation failed: {message}"),
    };
    if emit == Some(Stage::Tile) {
        text = assembled.kernels.iter().map(crate::tile::print).collect::<Vec<_>>().join("\n");
    }
    if emit == Some(Stage::Clif) {
        text = crate::backend::clif::text(&assembled.kernels, target);
    }
    Some(Compiled { assembled, emitted: emit.map(|_| text) })
}

fn optimise(graph: Graph) -> Graph {
    let graph = pass::optimise(graph);
    if let Err(message) = ir::verify::verify(&graph) {
        panic!("the optimised graph is not well formed: {message}");
    }
    graph
}
