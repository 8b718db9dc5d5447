//! Pictures: small ones as snapshots; for every model, that nothing overlaps and no wire runs through a box.

#![allow(clippy::unwrap_used)]

use crate::sema::Files;
use vsr_compiler::diag::Problems;
use vsr_compiler::picture::layout::{Path, Placed, Rect};
use vsr_compiler::picture::{Picture, picture};
use vsr_compiler::sema::Options;

fn of(text: Option<&str>, path: &str, name: Option<&str>) -> Picture {
    let mut files = Files::default();
    if let Some(text) = text {
        files.texts.insert(path.into(), text.into());
    }
    let options = Options {
        name: name.map(Into::into),
        ..Options::default()
    };
    let mut problems = Problems::new();
    picture(&mut files, path, &options, &mut problems)
        .unwrap_or_else(|| panic!("{}", problems.render(&Default::default())))
}

/// Every model of the repository.
fn models() -> Vec<(String, Picture)> {
    let names = [
        "vsr",
        "sdxl-unet",
        "sdxl-vae",
        "vgg16",
        "clip-image",
        "spynet",
        "basicvsr-pp",
        "vdsr",
        "vsrnet",
        "sr3",
    ];
    let one = |name: &&str| {
        (
            (*name).to_string(),
            of(None, &format!("models/{name}.vsr"), None),
        )
    };
    names.iter().map(one).collect()
}

const RESIDUAL: &str = "\
block Body()(x: [B, C, H, W]) -> [B, C, H, W] {
  x + (x |> Conv2d(C) @a |> relu |> Conv2d(C) @b)
}

model Small(n: int = 4)(x: [B, 3, H, W]) -> [B, 3, 2*H, 2*W] {
  h = x |> Conv2d(8) @head |> silu
  g = h
  for i in 0..n { g = g |> Body() @body.{i} }
  y = concat([h, g], axis=1) |> Conv2d(12) @tail |> pixel_shuffle(2)
  resize(x, 2*H, 2*W) + y
}

profile small { B = 1  H = 16  W = 16 }
";

const RECURRENT: &str = "\
model Recurrent()(x: [B, 4, T, H, W]) -> [B, 4, T, H, W] {
  cell = Conv2d(4) @cell
  h = zeros([B, 4, H, W])
  out = []
  for t in 0..T {
    h = concat([x[:, :, t], h], axis=1) |> cell |> tanh
    out = out + [h]
  }
  stack(out, axis=2)
}

profile small { B = 1  T = 4  H = 8  W = 8 }
";

#[test]
fn a_residual_network_as_svg() {
    insta::assert_snapshot!("residual_svg", of(Some(RESIDUAL), "small.vsr", None).svg(1));
}

#[test]
fn a_residual_network_as_text_for_graphviz() {
    insta::assert_snapshot!("residual_dot", of(Some(RESIDUAL), "small.vsr", None).dot(2));
}

#[test]
fn a_layer_applied_in_turn_is_one_box_with_a_way_back() {
    insta::assert_snapshot!(
        "recurrent_svg",
        of(Some(RECURRENT), "small.vsr", None).svg(1)
    );
}

#[test]
fn equal_boxes_in_a_row_are_one_stack() {
    let titles = |p: &Picture| -> Vec<(String, usize)> {
        p.scenes[p.root]
            .parts
            .iter()
            .map(|p| (p.title.clone(), p.repeat))
            .collect()
    };
    let vdsr = of(None, "models/vdsr.vsr", None);
    let stacks: Vec<usize> = titles(&vdsr)
        .iter()
        .map(|t| t.1)
        .filter(|n| *n > 1)
        .collect();
    assert_eq!(stacks, [18]);
    let small = of(Some(RESIDUAL), "small.vsr", None);
    assert!(
        titles(&small).contains(&("Body".to_string(), 4)),
        "{:?}",
        titles(&small)
    );
}

#[test]
fn the_flagship_reads_from_top_to_bottom() {
    let picture = of(None, "models/vsr.vsr", None);
    let scene = &picture.scenes[picture.root];
    let blocks = [
        "ConvBlock",
        "DeformAlign",
        "TemporalFusion",
        "Linformer",
        "Decode",
        "Residual",
        "Up",
        "DiffusionRefine",
    ];
    let top = |title: &str| {
        let at = scene
            .parts
            .iter()
            .position(|p| p.title == title)
            .unwrap_or_else(|| panic!("{title}"));
        picture.placed[picture.root].boxes[at].y
    };
    let tops: Vec<f64> = blocks.iter().map(|b| top(b)).collect();
    assert!(tops.windows(2).all(|w| w[0] < w[1]), "{tops:?}");
    assert!(
        picture.subtitle.contains("6,802,510 parameters"),
        "{}",
        picture.subtitle
    );
    let shapes: Vec<&str> = scene.wires.iter().map(|w| w.label.as_str()).collect();
    for shape in ["1×3×5×64×64", "1×128×5×32×32", "1×256×16×16", "1×3×256×256"] {
        assert!(shapes.contains(&shape), "{shape}: {shapes:?}");
    }
}

