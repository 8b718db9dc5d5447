//! Files cut off, changed, or made to cost more than they should: read or refused in one sentence, never a panic.

use super::*;
use crate::pickle::Value;
use crate::unpickle;

fn all() -> Vec<&'static [u8]> {
    let [a, b] = STRIDED;
    let [c, d, e] = NETWORKS;
    vec![PLAIN, OLD_PLAIN, OLD_FIRST, a, b, c, d, e]
}

/// Every place lies within the file, and every element within its tensor's place.
fn check(bytes: &[u8]) {
    let Ok(header) = header(bytes) else { return };
    for tensor in header.tensors.values() {
        assert!(tensor.at.start <= tensor.at.end && tensor.at.end <= bytes.len());
        assert_eq!(tensor.shape.len(), tensor.strides.len());
        let n: u64 = tensor.shape.iter().product();
        assert!(n as usize * tensor.dtype.bytes() <= tensor.at.len());
        let mut to = vec![0.0; n as usize + 1];
        copy::floats(tensor, &bytes[tensor.at.clone()], 0, &mut to);
    }
}

#[test]
fn every_shorter_file_is_refused() {
    for bytes in all() {
        for n in 0..bytes.len() {
            assert!(header(&bytes[..n]).is_err(), "{n}");
        }
    }
}

#[test]
fn what_stands_behind_the_end_is_damage() {
    let mut plain = safetensors();
    for bytes in all().into_iter().chain([&*plain]) {
        for more in [&b"\0"[..], b"PK\x05\x06", bytes] {
            let longer = [bytes, more].concat();
            assert!(header(&longer).is_err(), "{} more bytes", more.len());
        }
    }
    plain.pop();
    assert!(header(&plain).is_err());
}

/// `{"a": [1.0, 2.0]}`.
fn safetensors() -> Vec<u8> {
    let text = br#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
    let length = (text.len() as u64).to_le_bytes();
    let values = [1.0f32, 2.0].map(f32::to_le_bytes).concat();
    [&length[..], text, &values].concat()
}

/// Nothing that an archive has a checksum of can change unnoticed: every bit of the pickle and of the numbers.
#[test]
fn changed_bits_of_an_archive_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.pth");
    let found = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        Mapped::open(&path)
            .map_err(|e| e.to_string())
            .and_then(|m| m.verify())
    };
    for bytes in [PLAIN, STRIDED[0]] {
        assert_eq!(found(bytes), Ok(()));
        let parts = header(bytes).unwrap().checked;
        assert!(parts.iter().any(|p| p.name.ends_with("/data/0")));
        for at in parts.into_iter().flat_map(|p| p.at) {
            let mut changed = bytes.to_vec();
            changed[at] ^= 1 << (at % 8);
            let said = found(&changed).unwrap_err();
            assert!(said.contains("the checksum of"), "{at}: {said}");
        }
        // A checksum that is gone is no permission.
        let mut without = bytes.to_vec();
        let directory = bytes.windows(4).rposition(|w| w == b"PK\x01\x02").unwrap();
        without[directory + 16..directory + 20].fill(0);
        assert!(found(&without).unwrap_err().contains("the checksum of"));
    }
    let unchecked = include_bytes!("../fixtures/unchecked.pth");
    assert_eq!(
        (found(unchecked), header(unchecked).unwrap().checked.len()),
        (Ok(()), 0)
    );
}

/// The names of 2,000 tensors, all of one storage: what a header takes is counted by its names, not by their numbers.
#[test]
fn many_names_of_one_storage_are_one_storage() {
    let mut object = b"}(".to_vec();
    for i in 0..2000u32 {
        object.extend(b"X\x04\0\0\0");
        object.extend(format!("{i:04}").bytes());
        match i {
            0 => object.extend(
                b"ctorch._utils\n_rebuild_tensor_v2\n((U\x07storagectorch\nFloatStorage\nU\x011U\x03cpuK\x04NtQK\0K\x04\x85K\x01\x85tRq\x01",
            ),
            _ => object.extend(b"h\x01"),
        }
    }
    object.extend(b"u.");
    let file = old(
        0xe9,
        0x88,
        &object,
        &["1"],
        &stored(4, &[1.0, 2.0, 3.0, 4.0]),
    );
    let tensors = header(&file).unwrap().tensors;
    assert_eq!(tensors.len(), 2000);
    let place = tensors["0000"].at.clone();
    assert!(tensors.values().all(|t| t.at == place));
}

#[test]
fn files_with_one_byte_changed_never_panic() {
    for bytes in all() {
        let mut bytes = bytes.to_vec();
        for at in 0..bytes.len() {
            let old = bytes[at];
            for new in [0, 0xff, old ^ 1, old ^ 0x80, b'.', b'h', b'b'] {
                bytes[at] = new;
                check(&bytes);
            }
            bytes[at] = old;
        }
    }
}

/// Pieces of files moved to other places, as a fuzzer would.
#[test]
fn files_with_pieces_exchanged_never_panic() {
    let mut state = 1u64;
    let mut below = |n: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) as usize % n
    };
    for bytes in all() {
        for _ in 0..2000 {
            let mut changed = bytes.to_vec();
            for _ in 0..=below(3) {
                let n = 1 + below(16);
                let (from, to) = (below(bytes.len() - n), below(bytes.len() - n));
                changed[to..to + n].copy_from_slice(&bytes[from..from + n]);
            }
            check(&changed);
        }
    }
}

