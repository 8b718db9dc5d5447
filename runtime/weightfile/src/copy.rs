//! Elements as they are stored, to f32.
//!
//! Enters a tensor and its bytes; leaves numbers in row-major order. What does not lie within the bytes is left as it
//! is.

use crate::{DType, Tensor};

/// Elements of a float tensor from element `first` on, as many as `to` takes.
pub fn floats(tensor: &Tensor, bytes: &[u8], first: usize, to: &mut [f32]) {
    match tensor.dtype {
        DType::F32 => elements(tensor, bytes, first, to, f32::from_le_bytes),
        DType::F64 => elements(tensor, bytes, first, to, |b| f64::from_le_bytes(b) as f32),
        DType::BF16 => elements(tensor, bytes, first, to, |b| {
            f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16)
        }),
        DType::F16 => elements(tensor, bytes, first, to, |b| half(u16::from_le_bytes(b))),
        _ => {}
    }
}

fn elements<const N: usize>(
    tensor: &Tensor,
    bytes: &[u8],
    first: usize,
    to: &mut [f32],
    number: impl Fn([u8; N]) -> f32,
) {
    let from = bytes.as_chunks::<N>().0;
    if tensor.is_packed() {
        let rest = from.get(first..).unwrap_or_default();
        to.iter_mut().zip(rest).for_each(|(v, b)| *v = number(*b));
        return;
    }
    let mut walk = Walk::new(tensor, first);
    for v in to {
        if let Some(b) = from.get(walk.at) {
            *v = number(*b);
        }
        walk.step();
    }
}

/// Places of a tensor's elements, in row-major order.
struct Walk<'t> {
    tensor: &'t Tensor,
    index: Vec<u64>,
    at: usize,
}

impl<'t> Walk<'t> {
    fn new(tensor: &'t Tensor, first: usize) -> Walk<'t> {
        let mut rest = first as u64;
        let mut index = vec![0; tensor.shape.len()];
        for (i, size) in index.iter_mut().zip(&tensor.shape).rev() {
            (*i, rest) = (rest % size.max(&1), rest / size.max(&1));
        }
        let steps = index.iter().zip(&tensor.strides);
        let at = steps.map(|(i, stride)| i * stride).sum::<u64>() as usize;
        Walk { tensor, index, at }
    }

    fn step(&mut self) {
        let axes = self.tensor.shape.iter().zip(&self.tensor.strides);
        for (i, (size, stride)) in self.index.iter_mut().zip(axes).rev() {
            if *i + 1 < *size {
                *i += 1;
                self.at += *stride as usize;
                return;
            }
            self.at -= (*i * stride) as usize;
            *i = 0;
        }
    }
}

/// f16 as f32, exactly.
pub fn half(bits: u16) -> f32 {
    let sign = u32::from(bits >> 15) << 31;
    let (exponent, fraction) = (u32::from(bits >> 10 & 31), u32::from(bits & 1023));
    let magnitude = match exponent {
        0 => (fraction as f32 / 16_777_216.0).to_bits(),
        31 => 0x7f80_0000 | fraction << 13,
        _ => (exponent + 112) << 23 | fraction << 13,
    };
    f32::from_bits(sign | magnitude)
}
