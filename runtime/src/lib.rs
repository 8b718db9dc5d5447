//! stub
pub mod metrics;
pub mod video;
