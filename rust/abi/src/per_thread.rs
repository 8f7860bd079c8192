//! Something that each thread of the host has of its own, for as long as the plugin's state lives.

use std::cell::{Cell, UnsafeCell};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Mutex, PoisonError};

/// No thread waits for another here, and none takes a lock after its first call, as long as threads do not take turns.
pub(crate) struct PerThread<T> {
    /// One of `all`, or NULL: that of the thread that came last.
    latest: AtomicPtr<Owned<T>>,
    /// Nothing is taken out before all is dropped, so that places stay good.
    all: Mutex<Vec<Box<Owned<T>>>>,
}

struct Owned<T> {
    thread: usize,
    used: Cell<bool>,
    value: UnsafeCell<T>,
}

// SAFETY: the `value` and `used` of an `Owned` are touched by the thread that it names alone, so a `T` moves between
// threads at most: to where all is dropped, or to a later thread whose mark has the address of one that has ended.
unsafe impl<T: Send> Send for PerThread<T> {}
// SAFETY: as above; everything else is atomic, locked or never changed.
unsafe impl<T: Send> Sync for PerThread<T> {}

impl<T> Default for PerThread<T> {
    fn default() -> Self {
        Self {
            latest: AtomicPtr::default(),
            all: Mutex::default(),
        }
    }
}

impl<T: Default> PerThread<T> {
    /// Runs code on what the calling thread has; `None` within such code.
    #[inline]
    pub(crate) fn with<R>(&self, code: impl FnOnce(&mut T) -> R) -> Option<R> {
        let thread = current();
        let latest = self.latest.load(Ordering::Acquire);
        // SAFETY: NULL or one of `all`, none of which is dropped while `self` lives.
        let owned = match unsafe { latest.as_ref() } {
            Some(owned) if owned.thread == thread => owned,
            _ => self.find(thread),
        };
        if owned.used.replace(true) {
            return None;
        }
        let _unused = Unused(&owned.used);
        // SAFETY: the calling thread's own, and `used` keeps it from a second reference.
        Some(code(unsafe { &mut *owned.value.get() }))
    }

    /// How many threads have had one.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    #[cold]
    fn find(&self, thread: usize) -> &Owned<T> {
        // Only whole values are put in.
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let index = all.iter().position(|owned| owned.thread == thread).unwrap_or_else(|| {
            all.push(Box::new(Owned {
                thread,
                used: Cell::new(false),
                value: UnsafeCell::default(),
            }));
            all.len() - 1
        });
        // Other threads read what they found of `all` meanwhile: nothing here may be a unique reference.
        let owned = ptr::from_ref(&*all[index]);
        self.latest.store(owned.cast_mut(), Ordering::Release);
        // SAFETY: one of `all`, in a box that is not dropped while `self` lives.
        unsafe { &*owned }
    }
}

struct Unused<'a>(&'a Cell<bool>);

impl Drop for Unused<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

/// What tells threads apart: the address of something that each has one of.
#[inline]
fn current() -> usize {
    thread_local!(static MARK: u8 = const { 0 });
    MARK.with(|mark| ptr::from_ref(mark).addr())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn each_thread_has_its_own_and_finds_it_again() {
        let counts = PerThread::<u32>::default();
        let count = |times| {
            for _ in 0..times {
                counts.with(|count| *count += 1);
            }
            counts.with(|count| *count)
        };
        thread::scope(|scope| {
            let threads: Vec<_> = (1..5).map(|times| scope.spawn(move || count(1000 * times))).collect();
            for (thread, times) in threads.into_iter().zip(1..) {
                // A thread may have been over before another began, which then goes on with what it left.
                assert!(thread.join().unwrap() >= Some(1000 * times));
            }
        });
        assert!(counts.with(|count| *count).is_some());
    }

    #[test]
    fn there_is_nothing_within() {
        let values = PerThread::<u32>::default();
        assert_eq!(values.with(|_| values.with(|_| ())), Some(None));
        assert_eq!(values.with(|_| ()), Some(()));
    }

    #[test]
    fn a_panic_leaves_it_usable() {
        let values = PerThread::<u32>::default();
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| values.with(|_| panic!("as it should"))));
        assert!(panic.is_err());
        assert_eq!(values.with(|value| *value), Some(0));
    }
}
