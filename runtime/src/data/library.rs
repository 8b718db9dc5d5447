//! Footage to train on. Enters: clips that were found. Leaves: crops of them, chosen by a key alone. Decoded frames are
//! kept up to a budget of memory; with more footage than that, each epoch takes its own part. What cannot be decoded is
//! named once and never drawn. Nothing here depends on what was decoded before.

use super::find::Clip;
use super::rng::Rng;
use crate::memory;
use crate::video::{self, FrameReader, Limits, MediaError, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use vsr_artifact::shown_path;

/// Frames decoded together.
const SEGMENT_FRAMES: usize = 32;

/// Clip and number of the segment within it.
type SegmentKey = (usize, usize);

/// Its frames, decoded.
type Segment = Arc<Vec<Vec<u8>>>;

/// Crops out of a list of clips.
pub struct Library {
    clips: Vec<Clip>,
    shape: [usize; 3],
    budget_bytes: usize,
    cache: BTreeMap<SegmentKey, Segment>,
    /// Segments of the epoch at hand, with the number of clips that begin in each.
    active: Vec<(SegmentKey, usize)>,
    epoch: Option<u64>,
    seed: u64,
    limits: Limits,
    /// Segments that cannot be decoded: the same ones whenever they are drawn.
    broken: BTreeSet<SegmentKey>,
    /// Why, once for each clip, until somebody asks.
    told: Vec<String>,
}

impl Library {
    pub fn new(
        clips: Vec<Clip>,
        shape: [usize; 3],
        budget_bytes: usize,
        seed: u64,
        limits: Limits,
    ) -> Library {
        Library {
            clips,
            shape,
            budget_bytes,
            cache: BTreeMap::new(),
            active: Vec::new(),
            epoch: None,
            seed,
            limits,
            broken: BTreeSet::new(),
            told: Vec::new(),
        }
    }

    /// What was left out since the last call, and why.
    pub fn left_out(&mut self) -> Vec<String> {
        std::mem::take(&mut self.told)
    }

    /// Writes one clip [3, T, H, W] of an epoch's footage.
    pub fn clip(&mut self, epoch: u64, rng: &mut Rng, out: &mut [f32]) -> Result<()> {
        self.enter(epoch);
        let (chosen, at, frames) = loop {
            let (key, at) = self.draw(rng);
            if let Some(frames) = self.decodable(key)? {
                break (key, at, frames);
            }
        };
        let clip = &self.clips[chosen.0];
        let [n_frames, height, width] = self.shape;
        let (x, y) = (
            rng.below(clip.width - width + 1),
            rng.below(clip.height - height + 1),
        );
        let window = &frames[at..at + n_frames];
        let view = View {
            x,
            y,
            width: clip.width,
            flip_x: rng.chance(0.5),
            flip_y: rng.chance(0.5),
            reverse: rng.chance(0.5),
        };
        view.write(window, self.shape, out);
        Ok(())
    }

    /// A segment, and the frame of it that a clip begins with.
    fn draw(&self, rng: &mut Rng) -> (SegmentKey, usize) {
        let total: usize = self.active.iter().map(|a| a.1).sum();
        let mut at = rng.below(total);
        let mut chosen = (0, 0);
        for &(key, n_starts) in &self.active {
            chosen = key;
            if at < n_starts {
                break;
            }
            at -= n_starts;
        }
        (chosen, at)
    }

    /// Frames of a segment; `None` if it cannot be decoded, which is the film's fault and not the machine's.
    fn decodable(&mut self, key: SegmentKey) -> Result<Option<Segment>> {
        if self.broken.contains(&key) {
            return Ok(None);
        }
        let fault = match self.segment(key) {
            Err(e) if e.is_user() => e,
            done => return done.map(Some),
        };
        if !self.broken.iter().any(|(clip, _)| *clip == key.0) {
            self.told.push(fault.to_string());
        }
        self.broken.insert(key);
        let is_all = self.active.iter().all(|(k, _)| self.broken.contains(k));
        match is_all {
            true => Err(MediaError::user(format!(
                "none of the footage can be decoded; the last that was tried: {fault}"
            ))),
            false => Ok(None),
        }
    }

    /// Chooses the footage of an epoch: all of it, if that fits.
    fn enter(&mut self, epoch: u64) {
        if self.epoch == Some(epoch) {
            return;
        }
        self.epoch = Some(epoch);
        let mut all: Vec<(SegmentKey, usize)> = Vec::new();
        for (i, clip) in self.clips.iter().enumerate() {
            let n_starts = clip.n_frames + 1 - self.shape[0];
            all.extend(
                (0..n_starts.div_ceil(SEGMENT_FRAMES))
                    .map(|k| ((i, k), SEGMENT_FRAMES.min(n_starts - k * SEGMENT_FRAMES))),
            );
        }
        let bytes = |&(key, n_starts): &(SegmentKey, usize)| {
            let clip = &self.clips[key.0];
            clip.width * clip.height * 3 * (n_starts + self.shape[0] - 1)
        };
        if all.iter().map(bytes).sum::<usize>() > self.budget_bytes {
            let mut rng = Rng::keyed(&[self.seed, 0xf007, epoch]);
            for i in (1..all.len()).rev() {
                all.swap(i, rng.below(i + 1));
            }
            let mut left = self.budget_bytes;
            let n_fitting = all
                .iter()
                .take_while(|s| left.checked_sub(bytes(s)).inspect(|&l| left = l).is_some())
                .count();
            all.truncate(n_fitting.max(1));
            all.sort_unstable();
        }
        self.cache.retain(|key, _| all.iter().any(|a| a.0 == *key));
        self.active = all;
    }

    /// Decoded frames of a segment; clips that begin in it may reach beyond its last start.
    fn segment(&mut self, key: SegmentKey) -> Result<Segment> {
        if let Some(frames) = self.cache.get(&key) {
            return Ok(frames.clone());
        }
        let clip = &self.clips[key.0];
        let from = key.1 * SEGMENT_FRAMES;
        let n = (SEGMENT_FRAMES + self.shape[0] - 1).min(clip.n_frames - from);
        let bytes = 3 * (clip.width * clip.height * n) as u64;
        memory::check(bytes, &format!("{n} frames of {}", shown_path(&clip.path)))?;
        let mut reader = video::open_reader_within(&clip.path, &self.limits)?;
        reader.skip_frames((clip.first + from) as u64)?;
        let mut frames = Vec::with_capacity(n);
        for _ in 0..n {
            let Some(frame) = reader.next_frame()? else {
                return Err(ends_early(&clip.path, &*reader));
            };
            if (frame.width, frame.height) != (clip.width, clip.height) {
                let why = "has frames of another size than when it was first opened";
                return Err(MediaError::file(&clip.path, why));
            }
            frames.push(frame.rgb);
        }
        let frames = Arc::new(frames);
        self.cache.insert(key, frames.clone());
        Ok(frames)
    }
}

/// Why a film has fewer frames than its container says.
fn ends_early(path: &Path, reader: &dyn FrameReader) -> MediaError {
    match reader.damage().pop() {
        Some(damage) => MediaError::user(damage.text),
        None => MediaError::file(path, "holds fewer frames than it says"),
    }
}

/// A crop, mirrored and reversed by chance: nature rarely minds.
struct View {
    x: usize,
    y: usize,
    width: usize,
    flip_x: bool,
    flip_y: bool,
    reverse: bool,
}

impl View {
    fn write(&self, frames: &[Vec<u8>], [n_frames, height, width]: [usize; 3], out: &mut [f32]) {
        for t in 0..n_frames {
            let frame = &frames[if self.reverse { n_frames - 1 - t } else { t }];
            for row in 0..height {
                let y = self.y + if self.flip_y { height - 1 - row } else { row };
                let source = &frame[(y * self.width + self.x) * 3..][..width * 3];
                for c in 0..3 {
                    let target = &mut out[((c * n_frames + t) * height + row) * width..][..width];
                    let values = source[c..].iter().step_by(3).map(|&v| f32::from(v) / 255.0);
                    if self.flip_x {
                        target
                            .iter_mut()
                            .rev()
                            .zip(values)
                            .for_each(|(o, v)| *o = v);
                    } else {
                        target.iter_mut().zip(values).for_each(|(o, v)| *o = v);
                    }
                }
            }
        }
    }
}