fn overlap(a: &Rect, b: &Rect) -> bool {
    a.x < b.right() && b.x < a.right() && a.y < b.bottom() && b.y < a.bottom()
}

/// Every scene of a model folded, and its whole picture at three depths.
fn each_level(check: impl Fn(&str, &Placed)) {
    for (name, picture) in models() {
        picture.placed.iter().for_each(|p| check(&name, p));
        for depth in 1..=3 {
            picture
                .levels(depth)
                .iter()
                .for_each(|p| check(&format!("{name} at depth {depth}"), p));
        }
    }
}

#[test]
fn no_two_boxes_overlap_in_any_model_at_any_depth() {
    each_level(|name, level| {
        for (i, a) in level.boxes.iter().enumerate() {
            for b in &level.boxes[i + 1..] {
                assert!(!overlap(a, b), "{name}: {a:?} and {b:?}");
            }
        }
    });
}

#[test]
fn every_box_lies_inside_of_its_picture() {
    each_level(|name, level| {
        let (w, h) = (level.width + 0.5, level.height + 0.5);
        for b in &level.boxes {
            let inside = b.x >= 0.0 && b.y >= 0.0 && b.right() <= w && b.bottom() <= h;
            assert!(inside, "{name}: {b:?} of {w} x {h}");
        }
    });
}

/// A piece of a wire runs through the inside of a box.
fn crosses(wire: &Path, r: &Rect) -> bool {
    let near = 1.0;
    wire.points.windows(2).any(|w| {
        let ((x0, y0), (x1, y1)) = (w[0], w[1]);
        let (left, right) = (x0.min(x1), x0.max(x1));
        let (top, bottom) = (y0.min(y1), y0.max(y1));
        left < r.right() - near
            && right > r.x + near
            && top < r.bottom() - near
            && bottom > r.y + near
    })
}

#[test]
fn wires_turn_at_right_angles_and_run_through_no_box() {
    each_level(|name, level| {
        for wire in &level.wires {
            let square =
                |w: &[(f64, f64)]| (w[0].0 - w[1].0).abs() < 0.6 || (w[0].1 - w[1].1).abs() < 0.6;
            assert!(
                wire.points.windows(2).all(square),
                "{name}: {:?}",
                wire.points
            );
            for (at, r) in level.boxes.iter().enumerate() {
                let own = at == wire.from || at == wire.to;
                assert!(
                    own || !crosses(wire, r),
                    "{name}: {:?} through {r:?}",
                    wire.points
                );
            }
        }
    });
}

#[test]
fn wires_begin_and_end_at_their_boxes() {
    each_level(|name, level| {
        for wire in &level.wires {
            let (first, last) = (wire.points[0], wire.points[wire.points.len() - 1]);
            let (from, to) = (&level.boxes[wire.from], &level.boxes[wire.to]);
            let on = |r: &Rect, x: f64| r.x - 1.0 <= x && x <= r.right() + 1.0;
            let near = |a: f64, b: f64| (a - b).abs() < 6.0;
            assert!(
                on(from, first.0) && near(first.1, from.bottom()),
                "{name}: {first:?} of {from:?}"
            );
            assert!(
                on(to, last.0) && near(last.1, to.y),
                "{name}: {last:?} of {to:?}"
            );
        }
    });
}

#[test]
fn the_page_is_one_file_and_its_data_is_whole() {
    let picture = of(None, "models/vsr.vsr", None);
    let page = picture.html(2);
    let outside = page.replace("http://www.w3.org/2000/svg", "");
    assert!(!outside.contains("http") && !outside.contains("src=") && !outside.contains("@import"));
    let start = page.find("id=\"data\">").unwrap() + "id=\"data\">".len();
    let end = start + page[start..].find("</script>").unwrap();
    let data: serde_json::Value = serde_json::from_str(&page[start..end]).unwrap();
    assert_eq!(data["depth"], 2);
    let scenes = data["scenes"].as_array().unwrap();
    assert_eq!(scenes.len(), picture.scenes.len());
    for scene in scenes {
        let (parts, boxes) = (
            scene["parts"].as_array().unwrap(),
            scene["boxes"].as_array().unwrap(),
        );
        assert_eq!(parts.len(), boxes.len());
        for part in parts {
            assert!(part["i"].is_null() || part["i"].as_u64().unwrap() < scenes.len() as u64);
        }
    }
}

