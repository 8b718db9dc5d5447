//! Texts of tile programs with something wrong in them: each has one error, with its place; none panics, however it is broken or
//! nested.

use crate::random::Draw;
use crate::text::{EVERY, assert_returns};
use vsr_tile::{Kernel, MAX_NESTING, ParseError, identity, parse, parse_kernel, verify};

/// A kernel with this line on line 7: b0 and t0 hold numbers, b1 and t1 integers.
pub fn around(line: &str) -> String {
    format!(
        "kernel k {{\n  out b0\n  table b1\n  tile t0: f32[8]\n  tile t1: i64[8]\n  arg a0%4\n  {line}\n}}\n"
    )
}

/// One that stores this value.
pub fn storing(value: &str) -> String {
    around(&format!("b0[v1] = {value} for v1:8"))
}

fn error(text: &str) -> String {
    match parse_kernel(text) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("{text} has an error"),
    }
}

/// Whole texts.
const TEXTS: [(&str, &str); 31] = [
    (
        "",
        "line 1, column 1: expected `kernel`, found the end of the text",
    ),
    (
        "kernel k {\n  in b0 # [1]\n}\n",
        "line 2, column 11: expected a name, found `[`",
    ),
    (
        "kernel k {\n  in b0 # \"a\n}\n",
        "line 2, column 11: expected a name, found `\"`",
    ),
    (
        "# only a comment",
        "line 1, column 1: expected `kernel`, found `#`",
    ),
    (
        "kernel k {\n}\nx",
        "line 3, column 1: expected the end of the text, found `x`",
    ),
    (
        "kernel k {\n  in b0\u{202e}\n}\n",
        "line 2, column 8: expected a name behind `#` or the end of the line, found the character '\\u{202e}'",
    ),
    (
        "kernal k {\n}\n",
        "line 1, column 1: expected `kernel`, found `kernal`",
    ),
    (
        "kernel {\n}\n",
        "line 1, column 8: expected a name, found `{`",
    ),
    (
        "kernel k\n{\n}\n",
        "line 1, column 9: expected `{`, found the end of the line",
    ),
    (
        "kernel k {",
        "line 1, column 11: expected the end of the line, found the end of the text",
    ),
    (
        "kernel k {\n",
        "line 2, column 1: expected a buffer (`in b0`), a tile (`tile t0: f32[8]`), an argument (`arg a0%4`), a task (`task v0 in 0..8 by 1`), a statement or `}`, found the end of the text",
    ),
    (
        "kernel k {\n}\nkernel m {\n}\n",
        "line 3, column 1: expected the end of the text, found `kernel`",
    ),
    (
        "kernel k { in b0\n}\n",
        "line 1, column 12: expected the end of the line, found `in`",
    ),
    (
        "kernel \"k {\n}\n",
        "line 1, column 8: expected a name, found `\"`",
    ),
    (
        "kernel \"\\q\" {\n}\n",
        "line 1, column 8: names in quotes are written as in JSON",
    ),
    (
        "kernel a#b {\n}\n",
        "line 1, column 9: expected `{`, found `#`",
    ),
    (
        "kernel k {\n  in b1\n}\n",
        "line 2, column 6: expected b0, found b1: declarations are numbered in their order",
    ),
    (
        "kernel k {\n  in x\n}\n",
        "line 2, column 6: expected a buffer, found `x`",
    ),
    (
        "kernel k {\n  in b0 x\n}\n",
        "line 2, column 9: expected a name behind `#` or the end of the line, found `x`",
    ),
    (
        "kernel k {\n  in b0 # \n}\n",
        "line 2, column 11: expected a name, found the end of the line",
    ),
    (
        "kernel k {\n  in b0 # x [1]\n}\n",
        "line 2, column 13: expected the end of the line, found `[`",
    ),
    (
        "kernel k {\n  tile t0: f16[8]\n}\n",
        "line 2, column 12: expected `f32` or `i64`, found `f16`",
    ),
    (
        "kernel k {\n  tile t0: f32[-1]\n}\n",
        "line 2, column 16: expected 0 or more, found -1",
    ),
    (
        "kernel k {\n  tile t0: f32[99999999999999999999]\n}\n",
        "line 2, column 16: the number in `99999999999999999999` is too large",
    ),
    (
        "kernel k {\n  arg a0%3\n}\n",
        "line 2, column 10: 3 is no power of two up to 64",
    ),
    (
        "kernel k {\n  arg a0%128\n}\n",
        "line 2, column 10: 128 is no power of two up to 64",
    ),
    (
        "kernel k {\n  arg a0%4\n  in b0\n}\n",
        "line 3, column 3: expected an argument (`arg a0%4`), a task (`task v0 in 0..8 by 1`), a statement or `}`, found `in`",
    ),
    (
        "kernel k {\n  task v0 in 0..8 by 0\n}\n",
        "line 2, column 22: expected 1 or more, found 0",
    ),
    (
        "kernel k {\n  task v0 in 0..v0 by 1\n}\n",
        "line 2, column 17: v0 is not bound here",
    ),
    (
        "kernel k {\n  task v0 in 0..8 by 1\n  task v0 in 0..8 by 1\n}\n",
        "line 3, column 8: v0 is bound already; take another number",
    ),
    (
        "kernel k {\n  task v65536 in 0..8 by 1\n}\n",
        "line 2, column 8: v65536: variables end at v65535",
    ),
];

