//! Formats that we do not read ourselves, through an `ffmpeg` binary. Enters: a path. Leaves: frames with the
//! container's exact times, or a file of any container whose picture we encoded and whose other tracks ffmpeg copied
//! (`-c copy`). Nothing here links to ffmpeg, and nothing needs it.

use super::ffmpeg_log::{self, Line, Shown, parse_line};
use super::mp4::write::Mp4Writer;
use super::{
    Damage, Frame, FrameReader, FrameWriter, Info, Limits, MediaError, OutputSpec, Result,
};
use crate::files::{Scratch, guard};
use crate::{interrupt, memory};
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use vsr_artifact::{reason, shown_path};

/// The first `ffmpeg` on PATH.
pub fn find() -> Option<PathBuf> {
    let paths = std::env::var_os("PATH")?;
    std::env::split_paths(&paths)
        .map(|p| p.join("ffmpeg"))
        .find(|p| p.is_file())
}

/// The source is a container that our own MP4 writer cannot copy sound from.
pub fn has_more_to_copy(spec: &OutputSpec) -> bool {
    let Some(source) = spec.source.as_deref() else {
        return false;
    };
    let extension = source
        .extension()
        .map(|e| e.to_string_lossy().to_ascii_lowercase())
        .unwrap_or_default();
    super::is_video_file(source)
        && !["mp4", "m4v", "mov", "3gp", "y4m"].contains(&extension.as_str())
}

/// A path that cannot be taken for an option or a protocol.
fn argument(path: &Path) -> PathBuf {
    if path.is_absolute() {
        path.into()
    } else {
        Path::new(".").join(path)
    }
}

/// Memory of a frame here: RGB, twice while it is handed on.
const BYTES_A_PIXEL: u64 = 6;
/// What it says of a film whose frames have more pixels than it was told.
const TOO_LARGE: &str = "max pixel count";

pub struct FfmpegReader {
    path: PathBuf,
    child: Child,
    out: ChildStdout,
    lines: mpsc::Receiver<Line>,
    info: Info,
    unit: u64,
    first: Option<Shown>,
    start: i64,
    program: PathBuf,
    /// What the container says, in seconds.
    duration: Option<f64>,
    /// Seconds after the last frame, and frames so far.
    end: f64,
    n_read: u64,
    has_ended: bool,
    damage: Vec<Damage>,
}

