//! Films that end too early, at every byte: the frames that are there come, and a word about the others.

use super::boxes::{put, put_full, put32, put64};
use super::demux::Movie;
use super::index::{Layout, TrackHeader, UNIT_MATRIX, moov, trak};
use super::tests::{spec, with_sound, write};
use crate::video::{Damage, open_reader};
use std::fs;
use std::path::Path;

const N_FRAMES: usize = 8;

/// A plain film as fragments of one frame each; where each begins.
fn fragmented(plain: &Path) -> (Vec<u8>, Vec<usize>) {
    let (movie, _) = Movie::open(plain).unwrap();
    let (bytes, video) = (fs::read(plain).unwrap(), &movie.tracks[0]);
    let header = TrackHeader {
        id: 1,
        handler: *b"vide",
        timescale: 24000,
        language: 0x15c7,
        matrix: UNIT_MATRIX,
        display_size: (0, 0),
        volume: 0,
        hdlr: None,
        media_header: (*b"vmhd", vec![0; 12]),
        edits: &[],
        movie_duration: 0,
    };
    let track = trak(&header, &video.stsd, &Layout::default(), None);
    let mut extends = Vec::new();
    put(&mut extends, b"mvex", |b| {
        put_full(b, b"trex", 0, 0, |b| {
            [1, 1, 1001, 0, 0].into_iter().for_each(|n| put32(b, n));
        });
    });
    let mut file = Vec::new();
    put(&mut file, b"ftyp", |b| {
        b.extend_from_slice(b"iso5\0\0\0\0iso5")
    });
    file.extend(moov(24000, 0, &[track, extends]));
    let mut starts = Vec::new();
    for sample in &video.samples {
        starts.push(file.len());
        let data = &bytes[sample.offset as usize..][..sample.size as usize];
        file.extend(fragment(sample.decode_time as u64, sample.is_sync, data));
    }
    (file, starts)
}

fn fragment(time: u64, is_sync: bool, data: &[u8]) -> Vec<u8> {
    let of = |data_at: u32| {
        let mut out = Vec::new();
        put(&mut out, b"moof", |b| {
            put_full(b, b"mfhd", 0, 0, |b| put32(b, 1));
            put(b, b"traf", |b| {
                put_full(b, b"tfhd", 0, 0x2_0000, |b| put32(b, 1));
                put_full(b, b"tfdt", 1, 0, |b| put64(b, time));
                put_full(b, b"trun", 0, 0x601, |b| {
                    let flags = if is_sync { 0 } else { 0x1_0000 };
                    let fields = [1, data_at, data.len() as u32, flags];
                    fields.into_iter().for_each(|n| put32(b, n));
                });
            });
        });
        out
    };
    let data_at = of(0).len() as u32 + 8;
    let mut out = of(data_at);
    put(&mut out, b"mdat", |b| b.extend_from_slice(data));
    out
}

/// Frames that come, and what is said of the rest; or why there are none.
fn read(path: &Path) -> Result<(usize, Vec<Damage>), String> {
    let mut reader = open_reader(path).map_err(|e| e.to_string())?;
    let known = reader.damage();
    let mut n = 0;
    while reader.next_frame().map_err(|e| e.to_string())?.is_some() {
        n += 1;
    }
    assert_eq!(known, reader.damage(), "it is known before the first frame");
    Ok((n, known))
}

fn plain(folder: &Path) -> std::path::PathBuf {
    let plain = folder.join("plain.mp4");
    let times: Vec<(i64, u64)> = (0..N_FRAMES as i64).map(|t| (t * 1001, 1001)).collect();
    write(&plain, &spec(32, 24), &times);
    plain
}

#[test]
fn a_fragmented_film_cut_at_any_byte_says_so_unless_a_fragment_ends_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.mp4");
    let (whole, starts) = fragmented(&plain(folder.path()));
    fs::write(&path, &whole).unwrap();
    assert_eq!(read(&path).unwrap(), (N_FRAMES, vec![]));
    for length in starts[0]..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        let n_whole = starts.iter().filter(|s| **s <= length).count() - 1;
        match read(&path) {
            Err(why) => assert!(n_whole == 0, "{length}: {why}"),
            Ok((n, damage)) if starts.contains(&length) => {
                assert_eq!((n, damage), (n_whole, vec![]), "{length}");
            }
            Ok((n, damage)) => {
                assert_eq!((n, damage.len()), (n_whole, 1), "{length}");
                assert_eq!(damage[0].frame, n as u64);
                assert!(damage[0].text.contains("is cut short"), "{damage:?}");
            }
        }
    }
}

/// The index in front, the film's data behind it, and then that of the sound.
#[test]
fn a_film_cut_within_its_sound_keeps_its_frames_and_says_what_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sound.mp4");
    with_sound(&path, N_FRAMES as i64);
    let whole = fs::read(&path).unwrap();
    let data_at = 20;
    let index_at = whole.windows(4).rposition(|w| w == b"moov").unwrap() - 4;
    let (movie, _) = Movie::open(&path).unwrap();
    let sound = &movie.tracks[1].samples;
    let index = &whole[index_at..];
    let mut film = [&whole[..data_at], index, &whole[data_at..index_at]].concat();
    let n_index = index.len();
    shift_offsets(&mut film[data_at..data_at + n_index], n_index as u32);
    for n_there in [1, 40, 99] {
        let cut = sound[n_there].offset as usize + index.len() + 3;
        fs::write(&path, &film[..cut]).unwrap();
        let (n, damage) = read(&path).unwrap();
        assert_eq!((n, damage.len()), (N_FRAMES, 1), "{damage:?}");
        let said = format!("its sound is cut short: {n_there} of 100 packets are there");
        assert!(damage[0].text.contains(&said), "{damage:?}");
    }
}

/// Every chunk lies further back.
fn shift_offsets(index: &mut [u8], by: u32) {
    let places: Vec<usize> = index
        .windows(4)
        .enumerate()
        .filter(|(_, w)| w == b"co64" || w == b"stco")
        .map(|(at, _)| at)
        .collect();
    for at in places {
        let is_wide = &index[at..at + 4] == b"co64";
        let word = |index: &[u8], at: usize| {
            u32::from_be_bytes([index[at], index[at + 1], index[at + 2], index[at + 3]])
        };
        for i in 0..word(index, at + 8) as usize {
            let low = at + 12 + if is_wide { 8 * i + 4 } else { 4 * i };
            let moved = word(index, low) + by;
            index[low..low + 4].copy_from_slice(&moved.to_be_bytes());
        }
    }
}
