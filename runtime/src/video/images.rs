//! Sequences of PNG or JPEG pictures, and single ones. Enters: a folder, a printf pattern (`shot/%05d.png`) or a picture.
//! Leaves: frames in natural order of names, or numbered files. Alpha is dropped and 16 bits are rounded to 8.
//! Pictures of unequal size are an error, never resized.

use super::output::beside;
use super::{Frame, FrameReader, FrameWriter, Info, Limits, MediaError, OutputSpec, Result};
use crate::memory;
use image::{ColorType, ExtendedColorType, ImageDecoder, ImageEncoder};
use std::collections::VecDeque;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use vsr_artifact::shown_path;

pub const EXTENSIONS: [&str; 3] = ["png", "jpg", "jpeg"];

/// Frames a second of a sequence, which carries no times of its own.
const DEFAULT_RATE: u32 = 25;

pub struct ImageReader {
    files: VecDeque<PathBuf>,
    info: Info,
    limits: Limits,
    n_read: i64,
}

/// Memory that a picture takes while it is read: 16 bits with alpha and RGB, or a JPEG's coefficients.
const BYTES_A_PIXEL: u64 = 16;
/// What may stand beside the pixels: profiles, texts.
const EXTRA_BYTES: u64 = 32 << 20;

impl ImageReader {
    /// `path` is a folder, a pattern or one picture.
    pub fn open(path: &Path, limits: &Limits) -> Result<ImageReader> {
        let files = if path.is_dir() {
            files_in(path)?
        } else if let Some(pattern) = Pattern::parse(path) {
            pattern.existing()?
        } else {
            vec![path.to_path_buf()]
        };
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
        })
    }
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
}

/// A reader of one picture that allocates no more than these bytes beside its result.
fn reader(path: &Path, max_bytes: u64) -> Result<image::ImageReader<BufReader<File>>> {
    let failed = |e: std::io::Error| MediaError::cannot_read(path, &e);
    let file = vsr_artifact::open_file(path).map_err(failed)?;
    let reader = image::ImageReader::new(BufReader::new(file));
    let mut reader = reader.with_guessed_format().map_err(failed)?;
    let mut limits = image::Limits::default();
    limits.max_alloc = Some(max_bytes);
    reader.limits(limits);
    Ok(reader)
}

/// Width and height out of a picture's head, and only if there is room for them.
fn checked_size(path: &Path, limits: &Limits) -> Result<(usize, usize)> {
    let size = reader(path, EXTRA_BYTES)?.into_dimensions();
    let (width, height) = size.map_err(|e| unreadable(path, &e))?;
    let (width, height) = (width as usize, height as usize);
    limits.check(path, width, height, BYTES_A_PIXEL)?;
    Ok((width, height))
}

/// One picture as (width, height, RGB).
pub fn read_image(path: &Path, limits: &Limits) -> Result<(usize, usize, Vec<u8>)> {
    let (width, height) = checked_size(path, limits)?;
    let max_bytes = EXTRA_BYTES + BYTES_A_PIXEL * (width * height) as u64;
    let broken = |e: image::ImageError| unreadable(path, &e);
    let decoder = reader(path, max_bytes)?.into_decoder().map_err(broken)?;
    let kind = decoder.color_type();
    let n_bytes = usize::try_from(decoder.total_bytes()).unwrap_or(usize::MAX);
    let mut raw = memory::zeroed(n_bytes, "a picture")?;
    decoder.read_image(&mut raw).map_err(broken)?;
    Ok((width, height, rgb_of(raw, kind, width * height)?))
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

pub fn has_image_extension(path: &Path) -> bool {
    let extension = path
        .extension()
        .map(|e| e.to_string_lossy().to_ascii_lowercase());
    extension.is_some_and(|e| EXTENSIONS.contains(&e.as_str()))
}

/// Pictures of a folder, numbers inside their names counted as numbers.
pub fn files_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).map_err(|e| MediaError::cannot_read(folder, &e))?;
    let hidden = |p: &Path| {
        p.file_name()
            .is_some_and(|n| n.to_string_lossy().starts_with('.'))
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|e| e.ok().map(|e| e.path()))
        .filter(|p| has_image_extension(p) && !hidden(p))
        .collect();
    files.sort_by_key(|p| natural_key(&p.file_name().unwrap_or_default().to_string_lossy()));
    Ok(files)
}

