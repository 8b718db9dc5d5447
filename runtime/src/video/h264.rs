//! H.264 through OpenH264. Enters: access units with length prefixes, or RGB frames. Leaves: planes turned to RGB, or
//! access units with length prefixes. The stream's own parameter set says size, matrix and range. No files here.

use super::MediaError;
use super::color::{self, Coding, Layout, Matrix, Planes};
use super::mp4::boxes::Cursor;
use openh264::OpenH264API;
use openh264::decoder::{DecodedYUV, Decoder as OpenDecoder, DecoderConfig, Flush};
use openh264::formats::YUVSource;

/// The decoder configuration of an `avcC` box.
#[derive(Clone, Debug)]
pub struct AvcConfig {
    pub length_bytes: usize,
    /// Parameter sets with start codes, as the decoder wants them.
    pub headers: Vec<u8>,
    pub sps: Sps,
}

/// What a sequence parameter set says that matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sps {
    pub profile: u8,
    pub width: usize,
    pub height: usize,
    /// Before cropping: what the decoder makes room for.
    pub coded: (usize, usize),
    /// Frames that it keeps to refer to.
    pub n_refs: u32,
    pub bit_depth: u32,
    pub chroma_format: u32,
    pub interlaced: bool,
    pub matrix: Option<Matrix>,
    pub full_range: bool,
}

impl AvcConfig {
    pub fn parse(avcc: &[u8]) -> Option<AvcConfig> {
        let mut cursor = Cursor::new(avcc);
        cursor.skip(4)?;
        let [length, n_sps] = cursor.array()?;
        let mut headers = Vec::new();
        let mut sps: Option<Sps> = None;
        for _ in 0..n_sps & 31 {
            let unit = take_unit(&mut cursor)?;
            let (first, this) = (sps, Sps::parse(unit));
            // One film, one size.
            if first.zip(this).is_some_and(|(a, b)| a.coded != b.coded) {
                return None;
            }
            sps = first.or(this);
            push_unit(&mut headers, unit);
        }
        let [n_pps] = cursor.array()?;
        for _ in 0..n_pps {
            let unit = take_unit(&mut cursor)?;
            push_unit(&mut headers, unit);
        }
        Some(AvcConfig {
            length_bytes: usize::from(length & 3) + 1,
            headers,
            sps: sps?,
        })
    }
}

fn take_unit<'a>(cursor: &mut Cursor<'a>) -> Option<&'a [u8]> {
    let n_bytes = usize::from(cursor.u16()?);
    let unit = cursor.rest().get(..n_bytes)?;
    cursor.skip(n_bytes)?;
    Some(unit)
}

fn push_unit(out: &mut Vec<u8>, unit: &[u8]) {
    out.extend_from_slice(&[0, 0, 0, 1]);
    out.extend_from_slice(unit);
}

/// A sample's units with start codes in place of lengths. `None` if a length does not fit.
pub fn with_start_codes(sample: &[u8], length_bytes: usize, out: &mut Vec<u8>) -> Option<()> {
    let mut rest = sample;
    while !rest.is_empty() {
        let (length, tail) = rest.split_at_checked(length_bytes)?;
        let n_bytes = length.iter().fold(0usize, |n, &b| n << 8 | usize::from(b));
        push_unit(out, tail.get(..n_bytes)?);
        rest = &tail[n_bytes..];
    }
    Some(())
}

/// Reads bits of a unit whose emulation prevention bytes are already gone.
struct Bits {
    bytes: Vec<u8>,
    at: usize,
}

impl Bits {
    fn new(unit: &[u8]) -> Bits {
        let mut bytes = Vec::with_capacity(unit.len());
        let mut zeros = 0;
        for &b in unit {
            if zeros >= 2 && b == 3 {
                zeros = 0;
                continue;
            }
            zeros = if b == 0 { zeros + 1 } else { 0 };
            bytes.push(b);
        }
        Bits { bytes, at: 0 }
    }

