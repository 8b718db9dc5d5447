//! The standard library, part of the compiler: text that every file sees.

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../stdlib/", $name)))),*]
    };
}

/// Name and text of each file, in the order in which they are read.
pub const FILES: &[(&str, &str)] = files![
    "scalar.vsr",
    "tensor.vsr",
    "conv.vsr",
    "norm.vsr",
    "resize.vsr",
    "warp.vsr",
    "layers.vsr",
    "losses.vsr",
    "optim.vsr",
    "degrade.vsr",
    "diffusion.vsr",
    "flow.vsr",
];
