//! What is written is read back; whatever is changed in between is refused, with the reason.

use crate::folder::all_files;
use crate::manifest::{CodeForm, Manifest, Model, Target};
use crate::{Artifact, Error, read, write};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("vsr-artifact-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Folder(path)
    }
}

impl Folder {
    /// A file of the artifact.
    fn file(&self, name: &str) -> PathBuf {
        match name {
            "manifest.json" => self.0.join(name),
            name => crate::code_file(&self.0).unwrap().with_file_name(name),
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn artifact(features: &[&str]) -> Artifact {
    Artifact {
        manifest: Manifest {
            format: 0,
            abi: 0,
            compiler: "0.1.0".into(),
            source_hash: String::new(),
            model: Model {
                name: "Net".into(),
                doc: "A net.".into(),
                parameters: BTreeMap::new(),
            },
            train: None,
            weights: vec![],
            frozen: Default::default(),
            layouts: vec![],
            storage_bytes: 0,
            entries: vec![],
            kernels: vec![],
            target: Target {
                name: "x86-64-v3".into(),
                form: CodeForm::Native,
                features: features.iter().map(|f| f.to_string()).collect(),
                machine: crate::machine::Machine::default(),
            },
            code_hash: String::new(),
            consts_hash: String::new(),
        },
        code: (0..5000u32).map(|i| (i * 7) as u8).collect(),
        consts: vec![1, 2, 3, 4],
        sources: vec![
            ("net.vsr".into(), b"model Net".to_vec()),
            ("lib/a.vsr".into(), b"op a".to_vec()),
        ],
    }
}

/// The same network with other code, as changing the text makes it.
fn other(n: u8) -> Artifact {
    let mut a = artifact(&[]);
    a.code = vec![n; 3000];
    a.consts = vec![n; 64];
    a.sources[0].1 = vec![n; 10];
    a
}

fn refusal(dir: &Path) -> String {
    read(dir).expect_err("it must be refused").to_string()
}

#[test]
fn what_is_written_is_read_back() {
    let dir = Folder::new("roundtrip");
    let mut a = artifact(&[]);
    write(&dir.0, &a).unwrap();
    let b = read(&dir.0).unwrap();
    assert_eq!((&b.code, &b.consts), (&a.code, &a.consts));
    assert_eq!(b.manifest.model, a.manifest.model);
    a.sources.sort();
    assert_eq!(b.sources, a.sources);
    write(&dir.0, &b).unwrap();
    assert_eq!(read(&dir.0).unwrap(), b);
    assert_eq!(fs::read_dir(&dir.0).unwrap().count(), 2);
    let leftovers = fs::read_dir(dir.0.parent().unwrap()).unwrap().flatten();
    let name = dir.0.file_name().unwrap().to_string_lossy().into_owned();
    assert_eq!(
        leftovers
            .filter(|e| e.file_name().to_string_lossy().contains(&name))
            .count(),
        1
    );
}

#[test]
fn same_artifact_same_bytes() {
    let (a, b) = (Folder::new("same-a"), Folder::new("same-b"));
    write(&a.0, &artifact(&[])).unwrap();
    write(&b.0, &artifact(&[])).unwrap();
    assert_eq!(all_files(&a.0).unwrap(), all_files(&b.0).unwrap());
    assert_eq!(all_files(&a.0).unwrap().len(), 5);
}

#[test]
fn any_flipped_byte_is_refused() {
    let dir = Folder::new("flip");
    write(&dir.0, &artifact(&[])).unwrap();
    for file in ["manifest.json", "code.bin", "consts.bin", "source/net.vsr"] {
        let path = dir.file(file);
        let whole = fs::read(&path).unwrap();
        for at in (0..whole.len()).step_by(1 + whole.len() / 60) {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            fs::write(&path, &bytes).unwrap();
            assert!(read(&dir.0).is_err(), "{file} byte {at}");
        }
        fs::write(&path, &whole).unwrap();
    }
    read(&dir.0).unwrap();
}

#[test]
fn any_truncation_is_refused() {
    let dir = Folder::new("cut");
    write(&dir.0, &artifact(&[])).unwrap();
    for file in ["manifest.json", "code.bin", "consts.bin", "source/net.vsr"] {
        let path = dir.file(file);
        let whole = fs::read(&path).unwrap();
        for len in (0..whole.len()).step_by(1 + whole.len() / 40) {
            fs::write(&path, &whole[..len]).unwrap();
            let why = refusal(&dir.0);
            assert!(why.contains("damaged"), "{file} cut to {len}: {why}");
        }
        fs::remove_file(&path).unwrap();
        read(&dir.0).expect_err("a missing file is refused");
        fs::write(&path, &whole).unwrap();
    }
}

#[test]
fn unknown_versions_are_named() {
    let dir = Folder::new("version");
    write(&dir.0, &artifact(&[])).unwrap();
    let path = dir.0.join("manifest.json");
    let text = fs::read_to_string(&path).unwrap();
    let format = format!("\"format\":{}", crate::FORMAT);
    fs::write(&path, text.replace(&format, "\"format\":7")).unwrap();
    assert!(matches!(
        read(&dir.0),
        Err(Error::UnknownFormat { found: 7, .. })
    ));
    let abi = format!("\"abi\":{}", crate::abi::ABI_VERSION);
    fs::write(&path, text.replace(&abi, "\"abi\":9")).unwrap();
    assert!(matches!(
        read(&dir.0),
        Err(Error::UnknownAbi { found: 9, .. })
    ));
}

#[test]
fn a_foreign_machine_is_named() {
    let dir = Folder::new("isa");
    write(&dir.0, &artifact(&["avx1024"])).unwrap();
    assert!(refusal(&dir.0).contains("needs avx1024, which this processor does not have"));
}

#[test]
fn a_folder_without_an_artifact_is_named() {
    let dir = Folder::new("none");
    fs::create_dir_all(&dir.0).unwrap();
    assert!(refusal(&dir.0).contains("is not a compiled network: it has no manifest.json"));
    fs::write(dir.0.join("manifest.json"), r#"{"name": "a web page"}"#).unwrap();
    assert!(refusal(&dir.0).contains("another program's"));
    let mut a = artifact(&[]);
    a.sources.push(("../evil".into(), vec![]));
    let made = write(&dir.0.join("x"), &a);
    assert!(matches!(made, Err(Error::SourceName(_))));
    assert!(!dir.0.join("x").exists());
}

#[test]
fn what_else_lies_in_the_folder_stays() {
    let dir = Folder::new("precious");
    for name in [
        "thesis.txt",
        "runs/1/last.safetensors",
        "code.bin",
        "source/net.vsr",
        "content-1/x",
    ] {
        let path = dir.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, name).unwrap();
    }
    let before = all_files(&dir.0).unwrap();
    for n in 0..4 {
        write(&dir.0, &other(n)).unwrap();
        // Beside our own files, too.
        let notes = dir.file(&format!("source/notes-{n}.txt"));
        fs::write(&notes, "mine").unwrap();
        assert_eq!(read(&dir.0).unwrap().code, other(n).code);
    }
    let mut after = all_files(&dir.0).unwrap();
    let notes = after
        .iter()
        .filter(|(name, _)| name.contains("/source/notes-"));
    assert_eq!(notes.count(), 4);
    let current = dir
        .file("code.bin")
        .parent()
        .unwrap()
        .file_name()
        .unwrap()
        .to_owned();
    let current = current.into_string().unwrap();
    after.retain(|(name, _)| {
        name != "manifest.json" && !name.starts_with(&current) && !name.contains("/source/notes-")
    });
    assert_eq!(after, before);
}

#[test]
fn a_manifest_of_another_program_is_in_the_way() {
    let dir = Folder::new("web");
    fs::create_dir_all(dir.0.join("icons")).unwrap();
    fs::write(dir.0.join("icons/a.png"), "png").unwrap();
    for text in [
        r#"{"name": "a web page", "format": 2}"#,
        "",
        "not JSON",
        "\0\0\0\0",
    ] {
        fs::write(dir.0.join("manifest.json"), text).unwrap();
        let before = all_files(&dir.0).unwrap();
        let made = write(&dir.0, &artifact(&[]));
        assert!(matches!(made, Err(Error::InTheWay(_))), "{text}");
        assert_eq!(all_files(&dir.0).unwrap(), before, "{text}");
    }
    fs::remove_file(dir.0.join("manifest.json")).unwrap();
    fs::create_dir(dir.0.join("manifest.json")).unwrap();
    let made = write(&dir.0, &artifact(&[]));
    assert!(matches!(made, Err(Error::InTheWay(_))));
}

/// Its own manifest is known as such when it is damaged, written by another version, or laid out anew by hand.
#[test]
fn a_damaged_artifact_is_replaced() {
    let dir = Folder::new("mend");
    let path = dir.0.join("manifest.json");
    write(&dir.0, &other(1)).unwrap();
    let whole = fs::read_to_string(&path).unwrap();
    let pretty: serde_json::Value = serde_json::from_str(&whole).unwrap();
    let older = r#"{"format":1,"abi":3,"compiler":"0","code_hash":"a","consts_hash":"b"}"#;
    for text in [&whole[..whole.len() / 2], &format!("{pretty:#}"), older] {
        fs::write(&path, text).unwrap();
        assert!(read(&dir.0).is_err());
        write(&dir.0, &other(2)).unwrap();
        assert_eq!(read(&dir.0).unwrap().code, other(2).code);
    }
    for file in ["code.bin", "consts.bin", "source/net.vsr"] {
        fs::write(dir.file(file), "damaged").unwrap();
        assert!(read(&dir.0).is_err());
        write(&dir.0, &other(2)).unwrap();
        read(&dir.0).unwrap();
    }
}

#[test]
fn a_link_is_followed() {
    let dir = Folder::new("link");
    fs::create_dir_all(dir.0.join("far")).unwrap();
    for (link, to) in [("here", "far"), ("later", "far/new")] {
        std::os::unix::fs::symlink(to, dir.0.join(link)).unwrap();
        for n in 1..3 {
            write(&dir.0.join(link), &other(n)).unwrap();
            assert_eq!(read(&dir.0.join(to)).unwrap().code, other(n).code);
        }
        assert!(dir.0.join(link).is_symlink());
    }
}

/// Writers follow each other, readers find whole artifacts, and nothing but the last one is left.
#[test]
fn many_readers_and_writers_see_whole_artifacts() {
    let dir = Folder::new("crowd");
    write(&dir.0, &other(0)).unwrap();
    let is_done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = |first: u8| {
            let dir = &dir.0;
            move || (0..40).for_each(|n| write(dir, &other(first + n % 3)).unwrap())
        };
        let reader = || {
            let mut n_read = 0;
            while !is_done.load(std::sync::atomic::Ordering::Relaxed) {
                let found = read(&dir.0).unwrap_or_else(|e| panic!("{e}"));
                let n = found.consts[0];
                assert_eq!(
                    (&found.code, &found.consts),
                    (&other(n).code, &other(n).consts)
                );
                n_read += 1;
            }
            assert!(n_read > 0);
        };
        let readers = [scope.spawn(reader), scope.spawn(reader)];
        let writers = [scope.spawn(writer(0)), scope.spawn(writer(2))];
        writers.into_iter().for_each(|w| w.join().unwrap());
        is_done.store(true, std::sync::atomic::Ordering::Relaxed);
        readers.into_iter().for_each(|r| r.join().unwrap());
    });
    assert_eq!(fs::read_dir(&dir.0).unwrap().count(), 2);
}

/// What a killed writer leaves goes with the next artifact, whatever it had come to.
#[test]
fn leftovers_are_swept() {
    let dir = Folder::new("left");
    let name = format!("content-{}", "0a".repeat(16));
    for left in [
        format!(".{name}.77-0.tmp/source/net.vsr"),
        ".manifest.json.77-1.tmp".into(),
    ] {
        let path = dir.0.join(left);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "half").unwrap();
    }
    // Killed between the content and the manifest: the content is whole, and no manifest names it.
    write(&dir.0, &other(1)).unwrap();
    fs::remove_file(dir.0.join("manifest.json")).unwrap();
    write(&dir.0, &other(2)).unwrap();
    assert_eq!(fs::read_dir(&dir.0).unwrap().count(), 2);
    // What only looks like ours stays.
    fs::create_dir(dir.0.join(&name)).unwrap();
    fs::write(dir.0.join(&name).join("own.txt"), "mine").unwrap();
    write(&dir.0, &other(3)).unwrap();
    assert_eq!(
        fs::read(dir.0.join(&name).join("own.txt")).unwrap(),
        b"mine"
    );
}
