//! What parses, what does not, and what is said of it.

use super::*;
use crate::diag::{Problems, Sources};

/// The rendered errors of a text, and its tree printed.
fn parsed(text: &str) -> (String, String) {
    let mut sources = Sources::new();
    let id = sources.add("a.vsr", text);
    let mut problems = Problems::new();
    let file = parse(id, text, &mut problems);
    (problems.render(&sources), print_ast(&file))
}

#[test]
fn an_op_is_printed() {
    let (errors, tree) =
        parsed("## Largest of x and 0\nop relu(x: [...S]) -> [...S] = max(x, 0)\n");
    assert_eq!(errors, "");
    assert_eq!(
        tree,
        "doc \"Largest of x and 0\"\nop relu\n  input x: [...S]\n  result [...S]\n  value max(x, 0)\n"
    );
}