impl FfmpegReader {
    pub fn open(program: &Path, path: &Path, limits: &Limits) -> Result<FfmpegReader> {
        // Coded frames may be a little larger than shown ones.
        let max_pixels = (limits.pixels.saturating_add(limits.pixels / 8)).min(i32::MAX as u64);
        let mut child = Command::new(program)
            .args(["-nostdin", "-hide_banner", "-nostats"])
            .args(["-loglevel", "level+info", "-noautorotate"])
            .args(["-max_pixels", &max_pixels.to_string(), "-i"])
            .arg(argument(path))
            .args([
                "-map",
                "0:v:0",
                "-vf",
                "showinfo=checksum=0",
                "-fps_mode",
                "passthrough",
            ])
            .args([
                "-sws_flags",
                "bicubic+accurate_rnd+full_chroma_int",
                "-f",
                "rawvideo",
                "-pix_fmt",
                "rgb24",
                "-",
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| cannot_start(program, &e))?;
        let (Some(out), Some(err)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(MediaError::Machine("ffmpeg gave no pipes".into()));
        };
        let lines = listen(err).inspect_err(|_| end(&mut child))?;
        let mut clock = None;
        let mut duration = None;
        let mut damage = riff_damage(path);
        let (mut last, mut complained, mut is_too_large) = (String::new(), None, false);
        while let Ok(line) = lines.recv() {
            match line {
                Line::Clock {
                    timescale,
                    unit,
                    frame_duration,
                } => clock = Some((timescale, unit, frame_duration)),
                Line::Duration(seconds) => duration = Some(seconds),
                Line::Complaint(complaint) => {
                    is_too_large |= complaint.text.contains(TOO_LARGE);
                    complained = complained.or(Some(complaint.text.clone()));
                    note(&mut damage, complaint.damage(path, 0));
                }
                Line::Other(text) if !text.trim().is_empty() => last = text,
                Line::Other(_) => {}
                Line::Frame(first) => {
                    let (Some((timescale, unit, frame_duration)), Some((width, height))) =
                        (clock, first.size)
                    else {
                        continue;
                    };
                    let info = Info {
                        width,
                        height,
                        timescale,
                        frame_duration,
                        frames: None,
                        full_chroma: false,
                    };
                    let start = first.time;
                    let reader = FfmpegReader {
                        path: path.into(),
                        child,
                        out,
                        lines,
                        info,
                        unit,
                        first: Some(first),
                        start,
                        program: program.into(),
                        duration,
                        end: 0.0,
                        n_read: 0,
                        has_ended: false,
                        damage,
                    };
                    limits.check(path, width, height, BYTES_A_PIXEL)?;
                    return Ok(reader);
                }
            }
        }
        // Reaped here so that no process is left behind; where it ended by itself, its verdict is in what it said.
        ended(&mut child, path)?;
        if is_too_large {
            let limit = limits.pixels;
            let why = format!(
                "has frames of more pixels than the limit, {limit}: raise it with --limit-pixels"
            );
            return Err(MediaError::file(path, why));
        }
        let last = complained.unwrap_or(last);
        Err(MediaError::file(
            path,
            format!(
                "is not a video that ffmpeg can read ({})",
                last.trim().trim_end_matches('.')
            ),
        ))
    }

    fn next_shown(&mut self) -> Option<Shown> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        loop {
            match self.lines.recv().ok()? {
                Line::Frame(shown) => return Some(shown),
                Line::Complaint(c) => note(&mut self.damage, c.damage(&self.path, self.n_read)),
                Line::Clock { .. } | Line::Duration(_) | Line::Other(_) => {}
            }
        }
    }

    /// After the last frame: whether ffmpeg is content, and the film as long as its container says.
    fn end_of_film(&mut self) -> Result<Option<Frame>> {
        if std::mem::replace(&mut self.has_ended, true) {
            return Ok(None);
        }
        let status = ended(&mut self.child, &self.path)?;
        let is_told = self.damage.iter().any(|d| d.is_loss);
        if !status.success() {
            let why = "ffmpeg could not read it to the end";
            self.lost(why.to_string());
        } else if !is_told && self.ends_early() {
            let (end, of) = (self.end, self.duration.unwrap_or(0.0));
            self.lost(format!(
                "is cut short: it says that it is {of:.2} s long, and ends after {end:.2} s"
            ));
        }
        Ok(None)
    }

    fn lost(&mut self, why: String) {
        let text = format!("{}: {why}", shown_path(&self.path));
        note(&mut self.damage, Damage::lost(self.n_read, text));
    }

    /// The picture ends before the container's end, and so does everything else in it: sound alone may be longer.
    fn ends_early(&self) -> bool {
        let frame = self.info.frame_duration as f64 / f64::from(self.info.timescale);
        let is_early = |end: f64| self.duration.is_some_and(|d| end + 0.15 + frame < d);
        is_early(self.end)
            && ffmpeg_log::end_of_packets(&self.program, &argument(&self.path))
                .is_some_and(is_early)
    }
}

/// The first loss, and the first suspicion, speak for all: ffmpeg complains of every packet.
fn note(damage: &mut Vec<Damage>, new: Damage) {
    if !damage.iter().any(|d| d.is_loss == new.is_loss) {
        damage.push(new);
    }
}

/// Waits for the process that reads a film. A signal says nothing about the film: the system ended it, or the user did.
fn ended(child: &mut Child, path: &Path) -> Result<ExitStatus> {
    let path = shown_path(path);
    let failed = |e: std::io::Error| {
        let why = reason(&e);
        MediaError::Machine(format!(
            "{path}: cannot wait for ffmpeg, which reads it: {why}"
        ))
    };
    let status = child.wait().map_err(failed)?;
    match status.code() {
        Some(_) => Ok(status),
        None if interrupt::asked() => Err(MediaError::Interrupted),
        None => Err(MediaError::Machine(format!(
            "{path}: ffmpeg, which reads it, was ended by the system ({status}), as where memory runs out: try again"
        ))),
    }
}