/// Text and numbers in turn, so that `f10` comes after `f9`.
pub fn natural_key(name: &str) -> Vec<(String, u64)> {
    let mut key: Vec<(String, u64)> = vec![Default::default()];
    let mut in_number = false;
    for c in name.chars() {
        let last = key.len() - 1;
        match c.to_digit(10) {
            Some(digit) => {
                key[last].1 = key[last]
                    .1
                    .saturating_mul(10)
                    .saturating_add(u64::from(digit));
                in_number = true;
            }
            None if in_number => {
                key.push((c.to_string(), 0));
                in_number = false;
            }
            None => key[last].0.push(c),
        }
    }
    key
}

/// `before%0Nd.png` split at its conversion.
#[derive(Clone, Debug, PartialEq)]
pub struct Pattern {
    folder: PathBuf,
    before: String,
    digits: usize,
    after: String,
}

impl Pattern {
    pub fn parse(path: &Path) -> Option<Pattern> {
        let name = path.file_name()?.to_str()?;
        let (before, rest) = name.split_once('%')?;
        let (digits, after) = rest.split_once('d')?;
        let digits = if digits.is_empty() {
            0
        } else {
            digits.parse().ok()?
        };
        let folder = path.parent().map(PathBuf::from).unwrap_or_default();
        (digits <= 20).then(|| Pattern {
            folder,
            before: before.into(),
            digits,
            after: after.into(),
        })
    }

    pub fn name(&self, number: u64) -> String {
        format!(
            "{}{number:0width$}{}",
            self.before,
            self.after,
            width = self.digits
        )
    }

    /// Files from the lowest number on, until one is missing.
    fn existing(&self) -> Result<Vec<PathBuf>> {
        let folder = if self.folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            &self.folder
        };
        let entries = std::fs::read_dir(folder).map_err(|e| MediaError::cannot_read(folder, &e))?;
        let number = |e: std::io::Result<std::fs::DirEntry>| {
            let name = e.ok()?.file_name().into_string().ok()?;
            let n = name
                .strip_prefix(&self.before)?
                .strip_suffix(&self.after)?
                .parse()
                .ok()?;
            (self.name(n) == name).then_some(n)
        };
        let first: u64 = entries.filter_map(number).min().unwrap_or(0);
        Ok((first..)
            .map(|n| self.folder.join(self.name(n)))
            .take_while(|p| p.exists())
            .collect())
    }
}

/// Writes pictures into a hidden folder and moves them to their place at the end.
pub struct ImageWriter {
    hidden: Hidden,
    target: Target,
    n_written: u64,
}

enum Target {
    Numbered(Pattern),
    Single(PathBuf),
}

/// Removes the folder with all it holds when dropped.
struct Hidden(PathBuf);

