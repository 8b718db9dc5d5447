//! A report as text: the totals, then one table for each entry.

use super::{Block, EntryCost, Report};
use std::fmt::Write;

pub fn text(report: &Report) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{}: {} parameters in {} tensors ({})",
        report.model,
        thousands(report.parameters),
        report.tensors,
        bytes(4 * report.parameters)
    );
    if !report.doc.is_empty() {
        let _ = writeln!(out, "{}", report.doc);
    }
    if report.optimizer_bytes > 0 {
        let _ = writeln!(out, "optimiser's state: {}", bytes(report.optimizer_bytes));
    }
    let _ = writeln!(out, "\n{}", roofline(report));
    totals(&mut out, report);
    for (key, cost) in ordered(report) {
        table(&mut out, report, key, cost);
    }
    out
}

/// `infer` first, `train` next, then the others.
fn ordered(report: &Report) -> Vec<(&String, &EntryCost)> {
    let mut entries: Vec<_> = report.entries.iter().collect();
    entries.sort_by_key(|(key, _)| (!key.starts_with("infer"), *key != "train"));
    entries
}

fn roofline(report: &Report) -> String {
    let r = &report.roof;
    let from = match &r.file {
        Some(file) => format!("measured on {} ({file})", r.name),
        None => format!(
            "nominal numbers of `{}`; `vsr-run bench --roofs` measures this machine",
            r.name
        ),
    };
    format!(
        "roofs: {:.0} GFLOP/s, copies {:.1} GB/s, {} threads: {from}",
        r.roof.fma_gflops, r.roof.copy_gb_per_s, r.roof.threads
    )
}

fn totals(out: &mut String, report: &Report) {
    let _ = writeln!(
        out,
        "\n{:<12} {:<10} {:>10} {:>10} {:>10} {:>10} {:>12} {:>9} {:>11}",
        "entry",
        "profile",
        "FLOP",
        "moved",
        "arena",
        "folded",
        "scratch/thr",
        "launches",
        "at roofs"
    );
    for (key, e) in ordered(report) {
        let _ = writeln!(
            out,
            "{:<12} {:<10} {:>10} {:>10} {:>10} {:>10} {:>12} {:>9} {:>11}",
            key,
            e.profile,
            count(e.flops),
            bytes(e.bytes),
            bytes(e.arena_bytes),
            bytes(e.folded_bytes),
            bytes(e.scratch_bytes_per_thread),
            e.launches,
            seconds(e.seconds)
        );
    }
    let _ = writeln!(
        out,
        "arena: the exact peak, as planned and allocated. at roofs: no faster; computing and copying bound each launch."
    );
}

fn table(out: &mut String, report: &Report, key: &str, cost: &EntryCost) {
    let rows: Vec<(&Block, String)> = report
        .blocks
        .iter()
        .filter(|b| b.entries.contains_key(key) || b.parameters > 0)
        .map(|b| (b, title(b)))
        .collect();
    let width = rows
        .iter()
        .map(|r| r.1.chars().count())
        .max()
        .unwrap_or(0)
        .clamp(5, 60);
    let _ = writeln!(
        out,
        "\n{key} ({}), {:.0} % of the time bound by computing\n{:<width$} {:>13} {:>10} {:>10} {:>11} {:>10} {:>7}",
        cost.profile,
        100.0 * cost.compute_share,
        "block",
        "parameters",
        "FLOP",
        "moved",
        "activations",
        "at roofs",
        "share"
    );
    for (block, title) in rows {
        let c = block.entries.get(key).cloned().unwrap_or_default();
        let _ = writeln!(
            out,
            "{title:<width$} {:>13} {:>10} {:>10} {:>11} {:>10} {:>6.1}%",
            thousands(block.parameters),
            count(c.flops),
            bytes(c.bytes),
            bytes(c.activation_bytes),
            seconds(c.seconds),
            100.0 * c.share
        );
    }
}

fn title(block: &Block) -> String {
    match (block.path.as_str(), block.name.as_str()) {
        ("", _) => "(in no block)".to_string(),
        (path, "") => path.to_string(),
        (path, name) => format!("{path}  {name}"),
    }
}

/// `6,803,011`
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

fn scaled(n: f64, units: &[&str]) -> String {
    let mut n = n;
    for (i, unit) in units.iter().enumerate() {
        if n < 999.5 || i + 1 == units.len() {
            return match n {
                _ if i == 0 => format!("{n:.0} {unit}"),
                n if n < 9.995 => format!("{n:.2} {unit}"),
                n if n < 99.95 => format!("{n:.1} {unit}"),
                n => format!("{n:.0} {unit}"),
            };
        }
        n /= 1000.0;
    }
    String::new()
}

pub fn bytes(n: u64) -> String {
    scaled(n as f64, &["B", "kB", "MB", "GB", "TB"])
}

pub fn count(n: u64) -> String {
    scaled(n as f64, &["", "k", "M", "G", "T", "P"])
        .trim_end()
        .to_string()
}

fn seconds(s: f64) -> String {
    match s {
        s if s < 1e-3 => format!("{:.1} us", s * 1e6),
        s if s < 1.0 => format!("{:.2} ms", s * 1e3),
        s => format!("{s:.2} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_right() {
        assert_eq!(thousands(6803011), "6,803,011");
        assert_eq!(thousands(12), "12");
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1_234_000), "1.23 MB");
        assert_eq!(bytes(999_600), "1.00 MB");
        assert_eq!(count(17_110_000_000), "17.1 G");
        assert_eq!(count(7), "7");
        assert_eq!(seconds(0.0347), "34.70 ms");
    }
}
