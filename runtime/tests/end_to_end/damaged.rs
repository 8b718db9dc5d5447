//! Sources that are cut, incomplete or broken. What is there is used, what is missing is said and counted, the exit
//! code tells; with --strict it is an error, and nothing is left.

use super::common::*;
use re_mp4::{Mp4, TrackKind};
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::process::Command;
use vsr_runtime::video::ffmpeg;
use vsr_runtime::video::mp4::boxes::{find, put};

/// Made from a damaged source: code 3, a warning that holds all of `parts`, and so many frames.
fn told(dir: &Path, input: &str, n_frames: usize, parts: &[&str]) {
    for output in ["out.y4m", "out.mp4"] {
        let words = format!("upscale net {input} -o {output}");
        let done = run(dir, &words);
        told_once(&words, &done, parts);
        assert_eq!(film(&dir.join(output)).len(), n_frames, "{words}");
        fs::remove_file(dir.join(output)).unwrap();
    }
    refuse(
        dir,
        &format!("upscale net {input} -o out.y4m --strict"),
        1,
        parts,
    );
    refuse(
        dir,
        &format!("upscale net {input} -o shot --strict"),
        1,
        parts,
    );
    // Frames before the damage are all that is asked for.
    let done = succeed(
        dir,
        &format!("upscale net {input} -o out.y4m --limit {n_frames} --strict"),
    );
    assert!(!done.err.contains("warning"), "{}", done.err);
    fs::remove_file(dir.join("out.y4m")).unwrap();
    let json = run(dir, &format!("upscale net {input} -o out.y4m --json -q"));
    assert_eq!(json.code, Some(3), "{}", json.err);
    let summary: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(
        summary["damage"].as_array().map(Vec::len),
        Some(1),
        "{}",
        json.out
    );
    fs::remove_file(dir.join("out.y4m")).unwrap();
}

fn told_once(words: &str, done: &Done, parts: &[&str]) {
    assert_eq!(done.code, Some(3), "{words}\n{}", done.err);
    let warnings = done.said("warning: ");
    assert_eq!(warnings.len(), 1, "{words}\n{}", done.err);
    for part in parts {
        assert!(
            warnings[0].contains(part),
            "{words}: no `{part}` in\n{}",
            done.err
        );
    }
    assert!(!done.err.contains("error"), "{words}\n{}", done.err);
}

#[test]
fn a_stream_that_ends_within_a_frame() {
    let dir = workplace();
    let dir = dir.path();
    write_film(&dir.join("whole.y4m"), 16, 16, 5);
    let whole = bytes(dir.join("whole.y4m"));
    let frame = 6 + 16 * 16 * 3 / 2;
    for missing in [1, frame - 1, frame + 2] {
        let n = 5 - 1 - missing / frame;
        fs::write(dir.join("cut.y4m"), &whole[..whole.len() - missing]).unwrap();
        told(
            dir,
            "cut.y4m",
            n,
            &["cut.y4m: is cut short inside frame", &n.to_string()],
        );
    }
}

/// Where a program that knows nothing of ours finds the samples of the only track of this kind.
fn samples(film: &[u8], kind: TrackKind) -> Vec<Range<usize>> {
    let film = Mp4::read_bytes(film).expect("a whole film");
    let mut tracks = film.tracks().values().filter(|t| t.kind == Some(kind));
    let track = tracks.next().expect("there is one");
    assert!(tracks.next().is_none(), "there is one");
    track.samples.iter().map(|s| s.byte_range()).collect()
}

/// How many samples lie before a cut, as far as none is missing.
fn n_before(samples: &[Range<usize>], cut: usize) -> usize {
    samples.iter().take_while(|s| s.end <= cut).count()
}

