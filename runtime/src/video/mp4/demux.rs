//! The index of an MP4 file. Enters: a file. Leaves: its tracks with the place, time and size of every sample, edit
//! lists as they stand; whole and fragmented files. Of a file that was cut short, the samples before its end, and how
//! many were listed. Sample data is never read here, and no number in the file is trusted: there are no more samples
//! than bytes, and no time that sums could carry beyond 64 bits.

use super::boxes::{Cursor, boxes, find, path as inner};
use crate::memory;
use crate::video::{MediaError, Result};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    pub offset: u64,
    pub size: u32,
    /// Decoding time, and what to add for the presentation time, in the track's timescale.
    pub decode_time: i64,
    pub composition: i32,
    pub duration: u32,
    pub is_sync: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edit {
    /// In the movie's timescale; 0 is "to the end" in fragmented files.
    pub duration: u64,
    /// In the track's timescale; -1 shows nothing.
    pub media_time: i64,
}

#[derive(Clone, Debug)]
pub struct Track {
    pub id: u32,
    /// `vide`, `soun`, `sbtl`, …
    pub handler: [u8; 4],
    pub timescale: u32,
    pub language: u16,
    /// Payloads, to copy: track header's matrix and size, `hdlr`, the media header with its box kind, `stsd`.
    pub matrix: [u8; 36],
    pub display_size: (u32, u32),
    pub hdlr: Vec<u8>,
    pub media_header: Option<([u8; 4], Vec<u8>)>,
    pub stsd: Vec<u8>,
    pub volume: u16,
    pub edits: Vec<Edit>,
    /// Those that lie within the file, from the first on.
    pub samples: Vec<Sample>,
    /// How many the index lists.
    pub n_listed: usize,
}

#[derive(Debug)]
pub struct Movie {
    pub timescale: u32,
    pub tracks: Vec<Track>,
    pub file_bytes: u64,
    /// The file ends within a fragment, so that what it would list is not known.
    pub is_cut_in_fragment: bool,
}

/// An index larger than this is damage.
const MAX_INDEX_BYTES: u64 = 1 << 30;
/// So is a time beyond this: sums and differences of two stay within 64 bits.
const MAX_TIME: i64 = 1 << 61;
/// What a sample takes in memory, its times and what is copied of it included.
const SAMPLE_BYTES: u64 = 128;

/// The time after a sample.
fn after(time: i64, duration: u32) -> Option<i64> {
    Some(time + i64::from(duration)).filter(|t| *t <= MAX_TIME)
}

impl Movie {
    pub fn open(path: &Path) -> Result<(Movie, File)> {
        let opened = vsr_artifact::open_file(path);
        let mut file = opened.map_err(|e| MediaError::cannot_read(path, &e))?;
        let mut parts = top_level(path, &mut file)?;
        let Some(moov) = parts.moov.take() else {
            let why = if parts.cut_short {
                "is cut short: its index (moov) is missing"
            } else {
                "has no index (moov)"
            };
            return Err(MediaError::file(path, why));
        };
        check_count(path, &moov, &parts)?;
        let damaged = || MediaError::file(path, "has a damaged index (moov)");
        let mut movie = parse_movie(&moov, parts.file_bytes).ok_or_else(damaged)?;
        let defaults = fragment_defaults(&moov);
        for (at, moof) in &parts.moofs {
            add_fragment(&mut movie, &defaults, *at, moof)
                .ok_or_else(|| MediaError::file(path, "has a damaged fragment (moof)"))?;
        }
        let is_fragmented = !parts.moofs.is_empty() || find(&moov, b"mvex").is_some();
        movie.is_cut_in_fragment = is_fragmented && parts.cut_short;
        movie.leave_out_what_is_cut();
        Ok((movie, file))
    }

    /// Later samples of a track need those before them: the first one beyond the end is where it ends.
    fn leave_out_what_is_cut(&mut self) {
        let end = self.file_bytes;
        for track in &mut self.tracks {
            let beyond = |s: &Sample| s.offset.saturating_add(u64::from(s.size)) > end;
            track.n_listed = track.samples.len();
            let n_there = track.samples.iter().position(beyond);
            track.samples.truncate(n_there.unwrap_or(track.n_listed));
        }
    }
}