impl Drop for Hidden {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl ImageWriter {
    /// `path` is a folder, a pattern, or the name of a single picture.
    pub fn create(path: &Path, _spec: &OutputSpec) -> Result<ImageWriter> {
        let target = match Pattern::parse(path) {
            Some(pattern) => Target::Numbered(pattern),
            None if has_image_extension(path) => Target::Single(path.into()),
            None => Target::Numbered(Pattern {
                folder: path.into(),
                before: String::new(),
                digits: 6,
                after: ".png".into(),
            }),
        };
        if let Target::Numbered(pattern) = &target
            && !has_image_extension(Path::new(&pattern.after))
            && !has_image_extension(Path::new(&pattern.name(0)))
        {
            return Err(MediaError::file(
                path,
                "names pictures that are neither .png nor .jpg",
            ));
        }
        let place = match &target {
            Target::Numbered(pattern) if pattern.folder.as_os_str().is_empty() => {
                PathBuf::from("frames")
            }
            Target::Numbered(pattern) => pattern.folder.clone(),
            Target::Single(path) => path.clone(),
        };
        let hidden = Hidden(beside(&absolute(&place)));
        std::fs::create_dir(&hidden.0).map_err(|e| MediaError::cannot_write(path, &e))?;
        Ok(ImageWriter {
            hidden,
            target,
            n_written: 0,
        })
    }
}

/// A path with a last component, also for `.` and `shot/`.
fn absolute(path: &Path) -> PathBuf {
    let path = std::fs::canonicalize(path)
        .or_else(|_| std::path::absolute(path))
        .unwrap_or_else(|_| path.into());
    path.components().collect()
}

impl FrameWriter for ImageWriter {
    fn write_frame(&mut self, frame: &Frame) -> Result<()> {
        let name = match &self.target {
            Target::Numbered(pattern) => pattern.name(self.n_written + 1),
            Target::Single(path) if self.n_written == 0 => path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            Target::Single(path) => {
                return Err(MediaError::file(
                    path,
                    "is one picture, but the clip has several frames: give a folder or a pattern like out/%05d.png",
                ));
            }
        };
        write_image(
            &self.hidden.0.join(name),
            frame.width,
            frame.height,
            &frame.rgb,
        )?;
        self.n_written += 1;
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Vec<String>> {
        let folder = match &self.target {
            Target::Numbered(pattern) => pattern.folder.clone(),
            Target::Single(path) => path.parent().map(PathBuf::from).unwrap_or_default(),
        };
        let failed = |e: std::io::Error| MediaError::cannot_write(&folder, &e);
        if !folder.as_os_str().is_empty() && !folder.exists() {
            // The whole folder appears at once.
            let hidden = std::fs::rename(&self.hidden.0, &folder);
            return hidden.map(|()| Vec::new()).map_err(failed);
        }
        for entry in std::fs::read_dir(&self.hidden.0).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            std::fs::rename(entry.path(), folder.join(entry.file_name())).map_err(failed)?;
        }
        Ok(Vec::new())
    }
}

/// Writes a PNG, or a JPEG of quality 95, by the extension of `path`.
pub fn write_image(path: &Path, width: usize, height: usize, rgb: &[u8]) -> Result<()> {
    let file = std::fs::File::create(path).map_err(|e| MediaError::cannot_write(path, &e))?;
    let out = std::io::BufWriter::new(file);
    let is_png = path
        .extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("png"));
    let (w, h) = (width as u32, height as u32);
    let written =
        if is_png {
            use image::codecs::png::{CompressionType, FilterType, PngEncoder};
            PngEncoder::new_with_quality(out, CompressionType::Fast, FilterType::Adaptive)
                .write_image(rgb, w, h, ExtendedColorType::Rgb8)
        } else {
            image::codecs::jpeg::JpegEncoder::new_with_quality(out, 95).write_image(
                rgb,
                w,
                h,
                ExtendedColorType::Rgb8,
            )
        };
    written.map_err(|e| match e {
        image::ImageError::IoError(e) => MediaError::cannot_write(path, &e),
        e => MediaError::Machine(format!("cannot write {}: {e}", shown_path(path))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(seed: u8) -> Frame {
        let rgb = (0..7 * 5 * 3)
            .map(|i| (i as u8).wrapping_mul(seed))
            .collect();
        Frame {
            width: 7,
            height: 5,
            rgb,
            time: 0,
            duration: 1,
        }
    }

    fn spec() -> OutputSpec {
        OutputSpec {
            width: 7,
            height: 5,
            timescale: 25,
            frame_duration: 1,
            full_chroma: true,
            source: None,
            is_cut: false,
        }
    }

    #[test]
    fn folders_and_patterns_return_the_same_pictures() {
        let root = tempfile::tempdir().unwrap();
        for (output, input) in [("a", "a"), ("b/%03d.png", "b"), ("c/f%d.png", "c/f%d.png")] {
            let output = root.path().join(output);
            let parent = output.parent().unwrap();
            if parent != root.path() {
                std::fs::create_dir_all(parent).unwrap();
            }
            let mut writer = Box::new(ImageWriter::create(&output, &spec()).unwrap());
            for seed in 1..=11 {
                writer.write_frame(&frame(seed)).unwrap();
            }
            writer.finish().unwrap();
            let mut reader =
                ImageReader::open(&root.path().join(input), &Limits::default()).unwrap();
            assert_eq!(reader.info().frames, Some(11));
            for seed in 1..=11 {
                let got = reader.next_frame().unwrap().unwrap();
                assert_eq!((got.rgb, got.time), (frame(seed).rgb, i64::from(seed) - 1));
            }
            assert!(reader.next_frame().unwrap().is_none());
        }
        assert_eq!(
            std::fs::read_dir(root.path()).unwrap().count(),
            3,
            "no hidden folder is left"
        );
    }

    #[test]
    fn dropped_writers_leave_nothing() {
        let root = tempfile::tempdir().unwrap();
        let mut writer = ImageWriter::create(&root.path().join("out"), &spec()).unwrap();
        writer.write_frame(&frame(1)).unwrap();
        drop(writer);
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
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
        write_image(&root.path().join("1.png"), 7, 5, &frame(1).rgb).unwrap();
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
    fn numbers_in_names_count() {
        let mut names = vec!["f10.png", "f9.png", "a.png", "f1b2.png"];
        names.sort_by_key(|n| natural_key(n));
        assert_eq!(names, ["a.png", "f1b2.png", "f9.png", "f10.png"]);
    }
}
