//! A new MP4 file around encoded frames. Enters: frames with times, and the source whose sound and subtitles are copied
//! sample by sample. Leaves: a file in the source's timescale with its exact times, index at the end. Samples go to the
//! disk every half second; only their sizes stay in memory.

use super::boxes::{boxes, find, put, put16, put32};
use super::demux::{Edit, Movie, Track};
use super::index::{self, Layout, VideoEntry};
use crate::files::Output;
use crate::memory;
use crate::video::h264::Encoder;
use crate::video::{Frame, FrameWriter, MediaError, OutputSpec, Result};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use vsr_artifact::shown_path;

pub struct Mp4Writer {
    target: PathBuf,
    out: Output,
    at: u64,
    spec: OutputSpec,
    encoder: Encoder,
    layout: Layout,
    /// Coded frames not yet written, and the time of the first of them.
    chunk: Vec<u8>,
    n_chunk: u32,
    chunk_start: i64,
    first_time: Option<i64>,
    last: Option<(i64, u64)>,
    syncs: Vec<u32>,
    source: Option<Source>,
}

/// The clip that the frames come from, if it is an MP4 file.
struct Source {
    path: PathBuf,
    file: File,
    timescale: u32,
    video: Option<Track>,
    n_frames: u64,
    copies: Vec<Copy>,
    /// Tracks that cannot be copied.
    n_left_out: usize,
}

/// A track copied unchanged.
struct Copy {
    track: Track,
    next: usize,
    layout: Layout,
    start: i64,
}

const MDAT_HEADER_AT: u64 = 28;

impl Mp4Writer {
    pub fn create(path: &Path, spec: &OutputSpec) -> Result<Mp4Writer> {
        Mp4Writer::create_as(path, path, spec)
    }

    /// Writes to `path`, and tells of `target` when that fails: the user knows no other.
    pub fn create_as(target: &Path, path: &Path, spec: &OutputSpec) -> Result<Mp4Writer> {
        let fps = f64::from(spec.timescale) / spec.frame_duration.max(1) as f64;
        let encoder =
            Encoder::new(spec.width, spec.height, fps).map_err(|e| MediaError::file(target, e))?;
        let source = spec.source.as_deref().and_then(Source::open);
        let out = Output::create(path).map_err(|e| MediaError::cannot_write(target, &e))?;
        let mut writer = Mp4Writer {
            target: target.into(),
            out,
            at: 0,
            spec: spec.clone(),
            encoder,
            layout: Layout::default(),
            chunk: Vec::new(),
            n_chunk: 0,
            chunk_start: 0,
            first_time: None,
            last: None,
            syncs: Vec::new(),
            source,
        };
        let mut head = Vec::new();
        put(&mut head, b"ftyp", |b| {
            b.extend_from_slice(b"isom\0\0\x02\0isomavc1mp41")
        });
        debug_assert_eq!(head.len() as u64, MDAT_HEADER_AT);
        // Size 1 says that the size follows in 64 bits; it is filled in at the end.
        head.extend_from_slice(b"\0\0\0\x01mdat\0\0\0\0\0\0\0\0");
        writer.put_bytes(&head)?;
        Ok(writer)
    }

    fn put_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.out
            .write_all(bytes)
            .map_err(|e| MediaError::cannot_write(&self.target, &e))?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    fn flush_chunk(&mut self) -> Result<()> {
        if self.n_chunk == 0 {
            return Ok(());
        }
        self.layout.chunks.push((self.at, self.n_chunk));
        let chunk = std::mem::take(&mut self.chunk);
        self.put_bytes(&chunk)?;
        self.chunk = chunk;
        self.chunk.clear();
        self.n_chunk = 0;
        Ok(())
    }

    /// Copies what begins before `seconds` of every other track.
    fn copy_until(&mut self, seconds: f64) -> Result<()> {
        let Some(mut source) = self.source.take() else {
            return Ok(());
        };
        let path = source.path.clone();
        for copy in &mut source.copies {
            let bytes = copy
                .read_until(seconds, &mut source.file)
                .map_err(|e| MediaError::cannot_read(&path, &e))?;
            if !bytes.is_empty() {
                if let Some(chunk) = copy.layout.chunks.last_mut() {
                    chunk.0 = self.at;
                }
                self.put_bytes(&bytes)?;
            }
        }
        self.source = Some(source);
        Ok(())
    }