/// A line in the kernel `around`.
const LINES: [(&str, &str); 29] = [
    (
        "b7[v1] = 0 for v1:8",
        "line 7, column 3: there is no buffer b7",
    ),
    (
        "t7[v1] = 0 for v1:8",
        "line 7, column 3: there is no tile t7",
    ),
    (
        "b1[v1] = 0 for v1:8",
        "line 7, column 3: b1 holds integers, and numbers are expected here",
    ),
    (
        "t1[v1] = 0 for v1:8",
        "line 7, column 3: t1 holds integers, and numbers are expected here",
    ),
    (
        "b0[v1] = 0 for v1:8 if",
        "line 7, column 25: expected `0<=`, found the end of the line",
    ),
    (
        "b0[v1] = 0",
        "line 7, column 13: expected `for`, found the end of the line",
    ),
    (
        "b0[v1] == 0 for v1:8",
        "line 7, column 11: expected a value or a reduction, found `=`",
    ),
    (
        "b0[v1] = sum.8[v2:8] 0 for v1:8",
        "line 7, column 15: a reduction has 1, 16 or 32 lanes, not 8",
    ),
    (
        "b0[v1] = sum[v2:8] 0 for v1:8",
        "line 7, column 12: expected a value or a reduction, found `sum`",
    ),
    (
        "b0[v1] = 0 for v1:8,v1:8",
        "line 7, column 23: v1 is bound already; take another number",
    ),
    (
        "b0[v1] = 0 for v1:v1",
        "line 7, column 21: v1 is not bound here",
    ),
    (
        "for v1 in 0..8 by 1 {",
        "line 9, column 1: expected a statement or `}`, found the end of the text",
    ),
    (
        "for v1 in 1..8 by 1 {\n  }",
        "line 7, column 13: expected `0..`, found `1`",
    ),
    (
        "for v1 in 0..8 by 1 {\n    let v1 = 0\n  }",
        "line 8, column 9: v1 is bound already; take another number",
    ),
    (
        "for v1 in 0..8 by 1 {\n  }\n  let v2 = v1",
        "line 9, column 12: v1 is not bound here",
    ),
    (
        "for v1 in 0..8 by -1 {\n  }",
        "line 7, column 21: expected 1 or more, found -1",
    ),
    (
        "if 0<=a0<8 and {\n  }",
        "line 7, column 18: expected `0<=`, found `{`",
    ),
    ("let v1 = v1", "line 7, column 12: v1 is not bound here"),
    (
        "let v1 = 0 let v2 = 0",
        "line 7, column 14: expected an operator or the end of the line, found `let`",
    ),
    (
        "rows t0[0..8] = v1 with v1:8 of 0",
        "line 7, column 8: t0 holds numbers, and integers are expected here",
    ),
    (
        "rows t1[0..8] = v1 with v1:8",
        "line 7, column 31: expected an operator, `,` or `of`, found the end of the line",
    ),
    (
        "rows t1[0..8] = v1 with v1:8 of v1",
        "line 7, column 35: v1 is not bound here",
    ),
    (
        "contract t0[0; 1:1,1:2] = 0 + sum[1 of b1[0], k:1] b0[t1[0]+0+k*1] * b0[0+k*1, panel 32]",
        "line 7, column 23: expected an operator or `:1`, found `:`",
    ),
    (
        "contract t0[0; 1:1,1:1] = 1 + sum[1 of b1[0], k:1] b0[t1[0]+0+k*1] * b0[0+k*1, panel 32]",
        "line 7, column 29: expected `0`, `keep` or a bias, found `1`",
    ),
    (
        "contract t0[0; 1:1,1:1] = 0 + sum[1 of b0[0], k:1] b0[t1[0]+0+k*1] * b0[0+k*1, panel 32]",
        "line 7, column 42: b0 holds numbers, and integers are expected here",
    ),
    (
        "contract t0[0; 1:1,1:1] = 0 + sum[1 of b1[0], k:1] b0[t0[0]+0+k*1] * b0[0+k*1, panel 32]",
        "line 7, column 57: t0 holds numbers, and integers are expected here",
    ),
    (
        "contract t0[0; 1:1,1:1] = 0 + sum[1 of b1[0], k:1] b1[t1[0]+0+k*1] * b0[0+k*1, panel 32]",
        "line 7, column 54: b1 holds integers, and numbers are expected here",
    ),
    (
        "contract t0[0; 1:1,1:1] = 0 + sum[1 of b1[0], k:1] b0[t1[0]+0] * b0[0+k*1, panel 32]",
        "line 7, column 64: expected an operator or `+k*`, found `]`",
    ),
    (
        "contract t0[0; 1:1,1:1] = 0 + sum[1 of b1[0], k:1] b0[t1[0]+0+k*1] * b0[0+k*1]",
        "line 7, column 80: expected an operator or `,`, found `]`",
    ),
];

