//! The text of one small kernel, as tile IR and as Cranelift's IR.

use super::cases::{bin, c, lit, mul, un, v};
use super::harness::kernel;
use crate::backend::clif::{Target, compile, text};
use crate::diag::context;
use crate::equation::{Binary, Unary};
use crate::tile::BufferKind::{In, Out};
use crate::tile::{Compute, Int, Kernel, Mode, Stmt, TaskAxis, To, Val, identity, lift, print};
use vsr_artifact::machine::Machine;

/// `y[i] = max(x[i], 0) · 0.5 + sqrt(b[0])`, a task for each row of 64.
fn relu(rows: i64) -> Kernel {
    let mut k = kernel("relu", &[In, Out, In]);
    k.tasks = vec![TaskAxis {
        var: 0,
        extent: c(rows),
        step: 1,
    }];
    let at = Int::Add(Box::new(mul(v(0), c(64))), Box::new(v(1)));
    let scaled = bin(
        Binary::Mul,
        bin(Binary::Max, Val::Buf(0, at.clone()), lit(0.0)),
        lit(0.5),
    );
    let value = bin(Binary::Add, scaled, un(Unary::Sqrt, Val::Buf(2, c(0))));
    let dims = vec![(1, c(64))];
    let compute = Compute {
        dims,
        reduce: None,
        value,
        to: To::Buf(1),
        at,
        bounds: vec![],
        mode: Mode::Store,
    };
    k.body = vec![Stmt::Compute(compute)];
    k
}

#[test]
fn tile_text() {
    let (lifted, args) = lift(&relu(100));
    assert_eq!(args, [100, 64]);
    insta::assert_snapshot!(print(&lifted));
}

#[test]
fn clif_text() {
    insta::assert_snapshot!(text(
        &[lift(&relu(100)).0],
        Target::X86_64V3,
        &Machine::default()
    ));
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
    for target in [Target::X86_64V3, Target::Portable] {
        let around = |i: usize| context(kernels[i].name.as_str());
        let first =
            compile(&kernels, target, &Machine::default(), &around).expect("there are threads");
        assert_eq!(
            first,
            compile(&kernels, target, &Machine::default(), &around).expect("there are threads")
        );
        assert!(first.offsets.iter().all(|o| o % 64 == 0));
        assert_eq!(first.offsets.len(), kernels.len());
    }
}