fn cannot_start(program: &Path, error: &std::io::Error) -> MediaError {
    let (program, why) = (shown_path(program), reason(error));
    MediaError::Machine(format!("cannot start {program}: {why}"))
}

/// Ends a process that nobody listens to.
fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

/// What ffmpeg says, line by line, as it says it.
fn listen(err: std::process::ChildStderr) -> Result<mpsc::Receiver<Line>> {
    let (sender, lines) = mpsc::channel();
    let hear = move || {
        let all = BufReader::new(err).split(b'\n');
        all.map_while(std::result::Result::ok).all(|l| {
            sender
                .send(parse_line(&String::from_utf8_lossy(&l)))
                .is_ok()
        })
    };
    let thread = std::thread::Builder::new().name("ffmpeg".into());
    thread.spawn(hear).map_err(|e| {
        MediaError::Machine(format!(
            "cannot start a thread to hear ffmpeg: {}",
            reason(&e)
        ))
    })?;
    Ok(lines)
}

/// AVI files say their size in front.
fn riff_damage(path: &Path) -> Vec<Damage> {
    let mut head = [0; 8];
    let file = vsr_artifact::open_file(path);
    let read = file.and_then(|mut f| {
        f.read_exact(&mut head)?;
        Ok(f.metadata()?.len())
    });
    let size = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
    match read {
        Ok(bytes) if head.starts_with(b"RIFF") && bytes < u64::from(size) => {
            let what = format!("{bytes} of {size} bytes are there");
            let text = format!("{}: is cut short: {what}", shown_path(path));
            vec![Damage::lost(0, text)]
        }
        _ => vec![],
    }
}

impl FrameReader for FfmpegReader {
    fn info(&self) -> &Info {
        &self.info
    }

    fn next_frame(&mut self) -> Result<Option<Frame>> {
        let Info {
            width,
            height,
            frame_duration,
            ..
        } = self.info;
        let Some(shown) = self.next_shown() else {
            return self.end_of_film();
        };
        if shown.size.is_some_and(|s| s != (width, height)) {
            return Err(MediaError::file(
                &self.path,
                "the size of the picture changes within the film",
            ));
        }
        let mut rgb = memory::zeroed(width * height * 3, "a frame")?;
        if let Err(e) = self.out.read_exact(&mut rgb) {
            // Where its output ends within a frame, so has the program.
            if e.kind() == ErrorKind::UnexpectedEof {
                ended(&mut self.child, &self.path)?;
            }
            return Err(MediaError::cannot_read(&self.path, &e));
        }
        let unit = i64::try_from(self.unit).unwrap_or(i64::MAX);
        let time = shown.time.saturating_sub(self.start).saturating_mul(unit);
        let of = |d: u64| d.saturating_mul(self.unit);
        let duration = shown.duration.map_or(frame_duration, of);
        self.n_read += 1;
        let end = time.saturating_add_unsigned(duration);
        self.end = end as f64 / f64::from(self.info.timescale);
        Ok(Some(Frame {
            width,
            height,
            rgb,
            time,
            duration,
        }))
    }

    fn damage(&self) -> Vec<Damage> {
        self.damage.clone()
    }
}

impl Drop for FfmpegReader {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// Name of the picture alone.
const PICTURE: &str = "picture.mp4";

/// Encodes into a hidden MP4 file, then has ffmpeg put its picture and the source's other tracks into the wanted
/// container.
pub struct FfmpegWriter {
    program: PathBuf,
    target: PathBuf,
    /// Holds the picture alone, and what ffmpeg makes of it.
    hidden: Scratch,
    inner: Option<Box<Mp4Writer>>,
    source: Option<PathBuf>,
    is_cut: bool,
    end: f64,
    timescale: f64,
}

/// What becomes of the source's subtitles.
#[derive(Clone, Copy)]
enum Subtitles {
    Copied,
    /// To the text format of MP4 and MOV.
    Converted,
    LeftOut,
}

impl Subtitles {
    fn remark(self) -> &'static str {
        match self {
            Subtitles::Copied => "audio and subtitles copied",
            Subtitles::Converted => "audio copied, subtitles converted",
            Subtitles::LeftOut => {
                "audio copied, subtitles left out: this container cannot hold them"
            }
        }
    }
}

