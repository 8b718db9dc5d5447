//! YUV4MPEG2, the uncompressed stream format of pipes: `-` is standard input or output. Enters: bytes. Leaves: frames,
//! or bytes. Only 8-bit layouts are read; interlacing flags are ignored. Nothing is buffered beyond one frame. A stream
//! that ends within a frame gives the frames before it, and says so.

use super::color::{self, Coding, Layout, Planes};
use super::{
    Damage, Frame, FrameReader, FrameWriter, Info, Limits, MediaError, OutputSpec, Result,
};
use crate::files::Output;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use vsr_artifact::shown_path;

pub struct Y4mReader {
    path: PathBuf,
    input: Box<dyn BufRead + Send>,
    info: Info,
    layout: Layout,
    coding: Coding,
    n_read: u64,
    header_bytes: u64,
    /// Of all planes of a frame.
    frame_bytes: usize,
    buffer: Vec<u8>,
    cut: Option<Damage>,
}

/// Memory that a frame takes while it is read: planes, RGB, and rows of chroma.
const BYTES_A_PIXEL: u64 = 10;

impl Y4mReader {
    pub fn open(path: &Path, limits: &Limits) -> Result<Y4mReader> {
        if path == Path::new("-") {
            return Y4mReader::new(path, Box::new(BufReader::new(std::io::stdin())), limits);
        }
        let failed = |e: std::io::Error| MediaError::cannot_read(path, &e);
        let file = vsr_artifact::open_file(path).map_err(failed)?;
        let n_bytes = file.metadata().map_err(failed)?.len();
        let input = Box::new(BufReader::with_capacity(1 << 20, file));
        let mut reader = Y4mReader::new(path, input, limits)?;
        // Frames have equal sizes unless their headers hold parameters, which hardly ever happens.
        let frame_bytes = reader.frame_bytes as u64 + b"FRAME\n".len() as u64;
        let frames_bytes = n_bytes.saturating_sub(reader.header_bytes);
        reader.info.frames =
            (frames_bytes % frame_bytes == 0).then_some(frames_bytes / frame_bytes);
        Ok(reader)
    }

    pub fn new(
        path: &Path,
        mut input: Box<dyn BufRead + Send>,
        limits: &Limits,
    ) -> Result<Y4mReader> {
        let line = match read_line(path, &mut *input)? {
            Line::Whole(line) => line,
            Line::Nothing => Vec::new(),
            Line::Cut(_) => {
                let why = "is not a Y4M stream, or is cut short inside its header";
                return Err(MediaError::file(path, why));
            }
        };
        let Some(fields) = line.strip_prefix(b"YUV4MPEG2") else {
            return Err(MediaError::file(
                path,
                "is not a Y4M stream: it does not begin with YUV4MPEG2",
            ));
        };
        let header = Header::parse(path, fields)?;
        limits.check(path, header.width, header.height, BYTES_A_PIXEL)?;
        let info = Info {
            width: header.width,
            height: header.height,
            timescale: header.rate.0,
            frame_duration: u64::from(header.rate.1),
            frames: None,
            full_chroma: header.layout == Layout::Full,
        };
        let mut coding = Coding::assumed(info.width, info.height);
        coding.full_range = header.full_range;
        let (cw, ch) = header.layout.chroma_size(info.width, info.height);
        let frame_bytes = info.width * info.height + 2 * cw * ch;
        Ok(Y4mReader {
            path: path.into(),
            input,
            info,
            layout: header.layout,
            coding,
            n_read: 0,
            header_bytes: line.len() as u64 + 1,
            frame_bytes,
            buffer: Vec::new(),
            cut: None,
        })
    }

    /// The planes of a frame, or as much of them as there is. Memory grows with what comes, not with what the header
    /// says.
    fn fill(&mut self) -> Result<usize> {
        self.buffer.clear();
        let mut part = Read::take(&mut *self.input, self.frame_bytes as u64);
        let read = part.read_to_end(&mut self.buffer);
        read.map_err(|e| MediaError::cannot_read(&self.path, &e))
    }

