//! How good a network is, by the protocols of published tables. Enters: footage as ground truth. Each frame is made
//! small (BI: MATLAB's bicubic; BD: a Gaussian, every s-th pixel), rounded to 8 bits, enlarged by the network and by
//! bicubic, and compared. Leaves: PSNR and SSIM, per frame, then a mean for each clip, then the mean of clips. Every
//! line names the protocol.

pub mod command;
pub mod degrade;

use crate::data::find::{self, Faults};
use crate::error::OnFault;
use crate::memory;
use crate::metrics::resize::imresize_rgb;
use crate::metrics::{Plane, channels, luma, psnr, ssim};
use crate::upscale::{Networks, TileOptions, fit, stream};
use crate::video::damage::{self, Damage};
use crate::video::{Frame, Limits, MediaError, Result, open_reader_within};
use degrade::Degradation;
use serde::Serialize;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use vsr_artifact::{shown, shown_path};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Channel {
    /// Luma of BT.601 in studio range.
    Y,
    Rgb,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Protocol {
    pub degradation: Degradation,
    pub scale: usize,
    pub channel: Channel,
    /// Pixels left out at each border.
    pub crop: usize,
    /// Frames left out at each end of a clip.
    pub skip_ends: usize,
    /// Only the first frames of each clip.
    pub limit: Option<u64>,
}

/// Memory of scoring a frame, a pixel of it: three pictures as planes, and SSIM's blurred products.
const BYTES_A_PIXEL: u64 = 120;

impl std::fmt::Display for Protocol {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(
            f,
            "{} x{}, {}, crop {}",
            self.degradation, self.scale, self.channel, self.crop
        )?;
        if self.skip_ends > 0 {
            write!(f, ", {} frames skipped at each end", self.skip_ends)?;
        }
        self.limit
            .map_or(Ok(()), |n| write!(f, ", first {n} frames"))
    }
}

impl std::fmt::Display for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(if *self == Channel::Y { "Y" } else { "RGB" })
    }
}

/// PSNR in dB and SSIM, of the network and of bicubic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Score {
    pub psnr: f64,
    pub ssim: f64,
    pub bicubic_psnr: f64,
    pub bicubic_ssim: f64,
}

impl Score {
    fn mean(scores: &[Score]) -> Score {
        let n = scores.len() as f64;
        let mean = |f: fn(&Score) -> f64| scores.iter().map(f).sum::<f64>() / n;
        Score {
            psnr: mean(|s| s.psnr),
            ssim: mean(|s| s.ssim),
            bicubic_psnr: mean(|s| s.bicubic_psnr),
            bicubic_ssim: mean(|s| s.bicubic_ssim),
        }
    }
}

#[derive(Clone, Debug, Serialize)]
pub struct ClipScore {
    pub clip: String,
    pub n_frames: usize,
    #[serde(flatten)]
    pub score: Score,
}

#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub protocol: String,
    pub settings: Protocol,
    pub clips: Vec<ClipScore>,
    pub mean: Score,
    /// Clips that could not be scored, and why: the mean knows nothing of them.
    pub left_out: Vec<String>,
    /// Clips of which only a part is there, and was scored.
    pub damaged: Vec<String>,
}

impl Report {
    pub fn lines(&self) -> Vec<String> {
        let name = |c: &ClipScore| shown(&c.clip);
        let width = self
            .clips
            .iter()
            .map(|c| name(c).len())
            .max()
            .unwrap_or(0)
            .max(4);
        let mut lines: Vec<String> = self
            .clips
            .iter()
            .map(|c| self.line(&name(c), width, c.n_frames, &c.score))
            .collect();
        if self.clips.len() > 1 {
            let n_frames = self.clips.iter().map(|c| c.n_frames).sum();
            lines.push(self.line("mean", width, n_frames, &self.mean));
        }
        if !self.left_out.is_empty() {
            let n_found = self.clips.len() + self.left_out.len();
            lines.push(format!(
                "{} of {n_found} clips left out",
                self.left_out.len()
            ));
        }
        lines
    }

    /// Something of the footage is not in the scores.
    pub fn is_damaged(&self) -> bool {
        !self.left_out.is_empty() || !self.damaged.is_empty()
    }

