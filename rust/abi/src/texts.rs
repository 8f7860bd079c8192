//! Strings handed to the host, which reads them after the call has returned.

use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

/// The last string of each thread: valid until the same thread asks for the next one, whatever other threads do.
#[derive(Debug, Default)]
pub(crate) struct Texts(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    by_thread: HashMap<ThreadId, CString>,
    latest: CString,
}

impl Texts {
    /// Keeps a text for this thread. NULs are replaced: a C string ends at the first.
    pub(crate) fn set(&self, text: &str) -> *const c_char {
        let text = to_c_string(text);
        let mut held = self.lock();
        held.latest.clone_from(&text);
        keep(&mut held, text)
    }

    /// The last text of this thread, else the last of any.
    pub(crate) fn get(&self) -> *const c_char {
        let mut held = self.lock();
        if let Some(text) = held.by_thread.get(&thread::current().id()) {
            return text.as_ptr();
        }
        let text = held.latest.clone();
        keep(&mut held, text)
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        // Only whole strings are put in.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn keep(held: &mut Held, text: CString) -> *const c_char {
    let entry = held.by_thread.entry(thread::current().id()).or_default();
    *entry = text;
    entry.as_ptr()
}

pub(crate) fn to_c_string(text: &str) -> CString {
    CString::new(text).unwrap_or_else(|_| {
        CString::new(text.replace('\0', "\u{fffd}")).expect("every NUL was replaced")
    })
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
