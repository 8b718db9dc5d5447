//! Films made here, written and read again: by this module and by `re_mp4`, which knows nothing of it.

use super::boxes::put;
use super::demux::{Edit, Movie, Sample};
use super::index::{Layout, TrackHeader, UNIT_MATRIX, moov, trak};
use super::read::Mp4Reader;
use super::write::Mp4Writer;
use crate::video::{Frame, FrameWriter, Limits, OutputSpec, open_reader};
use std::path::Path;

/// A moving gradient with a bright square.
fn picture(width: usize, height: usize, t: usize) -> Vec<u8> {
    let at = |x: usize, y: usize| {
        if (x + 2 * t) % 23 < 6 && y % 11 < 5 {
            [230, 60, 40]
        } else {
            [(x * 2 + t) as u8 / 2 + 30, (y * 3) as u8 / 2 + 40, 90]
        }
    };
    (0..height)
        .flat_map(|y| (0..width).flat_map(move |x| at(x, y)))
        .collect()
}

pub(super) fn spec(width: usize, height: usize) -> OutputSpec {
    OutputSpec {
        width,
        height,
        timescale: 24000,
        frame_duration: 1001,
        full_chroma: false,
        source: None,
        is_cut: false,
        older: crate::video::Older::Kept,
    }
}

pub(super) fn write(path: &Path, spec: &OutputSpec, times: &[(i64, u64)]) -> Vec<String> {
    let mut writer = Box::new(Mp4Writer::create(path, spec).unwrap());
    for (t, &(time, duration)) in times.iter().enumerate() {
        let rgb = picture(spec.width, spec.height, t);
        writer
            .write_frame(&Frame {
                width: spec.width,
                height: spec.height,
                rgb,
                time,
                duration,
            })
            .unwrap();
    }
    writer.finish().unwrap()
}

fn mean_difference(a: &[u8], b: &[u8]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter()
        .zip(b)
        .map(|(a, b)| f64::from(a.abs_diff(*b)))
        .sum::<f64>()
        / a.len() as f64
}

#[test]
fn times_and_pictures_survive_exactly_and_closely() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mp4");
    // Variable durations and a late start.
    let times: Vec<(i64, u64)> = [500, 1501, 2502, 4004, 4505, 6507]
        .into_iter()
        .zip([1001, 1001, 1502, 501, 2002, 999])
        .collect();
    for (width, height) in [(64, 48), (33, 21), (1, 1)] {
        write(&path, &spec(width, height), &times);
        let mut reader = open_reader(&path).unwrap();
        let info = reader.info().clone();
        assert_eq!(
            (info.width, info.height, info.timescale, info.frames),
            (width, height, 24000, Some(6))
        );
        for (t, &(time, duration)) in times.iter().enumerate() {
            let frame = reader.next_frame().unwrap().unwrap();
            assert_eq!((frame.time, frame.duration), (time, duration));
            let difference = mean_difference(&frame.rgb, &picture(width, height, t));
            assert!(difference < 9.0, "{width}x{height} frame {t}: {difference}");
        }
        assert!(reader.next_frame().unwrap().is_none());
    }
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        1,
        "no temporary file is left"
    );
}

#[test]
fn another_demuxer_agrees() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mp4");
    let times: Vec<(i64, u64)> = (0..40).map(|t| (t * 1001, 1001)).collect();
    write(&path, &spec(64, 48), &times);
    let (other, bytes) = re_mp4::Mp4::read_file(&path).unwrap();
    let track = other.tracks().values().next().unwrap();
    assert_eq!(
        (track.timescale, track.duration, track.samples.len()),
        (24000, 40 * 1001, 40)
    );
    let (movie, _) = Movie::open(&path).unwrap();
    for (mine, theirs) in movie.tracks[0].samples.iter().zip(&track.samples) {
        let Sample {
            offset,
            size,
            decode_time,
            is_sync,
            ..
        } = *mine;
        assert_eq!(
            (offset, u64::from(size), decode_time, is_sync),
            (
                theirs.offset,
                theirs.size,
                theirs.decode_timestamp,
                theirs.is_sync
            )
        );
        assert!(bytes.len() as u64 >= offset + u64::from(size));
    }
}

#[test]
fn damaged_files_are_sentences_and_never_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mp4");
    write(
        &path,
        &spec(64, 48),
        &(0..30).map(|t| (t * 1001, 1001)).collect::<Vec<_>>(),
    );
    let whole = std::fs::read(&path).unwrap();
    let fault = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        open_reader(&path).and_then(|mut r| {
            while r.next_frame()?.is_some() {}
            Ok(())
        })
    };
    let said = |bytes: &[u8]| fault(bytes).unwrap_err().to_string();
    assert!(
        said(&whole[..whole.len() / 2]).contains("is cut short"),
        "{}",
        said(&whole[..whole.len() / 2])
    );
    assert!(said(b"").contains("is empty"));
    assert!(fault(&whole).is_ok());
    // The index with each byte damaged in turn, decoder configuration apart.
    let moov = whole.windows(4).position(|w| w == b"moov").unwrap() - 4;
    for at in (moov..whole.len()).step_by(3) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0xff;
        std::fs::write(&path, &damaged).unwrap();
        let _ = Movie::open(&path).map(|_| Mp4Reader::open(&path, &Limits::default()).map(|_| ()));
    }
}

#[test]
fn text_under_a_video_name_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mp4");
    std::fs::write(&path, "Dear diary, this is not a film at all.").unwrap();
    let said = open_reader(&path).err().unwrap().to_string();
    assert!(
        said.contains("a.mp4") && said.contains("is not a video"),
        "{said}"
    );
    let said = open_reader(&folder.path().join("none.mp4"))
        .err()
        .unwrap()
        .to_string();
    assert!(said.contains("there is no such file or folder"), "{said}");
}

