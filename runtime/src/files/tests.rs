//! Files on disks that fill up, beside leftovers of dead and living processes, behind links and on devices.

use super::room::{self, Full};
use super::*;
use std::fs;
use std::path::PathBuf;

/// Names in a folder, hidden ones too.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let name = |e: std::io::Result<fs::DirEntry>| e.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<String> = entries.map(name).collect();
    names.sort();
    names
}

#[test]
fn a_failed_write_leaves_the_old_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a/b.bin");
    write_whole(&path, &[b"one ", b"two"]).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"one two");
    let blocked = dir.path().join("a/b.bin/c");
    assert_eq!(write_whole(&blocked, &[b"x"]).unwrap_err().exit_code(), 1);
    assert_eq!(fs::read(&path).unwrap(), b"one two");
    assert_eq!(names(path.parent().unwrap()), ["b.bin"]);
}

const ALL: [Full; 3] = [Full::Bytes, Full::BytesLate, Full::Names];

#[test]
fn a_disk_that_fills_at_any_point_leaves_what_was_there() {
    let dir = tempfile::tempdir().unwrap();
    let new = [7u8; 150];
    for old in [None, Some([1u8; 10])] {
        for full in ALL {
            let folder = dir.path().join(format!("{full:?}-{}", old.is_some()));
            let path = folder.join("a.bin");
            if let Some(old) = old {
                write_whole(&path, &[&old]).unwrap();
            }
            let write = || write_whole(&path, &[&new[..70], &new[70..]]);
            let mut needed = 0;
            while let (Err(e), _) = room::with(needed, full, write) {
                assert_eq!(e.exit_code(), 2, "{e}");
                assert!(e.to_string().contains("the disk is full"), "{e}");
                match old {
                    Some(old) => assert_eq!(fs::read(&path).unwrap(), old),
                    None => assert!(!folder.exists(), "{full:?}, {needed}"),
                }
                needed += 1;
            }
            // A folder, a hidden file, its name.
            let names_needed = if old.is_some() { 2 } else { 3 };
            assert_eq!(
                needed,
                if full == Full::Names {
                    names_needed
                } else {
                    150
                }
            );
            assert_eq!(names(&folder), ["a.bin"]);
            assert_eq!(fs::read(&path).unwrap(), new);
        }
    }
}

#[test]
fn folders_of_files_come_all_together_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("shot");
    let write = |n: u8, replaced: &[PathBuf]| {
        let scratch = Scratch::at(&folder)?;
        for i in 0..n {
            let mut file = scratch.file(&format!("{i}.png"))?;
            file.write_all(&[i; 9])?;
            file.commit()?;
        }
        scratch.publish(&folder, replaced)
    };
    for full in ALL {
        let _ = fs::remove_dir_all(&folder);
        // A new folder; then fewer files over those of an older sequence.
        for n in [5, 4] {
            let is_there = folder.exists();
            let old: &[u8] = if is_there { &[0, 1, 2, 3, 4] } else { &[] };
            let replaced: Vec<PathBuf> = old
                .iter()
                .map(|i| folder.join(format!("{i}.png")))
                .collect();
            let before = is_there.then(|| names(&folder));
            let mut needed = 0;
            while room::with(needed, full, || write(n, &replaced)).0.is_err() {
                assert_eq!(
                    folder.exists().then(|| names(&folder)),
                    before,
                    "{full:?}, {needed}"
                );
                assert_eq!(names(dir.path()).len(), usize::from(is_there));
                needed += 1;
            }
            assert!(needed >= u64::from(n), "{full:?}: {needed}");
            assert_eq!(names(&folder).len(), usize::from(n));
            assert_eq!(names(dir.path()), ["shot"]);
        }
    }
}

/// What is not to go stays, whoever put it there and whenever, and what had been moved goes back.
#[test]
fn a_folder_takes_no_file_in_the_place_of_another() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("shot");
    fs::create_dir(&folder).unwrap();
    for name in ["a.png", "c.png"] {
        fs::write(folder.join(name), "theirs").unwrap();
    }
    let publish = |replaced: &[&str]| {
        let scratch = Scratch::at(&folder).unwrap();
        for name in ["a.png", "b.png", "c.png"] {
            let mut file = scratch.file(name).unwrap();
            file.write_all(b"ours").unwrap();
            file.commit().unwrap();
        }
        let replaced: Vec<PathBuf> = replaced.iter().map(|n| folder.join(n)).collect();
        scratch.publish(&folder, &replaced)
    };
    for replaced in [&[][..], &["a.png"]] {
        let refused = publish(replaced).unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::AlreadyExists);
        assert_eq!(names(&folder), ["a.png", "c.png"]);
        for name in ["a.png", "c.png"] {
            assert_eq!(fs::read(folder.join(name)).unwrap(), b"theirs");
        }
    }
    publish(&["a.png", "c.png"]).unwrap();
    assert_eq!(names(&folder), ["a.png", "b.png", "c.png"]);
    assert_eq!(fs::read(folder.join("c.png")).unwrap(), b"ours");
}

