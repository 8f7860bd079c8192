//! Many durations in little memory, and their percentiles.

use serde::Serialize;

/// The number of buckets of each power of two, which makes a percentile exact to 0.4 %.
const BUCKETS: u64 = 1 << BITS;
const BITS: u32 = 7;

/// A histogram of numbers.
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    min: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            // Zeroes that are never written take no memory.
            counts: vec![0; bucket(u64::MAX) + 1],
            total: 0,
            min: u64::MAX,
            max: 0,
        }
    }
}

impl Histogram {
    /// Adds a value `weight` times.
    pub fn add(&mut self, value: u64, weight: u64) {
        self.counts[bucket(value)] += weight;
        self.total += weight;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }

    /// Returns whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// Returns the smallest value.
    pub fn min(&self) -> u64 {
        self.min
    }

    /// Returns the largest value.
    pub fn max(&self) -> u64 {
        self.max
    }

    /// Returns the value that `hundredths` percent of all values do not exceed. Returns 0 if there are no values.
    pub fn percentile(&self, hundredths: u64) -> u64 {
        let wanted = (u128::from(self.total) * u128::from(hundredths)).div_ceil(100).max(1);
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += u128::from(*count);
            if seen >= wanted {
                return middle(bucket).clamp(self.min, self.max);
            }
        }
        self.max
    }
}

/// Returns the bucket of a value. Each value below twice `BUCKETS` has its own bucket.
fn bucket(value: u64) -> usize {
    let shift = (u64::BITS - value.leading_zeros()).saturating_sub(BITS + 1);
    (u64::from(shift) * BUCKETS + (value >> shift)) as usize
}

/// Returns the value in the middle of a bucket.
fn middle(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let shift = (bucket / BUCKETS).saturating_sub(1);
    let lowest = (bucket - shift * BUCKETS) << shift;
    lowest + ((1 << shift) >> 1)
}

/// The percentiles that a report has, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Latency {
    pub p50_ns: u64,
    pub p99_ns: u64,
    pub max_ns: u64,
}

impl Latency {
    /// Returns the percentiles of a histogram, or `None` if it is empty.
    pub fn new(histogram: &Histogram) -> Option<Self> {
        (!histogram.is_empty()).then(|| Self {
            p50_ns: histogram.percentile(50),
            p99_ns: histogram.percentile(99),
            max_ns: histogram.max(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn middle_of_a_bucket_is_within_half_a_percent() {
        let powers = (0..64).flat_map(|shift| [1u64 << shift, (1 << shift) - 1, (1 << shift) + (1 << shift) / 3]);
        for value in powers.chain([u64::MAX]) {
            let middle = middle(bucket(value));
            assert!(middle.abs_diff(value) <= value / 200, "{value}: {middle}");
        }
    }

    #[test]
    fn buckets_are_ordered() {
        for number in 0..bucket(u64::MAX) {
            assert_eq!(bucket(middle(number)), number);
            assert!(middle(number) < middle(number + 1));
        }
    }

    #[test]
    fn percentiles_count_weights_and_extremes_are_exact() {
        let mut histogram = Histogram::default();
        assert_eq!(Latency::new(&histogram), None);
        for (value, weight) in [(10, 98), (1_000_003, 1), (7_000_001, 1)] {
            histogram.add(value, weight);
        }
        let percentiles = [1, 50, 98].map(|hundredths| histogram.percentile(hundredths));
        assert_eq!(percentiles, [10, 10, 10]);
        assert!(histogram.percentile(99).abs_diff(1_000_003) < 5_000);
        assert_eq!((histogram.min(), histogram.max()), (10, 7_000_001));
    }
}
