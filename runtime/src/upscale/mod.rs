//! Frames of any size through a network of fixed shape. Enters: frames of a film. Leaves: larger frames, in order, with
//! the same times. Tiles are exact where the network's field is finite, blended where it is not. Memory holds one
//! window of frames and one result, however long the film.

pub mod command;
pub mod session;
pub mod tiles;
pub mod window;

use crate::memory;
use crate::metrics::resize::imresize;
use crate::metrics::{Plane, channels};
use crate::video::{Frame, FrameReader, FrameWriter, MediaError, Result};
use std::time::{Duration, Instant};
use tiles::{Axis, Seam, mirror};
use window::Window;

/// A compiled network with its weights.
pub trait Network {
    /// `[B, C, H, W]` or `[B, C, T, H, W]`.
    fn input_shape(&self) -> &[usize];
    /// `[B, C, sH, sW]` or `[B, C, T, sH, sW]`.
    fn output_shape(&self) -> &[usize];
    /// Halo and stride, vertical and horizontal, if the field is finite.
    fn field(&self) -> Option<[(usize, usize); 2]>;
    fn run(&mut self, input: &[f32]) -> Result<&[f32]>;
}

impl<N: Network + ?Sized> Network for &mut N {
    fn input_shape(&self) -> &[usize] {
        (**self).input_shape()
    }

    fn output_shape(&self) -> &[usize] {
        (**self).output_shape()
    }

    fn field(&self) -> Option<[(usize, usize); 2]> {
        (**self).field()
    }

    fn run(&mut self, input: &[f32]) -> Result<&[f32]> {
        (**self).run(input)
    }
}

/// One network compiled for several shapes.
pub trait Networks {
    fn shapes(&self) -> &[Shape];
    /// The one of this index in `shapes`.
    fn select(&mut self, index: usize) -> &mut dyn Network;
}

/// What it takes to choose between compiled shapes.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    pub profile: String,
    pub form: Form,
    pub field: Option<[(usize, usize); 2]>,
    /// Of one run.
    pub flops: u64,
}

/// The upscaler for frames of a size, with the shape that costs least.
pub fn fit(
    networks: &mut dyn Networks,
    width: usize,
    height: usize,
    options: TileOptions,
) -> Result<(String, Upscaler<&mut dyn Network>)> {
    let shapes = networks.shapes();
    let Some(index) = choose(shapes, width, height, options).or((!shapes.is_empty()).then_some(0))
    else {
        return Err(MediaError::user(
            "this artifact has no infer entry that takes frames",
        ));
    };
    let profile = shapes[index].profile.clone();
    Ok((
        profile,
        Upscaler::new(networks.select(index), width, height, options)?,
    ))
}

/// What the shapes of a network mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    pub batch: usize,
    /// 3: RGB. 1: luma; colour is enlarged beside it.
    pub channels: usize,
    pub frames: usize,
    pub height: usize,
    pub width: usize,
    pub scale: usize,
    /// The result has a time axis, too.
    pub returns_all: bool,
}

impl Form {
    pub fn new(input: &[usize], output: &[usize]) -> Result<Form> {
        let unfit = || {
            let wanted = "frames [B, 3 or 1, T, H, W] or pictures [B, 3 or 1, H, W], enlarged by a whole number";
            MediaError::user(format!(
                "this network takes {input:?} and gives {output:?}; upscaling needs {wanted}"
            ))
        };
        let (batch, channels, frames, height, width) = match *input {
            [b, c, h, w] => (b, c, 1, h, w),
            [b, c, t, h, w] => (b, c, t, h, w),
            _ => return Err(unfit()),
        };
        let (out_channels, out_height, out_width, returns_all) = match *output {
            [b, c, h, w] if b == batch => (c, h, w, false),
            [b, c, t, h, w] if b == batch && t == frames => (c, h, w, true),
            _ => return Err(unfit()),
        };
        let scale = out_height / height.max(1);
        let fits = [1, 3].contains(&channels) && out_channels == channels && scale > 0;
        if !fits || (out_height, out_width) != (scale * height, scale * width) {
            return Err(unfit());
        }
        Ok(Form {
            batch,
            channels,
            frames,
            height,
            width,
            scale,
            returns_all,
        })
    }
}

