//! Names of picture sequences. Enters: a folder, or a printf pattern (`shot/%05d.png`). Leaves: paths in the order that
//! people count in, and the numbers that are missing between them. No picture is opened here.

use super::{Damage, MediaError, Result};
use std::path::{Path, PathBuf};
use vsr_artifact::shown_path;

pub const EXTENSIONS: [&str; 3] = ["png", "jpg", "jpeg"];

pub fn has_image_extension(path: &Path) -> bool {
    let extension = path
        .extension()
        .map(|e| e.to_string_lossy().to_ascii_lowercase());
    extension.is_some_and(|e| EXTENSIONS.contains(&e.as_str()))
}

/// Files whose names begin with a dot are other programs' own: thumbnails, what an archive says of a file.
pub fn is_hidden(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    name.as_encoded_bytes().starts_with(b".")
}

/// All that a folder shows, numbers inside names counted as numbers.
pub fn entries_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |e: std::io::Error| MediaError::cannot_read(folder, &e);
    let entries = std::fs::read_dir(folder).map_err(failed)?;
    let paths = entries.map(|e| e.map(|e| e.path()));
    let mut paths: Vec<PathBuf> = paths.collect::<std::io::Result<_>>().map_err(failed)?;
    paths.retain(|p| !is_hidden(p));
    paths.sort_by_cached_key(|p| {
        let name = p.file_name().unwrap_or_default().to_string_lossy();
        (natural_key(&name), name.into_owned())
    });
    Ok(paths)
}

/// Pictures of a folder.
pub fn files_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = entries_in(folder)?;
    files.retain(|p| has_image_extension(p));
    Ok(files)
}

/// Text and numbers in turn, so that `f10` comes after `f9`.
pub fn natural_key(name: &str) -> Vec<(String, u64)> {
    let mut key: Vec<(String, u64)> = vec![Default::default()];
    let mut in_number = false;
    for c in name.chars() {
        let last = key.len() - 1;
        match c.to_digit(10) {
            Some(digit) => {
                key[last].1 = key[last]
                    .1
                    .saturating_mul(10)
                    .saturating_add(u64::from(digit));
                in_number = true;
            }
            None if in_number => {
                key.push((c.to_string(), 0));
                in_number = false;
            }
            None => key[last].0.push(c),
        }
    }
    key
}

/// What stands before the first `%d` or `%0Nd` of a name, its digits, and what stands behind. Other `%` are as they
/// are.
fn conversion(name: &str) -> Option<(&str, usize, &str)> {
    name.match_indices('%').find_map(|(at, _)| {
        let (digits, after) = name[at + 1..].split_once('d')?;
        let n_digits = match digits.strip_prefix('0') {
            Some(n) if n.bytes().all(|b| b.is_ascii_digit()) => n.parse().ok()?,
            None if digits.is_empty() => 0,
            _ => return None,
        };
        (n_digits <= 20).then_some((&name[..at], n_digits, after))
    })
}

/// Whether a name has a number in it, but is no picture's and no film's.
pub fn is_unfinished_pattern(path: &Path) -> bool {
    let name = path.file_name().and_then(|n| n.to_str());
    path.extension().is_none() && name.and_then(conversion).is_some()
}

/// `before%0Nd.png` split at its conversion.
#[derive(Clone, Debug, PartialEq)]
pub struct Pattern {
    folder: PathBuf,
    before: String,
    digits: usize,
    after: String,
}

impl Pattern {
    pub fn parse(path: &Path) -> Option<Pattern> {
        let name = path.file_name()?.to_str()?;
        let (before, digits, after) = conversion(name).filter(|_| has_image_extension(path))?;
        Some(Pattern {
            folder: path.parent().map(PathBuf::from).unwrap_or_default(),
            before: before.into(),
            digits,
            after: after.into(),
        })
    }

    /// What a folder is filled with that no pattern was given for.
    pub fn in_folder(folder: &Path) -> Pattern {
        Pattern {
            folder: folder.into(),
            before: String::new(),
            digits: 6,
            after: ".png".into(),
        }
    }

    pub fn folder(&self) -> PathBuf {
        match self.folder.as_os_str().is_empty() {
            true => ".".into(),
            false => self.folder.clone(),
        }
    }

    pub fn name(&self, number: u64) -> String {
        format!(
            "{}{number:0width$}{}",
            self.before,
            self.after,
            width = self.digits
        )
    }

    /// The number of a file that this pattern names.
    pub fn number(&self, name: &str) -> Option<u64> {
        let digits = name.strip_prefix(&self.before)?;
        let number = digits.strip_suffix(&self.after)?.parse().ok()?;
        (self.name(number) == name).then_some(number)
    }

