//! The memory plan: one offset for every buffer of an entry, shared where lifetimes do not meet.

/// A buffer that lives over launches `from..=to`.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    pub from: i64,
    pub to: i64,
    pub bytes: u64,
}

pub const ALIGN: u64 = 64;

/// Offsets for all spans, and the bytes in all. Largest first, each at the lowest place that is free while it lives.
pub fn plan(spans: &[Span]) -> (Vec<u64>, u64) {
    let mut order: Vec<usize> = (0..spans.len()).collect();
    order.sort_by_key(|i| (std::cmp::Reverse(spans[*i].bytes), *i));
    let mut offsets = vec![0; spans.len()];
    let mut placed: Vec<usize> = vec![];
    let mut total = 0;
    for i in order {
        let mut busy: Vec<(u64, u64)> = placed
            .iter()
            .filter(|j| spans[**j].from <= spans[i].to && spans[i].from <= spans[**j].to)
            .map(|j| (offsets[*j], offsets[*j] + padded(spans[*j].bytes)))
            .collect();
        busy.sort_unstable();
        let mut at = 0;
        for (start, end) in busy {
            if at + padded(spans[i].bytes) <= start {
                break;
            }
            at = at.max(end);
        }
        offsets[i] = at;
        total = total.max(at + padded(spans[i].bytes));
        placed.push(i);
    }
    (offsets, total)
}

pub fn padded(bytes: u64) -> u64 {
    bytes.div_ceil(ALIGN) * ALIGN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_that_live_together_do_not_overlap() {
        let spans: Vec<Span> = (0..200i64)
            .map(|i| Span {
                from: i * 7 % 50,
                to: i * 7 % 50 + i % 13,
                bytes: 64 + (i as u64 * 97) % 5000,
            })
            .collect();
        let (offsets, total) = plan(&spans);
        for (i, a) in spans.iter().enumerate() {
            assert!(offsets[i] + a.bytes <= total);
            for (j, b) in spans.iter().enumerate().skip(i + 1) {
                let together = a.from <= b.to && b.from <= a.to;
                let apart =
                    offsets[i] + a.bytes <= offsets[j] || offsets[j] + b.bytes <= offsets[i];
                assert!(!together || apart, "{i} and {j}");
            }
        }
    }

    #[test]
    fn memory_is_shared_over_time() {
        let one_after_another: Vec<Span> = (0..10)
            .map(|i| Span {
                from: i,
                to: i,
                bytes: 1000,
            })
            .collect();
        assert_eq!(plan(&one_after_another).1, 1024);
    }
}
