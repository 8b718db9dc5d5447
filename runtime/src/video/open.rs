//! Which reader or writer a path gets. Content decides for reading, the name for writing. Only what we cannot read
//! ourselves goes to an `ffmpeg` binary.

use super::image_writer::{ImageWriter, numbered};
use super::images::ImageReader;
use super::mp4::read::Mp4Reader;
use super::mp4::write::Mp4Writer;
use super::sequence::{Pattern, has_image_extension};
use super::y4m::{Y4mReader, Y4mWriter};
use super::{FrameReader, FrameWriter, Limits, MediaError, OutputSpec, Result, ffmpeg};
use std::io::Read;
use std::path::Path;

const CONTAINERS: [&str; 14] = [
    "mp4", "m4v", "mov", "mkv", "webm", "avi", "ts", "mpg", "mpeg", "flv", "wmv", "ogv", "3gp",
    "y4m",
];

/// By its name.
pub fn is_video_file(path: &Path) -> bool {
    extension(path).is_some_and(|e| CONTAINERS.contains(&e.as_str()))
}

fn extension(path: &Path) -> Option<String> {
    path.extension()
        .map(|e| e.to_string_lossy().to_ascii_lowercase())
}

/// A reader of frames of any size up to the usual limit.
pub fn open_reader(path: &Path) -> Result<Box<dyn FrameReader>> {
    open_reader_within(path, &Limits::default())
}

pub fn open_reader_within(path: &Path, limits: &Limits) -> Result<Box<dyn FrameReader>> {
    if path == Path::new("-") {
        return Ok(Box::new(Y4mReader::open(path, limits)?));
    }
    if path.is_dir() || (!path.exists() && Pattern::parse(path).is_some()) {
        return Ok(Box::new(ImageReader::open(path, limits)?));
    }
    let head = head(path)?;
    if head.starts_with(b"YUV4MPEG2") {
        return Ok(Box::new(Y4mReader::open(path, limits)?));
    }
    if head.starts_with(b"\x89PNG")
        || head.starts_with(b"\xff\xd8\xff")
        || has_image_extension(path)
    {
        return Ok(Box::new(ImageReader::open(path, limits)?));
    }
    let is_mp4 = head.get(4..8).is_some_and(|kind| {
        [b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip"]
            .contains(&kind.try_into().unwrap_or(&[0; 4]))
    });
    let obstacle = match is_mp4 {
        true => match Mp4Reader::open(path, limits)? {
            Ok(reader) => return Ok(Box::new(reader)),
            Err(unsupported) => format!("holds {}, which is not read here", unsupported.0),
        },
        false => "is not a video that can be read here".to_string(),
    };
    match ffmpeg::find() {
        Some(program) => Ok(Box::new(ffmpeg::FfmpegReader::open(
            &program, path, limits,
        )?)),
        None => {
            let advice = "MP4/H.264, Y4M and PNG/JPEG pictures are; with an ffmpeg program on PATH, other formats too";
            Err(MediaError::file(path, format!("{obstacle} ({advice})")))
        }
    }
}

fn head(path: &Path) -> Result<Vec<u8>> {
    let mut head = Vec::new();
    let file = vsr_artifact::open_file(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::InvalidInput => {
            let what = vsr_artifact::reason(&e);
            let advice = "a stream is read as Y4M from standard input, with - as its name";
            MediaError::file(path, format!("{what} ({advice})"))
        }
        _ => MediaError::cannot_read(path, &e),
    })?;
    file.take(16)
        .read_to_end(&mut head)
        .map_err(|e| MediaError::cannot_read(path, &e))?;
    if head.is_empty() {
        return Err(MediaError::file(path, "is empty"));
    }
    Ok(head)
}

/// Where the pictures go that an output names, if it names several.
pub fn numbered_output(path: &Path) -> Option<Pattern> {
    let is_several = Pattern::parse(path).is_some() || path.is_dir() || extension(path).is_none();
    (is_several && path != Path::new("-")).then(|| numbered(path))?
}

pub fn create_writer(path: &Path, spec: &OutputSpec) -> Result<Box<dyn FrameWriter>> {
    if spec.width == 0 || spec.height == 0 {
        return Err(MediaError::file(path, "cannot hold frames without a pixel"));
    }
    if path == Path::new("-") {
        return Ok(Box::new(Y4mWriter::create(path, spec)?));
    }
    if Pattern::parse(path).is_some() || has_image_extension(path) || path.is_dir() {
        return Ok(Box::new(ImageWriter::create(path, spec.older)?));
    }
    match extension(path).as_deref() {
        Some("y4m") => Ok(Box::new(Y4mWriter::create(path, spec)?)),
        Some("mp4" | "m4v") if !ffmpeg::has_more_to_copy(spec) => {
            Ok(Box::new(Mp4Writer::create(path, spec)?))
        }
        Some("mp4" | "m4v" | "mov" | "mkv" | "avi" | "ts" | "flv") => match ffmpeg::find() {
            Some(program) => Ok(Box::new(ffmpeg::FfmpegWriter::create(program, path, spec)?)),
            None if matches!(extension(path).as_deref(), Some("mp4" | "m4v")) => {
                Ok(Box::new(Mp4Writer::create(path, spec)?))
            }
            None => Err(MediaError::file(
                path,
                "needs an ffmpeg program on PATH; .mp4, .y4m and folders of pictures do not",
            )),
        },
        None => Ok(Box::new(ImageWriter::create(path, spec.older)?)),
        Some(other) => Err(MediaError::file(
            path,
            format!(".{other} is not written: choose .mp4, .mkv, .y4m, a folder or out/%05d.png"),
        )),
    }
}