#[test]
fn what_a_dead_process_left_is_swept_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    // A number that no process has: beyond the largest that Linux gives.
    let dead = 4_194_305;
    let kept = [
        "a.safetensors".to_string(),
        ".hidden".to_string(),
        "b.new-1".to_string(),
        ".c.part-".to_string(),
        ".c.part-x7".to_string(),
        format!(".d.part-{dead}.txt"),
    ];
    for name in &kept {
        fs::write(at(name), "x").unwrap();
    }
    // A folder of that older mark is the compiler's.
    fs::create_dir(at(&format!(".net.new-{dead}"))).unwrap();
    let left = [".a.safetensors.new-4194305", ".b.mkv.part-4194305-2"];
    for name in left {
        fs::write(at(name), "half").unwrap();
    }
    fs::create_dir(at(".shot.part-4194305")).unwrap();
    fs::write(at(".shot.part-4194305/000001.png"), "half").unwrap();
    write_whole(&at("new.bin"), &[b"any file here sweeps"]).unwrap();
    let names = names(dir.path());
    assert_eq!(names.len(), kept.len() + 2, "{names:?}");
    assert!(kept.iter().all(|name| names.contains(name)), "{names:?}");
}

#[test]
fn what_a_living_process_writes_stays() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.bin");
    let mut output = Output::create(&path).unwrap();
    let scratch = Scratch::at(&dir.path().join("shot")).unwrap();
    // Another process that lives, and that no lock speaks for.
    let mut other = std::process::Command::new("sleep")
        .arg("60")
        .spawn()
        .unwrap();
    let others = dir.path().join(format!(".b.bin.part-{}", other.id()));
    fs::write(&others, "half").unwrap();
    sweep(dir.path());
    write_whole(&dir.path().join("b.bin"), &[b"x"]).unwrap();
    assert_eq!(names(dir.path()).len(), 4, "{:?}", names(dir.path()));
    other.kill().unwrap();
    other.wait().unwrap();
    sweep(dir.path());
    assert!(!others.exists());
    output.write_all(b"whole").unwrap();
    output.commit().unwrap();
    drop(scratch);
    assert_eq!(names(dir.path()), ["a.bin", "b.bin"]);
}

/// A young process with the number of a dead one does not keep its leftovers.
#[cfg(target_os = "linux")]
#[test]
fn a_number_used_again_keeps_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let left = dir.path().join(format!(".a.part-{}", std::process::id()));
    fs::write(&left, "half").unwrap();
    sweep(dir.path());
    assert!(left.exists(), "written while this process lives");
    let long_ago =
        std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    let file = fs::File::options().write(true).open(&left).unwrap();
    file.set_modified(long_ago).unwrap();
    drop(file);
    sweep(dir.path());
    assert!(!left.exists(), "older than this process");
}

#[test]
fn two_outputs_of_one_name_do_not_meet() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.bin");
    let mut outputs = [0, 1].map(|_| Output::create(&path).unwrap());
    for (n, output) in outputs.iter_mut().enumerate() {
        output.write_all(&[n as u8; 3]).unwrap();
    }
    let [first, second] = outputs;
    second.commit().unwrap();
    first.commit().unwrap();
    assert_eq!(fs::read(&path).unwrap(), [0; 3]);
    assert_eq!(names(dir.path()), ["a.bin"]);
}

#[test]
fn long_names_fit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(format!("{}.bin", "é".repeat(120)));
    write_whole(&path, &[b"x"]).unwrap();
    assert!(path.exists());
}

