//! Text that a terminal can be given. Enters: names and sentences out of files that nobody vouches for. Leaves: the
//! same, with each character that would move the cursor, change colours, hide or reorder what stands around it written
//! as `\u001b`. The escapes are those of JSON, so a line of JSON keeps its meaning. Nothing is printed here.

use std::borrow::Cow;
use std::fmt::{Display, Write};
use std::path::Path;

/// Controls (C0, DEL, C1), marks of direction, separators of lines, and characters that no one sees.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

fn push_escaped(out: &mut String, c: char) {
    for unit in c.encode_utf16(&mut [0; 2]) {
        // Writing to a string never fails.
        let _ = write!(out, "\\u{unit:04x}");
    }
}

fn escaped(text: &str, is_kept: impl Fn(char) -> bool) -> Cow<'_, str> {
    let bad = |c: char| is_hidden(c) && !is_kept(c);
    if !text.contains(bad) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match bad(c) {
            true => push_escaped(&mut out, c),
            false => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// A name out of a file, or a sentence that holds one: on one line, whatever it contains.
pub fn shown(name: impl Display) -> String {
    escaped(&name.to_string(), |_| false).into_owned()
}

/// The name of a file, as [`shown`].
pub fn shown_path(path: &Path) -> String {
    shown(path.display())
}

/// Whole messages: ends of lines and tabs are kept.
pub fn guarded(text: &str) -> Cow<'_, str> {
    escaped(text, |c| c == '\n' || c == '\t')
}

/// One character for one, where columns count: the picture of a control character, or a question mark.
pub fn visible(c: char) -> char {
    match c {
        '\t' => c,
        '\0'..='\x1f' => char::from_u32(0x2400 + c as u32).unwrap_or('\u{fffd}'),
        '\x7f' => '\u{2421}',
        c if is_hidden(c) => '\u{fffd}',
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        let evil = "a\x1b[2J\r\n\tb\u{9b}1m\u{202e}c\u{2066}\u{7f}\u{e0041}";
        let name = shown(evil);
        assert_eq!(
            name,
            r"a\u001b[2J\u000d\u000a\u0009b\u009b1m\u202ec\u2066\u007f\udb40\udc41"
        );
        assert_eq!(shown(&name), name, "once is enough");
        assert!(guarded(evil).contains("\\u000d\n\tb\\u009b"));
        let every = (0..=0x10_ffffu32).filter_map(char::from_u32);
        for c in every.filter(|c| c.is_control()) {
            assert!(!shown(c).contains(c) && (c == '\t' || visible(c) != c));
        }
    }

    #[test]
    fn what_people_write_stays() {
        for text in [
            "ä/ß 日本語 — x́",
            "فیلم\u{200c}ها",
            "👩\u{200d}🔬",
            r"C:\clips\u.mp4",
        ] {
            assert_eq!(shown(text), text);
            assert!(matches!(guarded(text), Cow::Borrowed(_)));
            assert_eq!(text.chars().map(visible).collect::<String>(), text);
        }
    }

    #[test]
    fn a_line_of_json_keeps_its_meaning() {
        let value = serde_json::json!({ "\u{202e}\u{9b}": "\x1b\n\u{e0041}\u{7f}" });
        let text = guarded(&value.to_string()).into_owned();
        assert!(text.is_ascii());
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&text).ok(),
            Some(value)
        );
    }
}