    fn seconds(&self, time: i64) -> f64 {
        time as f64 / f64::from(self.spec.timescale)
    }

    /// Time after the last frame.
    fn end(&self) -> i64 {
        self.last
            .map_or(0, |(time, duration)| time.saturating_add_unsigned(duration))
    }

    fn moov(&mut self) -> Vec<u8> {
        let timescale = self.spec.timescale;
        let end = self.end();
        let limited = self
            .source
            .as_ref()
            .is_some_and(|s| (self.layout.sizes.len() as u64) < s.n_frames);
        let mut tracks = Vec::new();
        let first_time = self.first_time.unwrap_or(0);
        let mut edits = Vec::new();
        if first_time > 0 {
            edits.push(Edit {
                duration: first_time as u64,
                media_time: -1,
            });
            edits.push(Edit {
                duration: end.saturating_sub(first_time) as u64,
                media_time: 0,
            });
        }
        let video = self.source.as_ref().and_then(|s| s.video.as_ref());
        let entry = VideoEntry {
            width: self.spec.width,
            height: self.spec.height,
            coded: (self.encoder.coded_width, self.encoder.coded_height),
            sps: &self.encoder.sps,
            pps: &self.encoder.pps,
            pixel_aspect: video.and_then(pixel_aspect),
        };
        let stsd = index::video_stsd(&entry);
        let header = index::TrackHeader {
            id: 1,
            handler: *b"vide",
            timescale,
            language: video.map_or(0x55c4, |v| v.language),
            matrix: video.map_or(index::UNIT_MATRIX, |v| v.matrix),
            display_size: display_size(&self.spec, video),
            volume: 0,
            hdlr: None,
            media_header: (*b"vmhd", vec![0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]),
            edits: &edits,
            movie_duration: end.max(0) as u64,
        };
        tracks.push(index::trak(&header, &stsd, &self.layout, Some(&self.syncs)));
        for (i, copy) in self
            .source
            .iter()
            .flat_map(|s| &s.copies)
            .filter(|c| !c.layout.sizes.is_empty())
            .enumerate()
        {
            tracks.push(copy.trak(
                i as u32 + 2,
                timescale,
                self.source.as_ref().map_or(1, |s| s.timescale),
                limited.then_some(end as u64),
            ));
        }
        index::moov(timescale, end.max(0) as u64, &tracks)
    }
}

