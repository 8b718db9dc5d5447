//! stub
pub mod data;
pub mod metrics;
pub mod video;
