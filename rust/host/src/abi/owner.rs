//! The host's side of a plugin, through which the plugin logs.

use std::ffi::{CStr, c_char};
use std::fmt;
use std::ptr;
use std::sync::{Arc, Mutex, PoisonError};

use falco_plugin_api::{ss_plugin_log_severity, ss_plugin_owner_t};

use crate::abi::async_events::{AsyncEvent, AsyncQueue, AsyncSender};

/// How important a log line is, as the plugin API numbers it: a smaller number is more severe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Severity(ss_plugin_log_severity);

impl Severity {
    pub const WARNING: Self = Self(4);
    const NAMES: [&str; 8] = [
        "fatal", "critical", "error", "warning", "notice", "info", "debug", "trace",
    ];

    /// Returns the severity's name, or `unknown` for a number that the plugin API does not define.
    pub fn name(self) -> &'static str {
        let index = usize::try_from(self.0).unwrap_or(0).wrapping_sub(1);
        Self::NAMES.get(index).copied().unwrap_or("unknown")
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

type Sink = dyn Fn(Severity, String) + Send + Sync;

/// The host's side of one plugin: receives the plugin's log lines and async events.
pub struct Owner {
    sink: Box<Sink>,
    /// `None` while the plugin may not send async events.
    receiver: Mutex<Option<Receiver>>,
}

/// The destination of a plugin's async events.
pub(super) enum Receiver {
    /// The queue of the open source.
    Queue(AsyncSender, Arc<AsyncQueue>),
    /// The events of one call of `dump_state`.
    List(AsyncSender, Vec<AsyncEvent>),
}

impl Owner {
    /// Makes an owner that passes each log line to `sink`, which is called from any thread, also during a call of the
    /// plugin. The owner is never freed, because a thread that the plugin leaves behind may log after `destroy`.
    pub fn leak(sink: impl Fn(Severity, String) + Send + Sync + 'static) -> &'static Self {
        Box::leak(Box::new(Self {
            sink: Box::new(sink),
            receiver: Mutex::new(None),
        }))
    }

    /// Replaces the destination of async events. Returns the previous one.
    pub(super) fn set_receiver(&self, receiver: Option<Receiver>) -> Option<Receiver> {
        self.with_receiver(|current| std::mem::replace(current, receiver))
    }

    /// Runs code on the destination of async events, which calls no plugin.
    pub(super) fn with_receiver<R>(&self, code: impl FnOnce(&mut Option<Receiver>) -> R) -> R {
        code(&mut self.receiver.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Logs a line of the host about the plugin.
    pub(super) fn log(&self, severity: Severity, text: &str) {
        (self.sink)(severity, text.to_owned());
    }

    /// Returns the owner as the plugin API passes it.
    pub(super) fn as_ptr(&'static self) -> *mut ss_plugin_owner_t {
        ptr::from_ref(self).cast_mut().cast()
    }
}

/// Passes a log line to the owner's sink (`log_fn` of the plugin API). The component is ignored.
///
/// # Safety
/// `owner` is NULL or came from [`Owner::as_ptr`]; `message` is NULL or NUL-terminated.
pub(super) unsafe extern "C-unwind" fn log(
    owner: *mut ss_plugin_owner_t,
    _component: *const c_char,
    message: *const c_char,
    severity: ss_plugin_log_severity,
) {
    if owner.is_null() || message.is_null() {
        return;
    }
    // SAFETY: not NULL, so it came from a `&'static Owner`, which may be shared between threads.
    let owner: &'static Owner = unsafe { &*owner.cast::<Owner>().cast_const() };
    // SAFETY: not NULL, and NUL-terminated as the caller ensures. The string is copied within the call.
    let message = unsafe { CStr::from_ptr(message) }.to_string_lossy().into_owned();
    (owner.sink)(Severity(severity), message);
}

/// Returns NULL: this owner does nothing that could fail (`get_owner_last_error` of the plugin API).
///
/// # Safety
/// Safe to call with any pointer. The signature is unsafe because the plugin API's is.
pub(super) unsafe extern "C-unwind" fn get_owner_last_error(_owner: *mut ss_plugin_owner_t) -> *const c_char {
    ptr::null()
}
