//! Pictures out: numbered PNG or JPEG files, or a single one. Enters: frames. Leaves: files that were flushed to the
//! disk one by one in a hidden folder, and take their places together at the end. Pictures of an older sequence of that
//! name go when the new one comes: no tail of it is left.

use super::sequence::{Pattern, has_image_extension, is_unfinished_pattern};
use super::{Frame, FrameWriter, MediaError, Older, Result};
use crate::files::{Output, Scratch};
use image::{ExtendedColorType, ImageEncoder, ImageError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use vsr_artifact::shown_path;

pub struct ImageWriter {
    place: Place,
    n_written: u64,
}

enum Place {
    Numbered {
        pattern: Pattern,
        hidden: Scratch,
        older: Older,
    },
    /// Written when its frame comes, named at the end.
    Single { path: PathBuf, file: Option<Output> },
}

/// Where pictures go that a path names, if they are several: a folder, or a pattern.
pub fn numbered(path: &Path) -> Option<Pattern> {
    Pattern::parse(path).or_else(|| (!has_image_extension(path)).then(|| Pattern::in_folder(path)))
}

impl ImageWriter {
    /// `path` is a folder, a pattern, or the name of a single picture.
    pub fn create(path: &Path, older: Older) -> Result<ImageWriter> {
        let failed = |e: std::io::Error| MediaError::cannot_write(path, &e);
        let place = match numbered(path) {
            Some(pattern) => {
                check_format(path)?;
                let hidden = Scratch::at(&pattern.folder()).map_err(failed)?;
                Place::Numbered {
                    pattern,
                    hidden,
                    older,
                }
            }
            None => Place::Single {
                path: path.into(),
                file: Some(Output::create(path).map_err(failed)?),
            },
        };
        Ok(ImageWriter {
            place,
            n_written: 0,
        })
    }
}

fn check_format(path: &Path) -> Result<()> {
    match is_unfinished_pattern(path) && !path.is_dir() {
        false => Ok(()),
        true => {
            let why = "names pictures that are neither .png nor .jpg";
            Err(MediaError::file(path, why))
        }
    }
}

impl FrameWriter for ImageWriter {
    fn write_frame(&mut self, frame: &Frame) -> Result<()> {
        match &mut self.place {
            Place::Numbered {
                pattern, hidden, ..
            } => {
                let name = pattern.name(self.n_written + 1);
                let path = pattern.folder().join(&name);
                let failed = |e: std::io::Error| MediaError::cannot_write(&path, &e);
                let mut file = hidden.file(&name).map_err(failed)?;
                encode(&path, frame.width, frame.height, &frame.rgb, &mut file)?;
                file.commit().map_err(failed)?;
            }
            Place::Single { path, .. } if self.n_written > 0 => {
                let why = "is one picture, but the clip has several frames: give a folder or a pattern like \
                    out/%05d.png";
                return Err(MediaError::file(path, why));
            }
            Place::Single { path, file } => {
                if let Some(file) = file {
                    encode(path, frame.width, frame.height, &frame.rgb, file)?;
                }
            }
        }
        self.n_written += 1;
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Vec<String>> {
        match self.place {
            Place::Numbered {
                pattern,
                hidden,
                older,
            } => publish(&pattern, hidden, older)?,
            Place::Single { path, file } => {
                let done = file.map_or(Ok(()), Output::commit);
                done.map_err(|e| MediaError::cannot_write(&path, &e))?;
            }
        }
        Ok(Vec::new())
    }
}

/// All pictures to their places, as long as none of another sequence has to go that nobody gave up.
fn publish(pattern: &Pattern, hidden: Scratch, older: Older) -> Result<()> {
    let folder = pattern.folder();
    let there = pattern.existing_files()?;
    if older == Older::Kept && !there.is_empty() {
        return Err(came_meanwhile(&folder));
    }
    hidden.publish(&folder, &there).map_err(|e| match e.kind() {
        ErrorKind::AlreadyExists => came_meanwhile(&folder),
        _ => MediaError::cannot_write(&folder, &e),
    })
}

fn came_meanwhile(folder: &Path) -> MediaError {
    let why = "pictures of such names came here while these were made, and stay: choose another folder or pattern, or \
               replace them with --overwrite";
    MediaError::file(folder, why)
}

/// Writes a PNG, or a JPEG of quality 95, by the extension of `path`.
pub fn write_image(path: &Path, width: usize, height: usize, rgb: &[u8]) -> Result<()> {
    let failed = |e: std::io::Error| MediaError::cannot_write(path, &e);
    let mut file = Output::create(path).map_err(failed)?;
    encode(path, width, height, rgb, &mut file)?;
    file.commit().map_err(failed)
}

fn encode(path: &Path, width: usize, height: usize, rgb: &[u8], to: &mut Output) -> Result<()> {
    use image::codecs::jpeg::JpegEncoder;
    use image::codecs::png::{CompressionType, FilterType, PngEncoder};
    let extension = path.extension().unwrap_or_default();
    let (w, h) = (width as u32, height as u32);
    let (colour, filter) = (ExtendedColorType::Rgb8, FilterType::Adaptive);
    let written = match extension.eq_ignore_ascii_case("png") {
        true => PngEncoder::new_with_quality(&mut *to, CompressionType::Fast, filter)
            .write_image(rgb, w, h, colour),
        false => JpegEncoder::new_with_quality(&mut *to, 95).write_image(rgb, w, h, colour),
    };
    // Encoders that are dropped may have hidden what their last bytes met: the buffer still has it.
    let written = written.and_then(|()| to.flush().map_err(ImageError::IoError));
    written.map_err(|e| match e {
        ImageError::IoError(e) => MediaError::cannot_write(path, &e),
        e => MediaError::Machine(format!("cannot write {}: {e}", shown_path(path))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::video::images::ImageReader;
    use crate::video::{FrameReader, Limits};

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

    fn write(output: &Path, seeds: std::ops::RangeInclusive<u8>) {
        let mut writer = Box::new(ImageWriter::create(output, Older::Replaced).unwrap());
        seeds.for_each(|seed| writer.write_frame(&frame(seed)).unwrap());
        writer.finish().unwrap();
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let name = |e: std::io::Result<std::fs::DirEntry>| e.unwrap().file_name();
        let mut names: Vec<String> = entries.map(|e| name(e).into_string().unwrap()).collect();
        names.sort();
        names
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
            write(&output, 1..=11);
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
            names(root.path()),
            ["a", "b", "c"],
            "no hidden folder is left"
        );
    }

    #[test]
    fn dropped_writers_leave_nothing() {
        let root = tempfile::tempdir().unwrap();
        for output in ["out", "one.png"] {
            let mut writer = ImageWriter::create(&root.path().join(output), Older::Kept).unwrap();
            writer.write_frame(&frame(1)).unwrap();
            drop(writer);
            assert!(names(root.path()).is_empty(), "{output}");
        }
    }

    #[test]
    fn a_shorter_sequence_leaves_no_tail_of_the_longer_and_nothing_else_goes() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("shot");
        write(&folder, 1..=5);
        std::fs::write(folder.join("notes.txt"), "keep").unwrap();
        std::fs::write(folder.join("0001.png"), "another numbering").unwrap();
        write(&folder, 7..=8);
        let left = ["000001.png", "000002.png", "0001.png", "notes.txt"];
        assert_eq!(names(&folder), left);
        let mut reader = ImageReader::open(&folder.join("%06d.png"), &Limits::default()).unwrap();
        assert_eq!(reader.next_frame().unwrap().unwrap().rgb, frame(7).rgb);
    }
}
