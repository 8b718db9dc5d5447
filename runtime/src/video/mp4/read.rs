//! Frames of an MP4 file's H.264 track. Enters: a file. Leaves: frames in order of presentation, their times from the
//! sample tables and the edit list. Samples are read one at a time. A frame that cannot be decoded is never skipped:
//! the film ends before it, and that is told, as is the end of a file that was cut short. A frame of another size than
//! the film's is an error: that is looked for before the decoder makes room for it.

use super::boxes::{Cursor, boxes, find};
use super::demux::{Movie, Sample, Track};
use crate::memory;
use crate::video::h264::{
    AvcConfig, Decoder, Fault, Picture, Sps, parameter_sets, with_start_codes,
};
use crate::video::{Damage, Frame, FrameReader, Info, Limits, MediaError, Result};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use vsr_artifact::{shown, shown_path};

/// Why a file that is an MP4 is not for this reader. Another program may read it.
#[derive(Debug)]
pub struct Unsupported(pub String);

pub struct Mp4Reader {
    path: PathBuf,
    file: File,
    info: Info,
    track: Track,
    length_bytes: usize,
    headers: Option<Vec<u8>>,
    decoder: Decoder,
    sps: Sps,
    /// Displayed part of a decoded picture: left, top, width, height.
    aperture: [usize; 4],
    next_sample: usize,
    times: VecDeque<Option<(i64, u64)>>,
    decoded: VecDeque<Picture>,
    n_decoded: usize,
    /// Frames shown or left out so far.
    n_passed: u64,
    damage: Vec<Damage>,
}

impl Mp4Reader {
    /// The outer result is about the file, the inner one about its codec.
    pub fn open(
        path: &Path,
        limits: &Limits,
    ) -> Result<std::result::Result<Mp4Reader, Unsupported>> {
        let (mut movie, file) = Movie::open(path)?;
        let Some(at) = movie
            .tracks
            .iter()
            .position(|t| &t.handler == b"vide" && t.n_listed > 0)
        else {
            return Err(MediaError::file(path, no_video(&movie)));
        };
        let track = movie.tracks.swap_remove(at);
        let avc = match parse_entry(&track.stsd) {
            Ok(avc) => avc,
            Err(why) => return Ok(Err(Unsupported(why))),
        };
        let (width, height) = avc.sps.coded;
        limits.check(path, width, height, avc.sps.bytes_a_pixel())?;
        if track.samples.is_empty() {
            let total = track.n_listed;
            let why = format!("is cut short: none of its {total} frames is there");
            return Err(MediaError::file(path, why));
        }
        let decoder = Decoder::new(avc.sps.coding()).map_err(MediaError::Machine)?;
        let aperture = clean_aperture(&track.stsd, avc.sps.width, avc.sps.height);
        let times = presentation_times(&track, movie.timescale);
        let damage = find_damage(path, &movie, &track, &times);
        let info = Info {
            width: aperture[2],
            height: aperture[3],
            timescale: track.timescale,
            frame_duration: usual_duration(&times),
            frames: Some(times.iter().flatten().count() as u64),
            full_chroma: false,
        };
        Ok(Ok(Mp4Reader {
            path: path.into(),
            file,
            info,
            length_bytes: avc.length_bytes,
            headers: Some(avc.headers),
            track,
            decoder,
            sps: avc.sps,
            aperture,
            next_sample: 0,
            times,
            decoded: VecDeque::new(),
            n_decoded: 0,
            n_passed: 0,
            damage,
        }))
    }

    /// Decodes on. Where that goes no further, the film ends with what was decoded, and that is told.
    fn decode_on(&mut self) -> Result<()> {
        let n_samples = self.track.samples.len();
        let why = if self.next_sample < n_samples {
            match self.decode_next_sample() {
                Ok(()) => return Ok(()),
                Err(Fault::Media(error)) => return Err(error),
                Err(Fault::Stream(why)) => {
                    format!("frame {} cannot be decoded ({why})", self.next_sample)
                }
            }
        } else {
            let done = self.flush();
            if !self.decoded.is_empty() {
                return Ok(());
            }
            if let Err(Fault::Media(error)) = done {
                return Err(error);
            }
            let n = self.n_decoded;
            format!("only {n} of its {n_samples} frames can be decoded")
        };
        self.end_before_its_time(&why)
    }