/// The index first, then the media data: as files for the web are.
fn faststart(film: &[u8]) -> Vec<u8> {
    let part = |kind| find(film, kind).expect("a box");
    let (head, data, mut index) = (part(b"ftyp"), part(b"mdat"), part(b"moov").to_vec());
    let old = samples(film, TrackKind::Video)[0].start;
    assert!(film[old..].starts_with(data), "samples lie from there on");
    let new = (8 + head.len()) + (8 + index.len()) + 8;
    let shifted = |offset: &[u8]| {
        let offset = offset.iter().fold(0, |n, byte| n << 8 | u64::from(*byte));
        offset - old as u64 + new as u64
    };
    // Every chunk lies elsewhere now.
    let is_table = |w: &[u8]| w == b"co64" || w == b"stco";
    let at = index.windows(4).position(is_table).expect("offsets");
    let width = if &index[at..at + 4] == b"co64" { 8 } else { 4 };
    let n = index[at + 8..].first_chunk().copied();
    let n = n.map(u32::from_be_bytes).expect("their number") as usize;
    for offset in index[at + 12..].chunks_exact_mut(width).take(n) {
        let bytes = shifted(offset).to_be_bytes();
        offset.copy_from_slice(&bytes[8 - width..]);
    }
    let mut file = vec![];
    put(&mut file, b"ftyp", |b| b.extend(head));
    put(&mut file, b"moov", |b| b.extend(index));
    put(&mut file, b"mdat", |b| b.extend(data));
    file
}

#[test]
fn a_film_whose_index_lists_more_than_there_is() {
    let dir = workplace();
    let dir = dir.path();
    write_film(&dir.join("slow.mp4"), 32, 32, 12);
    let whole = faststart(&bytes(dir.join("slow.mp4")));
    fs::write(dir.join("fast.mp4"), &whole).unwrap();
    assert!(film(&dir.join("fast.mp4")) == film(&dir.join("slow.mp4")));
    let samples = samples(&whole, TrackKind::Video);
    assert_eq!(samples.len(), 12);
    assert_eq!(samples[11].end, whole.len());
    // With all of a sample's bytes but the last, and with that.
    for (i, sample) in samples.iter().enumerate().step_by(3) {
        for (cut, n) in [(sample.end - 1, i), (sample.end, i + 1)] {
            fs::write(dir.join("cut.mp4"), &whole[..cut]).unwrap();
            let there = match n {
                0 => "none of its 12 frames is there".into(),
                _ => format!("the first {n} of its 12 frames are there"),
            };
            let says = format!("cut.mp4: is cut short: {there}");
            if n == 0 {
                refuse(dir, "upscale net cut.mp4 -o out.y4m", 1, &[&says]);
            } else {
                told(dir, "cut.mp4", n, &[&says]);
            }
        }
    }
}

/// Noise, or nothing, where a coded frame was: the frames before it are the film.
#[test]
fn a_film_with_a_frame_that_cannot_be_decoded() {
    let dir = workplace();
    let dir = dir.path();
    write_film(&dir.join("whole.mp4"), 32, 32, 12);
    let whole = bytes(dir.join("whole.mp4"));
    let frames = samples(&whole, TrackKind::Video);
    assert_eq!(frames.len(), 12);
    // A sample is one unit, after its length.
    for frame in &frames {
        let length = whole[frame.start..].first_chunk().copied();
        let length = length.map(u32::from_be_bytes).expect("four bytes");
        assert_eq!(length as usize + 4, frame.len(), "one unit a frame");
    }
    let shown = film(&dir.join("whole.mp4"));
    type Change = fn(&mut [u8]);
    let changes: [(&str, Change); 3] = [
        ("no length", |unit| unit[..4].fill(0xff)),
        ("zeros", |unit| unit[5..].fill(0)),
        ("ones", |unit| unit[5..].fill(0xff)),
    ];
    for (what, change) in changes {
        for broken in [1, 5, 11] {
            let mut bytes = whole.clone();
            change(&mut bytes[frames[broken].clone()]);
            fs::write(dir.join("bad.mp4"), &bytes).unwrap();
            let words = format!("{what} in frame {broken}");
            let said = format!("bad.mp4: frame {broken} cannot be decoded (");
            let there = format!("the first {broken} of its 12 frames are there");
            told(dir, "bad.mp4", broken, &[&said, &there]);
            let mut reader = vsr_runtime::video::open_reader(&dir.join("bad.mp4")).unwrap();
            for frame in &shown[..broken] {
                assert!(
                    reader.next_frame().unwrap().as_ref() == Some(frame),
                    "{words}"
                );
            }
        }
        let mut bytes = whole.clone();
        change(&mut bytes[frames[0].clone()]);
        fs::write(dir.join("bad.mp4"), &bytes).unwrap();
        let said = "bad.mp4: frame 0 cannot be decoded";
        refuse(dir, "upscale net bad.mp4 -o out.mp4", 1, &[said]);
    }
}

