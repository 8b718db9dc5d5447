//! The index (moov) of a file being written. Enters: sizes, durations and places of samples. Leaves: bytes of boxes.
//! No file is touched here.

use super::boxes::{put, put_full, put16, put32, put64};
use super::demux::Edit;

/// Where the samples of a track went.
#[derive(Default)]
pub struct Layout {
    pub sizes: Vec<u32>,
    pub durations: Vec<u32>,
    /// Presentation minus decoding time; empty if always 0.
    pub compositions: Vec<i32>,
    /// Byte offset and number of samples of each chunk.
    pub chunks: Vec<(u64, u32)>,
}

pub struct TrackHeader<'a> {
    pub id: u32,
    pub handler: [u8; 4],
    pub timescale: u32,
    pub language: u16,
    pub matrix: [u8; 36],
    pub display_size: (u32, u32),
    pub volume: u16,
    /// Payload to copy instead of a plain one.
    pub hdlr: Option<&'a [u8]>,
    pub media_header: ([u8; 4], Vec<u8>),
    pub edits: &'a [Edit],
    /// In the movie's timescale.
    pub movie_duration: u64,
}

pub struct VideoEntry<'a> {
    pub width: usize,
    pub height: usize,
    pub coded: (usize, usize),
    pub sps: &'a [u8],
    pub pps: &'a [u8],
    pub pixel_aspect: Option<Vec<u8>>,
}

pub const UNIT_MATRIX: [u8; 36] = {
    let mut m = [0; 36];
    m[1] = 1;
    m[17] = 1;
    m[32] = 0x40;
    m
};

pub fn moov(timescale: u32, duration: u64, tracks: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, b"moov", |b| {
        put_full(b, b"mvhd", 1, 0, |b| {
            put64(b, 0);
            put64(b, 0);
            put32(b, timescale);
            put64(b, duration);
            put32(b, 0x1_0000);
            put16(b, 0x100);
            b.extend_from_slice(&[0; 10]);
            b.extend_from_slice(&UNIT_MATRIX);
            b.extend_from_slice(&[0; 24]);
            put32(b, tracks.len() as u32 + 1);
        });
        tracks.iter().for_each(|t| b.extend_from_slice(t));
    });
    out
}

pub fn trak(header: &TrackHeader, stsd: &[u8], layout: &Layout, syncs: Option<&[u32]>) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, b"trak", |b| {
        put_full(b, b"tkhd", 1, 3, |b| {
            put64(b, 0);
            put64(b, 0);
            put32(b, header.id);
            put32(b, 0);
            put64(b, header.movie_duration);
            b.extend_from_slice(&[0; 12]);
            put16(b, header.volume);
            put16(b, 0);
            b.extend_from_slice(&header.matrix);
            put32(b, header.display_size.0);
            put32(b, header.display_size.1);
        });
        if !header.edits.is_empty() {
            put(b, b"edts", |b| put_edits(b, header.edits));
        }
        put(b, b"mdia", |b| put_media(b, header, stsd, layout, syncs));
    });
    out
}

fn put_edits(out: &mut Vec<u8>, edits: &[Edit]) {
    put_full(out, b"elst", 1, 0, |b| {
        put32(b, edits.len() as u32);
        for edit in edits {
            put64(b, edit.duration);
            put64(b, edit.media_time as u64);
            put32(b, 0x1_0000);
        }
    });
}

fn put_media(
    out: &mut Vec<u8>,
    header: &TrackHeader,
    stsd: &[u8],
    layout: &Layout,
    syncs: Option<&[u32]>,
) {
    put_full(out, b"mdhd", 1, 0, |b| {
        put64(b, 0);
        put64(b, 0);
        put32(b, header.timescale);
        put64(b, layout.durations.iter().map(|&d| u64::from(d)).sum());
        put16(b, header.language);
        put16(b, 0);
    });
    put(out, b"hdlr", |b| match header.hdlr {
        Some(payload) => b.extend_from_slice(payload),
        None => {
            b.extend_from_slice(&[0; 8]);
            b.extend_from_slice(&header.handler);
            b.extend_from_slice(&[0; 13]);
        }
    });
    put(out, b"minf", |b| {
        put(b, &header.media_header.0, |b| {
            b.extend_from_slice(&header.media_header.1)
        });
        put(b, b"dinf", |b| {
            put_full(b, b"dref", 0, 0, |b| {
                put32(b, 1);
                put_full(b, b"url ", 0, 1, |_| {});
            });
        });
        put(b, b"stbl", |b| put_tables(b, stsd, layout, syncs));
    });
}

