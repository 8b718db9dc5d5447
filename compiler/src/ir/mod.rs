//! The graph between the front end and the schedule.

pub mod graph;
