//! What the commands of `vsrc` share: files of this machine, how a command fails, how problems are shown. One file a
//! command; the library does no IO, these do.

pub mod check;
pub mod compile;
pub mod doc;
pub mod fmt;
pub mod graph;
pub mod lsp;
pub mod machine;
pub mod new;
pub mod report;

use std::io::{IsTerminal, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;
use vsr_artifact::{console, shown};

use vsr_compiler::diag::{Problems, Sources};
use vsr_compiler::sema::Loader;
use vsr_compiler::syntax::MAX_BYTES;

/// Files of this machine.
#[derive(Default)]
pub struct Files {
    pub sources: Sources,
    /// The text that the command line names has been read; it may come from a pipe, those that it uses may not.
    is_begun: bool,
    /// What the machine could not do.
    machine: Option<String>,
}

impl Files {
    /// Why a command failed: what the machine could not do counts before what is wrong with the texts.
    pub fn refuse(self, problems: Problems) -> Failure {
        let machine = self.machine.or(problems.machine().map(str::to_string));
        match machine {
            Some(why) => Failure::Machine(why),
            None => Failure::Problems(Box::new(problems), Box::new(self.sources)),
        }
    }

    /// What the machine could not do ends a command.
    pub fn check(&self, problems: &Problems) -> Result<(), Failure> {
        let machine = self.machine.as_deref().or(problems.machine());
        machine.map_or(Ok(()), |why| Err(Failure::Machine(why.to_string())))
    }
}

/// Why a text cannot be read, and whose fault that is.
pub struct Unread {
    pub why: String,
    pub is_machine: bool,
}

impl Unread {
    /// The command fails for it.
    pub fn of(self, path: &str) -> Failure {
        let text = format!("{}: {}", shown(path), self.why);
        match self.is_machine {
            true => Failure::Machine(text),
            false => Failure::User(text),
        }
    }
}

impl From<std::io::Error> for Unread {
    fn from(error: std::io::Error) -> Unread {
        Unread {
            why: vsr_artifact::reason(&error),
            is_machine: !vsr_artifact::is_users(&error),
        }
    }
}

fn unread(why: impl Into<String>) -> Unread {
    Unread {
        why: why.into(),
        is_machine: false,
    }
}

/// The text of a regular file.
pub fn read(path: &str) -> Result<String, Unread> {
    let found = std::fs::metadata(path)?;
    if found.is_dir() {
        return Err(unread("it is a folder"));
    }
    // A device or a pipe may have no end, or never begin.
    if !found.is_file() {
        return Err(unread("it is no regular file"));
    }
    if found.len() > MAX_BYTES as u64 {
        return Err(too_long());
    }
    // Some of the system's own files wait for ever, too.
    let mut options = std::fs::OpenOptions::new();
    let file = options
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    read_from(file)
}

/// What a file's text says. Where it says nothing, `help` tells what would.
pub fn parsed<T>(
    path: &Path,
    parse: impl FnOnce(&str) -> Result<T, String>,
    help: &str,
) -> Result<T, Failure> {
    let name = path.to_string_lossy();
    let parsed = match read(&name) {
        Err(unread) if unread.is_machine => return Err(unread.of(&name)),
        Err(unread) => Err(unread.why),
        Ok(text) => parse(&text),
    };
    let told = |why| format!("{}: {why} ({help})", vsr_artifact::shown_path(path));
    parsed.map_err(|why| Failure::User(told(why)))
}

/// The text of anything that can be opened, as far as a text may go.
fn read_any(path: &str) -> Result<String, Unread> {
    read_from(std::fs::File::open(path)?)
}

pub fn read_from(from: impl Read) -> Result<String, Unread> {
    let mut bytes = Vec::new();
    from.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_BYTES {
        return Err(too_long());
    }
    String::from_utf8(bytes).map_err(|_| unread("the file is not text in UTF-8"))
}

fn too_long() -> Unread {
    unread(format!("the file is longer than {} MiB", MAX_BYTES >> 20))
}

impl Loader for Files {
    fn read(&mut self, path: &str) -> Result<String, String> {
        let is_first = !std::mem::replace(&mut self.is_begun, true);
        let text = match is_first && !Path::new(path).is_dir() {
            true => read_any(path),
            false => read(path),
        };
        text.map_err(|unread| {
            if unread.is_machine {
                let why = format!("cannot read {}: {}", shown(path), unread.why);
                self.machine.get_or_insert(why);
            }
            unread.why
        })
    }

    fn sources(&mut self) -> &mut Sources {
        &mut self.sources
    }

    fn exists(&mut self, path: &str) -> bool {
        Path::new(path).is_file()
    }

    fn weights(&mut self, path: &str) -> Result<vsr_weightfile::Header, String> {
        let mapped = vsr_weightfile::Mapped::open(Path::new(path));
        mapped.map(|m| m.header).map_err(|fault| {
            if let vsr_weightfile::Fault::Io(error) = &fault
                && !vsr_artifact::is_users(error)
            {
                let (path, why) = (shown(path), vsr_artifact::reason(error));
                self.machine
                    .get_or_insert(format!("cannot read {path}: {why}"));
            }
            shown(fault)
        })
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

impl From<vsr_artifact::Error> for Failure {
    fn from(error: vsr_artifact::Error) -> Failure {
        match error.is_users() {
            true => Failure::User(error.to_string()),
            false => Failure::Machine(error.to_string()),
        }
    }
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
    Ok(console::out(text)?)
}

/// A document to standard output.
pub fn print_document(text: &str) -> Result<(), Failure> {
    Ok(console::document(text)?)
}
