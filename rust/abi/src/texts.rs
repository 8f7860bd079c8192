//! Strings handed to the host, which reads them after the call has returned.

use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

/// The strings of each thread: valid until the same thread asks for the next one, whatever other threads do.
#[derive(Debug, Default)]
pub(crate) struct Texts(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    by_thread: HashMap<ThreadId, Text>,
    latest: CString,
}

#[derive(Debug, Default)]
struct Text {
    text: CString,
    /// Whether the thread has asked for it already.
    read: bool,
}

impl Texts {
    /// Keeps a text for this thread. NULs are replaced: a C string ends at the first.
    pub(crate) fn set(&self, text: &str) -> *const c_char {
        let text = to_c_string(text);
        let mut held = self.lock();
        held.latest.clone_from(&text);
        keep(&mut held, text, false)
    }

    /// The text that this thread has not asked for yet, else the latest of any thread.
    pub(crate) fn get(&self) -> *const c_char {
        let mut held = self.lock();
        if let Some(own) = held.by_thread.get_mut(&thread::current().id())
            && !own.read
        {
            own.read = true;
            return own.text.as_ptr();
        }
        let latest = held.latest.clone();
        keep(&mut held, latest, true)
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        // Only whole strings are put in.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn keep(held: &mut Held, text: CString, read: bool) -> *const c_char {
    let entry = held.by_thread.entry(thread::current().id()).or_default();
    *entry = Text { text, read };
    entry.text.as_ptr()
}

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
