//! The host's log function, which may be called until the plugin is destroyed.

use std::cell::Cell;
use std::ffi::c_char;
use std::fmt;
use std::io::{self, Write};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use falco_plugin_api::{ss_plugin_init_input, ss_plugin_log_fn_t, ss_plugin_owner_t};
use falco_plugin_engine::metrics::{Counter, Metrics};

use crate::fork;
use crate::strings::to_c_string;

/// `ss_plugin_log_severity`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Severity {
    Fatal = 1,
    Critical = 2,
    Error = 3,
    Warning = 4,
    Notice = 5,
    Info = 6,
    Debug = 7,
    Trace = 8,
}

/// The log of one plugin: the host's until destroy, stderr afterwards.
#[derive(Clone)]
pub struct Log(Arc<Shared>);

struct Shared {
    open: AtomicBool,
    slot: Mutex<Option<Slot>>,
    lines: Lines,
}

/// Counts the lines of a log.
struct Lines {
    all: Counter,
    warnings: Counter,
    /// Lines of severity error and above.
    errors: Counter,
    metrics: Metrics,
}

impl Lines {
    fn new() -> Self {
        let [all, warnings, errors] = [(); 3].map(|()| Counter::default());
        let mut metrics = Metrics::new();
        metrics.add_counter(c"sdk_log_lines", &all);
        metrics.add_counter(c"sdk_log_warnings", &warnings);
        metrics.add_counter(c"sdk_log_errors", &errors);
        Self {
            all,
            warnings,
            errors,
            metrics,
        }
    }

    fn count(&self, severity: Severity) {
        self.all.add(1);
        match severity {
            Severity::Fatal | Severity::Critical | Severity::Error => self.errors.add(1),
            Severity::Warning => self.warnings.add(1),
            Severity::Notice | Severity::Info | Severity::Debug | Severity::Trace => {}
        }
    }
}

struct Slot {
    owner: *mut ss_plugin_owner_t,
    function: ss_plugin_log_fn_t,
}

// SAFETY: owner and function are the host's, whose log function may be called from any thread until destroy. The lock
// around the slot ends all calls before destroy returns.
unsafe impl Send for Slot {}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Log")
    }
}

impl Log {
    /// # Safety
    /// `input` is valid for reads, and its owner and log function stay usable until [`Log::clear`].
    pub(crate) unsafe fn new(input: *const ss_plugin_init_input) -> Self {
        // SAFETY: by the caller's promise; the fields are plain pointers.
        let slot = unsafe {
            Slot {
                owner: (*input).owner,
                function: (*input).log_fn,
            }
        };
        Self(Arc::new(Shared {
            open: AtomicBool::new(true),
            slot: Mutex::new(Some(slot)),
            lines: Lines::new(),
        }))
    }

    /// Returns the numbers of lines that were logged, also of those that went to stderr.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.0.lines.metrics
    }

    /// Logs a message. One that is logged from within the host's own log function goes to stderr, because the lock is held
    /// there.
    pub fn log(&self, severity: Severity, message: &str) {
        if fork::is_child() {
            // The host's log is the parent's.
            return fork::write_line(message);
        }
        self.0.lines.count(severity);
        thread_local!(static INSIDE: Cell<bool> = const { Cell::new(false) });
        if INSIDE.try_with(|inside| inside.replace(true)).unwrap_or(false) {
            return to_stderr(message);
        }
        let slot = self.lock();
        match &*slot {
            Some(Slot {
                owner,
                function: Some(function),
            }) => {
                let message = to_c_string(message);
                // SAFETY: the slot is not empty, so destroy has not returned. NULL as component stands for the plugin's
                // name.
                unsafe { function(*owner, ptr::null::<c_char>(), message.as_ptr(), severity as u32) };
            }
            _ => to_stderr(message),
        }
        drop(slot);
        let _ = INSIDE.try_with(|inside| inside.set(false));
    }

    /// Returns whether the host still accepts log lines. Does not block.
    pub fn is_open(&self) -> bool {
        self.0.open.load(Ordering::Acquire)
    }

    /// Forgets the host's log function. Blocks until a running call of it has returned.
    pub(crate) fn clear(&self) {
        self.0.open.store(false, Ordering::Release);
        self.lock().take();
    }

    fn lock(&self) -> MutexGuard<'_, Option<Slot>> {
        // A panic cannot leave the slot half empty.
        self.0.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// If stderr is closed too, the message is lost.
fn to_stderr(message: &str) {
    let _ = writeln!(io::stderr(), "{message}");
}
