//! `info`: what a compiled network is, in text or JSON.

use serde_json::json;
use std::fmt::Write;
use vsr_artifact::folding;
use vsr_artifact::manifest::{Entry, Manifest, Port, WeightKind};

/// What the hashes of a compiled network are worth: said wherever one is looked at.
pub const TRUST: &str = "the hashes find damage, not malice: code from others is a program, run it as you would \
    run one";

/// The manifest, without its launch lists.
pub fn json(m: &Manifest) -> serde_json::Value {
    let entry = |e: &Entry| {
        json!({
            "name": e.name, "profile": e.profile, "dims": e.dims, "inputs": ports(&e.inputs),
            "outputs": ports(&e.outputs), "arena_bytes": e.arena_bytes, "scratch_bytes": e.scratch_bytes,
            "folded_bytes": e.folded_bytes, "kept_bytes": folding::kept_bytes(m, e), "flops": e.flops,
            "launches": e.launches.len(), "halo": e.field.map(|f| f.halo),
        })
    };
    json!({
        "model": m.model, "compiler": m.compiler, "target": m.target, "parameters": parameters(m),
        "frozen_parameters": count(m, &WeightKind::Frozen), "frozen": m.frozen,
        "layouts": m.layouts.iter().map(|l| &l.name).collect::<Vec<_>>(), "weights": m.weights,
        "storage_bytes": m.storage_bytes, "kernels": m.kernels.len(), "train": m.train, "trust": TRUST,
        "entries": m.entries.iter().map(entry).collect::<Vec<_>>(),
    })
}

fn ports(ports: &[Port]) -> serde_json::Value {
    json!(
        ports
            .iter()
            .map(|p| json!({ "name": p.name, "shape": p.shape, "axes": p.axes }))
            .collect::<Vec<_>>()
    )
}

/// Numbers in all weights that a file of this network holds.
fn parameters(m: &Manifest) -> u64 {
    count(m, &WeightKind::Trained)
}

fn count(m: &Manifest, kind: &WeightKind) -> u64 {
    let own = m.weights.iter().filter(|w| w.kind == *kind);
    own.map(|w| w.shape.iter().product::<u64>()).sum()
}

pub fn text(m: &Manifest) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{}  {}", m.model.name, m.model.doc);
    for (name, value) in &m.model.parameters {
        let _ = writeln!(out, "  {name} = {value}");
    }
    let _ = writeln!(out, "parameters  {}", grouped(parameters(m)));
    for file in &m.frozen.files {
        let n = grouped(count(m, &WeightKind::Frozen));
        let _ = writeln!(out, "frozen      {n} in all, from {file}");
    }
    for absent in &m.frozen.absent {
        let _ = writeln!(
            out,
            "without     {}: there was no {}",
            absent.name, absent.file
        );
    }
    for layout in &m.layouts {
        let _ = writeln!(out, "layout      {}: --weights takes it, too", layout.name);
    }
    let _ = writeln!(
        out,
        "weights     {} tensors, {} with the optimiser's",
        m.weights.len(),
        megabytes(m.storage_bytes)
    );
    let features = m.target.features.join(" ");
    let _ = writeln!(
        out,
        "code        {} kernels for {} {features}",
        m.kernels.len(),
        m.target.name
    );
    let _ = writeln!(out, "planned for {}", m.target.machine);
    let _ = writeln!(out, "trust       {TRUST}");
    if let Some(train) = &m.train {
        let mean = train
            .ema
            .map(|decay| format!(", mean of the weights with decay {decay}"));
        let _ = writeln!(
            out,
            "training    {}: {} epochs of {} steps{}",
            train.name,
            train.epochs,
            train.steps,
            mean.unwrap_or_default()
        );
    }
    for e in &m.entries {
        let _ = writeln!(out, "\n{} (profile {})", e.name, e.profile);
        for (title, ports) in [("in ", &e.inputs), ("out", &e.outputs)] {
            for p in ports {
                let _ = writeln!(
                    out,
                    "  {title}       {} [{}] = {:?}",
                    p.name,
                    p.axes.join(", "),
                    p.shape
                );
            }
        }
        let _ = writeln!(
            out,
            "  work      {:.2} GFLOP in {} launches",
            e.flops as f64 / 1e9,
            e.launches.len()
        );
        let (arena, scratch) = (megabytes(e.arena_bytes), megabytes(e.scratch_bytes));
        let _ = writeln!(
            out,
            "  memory    arena {arena}, scratch {scratch} a thread, folded weights {}, others {}",
            megabytes(e.folded_bytes),
            megabytes(folding::kept_bytes(m, e))
        );
        if let Some(f) = e.field {
            let _ = writeln!(
                out,
                "  field     {} x {} pixels around, tiles are exact",
                f.halo[0], f.halo[1]
            );
        }
    }
    out
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

/// `1 234 567`.
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, d) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(d);
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn groups_of_three() {
        assert_eq!(
            [1, 999, 1000, 1_234_567].map(super::grouped),
            ["1", "999", "1 000", "1 234 567"]
        );
    }
}
