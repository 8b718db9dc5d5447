//! How errors look: the form of the language's reference, and that no span breaks it.

use proptest::prelude::*;
use vsr_compiler::diag::{Class, Diag, Problems, Sources, Span};

fn shown(diag: Diag, sources: &Sources) -> String {
    let mut problems = Problems::new();
    problems.push(diag);
    problems.render(sources)
}

/// The span of the nth occurrence of `word`.
fn at(sources: &Sources, file: u32, word: &str, nth: usize) -> Span {
    let (start, _) = sources
        .text(file)
        .match_indices(word)
        .nth(nth)
        .expect("the word is there");
    Span::new(file, start, start + word.len())
}

#[test]
fn two_marks_on_a_line() {
    let mut sources = Sources::new();
    let id = sources.add(
        "models/vsr.vsr",
        format!("{}  y = up + skip\n", "\n".repeat(23)),
    );
    let diag = Diag::new(
        Class::Shape,
        at(&sources, id, "up", 0),
        "`+` needs equal shapes",
    )
    .here("[B, 64, H, W] = [8, 64, 64, 64]")
    .label(
        at(&sources, id, "skip", 0),
        "[B, 64, H/2, W/2] = [8, 64, 32, 32]",
    )
    .note("profile train: axis 2 is H = 64 and H/2 = 32")
    .help("`skip` is `f2` (line 14, stride 2); `f1` has shape [B, 64, H, W]");
    insta::assert_snapshot!(shown(diag, &sources), @r"
    error[shape]: `+` needs equal shapes
      models/vsr.vsr:24:7
    24 |   y = up + skip
       |       ^^   ^^^^ [B, 64, H/2, W/2] = [8, 64, 32, 32]
       |       [B, 64, H, W] = [8, 64, 64, 64]
       = profile train: axis 2 is H = 64 and H/2 = 32
       help: `skip` is `f2` (line 14, stride 2); `f1` has shape [B, 64, H, W]
    ");
}

#[test]
fn marks_on_other_lines_and_in_other_files_and_calls() {
    let mut sources = Sources::new();
    let lines: String = (1..120).map(|n| format!("  line{n} = {n}\n")).collect();
    let a = sources.add("a.vsr", lines);
    let b = sources.add("b.vsr", "x = 1\ny = α |> Up(2) @up\n");
    let diag = Diag::new(
        Class::Label,
        at(&sources, a, "line101", 0),
        "declared twice",
    )
    .label(at(&sources, a, "line99", 0), "first here")
    .label(at(&sources, a, "line102", 0), "")
    .label(at(&sources, a, "line7 ", 0), "where it came from")
    .label(at(&sources, b, "Up", 0), "the other `Up`")
    .called(at(&sources, b, "Up(2) @up", 0), "Up @up")
    .called(at(&sources, a, "line3 ", 0), "Decode @decoder.0");
    insta::assert_snapshot!("elsewhere", shown(diag, &sources));
}

#[test]
fn an_error_without_a_place() {
    let diag = Diag::placeless(Class::Import, "no file `x.vsr`")
        .note("looked in models/")
        .help("check the path");
    insta::assert_snapshot!("placeless", shown(diag, &Sources::new()));
}

#[test]
fn odd_lines() {
    let mut sources = Sources::new();
    let id = sources.add(
        "a.vsr",
        format!(
            "\ty = ä(x)\r\n{}z{}\nlast {{\n  more\n}}",
            "w ".repeat(100),
            " v".repeat(100)
        ),
    );
    let mut all = String::new();
    all += &shown(
        Diag::new(
            Class::Name,
            at(&sources, id, "x", 0),
            "a tab, an umlaut, a carriage return",
        ),
        &sources,
    );
    all += &shown(
        Diag::new(Class::Name, at(&sources, id, "z", 0), "a long line").here("in its middle"),
        &sources,
    );
    let start = at(&sources, id, "last", 0);
    let end = sources.text(id).len();
    all += &shown(
        Diag::new(
            Class::Name,
            Span::new(id, start.start as usize, end),
            "more lines than one",
        ),
        &sources,
    );
    all += &shown(
        Diag::new(Class::Name, Span::new(id, end, end), "the end"),
        &sources,
    );
    insta::assert_snapshot!("odd_lines", all);
}

#[test]
fn long_trails_and_many_errors_are_shortened() {
    let mut sources = Sources::new();
    let id = sources.add("a.vsr", "x\n".repeat(50));
    let mut deep = Diag::new(Class::Cycle, Span::new(id, 0, 1), "too deep");
    for n in 0..40 {
        deep = deep.called(Span::new(id, 2 * n, 2 * n + 1), format!("F @{n}"));
    }
    let said = shown(deep, &sources);
    assert!(
        said.contains("in F @0, called at a.vsr:1:1")
            && said.contains("in F @39, called at a.vsr:40:1"),
        "{said}"
    );
    assert!(
        said.contains("(32 calls between)") && said.lines().count() < 16,
        "{said}"
    );
    let mut problems = Problems::new();
    for n in 0..45 {
        problems.push(Diag::new(
            Class::Name,
            Span::new(id, 2 * n, 2 * n + 1),
            "no such name",
        ));
        problems.push(Diag::new(
            Class::Name,
            Span::new(id, 2 * n, 2 * n + 1),
            "no such name",
        ));
    }
    assert_eq!(problems.len(), 45);
    assert!(problems.render(&sources).ends_with("and 15 more errors\n"));
}

#[test]
fn colours_only_where_asked() {
    let mut sources = Sources::new();
    let id = sources.add("a.vsr", "x = y\n");
    let mut problems = Problems::new();
    problems.push(Diag::new(Class::Name, Span::new(id, 4, 5), "no `y`").help("bind it"));
    let plain = problems.render(&sources);
    let coloured = problems.render_coloured(&sources);
    assert!(!plain.contains('\u{1b}') && coloured.contains('\u{1b}'));
    let mut stripped = String::new();
    for part in coloured.split('\u{1b}') {
        stripped += part
            .split_once('m')
            .filter(|(code, _)| code.starts_with('['))
            .map_or(part, |(_, rest)| rest);
    }
    assert_eq!(stripped, plain);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_span_makes_it_panic(
        text in "[a-zé𝄞\t\r\n ]{0,300}",
        spans in prop::collection::vec((0..3u32, 0..400u32, 0..400u32), 1..6),
    ) {
        let mut sources = Sources::new();
        sources.add("a.vsr", text.as_str());
        sources.add("b.vsr", "");
        let span = |(file, start, end): (u32, u32, u32)| Span { file, start, end };
        let mut diag = Diag::new(Class::Name, span(spans[0]), "here").here("said");
        for &other in &spans[1..] {
            diag = diag.label(span(other), "there").called(span(other), "F");
        }
        let mut problems = Problems::new();
        problems.push(diag);
        prop_assert!(problems.render(&sources).starts_with("error[name]: here\n"));
        prop_assert!(problems.to_json(&sources).is_array());
    }
}

/// A source may hold anything; a terminal shows it and obeys nothing of it.
#[test]
fn nothing_of_a_source_reaches_the_terminal_as_a_command() {
    let evil = "\u{1b}[2J\u{202e}\u{9b}31m\r\u{7f}";
    let mut sources = Sources::new();
    let id = sources.add(format!("a{evil}\n.vsr"), format!("x = y{evil} + 1\n"));
    let diag = Diag::new(
        Class::Name,
        at(&sources, id, "y", 0),
        format!("no `{evil}`"),
    )
    .here(format!("here {evil}"))
    .note(format!("note {evil}\nerror: forged"))
    .help(format!("help {evil}"));
    let mut problems = Problems::new();
    problems.push(diag);
    let text = problems.render(&sources);
    let bad = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    assert!(!text.contains(bad), "{text:?}");
    assert!(text.contains(r"no `\u001b[2J\u202e"), "{text}");
    assert!(
        text.contains("x = y") && text.lines().count() == 7,
        "{text}"
    );
    let mut coloured = problems.render_coloured(&sources);
    for ours in [
        "\u{1b}[1;31m",
        "\u{1b}[1m",
        "\u{1b}[34m",
        "\u{1b}[31m",
        "\u{1b}[0m",
    ] {
        coloured = coloured.replace(ours, "");
    }
    assert_eq!(coloured, text);
}
