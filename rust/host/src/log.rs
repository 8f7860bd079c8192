//! Where a plugin's log goes: to standard error as text, or between the events as JSON.

use std::collections::VecDeque;
use std::ffi::{CStr, c_char};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use falco_plugin_api::{ss_plugin_log_severity, ss_plugin_owner_t};

use crate::console;

/// Lines that wait for standard output. A reader that has stopped must not let them fill the memory.
const MOST_WAITING: usize = 65_536;

const SEVERITIES: [&str; 8] = [
    "fatal", "critical", "error", "warning", "notice", "info", "debug", "trace",
];

pub struct Record {
    pub severity: &'static str,
    pub text: String,
}

/// The owner that a plugin is given.
pub struct Log {
    /// Lines for standard output, where they go there. They wait, because a plugin may log from within a call that is made
    /// while the output is being written.
    waiting: Option<Mutex<VecDeque<Record>>>,
    dropped: AtomicU64,
}

impl Log {
    pub fn to_stderr() -> Self {
        Self {
            waiting: None,
            dropped: AtomicU64::new(0),
        }
    }

    pub fn waiting() -> Self {
        Self {
            waiting: Some(Mutex::default()),
            dropped: AtomicU64::new(0),
        }
    }

    /// Itself as the plugin API passes it.
    pub fn owner(&'static self) -> *mut ss_plugin_owner_t {
        std::ptr::from_ref(self).cast_mut().cast()
    }

    /// Takes the lines that wait.
    pub fn drain(&self) -> Vec<Record> {
        let Some(waiting) = &self.waiting else {
            return Vec::new();
        };
        let mut records: Vec<_> = waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .drain(..)
            .collect();
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            records.push(Record {
                severity: "warning",
                text: format!("{dropped} log lines were dropped"),
            });
        }
        records
    }

    fn add(&self, severity: &'static str, text: String) {
        let Some(waiting) = &self.waiting else {
            return console::lines(&format!("[{severity}] {text}"));
        };
        let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < MOST_WAITING {
            waiting.push_back(Record { severity, text });
        } else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// `log_fn` of the plugin API; called from any thread. The component is the plugin's affair and may be NULL.
///
/// # Safety
/// `owner` is NULL or what [`Log::owner`] gave; `message` is NULL or NUL-terminated.
pub unsafe extern "C-unwind" fn log(
    owner: *mut ss_plugin_owner_t,
    _component: *const c_char,
    message: *const c_char,
    severity: ss_plugin_log_severity,
) {
    if owner.is_null() || message.is_null() {
        return;
    }
    // SAFETY: not NULL, so it came from a `&'static Log`, and a Log may be shared between threads.
    let log = unsafe { &*owner.cast::<Log>().cast_const() };
    // SAFETY: not NULL, and NUL-terminated as the plugin API asks; it is copied within the call.
    let text = unsafe { CStr::from_ptr(message) }.to_string_lossy().into_owned();
    let severity = usize::try_from(severity)
        .ok()
        .and_then(|number| SEVERITIES.get(number.wrapping_sub(1)));
    log.add(severity.copied().unwrap_or("unknown"), text);
}

/// `get_owner_last_error` of the plugin API: this owner does nothing that could fail.
///
/// # Safety
/// None is needed.
pub unsafe extern "C-unwind" fn get_owner_last_error(_owner: *mut ss_plugin_owner_t) -> *const c_char {
    std::ptr::null()
}
