//! `vsrc lsp`: the language server, synchronous, over standard input and output. Every open document is checked a moment
//! after its last change; questions are answered from the last check, made anew where the text has changed. Writes no
//! file but copies of the standard library that one jumps to.

mod analysis;
mod answer;
mod complete;
mod hover;
mod lookup;
mod publish;
mod rename;
mod symbols;
mod text;
mod workspace;

use super::Failure;
use analysis::{Analysis, Documents};
use lsp_server::{Connection, Message, Notification, Request};
use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use vsr_artifact::EXIT_CODES;

/// How long after the last change a document is checked.
const PAUSE: Duration = Duration::from_millis(120);

#[derive(clap::Args)]
#[command(
    after_help = format!("Speaks the Language Server Protocol over standard input and output: diagnostics, hover, definition, \
references, completion, rename, formatting, symbols, quick fixes. Editors start it; see examples/editors/.

{EXIT_CODES}")
)]
pub struct Lsp {
    /// Accepted for editors that pass it: standard input and output are the only way
    #[arg(long)]
    stdio: bool,
}

pub fn run(args: &Lsp) -> Result<(), Failure> {
    let Lsp { stdio: _ } = args;
    let (connection, threads) = Connection::stdio();
    let result = match connection.initialize(answer::capabilities()) {
        Ok(asked) => serve(&connection, workspace::folders(&asked)),
        Err(error) if error.channel_is_disconnected() => Ok(()),
        Err(error) => Err(Failure::Machine(error.to_string())),
    };
    drop(connection);
    match threads.join() {
        Ok(()) => result,
        // A client that has gone needs no answers.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Failure::Machine(format!(
            "the client breaks off: {}",
            vsr_artifact::reason(&error)
        ))),
    }
}

/// What the server knows.
#[derive(Default)]
pub struct State {
    /// The workspace's folders, whose closed files are looked at where a question concerns them.
    folders: Vec<PathBuf>,
    /// Open documents, by path.
    documents: Documents,
    /// The last check of each open document.
    analyses: HashMap<String, Analysis>,
    /// Documents that have changed since.
    stale: BTreeSet<String>,
    changed: Option<Instant>,
    /// The paths that each document's check has spoken of.
    published: HashMap<String, BTreeSet<String>>,
}

fn serve(connection: &Connection, folders: Vec<PathBuf>) -> Result<(), Failure> {
    let mut state = State {
        folders,
        ..State::default()
    };
    loop {
        let message = match state.patience() {
            None => connection.receiver.recv().ok(),
            Some(wait) => match connection.receiver.recv_timeout(wait) {
                Ok(message) => Some(message),
                Err(error) if error.is_timeout() => {
                    state.check_stale(connection)?;
                    continue;
                }
                Err(_) => None,
            },
        };
        // The client has gone.
        let Some(message) = message else {
            return Ok(());
        };
        match message {
            Message::Request(request) => {
                let is_end = connection.handle_shutdown(&request);
                if is_end.map_err(|e| Failure::Machine(e.to_string()))? {
                    return Ok(());
                }
                state.request(connection, request)?;
            }
            Message::Notification(notification) => state.notice(connection, notification)?,
            Message::Response(_) => {}
        }
    }
}

fn send(connection: &Connection, message: impl Into<Message>) -> Result<(), Failure> {
    let sent = connection.sender.send(message.into());
    sent.map_err(|e| Failure::Machine(e.to_string()))
}

impl State {
    /// How long to wait for the next message before checking.
    fn patience(&self) -> Option<Duration> {
        let changed = self.changed?;
        Some(PAUSE.saturating_sub(changed.elapsed()))
    }

    fn request(&mut self, connection: &Connection, request: Request) -> Result<(), Failure> {
        let response = answer::answer(self, request);
        send(connection, response)
    }

    fn notice(
        &mut self,
        connection: &Connection,
        notification: Notification,
    ) -> Result<(), Failure> {
        let uri = notification.params.pointer("/textDocument/uri");
        let uri = uri.and_then(|uri| uri.as_str()?.parse::<lsp_types::Uri>().ok());
        let Some(path) = uri.map(|uri| text::path(&uri)) else {
            return Ok(());
        };
        let text_at = |pointer: &str| {
            let text = notification.params.pointer(pointer);
            text.and_then(|text| text.as_str()).map(str::to_string)
        };
        match notification.method.as_str() {
            "textDocument/didOpen" => self.change(path, text_at("/textDocument/text")),
            "textDocument/didChange" => {
                // The whole text comes each time; only the last counts.
                let changes = notification.params.pointer("/contentChanges");
                let n = changes.and_then(|c| c.as_array()).map_or(0, Vec::len);
                let last = format!("/contentChanges/{}/text", n.saturating_sub(1));
                self.change(path, text_at(&last));
            }
            "textDocument/didSave" => self.change(path, None),
            "textDocument/didClose" => {
                self.documents.remove(&path);
                self.analyses.remove(&path);
                self.stale.remove(&path);
                publish::clear(self, connection, &path)?;
                self.all_stale();
            }
            _ => {}
        }
        Ok(())
    }

    /// A document has another text; what others use may have changed with it.
    fn change(&mut self, path: String, text: Option<String>) {
        if let Some(text) = text {
            self.documents.insert(path, text);
        }
        self.all_stale();
    }

    fn all_stale(&mut self) {
        self.stale = self.documents.keys().cloned().collect();
        self.changed = Some(Instant::now());
    }

    /// Checks what has changed, and tells the client.
    fn check_stale(&mut self, connection: &Connection) -> Result<(), Failure> {
        self.changed = None;
        for path in self.documents.keys().cloned().collect::<BTreeSet<_>>() {
            if self.stale.remove(&path) || !self.published.contains_key(&path) {
                self.analyses
                    .insert(path.clone(), Analysis::new(&path, &self.documents));
            }
            publish::publish(self, connection, &path)?;
        }
        Ok(())
    }

    /// The check of a document as it is now.
    fn analysis(&mut self, path: &str) -> Option<&Analysis> {
        if !self.documents.contains_key(path) {
            return None;
        }
        if self.stale.remove(path) || !self.analyses.contains_key(path) {
            let analysis = Analysis::new(path, &self.documents);
            self.analyses.insert(path.to_string(), analysis);
        }
        self.analyses.get(path)
    }
}