    fn decode_next_sample(&mut self) -> std::result::Result<(), Fault> {
        let sample = self.track.samples[self.next_sample];
        let mut bytes =
            memory::zeroed(sample.size as usize, "a coded frame").map_err(Fault::Media)?;
        let read = self
            .file
            .seek(SeekFrom::Start(sample.offset))
            .and_then(|_| self.file.read_exact(&mut bytes));
        read.map_err(|e| Fault::Media(MediaError::cannot_read(&self.path, &e)))?;
        let mut unit = self.headers.take().unwrap_or_default();
        with_start_codes(&bytes, self.length_bytes, &mut unit)
            .ok_or_else(|| Fault::Stream("its units overlap".into()))?;
        self.check_size(&unit)?;
        let picture = self.decoder.decode(&unit)?;
        self.n_decoded += usize::from(picture.is_some());
        self.decoded.extend(picture);
        self.next_sample += 1;
        Ok(())
    }

    /// The pictures that are still inside of the decoder.
    fn flush(&mut self) -> std::result::Result<(), Fault> {
        let rest = self.decoder.finish()?;
        self.n_decoded += rest.len();
        self.decoded.extend(rest);
        Ok(())
    }

    /// Only pictures that no missing one precedes in time are left to come; an error where none is there at all.
    fn end_before_its_time(&mut self, why: &str) -> Result<()> {
        if let Err(Fault::Media(error)) = self.flush() {
            return Err(error);
        }
        let n_gone = self.track.samples.len() - self.times.len();
        let n_whole = n_before_missing(&self.track.samples, self.next_sample);
        let n_left = n_whole.saturating_sub(n_gone).min(self.decoded.len());
        self.times.truncate(n_left);
        let n_shown = self.n_passed + self.times.iter().flatten().count() as u64;
        if n_shown == 0 {
            return Err(MediaError::file(&self.path, why));
        }
        let of = self.info.frames.unwrap_or_default();
        let path = shown_path(&self.path);
        let text = format!(
            "{path}: {}: the first {n_shown} of its {of} frames are there",
            shown(why)
        );
        self.damage.push(Damage::lost(n_shown, text));
        Ok(())
    }

    /// Moves to the last sync sample that no later sample precedes in time and that is at or before shown frame `n`.
    fn jump(&mut self, n: u64) {
        let samples = &self.track.samples;
        let time = |i: usize| samples[i].decode_time + i64::from(samples[i].composition);
        let mut latest = i64::MIN;
        let mut earliest_after: Vec<i64> = (0..samples.len()).map(time).collect();
        for i in (1..samples.len()).rev() {
            earliest_after[i - 1] = earliest_after[i - 1].min(earliest_after[i]);
        }
        let (mut n_shown, mut best) = (0, (0, 0));
        for i in 0..samples.len() {
            if samples[i].is_sync
                && latest < time(i)
                && earliest_after[i] == time(i)
                && n_shown <= n
            {
                best = (i, n_shown);
            }
            latest = latest.max(time(i));
            n_shown += u64::from(self.times.get(i).is_some_and(Option::is_some));
        }
        self.next_sample = best.0;
        self.times.drain(..best.0);
        self.n_passed = best.1;
    }

    /// No parameter set of a sample asks for frames of another size.
    fn check_size(&self, unit: &[u8]) -> std::result::Result<(), Fault> {
        for set in parameter_sets(unit) {
            let sps =
                Sps::parse(set).ok_or_else(|| Fault::Stream("a damaged parameter set".into()))?;
            if sps.coded != self.sps.coded {
                return Err(Fault::Media(self.resized()));
            }
        }
        Ok(())
    }

    fn resized(&self) -> MediaError {
        MediaError::file(
            &self.path,
            "the size of the picture changes within the film",
        )
    }
}

impl FrameReader for Mp4Reader {
    fn info(&self) -> &Info {
        &self.info
    }

