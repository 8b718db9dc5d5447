//! Texts without measure: those that a limit refuses, with what is said, and those that are only large, by their size.

/// A model with this body, under a profile with N = 4.
pub fn model(before: &str, body: &str) -> String {
    format!("{before}model M()(x: [N]) -> [N] {{\n{body}\n}}\n\nprofile p {{ N = 4 }}\n")
}

pub fn items(n: usize, item: impl Fn(usize) -> String) -> String {
    (0..n).map(item).collect()
}

const STEPS: &str = "this takes too many steps; is a loop or a list endless?";
const LIST: &str = "a list of more than 262144 values";
const DEEP: &str = "calls and expressions are nested too deeply";
const GROWN: &str = "this expression grows too large";
const EQUATIONS: &str = "this network has more than 30000 equations";

/// Text and what must be said of it.
pub fn refused() -> Vec<(&'static str, String, &'static str)> {
    let loops = "for i in 0..10000 { for j in 0..10000 { for k in 0..10000 { a = k } } }\n  x";
    let op = |body: &str| format!("op deep(x: [...S]) -> [...S] {{\n  {body}\n  x\n}}\n\n");
    let scalar = |body: &str| model(&op(body), "y[i] = deep(x[i])");
    let long = |n: usize| "a".repeat(n);
    let big = "a = [i for i in 0..200000]\n  ";
    let many = |body: &str| model("", &format!("{big}for i in 0..1000000 {{ {body} }}\n  x"));
    let chain = |n: usize, item: &dyn Fn(usize) -> String, last: &str| {
        model(&format!("{}{last}\n", items(n, item)), "x |> A0()")
    };
    let twice = |i: usize| {
        format!(
            "block A{i}()(x: [N]) -> [N] = x |> A{0}() |> A{0}()\n",
            i + 1
        )
    };
    let halves = |i: usize| format!("op f{i}(x: [...S]) -> [...S] = f{0}(f{0}(x))\n", i + 1);
    vec![
        (
            "endless loop",
            model("", "for i in 0..1000000000000 { a = i }\n  x"),
            STEPS,
        ),
        ("loops in loops", model("", loops), STEPS),
        (
            "endless list",
            model("", "a = [i for i in 0..1000000000000]\n  x"),
            STEPS,
        ),
        (
            "long list",
            model("", "a = [i for i in 0..900000]\n  x"),
            LIST,
        ),
        (
            "a list doubled",
            model("", "a = [1]\n  for i in 0..40 { a = a + a }\n  x"),
            LIST,
        ),
        (
            "a list of twice itself",
            model("", "a = [1]\n  for i in 0..60 { a = [a, a] }\n  x"),
            LIST,
        ),
        (
            "a list in itself",
            model("", "a = [1]\n  for i in 0..99 { a = [a] }\n  x"),
            "lists are nested more than 32 deep",
        ),
        (
            "a list that grows by one",
            model("", "a = [1]\n  for i in 0..200000 { a = a + [i] }\n  x"),
            STEPS,
        ),
        ("lists compared", many("b = a == a"), STEPS),
        ("long lists searched", many("b = 0 - 1 in a"), STEPS),
        ("long lists cut", many("b = a[1:]"), STEPS),
        (
            "lists joined by place",
            model("", &format!("{big}b = zip(a, a, a)\n  x")),
            LIST,
        ),
        (
            "a table in each turn",
            model(
                "op t(a: [M]) -> [M] { y[i] = 2*a[i] }\n",
                &format!("{big}for i in 0..2000 {{ y = t(a) }}\n  x"),
            ),
            STEPS,
        ),
        (
            "comprehensions in each other",
            model(
                "",
                &format!(
                    "a = {}1 == 1{}\n  x",
                    "[".repeat(60),
                    items(60, |i| format!(" for a{i} in 0..2]"))
                ),
            ),
            STEPS,
        ),
        (
            "comparisons of comparisons",
            model(
                "",
                &format!("a = {}1{}\n  x", "(".repeat(190), " == 1)".repeat(190)),
            ),
            "cannot be compared",
        ),
        (
            "a tower of powers",
            model("", "a = 2**10**9\n  x"),
            "2 ** 1000000000 is too large",
        ),
        (
            "a tower of floats",
            model("", "a = 2.0**10.0**9.0\n  x"),
            "is too large",
        ),
        (
            "an enormous int",
            model("", &format!("x*{}", "9".repeat(150))),
            "does not fit in 64 bits",
        ),
        (
            "an int of a megabyte",
            model("", &format!("x*{}", "9".repeat(1 << 19))),
            "this word is longer than 200 letters",
        ),
        (
            "a name of a megabyte",
            model("", &format!("{} = 1\n  x", long(1 << 19))),
            "this word is longer than 200 letters",
        ),
        (
            "a string of a megabyte",
            model("", &format!("a = \"{}\"\n  x", long(1 << 19))),
            "this string is longer than 4096 bytes",
        ),
        (
            "a string in each turn",
            model(
                "",
                &format!("for i in 0..3000000 {{ a = \"{}\" }}\n  x", long(4000)),
            ),
            STEPS,
        ),
        (
            "an item of megabytes",
            model("", &format!("a = [{}]\n  x", "1, ".repeat(1 << 19))),
            "this item is longer than 1024 KiB",
        ),
        (
            "a text of megabytes",
            format!("{}{}", "# \n".repeat(2 << 20), model("", "x")),
            "the file is longer than 4 MiB",
        ),
        (
            "items without end",
            items(20_000, |i| format!("op f{i}(x: [N]) -> [N] = x\n")),
            "this text has more than 10000 items",
        ),
        (
            "inputs without end",
            format!(
                "op f({}x: [N]) = x\n",
                items(300, |i| format!("a{i}: int, "))
            ),
            "301 inputs; 256 are the most",
        ),
        (
            "axes without end",
            format!("op f(x: [{}N]) = x\n", "N, ".repeat(40)),
            "a tensor of 41 axes; 32 are the most",
        ),
        (
            "axes stacked",
            model("", "for i in 0..99 { x = stack([x], axis=0) }\n  x"),
            "a tensor of 33 axes; 32 are the most",
        ),
        (
            "blocks that call two",
            chain(40, &twice, "block A40()(x: [N]) -> [N] = x"),
            STEPS,
        ),
        (
            "ops that call two",
            model(
                &format!("{}op f40(x: [...S]) -> [...S] = x\n", items(40, halves)),
                "f0(x)",
            ),
            STEPS,
        ),
        (
            "blocks in blocks",
            chain(
                5000,
                &|i| format!("block A{i}()(x: [N]) -> [N] = x |> A{}()\n", i + 1),
                "block A5000()(x: [N]) -> [N] = x",
            ),
            DEEP,
        ),
        (
            "a block of itself",
            chain(1, &|_| "block A0()(x: [N]) -> [N] = x |> A0()\n".into(), ""),
            "`A0` uses `A0`",
        ),
        (
            "rings of blocks",
            chain(
                2000,
                &|i| {
                    format!(
                        "block A{i}()(x: [N]) -> [N] = x |> A{}() |> A{}()\n",
                        (i + 1) % 2000,
                        (i * 7 + 3) % 2000
                    )
                },
                "",
            ),
            "others, the last of which uses",
        ),
        (
            "weights without end",
            model(
                "",
                "for i in 0..3000000 { param w @a.{i}: [N] = 1\n x = x*w }\n  x",
            ),
            EQUATIONS,
        ),
        (
            "equations without end",
            model("", "for i in 0..3000000 { x = x + 1 }\n  x"),
            EQUATIONS,
        ),
        (
            "random numbers without end",
            model("", "for i in 0..3000000 { y = rand([N]) }\n  x"),
            EQUATIONS,
        ),
        (
            "pieces without end",
            model("", "concat([x for i in 0..100000], axis=0)[0:4]"),
            STEPS,
        ),
        (
            "a number that grows",
            scalar("for i in 0..1000000 { x = x + 1.5 }"),
            GROWN,
        ),
        (
            "a number that doubles",
            scalar("for i in 0..1000000 { x = x*x }"),
            GROWN,
        ),
        (
            "functions of functions",
            scalar("for i in 0..5000 { x = exp(x) + 1 }"),
            GROWN,
        ),
        (
            "quotients of quotients",
            model(
                &op("for i in 0..9000 { x = (x + 7)//2 + x % 3 }"),
                "y[i in 0..4] = x[clamp(deep(i), 0, 3)]",
            ),
            GROWN,
        ),
        (
            "a sum of quotients",
            model(
                &op("z = x\n  for i in 2..9000 { z = z + x//i }\n  x = z"),
                "y[i in 0..4000] = x[clamp(deep(i), 0, 3)]\n  y[0:4]",
            ),
            GROWN,
        ),
        (
            "clauses without end",
            model(
                &format!(
                    "op f(x: [N]) -> [N] where {}N > 0 = x\n",
                    "N > 0, ".repeat(20_000)
                ),
                "for i in 0..1000 { x = f(x) }\n  x",
            ),
            STEPS,
        ),
        (
            "rules without end",
            format!(
                "model M()(x: [N]) -> [N] {{\n  for i in 0..2500 {{ param w @a.{{i}}: [N] = 1\n x = x*w }}\n  x\n}}\n\nweights w {{\n{}}}\n\nprofile p {{ N = 4 }}\n",
                items(2500, |i| format!("  b{i}.{{...p}} -> c{i}.{{...p}}\n"))
            ),
            STEPS,
        ),
        (
            "unknown names",
            model(
                "",
                &format!("{}x", items(5000, |i| format!("a{i} = zzz{i}\n  "))),
            ),
            "`zzz0` is not bound",
        ),
        (
            "strange letters",
            ";".repeat(1 << 20),
            "`;` means nothing here",
        ),
        (
            "strings that do not end",
            "\"\n".repeat(1 << 20),
            "the string does not end on its line",
        ),
        (
            "brackets that do not end",
            "(".repeat(1 << 20),
            "nested more than 200 deep",
        ),
        (
            "items that do not end",
            "op f(\n".repeat(9000),
            "`(` is never closed",
        ),
        (
            "zeros",
            "\0".repeat(1 << 20),
            "the control character U+0000 stands here",
        ),
        (
            "more models than profiles can be",
            format!(
                "{}{}",
                items(2000, |i| format!("model M{i}()(x: [N]) -> [N] = x\n")),
                items(2000, |i| format!("profile p{i} {{ N = {} }}\n", i + 1))
            ),
            "all models and profiles of this file together take too many steps",
        ),
    ]
}

