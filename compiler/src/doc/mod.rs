//! Pages about the standard library and models, from their `##` comments and signatures.
//!
//! Enters texts; leaves pages as (path, text): HTML that needs no network, or Markdown. Nothing is evaluated but the
//! networks' pictures, and nothing is written here.

mod code;
mod collect;
mod html;
mod markdown;

pub use collect::{Item, Module, Word};

use crate::diag::Problems;
use crate::picture;
use crate::sema::{Loader, Options};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Html,
    Markdown,
}

/// One file to write, relative to the folder of all.
pub struct Page {
    pub path: String,
    pub text: String,
}

/// A model's picture, where a profile gives its sizes.
pub struct Drawn {
    pub model: String,
    pub subtitle: String,
    pub svg: String,
    pub page: String,
}

/// The standard library, and the files at `paths`. None: `problems` says what is wrong with their texts.
pub fn pages(
    loader: &mut dyn Loader,
    paths: &[String],
    format: Format,
    problems: &mut Problems,
) -> Option<Vec<Page>> {
    let modules = collect::modules(loader, paths, problems)?;
    let links = collect::Links::of(&modules);
    let drawn: Vec<Vec<Drawn>> = modules.iter().map(|m| pictures(loader, m)).collect();
    Some(match format {
        Format::Html => html::pages(&modules, &links, &drawn),
        Format::Markdown => markdown::pages(&modules, &links, &drawn),
    })
}

/// Draws each model under its file's first fitting profile; one that cannot be drawn alone has no picture.
fn pictures(loader: &mut dyn Loader, module: &Module) -> Vec<Drawn> {
    let mut drawn = vec![];
    let models = module.items.iter().filter(|i| i.word == Word::Model);
    let names: Vec<&str> = models.map(|m| m.name.as_str()).collect();
    let trained = module.items.iter().any(|i| i.word == Word::Train);
    for name in &names {
        // A `train` item fixes its model's arguments, and is what the file's only name stands for.
        let chosen = (names.len() > 1 && !trained).then(|| (*name).to_string());
        let options = Options {
            name: chosen,
            ..Options::default()
        };
        let made = picture::picture(loader, &module.path, &options, &mut Problems::new());
        drawn.extend(made.map(|p| Drawn {
            model: (*name).to_string(),
            subtitle: p.subtitle.clone(),
            svg: p.svg(1),
            page: p.html(1),
        }));
    }
    drawn
}
