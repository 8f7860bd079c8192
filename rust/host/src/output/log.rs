//! Where a plugin's log goes: to standard error as text, or between the events as JSON.

use std::collections::VecDeque;
use std::ffi::{CStr, c_char};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use falco_plugin_api::{ss_plugin_log_severity, ss_plugin_owner_t};

use crate::output::console;

/// Lines that wait for standard output. A reader that has stopped must not let them fill the memory.
const MOST_WAITING: usize = 65_536;

const SEVERITIES: [&str; 8] = [
    "fatal", "critical", "error", "warning", "notice", "info", "debug", "trace",
];

pub struct Record {
    /// The name of the plugin that logged the line; None for a line of the host's own.
    pub plugin: Option<&'static str>,
    pub severity: &'static str,
    pub text: String,
}

/// Where the lines of all plugins go.
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
                plugin: None,
                severity: "warning",
                text: format!("{dropped} log lines were dropped"),
            });
        }
        records
    }

    fn add(&self, owner: &'static Owner, severity: &'static str, text: String) {
        let Some(waiting) = &self.waiting else {
            return console::lines(&match owner.shows_name {
                true => format!("[{severity}] {}: {text}", owner.plugin),
                false => format!("[{severity}] {text}"),
            });
        };
        let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < MOST_WAITING {
            waiting.push_back(Record {
                plugin: Some(&owner.plugin),
                severity,
                text,
            });
        } else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The owner that the host passes to one plugin, through which the plugin logs.
pub struct Owner {
    log: &'static Log,
    plugin: String,
    /// Whether lines of text name the plugin. JSON always does.
    shows_name: bool,
}

impl Owner {
    /// Makes the owner of a plugin. It is never freed: a thread that the plugin leaves behind may log after destroy.
    pub fn leaked(log: &'static Log, plugin: &str, shows_name: bool) -> &'static Self {
        Box::leak(Box::new(Self {
            log,
            plugin: plugin.to_owned(),
            shows_name,
        }))
    }

    /// Returns the owner as the plugin API passes it.
    pub fn as_ptr(&'static self) -> *mut ss_plugin_owner_t {
        std::ptr::from_ref(self).cast_mut().cast()
    }
}

/// `log_fn` of the plugin API; called from any thread. The component is the plugin's affair and may be NULL.
///
/// # Safety
/// `owner` is NULL or what [`Owner::as_ptr`] gave; `message` is NULL or NUL-terminated.
pub unsafe extern "C-unwind" fn log(
    owner: *mut ss_plugin_owner_t,
    _component: *const c_char,
    message: *const c_char,
    severity: ss_plugin_log_severity,
) {
    if owner.is_null() || message.is_null() {
        return;
    }
    // SAFETY: not NULL, so it came from a `&'static Owner`, and an Owner may be shared between threads.
    let owner: &'static Owner = unsafe { &*owner.cast::<Owner>().cast_const() };
    // SAFETY: not NULL, and NUL-terminated as the plugin API asks; it is copied within the call.
    let text = unsafe { CStr::from_ptr(message) }.to_string_lossy().into_owned();
    let severity = usize::try_from(severity)
        .ok()
        .and_then(|number| SEVERITIES.get(number.wrapping_sub(1)));
    owner.log.add(owner, severity.copied().unwrap_or("unknown"), text);
}

/// `get_owner_last_error` of the plugin API: this owner does nothing that could fail.
///
/// # Safety
/// None is needed.
pub unsafe extern "C-unwind" fn get_owner_last_error(_owner: *mut ss_plugin_owner_t) -> *const c_char {
    std::ptr::null()
}
