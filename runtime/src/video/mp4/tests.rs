//! Films made here, written and read again: by this module and by `re_mp4`, which knows nothing of it.

use super::demux::{Movie, Sample};
use super::read::Mp4Reader;
use super::write::Mp4Writer;
use crate::video::{Frame, FrameWriter, OutputSpec, open_reader};
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

fn spec(width: usize, height: usize) -> OutputSpec {
    OutputSpec {
        width,
        height,
        timescale: 24000,
        frame_duration: 1001,
        full_chroma: false,
        source: None,
    }
}

fn write(path: &Path, spec: &OutputSpec, times: &[(i64, u64)]) -> Vec<String> {
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
        let _ = Movie::open(&path).map(|_| Mp4Reader::open(&path).map(|_| ()));
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
