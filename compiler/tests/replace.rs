//! `vsrc compile` over what is there: the old network or the new one at every moment, whoever reads and whenever it is
//! killed; everything else in the folder stays. With the program itself.

#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use crate::folder::files;
use crate::program::{assert_refused, command, succeed, vsrc};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};

/// A network that is recognised by its number.
fn text(n: usize) -> String {
    format!("model Net()(x: [N]) -> [N] = max({n}*x, 0)\n\nprofile case {{ N = 12 }}\n")
}

fn workplace() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for n in [1, 2] {
        fs::write(dir.path().join(format!("{n}.vsr")), text(n)).unwrap();
    }
    dir
}

/// The number of the network in a folder.
fn found(folder: &Path) -> usize {
    let artifact = vsr_artifact::read(folder).unwrap_or_else(|e| panic!("{e}"));
    let is_named = |n: &usize| {
        let own = (format!("{n}.vsr"), text(*n).into_bytes());
        artifact.sources.contains(&own)
    };
    (1..=2).find(is_named).unwrap()
}

/// Files that a user may keep beside a compiled network, or in a folder that has nothing to do with one.
fn keepsakes(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    for name in [
        "last.safetensors",
        "runs/net-1/metrics.jsonl",
        "source/a.vsr",
        "code.bin",
    ] {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("precious {name}")).unwrap();
    }
    files(folder)
}

fn assert_kept(folder: &Path, kept: &BTreeMap<PathBuf, Vec<u8>>) {
    let now = files(folder);
    for (name, bytes) in kept {
        assert_eq!(now.get(name), Some(bytes), "{}", name.display());
    }
}

#[test]
fn what_else_lies_in_the_folder_stays() {
    let dir = workplace();
    let out = dir.path().join("out");
    succeed(dir.path(), "compile 1.vsr -o out -q");
    let fresh = files(&out).len();
    let kept = keepsakes(&out);
    let kept: BTreeMap<_, _> = kept
        .into_iter()
        .filter(|(_, bytes)| bytes.starts_with(b"precious"))
        .collect();
    for n in [2, 1, 1, 2] {
        succeed(dir.path(), &format!("compile {n}.vsr -o out -q"));
        assert_eq!(found(&out), n);
        assert_kept(&out, &kept);
        assert_eq!(files(&out).len(), fresh + kept.len(), "nothing piles up");
    }
}

#[test]
fn a_web_page_is_no_compiled_network() {
    let dir = workplace();
    let site = dir.path().join("site");
    fs::create_dir_all(site.join("css")).unwrap();
    fs::write(
        site.join("manifest.json"),
        r##"{"name": "Photos", "start_url": ".", "icons": []}"##,
    )
    .unwrap();
    fs::write(site.join("css/a.css"), "a {}").unwrap();
    let before = files(&site);
    for words in ["compile 1.vsr -o site", "compile ../1.vsr -o ."] {
        let at = if words.ends_with('.') {
            &site
        } else {
            dir.path()
        };
        let parts = ["manifest.json is in the way"];
        assert_refused(words, &vsrc(at, words), 1, &parts);
        assert_eq!(files(&site), before);
    }
}

#[test]
fn the_present_folder_and_links_are_written_to() {
    let dir = workplace();
    let kept = files(dir.path());
    for n in [1, 2, 1] {
        succeed(dir.path(), &format!("compile {n}.vsr -o . -q"));
        assert_eq!(found(dir.path()), n);
        assert_kept(dir.path(), &kept);
    }
    fs::create_dir(dir.path().join("far")).unwrap();
    std::os::unix::fs::symlink("far", dir.path().join("near")).unwrap();
    for n in [1, 2] {
        succeed(dir.path(), &format!("compile {n}.vsr -o near -q"));
        assert_eq!(found(&dir.path().join("far")), n);
    }
    assert!(dir.path().join("near").is_symlink());
}

/// Names and sizes of all that is below a folder, as far as it stays there while one looks.
fn state(folder: &Path) -> BTreeMap<PathBuf, u64> {
    let mut state = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(at) = folders.pop() {
        for entry in fs::read_dir(at).into_iter().flatten().flatten() {
            let Ok(found) = entry.metadata() else {
                continue;
            };
            if found.is_dir() {
                folders.push(entry.path());
            }
            state.insert(entry.path(), found.len());
        }
    }
    state
}

