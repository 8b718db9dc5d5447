//! Sequences of PNG or JPEG pictures, and single ones. Enters: a folder, a printf pattern (`shot/%05d.png`) or a
//! picture. Leaves: frames in natural order of names. Alpha is dropped and 16 bits are rounded to 8. Pictures of
//! unequal size are an error, never resized; a picture that was cut short is one, too.

use super::sequence::{Pattern, files_in, gaps, numbering};
use super::{Damage, Frame, FrameReader, Info, Limits, MediaError, Result, jpeg};
use crate::memory;
use image::{ColorType, ImageDecoder};
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Cursor, Read, Seek};
use std::path::{Path, PathBuf};
use vsr_artifact::shown_path;

/// Frames a second of a sequence, which carries no times of its own.
const DEFAULT_RATE: u32 = 25;

pub struct ImageReader {
    files: VecDeque<PathBuf>,
    info: Info,
    limits: Limits,
    n_read: i64,
    damage: Vec<Damage>,
}

/// Memory that a picture takes while it is read: 16 bits with alpha and RGB, or a JPEG's coefficients.
const BYTES_A_PIXEL: u64 = 16;
/// What may stand beside the pixels: profiles, texts.
const EXTRA_BYTES: u64 = 32 << 20;

impl ImageReader {
    /// `path` is a folder, a pattern or one picture.
    pub fn open(path: &Path, limits: &Limits) -> Result<ImageReader> {
        let (files, damage) = find(path)?;
        let Some(first) = files.first() else {
            return Err(MediaError::file(path, "holds no PNG or JPEG pictures"));
        };
        let (width, height) = checked_size(first, limits)?;
        let info = Info {
            width,
            height,
            timescale: DEFAULT_RATE,
            frame_duration: 1,
            frames: Some(files.len() as u64),
            full_chroma: true,
        };
        Ok(ImageReader {
            files: files.into(),
            info,
            limits: *limits,
            n_read: 0,
            damage,
        })
    }
}

/// The pictures that a path names, and what is missing between them. A pattern asks for all numbers; a folder holds
/// whatever it holds, and a gap there may be meant.
fn find(path: &Path) -> Result<(Vec<PathBuf>, Vec<Damage>)> {
    if path.is_dir() {
        let files = files_in(path)?;
        let numbers = numbering(&files).unwrap_or_default();
        let gaps = gaps(path, &numbers);
        return Ok((files, suspected(path, &gaps).into_iter().collect()));
    }
    let Some(pattern) = Pattern::parse(path) else {
        return Ok((vec![path.to_path_buf()], vec![]));
    };
    let numbers = pattern.numbers()?;
    let files = numbers.iter().map(|n| pattern.path(*n));
    Ok((files.collect(), gaps(path, &numbers)))
}

/// Gaps in a folder's numbering, in one sentence: photographs have many.
fn suspected(path: &Path, gaps: &[Damage]) -> Option<Damage> {
    let first = gaps.first()?;
    let text = match gaps.len() {
        1 => first.text.clone(),
        n => {
            let after = first.frame;
            let path = shown_path(path);
            format!(
                "{path}: numbers are missing from its numbering in {n} places, first after {after} pictures"
            )
        }
    };
    Some(Damage::suspected(first.frame, text))
}

impl FrameReader for ImageReader {
    fn info(&self) -> &Info {
        &self.info
    }

    fn next_frame(&mut self) -> Result<Option<Frame>> {
        let Some(path) = self.files.pop_front() else {
            return Ok(None);
        };
        let (width, height, rgb) = read_image(&path, &self.limits)?;
        if (width, height) != (self.info.width, self.info.height) {
            let Info {
                width: w,
                height: h,
                ..
            } = self.info;
            return Err(MediaError::file(
                &path,
                format!("is {width}x{height}, but the pictures before it are {w}x{h}"),
            ));
        }
        let time = self.n_read;
        self.n_read += 1;
        Ok(Some(Frame {
            width,
            height,
            rgb,
            time,
            duration: 1,
        }))
    }