fn put_tables(out: &mut Vec<u8>, stsd: &[u8], layout: &Layout, syncs: Option<&[u32]>) {
    put(out, b"stsd", |b| b.extend_from_slice(stsd));
    put_runs(out, b"stts", 0, layout.durations.iter().copied());
    if layout.compositions.iter().any(|&c| c != 0) {
        let version = u8::from(layout.compositions.iter().any(|&c| c < 0));
        put_runs(
            out,
            b"ctts",
            version,
            layout.compositions.iter().map(|&c| c as u32),
        );
    }
    if let Some(syncs) = syncs {
        put_full(out, b"stss", 0, 0, |b| {
            put32(b, syncs.len() as u32);
            syncs.iter().for_each(|&n| put32(b, n));
        });
    }
    put_full(out, b"stsc", 0, 0, |b| {
        let mut runs: Vec<(u32, u32)> = Vec::new();
        for (number, &(_, n)) in (1..).zip(&layout.chunks) {
            if runs.last().is_none_or(|r| r.1 != n) {
                runs.push((number, n));
            }
        }
        put32(b, runs.len() as u32);
        for (first, n) in runs {
            put32(b, first);
            put32(b, n);
            put32(b, 1);
        }
    });
    put_full(out, b"stsz", 0, 0, |b| {
        put32(b, 0);
        put32(b, layout.sizes.len() as u32);
        layout.sizes.iter().for_each(|&n| put32(b, n));
    });
    let wide = layout
        .chunks
        .iter()
        .any(|&(at, _)| at > u64::from(u32::MAX));
    put_full(out, if wide { b"co64" } else { b"stco" }, 0, 0, |b| {
        put32(b, layout.chunks.len() as u32);
        layout.chunks.iter().for_each(|&(at, _)| {
            if wide {
                put64(b, at)
            } else {
                put32(b, at as u32)
            }
        });
    });
}

/// Equal neighbours as (count, value).
fn put_runs(out: &mut Vec<u8>, kind: &[u8; 4], version: u8, values: impl Iterator<Item = u32>) {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for value in values {
        match runs.last_mut() {
            Some((count, last)) if *last == value => *count += 1,
            _ => runs.push((1, value)),
        }
    }
    put_full(out, kind, version, 0, |b| {
        put32(b, runs.len() as u32);
        for (count, value) in runs {
            put32(b, count);
            put32(b, value);
        }
    });
}

/// Payload of the sample description of an H.264 track.
pub fn video_stsd(entry: &VideoEntry) -> Vec<u8> {
    let mut out = vec![0, 0, 0, 0, 0, 0, 0, 1];
    put(&mut out, b"avc1", |b| {
        super::write::put_entry_head(b);
        put16(b, entry.coded.0 as u16);
        put16(b, entry.coded.1 as u16);
        put32(b, 0x48_0000);
        put32(b, 0x48_0000);
        put32(b, 0);
        put16(b, 1);
        b.extend_from_slice(&[0; 32]);
        put16(b, 24);
        put16(b, 0xffff);
        put(b, b"avcC", |b| {
            b.push(1);
            b.extend_from_slice(entry.sps.get(1..4).unwrap_or(&[66, 192, 30]));
            b.extend_from_slice(&[0xff, 0xe1]);
            put16(b, entry.sps.len() as u16);
            b.extend_from_slice(entry.sps);
            b.push(1);
            put16(b, entry.pps.len() as u16);
            b.extend_from_slice(entry.pps);
        });
        if entry.coded != (entry.width, entry.height) {
            put_aperture(b, entry);
        }
        if let Some(pasp) = &entry.pixel_aspect {
            put(b, b"pasp", |b| b.extend_from_slice(pasp));
        }
    });
    out
}

/// The upper left `width` x `height` of the coded picture; offsets count from its middle, in halves.
fn put_aperture(out: &mut Vec<u8>, entry: &VideoEntry) {
    put(out, b"clap", |b| {
        let (width, height) = (entry.width as u32, entry.height as u32);
        let offset = |shown: usize, coded: usize| (shown as i32 - coded as i32) as u32;
        let ratios = [
            (width, 1),
            (height, 1),
            (offset(entry.width, entry.coded.0), 2),
            (offset(entry.height, entry.coded.1), 2),
        ];
        for (numerator, denominator) in ratios {
            put32(b, numerator);
            put32(b, denominator);
        }
    });
}
