//! Data of Python objects that is accessed for every event.

#[cfg(not(Py_GIL_DISABLED))]
use std::cell::{Cell, UnsafeCell};
#[cfg(Py_GIL_DISABLED)]
use std::sync::{Mutex, PoisonError, TryLockError};

use pyo3::prelude::*;
#[cfg(Py_GIL_DISABLED)]
use pyo3::sync::MutexExt;

/// Data that only threads with the GIL access. So an access needs no lock, whose two atomic operations would take longer
/// than the access itself.
#[cfg(not(Py_GIL_DISABLED))]
pub(crate) struct GilCell<T> {
    value: UnsafeCell<T>,
    /// Whether a thread is in `with`.
    in_use: Cell<bool>,
}

// SAFETY: both members are accessed only by a thread that has the GIL, as `Python` proves, so one access happens before
// the next. If the code in `with` released the GIL, another thread would find `in_use`. So `T` moves between threads but is
// never shared.
#[cfg(not(Py_GIL_DISABLED))]
unsafe impl<T: Send> Sync for GilCell<T> {}

#[cfg(not(Py_GIL_DISABLED))]
impl<T> GilCell<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self {
            value: UnsafeCell::new(value),
            in_use: Cell::new(false),
        }
    }

    /// Runs code on the data. It must neither run Python code nor release the GIL.
    ///
    /// # Panics
    /// The code uses the same cell.
    #[inline]
    pub(crate) fn with<R>(&self, _: Python<'_>, code: impl FnOnce(&mut T) -> R) -> R {
        struct Reset<'a>(&'a Cell<bool>);
        impl Drop for Reset<'_> {
            fn drop(&mut self) {
                self.0.set(false);
            }
        }
        assert!(!self.in_use.replace(true), "the data is in use");
        let _reset = Reset(&self.in_use);
        // SAFETY: `in_use` was false, so there is no other reference to the data.
        code(unsafe { &mut *self.value.get() })
    }
}

/// Data that one thread accesses at a time. Without the GIL this needs a lock.
#[cfg(Py_GIL_DISABLED)]
pub(crate) struct GilCell<T>(Mutex<T>);

#[cfg(Py_GIL_DISABLED)]
impl<T> GilCell<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    /// Runs code on the data. It must not run Python code.
    #[inline]
    pub(crate) fn with<R>(&self, py: Python<'_>, code: impl FnOnce(&mut T) -> R) -> R {
        // The lock is nearly always free, and this attempt is inlined.
        let mut held = match self.0.try_lock() {
            Ok(held) => held,
            Err(TryLockError::Poisoned(error)) => error.into_inner(),
            Err(TryLockError::WouldBlock) => self.0.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner),
        };
        code(&mut held)
    }
}

impl<T> GilCell<T> {
    /// Replaces the data, and returns what it was.
    #[inline]
    pub(crate) fn replace(&self, py: Python<'_>, value: T) -> T {
        self.with(py, |held| std::mem::replace(held, value))
    }
}
