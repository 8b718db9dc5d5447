//! Every damage that can be listed, to each of the valid files.

use super::counting::peak;
use super::valid::{Valid, media, weights};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Once;
use vsr_runtime::tensors;
use vsr_runtime::video::{Limits, OutputSpec, create_writer, open_reader_within};

/// Sixteen times the pixels of the valid films.
const LIMITS: Limits = Limits { pixels: 4096 };
/// Buffers of fixed size: of files, of decompression.
const FIXED_BYTES: usize = 3 << 20;
/// For each pixel of the limit: 16 bits with alpha, RGB, what decoders keep.
const BYTES_A_PIXEL: usize = 64;
/// For each byte of the file: a pickle's values, an index's samples.
const BYTES_A_BYTE: usize = 256;

/// No other program is asked for help.
fn alone() {
    static ONCE: Once = Once::new();
    // SAFETY: nothing of this process but Rust's own library reads the environment.
    ONCE.call_once(|| unsafe { std::env::set_var("PATH", "") });
}

/// Reads a file to its end: what is in it, in short.
type Read = fn(&Path) -> Result<String, String>;

/// All frames of a film.
pub fn read_film(path: &Path) -> Result<String, String> {
    alone();
    let mut reader = open_reader_within(path, &LIMITS).map_err(|e| e.to_string())?;
    let mut n_frames = 0;
    while let Some(frame) = reader.next_frame().map_err(|e| e.to_string())? {
        assert_eq!(frame.rgb.len(), 3 * frame.width * frame.height);
        assert!((frame.width * frame.height) as u64 <= LIMITS.pixels);
        n_frames += 1;
    }
    Ok(format!("{n_frames} frames"))
}

/// A film written anew, with what can be copied of the old one.
pub fn copy_film(path: &Path) -> Result<String, String> {
    alone();
    let mut reader = open_reader_within(path, &LIMITS).map_err(|e| e.to_string())?;
    let spec = OutputSpec::scaled(reader.info(), 1, Some(path));
    let copy = path.with_file_name("copy.mp4");
    let mut writer = create_writer(&copy, &spec).map_err(|e| e.to_string())?;
    while let Some(frame) = reader.next_frame().map_err(|e| e.to_string())? {
        writer.write_frame(&frame).map_err(|e| e.to_string())?;
    }
    let notes = writer.finish().map_err(|e| e.to_string())?;
    Ok(notes.join(", "))
}

/// All numbers of a file of weights.
pub fn read_weights(path: &Path) -> Result<String, String> {
    let file = tensors::read(path).map_err(|e| e.to_string())?;
    for tensor in file.tensors.values() {
        let n: u64 = tensor.shape.iter().product();
        assert_eq!(tensor.data.len() as u64, n);
    }
    Ok(format!("{:?}", file.tensors))
}

/// The file is read, or there is one sentence, and memory stays within its bound.
pub fn check(path: &Path, bytes: &[u8], how: &str, read: Read) -> Result<String, String> {
    std::fs::write(path, bytes).unwrap();
    let (result, most) = peak(|| catch_unwind(AssertUnwindSafe(|| read(path))));
    let name = path.display();
    let result = result.unwrap_or_else(|_| panic!("{name}, {how}: a panic"));
    if let Err(said) = &result {
        assert!(
            !said.is_empty() && said.len() < 1000 && !said.contains(char::is_control),
            "{name}, {how}: {said:?}"
        );
    }
    let bound = FIXED_BYTES + BYTES_A_BYTE * bytes.len() + BYTES_A_PIXEL * LIMITS.pixels as usize;
    assert!(most <= bound, "{name}, {how}: {most} bytes of {bound}");
    result
}

fn ways(bytes: &[u8]) -> impl Iterator<Item = (String, Vec<u8>)> {
    let cut = |n: usize| (format!("cut at {n}"), bytes[..n].to_vec());
    let with = |at: usize, new: &[u8], what: &str| {
        let mut changed = bytes.to_vec();
        let end = changed.len().min(at + new.len());
        changed[at..end].copy_from_slice(&new[..end - at]);
        (format!("{what} at {at}"), changed)
    };
    let mut state = 1u64;
    let mut random = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    let byte = move |at: usize| {
        let old = bytes[at];
        let new = [random(), old ^ 1 << (at % 8)];
        new.map(|new| with(at, &[new], &format!("byte {new}")))
    };
    const LARGE: [u32; 3] = [u32::MAX, 0x7fff_ffff, 0x4000_0000];
    let large = move |at: usize| {
        LARGE.into_iter().flat_map(move |n| {
            [n.to_be_bytes(), n.to_le_bytes()].map(|new| with(at, &new, &format!("field {n:#x}")))
        })
    };
    let all = 0..bytes.len();
    all.clone()
        .map(cut)
        .chain(all.clone().flat_map(byte))
        .chain(all.flat_map(large))
}

/// Tries every way; of what is read in spite of it, `same` says that it must be what was there before.
fn try_all(valid: &Valid, read: Read, same: bool) {
    // Thousands of small files: in memory, where there is such a place.
    let memory = Path::new("/dev/shm");
    let dir = match memory.is_dir() {
        true => tempfile::tempdir_in(memory).unwrap(),
        false => tempfile::tempdir().unwrap(),
    };
    let path = dir.path().join(valid.name);
    let whole = check(&path, &valid.bytes, "as it is", read).expect("it is valid");
    let (mut n_tried, mut n_refused) = (0, 0);
    for (how, bytes) in ways(&valid.bytes) {
        n_tried += 1;
        match check(&path, &bytes, &how, read) {
            Ok(content) => assert!(
                !same || content == whole,
                "{}, {how}: {content}",
                valid.name
            ),
            Err(_) => n_refused += 1,
        }
    }
    assert_eq!(n_tried, 9 * valid.bytes.len());
    assert!(
        n_refused >= valid.bytes.len() / 2,
        "{n_refused} of {n_tried}"
    );
}

fn of(name: &str) -> Valid {
    let all = media().into_iter().chain(weights());
    all.into_iter().find(|v| v.name == name).unwrap()
}

#[test]
fn y4m() {
    try_all(&of("a.y4m"), read_film, false);
}

#[test]
fn mp4() {
    try_all(&of("a.mp4"), read_film, false);
}

/// Sound is copied out of a file that nobody vouches for.
#[test]
fn mp4_with_sound_that_is_copied() {
    let valid = of("sound.mp4");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(valid.name);
    let copied = check(&path, &valid.bytes, "as it is", copy_film);
    assert_eq!(copied.unwrap(), "audio copied");
    try_all(&valid, copy_film, false);
}

#[test]
fn fragmented_mp4() {
    try_all(&of("fragments.mp4"), read_film, false);
}

#[test]
fn png() {
    try_all(&of("a.png"), read_film, false);
}

#[test]
fn jpeg() {
    try_all(&of("a.jpg"), read_film, false);
}

/// What carries a checksum is never read with other numbers.
#[test]
fn safetensors() {
    try_all(&of("a.safetensors"), read_weights, true);
}

#[test]
fn archives_of_torch() {
    try_all(&of("wrapped.pth"), read_weights, true);
}

#[test]
fn older_files_of_torch() {
    try_all(&of("old-wrapped.pth"), read_weights, false);
}

#[test]
fn older_networks_of_torch() {
    try_all(&of("old-module.pth"), read_weights, false);
}