#[derive(Clone, Copy, Debug)]
pub struct TileOptions {
    /// Pixels blended between tiles where the field is not finite.
    pub overlap: usize,
    /// Enlarge by bicubic before a network that keeps the size (1: none).
    pub enlarge_first: usize,
}

impl Default for TileOptions {
    fn default() -> TileOptions {
        TileOptions {
            overlap: 16,
            enlarge_first: 1,
        }
    }
}

/// A frame ready for tiles: planes in 0 to 1, padded by mirroring.
struct Prepared {
    planes: Vec<Vec<f32>>,
    /// For a luma network: the enlarged picture and its luma, to give the result colour.
    colour: Option<Vec<Plane>>,
    frame: Frame,
}

/// A network bound to a size of frame.
pub struct Upscaler<N> {
    network: N,
    form: Form,
    options: TileOptions,
    rows: Axis,
    columns: Axis,
    /// Size of the frames that enter.
    width: usize,
    height: usize,
    input: Vec<f32>,
}

impl<N: Network> Upscaler<N> {
    pub fn new(
        network: N,
        width: usize,
        height: usize,
        options: TileOptions,
    ) -> Result<Upscaler<N>> {
        let form = Form::new(network.input_shape(), network.output_shape())?;
        let first = options.enlarge_first.max(1);
        let rows = Axis::plan(
            height * first,
            form.height,
            seam(network.field(), 0, options),
        )?;
        let columns = Axis::plan(width * first, form.width, seam(network.field(), 1, options))?;
        let input = vec![0.0; form.batch * form.channels * form.frames * form.height * form.width];
        Ok(Upscaler {
            network,
            form,
            options,
            rows,
            columns,
            width,
            height,
            input,
        })
    }

    pub fn form(&self) -> &Form {
        &self.form
    }

    /// How many times larger the results are.
    pub fn scale(&self) -> usize {
        self.form.scale * self.options.enlarge_first.max(1)
    }

    /// The tiles give the same bits as the whole frame at once would.
    pub fn is_exact(&self) -> bool {
        let fits =
            |axis: &Axis, length: usize| axis.padded == length * self.options.enlarge_first.max(1);
        let one_tile = self.n_tiles() == 1;
        let exact = matches!(self.rows.seam, Seam::Exact { .. }) || one_tile;
        exact && fits(&self.rows, self.height) && fits(&self.columns, self.width)
    }

    pub fn n_tiles(&self) -> usize {
        self.rows.starts.len() * self.columns.starts.len()
    }

    /// Memory that frames take on their way through: those that are kept, their padded planes, a group's results, and
    /// one result as it is written.
    pub fn frame_bytes(&self) -> u64 {
        let area = |w: usize, h: usize| (w as u64).saturating_mul(h as u64);
        let (scale, channels) = (self.scale() as u64, self.form.channels as u64);
        let frame = area(self.width, self.height);
        let padded = area(self.columns.padded, self.rows.padded);
        let grown = padded.saturating_mul((self.form.scale * self.form.scale) as u64);
        let shown = frame.saturating_mul(scale * scale);
        // Luma networks keep the enlarged colours beside it.
        let colour = if channels == 1 { 12 * shown } else { 0 };
        let kept = 3 * frame + 4 * channels * padded + colour;
        let n_results = if self.form.returns_all {
            self.form.frames
        } else {
            1
        } as u64;
        let results = 4 * (channels * n_results + 1) * grown;
        let while_preparing = 24 * area(self.width, self.height);
        (self.form.frames as u64 + 1) * kept + results + 9 * shown + while_preparing
    }