/// What a line stores, for v1 below 8.
const VALUES: [(&str, &str); 30] = [
    (
        "b1[v1]",
        "line 7, column 12: b1 holds integers, and numbers are expected here",
    ),
    (
        "b0[b0[v1]]",
        "line 7, column 15: b0 holds numbers, and integers are expected here",
    ),
    (
        "b0[t0[v1]]",
        "line 7, column 15: t0 holds numbers, and integers are expected here",
    ),
    (
        "t1[v1]",
        "line 7, column 12: t1 holds integers, and numbers are expected here",
    ),
    ("b0[a1]", "line 7, column 15: there is no argument a1"),
    ("b0[v2]", "line 7, column 15: v2 is not bound here"),
    ("b0[v1] + 1", "line 7, column 19: expected `for`, found `+`"),
    (
        "(b0[v1] + 1",
        "line 7, column 24: expected `)`, found `for`",
    ),
    (
        "(b0[v1]+)",
        "line 7, column 20: expected a value, found `)`",
    ),
    (
        "(b0[v1] % 2)",
        "line 7, column 20: expected an operator or `if`, found `%`",
    ),
    (
        "(b0[v1] if 0<=v1<8)",
        "line 7, column 30: expected an operator, `else` or `and`, found `)`",
    ),
    (
        "(b0[v1] if v1<8 else 0)",
        "line 7, column 23: expected `0<=` or `else`, found `v1`",
    ),
    (
        "(b0[v1] if 0<=v1<8 else v1)",
        "line 7, column 36: expected a literal, found `v1`",
    ),
    (
        "v1",
        "line 7, column 12: expected a value or a reduction, found `v1`",
    ),
    (
        "f32(0.5)",
        "line 7, column 17: expected an operator or `)`, found `.`",
    ),
    ("expm(1)", "line 7, column 12: there is no function `expm`"),
    ("exp(1, 2)", "line 7, column 12: `exp` takes one value"),
    ("pow(1)", "line 7, column 12: `pow` takes two values"),
    (
        "select(1, 2, 3)",
        "line 7, column 20: expected a relation, found `,`",
    ),
    (
        "uniform(3,v1)",
        "line 7, column 20: expected a key (`0x4d`), found `3`",
    ),
    (
        "uniform(0x11112222333344445,v1)",
        "line 7, column 20: 0x11112222333344445 has more than 64 bits",
    ),
    (
        "NaN:0x0",
        "line 7, column 12: 0x0 are no bits of a NaN in f64",
    ),
    (
        "1e999",
        "line 7, column 12: 1e999 is too large for f64; write `inf`",
    ),
    (
        "b0[whole(b0[v1])]",
        "line 7, column 21: expected a value in f64, found `b0`",
    ),
    (
        "b0[whole(pow(1, 2))]",
        "line 7, column 21: expected a value in f64, found `pow`",
    ),
    (
        "b0[v1 v1]",
        "line 7, column 18: expected an operator or `]`, found `v1`",
    ),
    (
        "b0[v99999999999]",
        "line 7, column 15: the number in `v99999999999` is too large",
    ),
    (
        "b0[99999999999999999999]",
        "line 7, column 15: the number in `99999999999999999999` is too large",
    ),
    (
        "é",
        "line 7, column 12: expected a value or a reduction, found `é`",
    ),
    (
        "\u{7}",
        "line 7, column 12: expected a value or a reduction, found the character '\\u{7}'",
    ),
];

#[test]
fn errors_say_where_and_what() {
    for (text, message) in TEXTS {
        assert_eq!(error(text), message, "{text}");
    }
    for (line, message) in LINES {
        assert_eq!(error(&around(line)), message, "{line}");
    }
    for (value, message) in VALUES {
        assert_eq!(error(&storing(value)), message, "{value}");
    }
}

#[test]
fn places_are_told_in_characters() {
    let text = around("b0[v1] = (b0[v1] + é) for v1:8").replace("kernel k", "kernel größe");
    let ParseError::Text { line, column, .. } = parse_kernel(&text).unwrap_err() else {
        panic!("it is the text's error");
    };
    assert_eq!((line, column), (7, 22));
    let crlf = around("let v1 = v2").replace('\n', "\r\n");
    assert_eq!(error(&crlf), "line 7, column 12: v2 is not bound here");
    assert_returns(&parse_kernel(&EVERY.replace('\n', "\r\n")).unwrap());
}

