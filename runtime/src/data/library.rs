//! Footage to train on. Enters: a folder of films or of folders with pictures. Leaves: crops of clips, chosen by a key
//! alone. Decoded frames are kept up to a budget of memory; with more footage than that, each epoch takes its own part.
//! Nothing here depends on what was decoded before. What was held out once stays so by its name, whatever comes to it.

use super::rng::Rng;
use crate::memory;
use crate::video::{self, Limits, MediaError, Result, images};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vsr_artifact::shown_path;

/// A film, or the part of one that serves one purpose.
#[derive(Clone, Debug, PartialEq)]
pub struct Clip {
    pub path: PathBuf,
    pub width: usize,
    pub height: usize,
    /// Frames `first .. first + n_frames` of the film.
    pub first: usize,
    pub n_frames: usize,
}

/// Films for training and films held out.
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    pub train: Vec<Clip>,
    pub valid: Vec<Clip>,
    /// How they were told apart, for the user.
    pub how: String,
}

/// A clip as checkpoints keep it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Listed {
    /// Within the folder of the data.
    pub name: String,
    pub held_out: bool,
    pub width: usize,
    pub height: usize,
    pub first: usize,
    pub n_frames: usize,
}

impl Split {
    /// All clips by their names within `folder`.
    pub fn listed(&self, folder: &Path) -> Vec<Listed> {
        let list = |clip: &Clip, held_out| Listed {
            name: name_in(folder, &clip.path),
            held_out,
            width: clip.width,
            height: clip.height,
            first: clip.first,
            n_frames: clip.n_frames,
        };
        let train = self.train.iter().map(|clip| list(clip, false));
        train
            .chain(self.valid.iter().map(|clip| list(clip, true)))
            .collect()
    }
}

fn name_in(folder: &Path, clip: &Path) -> String {
    let inside = clip.strip_prefix(folder).unwrap_or(clip);
    inside.to_string_lossy().into_owned()
}

/// Frames decoded together.
const SEGMENT_FRAMES: usize = 32;

/// Finds the footage under `folder`, in order of names. Clips too small or too short for `[T, H, W]` are an error.
/// `before` is what a resumed run had: its held-out clips stay held out.
pub fn find(folder: &Path, shape: [usize; 3], limits: &Limits, before: &[Listed]) -> Result<Split> {
    if !folder.is_dir() {
        let why = if folder.exists() {
            "is not a folder of clips"
        } else {
            "there is no such folder"
        };
        return Err(MediaError::file(folder, why));
    }
    let (train, valid) = (folder.join("train"), folder.join("valid"));
    let split = if train.is_dir() && valid.is_dir() {
        Split {
            train: clips_in(&train, limits)?,
            valid: clips_in(&valid, limits)?,
            how: "folders train/ and valid/".into(),
        }
    } else {
        let clips = clips_in(folder, limits)?;
        held_out_before(folder, &clips, before).unwrap_or_else(|| hold_out(clips, shape[0]))
    };
    for (clips, part) in [(&split.train, "train"), (&split.valid, "validate")] {
        if clips.is_empty() {
            let kinds = "videos, or folders of PNG or JPEG pictures";
            return Err(MediaError::file(
                folder,
                format!("holds nothing to {part} on (looked for {kinds})"),
            ));
        }
        check_sizes(clips, shape)?;
    }
    Ok(split)
}

/// Films in a folder: video files, subfolders of pictures, or the folder's own pictures.
pub fn clips_in(folder: &Path, limits: &Limits) -> Result<Vec<Clip>> {
    let entries = std::fs::read_dir(folder).map_err(|e| MediaError::cannot_read(folder, &e))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|e| e.ok().map(|e| e.path())).collect();
    paths
        .sort_by_key(|p| images::natural_key(&p.file_name().unwrap_or_default().to_string_lossy()));
    let mut clips = Vec::new();
    if paths.iter().any(|p| images::has_image_extension(p)) {
        clips.push(measure(folder, limits)?);
    }
    for path in paths {
        if (path.is_file() && video::is_video_file(&path))
            || (path.is_dir() && !images::files_in(&path)?.is_empty())
        {
            clips.push(measure(&path, limits)?);
        }
    }
    Ok(clips)
}

/// Size and length of a film. Counts the frames where its container does not.
fn measure(path: &Path, limits: &Limits) -> Result<Clip> {
    let mut reader = video::open_reader_within(path, limits)?;
    let info = reader.info().clone();
    let mut n_frames = info.frames.unwrap_or(0) as usize;
    if info.frames.is_none() {
        while reader.next_frame()?.is_some() {
            n_frames += 1;
        }
    }
    Ok(Clip {
        path: path.into(),
        width: info.width,
        height: info.height,
        first: 0,
        n_frames,
    })
}

