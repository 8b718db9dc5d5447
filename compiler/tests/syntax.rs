//! The parser from outside: what parses and to which tree, what does not and what is said, how long it takes, and that
//! no text makes it panic.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use vsr_compiler::diag::{Problems, Sources};
use vsr_compiler::syntax::{ast, parse, print_ast};

fn repo() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A file's tree, and its errors as text.
fn read(name: &str, text: &str) -> (ast::File, String) {
    let mut sources = Sources::new();
    let id = sources.add(name, text);
    let mut problems = Problems::new();
    let file = parse(id, text, &mut problems);
    (file, problems.render(&sources))
}

fn errors(text: &str) -> String {
    read("a.vsr", text).1
}

/// Every `.vsr` file of the library, the networks and these tests, by path.
fn vsr_files() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for folder in ["stdlib", "models", "compiler/tests/syntax"] {
        let Ok(entries) = fs::read_dir(repo().join(folder)) else {
            continue;
        };
        for entry in entries {
            let path = entry.expect("the folder lists").path();
            if path.extension().is_some_and(|extension| extension == "vsr") {
                found.push((
                    path.display().to_string(),
                    fs::read_to_string(&path).expect("the file reads"),
                ));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn every_file_of_the_repository_parses() {
    let files = vsr_files();
    assert!(files.len() > 10, "{} files found", files.len());
    for (path, text) in files {
        let (file, errors) = read(&path, &text);
        assert_eq!(errors, "");
        assert!(!file.items.is_empty(), "{path}");
    }
}

#[test]
fn every_form_has_its_tree() {
    let path = repo().join("compiler/tests/syntax/everything.vsr");
    let (file, errors) = read("everything.vsr", &fs::read_to_string(path).unwrap());
    assert_eq!(errors, "");
    insta::assert_snapshot!("everything", print_ast(&file));
}

#[test]
fn vdsr_has_its_tree() {
    let text = "\
## VDSR: convolutions and a skip.

model Vdsr(width: int = 64, depth: int = 20)(x: [B, 1, H, W]) -> [B, 1, H, W] {
  h = x
  for i in 0..depth - 1 { h = h |> Conv2d(width, bias=false) @features.{2*i} |> relu }
  x + (h |> Conv2d(1, bias=false) @features.{2*depth - 2})
}

profile picture { B = 1  H = 256  W = 256 }
";
    insta::assert_snapshot!("vdsr", print_ast(&read("vdsr.vsr", text).0));
}

#[test]
fn docs_belong_to_what_stands_below() {
    let text = "## The file.\n\n## One\n## two.\nop f() = 1\n\n## Not of g, a line stands between.\n\nop g() = 2\n";
    let (file, errors) = read("a.vsr", text);
    assert_eq!(errors, "");
    let docs: Vec<_> = file.items.iter().map(|item| item.doc.as_str()).collect();
    assert_eq!(
        (file.doc.as_str(), docs),
        ("The file.", vec!["One\ntwo.", ""])
    );
    let (file, _) = read(
        "a.vsr",
        "## Of the file.\nuse A from \"a.vsr\"\nop f() = 1\n",
    );
    assert_eq!(file.doc, "Of the file.");
    let (file, _) = read("a.vsr", "## Of f.\nop f() = 1\n");
    assert_eq!(
        (file.doc.as_str(), file.items[0].doc.as_str()),
        ("", "Of f.")
    );
}

#[test]
fn spans_end_where_the_tokens_end() {
    let text = "op f(x: [N]) -> [N] {   # comment\n  y = x   # more\n\n  y + 1   # last\n}\n\nop g() = 2 # end\n";
    let (file, _) = read("a.vsr", text);
    let of = |span: vsr_compiler::diag::Span| &text[span.start as usize..span.end as usize];
    let ast::ItemKind::Op(op) = &file.items[0].kind else {
        panic!("an op")
    };
    assert_eq!(of(op.body.stmts[0].span), "y = x");
    assert_eq!(of(op.body.value.as_ref().unwrap().span), "y + 1");
    assert_eq!(of(file.items[1].span), "op g() = 2");
}

#[test]
fn places_are_those_of_the_file_whatever_parts_the_tokens() {
    let text = "# \"(\nuse A from \"a#  b.vsr\"\t# more\r\n\nop f(x: [N]) -> [N] = # )\n\tx +\t\t#\r\n  2.5e-3 # end";
    let (file, told) = read("a.vsr", text);
    let (plain, _) = read(
        "a.vsr",
        "use A from \"a#  b.vsr\"\nop f(x: [N]) -> [N] = x + 2.5e-3",
    );
    assert_eq!((told.as_str(), print_ast(&file)), ("", print_ast(&plain)));
    let of = |span: vsr_compiler::diag::Span| &text[span.start as usize..span.end as usize];
    let ast::ItemKind::Use(use_) = &file.items[0].kind else {
        panic!("a use")
    };
    assert_eq!(of(use_.file.span), "\"a#  b.vsr\"");
    let ast::ItemKind::Op(op) = &file.items[1].kind else {
        panic!("an op")
    };
    let ast::ExprKind::Binary { op_span, right, .. } = &op.body.value.as_ref().unwrap().kind else {
        panic!("a sum")
    };
    assert_eq!((of(*op_span), of(right.span)), ("+", "2.5e-3"));
    // Errors, too: the comma, and the end behind which a value is missing.
    let told = errors("op f() = # one\n\t1 +   # two\n\n  , # three\n");
    assert!(told.contains("a.vsr:4:3"), "{told}");
    let told = errors("op f() = 1 +   # two\n\n# three\n");
    assert!(told.contains("a.vsr:1:12"), "{told}");
}

/// Texts with something wrong, by what is wrong.
const WRONG: &[(&str, &str)] = &[
    (
        "operator after a pipeline",
        "op f(x: [N], y: [N]) -> [N] = x |> relu + y",
    ),
    (
        "operator after a labelled stage",
        "block F()(x: [N]) { y = x |> Conv2d(8) @a * 2\n  y }",
    ),
    (
        "minus after a pipeline",
        "op f(x: [N], y: [N]) -> [N] {\n  z = x |> relu - y\n  z\n}",
    ),
    (
        "operator after a pipeline in brackets",
        "op f(x: [N], y: [N]) = g(1, x |> relu(2) / y)",
    ),
    ("call apart", "op f(x: [N]) -> [N] { y = x (3) }"),
    ("index apart", "op f(x: [N]) -> [N] {\n  y[i] = x [i]\n}"),
    (
        "call apart inside brackets",
        "op f(x: [N]) -> [N] = g(x (3))",
    ),
    ("no value", "op f(x: [N]) -> [N] {\n  a = x\n  -x\n}"),
    (
        "no value after next",
        "block F()(x: [N]) {\n  state m: [N] = 0\n  next m = x\n}",
    ),
    (
        "no value in a branch",
        "op f(x: [N]) {\n  if N == 1 { x } else { y = x }\n}",
    ),
    ("no else", "op f(x: [N]) {\n  y = if N == 1 { x }\n  y\n}"),
    ("empty body", "op f(x: [N]) { }"),
    (
        "two statements on a line",
        "op f(x: [N]) {\n  a = x b = x\n  a + b\n}",
    ),
    (
        "a value in the middle",
        "op f(x: [N]) {\n  relu(x)\n  y = x\n  y\n}",
    ),
    (
        "minus starts a line",
        "op f(x: [N]) {\n  x |> relu\n  - x\n}",
    ),
    (
        "operator after an if",
        "op f(x: [N]) {\n  if N == 1 { x } else { -x }\n  |> relu\n}",
    ),
    (
        "assignment in a condition",
        "op f(x: [N]) {\n  if N = 3 { x } else { -x }\n}",
    ),
    (
        "never closed",
        "op f(x: [N]) {\n  relu((x)\n}\n\nop g() = 1",
    ),
    ("closed by another", "op f(x: [N]) = relu(x]"),
    ("closes nothing", "op f(x: [N]) = x)\n"),
    ("string without end", "use A from \"a.vsr\nop f() = 1"),
    ("strange character", "op f(x: [N]) = x; op g() = 1"),
    ("bar", "op f(x: [N]) = x | relu"),
    ("unknown item", "fn f(x: [N]) = x"),
    (
        "unknown item in the middle",
        "op f() = 1\n\nblok F()(x: [N]) { x }\n\nop g() = ,",
    ),
    ("reserved name", "op f(data: [N]) = data"),
    ("reducer as a name", "op f(x: [N]) {\n  mean[b] = x[b]\n}"),
    (
        "block without parameters",
        "block F()(x: [N]) { x |> Relu |> Conv2d(3) }",
    ),
    ("label without call", "block F()(x: [N]) { C @a }"),
    ("dim bound", "op f(x: [N]) {\n  D = 3\n  D\n}"),
    ("left side", "op f(x: [N]) {\n  x + 1 = 3\n  x\n}"),
    ("else without a read", "op f(x: [N]) = x else 0"),
    ("call of a value", "op f(x: [N]) = [x](1)"),
    ("range without a name", "op f(x: [N]) { y[0..3] = x[0] }"),
    ("argument order", "op f(x: [N]) = g(a=1, x)"),
    ("type missing", "op f(x) = x"),
    ("result missing", "op f(x: [N]) -> = x"),
    ("value missing", "op f(x: [N]) = x + "),
    ("value missing before a bracket", "op f(x: [N]) = (x + )"),
    ("one list", "block F(x: [N]) { x }"),
    ("large int", "op f() = 99999999999999999999"),
    ("setting", "profile p { H = big }"),
    ("frozen", "frozen f = Net from \"a\""),
    ("nothing but words", "hello there"),
    ("number and letter", "op f() = 3x"),
];

#[test]
fn errors_are_said_in_words() {
    let mut all = String::new();
    for (what, text) in WRONG {
        let said = errors(text);
        assert!(!said.is_empty(), "{what}: no error");
        all += &format!("--- {what}\n{said}");
    }
    insta::assert_snapshot!("errors", all);
}

#[test]
fn one_run_shows_the_errors_of_several_items() {
    let text = "op f(x: [N]) = x +\nop g(x: [N]) = (x\nop h(x: [N]) = x\nop k() { a = 1 }\n";
    let (file, said) = read("a.vsr", text);
    assert_eq!(said.matches("error[syntax]").count(), 3, "{said}");
    assert!(
        file.items
            .iter()
            .any(|item| item.name().is_some_and(|name| name.text == "h"))
    );
}

#[test]
fn problems_are_json_too() {
    let mut sources = Sources::new();
    let text = "op f(x: [N]) = (x]\n";
    let id = sources.add("a.vsr", text);
    let mut problems = Problems::new();
    parse(id, text, &mut problems);
    let json = serde_json::to_string_pretty(&problems.to_json(&sources)).unwrap();
    insta::assert_snapshot!("json", json);
}

/// Nestings of every kind, `depth` deep: right ones and ones that go wrong at the innermost point.
fn nestings(depth: usize) -> Vec<String> {
    let around = |open: &str, middle: &str, close: &str| {
        format!(
            "op f() = {}{middle}{}",
            open.repeat(depth),
            close.repeat(depth)
        )
    };
    let mut all = Vec::new();
    for middle in ["1", "1 1", ",", "x |> f + 1"] {
        all.push(around("(", middle, ")"));
        all.push(around("[", middle, "]"));
        all.push(around("f(a, ", middle, ")"));
        all.push(around("f(a=", middle, ")"));
        all.push(around("x[i, ", middle, "]"));
        all.push(around("x[", middle, ":]"));
        all.push(around("x[k in 0..", middle, "]"));
        all.push(around("sum[k in 0..", middle, "] 1"));
        all.push(around("[", middle, " for i in 0..3]"));
        all.push(around("F(", middle, ")(1)"));
        all.push(around("F(1)(", middle, ") @a.{i}"));
        all.push(around("F()() @{", middle, "}"));
        all.push(around("x |> f(", middle, ")"));
        all.push(around("if a { ", middle, " } else { 1 }"));
        all.push(around("if a { 1 } else { ", middle, " }"));
        all.push(around(
            "if a {\n x[1] = if b { ",
            middle,
            " } else { 2 }\n } else { 1 }",
        ));
        all.push(around("if a {\n y: [N] = (", middle, ")\n y } else { 1 }"));
        all.push(around("-", middle, ""));
        all.push(around("not ", middle, ""));
        all.push(around("2**", middle, ""));
        all.push(around("x[i] else ", middle, ""));
        all.push(around("sum[k] ", middle, ""));
        all.push(around("1*sum[k] ", middle, ""));
    }
    all
}

/// The shortest of some runs.
fn time(text: &str) -> Duration {
    let once = || {
        let start = Instant::now();
        read("a.vsr", text);
        start.elapsed()
    };
    (0..3).map(|_| once()).min().expect("there are runs")
}

#[test]
fn time_is_linear_in_the_nesting() {
    for (short, long) in nestings(12).iter().zip(nestings(24)) {
        let (t, twice) = (time(short), time(&long));
        let allowed = t * 4 + Duration::from_millis(50);
        assert!(twice < allowed, "{t:?} for\n{short}\n{twice:?} for\n{long}");
    }
}

#[test]
fn nesting_too_deep_is_an_error() {
    for text in nestings(250).iter().chain(&nestings(5_000)) {
        let (_, said) = read("a.vsr", text);
        assert!(
            said.contains("nested more than 200 deep"),
            "{}…: {said}",
            &text[..60]
        );
    }
    for text in nestings(60) {
        assert!(!errors(&text).contains("deep"), "{text}");
    }
}

#[test]
fn chains_too_long_are_an_error() {
    for (first, more) in [
        ("1", " + 1"),
        ("x", " |> f"),
        ("x", "[0]"),
        ("1", "*1"),
        ("x[i] else 0", " + x[i] else 0"),
    ] {
        let chain = |n: usize| format!("op f() = {first}{}", more.repeat(n));
        assert_eq!(errors(&chain(400)), "");
        assert!(errors(&chain(20_000)).contains("operations deep"), "{more}");
    }
    let arms = |n: usize| {
        format!(
            "op f() {{ if a {{ 1 }} {} else {{ 2 }} }}",
            "else if a { 1 } ".repeat(n)
        )
    };
    assert_eq!(errors(&arms(90)), "");
    assert!(errors(&arms(5000)).contains("more than 100 branches"));
}

#[test]
fn a_file_may_be_long() {
    let text = "op f(x: [N]) -> [N] {\n  y[i] = x[i] + 1\n}\n\n".repeat(2000);
    assert_eq!(read("a.vsr", &text).0.items.len(), 2000);
    let body = format!(
        "op f(x: [N]) {{\n{}  x\n}}",
        "  x = -x\n  if a { x = 1 } else { x = x[i] else 0 }\n".repeat(1000)
    );
    assert_eq!(errors(&body), "");
}

/// One edit of a text: cut a part, double it, or put something in.
fn edited(text: &str, edits: &[(usize, usize, usize, String)]) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for (kind, at, length, new) in edits {
        let at = at % (chars.len() + 1);
        let end = (at + length % 40).min(chars.len());
        match kind % 3 {
            0 => drop(chars.drain(at..end)),
            1 => {
                let part: Vec<char> = chars[at..end].to_vec();
                chars.splice(at..at, part);
            }
            _ => drop(chars.splice(at..at, new.chars()).collect::<Vec<_>>()),
        }
    }
    chars.into_iter().collect()
}

const TOKENS: &str = "(|)|[|]|{|}|,|:|=|==|->||>|..|...|+|-|*|**|//|%|@a|@|{i}|\"|#|\n|if |else |for |in |not |sum[k] \
                      |op f(x: [N]) = |block |x|X|1|1e5|0.5|x[i]|F()|é|\t|\0|?|.";

/// How many random texts to try: `PROPTEST_CASES`, for long runs, or a few.
fn n_cases() -> u32 {
    let asked = std::env::var("PROPTEST_CASES").ok();
    asked.and_then(|n| n.parse().ok()).unwrap_or(300)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: n_cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        errors(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn no_tokens_make_it_panic(picks in prop::collection::vec(0..1000usize, 0..120)) {
        let tokens: Vec<&str> = TOKENS.split('|').collect();
        let text: String = picks.iter().map(|pick| tokens[pick % tokens.len()]).collect();
        errors(&text);
    }

    #[test]
    fn no_edit_makes_it_panic(
        which in 0..1000usize,
        edits in prop::collection::vec((0..3usize, any::<usize>(), any::<usize>(), "[ -~\n]{0,6}|é|𝄞"), 1..6),
    ) {
        let files = vsr_files();
        let (_, text) = &files[which % files.len()];
        let text = edited(text, &edits);
        let (file, said) = read("a.vsr", &text);
        prop_assert!(file.items.len() <= text.len());
        prop_assert!(!said.contains("something else"), "{}", said);
    }
}
