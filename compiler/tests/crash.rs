//! Where vsrc itself fails, one sentence says so: with the kernel, its line in the text, and what to do. Kernels are broken
//! here, once each plan is made: before, and after, there is nothing to break from outside.

mod sema;

use sema::Files;
use vsr_compiler::assemble::Header;
use vsr_compiler::backend::Target;
use vsr_compiler::diag::{self, Problems};
use vsr_compiler::pass_manager::PassManager;
use vsr_compiler::schedule::{EntryPlan, WeightTable};
use vsr_compiler::sema::{Loader, Options};
use vsr_compiler::{pipeline, stack};

const TEXT: &str = "
model Net()(x: [B, 3, H, W]) {
  a = x |> Conv2d(4) @head
  exp(a)
}

profile picture { B = 1  H = 8  W = 8 }
";

/// What is said where all of the network's kernels are changed so before there is code.
fn said(broken: impl Fn(&mut EntryPlan) + Send + Sync) -> String {
    let work = || stack::deep(|| compile(&broken)).expect("there is a thread");
    match diag::catch(work) {
        Ok(n_bytes) => format!("{n_bytes} bytes of code"),
        Err(crash) => crash.to_string(),
    }
}

fn compile(broken: &impl Fn(&mut EntryPlan)) -> usize {
    let (mut files, mut problems) = (Files::default(), Problems::new());
    let mut manager = PassManager::default();
    files.texts.insert("net.vsr".into(), TEXT.into());
    let options = Options {
        name: None,
        profiles: vec![],
        set: vec![],
    };
    let _text = diag::context("net.vsr");
    let made = pipeline::graphs(&mut files, "net.vsr", &options, &mut manager, &mut problems);
    let made = made.unwrap_or_else(|| panic!("{}", problems.render(files.sources())));
    let _sources = diag::among(files.sources());
    let mut weights = WeightTable::declared(&made.weights);
    let [entry] = &made.entries[..] else {
        panic!("one model has one entry")
    };
    let mut planned = pipeline::plan(entry, &mut weights, |rules| rules, &mut manager);
    broken(&mut planned.plan);
    let made = pipeline::link(
        Header::default(),
        &weights,
        vec![planned],
        Target::X86_64V3,
        &mut manager,
    );
    made.expect("there are threads").code.len()
}

/// One test: a process has one hook.
#[test]
fn a_fault_in_a_kernel_names_its_line() {
    assert!(said(|_| ()).ends_with("bytes of code"));
    let without_buffers = |plan: &mut EntryPlan| {
        plan.launches
            .iter_mut()
            .for_each(|l| l.kernel.buffers.clear())
    };
    let without_variables = |plan: &mut EntryPlan| {
        for launch in &mut plan.launches {
            launch.kernel.tasks.clear();
        }
    };
    let with_one_buffer = |plan: &mut EntryPlan| {
        plan.launches
            .iter_mut()
            .for_each(|l| l.kernel.buffers.truncate(1))
    };
    let kinds: [&(dyn Fn(&mut EntryPlan) + Send + Sync); 3] =
        [&without_buffers, &without_variables, &with_one_buffer];
    for (i, broken) in kinds.into_iter().enumerate() {
        let said = said(broken);
        let line = said.lines().next().unwrap_or_default();
        assert_eq!(line, said, "kind {i}: one sentence");
        assert!(
            said.starts_with("vsrc failed in kernel "),
            "kind {i}: {said}"
        );
        for part in [
            " at net.vsr:",
            " in net.vsr, which is a fault of vsrc",
            "please report this line",
            "compiler/src/",
        ] {
            assert!(said.contains(part), "kind {i}: no `{part}` in {said}");
        }
    }
}