    fn prepare(&self, frame: Frame) -> Result<Prepared> {
        if (frame.width, frame.height) != (self.width, self.height) {
            let (w, h) = (self.width, self.height);
            return Err(MediaError::user(format!(
                "a frame of {}x{} within a film of {w}x{h}",
                frame.width, frame.height
            )));
        }
        let mut planes = channels(&frame.rgb, self.width, self.height);
        let first = self.options.enlarge_first.max(1);
        if first > 1 {
            planes = planes
                .iter()
                .map(|p| imresize(p, self.width * first, self.height * first))
                .collect();
        }
        let mut colour = None;
        if self.form.channels == 1 {
            let luma = luma_full(&planes);
            let (width, height) = (luma.width * self.form.scale, luma.height * self.form.scale);
            if self.form.scale > 1 {
                planes = planes.iter().map(|p| imresize(p, width, height)).collect();
            }
            colour = Some(planes);
            planes = vec![luma];
        }
        let planes = planes.iter().map(|p| self.pad(p)).collect::<Result<_>>()?;
        Ok(Prepared {
            planes,
            colour,
            frame,
        })
    }

    /// To 0..1 and to the padded size.
    fn pad(&self, plane: &Plane) -> Result<Vec<f32>> {
        let columns: Vec<usize> = (0..self.columns.padded)
            .map(|x| mirror(x as i64, plane.width))
            .collect();
        let mut out = Vec::new();
        memory::reserve(&mut out, self.rows.padded * columns.len(), "a frame")?;
        for y in 0..self.rows.padded {
            let row = &plane.data[mirror(y as i64, plane.height) * plane.width..][..plane.width];
            out.extend(columns.iter().map(|&x| row[x] / 255.0));
        }
        Ok(out)
    }

    /// Results of a group of frames: one, or one for each frame of a network that returns all. Planes in 0 to 1,
    /// padded.
    fn run(&mut self, group: &[std::rc::Rc<Prepared>]) -> Result<Vec<Vec<Vec<f32>>>> {
        let form = self.form;
        let n_results = if form.returns_all { form.frames } else { 1 };
        let (width, height) = (
            self.columns.padded * form.scale,
            self.rows.padded * form.scale,
        );
        let zeros = |n: usize| memory::zeroed::<f32>(n, "an enlarged frame");
        let planes = || (0..form.channels).map(|_| zeros(width * height)).collect();
        let mut results: Vec<Vec<Vec<f32>>> =
            (0..n_results).map(|_| planes()).collect::<Result<_>>()?;
        let mut total = zeros(match self.rows.seam {
            Seam::Blended { .. } => width * height,
            Seam::Exact { .. } => 0,
        })?;
        let n_columns = self.columns.starts.len();
        let tiles: Vec<(usize, usize)> = (0..self.n_tiles())
            .map(|i| (i / n_columns, i % n_columns))
            .collect();
        for batch in tiles.chunks(form.batch) {
            for slot in 0..form.batch {
                // A batch that is not full repeats its last tile.
                self.fill(slot, batch[slot.min(batch.len() - 1)], group);
            }
            let output = self.network.run(&self.input)?;
            let (rows, columns) = (&self.rows, &self.columns);
            let tile_len = form.height * form.width * form.scale * form.scale;
            for (slot, &(r, c)) in batch.iter().enumerate() {
                for (t, result) in results.iter_mut().enumerate() {
                    for (channel, plane) in result.iter_mut().enumerate() {
                        let at = ((slot * form.channels + channel) * n_results + t) * tile_len;
                        let place = Placement {
                            rows,
                            columns,
                            r,
                            c,
                            scale: form.scale,
                        };
                        let sum = if t == 0 && channel == 0 {
                            Some(&mut total[..])
                        } else {
                            None
                        };
                        place.put(&output[at..at + tile_len], plane, sum);
                    }
                }
            }
        }
        if !total.is_empty() {
            let planes = results.iter_mut().flatten();
            planes.for_each(|plane| plane.iter_mut().zip(&total).for_each(|(v, t)| *v /= t));
        }
        Ok(results)
    }

    /// The unrounded result for the middle one of a full group of frames: planes in 0 to 1, of the padded size.
    pub fn unrounded(&mut self, frames: Vec<Frame>) -> Result<Vec<Vec<f32>>> {
        let prepared = frames
            .into_iter()
            .map(|f| self.prepare(f).map(std::rc::Rc::new));
        let group = prepared.collect::<Result<Vec<_>>>()?;
        let mut results = self.run(&group)?;
        let middle = results.len() / 2;
        Ok(results.swap_remove(middle))
    }

