//! Devices that run compiled entries. Today: the processor.

pub mod cpu;
