//! The host's side of a plugin, through which the plugin logs.

use std::ffi::{CStr, c_char};
use std::fmt;
use std::ptr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use falco_plugin_api::{ss_plugin_log_severity, ss_plugin_owner_t};

use crate::abi::async_events::{AsyncEvent, AsyncQueue, AsyncSender};
use crate::abi::tables::{PluginTables, Registry};

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

/// The host's side of one plugin: receives the plugin's log lines and async events, and has the tables that it uses.
pub struct Owner {
    sink: Box<Sink>,
    /// `None` while the plugin may not send async events.
    receiver: Mutex<Option<Receiver>>,
    /// The async events that were only counted, and their bytes.
    pub(super) counted: [AtomicU64; 2],
    tables: PluginTables,
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
        Self::with_tables(Registry::new(), sink)
    }

    /// Makes an owner as [`Self::leak`] does, whose plugin shares the tables of a registry with other plugins.
    pub fn with_tables(
        registry: Arc<Registry>,
        sink: impl Fn(Severity, String) + Send + Sync + 'static,
    ) -> &'static Self {
        Box::leak(Box::new(Self {
            sink: Box::new(sink),
            receiver: Mutex::new(None),
            counted: Default::default(),
            tables: PluginTables::new(registry),
        }))
    }

    /// Returns the tables that the plugin uses.
    pub(super) fn tables(&'static self) -> &'static PluginTables {
        &self.tables
    }

    /// Ends a call of the plugin. Logs a warning if the plugin has not released entries of tables: Falco frees only entries of
    /// tables that belong to it, so those of other plugins would stay locked or in memory.
    pub(super) fn end_call(&'static self, function: &str) {
        let kept = self.tables.end_call();
        if kept > 0 {
            let text = format!("{function} has not released all entries of tables that it has got ({kept} left)");
            self.log(Severity::WARNING, &text);
        }
    }

    /// Returns the owner of a pointer.
    ///
    /// # Safety
    /// The pointer came from [`Self::as_ptr`].
    pub(super) unsafe fn from_ptr(owner: *mut ss_plugin_owner_t) -> &'static Self {
        // SAFETY: the caller's promise: it came from a `&'static Owner`, which may be shared between threads.
        unsafe { &*owner.cast::<Self>().cast_const() }
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
    let owner = unsafe { Owner::from_ptr(owner) };
    // SAFETY: not NULL, and NUL-terminated as the caller ensures. The string is copied within the call.
    let message = unsafe { CStr::from_ptr(message) }.to_string_lossy().into_owned();
    (owner.sink)(Severity(severity), message);
}

/// Returns the last error of a function for tables; NULL if there is none (`get_owner_last_error` of the plugin API).
///
/// # Safety
/// `owner` is NULL or came from [`Owner::as_ptr`].
pub(super) unsafe extern "C-unwind" fn get_owner_last_error(owner: *mut ss_plugin_owner_t) -> *const c_char {
    if owner.is_null() {
        return ptr::null();
    }
    // SAFETY: not NULL, so by the caller's promise one of `as_ptr`.
    unsafe { Owner::from_ptr(owner) }.tables.last_error()
}
