//! A drawing as text for Graphviz, for those who want to lay it out anew.

use super::draw::Drawing;
use super::scene::{Scene, Shape};
use std::fmt::Write;

pub fn dot(scenes: &[Scene], drawing: &Drawing, title: &str) -> String {
    let mut out = format!(
        "digraph {} {{\n  graph [rankdir=TB, compound=true, fontname=Helvetica];\n  \
         node [fontname=Helvetica, fontsize=11, shape=box, style=rounded];\n  edge [fontname=Helvetica, fontsize=9];\n",
        quoted(title)
    );
    level(&mut out, scenes, drawing, "n", "  ");
    out.push_str("}\n");
    out
}

fn quoted(text: &str) -> String {
    format!(
        "\"{}\"",
        text.replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('\n', "\\n")
    )
}

fn level(out: &mut String, scenes: &[Scene], drawing: &Drawing, prefix: &str, indent: &str) {
    let scene = &scenes[drawing.scene];
    for (at, part) in scene.parts.iter().enumerate() {
        let id = format!("{prefix}_{at}");
        let mut lines = vec![part.title.clone()];
        lines.extend(part.lines.iter().cloned());
        if part.repeat > 1 {
            lines.push(format!("\u{d7} {}", part.repeat));
        }
        let label = quoted(&lines.join("\n"));
        match &drawing.inner[at] {
            Some((_, _, inner)) => {
                let _ = writeln!(
                    out,
                    "{indent}subgraph cluster_{id} {{\n{indent}  label={label};"
                );
                // Wires to the box as a whole end at this point, cut at the frame.
                let _ = writeln!(out, "{indent}  {id} [shape=point, style=invis];");
                level(out, scenes, inner, &id, &format!("{indent}  "));
                let _ = writeln!(out, "{indent}}}");
            }
            None => {
                let shape = match part.shape {
                    Shape::Circle => "circle",
                    Shape::Terminal if part.title.is_empty() => "point",
                    Shape::Terminal => "oval",
                    Shape::Box | Shape::Plain => "box",
                };
                let _ = writeln!(out, "{indent}{id} [label={label}, shape={shape}];");
            }
        }
    }
    for wire in &scene.wires {
        let (from, to) = (
            format!("{prefix}_{}", wire.from),
            format!("{prefix}_{}", wire.to),
        );
        let mut attributes = vec![format!("label={}", quoted(&wire.label))];
        if drawing.inner[wire.from].is_some() {
            attributes.push(format!("ltail=cluster_{from}"));
        }
        if drawing.inner[wire.to].is_some() {
            attributes.push(format!("lhead=cluster_{to}"));
        }
        if wire.feedback {
            attributes.push("style=dashed".to_string());
        }
        let _ = writeln!(out, "{indent}{from} -> {to} [{}];", attributes.join(", "));
    }
}
