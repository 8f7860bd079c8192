//! A lock without the standard library.

use core::cell::UnsafeCell;

use crate::libc;

/// A mutex of the C library.
pub struct Mutex(UnsafeCell<libc::PthreadMutex>);

// SAFETY: the C library synchronises all accesses.
unsafe impl Sync for Mutex {}

/// Holds a mutex until it is dropped.
pub struct Guard<'m>(&'m Mutex);

impl Mutex {
    pub const fn new() -> Self {
        Self(UnsafeCell::new(libc::PTHREAD_MUTEX_INITIALIZER))
    }

    /// Blocks until no other thread holds the mutex. The holder must not call this again.
    pub fn lock(&self) -> Guard<'_> {
        // SAFETY: the mutex is initialised, and never moves while it is held, because the guard borrows it.
        unsafe { libc::pthread_mutex_lock(self.0.get()) };
        Guard(self)
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        // SAFETY: this thread holds the mutex.
        unsafe { libc::pthread_mutex_unlock(self.0.0.get()) };
    }
}