#[test]
fn text_of_the_source_cannot_break_out_of_a_picture() {
    let text = "model Odd(s: str = \"a\")(x: [B, 3, H, W]) -> [B, 3, H, W] {\n  \
                x |> Odd2(\"<script>&\") @o\n}\n\
                block Odd2(s: str)(x: [B, C, H, W]) -> [B, C, H, W] { x |> Conv2d(C) @c }\n\
                profile p { B = 1  H = 4  W = 4 }\n";
    let picture = of(Some(text), "odd.vsr", None);
    assert!(picture.svg(1).contains("&lt;script&gt;&amp;"));
    assert!(!picture.svg(1).contains("<script>"));
    assert_eq!(picture.html(1).matches("<script").count(), 2);
}

/// A layer that is applied eight times is drawn once inside, too.
#[test]
fn the_inside_of_a_shared_layer_is_drawn_once() {
    let picture = of(None, "models/basicvsr-pp.vsr", None);
    let root = &picture.scenes[picture.root];
    let shared = root
        .parts
        .iter()
        .find(|p| p.title.starts_with("SpyNet"))
        .unwrap();
    assert_eq!(shared.title, "SpyNet (×8 shared)");
    let inside = &picture.scenes[shared.inner.unwrap()];
    let alone = of(None, "models/spynet.vsr", None);
    let warps = |titles: &[vsr_compiler::picture::scene::Part]| {
        titles.iter().filter(|p| p.title == "warp").count()
    };
    assert_eq!(warps(&inside.parts), warps(&alone.scenes[alone.root].parts));
    assert!(inside.parts.iter().all(|p| !p.title.contains("shared")));
}

/// Networks that are hardly any: each is drawn, folded and unfolded, in every form.
#[test]
fn odd_networks_are_drawn_too() {
    let odd = [
        "model Case()(x: [B, 4, H, W]) -> [B, 4, H, W] = x",
        "model Case()(x: [B, 4, H, W]) -> [B, 4, H, W] = zeros([B, 4, H, W])",
        "model Case()(x: [B, 4, H, W]) -> list = [x, relu(x), x |> Conv2d(4) @a]",
        "model Case()(x: [B, 4, H, W], y: [B, 4, H, W]) -> [B, 4, H, W] = x + y + x",
        "model Case()(x: [B, 4, H, W]) -> [] = mean(x |> Conv2d(4) @a |> Conv2d(4) @a.b |> Conv2d(4) @b.a.c)",
        "model Case()(x: [B, 4, H, W]) -> [B, 4, H, W] {\n  f = Conv2d(4) @f\n  x |> f |> tanh |> f |> tanh |> f |> tanh\n}",
        "model Case()(x: [B, 4, H, W]) -> [B, 4, H, W] {\n  f = Two() @f\n  f(f(x)) + f(x)\n}\n\
         block Two()(x: [B, C, H, W]) -> [B, C, H, W] { x |> Conv2d(C) @a |> Conv2d(C) @b }",
        "model Case()(x: [B, 4, H, W]) -> [B, 4, H, W] { x |> Plain() |> Plain() |> Plain() }\n\
         block Plain()(x: [B, C, H, W]) -> [B, C, H, W] { x*sigmoid(x) }",
    ];
    for text in odd {
        let text = format!("{text}\nprofile p {{ B = 1  H = 4  W = 4 }}\n");
        let picture = of(Some(&text), "odd.vsr", None);
        for depth in [1, 2, 9] {
            let (svg, dot) = (picture.svg(depth), picture.dot(depth));
            assert!(svg.contains(">Case<") && dot.matches('{').count() == dot.matches('}').count());
            for level in picture.levels(depth) {
                let whole =
                    |r: &Rect| [r.x, r.y, r.w, r.h].iter().all(|v| v.is_finite()) && r.w > 0.0;
                assert!(level.boxes.iter().all(whole), "{text}");
                assert!(level.wires.iter().all(|w| w.points.len() >= 2), "{text}");
            }
        }
    }
}

#[test]
fn a_file_that_only_trains_says_what_is_missing() {
    let mut problems = Problems::new();
    let options = Options {
        profiles: vec!["train".into()],
        ..Options::default()
    };
    assert!(
        picture(
            &mut Files::default(),
            "models/vdsr.vsr",
            &options,
            &mut problems
        )
        .is_none()
    );
    assert!(
        problems
            .render(&Default::default())
            .contains("no profile to draw")
    );
}

#[test]
fn the_same_source_gives_the_same_picture() {
    let (a, b) = (
        of(None, "models/sr3.vsr", None),
        of(None, "models/sr3.vsr", None),
    );
    assert!(a.html(3) == b.html(3) && a.svg(2) == b.svg(2) && a.dot(2) == b.dot(2));
}
