//! What the end-to-end tests share: goldens, and compiling a file of the repository into a session.
//!
//! Enters names of files; leaves sessions of native code. Only folders made here are written to.

pub mod random;
pub mod reference;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use vsr_compiler::backend::Target;
use vsr_compiler::diag::{Problems, Sources};
use vsr_compiler::pass_manager::PassManager;
use vsr_compiler::pipeline::{self, Compiled, Destination};
use vsr_compiler::sema::{Loader, Options};
use vsr_kernels::Level;
use vsr_runtime::session::{self, Session};

/// The repository's top folder.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Files of the repository, as it is committed: weights that somebody keeps beside the models change no test.
#[derive(Default)]
pub struct Repository(Sources);

impl Loader for Repository {
    fn read(&mut self, path: &str) -> Result<String, String> {
        std::fs::read_to_string(root().join(path)).map_err(|e| e.to_string())
    }

    fn exists(&mut self, path: &str) -> bool {
        !path.starts_with("models/weights/") && root().join(path).is_file()
    }

    fn weights(&mut self, path: &str) -> Result<vsr_weightfile::Header, String> {
        let mapped = vsr_weightfile::Mapped::open(&root().join(path));
        mapped.map(|m| m.header).map_err(|e| e.to_string())
    }

    fn sources(&mut self) -> &mut Sources {
        &mut self.0
    }
}

/// Compiles a file of the repository to an artifact in memory.
///
/// # Panics
/// If it does not compile: the message is the problems.
pub fn artifact(path: &str, profiles: &[&str], set: &[(String, String)]) -> vsr_artifact::Artifact {
    artifact_of(path, None, profiles, set)
}

/// As [`artifact`], of one model of several.
///
/// # Panics
/// If it does not compile: the message is the problems.
pub fn artifact_of(
    path: &str,
    name: Option<&str>,
    profiles: &[&str],
    set: &[(String, String)],
) -> vsr_artifact::Artifact {
    compiled_of(Target::X86_64V3.into(), path, name, profiles, set).artifact
}

/// As [`artifact`], made for a target or planned for a machine.
///
/// # Panics
/// If it does not compile: the message is the problems.
pub fn artifact_on(
    destination: impl Into<Destination>,
    path: &str,
    profiles: &[&str],
    set: &[(String, String)],
) -> vsr_artifact::Artifact {
    compiled_of(destination.into(), path, None, profiles, set).artifact
}

fn compiled_of(
    destination: Destination,
    path: &str,
    name: Option<&str>,
    profiles: &[&str],
    set: &[(String, String)],
) -> Compiled {
    let (mut files, mut problems) = (Repository::default(), Problems::new());
    let options = Options {
        name: name.map(str::to_string),
        profiles: profiles.iter().map(|p| (*p).to_string()).collect(),
        set: set.to_vec(),
    };
    let compiled = pipeline::compile(
        &mut files,
        path,
        &options,
        destination,
        &mut PassManager::default(),
        &mut problems,
    );
    compiled.unwrap_or_else(|| panic!("{}", problems.render(files.sources())))
}

/// An artifact on disk, opened; the folder lives as long as this.
pub struct Opened {
    pub session: Session,
    pub folder: tempfile::TempDir,
}

/// Compiles and opens.
///
/// # Panics
/// If one of them fails.
pub fn open(path: &str, profiles: &[&str], set: &[(String, String)], n_threads: usize) -> Opened {
    open_artifact(&artifact(path, profiles, set), n_threads)
}

/// As `open`, with no wider instructions than those of the level.
///
/// # Panics
/// If one of them fails.
pub fn open_at(
    level: Option<Level>,
    path: &str,
    profiles: &[&str],
    set: &[(String, String)],
    n_threads: usize,
) -> Opened {
    write_and_open(&artifact(path, profiles, set), n_threads, level)
}

/// Writes and opens.
///
/// # Panics
/// If one of them fails.
pub fn open_artifact(artifact: &vsr_artifact::Artifact, n_threads: usize) -> Opened {
    write_and_open(artifact, n_threads, None)
}

/// Compiles one model of a text of its own, by its absolute path, and opens it with its frozen weights.
///
/// # Panics
/// If one of them fails.
pub fn open_text(path: &Path, name: &str, n_threads: usize) -> Opened {
    let made = compiled_of(
        Target::X86_64V3.into(),
        &path.to_string_lossy(),
        Some(name),
        &[],
        &[],
    );
    let folder = tempfile::tempdir().expect("a temporary folder");
    let compiled = folder.path().join("compiled");
    vsr_artifact::write(&compiled, &made.artifact).expect("the artifact is written");
    vsr_artifact::link_weights(&compiled, &made.weight_files).expect("the weights are linked");
    open_folder(folder, n_threads, None)
}

fn write_and_open(
    artifact: &vsr_artifact::Artifact,
    n_threads: usize,
    level: Option<Level>,
) -> Opened {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let compiled = folder.path().join("compiled");
    vsr_artifact::write(&compiled, artifact).expect("the artifact is written");
    open_folder(folder, n_threads, level)
}

fn open_folder(folder: tempfile::TempDir, n_threads: usize, level: Option<Level>) -> Opened {
    let options = session::Options {
        threads: n_threads,
        level,
        ..session::Options::default()
    };
    let compiled = folder.path().join("compiled");
    let session = Session::open(&compiled, options).expect("the artifact opens");
    Opened { session, folder }
}

/// Tensors of a golden file by name, and its metadata.
pub struct Golden {
    pub tensors: BTreeMap<String, Vec<f32>>,
    pub about: BTreeMap<String, String>,
}

/// Reads `tests/goldens/NAME`.
///
/// # Panics
/// If it is not a safetensors file of f32 numbers.
pub fn golden(name: &str) -> Golden {
    let bytes = std::fs::read(root().join("tests/goldens").join(name)).expect("a golden file");
    let file = SafeTensors::deserialize(&bytes).expect("safetensors");
    let number = |b: &[u8]| f32::from_le_bytes(b.try_into().expect("four bytes"));
    let tensors = file.iter().map(|(name, t)| {
        (
            name.to_string(),
            t.data().chunks_exact(4).map(number).collect(),
        )
    });
    let (_, header) = SafeTensors::read_metadata(&bytes).expect("a header");
    let about = header.metadata().clone().unwrap_or_default();
    Golden {
        tensors: tensors.collect(),
        about: about.into_iter().collect(),
    }
}

impl Golden {
    /// Tensors whose names begin so, without the beginning.
    pub fn under(&self, prefix: &str) -> BTreeMap<String, Vec<f32>> {
        self.tensors
            .iter()
            .filter_map(|(k, v)| Some((k.strip_prefix(prefix)?.to_string(), v.clone())))
            .collect()
    }

    /// `{"a": 1}` of the metadata as settings.
    pub fn settings(&self, key: &str) -> Vec<(String, String)> {
        let text = self.about.get(key).map_or("{}", String::as_str);
        let map: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(text).expect("settings are JSON");
        map.into_iter().map(|(k, v)| (k, v.to_string())).collect()
    }
}

/// The largest difference over the largest number.
pub fn distance(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let size = b.iter().fold(1e-12f64, |m, x| m.max(f64::from(x.abs())));
    let apart = a.iter().zip(b).fold(0f64, |m, (x, y)| {
        let d = f64::from((x - y).abs());
        if d.is_nan() { f64::INFINITY } else { m.max(d) }
    });
    apart / size
}