    /// The stream ends here, and should not: an error only if there was no frame at all.
    fn cut_short(&mut self) -> Result<Option<Frame>> {
        let n = self.n_read;
        let why = format!("is cut short inside frame {n}");
        if n == 0 {
            return Err(MediaError::file(&self.path, why));
        }
        let path = shown_path(&self.path);
        let text = format!("{path}: {why}: the {n} before it are there");
        self.cut = Some(Damage::lost(n, text));
        Ok(None)
    }
}

impl FrameReader for Y4mReader {
    fn info(&self) -> &Info {
        &self.info
    }

    fn next_frame(&mut self) -> Result<Option<Frame>> {
        if self.cut.is_some() {
            return Ok(None);
        }
        const START: &[u8] = b"FRAME";
        match read_line(&self.path, &mut *self.input)? {
            Line::Nothing => return Ok(None),
            Line::Whole(line) if line.starts_with(START) => {}
            Line::Cut(start) if START.starts_with(&start) || start.starts_with(START) => {
                return self.cut_short();
            }
            Line::Whole(_) | Line::Cut(_) => {
                return Err(MediaError::file(
                    &self.path,
                    format!("frame {} does not begin with FRAME", self.n_read),
                ));
            }
        }
        if self.fill()? < self.frame_bytes {
            return self.cut_short();
        }
        let (width, height) = (self.info.width, self.info.height);
        let (cw, ch) = self.layout.chroma_size(width, height);
        let (y, chroma) = self.buffer.split_at(width * height);
        let (u, v) = chroma.split_at(cw * ch);
        let planes = Planes {
            y,
            u,
            v,
            y_stride: width,
            c_stride: cw,
            layout: self.layout,
        };
        let rgb = color::to_rgb(&planes, width, height, self.coding)?;
        let duration = self.info.frame_duration;
        let time = self.n_read.saturating_mul(duration) as i64;
        self.n_read += 1;
        Ok(Some(Frame {
            width,
            height,
            rgb,
            time,
            duration,
        }))
    }

    fn damage(&self) -> Vec<Damage> {
        self.cut.iter().cloned().collect()
    }
}

struct Header {
    width: usize,
    height: usize,
    rate: (u32, u32),
    layout: Layout,
    full_range: bool,
}

impl Header {
    /// Fields are a letter and a value, in bytes: nobody says that they are ASCII.
    fn parse(path: &Path, fields: &[u8]) -> Result<Header> {
        let mut header = Header {
            width: 0,
            height: 0,
            rate: (25, 1),
            layout: Layout::HalfCentred,
            full_range: false,
        };
        for field in fields.split(u8::is_ascii_whitespace) {
            let Some((key, value)) = field.split_first() else {
                continue;
            };
            let value = String::from_utf8_lossy(value);
            match key {
                b'W' => header.width = value.parse().unwrap_or(0),
                b'H' => header.height = value.parse().unwrap_or(0),
                b'F' => header.rate = ratio(&value).unwrap_or((25, 1)),
                b'C' => header.layout = layout(path, &value)?,
                b'X' if value == "COLORRANGE=FULL" => header.full_range = true,
                _ => {}
            }
        }
        let Header { width, height, .. } = header;
        if width == 0 || height == 0 {
            return Err(MediaError::file(
                path,
                format!("its Y4M header gives no usable size ({width}x{height})"),
            ));
        }
        Ok(header)
    }
}

fn ratio(text: &str) -> Option<(u32, u32)> {
    let (a, b) = text.split_once(':')?;
    let (a, b) = (a.parse().ok()?, b.parse().ok()?);
    (a > 0 && b > 0).then_some((a, b))
}

