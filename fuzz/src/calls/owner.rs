//! The owner of a plugin, which receives its log lines until the plugin is destroyed.

use std::ffi::{CStr, c_char};
use std::sync::atomic::{AtomicBool, Ordering};

use falco_plugin_api::{ss_plugin_log_severity, ss_plugin_owner_t};

/// Whether lines may be logged. It is never freed, so that a line after destroy is detected.
pub(super) struct Owner(AtomicBool);

impl Owner {
    pub(super) fn new() -> &'static Self {
        Box::leak(Box::new(Self(AtomicBool::new(true))))
    }

    pub(super) fn as_ptr(&'static self) -> *mut ss_plugin_owner_t {
        std::ptr::from_ref(self).cast_mut().cast()
    }

    /// Forbids log lines from now on.
    pub(super) fn end(&self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

/// # Safety
/// The owner is one of [`Owner::new`], the strings are NULL or NUL-terminated.
pub(super) unsafe extern "C-unwind" fn log(
    owner: *mut ss_plugin_owner_t,
    component: *const c_char,
    message: *const c_char,
    severity: ss_plugin_log_severity,
) {
    // SAFETY: the caller's promise.
    let owner = unsafe { &*owner.cast::<Owner>() };
    assert!(owner.0.load(Ordering::SeqCst), "a log line after destroy");
    assert!((1..=8).contains(&severity));
    assert!(!message.is_null());
    for string in [component, message] {
        if !string.is_null() {
            // SAFETY: the caller's promise.
            unsafe { CStr::from_ptr(string) }.to_str().expect("a log line is UTF-8");
        }
    }
}

/// # Safety
/// The owner is one of [`Owner::new`].
pub(super) unsafe extern "C-unwind" fn last_error(_: *mut ss_plugin_owner_t) -> *const c_char {
    c"the host has no error".as_ptr()
}
