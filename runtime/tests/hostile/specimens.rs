//! Small files that state large things: each is refused in one sentence, for little memory.

use super::counting::peak;
use super::damage::{check, copy_film, read_film, read_weights};
use super::fragments::{Run, moov, with_run};
use super::valid::{SIZE, film, media};
use std::path::{Path, PathBuf};
use vsr_runtime::video::h264::Encoder;
use vsr_runtime::video::mp4::boxes::{put, put_full, put32};
use vsr_runtime::video::mp4::demux::{Movie, Track};

fn film_track(dir: &Path) -> (Track, Vec<u8>) {
    let path = dir.join("plain.mp4");
    film(&path, SIZE, 2);
    let (mut movie, _) = Movie::open(&path).unwrap();
    (movie.tracks.remove(0), std::fs::read(path).unwrap())
}

/// The sentence that refuses a film.
fn refused(path: &Path, bytes: &[u8]) -> String {
    check(path, bytes, "as it is", read_film).expect_err("it is refused")
}

fn place() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.mp4");
    (dir, path)
}

#[test]
fn a_run_of_a_thousand_million_samples() {
    let (dir, path) = place();
    let (track, _) = film_track(dir.path());
    for (flags, count) in [
        (0, 1 << 30),
        (0, u32::MAX),
        (0x100, 1 << 30),
        (0xf00, u32::MAX),
    ] {
        let run = Run {
            flags,
            count,
            fields: vec![1; 2500],
        };
        let said = refused(&path, &with_run(&track, &run, &[0; 512]));
        assert!(said.contains(&format!("states {count} samples")), "{said}");
    }
}

#[test]
fn a_hundred_tracks_of_all_bytes() {
    let (dir, path) = place();
    let (track, _) = film_track(dir.path());
    let tables = |b: &mut Vec<u8>| {
        put_full(b, b"stts", 0, 0, |b| {
            [1, 90_000, 1].iter().for_each(|n| put32(b, *n))
        });
        put_full(b, b"stsc", 0, 0, |b| {
            [1, 1, 90_000, 1].iter().for_each(|n| put32(b, *n))
        });
        put_full(b, b"stsz", 0, 0, |b| {
            [1, 90_000].iter().for_each(|n| put32(b, *n))
        });
        put_full(b, b"stco", 0, 0, |b| {
            [1, 8].iter().for_each(|n| put32(b, *n))
        });
    };
    let mut file = Vec::new();
    put(&mut file, b"ftyp", |b| b.extend(b"isom\0\0\0\0isom"));
    file.extend(moov(&vec![track; 100], &tables));
    put(&mut file, b"mdat", |b| b.extend([0; 4096]));
    let said = refused(&path, &file);
    assert!(said.contains("states 9000000 samples"), "{said}");
}

/// Two hundred times the same bytes: sound that would be as much more than the file.
#[test]
fn samples_that_share_bytes_are_not_copied() {
    let (dir, path) = place();
    let plain = dir.path().join("plain.mp4");
    film(&plain, 4 * SIZE, 1);
    let (movie, _) = Movie::open(&plain).unwrap();
    let (track, plain) = (&movie.tracks[0], std::fs::read(plain).unwrap());
    let first = track.samples[0];
    let data = &plain[first.offset as usize..][..first.size as usize];
    let mut sound = track.clone();
    sound.hdlr[8..12].copy_from_slice(b"soun");
    let tables = |b: &mut Vec<u8>| {
        let list = |b: &mut Vec<u8>, numbers: &[u32]| numbers.iter().for_each(|n| put32(b, *n));
        put_full(b, b"stts", 0, 0, |b| list(b, &[1, 200, 1]));
        put_full(b, b"stsc", 0, 0, |b| list(b, &[1, 1, 1, 1]));
        put_full(b, b"stsz", 0, 0, |b| {
            list(b, &[vec![0, 200], vec![first.size; 200]].concat())
        });
        put_full(b, b"stco", 0, 0, |b| {
            list(b, &[vec![200], vec![24; 200]].concat())
        });
    };
    let mut file = Vec::new();
    put(&mut file, b"ftyp", |b| b.extend(b"isom\0\0\0\0"));
    put(&mut file, b"mdat", |b| b.extend(data));
    file.extend(moov(&[track.clone(), sound], &tables));
    assert!(200 * data.len() > 2 * file.len(), "{} bytes", data.len());
    let copied = check(&path, &file, "as it is", copy_film).unwrap();
    assert_eq!(copied, "1 damaged tracks left out: their samples overlap");
}

#[test]
fn times_at_the_end_of_64_bits() {
    let (dir, path) = place();
    let (track, _) = film_track(dir.path());
    let run = Run {
        flags: 0x300,
        count: 2,
        fields: vec![u32::MAX, 16, u32::MAX, 16],
    };
    let file = with_run(&track, &run, &[0; 32]);
    let at = file.windows(4).position(|w| w == b"tfdt").unwrap() + 8;
    for time in [i64::MAX, i64::MAX - 1, 1 << 62, -1] {
        let mut file = file.clone();
        file[at..at + 8].copy_from_slice(&time.to_be_bytes());
        let said = refused(&path, &file);
        assert!(said.contains("a damaged fragment"), "{said}");
    }
}

