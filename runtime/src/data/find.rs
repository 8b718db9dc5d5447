//! Which footage there is. Enters: a folder of films or of folders with pictures. Leaves: clips to train on and clips
//! held out, and what was left out, with the reason: a film that cannot be read, or is too small, ends nothing while
//! others are there. Frames are decoded only to be counted, where a container does not say how many it has. What was
//! held out once stays so by its name, whatever comes to it.

use crate::video::{self, Limits, MediaError, Result, sequence};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
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
    pub faults: Faults,
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

/// Sentences about films, each with the film's name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Faults {
    /// Films that are left out.
    pub left_out: Vec<String>,
    /// Films of which only a part is there.
    pub damaged: Vec<String>,
}

impl Faults {
    pub fn all(&self) -> impl Iterator<Item = &String> {
        self.left_out.iter().chain(&self.damaged)
    }

    fn add(&mut self, other: Faults) {
        self.left_out.extend(other.left_out);
        self.damaged.extend(other.damaged);
    }
}

/// Finds the footage under `folder`, in order of names. Clips too small or too short for `[T, H, W]` are left out.
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
    let mut faults = Faults::default();
    let mut usable = |folder: &Path| -> Result<Vec<Clip>> {
        let (clips, found) = clips_in(folder, limits)?;
        faults.add(found);
        Ok(fitting(clips, shape, &mut faults.left_out))
    };
    let mut split = if train.is_dir() && valid.is_dir() {
        Split {
            train: usable(&train)?,
            valid: usable(&valid)?,
            how: "folders train/ and valid/".into(),
            faults: Faults::default(),
        }
    } else {
        let clips = usable(folder)?;
        held_out_before(folder, &clips, before).unwrap_or_else(|| hold_out(clips, shape[0]))
    };
    for (clips, part) in [(&mut split.train, "train"), (&mut split.valid, "validate")] {
        // Parts of a film that fits may be too short.
        *clips = fitting(std::mem::take(clips), shape, &mut faults.left_out);
        if clips.is_empty() {
            return Err(nothing_to(part, folder, &faults));
        }
    }
    split.faults = faults;
    Ok(split)
}

/// Reasons that an error lists before it only counts them.
const LISTED: usize = 8;

fn nothing_to(part: &str, folder: &Path, faults: &Faults) -> MediaError {
    let kinds = "videos, or folders of PNG or JPEG pictures";
    let folder = shown_path(folder);
    let mut why = format!("{folder}: holds nothing to {part} on (looked for {kinds})");
    let reasons = &faults.left_out;
    for reason in reasons.iter().take(LISTED) {
        why.push_str(&format!("\n  {reason}"));
    }
    if reasons.len() > LISTED {
        why.push_str(&format!("\n  and {} more", reasons.len() - LISTED));
    }
    MediaError::user(why)
}

/// Films in a folder: video files, subfolders of pictures, or the folder's own pictures. Hidden ones are none.
pub fn clips_in(folder: &Path, limits: &Limits) -> Result<(Vec<Clip>, Faults)> {
    let paths = sequence::entries_in(folder)?;
    let mut films: Vec<PathBuf> = Vec::new();
    if paths.iter().any(|p| sequence::has_image_extension(p)) {
        films.push(folder.into());
    }
    for path in paths {
        if (path.is_file() && video::is_video_file(&path))
            || (path.is_dir() && !sequence::files_in(&path)?.is_empty())
        {
            films.push(path);
        }
    }
    let (mut clips, mut faults) = (Vec::new(), Faults::default());
    for film in films {
        match measure(&film, limits) {
            Ok((clip, damage)) => {
                clips.push(clip);
                faults.damaged.extend(damage);
            }
            Err(e) if e.is_user() => faults.left_out.push(e.to_string()),
            Err(e) => return Err(e),
        }
    }
    Ok((clips, faults))
}

/// Size and length of a film, and what of it is missing. Counts the frames where its container does not.
fn measure(path: &Path, limits: &Limits) -> Result<(Clip, Vec<String>)> {
    let mut reader = video::open_reader_within(path, limits)?;
    let info = reader.info().clone();
    let mut n_frames = info.frames.unwrap_or(0) as usize;
    if info.frames.is_none() {
        while reader.next_frame()?.is_some() {
            n_frames += 1;
        }
    }
    let mut damage = reader.damage();
    damage.retain(|d| d.is_loss);
    let clip = Clip {
        path: path.into(),
        width: info.width,
        height: info.height,
        first: 0,
        n_frames,
    };
    Ok((clip, video::damage::lines(&damage)))
}

/// The clips, or parts of them, that `before` held out, and what is left; none where no such clip is there any more.
fn held_out_before(folder: &Path, clips: &[Clip], before: &[Listed]) -> Option<Split> {
    let mut split = Split {
        train: vec![],
        valid: vec![],
        how: "held out are the clips that were when this run began".into(),
        faults: Faults::default(),
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
    let split = |train, valid, how: &str| Split {
        train,
        valid,
        how: how.into(),
        faults: Faults::default(),
    };
    if let [clip] = &clips[..] {
        let n_valid = (clip.n_frames / 10).max(n_frames).min(clip.n_frames);
        let cut = clip.n_frames - n_valid;
        let part = |first, n_frames| Clip {
            first,
            n_frames,
            ..clip.clone()
        };
        let how = "the last tenth of the only film is held out";
        return split(vec![part(0, cut)], vec![part(cut, n_valid)], how);
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
    split(plain(train), plain(valid), how)
}

/// Clips that crops fit into; the others are named.
fn fitting(
    clips: Vec<Clip>,
    [n_frames, height, width]: [usize; 3],
    left_out: &mut Vec<String>,
) -> Vec<Clip> {
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
        let what = (!what.is_empty()).then(|| what.join(", "))?;
        let needed = format!("crops of {width}x{height} pixels and {n_frames} frames");
        Some(format!(
            "{} ({what}): too small or too short for {needed}",
            shown_path(path)
        ))
    };
    let (fit, unfit): (Vec<Clip>, Vec<Clip>) = clips.into_iter().partition(|c| fault(c).is_none());
    left_out.extend(unfit.iter().filter_map(fault));
    fit
}
