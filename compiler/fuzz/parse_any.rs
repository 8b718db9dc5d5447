//! What the parser promises of any bytes: a tree and errors, both printable; what parses is formatted, its tree stays,
//! and twice is once. Shared by the fuzz target and by the test that
//! reads the seeds; a broken promise is a panic.

use vsr_compiler::diag::{Problems, Sources};
use vsr_compiler::syntax;

pub fn check(bytes: &[u8]) {
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
}
