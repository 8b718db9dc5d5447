//! The text of one small kernel, as tile IR and as Cranelift's IR.

use super::cases::parsed;
use crate::backend::{KernelPlace, Target};
use crate::diag::context;
use crate::tile::{Kernel, identity, lift, print};
use vsr_artifact::machine::Machine;

/// `y[i] = max(x[i], 0) · 0.5 + sqrt(b[0])`, a task for each row of 64.
fn relu(rows: i64) -> Kernel {
    parsed(&format!(
        "kernel relu {{
           in b0
           out b1
           in b2
           task v0 in 0..{rows} by 1
           b1[v0*64+v1] = ((max(b0[v0*64+v1], 0) * 0.5) + sqrt(b2[0])) for v1:64
         }}"
    ))
}

#[test]
fn tile_text() {
    let (lifted, args) = lift(&relu(100));
    assert_eq!(args, [100, 64]);
    insta::assert_snapshot!(print(&lifted));
}

#[test]
fn clif_text() {
    let backend = Target::X86_64V3.backend();
    insta::assert_snapshot!(backend.text(&[lift(&relu(100)).0], &Machine::default()));
}

#[test]
fn one_body_for_one_shape() {
    let mut other = relu(200);
    other.name = "other".into();
    other.buffers[0].name = "renamed".into();
    let (a, b) = (lift(&relu(300)).0, lift(&other).0);
    assert_ne!(a, b);
    assert_eq!(
        identity(&a),
        identity(&lift(&relu(100)).0),
        "300 and 100 are multiples of 4"
    );
    assert_ne!(identity(&a), identity(&b), "200 is a multiple of 8");
}

#[test]
fn the_same_bytes_every_time_and_no_relocations() {
    let kernels: Vec<Kernel> = (1..9).map(|i| relu(i * 32)).collect();
    for target in Target::ALL {
        let around = |i: usize| context(kernels[i].name.as_str());
        let compile = || {
            let code = target
                .backend()
                .compile(&kernels, &Machine::default(), &around);
            code.expect("there are threads")
        };
        let first = compile();
        assert_eq!(first, compile());
        let is_aligned = |k: &KernelPlace| k.offset.is_multiple_of(64);
        assert!(target == Target::Interpreter || first.kernels.iter().all(is_aligned));
        assert_eq!(first.kernels.len(), kernels.len());
    }
}
