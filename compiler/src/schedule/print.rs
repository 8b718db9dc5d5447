//! `--emit schedule`: one line a kernel, its fused members under it.

use super::plan::{EntryPlan, LaunchPlan};
use std::fmt::Write;

pub fn print(name: &str, plan: &EntryPlan) -> String {
    let mut text = format!(
        "entry {name}: arena {} bytes, folded {} bytes, {} kernels\n",
        plan.arena_bytes,
        plan.folded_bytes,
        plan.launches.len()
    );
    for (part, launches) in [("setup", &plan.setup), ("run", &plan.launches)] {
        for launch in launches {
            line(&mut text, part, launch);
        }
    }
    text
}

fn line(text: &mut String, part: &str, l: &LaunchPlan) {
    let _ = writeln!(
        text,
        "  {part} {:<12} {} tasks {} flops {}",
        l.anchor, l.label, l.tasks, l.flops
    );
    for member in &l.members {
        let _ = writeln!(text, "      {member}");
    }
}
