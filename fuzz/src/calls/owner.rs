//! The owner of a plugin: what the host has for it until the plugin is destroyed. It receives log lines and async events,
//! and has the tables and the thread pool.

use std::ffi::{CStr, c_char};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use falco_plugin_api::{ss_plugin_log_severity, ss_plugin_owner_t};

use super::listening::Pool;
use super::tables::Tables;

/// The faults of plugins that the functions of the host have found. A panic in them would be caught by the plugin.
static FAULTS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Reports a fault of the plugin.
pub(super) fn report(fault: impl Into<String>) {
    FAULTS.lock().unwrap_or_else(PoisonError::into_inner).push(fault.into());
}

/// # Panics
/// If a fault was reported.
pub(super) fn check_faults() {
    let faults = std::mem::take(&mut *FAULTS.lock().unwrap_or_else(PoisonError::into_inner));
    assert!(faults.is_empty(), "{faults:#?}");
}

/// It is never freed, so that a use after destroy is detected.
#[derive(Default)]
pub(super) struct Owner {
    /// Whether the plugin was destroyed.
    is_ended: AtomicBool,
    /// Whether async events may be sent at any time.
    pub(super) takes_events: AtomicBool,
    /// Whether events may be sent by `dump_state`.
    pub(super) is_dumping: AtomicBool,
    /// A bit for each of 64 calls of the host's functions that fail, in turn.
    failures: AtomicU64,
    /// The number of calls of the host's functions.
    calls: AtomicU64,
    tables: Mutex<Option<Box<Tables>>>,
    pub(super) pool: Pool,
}

impl Owner {
    pub(super) fn new() -> &'static Self {
        let owner: &'static Self = Box::leak(Box::default());
        *owner.lock() = Some(Tables::new(owner));
        owner
    }

    pub(super) fn as_ptr(&'static self) -> *mut ss_plugin_owner_t {
        std::ptr::from_ref(self).cast_mut().cast()
    }

    /// # Safety
    /// The owner is one of [`Owner::new`].
    pub(super) unsafe fn from_ptr(owner: *mut ss_plugin_owner_t) -> &'static Self {
        // SAFETY: the caller's promise. An owner is never freed.
        unsafe { &*owner.cast::<Self>() }
    }

    /// Forbids log lines from now on, and frees the tables.
    pub(super) fn end(&self) {
        self.is_ended.store(true, Ordering::SeqCst);
        *self.lock() = None;
    }

    /// Lets some of the next calls of the host's functions fail.
    pub(super) fn set_failures(&self, failures: u64) {
        self.failures.store(failures, Ordering::SeqCst);
    }

    /// Returns whether the function of the host that is called now fails.
    pub(super) fn fails(&self) -> bool {
        let call = self.calls.fetch_add(1, Ordering::SeqCst) % 64;
        self.failures.load(Ordering::SeqCst) >> call & 1 == 1
    }

    /// Runs code on the tables. Returns `None` if the plugin was destroyed.
    pub(super) fn with_tables<R>(&self, code: impl FnOnce(&mut Tables) -> R) -> Option<R> {
        self.lock().as_deref_mut().map(code)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Box<Tables>>> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
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
    let owner = unsafe { Owner::from_ptr(owner) };
    if owner.is_ended.load(Ordering::SeqCst) {
        report("a log line after destroy");
    }
    if !(1..=8).contains(&severity) {
        report(format!("a log line with the severity {severity}"));
    }
    if message.is_null() {
        report("a log line that is NULL");
    }
    for string in [component, message] {
        // SAFETY: the caller's promise.
        if !string.is_null() && unsafe { CStr::from_ptr(string) }.to_str().is_err() {
            report("a log line that is not UTF-8");
        }
    }
}

/// # Safety
/// The owner is NULL, or one of [`Owner::new`].
pub(super) unsafe extern "C-unwind" fn last_error(owner: *mut ss_plugin_owner_t) -> *const c_char {
    if owner.is_null() {
        return std::ptr::null();
    }
    // SAFETY: the caller's promise.
    match unsafe { Owner::from_ptr(owner) }.calls.load(Ordering::SeqCst) % 3 {
        0 => std::ptr::null(),
        1 => c"".as_ptr(),
        _ => c"the host has no error \xff".as_ptr(),
    }
}
