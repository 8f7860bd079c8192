//! Limits how often a warning is logged.

use std::time::{Duration, Instant};

/// The time between two warnings of one kind. A file with only faulty lines must not fill the host's log.
const BETWEEN_WARNINGS: Duration = Duration::from_secs(60);

/// Counts occurrences of a problem, and decides when to log the count.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    count: u64,
    warned: Option<Instant>,
}

impl Throttle {
    /// Counts an occurrence. Returns the count so far if it is due to be logged.
    pub(super) fn count(&mut self) -> Option<u64> {
        self.count += 1;
        let now = Instant::now();
        if self.warned.is_some_and(|warned| now - warned < BETWEEN_WARNINGS) {
            return None;
        }
        self.warned = Some(now);
        Some(self.count)
    }
}