fn nested(open: &str, inner: &str, close: &str, n: usize) -> String {
    format!("{}{inner}{}", open.repeat(n), close.repeat(n))
}

/// What is as deep as a text may be is printed, verified and dropped on a stack of usual size.
fn walk(kernel: &Kernel) {
    assert_returns(kernel);
    assert!(identity(kernel) != [0; 32]);
    verify(kernel, &[4], &[8, 8]).unwrap();
}

#[test]
fn nesting_has_a_limit() {
    let forms: [(&str, fn(usize) -> String); 6] = [
        ("values", |n| storing(&nested("neg(", "1", ")", n))),
        ("operations", |n| storing(&nested("(1 + ", "1", ")", n))),
        ("integers", |n| {
            storing(&format!("f32({})", nested("min(3,", "v1", ")", n)))
        }),
        ("sums", |n| storing(&format!("f32(v1{})", "+1".repeat(n)))),
        ("products", |n| {
            storing(&format!("f32(v1{})", "*1".repeat(n)))
        }),
        ("statements", |n| {
            around(&nested("if 0<=a0<8 {\n", "", "}\n", n))
        }),
    ];
    for (name, form) in forms {
        let deepest = (1..=MAX_NESTING)
            .rev()
            .find(|n| parse_kernel(&form(*n)).is_ok());
        let deepest = deepest.unwrap_or_else(|| panic!("{name}"));
        assert!(deepest + 4 > MAX_NESTING, "{name}: {deepest}");
        walk(&parse_kernel(&form(deepest)).unwrap());
        for n in [deepest + 1, 2 * MAX_NESTING, 100_000] {
            let message = error(&form(n));
            assert!(
                message.ends_with("nested too deeply: at most 500 levels"),
                "{message}"
            );
        }
    }
    // Brackets alone: nothing is made of them, but they are parsed.
    let brackets = |n| storing(&format!("f32({})", nested("(", "v1", ")", n)));
    assert!(parse_kernel(&brackets(MAX_NESTING - 2)).is_ok());
    let message = "line 7, column 514: this is nested too deeply: at most 500 levels";
    assert_eq!(error(&brackets(MAX_NESTING - 1)), message);
    // Chains in brackets in chains.
    let chain = nested(
        "(",
        &format!("v1{}", "+1".repeat(30)),
        &format!("){}", "+1".repeat(30)),
        30,
    );
    assert!(error(&storing(&format!("f32({chain})"))).contains("nested too deeply"));
    // Names have no brackets.
    let named = format!(
        "kernel \"{0}\" {{\n  in b0  # \"{0}\"\n}} # {0}\n",
        "(".repeat(1000)
    );
    assert_returns(&parse_kernel(&named).unwrap());
}

/// A text with a few characters or lines deleted, inserted or swapped.
fn broken(text: &str, d: &mut Draw) -> String {
    let by_lines = d.below(3) == 0;
    let mut parts: Vec<String> = match by_lines {
        true => text.split_inclusive('\n').map(str::to_string).collect(),
        false => text.chars().map(String::from).collect(),
    };
    for _ in 0..1 + d.below(3) {
        let (a, b) = (d.below(parts.len()), d.below(parts.len()));
        match d.below(4) {
            0 if parts.len() > 1 => drop(parts.remove(a)),
            1 => parts.insert(a, parts[b].clone()),
            2 => {
                parts[a] = [
                    "(", "[", "{", "}", "\"", "#", "\\", "\r", "é", "9", "-", "NaN:0x",
                ][d.below(12)]
                .to_string()
            }
            _ => parts.swap(a, b),
        }
    }
    parts.concat()
}

#[test]
fn broken_texts_never_panic() {
    let (mut n_parsed, mut n_refused) = (0, 0);
    for seed in 0..4000 {
        let mut d = Draw::new(seed);
        let drawn = vsr_tile::print(&d.kernel());
        let text = broken(if seed % 2 == 0 { EVERY } else { &drawn }, &mut d);
        match parse(&text) {
            Ok(kernels) => {
                n_parsed += 1;
                kernels.iter().for_each(assert_returns);
            }
            Err(ParseError::Text { line, column, .. }) => {
                n_refused += 1;
                let at = text
                    .split('\n')
                    .nth(line - 1)
                    .unwrap_or_else(|| panic!("{line}\n{text}"));
                assert!(
                    (1..=at.chars().count() + 1).contains(&column),
                    "{line}, {column}\n{text}"
                );
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert!(
        n_parsed > 300 && n_refused > 1000,
        "{n_parsed} parsed, {n_refused} refused"
    );
}
