//! Files of every kind that `torch.save` writes and wrote (`fixtures/make.py`), as they are and damaged.

mod damage;
mod wide;

use super::*;
use crate::copy::half;

/// A dictionary saved by `torch.save`: every kind of element, a shared storage, a scalar, a counter that is no tensor.
const PLAIN: &[u8] = include_bytes!("../fixtures/plain.pth");
/// The same in the form of PyTorch before version 1.6.
const OLD_PLAIN: &[u8] = include_bytes!("../fixtures/old-plain.pth");
const STRIDED: [&[u8]; 2] = [
    include_bytes!("../fixtures/strided.pth"),
    include_bytes!("../fixtures/old-strided.pth"),
];
/// A whole network: alone, in a wrapper with another protocol, and in a wrapper in the old form.
const NETWORKS: [&[u8]; 3] = [
    include_bytes!("../fixtures/module.pth"),
    include_bytes!("../fixtures/framed.pth"),
    include_bytes!("../fixtures/old-module.pth"),
];
const OLD_FIRST: &[u8] = include_bytes!("../fixtures/old-first.pth");

/// As many as `n` elements of a tensor, from element `first` on.
fn part(bytes: &[u8], name: &str, first: usize, n: usize) -> Vec<f32> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    std::fs::write(&path, bytes).unwrap();
    let mapped = Mapped::open(&path).unwrap();
    let tensor = mapped.tensor(name).unwrap();
    let mut to = vec![0.0; n];
    mapped.copy(tensor, first, &mut to);
    to
}

fn values(bytes: &[u8], name: &str) -> Vec<f32> {
    let tensor = &header(bytes).unwrap().tensors[name];
    part(
        bytes,
        name,
        0,
        tensor.shape.iter().product::<u64>() as usize,
    )
}

fn keys(bytes: &[u8]) -> Vec<String> {
    header(bytes).unwrap().tensors.into_keys().collect()
}

fn refused(bytes: &[u8]) -> String {
    header(bytes).unwrap_err()
}

#[test]
fn a_state_dict_is_read() {
    for bytes in [PLAIN, OLD_PLAIN] {
        let header = header(bytes).unwrap();
        let kinds: Vec<(&str, &str, &[u64])> = header
            .tensors
            .iter()
            .map(|(k, t)| (k.as_str(), t.dtype.name(), t.shape.as_slice()))
            .collect();
        assert_eq!(
            kinds,
            [
                ("bfloat16", "bf16", &[2, 3][..]),
                ("bool", "bool", &[2, 3]),
                ("count", "i64", &[]),
                ("float16", "f16", &[2, 3]),
                ("float32", "f32", &[2, 3]),
                ("float64", "f64", &[2, 3]),
                ("int16", "i16", &[2, 3]),
                ("int32", "i32", &[2, 3]),
                ("int64", "i64", &[2, 3]),
                ("int8", "i8", &[2, 3]),
                ("parameter", "f32", &[4]),
                ("tail", "f32", &[2, 2]),
                ("uint8", "u8", &[2, 3]),
            ]
        );
        let wanted = [0.0, 0.5, 1.0, 1.5, 2.0, 2.5];
        for name in ["float16", "bfloat16", "float32", "float64"] {
            assert_eq!(values(bytes, name), wanted, "{name}");
        }
        assert_eq!(values(bytes, "tail"), [6.0, 7.0, 8.0, 9.0]);
        assert_eq!(values(bytes, "parameter"), [1.0; 4]);
        let int = &header.tensors["int16"];
        assert_eq!(bytes[int.at.clone()], [0, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0]);
    }
}