/// Parameter sets of frames that are larger than the film's.
fn large_sps(size: usize) -> Vec<u8> {
    let mut encoder = Encoder::new(size, size, 25.0).unwrap();
    encoder.encode(&vec![9; 3 * size * size]).unwrap();
    encoder.sps
}

#[test]
fn frames_larger_than_the_limit_or_than_the_film() {
    let (dir, path) = place();
    let (track, plain) = film_track(dir.path());
    let avcc = track.stsd.windows(4).position(|w| w == b"avcC").unwrap() + 4;
    // Version, three bytes of profile, length, count, and the length of the set.
    let n_old = usize::from(track.stsd[avcc + 7]);
    let large = large_sps(640);
    let in_header = |first: bool| {
        let mut stsd = track.stsd.clone();
        let old = stsd[avcc + 6..avcc + 8 + n_old].to_vec();
        let new = [&[0, large.len() as u8], &large[..]].concat();
        let sets = if first {
            new.clone()
        } else {
            [old, new].concat()
        };
        stsd[avcc + 5] = 0xe0 | if first { 1 } else { 2 };
        let grown = sets.len() as i64 - n_old as i64 - 2;
        stsd.splice(avcc + 6..avcc + 8 + n_old, sets);
        let entry_at = 8;
        for at in [entry_at, avcc - 8] {
            let size = u32::from_be_bytes(stsd[at..at + 4].try_into().unwrap());
            let size = (i64::from(size) + grown) as u32;
            stsd[at..at + 4].copy_from_slice(&size.to_be_bytes());
        }
        Track {
            stsd,
            ..track.clone()
        }
    };
    let sample = |s: usize| {
        let s = track.samples[s];
        &plain[s.offset as usize..][..s.size as usize]
    };
    let run = |size: usize| Run {
        flags: 0x300,
        count: 1,
        fields: vec![1001, size as u32],
    };
    let first = sample(0);
    let whole = with_run(&track, &run(first.len()), first);
    assert_eq!(
        check(&path, &whole, "as it is", read_film).unwrap(),
        "1 frames"
    );
    let said = refused(&path, &with_run(&in_header(true), &run(first.len()), first));
    assert!(
        said.contains("640x640") && said.contains("--limit-pixels 409600"),
        "{said}"
    );
    let said = refused(
        &path,
        &with_run(&in_header(false), &run(first.len()), first),
    );
    assert!(said.contains("is not read here"), "{said}");
    // Within the film: as a unit of its own, and hidden in another one.
    let own = [&(large.len() as u32).to_be_bytes(), &large[..], first].concat();
    let hidden = [&[0, 0, 0, 1], &large[..]].concat();
    let hidden = [
        &(hidden.len() as u32 + 1).to_be_bytes(),
        &[9][..],
        &hidden,
        first,
    ]
    .concat();
    for sample in [own, hidden] {
        let said = refused(&path, &with_run(&track, &run(sample.len()), &sample));
        assert!(said.contains("the size of the picture changes"), "{said}");
    }
}

fn picture(name: &str) -> Vec<u8> {
    media().into_iter().find(|v| v.name == name).unwrap().bytes
}

#[test]
fn pictures_of_twelve_thousand_pixels_each_way() {
    let dir = tempfile::tempdir().unwrap();
    let mut png = picture("a.png");
    png[16..20].copy_from_slice(&12_000u32.to_be_bytes());
    png[20..24].copy_from_slice(&12_000u32.to_be_bytes());
    let sum = crc32fast::hash(&png[12..29]);
    png[29..33].copy_from_slice(&sum.to_be_bytes());
    let mut jpg = picture("a.jpg");
    let sof = jpg.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
    jpg[sof + 5..sof + 9].copy_from_slice(&[0x2e, 0xe0, 0x2e, 0xe0]);
    for (name, bytes) in [("a.png", png), ("a.jpg", jpg)] {
        let said = refused(&dir.path().join(name), &bytes);
        assert!(
            said.contains("12000x12000") && said.contains("--limit-pixels 144000000"),
            "{said}"
        );
    }
}

/// Names share a storage: read one by one they would take two thousand times as much.
#[test]
fn two_thousand_names_of_one_storage() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.pth");
    let numbers = 100_000u32;
    let mut file =
        b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.".to_vec();
    file.extend(b"\x80\x02}U\x0dlittle_endian\x88s.");
    file.extend(b"}(");
    for i in 0..2000 {
        file.extend(b"X\x04\0\0\0");
        file.extend(format!("{i:04}").bytes());
        if i > 0 {
            file.extend(b"h\x01");
            continue;
        }
        file.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((U\x07storagectorch\nFloatStorage\nU\x011U\x03cpuJ");
        file.extend(numbers.to_le_bytes());
        file.extend(b"NtQK\0J");
        file.extend(numbers.to_le_bytes());
        file.extend(b"\x85K\x01\x85tRq\x01");
    }
    file.extend(b"u.](U\x011e.");
    file.extend(u64::from(numbers).to_le_bytes());
    file.extend(vec![0; 4 * numbers as usize]);
    std::fs::write(&path, &file).unwrap();
    let (said, most) = peak(|| read_weights(&path).unwrap_err());
    assert!(said.contains("2000 names share its numbers"), "{said}");
    assert!(most < 4 << 20, "{most}");
}
