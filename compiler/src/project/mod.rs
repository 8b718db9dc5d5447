//! The texts of a new project. Enters: the name that its folder shall have. Leaves: the files of a small network that
//! compiles and trains, with the model named after the folder. Nothing is read or written here.

use crate::diag::Problems;
use crate::sema::STANDARD_LIBRARY;
use crate::syntax;
use std::collections::BTreeSet;

const NET: &str = include_str!("net.vsr");
const README: &str = include_str!("README.md");
const GITIGNORE: &str = include_str!("gitignore");

/// What the texts here call the model and the file.
const MODEL: &str = "NewNet";
const FILE: &str = "new-net";

/// A project's files, not yet written.
#[derive(Debug)]
pub struct Project {
    /// The model's name in the language.
    pub model: String,
    /// The file of the network.
    pub source: String,
    /// Name and text of each file, all in one folder.
    pub files: Vec<(String, String)>,
}

/// The project of a folder; or why no project can be named so, as the end of a sentence about the name.
pub fn project(name: &str) -> Result<Project, String> {
    check_name(name)?;
    let model = model_name(name);
    let source = format!("{name}.vsr");
    let readme = README
        .replace(MODEL, &model)
        .replace(&MODEL.to_lowercase(), &model.to_lowercase())
        .replace(FILE, name);
    let files = vec![
        (source.clone(), net(&model)),
        ("README.md".into(), readme),
        (".gitignore".into(), GITIGNORE.into()),
    ];
    Ok(Project {
        model,
        source,
        files,
    })
}

/// The longest name, in letters: it is also that of files, and part of a model's.
const MAX_LETTERS: usize = 64;

/// The name stands in command lines: no blanks, no marks.
fn check_name(name: &str) -> Result<(), String> {
    let is_fine = |c: char| c.is_ascii_alphanumeric() || ['-', '_', '.'].contains(&c);
    if !name.chars().all(is_fine) {
        return Err("a project's name has letters from a to z, digits, `-`, `_` and `.` only, such as my-net".into());
    }
    if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Err("a project's name begins with a letter or a digit".into());
    }
    match name.len() > MAX_LETTERS {
        true => Err(format!(
            "a project's name has at most {MAX_LETTERS} letters"
        )),
        false => Ok(()),
    }
}

/// `my-net` -> `MyNet`, `4x` -> `Net4x`; `conv2d` -> `Conv2dNet`, since `Conv2d` is taken.
fn model_name(name: &str) -> String {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric());
    let camel: String = words.map(capitalised).collect();
    if camel.starts_with(|c: char| c.is_ascii_digit()) {
        return format!("Net{camel}");
    }
    match taken().contains(camel.as_str()) {
        true => format!("{camel}Net"),
        false => camel,
    }
}

fn capitalised(word: &str) -> String {
    let (first, rest) = word.split_at(word.len().min(1));
    first.to_ascii_uppercase() + rest
}

/// Names that mean something in the network's text already, and the blocks of the library.
fn taken() -> BTreeSet<&'static str> {
    let words = |text: &'static str| text.split(|c: char| !c.is_ascii_alphanumeric());
    let blocks = STANDARD_LIBRARY
        .iter()
        .flat_map(|(_, text)| text.lines())
        .filter_map(|line| words(line.strip_prefix("block ")?).next());
    let code = NET.lines().filter(|line| !line.starts_with('#'));
    let own = code.flat_map(words).filter(|word| *word != MODEL);
    own.chain(blocks).collect()
}

/// In canonical style, however long the model's name is.
fn net(model: &str) -> String {
    let text = NET.replace(MODEL, model);
    syntax::format(0, &text, &mut Problems::new())
        .expect("the text here parses under any model's name")
}