    fn bits(&mut self, n: usize) -> Option<u32> {
        (0..n).try_fold(0u32, |value, _| {
            let byte = *self.bytes.get(self.at / 8)?;
            let bit = byte >> (7 - self.at % 8) & 1;
            self.at += 1;
            Some(value << 1 | u32::from(bit))
        })
    }

    fn flag(&mut self) -> Option<bool> {
        self.bits(1).map(|b| b == 1)
    }

    /// Unsigned Exp-Golomb.
    fn ue(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        Some(((1u32 << zeros) - 1).saturating_add(self.bits(zeros)?))
    }

    fn se(&mut self) -> Option<i32> {
        let n = self.ue()? as i64;
        Some(if n % 2 == 1 {
            (n / 2 + 1) as i32
        } else {
            -(n / 2) as i32
        })
    }
}

impl Sps {
    pub fn parse(unit: &[u8]) -> Option<Sps> {
        let mut b = Bits::new(unit.get(1..)?);
        let profile = b.bits(8)? as u8;
        b.bits(16)?;
        b.ue()?;
        let (mut chroma_format, mut bit_depth) = (1, 8);
        if [100, 110, 122, 244, 44, 83, 86, 118, 128].contains(&profile) {
            chroma_format = b.ue()?;
            if chroma_format == 3 {
                b.bits(1)?;
            }
            bit_depth = b.ue()?.saturating_add(8);
            b.ue()?;
            b.bits(1)?;
            if b.flag()? {
                skip_scaling_lists(&mut b, if chroma_format == 3 { 12 } else { 8 })?;
            }
        }
        b.ue()?;
        skip_picture_order(&mut b)?;
        let n_refs = b.ue()?;
        b.bits(1)?;
        let coded_width = 16 * (b.ue()?.checked_add(1)? as usize);
        let map_units = 16 * (b.ue()?.checked_add(1)? as usize);
        let interlaced = !b.flag()?;
        let rows = if interlaced { 2 } else { 1 };
        if interlaced {
            b.bits(1)?;
        }
        b.bits(1)?;
        let (mut crop_x, mut crop_y) = (0, 0);
        if b.flag()? {
            let [left, right, top, bottom] =
                [b.ue()?, b.ue()?, b.ue()?, b.ue()?].map(|n| n as usize);
            let (unit_x, unit_y) = match chroma_format {
                1 => (2, 2),
                2 => (2, 1),
                _ => (1, 1),
            };
            crop_x = unit_x * (left + right);
            crop_y = unit_y * rows * (top + bottom);
        }
        let coded = (coded_width, map_units * rows);
        let not_empty = |n: &usize| *n > 0;
        let width = coded.0.checked_sub(crop_x).filter(not_empty)?;
        let height = coded.1.checked_sub(crop_y).filter(not_empty)?;
        let (matrix, full_range) = if b.flag()? {
            color_description(&mut b)?
        } else {
            (None, false)
        };
        Some(Sps {
            profile,
            width,
            height,
            coded,
            n_refs,
            bit_depth,
            chroma_format,
            interlaced,
            matrix,
            full_range,
        })
    }

    /// Memory of decoding: planes of the frames that are kept, those on their way out, and RGB.
    pub fn bytes_a_pixel(&self) -> u64 {
        2 * u64::from(self.n_refs.min(16) + 6) + 6
    }

    pub fn coding(&self) -> Coding {
        let assumed = Coding::assumed(self.width, self.height);
        Coding {
            matrix: self.matrix.unwrap_or(assumed.matrix),
            full_range: self.full_range,
        }
    }

    /// Why OpenH264 cannot decode it, if so.
    pub fn obstacle(&self) -> Option<String> {
        if self.bit_depth != 8 {
            return Some(format!("{}-bit H.264", self.bit_depth));
        }
        if self.chroma_format != 1 {
            return Some("H.264 with a chroma format other than 4:2:0".into());
        }
        self.interlaced.then(|| "interlaced H.264".into())
    }
}

