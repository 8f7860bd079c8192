//! A measurement in slices of time, which shows whether something else slowed the machine for a while.

use serde::Serialize;

use super::histogram::Histogram;

/// The length of a slice in nanoseconds: long enough for several turns of two threads that wait for each other, and short
/// enough to fall between disturbances.
const SLICE_NS: u64 = 10_000_000;
const PICOSECONDS: u64 = 1_000;

/// Sums up durations until a slice is full.
#[derive(Default)]
pub struct Slices {
    /// The time of the current slice in nanoseconds.
    ns: u64,
    /// The number of items in the current slice.
    count: u64,
    /// The number of full slices.
    full: u64,
    /// The cost of an item in each full slice, in picoseconds.
    costs: Histogram,
}

/// The cost of one item.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Cost {
    pub min_ns: f64,
    pub median_ns: f64,
    pub slices: u64,
}

impl Slices {
    /// Adds the time of `count` items.
    pub fn add(&mut self, ns: u64, count: u64) {
        self.ns += ns;
        self.count += count;
        // A slice without items continues, so that the next item has the time of both.
        if self.ns >= SLICE_NS && self.count > 0 {
            self.close();
        }
    }

    /// Returns the number of full slices.
    pub fn full(&self) -> u64 {
        self.full
    }

    /// Returns the cost of an item, or `None` if there was no item. A slice that is not full counts only if no other is.
    pub fn cost(mut self) -> Option<Cost> {
        if self.full == 0 {
            if self.count == 0 {
                return None;
            }
            self.close();
        }
        Some(Cost {
            min_ns: to_nanoseconds(self.costs.min()),
            median_ns: to_nanoseconds(self.costs.percentile(50)),
            slices: self.full,
        })
    }

    fn close(&mut self) {
        self.costs.add(self.ns.saturating_mul(PICOSECONDS) / self.count, 1);
        (self.ns, self.count) = (0, 0);
        self.full += 1;
    }
}

fn to_nanoseconds(picoseconds: u64) -> f64 {
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
    fn slice_is_full_after_its_time() {
        let half = SLICE_NS / 2;
        assert_eq!(
            cost(&[(half, 10), (half, 10)]),
            Some((half as f64 / 10.0, half as f64 / 10.0, 1))
        );
        let fast = SLICE_NS / 100;
        assert_eq!(
            cost(&[(SLICE_NS, 50), (SLICE_NS, 100), (SLICE_NS, 100), (half, 1_000_000)]),
            Some((fast as f64, fast as f64, 3)),
            "the last one is not full"
        );
    }

    #[test]
    fn short_measurement_is_one_slice() {
        assert_eq!(cost(&[(100, 1), (200, 2)]), Some((100.0, 100.0, 1)));
    }

    #[test]
    fn time_without_items_is_added_to_the_next_item() {
        assert_eq!(
            cost(&[(SLICE_NS, 0), (SLICE_NS, 2)]),
            Some((SLICE_NS as f64, SLICE_NS as f64, 1))
        );
        assert_eq!(cost(&[(SLICE_NS, 0)]), None);
    }
}