/// The clips, or parts of them, that `before` held out, and what is left; none where no such clip is there any more.
fn held_out_before(folder: &Path, clips: &[Clip], before: &[Listed]) -> Option<Split> {
    let mut split = Split {
        train: vec![],
        valid: vec![],
        how: "held out are the clips that were when this run began".into(),
    };
    for clip in clips {
        let name = name_in(folder, &clip.path);
        let was = before.iter().find(|l| l.held_out && l.name == name);
        let Some(was) = was.filter(|l| l.first < clip.n_frames) else {
            split.train.push(clip.clone());
            continue;
        };
        split.valid.push(Clip {
            first: was.first,
            n_frames: was.n_frames.min(clip.n_frames - was.first),
            ..clip.clone()
        });
        if was.first > 0 {
            split.train.push(Clip {
                n_frames: was.first,
                ..clip.clone()
            });
        }
    }
    (!split.valid.is_empty()).then_some(split)
}

/// Every tenth film, at least one; of a single film, its last tenth.
fn hold_out(clips: Vec<Clip>, n_frames: usize) -> Split {
    if let [clip] = &clips[..] {
        let n_valid = (clip.n_frames / 10).max(n_frames).min(clip.n_frames);
        let cut = clip.n_frames - n_valid;
        let train = Clip {
            n_frames: cut,
            ..clip.clone()
        };
        let valid = Clip {
            first: cut,
            n_frames: n_valid,
            ..clip.clone()
        };
        return Split {
            train: vec![train],
            valid: vec![valid],
            how: "the last tenth of the only film is held out".into(),
        };
    }
    let last = clips.len().saturating_sub(1);
    let few = clips.len() < 10;
    let is_held_out = |i: usize| if few { i == last } else { i % 10 == 9 };
    let how = if few {
        "the last film is held out"
    } else {
        "every tenth film is held out"
    };
    let (valid, train): (Vec<_>, Vec<_>) = clips
        .into_iter()
        .enumerate()
        .partition(|&(i, _)| is_held_out(i));
    let plain = |list: Vec<(usize, Clip)>| list.into_iter().map(|(_, clip)| clip).collect();
    Split {
        train: plain(train),
        valid: plain(valid),
        how: how.into(),
    }
}

fn check_sizes(clips: &[Clip], [n_frames, height, width]: [usize; 3]) -> Result<()> {
    let fault = |clip: &Clip| {
        let Clip {
            width: w,
            height: h,
            n_frames: n,
            path,
            ..
        } = clip;
        let too_small = (*w < width || *h < height).then(|| format!("{w}x{h} pixels"));
        let too_short = (*n < n_frames).then(|| format!("{n} frames"));
        let what: Vec<String> = too_small.into_iter().chain(too_short).collect();
        (!what.is_empty()).then(|| format!("{} ({})", shown_path(path), what.join(", ")))
    };
    let faults: Vec<String> = clips.iter().filter_map(fault).collect();
    if faults.is_empty() {
        return Ok(());
    }
    let more = if faults.len() > 8 {
        format!(" and {} more", faults.len() - 8)
    } else {
        String::new()
    };
    let shown = faults[..faults.len().min(8)].join(", ");
    Err(MediaError::user(format!(
        "too small or too short for crops of {width}x{height} pixels and {n_frames} frames: {shown}{more}"
    )))
}

/// Clip and number of the segment within it.
type SegmentKey = (usize, usize);

/// Crops out of a list of clips.
pub struct Library {
    clips: Vec<Clip>,
    shape: [usize; 3],
    budget_bytes: usize,
    cache: BTreeMap<SegmentKey, Arc<Vec<Vec<u8>>>>,
    /// Segments of the epoch at hand, with the number of clips that begin in each.
    active: Vec<(SegmentKey, usize)>,
    epoch: Option<u64>,
    seed: u64,
    limits: Limits,
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
        }
    }

    /// Writes one clip [3, T, H, W] of an epoch's footage.
    pub fn clip(&mut self, epoch: u64, rng: &mut Rng, out: &mut [f32]) -> Result<()> {
        self.enter(epoch);
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
        let frames = self.segment(chosen)?;
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
    fn segment(&mut self, key: SegmentKey) -> Result<Arc<Vec<Vec<u8>>>> {
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
                return Err(MediaError::file(
                    &clip.path,
                    "holds fewer frames than it says",
                ));
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