fn skip_scaling_lists(b: &mut Bits, n_lists: usize) -> Option<()> {
    for list in 0..n_lists {
        if !b.flag()? {
            continue;
        }
        let (mut last, mut next) = (8i32, 8i32);
        for _ in 0..if list < 6 { 16 } else { 64 } {
            if next != 0 {
                next = last.wrapping_add(b.se()?) & 255;
            }
            last = if next == 0 { last } else { next };
        }
    }
    Some(())
}

fn skip_picture_order(b: &mut Bits) -> Option<()> {
    match b.ue()? {
        0 => {
            b.ue()?;
        }
        1 => {
            b.bits(1)?;
            b.se()?;
            b.se()?;
            let n = b.ue()?;
            for _ in 0..n.min(256) {
                b.se()?;
            }
        }
        _ => {}
    }
    Some(())
}

/// Matrix and range out of the first part of the VUI.
fn color_description(b: &mut Bits) -> Option<(Option<Matrix>, bool)> {
    if b.flag()? && b.bits(8)? == 255 {
        b.bits(32)?;
    }
    if b.flag()? {
        b.bits(1)?;
    }
    if !b.flag()? {
        return Some((None, false));
    }
    b.bits(3)?;
    let full_range = b.flag()?;
    if !b.flag()? {
        return Some((None, full_range));
    }
    b.bits(16)?;
    let matrix = match b.bits(8)? {
        1 => Some(Matrix::Bt709),
        5 | 6 => Some(Matrix::Bt601),
        9 | 10 => Some(Matrix::Bt2020),
        _ => None,
    };
    Some((matrix, full_range))
}

/// The beginnings of all sequence parameter sets in a stream with start codes, wherever they hide.
pub fn parameter_sets(stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    const MAX_BYTES: usize = 4096;
    let starts = stream.windows(4).enumerate();
    starts
        .filter(|(_, w)| w[..3] == [0, 0, 1] && [7, 15].contains(&(w[3] & 31)))
        .map(|(at, _)| &stream[at + 3..stream.len().min(at + 3 + MAX_BYTES)])
}

/// Why there is no picture.
#[derive(Debug)]
pub enum Fault {
    Stream(String),
    Media(MediaError),
}

/// A decoded picture.
pub struct Picture {
    pub width: usize,
    pub height: usize,
    pub rgb: Vec<u8>,
}

pub struct Decoder {
    inner: OpenDecoder,
    coding: Coding,
}

impl Decoder {
    pub fn new(coding: Coding) -> std::result::Result<Decoder, String> {
        // Pictures stay inside until their turn: flushing after each access unit would break their order.
        let config = DecoderConfig::new().flush_after_decode(Flush::NoFlush);
        let inner = OpenDecoder::with_api_config(OpenH264API::from_source(), config)
            .map_err(|e| e.to_string())?;
        Ok(Decoder { inner, coding })
    }

    /// Takes one access unit with start codes. Pictures come out in order of presentation, later than they went in.
    pub fn decode(&mut self, unit: &[u8]) -> std::result::Result<Option<Picture>, Fault> {
        let coding = self.coding;
        // The decoder counts bytes in 31 bits.
        if i32::try_from(unit.len()).is_err() {
            return Err(Fault::Stream("it has 2 GB or more".into()));
        }
        let decoded = self.inner.decode(unit).map_err(stream_fault)?;
        decoded.map(|yuv| picture(&yuv, coding)).transpose()
    }

    /// The pictures still inside.
    pub fn finish(&mut self) -> std::result::Result<Vec<Picture>, Fault> {
        let coding = self.coding;
        let rest = self.inner.flush_remaining().map_err(stream_fault)?;
        rest.iter().map(|yuv| picture(yuv, coding)).collect()
    }
}

