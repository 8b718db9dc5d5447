//! `bench`: the time of every launch of an entry, beside what this machine can do at most, measured in the same run.

use crate::device::cpu::n_cores;
use crate::error::Result;
use crate::session::Session;
use crate::yardstick;
use serde::Serialize;
use std::fmt::Write;
use std::time::Instant;
use vsr_kernels::{Level, philox};

#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub model: String,
    pub entry: String,
    pub profile: String,
    pub threads: usize,
    pub level: &'static str,
    /// Of all threads together, in this run.
    pub peak_gflops: f64,
    pub copy_gb_per_s: f64,
    /// Programs that wanted a core over the last minute, ours among them; where the system says so.
    pub load: Option<f64>,
    /// Best time of a whole run.
    pub seconds: f64,
    /// What kernels do: less than the equations say, where Winograd saves products.
    pub gflop: f64,
    pub equation_gflop: f64,
    /// Of what kernels do.
    pub share_of_peak: f64,
    pub launches: Vec<Line>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Line {
    pub label: String,
    pub kernel: String,
    pub anchor: String,
    /// Best of the repeats.
    pub seconds: f64,
    pub gflop: f64,
    pub equation_gflop: f64,
    pub bytes: u64,
    pub share_of_peak: f64,
    pub share_of_copy: f64,
}

/// Runs the entry `repeats` times on noise.
pub fn bench(session: &mut Session, entry: usize, repeats: usize, seed: u64) -> Result<Report> {
    let plan = session.manifest().entries[entry].clone();
    let kernels = session.manifest().kernels.clone();
    let data: Vec<Vec<f32>> = plan
        .inputs
        .iter()
        .map(|p| noise(&p.name, &p.shape, seed))
        .collect();
    let inputs: Vec<(&str, &[f32])> = plan
        .inputs
        .iter()
        .zip(&data)
        .map(|(p, d)| (p.name.as_str(), d.as_slice()))
        .collect();
    let peak = session.device().peak_flops()?;
    session.run(entry, &inputs, seed, 0)?;
    let mut copy = yardstick::Copy::new(session.device())?;
    copy.run(session.device())?;
    let (mut whole, mut each) = (f64::INFINITY, vec![f64::INFINITY; plan.launches.len()]);
    for _ in 0..repeats.max(1) {
        copy.run(session.device())?;
        let start = Instant::now();
        session.run(entry, &inputs, seed, 0)?;
        whole = whole.min(start.elapsed().as_secs_f64());
        for (best, time) in each
            .iter_mut()
            .zip(session.run_timed(entry, &inputs, seed, 0)?)
        {
            *best = best.min(time.as_secs_f64());
        }
    }
    let copy = copy.bandwidth();
    let lines = plan.launches.iter().zip(&each).map(|(l, seconds)| Line {
        label: l.label.clone(),
        kernel: kernels[l.kernel as usize].name.clone(),
        anchor: kernels[l.kernel as usize].anchor.clone(),
        seconds: *seconds,
        gflop: l.flops as f64 / 1e9,
        equation_gflop: l.equation_flops as f64 / 1e9,
        bytes: l.bytes,
        share_of_peak: l.flops as f64 / seconds / peak,
        share_of_copy: l.bytes as f64 / seconds / copy,
    });
    let done: u64 = plan.launches.iter().map(|l| l.flops).sum();
    Ok(Report {
        model: session.manifest().model.name.clone(),
        threads: session.device().n_threads(),
        level: session.device().level(),
        peak_gflops: peak / 1e9,
        copy_gb_per_s: copy / 1e9,
        load: load(),
        seconds: whole,
        gflop: done as f64 / 1e9,
        equation_gflop: plan.flops as f64 / 1e9,
        share_of_peak: done as f64 / whole / peak,
        launches: lines.collect(),
        entry: plan.name,
        profile: plan.profile,
    })
}

fn noise(name: &str, shape: &[u64], seed: u64) -> Vec<f32> {
    let mut values = vec![0.0; shape.iter().product::<u64>() as usize];
    match name {
        // The source's own learning rate.
        "rate" => values.fill(-1.0),
        "step" | "epoch" => {}
        _ => philox::fill(Level::detect(), &mut values, seed, 0, 1, false, 0),
    }
    values
}

fn load() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    text.split(' ').next()?.parse().ok()
}

/// The launches that take longest, then the whole.
pub fn text(r: &Report, shown: usize) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{} {} ({}): {:.2} ms, {:.2} GFLOP, {:.0} GFLOP/s, {:.0} % of peak, for {:.2} GFLOP of equations",
        r.model,
        r.entry,
        r.profile,
        r.seconds * 1e3,
        r.gflop,
        r.gflop / r.seconds,
        100.0 * r.share_of_peak,
        r.equation_gflop
    );
    let _ = writeln!(
        out,
        "this machine, {} threads, {}: {:.0} GFLOP/s, copies {:.1} GB/s\n",
        r.threads, r.level, r.peak_gflops, r.copy_gb_per_s
    );
    let cores = n_cores() as f64;
    if let Some(load) = r.load.filter(|l| *l > 1.5 * cores) {
        let _ = writeln!(
            out,
            "note: other programs are running (load {load:.1} on {cores} cores): times are too long\n"
        );
    }
    let _ = writeln!(
        out,
        "{:>9} {:>6} {:>8} {:>6} {:>9} {:>6}  launch",
        "us", "time", "MFLOP", "peak", "kB", "copy"
    );
    let total: f64 = r.launches.iter().map(|l| l.seconds).sum();
    let mut order: Vec<&Line> = r.launches.iter().collect();
    order.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    for l in order.iter().take(shown) {
        let _ = writeln!(
            out,
            "{:9.1} {:4.1} % {:8.1} {:4.0} % {:9.1} {:4.0} %  {} [{}]",
            l.seconds * 1e6,
            100.0 * l.seconds / total,
            l.gflop * 1e3,
            100.0 * l.share_of_peak,
            l.bytes as f64 / 1e3,
            100.0 * l.share_of_copy,
            l.label,
            l.kernel
        );
    }
    if order.len() > shown {
        let _ = writeln!(out, "and {} more; --all shows them", order.len() - shown);
    }
    out
}