/// What can be decoded is scored, and trained on.
#[test]
fn a_frame_that_cannot_be_decoded_ends_neither_scoring_nor_training() {
    let dir = workplace();
    let dir = dir.path();
    fs::create_dir(dir.join("clips")).unwrap();
    for name in ["a.mp4", "b.mp4", "c.mp4"] {
        write_film(&dir.join("clips").join(name), 32, 32, 40);
    }
    let path = dir.join("clips/b.mp4");
    let mut film = bytes(&path);
    let unit = samples(&film, TrackKind::Video)[3].clone();
    film[unit][5..].fill(0xff);
    fs::write(&path, film).unwrap();
    let said = "b.mp4: frame 3 cannot be decoded (";
    let done = run(dir, "eval net --data clips");
    told_once("eval", &done, &[said]);
    refuse(dir, "eval net --data clips --strict", 1, &[said]);
    let how = "--data clips --epochs 2 --steps 6 --valid 1";
    let done = succeed(dir, &format!("train net {how} --out run --seed 2"));
    // Almost half of all frames are those that are missing: some are drawn, and it is said once.
    assert_eq!(done.err.matches(said).count(), 1, "{}", done.err);
}

/// Runs ffmpeg; whether there is one.
fn make(dir: &Path, words: &str) -> bool {
    let Some(program) = ffmpeg::find() else {
        skipped("no ffmpeg on PATH");
        return false;
    };
    let mut command = Command::new(program);
    command
        .current_dir(dir)
        .args(["-nostdin", "-v", "error", "-y"]);
    let made = command.args(words.split_whitespace()).status();
    assert!(made.expect("ffmpeg runs").success(), "ffmpeg {words}");
    true
}

#[test]
fn a_fragmented_film_cut_within_a_fragment() {
    let dir = workplace();
    let dir = dir.path();
    write_film(&dir.join("plain.mp4"), 32, 32, 60);
    let how = "-i plain.mp4 -c copy -movflags frag_every_frame+empty_moov frag.mp4";
    if !make(dir, how) {
        return;
    }
    let whole = bytes(dir.join("frag.mp4"));
    assert_eq!(film(&dir.join("frag.mp4")).len(), 60);
    // Every byte of one fragment's index, and of its data: nowhere is it cut without a word.
    let fragments = Mp4::read_bytes(&whole).expect("a whole film").moofs;
    let starts: Vec<usize> = fragments.iter().map(|f| f.start as usize).collect();
    assert_eq!(starts.len(), 60);
    // Before the head of its data.
    let index_end = samples(&whole, TrackKind::Video)[20].start - 8;
    for length in (starts[20] + 1..starts[21]).step_by(7) {
        fs::write(dir.join("cut.mp4"), &whole[..length]).unwrap();
        let done = run(dir, "upscale net cut.mp4 -o out.y4m");
        // Where its index is whole, it lists the frame.
        let says = match length < index_end {
            true => " within a fragment: the 20 frames before it are there",
            false => ": the first 20 of its 21 frames are there",
        };
        told_once("cut.mp4", &done, &[&format!("cut.mp4: is cut short{says}")]);
        assert_eq!(film(&dir.join("out.y4m")).len(), 20, "{length}");
        fs::remove_file(dir.join("out.y4m")).unwrap();
    }
    told(dir, "cut.mp4", 20, &["cut.mp4: is cut short"]);
}

