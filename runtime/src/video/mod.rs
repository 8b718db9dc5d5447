//! Moving pictures in and out. Enters: a path (file, folder, printf pattern, `-`). Leaves: frames of 8-bit RGB with
//! exact rational times, or a finished file. Never here: scaling, tiling, networks, or a half-written output under its
//! final name; nor memory that no bytes of the file and no limit account for.
//!
//! MP4/H.264, Y4M and PNG/JPEG sequences need nothing installed. Every other container goes through an `ffmpeg` binary
//! if one is on PATH.

pub mod color;
pub mod damage;
mod error;
pub mod ffmpeg;
mod ffmpeg_log;
pub mod h264;
pub mod image_writer;
pub mod images;
mod jpeg;
mod limits;
pub mod mp4;
mod open;
pub mod sequence;
pub mod y4m;

pub use damage::Damage;
pub use error::{MediaError, Result};
pub use limits::Limits;
pub use open::{create_writer, is_video_file, numbered_output, open_reader, open_reader_within};

/// What a clip says about itself before any frame is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    pub width: usize,
    pub height: usize,
    /// Units per second of every `Frame::time` and `Frame::duration`: 24000 with durations of 1001 is 23.976 frames a
    /// second.
    pub timescale: u32,
    /// Usual duration of one frame in these units.
    pub frame_duration: u64,
    /// Number of frames, where the container says it.
    pub frames: Option<u64>,
    /// The chroma planes have the size of the picture, so a Y4M copy should keep them so.
    pub full_chroma: bool,
}

impl Info {
    pub fn frames_per_second(&self) -> f64 {
        f64::from(self.timescale) / self.frame_duration.max(1) as f64
    }
}

/// One picture: `rgb` holds `height` rows of `width` triples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub width: usize,
    pub height: usize,
    pub rgb: Vec<u8>,
    /// Presentation time and duration, in units of the timescale.
    pub time: i64,
    pub duration: u64,
}

/// Frames in order of presentation.
pub trait FrameReader: Send {
    fn info(&self) -> &Info;
    /// The next frame, or `None` after the last one.
    fn next_frame(&mut self) -> Result<Option<Frame>>;

    /// Leaves out the next `n` frames.
    fn skip_frames(&mut self, n: u64) -> Result<()> {
        for _ in 0..n {
            self.next_frame()?;
        }
        Ok(())
    }

    /// What the source lacks, as far as is known by now: some of it shows only after the last frame.
    fn damage(&self) -> Vec<Damage> {
        Vec::new()
    }
}

/// Takes frames in order of presentation. Nothing stands under the final name before `finish`; dropping the writer
/// instead removes what it wrote.
pub trait FrameWriter {
    fn write_frame(&mut self, frame: &Frame) -> Result<()>;
    /// Completes the output and gives it its name. Returns remarks for the user (`audio copied`).
    fn finish(self: Box<Self>) -> Result<Vec<String>>;
}

/// What a writer has to know before the first frame.
#[derive(Clone, Debug)]
pub struct OutputSpec {
    pub width: usize,
    pub height: usize,
    pub timescale: u32,
    pub frame_duration: u64,
    pub full_chroma: bool,
    /// The clip that the frames come from: audio and subtitles are copied from it where the format can hold them.
    pub source: Option<std::path::PathBuf>,
    /// Only the beginning of the source is written: its sound ends with the last frame, too.
    pub is_cut: bool,
    /// Of numbered pictures.
    pub older: Older,
}

/// What becomes of pictures that have such names when the new ones are done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Older {
    /// They stay, and the new ones are an error.
    Kept,
    Replaced,
}

impl OutputSpec {
    /// The shape of `info`, `scale` times as large.
    pub fn scaled(info: &Info, scale: usize, source: Option<&std::path::Path>) -> OutputSpec {
        OutputSpec {
            width: info.width * scale,
            height: info.height * scale,
            timescale: info.timescale,
            frame_duration: info.frame_duration,
            full_chroma: info.full_chroma,
            source: source.map(Into::into),
            is_cut: false,
            older: Older::Kept,
        }
    }
}
