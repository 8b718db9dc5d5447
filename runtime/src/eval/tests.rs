//! Scores of networks whose results are known.

use super::*;
use crate::upscale::{Form, Network, Shape};
use crate::video::image_writer::write_image;

/// Enlarges by bicubic, so that its scores are those of bicubic.
struct Bicubic {
    shapes: Vec<Shape>,
    result: Vec<f32>,
    input: [usize; 4],
    output: [usize; 4],
}

impl Bicubic {
    fn new(width: usize, height: usize, scale: usize) -> Bicubic {
        let (input, output) = ([1, 3, height, width], [1, 3, height * scale, width * scale]);
        let form = Form::new(&input, &output).unwrap();
        let shapes = vec![Shape {
            profile: "tile".into(),
            form,
            field: None,
            flops: 1,
        }];
        Bicubic {
            shapes,
            result: Vec::new(),
            input,
            output,
        }
    }
}

impl Network for Bicubic {
    fn input_shape(&self) -> &[usize] {
        &self.input
    }

    fn output_shape(&self) -> &[usize] {
        &self.output
    }

    fn field(&self) -> Option<[(usize, usize); 2]> {
        None
    }

    fn run(&mut self, input: &[f32]) -> Result<&[f32]> {
        let [_, _, h, w] = self.input;
        let [_, _, oh, ow] = self.output;
        let planes = input
            .chunks_exact(h * w)
            .map(|p| Plane::new(w, h, p.to_vec()));
        self.result = planes
            .flat_map(|p| crate::metrics::resize::imresize(&p, ow, oh).data)
            .collect();
        Ok(&self.result)
    }
}

impl Networks for Bicubic {
    fn shapes(&self) -> &[Shape] {
        &self.shapes
    }

    fn select(&mut self, _: usize) -> &mut dyn Network {
        self
    }
}

fn protocol() -> Protocol {
    Protocol {
        degradation: Degradation::Bicubic,
        scale: 2,
        channel: Channel::Y,
        crop: 2,
        skip_ends: 0,
        limit: None,
    }
}

/// A clip of five pictures of 41x33.
fn clip(folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    for t in 0..5usize {
        let value =
            |i: usize| ((i / 3 % 41 * 5 + i / 123 * 3 + t * 9) % 256) as u8 ^ (i % 7 * 4) as u8;
        let rgb: Vec<u8> = (0..41 * 33 * 3).map(value).collect();
        write_image(&folder.join(format!("{t}.png")), 41, 33, &rgb).unwrap();
    }
}

#[test]
fn bicubic_scores_as_bicubic() {
    let root = tempfile::tempdir().unwrap();
    clip(&root.path().join("a"));
    clip(&root.path().join("b"));
    let (clips, _) = find_clips(root.path(), &Limits::default()).unwrap();
    let mut network = Bicubic::new(20, 16, 2);
    for channel in [Channel::Y, Channel::Rgb] {
        let protocol = Protocol {
            channel,
            ..protocol()
        };
        let report = run(
            &mut network,
            &clips,
            protocol,
            TileOptions::default(),
            OnFault::Tell,
            &Limits::default(),
            |_, _| true,
        )
        .unwrap();
        assert_eq!((report.clips.len(), report.clips[0].n_frames), (2, 5));
        let Score {
            psnr,
            ssim,
            bicubic_psnr,
            bicubic_ssim,
        } = report.mean;
        assert!(
            (psnr - bicubic_psnr).abs() < 0.02 && (ssim - bicubic_ssim).abs() < 1e-3,
            "{:?}",
            report.mean
        );
        assert!((10.0..60.0).contains(&psnr));
        assert!(
            report
                .lines()
                .iter()
                .all(|l| l.contains(&format!("protocol BI x2, {channel}, crop 2"))),
            "{:?}",
            report.lines()
        );
    }
}

#[test]
fn ends_and_limits() {
    let root = tempfile::tempdir().unwrap();
    clip(root.path());
    let mut network = Bicubic::new(20, 16, 2);
    let mut frames = |protocol| {
        let report = run(
            &mut network,
            &find_clips(root.path(), &Limits::default())?.0,
            protocol,
            TileOptions::default(),
            OnFault::Tell,
            &Limits::default(),
            |_, _| true,
        )?;
        Ok::<usize, MediaError>(report.clips[0].n_frames)
    };
    assert_eq!(
        frames(Protocol {
            limit: Some(3),
            ..protocol()
        })
        .unwrap(),
        3
    );
    assert_eq!(
        frames(Protocol {
            skip_ends: 2,
            ..protocol()
        })
        .unwrap(),
        1
    );
    assert!(
        frames(Protocol {
            skip_ends: 3,
            ..protocol()
        })
        .unwrap_err()
        .to_string()
        .contains("has 5 frames")
    );
    assert!(
        frames(Protocol {
            crop: 12,
            ..protocol()
        })
        .unwrap_err()
        .to_string()
        .contains("too small")
    );
    assert!(
        frames(Protocol {
            scale: 4,
            ..protocol()
        })
        .unwrap_err()
        .to_string()
        .contains("enlarges x2")
    );
}

#[test]
fn equal_frames_score_without_end() {
    let picture: Vec<u8> = (0..20 * 20 * 3).map(|i| (i % 251) as u8).collect();
    let s = score(&picture, &picture, &picture, 20, 20, protocol());
    assert!(s.psnr.is_infinite() && (s.ssim - 1.0).abs() < 1e-12);
}