fn layout(path: &Path, name: &str) -> Result<Layout> {
    Ok(match name {
        "420" | "420jpeg" => Layout::HalfCentred,
        "420mpeg2" | "420paldv" => Layout::Half,
        "422" => Layout::Wide,
        "444" => Layout::Full,
        "mono" => Layout::Mono,
        _ => {
            return Err(MediaError::file(
                path,
                format!("its Y4M layout C{name} is not read (8-bit 420, 422, 444 and mono are)"),
            ));
        }
    })
}

/// What stands before the next end of a line.
enum Line {
    Whole(Vec<u8>),
    /// The stream ended first, or the line is too long to be one.
    Cut(Vec<u8>),
    /// The end of the stream.
    Nothing,
}

/// A line of at most 512 bytes without its end.
fn read_line(path: &Path, input: &mut dyn BufRead) -> Result<Line> {
    let mut line = Vec::new();
    let mut limited = Read::take(input, 512);
    limited
        .read_until(b'\n', &mut line)
        .map_err(|e| MediaError::cannot_read(path, &e))?;
    let is_whole = line.last() == Some(&b'\n');
    if line.is_empty() {
        return Ok(Line::Nothing);
    }
    line.truncate(line.len() - usize::from(is_whole));
    Ok(match is_whole {
        true => Line::Whole(line),
        false => Line::Cut(line),
    })
}

enum Sink {
    Standard(BufWriter<std::io::Stdout>),
    File(Output),
}

pub struct Y4mWriter {
    path: PathBuf,
    sink: Sink,
    layout: Layout,
    coding: Coding,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Sink::Standard(out) => out.write(bytes),
            Sink::File(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Sink::Standard(out) => out.flush(),
            Sink::File(out) => out.flush(),
        }
    }
}

impl Y4mWriter {
    pub fn create(path: &Path, spec: &OutputSpec) -> Result<Y4mWriter> {
        let failed = |e: std::io::Error| MediaError::cannot_write(path, &e);
        let mut sink = match path == Path::new("-") {
            true => Sink::Standard(BufWriter::with_capacity(1 << 20, std::io::stdout())),
            false => Sink::File(Output::create(path).map_err(failed)?),
        };
        let (layout, name) = if spec.full_chroma {
            (Layout::Full, "444")
        } else {
            (Layout::Half, "420mpeg2")
        };
        let OutputSpec {
            width,
            height,
            timescale,
            frame_duration,
            ..
        } = spec;
        writeln!(
            sink,
            "YUV4MPEG2 W{width} H{height} F{timescale}:{frame_duration} Ip A1:1 C{name}"
        )
        .map_err(failed)?;
        Ok(Y4mWriter {
            path: path.into(),
            sink,
            layout,
            coding: Coding::assumed(*width, *height),
        })
    }
}

impl FrameWriter for Y4mWriter {
    fn write_frame(&mut self, frame: &Frame) -> Result<()> {
        let planes = color::from_rgb(
            &frame.rgb,
            frame.width,
            frame.height,
            self.layout,
            self.coding,
        )?;
        let parts: [&[u8]; 4] = [b"FRAME\n", &planes.y, &planes.u, &planes.v];
        parts
            .iter()
            .try_for_each(|p| self.sink.write_all(p))
            .map_err(|e| MediaError::cannot_write(&self.path, &e))
    }

