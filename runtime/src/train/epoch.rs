//! One epoch's numbers: a line of `metrics.jsonl`, a line of text, a point of the plot. A line of the file ends in the hash
//! of what stands before it; one without its end is left out, any other damage is an error.

use crate::error::{Error, Result};
use crate::files;
use crate::session::Session;
use serde_json::{Map, Value, json};
use std::io::Read;
use std::path::Path;

pub const FILE: &str = "metrics.jsonl";

#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Counted from 1.
    pub epoch: u64,
    /// Of all epochs so far.
    pub steps: u64,
    pub train: Vec<(String, f64)>,
    pub valid: Vec<(String, f64)>,
    pub steps_per_second: f64,
    pub seconds_left: f64,
}

/// The scalar outputs of an entry's last run, in their order: `loss` first, then each metric.
pub fn scalars(session: &Session, entry: usize) -> Vec<(String, f64)> {
    let ports = session.manifest().entries[entry]
        .outputs
        .iter()
        .filter(|p| p.shape.is_empty());
    let value = |name: &str| session.output(entry, name).first().map(|v| f64::from(*v));
    ports
        .filter_map(|p| Some((p.name.clone(), value(&p.name)?)))
        .collect()
}

impl Record {
    /// What makes an epoch the best: PSNR of what was held out, else the smallest loss.
    pub fn score(&self) -> f64 {
        let of =
            |list: &[(String, f64)], name: &str| list.iter().find(|v| v.0 == name).map(|v| v.1);
        let loss = || {
            of(&self.valid, "loss")
                .or(of(&self.train, "loss"))
                .map(|v| -v)
        };
        of(&self.valid, "psnr")
            .or_else(loss)
            .unwrap_or(f64::NEG_INFINITY)
    }

    pub fn json(&self) -> Value {
        let object = |list: &[(String, f64)]| -> Map<String, Value> {
            list.iter()
                .map(|(name, v)| (name.clone(), json!(v)))
                .collect()
        };
        json!({
            "epoch": self.epoch, "steps": self.steps, "train": object(&self.train), "valid": object(&self.valid),
            "steps_per_second": self.steps_per_second, "seconds_left": self.seconds_left,
        })
    }

    fn parse(line: &str) -> Option<Record> {
        let v: Value = serde_json::from_str(line).ok()?;
        // JSON has no infinities: the PSNR of equal pictures is null.
        let number = |v: &Value| v.as_f64().or(v.is_null().then_some(f64::NAN));
        let list = |key: &str| -> Option<Vec<(String, f64)>> {
            let object = v.get(key)?.as_object()?;
            object
                .iter()
                .map(|(name, v)| Some((name.clone(), number(v)?)))
                .collect()
        };
        Some(Record {
            epoch: v.get("epoch")?.as_u64()?,
            steps: v.get("steps")?.as_u64()?,
            train: list("train")?,
            valid: list("valid")?,
            steps_per_second: v.get("steps_per_second")?.as_f64()?,
            seconds_left: v.get("seconds_left")?.as_f64()?,
        })
    }

    pub fn text(&self, epochs: u64) -> String {
        let list = |list: &[(String, f64)]| {
            let one = |(name, v): &(String, f64)| match name.as_str() {
                "psnr" => format!("psnr {v:.2} dB"),
                "level" => format!("level {v:.2}"),
                _ => format!("{name} {v:.5}"),
            };
            list.iter().map(one).collect::<Vec<_>>().join("  ")
        };
        let mut line = format!("epoch {:3}/{epochs}  {}", self.epoch, list(&self.train));
        if !self.valid.is_empty() {
            line.push_str(&format!("  | held out: {}", list(&self.valid)));
        }
        line.push_str(&format!("  | {:.2} steps/s", self.steps_per_second));
        line
    }
}

/// Epochs that are over: their numbers, and the same as text, which is kept to the letter.
#[derive(Debug, Default, PartialEq)]
pub struct Past {
    pub records: Vec<Record>,
    texts: Vec<String>,
    /// The file's last line has no end.
    pub is_torn: bool,
}

impl Past {
    pub fn push(&mut self, record: Record) {
        self.texts.push(record.json().to_string());
        self.records.push(record);
    }
}

/// Records of the first `epochs` epochs; later ones belong to a future that a resumed run computes again.
pub fn read(path: &Path, epochs: u64) -> Result<Past> {
    let mut past = Past::default();
    if epochs == 0 || !path.exists() {
        return Ok(past);
    }
    let fail = |e: std::io::Error| Error::io("read", path, &e);
    let mut bytes = Vec::new();
    vsr_artifact::open_file(path)
        .and_then(|mut file| file.read_to_end(&mut bytes))
        .map_err(fail)?;
    let mut lines: Vec<&[u8]> = bytes.split(|b| *b == b'\n').collect();
    // Behind the last end of a line stands what was being written when the power went.
    past.is_torn = lines.pop().is_some_and(|rest| !rest.is_empty());
    for (number, line) in lines.iter().enumerate() {
        let found = checked(line).and_then(|text| Some((Record::parse(&text)?, text)));
        let (record, text) = found.ok_or_else(|| {
            let line = number + 1;
            let advice =
                "without this file the run goes on, and only its past epochs are forgotten";
            Error::file(path, format!("is damaged at line {line}: {advice}"))
        })?;
        if record.epoch <= epochs {
            past.records.push(record);
            past.texts.push(text);
        }
    }
    Ok(past)
}

/// Between a record and its hash.
const SEAL: &str = ",\"blake3\":\"";
/// Of the hash, that many digits tell damage.
const DIGITS: usize = 16;

/// `{"epoch":1}` as `{"epoch":1,"blake3":"…"}`.
fn sealed(text: &str) -> String {
    let open = text.strip_suffix('}').unwrap_or(text);
    let hash = blake3::hash(open.as_bytes()).to_hex();
    format!("{open}{SEAL}{}\"}}", &hash[..DIGITS])
}

/// The record that a line holds, if it is the one that was written.
fn checked(line: &[u8]) -> Option<String> {
    let line = std::str::from_utf8(line).ok()?;
    let at = line.len().checked_sub(SEAL.len() + DIGITS + 2)?;
    let text = format!("{}}}", line.get(..at)?);
    (sealed(&text) == line).then_some(text)
}

pub fn write(path: &Path, past: &Past) -> Result<()> {
    let line = |text: &String| format!("{}\n", sealed(text));
    let text: String = past.texts.iter().map(line).collect();
    files::write_whole(path, &[text.as_bytes()])
}
