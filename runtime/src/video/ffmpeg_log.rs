//! What ffmpeg says of a film. Enters: lines of its log, with their levels. Leaves: times of frames, and complaints,
//! told apart by whether frames are lost. No process is kept here; one is run to ask where the packets end.

use super::{Damage, MediaError};
use std::path::Path;
use std::process::{Command, Stdio};
use vsr_artifact::{shown, shown_path};

/// What `showinfo` says of a frame.
pub struct Shown {
    pub time: i64,
    pub duration: Option<u64>,
    pub size: Option<(usize, usize)>,
}

pub enum Line {
    Clock {
        timescale: u32,
        unit: u64,
        frame_duration: u64,
    },
    Frame(Shown),
    /// Of the whole film, in seconds.
    Duration(f64),
    Complaint(Complaint),
    Other(String),
}

#[derive(Debug, PartialEq)]
pub struct Complaint {
    pub text: String,
    is_loss: bool,
}

impl Complaint {
    pub fn damage(self, path: &Path, frame: u64) -> Damage {
        let text = format!("{}: ffmpeg says: {}", shown_path(path), shown(&self.text));
        match self.is_loss {
            true => Damage::lost(frame, text),
            false => Damage::suspected(frame, text),
        }
    }
}

/// Words of complaints that speak of lost data. Others are of streams that nobody asked for, or of habits of an
/// encoder.
const LOSS: [&str; 12] = [
    "ended prematurely",
    "partial file",
    "truncat",
    "corrupt",
    "damaged",
    "error while decoding",
    "concealing",
    "invalid data found",
    "error submitting packet",
    "decode_slice_header error",
    "invalid nal unit size",
    "missing picture in access unit",
];

pub fn parse_line(line: &str) -> Line {
    let shown = line.split_once("showinfo");
    if let Some((_, text)) = shown.and_then(|(_, l)| l.split_once(']')) {
        let text = text.trim_start().trim_start_matches("[info]");
        return parse_clock(text)
            .or_else(|| parse_shown(text))
            .unwrap_or(Line::Other(String::new()));
    }
    for (level, is_warning) in [
        ("[fatal] ", false),
        ("[error] ", false),
        ("[warning] ", true),
    ] {
        if let Some((_, text)) = line.split_once(level) {
            return complaint(text.trim(), is_warning);
        }
    }
    let text = line.split_once("[info] ").map_or(line, |(_, text)| text);
    parse_duration(text).unwrap_or(Line::Other(text.to_string()))
}

/// A warning counts where it tells of a loss.
fn complaint(text: &str, is_warning: bool) -> Line {
    let lower = text.to_lowercase();
    let is_loss = LOSS.iter().any(|words| lower.contains(words));
    match is_warning && !is_loss {
        true => Line::Other(text.to_string()),
        false => Line::Complaint(Complaint {
            text: text.trim_end_matches('.').to_string(),
            is_loss,
        }),
    }
}

/// `Duration: 00:00:02.02, start: 0.000000, bitrate: 63 kb/s`
fn parse_duration(text: &str) -> Option<Line> {
    let rest = text.trim_start().strip_prefix("Duration: ")?;
    seconds(rest.split(',').next()?).map(Line::Duration)
}

/// `00:00:02.02`
fn seconds(text: &str) -> Option<f64> {
    let mut parts = text.trim().split(':').map(|part| part.parse::<f64>().ok());
    let mut part = || parts.next().flatten();
    let (hours, minutes, seconds) = (part()?, part()?, part()?);
    Some(3600.0 * hours + 60.0 * minutes + seconds)
}

/// `config in time_base: 1/12800, frame_rate: 25/1`
fn parse_clock(text: &str) -> Option<Line> {
    let fields = text.trim().strip_prefix("config in time_base:")?;
    let (base, rate) = fields.split_once(", frame_rate:")?;
    let ratio = |t: &str| {
        let (a, b) = t.trim().split_once('/')?;
        Some((a.parse::<u64>().ok()?, b.parse::<u64>().ok()?))
    };
    let (unit, timescale) = ratio(base)?;
    let (frames, seconds) = ratio(rate)
        .filter(|r| r.0 > 0 && r.1 > 0)
        .unwrap_or((25, 1));
    let units = timescale.checked_mul(seconds)?.checked_add(frames / 2)?;
    let frame_duration = (units / frames).max(1);
    Some(Line::Clock {
        timescale: u32::try_from(timescale).ok()?,
        unit,
        frame_duration,
    })
}

/// `n:   0 pts:      0 pts_time:0       duration:    512 … s:640x272 …`
fn parse_shown(text: &str) -> Option<Line> {
    let value = |key: &str| {
        let at = text
            .match_indices(key)
            .map(|(i, _)| i)
            .find(|&i| i == 0 || text.as_bytes()[i - 1] == b' ')?;
        text[at + key.len()..].split_whitespace().next()
    };
    let time = value("pts:")?.parse().ok()?;
    value("n:")?;
    let size = value("s:")
        .and_then(|s| s.split_once('x'))
        .and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
    let duration = value("duration:")
        .and_then(|d| d.parse().ok())
        .filter(|&d| d > 0);
    Some(Line::Frame(Shown {
        time,
        duration,
        size,
    }))
}