    fn skip_frames(&mut self, n: u64) -> Result<()> {
        let n = n.min(self.files.len() as u64);
        self.files.drain(..n as usize);
        self.n_read += n as i64;
        Ok(())
    }

    fn damage(&self) -> Vec<Damage> {
        self.damage.clone()
    }
}

/// A reader of one picture that allocates no more than these bytes beside its result.
fn reader<R: BufRead + Seek>(
    path: &Path,
    input: R,
    max_bytes: u64,
) -> Result<image::ImageReader<R>> {
    let reader = image::ImageReader::new(input).with_guessed_format();
    let mut reader = reader.map_err(|e| MediaError::cannot_read(path, &e))?;
    let mut limits = image::Limits::default();
    limits.max_alloc = Some(max_bytes);
    reader.limits(limits);
    Ok(reader)
}

/// Width and height out of a picture's head, and only if there is room for them.
fn checked_size(path: &Path, limits: &Limits) -> Result<(usize, usize)> {
    let file = vsr_artifact::open_file(path).map_err(|e| MediaError::cannot_read(path, &e))?;
    let size = reader(path, BufReader::new(file), EXTRA_BYTES)?.into_dimensions();
    let (width, height) = match size {
        Ok(size) => size,
        // A head that ends too early is said as it is of the rest.
        Err(_) if jpeg::is_cut_short(&whole(path)?) => return Err(cut_short(path)),
        Err(e) => return Err(unreadable(path, &e)),
    };
    let (width, height) = (width as usize, height as usize);
    limits.check(path, width, height, BYTES_A_PIXEL)?;
    Ok((width, height))
}

/// One picture as (width, height, RGB).
pub fn read_image(path: &Path, limits: &Limits) -> Result<(usize, usize, Vec<u8>)> {
    let (width, height) = checked_size(path, limits)?;
    let bytes = whole(path)?;
    if jpeg::is_cut_short(&bytes) {
        return Err(cut_short(path));
    }
    let max_bytes = EXTRA_BYTES + BYTES_A_PIXEL * (width * height) as u64;
    let broken = |e: image::ImageError| unreadable(path, &e);
    let reader = reader(path, Cursor::new(bytes), max_bytes)?;
    let decoder = reader.into_decoder().map_err(broken)?;
    let kind = decoder.color_type();
    let n_bytes = usize::try_from(decoder.total_bytes()).unwrap_or(usize::MAX);
    let mut raw = memory::zeroed(n_bytes, "a picture")?;
    decoder.read_image(&mut raw).map_err(broken)?;
    Ok((width, height, rgb_of(raw, kind, width * height)?))
}

fn cut_short(path: &Path) -> MediaError {
    MediaError::file(path, "is cut short: this JPEG has no end")
}

/// All bytes of a file: decoders do not say where it ends too early.
fn whole(path: &Path) -> Result<Vec<u8>> {
    let failed = |e: std::io::Error| MediaError::cannot_read(path, &e);
    let file = vsr_artifact::open_file(path).map_err(failed)?;
    let n_bytes = file.metadata().map_err(failed)?.len();
    let mut bytes = Vec::new();
    let n = usize::try_from(n_bytes).unwrap_or(usize::MAX);
    memory::reserve(&mut bytes, n, &format!("the file {}", shown_path(path)))?;
    let read = file.take(n_bytes).read_to_end(&mut bytes);
    read.map_err(failed)?;
    Ok(bytes)
}

