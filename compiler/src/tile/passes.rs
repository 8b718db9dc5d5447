//! The passes over tile programs: what every back end and `--emit tile` see.
//!
//! Enters a kernel with the arguments of one of its launches, by which it is verified; leaves one that computes the same numbers.
//! No pass knows a target, and none looks at a size: only at what is known of an argument, and at the machine.

use super::coalesce::coalesce;
use super::interchange::interchange;
use super::software_pipeline::software_pipeline;
use super::{Compute, Kernel, Stmt, print, verify};
use crate::pass_manager::{Ir, Pass};
use vsr_artifact::machine::Machine;

/// A kernel, and one of its launches.
pub struct LaunchedKernel {
    pub kernel: Kernel,
    pub args: Vec<i64>,
    /// Elements of each buffer.
    pub lens: Vec<i64>,
    pub machine: Machine,
}

impl Ir for LaunchedKernel {
    const NAME: &'static str = "tile";

    fn verify(&self) -> Result<(), String> {
        verify(&self.kernel, &self.args, &self.lens)
            .map(|_| ())
            .map_err(|flaws| flaws.join("; "))
    }

    fn text(&self) -> String {
        print(&self.kernel)
    }
}

pub const PASSES: &[Pass<LaunchedKernel>] = &[
    Pass {
        name: "software-pipeline",
        needs: &[],
        why: "does the next row's first reduction before this row's last statement; first, while rows are as they were built",
        run: |launched| software_pipeline(&mut launched.kernel, &launched.machine),
    },
    Pass {
        name: "coalesce",
        needs: &["software-pipeline"],
        why: "joins loops that walk memory like one; behind software-pipeline, which makes statements",
        run: |launched| {
            let args = launched.kernel.args.clone();
            for_each_compute(&mut launched.kernel.body, &mut |c| coalesce(c, &args));
        },
    },
    Pass {
        name: "interchange",
        needs: &["coalesce"],
        why: "puts a long loop inside of a short one, for whole vectors; behind coalesce, which may make the short one long",
        run: |launched| {
            let machine = launched.machine;
            for_each_compute(&mut launched.kernel.body, &mut |c| interchange(c, &machine));
        },
    },
];

fn for_each_compute(body: &mut [Stmt], f: &mut impl FnMut(&mut Compute)) {
    for stmt in body {
        match stmt {
            Stmt::For { body, .. } | Stmt::If { body, .. } => for_each_compute(body, f),
            Stmt::Compute(compute) => f(compute),
            Stmt::Let { .. } | Stmt::Rows { .. } | Stmt::Contract(_) => {}
        }
    }
}
