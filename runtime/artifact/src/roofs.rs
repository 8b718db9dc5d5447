//! What a machine can do at most: multiply-adds and copied bytes a second, for each number of threads.
//!
//! `vsr-run bench --roofs` measures and writes it, `vsrc report` reads it to predict times before anything runs. A file
//! with impossible numbers is refused with a sentence; nothing is measured here.

use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Roofs {
    /// The machine, or the name of the defaults.
    pub machine: String,
    /// Vector level of the multiply-adds: `avx512`, `avx2`, `portable`.
    pub level: String,
    /// By number of threads, ascending.
    pub roofs: Vec<Roof>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Roof {
    pub threads: u64,
    /// Of all threads together.
    pub fma_gflops: f64,
    /// Read and written bytes, of all threads together.
    pub copy_gb_per_s: f64,
}

impl Roof {
    /// The least time in which the work can be done.
    pub fn seconds(&self, flops: u64, bytes: u64) -> f64 {
        let compute = flops as f64 / (1e9 * self.fma_gflops);
        compute.max(bytes as f64 / (1e9 * self.copy_gb_per_s))
    }
}

/// Nominal machines: cores x GHz x 32 operations a cycle (two 256-bit multiply-adds), and what their memory usually
/// copies.
pub const NAMED: [(&str, u64, f64, f64); 2] = [("laptop", 4, 3.0, 30.0), ("desktop", 8, 4.0, 40.0)];

/// The defaults of that name.
pub fn named(name: &str) -> Option<Roofs> {
    let (name, cores, gigahertz, copy) = NAMED.into_iter().find(|n| n.0 == name)?;
    let roof = |threads: u64| Roof {
        threads,
        fma_gflops: threads as f64 * gigahertz * 32.0,
        // Half of the cores fill the memory's channels.
        copy_gb_per_s: copy * (2.0 * threads as f64 / cores as f64).min(1.0),
    };
    Some(Roofs {
        machine: name.to_string(),
        level: "avx2".to_string(),
        roofs: (1..=cores).map(roof).collect(),
    })
}

/// `vsr/roofs.json` in the user's cache folder, if the system names one.
pub fn default_path() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty());
    let cache = folder("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| folder("HOME").map(|home| PathBuf::from(home).join(".cache")))
        .or_else(|| folder("LOCALAPPDATA").map(PathBuf::from))?;
    Some(cache.join("vsr").join("roofs.json"))
}

impl Roofs {
    /// Reads the text of a file that `vsr-run bench --roofs` wrote.
    pub fn parse(text: &str) -> Result<Roofs, String> {
        let roofs: Roofs = serde_json::from_str(text).map_err(|e| {
            format!("this is no list of roofs ({e}); `vsr-run bench --roofs` writes one")
        })?;
        let possible = |r: &Roof| {
            let positive = |x: f64| x.is_finite() && x > 0.0;
            r.threads > 0 && positive(r.fma_gflops) && positive(r.copy_gb_per_s)
        };
        let rising = roofs.roofs.windows(2).all(|w| w[0].threads < w[1].threads);
        if roofs.roofs.is_empty() || !rising || !roofs.roofs.iter().all(possible) {
            return Err(
                "its numbers are not possible; measure again with `vsr-run bench --roofs`"
                    .to_string(),
            );
        }
        Ok(roofs)
    }

    pub fn read(path: &Path) -> Result<Roofs, String> {
        let text = std::fs::read_to_string(path).map_err(|e| e.to_string())?;
        Roofs::parse(&text)
    }

    pub fn text(&self) -> String {
        serde_json::to_string_pretty(self).expect("roofs are plain data") + "\n"
    }

    /// The roof of that many threads; without a number, of the most.
    pub fn of(&self, threads: Option<u64>) -> Option<Roof> {
        match threads {
            None => self.roofs.last().copied(),
            Some(n) => self.roofs.iter().find(|r| r.threads == n).copied(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let roofs = named("laptop").unwrap();
        assert_eq!(Roofs::parse(&roofs.text()).unwrap(), roofs);
        assert_eq!(roofs.of(None).unwrap().fma_gflops, 4.0 * 3.0 * 32.0);
        assert_eq!(roofs.of(Some(1)).unwrap().copy_gb_per_s, 15.0);
        assert_eq!(roofs.of(Some(99)), None);
        assert_eq!(named("abacus"), None);
    }

    #[test]
    fn the_tighter_roof_counts() {
        let roof = Roof {
            threads: 1,
            fma_gflops: 100.0,
            copy_gb_per_s: 10.0,
        };
        assert_eq!(roof.seconds(100_000_000_000, 1), 1.0);
        assert_eq!(roof.seconds(1, 20_000_000_000), 2.0);
    }

    #[test]
    fn impossible_roofs_are_refused() {
        let mut roofs = named("desktop").unwrap();
        roofs.roofs[0].fma_gflops = 0.0;
        assert!(
            Roofs::parse(&roofs.text())
                .unwrap_err()
                .contains("not possible")
        );
        assert!(Roofs::parse("{").unwrap_err().contains("no list of roofs"));
        assert!(Roofs::parse("{\"machine\":\"m\",\"level\":\"avx2\",\"roofs\":[]}").is_err());
    }
}