/// A name, the text of a size, and a size.
pub type Sized = (&'static str, Box<dyn Fn(usize) -> String>, usize);

/// Large, and right.
pub fn taken() -> Vec<Sized> {
    let sum = |n: usize| (0..n).map(|i| format!("x[i]*{i}.5")).collect::<Vec<_>>();
    vec![
        (
            "profiles",
            Box::new(|n| {
                format!(
                    "model M()(x: [N]) -> [N] = x\n\n{}",
                    items(n, |i| format!("profile p{i} {{ N = {} }}\n", i + 1))
                )
            }),
            2000,
        ),
        (
            "models",
            Box::new(|n| {
                format!(
                    "{}profile p {{ N = 1 }}\n",
                    items(n, |i| format!("model M{i}()(x: [N]) -> [N] = x\n"))
                )
            }),
            2000,
        ),
        (
            "models of each other",
            Box::new(|n| {
                let model = |i: usize| match (i + 1) % 20 {
                    0 => format!("model M{i}()(x: [N]) -> [N] = x\n"),
                    _ => format!("model M{i}()(x: [N]) -> [N] = x |> M{}()\n", i + 1),
                };
                format!("{}profile p {{ N = 1 }}\n", items(n, model))
            }),
            1000,
        ),
        (
            "train items",
            Box::new(|n| {
                let train = |i: usize| {
                    format!(
                        "train t{i}() = M() {{\n  epochs = 1\n  steps = 1\n  optimizer = Sgd()\n  rate = 1\n  data x: [N] = clips(\"d\")\n  loss = mean(t{i}(x))\n}}\n"
                    )
                };
                format!(
                    "model M()(x: [N]) -> [N] = x |> Linear(N)\n{}profile train {{ N = 2 }}\n",
                    items(n, train)
                )
            }),
            300,
        ),
        (
            "ops that nothing calls",
            Box::new(|n| {
                items(n, |i| format!("op f{i}(x: [N]) -> [N] = f{}(x)\n", i + 1))
                    + &format!("op f{n}(x: [N]) -> [N] = x\n")
            }),
            4000,
        ),
        (
            "statements",
            Box::new(|n| model("", &format!("{}x", items(n, |i| format!("a{i} = {i}\n  "))))),
            4000,
        ),
        (
            "weights",
            Box::new(|n| {
                model(
                    "",
                    &format!("for i in 0..{n} {{ x = x |> LayerNorm() @a.{{i}} }}\n  x"),
                )
            }),
            400,
        ),
        (
            "a long sum",
            Box::new(move |n| {
                let rows: Vec<String> = sum(n)
                    .chunks(10)
                    .map(|row| format!("({})", row.join(" + ")))
                    .collect();
                model("", &format!("y[i] = {}", rows.join(" + ")))
            }),
            200,
        ),
        (
            "a list",
            Box::new(|n| model("", &format!("a = [{}]\n  x*len(a)", "1, ".repeat(n)))),
            20_000,
        ),
        (
            "comments",
            Box::new(|n| format!("{}{}", "# a note\n".repeat(n), model("", "x"))),
            20_000,
        ),
    ]
}
