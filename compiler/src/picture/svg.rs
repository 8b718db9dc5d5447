//! A drawing as SVG: shapes, texts and paths only, no script, no external file.

use super::draw::Drawing;
use super::layout::{Path, Rect};
use super::measure::{LABEL, LINE, LINE_HEIGHT, TITLE, caption, width};
use super::scene::{Part, Scene, Shape};
use std::collections::HashMap;
use std::fmt::Write;

pub const FONTS: &str =
    "Inter, 'Helvetica Neue', Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif";
/// (fill, stroke) of boxes with weights, by kind.
pub const COLOURS: [(&str, &str); 8] = [
    ("#dfeaf7", "#4f7cac"),
    ("#fbe9d2", "#c0873f"),
    ("#e3f1de", "#64975a"),
    ("#ece4f5", "#8467ad"),
    ("#fbe1e1", "#b5666b"),
    ("#d9efee", "#489292"),
    ("#f5f0cf", "#a3923b"),
    ("#e4e7ee", "#66738f"),
];
pub const PLAIN: (&str, &str) = ("#f4f4f2", "#9b9b95");
const RADIUS: f64 = 6.0;

/// Which colour each kind of box has: in order of appearance, a frequent kind of its own.
pub fn colours(scenes: &[Scene]) -> HashMap<String, usize> {
    let mut colours = HashMap::new();
    for part in scenes
        .iter()
        .rev()
        .flat_map(|s| &s.parts)
        .filter(|p| p.shape == Shape::Box)
    {
        let next = colours.len();
        colours
            .entry(part.colour.clone())
            .or_insert(next % COLOURS.len());
    }
    colours
}

pub struct Heading<'a> {
    pub title: &'a str,
    pub subtitle: &'a str,
}

const HEADING: f64 = 50.0;

pub fn svg(scenes: &[Scene], drawing: &Drawing, heading: &Heading<'_>) -> String {
    let colours = colours(scenes);
    let wanted = width(heading.title, 16.0).max(width(heading.subtitle, 11.0)) + 32.0;
    let (w, h) = (drawing.width.max(wanted), drawing.height + HEADING);
    let mut out = String::new();
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{w:.0}\" height=\"{h:.0}\" viewBox=\"0 0 {w:.0} {h:.0}\" \
         font-family=\"{FONTS}\">\n<title>{}</title>\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>",
        escape(heading.title)
    );
    text(
        &mut out,
        (w / 2.0, 26.0),
        16.0,
        "font-weight=\"600\" fill=\"#1d1d1b\"",
        heading.title,
    );
    text(
        &mut out,
        (w / 2.0, 43.0),
        11.0,
        "fill=\"#6b6b66\"",
        heading.subtitle,
    );
    let left = ((w - drawing.width) / 2.0).max(0.0);
    group(&mut out, scenes, drawing, (left, HEADING), &colours);
    out.push_str("</svg>\n");
    out
}

fn group(
    out: &mut String,
    scenes: &[Scene],
    drawing: &Drawing,
    (x, y): (f64, f64),
    colours: &HashMap<String, usize>,
) {
    let _ = writeln!(out, "<g transform=\"translate({x:.1} {y:.1})\">");
    let scene = &scenes[drawing.scene];
    for (at, rect) in drawing.boxes.iter().enumerate() {
        let is_open = drawing.inner[at].is_some();
        part(out, &scene.parts[at], rect, is_open, colours);
    }
    drawing.wires.iter().for_each(|w| wire(out, w));
    for (x, y, inner) in drawing.inner.iter().flatten() {
        group(out, scenes, inner, (*x, *y), colours);
    }
    out.push_str("</g>\n");
}

fn part(out: &mut String, p: &Part, r: &Rect, is_open: bool, colours: &HashMap<String, usize>) {
    let (fill, stroke) = match (p.shape, colours.get(&p.colour)) {
        (Shape::Box, Some(at)) => COLOURS[*at],
        (Shape::Terminal | Shape::Circle, _) => ("#ffffff", "#55554f"),
        _ => PLAIN,
    };
    match p.shape {
        Shape::Terminal if p.title.is_empty() => {
            let (x, y, radius) = (r.middle(), r.y + r.h / 2.0, r.h / 2.0);
            let _ = writeln!(
                out,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" fill=\"{stroke}\"/>"
            );
            return;
        }
        Shape::Circle => {
            let (x, y, radius) = (r.middle(), r.y + r.h / 2.0, r.h / 2.0);
            let _ = writeln!(
                out,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" fill=\"{fill}\" stroke=\"{stroke}\" stroke-width=\"1.2\"/>"
            );
            text(out, (x, y + 5.0), 15.0, "fill=\"#1d1d1b\"", &p.title);
            return;
        }
        _ => {}
    }
    if is_open {
        let _ = writeln!(
            out,
            "{}",
            rect(r, 8.0, "#ffffff", stroke, " stroke-dasharray=\"5 3\"")
        );
        let caption = caption(p);
        let attributes = "font-weight=\"600\" fill=\"#1d1d1b\" text-anchor=\"start\"";
        text(out, (r.x + 12.0, r.y + 18.0), 12.0, attributes, &caption);
        return;
    }
    for back in (1..=if p.repeat > 1 { 2 } else { 0 }).rev() {
        let d = 4.0 * f64::from(back);
        let behind = Rect {
            x: r.x + d,
            y: r.y - d,
            ..*r
        };
        let _ = writeln!(out, "{}", rect(&behind, 6.0, fill, stroke, ""));
    }
    let radius = if p.shape == Shape::Terminal {
        r.h / 2.0
    } else {
        6.0
    };
    let _ = writeln!(out, "{}", rect(r, radius, fill, stroke, ""));
    texts(out, p, r);
}

