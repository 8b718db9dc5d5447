//! How much memory one tile of the flagship takes, as planned and as a session holds it.
#![cfg(target_arch = "x86_64")]

use vsr_artifact::folding;
use vsr_runtime::session::{Options, Session};

const MB: u64 = 1_000_000;

/// Winograd's transforms make the weights of a layer several times as large, but nothing is there twice: not the stored weights beside
/// the folded ones, not a step between them, not a picture of which only a part is read later.
#[test]
fn one_tile_of_the_flagship_takes_less_than_a_hundred_megabytes_weights_and_all() {
    let artifact = vsr_tests::artifact("models/vsr.vsr", &["tile"], &[]);
    let m = &artifact.manifest;
    let e = m.entries.iter().find(|e| e.name == "infer").expect("infer");
    let (kept, most) = (folding::kept_bytes(m, e), folding::most_bytes(m, e));
    assert!(
        m.storage_bytes > 27 * MB && kept < MB,
        "{kept} bytes are kept"
    );
    assert!(e.arena_bytes < 19 * MB, "the arena has {}", e.arena_bytes);
    assert!(e.folded_bytes < 75 * MB, "{} are folded", e.folded_bytes);
    assert!(most < 76 * MB, "{most} while folding");
    let threads = 2;
    let all = most + e.arena_bytes + threads * e.scratch_bytes + artifact.consts.len() as u64;
    assert!(all < 95 * MB, "{all} in all");

    let dir = tempfile::tempdir().expect("a folder");
    vsr_artifact::write(&dir.path().join("compiled"), &artifact).expect("it writes");
    let options = Options {
        threads: threads as usize,
        ..Options::default()
    };
    let mut s = Session::open(&dir.path().join("compiled"), options).expect("it opens");
    s.init_weights(1).unwrap();
    let entry = s.find("infer", "tile").expect("infer");
    let x = vec![0.5; e.inputs[0].shape.iter().product::<u64>() as usize];
    s.run(entry, &[("x", &x)], 0, 0).expect("it runs");
    let held = s.bytes();
    assert_eq!((held.arenas, held.folded), (e.arena_bytes, e.folded_bytes));
    assert_eq!(held.scratch, threads * e.scratch_bytes);
    // Whole pages only, and the system's may be larger than 4 KB.
    #[cfg(target_os = "linux")]
    assert!(held.storage < kept + MB, "{held:?}");
}
