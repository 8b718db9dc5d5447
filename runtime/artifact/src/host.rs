//! Which instruction sets this machine has, by the names that artifacts use.

/// Architecture and calling convention of code on this machine.
pub const ARCH: &str = if cfg!(target_arch = "x86_64") {
    "x86_64-sysv"
} else if cfg!(target_arch = "aarch64") {
    "aarch64-aapcs"
} else {
    "unknown"
};

/// The features of `needed` that this machine lacks; a name nobody knows counts as lacking.
pub fn missing(needed: &[String]) -> Vec<String> {
    needed.iter().filter(|f| !has(f)).cloned().collect()
}

#[cfg(target_arch = "x86_64")]
fn has(feature: &str) -> bool {
    macro_rules! known {
        ($($name:tt),*) => { match feature { $($name => is_x86_feature_detected!($name),)* _ => false } };
    }
    known!(
        "sse",
        "sse2",
        "sse3",
        "ssse3",
        "sse4.1",
        "sse4.2",
        "popcnt",
        "avx",
        "avx2",
        "fma",
        "bmi1",
        "bmi2",
        "lzcnt",
        "f16c",
        "movbe",
        "avx512f",
        "avx512vl",
        "avx512bw",
        "avx512dq",
        "avx512cd",
        "avx512vnni",
        "avx512bf16"
    )
}

#[cfg(not(target_arch = "x86_64"))]
fn has(_feature: &str) -> bool {
    false
}