    fn next_frame(&mut self) -> Result<Option<Frame>> {
        loop {
            let Some(&slot) = self.times.front() else {
                return Ok(None);
            };
            let Some(picture) = self.decoded.pop_front() else {
                self.decode_on()?;
                continue;
            };
            self.times.pop_front();
            let Some((time, duration)) = slot else {
                continue;
            };
            let [_, _, width, height] = self.aperture;
            if (picture.width, picture.height) != (self.sps.width, self.sps.height) {
                return Err(self.resized());
            }
            let rgb = crop(picture, self.aperture)?;
            self.n_passed += 1;
            return Ok(Some(Frame {
                width,
                height,
                rgb,
                time,
                duration,
            }));
        }
    }

    /// Begins at the last sync sample before the wanted frame, if nothing was read yet.
    fn skip_frames(&mut self, n: u64) -> Result<()> {
        let wanted = self.n_passed + n;
        if self.next_sample == 0 {
            self.jump(n);
        }
        while self.n_passed < wanted && self.next_frame()?.is_some() {}
        Ok(())
    }

    fn damage(&self) -> Vec<Damage> {
        self.damage.clone()
    }
}

/// Of the samples before `missing`, how many come before it and all that follow it in time.
fn n_before_missing(samples: &[Sample], missing: usize) -> usize {
    let time = |s: &Sample| s.decode_time + i64::from(s.composition);
    let (there, rest) = samples.split_at(missing);
    let first_missing = rest.iter().map(time).min().unwrap_or(i64::MAX);
    there.iter().filter(|s| time(s) < first_missing).count()
}

fn crop(picture: Picture, [left, top, width, height]: [usize; 4]) -> Result<Vec<u8>> {
    if (picture.width, picture.height) == (width, height) {
        return Ok(picture.rgb);
    }
    let mut rgb = Vec::new();
    memory::reserve(&mut rgb, 3 * width * height, "a frame")?;
    let rows = picture
        .rgb
        .chunks_exact(picture.width * 3)
        .skip(top)
        .take(height);
    rows.for_each(|row| rgb.extend_from_slice(&row[left * 3..(left + width) * 3]));
    Ok(rgb)
}

/// The decoder configuration, or the name of what the track holds instead.
fn parse_entry(stsd: &[u8]) -> std::result::Result<AvcConfig, String> {
    let Some((kind, entry)) = boxes(stsd.get(8..).unwrap_or_default()).next() else {
        return Err("video of an unknown kind".into());
    };
    if &kind != b"avc1" && &kind != b"avc3" {
        return Err(format!("{} video", String::from_utf8_lossy(&kind)));
    }
    let avc = entry
        .get(78..)
        .and_then(|b| find(b, b"avcC"))
        .and_then(AvcConfig::parse);
    let Some(avc) = avc else {
        return Err("H.264 video without a readable configuration (avcC)".into());
    };
    match avc.sps.obstacle() {
        Some(obstacle) => Err(obstacle),
        None => Ok(avc),
    }
}

/// The part of the picture that `clap` says to show: files of ours use it for odd sizes.
fn clean_aperture(stsd: &[u8], width: usize, height: usize) -> [usize; 4] {
    let whole = [0, 0, width, height];
    let parse = || {
        let (_, entry) = boxes(stsd.get(8..)?).next()?;
        let mut c = Cursor::new(find(entry.get(78..)?, b"clap")?);
        let mut ratio = || Some((f64::from(c.i32()?), f64::from(c.i32()?)));
        let [w, h, x, y] = [ratio()?, ratio()?, ratio()?, ratio()?].map(|(n, d)| n / d);
        let left = (width as f64 - w) / 2.0 + x;
        let top = (height as f64 - h) / 2.0 + y;
        let valid = left >= 0.0
            && top >= 0.0
            && w >= 1.0
            && h >= 1.0
            && left + w <= width as f64
            && top + h <= height as f64;
        valid.then_some([left as usize, top as usize, w as usize, h as usize])
    };
    parse().unwrap_or(whole)
}

fn no_video(movie: &Movie) -> &'static str {
    match movie.is_cut_in_fragment {
        true => "is cut short before its first frame",
        false => "holds no video",
    }
}

