//! Any bytes to the whole front end, guided by the code that they reach: parsing, formatting, and a check with all that
//! elaborates. As the target `parse`, which is faster and goes deeper into the parser.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../check_any.rs"]
mod check_any;

fuzz_target!(|bytes: &[u8]| check_any::check(bytes));