    fn line(&self, name: &str, width: usize, n_frames: usize, s: &Score) -> String {
        let gain = s.psnr - s.bicubic_psnr;
        format!(
            "{name:width$}  {n_frames:4} frames  PSNR-{} {:.2} dB  SSIM {:.4}  (bicubic {:.2} dB, {:.4}; \
                {gain:+.2} dB)  protocol {}",
            self.settings.channel, s.psnr, s.ssim, s.bicubic_psnr, s.bicubic_ssim, self.protocol
        )
    }
}

/// The clips to score: a film, a folder's `valid/`, or all that a folder holds; and what cannot be read of them.
pub fn find_clips(path: &Path, limits: &Limits) -> Result<(Vec<PathBuf>, Vec<String>)> {
    if !path.exists() {
        return Err(MediaError::file(path, "there is no such file or folder"));
    }
    if path.is_file() {
        return Ok((vec![path.into()], vec![]));
    }
    let valid = path.join("valid");
    let folder = if valid.is_dir() { &valid } else { path };
    // Of damage the readers tell again.
    let (clips, Faults { left_out, .. }) = find::clips_in(folder, limits)?;
    if clips.is_empty() {
        let kinds = "videos, or folders of PNG or JPEG pictures";
        let reasons: String = left_out.iter().map(|why| format!("\n  {why}")).collect();
        let folder = shown_path(folder);
        let why = format!("{folder}: holds no clips ({kinds}){reasons}");
        return Err(MediaError::user(why));
    }
    Ok((clips.into_iter().map(|c| c.path).collect(), left_out))
}

/// Scores every clip. `report` hears of each frame (clip, frame) and returns whether to go on. A clip that cannot be
/// scored is left out if there are others.
pub fn run(
    networks: &mut dyn Networks,
    clips: &[PathBuf],
    protocol: Protocol,
    options: TileOptions,
    on_fault: OnFault,
    limits: &Limits,
    mut report: impl FnMut(usize, u64) -> bool,
) -> Result<Report> {
    let (mut scores, mut damaged) = (Vec::new(), Vec::new());
    let mut faults: Vec<MediaError> = Vec::new();
    for (i, path) in clips.iter().enumerate() {
        match clip_score(networks, path, protocol, options, limits, |n| report(i, n)) {
            Ok((score, damage)) => {
                on_fault.check(damage.iter().map(|d| &d.text))?;
                scores.push(score);
                damaged.extend(damage::lines(&damage));
            }
            // The others do, where there are others.
            Err(e) if e.is_user() && clips.len() > 1 => {
                on_fault.check([&e])?;
                faults.push(e);
            }
            Err(e) => return Err(e),
        }
    }
    if scores.is_empty() && !faults.is_empty() {
        return Err(faults.swap_remove(0));
    }
    let mean = Score::mean(&scores.iter().map(|c| c.score).collect::<Vec<_>>());
    Ok(Report {
        protocol: protocol.to_string(),
        settings: protocol,
        clips: scores,
        mean,
        left_out: faults.iter().map(MediaError::to_string).collect(),
        damaged,
    })
}

fn clip_score(
    networks: &mut dyn Networks,
    path: &Path,
    protocol: Protocol,
    options: TileOptions,
    limits: &Limits,
    report: impl FnMut(u64) -> bool,
) -> Result<(ClipScore, Vec<Damage>)> {
    let (frames, damage) = score_clip(networks, path, protocol, options, limits, report)?;
    let skip = protocol.skip_ends;
    let counted = frames.get(skip..frames.len().saturating_sub(skip));
    let counted = counted.unwrap_or_default();
    if counted.is_empty() {
        let n = frames.len();
        let why = format!("has {n} frames, and {skip} are skipped at each end");
        return Err(MediaError::file(path, why));
    }
    let name = path.file_name().unwrap_or_default();
    let score = ClipScore {
        clip: name.to_string_lossy().into_owned(),
        n_frames: counted.len(),
        score: Score::mean(counted),
    };
    Ok((score, damage))
}