#[test]
fn leaving_out_frames_begins_at_a_key_frame() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mp4");
    let spec = OutputSpec {
        frame_duration: 24000,
        ..spec(48, 32)
    };
    write(
        &path,
        &spec,
        &(0..20).map(|t| (t * 24000, 24000)).collect::<Vec<_>>(),
    );
    let (movie, _) = Movie::open(&path).unwrap();
    assert!(movie.tracks[0].samples.iter().filter(|s| s.is_sync).count() >= 4);
    let mut all = open_reader(&path).unwrap();
    let frames: Vec<Frame> = std::iter::from_fn(|| all.next_frame().unwrap()).collect();
    for n in [0, 3, 4, 9, 19] {
        let mut reader = open_reader(&path).unwrap();
        reader.skip_frames(n).unwrap();
        assert!(
            reader.next_frame().unwrap().as_ref() == Some(&frames[n as usize]),
            "frame {n}"
        );
        assert!(
            reader.next_frame().unwrap().as_ref() == frames.get(n as usize + 1),
            "after frame {n}"
        );
    }
}

/// A film of `n` frames with sound beside it: 1024 units a sample at 48 kHz, 100 samples of growing size, a priming
/// edit.
pub(super) fn with_sound(path: &Path, n: i64) -> Vec<Vec<u8>> {
    let silent = path.with_extension("silent.mp4");
    write(
        &silent,
        &spec(64, 48),
        &(0..n).map(|t| (t * 1001, 1001)).collect::<Vec<_>>(),
    );
    let (movie, _) = Movie::open(&silent).unwrap();
    let (film, video) = (std::fs::read(&silent).unwrap(), &movie.tracks[0]);
    let sound: Vec<Vec<u8>> = (0..100u8).map(|i| vec![i; 20 + usize::from(i)]).collect();
    let mut file = Vec::new();
    put(&mut file, b"ftyp", |b| {
        b.extend_from_slice(b"isom\0\0\0\0isom")
    });
    let data_at = file.len() as u64 + 8;
    let data = [film.clone(), sound.concat()].concat();
    put(&mut file, b"mdat", |b| b.extend_from_slice(&data));
    let layouts = [
        Layout {
            sizes: video.samples.iter().map(|s| s.size).collect(),
            durations: video.samples.iter().map(|s| s.duration).collect(),
            compositions: Vec::new(),
            chunks: video
                .samples
                .iter()
                .map(|s| (data_at + s.offset, 1))
                .collect(),
        },
        Layout {
            sizes: sound.iter().map(|s| s.len() as u32).collect(),
            durations: vec![1024; 100],
            compositions: Vec::new(),
            chunks: vec![(data_at + film.len() as u64, 100)],
        },
    ];
    let edits = [Edit {
        duration: 2100,
        media_time: 1024,
    }];
    let header = |id, handler: &[u8; 4], timescale, edits| TrackHeader {
        id,
        handler: *handler,
        timescale,
        language: 0x15c7,
        matrix: UNIT_MATRIX,
        display_size: (0, 0),
        volume: 256,
        hdlr: None,
        media_header: (*b"smhd", vec![0; 8]),
        edits,
        movie_duration: 0,
    };
    let sound_stsd = b"\0\0\0\0\0\0\0\x01\0\0\0\x10mp4aAACAAC!!".to_vec();
    let traks = [
        trak(
            &header(1, b"vide", 24000, &[]),
            &video.stsd,
            &layouts[0],
            None,
        ),
        trak(
            &header(2, b"soun", 48000, &edits),
            &sound_stsd,
            &layouts[1],
            None,
        ),
    ];
    file.extend(moov(1000, 2100, &traks));
    std::fs::write(path, file).unwrap();
    sound
}

#[test]
fn sound_is_copied_unchanged_and_cut_with_the_film() {
    let folder = tempfile::tempdir().unwrap();
    let (source, out) = (folder.path().join("in.mp4"), folder.path().join("out.mp4"));
    let sound = with_sound(&source, 50);
    for (n_frames, n_samples) in [(50, 100), (10, 21)] {
        let spec = OutputSpec {
            source: Some(source.clone()),
            ..spec(64, 48)
        };
        let times: Vec<(i64, u64)> = (0..n_frames).map(|t| (t * 1001, 1001)).collect();
        assert_eq!(write(&out, &spec, &times), ["audio copied"]);
        let (movie, _) = Movie::open(&out).unwrap();
        let bytes = std::fs::read(&out).unwrap();
        let copy = &movie.tracks[1];
        let (original, _) = Movie::open(&source).unwrap();
        assert_eq!(copy.stsd, original.tracks[1].stsd);
        assert_eq!(
            (copy.timescale, copy.language, copy.volume),
            (48000, 0x15c7, 256)
        );
        let samples: Vec<&[u8]> = copy
            .samples
            .iter()
            .map(|s| &bytes[s.offset as usize..][..s.size as usize])
            .collect();
        // 10 frames end at 10010/24000 s: samples that begin before, one of them primed away.
        assert_eq!(samples.len(), n_samples);
        assert!(samples.iter().zip(&sound).all(|(a, b)| a == b));
        assert!(copy.samples.iter().all(|s| s.duration == 1024));
        let film = n_frames as u64 * 1001;
        assert_eq!(
            copy.edits,
            [Edit {
                duration: (2100 * 24).min(if n_frames < 50 { film } else { u64::MAX }),
                media_time: 1024
            }]
        );
    }
}