/// How many samples the tables state, before room is made for any.
fn n_stated(moov: &[u8], moofs: &[(u64, Vec<u8>)]) -> u64 {
    let parts = |bytes, wanted: &'static [u8; 4]| {
        boxes(bytes)
            .filter(move |(kind, _)| kind == wanted)
            .map(|(_, payload)| payload)
    };
    let table = |trak| {
        let (_, _, mut c) = Cursor::full(inner(trak, &[b"mdia", b"minf", b"stbl", b"stsz"])?)?;
        c.u32()?;
        c.u32()
    };
    let run = |trun| Cursor::full(trun).and_then(|(_, _, mut c)| c.u32());
    let tables = parts(moov, b"trak").filter_map(table);
    let fragments = moofs.iter().flat_map(|(_, moof)| parts(moof, b"traf"));
    let runs = fragments
        .flat_map(|traf| parts(traf, b"trun"))
        .filter_map(run);
    tables.chain(runs).map(u64::from).sum()
}

/// A sample has a byte of its own, in the data or in a table.
fn check_count(path: &Path, moov: &[u8], parts: &Parts) -> Result<()> {
    let (n, n_bytes) = (n_stated(moov, &parts.moofs), parts.file_bytes);
    if n > n_bytes {
        let what = match parts.cut_short {
            true => "is cut short, and there is too little of it to read: its index",
            false => "has a damaged index: it",
        };
        let why = format!("{what} states {n} samples in {n_bytes} bytes");
        return Err(MediaError::file(path, why));
    }
    memory::check(n * SAMPLE_BYTES, &format!("an index of {n} samples"))
}

struct Parts {
    moov: Option<Vec<u8>>,
    moofs: Vec<(u64, Vec<u8>)>,
    cut_short: bool,
    file_bytes: u64,
}

fn top_level(path: &Path, file: &mut File) -> Result<Parts> {
    let failed = |e: std::io::Error| MediaError::cannot_read(path, &e);
    let file_bytes = file.metadata().map_err(failed)?.len();
    let mut parts = Parts {
        moov: None,
        moofs: Vec::new(),
        cut_short: false,
        file_bytes,
    };
    let mut at = 0;
    while at + 8 <= file_bytes {
        file.seek(SeekFrom::Start(at)).map_err(failed)?;
        let mut header = [0; 16];
        let n_header = (file_bytes - at).min(16) as usize;
        file.read_exact(&mut header[..n_header]).map_err(failed)?;
        let mut cursor = Cursor::new(&header[..n_header]);
        let (Some(short), Some(kind)) = (cursor.u32(), cursor.array::<4>()) else {
            break;
        };
        let (skip, size) = match short {
            0 => (8, file_bytes - at),
            1 => (16, cursor.u64().unwrap_or(0)),
            n => (8, u64::from(n)),
        };
        if size < skip {
            break;
        }
        let fits = size <= file_bytes - at;
        parts.cut_short |= !fits;
        if fits && size <= MAX_INDEX_BYTES && (&kind == b"moov" || &kind == b"moof") {
            let mut payload = memory::zeroed((size - skip) as usize, "the index of a film")?;
            file.seek(SeekFrom::Start(at + skip)).map_err(failed)?;
            file.read_exact(&mut payload).map_err(failed)?;
            if &kind == b"moov" {
                parts.moov = Some(payload)
            } else {
                parts.moofs.push((at, payload))
            }
        }
        at = at.saturating_add(size);
    }
    parts.cut_short |= at < file_bytes;
    Ok(parts)
}

fn parse_movie(moov: &[u8], file_bytes: u64) -> Option<Movie> {
    let (version, _, mut cursor) = Cursor::full(find(moov, b"mvhd")?)?;
    cursor.skip(if version == 1 { 16 } else { 8 })?;
    let timescale = cursor.u32()?.max(1);
    let tracks = boxes(moov)
        .filter(|(kind, _)| kind == b"trak")
        .map(|(_, trak)| parse_track(trak, file_bytes))
        .collect::<Option<_>>()?;
    Some(Movie {
        timescale,
        tracks,
        file_bytes,
        is_cut_in_fragment: false,
    })
}

fn parse_track(trak: &[u8], file_bytes: u64) -> Option<Track> {
    let (version, _, mut tkhd) = Cursor::full(find(trak, b"tkhd")?)?;
    tkhd.skip(if version == 1 { 16 } else { 8 })?;
    let id = tkhd.u32()?;
    tkhd.skip(if version == 1 { 12 } else { 8 } + 12)?;
    let volume = tkhd.u16()?;
    tkhd.skip(2)?;
    let matrix = tkhd.array()?;
    let display_size = (tkhd.u32()?, tkhd.u32()?);

    let mdia = find(trak, b"mdia")?;
    let (version, _, mut mdhd) = Cursor::full(find(mdia, b"mdhd")?)?;
    mdhd.skip(if version == 1 { 16 } else { 8 })?;
    let timescale = mdhd.u32()?.max(1);
    mdhd.word(version)?;
    let language = mdhd.u16()?;

    let hdlr = find(mdia, b"hdlr")?.to_vec();
    let handler = hdlr.get(8..12)?.try_into().ok()?;
    let minf = find(mdia, b"minf")?;
    let media_header = boxes(minf)
        .find(|(kind, _)| kind.ends_with(b"mhd"))
        .map(|(kind, payload)| (kind, payload.to_vec()));
    let stbl = find(minf, b"stbl")?;
    Some(Track {
        id,
        handler,
        timescale,
        language,
        matrix,
        display_size,
        hdlr,
        media_header,
        stsd: find(stbl, b"stsd")?.to_vec(),
        volume,
        edits: inner(trak, &[b"edts", b"elst"]).map_or(Some(Vec::new()), parse_edits)?,
        samples: parse_samples(stbl, file_bytes)?,
        n_listed: 0,
    })
}