fn score_clip(
    networks: &mut dyn Networks,
    path: &Path,
    protocol: Protocol,
    options: TileOptions,
    limits: &Limits,
    mut report: impl FnMut(u64) -> bool,
) -> Result<(Vec<Score>, Vec<Damage>)> {
    let mut reader = open_reader_within(path, limits)?;
    let s = protocol.scale;
    let (width, height) = (reader.info().width / s * s, reader.info().height / s * s);
    let counted = (
        width.saturating_sub(2 * protocol.crop),
        height.saturating_sub(2 * protocol.crop),
    );
    if counted.0 < 11 || counted.1 < 11 {
        let Protocol { crop, scale, .. } = protocol;
        return Err(MediaError::file(
            path,
            format!("is too small to score at x{scale} with crop {crop}: SSIM needs 11x11 pixels"),
        ));
    }
    let (_, mut upscaler) = fit(networks, width / s, height / s, options)?;
    if upscaler.scale() != s {
        return Err(MediaError::user(format!(
            "this network enlarges x{}, and the protocol asks for x{s}",
            upscaler.scale()
        )));
    }
    let bytes = BYTES_A_PIXEL * (width * height) as u64 + upscaler.frame_bytes();
    let what = format!("scoring {width}x{height} frames of {}", shown_path(path));
    memory::check(bytes, &what)?;
    // Ground truth and small frame of what is still inside the network.
    let waiting: RefCell<VecDeque<(Frame, Vec<u8>)>> = RefCell::default();
    let mut n_read = 0;
    let next = || {
        if protocol.limit.is_some_and(|l| n_read >= l) {
            return Ok(None);
        }
        n_read += 1;
        let Some(frame) = reader.next_frame()? else {
            return Ok(None);
        };
        let truth = cut(frame, width, height);
        let small = protocol.degradation.apply(&truth.rgb, width, height, s);
        waiting
            .borrow_mut()
            .push_back((truth.clone(), small.clone()));
        Ok(Some(Frame {
            width: width / s,
            height: height / s,
            rgb: small,
            ..truth
        }))
    };
    let mut scores = Vec::new();
    let take = |ours: Frame| {
        let (truth, small) = waiting
            .borrow_mut()
            .pop_front()
            .expect("a result belongs to a frame that went in");
        let bicubic = imresize_rgb(&small, (width / s, height / s), (width, height));
        scores.push(score(
            &truth.rgb, &ours.rgb, &bicubic, width, height, protocol,
        ));
        if report(scores.len() as u64) {
            Ok(())
        } else {
            Err(MediaError::Interrupted)
        }
    };
    stream(&mut upscaler, next, take)?;
    let mut damage = reader.damage();
    damage.retain(|d| d.is_loss && d.is_within(protocol.limit));
    Ok((scores, damage))
}

/// The upper left part whose size the scale divides.
fn cut(frame: Frame, width: usize, height: usize) -> Frame {
    if (frame.width, frame.height) == (width, height) {
        return frame;
    }
    let rows = frame.rgb.chunks_exact(frame.width * 3).take(height);
    let rgb = rows.flat_map(|row| &row[..width * 3]).copied().collect();
    Frame {
        width,
        height,
        rgb,
        ..frame
    }
}

/// One frame of each, compared with the truth.
pub fn score(
    truth: &[u8],
    ours: &[u8],
    bicubic: &[u8],
    width: usize,
    height: usize,
    protocol: Protocol,
) -> Score {
    let planes = |rgb: &[u8]| -> Vec<Plane> {
        let all = match protocol.channel {
            Channel::Y => vec![luma(rgb, width, height)],
            Channel::Rgb => channels(rgb, width, height),
        };
        all.iter().map(|p| p.cropped(protocol.crop)).collect()
    };
    let (truth, ours, bicubic) = (planes(truth), planes(ours), planes(bicubic));
    let similarity = |a: &[Plane]| ssim(a, &truth).unwrap_or(f64::NAN);
    Score {
        psnr: psnr(&ours, &truth),
        ssim: similarity(&ours),
        bicubic_psnr: psnr(&bicubic, &truth),
        bicubic_ssim: similarity(&bicubic),
    }
}

#[cfg(test)]
mod tests;
