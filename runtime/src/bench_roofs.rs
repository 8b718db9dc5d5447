//! `bench --roofs`: what this machine can do at most, for every useful number of threads, as a file for `vsrc report`.
//!
//! Enters nothing but the machine; leaves numbers. No network is read or run.

use crate::device::cpu::n_threads_for;
use crate::device::{self, Options};
use crate::error::{Error, Result};
use crate::files;
use crate::yardstick;
use std::fmt::Write;
use std::path::PathBuf;
use vsr_artifact::roofs::{self, Roof, Roofs};

/// One thread, powers of two, and the most: `--threads`, or every core.
fn counts(most: usize) -> Vec<usize> {
    let mut counts: Vec<usize> = std::iter::successors(Some(1), |n| Some(2 * n))
        .take_while(|n| *n < most)
        .collect();
    counts.push(most);
    counts
}

/// Measures a device with up to as many threads as are asked for.
pub fn measure(options: &Options) -> Result<Roofs> {
    let device = |threads| {
        device::open(&Options {
            threads,
            ..options.clone()
        })
    };
    let roof = |n: usize| {
        let (peak, copy) = yardstick::machine(&mut *device(n)?)?;
        Ok(Roof {
            threads: n as u64,
            fma_gflops: peak / 1e9,
            copy_gb_per_s: copy / 1e9,
        })
    };
    let most = n_threads_for(options.threads);
    Ok(Roofs {
        machine: processor().unwrap_or_else(|| "this machine".to_string()),
        level: device(1)?.level().to_string(),
        roofs: counts(most).into_iter().map(roof).collect::<Result<_>>()?,
    })
}

/// The processor's name, where the system tells it.
fn processor() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|l| l.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_string())
}

/// Writes to `path`, or to the user's cache folder; tells where.
pub fn save(roofs: &Roofs, path: Option<PathBuf>) -> Result<PathBuf> {
    let path = path.or_else(roofs::default_path).ok_or_else(|| {
        Error::user("this system names no cache folder: give the file, `--roofs FILE`")
    })?;
    if path.is_file() && Roofs::read(&path).is_err() {
        let why = "is there, and holds no roofs that could be replaced: give another FILE";
        return Err(Error::file(&path, why));
    }
    files::write_whole(&path, &[roofs.text().as_bytes()])?;
    Ok(path)
}

pub fn text(roofs: &Roofs) -> String {
    let mut out = format!("{}, {}\n", roofs.machine, roofs.level);
    let _ = writeln!(
        out,
        "{:>8} {:>12} {:>12}",
        "threads", "GFLOP/s", "copy GB/s"
    );
    for r in &roofs.roofs {
        let _ = writeln!(
            out,
            "{:>8} {:>12.1} {:>12.1}",
            r.threads, r.fma_gflops, r.copy_gb_per_s
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thread_counts_rise_to_the_most() {
        assert_eq!(counts(1), [1]);
        assert_eq!(counts(2), [1, 2]);
        assert_eq!(counts(6), [1, 2, 4, 6]);
        assert_eq!(counts(8), [1, 2, 4, 8]);
    }

    #[test]
    fn what_is_measured_is_possible_and_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let measured = measure(&Options::default()).unwrap();
        let path = save(&measured, Some(dir.path().join("a/roofs.json"))).unwrap();
        let read = Roofs::read(&path).unwrap();
        let near = |a: f64, b: f64| (a - b).abs() <= 1e-12 * b;
        assert_eq!(
            (&read.machine, &read.level),
            (&measured.machine, &measured.level)
        );
        assert_eq!(read.roofs.len(), measured.roofs.len());
        let pairs = read.roofs.iter().zip(&measured.roofs);
        assert!(pairs.into_iter().all(|(a, b)| a.threads == b.threads
            && near(a.fma_gflops, b.fma_gflops)
            && near(a.copy_gb_per_s, b.copy_gb_per_s)));
        assert!(text(&measured).contains("GFLOP/s"));
        save(&measured, Some(path.clone())).unwrap();
        std::fs::write(&path, "a film, by mistake").unwrap();
        let refused = save(&measured, Some(path.clone())).unwrap_err();
        assert_eq!(refused.exit_code(), 1, "{refused}");
        assert_eq!(std::fs::read(&path).unwrap(), b"a film, by mistake");
    }
}
