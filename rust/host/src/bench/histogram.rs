//! Many durations in little memory, told back by their rank.

use serde::Serialize;

/// Each power of two is divided into so many buckets, so a value is told back within 0.4 % of it.
const BUCKETS: u64 = 1 << BITS;
const BITS: u32 = 7;

pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    min: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            // Zeroes that are never touched take no memory.
            counts: vec![0; bucket(u64::MAX) + 1],
            total: 0,
            min: u64::MAX,
            max: 0,
        }
    }
}

impl Histogram {
    /// Adds a value that stands for `weight` of them.
    pub fn add(&mut self, value: u64, weight: u64) {
        self.counts[bucket(value)] += weight;
        self.total += weight;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }

    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    pub fn min(&self) -> u64 {
        self.min
    }

    pub fn max(&self) -> u64 {
        self.max
    }

    /// The value below or at which so many hundredths of all lie; 0 where there are none.
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

/// Values below BUCKETS have a bucket of their own, so the first two powers are exact.
fn bucket(value: u64) -> usize {
    let shift = (u64::BITS - value.leading_zeros()).saturating_sub(BITS + 1);
    (u64::from(shift) * BUCKETS + (value >> shift)) as usize
}

fn middle(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let shift = (bucket / BUCKETS).saturating_sub(1);
    let lowest = (bucket - shift * BUCKETS) << shift;
    lowest + ((1 << shift) >> 1)
}

/// A histogram of nanoseconds as it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Latency {
    pub p50_ns: u64,
    pub p99_ns: u64,
    pub max_ns: u64,
}

impl Latency {
    /// None where nothing was measured.
    pub fn of(histogram: &Histogram) -> Option<Self> {
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
    fn every_value_is_told_back_within_half_a_percent() {
        let powers = (0..64).flat_map(|shift| [1u64 << shift, (1 << shift) - 1, (1 << shift) + (1 << shift) / 3]);
        for value in powers.chain([u64::MAX]) {
            let told = middle(bucket(value));
            assert!(told.abs_diff(value) <= value / 200, "{value} is told as {told}");
        }
    }

    #[test]
    fn buckets_follow_each_other() {
        for number in 0..bucket(u64::MAX) {
            assert_eq!(bucket(middle(number)), number);
            assert!(middle(number) < middle(number + 1));
        }
    }

    #[test]
    fn ranks_count_weights_and_the_ends_are_exact() {
        let mut histogram = Histogram::default();
        assert_eq!(Latency::of(&histogram), None);
        for (value, weight) in [(10, 98), (1_000_003, 1), (7_000_001, 1)] {
            histogram.add(value, weight);
        }
        let told = [1, 50, 98].map(|hundredths| histogram.percentile(hundredths));
        assert_eq!(told, [10, 10, 10]);
        assert!(histogram.percentile(99).abs_diff(1_000_003) < 5_000);
        assert_eq!((histogram.min(), histogram.max()), (10, 7_000_001));
    }
}
