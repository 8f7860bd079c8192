//! Strings that the host reads after the call that returned them.

use std::borrow::Cow;
use std::ffi::{CStr, CString, c_char};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

use crate::per_thread::PerThread;

/// A string for each thread. It stays valid until the same thread sets the next one, whatever other threads do.
#[derive(Default)]
pub(crate) struct Strings(PerThread<CString>);

impl Strings {
    /// Keeps a string for this thread, and returns its address.
    pub(crate) fn set(&self, string: &str) -> *const c_char {
        address_in(&self.0, |kept| {
            *kept = to_c_string(string);
            kept.as_ptr()
        })
    }
}

/// The last error of each thread, and the latest of all threads.
#[derive(Default)]
pub(crate) struct Errors {
    own: PerThread<OwnError>,
    latest: Mutex<CString>,
}

#[derive(Default)]
struct OwnError {
    message: CString,
    /// The thread that made the error and has not read it yet. A later thread can get the memory of an ended one, but must
    /// not read its error.
    unread_by: Option<ThreadId>,
}

impl Errors {
    /// Keeps an error for this thread.
    pub(crate) fn set(&self, message: &str) {
        let message = to_c_string(message);
        self.lock().clone_from(&message);
        self.own.with(|own| {
            *own = OwnError {
                message,
                unread_by: Some(thread::current().id()),
            }
        });
    }

    /// Returns this thread's own error if the thread has not read it yet, else the latest of any thread. It stays valid
    /// until the same thread's next call.
    pub(crate) fn get(&self) -> *const c_char {
        address_in(&self.own, |own| {
            if own.unread_by.take() != Some(thread::current().id()) {
                own.message.clone_from(&self.lock());
            }
            own.message.as_ptr()
        })
    }

    fn lock(&self) -> MutexGuard<'_, CString> {
        // A panic cannot leave half a string behind.
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the address that `code` finds in this thread's value, or that of an empty string if the thread has no value.
fn address_in<T: Default + Send>(values: &PerThread<T>, code: impl FnOnce(&mut T) -> *const c_char) -> *const c_char {
    values.with(code).unwrap_or(c"".as_ptr())
}

/// Converts a string for the host. A C string ends at its first NUL, so NULs become U+FFFD.
pub(crate) fn to_c_string(string: &str) -> CString {
    CString::new(string)
        .unwrap_or_else(|_| CString::new(string.replace('\0', "\u{fffd}")).expect("every NUL was replaced"))
}

/// Returns a string of the host; empty for NULL.
///
/// # Safety
/// `string` is NULL or points to a NUL-terminated string that lives as long as `'a`.
pub(crate) unsafe fn from_host<'a>(string: *const c_char) -> Cow<'a, str> {
    if string.is_null() {
        return "".into();
    }
    // SAFETY: not NULL, so by the caller's promise a NUL-terminated string.
    unsafe { CStr::from_ptr(string) }.to_string_lossy()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(string: *const c_char) -> String {
        // SAFETY: from this thread's latest call.
        unsafe { from_host(string) }.into_owned()
    }

    #[test]
    fn errors_return_own_error_once_then_latest() {
        let errors = Errors::default();
        errors.set("mine");
        thread::scope(|scope| {
            scope.spawn(|| errors.set("of another thread"));
        });
        assert_eq!(read(errors.get()), "mine");
        assert_eq!(read(errors.get()), "of another thread");
        thread::scope(|scope| {
            scope.spawn(|| assert_eq!(read(errors.get()), "of another thread"));
        });
    }

    #[test]
    fn errors_reuse_memory_of_ended_threads() {
        let mut errors = Errors::default();
        for index in 0..1000 {
            thread::scope(|scope| {
                scope.spawn(|| {
                    assert_eq!(read(errors.get()), if index == 0 { "" } else { "earlier" });
                    errors.set("earlier");
                });
            });
        }
        assert!(errors.own.len() < 100);
    }
}
