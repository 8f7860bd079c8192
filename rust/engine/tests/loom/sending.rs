//! Models of async events and of routines.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use falco_plugin_engine::async_events::{AsyncHandler, AsyncSink};
use falco_plugin_engine::error::Error;
use falco_plugin_engine::event::AsyncEventName;
use falco_plugin_engine::routine::Routine;
use falco_plugin_engine::source::clock::Clock;
use loom::thread;

use crate::{counter, model};

#[test]
fn closed_sink_calls_the_host_no_more() {
    /// Fails if the host's function is called after the close.
    struct Host(Arc<AtomicUsize>);
    impl AsyncHandler for Host {
        fn send(&self, _: &[u8]) -> Result<(), Error> {
            assert_eq!(self.0.load(Ordering::Relaxed), 0, "called after the close");
            thread::yield_now();
            assert_eq!(self.0.load(Ordering::Relaxed), 0, "still running after the close");
            Ok(())
        }
    }
    model(3, || {
        let closed = Arc::new(AtomicUsize::new(0));
        let sink = Arc::new(AsyncSink::new(Box::new(Host(Arc::clone(&closed)))));
        let senders = [(); 2].map(|()| {
            let sink = Arc::clone(&sink);
            thread::spawn(move || {
                let name = AsyncEventName::new("changed").unwrap();
                sink.send(&name, 0, b"data").is_ok()
            })
        });
        sink.close();
        closed.store(1, Ordering::Relaxed);
        for sender in senders {
            sender.join().unwrap();
        }
    });
}

/// Counts its drops.
struct Dropped(Arc<AtomicUsize>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn stopped_routine_begins_no_round_and_drops_its_work_once() {
    model(3, || {
        let (stopped, is_stopped) = counter();
        let (count, dropped) = counter();
        let work = Dropped(count);
        let routine = Arc::new(Routine::new(Duration::ZERO, move || {
            let _work = &work;
            assert_eq!(is_stopped(), 0, "began after the stop");
            thread::yield_now();
            assert_eq!(is_stopped(), 0, "still running after the stop");
        }));
        let stepping = thread::spawn({
            let routine = Arc::clone(&routine);
            move || {
                for _ in 0..2 {
                    if !routine.step(Duration::MAX) {
                        return;
                    }
                }
            }
        });
        // The wait may time out. Then the routine's last holder drops the work.
        let deadline = Clock::start(Duration::ZERO).deadline().unwrap();
        if routine.stop(deadline) {
            stopped.store(1, Ordering::Relaxed);
            assert_eq!(dropped(), 1);
            assert!(!routine.step(Duration::MAX));
        }
        drop(routine);
        stepping.join().unwrap();
        assert_eq!(dropped(), 1);
    });
}

#[test]
fn two_stops_of_a_routine_both_wait_for_its_round() {
    model(2, || {
        let (count, dropped) = counter();
        let work = Dropped(count);
        let routine = Arc::new(Routine::new(Duration::ZERO, move || {
            let _work = &work;
            thread::yield_now();
        }));
        let others = [true, false].map(|stops| {
            let routine = Arc::clone(&routine);
            thread::spawn(move || match stops {
                true => drop(routine.stop(Clock::start(Duration::ZERO).deadline().unwrap())),
                false => drop(routine.step(Duration::MAX)),
            })
        });
        let has_ended = routine.stop(Clock::start(Duration::ZERO).deadline().unwrap());
        if has_ended {
            assert_eq!(dropped(), 1);
        }
        for other in others {
            other.join().unwrap();
        }
    });
}