/// What the decoder's state says; each bit of it is a reason.
fn stream_fault(error: openh264::Error) -> Fault {
    const REASONS: [(i64, &str); 5] = [
        (0x10, "its parameter sets are missing"),
        (0x04, "its data are damaged"),
        (0x02, "a frame that it builds on is missing"),
        (0x20, "parts of it are missing"),
        (0x08, "a layer of it is missing"),
    ];
    let code = error.native_code();
    let reason = REASONS.iter().find(|(bit, _)| code & bit != 0);
    let other = || format!("OpenH264 gives code {code:#x}");
    Fault::Stream(reason.map_or_else(other, |(_, why)| why.to_string()))
}

fn picture(yuv: &DecodedYUV, coding: Coding) -> std::result::Result<Picture, Fault> {
    let (width, height) = yuv.dimensions();
    let (y_stride, c_stride, _) = yuv.strides();
    let planes = Planes {
        y: yuv.y(),
        u: yuv.u(),
        v: yuv.v(),
        y_stride,
        c_stride,
        layout: Layout::Half,
    };
    let rgb = color::to_rgb(&planes, width, height, coding).map_err(Fault::Media)?;
    Ok(Picture { width, height, rgb })
}

/// A coded frame with length prefixes.
pub struct Coded {
    pub bytes: Vec<u8>,
    pub is_sync: bool,
}

/// Makes H.264 of RGB frames. Sizes that the format cannot hold are padded by repeating the border.
pub struct Encoder {
    inner: openh264::encoder::Encoder,
    coding: Coding,
    width: usize,
    height: usize,
    pub coded_width: usize,
    pub coded_height: usize,
    pub sps: Vec<u8>,
    pub pps: Vec<u8>,
}

/// Bits a second that the rate control aims at: half a bit a pixel up to 720p, less for larger pictures, which are
/// smoother.
fn bit_rate(width: usize, height: usize, fps: f64) -> u32 {
    const PIXELS_720P: f64 = 1280.0 * 720.0;
    let pixels = (width * height) as f64;
    let easier = (PIXELS_720P / pixels.max(PIXELS_720P)).powf(0.25);
    (0.5 * pixels * fps * easier).clamp(1e6, 2e8) as u32
}

/// OpenH264 warns on standard error that the rate may vary. It may: frames are never skipped for it.
fn silence(encoder: &mut openh264::encoder::Encoder) {
    const OPTION_TRACE_LEVEL: std::ffi::c_int = 25;
    let mut quiet: std::ffi::c_int = 0;
    // SAFETY: the option takes a pointer to an int, read during the call, and is allowed before initialisation.
    unsafe {
        encoder
            .raw_api()
            .set_option(OPTION_TRACE_LEVEL as _, (&raw mut quiet).cast());
    }
}

impl Encoder {
    pub fn new(
        width: usize,
        height: usize,
        frames_per_second: f64,
    ) -> std::result::Result<Encoder, String> {
        use openh264::encoder::{
            BitRate, EncoderConfig, FrameRate, IntraFramePeriod, QpRange, RateControlMode,
            UsageType, VuiConfig,
        };
        let (coded_width, coded_height) = (
            width.next_multiple_of(2).max(16),
            height.next_multiple_of(2).max(16),
        );
        let (longer, shorter) = (coded_width.max(coded_height), coded_width.min(coded_height));
        if longer > 3840 || shorter > 2160 {
            return Err(format!(
                "H.264 output goes up to 3840x2160, and this is {width}x{height}: write .y4m or a folder of pictures"
            ));
        }
        let coding = Coding::assumed(width, height);
        let fps = frames_per_second.clamp(1.0, 240.0);
        let vui = if coding.matrix == Matrix::Bt709 {
            VuiConfig::bt709()
        } else {
            VuiConfig::bt601()
        };
        let config = EncoderConfig::new()
            .skip_frames(false)
            .rate_control_mode(RateControlMode::Quality)
            .bitrate(BitRate::from_bps(bit_rate(coded_width, coded_height, fps)))
            .max_frame_rate(FrameRate::from_hz(fps as f32))
            .usage_type(UsageType::CameraVideoRealTime)
            .background_detection(false)
            .intra_frame_period(IntraFramePeriod::from_num_frames((fps * 4.0).round() as u32))
            .num_threads(1)
            .qp(QpRange::new(10, 30))
            .vui(vui);
        let mut inner =
            openh264::encoder::Encoder::with_api_config(OpenH264API::from_source(), config)
                .map_err(|e| e.to_string())?;
        silence(&mut inner);
        Ok(Encoder {
            inner,
            coding,
            width,
            height,
            coded_width,
            coded_height,
            sps: Vec::new(),
            pps: Vec::new(),
        })
    }

