//! The text of `manifest.json`: a checksum of all that follows, the files that belong to it, then the manifest.
//!
//! Enters a manifest and names; leaves bytes, and the other way round. A file is known as ours by what it says, never
//! by its name; no name that leads out of the folder is handed on.

use crate::manifest::Manifest;
use serde::{Deserialize, Serialize};
use std::path::{Component, Path};

/// The text up to the checksum.
const OPENS: &str = "{\"checksum\":\"";
/// Hexadecimal digits of a checksum, and of a content's name.
const N_CHECKSUM: usize = 64;
const N_NAME: usize = 32;
const CONTENT: &str = "content-";

#[derive(Serialize)]
struct Written<'a> {
    content: &'a str,
    files: &'a [&'a str],
    #[serde(flatten)]
    manifest: &'a Manifest,
}

/// What belongs to a manifest.
#[derive(Debug, Deserialize, PartialEq)]
pub struct Names {
    /// The folder that holds the files: its name is their hash.
    pub content: String,
    pub files: Vec<String>,
}

/// The bytes of the file.
pub fn text(manifest: &Manifest, content: &str, files: &[&str]) -> Vec<u8> {
    let written = Written {
        content,
        files,
        manifest,
    };
    let json = serde_json::to_string(&written).expect("a manifest is plain data");
    let rest = format!("{}\n", json.strip_prefix('{').unwrap_or_default());
    let checksum = blake3::hash(rest.as_bytes()).to_hex();
    format!("{OPENS}{checksum}\",{rest}").into_bytes()
}

/// The checksum and what it is of.
fn parts(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (checksum, rest) = text
        .strip_prefix(OPENS.as_bytes())?
        .split_at_checked(N_CHECKSUM)?;
    Some((checksum, rest.strip_prefix(b"\",")?))
}

/// Nothing of it has changed since it was written.
pub fn is_whole(text: &[u8]) -> bool {
    parts(text).is_some_and(|(checksum, rest)| blake3::hash(rest).to_hex().as_bytes() == checksum)
}

/// A manifest of a compiled network, of whatever version, perhaps damaged.
pub fn is_own(text: &[u8]) -> bool {
    let begins = parts(text).is_some_and(|(_, rest)| rest.starts_with(b"\"content\":\"content-"));
    begins || is_any_version(text)
}

fn is_any_version(text: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Fields {
        #[serde(rename = "format")]
        _format: u64,
        #[serde(rename = "abi")]
        _abi: u64,
        #[serde(rename = "code_hash")]
        _code: String,
        #[serde(rename = "consts_hash")]
        _consts: String,
    }
    serde_json::from_slice::<Fields>(text).is_ok()
}

/// None: it states none, or names that no manifest of ours has.
pub fn names(text: &[u8]) -> Option<Names> {
    let names: Names = serde_json::from_slice(text).ok()?;
    let is_sound = is_content(&names.content) && names.files.iter().all(|file| is_inside(file));
    is_sound.then_some(names)
}

/// Name of the folder for files with this hash.
pub fn content_name(hash: &str) -> String {
    format!("{CONTENT}{}", &hash[..N_NAME])
}

pub fn is_content(name: &str) -> bool {
    let is_digit = |c: u8| matches!(c, b'0'..=b'9' | b'a'..=b'f');
    name.strip_prefix(CONTENT)
        .is_some_and(|hex| hex.len() == N_NAME && hex.bytes().all(is_digit))
}

/// A relative path that stays below its folder.
pub fn is_inside(name: &str) -> bool {
    let plain = |c: Component<'_>| matches!(c, Component::Normal(_));
    !name.is_empty() && Path::new(name).components().all(plain)
}
