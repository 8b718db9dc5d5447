//! What is written is read back; whatever is changed in between is refused, with the reason.

use crate::manifest::{Manifest, Model, Target};
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
                features: features.iter().map(|f| f.to_string()).collect(),
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
    for file in ["manifest.json", "code.bin", "consts.bin"] {
        assert_eq!(
            fs::read(a.0.join(file)).unwrap(),
            fs::read(b.0.join(file)).unwrap()
        );
    }
}

#[test]
fn any_flipped_byte_is_refused() {
    let dir = Folder::new("flip");
    write(&dir.0, &artifact(&[])).unwrap();
    for file in ["manifest.json", "code.bin", "consts.bin", "source/net.vsr"] {
        let path = dir.0.join(file);
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
        let path = dir.0.join(file);
        let whole = fs::read(&path).unwrap();
        for len in (0..whole.len()).step_by(1 + whole.len() / 40) {
            fs::write(&path, &whole[..len]).unwrap();
            assert!(refusal(&dir.0).contains("damaged"), "{file} cut to {len}");
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
    fs::write(&path, text.replace("\"format\":1", "\"format\":7")).unwrap();
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
fn nothing_else_is_overwritten() {
    let dir = Folder::new("precious");
    fs::create_dir_all(&dir.0).unwrap();
    assert!(refusal(&dir.0).contains("is not a compiled network"));
    fs::write(dir.0.join("thesis.txt"), "do not lose").unwrap();
    assert!(matches!(
        write(&dir.0, &artifact(&[])),
        Err(Error::InTheWay(_))
    ));
    assert_eq!(
        fs::read_to_string(dir.0.join("thesis.txt")).unwrap(),
        "do not lose"
    );
    let mut a = artifact(&[]);
    a.sources.push(("../evil".into(), vec![]));
    assert!(matches!(
        write(&dir.0.join("x"), &a),
        Err(Error::SourceName(_))
    ));
    assert!(!dir.0.join("x").exists());
}