    pub fn encode(&mut self, rgb: &[u8]) -> std::result::Result<Coded, String> {
        use openh264::encoder::FrameType;
        let padded;
        let rgb = if (self.coded_width, self.coded_height) == (self.width, self.height) {
            rgb
        } else {
            padded = pad(
                rgb,
                self.width,
                self.height,
                self.coded_width,
                self.coded_height,
            );
            &padded
        };
        let planes = color::from_rgb(
            rgb,
            self.coded_width,
            self.coded_height,
            Layout::Half,
            self.coding,
        )
        .map_err(|e| e.to_string())?;
        let source = openh264::formats::YUVSlices::new(
            (&planes.y, &planes.u, &planes.v),
            (self.coded_width, self.coded_height),
            (self.coded_width, self.coded_width / 2, self.coded_width / 2),
        );
        let stream = self.inner.encode(&source).map_err(|e| e.to_string())?;
        if matches!(stream.frame_type(), FrameType::Skip | FrameType::Invalid) {
            return Err("the H.264 encoder left out a frame".into());
        }
        let mut coded = Coded {
            bytes: Vec::new(),
            is_sync: stream.frame_type() == FrameType::IDR,
        };
        for unit in units(&stream.to_vec()) {
            match unit.first().map(|b| b & 31) {
                Some(7) => self.sps = unit.to_vec(),
                Some(8) => self.pps = unit.to_vec(),
                _ => {
                    coded
                        .bytes
                        .extend_from_slice(&(unit.len() as u32).to_be_bytes());
                    coded.bytes.extend_from_slice(unit);
                }
            }
        }
        Ok(coded)
    }
}

/// The units of a byte stream, without their start codes.
fn units(stream: &[u8]) -> Vec<&[u8]> {
    let starts: Vec<usize> = stream
        .windows(3)
        .enumerate()
        .filter(|(_, w)| w == &[0, 0, 1])
        .map(|(i, _)| i)
        .collect();
    let ends = starts.iter().skip(1).copied().chain([stream.len()]);
    // Zeros before a start code belong to it, never to a unit: units end with a stop bit.
    let trimmed = |unit: &mut &[u8]| {
        while let Some((&0, rest)) = unit.split_last() {
            *unit = rest;
        }
    };
    let mut units: Vec<&[u8]> = starts
        .iter()
        .zip(ends)
        .map(|(&start, end)| &stream[start + 3..end])
        .collect();
    units.iter_mut().for_each(trimmed);
    units
}

