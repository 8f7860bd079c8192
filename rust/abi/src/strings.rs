//! Strings handed to the host, which reads them after the call has returned.

use std::ffi::{CStr, CString, c_char};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

use crate::per_thread::PerThread;

/// The text of each thread: valid until the same thread asks for the next one, whatever other threads do.
#[derive(Default)]
pub(crate) struct Texts(PerThread<CString>);

impl Texts {
    /// Keeps a text for this thread.
    pub(crate) fn set(&self, text: &str) -> *const c_char {
        keep(&self.0, |kept| {
            *kept = to_c_string(text);
            kept.as_ptr()
        })
    }
}

/// The last error of each thread, and of all.
#[derive(Default)]
pub(crate) struct Errors {
    own: PerThread<OwnError>,
    latest: Mutex<CString>,
}

#[derive(Default)]
struct OwnError {
    text: CString,
    /// The thread that has not asked for it yet. What a thread has left is found by a later one.
    unread_by: Option<ThreadId>,
}

impl Errors {
    /// Keeps an error for this thread.
    pub(crate) fn set(&self, text: &str) {
        let text = to_c_string(text);
        self.lock().clone_from(&text);
        self.own.with(|own| {
            *own = OwnError {
                text,
                unread_by: Some(thread::current().id()),
            }
        });
    }

    /// The error that this thread has not asked for yet, else the latest of any thread. Valid until the same thread asks
    /// for the next one.
    pub(crate) fn get(&self) -> *const c_char {
        keep(&self.own, |own| {
            if own.unread_by.take() != Some(thread::current().id()) {
                own.text.clone_from(&self.lock());
            }
            own.text.as_ptr()
        })
    }

    fn lock(&self) -> MutexGuard<'_, CString> {
        // Only whole strings are put in.
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn keep<T: Default>(texts: &PerThread<T>, code: impl FnOnce(&mut T) -> *const c_char) -> *const c_char {
    texts.with(code).unwrap_or(c"".as_ptr())
}

/// NULs are replaced: a C string ends at the first.
pub(crate) fn to_c_string(text: &str) -> CString {
    CString::new(text).unwrap_or_else(|_| CString::new(text.replace('\0', "\u{fffd}")).expect("every NUL was replaced"))
}

/// The text at a pointer from the host; empty for NULL.
///
/// # Safety
/// `text` is NULL or points to a NUL-terminated string that lives as long as `'a`.
pub(crate) unsafe fn from_host<'a>(text: *const c_char) -> std::borrow::Cow<'a, str> {
    if text.is_null() {
        return "".into();
    }
    // SAFETY: not NULL, so by the caller's promise a NUL-terminated string.
    unsafe { CStr::from_ptr(text) }.to_string_lossy()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: *const c_char) -> String {
        // SAFETY: from this thread's latest call.
        unsafe { from_host(text) }.into_owned()
    }

    #[test]
    fn a_thread_is_told_its_own_error_once_and_then_the_latest() {
        let errors = Errors::default();
        errors.set("mine");
        thread::scope(|scope| {
            scope.spawn(|| errors.set("of another"));
        });
        assert_eq!(read(errors.get()), "mine");
        assert_eq!(read(errors.get()), "of another");
        thread::scope(|scope| {
            scope.spawn(|| assert_eq!(read(errors.get()), "of another"));
        });
    }

    #[test]
    fn threads_that_come_and_go_do_not_each_leave_a_text() {
        let errors = Errors::default();
        for index in 0..1000 {
            thread::scope(|scope| {
                scope.spawn(|| {
                    assert_eq!(read(errors.get()), if index == 0 { "" } else { "left" });
                    errors.set("left");
                });
            });
        }
        assert!(errors.own.len() < 100);
    }
}
