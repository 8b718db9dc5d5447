//! One epoch's numbers: a line of `metrics.jsonl`, a line of text, a point of the plot. The file holds nothing that a
//! clock decides: a run that was interrupted has the same bytes as one that was not. How fast it went is said, not
//! kept. A line of the file ends in the hash of what stands before it; one without its end is left out, any other
//! damage is an error.

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
}

/// How fast the run is, and how long it will still take.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
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

    /// What standard output says of it: what the file holds, and the pace.
    pub fn json(&self, pace: Pace) -> Value {
        let mut value = self.value();
        value["steps_per_second"] = json!(pace.steps_per_second);
        value["seconds_left"] = json!(pace.seconds_left);
        value
    }

    fn value(&self) -> Value {
        let object = |list: &[(String, f64)]| -> Map<String, Value> {
            list.iter()
                .map(|(name, v)| (name.clone(), json!(v)))
                .collect()
        };
        json!({
            "epoch": self.epoch, "steps": self.steps, "train": object(&self.train), "valid": object(&self.valid),
        })
    }

    fn parse(line: &str) -> Option<Record> {
        let v: Value = serde_json::from_str(line).ok()?;
        // JSON has no infinities: the PSNR of equal pictures is null.
        let number = |v: &Value| v.as_f64().or(v.is_null().then_some(f64::NAN));
        let list = |key: &str| -> Option<Vec<(String, f64)>> {
            let object = v.get(key)?.as_object()?;
            let pair = |(name, v): (&String, &Value)| Some((name.clone(), number(v)?));
            object.iter().map(pair).collect()
        };
        Some(Record {
            epoch: v.get("epoch")?.as_u64()?,
            steps: v.get("steps")?.as_u64()?,
            train: list("train")?,
            valid: list("valid")?,
        })
    }

    pub fn text(&self, epochs: u64, pace: Pace) -> String {
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
        line.push_str(&format!("  | {:.2} steps/s", pace.steps_per_second));
        line
    }
}

/// Epochs that are over.
#[derive(Debug, Default, PartialEq)]
pub struct Past {
    pub records: Vec<Record>,
    /// The file's last line has no end.
    pub is_torn: bool,
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
        let found = checked(line).and_then(|text| Record::parse(&text));
        let record = found.ok_or_else(|| {
            let line = number + 1;
            let advice =
                "without this file the run goes on, and only its past epochs are forgotten";
            Error::file(path, format!("is damaged at line {line}: {advice}"))
        })?;
        if record.epoch <= epochs {
            past.records.push(record);
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
    let line = |r: &Record| format!("{}\n", sealed(&r.value().to_string()));
    let text: String = past.records.iter().map(line).collect();
    files::write_whole(path, &[text.as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of every size and sign, as bits.
    fn records() -> Vec<Record> {
        let mut bits = 0x9e37_79b9_7f4a_7c15u64;
        let mut number = || {
            bits = bits
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            f64::from_bits(bits)
        };
        let mut list = || {
            let names = ["loss", "edge", "psnr"];
            names.map(|n| (n.to_string(), number())).to_vec()
        };
        let mut all: Vec<Record> = (1..=200)
            .map(|epoch| Record {
                epoch,
                steps: 7 * epoch,
                train: list(),
                valid: list(),
            })
            .collect();
        all[0].train[0].1 = f64::INFINITY;
        all[1].valid[1].1 = f64::NAN;
        all
    }

    fn past(records: &[Record]) -> Past {
        Past {
            records: records.to_vec(),
            is_torn: false,
        }
    }

    #[test]
    fn records_are_the_same_bytes_however_often_they_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        write(&path, &past(&records())).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for epochs in [1, 2, 77, 200] {
            let mut again = read(&path, epochs).unwrap();
            assert_eq!(again.records.len() as u64, epochs);
            let rest = records().into_iter().skip(epochs as usize);
            again.records.extend(rest);
            write(&path, &again).unwrap();
            assert!(std::fs::read(&path).unwrap() == whole, "{epochs}");
        }
    }

    #[test]
    fn a_line_that_is_no_record_is_named_and_not_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        write(&path, &past(&records()[..2])).unwrap();
        let mut text = std::fs::read_to_string(&path).unwrap();
        text.push_str("a note of mine\n");
        std::fs::write(&path, text).unwrap();
        let refused = read(&path, 2).unwrap_err().to_string();
        assert!(refused.contains("is damaged at line 3"), "{refused}");
    }
}