    /// Copies a tile of all frames into a place of the batch.
    fn fill(&mut self, slot: usize, (r, c): (usize, usize), group: &[std::rc::Rc<Prepared>]) {
        let Form {
            channels,
            frames,
            height,
            width,
            ..
        } = self.form;
        let (top, left) = (self.rows.starts[r], self.columns.starts[c]);
        for channel in 0..channels {
            for (t, frame) in group.iter().enumerate() {
                let base = ((slot * channels + channel) * frames + t) * height * width;
                for y in 0..height {
                    let source =
                        &frame.planes[channel][(top + y) * self.columns.padded + left..][..width];
                    self.input[base + y * width..][..width].copy_from_slice(source);
                }
            }
        }
    }

    /// The result as a frame of 8-bit RGB.
    fn finish(&self, planes: &[Vec<f32>], source: &Prepared) -> Result<Frame> {
        let (width, height) = (self.width * self.scale(), self.height * self.scale());
        let stride = self.columns.padded * self.form.scale;
        let mut rgb = memory::zeroed(width * height * 3, "an enlarged frame")?;
        let to_8_bit = |v: f32| (v * 255.0).round().clamp(0.0, 255.0) as u8;
        let base = source.colour.as_ref().map(|c| luma_full(c));
        for (y, row) in rgb.chunks_exact_mut(width * 3).enumerate() {
            for (x, pixel) in row.chunks_exact_mut(3).enumerate() {
                for (c, out) in pixel.iter_mut().enumerate() {
                    let value = match (&source.colour, &base) {
                        // Changing only luma shifts R, G and B alike.
                        (Some(colour), Some(base)) => {
                            let at = y * width + x;
                            planes[0][y * stride + x] + (colour[c].data[at] - base.data[at]) / 255.0
                        }
                        _ => planes[c][y * stride + x],
                    };
                    *out = to_8_bit(value);
                }
            }
        }
        Ok(Frame {
            width,
            height,
            rgb,
            time: source.frame.time,
            duration: source.frame.duration,
        })
    }
}

/// 0.299 R + 0.587 G + 0.114 B, as the networks' own text computes luma.
fn luma_full(planes: &[Plane]) -> Plane {
    let [r, g, b] = [0, 1, 2].map(|c| planes[c].data.iter());
    let data = r
        .zip(g)
        .zip(b)
        .map(|((r, g), b)| 0.299 * r + 0.587 * g + 0.114 * b)
        .collect();
    Plane {
        data,
        width: planes[0].width,
        height: planes[0].height,
    }
}

/// Where a tile's result goes.
struct Placement<'a> {
    rows: &'a Axis,
    columns: &'a Axis,
    r: usize,
    c: usize,
    scale: usize,
}

impl Placement<'_> {
    fn put(&self, tile: &[f32], plane: &mut [f32], total: Option<&mut [f32]>) {
        let s = self.scale;
        let (tile_width, width) = (self.columns.tile * s, self.columns.padded * s);
        let (top, left) = (
            self.rows.starts[self.r] * s,
            self.columns.starts[self.c] * s,
        );
        if let Seam::Exact { .. } = self.rows.seam {
            let (rows, columns) = (self.rows.owned(self.r), self.columns.owned(self.c));
            let (from, to) = (columns.start * s, columns.end * s);
            for y in rows.start * s..rows.end * s {
                let source = &tile[(y - top) * tile_width + from - left..][..to - from];
                plane[y * width + from..y * width + to].copy_from_slice(source);
            }
            return;
        }
        let (down, across) = (
            self.rows.weights(self.r, s),
            self.columns.weights(self.c, s),
        );
        for (y, wy) in down.iter().enumerate() {
            let row = &mut plane[(top + y) * width + left..][..tile_width];
            let source = &tile[y * tile_width..][..tile_width];
            row.iter_mut()
                .zip(source)
                .zip(&across)
                .for_each(|((o, v), wx)| *o += wy * wx * v);
        }
        if let Some(total) = total {
            for (y, wy) in down.iter().enumerate() {
                let row = &mut total[(top + y) * width + left..][..tile_width];
                row.iter_mut()
                    .zip(&across)
                    .for_each(|(o, wx)| *o += wy * wx);
            }
        }
    }
}