/// What is missing at the end: of the film, and of what else the file holds.
fn find_damage(
    path: &Path,
    movie: &Movie,
    track: &Track,
    times: &VecDeque<Option<(i64, u64)>>,
) -> Vec<Damage> {
    let n_shown = times.iter().flatten().count() as u64;
    let lost = |frame, why: String| Damage::lost(frame, format!("{}: {why}", shown_path(path)));
    let mut damage = Vec::new();
    let (n_there, n_listed) = (track.samples.len(), track.n_listed);
    if n_there < n_listed {
        let why = format!("is cut short: the first {n_there} of its {n_listed} frames are there");
        damage.push(lost(n_shown, why));
    } else if movie.is_cut_in_fragment {
        let why =
            format!("is cut short within a fragment: the {n_there} frames before it are there");
        damage.push(lost(n_shown, why));
    }
    for other in movie.tracks.iter().filter(|t| t.samples.len() < t.n_listed) {
        let what = match &other.handler {
            b"soun" => "sound is",
            b"sbtl" | b"text" | b"subt" => "subtitles are",
            _ => continue,
        };
        let (n_there, n_listed) = (other.samples.len(), other.n_listed);
        let why = format!("its {what} cut short: {n_there} of {n_listed} packets are there");
        damage.push(lost(frames_before(end_of(other), track, times), why));
    }
    damage
}

/// Seconds after the last sample that is there.
fn end_of(track: &Track) -> f64 {
    let last = track.samples.last();
    let end = last.map_or(0, |s| s.decode_time + i64::from(s.duration));
    end as f64 / f64::from(track.timescale)
}

fn frames_before(seconds: f64, track: &Track, times: &VecDeque<Option<(i64, u64)>>) -> u64 {
    let is_before = |time: i64| (time as f64) < seconds * f64::from(track.timescale);
    let before = times.iter().flatten().filter(|(time, _)| is_before(*time));
    before.count() as u64
}

/// Time and duration of every decoded picture in order of presentation; `None` where the edit list hides it.
fn presentation_times(track: &Track, movie_timescale: u32) -> VecDeque<Option<(i64, u64)>> {
    let mut shown: Vec<(i64, u64)> = track
        .samples
        .iter()
        .map(|s| {
            (
                s.decode_time + i64::from(s.composition),
                u64::from(s.duration),
            )
        })
        .collect();
    shown.sort_unstable();
    for i in 1..shown.len() {
        shown[i - 1].1 = (shown[i].0 - shown[i - 1].0) as u64;
    }
    let rescaled = |d: u64| {
        let units = i128::from(d) * i128::from(track.timescale) / i128::from(movie_timescale);
        i64::try_from(units).unwrap_or(i64::MAX)
    };
    let delay = track
        .edits
        .iter()
        .take_while(|e| e.media_time < 0)
        .fold(0i64, |sum, e| sum.saturating_add(rescaled(e.duration)));
    let media: Vec<_> = track.edits.iter().filter(|e| e.media_time >= 0).collect();
    let start = match media.first() {
        Some(edit) => edit.media_time,
        None => shown.first().map_or(0, |s| s.0.min(0)),
    };
    // Durations of edits are in coarser units: half a frame of doubt keeps a frame.
    let end = match media[..] {
        [edit] if edit.duration > 0 => edit.media_time.saturating_add(rescaled(edit.duration)),
        _ => i64::MAX,
    };
    let visible = |(time, duration): (i64, u64)| {
        let middle = time.saturating_add(duration as i64 / 2);
        let shown = time.saturating_sub(start).saturating_add(delay);
        (time >= start && middle < end).then_some((shown, duration))
    };
    shown.into_iter().map(visible).collect()
}

/// Number of frames that the edit list shows.
pub fn n_shown(track: &Track, movie_timescale: u32) -> u64 {
    presentation_times(track, movie_timescale)
        .iter()
        .flatten()
        .count() as u64
}

/// The duration that most frames have.
fn usual_duration(times: &VecDeque<Option<(i64, u64)>>) -> u64 {
    let mut counts = std::collections::BTreeMap::new();
    for (_, duration) in times.iter().flatten() {
        *counts.entry(*duration).or_insert(0u64) += 1;
    }
    counts
        .into_iter()
        .max_by_key(|&(_, n)| n)
        .map_or(1, |(duration, _)| duration.max(1))
}
