//! The end of the stage `lower`: the kernels of all entries, each once.
//!
//! Enters plans; leaves their kernels lifted, rewritten by the tile passes, in order of first use, and for each launch which of
//! them it calls, and with which arguments. Kernels of one shape are one kernel, whatever their sizes. Nothing is planned here,
//! and no plan changes.

use crate::diag::{self, Span};
use crate::pass_manager::PassManager;
use crate::schedule::{EntryPlan, LaunchPlan};
use crate::tile::{self, Kernel, LaunchedKernel};
use std::collections::{BTreeMap, HashMap};
use vsr_artifact::machine::Machine;
use vsr_artifact::manifest::Field;

/// One entry with what the plan does not know.
pub struct PlannedEntry {
    pub name: String,
    pub profile: String,
    pub dims: BTreeMap<String, i64>,
    pub plan: EntryPlan,
    /// Names of the axes of every input and output.
    pub axes: BTreeMap<String, Vec<String>>,
    pub field: Option<Field>,
}

/// Kernels of all entries, and who calls them.
#[derive(Default)]
pub struct LoweredKernels {
    pub kernels: Vec<Kernel>,
    pub origins: Vec<KernelOrigin>,
    /// In the order of the plans.
    pub entries: Vec<EntryCalls>,
    /// What all of them are planned for.
    pub machine: Machine,
}

/// Of a kernel's first launch.
pub struct KernelOrigin {
    pub label: String,
    /// Where the text says it.
    pub span: Option<Span>,
    pub anchor: &'static str,
}

/// In the order of an entry's launches.
pub struct EntryCalls {
    pub setup: Vec<KernelCall>,
    pub launches: Vec<KernelCall>,
}

pub struct KernelCall {
    /// Number among the kernels.
    pub kernel: u32,
    pub args: Vec<i64>,
}

pub fn lower(plans: &[PlannedEntry], manager: &mut PassManager) -> LoweredKernels {
    let (mut lowered, mut known) = (LoweredKernels::default(), HashMap::new());
    for planned in plans {
        lowered.machine = planned.plan.machine;
        let mut call = |launch| lowered.call(launch, &mut known, manager);
        let calls = EntryCalls {
            setup: planned.plan.setup.iter().map(&mut call).collect(),
            launches: planned.plan.launches.iter().map(&mut call).collect(),
        };
        lowered.entries.push(calls);
    }
    lowered
}

impl LoweredKernels {
    fn call(
        &mut self,
        launch: &LaunchPlan,
        known: &mut HashMap<[u8; 32], u32>,
        manager: &mut PassManager,
    ) -> KernelCall {
        let _context = diag::kernel(&launch.label, launch.span);
        let (kernel, args) = tile::lift(&launch.kernel);
        let next = self.kernels.len() as u32;
        let number = *known.entry(tile::identity(&kernel)).or_insert(next);
        if number == next {
            let mut launched = LaunchedKernel {
                kernel,
                args: args.clone(),
                lens: launch.lens.iter().map(|n| *n as i64).collect(),
                machine: self.machine,
            };
            manager.run(&mut launched, tile::PASSES);
            self.kernels.push(launched.kernel);
            self.origins.push(KernelOrigin {
                label: launch.label.clone(),
                span: launch.span,
                anchor: launch.anchor,
            });
        }
        KernelCall {
            kernel: number,
            args,
        }
    }

    /// What a user knows of a kernel, for whoever works on it.
    pub fn context(&self, kernel: usize) -> diag::Context {
        let origin = &self.origins[kernel];
        diag::kernel(&origin.label, origin.span)
    }
}
