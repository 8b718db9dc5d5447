//! Launches with every buffer in memory of its own, between pages that nobody may touch: for tests.
//!
//! Enters bound calls with the bytes of each buffer; leaves memory as the calls alone would. A read or write that
//! leaves its buffer by more than the slack that all memory has ends the process at that very instruction. The slack
//! holds NaN, which shows in results if it is used, and is looked at after each launch.

use super::{Call, Memory, Pool, Run};
use crate::error::{Error, Result};

/// A call with the bytes of its buffers, and its name.
pub struct Guarded<'a> {
    pub call: &'a Call,
    pub lens: &'a [u64],
    pub label: &'a str,
}

/// Runs the calls one by one.
///
/// # Safety
/// As for [`Run::all`].
pub unsafe fn all(run: &Run<'_>, pool: &mut Pool, calls: &[Guarded<'_>]) -> Result<()> {
    for guarded in calls {
        let scratch = run
            .scratch
            .iter()
            .map(|m| Memory::guarded(m.len() as u64, "scratch"));
        let scratch = scratch.collect::<Result<Vec<_>>>()?;
        let run = Run {
            scratch: &scratch,
            ..*run
        };
        // SAFETY: the caller vouches for the call; each thread has as much scratch as before, of its own.
        unsafe { one(&run, pool, guarded)? };
        if scratch.iter().any(Memory::is_spoilt) {
            return Err(Error::machine(format!(
                "{} writes outside of its scratch",
                guarded.label
            )));
        }
    }
    Ok(())
}

unsafe fn one(run: &Run<'_>, pool: &mut Pool, guarded: &Guarded<'_>) -> Result<()> {
    let (call, label) = (guarded.call, guarded.label);
    let mut copies = vec![];
    for (buffer, bytes) in call.buffers.iter().zip(guarded.lens) {
        let mut copy = Memory::guarded(*bytes, label)?;
        // SAFETY: so many bytes lie there, by the plan.
        copy.bytes_mut()
            .copy_from_slice(unsafe { std::slice::from_raw_parts(*buffer, *bytes as usize) });
        copies.push(copy);
    }
    let alone = Call {
        buffers: copies.iter().map(Memory::base).collect(),
        args: call.args.clone(),
        rows: call.rows.clone(),
        ..*call
    };
    // SAFETY: the caller vouches for the call, whose buffers are copies now, each as long as the plan says.
    unsafe { run.all(pool, std::slice::from_ref(&alone)) };
    for (i, (copy, buffer)) in copies.iter().zip(&call.buffers).enumerate() {
        if copy.is_spoilt() {
            let text = format!(
                "{label} writes outside of buffer {i}, which has {} bytes",
                copy.len()
            );
            return Err(Error::machine(text));
        }
        // SAFETY: so many bytes lie there, by the plan, and the copy is apart. Constants are only read: none is written
        // back.
        unsafe {
            if std::slice::from_raw_parts(*buffer, copy.len()) != copy.bytes() {
                std::ptr::copy_nonoverlapping(copy.base(), *buffer, copy.len());
            }
        }
    }
    Ok(())
}
