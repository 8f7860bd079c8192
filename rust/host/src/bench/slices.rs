//! A span in slices, so that what disturbed the machine for a while is seen as such.

use serde::Serialize;

use super::histogram::Histogram;

/// Long enough to hold several turns of two threads that wait for each other, short enough to fall between disturbances.
const SLICE_NS: u64 = 10_000_000;
const PICOSECONDS: u64 = 1_000;

/// Adds up until a slice is full.
#[derive(Default)]
pub struct Slices {
    ns: u64,
    count: u64,
    whole: u64,
    /// In picoseconds for one.
    costs: Histogram,
}

/// What one of what was counted took.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Cost {
    pub min_ns: f64,
    pub median_ns: f64,
    pub slices: u64,
}

impl Slices {
    pub fn add(&mut self, ns: u64, count: u64) {
        self.ns += ns;
        self.count += count;
        // Where nothing came for a whole slice, the next that comes bears the time.
        if self.ns >= SLICE_NS && self.count > 0 {
            self.close();
        }
    }

    pub fn whole(&self) -> u64 {
        self.whole
    }

    /// What began counts only where no slice is whole. None where there was nothing to count.
    pub fn cost(mut self) -> Option<Cost> {
        if self.whole == 0 {
            if self.count == 0 {
                return None;
            }
            self.close();
        }
        Some(Cost {
            min_ns: nanoseconds(self.costs.min()),
            median_ns: nanoseconds(self.costs.percentile(50)),
            slices: self.whole,
        })
    }

    fn close(&mut self) {
        self.costs.add(self.ns.saturating_mul(PICOSECONDS) / self.count, 1);
        (self.ns, self.count) = (0, 0);
        self.whole += 1;
    }
}

fn nanoseconds(picoseconds: u64) -> f64 {
    picoseconds as f64 / PICOSECONDS as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(parts: &[(u64, u64)]) -> Option<(f64, f64, u64)> {
        let mut slices = Slices::default();
        for &(ns, count) in parts {
            slices.add(ns, count);
        }
        slices
            .cost()
            .map(|cost| (cost.min_ns, cost.median_ns.round(), cost.slices))
    }

    #[test]
    fn a_slice_is_full_after_its_time() {
        let half = SLICE_NS / 2;
        assert_eq!(
            cost(&[(half, 10), (half, 10)]),
            Some((half as f64 / 10.0, half as f64 / 10.0, 1))
        );
        let fast = SLICE_NS / 100;
        assert_eq!(
            cost(&[(SLICE_NS, 50), (SLICE_NS, 100), (SLICE_NS, 100), (half, 1_000_000)]),
            Some((fast as f64, fast as f64, 3)),
            "the last one is not whole"
        );
    }

    #[test]
    fn a_short_span_is_one_slice() {
        assert_eq!(cost(&[(100, 1), (200, 2)]), Some((100.0, 100.0, 1)));
    }

    #[test]
    fn time_without_a_count_goes_to_the_next_that_counts() {
        assert_eq!(
            cost(&[(SLICE_NS, 0), (SLICE_NS, 2)]),
            Some((SLICE_NS as f64, SLICE_NS as f64, 1))
        );
        assert_eq!(cost(&[(SLICE_NS, 0)]), None);
    }
}
