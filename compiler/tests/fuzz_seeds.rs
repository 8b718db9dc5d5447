//! The seeds of the parser's fuzz target, as an ordinary test: texts that once reached new code, and texts that once broke
//! something. None of them may panic or take long.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

#[path = "../fuzz/parse_any.rs"]
mod parse_any;

#[test]
fn no_seed_makes_the_parser_panic_or_hang() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    let mut n_seeds = 0;
    for entry in fs::read_dir(folder).expect("the folder of seeds") {
        let path = entry.expect("an entry").path();
        let bytes = fs::read(&path).expect("a seed");
        let start = Instant::now();
        // Cut anywhere, a text is another text.
        for end in [bytes.len(), bytes.len() / 2, bytes.len() / 3] {
            parse_any::check(&bytes[..end]);
        }
        assert!(
            start.elapsed() < Duration::from_secs(5),
            "{} takes too long",
            path.display()
        );
        n_seeds += 1;
    }
    assert!(n_seeds >= 50, "only {n_seeds} seeds found");
}
