//! Text to tree. Takes the text of one file, gives its syntax tree and the syntax errors found on the way; never reads
//! a file and never looks a name up.

pub mod ast;
