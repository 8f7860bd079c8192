//! The timeout clock of one `next_batch`.
//!
//! It is read before every event, so it reads the coarse monotonic clock: a few ns a reading, late by one tick of the
//! kernel (1 to 10 ms) at most.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::sync::Instant;

/// How long one `next_batch` may take, unless an instance says otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_millis(30);

/// Started by each `next_batch`.
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

    /// Whether the timeout has run out, to the tick.
    #[inline]
    pub fn run_out(&self) -> bool {
        coarse_now().saturating_sub(self.started) >= self.timeout
    }

    /// The exact moment at which the timeout runs out; `None` where it lies beyond what the system can count.
    pub fn deadline(&self) -> Option<Instant> {
        let left = self.timeout.saturating_sub(coarse_now().saturating_sub(self.started));
        Instant::now().checked_add(left)
    }
}

fn coarse_now() -> Duration {
    let now = clock_gettime(ClockId::MonotonicCoarse);
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec as u32)
}
