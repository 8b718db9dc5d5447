//! The course of a run as a picture (SVG): losses above, on a logarithmic scale, PSNR below.

use super::epoch::Record;
use std::fmt::Write;

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 270.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 150.0;
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
            match name.as_str() {
                "psnr" => psnr.push(line),
                // How hard the task is, not how well it is done.
                "level" => {}
                _ => losses.push(line),
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
    let mut names: Vec<String> = first.iter().map(|v| v.0.clone()).collect();
    // One order, whether records were made or read.
    names.sort_by_key(|name| (name != "loss", name.clone()));
    names
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

/// One diagram: its frame, ticks, curves, and the names of the curves at its right.
fn panel(out: &mut String, top: f64, title: &str, lines: &[Line], is_log: bool) {
    let axes = Axes::around(top, lines, is_log);
    let _ = writeln!(
        out,
        r#"<text x="{LEFT}" y="{:.0}" font-weight="bold">{title}</text>"#,
        top + 15.0
    );
    axes.draw(out);
    let mut names: Vec<&str> = vec![];
    for line in lines {
        let known = names.iter().position(|n| *n == line.name);
        let number = known.unwrap_or(names.len());
        let colour = COLOURS[number % COLOURS.len()];
        curve(out, &axes, line, colour);
        if known.is_none() {
            names.push(&line.name);
            let (x, y) = (
                WIDTH - RIGHT + 14.0,
                top + TOP + 10.0 + 17.0 * number as f64,
            );
            let _ = writeln!(
                out,
                r#"<line x1="{x:.1}" y1="{y:.1}" x2="{:.1}" y2="{y:.1}" stroke="{colour}" stroke-width="2.5"/><text x="{:.1}" y="{:.1}">{}</text>"#,
                x + 20.0,
                x + 27.0,
                y + 4.0,
                line.name
            );
        }
    }
}

/// A curve; with few epochs, a dot for each, so that a single one is seen, too.
fn curve(out: &mut String, axes: &Axes, line: &Line, colour: &str) {
    let shown = line.points.iter().filter(|p| axes.has(p.1));
    let points: Vec<(f64, f64)> = shown.map(|p| (axes.x(p.0), axes.y(p.1))).collect();
    let path: Vec<String> = points
        .iter()
        .map(|(x, y)| format!("{x:.1},{y:.1}"))
        .collect();
    let dash = if line.dashed {
        r#" stroke-dasharray="6 4""#
    } else {
        ""
    };
    let _ = writeln!(
        out,
        r#"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="1.8"{dash}/>"#,
        path.join(" ")
    );
    let fill = if line.dashed { "white" } else { colour };
    for (x, y) in points.iter().filter(|_| points.len() <= 30) {
        let _ = writeln!(
            out,
            r#"<circle cx="{x:.1}" cy="{y:.1}" r="2.6" fill="{fill}" stroke="{colour}" stroke-width="1.4"/>"#
        );
    }
}

struct Axes {
    top: f64,
    is_log: bool,
    /// Bounds of what is shown, as logarithms where they are.
    low: f64,
    high: f64,
    epochs: f64,
}

impl Axes {
    fn around(top: f64, lines: &[Line], is_log: bool) -> Axes {
        let points = || lines.iter().flat_map(|l| &l.points);
        let mut axes = Axes {
            top,
            is_log,
            low: f64::MAX,
            high: f64::MIN,
            epochs: points().map(|p| p.0).fold(1.0, f64::max),
        };
        for value in points()
            .map(|p| p.1)
            .filter(|v| axes.has(*v))
            .map(|v| axes.scaled(v))
            .collect::<Vec<_>>()
        {
            (axes.low, axes.high) = (axes.low.min(value), axes.high.max(value));
        }
        if axes.low > axes.high {
            (axes.low, axes.high) = (0.0, 1.0);
        }
        let margin = (0.06 * (axes.high - axes.low)).max(0.03);
        (axes.low, axes.high) = (axes.low - margin, axes.high + margin);
        axes
    }

    fn has(&self, value: f64) -> bool {
        !self.is_log || value > 0.0
    }

    fn scaled(&self, value: f64) -> f64 {
        if self.is_log { value.log10() } else { value }
    }

    fn x(&self, epoch: f64) -> f64 {
        let width = WIDTH - LEFT - RIGHT;
        // A single epoch stands in the middle.
        let share = if self.epochs > 1.0 {
            (epoch - 1.0) / (self.epochs - 1.0)
        } else {
            0.5
        };
        LEFT + 10.0 + (width - 20.0) * share
    }

    fn y(&self, value: f64) -> f64 {
        let share = (self.high - self.scaled(value)) / (self.high - self.low);
        self.top + TOP + (HEIGHT - TOP - BOTTOM) * share
    }

    fn draw(&self, out: &mut String) {
        let (left, right) = (LEFT, WIDTH - RIGHT);
        let (top, bottom) = (self.top + TOP, self.top + HEIGHT - BOTTOM);
        for (value, label) in self.ticks() {
            let y = self.y(value);
            let _ = writeln!(
                out,
                r##"<line x1="{left}" y1="{y:.1}" x2="{right}" y2="{y:.1}" stroke="#e4e4e4"/><text x="{:.1}" y="{:.1}" text-anchor="end">{label}</text>"##,
                left - 7.0,
                y + 4.0
            );
        }
        let _ = writeln!(
            out,
            r##"<rect x="{left}" y="{top:.1}" width="{:.1}" height="{:.1}" fill="none" stroke="#999"/>"##,
            right - left,
            bottom - top
        );
        let step = nice_step(self.epochs / 8.0).max(1.0);
        let first = if self.epochs < 8.0 { 1.0 } else { step };
        let mut epoch = first;
        while epoch <= self.epochs {
            let _ = writeln!(
                out,
                r#"<text x="{:.1}" y="{:.1}" text-anchor="middle">{epoch}</text>"#,
                self.x(epoch),
                bottom + 16.0
            );
            epoch += step;
        }
        let _ = writeln!(
            out,
            r##"<text x="{:.1}" y="{:.1}" fill="#555">epoch</text>"##,
            right + 14.0,
            bottom + 16.0
        );
    }

    /// Round values within the bounds, with their labels.
    fn ticks(&self) -> Vec<(f64, String)> {
        let (low, high) = if self.is_log {
            (10f64.powf(self.low), 10f64.powf(self.high))
        } else {
            (self.low, self.high)
        };
        let decades = (self.low.floor() as i32)..=(self.high.ceil() as i32);
        let round = decades.flat_map(|d| [1.0, 2.0, 5.0].map(|m| m * 10f64.powi(d)));
        let round: Vec<f64> = round.filter(|v| (low..=high).contains(v)).collect();
        if self.is_log && round.len() > 8 {
            let is_decade = |v: &f64| (v.log10() - v.log10().round()).abs() < 1e-9;
            return round
                .into_iter()
                .filter(is_decade)
                .map(|v| (v, label(v, v)))
                .collect();
        }
        if self.is_log && round.len() >= 3 {
            return round.into_iter().map(|v| (v, label(v, v))).collect();
        }
        let step = nice_step((high - low) / 5.0);
        let numbers = ((low / step).ceil() as i64)..=((high / step).floor() as i64);
        numbers
            .map(|n| (n as f64 * step, label(n as f64 * step, step)))
            .collect()
    }
}

/// 1, 2 or 5 times a power of ten: the least that is no less.
fn nice_step(at_least: f64) -> f64 {
    let power = 10f64.powf(at_least.max(1e-12).log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|m| m * power);
    steps
        .into_iter()
        .find(|s| *s >= at_least * 0.999_999)
        .unwrap_or(10.0 * power)
}

/// As many digits as tell neighbours apart.
fn label(value: f64, step: f64) -> String {
    let digits = (-step.abs().log10().floor()).max(0.0) as usize;
    match digits {
        0..=4 => format!("{value:.digits$}"),
        _ => format!("{value:.0e}"),
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
                ("level".into(), 0.1),
            ],
            valid: vec![("loss".into(), 2.0 / epoch as f64)],
        };
        let text = svg(&(1..=5).map(record).collect::<Vec<_>>());
        assert_eq!(text.matches("<polyline").count(), 3);
        assert_eq!(text.matches("stroke-dasharray").count(), 1);
        assert_eq!(text.matches("<circle").count(), 15, "a dot for each epoch");
        assert!(
            [">0.2<", ">0.5<", ">1<", ">2<", ">21<", ">25<", ">epoch<"]
                .iter()
                .all(|t| text.contains(t)),
            "{text}"
        );
        assert!(text.contains("PSNR in dB") && !text.contains("NaN"));
        assert!(!svg(&[]).contains("NaN"));
        let one = svg(&[record(1)]);
        assert!(one.matches("<circle").count() == 3 && !one.contains("NaN"));
    }

    #[test]
    fn ticks_are_round_and_few() {
        let ticks = |low: f64, high: f64, is_log: bool| {
            let points = vec![(1.0, low), (2.0, high)];
            let line = Line {
                name: "a".into(),
                dashed: false,
                points,
            };
            let ticks = Axes::around(0.0, &[line], is_log).ticks();
            ticks.into_iter().map(|t| t.1).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(ticks(0.02, 0.3, true), "0.02 0.05 0.1 0.2");
        assert_eq!(ticks(0.021, 0.024, true), "0.020 0.022 0.024");
        assert_eq!(ticks(1e-6, 1.0, true), "1e-6 1e-5 0.0001 0.001 0.01 0.1 1");
        assert_eq!(ticks(24.3, 31.9, false), "24 26 28 30 32");
        assert_eq!(ticks(30.0, 30.0, false), "29.98 30.00 30.02");
    }
}
