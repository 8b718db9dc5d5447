//! Places between the protocol and us: lines and UTF-16 columns to byte offsets and back, `file:` addresses to paths and
//! back. Nothing here fails: what lies outside of a text is moved to its end.

use lsp_types::{Position, Range, Uri};

pub fn offset(text: &str, at: Position) -> usize {
    let mut start = 0;
    for _ in 0..at.line {
        match text[start..].find('\n') {
            Some(n) => start += n + 1,
            None => return text.len(),
        }
    }
    let end = text[start..].find('\n').map_or(text.len(), |n| start + n);
    let mut units = 0;
    for (n, c) in text[start..end].char_indices() {
        if units >= at.character as usize {
            return start + n;
        }
        units += c.len_utf16();
    }
    end
}

pub fn position(text: &str, offset: usize) -> Position {
    let mut at = offset.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    let before = &text[..at];
    let start = before.rfind('\n').map_or(0, |n| n + 1);
    Position {
        line: before.matches('\n').count() as u32,
        character: before[start..].encode_utf16().count() as u32,
    }
}

pub fn range(text: &str, start: u32, end: u32) -> Range {
    Range {
        start: position(text, start as usize),
        end: position(text, end.max(start) as usize),
    }
}

/// The path of a `file:` address.
pub fn path(uri: &Uri) -> String {
    let text = uri.as_str();
    let text = text.strip_prefix("file://").unwrap_or(text);
    let bytes = text.as_bytes();
    let mut path = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = || std::str::from_utf8(bytes.get(at + 1..at + 3)?).ok();
        let code = (bytes[at] == b'%').then(hex).flatten();
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                path.push(byte);
                at += 3;
            }
            None => {
                path.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&path).into_owned()
}

/// The `file:` address of a path. None: nothing that the protocol can name.
pub fn uri(path: &str) -> Option<Uri> {
    let mut text = String::from("file://");
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' | b'~' => {
                text.push(byte as char)
            }
            byte => text += &format!("%{byte:02X}"),
        }
    }
    text.parse().ok()
}

pub fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The part of a word that stands before `offset`.
pub fn word_before(text: &str, offset: usize) -> &str {
    let before = &text[..offset];
    let start = before.rfind(|c| !is_word(c)).map_or(0, |n| n + 1);
    // A character that is no word's may be longer than a byte.
    let start = (start..=offset).find(|n| before.is_char_boundary(*n));
    &before[start.unwrap_or(offset)..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_utf16_units() {
        let text = "a = 1  # Σ𝒳 b\nnext";
        let at = text.find('b').expect("there is a b");
        let position = position(text, at);
        assert_eq!((position.line, position.character), (0, 13));
        assert_eq!(offset(text, position), at);
        let beyond = Position {
            line: 9,
            character: 9,
        };
        assert_eq!(offset(text, beyond), text.len());
        assert_eq!(word_before("é.conv", 7), "conv");
        assert_eq!(word_before("Σ", 2), "");
    }

    #[test]
    fn addresses_are_paths() {
        let uri = uri("/a b/ü.vsr").expect("a path has an address");
        assert_eq!(uri.as_str(), "file:///a%20b/%C3%BC.vsr");
        assert_eq!(path(&uri), "/a b/ü.vsr");
    }
}
