//! The processor that an artifact is planned for: what its plans depend on, in one description.
//!
//! Enters JSON, or nothing; leaves sizes. The machine that compiles is never looked at, so the same source and the same
//! description give the same bytes everywhere. A description decides how work is cut into tasks, tiles and passes, and by which
//! instructions rows are stored. It changes no bit of any result: what does, is chosen by the text and its extents alone.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Sizes in bytes of one core's caches, and of the last one, which cores share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Machine {
    /// Threads that run one network.
    pub threads: i64,
    /// Width of a vector register: 128, 256 or 512.
    pub vector_bits: i64,
    pub line_bytes: i64,
    pub l1_bytes: i64,
    pub l2_bytes: i64,
    /// 0: there is none.
    pub l3_bytes: i64,
    /// Threads that share one third-level cache.
    pub l3_threads: i64,
    /// Flops and bytes below which a launch is done before another thread is awake.
    pub min_parallel_cost: i64,
}

/// A server's core of the last ten years.
impl Default for Machine {
    fn default() -> Machine {
        Machine {
            threads: 4,
            vector_bits: 256,
            line_bytes: 64,
            l1_bytes: 32 << 10,
            l2_bytes: 1 << 20,
            l3_bytes: 32 << 20,
            l3_threads: 2,
            min_parallel_cost: 40_000,
        }
    }
}

/// `4 threads, 256-bit vectors, lines of 64 B, caches of 32 KiB, 1 MiB and 32 MiB (2 threads each)`
impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (l1, l2) = (bytes(self.l1_bytes), bytes(self.l2_bytes));
        write!(
            f,
            "{} threads, {}-bit vectors, lines of {}, caches of {l1}",
            self.threads,
            self.vector_bits,
            bytes(self.line_bytes)
        )?;
        match self.l3_bytes {
            0 => write!(f, " and {l2}"),
            l3 => write!(
                f,
                ", {l2} and {} ({} threads each)",
                bytes(l3),
                self.l3_threads
            ),
        }
    }
}

fn bytes(n: i64) -> String {
    match n {
        n if n % (1 << 20) == 0 => format!("{} MiB", n >> 20),
        n if n % (1 << 10) == 0 => format!("{} KiB", n >> 10),
        n => format!("{n} B"),
    }
}

impl Machine {
    /// Elements of a cache line.
    pub fn line(&self) -> i64 {
        self.line_bytes / 4
    }

    /// Elements of a vector register.
    pub fn vector(&self) -> i64 {
        self.vector_bits / 32
    }

    /// Elements that the first-level cache holds.
    pub fn l1(&self) -> i64 {
        self.l1_bytes / 4
    }

    pub fn l2(&self) -> i64 {
        self.l2_bytes / 4
    }

    /// Elements that some cache holds.
    pub fn last_level(&self) -> i64 {
        self.l2_bytes.max(self.l3_bytes) / 4
    }

    /// Whether what one thread has written may lie in a cache that another does not see.
    pub fn has_split_caches(&self) -> bool {
        self.l3_bytes == 0 || self.l3_threads < self.threads
    }

    /// From JSON; fields that are left out are the default's.
    ///
    /// # Errors
    /// Says what is no description, or which field cannot be so.
    pub fn from_json(text: &str) -> Result<Machine, String> {
        let machine: Machine = serde_json::from_str(text).map_err(|e| e.to_string())?;
        machine.validate()?;
        Ok(machine)
    }

    /// As [`Machine::from_json`] reads it: a field a line.
    pub fn to_json(&self) -> String {
        let text = serde_json::to_string_pretty(self).expect("numbers are JSON");
        text + "\n"
    }

    /// The first field that no processor has so.
    pub fn validate(&self) -> Result<(), String> {
        let is_power = |n: i64| n > 0 && n & (n - 1) == 0;
        let (kib, gib) = (1 << 10, 1 << 30);
        let rules = [
            (
                (1..=4096).contains(&self.threads),
                "`threads` is from 1 to 4096",
            ),
            (
                [128, 256, 512].contains(&self.vector_bits),
                "`vector_bits` is 128, 256 or 512",
            ),
            (
                (16..=1024).contains(&self.line_bytes) && is_power(self.line_bytes),
                "`line_bytes` is a power of two from 16 to 1024",
            ),
            (
                (4 * kib..=gib).contains(&self.l1_bytes),
                "`l1_bytes` is from 4 KiB to 1 GiB",
            ),
            (
                (self.l1_bytes..=gib).contains(&self.l2_bytes),
                "`l2_bytes` is from `l1_bytes` to 1 GiB",
            ),
            (
                self.l3_bytes == 0 || (self.l2_bytes..=64 * gib).contains(&self.l3_bytes),
                "`l3_bytes` is 0, or from `l2_bytes` to 64 GiB",
            ),
            (
                (1..=4096).contains(&self.l3_threads),
                "`l3_threads` is from 1 to 4096",
            ),
            (
                (0..=1 << 40).contains(&self.min_parallel_cost),
                "`min_parallel_cost` is from 0 to 2^40",
            ),
        ];
        match rules.iter().find(|(holds, _)| !holds) {
            Some((_, rule)) => Err(rule.to_string()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_the_default() {
        let few = Machine::from_json(r#"{"threads": 2, "l3_bytes": 0}"#).expect("it is one");
        let expected = Machine {
            threads: 2,
            l3_bytes: 0,
            ..Machine::default()
        };
        assert_eq!(few, expected);
        assert_eq!(Machine::from_json(&few.to_json()), Ok(few));
    }

    #[test]
    fn it_is_said_in_a_line() {
        let common = "4 threads, 256-bit vectors, lines of 64 B, caches of 32 KiB";
        let apart = Machine {
            l3_bytes: 0,
            ..Machine::default()
        };
        assert_eq!(
            Machine::default().to_string(),
            format!("{common}, 1 MiB and 32 MiB (2 threads each)")
        );
        assert_eq!(apart.to_string(), format!("{common} and 1 MiB"));
    }

    #[test]
    fn what_no_processor_is_is_refused() {
        for (text, said) in [
            (r#"{"threads": 0}"#, "`threads` is from 1 to 4096"),
            (r#"{"vector_bits": 64}"#, "`vector_bits` is 128, 256 or 512"),
            (
                r#"{"line_bytes": 48}"#,
                "`line_bytes` is a power of two from 16 to 1024",
            ),
            (
                r#"{"l1_bytes": 2097152}"#,
                "`l2_bytes` is from `l1_bytes` to 1 GiB",
            ),
            (
                r#"{"l3_bytes": 1024}"#,
                "`l3_bytes` is 0, or from `l2_bytes` to 64 GiB",
            ),
            (r#"{"l3_threads": 0}"#, "`l3_threads` is from 1 to 4096"),
            (
                r#"{"min_parallel_cost": -1}"#,
                "`min_parallel_cost` is from 0 to 2^40",
            ),
        ] {
            assert_eq!(Machine::from_json(text), Err(said.to_string()));
        }
        let unknown = Machine::from_json(r#"{"l4_bytes": 1}"#).expect_err("no field");
        assert!(unknown.contains("unknown field `l4_bytes`"), "{unknown}");
    }
}
