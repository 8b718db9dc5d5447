//! The course of a run as a picture (SVG): losses above, on a logarithmic scale, PSNR below.

use super::epoch::Record;
use std::fmt::Write;

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 170.0;
const TOP: f64 = 24.0;
const BOTTOM: f64 = 36.0;
const COLOURS: [&str; 8] = [
    "#1f77b4", "#d62728", "#2ca02c", "#ff7f0e", "#9467bd", "#8c564b", "#17becf", "#7f7f7f",
];

struct Line {
    name: String,
    dashed: bool,
    points: Vec<(f64, f64)>,
}

pub fn svg(records: &[Record]) -> String {
    let (mut losses, mut psnr) = (Vec::new(), Vec::new());
    for (of, dashed) in [(false, false), (true, true)] {
        for name in names(records, of) {
            let line = line(records, &name, of, dashed);
            if name == "psnr" {
                psnr.push(line)
            } else {
                losses.push(line)
            }
        }
    }
    let mut out = String::new();
    let height = if psnr.is_empty() {
        HEIGHT
    } else {
        2.0 * HEIGHT
    };
    let _ = writeln!(
        out,
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>"##
    );
    panel(&mut out, 0.0, "loss (dashed: held out)", &losses, true);
    if !psnr.is_empty() {
        panel(
            &mut out,
            HEIGHT,
            "PSNR in dB (dashed: held out)",
            &psnr,
            false,
        );
    }
    out.push_str("</svg>\n");
    out
}

fn values(record: &Record, held_out: bool) -> &[(String, f64)] {
    if held_out {
        &record.valid
    } else {
        &record.train
    }
}

fn names(records: &[Record], held_out: bool) -> Vec<String> {
    let first = records
        .first()
        .map(|r| values(r, held_out))
        .unwrap_or_default();
    first.iter().map(|v| v.0.clone()).collect()
}

fn line(records: &[Record], name: &str, held_out: bool, dashed: bool) -> Line {
    let value = |r: &Record| {
        values(r, held_out)
            .iter()
            .find(|v| v.0 == name)
            .map(|v| v.1)
    };
    let points = records
        .iter()
        .filter_map(|r| Some((r.epoch as f64, value(r)?)));
    Line {
        name: name.to_string(),
        dashed,
        points: points.filter(|p| p.1.is_finite()).collect(),
    }
}

fn panel(out: &mut String, top: f64, title: &str, lines: &[Line], is_log: bool) {
    let scale = |v: f64| if is_log { v.max(1e-12).log10() } else { v };
    let usable = |v: &f64| !is_log || *v > 0.0;
    let all: Vec<f64> = lines
        .iter()
        .flat_map(|l| l.points.iter().map(|p| p.1))
        .filter(usable)
        .map(scale)
        .collect();
    let (mut low, mut high) = all
        .iter()
        .fold((f64::MAX, f64::MIN), |(a, b), v| (a.min(*v), b.max(*v)));
    if all.is_empty() {
        (low, high) = (0.0, 1.0);
    }
    let margin = (0.05 * (high - low)).max(0.02);
    (low, high) = (low - margin, high + margin);
    let last = lines
        .iter()
        .flat_map(|l| l.points.iter().map(|p| p.0))
        .fold(1.0, f64::max);
    let (w, h) = (WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM);
    let x = |epoch: f64| LEFT + w * (epoch - 1.0) / (last - 1.0).max(1.0);
    let y = |v: f64| top + TOP + h * (high - scale(v)) / (high - low);
    let _ = writeln!(
        out,
        r#"<text x="{LEFT}" y="{:.0}" font-weight="bold">{title}</text>"#,
        top + 16.0
    );
    for i in 0..5 {
        let v = low + (high - low) * f64::from(i) / 4.0;
        let at = top + TOP + h * (1.0 - f64::from(i) / 4.0);
        let label = if is_log {
            format!("{:.3e}", 10f64.powf(v))
        } else {
            format!("{v:.2}")
        };
        let _ = writeln!(
            out,
            r##"<line x1="{LEFT}" y1="{at:.1}" x2="{:.1}" y2="{at:.1}" stroke="#ddd"/><text x="{:.1}" y="{:.1}" text-anchor="end">{label}</text>"##,
            LEFT + w,
            LEFT - 6.0,
            at + 4.0
        );
    }
    for i in 0..=4 {
        let epoch = (1.0 + (last - 1.0) * f64::from(i) / 4.0).round();
        let at = top + TOP + h + 16.0;
        let _ = writeln!(
            out,
            r#"<text x="{:.1}" y="{at:.1}" text-anchor="middle">{epoch}</text>"#,
            x(epoch)
        );
    }
    for (i, l) in lines.iter().enumerate() {
        let colour =
            COLOURS[lines.iter().position(|o| o.name == l.name).unwrap_or(i) % COLOURS.len()];
        let dash = if l.dashed {
            r#" stroke-dasharray="5 3""#
        } else {
            ""
        };
        let shown = l.points.iter().filter(|p| usable(&p.1));
        let points: Vec<String> = shown
            .map(|p| format!("{:.1},{:.1}", x(p.0), y(p.1)))
            .collect();
        let path = points.join(" ");
        let _ = writeln!(
            out,
            r#"<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6"{dash}/>"#
        );
        let (lx, ly) = (LEFT + w + 12.0, top + TOP + 10.0 + 16.0 * i as f64);
        let _ = writeln!(
            out,
            r#"<line x1="{lx:.1}" y1="{ly:.1}" x2="{:.1}" y2="{ly:.1}" stroke="{colour}" stroke-width="2"{dash}/><text x="{:.1}" y="{:.1}">{}</text>"#,
            lx + 22.0,
            lx + 28.0,
            ly + 4.0,
            l.name
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_has_a_line() {
        let record = |epoch: u64| Record {
            epoch,
            steps: epoch,
            train: vec![
                ("loss".into(), 1.0 / epoch as f64),
                ("psnr".into(), 20.0 + epoch as f64),
            ],
            valid: vec![("loss".into(), 2.0 / epoch as f64)],
            steps_per_second: 1.0,
            seconds_left: 0.0,
        };
        let text = svg(&(1..=5).map(record).collect::<Vec<_>>());
        assert_eq!(text.matches("<polyline").count(), 3);
        assert_eq!(text.matches("stroke-dasharray").count(), 2);
        assert!(text.contains("PSNR in dB") && !text.contains("NaN"));
        assert!(!svg(&[]).contains("NaN"));
    }
}
