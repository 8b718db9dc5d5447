//! One network, planned for machines that have little in common: the same bits from each.
//!
//! That the bits are right is told by the tests against PyTorch, which run on what is planned for the default.

use crate::native::{goldens_of_ops, inputs, run, set_weights, trained};
use vsr_artifact::machine::Machine;
use vsr_compiler::backend::Target;
use vsr_compiler::pipeline::Destination;
use vsr_tests::{Golden, artifact_on, golden, open_artifact};

fn planned_for(machine: Machine) -> Destination {
    Destination {
        target: Target::X86_64V3,
        machine,
    }
}

/// Short vectors, short lines and small caches; two cores without a common cache; many threads.
fn machines() -> [Machine; 3] {
    let default = Machine::default();
    let small = Machine {
        vector_bits: 128,
        line_bytes: 16,
        l1_bytes: 16 << 10,
        l2_bytes: 256 << 10,
        l3_bytes: 0,
        ..default
    };
    let apart = Machine {
        threads: 2,
        l3_bytes: 0,
        l3_threads: 1,
        ..default
    };
    let many = Machine {
        threads: 64,
        vector_bits: 512,
        line_bytes: 128,
        l1_bytes: 64 << 10,
        l2_bytes: 2 << 20,
        l3_bytes: 256 << 20,
        l3_threads: 64,
        min_parallel_cost: 0,
    };
    [small, apart, many]
}

/// Every weight and state behind two steps of training.
fn bits(machine: Machine, golden: &Golden) -> Vec<Vec<u32>> {
    let mut set = golden.settings("set");
    set.extend(golden.settings("dims"));
    let on = planned_for(machine);
    let artifact = artifact_on(on, &golden.about["source"], &["train"], &set);
    assert_eq!(artifact.manifest.target.machine, machine);
    trained(&mut open_artifact(&artifact, 3), golden)
}

#[test]
fn the_flagship_trains_to_the_same_bits_on_every_machine() {
    for name in ["vsr-deform.safetensors", "vsr-plain.safetensors"] {
        let golden = golden(name);
        let expected = bits(Machine::default(), &golden);
        assert!(!expected.is_empty());
        for machine in machines() {
            let same = bits(machine, &golden) == expected;
            assert!(same, "{name} has other weights on {machine:?}");
        }
    }
}

/// Another plan, or the description says nothing.
#[test]
fn machines_have_plans_of_their_own() {
    let golden = golden("vsr-deform.safetensors");
    let mut set = golden.settings("set");
    set.extend(golden.settings("dims"));
    let code = |machine| {
        let on = planned_for(machine);
        artifact_on(on, &golden.about["source"], &["train"], &set).code
    };
    let mut codes = vec![code(Machine::default())];
    codes.extend(machines().map(code));
    for (i, code) in codes.iter().enumerate() {
        assert!(!codes[..i].contains(code), "machine {i} changes no kernel");
    }
}

#[test]
fn every_op_has_the_same_bits_on_every_machine() {
    let result = |machine: Machine, golden: &Golden| {
        let set = golden.settings("set");
        let on = planned_for(machine);
        let artifact = artifact_on(on, &golden.about["source"], &["case"], &set);
        let mut opened = open_artifact(&artifact, 2);
        set_weights(&mut opened, &golden.under("weight."));
        let entry = opened.session.find("infer", "case").expect("the entry");
        let given = inputs(golden, &opened, entry);
        run(&mut opened, entry, &given, 0);
        let name = &artifact.manifest.entries[entry].outputs[0].name;
        let bits = opened.session.output(entry, name).iter();
        bits.map(|v| v.to_bits()).collect::<Vec<u32>>()
    };
    for file in goldens_of_ops() {
        let golden = golden(&format!("ops/{file}"));
        let expected = result(Machine::default(), &golden);
        for machine in machines() {
            let same = result(machine, &golden) == expected;
            assert!(same, "{file} has other bits on {machine:?}");
        }
    }
}
