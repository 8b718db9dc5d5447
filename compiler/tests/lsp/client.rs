//! A small editor: starts the server in a folder of its own, frames messages, waits for answers and diagnostics.

use crate::program::command;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Longer than any answer takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Client {
    child: Child,
    input: ChildStdin,
    output: Receiver<Value>,
    folder: tempfile::TempDir,
    next_id: i64,
    /// The last diagnostics of each file.
    latest: HashMap<String, Value>,
}

impl Client {
    pub fn start() -> Client {
        let folder = tempfile::tempdir().expect("a folder is made");
        let mut child = command(Path::new("."), "lsp")
            .env("XDG_CACHE_HOME", folder.path().join("cache"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let input = child.stdin.take().expect("its input is a pipe");
        let mut reader = BufReader::new(child.stdout.take().expect("its output is a pipe"));
        let (sender, output) = channel();
        std::thread::spawn(move || {
            while let Some(message) = read(&mut reader) {
                if sender.send(message).is_err() {
                    break;
                }
            }
        });
        let mut client = Client {
            child,
            input,
            output,
            folder,
            next_id: 0,
            latest: HashMap::new(),
        };
        let folder = json!([{ "uri": client.uri(""), "name": "test" }]);
        let capabilities = json!({ "capabilities": {}, "workspaceFolders": folder });
        let answer = client.request("initialize", capabilities);
        assert_eq!(answer["result"]["capabilities"]["hoverProvider"], true);
        client.notify("initialized", json!({}));
        client
    }

    pub fn uri(&self, name: &str) -> Value {
        json!(format!(
            "file://{}",
            self.folder.path().join(name).display()
        ))
    }

    /// Writes the file, too, so that others can use it when it is closed.
    pub fn open(&mut self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).expect("the file is written");
        let document =
            json!({ "uri": self.uri(name), "languageId": "vsr", "version": 1, "text": text });
        self.notify("textDocument/didOpen", json!({ "textDocument": document }));
    }

    /// A file of the workspace that no editor has open.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.folder.path().join(name);
        let folder = path.parent().expect("it lies in the workspace");
        std::fs::create_dir_all(folder).expect("a folder is made");
        std::fs::write(path, text).expect("the file is written");
    }

    /// Any diagnostics that came before are forgotten.
    pub fn change(&mut self, name: &str, text: &str) {
        self.latest.clear();
        let document = json!({ "uri": self.uri(name), "version": 2 });
        let params = json!({ "textDocument": document, "contentChanges": [{ "text": text }] });
        self.notify("textDocument/didChange", params);
    }

    /// The diagnostics of a file, once there are n of them: older ones may still be under way.
    pub fn diagnostics(&mut self, name: &str, n: usize) -> Value {
        let uri = self.uri(name);
        let uri = uri.as_str().expect("an address is a string").to_string();
        loop {
            let found = self.latest.get(&uri);
            if let Some(found) = found.filter(|found| found.as_array().map(Vec::len) == Some(n)) {
                return found.clone();
            }
            let message = self.receive();
            self.keep(&message);
        }
    }

    pub fn at(&mut self, method: &str, name: &str, line: u32, character: u32) -> Value {
        self.ask(
            method,
            name,
            json!({ "position": { "line": line, "character": character } }),
        )
    }

    pub fn ask(&mut self, method: &str, name: &str, mut params: Value) -> Value {
        params["textDocument"] = json!({ "uri": self.uri(name) });
        let answer = self.request(method, params);
        assert!(answer["error"].is_null(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// The edits, or why there are none.
    pub fn rename(
        &mut self,
        name: &str,
        line: u32,
        character: u32,
        new: &str,
    ) -> Result<Value, String> {
        let params = json!({
            "textDocument": { "uri": self.uri(name) },
            "position": { "line": line, "character": character },
            "newName": new,
        });
        let answer = self.request("textDocument/rename", params);
        match answer["error"]["message"].as_str() {
            Some(why) => Err(why.to_string()),
            None => Ok(answer["result"].clone()),
        }
    }

    /// Sends a request and waits for its answer.
    pub fn request(&mut self, method: &str, params: Value) -> Value {
        self.next_id += 1;
        let id = self.next_id;
        self.send(json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        loop {
            let message = self.receive();
            if message["id"] == id {
                return message;
            }
            self.keep(&message);
        }
    }

    /// Ends the session; the server must end well.
    pub fn stop(mut self) {
        self.request("shutdown", Value::Null);
        self.notify("exit", Value::Null);
        let status = self.child.wait().expect("the server ends");
        assert!(status.success(), "{status}");
    }

    fn notify(&mut self, method: &str, params: Value) {
        self.send(json!({ "jsonrpc": "2.0", "method": method, "params": params }));
    }

    fn send(&mut self, message: Value) {
        let text = message.to_string();
        write!(self.input, "Content-Length: {}\r\n\r\n{text}", text.len())
            .expect("the server reads");
        self.input.flush().expect("the server reads");
    }

    fn receive(&mut self) -> Value {
        self.output
            .recv_timeout(PATIENCE)
            .expect("the server answers")
    }

    fn keep(&mut self, message: &Value) {
        if message["method"] == "textDocument/publishDiagnostics" {
            let uri = message["params"]["uri"].as_str().unwrap_or("").to_string();
            let found = message["params"]["diagnostics"].clone();
            self.latest.insert(uri, found);
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn read(reader: &mut impl BufRead) -> Option<Value> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim();
        if line.is_empty() {
            break;
        }
        if let Some(n) = line.strip_prefix("Content-Length: ") {
            length = n.parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    serde_json::from_slice(&body).ok()
}
