//! Sessions on an artifact whose code is written by hand: y = f(weights, x) through the function table.

use super::*;
use vsr_artifact::Artifact;
use vsr_artifact::machine::Machine;
use vsr_artifact::manifest::*;

/// Machine code of `table.silu(buffers[1], buffers[0], args[0], null, 0, 1.0, -0.0)`, any task.
///
/// ```text
/// sub rsp,8; mov rax,[rdi]; mov rcx,[rdi+8]; mov rdx,[rdi+16]; mov rdi,[rcx+8]; mov rsi,[rcx]; mov rdx,[rdx];
/// xor ecx,ecx; xor r8d,r8d; mov r9d,0x3f800000; movd xmm0,r9d; mov r9d,0x80000000; movd xmm1,r9d;
/// call [rax+56]; add rsp,8; ret
/// ```
pub(crate) const SILU: [u8; 60] = [
    0x48, 0x83, 0xec, 0x08, 0x48, 0x8b, 0x07, 0x48, 0x8b, 0x4f, 0x08, 0x48, 0x8b, 0x57, 0x10, 0x48,
    0x8b, 0x79, 0x08, 0x48, 0x8b, 0x31, 0x48, 0x8b, 0x12, 0x31, 0xc9, 0x45, 0x31, 0xc0, 0x41, 0xb9,
    0x00, 0x00, 0x80, 0x3f, 0x66, 0x41, 0x0f, 0x6e, 0xc1, 0x41, 0xb9, 0x00, 0x00, 0x00, 0x80, 0x66,
    0x41, 0x0f, 0x6e, 0xc9, 0xff, 0x50, 0x38, 0x48, 0x83, 0xc4, 0x08, 0xc3,
];

pub(crate) fn weight(key: &str, shape: &[u64], init: Init, offset: u64) -> Weight {
    Weight {
        key: key.into(),
        shape: shape.to_vec(),
        init,
        kind: WeightKind::Trained,
        offset,
    }
}

pub(crate) fn port(name: &str, shape: &[u64], at: Place) -> Port {
    let axes = shape.iter().map(u64::to_string).collect();
    Port {
        name: name.into(),
        shape: shape.to_vec(),
        axes,
        at,
    }
}

fn launch(from: Place, to: Place) -> Launch {
    let label = "silu".to_string();
    Launch {
        kernel: 0,
        buffers: vec![from, to],
        lens: vec![24, 24],
        args: vec![6],
        tasks: 1,
        flops: 60,
        equation_flops: 60,
        bytes: 48,
        label,
    }
}

/// infer: y = silu(x), s = silu(w) folded at setup.
pub(crate) fn manifest() -> Manifest {
    let optimizer = WeightKind::Optimizer { of: "w".into() };
    Manifest {
        format: 1,
        abi: 1,
        compiler: "0.1.0".into(),
        source_hash: String::new(),
        model: Model {
            name: "Net".into(),
            doc: String::new(),
            parameters: BTreeMap::new(),
        },
        train: None,
        frozen: Default::default(),
        layouts: vec![],
        weights: vec![
            weight("w", &[2, 3], Init::Normal(0.0, 2.0), 0),
            weight("a.b", &[4], Init::Uniform(3.0, 4.0), 64),
            Weight {
                kind: optimizer,
                ..weight("adam.m.w", &[2, 3], Init::Constant(0.5), 128)
            },
        ],
        storage_bytes: 192,
        entries: vec![Entry {
            name: "infer".into(),
            profile: "small".into(),
            dims: BTreeMap::new(),
            inputs: vec![
                port("x", &[6], Place::Arena(0)),
                port("rate", &[], Place::Arena(128)),
            ],
            outputs: vec![
                port("y", &[6], Place::Arena(64)),
                port("s", &[2, 3], Place::Folded(0)),
            ],
            arena_bytes: 192,
            scratch_bytes: 64,
            flops: 60,
            launches: vec![launch(Place::Arena(0), Place::Arena(64))],
            setup: vec![launch(Place::Storage(0), Place::Folded(0))],
            folded_bytes: 64,
            field: None,
        }],
        kernels: vec![KernelInfo {
            name: "silu".into(),
            offset: 0,
            rows: vec![],
            anchor: "pointwise".into(),
        }],
        target: Target {
            name: "test".into(),
            form: CodeForm::Native,
            features: vec![],
            machine: Machine::default(),
        },
        code_hash: String::new(),
        consts_hash: String::new(),
    }
}

pub(crate) fn open(dir: &Path, manifest: Manifest, threads: usize) -> Result<Session> {
    let artifact = Artifact {
        manifest,
        code: SILU.to_vec(),
        consts: vec![],
        sources: vec![],
    };
    vsr_artifact::write(dir, &artifact)?;
    Session::open(
        dir,
        Options {
            threads,
            ..Options::default()
        },
    )
}

fn silu(x: &[f32]) -> Vec<f32> {
    x.iter().map(|x| vsr_kernels::maths::silu(*x)).collect()
}

