//! Links to the weight files of frozen networks, beside the compiled network: there the runtime finds them, and the
//! artifact itself names no place of this machine. Files and links that somebody else has put there stay.

use crate::{Error, replace};
use std::fs;
use std::io::Result;
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};

/// Our links begin so; nobody else's do.
const OURS: &str = "./";

/// Links each file, by the last part of its name in the artifact, to where it lies.
pub fn link_weights(folder: &Path, files: &[(String, String)]) -> std::result::Result<(), Error> {
    for (name, path) in files {
        let Some(last) = Path::new(name).file_name() else {
            continue;
        };
        let place = folder.join(last);
        link_one(folder, &place, Path::new(path)).map_err(|error| Error::Io {
            what: "link",
            path: place,
            error,
        })?;
    }
    Ok(())
}

fn link_one(folder: &Path, place: &Path, file: &Path) -> Result<()> {
    if let Ok(found) = fs::symlink_metadata(place)
        && !(found.is_symlink() && fs::read_link(place)?.to_string_lossy().starts_with(OURS))
    {
        return Ok(());
    }
    let to = Path::new(OURS).join(way(&fs::canonicalize(folder)?, &fs::canonicalize(file)?));
    if fs::read_link(place).is_ok_and(|old| old == to) {
        return Ok(());
    }
    put(&to, place)
}

/// A link in the place of an older one, or of nothing.
fn put(to: &Path, place: &Path) -> Result<()> {
    let beside = place.with_file_name(replace::unfinished(place)?);
    symlink(to, &beside)?;
    fs::rename(&beside, place).inspect_err(|_| drop(fs::remove_file(&beside)))
}

/// The way from a folder to a file, both absolute.
fn way(folder: &Path, file: &Path) -> PathBuf {
    let (mut from, mut to) = (folder.components().peekable(), file.components().peekable());
    while from.peek().is_some() && from.peek() == to.peek() {
        from.next();
        to.next();
    }
    from.map(|_| Component::ParentDir).chain(to).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_linked_and_what_others_put_there_stays() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("models/weights")).unwrap();
        fs::create_dir_all(at("out")).unwrap();
        for name in ["a", "b"] {
            fs::write(at("models/weights").join(name), name).unwrap();
        }
        let file = |name: &str| {
            (
                format!("w/{name}"),
                at("models/weights")
                    .join(name)
                    .to_string_lossy()
                    .into_owned(),
            )
        };
        link_weights(&at("out"), &[file("a"), file("b")]).unwrap();
        assert_eq!(fs::read(at("out/b")).unwrap(), b"b");
        assert_eq!(
            fs::read_link(at("out/a")).unwrap(),
            Path::new("./../models/weights/a")
        );
        // Ours follow the text; those of others do not.
        let moved = (
            "w/a".to_string(),
            at("models/weights/b").to_string_lossy().into_owned(),
        );
        link_weights(&at("out"), std::slice::from_ref(&moved)).unwrap();
        assert_eq!(fs::read(at("out/a")).unwrap(), b"b");
        for is_link in [true, false] {
            fs::remove_file(at("out/a")).unwrap();
            match is_link {
                true => symlink("../models/weights/a", at("out/a")).unwrap(),
                false => fs::write(at("out/a"), "a").unwrap(),
            }
            link_weights(&at("out"), std::slice::from_ref(&moved)).unwrap();
            assert_eq!(fs::read(at("out/a")).unwrap(), b"a");
        }
        assert_eq!(fs::read_dir(at("out")).unwrap().count(), 2);
    }

    /// A folder that came meanwhile cannot be replaced by a link.
    #[test]
    fn a_link_that_cannot_be_put_in_its_place_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("a");
        fs::create_dir(&place).unwrap();
        fs::write(dir.path().join("b"), "b").unwrap();
        put(Path::new("./b"), &place).unwrap_err();
        assert!(place.is_dir());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}
