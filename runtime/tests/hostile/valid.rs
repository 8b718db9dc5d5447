//! The smallest valid file of each kind, made here or by PyTorch.

use super::fragments::{fragmented, with_sound};
use std::collections::BTreeMap;
use std::path::Path;
use vsr_runtime::tensors::{self, View};
use vsr_runtime::video::{Frame, OutputSpec, create_writer};

pub const SIZE: usize = 16;

pub struct Valid {
    pub name: &'static str,
    pub bytes: Vec<u8>,
}

pub fn film(path: &Path, size: usize, n_frames: usize) {
    let spec = OutputSpec {
        width: size,
        height: size,
        timescale: 24000,
        frame_duration: 1001,
        full_chroma: false,
        source: None,
        is_cut: false,
        older: vsr_runtime::video::Older::Kept,
    };
    let mut writer = create_writer(path, &spec).unwrap();
    for t in 0..n_frames {
        let value = |i: usize| (40 * (i % 3) + 3 * (i / 48) + 20 * t) as u8;
        let frame = Frame {
            width: size,
            height: size,
            rgb: (0..3 * size * size).map(value).collect(),
            time: 1001 * t as i64,
            duration: 1001,
        };
        writer.write_frame(&frame).unwrap();
    }
    writer.finish().unwrap();
}

/// Films and pictures by the writers under test.
pub fn media() -> Vec<Valid> {
    let dir = tempfile::tempdir().unwrap();
    let made = |name: &'static str, n_frames| {
        let path = dir.path().join(name);
        film(&path, SIZE, n_frames);
        Valid {
            name,
            bytes: std::fs::read(path).unwrap(),
        }
    };
    let mp4 = made("a.mp4", 2);
    let fragments = Valid {
        name: "fragments.mp4",
        bytes: fragmented(&dir.path().join("a.mp4")),
    };
    let sound = Valid {
        name: "sound.mp4",
        bytes: with_sound(&dir.path().join("a.mp4")),
    };
    vec![
        sound,
        made("a.y4m", 2),
        mp4,
        fragments,
        made("a.png", 1),
        made("a.jpg", 1),
    ]
}

/// Weights: our own with their hash, PyTorch's archive, and its older form.
pub fn weights() -> Vec<Valid> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.safetensors");
    let (a, b) = ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [0.5]);
    let views = [
        View {
            name: "a.weight",
            shape: &[2, 3],
            data: &a,
        },
        View {
            name: "b",
            shape: &[],
            data: &b,
        },
    ];
    let metadata = BTreeMap::from([("model".to_string(), "Net".to_string())]);
    tensors::write(&path, &views, &metadata).unwrap();
    let fixture = |name, bytes: &[u8]| Valid {
        name,
        bytes: bytes.to_vec(),
    };
    vec![
        fixture("a.safetensors", &std::fs::read(path).unwrap()),
        fixture(
            "wrapped.pth",
            include_bytes!("../../weightfile/src/fixtures/wrapped.pth"),
        ),
        fixture(
            "old-wrapped.pth",
            include_bytes!("../../weightfile/src/fixtures/old-wrapped.pth"),
        ),
        fixture(
            "old-module.pth",
            include_bytes!("../../weightfile/src/fixtures/old-module.pth"),
        ),
    ]
}
