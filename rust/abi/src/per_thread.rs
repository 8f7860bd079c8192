//! Something that each thread of the host has of its own, for as long as the plugin's state lives.

use std::cell::{Cell, UnsafeCell};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// No thread waits for another here, and none takes a lock after its first call, as long as threads do not take turns.
/// What a thread has left behind at its end goes to the next one that comes, so that there are never more than threads
/// at a time.
pub(crate) struct PerThread<T> {
    /// One of `all`, or NULL: that of the thread that came last.
    latest: AtomicPtr<Owned<T>>,
    /// Nothing is taken out before all is dropped, so that places stay good.
    all: Mutex<Vec<Entry<T>>>,
}

struct Entry<T> {
    owned: Box<Owned<T>>,
    /// Whether its thread has ended; of one that is about to end nobody knows.
    ended: Option<Arc<AtomicBool>>,
}

struct Owned<T> {
    /// Changed under the lock of `all` alone, and when the thread that it named has ended.
    thread: AtomicUsize,
    used: Cell<bool>,
    value: UnsafeCell<T>,
}

// SAFETY: the `value` and `used` of an `Owned` are touched by the thread that it names alone, so a `T` moves between
// threads at most: to where all is dropped, or to a later thread, by the lock and the flag of the one that has ended.
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
            Some(owned) if owned.is_of(thread) => owned,
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
        let own = all.iter().position(|entry| entry.owned.is_of(thread));
        let index = own.unwrap_or_else(|| {
            let ended = END.try_with(|end| end.0.clone()).ok();
            if let Some(left) = all.iter().position(Entry::is_left) {
                all[left].owned.thread.store(thread, Ordering::Relaxed);
                all[left].ended = ended;
                return left;
            }
            all.push(Entry {
                owned: Box::new(Owned {
                    thread: AtomicUsize::new(thread),
                    used: Cell::new(false),
                    value: UnsafeCell::default(),
                }),
                ended,
            });
            all.len() - 1
        });
        // Other threads read what they found of `all` meanwhile: nothing here may be a unique reference.
        let owned = ptr::from_ref(&*all[index].owned);
        self.latest.store(owned.cast_mut(), Ordering::Release);
        // SAFETY: one of `all`, in a box that is not dropped while `self` lives.
        unsafe { &*owned }
    }
}

impl<T> Owned<T> {
    /// A thread finds its own number only where it has put it itself.
    #[inline]
    fn is_of(&self, thread: usize) -> bool {
        self.thread.load(Ordering::Relaxed) == thread
    }
}

impl<T> Entry<T> {
    /// Whether its thread has ended; then all that it did has happened before.
    fn is_left(&self) -> bool {
        self.ended.as_ref().is_some_and(|ended| ended.load(Ordering::Acquire))
    }
}

struct Unused<'a>(&'a Cell<bool>);

impl Drop for Unused<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

thread_local! {
    /// 0 until the thread has a number.
    static NUMBER: Cell<usize> = const { Cell::new(0) };
    static END: End = End::default();
}

/// Tells at the end of a thread that it has come.
#[derive(Default)]
struct End(Arc<AtomicBool>);

impl Drop for End {
    fn drop(&mut self) {
        // Whoever still comes on this thread, from the end of something else, has not what may be another's by then.
        NUMBER.set(0);
        self.0.store(true, Ordering::Release);
    }
}

/// What tells threads apart: a number that no other thread of the process ever has.
#[inline]
fn current() -> usize {
    match NUMBER.get() {
        0 => number(),
        number => number,
    }
}

#[cold]
fn number() -> usize {
    static LAST: AtomicUsize = AtomicUsize::new(0);
    let number = LAST.fetch_add(1, Ordering::Relaxed) + 1;
    NUMBER.set(number);
    number
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem;
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
    fn what_a_thread_has_left_goes_to_the_next_and_to_nobody_before() {
        let counts = PerThread::<u32>::default();
        let count = || counts.with(|count| mem::replace(count, *count + 1));
        thread::scope(|scope| {
            for before in 0..100 {
                assert_eq!(scope.spawn(count).join().unwrap(), Some(before));
            }
        });
        assert_eq!(counts.all.lock().unwrap().len(), 1);
        assert_eq!((count(), count()), (Some(100), Some(101)));
        let other = thread::scope(|scope| scope.spawn(count).join().unwrap());
        assert_eq!((other, counts.all.lock().unwrap().len()), (Some(0), 2));
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