/// Sends every frame of `next` through the network, results in order to `take`. Both may end it with an error.
pub fn stream<N: Network>(
    upscaler: &mut Upscaler<N>,
    mut next: impl FnMut() -> Result<Option<Frame>>,
    mut take: impl FnMut(Frame) -> Result<()>,
) -> Result<()> {
    let mut window = Window::new(upscaler.form.frames, upscaler.form.returns_all);
    let mut ended = false;
    loop {
        while let Some(group) = window.group() {
            let results = upscaler.run(&group.frames)?;
            for (slot, _) in group.results {
                let source = &group.frames[if upscaler.form.returns_all {
                    slot
                } else {
                    upscaler.form.frames / 2
                }];
                let frame = upscaler.finish(&results[slot], source)?;
                take(frame)?;
            }
        }
        if ended {
            return Ok(());
        }
        match next()? {
            Some(frame) => window.push(upscaler.prepare(frame)?),
            None => {
                window.end();
                ended = true;
            }
        }
    }
}

/// How far a film is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    pub n_done: u64,
    pub n_total: Option<u64>,
    pub elapsed: Duration,
}

impl Progress {
    pub fn frames_per_second(&self) -> f64 {
        self.n_done as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }
}

/// A film from reader to writer. `limit` ends it early; `report` is called after each frame and returns whether to go
/// on. On any error, and when told to stop, the writer is dropped and leaves nothing behind.
pub fn film<N: Network>(
    upscaler: &mut Upscaler<N>,
    reader: &mut dyn FrameReader,
    mut writer: Box<dyn FrameWriter>,
    limit: Option<u64>,
    mut report: impl FnMut(Progress) -> bool,
) -> Result<(Progress, Vec<String>)> {
    let started = Instant::now();
    let n_total = match (reader.info().frames, limit) {
        (Some(n), Some(limit)) => Some(n.min(limit)),
        (n, limit) => limit.or(n),
    };
    let mut progress = Progress {
        n_done: 0,
        n_total,
        elapsed: Duration::ZERO,
    };
    let mut n_read = 0;
    let next = || {
        if limit.is_some_and(|l| n_read >= l) {
            return Ok(None);
        }
        n_read += 1;
        reader.next_frame()
    };
    let take = |frame: Frame| {
        writer.write_frame(&frame)?;
        progress.n_done += 1;
        progress.elapsed = started.elapsed();
        if report(progress) {
            Ok(())
        } else {
            Err(MediaError::Interrupted)
        }
    };
    stream(upscaler, next, take)?;
    let notes = writer.finish()?;
    progress.elapsed = started.elapsed();
    Ok((progress, notes))
}

/// Of several compiled shapes, the one that a film of this size costs least.
pub fn choose(
    shapes: &[Shape],
    width: usize,
    height: usize,
    options: TileOptions,
) -> Option<usize> {
    let costs = shapes
        .iter()
        .enumerate()
        .filter_map(|(i, s)| Some((i, cost(s, width, height, options)?)));
    costs.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(i, _)| i)
}

/// Flops of one frame; `None` where tiles of this shape cannot cover it.
fn cost(shape: &Shape, width: usize, height: usize, options: TileOptions) -> Option<f64> {
    let (form, first) = (&shape.form, options.enlarge_first.max(1));
    let rows = Axis::plan(height * first, form.height, seam(shape.field, 0, options)).ok()?;
    let columns = Axis::plan(width * first, form.width, seam(shape.field, 1, options)).ok()?;
    let n_runs = (rows.starts.len() * columns.starts.len()).div_ceil(form.batch);
    let n_results = if form.returns_all { form.frames } else { 1 };
    Some(shape.flops.max(1) as f64 * n_runs as f64 / n_results as f64)
}

fn seam(field: Option<[(usize, usize); 2]>, axis: usize, options: TileOptions) -> Seam {
    match field {
        Some(field) => Seam::Exact {
            halo: field[axis].0,
            stride: field[axis].1,
        },
        None => Seam::Blended {
            overlap: options.overlap,
        },
    }
}

#[cfg(test)]
mod tests;
