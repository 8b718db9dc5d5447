//! Archives of every kind that `torch.save` may write, as they are and damaged.

use super::*;

/// A dictionary saved by `torch.save` (see the script beside the goldens): every kind of element, a shared storage,
/// a scalar, a counter that is no tensor.
const PLAIN: &[u8] = include_bytes!("fixtures/plain.pth");

fn values(bytes: &[u8], name: &str) -> Vec<f32> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    std::fs::write(&path, bytes).unwrap();
    let mapped = Mapped::open(&path).unwrap();
    let tensor = mapped.tensor(name).unwrap();
    let mut to = vec![0.0; tensor.shape.iter().product::<u64>() as usize];
    mapped.copy(tensor, 0, &mut to);
    to
}

#[test]
fn a_state_dict_is_read() {
    let header = header(PLAIN).unwrap();
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
        assert_eq!(values(PLAIN, name), wanted, "{name}");
    }
    assert_eq!(values(PLAIN, "tail"), [6.0, 7.0, 8.0, 9.0]);
    assert_eq!(values(PLAIN, "parameter"), [1.0; 4]);
}

#[test]
fn wrappers_of_training_scripts_are_looked_into() {
    for bytes in [
        &include_bytes!("fixtures/wrapped.pth")[..],
        &include_bytes!("fixtures/params_ema.pth")[..],
    ] {
        assert_eq!(values(bytes, "conv.weight"), [3.0, 4.0]);
        assert_eq!(header(bytes).unwrap().tensors.len(), 1);
    }
}

#[test]
fn what_is_no_tensor_is_refused_and_nothing_is_called() {
    let refused = |bytes: &[u8]| header(bytes).unwrap_err();
    let evil = refused(include_bytes!("fixtures/call.pth"));
    assert!(
        evil.contains("asks to call posix.system") || evil.contains("asks to call os.system"),
        "{evil}"
    );
    let strided = refused(include_bytes!("fixtures/strided.pth"));
    assert!(
        strided.contains("holds a.weight with strides [1, 3]"),
        "{strided}"
    );
    let module = refused(include_bytes!("fixtures/module.pth"));
    assert!(module.contains("not a dictionary of tensors"), "{module}");
    let old = refused(&[0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c]);
    assert!(old.contains("before version 1.6"), "{old}");
    assert!(refused(b"PK\x03\x04").contains("without an end"));
}

/// Every shorter file, and every file with one byte changed, is read or refused: nothing panics, no place lies outside.
#[test]
fn damaged_files_never_panic() {
    for n in 0..PLAIN.len() {
        assert!(header(&PLAIN[..n]).is_err(), "{n}");
    }
    let mut bytes = PLAIN.to_vec();
    for at in 0..bytes.len() {
        let old = bytes[at];
        for new in [0, 0xff, old ^ 1, old ^ 0x80] {
            bytes[at] = new;
            if let Ok(header) = header(&bytes) {
                assert!(header.tensors.values().all(|t| t.at.end <= bytes.len()));
            }
        }
        bytes[at] = old;
    }
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

/// An archive as files above 4 GiB have it: sizes and places stand in extra fields of 64 bits.
fn wide_archive(name: &str, data: &[u8]) -> Vec<u8> {
    let mut zip = vec![];
    let (n, none) = (name.len() as u16, 0xffff_ffffu32.to_le_bytes());
    let put = |zip: &mut Vec<u8>, parts: &[&[u8]]| parts.iter().for_each(|p| zip.extend(*p));
    let head: &[u8] = &[45, 0, 0, 0, 0, 0, 0, 0, 0, 0]; // version, flags, method, time, date
    let crc = [0u8; 4];
    let size = (data.len() as u64).to_le_bytes();
    let short = |x: u16| x.to_le_bytes();
    put(
        &mut zip,
        &[
            b"PK\x03\x04",
            head,
            &crc,
            &none,
            &none,
            &short(n),
            &short(0),
            name.as_bytes(),
            data,
        ],
    );
    let central = zip.len() as u64;
    let extra = [&short(1)[..], &short(24), &size, &size, &0u64.to_le_bytes()].concat();
    put(
        &mut zip,
        &[
            b"PK\x01\x02",
            &[45, 0],
            head,
            &crc,
            &none,
            &none,
            &short(n),
            &short(extra.len() as u16),
        ],
    );
    put(&mut zip, &[&[0; 10], &none, name.as_bytes(), &extra]);
    let end = zip.len() as u64;
    let (one, length) = (1u64.to_le_bytes(), (end - central).to_le_bytes());
    put(
        &mut zip,
        &[
            b"PK\x06\x06",
            &44u64.to_le_bytes(),
            &[45, 0, 45, 0],
            &[0; 8],
            &one,
            &one,
            &length,
        ],
    );
    put(
        &mut zip,
        &[
            &central.to_le_bytes(),
            b"PK\x06\x07",
            &[0; 4],
            &end.to_le_bytes(),
            &[1, 0, 0, 0],
        ],
    );
    put(&mut zip, &[b"PK\x05\x06", &[0; 4], &[0xff; 12], &[0; 2]]);
    zip
}

#[test]
fn archives_above_four_gigabytes_are_read() {
    let zip = wide_archive("a/data.pkl", b"twelve bytes");
    let entries = archive::entries(&zip).unwrap();
    assert_eq!(&zip[entries["a/data.pkl"].clone()], b"twelve bytes");
}
