//! `vsrc fmt`: any text that parses, in the one canonical style of the language's reference. The tokens stay what they
//! are, comments among them; only blanks, line breaks and commas before closing brackets change, so the tree does not.
//! A text with syntax errors is never touched.

mod head;
mod lex;
mod line;
mod outline;
mod rows;
mod tree;
mod wrap;

use super::parse::parse;
use super::print::print_ast;
use crate::diag::{Class, Diag, Problems};
use outline::Outline;

/// The longest line that is not broken, in characters.
const WIDTH: usize = 110;

/// The text in canonical style. None: `problems` says what is wrong with it.
pub fn format(file: u32, text: &str, problems: &mut Problems) -> Option<String> {
    let n_problems = problems.len();
    let tree = parse(file, text, problems);
    if problems.len() > n_problems {
        return None;
    }
    let formatted = {
        let outline = Outline::of(&tree, text);
        let (tokens, end) = lex::tokens(text);
        rows::file(&tree::lines(tokens, &outline), &end)
    };
    let mut found = Problems::new();
    let after = parse(file, &formatted, &mut found);
    if found.is_empty() && print_ast(&after) == print_ast(&tree) {
        return Some(formatted);
    }
    let text = "the formatter would change what this file means, so it is left as it is";
    problems.push(
        Diag::placeless(Class::Syntax, text)
            .help("this is an error of vsrc: please report the file"),
    );
    None
}
