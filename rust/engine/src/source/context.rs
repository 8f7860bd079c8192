//! Cancellation, passed from parent to child (`context.Context` of the Go SDK).

use std::convert::Infallible;
use std::fmt;
use std::mem;
use std::sync::{Arc, PoisonError, Weak};
use std::task::Waker;

use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::channel::{Receiver, RecvTimeoutError, Sender, bounded};
use crate::sync::{Instant, Mutex, MutexGuard};

type Callback = Box<dyn FnOnce() + Send>;

/// A handle to a context that can be cancelled. Clones refer to the same context.
#[derive(Clone)]
pub struct Context(Arc<Inner>);

/// The states of a context, in this order. A cancel marks the context and everything below it before it changes any of them
/// to `CANCELLED`, and a reader that sees a mark waits for that. So all of them are cancelled at one moment: a thread that
/// sees one cancelled, or is woken by one, sees all of them cancelled.
const LIVE: usize = 0;
const MARKED: usize = 1;
const CANCELLED: usize = 2;

struct Inner {
    /// Marked while `live` is locked, so that no child is added to a marked context.
    state: AtomicUsize,
    /// Never receives a message. `cancel` disconnects it, which wakes every waiter.
    done: Receiver<Infallible>,
    live: Mutex<Option<Live>>,
}

/// The parts of a context that it holds until it is cancelled.
struct Live {
    _keeps_done_connected: Sender<Infallible>,
    /// Kept alive, so that a cancel reaches this context through parents that have no other holder.
    parents: Vec<Arc<Inner>>,
    children: Vec<Weak<Inner>>,
    wakers: Vec<Waker>,
    callbacks: Vec<Callback>,
}

impl Drop for Inner {
    /// Drops the parents in a loop: recursion would overflow the stack on a long chain of contexts.
    fn drop(&mut self) {
        let mut pending = parents_of(&mut self.live);
        while let Some(parent) = pending.pop() {
            if let Some(mut last) = Arc::into_inner(parent) {
                pending.append(&mut parents_of(&mut last.live));
            }
        }
    }
}

fn parents_of(live: &mut Mutex<Option<Live>>) -> Vec<Arc<Inner>> {
    let live = live.get_mut().unwrap_or_else(PoisonError::into_inner);
    live.as_mut().map_or_else(Vec::new, |live| mem::take(&mut live.parents))
}

impl Default for Context {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("cancelled", &self.is_cancelled())
            .finish()
    }
}

impl Context {
    pub fn new() -> Self {
        let (sender, done) = bounded(0);
        Self(Arc::new(Inner {
            state: AtomicUsize::new(LIVE),
            done,
            live: Mutex::new(Some(Live {
                _keeps_done_connected: sender,
                parents: Vec::new(),
                children: Vec::new(),
                wakers: Vec::new(),
                callbacks: Vec::new(),
            })),
        }))
    }

    /// Returns a new context that is cancelled together with this one. It can also be cancelled alone.
    pub fn child(&self) -> Self {
        let child = Self::new();
        self.adopt(&child);
        child
    }

    /// Makes an existing context a child of this one, in addition to its other parents.
    pub fn adopt(&self, child: &Self) {
        if Arc::ptr_eq(&self.0, &child.0) {
            return;
        }
        match &mut *child.0.lock() {
            Some(live) => live.parents.push(Arc::clone(&self.0)),
            None => return,
        }
        let is_added = match &mut *self.0.lock() {
            Some(live) if self.0.state.load(Ordering::Acquire) == LIVE => {
                live.children.retain(|known| known.strong_count() > 0);
                live.children.push(Arc::downgrade(&child.0));
                true
            }
            _ => false,
        };
        if !is_added {
            child.cancel();
        }
    }

    /// Cancels this context and its children, all at the same moment. Waiters and tasks wake first; then the callbacks run on
    /// this thread, with no lock held. Further calls do nothing.
    pub fn cancel(&self) {
        let mut marked = Vec::new();
        let mut pending = vec![Arc::clone(&self.0)];
        while let Some(inner) = pending.pop() {
            if let Some(live) = &*inner.lock() {
                // Another thread may have marked it, but not yet its children.
                let _ = inner
                    .state
                    .compare_exchange(LIVE, MARKED, Ordering::AcqRel, Ordering::Acquire);
                pending.extend(live.children.iter().filter_map(Weak::upgrade));
            }
            marked.push(inner);
        }
        for inner in &marked {
            inner.state.store(CANCELLED, Ordering::Release);
        }
        let mut wakers = Vec::new();
        let mut callbacks = Vec::new();
        let mut parents = Vec::new();
        for inner in &marked {
            // Dropping the sender wakes the waiters. Drop the parents, whose callbacks may run code, without a lock.
            if let Some(live) = inner.lock().take() {
                wakers.extend(live.wakers);
                callbacks.extend(live.callbacks);
                parents.extend(live.parents);
            }
        }
        // Wake tasks before running callbacks: a callback may wait for a thread that a waker wakes.
        for waker in wakers {
            waker.wake();
        }
        for callback in callbacks {
            callback();
        }
    }