    fn finish(self: Box<Self>) -> Result<Vec<String>> {
        let done = match self.sink {
            Sink::Standard(mut out) => out.flush(),
            Sink::File(out) => out.commit(),
        };
        done.map_err(|e| MediaError::cannot_write(&self.path, &e))?;
        Ok(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Y4mReader> {
        Y4mReader::new(
            Path::new("clip.y4m"),
            Box::new(std::io::Cursor::new(bytes.to_vec())),
            &Limits::default(),
        )
    }

    #[test]
    fn keeps_rate_and_pictures() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.y4m");
        let spec = OutputSpec {
            width: 5,
            height: 3,
            timescale: 24000,
            frame_duration: 1001,
            full_chroma: true,
            source: None,
            is_cut: false,
            older: crate::video::Older::Kept,
        };
        let rgb: Vec<u8> = (0..45).map(|i| i * 5).collect();
        let mut writer = Box::new(Y4mWriter::create(&path, &spec).unwrap());
        assert!(!path.exists(), "the name appears only when complete");
        for i in 0..3 {
            writer
                .write_frame(&Frame {
                    width: 5,
                    height: 3,
                    rgb: rgb.clone(),
                    time: i * 1001,
                    duration: 1001,
                })
                .unwrap();
        }
        writer.finish().unwrap();
        let mut reader = Y4mReader::open(&path, &Limits::default()).unwrap();
        assert_eq!(
            (reader.info().timescale, reader.info().frame_duration),
            (24000, 1001)
        );
        assert_eq!(reader.info().frames, Some(3));
        for i in 0..3 {
            let frame = reader.next_frame().unwrap().unwrap();
            assert_eq!(frame.time, i * 1001);
            assert!(frame.rgb.iter().zip(&rgb).all(|(a, b)| a.abs_diff(*b) <= 2));
        }
        assert!(reader.next_frame().unwrap().is_none());
        assert_eq!(
            std::fs::read_dir(folder.path()).unwrap().count(),
            1,
            "no temporary file is left"
        );
    }

    #[test]
    fn faults_are_sentences() {
        let fault = |bytes: &[u8]| {
            read(bytes)
                .and_then(|mut r| r.next_frame())
                .unwrap_err()
                .to_string()
        };
        assert!(fault(b"hello\n").contains("does not begin with YUV4MPEG2"));
        assert!(fault(b"YUV4MPEG2 W4 H4 F25:1 C420p10\n").contains("C420p10"));
        assert!(fault(b"YUV4MPEG2 W0 H4\n").contains("0x4"));
        assert!(fault(b"YUV4MPEG2 W99999 H99999\n").contains("--limit-pixels 9999800001"));
        // Letters that are none: a field's first byte need not end a character.
        assert!(fault(b"YUV4MPEG2 \xffW4 \xc3\xa4 W0 H4\n").contains("0x4"));
        assert!(fault(b"YUV4MPEG2 W4 H4 C\x1b[2J\n").contains(r"C\u001b[2J"));
        assert!(fault(b"YUV4MPEG2 W4 H4 Cmono\nFRAME\n123").contains("cut short inside frame 0"));
        assert!(fault(b"YUV4MPEG2 W4 H4 Cmono\nFRA").contains("cut short inside frame 0"));
        assert!(fault(b"YUV4MPEG2 W4 H4 Cmono\nnoise\n").contains("does not begin with FRAME"));
        assert!(fault(b"YUV4MPEG2 W4 H4 Cmono").contains("cut short inside its header"));
    }

    #[test]
    fn a_stream_cut_anywhere_gives_the_frames_before_and_says_so() {
        let header = b"YUV4MPEG2 W2 H2 Cmono\n";
        let frame = b"FRAME\n1234";
        let whole = [&header[..], frame, frame, frame].concat();
        for length in header.len() + 1..=whole.len() {
            let (n, rest) = (
                (length - header.len()) / frame.len(),
                (length - header.len()) % frame.len(),
            );
            let mut reader = read(&whole[..length]).unwrap();
            let frames: Result<Vec<Frame>> =
                std::iter::from_fn(|| reader.next_frame().transpose()).collect();
            match (n, rest) {
                (0, _) => assert!(frames.unwrap_err().to_string().contains("inside frame 0")),
                (_, 0) => assert_eq!((frames.unwrap().len(), reader.damage()), (n, vec![])),
                _ => {
                    assert_eq!(frames.unwrap().len(), n);
                    let damage = reader.damage();
                    assert_eq!((damage.len(), damage[0].frame), (1, n as u64));
                    assert!(damage[0].text.contains(&format!("inside frame {n}")));
                    assert!(
                        reader.next_frame().unwrap().is_none(),
                        "it stays at its end"
                    );
                }
            }
        }
    }
}