fn texts(out: &mut String, p: &Part, r: &Rect) {
    let n = p.lines.len() as f64;
    let top = r.y + (r.h - LINE_HEIGHT * n) / 2.0 + TITLE * 0.36;
    let weight = if p.shape == Shape::Terminal {
        ""
    } else {
        "font-weight=\"600\" "
    };
    let badge = if p.repeat > 1 { 34.0 } else { 0.0 };
    let middle = r.middle() - badge / 2.0;
    text(
        out,
        (middle, top),
        TITLE,
        &format!("{weight}fill=\"#1d1d1b\""),
        &p.title,
    );
    if p.repeat > 1 {
        let at = (r.right() - 24.0, top);
        text(
            out,
            at,
            12.0,
            "font-weight=\"700\" fill=\"#8a3b12\"",
            &format!("\u{d7}\u{2009}{}", p.repeat),
        );
    }
    for (i, line) in p.lines.iter().enumerate() {
        let y = top + LINE_HEIGHT * (i as f64 + 1.0);
        text(out, (r.middle(), y), LINE, "fill=\"#55554f\"", line);
    }
}

fn rect(r: &Rect, radius: f64, fill: &str, stroke: &str, more: &str) -> String {
    format!(
        "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"{radius}\" fill=\"{fill}\" stroke=\"{stroke}\" stroke-width=\"1.2\"{more}/>",
        r.x, r.y, r.w, r.h
    )
}

fn text(out: &mut String, (x, y): (f64, f64), size: f64, attributes: &str, text: &str) {
    if text.is_empty() {
        return;
    }
    let anchor = if attributes.contains("text-anchor") {
        ""
    } else {
        " text-anchor=\"middle\""
    };
    let _ = writeln!(
        out,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" {attributes}{anchor}>{}</text>",
        escape(text)
    );
}

fn wire(out: &mut String, wire: &Path) {
    let (colour, dash) = if wire.feedback {
        ("#b06a2c", " stroke-dasharray=\"4 3\"")
    } else {
        ("#6f6f69", "")
    };
    let _ = writeln!(
        out,
        "<path d=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.3\"{dash}/>",
        rounded(&wire.points)
    );
    let tip = if wire.feedback {
        wire.points.first()
    } else {
        wire.points.last()
    };
    if let Some((x, y)) = tip {
        let d = if wire.feedback { 6.5 } else { -6.5 };
        let _ = writeln!(
            out,
            "<path d=\"M{x:.1} {y:.1}l-3.4 {d}h6.8z\" fill=\"{colour}\"/>"
        );
    }
    if let (false, Some((x, y))) = (wire.label.is_empty(), wire.points.first()) {
        let attributes = "fill=\"#55554f\" text-anchor=\"start\"";
        text(out, (x + 5.0, y + 13.0), LABEL, attributes, &wire.label);
    }
}

/// A polyline with round corners.
pub fn rounded(points: &[(f64, f64)]) -> String {
    let mut d = String::new();
    let length = |a: (f64, f64), b: (f64, f64)| (a.0 - b.0).abs().max((a.1 - b.1).abs());
    let toward = |a: (f64, f64), b: (f64, f64), r: f64| {
        let t = r / length(a, b).max(1e-9);
        (a.0 + (b.0 - a.0) * t, a.1 + (b.1 - a.1) * t)
    };
    for (i, p) in points.iter().enumerate() {
        if i == 0 {
            let _ = write!(d, "M{:.1} {:.1}", p.0, p.1);
        } else if i + 1 == points.len() {
            let _ = write!(d, "L{:.1} {:.1}", p.0, p.1);
        } else {
            let (before, after) = (points[i - 1], points[i + 1]);
            let r = RADIUS
                .min(length(before, *p) / 2.0)
                .min(length(*p, after) / 2.0);
            let (a, b) = (toward(*p, before, r), toward(*p, after, r));
            let _ = write!(
                d,
                "L{:.1} {:.1}Q{:.1} {:.1} {:.1} {:.1}",
                a.0, a.1, p.0, p.1, b.0, b.1
            );
        }
    }
    d
}

pub fn escape(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}
