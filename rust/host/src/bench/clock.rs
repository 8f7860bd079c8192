//! The choice of the calls that are timed, so that reading the clock costs little.

use std::time::Duration;

/// The time between two timed calls, in nanoseconds. Timing a call takes some 50 ns.
const TIMED_EVERY_NS: u64 = 2_000;
/// The most calls from one timed call to the next.
const MOST_CALLS: u64 = 256;

/// Chooses the calls that are timed: all calls of a slow source, and few of a fast one.
pub struct Pace {
    /// The number of calls until the next one that is timed.
    untimed: u64,
    /// The number of calls that one timed call represents.
    every: u64,
    /// The start of the last timed call, in nanoseconds. `None` before the first.
    last: Option<u64>,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            untimed: 0,
            every: 1,
            last: None,
        }
    }
}

impl Pace {
    /// Returns whether to time the next call.
    pub fn is_due(&mut self) -> bool {
        match self.untimed {
            0 => true,
            _ => {
                self.untimed -= 1;
                false
            }
        }
    }

    /// Starts a timed call. Returns the nanoseconds since the start of the last one.
    pub fn start(&mut self, now: u64) -> u64 {
        let ns = self.since(now);
        if self.last.is_some() {
            // Grow step by step, so that a single unusual call changes little.
            let wanted = TIMED_EVERY_NS * self.every / ns.max(1);
            self.every = wanted.clamp(1, (self.every * 2).min(MOST_CALLS));
        }
        self.untimed = self.every - 1;
        self.last = Some(now);
        ns
    }

    /// Returns the nanoseconds since the start of the last timed call.
    pub fn since(&self, now: u64) -> u64 {
        now - self.last.unwrap_or(0)
    }

    /// Returns the number of calls that the last timed call represents.
    pub fn weight(&self) -> u64 {
        self.every
    }

    /// Times the next call: the source waits, so the call may be slow.
    pub fn reset(&mut self) {
        (self.untimed, self.every) = (0, 1);
    }
}

/// Returns a duration in nanoseconds, or the largest number if it is longer.
pub fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_slow_calls_are_timed_and_few_fast_ones() {
        for (ns, every) in [(10, 200), (1, 256), (700, 2), (2_000, 1), (30_000_000, 1)] {
            let mut pace = Pace::default();
            let (mut now, mut timed, mut calls) = (0, 0, 0);
            while timed < 100 {
                if pace.is_due() {
                    pace.start(now);
                    timed += 1;
                }
                calls += 1;
                now += ns;
            }
            assert!(
                pace.weight() == every && calls >= 80 * every && calls <= 100 * every,
                "{ns}: {calls}"
            );
            pace.reset();
            assert!(pace.is_due() && pace.weight() == 1);
        }
    }
}