    /// Numbers of the files that are there, ascending.
    pub fn numbers(&self) -> Result<Vec<u64>> {
        let folder = self.folder();
        let failed = |e: std::io::Error| MediaError::cannot_read(&folder, &e);
        let mut numbers = Vec::new();
        for entry in std::fs::read_dir(&folder).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            numbers.extend(name.to_str().and_then(|name| self.number(name)));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    pub fn path(&self, number: u64) -> PathBuf {
        self.folder.join(self.name(number))
    }

    /// The files that are there, in order; none where the folder is missing.
    pub fn existing_files(&self) -> Result<Vec<PathBuf>> {
        if !self.folder().exists() {
            return Ok(Vec::new());
        }
        let numbers = self.numbers()?;
        Ok(numbers.into_iter().map(|n| self.path(n)).collect())
    }
}

/// What is missing between ascending numbers of pictures.
pub fn gaps(of: &Path, numbers: &[u64]) -> Vec<Damage> {
    let is_gap = |pair: &[u64]| pair[1] > pair[0] + 1;
    let pairs = numbers.windows(2).enumerate();
    let gap = |(at, pair): (usize, &[u64])| {
        let (first, last) = (pair[0] + 1, pair[1] - 1);
        let what = match first == last {
            true => format!("picture {first} is missing"),
            false => format!("pictures {first} to {last} are missing"),
        };
        let text = format!("{}: {what} from its numbering", shown_path(of));
        Damage::lost(at as u64 + 1, text)
    };
    pairs.filter(|(_, pair)| is_gap(pair)).map(gap).collect()
}

/// Numbers of files whose names differ in one number only: those of a film, presumably.
pub fn numbering(files: &[PathBuf]) -> Option<Vec<u64>> {
    let parts = |path: &PathBuf| -> Option<(String, u64, String)> {
        let name = path.file_name()?.to_str()?;
        let end = name.rfind(|c: char| c.is_ascii_digit())? + 1;
        let not_digit = |c: char| !c.is_ascii_digit();
        let start = name[..end].rfind(not_digit).map_or(0, |at| {
            at + name[at..].chars().next().map_or(1, char::len_utf8)
        });
        let number = name[start..end].parse().ok()?;
        Some((name[..start].into(), number, name[end..].into()))
    };
    let all: Vec<_> = files.iter().map(parts).collect::<Option<_>>()?;
    let (before, _, after) = all.first()?;
    let is_one = all.iter().all(|(b, _, a)| b == before && a == after);
    let mut numbers: Vec<u64> = all.iter().map(|(_, number, _)| *number).collect();
    numbers.sort_unstable();
    is_one.then_some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_count() {
        let mut names = vec!["f10.png", "f9.png", "a.png", "f1b2.png"];
        names.sort_by_key(|n| natural_key(n));
        assert_eq!(names, ["a.png", "f1b2.png", "f9.png", "f10.png"]);
    }

    #[test]
    fn missing_numbers_are_named() {
        let texts = |numbers: &[u64]| -> Vec<(u64, String)> {
            let gaps = gaps(Path::new("f%d.png"), numbers);
            gaps.into_iter().map(|d| (d.frame, d.text)).collect()
        };
        assert_eq!(texts(&[3, 4, 5]), []);
        assert_eq!(texts(&[]), []);
        let end = "from its numbering";
        let want = [
            (2, format!("f%d.png: picture 5 is missing {end}")),
            (4, format!("f%d.png: pictures 8 to 10 are missing {end}")),
        ];
        assert_eq!(texts(&[3, 4, 6, 7, 11]), want);
    }

    #[test]
    fn a_numbering_is_told_from_other_names() {
        let numbers = |names: &[&str]| {
            let files: Vec<PathBuf> = names.iter().map(PathBuf::from).collect();
            numbering(&files)
        };
        assert_eq!(
            numbers(&["a/f1.png", "a/f2.png", "a/f10.png"]),
            Some(vec![1, 2, 10])
        );
        assert_eq!(numbers(&["2.jpg", "003.jpg"]), Some(vec![2, 3]));
        assert_eq!(numbers(&["é7.png", "é9.png"]), Some(vec![7, 9]));
        assert_eq!(numbers(&["f1.png", "g2.png"]), None);
        assert_eq!(numbers(&["cat.png", "dog.png"]), None);
        assert_eq!(numbers(&[]), None);
    }

    /// `%` stands in names of films, of single pictures and of folders, too.
    #[test]
    fn only_a_number_in_the_name_of_a_picture_is_a_pattern() {
        let parsed = |name: &str| {
            let pattern = Pattern::parse(&Path::new("out").join(name))?;
            Some(pattern.name(7))
        };
        for (name, seventh) in [
            ("%d.png", "7.png"),
            ("%05d.JPG", "00007.JPG"),
            ("f%020d.jpeg", "f00000000000000000007.jpeg"),
            ("100%-%03d.png", "100%-007.png"),
            ("100%%d.png", "100%7.png"),
            ("%d of %d.png", "7 of %d.png"),
            ("100%done.png", "1007one.png"),
        ] {
            assert_eq!(parsed(name).as_deref(), Some(seventh), "{name}");
        }
        for name in [
            "100%done.mp4",
            "%d.mp4",
            "%05d.mkv",
            "f%03d.y4m",
            "%d",
            "100%.png",
            "%5d.png",
            "% 5d.png",
            "%-05d.png",
            "%0xd.png",
            "%021d.png",
            "%s.png",
            "%",
        ] {
            assert_eq!(parsed(name), None, "{name}");
        }
    }

    #[test]
    fn patterns_know_their_files() {
        let pattern = Pattern::parse(Path::new("shot/f%03d.png")).unwrap();
        let numbers = ["f001.png", "f1000.png", "f1.png", "f01.png", "g001.png"];
        assert_eq!(
            numbers.map(|n| pattern.number(n)),
            [Some(1), Some(1000), None, None, None]
        );
    }
}
