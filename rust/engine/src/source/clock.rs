//! The clock of a `next_batch` and its timeout.
//!
//! The clock is read for every event, so it uses the coarse monotonic clock of the system. A reading takes a few
//! nanoseconds, and is late by at most one tick of the kernel (1 to 10 ms).

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::sync::Instant;

/// Default limit for the duration of a `next_batch`.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_millis(30);

/// Measures the duration of one `next_batch`.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    started: Duration,
    timeout: Duration,
}

impl Clock {
    pub fn start(timeout: Duration) -> Self {
        Self {
            started: coarse_now(),
            timeout,
        }
    }

    /// Returns whether the timeout has run out, to the precision of one tick.
    #[inline]
    pub(crate) fn has_run_out(&self) -> bool {
        coarse_now().saturating_sub(self.started) >= self.timeout
    }

    /// Returns the moment at which the timeout runs out; `None` if the system cannot represent it.
    pub fn deadline(&self) -> Option<Instant> {
        let left = self.timeout.saturating_sub(coarse_now().saturating_sub(self.started));
        Instant::now().checked_add(left)
    }
}

fn coarse_now() -> Duration {
    let now = clock_gettime(ClockId::MonotonicCoarse);
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec as u32)
}
