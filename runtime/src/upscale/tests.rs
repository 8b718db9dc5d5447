//! Tiling and windows with networks made here: small convolutions whose whole-frame result is computed directly.

use super::*;
use crate::video::y4m::Y4mWriter;
use crate::video::{OutputSpec, create_writer, open_reader};

/// Three rounds of a 3x3 filter on every frame (zeros beyond the border), the frames weighted by 1, 2, 3, …; then
/// nearest enlargement. Its field is 3 pixels.
struct Fake {
    input: Vec<usize>,
    output: Vec<usize>,
    finite: bool,
    result: Vec<f32>,
    n_runs: usize,
}

fn filter(plane: &[f32], width: usize, height: usize) -> Vec<f32> {
    let at = |x: i64, y: i64| {
        let inside = (0..width as i64).contains(&x) && (0..height as i64).contains(&y);
        if inside {
            plane[y as usize * width + x as usize]
        } else {
            0.0
        }
    };
    let mut out = Vec::new();
    for y in 0..height as i64 {
        for x in 0..width as i64 {
            let mut sum = 0.0;
            for (k, w) in [0.1f32, 0.07, 0.13, 0.2, 0.17, 0.03, 0.09, 0.11, 0.1]
                .into_iter()
                .enumerate()
            {
                sum += w * at(x + k as i64 % 3 - 1, y + k as i64 / 3 - 1);
            }
            out.push(sum);
        }
    }
    out
}

impl Fake {
    fn new(input: &[usize], scale: usize, finite: bool) -> Fake {
        let mut output = input.to_vec();
        if output.len() == 5 {
            output.remove(2);
        }
        let n = output.len();
        output[n - 1] *= scale;
        output[n - 2] *= scale;
        let result = vec![0.0; output.iter().product()];
        Fake {
            input: input.to_vec(),
            output,
            finite,
            result,
            n_runs: 0,
        }
    }
}

impl Network for Fake {
    fn input_shape(&self) -> &[usize] {
        &self.input
    }

    fn output_shape(&self) -> &[usize] {
        &self.output
    }

    fn field(&self) -> Option<[(usize, usize); 2]> {
        self.finite.then_some([(3, 1); 2])
    }

    fn run(&mut self, input: &[f32]) -> Result<&[f32]> {
        self.n_runs += 1;
        let form = Form::new(&self.input, &self.output)?;
        let Form {
            frames,
            height,
            width,
            scale,
            ..
        } = form;
        let (plane, out_plane) = (height * width, height * width * scale * scale);
        for (group, out) in input
            .chunks_exact(frames * plane)
            .zip(self.result.chunks_exact_mut(out_plane))
        {
            let mut mixed = vec![0.0; plane];
            for (t, frame) in group.chunks_exact(plane).enumerate() {
                let weight = (t + 1) as f32 / (frames * (frames + 1) / 2) as f32;
                mixed
                    .iter_mut()
                    .zip(frame)
                    .for_each(|(m, v)| *m += weight * v);
            }
            for _ in 0..3 {
                mixed = filter(&mixed, width, height);
            }
            for (i, o) in out.iter_mut().enumerate() {
                *o = mixed[i / (width * scale) / scale * width + i % (width * scale) / scale];
            }
        }
        Ok(&self.result)
    }
}

fn frames(n: usize, width: usize, height: usize) -> Vec<Frame> {
    let value = |t: usize, i: usize| ((i * 7919 + t * 104729) >> 3) as u8;
    (0..n)
        .map(|t| Frame {
            width,
            height,
            rgb: (0..width * height * 3).map(|i| value(t, i)).collect(),
            time: t as i64 * 7,
            duration: 7,
        })
        .collect()
}

fn results(fake: &mut Fake, film: &[Frame], options: TileOptions) -> Vec<Frame> {
    let mut upscaler = Upscaler::new(fake, film[0].width, film[0].height, options).unwrap();
    let mut source = film.iter().cloned();
    let mut out = Vec::new();
    stream(
        &mut upscaler,
        || Ok(source.next()),
        |f| {
            out.push(f);
            Ok(())
        },
    )
    .unwrap();
    out
}

#[test]
fn tiles_of_a_finite_field_equal_the_whole_frame() {
    let film = frames(4, 50, 37);
    for channels in [3, 1] {
        let whole = results(
            &mut Fake::new(&[1, channels, 3, 37, 50], 2, true),
            &film,
            TileOptions::default(),
        );
        for (batch, height, width) in [(1, 16, 20), (3, 16, 16), (2, 37, 9)] {
            let mut fake = Fake::new(&[batch, channels, 3, height, width], 2, true);
            let tiled = results(&mut fake, &film, TileOptions::default());
            assert!(
                tiled == whole,
                "{channels} channels, {batch} tiles of {width}x{height}"
            );
            assert!(fake.n_runs > 4);
        }
    }
}

