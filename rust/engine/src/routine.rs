//! Work that is repeated while a capture is open.

use std::sync::PoisonError;
use std::time::Duration;

use crate::calls::Calls;
use crate::source::context::Context;
use crate::sync::{Instant, Mutex};

type Work = Box<dyn FnMut() + Send>;

/// Work that is repeated at intervals until it is stopped.
///
/// The thread that runs it calls [`step`](Self::step) again and again; at any time only one thread does.
pub struct Routine {
    interval: Duration,
    context: Context,
    calls: Calls,
    /// `None` once the routine was stopped. Locked by the step that runs the work.
    rounds: Mutex<Option<Rounds>>,
}

struct Rounds {
    next: Instant,
    work: Work,
}

impl Routine {
    /// Makes a routine whose first round begins when the interval has passed.
    pub fn new(interval: Duration, work: impl FnMut() + Send + 'static) -> Self {
        Self {
            interval,
            context: Context::new(),
            calls: Calls::new(),
            rounds: Mutex::new(Some(Rounds {
                next: later(Instant::now(), interval),
                work: Box::new(work),
            })),
        }
    }

    /// Blocks until the next round is due, or for `most`. Runs the round if it is due. Returns whether the routine
    /// continues; once it was stopped, returns false without blocking.
    ///
    /// Rounds begin `interval` apart. A round that takes longer delays the next.
    pub fn step(&self, most: Duration) -> bool {
        let Some(_call) = self.calls.begin() else {
            return false;
        };
        let mut rounds = self.rounds.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Rounds { next, work }) = &mut *rounds else {
            return false;
        };
        let deadline = later(Instant::now(), most).min(*next);
        if !self.context.wait(Some(deadline)) && Instant::now() >= *next {
            *next = later(*next, self.interval);
            work();
            *next = (*next).max(Instant::now());
        }
        !self.context.is_cancelled()
    }

    /// Stops the routine. Blocks until a running step has returned, or until the deadline. Returns whether it has.
    /// Once it has, no round begins any more, and the work was dropped.
    pub fn stop(&self, deadline: Instant) -> bool {
        self.context.cancel();
        let has_ended = self.calls.end(Some(deadline));
        if has_ended {
            let rounds = self.rounds.lock().unwrap_or_else(PoisonError::into_inner).take();
            drop(rounds);
        }
        has_ended
    }
}

/// Returns an instant that is later by `time`, or by a century if that is beyond what an instant can be.
fn later(instant: Instant, time: Duration) -> Instant {
    const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
    instant.checked_add(time).unwrap_or_else(|| instant + CENTURY)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::channel;
    use std::thread;

    use super::*;

    const HANGS: Duration = Duration::from_secs(60);

    #[test]
    fn step_runs_a_round_when_it_is_due() {
        let count = Arc::new(AtomicUsize::new(0));
        let rounds = Arc::clone(&count);
        let routine = Routine::new(Duration::from_millis(1), move || {
            rounds.fetch_add(1, Ordering::Relaxed);
        });
        while count.load(Ordering::Relaxed) < 3 {
            assert!(routine.step(HANGS));
        }
        let rarely = Routine::new(HANGS, || panic!("it is not due"));
        assert!(rarely.step(Duration::ZERO));
        assert!(rarely.step(Duration::from_millis(1)));
    }

    #[test]
    fn stop_wakes_a_waiting_step_and_drops_the_work() {
        let held = Arc::new(());
        let work = Arc::clone(&held);
        let routine = Arc::new(Routine::new(Duration::MAX, move || drop(Arc::clone(&work))));
        let stepping = Arc::clone(&routine);
        let thread = thread::spawn(move || while stepping.step(HANGS) {});
        assert!(routine.stop(Instant::now() + HANGS));
        thread.join().unwrap();
        assert_eq!(Arc::strong_count(&held), 1);
        assert!(!routine.step(HANGS));
    }

    #[test]
    fn stop_waits_for_a_round_until_the_deadline() {
        let (began, has_begun) = channel();
        let (release, released) = channel::<()>();
        let routine = Arc::new(Routine::new(Duration::ZERO, move || {
            began.send(()).unwrap();
            released.recv().unwrap();
        }));
        let stepping = Arc::clone(&routine);
        let thread = thread::spawn(move || stepping.step(HANGS));
        has_begun.recv().unwrap();
        assert!(!routine.stop(Instant::now() + Duration::from_millis(1)));
        release.send(()).unwrap();
        assert!(routine.stop(Instant::now() + HANGS));
        assert!(!thread.join().unwrap());
    }
}