#[cfg(target_arch = "x86_64")]
#[test]
fn machine_code_runs_and_memory_is_what_was_planned() {
    let dir = tempfile::tempdir().unwrap();
    let mut s = open(&dir.path().join("compiled"), manifest(), 2).unwrap();
    let infer = s.find("infer", "").unwrap();
    s.init_weights(1).unwrap();
    let x = [0.0, 1.0, -1.0, 20.0, -20.0, 0.5];
    s.run(infer, &[("x", &x)], 0, 0).unwrap();
    assert_eq!(s.output(infer, "y"), silu(&x));
    let w = s.weight("w").unwrap();
    assert_eq!(s.output(infer, "s"), silu(&w));
    let want = Bytes {
        storage: 192,
        consts: 0,
        arenas: 192,
        folded: 64,
        scratch: 128,
    };
    assert_eq!(s.bytes(), want);
}

#[cfg(target_arch = "x86_64")]
#[test]
fn folded_values_follow_the_weights() {
    let dir = tempfile::tempdir().unwrap();
    let mut s = open(&dir.path().join("compiled"), manifest(), 1).unwrap();
    s.init_weights(1).unwrap();
    for k in 0..3 {
        let w = [k as f32; 6];
        s.set_weight("w", &w).unwrap();
        s.run(0, &[("x", &[0.0; 6])], 0, 0).unwrap();
        assert_eq!(s.output(0, "s"), silu(&w));
    }
}

/// As `manifest`, with a weight of 4 MB that is folded and one of as much that runs read.
#[cfg(target_os = "linux")]
fn large() -> Manifest {
    const N: u64 = 1 << 20;
    let mut m = manifest();
    m.weights = vec![
        weight("w", &[N], Init::Normal(0.0, 2.0), 0),
        weight("v", &[N], Init::Uniform(3.0, 4.0), 4 * N),
    ];
    m.storage_bytes = 8 * N;
    let e = &mut m.entries[0];
    e.folded_bytes = 4 * N;
    e.arena_bytes = 4 * N + 256;
    e.outputs = vec![
        port("y", &[N], Place::Arena(256)),
        port("s", &[N], Place::Folded(0)),
    ];
    e.launches = vec![launch(Place::Storage(4 * N), Place::Arena(256))];
    for l in e.launches.iter_mut().chain(&mut e.setup) {
        l.args = vec![N as i64];
    }
    m
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
#[test]
fn folded_weights_are_given_back_until_they_are_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("w.safetensors");
    let mut whole = open(&dir.path().join("whole"), large(), 1).unwrap();
    whole.init_weights(7).unwrap();
    let [w, v] = ["w", "v"].map(|k| whole.weight(k).unwrap());
    whole
        .save_weights(&path, Scope::Model, &BTreeMap::new())
        .unwrap();

    let mut s = open(&dir.path().join("compiled"), large(), 2).unwrap();
    let x = [("x", &[0.0; 6][..])];
    let held = |s: &Session| s.bytes().storage as f64 / large().storage_bytes as f64;
    s.init_weights(7).unwrap();
    assert_eq!(held(&s), 1.0);
    for from_file in [false, true] {
        if from_file {
            s.load_weights(&path, Scope::Model).unwrap();
        }
        s.run(0, &x, 0, 0).unwrap();
        assert!((0.5..0.52).contains(&held(&s)), "{}", held(&s));
        s.run(0, &x, 0, 0).unwrap();
        assert!(s.output(0, "s") == silu(&w) && s.output(0, "y") == silu(&v));
        s.release(0);
        s.run(0, &x, 0, 0).unwrap();
        assert!(s.output(0, "s") == silu(&w) && s.output(0, "y") == silu(&v));
        assert!(s.weight("w").unwrap() == w && s.weight("v").unwrap() == v);
        assert_eq!(held(&s), 1.0);
    }
    // Numbers that are nowhere else stay, those of other weights with them.
    s.set_weight("v", &w).unwrap();
    s.run(0, &x, 0, 0).unwrap();
    assert_eq!(held(&s), 1.0);
    assert!(s.output(0, "s") == silu(&w) && s.output(0, "y") == silu(&w));
}

/// Weights that a training step folds but does not touch are in no file either, once the others have moved.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
#[test]
fn training_loses_no_weight_that_it_leaves_alone() {
    let dir = tempfile::tempdir().unwrap();
    let mut train = large();
    train.entries[0].name = "train".into();
    let mut s = open(&dir.path().join("compiled"), train, 1).unwrap();
    s.init_weights(7).unwrap();
    let [w, v] = ["w", "v"].map(|k| s.weight(k).unwrap());
    for step in 0..2 {
        s.run(0, &[("x", &[0.0; 6])], 0, step).unwrap();
        assert!(s.weight("w").unwrap() == w && s.weight("v").unwrap() == v);
        assert!(s.output(0, "s") == silu(&w));
    }
}