impl FfmpegWriter {
    pub fn create(program: PathBuf, path: &Path, spec: &OutputSpec) -> Result<FfmpegWriter> {
        let failed = |e: std::io::Error| MediaError::cannot_write(path, &e);
        // Only a regular file can be replaced by what another program writes.
        let target = guard::target(path).map_err(failed)?;
        let hidden = Scratch::at(&target).map_err(failed)?;
        let without_source = OutputSpec {
            source: None,
            ..spec.clone()
        };
        let inner = Mp4Writer::create_as(path, &hidden.path(PICTURE), &without_source)?;
        let source = spec.source.clone().filter(|s| super::is_video_file(s));
        Ok(FfmpegWriter {
            is_cut: spec.is_cut,
            program,
            target,
            hidden,
            inner: Some(Box::new(inner)),
            source,
            end: 0.0,
            timescale: f64::from(spec.timescale),
        })
    }

    /// The picture with the source's other tracks. Not every container holds every kind of subtitles: then they are
    /// converted where that is possible, else left out, and the remark says so.
    /// A full disk is no matter of subtitles.
    fn with_tracks(&self, output: &Path) -> Result<&'static str> {
        let mut first = None;
        for subtitles in [Subtitles::Copied, Subtitles::Converted, Subtitles::LeftOut] {
            match self.remux(output, subtitles) {
                Ok(()) => return Ok(subtitles.remark()),
                Err(e) if self.source.is_none() || !e.is_user() => return Err(e),
                Err(e) => first = first.or(Some(e)),
            }
        }
        Err(first.expect("no attempt succeeded"))
    }

    fn remux(&self, output: &Path, subtitles: Subtitles) -> Result<()> {
        let mut command = Command::new(&self.program);
        command
            .args(["-nostdin", "-hide_banner", "-v", "error", "-y", "-i"])
            .arg(argument(&self.hidden.path(PICTURE)));
        if let Some(source) = &self.source {
            if self.is_cut {
                command.args(["-t", &format!("{:.6}", self.end)]);
            }
            command.arg("-i").arg(argument(source));
            command.args(["-map", "0:v", "-map", "1:a?"]);
        }
        command.args(["-c", "copy"]).args(match subtitles {
            _ if self.source.is_none() => &[][..],
            Subtitles::Copied => &["-map", "1:s?"],
            Subtitles::Converted => &["-map", "1:s?", "-c:s", "mov_text"],
            Subtitles::LeftOut => &[],
        });
        let result = command.arg(argument(output)).output();
        let result = result.map_err(|e| cannot_start(&self.program, &e))?;
        if result.status.success() && !ffmpeg_log::tells_of_loss(&result.stderr) {
            return Ok(());
        }
        Err(ffmpeg_log::failure(&self.target, &result.stderr))
    }
}

impl FrameWriter for FfmpegWriter {
    fn write_frame(&mut self, frame: &Frame) -> Result<()> {
        self.end = (frame.time as f64 + frame.duration as f64) / self.timescale;
        self.inner
            .as_mut()
            .expect("taken by finish alone, which ends this writer")
            .write_frame(frame)
    }

