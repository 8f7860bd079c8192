//! Limits how often a problem is reported.

use std::time::{Duration, Instant};

/// The time between two reports of one problem. A source with only faulty events must not fill the host's log.
pub(crate) const REPORT_INTERVAL: Duration = Duration::from_secs(60);

/// Counts the occurrences of a problem, and decides when to report them.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    total: u64,
    reported: u64,
    reported_at: Option<Instant>,
}

impl Throttle {
    /// Counts an occurrence. If a report is due, returns the number of occurrences since the last one.
    pub(crate) fn count(&mut self, now: Instant) -> Option<u64> {
        self.total += 1;
        let is_recent = |reported: Instant| now.duration_since(reported) < REPORT_INTERVAL;
        (!self.reported_at.is_some_and(is_recent)).then(|| self.take_unreported(now))
    }

    /// Returns the number of occurrences since the last report, and counts them as reported.
    pub(crate) fn take_unreported(&mut self, now: Instant) -> u64 {
        let unreported = self.unreported();
        self.reported = self.total;
        self.reported_at = Some(now);
        unreported
    }

    /// Returns the number of occurrences since the last report.
    pub(crate) fn unreported(&self) -> u64 {
        self.total - self.reported
    }

    /// Returns the number of all occurrences.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn count_returns_a_number_at_most_once_a_minute() {
        let start = Instant::now();
        let mut throttle = Throttle::default();
        let mut count = |seconds| throttle.count(start + Duration::from_secs(seconds));
        assert_eq!(count(0), Some(1));
        assert_eq!((count(1), count(59)), (None, None));
        assert_eq!(count(60), Some(3));
        assert_eq!(count(119), None);
        assert_eq!((throttle.unreported(), throttle.total()), (1, 5));
        assert_eq!((throttle.take_unreported(start), throttle.unreported()), (1, 0));
    }
}
