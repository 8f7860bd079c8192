//! Calls that can be ended: after the end none is in progress, and none begins.

use std::sync::PoisonError;

use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Condvar, Instant, Mutex};

/// The bit of `state` that is set once the calls have been ended. The other bits count the calls in progress.
const ENDED: usize = 1;
const ONE_CALL: usize = 2;

/// Counts the calls in progress, from any number of threads. A call costs two atomic additions and never blocks.
pub(crate) struct Calls {
    state: AtomicUsize,
    /// Held by a thread that checks `state` before it waits, and by the last call before it notifies, so that the
    /// notification cannot come between the check and the wait.
    waiting: Mutex<()>,
    none_left: Condvar,
}

impl Calls {
    pub(crate) fn new() -> Self {
        Self {
            state: AtomicUsize::new(0),
            waiting: Mutex::new(()),
            none_left: Condvar::new(),
        }
    }

    /// Begins a call, which lasts until the returned guard is dropped. Returns `None` if the calls were ended.
    #[inline]
    pub(crate) fn begin(&self) -> Option<Call<'_>> {
        let call = Call(self);
        // The addition and the setting of the bit in `end` are ordered: either `end` waits for this call, or this call
        // sees the bit.
        let before = self.state.fetch_add(ONE_CALL, Ordering::Acquire);
        (before & ENDED == 0).then_some(call)
    }

    /// Returns whether the calls were ended.
    pub(crate) fn are_ended(&self) -> bool {
        self.state.load(Ordering::Acquire) & ENDED != 0
    }

    /// Ends the calls: later ones do not begin. Blocks until those in progress have returned, or until the deadline.
    /// Returns whether they have. May be called more than once.
    ///
    /// A thread that is in a call must not end the calls: without a deadline it would wait for itself.
    pub(crate) fn end(&self, deadline: Option<Instant>) -> bool {
        self.state.fetch_or(ENDED, Ordering::AcqRel);
        let mut held = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        // Acquire pairs with the release of each call's end: their effects happen before this returns.
        while self.state.load(Ordering::Acquire) != ENDED {
            held = match deadline {
                None => self.none_left.wait(held).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let now = Instant::now();
                    if now >= deadline {
                        return false;
                    }
                    let (held, _) = self
                        .none_left
                        .wait_timeout(held, deadline - now)
                        .unwrap_or_else(PoisonError::into_inner);
                    held
                }
            };
        }
        true
    }
}

/// A call in progress.
pub(crate) struct Call<'a>(&'a Calls);

impl Drop for Call<'_> {
    #[inline]
    fn drop(&mut self) {
        let before = self.0.state.fetch_sub(ONE_CALL, Ordering::Release);
        if before == ENDED | ONE_CALL {
            self.0.notify();
        }
    }
}

impl Calls {
    #[cold]
    fn notify(&self) {
        drop(self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        self.none_left.notify_all();
    }
}