#[test]
fn a_new_weight_changes_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let mut a = open(&dir.path().join("a"), manifest(), 1).unwrap();
    let mut more = manifest();
    more.weights
        .insert(0, weight("new", &[16], Init::Normal(0.0, 1.0), 192));
    more.storage_bytes = 256;
    let mut b = open(&dir.path().join("b"), more, 1).unwrap();
    a.init_weights(5).unwrap();
    b.init_weights(5).unwrap();
    for key in ["w", "a.b", "adam.m.w"] {
        assert_eq!(a.weight(key).unwrap(), b.weight(key).unwrap());
        assert!(!a.weight(key).unwrap().is_empty());
    }
    assert!(
        a.weight("a.b")
            .unwrap()
            .iter()
            .all(|v| (3.0..4.0).contains(v))
    );
    assert_eq!(a.weight("adam.m.w").unwrap(), [0.5; 6]);
    b.init_weights(6).unwrap();
    assert_ne!(a.weight("w").unwrap(), b.weight("w").unwrap());
}

#[test]
fn files_hold_what_their_scope_says_and_faults_are_listed() {
    let dir = tempfile::tempdir().unwrap();
    let mut s = open(&dir.path().join("compiled"), manifest(), 1).unwrap();
    s.init_weights(5).unwrap();
    let (model, all) = (
        dir.path().join("model.safetensors"),
        dir.path().join("all.safetensors"),
    );
    s.save_weights(&model, Scope::Model, &BTreeMap::new())
        .unwrap();
    s.save_weights(
        &all,
        Scope::Everything,
        &BTreeMap::from([("epoch".into(), "3".into())]),
    )
    .unwrap();
    let before = s.weight("w").unwrap();
    s.init_weights(6).unwrap();
    s.load_weights(&model, Scope::Model).unwrap();
    assert_eq!(s.weight("w").unwrap(), before);
    assert_eq!(
        s.load_weights(&all, Scope::Everything).unwrap()["epoch"],
        "3"
    );
    s.load_weights(&all, Scope::Model).unwrap();

    let missing = s.load_weights(&model, Scope::Everything).unwrap_err();
    assert!(
        missing
            .to_string()
            .contains("missing (1):\n    adam.m.w [2, 3]")
    );
    let mut other = manifest();
    other.weights[0].shape = vec![3, 2];
    other.weights[1].key = "a.c".into();
    let mut t = open(&dir.path().join("other"), other, 1).unwrap();
    t.init_weights(1).unwrap();
    let kept = t.weight("w").unwrap();
    let text = t
        .load_weights(&model, Scope::Model)
        .unwrap_err()
        .to_string();
    for part in [
        "missing (1):\n    a.c [4]",
        "not in the network (1):\n    a.b",
        "w: [2, 3] in the file, [3, 2]",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(t.weight("w").unwrap(), kept);
}

#[test]
fn wrong_inputs_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut s = open(&dir.path().join("compiled"), manifest(), 1).unwrap();
    s.init_weights(1).unwrap();
    let fault = |r: Result<()>| r.unwrap_err().to_string();
    assert_eq!(fault(s.run(0, &[], 0, 0)), "the input x [6] is missing");
    assert_eq!(
        fault(s.run(0, &[("x", &[1.0])], 0, 0)),
        "the input x has shape [6], 6 numbers, not 1"
    );
    assert_eq!(
        fault(s.run(0, &[("z", &[1.0])], 0, 0)),
        "there is no input z; there are: x, rate"
    );
    assert!(
        s.find("train", "")
            .unwrap_err()
            .to_string()
            .ends_with("has no entry train; it has: infer (small)")
    );
    assert!(s.set_weight("w", &[1.0]).is_err() && s.set_weight("v", &[1.0]).is_err());
}

#[test]
fn plans_that_do_not_fit_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut outside = manifest();
    outside.weights[0].offset = 180;
    assert!(open(&dir.path().join("a"), outside, 1).is_err());
    let mut kernel = manifest();
    kernel.kernels[0].offset = 4000;
    assert!(open(&dir.path().join("b"), kernel, 1).is_err());
    let mut far = manifest();
    far.entries[0].launches[0].buffers[0] = Place::Arena(4096);
    assert!(open(&dir.path().join("c"), far, 1).is_err());
    // It begins inside and ends outside; it lies between two numbers.
    for place in [Place::Arena(176), Place::Arena(66), Place::Folded(64)] {
        let mut beside = manifest();
        beside.entries[0].launches[0].buffers[1] = place;
        assert!(open(&dir.path().join("e"), beside, 1).is_err(), "{place:?}");
        let mut port = manifest();
        port.entries[0].outputs[0].at = place;
        assert!(open(&dir.path().join("f"), port, 1).is_err(), "{place:?}");
    }
    let mut required = manifest();
    required.weights[0].init = Init::Required;
    let mut s = open(&dir.path().join("d"), required, 1).unwrap();
    assert!(
        s.run(0, &[("x", &[0.0; 6])], 0, 0)
            .unwrap_err()
            .to_string()
            .contains("--weights: w")
    );
}
