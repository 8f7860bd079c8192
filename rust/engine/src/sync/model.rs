//! The types of loom, with models of what loom lacks: a clock, and the used part of crossbeam's channel.
//!
//! Time passes only in a timed wait that finds nothing, and such a wait ends immediately. This covers every case: other
//! threads may do anything before the wait checks, so a wait that times out at a moment is one that checks at that
//! moment.

pub use loom::sync::{Mutex, MutexGuard, atomic};

pub use condvar::Condvar;
pub use time::Instant;

pub(crate) mod channel;

mod time {
    use std::cell::Cell;
    use std::ops::{Add, Sub};
    use std::time::Duration;

    thread_local! {
        /// How many times time has passed in this model. All threads of a model run on one system thread, so every run
        /// of an order reads the same values.
        static PASSED: Cell<u32> = const { Cell::new(0) };
    }
    /// Longer than any timeout of a model.
    const STEP: Duration = Duration::from_secs(3600);
    /// A timeout of at least this long has no deadline.
    const ENDLESS: Duration = Duration::from_secs(1 << 40);

    pub(super) fn pass() {
        PASSED.set(PASSED.get() + 1);
    }

    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    pub struct Instant(Duration);

    impl Instant {
        pub fn now() -> Self {
            Self(STEP * PASSED.get())
        }

        pub fn checked_add(&self, time: Duration) -> Option<Self> {
            (time < ENDLESS).then(|| *self + time)
        }

        pub fn checked_duration_since(&self, earlier: Self) -> Option<Duration> {
            self.0.checked_sub(earlier.0)
        }

        pub fn elapsed(&self) -> Duration {
            Self::now() - *self
        }
    }

    impl Add<Duration> for Instant {
        type Output = Self;

        fn add(self, time: Duration) -> Self {
            Self(self.0 + time)
        }
    }

    impl Sub for Instant {
        type Output = Duration;

        fn sub(self, earlier: Self) -> Duration {
            self.0 - earlier.0
        }
    }
}

mod condvar {
    use std::sync::LockResult;
    use std::time::Duration;

    use super::MutexGuard;

    #[derive(Default)]
    pub struct Condvar(loom::sync::Condvar);

    impl Condvar {
        pub fn new() -> Self {
            Self::default()
        }

        pub fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> LockResult<MutexGuard<'a, T>> {
            self.0.wait(guard)
        }

        pub fn wait_timeout<'a, T>(
            &self,
            guard: MutexGuard<'a, T>,
            _: Duration,
        ) -> LockResult<(MutexGuard<'a, T>, ())> {
            super::time::pass();
            Ok((guard, ()))
        }

        pub fn notify_all(&self) {
            self.0.notify_all();
        }
    }
}
