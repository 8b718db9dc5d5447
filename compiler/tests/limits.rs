//! No text takes unbounded time or memory: each ends in a result, or in an error that says which limit it meets. Work is
//! counted in allocations and bytes, never in seconds: a check that is quadratic in a text's length shows in both.

#![allow(clippy::unwrap_used)]

mod sema;
#[path = "limits/texts.rs"]
mod texts;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard};

use sema::Files;
use texts::{Sized, items, model, refused, taken};
use vsr_compiler::diag::{MAX_PROBLEMS, Problems};
use vsr_compiler::pipeline::checked as check;
use vsr_compiler::sema::{Loader, Options};
use vsr_compiler::syntax;

/// Counts what is taken.
struct Counting;

static N_TAKEN: AtomicUsize = AtomicUsize::new(0);
static BYTES: AtomicUsize = AtomicUsize::new(0);
static MOST_BYTES: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator as it is; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        N_TAKEN.fetch_add(1, Relaxed);
        let now = BYTES.fetch_add(layout.size(), Relaxed) + layout.size();
        MOST_BYTES.fetch_max(now, Relaxed);
        // SAFETY: the caller keeps the contract of `GlobalAlloc`, which is the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller keeps the contract of `GlobalAlloc`, which is the system allocator's.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

static TURN: Mutex<()> = Mutex::new(());

/// One test at a time, from before its first text is made, so that what is counted is one text's.
fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(|e| e.into_inner())
}

/// No check takes more, whatever the text.
const MAX_TAKEN: usize = 20_000_000;
const MAX_BYTES: usize = 200 << 20;

/// What a check says, and how often it took memory.
fn checked(name: &str, text: &str) -> (String, usize) {
    let mut files = Files::default();
    files.texts.insert("m.vsr".into(), text.into());
    let mut problems = Problems::new();
    let (n_before, bytes) = (N_TAKEN.load(Relaxed), BYTES.load(Relaxed));
    MOST_BYTES.store(bytes, Relaxed);
    check(
        &mut files,
        "m.vsr",
        &Options::default(),
        true,
        &mut problems,
    );
    let said = problems.render(files.sources());
    problems.to_json(files.sources());
    let n_taken = N_TAKEN.load(Relaxed) - n_before;
    let most = MOST_BYTES.load(Relaxed) - bytes;
    assert!(n_taken < MAX_TAKEN, "{name}: memory taken {n_taken} times");
    assert!(most < MAX_BYTES, "{name}: {most} bytes at a time");
    assert!(problems.iter().count() <= MAX_PROBLEMS, "{name}");
    assert!(said.len() < 100_000, "{name}: {} bytes said", said.len());
    assert!(problems.machine().is_none(), "{name}");
    (said, n_taken)
}

#[test]
fn each_limit_has_its_error() {
    let _turn = turn();
    for (name, text, says) in refused() {
        let (said, _) = checked(name, &text);
        assert!(
            said.contains(says),
            "{name}: no `{says}` in\n{}",
            said.get(..2000).unwrap_or(&said)
        );
    }
}

/// Twice the text takes about twice the work.
#[test]
fn work_grows_with_the_text() {
    let _turn = turn();
    for (name, text, n) in taken() {
        let (said, once) = checked(name, &text(n));
        assert_eq!(said, "", "{name}");
        let (said, twice) = checked(name, &text(2 * n));
        assert_eq!(said, "", "{name}");
        assert!(
            twice < 3 * once,
            "{name}: {once} allocations for {n}, {twice} for twice as many"
        );
    }
}