#[test]
fn sound_that_is_cut_short_is_told() {
    let dir = workplace();
    let dir = dir.path();
    if !make(
        dir,
        "-f lavfi -i testsrc2=s=32x32:r=25:d=2 -f lavfi -i sine=d=2 -c:v libx264 -bf 0 -pix_fmt yuv420p -c:a \
            aac -movflags faststart a.mp4",
    ) {
        return;
    }
    let whole = bytes(dir.join("a.mp4"));
    let cut = whole.len() * 7 / 10;
    fs::write(dir.join("cut.mp4"), &whole[..cut]).unwrap();
    let done = run(dir, "upscale net cut.mp4 -o out.mp4");
    assert_eq!(done.code, Some(3), "{}", done.err);
    let count = |kind| {
        let all = samples(&whole, kind);
        let (n, of) = (n_before(&all, cut), all.len());
        assert!(0 < n && n < of, "{n} of {of}");
        (n, of)
    };
    let (n, of) = count(TrackKind::Video);
    assert_eq!(film(&dir.join("out.mp4")).len(), n);
    let (sounds, of_sounds) = count(TrackKind::Audio);
    for says in [
        format!("is cut short: the first {n} of its {of} frames are there"),
        format!("its sound is cut short: {sounds} of {of_sounds} packets are there"),
    ] {
        assert!(done.err.contains(&says), "no `{says}` in {}", done.err);
    }
    assert!(done.out.contains("audio copied"), "{}", done.out);
}

/// How many pictures of 32x32 ffmpeg itself makes of a film.
fn n_decoded(dir: &Path, name: &str) -> usize {
    make(
        dir,
        &format!(
            "-v fatal -i {name} -map 0:v -fps_mode passthrough -f rawvideo -pix_fmt gray decoded"
        ),
    );
    let n = bytes(dir.join("decoded")).len();
    assert_eq!(n % (32 * 32), 0);
    n / (32 * 32)
}

/// Containers that ffmpeg reads: it makes the best of a cut one, and ends well.
#[test]
fn films_that_ffmpeg_reads_to_an_early_end() {
    let dir = workplace();
    let dir = dir.path();
    let source =
        "-f lavfi -i testsrc2=s=32x32:r=25:d=2 -f lavfi -i sine=d=2 -g 10 -pix_fmt yuv420p";
    for (name, codecs) in [
        ("a.mkv", "-c:v libx264 -c:a aac"),
        ("a.avi", "-c:v mpeg4 -c:a mp3"),
        ("a.flv", "-c:v flv1 -c:a mp3"),
        ("a.mov", "-c:v mpeg4 -c:a aac -movflags faststart"),
    ] {
        if !make(dir, &format!("{source} {codecs} {name}")) {
            return;
        }
        let run = |words: &str| -> Done {
            let mut command = command_with_ffmpeg(dir, words).expect("it is there");
            command.output().expect("the program starts").into()
        };
        let done = run(&format!("upscale net {name} -o out.y4m"));
        assert_eq!(
            (done.code, done.err.as_str()),
            (Some(0), ""),
            "{name}, whole"
        );
        assert_eq!(film(&dir.join("out.y4m")).len(), 50, "{name}");
        let whole = bytes(dir.join(name));
        let cut = format!("cut-{name}");
        fs::write(dir.join(&cut), &whole[..whole.len() * 6 / 10]).unwrap();
        let done = run(&format!("upscale net {cut} -o out.y4m --overwrite"));
        assert_eq!(done.code, Some(3), "{cut}\n{}", done.err);
        assert!(
            done.err.contains(&format!("warning: {cut}: ")),
            "{}",
            done.err
        );
        let n = film(&dir.join("out.y4m")).len();
        assert_eq!(n, n_decoded(dir, &cut), "{cut}");
        assert!(0 < n && n < 50, "{cut}: {n}");
        fs::remove_file(dir.join("out.y4m")).unwrap();
        // The rest of its sound goes with it, into any container.
        for output in ["out.mkv", "out.mp4"] {
            let done = run(&format!("upscale net {cut} -o {output}"));
            told_once(&cut, &done, &[&cut]);
            fs::remove_file(dir.join(output)).unwrap();
        }
        let strict = run(&format!("upscale net {cut} -o out.y4m --strict"));
        check(&cut, &strict, 1, &[&cut, "--strict"]);
        assert!(!dir.join("out.y4m").exists());
    }
    // Sound that is longer than the picture is none.
    let longer = "-f lavfi -i testsrc2=s=32x32:r=25:d=1 -f lavfi -i sine=d=3 -c:v libx264 -pix_fmt yuv420p -c:a \
        aac b.mkv";
    make(dir, longer);
    let mut command =
        command_with_ffmpeg(dir, "upscale net b.mkv -o out.y4m").expect("it is there");
    let done: Done = command.output().expect("the program starts").into();
    assert_eq!((done.code, done.err.as_str()), (Some(0), ""));
}

