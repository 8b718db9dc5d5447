//! MP4 files: `demux` reads the index, `read` turns H.264 samples into frames, `write` makes a new file around frames
//! and the source's other tracks. Nothing here grows with the film but the tables of sample sizes and times.

pub mod boxes;
pub mod demux;
mod index;
pub mod read;
pub mod write;

#[cfg(test)]
mod cut_tests;
#[cfg(test)]
mod tests;
