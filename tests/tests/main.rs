//! All tests of the whole chain in one program: it is linked once, and its tests run side by side.

mod cases;
mod devices;
mod documents;
mod emit;
mod machines;
mod memory;
mod native;
mod networks;
mod random_programs;
mod refusals;
mod tiling;
mod training;
mod vgg16;