/// Grey is spread, alpha dropped, 16 bits are rounded to 8.
fn rgb_of(raw: Vec<u8>, kind: ColorType, n_pixels: usize) -> Result<Vec<u8>> {
    if kind == ColorType::Rgb8 {
        return Ok(raw);
    }
    let (n_channels, n_bytes) = (
        usize::from(kind.channel_count()),
        usize::from(kind.bytes_per_pixel()),
    );
    let is_wide = n_bytes == 2 * n_channels;
    let value = |pixel: &[u8], channel: usize| match is_wide {
        true => {
            let at = 2 * channel;
            let wide = u16::from_ne_bytes([pixel[at], pixel[at + 1]]);
            ((u32::from(wide) + 128) / 257) as u8
        }
        false => pixel[channel],
    };
    let mut rgb = Vec::new();
    memory::reserve(&mut rgb, 3 * n_pixels, "a picture")?;
    for pixel in raw.chunks_exact(n_bytes) {
        rgb.extend([0, 1, 2].map(|c| value(pixel, if n_channels < 3 { 0 } else { c })));
    }
    Ok(rgb)
}

fn unreadable(path: &Path, error: &image::ImageError) -> MediaError {
    match error {
        image::ImageError::IoError(e) => MediaError::cannot_read(path, e),
        _ => MediaError::file(
            path,
            format!("is not a readable PNG or JPEG picture ({error})"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::video::image_writer::write_image;

    fn picture() -> Vec<u8> {
        (0..7 * 5 * 3).collect()
    }

    #[test]
    fn faults_are_sentences() {
        let root = tempfile::tempdir().unwrap();
        let open = |name: &str| {
            ImageReader::open(&root.path().join(name), &Limits::default())
                .err()
                .map(|e| e.to_string())
                .unwrap_or_default()
        };
        assert!(open("").contains("holds no PNG or JPEG"));
        std::fs::write(root.path().join("1.png"), "text").unwrap();
        assert!(
            open("1.png").contains("not a readable PNG or JPEG"),
            "{}",
            open("1.png")
        );
        write_image(&root.path().join("1.png"), 7, 5, &picture()).unwrap();
        write_image(&root.path().join("2.png"), 1, 1, &[1, 2, 3]).unwrap();
        let mut reader = ImageReader::open(root.path(), &Limits::default()).unwrap();
        reader.next_frame().unwrap();
        assert!(
            reader
                .next_frame()
                .unwrap_err()
                .to_string()
                .contains("is 1x1, but the pictures before it are 7x5")
        );
    }

    #[test]
    fn missing_pictures_are_told_and_the_others_read() {
        let root = tempfile::tempdir().unwrap();
        for n in [1, 2, 4] {
            let path = root.path().join(format!("f{n}.png"));
            write_image(&path, 7, 5, &picture()).unwrap();
        }
        for (path, is_loss) in [("f%d.png", true), ("", false)] {
            let mut reader =
                ImageReader::open(&root.path().join(path), &Limits::default()).unwrap();
            assert_eq!(reader.info().frames, Some(3));
            let damage = reader.damage();
            assert_eq!((damage.len(), damage[0].frame), (1, 2), "{damage:?}");
            assert_eq!(damage[0].is_loss, is_loss);
            assert!(
                damage[0].text.contains("picture 3 is missing"),
                "{damage:?}"
            );
            let n = std::iter::from_fn(|| reader.next_frame().unwrap()).count();
            assert_eq!(n, 3);
        }
    }

    #[test]
    fn a_picture_cut_anywhere_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let rgb: Vec<u8> = (0..64 * 48 * 3).map(|i| (i * i % 251) as u8).collect();
        for name in ["a.png", "a.jpg"] {
            let path = root.path().join(name);
            write_image(&path, 64, 48, &rgb).unwrap();
            let whole = std::fs::read(&path).unwrap();
            for part in 1..20 {
                std::fs::write(&path, &whole[..whole.len() * part / 20]).unwrap();
                let refused = read_image(&path, &Limits::default()).unwrap_err();
                assert!(refused.is_user(), "{name} {part}: {refused}");
            }
            std::fs::write(&path, &whole[..whole.len() - 2]).unwrap();
            assert!(
                name == "a.png" || read_image(&path, &Limits::default()).is_err(),
                "{name}"
            );
            std::fs::write(&path, &whole).unwrap();
            assert_eq!(read_image(&path, &Limits::default()).unwrap().0, 64);
        }
    }
}