/// Waits until a folder has changed so often, then ends the program as a power cut would. Whether it did not end by
/// itself, which must be a good end.
fn kill_after(child: &mut Child, folder: &Path, n_changes: usize) -> bool {
    let (mut n_seen, mut last) = (0, state(folder));
    while n_seen <= n_changes && child.try_wait().unwrap().is_none() {
        let now = state(folder);
        n_seen += usize::from(now != last);
        last = now;
    }
    child.kill().unwrap();
    let end = child.wait().unwrap();
    let is_killed = end.signal() == Some(libc::SIGKILL);
    assert!(is_killed || end.success(), "{end}");
    is_killed
}

#[test]
fn killed_at_any_moment_the_old_network_is_there_or_the_new_one() {
    let dir = workplace();
    let out = dir.path().join("out");
    succeed(dir.path(), "compile 1.vsr -o out -q");
    let fresh = files(&out).len();
    let kept = files(&keep_one(&out));
    let mut n_found = [0; 2];
    let mut was = 1;
    // A busy machine shows only some of the changes: then there are more rounds.
    let mut n_changes = 0;
    for _ in 0..1000 {
        let n = 3 - was;
        let mut child = command(dir.path(), &format!("compile {n}.vsr -o out -q"))
            .spawn()
            .unwrap();
        let is_killed = kill_after(&mut child, &out, n_changes);
        // Whatever was there, it is one network or the other, whole.
        n_found[usize::from(found(&out) == n)] += 1;
        was = found(&out);
        assert_kept(&out.join("runs"), &kept);
        n_changes += 1;
        if !is_killed {
            if n_found[0] > 10 && n_found[1] > 0 {
                break;
            }
            n_changes = 0;
        }
    }
    let [n_old, n_new] = n_found;
    assert!(
        n_old > 10 && n_new > 0,
        "{n_old} times the old one, {n_new} times the new one"
    );
    succeed(dir.path(), "compile 1.vsr -o out -q");
    assert_eq!(found(&out), 1);
    let now: Vec<PathBuf> = files(&out).into_keys().collect();
    assert_eq!(now.len(), fresh + kept.len(), "leftovers: {now:?}");
}

/// A run beside the network; its folder.
fn keep_one(folder: &Path) -> PathBuf {
    let runs = folder.join("runs");
    fs::create_dir(&runs).unwrap();
    fs::write(runs.join("last.safetensors"), "precious").unwrap();
    runs
}

#[test]
fn killed_before_there_was_a_network_there_is_none_or_the_whole() {
    let dir = workplace();
    let (mut n_killed, mut n_changes) = (0, 0);
    for round in 0..1000 {
        let out = dir.path().join(format!("out{round}"));
        fs::create_dir(&out).unwrap();
        let words = format!("compile 1.vsr -o out{round} -q");
        let mut child = command(dir.path(), &words).spawn().unwrap();
        let is_killed = kill_after(&mut child, &out, n_changes);
        match vsr_artifact::read(&out) {
            Ok(_) => assert_eq!(found(&out), 1),
            Err(why) => assert!(
                matches!(why, vsr_artifact::Error::NotAnArtifact(..)),
                "{why}"
            ),
        }
        succeed(dir.path(), &words);
        assert_eq!(
            fs::read_dir(&out).unwrap().count(),
            2,
            "the manifest and its files"
        );
        n_killed += usize::from(is_killed);
        n_changes += 1;
        if !is_killed {
            if n_killed > 3 {
                break;
            }
            n_changes = 0;
        }
    }
    assert!(n_killed > 3, "{n_killed} were killed");
}

#[test]
fn readers_see_whole_networks_while_others_compile() {
    let dir = workplace();
    let out = dir.path().join("out");
    succeed(dir.path(), "compile 1.vsr -o out -q");
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut seen = [0; 2];
            while !is_done.load(Ordering::Relaxed) {
                seen[found(&out) - 1] += 1;
            }
            seen
        });
        let writer = |n: usize| {
            let dir = dir.path();
            move || {
                for _ in 0..12 {
                    succeed(dir, &format!("compile {n}.vsr -o out -q"));
                }
            }
        };
        let writers = [scope.spawn(writer(1)), scope.spawn(writer(2))];
        let ends = writers.map(|writer| writer.join());
        // Whatever their ends: the reader waits for this.
        is_done.store(true, Ordering::Relaxed);
        ends.into_iter().for_each(|end| end.unwrap());
        let seen = reader.join().unwrap();
        assert!(seen.iter().all(|n| *n > 0), "{seen:?}");
    });
    assert_eq!(fs::read_dir(&out).unwrap().count(), 2);
}
