//! Archives with places of 64 bits, made here.

use crate::archive;

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
    assert_eq!(&zip[entries["a/data.pkl"].at.clone()], b"twelve bytes");
}
