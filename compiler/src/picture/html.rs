//! A picture as one page: the same scenes and coordinates as data, and a small script that opens blocks when they are
//! clicked, as `draw.rs` does. The page asks the network for nothing.

use super::Picture;
use super::measure;
use super::scene::{Part, Shape};
use super::svg::{self, COLOURS, FONTS, PLAIN};
use serde_json::{Value, json};
use std::collections::HashMap;

const PAGE: &str = include_str!("page.html");

pub fn html(picture: &Picture, depth: usize) -> String {
    let colours = svg::colours(&picture.scenes);
    let scenes: Vec<Value> = (0..picture.scenes.len())
        .map(|at| scene(picture, at, &colours))
        .collect();
    let data = json!({
        "title": picture.title, "subtitle": picture.subtitle, "root": picture.root,
        "depth": depth, "fonts": FONTS, "scenes": scenes,
    });
    // Inside of a script element only `<` could end it.
    let data = data.to_string().replace('<', "\\u003c");
    PAGE.replace("{title}", &svg::escape(&picture.title))
        .replace("{data}", &data)
}

fn scene(picture: &Picture, at: usize, colours: &HashMap<String, usize>) -> Value {
    let (scene, placed) = (&picture.scenes[at], &picture.placed[at]);
    let parts: Vec<Value> = scene.parts.iter().map(|p| part(p, colours)).collect();
    let boxes: Vec<[f64; 4]> = placed.boxes.iter().map(|r| [r.x, r.y, r.w, r.h]).collect();
    let wires: Vec<Value> = placed
        .wires
        .iter()
        .map(|w| json!([w.from, w.to, w.points, w.label, w.feedback]))
        .collect();
    json!({ "w": placed.width, "h": placed.height, "parts": parts, "boxes": boxes, "wires": wires })
}

fn part(p: &Part, colours: &HashMap<String, usize>) -> Value {
    let (shape, (fill, stroke)) = match (p.shape, colours.get(&p.colour)) {
        (Shape::Box, Some(at)) => ("box", COLOURS[*at]),
        (Shape::Terminal, _) => ("terminal", ("#ffffff", "#55554f")),
        (Shape::Circle, _) => ("circle", ("#ffffff", "#55554f")),
        _ => ("plain", PLAIN),
    };
    json!({ "s": shape, "t": p.title, "l": p.lines, "f": fill, "c": stroke, "i": p.inner, "r": p.repeat,
        "k": measure::frame(p).round() })
}
