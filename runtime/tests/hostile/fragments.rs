//! Films around the samples of a plain one: an index without samples, then a fragment with all of them; and one with
//! sound.

use std::path::Path;
use vsr_runtime::video::mp4::boxes::{put, put_full, put16, put32, put64};
use vsr_runtime::video::mp4::demux::{Edit, Movie, Sample, Track};

/// What a fragment says of its samples.
pub struct Run {
    /// Which fields each sample has; see ISO/IEC 14496-12, `trun`.
    pub flags: u32,
    pub count: u32,
    pub fields: Vec<u32>,
}

pub fn fragmented(plain: &Path) -> Vec<u8> {
    let (movie, _) = Movie::open(plain).unwrap();
    let bytes = std::fs::read(plain).unwrap();
    let track = &movie.tracks[0];
    let data = |s: &Sample| bytes[s.offset as usize..][..s.size as usize].to_vec();
    let samples: Vec<u8> = track.samples.iter().flat_map(data).collect();
    let fields = track.samples.iter().flat_map(|s| [s.duration, s.size]);
    let run = Run {
        flags: 0x300,
        count: track.samples.len() as u32,
        fields: fields.collect(),
    };
    with_run(track, &run, &samples)
}

/// A film whose only fragment holds this run.
pub fn with_run(track: &Track, run: &Run, samples: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    put(&mut file, b"ftyp", |b| b.extend(b"iso5\0\0\0\0iso5"));
    file.extend(moov(std::slice::from_ref(track), &|b| empty_tables(b)));
    let moof_bytes = moof(run, 0).len() as u32;
    file.extend(moof(run, moof_bytes + 8));
    put(&mut file, b"mdat", |b| b.extend(samples));
    file
}

fn moof(run: &Run, data_at: u32) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, b"moof", |b| {
        put_full(b, b"mfhd", 0, 0, |b| put32(b, 1));
        put(b, b"traf", |b| {
            // Offsets count from this box.
            put_full(b, b"tfhd", 0, 0x2_0000, |b| put32(b, 1));
            put_full(b, b"tfdt", 1, 0, |b| put64(b, 0));
            put_full(b, b"trun", 0, run.flags | 1, |b| {
                put32(b, run.count);
                put32(b, data_at);
                run.fields.iter().for_each(|f| put32(b, *f));
            });
        });
    });
    out
}

/// An index of tracks whose sample tables `tables` writes.
pub fn moov(tracks: &[Track], tables: &dyn Fn(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, b"moov", |b| {
        put_full(b, b"mvhd", 0, 0, |b| {
            [0, 0, 24000, 0].iter().for_each(|n| put32(b, *n));
            b.extend([0; 80]);
        });
        for (track, id) in tracks.iter().zip(1..) {
            trak(b, track, id, tables);
        }
        put(b, b"mvex", |b| {
            put_full(b, b"trex", 0, 0, |b| {
                [1, 1, 0, 0, 0].iter().for_each(|n| put32(b, *n));
            });
        });
    });
    out
}

fn trak(b: &mut Vec<u8>, track: &Track, id: u32, tables: &dyn Fn(&mut Vec<u8>)) {
    put(b, b"trak", |b| {
        put_full(b, b"tkhd", 0, 3, |b| {
            [0, 0, id, 0, 0, 0, 0, 0, 0]
                .iter()
                .for_each(|n| put32(b, *n));
            b.extend(track.matrix);
            put32(b, track.display_size.0);
            put32(b, track.display_size.1);
        });
        put(b, b"edts", |b| {
            put_full(b, b"elst", 1, 0, |b| {
                put32(b, track.edits.len() as u32);
                for edit in &track.edits {
                    put64(b, edit.duration);
                    put64(b, edit.media_time as u64);
                    put32(b, 0x1_0000);
                }
            });
        });
        put(b, b"mdia", |b| {
            put_full(b, b"mdhd", 0, 0, |b| {
                [0, 0, track.timescale, 0].iter().for_each(|n| put32(b, *n));
                put16(b, track.language);
                put16(b, 0);
            });
            put(b, b"hdlr", |b| b.extend(&track.hdlr));
            put(b, b"minf", |b| {
                put_full(b, b"smhd", 0, 0, |b| put32(b, 0));
                put(b, b"stbl", |b| {
                    put(b, b"stsd", |b| b.extend(&track.stsd));
                    tables(b);
                });
            });
        });
    });
}

fn empty_tables(b: &mut Vec<u8>) {
    put_full(b, b"stts", 0, 0, |b| put32(b, 0));
    put_full(b, b"stsc", 0, 0, |b| put32(b, 0));
    put_full(b, b"stsz", 0, 0, |b| put64(b, 0));
    put_full(b, b"stco", 0, 0, |b| put32(b, 0));
}

/// A film whose second track is sound to be copied, with a delay and a cut: the same bytes as the picture's.
pub fn with_sound(plain: &Path) -> Vec<u8> {
    let (movie, _) = Movie::open(plain).unwrap();
    let bytes = std::fs::read(plain).unwrap();
    let track = &movie.tracks[0];
    let data = |s: &Sample| &bytes[s.offset as usize..][..s.size as usize];
    let samples: Vec<&[u8]> = track.samples.iter().map(data).collect();
    let mut sound = track.clone();
    sound.hdlr[8..12].copy_from_slice(b"soun");
    let edit = |duration, media_time| Edit {
        duration,
        media_time,
    };
    sound.edits = vec![edit(100, -1), edit(2000, 10)];
    let n = samples.len() as u32;
    let tables = |b: &mut Vec<u8>| {
        let list = |b: &mut Vec<u8>, numbers: &[u32]| numbers.iter().for_each(|n| put32(b, *n));
        put_full(b, b"stts", 0, 0, |b| list(b, &[1, n, 1001]));
        put_full(b, b"ctts", 0, 0, |b| list(b, &[1, n, 0]));
        put_full(b, b"stss", 0, 0, |b| list(b, &[1, 1]));
        put_full(b, b"stsc", 0, 0, |b| list(b, &[1, 1, n, 1]));
        put_full(b, b"stsz", 0, 0, |b| {
            list(b, &[0, n]);
            samples.iter().for_each(|s| put32(b, s.len() as u32));
        });
        // Behind `ftyp` and the head of `mdat`.
        put_full(b, b"stco", 0, 0, |b| list(b, &[1, 16 + 8]));
    };
    let mut file = Vec::new();
    put(&mut file, b"ftyp", |b| b.extend(b"isom\0\0\0\0"));
    put(&mut file, b"mdat", |b| b.extend(samples.concat()));
    file.extend(moov(&[track.clone(), sound], &tables));
    file
}