/// Repeats the last column and row.
fn pad(rgb: &[u8], width: usize, height: usize, to_width: usize, to_height: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(to_width * to_height * 3);
    for y in 0..to_height {
        let row = &rgb[y.min(height - 1) * width * 3..][..width * 3];
        out.extend_from_slice(row);
        for _ in width..to_width {
            out.extend_from_slice(&row[width * 3 - 3..]);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameter_sets_say_size_and_colour() {
        for (width, height, matrix) in [(1280, 720, Matrix::Bt709), (34, 22, Matrix::Bt601)] {
            let mut encoder = Encoder::new(width, height, 25.0).unwrap();
            assert!(
                encoder
                    .encode(&vec![90; width * height * 3])
                    .unwrap()
                    .is_sync
            );
            let sps = Sps::parse(&encoder.sps).unwrap();
            assert_eq!(
                (sps.width, sps.height, sps.matrix, sps.full_range),
                (width, height, Some(matrix), false)
            );
            assert_eq!(sps.obstacle(), None);
        }
    }

    /// Writes bits, and Exp-Golomb numbers.
    #[derive(Default)]
    struct Written(Vec<bool>);

    impl Written {
        fn bits(&mut self, value: u32, n: u32) {
            self.0.extend((0..n).rev().map(|i| value >> i & 1 == 1));
        }

        fn ue(&mut self, value: u32) {
            let n = (value + 1).ilog2();
            self.bits(0, n);
            self.bits(value + 1, n + 1);
        }

        fn bytes(mut self) -> Vec<u8> {
            self.0.resize(self.0.len().next_multiple_of(8), false);
            let byte = |b: &[bool]| b.iter().fold(0, |n, bit| n << 1 | u8::from(*bit));
            self.0.chunks(8).map(byte).collect()
        }
    }

    /// Baseline, of so many macroblocks each way, with all but 16 pixels cropped away.
    fn cropped(width: u32, height: u32) -> Vec<u8> {
        let mut w = Written::default();
        w.bits(0x67_42_c0, 24);
        w.bits(40, 8);
        // Its number, frame numbers, picture order of kind 2, frames kept, no gaps.
        [0, 0, 2, 4].iter().for_each(|n| w.ue(*n));
        w.bits(0, 1);
        w.ue(width - 1);
        w.ue(height - 1);
        w.bits(0b111, 3);
        let cropped = [0, 8 * (width - 1), 0, 8 * (height - 1)];
        cropped.iter().for_each(|n| w.ue(*n));
        w.bits(0, 1);
        w.bits(1, 1);
        w.bytes()
    }

    /// What is cropped away is decoded all the same: limits are for that.
    #[test]
    fn cropping_hides_no_size() {
        let sps = Sps::parse(&cropped(256, 144)).unwrap();
        assert_eq!((sps.width, sps.height), (16, 16));
        assert_eq!((sps.coded, sps.n_refs), ((4096, 2304), 4));
        let huge = Sps::parse(&cropped(1 << 20, 1 << 20)).unwrap();
        assert_eq!(huge.coded, (1 << 24, 1 << 24));
        let limits = crate::video::Limits::default();
        let (w, h) = huge.coded;
        let said = limits.check(std::path::Path::new("a"), w, h, huge.bytes_a_pixel());
        assert!(said.unwrap_err().to_string().contains("--limit-pixels"));
    }

    #[test]
    fn parameter_sets_are_found_wherever_they_stand() {
        let stream = [
            &[0, 0, 1, 0x65, 9][..],
            &[0, 0, 0, 1, 0x27, 1, 2],
            &[0, 0, 1, 0x6f],
        ]
        .concat();
        let found: Vec<u8> = parameter_sets(&stream).map(|s| s[0]).collect();
        assert_eq!(found, [0x27, 0x6f]);
        assert_eq!(parameter_sets(&[0, 0, 1]).count(), 0);
    }

    #[test]
    fn too_large_pictures_are_refused() {
        let refused = Encoder::new(4000, 2000, 25.0).err().unwrap();
        assert!(refused.contains("3840x2160"), "{refused}");
    }

    #[test]
    fn lengths_that_do_not_fit_are_refused() {
        assert_eq!(with_start_codes(&[0, 0, 0, 9, 1], 4, &mut Vec::new()), None);
        let mut out = Vec::new();
        assert_eq!(
            with_start_codes(&[0, 2, 7, 8, 0, 1, 9], 2, &mut out),
            Some(())
        );
        assert_eq!(out, [0, 0, 0, 1, 7, 8, 0, 0, 0, 1, 9]);
    }
}
