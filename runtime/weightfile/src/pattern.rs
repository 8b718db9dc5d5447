//! Patterns over keys: `blocks.{i}.{...p}`, as `weights` rules write them.
//!
//! Enters a pattern and a key; leaves what each hole caught. No input takes more than a bounded number of tries.

/// Tries of one pattern on one key before it counts as endless.
const MAX_TRIES: usize = 20_000;

/// One piece of a pattern; dots are text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token<'a> {
    Text(&'a str),
    /// `{i}`: a segment, or a part of one.
    One(&'a str),
    /// `{...p}`: one segment or more.
    Rest(&'a str),
}

/// The pieces of a written pattern. A hole that is not closed is text.
pub fn tokens(mut text: &str) -> Vec<Token<'_>> {
    let mut tokens = vec![];
    while let Some((before, rest)) = text.split_once('{') {
        let Some((hole, after)) = rest.split_once('}') else {
            break;
        };
        tokens.push(Token::Text(before));
        tokens.push(match hole.strip_prefix("...") {
            Some(name) => Token::Rest(name),
            None => Token::One(hole),
        });
        text = after;
    }
    tokens.push(Token::Text(text));
    tokens
}

/// What the holes caught, by name.
pub type Caught<'a, 'k> = Vec<(&'a str, &'k str)>;

/// Matches a whole key, each hole as short as it can be. `None` also where it takes too many tries.
pub fn catch<'a, 'k>(tokens: &[Token<'a>], key: &'k str) -> Option<Caught<'a, 'k>> {
    let mut caught = vec![];
    let mut tries = MAX_TRIES;
    rest_matches(tokens, key, &mut caught, &mut tries).then_some(caught)
}

fn rest_matches<'a, 'k>(
    tokens: &[Token<'a>],
    key: &'k str,
    caught: &mut Caught<'a, 'k>,
    tries: &mut usize,
) -> bool {
    let Some((token, rest)) = tokens.split_first() else {
        return key.is_empty();
    };
    let (name, one) = match token {
        Token::Text(text) => {
            return key
                .strip_prefix(*text)
                .is_some_and(|key| rest_matches(rest, key, caught, tries));
        }
        Token::One(name) => (*name, true),
        Token::Rest(name) => (*name, false),
    };
    let bytes = key.as_bytes();
    for end in 1..=key.len() {
        let is_end = end == key.len() || bytes[end] == b'.';
        // One is a part of the first segment, a rest is whole segments.
        if one && bytes[end - 1] == b'.' {
            break;
        }
        if !(is_end || one && key.is_char_boundary(end)) {
            continue;
        }
        if *tries == 0 {
            return false;
        }
        *tries -= 1;
        let text = &key[..end];
        let known = caught.iter().find(|(n, _)| *n == name);
        if known.is_some_and(|(_, t)| *t != text) {
            continue;
        }
        caught.push((name, text));
        if rest_matches(rest, &key[end..], caught, tries) {
            return true;
        }
        caught.pop();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caught<'a>(pattern: &'a str, key: &'a str) -> Option<Caught<'a, 'a>> {
        catch(&tokens(pattern), key)
    }

    #[test]
    fn holes_catch_as_little_as_they_can() {
        assert_eq!(caught("a.{i}.b", "a.12.b"), Some(vec![("i", "12")]));
        assert_eq!(caught("a.{i}.b", "a.1.2.b"), None);
        assert_eq!(
            caught("norm{n}.{p}", "norm3.bias"),
            Some(vec![("n", "3"), ("p", "bias")])
        );
        assert_eq!(
            caught("{...a}.x.{...p}", "b.x.x.c"),
            Some(vec![("a", "b"), ("p", "x.c")])
        );
        assert_eq!(caught("{...p}", "a.b.c"), Some(vec![("p", "a.b.c")]));
        assert_eq!(caught("{...a}.b", "b"), None);
        assert_eq!(caught("{i}.{i}", "1.2"), None);
        assert_eq!(caught("{i}.{i}", "1.1").map(|c| c.len()), Some(2));
        assert_eq!(caught("{i}x", "éx"), Some(vec![("i", "é")]));
        assert_eq!(caught("{i}.b", ".b"), None);
        assert_eq!(caught("{...p}.b", "a.b"), Some(vec![("p", "a")]));
    }

    #[test]
    fn a_pattern_without_an_end_gives_up() {
        let key = vec!["a"; 60].join(".");
        assert_eq!(
            caught("{...a}.{...b}.{...c}.{...d}.{...e}.{...f}.{...g}.z", &key),
            None
        );
    }
}
