//! Text to tree. Takes the text of one file, gives its syntax tree and the syntax errors found on the way; never reads
//! a file and never looks a name up.

pub mod ast;
mod build;
mod build_expr;
mod format;
mod parse;
mod print;
mod scan;
pub mod visit;
mod wrong;

pub use build::MAX_AXES;
pub use format::format;
pub use parse::{parse, parse_all};
pub use print::print_ast;
pub use scan::MAX_BYTES;