#[test]
fn tensors_that_are_views_are_read_in_their_own_order() {
    for bytes in STRIDED {
        assert_eq!(values(bytes, "turned"), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
        assert_eq!(values(bytes, "part"), [5.0, 6.0, 9.0, 10.0]);
        assert_eq!(values(bytes, "steps"), [1.0, 4.0, 7.0]);
        assert_eq!(values(bytes, "empty"), [0.0; 0]);
        let half = [
            2.0, 3.0, 6.0, 7.0, 10.0, 11.0, 14.0, 15.0, 18.0, 19.0, 22.0, 23.0,
        ];
        assert_eq!(values(bytes, "half"), half);
        let all: Vec<f32> = (0u8..24).map(f32::from).collect();
        assert_eq!(values(bytes, "channels_last"), all);
        for first in 0..24 {
            // What lies behind the end stays as it was.
            let wanted: Vec<f32> = all[first..].iter().copied().take(7).collect();
            let found = part(bytes, "channels_last", first, 7);
            assert_eq!(found[..wanted.len()], wanted);
        }
    }
}

#[test]
fn wrappers_of_training_scripts_are_looked_into() {
    for bytes in [
        &include_bytes!("../fixtures/wrapped.pth")[..],
        &include_bytes!("../fixtures/params_ema.pth")[..],
        &include_bytes!("../fixtures/old-wrapped.pth")[..],
        &include_bytes!("../fixtures/old-framed.pth")[..],
        // PyTorch may be told to compute no checksums.
        &include_bytes!("../fixtures/unchecked.pth")[..],
    ] {
        assert_eq!(values(bytes, "conv.weight"), [3.0, 4.0]);
        assert_eq!(keys(bytes), ["conv.weight"]);
    }
}

/// As `state_dict()` lists it: what is None and what does not persist is left out, what is shared stands twice.
#[test]
fn a_whole_network_is_read_by_its_parameters_and_buffers() {
    for bytes in NETWORKS {
        assert_eq!(
            keys(bytes),
            [
                "body.inner.mean",
                "body.inner.weight",
                "head.mean",
                "head.weight",
                "scale",
                "shared.mean",
                "shared.weight",
            ]
        );
        assert_eq!(values(bytes, "scale"), [3.0]);
        assert_eq!(values(bytes, "head.weight"), [0.0, 1.0, 2.0, 3.0]);
        assert_eq!(values(bytes, "shared.weight"), [0.0, 1.0, 2.0, 3.0]);
        assert_eq!(values(bytes, "body.inner.weight"), [10.0, 11.0, 12.0, 13.0]);
        assert_eq!(values(bytes, "body.inner.mean"), [10.0, 0.5]);
    }
}

#[test]
fn what_the_first_versions_wrote_is_read() {
    assert_eq!(keys(OLD_FIRST), ["a", "b"]);
    assert_eq!(values(OLD_FIRST, "a"), [2.0, 3.0, 4.0]);
    assert_eq!(values(OLD_FIRST, "b"), [1.0, 1.0]);
}

#[test]
fn tensors_with_attributes_are_tensors() {
    let noted = include_bytes!("../fixtures/noted.pth");
    assert_eq!(values(noted, "a"), [5.0, 6.0]);
    assert_eq!(values(noted, "b"), [7.0]);
}

#[test]
fn what_is_no_tensor_is_refused_and_nothing_is_called() {
    for evil in [
        &include_bytes!("../fixtures/call.pth")[..],
        &include_bytes!("../fixtures/old-call.pth")[..],
    ] {
        let said = refused(evil);
        let called = ["posix", "os", "nt"].map(|m| format!("asks to call {m}.system at a.weight"));
        assert!(called.iter().any(|c| said.contains(c)), "{said}");
    }
    let said = |bytes: &[u8], text: &str| {
        let found = refused(bytes);
        assert!(found.contains(text), "{found}");
    };
    said(
        include_bytes!("../fixtures/repeated.pth"),
        "a.weight is larger than its storage",
    );
    said(
        include_bytes!("../fixtures/negative.pth"),
        "holds a.weight as the negative of what it stores",
    );
    said(include_bytes!("../fixtures/ring.pth"), "too deeply");
    said(
        include_bytes!("../fixtures/old-complex.pth"),
        "holds turns as torch.ComplexFloatStorage, which is not read",
    );
    said(b"PK\x03\x04", "without an end");
    let mut tar = vec![0; 1024];
    tar[257..262].copy_from_slice(b"ustar");
    said(&tar, "before version 0.1.10");
}

#[test]
fn halves_are_exact() {
    let cases = [
        (0x3c00, 1.0),
        (0xc000, -2.0),
        (0x0001, 5.960_464_5e-8),
        (0x7bff, 65504.0),
        (0x8000, -0.0),
    ];
    for (bits, value) in cases {
        assert_eq!(half(bits).to_bits(), f32::to_bits(value));
    }
    assert!(half(0x7e00).is_nan() && half(0x7c00).is_infinite());
}
