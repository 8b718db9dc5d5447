//! A network as a picture: boxes for its blocks, wires with shapes between them, every block to be opened.
//!
//! Enters a file and one profile; leaves SVG, a page (one HTML file that needs no network) or Graphviz text. It is drawn
//! from the graph that elaboration makes, before any pass, so that it shows what was written.

mod align;
mod cycles;
mod dot;
mod draw;
mod html;
mod layers;
pub mod layout;
mod level;
mod measure;
mod names;
mod order;
mod place;
mod route;
mod runs;
pub mod scene;
mod svg;
mod tree;

use crate::diag::{Class, Diag, Problems};
use crate::pass_manager::PassManager;
use crate::pipeline;
use crate::sema::{EntryGraph, Loader, Options};
pub use svg::escape;

use level::{Item, Level, Stage};
use names::Names;
use scene::Scene;
use std::collections::{BTreeSet, HashMap};
use tree::{Kind, Tree};

/// Namespaces are seen through while a level has no more boxes than this.
const MOST_BOXES: usize = 16;

pub struct Picture {
    pub title: String,
    pub subtitle: String,
    /// Every group that can be opened; `root` is the whole network.
    pub scenes: Vec<Scene>,
    pub placed: Vec<layout::Placed>,
    pub root: usize,
}

/// Draws the first `infer` entry. None: see `problems`.
pub fn picture(
    loader: &mut dyn Loader,
    path: &str,
    options: &Options,
    problems: &mut Problems,
) -> Option<Picture> {
    let made = pipeline::elaborate(loader, path, options, &mut PassManager::default(), problems)?;
    let Some(entry) = made.entries.iter().find(|e| e.name == "infer") else {
        let text =
            "there is no profile to draw: `train` holds a training step, not the network alone";
        let help = "add a profile with the network's sizes, or name another with --profile";
        problems.push(Diag::placeless(Class::Param, text).help(help));
        return None;
    };
    let names = Names::of(loader.sources());
    Some(draw(entry, &made.model.name, &names))
}

fn draw(entry: &EntryGraph, model: &str, names: &Names) -> Picture {
    let tree = tree::tree(&entry.graph, &entry.calls, model);
    let stage = Stage::new(&entry.graph, &tree, names);
    let mut scenes = vec![];
    let root = build(&stage, 0, &mut scenes);
    let dims: Vec<String> = entry
        .dims
        .iter()
        .map(|(name, size)| format!("{name} = {size}"))
        .collect();
    let parameters = crate::report::thousands(tree.groups[0].parameters);
    Picture {
        title: model.to_string(),
        subtitle: format!(
            "{parameters} parameters \u{b7} profile {} ({})",
            entry.profile,
            dims.join(", ")
        ),
        placed: scenes.iter().map(layout::layout).collect(),
        scenes,
        root,
    }
}

/// The scene of a group, after the scenes of all groups in it; gives its number.
fn build(stage: &Stage<'_>, group: usize, scenes: &mut Vec<Scene>) -> usize {
    let open = seen_through(stage, group);
    let level = stage.level(group, &open);
    let mut inner = HashMap::new();
    for item in &level.items {
        if let Item::Group(child) = *item
            && is_openable(stage.tree, child)
            && !stage.is_empty(child)
        {
            inner.insert(child, build(stage, child, scenes));
        }
    }
    let scene = runs::fold(stage.scene(level, &inner), scenes);
    scenes.push(scene);
    scenes.len() - 1
}

fn is_openable(tree: &Tree, group: usize) -> bool {
    matches!(tree.groups[group].kind, Kind::Block | Kind::Namespace)
}

/// Namespaces of a level that are not drawn as boxes: those around one box, those that would feed each other, and all of
/// one parent where the level stays small enough.
fn seen_through(stage: &Stage<'_>, group: usize) -> BTreeSet<usize> {
    let mut open = untangled(stage, group, of_one(stage.tree));
    let mut tried: BTreeSet<usize> = BTreeSet::new();
    loop {
        let level = stage.level(group, &open);
        let candidate = parents(stage.tree, &level)
            .into_iter()
            .find(|p| tried.insert(*p));
        let Some(parent) = candidate else { return open };
        let mut wider = open.clone();
        wider.extend(
            namespaces(stage.tree, &level).filter(|n| stage.tree.groups[*n].parent == Some(parent)),
        );
        let wider = untangled(stage, group, wider);
        let scene = runs::fold(
            stage.scene(stage.level(group, &wider), &HashMap::new()),
            &mut vec![],
        );
        let boxes = scene
            .parts
            .iter()
            .filter(|p| p.shape == scene::Shape::Box)
            .count();
        if boxes <= MOST_BOXES {
            open = wider;
        }
    }
}

/// Namespaces around one box say nothing that its label does not.
fn of_one(tree: &Tree) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    let is_namespace = |g: usize| tree.groups[g].kind == Kind::Namespace;
    // Children stand behind their parents.
    for group in (0..tree.groups.len()).rev().filter(|g| is_namespace(*g)) {
        let children = tree.groups[group].children.iter().copied();
        let boxes: Vec<usize> = children
            .filter(|g| tree.groups[*g].kind != Kind::Op)
            .collect();
        if let [only] = boxes[..]
            && (!is_namespace(only) || found.contains(&only))
        {
            found.insert(group);
        }
    }
    found
}

fn untangled(stage: &Stage<'_>, group: usize, mut open: BTreeSet<usize>) -> BTreeSet<usize> {
    loop {
        let tangled = cycles::tangled(stage, &stage.level(group, &open));
        if tangled.is_empty() {
            return open;
        }
        open.extend(tangled);
    }
}

fn namespaces<'a>(tree: &'a Tree, level: &'a Level) -> impl Iterator<Item = usize> + 'a {
    level.items.iter().filter_map(|item| match item {
        Item::Group(g) if tree.groups[*g].kind == Kind::Namespace => Some(*g),
        _ => None,
    })
}

/// Whose children are namespaces here, outermost first.
fn parents(tree: &Tree, level: &Level) -> BTreeSet<usize> {
    namespaces(tree, level)
        .filter_map(|n| tree.groups[n].parent)
        .collect()
}

impl Picture {
    /// `depth` 1: all blocks folded.
    pub fn svg(&self, depth: usize) -> String {
        let drawing = draw::unfold(&self.scenes, &self.placed, self.root, depth);
        let heading = svg::Heading {
            title: &self.title,
            subtitle: &self.subtitle,
        };
        svg::svg(&self.scenes, &drawing, &heading)
    }

    pub fn dot(&self, depth: usize) -> String {
        dot::dot(
            &self.scenes,
            &draw::unfold(&self.scenes, &self.placed, self.root, depth),
            &self.title,
        )
    }

    pub fn html(&self, depth: usize) -> String {
        html::html(self, depth)
    }

    /// Boxes and wires as they are drawn, level by level, opened blocks as frames: for tests.
    pub fn levels(&self, depth: usize) -> Vec<layout::Placed> {
        fn collect(d: draw::Drawing, levels: &mut Vec<layout::Placed>) {
            levels.push(layout::Placed {
                width: d.width,
                height: d.height,
                boxes: d.boxes,
                wires: d.wires,
            });
            let inner = d.inner.into_iter().flatten();
            inner.for_each(|(_, _, inner)| collect(inner, levels));
        }
        let mut levels = vec![];
        let drawing = draw::unfold(&self.scenes, &self.placed, self.root, depth);
        collect(drawing, &mut levels);
        levels
    }
}
