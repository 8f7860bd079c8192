//! Who a plugin's log lines are for: there until the plugin is destroyed.

use std::ffi::{CStr, c_char};
use std::sync::atomic::{AtomicBool, Ordering};

use falco_plugin_api::{ss_plugin_log_severity, ss_plugin_owner_t};

/// Never freed, so that a line which comes too late can be noticed.
pub(super) struct Owner(AtomicBool);

impl Owner {
    pub(super) fn new() -> &'static Self {
        Box::leak(Box::new(Self(AtomicBool::new(true))))
    }

    pub(super) fn as_ptr(&'static self) -> *mut ss_plugin_owner_t {
        std::ptr::from_ref(self).cast_mut().cast()
    }

    /// From now on nothing may be logged.
    pub(super) fn leaves(&self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

/// # Safety
/// The owner is one of [`Owner::new`], the texts are NULL or NUL-terminated.
pub(super) unsafe extern "C-unwind" fn log(
    owner: *mut ss_plugin_owner_t,
    component: *const c_char,
    text: *const c_char,
    severity: ss_plugin_log_severity,
) {
    // SAFETY: the caller's promise.
    let owner = unsafe { &*owner.cast::<Owner>() };
    assert!(owner.0.load(Ordering::SeqCst), "a line of log after destroy");
    assert!((1..=8).contains(&severity));
    assert!(!text.is_null());
    for text in [component, text] {
        if !text.is_null() {
            // SAFETY: the caller's promise.
            unsafe { CStr::from_ptr(text) }
                .to_str()
                .expect("a line of log is UTF-8");
        }
    }
}

/// # Safety
/// The owner is one of [`Owner::new`].
pub(super) unsafe extern "C-unwind" fn last_error(_: *mut ss_plugin_owner_t) -> *const c_char {
    c"the host has no error".as_ptr()
}