fn parse_edits(elst: &[u8]) -> Option<Vec<Edit>> {
    let (version, _, mut cursor) = Cursor::full(elst)?;
    let count = cursor.u32()?;
    let mut edits = Vec::new();
    for _ in 0..count {
        let duration = cursor.word(version)?;
        let media_time = if version == 1 {
            cursor.u64()? as i64
        } else {
            i64::from(cursor.i32()?)
        };
        cursor.skip(4)?;
        edits.push(Edit {
            duration,
            media_time,
        });
    }
    Some(edits)
}

/// Runs of (count, value), handed out one sample at a time.
struct Runs<'a> {
    cursor: Cursor<'a>,
    left: u32,
    value: u32,
}

impl<'a> Runs<'a> {
    fn new(payload: &'a [u8]) -> Option<Runs<'a>> {
        let (_, _, mut cursor) = Cursor::full(payload)?;
        cursor.u32()?;
        Some(Runs {
            cursor,
            left: 0,
            value: 0,
        })
    }

    fn next(&mut self) -> Option<u32> {
        while self.left == 0 {
            self.left = self.cursor.u32()?;
            self.value = self.cursor.u32()?;
        }
        self.left -= 1;
        Some(self.value)
    }
}

/// Expands the sample tables. `None` if they contradict each other.
fn parse_samples(stbl: &[u8], file_bytes: u64) -> Option<Vec<Sample>> {
    let (_, _, mut sizes) = Cursor::full(find(stbl, b"stsz")?)?;
    let fixed_size = sizes.u32()?;
    let count = sizes.u32()?;
    if u64::from(count) * u64::from(fixed_size) > file_bytes
        || (fixed_size == 0 && u64::from(count) * 4 > stbl.len() as u64)
    {
        return None;
    }
    if count == 0 {
        return Some(Vec::new());
    }
    let mut durations = Runs::new(find(stbl, b"stts")?)?;
    let mut compositions = find(stbl, b"ctts").map_or(Some(None), |p| Runs::new(p).map(Some))?;
    let mut syncs =
        find(stbl, b"stss").map_or(Some(None), |p| Cursor::full(p).map(|(_, _, c)| Some(c)))?;
    let mut next_sync = syncs.as_mut().and_then(|c| {
        c.u32()?;
        c.u32()
    });
    let mut places = Places::new(stbl)?;
    let mut samples = Vec::with_capacity(count as usize);
    let mut decode_time = 0;
    for number in 1..=count {
        let size = if fixed_size > 0 {
            fixed_size
        } else {
            sizes.u32()?
        };
        let duration = durations.next()?;
        let composition = compositions.as_mut().map_or(Some(0), Runs::next)? as i32;
        let is_sync = syncs.is_none() || next_sync == Some(number);
        if is_sync {
            next_sync = syncs.as_mut().and_then(Cursor::u32);
        }
        samples.push(Sample {
            offset: places.next(size)?,
            size,
            decode_time,
            composition,
            duration,
            is_sync,
        });
        decode_time = after(decode_time, duration)?;
    }
    Some(samples)
}

/// Offsets of samples, out of the chunk tables.
struct Places<'a> {
    offsets: Cursor<'a>,
    wide: u8,
    runs: Cursor<'a>,
    chunk: u32,
    per_chunk: u32,
    next_run: Option<(u32, u32)>,
    left: u32,
    at: u64,
}

