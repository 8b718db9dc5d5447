//! One file with all it uses, checked: problems, facts, trees and occurrences. Texts come from open documents first, then
//! from the disk.

use super::symbols::{self, Occurrence};
use std::collections::HashMap;
use std::path::Path;
use vsr_compiler::diag::{self, Class, Diag, Problems, Sources, Span};
use vsr_compiler::pass_manager::PassManager;
use vsr_compiler::pipeline::{self, Checked};
use vsr_compiler::sema::{Loader, Options};

/// Texts of open documents by path.
pub type Documents = HashMap<String, String>;

struct Overlay<'a> {
    documents: &'a Documents,
    sources: Sources,
}

impl Loader for Overlay<'_> {
    fn read(&mut self, path: &str) -> Result<String, String> {
        match self.documents.get(path) {
            Some(text) => Ok(text.clone()),
            None => super::super::read(path).map_err(|unread| unread.why),
        }
    }

    fn exists(&mut self, path: &str) -> bool {
        Path::new(path).is_file()
    }

    fn sources(&mut self) -> &mut Sources {
        &mut self.sources
    }
}

pub struct Analysis {
    pub problems: Problems,
    pub sources: Sources,
    pub checked: Checked,
    /// By file, in the order of `checked.files`.
    pub occurrences: Vec<Vec<Occurrence>>,
}

impl Analysis {
    /// Checks the file at `path`. An error of our own must not end the server: it is told like any other.
    pub fn new(path: &str, documents: &Documents) -> Analysis {
        let _context = diag::context(path);
        let check = || Analysis::checked(path, documents);
        diag::catch(check).unwrap_or_else(|crash| {
            let mut problems = Problems::new();
            problems.push(Diag::placeless(Class::Syntax, crash.to_string()));
            Analysis {
                problems,
                sources: Sources::new(),
                checked: Checked::default(),
                occurrences: Vec::new(),
            }
        })
    }

    fn checked(path: &str, documents: &Documents) -> Analysis {
        let mut overlay = Overlay {
            documents,
            sources: Sources::new(),
        };
        let mut problems = Problems::new();
        let options = Options::default();
        let checked = pipeline::checked(&mut overlay, path, &options, true, &mut problems);
        Analysis::of(checked, problems, overlay.sources)
    }

    /// The file at `path` and all it uses, parsed and not checked: occurrences alone.
    pub fn read(path: &str, documents: &Documents) -> Analysis {
        let mut overlay = Overlay {
            documents,
            sources: Sources::new(),
        };
        let mut problems = Problems::new();
        let manager = &mut PassManager::default();
        let files = pipeline::parse(&mut overlay, path, manager, &mut problems);
        let checked = Checked {
            files: files.unwrap_or_default(),
            ..Checked::default()
        };
        Analysis::of(checked, problems, overlay.sources)
    }

    fn of(checked: Checked, problems: Problems, sources: Sources) -> Analysis {
        let files = checked.files.iter().enumerate();
        let occurrences = files
            .map(|(at, file)| symbols::occurrences(&checked.files, at, sources.text(file.ast.id)))
            .collect();
        Analysis {
            problems,
            sources,
            checked,
            occurrences,
        }
    }

    /// The name at a byte of the first file.
    pub fn at(&self, offset: usize) -> Option<&Occurrence> {
        let covers = |span: Span| span.start as usize <= offset && offset <= span.end as usize;
        self.occurrences
            .first()?
            .iter()
            .find(|occurrence| covers(occurrence.span))
    }

    /// All occurrences with the paths of their files.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Occurrence)> {
        let files = self.checked.files.iter().zip(&self.occurrences);
        files.flat_map(|(file, all)| all.iter().map(|one| (file.path.as_str(), one)))
    }
}
