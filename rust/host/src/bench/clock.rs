//! Which calls are timed.

use std::time::Duration;

/// So often a call is timed: two looks at the clock, and what is done with them, take some 50 ns.
const TIMED_EVERY_NS: u64 = 2_000;
/// However fast they are, of so many calls one is.
const MOST_CALLS: u64 = 256;

/// Which calls are timed: all of a slow source, and of a fast one so few that the clock costs little.
pub struct Pace {
    untimed: u64,
    /// How many calls one that is timed stands for.
    every: u64,
    /// When the last timed call began; None before the first.
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
    pub fn is_due(&mut self) -> bool {
        match self.untimed {
            0 => true,
            _ => {
                self.untimed -= 1;
                false
            }
        }
    }

    /// A timed call begins. Returns the nanoseconds since the last one began.
    pub fn next(&mut self, now: u64) -> u64 {
        let ns = self.since(now);
        if self.last.is_some() {
            // Grows step by step, so that one odd call decides nothing.
            let wanted = TIMED_EVERY_NS * self.every / ns.max(1);
            self.every = wanted.clamp(1, (self.every * 2).min(MOST_CALLS));
        }
        self.untimed = self.every - 1;
        self.last = Some(now);
        ns
    }

    pub fn since(&self, now: u64) -> u64 {
        now - self.last.unwrap_or(0)
    }

    pub fn weight(&self) -> u64 {
        self.every
    }

    /// The source waits: the next call may be slow.
    pub fn reset(&mut self) {
        (self.untimed, self.every) = (0, 1);
    }
}

pub fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_calls_are_all_timed_and_fast_ones_seldom() {
        for (ns, every) in [(10, 200), (1, 256), (700, 2), (2_000, 1), (30_000_000, 1)] {
            let mut pace = Pace::default();
            let (mut now, mut timed, mut calls) = (0, 0, 0);
            while timed < 100 {
                if pace.is_due() {
                    pace.next(now);
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
