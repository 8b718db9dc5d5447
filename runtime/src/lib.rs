//! stub
pub mod video;