/// Seconds at which the last packet of picture and sound ends. Nothing is decoded.
pub fn end_of_packets(program: &Path, input: &Path) -> Option<f64> {
    let mut command = Command::new(program);
    command
        .args(["-nostdin", "-v", "error", "-progress", "pipe:1", "-i"])
        .arg(input);
    command.args(["-map", "0:v?", "-map", "0:a?", "-c", "copy"]);
    command.args(["-f", "null", "-"]).stdin(Stdio::null());
    let output = command.output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut times = text.lines().filter_map(|l| l.strip_prefix("out_time="));
    seconds(times.next_back()?)
}

/// What it says where the system is at an end. It speaks of input and output errors, too, where a source is damaged.
const OF_MACHINE: [&str; 5] = [
    "No space left on device",
    "Disk quota exceeded",
    "File too large",
    "Cannot allocate memory",
    "Too many open files",
];

/// It ends well even where the last bytes of a film could not be written: only what it says tells.
pub fn tells_of_loss(said: &[u8]) -> bool {
    let text = String::from_utf8_lossy(said);
    let signs = ["Error writing", "Error closing"];
    OF_MACHINE
        .iter()
        .chain(&signs)
        .any(|words| text.contains(words))
}

/// Why ffmpeg could not write a film, from what it said: the machine's fault if the disk is.
pub fn failure(target: &Path, said: &[u8]) -> MediaError {
    let text = String::from_utf8_lossy(said);
    if let Some(words) = OF_MACHINE.iter().find(|words| text.contains(*words)) {
        let (path, words) = (shown_path(target), words.to_lowercase());
        return MediaError::Machine(format!("cannot write {path}: ffmpeg says: {words}"));
    }
    let mut lines = text.lines().filter(|l| !l.trim().is_empty());
    let last = lines.next_back().map_or("no reason given", str::trim);
    MediaError::file(target, format!("ffmpeg could not write it ({last})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_showinfo_are_understood() {
        let clock = parse_line(
            "[Parsed_showinfo_0 @ 0x55d] config in time_base: 1/12800, frame_rate: 25/1",
        );
        assert!(matches!(
            clock,
            Line::Clock {
                timescale: 12800,
                unit: 1,
                frame_duration: 512
            }
        ));
        let odd = parse_line(
            "[Parsed_showinfo_0 @ 0x55d] config in time_base: 1001/30000, frame_rate: 30000/1001",
        );
        assert!(matches!(
            odd,
            Line::Clock {
                timescale: 30000,
                unit: 1001,
                ..
            }
        ));
        let frame = "[Parsed_showinfo_0 @ 0x55d] n:   3 pts:   1536 pts_time:0.12    duration:    512 \
            duration_time:0.04 \
                     fmt:yuv420p cl:left sar:1/1 s:640x272 i:P iskey:0 type:P";
        let Line::Frame(shown) = parse_line(frame) else {
            panic!("no frame")
        };
        assert_eq!(
            (shown.time, shown.duration, shown.size),
            (1536, Some(512), Some((640, 272)))
        );
        assert!(matches!(
            parse_line("x.mkv: Invalid data found when processing input"),
            Line::Other(_)
        ));
        assert!(matches!(
            parse_line("[Parsed_showinfo_0 @ 0x55d] color_range:tv color_space:bt709"),
            Line::Other(_)
        ));
    }

    #[test]
    fn levels_are_understood_and_losses_told_from_habits() {
        let shown = "[Parsed_showinfo_0 @ 0x1] [info] n:   1 pts:   3600 pts_time:0.04    pos:     4096 \
            fmt:yuv420p s:64x48";
        assert!(matches!(
            parse_line(shown),
            Line::Frame(Shown { time: 3600, .. })
        ));
        let length = "[info]   Duration: 00:01:02.50, start: 0.529089, bitrate: 369 kb/s";
        assert!(matches!(parse_line(length), Line::Duration(s) if s == 62.5));
        let complaint = |line: &str| match parse_line(line) {
            Line::Complaint(c) => Some((c.text, c.is_loss)),
            _ => None,
        };
        for (line, want) in [
            (
                "[matroska,webm @ 0x562cb6d31940] [error] File ended prematurely",
                Some(("File ended prematurely", true)),
            ),
            (
                "[mpeg @ 0x1] [warning] Packet corrupt (stream = 1, dts = 151063).",
                Some(("Packet corrupt (stream = 1, dts = 151063)", true)),
            ),
            (
                "[h264 @ 0x1] [error] co located POCs unavailable",
                Some(("co located POCs unavailable", false)),
            ),
            (
                "[swscaler @ 0x1] [warning] deprecated pixel format used",
                None,
            ),
            ("[info] Stream mapping:", None),
        ] {
            let want = want.map(|(text, is_loss)| (text.to_string(), is_loss));
            assert_eq!(complaint(line), want, "{line}");
        }
    }

    #[test]
    fn a_full_disk_is_the_machines() {
        let fault = |said: &str| failure(Path::new("a.mkv"), said.as_bytes());
        let full =
            fault("av_interleaved_write_frame(): No space left on device\nConversion failed!\n");
        assert!(
            !full.is_user() && full.to_string().contains("no space left"),
            "{full}"
        );
        let codec = fault("Could not find tag for codec pcm_s16le\n\n");
        assert!(!tells_of_loss(b"Could not find tag for codec pcm_s16le\n"));
        let late = b"Error writing trailer of o.mkv: File too large\nError closing file o.mkv: File too large\n";
        assert!(tells_of_loss(late));
        assert!(
            codec.is_user() && codec.to_string().contains("pcm_s16le"),
            "{codec}"
        );
    }
}
