//! One epoch's numbers: a line of `metrics.jsonl`, a line of text, a point of the plot.

use crate::error::{Error, Result};
use crate::files;
use crate::session::Session;
use serde_json::{Map, Value, json};
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
        let list = |key: &str| -> Option<Vec<(String, f64)>> {
            let object = v.get(key)?.as_object()?;
            object
                .iter()
                .map(|(name, v)| Some((name.clone(), v.as_f64()?)))
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

/// Records of the first `epochs` epochs; later ones belong to a future that a resumed run computes again.
pub fn read(path: &Path, epochs: u64) -> Result<Vec<Record>> {
    if epochs == 0 || !path.exists() {
        return Ok(vec![]);
    }
    let text = std::fs::read_to_string(path).map_err(|e| Error::io("read", path, &e))?;
    Ok(text
        .lines()
        .filter_map(Record::parse)
        .filter(|r| r.epoch <= epochs)
        .collect())
}

pub fn write(path: &Path, records: &[Record]) -> Result<()> {
    let text: String = records.iter().map(|r| format!("{}\n", r.json())).collect();
    files::write_whole(path, &[text.as_bytes()])
}