    /// Returns whether the context is cancelled. While another thread is cancelling it, blocks until it is.
    #[inline]
    pub fn is_cancelled(&self) -> bool {
        match self.0.state.load(Ordering::Acquire) {
            LIVE => false,
            CANCELLED => true,
            _ => self.wait(None),
        }
    }

    /// Runs `callback` once, when the context is cancelled. If it already is, runs it immediately on this thread.
    pub fn on_cancel(&self, callback: impl FnOnce() + Send + 'static) {
        if let Some(live) = &mut *self.0.lock() {
            live.callbacks.push(Box::new(callback));
            return;
        }
        callback();
    }

    /// Wakes a task once, when the context is cancelled; immediately if it already is. The waker must not block.
    pub fn wake_on_cancel(&self, waker: Waker) {
        if let Some(live) = &mut *self.0.lock() {
            live.wakers.push(waker);
            return;
        }
        waker.wake();
    }

    /// Blocks until the context is cancelled or the deadline has passed. Returns whether the context is cancelled.
    pub fn wait(&self, deadline: Option<Instant>) -> bool {
        let error = match deadline {
            Some(deadline) => self.0.done.recv_deadline(deadline).unwrap_err(),
            None => {
                let _ = self.0.done.recv();
                RecvTimeoutError::Disconnected
            }
        };
        error == RecvTimeoutError::Disconnected
    }

    /// Returns a receiver that `cancel` disconnects, for a wait on several channels.
    pub fn done(&self) -> &Receiver<Infallible> {
        &self.0.done
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Option<Live>> {
        // A poisoned state is whole: every change is a single push or take.
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use std::thread;
    use std::time::Duration;

    #[test]
    fn cancel_reaches_children_but_not_the_parent() {
        let parent = Context::new();
        let (one, two) = (parent.child(), parent.child());
        let grandchild = one.child();
        two.cancel();
        assert!(two.is_cancelled() && !parent.is_cancelled() && !one.is_cancelled());
        parent.cancel();
        assert!(one.is_cancelled() && grandchild.is_cancelled());
        assert!(
            parent.child().is_cancelled(),
            "a child of a cancelled context is cancelled"
        );
    }

    #[test]
    fn callbacks_run_once_or_immediately_after_cancel() {
        let count = Arc::new(AtomicUsize::new(0));
        let context = Context::new();
        let add = |count: &Arc<AtomicUsize>| {
            let count = Arc::clone(count);
            move || {
                count.fetch_add(1, Ordering::Relaxed);
            }
        };
        context.on_cancel(add(&count));
        context.cancel();
        context.cancel();
        assert_eq!(count.load(Ordering::Relaxed), 1);
        context.on_cancel(add(&count));
        assert_eq!(count.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn cancel_wakes_tasks_before_it_runs_callbacks() {
        struct Woken(AtomicUsize);
        impl std::task::Wake for Woken {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let woken = Arc::new(Woken(AtomicUsize::new(0)));
        let parent = Context::new();
        let child = parent.child();
        let seen = Arc::clone(&woken);
        parent.on_cancel(move || assert_eq!(seen.0.load(Ordering::Relaxed), 2));
        child.wake_on_cancel(Waker::from(Arc::clone(&woken)));
        parent.wake_on_cancel(Waker::from(Arc::clone(&woken)));
        parent.cancel();
        child.cancel();
        assert_eq!(woken.0.load(Ordering::Relaxed), 2);
        child.wake_on_cancel(Waker::from(Arc::clone(&woken)));
        assert_eq!(woken.0.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn callback_can_use_its_context() {
        let context = Context::new();
        let inner = context.clone();
        context.on_cancel(move || {
            inner.cancel();
            inner.on_cancel(|| {});
            assert!(inner.wait(None));
        });
        context.cancel();
    }

    #[test]
    fn cancel_wakes_all_waiters() {
        let context = Context::new();
        let waiters: Vec<_> = (0..4)
            .map(|_| {
                let context = context.child();
                thread::spawn(move || context.wait(Instant::now().checked_add(Duration::from_secs(60))))
            })
            .collect();
        assert!(!context.wait(Some(Instant::now() + Duration::from_millis(5))));
        context.cancel();
        for waiter in waiters {
            assert!(waiter.join().unwrap());
        }
    }

    #[test]
    fn cancel_passes_through_a_dropped_context() {
        let grandparent = Context::new();
        let child = grandparent.child().child();
        grandparent.cancel();
        assert!(child.is_cancelled());
    }

    #[test]
    fn long_chain_is_cancelled_and_dropped_without_recursion() {
        let first = Context::new();
        let mut last = first.clone();
        for _ in 0..50_000 {
            last = last.child();
        }
        first.cancel();
        assert!(last.is_cancelled());
        let mut last = Context::new();
        for _ in 0..50_000 {
            last = last.child();
        }
    }

    #[test]
    fn context_forgets_dropped_children() {
        let parent = Context::new();
        for _ in 0..1000 {
            parent.child();
        }
        assert!(parent.0.lock().as_ref().unwrap().children.len() <= 1);
    }
}
