//! Unfolding: a placed scene makes room where a box is opened, and the scene inside is drawn in its place.
//!
//! Room is made by cuts: everything right of (or below) a cut moves as one. Order and right angles stay, so nothing
//! comes to overlap. The page does the same when a box is clicked (`page.html`).

use super::layout::{Path, Placed, Rect};
use super::measure;
use super::scene::{Part, Scene};

const FRAME_TOP: f64 = 24.0;
const FRAME: f64 = 4.0;
/// Below a box, where a wire may bend that ran straight before.
const BEND: f64 = 30.0;

pub struct Drawing {
    pub scene: usize,
    pub width: f64,
    pub height: f64,
    pub boxes: Vec<Rect>,
    /// The drawing in each opened box, and where its corner lies.
    pub inner: Vec<Option<(f64, f64, Drawing)>>,
    pub wires: Vec<Path>,
}

/// `depth` 1: all folded; each further level opens the boxes of the one before.
pub fn unfold(scenes: &[Scene], placed: &[Placed], at: usize, depth: usize) -> Drawing {
    let (scene, layout) = (&scenes[at], &placed[at]);
    let inner: Vec<Option<Drawing>> = scene
        .parts
        .iter()
        .map(|part| {
            let inner = part.inner.filter(|_| depth > 1)?;
            // A stack shows the inside of one of its boxes.
            let inner = match part.repeat {
                1 => inner,
                _ => scenes[inner].parts.first()?.inner?,
            };
            Some(unfold(scenes, placed, inner, depth - 1))
        })
        .collect();
    let frame = |(d, part): (&Option<Drawing>, &Part)| {
        let d = d.as_ref()?;
        let width = (d.width + 2.0 * FRAME).max(measure::frame(part));
        Some((width, d.height + FRAME_TOP + FRAME))
    };
    let sizes: Vec<Option<(f64, f64)>> = inner.iter().zip(&scene.parts).map(frame).collect();
    let cuts = Cuts::new(&layout.boxes, &sizes);
    let boxes: Vec<Rect> = layout
        .boxes
        .iter()
        .zip(&sizes)
        .map(|(r, s)| cuts.rect(r, *s))
        .collect();
    let wires = layout
        .wires
        .iter()
        .map(|w| cuts.wire(w, &layout.boxes, &boxes))
        .collect();
    let inner = inner.into_iter().zip(&boxes).map(|(d, r)| {
        let d = d?;
        let x = r.x + (r.w - d.width) / 2.0;
        Some((x, r.y + FRAME_TOP, d))
    });
    Drawing {
        scene: at,
        width: cuts.x(layout.width),
        height: cuts.y(layout.height),
        inner: inner.collect(),
        boxes,
        wires,
    }
}

/// Where room is made, and how much.
struct Cuts {
    /// Moves what lies right of it.
    left: Vec<(f64, f64)>,
    /// Moves what lies at it or right of it.
    right: Vec<(f64, f64)>,
    down: Vec<(f64, f64)>,
}

impl Cuts {
    fn new(boxes: &[Rect], sizes: &[Option<(f64, f64)>]) -> Cuts {
        let mut cuts = Cuts {
            left: vec![],
            right: vec![],
            down: vec![],
        };
        let mut opened: Vec<(&Rect, (f64, f64))> = boxes
            .iter()
            .zip(sizes)
            .filter_map(|(r, s)| Some((r, (*s)?)))
            .collect();
        opened.sort_by(|a, b| b.0.x.total_cmp(&a.0.x));
        for (r, (w, _)) in &opened {
            let there = sum(&cuts.left, |at| r.x <= at && at < r.middle());
            let missing = (w - r.w) / 2.0 - there;
            if missing > 0.0 {
                cuts.left.push((r.x, missing));
            }
        }
        opened.sort_by(|a, b| a.0.right().total_cmp(&b.0.right()));
        for (r, (w, _)) in &opened {
            let there = sum(&cuts.right, |at| r.middle() < at && at <= r.right());
            let missing = (w - r.w) / 2.0 - there;
            if missing > 0.0 {
                cuts.right.push((r.right(), missing));
            }
        }
        opened.sort_by(|a, b| a.0.bottom().total_cmp(&b.0.bottom()));
        for (r, (_, h)) in &opened {
            let there = sum(&cuts.down, |at| r.y < at && at <= r.bottom());
            let missing = h - r.h - there;
            if missing > 0.0 {
                cuts.down.push((r.bottom(), missing));
            }
        }
        cuts
    }

    fn x(&self, x: f64) -> f64 {
        x + sum(&self.left, |at| x > at) + sum(&self.right, |at| x >= at)
    }

    fn y(&self, y: f64) -> f64 {
        y + sum(&self.down, |at| y >= at)
    }

    /// An opened box takes the room that was made; others keep their size.
    fn rect(&self, r: &Rect, size: Option<(f64, f64)>) -> Rect {
        let (w, h) = size.unwrap_or((r.w, r.h));
        let (w, h) = (w.max(r.w), h.max(r.h));
        Rect {
            x: self.x(r.middle()) - w / 2.0,
            y: self.y(r.y),
            w,
            h,
        }
    }

    /// The ends stay at their boxes, as far from the middles as before: a box may be smaller than the room around it.
    fn wire(&self, wire: &Path, old: &[Rect], boxes: &[Rect]) -> Path {
        let mut points: Vec<(f64, f64)> = wire
            .points
            .iter()
            .map(|(x, y)| (self.x(*x), self.y(*y)))
            .collect();
        let n = points.len();
        let port = |part: usize, x: f64| boxes[part].middle() + x - old[part].middle();
        let (from, to) = (
            port(wire.from, wire.points[0].0),
            port(wire.to, wire.points[n - 1].0),
        );
        let (a, b) = (&boxes[wire.from], &boxes[wire.to]);
        points[0].1 = if a.w == a.h {
            points[0].1.min(a.bottom())
        } else {
            a.bottom()
        };
        points[n - 1].1 = if b.w == b.h {
            points[n - 1].1.max(b.y)
        } else {
            b.y
        };
        points[0].0 = from;
        points[n - 1].0 = to;
        if n > 2 {
            points[1].0 = from;
            points[n - 2].0 = to;
        } else if (from - to).abs() > 0.5 {
            let y = points[0].1 + BEND;
            points.splice(1..1, [(from, y), (to, y)]);
        }
        Path {
            points,
            ..wire.clone()
        }
    }
}

fn sum(cuts: &[(f64, f64)], counts: impl Fn(f64) -> bool) -> f64 {
    cuts.iter().filter(|c| counts(c.0)).map(|c| c.1).sum()
}
