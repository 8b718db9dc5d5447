//! What a check promises of any bytes: problems that can be shown, in text and as JSON, and never a panic; where there
//! are none, the text is formatted and then has none, either. Shared by the fuzz target and by the test that reads the
//! seeds; a broken promise is a panic. Reads no file: what a text uses is not there.

use vsr_compiler::diag::{Problems, Sources};
use vsr_compiler::sema::{Loader, Options};
use vsr_compiler::{pipeline, syntax};

struct Text<'t>(&'t str, Sources);

impl Loader for Text<'_> {
    fn read(&mut self, path: &str) -> Result<String, String> {
        match path {
            "fuzz.vsr" => Ok(self.0.to_string()),
            _ => Err("there is no such file".to_string()),
        }
    }

    fn exists(&mut self, _: &str) -> bool {
        false
    }

    fn sources(&mut self) -> &mut Sources {
        &mut self.1
    }
}

/// Whether there are no problems.
fn is_fine(text: &str) -> bool {
    let (mut loader, mut problems) = (Text(text, Sources::new()), Problems::new());
    pipeline::checked(
        &mut loader,
        "fuzz.vsr",
        &Options::default(),
        true,
        &mut problems,
    );
    problems.render(&loader.1);
    problems.to_json(&loader.1);
    problems.is_empty()
}

pub fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if !is_fine(&text) {
        return;
    }
    let mut sources = Sources::new();
    let id = sources.add("fuzz.vsr", text.as_ref());
    let formatted = syntax::format(id, &text, &mut Problems::new());
    let formatted = formatted.expect("what parses is formatted, and keeps its tree");
    assert!(is_fine(&formatted), "the same text in canonical style");
}
