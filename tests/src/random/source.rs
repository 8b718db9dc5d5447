//! Where a text comes from: memory, or a file of the repository with something added, and which sizes are asked for.

use super::program::{GRADIENT, GRADIENT_BLOCK};
use vsr_compiler::diag::{Problems, Sources};
use vsr_compiler::pipeline;
use vsr_compiler::sema::{Loader, Options};

#[derive(Clone, Debug)]
pub struct Source {
    /// A file of the repository, or a name for the text alone.
    pub path: String,
    /// In the place of the file's text.
    pub text: Option<String>,
    /// A file of the repository by path, and what is read in its place.
    pub changed: Option<(String, String)>,
    pub options: Options,
}

impl Source {
    pub fn of_text(text: &str) -> Source {
        Source {
            path: "program.vsr".into(),
            text: Some(text.to_string()),
            changed: None,
            options: Options::default(),
        }
    }

    /// A file of the repository under these settings.
    pub fn of_file(path: &str, set: &[(String, String)]) -> Source {
        let options = Options {
            set: set.to_vec(),
            ..Options::default()
        };
        Source {
            path: path.to_string(),
            text: None,
            changed: None,
            options,
        }
    }

    /// What a stage makes of it, or the problems as text.
    pub fn with<T>(
        &self,
        stage: impl FnOnce(&mut dyn Loader, &str, &Options, &mut Problems) -> Option<T>,
    ) -> Result<T, String> {
        let mut loader = Files {
            source: self,
            files: crate::Repository::default(),
        };
        let mut problems = Problems::new();
        let made = stage(&mut loader, &self.path, &self.options, &mut problems);
        made.ok_or_else(|| problems.render(loader.sources()))
    }

    /// Whether its training stores gradients in the place of weights.
    pub fn shows_gradients(&self) -> bool {
        let optimizer = format!("optimizer = {GRADIENT}");
        let text = self.text.as_deref().unwrap_or_default();
        text.contains(GRADIENT_BLOCK) && text.contains(&optimizer)
    }

    /// Whether a check has nothing to say.
    pub fn is_accepted(&self) -> bool {
        let check =
            |loader: &mut dyn Loader, path: &str, options: &Options, problems: &mut Problems| {
                pipeline::check(loader, path, options, problems);
                problems.is_empty().then_some(())
            };
        self.with(check).is_ok()
    }
}

struct Files<'a> {
    source: &'a Source,
    files: crate::Repository,
}

impl Loader for Files<'_> {
    fn read(&mut self, path: &str) -> Result<String, String> {
        match (&self.source.text, &self.source.changed) {
            (Some(text), _) if path == self.source.path => Ok(text.clone()),
            (_, Some((of, text))) if path == of => Ok(text.clone()),
            _ => self.files.read(path),
        }
    }

    fn exists(&mut self, path: &str) -> bool {
        path == self.source.path && self.source.text.is_some() || self.files.exists(path)
    }

    fn weights(&mut self, path: &str) -> Result<vsr_weightfile::Header, String> {
        self.files.weights(path)
    }

    fn sources(&mut self) -> &mut Sources {
        self.files.sources()
    }
}
