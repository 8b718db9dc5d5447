//! `--emit schedule`: one line a kernel, its fused members under it, and the kernels that read their results with why they are others.

use super::plan::{EntryPlan, LaunchPlan};
use std::collections::BTreeMap;
use std::fmt::Write;

pub fn print(name: &str, plan: &EntryPlan) -> String {
    let mut text = format!(
        "entry {name}: arena {} bytes, folded {} bytes, {} kernels\n",
        plan.arena_bytes,
        plan.folded_bytes,
        plan.launches.len()
    );
    let all = plan.setup.iter().chain(&plan.launches);
    let labels = all.filter_map(|l| Some((l.group?, l.label.as_str())));
    let labels: BTreeMap<usize, &str> = labels.collect();
    for (part, launches) in [("setup", &plan.setup), ("run", &plan.launches)] {
        for launch in launches {
            line(&mut text, part, launch);
            for (reader, refusal) in &launch.apart {
                let (reader, why) = (labels[reader], refusal.name());
                let _ = writeln!(text, "      apart from {reader}: {why}");
            }
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