#[test]
fn a_sequence_with_a_number_missing() {
    let dir = workplace();
    let dir = dir.path();
    fs::create_dir(dir.join("shot")).unwrap();
    write_film(&dir.join("shot/f%03d.png"), 16, 16, 10);
    fs::remove_file(dir.join("shot/f005.png")).unwrap();
    let words = "upscale net shot/f%03d.png -o out.y4m";
    let done = run(dir, words);
    told_once(words, &done, &["shot/f%03d.png: picture 5 is missing"]);
    assert_eq!(film(&dir.join("out.y4m")).len(), 9);
    fs::remove_file(dir.join("out.y4m")).unwrap();
    refuse(
        dir,
        &format!("{words} --strict"),
        1,
        &["picture 5 is missing", "--strict"],
    );
    succeed(dir, &format!("{words} --strict --limit 4"));
    fs::remove_file(dir.join("out.y4m")).unwrap();
    // A folder holds what it holds: told, and no damage for certain.
    let done = succeed(dir, "upscale net shot -o out.y4m");
    assert!(
        done.err.contains("warning: shot: picture 5 is missing"),
        "{}",
        done.err
    );
    fs::remove_file(dir.join("out.y4m")).unwrap();
    refuse(
        dir,
        "upscale net shot -o out.y4m --strict",
        1,
        &["picture 5 is missing"],
    );
}

/// Films of all kinds of trouble among good ones.
fn footage(folder: &Path) {
    fs::create_dir(folder).unwrap();
    for n in 0..3 {
        write_film(&folder.join(format!("good{n}.y4m")), 40, 32, 6);
    }
    fs::write(folder.join("broken.mp4"), "no film at all").unwrap();
    fs::write(folder.join("empty.y4m"), "").unwrap();
    write_film(&folder.join("tiny.y4m"), 6, 6, 6);
    // What other programs leave.
    fs::write(folder.join("._good0.mp4"), "resource fork").unwrap();
    fs::write(folder.join(".thumb.jpg"), "thumbnail").unwrap();
    fs::create_dir(folder.join(".cache")).unwrap();
    fs::write(folder.join(".cache/a.png"), "cache").unwrap();
}

#[test]
fn a_broken_film_ends_no_training() {
    let dir = workplace();
    let dir = dir.path();
    footage(&dir.join("clips"));
    let how = "--epochs 2 --steps 4 --valid 2";
    let done = succeed(dir, &format!("train net --data clips --out run {how}"));
    for name in ["broken.mp4", "empty.y4m", "tiny.y4m"] {
        let said = done.err.matches(&format!("left out: clips/{name}")).count();
        assert_eq!(said, 1, "{name}\n{}", done.err);
    }
    assert_eq!(done.err.matches("left out").count(), 3, "{}", done.err);
    assert!(
        done.err.contains("2 clips (12 frames) to train, 1 clips"),
        "{}",
        done.err
    );
    assert!(done.out.contains("3 clips were left out"), "{}", done.out);
    // The others are what it would have been alone.
    fs::create_dir(dir.join("good")).unwrap();
    for n in 0..3 {
        let name = format!("good{n}.y4m");
        fs::copy(dir.join("clips").join(&name), dir.join("good").join(&name)).unwrap();
    }
    let alone = succeed(dir, &format!("train net --data good --out alone {how}"));
    assert!(!alone.err.contains("left out"), "{}", alone.err);
    assert!(bytes(dir.join("run/best.safetensors")) == bytes(dir.join("alone/best.safetensors")));
    let strict = format!("train net --data clips --out strict {how} --strict");
    refuse(dir, &strict, 1, &["clips/broken.mp4", "--strict"]);
    succeed(
        dir,
        &format!("train net --data good --out strict {how} --strict -q"),
    );
    fs::remove_file(dir.join("good/good1.y4m")).unwrap();
    fs::remove_file(dir.join("good/good2.y4m")).unwrap();
    fs::write(dir.join("good/good0.y4m"), "no film").unwrap();
    refuse(
        dir,
        &format!("train net --data good --out none {how}"),
        1,
        &["nothing to train on", "good0.y4m"],
    );
}

