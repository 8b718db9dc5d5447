//! The preview picture of an epoch: bicubic, ours, target, side by side under their names: the middle frame of the
//! first held-out clip.

use crate::error::{Error, Result};
use crate::files;
use crate::metrics::resize::imresize_rgb;
use crate::picture::{Picture, beside};
use crate::session::Session;
use std::io::Cursor;
use std::path::Path;

/// Writes the picture if the entry shows its network's input and output; `clip` is what the entry was fed.
pub fn write(session: &Session, entry: usize, data: &str, clip: &[f32], path: &Path) -> Result<()> {
    let plan = &session.manifest().entries[entry];
    let output_shape = |name: &str| {
        plan.outputs
            .iter()
            .find(|p| p.name == name)
            .map(|p| p.shape.as_slice())
    };
    let data_shape = plan
        .inputs
        .iter()
        .find(|p| p.name == data)
        .map(|p| p.shape.as_slice());
    let shapes = (
        output_shape("preview.input"),
        output_shape("preview.output"),
        data_shape,
    );
    let (Some(low), Some(ours), Some(data)) = shapes else {
        return Ok(());
    };
    let (middle, is_luma) = (frames(low) / 2, ours.get(1) == Some(&1));
    let low = picture(low, session.output(entry, "preview.input"), middle);
    let ours = picture(
        ours,
        session.output(entry, "preview.output"),
        frames(ours) / 2,
    );
    let target = picture(data, clip, middle);
    let (Some(low), Some(ours), Some(target)) = (low, ours, target) else {
        return Ok(());
    };
    // A network of luma is compared with luma.
    let target = if is_luma { grey(&target) } else { target };
    let (width, height) = (ours.width, ours.height);
    let rgb = imresize_rgb(&low.rgb, (low.width, low.height), (width, height));
    let bicubic = Picture { width, height, rgb };
    let all = beside(&[("bicubic", bicubic), ("ours", ours), ("target", target)]);
    let png = encode(all).ok_or_else(|| Error::machine("the preview could not be drawn"))?;
    files::write_whole(path, &[&png])
}

fn grey(picture: &Picture) -> Picture {
    let luma = |p: &[u8; 3]| {
        let [r, g, b] = p.map(f32::from);
        [(0.299 * r + 0.587 * g + 0.114 * b).round() as u8; 3]
    };
    let pixels = picture.rgb.as_chunks::<3>().0;
    Picture {
        rgb: pixels.iter().flat_map(luma).collect(),
        ..*picture
    }
}

fn frames(shape: &[u64]) -> usize {
    if shape.len() == 5 {
        shape[2] as usize
    } else {
        1
    }
}

/// One frame of the first clip of [B, C, T, H, W] or [B, C, H, W], one channel as grey.
fn picture(shape: &[u64], values: &[f32], frame: usize) -> Option<Picture> {
    let shape: Vec<usize> = shape.iter().map(|n| *n as usize).collect();
    let (channels, n_frames, height, width) = match shape.as_slice() {
        [_, c, t, h, w] => (*c, *t, *h, *w),
        [_, c, h, w] => (*c, 1, *h, *w),
        _ => return None,
    };
    let plane = |c: usize| {
        let start = (c * n_frames + frame.min(n_frames - 1)) * height * width;
        values.get(start..start + height * width)
    };
    let planes = match channels {
        1 => [plane(0)?; 3],
        3 => [plane(0)?, plane(1)?, plane(2)?],
        _ => return None,
    };
    let byte = |v: f32| (255.0 * v).round().clamp(0.0, 255.0) as u8;
    let rgb = (0..height * width)
        .flat_map(|i| planes.map(|p| byte(p[i])))
        .collect();
    Some(Picture { width, height, rgb })
}

fn encode(picture: Picture) -> Option<Vec<u8>> {
    let (width, height) = (picture.width as u32, picture.height as u32);
    let canvas = image::RgbImage::from_raw(width, height, picture.rgb)?;
    let mut out = Cursor::new(Vec::new());
    canvas.write_to(&mut out, image::ImageFormat::Png).ok()?;
    Some(out.into_inner())
}
