//! Sizes of texts and boxes in pixels, for a sans-serif face. Real faces differ a little: boxes leave room for that.

use super::scene::{Part, Shape};

pub const TITLE: f64 = 13.0;
pub const LINE: f64 = 10.5;
pub const LABEL: f64 = 10.5;
pub const LINE_HEIGHT: f64 = 14.0;
/// Half of it is a circle's radius.
pub const CIRCLE: f64 = 24.0;
const DOT: f64 = 9.0;

/// Width of a text at a size, as in Helvetica, and a little more.
pub fn width(text: &str, size: f64) -> f64 {
    let em: f64 = text.chars().map(char_width).sum();
    1.06 * em * size
}

fn char_width(c: char) -> f64 {
    match c {
        'i' | 'j' | 'l' | '.' | ',' | ':' | ';' | '|' | '\'' | '!' | '·' => 0.26,
        'f' | 't' | 'I' | '(' | ')' | '[' | ']' | ' ' | '-' | '/' => 0.32,
        'r' => 0.36,
        'm' | 'w' | 'M' | 'W' | '@' | '%' | '…' => 0.88,
        'A'..='Z' => 0.69,
        '0'..='9' | '_' | '=' | '+' | '×' => 0.57,
        _ => 0.55,
    }
}

/// A box's title with its label, for the frame of an opened one.
pub fn caption(p: &Part) -> String {
    let title = match p.repeat {
        1 => p.title.clone(),
        n => format!("{} \u{d7} {n}", p.title),
    };
    match p.lines.iter().find(|l| l.starts_with('@')) {
        Some(label) => format!("{title}  {label}"),
        None => title,
    }
}

/// Least width of the frame.
pub fn frame(p: &Part) -> f64 {
    width(&caption(p), 12.0) + 40.0
}

/// Width and height of a part, folded.
pub fn size(part: &Part) -> (f64, f64) {
    match part.shape {
        Shape::Circle => (CIRCLE, CIRCLE),
        Shape::Terminal if part.title.is_empty() => (DOT, DOT),
        Shape::Terminal => (width(&part.title, TITLE) + 26.0, 26.0),
        Shape::Box | Shape::Plain => {
            let badge = if part.repeat > 1 { 34.0 } else { 0.0 };
            let lines = part.lines.iter().map(|l| width(l, LINE));
            let widest = lines.fold(width(&part.title, TITLE) + badge, f64::max);
            let least = if part.shape == Shape::Box {
                104.0
            } else {
                56.0
            };
            let height = 27.0 + LINE_HEIGHT * part.lines.len() as f64;
            ((widest + 24.0).max(least).round(), height)
        }
    }
}