/// Pictures within a clip are first looked at when they are drawn; a run that stops there and goes on has the same
/// bytes.
#[test]
fn a_clip_that_breaks_when_it_is_drawn_is_left_out_whenever_the_run_stops() {
    let dir = workplace();
    let dir = dir.path();
    fs::create_dir(dir.join("clips")).unwrap();
    for clip in 0..4 {
        let folder = dir.join(format!("clips/{clip}"));
        fs::create_dir(&folder).unwrap();
        write_film(&folder.join("%03d.png"), 24, 24, 3);
    }
    let picture = dir.join("clips/1/002.png");
    let whole = bytes(&picture);
    fs::write(&picture, &whole[..whole.len() * 2 / 3]).unwrap();
    let how = "--data clips --steps 6 --valid 1 --seed 3";
    let done = succeed(dir, &format!("train net {how} --out whole --epochs 3"));
    let named = done
        .err
        .lines()
        .filter(|l| l.contains("clips/1/002.png"))
        .count();
    assert_eq!(named, 1, "{}", done.err);
    assert!(done.out.contains("1 clip was left out"), "{}", done.out);
    succeed(dir, &format!("train net {how} --out run --epochs 1 -q"));
    for epochs in [2, 3] {
        succeed(dir, &format!("train net --resume run --epochs {epochs} -q"));
    }
    assert!(contents(&dir.join("run")) == contents(&dir.join("whole")));
    let strict = run(
        dir,
        &format!("train net {how} --out strict --epochs 3 --strict"),
    );
    check(
        "train --strict",
        &strict,
        1,
        &["clips/1/002.png", "--strict"],
    );
}

#[test]
fn a_broken_film_ends_no_scoring() {
    let dir = workplace();
    let dir = dir.path();
    footage(&dir.join("clips"));
    let done = run(dir, "eval net --data clips");
    assert_eq!(done.code, Some(3), "{}", done.err);
    for name in ["broken.mp4", "empty.y4m", "tiny.y4m"] {
        assert_eq!(done.err.matches(name).count(), 1, "{name}\n{}", done.err);
    }
    assert!(done.out.contains("3 of 6 clips left out"), "{}", done.out);
    assert_eq!(
        done.out.lines().filter(|l| l.starts_with("good")).count(),
        3
    );
    let json = run(dir, "eval net --data clips --json -q");
    let report: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(
        report["left_out"].as_array().map(Vec::len),
        Some(3),
        "{}",
        json.out
    );
    refuse(dir, "eval net --data clips --strict", 1, &["broken.mp4"]);
    // A film of which a part is there is scored as far as it goes.
    let film = bytes(dir.join("clips/good1.y4m"));
    for name in ["broken.mp4", "empty.y4m", "tiny.y4m"] {
        fs::remove_file(dir.join("clips").join(name)).unwrap();
    }
    succeed(dir, "eval net --data clips --strict");
    fs::write(dir.join("clips/good1.y4m"), &film[..film.len() / 2]).unwrap();
    let done = run(dir, "eval net --data clips");
    told_once("eval", &done, &["good1.y4m: is cut short"]);
    refuse(
        dir,
        "eval net --data clips --strict",
        1,
        &["good1.y4m", "cut short"],
    );
}
