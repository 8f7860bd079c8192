//! loom's types, and what it has none of: a clock, and the part of crossbeam's channel that is used here.
//!
//! Time stands still but for a timed wait that finds nothing, which is over at once. That loses no case: other threads
//! may do anything before the wait looks, so a wait that runs out at some moment is one that looks at that moment.

pub use loom::sync::{Mutex, MutexGuard, atomic};

pub use condvar::Condvar;
pub use time::Instant;

pub(crate) mod channel;

mod time {
    use std::cell::Cell;
    use std::ops::{Add, Sub};
    use std::time::Duration;

    thread_local! {
        /// How often time has passed in this model: all its threads are one of the system, and other models run on others.
        /// What is asked of it is the same in every run of an order.
        static PASSED: Cell<u32> = const { Cell::new(0) };
    }
    /// More than any time that a model waits, or less than it counts as none at all.
    const STEP: Duration = Duration::from_secs(3600);
    const FOR_EVER: Duration = Duration::from_secs(1 << 40);

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
            (time < FOR_EVER).then(|| *self + time)
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