impl FrameWriter for Mp4Writer {
    fn write_frame(&mut self, frame: &Frame) -> Result<()> {
        if let Some((before, duration)) = &mut self.last {
            let Some(gap) = frame
                .time
                .checked_sub(*before)
                .and_then(|gap| u32::try_from(gap).ok())
            else {
                return Err(MediaError::file(
                    &self.target,
                    "frames do not come in order of time",
                ));
            };
            *duration = u64::from(gap);
            self.layout.durations.push(gap);
        }
        let coded = self
            .encoder
            .encode(&frame.rgb)
            .map_err(|e| MediaError::Machine(format!("{}: {e}", shown_path(&self.target))))?;
        self.first_time.get_or_insert(frame.time);
        self.last = Some((frame.time, frame.duration));
        if coded.is_sync {
            self.syncs.push(self.layout.sizes.len() as u32 + 1);
        }
        if self.n_chunk == 0 {
            self.chunk_start = frame.time;
        }
        self.layout.sizes.push(coded.bytes.len() as u32);
        self.chunk.extend_from_slice(&coded.bytes);
        self.n_chunk += 1;
        if self.seconds(self.end().saturating_sub(self.chunk_start)) >= 0.5 {
            self.flush_chunk()?;
            self.copy_until(self.seconds(self.end()))?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<Vec<String>> {
        let target = self.target.clone();
        let Some((_, duration)) = self.last else {
            return Err(MediaError::file(&target, "no frame was written"));
        };
        self.layout
            .durations
            .push(u32::try_from(duration).unwrap_or(1));
        self.flush_chunk()?;
        let limited = self
            .source
            .as_ref()
            .is_some_and(|s| (self.layout.sizes.len() as u64) < s.n_frames);
        self.copy_until(if limited {
            self.seconds(self.end())
        } else {
            f64::INFINITY
        })?;
        let mdat_bytes = self.at - MDAT_HEADER_AT;
        let moov = self.moov();
        self.put_bytes(&moov)?;
        let mut notes = Vec::new();
        if (self.encoder.coded_width, self.encoder.coded_height)
            != (self.spec.width, self.spec.height)
        {
            let (w, h) = (self.encoder.coded_width, self.encoder.coded_height);
            notes.push(format!(
                "stored as {w}x{h}, shown as {}x{} (H.264 here needs even sizes of at least 16)",
                self.spec.width, self.spec.height
            ));
        }
        let copied = self
            .source
            .iter()
            .flat_map(|s| &s.copies)
            .filter(|c| !c.layout.sizes.is_empty());
        notes.extend(copied.map(|c| {
            if &c.track.handler == b"soun" {
                "audio copied".to_string()
            } else {
                "subtitles copied".to_string()
            }
        }));
        if let Some(n) = self
            .source
            .as_ref()
            .map(|s| s.n_left_out)
            .filter(|n| *n > 0)
        {
            notes.push(format!(
                "{n} damaged tracks left out: their samples overlap"
            ));
        }
        let failed = |e: std::io::Error| MediaError::cannot_write(&target, &e);
        self.out
            .seek(SeekFrom::Start(MDAT_HEADER_AT + 8))
            .map_err(failed)?;
        self.out
            .write_all(&mdat_bytes.to_be_bytes())
            .map_err(failed)?;
        self.out.commit().map_err(failed)?;
        Ok(notes)
    }
}

impl Source {
    /// `None` where the source is no MP4 file: then there is nothing to copy.
    fn open(path: &Path) -> Option<Source> {
        if !path.is_file() {
            return None;
        }
        let (movie, file) = Movie::open(path).ok()?;
        let Movie {
            timescale,
            tracks,
            file_bytes,
            ..
        } = movie;
        let (mut video, mut copies, mut n_left_out) = (None, Vec::new(), 0);
        for track in tracks {
            // Samples that share bytes could ask for any amount of memory.
            let n_bytes: u64 = track.samples.iter().map(|s| u64::from(s.size)).sum();
            let fits = n_bytes <= file_bytes;
            match &track.handler {
                b"vide" if video.is_none() => video = Some(track),
                b"soun" | b"sbtl" | b"text" | b"subt" if fits && track.media_header.is_some() => {
                    copies.push(Copy::new(track, timescale));
                }
                b"soun" | b"sbtl" | b"text" | b"subt" if !fits => n_left_out += 1,
                _ => {}
            }
        }
        let n_frames = video
            .as_ref()
            .map_or(0, |t| super::read::n_shown(t, timescale));
        Some(Source {
            path: path.into(),
            file,
            timescale,
            video,
            n_frames,
            copies,
            n_left_out,
        })
    }
}

impl Copy {
    fn new(track: Track, movie_timescale: u32) -> Copy {
        // Where the first sample lies on the movie's clock, for interleaving.
        let delay = track
            .edits
            .iter()
            .take_while(|e| e.media_time < 0)
            .fold(0u64, |sum, e| sum.saturating_add(e.duration));
        let cut = track
            .edits
            .iter()
            .find(|e| e.media_time >= 0)
            .map_or(0, |e| e.media_time);
        let start =
            (delay as f64 * f64::from(track.timescale) / f64::from(movie_timescale)) as i64 - cut;
        Copy {
            track,
            next: 0,
            layout: Layout::default(),
            start,
        }
    }

    /// The bytes of all samples up to a time, entered in the layout as a chunk whose place is still 0.
    fn read_until(&mut self, seconds: f64, file: &mut File) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let limit = seconds * f64::from(self.track.timescale);
        let first = self.next;
        while let Some(sample) = self.track.samples.get(self.next)
            && (sample.decode_time.saturating_add(self.start) as f64) < limit
        {
            let (old, size) = (bytes.len(), sample.size as usize);
            memory::ask(|| bytes.try_reserve(size))?;
            bytes.resize(old + size, 0);
            file.seek(SeekFrom::Start(sample.offset))?;
            file.read_exact(&mut bytes[old..])?;
            self.layout.sizes.push(sample.size);
            self.layout.durations.push(sample.duration);
            self.layout.compositions.push(sample.composition);
            self.next += 1;
        }
        if self.next > first {
            self.layout.chunks.push((0, (self.next - first) as u32));
        }
        Ok(bytes)
    }

    fn trak(&self, id: u32, timescale: u32, old_timescale: u32, limit: Option<u64>) -> Vec<u8> {
        let rescale = |d: u64| {
            (u128::from(d) * u128::from(timescale)).div_ceil(u128::from(old_timescale)) as u64
        };
        let own: u64 = self.layout.durations.iter().map(|&d| u64::from(d)).sum();
        let whole = (u128::from(own) * u128::from(timescale))
            .div_ceil(u128::from(self.track.timescale)) as u64;
        let capped = |d: u64| d.min(limit.unwrap_or(u64::MAX));
        let edits: Vec<Edit> = self
            .track
            .edits
            .iter()
            .map(|e| Edit {
                duration: capped(rescale(e.duration)),
                media_time: e.media_time,
            })
            .collect();
        let movie_duration = if edits.is_empty() {
            capped(whole)
        } else {
            edits
                .iter()
                .fold(0u64, |sum, e| sum.saturating_add(e.duration))
        };
        let header = index::TrackHeader {
            id,
            handler: self.track.handler,
            timescale: self.track.timescale,
            language: self.track.language,
            matrix: self.track.matrix,
            display_size: self.track.display_size,
            volume: self.track.volume,
            hdlr: Some(&self.track.hdlr),
            media_header: self
                .track
                .media_header
                .clone()
                .unwrap_or((*b"nmhd", vec![0; 4])),
            edits: &edits,
            movie_duration,
        };
        let syncs: Vec<u32> = self.track.samples[..self.next]
            .iter()
            .zip(1..)
            .filter(|(s, _)| s.is_sync)
            .map(|(_, number)| number)
            .collect();
        let all_sync = syncs.len() == self.next;
        index::trak(
            &header,
            &self.track.stsd,
            &self.layout,
            (!all_sync).then_some(&syncs),
        )
    }
}

/// The `pasp` box of a track, as it stands.
fn pixel_aspect(track: &Track) -> Option<Vec<u8>> {
    let (_, entry) = boxes(track.stsd.get(8..)?).next()?;
    find(entry.get(78..)?, b"pasp").map(Into::into)
}

/// Width and height at which players show the film, 16.16: the source's, enlarged as the picture is.
fn display_size(spec: &OutputSpec, video: Option<&Track>) -> (u32, u32) {
    let plain = ((spec.width as u32) << 16, (spec.height as u32) << 16);
    let coded = video.and_then(|v| {
        let entry = v.stsd.get(16 + 24..16 + 28)?;
        let (w, h) = (
            u16::from_be_bytes([entry[0], entry[1]]),
            u16::from_be_bytes([entry[2], entry[3]]),
        );
        (w > 0 && h > 0).then_some((v.display_size, w, h))
    });
    let Some(((shown_w, shown_h), w, h)) = coded else {
        return plain;
    };
    // Only a shape other than the stored one is worth keeping.
    let same = u64::from(shown_w) * u64::from(h) == u64::from(shown_h) * u64::from(w);
    if same || shown_w == 0 || shown_h == 0 {
        return plain;
    }
    let enlarged = |shown: u32, out: usize, stored: u16| {
        (u64::from(shown) * out as u64 / u64::from(stored)).min(u64::from(u32::MAX)) as u32
    };
    (
        enlarged(shown_w, spec.width, w),
        enlarged(shown_h, spec.height, h),
    )
}

/// Unused numbers of a sample entry's head, shared with the index writer.
pub(super) fn put_entry_head(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0; 6]);
    put16(out, 1);
    for _ in 0..4 {
        put32(out, 0);
    }
}
