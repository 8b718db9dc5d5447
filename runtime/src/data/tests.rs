//! Batches: the same by the same key, from footage and from nothing.

use super::*;
use crate::video::image_writer::write_image;

fn options(folder: Option<&Path>) -> DataOptions {
    DataOptions::new(folder, &[2, 3, 3, 24, 32], 7, 4).unwrap()
}

/// `n` folders of nine pictures; the first pixel of a picture says which.
fn footage(root: &Path, n: usize, width: usize, height: usize) {
    for clip in 0..n {
        let folder = root.join(format!("clip{clip}"));
        std::fs::create_dir_all(&folder).unwrap();
        for t in 0..9 {
            let rgb: Vec<u8> = (0..width * height)
                .flat_map(|i| [clip as u8 * 10, t as u8 * 20, (i % 251) as u8])
                .collect();
            write_image(&folder.join(format!("{t}.png")), width, height, &rgb).unwrap();
        }
    }
}

#[test]
fn a_batch_does_not_depend_on_what_came_before() {
    let root = tempfile::tempdir().unwrap();
    footage(root.path(), 3, 40, 30);
    for folder in [None, Some(root.path())] {
        let mut straight = ClipSource::open(&options(folder)).unwrap();
        let batches: Vec<_> = (0..2)
            .flat_map(|e| (0..4).map(move |s| (e, s)))
            .map(|(e, s)| straight.train(e, s).unwrap())
            .collect();
        let held_out = straight.valid(1).unwrap();
        let mut resumed = ClipSource::open(&options(folder)).unwrap();
        assert_eq!(resumed.valid(1).unwrap(), held_out);
        assert_eq!(resumed.train(1, 2).unwrap(), batches[6]);
        assert_eq!(resumed.train(1, 3).unwrap(), batches[7]);
        assert_eq!(resumed.train(0, 1).unwrap(), batches[1]);
        assert_eq!(batches[0].len(), 2 * 3 * 3 * 24 * 32);
        assert!(batches[0] != batches[1] && batches[0] != batches[4]);
        assert!(batches.iter().flatten().all(|v| (0.0..=1.0).contains(v)));
    }
}

#[test]
fn held_out_films_are_never_trained_on() {
    let root = tempfile::tempdir().unwrap();
    footage(root.path(), 3, 40, 30);
    let mut source = ClipSource::open(&options(Some(root.path()))).unwrap();
    assert!(
        source.describe().contains("the last film is held out"),
        "{}",
        source.describe()
    );
    let is_last = |batch: &[f32]| {
        batch
            .chunks_exact(3 * 3 * 24 * 32)
            .map(|clip| clip[0] * 255.0 > 15.0)
            .collect::<Vec<_>>()
    };
    for step in 0..8 {
        assert_eq!(is_last(&source.train(0, step).unwrap()), [false, false]);
    }
    assert_eq!(is_last(&source.valid(0).unwrap()), [true, true]);
}

#[test]
fn frames_follow_each_other() {
    let root = tempfile::tempdir().unwrap();
    footage(root.path(), 2, 40, 30);
    let mut source = ClipSource::open(&options(Some(root.path()))).unwrap();
    let batch = source.train(0, 0).unwrap();
    let green = |t: usize| (batch[(3 + t) * 24 * 32] * 255.0 / 20.0).round() as i32;
    let step = green(1) - green(0);
    assert!(
        step.abs() == 1 && green(2) - green(1) == step,
        "{} {} {}",
        green(0),
        green(1),
        green(2)
    );
}

#[test]
fn little_memory_only_narrows_an_epoch() {
    let root = tempfile::tempdir().unwrap();
    footage(root.path(), 5, 40, 30);
    let small = DataOptions {
        budget_bytes: 80_000,
        ..options(Some(root.path()))
    };
    let mut source = ClipSource::open(&small).unwrap();
    let clips = |source: &mut ClipSource, epoch| -> std::collections::BTreeSet<i32> {
        (0..4)
            .flat_map(|s| source.train(epoch, s).unwrap())
            .step_by(3 * 3 * 24 * 32)
            .map(|v| (v * 25.5).round() as i32)
            .collect()
    };
    let epochs: Vec<_> = (0..8).map(|e| clips(&mut source, e)).collect();
    assert!(epochs.iter().all(|e| e.len() <= 2), "{epochs:?}");
    assert!(
        epochs
            .iter()
            .flatten()
            .collect::<std::collections::BTreeSet<_>>()
            .len()
            >= 3,
        "{epochs:?}"
    );
}

#[test]
fn faults_are_sentences() {
    let root = tempfile::tempdir().unwrap();
    let fault = |path: &Path| {
        ClipSource::open(&options(Some(path)))
            .err()
            .unwrap()
            .to_string()
    };
    assert!(fault(&root.path().join("none")).contains("there is no such folder"));
    assert!(fault(root.path()).contains("holds nothing to train on"));
    footage(root.path(), 2, 20, 16);
    let said = fault(root.path());
    assert!(
        said.contains("clip0 (20x16 pixels)") && said.contains("32x24"),
        "{said}"
    );
    assert!(DataOptions::new(None, &[4, 1, 7, 8, 8], 0, 1).is_err());
}