/// Formatting, too: a line may be as long as an item.
#[test]
fn formatting_grows_with_the_text() {
    let _turn = turn();
    let nested = |n: usize| {
        let open = "y = if N > 3 { 1 } else {\n".repeat(n);
        let wide = "w".repeat(120);
        model(
            "",
            &format!("{open}{wide} = 1\n{wide}\n{}", "}\ny\n".repeat(n)),
        )
    };
    let texts: Vec<Sized> = vec![
        (
            "a list",
            Box::new(|n| model("", &format!("x*len([{}1])", "12345, ".repeat(n)))),
            60_000,
        ),
        (
            "a list in brackets",
            Box::new(|n| {
                model(
                    "",
                    &format!(
                        "x*len({}{}1{})",
                        "[".repeat(90),
                        "12345, ".repeat(n),
                        "]".repeat(90)
                    ),
                )
            }),
            10_000,
        ),
        (
            "a sum",
            Box::new(|n| model("", &format!("y[i] = {}", vec!["x[i]"; n].join(" + ")))),
            250,
        ),
        (
            "wide words",
            Box::new(|n| {
                model(
                    "",
                    &format!("x*len([{}1])", format!("{}, ", "9".repeat(18)).repeat(n)),
                )
            }),
            10_000,
        ),
        (
            "calls",
            Box::new(|n| {
                model(
                    "op f(x: [N], n: int = 1) -> [N] = x\n",
                    &format!(
                        "{}x",
                        items(n, |i| format!("a{i} = f(f(f(x, n={i}), n={i}), n={i})\n"))
                    ),
                )
            }),
            2000,
        ),
        ("bodies in bodies", Box::new(nested), 20),
        (
            "comments",
            Box::new(|n| model("", &format!("{}x", "a = 1 # note\n".repeat(n)))),
            5000,
        ),
    ];
    for (name, text, n) in texts {
        let cost = |n: usize| {
            let text = text(n);
            let before = N_TAKEN.load(Relaxed);
            let mut problems = Problems::new();
            let formatted = syntax::format(0, &text, &mut problems);
            let said: Vec<String> = problems.iter().map(|diag| diag.message.clone()).collect();
            assert!(formatted.is_some(), "{name}: {said:?}");
            N_TAKEN.load(Relaxed) - before
        };
        let (once, twice) = (cost(n), cost(2 * n));
        assert!(
            twice < 3 * once,
            "{name}: {once} allocations for {n}, {twice} for twice as many"
        );
    }
}

/// A seeded sequence of numbers.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }
}

/// Statements that grow what they touch, in loops of any length.
fn growing(dice: &mut Dice, depth: usize) -> String {
    const SIMPLE: [&str; 16] = [
        "a = a + a",
        "a = [a, a]",
        "a = [a]",
        "a = a + [1]",
        "a = [n for n in a]",
        "a = zip(a, a)",
        "n = n*n + 1",
        "n = n + len(a)",
        "x = x + x*x",
        "x = f(x)",
        "x = x |> B(n=n)",
        "y = rand([N])",
        "b = a == a",
        "b = n in a",
        "a = [[n for n in 0..9] for k in a]",
        "x = x*(x + 1)",
    ];
    let mut text = String::new();
    for _ in 0..1 + dice.roll(3) {
        text += &match dice.roll(4) {
            0 | 1 if depth > 0 => {
                let n = [3u64, 40, 1000, 1_000_000, 1_000_000_000_000][dice.roll(5)];
                format!(
                    "for i{depth} in 0..{n} {{\n{}}}\n",
                    growing(dice, depth - 1)
                )
            }
            2 if depth > 0 => format!(
                "if len(a) > {} {{\n{}}}\n",
                dice.roll(50),
                growing(dice, depth - 1)
            ),
            _ => format!("{}\n", SIMPLE[dice.roll(SIMPLE.len())]),
        };
    }
    text
}

#[test]
fn texts_that_grow_at_random_end() {
    const N_TEXTS: u64 = 150;
    let _turn = turn();
    let before = "op f(x: [...S]) -> [...S] = g(g(x))\nop g(x: [...S]) -> [...S] = x*x + 1\n\
        block B(n: int)(x: [N]) -> [N] {\n  y = if n > 0 { x } else { x |> relu }\n  y |> C() |> C()\n}\n\
        block C()(x: [N]) -> [N] = f(f(x))\n";
    let mut n_refused = 0;
    for seed in 0..N_TEXTS {
        let body = growing(&mut Dice(seed), 3);
        let text = model(before, &format!("a = [1, 2]\nn = 2\nb = true\n{body}x"));
        let (said, _) = checked(&format!("seed {seed}:\n{text}"), &text);
        n_refused += u64::from(!said.is_empty());
    }
    assert!(
        n_refused > N_TEXTS / 4,
        "{n_refused} of {N_TEXTS} are refused"
    );
}
