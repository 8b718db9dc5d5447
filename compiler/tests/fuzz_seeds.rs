//! The seeds of the fuzz targets, as an ordinary test: texts that once reached new code, and texts that once broke
//! something. None of them may panic or take long, neither in the parser nor in a check; nor may the gallery of mistakes.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

#[path = "../fuzz/check_any.rs"]
mod check_any;
#[path = "../fuzz/parse_any.rs"]
mod parse_any;

/// The files of a folder, each given to the test of one text, which must be quick.
fn each_text(folder: &str, check: impl Fn(&[u8])) -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut n_texts = 0;
    for entry in fs::read_dir(folder).expect("the folder reads") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            continue;
        }
        let bytes = fs::read(&path).expect("a text");
        let start = Instant::now();
        check(&bytes);
        assert!(
            start.elapsed() < Duration::from_secs(5),
            "{} takes too long",
            path.display()
        );
        n_texts += 1;
    }
    n_texts
}

#[test]
fn no_seed_makes_the_parser_panic_or_hang() {
    let n_seeds = each_text("fuzz/seeds", |bytes| {
        // Cut anywhere, a text is another text.
        for end in [bytes.len(), bytes.len() / 2, bytes.len() / 3] {
            parse_any::check(&bytes[..end]);
        }
    });
    assert!(n_seeds >= 50, "only {n_seeds} seeds found");
}

#[test]
fn no_seed_makes_a_check_panic_or_hang() {
    let n_seeds = each_text("fuzz/seeds", check_any::check);
    let n_mistakes = each_text("tests/gallery", |bytes| {
        for end in [bytes.len(), bytes.len() / 2] {
            check_any::check(&bytes[..end]);
        }
    });
    assert!(n_seeds >= 50 && n_mistakes >= 40, "{n_seeds}, {n_mistakes}");
}
