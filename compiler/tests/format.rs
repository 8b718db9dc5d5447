//! `vsrc fmt`: the tree stays what it was, comments stay, twice is once, and what the style says, over every `.vsr` file of
//! the repository and over random texts.

#[path = "format/random.rs"]
mod random;

use proptest::prelude::*;
use std::path::{Path, PathBuf};
use vsr_compiler::diag::{Problems, Sources};
use vsr_compiler::syntax::{format, parse, print_ast};

fn formatted(text: &str) -> String {
    let mut problems = Problems::new();
    let formatted = format(0, text, &mut problems);
    formatted.unwrap_or_else(|| {
        let mut sources = Sources::new();
        sources.add("text.vsr", text);
        panic!("{}\n{text}", problems.render(&sources))
    })
}

/// The tree without its spans.
fn tree(text: &str) -> String {
    let mut problems = Problems::new();
    let tree = parse(0, text, &mut problems);
    assert!(problems.is_empty(), "{text}");
    print_ast(&tree)
}

/// All comments in order.
fn comments(text: &str) -> Vec<&str> {
    text.lines()
        .filter_map(|line| {
            let mut in_string = false;
            let at = line.char_indices().find(|(_, c)| {
                in_string ^= *c == '"';
                *c == '#' && !in_string
            });
            at.map(|(n, _)| line[n..].trim_end())
        })
        .collect()
}

fn check(text: &str) {
    let once = formatted(text);
    assert_eq!(
        tree(&once),
        tree(text),
        "the tree changed:\n{text}\n---\n{once}"
    );
    assert_eq!(
        comments(&once),
        comments(text),
        "comments changed:\n{text}\n---\n{once}"
    );
    assert_eq!(
        formatted(&once),
        once,
        "twice is not once:\n{text}\n---\n{once}"
    );
    for line in once.lines() {
        assert_eq!(line, line.trim_end(), "blanks at the end");
    }
    assert!(!once.contains("\n\n\n"), "two empty lines:\n{once}");
}

fn vsr_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("the folder reads") {
        let path = entry.expect("the folder lists").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            vsr_files(&path, found);
        } else if name.ends_with(".vsr") {
            found.push(path);
        }
    }
}

/// The files that parse: some of the gallery must not.
fn own_files() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = Vec::new();
    vsr_files(&root, &mut found);
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).expect("the file reads");
        (path, text)
    };
    let parses = |(_, text): &(PathBuf, String)| {
        let mut problems = Problems::new();
        parse(0, text, &mut problems);
        problems.is_empty()
    };
    let files: Vec<_> = found.into_iter().map(read).filter(parses).collect();
    assert!(files.len() > 80, "only {} files found", files.len());
    files
}

#[test]
fn every_file_keeps_its_tree_and_its_comments() {
    for (_, text) in own_files() {
        check(&text);
    }
}

#[test]
fn rows_are_short() {
    for (path, text) in own_files() {
        for line in formatted(&text).lines() {
            let code = match comments(line).first() {
                Some(comment) => line.strip_suffix(comment).unwrap_or(line),
                None => line,
            };
            let n = code.trim_end().chars().count();
            assert!(n <= 110, "{}: {n} columns: {line}", path.display());
        }
    }
}

/// Blanks between tokens and line breaks before stages are not style: any of them give the same result.
#[test]
fn layout_does_not_depend_on_blanks() {
    for (path, text) in own_files() {
        let expected = formatted(&text);
        let mut mangled = String::new();
        for (n, line) in expected.lines().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let is_plain = !line.contains(['#', '"', '{', '}']);
            mangled += &" ".repeat(if indent == 0 { 0 } else { indent + n % 3 });
            if is_plain {
                let line = line
                    .trim_start()
                    .replace(" |> ", "\n\t|>  ")
                    .replace(" = ", "  =\t");
                mangled += &line.replace(", ", " ,   ");
            } else {
                mangled += line.trim_start();
            }
            mangled.push('\n');
        }
        assert_eq!(formatted(&mangled), expected, "{}", path.display());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_texts_keep_their_tree_and_their_comments(seed in any::<u64>(), n_items in 1usize..5) {
        check(&random::text(seed, n_items));
    }
}

/// What the style says, rule by rule.
#[test]
fn canonical_style() {
    let cases = [
        (
            "op  f ( x:[ B ,C ] )->[B,C]=-x*( 2+ x )",
            "op f(x: [B, C]) -> [B, C] = -x*(2 + x)\n",
        ),
        (
            "op f(x: [B]) -> [B] {\n\n y[b]=x[ b-1 ]else 0\n}",
            "op f(x: [B]) -> [B] {\n  y[b] = x[b - 1] else 0\n}\n",
        ),
        (
            "op f(x: [B]) { y[b]=sum[k in 0 .. 3](x[b]) }",
            "op f(x: [B]) { y[b] = sum[k in 0..3] (x[b]) }\n",
        ),
        // Commas before closing brackets go, unless comments hang on both sides.
        (
            "op f(a: list = [1, 2,],) = g(a[1 : ,0],)",
            "op f(a: list = [1, 2]) = g(a[1:, 0])\n",
        ),
        // One-line items of a kind stand together, others apart.
        (
            "use a from \"a\"\n\n\nuse b from \"b\"\nop f() = 1\nop g() = 2\n# why\nop h() = 3",
            "use a from \"a\"\nuse b from \"b\"\n\nop f() = 1\nop g() = 2\n# why\nop h() = 3\n",
        ),
        // Comments at the ends of adjacent lines align; those on lines of their own take the indent of what follows.
        (
            "op f() {\n a = 1 # one\n      # two\n bcd = 2     # three\n d = 3 # four\n a\n}",
            "op f() {\n  a = 1  # one\n  # two\n  bcd = 2  # three\n  d = 3    # four\n  a\n}\n",
        ),
        // A line with a comment is not joined to the next.
        (
            "op f(x: [B]) = x |> a # first\n |> b",
            "op f(x: [B]) = x\n    |> a  # first\n    |> b\n",
        ),
        // `grad` has a line of its own.
        (
            "op f(x: [B]) = x grad ( y,dy )= dy\nop g() = 1",
            "op f(x: [B]) = x\ngrad(y, dy) = dy\n\nop g() = 1\n",
        ),
        (
            "weights w { a.{i}->b [0:3]transposed ignore c.{...p}}",
            "weights w { a.{i} -> b [0:3] transposed  ignore c.{...p} }\n",
        ),
        (
            "profile p { B=1   H = 2\n}",
            "profile p {\n  B = 1\n  H = 2\n}\n",
        ),
        ("", ""),
        ("\n\n# nothing else\n", "# nothing else\n"),
    ];
    for (text, expected) in cases {
        assert_eq!(formatted(text), expected, "of {text:?}");
        check(text);
    }
}

#[test]
fn a_text_with_errors_is_left_alone() {
    let mut problems = Problems::new();
    assert_eq!(format(0, "op f(x: [B]) = x +\n", &mut problems), None);
    assert_eq!(problems.len(), 1);
}