    fn finish(mut self: Box<Self>) -> Result<Vec<String>> {
        let inner = self
            .inner
            .take()
            .expect("taken by finish alone, which ends this writer");
        let mut notes = inner.finish()?;
        let extension = self
            .target
            .extension()
            .map(|e| e.to_string_lossy().into_owned())
            .unwrap_or_default();
        let output = format!("film.{extension}");
        let remark = self.with_tracks(&self.hidden.path(&output))?;
        self.hidden
            .publish_file(&output, &self.target)
            .map_err(|e| MediaError::cannot_write(&self.target, &e))?;
        if self.source.is_some() {
            notes.push(remark.into());
        }
        Ok(notes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_container_and_back_if_there_is_an_ffmpeg() {
        let Some(_) = find() else {
            println!("skipped: no ffmpeg on PATH");
            return;
        };
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("a.mkv");
        let spec = OutputSpec {
            width: 32,
            height: 24,
            timescale: 24000,
            frame_duration: 1001,
            full_chroma: false,
            source: None,
            is_cut: false,
            older: crate::video::Older::Kept,
        };
        let mut writer = crate::video::create_writer(&path, &spec).expect("mkv through ffmpeg");
        for t in 0..5 {
            let frame = Frame {
                width: 32,
                height: 24,
                rgb: vec![40 * t as u8; 32 * 24 * 3],
                time: t * 1001,
                duration: 1001,
            };
            writer.write_frame(&frame).expect("a frame");
        }
        writer.finish().expect("a whole file");
        let mut reader = crate::video::open_reader(&path).expect("ffmpeg reads it");
        let n = std::iter::from_fn(|| reader.next_frame().expect("a frame")).count();
        assert_eq!((n, reader.info().width, reader.info().height), (5, 32, 24));
        assert_eq!(
            std::fs::read_dir(folder.path())
                .expect("the folder")
                .count(),
            1,
            "nothing else is left"
        );
    }

    #[test]
    fn frames_beyond_the_limit_are_refused_if_there_is_an_ffmpeg() {
        let Some(program) = find() else {
            println!("skipped: no ffmpeg on PATH");
            return;
        };
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("a.mkv");
        let mut made = Command::new(program);
        made.args(["-v", "error", "-f", "lavfi", "-i", "color=s=64x48:d=0.2"]);
        made.args(["-c:v", "rawvideo"]).arg(&path);
        assert!(made.status().expect("ffmpeg runs").success());
        for (pixels, is_read) in [(64 * 48, true), (64 * 48 - 1, false), (100, false)] {
            let opened = crate::video::open_reader_within(&path, &Limits { pixels });
            let said = opened.err().map(|e| e.to_string());
            let names_it = said.as_ref().is_some_and(|t| t.contains("--limit-pixels"));
            assert_eq!(
                (said.is_none(), names_it),
                (is_read, !is_read),
                "{pixels}: {said:?}"
            );
        }
    }

    #[test]
    fn subtitles_are_kept_where_they_can_be_if_there_is_an_ffmpeg() {
        let Some(program) = find() else {
            println!("skipped: no ffmpeg on PATH");
            return;
        };
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = |name: &str| folder.path().join(name);
        let film = |name: &str, source: Option<PathBuf>| {
            let spec = OutputSpec {
                width: 32,
                height: 32,
                timescale: 25,
                frame_duration: 1,
                full_chroma: false,
                source,
                is_cut: false,
                older: crate::video::Older::Kept,
            };
            let mut writer = crate::video::create_writer(&at(name), &spec).expect("a writer");
            for time in 0..30 {
                let frame = Frame {
                    width: 32,
                    height: 32,
                    rgb: vec![90; 32 * 32 * 3],
                    time,
                    duration: 1,
                };
                writer.write_frame(&frame).expect("a frame");
            }
            writer.finish().expect("a whole film")
        };
        film("plain.mkv", None);
        std::fs::write(at("a.srt"), "1\n00:00:00,000 --> 00:00:01,000\nhello\n").expect("a file");
        let mut mux = Command::new(program);
        mux.args(["-v", "error", "-i"])
            .arg(at("plain.mkv"))
            .arg("-i")
            .arg(at("a.srt"));
        let made = mux.args(["-c", "copy"]).arg(at("with.mkv")).status();
        assert!(made.expect("ffmpeg runs").success());
        for (name, remark) in [
            ("a.mkv", "audio and subtitles copied"),
            ("a.mp4", "audio copied, subtitles converted"),
            ("a.avi", "subtitles left out"),
        ] {
            let notes = film(name, Some(at("with.mkv")));
            assert!(
                notes.iter().any(|n| n.contains(remark)),
                "{name}: {notes:?}"
            );
        }
    }
}
