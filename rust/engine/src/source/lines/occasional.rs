//! Warnings that come again and again.

use std::time::{Duration, Instant};

/// Time between two warnings of the same kind: a file with only faulty lines must not fill the log of the host.
const BETWEEN_WARNINGS: Duration = Duration::from_secs(60);

/// Counts occurrences of something that is logged only once in a while.
#[derive(Debug, Default)]
pub(super) struct Occasional {
    count: u64,
    warned: Option<Instant>,
}

impl Occasional {
    /// Counts one more; returns how many there were so far if it is time to log that.
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
