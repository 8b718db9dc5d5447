//! What the commands of `vsrc` share: files of this machine, how a command fails, how problems are shown. One file a
//! command; the library does no IO, these do.

pub mod check;
pub mod compile;
pub mod doc;
pub mod fmt;
pub mod graph;
pub mod lsp;
pub mod report;

use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;
use vsr_artifact::console;
use vsr_compiler::diag::{Problems, Sources};
use vsr_compiler::sema::Loader;

/// Files of this machine.
#[derive(Default)]
pub struct Files {
    pub sources: Sources,
}

pub fn read(path: &str) -> Result<String, String> {
    let bytes = std::fs::read(path).map_err(|e| vsr_artifact::reason(&e))?;
    String::from_utf8(bytes).map_err(|_| "the file is not text in UTF-8".to_string())
}

impl Loader for Files {
    fn read(&mut self, path: &str) -> Result<String, String> {
        read(path)
    }

    fn sources(&mut self) -> &mut Sources {
        &mut self.sources
    }

    fn exists(&mut self, path: &str) -> bool {
        Path::new(path).is_file()
    }

    fn weights(&mut self, path: &str) -> Result<vsr_weightfile::Header, String> {
        let mapped = vsr_weightfile::Mapped::open(Path::new(path));
        mapped.map(|m| m.header).map_err(vsr_artifact::shown)
    }
}

/// `NAME=VALUE` of `--set`.
pub fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or("write NAME=VALUE, such as H=128")?;
    Ok((name.trim().to_string(), value.trim().to_string()))
}

/// Why the command failed, and whose error it was.
pub enum Failure {
    Problems(Box<Problems>, Box<Sources>),
    User(String),
    /// A user's errors that have been shown already.
    Shown,
    Machine(String),
}

/// Shows why a command failed; the exit code says whose error it was.
pub fn finish(result: Result<(), Failure>, json: bool) -> ExitCode {
    let message = match result {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Problems(problems, sources)) => {
            let shown = match json {
                true => print(&format!("{}\n", problems.to_json(&sources))),
                false => {
                    console::styled(&rendered(&problems, &sources));
                    Ok(())
                }
            };
            return shown.map_or_else(|failure| finish(Err(failure), false), |()| 1.into());
        }
        Err(Failure::Shown) => return ExitCode::from(1),
        Err(Failure::User(message)) => (message, 1),
        Err(Failure::Machine(message)) => (message, 2),
    };
    console::err(&format!("error: {}\n", message.0));
    ExitCode::from(message.1)
}

/// Problems as text for standard error, in colours where a terminal shows them.
pub fn rendered(problems: &Problems, sources: &Sources) -> String {
    if std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
        problems.render_coloured(sources)
    } else {
        problems.render(sources)
    }
}

/// Text to standard output.
pub fn print(text: &str) -> Result<(), Failure> {
    console::out(text).map_err(|e| Failure::Machine(e.to_string()))
}

/// A document to standard output.
pub fn print_document(text: &str) -> Result<(), Failure> {
    console::document(text).map_err(|e| Failure::Machine(e.to_string()))
}
