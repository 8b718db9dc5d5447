//! Any bytes to the parser: it must give a tree and errors, render and print both, and never panic or hang. What parses is
//! formatted: the tree stays, and twice is once.
//!
//! Run with `cargo +nightly fuzz run parse -- -max_len=4096` in `compiler/`, seeded by the library:
//! `cargo +nightly fuzz run parse ../stdlib ../models`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vsr_compiler::diag::{Problems, Sources};
use vsr_compiler::syntax;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let mut sources = Sources::new();
    let id = sources.add("fuzz.vsr", text.as_ref());
    let mut problems = Problems::new();
    let file = syntax::parse(id, &text, &mut problems);
    problems.render(&sources);
    problems.to_json(&sources);
    if problems.is_empty() {
        syntax::print_ast(&file);
        let mut format = |text: &str| syntax::format(id, text, &mut problems);
        let formatted = format(&text).expect("what parses is formatted, and keeps its tree");
        assert_eq!(format(&formatted).as_ref(), Some(&formatted));
    }
});