impl<'a> Places<'a> {
    fn new(stbl: &'a [u8]) -> Option<Places<'a>> {
        let (wide, table) = match find(stbl, b"co64") {
            Some(table) => (1, table),
            None => (0, find(stbl, b"stco")?),
        };
        let (_, _, mut offsets) = Cursor::full(table)?;
        offsets.u32()?;
        let (_, _, mut runs) = Cursor::full(find(stbl, b"stsc")?)?;
        runs.u32()?;
        let next_run = read_run(&mut runs);
        Some(Places {
            offsets,
            wide,
            runs,
            chunk: 0,
            per_chunk: 0,
            next_run,
            left: 0,
            at: 0,
        })
    }

    fn next(&mut self, size: u32) -> Option<u64> {
        while self.left == 0 {
            self.chunk += 1;
            if let Some((first, per_chunk)) = self.next_run
                && first <= self.chunk
            {
                self.per_chunk = per_chunk;
                self.next_run = read_run(&mut self.runs);
            }
            self.at = self.offsets.word(self.wide)?;
            self.left = self.per_chunk;
        }
        self.left -= 1;
        let at = self.at;
        self.at = at.checked_add(u64::from(size))?;
        Some(at)
    }
}

fn read_run(runs: &mut Cursor) -> Option<(u32, u32)> {
    let run = (runs.u32()?, runs.u32()?);
    runs.u32()?;
    Some(run)
}

/// Default (duration, size, flags) of a track's fragments.
struct Defaults {
    track: u32,
    values: [u32; 3],
}

fn fragment_defaults(moov: &[u8]) -> Vec<Defaults> {
    let trexs = find(moov, b"mvex").unwrap_or_default();
    let parse = |trex| {
        let (_, _, mut c) = Cursor::full(trex)?;
        let track = c.u32()?;
        c.u32()?;
        Some(Defaults {
            track,
            values: [c.u32()?, c.u32()?, c.u32()?],
        })
    };
    boxes(trexs)
        .filter(|(kind, _)| kind == b"trex")
        .filter_map(|(_, trex)| parse(trex))
        .collect()
}

/// Appends the samples of one movie fragment that begins at byte `start`.
fn add_fragment(movie: &mut Movie, defaults: &[Defaults], start: u64, moof: &[u8]) -> Option<()> {
    let mut end_of_data = start;
    for (_, traf) in boxes(moof).filter(|(kind, _)| kind == b"traf") {
        let (_, flags, mut tfhd) = Cursor::full(find(traf, b"tfhd")?)?;
        let id = tfhd.u32()?;
        let track = movie.tracks.iter_mut().find(|t| t.id == id)?;
        let mut values = defaults
            .iter()
            .find(|d| d.track == id)
            .map_or([0; 3], |d| d.values);
        let base = if flags & 1 != 0 {
            tfhd.u64()?
        } else if flags & 0x2_0000 != 0 {
            start
        } else {
            end_of_data
        };
        if flags & 2 != 0 {
            tfhd.u32()?;
        }
        for (bit, value) in [8, 16, 32].into_iter().zip(&mut values) {
            if flags & bit != 0 {
                *value = tfhd.u32()?;
            }
        }
        let mut time = match track.samples.last() {
            Some(s) => after(s.decode_time, s.duration)?,
            None => 0,
        };
        if let Some(tfdt) = find(traf, b"tfdt") {
            let (version, _, mut c) = Cursor::full(tfdt)?;
            time = i64::try_from(c.word(version)?).ok()?;
            after(time, 0)?;
        }
        let mut at = base;
        for (_, trun) in boxes(traf).filter(|(kind, _)| kind == b"trun") {
            at = add_run(track, trun, values, base, at, &mut time)?;
        }
        end_of_data = at;
    }
    Some(())
}

/// One `trun`. Returns the byte after its last sample.
fn add_run(
    track: &mut Track,
    trun: &[u8],
    defaults: [u32; 3],
    base: u64,
    mut at: u64,
    time: &mut i64,
) -> Option<u64> {
    let (_, flags, mut c) = Cursor::full(trun)?;
    let count = c.u32()?;
    if flags & 1 != 0 {
        at = base.checked_add_signed(i64::from(c.i32()?))?;
    }
    let first_flags = if flags & 4 != 0 { Some(c.u32()?) } else { None };
    for i in 0..count {
        let mut field = |bit: u32, default: u32| {
            if flags & bit != 0 {
                c.u32()
            } else {
                Some(default)
            }
        };
        let duration = field(0x100, defaults[0])?;
        let size = field(0x200, defaults[1])?;
        let sample_flags = field(
            0x400,
            if i == 0 {
                first_flags.unwrap_or(defaults[2])
            } else {
                defaults[2]
            },
        )?;
        let composition = field(0x800, 0)? as i32;
        let is_sync = sample_flags & 0x1_0000 == 0;
        track.samples.push(Sample {
            offset: at,
            size,
            decode_time: *time,
            composition,
            duration,
            is_sync,
        });
        at = at.checked_add(u64::from(size))?;
        *time = after(*time, duration)?;
    }
    Some(at)
}