#[test]
fn times_and_order_are_kept() {
    let film = frames(5, 20, 16);
    let out = results(
        &mut Fake::new(&[1, 3, 3, 16, 20], 2, true),
        &film,
        TileOptions::default(),
    );
    assert_eq!(
        out.iter().map(|f| (f.time, f.duration)).collect::<Vec<_>>(),
        film.iter()
            .map(|f| (f.time, f.duration))
            .collect::<Vec<_>>()
    );
    assert!(out.iter().all(|f| (f.width, f.height) == (40, 32)));
}

#[test]
fn blended_tiles_are_close_to_the_whole_frame() {
    let film: Vec<Frame> = frames(1, 60, 44);
    let whole = results(
        &mut Fake::new(&[1, 3, 44, 60], 1, false),
        &film,
        TileOptions::default(),
    );
    let tiled = results(
        &mut Fake::new(&[1, 3, 24, 24], 1, false),
        &film,
        TileOptions {
            overlap: 16,
            ..TileOptions::default()
        },
    );
    // A margin of four pixels is dropped, and the field is three: only rounding is left.
    let worst = whole[0]
        .rgb
        .iter()
        .zip(&tiled[0].rgb)
        .map(|(a, b)| a.abs_diff(*b))
        .max();
    assert!(worst <= Some(1), "{worst:?}");
}

#[test]
fn frames_smaller_than_a_tile_are_mirrored() {
    for (width, height) in [(1, 1), (5, 3), (23, 40)] {
        let out = results(
            &mut Fake::new(&[1, 3, 5, 24, 24], 4, false),
            &frames(2, width, height),
            TileOptions::default(),
        );
        assert_eq!(
            (out.len(), out[0].width, out[0].height),
            (2, 4 * width, 4 * height)
        );
    }
}

#[test]
fn luma_networks_keep_colour_and_may_be_enlarged_for() {
    let rgb = [200u8, 80, 40].repeat(24 * 16);
    let film = [Frame {
        width: 24,
        height: 16,
        rgb,
        time: 0,
        duration: 1,
    }];
    let mut fake = Fake::new(&[1, 1, 48, 72], 1, true);
    let out = results(
        &mut fake,
        &film,
        TileOptions {
            enlarge_first: 3,
            ..TileOptions::default()
        },
    );
    assert_eq!((out[0].width, out[0].height), (72, 48));
    let middle = &out[0].rgb[(24 * 72 + 36) * 3..][..3];
    assert!(
        middle
            .iter()
            .zip([200u8, 80, 40])
            .all(|(a, b)| a.abs_diff(b) <= 1),
        "{middle:?}"
    );
}

#[test]
fn the_cheapest_shape_is_chosen() {
    let form = |h, w| Form {
        batch: 1,
        channels: 3,
        frames: 1,
        height: h,
        width: w,
        scale: 4,
        returns_all: false,
    };
    let shape = |h, w| Shape {
        profile: format!("{w}x{h}"),
        form: form(h, w),
        field: None,
        flops: (h * w) as u64,
    };
    let shapes = [shape(64, 64), shape(180, 320)];
    assert_eq!(choose(&shapes, 320, 180, TileOptions::default()), Some(1));
    assert_eq!(choose(&shapes, 60, 60, TileOptions::default()), Some(0));
}

#[test]
fn films_are_cut_and_stopped_cleanly() {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("in.y4m"), folder.path().join("out.y4m"));
    let spec = OutputSpec {
        width: 20,
        height: 16,
        timescale: 25,
        frame_duration: 1,
        full_chroma: true,
        source: None,
        is_cut: false,
        older: crate::video::Older::Kept,
    };
    let mut writer: Box<dyn FrameWriter> = Box::new(Y4mWriter::create(&input, &spec).unwrap());
    frames(6, 20, 16)
        .iter()
        .for_each(|f| writer.write_frame(f).unwrap());
    writer.finish().unwrap();
    let run = |limit, go_on: bool| {
        let mut fake = Fake::new(&[1, 3, 3, 16, 20], 2, true);
        let mut reader = open_reader(&input)?;
        let writer = create_writer(&output, &OutputSpec::scaled(reader.info(), 2, Some(&input)))?;
        let mut upscaler = Upscaler::new(&mut fake, 20, 16, TileOptions::default())?;
        film(&mut upscaler, &mut *reader, writer, limit, |_| go_on)
    };
    assert!(matches!(run(None, false), Err(MediaError::Interrupted)));
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        1,
        "nothing is left of a film that was stopped"
    );
    assert_eq!(run(Some(2), true).unwrap().0.n_done, 2);
    assert_eq!(run(None, true).unwrap().0.n_done, 6);
    let mut reader = open_reader(&output).unwrap();
    let n = std::iter::from_fn(|| reader.next_frame().unwrap()).count();
    assert_eq!((n, reader.info().width, reader.info().height), (6, 40, 32));
}

#[test]
fn networks_that_are_no_upscalers_are_refused() {
    for (input, output) in [
        (&[1, 3, 8][..], &[1, 3, 8][..]),
        (&[1, 3, 8, 8], &[1, 1, 8, 8]),
        (&[1, 3, 8, 8], &[1, 3, 12, 12]),
        (&[1, 3, 8, 8], &[1, 3, 16, 8]),
    ] {
        assert!(Form::new(input, output).is_err(), "{input:?} {output:?}");
    }
}