/// Behind the mark: a version, the machine, what `object` is, a list of keys, and `stored`.
fn old(version: u8, little: u8, object: &[u8], keys: &[&str], stored: &[u8]) -> Vec<u8> {
    let mut file = vec![0x80, 2, 0x8a, 10];
    file.extend([
        0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, b'.',
    ]);
    file.extend([0x80, 2, b'M', version, 3, b'.']);
    file.extend(b"\x80\x02}U\x0dlittle_endian");
    file.extend([little, b's', b'.']);
    file.extend(object);
    file.extend(b"](");
    for key in keys {
        file.extend([b'U', key.len() as u8]);
        file.extend(key.as_bytes());
    }
    file.extend(b"e.");
    file.extend(stored);
    file
}

/// `{"x": _rebuild_tensor_v2(storage, 0, (n,), (1,))}` on a storage "1" of floats, of which `part` is taken.
fn object(n: u8, part: &[u8]) -> Vec<u8> {
    let call = b"}U\x01xctorch._utils\n_rebuild_tensor_v2\n((U\x07storagectorch\nFloatStorage\nU\x011U\x03cpuK\x04";
    let end = [
        b'K', 0, b'K', n, 0x85, b'K', 1, 0x85, b't', b'R', b's', b'.',
    ];
    [call, part, b"tQ", &end].concat()
}

fn stored(count: u64, values: &[f32]) -> Vec<u8> {
    let values = values.iter().flat_map(|v| v.to_le_bytes());
    count.to_le_bytes().into_iter().chain(values).collect()
}

#[test]
fn parts_of_storages_are_those_of_the_first_versions() {
    let four = stored(4, &[1.0, 2.0, 3.0, 4.0]);
    let whole = old(0xe9, 0x88, &object(4, b"N"), &["1"], &four);
    assert_eq!(values(&whole, "x"), [1.0, 2.0, 3.0, 4.0]);
    let part = |n: u8, first: u8, count: u8| {
        let part = [b'U', 1, b'2', b'K', first, b'K', count, 0x87];
        old(0xe9, 0x88, &object(n, &part), &["1"], &four)
    };
    assert_eq!(values(&part(2, 1, 2), "x"), [2.0, 3.0]);
    assert!(refused(&part(3, 1, 2)).contains("x is larger than its storage"));
    assert!(refused(&part(1, 3, 2)).contains("a part of the storage 1 is larger than it"));
}

#[test]
fn old_files_that_are_not_what_they_say_are_refused() {
    let four = stored(4, &[1.0, 2.0, 3.0, 4.0]);
    let said = |file: &[u8], text: &str| {
        let found = refused(file);
        assert!(found.contains(text), "{found}");
    };
    let x = object(4, b"N");
    said(
        &old(0xea, 0x88, &x, &["1"], &four),
        "a version of its format",
    );
    said(&old(0xe9, 0x89, &x, &["1"], &four), "big-endian");
    said(
        &old(0xe9, 0x88, &x, &[], &[]),
        "the storage 1 of x is not in it",
    );
    said(&old(0xe9, 0x88, &x, &["1", "3"], &four), "stores 3");
    said(
        &old(0xe9, 0x88, &x, &["1"], &four[..20]),
        "ends behind the file's end",
    );
    let huge = stored(u64::MAX / 2, &[1.0]);
    said(
        &old(0xe9, 0x88, &x, &["1"], &huge),
        "ends behind the file's end",
    );
    said(
        &old(0xe9, 0x88, &object(5, b"N"), &["1"], &four),
        "x is larger than its storage",
    );
}

/// Small files that would be large in memory, or take long.
#[test]
fn small_files_stay_small() {
    // A list of pairs that many dictionaries are made of.
    let mut list = b"](".to_vec();
    list.extend(b"NN\x86".repeat(1000));
    list.extend(b"eq\x000ccollections\nOrderedDict\nq\x010");
    list.extend(b"h\x01h\x00\x85R0".repeat(1000));
    list.extend(b"N.");
    let said = unpickle::read(&list).unwrap_err();
    assert!(said.contains("copies a list again and again"), "{said}");
    // A long name, put together again and again.
    let mut name = b"X\x00\x10\x00\x00".to_vec();
    name.extend([b'x'; 4096]);
    name.extend(b"q\x000h\x00h\x00\x93.");
    let said = unpickle::read(&name).unwrap_err();
    assert!(said.contains("too long"), "{said}");
    // Networks of two parts that are the same one, 40 deep: 2^40 keys.
    let mut twice = b"cm\nC\n)\x81}(U\x0b_parametersh\x00".to_vec();
    twice.splice(0..0, *b"}q\x00ctorch._utils\n_rebuild_tensor_v2\n0");
    twice.extend(b"U\x08_modules}ub");
    for _ in 0..40 {
        twice.extend(
            b"q\x01cm\nC\n)\x81}(U\x0b_parameters}U\x08_modules}(U\x01ah\x01U\x01bh\x01uub",
        );
    }
    twice.push(b'.');
    let (pickle, _) = unpickle::read(&twice).unwrap();
    assert!(matches!(
        pickle.get(pickle.root),
        Value::Call { state: Some(_), .. }
    ));
    let said = state::header(&pickle, &tensor::Storages::new()).unwrap_err();
    assert!(said.contains("more names than a network has"), "{said}");
}
