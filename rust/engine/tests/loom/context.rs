//! Models of contexts.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};

use falco_plugin_engine::source::context::Context;
use loom::thread;

use crate::{counter, model};

#[test]
fn cancel_wakes_a_child_waiter_and_runs_each_callback_once() {
    model(3, || {
        let parent = Context::new();
        let child = parent.child();
        let (count, called) = counter();
        let waiter = thread::spawn({
            let (child, count) = (child.clone(), Arc::clone(&count));
            move || {
                child.on_cancel(move || assert_eq!(count.fetch_add(1, Ordering::Relaxed), 0));
                assert!(child.wait(None) && child.is_cancelled());
            }
        });
        let other = thread::spawn(move || child.cancel());
        parent.cancel();
        waiter.join().unwrap();
        other.join().unwrap();
        assert_eq!(called(), 1);
    });
}

#[test]
fn child_made_during_a_cancel_is_cancelled() {
    model(3, || {
        let parent = Context::new();
        let middle = parent.child();
        let canceller = thread::spawn(move || parent.cancel());
        let child = middle.child();
        drop(middle);
        assert!(child.wait(None) && child.is_cancelled());
        canceller.join().unwrap();
    });
}

#[test]
fn cancel_wakes_a_task_once_that_registers_concurrently() {
    struct Counted(Arc<AtomicUsize>);
    impl Wake for Counted {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    model(3, || {
        let parent = Context::new();
        let child = parent.child();
        let (count, woken) = counter();
        let canceller = thread::spawn(move || parent.cancel());
        child.wake_on_cancel(Waker::from(Arc::new(Counted(count))));
        assert!(child.wait(None));
        canceller.join().unwrap();
        assert_eq!(woken(), 1);
    });
}

#[test]
fn contexts_that_belong_together_are_cancelled_at_one_moment() {
    model(3, || {
        let parent = Context::new();
        let middle = parent.child();
        let child = middle.child();
        let canceller = thread::spawn({
            let parent = parent.clone();
            move || parent.cancel()
        });
        let other = thread::spawn({
            let (middle, child) = (middle.clone(), child.clone());
            move || {
                middle.cancel();
                assert!(middle.is_cancelled() && child.is_cancelled());
            }
        });
        if parent.is_cancelled() {
            assert!(middle.is_cancelled() && child.is_cancelled());
        }
        // A waiter is woken by the parent, whose children it may ask then.
        assert!(parent.wait(None) && child.is_cancelled() && middle.is_cancelled());
        canceller.join().unwrap();
        other.join().unwrap();
    });
}

#[test]
fn cancelled_child_shows_that_its_parent_is_cancelled() {
    model(3, || {
        let parent = Context::new();
        let children = [parent.child(), parent.child()];
        let canceller = thread::spawn({
            let parent = parent.clone();
            move || parent.cancel()
        });
        if children[1].is_cancelled() {
            assert!(parent.is_cancelled() && children[0].is_cancelled());
        }
        canceller.join().unwrap();
        assert!(children[0].is_cancelled());
    });
}
