//! A value for each thread of the host, for as long as the plugin's state lives.

use std::cell::RefCell;

use thread_local::ThreadLocal;

/// No thread waits for another here. A value that an ended thread leaves behind goes to a later thread, so there are
/// never more values than there were threads at one time.
#[derive(Default)]
pub(crate) struct PerThread<T: Send>(ThreadLocal<RefCell<T>>);

impl<T: Default + Send> PerThread<T> {
    /// Runs code on the calling thread's value.
    ///
    /// Returns `None` without running it if the thread is already running such code, or if the thread is ending and has
    /// no value any more.
    #[inline]
    pub(crate) fn with<R>(&self, code: impl FnOnce(&mut T) -> R) -> Option<R> {
        Some(code(&mut *self.cell()?.try_borrow_mut().ok()?))
    }

    /// Returns the calling thread's value, for code that uses it more than once. Returns `None` if the thread is ending and
    /// has no value any more.
    #[inline]
    pub(crate) fn cell(&self) -> Option<&RefCell<T>> {
        self.0.get().or_else(|| self.create())
    }

    /// Creates the calling thread's value. Returns `None` if the thread is ending and its thread-local values are destroyed:
    /// `ThreadLocal` would panic there, and a destructor of the host can call a plugin.
    #[cold]
    fn create(&self) -> Option<&RefCell<T>> {
        struct Canary;
        impl Drop for Canary {
            fn drop(&mut self) {}
        }
        thread_local!(static CANARY: Canary = const { Canary });
        CANARY.try_with(|_| self.0.get_or_default()).ok()
    }

    /// Returns how many values there are.
    #[cfg(test)]
    pub(crate) fn len(&mut self) -> usize {
        self.0.iter_mut().count()
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::{Arc, mpsc};
    use std::thread;

    use super::*;

    #[test]
    fn with_returns_none_if_reentered() {
        let values = PerThread::<u32>::default();
        assert_eq!(values.with(|_| values.with(|_| ())), Some(None));
        assert_eq!(values.with(|_| ()), Some(()));
    }

    #[test]
    fn with_works_after_panic() {
        let values = PerThread::<u32>::default();
        assert!(catch_unwind(AssertUnwindSafe(|| values.with(|_| panic!("expected")))).is_err());
        assert_eq!(values.with(|value| *value), Some(0));
    }

    #[test]
    fn with_returns_none_when_thread_ends() {
        struct LastCall(Arc<PerThread<u32>>, mpsc::Sender<Option<u32>>);
        impl Drop for LastCall {
            fn drop(&mut self) {
                let value = catch_unwind(AssertUnwindSafe(|| self.0.with(|value| *value)));
                let _ = self.1.send(value.unwrap_or(Some(1)));
            }
        }
        thread_local!(static LAST: RefCell<Option<LastCall>> = const { RefCell::new(None) });
        let values = Arc::new(PerThread::<u32>::default());
        let (sender, results) = mpsc::channel();
        thread::spawn(move || {
            // Thread-local values are destroyed in the reverse order of their first use.
            LAST.with_borrow_mut(|last| *last = Some(LastCall(values.clone(), sender)));
            assert_eq!(values.with(|value| *value), Some(0));
        });
        assert_eq!(results.recv(), Ok(None));
    }
}