#[cfg(unix)]
#[test]
fn links_stay_devices_are_written_and_permissions_kept() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir(at("disk")).unwrap();
    for (link, to) in [
        ("there", "disk/a.bin"),
        ("new", "disk/b.bin"),
        ("dots", "disk/../disk/a.bin"),
    ] {
        symlink(to, at(link)).unwrap();
        write_whole(&at(link), &[link.as_bytes()]).unwrap();
        assert!(
            fs::symlink_metadata(at(link)).unwrap().is_symlink(),
            "{link}"
        );
    }
    assert_eq!(fs::read(at("disk/a.bin")).unwrap(), b"dots");
    assert_eq!(fs::read(at("disk/b.bin")).unwrap(), b"new");
    symlink("round", at("round")).unwrap();
    assert_eq!(
        write_whole(&at("round"), &[b"x"]).unwrap_err().exit_code(),
        1
    );

    write_whole(Path::new("/dev/null"), &[b"x"]).unwrap();
    assert!(!fs::metadata("/dev/null").unwrap().is_file());

    fs::set_permissions(at("disk/a.bin"), fs::Permissions::from_mode(0o640)).unwrap();
    write_whole(&at("disk/a.bin"), &[b"y"]).unwrap();
    let mode = |name: &str| fs::metadata(at(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("disk/a.bin"), 0o640);
    fs::set_permissions(at("disk/a.bin"), fs::Permissions::from_mode(0o440)).unwrap();
    let refused = write_whole(&at("disk/a.bin"), &[b"z"]).unwrap_err();
    assert_eq!(refused.exit_code(), 1, "{refused}");
    assert_eq!(fs::read(at("disk/a.bin")).unwrap(), b"y");
}

/// `/dev/stdout` and its kind: what is open is written to, and its name stays what it was.
#[cfg(target_os = "linux")]
#[test]
fn names_of_open_files_are_written_to() {
    use std::io::Read;
    use std::os::fd::AsRawFd;
    let mut file = tempfile::tempfile().unwrap();
    let (mut reader, writer) = std::io::pipe().unwrap();
    for number in [file.as_raw_fd(), writer.as_raw_fd()] {
        write_whole(
            &PathBuf::from(format!("/proc/self/fd/{number}")),
            &[b"whole"],
        )
        .unwrap();
        let film = PathBuf::from(format!("/dev/fd/{number}"));
        assert!(guard::target(&film).is_err() && !guard::is_replaced(&film));
    }
    drop(writer);
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "wholewhole");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_device_is_an_error() {
    if !Path::new("/dev/full").exists() {
        println!("skipped: no /dev/full");
        return;
    }
    let full = write_whole(Path::new("/dev/full"), &[b"x"]).unwrap_err();
    assert_eq!(full.exit_code(), 2);
    assert!(full.to_string().contains("the disk is full"), "{full}");
}

#[test]
fn a_folder_is_worked_in_by_one() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("runs/net");
    let lock = FolderLock::take(&run).unwrap();
    let busy = FolderLock::take(&run).err().unwrap();
    assert_eq!(busy.exit_code(), 1);
    let process = format!("(process {})", std::process::id());
    assert!(busy.to_string().contains(&process), "{busy}");
    fs::write(run.join("a"), "x").unwrap();
    drop(lock);
    assert_eq!(names(&run), ["a"]);
    // A lock file that a killed process left holds nobody up, whatever it says.
    fs::write(
        run.join(".vsr-run.lock"),
        format!("{}\n", std::process::id()),
    )
    .unwrap();
    // Nor does what it had not finished stay, though the number may be another's now.
    fs::write(run.join(".b.new-1"), "half").unwrap();
    drop(FolderLock::take(&run).unwrap());
    assert_eq!(names(&run), ["a"]);
    // A folder that was made for nothing goes again, with those above it.
    drop(FolderLock::take(&dir.path().join("x/y")).unwrap());
    assert_eq!(names(dir.path()), ["runs"]);
}

#[test]
fn many_at_once_get_folders_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let take = || {
        let folders = (1..).map(|n| dir.path().join(format!("runs/net-{n}")));
        FolderLock::take_new(folders).unwrap()
    };
    let taken: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(take)).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    let mut folders: Vec<_> = taken.iter().map(|t| t.0.clone()).collect();
    folders.sort();
    folders.dedup();
    assert_eq!(folders.len(), 8);
    assert_eq!(names(&dir.path().join("runs")).len(), 8);
}

#[cfg(unix)]
#[test]
fn an_output_that_is_an_input_is_told_by_any_name() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir(at("sub")).unwrap();
    fs::write(at("a"), "x").unwrap();
    fs::write(at("b"), "x").unwrap();
    fs::hard_link(at("a"), at("hard")).unwrap();
    std::os::unix::fs::symlink("a", at("soft")).unwrap();
    let read = guard::Inputs::of(["b", "a", "gone", "sub"].map(at));
    for name in ["a", "hard", "soft", "sub/../a", "./a", "sub/."] {
        let refused = read.refuse(&at(name)).unwrap_err();
        assert_eq!(refused.exit_code(), 1);
        assert!(refused.to_string().contains("which is read"), "{refused}");
    }
    for name in ["new", "gone", "sub/new"] {
        read.refuse(&at(name)).unwrap();
    }
    let device = guard::Inputs::of(["/dev/null".into()]);
    device.refuse(Path::new("/dev/null")).unwrap();
}
